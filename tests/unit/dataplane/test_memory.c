/* SPDX-License-Identifier: BSD-3-Clause */
#include "test.h"

#include <errno.h>

#include "../core/snapshot_draft.h"
#include "memory.h"
#include "region_file.h"
#include "worker_state.h"

static void test_every_size_counts(void **state)
{
	(void)state;
	struct draft d;
	draft_init(&d);
	uint32_t *const sizes[] = {&d.boot.workers, &d.boot.mbufs, &d.boot.flows, &d.boot.source_records,
		&d.boot.limiter_entries, &d.boot.held_pkts, &d.boot.services_max, &d.boot.groups_max, &d.boot.entries_max,
		&d.boot.rx_descriptors, &d.boot.tx_descriptors};
	struct sw_memory_plan before, after;
	for (size_t i = 0; i < COUNT(sizes); i++) {
		sw_memory_plan_make(&d.boot, 1, 5000, &before);
		*sizes[i] *= 4;
		sw_memory_plan_make(&d.boot, 1, 5000, &after);
		assert_true(after.total > before.total);
	}
	sw_memory_plan_make(&d.boot, 2, 5000, &before);
	assert_true(before.total > after.total);
	sw_memory_plan_make(&d.boot, 2, 5000000, &after);
	assert_true(after.total > before.total);
}

static void test_parts_add_up(void **state)
{
	(void)state;
	struct draft d;
	struct sw_memory_plan p;
	draft_init(&d);
	d.boot.workers = 3;
	sw_memory_plan_make(&d.boot, 1, 5000, &p);
	assert_int_equal(p.total, p.eal + p.flows + p.limiter + p.region + p.workers + p.policy);
	assert_true(p.eal > p.packet_buffers);
	assert_int_equal(p.region, sw_region_bytes(&d.boot, 1));
	assert_int_equal(p.limiter + p.workers, 3 * sw_worker_state_bytes(&d.boot, 1));
	assert_true(p.flows >= d.boot.flows * (sizeof(struct sw_flow) + sizeof(struct sw_flow_setup)));
	assert_true(p.limiter >= d.boot.limiter_entries * SW_LIMITER_ENTRY_BYTES);
}

static void test_refused_with_sum_and_parts(void **state)
{
	(void)state;
	struct sw_memory_plan p = {.packet_buffers = 900 << 20, .eal = 1000 << 20, .flows = 200 << 20, .limiter = 30 << 20,
		.region = 4 << 20, .workers = 1 << 20, .policy = 5 << 20, .total = 1240 << 20};
	char error[512] = "";
	assert_int_equal(sw_memory_check(&p, false, 1240 << 20, error, sizeof(error)), 0);
	assert_int_equal(sw_memory_check(&p, false, (1240 << 20) - 1, error, sizeof(error)), -ENOMEM);
	static const char *const parts[] = {"1240 MiB", "EAL 1000", "flows 200", "limiter 30", "counters 4", "boot.mbufs"};
	for (size_t i = 0; i < COUNT(parts); i++)
		assert_non_null(strstr(error, parts[i]));
	assert_int_equal(sw_memory_check(&p, true, 240 << 20, error, sizeof(error)), 0); /* huge pages are not of this */
	assert_int_equal(sw_memory_check(&p, true, 239 << 20, error, sizeof(error)), -ENOMEM);
	assert_int_equal(sw_memory_check(&p, false, 0, error, sizeof(error)), 0); /* not known: the kernel will tell */
}

static void test_this_machine_has_memory(void **state)
{
	(void)state;
	assert_true(sw_memory_available() > 1 << 20);
}

static void test_mbufs_needed(void **state)
{
	(void)state;
	struct draft d;
	draft_init(&d);
	const uint32_t one = sw_mbufs_needed(&d.boot, 1);
	assert_true(one > 2 * (d.boot.rx_descriptors + d.boot.tx_descriptors) + d.boot.held_pkts);
	assert_int_equal(sw_mbufs_needed(&d.boot, 2) - one, 2 * (d.boot.rx_descriptors + d.boot.tx_descriptors));
	d.boot.rx_descriptors = UINT32_MAX / 2; /* as a hostile snapshot might: no wrap to something small */
	assert_int_equal(sw_mbufs_needed(&d.boot, 16), UINT32_MAX);
}

static void test_shares_of_workers_cover_the_whole(void **state)
{
	(void)state;
	for (uint32_t workers = 1; workers <= SW_WORKERS_MAX; workers++)
		for (uint32_t box = 1; box < 1000; box += 7)
			assert_in_range((uint64_t)sw_per_worker(box, workers) * workers, box, box + workers - 1);
	assert_int_equal(sw_per_worker(UINT32_MAX, 1), UINT32_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_size_counts),
		cmocka_unit_test(test_parts_add_up),
		cmocka_unit_test(test_refused_with_sum_and_parts),
		cmocka_unit_test(test_this_machine_has_memory),
		cmocka_unit_test(test_mbufs_needed),
		cmocka_unit_test(test_shares_of_workers_cover_the_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
