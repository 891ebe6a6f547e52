/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The loops of admission.h over a burst. Included once for each instruction set, by a file that says which: SW_LANES_OF()
 * names its functions of core/limiter_lanes*.h, SW_LANES_KEYS, _FIND and _LOOK are what the steps of a run have in common,
 * as its open functions make it, SW_LANES_NEXT is what it keeps between look and take, SW_TARGET stands before functions,
 * SW_TARGET_KEYS before those that make keys.
 */
#include <rte_branch_prediction.h>

#include "admission.h"
#include "admission_parts.h"
#include "stages/stage.h"

static SW_TARGET_KEYS void prepare_run(struct sw_worker *w, const struct sw_admission_run *run, enum sw_limiter_kind kind,
	const struct sw_address *first, size_t stride, struct sw_limiter_lanes *lanes)
{
	const struct sw_lanes_run r = sw_lanes_run_of(w, run->service, run->is_ipv6, kind);
	const SW_LANES_KEYS keys = SW_LANES_OF(keys_open)(&r);

	for (uint32_t set = run->set; set; set &= set - 1) {
		const size_t i = (size_t)__builtin_ctz(set);
		const void *source = (const uint8_t *)first + i * stride;
		SW_LANES_OF(keys)(&keys, &r, source, &lanes[i]);
	}
}

static SW_TARGET void place_all(struct sw_worker *w, struct sw_syn_admissions *syns, uint32_t set)
{
	uint32_t stretch;

	syns->unsettled &= ~set;
	for (const struct sw_admission_run *run; (run = next_stretch(syns, &set, &stretch)) != NULL;) {
		const struct sw_lanes_run r = sw_lanes_run_of(w, run->service, run->is_ipv6, SW_LIMITER_SYN);
		const SW_LANES_FIND find = SW_LANES_OF(find_open)(&r);
		for (; stretch; stretch &= stretch - 1)
			SW_LANES_OF(place)(&find, &syns->lanes[(size_t)__builtin_ctz(stretch)]);
	}
}

static SW_TARGET void find_all(struct sw_worker *w, struct sw_syn_admissions *syns, uint32_t set)
{
	uint32_t stretch, unsettled = 0;

	for (const struct sw_admission_run *run; (run = next_stretch(syns, &set, &stretch)) != NULL;) {
		const struct sw_lanes_run r = sw_lanes_run_of(w, run->service, run->is_ipv6, SW_LIMITER_SYN);
		const SW_LANES_FIND find = SW_LANES_OF(find_open)(&r);
		for (; stretch; stretch &= stretch - 1) {
			const size_t i = (size_t)__builtin_ctz(stretch);
			struct sw_limiter_lanes *lanes = &syns->lanes[i];
			if (unlikely(SW_LANES_OF(find)(&find, lanes) != r.wanted))
				unsettled |= 1u << i;
		}
	}
	syns->unsettled |= unsettled;
}

/*
 * Those that have an entry in a line where one of these levels has just been given a place: they may have had that. Whoever
 * is unsettled anyway is not asked: in a flood of sources that are all new, everybody.
 */
static SW_TARGET uint32_t find_disturbed(const struct sw_syn_admissions *syns, const struct sw_limiter_lanes *by,
	unsigned int levels)
{
	const uint32_t settled = syns->prepared & ~syns->unsettled;
	uint32_t disturbed = 0;

	for (unsigned int l; sw_next(&levels, &l);) {
		const struct sw_limiter_set *line = sw_limiter_set_around(by->tats[l]);
		for (uint32_t set = settled; set; set &= set - 1) {
			const size_t i = (size_t)__builtin_ctz(set);
			disturbed |= (uint32_t)SW_LANES_OF(stand_in)(&syns->lanes[i], line) << i;
		}
	}
	return disturbed;
}

/* Looks for the entries of packet i anew, as another may have pushed them out, and makes those that are not there. */
static __attribute__((noinline)) SW_TARGET void settle(struct sw_worker *w, struct sw_syn_admissions *syns,
	const struct sw_lanes_run *r, size_t i)
{
	const SW_LANES_FIND find = SW_LANES_OF(find_open)(r);
	struct sw_limiter_lanes *lanes = &syns->lanes[i];

	SW_LANES_OF(place)(&find, lanes);
	const unsigned int missing = r->wanted & ~SW_LANES_OF(find)(&find, lanes);
	if (missing && sw_admission_make_entries(w, r, lanes, missing))
		syns->unsettled |= find_disturbed(syns, lanes, missing);
}

/* What became of SYNs. */
struct outcome {
	uint32_t refused, proven;
	uint8_t *reasons;
};

/* In a register: compilers would reckon it anew after each store. */
static inline struct sw_limiter_lanes *lanes_of(struct sw_syn_admissions *syns, unsigned int i)
{
	struct sw_limiter_lanes *lanes = &syns->lanes[i];

	__asm__("" : "+r"(lanes));
	return lanes;
}

static SW_TARGET void admit_stretch(struct sw_worker *w, struct sw_syn_admissions *syns, const struct sw_packet *packets,
	const struct sw_admission_run *run, uint32_t stretch, struct outcome *out)
{
	const struct sw_lanes_run r = sw_lanes_run_of(w, run->service, run->is_ipv6, SW_LIMITER_SYN);
	const SW_LANES_LOOK look = SW_LANES_OF(look_open)(&r);
	struct service_budget budget = open_budget(w, run->service, stretch);
	const uint32_t questionable = budget.suffices ? syns->grouped : ~0u;
	const uint32_t claims_at = w->policy->evidence_after_syns;
	uint32_t special = questionable | syns->unsettled, counted = stretch;

	for (uint32_t set = stretch; set; set &= set - 1) {
		const unsigned int i = (unsigned int)__builtin_ctz(set);
		struct sw_limiter_lanes *lanes = lanes_of(syns, i);
		SW_LANES_NEXT next;
		if (unlikely(special >> i & 1 && syns->unsettled >> i & 1)) { /* the former is in a register */
			settle(w, syns, &r, i);
			special |= syns->unsettled;
		}
		const unsigned int empty = SW_LANES_OF(look)(&look, lanes, &next);
		uint32_t *const at = lanes->note;
		const uint32_t note = *at;
		bool decides = false;
		if (unlikely(note & (SW_NOTE_PINNED | SW_NOTE_BLOCKED) || special >> i & 1)) {
			out->proven |= (note & SW_NOTE_PINNED ? 1u : 0) << i;
			decides = note & SW_NOTE_BLOCKED || questionable >> i & 1;
		}
		enum sw_drop_reason reason = SW_ADMITTED;
		if (unlikely(decides)) {
			reason = sw_admission_decide(w, run->service, group_of(syns, i), empty, note, &budget);
			counted &= ~(1u << i);
		} else if (unlikely(empty != 0)) {
			reason = refusal_of(run->service, empty);
			counted &= ~(1u << i);
		}
		bool more;
		if (unlikely(reason != SW_ADMITTED)) {
			out->refused |= 1u << i;
			out->reasons[i] = (uint8_t)reason;
			more = note_syn(at, note, true, claims_at);
		} else {
			SW_LANES_OF(take)(lanes, &next);
			more = note_syn(at, note, false, claims_at);
		}
		if (unlikely(more))
			sw_admission_note_more(w, lanes->tats[0], note, reason != SW_ADMITTED, &packets[i].client, run->service->slot);
	}
	close_budget(w, &budget, (unsigned int)__builtin_popcount(counted));
}

/*
 * Where sources were over their limits a burst ago, most are now: one that plainly is has no need of the later steps.
 */
static void place_syns(struct sw_worker *w, struct sw_syn_admissions *syns, const struct sw_packet *packets,
	uint8_t reasons[SW_BURST])
{
	syns->over = unlikely(w->sources_were_over) ? sw_admission_refuse_over(w, syns, packets, reasons) : 0;
	place_all(w, syns, syns->prepared & ~syns->over);
}

/* Step by step over all: what one has asked for arrives while the others of the burst are asked for. */
static uint32_t admit_syns(struct sw_worker *w, struct sw_syn_admissions *syns, const struct sw_packet *packets,
	uint8_t reasons[SW_BURST], uint32_t *proven)
{
	uint32_t set = syns->prepared & ~syns->over, stretch;
	struct outcome out = {.refused = syns->over, .reasons = reasons};

	find_all(w, syns, set);
	for (const struct sw_admission_run *run; (run = next_stretch(syns, &set, &stretch)) != NULL;)
		admit_stretch(w, syns, packets, run, stretch, &out);
	w->sources_were_over = out.refused != 0;
	*proven |= out.proven;
	return out.refused;
}
