/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GET /why/ADDRESS: what happens to one address, and why. The policy's part is known here; what its owner among the
 * workers knows (buckets, record) is asked of the dataplane, one question for each service that it concerns.
 */
#include <stdio.h>
#include <stdlib.h>

#include "handlers.h"
#include "policy/address_text.h"
#include "views.h"

static const char *const rule_names[SW_RULE_KINDS] = {
    [SW_RULE_ALLOW] = "allow", [SW_RULE_DENY] = "deny", [SW_RULE_BLOCK] = "block", [SW_RULE_GROUP] = "group"};

static json_t *view_bucket(const struct sw_bucket_fill *b)
{
	if (!b->per_s && !b->burst)
		return json_null(); /* no limit */
	json_t *out = json_object();
	sw_put_count(out, "per_s", b->per_s);
	sw_put_count(out, "burst", b->burst);
	sw_put_count(out, "available", b->available);
	return out;
}

static json_t *view_budget(const char *of, const struct sw_bucket_fill *syn, const struct sw_bucket_fill *conn,
    uint32_t concurrent, uint32_t concurrent_limit)
{
	json_t *out = json_object();
	sw_put_text(out, "of", of);
	json_object_set_new(out, "syn", view_bucket(syn));
	json_object_set_new(out, "conn", view_bucket(conn));
	sw_put_count(out, "concurrent", concurrent);
	json_object_set_new(out, "concurrent_limit", concurrent_limit ? json_integer(concurrent_limit) : json_null());
	return out;
}

/* The prefix of `address` at one level of the policy, as text. */
static void level_text(
    const struct sw_policy *policy, const struct sw_address *address, uint32_t level, char text[SW_PREFIX_TEXT_BYTES])
{
	const struct sw_spec_level *levels = SW_SPEC_ITEMS(policy->spec->global.prefix_levels, struct sw_spec_level);
	struct sw_prefix p = {.address = *address, .length = 128};
	if (level)
		p.length = (uint8_t)(sw_address_is_ipv4(address) ? SW_IPV4_MAPPED_BITS + levels[level - 1].ipv4_length
		                                                 : levels[level - 1].ipv6_length);
	p.address = sw_address_mask(*address, p.length);
	sw_prefix_format(&p, text);
}

static json_t *view_budgets(
    const struct sw_policy *policy, const struct sw_address *address, const struct sw_explain *e, const char *service)
{
	json_t *out = json_array();
	char text[SW_PREFIX_TEXT_BYTES + SW_NAME_BYTES];
	for (uint32_t i = 0; i <= policy->spec->global.prefix_levels.count && i < SW_PREFIX_LEVELS; i++) {
		level_text(policy, address, i, text);
		json_array_append_new(out, view_budget(text, &e->levels[i].syn, &e->levels[i].conn, e->levels[i].concurrent,
		                               e->levels[i].concurrent_limit));
	}
	const char *group = e->group == SW_NONE ? NULL : sw_policy_group_name(policy, e->group);
	if (group) {
		snprintf(text, sizeof(text), "group %s", group);
		json_array_append_new(out, view_budget(text, &e->in_group.syn, &e->in_group.conn, e->in_group.concurrent,
		                               e->in_group.concurrent_limit));
	}
	snprintf(text, sizeof(text), "service %s", service);
	json_array_append_new(out, view_budget(text, &e->in_service.syn, &e->in_service.conn, e->in_service.concurrent,
	                               e->in_service.concurrent_limit));
	return out;
}

/* The entry that decides, with what it has caught so far. */
static json_t *view_rule(struct sw_server *server, const struct sw_policy *policy, const struct sw_explain *e)
{
	const bool decides = e->rule < SW_RULE_GROUP;
	json_t *out = json_object();
	sw_put_text(out, "kind", decides ? rule_names[e->rule] : "none");
	const struct sw_prefix_rule *rule = decides && e->entry != SW_NONE ? sw_policy_rule(policy, e->entry) : NULL;
	if (!rule)
		return out;
	char text[SW_PREFIX_TEXT_BYTES];
	sw_put_text(out, "prefix", sw_prefix_format(&rule->prefix, text));
	sw_put_time(out, "until", rule->until_unix_ns);
	sw_observer_lock(server->observer);
	sw_put_count(out, "packets", sw_observer_entry_hits(server->observer, e->entry));
	sw_observer_unlock(server->observer);
	return out;
}

static bool bucket_empty(const struct sw_bucket_fill *b)
{
	return (b->per_s || b->burst) && !b->available;
}

/* Which limits are used up now: the next SYN or connection would be refused by them. */
static json_t *view_exhausted(
    const struct sw_policy *policy, const struct sw_address *address, const struct sw_explain *e)
{
	json_t *out = json_array();
	for (uint32_t i = 0; i <= policy->spec->global.prefix_levels.count && i < SW_PREFIX_LEVELS; i++) {
		char text[SW_PREFIX_TEXT_BYTES];
		level_text(policy, address, i, text);
		if (bucket_empty(&e->levels[i].syn))
			json_array_append_new(out, json_sprintf("SYN rate of %s", text));
		if (bucket_empty(&e->levels[i].conn))
			json_array_append_new(out, json_sprintf("connection rate of %s", text));
		if (e->levels[i].concurrent_limit && e->levels[i].concurrent >= e->levels[i].concurrent_limit)
			json_array_append_new(out, json_sprintf("concurrent connections of %s", text));
	}
	if (bucket_empty(&e->in_group.syn) || bucket_empty(&e->in_group.conn))
		json_array_append_new(out, json_string("budget of its group"));
	if (bucket_empty(&e->in_service.syn) || bucket_empty(&e->in_service.conn))
		json_array_append_new(out, json_string("budget of the service"));
	return out;
}

/* One sentence that says what happens to a new connection from this address. */
static void verdict(const struct sw_explain *e, bool blocked, bool used_up, char *to, size_t bytes)
{
	if (e->rule == SW_RULE_ALLOW)
		snprintf(to, bytes, "passes as if unprotected: it is in the allow list");
	else if (e->rule == SW_RULE_DENY)
		snprintf(to, bytes, "dropped: it is in the deny list");
	else if (e->rule == SW_RULE_BLOCK)
		snprintf(to, bytes, "dropped: an operator blocked it");
	else if (blocked)
		snprintf(to, bytes,
		    "dropped or refused: it proved its address and was refused too often, so it is blocked for a time");
	else if (!e->armed)
		snprintf(to, bytes, "passes natively: the service is quiet");
	else if (used_up)
		snprintf(to, bytes, "refused until its budget refills: the service is armed, and a limit is used up");
	else
		snprintf(to, bytes, "challenged with a cookie, within its limits: the service is armed");
}

static json_t *view_towards(struct sw_server *server, const struct sw_policy *policy, const struct sw_address *address,
    const char *service, const struct sw_explain *e)
{
	json_t *out = json_object();
	char text[160];
	struct sw_evidence_record record = {0};
	const struct sw_sample *s = sw_observer_lock(server->observer);
	const struct sw_region *r = sw_observer_region(server->observer);
	if (e->has_record && r)
		sw_evidence_convert(r, &e->record, e->worker, s->unix_ns, &record);
	sw_observer_unlock(server->observer);
	json_t *used_up = view_exhausted(policy, address, e);
	verdict(e, record.blocked_until_unix_ns != 0, json_array_size(used_up) > 0, text, sizeof(text));
	sw_put_text(out, "service", service);
	sw_put_text(out, "verdict", text);
	json_object_set_new(out, "armed", json_boolean(e->armed));
	json_object_set_new(out, "rule", view_rule(server, policy, e));
	const char *group = e->group == SW_NONE ? NULL : sw_policy_group_name(policy, e->group);
	json_object_set_new(out, "group", group ? json_string(group) : json_null());
	json_object_set_new(out, "proof", e->has_record ? json_string(sw_proof_names[record.proof]) : json_null());
	sw_put_time(out, "blocked_until", record.blocked_until_unix_ns);
	sw_put_count(out, "worker", e->worker);
	json_object_set_new(out, "used_up", used_up);
	json_object_set_new(out, "budgets", view_budgets(policy, address, e, service));
	return out;
}

/* Asks for every service, or the one named. False: the dataplane could not be asked; `error` says why. */
static bool ask(struct sw_server *server, const struct sw_policy *policy, const struct sw_address *address,
    const char *only, json_t *towards, char *error, size_t error_bytes)
{
	const struct sw_spec_service *services = SW_SPEC_ITEMS(policy->spec->services, struct sw_spec_service);
	enum { ASKED_MAX = 16 }; /* of many services the first; ?service= asks for any */
	uint32_t asked = 0;
	for (uint32_t i = 0; i < policy->spec->services.count && asked < ASKED_MAX; i++) {
		struct sw_explain e;
		if (only && strcmp(services[i].name, only))
			continue;
		const uint32_t slot = sw_policy_service_slot(policy, services[i].name);
		if (sw_control_explain(server->control, address, slot, &e, error, error_bytes))
			return false;
		json_array_append_new(towards, view_towards(server, policy, address, services[i].name, &e));
		asked++;
	}
	return true;
}

static json_t *view_blocks_over(struct sw_server *server, const struct sw_address *address)
{
	struct sw_block *blocks = NULL;
	json_t *out = json_array();
	const int count = sw_control_block_list(server->control, &blocks);
	for (int i = 0; i < count; i++)
		if (sw_prefix_contains(&blocks[i].prefix, address))
			json_array_append_new(out, sw_view_block(server, &blocks[i]));
	free(blocks);
	return out;
}

unsigned int sw_handle_why(struct sw_exchange *x)
{
	struct sw_address address;
	char text[SW_ADDRESS_TEXT_BYTES], error[256] = "";
	const char *wrong = sw_address_parse(x->argument, &address), *only = sw_exchange_query(x, "service");
	if (wrong)
		return sw_exchange_error(
		    x, 400, "bad_address", "e.g. /why/192.0.2.7 or /why/2001:db8::7", "no address: %s", wrong);
	const struct sw_policy *policy = sw_control_policy(x->server->control);
	if (only && sw_policy_service_slot(policy, only) == SW_NONE) {
		sw_policy_release(policy);
		return sw_exchange_error(
		    x, 404, "no_such_service", "GET /services lists them", "there is no service \"%.64s\"", only);
	}
	json_t *out = json_object(), *towards = json_array();
	sw_put_text(out, "address", sw_address_format(&address, text));
	json_object_set_new(out, "blocks", view_blocks_over(x->server, &address));
	json_object_set_new(out, "evidence", sw_view_evidence_of(x->server, policy, &address));
	const bool answered = ask(x->server, policy, &address, only, towards, error, sizeof(error));
	json_object_set_new(out, "dataplane_answered", json_boolean(answered));
	sw_put_text(out, "dataplane_text", error);
	json_object_set_new(out, "towards", towards);
	sw_policy_release(policy);
	return sw_exchange_json(x, 200, out);
}
