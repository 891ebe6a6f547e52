/* SPDX-License-Identifier: BSD-3-Clause */
#include "siphash.h"
#include "siphash_round.h"

#ifdef __x86_64__
#include <cpuid.h>
#endif

static inline uint64_t rotate(uint64_t x, unsigned int bits)
{
	return x << bits | x >> (64 - bits);
}

#define ADD(x, y) ((x) + (y))
#define XOR(x, y) ((x) ^ (y))
#define ROTATE(x, bits) rotate(x, bits)

static inline uint64_t load_le64(const uint8_t *p)
{
	uint64_t word = 0;

	for (unsigned int i = 0; i < 8; i++) /* compilers make one load of it */
		word |= (uint64_t)p[i] << 8 * i;
	return word;
}

uint64_t sw_siphash24(const struct sw_siphash_key *key, const void *data, size_t length)
{
	uint64_t v0 = key->k0 ^ SW_SIPHASH_C0, v1 = key->k1 ^ SW_SIPHASH_C1;
	uint64_t v2 = key->k0 ^ SW_SIPHASH_C2, v3 = key->k1 ^ SW_SIPHASH_C3;
	const uint8_t *p = data;
	uint64_t last = (uint64_t)(length & 0xff) << 56;

	for (size_t left = length; left >= 8; left -= 8, p += 8) {
		const uint64_t word = load_le64(p);

		v3 ^= word;
		SW_SIPHASH_ROUND(v0, v1, v2, v3);
		SW_SIPHASH_ROUND(v0, v1, v2, v3);
		v0 ^= word;
	}
	for (unsigned int i = 0; i < (length & 7); i++)
		last |= (uint64_t)p[i] << 8 * i;
	v3 ^= last;
	SW_SIPHASH_ROUND(v0, v1, v2, v3);
	SW_SIPHASH_ROUND(v0, v1, v2, v3);
	v0 ^= last;
	v2 ^= 0xff;
	for (unsigned int i = 0; i < 4; i++)
		SW_SIPHASH_ROUND(v0, v1, v2, v3);
	return v0 ^ v1 ^ v2 ^ v3;
}

void sw_siphash_burst_scalar(const struct sw_siphash_key *key, const uint64_t (*words)[SW_BURST],
	unsigned int word_count, unsigned int count, uint64_t *out)
{
	const uint64_t last = sw_siphash_last_word(word_count);

	for (unsigned int lane = 0; lane < count; lane++) {
		uint64_t v0 = key->k0 ^ SW_SIPHASH_C0, v1 = key->k1 ^ SW_SIPHASH_C1;
		uint64_t v2 = key->k0 ^ SW_SIPHASH_C2, v3 = key->k1 ^ SW_SIPHASH_C3;

		for (unsigned int w = 0; w <= word_count; w++) {
			const uint64_t word = w < word_count ? words[w][lane] : last;

			v3 ^= word;
			SW_SIPHASH_ROUND(v0, v1, v2, v3);
			SW_SIPHASH_ROUND(v0, v1, v2, v3);
			v0 ^= word;
		}
		v2 ^= 0xff;
		for (unsigned int i = 0; i < 4; i++)
			SW_SIPHASH_ROUND(v0, v1, v2, v3);
		out[lane] = v0 ^ v1 ^ v2 ^ v3;
	}
}

enum sw_isa sw_isa_best(enum sw_isa cap)
{
#ifdef __x86_64__
	__builtin_cpu_init();
	if (cap >= SW_ISA_AVX512 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
		__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("bmi2"))
		return SW_ISA_AVX512;
	if (cap >= SW_ISA_AVX2 && __builtin_cpu_supports("avx2"))
		return SW_ISA_AVX2;
#endif
	(void)cap;
	return SW_ISA_SCALAR;
}

/* Asked of the CPU itself: not every compiler's __builtin_cpu_supports() knows the words. `bits`: of ECX. */
#ifdef __x86_64__
static bool cpu_has(unsigned int leaf, unsigned int bits)
{
	unsigned int eax, ebx, ecx = 0, edx;

	return __get_cpuid_count(leaf, 0, &eax, &ebx, &ecx, &edx) && (ecx & bits) == bits;
}
#else
#define cpu_has(leaf, bits) false
#endif

bool sw_isa_has_vaes(enum sw_isa isa)
{
	return isa == SW_ISA_AVX512 && cpu_has(7, bit_VAES);
}

bool sw_isa_has_vbmi(enum sw_isa isa)
{
	return isa == SW_ISA_AVX512 && cpu_has(7, bit_AVX512VBMI) && cpu_has(1, bit_MOVBE);
}

bool sw_isa_has_bytes(enum sw_isa isa)
{
	return isa == SW_ISA_AVX512 && cpu_has(7, bit_AVX512VBMI | bit_VAES | bit_AVX512VNNI);
}

const char *sw_isa_name(enum sw_isa isa)
{
	static const char *const names[SW_ISA_COUNT] = {"scalar", "avx2", "avx512"};

	return (unsigned int)isa < SW_ISA_COUNT ? names[isa] : "unknown";
}

sw_siphash_burst_fn sw_siphash_burst_for(enum sw_isa isa)
{
#ifdef __x86_64__
	if (isa == SW_ISA_AVX512)
		return sw_siphash_burst_avx512;
	if (isa == SW_ISA_AVX2)
		return sw_siphash_burst_avx2;
#endif
	(void)isa;
	return sw_siphash_burst_scalar;
}
