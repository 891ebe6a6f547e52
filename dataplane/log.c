/* SPDX-License-Identifier: BSD-3-Clause */
#include "log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *const names[SW_LOG_LEVELS] = {"error", "warning", "notice", "info", "debug"};
static enum sw_log_level threshold = SW_LOG_NOTICE;
static bool limited;
static struct sw_log_budget budget;

enum { LINES_BURST = 20, LINE_INTERVAL_NS = 500000000 };

bool sw_log_budget_take(struct sw_log_budget *b, uint64_t now_ns)
{
	const uint64_t depth = (uint64_t)(LINES_BURST - 1) * LINE_INTERVAL_NS;
	if (b->full_at_ns > now_ns + depth) {
		b->left_out++;
		return false;
	}
	b->full_at_ns = (b->full_at_ns > now_ns ? b->full_at_ns : now_ns) + LINE_INTERVAL_NS;
	return true;
}

void sw_log(enum sw_log_level level, const char *format, ...)
{
	if (level > threshold)
		return;
	if (limited) {
		struct timespec now;
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (!sw_log_budget_take(&budget, (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec))
			return;
		if (budget.left_out) {
			fprintf(stderr, "seawall-dataplane: notice: %" PRIu64 " lines left out\n", budget.left_out);
			budget.left_out = 0;
		}
	}
	char line[1024];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	fprintf(stderr, "seawall-dataplane: %s: %s\n", names[level], line);
}

void sw_log_set_level(enum sw_log_level level)
{
	threshold = level;
}

enum sw_log_level sw_log_level_now(void)
{
	return threshold;
}

void sw_log_limit(bool on)
{
	limited = on;
}

bool sw_log_level_parse(const char *text, enum sw_log_level *out)
{
	for (unsigned int i = 0; i < SW_LOG_LEVELS; i++) {
		if (strcmp(text, names[i]) == 0) {
			*out = (enum sw_log_level)i;
			return true;
		}
	}
	return false;
}

const char *sw_log_level_name(enum sw_log_level level)
{
	return names[level];
}
