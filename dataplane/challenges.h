/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Answered SYNs that are remembered for a few seconds so that the SYN-ACK can be repeated when no ACK comes: a host
 * would do so too (RFC 9293, 3.8.1). Bounded: SW_CHALLENGES places a worker. A proven source may take the place of an
 * unproven one, never the other way round, and each repetition takes a token of the source's bucket like any answer.
 * Under a flood the places are full and a lost ACK of an unproven client is not made up for; nothing else suffers.
 */
#ifndef SW_CHALLENGES_H
#define SW_CHALLENGES_H

#include "stages/stage.h"

/*
 * Which challenge it was: of the client's ISN and port, which its SYN, the ACK of our answer and a RST to it have in
 * common, the latter two as SEQ - 1.
 */
static inline uint64_t sw_challenge_key(const struct sw_worker *w, const struct sw_packet *p, uint32_t client_isn)
{
	uint64_t low;

	memcpy(&low, p->client.bytes + 8, 8);
	const uint64_t who = (uint64_t)client_isn << 32 | (uint32_t)p->client_port << 16 | p->server_port;
	return sw_limiter_mix(low ^ w->limiter.key[0][0], who ^ w->limiter.key[0][1]) | 1; /* 0 is for free places */
}

static inline struct sw_challenge *sw_challenge_place(const struct sw_worker *w, uint64_t key)
{
	return &w->challenges[(key * 0x9e3779b97f4a7c15u >> 32) % SW_CHALLENGES]; /* Fibonacci hashing */
}

/* May it be remembered? Under a flood the answer is nearly always no. */
static inline bool sw_challenge_has_room(const struct sw_worker *w, uint64_t key, bool proven)
{
	const struct sw_challenge *c = sw_challenge_place(w, key);

	return c->key == 0 || c->key == key || (proven && !c->proven);
}

/* The answer to the SYN of `key` in b->mbufs[i] is about to be sent; there is room. */
void sw_challenge_remember(struct sw_worker *w, const struct sw_burst *b, unsigned int i, uint64_t key, bool proven);

/* The client has answered: with an ACK, or with a RST. */
void sw_challenge_forget(struct sw_worker *w, const struct sw_packet *p);

/* Repeats what is due among the next places; a slice of them each call. */
void sw_challenges_repeat(struct sw_worker *w);

void sw_challenges_drain(struct sw_worker *w);

#endif
