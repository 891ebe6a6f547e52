/* SPDX-License-Identifier: BSD-3-Clause */
/* /sources and /prefixes as the NOC sees them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "../fake_region.h"
#include "http.h"
#include "server_fixture.h"

static void put(struct server_fixture *x, uint32_t index, const uint8_t four[4], enum sw_proof proof, uint64_t syns,
    uint64_t refused)
{
	struct sw_source_record *r = fake_source(&x->fake, index % 2, index / 2);
	r->address = sw_address_from_ipv4(four);
	r->proof = (uint8_t)proof;
	r->syns = syns;
	r->refused = refused;
	r->first_seen_tsc = fake_tsc_ago(&x->fake, 110);
	r->last_seen_tsc = fake_tsc_ago(&x->fake, 10);
	atomic_store(&r->id, 1);
}

static const char *text_of(const json_t *list, size_t index, const char *key)
{
	const char *text = json_string_value(json_object_get(json_array_get(list, index), key));
	return text ? text : "";
}

static void test_sources(void **state)
{
	struct server_fixture *x = *state;
	put(x, 0, (const uint8_t[4]){192, 0, 2, 1}, SW_PROOF_CLAIMED, 9000, 5);
	put(x, 1, (const uint8_t[4]){192, 0, 2, 2}, SW_PROOF_ECHOED, 400, 70);
	put(x, 2, (const uint8_t[4]){192, 0, 2, 3}, SW_PROOF_SENT_DATA, 500, 0);
	struct http_answer r = http_ask(http_connect_unix(x->fake.directory), "GET", "/sources?by=syns", NULL);
	const json_t *sources = json_object_get(r.json, "sources"), *offenders = json_object_get(r.json, "offenders");
	assert_int_equal(json_array_size(sources), 3);
	assert_string_equal(text_of(sources, 0, "address"), "192.0.2.1");
	assert_string_equal(text_of(sources, 0, "proof"), "claimed");
	assert_string_equal(text_of(sources, 1, "proof"), "sent_data");
	assert_string_equal(text_of(sources, 2, "service"), "tracker");
	/* 400 SYNs within the 100 s in which it was seen */
	assert_true(json_real_value(json_object_get(json_array_get(sources, 2), "syn_per_s")) == 4.0);
	assert_int_equal(json_array_size(offenders), 1);
	assert_string_equal(text_of(offenders, 0, "address"), "192.0.2.2");
	assert_int_equal(json_integer_value(json_object_get(json_object_get(r.json, "records"), "claimed")), 1);
	http_free(&r);
	r = http_ask(http_connect_unix(x->fake.directory), "GET", "/sources?proof=echoed&limit=1", NULL);
	sources = json_object_get(r.json, "sources");
	assert_int_equal(json_array_size(sources), 1);
	assert_string_equal(text_of(sources, 0, "address"), "192.0.2.3");
	http_free(&r);
	r = http_ask(http_connect_unix(x->fake.directory), "GET", "/prefixes", NULL);
	const json_t *levels = json_object_get(r.json, "levels");
	assert_int_equal(json_array_size(levels), 2);
	const json_t *prefixes = json_object_get(json_array_get(levels, 1), "prefixes");
	assert_string_equal(text_of(prefixes, 0, "prefix"), "192.0.0.0/16");
	assert_int_equal(json_integer_value(json_object_get(json_array_get(prefixes, 0), "sources")), 3);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(prefixes, 0), "proven")), 2);
	http_free(&r);
	r = http_ask(http_connect_unix(x->fake.directory), "GET", "/why/192.0.2.2", NULL);
	assert_string_equal(text_of(json_object_get(r.json, "evidence"), 0, "proof"), "echoed");
	http_free(&r);
	assert_int_equal(unlink(x->fake.path), 0);
	r = http_ask(http_connect_unix(x->fake.directory), "GET", "/sources", NULL);
	assert_int_equal(r.status, 200);
	assert_int_equal(json_array_size(json_object_get(r.json, "sources")), 0);
	http_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_sources, server_fixture_open, server_fixture_close)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
