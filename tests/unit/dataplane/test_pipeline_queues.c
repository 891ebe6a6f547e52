/* SPDX-License-Identifier: BSD-3-Clause */
/* Pools, rings and queues that are full: what is lost is counted, and no buffer is. */
#include "pipeline_model.h"

#include <rte_mempool.h>

static void notes_to_housekeeping_are_lost_and_counted(struct net *n)
{
	struct sw_event event = {.kind = SW_EVENT_PROFILE};
	struct session s = session_of(n, 1);

	while (rte_ring_sp_enqueue_elem(n->w->events, &event, sizeof(event)) == 0)
		;
	s.server_mss = 777;
	session_establish(&s);
	assert_count(n, EVENTS_LOST, 1);
	assert_count(n, PROFILE_MISMATCH, 1);
}

static void transmit_queue_is_full(struct net *n)
{
	struct session s = session_of(n, 1);
	struct frame f = session_frame(&s, SW_OUTSIDE, &(struct segment){.flags = SW_TCP_ACK});

	f.bytes[12 + 4u * n->flavour->tag_count] = 0x77; /* some other protocol */
	for (unsigned int k = 0; k < 10; k++)
		net_put(n, SW_OUTSIDE, &f);
	net_block_port(n, SW_INSIDE, true);
	net_run(n);
	net_block_port(n, SW_INSIDE, false);
	assert_count(n, FORWARDED, 0);
	assert_count(n, FORWARDED_BYTES, 0);
	assert_dropped(n, TRANSMIT_FULL, 10);
	net_expect_nothing(n);
	/* What the box makes itself is lost as such. */
	net_block_port(n, SW_OUTSIDE, true);
	client_syn(&s);
	net_run(n);
	net_block_port(n, SW_OUTSIDE, false);
	assert_count(n, ANSWERED, 0);
	assert_dropped(n, TRANSMIT_FULL, 11);
	net_pass_ms(n, 1100); /* but not for good */
	expect_syn_ack(&s);
	net_block_port(n, SW_INSIDE, true);
	client_ack(&s);
	net_run(n);
	net_block_port(n, SW_INSIDE, false);
	assert_count(n, SENT_LOST, 1);
	assert_count(n, ABSORBED, 1);
	net_pass_ms(n, 1100);
	expect_server_syn(&s);
	server_syn_ack(&s);
	net_run(n);
	net_discard(n);
	session_exchange(&s, 10);
}

/* What is lost of a mixed burst is taken out of the counters that it went into, packet by packet. */
static void transmit_queue_is_full_of_everything(struct net *n)
{
	struct session s = session_of(n, 1);
	struct frame other = session_frame(&s, SW_OUTSIDE, &(struct segment){.flags = SW_TCP_ACK});
	const struct sw_counters *service = &n->w->services[0];

	other.bytes[12 + 4u * n->flavour->tag_count] = 0x77;
	session_establish(&s);
	const uint64_t all = net_count(n, SW_COUNT_FORWARDED), bytes = net_count(n, SW_COUNT_FORWARDED_BYTES);
	const uint64_t ours = service->count[SW_COUNT_FORWARDED], our_bytes = service->count[SW_COUNT_FORWARDED_BYTES];
	for (unsigned int k = 0; k < 40; k++) {
		if (k % 5 < 2)
			net_put(n, SW_OUTSIDE, &other);
		else
			client_data(&s, (uint16_t)(1 + k));
	}
	net_block_port(n, SW_INSIDE, true);
	net_run(n);
	net_block_port(n, SW_INSIDE, false);
	net_expect_nothing(n);
	assert_dropped(n, TRANSMIT_FULL, 40);
	assert_int_equal(service->dropped[SW_DROP_TRANSMIT_FULL], 24);
	assert_count(n, FORWARDED, all);
	assert_count(n, FORWARDED_BYTES, bytes);
	assert_int_equal(service->count[SW_COUNT_FORWARDED], ours);
	assert_int_equal(service->count[SW_COUNT_FORWARDED_BYTES], our_bytes);
}

static void no_buffer_is_left(struct net *n)
{
	struct session s = session_of(n, 1);
	static struct rte_mbuf *taken[4096];
	unsigned int count = 0;

	session_connect(&s);
	while ((taken[count] = rte_pktmbuf_alloc(n->w->pool)) != NULL)
		count++;
	net_pass_ms(n, 1100); /* the SYN to the server would be repeated */
	net_expect_nothing(n);
	assert_count(n, SENT_LOST, 1);
	rte_pktmbuf_free_bulk(taken, count);
	net_pass_ms(n, 2100);
	expect_server_syn(&s);
}

static struct rte_mbuf *indirect(struct rte_mbuf *m)
{
	struct rte_mbuf *clone = rte_pktmbuf_clone(m, m->pool);

	assert_non_null(clone);
	rte_pktmbuf_free(m);
	return clone;
}

static struct rte_mbuf *chained(struct rte_mbuf *m)
{
	struct rte_mbuf *second = rte_pktmbuf_alloc(m->pool);

	assert_non_null(second);
	assert_non_null(rte_pktmbuf_append(second, 100));
	assert_int_equal(rte_pktmbuf_chain(m, second), 0);
	return m;
}

static unsigned int buffers_freed;

static void free_buffer(void *buffer, void *context)
{
	(void)context;
	free(buffer);
	buffers_freed++;
}

static struct rte_mbuf *external(struct rte_mbuf *m)
{
	uint16_t bytes = 2048;
	const uint16_t length = m->data_len;
	void *buffer = malloc(bytes);
	struct rte_mbuf_ext_shared_info *info = rte_pktmbuf_ext_shinfo_init_helper(buffer, &bytes, free_buffer, NULL);

	memcpy(buffer, rte_pktmbuf_mtod(m, void *), length);
	rte_pktmbuf_attach_extbuf(m, buffer, 0, bytes, info);
	assert_non_null(rte_pktmbuf_append(m, length));
	m->pkt_len = length;
	return m;
}

static struct rte_mbuf *elsewhere(struct rte_mbuf *m)
{
	static struct rte_mempool *pool;

	if (pool == NULL)
		pool = rte_pktmbuf_pool_create("elsewhere", 63, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	struct rte_mbuf *copy = rte_pktmbuf_copy(m, pool, 0, UINT32_MAX);
	assert_non_null(copy);
	rte_pktmbuf_free(m);
	return copy;
}

static struct rte_mbuf *shared(struct rte_mbuf *m)
{
	rte_mbuf_refcnt_update(m, 1);
	return m;
}

/* Whatever a buffer is, dropping it frees all of it, and just once; net_close() looks whether the pool is whole. */
static void buffers_of_every_kind_are_freed(struct net *n)
{
	static struct rte_mbuf *(*const kinds[])(struct rte_mbuf *) = {indirect, chained, external, elsewhere, shared};
	struct session s = session_of(n, 1);
	struct frame f = session_frame(&s, SW_OUTSIDE, &(struct segment){.flags = SW_TCP_ACK});
	struct rte_mempool *other = NULL;

	buffers_freed = 0;
	for (unsigned int kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++)
		for (unsigned int at = 0; at < SW_BURST; at += 15) {
			for (unsigned int i = 0; i < SW_BURST; i++)
				net_put(n, SW_OUTSIDE, &f);
			struct rte_mbuf *m = n->waiting[at].mbuf = kinds[kind](n->waiting[at].mbuf);
			if (kinds[kind] == elsewhere)
				other = m->pool;
			net_run(n);
			net_expect_nothing(n);
			if (kinds[kind] == shared) {
				assert_int_equal(rte_mbuf_refcnt_read(m), 1);
				rte_pktmbuf_free(m);
			}
		}
	assert_dropped(n, COOKIE_INVALID, sizeof(kinds) / sizeof(kinds[0]) * 3 * SW_BURST);
	assert_int_equal(buffers_freed, 3);
	assert_int_equal(rte_mempool_avail_count(other), other->size);
}

static const struct net_case cases[] = {
	NET_CASE_ONCE(notes_to_housekeeping_are_lost_and_counted, NULL),
	NET_CASE(transmit_queue_is_full, NULL),
	NET_CASE(transmit_queue_is_full_of_everything, NULL),
	NET_CASE(no_buffer_is_left, NULL),
	NET_CASE(buffers_of_every_kind_are_freed, NULL),
};

int main(void)
{
	return net_run_cases("pipeline: queues", cases, sizeof(cases) / sizeof(cases[0]));
}
