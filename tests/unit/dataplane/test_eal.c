/* SPDX-License-Identifier: BSD-3-Clause */
#include "test.h"

#include <errno.h>

#include "../core/snapshot_draft.h"
#include "eal.h"

struct fixture {
	struct draft draft;
	cpu_set_t cpus;
	struct sw_eal_config config;
	struct sw_eal_arguments arguments;
	char all[4096]; /* the arguments, a blank before and behind each */
	char error[256];
};

static struct fixture f;

static int set_up(void **state)
{
	(void)state;
	memset(&f, 0, sizeof(f));
	draft_init(&f.draft);
	CPU_SET(0, &f.cpus);
	CPU_SET(1, &f.cpus);
	CPU_SET(5, &f.cpus);
	f.config = (struct sw_eal_config){.boot = &f.draft.boot, .links = f.draft.links, .link_count = 1,
		.memory_bytes = 100 << 20, .cpus = &f.cpus};
	return 0;
}

static int make(void)
{
	const int result = sw_eal_arguments_make(&f.config, &f.arguments, f.error, sizeof(f.error));
	strcpy(f.all, " ");
	for (int i = 0; i < f.arguments.argc; i++) {
		strcat(f.all, f.arguments.argv[i]);
		strcat(f.all, " ");
	}
	return result;
}

static void assert_has(const char *text)
{
	if (!strstr(f.all, text))
		fail_msg("\"%s\" is not in \"%s\"", text, f.all);
}

static void assert_has_not(const char *text)
{
	if (strstr(f.all, text))
		fail_msg("\"%s\" is in \"%s\"", text, f.all);
}

static void test_main_thread_shares_all_cpus(void **state)
{
	(void)state;
	f.draft.boot.workers = 3;
	f.draft.boot.cores[0] = 1;
	f.draft.boot.cores[1] = 5;
	f.draft.boot.cores[2] = 0;
	assert_int_equal(make(), 0);
	assert_has(" --lcores 0@(0,1,5),1@1,2@5,3@0 ");
	assert_has(" --main-lcore 0 ");
	assert_null(f.arguments.argv[f.arguments.argc]);
}

static void test_housekeeping_core(void **state)
{
	(void)state;
	f.draft.boot.housekeeping_core = 5;
	assert_int_equal(make(), 0);
	assert_has(" --lcores 0@5,1@0 ");
	f.draft.boot.housekeeping_core = 2;
	assert_int_equal(make(), -EINVAL);
	assert_non_null(strstr(f.error, "housekeeping_core"));
}

static void test_cores_that_are_not_there(void **state)
{
	(void)state;
	static const uint32_t wrong[] = {2, 6, 1023, 1024, UINT32_MAX};
	for (size_t i = 0; i < COUNT(wrong); i++) {
		f.draft.boot.workers = 2;
		f.draft.boot.cores[1] = wrong[i];
		assert_int_equal(make(), -EINVAL);
		assert_non_null(strstr(f.error, "boot.cores[1]"));
	}
}

static void test_memory(void **state)
{
	(void)state;
	assert_int_equal(make(), 0);
	assert_has(" --no-huge -m 100 --iova-mode=va ");
	assert_has_not("--in-memory"); /* the EAL refuses the two together */
	f.config.huge = true;
	assert_int_equal(make(), 0);
	assert_has(" --in-memory --iova-mode=va ");
	assert_has_not("--no-huge");
}

static void test_only_named_devices(void **state)
{
	(void)state;
	assert_int_equal(make(), 0);
	assert_has(" --no-pci ");
	f.draft.links[0].ends[SW_INSIDE].kind = SW_DEVICE_PCI;
	strcpy(f.draft.links[0].ends[SW_INSIDE].device, "0000:3b:00.0,x=1");
	f.config.huge = true;
	assert_int_equal(make(), 0);
	assert_has(" -a 0000:3b:00.0,x=1 ");
	assert_has_not("--no-pci");
	assert_has_not("--iova-mode"); /* the NIC's need decides */
}

static void test_extra_arguments_come_last(void **state)
{
	(void)state;
	f.config.extra = "  --legacy-mem   -n\t4 ";
	assert_int_equal(make(), 0);
	assert_has(" --legacy-mem -n 4 ");
	assert_string_equal(f.arguments.argv[f.arguments.argc - 1], "4");
}

static void test_too_many_arguments(void **state)
{
	(void)state;
	static char extra[1024];
	for (int i = 0; i < 200; i++)
		strcat(extra, "-x ");
	f.config.extra = extra;
	assert_int_equal(make(), -EINVAL);
}

static void test_sixty_four_workers_fit(void **state)
{
	(void)state;
	CPU_ZERO(&f.cpus);
	for (unsigned int i = 0; i < 256; i++)
		CPU_SET(i, &f.cpus);
	f.draft.boot.workers = SW_WORKERS_MAX;
	for (unsigned int i = 0; i < SW_WORKERS_MAX; i++)
		f.draft.boot.cores[i] = 192 + i;
	assert_int_equal(make(), 0);
	assert_has(",64@255 ");
}

static void test_choice_of_pages(void **state)
{
	(void)state;
	static const struct {
		enum sw_hugepages wish;
		uint64_t needed, free_bytes;
		int result;
	} cases[] = {
		{SW_HUGEPAGES_AUTO, 100, 100, 1},    {SW_HUGEPAGES_AUTO, 100, 99, 0},
		{SW_HUGEPAGES_NEVER, 100, 1000, 0},  {SW_HUGEPAGES_REQUIRE, 100, 100, 1},
		{SW_HUGEPAGES_REQUIRE, 100 << 20, 99 << 20, -ENOMEM},
	};
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_int_equal(sw_eal_choose_huge(cases[i].wish, cases[i].needed, cases[i].free_bytes, f.error,
			sizeof(f.error)), cases[i].result);
	assert_non_null(strstr(f.error, "100 MiB are needed"));
	assert_non_null(strstr(f.error, "99 MiB are free"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_main_thread_shares_all_cpus, set_up),
		cmocka_unit_test_setup(test_housekeeping_core, set_up),
		cmocka_unit_test_setup(test_cores_that_are_not_there, set_up),
		cmocka_unit_test_setup(test_memory, set_up),
		cmocka_unit_test_setup(test_only_named_devices, set_up),
		cmocka_unit_test_setup(test_extra_arguments_come_last, set_up),
		cmocka_unit_test_setup(test_too_many_arguments, set_up),
		cmocka_unit_test_setup(test_sixty_four_workers_fit, set_up),
		cmocka_unit_test_setup(test_choice_of_pages, set_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
