/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "core/tcp_options.h"

#define BYTES(...) .bytes = {__VA_ARGS__}, .length = sizeof((const uint8_t[]){__VA_ARGS__})

/* Parses a heap copy of exactly `length` bytes. */
static bool parse(const uint8_t *bytes, unsigned int length, struct sw_tcp_options *out)
{
	uint8_t *copy = malloc(length ? length : 1);
	bool good;

	memset(out, 0xa5, sizeof(*out));
	if (length)
		memcpy(copy, bytes, length);
	good = sw_tcp_options_parse(copy, length, out);
	free(copy);
	return good;
}

static const struct {
	const char *name;
	uint8_t bytes[48];
	unsigned int length;
	struct sw_tcp_options expected;
} good[] = {
	{"none", .length = 0, .expected = {.window_scale = -1, .timestamp_at = -1, .sack_at = -1}},
	{"timestamps in their usual place", BYTES(1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8),
		.expected = {0x01020304, 0x05060708, 0, 4, -1, -1, 0, SW_OPTION_TIMESTAMPS}},
	{"timestamps at an odd place", BYTES(1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 0),
		.expected = {0x01020304, 0x05060708, 0, 3, -1, -1, 0, SW_OPTION_TIMESTAMPS}},
	{"timestamps behind their usual beginning, but longer", BYTES(1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1, 1, 0),
		.expected = {0x01020304, 0x05060708, 0, 4, -1, -1, 0, SW_OPTION_TIMESTAMPS}},
	{"SYN of Linux", BYTES(2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 10),
		.expected = {1, 0, 1460, 8, -1, 10, 0, SW_OPTION_TIMESTAMPS | SW_OPTION_SACK_PERMITTED}},
	{"SYN of Windows", BYTES(2, 4, 5, 0xb4, 1, 3, 3, 8, 1, 1, 4, 2),
		.expected = {0, 0, 1460, -1, -1, 8, 0, SW_OPTION_SACK_PERMITTED}},
	{"SYN of macOS", BYTES(2, 4, 5, 0xb4, 1, 3, 3, 6, 1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 4, 2, 0, 0),
		.expected = {9, 0, 1460, 12, -1, 6, 0, SW_OPTION_TIMESTAMPS | SW_OPTION_SACK_PERMITTED}},
	{"scale 15 counts as 14 (RFC 7323, 2.3)", BYTES(3, 3, 15, 0),
		.expected = {.window_scale = 14, .timestamp_at = -1, .sack_at = -1}},
	{"scale 0", BYTES(3, 3, 0, 0), .expected = {.window_scale = 0, .timestamp_at = -1, .sack_at = -1}},
	{"one SACK block at an odd place", BYTES(1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2, 0),
		.expected = {0, 0, 0, -1, 3, -1, 1, SW_OPTION_SACK}},
	{"four SACK blocks, exactly to the end", .bytes = {5, 34}, .length = 34,
		.expected = {0, 0, 0, -1, 2, -1, 4, SW_OPTION_SACK}},
	{"MD5", .bytes = {19, 18}, .length = 18, .expected = {0, 0, 0, -1, -1, -1, 0, SW_OPTION_MD5}},
	{"AO", .bytes = {29, 16}, .length = 16, .expected = {0, 0, 0, -1, -1, -1, 0, SW_OPTION_AO}},
	{"fast open, empty", BYTES(34, 2, 1, 1), .expected = {0, 0, 0, -1, -1, -1, 0, SW_OPTION_FAST_OPEN}},
	{"fast open, experimental", BYTES(254, 4, 0xf9, 0x89), .expected = {0, 0, 0, -1, -1, -1, 0, SW_OPTION_FAST_OPEN}},
	{"another experiment", BYTES(253, 4, 0xf9, 0x88), .expected = {0, 0, 0, -1, -1, -1, 0, SW_OPTION_UNKNOWN}},
	{"experiment without a number", BYTES(253, 2), .expected = {0, 0, 0, -1, -1, -1, 0, SW_OPTION_UNKNOWN}},
	{"MPTCP", .bytes = {30, 12}, .length = 12, .expected = {0, 0, 0, -1, -1, -1, 0, SW_OPTION_MPTCP}},
	{"unknown", BYTES(77, 3, 1, 0), .expected = {0, 0, 0, -1, -1, -1, 0, SW_OPTION_UNKNOWN}},
	{"nothing counts behind the end", BYTES(0, 8, 10, 1),
		.expected = {.window_scale = -1, .timestamp_at = -1, .sack_at = -1}},
};

static void what_stacks_send(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		const struct sw_tcp_options *e = &good[i].expected;
		struct sw_tcp_options o;

		print_message("  %s\n", good[i].name);
		assert_true(parse(good[i].bytes, good[i].length, &o));
		assert_int_equal(o.tsval, e->tsval);
		assert_int_equal(o.tsecr, e->tsecr);
		assert_int_equal(o.mss, e->mss);
		assert_int_equal(o.timestamp_at, e->timestamp_at);
		assert_int_equal(o.sack_at, e->sack_at);
		assert_int_equal(o.window_scale, e->window_scale);
		assert_int_equal(o.sack_blocks, e->sack_blocks);
		assert_int_equal(o.present, e->present);
	}
}

static const struct {
	const char *name;
	uint8_t bytes[48];
	unsigned int length;
} bad[] = {
	{"kind without a length", BYTES(2)},
	{"kind without a length behind padding", BYTES(1, 1, 1, 8)},
	{"length 0", BYTES(77, 0, 0, 0)},
	{"length 1", BYTES(77, 1, 0, 0)},
	{"one byte longer than there is", BYTES(77, 5, 0, 0)},
	{"length 255", BYTES(77, 255, 0, 0)},
	{"MSS of 3", BYTES(2, 3, 5, 0)},
	{"MSS of 5", BYTES(2, 5, 5, 0xb4, 0, 0)},
	{"MSS cut", BYTES(2, 4, 5)},
	{"window scale of 2", BYTES(3, 2)},
	{"window scale of 4", BYTES(3, 4, 7, 0)},
	{"SACK permitted of 3", BYTES(4, 3, 0, 0)},
	{"timestamps of 9", .bytes = {8, 9}, .length = 12},
	{"timestamps of 11", .bytes = {8, 11}, .length = 12},
	{"timestamps cut", .bytes = {8, 10}, .length = 9},
	{"timestamps twice", .bytes = {8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 8, 10}, .length = 20},
	{"SACK without a block", BYTES(5, 2)},
	{"SACK of half a block", .bytes = {5, 6}, .length = 8},
	{"SACK of a block and a bit", .bytes = {5, 12}, .length = 12},
	{"SACK twice", .bytes = {5, 10, 0, 0, 0, 0, 0, 0, 0, 0, 5, 10}, .length = 20},
	{"MD5 of 17", .bytes = {19, 17}, .length = 20},
	{"AO of 3", BYTES(29, 3, 0, 0)},
	{"MPTCP of 2", BYTES(30, 2)},
	{"more than 40 bytes", .bytes = {0}, .length = 41},
};

static void what_no_stack_sends(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct sw_tcp_options o;

		print_message("  %s\n", bad[i].name);
		assert_false(parse(bad[i].bytes, bad[i].length, &o));
	}
}

/* Every length of every kind: accepted only if it fits, and never read behind. */
static void every_kind_and_length(void **state)
{
	uint8_t bytes[40];
	struct sw_tcp_options o;

	(void)state;
	for (unsigned int kind = 2; kind < 256; kind++)
		for (unsigned int size = 0; size < 256; size++)
			for (unsigned int length = 2; length <= 40; length += 19) {
				memset(bytes, 0, sizeof(bytes));
				bytes[0] = (uint8_t)kind;
				bytes[1] = (uint8_t)size;
				if (parse(bytes, length, &o))
					assert_true(size >= 2 && size <= length);
			}
}

static void written_is_read_again(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 16 * 16; i++) {
		const bool sack = i & 1, timestamps = i & 2;
		const uint16_t mss = i & 4 ? 1440 : 0;
		const int8_t scale = (int8_t)((int)(i >> 4) - 1);
		uint8_t written[SW_TCP_OPTIONS_MAX];
		struct sw_tcp_options o;
		const unsigned int length =
			sw_tcp_options_write_syn(written, mss, scale, sack, timestamps, 0xdeadbeef, 0x01020304);

		assert_true(length <= 20 && length % 4 == 0);
		assert_true(parse(written, length, &o));
		assert_int_equal(o.mss, mss);
		assert_int_equal(o.window_scale, scale);
		assert_int_equal(o.present, (sack ? SW_OPTION_SACK_PERMITTED : 0) | (timestamps ? SW_OPTION_TIMESTAMPS : 0));
		assert_int_equal(o.tsval, timestamps ? 0xdeadbeef : 0);
		assert_int_equal(o.tsecr, timestamps ? 0x01020304 : 0);
	}
}

static void written_as_linux_does(void **state)
{
	const uint8_t all[20] = {2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 3, 3, 7};
	const uint8_t without_timestamps[12] = {2, 4, 5, 0xb4, 1, 1, 4, 2, 1, 3, 3, 7};
	const uint8_t timestamps_alone[16] = {2, 4, 5, 0xb4, 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2};
	uint8_t written[SW_TCP_OPTIONS_MAX];

	(void)state;
	assert_int_equal(sw_tcp_options_write_syn(written, 1460, 7, true, true, 1, 2), sizeof(all));
	assert_memory_equal(written, all, sizeof(all));
	assert_int_equal(sw_tcp_options_write_syn(written, 1460, 7, true, false, 1, 2), sizeof(without_timestamps));
	assert_memory_equal(written, without_timestamps, sizeof(without_timestamps));
	assert_int_equal(sw_tcp_options_write_syn(written, 1460, -1, false, true, 1, 2), sizeof(timestamps_alone));
	assert_memory_equal(written, timestamps_alone, sizeof(timestamps_alone));
	assert_int_equal(sw_tcp_options_write_syn(written, 0, -1, false, false, 1, 2), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_stacks_send),
		cmocka_unit_test(what_no_stack_sends),
		cmocka_unit_test(every_kind_and_length),
		cmocka_unit_test(written_is_read_again),
		cmocka_unit_test(written_as_linux_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
