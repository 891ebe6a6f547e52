/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GET /metrics: Prometheus text exposition format 0.0.4. Names, help and labels come from the lists in api/verdicts.h.
 * Counters begin at 0 with each dataplane, which Prometheus understands; process_start tells when.
 */
#include <stdio.h>
#include <stdlib.h>

#include "handlers.h"
#include "views.h"

static void head(FILE *to, const char *name, const char *type, const char *help)
{
	fprintf(to, "# HELP seawall_%s %s\n# TYPE seawall_%s %s\n", name, help, name, type);
}

/* A label's value: backslash, quote and line feed are escaped. */
static void label(FILE *to, const char *value)
{
	for (; *value; value++) {
		if (*value == '\\' || *value == '"')
			fputc('\\', to);
		if (*value == '\n')
			fputs("\\n", to);
		else
			fputc(*value, to);
	}
}

static void gauge(FILE *to, const char *name, const char *help, double value)
{
	head(to, name, "gauge", help);
	fprintf(to, "seawall_%s %.17g\n", name, value);
}

static void write_box(FILE *to, const struct sw_sample *s)
{
	head(to, "packets_total", "counter",
	    "Packets by how they ended; with what the XDP program decided alone. rx is all received.");
	fprintf(to, "seawall_packets_total{disposition=\"rx\"} %llu\n", (unsigned long long)sw_sample_rx(s));
	fprintf(to, "seawall_packets_total{disposition=\"forwarded\"} %llu\n", (unsigned long long)sw_sample_forwarded(s));
	for (int i = SW_COUNT_ANSWERED; i < SW_COUNT_HELD; i++)
		fprintf(to, "seawall_packets_total{disposition=\"%s\"} %llu\n", sw_count_names[i],
		    (unsigned long long)s->total.count[i]);
	fprintf(to, "seawall_packets_total{disposition=\"dropped\"} %llu\n", (unsigned long long)sw_sample_dropped(s));
	head(to, "dropped_packets_total", "counter",
	    "Packets dropped, by reason. The reasons are explained in docs/api.md.");
	for (int i = 0; i < SW_DROP_REASON_COUNT; i++)
		fprintf(to, "seawall_dropped_packets_total{reason=\"%s\"} %llu\n", sw_drop_names[i],
		    (unsigned long long)s->total.dropped[i]);
	for (int i = 0; i < SW_WIRE_COUNTER_COUNT; i++)
		if (sw_wire_drop_name((enum sw_wire_counter)i))
			fprintf(to, "seawall_dropped_packets_total{reason=\"%s\"} %llu\n",
			    sw_wire_drop_name((enum sw_wire_counter)i), (unsigned long long)s->wire[i]);
	head(to, "refused_packets_total", "counter",
	    "Packets refused and answered with a RST, by reason; part of those answered.");
	for (int i = 0; i < SW_DROP_REASON_COUNT; i++)
		if (sw_may_be_answered((enum sw_drop_reason)i))
			fprintf(to, "seawall_refused_packets_total{reason=\"%s\"} %llu\n", sw_drop_names[i],
			    (unsigned long long)s->total.refused[i]);
	gauge(to, "held_packets", sw_count_help[SW_COUNT_HELD], (double)s->total.count[SW_COUNT_HELD]);
	gauge(to, "unaccounted_packets", "Received packets that ended in no counter; 0 in a healthy box at rest.",
	    (double)s->unaccounted);
	for (int i = SW_DISPOSITION_COUNT; i < SW_COUNT_COUNT; i++) {
		char name[80];
		snprintf(name, sizeof(name), "%s_total", sw_count_names[i]);
		head(to, name, "counter", sw_count_help[i]);
		fprintf(to, "seawall_%s %llu\n", name, (unsigned long long)s->total.count[i]);
	}
}

static void write_tables(FILE *to, const struct sw_sample *s)
{
	gauge(to, "flows", "Flows in the tables now.", (double)s->flows_used);
	gauge(to, "flows_proxied", "Of these, proxied.", (double)s->flows_proxied);
	gauge(to, "flows_established", "Of these, established.", (double)s->flows_established);
	gauge(to, "sources", "Source records in use now.", (double)s->sources_used);
	gauge(to, "sources_known_proven", "Of these, sources that own their address.", (double)s->sources_proven);
	gauge(to, "limiter_entries", "Limiter entries in use now.", (double)s->limiter_used);
	gauge(to, "policy_generation", "Generation of the policy in force.", (double)s->generation);
	gauge(to, "dataplane_start_time_seconds", "Unix time at which the dataplane started.",
	    (double)s->start_unix_ns / 1e9);
	gauge(to, "heartbeat_age_seconds", "Since the dataplane was last seen alive.", (double)s->heartbeat_age_ns / 1e9);
}

static void port_line(FILE *to, const char *name, const struct sw_port_state *p, uint64_t value)
{
	fprintf(to, "seawall_port_%s{device=\"", name);
	label(to, p->device);
	fprintf(to, "\",link=\"%u\",side=\"%s\"} %llu\n", p->link, p->side == SW_OUTSIDE ? "outside" : "inside",
	    (unsigned long long)value);
}

static void write_ports(FILE *to, const struct sw_sample *s)
{
	static const struct {
		const char *name, *type, *help;
		size_t offset;
	} columns[] = {
#define COLUMN(field, help) {#field "_total", "counter", help, offsetof(struct sw_port_state, field)}
	    COLUMN(rx_packets, "Packets received by the dataplane at this port."),
	    COLUMN(rx_bytes, "Bytes received by the dataplane at this port."),
	    COLUMN(tx_packets, "Packets sent at this port."),
	    COLUMN(tx_bytes, "Bytes sent at this port."),
	    COLUMN(missed, "Lost for want of a descriptor: the NIC or the AF_XDP ring was full."),
	    COLUMN(no_mbuf, "Receive tries that found no packet buffer."),
	    COLUMN(errors, "Frames received with errors."),
#undef COLUMN
	};
	const uint32_t count = s->valid ? s->link_count * SW_SIDES : 0;
	for (size_t c = 0; c < sizeof(columns) / sizeof(columns[0]); c++) {
		char name[64];
		snprintf(name, sizeof(name), "port_%s", columns[c].name);
		head(to, name, columns[c].type, columns[c].help);
		for (uint32_t i = 0; i < count; i++) {
			uint64_t value;
			memcpy(&value, (const char *)&s->ports[i] + columns[c].offset, sizeof(value));
			port_line(to, columns[c].name, &s->ports[i], value);
		}
	}
	head(to, "port_up", "gauge", "1: the link is up.");
	for (uint32_t i = 0; i < count; i++)
		port_line(to, "up", &s->ports[i], s->ports[i].up);
	for (int k = 0; k < SW_WIRE_COUNTER_COUNT; k++) {
		char name[64];
		snprintf(name, sizeof(name), "port_wire_%s_total", sw_wire_names[k]);
		head(to, name, "counter", sw_wire_help[k]);
		for (uint32_t i = 0; i < count; i++)
			port_line(to, name + 5, &s->ports[i], s->ports[i].wire[k]);
	}
}

static void service_line(
    FILE *to, const char *name, const struct sw_service_sample *s, const char *extra, uint64_t value)
{
	fprintf(to, "seawall_service_%s{service=\"", name);
	label(to, s->state.name);
	fprintf(to, "\"%s} %llu\n", extra, (unsigned long long)value);
}

static void write_services(FILE *to, const struct sw_sample *s)
{
	head(to, "service_armed", "gauge", "1: SYNs towards the service are challenged.");
	for (uint32_t i = 0; i < s->service_count; i++)
		service_line(
		    to, "armed", &s->services[i], "", atomic_load_explicit(&s->services[i].state.armed, memory_order_relaxed));
	head(to, "service_times_armed_total", "counter", "How often the service was armed.");
	for (uint32_t i = 0; i < s->service_count; i++)
		service_line(to, "times_armed_total", &s->services[i], "", s->services[i].state.times_armed);
	head(to, "service_concurrent", "gauge", "Established connections of the service now.");
	for (uint32_t i = 0; i < s->service_count; i++)
		service_line(to, "concurrent", &s->services[i], "", s->services[i].state.concurrent);
	head(to, "service_packets_total", "counter", "Packets of the service by how they ended.");
	for (uint32_t i = 0; i < s->service_count; i++) {
		const struct sw_counters *c = &s->services[i].counters;
		char extra[64];
		for (int k = 0; k < SW_COUNT_HELD; k++) {
			snprintf(extra, sizeof(extra), ",disposition=\"%s\"", sw_count_names[k]);
			service_line(to, "packets_total", &s->services[i], extra, c->count[k]);
		}
		service_line(to, "packets_total", &s->services[i], ",disposition=\"dropped\"", sw_counters_dropped(c));
	}
	static const enum sw_count events[] = {SW_COUNT_SYN_RECEIVED, SW_COUNT_SENT_SYN_ACK, SW_COUNT_COOKIE_VALID,
	    SW_COUNT_FLOW_PROXIED, SW_COUNT_FLOW_NATIVE, SW_COUNT_SERVER_REFUSED, SW_COUNT_SERVER_SILENT,
	    SW_COUNT_SOURCES_BLOCKED};
	for (size_t k = 0; k < sizeof(events) / sizeof(events[0]); k++) {
		char name[80];
		snprintf(name, sizeof(name), "service_%s_total", sw_count_names[events[k]]);
		head(to, name, "counter", sw_count_help[events[k]]);
		for (uint32_t i = 0; i < s->service_count; i++)
			service_line(to, name + 8, &s->services[i], "", s->services[i].counters.count[events[k]]);
	}
}

unsigned int sw_handle_metrics(struct sw_exchange *x)
{
	char *text = NULL;
	size_t bytes = 0;
	struct sw_health health;
	FILE *to = open_memstream(&text, &bytes);
	if (!to)
		return sw_exchange_error(x, 500, "no_memory", NULL, "out of memory");
	const struct sw_sample *s = sw_observer_lock(x->server->observer);
	sw_server_judge(x->server, s, &health);
	gauge(to, "up", "1: a dataplane runs, and its counters can be read.", s->state == SW_DATAPLANE_RUNNING);
	gauge(to, "health", "0: all is well, 1: warnings, 2: critical.", (double)health.status);
	if (s->valid) {
		write_box(to, s);
		write_tables(to, s);
		write_ports(to, s);
		write_services(to, s);
	}
	sw_observer_unlock(x->server->observer);
	const bool broken = ferror(to);
	if (fclose(to) || broken) {
		free(text);
		return sw_exchange_error(x, 500, "no_memory", NULL, "out of memory");
	}
	x->text = text;
	x->text_bytes = bytes;
	x->content_type = "text/plain; version=0.0.4; charset=utf-8";
	return 200;
}
