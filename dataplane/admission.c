/* SPDX-License-Identifier: BSD-3-Clause */
#include "admission.h"

#include <rte_branch_prediction.h>
#include <rte_prefetch.h>

#include "stages/stage.h"

void sw_admission_prepare(const struct sw_worker *w, struct sw_admission *a, enum sw_limiter_kind kind)
{
	const struct sw_service_profile *s = a->service;
	const struct sw_limiter_key home = sw_limiter_home_key(&w->limiter, a->source, a->is_ipv6, kind, s->slot);

	rte_prefetch0(sw_limiter_set_of(&w->limiter, home.home));
	memset(a->entries, 0xff, sizeof(a->entries)); /* SW_LIMITER_NONE */
	a->keys[0] = sw_limiter_source_key(&w->limiter, a->source, kind, s->slot, home.home);
	for (unsigned int l = 1; l < s->level_count; l++) {
		if (!(kind == SW_LIMITER_SYN ? s->levels[l].any : s->levels[l].any_conn))
			continue;
		if (w->policy->level_is_home[l][a->is_ipv6]) {
			a->keys[l] = home;
			continue;
		}
		a->keys[l] = sw_prefix_key(w, a->source, a->is_ipv6, kind, l, s->slot);
		rte_prefetch0(sw_limiter_set_of(&w->limiter, a->keys[l].home));
	}
}

void sw_admission_reach(const struct sw_worker *w, struct sw_admission *a)
{
	const uint32_t at = sw_limiter_find_in(&w->limiter, a->keys[0].home, a->keys[0].hash);

	if (unlikely(at == SW_LIMITER_NONE)) {
		rte_prefetch0(sw_limiter_set_of(&w->limiter, a->keys[0].hash));
		return;
	}
	a->entries[0] = at;
	const uint32_t note = sw_limiter_note(&w->limiter, at);
	if (note & SW_NOTE_RECORD)
		rte_prefetch0(&w->records[note & SW_NOTE_VALUE]);
}

/*
 * The entry of a level. One that is made may take the place of another of this admission, for all that the table knows:
 * settle() looks.
 */
static inline uint32_t take_entry(struct sw_worker *w, struct sw_admission *a, unsigned int level, bool *made)
{
	uint32_t at = a->entries[level];

	if (at != SW_LIMITER_NONE && sw_limiter_holds(&w->limiter, at, a->keys[level].hash))
		return at;
	at = sw_limiter_find(&w->limiter, a->keys[level]);
	if (unlikely(at == SW_LIMITER_NONE)) {
		at = sw_source_make_entry(w, a->keys[level]);
		*made = true;
	}
	return a->entries[level] = at;
}

/* Lets go of entries that have been given up meanwhile. */
static __attribute__((noinline)) void settle(const struct sw_worker *w, struct sw_admission *a)
{
	for (unsigned int l = 0; l < a->service->level_count; l++)
		if (a->entries[l] != SW_LIMITER_NONE && !sw_limiter_holds(&w->limiter, a->entries[l], a->keys[l].hash))
			a->entries[l] = SW_LIMITER_NONE;
}

/* ---- SYNs --------------------------------------------------------------------------------------------------------- */

/* Counts a SYN of the source: in its record, or towards getting one. */
static inline void note_claim(struct sw_worker *w, const struct sw_admission *a, bool refused)
{
	if (a->entries[0] == SW_LIMITER_NONE)
		return;
	const uint32_t note = sw_limiter_note(&w->limiter, a->entries[0]);
	if (!(note & SW_NOTE_RECORD)) {
		if ((note & SW_NOTE_VALUE) == SW_NOTE_VALUE)
			return;
		sw_limiter_set_note(&w->limiter, a->entries[0], note + 1);
		if (((note + 1) & SW_NOTE_VALUE) == w->policy->evidence_after_syns)
			sw_source_claim_record(w, a->entries[0], a->source, a->service->slot);
		return;
	}
	struct sw_source_record *r = &w->records[note & SW_NOTE_VALUE];
	r->syns++;
	r->last_seen_tsc = w->now;
	r->dropped += refused;
}

static enum sw_drop_reason check_levels(struct sw_worker *w, struct sw_admission *a, bool *made)
{
	const struct sw_service_profile *s = a->service;

	for (unsigned int l = 0; l < s->level_count; l++) {
		const struct sw_limit_profile *limit = &s->levels[l];
		if (!limit->any)
			continue;
		const uint32_t at = take_entry(w, a, l, made);
		if (unlikely(at == SW_LIMITER_NONE))
			continue;
		if (l == 0) {
			const uint32_t note = sw_limiter_note(&w->limiter, at);
			if (note & SW_NOTE_RECORD && sw_source_blocked(w, note & SW_NOTE_VALUE))
				return SW_DROP_BLOCKED;
		}
		if (!sw_rate_allows(&limit->syn, *sw_limiter_tat(&w->limiter, at), w->now))
			return limit->syn_is_cap ? SW_DROP_ANSWER_CAP : l == 0 ? SW_DROP_LIMIT_SYN_SOURCE : SW_DROP_LIMIT_SYN_PREFIX;
	}
	return SW_ADMITTED;
}

static enum sw_drop_reason check_syn(struct sw_worker *w, struct sw_admission *a)
{
	const struct sw_service_profile *s = a->service;
	bool made = false;
	const enum sw_drop_reason reason = check_levels(w, a, &made);

	if (unlikely(made))
		settle(w, a);
	if (reason != SW_ADMITTED)
		return reason;
	if (a->group != SW_NONE) {
		const uint32_t slot = w->policy->group[a->group].slot;
		if (!sw_rate_allows(&w->group_shares[slot].syn, w->group_budgets[slot].syn_tat, w->now))
			return SW_DROP_LIMIT_SYN_GROUP;
	}
	if (s->total_limited && !sw_rate_allows(&w->service_shares[s->slot].syn, w->service_budgets[s->slot].syn_tat, w->now))
		return SW_DROP_LIMIT_SYN_SERVICE;
	return SW_ADMITTED;
}

static void take_syn(struct sw_worker *w, struct sw_admission *a)
{
	const struct sw_service_profile *s = a->service;

	for (unsigned int l = 0; l < s->level_count; l++) {
		if (a->entries[l] == SW_LIMITER_NONE)
			continue;
		uint64_t *tat = sw_limiter_tat(&w->limiter, a->entries[l]);
		*tat = sw_rate_take(&s->levels[l].syn, *tat, w->now);
	}
	if (a->group != SW_NONE) {
		const uint32_t slot = w->policy->group[a->group].slot;
		struct sw_budget *b = &w->group_budgets[slot];
		b->syn_tat = sw_rate_take(&w->group_shares[slot].syn, b->syn_tat, w->now);
	}
	if (s->total_limited) {
		struct sw_budget *b = &w->service_budgets[s->slot];
		b->syn_tat = sw_rate_take(&w->service_shares[s->slot].syn, b->syn_tat, w->now);
	}
}

enum sw_drop_reason sw_admit_syn(struct sw_worker *w, struct sw_admission *a)
{
	const enum sw_drop_reason reason = check_syn(w, a);

	if (a->group != SW_NONE)
		w->groups[w->policy->group[a->group].slot].syn_received++;
	if (reason == SW_ADMITTED)
		take_syn(w, a);
	else if (a->group != SW_NONE)
		w->groups[w->policy->group[a->group].slot].refused++;
	note_claim(w, a, reason != SW_ADMITTED);
	return reason;
}

bool sw_admit_reset(struct sw_worker *w, const struct sw_address *claimed, bool is_ipv6)
{
	const struct sw_policy *p = w->policy;
	uint64_t *tats[SW_ANSWER_LEVELS] = {NULL};

	if (!sw_rate_allows(&p->rst, w->rst_tat, w->now))
		return false;
	/* The prefix first: its entry must not be pushed out by that of the source. */
	for (unsigned int l = SW_ANSWER_LEVELS; l-- > 0;) {
		if (l >= p->level_count || p->answers[l].interval == 0)
			continue;
		const struct sw_limiter_key key = sw_level_key(w, claimed, is_ipv6, SW_LIMITER_RESET, l, 0);
		const uint32_t at = sw_source_take_entry(w, key);
		if (at == SW_LIMITER_NONE || !sw_rate_allows(&p->answers[l], *sw_limiter_tat(&w->limiter, at), w->now))
			return false;
		tats[l] = sw_limiter_tat(&w->limiter, at);
	}
	for (unsigned int l = 0; l < SW_ANSWER_LEVELS; l++)
		if (tats[l] != NULL)
			*tats[l] = sw_rate_take(&p->answers[l], *tats[l], w->now);
	return true;
}

/* ---- proven connections ------------------------------------------------------------------------------------------- */

static enum sw_drop_reason check_connection_level(struct sw_worker *w, struct sw_admission *a, unsigned int l,
	uint32_t record, bool *made)
{
	const struct sw_limit_profile *limit = &a->service->levels[l];
	const uint32_t at = take_entry(w, a, l, made);
	uint32_t concurrent = 0;

	if (l == 0 && record != SW_FLOW_NONE)
		concurrent = w->records[record].concurrent;
	else if (at != SW_LIMITER_NONE)
		concurrent = sw_limiter_note(&w->limiter, at) & SW_NOTE_VALUE;
	if (at != SW_LIMITER_NONE && !sw_rate_allows(&limit->conn, *sw_limiter_tat(&w->limiter, at), w->now))
		return l == 0 ? SW_DROP_LIMIT_CONN_SOURCE : SW_DROP_LIMIT_CONN_PREFIX;
	if (limit->concurrent != 0 && concurrent >= limit->concurrent)
		return l == 0 ? SW_DROP_LIMIT_CONCURRENT_SOURCE : SW_DROP_LIMIT_CONCURRENT_PREFIX;
	/* What a source proves is its own doing and costs it, also where a wider budget then refuses it: otherwise the
	 * members of a flooding prefix would hide behind that prefix's limit and never be named. */
	if (l == 0 && at != SW_LIMITER_NONE) {
		uint64_t *tat = sw_limiter_tat(&w->limiter, at);
		*tat = sw_rate_take(&limit->conn, *tat, w->now);
	}
	return SW_ADMITTED;
}

static enum sw_drop_reason check_connection(struct sw_worker *w, struct sw_admission *a, uint32_t record)
{
	const struct sw_service_profile *s = a->service;
	enum sw_drop_reason reason = SW_ADMITTED;
	bool made = false;

	for (unsigned int l = 0; l < s->level_count && reason == SW_ADMITTED; l++)
		if (s->levels[l].any_conn)
			reason = check_connection_level(w, a, l, record, &made);
	if (made)
		settle(w, a);
	if (reason != SW_ADMITTED)
		return reason;
	if (a->group != SW_NONE) {
		const uint32_t slot = w->policy->group[a->group].slot;
		if (!sw_rate_allows(&w->group_shares[slot].conn, w->group_budgets[slot].conn_tat, w->now))
			return SW_DROP_LIMIT_CONN_GROUP;
		if (w->group_budgets[slot].concurrent >= w->group_shares[slot].concurrent)
			return SW_DROP_LIMIT_CONCURRENT_GROUP;
	}
	if (s->total_limited) {
		if (!sw_rate_allows(&w->service_shares[s->slot].conn, w->service_budgets[s->slot].conn_tat, w->now))
			return SW_DROP_LIMIT_CONN_SERVICE;
		if (w->service_budgets[s->slot].concurrent >= w->service_shares[s->slot].concurrent)
			return SW_DROP_LIMIT_CONCURRENT_SERVICE;
	}
	return SW_ADMITTED;
}

/* The source's own token was taken by the check. */
static void take_connection(struct sw_worker *w, struct sw_admission *a)
{
	const struct sw_service_profile *s = a->service;

	for (unsigned int l = 1; l < s->level_count; l++) {
		if (a->entries[l] == SW_LIMITER_NONE)
			continue;
		uint64_t *tat = sw_limiter_tat(&w->limiter, a->entries[l]);
		*tat = sw_rate_take(&s->levels[l].conn, *tat, w->now);
	}
	if (a->group != SW_NONE) {
		const uint32_t slot = w->policy->group[a->group].slot;
		struct sw_budget *b = &w->group_budgets[slot];
		b->conn_tat = sw_rate_take(&w->group_shares[slot].conn, b->conn_tat, w->now);
		w->groups[slot].conn_opened++;
	}
	if (s->total_limited) {
		struct sw_budget *b = &w->service_budgets[s->slot];
		b->conn_tat = sw_rate_take(&w->service_shares[s->slot].conn, b->conn_tat, w->now);
	}
}

enum sw_drop_reason sw_admit_connection(struct sw_worker *w, struct sw_admission *a, uint32_t record)
{
	if (sw_source_blocked(w, record)) {
		w->records[record].dropped++;
		return SW_DROP_BLOCKED;
	}
	const enum sw_drop_reason reason = check_connection(w, a, record);
	if (reason == SW_ADMITTED) {
		take_connection(w, a);
		if (record != SW_FLOW_NONE)
			w->records[record].conns++;
		return reason;
	}
	if (a->group != SW_NONE)
		w->groups[w->policy->group[a->group].slot].refused++;
	/* Only its own excess counts against a source, not that of its neighbours or of the whole service. */
	if (record != SW_FLOW_NONE && (reason == SW_DROP_LIMIT_CONN_SOURCE || reason == SW_DROP_LIMIT_CONCURRENT_SOURCE))
		sw_source_note_refusal(w, a->service, record, a->connection);
	else if (record != SW_FLOW_NONE)
		w->records[record].dropped++;
	return reason;
}
