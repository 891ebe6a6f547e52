/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The first stage over whole bursts: views are those of the complete parser, frame by frame, and the burst's sets are
 * what the views say. Frames of every kind, changed at random, in heap buffers of exactly their size.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "../core/frame_builder.h"
#include "../core/random_prefixes.h"
#include "core/prefix_table.h"
#include "stages/stage.h"

/* With a policy that says nothing of any source. */
static struct sw_policy policy;
static struct sw_worker worker = {.policy = &policy};

static int plain_loop(void **state)
{
	(void)state;
	worker.parse = sw_parse_for(SW_ISA_SCALAR);
	return 0;
}

static int best_loop(void **state)
{
	(void)state;
	worker.parse = sw_parse_for(sw_isa_best(SW_ISA_AVX512));
	return 0;
}

static int make_policy(void **state)
{
	(void)state;
	return sw_prefix_table_build(NULL, 0, NULL, &policy.sources);
}

static int free_policy(void **state)
{
	(void)state;
	sw_prefix_table_free(policy.sources);
	return 0;
}

static uint64_t next_random(void)
{
	static uint64_t state = 0x5ea3a11;

	return random_next(&state) >> 16;
}

static const struct segment {
	uint8_t protocol, flags, option_bytes, options[20];
} segments[] = {
	{6, SW_TCP_SYN, 4, {2, 4, 5, 0xb4}},
	{6, SW_TCP_SYN, 20, {2, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 7}},
	{6, SW_TCP_SYN, 12, {2, 4, 5, 0xb4, 1, 3, 3, 8, 1, 1, 4, 2}},
	{6, SW_TCP_SYN | SW_TCP_ACK, 4, {2, 4, 5, 0xb4}},
	{6, SW_TCP_ACK, 0, {0}},
	{6, SW_TCP_ACK | SW_TCP_PSH, 12, {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8}},
	{6, SW_TCP_RST, 0, {0}},
	{17, 0, 0, {0}},
	{1, 3, 0, {0}},
};
enum { SEGMENTS = sizeof(segments) / sizeof(segments[0]) };

/* A frame of the burst: mostly like the one before, as in a flood. `variety`: 0 to 3, the more the stranger. */
static void build(struct build *b, unsigned int kind, bool is_ipv6, enum sw_side side, unsigned int variety)
{
	const struct segment *s = &segments[kind];
	const uint64_t random = next_random();

	build_ethernet(b, is_ipv6, NULL);
	b->from_server = side == SW_INSIDE;
	build_ip(b, s->protocol);
	build_tcp(b, s->flags, s->options, s->option_bytes, (uint32_t)random % 9);
	build_finish(b, false);
	if (variety >= 1 && (random >> 8) % 24 == 0) /* another server */
		b->bytes[b->l4 - (side == SW_INSIDE ? (is_ipv6 ? 17 : 5) : 1)] ^= 1;
	if (variety >= 1 && (random >> 16) % 24 == 0) /* another port of it, or of the client */
		b->bytes[b->l4 + ((random >> 24) & 3)] ^= 1;
	if (variety >= 1 && !is_ipv6 && (random >> 60) == 0) /* a first fragment */
		b->bytes[b->l3 + 6] |= 0x20;
	if (variety >= 2 && (random >> 28) % 8 == 0)
		b->bytes[b->l4 + 13] = (uint8_t)(random >> 32);
	if (variety >= 2 && (random >> 40) % 16 == 0)
		build_put16(b, b->l4 + ((random >> 44) & 2), 0);
	if (variety >= 3 && (random >> 45) % 4 == 0)
		b->bytes[next_random() % (b->l4 + 20)] = (uint8_t)next_random();
}

static struct rte_mbuf *mbuf_of(const struct build *b)
{
	struct rte_mbuf *m = calloc(1, sizeof(*m));
	const uint64_t random = next_random();

	assert_non_null(m);
	m->buf_addr = malloc(b->length);
	assert_non_null(m->buf_addr);
	memcpy(m->buf_addr, b->bytes, b->length);
	m->data_len = (uint16_t)b->length;
	m->pkt_len = b->length;
	m->ol_flags = (random & 15) == 0 ? 1ull << (random >> 4) % 64 : 0;
	return m;
}

static void check_sets(const struct sw_burst *b)
{
	uint32_t others = 0, tcp = 0, syns = 0, acks = 0, fins = 0;
	uint64_t bytes = 0, ol_flags = 0;
	const struct sw_packet *first = NULL;
	bool one_server = true;

	for (unsigned int i = 0; i < b->count && i < SW_BURST; i++) {
		const struct sw_packet *p = &b->packets[i];
		struct sw_packet complete;
		memset(&complete, 0xa5, sizeof(complete));
		sw_frame_parse(b->mbufs[i]->buf_addr, b->mbufs[i]->data_len, b->side, &complete);
		assert_memory_equal(p, &complete, sizeof(complete));
		others |= (uint32_t)(p->kind == SW_PACKET_OTHER) << i;
		tcp |= (uint32_t)(p->kind == SW_PACKET_TCP) << i;
		syns |= (uint32_t)(b->side == SW_OUTSIDE && p->kind == SW_PACKET_TCP && sw_handshake_of(p) == SW_TCP_SYN) << i;
		const bool whole = p->kind == SW_PACKET_TCP && !p->is_fragment;
		acks |= (uint32_t)(whole && sw_handshake_of(p) == SW_TCP_ACK) << i;
		fins |= (uint32_t)(p->kind == SW_PACKET_TCP && p->tcp_flags & SW_TCP_FIN) << i;
		if (p->is_fragment || p->options & (SW_OPTION_MD5 | SW_OPTION_AO))
			assert_true(b->strays >> i & 1);
		if (p->kind != SW_PACKET_OTHER) {
			first = first ? first : p;
			one_server &= sw_address_equal(&p->server, &first->server) && p->server_port == first->server_port;
		}
		bytes += b->mbufs[i]->pkt_len;
		ol_flags |= b->mbufs[i]->ol_flags;
	}
	assert_int_equal(b->others, others);
	assert_int_equal(b->tcp, tcp);
	assert_int_equal(b->syns, syns);
	assert_int_equal(b->acks, acks);
	assert_int_equal(b->fins, fins);
	if (first)
		assert_int_equal(b->one_server, one_server);
	assert_int_equal(b->bytes, bytes);
	assert_int_equal(b->ol_flags, ol_flags);
}

static void check_nothing_is_known(const struct sw_burst *b)
{
	for (unsigned int i = 0; i < SW_BURST; i++) {
		assert_int_equal(b->verdicts[i], SW_PENDING);
		assert_int_equal(b->reasons[i], 0);
		assert_int_equal(b->services[i], SW_NONE);
		assert_int_equal(b->slots[i], SW_NONE);
		assert_int_equal(b->flows[i], SW_FLOW_NONE);
		assert_int_equal(b->classes[i], SW_SOURCE_CLASS_NONE);
	}
}

static void bursts_are_as_their_packets(void **state)
{
	unsigned int alike = 0, mixed = 0;

	(void)state;
	for (unsigned int round = 0; round < 20000; round++) {
		const uint64_t random = next_random();
		struct sw_burst *burst = malloc(sizeof(*burst));
		assert_non_null(burst);
		memset(burst, 0x5a, sizeof(*burst));
		burst->count = (random & 3) ? SW_BURST : 1 + (unsigned int)(random >> 2) % SW_BURST;
		burst->side = random >> 8 & 1 ? SW_INSIDE : SW_OUTSIDE;
		burst->pending = sw_burst_all(burst);
		for (unsigned int i = 0; i < burst->count; i++) {
			const uint64_t other = next_random();
			const bool strays = (random >> 9 & 3) == 0 && other % 4 == 0;
			struct build b;
			build(&b, (unsigned int)((strays ? other >> 8 : random >> 16) % SEGMENTS),
				strays ? other >> 16 & 1 : random >> 24 & 1, burst->side, (unsigned int)(random >> 11 & 3));
			burst->mbufs[i] = mbuf_of(&b);
		}
		sw_stage_parse(&worker, burst);
		check_sets(burst);
		check_nothing_is_known(burst);
		alike += burst->one_server && burst->count > 1;
		mixed += !burst->one_server;
		for (unsigned int i = 0; i < burst->count; i++) {
			free(burst->mbufs[i]->buf_addr);
			free(burst->mbufs[i]);
		}
		free(burst);
	}
	print_message("  %u bursts for one server, %u for more\n", alike, mixed);
	assert_true(alike > 2000 && mixed > 2000);
}

/* Each value of the flags, among others that are alike. */
static void one_packet_with_any_flags(void **state)
{
	(void)state;
	for (unsigned int round = 0; round < 256 * 4; round++) {
		struct sw_burst burst = {.count = SW_BURST, .side = round & 1 ? SW_INSIDE : SW_OUTSIDE, .pending = UINT32_MAX};
		for (unsigned int i = 0; i < SW_BURST; i++) {
			struct build b;
			build(&b, 4, round & 2, burst.side, 0);
			if (i == round % SW_BURST)
				b.bytes[b.l4 + 13] = (uint8_t)(round >> 2);
			burst.mbufs[i] = mbuf_of(&b);
		}
		sw_stage_parse(&worker, &burst);
		check_sets(&burst);
		assert_true(burst.one_server || burst.tcp != UINT32_MAX);
		for (unsigned int i = 0; i < SW_BURST; i++) {
			free(burst.mbufs[i]->buf_addr);
			free(burst.mbufs[i]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(bursts_are_as_their_packets, plain_loop),
		cmocka_unit_test_setup(bursts_are_as_their_packets, best_loop),
		cmocka_unit_test_setup(one_packet_with_any_flags, plain_loop),
		cmocka_unit_test_setup(one_packet_with_any_flags, best_loop),
	};

	return cmocka_run_group_tests(tests, make_policy, free_policy);
}
