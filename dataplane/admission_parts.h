/* SPDX-License-Identifier: BSD-3-Clause */
/* What admission.c and the loops for each instruction set (admission_loops.h) share. Nobody else includes this. */
#ifndef SW_ADMISSION_PARTS_H
#define SW_ADMISSION_PARTS_H

#include <rte_branch_prediction.h>

#include "admission.h"

struct sw_admission_loops {
	void (*prepare)(struct sw_worker *w, struct sw_admission *admissions, uint32_t set, enum sw_limiter_kind kind);
	void (*reach)(struct sw_worker *w, struct sw_admission *admissions, uint32_t set);
	uint32_t (*admit_syns)(struct sw_worker *w, struct sw_admission *admissions, uint32_t set, uint8_t reasons[SW_BURST],
		uint32_t *proven);
};

extern const struct sw_admission_loops sw_admission_loops_avx512;

/*
 * Makes the entries that are yet to be found. Afterwards every bucket is the level's own or nowhere, and stays so until
 * others are made.
 */
__attribute__((noinline)) void sw_admission_make_entries(struct sw_worker *w, struct sw_limiter_lanes *lanes);

/* `empty`: a set of levels. The narrowest counts. */
static inline enum sw_drop_reason refusal_of(const struct sw_service_profile *s, unsigned int empty)
{
	const unsigned int level = (unsigned int)__builtin_ctz(empty);

	if (s->levels[level].syn_is_cap)
		return SW_DROP_ANSWER_CAP;
	return level == 0 ? SW_DROP_LIMIT_SYN_SOURCE : SW_DROP_LIMIT_SYN_PREFIX;
}

/* What a service spends from; neighbours of a burst are mostly for the same. */
struct service_budget {
	const struct sw_service_profile *service;
	const struct sw_rate *rate;
	uint64_t *tat;
};

static inline void open_budget(struct sw_worker *w, const struct sw_service_profile *s, struct service_budget *budget)
{
	*budget = (struct service_budget){s, &w->service_shares[s->slot].syn, &w->service_budgets[s->slot].syn_tat};
}

/* The budgets of group and service: a token of each, when both have one. */
static inline enum sw_drop_reason take_wider(struct sw_worker *w, const struct sw_admission *a,
	struct service_budget *budget)
{
	const struct sw_rate *group_rate = NULL;
	uint64_t *group_tat = NULL;

	if (unlikely(a->group != SW_NONE)) {
		const uint32_t slot = w->policy->group[a->group].slot;
		group_rate = &w->group_shares[slot].syn;
		group_tat = &w->group_budgets[slot].syn_tat;
		if (!sw_rate_allows(group_rate, *group_tat, w->now))
			return SW_DROP_LIMIT_SYN_GROUP;
	}
	if (a->service->total_limited) {
		if (unlikely(budget->service != a->service))
			open_budget(w, a->service, budget);
		if (unlikely(!sw_rate_allows(budget->rate, *budget->tat, w->now)))
			return SW_DROP_LIMIT_SYN_SERVICE;
		*budget->tat = sw_rate_take(budget->rate, *budget->tat, w->now);
	}
	if (unlikely(group_tat != NULL))
		*group_tat = sw_rate_take(group_rate, *group_tat, w->now);
	return SW_ADMITTED;
}

static inline void count_in_group(struct sw_worker *w, const struct sw_admission *a, enum sw_drop_reason reason)
{
	struct sw_group_counters *c = &w->groups[w->policy->group[a->group].slot];

	c->syn_received++;
	c->refused += reason != SW_ADMITTED;
}

/* The record that the note of a source's entry names, if there is one. */
static inline struct sw_source_record *record_of(const struct sw_worker *w, const uint32_t *note)
{
	return note != NULL && *note & SW_NOTE_RECORD ? &w->records[*note & SW_NOTE_VALUE] : NULL;
}

static inline bool is_blocked(const struct sw_worker *w, const struct sw_source_record *r)
{
	return r->blocked_until_tsc != 0 && (int64_t)(r->blocked_until_tsc - w->now) > 0;
}

/* Counts a SYN of a source: in its record, or in its entry's note, towards getting one. */
static inline void note_claim_in_record(const struct sw_worker *w, struct sw_source_record *r, enum sw_drop_reason reason)
{
	r->syns++;
	r->last_seen_tsc = w->now;
	r->dropped += reason != SW_ADMITTED;
}

static inline void note_claim(struct sw_worker *w, const struct sw_admission *a, uint32_t *note)
{
	const uint32_t syns = *note & SW_NOTE_VALUE;

	*note += syns != SW_NOTE_VALUE;
	if (unlikely(syns + 1 == w->policy->evidence_after_syns))
		sw_source_claim_record(w, sw_limiter_place_of(&w->limiter, a->lanes.tats[0]), a->source, a->service->slot);
}

#endif
