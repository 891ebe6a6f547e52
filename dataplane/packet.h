/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parsed view of a frame: made once by the parser (core/frame.h), read by every stage. Offsets count from the first
 * byte of the frame. Numbers are in host order; addresses in network order. No pointer: a view stays right when the
 * frame is copied. The frame itself is the stage's to change.
 */
#ifndef SW_PACKET_H
#define SW_PACKET_H

#include "api/address.h"
#include "api/verdicts.h"

enum {
	SW_BURST = 32, /* packets that go through the stages together; also the lanes of the cookie batch */
};

enum sw_packet_kind {
	SW_PACKET_OTHER,      /* no TCP, no ICMP error, or nothing that can be classified: forwarded untouched */
	SW_PACKET_TCP,        /* header and options are whole; first fragments too (is_fragment) */
	SW_PACKET_ICMP_ERROR, /* ICMP error whose inner packet is TCP with at least its first 8 bytes */
	SW_PACKET_FRAGMENT,   /* later fragment (offset > 0) of IPv4 or IPv6: addresses only */
	SW_PACKET_MALFORMED,  /* addresses are right, the rest is not: `reason`. Dropped if a service there is guarded */
};

enum {
	SW_TCP_FIN = 0x01,
	SW_TCP_SYN = 0x02,
	SW_TCP_RST = 0x04,
	SW_TCP_PSH = 0x08,
	SW_TCP_ACK = 0x10,
	SW_TCP_URG = 0x20,
	SW_TCP_ECE = 0x40,
	SW_TCP_CWR = 0x80,
};

/* TCP options that a segment carries; sw_packet.options, sw_tcp_options.present. */
enum {
	SW_OPTION_SACK_PERMITTED = 0x01,
	SW_OPTION_TIMESTAMPS = 0x02,
	SW_OPTION_SACK = 0x04,
	SW_OPTION_MD5 = 0x08,       /* RFC 2385 */
	SW_OPTION_AO = 0x10,        /* RFC 5925 */
	SW_OPTION_FAST_OPEN = 0x20, /* RFC 7413, with its own number or the experimental one */
	SW_OPTION_MPTCP = 0x40,     /* RFC 8684 */
	SW_OPTION_UNKNOWN = 0x80,   /* any other */
};

/*
 * The order of the fields is that of the stores of core/frame_plain.h: groups of 16 bytes, written at once, and a rest.
 * No padding: two views of the same frame are the same bytes.
 */
struct sw_packet {
	/*
	 * Client is the host outside, server the host inside, in both directions: an outside frame's source is the
	 * client, an inside frame's destination. Ports likewise, in host order.
	 * ICMP_ERROR: those of the inner packet, seen the same way; the outer ones do not matter to us.
	 */
	struct sw_address client, server;

	/* Of the TCP header. */
	uint16_t client_port, server_port;
	uint32_t seq, ack;
	uint16_t window;        /* as in the header, not scaled */
	uint8_t tcp_flags;
	uint8_t sack_blocks;

	/* TCP, from the options of any segment, though those of a SYN alone mean something but for timestamps and SACK. */
	uint32_t tsval, tsecr;  /* when timestamp_offset is not 0 */
	uint16_t mss;           /* 0: no option */
	int8_t window_scale;    /* 0 to 14; -1: no option */
	uint8_t options;        /* SW_OPTION_... bits */
	uint16_t timestamp_offset; /* of the TSval bytes; 0: no timestamp option */
	uint16_t payload_offset;   /* behind them */

	/*
	 * 802.1Q and QinQ: outer VLAN id | inner VLAN id << 16; each with SW_VLAN_PRESENT. 0: untagged. A tag of id 0 is
	 * stepped over: a priority, and no VLAN.
	 */
	uint32_t vlan;
	uint16_t inner_l3_offset, inner_l4_offset; /* ICMP_ERROR */

	uint16_t l3_offset;     /* IP header; the EtherType stands 2 bytes before */
	uint8_t kind;           /* enum sw_packet_kind */
	uint8_t reason;         /* enum sw_drop_reason, MALFORMED */
	uint8_t is_ipv6, is_fragment;
	uint8_t protocol;       /* of the IP payload, behind extension headers */
	uint8_t side;           /* enum sw_side: where it came in */

	uint16_t l4_offset;     /* TCP header; ICMP_ERROR: ICMP header */
	uint16_t sack_offset;   /* of the first SACK block; 0: none */
	uint16_t payload_bytes; /* by the IP header, without Ethernet padding */
	uint16_t frame_bytes;   /* by the IP header: l3_offset + IP length; what lies behind is padding */
};

_Static_assert(sizeof(struct sw_packet) == 88, "32 views to a burst stay in the first-level cache; and no padding");

#define SW_VLAN_PRESENT 0x8000u

/* Sequence arithmetic modulo 2^32 (RFC 9293, 3.4). */
static inline bool sw_seq_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

#endif
