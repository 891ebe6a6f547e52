/* SPDX-License-Identifier: BSD-3-Clause */
/* SipHash-2-4, four lanes a vector; two vectors at a time hide each other's latency and fit the 16 registers. */
#ifdef __x86_64__
#include "siphash.h"
#include "siphash_round.h"

#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))

enum { LANES = 4, TOGETHER = 2 };

/* There is no rotation in AVX2: 32 and 16 bits are byte shuffles, the others two shifts. */
static inline AVX2 __m256i rotate32(__m256i x)
{
	return _mm256_shuffle_epi32(x, _MM_SHUFFLE(2, 3, 0, 1));
}

static inline AVX2 __m256i rotate16(__m256i x)
{
	return _mm256_shuffle_epi8(x, _mm256_setr_epi8(6, 7, 0, 1, 2, 3, 4, 5, 14, 15, 8, 9, 10, 11, 12, 13,
		6, 7, 0, 1, 2, 3, 4, 5, 14, 15, 8, 9, 10, 11, 12, 13));
}

#define ADD(x, y) _mm256_add_epi64(x, y)
#define XOR(x, y) _mm256_xor_si256(x, y)
#define SHIFTS(x, bits) _mm256_or_si256(_mm256_slli_epi64(x, bits), _mm256_srli_epi64(x, 64 - (bits)))
#define ROTATE(x, bits) ((bits) == 32 ? rotate32(x) : (bits) == 16 ? rotate16(x) : SHIFTS(x, bits))

static inline __attribute__((always_inline)) AVX2 void hash_vectors(const struct sw_siphash_key *key,
	const uint64_t (*words)[SW_BURST], unsigned int word_count, unsigned int lane, const int vectors, uint64_t *out)
{
	const __m256i k0 = _mm256_set1_epi64x((long long)key->k0), k1 = _mm256_set1_epi64x((long long)key->k1);
	__m256i a[TOGETHER], b[TOGETHER], c[TOGETHER], d[TOGETHER], m[TOGETHER];

	for (int i = 0; i < vectors; i++) {
		a[i] = XOR(k0, _mm256_set1_epi64x((long long)SW_SIPHASH_C0));
		b[i] = XOR(k1, _mm256_set1_epi64x((long long)SW_SIPHASH_C1));
		c[i] = XOR(k0, _mm256_set1_epi64x((long long)SW_SIPHASH_C2));
		d[i] = XOR(k1, _mm256_set1_epi64x((long long)SW_SIPHASH_C3));
	}
	for (unsigned int w = 0; w <= word_count; w++) {
		for (int i = 0; i < vectors; i++) {
			m[i] = w < word_count ? _mm256_loadu_si256((const __m256i *)&words[w][lane + (unsigned int)i * LANES])
								  : _mm256_set1_epi64x((long long)sw_siphash_last_word(word_count));
			d[i] = XOR(d[i], m[i]);
		}
		for (int round = 0; round < 2; round++)
			for (int i = 0; i < vectors; i++)
				SW_SIPHASH_ROUND(a[i], b[i], c[i], d[i]);
		for (int i = 0; i < vectors; i++)
			a[i] = XOR(a[i], m[i]);
	}
	for (int i = 0; i < vectors; i++)
		c[i] = XOR(c[i], _mm256_set1_epi64x(0xff));
	for (int round = 0; round < 4; round++)
		for (int i = 0; i < vectors; i++)
			SW_SIPHASH_ROUND(a[i], b[i], c[i], d[i]);
	for (int i = 0; i < vectors; i++)
		_mm256_storeu_si256((__m256i *)&out[lane + (unsigned int)i * LANES],
			XOR(XOR(a[i], b[i]), XOR(c[i], d[i])));
}

AVX2 void sw_siphash_burst_avx2(const struct sw_siphash_key *key, const uint64_t (*words)[SW_BURST],
	unsigned int word_count, unsigned int count, uint64_t *out)
{
	unsigned int lane = 0;

	for (; lane + LANES < count; lane += LANES * TOGETHER)
		hash_vectors(key, words, word_count, lane, TOGETHER, out);
	if (lane < count)
		hash_vectors(key, words, word_count, lane, 1, out);
}
#else
typedef int sw_siphash_avx2_is_for_x86; /* ISO C wants a declaration in every file */
#endif
