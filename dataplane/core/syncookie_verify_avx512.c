/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Echoed cookies, eight at a time: from the views of packets to verdicts without a way through memory. Each lane has
 * the key that its cookie claims.
 */
#ifdef __x86_64__
#include "syncookie_layout.h"
#include "siphash_round.h"

#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,bmi2")))
#define AVX512_INLINE static inline __attribute__((always_inline)) AVX512

enum { LANES = 8, ROW = 8 };

#define ADD(x, y) _mm512_add_epi64(x, y)
#define XOR(x, y) _mm512_xor_si512(x, y)
#define ROTATE(x, bits) _mm512_rol_epi64(x, bits)

/* Of eight views the same eight bytes each; `row` counts such columns from the middle of the client's address. */
struct columns {
	__m512i client_low, server_high, server_low, tuple; /* tuple: ports and SEQ */
	__m512i ack, tsecr, timestamp, vlan; /* low half ACK; high half TSecr; high half timestamp_offset; low half VLAN */
};

_Static_assert(offsetof(struct sw_packet, server) == ROW + 8 && offsetof(struct sw_packet, client_port) == ROW + 24 &&
				   offsetof(struct sw_packet, ack) == ROW + 32 && offsetof(struct sw_packet, tsecr) == ROW + 44 &&
				   offsetof(struct sw_packet, timestamp_offset) == ROW + 52 &&
				   offsetof(struct sw_packet, payload_offset) == ROW + 54 &&
				   offsetof(struct sw_packet, vlan) == ROW + 56,
	"the columns");

/* What the MAC has to be, in which bits, and what it is made over. */
struct echoes {
	__m512i words[SW_COOKIE_WORDS_MAX];
	__m512i echoed, counts;
	__mmask8 previous; /* the key of the previous epoch is claimed */
};

/* Those that fail under the current key: hashed once more. */
struct leftovers {
	uint64_t words[SW_COOKIE_WORDS_MAX][SW_BURST + LANES];
	uint64_t echoed[SW_BURST + LANES], counts[SW_BURST + LANES];
	unsigned int count;
};

/* Where the views of a set lie, in order; behind the last comes the first view of all. */
AVX512_INLINE void list_views(uint32_t set, uint32_t offsets[2 * SW_BURST])
{
	const __m512i view = _mm512_set1_epi32(sizeof(struct sw_packet));
	const __m512i first = _mm512_mullo_epi32(view,
		_mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
	const __m512i second = _mm512_add_epi32(first, _mm512_set1_epi32(16 * sizeof(struct sw_packet)));

	_mm512_storeu_si512(offsets + 16, _mm512_setzero_si512());
	_mm512_storeu_si512(offsets, _mm512_maskz_compress_epi32((__mmask16)set, first));
	_mm512_storeu_si512(offsets + __builtin_popcount(set & 0xffff),
		_mm512_maskz_compress_epi32((__mmask16)(set >> 16), second));
}

#define QUARTERS(x, y, which) _mm512_shuffle_i64x2(x, y, which)
enum { EVEN = 0x88, ODD = 0xdd };

/* Eight rows of eight words, turned. */
AVX512_INLINE struct columns turn(const uint8_t *views, const uint32_t *offsets)
{
	__m512i r[LANES], low[4], high[4];
	struct columns c;

	for (int i = 0; i < LANES; i++)
		r[i] = _mm512_loadu_si512(views + offsets[i] + ROW);
	for (int i = 0; i < 4; i++) {
		low[i] = _mm512_unpacklo_epi64(r[2 * i], r[2 * i + 1]);
		high[i] = _mm512_unpackhi_epi64(r[2 * i], r[2 * i + 1]);
	}
	__m512i a = QUARTERS(low[0], low[1], EVEN), b = QUARTERS(low[2], low[3], EVEN);
	c.client_low = QUARTERS(a, b, EVEN);
	c.ack = QUARTERS(a, b, ODD);
	a = QUARTERS(low[0], low[1], ODD), b = QUARTERS(low[2], low[3], ODD);
	c.server_low = QUARTERS(a, b, EVEN);
	c.timestamp = QUARTERS(a, b, ODD);
	a = QUARTERS(high[0], high[1], EVEN), b = QUARTERS(high[2], high[3], EVEN);
	c.server_high = QUARTERS(a, b, EVEN);
	c.tsecr = QUARTERS(a, b, ODD);
	a = QUARTERS(high[0], high[1], ODD), b = QUARTERS(high[2], high[3], ODD);
	c.tuple = QUARTERS(a, b, EVEN);
	c.vlan = QUARTERS(a, b, ODD);
	return c;
}

AVX512_INLINE __m512i first_words(const uint8_t *views, const uint32_t *offsets)
{
	uint64_t first[LANES];

	for (int i = 0; i < LANES; i++)
		memcpy(&first[i], views + offsets[i], 8);
	return _mm512_set_epi64((long long)first[7], (long long)first[6], (long long)first[5], (long long)first[4],
		(long long)first[3], (long long)first[2], (long long)first[1], (long long)first[0]);
}

AVX512_INLINE __m512i all(uint64_t value)
{
	return _mm512_set1_epi64((long long)value);
}

/* Bits of `x` where `mask` has ones, of `y` elsewhere. */
AVX512_INLINE __m512i choose(__m512i mask, __m512i x, __m512i y)
{
	return _mm512_ternarylogic_epi64(mask, x, y, 0xca);
}

/* What sw_cookie_words() and add_echo() of syncookie.c do for one. */
AVX512_INLINE void gather(struct echoes *e, const uint8_t *views, const uint32_t *offsets, uint64_t epoch,
	const bool is_ipv6)
{
	/* Byte 4 the lowest of the ISN, byte 5 the lowest of the TSval, the rest zero. */
	const __m512i options = _mm512_broadcast_i32x4(_mm_set_epi64x((long long)0x80800c0880808080ull,
		(long long)0x8080040080808080ull));
	const __m512i halves = all(~0ull << 32);
	const struct columns c = turn(views, offsets);
	const uint64_t domain = (uint64_t)(is_ipv6 ? DOMAIN_IPV6 : DOMAIN_IPV4) << DOMAIN_SHIFT;
	const __mmask8 timestamps = _mm512_test_epi64_mask(c.timestamp, all(0xffffull << 32));
	/* Low half the cookie's ISN, high half its TSval or 0. */
	const __m512i isn = _mm512_sub_epi32(c.ack, all(1));
	const __m512i cookie = choose(halves, _mm512_maskz_mov_epi64(timestamps, c.tsecr), isn);
	const __m512i macs = _mm512_srlv_epi32(cookie,
		all((uint64_t)SW_COOKIE_TSVAL_MAC_SHIFT << 32 | SW_COOKIE_ISN_MAC_SHIFT));

	__m512i last = _mm512_and_si512(_mm512_shuffle_epi8(cookie, options),
		all((uint64_t)ISN_OPTIONS << OPTION_BYTE_SHIFT | (uint64_t)TSVAL_OPTIONS << TIMESTAMP_BYTE_SHIFT));
	last = _mm512_or_si512(last, all(domain));
	last = _mm512_mask_or_epi64(last, timestamps, last, all((uint64_t)TIMESTAMP_BYTE_USED << TIMESTAMP_BYTE_SHIFT));
	last = choose(halves, last, c.vlan);

	const __m512i tuple = _mm512_sub_epi32(c.tuple, all(1ull << 32));
	if (is_ipv6) {
		e->words[0] = first_words(views, offsets);
		e->words[1] = c.client_low;
		e->words[2] = c.server_high;
		e->words[3] = c.server_low;
		e->words[4] = tuple;
		e->words[5] = last;
	} else { /* the last 32 bits of the mapped addresses */
		e->words[0] = choose(halves, c.server_low, _mm512_srli_epi64(c.client_low, 32));
		e->words[1] = tuple;
		e->words[2] = last;
	}
	e->echoed = choose(all(ISN_MAC), macs, _mm512_srli_epi64(macs, 32 - SW_COOKIE_TSVAL_MAC_FROM));
	e->counts = _mm512_mask_mov_epi64(all(ISN_MAC), timestamps, all(ISN_MAC | TSVAL_MAC));
	e->previous = _mm512_test_epi64_mask(_mm512_xor_si512(isn, all(epoch)), all(ISN_EPOCH));
}

/* SipHash-2-4, as siphash_avx512.c, with keys by lane. */
AVX512_INLINE __m512i hash(const __m512i *words, const int word_count, __m512i k0, __m512i k1)
{
	__m512i a = XOR(k0, all(SW_SIPHASH_C0)), b = XOR(k1, all(SW_SIPHASH_C1));
	__m512i c = XOR(k0, all(SW_SIPHASH_C2)), d = XOR(k1, all(SW_SIPHASH_C3));

	for (int w = 0; w <= word_count; w++) {
		const __m512i m = w < word_count ? words[w] : all(sw_siphash_last_word((unsigned int)word_count));
		d = XOR(d, m);
		SW_SIPHASH_ROUND(a, b, c, d);
		SW_SIPHASH_ROUND(a, b, c, d);
		a = XOR(a, m);
	}
	c = XOR(c, all(0xff));
	for (int round = 0; round < 4; round++)
		SW_SIPHASH_ROUND(a, b, c, d);
	return XOR(XOR(a, b), XOR(c, d));
}

/* The first `count` lanes, all of them if there are more. */
AVX512_INLINE __mmask8 present(unsigned int count)
{
	return (__mmask8)_bzhi_u32(0xff, count);
}

AVX512_INLINE void keep(struct leftovers *l, const struct echoes *e, const int word_count, __mmask8 which)
{
	const unsigned int at = l->count;

	for (int w = 0; w < word_count; w++)
		_mm512_storeu_si512(&l->words[w][at], _mm512_maskz_compress_epi64(which, e->words[w]));
	_mm512_storeu_si512(&l->echoed[at], _mm512_maskz_compress_epi64(which, e->echoed));
	_mm512_storeu_si512(&l->counts[at], _mm512_maskz_compress_epi64(which, e->counts));
	l->count += (unsigned int)__builtin_popcount(which);
}

/* Which of them are right under the key two epochs back, whose parity is that of the current one. */
AVX512_INLINE uint32_t check_leftovers(const struct leftovers *l, const struct sw_siphash_key *key, const int word_count)
{
	uint32_t right = 0;

	for (unsigned int at = 0; at < l->count; at += LANES) {
		__m512i words[SW_COOKIE_WORDS_MAX];
		for (int w = 0; w < word_count; w++)
			words[w] = _mm512_loadu_si512(&l->words[w][at]);
		const __m512i macs = hash(words, word_count, all(key->k0), all(key->k1));
		const __m512i wrong = XOR(macs, _mm512_loadu_si512(&l->echoed[at]));
		const __mmask8 same = _mm512_testn_epi64_mask(wrong, _mm512_loadu_si512(&l->counts[at]));
		right |= (uint32_t)(same & present(l->count - at)) << at;
	}
	return right;
}

AVX512_INLINE struct sw_cookie_verdicts verify(const struct sw_cookie_keys *keys, const struct sw_packet *packets,
	uint32_t set, const bool is_ipv6)
{
	const int word_count = is_ipv6 ? SW_COOKIE_WORDS_IPV6 : SW_COOKIE_WORDS_IPV4;
	const unsigned int count = (unsigned int)__builtin_popcount(set);
	uint32_t offsets[2 * SW_BURST], right = 0, late = 0;
	struct leftovers l;

	l.count = 0;
	list_views(set, offsets);
	for (unsigned int at = 0; at < count; at += LANES) {
		struct echoes e;
		gather(&e, (const uint8_t *)packets, offsets + at, keys->epoch, is_ipv6);
		const __m512i k0 = _mm512_mask_mov_epi64(all(keys->current.k0), e.previous, all(keys->previous.k0));
		const __m512i k1 = _mm512_mask_mov_epi64(all(keys->current.k1), e.previous, all(keys->previous.k1));
		const __m512i wrong = XOR(hash(e.words, word_count, k0, k1), e.echoed);
		const __mmask8 these = present(count - at), same = _mm512_testn_epi64_mask(wrong, e.counts) & these;
		const __mmask8 again = (__mmask8)(these & ~(same | e.previous));
		right |= (uint32_t)same << at;
		late |= (uint32_t)again << at;
		if (again)
			keep(&l, &e, word_count, again);
	}
	return (struct sw_cookie_verdicts){
		.valid = _pdep_u32(right, set),
		.expired = _pdep_u32(_pdep_u32(check_leftovers(&l, &keys->before_previous, word_count), late), set),
	};
}

static AVX512 struct sw_cookie_verdicts verify_ipv4(const struct sw_cookie_keys *keys, const struct sw_packet *packets,
	uint32_t set)
{
	return verify(keys, packets, set, false);
}

static AVX512 struct sw_cookie_verdicts verify_ipv6(const struct sw_cookie_keys *keys, const struct sw_packet *packets,
	uint32_t set)
{
	return verify(keys, packets, set, true);
}

AVX512 struct sw_cookie_verdicts sw_cookie_verify_avx512(const struct sw_cookie_keys *keys,
	const struct sw_packet *packets, uint32_t set, uint32_t ipv6)
{
	struct sw_cookie_verdicts both = {0, 0};

	if (set & ~ipv6)
		both = verify_ipv4(keys, packets, set & ~ipv6);
	if (set & ipv6) {
		const struct sw_cookie_verdicts v = verify_ipv6(keys, packets, set & ipv6);
		both.valid |= v.valid;
		both.expired |= v.expired;
	}
	return both;
}
#else
typedef int sw_syncookie_verify_avx512_is_for_x86; /* ISO C wants a declaration in every file */
#endif
