/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench_frames.h"

#include <netinet/in.h>
#include <stdlib.h>

#include <rte_byteorder.h>
#include <rte_cycles.h>
#include <rte_debug.h>

#include "../../dataplane/core/frame.h"
#include "../cookies.h"

static const uint8_t options_bytes[][20] = {
	[BENCH_MSS] = {2, 4, 0x05, 0xb4},
	[BENCH_ALL_OPTIONS] = {2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7},
	[BENCH_TIMESTAMPS] = {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 1},
};
static const uint8_t options_lengths[] = {[BENCH_MSS] = 4, [BENCH_ALL_OPTIONS] = 20, [BENCH_TIMESTAMPS] = 12};

static void put16(uint8_t *at, uint16_t v)
{
	const rte_be16_t be = rte_cpu_to_be_16(v);
	memcpy(at, &be, 2);
}

static void put32(uint8_t *at, uint32_t v)
{
	const rte_be32_t be = rte_cpu_to_be_32(v);
	memcpy(at, &be, 4);
}

static uint32_t get32(const uint8_t *at)
{
	rte_be32_t be;
	memcpy(&be, at, 4);
	return rte_be_to_cpu_32(be);
}

static struct bench_template ip_template(bool is_ipv6, uint8_t protocol, unsigned int payload)
{
	struct bench_template t = {.ip = 14, .tcp = is_ipv6 ? 54 : 34, .is_ipv6 = is_ipv6};
	const unsigned int length = t.tcp + payload;

	memcpy(t.bytes, "\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02", 12);
	put16(t.bytes + 12, is_ipv6 ? 0x86dd : 0x0800);
	uint8_t *ip = t.bytes + t.ip;
	if (is_ipv6) {
		ip[0] = 0x60;
		put16(ip + 4, (uint16_t)payload);
		ip[6] = protocol;
		ip[7] = 64;
	} else {
		ip[0] = 0x45;
		put16(ip + 2, (uint16_t)(20 + payload));
		ip[8] = 64;
		ip[9] = protocol;
	}
	t.length = (uint16_t)(length < 60 ? 60 : length);
	return t;
}

struct bench_template bench_tcp(bool is_ipv6, uint8_t flags, enum bench_options options)
{
	const unsigned int bytes = 20u + options_lengths[options];
	struct bench_template t = ip_template(is_ipv6, IPPROTO_TCP, bytes);
	uint8_t *tcp = t.bytes + t.tcp;

	tcp[12] = (uint8_t)(bytes / 4 << 4);
	tcp[13] = flags;
	put16(tcp + 14, 64240);
	memcpy(tcp + 20, options_bytes[options], options_lengths[options]);
	return t;
}

struct bench_template bench_udp(void)
{
	struct bench_template t = ip_template(false, IPPROTO_UDP, 8 + 18);
	put16(t.bytes + t.tcp + 4, 8 + 18);
	return t;
}

static void put_addresses(uint8_t *ip, const struct bench_template *t, const struct bench_tuple *tuple, enum sw_side side)
{
	const struct sw_address server = large_policy_server(tuple->server, t->is_ipv6);
	uint8_t client[16] = {0x26};

	put32(t->is_ipv6 ? client + 4 : client, tuple->client);
	const unsigned int size = t->is_ipv6 ? 16 : 4, source = t->is_ipv6 ? 8 : 12;
	const uint8_t *server_bytes = server.bytes + 16 - size;
	memcpy(ip + source, side == SW_OUTSIDE ? client : server_bytes, size);
	memcpy(ip + source + size, side == SW_OUTSIDE ? server_bytes : client, size);
}

void bench_write(struct rte_mbuf *m, const struct bench_template *t, const struct bench_tuple *tuple, enum sw_side side)
{
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
	uint8_t *tcp = frame + t->tcp;

	memcpy(frame, t->bytes, 64);
	if (t->length > 64)
		memcpy(frame + 64, t->bytes + 64, 32);
	put_addresses(frame + t->ip, t, tuple, side);
	put16(tcp, side == SW_OUTSIDE ? tuple->client_port : tuple->server_port);
	put16(tcp + 2, side == SW_OUTSIDE ? tuple->server_port : tuple->client_port);
	if (t->bytes[t->tcp + 12] != 0) {
		put32(tcp + 4, tuple->seq);
		put32(tcp + 8, tuple->ack);
	}
	m->data_len = t->length;
	m->pkt_len = t->length;
}

/* ---- flows -------------------------------------------------------------------------------------------------------- */

enum { PORTS_PER_CLIENT = 64 };

struct bench_tuple bench_flow(uint32_t n)
{
	return (struct bench_tuple){
		.client = 0xc0000000u + n / PORTS_PER_CLIENT,
		.client_port = (uint16_t)(BENCH_CLIENT_PORT + n % PORTS_PER_CLIENT),
		.server_port = LARGE_POLICY_PORT,
		.seq = n * 2654435761u,
	};
}

static void pass(struct bench_box *b, enum sw_side side)
{
	sw_pipeline_begin(b->worker, rte_rdtsc());
	sw_pipeline_burst(b->worker, b->frames, SW_BURST, 0, side, false);
	sw_pipeline_end(b->worker);
}

/* The cookies that the box would have sent to `count` flows from `first` on. */
static void cookies_of(struct bench_box *b, const struct bench_template *syn, uint32_t first, struct cookie *cookies)
{
	struct sw_packet views[SW_BURST];
	struct sw_cookie_options options[SW_BURST];

	for (unsigned int i = 0; i < SW_BURST; i++) {
		const struct bench_tuple tuple = bench_flow(first + i);
		bench_write(b->frames[i], syn, &tuple, SW_OUTSIDE);
		sw_frame_parse(rte_pktmbuf_mtod(b->frames[i], const uint8_t *), b->frames[i]->data_len, SW_OUTSIDE, &views[i]);
		options[i] = sw_cookie_options_of(&views[i]);
	}
	make_cookies(atomic_load(&b->box->shared.cookie_keys), views, options, SW_BURST, cookies);
}

void bench_write_proof(struct bench_box *b, struct rte_mbuf **burst, uint32_t first, bool is_ipv6)
{
	const struct bench_template syn = bench_tcp(is_ipv6, SW_TCP_SYN, BENCH_ALL_OPTIONS);
	const struct bench_template ack = bench_tcp(is_ipv6, SW_TCP_ACK, BENCH_TIMESTAMPS);
	struct cookie cookies[SW_BURST];

	cookies_of(b, &syn, first, cookies);
	for (unsigned int i = 0; i < SW_BURST; i++) {
		struct bench_tuple tuple = bench_flow(first + i);
		tuple.seq += 1;
		tuple.ack = cookies[i].isn + 1;
		bench_write(burst[i], &ack, &tuple, SW_OUTSIDE);
		put32(rte_pktmbuf_mtod(burst[i], uint8_t *) + ack.tcp + 28, cookies[i].tsval);
	}
}

void bench_open_flows(struct bench_box *b, uint32_t count, bool is_ipv6)
{
	const struct bench_template syn_ack = bench_tcp(is_ipv6, SW_TCP_SYN | SW_TCP_ACK, BENCH_ALL_OPTIONS);

	b->flow_acks = calloc(count, sizeof(*b->flow_acks));
	if (b->flow_acks == NULL)
		rte_exit(EXIT_FAILURE, "bench: out of memory\n");
	for (uint32_t first = 0; first < count; first += SW_BURST) {
		bench_write_proof(b, b->frames, first, is_ipv6);
		for (unsigned int i = 0; i < SW_BURST; i++)
			b->flow_acks[first + i] = get32(rte_pktmbuf_mtod(b->frames[i], const uint8_t *) + syn_ack.tcp + 8);
		pass(b, SW_OUTSIDE);
		for (unsigned int i = 0; i < SW_BURST; i++) {
			struct bench_tuple tuple = bench_flow(first + i);
			tuple.ack = tuple.seq + 1;
			tuple.seq = ~tuple.seq;
			bench_write(b->frames[i], &syn_ack, &tuple, SW_INSIDE);
		}
		pass(b, SW_INSIDE);
	}
	const uint32_t established = b->worker->flows.lists[SW_LIST_ESTABLISHED].count;
	if (established != count)
		rte_exit(EXIT_FAILURE, "bench: %u of %u flows opened\n", established, count);
}
