/* SPDX-License-Identifier: BSD-3-Clause */
/* What challenge.c and its version in vectors, challenge_avx512.c, share; worker_state.c makes room for the memos. */
#ifndef SW_CHALLENGE_PARTS_H
#define SW_CHALLENGE_PARTS_H

#include "stage.h"

/* SYNs of one family in a row that ask for the same of servers that keep the same. */
struct run {
	struct sw_cookie_terms terms;
	const struct sw_segment_form *form; /* of its layout, or of the memo */
	uint8_t end; /* lane */
};

/*
 * What the first run of some answers was made of, for those of the next burst: in a flood of one service, or of a few, they
 * ask for the same. By family, and by slot, of which some share one. It only saves work: all follows from the key.
 */
enum { SW_ANSWER_MEMOS = 4 };
struct sw_answer_memo {
	uint64_t key[3]; /* the promise; what is asked and the epoch; held bytes, and 1 for known */
	struct sw_cookie_terms terms;
	struct sw_segment_form form;
};

/* What their answers look like: that follows from the promise and from which options are granted, no more. */
struct layout {
	struct sw_promise promise;
	struct sw_segment_form form;
};

/* Which options: SACK, timestamps, ECN, window scale; a bit each. */
enum { KINDS = 16 };

/* SYNs of one family on the way to their answers. */
struct answers {
	struct sw_cookie_lanes lanes;
	uint8_t packets[SW_BURST]; /* which packet a lane is */
	uint32_t room; /* bit i: there may be room to remember the answer to packet i */
	unsigned int count, run_count, layout_count;
	struct run runs[SW_BURST];
	struct layout layouts[SW_BURST];
	uint8_t latest[KINDS]; /* the last layout of each kind; what lies beyond layout_count is none */
};

/* Before the first run. */
static inline void sw_answers_begin(struct answers *a)
{
	a->run_count = a->layout_count = 0;
	memset(a->latest, SW_BURST, sizeof(a->latest));
}

/* The run that begins with `p`, a SYN to the service of `slot`; its end is the caller's to say. */
__attribute__((noinline)) struct run *sw_answers_begin_run(struct sw_worker *w, struct answers *a,
	const struct sw_packet *p, uint32_t slot);

/* A run, from `lane` on, whose MACs and `packets` are known; frames of all shapes. */
__attribute__((noinline)) void sw_answers_write_run(struct sw_burst *b, const struct answers *a, size_t lane,
	const struct run *run, bool is_ipv6);

/* Those answers that there may be room for, where there is. */
__attribute__((noinline)) void sw_answers_remember(struct sw_worker *w, const struct sw_burst *b, uint32_t room);

/* A sw_challenge_fn; for processors of sw_isa_has_bytes(). */
void sw_challenge_avx512(struct sw_worker *w, struct sw_burst *b, uint32_t set);

#endif
