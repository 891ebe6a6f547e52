/* SPDX-License-Identifier: BSD-3-Clause */
#include "admission.h"

#include <rte_branch_prediction.h>
#include <rte_prefetch.h>

#include "stages/stage.h"

/* ---- levels ------------------------------------------------------------------------------------------------------- */

static inline struct sw_admission_level *add_level(const struct sw_limiter_table *t, struct sw_admission_level *l,
	const struct sw_service_profile *s, unsigned int level, uint64_t hash, uint64_t home)
{
	struct sw_limiter_set *set = sw_limiter_set_of(t, home);

	rte_prefetch0(set);
	l->set = set;
	l->hash = hash;
	l->limit = &s->levels[level];
	l->way = SW_LIMITER_WAYS;
	l->level = level;
	return l + 1;
}

static inline void prepare(const struct sw_limiter_table *t, const struct sw_policy *p, struct sw_admission *a,
	enum sw_limiter_kind kind)
{
	const struct sw_service_profile *s = a->service;
	const unsigned int family = a->is_ipv6;
	const struct sw_level_plan *plan = &s->plans[kind == SW_LIMITER_CONN][family];
	const struct sw_limiter_key home = sw_limiter_home_key(t, a->source, family, kind, s->slot);
	struct sw_admission_level *l = a->levels;

	if (likely(plan->source))
		l = add_level(t, l, s, 0, sw_limiter_source_key(t, a->source, kind, s->slot, home.home).hash, home.home);
	if (likely(plan->home))
		l = add_level(t, l, s, plan->home, home.hash, home.home);
	for (unsigned int k = 0; k < plan->other_count; k++) {
		const unsigned int level = plan->others[k];
		const __m128i prefix =
			_mm_and_si128(sw_limiter_load(a->source->bytes), sw_limiter_load(&p->level_masks[level][family]));
		const uint64_t hash =
			sw_limiter_as_wide((uint64_t)_mm_cvtsi128_si64(sw_limiter_scramble(t, prefix, kind, level, s->slot)));
		l = add_level(t, l, s, level, hash, hash);
	}
	a->level_count = (uint8_t)(l - a->levels);
}

void sw_admission_prepare(const struct sw_worker *w, struct sw_admission *admissions, unsigned int count,
	enum sw_limiter_kind kind)
{
	const struct sw_limiter_table table = w->limiter; /* a copy: nothing that is written here can change it */
	const struct sw_policy *policy = w->policy;

	for (unsigned int i = 0; i < count; i++)
		prepare(&table, policy, &admissions[i], kind);
}

/* Where an entry is not at home: the line where it may stand. */
static inline void ask_for_own_line(const struct sw_worker *w, const struct sw_admission_level *l)
{
	if (l->set->notes[0] & SW_NOTE_MOVED)
		rte_prefetch0(sw_limiter_set_of(&w->limiter, l->hash));
}

void sw_admission_reach(const struct sw_worker *w, struct sw_admission *admissions, unsigned int count)
{
	struct sw_source_record *records = w->records;

	for (struct sw_admission *a = admissions; a < admissions + count; a++) {
		/* Only what has a home: the source and its neighbourhood, which stand first. */
		const unsigned int homes = a->level_count < 2 ? a->level_count : 2;
		for (struct sw_admission_level *l = a->levels; l < a->levels + homes; l++) {
			struct sw_limiter_set *set = l->set;
			const unsigned int ways = sw_limiter_ways_with(set, l->hash);
			if (unlikely(ways == 0)) {
				ask_for_own_line(w, l);
				continue;
			}
			const uint32_t way = (uint32_t)__builtin_ctz(ways), note = set->notes[way];
			l->way = way;
			if (note & SW_NOTE_RECORD)
				rte_prefetch0(&records[note & SW_NOTE_VALUE]);
		}
	}
}

/*
 * The entry of level `l`, which is not there yet. It may take the place of a narrower one of this admission, and
 * settle() looks for that; but not of a wider one, which stands in the same home: sources would push out their own
 * prefix, one after the other, and be held by nothing.
 */
static uint32_t make_entry(struct sw_worker *w, const struct sw_admission *a, const struct sw_admission_level *l,
	struct sw_limiter_key key)
{
	uint32_t *kept[SW_PREFIX_LEVELS];
	unsigned int count = 0;

	for (const struct sw_admission_level *wider = l + 1; wider < a->levels + a->level_count; wider++) {
		if (wider->set != l->set)
			continue;
		const unsigned int ways = sw_limiter_ways_with(wider->set, wider->hash);
		uint32_t *note = &wider->set->notes[ways ? __builtin_ctz(ways) : 0];
		if (ways == 0 || *note & SW_NOTE_PINNED)
			continue;
		*note |= SW_NOTE_PINNED;
		kept[count++] = note;
	}
	const uint32_t at = sw_source_make_entry(w, key);
	for (unsigned int k = 0; k < count; k++)
		*kept[k] &= ~SW_NOTE_PINNED;
	return at;
}

/* Where its entry is not at home: found elsewhere, or made. Returns whether it was made. */
static __attribute__((noinline)) bool find_or_make(struct sw_worker *w, const struct sw_admission *a,
	struct sw_admission_level *l)
{
	struct sw_limiter_table *t = &w->limiter;
	const struct sw_limiter_key key = {.hash = l->hash, .home = (uint64_t)(l->set - t->sets)};
	uint32_t at = sw_limiter_find(t, key);
	const bool made = at == SW_LIMITER_NONE;

	if (made)
		at = make_entry(w, a, l, key);
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

/* The state of the bucket; NULL: it has no place. */
static inline uint64_t *take_entry(struct sw_worker *w, const struct sw_admission *a, struct sw_admission_level *l,
	bool *made)
{
	struct sw_limiter_set *set = l->set;

	if (l->way != SW_LIMITER_WAYS && likely(holds(l)))
		return &set->tats[l->way];
	const unsigned int ways = sw_limiter_ways_with(set, l->hash);
	if (likely(ways != 0)) {
		const uint32_t way = (uint32_t)__builtin_ctz(ways);
		l->way = way;
		return &set->tats[way];
	}
	*made |= find_or_make(w, a, l);
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

/* Buckets that have agreed, and what they are to hold when all have. */
struct agreed {
	uint64_t *tats[SW_PREFIX_LEVELS + 2];
	uint64_t states[SW_PREFIX_LEVELS + 2];
	unsigned int count;
};

static inline bool agrees(struct agreed *agreed, const struct sw_rate *rate, uint64_t *tat, uint64_t now)
{
	if (unlikely(!sw_rate_allows(rate, *tat, now)))
		return false;
	agreed->tats[agreed->count] = tat;
	agreed->states[agreed->count] = sw_rate_take(rate, *tat, now);
	agreed->count++;
	return true;
}

/* Again, without the levels whose entries were given up for others of this admission. */
static __attribute__((noinline)) void agree_again(struct sw_admission *a, unsigned int count, struct agreed *agreed,
	uint64_t now)
{
	settle(a, count);
	agreed->count = 0;
	for (struct sw_admission_level *l = a->levels; l < a->levels + count; l++)
		if (l->way != SW_LIMITER_WAYS)
			agrees(agreed, &l->limit->syn, &l->set->tats[l->way], now);
}

static inline bool is_blocked(const struct sw_worker *w, const struct sw_admission *a)
{
	const uint32_t *note = sw_admission_source_note(a);

	return note != NULL && *note & SW_NOTE_RECORD && sw_source_blocked(w, *note & SW_NOTE_VALUE);
}

static inline enum sw_drop_reason check_levels(struct sw_worker *w, struct sw_admission *a, struct agreed *agreed)
{
	const uint64_t now = w->now;
	struct sw_admission_level *l = a->levels, *end = l + a->level_count;
	enum sw_drop_reason reason = SW_ADMITTED;
	bool made = false;

	for (; l < end && likely(reason == SW_ADMITTED); l++) {
		uint64_t *tat = take_entry(w, a, l, &made);
		if (likely(tat != NULL) && unlikely(!agrees(agreed, &l->limit->syn, tat, now)))
			reason = refusal_of(l->limit, l->level);
	}
	if (unlikely(made))
		agree_again(a, (unsigned int)(l - a->levels), agreed, now);
	return unlikely(is_blocked(w, a)) ? SW_DROP_BLOCKED : reason;
}

static inline enum sw_drop_reason check_syn(struct sw_worker *w, struct sw_admission *a, struct agreed *agreed)
{
	const struct sw_service_profile *s = a->service;
	const enum sw_drop_reason reason = check_levels(w, a, agreed);

	if (unlikely(reason != SW_ADMITTED))
		return reason;
	if (a->group != SW_NONE) {
		const uint32_t slot = w->policy->group[a->group].slot;
		if (!agrees(agreed, &w->group_shares[slot].syn, &w->group_budgets[slot].syn_tat, w->now))
			return SW_DROP_LIMIT_SYN_GROUP;
	}
	if (s->total_limited && !agrees(agreed, &w->service_shares[s->slot].syn, &w->service_budgets[s->slot].syn_tat, w->now))
		return SW_DROP_LIMIT_SYN_SERVICE;
	return SW_ADMITTED;
}

enum sw_drop_reason sw_admit_syn(struct sw_worker *w, struct sw_admission *a)
{
	struct agreed agreed;

	agreed.count = 0;
	const enum sw_drop_reason reason = check_syn(w, a, &agreed);
	if (likely(reason == SW_ADMITTED))
		for (unsigned int k = 0; k < agreed.count; k++)
			*agreed.tats[k] = agreed.states[k];
	if (a->group != SW_NONE) {
		struct sw_group_counters *c = &w->groups[w->policy->group[a->group].slot];
		c->syn_received++;
		c->refused += reason != SW_ADMITTED;
	}
	note_claim(w, a, reason != SW_ADMITTED);
	return reason;
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

static enum sw_drop_reason check_connection_level(struct sw_worker *w, const struct sw_admission *a,
	struct sw_admission_level *l, uint32_t record, bool *made)
{
	const struct sw_limit_profile *limit = l->limit;
	const bool is_source = l->level == 0;
	uint64_t *tat = take_entry(w, a, l, made);
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
		reason = check_connection_level(w, a, &a->levels[k], record, &made);
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
