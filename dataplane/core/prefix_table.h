/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the policy says about a source address: its source class, by longest prefix, both families in one table.
 *
 * Shape    an immutable trie (prefix_trie.h) from addresses to class numbers, and a dense array of distinct classes.
 *          Nested rules are combined when the table is built: a class says what decides and which group counts.
 * Rules    for allow, deny and block the longest prefix decides (at equal length block, then deny, then allow); the
 *          longest prefix of kind GROUP decides membership by itself. An IPv6 prefix never holds an IPv4 address.
 * Owner    who built it frees it, when no worker can hold it any more. Read by any number of threads.
 * Memory   one allocation; beside the trie's roots about 60 bytes a prefix, a few hundred for scattered IPv6 hosts.
 */
#ifndef SW_CORE_PREFIX_TABLE_H
#define SW_CORE_PREFIX_TABLE_H

#include "../packet.h"
#include "allocator.h"
#include "prefetch.h"
#include "prefix_trie.h"

enum { SW_SOURCE_CLASS_NONE = 0 }; /* class 0 always exists: no rule, no group */

/*
 * What the table finds about an address: a class number, or this | the entry number of a deny rule whose class would
 * say nothing else, so that nobody has to read one.
 */
#define SW_SOURCE_DENIED 0x40000000u

struct sw_source_class {
	uint64_t until_unix_ns; /* BLOCK: ends then; 0: never */
	uint32_t entry;   /* entry number (its counter) of the rule that decides; SW_NONE when kind is SW_RULE_KINDS */
	uint32_t group;   /* index into SW_SECTION_GROUPS, or SW_NONE */
	uint32_t beneath; /* the class that holds once this block has ended; SW_NONE: this one never ends */
	uint8_t kind;     /* SW_RULE_ALLOW, SW_RULE_DENY, SW_RULE_BLOCK, or SW_RULE_KINDS: none */
	uint8_t reserved[3];
};

struct sw_prefix_table {
	struct sw_prefix_trie trie;            /* values: class numbers, or SW_SOURCE_DENIED | an entry number */
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

/* For a burst use the function below: it hides the cache misses. */
static inline uint32_t sw_prefix_table_find(const struct sw_prefix_table *table, const struct sw_address *address)
{
	return sw_prefix_trie_lookup(&table->trie, address);
}

/* found[i]: about *addresses[i]. count: at most SW_BURST. */
static inline void sw_prefix_table_find_burst(const struct sw_prefix_table *table,
    const struct sw_address *const *addresses, unsigned int count, uint32_t *found)
{
	sw_prefix_trie_lookup_burst(&table->trie, addresses, count, found);
}

/* For the sake of its group: the class number of one address. Denials that say nothing else have none. */
static inline uint32_t sw_prefix_table_lookup(const struct sw_prefix_table *table, const struct sw_address *address)
{
	const uint32_t found = sw_prefix_table_find(table, address);
	return found & SW_SOURCE_DENIED ? SW_SOURCE_CLASS_NONE : found;
}

/* `number`: a class number of the same table. Never NULL. */
static inline const struct sw_source_class *sw_prefix_table_class(const struct sw_prefix_table *table, uint32_t number)
{
	return &table->classes[number];
}

static inline void sw_prefix_table_prefetch(const struct sw_prefix_table *table, uint32_t found)
{
	if (!(found & SW_SOURCE_DENIED))
		sw_prefetch(&table->classes[found]);
}

static inline uint32_t sw_prefix_table_entry(const struct sw_prefix_table *table, uint32_t found)
{
	return found & SW_SOURCE_DENIED ? found & ~SW_SOURCE_DENIED : table->classes[found].entry;
}

/* What was found, as it stands at `now_unix_ns`: steps over blocks that have ended. */
static inline struct sw_source_class sw_prefix_table_class_now(
    const struct sw_prefix_table *table, uint32_t found, uint64_t now_unix_ns)
{
	if (found & SW_SOURCE_DENIED)
		return (struct sw_source_class){
		    .entry = found & ~SW_SOURCE_DENIED, .group = SW_NONE, .beneath = SW_NONE, .kind = SW_RULE_DENY};
	const struct sw_source_class *class = &table->classes[found];
	while (class->beneath != SW_NONE && now_unix_ns >= class->until_unix_ns)
		class = &table->classes[class->beneath];
	return *class;
}

#endif
