/* SPDX-License-Identifier: BSD-3-Clause */
#include "policy_test.h"

#include "policy/position.h"

static const char text[] = "{\n"
                           "  \"a\": {\"b\": [1, {\"c\": \"x\"}, 3]},\n"
                           "  \"\\u0064\": true, \"we ird\": null,\n"
                           "\t\"e\\\"\\n\": -1.5e+3,\n"
                           "  \"big\\ud83d\\ude00\": 7, \"last\": []\n"
                           "}\n";

static const struct {
	const char *path;
	bool at_key;
	uint32_t line, column;
} cases[] = {
    {"", false, 1, 1},
    {"a", true, 2, 3},
    {"a", false, 2, 8},
    {"a.b", false, 2, 14},
    {"a.b[0]", false, 2, 15},
    {"a.b[1].c", true, 2, 19},
    {"a.b[1].c", false, 2, 24},
    {"a.b[2]", false, 2, 30},
    {"a.b[3]", false, 0, 0},
    {"d", true, 3, 3},
    {"[\"we ird\"]", true, 3, 19},
    {"[\"we ird\"]", false, 3, 29},
    {"[\"e\\\"\\x0a\"]", true, 4, 2},
    {"[\"e\\\"\\x0a\"]", false, 4, 11},
    {"[\"big\xf0\x9f\x98\x80\"]", false, 5, 22},
    {"last", false, 5, 33},
    {"nothing", false, 0, 0},
};

static void paths_lead_to_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sw_position_query query = {.path = cases[i].path, .at_key = cases[i].at_key};
		sw_positions_find(text, sizeof(text) - 1, &query, 1);
		if (query.line != cases[i].line || query.column != cases[i].column)
			print_error("%s: %u:%u\n", cases[i].path, query.line, query.column);
		assert_int_equal(query.line, cases[i].line);
		assert_int_equal(query.column, cases[i].column);
	}
}

/* Every cut of the text, in memory of exactly that size: the sanitizer sees a byte read too far. */
static void broken_text_is_safe(void **state)
{
	const size_t last = (size_t)(strstr(text, "[]") - text);
	(void)state;
	for (size_t bytes = 0; bytes < sizeof(text); bytes++) {
		char *cut = malloc(bytes ? bytes : 1);
		assert_non_null(cut);
		memcpy(cut, text, bytes);
		char path[SW_PATH_BYTES];
		struct sw_position_query query = {.path = "last"};
		sw_positions_find(cut, bytes, &query, 1);
		assert_int_equal(query.line != 0, bytes > last);
		sw_position_path_at(cut, bytes, bytes, path, sizeof(path));
		assert_true(strlen(path) < sizeof(path));
		free(cut);
	}
}

static void path_where_the_text_breaks(void **state)
{
	(void)state;
	static const struct {
		const char *text, *path;
	} broken[] = {
	    {"{\"boot\": {\"links\": [1, ", "boot.links[0]"},
	    {"{\"boot\": {\"links\": [1, 2", "boot.links[1]"},
	    {"{\"boot\": {\"workers\": ", "boot.workers"},
	    {"{\"boot\" 3", "boot"},
	    {"", ""},
	};
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		char path[SW_PATH_BYTES];
		sw_position_path_at(broken[i].text, strlen(broken[i].text), strlen(broken[i].text), path, sizeof(path));
		if (i) /* the first one stands between two items: either is fair */
			assert_string_equal(path, broken[i].path);
		else
			assert_int_equal(strncmp(path, "boot.links", 10), 0);
	}
}

static void deep_text_ends_the_walk(void **state)
{
	(void)state;
	enum { DEPTH = 100000 };
	char *deep = malloc(DEPTH);
	assert_non_null(deep);
	memset(deep, '[', DEPTH);
	struct sw_position_query query = {.path = "x"};
	sw_positions_find(deep, DEPTH, &query, 1);
	assert_int_equal(query.line, 0);
	free(deep);
}

static void quotes_are_safe_to_show(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		size_t count;
		const char *shown;
	} quoted[] = {
	    {"plain", 5, "\"plain\""},
	    {"\x1b[31m", 5, "\"\\x1b[31m\""},
	    {"a\0b", 3, "\"a\\x00b\""},
	    {"\xc3\xa9", 2, "\"\xc3\xa9\""},
	    {"\xc2\x9b", 2, "\"\\xc2\\x9b\""},          /* a control character of ISO 6429 */
	    {"\xc0\xaf", 2, "\"\\xc0\\xaf\""},          /* overlong */
	    {"\xed\xa0\x80", 3, "\"\\xed\\xa0\\x80\""}, /* a surrogate */
	    {"\xff", 1, "\"\\xff\""},
	    {"\xe2\x82", 2, "\"\\xe2\\x82\""}, /* cut */
	    {"a\"\\", 3, "\"a\\\"\\\\\""},
	};
	for (size_t i = 0; i < sizeof(quoted) / sizeof(quoted[0]); i++) {
		char out[SW_QUOTED_BYTES];
		assert_string_equal(sw_quote(quoted[i].bytes, quoted[i].count, out), quoted[i].shown);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(paths_lead_to_lines),
	    cmocka_unit_test(broken_text_is_safe),
	    cmocka_unit_test(path_where_the_text_breaks),
	    cmocka_unit_test(deep_text_ends_the_walk),
	    cmocka_unit_test(quotes_are_safe_to_show),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
