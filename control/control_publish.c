/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the daemon and the publisher's thread: what it is to publish, and what the answer changes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "control_internal.h"
#include "policy/load.h"
#include "policy/state_file.h"

enum { RETRY_MS = 250 };

/* Another number on the same rules. NULL: out of memory. */
static struct policy *renumber(const struct policy *policy, uint64_t generation)
{
	struct sw_snapshot_header *copy = malloc(policy->snapshot->total_bytes);
	if (!copy)
		return NULL;
	memcpy(copy, policy->snapshot, policy->snapshot->total_bytes);
	copy->generation = generation;
	struct policy *renumbered = sw_policy_new(policy->spec, copy, policy->public.is_last_good);
	if (renumbered)
		renumbered->public.loaded_unix_ns = policy->public.loaded_unix_ns;
	return renumbered;
}

/*
 * What the dataplane should have. One that says it has our number, which it was not given by us since we started, can
 * only have read it from the file that we stored; when our policy is that very file, all is well.
 */
static const struct sw_snapshot_header *wanted(void *context, uint64_t in_force, void **token)
{
	struct sw_control *c = context;
	const struct sw_snapshot_header *snapshot = NULL;
	struct policy *found = NULL;
	pthread_mutex_lock(&c->state);
	struct policy **target = c->candidate ? &c->candidate : &c->policy;
	const uint64_t generation = (*target)->snapshot->generation;
	if (!c->acknowledged && c->policy_is_stored && in_force == generation && target == &c->policy) {
		c->acknowledged = sw_policy_hold(c->policy);
		c->status.published_unix_ns = sw_now_unix_ns();
		found = sw_policy_hold(c->policy);
	}
	if ((*target == c->acknowledged && in_force == generation) || generation == c->refused_generation)
		goto out;
	if (in_force >= generation) { /* it has had more policies than we know of */
		struct policy *renumbered = renumber(*target, in_force + 1);
		if (!renumbered)
			goto out;
		if (*target == c->acknowledged) {
			sw_policy_drop(c->acknowledged);
			c->acknowledged = sw_policy_hold(renumbered);
		}
		sw_policy_drop(*target);
		*target = renumbered;
	}
	*token = sw_policy_hold(*target);
	snapshot = (*target)->snapshot;
out:
	pthread_mutex_unlock(&c->state);
	if (found) /* the snapshot may have been compiled by hand: then its configuration is not stored yet */
		sw_control_store(c, found);
	sw_policy_drop(found);
	return snapshot;
}

static void note_restart(struct sw_control *c, const struct sw_reply *reply)
{
	const bool needed = reply->status == SW_REPLY_NEEDS_RESTART;
	if (needed && !c->status.needs_restart)
		sw_log(LOG_WARNING, "in force but for its boot section (%.200s), which needs a restart of the dataplane",
		    reply->text);
	c->status.needs_restart = needed;
	snprintf(c->status.restart_field, sizeof(c->status.restart_field), "%s", needed ? reply->text : "");
}

/* Under `state`. */
static void acknowledged(struct sw_control *c, struct policy *policy, const struct sw_reply *reply)
{
	struct policy *before = c->acknowledged, *replaced = NULL;
	c->acknowledged = sw_policy_hold(policy);
	if (c->candidate == policy) {
		replaced = c->policy;
		c->policy = c->candidate;
		c->candidate = NULL;
		c->outcome = OUTCOME_ACKNOWLEDGED;
	}
	c->refused_generation = 0;
	c->status.published_unix_ns = sw_now_unix_ns();
	c->status.dataplane_text[0] = 0;
	note_restart(c, reply);
	sw_policy_drop(before);
	sw_policy_drop(replaced);
}

/* Under `state`. Returns the policy that is back in force, held, when one had to give way; else NULL. */
static struct policy *refused(struct sw_control *c, struct policy *policy, const struct sw_reply *reply)
{
	sw_log(LOG_ERR, "the dataplane refused generation %ju: %s", (uintmax_t)policy->snapshot->generation,
	    reply->text[0] ? reply->text : "it speaks another version of the protocol");
	snprintf(c->status.dataplane_text, sizeof(c->status.dataplane_text), "%s",
	    reply->text[0] ? reply->text : "another protocol version");
	if (c->candidate == policy) {
		c->candidate = NULL;
		c->outcome = OUTCOME_REFUSED;
		sw_policy_drop(policy);
		return NULL;
	}
	c->refused_generation = policy->snapshot->generation;
	if (c->policy != policy || !c->acknowledged || c->acknowledged == policy)
		return NULL;
	c->policy = sw_policy_hold(c->acknowledged); /* back to what it took before */
	sw_policy_drop(policy);
	return sw_policy_hold(c->policy);
}

static void answered(void *context, void *token, int error, const struct sw_reply *reply)
{
	struct sw_control *c = context;
	struct policy *policy = token, *back = NULL;
	const bool taken = !error && (reply->status == SW_REPLY_OK || reply->status == SW_REPLY_NEEDS_RESTART);
	if (taken)
		sw_control_store(c, policy);
	pthread_mutex_lock(&c->state);
	if (reply)
		c->status.generation_in_force = reply->generation;
	if (error)
		snprintf(
		    c->status.dataplane_text, sizeof(c->status.dataplane_text), "policy not handed over: %s", strerror(-error));
	else if (reply->status == SW_REPLY_BUSY)
		snprintf(c->status.dataplane_text, sizeof(c->status.dataplane_text), "busy: %.200s", reply->text);
	else if (taken)
		acknowledged(c, policy, reply);
	else
		back = refused(c, policy, reply);
	pthread_cond_broadcast(&c->answered);
	pthread_mutex_unlock(&c->state);
	if (back)
		sw_control_store(c, back);
	sw_policy_drop(back);
	if (taken)
		sw_log(LOG_INFO, "generation %ju is in force", (uintmax_t)policy->snapshot->generation);
	sw_policy_drop(policy);
}

static void connected(void *context, bool is_connected, uint64_t in_force)
{
	struct sw_control *c = context;
	pthread_mutex_lock(&c->state);
	c->status.dataplane_connected = is_connected;
	if (is_connected) {
		c->status.generation_in_force = in_force;
		c->status.needs_restart = false; /* a new dataplane: it says again if it has another boot section */
		c->refused_generation = 0;
	}
	pthread_cond_broadcast(&c->answered);
	pthread_mutex_unlock(&c->state);
	if (is_connected)
		sw_log(LOG_NOTICE, "dataplane found: generation %ju is in force", (uintmax_t)in_force);
	else
		sw_log(LOG_WARNING, "dataplane gone; looking for it");
}

int sw_control_start_publisher(struct sw_control *c)
{
	const struct sw_publisher_options options = {
	    .owner = {.context = c, .wanted = wanted, .answered = answered, .connected = connected},
	    .socket_path = c->socket_path,
	    .wait_ms = SW_CONTROL_WAIT_MS,
	    .retry_ms = RETRY_MS,
	};
	return sw_publisher_open(&options, &c->publisher);
}

static void store_config(struct sw_control *c, const struct policy *policy)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/last-good.json", c->state_dir);
	json_t *json = sw_spec_json(policy->spec->spec, true);
	char *text = json ? json_dumps(json, JSON_INDENT(1)) : NULL;
	const int result = text ? sw_write_file(path, text, strlen(text), 0600) : -ENOMEM;
	if (result)
		sw_log(LOG_ERR, "%s: %s; a restart with a broken configuration would find an older policy", path,
		    strerror(-result));
	free(text);
	json_decref(json);
}

void sw_control_store(struct sw_control *c, const struct policy *policy)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/policy.snapshot", c->state_dir);
	pthread_mutex_lock(&c->store);
	const int result = sw_write_file(path, policy->snapshot, policy->snapshot->total_bytes, 0600);
	if (result)
		sw_log(LOG_ERR, "%s: %s; a dataplane that restarts would find an older policy", path, strerror(-result));
	if (!policy->public.is_last_good && c->stored_spec != policy->spec) {
		store_config(c, policy);
		c->stored_spec = policy->spec;
	}
	pthread_mutex_unlock(&c->store);
}
