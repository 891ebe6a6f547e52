/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The way through a frame: sw_frame_parse -> parse_ipv4 or parse_ipv6 -> parse_tcp. This is the complete parser, which
 * finds out what exactly is the matter; the packet path asks it about those frames that frame_plain.h does not take.
 * IPv6 extension headers: frame_ipv6.c; ICMP errors: frame_icmp.c.
 */
#include "frame_internal.h"
#include "tcp_options.h"
#include "checksum.h"

enum {
	ETHERTYPE_VLAN = 0x8100,        /* IEEE 802.1Q, C-tag */
	ETHERTYPE_QINQ = 0x88a8,        /* IEEE 802.1Q, S-tag (802.1ad) */
	ETHERTYPE_QINQ_BEFORE = 0x9100, /* S-tag of devices older than 802.1ad */
	VLAN_ID_MASK = 0x0fff,
	VLAN_TAGS_MAX = 2,

	IPV4_MORE_FRAGMENTS = 0x2000, /* RFC 791, 3.1 */
	IPV4_FRAGMENT_OFFSET = 0x1fff,
	IP_PACKET_MAX = 65535,
};

/* The four bytes NOP NOP Timestamps 10, as RFC 7323, appendix A recommends them. */
#define NOP_NOP_TIMESTAMPS 0x0101080au

/* Multicast, or the broadcast address. */
static bool ipv4_is_group(const uint8_t *a)
{
	const uint32_t address = sw_load_be32(a);

	return address >> 28 == 14 || address == 0xffffffffu;
}

/*
 * Sources no host may have (RFC 1122, 3.2.1.3; RFC 4291, 2.5.2, 2.5.3 and 2.7). 240.0.0.0/4 is not among them: it was
 * only ever reserved, and some networks use it.
 */
static bool ipv4_source_impossible(const uint8_t *a)
{
	const uint8_t network = a[0];

	return (uint8_t)(network - 1) >= 126 && (network == 0 || network == 127 || ipv4_is_group(a));
}

static bool ipv6_source_impossible(const uint8_t *a)
{
	static const uint8_t zero[15];

	return a[0] == 0xff || (a[0] == 0 && memcmp(a, zero, 15) == 0 && a[15] <= 1);
}

/*
 * Only for TCP: other protocols have their reasons for some of these (DHCP, ND, IGMP). Read from the frame and not from
 * `out`, whose addresses have only just been written.
 */
static bool tcp_addresses_possible(const uint8_t *frame, struct sw_packet *out)
{
	const uint8_t *ip = frame + out->l3_offset;
	bool source_bad, destination_bad;

	if (out->is_ipv6) {
		source_bad = ipv6_source_impossible(ip + 8) || memcmp(ip + 8, ip + 24, 16) == 0;
		destination_bad = ip[24] == 0xff;
	} else {
		source_bad = ipv4_source_impossible(ip + 12) || memcmp(ip + 12, ip + 16, 4) == 0;
		destination_bad = ipv4_is_group(ip + 16);
	}
	/* An answer goes to the frame's own MACs, swapped: neither may be a group (RFC 1122, 4.2.3.10). */
	if (sw_unlikely(source_bad || frame[6] & 1)) {
		sw_frame_malformed(out, SW_DROP_SOURCE_IMPOSSIBLE);
		return false;
	}
	if (sw_unlikely(destination_bad || frame[0] & 1)) {
		sw_frame_malformed(out, SW_DROP_DESTINATION_IMPOSSIBLE);
		return false;
	}
	return true;
}

static bool parse_tcp_options(const uint8_t *frame, uint32_t at, uint32_t length, struct sw_packet *out)
{
	struct sw_tcp_options options;

	if (sw_likely(length == 12 && sw_load_be32(frame + at) == NOP_NOP_TIMESTAMPS)) {
		out->options = SW_OPTION_TIMESTAMPS;
		out->timestamp_offset = (uint16_t)(at + 4);
		out->tsval = sw_load_be32(frame + at + 4);
		out->tsecr = sw_load_be32(frame + at + 8);
		return true;
	}
	if (sw_likely(length == 4 && sw_load_be16(frame + at) == SW_MSS_OF_4)) { /* the least of SYNs, and most floods */
		out->mss = sw_load_be16(frame + at + 2);
		return true;
	}
	if (!sw_tcp_options_parse(frame + at, length, &options))
		return false;
	out->options = options.present;
	out->mss = options.mss;
	out->window_scale = options.window_scale;
	out->tsval = options.tsval;
	out->tsecr = options.tsecr;
	if (options.timestamp_at >= 0)
		out->timestamp_offset = (uint16_t)((int)at + options.timestamp_at);
	if (options.sack_at >= 0)
		out->sack_offset = (uint16_t)((int)at + options.sack_at);
	out->sack_blocks = options.sack_blocks;
	return true;
}

/* RFC 9293, 3.1. l4_offset and frame_bytes are set. */
static void parse_tcp(const uint8_t *frame, struct sw_packet *out)
{
	const uint8_t *tcp = frame + out->l4_offset;
	const uint32_t there = (uint32_t)(out->frame_bytes - out->l4_offset);
	/* A first fragment without the whole header hides flags or options from us (RFC 1858, 3; RFC 7112, 5). */
	const enum sw_drop_reason cut = out->is_fragment ? SW_DROP_FRAGMENT_BAD : SW_DROP_TCP_HEADER_BAD;
	uint32_t header;

	if (sw_likely(there >= 4))
		sw_frame_ports(out, tcp, out->side == SW_OUTSIDE);
	if (!tcp_addresses_possible(frame, out))
		return;
	if (sw_unlikely(there < SW_TCP_BYTES))
		return sw_frame_malformed(out, cut);
	header = (uint32_t)(tcp[12] >> 4) * 4;
	if (sw_unlikely(header < SW_TCP_BYTES))
		return sw_frame_malformed(out, SW_DROP_TCP_HEADER_BAD);
	if (sw_unlikely(header > there))
		return sw_frame_malformed(out, cut);
	if (sw_unlikely(out->client_port == 0 || out->server_port == 0))
		return sw_frame_malformed(out, SW_DROP_TCP_PORT_ZERO);
	out->tcp_flags = tcp[13];
	if (sw_unlikely(!sw_tcp_flags_possible(out->tcp_flags)))
		return sw_frame_malformed(out, SW_DROP_TCP_FLAGS_BAD);
	if (header > SW_TCP_BYTES && !parse_tcp_options(frame, out->l4_offset + SW_TCP_BYTES, header - SW_TCP_BYTES, out))
		return sw_frame_malformed(out, SW_DROP_TCP_OPTIONS_BAD);
	out->seq = sw_load_be32(tcp + 4);
	out->ack = sw_load_be32(tcp + 8);
	out->window = sw_load_be16(tcp + 14);
	out->payload_offset = (uint16_t)(out->l4_offset + header);
	out->payload_bytes = (uint16_t)(there - header);
	out->kind = SW_PACKET_TCP;
}

/*
 * A fragment whose TCP header, or extension headers in front of one, may begin in the packet at 0. `at`: its offset in
 * the packet; `bytes`: of its payload; `headers`: of the IPv4 header, which counts towards the 65,535 bytes. Returns
 * whether it is a first fragment, to be parsed on.
 * A later fragment that begins where a TCP header may still reach would overwrite what was judged in the first
 * (RFC 1858, 4; RFC 3128, 2; RFC 5722, 4). No link is so small as to make such fragments honestly: the smallest MTU,
 * 68, leaves room for 48 bytes, and nobody splits there.
 */
static bool parse_fragment(struct sw_packet *out, uint32_t at, uint32_t bytes, uint32_t headers, bool more)
{
	out->is_fragment = 1;
	if (bytes == 0 || (more && bytes % 8 != 0) || headers + at + bytes > IP_PACKET_MAX ||
		(at > 0 && at < SW_TCP_BYTES_MAX)) {
		sw_frame_malformed(out, SW_DROP_FRAGMENT_BAD);
		return false;
	}
	if (at > 0)
		out->kind = SW_PACKET_FRAGMENT;
	return at == 0;
}

/* RFC 791, 3.1. `end`: bytes of the frame. */
static void parse_ipv4(const uint8_t *frame, uint32_t l3, uint32_t end, struct sw_packet *out)
{
	const uint8_t *ip = frame + l3;
	uint32_t header, total, fragment;

	if (sw_unlikely(end - l3 < SW_IPV4_BYTES))
		return;
	sw_frame_addresses_ipv4(out, ip, out->side == SW_OUTSIDE);
	header = (uint32_t)(ip[0] & 15) * 4;
	total = sw_load_be16(ip + 2);
	if (sw_unlikely(ip[0] >> 4 != 4 || header < SW_IPV4_BYTES || header > total || total > end - l3))
		return sw_frame_malformed(out, SW_DROP_IPV4_HEADER_BAD);
	out->protocol = ip[9];
	out->l4_offset = (uint16_t)(l3 + header);
	out->frame_bytes = (uint16_t)(l3 + total);
	fragment = sw_load_be16(ip + 6);
	if (sw_likely(out->protocol == SW_PROTO_TCP)) {
		const bool more = fragment & IPV4_MORE_FRAGMENTS;

		if (sw_unlikely(fragment & (IPV4_MORE_FRAGMENTS | IPV4_FRAGMENT_OFFSET)) &&
			!parse_fragment(out, (fragment & IPV4_FRAGMENT_OFFSET) * 8, total - header, header, more))
			return;
		parse_tcp(frame, out);
	} else if (out->protocol == SW_PROTO_ICMP && !(fragment & (IPV4_MORE_FRAGMENTS | IPV4_FRAGMENT_OFFSET))) {
		sw_frame_icmp(frame, out, false);
	}
}

static bool may_lead_to_tcp(uint8_t protocol)
{
	return protocol == SW_PROTO_TCP || protocol == SW_PROTO_HOP_BY_HOP || protocol == SW_PROTO_ROUTING ||
		   protocol == SW_PROTO_DESTINATION_OPTIONS || protocol == SW_PROTO_AH || protocol == SW_PROTO_FRAGMENT;
}

/* Returns whether there is more to parse at l4_offset. */
static bool parse_ipv6_extensions(const uint8_t *frame, uint32_t at, struct sw_packet *out)
{
	const struct sw_extension_walk walk = sw_frame_walk_extensions(frame, at, out->frame_bytes, out->protocol);

	out->protocol = walk.protocol;
	out->l4_offset = (uint16_t)walk.at;
	if (walk.is_bad) {
		/* Of a first fragment: RFC 7112, 5 wants all headers in it. */
		sw_frame_malformed(out, walk.is_fragment ? SW_DROP_FRAGMENT_BAD : SW_DROP_IPV6_EXTENSION_BAD);
		return false;
	}
	if (!walk.is_fragment)
		return true;
	return may_lead_to_tcp(walk.protocol) &&
		   parse_fragment(out, walk.fragment_at, walk.fragment_bytes, 0, walk.more_fragments);
}

/* RFC 8200, 3. */
static void parse_ipv6(const uint8_t *frame, uint32_t l3, uint32_t end, struct sw_packet *out)
{
	const uint8_t *ip = frame + l3;
	uint32_t payload;

	if (sw_unlikely(end - l3 < SW_IPV6_BYTES))
		return;
	out->is_ipv6 = 1;
	sw_frame_addresses_ipv6(out, ip, out->side == SW_OUTSIDE);
	payload = sw_load_be16(ip + 4);
	if (sw_unlikely(ip[0] >> 4 != 6 || payload > end - l3 - SW_IPV6_BYTES))
		return sw_frame_malformed(out, SW_DROP_IPV6_HEADER_BAD);
	/* Must not appear on a wire (draft-itojun-v6ops-v4mapped-harmful), and would pass for IPv4 here. */
	if (sw_unlikely(sw_address_is_ipv4(&out->client) || sw_address_is_ipv4(&out->server)))
		return sw_frame_malformed(out, SW_DROP_SOURCE_IMPOSSIBLE);
	out->protocol = ip[6];
	out->l4_offset = (uint16_t)(l3 + SW_IPV6_BYTES);
	out->frame_bytes = (uint16_t)(l3 + SW_IPV6_BYTES + payload);
	if (sw_unlikely(out->protocol != SW_PROTO_TCP) && !parse_ipv6_extensions(frame, out->l4_offset, out))
		return;
	if (sw_likely(out->protocol == SW_PROTO_TCP))
		parse_tcp(frame, out);
	else if (out->protocol == SW_PROTO_ICMPV6 && !out->is_fragment)
		sw_frame_icmp(frame, out, true);
}

static bool is_vlan_tag(uint16_t type)
{
	return type == ETHERTYPE_VLAN || type == ETHERTYPE_QINQ || type == ETHERTYPE_QINQ_BEFORE;
}

/* Steps over the tags in front of the EtherType at *at; false when the frame ends there or has too many. */
static bool parse_vlan_tags(const uint8_t *frame, uint32_t bytes, uint32_t *at, uint16_t *type, struct sw_packet *out)
{
	unsigned int vlans = 0;

	for (unsigned int tag = 0; is_vlan_tag(*type); tag++) {
		if (tag == VLAN_TAGS_MAX || bytes - *at < 6) /* this EtherType, the tag, and the EtherType behind */
			return false;
		const uint32_t id = sw_load_be16(frame + *at + 2) & VLAN_ID_MASK;
		if (id != 0) /* 0: a priority and no VLAN (IEEE 802.1Q, 9.6); the other end may well answer without */
			out->vlan |= (id | SW_VLAN_PRESENT) << 16 * vlans++;
		*at += 4;
		*type = sw_load_be16(frame + *at);
	}
	return true;
}

/* Vector stores, spelled out: gcc makes `rep stosq` of an initialiser or memset, a quarter of the whole cost. */
static inline void clear(struct sw_packet *out)
{
	typedef uint64_t pair __attribute__((vector_size(16), aligned(4), may_alias));
	pair *to = (pair *)out;
	const pair zero = {0, 0};

	_Static_assert(sizeof(*out) == 5 * sizeof(pair) + 8, "clear() has a store for each part of struct sw_packet");
	to[0] = zero;
	to[1] = zero;
	to[2] = zero;
	to[3] = zero;
	to[4] = zero;
	memset(to + 5, 0, 8);
}

void sw_frame_parse(const uint8_t *frame, uint32_t bytes, enum sw_side side, struct sw_packet *out)
{
	uint32_t at = SW_ETHERNET_BYTES - 2;
	uint16_t type;

	clear(out);
	out->kind = SW_PACKET_OTHER;
	out->side = (uint8_t)side;
	out->window_scale = SW_WINDOW_SCALE_NONE;
	if (sw_unlikely(bytes < SW_ETHERNET_BYTES))
		return;
	if (sw_unlikely(bytes > UINT16_MAX)) /* no wire carries it; an IP length beyond this then does not fit */
		bytes = UINT16_MAX;
	type = sw_load_be16(frame + at);
	if (sw_unlikely(is_vlan_tag(type)) && !parse_vlan_tags(frame, bytes, &at, &type, out))
		return;
	out->l3_offset = (uint16_t)(at + 2);
	if (sw_likely(type == SW_ETHERTYPE_IPV4))
		parse_ipv4(frame, at + 2, bytes, out);
	else if (type == SW_ETHERTYPE_IPV6)
		parse_ipv6(frame, at + 2, bytes, out);
}

static uint64_t tcp_sum(const uint8_t *frame, const struct sw_packet *p)
{
	const bool outside = p->side == SW_OUTSIDE;
	const uint8_t *source = (outside ? &p->client : &p->server)->bytes;
	const uint8_t *destination = (outside ? &p->server : &p->client)->bytes;
	const uint16_t bytes = (uint16_t)(p->frame_bytes - p->l4_offset);
	const uint64_t pseudo = p->is_ipv6 ? sw_checksum_pseudo_ipv6(source, destination, SW_PROTO_TCP, bytes)
									   : sw_checksum_pseudo_ipv4(source + 12, destination + 12, SW_PROTO_TCP, bytes);

	return sw_checksum_add(pseudo, frame + p->l4_offset, bytes);
}

uint16_t sw_frame_tcp_checksum(const uint8_t *frame, const struct sw_packet *p)
{
	uint16_t field;

	memcpy(&field, frame + p->l4_offset + 16, 2);
	return sw_checksum_finish(tcp_sum(frame, p) + (uint16_t)~field); /* adding the inverse takes the field out */
}

bool sw_frame_checksums_ok(const uint8_t *frame, const struct sw_packet *p)
{
	const uint8_t *ip = frame + p->l3_offset;

	if (!p->is_ipv6 && sw_checksum_fold(sw_checksum_add(0, ip, (size_t)(p->l4_offset - p->l3_offset))) != 0xffff)
		return false;
	return sw_checksum_fold(tcp_sum(frame, p)) == 0xffff;
}
