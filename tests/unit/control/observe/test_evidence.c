/* SPDX-License-Identifier: BSD-3-Clause */
/* Evidence: records with their proof, the order of the top lists, sums by prefix against a naive oracle, both families.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "../fake_region.h"
#include "evidence.h"

#define SECOND 1000000000ull
#define TSC_HZ 2000000000ull

static const struct fake_region_shape shape = {
    .workers = 2, .links = 1, .services_max = 4, .groups_max = 1, .entries_max = 1, .source_records_per_worker = 1000};

struct fixture {
	struct fake_region fake;
	struct sw_evidence evidence;
	uint64_t now;
};

static int open_fixture(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));
	fake_region_open(&x->fake, &shape);
	x->now = x->fake.region->anchor_unix_ns;
	x->evidence.seed = 42;
	*state = x;
	return 0;
}

static int close_fixture(void **state)
{
	struct fixture *x = *state;
	sw_evidence_free(&x->evidence);
	fake_region_close(&x->fake);
	free(x);
	return 0;
}

static struct sw_address ipv4(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	return sw_address_from_ipv4((const uint8_t[4]){a, b, c, d});
}

static struct sw_address ipv6(uint8_t subnet, uint8_t host)
{
	return sw_address_from_ipv6((const uint8_t[16]){0x20, 1, 0xd, 0xb8, 0, 0, 0, subnet, [15] = host});
}

static struct sw_source_record *put(
    struct fixture *x, uint32_t index, struct sw_address address, uint32_t service, enum sw_proof proof, uint64_t syns)
{
	struct sw_source_record *r = fake_source(&x->fake, index % 2, index / 2);
	r->address = address;
	r->service_slot = service;
	r->proof = (uint8_t)proof;
	r->syns = syns;
	r->first_seen_tsc = fake_tsc_ago(&x->fake, 100);
	r->last_seen_tsc = fake_tsc_ago(&x->fake, 10);
	atomic_store(&r->id, index + 1);
	return r;
}

static void scan(struct fixture *x)
{
	assert_int_equal(sw_evidence_scan(&x->evidence, x->fake.region, SECOND, x->now), 0);
}

static void test_one_record(void **state)
{
	struct fixture *x = *state;
	struct sw_source_record *r = put(x, 7, ipv6(1, 2), 3, SW_PROOF_SENT_DATA, 50);
	r->conns = 4;
	r->refused = 3;
	r->dropped = 2;
	r->bytes_in = 1;
	r->concurrent = 9;
	r->blocked_until_tsc = x->fake.region->anchor_tsc + 60 * TSC_HZ;
	scan(x);
	assert_int_equal(x->evidence.count, 1);
	const struct sw_evidence_record *e = &x->evidence.records[0];
	assert_memory_equal(&e->source.address, &r->address, 16);
	assert_int_equal(e->service_slot, 3);
	assert_int_equal(e->worker, 1);
	assert_int_equal(e->proof, SW_PROOF_SENT_DATA);
	assert_int_equal(e->syns, 50);
	assert_int_equal(e->conns, 4);
	assert_int_equal(e->refused, 3);
	assert_int_equal(e->dropped, 2);
	assert_int_equal(e->bytes_in, 1);
	assert_int_equal(e->concurrent, 9);
	assert_int_equal(e->first_seen_unix_ns, x->now - 100 * SECOND);
	assert_int_equal(e->last_seen_unix_ns, x->now - 10 * SECOND);
	assert_int_equal(e->blocked_until_unix_ns, x->now + 60 * SECOND);
	assert_int_equal(x->evidence.offenders, 1);
	assert_int_equal(x->evidence.blocked, 1);
	/* the same, after the block has ended */
	x->now += 61 * SECOND;
	scan(x);
	assert_int_equal(x->evidence.records[0].blocked_until_unix_ns, 0);
	assert_int_equal(x->evidence.blocked, 0);
}

/* A proof level that this build does not know must not make anybody an offender. */
static void test_odd_records(void **state)
{
	struct fixture *x = *state;
	put(x, 0, ipv4(192, 0, 2, 1), 0, (enum sw_proof)77, 5)->refused = 10;
	atomic_store(&put(x, 1, ipv4(192, 0, 2, 2), 0, SW_PROOF_ECHOED, 5)->id, 0); /* free again */
	put(x, 2, ipv4(192, 0, 2, 3), SW_NONE - 1, SW_PROOF_ECHOED, 5)->last_seen_tsc = 0;
	scan(x);
	assert_int_equal(x->evidence.count, 2);
	assert_int_equal(x->evidence.records[0].proof, SW_PROOF_CLAIMED);
	assert_int_equal(x->evidence.offenders, 0);
	assert_int_equal(x->evidence.records[1].last_seen_unix_ns, 0);
}

/* Whoever forges an address must not make its owner look guilty. */
static void test_offenders_are_proven(void **state)
{
	struct fixture *x = *state;
	for (uint32_t i = 0; i < 30; i++) {
		struct sw_source_record *r = put(x, i, ipv4(192, 0, 2, (uint8_t)i), i % 2, (enum sw_proof)(i % 3), 1000 - i);
		r->refused = i % 5 == 0 ? i : 0;
		r->dropped = 1000;
		if (i == 7)
			r->blocked_until_tsc = x->fake.region->anchor_tsc + TSC_HZ;
	}
	scan(x);
	const struct sw_evidence_filter filter = {.service_slot = SW_NONE, .offenders = true};
	struct sw_evidence_record *top;
	const int n = sw_evidence_top(&x->evidence, &filter, SW_SORT_REFUSED, 100, &top);
	uint32_t expected = 0;
	for (uint32_t i = 0; i < 30; i++)
		expected += i % 3 && ((i % 5 == 0 && i) || i == 7);
	assert_int_equal(n, expected);
	assert_int_equal(x->evidence.offenders, expected);
	for (int i = 0; i < n; i++)
		assert_true(top[i].proof >= SW_PROOF_ECHOED && (top[i].refused || top[i].blocked));
	free(top);
	assert_int_equal(x->evidence.by_proof[SW_PROOF_CLAIMED], 10);
	assert_int_equal(x->evidence.by_proof[SW_PROOF_SENT_DATA], 10);
}

static uint64_t key(const struct sw_evidence_record *r, enum sw_sort sort)
{
	const uint64_t keys[SW_SORTS] = {
	    r->syns, r->conns, r->refused, r->dropped, r->bytes_in, r->concurrent, r->last_seen_unix_ns};
	return keys[sort];
}

static void test_every_order(void **state)
{
	struct fixture *x = *state;
	uint32_t random = 1;
	for (uint32_t i = 0; i < 500; i++) {
#define NEXT ((random = random * 1664525u + 1013904223u) >> 20)
		struct sw_source_record *r =
		    put(x, i, i % 3 ? ipv4(10, 0, (uint8_t)(i >> 8), (uint8_t)i) : ipv6((uint8_t)(i >> 8), (uint8_t)i), i % 4,
		        (enum sw_proof)(i % 3), NEXT);
		r->conns = NEXT;
		r->refused = NEXT;
		r->dropped = NEXT;
		r->bytes_in = NEXT;
		r->concurrent = (uint32_t)NEXT;
		r->last_seen_tsc -= NEXT;
	}
	scan(x);
	for (int sort = 0; sort < SW_SORTS; sort++)
		for (uint32_t limit = 0; limit <= 600; limit = limit * 3 + 1) {
			const struct sw_evidence_filter filter = {.service_slot = 2, .proof_min = SW_PROOF_ECHOED};
			struct sw_evidence_record *top;
			const int n = sw_evidence_top(&x->evidence, &filter, (enum sw_sort)sort, limit, &top);
			uint32_t all = 0, larger = 0;
			for (uint32_t i = 0; i < x->evidence.count; i++) {
				const struct sw_evidence_record *r = &x->evidence.records[i];
				if (r->service_slot != 2 || r->proof < SW_PROOF_ECHOED)
					continue;
				all++;
				larger += n && key(r, (enum sw_sort)sort) > key(&top[n - 1], (enum sw_sort)sort);
			}
			assert_int_equal(n, all < limit ? all : limit);
			assert_true(larger < (uint32_t)n || !n); /* nothing left out stands before what is shown */
			for (int i = 0; i < n; i++) {
				assert_true(top[i].service_slot == 2 && top[i].proof >= SW_PROOF_ECHOED);
				assert_true(!i || key(&top[i - 1], (enum sw_sort)sort) >= key(&top[i], (enum sw_sort)sort));
			}
			free(top);
		}
}

static void test_prefixes(void **state)
{
	struct fixture *x = *state;
	/* One IPv4 source towards two services, with different proof: one source, proven. */
	put(x, 0, ipv4(198, 51, 100, 1), 0, SW_PROOF_CLAIMED, 10);
	put(x, 1, ipv4(198, 51, 100, 1), 1, SW_PROOF_ECHOED, 1)->refused = 2;
	put(x, 2, ipv4(198, 51, 100, 2), 0, SW_PROOF_SENT_DATA, 100);
	put(x, 3, ipv4(198, 51, 7, 2), 0, SW_PROOF_CLAIMED, 1000);
	put(x, 4, ipv6(1, 1), 0, SW_PROOF_CLAIMED, 3);
	put(x, 5, ipv6(1, 2), 0, SW_PROOF_ECHOED, 4)->blocked_until_tsc = x->fake.region->anchor_tsc + TSC_HZ;
	put(x, 6, ipv6(2, 1), 0, SW_PROOF_CLAIMED, 5);
	scan(x);
	static const struct {
		uint8_t four, six;
		struct {
			uint8_t length;
			uint32_t sources, echoed, sent_data, blocked;
			uint64_t syns, refused;
		} rows[8];
	} cases[] = {
	    {32, 128,
	        {{128, 1, 0, 0, 0, 1000, 0}, {128, 1, 1, 1, 0, 100, 0}, {128, 1, 1, 0, 0, 11, 2}, {128, 1, 0, 0, 0, 5, 0},
	            {128, 1, 1, 0, 1, 4, 0}, {128, 1, 0, 0, 0, 3, 0}}},
	    {24, 64,
	        {{120, 1, 0, 0, 0, 1000, 0}, {120, 2, 2, 1, 0, 111, 2}, {64, 2, 1, 0, 1, 7, 0}, {64, 1, 0, 0, 0, 5, 0}}},
	    {16, 48, {{112, 3, 2, 1, 0, 1111, 2}, {48, 3, 1, 0, 1, 12, 0}}},
	    {0, 0, {{96, 3, 2, 1, 0, 1111, 2}, {0, 3, 1, 0, 1, 12, 0}}},
	};
	const struct sw_evidence_filter all = {.service_slot = SW_NONE};
	for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		struct sw_evidence_record *top;
		uint32_t prefixes = 0, expected = 0;
		const int n = sw_evidence_top_prefixes(
		    &x->evidence, &all, cases[c].four, cases[c].six, SW_SORT_SYNS, 100, &top, &prefixes);
		while (expected < 8 && cases[c].rows[expected].sources)
			expected++;
		assert_int_equal(n, expected);
		assert_int_equal(prefixes, expected);
		for (int i = 0; i < n; i++) {
			assert_int_equal(top[i].source.length, cases[c].rows[i].length);
			assert_int_equal(top[i].sources, cases[c].rows[i].sources);
			assert_int_equal(top[i].echoed, cases[c].rows[i].echoed);
			assert_int_equal(top[i].sent_data, cases[c].rows[i].sent_data);
			assert_int_equal(top[i].blocked, cases[c].rows[i].blocked);
			assert_int_equal(top[i].syns, cases[c].rows[i].syns);
			assert_int_equal(top[i].refused, cases[c].rows[i].refused);
			const struct sw_address masked = sw_address_mask(top[i].source.address, top[i].source.length);
			assert_true(sw_address_equal(&masked, &top[i].source.address));
		}
		free(top);
	}
}

static void test_full_and_empty(void **state)
{
	struct fixture *x = *state;
	const struct sw_evidence_filter all = {.service_slot = SW_NONE};
	struct sw_evidence_record *top;
	uint32_t prefixes = 7;
	scan(x);
	assert_int_equal(sw_evidence_top(&x->evidence, &all, SW_SORT_SYNS, 10, &top), 0);
	assert_null(top);
	assert_int_equal(sw_evidence_top_prefixes(&x->evidence, &all, 24, 64, SW_SORT_SYNS, 10, &top, &prefixes), 0);
	assert_int_equal(prefixes, 0);
	for (uint32_t i = 0; i < 2000; i++)
		put(x, i, ipv4(10, (uint8_t)(i >> 8), (uint8_t)i, 1), 0, SW_PROOF_CLAIMED, i);
	scan(x);
	assert_int_equal(x->evidence.count, 2000);
	assert_int_equal(
	    sw_evidence_top_prefixes(&x->evidence, &all, 24, 64, SW_SORT_SYNS, UINT32_MAX, &top, &prefixes), 2000);
	assert_int_equal(prefixes, 2000);
	assert_int_equal(top[0].syns, 1999);
	assert_int_equal(top[1999].syns, 0);
	free(top);
	struct sw_evidence_record of[4];
	const struct sw_address one = ipv4(10, 1, 1, 1);
	assert_int_equal(sw_evidence_of(&x->evidence, &one, of, 4), 1);
	assert_int_equal(of[0].syns, 257);
}

static void test_clock(void **state)
{
	struct fixture *x = *state;
	const uint64_t tsc = x->fake.region->anchor_tsc, now = x->now;
	static const struct {
		int64_t tsc, ns;
	} cases[] = {{0, 0}, {1, 0}, {2, 1}, {-2, -1}, {(int64_t)TSC_HZ, (int64_t)SECOND},
	    {-(int64_t)(86400 * TSC_HZ), -(int64_t)(86400 * SECOND)}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(sw_region_unix_ns(x->fake.region, tsc + (uint64_t)cases[i].tsc), now + (uint64_t)cases[i].ns);
	assert_int_equal(sw_region_unix_ns(x->fake.region, 0), 0);
	/* a dataplane killed between the two increments: still an answer */
	atomic_fetch_add(&x->fake.region->anchor_version, 1);
	assert_int_equal(sw_region_unix_ns(x->fake.region, tsc), now);
	x->fake.region->tsc_hz = 0;
	assert_int_equal(sw_region_unix_ns(x->fake.region, tsc), now);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_one_record),
	    TEST(test_odd_records),
	    TEST(test_offenders_are_proven),
	    TEST(test_every_order),
	    TEST(test_prefixes),
	    TEST(test_full_and_empty),
	    TEST(test_clock),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
