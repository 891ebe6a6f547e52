/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ICMP errors about TCP (RFC 792; RFC 4443, 3): the packet they quote. Whatever cannot be read stays OTHER: a receiver
 * that cannot match the quotation throws the error away (RFC 5927, 4.1), so there is nothing to bypass.
 */
#include "frame_internal.h"

enum {
	ICMP_HEADER_BYTES = 8,
	QUOTED_TCP_BYTES_MIN = 8, /* ports and sequence number: the least that RFC 792 quotes */

	/* https://www.iana.org/assignments/icmp-parameters */
	ICMP_UNREACHABLE = 3,
	ICMP_SOURCE_QUENCH = 4, /* no longer made (RFC 6633), but quotes all the same */
	ICMP_REDIRECT = 5,      /* no error, but a host matches the quotation in the same way */
	ICMP_TIME_EXCEEDED = 11,
	ICMP_PARAMETER_PROBLEM = 12,
	ICMPV6_UNREACHABLE = 1,
	ICMPV6_PARAMETER_PROBLEM = 4, /* 2: packet too big, 3: time exceeded */
};

static bool quotes_a_packet(uint8_t type, bool is_ipv6)
{
	if (is_ipv6)
		return type >= ICMPV6_UNREACHABLE && type <= ICMPV6_PARAMETER_PROBLEM;
	return type == ICMP_UNREACHABLE || type == ICMP_SOURCE_QUENCH || type == ICMP_REDIRECT ||
		   type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETER_PROBLEM;
}

/* Where the quoted TCP header begins, or 0. The quoted total length is not looked at: old routers garble it. */
static uint32_t quoted_ipv4(const uint8_t *frame, uint32_t at, uint32_t end)
{
	const uint8_t *ip = frame + at;
	uint32_t header;

	if (end - at < SW_IPV4_BYTES)
		return 0;
	header = (uint32_t)(ip[0] & 15) * 4;
	if (ip[0] >> 4 != 4 || header < SW_IPV4_BYTES || header > end - at)
		return 0;
	if (ip[9] != SW_PROTO_TCP || sw_load_be16(ip + 6) & 0x1fff) /* a later fragment has no TCP header to quote */
		return 0;
	return at + header;
}

static uint32_t quoted_ipv6(const uint8_t *frame, uint32_t at, uint32_t end)
{
	const uint8_t *ip = frame + at;
	struct sw_extension_walk walk;
	struct sw_address source, destination;

	if (end - at < SW_IPV6_BYTES || ip[0] >> 4 != 6)
		return 0;
	walk = sw_frame_walk_extensions(frame, at + SW_IPV6_BYTES, end, ip[6]);
	if (walk.is_bad || walk.protocol != SW_PROTO_TCP || walk.fragment_at != 0)
		return 0;
	source = sw_address_from_ipv6(ip + 8);
	destination = sw_address_from_ipv6(ip + 24);
	return sw_address_is_ipv4(&source) || sw_address_is_ipv4(&destination) ? 0 : walk.at;
}

void sw_frame_icmp(const uint8_t *frame, struct sw_packet *out, bool inner_ipv6)
{
	const uint32_t end = out->frame_bytes, inner_l3 = (uint32_t)out->l4_offset + ICMP_HEADER_BYTES;
	/* An error that came in outside is about a packet that the server had sent, and so the other way round. */
	const bool source_is_client = out->side != SW_OUTSIDE;
	const uint8_t *tcp;
	uint32_t inner_l4;

	if (end < inner_l3 || !quotes_a_packet(frame[out->l4_offset], inner_ipv6))
		return;
	inner_l4 = inner_ipv6 ? quoted_ipv6(frame, inner_l3, end) : quoted_ipv4(frame, inner_l3, end);
	if (inner_l4 == 0 || end - inner_l4 < QUOTED_TCP_BYTES_MIN)
		return;
	tcp = frame + inner_l4;
	if (inner_ipv6)
		sw_frame_addresses_ipv6(out, frame + inner_l3, source_is_client);
	else
		sw_frame_addresses_ipv4(out, frame + inner_l3, source_is_client);
	sw_frame_ports(out, tcp, source_is_client);
	out->inner_l3_offset = (uint16_t)inner_l3;
	out->inner_l4_offset = out->payload_offset = (uint16_t)inner_l4;
	out->payload_bytes = (uint16_t)(end - inner_l4);
	out->seq = sw_load_be32(tcp + 4);
	if (out->payload_bytes >= 12)
		out->ack = sw_load_be32(tcp + 8);
	if (out->payload_bytes >= 14)
		out->tcp_flags = tcp[13];
	out->kind = SW_PACKET_ICMP_ERROR;
}
