/* SPDX-License-Identifier: BSD-3-Clause */
/* The rest of compile.h: looking at snapshots that exist, at a running dataplane, and at the machine. */
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "api/region.h"
#include "compile.h"

const void *sw_snapshot_array(const struct sw_snapshot_header *snapshot, enum sw_section_id id, uint32_t *count)
{
	if (count)
		*count = snapshot->sections[id].count;
	return (const char *)snapshot + snapshot->sections[id].offset;
}

const char *sw_snapshot_text(const struct sw_snapshot_header *snapshot, uint32_t offset)
{
	return (const char *)sw_snapshot_array(snapshot, SW_SECTION_STRINGS, NULL) + offset;
}

uint32_t sw_usable_cpus(uint32_t *cpus, uint32_t max)
{
	cpu_set_t set;
	uint32_t count = 0;
	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		for (uint32_t cpu = 0; cpu < CPU_SETSIZE && count < max; cpu++)
			if (CPU_ISSET(cpu, &set))
				cpus[count++] = cpu;
	if (!count)
		cpus[count++] = 0;
	return count;
}

/* The dataplane's heart beats every 20 ms. */
enum { LIVE_S = 5 };

static bool is_live(const struct sw_region *region)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	const uint64_t beat = atomic_load_explicit(&region->heartbeat_unix_ns, memory_order_relaxed);
	const uint64_t seconds = beat / 1000000000u;
	return !atomic_load_explicit(&region->ended, memory_order_relaxed) && seconds + LIVE_S > (uint64_t)now.tv_sec;
}

static struct sw_running_services *copy_services(const struct sw_region *region, uint64_t bytes)
{
	const uint64_t room = bytes >= sizeof(*region) ? bytes - sizeof(*region) : 0;
	if (!room || region->magic != SW_REGION_MAGIC || region->version != SW_REGION_VERSION ||
	    region->layout_bytes != sizeof(*region) || region->services_max > SW_SERVICES_MAX ||
	    region->service_offset > bytes ||
	    region->services_max > (bytes - region->service_offset) / sizeof(struct sw_service_state))
		return NULL;
	const struct sw_service_state *services = sw_region_services(region);
	const uint32_t count = region->services_max;
	struct sw_running_services *running = calloc(1, sizeof(*running) + count * sizeof(running->services[0]));
	if (!running)
		return NULL;
	running->is_live = is_live(region);
	running->count = count;
	for (uint32_t i = 0; i < count; i++) {
		memcpy(running->services[i].name, services[i].name, SW_NAME_BYTES - 1);
		running->services[i].concurrent = services[i].concurrent;
		running->services[i].armed = atomic_load_explicit(&services[i].armed, memory_order_relaxed);
	}
	return running;
}

struct sw_running_services *sw_running_services(const char *region_path)
{
	struct stat status;
	struct sw_running_services *running = NULL;
	const int fd = open(region_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return NULL;
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0) {
		void *region = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fd, 0);
		if (region != MAP_FAILED) {
			running = copy_services(region, (uint64_t)status.st_size);
			munmap(region, (size_t)status.st_size);
		}
	}
	close(fd);
	return running;
}

static const uint32_t element_bytes[SW_SECTION_COUNT] = {
    [SW_SECTION_BOOT] = sizeof(struct sw_boot),
    [SW_SECTION_LINKS] = sizeof(struct sw_link),
    [SW_SECTION_GLOBAL] = sizeof(struct sw_global),
    [SW_SECTION_SERVICES] = sizeof(struct sw_service),
    [SW_SECTION_TARGETS] = sizeof(struct sw_target),
    [SW_SECTION_GROUPS] = sizeof(struct sw_group),
    [SW_SECTION_PREFIXES] = sizeof(struct sw_prefix_rule),
    [SW_SECTION_STRINGS] = 1,
};

static bool names_readable(const struct sw_snapshot_header *s)
{
	uint32_t services, groups, strings;
	const struct sw_service *service = sw_snapshot_array(s, SW_SECTION_SERVICES, &services);
	const struct sw_group *group = sw_snapshot_array(s, SW_SECTION_GROUPS, &groups);
	const char *string = sw_snapshot_array(s, SW_SECTION_STRINGS, &strings);
	if (!strings || string[strings - 1] != 0)
		return false;
	for (uint32_t i = 0; i < services; i++)
		if (service[i].name >= strings)
			return false;
	for (uint32_t i = 0; i < groups; i++)
		if (group[i].name >= strings)
			return false;
	return true;
}

bool sw_snapshot_readable(const void *data, uint64_t bytes)
{
	const struct sw_snapshot_header *s = data;
	if (bytes < sizeof(*s) || (uintptr_t)data % _Alignof(struct sw_snapshot_header) || s->magic != SW_SNAPSHOT_MAGIC ||
	    s->version != SW_SNAPSHOT_VERSION || s->header_bytes != sizeof(*s) || s->total_bytes != bytes ||
	    bytes > SW_SNAPSHOT_MAX_BYTES)
		return false;
	for (int i = 0; i < SW_SECTION_COUNT; i++) {
		const struct sw_section *section = &s->sections[i];
		if (section->element_bytes != element_bytes[i] || section->offset % 8 || section->offset < sizeof(*s) ||
		    section->offset > bytes || section->count > (bytes - section->offset) / section->element_bytes)
			return false;
	}
	return s->sections[SW_SECTION_BOOT].count == 1 && s->sections[SW_SECTION_GLOBAL].count == 1 && names_readable(s) &&
	       s->checksum == sw_snapshot_checksum(s + 1, bytes - sizeof(*s));
}

bool sw_snapshot_same(const struct sw_snapshot_header *a, const struct sw_snapshot_header *b)
{
	return a->total_bytes == b->total_bytes && a->checksum == b->checksum &&
	       memcmp(a->sections, b->sections, sizeof(a->sections)) == 0 &&
	       memcmp(a + 1, b + 1, a->total_bytes - sizeof(*a)) == 0;
}
