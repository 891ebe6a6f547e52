/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Native connections, learned from what the protected hosts send: nothing that comes from outside makes one. So a table
 * of flows stands ready when a service is armed, and what was established before goes on.
 */
#include "../flow.h"

enum { SCALE_UNKNOWN = SW_WINDOW_SCALE_MAX }; /* windows are then taken to be as large as they can be */

static struct sw_flow *make(struct sw_worker *w, struct sw_burst *b, unsigned int i, enum sw_flow_state state,
	enum sw_flow_list list)
{
	const struct sw_packet *p = &b->packets[i];
	const uint32_t flow = sw_flow_make(w, b, i, list);

	if (flow == SW_FLOW_NONE)
		return NULL; /* it passes all the same; it is only not known */
	struct sw_flow *f = &w->flows.flows[flow];
	f->state = (uint8_t)state;
	f->client_scale = f->server_scale = f->promised_scale = SCALE_UNKNOWN;
	f->flags |= SW_FLOW_SAW_SERVER;
	f->server.next = p->seq + sw_segment_length(p);
	f->server.acked = p->ack;
	f->server.window = (uint32_t)p->window << SCALE_UNKNOWN;
	w->flows.setups[flow].cookie_isn = p->seq;
	b->flows[i] = flow;
	return f;
}

/* What a server's own SYN-ACK says of it. Options that are absent may only have been absent in the client's SYN. */
static void learn_profile(struct sw_worker *w, const struct sw_burst *b, unsigned int i)
{
	const struct sw_packet *p = &b->packets[i];
	const struct sw_promise *known = sw_promise_of(w, b->slots[i], p->is_ipv6);
	struct sw_promise seen = *known;

	if (p->mss != 0)
		seen.mss = p->mss;
	if (p->window_scale >= 0)
		seen.window_scale = p->window_scale;
	seen.sack |= !!(p->options & SW_OPTION_SACK_PERMITTED);
	seen.timestamps |= !!(p->options & SW_OPTION_TIMESTAMPS);
	seen.ecn |= !!(p->tcp_flags & SW_TCP_ECE);
	seen.known = 1;
	if (memcmp(&seen, known, sizeof(seen)) != 0)
		sw_note_profile(w, b->slots[i], p->is_ipv6, &seen);
}

static void learn_syn_ack(struct sw_worker *w, struct sw_burst *b, unsigned int i)
{
	const struct sw_packet *p = &b->packets[i];
	const uint32_t flow = b->flows[i];

	if (flow != SW_FLOW_NONE) {
		const struct sw_flow *f = &w->flows.flows[flow];
		if (p->seq + f->seq_delta == w->flows.setups[flow].cookie_isn) { /* the same again */
			if (f->flags & SW_FLOW_PROXIED)
				sw_connect_acknowledge_again(w, b, i, flow);
			return;
		}
		sw_flow_end(w, flow, SW_COUNT_FLOW_CLOSED); /* the server has a new connection on these ports */
		b->flows[i] = SW_FLOW_NONE;
	}
	if (sw_service_of(w, b, i)->mode == SW_MODE_OFF)
		return;
	make(w, b, i, SW_FLOW_EMBRYONIC, SW_LIST_EMBRYONIC);
	learn_profile(w, b, i);
}

static void learn_outward(struct sw_worker *w, struct sw_burst *b, unsigned int i)
{
	const uint32_t flow = b->flows[i];

	if (flow != SW_FLOW_NONE) {
		if (w->flows.flows[flow].state == SW_FLOW_OUTWARD && w->flows.setups[flow].cookie_isn == b->packets[i].seq)
			return;
		sw_flow_end(w, flow, SW_COUNT_FLOW_CLOSED);
		b->flows[i] = SW_FLOW_NONE;
	}
	if (sw_service_of(w, b, i)->mode != SW_MODE_OFF)
		make(w, b, i, SW_FLOW_OUTWARD, SW_LIST_EMBRYONIC);
}

/* In mid-stream: the connection is older than the box, or than its place in the table. */
static void adopt(struct sw_worker *w, struct sw_burst *b, unsigned int i)
{
	struct sw_flow *f = make(w, b, i, SW_FLOW_ESTABLISHED, SW_LIST_ESTABLISHED);

	if (f == NULL)
		return;
	f->flags |= SW_FLOW_ADOPTED;
	sw_flow_count(w, b->flows[i], sw_service_of(w, b, i), NULL);
	sw_count(w, b->slots[i], SW_COUNT_FLOW_NATIVE);
	sw_count(w, b->slots[i], SW_COUNT_FLOW_ADOPTED);
}

/* In mode off nothing is learned; but packets of a new connection must not be taken for those of one that was known. */
void sw_learn(struct sw_worker *w, struct sw_burst *b, unsigned int i)
{
	const uint8_t flags = b->packets[i].tcp_flags;

	sw_decide(b, i, SW_FORWARD);
	if (b->packets[i].is_fragment || flags & SW_TCP_RST)
		return;
	if (flags & SW_TCP_SYN && flags & SW_TCP_ACK)
		learn_syn_ack(w, b, i);
	else if (flags & SW_TCP_SYN)
		learn_outward(w, b, i);
	else if (flags & SW_TCP_ACK && !(flags & SW_TCP_FIN) && sw_service_of(w, b, i)->mode != SW_MODE_OFF)
		adopt(w, b, i);
}
