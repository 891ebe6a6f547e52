/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage 5: the flow of every packet of a protected service, except SYNs of clients: they need none, and most of a flood
 * is them. Three loops over the burst, each of which touches memory that the one before has asked for: the buckets, the
 * flows that may be it by their tags, and whether they are.
 */
#include "stage.h"

#include <rte_branch_prediction.h>

#include "../core/prefetch.h"

#include "../sources.h"

void sw_lookup_ask(struct sw_worker *w, struct sw_burst *b)
{
	const bool near = w->prefetch.near;
	uint32_t set = b->pending & ~b->syns;

	if (set == 0)
		return;
	w->flow_hash_burst(&w->shared->flow_key, b->packets, set, b->hashes);
	for (unsigned int i; sw_next(&set, &i);)
		sw_prefetch_to(near, sw_flow_bucket_first(&w->flows, b->hashes[i]));
}

void sw_lookup_guess(struct sw_worker *w, struct sw_burst *b)
{
	/* A copy of what is used of it: nothing that is written here could change it. */
	const struct sw_flow_table t = w->flows;
	const uint32_t all = b->pending & ~b->syns;
	const bool near = w->prefetch.near;
	uint32_t todo = all;

	for (unsigned int i; sw_next(&todo, &i);) {
		const uint64_t hash = b->hashes[i];
		const struct sw_flow_bucket *first = sw_flow_bucket_first(&t, hash);
		uint32_t flow;
		if (likely(sw_flow_guess(first, &b->hashes[i], &flow))) {
			b->flows[i] = flow;
			sw_prefetch_to(near, &t.flows[flow]);
		} else if (unlikely(first->moved != 0)) {
			sw_prefetch_to(near, sw_flow_bucket_second(&t, hash));
			b->elsewhere |= 1u << i;
		}
	}
	if (all)
		b->known = all & ~sw_find_equal(b->flows, SW_FLOW_NONE);
}

/* What stage 6 wants to know of a flow, while its line is looked at. What is denied or allowed is counted by packet. */
static inline bool is_stale(const struct sw_flow *f, uint32_t stamp)
{
	return f->checked != stamp || f->flags & (SW_FLOW_DENIED | SW_FLOW_ALLOWED);
}

/* Returns the set of those whose tag is another's. */
static inline uint32_t check_all(const struct sw_flow_table *t, struct sw_burst *b, uint32_t stamp)
{
	uint32_t wrong = 0, stale = 0, todo = b->known;

	for (unsigned int i; sw_next(&todo, &i);) {
		const struct sw_flow *f = &t->flows[b->flows[i]];
		if (unlikely(f->hash != b->hashes[i]))
			wrong |= 1u << i;
		else if (unlikely(is_stale(f, stamp)))
			stale |= 1u << i;
	}
	b->stale = stale;
	return wrong;
}

/* Both buckets, and all flows of the tag. */
static __attribute__((noinline)) void look_closely(const struct sw_flow_table *t, struct sw_burst *b, uint32_t todo,
	uint32_t stamp)
{
	b->known &= ~todo;
	for (unsigned int i; sw_next(&todo, &i);) {
		const uint32_t flow = b->flows[i] = sw_flow_find(t, b->hashes[i]);
		if (flow == SW_FLOW_NONE)
			continue;
		b->known |= 1u << i;
		b->stale |= (uint32_t)is_stale(&t->flows[flow], stamp) << i;
	}
}

void sw_stage_lookup(struct sw_worker *w, struct sw_burst *b)
{
	const uint32_t stamp = sw_source_stamp(w);

	b->changes = w->flows.changes;
	if ((b->known | b->elsewhere) == 0)
		return;
	const struct sw_flow_table t = w->flows; /* a copy, as above */
	const uint32_t again = b->elsewhere | check_all(&t, b, stamp);
	if (unlikely(again))
		look_closely(&t, b, again, stamp);
}
