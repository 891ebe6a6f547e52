/* SPDX-License-Identifier: BSD-3-Clause */
/* Files that outlive a restart: written whole or not at all. Thread: one at a time for one path. */
#ifndef SW_POLICY_STATE_FILE_H
#define SW_POLICY_STATE_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "api/policy_snapshot.h"

/* Writes a temporary file beside `path`, syncs and renames it. 0 or -errno; then `path` is as it was. */
int sw_write_file(const char *path, const void *data, size_t bytes, mode_t mode);

/* Makes a directory and those above it (0755; the last one `mode`). 0, also when it is there, or -errno. */
int sw_make_directory(const char *path, mode_t mode);

/* The snapshot in a file, malloc'd, or NULL: no such file, or not a readable snapshot. */
struct sw_snapshot_header *sw_snapshot_read(const char *path);

#endif
