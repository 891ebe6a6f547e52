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

/* The answer in b->mbufs[i] is about to be sent. */
void sw_challenge_remember(struct sw_worker *w, const struct sw_burst *b, unsigned int i);

/* The client has answered: with an ACK, or with a RST. */
void sw_challenge_forget(struct sw_worker *w, uint64_t hash);

/* Repeats what is due among the next places; a slice of them each call. */
void sw_challenges_repeat(struct sw_worker *w);

void sw_challenges_drain(struct sw_worker *w);

#endif
