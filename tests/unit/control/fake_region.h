/* SPDX-License-Identifier: BSD-3-Clause */
/* A region file filled in as a dataplane would, for tests of its readers. */
#ifndef SW_TEST_FAKE_REGION_H
#define SW_TEST_FAKE_REGION_H

#include "api/region.h"

struct fake_region {
	char directory[64]; /* a new one below /tmp: the runtime directory */
	char path[96];
	struct sw_region *region; /* writable */
	uint64_t bytes;
};

struct fake_region_shape {
	uint32_t workers, links, services_max, groups_max, entries_max, source_records_per_worker;
};

/* Makes the directory, and a file that looks like a running dataplane's. Aborts the test program when it cannot. */
void fake_region_open(struct fake_region *f, const struct fake_region_shape *shape);
/* Only the directory: no dataplane yet. */
void fake_region_directory(struct fake_region *f);
/* Replaces the file by a new one, as a new dataplane does. The earlier mapping is given up. */
void fake_region_replace(struct fake_region *f, const struct fake_region_shape *shape);
void fake_region_beat(struct fake_region *f);  /* stamps the heartbeat with the present time */
void fake_region_close(struct fake_region *f); /* removes everything in the directory that the reader or writer made */

struct sw_worker_counters *fake_worker(struct fake_region *f, uint32_t worker);
struct sw_counters *fake_service_counters(struct fake_region *f, uint32_t worker, uint32_t slot);
struct sw_group_counters *fake_group(struct fake_region *f, uint32_t worker, uint32_t slot);
uint64_t *fake_entry(struct fake_region *f, uint32_t worker, uint32_t entry);
uint64_t *fake_wire_entry(struct fake_region *f, uint32_t entry);
struct sw_service_state *fake_service(struct fake_region *f, uint32_t slot, const char *name);
struct sw_port_state *fake_port(struct fake_region *f, uint32_t index);
struct sw_source_record *fake_source(struct fake_region *f, uint32_t worker, uint32_t index);

/* The TSC moment `seconds` before the region's anchor. */
uint64_t fake_tsc_ago(const struct fake_region *f, uint64_t seconds);

#endif
