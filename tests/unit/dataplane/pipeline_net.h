/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A box of one or two workers between two ports made of rings, for tests of the whole packet path: frames are put in at
 * one end, run through sw_pipeline_burst() at a time of the test's choosing, and read from the rings. One EAL and one
 * pair of ports a process; a new box for every case.
 *
 * A case ends with checks that hold for all: the sum over the counters, and every packet buffer back in its pool.
 */
#ifndef SW_TESTS_PIPELINE_NET_H
#define SW_TESTS_PIPELINE_NET_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>

#include <cmocka.h>

#include "../core/snapshot_draft.h"
#include "core/frame.h"
#include "pipeline.h"
#include "policy.h"
#include "sources.h"
#include "shares.h"
#include "worker_state.h"

#define NET_HZ 1000000000ull /* a cycle is a nanosecond */
#define NET_MS (NET_HZ / 1000)

enum { NET_FRAME_MAX = 2048, NET_WORKERS_MAX = 2, NET_QUEUE = 4096, NET_EPOCH = 1000000 };

/* A frame as it crosses a wire. */
struct frame {
	uint16_t length;
	uint8_t bytes[NET_FRAME_MAX];
	struct sw_packet view; /* of a frame that the box sent: parsed as its receiver's side sends, see net_expect() */
};

/* The link and network layer that a case runs over. */
struct flavour {
	const char *name;
	bool is_ipv6;
	uint8_t tag_count;
	struct {
		uint16_t type, id;
	} tags[2];
};

enum { FLAVOURS = 6 };
extern const struct flavour flavours[FLAVOURS]; /* IPv4 and IPv6; untagged, 802.1Q, QinQ */

/* What has been put in and has yet to come in. */
struct net_frame {
	struct rte_mbuf *mbuf;
	enum sw_side side;
};

struct net {
	struct draft draft;
	struct sw_box box;
	struct sw_policy *policy;
	struct sw_shares shares;
	struct sw_secrets secrets;
	const struct flavour *flavour;
	uint64_t now, unix_s; /* of the epochs */
	bool is_open;
	struct sw_worker *w; /* worker 0 */
	/* Frames not yet run: in order, each with the end it comes in at. */
	struct net_frame waiting[1024];
	unsigned int waiting_count;
	unsigned int worker; /* that receives what is put in */
	bool one_by_one;     /* a burst is done before the next of its round comes */
};

/* Starts the EAL and makes the ports. 0, or the exit status of a test that cannot run here. */
int net_start(void);

/* What a case may change before the box is made. */
typedef void (*net_shape)(struct draft *d);

/*
 * Opens a box with one service "tracker" (always armed) on TCP 20000 of the servers' addresses, no limits but the
 * reflection caps, and no rules; `shape` may change all that.
 */
void net_open(struct net *n, const struct flavour *flavour, net_shape shape);
/* The checks that every case ends with, then everything is freed. */
void net_close(struct net *n);
/* Without the checks: a case has failed. */
void net_abandon(struct net *n);

/* The draft was changed: builds a policy from it and puts it in force, freeing the one before. */
void net_new_policy(struct net *n);
void net_arm(struct net *n, uint32_t slot, bool armed);
void net_promise(struct net *n, uint32_t slot, const struct sw_promise *p); /* both families, both parities */
/* Seconds of wall time pass for the cookies' keys; the workers' clock stands still. */
void net_epochs_pass(struct net *n, uint32_t epochs);

/* The queue of worker 0 at this side is full, or no longer. */
void net_block_port(struct net *n, enum sw_side side, bool blocked);

/* ---- frames in ----------------------------------------------------------------------------------------------------
 */

/* Puts a frame in front of the box; net_run() takes it. */
void net_put(struct net *n, enum sw_side side, const struct frame *f);
/* All that waits, in bursts of neighbours from one side, between one begin and end; then timers. */
void net_run(struct net *n);
/* Time passes in steps of a millisecond, with timers. */
void net_pass_ms(struct net *n, uint64_t ms);
/* Until something leaves at `side`, at most most_ms. Returns how many milliseconds that took. */
uint64_t net_wait(struct net *n, enum sw_side side, uint64_t most_ms);

/* ---- frames out ---------------------------------------------------------------------------------------------------
 */

/*
 * The next frame that left at `side`; fails when there is none. Its view is as if it came in from the other side, so
 * `client` and `server` are right. TCP and IP checksums are verified.
 */
struct frame net_expect(struct net *n, enum sw_side side);
/* Without the checksums, for what passes untouched; the view is not filled. */
struct frame net_expect_raw(struct net *n, enum sw_side side);
void net_expect_nothing(struct net *n);
/* False: nothing is left. The view is not filled. */
bool net_take(struct net *n, enum sw_side side, struct frame *f);
/* Throws away all that left. Returns how many. */
unsigned int net_discard(struct net *n);

/* ---- counters, summed over workers ---------------------------------------------------------------------------------
 */

uint64_t net_count(const struct net *n, enum sw_count what);
uint64_t net_dropped(const struct net *n, enum sw_drop_reason why);
uint64_t net_refused(const struct net *n, enum sw_drop_reason why); /* answered with a RST */
uint64_t net_dropped_all(const struct net *n);

/* ---- cases ---------------------------------------------------------------------------------------------------------
 */

struct net_case {
	const char *name;
	void (*run)(struct net *n);
	net_shape shape;
	bool once; /* over the first flavour alone: what it is about does not depend on the family */
};

#define NET_CASE(function, shape)                                                                                      \
	{                                                                                                                  \
#function, function, shape, false                                                                              \
	}
#define NET_CASE_ONCE(function, shape)                                                                                 \
	{                                                                                                                  \
#function, function, shape, true                                                                               \
	}

/* Runs every case over every flavour; returns what main() shall. */
int net_run_cases(const char *group, const struct net_case *cases, unsigned int count);

#define assert_dropped(n, reason, times) assert_int_equal(net_dropped(n, SW_DROP_##reason), times)
#define assert_refused(n, reason, times) assert_int_equal(net_refused(n, SW_DROP_##reason), times)
#define assert_count(n, what, times)     assert_int_equal(net_count(n, SW_COUNT_##what), times)

#endif
