/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage 3: the flow of every packet of a protected service, except SYNs of clients: they need none, and most of a flood
 * is them. The keyed hash is computed for the whole burst at once, and each step touches memory that the step before has
 * asked for.
 */
#include "stage.h"

#include <rte_branch_prediction.h>
#include <rte_prefetch.h>

struct lanes {
	uint64_t words[SW_COOKIE_WORDS_MAX][SW_BURST];
	uint8_t which[SW_BURST];
	unsigned int count;
};

static inline uint64_t ports_and_vlan(const struct sw_packet *p)
{
	return (uint64_t)p->client_port << 48 | (uint64_t)p->server_port << 32 | p->vlan;
}

static void add_ipv4(struct lanes *l, const struct sw_packet *p, unsigned int i)
{
	uint32_t client, server;

	memcpy(&client, p->client.bytes + 12, 4);
	memcpy(&server, p->server.bytes + 12, 4);
	l->words[0][l->count] = (uint64_t)server << 32 | client;
	l->words[1][l->count] = ports_and_vlan(p);
	l->which[l->count++] = (uint8_t)i;
}

static void add_ipv6(struct lanes *l, const struct sw_packet *p, unsigned int i)
{
	memcpy(&l->words[0][l->count], p->client.bytes, 8);
	memcpy(&l->words[1][l->count], p->client.bytes + 8, 8);
	memcpy(&l->words[2][l->count], p->server.bytes, 8);
	memcpy(&l->words[3][l->count], p->server.bytes + 8, 8);
	l->words[4][l->count] = ports_and_vlan(p);
	l->which[l->count++] = (uint8_t)i;
}

static void hash_lanes(const struct sw_worker *w, struct sw_burst *b, const struct lanes *l, unsigned int words)
{
	uint64_t hashes[SW_BURST];

	if (l->count == 0)
		return;
	w->keys->burst(&w->shared->flow_key, l->words, words, l->count, hashes);
	for (unsigned int k = 0; k < l->count; k++) {
		b->hashes[l->which[k]] = hashes[k];
		rte_prefetch0(sw_flow_bucket_first(&w->flows, hashes[k]));
	}
}

/* The flow that may be it, by its tag alone; or the bucket where it may stand as well. */
static inline void ask_for_flow(const struct sw_flow_table *t, uint64_t hash)
{
	const struct sw_flow_bucket *first = sw_flow_bucket_first(t, hash);
	const unsigned int ways = sw_flow_ways_with(first, sw_flow_tag(hash));

	if (ways != 0)
		rte_prefetch0(&t->flows[first->flows[__builtin_ctz(ways)]]);
	else if (unlikely(first->moved != 0))
		rte_prefetch0(sw_flow_bucket_second(t, hash));
}

static void find_lanes(const struct sw_worker *w, struct sw_burst *b, const struct lanes *l)
{
	for (unsigned int k = 0; k < l->count; k++)
		ask_for_flow(&w->flows, b->hashes[l->which[k]]);
	for (unsigned int k = 0; k < l->count; k++)
		b->flows[l->which[k]] = sw_flow_find(&w->flows, b->hashes[l->which[k]]);
}

void sw_stage_lookup(struct sw_worker *w, struct sw_burst *b)
{
	struct lanes ipv4, ipv6;
	ipv4.count = ipv6.count = 0;
	b->changes = w->flows.changes;

	uint32_t todo = b->pending & ~b->syns;
	if (todo == 0)
		return;
	for (unsigned int i; sw_next(&todo, &i);) {
		const struct sw_packet *p = &b->packets[i];
		if (p->is_ipv6)
			add_ipv6(&ipv6, p, i);
		else
			add_ipv4(&ipv4, p, i);
	}
	hash_lanes(w, b, &ipv4, 2);
	hash_lanes(w, b, &ipv6, 5);
	find_lanes(w, b, &ipv4);
	find_lanes(w, b, &ipv6);
}
