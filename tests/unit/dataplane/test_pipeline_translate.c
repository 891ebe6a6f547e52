/* SPDX-License-Identifier: BSD-3-Clause */
/* A proxied connection that is up: numbers, options, windows and ICMP errors in the numbers of whoever gets them. */
#include "pipeline_model.h"

#include "core/checksum.h"

static uint32_t at32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* What the box adds to the server's clock. */
static uint32_t clock_delta(const struct session *s)
{
	return s->cookie_tsval - s->server_ts;
}

static void numbers_both_ways(struct net *n)
{
	struct session s = session_of(n, 1);

	session_establish(&s);
	const uint32_t delta = clock_delta(&s);
	for (unsigned int i = 1; i < 200; i++) {
		const uint32_t seq = server_next_at_client(&s);
		s.server_ts += i; /* wraps on the way */
		s.client_ts += 3;
		server_data(&s, (uint16_t)(i * 7 % 1400));
		net_run(n);
		struct frame f = expect_segment(&s, SW_OUTSIDE, SW_TCP_ACK | SW_TCP_PSH, seq, client_next(&s),
		    (uint16_t)(i * 7 % 1400), s.server_sent - i * 7 % 1400);
		assert_int_equal(f.view.tsval, s.server_ts + delta);
		assert_int_equal(f.view.tsecr, s.client_ts);
		s.cookie_tsval = f.view.tsval; /* what the client echoes from here on */
		client_data(&s, (uint16_t)(i % 3));
		net_run(n);
		f = net_expect(n, SW_INSIDE);
		assert_int_equal(f.view.ack, server_next(&s));
		assert_int_equal(f.view.tsecr, s.server_ts);
		assert_int_equal(f.view.tsval, s.client_ts);
	}
}

static void without_timestamps(struct net *n)
{
	struct session s = session_of(n, 1);

	s.timestamps = false;
	session_establish(&s);
	for (unsigned int i = 0; i < 20; i++)
		session_exchange(&s, (uint16_t)(1 + 33 * i));
	session_close(&s);
}

static void connections_with_no_option_at_all(struct net *n)
{
	struct session s = session_of(n, 1);

	s.timestamps = s.sack = false;
	s.client_scale = s.server_scale = -1;
	s.client_mss = s.server_mss = 0;
	session_establish(&s);
	session_exchange(&s, 500);
	session_close(&s);
	assert_count(n, PROFILE_MISMATCH, 0);
}

/* Where timestamps and SACK blocks may stand: `before` NOPs in front of each. */
static void sack_at(struct net *n, unsigned int before, unsigned int blocks, bool with_timestamps, bool sack_first)
{
	struct session s = session_of(n, before * 100 + blocks * 10 + with_timestamps * 2 + sack_first);
	struct options o = {.length = 0};
	uint32_t edges[8];

	s.timestamps = with_timestamps;
	session_establish(&s);
	const uint32_t delta = clock_delta(&s), from_server = s.cookie_isn - s.server_isn;
	for (unsigned int i = 0; i < blocks * 2; i++)
		edges[i] = s.cookie_isn + 1000 * i + 1; /* may wrap */
	for (unsigned int k = 0; k < 2; k++) {
		for (unsigned int i = 0; i < before; i++)
			options_raw(&o, (const uint8_t[]){1}, 1);
		if ((k == 0) == sack_first)
			options_sack(&o, edges, blocks);
		else if (with_timestamps)
			options_timestamps(&o, 77, s.cookie_tsval);
	}
	options_pad(&o);
	session_put(&s, SW_OUTSIDE,
	    &(struct segment){.flags = SW_TCP_ACK,
	        .seq = client_next(&s),
	        .ack = server_next_at_client(&s),
	        .payload_bytes = 3,
	        .options = &o});
	net_run(n);
	const struct frame f = expect_segment(&s, SW_INSIDE, SW_TCP_ACK, client_next(&s), server_next(&s), 3, 0);
	assert_int_equal(f.view.sack_blocks, blocks);
	for (unsigned int i = 0; i < blocks * 2; i++)
		assert_int_equal(at32(f.bytes + f.view.sack_offset + i * 4), edges[i] - from_server);
	if (with_timestamps) {
		assert_int_equal(f.view.tsecr, s.cookie_tsval - delta);
		assert_int_equal(f.view.tsval, 77);
	}

	/* From the server the blocks are in the client's numbers already; its clock is not. */
	struct options back = {.length = 0};
	for (unsigned int i = 0; i < before; i++)
		options_raw(&back, (const uint8_t[]){1}, 1);
	options_sack(&back, edges, blocks);
	if (with_timestamps)
		options_timestamps(&back, s.server_ts + 1, 77);
	options_pad(&back);
	session_put(&s, SW_INSIDE,
	    &(struct segment){.flags = SW_TCP_ACK, .seq = server_next(&s), .ack = client_next(&s), .options = &back});
	net_run(n);
	const struct frame g = expect_segment(&s, SW_OUTSIDE, SW_TCP_ACK, server_next_at_client(&s), client_next(&s), 0, 0);
	for (unsigned int i = 0; i < blocks * 2; i++)
		assert_int_equal(at32(g.bytes + g.view.sack_offset + i * 4), edges[i]);
	if (with_timestamps)
		assert_int_equal(g.view.tsval, s.server_ts + 1 + delta);
	session_close(&s);
}

static void options_at_any_offset(struct net *n)
{
	for (unsigned int before = 0; before < 3; before++) {
		for (unsigned int blocks = 1; blocks <= 4; blocks++) {
			sack_at(n, before, blocks, false, true);
			if (blocks > 2)
				continue; /* no room beside timestamps */
			sack_at(n, before, blocks, true, true);
			sack_at(n, before, blocks, true, false);
		}
	}
}

/* ---- windows
 * ------------------------------------------------------------------------------------------------------------- */

static const struct {
	int8_t promised;
	int client, server; /* scales they offer; -1: none */
	uint16_t from_server, at_client, from_client, at_server;
} windows[] = {
	{7, 9, 7, 509, 509, 500, 500},
	{7, 9, 8, 509, 1018, 500, 500},
	{7, 9, 14, 0xffff, 0xffff, 500, 500}, /* more than can be said */
	{7, 9, 0, 65535, 511, 500, 500},      /* rounded down */
	{7, 9, 0, 100, 1, 500, 500},          /* but never to zero */
	{7, 9, 0, 0, 0, 0, 0},
	{7, 9, 7, 0, 0, 0, 0},
	{0, 9, 10, 64, 65535, 500, 500}, /* 65,536 is one more than can be said */
	{0, 9, 10, 63, 64512, 500, 500},
	{7, 9, -1, 65535, 511, 100, 51200}, /* the server knows of no scales: nor of the client's */
	{7, 9, -1, 128, 1, 500, 65535},
	{7, 9, -1, 127, 1, 0, 0},
	{14, 14, 14, 3, 3, 4, 4},
	{14, 14, -1, 16384, 1, 3, 49152},
	{-1, 9, 7, 509, 509, 500, 500}, /* not granted, so not asked of the server */
	{7, -1, 7, 509, 509, 500, 500}, /* not offered */
	{7, 0, -1, 1280, 10, 500, 500},
};

static void windows_in_the_scale_each_end_knows(struct net *n)
{
	for (unsigned int i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
		struct session s = session_of(n, i);
		const struct sw_promise p = {.mss = 1400, .window_scale = windows[i].promised, .sack = 1, .timestamps = 1};
		net_promise(n, 0, &p);
		s.client_scale = windows[i].client;
		s.server_scale = windows[i].server;
		session_connect(&s);
		if (windows[i].promised < 0 || windows[i].client < 0)
			s.server_scale = -1; /* a server offers it only if it was offered it (RFC 7323, 1.3) */
		server_syn_ack(&s);
		net_run(n);
		net_discard(n);
		const struct options o = session_options(&s, SW_INSIDE), p_o = session_options(&s, SW_OUTSIDE);
		struct segment g = {
		    .flags = SW_TCP_ACK, .seq = server_next(&s), .ack = client_next(&s), .window = 1, .options = &o};
		struct frame f = session_frame(&s, SW_INSIDE, &g);
		struct sw_packet view;
		sw_frame_parse(f.bytes, f.length, SW_INSIDE, &view);
		f.bytes[view.l4_offset + 14] = (uint8_t)(windows[i].from_server >> 8); /* 0 means a default in a segment */
		f.bytes[view.l4_offset + 15] = (uint8_t)windows[i].from_server;
		frame_fix_checksums(&f, SW_INSIDE);
		net_put(n, SW_INSIDE, &f);
		net_run(n);
		assert_int_equal(net_expect(n, SW_OUTSIDE).view.window, windows[i].at_client);
		g = (struct segment){.flags = SW_TCP_ACK,
		    .seq = client_next(&s),
		    .ack = server_next_at_client(&s),
		    .window = 1,
		    .options = &p_o};
		f = session_frame(&s, SW_OUTSIDE, &g);
		sw_frame_parse(f.bytes, f.length, SW_OUTSIDE, &view);
		f.bytes[view.l4_offset + 14] = (uint8_t)(windows[i].from_client >> 8);
		f.bytes[view.l4_offset + 15] = (uint8_t)windows[i].from_client;
		frame_fix_checksums(&f, SW_OUTSIDE);
		net_put(n, SW_OUTSIDE, &f);
		net_run(n);
		assert_int_equal(net_expect(n, SW_INSIDE).view.window, windows[i].at_server);
	}
}

static void server_without_what_was_promised(struct net *n)
{
	struct session s = session_of(n, 1);

	session_connect(&s);
	s.timestamps = s.sack = false; /* the server's side of it */
	s.server_scale = -1;
	server_syn_ack(&s);
	net_run(n);
	const struct frame ack = expect_segment(&s, SW_INSIDE, SW_TCP_ACK, client_next(&s), server_next(&s), 0, 0);
	assert_int_equal(ack.view.timestamp_offset, 0);
	assert_int_equal(ack.view.window, 65535); /* the client's 500 << 9, as an unscaled server reads it */
	assert_count(n, PROFILE_MISMATCH, 1);
	struct sw_event event;
	assert_int_equal(rte_ring_sc_dequeue_elem(n->w->events, &event, sizeof(event)), 0);
	assert_int_equal(event.kind, SW_EVENT_PROFILE);
	assert_int_equal(event.profile.window_scale, -1);
	assert_int_equal(event.profile.timestamps, 0);
	assert_int_equal(event.profile.sack, 0);
	assert_int_equal(event.is_ipv6, n->flavour->is_ipv6);
	s.timestamps = true; /* the client goes on sending them */
	client_data(&s, 5);
	net_run(n);
	expect_segment(&s, SW_INSIDE, SW_TCP_ACK | SW_TCP_PSH, s.client_isn + 1, server_next(&s), 5, 0);
}

/* ---- ICMP errors
 * ------------------------------------------------------------------------------------------------------------ */

/* A router at `from` tells the sender of `about` (which travelled the other way) that it was too big. */
static struct frame icmp_error(
	const struct session *s, enum sw_side from, const struct segment *about, unsigned int quoted_tcp)
{
	const bool is_ipv6 = s->n->flavour->is_ipv6;
	const struct frame quoted = session_frame(s, from == SW_OUTSIDE ? SW_INSIDE : SW_OUTSIDE, about);
	struct frame f = session_frame(s, from, &(struct segment){.flags = SW_TCP_ACK});
	const unsigned int ip = 14 + 4u * s->n->flavour->tag_count, header = is_ipv6 ? 40 : 20, icmp = ip + header;
	const unsigned int bytes = 8 + header + quoted_tcp;

	memset(f.bytes + icmp, 0, 8);
	f.bytes[icmp] = is_ipv6 ? 2 : 3;
	f.bytes[icmp + 1] = is_ipv6 ? 0 : 4;
	f.bytes[icmp + 6] = 1280 >> 8;
	memcpy(f.bytes + icmp + 8, quoted.bytes + ip, header + quoted_tcp);
	f.length = (uint16_t)(icmp + bytes);
	if (is_ipv6) {
		f.bytes[ip + 4] = 0;
		f.bytes[ip + 5] = (uint8_t)bytes;
		f.bytes[ip + 6] = 58;
	} else {
		f.bytes[ip + 2] = 0;
		f.bytes[ip + 3] = (uint8_t)(header + bytes);
		f.bytes[ip + 9] = 1;
		memset(f.bytes + ip + 10, 0, 2);
		const uint16_t sum = sw_checksum_finish(sw_checksum_add(0, f.bytes + ip, 20));
		memcpy(f.bytes + ip + 10, &sum, 2);
	}
	uint64_t sum = is_ipv6 ? sw_checksum_pseudo_ipv6(f.bytes + ip + 8, f.bytes + ip + 24, 58, bytes) : 0;
	const uint16_t value = sw_checksum_finish(sw_checksum_add(sum, f.bytes + icmp, bytes));
	memcpy(f.bytes + icmp + 2, &value, 2);
	return f;
}

static void assert_icmp_sum(const struct frame *f, bool is_ipv6)
{
	const uint8_t *ip = f->bytes + f->view.l3_offset;
	const unsigned int bytes = (unsigned int)(f->view.frame_bytes - f->view.l4_offset);
	const uint64_t pseudo = is_ipv6 ? sw_checksum_pseudo_ipv6(ip + 8, ip + 24, 58, bytes) : 0;

	assert_int_equal(sw_checksum_fold(sw_checksum_add(pseudo, f->bytes + f->view.l4_offset, bytes)), 0xffff);
}

static void icmp_errors_reach_the_right_connection(struct net *n)
{
	struct session s = session_of(n, 1);

	session_establish(&s);
	session_exchange(&s, 100);
	for (unsigned int quoted = 8; quoted <= 24; quoted += 4) {
		/* Out there, about a segment of the server, as the box had sent it on: in the client's numbers. */
		struct frame f = icmp_error(&s, SW_OUTSIDE,
		    &(struct segment){
		        .flags = SW_TCP_ACK, .seq = server_next_at_client(&s), .ack = client_next(&s), .payload_bytes = 200},
		    quoted);
		net_put(n, SW_OUTSIDE, &f);
		net_run(n);
		f = net_expect(n, SW_INSIDE);
		assert_int_equal(f.view.kind, SW_PACKET_ICMP_ERROR);
		assert_int_equal(f.view.seq, server_next(&s));
		if (quoted >= 12)
			assert_int_equal(f.view.ack, client_next(&s));
		assert_icmp_sum(&f, n->flavour->is_ipv6);

		/* In here, about a segment of the client, in the server's numbers. */
		f = icmp_error(&s, SW_INSIDE,
		    &(struct segment){
		        .flags = SW_TCP_ACK, .seq = client_next(&s), .ack = server_next(&s), .payload_bytes = 200},
		    quoted);
		net_put(n, SW_INSIDE, &f);
		net_run(n);
		f = net_expect(n, SW_OUTSIDE);
		assert_int_equal(f.view.kind, SW_PACKET_ICMP_ERROR);
		assert_int_equal(f.view.seq, client_next(&s));
		if (quoted >= 12)
			assert_int_equal(f.view.ack, server_next_at_client(&s));
		assert_icmp_sum(&f, n->flavour->is_ipv6);
	}
	assert_count(n, ICMP_TRANSLATED, 10);
	assert_int_equal(net_dropped_all(n), 0);
}

static void icmp_errors_of_no_flow_pass_untouched(struct net *n)
{
	struct session s = session_of(n, 1);
	const struct frame f = icmp_error(&s, SW_OUTSIDE, &(struct segment){.flags = SW_TCP_ACK, .seq = 5}, 20);

	net_put(n, SW_OUTSIDE, &f);
	net_run(n);
	const struct frame g = net_expect_raw(n, SW_INSIDE);
	assert_int_equal(g.length, f.length);
	assert_memory_equal(g.bytes, f.bytes, f.length);
	assert_count(n, ICMP_TRANSLATED, 0);
}

/* ---- what else a segment may carry
 * --------------------------------------------------------------------------------------------- */

static void flags_and_pointers_pass(struct net *n)
{
	struct session s = session_of(n, 1);

	session_establish(&s);
	struct frame f = session_frame(&s, SW_INSIDE,
	    &(struct segment){.flags = SW_TCP_ACK | SW_TCP_URG | SW_TCP_ECE | SW_TCP_CWR,
	        .seq = server_next(&s),
	        .ack = client_next(&s),
	        .payload_bytes = 40});
	struct sw_packet view;
	sw_frame_parse(f.bytes, f.length, SW_INSIDE, &view);
	f.bytes[view.l4_offset + 19] = 17; /* urgent pointer */
	frame_fix_checksums(&f, SW_INSIDE);
	net_put(n, SW_INSIDE, &f);
	net_run(n);
	const struct frame g = expect_segment(&s, SW_OUTSIDE, SW_TCP_ACK | SW_TCP_URG | SW_TCP_ECE | SW_TCP_CWR,
	    server_next_at_client(&s), client_next(&s), 40, 0);
	assert_int_equal(g.bytes[g.view.l4_offset + 19], 17);
	/* All but the sequence number and the checksum is what the server sent. */
	assert_int_equal(g.length, f.length);
	assert_memory_equal(g.bytes, f.bytes, view.l4_offset + 4u);
	assert_memory_equal(g.bytes + view.l4_offset + 8, f.bytes + view.l4_offset + 8, 8);
	assert_memory_equal(g.bytes + view.l4_offset + 18, f.bytes + view.l4_offset + 18, f.length - view.l4_offset - 18u);
}

static void ecn_all_the_way(struct net *n)
{
	struct session s = session_of(n, 1);
	const struct sw_promise p = {.mss = 1400, .window_scale = 7, .sack = 1, .timestamps = 1, .ecn = 1, .known = 1};

	net_promise(n, 0, &p);
	s.ecn = true;
	client_syn(&s);
	net_run(n);
	assert_true(expect_syn_ack(&s).view.tcp_flags & SW_TCP_ECE);
	client_ack(&s);
	net_run(n);
	assert_int_equal(expect_server_syn(&s).view.tcp_flags, SW_TCP_SYN | SW_TCP_ECE | SW_TCP_CWR);
	server_syn_ack(&s);
	net_run(n);
	expect_segment(&s, SW_INSIDE, SW_TCP_ACK, client_next(&s), server_next(&s), 0, 0);
	assert_count(n, PROFILE_MISMATCH, 0);
}

static const struct net_case cases[] = {
	NET_CASE(numbers_both_ways, NULL),
	NET_CASE(without_timestamps, NULL),
	NET_CASE(connections_with_no_option_at_all, NULL),
	NET_CASE(options_at_any_offset, NULL),
	NET_CASE(windows_in_the_scale_each_end_knows, NULL),
	NET_CASE(server_without_what_was_promised, NULL),
	NET_CASE(icmp_errors_reach_the_right_connection, NULL),
	NET_CASE(icmp_errors_of_no_flow_pass_untouched, NULL),
	NET_CASE(flags_and_pointers_pass, NULL),
	NET_CASE(ecn_all_the_way, NULL),
};

int main(void)
{
	return net_run_cases("pipeline: translate", cases, sizeof(cases) / sizeof(cases[0]));
}
