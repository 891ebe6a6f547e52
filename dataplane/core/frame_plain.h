/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What nearly every frame is, recognised in one look: untagged IPv4 without options or fragments, or IPv6 without
 * extension headers; TCP with the option layouts that matter, or a protocol that is forwarded untouched. No reasons are
 * found here: whatever is not plainly right is left to sw_frame_parse(), the one complete parser, to which this adds
 * nothing and with which it always agrees (tests/unit/core/test_frame_plain.c, tests/fuzz/fuzz_frame.c).
 *
 * Headers are judged 16 bytes at a time, as vectors whose lanes each have a range to lie in, and the view is written in
 * the groups in which struct sw_packet is ordered: 16 bytes or 8 to a store.
 *
 *        0           12  14                  23    26      30      34             46 48      54
 *  IPv4  | MACs      |type|4 5    frag    proto|   source | dest. | ports seq ack |hl flags  | options
 *        `------- head -------'  `----------- tail -------------'`------ tcp -----------'
 *                                                                    `-- end: the last 16 bytes of the TCP header --'
 */
#ifndef SW_FRAME_PLAIN_H
#define SW_FRAME_PLAIN_H

#include <stddef.h>
#ifdef __SSE4_1__
#include <smmintrin.h>
#endif

#include "frame_internal.h"
#include "tcp_options.h"

typedef uint8_t sw_lanes __attribute__((vector_size(16)));

/* A constant vector, written as an array: vectors take no designated initialisers. */
union sw_lanes_constant {
	uint8_t lane[16];
	sw_lanes lanes;
};

static inline sw_lanes sw_lanes_load(const uint8_t *p)
{
	sw_lanes v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* Lane i of the result is lane from[i] of `v`; 0 where from[i] is SW_NO_LANE. */
enum { SW_NO_LANE = 0x80 };
static inline sw_lanes sw_lanes_pick(sw_lanes v, sw_lanes from)
{
#ifdef __SSSE3__
	return (sw_lanes)_mm_shuffle_epi8((__m128i)v, (__m128i)from);
#else
	sw_lanes picked;

	for (unsigned int i = 0; i < sizeof(picked); i++)
		picked[i] = from[i] & SW_NO_LANE ? 0 : v[from[i] & 15];
	return picked;
#endif
}

static inline bool sw_lanes_are_zero(sw_lanes v)
{
#ifdef __SSE4_1__
	return _mm_testz_si128((__m128i)v, (__m128i)v);
#else
	uint64_t half[2];

	memcpy(half, &v, sizeof(half));
	return (half[0] | half[1]) == 0;
#endif
}

/*
 * Lanes that lie outside their range are not 0 in the result. Ranges are cyclic: from 240 through 255 and 0 to 223 is
 * one, as is everything but 127. For the sake of a signed comparison, the only one that SSE has, `bias` is what moves
 * the first value of the range to -128, and `limit` is where its last then lies.
 */
#define SW_RANGE_BIAS(first) ((uint8_t)(0x80 - (first)))
#define SW_RANGE_LIMIT(first, last) ((uint8_t)((last) - (first) + 0x80))
static inline sw_lanes sw_lanes_outside(sw_lanes v, const union sw_lanes_constant *bias,
	const union sw_lanes_constant *limit)
{
	typedef int8_t numbers __attribute__((vector_size(16)));

	return (sw_lanes)((numbers)(v + bias->lanes) > (numbers)limit->lanes);
}

enum {
	SW_PLAIN_L3 = SW_ETHERNET_BYTES,
	SW_PLAIN_L4_IPV4 = SW_PLAIN_L3 + SW_IPV4_BYTES,
	SW_PLAIN_L4_IPV6 = SW_PLAIN_L3 + SW_IPV6_BYTES,
	SW_PLAIN_TAIL = SW_PLAIN_L4_IPV4 - 16,
	SW_PLAIN_BYTES_IPV4 = SW_PLAIN_L4_IPV4 + SW_TCP_BYTES, /* that must be there before a look is taken */
	SW_PLAIN_BYTES_IPV6 = SW_PLAIN_L4_IPV6 + SW_TCP_BYTES,
};

/* ---- what is written -------------------------------------------------------------------------------------------- */

#define SW_PLAIN_GROUP(first, last, bytes) \
	_Static_assert(offsetof(struct sw_packet, last) + sizeof(((struct sw_packet *)0)->last) == \
					   offsetof(struct sw_packet, first) + (bytes), \
		"from " #first " to " #last " is written in one")
SW_PLAIN_GROUP(client, server, 32);
SW_PLAIN_GROUP(client_port, sack_blocks, 16);
SW_PLAIN_GROUP(tsval, sack_offset, 16);
SW_PLAIN_GROUP(vlan, inner_l4_offset, 8);
SW_PLAIN_GROUP(l3_offset, side, 8);
SW_PLAIN_GROUP(l4_offset, frame_bytes, 8);
_Static_assert(SW_OUTSIDE == 0 && SW_INSIDE == 1, "the side is an index");

#define SW_PLAIN_STORE(out, first, value) \
	memcpy((uint8_t *)(out) + offsetof(struct sw_packet, first), &(value), sizeof(value))

static inline void sw_plain_addresses(struct sw_packet *out, sw_lanes source, sw_lanes destination, enum sw_side side)
{
	uint8_t *addresses = (uint8_t *)out + offsetof(struct sw_packet, client);

	memcpy(addresses + 16 * side, &source, 16);
	memcpy(addresses + 16 - 16 * side, &destination, 16);
}

static inline void sw_plain_addresses_ipv4(struct sw_packet *out, sw_lanes tail, enum sw_side side)
{
	static const union sw_lanes_constant mapped = {{[10] = 0xff, [11] = 0xff}};
	static const union sw_lanes_constant source = {{[0 ... 11] = SW_NO_LANE, 8, 9, 10, 11}};
	static const union sw_lanes_constant destination = {{[0 ... 11] = SW_NO_LANE, 12, 13, 14, 15}};

	sw_plain_addresses(out, sw_lanes_pick(tail, source.lanes) | mapped.lanes,
		sw_lanes_pick(tail, destination.lanes) | mapped.lanes, side);
}

/* The three groups of 8 bytes. `places`: l4_offset, payload_offset, payload_bytes, frame_bytes, from the lowest bits. */
static inline void sw_plain_finish(struct sw_packet *out, enum sw_packet_kind kind, bool is_ipv6, uint8_t protocol,
	enum sw_side side, uint64_t places)
{
	const uint64_t rare = 0;
	const uint64_t what = SW_PLAIN_L3 | (uint64_t)kind << 16 | (uint64_t)is_ipv6 << 32 | (uint64_t)protocol << 48 |
						  (uint64_t)side << 56;

	SW_PLAIN_STORE(out, vlan, rare);
	SW_PLAIN_STORE(out, l3_offset, what);
	SW_PLAIN_STORE(out, l4_offset, places);
}

/* ---- TCP -------------------------------------------------------------------------------------------------------- */

/*
 * A layout of TCP options, as seen in the last 16 bytes of the header: `mask` and `value` say what makes it this one;
 * what `from` picks, over `constant`, is the group of fields from tsval to sack_offset.
 */
struct sw_plain_layout {
	union sw_lanes_constant mask, value, from, constant;
};

#define SW_PLAIN_NOWHERE [0 ... 15] = SW_NO_LANE
/* No header at all: lane 0 is masked and yet to be 1. */
#define SW_PLAIN_NONE {.value = {{1}}}
/* clang-format off */
/* By the data offset, in words of 4 bytes. */
#define SW_PLAIN_LAYOUTS(l4) { \
	[0 ... 4] = SW_PLAIN_NONE, \
	[5] = { /* no options */ \
		.from = {{[0 ... 15] = SW_NO_LANE}}, \
		.constant = {{[10] = (uint8_t)SW_WINDOW_SCALE_NONE}}}, \
	[6] = { /* MSS: the least of SYNs, and most floods */ \
		.mask = {{[12] = 0xff, 0xff}}, \
		.value = {{[12] = 2, 4}}, \
		.from = {{[0 ... 7] = SW_NO_LANE, 15, 14, [10 ... 15] = SW_NO_LANE}}, \
		.constant = {{[10] = (uint8_t)SW_WINDOW_SCALE_NONE}}}, \
	[7] = SW_PLAIN_NONE, \
	[8] = { /* NOP NOP Timestamps: every segment of most connections (RFC 7323, appendix A) */ \
		.mask = {{[4] = 0xff, 0xff, 0xff, 0xff}}, \
		.value = {{[4] = 1, 1, 8, 10}}, \
		.from = {{11, 10, 9, 8, 15, 14, 13, 12, [8 ... 15] = SW_NO_LANE}}, \
		.constant = {{[10] = (uint8_t)SW_WINDOW_SCALE_NONE, SW_OPTION_TIMESTAMPS, (l4) + 24}}}, \
	[9] = SW_PLAIN_NONE, \
	[10] = { /* MSS (in front of the 16 bytes) SACK-permitted Timestamps NOP Window-scale: SYNs of Linux */ \
		.mask = {{0xff, 0xff, 0xff, 0xff, [12] = 0xff, 0xff, 0xff}}, \
		.value = {{4, 2, 8, 10, [12] = 1, 3, 3}}, \
		.from = {{7, 6, 5, 4, 11, 10, 9, 8, SW_NO_LANE, SW_NO_LANE, 15, [11 ... 15] = SW_NO_LANE}}, \
		.constant = {{[11] = SW_OPTION_TIMESTAMPS | SW_OPTION_SACK_PERMITTED, (l4) + 28}}}, \
	[11 ... 15] = SW_PLAIN_NONE, \
}
/* clang-format on */

enum { SW_PLAIN_HEADER_LINUX_SYN = 40 };

static const struct sw_plain_layout sw_plain_layouts[2][16] = {
	SW_PLAIN_LAYOUTS(SW_PLAIN_L4_IPV4),
	SW_PLAIN_LAYOUTS(SW_PLAIN_L4_IPV6),
};

/*
 * The segment at l4, of which the IP header says that `there` bytes are there (less than 0: that it is nonsense), and
 * of which the fixed header can be read. `wrong`: what was found in front of it, all 0 if nothing.
 */
static inline bool sw_plain_tcp(const uint8_t *frame, uint32_t l4, int32_t there, sw_lanes wrong, enum sw_side side,
	struct sw_packet *out)
{
	/* Ports in the order client, server; seq; ack; window; flags; and sack_blocks, of which there are none. */
	static const union sw_lanes_constant fixed_from[] = {
		[SW_OUTSIDE] = {{1, 0, 3, 2, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, SW_NO_LANE}},
		[SW_INSIDE] = {{3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, SW_NO_LANE}},
	};
	const bool is_ipv6 = l4 == SW_PLAIN_L4_IPV6;
	const uint8_t *tcp = frame + l4;
	const struct sw_plain_layout *layout = &sw_plain_layouts[is_ipv6][tcp[12] >> 4];
	const int32_t header = (tcp[12] & 0xf0) >> 2;
	sw_lanes fixed, end, options;

	if (sw_unlikely(header > there))
		return false;
	end = sw_lanes_load(tcp + header - 16);
	wrong |= (end & layout->mask.lanes) ^ layout->value.lanes;
	if (sw_unlikely(!sw_lanes_are_zero(wrong) || !sw_tcp_flags_possible(tcp[13])))
		return false;
	if (sw_unlikely((tcp[0] | tcp[1]) == 0 || (tcp[2] | tcp[3]) == 0)) /* a port of 0 */
		return false;
	fixed = sw_lanes_pick(sw_lanes_load(tcp), fixed_from[side].lanes);
	options = sw_lanes_pick(end, layout->from.lanes) | layout->constant.lanes;
	SW_PLAIN_STORE(out, client_port, fixed);
	SW_PLAIN_STORE(out, tsval, options);
	if (header == SW_PLAIN_HEADER_LINUX_SYN) {
		if (sw_unlikely(sw_load_be16(tcp + 20) != SW_MSS_OF_4 || tcp[39] > SW_WINDOW_SCALE_MAX))
			return false;
		out->mss = sw_load_be16(tcp + 22);
	}
	/* No field overflows: l4 + there is within the frame, and header within `there`. */
	sw_plain_finish(out, SW_PACKET_TCP, is_ipv6, SW_PROTO_TCP, side,
		l4 * (1 | 1ull << 16 | 1ull << 48) + (uint64_t)(uint32_t)header * ((1ull << 16) - (1ull << 32)) +
			(uint64_t)(uint32_t)there * (1ull << 32 | 1ull << 48));
	return true;
}

/* ---- all others ------------------------------------------------------------------------------------------------- */

/* Protocols that the complete parser looks into, under either IP. */
static inline bool sw_plain_protocol_matters(uint8_t protocol)
{
	const uint64_t matters = 1ull << SW_PROTO_HOP_BY_HOP | 1ull << SW_PROTO_ICMP | 1ull << SW_PROTO_TCP |
							 1ull << SW_PROTO_ROUTING | 1ull << SW_PROTO_FRAGMENT | 1ull << SW_PROTO_AH |
							 1ull << SW_PROTO_ICMPV6 | 1ull << SW_PROTO_DESTINATION_OPTIONS;

	return protocol < 64 && matters >> protocol & 1;
}

static inline bool sw_plain_other(bool is_ipv6, uint8_t protocol, uint32_t ip_bytes, enum sw_side side,
	struct sw_packet *out)
{
	static const union sw_lanes_constant no_options = {{[10] = (uint8_t)SW_WINDOW_SCALE_NONE}};
	const sw_lanes fixed = {0}, options = no_options.lanes;
	const uint64_t l4 = is_ipv6 ? SW_PLAIN_L4_IPV6 : SW_PLAIN_L4_IPV4;

	SW_PLAIN_STORE(out, client_port, fixed);
	SW_PLAIN_STORE(out, tsval, options);
	sw_plain_finish(out, SW_PACKET_OTHER, is_ipv6, protocol, side, l4 | (uint64_t)(SW_PLAIN_L3 + ip_bytes) << 48);
	return true;
}

/* ---- IP --------------------------------------------------------------------------------------------------------- */

/*
 * What keeps TCP over IPv4 from being plain, in front of the TCP header: the group bit of either MAC; a header other
 * than 0x45; a fragment; a source in 0.0.0.0/8, 127.0.0.0/8, 224.0.0.0/4 or 255.0.0.0/8 (of which one address alone is
 * impossible: the complete parser knows), a destination in the last two.
 */
static inline sw_lanes sw_plain_wrong_ipv4(sw_lanes head, sw_lanes tail)
{
	enum { FRAGMENT = 20 - SW_PLAIN_TAIL, SOURCE = 26 - SW_PLAIN_TAIL, DESTINATION = 30 - SW_PLAIN_TAIL };
	static const union sw_lanes_constant head_mask = {{[0] = 1, [6] = 1, [14] = 0xff}};
	static const union sw_lanes_constant tail_from = {{SW_NO_LANE, FRAGMENT, FRAGMENT + 1, SOURCE, SOURCE, SOURCE,
		SW_NO_LANE, SOURCE, DESTINATION, DESTINATION, [10 ... 15] = SW_NO_LANE}};
	static const union sw_lanes_constant tail_mask = {{0, 0x3f, [2 ... 5] = 0xff, 0, [7 ... 9] = 0xff}};
	static const union sw_lanes_constant bias = {{
		[0 ... 2] = SW_RANGE_BIAS(0),
		[3] = SW_RANGE_BIAS(1),
		[4] = SW_RANGE_BIAS(128),
		[5] = SW_RANGE_BIAS(240),
		[6 ... 7] = SW_RANGE_BIAS(0),
		[8] = SW_RANGE_BIAS(240),
		[9 ... 13] = SW_RANGE_BIAS(0),
		[14] = SW_RANGE_BIAS(0x45),
		[15] = SW_RANGE_BIAS(0),
	}};
	static const union sw_lanes_constant limit = {{
		[0 ... 2] = SW_RANGE_LIMIT(0, 0),
		[3] = SW_RANGE_LIMIT(1, 255),
		[4] = SW_RANGE_LIMIT(128, 126),
		[5] = SW_RANGE_LIMIT(240, 223),
		[6] = SW_RANGE_LIMIT(0, 0),
		[7] = SW_RANGE_LIMIT(0, 254),
		[8] = SW_RANGE_LIMIT(240, 223),
		[9] = SW_RANGE_LIMIT(0, 254),
		[10 ... 13] = SW_RANGE_LIMIT(0, 0),
		[14] = SW_RANGE_LIMIT(0x45, 0x45),
		[15] = SW_RANGE_LIMIT(0, 0),
	}};

	return sw_lanes_outside((head & head_mask.lanes) |
								(sw_lanes_pick(tail, tail_from.lanes) & tail_mask.lanes),
		&bias, &limit);
}

static inline bool sw_plain_ipv4(const uint8_t *frame, uint32_t bytes, enum sw_side side, struct sw_packet *out)
{
	const sw_lanes tail = sw_lanes_load(frame + SW_PLAIN_TAIL);
	const uint32_t total = sw_load_be16(frame + 16);
	const uint8_t protocol = frame[23];

	if (sw_unlikely(total > bytes - SW_PLAIN_L3))
		return false;
	if (sw_likely(protocol == SW_PROTO_TCP)) {
		const sw_lanes wrong = sw_plain_wrong_ipv4(sw_lanes_load(frame), tail);

		if (sw_unlikely(memcmp(frame + 26, frame + 30, 4) == 0))
			return false;
		sw_plain_addresses_ipv4(out, tail, side);
		return sw_plain_tcp(frame, SW_PLAIN_L4_IPV4, (int32_t)total - SW_IPV4_BYTES, wrong, side, out);
	}
	if (frame[14] != 0x45 || total < SW_IPV4_BYTES || sw_plain_protocol_matters(protocol))
		return false;
	sw_plain_addresses_ipv4(out, tail, side);
	return sw_plain_other(false, protocol, total, side, out);
}

/*
 * The same for IPv6: group bits, a version other than 6, and addresses that begin with a byte of 0 or 255. Among these
 * are all that are impossible, and all that pass for IPv4.
 */
static inline sw_lanes sw_plain_wrong_ipv6(const uint8_t *frame)
{
	static const union sw_lanes_constant mask = {{[0] = 1, [6] = 1, [14] = 0xf0}};
	static const union sw_lanes_constant bias = {{
		[0 ... 6] = SW_RANGE_BIAS(0),
		[7 ... 8] = SW_RANGE_BIAS(1),
		[9 ... 13] = SW_RANGE_BIAS(0),
		[14] = SW_RANGE_BIAS(0x60),
		[15] = SW_RANGE_BIAS(0),
	}};
	static const union sw_lanes_constant limit = {{
		[0 ... 6] = SW_RANGE_LIMIT(0, 0),
		[7 ... 8] = SW_RANGE_LIMIT(1, 254),
		[9 ... 13] = SW_RANGE_LIMIT(0, 0),
		[14] = SW_RANGE_LIMIT(0x60, 0x60),
		[15] = SW_RANGE_LIMIT(0, 0),
	}};
	sw_lanes seen = sw_lanes_load(frame) & mask.lanes;

	seen[7] = frame[22];
	seen[8] = frame[38];
	return sw_lanes_outside(seen, &bias, &limit);
}

static inline bool sw_plain_ipv6(const uint8_t *frame, uint32_t bytes, enum sw_side side, struct sw_packet *out)
{
	const sw_lanes source = sw_lanes_load(frame + 22), destination = sw_lanes_load(frame + 38);
	const uint32_t payload = sw_load_be16(frame + 18);
	const uint8_t protocol = frame[20];

	if (sw_unlikely(payload + SW_PLAIN_L4_IPV6 > bytes))
		return false;
	if (sw_likely(protocol == SW_PROTO_TCP)) {
		if (sw_unlikely(bytes < SW_PLAIN_BYTES_IPV6 || sw_lanes_are_zero(source ^ destination)))
			return false;
		sw_plain_addresses(out, source, destination, side);
		return sw_plain_tcp(frame, SW_PLAIN_L4_IPV6, (int32_t)payload, sw_plain_wrong_ipv6(frame), side, out);
	}
	if (frame[14] >> 4 != 6 || frame[22] == 0 || frame[38] == 0 || sw_plain_protocol_matters(protocol))
		return false;
	sw_plain_addresses(out, source, destination, side);
	return sw_plain_other(true, protocol, SW_IPV6_BYTES + payload, side, out);
}

/*
 * True: `out` is, in every byte, what sw_frame_parse() would make of the frame. False: the frame is not plain, `out` is
 * anything, and sw_frame_parse() has to be asked. Never reads past frame[bytes - 1].
 */
static inline bool sw_frame_parse_plain(const uint8_t *frame, uint32_t bytes, enum sw_side side, struct sw_packet *out)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ /* numbers are written in groups */
	uint16_t type;

	if (sw_unlikely(bytes < SW_PLAIN_BYTES_IPV4 || bytes > UINT16_MAX))
		return false;
	type = sw_load_be16(frame + SW_PLAIN_L3 - 2);
	if (sw_likely(type == SW_ETHERTYPE_IPV4))
		return sw_plain_ipv4(frame, bytes, side, out);
	if (sw_likely(type == SW_ETHERTYPE_IPV6))
		return sw_plain_ipv6(frame, bytes, side, out);
#else
	(void)frame, (void)bytes, (void)side, (void)out;
#endif
	return false;
}

#endif
