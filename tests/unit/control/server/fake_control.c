/* SPDX-License-Identifier: BSD-3-Clause */
#include "fake_control.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

struct fake_control fake_control;

static struct sw_spec_target targets[2];
static struct sw_spec_service service = {.name = "tracker"};
static struct sw_spec_group group = {.name = "farm"};
static struct sw_spec_level levels[2] = {{24, 64}, {16, 48}};
static struct sw_prefix_rule rule;

void fake_control_reset(const char *runtime_dir)
{
	memset(&fake_control, 0, sizeof(fake_control));
	sw_target_parse("10.20.0.10:20000", &targets[0]);
	sw_target_parse("[fd00:20::10]:20000", &targets[1]);
	service.targets = (struct sw_spec_list){.items = targets, .count = 2};
	struct sw_spec *spec = &fake_control.spec;
	spec->services = (struct sw_spec_list){.items = &service, .count = 1};
	spec->groups = (struct sw_spec_list){.items = &group, .count = 1};
	spec->global.prefix_levels = (struct sw_spec_list){.items = levels, .count = 2};
	spec->boot.flows = 1000;
	spec->boot.limiter_entries = 1000;
	spec->boot.held_pkts = 100;
	fake_control.policy.spec = spec;
	fake_control.policy.loaded_unix_ns = 1700000000000000000ull;
	fake_control.status.generation_wanted = fake_control.status.generation_in_force = 1;
	fake_control.runtime_dir = runtime_dir;
}

/* Messages of the server: a test that provokes thousands must not show them. */
void sw_log(int priority, const char *format, ...)
{
	(void)priority;
	(void)format;
}

const struct sw_policy *sw_control_policy(struct sw_control *control)
{
	(void)control;
	return &fake_control.policy;
}

void sw_policy_release(const struct sw_policy *policy)
{
	(void)policy;
}

const char *sw_policy_service_name(const struct sw_policy *policy, uint32_t slot)
{
	(void)policy;
	return slot ? NULL : service.name;
}

const struct sw_service *sw_policy_service(const struct sw_policy *policy, uint32_t slot)
{
	static struct sw_service compiled;
	(void)policy;
	compiled.retired = fake_control.is_retired;
	return slot ? NULL : &compiled;
}

const struct sw_target *sw_policy_target(
    const struct sw_policy *policy, const struct sw_service *of, const struct sw_target *after)
{
	static struct sw_target compiled[2];
	const ptrdiff_t next = after ? after - compiled + 1 : 0;
	(void)policy;
	(void)of;
	for (int i = 0; i < 2; i++)
		compiled[i] = (struct sw_target){
		    .server = targets[i].server, .port_first = targets[i].port_first, .port_last = targets[i].port_last};
	return next < 2 ? &compiled[next] : NULL;
}

uint32_t sw_policy_retired(const struct sw_policy *policy)
{
	(void)policy;
	return fake_control.is_retired;
}

const char *sw_policy_group_name(const struct sw_policy *policy, uint32_t slot)
{
	(void)policy;
	return slot ? NULL : group.name;
}

uint32_t sw_policy_service_slot(const struct sw_policy *policy, const char *name)
{
	(void)policy;
	return strcmp(name, service.name) ? SW_NONE : 0;
}

const struct sw_prefix_rule *sw_policy_rule(const struct sw_policy *policy, uint32_t entry)
{
	(void)policy;
	if (entry != 3)
		return NULL;
	sw_prefix_parse("192.0.2.0/24", &rule.prefix);
	rule.kind = SW_RULE_DENY;
	rule.target = entry;
	return &rule;
}

json_t *sw_policy_json(const struct sw_policy *policy)
{
	(void)policy;
	return json_pack("{s:[{s:s}]}", "services", "name", service.name);
}

void sw_control_status(struct sw_control *control, struct sw_control_status *out)
{
	(void)control;
	*out = fake_control.status;
}

const char *sw_control_runtime_dir(const struct sw_control *control)
{
	(void)control;
	return fake_control.runtime_dir;
}

const char *sw_control_config_path(const struct sw_control *control)
{
	(void)control;
	return "/etc/seawall/seawall.json";
}

json_t *sw_control_last_error(struct sw_control *control)
{
	(void)control;
	return json_array();
}

int sw_control_reload(struct sw_control *control, json_t **report)
{
	(void)control;
	fake_control.reloads++;
	*report = json_pack(
	    "{s:b, s:i, s:[], s:[]}", "ok", fake_control.reload_result == 0, "generation", 2, "errors", "warnings");
	return fake_control.reload_result;
}

int sw_control_check_text(struct sw_control *control, const char *text, size_t bytes, json_t **report)
{
	(void)control;
	snprintf(fake_control.checked, sizeof(fake_control.checked), "%.*s", (int)(bytes < 250 ? bytes : 250), text);
	json_t *json = json_loadb(text, bytes, 0, NULL);
	*report = json_pack("{s:b, s:[], s:[]}", "ok", json != NULL, "errors", "warnings");
	json_decref(json);
	return json ? 0 : -EINVAL;
}

int sw_control_block_add(struct sw_control *control, const struct sw_prefix *prefix, uint32_t seconds,
    const char *reason, char *error, size_t error_bytes)
{
	(void)control;
	if (fake_control.block_result) {
		snprintf(error, error_bytes, "made to fail");
		return fake_control.block_result;
	}
	if (fake_control.block_count == 4)
		return snprintf(error, error_bytes, "full"), -ENOSPC;
	struct sw_block *b = &fake_control.blocks[fake_control.block_count++];
	memset(b, 0, sizeof(*b));
	b->prefix = *prefix;
	b->since_unix_ns = 1700000000000000000ull;
	b->until_unix_ns = seconds ? b->since_unix_ns + seconds * 1000000000ull : 0;
	b->entry = fake_control.block_count - 1;
	snprintf(b->reason, sizeof(b->reason), "%s", reason ? reason : "");
	snprintf(fake_control.last_reason, sizeof(fake_control.last_reason), "%s", b->reason);
	fake_control.last_seconds = seconds;
	return 0;
}

int sw_control_block_remove(
    struct sw_control *control, const struct sw_prefix *prefix, uint32_t *lifted, char *error, size_t error_bytes)
{
	(void)control;
	for (uint32_t i = 0; i < fake_control.block_count; i++)
		if (!memcmp(&fake_control.blocks[i].prefix, prefix, sizeof(*prefix))) {
			fake_control.blocks[i] = fake_control.blocks[--fake_control.block_count];
			*lifted = 1;
			return 0;
		}
	snprintf(error, error_bytes, "no such block");
	return -ENOENT;
}

int sw_control_block_list(struct sw_control *control, struct sw_block **out)
{
	(void)control;
	*out = NULL;
	if (!fake_control.block_count)
		return 0;
	*out = malloc(sizeof(fake_control.blocks));
	if (!*out)
		return -ENOMEM;
	memcpy(*out, fake_control.blocks, sizeof(fake_control.blocks));
	return (int)fake_control.block_count;
}

int sw_control_explain(struct sw_control *control, const struct sw_address *address, uint32_t service_slot,
    struct sw_explain *out, char *error, size_t error_bytes)
{
	(void)control;
	(void)address;
	(void)service_slot;
	*out = fake_control.explain;
	if (fake_control.explain_result)
		snprintf(error, error_bytes, "the dataplane is away");
	return fake_control.explain_result;
}
