/* SPDX-License-Identifier: BSD-3-Clause */
#include "policy_test.h"

#include "policy/address_text.h"

struct prefix_case {
	const char *text;
	const char *back; /* NULL: refused */
	unsigned int length;
};

static const struct prefix_case prefix_cases[] = {
    {"10.0.0.0/8", "10.0.0.0/8", 104},
    {"192.0.2.7", "192.0.2.7", 128},
    {"192.0.2.7/32", "192.0.2.7", 128},
    {"0.0.0.0/0", "0.0.0.0/0", 96},
    {"255.255.255.255", "255.255.255.255", 128},
    {"2001:db8::/32", "2001:db8::/32", 32},
    {"2001:DB8:0:0:0:0:0:1", "2001:db8::1", 128},
    {"::/0", "::/0", 0},
    {"fe80::/10", "fe80::/10", 10},
    {"10.0.0.1/8", NULL, 0},
    {"2001:db8::1/64", NULL, 0},
    {"10.0.0.0/33", NULL, 0},
    {"10.0.0.0/-1", NULL, 0},
    {"10.0.0.0/", NULL, 0},
    {"10.0.0.0/08", NULL, 0},
    {"10.0.0.0/8 ", NULL, 0},
    {" 10.0.0.0/8", NULL, 0},
    {"10.0.0/8", NULL, 0},
    {"010.0.0.1", NULL, 0},
    {"2001:db8::/129", NULL, 0},
    {"::ffff:10.0.0.1", NULL, 0},
    {"::ffff:0:0/96", NULL, 0},
    {"::ffff:0:0/97", NULL, 0},
    {"fe80::1%eth0", NULL, 0},
    {"localhost", NULL, 0},
    {"", NULL, 0},
    {"/", NULL, 0},
    {"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd", NULL, 0},
};

static void prefixes_are_read_and_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(prefix_cases) / sizeof(prefix_cases[0]); i++) {
		const struct prefix_case *c = &prefix_cases[i];
		struct sw_prefix prefix;
		char back[SW_PREFIX_TEXT_BYTES];
		const char *wrong = sw_prefix_parse(c->text, &prefix);
		if (!c->back) {
			if (!wrong)
				print_error("accepted: %s\n", c->text);
			assert_non_null(wrong);
			continue;
		}
		assert_null(wrong);
		assert_int_equal(prefix.length, c->length);
		assert_string_equal(sw_prefix_format(&prefix, back), c->back);
	}
}

static const struct {
	const char *text, *back; /* back NULL: refused */
	unsigned int first, last;
} target_cases[] = {
    {"10.20.0.10:20000", "10.20.0.10:20000", 20000, 20000},
    {"10.20.0.0/24:6881-6889", "10.20.0.0/24:6881-6889", 6881, 6889},
    {"[fd00:20::10]:80", "[fd00:20::10]:80", 80, 80},
    {"[fd00:20::/64]:1-65535", "[fd00:20::/64]:1-65535", 1, 65535},
    {"10.20.0.10:7-7", "10.20.0.10:7", 7, 7},
    {"10.20.0.10", NULL, 0, 0},
    {"10.20.0.10:", NULL, 0, 0},
    {"10.20.0.10:0", NULL, 0, 0},
    {"10.20.0.10:65536", NULL, 0, 0},
    {"10.20.0.10:99999999999999999999", NULL, 0, 0},
    {"10.20.0.10:90-80", NULL, 0, 0},
    {"10.20.0.10:80-", NULL, 0, 0},
    {"10.20.0.10:80-90-100", NULL, 0, 0},
    {"10.20.0.10:+80", NULL, 0, 0},
    {"fd00:20::10:80", NULL, 0, 0},
    {"[10.20.0.10]:80", NULL, 0, 0},
    {"[fd00:20::1/64]:80", NULL, 0, 0},
    {"[fd00:20::10:80", NULL, 0, 0},
    {"[]:80", NULL, 0, 0},
    {":80", NULL, 0, 0},
};

static void targets_are_read_and_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(target_cases) / sizeof(target_cases[0]); i++) {
		struct sw_spec_target target;
		char back[SW_TARGET_TEXT_BYTES];
		const char *wrong = sw_target_parse(target_cases[i].text, &target);
		if (!target_cases[i].back) {
			if (!wrong)
				print_error("accepted: %s\n", target_cases[i].text);
			assert_non_null(wrong);
			continue;
		}
		assert_null(wrong);
		assert_int_equal(target.port_first, target_cases[i].first);
		assert_int_equal(target.port_last, target_cases[i].last);
		assert_string_equal(sw_target_format(&target, back), target_cases[i].back);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(prefixes_are_read_and_written),
	    cmocka_unit_test(targets_are_read_and_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
