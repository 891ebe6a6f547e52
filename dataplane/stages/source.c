/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage 4: what the policy says about the source of a packet from outside. A flow remembers the answer until the policy
 * or the blocks change, so that packets of established connections skip this.
 */
#include "stage.h"

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

static inline bool needs_look(const struct sw_worker *w, const struct sw_burst *b, unsigned int i, uint32_t stamp)
{
	if (b->packets[i].kind != SW_PACKET_TCP)
		return false;
	if (b->flows[i] == SW_FLOW_NONE)
		return true;
	const struct sw_flow *f = &w->flows.flows[b->flows[i]];
	/* What is denied or allowed is counted by packet. */
	return f->checked != stamp || f->flags & (SW_FLOW_DENIED | SW_FLOW_ALLOWED);
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

/* What the policy says of those in a list: the classes first, then the counters that they name. */
static void ask_for_classes(const struct sw_worker *w, const struct sw_burst *b, const uint8_t *which,
	unsigned int count)
{
	for (unsigned int k = 0; k < count; k++)
		rte_prefetch0(sw_prefix_table_class(w->policy->sources, b->classes[which[k]]));
	for (unsigned int k = 0; k < count; k++) {
		const uint32_t entry = sw_prefix_table_class(w->policy->sources, b->classes[which[k]])->entry;
		if (entry != SW_NONE)
			rte_prefetch0(&w->entries[entry]);
	}
}

void sw_stage_source(struct sw_worker *w, struct sw_burst *b)
{
	const struct sw_address *addresses[SW_BURST];
	uint32_t classes[SW_BURST];
	uint8_t which[SW_BURST];
	unsigned int n = 0;
	const uint32_t stamp = stamp_of(w);
	uint32_t todo = b->pending;

	if (b->side != SW_OUTSIDE || todo == 0)
		return;
	for (unsigned int i; sw_next(&todo, &i);) {
		if (!needs_look(w, b, i, stamp))
			continue;
		addresses[n] = &b->packets[i].client;
		which[n++] = (uint8_t)i;
	}
	if (n == 0)
		return;
	if (w->policy->have_rules)
		sw_prefix_table_lookup_burst(w->policy->sources, addresses, n, classes);
	else
		memset(classes, 0, sizeof(classes));
	/* Whoever is in a list, or has a flow that is to remember the answer. */
	unsigned int listed = 0;
	for (unsigned int k = 0; k < n; k++) {
		const uint8_t i = which[k];
		const uint32_t class = classes[k];
		b->classes[i] = class;
		which[listed] = i;
		listed += class != SW_SOURCE_CLASS_NONE || b->flows[i] != SW_FLOW_NONE;
	}
	if (listed == 0)
		return;
	ask_for_classes(w, b, which, listed);
	const uint64_t now_unix_ns = atomic_load_explicit(&w->shared->region->heartbeat_unix_ns, memory_order_relaxed);
	for (unsigned int k = 0; k < listed; k++) {
		const unsigned int i = which[k];
		const uint32_t flow = b->flows[i];
		if (flow != SW_FLOW_NONE) {
			w->flows.flows[flow].checked = stamp;
			w->flows.flows[flow].flags &= (uint16_t)~(SW_FLOW_DENIED | SW_FLOW_ALLOWED);
		}
		decide(w, b, i, sw_prefix_table_class_now(w->policy->sources, b->classes[i], now_unix_ns));
	}
}
