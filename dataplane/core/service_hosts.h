/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The services of single hosts with a single port, which most targets are: a hash from (address, port) to service.
 * A hit is final for service_table.h, as no target is narrower than a host with one port.
 *
 * Shape    a hash for each family, open addressing, no secret: only the operator fills them. Most lookups, be they
 *          hits or misses, read one slot; no slot lies across cache lines. 0: a free slot.
 *
 *            IPv4 slot    63                            32 31        16 15         0
 *            8 bytes     | address as it lies in memory   |    port    | service + 1 |
 *            IPv6 slot    address (16 bytes), then the lower half of the above
 *            32 bytes
 *
 *          A slot that matches differs from what is asked only in its service + 1. So does a free one from 0.0.0.0
 *          or :: with port 0: it then answers 0 - 1, which is SW_NONE.
 * Memory   from the caller. An eighth of IPv4's slots are taken at most, a quarter of IPv6's: at SW_TARGETS_MAX up to
 *          1 MiB, or 2 MiB if all are IPv6.
 * Owner    the service table it is part of. Filled once, then read by any number of threads.
 */
#ifndef SW_CORE_SERVICE_HOSTS_H
#define SW_CORE_SERVICE_HOSTS_H

#include <stddef.h>

#include "../api/policy_snapshot.h"
#include "prefetch.h"
#include "prefix_trie.h"

struct sw_service_host6 {
	uint64_t high, low; /* the address as it lies in memory */
	uint32_t tag;       /* port << 16 | service + 1 */
	uint32_t reserved[3];
};

struct sw_service_hosts {
	uint64_t *ipv4;
	struct sw_service_host6 *ipv6;
	uint32_t masks[2]; /* by SW_TRIE_IPV4, SW_TRIE_IPV6: number of slots - 1 */
	bool is_large;     /* more than stays in a core's caches beside all else: worth prefetching */
};

_Static_assert(SW_SERVICES_MAX < 0xffff, "service + 1 fits 16 bits");
_Static_assert(sizeof(struct sw_service_host6) == 32, "two in a cache line");

/* What is asked, as the slots have it. `low` of IPv4: a slot without its service. */
struct sw_service_host_key {
	uint64_t high, low;
	uint32_t tag;
	unsigned int family; /* SW_TRIE_IPV4 or SW_TRIE_IPV6 */
};

static inline struct sw_service_host_key sw_service_host_key_of(const struct sw_address *server, uint16_t port)
{
	struct sw_service_host_key key = {.tag = (uint32_t)port << 16};
	memcpy(&key.high, server->bytes, 8);
	memcpy(&key.low, server->bytes + 8, 8);
	if (sw_trie_is_ipv4(key.high, key.low)) {
		key.low = key.low >> 32 << 32 | key.tag;
		key.family = SW_TRIE_IPV4;
	} else {
		key.family = SW_TRIE_IPV6;
	}
	return key;
}

/* Multiplicative hashing (Knuth, TAOCP 3, 6.4). The product's upper word, as all bits of the key reach its lowest. */
static inline uint32_t sw_service_host_mix(uint64_t word)
{
	return (uint32_t)((unsigned __int128)word * 0x9e3779b97f4a7c15ull >> 64);
}

static inline uint32_t sw_service_host_home(const struct sw_service_hosts *hosts, const struct sw_service_host_key *key)
{
	if (key->family == SW_TRIE_IPV4)
		return sw_service_host_mix(key->low) & hosts->masks[SW_TRIE_IPV4];
	/*
	 * Another odd constant (2^64 / sqrt 2), so that what differs in both halves does not cancel out; a sum, so that
	 * addresses in a row stay as well apart as they are for IPv4.
	 */
	return sw_service_host_mix(key->low + (key->high ^ key->tag) * 0xb504f333f9de6485ull) & hosts->masks[SW_TRIE_IPV6];
}

/* `at`: the home of `key`. The service, or SW_NONE. */
static inline uint32_t sw_service_host_find(
    const struct sw_service_hosts *hosts, const struct sw_service_host_key *key, uint32_t at)
{
	if (key->family == SW_TRIE_IPV4) {
		for (;; at = (at + 1) & hosts->masks[SW_TRIE_IPV4]) {
			const uint64_t difference = hosts->ipv4[at] ^ key->low;
			if (difference < 0x10000)
				return (uint32_t)difference - 1;
			if (!hosts->ipv4[at])
				return SW_NONE;
		}
	}
	for (;; at = (at + 1) & hosts->masks[SW_TRIE_IPV6]) {
		const struct sw_service_host6 *slot = &hosts->ipv6[at];
		const uint32_t difference = slot->tag ^ key->tag;
		if (slot->low == key->low && slot->high == key->high && difference < 0x10000)
			return difference - 1;
		if (!slot->tag)
			return SW_NONE;
	}
}

static inline void sw_service_host_prefetch(
    const struct sw_service_hosts *hosts, const struct sw_service_host_key *key, uint32_t at)
{
	if (key->family == SW_TRIE_IPV4)
		sw_prefetch(&hosts->ipv4[at]);
	else
		sw_prefetch(&hosts->ipv6[at]);
}

/* ---- building --------------------------------------------------------------------------------------------------- */

/* `counts`: of hosts that will be added at most, by SW_TRIE_IPV4 and SW_TRIE_IPV6. A multiple of 64. */
size_t sw_service_hosts_bytes(const uint32_t counts[2]);
/* `memory`: as many bytes, zero, at a multiple of 64. */
void sw_service_hosts_place(struct sw_service_hosts *hosts, void *memory, const uint32_t counts[2]);
/* Of two with one address and port the first stays. */
void sw_service_hosts_add(
    struct sw_service_hosts *hosts, const struct sw_address *server, uint16_t port, uint32_t service);

#endif
