/* SPDX-License-Identifier: BSD-3-Clause */
#include "collect.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

enum {
	READ_TRIES = 20,   /* of one worker: it may have been put off its core between its two increments */
	ACCOUNT_TRIES = 5, /* of all workers: packets in hand-over rings settle within a burst or two */
	PAUSE_NS = 100 * 1000,
};

static void pause_briefly(void)
{
	const struct timespec t = {.tv_nsec = PAUSE_NS};
	nanosleep(&t, NULL);
}

/* An array of lines for `count` elements in place of *array; contents are lost. */
static int make_room(void **array, uint32_t *room, uint32_t count, size_t element)
{
	if (count <= *room)
		return 0;
	const size_t bytes = (count * element + SW_CACHE_LINE - 1) / SW_CACHE_LINE * SW_CACHE_LINE;
	void *larger = aligned_alloc(SW_CACHE_LINE, bytes);
	if (!larger)
		return -ENOMEM;
	memset(larger, 0, bytes);
	free(*array);
	*array = larger;
	*room = count;
	return 0;
}

void sw_sample_free(struct sw_sample *s)
{
	free(s->workers);
	free(s->services);
	free(s->groups);
	memset(s, 0, sizeof(*s));
}

uint64_t sw_counters_dropped(const struct sw_counters *c)
{
	uint64_t sum = 0;
	for (int i = 0; i < SW_DROP_REASON_COUNT; i++)
		sum += c->dropped[i];
	return sum;
}

uint64_t sw_counters_refused(const struct sw_counters *c)
{
	uint64_t sum = 0;
	for (int i = 0; i < SW_DROP_REASON_COUNT; i++)
		sum += c->refused[i];
	return sum;
}

int64_t sw_counters_mismatch(const struct sw_counters *c)
{
	const uint64_t ended = c->count[SW_COUNT_FORWARDED] + c->count[SW_COUNT_ANSWERED] + c->count[SW_COUNT_ABSORBED] +
	                       c->count[SW_COUNT_HELD] + sw_counters_dropped(c);
	return (int64_t)(c->count[SW_COUNT_RX] - ended);
}

uint64_t sw_wire_passed(const uint64_t wire[SW_WIRE_COUNTER_COUNT])
{
	return wire[SW_WIRE_PASSED_NOT_PROTECTED] + wire[SW_WIRE_PASSED_NO_DATAPLANE] + wire[SW_WIRE_PASSED_STALE];
}

const char *sw_wire_drop_name(enum sw_wire_counter counter)
{
	switch (counter) {
	case SW_WIRE_DROPPED_DENIED:
		return "wire_denied";
	case SW_WIRE_DROPPED_BLOCKED:
		return "wire_blocked";
	case SW_WIRE_DROPPED_NO_DATAPLANE:
		return "wire_no_dataplane";
	case SW_WIRE_DROPPED_STALE:
		return "wire_stale";
	default:
		return NULL;
	}
}

uint64_t sw_wire_dropped(const uint64_t wire[SW_WIRE_COUNTER_COUNT])
{
	uint64_t sum = 0;
	for (int i = 0; i < SW_WIRE_COUNTER_COUNT; i++)
		if (sw_wire_drop_name((enum sw_wire_counter)i))
			sum += wire[i];
	return sum;
}

uint64_t sw_sample_rx(const struct sw_sample *s)
{
	return s->total.count[SW_COUNT_RX] + sw_wire_passed(s->wire) + sw_wire_dropped(s->wire);
}

uint64_t sw_sample_forwarded(const struct sw_sample *s)
{
	return s->total.count[SW_COUNT_FORWARDED] + sw_wire_passed(s->wire);
}

uint64_t sw_sample_dropped(const struct sw_sample *s)
{
	return sw_counters_dropped(&s->total) + sw_wire_dropped(s->wire);
}

const struct sw_service_sample *sw_sample_service(const struct sw_sample *s, const char *name)
{
	for (uint32_t i = 0; i < s->service_count; i++)
		if (!strcmp(s->services[i].state.name, name))
			return &s->services[i];
	return NULL;
}

static void add_counters(struct sw_counters *to, const struct sw_counters *from)
{
	for (int i = 0; i < SW_COUNT_COUNT; i++)
		to->count[i] += from->count[i];
	for (int i = 0; i < SW_DROP_REASON_COUNT; i++) {
		to->dropped[i] += from->dropped[i];
		to->refused[i] += from->refused[i];
	}
}

/* sw_read_worker() with patience. `to` stays as it was when even that fails. */
static bool read_worker(const struct sw_worker_counters *w, void *to, void *scratch, const void *from, uint64_t bytes)
{
	for (int i = 0; i < READ_TRIES; i++) {
		if (sw_read_worker(w, scratch, from, bytes)) {
			memcpy(to, scratch, bytes);
			return true;
		}
		pause_briefly();
	}
	return false;
}

static void read_workers_once(const struct sw_region *r, struct sw_sample *s)
{
	struct sw_worker_counters scratch;
	memset(&s->total, 0, sizeof(s->total));
	s->torn = 0;
	for (uint32_t i = 0; i < s->worker_count; i++) {
		const struct sw_worker_counters *w = sw_region_worker(r, i);
		if (!read_worker(w, &s->workers[i], &scratch, w, sizeof(*w)))
			s->torn |= 1ull << i;
		add_counters(&s->total, &s->workers[i].total);
	}
	s->unaccounted = sw_counters_mismatch(&s->total);
}

static uint64_t magnitude(int64_t n)
{
	return n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
}

/* Keeps the reading whose sum is off by least: one in which it holds shows that no packet is missing. */
static void read_workers(const struct sw_region *r, struct sw_sample *s)
{
	struct sw_counters best_total = {0};
	int64_t best = INT64_MAX;
	for (int i = 0; i < ACCOUNT_TRIES; i++) {
		if (i)
			pause_briefly();
		read_workers_once(r, s);
		if (magnitude(s->unaccounted) < magnitude(best)) {
			best = s->unaccounted;
			best_total = s->total;
		}
		if (!best || s->torn) /* a worker that stands still in mid-write will not be whole in a moment */
			break;
	}
	s->unaccounted = best;
	s->total = best_total;
	s->flows_used = s->flows_proxied = s->flows_established = 0;
	s->sources_used = s->sources_proven = s->limiter_used = s->held_used = 0;
	for (uint32_t i = 0; i < s->worker_count; i++) {
		const struct sw_worker_counters *w = &s->workers[i];
		s->flows_used += w->flows_used;
		s->flows_proxied += w->flows_proxied;
		s->flows_established += w->flows_established;
		s->sources_used += w->sources_used;
		s->sources_proven += w->sources_proven;
		s->limiter_used += w->limiter_used;
		s->held_used += w->held_used;
	}
}

/* When one worker's part cannot be read, the sum stays what it was for the same service: counters never go back. */
static void read_service(const struct sw_region *r, uint32_t slot, uint64_t torn, struct sw_service_sample *out)
{
	struct sw_counters sum = {0}, one, scratch;
	const struct sw_service_state *state = &sw_region_services(r)[slot];
	bool whole = !torn;
	for (uint32_t i = 0; whole && i < r->workers; i++) {
		whole =
		    read_worker(sw_region_worker(r, i), &one, &scratch, &sw_region_worker_services(r, i)[slot], sizeof(one));
		if (whole)
			add_counters(&sum, &one);
	}
	const bool same = out->slot == slot && !strncmp(out->state.name, state->name, SW_NAME_BYTES - 1);
	memcpy(&out->state, state, sizeof(out->state));
	out->state.name[SW_NAME_BYTES - 1] = 0;
	out->slot = slot;
	if (whole || !same)
		out->counters = sum;
}

static int read_services(const struct sw_region *r, struct sw_sample *s)
{
	const struct sw_service_state *states = sw_region_services(r);
	uint32_t count = 0;
	for (uint32_t i = 0; i < r->services_max; i++)
		count += states[i].in_use && states[i].name[0];
	if (make_room((void **)&s->services, &s->service_room, count, sizeof(*s->services)))
		return -ENOMEM;
	s->service_count = 0;
	for (uint32_t i = 0; i < r->services_max && s->service_count < count; i++)
		if (states[i].in_use && states[i].name[0])
			read_service(r, i, s->torn, &s->services[s->service_count++]);
	return 0;
}

static void add_groups(struct sw_group_counters *to, const struct sw_group_counters *from, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		to[i].syn_received += from[i].syn_received;
		to[i].conn_opened += from[i].conn_opened;
		to[i].concurrent += from[i].concurrent;
		to[i].refused += from[i].refused;
	}
}

static int read_groups(const struct sw_region *r, struct sw_sample *s)
{
	struct sw_group_counters one[64], scratch[64];
	if (make_room((void **)&s->groups, &s->group_room, r->groups_max, sizeof(*s->groups)))
		return -ENOMEM;
	s->group_count = r->groups_max;
	if (s->torn)
		return 0;
	memset(s->groups, 0, s->group_count * sizeof(*s->groups));
	for (uint32_t i = 0; i < r->workers; i++)
		for (uint32_t at = 0; at < s->group_count; at += 64) {
			const uint32_t n = s->group_count - at < 64 ? s->group_count - at : 64;
			if (read_worker(sw_region_worker(r, i), one, scratch, sw_region_worker_groups(r, i) + at, n * sizeof(*one)))
				add_groups(s->groups + at, one, n);
		}
	return 0;
}

static void read_ports(const struct sw_region *r, struct sw_sample *s)
{
	uint64_t redirected = 0, from_xdp = 0, missed = 0;
	memset(s->wire, 0, sizeof(s->wire));
	memset(&s->losses, 0, sizeof(s->losses));
	for (uint32_t i = 0; i < s->link_count * SW_SIDES; i++) {
		struct sw_port_state *p = &s->ports[i];
		memcpy(p, &sw_region_ports(r)[i], sizeof(*p));
		p->device[SW_DEVICE_BYTES - 1] = 0;
		s->losses.missed += p->missed;
		s->losses.no_mbuf += p->no_mbuf;
		s->losses.errors += p->errors;
		for (int k = 0; k < SW_WIRE_COUNTER_COUNT; k++)
			s->wire[k] += p->wire[k];
		if (p->xdp) {
			redirected += p->wire[SW_WIRE_REDIRECTED];
			from_xdp += p->rx_packets;
			missed += p->missed;
		}
	}
	s->losses.in_flight = (int64_t)(redirected - from_xdp - missed);
}

static void clear(struct sw_sample *s)
{
	struct sw_sample kept = {.workers = s->workers,
	    .services = s->services,
	    .groups = s->groups,
	    .worker_room = s->worker_room,
	    .service_room = s->service_room,
	    .group_room = s->group_room};
	*s = kept;
}

int sw_collect(const struct sw_attach *a, uint64_t mono_ns, uint64_t unix_ns, struct sw_sample *s)
{
	const struct sw_region *r = a->region;
	/* A torn reading falls back on the last good one, but never on one of another dataplane. */
	if (!r || s->start_unix_ns != r->start_unix_ns || s->pid != r->pid) {
		clear(s);
		if (s->workers)
			memset(s->workers, 0, s->worker_room * sizeof(*s->workers));
		if (s->services)
			memset(s->services, 0, s->service_room * sizeof(*s->services));
	}
	s->mono_ns = mono_ns;
	s->unix_ns = unix_ns;
	s->state = a->state;
	memcpy(s->state_text, a->text, sizeof(s->state_text));
	s->valid = r != NULL;
	if (!r)
		return 0;
	s->start_unix_ns = r->start_unix_ns;
	s->generation = atomic_load_explicit(&r->generation, memory_order_relaxed);
	s->heartbeat_age_ns = mono_ns > a->heartbeat_seen_ns ? mono_ns - a->heartbeat_seen_ns : 0;
	s->pid = r->pid;
	s->worker_count = r->workers;
	s->link_count = r->links;
	s->source_records = r->source_records_per_worker * r->workers;
	s->hugepages = r->hugepages != 0;
	memcpy(s->isa, r->isa, sizeof(s->isa));
	s->isa[sizeof(s->isa) - 1] = 0;
	if (make_room((void **)&s->workers, &s->worker_room, r->workers, sizeof(*s->workers)))
		return -ENOMEM;
	read_workers(r, s);
	read_ports(r, s);
	const int error = read_services(r, s);
	return error ? error : read_groups(r, s);
}
