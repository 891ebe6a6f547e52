/* SPDX-License-Identifier: BSD-3-Clause */
/* The box as a whole: status, stats, health. Services are in view_services.c. */
#include "views.h"

#include <math.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

void sw_put_count(json_t *to, const char *key, uint64_t value)
{
	json_object_set_new(to, key, json_integer((json_int_t)value));
}

void sw_put_number(json_t *to, const char *key, double value)
{
	json_object_set_new(to, key, json_real(round(value * 10) / 10));
}

void sw_put_time(json_t *to, const char *key, uint64_t unix_ns)
{
	char text[40];
	const time_t seconds = (time_t)(unix_ns / 1000000000u);
	struct tm tm;
	if (!unix_ns || !gmtime_r(&seconds, &tm)) {
		json_object_set_new(to, key, json_null());
		return;
	}
	const size_t n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, sizeof(text) - n, ".%03uZ", (unsigned int)(unix_ns / 1000000u % 1000u));
	json_object_set_new(to, key, json_string(text));
}

void sw_put_text(json_t *to, const char *key, const char *text)
{
	json_t *value = json_string(text);
	json_object_set_new(to, key, value ? value : json_string(""));
}

static void put_refused(json_t *to, const struct sw_counters *c)
{
	json_t *refused = json_object();
	for (int i = 0; i < SW_DROP_REASON_COUNT; i++)
		if (sw_may_be_answered((enum sw_drop_reason)i))
			sw_put_count(refused, sw_drop_names[i], c->refused[i]);
	json_object_set_new(to, "refused", refused);
	sw_put_count(to, "refused_total", sw_counters_refused(c));
}

json_t *sw_view_accounting(const struct sw_sample *s)
{
	json_t *out = json_object(), *dropped = json_object();
	sw_put_count(out, "rx", sw_sample_rx(s));
	sw_put_count(out, "forwarded", sw_sample_forwarded(s));
	sw_put_count(out, "answered", s->total.count[SW_COUNT_ANSWERED]);
	sw_put_count(out, "absorbed", s->total.count[SW_COUNT_ABSORBED]);
	sw_put_count(out, "held", s->total.count[SW_COUNT_HELD]);
	for (int i = 0; i < SW_DROP_REASON_COUNT; i++)
		sw_put_count(dropped, sw_drop_names[i], s->total.dropped[i]);
	for (int i = 0; i < SW_WIRE_COUNTER_COUNT; i++)
		if (sw_wire_drop_name((enum sw_wire_counter)i))
			sw_put_count(dropped, sw_wire_drop_name((enum sw_wire_counter)i), s->wire[i]);
	json_object_set_new(out, "dropped", dropped);
	sw_put_count(out, "dropped_total", sw_sample_dropped(s));
	put_refused(out, &s->total);
	json_object_set_new(out, "unaccounted", json_integer(s->unaccounted));
	return out;
}

json_t *sw_view_counters(const struct sw_counters *c)
{
	json_t *out = json_object(), *dropped = json_object(), *events = json_object();
	for (int i = 0; i < SW_DISPOSITION_COUNT; i++)
		sw_put_count(out, sw_count_names[i], c->count[i]);
	for (int i = 0; i < SW_DROP_REASON_COUNT; i++)
		sw_put_count(dropped, sw_drop_names[i], c->dropped[i]);
	json_object_set_new(out, "dropped", dropped);
	sw_put_count(out, "dropped_total", sw_counters_dropped(c));
	put_refused(out, c);
	for (int i = SW_DISPOSITION_COUNT; i < SW_COUNT_COUNT; i++)
		sw_put_count(events, sw_count_names[i], c->count[i]);
	json_object_set_new(out, "events", events);
	return out;
}

static void put_rate(json_t *to, const char *key, uint64_t later, uint64_t before, double seconds)
{
	sw_put_number(to, key, later > before ? (double)(later - before) / seconds : 0);
}

/* Rates of one window. Reasons and events at rest are left out: there are many. */
static json_t *view_window(const struct sw_rate_point *from, const struct sw_rate_point *to, double seconds)
{
	json_t *out = json_object(), *dropped = json_object(), *refused = json_object(), *events = json_object();
	sw_put_number(out, "seconds", seconds);
	put_rate(out, "rx", to->rx, from->rx, seconds);
	put_rate(out, "forwarded", to->forwarded, from->forwarded, seconds);
	for (int i = SW_COUNT_ANSWERED; i < SW_COUNT_HELD; i++)
		put_rate(out, sw_count_names[i], to->total.count[i], from->total.count[i], seconds);
	put_rate(out, "dropped_total", to->dropped, from->dropped, seconds);
	for (int i = 0; i < SW_DROP_REASON_COUNT; i++)
		if (to->total.dropped[i] > from->total.dropped[i])
			put_rate(dropped, sw_drop_names[i], to->total.dropped[i], from->total.dropped[i], seconds);
	for (int i = 0; i < SW_WIRE_COUNTER_COUNT; i++)
		if (sw_wire_drop_name((enum sw_wire_counter)i) && to->wire[i] > from->wire[i])
			put_rate(dropped, sw_wire_drop_name((enum sw_wire_counter)i), to->wire[i], from->wire[i], seconds);
	json_object_set_new(out, "dropped", dropped);
	put_rate(out, "refused_total", sw_counters_refused(&to->total), sw_counters_refused(&from->total), seconds);
	for (int i = 0; i < SW_DROP_REASON_COUNT; i++)
		if (to->total.refused[i] > from->total.refused[i])
			put_rate(refused, sw_drop_names[i], to->total.refused[i], from->total.refused[i], seconds);
	json_object_set_new(out, "refused", refused);
	for (int i = SW_DISPOSITION_COUNT; i < SW_COUNT_COUNT; i++)
		if (to->total.count[i] > from->total.count[i])
			put_rate(events, sw_count_names[i], to->total.count[i], from->total.count[i], seconds);
	json_object_set_new(out, "events", events);
	put_rate(out, "missed", to->losses.missed, from->losses.missed, seconds);
	return out;
}

json_t *sw_view_rates(const struct sw_rates *rates)
{
	json_t *out = json_object();
	static const struct sw_rate_point zero;
	for (int i = 0; i < SW_RATE_WINDOWS; i++) {
		const struct sw_rate_point *from = &zero, *to = &zero;
		double seconds = 0;
		if (!sw_rates_window(rates, (enum sw_rate_window)i, &from, &to, &seconds))
			from = to = &zero;
		json_object_set_new(out, sw_rate_window_names[i], view_window(from, to, seconds));
	}
	return out;
}

static json_t *view_dataplane(const struct sw_sample *s)
{
	json_t *out = json_object();
	sw_put_text(out, "state", sw_dataplane_state_name(s->state));
	sw_put_text(out, "text", s->state_text);
	sw_put_time(out, "started", s->start_unix_ns);
	const uint64_t alive_unix_ns = s->unix_ns - s->heartbeat_age_ns; /* a dead one has grown no older since */
	sw_put_count(out, "uptime_s",
	    s->valid && alive_unix_ns > s->start_unix_ns ? (alive_unix_ns - s->start_unix_ns) / 1000000000u : 0);
	sw_put_count(out, "pid", s->pid);
	sw_put_count(out, "generation", s->generation);
	sw_put_count(out, "workers", s->worker_count);
	sw_put_text(out, "isa", s->isa);
	json_object_set_new(out, "hugepages", json_boolean(s->hugepages));
	sw_put_number(out, "heartbeat_age_s", (double)s->heartbeat_age_ns / 1e9);
	return out;
}

static json_t *view_ports(const struct sw_sample *s)
{
	json_t *out = json_array();
	for (uint32_t i = 0; s->valid && i < s->link_count * SW_SIDES; i++) {
		const struct sw_port_state *p = &s->ports[i];
		json_t *one = json_object(), *wire = json_object();
		sw_put_count(one, "link", p->link);
		sw_put_text(one, "side", p->side == SW_OUTSIDE ? "outside" : "inside");
		sw_put_text(one, "device", p->device);
		json_object_set_new(one, "up", json_boolean(p->up));
		json_object_set_new(one, "xdp", json_boolean(p->xdp));
		json_object_set_new(one, "rss", json_boolean(p->rss));
		sw_put_count(one, "rx_packets", p->rx_packets);
		sw_put_count(one, "rx_bytes", p->rx_bytes);
		sw_put_count(one, "tx_packets", p->tx_packets);
		sw_put_count(one, "tx_bytes", p->tx_bytes);
		sw_put_count(one, "missed", p->missed);
		sw_put_count(one, "no_mbuf", p->no_mbuf);
		sw_put_count(one, "errors", p->errors);
		for (int k = 0; k < SW_WIRE_COUNTER_COUNT; k++)
			sw_put_count(wire, sw_wire_names[k], p->wire[k]);
		json_object_set_new(one, "wire", wire);
		json_array_append_new(out, one);
	}
	return out;
}

static json_t *view_workers(const struct sw_sample *s)
{
	json_t *out = json_array();
	for (uint32_t i = 0; s->valid && i < s->worker_count; i++) {
		const struct sw_worker_counters *w = &s->workers[i];
		json_t *one = json_object();
		sw_put_count(one, "worker", i);
		json_object_set_new(one, "readable", json_boolean(!(s->torn & (1ull << i))));
		sw_put_count(one, "bursts", w->bursts);
		sw_put_count(one, "idle_polls", w->idle_polls);
		sw_put_count(one, "sleeps", w->sleeps);
		for (int k = 0; k < SW_DISPOSITION_COUNT; k++)
			sw_put_count(one, sw_count_names[k], w->total.count[k]);
		sw_put_count(one, "dropped_total", sw_counters_dropped(&w->total));
		sw_put_count(one, "handed_over", w->total.count[SW_COUNT_HANDED_OVER]);
		sw_put_count(one, "flows", w->flows_used);
		sw_put_count(one, "sources", w->sources_used);
		json_array_append_new(out, one);
	}
	return out;
}

static void put_table(json_t *to, const char *key, uint64_t used, uint64_t size)
{
	json_t *one = json_object();
	sw_put_count(one, "used", used);
	sw_put_count(one, "size", size);
	json_object_set_new(to, key, one);
}

static json_t *view_tables(struct sw_server *server, const struct sw_sample *s)
{
	const struct sw_policy *policy = sw_control_policy(server->control);
	const struct sw_spec_boot *boot = &policy->spec->boot;
	json_t *out = json_object();
	put_table(out, "flows", s->flows_used, boot->flows);
	put_table(out, "sources", s->sources_used, s->valid ? s->source_records : boot->source_records);
	put_table(out, "limiter", s->limiter_used, boot->limiter_entries);
	put_table(out, "held", s->held_used, boot->held_pkts);
	sw_put_count(out, "flows_proxied", s->flows_proxied);
	sw_put_count(out, "flows_established", s->flows_established);
	sw_put_count(out, "sources_proven", s->sources_proven);
	sw_policy_release(policy);
	return out;
}

static json_t *view_losses(const struct sw_sample *s)
{
	json_t *out = json_object();
	sw_put_count(out, "missed", s->losses.missed);
	sw_put_count(out, "no_mbuf", s->losses.no_mbuf);
	sw_put_count(out, "errors", s->losses.errors);
	json_object_set_new(out, "in_flight", json_integer(s->losses.in_flight));
	return out;
}

json_t *sw_view_stats(struct sw_server *server)
{
	const struct sw_sample *s = sw_observer_lock(server->observer);
	json_t *out = json_object(), *events = json_object(), *wire = json_object();
	sw_put_time(out, "time", s->unix_ns);
	json_object_set_new(out, "dataplane", view_dataplane(s));
	json_object_set_new(out, "accounting", sw_view_accounting(s));
	json_object_set_new(out, "losses", view_losses(s));
	for (int i = SW_DISPOSITION_COUNT; i < SW_COUNT_COUNT; i++)
		sw_put_count(events, sw_count_names[i], s->total.count[i]);
	json_object_set_new(out, "events", events);
	for (int i = 0; i < SW_WIRE_COUNTER_COUNT; i++)
		sw_put_count(wire, sw_wire_names[i], s->wire[i]);
	json_object_set_new(out, "wire", wire);
	json_object_set_new(out, "tables", view_tables(server, s));
	json_object_set_new(out, "rates", sw_view_rates(sw_observer_rates(server->observer)));
	json_object_set_new(out, "ports", view_ports(s));
	json_object_set_new(out, "workers", view_workers(s));
	sw_observer_unlock(server->observer);
	return out;
}

void sw_server_judge(struct sw_server *server, const struct sw_sample *s, struct sw_health *out)
{
	struct sw_control_status status;
	sw_control_status(server->control, &status);
	const struct sw_policy *policy = sw_control_policy(server->control);
	const struct sw_spec_boot *boot = &policy->spec->boot;
	const struct sw_health_inputs in = {
	    .sample = s,
	    .rates = sw_observer_rates(server->observer),
	    .control = &status,
	    .flows = boot->flows,
	    .source_records = s->source_records,
	    .limiter_entries = boot->limiter_entries,
	    .held_pkts = boot->held_pkts,
	    .incidents_error = sw_incidents_error(sw_observer_incidents(server->observer)),
	    .sampled_unix_ns = sw_observer_sampled_unix_ns(server->observer),
	    .interval_ms = server->interval_ms,
	};
	sw_health_judge(&in, out);
	sw_policy_release(policy);
}

static json_t *view_health(const struct sw_health *health)
{
	json_t *findings = json_array();
	for (uint32_t i = 0; i < health->count; i++) {
		const struct sw_finding *f = &health->findings[i];
		json_t *one = json_object();
		sw_put_text(one, "severity", sw_health_name(f->severity));
		sw_put_text(one, "code", f->code);
		sw_put_text(one, "message", f->message);
		sw_put_text(one, "hint", f->hint);
		json_array_append_new(findings, one);
	}
	return json_pack("{s:s, s:o}", "status", sw_health_name(health->status), "findings", findings);
}

json_t *sw_view_health(struct sw_server *server, enum sw_health_status *status)
{
	struct sw_health health;
	sw_server_judge(server, sw_observer_lock(server->observer), &health);
	sw_observer_unlock(server->observer);
	*status = health.status;
	return view_health(&health);
}

static json_t *view_policy(struct sw_server *server, const struct sw_sample *s)
{
	struct sw_control_status status;
	sw_control_status(server->control, &status);
	const struct sw_policy *policy = sw_control_policy(server->control);
	json_t *out = json_object();
	sw_put_text(out, "file", sw_control_config_path(server->control));
	sw_put_time(out, "loaded", policy->loaded_unix_ns);
	json_object_set_new(out, "is_last_good", json_boolean(policy->is_last_good || status.running_last_good));
	sw_put_count(out, "generation_wanted", status.generation_wanted);
	sw_put_count(out, "generation_in_force", s->valid ? s->generation : status.generation_in_force);
	json_object_set_new(
	    out, "in_step", json_boolean(s->state == SW_DATAPLANE_RUNNING && s->generation == status.generation_wanted));
	sw_put_time(out, "published", status.published_unix_ns);
	json_object_set_new(out, "dataplane_connected", json_boolean(status.dataplane_connected));
	sw_put_text(out, "dataplane_text", status.dataplane_text);
	json_object_set_new(out, "needs_restart", json_boolean(status.needs_restart));
	sw_put_text(out, "restart_field", status.needs_restart ? status.restart_field : "");
	sw_put_time(out, "last_load", status.last_load_unix_ns);
	sw_put_count(out, "services", policy->spec->services.count);
	sw_put_count(out, "services_retired", sw_policy_retired(policy));
	sw_put_count(out, "groups", policy->spec->groups.count);
	sw_put_count(out, "blocks", status.blocks);
	json_object_set_new(out, "last_load_findings", sw_control_last_error(server->control));
	sw_policy_release(policy);
	return out;
}

json_t *sw_view_status(struct sw_server *server)
{
	json_t *out = json_object(), *control = json_object();
	struct sw_health health;
	const struct sw_sample *s = sw_observer_lock(server->observer);
	sw_server_judge(server, s, &health);
	sw_put_time(out, "time", s->unix_ns);
	sw_put_text(out, "version", SW_VERSION);
	json_object_set_new(out, "health", view_health(&health));
	json_object_set_new(out, "dataplane", view_dataplane(s));
	sw_put_time(control, "started", server->start_unix_ns);
	sw_put_count(control, "uptime_s",
	    s->unix_ns > server->start_unix_ns ? (s->unix_ns - server->start_unix_ns) / 1000000000u : 0);
	sw_put_count(control, "pid", (uint64_t)getpid());
	sw_put_text(control, "runtime_dir", sw_control_runtime_dir(server->control));
	json_object_set_new(out, "control", control);
	json_object_set_new(out, "policy", view_policy(server, s));
	json_object_set_new(out, "accounting", sw_view_accounting(s));
	json_object_set_new(out, "losses", view_losses(s));
	json_object_set_new(out, "tables", view_tables(server, s));
	json_object_set_new(out, "rates", sw_view_rates(sw_observer_rates(server->observer)));
	json_object_set_new(out, "ports", view_ports(s));
	sw_observer_unlock(server->observer);
	json_t *services = sw_view_services(server);
	json_object_set(out, "services", json_object_get(services, "services"));
	json_decref(services);
	return out;
}
