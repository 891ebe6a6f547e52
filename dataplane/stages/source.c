/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage 6: what the policy says about the source of a packet from outside. SYNs, which have no flow, come before stage 3.
 * A flow remembers the answer until the policy or the blocks change, so that packets of established connections skip this.
 */
#include "stage.h"

#include <rte_branch_prediction.h>

#include "../core/prefetch.h"
#include "../core/prefix_table.h"
#include "../sources.h"

static uint8_t handshake_of(const struct sw_burst *b, unsigned int i)
{
	return b->packets[i].tcp_flags & (SW_TCP_SYN | SW_TCP_ACK | SW_TCP_RST);
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

static inline void read_slots(const struct sw_trie_root *root, const struct sw_packet *p, unsigned int count,
	uint32_t *classes, unsigned int family)
{
#pragma GCC unroll 4
	for (unsigned int i = 0; i < count; i++)
		classes[i] = *sw_trie_slot(root, &p[i].client, family);
}

/* What the trie's root says of packets of one family, in b->classes. The parser has asked for the slots. */
static inline void read_root(const struct sw_prefix_trie *trie, struct sw_burst *b, uint32_t packets, unsigned int family)
{
	const struct sw_trie_root root = trie->roots[family]; /* nothing that is written here could change it */

	for (unsigned int i, end; sw_next_run(&packets, &i, &end);)
		read_slots(&root, b->packets + i, end - i, b->classes + i, family);
}

/* The set of those in whose classes a bit is set. */
static inline uint32_t find_bit(const struct sw_burst *b, uint32_t bit)
{
	const int up = __builtin_clz(bit);
	uint32_t set = 0;

	for (unsigned int i = 0; i < SW_BURST; i += 4) {
		const __m128i four = _mm_loadu_si128((const __m128i *)(const void *)(b->classes + i));
		set |= (uint32_t)_mm_movemask_ps(_mm_castsi128_ps(_mm_slli_epi32(four, up))) << i;
	}
	return set;
}

/*
 * Of SYNs whose slots have been read, those who are worth preparing: one in a list is looked at anew. Where most are
 * undecided a list is at work, and it would be for nothing.
 */
static inline uint32_t find_worth_asking(const struct sw_burst *b, uint32_t syns, uint32_t undecided)
{
	const uint32_t unlisted = syns & sw_find_equal(b->classes, SW_SOURCE_CLASS_NONE);

	return __builtin_popcount(undecided) <= __builtin_popcount(unlisted) ? unlisted | undecided : unlisted;
}

/*
 * What the root of the trie says about the sources of `packets`, in b->classes. Most are in no list, and that is all that they
 * pay for. Of a few, `undecided`, nobody knows before the walk, whose memory is asked for: that of their limits would be
 * waited for if it was not asked for with that of the others.
 */
static void ask(struct sw_worker *w, struct sw_burst *b, uint32_t packets)
{
	const struct sw_prefix_trie *trie = &w->policy->sources->trie;
	const uint32_t ipv6 = sw_find_ipv6(b, packets);

	if (!w->policy->have_rules) {
		sw_limits_ask(w, b, packets & b->syns);
		return;
	}
	read_root(trie, b, packets & ~ipv6, SW_TRIE_IPV4);
	read_root(trie, b, packets & ipv6, SW_TRIE_IPV6);
	b->undecided = packets & find_bit(b, SW_TRIE_NODE);
	sw_prefix_trie_ask(trie, b->undecided, b->classes);
	sw_limits_ask(w, b, find_worth_asking(b, packets & b->syns, b->undecided & b->syns));
}

/* Of packets that were asked about, the set of those that are in a list: which, say b->classes. */
static uint32_t find_listed(struct sw_worker *w, struct sw_burst *b, uint32_t packets)
{
	const struct sw_prefix_trie *trie = &w->policy->sources->trie;
	const struct sw_trie_addresses clients = {&b->packets[0].client, sizeof(b->packets[0])};
	const uint32_t undecided = b->undecided, ipv6 = sw_find_ipv6(b, undecided);

	if (!w->policy->have_rules)
		return 0;
	if (undecided & ~ipv6)
		sw_prefix_trie_walk(trie, SW_TRIE_IPV4, clients, undecided & ~ipv6, b->classes);
	if (undecided & ipv6)
		sw_prefix_trie_walk(trie, SW_TRIE_IPV6, clients, undecided & ipv6, b->classes);
	const uint32_t listed = packets & ~sw_find_equal(b->classes, SW_SOURCE_CLASS_NONE);
	sw_limits_doubt(b, undecided & listed);
	return listed;
}

/* Those of a set whose service drops what it does not want. */
static uint32_t find_guarded(const struct sw_worker *w, const struct sw_burst *b, uint32_t packets)
{
	uint32_t guarded = 0;

	if (packets && b->one_server)
		return sw_service_of(w, b, (unsigned int)__builtin_ctz(packets))->mode >= SW_MODE_AUTO ? packets : 0;
	for (unsigned int i; sw_next(&packets, &i);)
		guarded |= (uint32_t)(sw_service_of(w, b, i)->mode >= SW_MODE_AUTO) << i;
	return guarded;
}

/* Counters that are yet to move. */
static inline void note_entries(struct sw_worker *w, const uint32_t *classes, unsigned int count)
{
	uint32_t *denied = w->denied + w->denied_count;

	w->denied_count += count;
#pragma GCC unroll 4
	for (unsigned int i = 0; i < count; i++) {
		const uint32_t entry = classes[i] & ~SW_SOURCE_DENIED;
		denied[i] = entry;
		sw_prefetch(&w->entries[entry]);
	}
}

void sw_sources_count_denied(struct sw_worker *w)
{
	const unsigned int count = w->denied_count;
	uint64_t *const entries = w->entries;

	w->denied_count = 0;
#pragma GCC unroll 4
	for (unsigned int i = 0; i < count; i++)
		entries[w->denied[i]]++;
}

/*
 * The plain case of a deny list, and of a flood from it: no flow, nothing but a denial. Returns the set of those. Their
 * counters, lines at random, are asked for and left until the next of these or the end of the round.
 */
static uint32_t drop_denied(struct sw_worker *w, struct sw_burst *b, uint32_t unknown)
{
	const uint32_t denied = find_guarded(w, b, unknown & find_bit(b, SW_SOURCE_DENIED));
	uint32_t set = denied;

	if (denied == 0)
		return 0;
	sw_sources_count_denied(w);
	for (unsigned int i, end; sw_next_run(&set, &i, &end);)
		note_entries(w, b->classes + i, end - i);
	sw_drop_all(b, denied, SW_DROP_DENIED);
	return denied;
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
			sw_prefetch(&w->entries[entry]);
	}
}

/* `packets`: in a list, or with a flow that is to remember the answer. */
static void decide_each(struct sw_worker *w, struct sw_burst *b, uint32_t packets)
{
	const uint64_t now_unix_ns = atomic_load_explicit(&w->shared->region->heartbeat_unix_ns, memory_order_relaxed);
	const uint32_t stamp = sw_source_stamp(w);

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

/* Packets that were asked about, with a flow or without. */
static void decide_listed(struct sw_worker *w, struct sw_burst *b, uint32_t packets)
{
	const uint32_t unanswered = packets & b->stale;
	uint32_t listed = find_listed(w, b, packets);

	if (listed)
		listed &= ~drop_denied(w, b, listed & ~b->known);
	if (listed | unanswered)
		decide_each(w, b, listed | unanswered);
}

/* Those of `packets` from outside whose sources nobody knows yet. */
static uint32_t find_in_doubt(const struct sw_burst *b, uint32_t packets)
{
	const uint32_t asking = b->side == SW_OUTSIDE ? b->pending & b->tcp & packets : 0;

	return asking & (~b->known | b->stale);
}

void sw_sources_ask(struct sw_worker *w, struct sw_burst *b)
{
	const uint32_t in_doubt = find_in_doubt(b, b->syns);

	if (in_doubt)
		ask(w, b, in_doubt);
}

void sw_sources_of_syns(struct sw_worker *w, struct sw_burst *b)
{
	const uint32_t in_doubt = find_in_doubt(b, b->syns);

	if (in_doubt)
		decide_listed(w, b, in_doubt);
}

void sw_stage_source(struct sw_worker *w, struct sw_burst *b)
{
	const uint32_t in_doubt = find_in_doubt(b, ~b->syns);

	if (in_doubt) {
		ask(w, b, in_doubt);
		decide_listed(w, b, in_doubt);
	}
}
