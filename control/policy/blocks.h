/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The operator's blocks: a bounded list that outlives a restart, in blocks.json of the state directory. The oldest
 * first; one for each prefix. Thread: one at a time.
 */
#ifndef SW_POLICY_BLOCKS_H
#define SW_POLICY_BLOCKS_H

#include "control.h"

struct sw_blocks {
	struct sw_block *items; /* malloc'd, room for SW_BLOCKS_MAX once there is one */
	uint32_t count;
};

/* Reads the file; what has ended is left out. 0, also when there is none; -EINVAL: not such a file; -errno. */
int sw_blocks_load(struct sw_blocks *blocks, const char *path, uint64_t now_unix_ns);
int sw_blocks_save(const struct sw_blocks *blocks, const char *path);
void sw_blocks_clear(struct sw_blocks *blocks);

/* Takes out what has ended. */
void sw_blocks_prune(struct sw_blocks *blocks, uint64_t now_unix_ns);
/* Adds, or replaces the one with the same prefix (which keeps its place). 0, -ENOSPC, -ENOMEM. */
int sw_blocks_set(struct sw_blocks *blocks, const struct sw_block *block);
/* The one with this prefix, or NULL. */
struct sw_block *sw_blocks_find(const struct sw_blocks *blocks, const struct sw_prefix *prefix);
void sw_blocks_remove(struct sw_blocks *blocks, struct sw_block *block);
int sw_blocks_copy(const struct sw_blocks *from, struct sw_blocks *to);

/* NULL, or in a few words why such a block is not accepted. */
const char *sw_block_refusal(const struct sw_prefix *prefix, uint32_t seconds, const char *reason);

#endif
