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
	for (unsigned int i; sw_next(&set, &i);) {
		struct sw_admission *a = &admissions[i];
		const struct sw_limiter_who who = {
			.source = a->source, .service = a->service->slot, .kind = kind, .is_ipv6 = a->is_ipv6,
		};
		a->lanes.wanted = a->service->limited[kind];
		SW_LANES_OF(keys)(&w->limiter, &w->policy->levels[a->is_ipv6], &who, &a->lanes);
	}
}

static SW_TARGET void place_burst(struct sw_worker *w, struct sw_admission *admissions, uint32_t set)
{
	for (unsigned int i; sw_next(&set, &i);)
		SW_LANES_OF(place)(&w->limiter, &w->policy->levels[admissions[i].is_ipv6], &admissions[i].lanes);
}

static SW_TARGET void find_burst(struct sw_worker *w, struct sw_admission *admissions, uint32_t set)
{
	for (unsigned int i; sw_next(&set, &i);) {
		SW_LANES_OF(find)(&w->limiter, &admissions[i].lanes);
		rte_prefetch0(record_of(w, *source_note(&admissions[i])));
	}
}

static inline SW_TARGET enum sw_drop_reason admit_syn(struct sw_worker *w, struct sw_admission *a,
	struct service_budget *budget, uint32_t *is_proven)
{
	struct sw_limiter_lanes *lanes = &a->lanes;
	SW_LANES_NEXT next;

	if (unlikely(lanes->taken_over != w->limiter.taken_over)) {
		SW_LANES_OF(place)(&w->limiter, &w->policy->levels[a->is_ipv6], lanes);
		SW_LANES_OF(find)(&w->limiter, lanes);
	}
	if (unlikely(lanes->found != lanes->wanted))
		sw_admission_make_entries(w, a);
	const unsigned int empty = SW_LANES_OF(look)(lanes, &a->service->syn_rates, w->now, &next);
	uint32_t *at = source_note(a);
	const uint32_t note = *at;
	struct sw_source_record *record = record_of(w, note);
	enum sw_drop_reason reason;
	if (unlikely(empty != 0 || record->blocked_until_tsc != 0 || a->group != SW_NONE))
		reason = sw_admission_decide(w, a, empty, record, budget);
	else
		reason = take_of_service(w, a->service, budget);
	if (likely(reason == SW_ADMITTED))
		SW_LANES_OF(take)(lanes, &next);
	*is_proven = note >> 31;
	note_claim(w, a, at, note, record, reason);
	return reason;
}

static SW_TARGET uint32_t admit_burst(struct sw_worker *w, struct sw_admission *admissions, uint32_t set,
	uint8_t reasons[SW_BURST], struct service_budget *budget, uint32_t *proven)
{
	uint32_t refused = 0;

	for (unsigned int i; sw_next(&set, &i);) {
		uint32_t is_proven;
		const enum sw_drop_reason reason = admit_syn(w, &admissions[i], budget, &is_proven);
		*proven |= is_proven << i;
		if (likely(reason == SW_ADMITTED))
			continue;
		reasons[i] = (uint8_t)reason;
		refused |= 1u << i;
	}
	return refused;
}

/*
 * In groups, each a step behind the one before it: what one step has asked for arrives while others are at work, and
 * never more is asked for than a core can wait for. Where sources were over their limits a burst ago, most are now: one
 * that plainly is has no need of the later steps.
 */
static uint32_t admit_syns(struct sw_worker *w, struct sw_admission *admissions, uint32_t set, uint8_t reasons[SW_BURST],
	uint32_t *proven)
{
	enum { GROUP = 8, GROUPS = SW_BURST / GROUP, STEPS = 3 };
	uint32_t groups[STEPS - 1 + GROUPS + STEPS - 1] = {0}, *group = groups + STEPS - 1, refused = 0, over = 0;
	struct service_budget budget = {.service = NULL};

	for (unsigned int g = 0; g < GROUPS; g++)
		group[g] = set & (((1u << GROUP) - 1) << g * GROUP);
	if (unlikely(w->sources_were_over))
		over = sw_admission_find_over(w, admissions, set);
	for (int g = 0; g < GROUPS + STEPS - 1; g++) {
		place_burst(w, admissions, group[g] & ~over);
		find_burst(w, admissions, group[g - 1] & ~over);
		refused |= admit_burst(w, admissions, group[g - 2] & ~over, reasons, &budget, proven);
	}
	if (unlikely(over != 0))
		sw_admission_refuse_over(w, admissions, over, reasons);
	w->sources_were_over = (refused | over) != 0;
	return refused | over;
}
