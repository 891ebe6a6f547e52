/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands that change something or try something out. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "format.h"
#include "table.h"

enum { CONFIG_MAX_BYTES = 8 << 20 };

int sw_command_block(struct sw_invocation *in)
{
	static const uint32_t longest_s = 366 * 86400;
	struct sw_answer reply;
	uint32_t seconds = 0;
	char lasts[SW_TEXT_BYTES];
	int end;
	const char *what = in->arguments[0], *lifetime = in->given[SW_OPTION_FOR], *reason = in->given[SW_OPTION_REASON];
	if (lifetime && !sw_parse_duration(lifetime, longest_s, &seconds)) {
		fprintf(stderr, "seawallctl: --for %s: a time like 90s, 15m, 1h or 2d is expected, up to 366d\n", lifetime);
		return SW_EXIT_USAGE;
	}
	json_t *body = json_pack("{s:s, s:i, s:s}", strchr(what, '/') ? "prefix" : "address", what, "seconds", (int)seconds,
	    "reason", reason ? reason : "");
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	json_decref(body);
	if (!text) {
		fprintf(stderr, "seawallctl: the arguments are not UTF-8\n");
		return SW_EXIT_USAGE;
	}
	const bool go_on = sw_call(in, "POST", "/blocks", text, 0, &reply, &end);
	free(text);
	if (!go_on)
		return end;
	if (seconds)
		fprintf(
		    in->out, "%s is blocked for %s.\n", sw_text_at(reply.json, "blocked"), sw_format_duration(seconds, lasts));
	else
		fprintf(in->out, "%s is blocked until it is unblocked.\n", sw_text_at(reply.json, "blocked"));
	sw_answer_free(&reply);
	return end;
}

int sw_command_unblock(struct sw_invocation *in)
{
	struct sw_answer reply;
	char *path = NULL;
	int end;
	/* The slash of a prefix stays: it is part of the path. */
	for (const char *c = in->arguments[0]; *c; c++)
		if (!strchr("0123456789abcdefABCDEF.:/", *c)) {
			fprintf(stderr, "seawallctl: %s is neither an address nor a prefix\n", in->arguments[0]);
			return SW_EXIT_USAGE;
		}
	if (asprintf(&path, "/blocks/%s", in->arguments[0]) < 0)
		return SW_EXIT_USAGE;
	const bool go_on = sw_call(in, "DELETE", path, NULL, 0, &reply, &end);
	free(path);
	if (!go_on)
		return end;
	fprintf(in->out, "%s is unblocked (%lld lifted).\n", sw_text_at(reply.json, "unblocked"),
	    (long long)sw_int_at(reply.json, "lifted"));
	sw_answer_free(&reply);
	return end;
}

int sw_command_blocks(struct sw_invocation *in)
{
	struct sw_answer reply;
	struct sw_table table;
	char titles[] = "PREFIX|SINCE|UNTIL|>PACKETS|REASON";
	size_t i;
	json_t *b;
	int end;
	if (!sw_call(in, "GET", "/blocks", NULL, 0, &reply, &end))
		return end;
	sw_table_open(&table, titles);
	json_array_foreach(sw_at(reply.json, "blocks"), i, b)
	{
		char since[SW_TEXT_BYTES], until[SW_TEXT_BYTES], packets[SW_TEXT_BYTES];
		const char *ends = json_string_value(sw_at(b, "until"));
		sw_table_row(&table, sw_text_at(b, "prefix"), sw_format_time(sw_text_at(b, "since"), since),
		    ends ? sw_format_time(ends, until) : "unblocked", sw_format_count(sw_int_at(b, "packets"), packets),
		    sw_text_at(b, "reason"));
	}
	sw_table_print(&table, in->out, "No blocks.");
	sw_answer_free(&reply);
	return end;
}

/* Errors and warnings of a load as a compiler writes them: file:line:column: severity: path: message. */
static void show_report(FILE *out, const json_t *list, const char *severity, const char *file)
{
	size_t i;
	json_t *one;
	json_array_foreach(list, i, one)
	{
		const char *named = sw_text_at(one, "file"), *path = sw_text_at(one, "path"), *hint = sw_text_at(one, "hint");
		fprintf(out, "%s", named[0] && !file ? named : file ? file : "");
		if (sw_int_at(one, "line"))
			fprintf(out, ":%lld:%lld", (long long)sw_int_at(one, "line"), (long long)sw_int_at(one, "column"));
		fprintf(out, ": %s: %s%s%s\n", severity, path, path[0] ? ": " : "", sw_text_at(one, "message"));
		if (hint[0])
			fprintf(out, "  %s\n", hint);
	}
}

int sw_command_reload(struct sw_invocation *in)
{
	struct sw_answer reply;
	int end;
	if (!sw_call(in, "POST", "/reload", NULL, 422, &reply, &end))
		return end;
	show_report(in->out, sw_at(reply.json, "errors"), "error", NULL);
	show_report(in->out, sw_at(reply.json, "warnings"), "warning", NULL);
	if (reply.status == 422)
		fprintf(in->out, "Refused; the earlier policy stays in force. %s\n", sw_text_at(reply.json, "message"));
	else if (reply.status == 202)
		fprintf(in->out, "Good and stored; the dataplane takes it when it is back. %s\n",
		    sw_text_at(reply.json, "message"));
	else
		fprintf(in->out, "Policy %lld is in force.\n", (long long)sw_int_at(reply.json, "generation"));
	if (sw_true_at(reply.json, "needs_restart"))
		fprintf(in->out, "The boot section has changed (%s): that part takes a restart of seawall-dataplane.\n",
		    sw_text_at(reply.json, "restart_field"));
	sw_answer_free(&reply);
	return end;
}

/* The whole file, with a NUL; NULL with the reason on stderr. "-" is standard input. */
static char *read_file(const char *path)
{
	FILE *file = strcmp(path, "-") ? fopen(path, "re") : stdin;
	char *text = file ? malloc(CONFIG_MAX_BYTES + 2) : NULL;
	if (!text) {
		fprintf(stderr, "seawallctl: %s: %s\n", path, strerror(errno));
		if (file && file != stdin)
			fclose(file);
		return NULL;
	}
	const size_t n = fread(text, 1, CONFIG_MAX_BYTES + 1, file);
	text[n] = 0;
	if (n > CONFIG_MAX_BYTES || ferror(file) || strlen(text) != n) {
		fprintf(stderr, "seawallctl: %s: %s\n", path,
		    n > CONFIG_MAX_BYTES ? "larger than 8 MiB; `seawalld --check` takes it"
		    : ferror(file)       ? strerror(errno)
		                         : "a NUL byte inside: no JSON");
		free(text);
		text = NULL;
	}
	if (file != stdin)
		fclose(file);
	return text;
}

int sw_command_check(struct sw_invocation *in)
{
	struct sw_answer reply;
	int end;
	char *text = read_file(in->arguments[0]);
	if (!text)
		return SW_EXIT_USAGE;
	const bool go_on = sw_call(in, "POST", "/check", text, 422, &reply, &end);
	free(text);
	if (!go_on)
		return end;
	show_report(in->out, sw_at(reply.json, "errors"), "error", in->arguments[0]);
	show_report(in->out, sw_at(reply.json, "warnings"), "warning", in->arguments[0]);
	if (end) {
		fprintf(in->out, "%s would be refused.\n", in->arguments[0]);
	} else {
		char bytes[SW_TEXT_BYTES];
		const json_t *s = sw_at(reply.json, "summary");
		fprintf(in->out, "%s is good: %lld services, %lld targets, %lld groups, %lld prefixes; tables of %s MiB.\n",
		    in->arguments[0], (long long)sw_int_at(s, "services"), (long long)sw_int_at(s, "targets"),
		    (long long)sw_int_at(s, "groups"), (long long)sw_int_at(s, "prefixes"),
		    sw_format_count(sw_int_at(s, "memory_bytes") >> 20, bytes));
	}
	sw_answer_free(&reply);
	return end;
}
