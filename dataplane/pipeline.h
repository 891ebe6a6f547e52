/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The packet path as the worker loop sees it. pipeline.c alone knows the order of the stages.
 *
 * All run on the worker's own lcore, between sw_pipeline_begin() and sw_pipeline_end(); begin reads the policy
 * and the keys once, marks the counters as being written, and end makes them whole again and flushes the transmit
 * queues. The worker is an RCU reader from begin to end.
 */
#ifndef SW_PIPELINE_H
#define SW_PIPELINE_H

#include "worker.h"

void sw_pipeline_begin(struct sw_worker *w, uint64_t now_tsc);

/*
 * Up to SW_BURST packets that came in at one end of one link. Takes ownership of every mbuf: each is transmitted,
 * handed over, held or freed, by the next burst of the round or else by timers, mail or the end, whatever comes first.
 * `handed_over`: they came through a ring from the worker that received them and have been counted as received there.
 */
void sw_pipeline_burst(struct sw_worker *w, struct rte_mbuf **mbufs, unsigned int count, unsigned int link,
	enum sw_side side, bool handed_over);

/* What has been decided so far leaves; for rounds that go on. */
void sw_pipeline_turn(struct sw_worker *w);

/* Timers: retries, ageing, challenges to repeat. A bounded slice of work each time; call it once a loop. */
void sw_pipeline_timers(struct sw_worker *w);

/* Answers one request of housekeeping (UNBLOCK, EXPLAIN) from the worker's own state. */
void sw_pipeline_mail(struct sw_worker *w, struct sw_mail *mail);

void sw_pipeline_end(struct sw_worker *w);

/* At shutdown: frees every held packet and remembered challenge. */
void sw_pipeline_drain(struct sw_worker *w);

#endif
