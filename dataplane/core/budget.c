/* SPDX-License-Identifier: BSD-3-Clause */
#include "budget.h"

typedef unsigned __int128 wide;

static uint64_t sum_of(const uint64_t *values, unsigned int count)
{
	uint64_t sum = 0;
	for (unsigned int i = 0; i < count; i++)
		sum += values[i];
	return sum;
}

/*
 * Parts of 2^32 for each worker, three quarters by demand; they add up to at most 2^32. Without demand: evenly.
 */
static void weigh(const uint64_t *demand, unsigned int workers, uint64_t *weights)
{
	const uint64_t all = 1ull << 32, floor_part = all / 4 / workers;
	const uint64_t total = sum_of(demand, workers);
	for (unsigned int i = 0; i < workers; i++)
		weights[i] = total ? floor_part + (uint64_t)((wide)(all - all / 4) * demand[i] / total) : all / workers;
}

void sw_budget_share_rate(uint32_t per_s, uint32_t burst, uint64_t tsc_hz, const uint64_t *demand,
	unsigned int workers, struct sw_rate *shares)
{
	uint64_t weights[SW_WORKERS_MAX];
	const struct sw_rate whole = sw_rate_make(per_s, burst, tsc_hz);
	if (whole.interval == 0 || workers == 1) {
		for (unsigned int i = 0; i < workers; i++)
			shares[i] = whole;
		return;
	}
	weigh(demand, workers, weights);
	for (unsigned int i = 0; i < workers; i++) {
		/* Rounded up: intervals too long by a cycle, never a rate too high. */
		shares[i].interval = (uint64_t)((((wide)whole.interval << 32) + weights[i] - 1) / weights[i]);
		const uint64_t depth = (uint64_t)((wide)burst * weights[i] >> 32);
		shares[i].tolerance = depth > 1 ? (depth - 1) * shares[i].interval : 0;
	}
}

/* Sharing of what nobody holds, by weight; all in use: everyone's use, scaled down to the limit. */
static void aim(uint32_t limit, const uint32_t *used, const uint64_t *weights, unsigned int workers, uint32_t *aims)
{
	uint64_t in_use = 0;
	for (unsigned int i = 0; i < workers; i++)
		in_use += used[i];
	uint64_t aimed = 0;
	unsigned int neediest = 0;
	for (unsigned int i = 0; i < workers; i++) {
		if (in_use >= limit)
			aims[i] = (uint32_t)((wide)limit * used[i] / in_use);
		else
			aims[i] = used[i] + (uint32_t)((wide)(limit - in_use) * weights[i] >> 32);
		aimed += aims[i];
		if (weights[i] > weights[neediest])
			neediest = i;
	}
	/* What rounding left over, for whoever wants most: else a limit below the number of workers would admit nobody. */
	aims[neediest] += (uint32_t)(limit - aimed);
}

void sw_budget_share_concurrent(uint32_t limit, const uint32_t *used, const uint64_t *demand, unsigned int workers,
	uint32_t *shares)
{
	uint64_t weights[SW_WORKERS_MAX];
	uint32_t aims[SW_WORKERS_MAX];
	if (limit == 0 || workers == 1) {
		for (unsigned int i = 0; i < workers; i++)
			shares[i] = limit ? limit : SW_NONE;
		return;
	}
	weigh(demand, workers, weights);
	aim(limit, used, weights, workers, aims);
	/*
	 * What may be held until the workers have seen the new shares: the old share, or the use where that is higher.
	 * A share of SW_NONE comes from a policy without this limit; only the use is then known, and growth waits a round.
	 */
	uint64_t spoken_for = 0;
	for (unsigned int i = 0; i < workers; i++) {
		const uint32_t held = shares[i] == SW_NONE || used[i] > shares[i] ? used[i] : shares[i];
		spoken_for += held;
	}
	for (unsigned int i = 0; i < workers; i++) {
		const uint32_t before = shares[i] == SW_NONE ? used[i] : shares[i];
		uint64_t grant = aims[i] > before ? aims[i] - before : 0;
		const uint64_t free_now = spoken_for < limit ? limit - spoken_for : 0;
		if (grant > free_now)
			grant = free_now;
		spoken_for += grant;
		shares[i] = aims[i] > before ? before + (uint32_t)grant : aims[i];
	}
}
