/* SPDX-License-Identifier: BSD-3-Clause */
/* Connections that run without the proxy: learned while quiet, kept while armed, adopted, replaced on the same ports. */
#include "pipeline_model.h"

static void shape_quiet(struct draft *d)
{
	d->services[0].mode = SW_MODE_AUTO;
	d->services[0].start_syn_per_s = 1000;
	d->services[0].stop_syn_per_s = 100;
	d->global.idle_embryonic_s = 20;
	d->global.idle_established_s = 60;
}

static void quiet_service_passes_everything_untouched(struct net *n)
{
	struct session s = session_of(n, 1);

	client_syn(&s);
	server_syn_ack(&s);
	client_ack(&s);
	client_data(&s, 333);
	server_data(&s, 1000);
	client_fin(&s);
	server_fin(&s);
	client_ack(&s);
	struct frame sent[8];
	for (unsigned int i = 0; i < 8; i++) {
		sent[i].length = n->waiting[i].mbuf->data_len;
		memcpy(sent[i].bytes, rte_pktmbuf_mtod(n->waiting[i].mbuf, const uint8_t *), sent[i].length);
	}
	static const uint8_t from[8] = {SW_OUTSIDE, SW_INSIDE, SW_OUTSIDE, SW_OUTSIDE, SW_INSIDE, SW_OUTSIDE, SW_INSIDE, SW_OUTSIDE};
	net_run(n);
	for (unsigned int i = 0; i < 8; i++) {
		const struct frame f = net_expect_raw(n, from[i] == SW_OUTSIDE ? SW_INSIDE : SW_OUTSIDE);
		assert_int_equal(f.length, sent[i].length);
		assert_memory_equal(f.bytes, sent[i].bytes, f.length);
	}
	net_expect_nothing(n);
	assert_count(n, FORWARDED, 8);
	assert_count(n, SYN_PASSED, 1);
	assert_count(n, FLOW_NATIVE, 1);
	assert_count(n, FLOW_CLOSED, 1);
	assert_int_equal(session_flow(&s)->state, SW_FLOW_CLOSING);
	assert_int_equal(session_record(&s)->proof, SW_PROOF_SENT_DATA);
}

static void native_flow_survives_arming(struct net *n)
{
	struct session s = session_of(n, 1), late = session_of(n, 2);

	session_establish_native(&s);
	session_exchange(&s, 100);
	/* The other's SYN has passed before arming; its ACK comes after. */
	client_syn(&late);
	server_syn_ack(&late);
	net_run(n);
	net_discard(n);
	net_arm(n, 0, true);
	client_ack(&late);
	net_run(n);
	expect_segment(&late, SW_INSIDE, SW_TCP_ACK, client_next(&late), server_next(&late), 0, 0);
	for (unsigned int i = 0; i < 10; i++) {
		session_exchange(&s, 10);
		session_exchange(&late, 10);
		net_pass_ms(n, 1000);
	}
	session_close(&s);
	session_close(&late);
	assert_int_equal(net_dropped_all(n), 0);
	assert_count(n, SENT_RST, 0);
}

static void half_open_flow_takes_only_its_own_ack_while_armed(struct net *n)
{
	struct session s = session_of(n, 1), wrong;

	client_syn(&s);
	server_syn_ack(&s);
	net_run(n);
	net_discard(n);
	net_arm(n, 0, true);
	wrong = s;
	wrong.server_isn++;
	client_ack(&wrong);
	client_data(&wrong, 5);
	net_run(n);
	net_expect_nothing(n);
	assert_dropped(n, OUT_OF_WINDOW, 2);
	assert_int_equal(session_flow(&s)->state, SW_FLOW_EMBRYONIC);
	client_data(&s, 5); /* the ACK itself was lost */
	net_run(n);
	expect_segment(&s, SW_INSIDE, SW_TCP_ACK | SW_TCP_PSH, s.client_isn + 1, server_next(&s), 5, 0);
	assert_int_equal(session_flow(&s)->state, SW_FLOW_ESTABLISHED);
}

static void backlog_is_cleared_while_armed(struct net *n)
{
	struct session s = session_of(n, 1), real = session_of(n, 2);

	client_syn(&s);
	server_syn_ack(&s);
	client_syn(&real);
	server_syn_ack(&real);
	net_run(n);
	net_discard(n);
	client_ack(&real);
	net_run(n);
	net_discard(n);
	net_pass_ms(n, 10000);
	net_expect_nothing(n); /* quiet: nobody's business */
	net_arm(n, 0, true);
	net_pass_ms(n, 2);
	expect_rst(&s, SW_INSIDE, s.client_isn + 1);
	net_pass_ms(n, 5000);
	net_expect_nothing(n);
	assert_null(session_flow(&s));
	assert_count(n, FLOW_SHED, 1);
	session_exchange(&real, 10);
}

static void half_open_flows_are_forgotten(struct net *n)
{
	struct session s = session_of(n, 1);

	client_syn(&s);
	server_syn_ack(&s);
	net_run(n);
	net_pass_ms(n, 10000);
	server_syn_ack(&s);
	net_run(n);
	assert_non_null(session_flow(&s));
	net_pass_ms(n, 21000);
	assert_null(session_flow(&s));
	assert_count(n, FLOW_EXPIRED, 1);
	assert_count(n, FLOW_NATIVE, 0);
}

static void refused_native_connections_leave_nothing(struct net *n)
{
	struct session s = session_of(n, 1), t = session_of(n, 2);

	client_syn(&s);
	server_refuse(&s);
	net_run(n);
	assert_null(session_flow(&s));
	client_syn(&t);
	server_syn_ack(&t);
	client_rst(&t);
	net_run(n);
	assert_null(session_flow(&t));
	assert_int_equal(net_discard(n), 5);
}

/* ---- adoption ---------------------------------------------------------------------------------------------------- */

static void older_connection_is_adopted_when_the_server_speaks(struct net *n)
{
	struct session s = session_of(n, 1), unheard = session_of(n, 2);

	s.client_sent = 12345;
	s.server_sent = 54321;
	server_data(&s, 100);
	net_run(n);
	net_discard(n);
	assert_count(n, FLOW_ADOPTED, 1);
	assert_count(n, FLOW_NATIVE, 1);
	assert_int_equal(n->w->service_budgets[0].concurrent, 1);
	net_arm(n, 0, true);
	session_exchange(&s, 10);
	session_close(&s);
	client_data(&unheard, 10);
	net_run(n);
	net_expect_nothing(n);
	assert_dropped(n, COOKIE_INVALID, 1);
	assert_int_equal(n->w->service_budgets[0].concurrent, 0);
}

static void shape_adopting(struct draft *d)
{
	d->global.adopt_s = 200; /* of which 100 have passed */
	d->global.adopt_per_s = 3;
}

static void unknown_acks_pass_for_a_while_after_the_start(struct net *n)
{
	struct session s[6];

	for (unsigned int i = 0; i < 6; i++) {
		s[i] = session_of(n, i);
		s[i].timestamps = false;
		client_data(&s[i], 10);
	}
	net_run(n);
	for (unsigned int i = 0; i < 3; i++)
		expect_segment(&s[i], SW_INSIDE, SW_TCP_ACK | SW_TCP_PSH, s[i].client_isn + 1, s[i].server_isn + 1, 10, 0);
	net_expect_nothing(n); /* adopt_per_s */
	assert_dropped(n, COOKIE_INVALID, 3);
	assert_int_equal(n->w->flows.used, 0); /* nothing from outside makes a flow */
	server_ack(&s[0]);
	net_run(n);
	net_discard(n);
	assert_count(n, FLOW_ADOPTED, 1);
	n->now += 5 * NET_HZ;
	session_exchange(&s[0], 10);
	n->now += 100 * NET_HZ;
	client_data(&s[5], 10);
	net_run(n);
	net_expect_nothing(n);
	assert_dropped(n, COOKIE_INVALID, 4);
}

/* ---- the protected host connects outwards ------------------------------------------------------------------------ */

static void server_connects_outwards(struct net *n)
{
	struct session s = session_of(n, 1);

	net_arm(n, 0, true);
	session_put(&s, SW_INSIDE, &(struct segment){.flags = SW_TCP_SYN, .seq = s.server_isn});
	net_run(n);
	net_discard(n);
	assert_int_equal(session_flow(&s)->state, SW_FLOW_OUTWARD);
	session_put(&s, SW_OUTSIDE, &(struct segment){.flags = SW_TCP_SYN | SW_TCP_ACK, .seq = s.client_isn, .ack = s.server_isn + 1});
	net_run(n);
	expect_segment(&s, SW_INSIDE, SW_TCP_SYN | SW_TCP_ACK, s.client_isn, s.server_isn + 1, 0, 0);
	assert_int_equal(session_flow(&s)->state, SW_FLOW_ESTABLISHED);
	session_exchange(&s, 10);
	session_close(&s);
	assert_int_equal(net_dropped_all(n), 0);
}

static void answers_to_nothing_are_dropped(struct net *n)
{
	struct session s = session_of(n, 1);

	session_put(&s, SW_OUTSIDE, &(struct segment){.flags = SW_TCP_SYN | SW_TCP_ACK, .seq = 1, .ack = 2});
	session_put(&s, SW_OUTSIDE, &(struct segment){.flags = SW_TCP_RST, .seq = 1});
	session_put(&s, SW_OUTSIDE, &(struct segment){.flags = SW_TCP_RST | SW_TCP_ACK, .seq = 1, .ack = 2});
	session_put(&s, SW_OUTSIDE, &(struct segment){.flags = SW_TCP_FIN | SW_TCP_ACK, .seq = 1, .ack = 2});
	net_run(n);
	net_expect_nothing(n);
	assert_dropped(n, SYN_ACK_UNEXPECTED, 1);
	assert_dropped(n, RST_WITHOUT_FLOW, 3);
	net_arm(n, 0, false);
	session_put(&s, SW_OUTSIDE, &(struct segment){.flags = SW_TCP_SYN | SW_TCP_ACK, .seq = 1, .ack = 2});
	session_put(&s, SW_OUTSIDE, &(struct segment){.flags = SW_TCP_RST, .seq = 1});
	session_put(&s, SW_OUTSIDE, &(struct segment){.flags = SW_TCP_FIN | SW_TCP_ACK, .seq = 1, .ack = 2});
	net_run(n);
	assert_int_equal(net_discard(n), 3); /* quiet: the server's business */
}

/* ---- the same ports again ---------------------------------------------------------------------------------------- */

enum before { LIVE, CLOSING, RESET, NATIVE, NATIVE_CLOSING, HALF_OPEN, BEFORE_COUNT };

/* The old connection is in each state that it can be in, then the client begins anew from the same port. */
static void same_ports_again(struct net *n)
{
	for (unsigned int before = 0; before < BEFORE_COUNT; before++) {
		struct session old = session_of(n, before), s;
		net_arm(n, 0, before < NATIVE);
		if (before < NATIVE) {
			session_establish(&old);
		} else if (before == HALF_OPEN) {
			client_syn(&old);
			server_syn_ack(&old);
			net_run(n);
			net_discard(n);
		} else {
			session_establish_native(&old);
		}
		if (before != HALF_OPEN)
			session_exchange(&old, 10);
		if (before == CLOSING || before == NATIVE_CLOSING)
			session_close(&old);
		if (before == RESET) {
			client_rst(&old);
			net_run(n);
			net_discard(n);
		}
		net_arm(n, 0, true);
		s = session_again(&old);
		client_syn(&s);
		net_run(n);
		expect_syn_ack(&s);
		if (before == LIVE || before == NATIVE) /* a forged SYN changes nothing for the old one */
			session_exchange(&old, 10);
		client_ack(&s);
		net_run(n);
		expect_server_syn(&s);
		server_syn_ack(&s);
		net_run(n);
		expect_segment(&s, SW_INSIDE, SW_TCP_ACK, client_next(&s), server_next(&s), 0, 0);
		session_exchange(&s, 100);
		session_close(&s);
	}
	assert_count(n, FLOW_PROXIED, 3 + BEFORE_COUNT);
	assert_int_equal(net_dropped_all(n), 0);
	assert_int_equal(n->w->service_budgets[0].concurrent, 0);
}

/* The old one was proxied, then the service fell quiet: the new one is native. */
static void native_connection_on_the_ports_of_a_proxied_one(struct net *n)
{
	for (unsigned int closed = 0; closed < 2; closed++) {
		struct session old = session_of(n, closed), s;
		net_arm(n, 0, true);
		session_establish(&old);
		if (closed)
			session_close(&old);
		net_arm(n, 0, false);
		s = session_again(&old);
		session_establish_native(&s);
		session_exchange(&s, 10);
		session_close(&s);
	}
	assert_int_equal(net_dropped_all(n), 0);
}

/* Likewise, and the service was turned off, or taken out and retired. */
static void unknown_connection_on_the_ports_of_a_proxied_one(struct net *n)
{
	for (unsigned int closed = 0; closed < 2; closed++) {
		struct session old = session_of(n, closed), s;
		n->draft.services[0].mode = SW_MODE_AUTO;
		net_new_policy(n);
		net_arm(n, 0, true);
		session_establish(&old);
		n->draft.services[0].mode = SW_MODE_OFF;
		net_new_policy(n);
		net_arm(n, 0, false);
		session_exchange(&old, 10);
		if (closed)
			session_close(&old);
		s = session_again(&old);
		session_establish_native(&s);
		session_exchange(&s, 10);
		session_close(&s);
		assert_int_equal(n->w->flows.used, 0);
	}
	assert_int_equal(net_dropped_all(n), 0);
}

/* A cookie that was sent before the service fell quiet still opens its connection; so does one of a SYN that then passed. */
static void cookies_are_taken_after_disarming(struct net *n)
{
	struct session s = session_of(n, 1), again = session_of(n, 2);

	net_arm(n, 0, true);
	client_syn(&s);
	client_syn(&again);
	net_run(n);
	expect_syn_ack(&s);
	expect_syn_ack(&again);
	net_arm(n, 0, false);
	client_ack(&s);
	net_run(n);
	expect_server_syn(&s);
	client_syn(&again); /* repeated by its timer, and answered by the server now */
	server_syn_ack(&again);
	net_run(n);
	assert_int_equal(net_discard(n), 2);
	client_ack(&again); /* but the client had the cookie first */
	net_run(n);
	expect_server_syn(&again);
	server_syn_ack(&again);
	net_run(n);
	expect_segment(&again, SW_INSIDE, SW_TCP_ACK, client_next(&again), server_next(&again), 0, 0);
	session_exchange(&again, 10);
}

/* The operator turns the service off while clients have their cookies. */
static void cookies_are_taken_in_every_mode(struct net *n)
{
	for (unsigned int mode = SW_MODE_OFF; mode <= SW_MODE_MONITOR; mode++) {
		struct session s = session_of(n, mode);
		n->draft.services[0].mode = SW_MODE_AUTO;
		net_new_policy(n);
		net_arm(n, 0, true);
		client_syn(&s);
		net_run(n);
		expect_syn_ack(&s);
		n->draft.services[0].mode = (uint8_t)mode;
		n->draft.services[0].limits[0].conn_per_s = n->draft.services[0].limits[0].conn_burst = 1;
		net_new_policy(n);
		net_arm(n, 0, false);
		client_ack(&s);
		net_run(n);
		expect_server_syn(&s);
		server_syn_ack(&s);
		net_run(n);
		expect_segment(&s, SW_INSIDE, SW_TCP_ACK, client_next(&s), server_next(&s), 0, 0);
		session_exchange(&s, 10);
		session_close(&s);
	}
	assert_int_equal(net_dropped_all(n), 0);
}

/* ---- what is learned about the server ---------------------------------------------------------------------------- */

static void profile_is_learned_from_native_handshakes(struct net *n)
{
	struct session s = session_of(n, 1);
	struct sw_event event;

	s.server_scale = 11;
	s.server_mss = 1234;
	session_establish_native(&s);
	assert_int_equal(rte_ring_sc_dequeue_elem(n->w->events, &event, sizeof(event)), 0);
	assert_int_equal(event.kind, SW_EVENT_PROFILE);
	assert_int_equal(event.service_slot, 0);
	assert_int_equal(event.profile.mss, 1234);
	assert_int_equal(event.profile.window_scale, 11);
	assert_int_equal(event.profile.known, 1);
	/* A client that offers little teaches nothing about what the server has. */
	struct session poor = session_of(n, 2);
	poor.timestamps = poor.sack = false;
	poor.server_scale = -1;
	poor.server_mss = 1400;
	session_establish_native(&poor);
	assert_int_not_equal(rte_ring_sc_dequeue_elem(n->w->events, &event, sizeof(event)), 0);
}

static const struct net_case cases[] = {
	NET_CASE(quiet_service_passes_everything_untouched, shape_quiet),
	NET_CASE(native_flow_survives_arming, shape_quiet),
	NET_CASE(half_open_flow_takes_only_its_own_ack_while_armed, shape_quiet),
	NET_CASE(backlog_is_cleared_while_armed, shape_quiet),
	NET_CASE(half_open_flows_are_forgotten, shape_quiet),
	NET_CASE(refused_native_connections_leave_nothing, shape_quiet),
	NET_CASE(older_connection_is_adopted_when_the_server_speaks, shape_quiet),
	NET_CASE(unknown_acks_pass_for_a_while_after_the_start, shape_adopting),
	NET_CASE(server_connects_outwards, shape_quiet),
	NET_CASE(answers_to_nothing_are_dropped, NULL),
	NET_CASE(same_ports_again, shape_quiet),
	NET_CASE(native_connection_on_the_ports_of_a_proxied_one, shape_quiet),
	NET_CASE(cookies_are_taken_after_disarming, shape_quiet),
	NET_CASE(unknown_connection_on_the_ports_of_a_proxied_one, shape_quiet),
	NET_CASE(cookies_are_taken_in_every_mode, shape_quiet),
	NET_CASE(profile_is_learned_from_native_handshakes, shape_quiet),
};

int main(void)
{
	return net_run_cases("pipeline: native", cases, sizeof(cases) / sizeof(cases[0]));
}
