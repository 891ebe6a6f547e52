/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/siphash.h"

static uint64_t seed = 7;

static uint64_t next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	return seed ^= seed << 17;
}

/* Appendix A of the paper; the other lengths are in tests/vectors/siphash.json. */
static void example_of_the_paper(void **state)
{
	const struct sw_siphash_key key = {0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull};
	uint8_t message[15];

	(void)state;
	for (uint8_t i = 0; i < 15; i++)
		message[i] = i;
	assert_true(sw_siphash24(&key, message, sizeof(message)) == 0xa129ca6149be45e5ull);
}

static void store_le64(uint8_t *p, uint64_t word)
{
	for (unsigned int i = 0; i < 8; i++)
		p[i] = (uint8_t)(word >> 8 * i);
}

/* Every instruction set that this CPU has against the byte-wise reference, for every count and length. */
static void bursts_equal_the_reference(void **state)
{
	const enum sw_isa best = sw_isa_best(SW_ISA_AVX512);
	uint64_t words[31][SW_BURST], out[SW_BURST];
	uint8_t message[31 * 8];

	(void)state;
	for (enum sw_isa isa = SW_ISA_SCALAR; isa <= best; isa++) {
		const sw_siphash_burst_fn burst = sw_siphash_burst_for(isa);

		for (unsigned int round = 0; round < 31 * (SW_BURST + 1); round++) {
			const unsigned int word_count = 1 + round % 31, count = round / 31;
			const struct sw_siphash_key key = {next_random(), next_random()};

			for (unsigned int w = 0; w < word_count; w++)
				for (unsigned int lane = 0; lane < SW_BURST; lane++)
					words[w][lane] = next_random();
			memset(out, 0, sizeof(out));
			burst(&key, (const uint64_t(*)[SW_BURST])words, word_count, count, out);
			for (unsigned int lane = 0; lane < count; lane++) {
				for (unsigned int w = 0; w < word_count; w++)
					store_le64(message + 8 * w, words[w][lane]);
				if (out[lane] != sw_siphash24(&key, message, 8 * word_count))
					fail_msg("%s: %u words, lane %u of %u", sw_isa_name(isa), word_count, lane, count);
			}
		}
	}
}

static void nothing_hashes_nothing(void **state)
{
	const struct sw_siphash_key key = {1, 2};
	uint64_t words[1][SW_BURST] = {{0}}, out[SW_BURST];

	(void)state;
	for (enum sw_isa isa = SW_ISA_SCALAR; isa <= sw_isa_best(SW_ISA_AVX512); isa++) {
		memset(out, 0x5a, sizeof(out));
		sw_siphash_burst_for(isa)(&key, (const uint64_t(*)[SW_BURST])words, 1, 0, out);
		for (unsigned int lane = 0; lane < SW_BURST; lane++)
			assert_true(out[lane] == 0x5a5a5a5a5a5a5a5aull);
	}
}

static void cap_is_kept(void **state)
{
	(void)state;
	assert_int_equal(sw_isa_best(SW_ISA_SCALAR), SW_ISA_SCALAR);
	assert_true(sw_isa_best(SW_ISA_AVX2) <= SW_ISA_AVX2);
	assert_true(sw_isa_best(SW_ISA_AVX2) <= sw_isa_best(SW_ISA_AVX512));
	assert_false(sw_isa_has_vaes(SW_ISA_SCALAR));
	assert_false(sw_isa_has_vaes(SW_ISA_AVX2));
	assert_false(sw_isa_has_vbmi(SW_ISA_SCALAR));
	assert_false(sw_isa_has_vbmi(SW_ISA_AVX2));
	assert_ptr_equal(sw_siphash_burst_for(SW_ISA_SCALAR), sw_siphash_burst_scalar);
	assert_string_equal(sw_isa_name(SW_ISA_SCALAR), "scalar");
	assert_string_equal(sw_isa_name(SW_ISA_AVX512), "avx512");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(example_of_the_paper),
		cmocka_unit_test(bursts_equal_the_reference),
		cmocka_unit_test(nothing_hashes_nothing),
		cmocka_unit_test(cap_is_kept),
	};

	print_message("instruction set: %s\n", sw_isa_name(sw_isa_best(SW_ISA_AVX512)));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
