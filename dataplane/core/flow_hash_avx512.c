/* SPDX-License-Identifier: BSD-3-Clause */
/* The hashes of flows, four at a time. */
#include "flow_hash.h"

#include <immintrin.h>

#define VAES __attribute__((target("avx512f,avx512vl,vaes")))
#define VAES_INLINE static inline __attribute__((always_inline)) VAES

enum { LANES = 4 };

/* The 16 bytes at `offset` of four neighbouring views. */
VAES_INLINE __m512i load(const struct sw_packet *packets, size_t offset)
{
	const uint8_t *at = (const uint8_t *)packets + offset;
	__m512i x = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(const void *)at));

	for (int i = 1; i < LANES; i++) {
		at += sizeof(*packets);
		x = _mm512_mask_broadcast_i32x4(x, (__mmask16)(0xf << 4 * i), _mm_loadu_si128((const __m128i *)(const void *)at));
	}
	return x;
}

VAES_INLINE __m512i rounds(const __m512i *keys, __m512i x, int count)
{
#pragma GCC unroll 10
	for (int i = 0; i < count; i++)
		x = _mm512_aesenc_epi128(x, keys[i]);
	return x;
}

VAES_INLINE void hash_four(const __m512i keys[SW_FLOW_ROUND_KEYS], const struct sw_packet *packets, uint64_t hashes[LANES])
{
	const __m512i *between = keys + 1, *last = between + SW_FLOW_ROUNDS_BETWEEN;
	/* Ports and what follows, VLAN and what follows: the first word of each is the block. */
	const __m512i rest = _mm512_unpacklo_epi32(load(packets, offsetof(struct sw_packet, client_port)),
		load(packets, offsetof(struct sw_packet, vlan)));

	_Static_assert(offsetof(struct sw_packet, vlan) + 16 <= sizeof(struct sw_packet), "all of it is in the view");
	__m512i x = _mm512_xor_si512(load(packets, offsetof(struct sw_packet, client)), keys[0]);
	x = _mm512_xor_si512(rounds(between, x, SW_FLOW_ROUNDS_BETWEEN), load(packets, offsetof(struct sw_packet, server)));
	x = _mm512_xor_si512(rounds(between, x, SW_FLOW_ROUNDS_BETWEEN), _mm512_maskz_mov_epi64(0x55, rest));
	x = rounds(last, x, SW_FLOW_ROUNDS_LAST);
	_mm256_storeu_si256((__m256i *)(void *)hashes, _mm512_castsi512_si256(_mm512_maskz_compress_epi64(0x55, x)));
}

VAES void sw_flow_hash_burst_vaes(const struct sw_flow_key *key, const struct sw_packet packets[SW_BURST], uint32_t set,
	uint64_t hashes[SW_BURST])
{
	enum { FEW = 6 };
	__m512i keys[SW_FLOW_ROUND_KEYS];

	if (__builtin_popcount(set) < FEW) { /* rarely neighbours, and hardly worth to spread the keys for */
		sw_flow_hash_burst_aes(key, packets, set, hashes);
		return;
	}
	for (int i = 0; i < SW_FLOW_ROUND_KEYS; i++)
		keys[i] = _mm512_broadcast_i32x4(_mm_load_si128((const __m128i *)(const void *)key->rounds[i]));
	for (unsigned int i = 0; i < SW_BURST; i += LANES)
		if (set >> i & ((1u << LANES) - 1))
			hash_four(keys, packets + i, hashes + i);
}
