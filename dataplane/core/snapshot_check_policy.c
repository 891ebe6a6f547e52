/* SPDX-License-Identifier: BSD-3-Clause */
#include "snapshot_check_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- names, prefixes, limits ------------------------------------------------------------------------------------- */

static int refuse_field(
    const struct snapshot_check *c, struct snapshot_place at, const char *field, int64_t value, const char *expected)
{
	return sw_snapshot_refuse(
	    c, "%s[%u].%s is %lld, expected %s", at.section, at.index, field, (long long)value, expected);
}

static int check_name(const struct snapshot_check *c, struct snapshot_place at, uint32_t offset)
{
	if (offset >= c->string_bytes)
		return sw_snapshot_refuse(
		    c, "%s[%u].name is %u, expected an offset below %u", at.section, at.index, offset, c->string_bytes);
	const uint32_t left = c->string_bytes - offset;
	if (sw_snapshot_name_length(c->strings + offset, left < SW_NAME_BYTES ? left : SW_NAME_BYTES) < 0)
		return sw_snapshot_refuse(c, "%s[%u].name: expected 1 to %d bytes and no control characters", at.section,
		    at.index, SW_NAME_BYTES - 1);
	return 0;
}

static int check_prefix(
    const struct snapshot_check *c, struct snapshot_place at, const char *field, const struct sw_prefix *prefix)
{
	if (prefix->length > 128)
		return sw_snapshot_refuse(
		    c, "%s[%u].%s.length is %u, expected 0 to 128", at.section, at.index, field, prefix->length);
	const struct sw_address masked = sw_address_mask(prefix->address, prefix->length);
	if (!sw_address_equal(&masked, &prefix->address))
		return sw_snapshot_refuse(
		    c, "%s[%u].%s.address has bits behind length %u", at.section, at.index, field, prefix->length);
	return 0;
}

static int check_limits(
    const struct snapshot_check *c, struct snapshot_place at, const char *field, const struct sw_limits *limits)
{
	const int error = sw_snapshot_check_rate(c, at, field, limits->syn_per_s, limits->syn_burst);
	return error ? error : sw_snapshot_check_rate(c, at, field, limits->conn_per_s, limits->conn_burst);
}

/* ---- services and groups ---------------------------------------------------------------------------------------- */

static int check_backend(const struct snapshot_check *c, struct snapshot_place at, const struct sw_backend *b)
{
	const struct {
		const char *field;
		int32_t value, high;
	} numbers[] = {
	    {"backend.sack", b->sack, 1},
	    {"backend.timestamps", b->timestamps, 1},
	    {"backend.ecn", b->ecn, 1},
	};
	const int32_t mss[] = {b->mss_ipv4, b->mss_ipv6};
	int error = 0;
	for (int i = 0; i < 2 && !error; i++)
		if (mss[i] != SW_BACKEND_LEARN)
			error = sw_snapshot_in_range(c, at, i ? "backend.mss_ipv6" : "backend.mss_ipv4", mss[i], 48, 65535);
	if (!error)
		error = sw_snapshot_in_range(
		    c, at, "backend.window_scale", b->window_scale, SW_BACKEND_OFF, 14); /* RFC 7323, 2.3 */
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]) && !error; i++)
		error = sw_snapshot_in_range(c, at, numbers[i].field, numbers[i].value, SW_BACKEND_LEARN, numbers[i].high);
	return error;
}

static int check_service_limits(const struct snapshot_check *c, struct snapshot_place at, const struct sw_service *s)
{
	static const struct sw_limits none;
	const uint32_t levels = sw_snapshot_global(c->header)->level_count;
	for (uint32_t i = 0; i < SW_PREFIX_LEVELS; i++) {
		char field[16];
		snprintf(field, sizeof(field), "limits[%u]", i);
		if (check_limits(c, at, field, &s->limits[i]))
			return -EINVAL;
		if (i >= levels && memcmp(&s->limits[i], &none, sizeof(none)) != 0)
			return sw_snapshot_refuse(
			    c, "%s[%u].%s is set, but there are only %u prefix levels", at.section, at.index, field, levels);
	}
	return check_limits(c, at, "total", &s->total);
}

static int check_service(const struct snapshot_check *c, struct snapshot_place at, const struct sw_service *s)
{
	const uint32_t slots = sw_snapshot_boot(c->header)->services_max;
	int error = check_name(c, at, s->name);
	if (!error)
		error = sw_snapshot_in_range(c, at, "slot", s->slot, 0, (int64_t)slots - 1);
	if (!error)
		error = sw_snapshot_in_range(c, at, "mode", s->mode, 0, SW_MODES - 1);
	if (!error)
		error = sw_snapshot_in_range(c, at, "refusal", s->refusal, 0, SW_REFUSE_RST);
	if (!error)
		error = sw_snapshot_in_range(c, at, "tcp_auth", s->tcp_auth, 0, SW_TCP_AUTH_PASS);
	if (!error && s->mode == SW_MODE_AUTO && s->start_syn_per_s == 0)
		error = refuse_field(c, at, "start_syn_per_s", 0, "at least 1 in mode auto");
	if (!error && s->mode == SW_MODE_AUTO && s->stop_syn_per_s >= s->start_syn_per_s)
		error = refuse_field(c, at, "stop_syn_per_s", s->stop_syn_per_s, "less than start_syn_per_s");
	if (!error && s->block_after && !s->block_s)
		error = refuse_field(c, at, "block_s", 0, "at least 1 where block_after is set");
	if (!error)
		error = check_backend(c, at, &s->backend);
	return error ? error : check_service_limits(c, at, s);
}

/* Names and slots of one section: element i's at base + i * stride. */
struct named {
	const char *section;
	const char *base;
	size_t stride, name_offset, slot_offset;
	uint32_t count;
	const char *strings;
};

static uint32_t named_field(const struct named *n, uint32_t index, size_t offset)
{
	uint32_t value;
	memcpy(&value, n->base + index * n->stride + offset, sizeof(value));
	return value;
}

static int compare_names(const void *left, const void *right, void *context)
{
	const struct named *n = context;
	return strcmp(n->strings + named_field(n, *(const uint32_t *)left, n->name_offset),
	    n->strings + named_field(n, *(const uint32_t *)right, n->name_offset));
}

static int compare_slots(const void *left, const void *right, void *context)
{
	const struct named *n = context;
	const uint32_t a = named_field(n, *(const uint32_t *)left, n->slot_offset);
	const uint32_t b = named_field(n, *(const uint32_t *)right, n->slot_offset);
	return a < b ? -1 : a > b;
}

/* Refuses two elements that compare equal. `order`: scratch, an index for each of `count` elements. */
static int check_unique(const struct snapshot_check *c, const char *section, const char *field, uint32_t *order,
    uint32_t count, int (*compare)(const void *, const void *, void *), void *context)
{
	for (uint32_t i = 0; i < count; i++)
		order[i] = i;
	qsort_r(order, count, sizeof(*order), compare, context);
	for (uint32_t i = 1; i < count; i++)
		if (compare(&order[i - 1], &order[i], context) == 0)
			return sw_snapshot_refuse(c, "%s[%u].%s is the same as that of %s[%u]", section,
			    order[i] > order[i - 1] ? order[i] : order[i - 1], field, section,
			    order[i] > order[i - 1] ? order[i - 1] : order[i]);
	return 0;
}

static int check_names_and_slots(const struct snapshot_check *c, struct named *n, uint32_t *scratch)
{
	const int error = check_unique(c, n->section, "name", scratch, n->count, compare_names, n);
	return error ? error : check_unique(c, n->section, "slot", scratch, n->count, compare_slots, n);
}

static int check_services(const struct snapshot_check *c, uint32_t *scratch)
{
	uint32_t count;
	const struct sw_service *services = sw_snapshot_services(c->header, &count);
	for (uint32_t i = 0; i < count; i++)
		if (check_service(c, (struct snapshot_place){"services", i}, &services[i]))
			return -EINVAL;
	struct named named = {"services", (const char *)services, sizeof(*services), offsetof(struct sw_service, name),
	    offsetof(struct sw_service, slot), count, c->strings};
	return check_names_and_slots(c, &named, scratch);
}

static int check_groups(const struct snapshot_check *c, uint32_t *scratch)
{
	uint32_t count;
	const struct sw_group *groups = sw_snapshot_groups(c->header, &count);
	const uint32_t slots = sw_snapshot_boot(c->header)->groups_max;
	for (uint32_t i = 0; i < count; i++) {
		const struct snapshot_place at = {"groups", i};
		if (check_name(c, at, groups[i].name) ||
		    sw_snapshot_in_range(c, at, "slot", groups[i].slot, 0, (int64_t)slots - 1) ||
		    check_limits(c, at, "limits", &groups[i].limits))
			return -EINVAL;
	}
	struct named named = {"groups", (const char *)groups, sizeof(*groups), offsetof(struct sw_group, name),
	    offsetof(struct sw_group, slot), count, c->strings};
	return check_names_and_slots(c, &named, scratch);
}

/* ---- targets and prefixes --------------------------------------------------------------------------------------- */

static int compare_prefixes(const struct sw_prefix *a, const struct sw_prefix *b)
{
	const int order = memcmp(&a->address, &b->address, sizeof(a->address));
	return order ? order : (int)a->length - b->length;
}

static int compare_targets(const void *left, const void *right, void *context)
{
	const struct sw_target *targets = context;
	const struct sw_target *a = &targets[*(const uint32_t *)left], *b = &targets[*(const uint32_t *)right];
	int order = compare_prefixes(&a->server, &b->server);
	if (!order)
		order = (int)a->port_first - b->port_first;
	return order ? order : (int)a->port_last - b->port_last;
}

static int check_targets(const struct snapshot_check *c, uint32_t *scratch)
{
	uint32_t count, services;
	const struct sw_target *targets = sw_snapshot_targets(c->header, &count);
	sw_snapshot_services(c->header, &services);
	for (uint32_t i = 0; i < count; i++) {
		const struct snapshot_place at = {"targets", i};
		const struct sw_target *t = &targets[i];
		if (check_prefix(c, at, "server", &t->server) ||
		    sw_snapshot_in_range(c, at, "port_first", t->port_first, 1, 65535) ||
		    sw_snapshot_in_range(c, at, "port_last", t->port_last, t->port_first, 65535))
			return -EINVAL;
		if (t->service >= services)
			return sw_snapshot_refuse(
			    c, "targets[%u].service is %u, expected below %u, the number of services", i, t->service, services);
	}
	return check_unique(c, "targets", "server and ports", scratch, count, compare_targets, (void *)(uintptr_t)targets);
}

static int check_rule(const struct snapshot_check *c, struct snapshot_place at, const struct sw_prefix_rule *rule)
{
	uint32_t groups;
	sw_snapshot_groups(c->header, &groups);
	const uint32_t entries = sw_snapshot_boot(c->header)->entries_max;
	if (check_prefix(c, at, "prefix", &rule->prefix) ||
	    sw_snapshot_in_range(c, at, "kind", rule->kind, 0, SW_RULE_KINDS - 1))
		return -EINVAL;
	const bool is_group = rule->kind == SW_RULE_GROUP;
	if (rule->target >= (is_group ? groups : entries))
		return sw_snapshot_refuse(c, "prefixes[%u].target is %u, expected below %u, the number of %s", at.index,
		    rule->target, is_group ? groups : entries, is_group ? "groups" : "entries in the boot section");
	if (rule->until_unix_ns && rule->kind != SW_RULE_BLOCK)
		return sw_snapshot_refuse(c, "prefixes[%u].until_unix_ns is set, expected 0 for all but blocks", at.index);
	return 0;
}

static int check_prefixes(const struct snapshot_check *c)
{
	uint32_t count;
	const struct sw_prefix_rule *rules = sw_snapshot_prefixes(c->header, &count);
	for (uint32_t i = 0; i < count; i++) {
		if (check_rule(c, (struct snapshot_place){"prefixes", i}, &rules[i]))
			return -EINVAL;
		if (i == 0)
			continue;
		int order = compare_prefixes(&rules[i - 1].prefix, &rules[i].prefix);
		if (!order)
			order = (int)rules[i - 1].kind - rules[i].kind;
		if (order >= 0)
			return sw_snapshot_refuse(c, "prefixes[%u] %s, expected ascending address, length, kind", i,
			    order ? "is out of order" : "stands there twice");
	}
	return 0;
}

/* ------------------------------------------------------------------------------------------------------------------ */

int sw_snapshot_check_policy(const struct snapshot_check *c)
{
	uint32_t *scratch = calloc(SW_TARGETS_MAX, sizeof(*scratch)); /* the longest of the sections that are sorted */
	if (!scratch) {
		sw_snapshot_refuse(c, "snapshot: no memory to check it");
		return -ENOMEM;
	}
	int result = check_services(c, scratch);
	if (!result)
		result = check_groups(c, scratch);
	if (!result)
		result = check_targets(c, scratch);
	if (!result)
		result = check_prefixes(c);
	free(scratch);
	return result;
}
