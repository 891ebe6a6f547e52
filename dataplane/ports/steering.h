/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Receive queues of their own for the SYNs of protected services. Which rte_flow rules that takes, and whether a port
 * is worth asking, is decided here, without a NIC; port_steering.c asks the drivers.
 *
 *     frame at an outside port                          receive queue
 *     SYN without ACK, RST and FIN, to a service        n + i    i: the same worker for all frames of a client,
 *     all others                                            i    n: number of workers
 *
 * A worker looks into queue i first. Under a flood of SYNs, packets of connections then wait behind one burst of them
 * and not behind a full ring, and when rings run over it is the SYNs' that does.
 *
 * No rule is needed for a frame to be right: a SYN that matches none (a VLAN that a driver does not look behind, a
 * service left out) takes queue i as before. So every rule stands by itself, and rules may overlap: all do the same.
 */
#ifndef SW_STEERING_H
#define SW_STEERING_H

#include <rte_flow.h>

#include "rss.h"

enum {
	SW_STEERING_RULES_MAX = 1024,        /* for the box; NICs hold some thousands, and the slow take 1 ms for each */
	SW_STEERING_RULES_PER_SERVICE = 256, /* so that one service does not take all */
	SW_PORT_BLOCKS_MAX = 30,             /* a range of 16 bits: at most 2 * 16 - 2 blocks */
};

/* The ports p with (p & mask) == port, host order. The mask is a prefix: ones, then zeros. */
struct sw_port_block {
	uint16_t port, mask;
};

/*
 * The fewest blocks that hold the ports first to last and no other, in ascending order. With one exception: port 0 is
 * nobody's, so 1 to x counts as 0 to x, and "all ports" is one block instead of 16. Returns how many.
 */
unsigned int sw_port_blocks(uint16_t first, uint16_t last, struct sw_port_block *out);

struct sw_steering_rule {
	struct sw_prefix server;
	struct sw_port_block ports;
};

struct sw_steering_rules {
	unsigned int count;
	unsigned int left_out;   /* services that would need too many: they have none */
	uint32_t first_left_out; /* index into SW_SECTION_SERVICES */
	struct sw_steering_rule rules[SW_STEERING_RULES_MAX]; /* ascending by sw_steering_compare() */
};

/*
 * `targets`: of a checked snapshot. Whatever a service's mode: a rule costs it nothing, and need not change with it.
 * Targets that lie within others get no rule.
 */
void sw_steering_rules_make(const struct sw_target *targets, uint32_t count, struct sw_steering_rules *out);

/* <0, 0, >0; an order in which a rule comes after those that hold all its packets. For qsort() and bsearch(). */
int sw_steering_compare(const void *a, const void *b);

/* One of each family, in the addresses of documentation: would the port take such rules at all? */
enum { SW_STEERING_PROBES = 2 };
void sw_steering_probe_rules(struct sw_steering_rule out[SW_STEERING_PROBES]);

/*
 * NULL: the port may have SYN queues, its driver is to be asked. Else why not, for a person. `is_nic`: an outside port
 * on PCI. `buffers_free`: what boot.mbufs leaves of a worker's buffers, `buffers`: what its SYN queues hold.
 */
const char *sw_steering_why_not(unsigned int workers, const struct sw_rss_ability *port, bool is_nic,
	uint32_t buffers_free, uint32_t buffers);

/* What rte_flow_create() takes of a rule. Not to be copied: items point into it. */
struct sw_steering_pattern {
	struct rte_flow_attr attr;
	struct rte_flow_item items[4]; /* eth, ipv4 or ipv6, tcp, end */
	union {
		struct rte_flow_item_ipv4 ipv4;
		struct rte_flow_item_ipv6 ipv6;
	} ip_spec, ip_mask;
	struct rte_flow_item_tcp tcp_spec, tcp_mask;
};
void sw_steering_pattern_make(const struct sw_steering_rule *rule, struct sw_steering_pattern *out);

/* Likewise: what is to become of the packet, the same for all rules of a port. */
struct sw_steering_action {
	struct rte_flow_action actions[2];
	struct rte_flow_action_queue queue;
	struct rte_flow_action_rss rss;
	uint8_t key[SW_RSS_KEY_MAX];
	uint16_t queues[SW_RSS_RETA_MAX];
};

/* `types`: those of the port's own RSS. `key`: its key, of port->key_bytes; NULL: the driver's own. */
void sw_steering_action_make(unsigned int workers, const struct sw_rss_ability *port, uint64_t types,
	const uint8_t *key, struct sw_steering_action *out);

#endif
