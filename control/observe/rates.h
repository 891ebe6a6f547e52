/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counters over time: a ring of samples about a second apart, and from it rates over the last 1, 10 and 60 seconds.
 * Pure but for memory, which is bounded: the box has `history_s` points, each service SW_SERVICE_POINTS small ones.
 * Thread: one at a time; the observer's lock.
 */
#ifndef SW_OBSERVE_RATES_H
#define SW_OBSERVE_RATES_H

#include "collect.h"

enum sw_rate_window { SW_RATE_1S, SW_RATE_10S, SW_RATE_60S, SW_RATE_WINDOWS };

enum {
	SW_HISTORY_MIN_S = 61,
	SW_HISTORY_MAX_S = 3600,
	SW_SERVICE_POINTS = 61,
};

extern const uint32_t sw_rate_window_seconds[SW_RATE_WINDOWS];
extern const char *const sw_rate_window_names[SW_RATE_WINDOWS]; /* "1s", ... */

/* X(ENUM_NAME, "json_name", expression over `c`, a struct sw_counters): what is kept of a service. */
#define SW_SERVICE_RATES(X)                                                                                            \
	X(RX, "rx", c->count[SW_COUNT_RX])                                                                                 \
	X(FORWARDED, "forwarded", c->count[SW_COUNT_FORWARDED])                                                            \
	X(ANSWERED, "answered", c->count[SW_COUNT_ANSWERED])                                                               \
	X(ABSORBED, "absorbed", c->count[SW_COUNT_ABSORBED])                                                               \
	X(DROPPED, "dropped_total", sw_counters_dropped(c))                                                                \
	X(REFUSED, "refused_total", sw_counters_refused(c))                                                                \
	X(SYN_RECEIVED, "syn_received", c->count[SW_COUNT_SYN_RECEIVED])                                                   \
	X(SENT_SYN_ACK, "sent_syn_ack", c->count[SW_COUNT_SENT_SYN_ACK])                                                   \
	X(COOKIE_VALID, "cookie_valid", c->count[SW_COUNT_COOKIE_VALID])                                                   \
	X(CONNECTIONS, "connections", c->count[SW_COUNT_FLOW_PROXIED] + c->count[SW_COUNT_FLOW_NATIVE])                    \
	X(WOULD_DROP, "would_drop", c->count[SW_COUNT_WOULD_DROP])                                                         \
	X(RX_BYTES, "rx_bytes", c->count[SW_COUNT_RX_BYTES])                                                               \
	X(FORWARDED_BYTES, "forwarded_bytes", c->count[SW_COUNT_FORWARDED_BYTES])

#define SW_ENUM_SERVICE_RATE(name, json, of) SW_SERVICE_RATE_##name,
enum sw_service_rate { SW_SERVICE_RATES(SW_ENUM_SERVICE_RATE) SW_SERVICE_RATE_COUNT };
extern const char *const sw_service_rate_names[SW_SERVICE_RATE_COUNT];

/* Of the whole box; the accounting of collect.h. */
struct sw_rate_point {
	uint64_t mono_ns, unix_ns;
	uint64_t rx, forwarded, dropped; /* with what XDP decided */
	struct sw_counters total;        /* the dataplane's own */
	uint64_t wire[SW_WIRE_COUNTER_COUNT];
	struct sw_losses losses;
};

struct sw_rates;

/* `history_s` is brought into SW_HISTORY_MIN_S..SW_HISTORY_MAX_S. 0 or -ENOMEM. */
int sw_rates_open(uint32_t history_s, struct sw_rates **out);
void sw_rates_close(struct sw_rates *rates);

/*
 * Takes a sample in, unless the last one is less than 0.9 s old. A sample of another dataplane, or of none, starts
 * over. Memory for a service is taken when it first appears; without memory the service goes without rates.
 */
void sw_rates_add(struct sw_rates *rates, const struct sw_sample *sample);

/*
 * Two points that span the window, or as much of it as there is: `from` is the oldest point within it (with half a
 * second of grace), `to` the latest. False until there are two. Rate of a field: (to - from) / seconds.
 */
bool sw_rates_window(const struct sw_rates *rates, enum sw_rate_window window, const struct sw_rate_point **from,
    const struct sw_rate_point **to, double *seconds);

/* Rates per second of the service in `slot`; all 0 until two points are known. */
void sw_rates_service(
    const struct sw_rates *rates, uint32_t slot, enum sw_rate_window window, double out[SW_SERVICE_RATE_COUNT]);

/* Points, oldest first: sw_rates_point(rates, 0 .. sw_rates_count() - 1). */
uint32_t sw_rates_count(const struct sw_rates *rates);
const struct sw_rate_point *sw_rates_point(const struct sw_rates *rates, uint32_t index);

#endif
