/* SPDX-License-Identifier: BSD-3-Clause */
/* The rules of steering.h in the NICs: asked for, installed, exchanged with the policy, taken out. */
#include "port.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>

#include "core/snapshot_check.h"
#include "log.h"
#include "steering.h"

enum { WHY_BYTES = 128 };

struct installed {
	struct sw_steering_rule rule;
	struct rte_flow *handle;
};

/* Of one port. Written by whoever runs sw_ports_steer(), read by housekeeping when that has ended. */
struct sw_steered {
	uint16_t port;
	struct sw_steering_action action;
	unsigned int count;
	struct installed installed[SW_STEERING_RULES_MAX]; /* in no order */
	/* What the last change came to. */
	unsigned int changes, refused;
	bool news;           /* worth a line */
	char why[WHY_BYTES]; /* the first refusal */
};

static void keep_reason(int result, const struct rte_flow_error *error, char *why)
{
	snprintf(why, WHY_BYTES, "%s", error->message ? error->message : rte_strerror(-result));
}

/* ---- one port ---------------------------------------------------------------------------------------------------- */

static int probe(uint16_t port, const struct sw_steering_action *action, char *why)
{
	struct sw_steering_rule rules[SW_STEERING_PROBES];
	struct sw_steering_pattern pattern;
	sw_steering_probe_rules(rules);
	for (unsigned int i = 0; i < SW_STEERING_PROBES; i++) {
		struct rte_flow_error error = {.message = NULL};
		sw_steering_pattern_make(&rules[i], &pattern);
		const int result = rte_flow_validate(port, &pattern.attr, pattern.items, action->actions, &error);
		if (result) {
			keep_reason(result, &error, why);
			return result;
		}
	}
	return 0;
}

int sw_steered_open(uint16_t port, unsigned int workers, const struct sw_rss_ability *ability, uint64_t types,
	const uint8_t *key, struct sw_steered **out, char *error, size_t error_bytes)
{
	struct sw_steered *s = calloc(1, sizeof(*s));
	*out = NULL;
	if (!s) {
		snprintf(error, error_bytes, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	s->port = port;
	sw_steering_action_make(workers, ability, types, key, &s->action);
	const int result = probe(port, &s->action, s->why);
	if (result) {
		snprintf(error, error_bytes, "its driver takes no rules for them: %s", s->why);
		free(s);
		return result;
	}
	*out = s;
	return 0;
}

static bool remove_rule(struct sw_steered *s, unsigned int at)
{
	struct rte_flow_error error = {.message = NULL};
	if (rte_flow_destroy(s->port, s->installed[at].handle, &error))
		return false; /* it stays, does no harm, and is tried again with the next policy */
	s->installed[at] = s->installed[--s->count];
	s->changes++;
	return true;
}

static void add_rule(struct sw_steered *s, const struct sw_steering_rule *rule)
{
	struct rte_flow_error error = {.message = NULL};
	struct sw_steering_pattern pattern;
	struct rte_flow *handle = NULL;
	int result = -ENOSPC;
	sw_steering_pattern_make(rule, &pattern);
	if (s->count < SW_STEERING_RULES_MAX) {
		result = rte_flow_validate(s->port, &pattern.attr, pattern.items, s->action.actions, &error);
		if (result == 0)
			handle = rte_flow_create(s->port, &pattern.attr, pattern.items, s->action.actions, &error);
		if (result == 0 && !handle)
			result = rte_errno ? -rte_errno : -EIO;
	}
	if (handle) {
		s->installed[s->count++] = (struct installed){.rule = *rule, .handle = handle};
		s->changes++;
	} else if (s->refused++ == 0) {
		keep_reason(result, &error, s->why);
	}
}

/* Old ones go first, which makes room; what both policies have stays as it is. */
static void steer_port(struct sw_steered *s, const struct sw_steering_rules *rules)
{
	bool have[SW_STEERING_RULES_MAX] = {false};
	const unsigned int refused_before = s->refused;
	s->changes = s->refused = 0;
	for (unsigned int i = 0; i < s->count;) {
		const struct sw_steering_rule *same = bsearch(&s->installed[i].rule, rules->rules, rules->count,
			sizeof(rules->rules[0]), sw_steering_compare);
		if (same)
			have[same - rules->rules] = true;
		if (same || !remove_rule(s, i))
			i++;
	}
	for (unsigned int i = 0; i < rules->count; i++)
		if (!have[i])
			add_rule(s, &rules->rules[i]);
	s->news = s->changes || s->refused != refused_before;
}

void sw_steered_close(struct sw_steered *s)
{
	if (!s)
		return;
	while (s->count && remove_rule(s, s->count - 1))
		;
	free(s);
}

/* ---- all ports --------------------------------------------------------------------------------------------------- */

static void name_first_left_out(struct sw_ports *ports, const void *snapshot, const struct sw_steering_rules *rules)
{
	const struct sw_service *services = sw_snapshot_services(snapshot, NULL);
	ports->unsteered_news = rules->left_out != ports->unsteered_services;
	ports->unsteered_services = rules->left_out;
	if (rules->left_out)
		snprintf(ports->unsteered_name, sizeof(ports->unsteered_name), "%s",
			sw_snapshot_string(snapshot, services[rules->first_left_out].name));
}

void sw_ports_steer(struct sw_ports *ports, const void *snapshot)
{
	struct sw_steering_rules rules;
	uint32_t count;
	if (!ports->steers)
		return;
	const struct sw_target *targets = sw_snapshot_targets(snapshot, &count);
	sw_steering_rules_make(targets, count, &rules);
	name_first_left_out(ports, snapshot, &rules);
	for (unsigned int end = 0; end < ports->end_count; end++)
		if (ports->ends[end].steered)
			steer_port(ports->ends[end].steered, &rules);
}

void sw_ports_say_steering(const struct sw_ports *ports)
{
	for (unsigned int end = 0; end < ports->end_count; end++) {
		const struct sw_steered *s = ports->ends[end].steered;
		if (!s || !s->news)
			continue;
		if (s->refused)
			sw_log(SW_LOG_WARNING, "device %s: %u rules steer SYNs, %u more were refused (%s): theirs share the other "
				"packets' queues", ports->ends[end].device, s->count, s->refused, s->why);
		else
			sw_log(SW_LOG_NOTICE, "device %s: %u rules steer SYNs", ports->ends[end].device, s->count);
	}
	if (ports->unsteered_news && ports->unsteered_services)
		sw_log(SW_LOG_WARNING, "services that need too many rules to steer their SYNs: %u, %s first; theirs share the "
			"other packets' queues", ports->unsteered_services, ports->unsteered_name);
}
