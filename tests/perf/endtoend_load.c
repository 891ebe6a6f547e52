/* SPDX-License-Identifier: BSD-3-Clause */
/* The generator: SYNs of random sources, packets of established connections with the time in them, and what comes back. */
#include "endtoend.h"

#include <stdatomic.h>
#include <stdlib.h>

#include <rte_byteorder.h>
#include <rte_cycles.h>
#include <rte_debug.h>
#include <rte_ethdev.h>

enum {
	PAYLOAD = 24,              /* behind the header of a data packet: the time in its first eight bytes */
	DATA_HEADERS = 14 + 20 + 32,
	PATIENCE_MS = 3000,
	DRAIN_MS = 5,
	SOURCES = 1 << 20,
};

typedef void write_fn(struct endtoend *e, struct rte_mbuf *m);
typedef void look_fn(struct endtoend *e, struct subject *s, enum sw_side side, const uint8_t *frame, uint64_t now);

struct pump {
	struct subject *s;
	write_fn *write;
	look_fn *look;    /* at each frame that comes back; NULL: they are only counted */
	double per_s;     /* 0: as fast as the port takes them */
	uint64_t received;
	struct rte_mbuf *pending[SW_BURST];
	unsigned int pending_count;
};

static uint64_t next_random(struct endtoend *e)
{
	e->random ^= e->random << 13;
	e->random ^= e->random >> 7;
	return e->random ^= e->random << 17;
}

static uint32_t get32(const uint8_t *at)
{
	rte_be32_t be;
	memcpy(&be, at, 4);
	return rte_be_to_cpu_32(be);
}

static void put32(uint8_t *at, uint32_t v)
{
	const rte_be32_t be = rte_cpu_to_be_32(v);
	memcpy(at, &be, 4);
}

/* ---- frames ------------------------------------------------------------------------------------------------------- */

static struct bench_template syn_template, data_template;

static void write_syn(struct endtoend *e, struct rte_mbuf *m)
{
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
	const uint64_t r = next_random(e);
	/* 128.0.0.0/2 holds no denied prefix (large_policy.c). */
	const uint32_t source = 0x80000000u | (((uint32_t)r & (SOURCES - 1)) * 2654435761u >> 2);

	memcpy(frame, syn_template.bytes, 64);
	put32(frame + syn_template.ip + 12, source);
	memcpy(frame + syn_template.tcp, &(uint16_t){(uint16_t)((r >> 32) | 1024)}, 2);
	put32(frame + syn_template.tcp + 4, (uint32_t)(r >> 16));
	m->data_len = syn_template.length;
	m->pkt_len = syn_template.length;
}

static void write_flow(struct endtoend *e, struct rte_mbuf *m, const struct bench_template *t, uint32_t n)
{
	struct bench_tuple tuple = bench_flow(n);

	tuple.seq += 1;
	tuple.ack = e->flows[n].isn + 1;
	bench_write(m, t, &tuple, SW_OUTSIDE);
	put32(rte_pktmbuf_mtod(m, uint8_t *) + t->tcp + 28, e->flows[n].tsval);
	rte_mbuf_refcnt_set(m, 1);
}

static void write_data(struct endtoend *e, struct rte_mbuf *m)
{
	write_flow(e, m, &data_template, (uint32_t)next_random(e) % ENDTOEND_FLOWS);
	const uint64_t now = rte_rdtsc();
	memcpy(rte_pktmbuf_mtod(m, uint8_t *) + DATA_HEADERS, &now, 8);
}

static void make_templates(void)
{
	struct sw_address server = large_policy_server(0, false);

	syn_template = bench_tcp(false, SW_TCP_SYN, BENCH_MSS);
	memcpy(syn_template.bytes + syn_template.ip + 16, server.bytes + 12, 4);
	memcpy(syn_template.bytes + syn_template.tcp + 2, &(rte_be16_t){rte_cpu_to_be_16(LARGE_POLICY_PORT)}, 2);
	data_template = bench_tcp(false, SW_TCP_ACK, BENCH_TIMESTAMPS);
	data_template.length = DATA_HEADERS + PAYLOAD;
	memcpy(data_template.bytes + data_template.ip + 2, &(rte_be16_t){rte_cpu_to_be_16(20 + 32 + PAYLOAD)}, 2);
}

/* ---- pumping ------------------------------------------------------------------------------------------------------ */

static void send_some(struct endtoend *e, struct pump *p, unsigned int wanted)
{
	if (p->pending_count == 0 && wanted > 0) {
		wanted = wanted < SW_BURST ? wanted : SW_BURST;
		if (rte_pktmbuf_alloc_bulk(e->pool, p->pending, wanted))
			return; /* all of them are under way */
		for (unsigned int i = 0; i < wanted; i++)
			p->write(e, p->pending[i]);
		p->pending_count = wanted;
	}
	const uint16_t n = rte_eth_tx_burst(p->s->ports[SW_OUTSIDE], 0, p->pending, (uint16_t)p->pending_count);
	p->pending_count -= n;
	memmove(p->pending, p->pending + n, p->pending_count * sizeof(*p->pending));
}

static unsigned int receive_some(struct endtoend *e, struct pump *p)
{
	struct rte_mbuf *burst[SW_BURST];
	unsigned int all = 0;

	for (unsigned int side = 0; side < SW_SIDES; side++) {
		const uint16_t n = rte_eth_rx_burst(p->s->ports[side], 0, burst, SW_BURST);
		const uint64_t now = p->look && n ? rte_rdtsc() : 0;
		for (unsigned int i = 0; i < n && p->look; i++)
			p->look(e, p->s, (enum sw_side)side, rte_pktmbuf_mtod(burst[i], const uint8_t *), now);
		rte_pktmbuf_free_bulk(burst, n);
		all += n;
	}
	return all;
}

/* Seconds that it took; frames that came back are added to p->received. */
static double pump_for(struct endtoend *e, struct pump *p, unsigned int ms)
{
	const uint64_t hz = rte_get_tsc_hz(), start = rte_rdtsc(), end = start + hz / 1000 * ms;
	uint64_t now = start, sent = 0;

	while (now < end) {
		const uint64_t due = p->per_s > 0 ? (uint64_t)((double)(now - start) / (double)hz * p->per_s) : UINT64_MAX;
		if (due > sent + SW_BURST * 8 && p->per_s > 0)
			sent = due - SW_BURST; /* this thread was away: what it missed is not made up for in one heap */
		const unsigned int before = p->pending_count;
		send_some(e, p, before ? 0 : due - sent > SW_BURST ? SW_BURST : (unsigned int)(due - sent));
		if (before == 0 && p->per_s > 0)
			sent += due - sent > SW_BURST ? SW_BURST : due - sent;
		p->received += receive_some(e, p);
		now = rte_rdtsc();
	}
	return (double)(now - start) / (double)hz;
}

static void stop_pump(struct pump *p)
{
	rte_pktmbuf_free_bulk(p->pending, p->pending_count);
	p->pending_count = 0;
}

/* What is still under way belongs to nobody's figure. It ends: the box may go on to repeat an answer now and then. */
static void drain(struct endtoend *e, struct pump *p)
{
	const uint64_t end = rte_rdtsc() + rte_get_tsc_hz() / 1000 * DRAIN_MS;

	for (unsigned int quiet = 0; quiet < 200 && rte_rdtsc() < end; quiet++) {
		if (receive_some(e, p))
			quiet = 0;
		rte_delay_us(1);
	}
}

/* Between slices the machine belongs to others: two threads that poll at a real-time priority would leave them nothing. */
static void rest(void)
{
	rte_delay_us_sleep(ENDTOEND_SLICE_MS * 1000);
}

static double measure(struct endtoend *e, struct subject *s, write_fn *write)
{
	struct pump p = {.s = s, .write = write};

	if (syn_template.length == 0)
		make_templates();
	rest();
	s->resume(s);
	pump_for(e, &p, ENDTOEND_WARM_MS);
	p.received = 0;
	const double seconds = pump_for(e, &p, ENDTOEND_SLICE_MS);
	const double per_s = (double)p.received / seconds;
	stop_pump(&p);
	drain(e, &p);
	s->pause(s);
	return per_s;
}

double endtoend_syns(struct endtoend *e, struct subject *s)
{
	return measure(e, s, write_syn);
}

double endtoend_data(struct endtoend *e, struct subject *s)
{
	return measure(e, s, write_data);
}

static void note_latency(struct endtoend *e, struct subject *s, enum sw_side side, const uint8_t *frame, uint64_t now)
{
	uint64_t then;

	(void)e;
	memcpy(&then, frame + DATA_HEADERS, 8);
	if (side == SW_INSIDE && now > then)
		sw_histogram_add(&s->latency_ns, (uint64_t)((double)(now - then) * 1e9 / (double)rte_get_tsc_hz()));
}

void endtoend_latency(struct endtoend *e, struct subject *s, double per_s)
{
	struct pump p = {.s = s, .write = write_data, .per_s = per_s};

	rest();
	s->resume(s);
	pump_for(e, &p, ENDTOEND_WARM_MS);
	drain(e, &p);
	p.look = note_latency;
	pump_for(e, &p, ENDTOEND_SLICE_MS);
	stop_pump(&p);
	drain(e, &p);
	s->pause(s);
}

/* ---- connections -------------------------------------------------------------------------------------------------- */

/* Frames of a handshake: the number of the flow, or ENDTOEND_FLOWS. */
static uint32_t flow_of(const uint8_t *frame, bool to_client)
{
	const uint8_t *ip = frame + 14, *tcp = ip + 20;
	const uint32_t address = get32(ip + (to_client ? 16 : 12)), port = get32(tcp) >> (to_client ? 0 : 16) & 0xffff;
	const uint32_t n = (address - 0xc0000000u) * 64 + port - BENCH_CLIENT_PORT;

	return address >= 0xc0000000u && port >= BENCH_CLIENT_PORT && n < ENDTOEND_FLOWS ? n : ENDTOEND_FLOWS;
}

static void send_one(const struct subject *s, enum sw_side side, struct rte_mbuf *m)
{
	rte_mbuf_refcnt_set(m, 1);
	for (const uint64_t end = rte_rdtsc() + rte_get_tsc_hz() / 1000 * PATIENCE_MS; rte_rdtsc() < end;)
		if (rte_eth_tx_burst(s->ports[side], 0, &m, 1) == 1)
			return;
	rte_exit(EXIT_FAILURE, "endtoend: %s takes no more frames\n", s->name);
}

/* The client's ACK upon the cookie, the server's SYN-ACK upon the SYN; the ACK that completes it opens the flow. */
static void shake(struct endtoend *e, struct subject *s, enum sw_side side, const uint8_t *frame, uint64_t now)
{
	static struct bench_template ack, syn_ack;
	const uint8_t *tcp = frame + 34;
	const uint32_t n = flow_of(frame, side == SW_OUTSIDE);

	(void)now;
	if (ack.length == 0) {
		ack = bench_tcp(false, SW_TCP_ACK, BENCH_TIMESTAMPS);
		syn_ack = bench_tcp(false, SW_TCP_SYN | SW_TCP_ACK, BENCH_ALL_OPTIONS);
	}
	if (n == ENDTOEND_FLOWS)
		return;
	const uint8_t flags = tcp[13] & (SW_TCP_SYN | SW_TCP_ACK | SW_TCP_RST);
	struct rte_mbuf *m = rte_pktmbuf_alloc(e->pool);
	if (m == NULL)
		rte_exit(EXIT_FAILURE, "endtoend: no buffers left\n");
	if (side == SW_OUTSIDE && flags == (SW_TCP_SYN | SW_TCP_ACK) && e->flows[n].isn == 0) {
		e->flows[n].isn = get32(tcp + 4);
		for (unsigned int at = 20; at + 10 <= (tcp[12] >> 4) * 4u && tcp[at] != 0; at += tcp[at] == 1 ? 1u : tcp[at + 1])
			if (tcp[at] == 8)
				e->flows[n].tsval = get32(tcp + at + 2);
		write_flow(e, m, &ack, n);
		send_one(s, SW_OUTSIDE, m);
	} else if (side == SW_INSIDE && flags == SW_TCP_SYN) {
		struct bench_tuple tuple = bench_flow(n);
		tuple.ack = tuple.seq + 1;
		tuple.seq = ~tuple.seq;
		bench_write(m, &syn_ack, &tuple, SW_INSIDE);
		send_one(s, SW_INSIDE, m);
	} else {
		e->flows[n].open |= side == SW_INSIDE && flags == SW_TCP_ACK;
		rte_pktmbuf_free(m);
	}
}

static unsigned int opened(const struct endtoend *e, uint32_t first)
{
	unsigned int n = 0;
	for (uint32_t i = first; i < first + SW_BURST; i++)
		n += e->flows[i].open;
	return n;
}

void endtoend_open_flows(struct endtoend *e, struct subject *s)
{
	const struct bench_template syn = bench_tcp(false, SW_TCP_SYN, BENCH_ALL_OPTIONS);
	struct pump p = {.s = s, .look = shake};

	make_templates();
	s->resume(s);
	drain(e, &p);
	for (uint32_t first = 0; first < ENDTOEND_FLOWS; first += SW_BURST) {
		for (uint32_t n = first; n < first + SW_BURST; n++) {
			const struct bench_tuple tuple = bench_flow(n);
			struct rte_mbuf *m = rte_pktmbuf_alloc(e->pool);
			if (m == NULL)
				rte_exit(EXIT_FAILURE, "endtoend: no buffers left\n");
			bench_write(m, &syn, &tuple, SW_OUTSIDE);
			send_one(s, SW_OUTSIDE, m);
		}
		const uint64_t end = rte_rdtsc() + rte_get_tsc_hz() / 1000 * PATIENCE_MS;
		while (opened(e, first) < SW_BURST && rte_rdtsc() < end)
			receive_some(e, &p);
		if (opened(e, first) < SW_BURST)
			rte_exit(EXIT_FAILURE, "endtoend: of flows %u to %u only %u opened\n", first, first + SW_BURST - 1, opened(e, first));
	}
	drain(e, &p);
	s->pause(s);
}

/* ---- the plain forwarder ------------------------------------------------------------------------------------------ */

static void move(uint16_t from, uint16_t to)
{
	struct rte_mbuf *burst[SW_BURST];
	const uint16_t n = rte_eth_rx_burst(from, 0, burst, SW_BURST);
	const uint16_t sent = n ? rte_eth_tx_burst(to, 0, burst, n) : 0;

	rte_pktmbuf_free_bulk(burst + sent, n - sent);
}

void endtoend_forward(uint16_t outside, uint16_t inside, const _Atomic int *stop)
{
	while (!atomic_load_explicit(stop, memory_order_relaxed)) {
		move(outside, inside);
		move(inside, outside);
	}
}
