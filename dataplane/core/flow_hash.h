/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The 64 bits by which a connection is known: a keyed hash of addresses, ports and VLAN in one step from the parsed view
 * of a packet, the same code for IPv4 (mapped addresses) and IPv6. A CBC-MAC of three blocks of one fixed length, in the
 * manner of Pelican (Daemen and Rijmen, "The Pelican MAC Function", 2005): four rounds of AES between the blocks, all ten
 * behind the last, under secret round keys that are independent of each other.
 *
 *   client ──+──[ 4 rounds ]──+──[ 4 rounds ]──+──[ 10 rounds ]──> low 64 bits
 *           key             server        ports, VLAN
 *
 * What that promises and why it suffices: docs/decisions/0020-aes-for-flows.md.
 */
#ifndef SW_CORE_FLOW_HASH_H
#define SW_CORE_FLOW_HASH_H

#include <stddef.h>
#include <wmmintrin.h>

#include "../packet.h"
#include "siphash.h"

enum {
	SW_FLOW_ROUNDS_BETWEEN = 4,
	SW_FLOW_ROUNDS_LAST = 10,
	SW_FLOW_ROUND_KEYS = 1 + SW_FLOW_ROUNDS_BETWEEN + SW_FLOW_ROUNDS_LAST,
};

/* Independent random keys: what is added to the first block, those of the rounds between blocks, those of the last ones. */
struct sw_flow_key {
	_Alignas(16) uint8_t rounds[SW_FLOW_ROUND_KEYS][16];
};

_Static_assert(offsetof(struct sw_packet, server_port) == offsetof(struct sw_packet, client_port) + 2, "read as one word");

static inline __m128i sw_flow_rounds(const struct sw_flow_key *key, __m128i x, int first, int count)
{
#pragma GCC unroll 10
	for (int i = first; i < first + count; i++)
		x = _mm_aesenc_si128(x, _mm_load_si128((const __m128i *)(const void *)key->rounds[i]));
	return x;
}

static inline uint64_t sw_flow_hash(const struct sw_flow_key *key, const struct sw_packet *p)
{
	const int between = 1, last = 1 + SW_FLOW_ROUNDS_BETWEEN;
	int ports, vlan;

	memcpy(&ports, &p->client_port, sizeof(ports));
	memcpy(&vlan, &p->vlan, sizeof(vlan));
	const __m128i client = _mm_loadu_si128((const __m128i *)(const void *)p->client.bytes);
	const __m128i server = _mm_loadu_si128((const __m128i *)(const void *)p->server.bytes);
	const __m128i rest = _mm_unpacklo_epi32(_mm_cvtsi32_si128(ports), _mm_cvtsi32_si128(vlan));

	__m128i x = _mm_xor_si128(client, _mm_load_si128((const __m128i *)(const void *)key->rounds[0]));
	x = _mm_xor_si128(sw_flow_rounds(key, x, between, SW_FLOW_ROUNDS_BETWEEN), server);
	x = _mm_xor_si128(sw_flow_rounds(key, x, between, SW_FLOW_ROUNDS_BETWEEN), rest);
	return (uint64_t)_mm_cvtsi128_si64(sw_flow_rounds(key, x, last, SW_FLOW_ROUNDS_LAST));
}

/*
 * hashes[i] becomes the hash of packets[i] for each bit i of `set`. What stands beside them in the same group of four,
 * packets 4n to 4n + 3, may be read too, and its hash means nothing.
 */
typedef void (*sw_flow_hash_burst_fn)(const struct sw_flow_key *key, const struct sw_packet packets[SW_BURST],
	uint32_t set, uint64_t hashes[SW_BURST]);

/* The version for an instruction set, which the CPU must have. All give the same bits. */
sw_flow_hash_burst_fn sw_flow_hash_burst_for(enum sw_isa isa);

void sw_flow_hash_burst_aes(const struct sw_flow_key *key, const struct sw_packet packets[SW_BURST], uint32_t set,
	uint64_t hashes[SW_BURST]);
void sw_flow_hash_burst_vaes(const struct sw_flow_key *key, const struct sw_packet packets[SW_BURST], uint32_t set,
	uint64_t hashes[SW_BURST]);

#endif
