/* SPDX-License-Identifier: BSD-3-Clause */
/* Fragments of both families: RFC 1858, 3128, 5722, 6946, 7112. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "frame_builder.h"

/* IP with the fragment fields of one fragment; `offset` in bytes, of 8. */
static void begin_fragment(struct build *b, bool is_ipv6, uint8_t protocol, uint32_t offset, bool more)
{
	build_ethernet(b, is_ipv6, NULL);
	build_ip(b, is_ipv6 ? 44 : protocol);
	if (!is_ipv6) {
		build_put16(b, b->l3 + 6, offset / 8 | (more ? 0x2000u : 0));
		return;
	}
	build_add(b, (const uint8_t[]){protocol, 0}, 2);
	build_add16(b, offset | more);
	build_add32(b, 0xabcdef01);
}

static const struct {
	const char *name;
	uint8_t protocol;
	uint32_t offset;
	bool more, with_tcp;
	uint32_t bytes; /* behind the TCP header, or of payload */
	enum sw_packet_kind kind;
} cases[] = {
	{"first, whole header", 6, 0, true, true, 44, SW_PACKET_TCP},
	{"first, the header alone", 6, 0, true, true, 4, SW_PACKET_TCP},
	{"first, length no multiple of 8", 6, 0, true, true, 5, SW_PACKET_MALFORMED},
	{"first, cut in the ports", 6, 0, true, false, 8, SW_PACKET_MALFORMED},
	{"first, cut before the flags", 6, 0, true, false, 16, SW_PACKET_MALFORMED},
	{"first, empty", 6, 0, true, false, 0, SW_PACKET_MALFORMED},
	{"later, over the ports and the sequence number", 6, 8, true, false, 64, SW_PACKET_MALFORMED},
	{"later, over the flags", 6, 8, false, false, 16, SW_PACKET_MALFORMED},
	{"later, over the checksum", 6, 16, false, false, 16, SW_PACKET_MALFORMED},
	{"later, over options", 6, 56, false, false, 16, SW_PACKET_MALFORMED},
	{"later, behind any header", 6, 64, false, false, 16, SW_PACKET_FRAGMENT},
	{"later, of odd length, last", 6, 1480, false, false, 13, SW_PACKET_FRAGMENT},
	{"later, of odd length, not last", 6, 1480, true, false, 13, SW_PACKET_MALFORMED},
	{"later, empty", 6, 1480, false, false, 0, SW_PACKET_MALFORMED},
	{"later, past 65,535 bytes", 6, 65528, false, false, 16, SW_PACKET_MALFORMED},
	{"UDP, first", 17, 0, true, false, 64, SW_PACKET_OTHER},
	{"UDP, later", 17, 8, false, false, 16, SW_PACKET_OTHER},
	{"ESP, later", 50, 64, false, false, 16, SW_PACKET_OTHER},
};

static void fragments(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		const bool is_ipv6 = i & 1;
		struct build b;
		struct sw_packet p;

		print_message("  %s (%s)\n", cases[i / 2].name, is_ipv6 ? "IPv6" : "IPv4");
		begin_fragment(&b, is_ipv6, cases[i / 2].protocol, cases[i / 2].offset, cases[i / 2].more);
		if (cases[i / 2].with_tcp)
			build_tcp(&b, SW_TCP_ACK, NULL, 0, cases[i / 2].bytes);
		else
			build_zeros(&b, cases[i / 2].bytes);
		build_finish(&b, false);
		p = parse_build(&b);
		assert_int_equal(p.kind, cases[i / 2].kind);
		if (p.kind == SW_PACKET_MALFORMED)
			assert_int_equal(p.reason, SW_DROP_FRAGMENT_BAD);
		if (p.kind == SW_PACKET_TCP || p.kind == SW_PACKET_FRAGMENT) {
			assert_int_equal(p.is_fragment, 1);
			assert_int_equal(p.protocol, 6);
			assert_memory_equal(p.server.bytes + (is_ipv6 ? 0 : 12), is_ipv6 ? test_server6 : test_server4,
				is_ipv6 ? 16 : 4);
		}
	}
}

/* A header of 40 bytes, 24 of which are in the first fragment: the options could say anything. */
static void options_cut_by_the_first_fragment(void **state)
{
	(void)state;
	for (unsigned int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		uint8_t options[20] = {1, 1, 1, 1};
		struct build b;
		struct sw_packet p;

		begin_fragment(&b, is_ipv6, 6, 0, true);
		build_tcp(&b, SW_TCP_SYN, options, sizeof(options), 0);
		b.length -= 16;
		build_finish(&b, false);
		p = parse_build(&b);
		assert_int_equal(p.kind, SW_PACKET_MALFORMED);
		assert_int_equal(p.reason, SW_DROP_FRAGMENT_BAD);
	}
}

static void atomic_fragment_is_none(void **state)
{
	struct build b;
	struct sw_packet p;

	(void)state;
	begin_fragment(&b, true, 6, 0, false);
	build_tcp(&b, SW_TCP_SYN, NULL, 0, 3);
	build_finish(&b, false);
	p = parse_build(&b);
	assert_int_equal(p.kind, SW_PACKET_TCP);
	assert_int_equal(p.is_fragment, 0);
}

/* The rest of the header chain in a later fragment: RFC 7112 forbids the first, and the later one may be anything. */
static void chain_across_fragments(void **state)
{
	struct build b;
	struct sw_packet p;

	(void)state;
	begin_fragment(&b, true, 60, 0, true);
	build_add(&b, (const uint8_t[]){6, 5, 1, 4, 0, 0, 0, 0}, 8);
	build_finish(&b, false);
	p = parse_build(&b);
	assert_int_equal(p.kind, SW_PACKET_MALFORMED);
	assert_int_equal(p.reason, SW_DROP_FRAGMENT_BAD);

	begin_fragment(&b, true, 60, 64, false);
	build_zeros(&b, 40);
	build_finish(&b, false);
	p = parse_build(&b);
	assert_int_equal(p.kind, SW_PACKET_FRAGMENT);

	begin_fragment(&b, true, 60, 0, true); /* whole: read through */
	build_add(&b, (const uint8_t[]){6, 0, 1, 4, 0, 0, 0, 0}, 8);
	build_tcp(&b, SW_TCP_ACK, NULL, 0, 12);
	build_finish(&b, false);
	p = parse_build(&b);
	assert_int_equal(p.kind, SW_PACKET_TCP);
	assert_int_equal(p.is_fragment, 1);
	assert_int_equal(p.l4_offset, b.l4);
}

static void do_not_fragment_is_no_fragment(void **state)
{
	struct build b;
	struct sw_packet p;

	(void)state;
	build_segment(&b, false, SW_TCP_SYN, NULL, 0, 0);
	for (unsigned int flags = 0; flags < 8; flags += 2) { /* reserved and DF, without MF */
		build_put16(&b, b.l3 + 6, flags << 13 & 0xdfff);
		p = parse_build(&b);
		assert_int_equal(p.kind, SW_PACKET_TCP);
		assert_int_equal(p.is_fragment, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fragments),
		cmocka_unit_test(options_cut_by_the_first_fragment),
		cmocka_unit_test(atomic_fragment_is_none),
		cmocka_unit_test(chain_across_fragments),
		cmocka_unit_test(do_not_fragment_is_no_fragment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
