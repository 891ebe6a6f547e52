/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one door through which a policy snapshot (../api/policy_snapshot.h) enters the dataplane: a snapshot is another
 * process's memory and may be cut, old, inconsistent or hostile. What passed sw_snapshot_check() may be used through
 * the accessors below without any further test.
 *
 * Owner   the caller owns the bytes. They must not change between the check and the last use: a sealed memfd
 *         (F_SEAL_WRITE, F_SEAL_SHRINK) or a private copy.
 * Thread  pure functions.
 */
#ifndef SW_CORE_SNAPSHOT_CHECK_H
#define SW_CORE_SNAPSHOT_CHECK_H

#include <stddef.h>

#include "../api/policy_snapshot.h"

/*
 * `data`: aligned to 8 bytes (every mapping and every malloc is), of which `bytes` can be read.
 * 0, or with a text in `error` (NUL-terminated, names section[index].field, the value found and what was expected):
 *   -ENOTSUP  a snapshot of another version
 *   -ENOMEM   no scratch memory
 *   -EINVAL   everything else
 * `error` may be NULL when error_bytes is 0. Cost: linear in the snapshot, plus one sort of names and slots.
 */
int sw_snapshot_check(const void *data, uint64_t bytes, char *error, size_t error_bytes);

/* ---- accessors; `snapshot` is the start of a checked snapshot. Pointers live as long as its bytes. --------------- */

static inline const void *sw_snapshot_section(const void *snapshot, enum sw_section_id id, uint32_t *count)
{
	const struct sw_snapshot_header *header = snapshot;
	if (count)
		*count = header->sections[id].count;
	return (const char *)snapshot + header->sections[id].offset;
}

static inline uint64_t sw_snapshot_generation(const void *snapshot)
{
	return ((const struct sw_snapshot_header *)snapshot)->generation;
}

static inline const struct sw_boot *sw_snapshot_boot(const void *snapshot)
{
	return sw_snapshot_section(snapshot, SW_SECTION_BOOT, NULL);
}

static inline const struct sw_global *sw_snapshot_global(const void *snapshot)
{
	return sw_snapshot_section(snapshot, SW_SECTION_GLOBAL, NULL);
}

/* `count` may be NULL in all of these. With a count of 0 the pointer must not be followed. */
static inline const struct sw_link *sw_snapshot_links(const void *snapshot, uint32_t *count)
{
	return sw_snapshot_section(snapshot, SW_SECTION_LINKS, count);
}

static inline const struct sw_service *sw_snapshot_services(const void *snapshot, uint32_t *count)
{
	return sw_snapshot_section(snapshot, SW_SECTION_SERVICES, count);
}

static inline const struct sw_target *sw_snapshot_targets(const void *snapshot, uint32_t *count)
{
	return sw_snapshot_section(snapshot, SW_SECTION_TARGETS, count);
}

static inline const struct sw_group *sw_snapshot_groups(const void *snapshot, uint32_t *count)
{
	return sw_snapshot_section(snapshot, SW_SECTION_GROUPS, count);
}

static inline const struct sw_prefix_rule *sw_snapshot_prefixes(const void *snapshot, uint32_t *count)
{
	return sw_snapshot_section(snapshot, SW_SECTION_PREFIXES, count);
}

/* `offset`: a name field of a service or group. */
static inline const char *sw_snapshot_string(const void *snapshot, uint32_t offset)
{
	return (const char *)sw_snapshot_section(snapshot, SW_SECTION_STRINGS, NULL) + offset;
}

#endif
