/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What nearly every frame is, recognised in one look: untagged IPv4 without options or fragments, or IPv6 without
 * extension headers; TCP with the option layouts that matter, or a protocol that is forwarded untouched. No reasons are
 * found here: whatever is not plainly right is left to sw_frame_parse(), the one complete parser, to which this adds
 * nothing and with which it always agrees (tests/unit/core/test_frame_plain.c, tests/fuzz/fuzz_frame.c). Two things are
 * cheaper to judge for a burst at once, and stages/parse.c does: flags, and ports of 0.
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
#define SW_RANGE_BIAS(first, last) ((uint8_t)(0x80 - (first)))
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

/* What a look at a frame has shown. */
enum sw_plain { SW_PLAIN_NOT, SW_PLAIN_TCP, SW_PLAIN_OTHER };

/* ---- what is written -------------------------------------------------------------------------------------------- */

#define SW_PLAIN_GROUP(first, last, bytes) \
	_Static_assert(offsetof(struct sw_packet, last) + sizeof(((struct sw_packet *)0)->last) == \
					   offsetof(struct sw_packet, first) + (bytes), \
		"from " #first " to " #last " is written in one")
SW_PLAIN_GROUP(client, server, 32);
SW_PLAIN_GROUP(client_port, sack_blocks, 16);
SW_PLAIN_GROUP(tsval, payload_offset, 16);
SW_PLAIN_GROUP(vlan, side, 16);
SW_PLAIN_GROUP(l4_offset, sack_offset, 4);
SW_PLAIN_GROUP(payload_bytes, frame_bytes, 4);
_Static_assert(SW_OUTSIDE == 0 && SW_INSIDE == 1, "the side is an index");

#define SW_PLAIN_STORE(out, first, value) \
	memcpy((uint8_t *)(out) + offsetof(struct sw_packet, first), &(value), sizeof(value))

static inline void sw_plain_addresses(struct sw_packet *out, sw_lanes source, sw_lanes destination, size_t side)
{
	uint8_t *client = (uint8_t *)out + offsetof(struct sw_packet, client);

	memcpy(client + 16 * side, &source, 16);
	memcpy(client + (16 * side ^ 16), &destination, 16);
}

static inline void sw_plain_addresses_ipv4(struct sw_packet *out, sw_lanes tail, size_t side)
{
	/* ::ffff:a.b.c.d; lane 0, of which nobody needs what it holds, lends the ff. */
	static const union sw_lanes_constant ff = {{0xff}};
	static const union sw_lanes_constant source = {{[0 ... 9] = SW_NO_LANE, 0, 0, 8, 9, 10, 11}};
	static const union sw_lanes_constant destination = {{[0 ... 9] = SW_NO_LANE, 0, 0, 12, 13, 14, 15}};

	tail |= ff.lanes;
	sw_plain_addresses(out, sw_lanes_pick(tail, source.lanes), sw_lanes_pick(tail, destination.lanes), side);
}

/* The rest: from l4_offset, with no SACK blocks anywhere. */
static inline void sw_plain_places(struct sw_packet *out, uint32_t l4, uint32_t payload_bytes, uint32_t frame_bytes)
{
	const uint32_t bytes = payload_bytes + (frame_bytes << 16);

	SW_PLAIN_STORE(out, l4_offset, l4);
	SW_PLAIN_STORE(out, payload_bytes, bytes);
}

/* From vlan, of which there is none, to side. */
#define SW_PLAIN_WHAT(kind, is_ipv6, protocol, side) {{[8] = SW_PLAIN_L3, 0, kind, 0, is_ipv6, 0, protocol, side}}

/* ---- TCP -------------------------------------------------------------------------------------------------------- */

/*
 * A layout of TCP options, as seen in the last 16 bytes of the header: `mask` and `value` say what makes it this one;
 * what `from` picks, over `constant`, is the group of fields from tsval to payload_offset.
 */
struct sw_plain_layout {
	union sw_lanes_constant mask, value, from, constant;
};

/* No header at all: lane 0 is masked and yet to be 1. */
#define SW_PLAIN_NONE {.value = {{1}}}
/* clang-format off */
/* By the data offset, in words of 4 bytes. */
#define SW_PLAIN_LAYOUTS(l4) { \
	[0 ... 4] = SW_PLAIN_NONE, \
	[5] = { /* no options */ \
		.from = {{[0 ... 15] = SW_NO_LANE}}, \
		.constant = {{[10] = (uint8_t)SW_WINDOW_SCALE_NONE, [14] = (l4) + 20}}}, \
	[6] = { /* MSS: the least of SYNs, and most floods */ \
		.mask = {{[12] = 0xff, 0xff}}, \
		.value = {{[12] = 2, 4}}, \
		.from = {{[0 ... 7] = SW_NO_LANE, 15, 14, [10 ... 15] = SW_NO_LANE}}, \
		.constant = {{[10] = (uint8_t)SW_WINDOW_SCALE_NONE, [14] = (l4) + 24}}}, \
	[7] = SW_PLAIN_NONE, \
	[8] = { /* NOP NOP Timestamps: every segment of most connections (RFC 7323, appendix A) */ \
		.mask = {{[4] = 0xff, 0xff, 0xff, 0xff}}, \
		.value = {{[4] = 1, 1, 8, 10}}, \
		.from = {{11, 10, 9, 8, 15, 14, 13, 12, [8 ... 15] = SW_NO_LANE}}, \
		.constant = {{[10] = (uint8_t)SW_WINDOW_SCALE_NONE, SW_OPTION_TIMESTAMPS, (l4) + 24, 0, (l4) + 32}}}, \
	[9] = SW_PLAIN_NONE, \
	[10] = { /* MSS (in front of the 16 bytes) SACK-permitted Timestamps NOP Window-scale: SYNs of Linux */ \
		.mask = {{0xff, 0xff, 0xff, 0xff, [12] = 0xff, 0xff, 0xff}}, \
		.value = {{4, 2, 8, 10, [12] = 1, 3, 3}}, \
		.from = {{7, 6, 5, 4, 11, 10, 9, 8, SW_NO_LANE, SW_NO_LANE, 15, [11 ... 15] = SW_NO_LANE}}, \
		.constant = {{[11] = SW_OPTION_TIMESTAMPS | SW_OPTION_SACK_PERMITTED, (l4) + 28, 0, (l4) + 40}}}, \
	[11 ... 15] = SW_PLAIN_NONE, \
}
/* clang-format on */

enum { SW_PLAIN_HEADER_LINUX_SYN = 40 };

_Alignas(64) static const struct sw_plain_layout sw_plain_layouts[2][16] = {
	SW_PLAIN_LAYOUTS(SW_PLAIN_L4_IPV4),
	SW_PLAIN_LAYOUTS(SW_PLAIN_L4_IPV6),
};

_Static_assert(sizeof(struct sw_plain_layout) == 4 * 16, "4 times the byte that holds the data offset is an offset");

/* What depends on nothing but the family and the side: what picks the group from client_port, and the one from vlan. */
struct sw_plain_side {
	union sw_lanes_constant fixed_from, what;
};

/* Ports in the order client, server; seq; ack; window; flags; and sack_blocks, of which there are none. */
#define SW_PLAIN_OUTSIDE(is_ipv6) \
	{{{1, 0, 3, 2, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, SW_NO_LANE}}, \
		SW_PLAIN_WHAT(SW_PACKET_TCP, is_ipv6, SW_PROTO_TCP, SW_OUTSIDE)}
#define SW_PLAIN_INSIDE(is_ipv6) \
	{{{3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, SW_NO_LANE}}, \
		SW_PLAIN_WHAT(SW_PACKET_TCP, is_ipv6, SW_PROTO_TCP, SW_INSIDE)}
static const struct sw_plain_side sw_plain_sides[2][SW_SIDES] = {
	{SW_PLAIN_OUTSIDE(0), SW_PLAIN_INSIDE(0)},
	{SW_PLAIN_OUTSIDE(1), SW_PLAIN_INSIDE(1)},
};

/*
 * The segment at l4, of which the IP header says that `there` bytes are there (less than 0: that it is nonsense), and
 * of which the fixed header can be read. `wrong`: what was found in front of it, all 0 if nothing.
 */
static inline enum sw_plain sw_plain_tcp(const uint8_t *frame, uint32_t l4, int32_t there, sw_lanes wrong, size_t side,
	struct sw_packet *out)
{
	const bool is_ipv6 = l4 == SW_PLAIN_L4_IPV6;
	const uint8_t *tcp = frame + l4;
	const size_t offset = tcp[12] & 0xf0; /* 16 for each word of 4 bytes */
	const size_t header = offset / 4;
	const int32_t payload = there - (int32_t)header;
	const struct sw_plain_layout *layout =
		(const struct sw_plain_layout *)((const uint8_t *)sw_plain_layouts[is_ipv6] + 4 * offset);
	const struct sw_plain_side *from = &sw_plain_sides[is_ipv6][side];
	sw_lanes fixed, end, options;

	if (sw_unlikely(payload < 0))
		return SW_PLAIN_NOT;
	end = sw_lanes_load(tcp + header - 16);
	wrong |= (end & layout->mask.lanes) ^ layout->value.lanes;
	if (sw_unlikely(!sw_lanes_are_zero(wrong)))
		return SW_PLAIN_NOT;
	fixed = sw_lanes_pick(sw_lanes_load(tcp), from->fixed_from.lanes);
	options = sw_lanes_pick(end, layout->from.lanes) | layout->constant.lanes;
	SW_PLAIN_STORE(out, client_port, fixed);
	SW_PLAIN_STORE(out, tsval, options);
	SW_PLAIN_STORE(out, vlan, from->what);
	sw_plain_places(out, l4, (uint32_t)payload, (uint32_t)there + l4);
	if (header == SW_PLAIN_HEADER_LINUX_SYN) {
		if (sw_unlikely(sw_load_be16(tcp + 20) != SW_MSS_OF_4 || tcp[39] > SW_WINDOW_SCALE_MAX))
			return SW_PLAIN_NOT;
		out->mss = sw_load_be16(tcp + 22);
	}
	return SW_PLAIN_TCP;
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

static inline enum sw_plain sw_plain_other(bool is_ipv6, uint8_t protocol, uint32_t ip_bytes, size_t side,
	struct sw_packet *out)
{
	static const union sw_lanes_constant no_options = {{[10] = (uint8_t)SW_WINDOW_SCALE_NONE}};
	static const union sw_lanes_constant what[2][2] = {
		{SW_PLAIN_WHAT(SW_PACKET_OTHER, 0, 0, SW_OUTSIDE), SW_PLAIN_WHAT(SW_PACKET_OTHER, 0, 0, SW_INSIDE)},
		{SW_PLAIN_WHAT(SW_PACKET_OTHER, 1, 0, SW_OUTSIDE), SW_PLAIN_WHAT(SW_PACKET_OTHER, 1, 0, SW_INSIDE)},
	};
	const sw_lanes fixed = {0};

	SW_PLAIN_STORE(out, client_port, fixed);
	SW_PLAIN_STORE(out, tsval, no_options);
	SW_PLAIN_STORE(out, vlan, what[is_ipv6][side]);
	out->protocol = protocol;
	sw_plain_places(out, is_ipv6 ? SW_PLAIN_L4_IPV6 : SW_PLAIN_L4_IPV4, 0, SW_PLAIN_L3 + ip_bytes);
	return SW_PLAIN_OTHER;
}

static inline enum sw_plain sw_plain_other_ipv4(const uint8_t *frame, uint32_t bytes, size_t side, struct sw_packet *out)
{
	const uint32_t total = sw_load_be16(frame + 16);
	const uint8_t protocol = frame[23];

	if (total + SW_PLAIN_L3 > bytes || frame[14] != 0x45 || total < SW_IPV4_BYTES || sw_plain_protocol_matters(protocol))
		return SW_PLAIN_NOT;
	sw_plain_addresses_ipv4(out, sw_lanes_load(frame + SW_PLAIN_TAIL), side);
	return sw_plain_other(false, protocol, total, side, out);
}

static inline enum sw_plain sw_plain_other_ipv6(const uint8_t *frame, uint32_t bytes, size_t side, struct sw_packet *out)
{
	const uint32_t payload = sw_load_be16(frame + 18);
	const uint8_t protocol = frame[20];

	if (payload + SW_PLAIN_L4_IPV6 > bytes || frame[14] >> 4 != 6 || frame[22] == 0 || frame[38] == 0 ||
		sw_plain_protocol_matters(protocol))
		return SW_PLAIN_NOT;
	sw_plain_addresses(out, sw_lanes_load(frame + 22), sw_lanes_load(frame + 38), side);
	return sw_plain_other(true, protocol, SW_IPV6_BYTES + payload, side, out);
}

/* ---- IP --------------------------------------------------------------------------------------------------------- */

/* clang-format off */
/*
 * What keeps TCP over IPv4 from being plain, in front of the TCP header. Each lane allows one range; what has to lie in
 * two stands in two lanes. The complete parser knows better about two things: the fragment bit that is reserved means
 * nothing, and of 255.0.0.0/8 one address alone is impossible.
 */
#define SW_PLAIN_RANGES_IPV4(lane) {{ \
	lane(0, 0), /* group bit of the destination MAC */ \
	lane(0x40, 0x00), lane(0x00, 0x40), lane(0, 0), /* fragment bits: none, or don't fragment */ \
	lane(1, 255), lane(128, 126), /* source: not of 0.0.0.0/8 nor 127.0.0.0/8 ... */ \
	lane(0, 0), /* group bit of the source MAC */ \
	lane(240, 223), lane(0, 254), /* ... nor of 224.0.0.0/4 nor 255.0.0.0/8 */ \
	lane(240, 223), lane(0, 254), /* destination: the same */ \
	lane(0, 0), lane(0, 0), lane(0, 0), \
	lane(0x45, 0x45), /* version, length of the header */ \
	lane(0, 0)}}
static inline sw_lanes sw_plain_wrong_ipv4(sw_lanes head, sw_lanes tail)
{
	enum { FRAGMENT = 20 - SW_PLAIN_TAIL, SOURCE = 26 - SW_PLAIN_TAIL, DESTINATION = 30 - SW_PLAIN_TAIL };
	static const union sw_lanes_constant head_mask = {{[0] = 1, [6] = 1, [14] = 0xff}};
	static const union sw_lanes_constant tail_from = {{SW_NO_LANE, FRAGMENT, FRAGMENT, FRAGMENT + 1, SOURCE, SOURCE,
		SW_NO_LANE, SOURCE, SOURCE, DESTINATION, DESTINATION, [11 ... 15] = SW_NO_LANE}};
	static const union sw_lanes_constant bias = SW_PLAIN_RANGES_IPV4(SW_RANGE_BIAS);
	static const union sw_lanes_constant limit = SW_PLAIN_RANGES_IPV4(SW_RANGE_LIMIT);

	return sw_lanes_outside((head & head_mask.lanes) | sw_lanes_pick(tail, tail_from.lanes), &bias, &limit);
}

static inline enum sw_plain sw_plain_ipv4(const uint8_t *frame, uint32_t bytes, size_t side, struct sw_packet *out)
{
	const uint32_t total = sw_load_be16(frame + 16);
	sw_lanes tail, wrong;

	if (sw_unlikely(frame[23] != SW_PROTO_TCP))
		return sw_plain_other_ipv4(frame, bytes, side, out);
	if (sw_unlikely(total + SW_PLAIN_L3 > bytes || memcmp(frame + 26, frame + 30, 4) == 0))
		return SW_PLAIN_NOT;
	tail = sw_lanes_load(frame + SW_PLAIN_TAIL);
	wrong = sw_plain_wrong_ipv4(sw_lanes_load(frame), tail);
	sw_plain_addresses_ipv4(out, tail, side);
	return sw_plain_tcp(frame, SW_PLAIN_L4_IPV4, (int32_t)total - SW_IPV4_BYTES, wrong, side, out);
}

/*
 * The same for IPv6. Among the addresses that begin with a byte of 0 or 255 are all that are impossible, and all that
 * pass for IPv4.
 */
#define SW_PLAIN_RANGES_IPV6(lane) {{ \
	lane(0, 0), /* group bit of the destination MAC */ \
	lane(0, 0), lane(0, 0), lane(0, 0), lane(0, 0), lane(0, 0), \
	lane(0, 0), /* group bit of the source MAC */ \
	lane(1, 254), lane(1, 254), /* source, destination */ \
	lane(0, 0), lane(0, 0), lane(0, 0), lane(0, 0), lane(0, 0), \
	lane(0x60, 0x60), /* version */ \
	lane(0, 0)}}
/* clang-format on */
static inline sw_lanes sw_plain_wrong_ipv6(const uint8_t *frame)
{
	static const union sw_lanes_constant head_mask = {{[0] = 1, [6] = 1, [14] = 0xf0}};
	static const union sw_lanes_constant bias = SW_PLAIN_RANGES_IPV6(SW_RANGE_BIAS);
	static const union sw_lanes_constant limit = SW_PLAIN_RANGES_IPV6(SW_RANGE_LIMIT);
	sw_lanes seen = sw_lanes_load(frame) & head_mask.lanes;

	seen[7] = frame[22];
	seen[8] = frame[38];
	return sw_lanes_outside(seen, &bias, &limit);
}

static inline enum sw_plain sw_plain_ipv6(const uint8_t *frame, uint32_t bytes, size_t side, struct sw_packet *out)
{
	const sw_lanes source = sw_lanes_load(frame + 22), destination = sw_lanes_load(frame + 38);
	const uint32_t payload = sw_load_be16(frame + 18);

	if (sw_unlikely(frame[20] != SW_PROTO_TCP))
		return sw_plain_other_ipv6(frame, bytes, side, out);
	if (sw_unlikely(payload + SW_PLAIN_L4_IPV6 > bytes || bytes < SW_PLAIN_BYTES_IPV6 ||
			sw_lanes_are_zero(source ^ destination)))
		return SW_PLAIN_NOT;
	sw_plain_addresses(out, source, destination, side);
	return sw_plain_tcp(frame, SW_PLAIN_L4_IPV6, (int32_t)payload, sw_plain_wrong_ipv6(frame), side, out);
}

/*
 * SW_PLAIN_TCP, SW_PLAIN_OTHER: `out` is, in every byte, what sw_frame_parse() would make of the frame - unless it is
 * TCP with impossible flags or a port of 0, which are left to be found for a whole burst at once: sw_frame_parse() is
 * then to be asked. SW_PLAIN_NOT: the frame is not plain, `out` is anything, and likewise. Never reads past
 * frame[bytes - 1].
 */
static inline enum sw_plain sw_frame_look_plain(const uint8_t *frame, uint32_t bytes, enum sw_side side,
	struct sw_packet *out)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ /* numbers are written in groups */
	uint16_t type;

	if (sw_unlikely(bytes < SW_PLAIN_BYTES_IPV4))
		return SW_PLAIN_NOT;
	if (sw_unlikely(bytes > UINT16_MAX)) /* by itself: gone where `bytes` has 16 bits */
		return SW_PLAIN_NOT;
	type = sw_load_be16(frame + SW_PLAIN_L3 - 2);
	if (sw_likely(type == SW_ETHERTYPE_IPV4))
		return sw_plain_ipv4(frame, bytes, side, out);
	if (sw_likely(type == SW_ETHERTYPE_IPV6))
		return sw_plain_ipv6(frame, bytes, side, out);
#else
	(void)frame, (void)bytes, (void)side, (void)out;
#endif
	return SW_PLAIN_NOT;
}

/* The same for a single frame: true where sw_frame_parse() need not be asked. */
static inline bool sw_frame_parse_plain(const uint8_t *frame, uint32_t bytes, enum sw_side side, struct sw_packet *out)
{
	const enum sw_plain plain = sw_frame_look_plain(frame, bytes, side, out);

	return plain == SW_PLAIN_OTHER || (plain == SW_PLAIN_TCP && sw_tcp_flags_possible(out->tcp_flags) &&
		out->client_port != 0 && out->server_port != 0);
}

#endif
