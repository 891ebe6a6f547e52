/* SPDX-License-Identifier: BSD-3-Clause */
#include "steering.h"

#include <stdlib.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_ethdev.h>
#include <rte_tcp.h>

/* ---- from targets to rules --------------------------------------------------------------------------------------- */

unsigned int sw_port_blocks(uint16_t first, uint16_t last, struct sw_port_block *out)
{
	unsigned int count = 0;
	for (uint32_t at = first == 1 ? 0 : first; at <= last;) {
		/* The largest block that begins here: as aligned as `at`, and no longer than what is left. */
		uint32_t size = at ? at & -at : 1u << 16;
		while (size > (uint32_t)last - at + 1)
			size /= 2;
		out[count++] = (struct sw_port_block){.port = (uint16_t)at, .mask = (uint16_t)~(size - 1)};
		at += size;
	}
	return count;
}

#define ORDER(x, y) (((x) > (y)) - ((x) < (y)))

int sw_steering_compare(const void *a, const void *b)
{
	const struct sw_steering_rule *x = a, *y = b;
	if (x->server.length != y->server.length)
		return ORDER(x->server.length, y->server.length);
	if (x->ports.mask != y->ports.mask)
		return ORDER(x->ports.mask, y->ports.mask);
	const int addresses = memcmp(&x->server.address, &y->server.address, sizeof(x->server.address));
	return addresses ? addresses : ORDER(x->ports.port, y->ports.port);
}

static bool covers(const struct sw_steering_rule *wide, const struct sw_steering_rule *narrow)
{
	return wide->server.length <= narrow->server.length && wide->ports.mask <= narrow->ports.mask &&
		(narrow->ports.port & wide->ports.mask) == wide->ports.port &&
		sw_prefix_contains(&wide->server, &narrow->server.address);
}

/* Sorts, and takes out what others cover: drivers refuse a second rule for the same packets. */
static void reduce(struct sw_steering_rules *r)
{
	unsigned int kept = 0;
	qsort(r->rules, r->count, sizeof(r->rules[0]), sw_steering_compare);
	for (unsigned int i = 0; i < r->count; i++) {
		bool covered = false;
		for (unsigned int k = 0; k < kept && !covered; k++)
			covered = covers(&r->rules[k], &r->rules[i]);
		if (!covered)
			r->rules[kept++] = r->rules[i];
	}
	r->count = kept;
}

/* Services in their order, each whole or not at all. */
static void choose_services(const uint16_t needs[SW_SERVICES_MAX], bool chosen[SW_SERVICES_MAX],
	struct sw_steering_rules *out)
{
	unsigned int sum = 0;
	for (uint32_t s = 0; s < SW_SERVICES_MAX; s++) {
		chosen[s] = needs[s] <= SW_STEERING_RULES_PER_SERVICE && sum + needs[s] <= SW_STEERING_RULES_MAX;
		if (chosen[s])
			sum += needs[s];
		else if (out->left_out++ == 0)
			out->first_left_out = s;
	}
}

void sw_steering_rules_make(const struct sw_target *targets, uint32_t count, struct sw_steering_rules *out)
{
	struct sw_port_block blocks[SW_PORT_BLOCKS_MAX];
	uint16_t needs[SW_SERVICES_MAX] = {0};
	bool chosen[SW_SERVICES_MAX];
	*out = (struct sw_steering_rules){.count = 0, .first_left_out = SW_NONE};
	for (uint32_t i = 0; i < count; i++) {
		uint16_t *need = &needs[targets[i].service];
		if (*need <= SW_STEERING_RULES_PER_SERVICE) /* more is too much already, and would wrap */
			*need = (uint16_t)(*need + sw_port_blocks(targets[i].port_first, targets[i].port_last, blocks));
	}
	choose_services(needs, chosen, out);
	for (uint32_t i = 0; i < count; i++) {
		if (!chosen[targets[i].service])
			continue;
		const unsigned int n = sw_port_blocks(targets[i].port_first, targets[i].port_last, blocks);
		for (unsigned int b = 0; b < n; b++)
			out->rules[out->count++] = (struct sw_steering_rule){.server = targets[i].server, .ports = blocks[b]};
	}
	reduce(out);
}

void sw_steering_probe_rules(struct sw_steering_rule out[SW_STEERING_PROBES])
{
	static const uint8_t ipv4[4] = {192, 0, 2, 1}, ipv6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
	const struct sw_address servers[SW_STEERING_PROBES] = {sw_address_from_ipv4(ipv4), sw_address_from_ipv6(ipv6)};
	for (unsigned int i = 0; i < SW_STEERING_PROBES; i++)
		out[i] = (struct sw_steering_rule){.server = {.address = servers[i], .length = 128}, .ports = {80, 0xffff}};
}

/* ---- from rules to rte_flow -------------------------------------------------------------------------------------- */

static void match_ipv4(const struct sw_prefix *server, struct sw_steering_pattern *out)
{
	const unsigned int length = server->length - SW_IPV4_MAPPED_BITS;
	out->items[1].type = RTE_FLOW_ITEM_TYPE_IPV4;
	if (length == 0)
		return;
	memcpy(&out->ip_spec.ipv4.hdr.dst_addr, server->address.bytes + 12, 4);
	out->ip_mask.ipv4.hdr.dst_addr = rte_cpu_to_be_32(UINT32_MAX << (32 - length));
}

static void match_ipv6(const struct sw_prefix *server, struct sw_steering_pattern *out)
{
	struct sw_address mask;
	memset(&mask, 0xff, sizeof(mask));
	mask = sw_address_mask(mask, server->length);
	out->items[1].type = RTE_FLOW_ITEM_TYPE_IPV6;
	memcpy(out->ip_spec.ipv6.hdr.dst_addr, server->address.bytes, 16);
	memcpy(out->ip_mask.ipv6.hdr.dst_addr, mask.bytes, 16);
}

void sw_steering_pattern_make(const struct sw_steering_rule *rule, struct sw_steering_pattern *out)
{
	const bool is_ipv4 = rule->server.length >= SW_IPV4_MAPPED_BITS && sw_address_is_ipv4(&rule->server.address);
	memset(out, 0, sizeof(*out));
	out->attr.ingress = 1;
	out->items[0].type = RTE_FLOW_ITEM_TYPE_ETH; /* tagged or not, as far as the driver can */
	if (is_ipv4)
		match_ipv4(&rule->server, out);
	else
		match_ipv6(&rule->server, out);
	if (rule->server.length > (is_ipv4 ? SW_IPV4_MAPPED_BITS : 0)) { /* an item with neither: any address */
		out->items[1].spec = &out->ip_spec;
		out->items[1].mask = &out->ip_mask;
	}
	/* ECN's two flags may stand beside SYN (RFC 3168, 6.1.1); no data, no URG, PSH is no business of ours. */
	out->tcp_spec.hdr.tcp_flags = RTE_TCP_SYN_FLAG;
	out->tcp_mask.hdr.tcp_flags = RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG | RTE_TCP_RST_FLAG | RTE_TCP_FIN_FLAG;
	out->tcp_spec.hdr.dst_port = rte_cpu_to_be_16(rule->ports.port);
	out->tcp_mask.hdr.dst_port = rte_cpu_to_be_16(rule->ports.mask);
	out->items[2] = (struct rte_flow_item){.type = RTE_FLOW_ITEM_TYPE_TCP, .spec = &out->tcp_spec,
		.mask = &out->tcp_mask};
	out->items[3].type = RTE_FLOW_ITEM_TYPE_END;
}

/*
 * Drivers repeat the list of queues until it fills a table of their choice. Repeated, a list whose length is a power
 * of two gives what sw_rss_reta_queue() gives, whatever that table's size; another has to be as long as the port's.
 */
static unsigned int list_length(unsigned int workers, uint32_t reta_entries)
{
	return (workers & (workers - 1)) == 0 ? workers : reta_entries;
}

void sw_steering_action_make(unsigned int workers, const struct sw_rss_ability *port, uint64_t types,
	const uint8_t *key, struct sw_steering_action *out)
{
	memset(out, 0, sizeof(*out));
	out->actions[1].type = RTE_FLOW_ACTION_TYPE_END;
	if (workers == 1) { /* nothing to spread, and more NICs can do this */
		out->queue.index = 1;
		out->actions[0] = (struct rte_flow_action){.type = RTE_FLOW_ACTION_TYPE_QUEUE, .conf = &out->queue};
		return;
	}
	const unsigned int length = list_length(workers, port->reta_entries);
	for (unsigned int i = 0; i < length; i++)
		out->queues[i] = (uint16_t)(workers + sw_rss_reta_queue(i, workers));
	out->rss = (struct rte_flow_action_rss){.func = RTE_ETH_HASH_FUNCTION_DEFAULT, .types = types, .queue_num = length,
		.queue = out->queues};
	if (key) {
		memcpy(out->key, key, port->key_bytes);
		out->rss.key = out->key;
		out->rss.key_len = port->key_bytes;
	}
	out->actions[0] = (struct rte_flow_action){.type = RTE_FLOW_ACTION_TYPE_RSS, .conf = &out->rss};
}

const char *sw_steering_why_not(unsigned int workers, const struct sw_rss_ability *port, bool is_nic,
	uint32_t buffers_free, uint32_t buffers)
{
	if (!is_nic || port->single_queue)
		return "it is no NIC of its own";
	if (port->queues_max < 2 * workers)
		return "it has fewer than two receive queues for each worker";
	if (port->reta_entries < workers || port->reta_entries > SW_RSS_RETA_MAX)
		return "it has no indirection table that keeps other packets off them";
	if (sw_rss_spread_types(port->offloads) == 0 || port->key_bytes > SW_RSS_KEY_MAX)
		return "it cannot hash addresses";
	if (buffers_free < buffers)
		return "boot.mbufs has no room for their descriptors";
	return NULL;
}
