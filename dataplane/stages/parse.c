/* SPDX-License-Identifier: BSD-3-Clause */
/* Stage 1: every frame of the burst to a struct sw_packet. */
#include "stage.h"

#include <rte_prefetch.h>

#include "../core/frame_plain.h"

void sw_stage_parse(struct sw_worker *w, struct sw_burst *b)
{
	const enum sw_side side = b->side; /* nothing that is written here could change it */
	(void)w;
	for (unsigned int i = 0; i < b->count; i++)
		rte_prefetch0(sw_frame_of(b->mbufs[i]));
	for (unsigned int i = 0; i < b->count; i++) {
		struct rte_mbuf *m = b->mbufs[i];
		/* Ports are set up without scatter; should a driver chain buffers all the same, what does not fit the first
		 * counts as cut off. */
		if (!sw_frame_parse_plain(sw_frame_of(m), m->data_len, side, &b->packets[i]))
			sw_frame_parse(sw_frame_of(m), m->data_len, side, &b->packets[i]);
	}
}
