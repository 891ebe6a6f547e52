/* SPDX-License-Identifier: BSD-3-Clause */
/* The cases: which frames come, and what must have become of them. */
#include "bench_frames.h"

#include <stdlib.h>

#include "../../dataplane/flow.h"

static struct bench_template primary, secondary;

/* ---- floods ------------------------------------------------------------------------------------------------------- */

/* Source n of those that lie all over the address space, with a random port and ISN. */
static struct bench_tuple source_number(struct bench_box *b, uint32_t n)
{
	const uint64_t r = bench_random(b);
	uint32_t source = n * 2654435761u;

	/* Addresses that no host can have are dropped as such and are not what a case is about. */
	if (source >> 24 >= 224 || source >> 24 == 127 || source >> 24 == 0)
		source ^= 0xa0000000u;

	return (struct bench_tuple){
		/* A source keeps to its service: a limiter entry is of one source towards one service. */
		.server = b->spread ? (source >> 7) % b->size.services : 0,
		.client = large_policy_not_denied(&b->size, source),
		.client_port = (uint16_t)((r >> 32) | 1024),
		.server_port = LARGE_POLICY_PORT,
		.seq = (uint32_t)(r >> 16),
	};
}

static struct bench_tuple random_source(struct bench_box *b, unsigned int source_bits)
{
	return source_number(b, (uint32_t)bench_random(b) & ((1u << source_bits) - 1));
}

static void meet(struct bench_box *b, uint32_t first)
{
	struct rte_mbuf **burst = b->frames + first % BENCH_FRAMES;

	for (unsigned int i = 0; i < SW_BURST; i++) {
		const struct bench_tuple t = source_number(b, first + i);
		bench_write(burst[i], &primary, &t, SW_OUTSIDE);
	}
	bench_burst(b, burst, SW_OUTSIDE);
}

/*
 * Each source sends some SYNs: what is measured then is a flood that goes on, over tables that are as full as they get and
 * in which who has been pushed out by others has found another place.
 */
static void meet_all(struct bench_box *b, const struct bench_case *c)
{
	enum { SYNS = 4 };

	c->template(c);
	for (unsigned int k = 0; k < SYNS; k++)
		for (uint32_t n = 0; n < 1u << c->source_bits; n += SW_BURST)
			meet(b, n);
}

static void renew_flood(struct bench_box *b, const struct bench_case *c, struct rte_mbuf **burst, enum sw_side side)
{
	for (unsigned int i = 0; i < SW_BURST; i++) {
		struct bench_tuple t = random_source(b, c->source_bits);
		t.ack = t.seq ^ 0x5bd1e995;
		bench_write(burst[i], &primary, &t, side);
	}
}

/* As a flood comes whose sources are forged at random: hardly any has been seen before. */
static void renew_new(struct bench_box *b, const struct bench_case *c, struct rte_mbuf **burst, enum sw_side side)
{
	(void)c;
	for (unsigned int i = 0; i < SW_BURST; i++) {
		const struct bench_tuple t = random_source(b, 31);
		bench_write(burst[i], &primary, &t, side);
	}
}

static void syn(const struct bench_case *c)
{
	primary = bench_tcp(c->is_ipv6, SW_TCP_SYN, BENCH_MSS);
}

static void syn_with_options(const struct bench_case *c)
{
	primary = bench_tcp(c->is_ipv6, SW_TCP_SYN, BENCH_ALL_OPTIONS);
}

static void ack(const struct bench_case *c)
{
	primary = bench_tcp(c->is_ipv6, SW_TCP_ACK, BENCH_TIMESTAMPS);
}

static void renew_denied(struct bench_box *b, const struct bench_case *c, struct rte_mbuf **burst, enum sw_side side)
{
	(void)c;
	for (unsigned int i = 0; i < SW_BURST; i++) {
		struct bench_tuple t = random_source(b, 20);
		const struct sw_address denied = large_policy_denied(&b->size, (uint32_t)bench_random(b) >> 4, false);
		memcpy(&t.client, denied.bytes + 12, 4);
		t.client = rte_be_to_cpu_32(t.client);
		bench_write(burst[i], &primary, &t, side);
	}
}

/* ---- connections -------------------------------------------------------------------------------------------------- */

/* Proofs are made once: the same 8,192 connections are opened in each pass and ended behind it. */
static uint8_t (*proofs)[128];

static void prepare_proofs(struct bench_box *b, const struct bench_case *c)
{
	(void)c;
	proofs = calloc(BENCH_FRAMES, sizeof(*proofs));
	for (uint32_t first = 0; proofs != NULL && first < BENCH_FRAMES; first += SW_BURST) {
		bench_write_proof(b, b->frames, first, false);
		for (unsigned int i = 0; i < SW_BURST; i++)
			memcpy(proofs[first + i], rte_pktmbuf_mtod(b->frames[i], void *), sizeof(*proofs));
	}
}

static void renew_proofs(struct bench_box *b, const struct bench_case *c, struct rte_mbuf **burst, enum sw_side side)
{
	(void)c;
	(void)side;
	const size_t first = (size_t)(burst - b->frames);
	for (unsigned int i = 0; i < SW_BURST; i++) {
		memcpy(rte_pktmbuf_mtod(burst[i], void *), proofs[first + i], primary.length);
		burst[i]->data_len = primary.length;
		burst[i]->pkt_len = primary.length;
	}
}

static void end_connections(struct bench_box *b)
{
	struct sw_worker *w = b->worker;
	while (w->flows.lists[SW_LIST_CONNECTING].head != SW_FLOW_NONE)
		sw_flow_end(w, w->flows.lists[SW_LIST_CONNECTING].head, SW_COUNT_FLOW_EXPIRED);
}

static void prepare_mix(struct bench_box *b, const struct bench_case *c)
{
	meet_all(b, c);
	bench_open_flows(b, 1u << c->source_bits, c->is_ipv6);
}

static void prepare_flows(struct bench_box *b, const struct bench_case *c)
{
	bench_open_flows(b, 1u << c->source_bits, c->is_ipv6);
}

static void write_established(struct bench_box *b, const struct bench_template *template, unsigned int flow_bits,
	struct rte_mbuf *m, enum sw_side side)
{
	const uint32_t n = (uint32_t)bench_random(b) & ((1u << flow_bits) - 1);
	struct bench_tuple t = bench_flow(n);

	if (side == SW_INSIDE) {
		t.ack = t.seq + 1;
		t.seq = ~t.seq + 1;
	} else {
		t.seq += 1;
		t.ack = b->flow_acks[n]; /* any other would look like the beginning of a new connection */
	}
	bench_write(m, template, &t, side);
}

static void renew_established(struct bench_box *b, const struct bench_case *c, struct rte_mbuf **burst, enum sw_side side)
{
	for (unsigned int i = 0; i < SW_BURST; i++)
		write_established(b, &primary, c->source_bits, burst[i], side);
}

/* ---- the rest ----------------------------------------------------------------------------------------------------- */

static void untouched(const struct bench_case *c)
{
	(void)c;
	primary = bench_udp();
	secondary = bench_tcp(false, SW_TCP_ACK, BENCH_TIMESTAMPS);
}

static void renew_untouched(struct bench_box *b, const struct bench_case *c, struct rte_mbuf **burst, enum sw_side side)
{
	for (unsigned int i = 0; i < SW_BURST; i++) {
		struct bench_tuple t = random_source(b, c->source_bits);
		t.server_port = 8080;
		t.server = (uint32_t)(bench_random(b) >> 40) % b->size.services;
		bench_write(burst[i], i & 1 ? &primary : &secondary, &t, side);
	}
}

static void mix(const struct bench_case *c)
{
	primary = bench_tcp(c->is_ipv6, SW_TCP_SYN, BENCH_MSS);
	secondary = bench_tcp(c->is_ipv6, SW_TCP_ACK, BENCH_TIMESTAMPS);
}

static void renew_mix(struct bench_box *b, const struct bench_case *c, struct rte_mbuf **burst, enum sw_side side)
{
	renew_flood(b, c, burst, side);
	for (unsigned int i = 0; i < SW_BURST; i++)
		if (bench_random(b) % 10 == 0)
			write_established(b, &secondary, c->source_bits, burst[i], side);
}

static uint64_t answered(const struct sw_counters *c)
{
	return c->count[SW_COUNT_ANSWERED];
}

static uint64_t forwarded(const struct sw_counters *c)
{
	return c->count[SW_COUNT_FORWARDED];
}

static uint64_t opened(const struct sw_counters *c)
{
	return c->count[SW_COUNT_FLOW_PROXIED];
}

static uint64_t denied(const struct sw_counters *c)
{
	return c->dropped[SW_DROP_DENIED];
}

static uint64_t limited(const struct sw_counters *c)
{
	return c->dropped[SW_DROP_LIMIT_SYN_SOURCE];
}

static uint64_t forged(const struct sw_counters *c)
{
	return c->dropped[SW_DROP_COOKIE_INVALID];
}

static uint64_t mixed(const struct sw_counters *c)
{
	return answered(c) + forwarded(c);
}

const struct bench_case bench_cases[] = {
	{.name = "syn_v4_64k", .help = "SYNs from 2^16 forged sources, answered", .source_bits = 16,
		.prepare = meet_all, .template = syn, .renew = renew_flood, .proof = answered},
	{.name = "syn_v4_1m", .help = "SYNs from 2^20 forged sources, answered", .goal = 2.0, .source_bits = 20,
		.prepare = meet_all, .template = syn, .renew = renew_flood, .proof = answered},
	{.name = "syn_v4_16m", .help = "SYNs from 2^24 forged sources, answered", .goal = 2.0, .source_bits = 24,
		.prepare = meet_all, .template = syn, .renew = renew_flood, .proof = answered},
	{.name = "syn_v4_new", .help = "SYNs from 2^31 forged sources, with room for 2^20, answered", .source_bits = 20,
		.prepare = meet_all, .template = syn, .renew = renew_new, .proof = answered},
	{.name = "syn_v4_options", .help = "74-byte SYNs with MSS, SACK, timestamps and window scale, 2^20 sources", .goal = 2.4,
		.source_bits = 20, .prepare = meet_all, .template = syn_with_options, .renew = renew_flood, .proof = answered},
	{.name = "syn_v6_1m", .help = "IPv6 SYNs from 2^20 forged sources, answered", .goal = 2.5, .source_bits = 20,
		.is_ipv6 = true, .prepare = meet_all, .template = syn, .renew = renew_flood, .proof = answered},
	{.name = "ack_forged", .help = "ACKs with a bad cookie and no flow, dropped", .goal = 1.6, .source_bits = 20,
		.template = ack, .renew = renew_flood, .proof = forged},
	{.name = "ack_valid", .help = "cookie verified, flow made, SYN to the server built", .goal = 6, .source_bits = 20,
		.prepare = prepare_proofs, .template = ack, .renew = renew_proofs, .settle = end_connections, .proof = opened},
	{.name = "established_v4", .help = "2^20 connections, translated, both directions", .goal = 1.8, .source_bits = 20,
		.side = SW_SIDES, .has_flows = true, .prepare = prepare_flows, .template = ack, .renew = renew_established, .proof = forwarded},
	{.name = "established_v6", .help = "2^20 IPv6 connections, translated, both directions", .goal = 2.2, .source_bits = 20,
		.side = SW_SIDES, .has_flows = true, .is_ipv6 = true, .prepare = prepare_flows, .template = ack, .renew = renew_established, .proof = forwarded},
	{.name = "denied", .help = "source in a deny prefix, dropped", .goal = 0.9, .source_bits = 20,
		.template = syn, .renew = renew_denied, .proof = denied},
	{.name = "limited", .help = "2^16 sources over their limit, dropped", .goal = 1.5, .source_bits = 16,
		.prepare = meet_all, .template = syn, .renew = renew_flood, .proof = limited, .source_syn_per_s = 1},
	{.name = "untouched", .help = "UDP and other ports, forwarded", .goal = 0.7, .source_bits = 20,
		.template = untouched, .renew = renew_untouched, .proof = forwarded},
	{.name = "mix", .help = "90 % SYN flood, 10 % of 2^20 connections", .goal = 2.0, .source_bits = 20,
		.has_flows = true, .prepare = prepare_mix, .template = mix, .renew = renew_mix, .proof = mixed},
};
const unsigned int bench_case_count = sizeof(bench_cases) / sizeof(bench_cases[0]);
