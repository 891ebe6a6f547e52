/* SPDX-License-Identifier: BSD-3-Clause */
/* limiter_lanes.h in vectors: four levels of 128 bits, or of 64, in one. */
#ifndef SW_CORE_LIMITER_LANES_AVX512_H
#define SW_CORE_LIMITER_LANES_AVX512_H

#include <immintrin.h>

#include "limiter_lanes.h"

#define SW_AVX512_SET "avx512f,avx512bw,avx512dq,avx512vl,bmi,bmi2"
#define SW_AVX512 __attribute__((target(SW_AVX512_SET)))
/* Beside it, on processors since 2019: AES on whole vectors. */
#define SW_AVX512_VAES __attribute__((target(SW_AVX512_SET ",vaes")))

_Static_assert(SW_LANES == 4 && sizeof(struct sw_limiter_set) == 64, "shapes that the vectors below have");

static inline SW_AVX512 __m512i sw_lanes_load512(const void *p)
{
	return _mm512_loadu_si512(p);
}

static inline SW_AVX512 __m512i sw_lanes_key512(const uint64_t key[2])
{
	return _mm512_broadcast_i32x4(sw_limiter_load(key));
}

static inline SW_AVX512_VAES void sw_lanes_keys_avx512(const struct sw_limiter_table *t, const struct sw_limiter_levels *levels,
	const struct sw_limiter_who *who, struct sw_limiter_lanes *out)
{
	const __m256i marks = _mm256_setr_epi64x(1ll << 32, 3ll << 32, 3ll << 32, 3ll << 32); /* see sw_lanes_hash() */
	const __m256i kept = _mm256_setr_epi64x(~(2ll << 32), -1, -1, -1);
	const __m512i source = _mm512_broadcast_i32x4(sw_limiter_load(who->source->bytes));
	const __m512i service = _mm512_maskz_set1_epi64(0x55, (long long)((uint64_t)who->service << 8));
	const __m512i what = _mm512_or_si512(sw_lanes_load512(levels->whats[who->kind]), service);

	__m512i x = _mm512_xor_si512(_mm512_and_si512(source, sw_lanes_load512(levels->masks)), sw_lanes_key512(t->key[0]));
	x = _mm512_aesenc_epi128(x, _mm512_xor_si512(what, sw_lanes_key512(t->key[1])));
	x = _mm512_aesenc_epi128(x, sw_lanes_key512(t->key[2]));
	x = _mm512_aesenc_epi128(x, sw_lanes_key512(t->key[3]));

	const __m512i picked = _mm512_permutexvar_epi64(sw_lanes_load512(levels->picks), x);
	_mm256_store_si256((__m256i *)out->hashes,
		_mm256_or_si256(_mm256_and_si256(_mm512_castsi512_si256(picked), kept), marks));
	out->home = sw_lanes_home(t, levels, who, (uint64_t)_mm_cvtsi128_si64(_mm512_extracti64x2_epi64(picked, 2)));
	__builtin_prefetch(out->home, 1);
}

/* Which ways hold the entries: four bits a level, of which one at most is set, as no line has an entry twice. */
static inline SW_AVX512 __mmask16 sw_lanes_ways(struct sw_limiter_set *const sets[SW_LANES], __m256i hashes)
{
	const __m512i upper_halves = _mm512_setr_epi32(1, 1, 1, 1, 3, 3, 3, 3, 5, 5, 5, 5, 7, 7, 7, 7);
	const __m256i low = _mm256_inserti128_si256(
		_mm256_castsi128_si256(sw_limiter_load(sets[0])), sw_limiter_load(sets[1]), 1);
	const __m256i high = _mm256_inserti128_si256(
		_mm256_castsi128_si256(sw_limiter_load(sets[2])), sw_limiter_load(sets[3]), 1);

	return _mm512_cmpeq_epi32_mask(_mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1),
		_mm512_permutexvar_epi32(upper_halves, _mm512_castsi256_si512(hashes)));
}

/* From four bits a level to one. */
static inline SW_AVX512 uint32_t sw_lanes_levels(__mmask16 ways)
{
	const uint32_t pairs = (uint32_t)ways | (uint32_t)ways >> 1;

	return _pext_u32(pairs | pairs >> 2, 0x1111);
}

static inline SW_AVX512 void sw_lanes_place_avx512(struct sw_limiter_table *t, const struct sw_limiter_levels *levels,
	struct sw_limiter_lanes *lanes)
{
	const __m256i hashes = _mm256_load_si256((const __m256i *)lanes->hashes);
	/* The fingerprints of the source and of its neighbourhood, four times each; if there is none the source's again. */
	const __m256i upper_halves = _mm256_add_epi32(_mm256_set1_epi32(1),
		_mm256_inserti128_si256(_mm256_setzero_si256(), _mm_set1_epi32((int)levels->home * 2), 1));
	const __mmask8 ways = _mm256_cmpeq_epi32_mask(_mm256_broadcastsi128_si256(sw_limiter_load(lanes->home)),
		_mm256_permutevar8x32_epi32(hashes, upper_halves));
	const uint32_t pairs = (uint32_t)ways | (uint32_t)ways >> 1;
	const uint32_t stay = _pdep_u32(_pext_u32(pairs | pairs >> 2, 0x11), levels->at_home);
	const __m256i lines = _mm256_and_si256(hashes, _mm256_set1_epi64x((long long)t->mask));
	const __m256i own = _mm256_add_epi64(_mm256_slli_epi64(lines, 6), _mm256_set1_epi64x((long long)(uintptr_t)t->sets));
	const __m256i sets = _mm256_mask_blend_epi64((__mmask8)stay, own, _mm256_set1_epi64x((long long)(uintptr_t)lanes->home));

	_mm256_store_si256((__m256i *)lanes->sets, _mm256_mask_blend_epi64((__mmask8)lanes->wanted,
		_mm256_set1_epi64x((long long)(uintptr_t)&t->nowhere), sets));
	lanes->taken_over = t->taken_over;
	sw_lanes_ask(lanes);
}

static inline SW_AVX512 void sw_lanes_find_avx512(struct sw_limiter_table *t, struct sw_limiter_lanes *lanes)
{
	const __m512i numbers = _mm512_setr_epi32(0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3);
	const __mmask16 ways = sw_lanes_ways(lanes->sets, _mm256_load_si256((const __m256i *)lanes->hashes));
	const uint32_t found = sw_lanes_levels(ways);
	/* The numbers of those that are there, in a row, then each to its level; others: the first nowhere. */
	const __m128i way = _mm_maskz_expand_epi32((__mmask8)found,
		_mm512_castsi512_si128(_mm512_maskz_compress_epi32(ways, numbers)));
	const __m256i sets = _mm256_mask_blend_epi64((__mmask8)found,
		_mm256_set1_epi64x((long long)(uintptr_t)&t->nowhere), _mm256_load_si256((const __m256i *)lanes->sets));
	const __m256i tats = _mm256_add_epi64(sets, _mm256_slli_epi64(_mm256_cvtepu32_epi64(way), 3));

	_mm256_store_si256((__m256i *)lanes->tats,
		_mm256_add_epi64(tats, _mm256_set1_epi64x(offsetof(struct sw_limiter_set, tats))));
	lanes->found = (uint8_t)found;
}

static inline SW_AVX512 unsigned int sw_lanes_look_avx512(const struct sw_limiter_lanes *lanes,
	const struct sw_level_rates *rates, uint64_t now, __m256i *next)
{
	const __m128i low = _mm_insert_epi64(_mm_cvtsi64_si128((long long)*lanes->tats[0]), (long long)*lanes->tats[1], 1);
	const __m128i high = _mm_insert_epi64(_mm_cvtsi64_si128((long long)*lanes->tats[2]), (long long)*lanes->tats[3], 1);
	const __m256i now4 = _mm256_set1_epi64x((long long)now);
	const __m256i ahead = _mm256_sub_epi64(_mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1), now4);

	*next = _mm256_add_epi64(_mm256_max_epi64(ahead, _mm256_setzero_si256()),
		_mm256_add_epi64(now4, _mm256_loadu_si256((const __m256i *)rates->intervals)));
	return _mm256_cmpgt_epi64_mask(ahead, _mm256_loadu_si256((const __m256i *)rates->tolerances));
}

static inline SW_AVX512 void sw_lanes_take_avx512(const struct sw_limiter_lanes *lanes, const __m256i *next)
{
	const __m128i low = _mm256_castsi256_si128(*next), high = _mm256_extracti128_si256(*next, 1);

	*lanes->tats[0] = (uint64_t)_mm_cvtsi128_si64(low);
	*lanes->tats[1] = (uint64_t)_mm_extract_epi64(low, 1);
	*lanes->tats[2] = (uint64_t)_mm_cvtsi128_si64(high);
	*lanes->tats[3] = (uint64_t)_mm_extract_epi64(high, 1);
}

#endif
