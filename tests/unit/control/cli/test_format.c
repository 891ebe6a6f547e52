/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers, times and tables as a person reads them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "commands.h"
#include "format.h"
#include "table.h"

static void test_counts(void **state)
{
	(void)state;
	static const struct {
		int64_t value;
		const char *text;
	} cases[] = {
	    {0, "0"},
	    {7, "7"},
	    {999, "999"},
	    {1000, "1,000"},
	    {-1, "-1"},
	    {-1234567, "-1,234,567"},
	    {12345, "12,345"},
	    {999999999, "999,999,999"},
	    {9999999999, "9,999,999,999"},
	    {10000000000, "10.00 G"},
	    {12345678901, "12.35 G"},
	    {1234567890123, "1.23 T"},
	    {-12345678901, "-12.35 G"},
	    {INT64_MAX, "9.22 E"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[SW_TEXT_BYTES];
		assert_string_equal(sw_format_count(cases[i].value, text), cases[i].text);
	}
}

static void test_rates(void **state)
{
	(void)state;
	static const struct {
		double value;
		const char *text, *bits;
	} cases[] = {
	    {0, "0", "0 bit/s"},
	    {0.04, "0.0", "0 bit/s"},
	    {0.5, "0.5", "4 bit/s"},
	    {9.94, "9.9", "80 bit/s"},
	    {9.96, "10", "80 bit/s"},
	    {1000, "1,000", "8.0 kbit/s"},
	    {8012.4, "8,012", "64 kbit/s"},
	    {125000000, "125,000,000", "1.0 Gbit/s"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[SW_TEXT_BYTES];
		assert_string_equal(sw_format_rate(cases[i].value, text), cases[i].text);
		assert_string_equal(sw_format_bits(cases[i].value, text), cases[i].bits);
	}
}

static void test_durations(void **state)
{
	(void)state;
	static const struct {
		uint64_t seconds;
		const char *text;
	} cases[] = {
	    {0, "0 s"},
	    {59, "59 s"},
	    {60, "1 min"},
	    {61, "1 min 1 s"},
	    {3600, "1 h"},
	    {3661, "1 h 1 min"},
	    {86399, "23 h 59 min"},
	    {86400, "1 d"},
	    {90000, "1 d 1 h"},
	    {86400ull * 400, "400 d"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[SW_TEXT_BYTES];
		assert_string_equal(sw_format_duration(cases[i].seconds, text), cases[i].text);
	}
	static const struct {
		const char *text;
		uint32_t seconds; /* 0: refused */
	} parsed[] = {
	    {"90", 90},
	    {"90s", 90},
	    {"15m", 900},
	    {"1h", 3600},
	    {"1h30m", 5400},
	    {"2d", 172800},
	    {"1w", 604800},
	    {"366d", 366 * 86400},
	    {"", 0},
	    {"0", 0},
	    {"0s", 0},
	    {"-1", 0},
	    {"h", 0},
	    {"1x", 0},
	    {"1.5h", 0},
	    {"1h ", 0},
	    {" 1h", 0},
	    {"367d", 0},
	    {"99999999999999999999", 0},
	    {"4294967295w", 0},
	    {"1hm", 0},
	};
	for (size_t i = 0; i < sizeof(parsed) / sizeof(parsed[0]); i++) {
		uint32_t seconds = 0;
		const bool good = sw_parse_duration(parsed[i].text, 366 * 86400, &seconds);
		if (good != (parsed[i].seconds != 0) || (good && seconds != parsed[i].seconds))
			fail_msg("\"%s\": %u", parsed[i].text, seconds);
	}
}

static void test_times(void **state)
{
	(void)state;
	setenv("TZ", "UTC-2", 1); /* two hours east */
	tzset();
	char text[SW_TEXT_BYTES];
	assert_string_equal(sw_format_time("2026-11-22T09:00:00.123Z", text), "2026-11-22 11:00:00");
	assert_string_equal(sw_format_time(NULL, text), "-");
	assert_string_equal(sw_format_time("", text), "-");
	assert_string_equal(sw_format_time("yesterday", text), "-");
	assert_int_equal(sw_parse_time("1970-01-01T00:01:00.000Z"), 60);
	assert_int_equal(sw_parse_time(NULL), 0);
}

static void test_table(void **state)
{
	(void)state;
	struct sw_table table;
	char titles[] = "NAME|>N|LAST", *text = NULL;
	size_t bytes = 0;
	FILE *to = open_memstream(&text, &bytes);
	sw_table_open(&table, titles);
	sw_table_row(&table, "a", "1,000", "x");
	sw_table_row(&table, "größer", NULL, "longer");
	sw_table_print(&table, to, "none");
	fflush(to);
	assert_string_equal(text, "NAME        N  LAST\na       1,000  x\ngrößer         longer\n");
	char again[] = "NAME|>N";
	sw_table_open(&table, again);
	sw_table_print(&table, to, "none");
	fflush(to);
	assert_non_null(strstr(text, "\nnone\n"));
	/* more rows than the first allocation holds */
	char many[] = "N";
	sw_table_open(&table, many);
	for (int i = 0; i < 1000; i++)
		sw_table_row(&table, "row");
	sw_table_print(&table, to, NULL);
	fclose(to);
	free(text);
}

static void test_json_paths(void **state)
{
	(void)state;
	json_t *json = json_pack("{s:{s:{s:i, s:s, s:b, s:f}}, s:n}", "a", "b", "i", 7, "s", "text", "t", 1, "f", 2.5, "n");
	assert_int_equal(sw_int_at(json, "a.b.i"), 7);
	assert_string_equal(sw_text_at(json, "a.b.s"), "text");
	assert_true(sw_true_at(json, "a.b.t"));
	assert_true(sw_number_at(json, "a.b.f") > 2.4 && sw_number_at(json, "a.b.i") > 6.9);
	/* whatever is missing or of another type is 0, "", false */
	static const char *const missing[] = {"", ".", "x", "a", "a.x", "a.b.s.y", "a.b.i.z", "n", "n.n",
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b"};
	for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++) {
		assert_int_equal(sw_int_at(json, missing[i]), 0);
		assert_string_equal(sw_text_at(json, missing[i]), "");
		assert_false(sw_true_at(json, missing[i]));
		assert_int_equal(sw_int_at(NULL, missing[i]), 0);
	}
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_counts),
	    cmocka_unit_test(test_rates),
	    cmocka_unit_test(test_durations),
	    cmocka_unit_test(test_times),
	    cmocka_unit_test(test_table),
	    cmocka_unit_test(test_json_paths),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
