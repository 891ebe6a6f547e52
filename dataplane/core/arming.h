/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When a service challenges SYNs. Pure: the clock and the counter are parameters.
 *
 * SYNs are counted over the last 100 ms; over the last second where the start threshold is below 100 a second, since
 * a few SYNs by chance in 100 ms must not arm it. Either way a flood that is well above the threshold arms at the
 * first look.
 *   auto      arms when the rate reaches start_syn_per_s; disarms when it has stayed below stop_syn_per_s for hold_ms
 *             without a break. Between the two thresholds nothing changes, so it does not flap.
 *   always    armed; off and monitor: not (what monitor would do is the pipeline's to count).
 */
#ifndef SW_ARMING_H
#define SW_ARMING_H

#include <stdbool.h>
#include <stdint.h>

#include "../api/policy_snapshot.h"

enum {
	SW_RATE_SAMPLES = 64,       /* at 20 ms: more than a second */
	SW_RATE_SHORT_MS = 100,
	SW_RATE_LONG_MS = 1000,
	SW_RATE_COARSE_BELOW = 100, /* start thresholds below this are judged over the long window */
};

/* A growing counter, remembered over about a second. Zeroed: nothing seen yet. */
struct sw_rate_window {
	uint64_t counts[SW_RATE_SAMPLES];
	uint64_t times_ns[SW_RATE_SAMPLES];
	uint32_t next, filled;
};

/* `count`: the counter now; a value below the last one (the slot was given away) starts over. */
void sw_rate_window_add(struct sw_rate_window *w, uint64_t count, uint64_t now_ns);

/* Events in the last window_ms, scaled to a second. While less time than that has been seen, it counts as quiet. */
uint64_t sw_rate_window_per_s(const struct sw_rate_window *w, uint32_t window_ms, uint64_t now_ns);

struct sw_arming {
	bool armed;
	uint64_t below_since_ns; /* 0: not below the stop threshold */
};

struct sw_arming_rule {
	enum sw_mode mode;
	uint32_t start_syn_per_s, stop_syn_per_s, hold_ms;
};

static inline uint32_t sw_arming_window_ms(const struct sw_arming_rule *rule)
{
	return rule->start_syn_per_s < SW_RATE_COARSE_BELOW ? SW_RATE_LONG_MS : SW_RATE_SHORT_MS;
}

/* The state after a look at `syn_per_s`, at now_ns (never 0). */
struct sw_arming sw_arming_step(struct sw_arming before, const struct sw_arming_rule *rule, uint64_t syn_per_s,
	uint64_t now_ns);

#endif
