/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes as a frame, from either side. The first byte of the input chooses the side; the rest is the frame. Every
 * field that a stage relies on must lie within the frame, whatever the frame says; and the quick look at plain frames
 * agrees with the complete parser.
 */
#include "fuzz.h"
#include "frame_plain_avx512.h"
#include "../cookies.h"

static void check_tcp(const uint8_t *frame, const struct sw_packet *p)
{
	SW_PROMISE(p->l4_offset >= p->l3_offset + (p->is_ipv6 ? 40 : 20));
	SW_PROMISE(p->payload_offset >= p->l4_offset + 20 && p->payload_offset <= p->l4_offset + 60);
	SW_PROMISE(p->payload_offset + p->payload_bytes == p->frame_bytes);
	SW_PROMISE(p->client_port && p->server_port);
	SW_PROMISE(((p->options & SW_OPTION_TIMESTAMPS) != 0) == (p->timestamp_offset != 0));
	SW_PROMISE(!p->timestamp_offset || p->timestamp_offset + 8 <= p->payload_offset);
	SW_PROMISE((p->sack_blocks != 0) == (p->sack_offset != 0));
	SW_PROMISE(!p->sack_blocks || p->sack_offset + 8 * p->sack_blocks <= p->payload_offset);
	SW_PROMISE(!sw_address_equal(&p->client, &p->server));
	(void)sw_frame_checksums_ok(frame, p);
	(void)sw_frame_tcp_checksum(frame, p);
}

static void check_icmp(const struct sw_packet *p)
{
	SW_PROMISE(p->inner_l3_offset == p->l4_offset + 8);
	SW_PROMISE(p->inner_l4_offset >= p->inner_l3_offset + (p->is_ipv6 ? 40 : 20));
	SW_PROMISE(p->payload_offset == p->inner_l4_offset && p->payload_bytes >= 8);
	SW_PROMISE(p->payload_offset + p->payload_bytes == p->frame_bytes);
}

/* Addresses of one family throughout: what the tables and the cookie rely on. */
static void check_family(const struct sw_packet *p)
{
	if (p->kind == SW_PACKET_OTHER)
		return;
	if (!p->is_ipv6)
		SW_PROMISE(sw_address_is_ipv4(&p->client) && sw_address_is_ipv4(&p->server));
	else if (p->kind != SW_PACKET_MALFORMED)
		SW_PROMISE(!sw_address_is_ipv4(&p->client) && !sw_address_is_ipv4(&p->server));
}

static struct sw_cookie_keys keys_for(enum sw_isa isa)
{
	return (struct sw_cookie_keys){.current = {1, 2}, .previous = {3, 4}, .before_previous = {5, 6}, .epoch = 6,
		.burst = sw_siphash_burst_for(isa)};
}

/* A cookie for a SYN, echoed, is valid; with another ISN it is not (or 1 in 2^24 times). */
static void check_cookie(const struct sw_packet *syn, enum sw_isa isa)
{
	const struct sw_cookie_keys keys = keys_for(isa);
	const struct sw_cookie_options options = sw_cookie_options_of(syn);
	struct sw_packet ack = *syn;
	struct sw_cookie_options echoed;
	struct cookie cookie;

	make_cookies(&keys, syn, &options, 1, &cookie);
	ack.seq = syn->seq + 1;
	ack.ack = cookie.isn + 1;
	ack.tsecr = cookie.tsval;
	SW_PROMISE(verify_cookies(&keys, &ack, 1).valid == 1);
	sw_cookie_decode(&ack, &echoed);
	SW_PROMISE(echoed.mss <= options.mss || echoed.mss == sw_cookie_mss[0]);
	SW_PROMISE(echoed.window_scale <= options.window_scale && echoed.sack == options.sack);
}

/* Whatever a packet echoes: every instruction set judges it alike. */
static void check_echo(const struct sw_packet *ack, enum sw_isa isa)
{
	const struct sw_cookie_keys plain_keys = keys_for(SW_ISA_SCALAR), keys = keys_for(isa);
	const struct sw_cookie_verdicts plain = verify_cookies(&plain_keys, ack, 1), verdicts = verify_cookies(&keys, ack, 1);

	SW_PROMISE(verdicts.valid == plain.valid && verdicts.expired == plain.expired);
}

static void check_cookies(const struct sw_packet *p)
{
	static enum sw_isa best = SW_ISA_COUNT;

	if (best == SW_ISA_COUNT)
		best = sw_isa_best(SW_ISA_AVX512);
	for (enum sw_isa isa = SW_ISA_SCALAR; isa <= best; isa++) {
		if (p->tcp_flags & SW_TCP_SYN)
			check_cookie(p, isa);
		check_echo(p, isa);
	}
}

static SW_AVX512_VBMI bool parse_wide(const uint8_t *frame, uint32_t bytes, enum sw_side side, struct sw_packet *out)
{
	return sw_frame_parse_plain_avx512(frame, bytes, side, out);
}

/* Frames that are taken at one look are seen as the complete parser sees them, in every byte. */
static void check_plain(const uint8_t *frame, uint32_t bytes, enum sw_side side, const struct sw_packet *complete)
{
	static int has_vbmi = -1;
	struct sw_packet plain;

	if (has_vbmi < 0)
		has_vbmi = sw_isa_has_vbmi(sw_isa_best(SW_ISA_AVX512));
	memset(&plain, 0x5a, sizeof(plain));
	if (sw_frame_parse_plain(frame, bytes, side, &plain))
		SW_PROMISE(memcmp(&plain, complete, sizeof(plain)) == 0);
	memset(&plain, 0x5a, sizeof(plain));
	if (has_vbmi && parse_wide(frame, bytes, side, &plain))
		SW_PROMISE(memcmp(&plain, complete, sizeof(plain)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sw_packet p;
	const uint8_t *frame;
	uint32_t bytes;

	if (size < 1)
		return 0;
	frame = data + 1;
	bytes = (uint32_t)(size - 1);
	memset(&p, 0xa5, sizeof(p));
	sw_frame_parse(frame, bytes, data[0] & 1 ? SW_INSIDE : SW_OUTSIDE, &p);
	SW_PROMISE(p.kind <= SW_PACKET_MALFORMED && p.reason < SW_DROP_REASON_COUNT && p.side == (data[0] & 1));
	check_plain(frame, bytes, data[0] & 1 ? SW_INSIDE : SW_OUTSIDE, &p);
	check_family(&p);
	if (p.kind != SW_PACKET_OTHER && p.kind != SW_PACKET_MALFORMED)
		SW_PROMISE(p.frame_bytes <= bytes && p.l3_offset >= 14 && p.l4_offset <= p.frame_bytes);
	if (p.kind == SW_PACKET_TCP) {
		check_tcp(frame, &p);
		check_cookies(&p);
	}
	if (p.kind == SW_PACKET_ICMP_ERROR)
		check_icmp(&p);
	return 0;
}
