/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The heart of the control daemon: the policy in force, what became of the last load, the operator's blocks, and the
 * way to the dataplane. daemon.c makes one; the HTTP server and the observers call the functions below.
 *
 * Thread   any. Functions take their own locks; none may be called from within a callback of this header. Status and
 *          policy are read without waiting for a reload in progress. Reload, block_add and block_remove serialise with
 *          each other and wait up to SW_CONTROL_WAIT_MS for the dataplane's answer: call them from a thread that may
 *          wait (a thread of the HTTP server), not from the event loop; sw_control_request_reload() is for the latter.
 * Owner    every json_t handed out is new and belongs to the caller.
 * Errors   0 or -errno, and where it says so a text or JSON report for a person.
 */
#ifndef SW_CONTROL_H
#define SW_CONTROL_H

#include <jansson.h>
#include <stddef.h>

#include "api/messages.h"
#include "policy/address_text.h"
#include "policy/spec.h"

enum {
	SW_CONTROL_WAIT_MS = 5000,  /* longest wait for the dataplane to acknowledge a snapshot */
	SW_EXPLAIN_WAIT_MS = 1000,
	SW_BLOCKS_MAX = 10000,
	SW_BLOCK_REASON_BYTES = 128,
	SW_BLOCK_MAX_S = 366 * 86400,
};

/* Logging for the whole daemon, rate limited: syslog priorities (LOG_ERR...), stderr or journal. Thread: any. */
void sw_log(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct sw_control;

struct sw_control_options {
	const char *config_path;
	const char *runtime_dir; /* NULL: /run/seawall/<instance>; sw_control_runtime_dir() says which */
	const char *state_dir;   /* NULL: /var/lib/seawall/<instance> */
	uint32_t retired_look_ms; /* how often to see whether retired services have ended; 0: 5,000 */
};

/*
 * Loads the policy (the file, or when it is broken the last good one) and starts the thread that talks to the
 * dataplane. 0; -EINVAL: neither the file nor a last good policy can be used (every error has been logged); -errno.
 */
int sw_control_open(const struct sw_control_options *options, struct sw_control **out);
void sw_control_close(struct sw_control *control);

const char *sw_control_runtime_dir(const struct sw_control *control);
const char *sw_control_state_dir(const struct sw_control *control);
const char *sw_control_config_path(const struct sw_control *control);

/* ---- what is in force ------------------------------------------------------------------------------------------- */

/* Immutable once handed out. Hold it for as long as you read it, then release it; NULL is never returned. */
struct sw_policy {
	const struct sw_spec *spec;                  /* the operator's units, defaults filled in */
	const struct sw_snapshot_header *snapshot;   /* what was compiled from it, blocks merged in */
	uint64_t loaded_unix_ns;
	bool is_last_good;                           /* the file is broken: this is the policy of an earlier load */
};
const struct sw_policy *sw_control_policy(struct sw_control *control);
void sw_policy_release(const struct sw_policy *policy);

/* Name of the service or group with this slot, or NULL. Points into the snapshot. */
const char *sw_policy_service_name(const struct sw_policy *policy, uint32_t slot);
const char *sw_policy_group_name(const struct sw_policy *policy, uint32_t slot);
/* Slot of the service with this name, or SW_NONE. */
uint32_t sw_policy_service_slot(const struct sw_policy *policy, const char *name);
/* The service with this slot, or NULL. */
const struct sw_service *sw_policy_service(const struct sw_policy *policy, uint32_t slot);
/* Its next target behind `after` (NULL: the first), or NULL. */
const struct sw_target *sw_policy_target(const struct sw_policy *policy, const struct sw_service *service,
	const struct sw_target *after);
/* Services that are no longer configured, and stay for the connections they have (policy/retire.h). */
uint32_t sw_policy_retired(const struct sw_policy *policy);
/* The rule that counts in `entry` (allow, deny or block), or NULL. Linear: not for a loop over all entries. */
const struct sw_prefix_rule *sw_policy_rule(const struct sw_policy *policy, uint32_t entry);
/* The whole configuration in force as JSON in the shape of seawall.json, defaults filled in, lists of files by name. */
json_t *sw_policy_json(const struct sw_policy *policy);

struct sw_control_status {
	uint64_t generation_wanted;   /* of the policy above */
	uint64_t generation_in_force; /* last one that the dataplane acknowledged or greeted with; 0: never heard of */
	uint64_t published_unix_ns;   /* when it acknowledged generation_wanted; 0: not yet */
	bool dataplane_connected;
	bool running_last_good;       /* the file is broken, an earlier policy is in force */
	bool needs_restart;           /* the boot section in force differs from the policy's */
	char restart_field[256];      /* the first field that differs, when needs_restart */
	char dataplane_text[256];     /* why a snapshot was refused or could not be handed over; empty: all is well */
	uint64_t last_load_unix_ns;   /* last try, good or bad */
	uint32_t last_load_errors, last_load_warnings;
	uint32_t blocks;
};
void sw_control_status(struct sw_control *control, struct sw_control_status *out);

/*
 * What the last load found, worst first: [{"severity": "error"|"warning", "file", "line", "column", "path", "message",
 * "hint"}]; line 0: no position. Empty when all is well.
 */
json_t *sw_control_last_error(struct sw_control *control);

/* ---- changing it ------------------------------------------------------------------------------------------------ */

/*
 * Reads the file again and puts it in force. *report (may be NULL): {"ok", "generation", "needs_restart",
 * "restart_field", "published", "message", "errors": [as last_error], "warnings": [...]}.
 * 0; -EINVAL: refused, the running policy stays; -EPROTO: the dataplane refused it, likewise; -ENOTCONN or -ETIMEDOUT:
 * good and stored, but the dataplane is away or slow; it gets the policy when it comes back.
 */
int sw_control_reload(struct sw_control *control, json_t **report);
/* The same in another thread, without waiting. From the event loop (SIGHUP). */
void sw_control_request_reload(struct sw_control *control);

/*
 * Checks a configuration without using it. `text` need not end in NUL. Same shape as the report of reload, and in
 * "summary" {"services", "targets", "groups", "prefixes", "memory_bytes"} when it is good. 0 or -EINVAL.
 */
int sw_control_check_text(struct sw_control *control, const char *text, size_t bytes, json_t **report);

struct sw_block {
	struct sw_prefix prefix;
	uint64_t since_unix_ns, until_unix_ns; /* until 0: until removed */
	uint32_t entry;                        /* its counter: sw_region_worker_entries() */
	char reason[SW_BLOCK_REASON_BYTES];
};

/*
 * Blocks a prefix for `seconds` (0: until removed). The same prefix again replaces lifetime and reason. Kept over
 * restarts. 0, also when the dataplane is away (it gets the block when it is back); -EINVAL (prefix with host bits set,
 * shorter than /8 or IPv6 /16, seconds above SW_BLOCK_MAX_S, reason with control characters), -ENOSPC: SW_BLOCKS_MAX or
 * boot.entries are used up; -EPROTO: the dataplane refused. `error` says which, for a person.
 */
int sw_control_block_add(struct sw_control *control, const struct sw_prefix *prefix, uint32_t seconds,
	const char *reason, char *error, size_t error_bytes);
/*
 * Lifts an operator's block and, when it is one address, what the dataplane itself set on it. *lifted (may be NULL):
 * how many of both. -ENOENT: there was none.
 */
int sw_control_block_remove(struct sw_control *control, const struct sw_prefix *prefix, uint32_t *lifted, char *error,
	size_t error_bytes);
/* All operator's blocks that still stand, oldest first. *out is malloc'd (NULL: none). Returns the count or -errno. */
int sw_control_block_list(struct sw_control *control, struct sw_block **out);

/*
 * What the dataplane knows of one address (messages.h). `service_slot`: SW_NONE for none in particular. 0; -ENOTCONN,
 * -ETIMEDOUT, -EBUSY: `error` says why, for a person.
 */
int sw_control_explain(struct sw_control *control, const struct sw_address *address, uint32_t service_slot,
	struct sw_explain *out, char *error, size_t error_bytes);

#endif
