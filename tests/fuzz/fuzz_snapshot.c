/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes as a policy snapshot: refused with a text, or safe to build the packet path's tables from. Each input is
 * tried as it is, and with the size, version and checksum that a fuzzer would not guess put right.
 */
#include <string.h>

#include "core/prefix_table.h"
#include "core/service_table.h"
#include "core/snapshot_check.h"
#include "fuzz.h"

static void look_up_rules(const void *snapshot)
{
	uint32_t count, groups;
	const struct sw_prefix_rule *rules = sw_snapshot_prefixes(snapshot, &count);
	struct sw_prefix_table *table;
	sw_snapshot_groups(snapshot, &groups);
	SW_PROMISE(sw_prefix_table_build(rules, count, NULL, &table) == 0);
	for (uint32_t i = 0; i < count; i++) {
		const struct sw_address *address = &rules[i].prefix.address;
		uint32_t found;
		sw_prefix_table_find_burst(table, &address, 1, &found);
		SW_PROMISE(found == sw_prefix_table_find(table, address));
		SW_PROMISE(found != SW_SOURCE_CLASS_NONE);
		for (uint64_t now = 0;; now = UINT64_MAX) {
			const struct sw_source_class c = sw_prefix_table_class_now(table, found, now);
			SW_PROMISE(c.group == SW_NONE || c.group < groups);
			SW_PROMISE(c.kind == SW_RULE_KINDS || c.entry < sw_snapshot_boot(snapshot)->entries_max);
			if (now)
				break;
		}
	}
	sw_prefix_table_free(table);
}

static void look_up_targets(const void *snapshot)
{
	uint32_t count, services;
	const struct sw_target *targets = sw_snapshot_targets(snapshot, &count);
	struct sw_service_table *table;
	const struct sw_service *service = sw_snapshot_services(snapshot, &services);
	SW_PROMISE(sw_service_table_build(targets, count, service, NULL, &table) == 0);
	for (uint32_t i = 0; i < count; i++) {
		const struct sw_address *server = &targets[i].server.address;
		SW_PROMISE(sw_service_table_strictest_mode(table, server) >= service[targets[i].service].mode);
		SW_PROMISE(sw_service_table_lookup(table, server, targets[i].port_first) < services);
		SW_PROMISE(sw_service_table_lookup(table, server, targets[i].port_last) < services);
	}
	sw_service_table_free(table);
}

static void read_names(const void *snapshot)
{
	uint32_t services, groups;
	const struct sw_service *s = sw_snapshot_services(snapshot, &services);
	const struct sw_group *g = sw_snapshot_groups(snapshot, &groups);
	for (uint32_t i = 0; i < services; i++)
		SW_PROMISE(strlen(sw_snapshot_string(snapshot, s[i].name)) < SW_NAME_BYTES);
	for (uint32_t i = 0; i < groups; i++)
		SW_PROMISE(strlen(sw_snapshot_string(snapshot, g[i].name)) < SW_NAME_BYTES);
}

static void check(const void *snapshot, size_t size)
{
	char error[256];
	memset(error, 'x', sizeof(error));
	const int result = sw_snapshot_check(snapshot, size, error, sizeof(error));
	SW_PROMISE(memchr(error, 0, sizeof(error)) && (result == 0) == (error[0] == '\0'));
	if (result)
		return;
	read_names(snapshot);
	look_up_rules(snapshot);
	look_up_targets(snapshot);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sw_snapshot_header *h;
	void *copy = malloc(size ? size : 1); /* aligned as a mapping is, and of exactly the size */

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	check(copy, size);
	if (size >= sizeof(*h)) {
		h = copy;
		h->magic = SW_SNAPSHOT_MAGIC;
		h->version = SW_SNAPSHOT_VERSION;
		h->header_bytes = sizeof(*h);
		h->total_bytes = size;
		h->checksum = sw_snapshot_checksum(h + 1, size - sizeof(*h));
		check(copy, size);
	}
	free(copy);
	return 0;
}
