/* SPDX-License-Identifier: BSD-3-Clause */
/* What admission.c and the loops for each instruction set (admission_loops.h) share. Nobody else includes this. */
#ifndef SW_ADMISSION_PARTS_H
#define SW_ADMISSION_PARTS_H

#include <rte_branch_prediction.h>

#include "admission.h"
#include "core/prefetch.h"

/* What SYNs of one run have in common, whose sources may be over their limits. */
struct sw_overs {
	const struct sw_packet *packets;
	uint64_t now, tolerance;
	uint32_t slot, claims_at;
};

struct sw_overs_found {
	uint32_t over; /* they are refused */
	uint32_t away; /* they are not at home, and may have moved out */
};

struct sw_admission_loops {
	void (*prepare)(struct sw_worker *w, const struct sw_admission_run *run, enum sw_limiter_kind kind,
		const struct sw_address *first, size_t stride, struct sw_limiter_lanes *lanes);
	void (*place_syns)(struct sw_worker *w, struct sw_syn_admissions *syns, const struct sw_packet *packets,
		uint8_t reasons[SW_BURST]);
	uint32_t (*admit_syns)(struct sw_worker *w, struct sw_syn_admissions *syns, const struct sw_packet *packets,
		uint8_t reasons[SW_BURST], uint32_t *proven);
	struct sw_overs_found (*refuse_at_home)(struct sw_worker *w, const struct sw_overs *overs,
		const struct sw_limiter_lanes *lanes, uint32_t set);
	sw_limiter_add_pair_fn *add_pair;
};

extern const struct sw_admission_loops sw_admission_loops_avx512;

static inline struct sw_lanes_run sw_lanes_run_of(struct sw_worker *w, const struct sw_service_profile *s, bool is_ipv6,
	enum sw_limiter_kind kind)
{
	return (struct sw_lanes_run){
		.table = &w->limiter, .levels = &w->policy->levels[is_ipv6], .service = s->slot, .kind = kind,
		.wanted = s->limited[kind], .is_ipv6 = is_ipv6, .near = w->prefetch.near, .rates = &s->syn_rates, .now = w->now,
	};
}

/*
 * Makes the entries of levels that were not found: `missing`. Afterwards every bucket is the level's own or nowhere, and
 * stays so until others are made. Returns whether any took the place of another's: what was found of other sources may
 * then be gone.
 */
__attribute__((noinline)) bool sw_admission_make_entries(struct sw_worker *w, const struct sw_lanes_run *run,
	struct sw_limiter_lanes *lanes, unsigned int missing);

/*
 * Refuses, of prepared SYNs, those whose source is over its limit, unless there is more to be said of it. Returns their set.
 * Whatever becomes of others meanwhile, it stays so for the rest of the burst.
 */
uint32_t sw_admission_refuse_over(struct sw_worker *w, struct sw_syn_admissions *syns, const struct sw_packet *packets,
	uint8_t reasons[SW_BURST]);

/*
 * Of packets of one run, refuses those whose source is at home and over its limit, unless there is more to be said of it.
 * The plain version of what the loops have for it.
 */
struct sw_overs_found sw_admission_refuse_at_home(struct sw_worker *w, const struct sw_overs *overs,
	const struct sw_limiter_lanes *lanes, uint32_t set);

/* Its entry is there; false: it stands nowhere. */
static inline bool lanes_have_place(const struct sw_limiter_lanes *lanes, unsigned int level)
{
	return sw_limiter_fingerprint_beside(lanes->tats[level]) == sw_limiter_fingerprint(lanes->hashes[level]);
}

/*
 * What SYNs of a run take of their service. Where it surely has a token for each of them, they are counted and taken at
 * the end; otherwise one by one.
 */
struct service_budget {
	struct sw_rate rate;
	uint64_t *tat;
	bool suffices;
};

static inline struct service_budget open_budget(struct sw_worker *w, const struct sw_service_profile *s, uint32_t syns)
{
	const struct sw_rate none = {.interval = 0};
	struct service_budget b = {.tat = &w->service_budgets[s->slot].syn_tat, .suffices = true,
		.rate = s->total_limited ? w->service_shares[s->slot].syn : none};

	if (b.rate.interval != 0) {
		const int64_t ahead = (int64_t)(*b.tat - w->now);
		const uint64_t last = (uint64_t)(ahead > 0 ? ahead : 0) + ((uint64_t)__builtin_popcount(syns) - 1) * b.rate.interval;
		b.suffices = last <= b.rate.tolerance;
	}
	return b;
}

/* `syns`: how many were counted and not taken. */
static inline void close_budget(struct sw_worker *w, struct service_budget *b, unsigned int syns)
{
	if (b->rate.interval != 0 && syns != 0)
		*b->tat = sw_rate_take(&b->rate, *b->tat, w->now) + (syns - 1) * b->rate.interval;
}

/* Why a SYN is refused: `empty` is the set of levels without a token, of which the narrowest counts. */
static inline enum sw_drop_reason refusal_of(const struct sw_service_profile *s, unsigned int empty)
{
	const size_t level = (size_t)__builtin_ctz(empty);

	if (s->levels[level].syn_is_cap)
		return SW_DROP_ANSWER_CAP;
	return level == 0 ? SW_DROP_LIMIT_SYN_SOURCE : SW_DROP_LIMIT_SYN_PREFIX;
}

/*
 * Where something stands in the way, or there is a group: `empty` is the set of levels without a token, `note` that of the
 * source. Takes of group and service, when all agree. `group`: as in struct sw_admission.
 */
__attribute__((noinline)) enum sw_drop_reason sw_admission_decide(struct sw_worker *w, const struct sw_service_profile *s,
	uint32_t group, unsigned int empty, uint32_t note, const struct service_budget *budget);

/*
 * Counts a SYN of a source in its entry's note. Returns whether it is now to get a record, which it does after `claims_at`
 * SYNs, or its record is to be told of those before: sw_admission_note_more(). Without a branch: whether a source has one
 * is as good as random.
 */
static inline bool note_syn(uint32_t *at, uint32_t note, bool dropped, uint32_t claims_at)
{
	const uint32_t recorded = note >> 30 & 1;
	const uint32_t counted = note + recorded * SW_NOTE_SYN + ((note & (SW_NOTE_RECORD | SW_NOTE_ENOUGH)) == 0);
	const uint32_t differs = (counted ^ (dropped ? SW_NOTE_DROPPED : 0)) & (SW_NOTE_DROPPED | SW_NOTE_TELL);
	_Static_assert(SW_NOTE_RECORD == 1u << 30, "the bit above");

	*at = counted;
	return (differs & (0 - recorded)) != 0 || (counted & (SW_NOTE_RECORD | SW_NOTE_VALUE)) == claims_at;
}

/* Of a bucket, own or nowhere, whose note was `note` before note_syn() was true. */
__attribute__((noinline)) void sw_admission_note_more(struct sw_worker *w, uint64_t *tat, uint32_t note, bool dropped,
	const struct sw_address *source, uint32_t slot);

/* As in struct sw_admission. */
static inline uint32_t group_of(const struct sw_syn_admissions *syns, size_t i)
{
	return syns->grouped >> i & 1 ? syns->groups[i] : SW_NONE;
}

/* Of a set of prepared SYNs, those of the first one's run: takes them out of it. */
static inline const struct sw_admission_run *next_stretch(const struct sw_syn_admissions *syns, uint32_t *set,
	uint32_t *stretch)
{
	if (*set == 0)
		return NULL;
	const struct sw_admission_run *run = &syns->runs[syns->run_of[__builtin_ctz(*set)]];
	*stretch = *set & run->set;
	*set &= ~*stretch;
	return run;
}

#endif
