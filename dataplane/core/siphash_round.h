/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One SipRound, for whatever a lane is: who includes this defines ADD(x, y), XOR(x, y) and ROTATE(x, bits) over 64-bit
 * lanes. Only for siphash*.c.
 */
#ifndef SW_SIPHASH_ROUND_H
#define SW_SIPHASH_ROUND_H

#include <stdint.h>

/* "somepseudorandomlygeneratedbytes", from the paper, section 2.1. */
#define SW_SIPHASH_C0 0x736f6d6570736575ull
#define SW_SIPHASH_C1 0x646f72616e646f6dull
#define SW_SIPHASH_C2 0x6c7967656e657261ull
#define SW_SIPHASH_C3 0x7465646279746573ull

/* Figure 2.1 of the paper. */
#define SW_SIPHASH_ROUND(v0, v1, v2, v3) \
	do { \
		v0 = ADD(v0, v1); \
		v2 = ADD(v2, v3); \
		v1 = XOR(ROTATE(v1, 13), v0); \
		v3 = XOR(ROTATE(v3, 16), v2); \
		v0 = ROTATE(v0, 32); \
		v2 = ADD(v2, v1); \
		v0 = ADD(v0, v3); \
		v1 = XOR(ROTATE(v1, 17), v2); \
		v3 = XOR(ROTATE(v3, 21), v0); \
		v2 = ROTATE(v2, 32); \
	} while (0)

/* The word behind a message of whole words: its length in bytes, modulo 256, on top of no bytes at all. */
static inline uint64_t sw_siphash_last_word(unsigned int word_count)
{
	return (uint64_t)(word_count * 8 & 0xff) << 56;
}

#endif
