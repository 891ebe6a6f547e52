/* SPDX-License-Identifier: BSD-3-Clause */
#include "compile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "retire.h"

/* One array to be laid into the block. */
struct part {
	const void *data;
	uint32_t count, element_bytes;
};

struct compiler {
	const struct sw_compile_input *in;
	struct sw_slot_cursors *cursors;
	struct sw_report *report;
	struct sw_boot boot;
	struct sw_global global;
	struct sw_link *links;
	struct sw_service *services;
	struct sw_target *targets;
	struct sw_group *groups;
	struct sw_prefix_rule *rules;
	char *strings;
	uint32_t service_count, target_count, rule_count, string_bytes;
};

/* ---- numbers that stay ------------------------------------------------------------------------------------------ */

/* The next number below `max` that is not in use, searched from the cursor on: what was given up longest ago comes
 * last. */
static uint32_t next_free(uint8_t *used, uint32_t max, uint32_t *cursor)
{
	for (uint32_t i = 0; i < max; i++) {
		const uint32_t slot = (*cursor + i) % max;
		if (used[slot])
			continue;
		used[slot] = 1;
		*cursor = (slot + 1) % max;
		return slot;
	}
	return SW_NONE;
}

/* Services and groups begin with the same two words: name and slot. */
struct named {
	uint32_t name, slot;
};
_Static_assert(offsetof(struct sw_service, name) == 0 && offsetof(struct sw_service, slot) == 4, "named");
_Static_assert(offsetof(struct sw_group, name) == 0 && offsetof(struct sw_group, slot) == 4, "named");

static uint32_t running_slot(const struct sw_running_services *running, const char *name)
{
	for (uint32_t i = 0; running && i < running->count; i++)
		if (strcmp(running->services[i].name, name) == 0)
			return i;
	return SW_NONE;
}

static uint32_t previous_slot(const struct sw_compile_input *in, enum sw_section_id id, const char *name)
{
	const struct sw_snapshot_header *previous = in->previous;
	uint32_t count;
	if (!previous)
		return id == SW_SECTION_SERVICES ? running_slot(in->running, name) : SW_NONE;
	const char *array = sw_snapshot_array(previous, id, &count);
	for (uint32_t i = 0; i < count; i++) {
		const struct named *n = (const struct named *)(array + (size_t)i * previous->sections[id].element_bytes);
		if (strcmp(sw_snapshot_text(previous, n->name), name) == 0)
			return n->slot;
	}
	return SW_NONE;
}

static int give_slots(struct compiler *c, enum sw_section_id id, void *array, uint32_t count, size_t bytes,
    uint32_t max, uint32_t *cursor)
{
	uint8_t *used = calloc(max, 1);
	if (!used)
		return -ENOMEM;
	for (int pass = 0; pass < 2; pass++) {
		for (uint32_t i = 0; i < count; i++) {
			struct named *n = (struct named *)((char *)array + i * bytes);
			if (pass == 1 && n->slot == SW_NONE)
				n->slot = next_free(used, max, cursor);
			if (pass == 1)
				continue;
			const uint32_t slot = previous_slot(c->in, id, c->strings + n->name);
			if (slot < max && !used[slot]) {
				n->slot = slot;
				used[slot] = 1;
			}
		}
	}
	free(used);
	return 0;
}

static int compare_rules(const void *a, const void *b)
{
	const struct sw_prefix_rule *x = a, *y = b;
	const int address = memcmp(x->prefix.address.bytes, y->prefix.address.bytes, 16);
	if (address)
		return address;
	if (x->prefix.length != y->prefix.length)
		return x->prefix.length < y->prefix.length ? -1 : 1;
	return (x->kind > y->kind) - (x->kind < y->kind);
}

/* Both arrays are sorted alike: one pass through the two finds what both hold. */
static void keep_entries(struct compiler *c, uint8_t *used, uint32_t max)
{
	uint32_t count, j = 0;
	const struct sw_prefix_rule *old = sw_snapshot_array(c->in->previous, SW_SECTION_PREFIXES, &count);
	for (uint32_t i = 0; i < c->rule_count; i++) {
		struct sw_prefix_rule *rule = &c->rules[i];
		while (j < count && compare_rules(&old[j], rule) < 0)
			j++;
		if (rule->kind == SW_RULE_GROUP || j == count || compare_rules(&old[j], rule) != 0)
			continue;
		if (old[j].target < max && !used[old[j].target]) {
			rule->target = old[j].target;
			used[rule->target] = 1;
		}
	}
}

static int give_entries(struct compiler *c)
{
	const uint32_t max = c->boot.entries_max;
	uint32_t needed = 0;
	for (uint32_t i = 0; i < c->rule_count; i++)
		needed += c->rules[i].kind != SW_RULE_GROUP;
	if (needed > max) {
		sw_report_error(c->report, "boot.entries",
		    "raise it (this needs a restart of the dataplane), or shorten the lists",
		    "%u entries of allow, deny and blocks, and room for %u", needed, max);
		return -ENOSPC;
	}
	uint8_t *used = calloc(max, 1);
	if (!used)
		return -ENOMEM;
	if (c->in->previous)
		keep_entries(c, used, max);
	for (uint32_t i = 0; i < c->rule_count; i++)
		if (c->rules[i].kind != SW_RULE_GROUP && c->rules[i].target == SW_NONE)
			c->rules[i].target = next_free(used, max, &c->cursors->entries);
	free(used);
	return 0;
}

/* ---- sections --------------------------------------------------------------------------------------------------- */

static uint32_t put_string(struct compiler *c, const char *text)
{
	const uint32_t at = c->string_bytes;
	const size_t bytes = strlen(text) + 1;
	memcpy(c->strings + at, text, bytes);
	c->string_bytes += (uint32_t)bytes;
	return at;
}

static struct sw_limits limits(const struct sw_spec_limits *from)
{
	return (struct sw_limits){.syn_per_s = from->syn_per_s,
	    .syn_burst = from->syn_burst,
	    .conn_per_s = from->conn_per_s,
	    .conn_burst = from->conn_burst,
	    .concurrent = from->concurrent};
}

static void put_boot(struct compiler *c)
{
	const struct sw_spec_boot *from = &c->in->spec->boot;
	const uint32_t *cores = from->cores.items;
	struct sw_boot *to = &c->boot;
	memcpy(to->instance, from->instance, strlen(from->instance) + 1);
	to->workers = from->workers;
	for (uint32_t i = 0; i < from->workers; i++) {
		const uint32_t n = c->in->cpu_count;
		/* The last `workers` CPUs; where there are fewer, they share. */
		const uint32_t first = n > from->workers ? n - from->workers : 0;
		to->cores[i] = from->cores.count ? cores[i % from->cores.count] : n ? c->in->cpus[(first + i) % n] : 0;
	}
	to->housekeeping_core = from->housekeeping_core;
	to->hugepages = (uint8_t)from->hugepages;
	to->steer = (uint8_t)from->steer;
	to->fail_mode = (uint8_t)from->fail_mode;
	to->heartbeat_timeout_ms = from->heartbeat_timeout_ms;
	to->idle_sleep_us = from->idle_sleep_us;
	to->mbufs = from->mbufs;
	to->rx_descriptors = from->rx_descriptors;
	to->tx_descriptors = from->tx_descriptors;
	to->flows = from->flows;
	to->source_records = from->source_records;
	to->limiter_entries = from->limiter_entries;
	to->held_pkts = from->held_pkts;
	to->services_max = from->services_max;
	to->groups_max = from->groups_max;
	to->entries_max = from->entries_max;
	const struct sw_spec_link *links = from->links.items;
	for (uint32_t i = 0; i < from->links.count; i++) {
		const struct sw_spec_device *ends[SW_SIDES] = {
		    [SW_OUTSIDE] = &links[i].outside, [SW_INSIDE] = &links[i].inside};
		for (int side = 0; side < SW_SIDES; side++) {
			c->links[i].ends[side].kind = (uint8_t)ends[side]->kind;
			memcpy(c->links[i].ends[side].device, ends[side]->name, strlen(ends[side]->name) + 1);
		}
	}
}

static void put_global(struct compiler *c)
{
	const struct sw_spec_global *from = &c->in->spec->global;
	const struct sw_spec_level *levels = from->prefix_levels.items;
	c->global = (struct sw_global){
	    .levels = {{.ipv4_length = 32, .ipv6_length = 128}},
	    .level_count = (uint8_t)(1 + from->prefix_levels.count),
	    .fragments = (uint8_t)from->fragments,
	    .answers_per_source_per_s = from->answers_per_source_per_s,
	    .answers_per_source_burst = from->answers_per_source_burst,
	    .answers_per_prefix_per_s = from->answers_per_prefix_per_s,
	    .answers_per_prefix_burst = from->answers_per_prefix_burst,
	    .rst_per_s = from->rst_per_s,
	    .adopt_s = from->adopt_s,
	    .adopt_per_s = from->adopt_per_s,
	    .held_pkts_per_flow = from->held_pkts_per_flow,
	    .held_bytes_per_flow = from->held_bytes_per_flow,
	    .server_syn_retries = from->server_syn_retries,
	    .idle_established_s = from->idle_established_s,
	    .idle_embryonic_s = from->idle_embryonic_s,
	    .idle_closing_s = from->idle_closing_s,
	    .evidence_after_syns = from->evidence_after_syns,
	};
	for (uint32_t i = 0; i < from->prefix_levels.count; i++) {
		c->global.levels[i + 1].ipv4_length = (uint8_t)levels[i].ipv4_length;
		c->global.levels[i + 1].ipv6_length = (uint8_t)levels[i].ipv6_length;
	}
}

static void put_service(struct compiler *c, uint32_t index, const struct sw_spec_service *from)
{
	struct sw_service *to = &c->services[index];
	const struct sw_spec_target *targets = from->targets.items;
	const struct sw_spec_limits *prefixes = from->limits.prefixes.items;
	*to = (struct sw_service){
	    .name = put_string(c, from->name),
	    .slot = SW_NONE,
	    .mode = (uint8_t)from->mode,
	    .refusal = (uint8_t)from->refuse,
	    .tcp_auth = (uint8_t)from->tcp_auth,
	    .start_syn_per_s = from->start_syn_per_s,
	    .stop_syn_per_s = from->stop_syn_per_s,
	    .hold_ms = from->hold_s * 1000,
	    .block_after = from->block.after,
	    .block_s = from->block.seconds,
	    .backend = {.mss_ipv4 = from->backend.mss_ipv4,
	        .mss_ipv6 = from->backend.mss_ipv6,
	        .window_scale = (int16_t)from->backend.window_scale,
	        .sack = (int16_t)from->backend.sack,
	        .timestamps = (int16_t)from->backend.timestamps,
	        .ecn = (int16_t)from->backend.ecn},
	    .limits = {limits(&from->limits.source)},
	    .total = limits(&from->limits.total),
	};
	for (uint32_t i = 0; i < from->limits.prefixes.count; i++)
		to->limits[i + 1] = limits(&prefixes[i]);
	for (uint32_t i = 0; i < from->targets.count; i++)
		c->targets[c->target_count++] = (struct sw_target){.server = targets[i].server,
		    .port_first = targets[i].port_first,
		    .port_last = targets[i].port_last,
		    .service = index};
}

static void put_rule(
    struct compiler *c, const struct sw_prefix *prefix, enum sw_rule_kind kind, uint32_t target, uint64_t until)
{
	c->rules[c->rule_count++] =
	    (struct sw_prefix_rule){.prefix = *prefix, .kind = (uint8_t)kind, .target = target, .until_unix_ns = until};
}

static void put_rules(struct compiler *c)
{
	const struct sw_spec *spec = c->in->spec;
	const struct sw_spec_prefix *allow = spec->allow.items, *deny = spec->deny.items;
	const struct sw_spec_group *groups = spec->groups.items;
	for (uint32_t i = 0; i < spec->allow.count; i++)
		put_rule(c, &allow[i].prefix, SW_RULE_ALLOW, SW_NONE, 0);
	for (uint32_t i = 0; i < spec->deny.count; i++)
		put_rule(c, &deny[i].prefix, SW_RULE_DENY, SW_NONE, 0);
	for (uint32_t i = 0; i < c->in->block_count; i++)
		put_rule(c, &c->in->blocks[i].prefix, SW_RULE_BLOCK, SW_NONE, c->in->blocks[i].until_unix_ns);
	for (uint32_t i = 0; i < spec->groups.count; i++) {
		const struct sw_spec_prefix *members = groups[i].prefixes.items;
		for (uint32_t j = 0; j < groups[i].prefixes.count; j++)
			put_rule(c, &members[j].prefix, SW_RULE_GROUP, i, 0);
	}
	if (c->rule_count)
		qsort(c->rules, c->rule_count, sizeof(*c->rules), compare_rules);
	uint32_t kept = 0; /* the same prefix twice in a list is one entry; check.c has warned */
	for (uint32_t i = 0; i < c->rule_count; i++)
		if (!kept || compare_rules(&c->rules[kept - 1], &c->rules[i]) != 0)
			c->rules[kept++] = c->rules[i];
	c->rule_count = kept;
}

static int allocate(struct compiler *c)
{
	const struct sw_spec *spec = c->in->spec;
	const struct sw_spec_service *services = spec->services.items;
	const struct sw_spec_group *groups = spec->groups.items;
	size_t targets = 0, strings = 8, rules = (size_t)spec->allow.count + spec->deny.count + c->in->block_count;
	for (uint32_t i = 0; i < spec->services.count; i++) {
		targets += services[i].targets.count;
		strings += strlen(services[i].name) + 1;
	}
	for (uint32_t i = 0; i < spec->groups.count; i++) {
		rules += groups[i].prefixes.count;
		strings += strlen(groups[i].name) + 1;
	}
	c->links = calloc(spec->boot.links.count + 1, sizeof(*c->links));
	c->services = calloc(spec->services.count + 1, sizeof(*c->services)); /* these three grow by what retires */
	c->targets = calloc(targets + 1, sizeof(*c->targets));
	c->groups = calloc(spec->groups.count + 1, sizeof(*c->groups));
	c->rules = calloc(rules + 1, sizeof(*c->rules));
	c->strings = calloc(strings, 1);
	c->string_bytes = 1; /* offset 0 holds the empty string */
	return c->links && c->services && c->targets && c->groups && c->rules && c->strings ? 0 : -ENOMEM;
}

/* Makes room for what retires behind what is configured. */
static int grow(struct compiler *c, const struct sw_retired *retired)
{
	struct sw_service *services =
	    realloc(c->services, (c->service_count + retired->service_count + 1) * sizeof(*services));
	if (services)
		c->services = services;
	struct sw_target *targets = realloc(c->targets, (c->target_count + retired->target_count + 1) * sizeof(*targets));
	if (targets)
		c->targets = targets;
	char *strings = realloc(c->strings, c->string_bytes + (size_t)(retired->service_count + 1) * SW_NAME_BYTES);
	if (strings)
		c->strings = strings;
	return services && targets && strings ? 0 : -ENOMEM;
}

static void put_retired_service(struct compiler *c, const char *name)
{
	const struct sw_backend learn = {.mss_ipv4 = SW_BACKEND_LEARN,
	    .mss_ipv6 = SW_BACKEND_LEARN,
	    .window_scale = SW_BACKEND_LEARN,
	    .sack = SW_BACKEND_LEARN,
	    .timestamps = SW_BACKEND_LEARN,
	    .ecn = SW_BACKEND_LEARN};
	c->services[c->service_count++] = (struct sw_service){
	    .name = put_string(c, name), .slot = SW_NONE, .mode = SW_MODE_OFF, .retired = 1, .backend = learn};
}

static void warn_of_loss(struct compiler *c, const char *name)
{
	sw_report_warn(c->report, "services", "raise boot.services (this needs a restart of the dataplane)",
	    "no slot is left for the retired service %s: the connections that it still has through the box break", name);
}

/* A configured service that finds no slot takes that of a retired one, the last first. */
static void take_slots_of_retired(struct compiler *c, uint32_t configured)
{
	uint32_t last = c->service_count;
	for (uint32_t i = 0; i < configured; i++) {
		while (c->services[i].slot == SW_NONE && last > configured) {
			c->services[i].slot = c->services[--last].slot;
			c->services[last].slot = SW_NONE;
		}
	}
}

/* Those with a slot, with their targets; the others are gone. */
static void put_retired_targets(struct compiler *c, uint32_t configured, const struct sw_retired *retired)
{
	uint32_t kept = configured;
	for (uint32_t i = 0; i < retired->service_count; i++) {
		const struct sw_service service = c->services[configured + i];
		if (service.slot == SW_NONE) {
			warn_of_loss(c, retired->names[i]);
			continue;
		}
		for (uint32_t k = 0; k < retired->target_count; k++) {
			if (retired->targets[k].service != i)
				continue;
			c->targets[c->target_count] = retired->targets[k];
			c->targets[c->target_count++].service = kept;
		}
		c->services[kept++] = service;
	}
	c->service_count = kept;
}

static int put_services_with_slots(struct compiler *c)
{
	const struct sw_spec *spec = c->in->spec;
	const uint32_t configured = spec->services.count;
	const struct sw_spec_service *services = spec->services.items;
	struct sw_retired retired = {0};
	for (uint32_t i = 0; i < configured; i++)
		put_service(c, i, &services[i]);
	c->service_count = configured;
	int result = c->in->previous && c->in->keep ? sw_retire(c->in, c->targets, c->target_count, &retired) : 0;
	if (!result)
		result = grow(c, &retired);
	for (uint32_t i = 0; !result && i < retired.service_count; i++)
		put_retired_service(c, retired.names[i]);
	if (!result)
		result = give_slots(c, SW_SECTION_SERVICES, c->services, c->service_count, sizeof(*c->services),
		    c->boot.services_max, &c->cursors->services);
	if (!result) {
		take_slots_of_retired(c, configured);
		put_retired_targets(c, configured, &retired);
		if (retired.left_out)
			sw_report_warn(c->report, "services", NULL,
			    "no room for %u retired targets: connections to them through the box break", retired.left_out);
	}
	sw_retired_free(&retired);
	return result;
}

static int fill(struct compiler *c)
{
	const struct sw_spec *spec = c->in->spec;
	const struct sw_spec_group *groups = spec->groups.items;
	put_boot(c);
	put_global(c);
	for (uint32_t i = 0; i < spec->groups.count; i++)
		c->groups[i] = (struct sw_group){
		    .name = put_string(c, groups[i].name), .slot = SW_NONE, .limits = limits(&groups[i].limits)};
	put_rules(c);
	int result = put_services_with_slots(c);
	if (!result)
		result = give_slots(c, SW_SECTION_GROUPS, c->groups, spec->groups.count, sizeof(*c->groups), c->boot.groups_max,
		    &c->cursors->groups);
	return result ? result : give_entries(c);
}

static struct sw_snapshot_header *lay_out(const struct compiler *c)
{
	const struct sw_spec *spec = c->in->spec;
	const struct part parts[SW_SECTION_COUNT] = {
	    [SW_SECTION_BOOT] = {&c->boot, 1, sizeof(c->boot)},
	    [SW_SECTION_LINKS] = {c->links, spec->boot.links.count, sizeof(*c->links)},
	    [SW_SECTION_GLOBAL] = {&c->global, 1, sizeof(c->global)},
	    [SW_SECTION_SERVICES] = {c->services, c->service_count, sizeof(*c->services)},
	    [SW_SECTION_TARGETS] = {c->targets, c->target_count, sizeof(*c->targets)},
	    [SW_SECTION_GROUPS] = {c->groups, spec->groups.count, sizeof(*c->groups)},
	    [SW_SECTION_PREFIXES] = {c->rules, c->rule_count, sizeof(*c->rules)},
	    [SW_SECTION_STRINGS] = {c->strings, c->string_bytes, 1},
	};
	uint64_t total = sizeof(struct sw_snapshot_header);
	struct sw_section sections[SW_SECTION_COUNT];
	for (int i = 0; i < SW_SECTION_COUNT; i++) {
		total = (total + 7) & ~7ull;
		sections[i] =
		    (struct sw_section){.offset = total, .count = parts[i].count, .element_bytes = parts[i].element_bytes};
		total += (uint64_t)parts[i].count * parts[i].element_bytes;
	}
	struct sw_snapshot_header *s = calloc(1, total);
	if (!s)
		return NULL;
	*s = (struct sw_snapshot_header){.magic = SW_SNAPSHOT_MAGIC,
	    .version = SW_SNAPSHOT_VERSION,
	    .header_bytes = sizeof(*s),
	    .total_bytes = total,
	    .generation = c->in->generation,
	    .created_unix_ns = c->in->now_unix_ns};
	memcpy(s->sections, sections, sizeof(sections));
	for (int i = 0; i < SW_SECTION_COUNT; i++)
		memcpy((char *)s + sections[i].offset, parts[i].data, (size_t)parts[i].count * parts[i].element_bytes);
	s->checksum = sw_snapshot_checksum(s + 1, total - sizeof(*s));
	return s;
}

int sw_compile(const struct sw_compile_input *input, struct sw_slot_cursors *cursors, struct sw_report *report,
    struct sw_snapshot_header **out)
{
	struct compiler c = {.in = input, .cursors = cursors, .report = report};
	int result = allocate(&c);
	if (!result)
		result = fill(&c);
	if (!result) {
		*out = lay_out(&c);
		result = *out ? 0 : -ENOMEM;
	}
	free(c.links);
	free(c.services);
	free(c.targets);
	free(c.groups);
	free(c.rules);
	free(c.strings);
	return result;
}
