/* SPDX-License-Identifier: BSD-3-Clause */
#include "pipeline_model.h"

#include "core/checksum.h"
#include "core/siphash.h"
#include "core/tcp_options.h"

/* ---- options
 * --------------------------------------------------------------------------------------------------------- */

void options_raw(struct options *o, const void *bytes, unsigned int length)
{
	assert_true(o->length + length <= sizeof(o->bytes));
	memcpy(o->bytes + o->length, bytes, length);
	o->length = (uint8_t)(o->length + length);
}

static void raw32(struct options *o, uint32_t v)
{
	options_raw(o, (const uint8_t[]){(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v}, 4);
}

void options_mss(struct options *o, uint16_t mss)
{
	options_raw(o, (const uint8_t[]){2, 4, (uint8_t)(mss >> 8), (uint8_t)mss}, 4);
}

void options_window_scale(struct options *o, uint8_t scale)
{
	options_raw(o, (const uint8_t[]){3, 3, scale}, 3);
}

void options_sack_permitted(struct options *o)
{
	options_raw(o, (const uint8_t[]){4, 2}, 2);
}

void options_timestamps(struct options *o, uint32_t tsval, uint32_t tsecr)
{
	options_raw(o, (const uint8_t[]){8, 10}, 2);
	raw32(o, tsval);
	raw32(o, tsecr);
}

void options_sack(struct options *o, const uint32_t edges[], unsigned int blocks)
{
	options_raw(o, (const uint8_t[]){5, (uint8_t)(2 + blocks * 8)}, 2);
	for (unsigned int i = 0; i < blocks * 2; i++)
		raw32(o, edges[i]);
}

void options_pad(struct options *o)
{
	while (o->length % 4)
		o->bytes[o->length++] = 1;
}

struct options session_syn_options(const struct session *s, enum sw_side from)
{
	const bool is_client = from == SW_OUTSIDE;
	const int scale = is_client ? s->client_scale : s->server_scale;
	const uint16_t mss = is_client ? s->client_mss : s->server_mss;
	struct options o = {.length = 0};

	if (mss)
		options_mss(&o, mss);
	if (s->sack)
		options_sack_permitted(&o);
	if (s->timestamps)
		options_timestamps(&o, is_client ? s->client_ts : s->server_ts, is_client ? 0 : s->client_ts);
	if (scale >= 0)
		options_window_scale(&o, (uint8_t)scale);
	options_pad(&o);
	return o;
}

struct options session_options(const struct session *s, enum sw_side from)
{
	struct options o = {.length = 0};

	if (!s->timestamps)
		return o;
	options_raw(&o, (const uint8_t[]){1, 1}, 2);
	if (from == SW_OUTSIDE)
		options_timestamps(&o, s->client_ts, s->proxied ? s->cookie_tsval : s->server_ts);
	else
		options_timestamps(&o, s->server_ts, s->client_ts);
	return o;
}

/* ---- frames
 * ---------------------------------------------------------------------------------------------------------- */

static const uint8_t client_mac[6] = {2, 0, 0, 0, 0, 2}, server_mac[6] = {2, 0, 0, 0, 0, 0x10};

static void add(struct frame *f, const void *bytes, unsigned int length)
{
	memcpy(f->bytes + f->length, bytes, length);
	f->length = (uint16_t)(f->length + length);
}

static void add16(struct frame *f, uint32_t v)
{
	add(f, (const uint8_t[]){(uint8_t)(v >> 8), (uint8_t)v}, 2);
}

static void add32(struct frame *f, uint32_t v)
{
	add16(f, v >> 16);
	add16(f, v & 0xffff);
}

static void add_link_layer(struct frame *f, const struct flavour *flavour, enum sw_side from)
{
	add(f, from == SW_OUTSIDE ? server_mac : client_mac, 6);
	add(f, from == SW_OUTSIDE ? client_mac : server_mac, 6);
	for (unsigned int i = 0; i < flavour->tag_count; i++) {
		add16(f, flavour->tags[i].type);
		add16(f, flavour->tags[i].id);
	}
	add16(f, flavour->is_ipv6 ? 0x86dd : 0x0800);
}

static void add_ip(struct frame *f, const struct session *s, enum sw_side from, uint16_t bytes)
{
	const struct sw_address *source = from == SW_OUTSIDE ? &s->client : &s->server;
	const struct sw_address *destination = from == SW_OUTSIDE ? &s->server : &s->client;

	if (s->n->flavour->is_ipv6) {
		add32(f, 0x60012345);
		add16(f, bytes);
		add16(f, 6 << 8 | 57);
		add(f, source->bytes, 16);
		add(f, destination->bytes, 16);
		return;
	}
	add32(f, 0x45000000u | (20u + bytes));
	add32(f, 0x12344000);
	add32(f, 57u << 24 | 6u << 16);
	add(f, source->bytes + 12, 4);
	add(f, destination->bytes + 12, 4);
}

void frame_fix_checksums(struct frame *f, enum sw_side from)
{
	struct sw_packet p;

	sw_frame_parse(f->bytes, f->length, from, &p);
	if (p.kind != SW_PACKET_TCP)
		return;
	if (!p.is_ipv6) {
		uint8_t *ip = f->bytes + p.l3_offset;
		memset(ip + 10, 0, 2);
		const uint16_t sum = sw_checksum_finish(sw_checksum_add(0, ip, (size_t)(p.l4_offset - p.l3_offset)));
		memcpy(ip + 10, &sum, 2);
	}
	const uint16_t sum = sw_frame_tcp_checksum(f->bytes, &p);
	memcpy(f->bytes + p.l4_offset + 16, &sum, 2);
}

struct frame session_frame(const struct session *s, enum sw_side from, const struct segment *g)
{
	const unsigned int option_bytes = g->options ? g->options->length : 0;
	const bool is_client = from == SW_OUTSIDE;
	struct frame f = {.length = 0};

	add_link_layer(&f, s->n->flavour, from);
	add_ip(&f, s, from, (uint16_t)(20 + option_bytes + g->payload_bytes));
	add16(&f, is_client ? s->client_port : s->server_port);
	add16(&f, is_client ? s->server_port : s->client_port);
	add32(&f, g->seq);
	add32(&f, g->ack);
	add16(&f, (5 + option_bytes / 4) << 12 | g->flags);
	add16(&f, g->window ? g->window : 8192);
	add32(&f, 0);
	if (option_bytes)
		add(&f, g->options->bytes, option_bytes);
	for (uint32_t i = 0; i < g->payload_bytes; i++)
		f.bytes[f.length++] = (uint8_t)((g->payload_from + i) * 7 + 1);
	while (f.length < 60)
		f.bytes[f.length++] = 0;
	frame_fix_checksums(&f, from);
	return f;
}

void session_put(const struct session *s, enum sw_side from, const struct segment *g)
{
	const struct frame f = session_frame(s, from, g);
	net_put(s->n, from, &f);
}

/* ---- ends
 * ------------------------------------------------------------------------------------------------------------- */

struct session session_of(struct net *n, unsigned int number)
{
	const bool is_ipv6 = n->flavour->is_ipv6;
	struct session s = {
	    .n = n,
	    .client = address_of(is_ipv6 ? "2001:db8::" : "198.51.100.0"),
	    .server = address_of(is_ipv6 ? "fd00:20::10" : "10.20.0.10"),
	    .client_port = 40000,
	    .server_port = SERVICE_PORT,
	    .timestamps = true,
	    .sack = true,
	    .client_scale = 9,
	    .server_scale = 7,
	    .client_mss = 1460,
	    .server_mss = 1400,
	    .client_isn = 0xfffffff0u - number * 0x01000193u,
	    .server_isn = 0x10000000u + number * 0x00100001u,
	    .client_ts = 5000 + number,
	    .server_ts = 0xfffffe00u + number,
	};

	s.client.bytes[15] = (uint8_t)(1 + number);
	s.client.bytes[14] = (uint8_t)(s.client.bytes[14] + (1 + number) / 256);
	return s;
}

struct session session_again(const struct session *before)
{
	struct session s = *before;

	s.client_isn += 0x1234567;
	s.server_isn += 0x7654321;
	s.client_ts += 1000;
	s.server_ts += 1000;
	s.client_sent = s.server_sent = 0;
	s.proxied = false;
	return s;
}

void client_syn(struct session *s)
{
	const struct options o = session_syn_options(s, SW_OUTSIDE);

	session_put(s, SW_OUTSIDE,
	    &(struct segment){.flags = (uint8_t)(SW_TCP_SYN | (s->ecn ? SW_TCP_ECE | SW_TCP_CWR : 0)),
	        .seq = s->client_isn,
	        .window = 64240,
	        .options = &o});
}

static void client_says(struct session *s, uint8_t flags, uint16_t bytes)
{
	const struct options o = session_options(s, SW_OUTSIDE);

	session_put(s, SW_OUTSIDE,
	    &(struct segment){.flags = flags,
	        .seq = client_next(s),
	        .ack = server_next_at_client(s),
	        .window = 500,
	        .payload_bytes = bytes,
	        .payload_from = s->client_sent,
	        .options = &o});
	s->client_sent += bytes + (flags & SW_TCP_FIN ? 1u : 0u);
}

void client_ack(struct session *s)
{
	client_says(s, SW_TCP_ACK, 0);
}

void client_data(struct session *s, uint16_t bytes)
{
	client_says(s, SW_TCP_ACK | SW_TCP_PSH, bytes);
}

void client_fin(struct session *s)
{
	client_says(s, SW_TCP_ACK | SW_TCP_FIN, 0);
}

void client_rst(struct session *s)
{
	session_put(s, SW_OUTSIDE, &(struct segment){.flags = SW_TCP_RST, .seq = client_next(s)});
}

void server_syn_ack(struct session *s)
{
	const struct options o = session_syn_options(s, SW_INSIDE);

	session_put(s, SW_INSIDE,
	    &(struct segment){.flags = (uint8_t)(SW_TCP_SYN | SW_TCP_ACK | (s->ecn ? SW_TCP_ECE : 0)),
	        .seq = s->server_isn,
	        .ack = s->client_isn + 1,
	        .window = 65160,
	        .options = &o});
}

static void server_says(struct session *s, uint8_t flags, uint16_t bytes)
{
	const struct options o = session_options(s, SW_INSIDE);

	session_put(s, SW_INSIDE,
	    &(struct segment){.flags = flags,
	        .seq = server_next(s),
	        .ack = client_next(s),
	        .window = 509,
	        .payload_bytes = bytes,
	        .payload_from = s->server_sent,
	        .options = &o});
	s->server_sent += bytes + (flags & SW_TCP_FIN ? 1u : 0u);
}

void server_ack(struct session *s)
{
	server_says(s, SW_TCP_ACK, 0);
}

void server_data(struct session *s, uint16_t bytes)
{
	server_says(s, SW_TCP_ACK | SW_TCP_PSH, bytes);
}

void server_fin(struct session *s)
{
	server_says(s, SW_TCP_ACK | SW_TCP_FIN, 0);
}

void server_rst(struct session *s)
{
	session_put(s, SW_INSIDE, &(struct segment){.flags = SW_TCP_RST, .seq = server_next(s)});
}

void server_refuse(struct session *s)
{
	session_put(s, SW_INSIDE, &(struct segment){.flags = SW_TCP_RST | SW_TCP_ACK, .ack = s->client_isn + 1});
}

/* ---- what must come out
 * ------------------------------------------------------------------------------------------------ */

/* The frame is of this session and goes the right way, MAC addresses and tags included. */
static void check_addresses(const struct session *s, const struct frame *f, enum sw_side side)
{
	struct frame expected = {.length = 0};

	assert_int_equal(f->view.kind, SW_PACKET_TCP);
	add_link_layer(&expected, s->n->flavour, side == SW_OUTSIDE ? SW_INSIDE : SW_OUTSIDE);
	assert_memory_equal(f->bytes, expected.bytes, expected.length);
	assert_memory_equal(&f->view.client, &s->client, sizeof(s->client));
	assert_memory_equal(&f->view.server, &s->server, sizeof(s->server));
	assert_int_equal(f->view.client_port, s->client_port);
	assert_int_equal(f->view.server_port, s->server_port);
	assert_true(f->length >= 60);
}

struct frame expect_syn_ack(struct session *s)
{
	const struct frame f = net_expect(s->n, SW_OUTSIDE);

	check_addresses(s, &f, SW_OUTSIDE);
	assert_int_equal(f.view.tcp_flags & ~SW_TCP_ECE, SW_TCP_SYN | SW_TCP_ACK);
	assert_int_equal(f.view.ack, s->client_isn + 1);
	assert_int_equal(f.view.payload_bytes, 0);
	s->cookie_isn = f.view.seq;
	s->cookie_tsval = f.view.tsval;
	if (f.view.timestamp_offset)
		assert_int_equal(f.view.tsecr, s->client_ts);
	s->proxied = true;
	return f;
}

struct frame expect_server_syn(struct session *s)
{
	const struct frame f = net_expect(s->n, SW_INSIDE);

	check_addresses(s, &f, SW_INSIDE);
	assert_int_equal(f.view.tcp_flags & ~(SW_TCP_ECE | SW_TCP_CWR), SW_TCP_SYN);
	assert_int_equal(f.view.seq, s->client_isn);
	assert_int_equal(f.view.ack, 0);
	assert_int_equal(f.view.payload_bytes, 0);
	return f;
}

struct frame expect_segment(struct session *s, enum sw_side side, uint8_t flags, uint32_t seq, uint32_t ack,
	uint16_t payload_bytes, uint32_t payload_from)
{
	const struct frame f = net_expect(s->n, side);

	check_addresses(s, &f, side);
	assert_int_equal(f.view.tcp_flags, flags);
	assert_int_equal(f.view.seq, seq);
	assert_int_equal(f.view.ack, ack);
	assert_int_equal(f.view.payload_bytes, payload_bytes);
	for (uint32_t i = 0; i < payload_bytes; i++)
		assert_int_equal(f.bytes[f.view.payload_offset + i], (uint8_t)((payload_from + i) * 7 + 1));
	return f;
}

void expect_rst(struct session *s, enum sw_side side, uint32_t seq)
{
	const struct frame f = net_expect(s->n, side);

	check_addresses(s, &f, side);
	assert_int_equal(f.view.tcp_flags & ~SW_TCP_ACK, SW_TCP_RST);
	assert_int_equal(f.view.seq, seq);
	assert_int_equal(f.view.payload_bytes, 0);
}

/* ---- whole exchanges
 * ---------------------------------------------------------------------------------------------------- */

void session_connect(struct session *s)
{
	client_syn(s);
	net_run(s->n);
	expect_syn_ack(s);
	client_ack(s);
	net_run(s->n);
	expect_server_syn(s);
}

void session_establish(struct session *s)
{
	session_connect(s);
	server_syn_ack(s);
	net_run(s->n);
	expect_segment(s, SW_INSIDE, SW_TCP_ACK, client_next(s), server_next(s), 0, 0);
}

void session_establish_native(struct session *s)
{
	client_syn(s);
	net_run(s->n);
	expect_segment(s, SW_INSIDE, SW_TCP_SYN, s->client_isn, 0, 0, 0);
	server_syn_ack(s);
	net_run(s->n);
	expect_segment(s, SW_OUTSIDE, SW_TCP_SYN | SW_TCP_ACK, s->server_isn, s->client_isn + 1, 0, 0);
	client_ack(s);
	net_run(s->n);
	expect_segment(s, SW_INSIDE, SW_TCP_ACK, client_next(s), server_next(s), 0, 0);
}

void session_exchange(struct session *s, uint16_t bytes)
{
	const uint32_t client_from = s->client_sent, server_from = s->server_sent;

	client_data(s, bytes);
	net_run(s->n);
	expect_segment(
	    s, SW_INSIDE, SW_TCP_ACK | SW_TCP_PSH, s->client_isn + 1 + client_from, server_next(s), bytes, client_from);
	const uint32_t seq = server_next_at_client(s);
	server_data(s, bytes);
	net_run(s->n);
	expect_segment(s, SW_OUTSIDE, SW_TCP_ACK | SW_TCP_PSH, seq, client_next(s), bytes, server_from);
	client_ack(s);
	net_run(s->n);
	expect_segment(s, SW_INSIDE, SW_TCP_ACK, client_next(s), server_next(s), 0, 0);
}

void session_close(struct session *s)
{
	const uint32_t client_seq = client_next(s), server_seq = server_next_at_client(s);

	client_fin(s);
	net_run(s->n);
	expect_segment(s, SW_INSIDE, SW_TCP_ACK | SW_TCP_FIN, client_seq, server_next(s), 0, 0);
	server_fin(s);
	net_run(s->n);
	expect_segment(s, SW_OUTSIDE, SW_TCP_ACK | SW_TCP_FIN, server_seq, client_next(s), 0, 0);
	client_ack(s);
	net_run(s->n);
	expect_segment(s, SW_INSIDE, SW_TCP_ACK, client_next(s), server_next(s), 0, 0);
}

/* ---- inside the box
 * ----------------------------------------------------------------------------------------------------- */

/* By its addresses, in clear: no help from the hash under test. */
const struct sw_flow *session_flow(const struct session *s)
{
	const struct sw_flow_table *t = &s->n->w->flows;

	for (uint32_t i = 0; i < t->capacity; i++) {
		const struct sw_flow_setup *u = &t->setups[i];
		if (t->flows[i].state != SW_FLOW_FREE && sw_address_equal(&u->client, &s->client) &&
		    sw_address_equal(&u->server, &s->server) && u->client_port == s->client_port &&
		    u->server_port == s->server_port)
			return &t->flows[i];
	}
	return NULL;
}

const struct sw_source_record *session_record(const struct session *s)
{
	return sw_source_find(s->n->w, &s->client, 0);
}
