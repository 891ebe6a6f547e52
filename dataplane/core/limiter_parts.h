/* SPDX-License-Identifier: BSD-3-Clause */
/* Where new entries go: what limiter_table.c and limiter_pair.h share. Nobody else includes this. */
#ifndef SW_CORE_LIMITER_PARTS_H
#define SW_CORE_LIMITER_PARTS_H

#include "limiter_table.h"

/* More than any debt in cycles: whoever has it stands behind all who have not. */
#define SW_LIMITER_WIDE_DEBT (1ll << 62)

/*
 * The least deserving entry of a line: a free way, otherwise the one that nothing pins and whose bucket has been full for
 * longest. Of equals, in the order of ways 0, 2, 1, 3.
 */
struct victim {
	int64_t full_for; /* INT64_MIN: all are pinned */
	uint32_t way;
};

/* At home, if a place is free there or nobody has missed it for long; else wherever the less deserving entry stands. */
static inline bool moves_out(struct victim at_home, struct victim elsewhere)
{
	return (at_home.full_for < SW_LIMITER_IDLE_CYCLES) & (elsewhere.full_for > at_home.full_for);
}

/* A new entry with a full bucket, in whosever place. */
static inline void put(struct sw_limiter_table *t, struct sw_limiter_set *set, uint32_t way, uint64_t hash, uint64_t now)
{
	const uint32_t free = set->fingerprints[way] == 0;

	t->used += free;
	t->taken_over += 1 - free;
	set->fingerprints[way] = sw_limiter_fingerprint(hash);
	set->notes[way] &= SW_NOTE_MOVED;
	set->tats[way] = now;
}

#endif
