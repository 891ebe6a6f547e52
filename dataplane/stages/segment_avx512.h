/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Answers of one form in vectors: eight stamps at a time, then whole frames, one after the other. The frame's own bytes,
 * the stamp's and the form's come to their places by one permutation. For challenge_avx512.c; the same bytes as
 * sw_segment_stamp() makes, and the same room is wanted.
 */
#ifndef SW_SEGMENT_AVX512_H
#define SW_SEGMENT_AVX512_H

#include <immintrin.h>

#include "stage.h"

#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,vaes,bmi,bmi2")))
#define INLINE TARGET inline __attribute__((always_inline))

enum { LANES = 8, ETHERNET_BYTES = 14 };

static INLINE __m512i load(const void *at)
{
	return _mm512_loadu_si512(at);
}

/* ---- stamps ------------------------------------------------------------------------------------------------------- */

/*
 * What an answer has of its own, as on the wire. The IP checksum is of IPv4.
 *
 *    0         4         8    10      12   14      16
 *   +---------+---------+----+-------+----+-------+
 *   |   SEQ   |   ACK   |    | IP ck |    |TCP ck |
 *   +---------+---------+----+-------+----+-------+
 */
enum { STAMP = 16, STAMPS = 64 / STAMP };

struct stamps {
	uint8_t of[SW_BURST][STAMP];
	uint64_t times[SW_BURST]; /* TSval and TSecr, with timestamps */
} __attribute__((aligned(64)));

/* Sums of bytes that are the first of a 16-bit word on the wire, and of those that are the second. */
struct sums {
	__m512i first, second;
};

#define FIRST _mm512_set1_epi16(0x0001)
#define SECOND _mm512_set1_epi16(0x0100)
#define LOWER_HALF 0x5555 /* of each lane, as 32-bit words */

static INLINE struct sums add_wire(struct sums s, __m512i words)
{
	return (struct sums){_mm512_dpbusd_epi32(s.first, words, FIRST), _mm512_dpbusd_epi32(s.second, words, SECOND)};
}

/* Numbers in host order, of 16 or 32 bits. */
static INLINE struct sums add_host(struct sums s, __m512i words)
{
	return (struct sums){_mm512_dpbusd_epi32(s.first, words, SECOND), _mm512_dpbusd_epi32(s.second, words, FIRST)};
}

/* Each half of a lane by itself. */
static INLINE __m512i total(struct sums s)
{
	return _mm512_add_epi32(s.first, _mm512_slli_epi32(s.second, 8));
}

static INLINE __m512i swap_halves(__m512i x)
{
	return _mm512_shuffle_epi32(x, _MM_PERM_CDAB);
}

static INLINE __m512i to_wire(__m512i words)
{
	return _mm512_shuffle_epi8(words, _mm512_broadcast_i32x4(
		_mm_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12)));
}

/* What numbers and sums have in common, in every lane. */
struct common {
	__m512i isn, tsval;
	__m512i sums; /* lower half: IP, upper half: TCP */
};

static INLINE struct common common_of(const struct sw_cookie_terms *terms, const struct sw_segment_form *form)
{
	const uint64_t sums = (uint64_t)sw_checksum_fold(form->tcp_sum) << 32 | sw_checksum_fold(form->ip_sum);

	return (struct common){
		.isn = _mm512_set1_epi64(terms->isn), .tsval = _mm512_set1_epi64(terms->tsval),
		.sums = _mm512_set1_epi64((long long)sums),
	};
}

static INLINE __m512i load_lanes(const uint64_t *words, unsigned int lane)
{
	return load(words + lane);
}

/* Both checksums, in the upper 16 bits of their halves. */
static INLINE __m512i checksums(const struct common *common, struct sums addresses, struct sums rest, bool is_ipv6)
{
	const __m512i tcp = total(rest), ip = is_ipv6 ? tcp : total(addresses);
	const __m512i sum = _mm512_add_epi32(
		_mm512_add_epi32(_mm512_mask_mov_epi32(tcp, LOWER_HALF, ip),
			swap_halves(_mm512_mask_mov_epi32(ip, LOWER_HALF, tcp))), common->sums);
	const __m512i folded = _mm512_add_epi32(sum, _mm512_rol_epi32(sum, 16));

	return _mm512_ternarylogic_epi64(folded, folded, folded, 0x0f); /* not */
}

/*
 * Stamps of eight lanes, from `lane` on. Those of other forms get nonsense, and are reckoned again in their turn. `times`:
 * of the SYNs, TSval in the lower half.
 */
static INLINE void reckon(const struct sw_cookie_lanes *lanes, const uint64_t *times, const struct common *common,
	unsigned int lane, struct stamps *stamps, bool is_ipv6, bool timestamps)
{
	const __m512i first_four = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
	const __m512i last_four = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);
	const unsigned int address_words = is_ipv6 ? 4 : 1;
	const __m512i mac = load_lanes(lanes->macs, lane);
	/* Ports, and SEQ + 1. */
	const __m512i tuple = _mm512_add_epi64(load_lanes(lanes->words[address_words], lane), _mm512_set1_epi64(1ll << 32));
	const __m512i numbers =
		_mm512_mask_or_epi32(tuple, LOWER_HALF, _mm512_slli_epi64(mac, SW_COOKIE_ISN_MAC_SHIFT), common->isn);
	struct sums addresses = {_mm512_setzero_si512(), _mm512_setzero_si512()};

	for (unsigned int i = 0; i < address_words; i++)
		addresses = add_wire(addresses, load_lanes(lanes->words[i], lane));
	struct sums rest = add_host(addresses, numbers);
	rest = add_host(rest, _mm512_maskz_mov_epi32(LOWER_HALF, tuple));
	if (timestamps) {
		const __m512i tsval = _mm512_slli_epi64(_mm512_srli_epi64(mac, SW_COOKIE_TSVAL_MAC_FROM), SW_COOKIE_TSVAL_MAC_SHIFT);
		const __m512i both =
			_mm512_mask_or_epi32(_mm512_slli_epi64(load_lanes(times, lane), 32), LOWER_HALF, tsval, common->tsval);
		rest = add_host(rest, both);
		_mm512_storeu_si512(&stamps->times[lane], to_wire(both));
	}
	const __m512i on_wire = to_wire(numbers), sums = checksums(common, addresses, rest, is_ipv6);
	_mm512_storeu_si512(stamps->of[lane], _mm512_permutex2var_epi64(on_wire, first_four, sums));
	_mm512_storeu_si512(stamps->of[lane + 4], _mm512_permutex2var_epi64(on_wire, last_four, sums));
}

/* ---- frames ------------------------------------------------------------------------------------------------------- */

/*
 * Where the first 64 bytes of an answer come from, counted from 14 bytes before its IP header: from the same 64 of the
 * SYN, its stamp, or the form.
 */
enum { FROM_STAMP = 0x40, FROM_FORM = 0x80 };
#define S(byte) FROM_STAMP | (byte)
#define IP(byte) FROM_FORM | (offsetof(struct sw_segment_form, ip) + (byte))
#define TCP(byte) FROM_FORM | (offsetof(struct sw_segment_form, tcp) + (byte))
_Static_assert(sizeof(struct sw_segment_form) == 64, "a vector");
_Static_assert(offsetof(struct sw_segment_form, tcp) + SW_SEGMENT_TCP_TAIL == offsetof(struct sw_segment_form, bytes) &&
				   offsetof(struct sw_segment_form, bytes) < FROM_STAMP, "its tail ends there");

static const uint8_t origins[2][64] __attribute__((aligned(64))) = {
	{
		6, 7, 8, 9, 10, 11, 0, 1, 2, 3, 4, 5, 12, 13,
		IP(0), IP(1), IP(2), IP(3), IP(4), IP(5), IP(6), IP(7), IP(8), IP(9), S(10), S(11),
		30, 31, 32, 33, 26, 27, 28, 29, 36, 37, 34, 35, S(0), S(1), S(2), S(3), S(4), S(5), S(6), S(7),
		TCP(0), TCP(1), TCP(2), TCP(3), S(14), S(15), TCP(6), TCP(7), TCP(8), TCP(9), TCP(10), TCP(11),
		TCP(12), TCP(13), TCP(14), TCP(15), TCP(16), TCP(17),
	},
	{
		6, 7, 8, 9, 10, 11, 0, 1, 2, 3, 4, 5, 12, 13,
		IP(0), IP(1), IP(2), IP(3), IP(4), IP(5), IP(6), IP(7),
		38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53,
		22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37,
		56, 57, 54, 55, S(0), S(1), S(2), S(3), S(4), S(5),
	},
};

/* The last bytes of the longest answers, of which a part stands already. With shorter ones, still within the room. */
enum {
	TAIL_IPV4 = 16, /* of options, or padding */
	TAIL_IPV6 = 32, /* from ACK on */
	TAIL_IPV4_AT = ETHERNET_BYTES + SW_SEGMENT_IPV4_BYTES + SW_SEGMENT_TCP_FIXED + SW_SEGMENT_TCP_TAIL - TAIL_IPV4,
	TAIL_IPV6_AT = ETHERNET_BYTES + SW_SEGMENT_IPV6_BYTES + SW_SEGMENT_TCP_FIXED + SW_SEGMENT_TCP_TAIL - TAIL_IPV6,
	TSVAL_AT = ETHERNET_BYTES + SW_SEGMENT_TCP_BYTES + 4 * SW_SEGMENT_TSVAL_WORD, /* and the IP header */
};

/* With what answers of a form are written. By [j]: for those whose stamp is number j of a vector. */
struct stencil {
	__m512i head[STAMPS];  /* origins; where the form has a byte, the byte itself */
	__mmask64 head_moved;
	__m512i tail[STAMPS];  /* IPv6: origins */
	__m512i form_tail;
	unsigned int offset;   /* of what is written, from the begin of the frame */
	unsigned int bytes;    /* of the frame */
};

#define TAIL_MOVED 0x30fu /* ACK, checksum */

static INLINE void make_stencil(struct stencil *s, const struct sw_segment_form *form, unsigned int l3_offset,
	bool is_ipv6)
{
	const __m512i ackward = _mm512_castsi128_si512(_mm_setr_epi8(4, 5, 6, 7, 0, 0, 0, 0, 14, 15, 0, 0, 0, 0, 0, 0));
	const __m512i in_place = _mm512_castsi128_si512(_mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0, 0, 0, 0));
	const uint8_t *tail =
		(const uint8_t *)form + offsetof(struct sw_segment_form, bytes) - (is_ipv6 ? TAIL_IPV6 : TAIL_IPV4);
	const __mmask64 link = l3_offset == ETHERNET_BYTES ? 0 : 0xfff; /* with tags, MACs are further in front */
	const __m512i origin = _mm512_mask_mov_epi8(load(origins[is_ipv6]), link, in_place);
	const __mmask64 of_form = _mm512_movepi8_mask(origin);
	const __mmask64 of_stamp = _mm512_test_epi8_mask(origin, _mm512_set1_epi8(FROM_STAMP));
	const __m512i head = _mm512_mask_permutexvar_epi8(origin, of_form, origin, load(form));

	s->head_moved = ~of_form;
	s->form_tail = _mm512_castsi256_si512(is_ipv6 ? _mm256_loadu_si256((const __m256i *)(const void *)tail)
												  : _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)tail)));
	for (int j = 0; j < STAMPS; j++) {
		const __m512i stamp = _mm512_set1_epi8((char)(j * STAMP));
		s->head[j] = _mm512_mask_add_epi8(head, of_stamp, head, stamp);
		s->tail[j] = _mm512_add_epi8(ackward, stamp);
	}
	s->offset = l3_offset - ETHERNET_BYTES;
	s->bytes = sw_segment_frame_bytes(l3_offset, form->bytes);
}

/* Of IPv4 up to the ports, no more: the shortest SYN ends before 64 bytes. */
static INLINE __m512i load_head(const uint8_t *at, bool is_ipv6)
{
	return is_ipv6 ? load(at) : _mm512_maskz_loadu_epi32(0x3ff, at);
}

static INLINE void write_one(const struct stencil *s, unsigned int j, __m512i stamps, const uint64_t *times,
	uint8_t *at, __m512i head, bool is_ipv6, bool is_long, bool timestamps)
{
	_mm512_storeu_si512(at, _mm512_mask2_permutex2var_epi8(head, s->head[j], s->head_moved, stamps));
	if (is_ipv6)
		_mm256_storeu_si256((__m256i *)(void *)(at + TAIL_IPV6_AT),
			_mm512_castsi512_si256(_mm512_mask_permutexvar_epi8(s->form_tail, TAIL_MOVED, s->tail[j], stamps)));
	else if (is_long)
		_mm_storeu_si128((__m128i *)(void *)(at + TAIL_IPV4_AT), _mm512_castsi512_si128(s->form_tail));
	if (timestamps)
		memcpy(at + (is_ipv6 ? SW_SEGMENT_IPV6_BYTES : SW_SEGMENT_IPV4_BYTES) + TSVAL_AT, times, sizeof(*times));
}

/*
 * `count` of one vector of stamps, from number j on. All are loaded before any is stored: where buffers lie whole pages
 * apart, loads wait for stores to the same place of other pages.
 */
static INLINE void write_some(const struct stencil *s, const struct stamps *stamps, struct rte_mbuf *const *mbufs,
	unsigned int lane, unsigned int j, const unsigned int count, bool is_ipv6, bool is_long, bool timestamps)
{
	const __m512i four = load(stamps->of[lane - j]);
	uint8_t *at[STAMPS];
	__m512i head[STAMPS];

#pragma GCC unroll 4
	for (unsigned int k = 0; k < count; k++) {
		struct rte_mbuf *m = mbufs[lane + k];
		at[k] = sw_frame_of(m) + s->offset;
		head[k] = load_head(at[k], is_ipv6);
		sw_frame_resize(m, s->bytes);
	}
#pragma GCC unroll 4
	for (unsigned int k = 0; k < count; k++)
		write_one(s, j + k, four, &stamps->times[lane + k], at[k], head[k], is_ipv6, is_long, timestamps);
}

static INLINE void write_lanes(const struct stencil *s, const struct stamps *stamps, struct rte_mbuf *const *mbufs,
	unsigned int lane, unsigned int end, bool is_ipv6, bool is_long, bool timestamps)
{
	for (; lane < end && lane % STAMPS; lane++)
		write_some(s, stamps, mbufs, lane, lane % STAMPS, 1, is_ipv6, is_long, timestamps);
	for (; lane + STAMPS <= end; lane += STAMPS)
		write_some(s, stamps, mbufs, lane, 0, STAMPS, is_ipv6, is_long, timestamps);
	for (; lane < end; lane++)
		write_some(s, stamps, mbufs, lane, lane % STAMPS, 1, is_ipv6, is_long, timestamps);
}

#endif
