/* SPDX-License-Identifier: BSD-3-Clause */
/* Who sent what: sources, prefixes, one address, incidents. */
#include <stdlib.h>

#include "handlers.h"
#include "incident_file.h"
#include "policy/address_text.h"
#include "views.h"

enum { LIMIT_DEFAULT = 20, RECORDS_OF_ONE = 64 };

/* What was asked for, from the query. */
struct asked {
	struct sw_evidence_filter filter;
	enum sw_sort sort;
	uint32_t limit;
};

static int index_of(const char *const *names, int count, const char *name)
{
	for (int i = 0; i < count; i++)
		if (!strcmp(names[i], name))
			return i;
	return -1;
}

/* False: the answer has been set to 400 or 404. */
static bool parse_asked(struct sw_exchange *x, struct asked *a, unsigned int *status)
{
	const char *by = sw_exchange_query(x, "by"), *proof = sw_exchange_query(x, "proof"),
	           *service = sw_exchange_query(x, "service");
	*a = (struct asked){.filter = {.service_slot = SW_NONE}, .sort = SW_SORT_SYNS, .limit = LIMIT_DEFAULT};
	*status = 400;
	if (!sw_exchange_query_number(x, "limit", 0, SW_TOP_MAX, &a->limit))
		return false;
	const int sort = by ? index_of(sw_sort_names, SW_SORTS, by) : SW_SORT_SYNS;
	const int level = proof ? index_of(sw_proof_names, SW_PROOF_SENT_DATA + 1, proof) : SW_PROOF_CLAIMED;
	if (sort < 0) {
		sw_exchange_error(
		    x, 400, "bad_query", NULL, "by: one of syns, conns, refused, dropped, bytes, concurrent, last_seen");
		return false;
	}
	if (level < 0) {
		sw_exchange_error(x, 400, "bad_query", NULL, "proof: one of claimed, echoed, sent_data");
		return false;
	}
	a->sort = (enum sw_sort)sort;
	a->filter.proof_min = (uint8_t)level;
	if (!service)
		return true;
	const struct sw_policy *policy = sw_control_policy(x->server->control);
	a->filter.service_slot = sw_policy_service_slot(policy, service);
	sw_policy_release(policy);
	if (a->filter.service_slot != SW_NONE)
		return true;
	*status = sw_exchange_error(
	    x, 404, "no_such_service", "GET /services lists them", "there is no service \"%.64s\"", service);
	return false;
}

/* Average over the time in which it was seen: the figure that is disputed afterwards. */
static double mean_rate(const struct sw_evidence_record *r)
{
	const uint64_t ns = r->last_seen_unix_ns > r->first_seen_unix_ns ? r->last_seen_unix_ns - r->first_seen_unix_ns : 0;
	return (double)r->syns / (ns > 1000000000u ? (double)ns / 1e9 : 1.0);
}

static void put_counts(json_t *to, const struct sw_evidence_record *r)
{
	sw_put_count(to, "syns", r->syns);
	sw_put_number(to, "syn_per_s", mean_rate(r));
	sw_put_count(to, "conns", r->conns);
	sw_put_count(to, "concurrent", r->concurrent);
	sw_put_count(to, "refused", r->refused);
	sw_put_count(to, "dropped", r->dropped);
	sw_put_count(to, "bytes", r->bytes_in);
	sw_put_time(to, "first_seen", r->first_seen_unix_ns);
	sw_put_time(to, "last_seen", r->last_seen_unix_ns);
	sw_put_time(to, "blocked_until", r->blocked_until_unix_ns);
}

static json_t *view_source(const struct sw_policy *policy, const struct sw_evidence_record *r)
{
	char text[SW_ADDRESS_TEXT_BYTES];
	json_t *out = json_object();
	const char *service = r->service_slot == SW_NONE ? NULL : sw_policy_service_name(policy, r->service_slot);
	sw_put_text(out, "address", sw_address_format(&r->source.address, text));
	json_object_set_new(out, "service", service ? json_string(service) : json_null());
	sw_put_text(out, "proof", sw_proof_names[r->proof]);
	put_counts(out, r);
	return out;
}

static json_t *view_list(const struct sw_policy *policy, const struct sw_evidence_record *records, int count)
{
	json_t *out = json_array();
	for (int i = 0; i < count; i++)
		json_array_append_new(out, view_source(policy, &records[i]));
	return out;
}

/* The filter's first by `sort`; an empty list without evidence or memory. */
static json_t *view_top(const struct sw_policy *policy, const struct sw_evidence *e,
    const struct sw_evidence_filter *filter, enum sw_sort sort, uint32_t limit)
{
	struct sw_evidence_record *records = NULL;
	const int count = e ? sw_evidence_top(e, filter, sort, limit, &records) : 0;
	json_t *out = view_list(policy, records, count);
	free(records);
	return out;
}

static json_t *view_totals(const struct sw_evidence *e)
{
	json_t *out = json_object();
	for (int i = 0; i <= SW_PROOF_SENT_DATA; i++)
		sw_put_count(out, sw_proof_names[i], e ? e->by_proof[i] : 0);
	sw_put_count(out, "blocked", e ? e->blocked : 0);
	sw_put_count(out, "offenders", e ? e->offenders : 0);
	return out;
}

unsigned int sw_handle_sources(struct sw_exchange *x)
{
	struct asked a;
	unsigned int status;
	if (!parse_asked(x, &a, &status))
		return status;
	const struct sw_policy *policy = sw_control_policy(x->server->control);
	const struct sw_evidence *e = sw_observer_lock_evidence(x->server->observer);
	struct sw_evidence_filter offenders = a.filter;
	offenders.offenders = true;
	json_t *out = json_object();
	sw_put_time(out, "time", e ? e->scanned_unix_ns : 0);
	sw_put_text(out, "sorted_by", sw_sort_names[a.sort]);
	json_object_set_new(out, "records", view_totals(e));
	json_object_set_new(out, "sources", view_top(policy, e, &a.filter, a.sort, a.limit));
	json_object_set_new(out, "offenders", view_top(policy, e, &offenders, SW_SORT_REFUSED, a.limit));
	sw_observer_unlock_evidence(x->server->observer);
	sw_policy_release(policy);
	return sw_exchange_json(x, 200, out);
}

static json_t *view_prefix(const struct sw_evidence_record *r)
{
	char text[SW_PREFIX_TEXT_BYTES];
	json_t *out = json_object();
	sw_put_text(out, "prefix", sw_prefix_format(&r->source, text));
	sw_put_count(out, "sources", r->sources);
	sw_put_count(out, "proven", r->echoed);
	sw_put_count(out, "sent_data", r->sent_data);
	sw_put_count(out, "blocked", r->blocked);
	sw_put_text(out, "proof", sw_proof_names[r->proof]);
	put_counts(out, r);
	return out;
}

static json_t *view_level(const struct sw_evidence *e, const struct asked *a, uint32_t level, uint8_t four, uint8_t six)
{
	struct sw_evidence_record *records = NULL;
	uint32_t all = 0;
	const int count = e ? sw_evidence_top_prefixes(e, &a->filter, four, six, a->sort, a->limit, &records, &all) : 0;
	json_t *list = json_array(), *out = json_object();
	for (int i = 0; i < count; i++)
		json_array_append_new(list, view_prefix(&records[i]));
	free(records);
	sw_put_count(out, "level", level);
	sw_put_count(out, "ipv4_length", four);
	sw_put_count(out, "ipv6_length", six);
	sw_put_count(out, "prefixes_in_all", all);
	json_object_set_new(out, "prefixes", list);
	return out;
}

unsigned int sw_handle_prefixes(struct sw_exchange *x)
{
	struct asked a;
	unsigned int status;
	if (!parse_asked(x, &a, &status))
		return status;
	const struct sw_policy *policy = sw_control_policy(x->server->control);
	const struct sw_evidence *e = sw_observer_lock_evidence(x->server->observer);
	const struct sw_spec_level *levels = SW_SPEC_ITEMS(policy->spec->global.prefix_levels, struct sw_spec_level);
	json_t *out = json_object(), *list = json_array();
	sw_put_time(out, "time", e ? e->scanned_unix_ns : 0);
	sw_put_text(out, "sorted_by", sw_sort_names[a.sort]);
	for (uint32_t i = 0; i < policy->spec->global.prefix_levels.count; i++)
		json_array_append_new(
		    list, view_level(e, &a, i + 1, (uint8_t)levels[i].ipv4_length, (uint8_t)levels[i].ipv6_length));
	json_object_set_new(out, "levels", list);
	sw_observer_unlock_evidence(x->server->observer);
	sw_policy_release(policy);
	return sw_exchange_json(x, 200, out);
}

json_t *sw_view_evidence_of(struct sw_server *server, const struct sw_policy *policy, const struct sw_address *address)
{
	struct sw_evidence_record records[RECORDS_OF_ONE];
	const struct sw_evidence *e = sw_observer_lock_evidence(server->observer);
	const uint32_t count = e ? sw_evidence_of(e, address, records, RECORDS_OF_ONE) : 0;
	sw_observer_unlock_evidence(server->observer);
	return view_list(policy, records, (int)count);
}

unsigned int sw_handle_incidents(struct sw_exchange *x)
{
	uint32_t limit = SW_INCIDENTS_KEPT;
	if (!sw_exchange_query_number(x, "limit", 0, SW_INCIDENTS_KEPT, &limit))
		return 400;
	json_t *list = json_array();
	sw_observer_lock(x->server->observer);
	const struct sw_incidents *incidents = sw_observer_incidents(x->server->observer);
	for (uint32_t i = 0; i < sw_incidents_count(incidents) && i < limit; i++) {
		json_t *one = sw_incident_json(sw_incidents_get(incidents, i));
		json_object_del(one, "event"); /* of the file's lines; here `end` tells */
		json_array_append_new(list, one);
	}
	sw_observer_unlock(x->server->observer);
	return sw_exchange_json(x, 200, json_pack("{s:o}", "incidents", list));
}
