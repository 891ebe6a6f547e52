/* SPDX-License-Identifier: BSD-3-Clause */
/* What the parser makes of right frames; test_frame_bad.c has the wrong ones. Everything over both families. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "frame_builder.h"
#include "core/tcp_options.h"

static struct sw_address client_of(bool is_ipv6)
{
	return is_ipv6 ? sw_address_from_ipv6(test_client6) : sw_address_from_ipv4(test_client4);
}

static struct sw_address server_of(bool is_ipv6)
{
	return is_ipv6 ? sw_address_from_ipv6(test_server6) : sw_address_from_ipv4(test_server4);
}

static void assert_ends(const struct sw_packet *p, bool is_ipv6)
{
	const struct sw_address client = client_of(is_ipv6), server = server_of(is_ipv6);

	assert_memory_equal(p->client.bytes, client.bytes, 16);
	assert_memory_equal(p->server.bytes, server.bytes, 16);
	assert_int_equal(p->is_ipv6, is_ipv6);
	assert_int_equal(p->client_port, CLIENT_PORT);
	assert_int_equal(p->server_port, SERVER_PORT);
}

static void segment_from_either_side(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		const bool is_ipv6 = i & 1, from_server = i & 2;
		const uint32_t l4 = is_ipv6 ? 54 : 34;
		struct build b;
		struct sw_packet p;

		build_ethernet(&b, is_ipv6, NULL);
		b.from_server = from_server;
		build_ip(&b, 6);
		build_tcp(&b, SW_TCP_ACK | SW_TCP_PSH, NULL, 0, 33);
		build_finish(&b, true);
		build_zeros(&b, 5); /* Ethernet padding */
		p = parse_build(&b);
		assert_int_equal(p.kind, SW_PACKET_TCP);
		assert_ends(&p, is_ipv6);
		assert_int_equal(p.side, from_server ? SW_INSIDE : SW_OUTSIDE);
		assert_int_equal(p.vlan, 0);
		assert_int_equal(p.seq, CLIENT_ISN);
		assert_int_equal(p.ack, SERVER_ACK);
		assert_int_equal(p.window, 0x1234);
		assert_int_equal(p.tcp_flags, SW_TCP_ACK | SW_TCP_PSH);
		assert_int_equal(p.l3_offset, 14);
		assert_int_equal(p.l4_offset, l4);
		assert_int_equal(p.payload_offset, l4 + 20);
		assert_int_equal(p.payload_bytes, 33);
		assert_int_equal(p.frame_bytes, l4 + 20 + 33);
		assert_int_equal(p.protocol, 6);
		assert_int_equal(p.timestamp_offset, 0);
		assert_int_equal(p.sack_offset, 0);
		assert_int_equal(p.options, 0);
		assert_int_equal(p.mss, 0);
		assert_int_equal(p.window_scale, -1);
		assert_int_equal(p.is_fragment, 0);
		assert_true(sw_frame_checksums_ok(b.bytes, &p));
	}
}

static void options_with_their_offsets(void **state)
{
	static const uint8_t timestamps[12] = {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8};
	static const uint8_t odd[24] = {1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2, 0};
	static const uint8_t syn[20] = {2, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 9};

	(void)state;
	for (unsigned int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		struct build b;
		struct sw_packet p;

		build_segment(&b, is_ipv6, SW_TCP_ACK, timestamps, sizeof(timestamps), 3);
		p = parse_build(&b);
		assert_int_equal(p.kind, SW_PACKET_TCP);
		assert_int_equal(p.timestamp_offset, p.l4_offset + 24);
		assert_int_equal(p.tsval, 0x01020304);
		assert_int_equal(p.tsecr, 0x05060708);
		assert_int_equal(p.options, SW_OPTION_TIMESTAMPS);
		assert_int_equal(p.window_scale, -1);

		build_segment(&b, is_ipv6, SW_TCP_ACK, odd, sizeof(odd), 0);
		p = parse_build(&b);
		assert_int_equal(p.timestamp_offset, p.l4_offset + 23);
		assert_int_equal(p.tsval, 0x01020304);
		assert_int_equal(p.sack_offset, p.l4_offset + 33);
		assert_int_equal(p.sack_blocks, 1);

		build_segment(&b, is_ipv6, SW_TCP_SYN, syn, sizeof(syn), 0);
		p = parse_build(&b);
		assert_int_equal(p.mss, 1460);
		assert_int_equal(p.window_scale, 9);
		assert_int_equal(p.options, SW_OPTION_TIMESTAMPS | SW_OPTION_SACK_PERMITTED);
		assert_int_equal(p.timestamp_offset, p.l4_offset + 28);
	}
}

static void checksums_are_judged(void **state)
{
	(void)state;
	for (unsigned int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++)
		for (uint32_t payload = 0; payload < 5; payload++) {
			struct build b;
			struct sw_packet p;
			uint16_t stored;

			build_segment(&b, is_ipv6, SW_TCP_ACK, NULL, 0, payload);
			p = parse_build(&b);
			memcpy(&stored, b.bytes + p.l4_offset + 16, 2);
			assert_true(sw_frame_checksums_ok(b.bytes, &p));
			assert_int_equal(sw_frame_tcp_checksum(b.bytes, &p), stored);
			b.bytes[p.l4_offset + 4] ^= 1; /* sequence number */
			assert_false(sw_frame_checksums_ok(b.bytes, &p));
			assert_int_not_equal(sw_frame_tcp_checksum(b.bytes, &p), stored);
			b.bytes[p.l4_offset + 4] ^= 1;
			b.bytes[p.l3_offset + (is_ipv6 ? 7 : 8)] ^= 1; /* hop limit has no checksum, TTL has */
			assert_int_equal(sw_frame_checksums_ok(b.bytes, &p), is_ipv6);
		}
}

static const struct {
	const char *name;
	uint16_t tags[8];
	bool is_tcp;
	uint32_t vlan;
} tagged[] = {
	{"untagged", {0}, true, 0},
	{"802.1Q", {0x8100, 42}, true, 0x802a},
	{"priority bits do not count", {0x8100, 0xf02a}, true, 0x802a},
	{"id 0: a priority, no VLAN", {0x8100, 0xe000}, true, 0},
	{"id 0 in a VLAN", {0x88a8, 100, 0x8100, 0}, true, 0x8064},
	{"VLAN in an id 0", {0x8100, 0, 0x8100, 42}, true, 0x802a},
	{"802.1ad", {0x88a8, 100, 0x8100, 42}, true, 0x802a8064},
	{"QinQ of before", {0x9100, 100, 0x9100, 42}, true, 0x802a8064},
	{"QinQ with equal EtherTypes", {0x8100, 4095, 0x8100, 1}, true, 0x80018fff},
	{"three tags", {0x8100, 1, 0x8100, 2, 0x8100, 3}, false, 0x80028001},
};

static void vlan_tags(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * sizeof(tagged) / sizeof(tagged[0]); i++) {
		const bool is_ipv6 = i & 1;
		struct build b;
		struct sw_packet p;

		print_message("  %s\n", tagged[i / 2].name);
		build_ethernet(&b, is_ipv6, tagged[i / 2].tags);
		build_ip(&b, 6);
		build_tcp(&b, SW_TCP_SYN, NULL, 0, 0);
		build_finish(&b, true);
		p = parse_build(&b);
		assert_int_equal(p.kind, tagged[i / 2].is_tcp ? SW_PACKET_TCP : SW_PACKET_OTHER);
		assert_int_equal(p.vlan, tagged[i / 2].vlan);
		if (!tagged[i / 2].is_tcp)
			continue;
		assert_int_equal(p.l3_offset, b.l3);
		assert_int_equal(p.l4_offset, b.l4);
		assert_ends(&p, is_ipv6);
	}
}

static void ipv4_options_move_the_tcp_header(void **state)
{
	(void)state;
	for (uint32_t words = 1; words <= 10; words++) {
		struct build b;
		struct sw_packet p;

		build_ethernet(&b, false, NULL);
		build_ip(&b, 6);
		b.bytes[b.l3] = (uint8_t)(0x45 + words);
		build_zeros(&b, 4 * words);
		build_tcp(&b, SW_TCP_SYN, NULL, 0, 7);
		build_finish(&b, false);
		p = parse_build(&b);
		assert_int_equal(p.kind, SW_PACKET_TCP);
		assert_int_equal(p.l4_offset, 34 + 4 * words);
		assert_int_equal(p.payload_bytes, 7);
		assert_ends(&p, false);
	}
}

/* Chains of extension headers, as the numbers of the headers; 8 bytes each, AH 24. Ended by -1. */
static const struct {
	const char *name;
	int chain[12];
	bool is_good;
} chains[] = {
	{"hop-by-hop", {0, -1}, true},
	{"destination options", {60, -1}, true},
	{"routing, nothing left", {43, -1}, true},
	{"authentication", {51, -1}, true},
	{"atomic fragment (RFC 6946)", {44, -1}, true},
	{"all in the order of RFC 8200, 4.1", {0, 60, 43, 44, 51, 60, -1}, true},
	{"any order but for hop-by-hop", {60, 51, 43, 60, -1}, true},
	{"hop-by-hop not first", {60, 0, -1}, false},
	{"hop-by-hop twice", {0, 0, -1}, false},
	{"routing twice", {43, 43, -1}, false},
	{"fragment twice", {44, 44, -1}, false},
	{"destination options three times", {60, 60, 60, -1}, false},
	{"authentication twice", {51, 51, -1}, false},
};

static void build_chain(struct build *b, const int *chain)
{
	build_ethernet(b, true, NULL);
	build_ip(b, (uint8_t)chain[0]);
	for (; *chain >= 0; chain++) {
		const uint8_t next = (uint8_t)(chain[1] < 0 ? 6 : chain[1]);
		const bool is_ah = *chain == 51;

		build_add(b, (const uint8_t[]){next, is_ah ? 4 : 0}, 2);
		build_zeros(b, is_ah ? 22 : 6);
	}
	build_tcp(b, SW_TCP_SYN, NULL, 0, 0);
	build_finish(b, false);
}

static void ipv6_extension_headers(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(chains) / sizeof(chains[0]); i++) {
		struct build b;
		struct sw_packet p;

		print_message("  %s\n", chains[i].name);
		build_chain(&b, chains[i].chain);
		p = parse_build(&b);
		assert_int_equal(p.kind, chains[i].is_good ? SW_PACKET_TCP : SW_PACKET_MALFORMED);
		if (!chains[i].is_good) {
			assert_int_equal(p.reason, SW_DROP_IPV6_EXTENSION_BAD);
			continue;
		}
		assert_int_equal(p.l4_offset, b.l4);
		assert_int_equal(p.is_fragment, 0);
		assert_int_equal(p.protocol, 6);
		assert_ends(&p, true);
	}
}

static void long_extension_headers(void **state)
{
	(void)state;
	for (unsigned int words = 0; words < 256; words += 51) {
		struct build b;
		struct sw_packet p;

		build_ethernet(&b, true, NULL);
		build_ip(&b, 60);
		build_add(&b, (const uint8_t[]){6, (uint8_t)words}, 2);
		build_zeros(&b, 6 + 8 * words);
		build_tcp(&b, SW_TCP_SYN, NULL, 0, 0);
		build_finish(&b, false);
		p = parse_build(&b);
		assert_int_equal(p.kind, SW_PACKET_TCP);
		assert_int_equal(p.l4_offset, 62 + 8 * words);
	}
}

static const struct {
	const char *name;
	bool is_ipv6;
	uint16_t ethertype; /* 0: as the family says */
	uint8_t protocol;
} others[] = {
	{"UDP", false, 0, 17},
	{"UDP", true, 0, 17},
	{"ICMP that is no error", false, 0, 1},
	{"ICMPv6 that is no error", true, 0, 58},
	{"ESP", false, 0, 50},
	{"ESP", true, 0, 50},
	{"AH over IPv4: no host takes it without a key", false, 0, 51},
	{"no next header", true, 0, 59},
	{"ARP", false, 0x0806, 6},
	{"LLDP", false, 0x88cc, 6},
	{"802.3 length", false, 46, 6},
	{"MPLS", false, 0x8847, 6},
	{"PPPoE", false, 0x8864, 6},
};

static void what_is_not_ours(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct build b;
		struct sw_packet p;

		print_message("  %s\n", others[i].name);
		build_ethernet(&b, others[i].is_ipv6, NULL);
		if (others[i].ethertype)
			build_put16(&b, 12, others[i].ethertype);
		build_ip(&b, others[i].protocol);
		build_zeros(&b, 64);
		build_finish(&b, false);
		p = parse_build(&b);
		assert_int_equal(p.kind, SW_PACKET_OTHER);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segment_from_either_side),
		cmocka_unit_test(options_with_their_offsets),
		cmocka_unit_test(checksums_are_judged),
		cmocka_unit_test(vlan_tags),
		cmocka_unit_test(ipv4_options_move_the_tcp_header),
		cmocka_unit_test(ipv6_extension_headers),
		cmocka_unit_test(long_extension_headers),
		cmocka_unit_test(what_is_not_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
