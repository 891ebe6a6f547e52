/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The look of frame_plain.h at TCP, for processors that permute the bytes of 64-byte vectors (AVX-512 VBMI): one comparison
 * judges all headers, one permutation makes most of a view. Views are the same in every byte; flags and ports are judged,
 * too, so that nothing is left to be found for a burst.
 *
 * Whatever is picked comes from a pair of vectors:
 *
 *        0                                    63 64        80        96                                    127
 *  IPv4  | frame, bytes 0 to 53 | zeros         | numbers | zeros   | the last 32 bytes of the TCP header   |
 *  IPv6  | frame, bytes 10 to 73                | numbers | frame,  | likewise                              |
 *                                               |         | 0 to 15 |
 *
 * What is picked, for judging and for the view, stands in the tables of frame_plain_rows.c: a row for each data offset.
 */
#ifndef SW_FRAME_PLAIN_AVX512_H
#define SW_FRAME_PLAIN_AVX512_H

#include <immintrin.h>

#include "frame_plain.h"

/* What sw_isa_has_vbmi() has found. */
#define SW_AVX512_VBMI __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,bmi,bmi2,movbe")))

enum {
	SW_PICK_FIRST_IPV6 = SW_PLAIN_BYTES_IPV6 - 64,
	/* Rows are named as a header names them, by the upper half of a byte. */
	SW_ROW_UNIT = 16,
	SW_ROWS = 16,
};

/*
 * Of one side and family. In judging, a lane of 16 bits is right if (picked & judged_bits) ^ flip is not above limit.
 * `head` picks the first 64 bytes of the view. The last 32 are picked from those and the frame, by pick_tail, plus what
 * is in `tail`, 16 bits at a time.
 */
struct sw_plain_rows {
	_Alignas(64) uint8_t numbers[64];
	uint8_t pick_tail[64];
	uint8_t head[SW_ROWS][64];
	uint16_t judged_bits[16];
	uint8_t picked[SW_ROWS][32];
	uint16_t flip[SW_ROWS][16], limit[SW_ROWS][16];
	uint16_t tail[SW_ROWS][16];
	uint8_t least[SW_ROWS][SW_ROW_UNIT]; /* [0]: the least that the IP header may say of its length */
};

extern const struct sw_plain_rows sw_plain_rows[SW_SIDES][2]; /* [side][is_ipv6] */

#define SW_ROW(rows, row) ((const void *)((const uint8_t *)(rows) + (row) * (sizeof((rows)[0]) / SW_ROW_UNIT)))

/* The rows, and what goes for all of them: in registers over a burst. */
struct sw_plain_wide {
	const struct sw_plain_rows *rows;
	__m512i numbers, pick_tail;
	__m256i judged_bits;
};

static inline SW_AVX512_VBMI struct sw_plain_wide sw_plain_wide(const struct sw_plain_rows *rows)
{
	return (struct sw_plain_wide){rows, _mm512_load_si512(rows->numbers), _mm512_load_si512(rows->pick_tail),
		_mm256_load_si256((const void *)rows->judged_bits)};
}

struct sw_plain_pair {
	__m512i frame, rest;
};

/* `end`: the last 32 bytes of the TCP header. */
static inline SW_AVX512_VBMI struct sw_plain_pair sw_plain_load_ipv4(const struct sw_plain_wide *wide,
	const uint8_t *frame, const uint8_t *end)
{
	return (struct sw_plain_pair){
		_mm512_maskz_loadu_epi8((1ull << SW_PLAIN_BYTES_IPV4) - 1, frame),
		_mm512_inserti64x4(wide->numbers, _mm256_loadu_si256((const void *)end), 1),
	};
}

static inline SW_AVX512_VBMI struct sw_plain_pair sw_plain_load_ipv6(const struct sw_plain_wide *wide,
	const uint8_t *frame, const uint8_t *end)
{
	const __m512i macs = _mm512_inserti32x4(wide->numbers, _mm_loadu_si128((const void *)frame), 1);

	return (struct sw_plain_pair){
		_mm512_loadu_si512(frame + SW_PICK_FIRST_IPV6),
		_mm512_inserti64x4(macs, _mm256_loadu_si256((const void *)end), 1),
	};
}

static inline SW_AVX512_VBMI bool sw_plain_is_right(const struct sw_plain_wide *wide, size_t row,
	struct sw_plain_pair from)
{
	enum { AND_XOR = 0x6a }; /* (a & b) ^ c */
	const struct sw_plain_rows *rows = wide->rows;
	const __m512i pick = _mm512_zextsi256_si512(_mm256_load_si256(SW_ROW(rows->picked, row)));
	const __m256i picked = _mm512_castsi512_si256(_mm512_permutex2var_epi8(from.frame, pick, from.rest));
	const __m256i flipped = _mm256_ternarylogic_epi64(picked, wide->judged_bits,
		_mm256_load_si256(SW_ROW(rows->flip, row)), AND_XOR);

	return _mm256_cmpgt_epu16_mask(flipped, _mm256_load_si256(SW_ROW(rows->limit, row))) == 0;
}

static inline SW_AVX512_VBMI __m512i sw_plain_write_head(const struct sw_plain_wide *wide, size_t row,
	struct sw_plain_pair from, struct sw_packet *out)
{
	const __m512i head = _mm512_permutex2var_epi8(from.frame, _mm512_load_si512(SW_ROW(wide->rows->head, row)), from.rest);

	_mm512_storeu_si512(out, head);
	return head;
}

static inline SW_AVX512_VBMI void sw_plain_write_tail(const struct sw_plain_wide *wide, size_t row, __m512i frame,
	__m512i head, struct sw_packet *out)
{
	const __m256i tail = _mm512_castsi512_si256(_mm512_permutex2var_epi8(head, wide->pick_tail, frame));

	_mm256_storeu_si256((__m256i *)(void *)((uint8_t *)out + sizeof(*out) - sizeof(tail)),
		_mm256_add_epi16(tail, _mm256_load_si256(SW_ROW(wide->rows->tail, row))));
}

/* The 16 bits at `p`, before which there are two bytes more. */
static inline SW_AVX512_VBMI uint32_t sw_plain_length(const uint8_t *p)
{
	return (uint16_t)sw_load_be32(p - 2);
}

/* What the heads of plain TCP have in common. */
struct sw_plain_common {
	__m512i any, all; /* bits that one has, that all have */
};

static inline SW_AVX512_VBMI void sw_plain_compare(struct sw_plain_common *common, __m512i head)
{
	common->any = _mm512_or_si512(common->any, head);
	common->all = _mm512_and_si512(common->all, head);
}

/*
 * Plain TCP over IPv4? Then `out` is, in every byte, what sw_frame_parse() would make of the frame; otherwise it is
 * anything. `bytes`: SW_PLAIN_BYTES_IPV4 to UINT16_MAX.
 */
static inline SW_AVX512_VBMI bool sw_plain_look_tcp_ipv4(const struct sw_plain_wide *wide, const uint8_t *frame,
	uint32_t bytes, struct sw_packet *out, struct sw_plain_common *common)
{
	const uint32_t total = sw_plain_length(frame + 16);
	const size_t row = frame[SW_PLAIN_L4_IPV4 + 12] & 0xf0;
	const size_t least = wide->rows->least[row / SW_ROW_UNIT][0];
	struct sw_plain_pair from;
	__m512i head;

	if (sw_unlikely(total + SW_PLAIN_L3 > bytes || total < least))
		return false;
	from = sw_plain_load_ipv4(wide, frame, frame + SW_PLAIN_L3 + least - 32);
	if (sw_unlikely(!sw_plain_is_right(wide, row, from)))
		return false;
	if (sw_unlikely(memcmp(frame + 26, frame + 30, 4) == 0))
		return false;
	head = sw_plain_write_head(wide, row, from, out);
	sw_plain_compare(common, head);
	sw_plain_write_tail(wide, row, from.frame, head, out);
	return true;
}

/* Likewise over IPv6. */
static inline SW_AVX512_VBMI bool sw_plain_look_tcp_ipv6(const struct sw_plain_wide *wide, const uint8_t *frame,
	uint32_t bytes, struct sw_packet *out, struct sw_plain_common *common)
{
	size_t row, least;
	uint32_t payload;
	struct sw_plain_pair from;
	__m512i head;

	if (sw_unlikely(bytes < SW_PLAIN_BYTES_IPV6))
		return false;
	payload = sw_plain_length(frame + 18);
	row = frame[SW_PLAIN_L4_IPV6 + 12] & 0xf0;
	least = wide->rows->least[row / SW_ROW_UNIT][0];
	if (sw_unlikely(payload + SW_PLAIN_L4_IPV6 > bytes || payload < least))
		return false;
	from = sw_plain_load_ipv6(wide, frame, frame + SW_PLAIN_L4_IPV6 + least - 32);
	if (sw_unlikely(!sw_plain_is_right(wide, row, from)))
		return false;
	if (sw_unlikely(sw_lanes_are_zero(sw_lanes_load(frame + 22) ^ sw_lanes_load(frame + 38))))
		return false;
	head = sw_plain_write_head(wide, row, from, out);
	sw_plain_compare(common, head);
	sw_plain_write_tail(wide, row, from.frame, head, out);
	return true;
}

/* sw_frame_parse_plain() for TCP, in this way. */
static inline SW_AVX512_VBMI bool sw_frame_parse_plain_avx512(const uint8_t *frame, uint32_t bytes, enum sw_side side,
	struct sw_packet *out)
{
	const struct sw_plain_rows *rows = sw_plain_rows[side];
	const struct sw_plain_wide ipv4 = sw_plain_wide(&rows[0]), ipv6 = sw_plain_wide(&rows[1]);
	struct sw_plain_common common = {_mm512_setzero_si512(), _mm512_setzero_si512()};

	return bytes >= SW_PLAIN_BYTES_IPV4 && bytes <= UINT16_MAX &&
		(sw_plain_look_tcp_ipv4(&ipv4, frame, bytes, out, &common) || sw_plain_look_tcp_ipv6(&ipv6, frame, bytes, out, &common));
}

#endif
