/* SPDX-License-Identifier: BSD-3-Clause */
/* docs/api.md is what the tables make. Argument: the file; or --print, to renew it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manual.h"

static const char *path;

static void test_committed_manual(void **state)
{
	(void)state;
	char *made = NULL, *kept;
	size_t bytes = 0;
	FILE *to = open_memstream(&made, &bytes);
	sw_api_manual(to);
	fclose(to);
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	kept = calloc(1, bytes + 2);
	const size_t n = fread(kept, 1, bytes + 1, file);
	fclose(file);
	if (n != bytes || memcmp(made, kept, bytes))
		fail_msg("%s is out of date; renew it with --print", path);
	free(made);
	free(kept);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_committed_manual)};
	if (argc != 2)
		return 2;
	if (!strcmp(argv[1], "--print")) {
		sw_api_manual(stdout);
		return 0;
	}
	path = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
