/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * May this SYN be answered, may this proven connection be opened? Token buckets and caps of the source, its prefixes, its
 * group and its service, all of which have to agree before any gives a token.
 *
 * Made for bursts: prepare works out where everything is at home, place where it stands, and each asks for that memory;
 * admit decides, run by run, and within a run one after the other in the order of arrival.
 */
#ifndef SW_ADMISSION_H
#define SW_ADMISSION_H

#include "sources.h"

/* `reason` of an admission that succeeded. */
#define SW_ADMITTED SW_DROP_REASON_COUNT

/* Packets of a burst, of sources of one family to one service. */
struct sw_admission_run {
	const struct sw_service_profile *service;
	uint32_t set; /* of indices, a bit each */
	bool is_ipv6;
};

/* The SYNs of a burst on their way through the limits. All arrays by the packet's index, but for `runs`. */
struct sw_syn_admissions {
	struct sw_limiter_lanes lanes[SW_BURST];
	struct sw_admission_run runs[SW_BURST];
	unsigned int run_count;
	uint8_t run_of[SW_BURST];
	uint32_t prepared;         /* those that are in a run, and whose lanes have keys */
	uint32_t grouped;          /* of these, those whose source is in a group: groups[] is an index into policy->group */
	uint32_t groups[SW_BURST];
	uint32_t doubtful;         /* those that are in a run, and have keys, but may not have to go through the limits */
	uint32_t over;             /* those that are plainly over their limits; of the limits alone */
	uint32_t unsettled;        /* those whose entries have yet to be made, or to be looked for anew; of the limits alone */
};

/* One proven connection on its way through the limits, prepared for CONN. */
struct sw_admission {
	const struct sw_service_profile *service;
	const struct sw_address *source;
	uint64_t connection;    /* tells one connection of the source from another */
	uint32_t group;         /* index into policy->group, SW_NONE */
	bool is_ipv6;
	struct sw_limiter_lanes *lanes; /* its entries, by level */
};

/* The version for an instruction set, which the CPU must have; all decide alike. For worker->admission. */
const struct sw_admission_loops *sw_admission_loops_for(enum sw_isa isa);

/*
 * Works out what the entries of `kind` are called, of all sources of a run, and asks for the lines of their homes. `first`
 * and `stride`: where packet i's source stands, in bytes from the first; `lanes` by index.
 */
void sw_admission_prepare(struct sw_worker *w, const struct sw_admission_run *run, enum sw_limiter_kind kind,
	const struct sw_address *first, size_t stride, struct sw_limiter_lanes *lanes);

/*
 * SYNs, prepared: finds out where their entries stand, by the lines of their homes, and asks for those. The sooner before
 * sw_admit_syns() the better; once, between the last of them to be prepared and that. Where sources were over their limits
 * a burst ago, those that plainly are now are refused here: sw_admit_syns() says so of them, as reasons[i] does from now on.
 */
void sw_place_syns(struct sw_worker *w, struct sw_syn_admissions *syns, const struct sw_packet *packets,
	uint8_t reasons[SW_BURST]);

/*
 * SYNs, placed, run by run: checks block, levels, group and service, and takes a token of each when all agree. Returns
 * the set of those refused, whose reasons[i] says why, and adds to `proven` those whose source has proven itself before
 * (of those refused, not all). Keeps count of what the source claims either way. `packets`: the burst's.
 */
uint32_t sw_admit_syns(struct sw_worker *w, struct sw_syn_admissions *syns, const struct sw_packet *packets,
	uint8_t reasons[SW_BURST], uint32_t *proven);

/* The place of the entry of `level`, if it is there; SW_LIMITER_NONE. Of an admission that has been decided. */
static inline uint32_t sw_admission_place(const struct sw_limiter_table *t, const struct sw_admission *a,
	unsigned int level)
{
	const uint64_t *tat = a->lanes->tats[level];

	return sw_limiter_fingerprint_beside(tat) == sw_limiter_fingerprint(a->lanes->hashes[level])
		? sw_limiter_place_of(t, tat) : SW_LIMITER_NONE;
}

/* As sw_admit_syns(), with the limits behind validation. Blocks the source when it overdoes it. */
enum sw_drop_reason sw_admit_connection(struct sw_worker *w, struct sw_admission *a, uint32_t record);

/*
 * May a RST go to this claimed source, as the answer to a SYN? Within the reflection caps of the source and its prefix,
 * of which it takes a token, apart from those for SYN-ACKs.
 */
bool sw_admit_reset(struct sw_worker *w, const struct sw_address *claimed, bool is_ipv6);

#endif
