/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Makes the workers of a box and all that they share, with or without ports: the program gives them queues afterwards,
 * a test or benchmark may run sw_pipeline_burst() on mbufs of its own.
 *
 *     struct sw_box box;
 *     const struct sw_box_config config = {.boot = &boot, .links = links, .link_count = 1, .secrets = secrets};
 *     sw_box_open(&config, &box, error, sizeof(error));
 *     box.workers[0]->queues[0][SW_OUTSIDE] = ...; box.workers[0]->port_ends[port] = ...;
 *     sw_box_adopt_policy(&box, policy); sw_box_new_epoch(&box, sw_cookie_epoch(now));
 *     sw_pipeline_begin(box.workers[0], rte_rdtsc()); ...
 *     sw_box_close(&box);
 *
 * Needs an initialised EAL (rings, mempools, TSC). Thread: start-up and shutdown; the memory itself is then the
 * worker's, or written by housekeeping where worker.h says so.
 */
#ifndef SW_WORKER_STATE_H
#define SW_WORKER_STATE_H

#include "region_file.h"
#include "secrets.h"
#include "worker.h"

struct sw_box_config {
	const struct sw_boot *boot;
	const struct sw_link *links;
	uint32_t link_count;
	const struct sw_secrets *secrets;
	const char *runtime_dir;  /* NULL: region and flows in anonymous memory */
	bool sharded_by_nic;      /* no hand-over rings are made */
	bool without_pools;       /* the caller sets worker->pool */
	bool packed_pools;        /* for ports other than PCI; AF_XDP ports need it */
};

struct sw_box {
	struct sw_boot boot;      /* a copy */
	uint32_t link_count;
	const struct sw_secrets *secrets;
	struct sw_shared shared;
	struct sw_worker *workers[SW_WORKERS_MAX];
	struct sw_idle *idles;    /* [workers] */
	struct sw_mapped_file region_file, flows_file;
	struct sw_cookie_keys *keys;     /* two, used in turn */
	sw_siphash_burst_fn siphash_burst;
	enum sw_isa isa;
};

/* 0, or -errno with a text; *box is then empty. Checks nothing of memory: sw_memory_check() did. */
int sw_box_open(const struct sw_box_config *config, struct sw_box *box, char *error, size_t error_bytes);

/*
 * Has all workers take the loops for `isa`, which the CPU must have; cookies from the next epoch on. Control sees it as the
 * box's. The best one is in use already: this is for who compares them. No worker may be running.
 */
void sw_box_use_isa(struct sw_box *box, enum sw_isa isa);

/* Frees everything but the policy and the mbufs that workers still hold: drain them first. */
void sw_box_close(struct sw_box *box);

/* Puts a policy in force. Returns the one that was, to be freed after a grace period; NULL at first. */
const struct sw_policy *sw_box_adopt_policy(struct sw_box *box, const struct sw_policy *policy);

/* Derives the keys of `epoch` into the resting buffer and swaps it in. */
void sw_box_new_epoch(struct sw_box *box, uint32_t epoch);

/* Bytes of private memory per worker, limiter included. Pure. */
uint64_t sw_worker_state_bytes(const struct sw_boot *boot, uint32_t links);

#endif
