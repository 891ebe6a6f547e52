/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Everything about a running dataplane that is no packet's business: every 20 ms it looks at the workers' counters and
 * decides what is armed, turns the epoch, shares budgets out, hears what workers report, shows the state in the
 * region, and answers the control daemon.
 *
 * Thread   main, from the start of the workers to their end. It never waits for a worker: a policy is freed and mail
 *          collected when the worker has got round to it, and one that hangs keeps only its own.
 */
#ifndef SW_HOUSEKEEPING_H
#define SW_HOUSEKEEPING_H

#include "control_socket.h"
#include "core/epoch.h"
#include "ports/port.h"
#include "publish.h"
#include "services.h"
#include "shares.h"

enum {
	SW_TICK_MS = 20,
	SW_SHARES_EVERY = 5,     /* ticks: 100 ms */
	SW_PORTS_EVERY = 5,
	SW_LINKS_EVERY = 50,     /* 1 s */
	SW_RETIRED_MAX = 8,      /* policies waiting for a hung worker; then a publication is refused */
	SW_MAIL_WAIT_MS = 100,
	SW_WIRE_ENTRIES_AT_ONCE = 16384,
};

struct sw_letter;

struct sw_housekeeping {
	struct sw_box *box;
	struct sw_ports *ports;  /* NULL: none (tests) */
	struct sw_publish_limits limits; /* also holds `wire` */
	struct sw_policy *policy;
	struct sw_services services;
	struct sw_shares shares;
	struct sw_epoch epoch;
	struct sw_control_socket socket;
	struct sw_retired {
		struct sw_policy *policy;
		uint64_t token;      /* of rte_rcu_qsbr_start() */
	} retired[SW_RETIRED_MAX];
	/* The request that is open. */
	bool publishing;
	struct sw_publish_job job;
	struct sw_letter *letters;   /* sent for it, newest first */
	struct sw_letter *late;      /* given up, not yet back */
	struct sw_request request;
	uint64_t mail_deadline_ns;
	uint64_t ticks;
	uint32_t wire_entry;   /* the last whose XDP counter was read */
	uint32_t wire_entries; /* how many the policy has */
};

/*
 * Takes the first policy over and puts it and the first keys in force; from here on workers may run. On failure the
 * policy is still the caller's. `runtime_dir` NULL: no socket.
 */
int sw_housekeeping_open(struct sw_housekeeping *h, struct sw_box *box, struct sw_ports *ports,
	const struct sw_publish_limits *limits, struct sw_policy *policy, const char *runtime_dir, char *error,
	size_t error_bytes);

/* Until sw_stopping is set. */
void sw_housekeeping_run(struct sw_housekeeping *h);

/* One look at everything, for run() and tests. */
void sw_housekeeping_tick(struct sw_housekeeping *h);
/* Waits up to timeout_ms for a request; works on the open one. */
void sw_housekeeping_serve(struct sw_housekeeping *h, int timeout_ms);

/* After the workers have ended. Frees the policies. */
void sw_housekeeping_close(struct sw_housekeeping *h);

#endif
