/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SipHash-2-4 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012): one message, or a burst of them in
 * SIMD lanes. Pure; any thread.
 */
#ifndef SW_SIPHASH_H
#define SW_SIPHASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../packet.h" /* SW_BURST */

struct sw_siphash_key {
	uint64_t k0, k1; /* bytes 0 to 7 and 8 to 15 of the key, little-endian */
};

/* Instruction sets there is code for, each including the one before. All give the same bits. */
enum sw_isa {
	SW_ISA_SCALAR,
	SW_ISA_AVX2,
	SW_ISA_AVX512,
	SW_ISA_COUNT
};

/* The best this CPU has, but none above `cap` (the operator's or DPDK's limit). */
enum sw_isa sw_isa_best(enum sw_isa cap);

/* Beside SW_ISA_AVX512: has this CPU AES for whole vectors? */
bool sw_isa_has_vaes(enum sw_isa isa);

/* Likewise: can this CPU permute bytes of whole vectors, and load numbers in network byte order? */
bool sw_isa_has_vbmi(enum sw_isa isa);

/* And bytes in any order, sums of them, and bits (VBMI, VNNI, BMI2), as all that have VAES had when this was written? */
bool sw_isa_has_bytes(enum sw_isa isa);

/* "scalar", "avx2" or "avx512". */
const char *sw_isa_name(enum sw_isa isa);

/* The 64-bit SipHash-2-4 of `length` bytes. */
uint64_t sw_siphash24(const struct sw_siphash_key *key, const void *data, size_t length);

/*
 * `count` messages (0 to SW_BURST) of `word_count` words each (1 to 31). words[w][lane] is word w of message `lane`;
 * out[lane] becomes the SipHash-2-4 of its 8 * word_count bytes, each word little-endian. Whole vectors are worked on:
 * `out` has room for SW_BURST values, those behind `count` are undefined, and so may be the words behind `count`.
 */
typedef void (*sw_siphash_burst_fn)(const struct sw_siphash_key *key, const uint64_t (*words)[SW_BURST],
	unsigned int word_count, unsigned int count, uint64_t *out);

/* The version for an instruction set, which the CPU must have; where it was not compiled in, the next lower. */
sw_siphash_burst_fn sw_siphash_burst_for(enum sw_isa isa);

void sw_siphash_burst_scalar(const struct sw_siphash_key *key, const uint64_t (*words)[SW_BURST],
	unsigned int word_count, unsigned int count, uint64_t *out);
void sw_siphash_burst_avx2(const struct sw_siphash_key *key, const uint64_t (*words)[SW_BURST],
	unsigned int word_count, unsigned int count, uint64_t *out);
void sw_siphash_burst_avx512(const struct sw_siphash_key *key, const uint64_t (*words)[SW_BURST],
	unsigned int word_count, unsigned int count, uint64_t *out);

#endif
