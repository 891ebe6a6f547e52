/* SPDX-License-Identifier: BSD-3-Clause */
#include "control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "control_internal.h"
#include "policy/load.h"
#include "policy/state_file.h"

enum { RETIRED_LOOK_MS = 5000 };

uint64_t sw_now_unix_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- policies --------------------------------------------------------------------------------------------------- */

struct shared_spec *sw_shared_spec_new(struct sw_spec *spec)
{
	struct shared_spec *shared = malloc(sizeof(*shared));
	if (!shared) {
		sw_spec_free(spec);
		return NULL;
	}
	atomic_init(&shared->references, 1);
	shared->spec = spec;
	return shared;
}

void sw_shared_spec_drop(struct shared_spec *shared)
{
	if (!shared || atomic_fetch_sub(&shared->references, 1) != 1)
		return;
	sw_spec_free(shared->spec);
	free(shared);
}

struct policy *sw_policy_new(struct shared_spec *spec, struct sw_snapshot_header *snapshot, bool is_last_good)
{
	struct policy *policy = malloc(sizeof(*policy));
	if (!policy) {
		free(snapshot);
		return NULL;
	}
	*policy = (struct policy){
	    .public = {.spec = spec->spec,
	        .snapshot = snapshot,
	        .loaded_unix_ns = sw_now_unix_ns(),
	        .is_last_good = is_last_good},
	    .spec = spec,
	    .snapshot = snapshot,
	};
	atomic_init(&policy->references, 1);
	atomic_fetch_add(&spec->references, 1);
	return policy;
}

struct policy *sw_policy_hold(struct policy *policy)
{
	if (policy)
		atomic_fetch_add(&policy->references, 1);
	return policy;
}

void sw_policy_drop(struct policy *policy)
{
	if (!policy || atomic_fetch_sub(&policy->references, 1) != 1)
		return;
	sw_shared_spec_drop(policy->spec);
	free(policy->snapshot);
	free(policy);
}

struct policy *sw_policy_hold_current(struct sw_control *c)
{
	pthread_mutex_lock(&c->state);
	struct policy *policy = sw_policy_hold(c->policy);
	pthread_mutex_unlock(&c->state);
	return policy;
}

const struct sw_policy *sw_control_policy(struct sw_control *c)
{
	return &sw_policy_hold_current(c)->public;
}

void sw_policy_release(const struct sw_policy *policy)
{
	sw_policy_drop((struct policy *)(uintptr_t)policy);
}

const struct sw_service *sw_policy_service(const struct sw_policy *policy, uint32_t slot)
{
	uint32_t count;
	const struct sw_service *services = sw_snapshot_array(policy->snapshot, SW_SECTION_SERVICES, &count);
	for (uint32_t i = 0; i < count; i++)
		if (services[i].slot == slot)
			return &services[i];
	return NULL;
}

const char *sw_policy_service_name(const struct sw_policy *policy, uint32_t slot)
{
	const struct sw_service *service = sw_policy_service(policy, slot);
	return service ? sw_snapshot_text(policy->snapshot, service->name) : NULL;
}

const struct sw_target *sw_policy_target(
    const struct sw_policy *policy, const struct sw_service *service, const struct sw_target *after)
{
	uint32_t count;
	const struct sw_service *services = sw_snapshot_array(policy->snapshot, SW_SECTION_SERVICES, NULL);
	const struct sw_target *targets = sw_snapshot_array(policy->snapshot, SW_SECTION_TARGETS, &count);
	for (const struct sw_target *t = after ? after + 1 : targets; t < targets + count; t++)
		if (&services[t->service] == service)
			return t;
	return NULL;
}

uint32_t sw_policy_retired(const struct sw_policy *policy)
{
	uint32_t count, retired = 0;
	const struct sw_service *services = sw_snapshot_array(policy->snapshot, SW_SECTION_SERVICES, &count);
	while (count && services[--count].retired) /* they stand last */
		retired++;
	return retired;
}

const char *sw_policy_group_name(const struct sw_policy *policy, uint32_t slot)
{
	uint32_t count;
	const struct sw_group *groups = sw_snapshot_array(policy->snapshot, SW_SECTION_GROUPS, &count);
	for (uint32_t i = 0; i < count; i++)
		if (groups[i].slot == slot)
			return sw_snapshot_text(policy->snapshot, groups[i].name);
	return NULL;
}

uint32_t sw_policy_service_slot(const struct sw_policy *policy, const char *name)
{
	uint32_t count;
	const struct sw_service *services = sw_snapshot_array(policy->snapshot, SW_SECTION_SERVICES, &count);
	for (uint32_t i = 0; i < count; i++)
		if (strcmp(sw_snapshot_text(policy->snapshot, services[i].name), name) == 0)
			return services[i].slot;
	return SW_NONE;
}

const struct sw_prefix_rule *sw_policy_rule(const struct sw_policy *policy, uint32_t entry)
{
	uint32_t count;
	const struct sw_prefix_rule *rules = sw_snapshot_array(policy->snapshot, SW_SECTION_PREFIXES, &count);
	for (uint32_t i = 0; i < count; i++)
		if (rules[i].kind != SW_RULE_GROUP && rules[i].target == entry)
			return &rules[i];
	return NULL;
}

json_t *sw_policy_json(const struct sw_policy *policy)
{
	return sw_spec_json(policy->spec, false);
}

/* ---- status ----------------------------------------------------------------------------------------------------- */

const char *sw_control_runtime_dir(const struct sw_control *c)
{
	return c->runtime_dir;
}

const char *sw_control_state_dir(const struct sw_control *c)
{
	return c->state_dir;
}

const char *sw_control_config_path(const struct sw_control *c)
{
	return c->config_path;
}

void sw_control_status(struct sw_control *c, struct sw_control_status *out)
{
	const uint64_t now = sw_now_unix_ns();
	pthread_mutex_lock(&c->state);
	*out = c->status;
	out->generation_wanted = c->policy->snapshot->generation;
	out->running_last_good = c->policy->public.is_last_good;
	out->blocks = 0;
	for (uint32_t i = 0; i < c->blocks.count; i++)
		out->blocks += !c->blocks.items[i].until_unix_ns || c->blocks.items[i].until_unix_ns > now;
	pthread_mutex_unlock(&c->state);
}

json_t *sw_control_last_error(struct sw_control *c)
{
	pthread_mutex_lock(&c->state);
	json_t *array = sw_report_json(&c->report, SW_ERROR);
	json_t *warnings = sw_report_json(&c->report, SW_WARNING);
	pthread_mutex_unlock(&c->state);
	if (array && warnings)
		json_array_extend(array, warnings);
	json_decref(warnings);
	return array;
}

/* ---- start and end ---------------------------------------------------------------------------------------------- */

static char *directory(const char *given, const char *base, const char *instance)
{
	char path[1024];
	if (given)
		return strdup(given);
	snprintf(path, sizeof(path), "%s/%s", base, instance);
	return strdup(path);
}

/* The directories hang on the instance's name, which hangs on the configuration; a broken one leaves the default name.
 */
static int set_directories(struct sw_control *c, const struct sw_control_options *options, const struct sw_spec *spec)
{
	const char *instance = spec ? spec->boot.instance : "seawall";
	char path[4096];
	int result;
	c->runtime_dir = directory(options->runtime_dir, "/run/seawall", instance);
	c->state_dir = directory(options->state_dir, "/var/lib/seawall", instance);
	if (!c->runtime_dir || !c->state_dir)
		return -ENOMEM;
	snprintf(path, sizeof(path), "%s/%s", c->runtime_dir, SW_SOCKET_NAME);
	c->socket_path = strdup(path);
	if (!c->socket_path)
		return -ENOMEM;
	if ((result = sw_make_directory(c->runtime_dir, 0755)) != 0)
		sw_log(LOG_ERR, "runtime directory %s: %s", c->runtime_dir, strerror(-result));
	else if ((result = sw_make_directory(c->state_dir, 0700)) != 0)
		sw_log(LOG_ERR, "state directory %s: %s", c->state_dir, strerror(-result));
	return result;
}

/* The last good configuration, when the file is broken. Its report is not kept: the file's is what the operator must
 * see. */
static int load_last_good(struct sw_control *c, struct sw_spec **out)
{
	char path[4096];
	struct sw_report *report = calloc(1, sizeof(*report));
	snprintf(path, sizeof(path), "%s/last-good.json", c->state_dir);
	if (!report)
		return -ENOMEM;
	const int result = sw_load_file(path, report, out);
	if (result)
		sw_log(LOG_ERR, "and no last good policy: %s", report->findings[SW_ERROR][0].message);
	else
		sw_log(LOG_ERR, "%s is broken: running the last good policy, %s, until it is mended", c->config_path, path);
	free(report);
	return result;
}

static int load_blocks(struct sw_control *c)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/blocks.json", c->state_dir);
	const int result = sw_blocks_load(&c->blocks, path, sw_now_unix_ns());
	if (result)
		sw_log(LOG_ERR, "%s: %s; starting without blocks", path,
		    result == -EINVAL ? "is not a list of blocks" : strerror(-result));
	return result == -ENOMEM ? result : 0;
}

/* The first policy. The stored snapshot gives the slots and generation that went before. */
static int first_policy(struct sw_control *c, struct sw_spec *spec, bool is_last_good)
{
	char path[4096];
	const struct sw_blocks none = {0};
	snprintf(path, sizeof(path), "%s/policy.snapshot", c->state_dir);
	struct sw_snapshot_header *previous = sw_snapshot_read(path);
	struct shared_spec *shared = sw_shared_spec_new(spec);
	int result = -ENOMEM;
	if (!shared)
		goto out;
	const uint64_t generation = previous ? previous->generation + 1 : 1;
	result = sw_control_compile(c, shared, &c->blocks, previous, generation, is_last_good, &c->report, &c->policy);
	if (result == -ENOSPC && c->blocks.count) {
		sw_log(LOG_ERR, "the lists leave no room for %u blocks: starting without them; raise boot.entries",
		    c->blocks.count);
		result = sw_control_compile(c, shared, &none, previous, generation, is_last_good, &c->report, &c->policy);
	}
	c->policy_is_stored = !result && previous && sw_snapshot_same(previous, c->policy->snapshot);
	if (c->policy_is_stored)
		c->policy->snapshot->generation = previous->generation;
	if (!result && !previous) /* a dataplane that waits for its first snapshot finds it */
		sw_control_store(c, c->policy);
out:
	sw_shared_spec_drop(shared);
	free(previous);
	return result;
}

/* Until there is something to reload, or retired services are to be looked at. Under `state`. */
static bool wait_for_reload(struct sw_control *c)
{
	struct timespec deadline;
	if (!sw_retired_any(c->policy)) {
		pthread_cond_wait(&c->reload, &c->state);
		return false;
	}
	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += c->retired_look_ms / 1000;
	deadline.tv_nsec += c->retired_look_ms % 1000 * 1000000L;
	if (deadline.tv_nsec >= 1000000000L) {
		deadline.tv_sec++;
		deadline.tv_nsec -= 1000000000L;
	}
	return pthread_cond_timedwait(&c->reload, &c->state, &deadline) == ETIMEDOUT;
}

/* Reloads on request, and lets go of retired services. */
static void *reloader(void *argument)
{
	struct sw_control *c = argument;
	pthread_mutex_lock(&c->state);
	while (!c->ending) {
		const bool look = !c->reload_wanted && wait_for_reload(c);
		if (c->ending || (!c->reload_wanted && !look))
			continue;
		const bool reload = c->reload_wanted;
		c->reload_wanted = false;
		pthread_mutex_unlock(&c->state);
		if (reload)
			sw_control_reload(c, NULL);
		else
			sw_retired_review(c);
		pthread_mutex_lock(&c->state);
	}
	pthread_mutex_unlock(&c->state);
	return NULL;
}

void sw_control_request_reload(struct sw_control *c)
{
	pthread_mutex_lock(&c->state);
	c->reload_wanted = true;
	pthread_cond_signal(&c->reload);
	pthread_mutex_unlock(&c->state);
}

static int load_first(struct sw_control *c, const struct sw_control_options *options)
{
	struct sw_spec *spec = NULL;
	const int loaded = sw_load_file(c->config_path, &c->report, &spec);
	sw_control_log_report(&c->report);
	c->status.last_load_unix_ns = sw_now_unix_ns();
	c->status.last_load_errors = c->report.counts[SW_ERROR];
	c->status.last_load_warnings = c->report.counts[SW_WARNING];
	int result = set_directories(c, options, spec);
	if (!result)
		result = load_blocks(c);
	if (!result && loaded)
		result = load_last_good(c, &spec);
	if (result) {
		sw_spec_free(spec);
		return result;
	}
	return first_policy(c, spec, loaded != 0);
}

int sw_control_open(const struct sw_control_options *options, struct sw_control **out)
{
	struct sw_control *c = calloc(1, sizeof(*c));
	pthread_condattr_t monotonic;
	if (!c)
		return -ENOMEM;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&c->work, NULL);
	pthread_mutex_init(&c->state, NULL);
	pthread_mutex_init(&c->store, NULL);
	pthread_cond_init(&c->answered, &monotonic);
	pthread_cond_init(&c->reload, &monotonic);
	pthread_condattr_destroy(&monotonic);
	c->config_path = strdup(options->config_path);
	c->retired_look_ms = options->retired_look_ms ? options->retired_look_ms : RETIRED_LOOK_MS;
	c->retirements = calloc(SW_SERVICES_MAX, sizeof(*c->retirements));
	int result = c->config_path && c->retirements ? load_first(c, options) : -ENOMEM;
	if (!result)
		result = sw_control_start_publisher(c);
	if (!result) {
		result = -pthread_create(&c->reloader, NULL, reloader, c);
		c->reloader_runs = result == 0;
	}
	if (result) {
		sw_control_close(c);
		return result;
	}
	*out = c;
	return 0;
}

void sw_control_close(struct sw_control *c)
{
	if (!c)
		return;
	if (c->reloader_runs) {
		pthread_mutex_lock(&c->state);
		c->ending = true;
		pthread_cond_signal(&c->reload);
		pthread_mutex_unlock(&c->state);
		pthread_join(c->reloader, NULL);
	}
	sw_publisher_close(c->publisher);
	sw_policy_drop(c->policy);
	sw_policy_drop(c->acknowledged);
	sw_policy_drop(c->candidate);
	sw_blocks_clear(&c->blocks);
	pthread_cond_destroy(&c->answered);
	pthread_cond_destroy(&c->reload);
	pthread_mutex_destroy(&c->state);
	pthread_mutex_destroy(&c->store);
	pthread_mutex_destroy(&c->work);
	free(c->retirements);
	free(c->config_path);
	free(c->runtime_dir);
	free(c->state_dir);
	free(c->socket_path);
	free(c);
}
