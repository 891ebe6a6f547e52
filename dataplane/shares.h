/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Gives every worker its share of the budgets that span workers: reads what each wanted lately, asks budget.h, writes
 * sw_share. Thread: housekeeping, every 100 ms and before a new policy is put in force.
 */
#ifndef SW_SHARES_H
#define SW_SHARES_H

#include "worker_state.h"

/* What a worker had counted when last looked at: by slot, [slot * workers + worker]. */
struct sw_shares {
	struct sw_box *box;
	struct sw_demand {
		uint64_t syn, conn;
	} *services, *groups;
};

int sw_shares_open(struct sw_box *box, struct sw_shares *out);
void sw_shares_close(struct sw_shares *s);
void sw_shares_update(struct sw_shares *s, const struct sw_policy *policy);

#endif
