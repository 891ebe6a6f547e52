/* SPDX-License-Identifier: BSD-3-Clause */
/* What every test of this folder and of some neighbours includes: cmocka and the headers it wants before itself. */
#ifndef SW_TESTS_DATAPLANE_TEST_H
#define SW_TESTS_DATAPLANE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* xorshift64*: the same numbers in every run. */
static inline uint64_t test_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

/* A directory of its own below /tmp. */
static inline void test_directory(char *path, size_t bytes)
{
	snprintf(path, bytes, "/tmp/seawall-test-XXXXXX");
	if (!mkdtemp(path))
		fail_msg("mkdtemp");
}

static inline void test_remove(const char *directory)
{
	char command[512];
	snprintf(command, sizeof(command), "rm -rf '%s'", directory);
	if (strncmp(directory, "/tmp/seawall-test-", 18) == 0 && system(command) != 0)
		fail_msg("%s", command);
}

#endif
