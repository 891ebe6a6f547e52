/* SPDX-License-Identifier: BSD-3-Clause */
#include "top.h"

#include <errno.h>
#include <stdlib.h>

const char *const sw_sort_names[SW_SORTS] = {[SW_SORT_SYNS] = "syns",
    [SW_SORT_CONNS] = "conns",
    [SW_SORT_REFUSED] = "refused",
    [SW_SORT_DROPPED] = "dropped",
    [SW_SORT_BYTES] = "bytes",
    [SW_SORT_CONCURRENT] = "concurrent",
    [SW_SORT_LAST_SEEN] = "last_seen"};

static uint64_t key_of(const struct sw_evidence_record *r, enum sw_sort sort)
{
	switch (sort) {
	case SW_SORT_CONNS:
		return r->conns;
	case SW_SORT_REFUSED:
		return r->refused;
	case SW_SORT_DROPPED:
		return r->dropped;
	case SW_SORT_BYTES:
		return r->bytes_in;
	case SW_SORT_CONCURRENT:
		return r->concurrent;
	case SW_SORT_LAST_SEEN:
		return r->last_seen_unix_ns;
	default:
		return r->syns;
	}
}

/* Does `a` stand before `b`? Larger keys first, then lower addresses, so that the order is the same each time. */
static bool before(const struct sw_evidence_record *a, const struct sw_evidence_record *b, enum sw_sort sort)
{
	const uint64_t x = key_of(a, sort), y = key_of(b, sort);
	if (x != y)
		return x > y;
	const int order = memcmp(&a->source.address, &b->source.address, sizeof(a->source.address));
	return order ? order < 0 : a->service_slot < b->service_slot;
}

int sw_top_open(struct sw_top *top, enum sw_sort sort, uint32_t limit)
{
	top->sort = sort;
	top->limit = limit > SW_TOP_MAX ? SW_TOP_MAX : limit;
	top->count = 0;
	top->heap = calloc(top->limit + 1u, sizeof(*top->heap));
	return top->heap ? 0 : -ENOMEM;
}

static void swap(struct sw_evidence_record *a, struct sw_evidence_record *b)
{
	const struct sw_evidence_record t = *a;
	*a = *b;
	*b = t;
}

/* The root stands behind all others: it is the first to go. */
static void sift_down(struct sw_top *top, uint32_t count)
{
	uint32_t at = 0;
	for (;;) {
		const uint32_t left = 2 * at + 1, right = left + 1;
		uint32_t last = at;
		if (left < count && before(&top->heap[last], &top->heap[left], top->sort))
			last = left;
		if (right < count && before(&top->heap[last], &top->heap[right], top->sort))
			last = right;
		if (last == at)
			return;
		swap(&top->heap[at], &top->heap[last]);
		at = last;
	}
}

static void sift_up(struct sw_top *top, uint32_t at)
{
	while (at) {
		const uint32_t parent = (at - 1) / 2;
		if (!before(&top->heap[parent], &top->heap[at], top->sort))
			return;
		swap(&top->heap[at], &top->heap[parent]);
		at = parent;
	}
}

void sw_top_offer(struct sw_top *top, const struct sw_evidence_record *record)
{
	if (top->count < top->limit) {
		top->heap[top->count] = *record;
		sift_up(top, top->count++);
	} else if (top->limit && before(record, &top->heap[0], top->sort)) {
		top->heap[0] = *record;
		sift_down(top, top->count);
	}
}

int sw_top_finish(struct sw_top *top, struct sw_evidence_record **out)
{
	for (uint32_t left = top->count; left > 1; left--) {
		swap(&top->heap[0], &top->heap[left - 1]);
		sift_down(top, left - 1);
	}
	if (!top->count) {
		free(top->heap);
		top->heap = NULL;
	}
	*out = top->heap;
	return (int)top->count;
}
