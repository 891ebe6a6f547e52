/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The XDP program on AF_XDP interfaces: which frames come to the dataplane, which cross the kernel bridge, and what
 * happens to them while the dataplane is gone or hung. This is its loader; the program is wire.bpf.c.
 *
 * Order    sw_wire_open() before rte_eal_init() (libxdp re-uses a program that it finds attached, and would attach its
 *          own otherwise), sw_wire_publish() before the workers start and with each new policy, sw_wire_beat() in each
 *          worker's loop, the rest from housekeeping, sw_wire_close() last.
 * Thread   sw_wire_beat(): the worker that owns the heartbeat. Everything else: one thread, housekeeping; only
 *          sw_wire_publish() may run in a thread of its own meanwhile, one call at a time.
 * Restart  the program, its link and its maps are pinned below pin_directory and outlive the process. The next
 *          sw_wire_open() takes them over, replacing the program in place, so no frame is lost; blocks and counters
 *          go on. A pin that another version left and that does not fit is replaced.
 * Errors   0 or -errno; where there is `error`, with a text for a person in it. After success a text there is a warning
 *          worth a line in the log; no text, no warning.
 */
#ifndef SW_WIRE_H
#define SW_WIRE_H

#include <stdatomic.h>
#include <stddef.h>
#include <time.h>

#include "../api/policy_snapshot.h"
#include "../api/verdicts.h"
#include "wire_shared.h"

struct sw_wire;

struct sw_wire_interface {
	const char *name; /* network interface, in this process's network namespace */
	uint32_t link;    /* index of the link */
	uint8_t side;     /* enum sw_side */
};

struct sw_wire_config {
	const struct sw_wire_interface *interfaces; /* AF_XDP ends only; read only during the call */
	uint32_t interface_count;                   /* 1 to SW_LINKS_MAX * SW_SIDES */
	uint32_t queues;                            /* one for each worker, and as many as the interface has: frames of a
	                                               queue without a worker would fall back. 1 to SW_WORKERS_MAX */
	uint8_t steer;                              /* enum sw_steer */
	uint8_t fail_mode;                          /* enum sw_fail_mode */
	uint32_t heartbeat_timeout_ms;
	const char *pin_directory; /* below a bpffs, which is mounted when missing, e.g. /sys/fs/bpf/seawall/INSTANCE. A
	                              bpffs has no dots in names: there they become colons */
	/* Addresses that sw_wire_block() can hold; beyond it the longest unused is forgotten. 0: 65536 */
	uint32_t blocks_max;
	uint32_t entries_max; /* as in the boot section; entries from this number on are not counted */
	bool load_only;       /* load and fill, attach and pin nothing: for tests, see wire_private.h */
};

/*
 * Loads, attaches and pins. From here on frames obey the program: with no policy published yet (and none left by a
 * predecessor) nothing is protected, so with steer `services` everything crosses the bridge; with `all` the fail mode
 * decides until the dataplane's sockets are there.
 */
int sw_wire_open(const struct sw_wire_config *config, struct sw_wire **out, char *error, size_t error_bytes);

/*
 * detach: takes the program off the interfaces and removes the pins. Otherwise both stay, and the fail mode decides
 * what happens to protected frames until the next start. Frees `wire`; heartbeats must not be touched after.
 */
void sw_wire_close(struct sw_wire *wire, bool detach);

/* ---- workers ---------------------------------------------------------------------------------------------------- */

/* Of worker (receive queue) `worker`, shared with the program; lives until sw_wire_close(). */
struct sw_wire_heartbeat *sw_wire_heartbeat(struct sw_wire *wire, uint32_t worker);

/*
 * "I am alive", from the loop itself, never from a timer or another thread. Reads the clock in user space (vDSO); once
 * in each millisecond is enough, and an idle worker must not sleep longer than half of the timeout.
 */
static inline void sw_wire_beat(struct sw_wire_heartbeat *heartbeat)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	__atomic_store_n(
	    &heartbeat->last_ns, (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec, __ATOMIC_RELAXED);
}

/* A worker that ends on purpose: its frames fall back at once. */
static inline void sw_wire_beat_stop(struct sw_wire_heartbeat *heartbeat)
{
	__atomic_store_n(&heartbeat->last_ns, 0, __ATOMIC_RELAXED);
}

/* ---- housekeeping ----------------------------------------------------------------------------------------------- */

/*
 * Targets, modes and source rules of a checked snapshot (core/snapshot_check.h). The new set is built beside the one
 * in force and takes its place in one store, so there is no moment in which a protected frame is not steered. Call it
 * when the policy is built and before the workers get it. Takes some milliseconds, in which it waits for the kernel's
 * RCU; 100,000 prefixes that are not those of the last call take some 100 ms more. On failure the old set stays in
 * force.
 */
int sw_wire_publish(struct sw_wire *wire, const void *snapshot, char *error, size_t error_bytes);

/*
 * Drops frames of one proven source towards every enforced service for `seconds`, before DPDK sees them. Operators'
 * allow rules win. Again for the same address: the new time replaces the old one.
 */
int sw_wire_block(struct sw_wire *wire, const struct sw_address *address, uint32_t seconds);
int sw_wire_unblock(struct sw_wire *wire, const struct sw_address *address); /* -ENOENT: was not blocked */

/*
 * Frames that the program dropped by entry `entry` of the operator's deny and block rules since sw_wire_open(), on all
 * interfaces: what the workers' entry counters do not see. Reads memory only; any thread.
 */
uint64_t sw_wire_entry_hits(const struct sw_wire *wire, uint32_t entry);

/* Sums over CPUs since the program was first attached (they survive restarts). -ENOENT: no such interface. */
int sw_wire_counters(struct sw_wire *wire, uint32_t link, uint8_t side, uint64_t out[SW_WIRE_COUNTER_COUNT]);

#endif
