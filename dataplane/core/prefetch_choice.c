/* SPDX-License-Identifier: BSD-3-Clause */
#include "prefetch_choice.h"

static void begin(struct sw_prefetch_choice *c)
{
	c->best[false] = c->best[true] = UINT64_MAX;
	c->timed = true;
	c->window = 1;
	c->left = SW_CHOICE_WINDOW;
}

static void note_window(struct sw_prefetch_choice *c)
{
	const uint64_t cost = c->cycles * 64 / c->packets;

	if (cost < c->best[c->near])
		c->best[c->near] = cost;
}

static void end(struct sw_prefetch_choice *c)
{
	c->timed = false;
	c->window = 0;
	c->left = SW_CHOICE_PERIOD;
	c->small = 0;
	c->cycles = c->packets = 0;
}

void sw_prefetch_choice_give_up(struct sw_prefetch_choice *c)
{
	if (c->window % 2 == 0) /* the other way was on trial */
		c->near = !c->near;
	end(c);
}

/* After an even number of windows: `near` is again what it was before. */
static void choose(struct sw_prefetch_choice *c)
{
	const uint64_t chosen = c->best[c->near], other = c->best[!c->near];

	if (other < chosen - chosen / 32)
		c->near = !c->near;
	end(c);
}

void sw_prefetch_choice_go_on(struct sw_prefetch_choice *c)
{
	_Static_assert(SW_CHOICE_WINDOWS % 2 == 0, "choose()");
	if (c->window == 0) {
		begin(c);
	} else {
		note_window(c);
		c->near = !c->near;
		if (c->window++ == SW_CHOICE_WINDOWS)
			choose(c);
		else
			c->left = SW_CHOICE_WINDOW;
	}
	c->cycles = c->packets = 0;
}
