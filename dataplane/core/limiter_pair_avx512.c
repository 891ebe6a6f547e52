/* SPDX-License-Identifier: BSD-3-Clause */
/* sw_limiter_add_pair() with the four ways of a line in one vector. */
#include "limiter_lanes_avx512.h"
#include "limiter_parts.h"

#define SW_TARGET SW_AVX512

/* As full_for() in limiter_table.c, a lane for each way. */
struct ranking {
	__m256i full_for;
};

static inline SW_TARGET struct ranking rank(const struct sw_limiter_set *set, uint64_t now)
{
	const __m128i fingerprints = _mm_load_si128((const __m128i *)set->fingerprints);
	const __m128i notes = _mm_load_si128((const __m128i *)set->notes);
	const __m256i cycles = _mm256_sub_epi64(_mm256_set1_epi64x((long long)now), _mm256_load_si256((const __m256i *)set->tats));
	const __mmask8 wide = _mm_test_epi32_mask(fingerprints, _mm_set1_epi32(SW_LIMITER_WIDE));
	const __mmask8 in_debt = _mm256_mask_cmplt_epi64_mask(wide, cycles, _mm256_setzero_si256());
	__m256i x = _mm256_mask_sub_epi64(cycles, in_debt, cycles, _mm256_set1_epi64x(SW_LIMITER_WIDE_DEBT));

	x = _mm256_mask_mov_epi64(x, _mm_testn_epi32_mask(fingerprints, fingerprints), _mm256_set1_epi64x(INT64_MAX));
	_Static_assert(SW_NOTE_PINNED == 1u << 31, "a sign");
	return (struct ranking){_mm256_mask_mov_epi64(x, _mm_movepi32_mask(notes), _mm256_set1_epi64x(INT64_MIN))};
}

static inline SW_TARGET struct victim least_deserving(struct ranking r)
{
	/* By the set of those who are equal. */
	static const uint8_t ways[1 << SW_LIMITER_WAYS] = {0, 0, 1, 0, 2, 0, 2, 0, 3, 0, 1, 0, 2, 0, 2, 0};
	__m256i most = _mm256_max_epi64(r.full_for, _mm256_permute4x64_epi64(r.full_for, 0x4e));

	most = _mm256_max_epi64(most, _mm256_permutex_epi64(most, 0xb1));
	return (struct victim){_mm_cvtsi128_si64(_mm256_castsi256_si128(most)), ways[_mm256_cmpeq_epi64_mask(r.full_for, most)]};
}

static inline SW_TARGET struct ranking with_new(struct ranking r, uint32_t way)
{
	return (struct ranking){_mm256_maskz_mov_epi64((__mmask8)~(1u << way), r.full_for)};
}

#define SW_ADD_PAIR sw_limiter_add_pair_avx512
#include "limiter_pair.h"
