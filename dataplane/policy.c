/* SPDX-License-Identifier: BSD-3-Clause */
/* From a checked snapshot to what the packet path reads: tables, rates in TSC cycles, masks. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/arming.h"
#include "core/flow_table.h"
#include "core/limiter_table.h"
#include "core/prefix_table.h"
#include "core/service_table.h"
#include "core/snapshot_check.h"
#include "policy.h"

enum { HUGE_BYTES = 2 << 20 };

/* Large tables on pages of 2 MiB where the kernel has them: lookups of random sources are all TLB misses otherwise. */
static void *allocate(void *context, size_t bytes, size_t alignment)
{
	(void)context;
	void *memory = NULL;
	if (bytes < HUGE_BYTES)
		return posix_memalign(&memory, alignment < sizeof(void *) ? sizeof(void *) : alignment, bytes) ? NULL : memory;
	if (posix_memalign(&memory, HUGE_BYTES, bytes))
		return NULL;
	(void)madvise(memory, bytes, MADV_HUGEPAGE);
	return memory;
}

static void release(void *context, void *memory)
{
	(void)context;
	free(memory);
}

static const struct sw_allocator tables_allocator = {.allocate = allocate, .release = release};

/* The tighter of two rates, and whether that is the second. 0/0 is no limit at all. */
static struct sw_rate tighter(uint32_t per_s, uint32_t burst, uint32_t cap_per_s, uint32_t cap_burst, uint64_t tsc_hz,
	uint8_t *is_cap)
{
	const struct sw_rate limit = sw_rate_make(per_s, burst, tsc_hz);
	const struct sw_rate cap = sw_rate_make(cap_per_s, cap_burst, tsc_hz);
	*is_cap = cap.interval != 0 && (limit.interval == 0 || cap.interval > limit.interval ||
		(cap.interval == limit.interval && cap.tolerance < limit.tolerance));
	return *is_cap ? cap : limit;
}

/* One worker's part of a figure for the box, rounded up; 0, no limit, stays 0. */
static uint32_t part_of(uint32_t box, uint32_t workers)
{
	return (uint32_t)(((uint64_t)box + workers - 1) / workers);
}

/*
 * A source belongs to one worker, which counts it exactly. The sources of a prefix are spread over all workers by a
 * secret hash; each holds its part, so that all together stay within the limit.
 */
static struct sw_limits part_of_limits(struct sw_limits l, uint32_t workers)
{
	return (struct sw_limits){
		.syn_per_s = part_of(l.syn_per_s, workers), .syn_burst = part_of(l.syn_burst, workers),
		.conn_per_s = part_of(l.conn_per_s, workers), .conn_burst = part_of(l.conn_burst, workers),
		.concurrent = part_of(l.concurrent, workers),
	};
}

static void build_level(const struct sw_limits *whole, const struct sw_global *global, unsigned int level,
	uint32_t workers, uint64_t tsc_hz, struct sw_service_profile *s)
{
	struct sw_limit_profile *out = &s->levels[level];
	const struct sw_limits part = part_of_limits(*whole, level == 0 ? 1 : workers), *limits = &part;
	uint32_t cap_per_s = 0, cap_burst = 0;
	if (level == 0) {
		cap_per_s = global->answers_per_source_per_s;
		cap_burst = global->answers_per_source_burst;
	} else if (level == 1) {
		cap_per_s = part_of(global->answers_per_prefix_per_s, workers);
		cap_burst = part_of(global->answers_per_prefix_burst, workers);
	}
	const struct sw_rate syn =
		tighter(limits->syn_per_s, limits->syn_burst, cap_per_s, cap_burst, tsc_hz, &out->syn_is_cap);
	s->syn_rates.intervals[level] = syn.interval;
	s->syn_rates.tolerances[level] = syn.interval ? syn.tolerance : INT64_MAX;
	out->conn = sw_rate_make(limits->conn_per_s, limits->conn_burst, tsc_hz);
	out->concurrent = limits->concurrent;
}

/* The sets of levels with limits. */
static void find_limited_levels(struct sw_service_profile *s)
{
	for (unsigned int level = 0; level < SW_PREFIX_LEVELS; level++) {
		const struct sw_limit_profile *l = &s->levels[level];
		const bool for_syns = s->syn_rates.intervals[level] != 0;
		const bool for_conns = l->conn.interval != 0 || l->concurrent != 0;
		s->limited[SW_LIMITER_SYN] |= (uint8_t)(for_syns << level);
		s->limited[SW_LIMITER_CONN] |= (uint8_t)(for_conns << level);
		if (for_syns || for_conns)
			s->level_count = (uint8_t)(level + 1);
	}
}

static bool limits_anything(const struct sw_limits *l)
{
	return l->syn_per_s || l->syn_burst || l->conn_per_s || l->conn_burst || l->concurrent;
}

static void build_service(const struct sw_service *s, const struct sw_global *global, uint32_t workers, uint64_t tsc_hz,
	struct sw_service_profile *out)
{
	out->slot = s->slot;
	out->mode = s->mode;
	out->refusal = s->refusal;
	out->tcp_auth = s->tcp_auth;
	out->block_after = s->block_s ? s->block_after : 0;
	out->block_cycles = s->block_s * tsc_hz;
	for (unsigned int level = 0; level < SW_PREFIX_LEVELS; level++)
		out->syn_rates.tolerances[level] = INT64_MAX;
	for (unsigned int level = 0; level < global->level_count; level++)
		build_level(&s->limits[level], global, level, workers, tsc_hz, out);
	find_limited_levels(out);
	out->total = s->total;
	out->total_limited = limits_anything(&s->total);
	out->start_syn_per_s = s->start_syn_per_s;
	/* At once: what housekeeping's window would see of it (arming.h). */
	if (s->mode == SW_MODE_AUTO)
		out->start = sw_rate_make(s->start_syn_per_s,
			s->start_syn_per_s < SW_RATE_COARSE_BELOW ? s->start_syn_per_s : s->start_syn_per_s / 10, tsc_hz);
	out->stop_syn_per_s = s->stop_syn_per_s;
	out->hold_ms = s->hold_ms;
	out->backend = s->backend;
}

static void build_levels(const struct sw_global *global, struct sw_policy *p)
{
	p->level_count = global->level_count;
	for (unsigned int family = 0; family < 2; family++) {
		uint8_t lengths[SW_PREFIX_LEVELS];
		for (unsigned int level = 0; level < global->level_count; level++)
			lengths[level] = (uint8_t)(family ? global->levels[level].ipv6_length
				: SW_IPV4_MAPPED_BITS + global->levels[level].ipv4_length);
		sw_limiter_levels_make(&p->levels[family], lengths, global->level_count, family);
	}
}

static uint32_t coarse(uint32_t seconds, uint64_t tsc_hz)
{
	const uint64_t units = seconds * tsc_hz >> 20;
	/* Compared modulo 2^32: half of the range is the future. */
	return units > INT32_MAX ? INT32_MAX : (uint32_t)units;
}

static void build_global(const struct sw_global *g, uint32_t workers, uint64_t tsc_hz, struct sw_policy *p)
{
	build_levels(g, p);
	p->fragments = g->fragments;
	p->answers[0] = sw_rate_make(g->answers_per_source_per_s, g->answers_per_source_burst, tsc_hz);
	p->answers[1] = sw_rate_make(part_of(g->answers_per_prefix_per_s, workers), part_of(g->answers_per_prefix_burst, workers),
		tsc_hz);
	p->rst = sw_rate_make(g->rst_per_s, g->rst_per_s, tsc_hz);
	p->adopt = sw_rate_make(g->adopt_per_s, g->adopt_per_s, tsc_hz);
	p->adopt_cycles = g->adopt_s * tsc_hz;
	p->held_pkts_per_flow = g->held_pkts_per_flow;
	p->held_bytes_per_flow = g->held_bytes_per_flow;
	p->server_syn_retries = g->server_syn_retries < SW_LIST_RETRIES_MAX ? g->server_syn_retries
		: SW_LIST_RETRIES_MAX - 1;
	p->idle_established = coarse(g->idle_established_s, tsc_hz);
	p->idle_embryonic = coarse(g->idle_embryonic_s, tsc_hz);
	p->idle_closing = coarse(g->idle_closing_s, tsc_hz);
	p->evidence_after_syns = g->evidence_after_syns;
}

static int index_slots(struct sw_policy *p)
{
	p->slot_count = sw_snapshot_boot(p->snapshot)->services_max;
	p->service_by_slot = malloc((p->slot_count + 1) * sizeof(*p->service_by_slot));
	if (!p->service_by_slot)
		return -ENOMEM;
	for (uint32_t slot = 0; slot < p->slot_count; slot++)
		p->service_by_slot[slot] = SW_NONE;
	for (uint32_t i = 0; i < p->service_count; i++)
		p->service_by_slot[p->service[i].slot] = i;
	return 0;
}

static int build_tables(const void *snapshot, struct sw_policy *p)
{
	uint32_t rule_count, target_count, service_count;
	const struct sw_prefix_rule *rules = sw_snapshot_prefixes(snapshot, &rule_count);
	const struct sw_target *targets = sw_snapshot_targets(snapshot, &target_count);
	const struct sw_service *services = sw_snapshot_services(snapshot, &service_count);
	const int result = sw_prefix_table_build(rules, rule_count, &tables_allocator, &p->sources);
	if (result)
		return result;
	p->have_rules = rule_count != 0;
	return sw_service_table_build(targets, target_count, services, &tables_allocator, &p->services);
}

int sw_policy_build(const void *snapshot, uint64_t bytes, uint64_t tsc_hz, struct sw_policy **out)
{
	*out = NULL;
	struct sw_policy *p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	int result = -ENOMEM;
	p->snapshot = malloc(bytes);
	if (!p->snapshot)
		goto fail;
	memcpy(p->snapshot, snapshot, bytes);
	const struct sw_global *global = sw_snapshot_global(p->snapshot);
	const struct sw_service *services = sw_snapshot_services(p->snapshot, &p->service_count);
	const struct sw_group *groups = sw_snapshot_groups(p->snapshot, &p->group_count);
	p->generation = sw_snapshot_generation(p->snapshot);
	p->service = calloc(p->service_count + 1, sizeof(*p->service));
	p->group = calloc(p->group_count + 1, sizeof(*p->group));
	if (!p->service || !p->group)
		goto fail;
	const uint32_t workers = sw_snapshot_boot(p->snapshot)->workers;
	build_global(global, workers, tsc_hz, p);
	for (uint32_t i = 0; i < p->service_count; i++)
		build_service(&services[i], global, workers, tsc_hz, &p->service[i]);
	for (uint32_t i = 0; i < p->group_count; i++)
		p->group[i] = (struct sw_group_profile){.slot = groups[i].slot,
			.limited = limits_anything(&groups[i].limits), .limits = groups[i].limits};
	result = index_slots(p);
	if (result == 0)
		result = build_tables(p->snapshot, p);
	if (result)
		goto fail;
	*out = p;
	return 0;
fail:
	sw_policy_free(p);
	return result;
}

void sw_policy_free(struct sw_policy *p)
{
	if (!p)
		return;
	sw_prefix_table_free(p->sources);
	sw_service_table_free(p->services);
	free(p->service_by_slot);
	free(p->service);
	free(p->group);
	free(p->snapshot);
	free(p);
}
