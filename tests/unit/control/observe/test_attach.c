/* SPDX-License-Identifier: BSD-3-Clause */
/* The reader's end of the region: dataplanes that are missing, dead, replaced, of another version or cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "../fake_region.h"
#include "attach.h"

static const struct fake_region_shape shape = {
    .workers = 2, .links = 1, .services_max = 4, .groups_max = 2, .entries_max = 8, .source_records_per_worker = 16};

#define SECOND 1000000000ull
static const uint64_t mono = 1000 * SECOND;

static void test_no_dataplane(void **state)
{
	(void)state;
	struct fake_region f;
	struct sw_attach a;
	fake_region_directory(&f);
	assert_int_equal(sw_attach_init(&a, f.directory), 0);
	assert_false(sw_attach_refresh(&a, mono, SECOND));
	assert_int_equal(a.state, SW_DATAPLANE_ABSENT);
	assert_null(a.region);
	assert_true(a.text[0] != 0);
	/* and it comes */
	fake_region_replace(&f, &shape);
	assert_true(sw_attach_refresh(&a, mono, f.region->heartbeat_unix_ns));
	assert_int_equal(a.state, SW_DATAPLANE_RUNNING);
	/* and goes, file and all */
	unlink(f.path);
	assert_false(sw_attach_refresh(&a, mono, f.region->heartbeat_unix_ns));
	assert_int_equal(a.state, SW_DATAPLANE_ABSENT);
	assert_null(a.region);
	sw_attach_close(&a);
	fake_region_close(&f);
}

static void test_life_of_a_dataplane(void **state)
{
	(void)state;
	struct fake_region f;
	struct sw_attach a;
	fake_region_open(&f, &shape);
	sw_attach_init(&a, f.directory);
	const uint64_t beat = f.region->heartbeat_unix_ns;
	assert_true(sw_attach_refresh(&a, mono, beat + SECOND / 100));
	assert_int_equal(a.state, SW_DATAPLANE_RUNNING);
	/* silent, but not for long; then for too long, whatever the wall clock says */
	assert_false(sw_attach_refresh(&a, mono + SECOND, beat + SECOND));
	assert_int_equal(a.state, SW_DATAPLANE_RUNNING);
	assert_false(sw_attach_refresh(&a, mono + 3 * SECOND, beat));
	assert_int_equal(a.state, SW_DATAPLANE_STALE);
	assert_non_null(a.region);
	/* it was only slow; a wall clock that was set an hour back stamps an earlier time, and it lives all the same */
	atomic_store(&f.region->heartbeat_unix_ns, beat - 3600 * SECOND);
	sw_attach_refresh(&a, mono + 4 * SECOND, beat - 3600 * SECOND);
	assert_int_equal(a.state, SW_DATAPLANE_RUNNING);
	atomic_store(&f.region->ended, 1);
	sw_attach_refresh(&a, mono + 4 * SECOND, beat);
	assert_int_equal(a.state, SW_DATAPLANE_ENDED);
	assert_non_null(a.region);
	sw_attach_close(&a);
	fake_region_close(&f);
}

static void test_first_look_at_a_dead_one(void **state)
{
	(void)state;
	struct fake_region f;
	struct sw_attach a;
	fake_region_open(&f, &shape);
	sw_attach_init(&a, f.directory);
	sw_attach_refresh(&a, mono, f.region->heartbeat_unix_ns + 3 * SECOND);
	assert_int_equal(a.state, SW_DATAPLANE_STALE);
	sw_attach_close(&a);
	fake_region_close(&f);
}

static void test_replaced(void **state)
{
	(void)state;
	struct fake_region f;
	struct sw_attach a;
	fake_region_open(&f, &shape);
	sw_attach_init(&a, f.directory);
	assert_true(sw_attach_refresh(&a, mono, f.region->heartbeat_unix_ns));
	assert_int_equal(a.region->workers, 2);
	struct fake_region_shape other = shape;
	other.workers = 3;
	fake_region_replace(&f, &other);
	assert_true(sw_attach_refresh(&a, mono, f.region->heartbeat_unix_ns));
	assert_int_equal(a.region->workers, 3);
	sw_attach_close(&a);
	fake_region_close(&f);
}

static void break_magic(struct sw_region *r)
{
	r->magic++;
}
static void break_version(struct sw_region *r)
{
	r->version++;
}
static void break_layout(struct sw_region *r)
{
	r->layout_bytes += 8;
}
static void break_total(struct sw_region *r)
{
	r->total_bytes++;
}
static void break_no_workers(struct sw_region *r)
{
	r->workers = 0;
}
static void break_many_workers(struct sw_region *r)
{
	r->workers = 3;
}
static void break_worker_offset(struct sw_region *r)
{
	r->worker_offset = UINT64_MAX - 63;
}
static void break_worker_alignment(struct sw_region *r)
{
	r->worker_offset += 8;
}
static void break_worker_stride(struct sw_region *r)
{
	r->worker_stride -= 64;
}
static void break_huge_stride(struct sw_region *r)
{
	r->worker_stride = 1ull << 63;
}
static void break_services(struct sw_region *r)
{
	r->services_max = SW_SERVICES_MAX;
}
static void break_entries(struct sw_region *r)
{
	r->entries_max = UINT32_MAX;
}
static void break_groups(struct sw_region *r)
{
	r->groups_max = SW_GROUPS_MAX + 1;
}
static void break_service_offset(struct sw_region *r)
{
	r->service_offset = r->total_bytes;
}
static void break_links(struct sw_region *r)
{
	r->links = SW_LINKS_MAX;
}
static void break_source_offset(struct sw_region *r)
{
	r->source_offset = 0;
}
static void break_wire_entries(struct sw_region *r)
{
	r->wire_entry_offset = r->total_bytes;
}
static void break_source_records(struct sw_region *r)
{
	r->source_records_per_worker = UINT32_MAX;
}

static void test_refused_regions(void **state)
{
	(void)state;
	static const struct {
		void (*damage)(struct sw_region *r);
		int error;
		const char *says;
	} cases[] = {
	    {break_magic, -EINVAL, "none of Seawall's"},
	    {break_version, -ENOTSUP, "same build"},
	    {break_layout, -ENOTSUP, "same build"},
	    {break_total, -EINVAL, "total_bytes"},
	    {break_no_workers, -EINVAL, "workers"},
	    {break_many_workers, -EINVAL, "source records"},
	    {break_worker_offset, -EINVAL, "worker counters"},
	    {break_worker_alignment, -EINVAL, "worker counters"},
	    {break_worker_stride, -EINVAL, "worker counters"},
	    {break_huge_stride, -EINVAL, "worker counters"},
	    {break_services, -EINVAL, "worker counters"},
	    {break_entries, -EINVAL, "entries_max"},
	    {break_groups, -EINVAL, "groups_max"},
	    {break_service_offset, -EINVAL, "service states"},
	    {break_links, -EINVAL, "port states"},
	    {break_source_offset, -EINVAL, "source records"},
	    {break_wire_entries, -EINVAL, "wire entries"},
	    {break_source_records, -EINVAL, "source records"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fake_region f;
		struct sw_attach a;
		char text[256] = "";
		fake_region_open(&f, &shape);
		assert_int_equal(sw_region_check(f.region, f.bytes, text, sizeof(text)), 0);
		if (cases[i].damage == break_services)
			f.region->workers = 1; /* else the stride speaks first */
		cases[i].damage(f.region);
		assert_int_equal(sw_region_check(f.region, f.bytes, text, sizeof(text)), cases[i].error);
		if (!strstr(text, cases[i].says))
			fail_msg("case %zu: \"%s\" does not say \"%s\"", i, text, cases[i].says);
		sw_attach_init(&a, f.directory);
		assert_false(sw_attach_refresh(&a, mono, SECOND));
		assert_int_equal(a.state, SW_DATAPLANE_INCOMPATIBLE);
		assert_null(a.region);
		assert_string_equal(a.text, text);
		fake_region_close(&f);
	}
}

static void test_cut_file(void **state)
{
	(void)state;
	struct fake_region f;
	struct sw_attach a;
	fake_region_open(&f, &shape);
	sw_attach_init(&a, f.directory);
	assert_true(sw_attach_refresh(&a, mono, f.region->heartbeat_unix_ns));
	const uint64_t cuts[] = {0, 1, sizeof(struct sw_region) - 1, sizeof(struct sw_region), f.bytes - 1};
	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		assert_int_equal(truncate(f.path, (off_t)cuts[i]), 0);
		assert_false(sw_attach_refresh(&a, mono, SECOND));
		assert_int_equal(a.state, SW_DATAPLANE_INCOMPATIBLE);
		assert_null(a.region);
	}
	sw_attach_close(&a);
	fake_region_close(&f);
}

static void test_no_ordinary_file(void **state)
{
	(void)state;
	struct fake_region f;
	struct sw_attach a;
	fake_region_directory(&f);
	assert_int_equal(symlink("/dev/zero", f.path), 0);
	sw_attach_init(&a, f.directory);
	assert_false(sw_attach_refresh(&a, mono, SECOND));
	assert_int_equal(a.state, SW_DATAPLANE_INCOMPATIBLE);
	fake_region_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_no_dataplane),
	    cmocka_unit_test(test_life_of_a_dataplane),
	    cmocka_unit_test(test_first_look_at_a_dead_one),
	    cmocka_unit_test(test_replaced),
	    cmocka_unit_test(test_refused_regions),
	    cmocka_unit_test(test_cut_file),
	    cmocka_unit_test(test_no_ordinary_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
