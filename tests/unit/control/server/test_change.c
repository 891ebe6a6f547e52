/* SPDX-License-Identifier: BSD-3-Clause */
/* What changes something: taken on the Unix socket alone, with bodies that are checked, and errors that explain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "../fake_region.h"
#include "fake_control.h"
#include "http.h"
#include "server_fixture.h"

static const char *error_code(const struct http_answer *r)
{
	const char *code = json_string_value(json_object_get(json_object_get(r->json, "error"), "code"));
	return code ? code : "";
}

static struct http_answer ask(struct server_fixture *x, const char *method, const char *path, const char *body)
{
	return http_ask(http_connect_unix(x->fake.directory), method, path, body);
}

static void test_loopback_changes_nothing(void **state)
{
	struct server_fixture *x = *state;
	static const struct {
		const char *method, *path, *body;
	} cases[] = {
	    {"POST", "/reload", NULL},
	    {"POST", "/blocks", "{\"address\": \"192.0.2.1\"}"},
	    {"DELETE", "/blocks/192.0.2.1", NULL},
	    {"POST", "/check", "{}"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct http_answer r =
		    http_ask(http_connect_tcp(sw_server_port(x->server, 0)), cases[i].method, cases[i].path, cases[i].body);
		assert_int_equal(r.status, 403);
		assert_string_equal(error_code(&r), "unix_socket_needed");
		http_free(&r);
	}
	assert_int_equal(fake_control.reloads, 0);
	assert_int_equal(fake_control.block_count, 0);
	assert_string_equal(fake_control.checked, "");
}

static void test_block_bodies(void **state)
{
	struct server_fixture *x = *state;
	static const struct {
		const char *body;
		int status;
		const char *code; /* or, with 200, the prefix that is blocked */
	} cases[] = {
	    {"{\"address\": \"192.0.2.7\", \"seconds\": 60, \"reason\": \"ticket\"}", 200, "192.0.2.7"},
	    {"{\"prefix\": \"2001:db8:7::/48\"}", 200, "2001:db8:7::/48"},
	    {"{\"prefix\": \"192.0.2.9\"}", 200, "192.0.2.9"},
	    {"", 400, "bad_json"},
	    {"{", 400, "bad_json"},
	    {"[]", 400, "bad_json"},
	    {"\xff\xfe", 400, "bad_json"},
	    {"{\"address\": \"192.0.2.7\", \"address\": \"192.0.2.8\"}", 400, "bad_json"},
	    {"{}", 400, "bad_block"},
	    {"{\"address\": 7}", 400, "bad_block"},
	    {"{\"address\": \"192.0.2.7\", \"prefix\": \"192.0.2.0/24\"}", 400, "bad_block"},
	    {"{\"addres\": \"192.0.2.7\"}", 400, "unknown_key"},
	    {"{\"address\": \"192.0.2.0/24\"}", 400, "bad_prefix"},
	    {"{\"address\": \"example.org\"}", 400, "bad_prefix"},
	    {"{\"prefix\": \"192.0.2.1/24\"}", 400, "bad_prefix"},
	    {"{\"prefix\": \"192.0.2.0/33\"}", 400, "bad_prefix"},
	    {"{\"address\": \"192.0.2.7\", \"seconds\": -1}", 400, "bad_seconds"},
	    {"{\"address\": \"192.0.2.7\", \"seconds\": 1.5}", 400, "bad_seconds"},
	    {"{\"address\": \"192.0.2.7\", \"seconds\": 99999999999}", 400, "bad_seconds"},
	    {"{\"address\": \"192.0.2.7\", \"seconds\": \"60\"}", 400, "bad_seconds"},
	    {"{\"address\": \"192.0.2.7\", \"reason\": 5}", 400, "bad_reason"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct http_answer r = ask(x, "POST", "/blocks", cases[i].body);
		const char *got = r.status == 200 ? json_string_value(json_object_get(r.json, "blocked")) : error_code(&r);
		if (r.status != cases[i].status || strcmp(got, cases[i].code))
			fail_msg("%s: %d %s", cases[i].body, r.status, r.body);
		http_free(&r);
	}
	assert_int_equal(fake_control.block_count, 3);
	assert_string_equal(fake_control.blocks[0].reason, "ticket");
	assert_int_equal(fake_control.blocks[0].prefix.length, 128);
	char body[400];
	snprintf(body, sizeof(body), "{\"address\": \"192.0.2.7\", \"reason\": \"%0*d\"}", SW_BLOCK_REASON_BYTES, 1);
	struct http_answer r = ask(x, "POST", "/blocks", body);
	assert_string_equal(error_code(&r), "bad_reason");
	http_free(&r);
}

static void test_block_life(void **state)
{
	struct server_fixture *x = *state;
	*fake_entry(&x->fake, 0, 0) = 40;
	*fake_entry(&x->fake, 1, 0) = 2;
	*fake_wire_entry(&x->fake, 0) = 8; /* and what XDP dropped by the same entry */
	struct http_answer r =
	    ask(x, "POST", "/blocks", "{\"prefix\": \"192.0.2.0/24\", \"seconds\": 3600, \"reason\": \"a\"}");
	assert_int_equal(r.status, 200);
	http_free(&r);
	r = ask(x, "GET", "/blocks", NULL);
	const json_t *one = json_array_get(json_object_get(r.json, "blocks"), 0);
	assert_string_equal(json_string_value(json_object_get(one, "prefix")), "192.0.2.0/24");
	assert_string_equal(json_string_value(json_object_get(one, "since")), "2023-11-14T22:13:20.000Z");
	assert_string_equal(json_string_value(json_object_get(one, "until")), "2023-11-14T23:13:20.000Z");
	assert_int_equal(json_integer_value(json_object_get(one, "packets")), 50);
	http_free(&r);
	r = ask(x, "GET", "/why/192.0.2.200", NULL);
	assert_int_equal(json_array_size(json_object_get(r.json, "blocks")), 1);
	http_free(&r);
	r = ask(x, "GET", "/why/192.0.3.200", NULL);
	assert_int_equal(json_array_size(json_object_get(r.json, "blocks")), 0);
	http_free(&r);
	r = ask(x, "DELETE", "/blocks/192.0.2.0/24", NULL);
	assert_int_equal(r.status, 200);
	http_free(&r);
	r = ask(x, "DELETE", "/blocks/192.0.2.0/24", NULL);
	assert_int_equal(r.status, 404);
	assert_string_equal(error_code(&r), "no_such_block");
	http_free(&r);
	r = ask(x, "DELETE", "/blocks/192.0.2.1/24", NULL);
	assert_int_equal(r.status, 400);
	http_free(&r);
}

/* What control answers decides the status. */
static void test_refusals_of_control(void **state)
{
	struct server_fixture *x = *state;
	static const struct {
		int error, block_status, reload_status;
	} cases[] = {
	    {0, 200, 200},
	    {-EINVAL, 400, 422},
	    {-ENOSPC, 507, 422},
	    {-EPROTO, 502, 422},
	    {-ENOTCONN, 502, 202},
	    {-ETIMEDOUT, 504, 202},
	    {-ENOMEM, 500, 422},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fake_control.block_result = fake_control.reload_result = cases[i].error;
		struct http_answer r = ask(x, "POST", "/blocks", "{\"address\": \"192.0.2.7\"}");
		assert_int_equal(r.status, cases[i].block_status);
		http_free(&r);
		r = ask(x, "POST", "/reload", NULL);
		assert_int_equal(r.status, cases[i].reload_status);
		assert_int_equal(json_is_true(json_object_get(r.json, "ok")), cases[i].error == 0);
		http_free(&r);
	}
	assert_int_equal(fake_control.reloads, sizeof(cases) / sizeof(cases[0]));
}

static void test_check(void **state)
{
	struct server_fixture *x = *state;
	struct http_answer r = ask(x, "POST", "/check", "{\"services\": []}");
	assert_int_equal(r.status, 200);
	assert_string_equal(fake_control.checked, "{\"services\": []}");
	http_free(&r);
	r = ask(x, "POST", "/check", "{\"services\": ");
	assert_int_equal(r.status, 422);
	http_free(&r);
	r = ask(x, "POST", "/check", NULL);
	assert_int_equal(r.status, 400);
	assert_string_equal(error_code(&r), "no_body");
	http_free(&r);
	/* a large one comes whole, in however many pieces */
	const size_t bytes = 3 << 20;
	char *large = malloc(bytes + 3);
	memset(large, ' ', bytes);
	memcpy(large + bytes, "{}", 3);
	r = ask(x, "POST", "/check", large);
	assert_int_equal(r.status, 200);
	http_free(&r);
	free(large);
}

static void test_why(void **state)
{
	struct server_fixture *x = *state;
	struct sw_explain *e = &fake_control.explain;
	*e = (struct sw_explain){.rule = SW_RULE_DENY, .entry = 3, .group = SW_NONE, .worker = 1, .armed = 1};
	*fake_entry(&x->fake, 1, 3) = 5;
	struct http_answer r = ask(x, "GET", "/why/192.0.2.7?service=tracker", NULL);
	assert_int_equal(r.status, 200);
	const json_t *t = json_array_get(json_object_get(r.json, "towards"), 0);
	const json_t *rule = json_object_get(t, "rule");
	assert_string_equal(json_string_value(json_object_get(rule, "kind")), "deny");
	assert_string_equal(json_string_value(json_object_get(rule, "prefix")), "192.0.2.0/24");
	assert_int_equal(json_integer_value(json_object_get(rule, "packets")), 5);
	http_free(&r);

	*e = (struct sw_explain){.rule = SW_RULE_KINDS, .entry = SW_NONE, .group = 0, .armed = 1};
	e->levels[1].conn = (struct sw_bucket_fill){.per_s = 10, .burst = 20, .available = 0};
	r = ask(x, "GET", "/why/2001:db8::7", NULL);
	t = json_array_get(json_object_get(r.json, "towards"), 0);
	assert_string_equal(
	    json_string_value(json_array_get(json_object_get(t, "used_up"), 0)), "connection rate of 2001:db8::/64");
	assert_string_equal(json_string_value(json_object_get(t, "group")), "farm");
	const json_t *budget = json_array_get(json_object_get(t, "budgets"), 1);
	assert_string_equal(json_string_value(json_object_get(budget, "of")), "2001:db8::/64");
	assert_true(json_is_null(json_object_get(budget, "syn")));
	assert_int_equal(json_integer_value(json_object_get(json_object_get(budget, "conn"), "burst")), 20);
	http_free(&r);

	fake_control.explain_result = -ENOTCONN;
	r = ask(x, "GET", "/why/192.0.2.7", NULL);
	assert_int_equal(r.status, 200);
	assert_true(json_is_false(json_object_get(r.json, "dataplane_answered")));
	assert_string_equal(json_string_value(json_object_get(r.json, "dataplane_text")), "the dataplane is away");
	http_free(&r);
	static const char *const wrong[] = {
	    "/why/nobody", "/why/192.0.2.0/24", "/why/1.2.3.4.5", "/why/::ffff:1.2.3.4", "/why/%ff%00"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		r = ask(x, "GET", wrong[i], NULL);
		assert_int_equal(r.status, 400);
		http_free(&r);
	}
	r = ask(x, "GET", "/why/192.0.2.7?service=nobody", NULL);
	assert_int_equal(r.status, 404);
	http_free(&r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, server_fixture_open, server_fixture_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_loopback_changes_nothing),
	    TEST(test_block_bodies),
	    TEST(test_block_life),
	    TEST(test_refusals_of_control),
	    TEST(test_check),
	    TEST(test_why),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
