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
				sw_count_bytes(w, t->slots[i], SW_COUNT_FORWARDED_BYTES, -(uint64_t)t->mbufs[i]->pkt_len);
		}
		rte_pktmbuf_free(t->mbufs[i]);
	}
}

static void flush(struct sw_worker *w, unsigned int link, enum sw_side side)
{
	struct sw_transmit *t = &w->transmit[link * SW_SIDES + side];
	const struct sw_queue *q = &w->queues[link][side];
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
	for (unsigned int link = 0; link < w->shared->links; link++)
		for (unsigned int side = 0; side < SW_SIDES; side++)
			if (w->transmit[link * SW_SIDES + side].count)
				flush(w, link, (enum sw_side)side);
}

void sw_transmit_put(struct sw_worker *w, unsigned int link, enum sw_side side, struct rte_mbuf *m,
	enum sw_transmit_kind kind, uint32_t slot)
{
	struct sw_transmit *t = &w->transmit[link * SW_SIDES + side];

	if (t->count == SW_TRANSMIT_MAX)
		flush(w, link, side);
	t->kinds[t->count] = (uint8_t)kind;
	t->slots[t->count] = slot;
	t->mbufs[t->count++] = m;
}

void sw_stage_transmit(struct sw_worker *w, struct sw_burst *b)
{
	for (unsigned int i = 0; i < b->count; i++) {
		struct rte_mbuf *m = b->mbufs[i];
		const uint32_t slot = b->slots[i];
		switch ((enum sw_verdict)b->verdicts[i]) {
		case SW_FORWARD:
			sw_count(w, slot, SW_COUNT_FORWARDED);
			sw_count_bytes(w, slot, SW_COUNT_FORWARDED_BYTES, m->pkt_len);
			sw_transmit_put(w, b->link, sw_other(b->side), m, SW_TRANSMIT_FORWARDED, slot);
			break;
		case SW_ANSWER:
			sw_count(w, slot, SW_COUNT_ANSWERED);
			sw_transmit_put(w, b->link, b->side, m, SW_TRANSMIT_ANSWERED, slot);
			break;
		case SW_ABSORBED_AND_REUSED:
			sw_count(w, slot, SW_COUNT_ABSORBED);
			sw_transmit_put(w, b->link, sw_other(b->side), m, SW_TRANSMIT_OWN, slot);
			break;
		case SW_ABSORBED_AND_RETURNED:
			sw_count(w, slot, SW_COUNT_ABSORBED);
			sw_transmit_put(w, b->link, b->side, m, SW_TRANSMIT_OWN, slot);
			break;
		case SW_ABSORB:
			sw_count(w, slot, SW_COUNT_ABSORBED);
			rte_pktmbuf_free(m);
			break;
		case SW_PENDING: /* no stage wanted it: pipeline.c's mistake, and the packet's way to be seen all the same */
		case SW_DROP:
			sw_count_drop(w, slot, b->reasons[i]);
			rte_pktmbuf_free(m);
			break;
		case SW_HOLD:       /* counted when it was held */
		case SW_HANDED_OVER:
			break;
		}
	}
}
