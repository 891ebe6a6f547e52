/* SPDX-License-Identifier: BSD-3-Clause */
#include "arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "spec.h"

enum { BLOCK_BYTES = 16384 };

struct block {
	struct block *next;
	size_t used, bytes;
	_Alignas(max_align_t) unsigned char data[];
};

struct sw_arena {
	struct block *blocks;
};

struct sw_arena *sw_arena_new(void)
{
	return calloc(1, sizeof(struct sw_arena));
}

void sw_arena_free(struct sw_arena *arena)
{
	if (!arena)
		return;
	for (struct block *b = arena->blocks, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	free(arena);
}

void *sw_arena_alloc(struct sw_arena *arena, size_t bytes)
{
	const size_t align = _Alignof(max_align_t);
	if (bytes > SIZE_MAX / 4)
		return NULL;
	bytes = (bytes + align - 1) & ~(align - 1);
	struct block *b = arena->blocks;
	if (!b || b->bytes - b->used < bytes) {
		const size_t size = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
		b = calloc(1, sizeof(*b) + size);
		if (!b)
			return NULL;
		b->bytes = size;
		b->next = arena->blocks;
		arena->blocks = b;
	}
	void *p = b->data + b->used;
	b->used += bytes;
	return p;
}

char *sw_arena_text(struct sw_arena *arena, const char *text)
{
	const size_t bytes = strlen(text) + 1;
	char *copy = sw_arena_alloc(arena, bytes);
	return copy ? memcpy(copy, text, bytes) : NULL;
}

void *sw_list_push(struct sw_arena *arena, struct sw_spec_list *list, size_t bytes)
{
	if (list->count == list->capacity) {
		const uint32_t capacity = list->capacity ? list->capacity * 2 : 4;
		void *items = sw_arena_alloc(arena, capacity * bytes);
		if (!items)
			return NULL;
		if (list->count)
			memcpy(items, list->items, list->count * bytes);
		list->items = items;
		list->capacity = capacity;
	}
	return (char *)list->items + (size_t)list->count++ * bytes;
}
