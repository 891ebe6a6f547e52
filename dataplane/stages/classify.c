/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage 2: which service a packet concerns. What concerns none is forwarded untouched; what concerns one goes to the
 * worker that owns its client.
 */
#include "stage.h"

#include <rte_branch_prediction.h>

#include "../core/service_table.h"

/* A packet that names no port: later fragments, and headers that cannot be read that far. */
static void classify_by_address(struct sw_worker *w, struct sw_burst *b, unsigned int i)
{
	const struct sw_packet *p = &b->packets[i];

	if (!sw_service_table_address_protected(w->policy->services, &p->server)) {
		b->verdicts[i] = SW_FORWARD;
		return;
	}
	if (p->kind == SW_PACKET_MALFORMED)
		sw_drop(b, i, p->reason);
	else if (b->side == SW_OUTSIDE && w->policy->fragments == SW_FRAGMENTS_DROP)
		sw_drop(b, i, SW_DROP_FRAGMENT_REFUSED);
	else
		b->verdicts[i] = SW_FORWARD;
}

/* Modes off and monitor never drop, whatever a packet looks like. */
static void classify_malformed(struct sw_worker *w, struct sw_burst *b, unsigned int i)
{
	const uint8_t mode = sw_service_of(w, b, i)->mode;

	if (mode == SW_MODE_OFF || mode == SW_MODE_MONITOR) {
		b->verdicts[i] = SW_FORWARD;
		if (mode == SW_MODE_MONITOR)
			sw_count(w, b->slots[i], SW_COUNT_WOULD_DROP);
	} else {
		sw_drop(b, i, b->packets[i].reason);
	}
}

static void hand_over(struct sw_worker *w, struct sw_burst *b, unsigned int i)
{
	const unsigned int owner = sw_owner(w->shared, &b->packets[i].client);

	if (owner == w->id)
		return;
	if (rte_ring_sp_enqueue(w->handover[owner], b->mbufs[i]) == 0) {
		b->verdicts[i] = SW_HANDED_OVER;
		sw_count(w, SW_NONE, SW_COUNT_HANDED_OVER);
	} else {
		sw_drop(b, i, SW_DROP_HANDOVER_FULL);
	}
}

/* Distinct (server, port) pairs of a burst, in the order of their first packets; neighbours are mostly alike. */
struct lookups {
	const struct sw_address *servers[SW_BURST];
	uint16_t ports[SW_BURST];
	uint32_t services[SW_BURST];
	uint8_t of_packet[SW_BURST]; /* NO_LOOKUP: decided without */
	unsigned int count;
};
enum { NO_LOOKUP = 0xff };

static inline uint8_t look_up(struct lookups *l, const struct sw_packet *p)
{
	const unsigned int last = l->count - 1;

	if (l->count && l->ports[last] == p->server_port && sw_address_equal(l->servers[last], &p->server))
		return (uint8_t)last;
	l->servers[l->count] = &p->server;
	l->ports[l->count] = p->server_port;
	return (uint8_t)l->count++;
}

static void gather(struct sw_worker *w, struct sw_burst *b, struct lookups *l)
{
	l->count = 0;
	for (unsigned int i = 0; i < b->count; i++) {
		const struct sw_packet *p = &b->packets[i];
		l->of_packet[i] = NO_LOOKUP;
		if (likely(p->kind == SW_PACKET_TCP) || p->kind == SW_PACKET_ICMP_ERROR ||
			(p->kind == SW_PACKET_MALFORMED && p->server_port != 0))
			l->of_packet[i] = look_up(l, p);
		else if (p->kind == SW_PACKET_OTHER)
			b->verdicts[i] = SW_FORWARD;
		else
			classify_by_address(w, b, i);
	}
	if (l->count)
		sw_service_table_lookup_burst(w->policy->services, l->servers, l->ports, l->count, l->services);
}

void sw_stage_classify(struct sw_worker *w, struct sw_burst *b, bool handed_over)
{
	const bool foreign = !handed_over && !w->shared->sharded_by_nic;
	struct lookups l;

	gather(w, b, &l);
	for (unsigned int i = 0; i < b->count; i++) {
		if (l.of_packet[i] == NO_LOOKUP)
			continue;
		const uint32_t service = l.services[l.of_packet[i]];
		if (service == SW_NONE) {
			b->verdicts[i] = SW_FORWARD;
			continue;
		}
		b->services[i] = service;
		b->slots[i] = w->policy->service[service].slot;
		if (foreign)
			hand_over(w, b, i);
		if (b->verdicts[i] == SW_HANDED_OVER)
			continue;
		struct sw_counters *c = &w->services[b->slots[i]]; /* the box's own were counted where the packet arrived */
		c->count[SW_COUNT_RX]++;
		c->count[SW_COUNT_RX_BYTES] += b->mbufs[i]->pkt_len;
		if (sw_is_first_syn(b, i))
			sw_count(w, b->slots[i], SW_COUNT_SYN_RECEIVED);
		if (unlikely(b->packets[i].kind == SW_PACKET_MALFORMED) && b->verdicts[i] == SW_PENDING)
			classify_malformed(w, b, i);
	}
}
