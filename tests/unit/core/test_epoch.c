/* SPDX-License-Identifier: BSD-3-Clause */
#include "../dataplane/test.h"

#include "core/syncookie.h"
#include "epoch.h"

static const uint64_t S = 1000000000;

static void test_starts_and_follows_the_clock(void **state)
{
	(void)state;
	struct sw_epoch e = {.started = false};
	unsigned int turns = 0;
	for (uint64_t t = 0; t < 3200; t++) {
		turns += sw_epoch_step(&e, 1700000000 + t, t * S + 5);
		assert_int_equal(e.number, (1700000000 + t) / SW_COOKIE_EPOCH_S);
	}
	assert_in_range(turns, 100, 101);
}

static void test_clock_steps(void **state)
{
	(void)state;
	static const struct {
		int64_t step_s;
		bool followed;
	} cases[] = {
		{0, false},
		{-SW_COOKIE_EPOCH_S, false},     /* waited out */
		{-2 * SW_COOKIE_EPOCH_S, false},
		{-3 * SW_COOKIE_EPOCH_S, true},  /* too far: sisters would not understand us */
		{-86400, true},
		{SW_COOKIE_EPOCH_S, true},
		{86400, true},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sw_epoch e = {.started = false};
		const uint64_t begin = 1700000000 / SW_COOKIE_EPOCH_S * SW_COOKIE_EPOCH_S;
		assert_true(sw_epoch_step(&e, begin, 100 * S));
		const bool followed = sw_epoch_step(&e, (uint64_t)((int64_t)begin + cases[i].step_s), 110 * S);
		assert_int_equal(followed, cases[i].followed);
	}
}

static void test_a_small_step_back_is_caught_up_with(void **state)
{
	(void)state;
	struct sw_epoch e = {.started = false};
	sw_epoch_step(&e, 3200, S);
	for (uint64_t t = 0; t < 96; t++)
		assert_int_equal(sw_epoch_step(&e, 3200 - 64 + t, (10 + t) * S), false);
	assert_true(sw_epoch_step(&e, 3232, 200 * S));
}

/* Two swaps within a second would write the keys that a slow worker may still read. */
static void test_the_resting_keys_rest_a_second(void **state)
{
	(void)state;
	struct sw_epoch e = {.started = false};
	sw_epoch_step(&e, 3200, S);
	assert_false(sw_epoch_step(&e, 9000, S + S / 2));
	assert_int_equal(e.number, 100);
	assert_true(sw_epoch_step(&e, 9000, 2 * S));
	assert_int_equal(e.number, 281);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_starts_and_follows_the_clock),
		cmocka_unit_test(test_clock_steps),
		cmocka_unit_test(test_a_small_step_back_is_caught_up_with),
		cmocka_unit_test(test_the_resting_keys_rest_a_second),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
