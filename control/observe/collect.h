/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One sample of everything that the dataplane counts, summed over its workers, at one moment.
 *
 * Numbers are absolute since `start_unix_ns`, the dataplane's start: a restart of the control daemon breaks nothing,
 * and after a restart of the dataplane the start time tells why they are small again.
 *
 * Accounting of the box. Of the frames on AF_XDP links the XDP program decides some alone, so
 *     rx        = received by the dataplane + wire passed + wire dropped
 *     forwarded = forwarded by the dataplane + wire passed
 *     dropped   = by reason, the wire's own as "wire_denied", "wire_blocked", "wire_no_dataplane", "wire_stale"
 *     unaccounted = sum over the workers of (rx - forwarded - answered - absorbed - held - dropped)
 * A packet that one worker received and another owns counts as rx of the one and ends in a counter of the other: the
 * sum holds over the box, not per worker, and is off for the moment in which packets stand in a hand-over ring. The
 * collector therefore reads again a few times and keeps the reading with the smallest magnitude. At rest it is exactly
 * 0.
 */
#ifndef SW_OBSERVE_COLLECT_H
#define SW_OBSERVE_COLLECT_H

#include "attach.h"

struct sw_service_sample {
	struct sw_service_state state; /* first: it is aligned to a line */
	struct sw_counters counters;   /* summed over the workers */
	uint32_t slot;
};

struct sw_losses {
	uint64_t missed, no_mbuf, errors; /* over all ports */
	/* Redirected by XDP and neither received by the dataplane nor counted as missed yet. Information: the figures are
	 * taken at different moments, and only AF_XDP links have it. */
	int64_t in_flight;
};

struct sw_sample {
	uint64_t mono_ns, unix_ns;
	enum sw_dataplane_state state;
	char state_text[256];
	bool valid; /* false: there is no dataplane to read, and everything below is 0 */

	uint64_t start_unix_ns, generation, heartbeat_age_ns;
	uint32_t pid, worker_count, link_count;
	uint64_t torn; /* bit i: worker i could not be read whole; its counters are those of the last good reading */
	uint32_t source_records; /* capacity, over all workers */
	bool hugepages;
	char isa[16];

	struct sw_counters total;
	int64_t unaccounted;
	uint64_t wire[SW_WIRE_COUNTER_COUNT];
	struct sw_losses losses;
	uint64_t flows_used, flows_proxied, flows_established, sources_used, sources_proven, limiter_used, held_used;

	struct sw_port_state ports[SW_LINKS_MAX * SW_SIDES]; /* link_count * SW_SIDES of them */
	struct sw_worker_counters *workers;                  /* worker_count */
	struct sw_service_sample *services;                  /* those in use, by slot */
	struct sw_group_counters *groups;                    /* group_count, by slot */
	uint32_t service_count, group_count;
	uint32_t worker_room, service_room, group_room; /* allocated */
};

/* Accounting of the box as defined above. */
uint64_t sw_sample_rx(const struct sw_sample *s);
uint64_t sw_sample_forwarded(const struct sw_sample *s);
uint64_t sw_sample_dropped(const struct sw_sample *s);
uint64_t sw_wire_passed(const uint64_t wire[SW_WIRE_COUNTER_COUNT]);
uint64_t sw_wire_dropped(const uint64_t wire[SW_WIRE_COUNTER_COUNT]);
uint64_t sw_counters_dropped(const struct sw_counters *c);
uint64_t sw_counters_refused(const struct sw_counters *c); /* answered with a RST */
/* rx - forwarded - answered - absorbed - held - dropped */
int64_t sw_counters_mismatch(const struct sw_counters *c);

/* JSON name of the drop reason that a wire counter stands for, or NULL when it is none: "wire_denied", ... */
const char *sw_wire_drop_name(enum sw_wire_counter counter);

/*
 * Fills `s` from what `a` has mapped; call sw_attach_refresh() first. Arrays of `s` are kept and grown from call to
 * call; start with a zeroed struct. 0 or -ENOMEM.
 */
int sw_collect(const struct sw_attach *a, uint64_t mono_ns, uint64_t unix_ns, struct sw_sample *s);

void sw_sample_free(struct sw_sample *s);

/* The first service sample with this name, or NULL. */
const struct sw_service_sample *sw_sample_service(const struct sw_sample *s, const char *name);

#endif
