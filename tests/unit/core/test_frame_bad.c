/* SPDX-License-Identifier: BSD-3-Clause */
/* What the parser makes of cut, lying and hostile frames: a table of right frames with one thing made wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "frame_builder.h"

enum family { V4 = 1, V6 = 2, BOTH = 3 };
enum layer { L2, L3, L4 };

/* One byte of an untagged SYN without options and with 20 bytes of data, replaced. */
static const struct {
	const char *name;
	enum family family;
	enum layer layer;
	uint8_t at, value;
	enum sw_drop_reason reason;
} wrong[] = {
	{"IPv4 version 5", V4, L3, 0, 0x55, SW_DROP_IPV4_HEADER_BAD},
	{"IPv4 version 6", V4, L3, 0, 0x65, SW_DROP_IPV4_HEADER_BAD},
	{"header length 0", V4, L3, 0, 0x40, SW_DROP_IPV4_HEADER_BAD},
	{"header length 4 words", V4, L3, 0, 0x44, SW_DROP_IPV4_HEADER_BAD},
	{"total length beyond the frame", V4, L3, 3, 0xff, SW_DROP_IPV4_HEADER_BAD},
	{"total length 256 times as long", V4, L3, 2, 1, SW_DROP_IPV4_HEADER_BAD},
	{"total length below the header's", V4, L3, 3, 19, SW_DROP_IPV4_HEADER_BAD},
	{"total length that cuts the TCP header", V4, L3, 3, 39, SW_DROP_TCP_HEADER_BAD},
	{"total length of the IP header alone", V4, L3, 3, 20, SW_DROP_TCP_HEADER_BAD},
	{"IPv6 version 4", V6, L3, 0, 0x40, SW_DROP_IPV6_HEADER_BAD},
	{"payload length beyond the frame", V6, L3, 5, 0xff, SW_DROP_IPV6_HEADER_BAD},
	{"payload length that cuts the TCP header", V6, L3, 5, 19, SW_DROP_TCP_HEADER_BAD},
	{"payload length 0", V6, L3, 5, 0, SW_DROP_TCP_HEADER_BAD},
	{"data offset 0", BOTH, L4, 12, 0x00, SW_DROP_TCP_HEADER_BAD},
	{"data offset 4", BOTH, L4, 12, 0x40, SW_DROP_TCP_HEADER_BAD},
	{"data offset beyond the segment", BOTH, L4, 12, 0xf0, SW_DROP_TCP_HEADER_BAD},
	{"no flags", BOTH, L4, 13, 0, SW_DROP_TCP_FLAGS_BAD},
	{"PSH and URG alone", BOTH, L4, 13, SW_TCP_PSH | SW_TCP_URG, SW_DROP_TCP_FLAGS_BAD},
	{"FIN alone", BOTH, L4, 13, SW_TCP_FIN, SW_DROP_TCP_FLAGS_BAD},
	{"SYN and FIN", BOTH, L4, 13, SW_TCP_SYN | SW_TCP_FIN, SW_DROP_TCP_FLAGS_BAD},
	{"SYN and RST", BOTH, L4, 13, SW_TCP_SYN | SW_TCP_RST, SW_DROP_TCP_FLAGS_BAD},
	{"SYN, FIN and ACK", BOTH, L4, 13, SW_TCP_SYN | SW_TCP_FIN | SW_TCP_ACK, SW_DROP_TCP_FLAGS_BAD},
	{"SYN, RST and ACK", BOTH, L4, 13, SW_TCP_SYN | SW_TCP_RST | SW_TCP_ACK, SW_DROP_TCP_FLAGS_BAD},
	{"all flags", BOTH, L4, 13, 0xff, SW_DROP_TCP_FLAGS_BAD},
	{"group address as source MAC", BOTH, L2, 6, 3, SW_DROP_SOURCE_IMPOSSIBLE},
	{"group address as destination MAC", BOTH, L2, 0, 3, SW_DROP_DESTINATION_IMPOSSIBLE},
	{"source 0.0.0.0/8", V4, L3, 12, 0, SW_DROP_SOURCE_IMPOSSIBLE},
	{"source 127.0.0.0/8", V4, L3, 12, 127, SW_DROP_SOURCE_IMPOSSIBLE},
	{"source 224.0.0.0/4, first", V4, L3, 12, 224, SW_DROP_SOURCE_IMPOSSIBLE},
	{"source 224.0.0.0/4, last", V4, L3, 12, 239, SW_DROP_SOURCE_IMPOSSIBLE},
	{"destination multicast", V4, L3, 16, 224, SW_DROP_DESTINATION_IMPOSSIBLE},
	{"source multicast", V6, L3, 8, 0xff, SW_DROP_SOURCE_IMPOSSIBLE},
	{"destination multicast", V6, L3, 24, 0xff, SW_DROP_DESTINATION_IMPOSSIBLE},
};

static void one_wrong_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < 4 * sizeof(wrong) / sizeof(wrong[0]); i++) {
		const bool is_ipv6 = i & 1, from_server = i & 2;
		struct build b;
		struct sw_packet p;
		uint32_t layer;

		if (!(wrong[i / 4].family & (is_ipv6 ? V6 : V4)))
			continue;
		print_message("  %s (%s)\n", wrong[i / 4].name, is_ipv6 ? "IPv6" : "IPv4");
		build_ethernet(&b, is_ipv6, NULL);
		b.from_server = from_server;
		build_ip(&b, 6);
		build_tcp(&b, SW_TCP_SYN, NULL, 0, 20);
		build_finish(&b, false);
		layer = wrong[i / 4].layer == L2 ? 0 : wrong[i / 4].layer == L3 ? b.l3 : b.l4;
		b.bytes[layer + wrong[i / 4].at] = wrong[i / 4].value;
		p = parse_build(&b);
		assert_int_equal(p.kind, SW_PACKET_MALFORMED);
		assert_int_equal(p.reason, wrong[i / 4].reason);
		assert_int_equal(p.is_ipv6, is_ipv6);
	}
}

static const struct {
	const char *name;
	bool is_ipv6;
	bool destination_too; /* the same as destination */
	uint8_t address[16];
	bool is_good;
} sources[] = {
	{"255.255.255.255", false, false, {255, 255, 255, 255}, false},
	{"240.0.0.1 is in use somewhere", false, false, {240, 0, 0, 1}, true},
	{"1.0.0.1", false, false, {1, 0, 0, 1}, true},
	{"126.0.0.1", false, false, {126, 0, 0, 1}, true},
	{"128.0.0.1", false, false, {128, 0, 0, 1}, true},
	{"223.255.255.255", false, false, {223, 255, 255, 255}, true},
	{"LAND", false, true, {10, 20, 0, 10}, false},
	{"::", true, false, {0}, false},
	{"::1", true, false, {[15] = 1}, false},
	{"::2", true, false, {[15] = 2}, true},
	{"::ffff:198.51.100.7", true, false, {[10] = 0xff, 0xff, 198, 51, 100, 7}, false},
	{"::fffe:198.51.100.7", true, false, {[10] = 0xff, 0xfe, 198, 51, 100, 7}, true},
	{"fe80::1", true, false, {0xfe, 0x80, [15] = 1}, true},
	{"LAND", true, true, {0xfd, [15] = 1}, false},
};

static void source_addresses(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		const bool is_ipv6 = sources[i].is_ipv6;
		const uint32_t at = is_ipv6 ? 8 : 12, width = is_ipv6 ? 16 : 4;
		struct build b;
		struct sw_packet p;

		print_message("  %s\n", sources[i].name);
		build_segment(&b, is_ipv6, SW_TCP_SYN, NULL, 0, 0);
		memcpy(b.bytes + b.l3 + at, sources[i].address, width);
		if (sources[i].destination_too)
			memcpy(b.bytes + b.l3 + at + width, sources[i].address, width);
		p = parse_build(&b);
		assert_int_equal(p.kind, sources[i].is_good ? SW_PACKET_TCP : SW_PACKET_MALFORMED);
		if (!sources[i].is_good)
			assert_int_equal(p.reason, SW_DROP_SOURCE_IMPOSSIBLE);
	}
}

/* DHCP and ND have their reasons for ::, 0.0.0.0 and multicast; a mapped address has none in any protocol. */
static void other_protocols_may(void **state)
{
	struct build b;
	struct sw_packet p;

	(void)state;
	build_ethernet(&b, false, NULL);
	build_ip(&b, 17);
	build_zeros(&b, 40);
	build_finish(&b, false);
	memset(b.bytes + b.l3 + 12, 0, 4);
	p = parse_build(&b);
	assert_int_equal(p.kind, SW_PACKET_OTHER);

	build_ethernet(&b, true, NULL);
	build_ip(&b, 17);
	build_zeros(&b, 40);
	build_finish(&b, false);
	memcpy(b.bytes + b.l3 + 24, (const uint8_t[16]){[10] = 0xff, 0xff, 10, 20, 0, 10}, 16);
	p = parse_build(&b);
	assert_int_equal(p.kind, SW_PACKET_MALFORMED);
}

static void ports_of_zero(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		struct build b;
		struct sw_packet p;

		build_segment(&b, i & 1, SW_TCP_SYN, NULL, 0, 0);
		build_put16(&b, b.l4 + (i & 2 ? 2 : 0), 0);
		p = parse_build(&b);
		assert_int_equal(p.kind, SW_PACKET_MALFORMED);
		assert_int_equal(p.reason, SW_DROP_TCP_PORT_ZERO);
	}
}

static void flags_that_stacks_send(void **state)
{
	static const uint8_t flags[] = {
		SW_TCP_SYN, SW_TCP_SYN | SW_TCP_ECE | SW_TCP_CWR, SW_TCP_SYN | SW_TCP_ACK, SW_TCP_SYN | SW_TCP_ACK | SW_TCP_ECE,
		SW_TCP_ACK, SW_TCP_ACK | SW_TCP_PSH, SW_TCP_ACK | SW_TCP_FIN, SW_TCP_ACK | SW_TCP_FIN | SW_TCP_PSH | SW_TCP_URG,
		SW_TCP_RST, SW_TCP_RST | SW_TCP_ACK, SW_TCP_RST | SW_TCP_ACK | SW_TCP_FIN, SW_TCP_SYN | SW_TCP_PSH,
	};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(flags); i++) {
		struct build b;
		struct sw_packet p;

		build_segment(&b, i & 1, flags[i / 2], NULL, 0, 4);
		p = parse_build(&b);
		assert_int_equal(p.kind, SW_PACKET_TCP);
		assert_int_equal(p.tcp_flags, flags[i / 2]);
	}
}

static void options_that_lie(void **state)
{
	static const uint8_t options[][8] = {{2, 4, 5, 0xb4, 8, 10, 0, 0}, {1, 1, 1, 1, 1, 1, 1, 2}, {3, 0}, {5, 2}};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(options) / sizeof(options[0]); i++) {
		struct build b;
		struct sw_packet p;

		build_segment(&b, i & 1, SW_TCP_SYN, options[i / 2], 8, 30);
		p = parse_build(&b);
		assert_int_equal(p.kind, SW_PACKET_MALFORMED);
		assert_int_equal(p.reason, SW_DROP_TCP_OPTIONS_BAD);
	}
}

/* A right frame cut at every length: OTHER while the addresses are not all there, then malformed, never TCP. */
static void cut_anywhere(void **state)
{
	static const uint16_t two_tags[] = {0x88a8, 7, 0x8100, 8, 0};
	static const uint8_t timestamps[12] = {1, 1, 8, 10};

	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		const bool is_ipv6 = i & 1;
		struct build b;

		build_ethernet(&b, is_ipv6, i & 2 ? two_tags : NULL);
		build_ip(&b, 6);
		build_tcp(&b, SW_TCP_ACK, timestamps, sizeof(timestamps), 10);
		build_finish(&b, true);
		for (uint32_t length = 0; length < b.length; length++) {
			const struct sw_packet p = parse_exactly(b.bytes, length, SW_OUTSIDE);

			if (length < b.l4) {
				assert_int_equal(p.kind, SW_PACKET_OTHER);
				continue;
			}
			assert_int_equal(p.kind, SW_PACKET_MALFORMED);
			assert_int_equal(p.reason, is_ipv6 ? SW_DROP_IPV6_HEADER_BAD : SW_DROP_IPV4_HEADER_BAD);
		}
	}
}

/* The same, with the IP length agreeing with the cut: now the layers above must notice. */
static void cut_with_an_agreeing_length(void **state)
{
	static const uint8_t timestamps[12] = {1, 1, 8, 10};

	(void)state;
	for (unsigned int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		struct build b;

		build_segment(&b, is_ipv6, SW_TCP_ACK, timestamps, sizeof(timestamps), 0);
		while (b.length > b.l4) {
			struct sw_packet p;

			b.length--;
			build_finish(&b, false);
			p = parse_build(&b);
			assert_int_equal(p.kind, SW_PACKET_MALFORMED);
			assert_int_equal(p.reason, SW_DROP_TCP_HEADER_BAD);
			assert_int_equal(p.server_port, b.length - b.l4 >= 4 ? SERVER_PORT : 0);
		}
	}
}

/* Extension headers: the type of the first, its first 8 bytes, how many bytes of them there are. */
static const struct {
	const char *name;
	uint8_t type;
	uint8_t bytes[8];
	uint32_t length;
} extensions[] = {
	{"nothing there", 60, {0}, 0},
	{"7 bytes there", 60, {6}, 7},
	{"one word longer than there is", 60, {6, 1}, 8},
	{"255 words", 0, {6, 255}, 8},
	{"fragment header cut", 44, {6}, 7},
	{"authentication of 8 bytes", 51, {6, 0}, 8},
	{"authentication of 12 bytes, no multiple of 8", 51, {6, 1}, 24},
	{"authentication longer than there is", 51, {6, 8}, 24},
	{"routing type 0 with a segment left (RFC 5095)", 43, {6, 0, 0, 1}, 40},
	{"segment routing with a segment left", 43, {6, 0, 4, 1}, 40},
};

static void extension_headers(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++) {
		struct build b;
		struct sw_packet p;

		print_message("  %s\n", extensions[i].name);
		build_ethernet(&b, true, NULL);
		build_ip(&b, extensions[i].type);
		build_zeros(&b, extensions[i].length);
		memcpy(b.bytes + b.l4, extensions[i].bytes, extensions[i].length < 8 ? extensions[i].length : 8);
		build_finish(&b, false);
		p = parse_build(&b);
		assert_int_equal(p.kind, SW_PACKET_MALFORMED);
		assert_int_equal(p.reason, SW_DROP_IPV6_EXTENSION_BAD);
	}
}

static void larger_than_any_wire(void **state)
{
	static uint8_t huge[70000];
	struct build b;
	struct sw_packet p;

	(void)state;
	build_segment(&b, true, SW_TCP_ACK, NULL, 0, 0);
	memcpy(huge, b.bytes, b.length);
	huge[b.l3 + 4] = huge[b.l3 + 5] = 0xff;
	p = parse_exactly(huge, sizeof(huge), SW_OUTSIDE);
	assert_int_equal(p.kind, SW_PACKET_MALFORMED);
	assert_int_equal(p.reason, SW_DROP_IPV6_HEADER_BAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_wrong_byte),
		cmocka_unit_test(source_addresses),
		cmocka_unit_test(other_protocols_may),
		cmocka_unit_test(ports_of_zero),
		cmocka_unit_test(flags_that_stacks_send),
		cmocka_unit_test(options_that_lie),
		cmocka_unit_test(cut_anywhere),
		cmocka_unit_test(cut_with_an_agreeing_length),
		cmocka_unit_test(extension_headers),
		cmocka_unit_test(larger_than_any_wire),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
