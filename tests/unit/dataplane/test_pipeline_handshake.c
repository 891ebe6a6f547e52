/* SPDX-License-Identifier: BSD-3-Clause */
/* The proxied handshake, from the SYN to both sides being up or not. */
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

static void connection_opens(struct net *n)
{
	struct session s = session_of(n, 1);

	session_establish(&s);
	net_expect_nothing(n);
	assert_count(n, COOKIE_VALID, 1);
	assert_count(n, FLOW_PROXIED, 1);
	assert_count(n, SENT_SYN, 1);
	assert_count(n, SENT_ACK, 1);
	assert_count(n, ABSORBED, 2);
	session_exchange(&s, 700);
	session_exchange(&s, 1);
	session_close(&s);
	assert_count(n, FLOW_CLOSED, 1);
	assert_int_equal(net_dropped_all(n), 0);
}

static const struct net_case cases[] = {
	NET_CASE(syn_gets_a_cookie_and_no_state, NULL),
	NET_CASE(connection_opens, NULL),
};

int main(void)
{
	return net_run_cases("pipeline: handshake", cases, sizeof(cases) / sizeof(cases[0]));
}
