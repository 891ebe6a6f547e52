/* SPDX-License-Identifier: BSD-3-Clause */
#include "prefix_table.h"

#include <errno.h>
#include <stdlib.h>

enum { DEPTH_MAX = 129, LINE = 64 };

/* Distinct classes, found again by their contents. */
struct classes {
	struct sw_source_class *list;
	uint32_t count, room;
	uint32_t *slots; /* open addressing: class number + 1, or 0 */
	uint32_t slot_count;
};

struct enclosing {
	struct sw_prefix prefix;
	uint32_t class;
};

/* Prefixes around the current one, the shortest first. */
struct nesting {
	struct enclosing around[DEPTH_MAX];
	unsigned int depth;
};

static struct sw_source_class no_class(void)
{
	struct sw_source_class class;
	memset(&class, 0, sizeof(class)); /* the padding is part of the key */
	class.entry = class.group = class.beneath = SW_NONE;
	class.kind = SW_RULE_KINDS;
	return class;
}

static uint32_t hash_of(const struct sw_source_class *class)
{
	uint64_t words[sizeof(*class) / 8], sum = 0;
	_Static_assert(sizeof(*class) % 8 == 0, "hashed by words");
	memcpy(words, class, sizeof(words));
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		sum = (sum ^ words[i]) * 0x9e3779b97f4a7c15ull; /* 2^64 / golden ratio (Knuth, TAOCP 3, 6.4) */
		sum ^= sum >> 29;
	}
	return (uint32_t)(sum >> 32);
}

static uint32_t *find_slot(const struct classes *c, const struct sw_source_class *class)
{
	uint32_t at = hash_of(class) & (c->slot_count - 1);
	while (c->slots[at] && memcmp(&c->list[c->slots[at] - 1], class, sizeof(*class)) != 0)
		at = (at + 1) & (c->slot_count - 1);
	return &c->slots[at];
}

static int grow(struct classes *c)
{
	const uint32_t room = c->room ? c->room * 2 : 64;
	struct sw_source_class *list = realloc(c->list, room * sizeof(*list));
	if (!list)
		return -ENOMEM;
	c->list = list;
	c->room = room;
	uint32_t *slots = calloc((size_t)room * 2, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	free(c->slots);
	c->slots = slots;
	c->slot_count = room * 2;
	for (uint32_t i = 0; i < c->count; i++)
		*find_slot(c, &c->list[i]) = i + 1;
	return 0;
}

static int intern(struct classes *c, const struct sw_source_class *class, uint32_t *number)
{
	if (c->count == c->room && grow(c))
		return -ENOMEM;
	uint32_t *slot = find_slot(c, class);
	if (!*slot) {
		c->list[c->count] = *class;
		*slot = ++c->count;
	}
	*number = *slot - 1;
	return 0;
}

/* The same decision, and all beneath it, for members of another group. */
static int regroup(struct classes *c, uint32_t number, uint32_t group, uint32_t *out)
{
	struct sw_source_class class = c->list[number];
	class.group = group;
	if (class.beneath != SW_NONE && regroup(c, class.beneath, group, &class.beneath))
		return -ENOMEM;
	return intern(c, &class, out);
}

/* Lays the rules of one prefix, in the order of their kinds, over the class around it. */
static int combine(struct classes *c, const struct sw_prefix_rule *rules, uint32_t count, uint32_t *number)
{
	/* The order of kinds is the order of precedence, the strongest last; membership concerns what lies beneath too. */
	_Static_assert(SW_RULE_ALLOW < SW_RULE_DENY && SW_RULE_DENY < SW_RULE_BLOCK && SW_RULE_BLOCK < SW_RULE_GROUP, "");
	if (rules[count - 1].kind == SW_RULE_GROUP && regroup(c, *number, rules[--count].target, number))
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++) {
		struct sw_source_class class = c->list[*number];
		const bool ends = rules[i].kind == SW_RULE_BLOCK && rules[i].until_unix_ns != 0;
		class.kind = rules[i].kind;
		class.entry = rules[i].target;
		class.until_unix_ns = ends ? rules[i].until_unix_ns : 0;
		class.beneath = ends ? *number : SW_NONE;
		if (intern(c, &class, number))
			return -ENOMEM;
	}
	return 0;
}

static bool same_prefix(const struct sw_prefix *a, const struct sw_prefix *b)
{
	return a->length == b->length && sw_address_equal(&a->address, &b->address);
}

static bool is_ipv4(const struct sw_prefix *prefix)
{
	return prefix->length >= SW_IPV4_MAPPED_BITS && sw_address_is_ipv4(&prefix->address);
}

/* The class of the longest prefix around `prefix`; forgets those that end before it. */
static uint32_t class_around(struct nesting *nesting, const struct sw_prefix *prefix)
{
	while (nesting->depth && !sw_prefix_contains(&nesting->around[nesting->depth - 1].prefix, &prefix->address))
		nesting->depth--;
	return nesting->depth ? nesting->around[nesting->depth - 1].class : SW_SOURCE_CLASS_NONE;
}

/* What stands in the trie. */
static uint32_t found_as(const struct sw_source_class *class, uint32_t number)
{
	_Static_assert(SW_SOURCE_DENIED < SW_TRIE_NODE, "a value of the trie");
	if (class->kind == SW_RULE_DENY && class->group == SW_NONE && class->entry < SW_SOURCE_DENIED)
		return SW_SOURCE_DENIED | class->entry;
	return number;
}

/* One distinct prefix after the other, with the class that holds below it. */
static int classify(struct classes *c, const struct sw_prefix_rule *rules, uint32_t count,
    struct sw_trie_prefix *prefixes, uint32_t *prefix_count)
{
	struct nesting nestings[2] = {{.depth = 0}, {.depth = 0}};
	const struct sw_source_class none = no_class();
	uint32_t number;
	int error = intern(c, &none, &number);

	for (uint32_t first = 0, end; first < count && !error; first = end) {
		const struct sw_prefix *prefix = &rules[first].prefix;
		for (end = first + 1; end < count && same_prefix(&rules[end].prefix, prefix);)
			end++;
		struct nesting *nesting = &nestings[is_ipv4(prefix)];
		number = class_around(nesting, prefix);
		error = combine(c, rules + first, end - first, &number);
		nesting->around[nesting->depth++] = (struct enclosing){.prefix = *prefix, .class = number};
		prefixes[(*prefix_count)++] = (struct sw_trie_prefix){
		    .prefix = *prefix, .value = found_as(&c->list[number], number)};
	}
	return error;
}

static void *allocate(const struct sw_allocator *allocator, size_t bytes)
{
	bytes = (bytes + LINE - 1) & ~(size_t)(LINE - 1);
	return allocator ? allocator->allocate(allocator->context, bytes, LINE) : aligned_alloc(LINE, bytes);
}

static void release(const struct sw_allocator *allocator, void *memory)
{
	if (allocator)
		allocator->release(allocator->context, memory);
	else
		free(memory);
}

int sw_prefix_table_build(const struct sw_prefix_rule *rules, uint32_t count, const struct sw_allocator *allocator,
    struct sw_prefix_table **out)
{
	struct classes classes = {0};
	struct sw_prefix_table *table = NULL;
	uint32_t prefix_count = 0;
	int error = -ENOMEM;

	*out = NULL;
	struct sw_trie_prefix *prefixes = calloc((size_t)count + 1, sizeof(*prefixes));
	if (!prefixes || classify(&classes, rules, count, prefixes, &prefix_count))
		goto done;
	const size_t class_bytes = classes.count * sizeof(*classes.list);
	table = allocate(allocator, sizeof(*table) + class_bytes);
	if (!table)
		goto done;
	memset(table, 0, sizeof(*table));
	if (allocator)
		table->allocator = *allocator;
	table->classes = memcpy(table + 1, classes.list, class_bytes);
	table->class_count = classes.count;
	error = sw_prefix_trie_build(&table->trie, prefixes, prefix_count, allocator);
	if (error)
		release(allocator, table);
	else {
		table->memory_bytes = sizeof(*table) + class_bytes + table->trie.memory_bytes;
		*out = table;
	}
done:
	free(prefixes);
	free(classes.list);
	free(classes.slots);
	return error;
}

void sw_prefix_table_free(struct sw_prefix_table *table)
{
	if (!table)
		return;
	const struct sw_allocator allocator = table->allocator;
	const struct sw_allocator *own = allocator.release ? &allocator : NULL;
	sw_prefix_trie_free(&table->trie, own);
	release(own, table);
}
