/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The last stage: what was decided about each packet is counted and done, once. A queue that does not take a packet
 * turns its count into a loss, so that the sum over all counters holds.
 */
#include "stage.h"

#include <rte_branch_prediction.h>
#include <rte_ethdev.h>

static void lose_one(struct sw_worker *w, const struct sw_transmit_run *run, struct rte_mbuf *m)
{
	if (run->kind == SW_TRANSMIT_OWN) {
		sw_count(w, run->slot, SW_COUNT_SENT_LOST);
	} else {
		const bool forwarded = run->kind == SW_TRANSMIT_FORWARDED;
		sw_uncount(w, run->slot, forwarded ? SW_COUNT_FORWARDED : SW_COUNT_ANSWERED);
		sw_count_drop(w, run->slot, SW_DROP_TRANSMIT_FULL);
		if (forwarded)
			sw_count_many(w, run->slot, SW_COUNT_FORWARDED_BYTES, -(uint64_t)m->pkt_len);
	}
	rte_pktmbuf_free(m);
}

static void lose(struct sw_worker *w, const struct sw_transmit *t, unsigned int from)
{
	const struct sw_transmit_run *run = t->runs;

	for (unsigned int i = from; i < t->count; i++) {
		while (run->end <= i)
			run++;
		lose_one(w, run, t->mbufs[i]);
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
	t->count = t->run_count = 0;
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
	if (count == 1)
		t->mbufs[t->count] = mbufs[0];
	else
		memcpy(t->mbufs + t->count, mbufs, count * sizeof(*mbufs));
	t->count = (uint16_t)(t->count + count);
	struct sw_transmit_run *last = &t->runs[t->run_count];
	if (t->run_count && last[-1].slot == slot && last[-1].kind == kind) {
		last[-1].end = t->count;
	} else {
		*last = (struct sw_transmit_run){.slot = slot, .end = t->count, .kind = (uint8_t)kind};
		t->run_count++;
	}
}

void sw_transmit_put(struct sw_worker *w, unsigned int link, enum sw_side side, struct rte_mbuf *m,
	enum sw_transmit_kind kind, uint32_t slot)
{
	put_run(w, link * SW_SIDES + side, &m, 1, kind, slot);
}

static uint64_t bytes_of(struct rte_mbuf *const *mbufs, unsigned int count)
{
	uint64_t bytes = 0;

#pragma GCC unroll 4
	for (unsigned int i = 0; i < count; i++)
		bytes += mbufs[i]->pkt_len;
	return bytes;
}

_Static_assert(offsetof(struct rte_mbuf, nb_segs) == offsetof(struct rte_mbuf, refcnt) + 2, "both in one look");

/* One segment, one reference, and this pool. */
static inline bool are_whole(struct rte_mbuf *const *mbufs, unsigned int count, const struct rte_mempool *pool)
{
	const uint32_t one_of_each = 1 | 1 << 16;

#pragma GCC unroll 4
	for (unsigned int i = 0; i < count; i++) {
		uint32_t references_and_segments;
		memcpy(&references_and_segments, &mbufs[i]->refcnt, sizeof(references_and_segments));
		if (unlikely(references_and_segments != one_of_each || mbufs[i]->pool != pool))
			return false;
	}
	return true;
}

/*
 * What a queue gave us, and nobody else has a part in, goes back to its pool as it is, all at once: one segment (whose
 * `next`, in a line that nobody has touched, is then NULL), one reference, its own buffer, as the flags with which the
 * burst was received say. Should one not be so, DPDK takes them one by one.
 */
static void free_all(const struct sw_burst *b, struct rte_mbuf **mbufs, unsigned int count)
{
	struct rte_mempool *pool = mbufs[0]->pool;

	if (likely(!(b->ol_flags & (RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL)) && are_whole(mbufs, count, pool)))
		rte_mempool_put_bulk(pool, (void *const *)mbufs, count);
	else
		rte_pktmbuf_free_bulk(mbufs, count);
}

/* Packets like the first one, which is packet `first`. */
static void carry_out(struct sw_worker *w, const struct sw_burst *b, unsigned int first, struct rte_mbuf **mbufs,
	unsigned int count)
{
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
		free_all(b, mbufs, count);
		break;
	case SW_PENDING: /* no stage wanted it: pipeline.c's mistake, and the packet's way to be seen all the same */
	case SW_DROP:
		sw_count_drops(w, slot, b->reasons[first], count);
		free_all(b, mbufs, count);
		break;
	case SW_HOLD:       /* counted when it was held */
	case SW_HANDED_OVER:
		break;
	}
}

/* Which of 16 bytes are as the byte before them; `before`: the 16 in front. */
static inline __m128i alike(__m128i before, __m128i bytes)
{
	return _mm_cmpeq_epi8(bytes, _mm_alignr_epi8(bytes, before, 15));
}

static inline __m128i load(const void *from, unsigned int index)
{
	return _mm_loadu_si128((const __m128i *)from + index);
}

/* The set of packets whose slot is that of the packet before. */
static inline uint32_t same_slot(const uint32_t slots[SW_BURST])
{
	__m128i before = _mm_setzero_si128(), words[8];
	uint32_t set = 0;

	for (unsigned int k = 0; k < 8; k++) {
		const __m128i four = load(slots, k);
		words[k] = _mm_cmpeq_epi32(four, _mm_alignr_epi8(four, before, 12));
		before = four;
	}
	for (unsigned int half = 0; half < 2; half++) {
		const __m128i *w = words + 4 * half;
		const __m128i bytes = _mm_packs_epi16(_mm_packs_epi32(w[0], w[1]), _mm_packs_epi32(w[2], w[3]));
		set |= (uint32_t)_mm_movemask_epi8(bytes) << 16 * half;
	}
	return set;
}

/* The set of packets whose byte is that of the packet before. */
static inline uint32_t same_byte(const uint8_t bytes[SW_BURST])
{
	const __m128i first = load(bytes, 0), second = load(bytes, 1);

	return (uint32_t)_mm_movemask_epi8(alike(_mm_setzero_si128(), first)) |
		(uint32_t)_mm_movemask_epi8(alike(first, second)) << 16;
}

/* One service after the other; order among services is of no matter. */
static void carry_out_by_service(struct sw_worker *w, const struct sw_burst *b)
{
	struct rte_mbuf *mbufs[SW_BURST];
	uint32_t set = sw_burst_all(b);
	unsigned int lone = 0;

	while (set) {
		const unsigned int first = (unsigned int)__builtin_ctz(set);
		uint32_t alike = lone < SW_LONE_MAX ? set & sw_find_equal(b->slots, b->slots[first]) : set & -set;
		unsigned int count = 0;
		set &= ~alike;
		for (unsigned int i; sw_next(&alike, &i);)
			mbufs[count++] = b->mbufs[i];
		carry_out(w, b, first, mbufs, count);
		lone += count == 1;
	}
}

/*
 * A flood: every packet is answered, or dropped for the same reason; what is forwarded keeps its order. Of SYNs that went
 * through the limits it is known how many kinds there are.
 */
static inline bool differ_by_service_alone(const struct sw_burst *b, uint32_t same_fate)
{
	return (sw_burst_all(b) & ~same_fate & ~1u) == 0 && b->admissions.run_count <= SW_FEW &&
		(b->verdicts[0] == SW_ANSWER || b->verdicts[0] == SW_DROP);
}

void sw_stage_transmit(struct sw_worker *w, struct sw_burst *b)
{
	const uint32_t same_fate = same_byte(b->verdicts) & same_byte(b->reasons);
	uint32_t begins = sw_burst_all(b) & ~(same_fate & same_slot(b->slots)) & ~1u; /* runs, behind the first */

	if (begins && differ_by_service_alone(b, same_fate)) {
		carry_out_by_service(w, b);
		return;
	}
	for (unsigned int first = 0, end; first < b->count; first = end) {
		if (!sw_next(&begins, &end))
			end = b->count;
		carry_out(w, b, first, b->mbufs + first, end - first);
	}
}
