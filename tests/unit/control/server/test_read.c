/* SPDX-License-Identifier: BSD-3-Clause */
/* What can be read over HTTP, from a real server on a Unix socket and on loopback TCP, with a made-up dataplane below.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "../fake_region.h"
#include "fake_control.h"
#include "http.h"
#include "server_fixture.h"

static json_int_t integer(const json_t *json, const char *group, const char *key)
{
	const json_t *at = group ? json_object_get(json, group) : json;
	const json_t *value = json_object_get(at, key);
	if (!json_is_integer(value))
		fail_msg("%s.%s is missing", group ? group : "", key);
	return json_integer_value(value);
}

static void test_stats_accounting(void **state)
{
	struct server_fixture *x = *state;
	struct sw_counters *a = &fake_worker(&x->fake, 0)->total, *b = &fake_worker(&x->fake, 1)->total;
	a->count[SW_COUNT_RX] = 1000;
	a->count[SW_COUNT_HANDED_OVER] = 400;
	a->count[SW_COUNT_ANSWERED] = 500;
	a->count[SW_COUNT_FORWARDED] = 100;
	b->count[SW_COUNT_ABSORBED] = 150;
	b->count[SW_COUNT_HELD] = 50;
	b->dropped[SW_DROP_COOKIE_INVALID] = 200;
	a->refused[SW_DROP_LIMIT_SYN_SOURCE] = 30; /* of the 500 */
	b->refused[SW_DROP_LIMIT_SYN_SOURCE] = 4;
	b->refused[SW_DROP_LIMIT_CONN_GROUP] = 5;
	fake_service(&x->fake, 0, "tracker");
	fake_service_counters(&x->fake, 1, 0)->refused[SW_DROP_LIMIT_CONN_GROUP] = 5;
	fake_port(&x->fake, 0)->wire[SW_WIRE_DROPPED_DENIED] = 11;
	fake_port(&x->fake, 1)->wire[SW_WIRE_PASSED_NOT_PROTECTED] = 22;
	struct http_answer r = http_ask(http_connect_unix(x->fake.directory), "GET", "/stats", NULL);
	assert_int_equal(r.status, 200);
	const json_t *accounting = json_object_get(r.json, "accounting"), *dropped = json_object_get(accounting, "dropped");
	assert_int_equal(integer(accounting, NULL, "rx"), 1033);
	assert_int_equal(integer(accounting, NULL, "forwarded"), 122);
	assert_int_equal(integer(accounting, NULL, "answered"), 500);
	assert_int_equal(integer(accounting, NULL, "absorbed"), 150);
	assert_int_equal(integer(accounting, NULL, "held"), 50);
	assert_int_equal(integer(accounting, NULL, "unaccounted"), 0);
	assert_int_equal(integer(dropped, NULL, "cookie_invalid"), 200);
	assert_int_equal(integer(dropped, NULL, "wire_denied"), 11);
	/* and the document adds up by itself */
	json_int_t sum = 122 + 500 + 150 + 50;
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)dropped, key, value) sum += json_integer_value(value);
	assert_int_equal(sum, 1033);
	assert_int_equal(json_object_size(dropped), SW_DROP_REASON_COUNT + 4);
	assert_int_equal(integer(accounting, "refused", "limit_syn_source"), 34);
	assert_int_equal(integer(accounting, "refused", "limit_conn_group"), 5);
	assert_int_equal(integer(accounting, "refused", "limit_syn_group"), 0);
	assert_int_equal(integer(accounting, NULL, "refused_total"), 39);
	assert_null(json_object_get(json_object_get(accounting, "refused"), "cookie_invalid")); /* is never answered */
	assert_null(json_object_get(json_object_get(accounting, "refused"), "blocked"));
	http_free(&r);
	r = http_ask(http_connect_unix(x->fake.directory), "GET", "/services/tracker", NULL);
	assert_int_equal(r.status, 200);
	const json_t *counters = json_object_get(r.json, "counters");
	assert_int_equal(integer(counters, "refused", "limit_conn_group"), 5);
	assert_int_equal(integer(counters, NULL, "refused_total"), 5);
	http_free(&r);
}

/* Every path that reads answers with JSON, on both transports, with a dataplane and without. */
static void test_every_reader(void **state)
{
	struct server_fixture *x = *state;
	struct http_answer index = http_ask(http_connect_unix(x->fake.directory), "GET", "/", NULL);
	assert_int_equal(index.status, 200);
	const json_t *routes = json_object_get(index.json, "routes");
	assert_true(json_array_size(routes) >= 7);
	for (int without = 0; without < 2; without++) {
		if (without)
			assert_int_equal(unlink(x->fake.path), 0);
		size_t i;
		json_t *route;
		json_array_foreach(routes, i, route)
		{
			char path[128];
			const char *pattern = json_string_value(json_object_get(route, "path"));
			if (strcmp(json_string_value(json_object_get(route, "method")), "GET") || !strcmp(pattern, "/stream"))
				continue;
			snprintf(path, sizeof(path), "%s", pattern);
			if (strstr(path, "NAME"))
				snprintf(strstr(path, "NAME"), 20, "tracker");
			if (strstr(path, "ADDRESS"))
				snprintf(strstr(path, "ADDRESS"), 20, "192.0.2.1");
			struct http_answer a = http_ask(http_connect_unix(x->fake.directory), "GET", path, NULL);
			struct http_answer b = http_ask(http_connect_tcp(sw_server_port(x->server, 0)), "GET", path, NULL);
			const bool fits = without ? a.status == 200 || a.status == 404 || a.status == 503 : a.status == 200;
			if (!fits || a.status != b.status)
				fail_msg("%s: %d and %d: %s", path, a.status, b.status, a.body);
			if (strcmp(path, "/metrics") && !json_is_object(a.json))
				fail_msg("%s: no JSON: %s", path, a.body);
			http_free(&a);
			http_free(&b);
		}
	}
	http_free(&index);
}

static void test_service(void **state)
{
	struct server_fixture *x = *state;
	struct sw_service_state *s = fake_service(&x->fake, 0, "tracker");
	s->mode = SW_MODE_AUTO;
	s->profile_known = 1 | 0x10;
	s->profile[0].mss = 1460;
	s->profile[0].window_scale = -1;
	fake_service_counters(&x->fake, 1, 0)->count[SW_COUNT_RX] = 7;
	struct http_answer r = http_ask(http_connect_unix(x->fake.directory), "GET", "/services/tracker", NULL);
	assert_int_equal(r.status, 200);
	assert_string_equal(json_string_value(json_object_get(r.json, "mode")), "auto");
	assert_int_equal(integer(json_object_get(r.json, "counters"), NULL, "rx"), 7);
	assert_int_equal(integer(r.json, "profile_ipv4", "mss"), 1460);
	assert_true(json_is_null(json_object_get(json_object_get(r.json, "profile_ipv4"), "window_scale")));
	assert_true(json_is_null(json_object_get(r.json, "profile_ipv6")));
	assert_string_equal(
	    json_string_value(json_array_get(json_object_get(r.json, "targets"), 1)), "[fd00:20::10]:20000");
	http_free(&r);
	fake_control.is_retired = true;
	r = http_ask(http_connect_unix(x->fake.directory), "GET", "/services/tracker", NULL);
	assert_string_equal(json_string_value(json_object_get(r.json, "mode")), "retired");
	assert_int_equal(json_array_size(json_object_get(r.json, "targets")), 2);
	http_free(&r);
	r = http_ask(http_connect_unix(x->fake.directory), "GET", "/status", NULL);
	assert_int_equal(integer(r.json, "policy", "services_retired"), 1);
	http_free(&r);
	r = http_ask(http_connect_unix(x->fake.directory), "GET", "/services/nobody", NULL);
	assert_int_equal(r.status, 404);
	assert_string_equal(
	    json_string_value(json_object_get(json_object_get(r.json, "error"), "code")), "no_such_service");
	http_free(&r);
}

static void test_health(void **state)
{
	struct server_fixture *x = *state;
	struct http_answer r = http_ask(http_connect_unix(x->fake.directory), "GET", "/health", NULL);
	assert_int_equal(r.status, 200);
	http_free(&r);
	atomic_store(&x->fake.region->ended, 1);
	r = http_ask(http_connect_unix(x->fake.directory), "GET", "/health", NULL);
	assert_int_equal(r.status, 503);
	assert_string_equal(json_string_value(json_object_get(r.json, "status")), "critical");
	http_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_stats_accounting, server_fixture_open, server_fixture_close),
	    cmocka_unit_test_setup_teardown(test_every_reader, server_fixture_open, server_fixture_close),
	    cmocka_unit_test_setup_teardown(test_service, server_fixture_open, server_fixture_close),
	    cmocka_unit_test_setup_teardown(test_health, server_fixture_open, server_fixture_close),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
