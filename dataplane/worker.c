/* SPDX-License-Identifier: BSD-3-Clause */
/* The loop of one lcore: poll, hand the packets to the pipeline, sleep when there is nothing to do. */
#include "worker.h"

#include <sched.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_rcu_qsbr.h>

#include "idle.h"
#include "pipeline.h"
#include "wire/wire.h"

_Atomic int sw_stopping;

/* What the loop itself has to remember. */
struct loop {
	uint64_t beat_cycles, next_beat_tsc;
	uint64_t spin_cycles, idle_since_tsc;
};

/* What came in a turn or a round. */
struct intake {
	unsigned int packets;
	bool more; /* a queue had a whole burst: it may have another */
};

static inline void take_in(struct intake *in, unsigned int count)
{
	in->packets += count;
	in->more |= count == SW_BURST;
}

static void receive_from(struct sw_worker *w, const struct sw_queue *q, unsigned int link, enum sw_side side,
	struct intake *in)
{
	struct rte_mbuf *mbufs[SW_BURST];
	const uint16_t count = rte_eth_rx_burst(q->port_id, q->queue_id, mbufs, SW_BURST);
	if (count)
		sw_pipeline_burst(w, mbufs, count, link, side, false);
	take_in(in, count);
}

/* SYNs last: what a flood fills, connections do not wait behind. */
static void receive(struct sw_worker *w, struct intake *in)
{
	for (unsigned int link = 0; link < w->shared->links; link++)
		for (unsigned int side = 0; side < SW_SIDES; side++)
			receive_from(w, &w->queues[link][side], link, (enum sw_side)side, in);
	for (unsigned int link = 0; link < w->shared->links; link++)
		if (w->syn_queues[link].queue_id != SW_NO_QUEUE)
			receive_from(w, &w->syn_queues[link], link, SW_OUTSIDE, in);
}

/*
 * One ring carries packets of all ends; the pipeline wants them by end. Their order within an end stays, and with it
 * the order within a connection's direction.
 */
static void deal_by_end(struct sw_worker *w, struct rte_mbuf **mbufs, unsigned int count)
{
	struct rte_mbuf *same[SW_BURST];
	while (count) {
		const unsigned int end = w->port_ends[mbufs[0]->port];
		unsigned int taken = 0, left = 0;
		for (unsigned int i = 0; i < count; i++) {
			if (w->port_ends[mbufs[i]->port] == end)
				same[taken++] = mbufs[i];
			else
				mbufs[left++] = mbufs[i];
		}
		sw_pipeline_burst(w, same, taken, end / SW_SIDES, (enum sw_side)(end % SW_SIDES), true);
		count = left;
	}
}

static void receive_handed(struct sw_worker *w, struct intake *in)
{
	struct rte_mbuf *mbufs[SW_BURST];
	for (unsigned int from = 0; from < w->shared->workers; from++) {
		if (!w->handed[from])
			continue;
		const unsigned int count = rte_ring_sc_dequeue_burst(w->handed[from], (void **)mbufs, SW_BURST, NULL);
		deal_by_end(w, mbufs, count);
		take_in(in, count);
	}
}

/*
 * Turns of a burst from each queue and ring, as long as any has whole ones: the pipeline works on two bursts at a time, and
 * finishes with the round. Returns how many packets there were.
 */
static unsigned int take_turns(struct sw_worker *w)
{
	struct intake in = {.packets = 0};

	for (;;) {
		in.more = false;
		receive(w, &in);
		receive_handed(w, &in);
		if (!in.more || in.packets >= SW_ROUND_PACKETS)
			return in.packets;
		sw_pipeline_turn(w);
	}
}

static unsigned int answer_mail(struct sw_worker *w)
{
	struct sw_mail *mail;
	if (rte_ring_sc_dequeue(w->mail, (void **)&mail))
		return 0;
	sw_pipeline_mail(w, mail);
	return 1;
}

/* Only rings with something in them: a worker that is asleep would find the others empty. */
static void wake_others(const struct sw_worker *w)
{
	for (unsigned int to = 0; to < w->shared->workers; to++)
		if (w->handover[to] && !rte_ring_empty(w->handover[to]))
			sw_idle_wake(&w->idles[to]);
}

static void beat(struct sw_worker *w, struct loop *l, uint64_t now)
{
	if (w->heartbeat && (int64_t)(now - l->next_beat_tsc) >= 0) {
		sw_wire_beat(w->heartbeat);
		l->next_beat_tsc = now + l->beat_cycles;
	}
}

static void rest(struct sw_worker *w, struct loop *l, unsigned int work, uint64_t now)
{
	if (work) {
		l->idle_since_tsc = now;
		return;
	}
	w->counters->idle_polls++;
	if (w->idle->sleep_us == 0)
		return;
	if (now - l->idle_since_tsc < l->spin_cycles)
		(void)sched_yield();
	else if (sw_idle_sleep(w))
		w->counters->sleeps++;
}

int sw_worker_run(void *arg)
{
	struct sw_worker *w = arg;
	const uint64_t begin = rte_rdtsc();
	struct loop l = {.beat_cycles = w->shared->tsc_hz / 1000, .next_beat_tsc = begin,
		.spin_cycles = w->shared->tsc_hz / 1000000 * SW_IDLE_SPIN_US, .idle_since_tsc = begin};

	rte_rcu_qsbr_thread_register(w->shared->rcu, w->id);
	rte_rcu_qsbr_thread_online(w->shared->rcu, w->id);
	while (!atomic_load_explicit(&sw_stopping, memory_order_relaxed)) {
		const uint64_t now = rte_rdtsc();
		rte_rcu_qsbr_quiescent(w->shared->rcu, w->id);
		beat(w, &l, now);
		sw_pipeline_begin(w, now);
		unsigned int work = take_turns(w);
		work += answer_mail(w);
		sw_pipeline_timers(w);
		sw_pipeline_end(w);
		if (w->shared->workers > 1)
			wake_others(w);
		rest(w, &l, work, now);
	}
	if (w->heartbeat)
		sw_wire_beat_stop(w->heartbeat);
	rte_rcu_qsbr_thread_offline(w->shared->rcu, w->id);
	rte_rcu_qsbr_thread_unregister(w->shared->rcu, w->id);
	return 0;
}
