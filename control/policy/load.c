/* SPDX-License-Identifier: BSD-3-Clause */
#include "load.h"

#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "load_internal.h"

/* What a person may have meant where JSON ends. `text` holds at least one byte. */
static const char *syntax_hint(const char *text, size_t bytes, size_t at)
{
	if (at >= bytes)
		at = bytes - 1;
	while (at && strchr(" \t\r\n", text[at]))
		at--;
	const size_t from = at > 2 ? at - 2 : 0,
	             window = bytes - from < 5 ? bytes - from : 5; /* two bytes before and behind */
	if (text[at] == '#' || memmem(text + from, window, "//", 2) || memmem(text + from, window, "/*", 2))
		return "JSON has no comments; write \"comment\": \"...\", which every object may hold";
	if (text[at] == '}' || text[at] == ']')
		return "look for a comma too many before it, or a bracket that does not match";
	if (text[at] == '\'')
		return "strings stand between double quotes";
	return "look for a missing comma, quote or bracket just before it";
}

static void duplicate_key(struct sw_report *report, const char *text, size_t bytes, const json_error_t *error)
{
	char path[SW_PATH_BYTES] = "", hint[64] = "";
	sw_position_path_at(text, bytes, error->position > 0 ? (size_t)error->position : bytes, path, sizeof(path));
	struct sw_position_query first = {.path = path, .at_key = true};
	sw_positions_find(text, bytes, &first, 1);
	if (first.line)
		snprintf(hint, sizeof(hint), "it is first given in line %u; keep one of them", first.line);
	struct sw_finding *f = sw_report_add(report, SW_ERROR, path, "the same key stands here twice", hint);
	if (f) {
		f->line = error->line > 0 ? (uint32_t)error->line : 0;
		f->column = error->column > 0 ? (uint32_t)error->column : 0;
		f->positioned = true;
	}
}

static void syntax_error(struct sw_report *report, const char *text, size_t bytes, const json_error_t *error)
{
	char path[SW_PATH_BYTES] = "", quoted[SW_QUOTED_BYTES], message[256];
	const size_t at = error->position > 0 ? (size_t)error->position : 0;
	if (json_error_code(error) == json_error_duplicate_key) {
		duplicate_key(report, text, bytes, error);
		return;
	}
	sw_position_path_at(text, bytes, at, path, sizeof(path));
	/* The library's sentence repeats bytes of the file: they are made safe, and our quotes around it cut off again. */
	sw_quote(error->text, strlen(error->text), quoted);
	size_t used = (size_t)snprintf(message, sizeof(message), "is not JSON: ");
	for (const char *p = quoted + 1; p[1] && used < sizeof(message) - 1; p++)
		if (p[0] != '\\' || p[1] != '"')
			message[used++] = *p;
	message[used] = 0;
	struct sw_finding *f = sw_report_add(
	    report, SW_ERROR, path, message, bytes ? syntax_hint(text, bytes, at ? at - 1 : 0) : "the file is empty");
	if (f) {
		f->line = error->line > 0 ? (uint32_t)error->line : 1;
		f->column = error->column > 0 ? (uint32_t)error->column : 1;
		f->positioned = true;
	}
}

/* Deeper than anything a configuration can hold: refused before the library recurses into it. */
static bool too_deep(const char *text, size_t bytes)
{
	unsigned int depth = 0;
	bool in_string = false;
	for (size_t i = 0; i < bytes; i++) {
		if (in_string) {
			if (text[i] == '\\')
				i++;
			else if (text[i] == '"')
				in_string = false;
		} else if (text[i] == '"') {
			in_string = true;
		} else if (text[i] == '{' || text[i] == '[') {
			if (++depth > SW_CONFIG_MAX_DEPTH)
				return true;
		} else if ((text[i] == '}' || text[i] == ']') && depth) {
			depth--;
		}
	}
	return false;
}

static json_t *parse(const char *text, size_t bytes, struct sw_report *report)
{
	json_error_t error;
	if (bytes > SW_CONFIG_MAX_BYTES) {
		sw_report_error(report, "", "put long lists of prefixes into files of their own", "is larger than 64 MiB");
		return NULL;
	}
	if (too_deep(text, bytes)) {
		sw_report_error(report, "", "nothing in a configuration needs this", "nests deeper than %d levels",
		    (int)SW_CONFIG_MAX_DEPTH);
		return NULL;
	}
	json_t *json = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
	if (!json)
		syntax_error(report, text, bytes, &error);
	return json;
}

int sw_load_text(const char *text, size_t bytes, const char *name, const char *directory, struct sw_report *report,
    struct sw_spec **out)
{
	struct sw_loader l = {.report = report, .directory = directory};
	int result = -ENOMEM;
	report->file = name;
	json_t *json = parse(text, bytes, report);
	if (!json)
		return -EINVAL;
	l.arena = sw_arena_new();
	if (!l.arena)
		goto out;
	l.spec = sw_arena_alloc(l.arena, sizeof(*l.spec));
	if (!l.spec)
		goto out;
	l.spec->arena = l.arena;
	sw_load_defaults(&l, &sw_schema_root, l.spec);
	sw_load_object(&l, json, &sw_schema_root, l.spec);
	if (l.out_of_memory)
		goto out;
	if (!report->counts[SW_ERROR]) /* the rules between fields want fields that are right by themselves */
		sw_check(l.spec, report);
	sw_report_find_positions(report, text, bytes);
	result = report->counts[SW_ERROR] ? -EINVAL : 0;
out:
	json_decref(json);
	if (result < 0)
		sw_arena_free(l.arena);
	else
		*out = l.spec;
	return result;
}

int sw_load_file(const char *path, struct sw_report *report, struct sw_spec **out)
{
	char *text, *copy = strdup(path);
	size_t bytes;
	report->file = path;
	if (!copy)
		return -ENOMEM;
	int result = sw_read_file(path, &text, &bytes);
	if (result < 0) {
		const char *why = result == -EISDIR  ? "is no regular file"
		                  : result == -EFBIG ? "is larger than 64 MiB"
		                                     : strerror(-result);
		sw_report_error(report, "", "name the configuration with --config", "cannot be read: %s", why);
		free(copy);
		return result == -ENOMEM ? -ENOMEM : -EINVAL;
	}
	result = sw_load_text(text, bytes, path, dirname(copy), report, out);
	free(text);
	free(copy);
	return result;
}

void sw_spec_free(struct sw_spec *spec)
{
	if (spec)
		sw_arena_free(spec->arena);
}
