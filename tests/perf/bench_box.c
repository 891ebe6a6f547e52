/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench.h"

#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>

#include "../../dataplane/core/snapshot_check.h"

/*
 * Ports that take everything and keep nothing: the frames belong to the benchmark, which uses them again. No device
 * stands behind them; DPDK's table of fast-path functions is enough for rte_eth_tx_burst().
 */
static struct rte_mbuf *last_sent[SW_SIDES];

static uint16_t swallow(void *queue, struct rte_mbuf **mbufs, uint16_t count)
{
	*(struct rte_mbuf **)queue = mbufs[count - 1];
	return count;
}

static uint16_t nothing(void *queue, struct rte_mbuf **mbufs, uint16_t count)
{
	(void)queue;
	(void)mbufs;
	(void)count;
	return 0;
}

static void make_port(struct bench_box *b, enum sw_side side)
{
	static void *queues[SW_SIDES][1], *callbacks[SW_SIDES][1];
	const uint16_t port = (uint16_t)(RTE_MAX_ETHPORTS - 1 - side);

	queues[side][0] = &last_sent[side];
	rte_eth_fp_ops[port] = (struct rte_eth_fp_ops){
		.rx_pkt_burst = nothing, .rxq = {queues[side], callbacks[side]},
		.tx_pkt_burst = swallow, .txq = {queues[side], callbacks[side]},
	};
	b->ports[side] = port;
}

struct rte_mbuf *bench_sent(const struct bench_box *b, enum sw_side side)
{
	(void)b;
	return last_sent[side];
}

static void fail(const char *what, const char *why)
{
	rte_exit(EXIT_FAILURE, "bench: %s: %s\n", what, why);
}

static void adopt_policy(struct bench_box *b)
{
	uint64_t bytes;
	char error[256] = "out of memory";
	struct sw_policy *policy;
	void *snapshot = large_policy_build(&b->size, &bytes);

	if (snapshot == NULL || sw_snapshot_check(snapshot, bytes, error, sizeof(error)))
		fail("policy", error);
	uint32_t links;
	const struct sw_box_config config = {
		.boot = sw_snapshot_boot(snapshot), .links = sw_snapshot_links(snapshot, &links), .link_count = 1,
		.secrets = &b->secrets, .runtime_dir = NULL, .sharded_by_nic = true,
	};
	if (sw_box_open(&config, &b->box, error, sizeof(error)))
		fail("box", error);
	if (sw_policy_build(snapshot, bytes, rte_get_tsc_hz(), &policy))
		fail("policy", "out of memory");
	free(snapshot);
	sw_box_adopt_policy(&b->box, policy);
	sw_box_new_epoch(&b->box, 1);
}

void bench_box_open(struct bench_box *b, const struct large_policy_size *size)
{
	b->size = *size;
	b->random = 88172645463325252ull;
	for (unsigned int i = 0; i < sizeof(b->secrets.master); i++)
		b->secrets.master[i] = (uint8_t)(i * 37);
	adopt_policy(b);
	b->worker = b->box.workers[0];
	for (unsigned int side = 0; side < SW_SIDES; side++) {
		make_port(b, side);
		b->worker->queues[0][side] = (struct sw_queue){.port_id = b->ports[side], .queue_id = 0};
	}
	for (uint32_t slot = 0; slot < size->services; slot++) {
		atomic_store(&b->box.shared.armed[slot], 1);
		b->worker->service_shares[slot].concurrent = SW_NONE;
		for (unsigned int i = 0; i < 4; i++)
			b->box.shared.promises[slot][i / 2][i % 2] = (struct sw_promise){
				.mss = 1460, .window_scale = 7, .sack = 1, .timestamps = 1, .known = 1,
			};
	}
	/* Frames have a pool of their own: the worker's own copies must not take theirs. */
	struct rte_mempool *pool = rte_pktmbuf_pool_create("bench_frames", BENCH_FRAMES * 2 - 1, 0, 0, 2048 + 128, SOCKET_ID_ANY);
	if (pool == NULL || rte_pktmbuf_alloc_bulk(pool, b->frames, BENCH_FRAMES))
		fail("frames", "out of memory");
}

void bench_box_close(struct bench_box *b)
{
	sw_pipeline_begin(b->worker, rte_rdtsc());
	sw_pipeline_drain(b->worker);
	for (unsigned int i = 0; i < BENCH_FRAMES; i++)
		rte_mbuf_refcnt_set(b->frames[i], 1);
	rte_mempool_free(b->frames[0]->pool);
	sw_policy_free((struct sw_policy *)(uintptr_t)atomic_load(&b->box.shared.policy));
	sw_box_close(&b->box);
}
