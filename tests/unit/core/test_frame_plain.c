/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one look at plain frames agrees with the complete parser, byte for byte, on whatever frame it takes; and it takes
 * those that it is for. Both sides, both families; frames in heap buffers of exactly their size.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "frame_builder.h"
#include "random_prefixes.h"
#include "core/frame_plain_avx512.h"
#include "core/siphash.h"

static const struct segment {
	const char *name;
	uint8_t protocol, flags;
	uint8_t options[40], option_bytes;
	uint32_t payload;
	bool is_plain;
} segments[] = {
	{"ACK without options", 6, SW_TCP_ACK, {0}, 0, 0, true},
	{"data without options", 6, SW_TCP_ACK | SW_TCP_PSH, {0}, 0, 33, true},
	{"FIN", 6, SW_TCP_FIN | SW_TCP_ACK, {0}, 0, 0, true},
	{"bare RST", 6, SW_TCP_RST, {0}, 0, 0, true},
	{"SYN with ECN and no options", 6, SW_TCP_SYN | SW_TCP_ECE | SW_TCP_CWR, {0}, 0, 0, true},
	{"SYN with MSS", 6, SW_TCP_SYN, {2, 4, 5, 0xb4}, 4, 0, true},
	{"SYN-ACK with MSS", 6, SW_TCP_SYN | SW_TCP_ACK, {2, 4, 5, 0xb4}, 4, 0, true},
	{"SYN with MSS and data", 6, SW_TCP_SYN, {2, 4, 0xff, 1}, 4, 9, true},
	{"ACK with timestamps", 6, SW_TCP_ACK, {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8}, 12, 0, true},
	{"data with timestamps", 6, SW_TCP_ACK, {1, 1, 8, 10, 0xff, 2, 3, 0xfe, 0xfd, 6, 7, 0xfc}, 12, 40, true},
	{"SYN of Linux", 6, SW_TCP_SYN, {2, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 14}, 20, 0, true},
	{"SYN-ACK of Linux", 6, SW_TCP_SYN | SW_TCP_ACK,
		{2, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 0xff, 6, 7, 8, 1, 3, 3, 0}, 20, 5, true},
	{"SYN with a window scale of 15", 6, SW_TCP_SYN,
		{2, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 15}, 20, 0, false},
	{"SYN of Windows", 6, SW_TCP_SYN, {2, 4, 5, 0xb4, 1, 3, 3, 8, 1, 1, 4, 2}, 12, 0, false},
	{"SACK", 6, SW_TCP_ACK, {1, 1, 5, 10, 1, 2, 3, 4, 5, 6, 7, 8}, 12, 0, false},
	{"timestamps and SACK", 6, SW_TCP_ACK,
		{1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1, 5, 10, 1, 2, 3, 4, 5, 6, 7, 8}, 24, 0, false},
	{"NOPs", 6, SW_TCP_ACK, {1, 1, 1, 1}, 4, 0, false},
	{"40 bytes of options", 6, SW_TCP_SYN, {2, 4, 5, 0xb4, 254, 36, 0xf9, 0x89}, 40, 3, false},
	{"UDP", 17, 0, {0}, 0, 20, true},
	{"ESP", 50, 0, {0}, 0, 4, true},
	{"number 255", 255, 0, {0}, 0, 0, true},
	{"destination options", 60, 0, {0}, 0, 0, false},
};

enum { SEGMENTS = sizeof(segments) / sizeof(segments[0]) };

static bool has_vbmi;

static uint64_t next_random(void)
{
	static uint64_t state = 0x5ea3a11;

	return random_next(&state) >> 16;
}

/* What is no TCP gets a TCP header all the same: nobody looks. */
static void build(struct build *b, const struct segment *s, bool is_ipv6, enum sw_side side)
{
	build_ethernet(b, is_ipv6, NULL);
	b->from_server = side == SW_INSIDE;
	build_ip(b, s->protocol);
	build_tcp(b, s->flags, s->options, s->option_bytes, s->payload);
	build_finish(b, false);
}

/* The other way to look at TCP takes the same and sees the same. */
static SW_AVX512_VBMI void agree_wide(const uint8_t *frame, uint32_t bytes, enum sw_side side, const struct sw_packet *plain)
{
	struct sw_packet wide;

	memset(&wide, 0x5a, sizeof(wide));
	assert_int_equal(sw_frame_parse_plain_avx512(frame, bytes, side, &wide), plain != NULL && plain->kind == SW_PACKET_TCP);
	if (plain != NULL && plain->kind == SW_PACKET_TCP)
		assert_memory_equal(&wide, plain, sizeof(wide));
}

/* Whether it was taken as plain. */
static bool agree(const uint8_t *bytes, uint32_t length, enum sw_side side)
{
	uint8_t *copy = malloc(length ? length : 1);
	struct sw_packet plain, complete;
	bool taken;

	assert_non_null(copy);
	memset(&plain, 0x5a, sizeof(plain));
	memset(&complete, 0xa5, sizeof(complete));
	if (length)
		memcpy(copy, bytes, length);
	taken = sw_frame_parse_plain(copy, length, side, &plain);
	if (taken) {
		sw_frame_parse(copy, length, side, &complete);
		assert_memory_equal(&plain, &complete, sizeof(plain));
	}
	if (has_vbmi)
		agree_wide(copy, length, side, taken ? &complete : NULL);
	free(copy);
	return taken;
}

static void plain_frames_are_taken(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < SEGMENTS * 4; i++) {
		const struct segment *s = &segments[i / 4];
		struct build b;

		print_message("  %s, IPv%d, from %s\n", s->name, i & 1 ? 6 : 4, i & 2 ? "inside" : "outside");
		build(&b, s, i & 1, i & 2 ? SW_INSIDE : SW_OUTSIDE);
		assert_int_equal(agree(b.bytes, b.length, i & 2 ? SW_INSIDE : SW_OUTSIDE), s->is_plain);
		build_zeros(&b, 11); /* padding behind the packet */
		assert_int_equal(agree(b.bytes, b.length, i & 2 ? SW_INSIDE : SW_OUTSIDE), s->is_plain);
	}
}

/* Every value of every byte of the headers, and every length. */
static void one_byte_changed(void **state)
{
	uint32_t taken = 0, seen = 0;

	(void)state;
	for (unsigned int i = 0; i < SEGMENTS * 4; i++) {
		const enum sw_side side = i & 2 ? SW_INSIDE : SW_OUTSIDE;
		struct build b;

		build(&b, &segments[i / 4], i & 1, side);
		for (uint32_t at = 0; at < b.l4 + 40 && at < b.length; at++) {
			const uint8_t before = b.bytes[at];

			for (unsigned int value = 0; value < 256; value++, seen++) {
				b.bytes[at] = (uint8_t)value;
				taken += agree(b.bytes, b.length, side);
			}
			b.bytes[at] = before;
		}
		for (uint32_t length = 0; length < b.length; length++)
			assert_false(agree(b.bytes, length, side));
	}
	print_message("  %u of %u were plain\n", taken, seen);
	assert_true(taken > seen / 3);
}

/* Bytes that mean something somewhere, now and then. */
static uint8_t random_byte(void)
{
	static const uint8_t telling[] = {0, 1, 2, 3, 4, 5, 6, 8, 10, 14, 15, 17, 20, 40, 58, 60, 127, 0x45, 0x50, 0x60,
		0x80, 0xa0, 0xe0, 0xef, 0xfe, 0xff};
	const uint64_t random = next_random();

	return random & 1 ? (uint8_t)(random >> 8) : telling[(random >> 8) % sizeof(telling)];
}

/* Addresses that no single byte makes impossible, and their neighbours. */
static void special_address(uint8_t *at, bool is_ipv6)
{
	static const uint8_t four[][4] = {{255, 255, 255, 255}, {255, 255, 255, 254}, {0, 0, 0, 0}, {127, 0, 0, 1},
		{224, 0, 0, 1}, {239, 255, 255, 255}, {240, 0, 0, 0}};
	static const uint8_t sixteen[][16] = {{0}, {[15] = 1}, {[15] = 2}, {[10] = 0xff, 0xff, 10, 0, 0, 1},
		{[10] = 0xff, 0xfe, 10, 0, 0, 1}, {0, 0x64, 0xff, 0x9b, [15] = 1}, {0xff, 2, [15] = 1}, {0xfe, 0x80, [15] = 1}};

	if (is_ipv6)
		memcpy(at, sixteen[next_random() % (sizeof(sixteen) / 16)], 16);
	else
		memcpy(at, four[next_random() % (sizeof(four) / 4)], 4);
}

/* Few changes, mostly: more would make every frame the complete parser's. Addresses and ports change whole, too. */
static void change(struct build *b)
{
	const uint64_t random = next_random(), rare = next_random();
	const uint32_t width = b->is_ipv6 ? 16 : 4;
	const unsigned int changes = (random & 3) == 0 ? (unsigned int)(random >> 2) % 6 : (unsigned int)(random >> 2) % 3;

	for (unsigned int i = 0; i < changes; i++)
		b->bytes[next_random() % (b->l4 + 44)] = random_byte();
	if (random >> 8 & 1)
		for (uint32_t at = b->l4 - 2 * width; at < b->l4; at++)
			b->bytes[at] = random_byte();
	if ((rare & 15) == 0)
		special_address(b->bytes + b->l4 - (rare >> 4 & 1 ? width : 2 * width), b->is_ipv6);
	if ((rare >> 5 & 15) == 0)
		build_put16(b, b->l4 + (uint32_t)(rare >> 9 & 2), 0); /* a port */
	if ((random >> 9 & 15) == 0) /* source and destination the same */
		memcpy(b->bytes + b->l4 - width, b->bytes + b->l4 - 2 * width, width);
	if ((random >> 13 & 15) == 0)
		build_put16(b, b->l3 + (b->is_ipv6 ? 4 : 2), (uint32_t)(random >> 17) % 120);
	if ((random >> 24 & 7) == 0)
		b->length = (uint32_t)(random >> 27) % (b->length + 1);
	else if ((random >> 24 & 7) == 1)
		build_zeros(b, (uint32_t)(random >> 27) % 20);
}

static void many_bytes_changed(void **state)
{
	enum { FRAMES = 1000000 };
	uint32_t taken = 0;

	(void)state;
	for (unsigned int i = 0; i < FRAMES; i++) {
		const uint64_t random = next_random();
		const enum sw_side side = random & 2 ? SW_INSIDE : SW_OUTSIDE;
		struct build b;

		build(&b, &segments[(random >> 2) % SEGMENTS], random & 1, side);
		change(&b);
		taken += agree(b.bytes, b.length, side);
	}
	print_message("  %u of %u were plain\n", taken, (unsigned int)FRAMES);
	assert_true(taken > FRAMES / 5);
}

/* The largest packet that a 16-bit length can name, and the frame that no field could describe any more. */
static void lengths_at_their_limit(void **state)
{
	static uint8_t bytes[70000];

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		const uint32_t fixed = i ? 40 : 0; /* what the length field does not count */
		struct build b;

		build(&b, &segments[0], i, SW_OUTSIDE);
		memcpy(bytes, b.bytes, b.length);
		for (uint32_t length = 65400; length <= 65535; length++) {
			const uint8_t field[2] = {(uint8_t)(length >> 8), (uint8_t)length};

			memcpy(bytes + b.l3 + (i ? 4 : 2), field, 2);
			assert_int_equal(agree(bytes, 65535, SW_OUTSIDE), 14 + fixed + length <= 65535);
			assert_false(agree(bytes, 65536, SW_OUTSIDE));
			assert_false(agree(bytes, sizeof(bytes), SW_OUTSIDE));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_frames_are_taken),
		cmocka_unit_test(one_byte_changed),
		cmocka_unit_test(many_bytes_changed),
		cmocka_unit_test(lengths_at_their_limit),
	};

	has_vbmi = sw_isa_has_vbmi(sw_isa_best(SW_ISA_AVX512));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
