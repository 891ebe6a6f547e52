/* SPDX-License-Identifier: BSD-3-Clause */
/* The first K of many records by a key: a heap of K with the least on top. For evidence.c and prefixes.c. */
#ifndef SW_OBSERVE_TOP_H
#define SW_OBSERVE_TOP_H

#include "evidence.h"

struct sw_top {
	enum sw_sort sort;
	uint32_t limit, count;
	struct sw_evidence_record *heap;
};

/* `limit`: brought below SW_TOP_MAX. 0 or -ENOMEM. */
int sw_top_open(struct sw_top *top, enum sw_sort sort, uint32_t limit);
void sw_top_offer(struct sw_top *top, const struct sw_evidence_record *record);

/* The records in order, first first; the caller frees *out (NULL when none). Returns how many. */
int sw_top_finish(struct sw_top *top, struct sw_evidence_record **out);

bool sw_evidence_fits(const struct sw_evidence_record *r, const struct sw_evidence_filter *f);

#endif
