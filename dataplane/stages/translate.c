/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage 7: packets of known flows, and what the protected hosts send. The path of an established connection: it touches
 * the frame and one line of the flow, and adjusts checksums by difference.
 *
 * The client's sequence numbers are the server's too, since the SYN to the server carries the client's own ISN. What
 * differs is the server's: the client knows the cookie in place of its ISN, and the cookie's TSval in place of its
 * clock. So server to client adds the deltas to SEQ and TSval; client to server takes them from ACK, SACK and TSecr.
 */
#include "../flow.h"

#include <rte_branch_prediction.h>

#include "../core/checksum.h"

enum { TCP_SEQ = 4, TCP_ACK = 8, TCP_WINDOW = 14, TCP_CHECKSUM = 16 };

/* ---- rewriting ---------------------------------------------------------------------------------------------------- */

static inline uint32_t get32(const uint8_t *at)
{
	uint32_t v;
	memcpy(&v, at, 4);
	return v;
}

/*
 * Writes a field and adds what that changes in a checksum over a range in which it stands at an even or odd offset (RFC
 * 1624; RFC 1071, 2 (B)).
 */
static inline void change32(uint8_t *field, bool odd, uint32_t value, uint64_t *difference)
{
	const uint32_t old_be = get32(field), new_be = rte_cpu_to_be_32(value);
	uint64_t d = sw_checksum_difference32(old_be, new_be);

	if (unlikely(odd)) {
		const uint16_t folded = sw_checksum_fold(d);
		d = (uint16_t)(folded << 8 | folded >> 8);
	}
	*difference += d;
	memcpy(field, &new_be, 4);
}

/* Of a field in the frame, as far as the sums of what stands at l4_offset go. */
static inline bool is_odd(const struct sw_packet *p, unsigned int offset)
{
	return (offset ^ p->l4_offset) & 1;
}

static inline void change_window(uint8_t *tcp, uint16_t before, uint16_t after, uint64_t *difference)
{
	const rte_be16_t old_be = rte_cpu_to_be_16(before), new_be = rte_cpu_to_be_16(after);

	*difference += (uint64_t)(uint16_t)~old_be + new_be;
	memcpy(tcp + TCP_WINDOW, &new_be, 2);
}

static void change_sack(uint8_t *frame, const struct sw_packet *p, uint32_t delta, uint64_t *difference)
{
	for (unsigned int k = 0; k < p->sack_blocks * 2u; k++) {
		uint8_t *edge = frame + p->sack_offset + k * 4;
		change32(edge, is_odd(p, p->sack_offset), rte_be_to_cpu_32(get32(edge)) - delta, difference);
	}
}

static inline void translate_client(const struct sw_flow *f, uint8_t *frame, const struct sw_packet *p, bool plain)
{
	uint8_t *tcp = frame + p->l4_offset;
	uint64_t difference = 0;

	if (plain || p->tcp_flags & SW_TCP_ACK) {
		change32(tcp + TCP_ACK, false, p->ack - f->seq_delta, &difference);
		/* TSecr is meaningful only with ACK, and 0 where nothing is echoed (RFC 7323, 3.2). */
		if (p->timestamp_offset && p->tsecr != 0)
			change32(frame + p->timestamp_offset + 4, !plain && is_odd(p, p->timestamp_offset), p->tsecr - f->timestamp_delta,
				&difference);
	}
	if (!plain && p->sack_blocks)
		change_sack(frame, p, f->seq_delta, &difference);
	if (f->server_scale < 0 && f->client_scale > 0)
		change_window(tcp, p->window, sw_window_for_server(f, p->window), &difference);
	sw_checksum_apply(tcp + TCP_CHECKSUM, difference);
}

void sw_translate_client(const struct sw_flow *f, uint8_t *frame, const struct sw_packet *p)
{
	translate_client(f, frame, p, false);
}

/*
 * The server's window in the scale that the client was promised. Rounded down, but not to zero: a server with a small
 * buffer would never have the client send again, since it does not know of the zero.
 */
static uint16_t window_for_client(const struct sw_flow *f, uint16_t window)
{
	const int from = f->server_scale > 0 ? f->server_scale : 0, to = f->promised_scale > 0 ? f->promised_scale : 0;
	const uint32_t scaled = ((uint32_t)window << from) >> to;

	return scaled > 65535 ? 65535 : scaled == 0 && window != 0 ? 1 : (uint16_t)scaled;
}

static inline void translate_server(const struct sw_flow *f, uint8_t *frame, const struct sw_packet *p, bool plain)
{
	uint8_t *tcp = frame + p->l4_offset;
	uint64_t difference = 0;

	change32(tcp + TCP_SEQ, false, p->seq + f->seq_delta, &difference);
	if (p->timestamp_offset)
		change32(frame + p->timestamp_offset, !plain && is_odd(p, p->timestamp_offset), p->tsval + f->timestamp_delta,
			&difference);
	if (f->server_scale != f->promised_scale && (plain || !(p->tcp_flags & SW_TCP_SYN)))
		change_window(tcp, p->window, window_for_client(f, p->window), &difference);
	sw_checksum_apply(tcp + TCP_CHECKSUM, difference);
}

/* ---- following ---------------------------------------------------------------------------------------------------- */

/*
 * What nearly every packet is: no more than an ACK, perhaps with data, of an established flow both ends of which have
 * been heard and neither has ended; no SACK blocks, timestamps where all stacks put them. The functions below that are
 * told of one leave out what cannot concern it; what is left of them, inlined, is the path of an established connection.
 * `p`: one of sw_burst.acks without FIN.
 */
static inline bool is_plain(const struct sw_flow *f, const struct sw_packet *p)
{
	const uint16_t saw = SW_FLOW_SAW_CLIENT | SW_FLOW_SAW_SERVER;
	const uint16_t ended = SW_FLOW_FIN_CLIENT | SW_FLOW_FIN_SERVER | SW_FLOW_RESET;

	return p->sack_blocks == 0 && !is_odd(p, p->timestamp_offset) && f->state == SW_FLOW_ESTABLISHED &&
		(f->flags & (saw | ended)) == saw;
}

/* RFC 9293, 3.10.7.4: is `seq` where the receiver would take a RST? Not known yet: it decides for itself. */
static bool reset_in_window(const struct sw_flow *f, const struct sw_flow_peer *receiver, uint16_t saw, uint32_t seq)
{
	if (!(f->flags & saw))
		return true;
	return seq - receiver->acked <= receiver->window || receiver->acked - seq <= 1;
}

/* One end of a flow, the other one, and the flags that speak of each. */
struct ends {
	struct sw_flow_peer *peer;
	const struct sw_flow_peer *other;
	uint16_t saw_peer, saw_other, fin;
	int8_t scale; /* of the peer's windows */
};

/* Packets may be reordered, and windows of the other scale are rounded: both less than this. */
enum { SEQUENCE_SLACK = 1 << 16 };

/*
 * What a segment says about its sender, as far as it can be true: anybody can send a packet that claims to be of this
 * connection. It ends within what the other end has room for, and acknowledges nothing that was not sent.
 */
static inline void say(struct sw_flow *f, const struct ends *e, const struct sw_packet *p, uint32_t end, bool plain)
{
	const bool first = !plain && !(f->flags & e->saw_peer), judge = plain ? e->saw_other : f->flags & e->saw_other;
	const bool is_fin = !plain && p->tcp_flags & SW_TCP_FIN, had_fin = !plain && f->flags & e->fin;

	if (judge && (int32_t)(end - e->other->acked) > (int64_t)e->other->window + SEQUENCE_SLACK)
		return;
	if (judge && sw_seq_before(e->other->next, p->ack))
		return;
	/* A FIN is the end; the last one is right, should somebody have forged another. */
	if (first || is_fin || (!had_fin && sw_seq_before(e->peer->next, end)))
		e->peer->next = end;
	if (first || !sw_seq_before(p->ack, e->peer->acked)) {
		e->peer->acked = p->ack;
		e->peer->window = (uint32_t)p->window << (e->scale > 0 ? e->scale : 0);
	}
	if (!plain)
		f->flags |= (uint16_t)(e->saw_peer | (is_fin ? e->fin : 0));
}

/* Both directions have been ended and each end has said so. */
static void close_when_done(struct sw_worker *w, struct sw_flow *f, uint32_t flow)
{
	const uint16_t both = SW_FLOW_FIN_CLIENT | SW_FLOW_FIN_SERVER;

	if ((f->flags & both) == both && f->state == SW_FLOW_ESTABLISHED && f->client.acked == f->server.next &&
		f->server.acked == f->client.next)
		sw_flow_close(w, flow);
}

/* A native flow whose client has to prove itself yet. False: the packet is not to be followed. */
static bool follow_embryonic(struct sw_worker *w, struct sw_burst *b, unsigned int i, uint32_t flow)
{
	const struct sw_packet *p = &b->packets[i];
	const struct sw_flow *f = &w->flows.flows[flow];

	if (p->tcp_flags & SW_TCP_SYN)
		return false; /* repeated; the server answers it again */
	const uint32_t isn = w->flows.setups[flow].cookie_isn;
	if (p->tcp_flags & SW_TCP_ACK && p->ack - isn - 1 <= f->server.next - isn - 1 && !(p->tcp_flags & SW_TCP_RST)) {
		sw_flow_establish_native(w, b, i, flow);
		return true;
	}
	if (p->tcp_flags & SW_TCP_RST && p->seq == f->server.acked)
		sw_flow_end(w, flow, SW_COUNT_FLOW_CLOSED);
	else if (sw_armed(w, b->slots[i]) && !(p->tcp_flags & SW_TCP_RST) && !(f->flags & SW_FLOW_ALLOWED))
		sw_drop(b, i, SW_DROP_OUT_OF_WINDOW);
	return false;
}

/*
 * A host obeys a RST of exactly the number that it waits for, and answers any other in its window with an ACK (RFC 5961, 3).
 * Which that is we know to lie between what it has acknowledged and what the client has sent. Should it go on to
 * acknowledge more than that number, it has not obeyed: see revive().
 */
static void close_if_believed(struct sw_worker *w, struct sw_flow *f, uint32_t flow, uint32_t seq)
{
	if (f->flags & SW_FLOW_SAW_CLIENT && f->flags & SW_FLOW_SAW_SERVER &&
		seq - f->server.acked > f->client.next - f->server.acked)
		return;
	if (f->state == SW_FLOW_ESTABLISHED) {
		f->flags |= SW_FLOW_RESET;
		w->flows.setups[flow].reset_seq = seq;
	}
	sw_flow_close(w, flow);
}

/* The server has acknowledged what came behind a client's RST: it counts as a connection again. */
static void revive(struct sw_worker *w, struct sw_burst *b, unsigned int i, uint32_t flow)
{
	struct sw_flow *f = &w->flows.flows[flow];

	if (f->record != SW_FLOW_NONE && !sw_address_equal(&w->records[f->record].address, &w->flows.setups[flow].client))
		f->record = SW_FLOW_NONE; /* meanwhile another's */
	f->flags &= (uint16_t)~SW_FLOW_RESET;
	f->state = SW_FLOW_ESTABLISHED;
	sw_flow_count(w, flow, sw_service_of(w, b, i), NULL);
	sw_flow_move(&w->flows, flow, SW_LIST_ESTABLISHED);
}

static inline void hear_client(struct sw_flow *f, const struct sw_packet *p, bool plain)
{
	const struct ends e = {&f->client, &f->server, SW_FLOW_SAW_CLIENT, SW_FLOW_SAW_SERVER, SW_FLOW_FIN_CLIENT,
		f->client_scale};

	if (!plain && !(f->flags & SW_FLOW_SAW_CLIENT))
		f->client_start = p->seq;
	say(f, &e, p, p->seq + (plain ? p->payload_bytes : sw_segment_length(p)), plain);
}

void sw_follow_client(struct sw_worker *w, struct sw_burst *b, unsigned int i, uint32_t flow)
{
	struct sw_flow *f = &w->flows.flows[flow];
	const struct sw_packet *p = &b->packets[i];

	sw_decide(b, i, SW_FORWARD);
	if (f->state == SW_FLOW_EMBRYONIC && !follow_embryonic(w, b, i, flow))
		return;
	if (f->state == SW_FLOW_OUTWARD && (p->tcp_flags & (SW_TCP_SYN | SW_TCP_ACK)) == (SW_TCP_SYN | SW_TCP_ACK) &&
		p->ack == f->server.next)
		sw_flow_establish_native(w, b, i, flow);
	if (p->tcp_flags & SW_TCP_RST && !reset_in_window(f, &f->server, SW_FLOW_SAW_SERVER, p->seq)) {
		if (!(f->flags & SW_FLOW_ALLOWED))
			sw_drop(b, i, SW_DROP_OUT_OF_WINDOW);
		else if (f->flags & SW_FLOW_PROXIED)
			sw_translate_client(f, sw_frame_of(b->mbufs[i]), p);
		return;
	}
	f->last_seen = sw_coarse(w->now);
	if ((p->tcp_flags & (SW_TCP_ACK | SW_TCP_RST)) == SW_TCP_ACK)
		hear_client(f, p, false);
	if (f->flags & SW_FLOW_PROXIED)
		sw_translate_client(f, sw_frame_of(b->mbufs[i]), p);
	if (p->tcp_flags & SW_TCP_RST)
		close_if_believed(w, f, flow, p->seq);
	else
		close_when_done(w, f, flow);
}

/* The first acknowledgement of client data: the source not only owns its address, it uses the service. */
static inline void note_data(struct sw_worker *w, struct sw_flow *f, bool plain)
{
	const uint32_t fin = !plain && f->flags & SW_FLOW_FIN_CLIENT ? 1 : 0; /* takes a number, but is no data */

	if (f->flags & SW_FLOW_SENT_DATA || !sw_seq_before(f->client_start + fin, f->server.acked))
		return;
	if (!(f->flags & SW_FLOW_SAW_CLIENT) || f->state != SW_FLOW_ESTABLISHED)
		return;
	f->flags |= SW_FLOW_SENT_DATA;
	if (f->record != SW_FLOW_NONE)
		w->records[f->record].proof = SW_PROOF_SENT_DATA;
}

static inline void hear_server(struct sw_worker *w, struct sw_flow *f, const struct sw_packet *p, bool plain)
{
	/* Inside is trusted: what the server acknowledges was sent, though it may have passed when we were not here. */
	const struct ends e = {&f->server, &f->client, SW_FLOW_SAW_SERVER, 0, SW_FLOW_FIN_SERVER, f->server_scale};

	say(f, &e, p, p->seq + f->seq_delta + (plain ? p->payload_bytes : sw_segment_length(p)), plain);
	note_data(w, f, plain);
}

static void follow_server(struct sw_worker *w, struct sw_burst *b, unsigned int i, uint32_t flow)
{
	struct sw_flow *f = &w->flows.flows[flow];
	const struct sw_packet *p = &b->packets[i];

	sw_decide(b, i, SW_FORWARD);
	if (p->tcp_flags & SW_TCP_RST && !reset_in_window(f, &f->client, SW_FLOW_SAW_CLIENT, p->seq + f->seq_delta)) {
		sw_drop(b, i, SW_DROP_OUT_OF_WINDOW);
		return;
	}
	f->last_seen = sw_coarse(w->now);
	if ((p->tcp_flags & (SW_TCP_ACK | SW_TCP_RST)) == SW_TCP_ACK) {
		hear_server(w, f, p, false);
		if (f->flags & SW_FLOW_RESET && sw_seq_before(w->flows.setups[flow].reset_seq, p->ack))
			revive(w, b, i, flow);
	}
	if (f->flags & SW_FLOW_PROXIED)
		translate_server(f, sw_frame_of(b->mbufs[i]), p, false);
	if (p->tcp_flags & SW_TCP_RST)
		sw_flow_close(w, flow);
	else
		close_when_done(w, f, flow);
}

/* ---- ICMP errors -------------------------------------------------------------------------------------------------- */

/*
 * The host that an error is for looks for the connection by the inner sequence number (RFC 5927, 4), so it has to be in
 * its own numbers. From outside the inner packet is the server's, as the client's network saw it; from inside the
 * client's, as the server's saw it. The inner TCP checksum is nobody's business; the ICMP checksum covers the change.
 */
static void translate_icmp(struct sw_worker *w, struct sw_burst *b, unsigned int i)
{
	const struct sw_packet *p = &b->packets[i];
	const struct sw_flow *f = &w->flows.flows[b->flows[i]];
	uint8_t *frame = sw_frame_of(b->mbufs[i]), *inner = frame + p->inner_l4_offset;
	const bool odd = is_odd(p, p->inner_l4_offset);
	uint64_t difference = 0;

	sw_decide(b, i, SW_FORWARD);
	if (!(f->flags & SW_FLOW_PROXIED) || f->state == SW_FLOW_CONNECTING)
		return;
	if (b->side == SW_OUTSIDE)
		change32(inner + TCP_SEQ, odd, p->seq - f->seq_delta, &difference);
	else if (p->payload_bytes >= TCP_ACK + 4)
		change32(inner + TCP_ACK, odd, p->ack + f->seq_delta, &difference);
	sw_checksum_apply(frame + p->l4_offset + 2, difference);
	sw_count(w, b->slots[i], SW_COUNT_ICMP_TRANSLATED);
}

/* ---- the stage ---------------------------------------------------------------------------------------------------- */

/*
 * A client may open a connection on the ports of an older one that we still know. The ACK that echoes our cookie then
 * has numbers that mean nothing to the old connection: a random one lies near the old SEQ and just behind the old ACK
 * with a probability of 2^-9 * 2^-8. Where they mean something after all, as in transfers with more than that in
 * flight, the cookie's check fails and nothing is lost but its time.
 */
static inline bool means_nothing_to(const struct sw_flow *f, const struct sw_packet *p)
{
	const uint32_t seq_slack = 1u << 22, ack_slack = 1u << 24;

	return p->seq - f->server.acked + seq_slack >= 2 * seq_slack || f->server.next - p->ack >= ack_slack;
}

static bool may_begin_anew(const struct sw_worker *w, uint32_t flow, const struct sw_packet *p)
{
	const struct sw_flow *f = &w->flows.flows[flow];

	if (f->state != SW_FLOW_ESTABLISHED) /* closing, or the SYN of a native one was challenged, then passed */
		return f->state != SW_FLOW_CONNECTING || p->ack != w->flows.setups[flow].cookie_isn + 1;
	return f->flags & SW_FLOW_SAW_SERVER && means_nothing_to(f, p);
}

static void from_outside(struct sw_worker *w, struct sw_burst *b, unsigned int i)
{
	const uint32_t flow = b->flows[i];
	const struct sw_packet *p = &b->packets[i];
	const uint8_t handshake = sw_handshake_of(p);

	if (handshake == SW_TCP_ACK && may_begin_anew(w, flow, p))
		return; /* may be the answer to our cookie: verify looks, and comes back if it is not */
	sw_follow_or_connect(w, b, i, flow);
}

static void from_inside(struct sw_worker *w, struct sw_burst *b, unsigned int i)
{
	const uint32_t flow = b->flows[i];
	const struct sw_flow *f = &w->flows.flows[flow];

	if (f->state == SW_FLOW_CONNECTING)
		sw_connect_from_server(w, b, i, flow);
	else if (b->packets[i].tcp_flags & SW_TCP_SYN)
		sw_learn(w, b, i); /* a SYN-ACK again, or a new connection on the ports of an old one */
	else
		follow_server(w, b, i, flow);
}

/* Of no known flow. What comes from outside is for verify; most of an ACK flood ends up here. */
static inline void without_flow(struct sw_worker *w, struct sw_burst *b, unsigned int i)
{
	if (b->packets[i].kind == SW_PACKET_ICMP_ERROR)
		sw_decide(b, i, SW_FORWARD);
	else if (b->side == SW_INSIDE)
		sw_learn(w, b, i);
}

static __attribute__((noinline)) void translate(struct sw_worker *w, struct sw_burst *b, unsigned int i)
{
	if (b->flows[i] == SW_FLOW_NONE)
		without_flow(w, b, i);
	else if (b->packets[i].kind == SW_PACKET_ICMP_ERROR)
		translate_icmp(w, b, i);
	else if (b->side == SW_OUTSIDE)
		from_outside(w, b, i);
	else
		from_inside(w, b, i);
}

/* False: verify is to look at it. */
static inline bool translate_plain(struct sw_worker *w, struct sw_flow *f, const struct sw_packet *p, struct rte_mbuf *m,
	enum sw_side side)
{
	const bool proxied = f->flags & SW_FLOW_PROXIED;

	if (side == SW_OUTSIDE) {
		if (unlikely(means_nothing_to(f, p)))
			return false;
		hear_client(f, p, true);
		if (proxied)
			translate_client(f, sw_frame_of(m), p, true);
	} else {
		hear_server(w, f, p, true);
		if (proxied)
			translate_server(f, sw_frame_of(m), p, true);
	}
	return true;
}

/*
 * Packets from i to the one before `end`, of known flows, as long as they are plain. Returns the first that is not, or
 * that verify is to look at.
 */
static __rte_always_inline unsigned int translate_run(struct sw_worker *w, const struct sw_burst *b, unsigned int i,
	unsigned int end, enum sw_side side)
{
	struct sw_flow *const flows = w->flows.flows;
	const uint32_t now = sw_coarse(w->now);

	for (const struct sw_packet *p = &b->packets[i]; i < end; i++, p++) {
		struct sw_flow *f = &flows[b->flows[i]];
		if (unlikely(!is_plain(f, p) || !translate_plain(w, f, p, b->mbufs[i], side)))
			break;
		f->last_seen = now;
	}
	return i;
}

/* Packets before these have opened or ended flows: looks again which these belong to. */
static __attribute__((noinline)) void translate_anew(struct sw_worker *w, struct sw_burst *b, uint32_t todo)
{
	for (unsigned int i; sw_next(&todo, &i);) {
		sw_flow_look_again(w, b, i);
		translate(w, b, i);
	}
}

/* In the order of arrival: runs of what is plain, and one by one what is not. */
static __rte_always_inline void translate_all(struct sw_worker *w, struct sw_burst *b, enum sw_side side)
{
	const uint32_t all = b->pending & ~b->syns, acks = b->known & b->acks & ~b->fins;
	/* From outside, what has no flow is for verify, but for ICMP errors. */
	uint32_t todo = side == SW_OUTSIDE ? all & (b->known | ~b->tcp) : all, done = 0;

	while (todo) {
		const unsigned int first = (unsigned int)__builtin_ctz(todo), end = sw_run_end(todo & acks, first);
		const unsigned int i = translate_run(w, b, first, end, side);
		done |= sw_below(i) & ~sw_below(first);
		todo &= ~sw_below(i);
		if (likely(i == end && i != first))
			continue;
		translate(w, b, i);
		todo &= ~(1u << i);
		if (unlikely(w->flows.changes != b->changes)) {
			translate_anew(w, b, all & ~sw_below(i + 1));
			break;
		}
	}
	if (done)
		sw_decide_all(b, done, SW_FORWARD);
}

void sw_stage_translate(struct sw_worker *w, struct sw_burst *b)
{
	if (b->side == SW_OUTSIDE) /* compiled for each */
		translate_all(w, b, SW_OUTSIDE);
	else
		translate_all(w, b, SW_INSIDE);
}
