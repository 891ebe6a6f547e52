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

/* A SYN on its way to its answer. */
struct answer {
	uint64_t form;   /* what its form depends on, below; answers of the same one are mostly in a row */
	uint8_t packet;
};

/* What the answer grants: what the client offers and the server is known to keep. */
static inline struct sw_cookie_options grant(const struct sw_packet *p, struct sw_promise promise)
{
	struct sw_cookie_options o = sw_cookie_options_of(p);

	if (promise.window_scale < 0)
		o.window_scale = SW_WINDOW_SCALE_NONE;
	o.sack &= promise.sack;
	o.timestamps &= promise.timestamps;
	o.ecn &= promise.ecn & o.timestamps;
	return o;
}

static inline uint64_t form_of(const struct sw_cookie_options *granted, struct sw_promise promise, bool is_ipv6)
{
	const uint8_t scale = (uint8_t)(granted->window_scale < 0 ? SW_WINDOW_SCALE_NONE : promise.window_scale);

	return (uint64_t)promise.mss << 16 | (uint64_t)scale << 8 | (uint64_t)is_ipv6 << 4 | (uint64_t)granted->ecn << 2 |
		(uint64_t)granted->timestamps << 1 | granted->sack;
}

static __attribute__((noinline)) void make_form(const struct sw_worker *w, uint64_t key, struct sw_segment_form *form)
{
	const uint32_t held = w->policy->held_bytes_per_flow;
	struct sw_segment s = {
		.is_ipv6 = key >> 4 & 1,
		.flags = (uint8_t)(SW_TCP_SYN | SW_TCP_ACK | (key & 4 ? SW_TCP_ECE : 0)),
		.window = (uint16_t)(held > 65535 ? 65535 : held < WINDOW_MIN ? WINDOW_MIN : held),
	};

	sw_segment_syn_options(&s, (uint16_t)(key >> 16), (int8_t)(key >> 8 & 0xff), key & 1, key & 2, 0, 0);
	sw_segment_form_make(form, &s);
}

static inline void write_answer(struct rte_mbuf *m, const struct sw_packet *p, const struct sw_segment_form *form,
	const struct sw_cookie *cookie, bool timestamps)
{
	uint8_t *frame = sw_frame_of(m);
	const struct sw_segment_stamp stamp = {
		.from = &p->server, .to = &p->client,
		.ports = rte_cpu_to_be_32((uint32_t)p->server_port << 16 | p->client_port),
		.seq = rte_cpu_to_be_32(cookie->isn), .ack = rte_cpu_to_be_32(p->seq + 1),
		.tsval = rte_cpu_to_be_32(cookie->tsval), /* 0 without timestamps */
		.tsecr = timestamps ? rte_cpu_to_be_32(p->tsval) : 0,
	};

	sw_frame_turn(frame);
	sw_frame_resize(m, sw_segment_stamp(frame, p->l3_offset, form, &stamp));
}

static void answer_all(struct sw_worker *w, struct sw_burst *b, const struct answer *answers,
	const struct sw_cookie *cookies, unsigned int count)
{
	struct sw_segment_form form;
	uint64_t form_key = UINT64_MAX;

	for (unsigned int k = 0; k < count; k++) {
		const unsigned int i = answers[k].packet;
		const struct sw_packet *p = &b->packets[i];
		if (unlikely(answers[k].form != form_key)) {
			form_key = answers[k].form;
			make_form(w, form_key, &form);
		}
		write_answer(b->mbufs[i], p, &form, &cookies[k], form_key & 2);
		sw_decide(b, i, SW_ANSWER);
		const uint32_t key = sw_challenge_key(w, p, p->seq);
		const bool proven = b->proven >> i & 1;
		if (unlikely(sw_challenge_has_room(w, key, proven)))
			sw_challenge_remember(w, b, i, key, proven);
	}
}

static void count_answers(struct sw_worker *w, const struct sw_burst *b, const struct answer *answers,
	unsigned int count)
{
	for (unsigned int k = 0, end; k < count; k = end) {
		const uint32_t slot = b->slots[answers[k].packet];
		for (end = k + 1; end < count && b->slots[answers[end].packet] == slot;)
			end++;
		sw_count_many(w, slot, SW_COUNT_SENT_SYN_ACK, end - k);
	}
}

void sw_stage_challenge(struct sw_worker *w, struct sw_burst *b)
{
	const struct sw_packet *packets[SW_BURST];
	struct sw_cookie_options granted[SW_BURST];
	struct sw_cookie cookies[SW_BURST];
	struct answer answers[SW_BURST];
	unsigned int n = 0;
	uint32_t todo = b->pending & b->syns;

	for (unsigned int i; sw_next(&todo, &i); n++) {
		const struct sw_packet *p = packets[n] = &b->packets[i];
		const struct sw_promise promise = *sw_promise_of(w, b->slots[i], p->is_ipv6);
		granted[n] = grant(p, promise);
		answers[n] = (struct answer){.form = form_of(&granted[n], promise, p->is_ipv6), .packet = (uint8_t)i};
	}
	if (n == 0)
		return;
	sw_cookie_make_burst(w->keys, packets, granted, n, cookies);
	answer_all(w, b, answers, cookies, n);
	count_answers(w, b, answers, n);
}
