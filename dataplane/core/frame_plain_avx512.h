/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The look of frame_plain.h at TCP, for processors that permute the bytes of 64-byte vectors (AVX-512 VBMI): one comparison
 * judges all headers, one permutation makes most of a view. Views are the same in every byte; flags and ports are judged,
 * too, so that nothing is left to be found for a burst.
 *
 * Whatever is picked comes from a pair of vectors:
 *
 *        0                                       63 64        80      96                                  127
 *        | frame; of IPv4 without options 54 bytes | numbers |         | the last 32 bytes of the TCP header |
 *
 * What is picked, for judging and for the view, stands in the tables of frame_plain_rows.c: a row for each data offset.
 */
#ifndef SW_FRAME_PLAIN_AVX512_H
#define SW_FRAME_PLAIN_AVX512_H

#include <immintrin.h>

#include "frame_plain.h"

/* What sw_isa_has_vbmi() has found. */
#define SW_AVX512_VBMI __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,bmi,bmi2,movbe")))

/*
 * What goes for one data offset. In judging, a lane of 16 bits is right if (picked & judged_bits) ^ flip is not above
 * limit. `head` picks the first 64 bytes of the view; the last 32 are picked from those and the frame, by pick_tail, and
 * what is in `tail` is added, 16 bits at a time.
 */
struct sw_plain_row {
	_Alignas(64) uint8_t head[64];
	uint8_t picked[32];
	uint16_t flip[16], limit[16], tail[16];
	uint32_t least; /* that the IP header may say of its length */
	uint8_t reserved[60];
};

/* Of one side and family. */
struct sw_plain_rows {
	struct sw_plain_row row[16];
	uint8_t numbers[64];
	uint8_t pick_tail[64];
	uint16_t judged_bits[16];
};

extern const struct sw_plain_rows sw_plain_rows[SW_SIDES][2]; /* [side][is_ipv6] */

/* In registers over a burst: the row of the frame before, since most have the same, and what goes for all rows. */
struct sw_plain_wide {
	const struct sw_plain_rows *rows;
	__m512i numbers, pick_tail, head, picked;
	__m256i judged_bits, flip, limit, tail;
	size_t least;
	uint8_t offset; /* the byte that holds it */
};

/* `offset`: as in the header, the data offset in its upper half. */
static inline SW_AVX512_VBMI void sw_plain_turn(struct sw_plain_wide *wide, uint32_t offset)
{
	const struct sw_plain_row *row = &wide->rows->row[offset >> 4];

	wide->offset = (uint8_t)offset;
	wide->least = row->least;
	wide->head = _mm512_load_si512(row->head);
	wide->picked = _mm512_zextsi256_si512(_mm256_load_si256((const void *)row->picked));
	wide->flip = _mm256_load_si256((const void *)row->flip);
	wide->limit = _mm256_load_si256((const void *)row->limit);
	wide->tail = _mm256_load_si256((const void *)row->tail);
}

/* Begins with the row of most floods: SYNs with an MSS. */
static inline SW_AVX512_VBMI struct sw_plain_wide sw_plain_wide(const struct sw_plain_rows *rows)
{
	struct sw_plain_wide wide;

	wide.rows = rows;
	wide.numbers = _mm512_load_si512(rows->numbers);
	wide.pick_tail = _mm512_load_si512(rows->pick_tail);
	wide.judged_bits = _mm256_load_si256((const void *)rows->judged_bits);
	sw_plain_turn(&wide, 0x60);
	return wide;
}

struct sw_plain_pair {
	__m512i frame, rest;
};

/* What the heads of views have in common: bits that one has, and that all have. */
struct sw_plain_common {
	__m512i any, all;
};

static inline SW_AVX512_VBMI bool sw_plain_is_right(const struct sw_plain_wide *wide, struct sw_plain_pair from)
{
	enum { AND_XOR = 0x6a }; /* (a & b) ^ c */
	const __m256i picked = _mm512_castsi512_si256(_mm512_permutex2var_epi8(from.frame, wide->picked, from.rest));
	const __m256i flipped = _mm256_ternarylogic_epi64(picked, wide->judged_bits, wide->flip, AND_XOR);

	return _mm256_cmpgt_epu16_mask(flipped, wide->limit) == 0;
}

static inline SW_AVX512_VBMI void sw_plain_write(const struct sw_plain_wide *wide, struct sw_plain_pair from,
	struct sw_packet *out, struct sw_plain_common *common)
{
	const __m512i head = _mm512_permutex2var_epi8(from.frame, wide->head, from.rest);
	__m256i tail;

	_mm512_storeu_si512(out, head);
	common->any = _mm512_or_si512(common->any, head);
	common->all = _mm512_and_si512(common->all, head);
	tail = _mm512_castsi512_si256(_mm512_permutex2var_epi8(head, wide->pick_tail, from.frame));
	_mm256_storeu_si256((__m256i *)(void *)((uint8_t *)out + sizeof(*out) - sizeof(tail)),
		_mm256_add_epi16(tail, wide->tail));
}

/* Do source and destination differ? `source`: in the frame, followed by the other. */
static inline SW_AVX512_VBMI bool sw_plain_ends_differ(bool is_ipv6, const uint8_t *source)
{
	return is_ipv6 ? !sw_lanes_are_zero(sw_lanes_load(source) ^ sw_lanes_load(source + 16))
				   : sw_load_be32(source) != sw_load_be32(source + 4);
}

/*
 * Of a frame whose ends differ: plain TCP? Then `out` is, in every byte, what sw_frame_parse() would make of it; otherwise
 * it is anything. `bytes`: SW_PLAIN_BYTES_IPV4 to UINT16_MAX; `is_ipv6`: a constant.
 */
static inline SW_AVX512_VBMI bool sw_plain_look_tcp(struct sw_plain_wide *wide, bool is_ipv6, const uint8_t *frame,
	uint32_t bytes, struct sw_packet *out, struct sw_plain_common *common)
{
	const uint8_t *tcp = frame + (is_ipv6 ? SW_PLAIN_L4_IPV6 : SW_PLAIN_L4_IPV4);
	const uint8_t *counted = frame + (is_ipv6 ? SW_PLAIN_L4_IPV6 : SW_PLAIN_L3); /* by the length of the IP header */
	struct sw_plain_pair from;
	uint32_t length;

	if (sw_unlikely(is_ipv6 && bytes < SW_PLAIN_BYTES_IPV6))
		return false;
	if (sw_unlikely(tcp[12] != wide->offset))
		sw_plain_turn(wide, sw_load_be16(tcp + 12) >> 8u);
	length = (uint16_t)sw_load_be32(frame + (is_ipv6 ? 18 : 16) - 2); /* one instruction, unlike for 16 bits */
	if (sw_unlikely(length + (uint32_t)(counted - frame) > bytes || length < wide->least))
		return false;
	from.frame = _mm512_maskz_loadu_epi8(is_ipv6 ? UINT64_MAX : (1ull << SW_PLAIN_BYTES_IPV4) - 1, frame);
	from.rest = _mm512_inserti64x4(wide->numbers, _mm256_loadu_si256((const void *)(counted + wide->least - 32)), 1);
	if (sw_unlikely(!sw_plain_is_right(wide, from)))
		return false;
	sw_plain_write(wide, from, out, common);
	return true;
}

/* sw_frame_parse_plain() for TCP, in this way. */
static inline SW_AVX512_VBMI bool sw_frame_parse_plain_avx512(const uint8_t *frame, uint32_t bytes, enum sw_side side,
	struct sw_packet *out)
{
	const struct sw_plain_rows *rows = sw_plain_rows[side];
	struct sw_plain_wide ipv4 = sw_plain_wide(&rows[0]), ipv6 = sw_plain_wide(&rows[1]);
	struct sw_plain_common common = {_mm512_setzero_si512(), _mm512_setzero_si512()};

	if (bytes < SW_PLAIN_BYTES_IPV4 || bytes > UINT16_MAX)
		return false;
	return (sw_plain_ends_differ(false, frame + 26) && sw_plain_look_tcp(&ipv4, false, frame, bytes, out, &common)) ||
		(sw_plain_ends_differ(true, frame + 22) && sw_plain_look_tcp(&ipv6, true, frame, bytes, out, &common));
}

#endif
