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

/* What keys are made of. */
struct sw_lanes_keys512 {
	__m512i masks, whiten, what, rounds[2], picks;
	__m256i kept, marks; /* see sw_lanes_hash() */
	uint64_t mask;
	struct sw_limiter_set *sets;
};

static inline SW_AVX512 struct sw_lanes_keys512 sw_lanes_keys_open_avx512(const struct sw_lanes_run *run)
{
	const struct sw_limiter_table *t = run->table;
	const __m512i service = _mm512_maskz_set1_epi64(0x55, (long long)((uint64_t)run->service << 8));

	return (struct sw_lanes_keys512){
		.masks = sw_lanes_load512(run->levels->masks),
		.whiten = sw_lanes_key512(t->key[0]),
		.what = _mm512_xor_si512(_mm512_or_si512(sw_lanes_load512(run->levels->whats[run->kind]), service),
			sw_lanes_key512(t->key[1])),
		.rounds = {sw_lanes_key512(t->key[2]), sw_lanes_key512(t->key[3])},
		.picks = sw_lanes_load512(run->levels->picks),
		.kept = _mm256_setr_epi64x(~(2ll << 32), -1, -1, -1),
		.marks = _mm256_setr_epi64x(1ll << 32, 3ll << 32, 3ll << 32, 3ll << 32),
		.mask = t->mask, .sets = t->sets,
	};
}

static inline SW_AVX512_VAES void sw_lanes_keys_avx512(const struct sw_lanes_keys512 *k, const struct sw_lanes_run *run,
	const struct sw_address *source, struct sw_limiter_lanes *out)
{
	__m512i x = _mm512_broadcast_i32x4(sw_limiter_load(source->bytes));

	x = _mm512_ternarylogic_epi64(k->whiten, x, k->masks, 0x78); /* whiten ^ (x & masks) */
	x = _mm512_aesenc_epi128(x, k->what);
	x = _mm512_aesenc_epi128(x, k->rounds[0]);
	x = _mm512_aesenc_epi128(x, k->rounds[1]);
	const __m512i picked = _mm512_permutexvar_epi64(k->picks, x);
	const __m256i hashes = _mm256_ternarylogic_epi64(k->marks, _mm512_castsi512_si256(picked), k->kept, 0xf8); /* marks | (x & kept) */
	uint64_t home = (uint64_t)_mm_cvtsi128_si64(_mm512_extracti64x2_epi64(picked, 2));

	_mm256_store_si256((__m256i *)out->hashes, hashes);
	if (__builtin_expect(run->levels->home == 0, 0))
		home = sw_lanes_home_of_source(run->table, source, run->is_ipv6, run->kind, run->service);
	out->home = k->sets + (home & k->mask);
	sw_prefetch_to(run->near, out->home);
}

/* What entries are looked for with. */
struct sw_lanes_find512 {
	__m256i mask, sets, nowhere, upper_halves;
	__mmask8 wanted;
	bool near;
	const uint8_t *stays;
};

static inline SW_AVX512 struct sw_lanes_find512 sw_lanes_find_open_avx512(const struct sw_lanes_run *run)
{
	return (struct sw_lanes_find512){
		.mask = _mm256_set1_epi64x((long long)run->table->mask),
		.sets = _mm256_set1_epi64x((long long)(uintptr_t)run->table->sets),
		.nowhere = _mm256_set1_epi64x((long long)(uintptr_t)&run->table->nowhere),
		/* The fingerprints of the source and of its neighbourhood, four times each; if there is none the source's again. */
		.upper_halves = _mm256_add_epi32(_mm256_set1_epi32(1),
			_mm256_inserti128_si256(_mm256_setzero_si256(), _mm_set1_epi32((int)run->levels->home * 2), 1)),
		.wanted = run->wanted,
		.near = run->near,
		.stays = run->levels->stays,
	};
}

static inline SW_AVX512 void sw_lanes_place_avx512(const struct sw_lanes_find512 *k, struct sw_limiter_lanes *lanes)
{
	const __m256i hashes = _mm256_load_si256((const __m256i *)lanes->hashes);
	const __mmask8 ways = _mm256_cmpeq_epi32_mask(_mm256_broadcastsi128_si256(sw_limiter_load(lanes->home)),
		_mm256_permutevar8x32_epi32(hashes, k->upper_halves));
	const __mmask8 stay = k->stays[ways];
	const __m256i lines = _mm256_slli_epi64(_mm256_and_si256(hashes, k->mask), 6);
	const __m256i own = _mm256_mask_add_epi64(k->nowhere, k->wanted, lines, k->sets);

	_mm256_store_si256((__m256i *)lanes->sets,
		_mm256_mask_set1_epi64(own, stay & k->wanted, (long long)(uintptr_t)lanes->home));
	sw_lanes_ask(k->near, lanes);
}

/* Which ways hold the entries: four bits a level, of which one at most is set, as no line has an entry twice. */
static inline SW_AVX512 __mmask16 sw_lanes_ways(const struct sw_limiter_lanes *lanes)
{
	const __m512i upper_halves = _mm512_setr_epi32(1, 1, 1, 1, 3, 3, 3, 3, 5, 5, 5, 5, 7, 7, 7, 7);
	const __m256i hashes = _mm256_load_si256((const __m256i *)lanes->hashes);
	const __m256i low = _mm256_inserti128_si256(
		_mm256_castsi128_si256(sw_limiter_load(lanes->sets[0])), sw_limiter_load(lanes->sets[1]), 1);
	const __m256i high = _mm256_inserti128_si256(
		_mm256_castsi128_si256(sw_limiter_load(lanes->sets[2])), sw_limiter_load(lanes->sets[3]), 1);

	return _mm512_cmpeq_epi32_mask(_mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1),
		_mm512_permutexvar_epi32(upper_halves, _mm512_castsi256_si512(hashes)));
}

static inline SW_AVX512 unsigned int sw_lanes_find_avx512(const struct sw_lanes_find512 *k, struct sw_limiter_lanes *lanes)
{
	/* By the four bits of a level, how far its bucket is from the beginning of the line. */
	enum { TATS = offsetof(struct sw_limiter_set, tats) };
	const __m128i offsets = _mm_setr_epi8(TATS, TATS, TATS + 8, TATS, TATS + 16, TATS, TATS + 8, TATS, TATS + 24, TATS, TATS + 8,
		TATS, TATS + 16, TATS, TATS + 8, TATS);
	const __m256i all = _mm256_set1_epi64x(sw_lanes_ways(lanes));
	const __m256i four = _mm256_srlv_epi64(all, _mm256_setr_epi64x(0, 4, 8, 12));
	/* In the lowest byte of each lane; the others pick nothing. */
	const __m256i index = _mm256_ternarylogic_epi64(_mm256_set1_epi64x(~0xffll), four, _mm256_set1_epi64x(15), 0xf8);
	const __m256i at = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(offsets), index);

	(void)k;
	_mm256_store_si256((__m256i *)lanes->tats, _mm256_add_epi64(at, _mm256_load_si256((const __m256i *)lanes->sets)));
	/* A bucket is twice as far from there as its note: see sw_limiter_note_beside(). */
	lanes->note = (uint32_t *)((uintptr_t)lanes->sets[0] + (uint64_t)_mm_cvtsi128_si64(_mm256_castsi256_si128(at)) / 2);
	return _mm256_test_epi64_mask(four, _mm256_set1_epi64x(15));
}

static inline SW_AVX512 bool sw_lanes_stand_in_avx512(const struct sw_limiter_lanes *lanes, const struct sw_limiter_set *line)
{
	return _mm256_cmpeq_epi64_mask(_mm256_load_si256((const __m256i *)lanes->sets),
		_mm256_set1_epi64x((long long)(uintptr_t)line)) != 0;
}

struct sw_lanes_look512 {
	__m256i now, next, tolerances; /* next: after a token is taken of a full bucket */
};

static inline SW_AVX512 struct sw_lanes_look512 sw_lanes_look_open_avx512(const struct sw_lanes_run *run)
{
	const __m256i now = _mm256_set1_epi64x((long long)run->now);

	return (struct sw_lanes_look512){
		.now = now,
		.next = _mm256_add_epi64(now, _mm256_loadu_si256((const __m256i *)run->rates->intervals)),
		.tolerances = _mm256_loadu_si256((const __m256i *)run->rates->tolerances),
	};
}

static inline __m128i sw_lanes_two(const uint64_t *low, const uint64_t *high)
{
	return _mm_castpd_si128(_mm_loadh_pd(_mm_load_sd((const double *)low), (const double *)high));
}

static inline SW_AVX512 unsigned int sw_lanes_look_avx512(const struct sw_lanes_look512 *k,
	const struct sw_limiter_lanes *lanes, __m256i *next)
{
	const __m128i low = sw_lanes_two(lanes->tats[0], lanes->tats[1]), high = sw_lanes_two(lanes->tats[2], lanes->tats[3]);
	const __m256i ahead = _mm256_sub_epi64(_mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1), k->now);

	*next = _mm256_add_epi64(_mm256_max_epi64(ahead, _mm256_setzero_si256()), k->next);
	return _mm256_cmpgt_epi64_mask(ahead, k->tolerances);
}

static inline SW_AVX512 void sw_lanes_take_avx512(const struct sw_limiter_lanes *lanes, const __m256i *next)
{
	const __m128d low = _mm_castsi128_pd(_mm256_castsi256_si128(*next));
	const __m128d high = _mm_castsi128_pd(_mm256_extracti128_si256(*next, 1));

	_mm_store_sd((double *)lanes->tats[0], low);
	_mm_storeh_pd((double *)lanes->tats[1], low);
	_mm_store_sd((double *)lanes->tats[2], high);
	_mm_storeh_pd((double *)lanes->tats[3], high);
}

#endif
