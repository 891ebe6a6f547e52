/* SPDX-License-Identifier: BSD-3-Clause */
/* The proxied handshake seen from both ends: what the answers say, and which echoes of them count. */
#include "../core/random_prefixes.h"
#include "pipeline_model.h"

static void syn_gets_a_cookie_and_no_state(struct net *n)
{
	struct session s = session_of(n, 1);

	client_syn(&s);
	net_run(n);
	expect_syn_ack(&s);
	net_expect_nothing(n);
	assert_count(n, ANSWERED, 1);
	assert_count(n, SENT_SYN_ACK, 1);
	assert_count(n, SYN_RECEIVED, 1);
	assert_int_equal(n->w->flows.used, 0);
}

static void connection_opens_and_closes(struct net *n)
{
	struct session s = session_of(n, 1);

	session_establish(&s);
	net_expect_nothing(n);
	assert_count(n, COOKIE_VALID, 1);
	assert_count(n, FLOW_PROXIED, 1);
	assert_count(n, SENT_SYN, 1);
	assert_count(n, SENT_ACK, 1);
	assert_count(n, ABSORBED, 2); /* the client's ACK and the server's SYN-ACK */
	session_exchange(&s, 700);
	session_exchange(&s, 1);
	session_close(&s);
	assert_count(n, FLOW_CLOSED, 1);
	assert_int_equal(net_dropped_all(n), 0);
}

/* The slow way, with no code of the box: 16-bit words of `length` bytes. */
static uint32_t naive_sum(const uint8_t *bytes, unsigned int length)
{
	uint32_t sum = 0;

	for (unsigned int i = 0; i < length; i++)
		sum += (uint32_t)bytes[i] << (i % 2 ? 0 : 8);
	return sum;
}

static void assert_ones(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	assert_int_equal(sum, 0xffff);
}

/* Every byte that the box answers with, written down from the RFCs. */
static void syn_ack_byte_by_byte(struct net *n)
{
	struct session s = session_of(n, 3);
	uint8_t expected[128], *at = expected;
	const struct flavour *f = n->flavour;
	const unsigned int ip = 14 + 4u * f->tag_count, tcp = ip + (f->is_ipv6 ? 40 : 20), tcp_bytes = 20 + 20;

	client_syn(&s);
	const struct frame syn = session_frame(&s, SW_OUTSIDE, &(struct segment){.flags = SW_TCP_SYN});
	net_run(n);
	const struct frame a = expect_syn_ack(&s);
	assert_int_equal(a.length, tcp + tcp_bytes);
	memcpy(at, syn.bytes + 6, 6); /* MACs exchanged, tags and EtherType kept */
	memcpy(at + 6, syn.bytes, 6);
	memcpy(at + 12, syn.bytes + 12, ip - 12);
	at += ip;
	if (f->is_ipv6) {
		memcpy(at, (const uint8_t[]){0x60, 0, 0, 0, 0, tcp_bytes, 6, 64}, 8);
		memcpy(at + 8, s.server.bytes, 16);
		memcpy(at + 24, s.client.bytes, 16);
	} else { /* DF, no identification */
		memcpy(at,
		    (const uint8_t[]){0x45, 0, 0, 20 + tcp_bytes, 0, 0, 0x40, 0, 64, 6, a.bytes[ip + 10], a.bytes[ip + 11]},
		    12);
		memcpy(at + 12, s.server.bytes + 12, 4);
		memcpy(at + 16, s.client.bytes + 12, 4);
		assert_ones(naive_sum(a.bytes + ip, 20));
	}
	at = expected + tcp;
	memcpy(at, (const uint8_t[]){20000 >> 8, 20000 & 255, 40000 >> 8, 40000 & 255}, 4);
	memcpy(at + 4, a.bytes + tcp + 4, 4); /* the cookie itself: test_syncookie.c and tests/vectors */
	const uint32_t ack = s.client_isn + 1;
	memcpy(at + 8, (const uint8_t[]){(uint8_t)(ack >> 24), (uint8_t)(ack >> 16), (uint8_t)(ack >> 8), (uint8_t)ack}, 4);
	memcpy(at + 12,
	    (const uint8_t[]){tcp_bytes / 4 << 4, 0x12, 16384 >> 8, 0, a.bytes[tcp + 16], a.bytes[tcp + 17], 0, 0}, 8);
	memcpy(at + 20, (const uint8_t[]){2, 4, 1400 >> 8, 1400 & 255, 4, 2, 8, 10}, 8);
	memcpy(at + 28, a.bytes + tcp + 28, 4); /* TSval: the cookie's other half */
	memcpy(at + 32, (const uint8_t[]){0, 0, (uint8_t)(s.client_ts >> 8), (uint8_t)s.client_ts, 1, 3, 3, 7}, 8);
	assert_memory_equal(a.bytes, expected, a.length);
	const unsigned int addresses = f->is_ipv6 ? 32 : 8;
	assert_ones(naive_sum(a.bytes + tcp - addresses, addresses) + 6 + tcp_bytes + naive_sum(a.bytes + tcp, tcp_bytes));
}

/* What the client offers, what the server is known to keep, and what the answer then says. */
static const struct {
	bool timestamps, sack, ecn;
	int scale;
	struct sw_promise server;
	bool timestamps_granted, sack_granted, ecn_granted;
	int scale_granted;
} offers[] = {
	{true, true, true, 9, {.mss = 1400, .window_scale = 7, .sack = 1, .timestamps = 1, .ecn = 1}, true, true, true, 7},
	{true, true, true, 0, {.mss = 1400, .window_scale = 0, .sack = 1, .timestamps = 1, .ecn = 0}, true, true, false, 0},
	{false, true, true, 9, {.mss = 536, .window_scale = 14, .sack = 1, .timestamps = 1, .ecn = 1}, false, true, false,
		14},
	{true, false, false, -1, {.mss = 9000, .window_scale = 7, .sack = 1, .timestamps = 1, .ecn = 1}, true, false, false,
		-1},
	{true, true, false, 9, {.mss = 1400, .window_scale = -1, .sack = 0, .timestamps = 0, .ecn = 0}, false, false, false,
		-1},
	{false, false, false, -1, {.mss = 1400, .window_scale = -1, .sack = 0, .timestamps = 0, .ecn = 0}, false, false,
		false, -1},
	{true, true, false, 14, {.mss = 65535, .window_scale = 0, .sack = 1, .timestamps = 0, .ecn = 0}, false, true, false,
		0},
};

static void answer_grants_what_both_can(struct net *n)
{
	for (unsigned int i = 0; i < sizeof(offers) / sizeof(offers[0]); i++) {
		struct session s = session_of(n, 10 + i);
		s.timestamps = offers[i].timestamps;
		s.sack = offers[i].sack;
		s.ecn = offers[i].ecn;
		s.client_scale = offers[i].scale;
		net_promise(n, 0, &offers[i].server);
		client_syn(&s);
		net_run(n);
		const struct frame a = expect_syn_ack(&s);
		assert_int_equal(a.view.mss, offers[i].server.mss);
		assert_int_equal(a.view.window_scale, offers[i].scale_granted);
		assert_int_equal(a.view.timestamp_offset != 0, offers[i].timestamps_granted);
		assert_int_equal((a.view.options & SW_OPTION_SACK_PERMITTED) != 0, offers[i].sack_granted);
		assert_int_equal((a.view.tcp_flags & SW_TCP_ECE) != 0, offers[i].ecn_granted);

		/* And what is granted reaches the server, built from the echo alone. */
		s.timestamps = offers[i].timestamps_granted;
		client_ack(&s);
		net_run(n);
		const struct frame syn = expect_server_syn(&s);
		assert_int_equal(syn.view.mss, 1460);
		assert_int_equal(syn.view.window_scale < 0, offers[i].scale_granted < 0);
		if (offers[i].scale_granted >= 0 && offers[i].timestamps_granted)
			assert_int_equal(syn.view.window_scale, offers[i].scale);
		assert_int_equal(syn.view.timestamp_offset != 0, offers[i].timestamps_granted);
		assert_int_equal((syn.view.options & SW_OPTION_SACK_PERMITTED) != 0, offers[i].sack_granted);
		assert_int_equal((syn.view.tcp_flags & (SW_TCP_ECE | SW_TCP_CWR)) != 0, offers[i].ecn_granted);
		if (offers[i].timestamps_granted)
			assert_int_equal(syn.view.tsval, s.client_ts);
	}
}

/*
 * SYNs of both families, with and without tags, that ask for whatever they may, go through in bursts; each is answered as
 * if it came alone. `kinds`: how many ways of asking there are.
 */
static void bursts_are_answered_like_single_syns(struct net *n)
{
	static const uint32_t kinds[] = {1, 2, 5, 20, 1000};
	struct session s[SW_BURST];
	const struct flavour *of[SW_BURST];
	struct frame together[SW_BURST];
	uint64_t random = 9;

	for (unsigned int round = 0; round < 40; round++) {
		if (round == 20) /* from here on both families keep the same */
			net_promise(n, 0, &(struct sw_promise){.mss = 1234, .window_scale = 3, 1, 1, 1});
		for (unsigned int i = 0; i < SW_BURST; i++) {
			uint64_t kind = random_below(&random, kinds[round % 5]) * 0x9e3779b97f4a7c15ull;
			n->flavour = of[i] = &flavours[random_below(&random, round % 2 ? FLAVOURS : 1)];
			s[i] = session_of(n, round * SW_BURST + i);
			s[i].timestamps = kind >> 63;
			s[i].sack = kind >> 62 & 1;
			s[i].ecn = kind >> 61 & 1;
			s[i].client_scale = (int)(kind >> 57 & 15) - 1;
			s[i].client_mss = (uint16_t)(kind >> 40);
			client_syn(&s[i]);
		}
		net_run(n);
		for (unsigned int i = 0; i < SW_BURST; i++)
			together[i] = net_expect(n, SW_OUTSIDE);
		for (unsigned int i = 0; i < SW_BURST; i++) {
			n->flavour = of[i];
			client_syn(&s[i]);
			net_run(n);
			const struct frame alone = net_expect(n, SW_OUTSIDE);
			assert_int_equal(together[i].length, alone.length);
			assert_memory_equal(together[i].bytes, alone.bytes, alone.length);
		}
	}
	assert_count(n, SENT_SYN_ACK, 40 * 2 * SW_BURST);
	assert_int_equal(net_dropped_all(n), 0);
}

static void syn_data_and_unknown_options_are_not_reflected(struct net *n)
{
	static const uint8_t fast_open[] = {34, 10, 1, 2, 3, 4, 5, 6, 7, 8}, multipath[] = {30, 4, 0, 1},
	                     odd[] = {200, 3, 0xee};
	struct session s = session_of(n, 1);
	struct options o = {.length = 0};

	options_mss(&o, 1460);
	options_raw(&o, fast_open, sizeof(fast_open));
	options_raw(&o, multipath, sizeof(multipath));
	options_raw(&o, odd, sizeof(odd));
	options_pad(&o);
	session_put(&s, SW_OUTSIDE,
	    &(struct segment){.flags = SW_TCP_SYN, .seq = s.client_isn, .payload_bytes = 300, .options = &o});
	net_run(n);
	const struct frame a = expect_syn_ack(&s); /* acknowledges the SYN alone */
	assert_int_equal(a.view.options, 0);
	assert_int_equal(a.view.payload_offset - a.view.l4_offset, 24); /* MSS */
}

/* ---- which echoes count
 * ------------------------------------------------------------------------------------------------ */

static void cookie_lives_two_epochs(struct net *n)
{
	static const struct {
		uint32_t epochs;
		int dropped; /* enum sw_drop_reason, -1: valid */
	} ages[] = {
	    {0, -1}, {1, -1}, {2, SW_DROP_COOKIE_EXPIRED}, {3, SW_DROP_COOKIE_INVALID}, {4, SW_DROP_COOKIE_INVALID}};

	for (unsigned int i = 0; i < sizeof(ages) / sizeof(ages[0]); i++) {
		struct session s = session_of(n, 20 + i);
		const uint64_t before = ages[i].dropped < 0 ? 0 : net_dropped(n, (enum sw_drop_reason)ages[i].dropped);
		s.timestamps = i % 2;
		client_syn(&s);
		net_run(n);
		expect_syn_ack(&s);
		net_epochs_pass(n, ages[i].epochs);
		client_ack(&s);
		net_run(n);
		if (ages[i].dropped < 0) {
			expect_server_syn(&s);
			continue;
		}
		net_expect_nothing(n);
		assert_int_equal(net_dropped(n, (enum sw_drop_reason)ages[i].dropped), before + 1);
	}
}

static void echo_of_something_else_is_refused(struct net *n)
{
	for (unsigned int what = 0; what < 7; what++) {
		struct session s = session_of(n, 1), other = s;
		client_syn(&s);
		net_run(n);
		expect_syn_ack(&s);
		other = s;
		switch (what) {
		case 0:
			other.cookie_isn += 0x100;
			break;
		case 1:
			other.client_isn++;
			break;
		case 2:
			other.client_port++;
			break;
		case 3:
			other.client.bytes[15]++;
			break;
		case 4:
			other.cookie_isn ^= 0x20;
			break; /* another MSS */
		case 5:
			other.cookie_tsval ^= 0x40;
			break;
		case 6:
			other.timestamps = false;
			break; /* the echo says nothing of the other half */
		}
		client_ack(&other);
		net_run(n);
		net_expect_nothing(n);
		assert_dropped(n, COOKIE_INVALID, what + 1);
	}
	assert_count(n, COOKIE_VALID, 0);
}

static void another_vlan_is_another_connection(struct net *n)
{
	struct session s = session_of(n, 1);

	client_syn(&s);
	net_run(n);
	expect_syn_ack(&s);
	for (unsigned int i = 0; i < FLAVOURS; i++) {
		const struct flavour *own = n->flavour;
		if (flavours[i].is_ipv6 != own->is_ipv6 || flavours[i].tag_count == own->tag_count)
			continue;
		n->flavour = &flavours[i];
		client_ack(&s);
		n->flavour = own;
	}
	net_run(n);
	net_expect_nothing(n);
	assert_dropped(n, COOKIE_INVALID, 2);
}

/* A tag of VLAN 0 is a priority: the server's host answers without one. */
static void priority_tags_are_no_vlan(struct net *n)
{
	const struct flavour *own = n->flavour;
	struct flavour client = *own;
	struct session s = session_of(n, 1);

	if (own->tag_count > 1)
		return;
	client.tags[client.tag_count].type = 0x8100;
	client.tags[client.tag_count++].id = 5 << 13;
	n->flavour = &client;
	session_connect(&s); /* whose frames keep the tag, both ways */
	n->flavour = own;
	server_syn_ack(&s);
	net_run(n);
	assert_int_equal(net_expect(n, SW_INSIDE).view.tcp_flags, SW_TCP_ACK);
	for (unsigned int i = 0; i < 3; i++) {
		n->flavour = &client;
		const uint32_t seq = client_next(&s);
		client_data(&s, 100);
		net_run(n);
		expect_segment(&s, SW_INSIDE, SW_TCP_ACK | SW_TCP_PSH, seq, server_next(&s), 100, i * 100);
		n->flavour = own;
		server_ack(&s);
		net_run(n);
		expect_segment(&s, SW_OUTSIDE, SW_TCP_ACK, server_next_at_client(&s), client_next(&s), 0, 0);
	}
}

/* The promise of the epoch in which the cookie was made, not of the one in which it comes back. */
static void promise_of_the_cookies_epoch_counts(struct net *n)
{
	struct session s = session_of(n, 1);
	const struct sw_promise small = {.mss = 1400, .window_scale = 2, .sack = 1, .timestamps = 1, .known = 1};

	client_syn(&s);
	net_run(n);
	assert_int_equal(expect_syn_ack(&s).view.window_scale, 7);
	net_epochs_pass(n, 1);
	for (unsigned int family = 0; family < 2; family++)
		n->box.shared.promises[0][family][(NET_EPOCH + 1) & 1] = small;
	client_ack(&s);
	net_run(n);
	expect_server_syn(&s);
	assert_int_equal(session_flow(&s)->promised_scale, 7);
	struct session t = session_of(n, 2);
	client_syn(&t);
	net_run(n);
	assert_int_equal(expect_syn_ack(&t).view.window_scale, 2);
}

/* Nothing of the burst before is in an answer once what it was made of has changed. */
static void answers_follow_what_changes(struct net *n)
{
	static const struct sw_promise first = {.mss = 1400, .window_scale = 7, .sack = 1, .timestamps = 1, .known = 1};
	static const struct sw_promise then = {.mss = 1300, .window_scale = 5, .sack = 1, .timestamps = 1, .known = 1};
	struct session s = session_of(n, 1);

	for (unsigned int i = 0; i < 2; i++) {
		net_promise(n, 0, i ? &then : &first);
		client_syn(&s);
		net_run(n);
		const struct frame a = expect_syn_ack(&s);
		assert_int_equal(a.view.mss, i ? 1300 : 1400);
		assert_int_equal(a.view.window_scale, i ? 5 : 7);
		assert_int_equal(a.view.window, 16384);
	}
	n->draft.global.held_bytes_per_flow = 20000;
	net_new_policy(n);
	client_syn(&s);
	net_run(n);
	assert_int_equal(expect_syn_ack(&s).view.window, 20000);
	net_epochs_pass(n, 1);
	client_syn(&s);
	net_run(n);
	assert_int_equal(expect_syn_ack(&s).view.seq & 1, (NET_EPOCH + 1) & 1);
	session_connect(&s); /* its cookie is of the key that it says */
}

static void syn_again_gets_the_same_answer(struct net *n)
{
	struct session s = session_of(n, 1);

	client_syn(&s);
	client_syn(&s); /* in one burst */
	net_run(n);
	const uint32_t first = expect_syn_ack(&s).view.seq;
	assert_int_equal(expect_syn_ack(&s).view.seq, first);
	client_ack(&s);
	net_run(n);
	expect_server_syn(&s);
	client_syn(&s); /* overtaken by its own ACK */
	net_run(n);
	assert_int_equal(expect_syn_ack(&s).view.seq, first);
	client_ack(&s);
	net_run(n);
	net_expect_nothing(n);
	assert_count(n, FLOW_PROXIED, 1);
	server_syn_ack(&s);
	net_run(n);
	expect_segment(&s, SW_INSIDE, SW_TCP_ACK, client_next(&s), server_next(&s), 0, 0);
	session_exchange(&s, 10);
}

/* The ACK of a connection that is over, again: no second connection to the server. */
static void old_cookie_opens_nothing_while_its_flow_closes(struct net *n)
{
	struct session s = session_of(n, 1), begin;

	session_connect(&s);
	begin = s;
	server_syn_ack(&s);
	net_run(n);
	net_discard(n);
	session_exchange(&s, 5);
	session_close(&s);
	client_syn(&s); /* so that its ACKs may be cookies again */
	net_run(n);
	net_discard(n);
	client_ack(&begin);
	net_run(n);
	const struct frame f = net_expect(n, SW_INSIDE);
	assert_int_equal(f.view.tcp_flags, SW_TCP_ACK);
	net_expect_nothing(n);
	assert_count(n, FLOW_PROXIED, 1);
}

static const struct net_case cases[] = {
	NET_CASE(syn_gets_a_cookie_and_no_state, NULL),
	NET_CASE(connection_opens_and_closes, NULL),
	NET_CASE(syn_ack_byte_by_byte, NULL),
	NET_CASE(answer_grants_what_both_can, NULL),
	NET_CASE_ONCE(bursts_are_answered_like_single_syns, NULL),
	NET_CASE(syn_data_and_unknown_options_are_not_reflected, NULL),
	NET_CASE(cookie_lives_two_epochs, NULL),
	NET_CASE(echo_of_something_else_is_refused, NULL),
	NET_CASE(another_vlan_is_another_connection, NULL),
	NET_CASE(priority_tags_are_no_vlan, NULL),
	NET_CASE(promise_of_the_cookies_epoch_counts, NULL),
	NET_CASE(answers_follow_what_changes, NULL),
	NET_CASE(syn_again_gets_the_same_answer, NULL),
	NET_CASE(old_cookie_opens_nothing_while_its_flow_closes, NULL),
};

int main(void)
{
	return net_run_cases("pipeline: handshake", cases, sizeof(cases) / sizeof(cases[0]));
}
