/* SPDX-License-Identifier: BSD-3-Clause */
#include "../dataplane/test.h"

#include "arming.h"

enum { MS = 1000000, TICK = 20 * MS };

static const struct sw_arming_rule auto_rule = {SW_MODE_AUTO, 1000, 500, 1000};

/* A service under a clock of 20 ms: counts SYNs at a rate, returns whether it is armed after each tick. */
struct service {
	struct sw_rate_window window;
	struct sw_arming arming;
	uint64_t now_ns, syns_milli;
	unsigned int changes;
};

static void run(struct service *s, const struct sw_arming_rule *rule, uint64_t syn_per_s, unsigned int ms)
{
	for (unsigned int i = 0; i < ms / 20; i++) {
		s->now_ns += TICK;
		s->syns_milli += syn_per_s * 20;
		sw_rate_window_add(&s->window, s->syns_milli / 1000, s->now_ns);
		const bool was = s->arming.armed;
		const uint64_t rate = sw_rate_window_per_s(&s->window, sw_arming_window_ms(rule), s->now_ns);
		s->arming = sw_arming_step(s->arming, rule, rate, s->now_ns);
		s->changes += was != s->arming.armed;
	}
}

static void test_rate_is_exact_at_steady_speed(void **state)
{
	(void)state;
	static const uint64_t rates[] = {0, 50, 1000, 8000, 10000000};
	for (size_t i = 0; i < COUNT(rates); i++) {
		struct service s = {.now_ns = 1};
		run(&s, &auto_rule, rates[i], 3000);
		assert_int_equal(sw_rate_window_per_s(&s.window, 100, s.now_ns), rates[i]);
		assert_int_equal(sw_rate_window_per_s(&s.window, 1000, s.now_ns), rates[i]);
	}
}

static void test_nothing_seen_is_no_rate(void **state)
{
	(void)state;
	struct sw_rate_window w = {.filled = 0};
	assert_int_equal(sw_rate_window_per_s(&w, 100, 5), 0);
	sw_rate_window_add(&w, 1000000, 5);
	assert_int_equal(sw_rate_window_per_s(&w, 100, 6), 0); /* a counter from before is no rate */
}

static void test_counter_that_starts_over_is_no_flood(void **state)
{
	(void)state;
	struct service s = {.now_ns = 1};
	run(&s, &auto_rule, 900, 1000);
	s.syns_milli = 0;
	run(&s, &auto_rule, 0, 40);
	assert_int_equal(sw_rate_window_per_s(&s.window, 100, s.now_ns), 0);
}

static void test_arms_within_100_ms(void **state)
{
	(void)state;
	static const uint64_t floods[] = {1000, 1100, 2000, 8000, 1000000};
	for (size_t i = 0; i < COUNT(floods); i++) {
		struct service s = {.now_ns = 1};
		run(&s, &auto_rule, 10, 2000);
		assert_false(s.arming.armed);
		run(&s, &auto_rule, floods[i], 100);
		assert_true(s.arming.armed);
	}
}

static void test_low_thresholds_are_not_tripped_by_one_syn(void **state)
{
	(void)state;
	const struct sw_arming_rule rule = {SW_MODE_AUTO, 10, 5, 1000};
	struct service s = {.now_ns = 1};
	run(&s, &rule, 0, 1000);
	s.syns_milli += 3000; /* three at once: 30 a second over 100 ms */
	run(&s, &rule, 0, 1000);
	assert_int_equal(s.changes, 0);
	run(&s, &rule, 8000, 20); /* a flood trips it at the first look all the same */
	assert_true(s.arming.armed);
}

static void test_disarms_after_the_hold_time_without_a_break(void **state)
{
	(void)state;
	struct service s = {.now_ns = 1};
	run(&s, &auto_rule, 8000, 1000);
	run(&s, &auto_rule, 0, 900);
	assert_true(s.arming.armed);
	run(&s, &auto_rule, 8000, 200); /* a new wave: the hold time begins again */
	run(&s, &auto_rule, 0, 1000);
	assert_true(s.arming.armed);
	run(&s, &auto_rule, 0, 200);
	assert_false(s.arming.armed);
	assert_int_equal(s.changes, 2);
}

static void test_does_not_flap_between_the_thresholds(void **state)
{
	(void)state;
	struct service s = {.now_ns = 1};
	for (int i = 0; i < 50; i++) {
		run(&s, &auto_rule, 990, 200);
		run(&s, &auto_rule, 510, 200);
	}
	assert_int_equal(s.changes, 0);
	run(&s, &auto_rule, 1200, 200);
	for (int i = 0; i < 50; i++) {
		run(&s, &auto_rule, 990, 200);
		run(&s, &auto_rule, 510, 200);
	}
	assert_int_equal(s.changes, 1);
	assert_true(s.arming.armed);
}

static void test_modes(void **state)
{
	(void)state;
	static const struct {
		enum sw_mode mode;
		bool before, flood, after;
	} cases[] = {
		{SW_MODE_OFF, true, true, false},     {SW_MODE_OFF, false, true, false},
		{SW_MODE_MONITOR, true, true, false}, {SW_MODE_MONITOR, false, true, false},
		{SW_MODE_ALWAYS, false, false, true}, {SW_MODE_ALWAYS, true, false, true},
		{SW_MODE_AUTO, false, true, true},    {SW_MODE_AUTO, false, false, false},
		{SW_MODE_AUTO, true, false, true}, /* armed by a mode before: leaves by the hold time like any other */
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct sw_arming_rule rule = {cases[i].mode, 1000, 500, 1000};
		const struct sw_arming before = {.armed = cases[i].before};
		assert_int_equal(sw_arming_step(before, &rule, cases[i].flood ? 5000 : 0, 77).armed, cases[i].after);
	}
}

static void test_hold_time_of_zero_disarms_at_once(void **state)
{
	(void)state;
	const struct sw_arming_rule rule = {SW_MODE_AUTO, 1000, 500, 0};
	assert_false(sw_arming_step((struct sw_arming){.armed = true}, &rule, 499, 5).armed);
	assert_true(sw_arming_step((struct sw_arming){.armed = true}, &rule, 500, 5).armed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rate_is_exact_at_steady_speed),
		cmocka_unit_test(test_nothing_seen_is_no_rate),
		cmocka_unit_test(test_counter_that_starts_over_is_no_flood),
		cmocka_unit_test(test_arms_within_100_ms),
		cmocka_unit_test(test_low_thresholds_are_not_tripped_by_one_syn),
		cmocka_unit_test(test_disarms_after_the_hold_time_without_a_break),
		cmocka_unit_test(test_does_not_flap_between_the_thresholds),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_hold_time_of_zero_disarms_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
