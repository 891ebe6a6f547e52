/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage 4: what the policy says about the source of a packet from outside. A flow remembers the answer until the policy
 * or the blocks change, so that packets of established connections skip this.
 */
#include "stage.h"

#include <rte_branch_prediction.h>
#include <rte_prefetch.h>

#include "../core/prefix_table.h"
#include "../sources.h"

/* Changes with every policy and every block. */
static uint32_t stamp_of(const struct sw_worker *w)
{
	return (uint32_t)w->policy->generation * 0x10001u + w->block_count;
}

static uint8_t handshake_of(const struct sw_burst *b, unsigned int i)
{
	return b->packets[i].tcp_flags & (SW_TCP_SYN | SW_TCP_ACK | SW_TCP_RST);
}

/* The set of those of known flows. */
static uint32_t find_known(const struct sw_burst *b)
{
	const __m128i *flows = (const __m128i *)(const void *)b->flows;
	const __m128i none = _mm_set1_epi32((int)SW_FLOW_NONE);
	uint32_t unknown = 0;

	for (unsigned int quarter = 0; quarter < 4; quarter++, flows += 2) {
		const __m128i low = _mm_cmpeq_epi32(_mm_loadu_si128(flows), none);
		const __m128i high = _mm_cmpeq_epi32(_mm_loadu_si128(flows + 1), none);
		const __m128i all = _mm_packs_epi16(_mm_packs_epi32(low, high), none);
		unknown |= ((uint32_t)_mm_movemask_epi8(all) & 0xff) << 8 * quarter;
	}
	return ~unknown;
}

/* Those of known flows that do not have their answer yet. What is denied or allowed is counted by packet. */
static uint32_t find_unanswered(const struct sw_worker *w, const struct sw_burst *b, uint32_t known)
{
	const uint32_t stamp = stamp_of(w);
	uint32_t unanswered = 0;

	for (unsigned int i; sw_next(&known, &i);) {
		const struct sw_flow *f = &w->flows.flows[b->flows[i]];
		unanswered |= (uint32_t)(f->checked != stamp || f->flags & (SW_FLOW_DENIED | SW_FLOW_ALLOWED)) << i;
	}
	return unanswered;
}

static void refuse(struct sw_worker *w, struct sw_burst *b, unsigned int i, enum sw_drop_reason reason)
{
	const uint8_t mode = sw_service_of(w, b, i)->mode;

	if (mode == SW_MODE_OFF)
		return;
	if (mode == SW_MODE_MONITOR) {
		const bool is_syn = handshake_of(b, i) == SW_TCP_SYN;
		sw_count(w, b->slots[i], SW_COUNT_WOULD_DROP);
		if (is_syn || b->flows[i] == SW_FLOW_NONE) /* counted once: the limits need not look at it */
			sw_decide(b, i, SW_FORWARD);
		if (is_syn)
			sw_count(w, b->slots[i], SW_COUNT_SYN_PASSED);
		return;
	}
	sw_drop(b, i, reason);
	if (b->flows[i] != SW_FLOW_NONE)
		w->flows.flows[b->flows[i]].flags |= SW_FLOW_DENIED;
}

static void decide(struct sw_worker *w, struct sw_burst *b, unsigned int i, const struct sw_source_class *c)
{
	const bool known = b->flows[i] != SW_FLOW_NONE;
	const uint8_t handshake = handshake_of(b, i);

	if (c->entry != SW_NONE)
		w->entries[c->entry]++;
	if (c->kind == SW_RULE_DENY) {
		refuse(w, b, i, SW_DROP_DENIED);
	} else if (c->kind == SW_RULE_BLOCK) {
		refuse(w, b, i, SW_DROP_BLOCKED);
	} else if (c->kind == SW_RULE_ALLOW) {
		sw_count(w, b->slots[i], SW_COUNT_ALLOWED);
		/* One that is known is followed all the same: it may run through the proxy, or the rule may go. */
		if (!known || handshake == SW_TCP_SYN)
			sw_decide(b, i, SW_FORWARD);
		else
			w->flows.flows[b->flows[i]].flags |= SW_FLOW_ALLOWED;
		if (handshake == SW_TCP_SYN)
			sw_count(w, b->slots[i], SW_COUNT_SYN_PASSED);
	} else if (known && sw_source_blocked(w, w->flows.flows[b->flows[i]].record)) {
		w->records[w->flows.flows[b->flows[i]].record].dropped++;
		refuse(w, b, i, SW_DROP_BLOCKED);
	}
}

/*
 * What the policy finds about the sources of `packets`, in b->classes. Returns the set of those that are in a list. Most
 * are in none, and what they pay for is a slot of the trie's root.
 */
static uint32_t find_listed(const struct sw_worker *w, struct sw_burst *b, uint32_t packets)
{
	const struct sw_prefix_trie *trie = &w->policy->sources->trie;
	const struct sw_address *addresses[SW_BURST];
	const struct sw_packet *p = b->packets;
	uint32_t on_their_way[2] = {0, 0}, listed = 0;

	for (unsigned int i = 0; i < b->count; i++, p++) {
		if (!(packets >> i & 1))
			continue;
		const unsigned int family = p->is_ipv6 ? SW_TRIE_IPV6 : SW_TRIE_IPV4;
		const uint32_t found = sw_prefix_trie_root(trie, &p->client, family);
		b->classes[i] = found;
		if (likely(found == SW_SOURCE_CLASS_NONE))
			continue;
		listed |= 1u << i;
		if (!(found & SW_TRIE_NODE))
			continue;
		sw_prefix_trie_prefetch(trie, found);
		addresses[i] = &p->client;
		on_their_way[family] |= 1u << i;
	}
	for (unsigned int family = 0; family < 2; family++) {
		uint32_t set = on_their_way[family];
		if (set == 0)
			continue;
		sw_prefix_trie_walk(trie, family, addresses, set, b->classes);
		for (unsigned int i; sw_next(&set, &i);)
			listed &= ~((uint32_t)(b->classes[i] == SW_SOURCE_CLASS_NONE) << i);
	}
	return listed;
}

/*
 * The plain case of a deny list, and of a flood from it: no flow, and nothing but a denial. Takes those out of `listed`
 * that were dropped.
 */
static void drop_denied(struct sw_worker *w, struct sw_burst *b, uint32_t *listed, uint32_t known)
{
	uint32_t set = *listed & ~known, denied = 0, service = SW_NONE;
	bool guarded = false;

	for (unsigned int i; sw_next(&set, &i);) {
		const uint32_t class = b->classes[i];
		if (unlikely(b->services[i] != service)) {
			service = b->services[i];
			guarded = sw_service_of(w, b, i)->mode >= SW_MODE_AUTO;
		}
		if (!(class & SW_SOURCE_DENIED) || !guarded)
			continue;
		w->entries[class & ~SW_SOURCE_DENIED]++;
		denied |= 1u << i;
	}
	if (denied)
		sw_drop_all(b, denied, SW_DROP_DENIED);
	*listed &= ~denied;
}

/* The classes first, then the counters that they name. */
static void ask_for_classes(const struct sw_worker *w, const struct sw_burst *b, uint32_t listed)
{
	uint32_t set = listed;

	for (unsigned int i; sw_next(&set, &i);)
		sw_prefix_table_prefetch(w->policy->sources, b->classes[i]);
	for (unsigned int i; sw_next(&listed, &i);) {
		const uint32_t entry = sw_prefix_table_entry(w->policy->sources, b->classes[i]);
		if (entry != SW_NONE)
			rte_prefetch0(&w->entries[entry]);
	}
}

/* `packets`: in a list, or with a flow that is to remember the answer. */
static void decide_each(struct sw_worker *w, struct sw_burst *b, uint32_t packets)
{
	const uint64_t now_unix_ns = atomic_load_explicit(&w->shared->region->heartbeat_unix_ns, memory_order_relaxed);
	const uint32_t stamp = stamp_of(w);

	ask_for_classes(w, b, packets);
	for (unsigned int i; sw_next(&packets, &i);) {
		const uint32_t flow = b->flows[i];
		if (flow != SW_FLOW_NONE) {
			w->flows.flows[flow].checked = stamp;
			w->flows.flows[flow].flags &= (uint16_t)~(SW_FLOW_DENIED | SW_FLOW_ALLOWED);
		}
		const struct sw_source_class class = sw_prefix_table_class_now(w->policy->sources, b->classes[i], now_unix_ns);
		if (b->classes[i] & SW_SOURCE_DENIED)
			b->classes[i] = SW_SOURCE_CLASS_NONE; /* for the stages behind: it has no group */
		decide(w, b, i, &class);
	}
}

void sw_stage_source(struct sw_worker *w, struct sw_burst *b)
{
	const uint32_t asking = b->pending & b->tcp;
	uint32_t known = 0, listed = 0;

	if (b->side != SW_OUTSIDE || asking == 0)
		return;
	if (asking & ~b->syns) /* which have no flows */
		known = asking & find_known(b);
	const uint32_t unanswered = find_unanswered(w, b, known), packets = (asking & ~known) | unanswered;
	if (packets && w->policy->have_rules)
		listed = find_listed(w, b, packets);
	if (listed)
		drop_denied(w, b, &listed, known);
	if (listed | unanswered)
		decide_each(w, b, listed | unanswered);
}
