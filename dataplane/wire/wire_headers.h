/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Headers on the wire, as far as the XDP program reads them. Multi-byte fields are in network order; no field needs
 * more than an alignment of 2, which every IP header in an Ethernet frame has.
 */
#ifndef SW_WIRE_HEADERS_H
#define SW_WIRE_HEADERS_H

struct ethernet_header {
	uint8_t to[6], from[6];
	uint16_t type;
};

struct vlan_header { /* IEEE 802.1Q; the type before it said so */
	uint16_t tag, type;
};

struct ipv4_header { /* RFC 791, 3.1 */
	uint8_t version_length, tos;
	uint16_t total_bytes, id, fragment;
	uint8_t ttl, protocol;
	uint16_t checksum;
	uint8_t source[4], destination[4];
};

struct ipv6_header { /* RFC 8200, 3 */
	uint8_t version_class[4];
	uint16_t payload_bytes;
	uint8_t next, hop_limit;
	uint8_t source[16], destination[16];
};

struct ipv6_extension { /* RFC 8200, 4.3 to 4.6; RFC 4302, 2 (AH counts its length in other units) */
	uint8_t next, length;
	uint16_t fragment; /* fragment header only: offset << 3 | more */
	uint16_t rest[2];
};

struct icmp_header { /* RFC 792, RFC 4443, 2.1; behind an error's 8 bytes stands the packet that it is about */
	uint8_t type, code;
	uint16_t checksum;
	uint16_t rest[2];
};

struct port_pair {
	uint16_t source, destination;
};

enum {
	ETHERTYPE_IPV4 = 0x0800,
	ETHERTYPE_IPV6 = 0x86dd,
	ETHERTYPE_VLAN = 0x8100,    /* IEEE 802.1Q */
	ETHERTYPE_SERVICE = 0x88a8, /* IEEE 802.1ad */
	ETHERTYPE_OLD_QINQ = 0x9100,
	VLAN_TAGS_MAX = 2,

	IPV4_FRAGMENT = 0x3fff, /* more fragments, and the offset */
	IPV6_FRAGMENT = 0xfff9, /* the offset, and more fragments */
	IPV6_EXTENSIONS_MAX = 8,

	/* IANA protocol numbers */
	PROTOCOL_HOP_BY_HOP = 0,
	PROTOCOL_ICMP = 1,
	PROTOCOL_TCP = 6,
	PROTOCOL_ROUTING = 43,
	PROTOCOL_FRAGMENT = 44,
	PROTOCOL_AH = 51,
	PROTOCOL_ICMPV6 = 58,
	PROTOCOL_OPTIONS = 60,
};

#endif
