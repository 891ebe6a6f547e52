/* SPDX-License-Identifier: BSD-3-Clause */
/* ICMP errors about a segment, of both families and from both sides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "frame_builder.h"

static const uint8_t router4[4] = {192, 0, 2, 1}, router6[16] = {0x20, 0x01, 0x0d, 0xb8, 1};

/*
 * An error that comes in at the side where the quoted segment was going: about what the server sent when it comes from
 * outside. Sender is a router; the last `cut` bytes of the quotation are missing. b->l4 is the quoted TCP header.
 */
static void build_error(struct build *b, bool is_ipv6, bool from_outside, uint8_t type, uint32_t cut)
{
	struct build quoted;

	build_ethernet(&quoted, is_ipv6, NULL);
	quoted.from_server = from_outside;
	build_ip(&quoted, 6);
	build_tcp(&quoted, SW_TCP_ACK, NULL, 0, 4);
	build_finish(&quoted, true);

	build_ethernet(b, is_ipv6, NULL);
	b->from_server = !from_outside;
	build_ip(b, is_ipv6 ? 58 : 1);
	memcpy(b->bytes + b->l3 + (is_ipv6 ? 8 : 12), is_ipv6 ? router6 : router4, is_ipv6 ? 16 : 4);
	build_add(b, (const uint8_t[]){type, 0, 0, 0, 0, 0, 5, 0}, 8);
	b->l4 = b->length + quoted.l4 - quoted.l3;
	build_add(b, quoted.bytes + quoted.l3, quoted.length - quoted.l3 - cut);
	build_finish(b, false);
}

static void assert_about_the_connection(const struct sw_packet *p, const struct build *b, bool is_ipv6)
{
	assert_int_equal(p->kind, SW_PACKET_ICMP_ERROR);
	assert_int_equal(p->client_port, CLIENT_PORT);
	assert_int_equal(p->server_port, SERVER_PORT);
	assert_memory_equal(p->client.bytes + (is_ipv6 ? 0 : 12), is_ipv6 ? test_client6 : test_client4, is_ipv6 ? 16 : 4);
	assert_memory_equal(p->server.bytes + (is_ipv6 ? 0 : 12), is_ipv6 ? test_server6 : test_server4, is_ipv6 ? 16 : 4);
	assert_int_equal(p->seq, CLIENT_ISN);
	assert_int_equal(p->inner_l4_offset, b->l4);
	assert_int_equal(p->payload_offset, b->l4);
	assert_int_equal(p->payload_bytes, b->length - b->l4);
	assert_int_equal(p->inner_l3_offset, p->l4_offset + 8);
}

static void types_of_errors(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 256 * 4; i++) {
		const bool is_ipv6 = i & 1, from_outside = i & 2;
		const uint8_t type = (uint8_t)(i / 4);
		const bool is_error = is_ipv6 ? type >= 1 && type <= 4 : (type >= 3 && type <= 5) || type == 11 || type == 12;
		struct build b;
		struct sw_packet p;

		build_error(&b, is_ipv6, from_outside, type, 0);
		p = parse_build(&b);
		if (is_error)
			assert_about_the_connection(&p, &b, is_ipv6);
		else
			assert_int_equal(p.kind, SW_PACKET_OTHER);
	}
}

static void as_much_as_is_quoted(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 24 * 2; i++) {
		const bool is_ipv6 = i & 1;
		const uint32_t there = 24 - i / 2;
		struct build b;
		struct sw_packet p;

		build_error(&b, is_ipv6, true, is_ipv6 ? 2 : 3, i / 2);
		p = parse_build(&b);
		if (there < 8) {
			assert_int_equal(p.kind, SW_PACKET_OTHER);
			continue;
		}
		assert_about_the_connection(&p, &b, is_ipv6);
		assert_int_equal(p.payload_bytes, there);
		assert_int_equal(p.ack, there >= 12 ? SERVER_ACK : 0);
		assert_int_equal(p.tcp_flags, there >= 14 ? SW_TCP_ACK : 0);
	}
}

static void quoted_headers_with_extras(void **state)
{
	struct build b;
	struct sw_packet p;

	(void)state;
	/* IPv4 options in the quotation. */
	build_error(&b, false, true, 3, 0);
	memmove(b.bytes + b.l4 + 8, b.bytes + b.l4, b.length - b.l4);
	memset(b.bytes + b.l4, 1, 8);
	b.bytes[b.l4 - 20] = 0x47;
	b.length += 8;
	b.l4 += 8;
	build_finish(&b, false);
	p = parse_build(&b);
	assert_about_the_connection(&p, &b, false);

	/* Destination options in the quotation. */
	build_error(&b, true, true, 2, 0);
	memmove(b.bytes + b.l4 + 8, b.bytes + b.l4, b.length - b.l4);
	memcpy(b.bytes + b.l4, (const uint8_t[]){6, 0, 1, 4, 0, 0, 0, 0}, 8);
	b.bytes[b.l4 - 40 + 6] = 60;
	b.length += 8;
	b.l4 += 8;
	build_finish(&b, false);
	p = parse_build(&b);
	assert_about_the_connection(&p, &b, true);
}

/* One byte of the quoted IP header replaced, counted from its start: the error concerns nothing of ours. */
static const struct {
	const char *name;
	bool is_ipv6;
	uint8_t at, value;
} strange[] = {
	{"version 6 in ICMP", false, 0, 0x65},
	{"header of 4 words", false, 0, 0x44},
	{"header longer than the quotation", false, 0, 0x4f},
	{"UDP", false, 9, 17},
	{"later fragment", false, 7, 1},
	{"version 4 in ICMPv6", true, 0, 0x45},
	{"UDP", true, 6, 17},
	{"extension header longer than the quotation", true, 6, 60},
};

static void strange_quotations_are_not_ours(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++) {
		struct build b;
		struct sw_packet p;

		print_message("  %s\n", strange[i].name);
		build_error(&b, strange[i].is_ipv6, true, strange[i].is_ipv6 ? 2 : 3, 0);
		b.bytes[b.l4 - (strange[i].is_ipv6 ? 40 : 20) + strange[i].at] = strange[i].value;
		p = parse_build(&b);
		assert_int_equal(p.kind, SW_PACKET_OTHER);
	}
}

static void mapped_addresses_in_a_quotation(void **state)
{
	struct build b;
	struct sw_packet p;

	(void)state;
	build_error(&b, true, true, 2, 0);
	memcpy(b.bytes + b.l4 - 32, (const uint8_t[16]){[10] = 0xff, 0xff, 10, 20, 0, 10}, 16);
	p = parse_build(&b);
	assert_int_equal(p.kind, SW_PACKET_OTHER);
}

static void fragmented_errors_are_not_ours(void **state)
{
	struct build b;
	struct sw_packet p;

	(void)state;
	build_error(&b, false, true, 3, 0);
	b.bytes[b.l3 + 6] = 0x20;
	p = parse_build(&b);
	assert_int_equal(p.kind, SW_PACKET_OTHER);
}

static void cut_at_every_byte(void **state)
{
	(void)state;
	for (unsigned int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		struct build b;

		build_error(&b, is_ipv6, true, is_ipv6 ? 2 : 3, 0);
		while (b.length-- > b.l3 + (is_ipv6 ? 40 : 20)) {
			struct sw_packet p;

			build_finish(&b, false);
			p = parse_build(&b);
			assert_int_equal(p.kind, b.length >= b.l4 + 8 ? SW_PACKET_ICMP_ERROR : SW_PACKET_OTHER);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(types_of_errors),
		cmocka_unit_test(as_much_as_is_quoted),
		cmocka_unit_test(quoted_headers_with_extras),
		cmocka_unit_test(strange_quotations_are_not_ours),
		cmocka_unit_test(mapped_addresses_in_a_quotation),
		cmocka_unit_test(fragmented_errors_are_not_ours),
		cmocka_unit_test(cut_at_every_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
