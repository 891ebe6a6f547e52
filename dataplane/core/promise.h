/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the box promises in a server's name, and when a change of it takes effect. Pure.
 *
 * Learned from the server's own SYN-ACKs, of which workers report those that differ from the promise. Two different
 * machines behind one service must not make it flap: the weakest that was heard in an epoch counts; what is weaker
 * than the promise replaces it with the next epoch, what is stronger only after so many epochs as `patience` says,
 * which doubles each time that it proved rash. What the operator set wins.
 *
 * A cookie is judged by the promise of its epoch's parity, so a promise that has gone out must stand for as long as
 * cookies may echo it: a change enters the parity of an epoch at its beginning. Only the first thing learned enters
 * both at once, except its window scale: a cookie carries all else that it granted, but the server's scale is looked
 * up when the ACK comes, and must then be what the SYN-ACK said.
 */
#ifndef SW_PROMISE_H
#define SW_PROMISE_H

#include <stdbool.h>
#include <stdint.h>

#include "../api/policy_snapshot.h"

struct sw_promise {
	uint16_t mss;
	int8_t window_scale; /* -1: none */
	uint8_t sack, timestamps, ecn;
	uint8_t known;
	uint8_t reserved;
};

/* What has been learned about the servers of one service and family. Zeroed: nothing. */
struct sw_promise_book {
	struct sw_promise learned;   /* known: since the last epoch began */
	struct sw_promise gathered;  /* known: heard in this epoch */
	uint16_t patience, waited;   /* epochs; patience 0 counts as 1 */
	bool raised;                 /* the last change was to a stronger one */
};

/* Before anything is known: what every server can keep. */
struct sw_promise sw_promise_default(bool is_ipv6);

/* Notes one answer. True: the first ever, so that the promise changes at once. */
bool sw_promise_hear(struct sw_promise_book *book, const struct sw_promise *answer);

enum { SW_PROMISE_PATIENCE_MAX = 1024 }; /* nine hours */

/* A new epoch begins. */
void sw_promise_turn(struct sw_promise_book *book);

/* The promise itself: the operator's word, else what was learned, else the default. */
struct sw_promise sw_promise_make(const struct sw_promise_book *book, const struct sw_backend *backend, bool is_ipv6);

/* The same, for the epochs that were under way when the first answer was heard. */
struct sw_promise sw_promise_make_first(const struct sw_promise_book *book, const struct sw_backend *backend,
	bool is_ipv6);

/* Has the operator set any of it? */
bool sw_promise_is_set(const struct sw_backend *backend, bool is_ipv6);

#endif
