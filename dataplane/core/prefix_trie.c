/* SPDX-License-Identifier: BSD-3-Clause */
#include "prefix_trie.h"

#include <errno.h>
#include <stdlib.h>

#include "allocator.h"
#include "prefetch.h"

enum { SLOTS = 1 << SW_TRIE_STRIDE, LINE = 64 };

/* ---- lookup of a burst ------------------------------------------------------------------------------------------ */

/* Addresses on their way, by index: they stand at the same depth, and what their values name are nodes. */
struct walk {
	uint8_t lanes[SW_TRIE_LANES];
	unsigned int count;
	uint8_t late[SW_TRIE_LANES]; /* at a leaf outside its node: prefetched, and read when all have come to their end */
	unsigned int late_count;
};

/* What sw_trie_step() asks for. */
static inline uint64_t key_at(struct sw_trie_addresses addresses, unsigned int lane, unsigned int depth)
{
	const unsigned int from = depth / 8 < 8 ? depth / 8 : 8;
	uint64_t bits;

	_Static_assert(SW_TRIE_SINGLE_BITS <= 64 - 7, "that many are there, wherever in a byte they begin");
	memcpy(&bits, (const uint8_t *)addresses.first + lane * addresses.distance + from, 8);
	return __builtin_bswap64(bits) << (depth - from * 8);
}

/* sw_trie_step() for one lane. True: it goes on, at what its value names. */
static inline bool step(const struct sw_prefix_trie *trie, struct walk *w, unsigned int lane, uint64_t key,
    uint32_t *value)
{
	const struct sw_trie_node *node = &trie->nodes[*value & ~SW_TRIE_NODE];

	if (node->child_base & SW_TRIE_SINGLE) {
		*value = sw_trie_single(node, key);
		return false;
	}
	const unsigned int shift = (unsigned int)(~key >> 58);
	const uint64_t children = node->children << shift;
	if (children >> 63) {
		*value = node->child_base + (uint32_t)__builtin_popcountll(children) - 1;
		sw_prefetch(&trie->nodes[*value & ~SW_TRIE_NODE]);
		return true;
	}
	const unsigned int run = (unsigned int)__builtin_popcountll(node->runs << shift) - 1;
	if (!(node->child_base & SW_TRIE_OUTSIDE)) {
		*value = node->values[run];
		return false;
	}
	*value = node->values[0] + run;
	sw_prefetch(&trie->leaves[*value]);
	w->late[w->late_count++] = (uint8_t)lane;
	return false;
}

/* The first step, which for most is the last. */
static inline void begin(const struct sw_prefix_trie *trie, struct walk *w, struct sw_trie_addresses addresses,
    uint32_t set, uint32_t *values, unsigned int depth)
{
	for (; set; set &= set - 1) {
		const unsigned int lane = (unsigned int)__builtin_ctz(set);
		if (step(trie, w, lane, key_at(addresses, lane, depth), &values[lane]))
			w->lanes[w->count++] = (uint8_t)lane;
	}
}

/* The same for those that are on their way. Those that go on move up to the front. */
static inline void go_on(const struct sw_prefix_trie *trie, struct walk *w, struct sw_trie_addresses addresses,
    uint32_t *values, unsigned int depth)
{
	unsigned int left = 0;

	for (unsigned int k = 0; k < w->count; k++) {
		const uint8_t lane = w->lanes[k];
		if (step(trie, w, lane, key_at(addresses, lane, depth), &values[lane]))
			w->lanes[left++] = lane;
	}
	w->count = left;
}

void sw_prefix_trie_walk(const struct sw_prefix_trie *trie, unsigned int family, struct sw_trie_addresses addresses,
    uint32_t set, uint32_t *values)
{
	unsigned int depth = trie->roots[family].bits + (family == SW_TRIE_IPV4 ? SW_IPV4_MAPPED_BITS : 0);
	const struct sw_prefix_trie t = *trie; /* a copy: nothing that is written here could change it */
	struct walk w;

	w.count = w.late_count = 0;
	begin(&t, &w, addresses, set, values, depth);
	while (w.count)
		go_on(&t, &w, addresses, values, depth += SW_TRIE_STRIDE);
	for (unsigned int k = 0; k < w.late_count; k++)
		values[w.late[k]] = t.leaves[values[w.late[k]]];
}

/* Most addresses are in no list, so what each pays for is its slot of the root alone. */
static void lookup_lanes(const struct sw_prefix_trie *trie, const struct sw_address *const *addresses,
    unsigned int count, uint32_t *values)
{
	const uint32_t *slots[SW_TRIE_LANES];
	struct sw_address copies[SW_TRIE_LANES];
	uint32_t on_their_way[2] = {0, 0}, ipv4 = 0;

	for (unsigned int i = 0; i < count; i++) {
		const unsigned int family = sw_address_is_ipv4(addresses[i]) ? SW_TRIE_IPV4 : SW_TRIE_IPV6;
		ipv4 |= (uint32_t)(family == SW_TRIE_IPV4) << i;
		slots[i] = sw_trie_slot(&trie->roots[family], addresses[i], family);
		sw_prefetch(slots[i]);
	}
	for (unsigned int i = 0; i < count; i++) {
		values[i] = *slots[i];
		if (!(values[i] & SW_TRIE_NODE))
			continue;
		copies[i] = *addresses[i];
		on_their_way[ipv4 >> i & 1 ? SW_TRIE_IPV4 : SW_TRIE_IPV6] |= 1u << i;
	}
	sw_prefix_trie_ask(trie, on_their_way[0] | on_their_way[1], values);
	for (unsigned int family = 0; family < 2; family++)
		if (on_their_way[family])
			sw_prefix_trie_walk(trie, family, (struct sw_trie_addresses){copies, sizeof(copies[0])},
			    on_their_way[family], values);
}

void sw_prefix_trie_lookup_burst(const struct sw_prefix_trie *trie, const struct sw_address *const *addresses,
    unsigned int count, uint32_t *values_out)
{
	if (trie->roots[SW_TRIE_IPV4].empty && trie->roots[SW_TRIE_IPV6].empty) {
		memset(values_out, 0, count * sizeof(*values_out));
		return;
	}
	if (count == 1) {
		values_out[0] = sw_prefix_trie_lookup(trie, addresses[0]);
		return;
	}
	for (; count > SW_TRIE_LANES; count -= SW_TRIE_LANES, addresses += SW_TRIE_LANES, values_out += SW_TRIE_LANES)
		lookup_lanes(trie, addresses, SW_TRIE_LANES, values_out);
	lookup_lanes(trie, addresses, count, values_out);
}

/* ---- building --------------------------------------------------------------------------------------------------- */

struct builder {
	const struct sw_trie_prefix *prefixes;
	unsigned int offset; /* bits before the key begins: 96 for IPv4 */
	struct sw_trie_node *nodes;
	size_t node_count, node_room;
	uint32_t *leaves;
	size_t leaf_count, leaf_room;
};

/* Prefixes [first, end) lie below one slot, which has value `value` where none of them holds. */
struct branch {
	uint32_t first, end;
	uint32_t value;
};

static int reserve(void **array, size_t *room, size_t needed, size_t element_bytes)
{
	if (needed <= *room)
		return 0;
	const size_t larger = needed > *room * 2 ? needed + 64 : *room * 2;
	void *moved = realloc(*array, larger * element_bytes);
	if (!moved)
		return -ENOMEM;
	*array = moved;
	*room = larger;
	return 0;
}

/* `count` (1 to 24) bits of the prefix's address, `depth` bits behind the start of the key; beyond the end zeros. */
static uint32_t prefix_bits(const struct builder *b, uint32_t index, unsigned int depth, unsigned int count)
{
	const uint8_t *bytes = b->prefixes[index].prefix.address.bytes;
	const unsigned int from = b->offset + depth;
	uint32_t window = 0;
	for (unsigned int i = from / 8; i < from / 8 + 4; i++)
		window = window << 8 | (i < 16 ? bytes[i] : 0);
	return window << (from % 8) >> (32 - count);
}

static unsigned int prefix_length(const struct builder *b, uint32_t index)
{
	return b->prefixes[index].prefix.length - b->offset;
}

/*
 * Shares the prefixes of `branch`, all longer than `depth`, out to the 1 << bits slots at that depth: in order, so
 * that a longer prefix overwrites what a shorter one left. `visit` takes each slot that has prefixes longer still.
 */
static int fill_slots(struct builder *b, const struct branch *branch, unsigned int depth, unsigned int bits,
    uint32_t *values, int (*visit)(struct builder *b, uint32_t slot, const struct branch *child, void *context),
    void *context)
{
	for (uint32_t i = branch->first; i < branch->end;) {
		const uint32_t slot = prefix_bits(b, i, depth, bits);
		const unsigned int length = prefix_length(b, i);
		if (length <= depth + bits) {
			const uint32_t covered = 1u << (depth + bits - length);
			for (uint32_t s = slot; s < slot + covered; s++)
				values[s] = b->prefixes[i].value;
			i++;
			continue;
		}
		struct branch child = {.first = i, .end = i, .value = values[slot]};
		while (child.end < branch->end && prefix_bits(b, child.end, depth, bits) == slot)
			child.end++;
		i = child.end;
		const int error = visit(b, slot, &child, context);
		if (error)
			return error;
	}
	return 0;
}

struct node_draft {
	uint32_t values[SLOTS];
	struct branch children[SLOTS];
	uint64_t has_child;
};

static int note_child(struct builder *b, uint32_t slot, const struct branch *child, void *context)
{
	struct node_draft *draft = context;
	(void)b;
	draft->children[slot] = *child;
	draft->has_child |= 1ull << slot;
	return 0;
}

/* Packs the leaves of `draft` into `node`. */
static int store_leaves(struct builder *b, const struct node_draft *draft, struct sw_trie_node *node)
{
	uint32_t runs[SLOTS];
	unsigned int count = 0;
	for (unsigned int slot = 0; slot < SLOTS; slot++) {
		if (draft->has_child & 1ull << slot || (count && runs[count - 1] == draft->values[slot]))
			continue;
		node->runs |= count ? 1ull << slot : 1; /* the first may begin early: only children lie before it */
		runs[count++] = draft->values[slot];
	}
	node->runs |= 1;
	if (count <= SW_TRIE_INLINE_RUNS) {
		memcpy(node->values, runs, count * sizeof(runs[0]));
		return 0;
	}
	if (reserve((void **)&b->leaves, &b->leaf_room, b->leaf_count + count, sizeof(*b->leaves)))
		return -ENOMEM;
	node->child_base |= SW_TRIE_OUTSIDE;
	node->values[0] = (uint32_t)b->leaf_count;
	memcpy(b->leaves + b->leaf_count, runs, count * sizeof(runs[0]));
	b->leaf_count += count;
	return 0;
}

/* For a prefix that is alone, and has not too many bits left. */
static struct sw_trie_node single_node(const struct builder *b, const struct branch *branch, unsigned int depth)
{
	const struct sw_prefix *prefix = &b->prefixes[branch->first].prefix;
	const unsigned int left = prefix_length(b, branch->first) - depth; /* 1 at least */
	uint64_t bits = 0;

	for (unsigned int i = 0; i < left; i++) {
		const unsigned int at = b->offset + depth + i;
		bits |= (uint64_t)(prefix->address.bytes[at / 8] >> (7 - at % 8) & 1) << (63 - i);
	}
	return (struct sw_trie_node){.children = bits, .runs = ~0ull << (64 - left), .child_base = SW_TRIE_SINGLE,
	    .values = {b->prefixes[branch->first].value, branch->value}};
}

/*
 * A branch with one prefix, as most are in sparse lists. As long as too many bits are left, a chain of nodes with one
 * child each, without the effort of build_node().
 */
static int build_single(struct builder *b, size_t at, const struct branch *branch, unsigned int depth)
{
	for (; prefix_length(b, branch->first) > depth + SW_TRIE_SINGLE_BITS; depth += SW_TRIE_STRIDE) {
		const unsigned int slot = prefix_bits(b, branch->first, depth, SW_TRIE_STRIDE);
		const size_t child = b->node_count;
		const int error = reserve((void **)&b->nodes, &b->node_room, child + 1, sizeof(*b->nodes));
		if (error)
			return error;
		b->node_count++;
		b->nodes[at] = (struct sw_trie_node){
		    .children = 1ull << slot, .runs = 1, .child_base = (uint32_t)child, .values = {branch->value}};
		at = child;
	}
	b->nodes[at] = single_node(b, branch, depth);
	return 0;
}

/* Recursion is at most 128 / SW_TRIE_STRIDE deep. */
static int build_node(struct builder *b, size_t at, const struct branch *branch, unsigned int depth)
{
	if (branch->end - branch->first == 1)
		return build_single(b, at, branch, depth);
	struct sw_trie_node node = {0};
	struct node_draft draft;
	draft.has_child = 0;
	for (unsigned int slot = 0; slot < SLOTS; slot++)
		draft.values[slot] = branch->value;
	int error = fill_slots(b, branch, depth, SW_TRIE_STRIDE, draft.values, note_child, &draft);
	if (error)
		return error;

	const size_t base = b->node_count;
	const size_t children = (size_t)__builtin_popcountll(draft.has_child);
	error = reserve((void **)&b->nodes, &b->node_room, base + children, sizeof(*b->nodes));
	if (!error)
		error = store_leaves(b, &draft, &node);
	if (error)
		return error;
	b->node_count += children;
	node.children = draft.has_child;
	node.child_base |= (uint32_t)base;
	b->nodes[at] = node;

	size_t child = base;
	for (unsigned int slot = 0; slot < SLOTS && !error; slot++)
		if (draft.has_child & 1ull << slot)
			error = build_node(b, child++, &draft.children[slot], depth + SW_TRIE_STRIDE);
	return error;
}

struct root_draft {
	uint32_t *slots;
	unsigned int bits;
};

static int build_below_root(struct builder *b, uint32_t slot, const struct branch *child, void *context)
{
	struct root_draft *root = context;
	const size_t at = b->node_count;
	const int error = reserve((void **)&b->nodes, &b->node_room, at + 1, sizeof(*b->nodes));
	if (error)
		return error;
	b->node_count++;
	root->slots[slot] = SW_TRIE_NODE | (uint32_t)at;
	return build_node(b, at, child, root->bits);
}

/*
 * The root's width, so that the strides below it end on a /32 (8, 14 and 20 leave multiples of 6): small lists get a
 * root that fits the first-level cache, long ones pay cache for depth.
 */
static unsigned int root_bits(uint32_t count)
{
	return count <= 64 ? 8 : count <= 4096 ? 14 : 20;
}

static int build_root(struct builder *b, struct root_draft *root, uint32_t first, uint32_t end, unsigned int offset)
{
	const struct branch all = {.first = first, .end = end, .value = 0};
	root->bits = root_bits(end - first);
	root->slots = calloc(1u << root->bits, sizeof(*root->slots));
	if (!root->slots)
		return -ENOMEM;
	b->offset = offset;
	return fill_slots(b, &all, 0, root->bits, root->slots, build_below_root, root);
}

static size_t align_up(size_t bytes)
{
	return (bytes + LINE - 1) & ~(size_t)(LINE - 1);
}

static void *allocate(const struct sw_allocator *allocator, size_t bytes)
{
	if (allocator)
		return allocator->allocate(allocator->context, bytes, LINE);
	return aligned_alloc(LINE, bytes);
}

/* Moves what was drafted into one allocation. */
static int pack(struct sw_prefix_trie *trie, const struct builder *b, const struct root_draft *roots,
    const struct sw_allocator *allocator)
{
	const size_t node_bytes = align_up(b->node_count * sizeof(*b->nodes));
	const size_t leaf_bytes = align_up(b->leaf_count * sizeof(*b->leaves));
	size_t root_bytes[2];
	for (int family = 0; family < 2; family++)
		root_bytes[family] = align_up(sizeof(uint32_t) << roots[family].bits);

	trie->memory_bytes = node_bytes + leaf_bytes + root_bytes[0] + root_bytes[1];
	char *at = trie->memory = allocate(allocator, trie->memory_bytes);
	if (!at)
		return -ENOMEM;
	trie->nodes = (const struct sw_trie_node *)at;
	if (b->node_count)
		memcpy(at, b->nodes, b->node_count * sizeof(*b->nodes));
	at += node_bytes;
	for (int family = 0; family < 2; family++) {
		trie->roots[family].slots = memcpy(at, roots[family].slots, sizeof(uint32_t) << roots[family].bits);
		trie->roots[family].bits = roots[family].bits;
		trie->roots[family].shift = 32 - roots[family].bits;
		at += root_bytes[family];
	}
	trie->leaves = (const uint32_t *)at;
	if (b->leaf_count)
		memcpy(at, b->leaves, b->leaf_count * sizeof(*b->leaves));
	return 0;
}

/* The IPv4 prefixes lie together in the order of addresses: [*first, *end). What else there is, is IPv6. */
static void find_ipv4(const struct sw_trie_prefix *prefixes, uint32_t count, uint32_t *first, uint32_t *end)
{
	for (*first = 0; *first < count; ++*first)
		if (sw_address_is_ipv4(&prefixes[*first].prefix.address) &&
		    prefixes[*first].prefix.length >= SW_IPV4_MAPPED_BITS)
			break;
	for (*end = *first; *end < count && sw_address_is_ipv4(&prefixes[*end].prefix.address); ++*end)
		;
}

int sw_prefix_trie_build(struct sw_prefix_trie *trie, const struct sw_trie_prefix *prefixes, uint32_t count,
    const struct sw_allocator *allocator)
{
	struct builder b = {.prefixes = prefixes};
	struct root_draft roots[2] = {0};
	struct sw_trie_prefix *ipv6 = NULL;
	uint32_t first, end;

	memset(trie, 0, sizeof(*trie));
	find_ipv4(prefixes, count, &first, &end);
	const uint32_t ipv6_count = count - (end - first);
	int error = build_root(&b, &roots[SW_TRIE_IPV4], first, end, SW_IPV4_MAPPED_BITS);
	if (!error && (ipv6 = calloc(ipv6_count + 1, sizeof(*ipv6))) == NULL)
		error = -ENOMEM;
	if (!error) {
		if (first)
			memcpy(ipv6, prefixes, first * sizeof(*ipv6));
		if (count > end)
			memcpy(ipv6 + first, prefixes + end, (count - end) * sizeof(*ipv6));
		b.prefixes = ipv6;
		error = build_root(&b, &roots[SW_TRIE_IPV6], 0, ipv6_count, 0);
	}
	if (!error)
		error = pack(trie, &b, roots, allocator);
	if (error)
		memset(trie, 0, sizeof(*trie));
	else {
		trie->roots[SW_TRIE_IPV4].empty = end == first;
		trie->roots[SW_TRIE_IPV6].empty = ipv6_count == 0;
	}
	free(ipv6);
	free(roots[0].slots);
	free(roots[1].slots);
	free(b.nodes);
	free(b.leaves);
	return error;
}

void sw_prefix_trie_free(struct sw_prefix_trie *trie, const struct sw_allocator *allocator)
{
	if (allocator)
		allocator->release(allocator->context, trie->memory);
	else
		free(trie->memory);
	memset(trie, 0, sizeof(*trie));
}
