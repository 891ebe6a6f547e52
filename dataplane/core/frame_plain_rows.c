/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tables of frame_plain_avx512.h, whose drawing says what is picked from where. Rows 5, 6, 8 and 10 are for the options
 * of sw_plain_layouts in frame_plain.h; in the others nothing is right.
 */
#include "frame_plain_avx512.h"

/* clang-format off */

/* ---- what is picked --------------------------------------------------------------------------------------------- */

enum { ZERO = 64, ONES, TIMESTAMPS, SACK_AND_TIMESTAMPS, AT_20, AT_24, AT_28, AT_32, AT_40, AT_END = 96 };
#define NUMBERS(l4) {0, 0xff, SW_OPTION_TIMESTAMPS, SW_OPTION_SACK_PERMITTED | SW_OPTION_TIMESTAMPS, \
	(l4) + 20, (l4) + 24, (l4) + 28, (l4) + 32, (l4) + 40}

/* A byte of the frame, of the last 32 of the TCP header, and of the TCP header, of `header` bytes, wherever it is seen. */
#define FRAME(n) (n)
#define END(n) (AT_END + (n))
#define TCP(n, v, header) (L4_##v + (n) < 64 ? FRAME(L4_##v + (n)) : END((n) + 32 - (header)))
/* Numbers of 16 and 32 bits, in host order. */
#define FRAME_TWO(n) FRAME((n) + 1), FRAME(n)
#define END_TWO(n) END((n) + 1), END(n)
#define END_FOUR(n) END_TWO((n) + 2), END_TWO(n)
#define TCP_TWO(n, v, header) TCP((n) + 1, v, header), TCP(n, v, header)
#define TCP_FOUR(n, v, header) TCP_TWO((n) + 2, v, header), TCP_TWO(n, v, header)
#define FRAME_BYTES_4(n) FRAME(n), FRAME((n) + 1), FRAME((n) + 2), FRAME((n) + 3)
#define ZEROS_2 ZERO, ZERO
#define ZEROS_4 ZEROS_2, ZEROS_2

/* What is the family's, v. */
#define L4_IPV4 SW_PLAIN_L4_IPV4
#define L4_IPV6 SW_PLAIN_L4_IPV6
#define COUNTED_IPV4 SW_IPV4_BYTES /* by the length of the IP header */
#define COUNTED_IPV6 0
#define PROTOCOL_IPV4 FRAME(23)
#define PROTOCOL_IPV6 FRAME(20)
#define LENGTH_IPV4 16
#define LENGTH_IPV6 18
#define IS_IPV6_IPV4 0
#define IS_IPV6_IPV6 1

/* ---- judging ---------------------------------------------------------------------------------------------------- */

/*
 * Lanes, each of two bytes. Where the lower has a range to lie in, the upper has to be one value:
 *
 *      0     1     2     3    source: not 0, not 127, not 255, not 224 to 239; see sw_plain_wrong_ipv4()
 *    | MAC | MAC | fragment | group bits of both MACs
 *      4     5                destination: not 255, not 224 to 239
 *    |   type    |
 *      6         7          8 flags: not SYN and FIN, not SYN and RST, any of SYN, RST, ACK; as sw_tcp_flags_possible()
 *    | version | protocol | - |
 *      9         10           ports: not 0
 *      11 to 15               options
 *
 * Of addresses of IPv6 the first byte is neither 0 nor 255. Its version has lane 2: it shares its byte.
 */
#define NONE_OF (SW_TCP_SYN | SW_TCP_RST | SW_TCP_ACK)
#define JUDGED_BITS {0x01ff, 0x01ff, 0xbfff, 0xffff, 0xffff, 0xffff, 0xff00 | SW_TCP_SYN | SW_TCP_FIN, \
	0xff00 | SW_TCP_SYN | SW_TCP_RST, 0xff00 | NONE_OF, [9 ... 15] = 0xffff}

#define PICK_IP_IPV4 FRAME(26), FRAME(0), FRAME(26), FRAME(6), FRAME(26), FRAME(20), FRAME(26), FRAME(21), \
	FRAME(30), FRAME(12), FRAME(30), FRAME(13)
#define PICK_IP_IPV6 FRAME(22), FRAME(0), FRAME(22), FRAME(6), FRAME(14), ZERO, ZEROS_2, \
	FRAME(38), FRAME(12), FRAME(38), FRAME(13)
#define PICK_VERSION_IPV4 FRAME(14)
#define PICK_VERSION_IPV6 ZERO
#define PICK(v, header) PICK_IP_##v, TCP(13, v, header), PICK_VERSION_##v, TCP(13, v, header), PROTOCOL_##v, \
	TCP(13, v, header), ZERO, FRAME_TWO(L4_##v), FRAME_TWO(L4_##v + 2)

/* What the lower byte must not be is flipped to the largest number there is, or to the 16 largest. */
#define NOT(value, upper) ((upper) << 8 | (0xff ^ (value)))
#define NOT_16(first, upper) ((upper) << 8 | (0xf0 ^ (first)))
#define FLIP_IPV4 NOT(0, 0), NOT(127, 0), NOT(255, 0), NOT_16(224, 0), \
	NOT(255, SW_ETHERTYPE_IPV4 >> 8), NOT_16(224, SW_ETHERTYPE_IPV4 & 0xff), \
	0x45 << 8, SW_PROTO_TCP << 8, NONE_OF, 0xffff, 0xffff
#define FLIP_IPV6 NOT(0, 0), NOT(255, 0), 0x60, 0, \
	NOT(255, SW_ETHERTYPE_IPV6 >> 8), NOT(0, SW_ETHERTYPE_IPV6 & 0xff), \
	0, SW_PROTO_TCP << 8, NONE_OF, 0xffff, 0xffff
#define ALL_BUT_ONE 0xfe
#define ALL_BUT_16 0xef
#define LIMIT_TCP (SW_TCP_SYN | SW_TCP_FIN) - 1, (SW_TCP_SYN | SW_TCP_RST) - 1, NONE_OF - 1, 0xfffe, 0xfffe
#define LIMIT_IPV4 ALL_BUT_ONE, ALL_BUT_ONE, ALL_BUT_ONE, ALL_BUT_16, ALL_BUT_ONE, ALL_BUT_16, LIMIT_TCP
#define LIMIT_IPV6 ALL_BUT_ONE, ALL_BUT_ONE, 0x0f, 0, ALL_BUT_ONE, ALL_BUT_ONE, LIMIT_TCP

/* ---- views ------------------------------------------------------------------------------------------------------ */

#define ADDRESS_IPV4(n) ZEROS_4, ZEROS_4, ZEROS_2, ONES, ONES, FRAME_BYTES_4(n) /* ::ffff:a.b.c.d */
#define ADDRESS_IPV6(n) FRAME_BYTES_4(n), FRAME_BYTES_4((n) + 4), FRAME_BYTES_4((n) + 8), FRAME_BYTES_4((n) + 12)
#define ENDS_IPV4_OUTSIDE ADDRESS_IPV4(26), ADDRESS_IPV4(30), FRAME_TWO(34), FRAME_TWO(36)
#define ENDS_IPV4_INSIDE ADDRESS_IPV4(30), ADDRESS_IPV4(26), FRAME_TWO(36), FRAME_TWO(34)
#define ENDS_IPV6_OUTSIDE ADDRESS_IPV6(22), ADDRESS_IPV6(38), FRAME_TWO(54), FRAME_TWO(56)
#define ENDS_IPV6_INSIDE ADDRESS_IPV6(38), ADDRESS_IPV6(22), FRAME_TWO(56), FRAME_TWO(54)
/* Client and server; seq, ack, window, flags; and sack_blocks, of which there are none. */
#define HEAD(v, side, header) ENDS_##v##_##side, \
	TCP_FOUR(4, v, header), TCP_FOUR(8, v, header), TCP_TWO(14, v, header), TCP(13, v, header), ZERO

/* The tail is picked from the head, whose sack_blocks is a 0, and from behind 64 the frame. */
enum { HEAD_ZERO = offsetof(struct sw_packet, sack_blocks) };
#define TAIL_TWO(n) 64 + FRAME((n) + 1), 64 + FRAME(n)
#define PICK_TAIL(v) {56, 57, 58, 59, 60, 61, 62, 63, [8 ... 21] = HEAD_ZERO, 64 + PROTOCOL_##v, [23 ... 27] = HEAD_ZERO, \
	TAIL_TWO(LENGTH_##v), TAIL_TWO(LENGTH_##v)}
/* What is added to it, 16 bits each: from l3_offset on. */
#define TAIL(v, side, header) {[8] = SW_PLAIN_L3, SW_PACKET_TCP, IS_IPV6_##v, SW_##side << 8, L4_##v, 0, \
	(uint16_t)-(COUNTED_##v + (header)), L4_##v - COUNTED_##v}

/* ---- rows ------------------------------------------------------------------------------------------------------- */

#define NEVER(v) {.picked = {[0 ... 31] = ZERO}, .flip = {1}, .least = COUNTED_##v}
/* The head goes on with tsval, tsecr; MSS, window scale, options; timestamp_offset, payload_offset. */
#define ROWS(v, side) {{ \
	[0 ... 4] = NEVER(v), \
	[5] = { \
		.head = {HEAD(v, side, 20), ZEROS_4, ZEROS_4, ZEROS_2, ONES, ZERO, ZEROS_2, AT_20, ZERO}, \
		.picked = {PICK(v, 20), [22 ... 31] = ZERO}, .flip = {FLIP_##v}, .limit = {LIMIT_##v}, \
		.tail = TAIL(v, side, 20), .least = COUNTED_##v + 20}, \
	[6] = { \
		.head = {HEAD(v, side, 24), ZEROS_4, ZEROS_4, END_TWO(30), ONES, ZERO, ZEROS_2, AT_24, ZERO}, \
		.picked = {PICK(v, 24), END_TWO(28), [24 ... 31] = ZERO}, .flip = {FLIP_##v, SW_MSS_OF_4}, .limit = {LIMIT_##v}, \
		.tail = TAIL(v, side, 24), .least = COUNTED_##v + 24}, \
	[7] = NEVER(v), \
	[8] = { \
		.head = {HEAD(v, side, 32), END_FOUR(24), END_FOUR(28), ZEROS_2, ONES, TIMESTAMPS, AT_24, ZERO, AT_32, ZERO}, \
		.picked = {PICK(v, 32), END_TWO(20), END_TWO(22), [26 ... 31] = ZERO}, \
		.flip = {FLIP_##v, 0x0101, 0x080a}, .limit = {LIMIT_##v}, \
		.tail = TAIL(v, side, 32), .least = COUNTED_##v + 32}, \
	[9] = NEVER(v), \
	[10] = { \
		.head = {HEAD(v, side, 40), END_FOUR(20), END_FOUR(24), END_TWO(14), END(31), SACK_AND_TIMESTAMPS, \
			AT_28, ZERO, AT_40, ZERO}, \
		.picked = {PICK(v, 40), END_TWO(12), END_TWO(16), END_TWO(18), END_TWO(28), END_TWO(30)}, \
		.flip = {FLIP_##v, SW_MSS_OF_4, 0x0402, 0x080a, 0x0103, 0x0300}, \
		.limit = {LIMIT_##v, 0, 0, 0, 0, SW_WINDOW_SCALE_MAX}, \
		.tail = TAIL(v, side, 40), .least = COUNTED_##v + 40}, \
	[11 ... 15] = NEVER(v)}, NUMBERS(L4_##v), PICK_TAIL(v), JUDGED_BITS}

const struct sw_plain_rows sw_plain_rows[SW_SIDES][2] = {
	{ROWS(IPV4, OUTSIDE), ROWS(IPV6, OUTSIDE)},
	{ROWS(IPV4, INSIDE), ROWS(IPV6, INSIDE)},
};
/* clang-format on */
