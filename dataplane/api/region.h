/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the dataplane shows: one file, mapped shared, written by the dataplane alone and mapped read-only by everyone
 * else. Its path is <runtime directory>/region; a new dataplane makes a new file and renames it into place, so a reader
 * that sees `ended` set, or another inode at the path, maps it again. Packet tables (flows) live in a second file that
 * nobody else maps.
 *
 * Shape    struct sw_region, then at the offsets it names: per worker a struct sw_worker_counters with the arrays
 *          behind it, service states, port states, and per worker its source records.
 * Thread   each block says who writes it. Readers never write. No line is written by two cores.
 * Reading  worker counters: sw_read_worker(); the rest is single words or guarded by a version of its own.
 */
#ifndef SW_API_REGION_H
#define SW_API_REGION_H

#include <stdatomic.h>

#include "policy_snapshot.h"
#include "verdicts.h"

#define SW_REGION_MAGIC 0x4e474552574c4153ull
#define SW_REGION_VERSION 4u
#define SW_CACHE_LINE 64

/* Counters of one thing (the box, a service): how packets ended, what happened, why packets were dropped. */
struct sw_counters {
	uint64_t count[SW_COUNT_COUNT];          /* enum sw_count */
	uint64_t dropped[SW_DROP_REASON_COUNT];  /* enum sw_drop_reason */
	/* Packets that were answered with a RST for the reason, beside the sum: they are in ANSWERED, unless the RST was lost
	 * in transmission. 0 where sw_may_be_answered() is false. */
	uint64_t refused[SW_DROP_REASON_COUNT];
};

/*
 * Written by one worker at the end of each loop, between two increments of `version` (odd: being written), so that
 * `total` always adds up. The arrays behind it are written as packets pass: each word is whole and only grows (but
 * HELD), sums over several words may be off by the packets of the moment. Behind it, in this order: struct sw_counters services[services_max], uint64_t entries[entries_max] (packets that hit
 * an allow, deny or block entry), struct sw_group_counters groups[groups_max].
 */
struct sw_worker_counters {
	_Alignas(SW_CACHE_LINE) _Atomic uint64_t version;
	uint64_t bursts, idle_polls, sleeps;
	uint64_t flows_used, flows_proxied, flows_established, sources_used, sources_proven, limiter_used, held_used;
	struct sw_counters total;
};

struct sw_group_counters {
	uint64_t syn_received, conn_opened, concurrent, refused;
};

/* Written by housekeeping. Read by workers (`armed`) and by control. */
struct sw_service_state {
	_Alignas(SW_CACHE_LINE) char name[SW_NAME_BYTES]; /* empty: the slot is free. A restarted control daemon finds its slots here */
	_Atomic uint8_t armed;  /* SYNs are challenged */
	uint8_t mode;           /* enum sw_mode in force */
	uint8_t in_use;
	uint8_t profile_known;  /* 1: learned, 2: some of it set by the operator; per bit ipv4 0x10, ipv6 0x20 */
	uint32_t syn_per_s;     /* over the last 100 ms, scaled */
	uint64_t changed_unix_ns; /* of `armed` */
	uint64_t times_armed;
	uint64_t concurrent;    /* established connections now */
	struct {                /* what the box promises in the server's name: [0] IPv4, [1] IPv6 */
		uint16_t mss;
		int8_t window_scale; /* -1: none */
		uint8_t sack, timestamps, ecn;
		uint8_t reserved[2];
	} profile[2];
};

/* Written by housekeeping. One for each end of each link: index link * SW_SIDES + side. */
struct sw_port_state {
	_Alignas(SW_CACHE_LINE) char device[SW_DEVICE_BYTES];
	uint8_t side, up, xdp, rss; /* xdp: the XDP program steers here; rss: the NIC shards by client address */
	uint32_t link;
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
	uint64_t missed;   /* lost for want of a descriptor: the NIC or the AF_XDP ring was full */
	uint64_t errors;
	uint64_t no_mbuf;
	uint64_t wire[SW_WIRE_COUNTER_COUNT]; /* enum sw_wire_counter, summed over CPUs; 0 where xdp is 0 */
};

enum sw_proof {
	SW_PROOF_CLAIMED,   /* the address was only ever written in a source field */
	SW_PROOF_ECHOED,    /* it echoed a cookie, or a server's own ISN: it owns the address */
	SW_PROOF_SENT_DATA, /* and sent data the server acknowledged */
};

/*
 * Evidence about one source towards one service. Written by one worker, without a version: a reader copies it, then
 * looks whether `id` is unchanged. Times are TSC; sw_region says how to make wall time of them.
 */
struct sw_source_record {
	_Alignas(SW_CACHE_LINE) struct sw_address address;
	_Atomic uint32_t id;      /* 0: free; changes when the record is given to another source */
	uint32_t service_slot;
	uint8_t proof;            /* enum sw_proof */
	uint8_t reserved[3];
	uint32_t concurrent;      /* established connections now */
	/* SYNs are counted elsewhere first: these three may be up to 31 SYNs behind, for a second (8 s with 2^21 records). */
	uint64_t last_seen_tsc;
	uint64_t syns;            /* received from it, while this record stands */
	uint64_t dropped;         /* packets dropped while it was blocked or over a limit */
	uint64_t blocked_until_tsc; /* 0: not blocked */
	/* Up to here one line. */
	uint64_t first_seen_tsc;
	uint64_t conns;           /* connections that proved themselves and were admitted */
	uint64_t refused;         /* proven, and refused by a limit */
	uint64_t bytes_in;        /* payload from it, proxied and native */
	uint64_t refused_since_tsc;
	uint32_t refused_lately;  /* refusals in the minute that began at refused_since_tsc */
	uint32_t limiter;         /* its limiter entry; for the worker alone */
};

struct sw_region {
	uint64_t magic;
	uint32_t version;
	uint32_t layout_bytes;      /* sizeof(struct sw_region), as a check */
	uint64_t total_bytes;
	uint64_t start_unix_ns;     /* when this dataplane started: counters begin here */
	uint64_t tsc_hz;
	uint32_t pid;
	uint32_t workers, links, services_max, groups_max, entries_max;
	uint32_t source_records_per_worker;
	uint32_t hugepages;         /* 1: packet buffers on huge pages */
	uint64_t worker_offset, worker_stride; /* struct sw_worker_counters of worker i at worker_offset + i * worker_stride */
	uint64_t service_offset;    /* struct sw_service_state[services_max] */
	uint64_t port_offset;       /* struct sw_port_state[links * SW_SIDES] */
	uint64_t source_offset, source_stride; /* struct sw_source_record[source_records_per_worker] of worker i likewise */
	uint64_t wire_entry_offset; /* uint64_t[entries_max]: frames that the XDP program dropped by entry, written by
	                               housekeeping, single words; beside the workers' entry counters. 0: there is none */
	char isa[16];               /* "scalar", "avx2", "avx512" */
	/* Written by housekeeping, about every 20 ms. */
	_Alignas(SW_CACHE_LINE) _Atomic uint64_t generation; /* of the policy in force */
	_Atomic uint64_t anchor_version;   /* odd while the two below are being written */
	uint64_t anchor_tsc, anchor_unix_ns; /* the same moment on both clocks */
	_Atomic uint64_t heartbeat_unix_ns;  /* housekeeping is alive */
	_Atomic uint32_t ended;              /* 1: a clean shutdown */
};

static inline const struct sw_worker_counters *sw_region_worker(const struct sw_region *r, unsigned int worker)
{
	return (const struct sw_worker_counters *)((const char *)r + r->worker_offset + worker * r->worker_stride);
}

static inline const struct sw_counters *sw_region_worker_services(const struct sw_region *r, unsigned int worker)
{
	return (const struct sw_counters *)(sw_region_worker(r, worker) + 1);
}

static inline const uint64_t *sw_region_worker_entries(const struct sw_region *r, unsigned int worker)
{
	return (const uint64_t *)(sw_region_worker_services(r, worker) + r->services_max);
}

static inline const struct sw_group_counters *sw_region_worker_groups(const struct sw_region *r, unsigned int worker)
{
	return (const struct sw_group_counters *)(sw_region_worker_entries(r, worker) + r->entries_max);
}

static inline const struct sw_service_state *sw_region_services(const struct sw_region *r)
{
	return (const struct sw_service_state *)((const char *)r + r->service_offset);
}

static inline const struct sw_port_state *sw_region_ports(const struct sw_region *r)
{
	return (const struct sw_port_state *)((const char *)r + r->port_offset);
}

static inline const struct sw_source_record *sw_region_sources(const struct sw_region *r, unsigned int worker)
{
	return (const struct sw_source_record *)((const char *)r + r->source_offset + worker * r->source_stride);
}

/* NULL: the region has none. */
static inline const uint64_t *sw_region_wire_entries(const struct sw_region *r)
{
	return r->wire_entry_offset ? (const uint64_t *)((const char *)r + r->wire_entry_offset) : 0;
}

/*
 * Copies `bytes` from a worker's block (its counters or the arrays behind them) as they stood between two rounds.
 * Returns false when the worker wrote during each of 64 tries; the copy is then torn and to be thrown away.
 */
static inline bool sw_read_worker(const struct sw_worker_counters *w, void *to, const void *from, uint64_t bytes)
{
	for (int i = 0; i < 64; i++) {
		const uint64_t before = atomic_load_explicit(&w->version, memory_order_acquire);
		memcpy(to, from, bytes);
		atomic_thread_fence(memory_order_acquire); /* pairs with the release of the worker's second increment */
		if (!(before & 1) && atomic_load_explicit(&w->version, memory_order_relaxed) == before)
			return true;
	}
	return false;
}

#endif
