/* SPDX-License-Identifier: BSD-3-Clause */
#include "report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "position.h"

/* Takes off a letter that the end of the buffer cut in two, so that the text stays UTF-8. */
static void trim(char *text, size_t buffer_bytes)
{
	size_t length = strlen(text);
	if (length + 1 < buffer_bytes)
		return;
	while (length && ((unsigned char)text[length - 1] & 0xc0) == 0x80)
		length--;
	if (length && (unsigned char)text[length - 1] >= 0xc0)
		length--;
	text[length] = 0;
}

struct sw_finding *sw_report_add(
    struct sw_report *report, enum sw_severity severity, const char *path, const char *message, const char *hint)
{
	const uint32_t n = report->counts[severity]++;
	if (n >= SW_FINDINGS_MAX)
		return NULL;
	struct sw_finding *f = &report->findings[severity][n];
	snprintf(f->file, sizeof(f->file), "%s", report->file ? report->file : "");
	snprintf(f->path, sizeof(f->path), "%s", path);
	snprintf(f->message, sizeof(f->message), "%s", message);
	snprintf(f->hint, sizeof(f->hint), "%s", hint ? hint : "");
	trim(f->file, sizeof(f->file));
	trim(f->path, sizeof(f->path));
	trim(f->message, sizeof(f->message));
	trim(f->hint, sizeof(f->hint));
	return f;
}

struct sw_finding *sw_report_error(
    struct sw_report *report, const char *path, const char *hint, const char *format, ...)
{
	char message[256];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	return sw_report_add(report, SW_ERROR, path, message, hint);
}

struct sw_finding *sw_report_warn(struct sw_report *report, const char *path, const char *hint, const char *format, ...)
{
	char message[256];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	return sw_report_add(report, SW_WARNING, path, message, hint);
}

static uint32_t kept(const struct sw_report *report, int severity)
{
	return report->counts[severity] < SW_FINDINGS_MAX ? report->counts[severity] : SW_FINDINGS_MAX;
}

/* Cuts the last step off a path; false when there is none. */
static bool cut_path(char *path)
{
	for (size_t i = strlen(path); i-- > 0;) {
		if (path[i] != '.' && path[i] != '[')
			continue;
		path[i] = 0;
		return true;
	}
	const bool had = path[0] != 0;
	path[0] = 0;
	return had;
}

void sw_report_find_positions(struct sw_report *report, const char *text, size_t bytes)
{
	enum { ALL = SW_SEVERITIES * SW_FINDINGS_MAX, STEPS_MAX = 16 };
	struct sw_position_query queries[ALL];
	struct sw_finding *asking[ALL];
	char paths[ALL][SW_PATH_BYTES];
	size_t count = 0;
	for (int s = 0; s < SW_SEVERITIES; s++) {
		for (uint32_t i = 0; i < kept(report, s); i++) {
			struct sw_finding *f = &report->findings[s][i];
			if (f->positioned)
				continue;
			memcpy(paths[count], f->path, SW_PATH_BYTES);
			queries[count] = (struct sw_position_query){.path = paths[count], .at_key = f->at_key};
			asking[count++] = f;
		}
	}
	/* A value that stands by default is nowhere in the text: then the object around it is the place to change it. */
	for (int step = 0; count && step < STEPS_MAX; step++) {
		size_t left = 0;
		sw_positions_find(text, bytes, queries, count);
		for (size_t i = 0; i < count; i++) {
			asking[i]->line = queries[i].line;
			asking[i]->column = queries[i].column;
			asking[i]->positioned = true;
			if (queries[i].line || !cut_path(paths[i]))
				continue;
			if (left != i)
				memcpy(paths[left], paths[i], SW_PATH_BYTES);
			queries[left] = (struct sw_position_query){.path = paths[left]};
			asking[left++] = asking[i];
		}
		count = left;
	}
}

char *sw_finding_text(const struct sw_finding *f, enum sw_severity severity, char *out, size_t out_bytes)
{
	char place[48] = "";
	if (f->line && f->column)
		snprintf(place, sizeof(place), ":%u:%u", f->line, f->column);
	else if (f->line)
		snprintf(place, sizeof(place), ":%u", f->line);
	snprintf(out, out_bytes, "%s%s: %s%s%s%s%s%s", f->file, place, severity == SW_WARNING ? "warning: " : "", f->path,
	    f->path[0] ? ": " : "", f->message, f->hint[0] ? "; " : "", f->hint);
	return out;
}

json_t *sw_report_json(const struct sw_report *report, enum sw_severity severity)
{
	json_t *array = json_array();
	for (uint32_t i = 0; array && i < kept(report, (int)severity); i++) {
		const struct sw_finding *f = &report->findings[severity][i];
		json_t *item = json_pack("{s:s, s:s, s:I, s:I, s:s, s:s, s:s}", "severity",
		    severity == SW_ERROR ? "error" : "warning", "file", f->file, "line", (json_int_t)f->line, "column",
		    (json_int_t)f->column, "path", f->path, "message", f->message, "hint", f->hint);
		if (!item) /* a file name need not be UTF-8; it is still a finding */
			item = json_pack("{s:s, s:I, s:I, s:s}", "severity", severity == SW_ERROR ? "error" : "warning", "line",
			    (json_int_t)f->line, "column", (json_int_t)f->column, "message", "the message cannot be shown as text");
		json_array_append_new(array, item);
	}
	return array;
}

/* Bytes of the well-formed UTF-8 letter at `p` (RFC 3629), or 0. Control characters are none. */
static size_t letter_bytes(const unsigned char *p, size_t bytes)
{
	if (p[0] >= 0x20 && p[0] < 0x7f)
		return 1;
	const size_t want = p[0] >= 0xc2 && p[0] < 0xe0   ? 2
	                    : (p[0] & 0xf0) == 0xe0       ? 3
	                    : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
	                                                  : 0;
	if (!want || want > bytes)
		return 0;
	for (size_t i = 1; i < want; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	const bool c1 = p[0] == 0xc2 && p[1] < 0xa0; /* control characters of ISO 6429: they steer terminals */
	const bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
	const bool surrogate_or_beyond = (p[0] == 0xed && p[1] >= 0xa0) || (p[0] == 0xf4 && p[1] >= 0x90);
	return c1 || overlong || surrogate_or_beyond ? 0 : want;
}

char *sw_quote(const char *text, size_t bytes, char out[SW_QUOTED_BYTES])
{
	enum { SHOWN = 60 };
	size_t used = 0, i = 0;
	out[used++] = '"';
	while (i < bytes && i < SHOWN) {
		const unsigned char *p = (const unsigned char *)text + i;
		const size_t letter = letter_bytes(p, bytes - i);
		if (!letter || *p == '"' || *p == '\\') {
			used += (size_t)snprintf(out + used, SW_QUOTED_BYTES - used, letter ? "\\%c" : "\\x%02x", *p);
			i++;
		} else {
			memcpy(out + used, p, letter);
			used += letter;
			i += letter;
		}
	}
	snprintf(out + used, SW_QUOTED_BYTES - used, "%s\"", i < bytes ? "..." : "");
	return out;
}
