/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two new entries of one home at a time. Included once for each instruction set, by a file that has struct ranking (how
 * deserving the entries of a line are), rank(), least_deserving() and with_new() for it. SW_ADD_PAIR is what to call it,
 * SW_TARGET stands before functions.
 */
#include "limiter_parts.h"

/* Where one goes. */
struct choice {
	struct sw_limiter_set *set;
	uint32_t way;
	bool moves, nowhere;
};

/* A number that is to stay one: compilers would put two of them into a vector, and wait for it. */
static inline uint64_t alone(uint64_t number)
{
	__asm__("" : "+r"(number));
	return number;
}

/* Without a branch, which nobody could predict. Notes in `at_home` that it has come. */
static inline SW_TARGET struct choice choose_between(struct sw_limiter_set *home, struct ranking *at_home,
	struct sw_limiter_set *own, uint64_t now)
{
	const struct victim here = least_deserving(*at_home), there = least_deserving(rank(own, now));
	const bool moves = moves_out(here, there);
	const uint64_t mask = 0 - alone(moves);

	*at_home = with_new(*at_home, here.way | (mask & SW_LIMITER_WAYS));
	return (struct choice){
		.set = (struct sw_limiter_set *)alone((uint64_t)home ^ (((uint64_t)home ^ (uint64_t)own) & mask)),
		.way = (uint32_t)alone(here.way ^ ((here.way ^ there.way) & mask)),
		.moves = moves, .nowhere = !moves & (here.full_for == INT64_MIN),
	};
}

SW_TARGET bool SW_ADD_PAIR(struct sw_limiter_table *t, struct sw_limiter_set *home, uint64_t source, uint64_t neighbourhood,
	uint64_t now, uint64_t *buckets[2])
{
	struct sw_limiter_set *const own[2] = {sw_limiter_set_of(t, source), sw_limiter_set_of(t, neighbourhood)};
	struct ranking at_home = rank(home, now);
	const struct choice a = choose_between(home, &at_home, own[0], now), b = choose_between(home, &at_home, own[1], now);
	const bool recorded = ((a.set->notes[a.way] | b.set->notes[b.way]) & SW_NOTE_RECORD) != 0;

	buckets[0] = &a.set->tats[a.way];
	buckets[1] = &b.set->tats[b.way];
	if (a.nowhere | b.nowhere | recorded | (buckets[0] == buckets[1]) | (own[0] == home) | (own[1] == home) |
		(own[0] == own[1]))
		return false;
	home->notes[0] |= a.moves | b.moves ? SW_NOTE_MOVED : 0;
	put(t, a.set, a.way, source, now);
	put(t, b.set, b.way, neighbourhood, now);
	return true;
}
