/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A token bucket in one word: the generic cell rate algorithm in its virtual scheduling form (ITU-T I.371, annex A).
 * State is the theoretical arrival time: the moment at which the bucket is full again. Times are TSC cycles of one
 * clock. Nothing is ever refilled, so an idle bucket costs nothing and no division stands on the packet path.
 */
#ifndef SW_CORE_TOKEN_BUCKET_H
#define SW_CORE_TOKEN_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

/* Immutable. interval 0: no limit. */
struct sw_rate {
	uint64_t interval;  /* cycles for one token to come back */
	uint64_t tolerance; /* (burst - 1) * interval, below 2^63: how far the state may run ahead of the clock */
};

/* per_s 0 and burst 0: no limit. burst 0 with a rate counts as 1. A burst with per_s 0 refills once a day. */
static inline struct sw_rate sw_rate_make(uint64_t per_s, uint64_t burst, uint64_t tsc_hz)
{
	struct sw_rate r = {0, 0};
	if (per_s == 0 && burst == 0)
		return r;
	r.interval = per_s ? tsc_hz / per_s : tsc_hz * 86400;
	if (r.interval == 0)
		r.interval = 1;
	r.tolerance = burst > 1 ? (burst - 1) * r.interval : 0;
	return r;
}

static inline bool sw_rate_allows(const struct sw_rate *r, uint64_t state, uint64_t now)
{
	return r->interval == 0 || (int64_t)(state - now) <= (int64_t)r->tolerance;
}

/* The state after one token is taken. Call it only after sw_rate_allows(). */
static inline uint64_t sw_rate_take(const struct sw_rate *r, uint64_t state, uint64_t now)
{
	return ((int64_t)(state - now) > 0 ? state : now) + r->interval;
}

/* Tokens that could be taken now; for people, not for the packet path. */
static inline uint64_t sw_rate_available(const struct sw_rate *r, uint64_t state, uint64_t now)
{
	if (r->interval == 0)
		return 0;
	const int64_t ahead = (int64_t)(state - now);
	if (ahead <= 0)
		return r->tolerance / r->interval + 1;
	return (uint64_t)ahead > r->tolerance ? 0 : (r->tolerance - (uint64_t)ahead) / r->interval + 1;
}

#endif
