/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An immutable longest-prefix trie from addresses of both families to 31-bit values; value 0: no prefix holds it.
 *
 * The idea of Poptrie (Asai and Ohara, SIGCOMM 2015): a directly indexed root, then 64-way nodes whose children and
 * leaves lie packed, found by counting bits. Runs of equal leaves are stored once. A node with at most three runs keeps
 * them in itself, which spares most lookups their last cache miss. A prefix that is alone below a slot, as most are in
 * sparse lists, needs no chain of nodes: one of another kind compares all the bits that are left.
 *
 *   root[top bits]  = value, or SW_TRIE_NODE | node
 *   node (32 bytes, never across a cache line)
 *     children      bit s: slot s goes on at nodes[child_base + number of children before s]
 *     runs          bit s: a run of equal leaves begins at slot s (slots with children do not count); bit 0 is set
 *     values[0..2]  the values of the runs; with SW_TRIE_OUTSIDE in child_base values[0] is their place in leaves[]
 *   or, with SW_TRIE_SINGLE in child_base, one prefix of at most SW_TRIE_SINGLE_BITS further bits
 *     children      these bits, left-aligned
 *     runs          their mask
 *     values[0..1]  the value in the prefix, and around it
 *
 * IPv4 and IPv6 have a root each, IPv6's behind IPv4's, and share nodes and leaves. No locks: read by any number of
 * threads.
 */
#ifndef SW_CORE_PREFIX_TRIE_H
#define SW_CORE_PREFIX_TRIE_H

#include <stddef.h>

#include "../api/policy_snapshot.h"
#include "prefetch.h"
#include "runs.h"

#define SW_TRIE_NODE    0x80000000u
#define SW_TRIE_OUTSIDE 0x80000000u /* in child_base: the node has more runs than values[] */
#define SW_TRIE_SINGLE  0x40000000u /* in child_base, and alone there */

enum { SW_TRIE_STRIDE = 6, SW_TRIE_INLINE_RUNS = 3, SW_TRIE_SINGLE_BITS = 56, SW_TRIE_LANES = 32 };
enum { SW_TRIE_IPV4 = 0, SW_TRIE_IPV6 = 1 };

struct sw_trie_node {
	uint64_t children, runs;
	uint32_t child_base;
	uint32_t values[SW_TRIE_INLINE_RUNS];
};

struct sw_trie_root {
	const uint32_t *slots; /* [1 << bits] */
	uint32_t bits;         /* 1 to 24 */
	uint32_t shift;        /* 32 - bits: from the first 32 bits of a key to a slot */
	uint32_t empty;        /* 1: every slot is 0 */
};

struct sw_prefix_trie {
	struct sw_trie_root roots[2];
	const struct sw_trie_node *nodes;
	const uint32_t *leaves;
	void *memory; /* the one allocation behind all of it */
	size_t memory_bytes;
};

/* An address as a left-aligned 128-bit number; IPv4: its 32 bits come first. */
struct sw_trie_key {
	uint64_t high, low;
};

/*
 * Is an address in ::ffff:0:0/96, that is, IPv4? `high`, `low`: its halves as they lie in memory. Little-endian
 * machines only, as all that DPDK's PMDs here run on.
 */
static inline bool sw_trie_is_ipv4(uint64_t high, uint64_t low)
{
	return (high | (uint32_t)(low ^ 0xffff0000u)) == 0;
}

static inline struct sw_trie_key sw_trie_key_of(const struct sw_address *address, unsigned int *family)
{
	struct sw_trie_key key;
	memcpy(&key.high, address->bytes, 8);
	memcpy(&key.low, address->bytes + 8, 8);
	const bool ipv4 = sw_trie_is_ipv4(key.high, key.low);
	key.high = __builtin_bswap64(key.high);
	key.low = __builtin_bswap64(key.low);
	if (ipv4) {
		key.high = key.low << 32;
		key.low = 0;
	}
	*family = ipv4 ? SW_TRIE_IPV4 : SW_TRIE_IPV6;
	return key;
}

static inline uint32_t sw_trie_single(const struct sw_trie_node *node, uint64_t key)
{
	return node->values[((key ^ node->children) & node->runs) != 0];
}

/*
 * One node further: a value, or SW_TRIE_NODE | the next node. `key`: the bits of the key from here on, at least
 * SW_TRIE_SINGLE_BITS of them or all there are. Shifted left by 63 - slot, a word has the slot's own bit on top and
 * nothing left that must not be counted.
 */
static inline uint32_t sw_trie_step(const struct sw_trie_node *node, const uint32_t *leaves, uint64_t key)
{
	const unsigned int shift = (unsigned int)(~key >> 58);
	const uint64_t children = node->children << shift, runs = node->runs << shift;
	if (node->child_base & SW_TRIE_SINGLE)
		return sw_trie_single(node, key);
	if (children >> 63)
		return SW_TRIE_NODE | (node->child_base + (uint32_t)__builtin_popcountll(children) - 1);
	const unsigned int run = (unsigned int)__builtin_popcountll(runs) - 1;
	return node->child_base & SW_TRIE_OUTSIDE ? leaves[node->values[0] + run] : node->values[run];
}

static inline uint32_t sw_prefix_trie_lookup(const struct sw_prefix_trie *trie, const struct sw_address *address)
{
	unsigned int family;
	struct sw_trie_key key = sw_trie_key_of(address, &family);
	const struct sw_trie_root *root = &trie->roots[family];
	uint32_t at = root->slots[key.high >> 32 >> root->shift];
	unsigned int consumed = root->bits;
	while (at & SW_TRIE_NODE) {
		const unsigned int keep = consumed;
		key.high = key.high << keep | key.low >> (64 - keep);
		key.low <<= keep;
		consumed = SW_TRIE_STRIDE;
		at = sw_trie_step(&trie->nodes[at & ~SW_TRIE_NODE], trie->leaves, key.high);
	}
	return at;
}

/*
 * Where the root of its family speaks of an address; worth a prefetch. There stands a value, or
 * SW_TRIE_NODE | where sw_prefix_trie_walk() goes on.
 */
static inline const uint32_t *sw_trie_slot(
    const struct sw_trie_root *root, const struct sw_address *address, unsigned int family)
{
	uint32_t first;
	memcpy(&first, address->bytes + (family == SW_TRIE_IPV4 ? SW_IPV4_MAPPED_BITS / 8 : 0), sizeof(first));
	return &root->slots[__builtin_bswap32(first) >> root->shift];
}

/* Addresses that stand in equal distances, as in an array of structs. */
struct sw_trie_addresses {
	const struct sw_address *first;
	size_t distance; /* bytes */
};

/* Asks for the nodes that values[i] names, for each bit i of `set`. */
static inline void sw_prefix_trie_ask(const struct sw_prefix_trie *trie, uint32_t set, const uint32_t *values)
{
	for (; set; set &= set - 1)
		sw_prefetch(&trie->nodes[values[__builtin_ctz(set)] & ~SW_TRIE_NODE]);
}

/*
 * From the root to values, for addresses of one family: bit i of `set` is that of address i and of values[i], which is
 * a node, as the root said and sw_prefix_trie_ask() has asked for, and becomes the value. All walk in step, and each
 * node is prefetched a step before, so that the misses of a burst overlap.
 */
void sw_prefix_trie_walk(const struct sw_prefix_trie *trie, unsigned int family, struct sw_trie_addresses addresses,
    uint32_t set, uint32_t *values);

/* values_out[i]: value of *addresses[i]; any count. */
void sw_prefix_trie_lookup_burst(const struct sw_prefix_trie *trie, const struct sw_address *const *addresses,
    unsigned int count, uint32_t *values_out);

/* ---- building: may block, allocates; never called by a worker --------------------------------------------------- */

struct sw_trie_prefix {
	struct sw_prefix prefix;
	uint32_t value; /* 1 to 0x7fffffff */
	uint32_t reserved;
};

struct sw_allocator;

/*
 * `prefixes`: masked, sorted by address, then length; no (address, length) twice. An entry of length below 96 holds
 * no IPv4 address. `allocator`: NULL for malloc. 0, or -ENOMEM (*trie is then zero).
 */
int sw_prefix_trie_build(struct sw_prefix_trie *trie, const struct sw_trie_prefix *prefixes, uint32_t count,
    const struct sw_allocator *allocator);
void sw_prefix_trie_free(struct sw_prefix_trie *trie, const struct sw_allocator *allocator);

#endif
