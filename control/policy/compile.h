/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * spec -> snapshot (api/policy_snapshot.h): one malloc'd block, ready to be handed to the dataplane.
 *
 * Slots    services and groups keep the slot, and prefixes the entry number, that they have in the previous snapshot,
 *          so that counters go on under the same index. What is new takes the next number that nobody used for longest.
 * Thread   any; no state of its own.
 */
#ifndef SW_POLICY_COMPILE_H
#define SW_POLICY_COMPILE_H

#include "report.h"
#include "spec.h"

/* A block in the operator's terms, as far as the snapshot is concerned. */
struct sw_compile_block {
	struct sw_prefix prefix;
	uint64_t until_unix_ns; /* 0: never ends */
};

/* Where the search for a free number goes on. Zero at first; kept by the caller from one compile to the next. */
struct sw_slot_cursors {
	uint32_t services, groups, entries;
};

/* Services by slot, as a running dataplane shows them. */
struct sw_running_service {
	char name[SW_NAME_BYTES]; /* empty: the slot is free */
	uint64_t concurrent;      /* established connections */
	bool armed;               /* clients may hold cookies */
};

struct sw_running_services {
	bool is_live; /* it has not ended, and its heart has beaten within the last seconds */
	uint32_t count;
	struct sw_running_service services[];
};

struct sw_compile_input {
	const struct sw_spec *spec;
	const struct sw_snapshot_header *previous; /* NULL: none */
	const struct sw_running_services *running; /* used for services when there is no previous snapshot; NULL: none */
	/*
	 * By slot of the previous snapshot, SW_SERVICES_MAX of them: 1 where connections go on, so that what the spec has
	 * given up of the service is kept as a retired one (retire.h). NULL: nothing is.
	 */
	const uint8_t *keep;
	const struct sw_compile_block *blocks;
	uint32_t block_count;
	uint64_t generation, now_unix_ns;
	const uint32_t *cpus; /* that workers may run on, rising; used where boot.cores is empty */
	uint32_t cpu_count;
};

/* 0; -ENOMEM; -ENOSPC: more entries than boot.entries, the report says so. */
int sw_compile(const struct sw_compile_input *input, struct sw_slot_cursors *cursors, struct sw_report *report,
	struct sw_snapshot_header **out);

/* The CPUs that this process may run on, at most `max`, rising; returns how many (at least one). */
uint32_t sw_usable_cpus(uint32_t *cpus, uint32_t max);

/* Reads them from a region file (api/region.h). malloc'd; NULL: there is none, or it is not of this version. */
struct sw_running_services *sw_running_services(const char *region_path);

/* A section's array; *count may be NULL. The snapshot was compiled here or has passed sw_snapshot_readable(). */
const void *sw_snapshot_array(const struct sw_snapshot_header *snapshot, enum sw_section_id id, uint32_t *count);
const char *sw_snapshot_text(const struct sw_snapshot_header *snapshot, uint32_t offset);

/*
 * Whether `data` is a whole snapshot of this version, whose arrays and strings can be read without leaving it. This is
 * for the daemon's own files; the dataplane judges the meaning.
 */
bool sw_snapshot_readable(const void *data, uint64_t bytes);
/* Whether two snapshots say the same, apart from generation and time. */
bool sw_snapshot_same(const struct sw_snapshot_header *a, const struct sw_snapshot_header *b);

#endif
