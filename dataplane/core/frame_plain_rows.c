/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tables of frame_plain_avx512.h, whose drawing says what is picked from where. The options are those of
 * sw_plain_layouts in frame_plain.h: rows 5, 6, 8, and 10 by the data offset. Row 16 is for what is no TCP; in all others nothing is right.
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
#define BYTE(n) (n), ZERO
#define ZEROS_2 ZERO, ZERO
#define ZEROS_4 ZEROS_2, ZEROS_2

/* ---- judging ---------------------------------------------------------------------------------------------------- */

/*
 * Lanes:  0 group bits of the MACs     4-7  first byte of the source            12 SYN and FIN
 *         1 type                       8, 9 first byte of the destination       13 SYN and RST
 *         2 version, protocol          10, 11 ports: not 0                      14 none of SYN, RST, ACK
 *         3 fragment                   15   nothing                             16-31 options
 *
 * For what the first byte of an address must not be, see sw_plain_wrong_ipv4(): each value, and each 16 of them, needs a
 * lane. Flags are those of sw_tcp_flags_possible().
 */
#define NEITHER_NOR (SW_TCP_SYN | SW_TCP_RST | SW_TCP_ACK)
#define JUDGED_BITS {0x0101, 0xffff, 0xffff, 0xbfff, [4 ... 11] = 0xffff, \
	SW_TCP_SYN | SW_TCP_FIN, SW_TCP_SYN | SW_TCP_RST, NEITHER_NOR, [15 ... 31] = 0xffff}

/* What is never 0, as a lane with these. */
#define FLIP_NOT(value) (0xff ^ (value))
#define LIMIT_NOT 0xfe
#define FLIP_NOT_16(first) (0xf0 ^ (first))
#define LIMIT_NOT_16 0xef

#define FLIP_TCP 0xffff, 0xffff, 0, 0, NEITHER_NOR, 0
#define LIMIT_TCP 0xfffe, 0xfffe, (SW_TCP_SYN | SW_TCP_FIN) - 1, (SW_TCP_SYN | SW_TCP_RST) - 1, NEITHER_NOR - 1, 0

#define PICK_IPV4 IPV4(0), IPV4(6), TWO(IPV4, 12), IPV4(14), IPV4(23), TWO(IPV4, 20), \
	BYTE(IPV4(26)), BYTE(IPV4(26)), BYTE(IPV4(26)), BYTE(IPV4(26)), BYTE(IPV4(30)), BYTE(IPV4(30)), \
	TWO(IPV4, 34), TWO(IPV4, 36), BYTE(IPV4(47)), BYTE(IPV4(47)), BYTE(IPV4(47)), ZEROS_2
#define FLIP_IPV4 0, SW_ETHERTYPE_IPV4, SW_PROTO_TCP << 8 | 0x45, 0, \
	FLIP_NOT(0), FLIP_NOT(127), FLIP_NOT(255), FLIP_NOT_16(224), FLIP_NOT(255), FLIP_NOT_16(224), FLIP_TCP
#define LIMIT_IPV4 0, 0, 0, 0, LIMIT_NOT, LIMIT_NOT, LIMIT_NOT, LIMIT_NOT_16, LIMIT_NOT, LIMIT_NOT_16, LIMIT_TCP
#define PICK_OTHER_IPV4 ZEROS_2, TWO(IPV4, 12), BYTE(IPV4(14)), [6 ... 63] = ZERO
#define FLIP_OTHER_IPV4 0, SW_ETHERTYPE_IPV4, 0x45
#define LIMIT_OTHER_IPV4 0

#define PICK_IPV6 MACS, MACS + 6, TWO(IPV6, 12), IPV6(14), IPV6(20), ZEROS_2, \
	BYTE(IPV6(22)), BYTE(IPV6(22)), ZEROS_4, BYTE(IPV6(38)), BYTE(IPV6(38)), \
	TWO(IPV6, 54), TWO(IPV6, 56), BYTE(IPV6(67)), BYTE(IPV6(67)), BYTE(IPV6(67)), ZEROS_2
#define FLIP_IPV6 0, SW_ETHERTYPE_IPV6, SW_PROTO_TCP << 8 | 0x60, 0, \
	FLIP_NOT(0), FLIP_NOT(255), 0, 0, FLIP_NOT(0), FLIP_NOT(255), FLIP_TCP
#define LIMIT_IPV6 0, 0, 0x0f, 0, LIMIT_NOT, LIMIT_NOT, 0, 0, LIMIT_NOT, LIMIT_NOT, LIMIT_TCP
#define PICK_OTHER_IPV6 ZEROS_2, TWO(IPV6, 12), BYTE(IPV6(14)), ZEROS_2, \
	BYTE(IPV6(22)), [10 ... 15] = ZERO, BYTE(IPV6(38)), [18 ... 63] = ZERO
#define FLIP_OTHER_IPV6 0, SW_ETHERTYPE_IPV6, 0x60, 0, FLIP_NOT(0), 0, 0, 0, FLIP_NOT(0)
#define LIMIT_OTHER_IPV6 0, 0, 0x0f, 0, LIMIT_NOT, 0, 0, 0, LIMIT_NOT

#define NONE_PICKED {[0 ... 63] = ZERO}
#define NONE_FLIP {1}
#define PICKED(tcp, other) { \
	[0 ... 4] = NONE_PICKED, \
	[5] = {tcp, [32 ... 63] = ZERO}, \
	[6] = {tcp, TWO(END, 28), [34 ... 63] = ZERO}, \
	[7] = NONE_PICKED, \
	[8] = {tcp, TWO(END, 20), TWO(END, 22), [36 ... 63] = ZERO}, \
	[9] = NONE_PICKED, \
	[10] = {tcp, TWO(END, 12), TWO(END, 16), TWO(END, 18), TWO(END, 28), TWO(END, 30), [42 ... 63] = ZERO}, \
	[11 ... 15] = NONE_PICKED, \
	[16] = {other}}
#define FLIP(tcp, other) { \
	[0 ... 4] = NONE_FLIP, \
	[5] = {tcp}, \
	[6] = {tcp, SW_MSS_OF_4}, \
	[7] = NONE_FLIP, \
	[8] = {tcp, 0x0101, 0x080a}, \
	[9] = NONE_FLIP, \
	[10] = {tcp, SW_MSS_OF_4, 0x0402, 0x080a, 0x0103, 0x0300}, \
	[11 ... 15] = NONE_FLIP, \
	[16] = {other}}
#define LIMIT(tcp, other) { \
	[5] = {tcp}, [6] = {tcp}, [8] = {tcp}, [10] = {tcp, 0, 0, 0, 0, SW_WINDOW_SCALE_MAX}, [16] = {other}}
/* ip_bytes: those of the IP header that its length counts. */
#define LEAST(ip_bytes) { \
	[0 ... 4] = {ip_bytes}, \
	[5] = {(ip_bytes) + 20}, \
	[6] = {(ip_bytes) + 24}, \
	[7] = {ip_bytes}, \
	[8] = {(ip_bytes) + 32}, \
	[9] = {ip_bytes}, \
	[10] = {(ip_bytes) + 40}, \
	[11 ... 16] = {ip_bytes}}

/* ---- views ------------------------------------------------------------------------------------------------------ */

#define ADDRESS_IPV4(n) ZEROS_4, ZEROS_4, ZEROS_2, ONES, ONES, BYTES_4(IPV4, n) /* ::ffff:a.b.c.d */
#define ADDRESS_IPV6(n) BYTES_16(IPV6, n)
/* seq, ack, window, flags; and sack_blocks, of which there are none. */
#define TCP(of, l4) FOUR(of, (l4) + 4), FOUR(of, (l4) + 8), TWO(of, (l4) + 14), of((l4) + 13), ZERO
/* tsval, tsecr; MSS, window scale, options; timestamp_offset, payload_offset. */
#define HEAD(client, server, client_port, server_port, tcp) { \
	[5] = {client, server, client_port, server_port, tcp, \
		ZEROS_4, ZEROS_4, ZEROS_2, ONES, ZERO, ZEROS_2, AT_20, ZERO}, \
	[6] = {client, server, client_port, server_port, tcp, \
		ZEROS_4, ZEROS_4, TWO(END, 30), ONES, ZERO, ZEROS_2, AT_24, ZERO}, \
	[8] = {client, server, client_port, server_port, tcp, \
		FOUR(END, 24), FOUR(END, 28), ZEROS_2, ONES, TIMESTAMPS, AT_24, ZERO, AT_32, ZERO}, \
	[10] = {client, server, client_port, server_port, tcp, \
		FOUR(END, 20), FOUR(END, 24), TWO(END, 14), END(31), SACK_AND_TIMESTAMPS, AT_28, ZERO, AT_40, ZERO}, \
	[16] = {client, server, [32 ... 57] = ZERO, ONES, [59 ... 63] = ZERO}}

#define TAIL_OF(kind, l4, is_ipv6, side, payload, frame) \
	{[8] = SW_PLAIN_L3, kind, is_ipv6, (side) << 8, l4, 0, (uint16_t)(payload), frame}
#define TAIL(l4, ip_bytes, is_ipv6, side) { \
	[5] = TAIL_OF(SW_PACKET_TCP, l4, is_ipv6, side, -(ip_bytes) - 20, (l4) - (ip_bytes)), \
	[6] = TAIL_OF(SW_PACKET_TCP, l4, is_ipv6, side, -(ip_bytes) - 24, (l4) - (ip_bytes)), \
	[8] = TAIL_OF(SW_PACKET_TCP, l4, is_ipv6, side, -(ip_bytes) - 32, (l4) - (ip_bytes)), \
	[10] = TAIL_OF(SW_PACKET_TCP, l4, is_ipv6, side, -(ip_bytes) - 40, (l4) - (ip_bytes)), \
	[16] = TAIL_OF(SW_PACKET_OTHER, l4, is_ipv6, side, 0, (l4) - (ip_bytes))}

/* What is picked for the tail: from the head, whose sack_blocks is a 0, and from behind 64 the frame. */
enum { HEAD_ZERO = offsetof(struct sw_packet, sack_blocks), FRAME = 64 };
#define PICK_TAIL(protocol, payload_bytes, frame_bytes) {56, 57, 58, 59, 60, 61, 62, 63, [8 ... 21] = HEAD_ZERO, \
	FRAME + (protocol), [23 ... 27] = HEAD_ZERO, payload_bytes, frame_bytes}
#define FRAME_TWO(at) FRAME + (at) + 1, FRAME + (at)

#define ROWS_IPV4(side, client, server, client_port, server_port) { \
	NUMBERS(SW_PLAIN_L4_IPV4), JUDGED_BITS, \
	PICK_TAIL(IPV4(23), FRAME_TWO(IPV4(16)), FRAME_TWO(IPV4(16))), \
	PICK_TAIL(IPV4(23), TWO_OF(HEAD_ZERO), FRAME_TWO(IPV4(16))), \
	PICKED(PICK_IPV4, PICK_OTHER_IPV4), FLIP(FLIP_IPV4, FLIP_OTHER_IPV4), LIMIT(LIMIT_IPV4, LIMIT_OTHER_IPV4), \
	HEAD(ADDRESS_IPV4(client), ADDRESS_IPV4(server), TWO(IPV4, client_port), TWO(IPV4, server_port), TCP(IPV4, 34)), \
	TAIL(SW_PLAIN_L4_IPV4, SW_IPV4_BYTES, 0, side), LEAST(SW_IPV4_BYTES)}
#define ROWS_IPV6(side, client, server, client_port, server_port) { \
	NUMBERS(SW_PLAIN_L4_IPV6), JUDGED_BITS, \
	PICK_TAIL(IPV6(20), FRAME_TWO(IPV6(18)), FRAME_TWO(IPV6(18))), \
	PICK_TAIL(IPV6(20), TWO_OF(HEAD_ZERO), FRAME_TWO(IPV6(18))), \
	PICKED(PICK_IPV6, PICK_OTHER_IPV6), FLIP(FLIP_IPV6, FLIP_OTHER_IPV6), LIMIT(LIMIT_IPV6, LIMIT_OTHER_IPV6), \
	HEAD(ADDRESS_IPV6(client), ADDRESS_IPV6(server), TWO(IPV6, client_port), TWO(IPV6, server_port), TCP(IPV6, 54)), \
	TAIL(SW_PLAIN_L4_IPV6, 0, 1, side), LEAST(0)}
#define TWO_OF(lane) lane, lane
const struct sw_plain_rows sw_plain_rows[SW_SIDES][2] = {
	{ROWS_IPV4(SW_OUTSIDE, 26, 30, 34, 36), ROWS_IPV6(SW_OUTSIDE, 22, 38, 54, 56)},
	{ROWS_IPV4(SW_INSIDE, 30, 26, 36, 34), ROWS_IPV6(SW_INSIDE, 38, 22, 56, 54)},
};
/* clang-format on */
