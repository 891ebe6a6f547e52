/* SPDX-License-Identifier: BSD-3-Clause */
/* Two workers, and ports that give either any packet: each client is one worker's alone. */
#include "pipeline_model.h"

static void shape_two_workers(struct draft *d)
{
	d->boot.workers = 2;
	d->boot.cores[1] = 1;
	d->boot.flows = 2048;
}

static unsigned int owner(const struct net *n, const struct session *s)
{
	return sw_owner(&n->box.shared, &s->client);
}

/* Whatever arrives at either worker. */
static void connections_over_both_workers(struct net *n)
{
	unsigned int owned[2] = {0, 0};

	for (unsigned int k = 0; k < 64; k++) {
		struct session s = session_of(n, k);
		owned[owner(n, &s)]++;
		n->worker = k % 2;
		session_connect(&s);
		n->worker = k / 2 % 2; /* the server's side may meet another queue */
		server_syn_ack(&s);
		net_run(n);
		expect_segment(&s, SW_INSIDE, SW_TCP_ACK, client_next(&s), server_next(&s), 0, 0);
		for (unsigned int i = 0; i < 4; i++) {
			n->worker = i % 2;
			session_exchange(&s, 100);
		}
		session_close(&s);
	}
	assert_true(owned[0] > 16 && owned[1] > 16);
	assert_int_equal(net_dropped_all(n), 0);
	assert_count(n, FLOW_PROXIED, 64);
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(n->box.workers[i]->totals.count[SW_COUNT_FLOW_PROXIED], owned[i]);
	assert_true(net_count(n, SW_COUNT_HANDED_OVER) > 200);
}

static void what_is_nobodys_is_not_handed_over(struct net *n)
{
	for (unsigned int k = 0; k < 16; k++) {
		struct session s = session_of(n, k);
		s.server_port = OTHER_PORT;
		n->worker = k % 2;
		client_syn(&s);
		net_run(n);
		assert_int_equal(net_discard(n), 1);
	}
	assert_count(n, HANDED_OVER, 0);
}

/* What the NIC said travels with the packet, and its owner acts on it. */
static void wrong_sums_are_dropped_by_the_owner(struct net *n)
{
	for (unsigned int k = 0; k < 2; k++) {
		struct session s = session_of(n, 1);
		const unsigned int at = owner(n, &s);
		n->worker = at ^ k;
		client_syn(&s);
		n->waiting[0].mbuf->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_BAD;
		net_run(n);
		net_expect_nothing(n);
		assert_int_equal(n->box.workers[at]->totals.dropped[SW_DROP_CHECKSUM_BAD], k + 1);
	}
	assert_count(n, HANDED_OVER, 1);
}

static void order_within_a_connection_stays(struct net *n)
{
	for (unsigned int k = 0; k < 2; k++) {
		struct session s = session_of(n, 1);
		n->worker = owner(n, &s) ^ k;
		s.client_port = (uint16_t)(s.client_port + k);
		client_syn(&s);
		net_run(n);
		expect_syn_ack(&s);
		client_ack(&s);
		for (unsigned int i = 0; i < 5; i++)
			client_data(&s, 10);
		net_run(n);
		expect_server_syn(&s);
		server_syn_ack(&s);
		net_run(n);
		for (uint32_t i = 0; i < 5; i++)
			expect_segment(
			    &s, SW_INSIDE, SW_TCP_ACK | SW_TCP_PSH, s.client_isn + 1 + i * 10, server_next(&s), 10, i * 10);
	}
}

static void icmp_errors_find_the_owner(struct net *n)
{
	struct session s = session_of(n, 1), from_router;
	struct frame quoted, f;

	session_establish(&s);
	n->worker = owner(n, &s) ^ 1;
	/* From a router's address, about a segment of the server: only the quoted packet names the client. */
	from_router = s;
	from_router.client.bytes[15] = 200;
	assert_true(s.client.bytes[15] != 200);
	quoted = session_frame(&s, SW_INSIDE, &(struct segment){.flags = SW_TCP_ACK, .seq = server_next_at_client(&s)});
	f = session_frame(&from_router, SW_OUTSIDE, &(struct segment){.flags = SW_TCP_ACK});
	const unsigned int ip = 14 + 4u * n->flavour->tag_count, header = n->flavour->is_ipv6 ? 40 : 20;
	uint8_t *icmp = f.bytes + ip + header;
	memset(icmp, 0, 8);
	icmp[0] = n->flavour->is_ipv6 ? 2 : 3;
	memcpy(icmp + 8, quoted.bytes + ip, header + 20);
	f.length = (uint16_t)(ip + header + 8 + header + 20);
	if (n->flavour->is_ipv6) {
		f.bytes[ip + 5] = (uint8_t)(8 + header + 20);
		f.bytes[ip + 6] = 58;
	} else {
		f.bytes[ip + 3] = (uint8_t)(header + 8 + header + 20);
		f.bytes[ip + 9] = 1;
	}
	net_put(n, SW_OUTSIDE, &f);
	net_run(n);
	const struct frame g = net_expect(n, SW_INSIDE);
	assert_int_equal(g.view.kind, SW_PACKET_ICMP_ERROR);
	assert_int_equal(g.view.seq, server_next(&s));
	assert_count(n, ICMP_TRANSLATED, 1);
}

static void ring_to_the_owner_is_full(struct net *n)
{
	struct session s = session_of(n, 1);
	const unsigned int to = owner(n, &s);
	struct rte_ring *ring = n->box.workers[to ^ 1]->handover[to];
	struct rte_mbuf *m;
	unsigned int put = 0;
	static int nothing;

	while (rte_ring_sp_enqueue(ring, &nothing) == 0)
		put++;
	n->worker = to ^ 1;
	client_syn(&s);
	struct sw_worker *receiver = n->box.workers[n->worker];
	sw_pipeline_begin(receiver, n->now);
	sw_pipeline_burst(receiver, &n->waiting[0].mbuf, 1, 0, SW_OUTSIDE, false);
	sw_pipeline_end(receiver);
	n->waiting_count = 0;
	for (unsigned int i = 0; i < put; i++) {
		assert_int_equal(rte_ring_sc_dequeue(ring, (void **)&m), 0);
		assert_ptr_equal(m, &nothing);
	}
	assert_dropped(n, HANDOVER_FULL, 1);
	assert_count(n, HANDED_OVER, 0);
	net_run(n);
	net_expect_nothing(n);
}

static void shape_shared_limit(struct draft *d)
{
	shape_two_workers(d);
	d->services[0].total.concurrent = 10;
}

/* A cap of the whole service holds over both workers, at every moment. */
static void concurrent_cap_spans_workers(struct net *n)
{
	unsigned int open = 0;

	for (unsigned int round = 0; round < 30; round++) {
		for (unsigned int k = 0; k < 8; k++) {
			struct session s = session_of(n, round * 8 + k);
			net_discard(n);
			client_syn(&s);
			net_run(n);
			expect_syn_ack(&s);
			const uint64_t before = net_count(n, SW_COUNT_FLOW_PROXIED);
			client_ack(&s);
			net_run(n);
			open += net_count(n, SW_COUNT_FLOW_PROXIED) != before;
			assert_true(open <= 10);
		}
		sw_shares_update(&n->shares, n->policy); /* housekeeping's, each 100 ms */
		n->now += 10 * NET_MS;
	}
	assert_int_equal(open, 10); /* and is used up */
	assert_dropped(n, LIMIT_CONCURRENT_SERVICE, 30 * 8 - 10);
}

static const struct net_case cases[] = {
	NET_CASE(connections_over_both_workers, shape_two_workers),
	NET_CASE(what_is_nobodys_is_not_handed_over, shape_two_workers),
	NET_CASE(wrong_sums_are_dropped_by_the_owner, shape_two_workers),
	NET_CASE(order_within_a_connection_stays, shape_two_workers),
	NET_CASE(icmp_errors_find_the_owner, shape_two_workers),
	NET_CASE(ring_to_the_owner_is_full, shape_two_workers),
	NET_CASE(concurrent_cap_spans_workers, shape_shared_limit),
};

int main(void)
{
	return net_run_cases("pipeline: workers", cases, sizeof(cases) / sizeof(cases[0]));
}
