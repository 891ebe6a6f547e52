/* SPDX-License-Identifier: BSD-3-Clause */
#include "challenges.h"

#include "sources.h"

enum {
	TRIES = 3,      /* after 1, 2 and 4 s more, as Linux with its first three */
	SWEEP_SLICE = 16,
};

static void clear(struct sw_challenge *c)
{
	rte_pktmbuf_free(c->copy);
	c->copy = NULL;
	c->key = 0;
}

void sw_challenge_remember(struct sw_worker *w, const struct sw_burst *b, unsigned int i, uint64_t key, bool proven)
{
	struct sw_challenge *c = sw_challenge_place(w, key);

	if (c->key != 0) /* of another source, or of a repeated SYN: the answer may carry a newer timestamp */
		clear(c);
	c->copy = rte_pktmbuf_copy(b->mbufs[i], w->pool, 0, UINT32_MAX);
	if (c->copy == NULL)
		return;
	c->key = key;
	c->source = sw_source_key(w, &b->packets[i].client, b->packets[i].is_ipv6, SW_LIMITER_SYN, b->slots[i]);
	c->slot = b->slots[i];
	c->link = (uint8_t)b->link;
	c->tries = 0;
	c->proven = proven;
	c->due_tsc = w->now + w->shared->tsc_hz;
}

void sw_challenge_forget(struct sw_worker *w, const struct sw_packet *p)
{
	const uint64_t key = sw_challenge_key(w, p, p->seq - 1);
	struct sw_challenge *c = sw_challenge_place(w, key);

	if (c->key == key)
		clear(c);
}

static void repeat(struct sw_worker *w, struct sw_challenge *c)
{
	const uint32_t service = c->slot < w->policy->slot_count ? w->policy->service_by_slot[c->slot] : SW_NONE;
	const uint32_t at = sw_limiter_find(&w->limiter, c->source);

	if (service == SW_NONE || at == SW_LIMITER_NONE || c->tries == TRIES || !sw_armed(w, c->slot)) {
		clear(c);
		return;
	}
	const struct sw_rate *rate = &w->policy->service[service].levels[0].syn;
	uint64_t *tat = sw_limiter_tat(&w->limiter, at);
	struct rte_mbuf *m = sw_rate_allows(rate, *tat, w->now) ? rte_pktmbuf_copy(c->copy, w->pool, 0, UINT32_MAX) : NULL;
	c->tries++;
	c->due_tsc = w->now + (w->shared->tsc_hz << c->tries);
	if (m == NULL)
		return;
	*tat = sw_rate_take(rate, *tat, w->now);
	sw_count(w, c->slot, SW_COUNT_SENT_SYN_ACK);
	sw_count(w, c->slot, SW_COUNT_SENT_SYN_ACK_AGAIN);
	sw_transmit_put(w, c->link, SW_OUTSIDE, m, SW_TRANSMIT_OWN, c->slot);
}

void sw_challenges_repeat(struct sw_worker *w)
{
	for (unsigned int i = 0; i < SWEEP_SLICE; i++) {
		struct sw_challenge *c = &w->challenges[w->challenge_next];
		w->challenge_next = (w->challenge_next + 1) % SW_CHALLENGES;
		if (c->key != 0 && (int64_t)(w->now - c->due_tsc) >= 0)
			repeat(w, c);
	}
}

void sw_challenges_drain(struct sw_worker *w)
{
	for (unsigned int i = 0; i < SW_CHALLENGES; i++)
		if (w->challenges[i].key != 0)
			clear(&w->challenges[i]);
}
