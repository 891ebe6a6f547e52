/* SPDX-License-Identifier: BSD-3-Clause */
/* One sample: sums over workers and ports, the accounting of the box, torn and moving counters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <pthread.h>

#include "../fake_region.h"
#include "collect.h"

#define SECOND 1000000000ull

static const struct fake_region_shape shape = {
    .workers = 3, .links = 2, .services_max = 8, .groups_max = 100, .entries_max = 8, .source_records_per_worker = 4};

struct fixture {
	struct fake_region fake;
	struct sw_attach attach;
	struct sw_sample sample;
};

static void open_fixture(struct fixture *x)
{
	memset(x, 0, sizeof(*x));
	fake_region_open(&x->fake, &shape);
	sw_attach_init(&x->attach, x->fake.directory);
}

static void close_fixture(struct fixture *x)
{
	sw_sample_free(&x->sample);
	sw_attach_close(&x->attach);
	fake_region_close(&x->fake);
}

static void collect(struct fixture *x)
{
	sw_attach_refresh(&x->attach, SECOND, x->fake.region->heartbeat_unix_ns);
	assert_int_equal(sw_collect(&x->attach, SECOND, x->fake.region->heartbeat_unix_ns, &x->sample), 0);
}

/* Every counter of every worker gets a number of its own, so that a mix-up shows. */
static void test_sums_every_counter(void **state)
{
	(void)state;
	struct fixture x;
	open_fixture(&x);
	for (uint32_t w = 0; w < shape.workers; w++) {
		struct sw_worker_counters *c = fake_worker(&x.fake, w);
		for (uint32_t i = 0; i < SW_COUNT_COUNT; i++)
			c->total.count[i] = (uint64_t)(w + 1) << i;
		for (uint32_t i = 0; i < SW_DROP_REASON_COUNT; i++)
			c->total.dropped[i] = (uint64_t)(w + 1) * 1000 + i;
		for (uint32_t i = 0; i < SW_DROP_REASON_COUNT; i++)
			c->total.refused[i] = (uint64_t)(w + 1) * 2000 + i;
		c->flows_used = 10 + w;
		c->sources_proven = 100 + w;
		fake_group(&x.fake, w, 70)->refused = 5;
		fake_service_counters(&x.fake, w, 6)->count[SW_COUNT_RX] = 7;
	}
	fake_service(&x.fake, 6, "tracker");
	collect(&x);
	for (uint32_t i = 0; i < SW_COUNT_COUNT; i++)
		assert_int_equal(x.sample.total.count[i], 6ull << i);
	for (uint32_t i = 0; i < SW_DROP_REASON_COUNT; i++)
		assert_int_equal(x.sample.total.dropped[i], 6000 + 3 * i);
	for (uint32_t i = 0; i < SW_DROP_REASON_COUNT; i++)
		assert_int_equal(x.sample.total.refused[i], 12000 + 3 * i);
	assert_int_equal(x.sample.flows_used, 33);
	assert_int_equal(x.sample.sources_proven, 303);
	assert_int_equal(x.sample.groups[70].refused, 15);
	assert_int_equal(x.sample.groups[71].refused, 0);
	assert_int_equal(x.sample.service_count, 1);
	assert_int_equal(x.sample.services[0].slot, 6);
	assert_int_equal(sw_sample_service(&x.sample, "tracker")->counters.count[SW_COUNT_RX], 21);
	assert_null(sw_sample_service(&x.sample, "web"));
	close_fixture(&x);
}

static void test_accounting(void **state)
{
	(void)state;
	static const struct {
		const char *what;
		uint64_t rx[3], forwarded[3], answered[3], absorbed[3], held[3], dropped[3];
		int64_t unaccounted;
	} cases[] = {
	    {"at rest", {0}, {0}, {0}, {0}, {0}, {0}, 0},
	    {"each its own", {10, 20, 30}, {5, 20, 0}, {5, 0, 10}, {0, 0, 10}, {0, 0, 5}, {0, 0, 5}, 0},
	    {"received by one, ended by another", {100, 0, 0}, {0, 60, 0}, {0, 0, 20}, {0, 5, 0}, {0, 5, 0}, {0, 0, 10}, 0},
	    {"lost", {100, 0, 0}, {97, 0, 0}, {0}, {0}, {0}, {0}, 3},
	    {"counted twice", {100, 0, 0}, {100, 0, 0}, {0}, {0}, {0}, {0, 2, 0}, -2},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture x;
		open_fixture(&x);
		for (uint32_t w = 0; w < 3; w++) {
			struct sw_counters *c = &fake_worker(&x.fake, w)->total;
			c->count[SW_COUNT_RX] = cases[i].rx[w];
			c->count[SW_COUNT_FORWARDED] = cases[i].forwarded[w];
			c->count[SW_COUNT_ANSWERED] = cases[i].answered[w];
			c->count[SW_COUNT_ABSORBED] = cases[i].absorbed[w];
			c->count[SW_COUNT_HELD] = cases[i].held[w];
			c->dropped[w * 7] = cases[i].dropped[w];
			c->count[SW_COUNT_HANDED_OVER] = 55; /* an event, no way to end */
		}
		collect(&x);
		if (x.sample.unaccounted != cases[i].unaccounted)
			fail_msg("%s: unaccounted is %lld", cases[i].what, (long long)x.sample.unaccounted);
		close_fixture(&x);
	}
}

/* What XDP passes and drops belongs to the box; what it redirects is received by the dataplane and not counted twice.
 */
static void test_wire_counters(void **state)
{
	(void)state;
	struct fixture x;
	open_fixture(&x);
	uint64_t passed = 0, dropped = 0;
	for (uint32_t p = 0; p < shape.links * SW_SIDES; p++) {
		struct sw_port_state *port = fake_port(&x.fake, p);
		port->xdp = 1;
		port->rx_packets = 900;
		port->missed = 10;
		port->no_mbuf = 2;
		port->errors = 3;
		for (uint32_t i = 0; i < SW_WIRE_COUNTER_COUNT; i++)
			port->wire[i] = 1ull << i;
		port->wire[SW_WIRE_REDIRECTED] = 1000;
	}
	passed = 4 * ((1ull << SW_WIRE_PASSED_NOT_PROTECTED) + (1ull << SW_WIRE_PASSED_NO_DATAPLANE) +
	                 (1ull << SW_WIRE_PASSED_STALE));
	dropped = 4 * ((1ull << SW_WIRE_DROPPED_DENIED) + (1ull << SW_WIRE_DROPPED_BLOCKED) +
	                  (1ull << SW_WIRE_DROPPED_NO_DATAPLANE) + (1ull << SW_WIRE_DROPPED_STALE));
	struct sw_counters *c = &fake_worker(&x.fake, 0)->total;
	c->count[SW_COUNT_RX] = 3600;
	c->count[SW_COUNT_FORWARDED] = 3500;
	c->dropped[SW_DROP_DENIED] = 100;
	collect(&x);
	assert_int_equal(sw_sample_rx(&x.sample), 3600 + passed + dropped);
	assert_int_equal(sw_sample_forwarded(&x.sample), 3500 + passed);
	assert_int_equal(sw_sample_dropped(&x.sample), 100 + dropped);
	assert_int_equal(x.sample.unaccounted, 0);
	assert_int_equal(x.sample.losses.missed, 40);
	assert_int_equal(x.sample.losses.no_mbuf, 8);
	assert_int_equal(x.sample.losses.errors, 12);
	assert_int_equal(x.sample.losses.in_flight, 4 * (1000 - 900 - 10));
	close_fixture(&x);
}

/* A worker that stands still in the midst of writing: its last good counters stay, and nothing goes back. */
static void test_torn_worker(void **state)
{
	(void)state;
	struct fixture x;
	open_fixture(&x);
	fake_service(&x.fake, 0, "tracker");
	struct sw_worker_counters *w = fake_worker(&x.fake, 1);
	w->total.count[SW_COUNT_RX] = w->total.count[SW_COUNT_FORWARDED] = 50;
	fake_service_counters(&x.fake, 1, 0)->count[SW_COUNT_RX] = 50;
	collect(&x);
	atomic_fetch_add(&w->version, 1);
	w->total.count[SW_COUNT_RX] = 60;
	fake_service_counters(&x.fake, 1, 0)->count[SW_COUNT_RX] = 60;
	collect(&x);
	assert_int_equal(x.sample.torn, 2);
	assert_int_equal(x.sample.total.count[SW_COUNT_RX], 50);
	assert_int_equal(x.sample.services[0].counters.count[SW_COUNT_RX], 50);
	assert_int_equal(x.sample.unaccounted, 0);
	w->total.count[SW_COUNT_FORWARDED] = 60;
	atomic_fetch_add(&w->version, 1);
	collect(&x);
	assert_int_equal(x.sample.torn, 0);
	assert_int_equal(x.sample.total.count[SW_COUNT_RX], 60);
	assert_int_equal(x.sample.services[0].counters.count[SW_COUNT_RX], 60);
	close_fixture(&x);
}

static void test_another_dataplane(void **state)
{
	(void)state;
	struct fixture x;
	open_fixture(&x);
	fake_worker(&x.fake, 2)->total.count[SW_COUNT_RX] = 9;
	fake_service(&x.fake, 0, "tracker");
	collect(&x);
	assert_int_equal(x.sample.total.count[SW_COUNT_RX], 9);
	const uint64_t first_start = x.sample.start_unix_ns;
	struct fake_region_shape smaller = shape;
	smaller.workers = 1;
	fake_region_replace(&x.fake, &smaller);
	atomic_fetch_add(&fake_worker(&x.fake, 0)->version, 1); /* unreadable: must not show the other's numbers */
	collect(&x);
	assert_true(x.sample.start_unix_ns > first_start);
	assert_int_equal(x.sample.worker_count, 1);
	assert_int_equal(x.sample.total.count[SW_COUNT_RX], 0);
	assert_int_equal(x.sample.service_count, 0);
	close_fixture(&x);
}

/* A writer at work, in bursts of which each hands packets to the other worker: no reading may show a torn burst. */
struct writer {
	struct fixture *x;
	_Atomic bool end;
};

static void write_burst(struct sw_worker_counters *w, uint64_t n)
{
	const uint64_t v = atomic_load_explicit(&w->version, memory_order_relaxed);
	atomic_store_explicit(&w->version, v + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	*(volatile uint64_t *)&w->total.count[SW_COUNT_RX] += n;
	for (int i = 0; i < SW_DROP_REASON_COUNT; i++)
		*(volatile uint64_t *)&w->total.dropped[i] += 1;
	*(volatile uint64_t *)&w->total.count[SW_COUNT_FORWARDED] += n - SW_DROP_REASON_COUNT;
	atomic_store_explicit(&w->version, v + 2, memory_order_release);
}

static void *write_on(void *context)
{
	struct writer *writer = context;
	for (uint64_t i = 0; !atomic_load(&writer->end); i++)
		write_burst(fake_worker(&writer->x->fake, (uint32_t)(i % 3)), SW_DROP_REASON_COUNT + i % 32);
	return NULL;
}

static void test_moving_counters(void **state)
{
	(void)state;
	struct fixture x;
	open_fixture(&x);
	struct writer writer = {.x = &x};
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, write_on, &writer), 0);
	uint64_t before = 0;
	for (int i = 0; i < 200; i++) {
		collect(&x);
		if (!x.sample.torn)
			assert_int_equal(x.sample.unaccounted, 0);
		assert_int_equal(x.sample.unaccounted, sw_counters_mismatch(&x.sample.total));
		assert_true(x.sample.total.count[SW_COUNT_RX] >= before);
		before = x.sample.total.count[SW_COUNT_RX];
	}
	atomic_store(&writer.end, true);
	pthread_join(thread, NULL);
	close_fixture(&x);
}

static void test_nothing_there(void **state)
{
	(void)state;
	struct fixture x = {0};
	fake_region_directory(&x.fake);
	sw_attach_init(&x.attach, x.fake.directory);
	sw_attach_refresh(&x.attach, SECOND, SECOND);
	assert_int_equal(sw_collect(&x.attach, SECOND, SECOND, &x.sample), 0);
	assert_false(x.sample.valid);
	assert_int_equal(sw_sample_rx(&x.sample), 0);
	close_fixture(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sums_every_counter),
	    cmocka_unit_test(test_accounting),
	    cmocka_unit_test(test_wire_counters),
	    cmocka_unit_test(test_torn_worker),
	    cmocka_unit_test(test_another_dataplane),
	    cmocka_unit_test(test_moving_counters),
	    cmocka_unit_test(test_nothing_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
