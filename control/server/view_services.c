/* SPDX-License-Identifier: BSD-3-Clause */
/* Services and groups, the live sample and the history as JSON. */
#include <stdlib.h>

#include "views.h"

enum { STREAM_SERVICES_MAX = 64 };

static void put_optional(json_t *to, const char *key, bool known, json_int_t value)
{
	json_object_set_new(to, key, known ? json_integer(value) : json_null());
}

/* What the box promises in the server's name; null: not known yet. */
static json_t *view_profile(const struct sw_service_state *state, int family)
{
	const bool known = state->profile_known & (family ? 0x20 : 0x10);
	json_t *out = json_object();
	if (!known)
		return json_decref(out), json_null();
	sw_put_count(out, "mss", state->profile[family].mss);
	put_optional(out, "window_scale", state->profile[family].window_scale >= 0, state->profile[family].window_scale);
	json_object_set_new(out, "sack", json_boolean(state->profile[family].sack));
	json_object_set_new(out, "timestamps", json_boolean(state->profile[family].timestamps));
	json_object_set_new(out, "ecn", json_boolean(state->profile[family].ecn));
	return out;
}

static bool is_retired(const struct sw_policy *policy, uint32_t slot)
{
	const struct sw_service *service = sw_policy_retired(policy) ? sw_policy_service(policy, slot) : NULL;
	return service && service->retired;
}

static const char *mode_of(const struct sw_policy *policy, const struct sw_service_sample *s)
{
	if (is_retired(policy, s->slot))
		return "retired"; /* off, and no longer configured */
	return s->state.mode < SW_MODES ? sw_mode_names[s->state.mode] : "unknown";
}

static json_t *view_service_head(
    const struct sw_policy *policy, const struct sw_rates *rates, const struct sw_service_sample *s)
{
	json_t *out = json_object();
	double rate[SW_SERVICE_RATE_COUNT];
	sw_put_text(out, "name", s->state.name);
	sw_put_text(out, "mode", mode_of(policy, s));
	json_object_set_new(out, "armed", json_boolean(atomic_load_explicit(&s->state.armed, memory_order_relaxed)));
	sw_put_count(out, "syn_per_s", s->state.syn_per_s);
	sw_put_count(out, "concurrent", s->state.concurrent);
	sw_put_time(out, "changed", s->state.changed_unix_ns);
	sw_put_count(out, "times_armed", s->state.times_armed);
	sw_rates_service(rates, s->slot, SW_RATE_1S, rate);
	json_t *now = json_object();
	for (int i = 0; i < SW_SERVICE_RATE_COUNT; i++)
		sw_put_number(now, sw_service_rate_names[i], rate[i]);
	json_object_set_new(out, "rates_1s", now);
	return out;
}

static json_t *view_service_rates(const struct sw_rates *rates, uint32_t slot)
{
	json_t *out = json_object();
	for (int w = 0; w < SW_RATE_WINDOWS; w++) {
		double rate[SW_SERVICE_RATE_COUNT];
		json_t *window = json_object();
		sw_rates_service(rates, slot, (enum sw_rate_window)w, rate);
		for (int i = 0; i < SW_SERVICE_RATE_COUNT; i++)
			sw_put_number(window, sw_service_rate_names[i], rate[i]);
		json_object_set_new(out, sw_rate_window_names[w], window);
	}
	return out;
}

/* As the dataplane has them: of retired services too. */
static json_t *view_targets(const struct sw_policy *policy, uint32_t slot)
{
	json_t *out = json_array();
	const struct sw_service *service = sw_policy_service(policy, slot);
	const struct sw_target *t = service ? sw_policy_target(policy, service, NULL) : NULL;
	for (; t; t = sw_policy_target(policy, service, t)) {
		char text[SW_TARGET_TEXT_BYTES];
		const struct sw_spec_target target = {
		    .server = t->server, .port_first = t->port_first, .port_last = t->port_last};
		json_array_append_new(out, json_string(sw_target_format(&target, text)));
	}
	return out;
}

json_t *sw_view_service(struct sw_server *server, const char *name, bool *missing)
{
	const struct sw_policy *policy = sw_control_policy(server->control);
	const struct sw_sample *sample = sw_observer_lock(server->observer);
	const struct sw_service_sample *s = sw_sample_service(sample, name);
	json_t *out = NULL;
	*missing = !s;
	if (s) {
		const struct sw_rates *rates = sw_observer_rates(server->observer);
		out = view_service_head(policy, rates, s);
		json_object_set_new(out, "targets", view_targets(policy, s->slot));
		json_object_set_new(out, "profile_source",
		    json_string((s->state.profile_known & 0xf) == 0   ? "unknown"
		                : (s->state.profile_known & 0xf) == 1 ? "learned"
		                                                      : "set"));
		json_object_set_new(out, "profile_ipv4", view_profile(&s->state, 0));
		json_object_set_new(out, "profile_ipv6", view_profile(&s->state, 1));
		json_object_set_new(out, "rates", view_service_rates(rates, s->slot));
		json_object_set_new(out, "counters", sw_view_counters(&s->counters));
	}
	sw_observer_unlock(server->observer);
	sw_policy_release(policy);
	return out;
}

static json_t *view_groups(const struct sw_policy *policy, const struct sw_sample *s)
{
	json_t *out = json_array();
	for (uint32_t i = 0; i < s->group_count; i++) {
		const char *name = sw_policy_group_name(policy, i);
		if (!name)
			continue;
		json_t *one = json_object();
		sw_put_text(one, "name", name);
		sw_put_count(one, "syn_received", s->groups[i].syn_received);
		sw_put_count(one, "connections", s->groups[i].conn_opened);
		sw_put_count(one, "concurrent", s->groups[i].concurrent);
		sw_put_count(one, "refused", s->groups[i].refused);
		json_array_append_new(out, one);
	}
	return out;
}

json_t *sw_view_services(struct sw_server *server)
{
	const struct sw_policy *policy = sw_control_policy(server->control);
	const struct sw_sample *s = sw_observer_lock(server->observer);
	const struct sw_rates *rates = sw_observer_rates(server->observer);
	json_t *out = json_object(), *services = json_array();
	sw_put_time(out, "time", s->unix_ns);
	for (uint32_t i = 0; i < s->service_count; i++) {
		json_t *one = view_service_head(policy, rates, &s->services[i]);
		json_object_set_new(one, "targets", view_targets(policy, s->services[i].slot));
		json_array_append_new(services, one);
	}
	json_object_set_new(out, "services", services);
	json_object_set_new(out, "groups", view_groups(policy, s));
	sw_observer_unlock(server->observer);
	sw_policy_release(policy);
	return out;
}

/* Armed ones first, then by SYN/s: of thousands of services the stream shows those that matter now. */
static int by_weight(const void *a, const void *b)
{
	const struct sw_service_sample *x = *(const struct sw_service_sample *const *)a;
	const struct sw_service_sample *y = *(const struct sw_service_sample *const *)b;
	const bool x_armed = atomic_load_explicit(&x->state.armed, memory_order_relaxed);
	const bool y_armed = atomic_load_explicit(&y->state.armed, memory_order_relaxed);
	if (x_armed != y_armed)
		return y_armed - x_armed;
	if (x->state.syn_per_s != y->state.syn_per_s)
		return x->state.syn_per_s < y->state.syn_per_s ? 1 : -1;
	return x->slot < y->slot ? -1 : 1;
}

static json_t *view_busiest(const struct sw_policy *policy, const struct sw_sample *s, const struct sw_rates *rates)
{
	json_t *out = json_array();
	const struct sw_service_sample **order = calloc(s->service_count + 1, sizeof(struct sw_service_sample *));
	for (uint32_t i = 0; order && i < s->service_count; i++)
		order[i] = &s->services[i];
	if (order)
		qsort(order, s->service_count, sizeof(*order), by_weight);
	for (uint32_t i = 0; order && i < s->service_count && i < STREAM_SERVICES_MAX; i++)
		json_array_append_new(out, view_service_head(policy, rates, order[i]));
	free(order);
	return out;
}

json_t *sw_view_sample(struct sw_server *server)
{
	struct sw_health health;
	const struct sw_policy *policy = sw_control_policy(server->control);
	const struct sw_sample *s = sw_observer_lock(server->observer);
	const struct sw_rates *rates = sw_observer_rates(server->observer);
	json_t *out = json_object();
	sw_put_time(out, "time", s->unix_ns);
	sw_put_text(out, "dataplane", sw_dataplane_state_name(s->state));
	sw_server_judge(server, s, &health);
	sw_put_text(out, "health", sw_health_name(health.status));
	sw_put_text(out, "worst", health.count ? health.findings[0].message : "");
	json_object_set_new(out, "accounting", sw_view_accounting(s));
	json_t *all = sw_view_rates(rates);
	json_object_set(out, "rates", json_object_get(all, sw_rate_window_names[SW_RATE_1S]));
	json_decref(all);
	sw_put_count(out, "flows", s->flows_used);
	sw_put_count(out, "sources", s->sources_used);
	sw_put_count(out, "sources_proven", s->sources_proven);
	json_object_set_new(out, "services", view_busiest(policy, s, rates));
	sw_put_count(
	    out, "services_left_out", s->service_count > STREAM_SERVICES_MAX ? s->service_count - STREAM_SERVICES_MAX : 0);
	sw_observer_unlock(server->observer);
	sw_policy_release(policy);
	return out;
}

/* Parallel arrays, as a plot wants them: each rate is over the interval that ends at the time of the same index. */
json_t *sw_view_history(struct sw_server *server)
{
	static const char *const names[] = {
	    "rx", "forwarded", "answered", "absorbed", "dropped", "syn_received", "cookie_valid"};
	enum { SERIES = sizeof(names) / sizeof(names[0]) };
	json_t *out = json_object(), *times = json_array(), *series[SERIES];
	for (int k = 0; k < SERIES; k++)
		series[k] = json_array();
	sw_observer_lock(server->observer);
	const struct sw_rates *rates = sw_observer_rates(server->observer);
	for (uint32_t i = 1; i < sw_rates_count(rates); i++) {
		const struct sw_rate_point *a = sw_rates_point(rates, i - 1), *b = sw_rates_point(rates, i);
		const double seconds = (double)(b->mono_ns - a->mono_ns) / 1e9;
		const uint64_t delta[SERIES] = {b->rx - a->rx, b->forwarded - a->forwarded,
		    b->total.count[SW_COUNT_ANSWERED] - a->total.count[SW_COUNT_ANSWERED],
		    b->total.count[SW_COUNT_ABSORBED] - a->total.count[SW_COUNT_ABSORBED], b->dropped - a->dropped,
		    b->total.count[SW_COUNT_SYN_RECEIVED] - a->total.count[SW_COUNT_SYN_RECEIVED],
		    b->total.count[SW_COUNT_COOKIE_VALID] - a->total.count[SW_COUNT_COOKIE_VALID]};
		json_array_append_new(times, json_integer((json_int_t)(b->unix_ns / 1000000u)));
		for (int k = 0; k < SERIES; k++)
			json_array_append_new(series[k], json_integer((json_int_t)((double)delta[k] / seconds + 0.5)));
	}
	sw_observer_unlock(server->observer);
	json_object_set_new(out, "unix_ms", times);
	for (int k = 0; k < SERIES; k++)
		json_object_set_new(out, names[k], series[k]);
	return out;
}
