/* SPDX-License-Identifier: BSD-3-Clause */
#include "../dataplane/test.h"

#include "budget.h"

static const uint64_t HZ = 2100000000;

/* Tokens a share gives in a second, in millionths. */
static uint64_t millionths_per_s(const struct sw_rate *r)
{
	return (uint64_t)((unsigned __int128)HZ * 1000000 / r->interval);
}

static uint64_t depth(const struct sw_rate *r)
{
	return r->tolerance / r->interval + 1;
}

static void test_one_worker_has_the_whole(void **state)
{
	(void)state;
	const uint64_t demand[1] = {17};
	struct sw_rate share;
	const struct sw_rate whole = sw_rate_make(1000, 50, HZ);
	sw_budget_share_rate(1000, 50, HZ, demand, 1, &share);
	assert_int_equal(share.interval, whole.interval);
	assert_int_equal(share.tolerance, whole.tolerance);
	uint32_t used = 3, concurrent = SW_NONE;
	sw_budget_share_concurrent(10, &used, demand, 1, &concurrent);
	assert_int_equal(concurrent, 10);
}

static void test_no_limit_stays_none(void **state)
{
	(void)state;
	const uint64_t demand[3] = {1, 2, 3};
	struct sw_rate shares[3];
	sw_budget_share_rate(0, 0, HZ, demand, 3, shares);
	const uint32_t used[3] = {5, 5, 5};
	uint32_t concurrent[3] = {1, 2, 3};
	sw_budget_share_concurrent(0, used, demand, 3, concurrent);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(shares[i].interval, 0);
		assert_int_equal(concurrent[i], SW_NONE);
	}
}

static void test_rates_add_up_to_no_more_than_the_limit(void **state)
{
	(void)state;
	uint64_t random = 42;
	for (int round = 0; round < 20000; round++) {
		const unsigned int workers = 2 + (unsigned int)(test_random(&random) % (SW_WORKERS_MAX - 1));
		const uint32_t per_s = 1 + (uint32_t)(test_random(&random) >> (32 + test_random(&random) % 31));
		const uint32_t burst = (uint32_t)(test_random(&random) >> (33 + test_random(&random) % 30));
		uint64_t demand[SW_WORKERS_MAX], rate = 0, burst_sum = 0;
		struct sw_rate shares[SW_WORKERS_MAX];
		for (unsigned int i = 0; i < workers; i++)
			demand[i] = test_random(&random) % 3 ? 0 : test_random(&random) >> (test_random(&random) % 64);
		for (unsigned int i = 0; i < workers; i++)
			demand[i] /= workers; /* counters do not wrap in 100 ms */
		sw_budget_share_rate(per_s, burst, HZ, demand, workers, shares);
		const struct sw_rate whole = sw_rate_make(per_s, burst, HZ);
		for (unsigned int i = 0; i < workers; i++) {
			assert_true(shares[i].interval >= whole.interval);
			rate += millionths_per_s(&shares[i]);
			if (depth(&shares[i]) > 1) /* at least one each, else nobody could start */
				burst_sum += depth(&shares[i]);
		}
		assert_true(rate <= millionths_per_s(&whole));
		assert_true(burst_sum <= burst);
	}
}

static void test_rates_follow_demand(void **state)
{
	(void)state;
	const uint64_t demand[4] = {0, 0, 9000, 3000};
	struct sw_rate shares[4];
	sw_budget_share_rate(100000, 1000, HZ, demand, 4, shares);
	/* A quarter evenly, three quarters 0 : 0 : 3 : 1. The interval of the whole, 21,000 cycles, is exact. */
	static const uint64_t expected[4] = {6250, 6250, 62500, 25000};
	for (int i = 0; i < 4; i++)
		assert_in_range(millionths_per_s(&shares[i]), expected[i] * 1000000 / 1000 * 999, expected[i] * 1000000);
	assert_int_equal(depth(&shares[2]), 625);
}

static void test_without_demand_shares_are_even(void **state)
{
	(void)state;
	const uint64_t demand[4] = {0, 0, 0, 0};
	const uint32_t used[4] = {0, 0, 0, 0};
	struct sw_rate shares[4];
	uint32_t concurrent[4] = {0, 0, 0, 0};
	sw_budget_share_rate(1000, 400, HZ, demand, 4, shares);
	sw_budget_share_concurrent(100, used, demand, 4, concurrent);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(shares[i].interval, shares[0].interval);
		assert_int_equal(depth(&shares[i]), 100);
		assert_int_equal(concurrent[i], 25);
	}
}

static void test_what_one_loses_another_gets_a_round_later(void **state)
{
	(void)state;
	const uint64_t nobody[2] = {0, 0}, second[2] = {0, 1000};
	const uint32_t used[2] = {0, 0};
	uint32_t shares[2] = {0, 0};
	sw_budget_share_concurrent(100, used, nobody, 2, shares);
	assert_int_equal(shares[0] + shares[1], 100);
	sw_budget_share_concurrent(100, used, second, 2, shares);
	assert_int_equal(shares[0], 12);
	assert_int_equal(shares[1], 50); /* the first may be using what was its own just now */
	sw_budget_share_concurrent(100, used, second, 2, shares);
	assert_int_equal(shares[0], 12);
	assert_int_equal(shares[1], 88); /* all of it: nothing is lost by rounding */
}

static void test_a_limit_below_the_number_of_workers_admits(void **state)
{
	(void)state;
	uint32_t used[4] = {0, 0, 0, 0}, shares[4] = {0, 0, 0, 0};
	for (unsigned int wants = 0; wants < 4; wants++) {
		uint64_t demand[4] = {0, 0, 0, 0};
		demand[wants] = 5;
		for (unsigned int round = 0; round < 2; round++) /* what one loses another gets in the round after */
			sw_budget_share_concurrent(1, used, demand, 4, shares);
		for (unsigned int i = 0; i < 4; i++)
			assert_int_equal(shares[i], i == wants);
	}
}

static void test_a_lowered_limit_admits_nobody_until_it_holds(void **state)
{
	(void)state;
	const uint64_t demand[2] = {10, 10};
	const uint32_t used[2] = {60, 20};
	uint32_t shares[2] = {75, 75};
	sw_budget_share_concurrent(40, used, demand, 2, shares);
	assert_int_equal(shares[0], 30);
	assert_int_equal(shares[1], 10);
}

/*
 * Workers that grab whatever they may at the worst moment (after housekeeping looked, before they see the new share),
 * under demands and limits that change: together they never hold more than the limit, once it has held.
 */
static void test_concurrent_never_exceeds_the_limit(void **state)
{
	(void)state;
	uint64_t random = 7;
	for (int run = 0; run < 200; run++) {
		const unsigned int workers = 2 + (unsigned int)(test_random(&random) % 7);
		const uint32_t limit = 1 + (uint32_t)(test_random(&random) % 300);
		uint32_t shares[8] = {0}, used[8] = {0};
		for (int round = 0; round < 300; round++) {
			uint32_t seen[8], before[8], held = 0;
			uint64_t demand[8];
			for (unsigned int i = 0; i < workers; i++) {
				seen[i] = used[i];
				before[i] = shares[i];
				demand[i] = test_random(&random) % 4 ? 0 : test_random(&random) % 1000;
			}
			sw_budget_share_concurrent(limit, seen, demand, workers, shares);
			for (unsigned int i = 0; i < workers; i++) {
				/* Still under the old share, then under the new one. */
				if (test_random(&random) % 2 && used[i] < before[i])
					used[i] = before[i];
				if (test_random(&random) % 2 && used[i] < shares[i])
					used[i] = shares[i];
				if (test_random(&random) % 3 == 0)
					used[i] -= (uint32_t)(test_random(&random) % (used[i] + 1));
				held += used[i];
			}
			assert_true(held <= limit);
		}
	}
}

static void test_all_of_a_concurrent_limit_can_be_used(void **state)
{
	(void)state;
	const uint64_t demand[4] = {0, 1000, 0, 0};
	uint32_t shares[4] = {0}, used[4] = {0};
	for (int round = 0; round < 40; round++) {
		sw_budget_share_concurrent(1000, used, demand, 4, shares);
		used[1] = shares[1];
	}
	/* Each round halves what is not yet given away, but for the others' small parts. */
	assert_in_range(used[1], 990, 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_worker_has_the_whole),
		cmocka_unit_test(test_no_limit_stays_none),
		cmocka_unit_test(test_rates_add_up_to_no_more_than_the_limit),
		cmocka_unit_test(test_rates_follow_demand),
		cmocka_unit_test(test_without_demand_shares_are_even),
		cmocka_unit_test(test_what_one_loses_another_gets_a_round_later),
		cmocka_unit_test(test_a_limit_below_the_number_of_workers_admits),
		cmocka_unit_test(test_a_lowered_limit_admits_nobody_until_it_holds),
		cmocka_unit_test(test_concurrent_never_exceeds_the_limit),
		cmocka_unit_test(test_all_of_a_concurrent_limit_can_be_used),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
