/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which cache to ask for memory (prefetch.h): found out by trying. What is the better depends on the processor, on
 * what else uses its caches, and on how packets come and go; no more is known of it than what it costs.
 *
 *   ---- PERIOD bursts as chosen ----|- as chosen -|- otherwise -|- as chosen -|- otherwise -|---- PERIOD ...
 *                                    '-- four windows of WINDOW bursts, timed --'
 *
 * Of each way the cheaper window counts: what interrupts a worker does so for one of them. The other way is chosen when it
 * is cheaper by more than a thirty-second part. Where a flood ends in the middle of a trial, the trial is given up.
 *
 * Owner   one worker. Nothing but speed depends on it.
 */
#ifndef SW_CORE_PREFETCH_CHOICE_H
#define SW_CORE_PREFETCH_CHOICE_H

#include <stdbool.h>
#include <stdint.h>

enum {
	SW_CHOICE_PERIOD = 1 << 17, /* some 0.2 s under a flood; 1.5 % of the bursts then go the other way */
	SW_CHOICE_FIRST = 1 << 10,  /* after the start */
	SW_CHOICE_WINDOW = 1 << 10,
	SW_CHOICE_WINDOWS = 4,
	SW_CHOICE_PACKETS_MIN = 16, /* smaller bursts do not count: where they come speed is of no matter */
	SW_CHOICE_PATIENCE = 1 << 12, /* so many of these in a row end a trial */
};

struct sw_prefetch_choice {
	bool near;       /* what to do now */
	bool timed;      /* whether the next burst is to be timed */
	uint8_t window;  /* of the trial; 0: there is none */
	uint32_t left;   /* bursts of this window, or until the trial */
	uint32_t small;  /* bursts that did not count, in a row, during a trial */
	uint64_t cycles; /* of this window */
	uint64_t packets;
	uint64_t best[2]; /* [near]: 64ths of a cycle a packet, in the cheaper window */
};

static inline void sw_prefetch_choice_init(struct sw_prefetch_choice *c)
{
	*c = (struct sw_prefetch_choice){.left = SW_CHOICE_FIRST};
}

/* What comes after a window, or after PERIOD bursts. */
void sw_prefetch_choice_go_on(struct sw_prefetch_choice *c);

/* As it was before the trial. */
void sw_prefetch_choice_give_up(struct sw_prefetch_choice *c);

/* A burst is done. `cycles`: how long all of its steps took, if it was to be timed. */
static inline void sw_prefetch_choice_count(struct sw_prefetch_choice *c, unsigned int packets, uint64_t cycles)
{
	if (packets < SW_CHOICE_PACKETS_MIN) {
		if (c->timed && ++c->small == SW_CHOICE_PATIENCE)
			sw_prefetch_choice_give_up(c);
		return;
	}
	c->small = 0;
	c->cycles += cycles;
	c->packets += packets;
	if (--c->left == 0)
		sw_prefetch_choice_go_on(c);
}

#endif
