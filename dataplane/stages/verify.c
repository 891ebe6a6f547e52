/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage 8: packets from outside that belong to no known flow and are no SYN. An ACK that echoes a cookie of ours opens
 * a connection, within the limits for proven sources; everything else passes while the service is quiet and is dropped
 * while it is armed.
 */
#include "../flow.h"

#include "../admission.h"
#include "../challenges.h"
#include "../core/prefix_table.h"

static bool unguarded(const struct sw_worker *w, const struct sw_burst *b, unsigned int i)
{
	const uint8_t mode = sw_service_of(w, b, i)->mode;

	return mode == SW_MODE_OFF || mode == SW_MODE_MONITOR;
}

/* Neither SYN nor ACK of a cookie. */
static void refuse_or_pass(struct sw_worker *w, struct sw_burst *b, unsigned int i, enum sw_drop_reason reason)
{
	if (unguarded(w, b, i) || !sw_armed(w, b->slots[i]))
		sw_decide(b, i, SW_FORWARD);
	else
		sw_drop(b, i, reason);
}

/*
 * True within the first adopt_s after start, as far as the budget goes: the server knows its own connections, and its
 * answer makes a flow of this one.
 */
static bool may_be_older_than_us(struct sw_worker *w)
{
	const struct sw_policy *p = w->policy;

	if (w->now - w->shared->start_tsc >= p->adopt_cycles || !sw_rate_allows(&p->adopt, w->adopt_tat, w->now))
		return false;
	w->adopt_tat = sw_rate_take(&p->adopt, w->adopt_tat, w->now);
	return true;
}

/* Why an armed service refuses an ACK of no flow and without a cookie of ours. */
static inline enum sw_drop_reason reason_of(const struct sw_packet *p, bool expired)
{
	if (expired)
		return SW_DROP_COOKIE_EXPIRED;
	return p->tcp_flags & SW_TCP_FIN ? SW_DROP_RST_WITHOUT_FLOW : SW_DROP_COOKIE_INVALID;
}

static void not_ours(struct sw_worker *w, struct sw_burst *b, unsigned int i, bool expired)
{
	if (unguarded(w, b, i) || !sw_armed(w, b->slots[i]) || may_be_older_than_us(w))
		sw_decide(b, i, SW_FORWARD);
	else
		sw_drop(b, i, reason_of(&b->packets[i], expired));
}

/* `a`: prepared for CONN. */
static void admit(struct sw_worker *w, struct sw_burst *b, unsigned int i, struct sw_admission *a)
{
	struct sw_cookie_options options;

	a->group = sw_prefix_table_class(w->policy->sources, b->classes[i])->group;
	a->connection = b->hashes[i] ^ (uint64_t)b->packets[i].ack << 32 ^ b->packets[i].ack;
	const uint32_t record = sw_source_prove(w, a->source, a->is_ipv6, a->service->slot);
	const bool free = unguarded(w, b, i);
	const enum sw_drop_reason reason = free ? SW_ADMITTED : sw_admit_connection(w, a, record);
	if (reason == SW_ADMITTED) {
		sw_cookie_decode(&b->packets[i], &options);
		sw_connect_open(w, b, i, &options, record, free ? NULL : a);
	} else if (a->service->refusal == SW_REFUSE_RST && sw_may_be_answered(reason)) {
		sw_answer_reset(w, b, i, reason);
	} else {
		sw_drop(b, i, reason);
	}
}

static void valid(struct sw_worker *w, struct sw_burst *b, unsigned int i, struct sw_admission *a)
{
	const struct sw_packet *p = &b->packets[i];
	const uint32_t flow = b->flows[i];

	sw_challenge_forget(w, p);
	if (flow != SW_FLOW_NONE) {
		const struct sw_flow *f = &w->flows.flows[flow];
		const struct sw_flow_setup *s = &w->flows.setups[flow];
		if (f->flags & SW_FLOW_PROXIED && s->client_isn == p->seq - 1 && s->cookie_isn == p->ack - 1) {
			/* Its own beginning again: no cookie opens two connections while the first is known. */
			sw_follow_or_connect(w, b, i, flow);
			return;
		}
		sw_flow_end(w, flow, SW_COUNT_FLOW_CLOSED); /* the client has a new connection on these ports, and proves it */
		b->flows[i] = SW_FLOW_NONE;
		b->classes[i] = sw_prefix_table_lookup(w->policy->sources, &p->client); /* the old flow's was not looked up */
	}
	sw_count(w, b->slots[i], SW_COUNT_COOKIE_VALID);
	admit(w, b, i, a);
}

/* ACKs that may echo a cookie. */
struct echoes {
	uint32_t set;
	uint32_t strict; /* of these, those of services that refuse whatever is neither a flow's nor valid */
};

static struct echoes find_echoes(const struct sw_worker *w, const struct sw_burst *b, uint32_t acks)
{
	const bool settled = w->now - w->shared->start_tsc >= w->policy->adopt_cycles; /* may_be_older_than_us() says no */
	struct echoes e = {0, 0};

	for (uint32_t alike; acks; acks &= ~alike) {
		const unsigned int i = (unsigned int)__builtin_ctz(acks);
		const uint32_t slot = b->slots[i];
		alike = b->one_server ? acks : 1u << i;
		/* Whatever the mode is by now: who was sent a cookie knows of no other server. */
		if (!sw_accepts_cookies(w, slot))
			continue;
		e.set |= alike;
		if (settled && sw_armed(w, slot) && !unguarded(w, b, i))
			e.strict |= alike;
	}
	return e;
}

/* What is neither SYN nor ACK, or an ACK that echoes no cookie. */
static void no_cookie(struct sw_worker *w, struct sw_burst *b, unsigned int i, bool expired)
{
	const uint8_t handshake = sw_handshake_of(&b->packets[i]);

	if (handshake & SW_TCP_RST)
		sw_challenge_forget(w, &b->packets[i]);
	if (b->flows[i] != SW_FLOW_NONE)
		sw_follow_or_connect(w, b, i, b->flows[i]);
	else if (handshake & SW_TCP_RST)
		refuse_or_pass(w, b, i, SW_DROP_RST_WITHOUT_FLOW);
	else if (handshake & SW_TCP_SYN)
		refuse_or_pass(w, b, i, SW_DROP_SYN_ACK_UNEXPECTED);
	else
		not_ours(w, b, i, expired);
}

/* What the burst's valid cookies will look at: works it out, and asks for the memory of all before any is used. */
static void prepare(struct sw_worker *w, const struct sw_burst *b, uint32_t valid,
	struct sw_admission admissions[SW_BURST], struct sw_limiter_lanes lanes[SW_BURST])
{
	struct sw_admission_run runs[SW_BURST];
	const unsigned int count = sw_burst_runs(w, b, valid, runs);
	uint32_t todo = valid;

	for (unsigned int i; sw_next(&todo, &i);) {
		struct sw_admission *a = &admissions[i];
		a->service = sw_service_of(w, b, i);
		a->source = &b->packets[i].client;
		a->is_ipv6 = b->packets[i].is_ipv6;
		a->lanes = &lanes[i];
		sw_source_ask(w, a->source, a->is_ipv6, a->service->slot);
	}
	for (unsigned int k = 0; k < count; k++)
		sw_admission_prepare(w, &runs[k], SW_LIMITER_CONN, &b->packets[0].client, sizeof(b->packets[0]), lanes);
}

/* Neither flow nor cookie, and a service that wants one of the two: what an ACK flood is. */
static void refuse_all(struct sw_burst *b, uint32_t set, uint32_t expired)
{
	const uint32_t late = set & expired, fins = set & ~late & b->fins, wrong = set & ~late & ~fins;

	if (wrong)
		sw_drop_all(b, wrong, SW_DROP_COOKIE_INVALID);
	if (fins)
		sw_drop_all(b, fins, SW_DROP_RST_WITHOUT_FLOW);
	if (late)
		sw_drop_all(b, late, SW_DROP_COOKIE_EXPIRED);
}

/*
 * Cookies are checked together, then everything is decided in the order of arrival: a packet may belong to the flow that
 * one before it in the burst has opened, like data or a RST right behind the handshake's ACK, or has ended. What is to
 * be refused waits to be so all at once, as long as no flow has been opened.
 */
void sw_stage_verify(struct sw_worker *w, struct sw_burst *b)
{
	struct sw_admission admissions[SW_BURST];
	struct sw_limiter_lanes lanes[SW_BURST];
	uint32_t todo = b->pending & ~b->syns, refused = 0;

	if (b->side != SW_OUTSIDE || todo == 0)
		return;
	const struct echoes echoes = find_echoes(w, b, todo & b->acks);
	const struct sw_cookie_verdicts cookies = sw_cookie_verify_burst(w->keys, b->packets, echoes.set,
		sw_find_ipv6(b, echoes.set));
	if (w->flows.changes == b->changes)
		refused = echoes.strict & ~cookies.valid & ~b->known;
	todo &= ~refused;
	if (cookies.valid)
		prepare(w, b, cookies.valid, admissions, lanes);
	for (unsigned int i; sw_next(&todo, &i);) {
		const bool expired = cookies.expired >> i & 1;
		if (w->flows.changes != b->changes)
			sw_flow_look_again(w, b, i);
		if (cookies.valid >> i & 1)
			valid(w, b, i, &admissions[i]);
		else if (echoes.strict >> i & 1 && b->flows[i] == SW_FLOW_NONE)
			sw_drop(b, i, reason_of(&b->packets[i], expired));
		else
			no_cookie(w, b, i, expired);
		if (refused != 0 && w->flows.changes != b->changes) { /* what is behind may belong to a flow by now */
			todo |= refused & ~sw_below(i);
			refused &= sw_below(i);
		}
	}
	refuse_all(b, refused, cookies.expired);
}
