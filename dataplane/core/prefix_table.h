/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the policy says about a source address: its source class, by longest prefix, both families in one table.
 *
 * Shape    an immutable trie (prefix_trie.h) from addresses to class numbers, and a dense array of distinct classes.
 *          Nested rules are combined when the table is built: a class says what decides and which group counts.
 * Rules    for allow, deny and block the longest prefix decides (at equal length block, then deny, then allow); the
 *          longest prefix of kind GROUP decides membership by itself. An IPv6 prefix never holds an IPv4 address.
 * Owner    who built it frees it, when no worker can hold it any more. Read by any number of threads.
 * Memory   one allocation; about 40 bytes a prefix for IPv4, a few hundred for scattered IPv6 host routes.
 */
#ifndef SW_CORE_PREFIX_TABLE_H
#define SW_CORE_PREFIX_TABLE_H

#include "../packet.h"
#include "allocator.h"
#include "prefix_trie.h"

enum { SW_SOURCE_CLASS_NONE = 0 }; /* class 0 always exists: no rule, no group */

struct sw_source_class {
	uint64_t until_unix_ns; /* BLOCK: ends then; 0: never */
	uint32_t entry;   /* entry number (its counter) of the rule that decides; SW_NONE when kind is SW_RULE_KINDS */
	uint32_t group;   /* index into SW_SECTION_GROUPS, or SW_NONE */
	uint32_t beneath; /* the class that holds once this block has ended; SW_NONE: this one never ends */
	uint8_t kind;     /* SW_RULE_ALLOW, SW_RULE_DENY, SW_RULE_BLOCK, or SW_RULE_KINDS: none */
	uint8_t reserved[3];
};

struct sw_prefix_table {
	struct sw_prefix_trie trie;            /* values: class numbers */
	const struct sw_source_class *classes; /* [class_count] */
	uint32_t class_count;
	size_t memory_bytes;
	struct sw_allocator allocator;
};

/*
 * `rules`: as in a checked snapshot (sorted by address, then length, then kind; masked; no duplicates); read only
 * during the call. `allocator`: NULL for malloc; copied. 0, or -ENOMEM with *out NULL.
 * May block and allocates scratch memory: never called by a worker.
 */
int sw_prefix_table_build(const struct sw_prefix_rule *rules, uint32_t count, const struct sw_allocator *allocator,
    struct sw_prefix_table **out);
void sw_prefix_table_free(struct sw_prefix_table *table); /* NULL is fine */

static inline size_t sw_prefix_table_bytes(const struct sw_prefix_table *table)
{
	return table->memory_bytes;
}

/* The class number of one address. For a burst use the function below: it hides the cache misses. */
static inline uint32_t sw_prefix_table_lookup(const struct sw_prefix_table *table, const struct sw_address *address)
{
	return sw_prefix_trie_lookup(&table->trie, address);
}

/* class_out[i]: class number of *addresses[i]. count: at most SW_BURST. */
static inline void sw_prefix_table_lookup_burst(const struct sw_prefix_table *table,
    const struct sw_address *const *addresses, unsigned int count, uint32_t *class_out)
{
	sw_prefix_trie_lookup_burst(&table->trie, addresses, count, class_out);
}

/* `number`: from a lookup in the same table. Never NULL. */
static inline const struct sw_source_class *sw_prefix_table_class(const struct sw_prefix_table *table, uint32_t number)
{
	return &table->classes[number];
}

/* The class as it stands at `now_unix_ns`: steps over blocks that have ended. */
static inline const struct sw_source_class *sw_prefix_table_class_now(
    const struct sw_prefix_table *table, uint32_t number, uint64_t now_unix_ns)
{
	const struct sw_source_class *class = &table->classes[number];
	while (class->beneath != SW_NONE && now_unix_ns >= class->until_unix_ns)
		class = &table->classes[class->beneath];
	return class;
}

#endif
