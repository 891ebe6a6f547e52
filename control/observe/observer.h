/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The observer: a thread that samples the dataplane's counters about once a second and keeps what follows from them
 * (rates, incidents, evidence). Handlers of the server lock it, read, and unlock.
 *
 * Thread   sw_observer_lock() and what stands between it and sw_observer_unlock() from any thread. Nobody keeps the
 *          lock while waiting for anything but a worker in mid-write (milliseconds at worst).
 */
#ifndef SW_OBSERVE_OBSERVER_H
#define SW_OBSERVE_OBSERVER_H

#include "collect.h"
#include "evidence.h"
#include "incidents.h"
#include "rates.h"

struct sw_observer;

struct sw_observer_options {
	const char *runtime_dir;
	const char *state_dir; /* for incidents.jsonl; NULL: incidents are kept in memory alone */
	uint32_t interval_ms;  /* 100 to 60000 */
	uint32_t history_s;
	/* Called by the sampling thread after each sample, with the lock not held. May be NULL. */
	void (*sampled)(void *context);
	void *context;
};

/* Starts the thread. 0 or -errno. */
int sw_observer_open(const struct sw_observer_options *options, struct sw_observer **out);

/* Ends and joins the thread. */
void sw_observer_close(struct sw_observer *observer);

/* Locks, reads the counters as they stand now, and returns them; valid until the unlock. Never NULL. */
const struct sw_sample *sw_observer_lock(struct sw_observer *observer);
void sw_observer_unlock(struct sw_observer *observer);

/* Between lock and unlock. */
const struct sw_rates *sw_observer_rates(const struct sw_observer *observer);
const struct sw_incidents *sw_observer_incidents(const struct sw_observer *observer);
/* The mapped region, or NULL; for its clock. */
const struct sw_region *sw_observer_region(const struct sw_observer *observer);
/* Packets that hit the counted entries (allow, deny, block), summed over workers; 0 beyond the table. */
uint64_t sw_observer_entry_hits(const struct sw_observer *observer, uint32_t entry);

/*
 * The evidence, from a scan that is at most a second old; NULL without a dataplane or memory. It has a lock of its own,
 * so that looking through a million records keeps nobody from sampling; take it before sw_observer_lock(), not after.
 * Unlock in either case.
 */
const struct sw_evidence *sw_observer_lock_evidence(struct sw_observer *observer);
void sw_observer_unlock_evidence(struct sw_observer *observer);

/* Unix time of the last scheduled sample; when it stops moving, the sampling thread is stuck. */
uint64_t sw_observer_sampled_unix_ns(const struct sw_observer *observer);

#endif
