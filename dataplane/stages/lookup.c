/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage 3: the flow of every packet of a protected service, except SYNs of clients: they need none, and most of a flood
 * is them. Three loops over the burst, each of which touches memory that the one before has asked for: the buckets, the
 * flows that may be it by their tags, and whether they are.
 */
#include "stage.h"

#include <rte_branch_prediction.h>

#include "../core/prefetch.h"

static inline void hash_all(const struct sw_flow_table *t, const struct sw_flow_key *key, struct sw_burst *b,
	uint32_t todo)
{
	for (unsigned int i; sw_next(&todo, &i);) {
		const uint64_t hash = sw_flow_hash(key, &b->packets[i]);
		b->hashes[i] = hash;
		sw_prefetch(sw_flow_bucket_first(t, hash));
	}
}

/* Returns the set of those that may stand in their second bucket. */
static inline uint32_t guess_all(const struct sw_flow_table *t, struct sw_burst *b, uint32_t todo)
{
	uint32_t elsewhere = 0;

	for (unsigned int i; sw_next(&todo, &i);) {
		const uint64_t hash = b->hashes[i];
		const struct sw_flow_bucket *first = sw_flow_bucket_first(t, hash);
		uint32_t flow;
		if (likely(sw_flow_guess(first, hash, &flow))) {
			b->flows[i] = flow;
			sw_prefetch(&t->flows[flow]);
		} else if (unlikely(first->moved != 0)) {
			sw_prefetch(sw_flow_bucket_second(t, hash));
			elsewhere |= 1u << i;
		}
	}
	return elsewhere;
}

/* Returns the set of those whose tag is another's. */
static inline uint32_t check_all(const struct sw_flow_table *t, const struct sw_burst *b, uint32_t todo)
{
	uint32_t wrong = 0;

	for (unsigned int i; sw_next(&todo, &i);)
		if (b->flows[i] != SW_FLOW_NONE && unlikely(t->flows[b->flows[i]].hash != b->hashes[i]))
			wrong |= 1u << i;
	return wrong;
}

void sw_lookup_ask(struct sw_worker *w, struct sw_burst *b)
{
	const struct sw_flow_table t = w->flows; /* copies, as below */
	const struct sw_flow_key key = w->shared->flow_key;

	hash_all(&t, &key, b, b->pending & ~b->syns);
}

void sw_stage_lookup(struct sw_worker *w, struct sw_burst *b)
{
	const uint32_t todo = b->pending & ~b->syns;

	b->changes = w->flows.changes;
	if (todo == 0)
		return;
	/* Of what is used of it: nothing that is written here could change it. */
	const struct sw_flow_table t = w->flows;
	uint32_t again = guess_all(&t, b, todo);
	again |= check_all(&t, b, todo);
	for (unsigned int i; sw_next(&again, &i);)
		b->flows[i] = sw_flow_find(&t, b->hashes[i]);
}
