/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tables of a boot section cost, told before anything is allocated: a box that would run out of memory under
 * attack must refuse to start on a quiet day instead.
 */
#ifndef SW_MEMORY_H
#define SW_MEMORY_H

#include <stddef.h>

#include "api/policy_snapshot.h"

enum {
	/*
	 * Room for a frame in a buffer, behind DPDK's headroom: 2,048 bytes of frame (1,500 of MTU, Ethernet, QinQ, and
	 * what a jumbo-less wire can ever carry) and the 384 that net_af_xdp keeps for itself.
	 */
	SW_FRAME_BYTES = 2048,
	SW_DATA_ROOM_BYTES = 128 + SW_FRAME_BYTES + 384,
	/* struct rte_mbuf, the mempool's header and alignment. */
	SW_MBUF_BYTES = SW_DATA_ROOM_BYTES + 128 + 64 + 64,
	SW_POOL_CACHE = 256,
};

/* Bytes, for the whole box. */
struct sw_memory_plan {
	uint64_t packet_buffers;
	uint64_t eal;           /* what the EAL must be able to hand out: packet_buffers, rings, descriptors, its own */
	uint64_t flows;
	uint64_t limiter;
	uint64_t region;        /* counters and source records */
	uint64_t workers;       /* everything else that a worker keeps */
	uint64_t policy;        /* the running one and its successor */
	uint64_t total;         /* of eal and what follows it */
};

/* Shares of one worker: a box-wide figure, evenly and rounded up. */
static inline uint32_t sw_per_worker(uint32_t box, uint32_t workers)
{
	return (uint32_t)(((uint64_t)box + workers - 1) / workers);
}

void sw_memory_plan_make(const struct sw_boot *boot, uint32_t links, uint64_t snapshot_bytes,
	struct sw_memory_plan *out);

/* 0, or -ENOMEM with the sum, its parts and what to lower in `error`. `huge`: the EAL's part lies on huge pages. */
int sw_memory_check(const struct sw_memory_plan *plan, bool huge, uint64_t available, char *error, size_t error_bytes);

/* MemAvailable of /proc/meminfo, capped by a cgroup's limit where there is one. 0: not known. */
uint64_t sw_memory_available(void);

/* Free huge pages of 2 MiB and 1 GiB, in bytes. */
uint64_t sw_memory_huge_free(void);

/* Fewest mbufs per worker with which every queue can be filled and a few bursts still move. */
uint32_t sw_mbufs_needed(const struct sw_boot *boot, uint32_t links);

#endif
