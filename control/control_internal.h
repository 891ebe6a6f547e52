/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside of struct sw_control, for control*.c alone.
 *
 * Locks    `work` serialises whatever changes the policy (reload, blocks) and may be held for seconds. `state` guards
 *          the fields that readers and the publisher's thread see, and is held for a few instructions. Whoever takes
 *          both takes `work` first. `store` is for writing files, and nothing else is taken under it.
 */
#ifndef SW_CONTROL_INTERNAL_H
#define SW_CONTROL_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "control.h"
#include "policy/blocks.h"
#include "policy/compile.h"
#include "policy/publish.h"
#include "policy/report.h"

/* A spec may stand behind several policies: each change of the blocks makes a new snapshot of the same spec. */
struct shared_spec {
	atomic_uint references;
	struct sw_spec *spec;
};

/* The public part must come first: sw_policy_release() goes back from it to the whole. */
struct policy {
	struct sw_policy public;
	atomic_uint references;
	struct shared_spec *spec;
	struct sw_snapshot_header *snapshot;
};

/* Of a retired service; CLOCK_MONOTONIC. 0: it is not retired. */
struct retirement {
	uint64_t since_ns;
	uint64_t alive_ns; /* when it was last seen with connections */
};

enum outcome { OUTCOME_NONE, OUTCOME_ACKNOWLEDGED, OUTCOME_REFUSED };

struct sw_control {
	char *config_path, *runtime_dir, *state_dir, *socket_path;

	pthread_mutex_t work;
	struct sw_blocks blocks; /* written under both locks, read under either */
	struct retirement *retirements; /* by slot, SW_SERVICES_MAX; under `work` */
	uint32_t retired_look_ms;
	struct sw_slot_cursors cursors;

	pthread_mutex_t state;
	pthread_cond_t answered;     /* the outcome of the candidate is known */
	struct policy *policy;       /* in force as far as the daemon is concerned */
	struct policy *acknowledged; /* last one the dataplane took; to go back to when it refuses `policy` later */
	struct policy *candidate;    /* wants to become `policy`; NULL: none */
	enum outcome outcome;        /* of the candidate */
	uint64_t refused_generation; /* not to be offered again */
	struct sw_control_status status;
	struct sw_report report;     /* of the last load */
	bool policy_is_stored;       /* the first policy is what policy.snapshot held when we started */

	pthread_mutex_t store;       /* one writer of the state directory at a time */
	const struct shared_spec *stored_spec; /* what last-good.json was written from; compared, never followed */

	struct sw_publisher *publisher;

	pthread_t reloader;
	bool reloader_runs, reload_wanted, ending; /* under `state` */
	pthread_cond_t reload;
};

uint64_t sw_now_unix_ns(void);

/* control.c */
struct policy *sw_policy_hold(struct policy *policy);
void sw_policy_drop(struct policy *policy);
struct policy *sw_policy_hold_current(struct sw_control *c);
/* Takes over the snapshot; holds the spec. NULL: out of memory, and the snapshot is freed. */
struct policy *sw_policy_new(struct shared_spec *spec, struct sw_snapshot_header *snapshot, bool is_last_good);
/* Takes over the spec. */
struct shared_spec *sw_shared_spec_new(struct sw_spec *spec);
void sw_shared_spec_drop(struct shared_spec *spec);

/*
 * control_change.c. Compiles a spec with the blocks that stand, as the policy after `previous`. Under `work`, or
 * before any other thread runs.
 */
int sw_control_compile(struct sw_control *c, struct shared_spec *spec, const struct sw_blocks *blocks,
	const struct sw_snapshot_header *previous, uint64_t generation, bool is_last_good, struct sw_report *report,
	struct policy **out);
/* Puts `policy` in force, and takes it over; waits for the dataplane. Errors as sw_control_reload(). Under `work`. */
int sw_control_put_in_force(struct sw_control *c, struct policy *policy);
uint64_t sw_control_next_generation(struct sw_control *c);
void sw_control_log_report(const struct sw_report *report);

/* control_blocks.c: takes out blocks that have ended. Under `work`. */
void sw_blocks_prune_locked(struct sw_control *c);

/* control_retire.c: what is to stay of services that are taken out of the configuration. All under `work`. */
/* By slot of `previous`, SW_SERVICES_MAX of them: 1 where connections go on. malloc'd; NULL: out of memory. */
uint8_t *sw_retired_judge(struct sw_control *c, const struct sw_snapshot_header *previous,
	const struct sw_running_services *running);
/* `snapshot` follows `previous`: clocks begin for what it retires. */
void sw_retired_note(struct sw_control *c, const struct sw_snapshot_header *previous,
	const struct sw_snapshot_header *snapshot);
/* Does the policy hold retired services? */
bool sw_retired_any(const struct policy *policy);
/* Publishes a policy without those that have ended. Takes `work` itself. */
void sw_retired_review(struct sw_control *c);

/* control_publish.c */
int sw_control_start_publisher(struct sw_control *c);
/* Stores what a restart needs: the snapshot, and the configuration with the prefixes of files in it. Logs failures. */
void sw_control_store(struct sw_control *c, const struct policy *policy);

#endif
