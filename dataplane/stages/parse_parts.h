/* SPDX-License-Identifier: BSD-3-Clause */
/* What parse.c and its loop for another instruction set share. Nobody else includes this. */
#ifndef SW_PARSE_PARTS_H
#define SW_PARSE_PARTS_H

#include "stage.h"

#include <rte_branch_prediction.h>

#include "../core/prefetch.h"
#include "../core/prefix_table.h"

/* The lines of the frames are asked for before any is looked at. */
static inline void reach(struct sw_burst *b, bool near)
{
	uint64_t flags = 0;
	uint32_t bytes = 0; /* no frame has 2^27 */

#pragma GCC unroll 4
	for (unsigned int i = 0; i < b->count; i++) {
		const struct rte_mbuf *m = b->mbufs[i];
		sw_prefetch_to(near, rte_pktmbuf_mtod(m, const uint8_t *));
		bytes += m->pkt_len;
		flags |= m->ol_flags;
	}
	b->bytes = bytes;
	b->ol_flags = flags;
}

static inline __m128i load_half(const uint8_t bytes[SW_BURST], unsigned int half)
{
	return _mm_loadu_si128((const __m128i *)(const void *)bytes + half);
}

/* The set of those that have of `which` flags these. */
static inline uint32_t find_flags(const uint8_t flags[SW_BURST], uint8_t which, uint8_t these)
{
	uint32_t set = 0;

	for (unsigned int half = 0; half < 2; half++) {
		const __m128i masked = _mm_and_si128(load_half(flags, half), _mm_set1_epi8((char)which));
		set |= (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(masked, _mm_set1_epi8((char)these))) << 16 * half;
	}
	return set;
}

/* Which no plain frame is. */
static inline uint32_t find_fragments(const struct sw_burst *b)
{
	uint32_t strays = b->strays, fragments = 0;

	for (unsigned int i; unlikely(sw_next(&strays, &i));)
		fragments |= b->packets[i].is_fragment ? 1u << i : 0;
	return fragments;
}

/* What the flags of b->tcp make of the burst. */
static inline void sort_by_flags(struct sw_burst *b, const uint8_t flags[SW_BURST])
{
	const uint8_t handshake = SW_TCP_SYN | SW_TCP_ACK | SW_TCP_RST;

	b->syns = b->side == SW_OUTSIDE ? b->tcp & find_flags(flags, handshake, SW_TCP_SYN) : 0;
	b->acks = b->tcp & ~find_fragments(b) & find_flags(flags, handshake, SW_TCP_ACK);
	b->fins = b->tcp & find_flags(flags, SW_TCP_FIN, SW_TCP_FIN);
}

/*
 * Where the policy begins to speak of a source whose address begins so: a random line, for the stage that looks it up.
 */
static inline void ask_for_source(bool near, const struct sw_trie_root *root, const uint8_t first[4])
{
	uint32_t be;

	memcpy(&be, first, 4);
	sw_prefetch_to(near, &root->slots[rte_be_to_cpu_32(be) >> root->shift]);
}

/* The loop for AVX-512 with VBMI. */
void sw_parse_burst_avx512(struct sw_worker *w, struct sw_burst *b);

#endif
