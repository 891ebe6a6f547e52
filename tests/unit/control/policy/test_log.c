/* SPDX-License-Identifier: BSD-3-Clause */
/* A storm of log lines is cut off, and what a line holds cannot steer a terminal. */
#include "policy_test.h"

#include <syslog.h>
#include <unistd.h>

#include "control.h"

static char *captured(void (*act)(void))
{
	char *text = calloc(1, 1 << 20);
	FILE *file = tmpfile();
	const int before = dup(STDERR_FILENO);
	assert_non_null(text);
	assert_non_null(file);
	fflush(stderr);
	assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
	act();
	fflush(stderr);
	assert_true(dup2(before, STDERR_FILENO) >= 0);
	close(before);
	rewind(file);
	assert_true(fread(text, 1, (1 << 20) - 1, file) > 0);
	fclose(file);
	return text;
}

static void log_strange_bytes(void)
{
	sw_log(LOG_ERR, "a\x1b[2Jb\nc\x7f");
}

static void log_a_storm(void)
{
	for (int i = 0; i < 5000; i++)
		sw_log(LOG_WARNING, "storm");
}

static void lines_are_plain(void **state)
{
	char *text = captured(log_strange_bytes);
	(void)state;
	assert_null(strchr(text, '\x1b'));
	assert_non_null(strstr(text, "error: a [2Jb c \n"));
	free(text);
}

static void storms_are_cut_off(void **state)
{
	char *text = captured(log_a_storm);
	size_t lines = 0;
	(void)state;
	for (const char *p = text; *p; p++)
		lines += *p == '\n';
	assert_in_range(lines, 1, 1000);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lines_are_plain),
	    cmocka_unit_test(storms_are_cut_off),
	};
	unsetenv("JOURNAL_STREAM");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
