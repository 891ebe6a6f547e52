/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the client's proof and the server's answer: early data, retries, refusals, old connections, bursts. */
#include "pipeline_model.h"

/* ---- early data
 * ------------------------------------------------------------------------------------------------------ */

/* The client proves itself with its first data; its bare ACK is lost. */
static void prove_with_data(struct session *s, uint16_t bytes)
{
	client_syn(s);
	net_run(s->n);
	expect_syn_ack(s);
	client_data(s, bytes);
	net_run(s->n);
	expect_server_syn(s);
}

/* Segment after segment of `bytes` each, from the beginning, as the server shall get them. */
static void expect_released(struct session *s, unsigned int count, uint16_t bytes)
{
	for (unsigned int i = 0; i < count; i++)
		expect_segment(
		    s, SW_INSIDE, SW_TCP_ACK | SW_TCP_PSH, s->client_isn + 1 + i * bytes, server_next(s), bytes, i * bytes);
}

static void early_data_is_held_and_released(struct net *n)
{
	struct session s = session_of(n, 1);

	prove_with_data(&s, 400);
	assert_count(n, HELD, 1);
	assert_count(n, ABSORBED, 0);
	client_data(&s, 400);
	client_data(&s, 400);
	net_run(n);
	net_expect_nothing(n);
	assert_count(n, HELD, 3);
	assert_int_equal(n->w->held_used, 3);
	server_syn_ack(&s);
	net_run(n);
	expect_released(&s, 3, 400); /* which completes the handshake as well: no ACK of its own */
	net_expect_nothing(n);
	assert_count(n, HELD, 0);
	assert_count(n, FORWARDED, 3);
	assert_count(n, SENT_ACK, 0);
	assert_int_equal(net_dropped_all(n), 0);
	session_exchange(&s, 50);
	session_close(&s);
}

static void early_fin_closes_later(struct net *n)
{
	struct session s = session_of(n, 1);

	prove_with_data(&s, 100);
	client_fin(&s);
	net_run(n);
	assert_count(n, HELD, 2);
	server_syn_ack(&s);
	net_run(n);
	expect_released(&s, 1, 100);
	expect_segment(&s, SW_INSIDE, SW_TCP_ACK | SW_TCP_FIN, s.client_isn + 101, server_next(&s), 0, 0);
	const uint32_t seq = server_next_at_client(&s);
	server_fin(&s);
	net_run(n);
	expect_segment(&s, SW_OUTSIDE, SW_TCP_ACK | SW_TCP_FIN, seq, client_next(&s), 0, 0);
	assert_int_equal(session_flow(&s)->state, SW_FLOW_ESTABLISHED);
	client_ack(&s);
	net_run(n);
	net_discard(n);
	assert_int_equal(session_flow(&s)->state, SW_FLOW_CLOSING);
}

static void early_data_out_of_order(struct net *n)
{
	struct session s = session_of(n, 1), late;

	session_connect(&s);
	late = s;
	s.client_sent = 200;
	client_data(&s, 200); /* overtakes the first 200 bytes */
	client_data(&late, 200);
	net_run(n);
	assert_count(n, HELD, 2);
	client_data(&late, 200); /* again what is there */
	net_run(n);
	assert_count(n, HELD, 2);
	assert_count(n, ABSORBED, 2);
	server_syn_ack(&s);
	net_run(n);
	expect_segment(&s, SW_INSIDE, SW_TCP_ACK | SW_TCP_PSH, s.client_isn + 201, server_next(&s), 200, 200);
	expect_segment(&s, SW_INSIDE, SW_TCP_ACK | SW_TCP_PSH, s.client_isn + 1, server_next(&s), 200, 0);
	session_exchange(&s, 9);
}

static void early_data_again_is_absorbed(struct net *n)
{
	struct session s = session_of(n, 1), again;

	session_connect(&s);
	again = s;
	client_data(&s, 200);
	client_data(&again, 100); /* part of it */
	client_ack(&s);
	net_run(n);
	net_expect_nothing(n);
	assert_count(n, HELD, 1);
	assert_count(n, ABSORBED, 3);
	server_syn_ack(&s);
	net_run(n);
	expect_released(&s, 1, 200);
	net_expect_nothing(n);
}

static void shape_small_hold(struct draft *d)
{
	d->boot.held_pkts = 5;
	d->global.held_pkts_per_flow = 3;
	d->global.held_bytes_per_flow = 1000;
}

static void early_data_is_bounded(struct net *n)
{
	struct session a = session_of(n, 1), b = session_of(n, 2), c = session_of(n, 3);

	session_connect(&a);
	for (int i = 0; i < 5; i++)
		client_data(&a, 10);
	net_run(n);
	assert_count(n, HELD, 3);
	assert_dropped(n, HELD_FULL, 2); /* too many of one flow */
	session_connect(&b);
	client_data(&b, 900);
	client_data(&b, 101);
	client_data(&b, 100);
	net_run(n);
	assert_count(n, HELD, 5);
	assert_dropped(n, HELD_FULL, 3); /* the second of them: too many bytes */
	session_connect(&c);
	client_data(&c, 1);
	client_data(&c, 1);
	net_run(n);
	assert_count(n, HELD, 5);
	assert_dropped(n, HELD_FULL, 5); /* too many of all */
	server_syn_ack(&a);
	net_run(n);
	expect_released(&a, 3, 10);
	client_data(&c, 1); /* there is room again */
	net_run(n);
	assert_count(n, HELD, 3);
}

static void proof_without_room_for_its_data(struct net *n)
{
	struct session s = session_of(n, 1);

	prove_with_data(&s, 1001);
	assert_count(n, HELD, 0);
	assert_dropped(n, HELD_FULL, 1);
	s.client_sent = 0;
	server_syn_ack(&s);
	net_run(n);
	expect_segment(&s, SW_INSIDE, SW_TCP_ACK, client_next(&s), server_next(&s), 0, 0);
	session_exchange(&s, 1001);
}

/* ---- either end gives up
 * ------------------------------------------------------------------------------------------------ */

static void client_resets_while_connecting(struct net *n)
{
	struct session s = session_of(n, 1);

	prove_with_data(&s, 77);
	client_rst(&s);
	net_run(n);
	expect_rst(&s, SW_INSIDE, s.client_isn + 1); /* the server knows nothing of the data */
	net_expect_nothing(n);
	assert_null(session_flow(&s));
	assert_dropped(n, HELD_DISCARDED, 1);
	assert_count(n, HELD, 0);
	assert_count(n, FLOW_CLOSED, 1);
}

static void server_refuses(struct net *n)
{
	struct session s = session_of(n, 1);

	prove_with_data(&s, 77);
	server_refuse(&s);
	net_run(n);
	expect_rst(&s, SW_OUTSIDE, s.cookie_isn + 1);
	net_expect_nothing(n);
	assert_null(session_flow(&s));
	assert_count(n, SERVER_REFUSED, 1);
	assert_dropped(n, HELD_DISCARDED, 1);
}

static void refusal_of_another_syn_is_ignored(struct net *n)
{
	struct session s = session_of(n, 1), other;

	session_connect(&s);
	other = s;
	other.client_isn += 5;
	server_refuse(&other);
	net_run(n);
	net_expect_nothing(n);
	assert_dropped(n, OUT_OF_WINDOW, 1);
	assert_int_equal(session_flow(&s)->state, SW_FLOW_CONNECTING);
}

static void silent_server_is_asked_again_then_given_up(struct net *n)
{
	struct session s = session_of(n, 1);

	prove_with_data(&s, 77);
	for (unsigned int retry = 0; retry < 3; retry++) { /* server_syn_retries */
		assert_in_range(net_wait(n, SW_INSIDE, 99999), (1000u << retry) - 1, (1000u << retry) + 1);
		const struct frame f = expect_server_syn(&s);
		assert_int_equal(f.view.mss, 1460);
	}
	assert_count(n, SENT_SYN, 4);
	assert_in_range(net_wait(n, SW_OUTSIDE, 99999), 7999, 8001);
	expect_rst(&s, SW_OUTSIDE, s.cookie_isn + 1);
	assert_null(session_flow(&s));
	assert_count(n, SERVER_SILENT, 1);
	assert_count(n, SENT_RST, 1);
	assert_dropped(n, HELD_DISCARDED, 1);
	net_pass_ms(n, 20000);
	net_expect_nothing(n);
}

static void late_answer_still_counts(struct net *n)
{
	struct session s = session_of(n, 1);

	prove_with_data(&s, 30);
	net_pass_ms(n, 4000);
	expect_server_syn(&s);
	expect_server_syn(&s);
	server_syn_ack(&s);
	net_run(n);
	expect_released(&s, 1, 30);
	net_pass_ms(n, 30000);
	net_expect_nothing(n);
	session_exchange(&s, 20);
}

static void many_silent_servers_in_order(struct net *n)
{
	for (unsigned int i = 0; i < 100; i++) {
		struct session s = session_of(n, i);
		session_connect(&s);
		net_pass_ms(n, 3);
	}
	net_pass_ms(n, 20000);
	assert_int_equal(net_discard(n), 100 * 3 + 100);
	assert_count(n, SERVER_SILENT, 100);
	assert_int_equal(n->w->flows.used, 0);
}

/* ---- old connections at the server
 * ---------------------------------------------------------------------------------------- */

static void old_connection_is_broken(struct net *n, uint8_t flags)
{
	struct session s = session_of(n, 1);

	session_connect(&s);
	session_put(&s, SW_INSIDE, &(struct segment){.flags = flags, .seq = 7777, .ack = 8888});
	net_run(n);
	expect_rst(&s, SW_INSIDE, 8888);
	expect_server_syn(&s); /* at once, not only when the timer says so */
	net_expect_nothing(n);
	session_put(&s, SW_INSIDE, &(struct segment){.flags = flags, .seq = 7777, .ack = 8888});
	net_run(n);
	expect_rst(&s, SW_INSIDE, 8888);
	net_expect_nothing(n); /* but once */
	server_syn_ack(&s);
	net_run(n);
	expect_segment(&s, SW_INSIDE, SW_TCP_ACK, client_next(&s), server_next(&s), 0, 0);
	session_exchange(&s, 10);
}

static void challenge_ack_of_an_old_connection(struct net *n)
{
	old_connection_is_broken(n, SW_TCP_ACK);
}

static void syn_ack_of_an_old_half_open_connection(struct net *n)
{
	old_connection_is_broken(n, SW_TCP_SYN | SW_TCP_ACK);
}

static void fin_of_an_old_connection(struct net *n)
{
	old_connection_is_broken(n, SW_TCP_ACK | SW_TCP_FIN);
}

static void lost_ack_to_the_server(struct net *n)
{
	struct session s = session_of(n, 1);

	session_establish(&s);
	server_syn_ack(&s); /* again */
	net_run(n);
	expect_segment(&s, SW_INSIDE, SW_TCP_ACK, client_next(&s), server_next(&s), 0, 0);
	net_expect_nothing(n);
	assert_count(n, SENT_ACK, 2);
	session_exchange(&s, 10);
}

static void lost_first_data_to_the_server(struct net *n)
{
	struct session s = session_of(n, 1);

	prove_with_data(&s, 60);
	server_syn_ack(&s);
	net_run(n);
	net_discard(n); /* lost on its way */
	server_syn_ack(&s);
	net_run(n);
	expect_segment(
	    &s, SW_INSIDE, SW_TCP_ACK, s.client_isn + 1, server_next(&s), 0, 0); /* not beyond what the server has */
	s.client_sent = 0;
	session_exchange(&s, 60);
}

/* ---- out of place
 * ---------------------------------------------------------------------------------------------------------- */

static void strange_segments_while_connecting(struct net *n)
{
	struct session s = session_of(n, 1);
	const struct segment strange[] = {
	    {.flags = SW_TCP_ACK, .seq = s.client_isn, .payload_bytes = 1},             /* before the beginning */
	    {.flags = SW_TCP_ACK, .seq = s.client_isn + 1 + 70000, .payload_bytes = 1}, /* far behind */
	    {.flags = SW_TCP_RST, .seq = s.client_isn + 1 + 70000},
	    {.flags = SW_TCP_ACK, .seq = s.client_isn + 1, .ack = 12345, .payload_bytes = 1}, /* of something else */
	};

	session_connect(&s);
	for (unsigned int i = 0; i < 4; i++) {
		struct segment g = strange[i];
		if (g.ack == 0)
			g.ack = s.cookie_isn + 1;
		session_put(&s, SW_OUTSIDE, &g);
	}
	session_put(&s, SW_INSIDE, &(struct segment){.flags = SW_TCP_ACK, .seq = 1, .ack = s.client_isn + 1});
	session_put(&s, SW_INSIDE, &(struct segment){.flags = SW_TCP_RST, .seq = 1});
	net_run(n);
	net_expect_nothing(n);
	assert_dropped(n, OUT_OF_WINDOW, 6);
	assert_int_equal(session_flow(&s)->state, SW_FLOW_CONNECTING);
}

/* ---- packets of one burst that depend on each other
 * --------------------------------------------------------------------- */

static void ack_and_data_in_one_burst(struct net *n)
{
	struct session s = session_of(n, 1);

	client_syn(&s);
	net_run(n);
	expect_syn_ack(&s);
	client_ack(&s);
	client_data(&s, 10);
	client_data(&s, 10);
	client_fin(&s);
	net_run(n);
	expect_server_syn(&s);
	net_expect_nothing(n);
	assert_count(n, FLOW_PROXIED, 1);
	assert_count(n, HELD, 3);
	assert_int_equal(net_dropped_all(n), 0);
	server_syn_ack(&s);
	net_run(n);
	expect_released(&s, 2, 10);
}

static void ack_and_reset_in_one_burst(struct net *n)
{
	struct session s = session_of(n, 1);

	client_syn(&s);
	net_run(n);
	expect_syn_ack(&s);
	client_ack(&s);
	client_rst(&s);
	net_run(n);
	expect_server_syn(&s);
	expect_rst(&s, SW_INSIDE, s.client_isn + 1);
	assert_null(session_flow(&s));
	assert_int_equal(net_dropped_all(n), 0);
}

static void reset_then_new_connection_in_one_burst(struct net *n)
{
	struct session s = session_of(n, 1), next;

	session_connect(&s);
	next = session_again(&s);
	client_rst(&s);
	client_syn(&next);
	net_run(n);
	expect_rst(&s, SW_INSIDE, s.client_isn + 1);
	expect_syn_ack(&next);
	client_ack(&next);
	net_run(n);
	expect_server_syn(&next);
}

static void many_open_in_one_burst(struct net *n)
{
	struct session s[SW_BURST];

	for (unsigned int i = 0; i < SW_BURST; i++) {
		s[i] = session_of(n, i);
		client_syn(&s[i]);
	}
	net_run(n);
	for (unsigned int i = 0; i < SW_BURST; i++)
		expect_syn_ack(&s[i]);
	for (unsigned int i = 0; i < SW_BURST; i++)
		client_ack(&s[i]);
	net_run(n);
	for (unsigned int i = 0; i < SW_BURST; i++)
		expect_server_syn(&s[i]);
	for (unsigned int i = 0; i < SW_BURST; i++)
		server_syn_ack(&s[i]);
	net_run(n);
	for (unsigned int i = 0; i < SW_BURST; i++)
		expect_segment(&s[i], SW_INSIDE, SW_TCP_ACK, client_next(&s[i]), server_next(&s[i]), 0, 0);
	for (unsigned int i = 0; i < SW_BURST; i++)
		session_exchange(&s[i], (uint16_t)(i + 1));
}

static const struct net_case cases[] = {
	NET_CASE(early_data_is_held_and_released, NULL),
	NET_CASE(early_fin_closes_later, NULL),
	NET_CASE(early_data_out_of_order, NULL),
	NET_CASE(early_data_again_is_absorbed, NULL),
	NET_CASE(early_data_is_bounded, shape_small_hold),
	NET_CASE(proof_without_room_for_its_data, shape_small_hold),
	NET_CASE(client_resets_while_connecting, NULL),
	NET_CASE(server_refuses, NULL),
	NET_CASE(refusal_of_another_syn_is_ignored, NULL),
	NET_CASE(silent_server_is_asked_again_then_given_up, NULL),
	NET_CASE(late_answer_still_counts, NULL),
	NET_CASE_ONCE(many_silent_servers_in_order, NULL),
	NET_CASE(challenge_ack_of_an_old_connection, NULL),
	NET_CASE(syn_ack_of_an_old_half_open_connection, NULL),
	NET_CASE(fin_of_an_old_connection, NULL),
	NET_CASE(lost_ack_to_the_server, NULL),
	NET_CASE(lost_first_data_to_the_server, NULL),
	NET_CASE(strange_segments_while_connecting, NULL),
	NET_CASE(ack_and_data_in_one_burst, NULL),
	NET_CASE(ack_and_reset_in_one_burst, NULL),
	NET_CASE(reset_then_new_connection_in_one_burst, NULL),
	NET_CASE(many_open_in_one_burst, NULL),
};

int main(void)
{
	return net_run_cases("pipeline: connect", cases, sizeof(cases) / sizeof(cases[0]));
}
