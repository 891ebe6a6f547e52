/* SPDX-License-Identifier: BSD-3-Clause */
/* Counters for a person: the box, and one service. */
#include "commands.h"

#include <string.h>

#include "format.h"
#include "table.h"

static const struct {
	const char *key, *name;
} endings[] = {
    {"rx", "received"},
    {"forwarded", "forwarded"},
    {"answered", "answered"},
    {"absorbed", "absorbed"},
    {"held", "held now"},
    {"dropped_total", "dropped"},
};

/*
 * A rate as text. The box's list of rates leaves out what is at rest, which is 0; of a service only some are kept at
 * all, in one flat list, and the others are blank.
 */
static const char *rate_of(
    const json_t *rates, const char *window, const char *group, const char *key, char out[SW_TEXT_BYTES])
{
	const json_t *at = json_object_get(rates, window);
	const json_t *grouped = group ? json_object_get(at, group) : NULL;
	const json_t *rate = json_object_get(grouped ? grouped : at, key);
	if (!rate && group && !grouped)
		return "";
	return sw_format_rate(json_number_value(rate), out);
}

/* A counter with its total and its rates over the three windows. */
static void add_row(struct sw_table *table, const char *indent, const char *name, int64_t total, const json_t *rates,
    const char *group, const char *key)
{
	char label[80], sum[SW_TEXT_BYTES], one[SW_TEXT_BYTES], ten[SW_TEXT_BYTES], sixty[SW_TEXT_BYTES];
	snprintf(label, sizeof(label), "%s%s", indent, name);
	sw_table_row(table, label, sw_format_count(total, sum), rate_of(rates, "1s", group, key, one),
	    rate_of(rates, "10s", group, key, ten), rate_of(rates, "60s", group, key, sixty));
}

static void add_group(struct sw_table *table, const json_t *counters, const json_t *rates, const char *group, bool all)
{
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)counters, key, value) if (all || json_integer_value(value))
	    add_row(table, "  ", key, json_integer_value(value), rates, group, key);
}

static void show_accounting(FILE *out, const json_t *json, const json_t *rates, bool all)
{
	struct sw_table table;
	char titles[] = "PACKETS|>TOTAL|>NOW/s|>10 s/s|>60 s/s";
	sw_table_open(&table, titles);
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++)
		add_row(&table, "", endings[i].name, sw_int_at(json, endings[i].key), rates, NULL, endings[i].key);
	add_group(&table, sw_at(json, "dropped"), rates, "dropped", all);
	if (all || sw_int_at(json, "refused_total"))
		add_row(&table, "", "refused with a RST", sw_int_at(json, "refused_total"), rates, NULL, "refused_total");
	add_group(&table, sw_at(json, "refused"), rates, "refused", all);
	char unaccounted[SW_TEXT_BYTES];
	if (sw_at(json, "unaccounted"))
		sw_table_row(&table, "unaccounted", sw_format_count(sw_int_at(json, "unaccounted"), unaccounted), "", "", "");
	sw_table_print(&table, out, NULL);
}

static void show_events(FILE *out, const json_t *events, const json_t *rates, bool all)
{
	struct sw_table table;
	char titles[] = "EVENTS|>TOTAL|>NOW/s|>10 s/s|>60 s/s";
	sw_table_open(&table, titles);
	add_group(&table, events, rates, "events", all);
	sw_table_print(&table, out, "No events yet.");
}

static void show_ports(FILE *out, const json_t *ports)
{
	struct sw_table table;
	char titles[] = "PORT|SIDE|STATE|>RECEIVED|>SENT|>BY XDP|>MISSED|>NO BUFFER|>ERRORS";
	size_t i;
	json_t *p;
	sw_table_open(&table, titles);
	json_array_foreach(ports, i, p)
	{
		static const char *const decided[] = {"wire.passed_not_protected", "wire.passed_no_dataplane",
		    "wire.passed_stale", "wire.dropped_denied", "wire.dropped_blocked", "wire.dropped_no_dataplane",
		    "wire.dropped_stale"};
		char rx[SW_TEXT_BYTES], tx[SW_TEXT_BYTES], by_xdp[SW_TEXT_BYTES], missed[SW_TEXT_BYTES], buffer[SW_TEXT_BYTES],
		    errors[SW_TEXT_BYTES];
		int64_t sum = 0;
		for (size_t k = 0; k < sizeof(decided) / sizeof(decided[0]); k++)
			sum += sw_int_at(p, decided[k]);
		sw_table_row(&table, sw_text_at(p, "device"), sw_text_at(p, "side"), sw_true_at(p, "up") ? "up" : "DOWN",
		    sw_format_count(sw_int_at(p, "rx_packets"), rx), sw_format_count(sw_int_at(p, "tx_packets"), tx),
		    sw_true_at(p, "xdp") ? sw_format_count(sum, by_xdp) : "-", sw_format_count(sw_int_at(p, "missed"), missed),
		    sw_format_count(sw_int_at(p, "no_mbuf"), buffer), sw_format_count(sw_int_at(p, "errors"), errors));
	}
	sw_table_print(&table, out, NULL);
}

void sw_show_stats(FILE *out, const json_t *json, bool all)
{
	const json_t *rates = sw_at(json, "rates");
	char started[SW_TEXT_BYTES];
	if (strcmp(sw_text_at(json, "dataplane.state"), "running"))
		fprintf(out, "dataplane %s: %s\n\n", sw_text_at(json, "dataplane.state"), sw_text_at(json, "dataplane.text"));
	fprintf(out, "Since %s\n\n", sw_format_time(sw_text_at(json, "dataplane.started"), started));
	show_accounting(out, sw_at(json, "accounting"), rates, all);
	fputc('\n', out);
	show_events(out, sw_at(json, "events"), rates, all);
	fputc('\n', out);
	show_ports(out, sw_at(json, "ports"));
}

static void show_profile(FILE *out, const char *name, const json_t *p)
{
	if (!json_is_object(p)) {
		fprintf(out, "  promised   %s: not known yet\n", name);
		return;
	}
	fprintf(out, "  promised   %s: MSS %lld, window scale ", name, (long long)sw_int_at(p, "mss"));
	if (json_is_integer(sw_at(p, "window_scale")))
		fprintf(out, "%lld", (long long)sw_int_at(p, "window_scale"));
	else
		fprintf(out, "none");
	fprintf(out, "%s%s%s\n", sw_true_at(p, "sack") ? ", SACK" : "", sw_true_at(p, "timestamps") ? ", timestamps" : "",
	    sw_true_at(p, "ecn") ? ", ECN" : "");
}

void sw_show_service(FILE *out, const json_t *json)
{
	char changed[SW_TEXT_BYTES], open[SW_TEXT_BYTES];
	size_t i;
	json_t *target;
	fprintf(out, "%s: mode %s, %s", sw_text_at(json, "name"), sw_text_at(json, "mode"),
	    sw_true_at(json, "armed") ? "ARMED" : "quiet");
	if (sw_text_at(json, "changed")[0])
		fprintf(out, " since %s", sw_format_time(sw_text_at(json, "changed"), changed));
	fprintf(out, "\n  so far     armed %lld time%s; %s connections open now\n",
	    (long long)sw_int_at(json, "times_armed"), sw_int_at(json, "times_armed") == 1 ? "" : "s",
	    sw_format_count(sw_int_at(json, "concurrent"), open));
	fprintf(out, "  targets   ");
	json_array_foreach(sw_at(json, "targets"), i, target) fprintf(out, " %s", json_string_value(target));
	fputc('\n', out);
	show_profile(out, "IPv4", sw_at(json, "profile_ipv4"));
	show_profile(out, "IPv6", sw_at(json, "profile_ipv6"));
	fputc('\n', out);
	const json_t *rates = sw_at(json, "rates");
	show_accounting(out, sw_at(json, "counters"), rates, false);
	fputc('\n', out);
	show_events(out, sw_at(json, "counters.events"), rates, false);
}
