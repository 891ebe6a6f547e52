/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory that is freed all at once: what a configuration is made of. Thread: one at a time. */
#ifndef SW_POLICY_ARENA_H
#define SW_POLICY_ARENA_H

#include <stddef.h>

struct sw_arena;
struct sw_spec_list;

struct sw_arena *sw_arena_new(void); /* NULL: out of memory; likewise below */
void sw_arena_free(struct sw_arena *arena);
/* Zeroed, aligned for any type. */
void *sw_arena_alloc(struct sw_arena *arena, size_t bytes);
char *sw_arena_text(struct sw_arena *arena, const char *text);
/* One more zeroed element of `bytes` at the end of the list. Earlier elements may move. */
void *sw_list_push(struct sw_arena *arena, struct sw_spec_list *list, size_t bytes);

#endif
