/* SPDX-License-Identifier: BSD-3-Clause */
#include "test.h"

#include "../core/snapshot_draft.h"
#include "core/prefix_table.h"
#include "core/service_table.h"
#include "core/snapshot_check.h"
#include "policy.h"

static const uint64_t HZ = 2100000000;

static struct sw_policy *build(struct draft *d)
{
	uint64_t bytes;
	char why[256] = "";
	void *snapshot = draft_seal(d, &bytes);
	struct sw_policy *p;
	if (sw_snapshot_check(snapshot, bytes, why, sizeof(why)))
		fail_msg("%s", why);
	assert_int_equal(sw_policy_build(snapshot, bytes, HZ, &p), 0);
	memset(snapshot, 0x5a, bytes); /* the policy must have its own copy */
	free(snapshot);
	return p;
}

/* The tighter of limit and cap, level by level; 0/0 is no limit. */
static void test_reflection_caps(void **state)
{
	(void)state;
	static const struct {
		unsigned int level;
		uint32_t per_s, burst, cap_per_s, cap_burst;
		uint64_t expected_per_s, expected_depth; /* 0: no limit */
		uint8_t is_cap;
	} cases[] = {
		{0, 0, 0, 20, 40, 20, 40, 1},   {1, 0, 0, 200, 400, 200, 400, 1},
		{0, 10, 10, 20, 40, 10, 10, 0}, {0, 30, 10, 20, 40, 20, 40, 1},
		{0, 20, 40, 20, 40, 20, 40, 0}, {0, 20, 50, 20, 40, 20, 40, 1},
		{1, 5, 5, 200, 400, 5, 5, 0},   {2, 0, 0, 20, 40, 0, 0, 0},
		{2, 7, 9, 1, 1, 7, 9, 0},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct draft d;
		draft_init(&d);
		struct sw_service *s = draft_service(&d, "web", SW_MODE_ALWAYS);
		draft_target(&d, "10.0.0.1/32", 80, 80, 0);
		s->limits[cases[i].level].syn_per_s = cases[i].per_s;
		s->limits[cases[i].level].syn_burst = cases[i].burst;
		d.global.answers_per_source_per_s = d.global.answers_per_prefix_per_s = cases[i].cap_per_s;
		d.global.answers_per_source_burst = d.global.answers_per_prefix_burst = cases[i].cap_burst;
		struct sw_policy *p = build(&d);
		const struct sw_limit_profile *l = &p->service[0].levels[cases[i].level];
		const struct sw_rate syn = sw_level_rate(&p->service[0].syn_rates, cases[i].level);
		const uint64_t per_s = syn.interval ? HZ / syn.interval : 0;
		const uint64_t depth = syn.interval ? syn.tolerance / syn.interval + 1 : 0;
		assert_int_equal(per_s, cases[i].expected_per_s);
		assert_int_equal(depth, cases[i].expected_depth);
		assert_int_equal(l->syn_is_cap, cases[i].is_cap);
		assert_int_equal(p->service[0].limited[SW_LIMITER_SYN] >> cases[i].level & 1, per_s != 0);
		assert_int_equal(p->service[0].limited[SW_LIMITER_CONN], 0);
		assert_true(per_s || syn.tolerance == INT64_MAX);
		sw_policy_free(p);
	}
}

/* A source has one owner, a prefix has one in every worker: the parts together are the limit, or a little more by rounding. */
static void test_prefix_limits_are_divided_among_workers(void **state)
{
	(void)state;
	struct draft d;
	draft_init(&d);
	d.boot.workers = 4;
	for (uint32_t i = 0; i < 4; i++)
		d.boot.cores[i] = i;
	struct sw_service *s = draft_service(&d, "web", SW_MODE_ALWAYS);
	draft_target(&d, "10.0.0.1/32", 80, 80, 0);
	for (unsigned int level = 0; level < 2; level++)
		s->limits[level] = (struct sw_limits){.conn_per_s = 10, .conn_burst = 1, .concurrent = 3};
	d.global.answers_per_source_per_s = d.global.answers_per_source_burst = 40;
	d.global.answers_per_prefix_per_s = d.global.answers_per_prefix_burst = 400;
	struct sw_policy *p = build(&d);
	const struct sw_limit_profile *own = &p->service[0].levels[0], *prefix = &p->service[0].levels[1];
	assert_int_equal(HZ / own->conn.interval, 10);
	assert_int_equal(own->concurrent, 3);
	assert_int_equal(HZ / p->service[0].syn_rates.intervals[0], 40);
	assert_int_equal(HZ / prefix->conn.interval, 3);
	assert_int_equal(prefix->concurrent, 1);
	assert_int_equal(HZ / p->service[0].syn_rates.intervals[1], 100);
	assert_int_equal(HZ / p->answers[1].interval, 100);
	assert_int_equal(p->service[0].levels[2].concurrent, 0);
	sw_policy_free(p);
}

static void test_level_count_covers_every_limit(void **state)
{
	(void)state;
	struct draft d;
	draft_init(&d);
	draft_service(&d, "none", SW_MODE_ALWAYS);
	draft_service(&d, "syn", SW_MODE_ALWAYS)->limits[1] = (struct sw_limits){.syn_per_s = 1, .syn_burst = 1};
	draft_service(&d, "conn", SW_MODE_ALWAYS)->limits[2] = (struct sw_limits){.conn_per_s = 1, .conn_burst = 1};
	draft_service(&d, "concurrent", SW_MODE_ALWAYS)->limits[0].concurrent = 3;
	draft_target(&d, "10.0.0.1/32", 80, 80, 0);
	draft_target(&d, "10.0.0.1/32", 81, 81, 1);
	draft_target(&d, "10.0.0.1/32", 82, 82, 2);
	draft_target(&d, "10.0.0.1/32", 83, 83, 3);
	struct sw_policy *p = build(&d);
	static const uint8_t counts[] = {0, 2, 3, 1};
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(p->service[i].level_count, counts[i]);
	static const uint8_t sets[][2] = {{0, 0}, {2, 0}, {0, 4}, {0, 1}};
	for (unsigned int i = 0; i < 4; i++) {
		assert_int_equal(p->service[i].limited[SW_LIMITER_SYN], sets[i][0]);
		assert_int_equal(p->service[i].limited[SW_LIMITER_CONN], sets[i][1]);
	}
	assert_int_equal(p->service[3].levels[0].concurrent, 3);
	sw_policy_free(p);
}

static void test_masks_of_both_families(void **state)
{
	(void)state;
	static const struct {
		const char *address, *prefixes[3];
	} cases[] = {
		{"192.0.2.77", {"192.0.2.77", "192.0.2.0", "192.0.0.0"}},
		{"2001:db8:1:2:3:4:5:6", {"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::", "2001:db8:1::"}},
	};
	struct draft d;
	draft_init(&d);
	struct sw_policy *p = build(&d);
	assert_int_equal(p->level_count, 3);
	for (size_t c = 0; c < COUNT(cases); c++) {
		const struct sw_address a = prefix_of(cases[c].address).address;
		uint64_t words[2];
		memcpy(words, a.bytes, 16);
		for (unsigned int level = 0; level < 3; level++) {
			const struct sw_address expected = prefix_of(cases[c].prefixes[level]).address;
			const uint64_t masked[2] = {words[0] & p->levels[c].masks[level][0], words[1] & p->levels[c].masks[level][1]};
			assert_memory_equal(masked, expected.bytes, 16);
		}
	}
	sw_policy_free(p);
}

static void test_tables_are_there(void **state)
{
	(void)state;
	struct draft d;
	draft_init(&d);
	struct sw_policy *p = build(&d);
	assert_int_equal(p->have_rules, 0);
	sw_policy_free(p);

	draft_init(&d);
	draft_service(&d, "web", SW_MODE_ALWAYS)->slot = 5;
	draft_target(&d, "10.0.0.1/32", 80, 80, 0);
	draft_target(&d, "2001:db8::1/128", 80, 80, 0);
	draft_rule(&d, "198.51.100.0/24", SW_RULE_DENY, 3, 0);
	draft_group(&d, "them");
	draft_rule(&d, "2001:db8:bad::/48", SW_RULE_GROUP, 0, 0);
	p = build(&d);
	assert_int_equal(p->have_rules, 1);
	struct sw_address a = prefix_of("10.0.0.1").address;
	assert_int_equal(sw_service_table_lookup(p->services, &a, 80), 0);
	assert_int_equal(sw_service_table_lookup(p->services, &a, 81), SW_NONE);
	a = prefix_of("198.51.100.9").address;
	assert_int_equal(sw_prefix_table_class_now(p->sources, sw_prefix_table_find(p->sources, &a), 0).kind, SW_RULE_DENY);
	a = prefix_of("2001:db8:bad::1").address;
	assert_int_equal(sw_prefix_table_class(p->sources, sw_prefix_table_lookup(p->sources, &a))->group, 0);
	assert_int_equal(p->slot_count, DRAFT_MANY);
	for (uint32_t slot = 0; slot < p->slot_count; slot++)
		assert_int_equal(p->service_by_slot[slot], slot == 5 ? 0 : SW_NONE);
	sw_policy_free(p);
}

static void test_units(void **state)
{
	(void)state;
	struct draft d;
	draft_init(&d);
	struct sw_service *s = draft_service(&d, "web", SW_MODE_AUTO);
	draft_target(&d, "10.0.0.1/32", 80, 80, 0);
	s->start_syn_per_s = 5000;
	s->stop_syn_per_s = 100;
	s->block_after = 9;
	s->block_s = 600;
	s->total.concurrent = 10;
	d.global.rst_per_s = 100;
	d.global.idle_established_s = 86400 * 30; /* longer than the coarse clock can tell apart */
	struct sw_policy *p = build(&d);
	assert_int_equal(p->service[0].block_cycles, 600 * HZ);
	assert_int_equal(p->service[0].block_after, 9);
	assert_int_equal(p->service[0].total_limited, 1);
	assert_int_equal(HZ / p->service[0].start.interval, 5000);
	assert_int_equal(p->service[0].start.tolerance / p->service[0].start.interval + 1, 500);
	assert_int_equal(HZ / p->rst.interval, 100);
	assert_int_equal(p->idle_embryonic, (30 * HZ) >> 20);
	assert_int_equal(p->idle_established, INT32_MAX);
	sw_policy_free(p);
	s->mode = SW_MODE_ALWAYS;
	s->block_after = 0;
	p = build(&d);
	assert_int_equal(p->service[0].block_after, 0);
	assert_int_equal(p->service[0].start.interval, 0);
	sw_policy_free(p);
	sw_policy_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reflection_caps),
		cmocka_unit_test(test_prefix_limits_are_divided_among_workers),
		cmocka_unit_test(test_level_count_covers_every_limit),
		cmocka_unit_test(test_masks_of_both_families),
		cmocka_unit_test(test_tables_are_there),
		cmocka_unit_test(test_units),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
