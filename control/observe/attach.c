/* SPDX-License-Identifier: BSD-3-Clause */
#include "attach.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

const char *sw_dataplane_state_name(enum sw_dataplane_state state)
{
	static const char *const names[] = {
	    [SW_DATAPLANE_ABSENT] = "absent",
	    [SW_DATAPLANE_INCOMPATIBLE] = "incompatible",
	    [SW_DATAPLANE_ENDED] = "ended",
	    [SW_DATAPLANE_STALE] = "stale",
	    [SW_DATAPLANE_RUNNING] = "running",
	};
	return names[state];
}

int sw_attach_init(struct sw_attach *a, const char *runtime_dir)
{
	memset(a, 0, sizeof(*a));
	const int n = snprintf(a->path, sizeof(a->path), "%s/%s", runtime_dir, "region");
	return n < 0 || (size_t)n >= sizeof(a->path) ? -ENAMETOOLONG : 0;
}

/* `count` pieces of `piece` bytes, `stride` apart, from `offset` on: do they lie inside `bytes`, on whole lines? */
static bool fits(uint64_t offset, uint64_t count, uint64_t stride, uint64_t piece, uint64_t bytes)
{
	if (offset % SW_CACHE_LINE || offset < sizeof(struct sw_region) || offset > bytes)
		return false;
	if (count > 1 && (stride < piece || stride % SW_CACHE_LINE))
		return false;
	if (piece > bytes - offset)
		return count == 0;
	return count < 2 || (bytes - offset - piece) / stride >= count - 1;
}

/* How many bytes one worker's counters take, with the arrays behind them. */
static uint64_t worker_bytes(const struct sw_region *r)
{
	return sizeof(struct sw_worker_counters) + r->services_max * sizeof(struct sw_counters) +
	       r->entries_max * sizeof(uint64_t) + r->groups_max * sizeof(struct sw_group_counters);
}

static const char *misplaced_part(const struct sw_region *r, uint64_t bytes)
{
	const uint64_t sources_bytes = r->source_records_per_worker * sizeof(struct sw_source_record);
	if (r->workers < 1 || r->workers > SW_WORKERS_MAX)
		return "workers";
	if (r->links > SW_LINKS_MAX)
		return "links";
	if (r->services_max > SW_SERVICES_MAX)
		return "services_max";
	if (r->groups_max > SW_GROUPS_MAX)
		return "groups_max";
	if (r->entries_max > SW_ENTRIES_MAX)
		return "entries_max";
	if (!fits(r->worker_offset, r->workers, r->worker_stride, worker_bytes(r), bytes))
		return "worker counters";
	if (!fits(r->service_offset, 1, 0, r->services_max * sizeof(struct sw_service_state), bytes))
		return "service states";
	if (!fits(r->port_offset, 1, 0, r->links * (uint64_t)SW_SIDES * sizeof(struct sw_port_state), bytes))
		return "port states";
	if (!fits(r->source_offset, r->workers, r->source_stride, sources_bytes, bytes))
		return "source records";
	if (r->wire_entry_offset && !fits(r->wire_entry_offset, 1, 0, r->entries_max * sizeof(uint64_t), bytes))
		return "wire entries";
	return NULL;
}

int sw_region_check(const void *data, uint64_t bytes, char *text, size_t text_bytes)
{
	const struct sw_region *r = data;
	if (bytes < sizeof(*r)) {
		snprintf(text, text_bytes, "the region is cut off: %llu bytes", (unsigned long long)bytes);
		return -EINVAL;
	}
	if (r->magic != SW_REGION_MAGIC) {
		snprintf(text, text_bytes, "the region file is none of Seawall's");
		return -EINVAL;
	}
	if (r->version != SW_REGION_VERSION || r->layout_bytes != sizeof(*r)) {
		snprintf(text, text_bytes,
		    "the dataplane writes region version %u (%u bytes), this daemon reads version %u (%zu bytes): "
		    "run both from the same build",
		    r->version, r->layout_bytes, SW_REGION_VERSION, sizeof(*r));
		return -ENOTSUP;
	}
	const char *part = r->total_bytes > bytes ? "total_bytes" : misplaced_part(r, bytes);
	if (part) {
		snprintf(text, text_bytes, "the region is inconsistent: %s", part);
		return -EINVAL;
	}
	return 0;
}

static void unmap(struct sw_attach *a)
{
	if (a->region)
		munmap((void *)(uintptr_t)a->region, a->bytes);
	a->region = NULL;
	a->bytes = 0;
	a->inode = 0;
	a->heartbeat_unix_ns = 0;
	a->heartbeat_seen_ns = 0;
}

static void set_state(struct sw_attach *a, enum sw_dataplane_state state, const char *text)
{
	a->state = state;
	snprintf(a->text, sizeof(a->text), "%s", text);
}

/* Maps the file behind `fd` in place of what is mapped now. */
static bool map(struct sw_attach *a, int fd, const struct stat *st)
{
	unmap(a);
	a->device = st->st_dev;
	a->inode = st->st_ino;
	if (!S_ISREG(st->st_mode) || st->st_size < (off_t)sizeof(struct sw_region)) {
		set_state(a, SW_DATAPLANE_INCOMPATIBLE, "the region file is cut off or no file at all");
		return false;
	}
	const uint64_t bytes = (uint64_t)st->st_size;
	void *data = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
	if (data == MAP_FAILED) {
		set_state(a, SW_DATAPLANE_INCOMPATIBLE, strerror(errno));
		return false;
	}
	char text[sizeof(a->text)];
	if (sw_region_check(data, bytes, text, sizeof(text))) {
		set_state(a, SW_DATAPLANE_INCOMPATIBLE, text);
		munmap(data, bytes);
		return false;
	}
	a->region = data;
	a->bytes = bytes;
	return true;
}

/*
 * A heartbeat is judged by its change, on the monotonic clock, so that a step of the wall clock neither kills nor
 * revives a dataplane. Only the first look has no change to go by, and compares wall times.
 */
static void judge(struct sw_attach *a, bool first, uint64_t mono_ns, uint64_t unix_ns)
{
	const uint64_t beat = atomic_load_explicit(&a->region->heartbeat_unix_ns, memory_order_relaxed);
	if (first) {
		const uint64_t age = unix_ns > beat ? unix_ns - beat : 0;
		a->heartbeat_seen_ns = age < mono_ns ? mono_ns - age : 0;
	} else if (beat != a->heartbeat_unix_ns) {
		a->heartbeat_seen_ns = mono_ns;
	}
	a->heartbeat_unix_ns = beat;
	if (atomic_load_explicit(&a->region->ended, memory_order_relaxed))
		set_state(a, SW_DATAPLANE_ENDED, "the dataplane was shut down; these are its last counters");
	else if (mono_ns - a->heartbeat_seen_ns > SW_HEARTBEAT_STALE_NS)
		set_state(a, SW_DATAPLANE_STALE, "the dataplane no longer stamps its heartbeat: killed or hung");
	else
		set_state(a, SW_DATAPLANE_RUNNING, "");
}

bool sw_attach_refresh(struct sw_attach *a, uint64_t mono_ns, uint64_t unix_ns)
{
	struct stat st;
	bool mapped = false;
	/* It may be a link: the dataplane keeps its region in memory where the runtime directory lies on a disk. */
	const int fd = open(a->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0) {
		const int error = errno;
		unmap(a);
		if (error == ENOENT)
			set_state(a, SW_DATAPLANE_ABSENT, "no dataplane has started with this runtime directory");
		else
			set_state(a, SW_DATAPLANE_INCOMPATIBLE, strerror(error));
	} else if (!a->region || st.st_ino != a->inode || st.st_dev != a->device || (uint64_t)st.st_size != a->bytes) {
		mapped = map(a, fd, &st);
	}
	if (fd >= 0)
		close(fd);
	if (a->region)
		judge(a, mapped, mono_ns, unix_ns);
	return mapped;
}

void sw_attach_close(struct sw_attach *a)
{
	unmap(a);
	set_state(a, SW_DATAPLANE_ABSENT, "");
}
