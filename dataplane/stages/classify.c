/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage 2: which service a packet concerns. What concerns none is forwarded untouched; what concerns one goes to the
 * worker that owns its client.
 */
#include "stage.h"

#include <rte_branch_prediction.h>

#include "../core/service_table.h"

/* Of the two bits that a NIC says of a sum: without it the sum is right or was not looked at; BAD alone is wrong. */
#define SUMS_IN_DOUBT (RTE_MBUF_F_RX_IP_CKSUM_BAD | RTE_MBUF_F_RX_L4_CKSUM_BAD)

/* Modes off and monitor never drop, whatever a packet looks like. */
static void drop_if_guarded(struct sw_worker *w, struct sw_burst *b, unsigned int i, enum sw_mode mode,
	enum sw_drop_reason reason)
{
	if (mode == SW_MODE_OFF || mode == SW_MODE_MONITOR) {
		sw_decide(b, i, SW_FORWARD);
		if (mode == SW_MODE_MONITOR)
			sw_count(w, b->slots[i], SW_COUNT_WOULD_DROP);
	} else {
		sw_drop(b, i, reason);
	}
}

/*
 * A packet that names no port: later fragments, and headers that cannot be read that far. It may be for any service of
 * its address, so the strictest of them decides.
 */
static void classify_by_address(struct sw_worker *w, struct sw_burst *b, unsigned int i)
{
	const struct sw_packet *p = &b->packets[i];
	const bool is_malformed = p->kind == SW_PACKET_MALFORMED;

	if (!is_malformed && (b->side != SW_OUTSIDE || w->policy->fragments != SW_FRAGMENTS_DROP)) {
		sw_decide(b, i, SW_FORWARD);
		return;
	}
	const enum sw_mode mode = sw_service_table_strictest_mode(w->policy->services, &p->server);
	drop_if_guarded(w, b, i, mode, is_malformed ? p->reason : SW_DROP_FRAGMENT_REFUSED);
}

static inline void hand_over(struct sw_worker *w, struct sw_burst *b, unsigned int i)
{
	const unsigned int owner = sw_owner(w->shared, &b->packets[i].client);

	if (owner == w->id)
		return;
	if (rte_ring_sp_enqueue(w->handover[owner], b->mbufs[i]) == 0) {
		sw_decide(b, i, SW_HANDED_OVER);
		sw_count(w, SW_NONE, SW_COUNT_HANDED_OVER);
	} else {
		sw_drop(b, i, SW_DROP_HANDOVER_FULL);
	}
}

/*
 * Distinct (server, port) pairs of a burst, in the order of their first packets. While they are SW_FEW at most, each packet
 * is held against all of them; then neighbours are, which are mostly alike, and a pair may be there more than once.
 */
struct lookups {
	const struct sw_address *servers[SW_BURST];
	uint16_t ports[SW_BURST];
	uint32_t packets[SW_BURST]; /* the set of each pair */
	uint32_t services[SW_BURST];
	unsigned int count;
};

static inline bool is_pair(const struct lookups *l, unsigned int k, const struct sw_packet *p)
{
	return (l->ports[k] == p->server_port) & sw_address_equal(l->servers[k], &p->server);
}

/* Without a branch on which of a few it is: where they come in turns nobody could predict it. */
static inline bool find_among_few(struct lookups *l, const struct sw_packet *p, unsigned int i)
{
	uint32_t found = 0;

	for (unsigned int k = 0; k < l->count; k++) {
		const uint32_t same = is_pair(l, k, p);
		l->packets[k] |= same << i;
		found |= same;
	}
	return found;
}

static inline void look_up(struct lookups *l, const struct sw_packet *p, unsigned int i)
{
	if (l->count <= SW_FEW) {
		if (find_among_few(l, p, i))
			return;
	} else if (is_pair(l, l->count - 1, p)) {
		l->packets[l->count - 1] |= 1u << i;
		return;
	}
	l->servers[l->count] = &p->server;
	l->ports[l->count] = p->server_port;
	l->packets[l->count++] = 1u << i;
}

/* ICMP errors, fragments, what is malformed. Returns the set of those that show a server and its port. */
static uint32_t classify_odd(struct sw_worker *w, struct sw_burst *b, uint32_t packets, uint32_t *malformed)
{
	uint32_t showing = 0;

	for (unsigned int i; sw_next(&packets, &i);) {
		const struct sw_packet *p = &b->packets[i];
		const bool is_malformed = p->kind == SW_PACKET_MALFORMED;
		if (p->kind == SW_PACKET_ICMP_ERROR || (is_malformed && p->server_port != 0)) {
			showing |= 1u << i;
			*malformed |= (uint32_t)is_malformed << i;
		} else {
			classify_by_address(w, b, i);
		}
	}
	return showing;
}

static void look_up_all(struct sw_worker *w, struct sw_burst *b, uint32_t packets, struct lookups *l)
{
	l->count = 0;
	if (b->one_server && packets) {
		look_up(l, &b->packets[__builtin_ctz(packets)], 0);
		l->packets[0] = packets;
	} else {
		for (unsigned int i; sw_next(&packets, &i);)
			look_up(l, &b->packets[i], i);
	}
	if (l->count)
		sw_service_table_lookup_burst(w->policy->services, l->servers, l->ports, l->count, l->services);
}

/* Those that are another worker's go to it, and out of the set. */
static uint32_t keep_own(struct sw_worker *w, struct sw_burst *b, uint32_t packets)
{
	uint32_t own = packets;

	for (unsigned int i; sw_next(&packets, &i);) {
		hand_over(w, b, i);
		if (b->verdicts[i] == SW_HANDED_OVER)
			own &= ~(1u << i);
	}
	return own;
}

/* Nobody can tell the sum of a whole TCP segment from one of its fragments. */
static bool found_wrong(const struct rte_mbuf *m, const struct sw_packet *p)
{
	const bool is_segment = p->kind == SW_PACKET_TCP && !p->is_fragment;

	return (m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_BAD ||
		(is_segment && (m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_BAD);
}

/* Returns the set of those whose sums the NIC found wrong: as bad as malformed ones, and SYNs no longer. */
static __attribute__((noinline)) uint32_t find_wrong_sums(struct sw_burst *b, uint32_t packets)
{
	uint32_t wrong = 0;

	for (unsigned int i; sw_next(&packets, &i);) {
		if (!found_wrong(b->mbufs[i], &b->packets[i]))
			continue;
		wrong |= 1u << i;
		if (b->packets[i].kind != SW_PACKET_MALFORMED)
			b->packets[i].reason = SW_DROP_CHECKSUM_BAD;
	}
	b->syns &= ~wrong;
	return wrong;
}

static uint64_t bytes_of(const struct sw_burst *b, uint32_t packets)
{
	uint64_t bytes = 0;

	if (packets == sw_burst_all(b))
		return b->bytes;
	for (unsigned int i; sw_next(&packets, &i);)
		bytes += b->mbufs[i]->pkt_len;
	return bytes;
}

/* Returns how many bytes they have. */
static inline uint64_t set_service(struct sw_burst *b, uint32_t packets, uint32_t service, uint32_t slot)
{
	uint64_t bytes = 0;

	if (packets == sw_burst_all(b)) {
		sw_fill(b->services, service);
		sw_fill(b->slots, slot);
		return b->bytes;
	}
	for (unsigned int i; sw_next(&packets, &i);) {
		b->services[i] = service;
		b->slots[i] = slot;
		bytes += b->mbufs[i]->pkt_len;
	}
	return bytes;
}

/* Gives packets to their service, and counts them there: the box's own counters were moved where they arrived. */
static uint32_t assign(struct sw_worker *w, struct sw_burst *b, uint32_t service, uint32_t packets, bool foreign)
{
	const uint32_t slot = w->policy->service[service].slot;
	uint64_t *count = w->services[slot].count;
	uint64_t bytes = set_service(b, packets, service, slot);

	if (foreign) {
		packets = keep_own(w, b, packets);
		bytes = bytes_of(b, packets);
	}
	count[SW_COUNT_RX] += (unsigned int)__builtin_popcount(packets);
	count[SW_COUNT_RX_BYTES] += bytes;
	return packets;
}

/* The same of SYNs, once it is clear which are whole. */
static void count_syns(struct sw_worker *w, const struct sw_burst *b, const struct lookups *l, uint32_t syns)
{
	w->totals.count[SW_COUNT_SYN_RECEIVED] += (unsigned int)__builtin_popcount(syns);
	if (l->count > SW_FEW) { /* many pairs of a packet or two each */
		for (unsigned int i; sw_next(&syns, &i);)
			w->services[b->slots[i]].count[SW_COUNT_SYN_RECEIVED]++;
		return;
	}
	for (unsigned int k = 0; k < l->count; k++) {
		const uint32_t these = syns & l->packets[k];
		if (these)
			w->services[b->slots[__builtin_ctz(these)]].count[SW_COUNT_SYN_RECEIVED] +=
				(unsigned int)__builtin_popcount(these);
	}
}

void sw_stage_classify(struct sw_worker *w, struct sw_burst *b, bool handed_over)
{
	const bool foreign = !handed_over && !w->shared->sharded_by_nic;
	const uint32_t odd = b->pending & ~b->tcp & ~b->others;
	uint32_t unprotected = b->others, asking = b->tcp, own = 0, bad = 0;
	struct lookups l;

	if (unlikely(odd))
		asking |= classify_odd(w, b, odd, &bad);
	look_up_all(w, b, asking, &l);
	for (unsigned int k = 0; k < l.count; k++) {
		if (l.services[k] == SW_NONE)
			unprotected |= l.packets[k];
		else
			own |= assign(w, b, l.services[k], l.packets[k], foreign);
	}
	sw_decide_all(b, unprotected, SW_FORWARD);
	if (unlikely(b->ol_flags & SUMS_IN_DOUBT))
		bad |= find_wrong_sums(b, own);
	count_syns(w, b, &l, b->syns & own);
	bad &= b->pending;
	for (unsigned int i; sw_next(&bad, &i);)
		drop_if_guarded(w, b, i, sw_service_of(w, b, i)->mode, b->packets[i].reason);
}
