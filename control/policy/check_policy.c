/* SPDX-License-Identifier: BSD-3-Clause */
/* Services and their limits: what contradicts itself, and what could never fire. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_internal.h"
#include "schema.h"

/* The three kinds of limit, each with the burst that goes with a rate. */
static const struct limit_kind {
	const char *key, *burst_key;
	size_t offset, burst_offset; /* burst_offset 0: a cap has none */
} limit_kinds[] = {
    {"syn_per_s", "syn_burst", offsetof(struct sw_spec_limits, syn_per_s), offsetof(struct sw_spec_limits, syn_burst)},
    {"conn_per_s", "conn_burst", offsetof(struct sw_spec_limits, conn_per_s),
        offsetof(struct sw_spec_limits, conn_burst)},
    {"concurrent", NULL, offsetof(struct sw_spec_limits, concurrent), 0},
};
enum { LIMIT_KINDS = sizeof(limit_kinds) / sizeof(limit_kinds[0]) };

static const uint32_t *limit_at(const struct sw_spec_limits *limits, size_t offset)
{
	return (const uint32_t *)((const char *)limits + offset);
}

/* Limits that nobody touched. That they never fire beside tighter ones is not worth a word. */
static const struct sw_spec_limits source_defaults = {
    .syn_per_s = SW_SOURCE_SYN_PER_S, .conn_per_s = SW_SOURCE_CONN_PER_S, .concurrent = SW_SOURCE_CONCURRENT};
static const struct sw_spec_limits prefix_defaults = {
    .syn_per_s = SW_PREFIX_SYN_PER_S, .conn_per_s = SW_PREFIX_CONN_PER_S};

static bool is_untouched(const struct sw_spec_limits *limits, const struct sw_spec_limits *defaults, size_t offset)
{
	return defaults && *limit_at(limits, offset) && *limit_at(limits, offset) == *limit_at(defaults, offset);
}

/* One set of limits by itself; fills in bursts. */
static void check_limits(struct sw_spec_limits *limits, const char *path, const struct sw_spec_limits *defaults,
    const struct sw_spec_boot *boot, struct sw_report *report)
{
	char where[SW_PATH_BYTES];
	for (int i = 0; i < LIMIT_KINDS; i++) {
		const struct limit_kind *kind = &limit_kinds[i];
		const uint32_t rate = *limit_at(limits, kind->offset);
		if (!kind->burst_key)
			continue;
		uint32_t *burst = (uint32_t *)((char *)limits + kind->burst_offset);
		snprintf(where, sizeof(where), "%.180s.%s", path, kind->burst_key);
		if (!rate && *burst)
			sw_report_error(report, where, "give a rate too, or leave the burst out", "a burst without %s", kind->key);
		if (rate && !*burst)
			*burst = sw_default_burst(rate);
	}
	snprintf(where, sizeof(where), "%.180s.concurrent", path);
	if (limits->concurrent > boot->flows &&
	    !is_untouched(limits, defaults, offsetof(struct sw_spec_limits, concurrent)))
		sw_report_warn(report, where, "lower it, or raise boot.flows", "%u never fires: the flow table holds %u",
		    limits->concurrent, boot->flows);
	snprintf(where, sizeof(where), "%.180s.conn_per_s", path);
	if (limits->syn_per_s && limits->conn_per_s > limits->syn_per_s &&
	    !is_untouched(limits, defaults, offsetof(struct sw_spec_limits, conn_per_s)))
		sw_report_warn(report, where, "every connection begins with a SYN; keep it at or below syn_per_s",
		    "%u never fires: syn_per_s is %u", limits->conn_per_s, limits->syn_per_s);
}

/* A limit that is wider than the one of what encloses it never fires. */
static void check_nesting(const struct sw_spec_limits *inner, const char *inner_path,
    const struct sw_spec_limits *outer, const char *outer_path, const struct sw_spec_limits *inner_defaults,
    struct sw_report *report)
{
	char where[SW_PATH_BYTES];
	for (int i = 0; i < LIMIT_KINDS; i++) {
		const struct limit_kind *kind = &limit_kinds[i];
		const uint32_t a = *limit_at(inner, kind->offset), b = *limit_at(outer, kind->offset);
		if (!b || a <= b || is_untouched(inner, inner_defaults, kind->offset))
			continue;
		snprintf(where, sizeof(where), "%.180s.%s", inner_path, kind->key);
		sw_report_warn(report, where, "keep it at or below the limit that encloses it", "%u never fires: %s.%s is %u",
		    a, outer_path, kind->key, b);
	}
}

static bool has_connection_limit(const struct sw_spec_limits *l)
{
	return l->conn_per_s || l->concurrent;
}

/* The limits of level 1 that stand by default mean nothing where there is no level 1. */
static void fit_default_prefixes(const struct sw_spec *spec, struct sw_spec_service *s)
{
	const struct sw_spec_limits *first = s->limits.prefixes.items;
	if (!spec->global.prefix_levels.count && s->limits.prefixes.count == 1 && first->syn_per_s == SW_PREFIX_SYN_PER_S &&
	    first->conn_per_s == SW_PREFIX_CONN_PER_S && !first->concurrent)
		s->limits.prefixes.count = 0;
}

static void check_levels(const struct sw_spec *spec, struct sw_spec_service *s, uint32_t index, bool *connection_limit,
    struct sw_report *report)
{
	static const struct sw_spec_limits *const defaults[SW_PREFIX_LEVELS + 1] = {&source_defaults, &prefix_defaults};
	struct sw_spec_limits *levels[SW_PREFIX_LEVELS + 1] = {&s->limits.source};
	struct sw_spec_limits *prefixes = s->limits.prefixes.items;
	char paths[SW_PREFIX_LEVELS + 1][SW_PATH_BYTES];
	uint32_t count = 1;
	snprintf(paths[0], SW_PATH_BYTES, "services[%u].limits.source", index);
	for (uint32_t i = 0; i < s->limits.prefixes.count; i++, count++) {
		levels[count] = &prefixes[i];
		snprintf(paths[count], SW_PATH_BYTES, "services[%u].limits.prefixes[%u]", index, i);
	}
	levels[count] = &s->limits.total;
	snprintf(paths[count++], SW_PATH_BYTES, "services[%u].limits.total", index);
	for (uint32_t i = 0; i < count; i++) {
		const bool is_total = i == count - 1;
		check_limits(levels[i], paths[i], is_total ? NULL : defaults[i], &spec->boot, report);
		*connection_limit |= has_connection_limit(levels[i]);
		for (uint32_t j = i + 1; j < count; j++)
			check_nesting(levels[i], paths[i], levels[j], paths[j], defaults[i], report);
	}
}

static void check_service_limits(
    const struct sw_spec *spec, struct sw_spec_service *s, uint32_t index, struct sw_report *report)
{
	bool connection_limit = false;
	char where[SW_PATH_BYTES];
	fit_default_prefixes(spec, s);
	check_levels(spec, s, index, &connection_limit, report);
	const uint32_t cap = spec->global.answers_per_source_per_s;
	snprintf(where, sizeof(where), "services[%u].limits.source.syn_per_s", index);
	if (cap && s->limits.source.syn_per_s > cap)
		sw_report_warn(report, where, "lower it, or raise global.answers_per_source_per_s",
		    "%u never fires: the reflection cap of a source is %u", s->limits.source.syn_per_s, cap);
	snprintf(where, sizeof(where), "services[%u].block.after", index);
	if (s->block.after && !connection_limit && !spec->groups.count)
		sw_report_warn(report, where, "set conn_per_s or concurrent somewhere in its limits",
		    "never blocks: without a limit on connections none is refused");
	snprintf(where, sizeof(where), "services[%u].limits.prefixes", index);
	if (s->limits.prefixes.count > spec->global.prefix_levels.count)
		sw_report_error(report, where, "add levels to global.prefix_levels, or take limits out",
		    "%u levels of limits, and %u prefix levels", s->limits.prefixes.count, spec->global.prefix_levels.count);
}

static void check_thresholds(struct sw_spec_service *s, uint32_t index, struct sw_report *report)
{
	char where[SW_PATH_BYTES];
	if (!s->stop_syn_per_s)
		s->stop_syn_per_s = s->start_syn_per_s / 2;
	snprintf(where, sizeof(where), "services[%u].stop_syn_per_s", index);
	if (s->stop_syn_per_s >= s->start_syn_per_s)
		sw_report_error(report, where, "half of start_syn_per_s is a good choice",
		    "%u is not below start_syn_per_s (%u): protection would flap", s->stop_syn_per_s, s->start_syn_per_s);
	snprintf(where, sizeof(where), "services[%u].limits.total.syn_per_s", index);
	if (s->mode == SW_MODE_AUTO && s->limits.total.syn_per_s && s->limits.total.syn_per_s < s->start_syn_per_s)
		sw_report_warn(report, where, "lower start_syn_per_s to at most this limit",
		    "%u has no effect until the service arms, at %u", s->limits.total.syn_per_s, s->start_syn_per_s);
}

/* The same word twice among the names of services or of groups. `stride`: each begins with its name. */
struct named {
	const char *name;
	uint32_t index;
};

static int compare_names(const void *a, const void *b)
{
	const struct named *x = a, *y = b;
	const int order = strcmp(x->name, y->name);
	return order ? order : (x->index > y->index) - (x->index < y->index);
}

static void check_names(struct named *names, uint32_t count, const char *list, struct sw_report *report)
{
	char where[SW_PATH_BYTES];
	if (!names)
		return;
	qsort(names, count, sizeof(*names), compare_names);
	for (uint32_t i = 1; i < count; i++) {
		if (strcmp(names[i].name, names[i - 1].name) != 0)
			continue;
		snprintf(where, sizeof(where), "%s[%u].name", list, names[i].index);
		sw_report_error(report, where, "names are unique: counters follow them", "\"%s\" is the name of %s[%u] as well",
		    names[i].name, list, names[i - 1].index);
	}
}

static void check_all_names(const struct sw_spec *spec, struct sw_report *report)
{
	const struct sw_spec_service *services = spec->services.items;
	const struct sw_spec_group *groups = spec->groups.items;
	const uint32_t most = spec->services.count > spec->groups.count ? spec->services.count : spec->groups.count;
	struct named *names = calloc(most + 1, sizeof(*names));
	for (uint32_t i = 0; names && i < spec->services.count; i++)
		names[i] = (struct named){services[i].name, i};
	check_names(names, spec->services.count, "services", report);
	for (uint32_t i = 0; names && i < spec->groups.count; i++)
		names[i] = (struct named){groups[i].name, i};
	check_names(names, spec->groups.count, "groups", report);
	if (!names)
		sw_report_error(report, "", NULL, "out of memory");
	free(names);
}

/* ---- targets ---------------------------------------------------------------------------------------------------- */

struct target {
	struct sw_spec_target target;
	uint32_t service, index;
};

static uint32_t width(const struct target *t)
{
	return (uint32_t)t->target.port_last - t->target.port_first;
}

/* Targets of one server and one width of range lie side by side, by their first port. */
static int compare_targets(const void *a, const void *b)
{
	const struct target *x = a, *y = b;
	int order = memcmp(x->target.server.address.bytes, y->target.server.address.bytes, 16);
	if (!order)
		order = (int)x->target.server.length - (int)y->target.server.length;
	if (!order)
		order = (width(x) > width(y)) - (width(x) < width(y));
	if (!order)
		order = (int)x->target.port_first - (int)y->target.port_first;
	if (!order)
		order = (x->service > y->service) - (x->service < y->service);
	return order ? order : (x->index > y->index) - (x->index < y->index);
}

static void check_targets(const struct sw_spec *spec, struct sw_report *report)
{
	const struct sw_spec_service *services = spec->services.items;
	uint32_t count = 0;
	for (uint32_t i = 0; i < spec->services.count; i++)
		count += services[i].targets.count;
	if (count > SW_TARGETS_MAX) {
		sw_report_error(report, "services", "join neighbours into prefixes and ranges",
		    "%u targets in all, and at most %d can be", count, (int)SW_TARGETS_MAX);
		return;
	}
	struct target *all = calloc(count + 1, sizeof(*all));
	if (!all) {
		sw_report_error(report, "", NULL, "out of memory");
		return;
	}
	count = 0;
	for (uint32_t i = 0; i < spec->services.count; i++)
		for (uint32_t j = 0; j < services[i].targets.count; j++)
			all[count++] = (struct target){SW_SPEC_ITEMS(services[i].targets, struct sw_spec_target)[j], i, j};
	qsort(all, count, sizeof(*all), compare_targets);
	for (uint32_t i = 1; i < count; i++) {
		const struct target *a = &all[i - 1], *b = &all[i];
		char where[SW_PATH_BYTES], text[SW_TARGET_TEXT_BYTES];
		if (memcmp(&a->target.server, &b->target.server, sizeof(a->target.server)) != 0 || width(a) != width(b) ||
		    b->target.port_first > a->target.port_last)
			continue;
		snprintf(where, sizeof(where), "services[%u].targets[%u]", b->service, b->index);
		sw_report_error(report, where, "a packet must fit one target best: a longer prefix or a narrower range",
		    "overlaps services[%u].targets[%u] (%s)", a->service, a->index, sw_target_format(&a->target, text));
	}
	free(all);
}

void sw_check_policy(struct sw_spec *spec, struct sw_report *report)
{
	struct sw_spec_service *services = spec->services.items;
	struct sw_spec_group *groups = spec->groups.items;
	char where[SW_PATH_BYTES];
	bool sends_rst = false;
	for (uint32_t i = 0; i < spec->services.count; i++) {
		check_thresholds(&services[i], i, report);
		check_service_limits(spec, &services[i], i, report);
		sends_rst |= services[i].refuse == SW_REFUSE_RST;
	}
	for (uint32_t i = 0; i < spec->groups.count; i++) {
		snprintf(where, sizeof(where), "groups[%u].limits", i);
		check_limits(&groups[i].limits, where, NULL, &spec->boot, report);
		if (!groups[i].limits.syn_per_s && !groups[i].limits.conn_per_s && !groups[i].limits.concurrent) {
			snprintf(where, sizeof(where), "groups[%u]", i);
			sw_report_warn(report, where, "give it \"limits\"", "limits nothing: it is only counted");
		}
	}
	check_all_names(spec, report);
	check_targets(spec, report);
	if (spec->services.count > spec->boot.services_max)
		sw_report_error(report, "services", "raise boot.services (this needs a restart of the dataplane)",
		    "%u services, and boot.services is %u", spec->services.count, spec->boot.services_max);
	if (spec->groups.count > spec->boot.groups_max)
		sw_report_error(report, "groups", "raise boot.groups (this needs a restart of the dataplane)",
		    "%u groups, and boot.groups is %u", spec->groups.count, spec->boot.groups_max);
	if (!spec->services.count)
		sw_report_warn(report, "services", "name at least one service",
		    "nothing is protected: all traffic is forwarded untouched");
	if (sends_rst && !spec->global.rst_per_s)
		sw_report_warn(report, "global.rst_per_s", "give a budget, or say \"refuse\": \"drop\"",
		    "services refuse with RSTs, and none may be sent");
}
