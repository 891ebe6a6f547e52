/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The reader's end of the region (api/region.h): finds the file, checks it, maps it read only, and notices when the
 * dataplane behind it ended, hangs, or was replaced by another one. It never writes and never waits.
 *
 * Thread   one; the caller's.
 * Clock    a parameter: CLOCK_MONOTONIC and CLOCK_REALTIME in nanoseconds, read by the caller.
 */
#ifndef SW_OBSERVE_ATTACH_H
#define SW_OBSERVE_ATTACH_H

#include <limits.h>
#include <sys/types.h>

#include "api/region.h"

/* A running dataplane stamps its heartbeat about every 20 ms; a hundred missed stamps are no accident. */
#define SW_HEARTBEAT_STALE_NS 2000000000ull

enum sw_dataplane_state {
	SW_DATAPLANE_ABSENT,       /* no region file */
	SW_DATAPLANE_INCOMPATIBLE, /* a region that this build cannot read; `text` says why */
	SW_DATAPLANE_ENDED,        /* shut down cleanly; its last counters are still readable */
	SW_DATAPLANE_STALE,        /* killed or hung; likewise */
	SW_DATAPLANE_RUNNING,
};

struct sw_attach {
	char path[PATH_MAX];
	const struct sw_region *region; /* NULL: nothing readable. Valid until the next sw_attach_refresh() */
	uint64_t bytes;
	dev_t device;
	ino_t inode;
	enum sw_dataplane_state state;
	char text[256];             /* for a person: what the state means and what to do */
	uint64_t heartbeat_unix_ns; /* as last seen */
	uint64_t heartbeat_seen_ns; /* monotonic time at which it was last seen to change */
};

/* `runtime_dir`: holds the file "region". 0 or -ENAMETOOLONG. Maps nothing yet. */
int sw_attach_init(struct sw_attach *a, const char *runtime_dir);

/* Brings everything above up to date. Returns true when `region` was mapped anew, i.e. the counters begin again. */
bool sw_attach_refresh(struct sw_attach *a, uint64_t mono_ns, uint64_t unix_ns);

void sw_attach_close(struct sw_attach *a);

/* "absent", "incompatible", "ended", "stale", "running". */
const char *sw_dataplane_state_name(enum sw_dataplane_state state);

/*
 * Checks that a mapping of `bytes` bytes holds a region of this build whose parts all lie inside it.
 * 0, or -ENOTSUP (other version or layout) or -EINVAL (cut or inconsistent), with the reason in `text`.
 */
int sw_region_check(const void *data, uint64_t bytes, char *text, size_t text_bytes);

#endif
