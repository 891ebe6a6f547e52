/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_mempool.h>

#include "../../dataplane/core/snapshot_check.h"
#include "../../dataplane/memory.h"

/*
 * Ports that take everything and keep nothing: the frames belong to the benchmark, which uses them again. No device
 * stands behind them; DPDK's table of fast-path functions is enough for rte_eth_tx_burst().
 */
static uint16_t swallow(void *queue, struct rte_mbuf **mbufs, uint16_t count)
{
	(void)queue;
	(void)mbufs;
	return count;
}

static uint16_t nothing(void *queue, struct rte_mbuf **mbufs, uint16_t count)
{
	(void)queue;
	(void)mbufs;
	(void)count;
	return 0;
}

static struct sw_queue make_port(unsigned int worker, enum sw_side side)
{
	static void *queues[1], *callbacks[1];
	const uint16_t port = (uint16_t)(RTE_MAX_ETHPORTS - 1 - worker * SW_SIDES - side);

	rte_eth_fp_ops[port] = (struct rte_eth_fp_ops){
		.rx_pkt_burst = nothing, .rxq = {queues, callbacks},
		.tx_pkt_burst = swallow, .txq = {queues, callbacks},
	};
	return (struct sw_queue){.port_id = port, .queue_id = 0};
}

/*
 * The frames belong to the benchmark, also those that the packet path drops: the pool behind them gives each out once,
 * and what is freed costs what it costs in production, up to the pool's own cache, and is forgotten behind it.
 */
struct kept {
	void *objects[BENCH_FRAMES];
	unsigned int count;
	bool all_out;
};

static int kept_make(struct rte_mempool *pool)
{
	pool->pool_data = calloc(1, sizeof(struct kept));
	return pool->pool_data ? 0 : -ENOMEM;
}

static void kept_free(struct rte_mempool *pool)
{
	free(pool->pool_data);
}

static int kept_put(struct rte_mempool *pool, void *const *objects, unsigned int count)
{
	struct kept *k = pool->pool_data;

	if (k->all_out)
		return 0;
	memcpy(k->objects + k->count, objects, count * sizeof(*objects));
	k->count += count;
	return 0;
}

static int kept_get(struct rte_mempool *pool, void **objects, unsigned int count)
{
	struct kept *k = pool->pool_data;

	if (k->all_out || count > k->count)
		return -ENOBUFS;
	k->count -= count;
	memcpy(objects, k->objects + k->count, count * sizeof(*objects));
	return 0;
}

static unsigned int kept_count(const struct rte_mempool *pool)
{
	return ((const struct kept *)pool->pool_data)->count;
}

static const struct rte_mempool_ops keeping = {
	.name = "sw_bench_keeping", .alloc = kept_make, .free = kept_free, .enqueue = kept_put, .dequeue = kept_get,
	.get_count = kept_count,
};
RTE_MEMPOOL_REGISTER_OPS(keeping);

static void fail(const char *what, const char *why)
{
	rte_exit(EXIT_FAILURE, "bench: %s: %s\n", what, why);
}

/* Tables are malloc'd (policy.c): what the allocator holds more than before is theirs. */
static uint64_t allocated(void)
{
	const struct mallinfo2 m = mallinfo2();
	return m.uordblks + m.hblkhd;
}

static void adopt_policy(struct bench_box *b)
{
	static struct sw_box box;
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
	b->box = &box;
	if (sw_box_open(&config, b->box, error, sizeof(error)))
		fail("box", error);
	const uint64_t before = allocated();
	if (sw_policy_build(snapshot, bytes, rte_get_tsc_hz(), &policy))
		fail("policy", "out of memory");
	b->policy_bytes = allocated() - before;
	if (b->size.source_syn_per_s) { /* no bucket is to refill while it is being measured */
		const struct sw_rate rate = sw_rate_make(0, b->size.source_syn_per_s, rte_get_tsc_hz());
		policy->service[0].syn_rates.intervals[0] = rate.interval;
		policy->service[0].syn_rates.tolerances[0] = rate.tolerance;
	}
	free(snapshot);
	sw_box_adopt_policy(b->box, policy);
	sw_box_new_epoch(b->box, 1);
}

/*
 * Frames have a pool of their own: the worker's own copies must not take theirs. Packed, as production's are on huge pages
 * and with AF_XDP. By default each buffer would have a page of 4 KiB for itself: all frames would then share eight lines
 * of the first cache.
 */
static struct rte_mempool *make_frames(const char *name)
{
	struct rte_pktmbuf_pool_private sizes = {.mbuf_data_room_size = SW_DATA_ROOM_BYTES};
	struct rte_mempool *pool = rte_mempool_create_empty(name, BENCH_FRAMES, sizeof(struct rte_mbuf) + SW_DATA_ROOM_BYTES,
		SW_POOL_CACHE, sizeof(sizes), SOCKET_ID_ANY, RTE_MEMPOOL_F_NO_IOVA_CONTIG);

	if (pool == NULL || rte_mempool_set_ops_byname(pool, keeping.name, NULL))
		return NULL;
	rte_pktmbuf_pool_init(pool, &sizes);
	if (rte_mempool_populate_default(pool) < 0)
		return NULL;
	rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
	return pool;
}

void bench_frames_open(struct bench_box *b, unsigned int number)
{
	char name[32];

	b->random = 88172645463325252ull + number;
	snprintf(name, sizeof(name), "bench_frames_%u", number);
	struct rte_mempool *pool = make_frames(name);
	if (pool == NULL || rte_pktmbuf_alloc_bulk(pool, b->frames, BENCH_FRAMES))
		fail("frames", "out of memory");
	((struct kept *)pool->pool_data)->all_out = true;
}

void bench_frames_close(struct bench_box *b)
{
	rte_mempool_free(b->frames[0]->pool);
}

static void take_worker(struct bench_box *b, unsigned int worker)
{
	b->worker = b->box->workers[worker];
	b->stands_since = b->stood = 0;
	for (unsigned int side = 0; side < SW_SIDES; side++)
		b->worker->queues[0][side] = make_port(worker, (enum sw_side)side);
	for (uint32_t slot = 0; slot < b->size.services; slot++)
		b->worker->service_shares[slot].concurrent = SW_NONE;
	bench_frames_open(b, worker);
}

void bench_box_open(struct bench_box *b, const struct large_policy_size *size)
{
	b->size = *size;
	for (unsigned int i = 0; i < sizeof(b->secrets.master); i++)
		b->secrets.master[i] = (uint8_t)(i * 37);
	adopt_policy(b);
	take_worker(b, 0);
	for (uint32_t slot = 0; slot < size->services; slot++) {
		atomic_store(&b->box->shared.armed[slot], 1);
		for (unsigned int i = 0; i < 4; i++)
			b->box->shared.promises[slot][i / 2][i % 2] = (struct sw_promise){
				.mss = 1460, .window_scale = 7, .sack = 1, .timestamps = 1, .known = 1,
			};
	}
}

void bench_box_use_isa(struct bench_box *b, enum sw_isa isa)
{
	sw_box_use_isa(b->box, isa);
	sw_box_new_epoch(b->box, 1); /* cookies too */
}

void bench_box_ask(struct bench_box *b, enum bench_ask ask)
{
	if (ask == BENCH_ASK_EITHER)
		return;
	b->worker->prefetch.near = ask == BENCH_ASK_FIRST;
	b->worker->prefetch.left = UINT32_MAX; /* bursts until it tries: more than any run has */
}

void bench_box_second(const struct bench_box *b, unsigned int worker, struct bench_box *second)
{
	*second = *b;
	take_worker(second, worker);
}

void bench_box_close_second(struct bench_box *second)
{
	sw_pipeline_begin(second->worker, rte_rdtsc());
	sw_pipeline_drain(second->worker);
	bench_frames_close(second);
}

void bench_box_close(struct bench_box *b)
{
	bench_box_close_second(b);
	free(b->flow_acks);
	b->flow_acks = NULL;
	sw_policy_free((struct sw_policy *)(uintptr_t)atomic_load(&b->box->shared.policy));
	sw_box_close(b->box);
}
