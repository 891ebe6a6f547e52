/* SPDX-License-Identifier: BSD-3-Clause */
#include "arming.h"

#include <string.h>

enum { NS_PER_MS = 1000000 };

void sw_rate_window_add(struct sw_rate_window *w, uint64_t count, uint64_t now_ns)
{
	const uint32_t last = (w->next + SW_RATE_SAMPLES - 1) % SW_RATE_SAMPLES;
	if (w->filled && count < w->counts[last])
		memset(w, 0, sizeof(*w));
	w->counts[w->next] = count;
	w->times_ns[w->next] = now_ns;
	w->next = (w->next + 1) % SW_RATE_SAMPLES;
	if (w->filled < SW_RATE_SAMPLES)
		w->filled++;
}

uint64_t sw_rate_window_per_s(const struct sw_rate_window *w, uint32_t window_ms, uint64_t now_ns)
{
	if (w->filled < 2)
		return 0;
	const uint64_t window_ns = (uint64_t)window_ms * NS_PER_MS;
	const uint32_t last = (w->next + SW_RATE_SAMPLES - 1) % SW_RATE_SAMPLES;
	uint32_t from = last;
	/* The youngest sample that is a whole window old, else the oldest there is. */
	for (uint32_t i = 1; i < w->filled; i++) {
		from = (last + SW_RATE_SAMPLES - i) % SW_RATE_SAMPLES;
		if (now_ns - w->times_ns[from] >= window_ns)
			break;
	}
	const uint64_t seen_ns = now_ns - w->times_ns[from];
	const uint64_t span_ns = seen_ns > window_ns ? seen_ns : window_ns;
	return (uint64_t)((unsigned __int128)(w->counts[last] - w->counts[from]) * 1000 * NS_PER_MS / span_ns);
}

static struct sw_arming step_auto(struct sw_arming s, const struct sw_arming_rule *rule, uint64_t syn_per_s,
	uint64_t now_ns)
{
	if (!s.armed) {
		s.armed = syn_per_s >= rule->start_syn_per_s;
		s.below_since_ns = 0;
		return s;
	}
	if (syn_per_s >= rule->stop_syn_per_s) {
		s.below_since_ns = 0;
		return s;
	}
	if (s.below_since_ns == 0)
		s.below_since_ns = now_ns;
	if (now_ns - s.below_since_ns >= (uint64_t)rule->hold_ms * NS_PER_MS)
		s = (struct sw_arming){.armed = false};
	return s;
}

struct sw_arming sw_arming_step(struct sw_arming before, const struct sw_arming_rule *rule, uint64_t syn_per_s,
	uint64_t now_ns)
{
	switch (rule->mode) {
	case SW_MODE_AUTO:
		return step_auto(before, rule, syn_per_s, now_ns);
	case SW_MODE_ALWAYS:
		return (struct sw_arming){.armed = true};
	case SW_MODE_OFF:
	case SW_MODE_MONITOR:
	default:
		return (struct sw_arming){.armed = false};
	}
}
