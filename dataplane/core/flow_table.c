/* SPDX-License-Identifier: BSD-3-Clause */
#include "flow_table.h"

#include "prefetch.h"

/* Buckets for a load of at most one half: with two choices of eight ways, an overflow is then a matter of 10^-7. */
static uint64_t bucket_count(uint32_t capacity)
{
	uint64_t n = 1;
	while (n * SW_FLOW_WAYS < (uint64_t)capacity * 2)
		n <<= 1;
	return n;
}

size_t sw_flow_table_bytes(uint32_t capacity)
{
	return bucket_count(capacity) * sizeof(struct sw_flow_bucket) +
		(size_t)capacity * (sizeof(struct sw_flow) + sizeof(struct sw_flow_setup));
}

static void list_append(struct sw_flow_table *t, uint32_t index, unsigned int list)
{
	struct sw_flow_setup *s = &t->setups[index];
	s->previous = t->lists[list].tail;
	s->next = SW_FLOW_NONE;
	if (s->previous == SW_FLOW_NONE)
		t->lists[list].head = index;
	else
		t->setups[s->previous].next = index;
	t->lists[list].tail = index;
	t->lists[list].count++;
	s->list = (uint8_t)list;
}

static void list_unlink(struct sw_flow_table *t, uint32_t index)
{
	const struct sw_flow_setup *s = &t->setups[index];
	const uint32_t next = s->next, previous = s->previous;
	const unsigned int list = s->list;
	if (previous == SW_FLOW_NONE)
		t->lists[list].head = next;
	else
		t->setups[previous].next = next;
	if (next == SW_FLOW_NONE)
		t->lists[list].tail = previous;
	else
		t->setups[next].previous = previous;
	t->lists[list].count--;
}

void sw_flow_table_init(struct sw_flow_table *t, void *memory, uint32_t capacity)
{
	const uint64_t buckets = bucket_count(capacity);

	memset(t, 0, sizeof(*t));
	t->buckets = memory;
	t->bucket_mask = buckets - 1;
	t->flows = (struct sw_flow *)(t->buckets + buckets);
	t->setups = (struct sw_flow_setup *)(t->flows + capacity);
	t->capacity = capacity;
	for (unsigned int i = 0; i < SW_LISTS; i++)
		t->lists[i].head = t->lists[i].tail = SW_FLOW_NONE;
	for (uint32_t i = 0; i < capacity; i++)
		list_append(t, i, SW_LIST_FREE);
}

/*
 * The first bucket while it has room to spare, then the emptier of the two: nearly every flow is where it is looked for
 * first, and a table that is full to capacity still has a place for each.
 */
static struct sw_flow_bucket *choose(struct sw_flow_bucket *first, struct sw_flow_bucket *second)
{
	enum { TO_SPARE = 2 };
	const int free_first = __builtin_popcount(sw_flow_ways_with(first, 0));

	if (free_first > TO_SPARE || __builtin_popcount(sw_flow_ways_with(second, 0)) <= free_first)
		return first;
	first->moved++;
	return second;
}

/* The next one that will be taken: its lines have been in no cache for long. */
static void ask_for(const struct sw_flow_table *t, uint32_t index)
{
	if (index == SW_FLOW_NONE)
		return;
	sw_prefetch(&t->flows[index]);
	for (size_t at = 0; at < sizeof(t->setups[0]); at += 64)
		sw_prefetch((const char *)&t->setups[index] + at);
}

/* One line. Spelled out: compilers make `rep stos` of memset, which takes longer to begin than all of this. */
static inline void clear(void *line)
{
	const __m128i zero = _mm_setzero_si128();
	__m128i *at = line;

	_mm_store_si128(at, zero);
	_mm_store_si128(at + 1, zero);
	_mm_store_si128(at + 2, zero);
	_mm_store_si128(at + 3, zero);
}

/* As nobody has used them. */
static inline void make_blank(struct sw_flow *f, struct sw_flow_setup *s, uint64_t hash)
{
	char *lines = (char *)s;

	clear(f);
	clear(lines);
	clear(lines + 64);
	clear(lines + 128);
	f->hash = hash;
	f->record = SW_FLOW_NONE;
	s->group = SW_FLOW_NONE;
	s->held_first = s->held_last = SW_FLOW_NONE;
}

uint32_t sw_flow_insert(struct sw_flow_table *t, uint64_t hash, enum sw_flow_list list)
{
	const uint32_t index = t->lists[SW_LIST_FREE].head;

	if (index == SW_FLOW_NONE)
		return SW_FLOW_NONE;
	struct sw_flow_bucket *b = choose(sw_flow_bucket_first(t, hash), sw_flow_bucket_second(t, hash));
	const unsigned int ways = sw_flow_ways_with(b, 0);
	if (ways == 0)
		return SW_FLOW_NONE;
	list_unlink(t, index);
	ask_for(t, t->lists[SW_LIST_FREE].head);
	make_blank(&t->flows[index], &t->setups[index], hash);
	list_append(t, index, list);
	const unsigned int way = (unsigned int)__builtin_ctz(ways);
	b->tags[way] = sw_flow_tag(hash);
	b->flows[way] = index;
	t->used++;
	t->changes++;
	return index;
}

static bool remove_from(struct sw_flow_bucket *b, uint16_t tag, uint32_t index)
{
	for (unsigned int ways = sw_flow_ways_with(b, tag); ways; ways &= ways - 1) {
		const unsigned int way = (unsigned int)__builtin_ctz(ways);
		if (b->flows[way] != index)
			continue;
		b->tags[way] = 0;
		b->flows[way] = 0;
		return true;
	}
	return false;
}

void sw_flow_remove(struct sw_flow_table *t, uint32_t index)
{
	struct sw_flow *f = &t->flows[index];
	const uint16_t tag = sw_flow_tag(f->hash);

	struct sw_flow_bucket *first = sw_flow_bucket_first(t, f->hash);
	if (!remove_from(first, tag, index)) {
		remove_from(sw_flow_bucket_second(t, f->hash), tag, index);
		first->moved--;
	}
	list_unlink(t, index);
	f->state = SW_FLOW_FREE;
	f->hash = 0;
	list_append(t, index, SW_LIST_FREE);
	t->used--;
	t->changes++;
}

void sw_flow_move(struct sw_flow_table *t, uint32_t index, unsigned int list)
{
	list_unlink(t, index);
	list_append(t, index, list);
}
