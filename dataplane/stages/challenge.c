/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage 4: SYNs that the limits admitted are answered with a cookie, in their own frame. No state is made, with one
 * bounded exception: a number of answers is remembered for a few seconds, to be repeated. Without that a client whose
 * last ACK was lost would wait for ever for a server that speaks first, since nobody is left to repeat the SYN-ACK.
 */
#include "challenge_parts.h"

#include <rte_branch_prediction.h>

#include "../challenges.h"

enum {
	WINDOW_MIN = 4096,
	APART_MIN = 4, /* SYNs to one service are answered apart from the others of their burst, if they are so many */
};

/* Its address in a register of its own: compilers would compute it for each field anew. */
static inline const struct sw_packet *packet_of(const struct sw_burst *b, size_t i)
{
	const struct sw_packet *p = &b->packets[i];

	__asm__("" : "+r"(p));
	return p;
}

/*
 * mss, window_scale and options in one; of the latter only what matters, and in their place whether the client asks for
 * ECN (RFC 3168, 6.1.1).
 */
static inline uint32_t asked_by(const struct sw_packet *p)
{
	_Static_assert(offsetof(struct sw_packet, window_scale) == offsetof(struct sw_packet, mss) + 2 &&
					   offsetof(struct sw_packet, options) == offsetof(struct sw_packet, mss) + 3,
		"options are compared as one word");
	const uint32_t matters = 0xffffffu | (SW_OPTION_SACK_PERMITTED | SW_OPTION_TIMESTAMPS) << 24;
	const uint32_t ecn = (uint32_t)(SW_TCP_ECE | SW_TCP_CWR) << 24;
	uint32_t options;

	memcpy(&options, &p->mss, 4);
	return (options & matters) | ((uint32_t)p->tcp_flags << 24 & ecn);
}

/* What the answer grants: what the client offers and the server is known to keep. */
static struct sw_cookie_options grant(const struct sw_packet *p, struct sw_promise promise)
{
	struct sw_cookie_options o = sw_cookie_options_of(p);

	if (promise.window_scale < 0)
		o.window_scale = SW_WINDOW_SCALE_NONE;
	o.sack &= promise.sack;
	o.timestamps &= promise.timestamps;
	o.ecn &= promise.ecn & o.timestamps;
	return o;
}

static void make_layout(const struct sw_worker *w, struct layout *l,
	const struct sw_cookie_options *granted, struct sw_promise promise, bool is_ipv6)
{
	const uint32_t held = w->policy->held_bytes_per_flow;
	struct sw_segment s = {
		.is_ipv6 = is_ipv6,
		.flags = (uint8_t)(SW_TCP_SYN | SW_TCP_ACK | (granted->ecn ? SW_TCP_ECE : 0)),
		.window = (uint16_t)(held > 65535 ? 65535 : held < WINDOW_MIN ? WINDOW_MIN : held),
	};

	sw_segment_syn_options(&s, promise.mss, granted->window_scale < 0 ? SW_WINDOW_SCALE_NONE : promise.window_scale,
		granted->sack, granted->timestamps, 0, 0);
	sw_segment_form_make(&l->form, &s);
	l->promise = promise;
}

/* The latest of its kind, if it will do, or a new one. */
static const struct sw_segment_form *layout_for(const struct sw_worker *w, struct answers *a,
	const struct sw_cookie_options *granted, struct sw_promise promise, bool is_ipv6)
{
	uint8_t *latest = &a->latest[granted->sack | granted->timestamps << 1 | granted->ecn << 2 |
		(granted->window_scale >= 0) << 3];

	if (*latest >= a->layout_count || memcmp(&a->layouts[*latest].promise, &promise, sizeof(promise)) != 0) {
		*latest = (uint8_t)a->layout_count++;
		make_layout(w, &a->layouts[*latest], granted, promise, is_ipv6);
	}
	return &a->layouts[*latest].form;
}

static void begin_new_run(const struct sw_worker *w, struct answers *a, struct run *run, const struct sw_packet *p,
	struct sw_promise promise)
{
	const struct sw_cookie_options granted = grant(p, promise);

	sw_cookie_terms_make(&run->terms, &granted, p->is_ipv6, w->keys->epoch);
	run->form = layout_for(w, a, &granted, promise, p->is_ipv6);
}

struct run *sw_answers_begin_run(struct sw_worker *w, struct answers *a, const struct sw_packet *p, uint32_t slot)
{
	const uint64_t *word = (const uint64_t *)(const void *)sw_promise_of(w, slot, p->is_ipv6);
	struct sw_answer_memo *memo = &w->answer_memos[p->is_ipv6 * SW_ANSWER_MEMOS + slot % SW_ANSWER_MEMOS];
	struct run *run = &a->runs[a->run_count++];
	struct sw_promise promise;
	/* The promise is read once: housekeeping may write another, and what the memo holds has to be what its key says. */
	uint64_t key[3] = {__atomic_load_n(word, __ATOMIC_RELAXED), (uint64_t)w->keys->epoch << 32 | asked_by(p),
		1ull << 32 | w->policy->held_bytes_per_flow};

	_Static_assert(sizeof(promise) == sizeof(key[0]), "all of it");
	if (likely(((key[0] ^ memo->key[0]) | (key[1] ^ memo->key[1]) | (key[2] ^ memo->key[2])) == 0)) {
		run->terms = memo->terms;
		run->form = &memo->form;
		return run;
	}
	memcpy(&promise, &key[0], sizeof(promise));
	begin_new_run(w, a, run, p, promise);
	if (a->run_count == 1) { /* what the others of these answers found in memos must stand until they are written */
		memcpy(memo->key, key, sizeof(key));
		memo->terms = run->terms;
		memo->form = *run->form;
	}
	return run;
}

static inline void end_run(struct sw_worker *w, struct run *run, uint32_t slot, unsigned int begin, unsigned int end)
{
	run->end = (uint8_t)end;
	sw_count_many(w, slot, SW_COUNT_SENT_SYN_ACK, end - begin);
}

/* Those of `set` that are of one family, the first one's, take their lanes. Returns the others. */
static inline __attribute__((always_inline)) uint32_t gather(struct sw_worker *w, const struct sw_burst *b,
	uint32_t set, bool is_ipv6, struct answers *a)
{
	const struct sw_challenge_secret secret = sw_challenge_secret(w);
	const uint32_t all = set;
	uint64_t word = 0;
	uint32_t asked = 0, slot = SW_NONE, others = 0;
	unsigned int n = 0, begin = 0;
	struct run *run = NULL;

	a->room = 0;
	sw_answers_begin(a);
	for (; set; set &= set - 1) {
		const size_t i = (size_t)__builtin_ctz(set);
		const struct sw_packet *p = packet_of(b, i);
		if (unlikely(p->is_ipv6 != is_ipv6)) {
			others |= 1u << i;
			continue;
		}
		const uint32_t asks = asked_by(p);
		if (unlikely(b->slots[i] != slot || asks != asked)) {
			if (run != NULL)
				end_run(w, run, slot, begin, n);
			asked = asks;
			slot = b->slots[i];
			begin = n;
			run = sw_answers_begin_run(w, a, p, slot);
			word = run->terms.word;
		}
		const uint64_t tuple = sw_cookie_tuple(p);
		sw_cookie_words(&a->lanes.words[0][n], p, is_ipv6, tuple, word);
		a->packets[n++] = (uint8_t)i;
		if (unlikely(sw_challenge_has_room(w, sw_challenge_key(&secret, p, tuple))))
			a->room |= 1u << i;
	}
	end_run(w, run, slot, begin, n);
	a->count = n;
	a->room |= b->proven & all & ~others;
	return others;
}

static __attribute__((noinline)) uint32_t gather_ipv4(struct sw_worker *w, const struct sw_burst *b, uint32_t set,
	struct answers *a)
{
	return gather(w, b, set, false, a);
}

static __attribute__((noinline)) uint32_t gather_ipv6(struct sw_worker *w, const struct sw_burst *b, uint32_t set,
	struct answers *a)
{
	return gather(w, b, set, true, a);
}

static inline __attribute__((always_inline)) void write_answer(struct rte_mbuf *m, const struct sw_packet *p,
	uint64_t mac, const struct sw_cookie_terms *terms, const struct sw_segment_form *form, bool is_ipv6,
	bool timestamps)
{
	uint8_t *frame = sw_frame_of(m);
	struct sw_segment_stamp stamp = {
		.from = &p->server, .to = &p->client,
		.ports = rte_cpu_to_be_32((uint32_t)sw_cookie_tuple(p)),
		.seq = sw_cookie_isn(mac, terms), .ack = p->seq + 1,
	};

	if (timestamps) {
		stamp.tsval = sw_cookie_tsval(mac, terms);
		stamp.tsecr = p->tsval;
	}
	sw_frame_turn(frame);
	sw_frame_resize(m, sw_segment_stamp(frame, p->l3_offset, form, &stamp, is_ipv6, timestamps));
}

static inline __attribute__((always_inline)) void write_answers(struct sw_burst *b, const struct answers *a,
	size_t lane, const struct run *run, const struct sw_segment_form *form, bool is_ipv6, bool timestamps)
{
	const struct sw_cookie_terms terms = run->terms;

	for (const size_t end = run->end; lane < end; lane++) {
		const size_t i = a->packets[lane];
		write_answer(b->mbufs[i], packet_of(b, i), a->lanes.macs[lane], &terms, form, is_ipv6, timestamps);
	}
}

/* What is known of a run at compile time need not be looked at in its loop. */
void sw_answers_write_run(struct sw_burst *b, const struct answers *a, size_t lane, const struct run *run, bool is_ipv6)
{
	const struct sw_segment_form *form = run->form;

	if (is_ipv6 && run->terms.timestamps)
		write_answers(b, a, lane, run, form, true, true);
	else if (is_ipv6)
		write_answers(b, a, lane, run, form, true, false);
	else if (run->terms.timestamps)
		write_answers(b, a, lane, run, form, false, true);
	else
		write_answers(b, a, lane, run, form, false, false);
}

void sw_answers_remember(struct sw_worker *w, const struct sw_burst *b, uint32_t room)
{
	const struct sw_challenge_secret secret = sw_challenge_secret(w);

	for (unsigned int i; sw_next(&room, &i);) {
		const uint32_t key = sw_challenge_key(&secret, &b->packets[i], sw_cookie_tuple(&b->packets[i]));
		const bool proven = b->proven >> i & 1;
		if (sw_challenge_has_room(w, key) || (proven && sw_challenge_may_displace(w, key)))
			sw_challenge_remember(w, b, i, key, proven);
	}
}

static void challenge(struct sw_worker *w, struct sw_burst *b, uint32_t set)
{
	struct answers a;

	while (set) {
		const bool is_ipv6 = b->packets[__builtin_ctz(set)].is_ipv6;
		size_t lane = 0;
		set = is_ipv6 ? gather_ipv6(w, b, set, &a) : gather_ipv4(w, b, set, &a);
		sw_cookie_hash(&a.lanes, a.count, is_ipv6, w->keys->burst, &w->keys->current);
		for (const struct run *run = a.runs; run < a.runs + a.run_count; lane = run->end, run++)
			sw_answers_write_run(b, &a, lane, run, is_ipv6);
		if (a.room)
			sw_answers_remember(w, b, a.room);
	}
}

sw_challenge_fn sw_challenge_for(enum sw_isa isa)
{
	return sw_isa_has_bytes(isa) ? sw_challenge_avx512 : challenge;
}

void sw_stage_challenge(struct sw_worker *w, struct sw_burst *b)
{
	const struct sw_syn_admissions *admissions = &b->admissions;
	uint32_t set = b->pending & b->syns;

	if (set == 0)
		return;
	sw_decide_all(b, set, SW_ANSWER);
	/* More runs than that cannot all be long enough, and hardly any is. */
	const unsigned int runs = admissions->run_count <= SW_BURST / APART_MIN ? admissions->run_count : 0;
	for (unsigned int k = 0; k < runs; k++) {
		const uint32_t apart = set & admissions->runs[k].set;
		if (__builtin_popcount(apart) < APART_MIN)
			continue;
		w->challenge(w, b, apart);
		set &= ~apart;
	}
	if (set)
		w->challenge(w, b, set);
}
