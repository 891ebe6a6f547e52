/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finds the line and column of values in JSON text by their paths. The JSON library keeps no positions; this walks the
 * text a second time, when there is something to report. Any text is safe, also broken JSON: the walk ends where the
 * text stops being JSON. Pure; thread: any.
 */
#ifndef SW_POLICY_POSITION_H
#define SW_POLICY_POSITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Paths are written "services[0].limits"; a key that is no plain word stands as ["..."], and is cut when it is long. */

/* Appends a key or an index to `path` (of `bytes`). A path that does not fit is cut. Returns the new length. */
size_t sw_path_key(char *path, size_t bytes, const char *key, size_t key_bytes);
size_t sw_path_index(char *path, size_t bytes, size_t index);

struct sw_position_query {
	const char *path;
	bool at_key;           /* the key itself rather than its value */
	uint32_t line, column; /* answer, from 1; 0: there is no such path. Of several equal paths, the first */
};
void sw_positions_find(const char *text, size_t bytes, struct sw_position_query *queries, size_t count);

/* The path that is being read at `offset`, where the text may be broken. */
void sw_position_path_at(const char *text, size_t bytes, size_t offset, char *path, size_t path_bytes);

#endif
