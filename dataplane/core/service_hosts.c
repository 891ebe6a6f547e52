/* SPDX-License-Identifier: BSD-3-Clause */
#include "service_hosts.h"

/* At least a line, so that each family begins on one. */
enum { SLOTS_MIN = 8, SLOTS_PER_IPV4 = 8, SLOTS_PER_IPV6 = 4 };
/* A look-up of what is in the second-level cache is dearer with a prefetch than without. */
enum { LARGE_BYTES = 256 << 10 };

/* A power of two. */
static uint32_t slots_of(uint32_t count, uint32_t slots_per_host)
{
	uint32_t slots = SLOTS_MIN;
	while (slots < count * slots_per_host)
		slots *= 2;
	return slots;
}

size_t sw_service_hosts_bytes(const uint32_t counts[2])
{
	return slots_of(counts[SW_TRIE_IPV4], SLOTS_PER_IPV4) * sizeof(uint64_t) +
	       slots_of(counts[SW_TRIE_IPV6], SLOTS_PER_IPV6) * sizeof(struct sw_service_host6);
}

void sw_service_hosts_place(struct sw_service_hosts *hosts, void *memory, const uint32_t counts[2])
{
	const uint32_t ipv4_slots = slots_of(counts[SW_TRIE_IPV4], SLOTS_PER_IPV4);
	hosts->ipv4 = memory;
	hosts->ipv6 = (struct sw_service_host6 *)(void *)(hosts->ipv4 + ipv4_slots);
	hosts->masks[SW_TRIE_IPV4] = ipv4_slots - 1;
	hosts->masks[SW_TRIE_IPV6] = slots_of(counts[SW_TRIE_IPV6], SLOTS_PER_IPV6) - 1;
	hosts->is_large = sw_service_hosts_bytes(counts) > LARGE_BYTES;
}

void sw_service_hosts_add(
    struct sw_service_hosts *hosts, const struct sw_address *server, uint16_t port, uint32_t service)
{
	const struct sw_service_host_key key = sw_service_host_key_of(server, port);
	uint32_t at = sw_service_host_home(hosts, &key);
	if (sw_service_host_find(hosts, &key, at) != SW_NONE)
		return;
	if (key.family == SW_TRIE_IPV4) {
		while (hosts->ipv4[at])
			at = (at + 1) & hosts->masks[SW_TRIE_IPV4];
		hosts->ipv4[at] = key.low | (service + 1);
	} else {
		while (hosts->ipv6[at].tag)
			at = (at + 1) & hosts->masks[SW_TRIE_IPV6];
		hosts->ipv6[at] = (struct sw_service_host6){.high = key.high, .low = key.low, .tag = key.tag | (service + 1)};
	}
}
