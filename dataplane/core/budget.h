/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a budget of the whole box (a service's or a group's limits) is shared out to workers that count on their own.
 * Pure. Housekeeping calls it every 100 ms.
 *
 * Rates        go by demand, with a quarter shared out evenly so that nobody starts from nothing. The shares add up
 *              to the limit, the depths of the buckets to the burst (but each at least 1). A bucket that fills under
 *              a new share may have spent under the old one: while demand moves between workers, up to one burst more
 *              passes.
 * Concurrent   exact at every moment: the workers' shares, and what they hold, never add up to more than the limit.
 *              What one worker loses another gets only in the round after, when it is sure that it was not used.
 */
#ifndef SW_BUDGET_H
#define SW_BUDGET_H

#include "../api/policy_snapshot.h"
#include "token_bucket.h"

/*
 * shares[i] of a rate of per_s and burst (operator's units, both 0: no limit) for demand[i], events wanted lately by
 * worker i. With one worker exactly sw_rate_make().
 */
void sw_budget_share_rate(uint32_t per_s, uint32_t burst, uint64_t tsc_hz, const uint64_t *demand,
	unsigned int workers, struct sw_rate *shares);

/*
 * shares[i]: in, what worker i may hold now (0 when it had no share yet); out, what it may hold from here on.
 * used[i]: what it held when looked at, after the last shares were given out. limit 0: no limit, shares become SW_NONE.
 */
void sw_budget_share_concurrent(uint32_t limit, const uint32_t *used, const uint64_t *demand, unsigned int workers,
	uint32_t *shares);

#endif
