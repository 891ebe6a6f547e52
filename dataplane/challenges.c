/* SPDX-License-Identifier: BSD-3-Clause */
#include "challenges.h"

#include "sources.h"

enum {
	TRIES = 3,      /* after 1, 2 and 4 s more, as Linux with its first three */
	SWEEP_SLICE = 16,
};

static void clear(struct sw_worker *w, uint32_t place)
{
	rte_pktmbuf_free(w->challenges[place].copy);
	w->challenges[place].copy = NULL;
	w->challenge_keys[place] = 0;
}

void sw_challenge_remember(struct sw_worker *w, const struct sw_burst *b, unsigned int i, uint32_t key, bool proven)
{
	const uint32_t place = sw_challenge_place(key);
	struct sw_challenge *c = &w->challenges[place];

	if (w->challenge_keys[place] != 0) /* of another source, or of a repeated SYN: the answer may carry a newer timestamp */
		clear(w, place);
	c->copy = rte_pktmbuf_copy(b->mbufs[i], w->pool, 0, UINT32_MAX);
	if (c->copy == NULL)
		return;
	w->challenge_keys[place] = key | (proven ? SW_CHALLENGE_PROVEN : 0);
	c->source = sw_source_key(w, &b->packets[i].client, b->packets[i].is_ipv6, SW_LIMITER_SYN, b->slots[i]);
	c->slot = b->slots[i];
	c->link = (uint8_t)b->link;
	c->tries = 0;
	c->due_tsc = w->now + w->shared->tsc_hz;
}

void sw_challenge_forget(struct sw_worker *w, const struct sw_packet *p)
{
	const struct sw_challenge_secret secret = sw_challenge_secret(w);
	const uint32_t key = sw_challenge_key(&secret, p, sw_cookie_tuple(p) - (1ull << 32)), place = sw_challenge_place(key);

	if (sw_challenge_is_at(w, place, key))
		clear(w, place);
}

static void repeat(struct sw_worker *w, uint32_t place)
{
	struct sw_challenge *c = &w->challenges[place];
	const uint32_t service = c->slot < w->policy->slot_count ? w->policy->service_by_slot[c->slot] : SW_NONE;
	const uint32_t at = sw_limiter_find(&w->limiter, c->source);

	if (service == SW_NONE || at == SW_LIMITER_NONE || c->tries == TRIES || !sw_armed(w, c->slot)) {
		clear(w, place);
		return;
	}
	const struct sw_rate rate = sw_level_rate(&w->policy->service[service].syn_rates, 0);
	uint64_t *tat = sw_limiter_tat(&w->limiter, at);
	struct rte_mbuf *m = sw_rate_allows(&rate, *tat, w->now) ? rte_pktmbuf_copy(c->copy, w->pool, 0, UINT32_MAX) : NULL;
	c->tries++;
	c->due_tsc = w->now + (w->shared->tsc_hz << c->tries);
	if (m == NULL)
		return;
	*tat = sw_rate_take(&rate, *tat, w->now);
	sw_count(w, c->slot, SW_COUNT_SENT_SYN_ACK);
	sw_count(w, c->slot, SW_COUNT_SENT_SYN_ACK_AGAIN);
	sw_transmit_put(w, c->link, SW_OUTSIDE, m, SW_TRANSMIT_OWN, c->slot);
}

void sw_challenges_repeat(struct sw_worker *w)
{
	for (unsigned int i = 0; i < SWEEP_SLICE; i++) {
		const uint32_t place = w->challenge_next;
		w->challenge_next = (place + 1) % SW_CHALLENGES;
		if (w->challenge_keys[place] != 0 && (int64_t)(w->now - w->challenges[place].due_tsc) >= 0)
			repeat(w, place);
	}
}

void sw_challenges_drain(struct sw_worker *w)
{
	for (uint32_t place = 0; place < SW_CHALLENGES; place++)
		if (w->challenge_keys[place] != 0)
			clear(w, place);
}
