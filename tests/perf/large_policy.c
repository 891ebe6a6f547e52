/* SPDX-License-Identifier: BSD-3-Clause */
#include "large_policy.h"

#include <stdio.h>
#include <stdlib.h>

/*
 * Where things lie: servers in 10.0.0.0/8 and fd00:20::/64. Deny list: every 2^23 / ipv4_prefixes-th /24 of the lower
 * half of the address space is in it, /24s and /32s in turn; IPv6 likewise as /48s and /64s of 2001::/16. Groups: /20s
 * of 100.64.0.0/10 and above.
 */
enum { DENIED_BLOCKS = 1 << 23, GROUP_BASE = 0x64400000, NAME_BYTES = 24 };

static void put32(uint8_t *at, uint32_t v)
{
	at[0] = (uint8_t)(v >> 24);
	at[1] = (uint8_t)(v >> 16);
	at[2] = (uint8_t)(v >> 8);
	at[3] = (uint8_t)v;
}

static struct sw_address ipv4(uint32_t host_order)
{
	uint8_t four[4];
	put32(four, host_order);
	return sw_address_from_ipv4(four);
}

struct sw_address large_policy_server(uint32_t n, bool is_ipv6)
{
	if (!is_ipv6)
		return ipv4(0x0a140000u + n * 7 + 10);
	struct sw_address a = {{0xfd, 0, 0, 0x20}};
	put32(a.bytes + 12, n * 7 + 10);
	return a;
}

static uint32_t stride(const struct large_policy_size *size)
{
	return DENIED_BLOCKS / (size->ipv4_prefixes + 1);
}

/* The n-th /24 of the deny list, as its first address. Starts behind 11.0.0.0, clear of servers and of 0/8. */
static uint32_t denied_block(const struct large_policy_size *size, uint32_t n)
{
	return (0x000b0000u + n * (stride(size) - 1)) << 8;
}

struct sw_address large_policy_denied(const struct large_policy_size *size, uint32_t n, bool is_ipv6)
{
	if (!is_ipv6)
		return ipv4(denied_block(size, n % size->ipv4_prefixes) + (n & 1 ? 1 : n % 251));
	struct sw_address a = {{0x20, 0x01}};
	put32(a.bytes + 2, (n % size->ipv6_prefixes) * 64);
	a.bytes[15] = 1;
	return a;
}

uint32_t large_policy_not_denied(const struct large_policy_size *size, uint32_t host_order)
{
	const uint32_t block = (host_order >> 8) - 0x000b0000u, step = stride(size) - 1;

	return block < size->ipv4_prefixes * step && block % step == 0 ? host_order + 256 : host_order;
}

/* ---- the sections ------------------------------------------------------------------------------------------------- */

static struct sw_boot boot_of(const struct large_policy_size *size, uint32_t entries)
{
	struct sw_boot b = {
		.instance = "bench", .workers = size->workers ? size->workers : 1, .cores = {size->core}, .housekeeping_core = SW_NONE, .hugepages = SW_HUGEPAGES_AUTO,
		.heartbeat_timeout_ms = 1000, .mbufs = 16384, .rx_descriptors = 1024, .tx_descriptors = 1024,
		.flows = size->flows, .source_records = size->source_records, .limiter_entries = size->limiter_entries,
		.held_pkts = 4096, .services_max = size->services, .groups_max = size->groups, .entries_max = entries,
	};
	return b;
}

static struct sw_global global_of(void)
{
	struct sw_global g = {
		.levels = {{32, 128}, {24, 64}, {16, 48}, {8, 32}}, .level_count = 4, .fragments = SW_FRAGMENTS_PASS,
		/* High enough that nothing is refused in a case that measures answers. */
		.answers_per_source_per_s = 1000000, .answers_per_source_burst = 1000000,
		.answers_per_prefix_per_s = 2000000, .answers_per_prefix_burst = 2000000,
		.rst_per_s = 1000, .adopt_s = 0, .held_pkts_per_flow = 10, .held_bytes_per_flow = 16384,
		.server_syn_retries = 3, .idle_established_s = 7200, .idle_embryonic_s = 30, .idle_closing_s = 15,
		.evidence_after_syns = 16,
	};
	return g;
}

static struct sw_service service_of(uint32_t n, uint32_t name, const struct large_policy_size *size)
{
	struct sw_service s = {
		.name = name, .slot = n, .mode = SW_MODE_ALWAYS, .start_syn_per_s = 1000, .stop_syn_per_s = 100, .hold_ms = 1000,
		.block_after = 1000, .block_s = 60,
		.backend = {SW_BACKEND_LEARN, SW_BACKEND_LEARN, SW_BACKEND_LEARN, SW_BACKEND_LEARN, SW_BACKEND_LEARN, SW_BACKEND_LEARN},
	};
	for (unsigned int l = 0; l < SW_PREFIX_LEVELS; l++) {
		const uint32_t many = 10000000u << l;
		s.limits[l] = (struct sw_limits){many, many, many, many, 1u << 29, 0};
	}
	if (size->source_syn_per_s && n == 0)
		s.limits[0].syn_per_s = s.limits[0].syn_burst = size->source_syn_per_s;
	s.total = (struct sw_limits){1000000000, 1000000000, 1000000000, 1000000000, 1u << 30, 0};
	return s;
}

static int by_prefix(const void *left, const void *right)
{
	const struct sw_prefix_rule *a = left, *b = right;
	const int order = memcmp(a->prefix.address.bytes, b->prefix.address.bytes, 16);
	return order ? order : a->prefix.length != b->prefix.length ? a->prefix.length - b->prefix.length : a->kind - b->kind;
}

static struct sw_prefix_rule rule(struct sw_address a, unsigned int length, enum sw_rule_kind kind, uint32_t target)
{
	return (struct sw_prefix_rule){
		.prefix = {.address = sw_address_mask(a, (uint8_t)length), .length = (uint8_t)length},
		.kind = (uint8_t)kind,
		.target = target,
	};
}

static uint32_t fill_rules(struct sw_prefix_rule *rules, const struct large_policy_size *size)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < size->ipv4_prefixes; i++, n++)
		rules[n] = rule(large_policy_denied(size, i, false), i & 1 ? 128 : 96 + 24, SW_RULE_DENY, n);
	for (uint32_t i = 0; i < size->ipv6_prefixes; i++, n++)
		rules[n] = rule(large_policy_denied(size, i, true), i & 1 ? 64 : 48, SW_RULE_DENY, n);
	for (uint32_t g = 0; g < size->groups; g++)
		for (uint32_t i = 0; i < size->prefixes_per_group; i++, n++)
			rules[n] = rule(ipv4(GROUP_BASE + ((g * size->prefixes_per_group + i) << 12)), 96 + 20, SW_RULE_GROUP, g);
	qsort(rules, n, sizeof(*rules), by_prefix);
	return n;
}

/* ---- the block ---------------------------------------------------------------------------------------------------- */

static uint64_t place(struct sw_snapshot_header *h, enum sw_section_id id, uint64_t at, uint32_t count, size_t element)
{
	h->sections[id] = (struct sw_section){.offset = at, .count = count, .element_bytes = (uint32_t)element};
	return (at + count * element + 7) / 8 * 8;
}

void *large_policy_build(const struct large_policy_size *size, uint64_t *bytes)
{
	const uint32_t rules = size->ipv4_prefixes + size->ipv6_prefixes + size->groups * size->prefixes_per_group;
	const uint32_t strings = 1 + (size->services + size->groups) * NAME_BYTES + 1;
	struct sw_snapshot_header h = {.magic = SW_SNAPSHOT_MAGIC, .version = SW_SNAPSHOT_VERSION, .header_bytes = sizeof(h), .generation = 1};
	uint64_t at = sizeof(h);

	at = place(&h, SW_SECTION_BOOT, at, 1, sizeof(struct sw_boot));
	at = place(&h, SW_SECTION_LINKS, at, 1, sizeof(struct sw_link));
	at = place(&h, SW_SECTION_GLOBAL, at, 1, sizeof(struct sw_global));
	at = place(&h, SW_SECTION_SERVICES, at, size->services, sizeof(struct sw_service));
	at = place(&h, SW_SECTION_TARGETS, at, size->services * 2, sizeof(struct sw_target));
	at = place(&h, SW_SECTION_GROUPS, at, size->groups, sizeof(struct sw_group));
	at = place(&h, SW_SECTION_PREFIXES, at, rules, sizeof(struct sw_prefix_rule));
	at = place(&h, SW_SECTION_STRINGS, at, strings, 1);
	uint8_t *s = calloc(1, at);
	if (s == NULL)
		return NULL;
	*bytes = h.total_bytes = at;

	*(struct sw_boot *)(void *)(s + h.sections[SW_SECTION_BOOT].offset) = boot_of(size, rules);
	*(struct sw_global *)(void *)(s + h.sections[SW_SECTION_GLOBAL].offset) = global_of();
	struct sw_link *link = (void *)(s + h.sections[SW_SECTION_LINKS].offset);
	for (unsigned int side = 0; side < SW_SIDES; side++) {
		link->ends[side].kind = SW_DEVICE_VDEV;
		if (size->devices[side])
			snprintf(link->ends[side].device, SW_DEVICE_BYTES, "%s", size->devices[side]);
		else
			snprintf(link->ends[side].device, SW_DEVICE_BYTES, "net_null%u", side);
	}
	struct sw_service *services = (void *)(s + h.sections[SW_SECTION_SERVICES].offset);
	struct sw_target *targets = (void *)(s + h.sections[SW_SECTION_TARGETS].offset);
	struct sw_group *groups = (void *)(s + h.sections[SW_SECTION_GROUPS].offset);
	char *text = (char *)s + h.sections[SW_SECTION_STRINGS].offset;
	for (uint32_t i = 0; i < size->services; i++) {
		const uint32_t name = 1 + i * NAME_BYTES;
		snprintf(text + name, NAME_BYTES, "service-%u", i);
		services[i] = service_of(i, name, size);
		for (uint32_t family = 0; family < 2; family++)
			targets[i * 2 + family] = (struct sw_target){
				.server = {.address = large_policy_server(i, family), .length = 128},
				.port_first = LARGE_POLICY_PORT, .port_last = LARGE_POLICY_PORT, .service = i,
			};
	}
	for (uint32_t i = 0; i < size->groups; i++) {
		const uint32_t name = 1 + (size->services + i) * NAME_BYTES;
		snprintf(text + name, NAME_BYTES, "group-%u", i);
		groups[i] = (struct sw_group){.name = name, .slot = i, .limits = {1000000000, 1000000000, 1000000000, 1000000000, 1u << 30, 0}};
	}
	fill_rules((void *)(s + h.sections[SW_SECTION_PREFIXES].offset), size);
	h.checksum = sw_snapshot_checksum(s + sizeof(h), at - sizeof(h));
	memcpy(s, &h, sizeof(h));
	return s;
}
