// SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
/*
 * The XDP program: the first code of ours that a frame meets on an AF_XDP interface, and the only one while the
 * dataplane is gone.
 *
 *   frame -> which address is the server's (outside: the destination, inside: the source)?
 *         -> no protected address, not TCP, or an unprotected port        pass: the kernel bridge
 *         -> protected, source denied or blocked                          drop
 *         -> protected, or a protected address and nothing more to learn  the dataplane's socket of this queue;
 *            without one, or with a stale heartbeat                       the fail mode: pass or drop
 *
 * It decides nothing that needs more than one packet, and never drops what it does not understand: a protected address
 * with a header that it cannot follow goes to the dataplane, which counts it by reason.
 *
 * libxdp takes an attached program for its own, and so leaves it attached and fills its map, if it finds the names
 * xsk_def_prog and xsks_map and the version marker at the end.
 */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "../api/verdicts.h"
#include "wire_shared.h"
#include "wire_headers.h"

/* Set before the program is loaded, one program for each interface. */
const volatile uint8_t from_inside = 0; /* this interface is an inside end */
const volatile uint8_t steer_all = 0;
const volatile uint8_t fail_closed = 0;
const volatile uint32_t entries_max = 0; /* elements of entry_hits for each queue */

/* ---- maps: of this interface alone --------------------------------------------------------------------------------
 */

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, SW_WIRE_QUEUES_MAX);
	__type(key, uint32_t);
	__type(value, uint32_t);
} xsks_map SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SW_WIRE_COUNTER_COUNT);
	__type(key, uint32_t);
	__type(value, uint64_t);
} counters SEC(".maps");

/* ---- maps: shared by all interfaces of the box --------------------------------------------------------------------
 */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SW_WIRE_QUEUES_MAX);
	__type(key, uint32_t);
	__type(value, struct sw_wire_heartbeat);
} heartbeats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct sw_wire_settings);
} settings SEC(".maps");

/*
 * Frames dropped by each entry of the operator's lists: element queue * entries_max + entry. Rows by queue keep CPUs
 * apart; atomic, since queue i of several links may be served by several CPUs. The dataplane reads it through a
 * mapping.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, uint64_t);
} entry_hits SEC(".maps");

/* Addresses that the dataplane blocked; the value is the end, CLOCK_MONOTONIC. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, uint8_t[16]);
	__type(value, uint64_t);
} blocks SEC(".maps");

/*
 * A policy is three maps, made whole and then hung into slot 0 or 1 of these; settings.active says which is in force.
 * What hangs in the other slot is the policy before it. Sizes, not types: clang leaves the types of inner maps out of
 * BTF.
 */
struct server_trie {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(struct sw_wire_prefix_key));
	__uint(value_size, sizeof(struct sw_wire_zone));
};

struct port_array {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_INNER_MAP);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(uint32_t));
	__uint(value_size, sizeof(struct sw_wire_port_bitmap));
};

struct source_trie {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(struct sw_wire_prefix_key));
	__uint(value_size, sizeof(struct sw_wire_rule));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, uint32_t);
	__array(values, struct server_trie);
} server_sets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, uint32_t);
	__array(values, struct port_array);
} port_sets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, uint32_t);
	__array(values, struct source_trie);
} source_sets SEC(".maps");

/* ---- what a frame is ----------------------------------------------------------------------------------------------
 */

enum decision { PASS, TO_DATAPLANE, DROP_DENIED, DROP_BLOCKED };

/* Bits of what is known of (address, port). */
enum { PROTECTED = 1, ENFORCED = 2 };

/* Where the program reads in the frame. `at` grows; every read is checked against `end`. */
struct cursor {
	void *at, *end;
};

/* Two addresses of a packet, seen from this side, as trie keys. */
struct ends {
	struct sw_wire_prefix_key server, client;
};

struct policy {
	uint32_t active;
	uint32_t has_rules, has_blocks;
	uint32_t queue;
};

#define FITS(cursor, header) ((void *)((header) + 1) <= (cursor)->end)

static __always_inline void set_ipv4(struct sw_wire_prefix_key *key, const uint8_t *four)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->prefix_bits = 8 + 128;
	key->family = 4;
	key->address[10] = key->address[11] = 0xff;
	__builtin_memcpy(key->address + 12, four, 4);
}

/* An IPv4-mapped address in an IPv6 frame counts as the IPv4 address: the dataplane is to see and refuse it. */
static __always_inline void set_ipv6(struct sw_wire_prefix_key *key, const uint8_t *sixteen)
{
	uint32_t words[4];
	__builtin_memcpy(words, sixteen, 16);
	__builtin_memset(key, 0, sizeof(*key));
	key->prefix_bits = 8 + 128;
	key->family = words[0] == 0 && words[1] == 0 && words[2] == bpf_htonl(0xffff) ? 4 : 6;
	__builtin_memcpy(key->address, sixteen, 16);
}

/* `about`: the addresses are those of a packet that went the other way, inside an ICMP error. */
static __always_inline void ends_of_ipv4(struct ends *ends, const struct ipv4_header *ip, int about)
{
	const int inside = about ? !from_inside : from_inside;
	set_ipv4(&ends->server, inside ? ip->source : ip->destination);
	set_ipv4(&ends->client, inside ? ip->destination : ip->source);
}

static __always_inline void ends_of_ipv6(struct ends *ends, const struct ipv6_header *ip, int about)
{
	const int inside = about ? !from_inside : from_inside;
	set_ipv6(&ends->server, inside ? ip->source : ip->destination);
	set_ipv6(&ends->client, inside ? ip->destination : ip->source);
}

static __always_inline struct sw_wire_zone *find_zone(const struct policy *policy, const struct ends *ends)
{
	uint32_t active = policy->active;
	void *servers = bpf_map_lookup_elem(&server_sets, &active);
	return servers ? bpf_map_lookup_elem(servers, &ends->server) : 0;
}

static __always_inline int ask_bitmap(const struct policy *policy, const struct sw_wire_zone *zone, uint16_t port)
{
	uint32_t active = policy->active, index = zone->bitmap;
	void *ports = bpf_map_lookup_elem(&port_sets, &active);
	struct sw_wire_port_bitmap *bitmap = ports ? bpf_map_lookup_elem(ports, &index) : 0;
	if (!bitmap)
		return PROTECTED; /* sets out of step: rather too much to the dataplane than too little */
	const uint32_t word = port / 64 & (SW_WIRE_BITMAP_WORDS - 1);
	const uint64_t bit = 1ull << port % 64;
	return (bitmap->is_protected[word] & bit ? PROTECTED : 0) | (bitmap->enforced[word] & bit ? ENFORCED : 0);
}

static __always_inline int ask_port(const struct policy *policy, const struct sw_wire_zone *zone, uint16_t port)
{
	if (zone->kind == SW_WIRE_PORTS_ALL)
		return PROTECTED;
	if (zone->kind == SW_WIRE_PORTS_BITMAP)
		return ask_bitmap(policy, zone, port);
	for (int i = 0; i < SW_WIRE_RANGES; i++) {
		if (i >= zone->range_count || port < zone->ranges[i].first)
			break;
		if (port <= zone->ranges[i].last)
			return PROTECTED | (zone->enforced >> i & 1 ? ENFORCED : 0);
	}
	return 0;
}

/* ---- source lists --------------------------------------------------------------------------------------------------
 */

static __always_inline void count_entry(const struct policy *policy, uint32_t entry)
{
	uint32_t key = policy->queue * entries_max + entry;
	uint64_t *hits = entry < entries_max ? bpf_map_lookup_elem(&entry_hits, &key) : 0;
	if (hits)
		__sync_fetch_and_add(hits, 1);
}

static __always_inline enum decision ask_lists(const struct policy *policy, const struct ends *ends)
{
	uint64_t now = 0;
	uint32_t active = policy->active;
	if (policy->has_rules) {
		void *sources = bpf_map_lookup_elem(&source_sets, &active);
		struct sw_wire_rule *rule = sources ? bpf_map_lookup_elem(sources, &ends->client) : 0;
		if (rule && rule->blocked_until_ns) {
			now = bpf_ktime_get_ns();
			if (now < rule->blocked_until_ns) {
				count_entry(policy, rule->block_entry);
				return DROP_BLOCKED;
			}
		}
		if (rule && rule->otherwise == SW_WIRE_RULE_ALLOW)
			return TO_DATAPLANE;
		if (rule && rule->otherwise == SW_WIRE_RULE_DENY) {
			count_entry(policy, rule->deny_entry);
			return DROP_DENIED;
		}
	}
	if (policy->has_blocks) {
		uint64_t *until = bpf_map_lookup_elem(&blocks, ends->client.address);
		if (until && (now ? now : bpf_ktime_get_ns()) < *until)
			return DROP_BLOCKED;
	}
	return TO_DATAPLANE;
}

/* ---- TCP, ICMP -----------------------------------------------------------------------------------------------------
 */

static __always_inline enum decision decide_tcp(
    const struct policy *policy, const struct cursor *c, const struct ends *ends, const struct sw_wire_zone *zone)
{
	const struct port_pair *ports = c->at;
	if (!FITS(c, ports))
		return TO_DATAPLANE;
	const uint16_t port = bpf_ntohs(from_inside ? ports->source : ports->destination);
	const int known = ask_port(policy, zone, port);
	if (!(known & PROTECTED))
		return PASS;
	if (from_inside || !(known & ENFORCED))
		return TO_DATAPLANE;
	return ask_lists(policy, ends);
}

/* `zone`: of the outer address, for errors whose inner packet cannot be read. */
static __always_inline enum decision decide_icmp(
    const struct policy *policy, const struct cursor *c, struct ends *ends, const struct sw_wire_zone *zone)
{
	const struct icmp_header *icmp = c->at;
	if (!FITS(c, icmp))
		return PASS;
	/* Errors: unreachable, source quench, redirect, time exceeded, parameter problem (RFC 792). */
	if (icmp->type != 3 && icmp->type != 4 && icmp->type != 5 && icmp->type != 11 && icmp->type != 12)
		return PASS;
	const struct ipv4_header *inner = (void *)(icmp + 1);
	if (!FITS(c, inner))
		return zone ? TO_DATAPLANE : PASS;
	if (inner->protocol != PROTOCOL_TCP)
		return PASS;
	ends_of_ipv4(ends, inner, 1);
	return find_zone(policy, ends) ? TO_DATAPLANE : PASS;
}

static __always_inline enum decision decide_icmpv6(
    const struct policy *policy, const struct cursor *c, struct ends *ends, const struct sw_wire_zone *zone)
{
	const struct icmp_header *icmp = c->at;
	if (!FITS(c, icmp) || icmp->type < 1 || icmp->type > 4) /* the errors: RFC 4443, 2.1 and 3 */
		return PASS;
	const struct ipv6_header *inner = (void *)(icmp + 1);
	if (!FITS(c, inner))
		return zone ? TO_DATAPLANE : PASS;
	ends_of_ipv6(ends, inner, 1);
	return find_zone(policy, ends) ? TO_DATAPLANE : PASS;
}

/* ---- IP ------------------------------------------------------------------------------------------------------------
 */

static __always_inline enum decision decide_ipv4(const struct policy *policy, struct cursor *c)
{
	const struct ipv4_header *ip = c->at;
	struct ends ends;
	if (!FITS(c, ip))
		return PASS; /* cut before its addresses: concerns nobody */
	ends_of_ipv4(&ends, ip, 0);
	const struct sw_wire_zone *zone = find_zone(policy, &ends);
	if (!zone && ip->protocol != PROTOCOL_ICMP)
		return PASS;

	const uint32_t header_bytes = (ip->version_length & 15u) * 4;
	const uint32_t total_bytes = bpf_ntohs(ip->total_bytes);
	const uint64_t left = c->end - c->at;
	if (ip->version_length >> 4 != 4 || header_bytes < sizeof(*ip) || header_bytes > total_bytes || total_bytes > left)
		return zone ? TO_DATAPLANE : PASS;
	c->at += header_bytes;
	if (ip->fragment & bpf_htons(IPV4_FRAGMENT))
		return zone && ip->protocol == PROTOCOL_TCP ? TO_DATAPLANE : PASS;
	if (ip->protocol == PROTOCOL_ICMP)
		return decide_icmp(policy, c, &ends, zone);
	return zone && ip->protocol == PROTOCOL_TCP ? decide_tcp(policy, c, &ends, zone) : PASS;
}

static __always_inline int is_extension(uint8_t protocol)
{
	return protocol == PROTOCOL_HOP_BY_HOP || protocol == PROTOCOL_ROUTING || protocol == PROTOCOL_FRAGMENT ||
	       protocol == PROTOCOL_AH || protocol == PROTOCOL_OPTIONS;
}

enum walk { WALK_ARRIVED, WALK_FRAGMENT, WALK_LOST };

/* Steps over extension headers: `*protocol` and the cursor are then those of what follows, or of a fragment's. */
static __always_inline enum walk walk_extensions(struct cursor *c, uint8_t *protocol)
{
	for (int i = 0; i < IPV6_EXTENSIONS_MAX; i++) {
		const struct ipv6_extension *extension = c->at;
		const uint8_t kind = *protocol;
		if (!is_extension(kind))
			return WALK_ARRIVED;
		if (!FITS(c, extension))
			return WALK_LOST;
		uint32_t bytes = (extension->length + 1u) * 8;
		if (kind == PROTOCOL_AH)
			bytes = (extension->length + 2u) * 4; /* RFC 4302, 2.2 */
		if (kind == PROTOCOL_FRAGMENT)
			bytes = sizeof(*extension);
		*protocol = extension->next;
		c->at += bytes;
		if (kind == PROTOCOL_FRAGMENT && extension->fragment & bpf_htons(IPV6_FRAGMENT))
			return WALK_FRAGMENT;
	}
	return is_extension(*protocol) ? WALK_LOST : WALK_ARRIVED;
}

static __always_inline enum decision decide_ipv6(const struct policy *policy, struct cursor *c)
{
	const struct ipv6_header *ip = c->at;
	struct ends ends;
	if (!FITS(c, ip))
		return PASS;
	ends_of_ipv6(&ends, ip, 0);
	const struct sw_wire_zone *zone = find_zone(policy, &ends);
	uint8_t protocol = ip->next;
	if (!zone && protocol != PROTOCOL_ICMPV6 && !is_extension(protocol))
		return PASS;

	const uint64_t left = c->end - c->at;
	if (ip->version_class[0] >> 4 != 6 || sizeof(*ip) + bpf_ntohs(ip->payload_bytes) > left)
		return zone ? TO_DATAPLANE : PASS;
	c->at += sizeof(*ip);
	const enum walk walk = walk_extensions(c, &protocol);
	if (walk == WALK_LOST)
		return zone ? TO_DATAPLANE : PASS;
	if (walk == WALK_FRAGMENT) /* of a later one the protocol behind further extensions is unknown */
		return zone && (protocol == PROTOCOL_TCP || is_extension(protocol)) ? TO_DATAPLANE : PASS;
	if (protocol == PROTOCOL_ICMPV6)
		return decide_icmpv6(policy, c, &ends, zone);
	return zone && protocol == PROTOCOL_TCP ? decide_tcp(policy, c, &ends, zone) : PASS;
}

static __always_inline enum decision decide(const struct policy *policy, struct cursor *c)
{
	const struct ethernet_header *ethernet = c->at;
	if (!FITS(c, ethernet))
		return PASS;
	uint16_t type = ethernet->type;
	c->at = (void *)(ethernet + 1);
	for (int i = 0; i < VLAN_TAGS_MAX; i++) {
		const struct vlan_header *vlan = c->at;
		if (type != bpf_htons(ETHERTYPE_VLAN) && type != bpf_htons(ETHERTYPE_SERVICE) &&
		    type != bpf_htons(ETHERTYPE_OLD_QINQ))
			break;
		if (!FITS(c, vlan))
			return PASS;
		type = vlan->type;
		c->at = (void *)(vlan + 1);
	}
	if (type == bpf_htons(ETHERTYPE_IPV4))
		return decide_ipv4(policy, c);
	return type == bpf_htons(ETHERTYPE_IPV6) ? decide_ipv6(policy, c) : PASS;
}

/* ---- verdict -------------------------------------------------------------------------------------------------------
 */

static __always_inline int count_and(enum sw_wire_counter counter, int verdict)
{
	uint32_t key = counter;
	uint64_t *value = bpf_map_lookup_elem(&counters, &key);
	if (value)
		*value += 1; /* per CPU, and XDP is not interrupted by itself */
	return verdict;
}

static __always_inline int hand_over(struct xdp_md *ctx)
{
	uint32_t queue = ctx->rx_queue_index;
	if (!bpf_map_lookup_elem(&xsks_map, &queue))
		return fail_closed ? count_and(SW_WIRE_DROPPED_NO_DATAPLANE, XDP_DROP)
		                   : count_and(SW_WIRE_PASSED_NO_DATAPLANE, XDP_PASS);

	struct sw_wire_heartbeat *heartbeat = bpf_map_lookup_elem(&heartbeats, &queue);
	/* The worker's beat may be of another CPU's clock, a little ahead: the difference is signed. */
	if (!heartbeat || !heartbeat->last_ns ||
	    (int64_t)(bpf_ktime_get_ns() - heartbeat->last_ns) > (int64_t)heartbeat->timeout_ns)
		return fail_closed ? count_and(SW_WIRE_DROPPED_STALE, XDP_DROP) : count_and(SW_WIRE_PASSED_STALE, XDP_PASS);

	/* The socket may have gone since it was looked up: what comes back then is the fallback in the flags. */
	const long verdict = bpf_redirect_map(&xsks_map, queue, fail_closed ? XDP_DROP : XDP_PASS);
	if (verdict == XDP_REDIRECT)
		return count_and(SW_WIRE_REDIRECTED, XDP_REDIRECT);
	return fail_closed ? count_and(SW_WIRE_DROPPED_NO_DATAPLANE, XDP_DROP)
	                   : count_and(SW_WIRE_PASSED_NO_DATAPLANE, XDP_PASS);
}

SEC("xdp")
int xsk_def_prog(struct xdp_md *ctx)
{
	struct cursor cursor = {.at = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end};
	uint32_t zero = 0;
	const struct sw_wire_settings *now = bpf_map_lookup_elem(&settings, &zero);
	if (!now)
		return XDP_ABORTED; /* cannot be: an array always has its elements */
	struct policy policy = {.active = now->active & 1, .has_blocks = now->has_blocks, .queue = ctx->rx_queue_index};
	policy.has_rules = now->has_rules[policy.active];

	enum decision decision = TO_DATAPLANE;
	if (!steer_all || policy.has_rules || policy.has_blocks)
		decision = decide(&policy, &cursor);
	if (decision == DROP_DENIED)
		return count_and(SW_WIRE_DROPPED_DENIED, XDP_DROP);
	if (decision == DROP_BLOCKED)
		return count_and(SW_WIRE_DROPPED_BLOCKED, XDP_DROP);
	if (decision == PASS && !steer_all)
		return count_and(SW_WIRE_PASSED_NOT_PROTECTED, XDP_PASS);
	return hand_over(ctx);
}

/* The marker by which libxdp 1.3 knows a program that it may share (its XSK_PROG_VERSION). */
__uint(xsk_prog_version, 1) SEC("xdp_metadata");

char wire_licence[] SEC("license") = "Dual BSD/GPL";
