/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tables of frame_plain_avx512.h, whose drawing says what is picked from where. Rows 5, 6, 8 and 10 are for the options
 * of sw_plain_layouts in frame_plain.h; in the others nothing is right.
 */
#include "frame_plain_avx512.h"

/* clang-format off */

/* ---- what is picked --------------------------------------------------------------------------------------------- */

enum { ZERO = 64, ONES, TIMESTAMPS, SACK_AND_TIMESTAMPS, AT_20, AT_24, AT_28, AT_32, AT_40, MACS = 80, AT_END = 96 };
#define NUMBERS(l4) {0, 0xff, SW_OPTION_TIMESTAMPS, SW_OPTION_SACK_PERMITTED | SW_OPTION_TIMESTAMPS, \
	(l4) + 20, (l4) + 24, (l4) + 28, (l4) + 32, (l4) + 40}

#define IPV4(n) (n)
#define IPV6(n) ((n) - SW_PICK_FIRST_IPV6)
#define END(n) (AT_END + (n))
/* Numbers in host order; bytes as they are. */
#define TWO(of, n) of((n) + 1), of(n)
#define FOUR(of, n) TWO(of, (n) + 2), TWO(of, n)
#define BYTES_4(of, n) of(n), of((n) + 1), of((n) + 2), of((n) + 3)
#define BYTES_16(of, n) BYTES_4(of, n), BYTES_4(of, (n) + 4), BYTES_4(of, (n) + 8), BYTES_4(of, (n) + 12)
#define ZEROS_2 ZERO, ZERO
#define ZEROS_4 ZEROS_2, ZEROS_2

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
 */
#define NONE_OF (SW_TCP_SYN | SW_TCP_RST | SW_TCP_ACK)
#define JUDGED_BITS {0x01ff, 0x01ff, 0xbfff, 0xffff, 0xffff, 0xffff, 0xff00 | SW_TCP_SYN | SW_TCP_FIN, \
	0xff00 | SW_TCP_SYN | SW_TCP_RST, 0xff00 | NONE_OF, [9 ... 15] = 0xffff}

/* What the lower byte must not be is flipped to the largest number there is, or to the 16 largest. */
#define NOT(value, upper) ((upper) << 8 | (0xff ^ (value)))
#define NOT_16(first, upper) ((upper) << 8 | (0xf0 ^ (first)))
#define ONE 0xfe
#define SIXTEEN 0xef
#define FLIP_FLAGS(version, protocol) (version) << 8, (protocol) << 8, NONE_OF
#define LIMIT_FLAGS (SW_TCP_SYN | SW_TCP_FIN) - 1, (SW_TCP_SYN | SW_TCP_RST) - 1, NONE_OF - 1

#define PICK_IPV4 IPV4(26), IPV4(0), IPV4(26), IPV4(6), IPV4(26), IPV4(20), IPV4(26), IPV4(21), \
	IPV4(30), IPV4(12), IPV4(30), IPV4(13), IPV4(47), IPV4(14), IPV4(47), IPV4(23), IPV4(47), ZERO, \
	TWO(IPV4, 34), TWO(IPV4, 36)
#define FLIP_IPV4 NOT(0, 0), NOT(127, 0), NOT(255, 0), NOT_16(224, 0), \
	NOT(255, SW_ETHERTYPE_IPV4 >> 8), NOT_16(224, SW_ETHERTYPE_IPV4 & 0xff), \
	FLIP_FLAGS(0x45, SW_PROTO_TCP), 0xffff, 0xffff
#define LIMIT_IPV4 ONE, ONE, ONE, SIXTEEN, ONE, SIXTEEN, LIMIT_FLAGS, 0xfffe, 0xfffe

/* The first byte of an address is neither 0 nor 255. The version is in lane 2: it shares its byte. */
#define PICK_IPV6 IPV6(22), MACS, IPV6(22), MACS + 6, IPV6(14), ZERO, ZEROS_2, \
	IPV6(38), IPV6(12), IPV6(38), IPV6(13), IPV6(67), ZERO, IPV6(67), IPV6(20), IPV6(67), ZERO, \
	TWO(IPV6, 54), TWO(IPV6, 56)
#define FLIP_IPV6 NOT(0, 0), NOT(255, 0), 0x60, 0, \
	NOT(255, SW_ETHERTYPE_IPV6 >> 8), NOT(0, SW_ETHERTYPE_IPV6 & 0xff), \
	FLIP_FLAGS(0, SW_PROTO_TCP), 0xffff, 0xffff
#define LIMIT_IPV6 ONE, ONE, 0x0f, 0, ONE, ONE, LIMIT_FLAGS, 0xfffe, 0xfffe

/* ---- views ------------------------------------------------------------------------------------------------------ */

#define ADDRESS_IPV4(n) ZEROS_4, ZEROS_4, ZEROS_2, ONES, ONES, BYTES_4(IPV4, n) /* ::ffff:a.b.c.d */
#define ADDRESS_IPV6(n) BYTES_16(IPV6, n)
/* seq, ack, window, flags; and sack_blocks, of which there are none. */
#define TCP(of, l4) FOUR(of, (l4) + 4), FOUR(of, (l4) + 8), TWO(of, (l4) + 14), of((l4) + 13), ZERO
/* What is picked for the tail: from the head, whose sack_blocks is a 0, and from behind 64 the frame. */
enum { HEAD_ZERO = offsetof(struct sw_packet, sack_blocks), FRAME = 64 };
#define PICK_TAIL(protocol, length) {56, 57, 58, 59, 60, 61, 62, 63, [8 ... 21] = HEAD_ZERO, \
	FRAME + (protocol), [23 ... 27] = HEAD_ZERO, \
	FRAME + (length) + 1, FRAME + (length), FRAME + (length) + 1, FRAME + (length)}
/* What is added to it, 16 bits each: from l3_offset on. `ip_bytes`: those of the IP header that its length counts. */
#define TAIL(l4, ip_bytes, is_ipv6, side, header) {[8] = SW_PLAIN_L3, SW_PACKET_TCP, is_ipv6, (side) << 8, l4, 0, \
	(uint16_t)-((ip_bytes) + (header)), (l4) - (ip_bytes)}

/* ---- rows ------------------------------------------------------------------------------------------------------- */

#define NEVER(ip_bytes) {.picked = {[0 ... 31] = ZERO}, .flip = {1}, .least = ip_bytes}
/* The head behind `fixed`: tsval, tsecr; MSS, window scale, options; timestamp_offset, payload_offset. */
#define ROWS(fixed, pick, flips, limits, l4, ip_bytes, is_ipv6, side) { \
	[0 ... 4] = NEVER(ip_bytes), \
	[5] = { \
		.head = {fixed, ZEROS_4, ZEROS_4, ZEROS_2, ONES, ZERO, ZEROS_2, AT_20, ZERO}, \
		.picked = {pick, [22 ... 31] = ZERO}, .flip = {flips}, .limit = {limits}, \
		.tail = TAIL(l4, ip_bytes, is_ipv6, side, 20), .least = (ip_bytes) + 20}, \
	[6] = { \
		.head = {fixed, ZEROS_4, ZEROS_4, TWO(END, 30), ONES, ZERO, ZEROS_2, AT_24, ZERO}, \
		.picked = {pick, TWO(END, 28), [24 ... 31] = ZERO}, .flip = {flips, SW_MSS_OF_4}, .limit = {limits}, \
		.tail = TAIL(l4, ip_bytes, is_ipv6, side, 24), .least = (ip_bytes) + 24}, \
	[7] = NEVER(ip_bytes), \
	[8] = { \
		.head = {fixed, FOUR(END, 24), FOUR(END, 28), ZEROS_2, ONES, TIMESTAMPS, AT_24, ZERO, AT_32, ZERO}, \
		.picked = {pick, TWO(END, 20), TWO(END, 22), [26 ... 31] = ZERO}, \
		.flip = {flips, 0x0101, 0x080a}, .limit = {limits}, \
		.tail = TAIL(l4, ip_bytes, is_ipv6, side, 32), .least = (ip_bytes) + 32}, \
	[9] = NEVER(ip_bytes), \
	[10] = { \
		.head = {fixed, FOUR(END, 20), FOUR(END, 24), TWO(END, 14), END(31), SACK_AND_TIMESTAMPS, \
			AT_28, ZERO, AT_40, ZERO}, \
		.picked = {pick, TWO(END, 12), TWO(END, 16), TWO(END, 18), TWO(END, 28), TWO(END, 30)}, \
		.flip = {flips, SW_MSS_OF_4, 0x0402, 0x080a, 0x0103, 0x0300}, \
		.limit = {limits, 0, 0, 0, 0, SW_WINDOW_SCALE_MAX}, \
		.tail = TAIL(l4, ip_bytes, is_ipv6, side, 40), .least = (ip_bytes) + 40}, \
	[11 ... 15] = NEVER(ip_bytes)}

#define FIXED_IPV4(client, server, client_port, server_port) \
	ADDRESS_IPV4(client), ADDRESS_IPV4(server), TWO(IPV4, client_port), TWO(IPV4, server_port), TCP(IPV4, 34)
#define FIXED_IPV6(client, server, client_port, server_port) \
	ADDRESS_IPV6(client), ADDRESS_IPV6(server), TWO(IPV6, client_port), TWO(IPV6, server_port), TCP(IPV6, 54)
#define ROWS_IPV4(side, fixed) { \
	ROWS(PASS(fixed), PICK_IPV4, FLIP_IPV4, LIMIT_IPV4, SW_PLAIN_L4_IPV4, SW_IPV4_BYTES, 0, side), \
	NUMBERS(SW_PLAIN_L4_IPV4), PICK_TAIL(IPV4(23), IPV4(16)), JUDGED_BITS}
#define ROWS_IPV6(side, fixed) { \
	ROWS(PASS(fixed), PICK_IPV6, FLIP_IPV6, LIMIT_IPV6, SW_PLAIN_L4_IPV6, 0, 1, side), \
	NUMBERS(SW_PLAIN_L4_IPV6), PICK_TAIL(IPV6(20), IPV6(18)), JUDGED_BITS}
#define PASS(...) __VA_ARGS__
const struct sw_plain_rows sw_plain_rows[SW_SIDES][2] = {
	{ROWS_IPV4(SW_OUTSIDE, PASS(FIXED_IPV4(26, 30, 34, 36))), ROWS_IPV6(SW_OUTSIDE, PASS(FIXED_IPV6(22, 38, 54, 56)))},
	{ROWS_IPV4(SW_INSIDE, PASS(FIXED_IPV4(30, 26, 36, 34))), ROWS_IPV6(SW_INSIDE, PASS(FIXED_IPV6(38, 22, 56, 54)))},
};
/* clang-format on */
