/* SPDX-License-Identifier: BSD-3-Clause */
#include "rss.h"

#include <string.h>

#include <rte_ethdev.h>

/* Frames that have to meet: TCP, and what carries no ports (fragments, ICMP errors). */
#define IP_TYPES \
	(RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_FRAG_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV4_OTHER | \
		RTE_ETH_RSS_IPV6 | RTE_ETH_RSS_FRAG_IPV6 | RTE_ETH_RSS_NONFRAG_IPV6_TCP | RTE_ETH_RSS_NONFRAG_IPV6_OTHER)
#define NEEDED_TYPES (RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV6_TCP)

static uint64_t side_modifier(enum sw_side side)
{
	return side == SW_OUTSIDE ? RTE_ETH_RSS_L3_SRC_ONLY : RTE_ETH_RSS_L3_DST_ONLY;
}

static const char *why_not(unsigned int workers, const struct sw_rss_ability *p, uint32_t reta_entries)
{
	if (p->single_queue)
		return "its queues are chosen by the sender";
	if (p->queues_max < workers)
		return "it has fewer queues than there are workers";
	if (!(p->offloads & side_modifier(p->side)))
		return "it cannot hash one address alone";
	if ((p->offloads & NEEDED_TYPES) != NEEDED_TYPES)
		return "it cannot hash TCP over IPv4 and IPv6";
	if (p->key_bytes < 40 || p->key_bytes > SW_RSS_KEY_MAX)
		return "its hash key has an unusual length";
	if (p->reta_entries < workers)
		return "its indirection table is too short";
	if (p->reta_entries != reta_entries)
		return "its indirection table has another size than that of the first port";
	return NULL;
}

void sw_rss_plan_make(unsigned int workers, const struct sw_rss_ability *ports, unsigned int port_count,
	struct sw_rss_plan *out)
{
	*out = (struct sw_rss_plan){.decision = SW_SHARD_ONE_WORKER};
	if (workers == 1)
		return;
	uint64_t types = IP_TYPES;
	for (unsigned int i = 0; i < port_count; i++) {
		out->reason = why_not(workers, &ports[i], ports[0].reta_entries);
		if (out->reason) {
			out->decision = SW_SHARD_BY_HANDOVER;
			out->reason_port = i;
			return;
		}
		types &= ports[i].offloads;
	}
	out->decision = SW_SHARD_BY_NIC;
	for (unsigned int side = 0; side < SW_SIDES; side++)
		out->hash[side] = types | side_modifier((enum sw_side)side);
}

bool sw_rss_tcp_means_ports(const char *driver_name)
{
	return driver_name && strncmp(driver_name, "mlx5", 4) == 0;
}

uint64_t sw_rss_types(const struct sw_rss_plan *plan, const struct sw_rss_ability *port)
{
	return plan->hash[port->side] & ~(port->tcp_means_ports ? NEEDED_TYPES : 0);
}

uint64_t sw_rss_spread_types(uint64_t offloads)
{
	return offloads & IP_TYPES;
}

void sw_rss_key(uint64_t secret, uint8_t *key, uint32_t key_bytes)
{
	/* A pair of equal bytes would fold every address to the same few hashes; the known pair is a good one. */
	uint8_t pair[2] = {(uint8_t)secret, (uint8_t)(secret >> 8)};
	for (unsigned int shift = 16; shift < 64 && (pair[0] == pair[1] || pair[0] == 0 || pair[1] == 0); shift += 8) {
		pair[0] = pair[1];
		pair[1] = (uint8_t)(secret >> shift);
	}
	if (pair[0] == pair[1] || pair[0] == 0 || pair[1] == 0) {
		pair[0] = 0x6d;
		pair[1] = 0x5a;
	}
	for (uint32_t i = 0; i < key_bytes; i++)
		key[i] = pair[i & 1];
}
