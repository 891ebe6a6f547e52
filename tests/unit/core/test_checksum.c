/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "core/checksum.h"

/* RFC 1071 as it reads: big-endian 16-bit words, the last byte of an odd number padded with zero. */
static uint16_t naive_sum(const uint8_t *data, size_t length, uint32_t sum)
{
	for (size_t i = 0; i < length; i++)
		sum += i % 2 ? data[i] : (uint32_t)data[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static uint16_t as_stored(uint16_t host)
{
	const uint8_t wire[2] = {(uint8_t)(host >> 8), (uint8_t)host};
	uint16_t stored;

	memcpy(&stored, wire, 2);
	return stored;
}

static uint64_t seed = 1;

static uint32_t next_random(void)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(seed >> 32);
}

static void fill(uint8_t *data, size_t length)
{
	for (size_t i = 0; i < length; i++)
		data[i] = (uint8_t)next_random();
}

static void example_of_rfc1071(void **state)
{
	const uint8_t data[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}; /* section 3 */

	(void)state;
	assert_int_equal(sw_checksum_fold(sw_checksum_add(0, data, sizeof(data))), as_stored(0xddf2));
	assert_int_equal(sw_checksum_finish(sw_checksum_add(0, data, sizeof(data))), as_stored(0x220d));
}

static void every_length(void **state)
{
	(void)state;
	for (size_t length = 0; length < 300; length++) {
		uint8_t *data = malloc(length ? length : 1); /* exactly: a sanitizer sees an over-read */

		fill(data, length);
		assert_int_equal(sw_checksum_fold(sw_checksum_add(0, data, length)), as_stored(naive_sum(data, length, 0)));
		free(data);
	}
}

/* Sums of any size, around each carry, against folding in steps. */
static void sums_fold_as_in_steps(void **state)
{
	static const uint64_t telling[] = {0, 1, 0xfffe, 0xffff, 0x10000, 0xffff0000u, 0xfffffffeu, 0xffffffffu,
	    0x100000000u, 0x1fffeffffu, 0xfffeffff00000001u, 0xffffffff00000000u, 0xfffffffffffffffeu, 0xffffffffffffffffu};
	enum { TELLING = sizeof(telling) / sizeof(telling[0]) };

	(void)state;
	for (unsigned int i = 0; i < TELLING * TELLING + 100000; i++) {
		const int told = i < TELLING * TELLING;
		const uint64_t a = told ? telling[i % TELLING] : (uint64_t)next_random() << 32 | next_random();
		const uint64_t b = told ? telling[i / TELLING] : (uint64_t)next_random() << 32 | next_random();
		uint64_t sum = (a & 0xffffffffu) + (a >> 32);

		while (sum >> 16)
			sum = (sum & 0xffff) + (sum >> 16);
		assert_int_equal(sw_checksum_fold(a), sum);
		sum += (b & 0xffffffffu) + (b >> 32);
		while (sum >> 16)
			sum = (sum & 0xffff) + (sum >> 16);
		assert_int_equal(sw_checksum_fold(sw_checksum_add64(a, b)), sum);
	}
}

static void largest_segment_of_ones(void **state)
{
	static uint8_t data[65535];

	(void)state;
	memset(data, 0xff, sizeof(data));
	assert_int_equal(
		sw_checksum_fold(sw_checksum_add(0, data, sizeof(data))), as_stored(naive_sum(data, sizeof(data), 0)));
}

static void pseudo_headers(void **state)
{
	uint8_t ipv4[12], ipv6[40];

	(void)state;
	fill(ipv4, sizeof(ipv4));
	memcpy(ipv4 + 8, (const uint8_t[]){0, 6, 0xab, 0xcd}, 4);
	assert_int_equal(
		sw_checksum_fold(sw_checksum_pseudo_ipv4(ipv4, ipv4 + 4, 6, 0xabcd)), as_stored(naive_sum(ipv4, 12, 0)));
	fill(ipv6, sizeof(ipv6));
	memcpy(ipv6 + 32, (const uint8_t[]){0x12, 0x34, 0x56, 0x78, 0, 0, 0, 58}, 8);
	assert_int_equal(
		sw_checksum_fold(sw_checksum_pseudo_ipv6(ipv6, ipv6 + 16, 58, 0x12345678)), as_stored(naive_sum(ipv6, 40, 0)));
}

/* A buffer with its checksum at 0 stays right when a field anywhere behind it changes. */
static void replaced_fields_keep_the_sum(void **state)
{
	uint8_t data[64];
	uint16_t sum;

	(void)state;
	for (unsigned int round = 0; round < 20000; round++) {
		const unsigned int at = 2 + next_random() % 58, width = next_random() % 3;
		uint32_t old, new = round % 7 == 0 ? 0 : round % 7 == 1 ? 0xffffffff : next_random();
		uint16_t old_half, new_half = (uint16_t)new;

		fill(data, sizeof(data));
		data[0] = data[1] = 0;
		if (round % 5 == 0)
			memset(data + 2, round % 2 ? 0xff : 0, 62); /* sums of zero, of either sign */
		data[63] |= 1; /* a packet is never all zero: its pseudo header holds a protocol (RFC 1624, 3) */
		sum = sw_checksum_finish(sw_checksum_add(0, data, sizeof(data)));
		memcpy(data, &sum, 2);
		memcpy(&old, data + at, 4);
		memcpy(&old_half, data + (at & ~1u), 2);
		if (width == 0) {
			sw_checksum_replace16(data, old_half, new_half);
			memcpy(data + (at & ~1u), &new_half, 2);
		} else if (width == 1) {
			memcpy(&old, data + (at & ~1u), 4);
			sw_checksum_replace32(data, old, new);
			memcpy(data + (at & ~1u), &new, 4);
		} else {
			sw_checksum_replace_bytes(data, at, old, new);
			memcpy(data + at, &new, 4);
		}
		assert_int_equal(sw_checksum_fold(sw_checksum_add(0, data, sizeof(data))), 0xffff);
	}
}

/* RFC 1624, section 4: the case that equation 2 of RFC 1141 gets wrong. */
static void example_of_rfc1624(void **state)
{
	uint16_t sum = as_stored(0xdd2f);

	(void)state;
	sw_checksum_replace16(&sum, as_stored(0x5555), as_stored(0x3285));
	assert_int_equal(sum, as_stored(0x0000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(example_of_rfc1071),
		cmocka_unit_test(every_length),
		cmocka_unit_test(sums_fold_as_in_steps),
		cmocka_unit_test(largest_segment_of_ones),
		cmocka_unit_test(pseudo_headers),
		cmocka_unit_test(replaced_fields_keep_the_sum),
		cmocka_unit_test(example_of_rfc1624),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
