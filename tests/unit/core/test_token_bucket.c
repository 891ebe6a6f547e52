/* SPDX-License-Identifier: BSD-3-Clause */
/* The token bucket, against one that counts tokens in fractions. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>

#include <cmocka.h>

#include "core/token_bucket.h"
#include "random_prefixes.h"

#define HZ 1000000ull /* cycles a second: divides by every rate here */

/* The plain way: tokens * HZ, refilled by rate for each cycle. */
struct oracle {
	uint64_t per_s, burst, level, last;
};

static bool oracle_take(struct oracle *o, uint64_t now)
{
	o->level += (now - o->last) * o->per_s;
	if (o->level > o->burst * HZ)
		o->level = o->burst * HZ;
	o->last = now;
	if (o->level < HZ)
		return false;
	o->level -= HZ;
	return true;
}

static const struct {
	uint64_t per_s, burst;
} rates[] = {{1, 1}, {1, 10}, {10, 1}, {10, 10}, {50, 7}, {1000, 1}, {1000, 1000}, {500000, 3}, {1000000, 1}};

static void takes_what_the_oracle_takes(void **state)
{
	uint64_t random = 42;
	(void)state;

	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		const struct sw_rate r = sw_rate_make(rates[i].per_s, rates[i].burst, HZ);
		uint64_t now = 1ull << 40, tat = now;
		struct oracle o = {rates[i].per_s, rates[i].burst, rates[i].burst * HZ, now};
		for (unsigned int k = 0; k < 20000; k++) {
			now += random_below(&random, k % 100 ? (uint32_t)(2 * HZ / rates[i].per_s) + 2 : (uint32_t)HZ * 20);
			const bool allows = sw_rate_allows(&r, tat, now);
			assert_int_equal(sw_rate_available(&r, tat, now) > 0, allows);
			assert_int_equal(allows, oracle_take(&o, now));
			if (allows)
				tat = sw_rate_take(&r, tat, now);
		}
	}
}

static void burst_then_rate(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		const struct sw_rate r = sw_rate_make(rates[i].per_s, rates[i].burst, HZ);
		const uint64_t now = 5 * HZ;
		uint64_t tat = 0; /* never used */
		for (uint64_t k = 0; k < rates[i].burst; k++) {
			assert_int_equal(sw_rate_available(&r, tat, now), rates[i].burst - k);
			assert_true(sw_rate_allows(&r, tat, now));
			tat = sw_rate_take(&r, tat, now);
		}
		assert_false(sw_rate_allows(&r, tat, now));
		assert_int_equal(sw_rate_available(&r, tat, now), 0);
		assert_false(sw_rate_allows(&r, tat, now + HZ / rates[i].per_s - 1));
		assert_true(sw_rate_allows(&r, tat, now + HZ / rates[i].per_s));
	}
}

static void no_limit_and_odd_limits(void **state)
{
	const struct sw_rate none = sw_rate_make(0, 0, HZ), no_burst = sw_rate_make(5, 0, HZ),
	                     beyond = sw_rate_make(HZ * 10, 1, HZ), daily = sw_rate_make(0, 3, HZ);
	uint64_t tat = 0;
	(void)state;

	for (unsigned int k = 0; k < 100; k++) {
		assert_true(sw_rate_allows(&none, tat, 7));
		tat = sw_rate_take(&none, tat, 7);
	}
	assert_int_equal(sw_rate_available(&none, 0, 7), 0); /* "all 0 where there is no limit" */
	assert_true(sw_rate_allows(&no_burst, 0, HZ));       /* counts as a burst of 1 */
	assert_false(sw_rate_allows(&no_burst, sw_rate_take(&no_burst, 0, HZ), HZ));
	assert_int_equal(beyond.interval, 1); /* faster than the clock: as fast as it ticks */
	tat = 0;
	for (unsigned int k = 0; k < 3; k++) {
		assert_true(sw_rate_allows(&daily, tat, HZ));
		tat = sw_rate_take(&daily, tat, HZ);
	}
	assert_false(sw_rate_allows(&daily, tat, HZ * 3600));
	assert_true(sw_rate_allows(&daily, tat, HZ * (86400 + 2)));
}

/* The clock is 64 bits and starts anywhere: compared by difference. */
static void clock_may_wrap(void **state)
{
	const struct sw_rate r = sw_rate_make(10, 2, HZ);
	const uint64_t now = UINT64_MAX - 5;
	uint64_t tat = now;
	(void)state;

	for (unsigned int k = 0; k < 2; k++) {
		assert_true(sw_rate_allows(&r, tat, now));
		tat = sw_rate_take(&r, tat, now);
	}
	assert_false(sw_rate_allows(&r, tat, now + 10));
	assert_true(sw_rate_allows(&r, tat, now + HZ / 10));
	assert_int_equal(sw_rate_available(&r, tat, now + HZ), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(takes_what_the_oracle_takes),
	    cmocka_unit_test(burst_then_rate),
	    cmocka_unit_test(no_limit_and_odd_limits),
	    cmocka_unit_test(clock_may_wrap),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
