/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sets of up to 32 neighbours, a bit each, taken run by run: most are a few long ones, and a loop over a run has no bits
 * to look for.
 */
#ifndef SW_CORE_RUNS_H
#define SW_CORE_RUNS_H

#include <stdbool.h>
#include <stdint.h>

/* The set of 0 to n - 1; n: at most 32. */
static inline uint32_t sw_below(unsigned int n)
{
	return (uint32_t)((1ull << n) - 1);
}

/* Where a run ends that begins with i; i if that is not in the set. */
static inline unsigned int sw_run_end(uint32_t set, unsigned int i)
{
	return i + (unsigned int)__builtin_ctzll(~((uint64_t)set >> i));
}

/* Takes the lowest run, *i to *end - 1, out of a set: for (unsigned int i, end; sw_next_run(&set, &i, &end);). */
static inline bool sw_next_run(uint32_t *set, unsigned int *i, unsigned int *end)
{
	if (*set == 0)
		return false;
	*i = (unsigned int)__builtin_ctz(*set);
	*end = sw_run_end(*set, *i);
	*set &= ~sw_below(*end);
	return true;
}

#endif
