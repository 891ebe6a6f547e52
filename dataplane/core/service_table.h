/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which service a packet belongs to: (server address, server port) to an index into SW_SECTION_SERVICES.
 *
 * Rules    the longest prefix that has the port wins, and there the narrowest port range; of two equally narrow ones
 *          the one that begins first, then the one that stands first in the snapshot. A prefix without the port falls
 *          through to the next shorter one. An IPv6 prefix never holds an IPv4 address.
 * Shape    first a hash from single hosts with single ports to services (service_hosts.h), which decides most packets:
 *          a hit is final, as nothing is narrower, and so is a miss where the family has no other targets. Else a trie
 *          (prefix_trie.h) from addresses to zones, one for each distinct prefix; a hash from (zone, single port) to
 *          service; for zones with ranges a sorted array of disjoint ones.
 * Memory   one allocation for the trie, one for the rest; at most about 3 MiB at SW_TARGETS_MAX, beside the trie.
 * Owner    who built it frees it, when no worker can hold it any more. Read by any number of threads.
 */
#ifndef SW_CORE_SERVICE_TABLE_H
#define SW_CORE_SERVICE_TABLE_H

#include "../packet.h"
#include "allocator.h"
#include "prefix_trie.h"
#include "service_hosts.h"

struct sw_service_zone;
struct sw_service_exact;
struct sw_port_range;

/* Opaque but for the functions below, which are here to be inlined. */
struct sw_service_table {
	struct sw_service_hosts hosts;
	uint8_t has_wide[2]; /* by SW_TRIE_IPV4, SW_TRIE_IPV6: 1: there are targets that are no hosts with a single port */
	uint32_t exact_shift; /* 32 - log2 of the number of slots */
	uint32_t exact_mask;
	const struct sw_service_zone *zones;
	const struct sw_service_exact *exact;
	const struct sw_port_range *ranges; /* of each zone: disjoint, sorted; values: services */
	struct sw_prefix_trie trie;         /* values: zones */
	size_t memory_bytes;
	struct sw_allocator allocator;
};

/*
 * `targets`: as in a checked snapshot, in any order; `services`: those that they name, of which the modes matter. Both
 * are read only during the call. `allocator`: NULL for malloc; copied.
 * 0, or -ENOMEM with *out NULL. May block and allocates scratch memory: never called by a worker.
 */
int sw_service_table_build(const struct sw_target *targets, uint32_t count, const struct sw_service *services,
    const struct sw_allocator *allocator, struct sw_service_table **out);
void sw_service_table_free(struct sw_service_table *table); /* NULL is fine */
size_t sw_service_table_bytes(const struct sw_service_table *table);

/* What sw_service_table_lookup() asks when the hosts cannot tell: prefixes and ranges. */
uint32_t sw_service_table_lookup_wide(
    const struct sw_service_table *table, const struct sw_address *server, uint16_t port);

/* `port` in host order. Service index, or SW_NONE: not protected. */
static inline uint32_t sw_service_table_lookup(
    const struct sw_service_table *table, const struct sw_address *server, uint16_t port)
{
	const struct sw_service_host_key key = sw_service_host_key_of(server, port);
	const uint32_t service = sw_service_host_find(&table->hosts, &key, sw_service_host_home(&table->hosts, &key));
	if (service != SW_NONE || !table->has_wide[key.family])
		return service;
	return sw_service_table_lookup_wide(table, server, port);
}

/* service_out[i] for (*servers[i], ports[i]); ports in host order. count: at most SW_BURST. */
void sw_service_table_lookup_burst(const struct sw_service_table *table, const struct sw_address *const *servers,
    const uint16_t *ports, unsigned int count, uint32_t *service_out);

/*
 * The strictest mode of all services that have any port of this address; SW_MODE_OFF where there is none: the question
 * for fragments and for headers that cannot be read further.
 */
enum sw_mode sw_service_table_strictest_mode(const struct sw_service_table *table, const struct sw_address *address);

#endif
