/* SPDX-License-Identifier: BSD-3-Clause */
/* Rates over 1, 10 and 60 seconds from samples at made-up times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "rates.h"

#define SECOND 1000000000ull

static struct sw_service_sample services[2];
static struct sw_sample sample;

static void start(void)
{
	memset(&sample, 0, sizeof(sample));
	memset(services, 0, sizeof(services));
	sample.valid = true;
	sample.start_unix_ns = 5;
	sample.pid = 1;
	sample.mono_ns = 100 * SECOND;
	sample.services = services;
	sample.service_count = 1;
	services[0].slot = 3;
	strcpy(services[0].state.name, "tracker");
}

static void step(struct sw_rates *rates, uint64_t ns, uint64_t packets)
{
	sample.mono_ns += ns;
	sample.total.count[SW_COUNT_RX] += packets;
	services[0].counters.count[SW_COUNT_RX] += packets;
	sw_rates_add(rates, &sample);
}

static double rate(const struct sw_rates *rates, enum sw_rate_window window)
{
	const struct sw_rate_point *from, *to;
	double seconds;
	if (!sw_rates_window(rates, window, &from, &to, &seconds))
		return -1;
	return (double)(to->rx - from->rx) / seconds;
}

static void assert_rate(double got, double expected)
{
	if (fabs(got - expected) > 1e-6)
		fail_msg("rate is %f, not %f", got, expected);
}

static void test_windows(void **state)
{
	(void)state;
	/* packets in each second: `calm` for calm_s seconds, then `storm` for storm_s seconds */
	static const struct {
		int calm_s, storm_s;
		uint64_t calm, storm;
		double one, ten, sixty;
	} cases[] = {
	    {0, 0, 0, 0, -1, -1, -1},
	    {1, 0, 7, 0, 7, 7, 7},
	    {100, 0, 7, 0, 7, 7, 7},
	    {100, 1, 0, 600, 600, 60, 10},
	    {100, 10, 0, 600, 600, 600, 100},
	    {100, 60, 0, 600, 600, 600, 600},
	    {300, 1, 0, 600, 600, 60, 10},
	    {5, 5, 0, 600, 600, 300, 300},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sw_rates *rates;
		double of_service[SW_SERVICE_RATE_COUNT];
		const double expected[] = {cases[i].one, cases[i].ten, cases[i].sixty};
		assert_int_equal(sw_rates_open(300, &rates), 0);
		start();
		step(rates, 0, 12345);
		for (int k = 0; k < cases[i].calm_s; k++)
			step(rates, SECOND, cases[i].calm);
		for (int k = 0; k < cases[i].storm_s; k++)
			step(rates, SECOND, cases[i].storm);
		for (int w = 0; w < SW_RATE_WINDOWS; w++) {
			assert_rate(rate(rates, (enum sw_rate_window)w), expected[w]);
			sw_rates_service(rates, 3, (enum sw_rate_window)w, of_service);
			assert_rate(of_service[SW_SERVICE_RATE_RX], expected[w] < 0 ? 0 : expected[w]);
			sw_rates_service(rates, 4, (enum sw_rate_window)w, of_service);
			assert_rate(of_service[SW_SERVICE_RATE_RX], 0);
		}
		sw_rates_close(rates);
	}
}

/* Samples that come faster than once a second are thinned out, slower ones are taken as they are. */
static void test_other_intervals(void **state)
{
	(void)state;
	struct sw_rates *rates;
	assert_int_equal(sw_rates_open(300, &rates), 0);
	start();
	for (int i = 0; i < 1000; i++)
		step(rates, SECOND / 10, 3);
	assert_int_equal(sw_rates_count(rates), 112); /* one for every nine tenths of a second */
	assert_rate(rate(rates, SW_RATE_10S), 30);
	sw_rates_close(rates);
	assert_int_equal(sw_rates_open(300, &rates), 0);
	start();
	for (int i = 0; i < 10; i++)
		step(rates, 30 * SECOND, 3);
	assert_rate(rate(rates, SW_RATE_1S), 0.1);
	assert_rate(rate(rates, SW_RATE_60S), 0.1);
	sw_rates_close(rates);
}

static void test_ring_is_bounded(void **state)
{
	(void)state;
	static const struct {
		uint32_t asked, kept;
	} cases[] = {{0, SW_HISTORY_MIN_S}, {300, 300}, {UINT32_MAX, SW_HISTORY_MAX_S}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sw_rates *rates;
		assert_int_equal(sw_rates_open(cases[i].asked, &rates), 0);
		start();
		for (int k = 0; k < 4000; k++)
			step(rates, SECOND, 1);
		assert_int_equal(sw_rates_count(rates), cases[i].kept);
		assert_int_equal(sw_rates_point(rates, cases[i].kept - 1)->rx, 4000);
		assert_int_equal(sw_rates_point(rates, 0)->rx, 4001 - cases[i].kept);
		sw_rates_close(rates);
	}
}

/* Another dataplane begins at 0: no rate may span the two, and none is negative or huge. */
static void test_restart(void **state)
{
	(void)state;
	struct sw_rates *rates;
	double of_service[SW_SERVICE_RATE_COUNT];
	assert_int_equal(sw_rates_open(300, &rates), 0);
	start();
	step(rates, SECOND, 1000);
	step(rates, SECOND, 1000);
	sample.valid = false;
	step(rates, SECOND, 0);
	assert_rate(rate(rates, SW_RATE_1S), -1);
	sample.valid = true;
	sample.start_unix_ns++;
	sample.total.count[SW_COUNT_RX] = services[0].counters.count[SW_COUNT_RX] = 0;
	step(rates, SECOND, 0);
	assert_rate(rate(rates, SW_RATE_1S), -1);
	step(rates, SECOND, 5);
	assert_rate(rate(rates, SW_RATE_60S), 5);
	/* and a slot that another service got */
	strcpy(services[0].state.name, "web");
	services[0].counters.count[SW_COUNT_RX] = 0;
	step(rates, SECOND, 0);
	sw_rates_service(rates, 3, SW_RATE_60S, of_service);
	assert_rate(of_service[SW_SERVICE_RATE_RX], 0);
	sw_rates_close(rates);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_windows),
	    cmocka_unit_test(test_other_intervals),
	    cmocka_unit_test(test_ring_is_bounded),
	    cmocka_unit_test(test_restart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
