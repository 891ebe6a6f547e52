/* SPDX-License-Identifier: BSD-3-Clause */
#include "admission_parts.h"
#include "stages/stage.h"

/* ---- levels ------------------------------------------------------------------------------------------------------- */

/* Pins the entry of `hash`, if it stands in `set` and nobody has pinned it before: then its note is in `pinned`. */
static unsigned int pin(struct sw_limiter_set *set, uint64_t hash, uint32_t **pinned)
{
	const unsigned int ways = sw_limiter_ways_with(set, hash);
	uint32_t *note = &set->notes[ways ? __builtin_ctz(ways) : 0];

	if (ways == 0 || *note & SW_NOTE_PINNED)
		return 0;
	*note |= SW_NOTE_PINNED;
	*pinned = note;
	return 1;
}

/* Those of this admission that are wider than `level` and stand in `home` or `own`. Returns how many it has pinned. */
static unsigned int pin_wider(const struct sw_worker *w, const struct sw_admission *a, unsigned int level,
	struct sw_limiter_set *home, struct sw_limiter_set *own, uint32_t *pinned[SW_LANES])
{
	const struct sw_limiter_lanes *lanes = &a->lanes;
	const uint32_t at_home = lanes->home == home || lanes->home == own ? w->policy->levels[a->is_ipv6].at_home : 0;
	uint32_t wider = lanes->wanted & ~0u << (level + 1);
	unsigned int count = 0;

	for (unsigned int l; sw_next(&wider, &l);) {
		struct sw_limiter_set *set = sw_limiter_set_of(&w->limiter, lanes->hashes[l]);
		if (at_home >> l & 1)
			count += pin(lanes->home, lanes->hashes[l], &pinned[count]);
		if (unlikely(set == home || set == own))
			count += pin(set, lanes->hashes[l], &pinned[count]);
	}
	return count;
}

/*
 * The entry of `level`, which is not there yet. It may take the place of a narrower one of this admission; but not of a
 * wider one, which mostly stands in the same home: sources would push out their own prefix, one after the other, and be
 * held by nothing.
 */
static uint32_t make_entry(struct sw_worker *w, const struct sw_admission *a, unsigned int level)
{
	const struct sw_limiter_lanes *lanes = &a->lanes;
	const bool at_home = w->policy->levels[a->is_ipv6].at_home >> level & 1;
	const struct sw_limiter_key key = {
		.hash = lanes->hashes[level],
		.home = at_home ? (uint64_t)(lanes->home - w->limiter.sets) : lanes->hashes[level],
	};
	uint32_t *pinned[SW_LANES];
	unsigned int count = pin_wider(w, a, level, sw_limiter_set_of(&w->limiter, key.home),
		sw_limiter_set_of(&w->limiter, key.hash), pinned);

	const uint32_t at = sw_source_make_entry(w, key);
	while (count)
		*pinned[--count] &= ~SW_NOTE_PINNED;
	return at;
}

void sw_admission_make_entries(struct sw_worker *w, struct sw_admission *a)
{
	struct sw_limiter_table *t = &w->limiter;
	struct sw_limiter_lanes *lanes = &a->lanes;
	uint32_t missing = lanes->wanted & ~(uint32_t)lanes->found;

	for (unsigned int l; sw_next(&missing, &l);) {
		const uint32_t at = make_entry(w, a, l);
		lanes->tats[l] = at == SW_LIMITER_NONE ? &t->nowhere.tats[l] : sw_limiter_tat(t, at);
	}
	for (unsigned int l = 0; lanes->taken_over != t->taken_over && l < SW_LANES; l++)
		if (!lanes_have_place(lanes, l)) /* given up for another of this admission */
			lanes->tats[l] = &t->nowhere.tats[l];
	lanes->found = lanes->wanted;
	lanes->taken_over = t->taken_over;
	memset(&t->nowhere, 0, sizeof(t->nowhere)); /* full, and of no connections, whatever was written there before */
}

/* ---- SYNs --------------------------------------------------------------------------------------------------------- */

/* `empty`: a set of levels. The narrowest counts. */
static enum sw_drop_reason refusal_of(const struct sw_service_profile *s, unsigned int empty)
{
	const unsigned int level = (unsigned int)__builtin_ctz(empty);

	if (s->levels[level].syn_is_cap)
		return SW_DROP_ANSWER_CAP;
	return level == 0 ? SW_DROP_LIMIT_SYN_SOURCE : SW_DROP_LIMIT_SYN_PREFIX;
}

static enum sw_drop_reason take_of_group(struct sw_worker *w, const struct sw_admission *a, struct service_budget *budget)
{
	const uint32_t slot = w->policy->group[a->group].slot;
	const struct sw_rate *rate = &w->group_shares[slot].syn;
	uint64_t *tat = &w->group_budgets[slot].syn_tat;

	if (!sw_rate_allows(rate, *tat, w->now))
		return SW_DROP_LIMIT_SYN_GROUP;
	const enum sw_drop_reason reason = take_of_service(w, a->service, budget);
	if (reason == SW_ADMITTED)
		*tat = sw_rate_take(rate, *tat, w->now);
	return reason;
}

static void count_in_group(struct sw_worker *w, const struct sw_admission *a, enum sw_drop_reason reason)
{
	struct sw_group_counters *c = &w->groups[w->policy->group[a->group].slot];

	c->syn_received++;
	c->refused += reason != SW_ADMITTED;
}

enum sw_drop_reason sw_admission_decide(struct sw_worker *w, const struct sw_admission *a, unsigned int empty,
	const struct sw_source_record *record, struct service_budget *budget)
{
	enum sw_drop_reason reason;

	if (record->blocked_until_tsc != 0 && (int64_t)(record->blocked_until_tsc - w->now) > 0)
		reason = SW_DROP_BLOCKED;
	else if (empty != 0)
		reason = refusal_of(a->service, empty);
	else if (a->group != SW_NONE)
		reason = take_of_group(w, a, budget);
	else
		reason = take_of_service(w, a->service, budget);
	if (a->group != SW_NONE)
		count_in_group(w, a, reason);
	return reason;
}

uint32_t sw_admission_find_over(struct sw_worker *w, struct sw_admission *admissions, uint32_t set)
{
	uint32_t over = 0;

	for (unsigned int i; sw_next(&set, &i);) {
		struct sw_admission *a = &admissions[i];
		struct sw_limiter_set *home = a->lanes.home;
		const unsigned int ways = a->lanes.wanted & 1 ? sw_limiter_ways_with(home, a->lanes.hashes[0]) : 0;
		if (ways == 0)
			continue;
		a->lanes.tats[0] = &home->tats[__builtin_ctz(ways)];
		const struct sw_rate rate = sw_level_rate(&a->service->syn_rates, 0);
		if (sw_rate_allows(&rate, *a->lanes.tats[0], w->now))
			continue;
		over |= 1u << i;
		__builtin_prefetch(record_of(w, *source_note(a)), 1);
	}
	return over;
}

void sw_admission_refuse_over(struct sw_worker *w, struct sw_admission *admissions, uint32_t set,
	uint8_t reasons[SW_BURST])
{
	for (unsigned int i; sw_next(&set, &i);) {
		struct sw_admission *a = &admissions[i];
		if (unlikely(!lanes_have_place(&a->lanes, 0))) /* given up for another since it was found to be over */
			a->lanes.tats[0] = &w->limiter.nowhere.tats[0];
		uint32_t *at = source_note(a);
		const uint32_t note = *at;
		struct sw_source_record *record = record_of(w, note);
		const enum sw_drop_reason reason = sw_admission_decide(w, a, 1, record, NULL);
		note_claim(w, a, at, note, record, reason);
		reasons[i] = (uint8_t)reason;
	}
}

#define SW_LANES_OF(name) sw_lanes_##name##_plain
#define SW_LANES_NEXT struct sw_lanes_next
#define SW_TARGET
#define SW_TARGET_KEYS
#include "admission_loops.h"

static const struct sw_admission_loops plain_loops = {prepare_burst, admit_syns};

const struct sw_admission_loops *sw_admission_loops_for(enum sw_isa isa)
{
	return sw_isa_has_vaes(isa) ? &sw_admission_loops_avx512 : &plain_loops;
}

void sw_admission_prepare(struct sw_worker *w, struct sw_admission *admissions, uint32_t set, enum sw_limiter_kind kind)
{
	w->admission->prepare(w, admissions, set, kind);
}

uint32_t sw_admit_syns(struct sw_worker *w, struct sw_admission *admissions, uint32_t set, uint8_t reasons[SW_BURST],
	uint32_t *proven)
{
	return w->admission->admit_syns(w, admissions, set, reasons, proven);
}

/* The entry of `key`, which must not take the place `kept`; SW_LIMITER_NONE: no other is to be had. */
static uint32_t take_entry_beside(struct sw_worker *w, struct sw_limiter_key key, uint32_t kept)
{
	if (kept == SW_LIMITER_NONE)
		return sw_source_take_entry(w, key);
	const uint32_t note = sw_limiter_note(&w->limiter, kept);
	sw_limiter_set_note(&w->limiter, kept, note | SW_NOTE_PINNED);
	const uint32_t at = sw_source_take_entry(w, key);
	sw_limiter_set_note(&w->limiter, kept, note);
	return at;
}

bool sw_admit_reset(struct sw_worker *w, const struct sw_address *claimed, bool is_ipv6)
{
	const struct sw_policy *p = w->policy;
	uint32_t places[SW_ANSWER_LEVELS] = {SW_LIMITER_NONE, SW_LIMITER_NONE};

	if (!sw_rate_allows(&p->rst, w->rst_tat, w->now))
		return false;
	/* The prefix first: its entry must not be pushed out by that of the source. What cannot be counted is not sent. */
	for (unsigned int l = SW_ANSWER_LEVELS; l-- > 0;) {
		if (l >= p->level_count || p->answers[l].interval == 0)
			continue;
		const struct sw_limiter_key key = sw_level_key(w, claimed, is_ipv6, SW_LIMITER_RESET, l, 0);
		places[l] = take_entry_beside(w, key, places[SW_ANSWER_LEVELS - 1]);
		if (places[l] == SW_LIMITER_NONE || !sw_rate_allows(&p->answers[l], *sw_limiter_tat(&w->limiter, places[l]), w->now))
			return false;
	}
	for (unsigned int l = 0; l < SW_ANSWER_LEVELS; l++) {
		if (places[l] == SW_LIMITER_NONE)
			continue;
		uint64_t *tat = sw_limiter_tat(&w->limiter, places[l]);
		*tat = sw_rate_take(&p->answers[l], *tat, w->now);
	}
	return true;
}

/* ---- proven connections ------------------------------------------------------------------------------------------- */

static enum sw_drop_reason check_connection_level(const struct sw_worker *w, const struct sw_admission *a,
	unsigned int level, uint32_t record)
{
	const struct sw_limit_profile *limit = &a->service->levels[level];
	const bool is_source = level == 0;
	uint64_t *tat = a->lanes.tats[level];
	const uint32_t concurrent = is_source && record != SW_FLOW_NONE ? w->records[record].concurrent
		: *sw_limiter_note_beside(tat) & SW_NOTE_VALUE;

	if (!sw_rate_allows(&limit->conn, *tat, w->now))
		return is_source ? SW_DROP_LIMIT_CONN_SOURCE : SW_DROP_LIMIT_CONN_PREFIX;
	if (limit->concurrent != 0 && concurrent >= limit->concurrent)
		return is_source ? SW_DROP_LIMIT_CONCURRENT_SOURCE : SW_DROP_LIMIT_CONCURRENT_PREFIX;
	/* What a source proves is its own doing and costs it, also where a wider budget then refuses it: otherwise the
	 * members of a flooding prefix would hide behind that prefix's limit and never be named. */
	if (is_source)
		*tat = sw_rate_take(&limit->conn, *tat, w->now);
	return SW_ADMITTED;
}

static enum sw_drop_reason check_connection(struct sw_worker *w, struct sw_admission *a, uint32_t record)
{
	const struct sw_service_profile *s = a->service;
	enum sw_drop_reason reason = SW_ADMITTED;
	uint32_t levels = a->lanes.wanted;

	sw_lanes_place_plain(&w->limiter, &w->policy->levels[a->is_ipv6], &a->lanes);
	sw_lanes_find_plain(&w->limiter, &a->lanes);
	if (a->lanes.found != a->lanes.wanted)
		sw_admission_make_entries(w, a);
	for (unsigned int level; reason == SW_ADMITTED && sw_next(&levels, &level);)
		reason = check_connection_level(w, a, level, record);
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

	for (unsigned int level = 1; level < s->level_count; level++)
		*a->lanes.tats[level] = sw_rate_take(&s->levels[level].conn, *a->lanes.tats[level], w->now);
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
