/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The last stage: what was decided about each packet is counted and done, once. A queue that does not take a packet
 * turns its count into a loss, so that the sum over all counters holds.
 */
#include "stage.h"

#include <rte_ethdev.h>

static void lose(struct sw_worker *w, const struct sw_transmit *t, unsigned int from)
{
	for (unsigned int i = from; i < t->count; i++) {
		if (t->kinds[i] == SW_TRANSMIT_OWN) {
			sw_count(w, t->slots[i], SW_COUNT_SENT_LOST);
		} else {
			const bool forwarded = t->kinds[i] == SW_TRANSMIT_FORWARDED;
			sw_uncount(w, t->slots[i], forwarded ? SW_COUNT_FORWARDED : SW_COUNT_ANSWERED);
			sw_count_drop(w, t->slots[i], SW_DROP_TRANSMIT_FULL);
			if (forwarded)
				sw_count_many(w, t->slots[i], SW_COUNT_FORWARDED_BYTES, -(uint64_t)t->mbufs[i]->pkt_len);
		}
		rte_pktmbuf_free(t->mbufs[i]);
	}
}

/* `end`: link * SW_SIDES + side. */
static void flush(struct sw_worker *w, unsigned int end)
{
	struct sw_transmit *t = &w->transmit[end];
	const struct sw_queue *q = &w->queues[end / SW_SIDES][end % SW_SIDES];
	unsigned int sent = 0;

	while (sent < t->count) {
		const uint16_t n = rte_eth_tx_burst(q->port_id, q->queue_id, t->mbufs + sent, (uint16_t)(t->count - sent));
		if (n == 0)
			break;
		sent += n;
	}
	lose(w, t, sent);
	t->count = 0;
}

void sw_transmit_flush(struct sw_worker *w)
{
	for (unsigned int end = 0; end < w->shared->links * SW_SIDES; end++)
		if (w->transmit[end].count)
			flush(w, end);
}

/* A run of packets with the same fate. */
static void put_run(struct sw_worker *w, unsigned int end, struct rte_mbuf **mbufs, unsigned int count,
	enum sw_transmit_kind kind, uint32_t slot)
{
	struct sw_transmit *t = &w->transmit[end];

	if (t->count + count > SW_TRANSMIT_MAX)
		flush(w, end);
	memset(t->kinds + t->count, kind, count);
	for (unsigned int i = 0; i < count; i++)
		t->slots[t->count + i] = slot;
	memcpy(t->mbufs + t->count, mbufs, count * sizeof(*mbufs));
	t->count = (uint16_t)(t->count + count);
}

void sw_transmit_put(struct sw_worker *w, unsigned int link, enum sw_side side, struct rte_mbuf *m,
	enum sw_transmit_kind kind, uint32_t slot)
{
	put_run(w, link * SW_SIDES + side, &m, 1, kind, slot);
}

static uint64_t bytes_of(struct rte_mbuf *const *mbufs, unsigned int count)
{
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < count; i++)
		bytes += mbufs[i]->pkt_len;
	return bytes;
}

static void carry_out(struct sw_worker *w, struct sw_burst *b, unsigned int first, unsigned int count)
{
	struct rte_mbuf **mbufs = b->mbufs + first;
	const uint32_t slot = b->slots[first];
	const unsigned int back = b->link * SW_SIDES + b->side, on = b->link * SW_SIDES + sw_other(b->side);

	switch ((enum sw_verdict)b->verdicts[first]) {
	case SW_FORWARD:
		sw_count_many(w, slot, SW_COUNT_FORWARDED, count);
		sw_count_many(w, slot, SW_COUNT_FORWARDED_BYTES, bytes_of(mbufs, count));
		put_run(w, on, mbufs, count, SW_TRANSMIT_FORWARDED, slot);
		break;
	case SW_ANSWER:
		sw_count_many(w, slot, SW_COUNT_ANSWERED, count);
		put_run(w, back, mbufs, count, SW_TRANSMIT_ANSWERED, slot);
		break;
	case SW_ABSORBED_AND_REUSED:
		sw_count_many(w, slot, SW_COUNT_ABSORBED, count);
		put_run(w, on, mbufs, count, SW_TRANSMIT_OWN, slot);
		break;
	case SW_ABSORBED_AND_RETURNED:
		sw_count_many(w, slot, SW_COUNT_ABSORBED, count);
		put_run(w, back, mbufs, count, SW_TRANSMIT_OWN, slot);
		break;
	case SW_ABSORB:
		sw_count_many(w, slot, SW_COUNT_ABSORBED, count);
		rte_pktmbuf_free_bulk(mbufs, count);
		break;
	case SW_PENDING: /* no stage wanted it: pipeline.c's mistake, and the packet's way to be seen all the same */
	case SW_DROP:
		sw_count_drops(w, slot, b->reasons[first], count);
		rte_pktmbuf_free_bulk(mbufs, count);
		break;
	case SW_HOLD:       /* counted when it was held */
	case SW_HANDED_OVER:
		break;
	}
}

void sw_stage_transmit(struct sw_worker *w, struct sw_burst *b)
{
	for (unsigned int first = 0, end; first < b->count; first = end) {
		for (end = first + 1; end < b->count; end++)
			if (b->verdicts[end] != b->verdicts[first] || b->slots[end] != b->slots[first] ||
				b->reasons[end] != b->reasons[first])
				break;
		carry_out(w, b, first, end - first);
	}
}
