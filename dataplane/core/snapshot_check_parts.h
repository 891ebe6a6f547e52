/* SPDX-License-Identifier: BSD-3-Clause */
/* What the two files of the snapshot check share: where it stands, and how it refuses. */
#ifndef SW_CORE_SNAPSHOT_CHECK_PARTS_H
#define SW_CORE_SNAPSHOT_CHECK_PARTS_H

#include "snapshot_check.h"

struct snapshot_check {
	const struct sw_snapshot_header *header;
	const char *strings;
	uint32_t string_bytes;
	char *error;
	size_t error_bytes;
};

/* Where a refused value stands. */
struct snapshot_place {
	const char *section;
	uint32_t index;
};

/* All of these return 0, or -EINVAL with the text written. */
__attribute__((format(printf, 2, 3))) int sw_snapshot_refuse(const struct snapshot_check *c, const char *format, ...);
int sw_snapshot_in_range(const struct snapshot_check *c, struct snapshot_place at, const char *field, int64_t value,
    int64_t low, int64_t high);
/* A bucket has a rate and a depth, or neither. */
int sw_snapshot_check_rate(
    const struct snapshot_check *c, struct snapshot_place at, const char *field, uint32_t per_s, uint32_t burst);
/* Length of a name within `room` bytes, or -1: empty, no NUL within `room`, or a control character. */
int sw_snapshot_name_length(const char *text, size_t room);

/* Services, groups, targets, prefixes, in this order; header, strings, boot and global are right. Or -ENOMEM. */
int sw_snapshot_check_policy(const struct snapshot_check *c);

#endif
