/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What all stages share. A stage is one function over a burst: it looks at the packets that are still SW_PENDING,
 * decides about those that are its business, and leaves the rest. Sets of packets are words with a bit each, so that a
 * stage without business costs nothing. Only pipeline.c knows the order. Everything runs on
 * the worker's own lcore; no stage locks, allocates (but mbufs from the worker's pool), logs or calls the system.
 */
#ifndef SW_STAGE_H
#define SW_STAGE_H

#include <rte_byteorder.h>
#include <rte_mbuf.h>

#include "../admission.h"
#include "../core/runs.h"
#include "../verdict.h"
#include "../worker.h"
#include "segment.h"

struct sw_burst {
	unsigned int count;
	unsigned int link;
	enum sw_side side;
	uint32_t pending;               /* bit i: packet i is SW_PENDING; kept by sw_decide() */
	uint32_t others;                /* bit i: SW_PACKET_OTHER */
	uint32_t tcp;                   /* bit i: SW_PACKET_TCP */
	uint32_t syns;                  /* bit i: a client asks for a connection; see sw_is_first_syn() */
	uint32_t strays;                /* bit i: took the complete parser; others are plain frames */
	uint32_t acks;                  /* bit i: TCP, whole, ACK without SYN and RST */
	uint32_t fins;                  /* bit i: TCP with FIN */
	uint32_t elsewhere;             /* bit i: its flow may stand in its second bucket; between sw_lookup_guess() and stage 5 */
	uint32_t known;                 /* bit i: flows[i] is one; as of when all were looked up */
	uint32_t stale;                 /* bit i: and it does not say what the policy thinks of its source, or that counts */
	uint32_t undecided;             /* bit i: the source stage asks what is said of its source, in classes[i] */
	uint32_t watched;               /* bit i: a SYN that passes whatever the limits say, in mode monitor; set by the limits */
	uint32_t proven;                /* bit i: a SYN whose source has proven itself before; set by the limits */
	uint32_t changes;               /* of the flow table when `flows` was looked up */
	bool one_server;                /* all packets but `others` name the same server and port */
	uint64_t cycles;                /* that it took so far, while that is asked for; see core/prefetch_choice.h */
	uint64_t bytes;                 /* as received, of all packets */
	uint64_t ol_flags;              /* those that any packet was received with */
	uint8_t verdicts[SW_BURST];     /* enum sw_verdict */
	uint8_t reasons[SW_BURST];      /* enum sw_drop_reason, SW_DROP */
	uint32_t services[SW_BURST];    /* index into policy->service; SW_NONE: not protected */
	uint32_t slots[SW_BURST];       /* its slot, for counters; SW_NONE likewise */
	uint32_t flows[SW_BURST];       /* index into the flow table; SW_FLOW_NONE */
	uint32_t classes[SW_BURST];     /* source class, outside packets that need one; the source stage's own until it is done */
	uint64_t hashes[SW_BURST];      /* of the flow */
	struct rte_mbuf *mbufs[SW_BURST];
	struct sw_packet packets[SW_BURST];
	struct sw_syn_admissions admissions;
};

/* The stages, in the order in which a packet meets them. */
void sw_stage_parse(struct sw_worker *w, struct sw_burst *b);
void sw_stage_classify(struct sw_worker *w, struct sw_burst *b, bool handed_over);
void sw_stage_limit(struct sw_worker *w, struct sw_burst *b);
void sw_stage_challenge(struct sw_worker *w, struct sw_burst *b);
void sw_stage_lookup(struct sw_worker *w, struct sw_burst *b);
void sw_stage_source(struct sw_worker *w, struct sw_burst *b);
void sw_stage_translate(struct sw_worker *w, struct sw_burst *b);
void sw_stage_verify(struct sw_worker *w, struct sw_burst *b);
void sw_stage_transmit(struct sw_worker *w, struct sw_burst *b);

/* The loop of the first for an instruction set, which the CPU must have; all see the same. For worker->parse. */
typedef void (*sw_parse_fn)(struct sw_worker *w, struct sw_burst *b);
sw_parse_fn sw_parse_for(enum sw_isa isa);

/*
 * Ahead of their stages. The flows' hashes, and their buckets are asked for; then what is said of the sources of SYNs, which
 * need no flow for it; then the latter is decided, and, by the buckets, the flows are asked for. They are on their way
 * while SYNs are limited and answered.
 */
void sw_lookup_ask(struct sw_worker *w, struct sw_burst *b);
void sw_sources_ask(struct sw_worker *w, struct sw_burst *b);
void sw_sources_of_syns(struct sw_worker *w, struct sw_burst *b);
void sw_lookup_guess(struct sw_worker *w, struct sw_burst *b);

/* Moves the counters of deny rules that packets of this round have hit. By its end. */
void sw_sources_count_denied(struct sw_worker *w);

/*
 * Of SYNs that are in no list, as far as is known, prepares what the limits will look at, as far as they will. For the
 * stage before, which has memory to wait for, and then says who is in one after all: they are to be looked at anew.
 */
void sw_limits_ask(struct sw_worker *w, struct sw_burst *b, uint32_t syns);
void sw_limits_doubt(struct sw_burst *b, uint32_t syns);

/*
 * Ahead of stage 3: whom the limits will look at, and where; that memory is asked for. SYNs that need not go through them
 * are decided here.
 */
void sw_limits_place(struct sw_worker *w, struct sw_burst *b);

/*
 * A set in runs of the same service and family, in the order of their first packets. Returns how many there are: as a
 * flood comes, one; where it comes to several services, mostly one for each.
 */
unsigned int sw_burst_runs(const struct sw_worker *w, const struct sw_burst *b, uint32_t set,
	struct sw_admission_run runs[SW_BURST]);

/* ---- verdicts and counters -------------------------------------------------------------------------------------- */

/* Packets, or bytes where `what` counts bytes. */
static inline void sw_count_many(struct sw_worker *w, uint32_t slot, enum sw_count what, uint64_t amount)
{
	w->totals.count[what] += amount;
	if (slot != SW_NONE)
		w->services[slot].count[what] += amount;
}

static inline void sw_count(struct sw_worker *w, uint32_t slot, enum sw_count what)
{
	sw_count_many(w, slot, what, 1);
}

static inline void sw_uncount(struct sw_worker *w, uint32_t slot, enum sw_count what)
{
	sw_count_many(w, slot, what, (uint64_t)-1);
}

static inline void sw_count_drops(struct sw_worker *w, uint32_t slot, enum sw_drop_reason reason, uint64_t packets)
{
	w->totals.dropped[reason] += packets;
	if (slot != SW_NONE)
		w->services[slot].dropped[reason] += packets;
}

static inline void sw_count_drop(struct sw_worker *w, uint32_t slot, enum sw_drop_reason reason)
{
	sw_count_drops(w, slot, reason, 1);
}

static inline void sw_count_refused(struct sw_worker *w, uint32_t slot, enum sw_drop_reason reason)
{
	w->totals.refused[reason]++;
	if (slot != SW_NONE)
		w->services[slot].refused[reason]++;
}

/*
 * Fills an array of a burst. Vector stores, spelled out: compilers make `rep stos` of memset and of loops, which takes longer
 * to begin than all of this.
 */
static inline void sw_fill(uint32_t values[SW_BURST], uint32_t value)
{
	const __m128i four = _mm_set1_epi32((int)value);
	__m128i *to = (__m128i *)(void *)values;

	_mm_storeu_si128(to, four);
	_mm_storeu_si128(to + 1, four);
	_mm_storeu_si128(to + 2, four);
	_mm_storeu_si128(to + 3, four);
	_mm_storeu_si128(to + 4, four);
	_mm_storeu_si128(to + 5, four);
	_mm_storeu_si128(to + 6, four);
	_mm_storeu_si128(to + 7, four);
}

/* The set of all packets. */
static inline uint32_t sw_burst_all(const struct sw_burst *b)
{
	_Static_assert(SW_BURST == 32, "a bit for each packet");
	return (uint32_t)((1ull << b->count) - 1);
}

/* Takes the lowest packet out of a set of them: for (unsigned int i; sw_next(&set, &i);). */
static inline bool sw_next(uint32_t *set, unsigned int *i)
{
	if (*set == 0)
		return false;
	*i = (unsigned int)__builtin_ctz(*set);
	*set &= *set - 1;
	return true;
}

static inline void sw_decide(struct sw_burst *b, unsigned int i, enum sw_verdict verdict)
{
	b->verdicts[i] = (uint8_t)verdict;
	b->pending &= ~(1u << i);
}

/* Of what a burst holds packets in turns: up to so many kinds each packet is held against all of them. */
enum { SW_FEW = 4 };

/* Where so many of a burst are alone of their kind most are, and to look for the like of the others does not pay. */
enum { SW_LONE_MAX = 2 };

/* The set of those whose value in an array of a burst is this one. */
static inline uint32_t sw_find_equal(const uint32_t values[SW_BURST], uint32_t value)
{
	const __m128i four = _mm_set1_epi32((int)value), *from = (const __m128i *)(const void *)values;
	uint32_t set = 0;

	for (unsigned int i = 0; i < SW_BURST; i += 16, from += 4) {
		const __m128i low = _mm_packs_epi32(_mm_cmpeq_epi32(_mm_loadu_si128(from), four),
			_mm_cmpeq_epi32(_mm_loadu_si128(from + 1), four));
		const __m128i high = _mm_packs_epi32(_mm_cmpeq_epi32(_mm_loadu_si128(from + 2), four),
			_mm_cmpeq_epi32(_mm_loadu_si128(from + 3), four));
		set |= (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(low, high)) << i;
	}
	return set;
}

/* For each bit of a word a byte of ones or zeros. */
static inline __m128i sw_spread(uint32_t set)
{
	const __m128i bits = _mm_set1_epi64x((long long)0x8040201008040201ull);
	const __m128i bytes = _mm_shuffle_epi8(_mm_cvtsi32_si128((int)set),
		_mm_set_epi8(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0));

	return _mm_cmpeq_epi8(_mm_and_si128(bytes, bits), bits);
}

static inline void sw_set_bytes(uint8_t bytes[SW_BURST], uint32_t set, uint8_t value)
{
	const __m128i values = _mm_set1_epi8((char)value);
	__m128i *at = (__m128i *)(void *)bytes;

	_mm_storeu_si128(at, _mm_blendv_epi8(_mm_loadu_si128(at), values, sw_spread(set)));
	_mm_storeu_si128(at + 1, _mm_blendv_epi8(_mm_loadu_si128(at + 1), values, sw_spread(set >> 16)));
}

/* sw_decide() about a set of packets. */
static inline void sw_decide_all(struct sw_burst *b, uint32_t set, enum sw_verdict verdict)
{
	sw_set_bytes(b->verdicts, set, (uint8_t)verdict);
	b->pending &= ~set;
}

static inline void sw_drop(struct sw_burst *b, unsigned int i, enum sw_drop_reason reason)
{
	sw_decide(b, i, SW_DROP);
	b->reasons[i] = (uint8_t)reason;
}

static inline void sw_drop_all(struct sw_burst *b, uint32_t set, enum sw_drop_reason reason)
{
	sw_decide_all(b, set, SW_DROP);
	sw_set_bytes(b->reasons, set, (uint8_t)reason);
}

static inline const struct sw_service_profile *sw_service_of(const struct sw_worker *w, const struct sw_burst *b,
	unsigned int i)
{
	return &w->policy->service[b->services[i]];
}

/* Of a set those that are IPv6. Who talks to one server is of its family. */
static inline uint32_t sw_find_ipv6(const struct sw_burst *b, uint32_t set)
{
	uint32_t ipv6 = 0;

	if (set && b->one_server)
		return b->packets[__builtin_ctz(set)].is_ipv6 ? set : 0;
	for (unsigned int i; sw_next(&set, &i);)
		ipv6 |= (uint32_t)b->packets[i].is_ipv6 << i;
	return ipv6;
}

/* SYNs towards it are challenged. */
static inline bool sw_armed(const struct sw_worker *w, uint32_t slot)
{
	return atomic_load_explicit(&w->shared->armed[slot], memory_order_relaxed) != 0 ||
		(int64_t)(w->service_budgets[slot].armed_until_tsc - w->now) > 0;
}

/* Cookies may be on their way back to it. */
static inline bool sw_accepts_cookies(const struct sw_worker *w, uint32_t slot)
{
	return sw_armed(w, slot) ||
		(int64_t)(atomic_load_explicit(&w->shared->accept_until_tsc[slot], memory_order_relaxed) - w->now) > 0;
}

static inline const struct sw_promise *sw_promise_of(const struct sw_worker *w, uint32_t slot, bool is_ipv6)
{
	return &w->shared->promises[slot][is_ipv6][w->keys->epoch & 1];
}

/* Sequence numbers that it takes: payload, SYN and FIN (RFC 9293, 3.4: SEG.LEN). */
static inline uint32_t sw_segment_length(const struct sw_packet *p)
{
	return p->payload_bytes + (p->tcp_flags & SW_TCP_SYN ? 1u : 0u) + (p->tcp_flags & SW_TCP_FIN ? 1u : 0u);
}

static inline uint8_t sw_handshake_of(const struct sw_packet *p)
{
	return p->tcp_flags & (SW_TCP_SYN | SW_TCP_ACK | SW_TCP_RST);
}

/*
 * A client asks for a connection: a TCP SYN from outside, without ACK or RST. Its flow is never looked up: what an older
 * one of these ports says is of no matter.
 */
static inline bool sw_is_first_syn(const struct sw_burst *b, unsigned int i)
{
	return b->syns >> i & 1;
}

/* ---- frames ------------------------------------------------------------------------------------------------------ */

static inline uint8_t *sw_frame_of(struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod(m, uint8_t *);
}

/* Sets the length of a single-segment mbuf whose frame was rewritten. */
static inline void sw_frame_resize(struct rte_mbuf *m, unsigned int bytes)
{
	m->data_len = (uint16_t)bytes;
	m->pkt_len = bytes;
	m->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL; /* whose buffer it is stays; what was said of the old frame goes */
}

/* Both exits of a burst, of the side a packet came in at. */
static inline enum sw_side sw_other(enum sw_side side)
{
	return side == SW_OUTSIDE ? SW_INSIDE : SW_OUTSIDE;
}

/*
 * Turns the packet into a RST towards whoever sent it (RFC 9293, 3.10.7.1), if the RST budget has room: verdict
 * SW_ANSWER, and `reason` counts as refused. Otherwise, and for RSTs, dropped with `reason`.
 */
void sw_answer_reset(struct sw_worker *w, struct sw_burst *b, unsigned int i, enum sw_drop_reason reason);

/* ---- transmit ---------------------------------------------------------------------------------------------------- */

/* Queues a packet; the queue owns it from here. `kind` and `slot`: what to count it as, and where. */
void sw_transmit_put(struct sw_worker *w, unsigned int link, enum sw_side side, struct rte_mbuf *m,
	enum sw_transmit_kind kind, uint32_t slot);
void sw_transmit_flush(struct sw_worker *w);

#endif
