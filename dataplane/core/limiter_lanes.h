/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The buckets of a source on all of its prefix levels at a time: a lane for each level. This is the plain version, which
 * any processor has; limiter_lanes_avx512.h is the same in vectors, and gives the same bits.
 *
 *     keys    what each level's entry is called, and where source and neighbourhood are at home
 *     place   the line where each stands: those two, unless they have moved out, at home
 *     find    the buckets in those lines
 *     look    which buckets are too far ahead of the clock, and what they would hold with a token less
 *     take    writes that
 *
 * Each step asks for the memory that the next one reads: for use a burst at a time. Nothing branches on what is found,
 * which nobody could predict.
 *
 * A level that has no limit has a bucket nowhere (limiter_table.h). One whose entry find does not find has none that may be
 * used, until it is made.
 */
#ifndef SW_CORE_LIMITER_LANES_H
#define SW_CORE_LIMITER_LANES_H

#include "limiter_table.h"
#include "prefetch.h"
#include "token_bucket.h"

enum { SW_LANES = SW_PREFIX_LEVELS };

/* One rate for each level. Of a level without limit: 0, and INT64_MAX. */
struct sw_level_rates {
	uint64_t intervals[SW_LANES], tolerances[SW_LANES];
};

static inline struct sw_rate sw_level_rate(const struct sw_level_rates *rates, unsigned int level)
{
	return (struct sw_rate){rates->intervals[level], rates->tolerances[level]};
}

struct sw_limiter_lanes {
	_Alignas(64) uint64_t hashes[SW_LANES]; /* as in struct sw_limiter_key; also of levels without limit */
	struct sw_limiter_set *sets[SW_LANES];
	uint64_t *tats[SW_LANES];
	struct sw_limiter_set *home;
	uint32_t *note;                         /* beside tats[0] */
};

_Static_assert(sizeof(struct sw_limiter_lanes) == 128, "an index is a shift");

/* What sources of one family have in common, towards one service. */
struct sw_lanes_run {
	struct sw_limiter_table *table;
	const struct sw_limiter_levels *levels; /* of their family */
	uint32_t service;
	enum sw_limiter_kind kind;
	uint8_t wanted;                         /* the set of levels with limits */
	bool is_ipv6;
	bool near;                              /* where to ask for memory: prefetch.h */
	const struct sw_level_rates *rates;     /* for look: these two */
	uint64_t now;
};

static inline uint64_t sw_lanes_hash(uint64_t scrambled, unsigned int level)
{
	/* Bit 32 is set in every fingerprint. */
	const uint64_t hash = level == 0 ? sw_limiter_as_source(scrambled) : sw_limiter_as_wide(scrambled);
	return hash | 1ull << 32;
}

/* Where a policy has no level that is a neighbourhood, sources stand at the home of theirs all the same. */
static __attribute__((noinline, unused)) uint64_t sw_lanes_home_of_source(const struct sw_limiter_table *t,
	const struct sw_address *source, bool is_ipv6, enum sw_limiter_kind kind, uint32_t service)
{
	return sw_limiter_home_key(t, source, is_ipv6, kind, service).home;
}

static inline struct sw_limiter_set *sw_lanes_home(const struct sw_lanes_run *run, const struct sw_address *source,
	uint64_t home)
{
	if (__builtin_expect(run->levels->home == 0, 0))
		home = sw_lanes_home_of_source(run->table, source, run->is_ipv6, run->kind, run->service);
	return sw_limiter_set_of(run->table, home);
}

/* What a run has in common for its keys, to find and to look: here, just the run. */
static inline struct sw_lanes_run sw_lanes_keys_open_plain(const struct sw_lanes_run *run)
{
	return *run;
}

static inline struct sw_lanes_run sw_lanes_find_open_plain(const struct sw_lanes_run *run)
{
	return *run;
}

static inline struct sw_lanes_run sw_lanes_look_open_plain(const struct sw_lanes_run *run)
{
	return *run;
}

static inline void sw_lanes_keys_plain(const struct sw_lanes_run *keys, const struct sw_lanes_run *run,
	const struct sw_address *source, struct sw_limiter_lanes *out)
{
	const struct sw_limiter_levels *levels = run->levels;
	const __m128i address = sw_limiter_load(source->bytes);
	uint64_t halves[SW_LANES * 2];

	(void)keys;
	for (unsigned int l = 0; l < SW_LANES; l++) {
		const uint64_t what = levels->whats[run->kind][l][0] | (uint64_t)run->service << 8;
		const __m128i prefix = _mm_and_si128(address, sw_limiter_load(levels->masks[l]));
		_mm_storeu_si128((__m128i *)&halves[l * 2], sw_limiter_scramble(run->table, prefix, what));
	}
	for (unsigned int l = 0; l < SW_LANES; l++)
		out->hashes[l] = sw_lanes_hash(halves[levels->picks[l]], l);
	out->home = sw_lanes_home(run, source, halves[levels->picks[SW_LANES]]);
	sw_prefetch_to(run->near, out->home);
}

static inline void sw_lanes_ask(bool near, const struct sw_limiter_lanes *lanes)
{
	for (unsigned int l = 0; l < SW_LANES; l++)
		sw_prefetch_to(near, lanes->sets[l]);
}

static inline void sw_lanes_place_plain(const struct sw_lanes_run *run, struct sw_limiter_lanes *lanes)
{
	struct sw_limiter_table *t = run->table;

	for (unsigned int l = 0; l < SW_LANES; l++) {
		struct sw_limiter_set *own = sw_limiter_set_of(t, lanes->hashes[l]);
		const bool stays = run->levels->at_home >> l & 1 && sw_limiter_ways_with(lanes->home, lanes->hashes[l]) != 0;
		struct sw_limiter_set *set = stays ? lanes->home : own;
		lanes->sets[l] = run->wanted >> l & 1 ? set : &t->nowhere;
	}
	sw_lanes_ask(run->near, lanes);
}

/* Returns the set of levels that were found. Of the others of `wanted`, buckets are yet to be said. */
static inline unsigned int sw_lanes_find_plain(const struct sw_lanes_run *run, struct sw_limiter_lanes *lanes)
{
	unsigned int found = 0;

	(void)run;
	for (unsigned int l = 0; l < SW_LANES; l++) {
		const unsigned int ways = sw_limiter_ways_with(lanes->sets[l], lanes->hashes[l]);
		lanes->tats[l] = &lanes->sets[l]->tats[ways ? __builtin_ctz(ways) : 0];
		found |= (unsigned int)(ways != 0) << l;
	}
	lanes->note = sw_limiter_note_beside(lanes->tats[0]);
	return found;
}

/* Whether any of the entries that were found stands in this line. */
static inline bool sw_lanes_stand_in_plain(const struct sw_limiter_lanes *lanes, const struct sw_limiter_set *line)
{
	bool stands = false;

	for (unsigned int l = 0; l < SW_LANES; l++)
		stands |= lanes->sets[l] == line;
	return stands;
}

/* What buckets are to hold once all have agreed. */
struct sw_lanes_next {
	uint64_t tats[SW_LANES];
};

/* Returns the set of levels whose buckets are empty. */
static inline unsigned int sw_lanes_look_plain(const struct sw_lanes_run *run, const struct sw_limiter_lanes *lanes,
	struct sw_lanes_next *next)
{
	unsigned int empty = 0;

	for (unsigned int l = 0; l < SW_LANES; l++) {
		const int64_t ahead = (int64_t)(*lanes->tats[l] - run->now);
		empty |= (unsigned int)(ahead > (int64_t)run->rates->tolerances[l]) << l;
		next->tats[l] = run->now + run->rates->intervals[l] + (uint64_t)(ahead > 0 ? ahead : 0);
	}
	return empty;
}

static inline void sw_lanes_take_plain(const struct sw_limiter_lanes *lanes, const struct sw_lanes_next *next)
{
	for (unsigned int l = 0; l < SW_LANES; l++)
		*lanes->tats[l] = next->tats[l];
}

#endif
