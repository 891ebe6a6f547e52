/* SPDX-License-Identifier: BSD-3-Clause */
#include "test.h"

#include "options.h"

#define ALL "--snapshot", "s", "--runtime-dir", "r", "--state-dir", "t"

static const struct {
	enum sw_options_result result;
	const char *says; /* in the error */
	const char *arguments[12];
} cases[] = {
	{SW_OPTIONS_RUN, NULL, {ALL}},
	{SW_OPTIONS_RUN, NULL, {ALL, "--log-level", "debug"}},
	{SW_OPTIONS_RUN, NULL, {ALL, "--eal", "-v --x"}},
	{SW_OPTIONS_HELP, NULL, {"--help"}},
	{SW_OPTIONS_HELP, NULL, {ALL, "--help"}},
	{SW_OPTIONS_VERSION, NULL, {"--version"}},
	{SW_OPTIONS_WRONG, "--snapshot FILE", {NULL}},
	{SW_OPTIONS_WRONG, "--runtime-dir DIR", {"--snapshot", "s", "--state-dir", "t"}},
	{SW_OPTIONS_WRONG, "--state-dir DIR", {"--snapshot", "s", "--runtime-dir", "r"}},
	{SW_OPTIONS_WRONG, "--snapshot needs a value", {"--snapshot"}},
	{SW_OPTIONS_WRONG, "--frobnicate", {ALL, "--frobnicate"}},
	{SW_OPTIONS_WRONG, "extra", {ALL, "extra"}},
	{SW_OPTIONS_WRONG, "--log-level loud", {ALL, "--log-level", "loud"}},
};

static void test_command_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *argv[14] = {(char *)(uintptr_t)"seawall-dataplane"};
		int argc = 1;
		struct sw_options o;
		char error[256] = "";
		for (; cases[i].arguments[argc - 1]; argc++)
			argv[argc] = (char *)(uintptr_t)cases[i].arguments[argc - 1];
		assert_int_equal(sw_options_parse(argc, argv, &o, error, sizeof(error)), cases[i].result);
		if (cases[i].says)
			assert_non_null(strstr(error, cases[i].says));
		if (cases[i].result == SW_OPTIONS_RUN) {
			assert_string_equal(o.snapshot_path, "s");
			assert_string_equal(o.runtime_dir, "r");
			assert_string_equal(o.state_dir, "t");
		}
	}
}

static void test_values_arrive(void **state)
{
	(void)state;
	char *argv[] = {(char *)(uintptr_t)"x", (char *)(uintptr_t)"--snapshot=a", (char *)(uintptr_t)"--runtime-dir=b",
		(char *)(uintptr_t)"--state-dir=c", (char *)(uintptr_t)"--eal=-m 5", (char *)(uintptr_t)"--log-level=error", NULL};
	struct sw_options o;
	char error[256];
	assert_int_equal(sw_options_parse(6, argv, &o, error, sizeof(error)), SW_OPTIONS_RUN);
	assert_string_equal(o.eal_extra, "-m 5");
	assert_int_equal(o.log_level, SW_LOG_ERROR);
}

static void test_levels_have_names(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < SW_LOG_LEVELS; i++) {
		enum sw_log_level level;
		assert_true(sw_log_level_parse(sw_log_level_name((enum sw_log_level)i), &level));
		assert_int_equal(level, i);
	}
}

/* A weekend of trouble, a line every millisecond: two a second leave, each one left out is counted. */
static void test_log_storms_are_held_back(void **state)
{
	(void)state;
	struct sw_log_budget b = {.full_at_ns = 0};
	uint64_t lines = 0, tried = 0;
	for (uint64_t ms = 0; ms < 3600 * 1000; ms++) {
		lines += sw_log_budget_take(&b, 5000000000 + ms * 1000000);
		tried++;
	}
	assert_in_range(lines, 7200, 7225);
	assert_int_equal(b.left_out, tried - lines);
}

static void test_a_burst_of_lines_may_leave_after_a_pause(void **state)
{
	(void)state;
	struct sw_log_budget b = {.full_at_ns = 0};
	for (int round = 0; round < 3; round++) {
		int lines = 0;
		for (int i = 0; i < 100; i++)
			lines += sw_log_budget_take(&b, 60000000000ull * (1 + (unsigned int)round));
		assert_int_equal(lines, 20);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_command_lines),
		cmocka_unit_test(test_values_arrive),
		cmocka_unit_test(test_levels_have_names),
		cmocka_unit_test(test_log_storms_are_held_back),
		cmocka_unit_test(test_a_burst_of_lines_may_leave_after_a_pause),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
