/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker_state.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_mempool.h>
#include <rte_rcu_qsbr.h>
#include <rte_vect.h>

#include "admission.h"
#include "idle.h"
#include "memory.h"
#include "stages/challenge_parts.h"

/* ---- memory: one private mapping per worker, carved up ----------------------------------------------------------- */

enum { HUGE_PAGE = 2 << 20 };

/* base NULL: only counts. */
struct arena {
	char *base;
	size_t used;
};

static void *carve(struct arena *a, size_t bytes)
{
	void *p = a->base ? a->base + a->used : NULL;
	a->used += (bytes + SW_CACHE_LINE - 1) / SW_CACHE_LINE * SW_CACHE_LINE;
	return p;
}

/* The worker itself and its arrays, in one place for both counting and making. */
static struct sw_worker *place(struct arena *a, const struct sw_boot *boot, uint32_t links)
{
	struct sw_worker scratch, *w = carve(a, sizeof(*w));
	struct sw_worker *to = w ? w : &scratch;
	const uint32_t records = sw_per_worker(boot->source_records, boot->workers);
	const uint32_t held = sw_per_worker(boot->held_pkts, boot->workers);
	to->transmit = carve(a, links * SW_SIDES * sizeof(*to->transmit));
	to->free_records = carve(a, records * sizeof(*to->free_records));
	to->service_budgets = carve(a, boot->services_max * sizeof(*to->service_budgets));
	to->group_budgets = carve(a, boot->groups_max * sizeof(*to->group_budgets));
	to->service_shares = carve(a, boot->services_max * sizeof(*to->service_shares));
	to->group_shares = carve(a, boot->groups_max * sizeof(*to->group_shares));
	to->held = carve(a, held * sizeof(*to->held));
	to->challenge_keys = carve(a, SW_CHALLENGES * sizeof(*to->challenge_keys));
	to->challenges = carve(a, SW_CHALLENGES * sizeof(*to->challenges));
	to->bursts = carve(a, SW_BURSTS_UNDER_WAY * sizeof(*to->bursts));
	to->answer_memos = carve(a, 2 * SW_ANSWER_MEMOS * sizeof(*to->answer_memos));
	uint64_t mask;
	const size_t limiter =
		sw_limiter_bytes(sw_per_worker(boot->limiter_entries, boot->workers), &mask);
	to->limiter.sets = carve(a, limiter);
	to->limiter.mask = mask;
	return w;
}

uint64_t sw_worker_state_bytes(const struct sw_boot *boot, uint32_t links)
{
	struct arena counting = {NULL, 0};
	place(&counting, boot, links);
	return counting.used + HUGE_PAGE; /* to lie on whole ones */
}

static size_t mapped_bytes(const struct sw_boot *boot, uint32_t links)
{
	return sw_worker_state_bytes(boot, links) & ~(uint64_t)(HUGE_PAGE - 1);
}

/* Whole huge pages from beginning to end: a table whose last part lay on small ones was half as fast. */
static void *map_huge_pages(size_t bytes)
{
	char *all = mmap(NULL, bytes + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (all == MAP_FAILED)
		return NULL;
	const size_t before = -(uintptr_t)all & (HUGE_PAGE - 1);
	if (before)
		munmap(all, before);
	munmap(all + before + bytes, HUGE_PAGE - before);
	(void)madvise(all + before, bytes, MADV_HUGEPAGE);
	sw_populate(all + before, bytes);
	return all + before;
}

static struct sw_worker *worker_memory(const struct sw_boot *boot, uint32_t links)
{
	struct arena a = {map_huge_pages(mapped_bytes(boot, links)), 0};

	return a.base ? place(&a, boot, links) : NULL;
}

/* ---- a worker's parts -------------------------------------------------------------------------------------------- */

static struct rte_ring *make_ring(const char *kind, unsigned int from, unsigned int to, unsigned int element_bytes,
	unsigned int count)
{
	char name[64]; /* the ring itself refuses one that is too long */
	snprintf(name, sizeof(name), "sw_%s_%u_%u", kind, from, to);
	return rte_ring_create_elem(name, element_bytes, count, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
}

/*
 * rte_pktmbuf_pool_create(), but with the buffers packed without gaps where no device asks for their addresses. The
 * mempool's default is to let no buffer cross a page (of 4 KiB without huge pages). Then all frames of a burst share eight
 * lines of the first cache; and net_af_xdp registers count * size bytes from the first buffer on: those at the end lie
 * outside, and the kernel drops what they carry. A packed pool has no addresses for devices, so it is no pool for PCI.
 */
static int make_pool(struct sw_box *box, struct sw_worker *w, bool packed)
{
	char name[RTE_MEMPOOL_NAMESIZE];
	struct rte_pktmbuf_pool_private sizes = {.mbuf_data_room_size = SW_DATA_ROOM_BYTES};
	snprintf(name, sizeof(name), "sw_pool_%u", w->id);
	const unsigned int socket = rte_lcore_is_enabled(w->lcore) ? rte_lcore_to_socket_id(w->lcore) : 0;
	struct rte_mempool *pool = rte_mempool_create_empty(name, box->boot.mbufs,
		sizeof(struct rte_mbuf) + SW_DATA_ROOM_BYTES, SW_POOL_CACHE, sizeof(sizes), (int)socket,
		packed ? RTE_MEMPOOL_F_NO_IOVA_CONTIG : 0);
	if (!pool)
		return -rte_errno;
	int result = rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), NULL);
	if (result == 0) {
		rte_pktmbuf_pool_init(pool, &sizes);
		result = rte_mempool_populate_default(pool);
	}
	if (result < 0) {
		rte_mempool_free(pool);
		return result;
	}
	rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
	w->pool = pool;
	return 0;
}

static void derive_limiter_keys(struct sw_limiter_table *t, const struct sw_secrets *secrets)
{
	for (unsigned int i = 0; i < SW_LIMITER_KEYS; i++) {
		struct sw_siphash_key key;
		sw_derive_table_key(secrets->master, SW_TABLE_LIMITER + i, &key);
		t->key[i][0] = key.k0;
		t->key[i][1] = key.k1;
	}
}

static void derive_flow_key(struct sw_flow_key *out, const struct sw_secrets *secrets)
{
	for (unsigned int i = 0; i < SW_FLOW_ROUND_KEYS; i++) {
		struct sw_siphash_key key;
		sw_derive_table_key(secrets->master, SW_TABLE_FLOWS + i, &key);
		memcpy(out->rounds[i], &key, sizeof(out->rounds[i]));
	}
}

static void init_tables(struct sw_box *box, struct sw_worker *w)
{
	const struct sw_boot *boot = &box->boot;
	const struct sw_flows_header *flows = box->flows_file.base;
	char *slice = (char *)box->flows_file.base + flows->slice_offset + w->id * flows->slice_stride;
	sw_populate(slice, flows->slice_stride);
	sw_flow_table_init(&w->flows, slice, flows->flows_per_worker);
	derive_limiter_keys(&w->limiter, box->secrets);
	w->records = sw_region_sources_rw(box->shared.region, w->id);
	sw_populate(w->records, box->shared.region->source_stride);
	w->record_count = sw_per_worker(boot->source_records, boot->workers);
	w->free_record_count = w->record_count;
	for (uint32_t i = 0; i < w->record_count; i++)
		w->free_records[i] = w->record_count - 1 - i; /* a stack: index 0 is taken first */
	w->next_record_id = 1;

	w->held_count = sw_per_worker(boot->held_pkts, boot->workers);
	for (uint32_t i = 0; i < w->held_count; i++)
		w->held[i] = (struct sw_held){.next = i + 1 < w->held_count ? i + 1 : SW_FLOW_NONE, .flow = SW_FLOW_NONE};
	w->free_held = w->held_count ? 0 : SW_FLOW_NONE;

	for (uint32_t i = 0; i < boot->services_max; i++)
		w->service_shares[i].concurrent = SW_NONE;
	for (uint32_t i = 0; i < boot->groups_max; i++)
		w->group_shares[i].concurrent = SW_NONE;
}

static void point_at_counters(struct sw_worker *w, struct sw_region *region)
{
	w->counters = sw_region_worker_rw(region, w->id);
	sw_populate(w->counters, region->worker_stride);
	w->services = (struct sw_counters *)(w->counters + 1);
	w->entries = (uint64_t *)(w->services + region->services_max);
	w->groups = (struct sw_group_counters *)(w->entries + region->entries_max);
}

static int make_worker(struct sw_box *box, unsigned int id, const struct sw_box_config *c)
{
	struct sw_worker *w = worker_memory(&box->boot, box->link_count);
	if (!w)
		return -ENOMEM;
	box->workers[id] = w;
	w->id = id;
	w->lcore = id + 1; /* eal.c maps lcore i + 1 to the core of worker i; lcore 0 is the main thread's */
	w->shared = &box->shared;
	w->idle = &box->idles[id];
	w->idles = box->idles;
	sw_prefetch_choice_init(&w->prefetch);
	memset(w->port_ends, 0xff, sizeof(w->port_ends));
	memset(w->queues, 0xff, sizeof(w->queues)); /* SW_NO_QUEUE */
	memset(w->syn_queues, 0xff, sizeof(w->syn_queues));
	init_tables(box, w);
	point_at_counters(w, box->shared.region);
	w->events = make_ring("event", id, id, sizeof(struct sw_event), SW_EVENT_RING);
	w->mail = make_ring("mail", id, id, sizeof(struct sw_mail *), SW_MAIL_RING);
	if (!w->events || !w->mail)
		return -rte_errno;
	return c->without_pools ? 0 : make_pool(box, w, c->packed_pools);
}

/* On the worker's own CPU, so that its memory comes from there. */
static int make_worker_at_home(struct sw_box *box, unsigned int id, const struct sw_box_config *c)
{
	cpu_set_t before;
	const bool moves = rte_lcore_is_enabled(id + 1) && sched_getaffinity(0, sizeof(before), &before) == 0;
	if (moves) {
		const cpu_set_t home = rte_lcore_cpuset(id + 1);
		(void)sched_setaffinity(0, sizeof(home), &home);
	}
	const int result = make_worker(box, id, c);
	if (moves)
		(void)sched_setaffinity(0, sizeof(before), &before);
	return result;
}

static int make_handover(struct sw_box *box)
{
	for (unsigned int from = 0; from < box->boot.workers; from++) {
		for (unsigned int to = 0; to < box->boot.workers; to++) {
			if (from == to)
				continue;
			struct rte_ring *r = make_ring("hand", from, to, sizeof(struct rte_mbuf *), SW_HANDOVER_RING);
			if (!r)
				return -rte_errno;
			box->workers[from]->handover[to] = r;
			box->workers[to]->handed[from] = r;
		}
	}
	return 0;
}

/* ---- what they share --------------------------------------------------------------------------------------------- */

static int map_files(struct sw_box *box, const struct sw_box_config *c, char *error, size_t error_bytes)
{
	const uint32_t per_worker = sw_per_worker(c->boot->flows, c->boot->workers);
	const uint64_t stride = (sw_flow_table_bytes(per_worker) + 4095) / 4096 * 4096;
	int result = sw_mapped_file_make(c->runtime_dir, SW_REGION_NAME, c->boot->instance,
		sw_region_bytes(c->boot, c->link_count), 0640, &box->region_file, error, error_bytes);
	if (result)
		return result;
	sw_region_format(box->region_file.base, c->boot, c->links, c->link_count, rte_get_tsc_hz());
	result = sw_mapped_file_make(c->runtime_dir, SW_FLOWS_NAME, c->boot->instance, 4096 + c->boot->workers * stride,
		0600, &box->flows_file, error, error_bytes);
	if (result)
		return result;
	static const struct sw_packet known; /* zeros */
	*(struct sw_flows_header *)box->flows_file.base = (struct sw_flows_header){
		.magic = SW_FLOWS_MAGIC,
		.version = SW_FLOWS_VERSION,
		.header_bytes = sizeof(struct sw_flows_header),
		.total_bytes = box->flows_file.bytes,
		.flow_bytes = sizeof(struct sw_flow),
		.setup_bytes = sizeof(struct sw_flow_setup),
		.bucket_bytes = sizeof(struct sw_flow_bucket),
		.workers = c->boot->workers,
		.flows_per_worker = per_worker,
		.pid = ((struct sw_region *)box->region_file.base)->pid,
		.slice_offset = 4096,
		.slice_stride = stride,
		.tsc_hz = rte_get_tsc_hz(),
		.key_check = sw_flow_hash(&box->shared.flow_key, &known),
	};
	return 0;
}

static int make_shared(struct sw_box *box, const struct sw_box_config *c)
{
	struct sw_shared *s = &box->shared;
	struct sw_siphash_key shard;
	const size_t services = c->boot->services_max;
	derive_flow_key(&s->flow_key, c->secrets);
	sw_derive_table_key(c->secrets->master, SW_TABLE_SHARD, &shard);
	s->shard_key = shard.k0;
	s->workers = c->boot->workers;
	s->links = c->link_count;
	s->sharded_by_nic = c->sharded_by_nic || c->boot->workers == 1;
	s->tsc_hz = rte_get_tsc_hz();
	s->start_tsc = rte_rdtsc();
	s->armed = calloc(services + SW_CACHE_LINE, sizeof(*s->armed));
	s->accept_until_tsc = calloc(services + 8, sizeof(*s->accept_until_tsc));
	s->promises = calloc(services, sizeof(*s->promises));
	box->keys = calloc(2, sizeof(*box->keys));
	box->idles = aligned_alloc(SW_CACHE_LINE, c->boot->workers * sizeof(*box->idles));
	const size_t rcu_bytes = rte_rcu_qsbr_get_memsize(c->boot->workers);
	s->rcu = aligned_alloc(SW_CACHE_LINE, (rcu_bytes + SW_CACHE_LINE - 1) / SW_CACHE_LINE * SW_CACHE_LINE);
	if (!s->armed || !s->accept_until_tsc || !s->promises || !box->keys || !box->idles || !s->rcu)
		return -ENOMEM;
	memset(box->idles, 0, c->boot->workers * sizeof(*box->idles));
	if (rte_rcu_qsbr_init(s->rcu, c->boot->workers))
		return -rte_errno;
	for (uint32_t i = 0; i < c->boot->workers; i++) {
		const int result = sw_idle_open(&box->idles[i], c->boot->idle_sleep_us);
		if (result)
			return result;
	}
	return 0;
}

void sw_box_use_isa(struct sw_box *box, enum sw_isa isa)
{
	box->isa = isa;
	box->siphash_burst = sw_siphash_burst_for(isa);
	snprintf(box->shared.region->isa, sizeof(box->shared.region->isa), "%s", sw_isa_name(isa));
	for (unsigned int i = 0; i < box->boot.workers; i++) {
		struct sw_worker *w = box->workers[i];
		w->parse = sw_parse_for(isa);
		w->admission = sw_admission_loops_for(isa);
		w->challenge = sw_challenge_for(isa);
		w->flow_hash_burst = sw_flow_hash_burst_for(isa);
	}
}

int sw_box_open(const struct sw_box_config *config, struct sw_box *box, char *error, size_t error_bytes)
{
	*box = (struct sw_box){.boot = *config->boot, .link_count = config->link_count, .secrets = config->secrets};
	if (error_bytes)
		error[0] = '\0';
	int result = make_shared(box, config);
	if (result == 0)
		result = map_files(box, config, error, error_bytes);
	if (result)
		goto fail;
	box->shared.region = box->region_file.base;
	for (unsigned int i = 0; i < config->boot->workers && result == 0; i++)
		result = make_worker_at_home(box, i, config);
	sw_populate(box->region_file.base, box->region_file.bytes); /* what is nobody's */
	if (result == 0 && !box->shared.sharded_by_nic)
		result = make_handover(box);
	if (result)
		goto fail;
	/* DPDK's own limit (EAL option --force-max-simd-bitwidth) is left at its default of 256 and not meant for us. */
	sw_box_use_isa(box, sw_isa_best(SW_ISA_AVX512));
	return 0;
fail:
	if (error_bytes && !error[0])
		snprintf(error, error_bytes, "cannot make the workers: %s", strerror(-result));
	sw_box_close(box);
	return result;
}

static void close_worker(struct sw_box *box, struct sw_worker *w)
{
	rte_ring_free(w->events);
	rte_ring_free(w->mail);
	for (unsigned int i = 0; i < box->boot.workers; i++)
		rte_ring_free(w->handover[i]);
	rte_mempool_free(w->pool);
	munmap(w, mapped_bytes(&box->boot, box->link_count));
}

void sw_box_close(struct sw_box *box)
{
	struct sw_shared *s = &box->shared;
	for (unsigned int i = 0; i < box->boot.workers; i++) {
		if (box->workers[i])
			close_worker(box, box->workers[i]);
		if (box->idles)
			sw_idle_close(&box->idles[i]);
	}
	sw_mapped_file_close(&box->region_file, box->region_file.making[0] != '\0');
	sw_mapped_file_close(&box->flows_file, true);
	if (box->keys) {
		sw_cookie_wipe_keys(&box->keys[0]);
		sw_cookie_wipe_keys(&box->keys[1]);
	}
	free(box->keys);
	free(box->idles);
	free(s->rcu);
	free(s->promises);
	free((void *)s->accept_until_tsc);
	free((void *)s->armed);
	memset(box, 0, sizeof(*box));
}

const struct sw_policy *sw_box_adopt_policy(struct sw_box *box, const struct sw_policy *policy)
{
	const struct sw_policy *before =
		atomic_exchange_explicit(&box->shared.policy, policy, memory_order_acq_rel); /* pairs with begin's acquire */
	atomic_store_explicit(&box->shared.region->generation, policy->generation, memory_order_release);
	return before;
}

void sw_box_new_epoch(struct sw_box *box, uint32_t epoch)
{
	const struct sw_cookie_keys *in_force = atomic_load_explicit(&box->shared.cookie_keys, memory_order_relaxed);
	struct sw_cookie_keys *resting = in_force == &box->keys[0] ? &box->keys[1] : &box->keys[0];
	sw_cookie_derive_keys(box->secrets->master, epoch, box->siphash_burst, resting);
	atomic_store_explicit(&box->shared.cookie_keys, resting, memory_order_release); /* pairs with begin's acquire */
}
