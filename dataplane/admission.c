/* SPDX-License-Identifier: BSD-3-Clause */
#include "admission.h"

#include <rte_branch_prediction.h>
#include <rte_prefetch.h>

#include "stages/stage.h"

/* ---- levels ------------------------------------------------------------------------------------------------------- */

static inline void prepare(const struct sw_worker *w, const struct sw_limiter_table *t, struct sw_admission *a,
	enum sw_limiter_kind kind)
{
	const struct sw_service_profile *s = a->service;
	const struct sw_policy *p = w->policy;
	const uint8_t *levels = kind == SW_LIMITER_SYN ? s->syn_levels : s->conn_levels;
	const unsigned int count = kind == SW_LIMITER_SYN ? s->syn_level_count : s->conn_level_count;
	const unsigned int family = a->is_ipv6;
	const uint32_t slot = s->slot;
	const __m128i source = sw_limiter_load(a->source->bytes);
	const struct sw_limiter_key home = sw_limiter_home_key(t, a->source, family, kind, slot);
	struct sw_admission_level *l = a->levels;

	a->level_count = (uint8_t)count;
	for (const uint8_t *level = levels; level < levels + count; level++, l++) {
		struct sw_limiter_key key = home;
		if (*level == 0 || !p->level_is_home[*level][family]) {
			const __m128i prefix = _mm_and_si128(source, sw_limiter_load(&p->level_masks[*level][family]));
			key.hash = (uint64_t)_mm_cvtsi128_si64(sw_limiter_scramble(t, prefix, kind, *level, slot));
			key.home = *level == 0 ? home.home : key.hash;
		}
		struct sw_limiter_set *set = sw_limiter_set_of(t, key.home);
		rte_prefetch0(set);
		*l = (struct sw_admission_level){.set = set, .hash = key.hash, .limit = &s->levels[*level], .way = SW_LIMITER_WAYS, .level = *level};
	}
}

void sw_admission_prepare(const struct sw_worker *w, struct sw_admission *admissions, unsigned int count,
	enum sw_limiter_kind kind)
{
	const struct sw_limiter_table keys = w->limiter; /* a copy: nothing that is written here can change it */

	for (unsigned int i = 0; i < count; i++)
		prepare(w, &keys, &admissions[i], kind);
}

/* Where an entry is not at home: the line where it may stand. */
static inline void ask_for_own_line(const struct sw_worker *w, const struct sw_admission_level *l)
{
	if (l->set->notes[0] & SW_NOTE_MOVED)
		rte_prefetch0(sw_limiter_set_of(&w->limiter, l->hash));
}

void sw_admission_reach(const struct sw_worker *w, struct sw_admission *admissions, unsigned int count)
{
	for (struct sw_admission *a = admissions; a < admissions + count; a++) {
		for (struct sw_admission_level *l = a->levels, *end = l + a->level_count; l < end; l++) {
			struct sw_limiter_set *set = l->set;
			const unsigned int ways = sw_limiter_ways_with(set, l->hash);
			if (unlikely(ways == 0)) {
				ask_for_own_line(w, l);
				continue;
			}
			const uint32_t way = l->way = (uint32_t)__builtin_ctz(ways);
			if (l->level == 0 && set->notes[way] & SW_NOTE_RECORD)
				rte_prefetch0(&w->records[set->notes[way] & SW_NOTE_VALUE]);
		}
	}
}

/* Where its entry is not at home: found elsewhere, or made. Returns whether it was made. */
static __attribute__((noinline)) bool find_or_make(struct sw_worker *w, struct sw_admission_level *l)
{
	struct sw_limiter_table *t = &w->limiter;
	const struct sw_limiter_key key = {.hash = l->hash, .home = (uint64_t)(l->set - t->sets)};
	uint32_t at = sw_limiter_find(t, key);
	const bool made = at == SW_LIMITER_NONE;

	if (made)
		at = sw_source_make_entry(w, key);
	l->way = SW_LIMITER_WAYS;
	if (at != SW_LIMITER_NONE) {
		l->set = &t->sets[at / SW_LIMITER_WAYS];
		l->way = at % SW_LIMITER_WAYS;
	}
	return made;
}

static inline bool holds(const struct sw_admission_level *l)
{
	return l->set->fingerprints[l->way] == sw_limiter_fingerprint(l->hash);
}

/*
 * The state of the bucket; NULL: all its places are pinned. An entry that is made may take the place of another of this
 * admission, for all that the table knows: settle() looks.
 */
static inline uint64_t *take_entry(struct sw_worker *w, struct sw_admission_level *l, bool *made)
{
	if (likely(l->way != SW_LIMITER_WAYS && holds(l)))
		return &l->set->tats[l->way];
	*made |= find_or_make(w, l);
	return l->way == SW_LIMITER_WAYS ? NULL : &l->set->tats[l->way];
}

/* Lets go of entries that have been given up meanwhile, among the first `count` levels. */
static __attribute__((noinline)) void settle(struct sw_admission *a, unsigned int count)
{
	for (struct sw_admission_level *l = a->levels; l < a->levels + count; l++)
		if (l->way != SW_LIMITER_WAYS && !holds(l))
			l->way = SW_LIMITER_WAYS;
}

/* ---- SYNs --------------------------------------------------------------------------------------------------------- */

/* Counts a SYN of the source: in its record, or towards getting one. */
static inline void note_claim(struct sw_worker *w, const struct sw_admission *a, bool refused)
{
	uint32_t *to = (uint32_t *)(uintptr_t)sw_admission_source_note(a);

	if (to == NULL)
		return;
	const uint32_t note = *to;
	if (likely(!(note & SW_NOTE_RECORD))) {
		if ((note & SW_NOTE_VALUE) == SW_NOTE_VALUE)
			return;
		*to = note + 1;
		if (((note + 1) & SW_NOTE_VALUE) == w->policy->evidence_after_syns)
			sw_source_claim_record(w, sw_limiter_place(&w->limiter, a->levels[0].set, a->levels[0].way), a->source,
				a->service->slot);
		return;
	}
	struct sw_source_record *r = &w->records[note & SW_NOTE_VALUE];
	r->syns++;
	r->last_seen_tsc = w->now;
	r->dropped += refused;
}

static enum sw_drop_reason refusal_of(const struct sw_limit_profile *limit, unsigned int level)
{
	if (limit->syn_is_cap)
		return SW_DROP_ANSWER_CAP;
	return level == 0 ? SW_DROP_LIMIT_SYN_SOURCE : SW_DROP_LIMIT_SYN_PREFIX;
}

static inline bool is_blocked(const struct sw_worker *w, const struct sw_admission *a)
{
	const uint32_t *note = sw_admission_source_note(a);

	return note != NULL && *note & SW_NOTE_RECORD && sw_source_blocked(w, *note & SW_NOTE_VALUE);
}

static inline enum sw_drop_reason check_levels(struct sw_worker *w, struct sw_admission *a)
{
	const uint64_t now = w->now;
	struct sw_admission_level *l = a->levels, *end = l + a->level_count;
	enum sw_drop_reason reason = SW_ADMITTED;
	bool made = false;

	for (; l < end && likely(reason == SW_ADMITTED); l++) {
		const uint64_t *tat = take_entry(w, l, &made);
		if (likely(tat != NULL) && unlikely(!sw_rate_within(&l->limit->syn, *tat, now)))
			reason = refusal_of(l->limit, l->level);
	}
	if (unlikely(made))
		settle(a, (unsigned int)(l - a->levels));
	return unlikely(is_blocked(w, a)) ? SW_DROP_BLOCKED : reason;
}

static inline enum sw_drop_reason check_syn(struct sw_worker *w, struct sw_admission *a)
{
	const struct sw_service_profile *s = a->service;
	const enum sw_drop_reason reason = check_levels(w, a);

	if (unlikely(reason != SW_ADMITTED))
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

static inline void take_syn(struct sw_worker *w, struct sw_admission *a)
{
	const struct sw_service_profile *s = a->service;
	const uint64_t now = w->now;

	for (struct sw_admission_level *l = a->levels, *end = l + a->level_count; l < end; l++) {
		if (unlikely(l->way == SW_LIMITER_WAYS))
			continue;
		uint64_t *tat = &l->set->tats[l->way];
		*tat = sw_rate_take(&l->limit->syn, *tat, now);
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

static enum sw_drop_reason check_connection_level(struct sw_worker *w, struct sw_admission_level *l, uint32_t record, bool *made)
{
	const struct sw_limit_profile *limit = l->limit;
	const bool is_source = l->level == 0;
	uint64_t *tat = take_entry(w, l, made);
	uint32_t concurrent = 0;

	if (is_source && record != SW_FLOW_NONE)
		concurrent = w->records[record].concurrent;
	else if (tat != NULL)
		concurrent = l->set->notes[l->way] & SW_NOTE_VALUE;
	if (tat != NULL && !sw_rate_allows(&limit->conn, *tat, w->now))
		return is_source ? SW_DROP_LIMIT_CONN_SOURCE : SW_DROP_LIMIT_CONN_PREFIX;
	if (limit->concurrent != 0 && concurrent >= limit->concurrent)
		return is_source ? SW_DROP_LIMIT_CONCURRENT_SOURCE : SW_DROP_LIMIT_CONCURRENT_PREFIX;
	/* What a source proves is its own doing and costs it, also where a wider budget then refuses it: otherwise the
	 * members of a flooding prefix would hide behind that prefix's limit and never be named. */
	if (is_source && tat != NULL)
		*tat = sw_rate_take(&limit->conn, *tat, w->now);
	return SW_ADMITTED;
}

static enum sw_drop_reason check_connection(struct sw_worker *w, struct sw_admission *a, uint32_t record)
{
	const struct sw_service_profile *s = a->service;
	enum sw_drop_reason reason = SW_ADMITTED;
	bool made = false;
	unsigned int k = 0;

	for (; k < a->level_count && reason == SW_ADMITTED; k++)
		reason = check_connection_level(w, &a->levels[k], record, &made);
	if (made)
		settle(a, k);
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

	for (unsigned int k = 0; k < a->level_count; k++) {
		const struct sw_admission_level *l = &a->levels[k];
		if (l->level != 0 && l->way != SW_LIMITER_WAYS)
			l->set->tats[l->way] = sw_rate_take(&l->limit->conn, l->set->tats[l->way], w->now);
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
