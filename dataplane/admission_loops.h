/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The loops of admission.h over a burst. Included once for each instruction set, by a file that says which: SW_LANES_OF()
 * names its functions of core/limiter_lanes*.h, SW_LANES_NEXT is what those keep between look and take, SW_TARGET
 * stands before functions, SW_TARGET_KEYS before those that make keys.
 */
#include <rte_branch_prediction.h>
#include <rte_prefetch.h>

#include "admission.h"
#include "admission_parts.h"
#include "stages/stage.h"

static SW_TARGET_KEYS void prepare_burst(struct sw_worker *w, struct sw_admission *admissions, uint32_t set,
	enum sw_limiter_kind kind)
{
	struct sw_limiter_table *table = &w->limiter;
	const struct sw_policy *policy = w->policy;

	for (unsigned int i; sw_next(&set, &i);) {
		struct sw_admission *a = &admissions[i];
		const struct sw_limiter_who who = {
			.source = a->source, .service = a->service->slot, .kind = kind, .is_ipv6 = a->is_ipv6,
		};
		a->lanes.wanted = a->service->limited[kind];
		SW_LANES_OF(keys)(table, &policy->levels[a->is_ipv6], &who, &a->lanes);
		sw_lanes_ask(&a->lanes);
	}
}

/* The record that the source's entry names, if it has one; otherwise the other lines where entries may stand. */
static inline void ask_further(struct sw_worker *w, const struct sw_limiter_lanes *lanes)
{
	if (unlikely(lanes->found != lanes->wanted)) {
		for (uint32_t missing = lanes->wanted & ~(uint32_t)lanes->found; missing != 0; missing &= missing - 1)
			rte_prefetch0(sw_limiter_set_of(&w->limiter, lanes->hashes[__builtin_ctz(missing)]));
	}
	const uint32_t note = *sw_limiter_note_beside(lanes->tats[0]);
	if (note & SW_NOTE_RECORD)
		rte_prefetch0(&w->records[note & SW_NOTE_VALUE]);
}

static SW_TARGET void reach_burst(struct sw_worker *w, struct sw_admission *admissions, uint32_t set)
{
	for (unsigned int i; sw_next(&set, &i);) {
		SW_LANES_OF(find)(&w->limiter, &admissions[i].lanes);
		ask_further(w, &admissions[i].lanes);
	}
}

static inline SW_TARGET enum sw_drop_reason admit_syn(struct sw_worker *w, struct sw_admission *a,
	struct service_budget *budget, uint32_t *is_proven)
{
	struct sw_limiter_lanes *lanes = &a->lanes;
	SW_LANES_NEXT next;

	if (unlikely(lanes->taken_over != w->limiter.taken_over))
		sw_lanes_find_plain(&w->limiter, lanes);
	if (unlikely(lanes->found != lanes->wanted) && unlikely(sw_lanes_find_moved(&w->limiter, lanes) != 0))
		sw_admission_make_entries(w, lanes);
	const unsigned int empty = SW_LANES_OF(look)(lanes, &a->service->syn_rates, w->now, &next);
	uint32_t *note = sw_admission_source_note(a);
	struct sw_source_record *record = record_of(w, note);
	enum sw_drop_reason reason = SW_ADMITTED;
	if (unlikely(record != NULL && is_blocked(w, record)))
		reason = SW_DROP_BLOCKED;
	else if (unlikely(empty != 0))
		reason = refusal_of(a->service, empty);
	else
		reason = take_wider(w, a, budget);
	if (likely(reason == SW_ADMITTED))
		SW_LANES_OF(take)(lanes, &next);
	if (unlikely(a->group != SW_NONE))
		count_in_group(w, a, reason);
	if (record != NULL) {
		*is_proven = *note >> 31;
		note_claim_in_record(w, record, reason);
	} else if (likely(note != NULL)) {
		note_claim(w, a, note);
	}
	return reason;
}

static SW_TARGET uint32_t admit_syns(struct sw_worker *w, struct sw_admission *admissions, uint32_t set,
	uint8_t reasons[SW_BURST], uint32_t *proven)
{
	struct service_budget budget = {.service = NULL};
	uint32_t refused = 0;

	for (unsigned int i; sw_next(&set, &i);) {
		uint32_t is_proven = 0;
		const enum sw_drop_reason reason = admit_syn(w, &admissions[i], &budget, &is_proven);
		if (unlikely(is_proven))
			*proven |= 1u << i;
		if (likely(reason == SW_ADMITTED))
			continue;
		reasons[i] = (uint8_t)reason;
		refused |= 1u << i;
	}
	return refused;
}
