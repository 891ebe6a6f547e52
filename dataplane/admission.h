/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * May this SYN be answered, may this proven connection be opened? Token buckets and caps of the source, its prefixes, its
 * group and its service, all of which have to agree before any gives a token.
 *
 * Made for bursts: prepare asks for the memory of all, reach for what that memory names, admit decides, one after the
 * other and in the order of arrival.
 */
#ifndef SW_ADMISSION_H
#define SW_ADMISSION_H

#include "sources.h"

/* `reason` of an admission that succeeded. */
#define SW_ADMITTED SW_DROP_REASON_COUNT

/* One SYN, or one proven connection, on its way through the limits. The first five are the caller's to fill in. */
struct sw_admission {
	const struct sw_service_profile *service;
	const struct sw_address *source;
	uint64_t connection;                 /* proven ones: tells one connection of the source from another */
	uint32_t group;                      /* index into policy->group, SW_NONE */
	bool is_ipv6;
	struct sw_limiter_key keys[SW_PREFIX_LEVELS]; /* of the levels that are limited */
	uint32_t entries[SW_PREFIX_LEVELS];  /* places in the limiter; SW_LIMITER_NONE */
};

/* Computes the keys of `kind` and asks for their lines. */
void sw_admission_prepare(const struct sw_worker *w, struct sw_admission *a, enum sw_limiter_kind kind);

/* Of a SYN: finds the source's entry and asks for its record, or for the other line where it may stand. */
void sw_admission_reach(const struct sw_worker *w, struct sw_admission *a);

/*
 * SYN: checks block, levels, group and service, and takes a token of each when all agree. Returns SW_ADMITTED or the
 * reason. Keeps count of what the source claims either way.
 */
enum sw_drop_reason sw_admit_syn(struct sw_worker *w, struct sw_admission *a);

/* The source has proven itself before. Of an admission that sw_admit_syn() has seen. */
static inline bool sw_admission_is_proven(const struct sw_worker *w, const struct sw_admission *a)
{
	return a->entries[0] != SW_LIMITER_NONE && sw_limiter_note(&w->limiter, a->entries[0]) & SW_NOTE_PINNED;
}

/* A proven connection: as sw_admit_syn() with the limits behind validation. Blocks the source when it overdoes it. */
enum sw_drop_reason sw_admit_connection(struct sw_worker *w, struct sw_admission *a, uint32_t record);

/*
 * May a RST go to this claimed source, as the answer to a SYN? Within the reflection caps of the source and its prefix,
 * of which it takes a token, apart from those for SYN-ACKs.
 */
bool sw_admit_reset(struct sw_worker *w, const struct sw_address *claimed, bool is_ipv6);

#endif
