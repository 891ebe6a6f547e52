/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A proxied connection between the client's proof and the server's answer. The SYN to the server is built from the
 * cookie and carries the client's own ISN; what the client says meanwhile is held; the server's SYN-ACK fixes the
 * deltas. Either end may give up.
 */
#include "../admission.h"
#include "../flow.h"

#include "../core/frame.h"
#include "../core/prefix_table.h"

/* ---- held client data --------------------------------------------------------------------------------------------- */

static bool hold(struct sw_worker *w, struct sw_burst *b, unsigned int i, uint32_t flow)
{
	struct sw_flow_setup *s = &w->flows.setups[flow];
	const uint32_t place = w->free_held;

	if (place == SW_FLOW_NONE || s->held_count >= w->policy->held_pkts_per_flow ||
		s->held_bytes + b->packets[i].payload_bytes > w->policy->held_bytes_per_flow) {
		sw_drop(b, i, SW_DROP_HELD_FULL);
		return false;
	}
	w->free_held = w->held[place].next;
	w->held_used++;
	w->held[place] = (struct sw_held){.mbuf = b->mbufs[i], .next = SW_FLOW_NONE, .flow = flow};
	if (s->held_first == SW_FLOW_NONE)
		s->held_first = place;
	else
		w->held[s->held_last].next = place;
	s->held_last = place;
	s->held_count++;
	s->held_bytes += b->packets[i].payload_bytes;
	sw_decide(b, i, SW_HOLD);
	sw_count(w, b->slots[i], SW_COUNT_HELD);
	return true;
}

/* Takes the first held packet off the flow; NULL when there is none. */
static struct rte_mbuf *unhold(struct sw_worker *w, uint32_t flow)
{
	struct sw_flow_setup *s = &w->flows.setups[flow];
	const uint32_t place = s->held_first;

	if (place == SW_FLOW_NONE)
		return NULL;
	struct rte_mbuf *m = w->held[place].mbuf;
	s->held_first = w->held[place].next;
	s->held_count--;
	w->held[place].next = w->free_held;
	w->held[place].mbuf = NULL;
	w->free_held = place;
	w->held_used--;
	sw_uncount(w, w->flows.flows[flow].service_slot, SW_COUNT_HELD);
	return m;
}

void sw_held_discard(struct sw_worker *w, uint32_t flow, enum sw_drop_reason reason)
{
	for (struct rte_mbuf *m = unhold(w, flow); m != NULL; m = unhold(w, flow)) {
		sw_count_drop(w, w->flows.flows[flow].service_slot, reason);
		rte_pktmbuf_free(m);
	}
}

/* A segment that holds all of [seq, end) is waiting already. By looking: what overtook another leaves a gap. */
static bool is_held(const struct sw_worker *w, uint32_t flow, uint32_t seq, uint32_t end)
{
	if (sw_seq_before(w->flows.flows[flow].client.next, end))
		return false;
	for (uint32_t place = w->flows.setups[flow].held_first; place != SW_FLOW_NONE; place = w->held[place].next) {
		const struct rte_mbuf *m = w->held[place].mbuf;
		struct sw_packet p;
		sw_frame_parse(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, SW_OUTSIDE, &p);
		if (!sw_seq_before(seq, p.seq) && !sw_seq_before(p.seq + sw_segment_length(&p), end))
			return true;
	}
	return false;
}

static void release(struct sw_worker *w, uint32_t flow)
{
	const struct sw_flow *f = &w->flows.flows[flow];
	const unsigned int link = w->flows.setups[flow].link;

	for (struct rte_mbuf *m = unhold(w, flow); m != NULL; m = unhold(w, flow)) {
		struct sw_packet p;
		sw_frame_parse(sw_frame_of(m), m->data_len, SW_OUTSIDE, &p);
		sw_translate_client(f, sw_frame_of(m), &p);
		sw_count(w, f->service_slot, SW_COUNT_FORWARDED);
		sw_count_many(w, f->service_slot, SW_COUNT_FORWARDED_BYTES, m->pkt_len);
		sw_transmit_put(w, link, SW_INSIDE, m, SW_TRANSMIT_FORWARDED, f->service_slot);
	}
}

/* ---- segments of the box's own ------------------------------------------------------------------------------------ */

/* Filled in place: a copy of what has just been written field by field would wait for all of it. */
static inline void segment_of(struct sw_segment *out, const struct sw_flow_setup *s, bool from_server)
{
	out->client = &s->client;
	out->server = &s->server;
	out->client_port = s->client_port;
	out->server_port = s->server_port;
	out->is_ipv6 = s->is_ipv6;
	out->from_server = from_server;
	out->flags = 0;
	out->window = 0;
	out->seq = out->ack = 0;
	out->option_words = 0;
}

/* Writes it into `m`, whatever `m` held before, with the flow's own link layer. */
static void write_into(struct rte_mbuf *m, const struct sw_flow_setup *s, const struct sw_segment *segment)
{
	uint8_t *frame = sw_frame_of(m);

	memcpy(frame, s->link_layer, sizeof(s->link_layer)); /* all of it: what is too much the IP header covers */
	if (segment->from_server)
		sw_frame_turn(frame);
	sw_frame_resize(m, sw_segment_write(frame, s->link_layer_bytes, segment));
}

static void send_new(struct sw_worker *w, uint32_t flow, const struct sw_segment *segment, enum sw_count what)
{
	const struct sw_flow_setup *s = &w->flows.setups[flow];
	const uint32_t slot = w->flows.flows[flow].service_slot;
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->pool);

	if (m == NULL) {
		sw_count(w, slot, SW_COUNT_SENT_LOST);
		return;
	}
	write_into(m, s, segment);
	sw_count(w, slot, what);
	sw_transmit_put(w, s->link, segment->from_server ? SW_OUTSIDE : SW_INSIDE, m, SW_TRANSMIT_OWN, slot);
}

/* The window in a SYN is not scaled (RFC 7323, 2.2). */
static uint16_t syn_window(const struct sw_flow_setup *s)
{
	const uint32_t window = (uint32_t)s->client_window << (s->window_scale > 0 ? s->window_scale : 0);

	return window > 65535 ? 65535 : (uint16_t)window;
}

static void syn_to_server(struct sw_segment *syn, const struct sw_flow_setup *s)
{
	segment_of(syn, s, false);
	syn->flags = (uint8_t)(SW_TCP_SYN | (s->ecn ? SW_TCP_ECE | SW_TCP_CWR : 0));
	syn->seq = s->client_isn;
	syn->window = syn_window(s);
	sw_segment_syn_options(syn, s->client_mss, s->window_scale, s->sack, s->timestamps, s->client_tsval, 0);
}

static void send_syn(struct sw_worker *w, uint32_t flow)
{
	struct sw_segment syn;

	syn_to_server(&syn, &w->flows.setups[flow]);

	send_new(w, flow, &syn, SW_COUNT_SENT_SYN);
}

/* ---- opening ------------------------------------------------------------------------------------------------------ */

static void fill(struct sw_worker *w, const struct sw_burst *b, unsigned int i, uint32_t flow,
	const struct sw_cookie_options *o)
{
	const struct sw_packet *p = &b->packets[i];
	/* What the client was promised when the cookie was made: its lowest bit is that epoch's parity. */
	const struct sw_promise *promise = &w->shared->promises[b->slots[i]][p->is_ipv6][(p->ack - 1) & 1];
	struct sw_flow *f = &w->flows.flows[flow];
	struct sw_flow_setup *s = &w->flows.setups[flow];

	f->state = SW_FLOW_CONNECTING;
	f->flags = SW_FLOW_PROXIED | SW_FLOW_SAW_CLIENT | (o->timestamps ? SW_FLOW_TIMESTAMPS : 0);
	f->client_scale = o->window_scale;
	f->promised_scale = o->window_scale < 0 ? SW_WINDOW_SCALE_NONE : promise->window_scale;
	f->server_scale = f->promised_scale;
	f->client.next = f->client_start = p->seq;
	f->client.acked = p->ack;
	f->client.window = (uint32_t)p->window << (o->window_scale > 0 ? o->window_scale : 0);
	s->client_isn = p->seq - 1;
	s->cookie_isn = p->ack - 1;
	s->cookie_tsval = p->tsecr;
	s->client_tsval = p->tsval;
	s->client_mss = o->mss;
	s->client_window = p->window;
	s->window_scale = o->window_scale;
	s->sack = o->sack;
	s->timestamps = o->timestamps;
	s->ecn = o->ecn;
	s->deadline = w->now + w->shared->tsc_hz;
	w->proxied_flows++;
}

void sw_connect_open(struct sw_worker *w, struct sw_burst *b, unsigned int i, const struct sw_cookie_options *options,
	uint32_t record, const struct sw_admission *admission)
{
	const uint32_t flow = sw_flow_make(w, b, i, SW_LIST_CONNECTING);

	if (flow == SW_FLOW_NONE) {
		sw_drop(b, i, SW_DROP_FLOW_TABLE_FULL);
		return;
	}
	fill(w, b, i, flow, options);
	w->flows.flows[flow].record = record;
	if (b->classes[i] == SW_SOURCE_CLASS_NONE && !sw_source_blocked(w, record)) /* just looked up, and in no list */
		w->flows.flows[flow].checked = sw_source_stamp(w);
	sw_flow_count(w, flow, sw_service_of(w, b, i), admission);
	sw_count(w, b->slots[i], SW_COUNT_FLOW_PROXIED);
	b->flows[i] = flow;
	if (sw_segment_length(&b->packets[i]) != 0) {
		sw_connect_from_client(w, b, i, flow);
		send_syn(w, flow);
		return;
	}
	/* A bare ACK has done its work: its buffer carries the SYN. */
	struct sw_segment syn;
	syn_to_server(&syn, &w->flows.setups[flow]);
	write_into(b->mbufs[i], &w->flows.setups[flow], &syn);
	sw_count(w, b->slots[i], SW_COUNT_SENT_SYN);
	sw_decide(b, i, SW_ABSORBED_AND_REUSED);
}

void sw_connect_from_client(struct sw_worker *w, struct sw_burst *b, unsigned int i, uint32_t flow)
{
	struct sw_flow *f = &w->flows.flows[flow];
	struct sw_flow_setup *s = &w->flows.setups[flow];
	const struct sw_packet *p = &b->packets[i];
	const uint32_t end = p->seq + sw_segment_length(p), start = s->client_isn + 1;

	f->last_seen = sw_coarse(w->now);
	if (p->seq - start > 65535 || (p->tcp_flags & SW_TCP_ACK && p->ack != s->cookie_isn + 1)) {
		sw_drop(b, i, SW_DROP_OUT_OF_WINDOW);
		return;
	}
	if (p->tcp_flags & SW_TCP_RST) { /* to the server too, which may wait for the ACK of its SYN-ACK */
		struct sw_segment reset;
		segment_of(&reset, s, false);
		reset.flags = SW_TCP_RST;
		reset.seq = start;
		write_into(b->mbufs[i], s, &reset);
		sw_count(w, b->slots[i], SW_COUNT_SENT_RST);
		sw_decide(b, i, SW_ABSORBED_AND_REUSED);
		sw_flow_end(w, flow, SW_COUNT_FLOW_CLOSED);
		return;
	}
	s->client_window = p->window;
	if (p->timestamp_offset && !sw_seq_before(p->tsval, s->client_tsval))
		s->client_tsval = p->tsval;
	if (end == p->seq || is_held(w, flow, p->seq, end)) { /* nothing new */
		sw_decide(b, i, SW_ABSORB);
		return;
	}
	if (!hold(w, b, i, flow))
		return;
	if (sw_seq_before(f->client.next, end))
		f->client.next = end;
	if (p->tcp_flags & SW_TCP_FIN)
		f->flags |= SW_FLOW_FIN_CLIENT;
}

/* ---- the server answers ------------------------------------------------------------------------------------------- */

void sw_note_profile(struct sw_worker *w, uint32_t slot, bool is_ipv6, const struct sw_promise *seen)
{
	struct sw_event event = {
		.kind = SW_EVENT_PROFILE, .service_slot = slot, .profile = *seen, .is_ipv6 = is_ipv6,
	};

	if (rte_ring_sp_enqueue_elem(w->events, &event, sizeof(event)) != 0)
		sw_count(w, SW_NONE, SW_COUNT_EVENTS_LOST);
}

/* What our SYN offered and the server did not take up, it does not have; what it was not offered stays as known. */
static void learn_profile(struct sw_worker *w, const struct sw_burst *b, unsigned int i, const struct sw_flow_setup *s)
{
	const struct sw_packet *p = &b->packets[i];
	const struct sw_promise *known = sw_promise_of(w, b->slots[i], p->is_ipv6);
	struct sw_promise seen = *known;

	if (p->mss != 0)
		seen.mss = p->mss;
	if (s->window_scale >= 0)
		seen.window_scale = p->window_scale;
	if (s->sack)
		seen.sack = !!(p->options & SW_OPTION_SACK_PERMITTED);
	if (s->timestamps)
		seen.timestamps = !!(p->options & SW_OPTION_TIMESTAMPS);
	if (s->ecn)
		seen.ecn = !!(p->tcp_flags & SW_TCP_ECE);
	seen.known = 1;
	if (memcmp(&seen, known, sizeof(seen)) == 0)
		return;
	if (known->known)
		sw_count(w, b->slots[i], SW_COUNT_PROFILE_MISMATCH);
	sw_note_profile(w, b->slots[i], p->is_ipv6, &seen);
}

/* The ACK that completes the server's handshake, written into the SYN-ACK's own buffer. */
static void acknowledge(struct sw_worker *w, struct sw_burst *b, unsigned int i, uint32_t flow, uint32_t seq)
{
	const struct sw_packet *p = &b->packets[i];
	const struct sw_flow_setup *s = &w->flows.setups[flow];
	struct sw_segment ack;
	segment_of(&ack, s, false);

	ack.flags = SW_TCP_ACK;
	ack.seq = seq;
	ack.ack = p->seq + 1;
	ack.window = sw_window_for_server(&w->flows.flows[flow], s->client_window);
	if (s->timestamps && p->timestamp_offset) {
		ack.options[0] = RTE_BE32(0x0101080a); /* NOP NOP timestamps */
		ack.options[1] = rte_cpu_to_be_32(s->client_tsval);
		ack.options[2] = rte_cpu_to_be_32(p->tsval);
		ack.option_words = 3;
	}
	write_into(b->mbufs[i], s, &ack);
	sw_count(w, b->slots[i], SW_COUNT_SENT_ACK);
	sw_decide(b, i, SW_ABSORBED_AND_RETURNED);
}

void sw_connect_acknowledge_again(struct sw_worker *w, struct sw_burst *b, unsigned int i, uint32_t flow)
{
	const struct sw_flow *f = &w->flows.flows[flow];

	/* Not beyond what the server has: data that was lost with the ACK comes again from the client. */
	acknowledge(w, b, i, flow, f->flags & SW_FLOW_SAW_SERVER ? f->server.acked : f->client_start);
}

static void complete(struct sw_worker *w, struct sw_burst *b, unsigned int i, uint32_t flow)
{
	const struct sw_packet *p = &b->packets[i];
	struct sw_flow *f = &w->flows.flows[flow];
	struct sw_flow_setup *s = &w->flows.setups[flow];

	learn_profile(w, b, i, s);
	f->state = SW_FLOW_ESTABLISHED;
	f->flags |= SW_FLOW_SAW_SERVER;
	f->last_seen = sw_coarse(w->now);
	f->seq_delta = s->cookie_isn - p->seq;
	f->timestamp_delta = s->timestamps && p->timestamp_offset ? s->cookie_tsval - p->tsval : 0;
	f->server_scale = s->window_scale < 0 ? SW_WINDOW_SCALE_NONE : p->window_scale;
	f->server.next = s->cookie_isn + 1;
	f->server.acked = p->ack;
	f->server.window = p->window;
	sw_flow_move(&w->flows, flow, SW_LIST_ESTABLISHED);
	if (s->held_first == SW_FLOW_NONE) {
		acknowledge(w, b, i, flow, s->client_isn + 1);
		return;
	}
	release(w, flow);
	sw_decide(b, i, SW_ABSORB);
}

/* The server's RST, in the client's numbers. */
static void refuse(struct sw_worker *w, struct sw_burst *b, unsigned int i, uint32_t flow)
{
	const struct sw_flow *f = &w->flows.flows[flow];
	const struct sw_flow_setup *s = &w->flows.setups[flow];
	struct sw_segment reset;
	segment_of(&reset, s, true);

	reset.flags = SW_TCP_RST | SW_TCP_ACK;
	reset.seq = s->cookie_isn + 1;
	reset.ack = f->client.next;
	write_into(b->mbufs[i], s, &reset);
	sw_decide(b, i, SW_FORWARD);
	sw_count(w, b->slots[i], SW_COUNT_SERVER_REFUSED);
	sw_flow_end(w, flow, SW_COUNT_FLOW_CLOSED);
}

/*
 * The server has an old connection on these ports and says so with an ACK of it (RFC 5961, 4), or goes on repeating the
 * SYN-ACK of one that was never completed. A host would answer with a RST and try again (RFC 9293, 3.5.1, figure 10); so do we, once at once and then when the timer says so.
 */
static void break_old(struct sw_worker *w, struct sw_burst *b, unsigned int i, uint32_t flow)
{
	struct sw_flow *f = &w->flows.flows[flow];
	struct sw_segment reset;
	segment_of(&reset, &w->flows.setups[flow], false);

	reset.flags = SW_TCP_RST;
	reset.seq = b->packets[i].ack;
	send_new(w, flow, &reset, SW_COUNT_SENT_RST);
	if (!(f->flags & SW_FLOW_REFUSING))
		send_syn(w, flow);
	f->flags |= SW_FLOW_REFUSING;
	sw_decide(b, i, SW_ABSORB);
}

void sw_connect_from_server(struct sw_worker *w, struct sw_burst *b, unsigned int i, uint32_t flow)
{
	const struct sw_packet *p = &b->packets[i];
	const bool ours = p->ack == w->flows.setups[flow].client_isn + 1;
	const uint8_t handshake = p->tcp_flags & (SW_TCP_SYN | SW_TCP_ACK | SW_TCP_RST);

	if (handshake == (SW_TCP_SYN | SW_TCP_ACK) && ours)
		complete(w, b, i, flow);
	else if (handshake == (SW_TCP_RST | SW_TCP_ACK) && ours)
		refuse(w, b, i, flow);
	else if ((handshake == SW_TCP_ACK || handshake == (SW_TCP_SYN | SW_TCP_ACK)) && !ours)
		break_old(w, b, i, flow);
	else
		sw_drop(b, i, SW_DROP_OUT_OF_WINDOW);
}

void sw_connect_reset_server(struct sw_worker *w, uint32_t flow)
{
	struct sw_segment reset;
	segment_of(&reset, &w->flows.setups[flow], false);

	reset.flags = SW_TCP_RST;
	reset.seq = w->flows.flows[flow].server.acked;
	send_new(w, flow, &reset, SW_COUNT_SENT_RST);
}

/* ---- time passes -------------------------------------------------------------------------------------------------- */

/* The server never answered: the client is told, which believes itself connected. */
static void give_up(struct sw_worker *w, uint32_t flow)
{
	const struct sw_flow_setup *s = &w->flows.setups[flow];
	struct sw_segment reset;
	segment_of(&reset, s, true);

	reset.flags = SW_TCP_RST | SW_TCP_ACK;
	reset.seq = s->cookie_isn + 1;
	reset.ack = w->flows.flows[flow].client.next;
	send_new(w, flow, &reset, SW_COUNT_SENT_RST);
	sw_count(w, w->flows.flows[flow].service_slot, SW_COUNT_SERVER_SILENT);
	sw_flow_end(w, flow, SW_COUNT_FLOW_EXPIRED);
}

void sw_connect_retry(struct sw_worker *w)
{
	/* In each list the first is due first: all in it wait equally long. */
	for (unsigned int retry = 0; retry < SW_LIST_RETRIES_MAX; retry++) {
		for (unsigned int n = 0; n < SW_BURST; n++) {
			const uint32_t flow = w->flows.lists[SW_LIST_CONNECTING + retry].head;
			if (flow == SW_FLOW_NONE || (int64_t)(w->now - w->flows.setups[flow].deadline) < 0)
				break;
			if (retry >= w->policy->server_syn_retries || retry + 1 == SW_LIST_RETRIES_MAX) {
				give_up(w, flow);
				continue;
			}
			w->flows.setups[flow].deadline = w->now + (w->shared->tsc_hz << (retry + 1));
			sw_flow_move(&w->flows, flow, SW_LIST_CONNECTING + retry + 1);
			send_syn(w, flow);
		}
	}
}
