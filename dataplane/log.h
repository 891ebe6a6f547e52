/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lines for the operator, on stderr. From start-up and housekeeping only: the packet path never logs. After
 * sw_log_limit() at most 20 lines in a burst and 2 a second leave; what is left out is counted and said.
 */
#ifndef SW_LOG_H
#define SW_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum sw_log_level { SW_LOG_ERROR, SW_LOG_WARNING, SW_LOG_NOTICE, SW_LOG_INFO, SW_LOG_DEBUG, SW_LOG_LEVELS };

void sw_log(enum sw_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

void sw_log_set_level(enum sw_log_level level);
enum sw_log_level sw_log_level_now(void);
void sw_log_limit(bool on);

/* "error", "warning", "notice", "info", "debug". False: none of these. */
bool sw_log_level_parse(const char *text, enum sw_log_level *out);
const char *sw_log_level_name(enum sw_log_level level);

/* May one more line leave? Pure: state and clock are the caller's. 20 at once, 2 a second. */
struct sw_log_budget {
	uint64_t full_at_ns;
	uint64_t left_out;
};
bool sw_log_budget_take(struct sw_log_budget *b, uint64_t now_ns);

#endif
