/* SPDX-License-Identifier: BSD-3-Clause */
/* Status and services for a person. */
#include "commands.h"

#include <string.h>
#include <time.h>

#include "format.h"
#include "table.h"

void sw_show_findings(FILE *out, const json_t *findings, const char *indent)
{
	size_t i;
	json_t *one;
	json_array_foreach(findings, i, one)
	{
		const char *hint = sw_text_at(one, "hint");
		fprintf(out, "%s%s: %s\n", indent, sw_text_at(one, "severity"), sw_text_at(one, "message"));
		if (hint[0])
			fprintf(out, "%s  %s\n", indent, hint);
	}
}

static void show_dataplane(FILE *out, const json_t *d)
{
	char up[SW_TEXT_BYTES];
	const char *state = sw_text_at(d, "state");
	if (!strcmp(state, "absent") || !strcmp(state, "incompatible")) {
		fprintf(out, "  dataplane  %s: %s\n", state, sw_text_at(d, "text"));
		return;
	}
	const int64_t workers = sw_int_at(d, "workers");
	fprintf(out, "  dataplane  %s, up %s, pid %lld, %lld worker%s, %s, %s\n", state,
	    sw_format_duration((uint64_t)sw_int_at(d, "uptime_s"), up), (long long)sw_int_at(d, "pid"), (long long)workers,
	    workers == 1 ? "" : "s", sw_text_at(d, "isa"), sw_true_at(d, "hugepages") ? "huge pages" : "ordinary pages");
}

static void show_policy(FILE *out, const json_t *p, const char *now)
{
	char ago[SW_TEXT_BYTES];
	const uint64_t loaded = sw_parse_time(sw_text_at(p, "loaded")), at = sw_parse_time(now);
	sw_format_duration(at > loaded ? at - loaded : 0, ago);
	fprintf(out, "  policy     generation %lld, loaded %s ago from %s\n", (long long)sw_int_at(p, "generation_wanted"),
	    ago, sw_text_at(p, "file"));
	fprintf(out, "             services: %lld, groups: %lld, blocks: %lld; %s\n", (long long)sw_int_at(p, "services"),
	    (long long)sw_int_at(p, "groups"), (long long)sw_int_at(p, "blocks"),
	    sw_true_at(p, "in_step") ? "in force in the dataplane" : "NOT (YET) IN FORCE IN THE DATAPLANE");
	size_t i;
	json_t *one;
	json_array_foreach(sw_at(p, "last_load_findings"), i, one)
	{
		fprintf(out, "             %s: %s:%lld:%lld: %s: %s\n", sw_text_at(one, "severity"), sw_text_at(one, "file"),
		    (long long)sw_int_at(one, "line"), (long long)sw_int_at(one, "column"), sw_text_at(one, "path"),
		    sw_text_at(one, "message"));
		if (sw_text_at(one, "hint")[0])
			fprintf(out, "               %s\n", sw_text_at(one, "hint"));
	}
}

static void show_fill(FILE *out, const json_t *tables, const char *name, const char *key, bool last)
{
	char path[40], used[SW_TEXT_BYTES], size[SW_TEXT_BYTES];
	snprintf(path, sizeof(path), "%s.used", key);
	sw_format_count(sw_int_at(tables, path), used);
	snprintf(path, sizeof(path), "%s.size", key);
	sw_format_count(sw_int_at(tables, path), size);
	fprintf(out, "%s %s of %s%s", name, used, size, last ? "\n" : ", ");
}

static void show_links(FILE *out, const json_t *ports)
{
	size_t i;
	json_t *p;
	json_array_foreach(ports, i, p)
	{
		char rx[SW_TEXT_BYTES], tx[SW_TEXT_BYTES], missed[SW_TEXT_BYTES];
		fprintf(out, "  %-9s  %s %s%s%s, %s received, %s sent, %s missed\n", sw_text_at(p, "side"),
		    sw_text_at(p, "device"), sw_true_at(p, "up") ? "up" : "DOWN", sw_true_at(p, "xdp") ? ", XDP" : "",
		    sw_true_at(p, "rss") ? ", RSS" : "", sw_format_count(sw_int_at(p, "rx_packets"), rx),
		    sw_format_count(sw_int_at(p, "tx_packets"), tx), sw_format_count(sw_int_at(p, "missed"), missed));
	}
}

static void show_now(FILE *out, const json_t *json)
{
	static const char *const keys[] = {"rx", "forwarded", "answered", "absorbed", "dropped_total"};
	static const char *const names[] = {"received", "forwarded", "answered", "absorbed", "dropped"};
	fprintf(out, "  packets/s ");
	for (int i = 0; i < 5; i++) {
		char path[40], rate[SW_TEXT_BYTES];
		snprintf(path, sizeof(path), "rates.1s.%s", keys[i]);
		fprintf(out, " %s %s%s", names[i], sw_format_rate(sw_number_at(json, path), rate), i < 4 ? "," : "");
	}
	fprintf(out, "; unaccounted in all: %lld\n", (long long)sw_int_at(json, "accounting.unaccounted"));
}

void sw_show_status(FILE *out, const json_t *json)
{
	char since[SW_TEXT_BYTES];
	const char *health = sw_text_at(json, "health.status");
	fprintf(out, "Seawall %s: %s\n", sw_text_at(json, "version"),
	    !strcmp(health, "ok")        ? "all is well"
	    : !strcmp(health, "warning") ? "works, with warnings"
	                                 : "NOT HEALTHY");
	sw_show_findings(out, sw_at(json, "health.findings"), "  ");
	show_dataplane(out, sw_at(json, "dataplane"));
	fprintf(out, "  daemon     up %s, pid %lld\n",
	    sw_format_duration((uint64_t)sw_int_at(json, "control.uptime_s"), since),
	    (long long)sw_int_at(json, "control.pid"));
	show_policy(out, sw_at(json, "policy"), sw_text_at(json, "time"));
	show_links(out, sw_at(json, "ports"));
	const json_t *tables = sw_at(json, "tables");
	fprintf(out, "  tables    ");
	show_fill(out, tables, " flows", "flows", false);
	show_fill(out, tables, "sources", "sources", false);
	show_fill(out, tables, "limiter", "limiter", false);
	show_fill(out, tables, "held", "held", true);
	show_now(out, json);
	fputc('\n', out);
	sw_show_service_table(out, sw_at(json, "services"));
}

/* "ARMED 5 min 3 s", "quiet": how long it has been so, as far as is known. */
static void format_state(const json_t *s, char *to, size_t bytes)
{
	char since[SW_TEXT_BYTES];
	const uint64_t changed = sw_parse_time(sw_text_at(s, "changed")), now = (uint64_t)time(NULL);
	const char *state = sw_true_at(s, "armed") ? "ARMED" : "quiet";
	if (changed && now >= changed)
		snprintf(to, bytes, "%s %s", state, sw_format_duration(now - changed, since));
	else
		snprintf(to, bytes, "%s", state);
}

void sw_show_service_table(FILE *out, const json_t *services)
{
	struct sw_table table;
	char titles[] = "SERVICE|MODE|STATE|>SYN/s|>CONN/s|>OPEN|>PASSED/s|>ANSWERED/s|>DROPPED/s|>TRAFFIC";
	size_t i;
	json_t *s;
	sw_table_open(&table, titles);
	json_array_foreach(services, i, s)
	{
		char state[64], syn[SW_TEXT_BYTES], conn[SW_TEXT_BYTES], open[SW_TEXT_BYTES], passed[SW_TEXT_BYTES],
		    answered[SW_TEXT_BYTES], dropped[SW_TEXT_BYTES], bits[SW_TEXT_BYTES];
		format_state(s, state, sizeof(state));
		sw_table_row(&table, sw_text_at(s, "name"), sw_text_at(s, "mode"), state,
		    sw_format_rate(sw_number_at(s, "rates_1s.syn_received"), syn),
		    sw_format_rate(sw_number_at(s, "rates_1s.connections"), conn),
		    sw_format_count(sw_int_at(s, "concurrent"), open),
		    sw_format_rate(sw_number_at(s, "rates_1s.forwarded"), passed),
		    sw_format_rate(sw_number_at(s, "rates_1s.answered"), answered),
		    sw_format_rate(sw_number_at(s, "rates_1s.dropped_total"), dropped),
		    sw_format_bits(sw_number_at(s, "rates_1s.rx_bytes"), bits));
	}
	sw_table_print(&table, out, "No services: the dataplane has no policy yet, or does not run.");
}

static void show_groups(FILE *out, const json_t *groups)
{
	struct sw_table table;
	char titles[] = "GROUP|>SYN|>CONNECTIONS|>OPEN|>REFUSED";
	size_t i;
	json_t *g;
	sw_table_open(&table, titles);
	json_array_foreach(groups, i, g)
	{
		char syn[SW_TEXT_BYTES], conn[SW_TEXT_BYTES], open[SW_TEXT_BYTES], refused[SW_TEXT_BYTES];
		sw_table_row(&table, sw_text_at(g, "name"), sw_format_count(sw_int_at(g, "syn_received"), syn),
		    sw_format_count(sw_int_at(g, "connections"), conn), sw_format_count(sw_int_at(g, "concurrent"), open),
		    sw_format_count(sw_int_at(g, "refused"), refused));
	}
	sw_table_print(&table, out, NULL);
}

void sw_show_services(FILE *out, const json_t *json)
{
	const json_t *groups = sw_at(json, "groups");
	sw_show_service_table(out, sw_at(json, "services"));
	if (json_array_size(groups))
		fputc('\n', out);
	show_groups(out, groups);
}
