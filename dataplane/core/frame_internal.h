/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the parser share among themselves; nobody else includes it but by way of frame_plain.h. */
#ifndef SW_FRAME_INTERNAL_H
#define SW_FRAME_INTERNAL_H

#include "frame.h"

#define sw_unlikely(x) __builtin_expect(!!(x), 0)
#define sw_likely(x) __builtin_expect(!!(x), 1)

enum {
	SW_ETHERTYPE_IPV4 = 0x0800,
	SW_ETHERTYPE_IPV6 = 0x86dd,

	SW_ETHERNET_BYTES = 14,
	SW_IPV4_BYTES = 20, /* without options */
	SW_IPV6_BYTES = 40,
	SW_TCP_BYTES = 20,
	SW_TCP_BYTES_MAX = 60,
	SW_MSS_OF_4 = 0x0204, /* kind 2, length 4 (RFC 9293, 3.2) */

	/* https://www.iana.org/assignments/protocol-numbers */
	SW_PROTO_HOP_BY_HOP = 0,
	SW_PROTO_ICMP = 1,
	SW_PROTO_TCP = 6,
	SW_PROTO_ROUTING = 43,
	SW_PROTO_FRAGMENT = 44,
	SW_PROTO_AH = 51,
	SW_PROTO_ICMPV6 = 58,
	SW_PROTO_DESTINATION_OPTIONS = 60,
};

static inline uint16_t sw_load_be16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, 2);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	v = __builtin_bswap16(v);
#endif
	return v;
}

static inline uint32_t sw_load_be32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	v = __builtin_bswap32(v);
#endif
	return v;
}

/*
 * RFC 9293, 3.10.7.4: a segment that is neither SYN nor RST carries ACK, one that carries none of the four nothing that
 * TCP knows; SYN with FIN or RST asks for two things at once. A bit for each value of the low five flags, so that the
 * byte is the index as it is; PSH, with 8, changes nothing.
 */
static inline bool sw_tcp_flags_possible(uint8_t flags)
{
	const uint32_t without_ack = 1u << 0 /* none */ | 1u << 1 /* FIN */ | 1u << 3 | 1u << 6 | 1u << 7; /* see below */
	const uint32_t with_ack = 1u << 3 | 1u << 6 | 1u << 7; /* SYN with FIN, with RST, with both */
	const uint32_t impossible = (without_ack | without_ack << 8) | (with_ack | with_ack << 8) << 16;

	return !(impossible >> (flags & 31) & 1);
}

static inline void sw_frame_malformed(struct sw_packet *out, enum sw_drop_reason reason)
{
	out->kind = SW_PACKET_MALFORMED;
	out->reason = (uint8_t)reason;
}

/* sw_address_from_ipv4() in two stores; compilers assemble the other in memory and then stumble over reading it. */
static inline void sw_address_set_ipv4(struct sw_address *a, const uint8_t *four)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	uint32_t address;
	uint64_t halves[2] = {0, 0xffff0000u};

	memcpy(&address, four, 4);
	halves[1] |= (uint64_t)address << 32;
	memcpy(a->bytes, halves, 16);
#else
	*a = sw_address_from_ipv4(four);
#endif
}

/* Source and destination, as client and server. `source_is_client` turns with the side. */
static inline void sw_frame_addresses_ipv4(struct sw_packet *out, const uint8_t *ip, bool source_is_client)
{
	sw_address_set_ipv4(source_is_client ? &out->client : &out->server, ip + 12);
	sw_address_set_ipv4(source_is_client ? &out->server : &out->client, ip + 16);
}

static inline void sw_frame_addresses_ipv6(struct sw_packet *out, const uint8_t *ip, bool source_is_client)
{
	*(source_is_client ? &out->client : &out->server) = sw_address_from_ipv6(ip + 8);
	*(source_is_client ? &out->server : &out->client) = sw_address_from_ipv6(ip + 24);
}

static inline void sw_frame_ports(struct sw_packet *out, const uint8_t *tcp, bool source_is_client)
{
	const uint16_t source = sw_load_be16(tcp), destination = sw_load_be16(tcp + 2);

	out->client_port = source_is_client ? source : destination;
	out->server_port = source_is_client ? destination : source;
}

/* Where a chain of IPv6 headers led to. */
struct sw_extension_walk {
	uint32_t at;          /* of the header that is no extension, or of what lies behind a fragment header */
	uint8_t protocol;     /* of what lies at `at` */
	bool is_fragment;     /* there is a fragment header, and it is not that of an atomic fragment (RFC 6946) */
	bool is_bad;
	uint16_t fragment_at; /* offset of the fragment in its packet, bytes */
	bool more_fragments;
	uint32_t fragment_bytes; /* of the fragment: from behind its header to `end` */
};

/*
 * From the header of kind `protocol` at `at` through all extension headers; `end` is the end of the packet, or of what
 * there is of it. Stops behind the fragment header of a later fragment, whose further headers are in the first.
 */
struct sw_extension_walk sw_frame_walk_extensions(const uint8_t *frame, uint32_t at, uint32_t end, uint8_t protocol);

/* l4_offset and frame_bytes are set; `inner_ipv6`: an ICMPv6 message. Makes `out` ICMP_ERROR, or leaves it OTHER. */
void sw_frame_icmp(const uint8_t *frame, struct sw_packet *out, bool inner_ipv6);

#endif
