/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of control/policy share. Include after the standard headers. */
#ifndef SW_TEST_POLICY_TEST_H
#define SW_TEST_POLICY_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/check.h"
#include "policy/compile.h"
#include "policy/load.h"

/* The smallest configuration, with room for more sections behind the services and for more keys in them. */
#define LINKS "\"boot\": {\"links\": [{\"outside\": \"out0\", \"inside\": \"in0\"}]}"
#define SERVICE(more) \
	"{\"name\": \"tracker\", \"targets\": [\"10.20.0.10:20000\", \"[fd00:20::10]:20000\"]" more "}"
#define CONFIG(service_more, more) "{\n" LINKS ",\n\"services\": [" SERVICE(service_more) "]" more "\n}"

/* Loads a text; the report is the caller's to look at, and static, since it is large. */
static struct sw_report report;

static inline int load(const char *text, struct sw_spec **out)
{
	memset(&report, 0, sizeof(report));
	return sw_load_text(text, strlen(text), "test.json", ".", &report, out);
}

static inline struct sw_spec *load_good(const char *text)
{
	struct sw_spec *spec = NULL;
	char message[1200];
	if (load(text, &spec) != 0) {
		print_error("%s\n%s\n", text,
			sw_finding_text(&report.findings[SW_ERROR][0], SW_ERROR, message, sizeof(message)));
		fail();
	}
	return spec;
}

#endif
