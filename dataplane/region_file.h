/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The two shared files of a dataplane: <runtime directory>/region (api/region.h; mode 0640) and
 * <runtime directory>/flows (below; mode 0600).
 *
 * Both are written all the time, so they must lie in memory: when the runtime directory is on a disk, the file
 * is made in /dev/shm and its name in the runtime directory is a symbolic link to it; otherwise the kernel would
 * write every counter to the disk, and make workers wait for it.
 *
 * Errors   0, or -errno with a text. Thread: start-up and shutdown.
 */
#ifndef SW_REGION_FILE_H
#define SW_REGION_FILE_H

#include <limits.h>
#include <stddef.h>

#include "api/region.h"

#define SW_FLOWS_NAME "flows"
#define SW_FLOWS_MAGIC 0x574f4c4653574153ull
#define SW_FLOWS_VERSION 3u

/*
 * The start of the flows file; the slice of worker i, sw_flow_table_bytes() long, lies at slice_offset + i *
 * slice_stride. A next process may take the tables over when everything in here but `pid` and `clean` is what it
 * would write itself.
 */
struct sw_flows_header {
	uint64_t magic;
	uint32_t version, header_bytes;
	uint64_t total_bytes;
	uint32_t flow_bytes, setup_bytes, bucket_bytes; /* sizeof of the three, as a check */
	uint32_t workers, flows_per_worker, pid;
	uint64_t slice_offset, slice_stride;
	uint64_t tsc_hz;
	uint64_t key_check; /* a hash under the key of the flow hashes: they are worth nothing under another */
	uint32_t clean;     /* 1: the process ended of its own accord */
	uint32_t reserved;
};

struct sw_mapped_file {
	void *base;
	size_t bytes;
	char path[PATH_MAX];     /* in the runtime directory; empty: anonymous */
	char behind[PATH_MAX];   /* in /dev/shm, when path is a link to it; else empty */
	char making[PATH_MAX];   /* path while not yet in place */
};

uint64_t sw_region_bytes(const struct sw_boot *boot, uint32_t links);

/* Lays a zeroed region out and fills in what is known at start. `memory`: sw_region_bytes(). */
void sw_region_format(struct sw_region *r, const struct sw_boot *boot, const struct sw_link *links, uint32_t link_count,
	uint64_t tsc_hz);

/* runtime_dir NULL: anonymous memory, for tests and benchmarks. The file stands beside its place until publish. */
int sw_mapped_file_make(const char *runtime_dir, const char *name, const char *instance, size_t bytes,
	unsigned int mode, struct sw_mapped_file *out, char *error, size_t error_bytes);
/* Renames it into place: from here on readers find it. */
int sw_mapped_file_publish(struct sw_mapped_file *f);
/* Unmaps; `remove`: takes the file away too (unless a successor's stands there by now, which callers know). */
void sw_mapped_file_close(struct sw_mapped_file *f, bool remove);

/*
 * Backs a mapping with pages now, of the NUMA node on which the caller runs: none may be faulted in on the packet path.
 * Kernels before 5.14 do not know the call: then the first touch pays.
 */
void sw_populate(void *memory, size_t bytes);

/* Makes a directory and its parents, mode 0750. 0 or -errno. */
int sw_make_directory(const char *path);

/* Writable views, for the one process that writes. */
static inline struct sw_worker_counters *sw_region_worker_rw(struct sw_region *r, unsigned int worker)
{
	return (struct sw_worker_counters *)((char *)r + r->worker_offset + worker * r->worker_stride);
}

static inline struct sw_service_state *sw_region_services_rw(struct sw_region *r)
{
	return (struct sw_service_state *)((char *)r + r->service_offset);
}

static inline struct sw_port_state *sw_region_ports_rw(struct sw_region *r)
{
	return (struct sw_port_state *)((char *)r + r->port_offset);
}

static inline uint64_t *sw_region_wire_entries_rw(struct sw_region *r)
{
	return (uint64_t *)((char *)r + r->wire_entry_offset);
}

static inline struct sw_source_record *sw_region_sources_rw(struct sw_region *r, unsigned int worker)
{
	return (struct sw_source_record *)((char *)r + r->source_offset + worker * r->source_stride);
}

#endif
