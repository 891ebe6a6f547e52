/* SPDX-License-Identifier: BSD-3-Clause */
/* What admission.c and the loops for each instruction set (admission_loops.h) share. Nobody else includes this. */
#ifndef SW_ADMISSION_PARTS_H
#define SW_ADMISSION_PARTS_H

#include <rte_branch_prediction.h>

#include "admission.h"

struct sw_admission_loops {
	void (*prepare)(struct sw_worker *w, struct sw_admission *admissions, uint32_t set, enum sw_limiter_kind kind);
	uint32_t (*admit_syns)(struct sw_worker *w, struct sw_admission *admissions, uint32_t set, uint8_t reasons[SW_BURST],
		uint32_t *proven);
};

extern const struct sw_admission_loops sw_admission_loops_avx512;

/*
 * Makes the entries that are yet to be found. Afterwards every bucket is the level's own or nowhere, and stays so until
 * others are made.
 */
__attribute__((noinline)) void sw_admission_make_entries(struct sw_worker *w, struct sw_admission *a);

/*
 * Of prepared admissions, the set of those whose source stands at home and is over its limit; what refusing them reads is
 * asked for. Whatever becomes of others meanwhile, it stays so for the rest of the burst.
 */
uint32_t sw_admission_find_over(struct sw_worker *w, struct sw_admission *admissions, uint32_t set);
void sw_admission_refuse_over(struct sw_worker *w, struct sw_admission *admissions, uint32_t set,
	uint8_t reasons[SW_BURST]);

/* Its entry is there; false: it stands nowhere. */
static inline bool lanes_have_place(const struct sw_limiter_lanes *lanes, unsigned int level)
{
	return sw_limiter_fingerprint_beside(lanes->tats[level]) == sw_limiter_fingerprint(lanes->hashes[level]);
}

/* What a service spends from; neighbours of a burst are mostly for the same. */
struct service_budget {
	const struct sw_service_profile *service;
	struct sw_rate rate;
	uint64_t *tat;
};

static inline enum sw_drop_reason take_of_service(struct sw_worker *w, const struct sw_service_profile *s,
	struct service_budget *budget)
{
	if (unlikely(budget->service != s)) {
		const struct sw_rate none = {.interval = 0};
		*budget = (struct service_budget){.service = s, .tat = &w->service_budgets[s->slot].syn_tat,
			.rate = s->total_limited ? w->service_shares[s->slot].syn : none};
	}
	if (budget->rate.interval == 0)
		return SW_ADMITTED;
	if (unlikely(!sw_rate_allows(&budget->rate, *budget->tat, w->now)))
		return SW_DROP_LIMIT_SYN_SERVICE;
	*budget->tat = sw_rate_take(&budget->rate, *budget->tat, w->now);
	return SW_ADMITTED;
}

/*
 * Where something stands in the way, or there is a group: `empty` is the set of levels without a token, `record` the
 * source's. Takes of group and service, when all agree.
 */
__attribute__((noinline)) enum sw_drop_reason sw_admission_decide(struct sw_worker *w, const struct sw_admission *a,
	unsigned int empty, const struct sw_source_record *record, struct service_budget *budget);

/* Of the source's own entry; if it has none, one nowhere, which names no record. */
static inline uint32_t *source_note(const struct sw_admission *a)
{
	return sw_limiter_note_beside(a->lanes.tats[0]);
}

/* The record that a note names; nobody's, if none. Without a branch: whether a source has one is as good as random. */
static inline struct sw_source_record *record_of(struct sw_worker *w, uint32_t note)
{
	const uintptr_t named = (uintptr_t)&w->records[note & SW_NOTE_VALUE], mask = 0 - (uintptr_t)(note >> 30 & 1);
	_Static_assert(SW_NOTE_RECORD == 1u << 30, "the bit above");

	return (struct sw_source_record *)((named & mask) | ((uintptr_t)&w->nobody & ~mask));
}

/* Counts a SYN of a source: in its record, or in its entry's note, which stands at `at`, towards getting one. */
static inline void note_claim(struct sw_worker *w, const struct sw_admission *a, uint32_t *at, uint32_t note,
	struct sw_source_record *record, enum sw_drop_reason reason)
{
	const uint32_t syns = note & SW_NOTE_VALUE;
	const bool has_record = note & SW_NOTE_RECORD;

	record->syns++;
	record->last_seen_tsc = w->now;
	record->dropped += reason != SW_ADMITTED;
	*at = note + (!has_record & (syns != SW_NOTE_VALUE));
	if (unlikely(syns + 1 == w->policy->evidence_after_syns) && !has_record && lanes_have_place(&a->lanes, 0))
		sw_source_claim_record(w, sw_limiter_place_of(&w->limiter, a->lanes.tats[0]), a->source, a->service->slot);
}

#endif
