/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How long services that were taken out of the configuration stay (policy/retire.h): until the dataplane shows no more
 * connections of theirs, and a bound at last. The clocks are the daemon's own: a restart carries the services over in
 * policy.snapshot, and begins their bound again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "control_internal.h"
#include "policy/retire.h"

#define SECOND_NS 1000000000ull

enum {
	RETIRED_MAX_S = 2 * 3600,
	RETIRED_UNSEEN_S = 300, /* the dataplane is away: one that comes back in this time may be the same */
};

static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

static bool is_in_use(const struct sw_running_service *service)
{
	return service->concurrent || service->armed;
}

/* Flows count for the service that opened them, and so those towards lost targets count for the one that lost them. */
static bool has_connections(const struct sw_running_services *running, uint32_t slot, const char *name)
{
	char removed[SW_NAME_BYTES];
	const size_t length = strlen(name), suffix = sizeof(SW_REMOVED_SUFFIX) - 1;
	if (slot < running->count && strcmp(running->services[slot].name, name) == 0 &&
	    is_in_use(&running->services[slot]))
		return true;
	if (length < suffix || strcmp(name + length - suffix, SW_REMOVED_SUFFIX) != 0)
		return false;
	for (uint32_t i = 0; i < running->count; i++) {
		sw_removed_name(running->services[i].name, removed);
		if (running->services[i].concurrent && strcmp(removed, name) == 0)
			return true;
	}
	return false;
}

uint8_t *sw_retired_judge(
    struct sw_control *c, const struct sw_snapshot_header *previous, const struct sw_running_services *running)
{
	uint32_t count;
	const struct sw_service *services = sw_snapshot_array(previous, SW_SECTION_SERVICES, &count);
	const struct sw_global *global = sw_snapshot_array(previous, SW_SECTION_GLOBAL, NULL);
	uint8_t *keep = calloc(SW_SERVICES_MAX, 1);
	const bool is_live = running && running->is_live;
	const uint64_t now = now_ns();
	/* What has closed is translated for a little longer: the last ACKs are under way. */
	const uint64_t grace = SECOND_NS * (is_live ? global->idle_closing_s : RETIRED_UNSEEN_S);
	for (uint32_t i = 0; keep && i < count; i++) {
		const uint32_t slot = services[i].slot;
		if (slot >= SW_SERVICES_MAX)
			continue;
		struct retirement *r = &c->retirements[slot];
		const bool alive = !is_live || has_connections(running, slot, sw_snapshot_text(previous, services[i].name));
		if (!services[i].retired)
			*r = (struct retirement){0};
		if (!r->since_ns) { /* retires now, or did before this daemon began */
			keep[slot] = alive;
			continue;
		}
		if (is_live && alive)
			r->alive_ns = now;
		keep[slot] = now - r->alive_ns < grace && now - r->since_ns < RETIRED_MAX_S * SECOND_NS;
	}
	return keep;
}

static uint32_t targets_of(const struct sw_snapshot_header *snapshot, uint32_t service)
{
	uint32_t count, found = 0;
	const struct sw_target *targets = sw_snapshot_array(snapshot, SW_SECTION_TARGETS, &count);
	for (uint32_t i = 0; i < count; i++)
		found += targets[i].service == service;
	return found;
}

/* How many targets of this slot were retired already. */
static uint32_t retired_before(const struct sw_snapshot_header *previous, uint32_t slot)
{
	uint32_t count;
	const struct sw_service *services = sw_snapshot_array(previous, SW_SECTION_SERVICES, &count);
	while (count && services[--count].retired)
		if (services[count].slot == slot)
			return targets_of(previous, count);
	return 0;
}

void sw_retired_note(
    struct sw_control *c, const struct sw_snapshot_header *previous, const struct sw_snapshot_header *snapshot)
{
	uint32_t count;
	const struct sw_service *services = sw_snapshot_array(snapshot, SW_SECTION_SERVICES, &count);
	const uint64_t now = now_ns();
	while (count && services[--count].retired) {
		const uint32_t before = retired_before(previous, services[count].slot);
		struct retirement *r = &c->retirements[services[count].slot];
		if (r->since_ns && targets_of(snapshot, count) <= before)
			continue;
		*r = (struct retirement){.since_ns = now, .alive_ns = now};
		if (!before)
			sw_log(LOG_NOTICE, "%s is no longer configured: it stays as a retired service while it has connections",
			    sw_snapshot_text(snapshot, services[count].name));
	}
}

bool sw_retired_any(const struct policy *policy)
{
	return policy && sw_policy_retired(&policy->public) != 0;
}

/* Is there one that need not stay? */
static bool any_has_ended(struct sw_control *c, const struct sw_snapshot_header *snapshot)
{
	char region[4096];
	uint32_t count;
	bool ended = false;
	const struct sw_service *services = sw_snapshot_array(snapshot, SW_SECTION_SERVICES, &count);
	snprintf(region, sizeof(region), "%s/%s", c->runtime_dir, SW_REGION_NAME);
	struct sw_running_services *running = sw_running_services(region);
	uint8_t *keep = sw_retired_judge(c, snapshot, running);
	while (keep && count && services[--count].retired)
		ended |= !keep[services[count].slot];
	free(keep);
	free(running);
	return ended;
}

void sw_retired_review(struct sw_control *c)
{
	struct policy *policy;
	struct sw_report *report = calloc(1, sizeof(*report));
	pthread_mutex_lock(&c->work);
	struct policy *current = sw_policy_hold_current(c);
	if (report && any_has_ended(c, current->snapshot) &&
	    sw_control_compile(c, current->spec, &c->blocks, current->snapshot, sw_control_next_generation(c),
	        current->public.is_last_good, report, &policy) == 0) {
		const uint32_t gone = sw_policy_retired(&current->public) - sw_policy_retired(&policy->public);
		policy->public.loaded_unix_ns = current->public.loaded_unix_ns;
		sw_log(LOG_NOTICE, "%u retired services have ended", gone);
		sw_control_put_in_force(c, policy);
	}
	sw_policy_drop(current);
	pthread_mutex_unlock(&c->work);
	free(report);
}
