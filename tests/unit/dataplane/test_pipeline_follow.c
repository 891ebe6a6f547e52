/* SPDX-License-Identifier: BSD-3-Clause */
/* A connection that is up, as the box follows it: resets, closes, keep-alives, and what nobody should believe. */
#include "pipeline_model.h"

/* ---- resets, closes, keep-alives
 * --------------------------------------------------------------------------------------------- */

static void resets_are_translated_and_end_the_flow(struct net *n)
{
	for (unsigned int side = 0; side < SW_SIDES; side++) {
		struct session s = session_of(n, side);
		session_establish(&s);
		session_exchange(&s, 100);
		if (side == SW_OUTSIDE)
			client_rst(&s);
		else
			server_rst(&s);
		net_run(n);
		expect_rst(&s, side == SW_OUTSIDE ? SW_INSIDE : SW_OUTSIDE,
		    side == SW_OUTSIDE ? client_next(&s) : server_next_at_client(&s));
		assert_int_equal(session_flow(&s)->state, SW_FLOW_CLOSING);
		assert_count(n, FLOW_CLOSED, side + 1);
	}
	assert_int_equal(n->w->service_budgets[0].concurrent, 0);
}

static void resets_out_of_window_are_dropped(struct net *n)
{
	struct session s = session_of(n, 1);

	session_establish(&s);
	session_exchange(&s, 100);
	session_put(&s, SW_OUTSIDE, &(struct segment){.flags = SW_TCP_RST, .seq = client_next(&s) - 1000});
	session_put(&s, SW_OUTSIDE, &(struct segment){.flags = SW_TCP_RST, .seq = client_next(&s) + (1u << 20)});
	session_put(&s, SW_OUTSIDE, &(struct segment){.flags = SW_TCP_RST, .seq = client_next(&s) + (1u << 31)});
	session_put(&s, SW_INSIDE, &(struct segment){.flags = SW_TCP_RST, .seq = server_next(&s) - 1000});
	session_put(&s, SW_INSIDE, &(struct segment){.flags = SW_TCP_RST, .seq = server_next(&s) + (1u << 20)});
	net_run(n);
	net_expect_nothing(n);
	assert_dropped(n, OUT_OF_WINDOW, 5);
	session_exchange(&s, 100);
}

/* A RST in the window but of another number than the host waits for: it goes on, and so does the count. */
static void client_cannot_hide_behind_resets(struct net *n)
{
	n->draft.services[0].limits[0].concurrent = 2;
	net_new_policy(n);
	for (unsigned int k = 0; k < 6; k++) {
		struct session s = session_of(n, 1);
		s.client_port = (uint16_t)(s.client_port + k);
		s.client_isn += k;
		client_syn(&s);
		net_run(n);
		expect_syn_ack(&s);
		client_ack(&s);
		net_run(n);
		if (k >= 2) {
			net_expect_nothing(n);
			continue;
		}
		expect_server_syn(&s);
		server_syn_ack(&s);
		net_run(n);
		net_discard(n);
		session_put(&s, SW_OUTSIDE, &(struct segment){.flags = SW_TCP_RST, .seq = client_next(&s) + 1});
		net_run(n);
		expect_rst(&s, SW_INSIDE, client_next(&s) + 1); /* the host may judge */
		server_ack(&s);                                 /* "challenge ACK" */
		net_run(n);
		net_discard(n);
		/* The same with a number that the host has just passed: only its further ACKs tell. */
		client_data(&s, 100);
		session_put(&s, SW_OUTSIDE, &(struct segment){.flags = SW_TCP_RST, .seq = client_next(&s) - 50});
		net_run(n);
		net_discard(n);
		assert_int_equal(session_flow(&s)->state, SW_FLOW_CLOSING);
		server_ack(&s);
		net_run(n);
		net_discard(n);
		assert_int_equal(session_flow(&s)->state, SW_FLOW_ESTABLISHED);
		session_exchange(&s, 10);
	}
	assert_dropped(n, LIMIT_CONCURRENT_SOURCE, 4);
	assert_int_equal(n->w->service_budgets[0].concurrent, 2);
}

/* Somebody else knows addresses and ports: what it claims must not change what we believe of the client. */
static void forged_segments_are_not_believed(struct net *n)
{
	struct session s = session_of(n, 1);
	const struct segment forged[] = {
	    {.flags = SW_TCP_ACK, .seq = client_next(&s), .ack = 1u << 30},
	    {.flags = SW_TCP_ACK, .seq = client_next(&s), .ack = 1},
	    {.flags = SW_TCP_ACK, .seq = client_next(&s) + (1u << 29), .payload_bytes = 10},
	    {.flags = SW_TCP_ACK | SW_TCP_FIN, .seq = client_next(&s) + (1u << 29)},
	    {.flags = SW_TCP_ACK | SW_TCP_FIN, .seq = client_next(&s) + 300}, /* in the window: as good as true, for now */
	};

	session_establish(&s);
	session_exchange(&s, 50);
	for (unsigned int i = 0; i < sizeof(forged) / sizeof(forged[0]); i++) {
		struct segment g = forged[i];
		g.ack += server_next_at_client(&s);
		session_put(&s, SW_OUTSIDE, &g);
		net_run(n);
		net_discard(n);
		session_exchange(&s, 50);
		const struct sw_flow *f = session_flow(&s);
		assert_int_equal(f->client.acked, server_next_at_client(&s));
		if (i < 4)
			assert_int_equal(f->client.next, client_next(&s));
	}
	session_close(&s);
	assert_int_equal(session_flow(&s)->state, SW_FLOW_CLOSING);
	assert_int_equal(n->w->service_budgets[0].concurrent, 0);

	struct session t = session_of(n, 2);
	session_establish(&t);
	session_put(&t, SW_OUTSIDE,
	    &(struct segment){.flags = SW_TCP_ACK, .seq = client_next(&t), .ack = server_next_at_client(&t) + (1u << 30)});
	net_run(n);
	net_discard(n);
	server_rst(&t);
	net_run(n);
	expect_rst(&t, SW_OUTSIDE, server_next_at_client(&t));
	assert_int_equal(session_flow(&t)->state, SW_FLOW_CLOSING);
}

static void half_closed_connections_go_on(struct net *n)
{
	struct session s = session_of(n, 1);

	session_establish(&s);
	client_fin(&s);
	net_run(n);
	net_discard(n);
	for (unsigned int i = 0; i < 5; i++) {
		const uint32_t seq = server_next_at_client(&s), from = s.server_sent;
		server_data(&s, 300);
		net_run(n);
		expect_segment(&s, SW_OUTSIDE, SW_TCP_ACK | SW_TCP_PSH, seq, client_next(&s), 300, from);
		client_ack(&s);
		net_run(n);
		expect_segment(&s, SW_INSIDE, SW_TCP_ACK, client_next(&s), server_next(&s), 0, 0);
	}
	assert_int_equal(session_flow(&s)->state, SW_FLOW_ESTABLISHED);
	server_fin(&s);
	client_ack(&s);
	net_run(n);
	net_discard(n);
	assert_int_equal(session_flow(&s)->state, SW_FLOW_CLOSING);
}

static void simultaneous_close(struct net *n)
{
	struct session s = session_of(n, 1), early;

	session_establish(&s);
	early = s;
	client_fin(&s);
	server_fin(&early);
	net_run(n);
	expect_segment(&s, SW_INSIDE, SW_TCP_ACK | SW_TCP_FIN, client_next(&s) - 1, server_next(&s), 0, 0);
	expect_segment(
	    &early, SW_OUTSIDE, SW_TCP_ACK | SW_TCP_FIN, server_next_at_client(&early) - 1, client_next(&early), 0, 0);
	s.server_sent = early.server_sent;
	client_ack(&s);
	net_run(n);
	assert_int_equal(session_flow(&s)->state, SW_FLOW_ESTABLISHED);
	server_ack(&s);
	net_run(n);
	assert_int_equal(session_flow(&s)->state, SW_FLOW_CLOSING);
	net_discard(n);
	server_fin(&early); /* again: its ACK was lost. The flow is still there to translate it */
	net_run(n);
	expect_segment(&s, SW_OUTSIDE, SW_TCP_ACK | SW_TCP_FIN, server_next_at_client(&s), client_next(&early), 0, 0);
}

static void keep_alives_pass_and_keep_alive(struct net *n)
{
	struct session s = session_of(n, 1);

	session_establish(&s);
	session_exchange(&s, 10);
	for (unsigned int i = 0; i < 4; i++) {
		net_pass_ms(n, 3000); /* idle_established_s is 5 */
		net_epochs_pass(n, 1);
		session_put(&s, SW_OUTSIDE,
		    &(struct segment){.flags = SW_TCP_ACK, .seq = client_next(&s) - 1, .ack = server_next_at_client(&s)});
		net_run(n);
		expect_segment(&s, SW_INSIDE, SW_TCP_ACK, client_next(&s) - 1, server_next(&s), 0, 0);
		server_ack(&s);
		net_run(n);
		expect_segment(&s, SW_OUTSIDE, SW_TCP_ACK, server_next_at_client(&s), client_next(&s), 0, 0);
	}
	net_pass_ms(n, 6000);
	assert_null(session_flow(&s));
	assert_count(n, FLOW_EXPIRED, 1);
}

static void shape_impatient(struct draft *d)
{
	d->global.idle_established_s = 5;
	d->global.idle_closing_s = 2;
	d->global.idle_embryonic_s = 3;
}

static void closed_flows_are_forgotten(struct net *n)
{
	struct session s = session_of(n, 1);

	session_establish(&s);
	session_close(&s);
	net_pass_ms(n, 1000);
	assert_non_null(session_flow(&s));
	net_pass_ms(n, 1500);
	assert_null(session_flow(&s));
	assert_count(n, FLOW_CLOSED, 1);
	assert_count(n, FLOW_EXPIRED, 0);
	assert_int_equal(n->w->flows.used, 0);
}

static const struct net_case cases[] = {
	NET_CASE(resets_are_translated_and_end_the_flow, NULL),
	NET_CASE(resets_out_of_window_are_dropped, NULL),
	NET_CASE(client_cannot_hide_behind_resets, NULL),
	NET_CASE(forged_segments_are_not_believed, NULL),
	NET_CASE(half_closed_connections_go_on, NULL),
	NET_CASE(simultaneous_close, NULL),
	NET_CASE(keep_alives_pass_and_keep_alive, shape_impatient),
	NET_CASE(closed_flows_are_forgotten, shape_impatient),
};

int main(void)
{
	return net_run_cases("pipeline: follow", cases, sizeof(cases) / sizeof(cases[0]));
}
