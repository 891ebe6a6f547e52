/* SPDX-License-Identifier: BSD-3-Clause */
#include "region_file.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "memory.h"

#define SHM_DIRECTORY "/dev/shm"

static uint64_t align(uint64_t value, uint64_t to)
{
	return (value + to - 1) / to * to;
}

/* Offsets of the blocks, in the order of api/region.h. Workers' blocks begin on pages of their own. */
struct layout {
	uint64_t worker, worker_stride, service, port, source, source_stride, wire_entry, total;
};

static struct layout lay_out(const struct sw_boot *boot, uint32_t links)
{
	struct layout l;
	l.worker = align(sizeof(struct sw_region), 4096);
	l.worker_stride = align(sizeof(struct sw_worker_counters) + boot->services_max * sizeof(struct sw_counters) +
			boot->entries_max * sizeof(uint64_t) + boot->groups_max * sizeof(struct sw_group_counters),
		4096);
	l.service = l.worker + boot->workers * l.worker_stride;
	l.port = align(l.service + boot->services_max * sizeof(struct sw_service_state), 4096);
	l.source = align(l.port + links * SW_SIDES * sizeof(struct sw_port_state), 4096);
	l.source_stride =
		align(sw_per_worker(boot->source_records, boot->workers) * sizeof(struct sw_source_record), 4096);
	l.wire_entry = align(l.source + boot->workers * l.source_stride, 4096);
	l.total = l.wire_entry + boot->entries_max * sizeof(uint64_t);
	return l;
}

uint64_t sw_region_bytes(const struct sw_boot *boot, uint32_t links)
{
	return lay_out(boot, links).total;
}

void sw_region_format(struct sw_region *r, const struct sw_boot *boot, const struct sw_link *links, uint32_t link_count,
	uint64_t tsc_hz)
{
	const struct layout l = lay_out(boot, link_count);
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	r->magic = SW_REGION_MAGIC;
	r->version = SW_REGION_VERSION;
	r->layout_bytes = (uint32_t)sizeof(*r);
	r->total_bytes = l.total;
	r->start_unix_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	r->tsc_hz = tsc_hz;
	r->pid = (uint32_t)getpid();
	r->workers = boot->workers;
	r->links = link_count;
	r->services_max = boot->services_max;
	r->groups_max = boot->groups_max;
	r->entries_max = boot->entries_max;
	r->source_records_per_worker = sw_per_worker(boot->source_records, boot->workers);
	r->worker_offset = l.worker;
	r->worker_stride = l.worker_stride;
	r->service_offset = l.service;
	r->port_offset = l.port;
	r->source_offset = l.source;
	r->source_stride = l.source_stride;
	r->wire_entry_offset = l.wire_entry;
	for (uint32_t i = 0; i < link_count * SW_SIDES; i++) {
		struct sw_port_state *p = &sw_region_ports_rw(r)[i];
		memcpy(p->device, links[i / SW_SIDES].ends[i % SW_SIDES].device, sizeof(p->device));
		p->side = (uint8_t)(i % SW_SIDES);
		p->link = i / SW_SIDES;
	}
}

static bool lies_in_memory(const char *directory)
{
	struct statfs fs;
	return statfs(directory, &fs) == 0 && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

static int map(int fd, size_t bytes, void **out)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	(void)madvise(p, bytes, MADV_HUGEPAGE);
	*out = p;
	return 0;
}

void sw_populate(void *memory, size_t bytes)
{
	const uintptr_t first = (uintptr_t)memory & ~(uintptr_t)4095;
	(void)madvise((void *)first, (uintptr_t)memory + bytes - first, MADV_POPULATE_WRITE);
}

/* All of it is reserved here: a file system that runs full later would end the process with SIGBUS. */
static int make_file(const char *path, size_t bytes, unsigned int mode, void **out)
{
	unlink(path);
	const int fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return -errno;
	int result = fchmod(fd, mode) ? -errno : -posix_fallocate(fd, 0, (off_t)bytes);
	if (result == 0)
		result = map(fd, bytes, out);
	if (result)
		unlink(path);
	close(fd);
	return result;
}

/* What dead predecessors left in /dev/shm: the number at the end is their pid. Readers that still map one keep it. */
static void remove_orphans(const char *instance, const char *name)
{
	char pattern[PATH_MAX];
	glob_t found;
	snprintf(pattern, sizeof(pattern), SHM_DIRECTORY "/seawall-%s-%s.*", instance, name);
	if (glob(pattern, GLOB_NOSORT, NULL, &found))
		return;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		const pid_t pid = (pid_t)strtol(strrchr(found.gl_pathv[i], '.') + 1, NULL, 10);
		if (pid > 0 && kill(pid, 0) && errno == ESRCH)
			unlink(found.gl_pathv[i]);
	}
	globfree(&found);
}

static int put_behind_link(struct sw_mapped_file *f, const char *name, const char *instance, unsigned int mode)
{
	snprintf(f->behind, sizeof(f->behind), SHM_DIRECTORY "/seawall-%s-%s.%d", instance, name, (int)getpid());
	remove_orphans(instance, name);
	const int result = make_file(f->behind, f->bytes, mode, &f->base);
	if (result)
		return result;
	unlink(f->making);
	return symlink(f->behind, f->making) ? -errno : 0;
}

int sw_mapped_file_make(const char *runtime_dir, const char *name, const char *instance, size_t bytes,
	unsigned int mode, struct sw_mapped_file *out, char *error, size_t error_bytes)
{
	*out = (struct sw_mapped_file){.bytes = bytes};
	int result;
	if (!runtime_dir) {
		result = map(-1, bytes, &out->base);
	} else if ((size_t)snprintf(out->making, sizeof(out->making), "%s/%s.tmp", runtime_dir, name) >=
		sizeof(out->making)) {
		result = -ENAMETOOLONG;
	} else {
		snprintf(out->path, sizeof(out->path), "%.*s", (int)(strlen(out->making) - 4), out->making);
		if (lies_in_memory(runtime_dir))
			result = make_file(out->making, bytes, mode, &out->base);
		else
			result = put_behind_link(out, name, instance, mode);
	}
	if (result) {
		snprintf(error, error_bytes, "%s: %zu MiB in memory: %s", out->behind[0] ? out->behind : out->making,
			(bytes >> 20) + 1, strerror(-result));
		sw_mapped_file_close(out, true);
	}
	return result;
}

int sw_mapped_file_publish(struct sw_mapped_file *f)
{
	if (!f->path[0])
		return 0;
	if (rename(f->making, f->path))
		return -errno;
	f->making[0] = '\0';
	return 0;
}

void sw_mapped_file_close(struct sw_mapped_file *f, bool remove)
{
	if (f->base)
		munmap(f->base, f->bytes);
	f->base = NULL;
	if (!remove)
		return;
	if (f->making[0])
		unlink(f->making);
	else if (f->path[0])
		unlink(f->path);
	if (f->behind[0])
		unlink(f->behind);
}

int sw_make_directory(const char *path)
{
	char part[PATH_MAX];
	const size_t length = strlen(path);
	if (length == 0 || length >= sizeof(part))
		return -ENAMETOOLONG;
	memcpy(part, path, length + 1);
	for (size_t i = 1; i <= length; i++) {
		if (part[i] != '/' && part[i] != '\0')
			continue;
		part[i] = '\0';
		if (mkdir(part, 0750) && errno != EEXIST)
			return -errno;
		part[i] = i < length ? '/' : '\0';
	}
	struct stat st;
	if (stat(path, &st))
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}
