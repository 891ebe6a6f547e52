/* SPDX-License-Identifier: BSD-3-Clause */
/* Sources, prefixes, one address and incidents: the commands and what they print. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "commands.h"
#include "format.h"
#include "table.h"

static const char *proof_text(const char *proof)
{
	if (!strcmp(proof, "echoed"))
		return "owns it";
	if (!strcmp(proof, "sent_data"))
		return "owns it, sent data";
	return "claimed only";
}

/* How long ago, or for how long still. */
static const char *distance(const char *rfc3339, char out[SW_TEXT_BYTES])
{
	const uint64_t then = sw_parse_time(rfc3339), now = (uint64_t)time(NULL);
	if (!then)
		return "-";
	return sw_format_duration(then > now ? then - now : now - then, out);
}

static void show_source_table(FILE *out, const json_t *list, const char *empty)
{
	struct sw_table table;
	char titles[] = "ADDRESS|SERVICE|PROOF|>SYN|>SYN/s|>CONN|>OPEN|>REFUSED|>DROPPED|>SEEN AGO|>BLOCKED FOR";
	size_t i;
	json_t *s;
	sw_table_open(&table, titles);
	json_array_foreach(list, i, s)
	{
		char syns[SW_TEXT_BYTES], rate[SW_TEXT_BYTES], conns[SW_TEXT_BYTES], open[SW_TEXT_BYTES],
		    refused[SW_TEXT_BYTES], dropped[SW_TEXT_BYTES], seen[SW_TEXT_BYTES], blocked[SW_TEXT_BYTES];
		sw_table_row(&table, sw_text_at(s, "address"), sw_text_at(s, "service"), proof_text(sw_text_at(s, "proof")),
		    sw_format_count(sw_int_at(s, "syns"), syns), sw_format_rate(sw_number_at(s, "syn_per_s"), rate),
		    sw_format_count(sw_int_at(s, "conns"), conns), sw_format_count(sw_int_at(s, "concurrent"), open),
		    sw_format_count(sw_int_at(s, "refused"), refused), sw_format_count(sw_int_at(s, "dropped"), dropped),
		    distance(sw_text_at(s, "last_seen"), seen), distance(sw_text_at(s, "blocked_until"), blocked));
	}
	sw_table_print(&table, out, empty);
}

static void show_prefix_table(FILE *out, const json_t *level)
{
	struct sw_table table;
	char titles[] = "PREFIX|>SOURCES|>PROVEN|>SENT DATA|>BLOCKED|>SYN|>CONN|>OPEN|>REFUSED|>DROPPED|>SEEN AGO";
	size_t i;
	json_t *p;
	sw_table_open(&table, titles);
	json_array_foreach(sw_at(level, "prefixes"), i, p)
	{
		char sources[SW_TEXT_BYTES], proven[SW_TEXT_BYTES], data[SW_TEXT_BYTES], blocked[SW_TEXT_BYTES],
		    syns[SW_TEXT_BYTES], conns[SW_TEXT_BYTES], open[SW_TEXT_BYTES], refused[SW_TEXT_BYTES],
		    dropped[SW_TEXT_BYTES], seen[SW_TEXT_BYTES];
		sw_table_row(&table, sw_text_at(p, "prefix"), sw_format_count(sw_int_at(p, "sources"), sources),
		    sw_format_count(sw_int_at(p, "proven"), proven), sw_format_count(sw_int_at(p, "sent_data"), data),
		    sw_format_count(sw_int_at(p, "blocked"), blocked), sw_format_count(sw_int_at(p, "syns"), syns),
		    sw_format_count(sw_int_at(p, "conns"), conns), sw_format_count(sw_int_at(p, "concurrent"), open),
		    sw_format_count(sw_int_at(p, "refused"), refused), sw_format_count(sw_int_at(p, "dropped"), dropped),
		    distance(sw_text_at(p, "last_seen"), seen));
	}
	fprintf(out, "By /%lld and /%lld: %lld prefixes in all\n", (long long)sw_int_at(level, "ipv4_length"),
	    (long long)sw_int_at(level, "ipv6_length"), (long long)sw_int_at(level, "prefixes_in_all"));
	sw_table_print(&table, out, "None.");
}

/* Path and query, from the options that were given. */
static char *query_path(const struct sw_invocation *in, const char *path)
{
	static const enum sw_option options[] = {SW_OPTION_BY, SW_OPTION_LIMIT, SW_OPTION_SERVICE, SW_OPTION_PROOF};
	char *text = strdup(path);
	char separator = '?';
	for (size_t i = 0; text && i < sizeof(options) / sizeof(options[0]); i++) {
		const char *value = in->given[options[i]];
		char *escaped = value ? sw_url_escape(value) : NULL, *longer = NULL;
		if (!escaped)
			continue;
		if (asprintf(&longer, "%s%c%s=%s", text, separator, sw_options[options[i]].name, escaped) < 0)
			longer = NULL;
		free(escaped);
		free(text);
		text = longer;
		separator = '&';
	}
	return text;
}

static void show_sources(FILE *out, const json_t *json)
{
	char claimed[SW_TEXT_BYTES], echoed[SW_TEXT_BYTES], data[SW_TEXT_BYTES], blocked[SW_TEXT_BYTES];
	fprintf(out, "Known: %s only claimed their address, %s own it, %s own it and sent data; %s are blocked. By %s:\n\n",
	    sw_format_count(sw_int_at(json, "records.claimed"), claimed),
	    sw_format_count(sw_int_at(json, "records.echoed"), echoed),
	    sw_format_count(sw_int_at(json, "records.sent_data"), data),
	    sw_format_count(sw_int_at(json, "records.blocked"), blocked), sw_text_at(json, "sorted_by"));
	show_source_table(out, sw_at(json, "sources"), "No sources are known.");
	fprintf(out, "\nOffenders: %lld proven sources that were refused or blocked\n",
	    (long long)sw_int_at(json, "records.offenders"));
	show_source_table(out, sw_at(json, "offenders"), "None.");
}

int sw_command_top(struct sw_invocation *in)
{
	struct sw_answer reply;
	int end;
	const bool prefixes = in->given[SW_OPTION_PREFIXES] != NULL;
	char *path = query_path(in, prefixes ? "/prefixes" : "/sources");
	if (!path)
		return SW_EXIT_USAGE;
	const bool go_on = sw_call(in, "GET", path, NULL, 0, &reply, &end);
	free(path);
	if (!go_on)
		return end;
	if (!prefixes)
		show_sources(in->out, reply.json);
	size_t i;
	json_t *level;
	json_array_foreach(sw_at(reply.json, "levels"), i, level)
	{
		if (i)
			fputc('\n', in->out);
		show_prefix_table(in->out, level);
	}
	sw_answer_free(&reply);
	return end;
}

static void format_bucket(const json_t *b, char out[SW_TEXT_BYTES])
{
	char left[SW_TEXT_BYTES], burst[SW_TEXT_BYTES];
	if (!json_is_object(b)) {
		snprintf(out, SW_TEXT_BYTES, "no limit");
		return;
	}
	sw_format_count(sw_int_at(b, "available"), left);
	sw_format_count(sw_int_at(b, "burst"), burst);
	snprintf(out, SW_TEXT_BYTES, "%.15s of %.15s", left, burst);
}

static void show_budgets(FILE *out, const json_t *budgets)
{
	struct sw_table table;
	char titles[] = "  BUDGET OF|>SYN LEFT|>PER s|>CONN LEFT|>PER s|>OPEN|>AT MOST";
	size_t i;
	json_t *b;
	sw_table_open(&table, titles);
	json_array_foreach(budgets, i, b)
	{
		char of[128], syn[SW_TEXT_BYTES], conn[SW_TEXT_BYTES], syn_rate[SW_TEXT_BYTES], conn_rate[SW_TEXT_BYTES],
		    open[SW_TEXT_BYTES], most[SW_TEXT_BYTES];
		snprintf(of, sizeof(of), "  %s", sw_text_at(b, "of"));
		format_bucket(sw_at(b, "syn"), syn);
		format_bucket(sw_at(b, "conn"), conn);
		sw_table_row(&table, of, syn, sw_format_count(sw_int_at(b, "syn.per_s"), syn_rate), conn,
		    sw_format_count(sw_int_at(b, "conn.per_s"), conn_rate), sw_format_count(sw_int_at(b, "concurrent"), open),
		    json_is_integer(sw_at(b, "concurrent_limit")) ? sw_format_count(sw_int_at(b, "concurrent_limit"), most)
		                                                  : "-");
	}
	sw_table_print(&table, out, NULL);
}

static void show_towards(FILE *out, const json_t *t)
{
	char until[SW_TEXT_BYTES];
	fprintf(out, "\nTowards %s: %s\n", sw_text_at(t, "service"), sw_text_at(t, "verdict"));
	if (strcmp(sw_text_at(t, "rule.kind"), "none"))
		fprintf(out, "  rule: %s %s, %lld packets so far\n", sw_text_at(t, "rule.kind"), sw_text_at(t, "rule.prefix"),
		    (long long)sw_int_at(t, "rule.packets"));
	if (sw_text_at(t, "group")[0])
		fprintf(out, "  group: %s\n", sw_text_at(t, "group"));
	if (sw_text_at(t, "blocked_until")[0])
		fprintf(out, "  blocked until %s\n", sw_format_time(sw_text_at(t, "blocked_until"), until));
	size_t i;
	json_t *used;
	json_array_foreach(sw_at(t, "used_up"), i, used) fprintf(out, "  used up: %s\n", json_string_value(used));
	show_budgets(out, sw_at(t, "budgets"));
}

static void show_why(FILE *out, const json_t *json)
{
	size_t i;
	json_t *one;
	fprintf(out, "%s\n", sw_text_at(json, "address"));
	json_array_foreach(sw_at(json, "blocks"), i, one)
	{
		char until[SW_TEXT_BYTES];
		const char *ends = json_string_value(sw_at(one, "until"));
		fprintf(out, "  blocked by an operator: %s until %s, %lld packets so far%s%s\n", sw_text_at(one, "prefix"),
		    ends ? sw_format_time(ends, until) : "unblocked", (long long)sw_int_at(one, "packets"),
		    sw_text_at(one, "reason")[0] ? ": " : "", sw_text_at(one, "reason"));
	}
	fputc('\n', out);
	show_source_table(
	    out, sw_at(json, "evidence"), "No evidence is kept about this address: it sent little, or long ago.");
	if (!sw_true_at(json, "dataplane_answered"))
		fprintf(out, "\nThe dataplane could not be asked: %s\n", sw_text_at(json, "dataplane_text"));
	json_array_foreach(sw_at(json, "towards"), i, one) show_towards(out, one);
}

int sw_command_why(struct sw_invocation *in)
{
	struct sw_answer reply;
	char *path = NULL, *with_query;
	int end;
	char *address = sw_url_escape(in->arguments[0]);
	if (!address || asprintf(&path, "/why/%s", address) < 0)
		return SW_EXIT_USAGE;
	free(address);
	with_query = query_path(in, path);
	free(path);
	if (!with_query)
		return SW_EXIT_USAGE;
	const bool go_on = sw_call(in, "GET", with_query, NULL, 0, &reply, &end);
	free(with_query);
	if (!go_on)
		return end;
	show_why(in->out, reply.json);
	sw_answer_free(&reply);
	return end;
}

int sw_command_incidents(struct sw_invocation *in)
{
	struct sw_answer reply;
	struct sw_table table;
	char titles[] =
	    "SERVICE|START|LASTED|>PEAK SYN/s|>SYN|>ANSWERED|>DROPPED|>CONN|>SOURCES|>PROVEN|>OFFENDERS|WORST OFFENDER";
	size_t i;
	json_t *n;
	int end;
	char *path = query_path(in, "/incidents");
	if (!path)
		return SW_EXIT_USAGE;
	const bool go_on = sw_call(in, "GET", path, NULL, 0, &reply, &end);
	free(path);
	if (!go_on)
		return end;
	sw_table_open(&table, titles);
	json_array_foreach(sw_at(reply.json, "incidents"), i, n)
	{
		char start[SW_TEXT_BYTES], lasted[SW_TEXT_BYTES + 16], span[SW_TEXT_BYTES], peak[SW_TEXT_BYTES],
		    syns[SW_TEXT_BYTES], answered[SW_TEXT_BYTES], dropped[SW_TEXT_BYTES], conns[SW_TEXT_BYTES],
		    sources[SW_TEXT_BYTES], proven[SW_TEXT_BYTES], offenders[SW_TEXT_BYTES];
		const uint64_t from = sw_parse_time(sw_text_at(n, "start")), to = sw_parse_time(sw_text_at(n, "end"));
		const uint64_t now = (uint64_t)time(NULL), until = to ? to : now;
		sw_format_duration(until > from ? until - from : 0, span);
		snprintf(lasted, sizeof(lasted), "%s%s", span, to ? "" : ", goes on");
		sw_table_row(&table, sw_text_at(n, "service"), sw_format_time(sw_text_at(n, "start"), start), lasted,
		    sw_format_count(sw_int_at(n, "peak_syn_per_s"), peak), sw_format_count(sw_int_at(n, "syns"), syns),
		    sw_format_count(sw_int_at(n, "answered"), answered), sw_format_count(sw_int_at(n, "dropped"), dropped),
		    sw_format_count(sw_int_at(n, "connections"), conns), sw_format_count(sw_int_at(n, "sources"), sources),
		    sw_format_count(sw_int_at(n, "sources_proven"), proven),
		    sw_format_count(sw_int_at(n, "offenders"), offenders),
		    sw_text_at(json_array_get(sw_at(n, "top_offenders"), 0), "address"));
	}
	sw_table_print(&table, in->out, "No incidents.");
	sw_answer_free(&reply);
	return end;
}
