/* SPDX-License-Identifier: BSD-3-Clause */
#include "fake_region.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define TSC_HZ     2000000000ull
#define ANCHOR_TSC (1000000ull * TSC_HZ)

static void must(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	abort();
}

static uint64_t line(uint64_t n)
{
	return (n + SW_CACHE_LINE - 1) / SW_CACHE_LINE * SW_CACHE_LINE;
}

static uint64_t now_unix_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static struct sw_region lay_out(const struct fake_region_shape *s)
{
	struct sw_region r = {
	    .magic = SW_REGION_MAGIC,
	    .version = SW_REGION_VERSION,
	    .layout_bytes = sizeof(r),
	    .start_unix_ns = now_unix_ns() - 60000000000ull,
	    .tsc_hz = TSC_HZ,
	    .pid = 4711,
	    .workers = s->workers,
	    .links = s->links,
	    .services_max = s->services_max,
	    .groups_max = s->groups_max,
	    .entries_max = s->entries_max,
	    .source_records_per_worker = s->source_records_per_worker,
	    .isa = "avx2",
	    .generation = 1,
	    .anchor_tsc = ANCHOR_TSC,
	    .anchor_unix_ns = now_unix_ns(),
	};
	r.worker_offset = line(sizeof(r));
	r.worker_stride = line(sizeof(struct sw_worker_counters) + s->services_max * sizeof(struct sw_counters) +
	                       s->entries_max * sizeof(uint64_t) + s->groups_max * sizeof(struct sw_group_counters));
	r.service_offset = r.worker_offset + r.worker_stride * s->workers;
	r.port_offset = r.service_offset + s->services_max * sizeof(struct sw_service_state);
	r.source_offset = r.port_offset + (uint64_t)s->links * SW_SIDES * sizeof(struct sw_port_state);
	r.source_stride = s->source_records_per_worker * sizeof(struct sw_source_record);
	r.wire_entry_offset = r.source_offset + r.source_stride * s->workers;
	r.total_bytes = r.wire_entry_offset + s->entries_max * sizeof(uint64_t);
	return r;
}

static void make_file(struct fake_region *f, const struct fake_region_shape *shape)
{
	char made[sizeof(f->path) + 8];
	const struct sw_region r = lay_out(shape);
	snprintf(made, sizeof(made), "%s.new", f->path);
	const int fd = open(made, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	must(fd >= 0 && !ftruncate(fd, (off_t)r.total_bytes), made);
	f->bytes = r.total_bytes;
	f->region = mmap(NULL, f->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(f->region != MAP_FAILED, "mmap");
	close(fd);
	memcpy(f->region, &r, sizeof(r));
	for (uint32_t i = 0; i < r.links * SW_SIDES; i++) {
		struct sw_port_state *p = fake_port(f, i);
		p->link = i / SW_SIDES;
		p->side = (uint8_t)(i % SW_SIDES);
		p->up = 1;
		snprintf(p->device, sizeof(p->device), "port%u", i);
	}
	fake_region_beat(f);
	must(!rename(made, f->path), f->path);
}

void fake_region_directory(struct fake_region *f)
{
	memset(f, 0, sizeof(*f));
	snprintf(f->directory, sizeof(f->directory), "/tmp/seawall-test-XXXXXX");
	must(mkdtemp(f->directory) != NULL, "mkdtemp");
	snprintf(f->path, sizeof(f->path), "%s/region", f->directory);
}

void fake_region_open(struct fake_region *f, const struct fake_region_shape *shape)
{
	fake_region_directory(f);
	make_file(f, shape);
}

void fake_region_replace(struct fake_region *f, const struct fake_region_shape *shape)
{
	if (f->region)
		munmap(f->region, f->bytes);
	make_file(f, shape);
}

void fake_region_beat(struct fake_region *f)
{
	atomic_store(&f->region->heartbeat_unix_ns, now_unix_ns());
}

void fake_region_close(struct fake_region *f)
{
	if (f->region)
		munmap(f->region, f->bytes);
	DIR *directory = opendir(f->directory);
	must(directory != NULL, f->directory);
	for (struct dirent *entry; (entry = readdir(directory));)
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			unlinkat(dirfd(directory), entry->d_name, 0);
	closedir(directory);
	must(!rmdir(f->directory), f->directory);
}

struct sw_worker_counters *fake_worker(struct fake_region *f, uint32_t worker)
{
	return (struct sw_worker_counters *)(uintptr_t)sw_region_worker(f->region, worker);
}

struct sw_counters *fake_service_counters(struct fake_region *f, uint32_t worker, uint32_t slot)
{
	return (struct sw_counters *)(uintptr_t)sw_region_worker_services(f->region, worker) + slot;
}

struct sw_group_counters *fake_group(struct fake_region *f, uint32_t worker, uint32_t slot)
{
	return (struct sw_group_counters *)(uintptr_t)sw_region_worker_groups(f->region, worker) + slot;
}

uint64_t *fake_entry(struct fake_region *f, uint32_t worker, uint32_t entry)
{
	return (uint64_t *)(uintptr_t)sw_region_worker_entries(f->region, worker) + entry;
}

uint64_t *fake_wire_entry(struct fake_region *f, uint32_t entry)
{
	return (uint64_t *)(uintptr_t)sw_region_wire_entries(f->region) + entry;
}

struct sw_service_state *fake_service(struct fake_region *f, uint32_t slot, const char *name)
{
	struct sw_service_state *s = (struct sw_service_state *)(uintptr_t)sw_region_services(f->region) + slot;
	snprintf(s->name, sizeof(s->name), "%s", name);
	s->in_use = 1;
	return s;
}

struct sw_port_state *fake_port(struct fake_region *f, uint32_t index)
{
	return (struct sw_port_state *)(uintptr_t)sw_region_ports(f->region) + index;
}

struct sw_source_record *fake_source(struct fake_region *f, uint32_t worker, uint32_t index)
{
	return (struct sw_source_record *)(uintptr_t)sw_region_sources(f->region, worker) + index;
}

uint64_t fake_tsc_ago(const struct fake_region *f, uint64_t seconds)
{
	return f->region->anchor_tsc - seconds * TSC_HZ;
}
