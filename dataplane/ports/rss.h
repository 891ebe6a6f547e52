/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Can the NICs themselves shard by client address? Decided here, without a NIC, from what the drivers say of theirs.
 *
 * Wanted: the hash over nothing but the source address at outside ports and nothing but the destination address at
 * inside ports, with one key and one indirection table everywhere, so that both directions of a client meet in one
 * worker. The key repeats two secret bytes (as the well-known symmetric key repeats 6d:5a): then the hash of an
 * address does not depend on where the NIC places it in its input, and two makes of NIC agree.
 */
#ifndef SW_RSS_H
#define SW_RSS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/policy_snapshot.h"

enum { SW_RSS_KEY_MAX = 64, SW_RSS_RETA_MAX = 2048 };

/* Of one port, as rte_eth_dev_info_get() gives them. */
struct sw_rss_ability {
	enum sw_side side;
	uint64_t offloads;        /* flow_type_rss_offloads */
	uint32_t key_bytes;       /* hash_key_size */
	uint32_t reta_entries;    /* reta_size */
	uint32_t queues_max;
	bool single_queue;        /* a port of one queue: frames reach whichever queue the sender chose (veth, AF_XDP) */
	bool tcp_means_ports;     /* sw_rss_tcp_means_ports() */
};

enum sw_shard_decision {
	SW_SHARD_ONE_WORKER,   /* nothing to shard */
	SW_SHARD_BY_NIC,
	SW_SHARD_BY_HANDOVER,
};

struct sw_rss_plan {
	enum sw_shard_decision decision;
	const char *reason;       /* for a person: why hand-over */
	unsigned int reason_port; /* which port stood in the way */
	uint64_t hash[SW_SIDES];  /* RTE_ETH_RSS_* for ports of each side; 0: no RSS. sw_rss_types() has a port's own */
};

void sw_rss_plan_make(unsigned int workers, const struct sw_rss_ability *ports, unsigned int port_count,
	struct sw_rss_plan *out);

/*
 * Does the driver hash the TCP ports as soon as a type with TCP in it is asked for, "one address alone" or not? Most
 * (i40e, ice, iavf) leave the ports out then, and need such a type to hash TCP at all. mlx5 takes them in
 * (mlx5_flow_dv.c of DPDK 22.11, flow_dv_hashfields_set()), and its types of IP hold TCP already.
 */
bool sw_rss_tcp_means_ports(const char *driver_name);

/* What one of the ports that the plan was made for is to be asked, where it says SW_SHARD_BY_NIC. */
uint64_t sw_rss_types(const struct sw_rss_plan *plan, const struct sw_rss_ability *port);

/* RSS types for spreading alone, where sharding is done by hand-over. */
uint64_t sw_rss_spread_types(uint64_t offloads);

/* `secret`: any 64 bits. Fills key_bytes, at most SW_RSS_KEY_MAX. */
void sw_rss_key(uint64_t secret, uint8_t *key, uint32_t key_bytes);

/* Entry i of an indirection table. The same everywhere, whatever the size. */
static inline unsigned int sw_rss_reta_queue(unsigned int entry, unsigned int workers)
{
	return entry % workers;
}

#endif
