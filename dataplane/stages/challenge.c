/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage 8: SYNs that the limits admitted are answered with a cookie, in their own frame. No state is made, with one
 * bounded exception: a number of answers is remembered for a few seconds, to be repeated. Without that a client whose
 * last ACK was lost would wait for ever for a server that speaks first, since nobody is left to repeat the SYN-ACK.
 */
#include "stage.h"

#include <rte_branch_prediction.h>

#include "../challenges.h"

enum { WINDOW_MIN = 4096 };

/* What the answer grants: what the client offers and the server is known to keep. */
static struct sw_cookie_options grant(const struct sw_packet *p, const struct sw_promise *promise)
{
	struct sw_cookie_options o = sw_cookie_options_of(p);

	if (promise->window_scale < 0)
		o.window_scale = SW_WINDOW_SCALE_NONE;
	o.sack &= promise->sack;
	o.timestamps &= promise->timestamps;
	o.ecn &= promise->ecn & o.timestamps;
	return o;
}

static void answer(struct sw_worker *w, struct sw_burst *b, unsigned int i, const struct sw_cookie_options *granted,
	const struct sw_cookie *cookie)
{
	const struct sw_packet *p = &b->packets[i];
	const struct sw_promise *promise = sw_promise_of(w, b->slots[i], p->is_ipv6);
	struct rte_mbuf *m = b->mbufs[i];
	uint8_t *frame = sw_frame_of(m);
	const uint32_t held = w->policy->held_bytes_per_flow;
	struct sw_segment s;

	s.client = &p->client;
	s.server = &p->server;
	s.client_port = p->client_port;
	s.server_port = p->server_port;
	s.is_ipv6 = p->is_ipv6;
	s.from_server = true;
	s.flags = (uint8_t)(SW_TCP_SYN | SW_TCP_ACK | (granted->ecn ? SW_TCP_ECE : 0));
	s.window = (uint16_t)(held > 65535 ? 65535 : held < WINDOW_MIN ? WINDOW_MIN : held);
	s.seq = cookie->isn;
	s.ack = p->seq + 1;
	sw_segment_syn_options(&s, promise->mss, granted->window_scale < 0 ? SW_WINDOW_SCALE_NONE : promise->window_scale,
		granted->sack, granted->timestamps, cookie->tsval, p->tsval);
	sw_frame_turn(frame);
	sw_frame_resize(m, sw_segment_write(frame, p->l3_offset, &s));
	sw_decide(b, i, SW_ANSWER);
	sw_count(w, b->slots[i], SW_COUNT_SENT_SYN_ACK);
	const uint64_t key = sw_challenge_key(w, p, p->seq);
	const bool proven = b->proven >> i & 1;
	if (unlikely(sw_challenge_has_room(w, key, proven)))
		sw_challenge_remember(w, b, i, key, proven);
}

void sw_stage_challenge(struct sw_worker *w, struct sw_burst *b)
{
	const struct sw_packet *packets[SW_BURST];
	struct sw_cookie_options granted[SW_BURST];
	struct sw_cookie cookies[SW_BURST];
	uint8_t which[SW_BURST];
	unsigned int n = 0;

	uint32_t todo = b->pending & b->syns;

	for (unsigned int i; sw_next(&todo, &i);) {
		const struct sw_packet *p = &b->packets[i];
		packets[n] = p;
		granted[n] = grant(p, sw_promise_of(w, b->slots[i], p->is_ipv6));
		which[n++] = (uint8_t)i;
	}
	if (n == 0)
		return;
	sw_cookie_make_burst(w->keys, packets, granted, n, cookies);
	for (unsigned int k = 0; k < n; k++)
		answer(w, b, which[k], &granted[k], &cookies[k]);
}
