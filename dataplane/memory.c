/* SPDX-License-Identifier: BSD-3-Clause */
#include "memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/flow_table.h"
#include "core/limiter_table.h"
#include "region_file.h"
#include "worker_state.h"

#define MIB (1ull << 20)

enum {
	EAL_BASE_MIB = 48,        /* heap bookkeeping, logs, drivers; measured 20 to 30 */
	DESCRIPTOR_BYTES = 128,   /* of a NIC queue: descriptor and software ring; generous */
	PORT_BYTES = 2 << 20,     /* a driver's own state, and the descriptors of a SYN queue where there is one */
};

uint32_t sw_mbufs_needed(const struct sw_boot *boot, uint32_t links)
{
	const uint64_t ends = (uint64_t)links * SW_SIDES;
	const uint64_t held = sw_per_worker(boot->held_pkts, boot->workers);
	const uint64_t needed =
		ends * (boot->rx_descriptors + boot->tx_descriptors) + held + 2 * SW_POOL_CACHE + 16 * SW_BURST;
	return needed > UINT32_MAX ? UINT32_MAX : (uint32_t)needed;
}

void sw_memory_plan_make(const struct sw_boot *boot, uint32_t links, uint64_t snapshot_bytes,
	struct sw_memory_plan *out)
{
	const uint64_t workers = boot->workers;
	const uint64_t queues = workers * links * SW_SIDES;
	uint64_t mask;
	*out = (struct sw_memory_plan){0};
	out->packet_buffers = workers * boot->mbufs * SW_MBUF_BYTES;
	out->eal = out->packet_buffers + EAL_BASE_MIB * MIB + queues * PORT_BYTES +
		queues * (boot->rx_descriptors + boot->tx_descriptors) * DESCRIPTOR_BYTES +
		workers * workers * SW_HANDOVER_RING * sizeof(void *);
	out->flows = workers * sw_flow_table_bytes(sw_per_worker(boot->flows, boot->workers));
	out->limiter = workers * sw_limiter_bytes(sw_per_worker(boot->limiter_entries, boot->workers), &mask);
	out->region = sw_region_bytes(boot, links);
	/* sw_worker_state_bytes() counts the limiter, which stands on its own here. */
	out->workers = workers * sw_worker_state_bytes(boot, links) - out->limiter;
	/* The bytes themselves twice, and the tables built from them: at most about eight times as large. */
	out->policy = 2 * (snapshot_bytes + 8 * snapshot_bytes) + 4 * MIB;
	out->total = out->eal + out->flows + out->limiter + out->region + out->workers + out->policy;
}

static uint64_t to_mib(uint64_t bytes)
{
	return (bytes + MIB - 1) / MIB;
}

int sw_memory_check(const struct sw_memory_plan *plan, bool huge, uint64_t available, char *error, size_t error_bytes)
{
	const uint64_t needed = huge ? plan->total - plan->eal : plan->total;
	if (available == 0 || needed <= available)
		return 0;
	snprintf(error, error_bytes,
		"the boot section needs %" PRIu64 " MiB of ordinary memory, %" PRIu64 " MiB are available: "
		"packet buffers and EAL %" PRIu64 "%s (boot.mbufs), flows %" PRIu64 " (boot.flows), limiter %" PRIu64
		" (boot.limiter_entries), records and counters %" PRIu64
		" (boot.source_records, services_max, entries_max), workers %" PRIu64 ", policy %" PRIu64,
		to_mib(needed), to_mib(available), to_mib(plan->eal), huge ? " on huge pages, not counted" : "",
		to_mib(plan->flows), to_mib(plan->limiter), to_mib(plan->region), to_mib(plan->workers),
		to_mib(plan->policy));
	return -ENOMEM;
}

static uint64_t read_number(const char *path)
{
	uint64_t value = 0;
	FILE *f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%" SCNu64, &value) != 1)
		value = 0;
	fclose(f);
	return value;
}

uint64_t sw_memory_available(void)
{
	uint64_t kib = 0;
	char line[256];
	FILE *f = fopen("/proc/meminfo", "re");
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %" SCNu64 " kB", &kib) == 1)
			break;
	fclose(f);
	uint64_t available = kib << 10;
	/* Version 2 only, and only the group's own files: enough for a container or a unit with MemoryMax=. */
	const uint64_t limit = read_number("/sys/fs/cgroup/memory.max");
	const uint64_t used = read_number("/sys/fs/cgroup/memory.current");
	if (limit && limit - (used < limit ? used : limit) < available)
		available = limit - (used < limit ? used : limit);
	return available;
}

uint64_t sw_memory_huge_free(void)
{
	return read_number("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages") * 2 * MIB +
		read_number("/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages") * 1024 * MIB;
}
