/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is wrong with a configuration, for a person: where, what, and what to do about it. Bounded: the first
 * SW_FINDINGS_MAX errors and as many warnings are kept, the rest is counted. Thread: one at a time.
 */
#ifndef SW_POLICY_REPORT_H
#define SW_POLICY_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	SW_FINDINGS_MAX = 20,
	SW_PATH_BYTES = 256,
};

enum sw_severity { SW_ERROR, SW_WARNING, SW_SEVERITIES };

struct sw_finding {
	uint32_t line, column;     /* 0: not known */
	char file[SW_PATH_BYTES];
	char path[SW_PATH_BYTES];  /* services[0].limits.source; empty: the file as a whole */
	char message[256];
	char hint[256];            /* may be empty */
	bool at_key;               /* the key is meant, not its value */
	bool positioned;           /* line and column are final */
};

struct sw_report {
	const char *file; /* name of the configuration, for findings about it */
	struct sw_finding findings[SW_SEVERITIES][SW_FINDINGS_MAX];
	uint32_t counts[SW_SEVERITIES]; /* all, also those that found no room */
};

/*
 * Adds a finding about the value at `path` of the configuration. The line is looked up later, by
 * sw_report_find_positions(). `message` and `hint` are copied. Returns it for more to be filled in, or NULL: no room.
 */
struct sw_finding *sw_report_add(struct sw_report *report, enum sw_severity severity, const char *path,
	const char *message, const char *hint);
/* With formats; `hint` may be NULL. */
struct sw_finding *sw_report_error(struct sw_report *report, const char *path, const char *hint, const char *format,
	...) __attribute__((format(printf, 4, 5)));
struct sw_finding *sw_report_warn(struct sw_report *report, const char *path, const char *hint, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Fills in line and column of every finding that has none, from the text of the configuration. */
void sw_report_find_positions(struct sw_report *report, const char *text, size_t bytes);

/* "file:line:column: path: message; hint", one line, no newline. Returns `out`. */
char *sw_finding_text(const struct sw_finding *finding, enum sw_severity severity, char *out, size_t out_bytes);
/* One severity as the JSON array that control.h describes; NULL: out of memory. */
json_t *sw_report_json(const struct sw_report *report, enum sw_severity severity);

/* `text` between quotes, cut at 60 bytes, all but printable ASCII and UTF-8 letters escaped: safe to show. */
enum { SW_QUOTED_BYTES = 280 };
char *sw_quote(const char *text, size_t bytes, char out[SW_QUOTED_BYTES]);

#endif
