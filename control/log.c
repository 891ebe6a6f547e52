/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Log lines to stderr, with a priority in front where a journal reads them. Bounded: a bucket of lines, and a line that
 * says how many were left out, so that a bad weekend fills no disk.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "control.h"

enum {
	LINES_PER_S = 5,
	LINES_BURST = 200, /* a broken configuration has up to 40 findings */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static double tokens = LINES_BURST;
static struct timespec filled;
static uint64_t left_out;

/* systemd sets JOURNAL_STREAM to the device and inode of the stream that it reads (sd-daemon(3)). */
static bool stderr_is_journal(void)
{
	static int answer = -1;
	struct stat status;
	char expected[64];
	if (answer < 0) {
		const char *stream = getenv("JOURNAL_STREAM");
		answer =
		    stream && fstat(STDERR_FILENO, &status) == 0 &&
		    snprintf(expected, sizeof(expected), "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino) > 0 &&
		    strcmp(expected, stream) == 0;
	}
	return answer;
}

static void write_line(int priority, const char *text)
{
	char when[32] = "";
	struct tm broken;
	const time_t now = time(NULL);
	if (stderr_is_journal()) {
		fprintf(stderr, "<%d>%s\n", priority, text);
		return;
	}
	if (gmtime_r(&now, &broken))
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ ", &broken);
	fprintf(stderr, "%sseawalld: %s%s\n", when,
	    priority <= LOG_ERR       ? "error: "
	    : priority == LOG_WARNING ? "warning: "
	                              : "",
	    text);
}

void sw_log(int priority, const char *format, ...)
{
	char text[1400], also[64];
	struct timespec now;
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f) /* one line, and nothing that steers a terminal */
			*p = ' ';
	clock_gettime(CLOCK_MONOTONIC, &now);
	pthread_mutex_lock(&lock);
	tokens += LINES_PER_S * ((double)(now.tv_sec - filled.tv_sec) + (double)(now.tv_nsec - filled.tv_nsec) * 1e-9);
	if (tokens > LINES_BURST)
		tokens = LINES_BURST;
	filled = now;
	if (tokens < 1) {
		left_out++;
	} else {
		tokens -= 1;
		if (left_out) {
			snprintf(also, sizeof(also), "%ju lines before this one were left out", (uintmax_t)left_out);
			left_out = 0;
			write_line(LOG_WARNING, also);
		}
		write_line(priority, text);
	}
	pthread_mutex_unlock(&lock);
}
