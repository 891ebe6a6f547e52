/* SPDX-License-Identifier: BSD-3-Clause */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../core/snapshot_draft.h"
#include "region_file.h"

static char directory[64], path[128], error[512];

static int set_up(void **state)
{
	(void)state;
	test_directory(directory, sizeof(directory));
	snprintf(path, sizeof(path), "%s/region", directory);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	test_remove(directory);
	return 0;
}

/* Blocks follow one another without overlap, and the last one ends inside. */
static void test_layout(void **state)
{
	(void)state;
	static const uint32_t worker_counts[] = {1, 2, 7, 64}, link_counts[] = {1, 16};
	for (size_t i = 0; i < COUNT(worker_counts) * COUNT(link_counts); i++) {
		struct draft d;
		draft_init(&d);
		struct sw_link links[SW_LINKS_MAX];
		for (size_t l = 0; l < SW_LINKS_MAX; l++)
			links[l] = d.links[0];
		d.boot.workers = worker_counts[i / COUNT(link_counts)];
		const uint32_t link_count = link_counts[i % COUNT(link_counts)];
		const uint64_t bytes = sw_region_bytes(&d.boot, link_count);
		struct sw_region *r = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
		assert_non_null(r);
		memset(r, 0, bytes);
		sw_region_format(r, &d.boot, links, link_count, 2100000000);
		assert_int_equal(r->magic, SW_REGION_MAGIC);
		assert_int_equal(r->total_bytes, bytes);
		assert_true(r->worker_offset >= sizeof(*r));
		assert_true((const char *)(sw_region_worker_groups(r, 0) + r->groups_max) <=
			(const char *)sw_region_worker(r, 0) + r->worker_stride);
		assert_true(r->worker_offset + r->workers * r->worker_stride <= r->service_offset);
		assert_true(r->service_offset + r->services_max * sizeof(struct sw_service_state) <= r->port_offset);
		assert_true(r->port_offset + link_count * SW_SIDES * sizeof(struct sw_port_state) <= r->source_offset);
		assert_true(r->source_records_per_worker * sizeof(struct sw_source_record) <= r->source_stride);
		assert_true(r->source_records_per_worker * r->workers >= d.boot.source_records);
		assert_true(r->source_offset + r->workers * r->source_stride <= bytes);
		assert_int_equal(r->worker_offset % SW_CACHE_LINE + r->worker_stride % SW_CACHE_LINE +
			r->service_offset % SW_CACHE_LINE + r->port_offset % SW_CACHE_LINE + r->source_offset % SW_CACHE_LINE, 0);
		assert_string_equal(sw_region_ports(r)[1].device, "lan0");
		assert_int_equal(sw_region_ports(r)[link_count * SW_SIDES - 1].link, link_count - 1);
		free(r);
	}
}

static void test_appears_whole_and_private(void **state)
{
	(void)state;
	struct sw_mapped_file f;
	struct stat st;
	assert_int_equal(sw_mapped_file_make(directory, "region", "unit", 100000, 0640, &f, error, sizeof(error)), 0);
	assert_int_equal(access(path, F_OK), -1); /* not before it is published */
	memset(f.base, 7, 100000);
	assert_int_equal(sw_mapped_file_publish(&f), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(st.st_size, 100000);
	const int fd = open(path, O_RDONLY);
	const uint8_t *seen = mmap(NULL, 100000, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(seen != MAP_FAILED);
	close(fd);
	((uint8_t *)f.base)[5] = 9;
	assert_int_equal(seen[5], 9);
	assert_int_equal(seen[99999], 7);
	munmap((void *)(uintptr_t)seen, 100000);
	sw_mapped_file_close(&f, true);
	assert_int_equal(stat(path, &st), -1);
	assert_int_equal(lstat(path, &st), -1);
}

static void test_successor_is_another_file(void **state)
{
	(void)state;
	struct sw_mapped_file first, second;
	struct stat a, b;
	assert_int_equal(sw_mapped_file_make(directory, "region", "unit", 4096, 0640, &first, error, sizeof(error)), 0);
	assert_int_equal(sw_mapped_file_publish(&first), 0);
	assert_int_equal(stat(path, &a), 0);
	strcpy(first.base, "old");
	/* Two in one process would take the same name in /dev/shm, which is told apart by pid: give it another instance. */
	assert_int_equal(sw_mapped_file_make(directory, "region", "unit2", 4096, 0640, &second, error, sizeof(error)), 0);
	assert_int_equal(stat(path, &b), 0);
	assert_int_equal(a.st_ino, b.st_ino); /* the old one stands until the new one is ready */
	assert_int_equal(sw_mapped_file_publish(&second), 0);
	assert_int_equal(stat(path, &b), 0);
	assert_int_not_equal(a.st_ino, b.st_ino);
	assert_string_equal(first.base, "old"); /* who maps it keeps it */
	if (first.behind[0])
		unlink(first.behind);
	sw_mapped_file_close(&first, false);
	sw_mapped_file_close(&second, true);
}

static void test_given_up_before_it_is_published(void **state)
{
	(void)state;
	struct sw_mapped_file f;
	assert_int_equal(sw_mapped_file_make(directory, "flows", "unit", 4096, 0600, &f, error, sizeof(error)), 0);
	sw_mapped_file_close(&f, true);
	assert_int_equal(rmdir(directory), 0); /* empty */
	assert_int_equal(mkdir(directory, 0700), 0);
}

static void test_a_file_that_does_not_fit_is_refused(void **state)
{
	(void)state;
	struct sw_mapped_file f;
	assert_true(sw_mapped_file_make(directory, "region", "unit", 1ull << 50, 0640, &f, error, sizeof(error)) < 0);
	assert_non_null(strstr(error, "MiB"));
	assert_null(f.base);
	assert_int_equal(rmdir(directory), 0);
	assert_int_equal(mkdir(directory, 0700), 0);
}

static void test_anonymous(void **state)
{
	(void)state;
	struct sw_mapped_file f;
	assert_int_equal(sw_mapped_file_make(NULL, "region", "unit", 8192, 0640, &f, error, sizeof(error)), 0);
	assert_int_equal(((uint8_t *)f.base)[8191], 0);
	assert_int_equal(sw_mapped_file_publish(&f), 0);
	sw_mapped_file_close(&f, true);
}

static void test_directories(void **state)
{
	(void)state;
	char deep[128];
	struct stat st;
	snprintf(deep, sizeof(deep), "%s/a/b/c", directory);
	assert_int_equal(sw_make_directory(deep), 0);
	assert_int_equal(sw_make_directory(deep), 0);
	assert_int_equal(stat(deep, &st), 0);
	assert_int_equal(st.st_mode & 07, 0);
	snprintf(deep, sizeof(deep), "%s/file", directory);
	close(open(deep, O_CREAT | O_WRONLY, 0600));
	assert_true(sw_make_directory(deep) < 0);
	assert_true(sw_make_directory("") < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout),
		cmocka_unit_test_setup_teardown(test_appears_whole_and_private, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_successor_is_another_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_given_up_before_it_is_published, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_file_that_does_not_fit_is_refused, set_up, tear_down),
		cmocka_unit_test(test_anonymous),
		cmocka_unit_test_setup_teardown(test_directories, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
