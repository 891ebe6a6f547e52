/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a worker knows of sources: their buckets in the limiter table, and records, with evidence, for those that have
 * proven themselves or claim a lot. Two rules stand here: only a proven source is blocked or counted
 * against a concurrent limit, and no unproven packet takes a place that a proven source holds.
 */
#ifndef SW_SOURCES_H
#define SW_SOURCES_H

#include "worker.h"

/* `reason` of an admission that succeeded. */
#define SW_ADMITTED SW_DROP_REASON_COUNT

/* One SYN, or one proven connection, on its way through the limits. */
struct sw_admission {
	const struct sw_service_profile *service;
	const struct sw_address *source;
	bool is_ipv6;
	uint32_t group;                      /* index into policy->group, SW_NONE */
	uint64_t connection;                 /* proven ones: tells one connection of the source from another */
	uint64_t hashes[SW_PREFIX_LEVELS];   /* of the levels that are limited */
	struct sw_limiter_entry *entries[SW_PREFIX_LEVELS];
};

/* Computes the hashes of `kind` and asks for the memory. */
void sw_admission_prepare(const struct sw_worker *w, struct sw_admission *a, enum sw_limiter_kind kind);

/*
 * SYN: checks block, levels, group and service, and takes a token of each when all agree. Returns SW_ADMITTED or the
 * reason. Keeps count of what the source claims either way.
 */
enum sw_drop_reason sw_admit_syn(struct sw_worker *w, struct sw_admission *a);

/*
 * A source has echoed a cookie or a server's ISN: its record (made when there is none) becomes proven. Returns the
 * record's index, SW_FLOW_NONE when no record can be had.
 */
uint32_t sw_source_prove(struct sw_worker *w, const struct sw_admission *syn_admission);

/* A proven connection: as sw_admit_syn() with the limits behind validation. Blocks the source when it overdoes it. */
enum sw_drop_reason sw_admit_connection(struct sw_worker *w, struct sw_admission *a, uint32_t record);

/* The flow is established or about to be: counts as concurrent until sw_flow_uncount(). */
void sw_flow_count(struct sw_worker *w, uint32_t flow, const struct sw_service_profile *service);
void sw_flow_uncount(struct sw_worker *w, uint32_t flow);

static inline bool sw_source_blocked(const struct sw_worker *w, uint32_t record)
{
	return record != SW_FLOW_NONE && w->records[record].blocked_until_tsc != 0 &&
		(int64_t)(w->records[record].blocked_until_tsc - w->now) > 0;
}

/* Is this source blocked towards `slot`? Counts the packet against it if so. For SYNs that no limit looks at. */
bool sw_source_note_blocked(struct sw_worker *w, const struct sw_address *source, uint32_t slot);

/*
 * May a RST go to this claimed source, as the answer to a SYN? Within the reflection caps of the source and its prefix,
 * of which it takes a token, apart from those for SYN-ACKs.
 */
bool sw_admit_reset(struct sw_worker *w, const struct sw_address *claimed, bool is_ipv6);

/* Looks at a slice of the records and forgets those that have been quiet for long. */
void sw_sources_age(struct sw_worker *w, unsigned int slice);

/* Lifts blocks on `address` set by sw_admit_connection(), towards `slot` or, with SW_NONE, all. Returns how many. */
unsigned int sw_source_unblock(struct sw_worker *w, const struct sw_address *address, uint32_t slot);

/* The record of `address` towards `slot`, or NULL. Searches; not for the packet path. */
const struct sw_source_record *sw_source_find(const struct sw_worker *w, const struct sw_address *address, uint32_t slot);

/* Masked to one level of the policy. */
static inline struct sw_address sw_level_prefix(const struct sw_policy *p, const struct sw_address *a,
	unsigned int level, bool is_ipv6)
{
	struct sw_address masked;
	uint64_t high, low;
	memcpy(&high, a->bytes, 8);
	memcpy(&low, a->bytes + 8, 8);
	high &= p->level_masks[level][is_ipv6].high;
	low &= p->level_masks[level][is_ipv6].low;
	memcpy(masked.bytes, &high, 8);
	memcpy(masked.bytes + 8, &low, 8);
	return masked;
}

#endif
