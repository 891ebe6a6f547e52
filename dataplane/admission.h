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

/* One limited level of an admission. */
struct sw_admission_level {
	struct sw_limiter_set *set; /* where its entry is looked for first, and then where it stands */
	uint64_t hash;
	const struct sw_limit_profile *limit;
	uint32_t way;               /* SW_LIMITER_WAYS: it has no place */
	uint32_t level;
};

/* One SYN, or one proven connection, on its way through the limits. The first five are the caller's to fill in. */
struct sw_admission {
	const struct sw_service_profile *service;
	const struct sw_address *source;
	uint64_t connection;    /* proven ones: tells one connection of the source from another */
	uint32_t group;         /* index into policy->group, SW_NONE */
	bool is_ipv6;
	uint8_t level_count;
	struct sw_admission_level levels[SW_PREFIX_LEVELS]; /* the source's own first, if that is limited */
};

/* Works out the limited levels of `count` admissions for `kind`, and asks for their lines. */
void sw_admission_prepare(const struct sw_worker *w, struct sw_admission *admissions, unsigned int count,
	enum sw_limiter_kind kind);

/* Finds what stands in those lines and asks for the rest: records, and the other lines where entries may stand. */
void sw_admission_reach(const struct sw_worker *w, struct sw_admission *admissions, unsigned int count);

/*
 * SYN: checks block, levels, group and service, and takes a token of each when all agree. Returns SW_ADMITTED or the
 * reason. Keeps count of what the source claims either way.
 */
enum sw_drop_reason sw_admit_syn(struct sw_worker *w, struct sw_admission *a);

/* The entry of the source itself, of an admission that has been decided; NULL: it has none. */
static inline const uint32_t *sw_admission_source_note(const struct sw_admission *a)
{
	if (a->level_count == 0 || a->levels[0].level != 0 || a->levels[0].way == SW_LIMITER_WAYS)
		return NULL;
	return &a->levels[0].set->notes[a->levels[0].way];
}

/* The place of the entry of `level`, if it is there; SW_LIMITER_NONE. Of an admission that has been decided. */
static inline uint32_t sw_admission_place(const struct sw_limiter_table *t, const struct sw_admission *a,
	unsigned int level)
{
	for (const struct sw_admission_level *l = a->levels; l < a->levels + a->level_count; l++)
		if (l->level == level && l->way != SW_LIMITER_WAYS &&
			l->set->fingerprints[l->way] == sw_limiter_fingerprint(l->hash))
			return sw_limiter_place(t, l->set, l->way);
	return SW_LIMITER_NONE;
}

/* The source has proven itself before. */
static inline bool sw_admission_is_proven(const struct sw_admission *a)
{
	const uint32_t *note = sw_admission_source_note(a);
	return note != NULL && *note & SW_NOTE_PINNED;
}

/* A proven connection: as sw_admit_syn() with the limits behind validation. Blocks the source when it overdoes it. */
enum sw_drop_reason sw_admit_connection(struct sw_worker *w, struct sw_admission *a, uint32_t record);

/*
 * May a RST go to this claimed source, as the answer to a SYN? Within the reflection caps of the source and its prefix,
 * of which it takes a token, apart from those for SYN-ACKs.
 */
bool sw_admit_reset(struct sw_worker *w, const struct sw_address *claimed, bool is_ipv6);

#endif
