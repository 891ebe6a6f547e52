/* SPDX-License-Identifier: BSD-3-Clause */
/* SipHash-2-4, eight lanes a vector; up to four vectors at a time, 16 of the 32 registers for their state. */
#ifdef __x86_64__
#include "siphash.h"
#include "siphash_round.h"

#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f")))

enum { LANES = 8, TOGETHER = SW_BURST / LANES };

#define ADD(x, y) _mm512_add_epi64(x, y)
#define XOR(x, y) _mm512_xor_si512(x, y)
#define ROTATE(x, bits) _mm512_rol_epi64(x, bits)

/* `vectors` is a constant wherever this is called: the loops over it are unrolled, the state stays in registers. */
static inline __attribute__((always_inline)) AVX512 void hash_vectors(const struct sw_siphash_key *key,
	const uint64_t (*words)[SW_BURST], unsigned int word_count, const int vectors, uint64_t *out)
{
	const __m512i k0 = _mm512_set1_epi64((long long)key->k0), k1 = _mm512_set1_epi64((long long)key->k1);
	__m512i a[TOGETHER], b[TOGETHER], c[TOGETHER], d[TOGETHER], m[TOGETHER];

	for (int i = 0; i < vectors; i++) {
		a[i] = XOR(k0, _mm512_set1_epi64((long long)SW_SIPHASH_C0));
		b[i] = XOR(k1, _mm512_set1_epi64((long long)SW_SIPHASH_C1));
		c[i] = XOR(k0, _mm512_set1_epi64((long long)SW_SIPHASH_C2));
		d[i] = XOR(k1, _mm512_set1_epi64((long long)SW_SIPHASH_C3));
	}
	for (unsigned int w = 0; w <= word_count; w++) {
		for (int i = 0; i < vectors; i++) {
			m[i] = w < word_count ? _mm512_loadu_si512(&words[w][i * LANES])
								  : _mm512_set1_epi64((long long)sw_siphash_last_word(word_count));
			d[i] = XOR(d[i], m[i]);
		}
		for (int round = 0; round < 2; round++)
			for (int i = 0; i < vectors; i++)
				SW_SIPHASH_ROUND(a[i], b[i], c[i], d[i]);
		for (int i = 0; i < vectors; i++)
			a[i] = XOR(a[i], m[i]);
	}
	for (int i = 0; i < vectors; i++)
		c[i] = XOR(c[i], _mm512_set1_epi64(0xff));
	for (int round = 0; round < 4; round++)
		for (int i = 0; i < vectors; i++)
			SW_SIPHASH_ROUND(a[i], b[i], c[i], d[i]);
	for (int i = 0; i < vectors; i++)
		_mm512_storeu_si512(&out[i * LANES], XOR(XOR(a[i], b[i]), XOR(c[i], d[i])));
}

AVX512 void sw_siphash_burst_avx512(const struct sw_siphash_key *key, const uint64_t (*words)[SW_BURST],
	unsigned int word_count, unsigned int count, uint64_t *out)
{
	if (count > 3 * LANES)
		hash_vectors(key, words, word_count, 4, out);
	else if (count > 2 * LANES)
		hash_vectors(key, words, word_count, 3, out);
	else if (count > LANES)
		hash_vectors(key, words, word_count, 2, out);
	else if (count > 0)
		hash_vectors(key, words, word_count, 1, out);
}
#else
typedef int sw_siphash_avx512_is_for_x86; /* ISO C wants a declaration in every file */
#endif
