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
 * Which challenge it was: a keyed hash of the client's ISN and port, which its SYN, the ACK of our answer and a RST to it
 * have in common, the latter two as SEQ - 1. Two that meet in all 30 bits: one of them is not repeated.
 *
 *   31                          2   1   0
 *  | hash                         | P | U |   of a place: U used, P the source was proven; of a key: 0, 1
 */
#define SW_CHALLENGE_USED 1u
#define SW_CHALLENGE_PROVEN 2u

/* What keys are hashed under, in registers. */
struct sw_challenge_secret {
	__m128i whiten, rounds[2];
};

static inline struct sw_challenge_secret sw_challenge_secret(const struct sw_worker *w)
{
	return (struct sw_challenge_secret){
		.whiten = sw_limiter_load(w->limiter.key[1]),
		.rounds = {sw_limiter_load(w->limiter.key[2]), sw_limiter_load(w->limiter.key[0])},
	};
}

/* `tuple`: of the SYN, as sw_cookie_tuple() has it. */
static inline uint32_t sw_challenge_key(const struct sw_challenge_secret *s, const struct sw_packet *p, uint64_t tuple)
{
	long long low;

	memcpy(&low, p->client.bytes + 8, 8);
	__m128i x = _mm_xor_si128(_mm_set_epi64x((long long)tuple, low), s->whiten);
	x = _mm_aesenc_si128(x, s->rounds[0]);
	x = _mm_aesenc_si128(x, s->rounds[1]);
	return ((uint32_t)_mm_cvtsi128_si32(x) & ~SW_CHALLENGE_PROVEN) | SW_CHALLENGE_USED;
}

static inline uint32_t sw_challenge_place(uint32_t key)
{
	_Static_assert(SW_CHALLENGES == 1 << 10, "the upper ten bits");
	return key >> 22;
}

static inline bool sw_challenge_is_at(const struct sw_worker *w, uint32_t place, uint32_t key)
{
	return (w->challenge_keys[place] & ~SW_CHALLENGE_PROVEN) == key;
}

/* May it be remembered, whoever sent it? Under a flood the answer is nearly always no. */
static inline bool sw_challenge_has_room(const struct sw_worker *w, uint32_t key)
{
	const uint32_t place = sw_challenge_place(key);

	return w->challenge_keys[place] == 0 || sw_challenge_is_at(w, place, key);
}

/* May it be remembered if its source is proven? */
static inline bool sw_challenge_may_displace(const struct sw_worker *w, uint32_t key)
{
	return !(w->challenge_keys[sw_challenge_place(key)] & SW_CHALLENGE_PROVEN);
}

/* The answer to the SYN of `key` in b->mbufs[i] is about to be sent; there is room. */
void sw_challenge_remember(struct sw_worker *w, const struct sw_burst *b, unsigned int i, uint32_t key, bool proven);

/* The client has answered: with an ACK, or with a RST. */
void sw_challenge_forget(struct sw_worker *w, const struct sw_packet *p);

/* Repeats what is due among the next places; a slice of them each call. */
void sw_challenges_repeat(struct sw_worker *w);

void sw_challenges_drain(struct sw_worker *w);

#endif
