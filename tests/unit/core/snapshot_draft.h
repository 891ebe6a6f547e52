/* SPDX-License-Identifier: BSD-3-Clause */
/* Small valid snapshots for tests: draft_init(), change what the test is about, draft_seal(). */
#ifndef SW_TESTS_SNAPSHOT_DRAFT_H
#define SW_TESTS_SNAPSHOT_DRAFT_H

#include <stdlib.h>

#include "random_prefixes.h"

enum { DRAFT_MANY = 64 };

struct draft {
	struct sw_boot boot;
	struct sw_link links[4];
	struct sw_global global;
	struct sw_service services[DRAFT_MANY];
	struct sw_target targets[DRAFT_MANY];
	struct sw_group groups[DRAFT_MANY];
	struct sw_prefix_rule prefixes[DRAFT_MANY];
	char strings[1024];
	uint32_t counts[SW_SECTION_COUNT];
};

static inline uint32_t draft_string(struct draft *d, const char *text)
{
	const uint32_t at = d->counts[SW_SECTION_STRINGS];
	const size_t bytes = strlen(text) + 1;
	memcpy(d->strings + at, text, bytes);
	d->counts[SW_SECTION_STRINGS] = at + (uint32_t)bytes;
	return at;
}

static inline struct sw_service *draft_service(struct draft *d, const char *name, uint8_t mode)
{
	const uint32_t index = d->counts[SW_SECTION_SERVICES]++;
	struct sw_service *s = &d->services[index];
	*s = (struct sw_service){.name = draft_string(d, name), .slot = index, .mode = mode, .start_syn_per_s = 100,
		.stop_syn_per_s = 50, .hold_ms = 1000, .backend = {-1, -1, -1, -1, -1, -1}};
	return s;
}

static inline void draft_target(struct draft *d, const char *server, uint16_t first, uint16_t last, uint32_t service)
{
	d->targets[d->counts[SW_SECTION_TARGETS]++] = (struct sw_target){
		.server = prefix_of(server), .port_first = first, .port_last = last, .service = service};
}

static inline void draft_rule(struct draft *d, const char *prefix, uint8_t kind, uint32_t target, uint64_t until)
{
	d->prefixes[d->counts[SW_SECTION_PREFIXES]++] = (struct sw_prefix_rule){
		.prefix = prefix_of(prefix), .kind = kind, .target = target, .until_unix_ns = until};
}

static inline void draft_group(struct draft *d, const char *name)
{
	const uint32_t index = d->counts[SW_SECTION_GROUPS]++;
	d->groups[index] = (struct sw_group){.name = draft_string(d, name), .slot = index};
}

/* A box with one link, default everything, and nothing to protect. */
static inline void draft_init(struct draft *d)
{
	memset(d, 0, sizeof(*d));
	d->boot = (struct sw_boot){.instance = "test",
	    .workers = 1,
	    .housekeeping_core = SW_NONE,
	    .heartbeat_timeout_ms = 100,
	    .idle_sleep_us = 1000,
	    .mbufs = 8192,
	    .rx_descriptors = 1024,
	    .tx_descriptors = 1024,
	    .flows = 65536,
	    .source_records = 4096,
	    .limiter_entries = 65536,
	    .held_pkts = 256,
	    .services_max = DRAFT_MANY,
	    .groups_max = DRAFT_MANY,
	    .entries_max = 1024};
	strcpy(d->links[0].ends[SW_OUTSIDE].device, "wan0");
	strcpy(d->links[0].ends[SW_INSIDE].device, "lan0");
	d->links[0].ends[SW_OUTSIDE].kind = d->links[0].ends[SW_INSIDE].kind = SW_DEVICE_INTERFACE;
	d->global = (struct sw_global){.levels = {{32, 128}, {24, 64}, {16, 48}}, .level_count = 3, .server_syn_retries = 5,
		.idle_established_s = 3600, .idle_embryonic_s = 30, .idle_closing_s = 60};
	for (uint32_t id = 0; id <= SW_SECTION_GLOBAL; id++)
		d->counts[id] = 1;
	d->counts[SW_SECTION_STRINGS] = 1;
}

/* After a change to the bytes of a sealed snapshot. */
static inline void snapshot_sum(void *snapshot)
{
	struct sw_snapshot_header *h = snapshot;
	h->checksum = sw_snapshot_checksum(h + 1, h->total_bytes - sizeof(*h));
}

/* To be freed. Prefix rules are sorted on the way. */
static inline void *draft_seal(struct draft *d, uint64_t *bytes)
{
	const struct {
		const void *from;
		uint32_t element_bytes;
	} sections[SW_SECTION_COUNT] = {
		[SW_SECTION_BOOT] = {&d->boot, sizeof(d->boot)},
		[SW_SECTION_LINKS] = {d->links, sizeof(d->links[0])},
		[SW_SECTION_GLOBAL] = {&d->global, sizeof(d->global)},
		[SW_SECTION_SERVICES] = {d->services, sizeof(d->services[0])},
		[SW_SECTION_TARGETS] = {d->targets, sizeof(d->targets[0])},
		[SW_SECTION_GROUPS] = {d->groups, sizeof(d->groups[0])},
		[SW_SECTION_PREFIXES] = {d->prefixes, sizeof(d->prefixes[0])},
		[SW_SECTION_STRINGS] = {d->strings, 1},
	};
	char *snapshot = calloc(1, sizeof(struct sw_snapshot_header) + sizeof(*d));
	struct sw_snapshot_header *h = (struct sw_snapshot_header *)snapshot;
	uint64_t at = sizeof(*h);
	qsort(d->prefixes, d->counts[SW_SECTION_PREFIXES], sizeof(d->prefixes[0]), compare_rules);
	*h = (struct sw_snapshot_header){
		.magic = SW_SNAPSHOT_MAGIC, .version = SW_SNAPSHOT_VERSION, .header_bytes = sizeof(*h), .generation = 1};
	for (uint32_t id = 0; id < SW_SECTION_COUNT; id++) {
		const uint64_t length = (uint64_t)d->counts[id] * sections[id].element_bytes;
		h->sections[id] = (struct sw_section){at, d->counts[id], sections[id].element_bytes};
		memcpy(snapshot + at, sections[id].from, length);
		at = (at + length + 7) & ~7ull;
	}
	h->total_bytes = *bytes = at;
	snapshot_sum(snapshot);
	return snapshot;
}

#endif
