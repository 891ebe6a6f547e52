/* SPDX-License-Identifier: BSD-3-Clause */
#include "rates.h"

#include <errno.h>
#include <stdlib.h>

#define ADD_INTERVAL_NS 900000000ull
#define GRACE_NS        500000000ull

const uint32_t sw_rate_window_seconds[SW_RATE_WINDOWS] = {1, 10, 60};
const char *const sw_rate_window_names[SW_RATE_WINDOWS] = {"1s", "10s", "60s"};

#define SERVICE_RATE_NAME(name, json, of) json,
const char *const sw_service_rate_names[SW_SERVICE_RATE_COUNT] = {SW_SERVICE_RATES(SERVICE_RATE_NAME)};

struct service_point {
	uint64_t mono_ns;
	uint64_t value[SW_SERVICE_RATE_COUNT];
};

struct service_ring {
	char name[SW_NAME_BYTES]; /* a slot that changes hands starts over */
	uint32_t next, count;
	struct service_point points[SW_SERVICE_POINTS];
};

struct sw_rates {
	uint64_t start_unix_ns; /* of the dataplane whose samples these are; 0: none */
	uint32_t pid;
	uint32_t capacity, next, count;
	struct sw_rate_point *points;
	struct service_ring *services[SW_SERVICES_MAX];
};

int sw_rates_open(uint32_t history_s, struct sw_rates **out)
{
	struct sw_rates *rates = calloc(1, sizeof(*rates));
	if (!rates)
		return -ENOMEM;
	rates->capacity = history_s < SW_HISTORY_MIN_S   ? SW_HISTORY_MIN_S
	                  : history_s > SW_HISTORY_MAX_S ? SW_HISTORY_MAX_S
	                                                 : history_s;
	rates->points = calloc(rates->capacity, sizeof(*rates->points));
	if (!rates->points) {
		free(rates);
		return -ENOMEM;
	}
	*out = rates;
	return 0;
}

static void forget_services(struct sw_rates *rates)
{
	for (uint32_t i = 0; i < SW_SERVICES_MAX; i++) {
		free(rates->services[i]);
		rates->services[i] = NULL;
	}
}

void sw_rates_close(struct sw_rates *rates)
{
	if (!rates)
		return;
	forget_services(rates);
	free(rates->points);
	free(rates);
}

static void add_service(struct sw_rates *rates, const struct sw_service_sample *s, uint64_t mono_ns)
{
	const struct sw_counters *const c = &s->counters;
	if (s->slot >= SW_SERVICES_MAX)
		return;
	struct service_ring *ring = rates->services[s->slot];
	if (!ring)
		ring = rates->services[s->slot] = calloc(1, sizeof(*ring));
	if (!ring)
		return;
	if (strcmp(ring->name, s->state.name)) {
		memset(ring, 0, sizeof(*ring));
		memcpy(ring->name, s->state.name, sizeof(ring->name));
	}
	struct service_point *p = &ring->points[ring->next];
	ring->next = (ring->next + 1) % SW_SERVICE_POINTS;
	ring->count += ring->count < SW_SERVICE_POINTS;
	p->mono_ns = mono_ns;
#define KEEP(name, json, of) p->value[SW_SERVICE_RATE_##name] = (of);
	SW_SERVICE_RATES(KEEP)
#undef KEEP
}

uint32_t sw_rates_count(const struct sw_rates *rates)
{
	return rates->count;
}

const struct sw_rate_point *sw_rates_point(const struct sw_rates *rates, uint32_t index)
{
	return &rates->points[(rates->next + rates->capacity - rates->count + index) % rates->capacity];
}

void sw_rates_add(struct sw_rates *rates, const struct sw_sample *s)
{
	if (!s->valid || s->start_unix_ns != rates->start_unix_ns || s->pid != rates->pid) {
		forget_services(rates);
		rates->count = rates->next = 0;
		rates->start_unix_ns = s->valid ? s->start_unix_ns : 0;
		rates->pid = s->pid;
	}
	if (!s->valid)
		return;
	if (rates->count && s->mono_ns - sw_rates_point(rates, rates->count - 1)->mono_ns < ADD_INTERVAL_NS)
		return;
	struct sw_rate_point *p = &rates->points[rates->next];
	rates->next = (rates->next + 1) % rates->capacity;
	rates->count += rates->count < rates->capacity;
	p->mono_ns = s->mono_ns;
	p->unix_ns = s->unix_ns;
	p->rx = sw_sample_rx(s);
	p->forwarded = sw_sample_forwarded(s);
	p->dropped = sw_sample_dropped(s);
	p->total = s->total;
	memcpy(p->wire, s->wire, sizeof(p->wire));
	p->losses = s->losses;
	for (uint32_t i = 0; i < s->service_count; i++)
		add_service(rates, &s->services[i], s->mono_ns);
}

bool sw_rates_window(const struct sw_rates *rates, enum sw_rate_window window, const struct sw_rate_point **from,
    const struct sw_rate_point **to, double *seconds)
{
	if (rates->count < 2)
		return false;
	const struct sw_rate_point *last = sw_rates_point(rates, rates->count - 1);
	const uint64_t span_ns = sw_rate_window_seconds[window] * 1000000000ull + GRACE_NS;
	uint32_t i = rates->count - 2; /* at least the latest interval, however long it was */
	while (i && last->mono_ns - sw_rates_point(rates, i - 1)->mono_ns <= span_ns)
		i--;
	*from = sw_rates_point(rates, i);
	*to = last;
	*seconds = (double)(last->mono_ns - (*from)->mono_ns) / 1e9;
	return *seconds > 0;
}

void sw_rates_service(
    const struct sw_rates *rates, uint32_t slot, enum sw_rate_window window, double out[SW_SERVICE_RATE_COUNT])
{
	memset(out, 0, SW_SERVICE_RATE_COUNT * sizeof(*out));
	const struct service_ring *ring = slot < SW_SERVICES_MAX ? rates->services[slot] : NULL;
	if (!ring || ring->count < 2)
		return;
	const uint32_t first = ring->next + SW_SERVICE_POINTS - ring->count;
	const struct service_point *last = &ring->points[(first + ring->count - 1) % SW_SERVICE_POINTS];
	const uint64_t span_ns = sw_rate_window_seconds[window] * 1000000000ull + GRACE_NS;
	uint32_t i = ring->count - 2;
	while (i && last->mono_ns - ring->points[(first + i - 1) % SW_SERVICE_POINTS].mono_ns <= span_ns)
		i--;
	const struct service_point *from = &ring->points[(first + i) % SW_SERVICE_POINTS];
	const double seconds = (double)(last->mono_ns - from->mono_ns) / 1e9;
	for (int k = 0; seconds > 0 && k < SW_SERVICE_RATE_COUNT; k++)
		out[k] = last->value[k] > from->value[k] ? (double)(last->value[k] - from->value[k]) / seconds : 0;
}
