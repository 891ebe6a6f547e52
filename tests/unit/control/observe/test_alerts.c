/* SPDX-License-Identifier: BSD-3-Clause */
/* What is said in the log, and how often: once when it comes, once when it is over, and little when it flaps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "alerts.h"

#define SECOND 1000000000ull

struct lines {
	char text[4096];
	uint32_t count;
};

static void say(void *context, const struct sw_finding *f, bool over)
{
	struct lines *l = context;
	const size_t n = strlen(l->text);
	l->count++;
	snprintf(l->text + n, sizeof(l->text) - n, "%s%s ", over ? "-" : "+", f->code);
}

/* A health with the findings whose letters stand in `codes`. */
static struct sw_health health_of(const char *codes)
{
	static const char *const names[] = {"a", "b", "c"};
	struct sw_health h = {0};
	for (; *codes; codes++)
		h.findings[h.count++] =
		    (struct sw_finding){.severity = SW_HEALTH_WARNING, .code = names[*codes - 'a'], .hint = "h"};
	return h;
}

static void test_what_is_said(void **state)
{
	(void)state;
	static const struct {
		const char *what;
		struct {
			uint32_t seconds; /* that the findings stay */
			const char *codes;
		} course[8];
		const char *said;
	} cases[] = {
	    {"nothing", {{100, ""}}, ""},
	    {"one that stays", {{1000, "a"}}, "+a "},
	    {"one that goes", {{50, "a"}, {50, ""}}, "+a -a "},
	    {"gone for a moment", {{50, "a"}, {5, ""}, {50, "a"}}, "+a "},
	    {"two, one goes", {{5, "a"}, {5, "ab"}, {50, "b"}}, "+a +b -a "},
	    {"again soon: said when the time has come", {{5, "a"}, {20, ""}, {20, "a"}, {20, ""}}, "+a -a "},
	    {"again, and stays", {{5, "a"}, {20, ""}, {400, "a"}}, "+a -a +a "},
	    {"again later", {{5, "a"}, {400, ""}, {5, "a"}}, "+a -a +a "},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sw_alerts alerts = {0};
		struct lines lines = {0};
		uint64_t now = 1000 * SECOND;
		for (int k = 0; cases[i].course[k].codes; k++) {
			const struct sw_health h = health_of(cases[i].course[k].codes);
			for (uint32_t s = 0; s < cases[i].course[k].seconds; s++, now += SECOND)
				sw_alerts_update(&alerts, &h, now, say, &lines);
		}
		if (strcmp(lines.text, cases[i].said))
			fail_msg("%s: \"%s\", not \"%s\"", cases[i].what, lines.text, cases[i].said);
	}
}

/* Three that flap each second for a whole weekend: a bounded number of lines. */
static void test_no_storm(void **state)
{
	(void)state;
	struct sw_alerts alerts = {0};
	struct lines lines = {0};
	const struct sw_health on = health_of("abc"), off = health_of("");
	const uint32_t weekend_s = 3 * 86400;
	for (uint32_t s = 1; s < weekend_s; s++)
		sw_alerts_update(&alerts, s % 30 < 15 ? &on : &off, s * SECOND, say, &lines);
	assert_true(lines.count > 0 && lines.count <= 2 * 3 * (weekend_s / 300 + 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_is_said), cmocka_unit_test(test_no_storm)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
