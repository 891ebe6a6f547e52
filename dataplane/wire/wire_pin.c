/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The directory of pins, on a bpffs:
 *
 *   link:IFNAME                     keeps the program attached
 *   sockets:IFNAME:1, counters:IFNAME:1
 *   heartbeats::1, settings::1, blocks::1, ...   shared by all interfaces
 *
 * The number is the layout's: another version of Seawall makes maps of its own and removes those. A bpffs refuses dots
 * in names, an interface's name has no colons: dots become colons.
 */
#include "wire_private.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define BPFFS "/sys/fs/bpf"

/* ---- the directory ------------------------------------------------------------------------------------------------
 */

static bool is_bpffs(const char *path)
{
	struct statfs fs;
	return statfs(path, &fs) == 0 && (uint64_t)fs.f_type == BPF_FS_MAGIC;
}

static int make_directories(const char *path)
{
	char partial[sizeof(((struct sw_wire *)0)->pin_directory)];
	snprintf(partial, sizeof(partial), "%s", path);
	for (char *slash = partial + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
		*slash = '\0';
		if (mkdir(partial, 0700) && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return mkdir(partial, 0700) && errno != EEXIST ? -errno : 0;
}

static void dots_to_colons(char *text)
{
	for (; (text = strchr(text, '.')) != NULL; text++)
		*text = ':';
}

/* A mount that only this process's mount namespace sees ends with it, and the pins with the mount. */
static bool mounts_are_private(void)
{
	struct stat own, first;
	return stat("/proc/self/ns/mnt", &own) == 0 && stat("/proc/1/ns/mnt", &first) == 0 && own.st_ino != first.st_ino;
}

int wire_pin_prepare(char *directory, char *error, size_t error_bytes)
{
	const bool usual = strncmp(directory, BPFFS "/", sizeof(BPFFS)) == 0;
	bool mounted = false;
	if (usual)
		dots_to_colons(directory + sizeof(BPFFS));
	if (usual && !is_bpffs(BPFFS)) {
		if (mount("bpf", BPFFS, "bpf", 0, "mode=0700"))
			return wire_fail(error, error_bytes, -errno, "cannot mount a bpffs on " BPFFS ": %s", strerror(errno));
		mounted = true;
	}
	const int made = make_directories(directory);
	if (made)
		return wire_fail(error, error_bytes, made, "cannot make %s: %s", directory, strerror(-made));
	if (!is_bpffs(directory)) {
		if (mount("bpf", directory, "bpf", 0, "mode=0700"))
			return wire_fail(error, error_bytes, -errno, "cannot mount a bpffs on %s: %s", directory, strerror(errno));
		mounted = true;
	}
	if (mounted && mounts_are_private())
		wire_fail(error, error_bytes, 0,
		    "the bpffs at %s was mounted in a mount namespace of its own (as by 'ip netns "
		    "exec'): the fail mode ends with the process. Start it with 'nsenter --net=' instead",
		    directory);
	return 0;
}

/* ---- pins ---------------------------------------------------------------------------------------------------------
 */

/* "KIND:NAME", and ":LAYOUT" where `versioned`. */
static void pin_name(const char *kind, const char *name, bool versioned, char *out, size_t room)
{
	char layout[16] = "";
	if (versioned)
		snprintf(layout, sizeof(layout), ":%d", SW_WIRE_LAYOUT);
	snprintf(out, room, "%s:%s%s", kind, name, layout);
	dots_to_colons(out);
}

int wire_pin_path(const struct sw_wire *wire, const char *kind, const char *name, bool versioned, char path[300])
{
	char last[64];
	pin_name(kind, name, versioned, last, sizeof(last));
	return snprintf(path, 300, "%s/%s", wire->pin_directory, last) < 300 ? 0 : -ENAMETOOLONG;
}

static bool fits(const struct bpf_map *map, int pinned)
{
	struct bpf_map_info info = {0};
	uint32_t bytes = sizeof(info);
	return bpf_obj_get_info_by_fd(pinned, &info, &bytes) == 0 && info.type == bpf_map__type(map) &&
	       info.key_size == bpf_map__key_size(map) && info.value_size == bpf_map__value_size(map) &&
	       info.max_entries == bpf_map__max_entries(map) && info.map_flags == bpf_map__map_flags(map);
}

void wire_pin_reuse(struct bpf_map *map, const char *path)
{
	const int pinned = bpf_obj_get(path);
	if (pinned < 0)
		return;
	if (!fits(map, pinned) || bpf_map__reuse_fd(map, pinned))
		unlink(path);
	close(pinned);
}

int wire_pin_keep(struct bpf_map *map, const char *path)
{
	return bpf_obj_pin(bpf_map__fd(map), path) && errno != EEXIST ? -errno : 0;
}

/* ---- cleaning up --------------------------------------------------------------------------------------------------
 */

static bool is_in_use(const struct sw_wire *wire, const char *entry)
{
	static const char *const kinds[] = {"link", "sockets", "counters"};
	char layout[16], wanted[64];
	snprintf(layout, sizeof(layout), "::%d", SW_WIRE_LAYOUT);
	const char *shared = strstr(entry, "::");
	if (shared && strcmp(shared, layout) == 0 && strchr(entry, ':') == shared)
		return true;
	for (uint32_t i = 0; i < wire->port_count; i++) {
		for (int kind = 0; kind < 3; kind++) {
			pin_name(kinds[kind], wire->ports[i].name, kind > 0, wanted, sizeof(wanted));
			if (strcmp(entry, wanted) == 0)
				return true;
		}
	}
	return false;
}

/* The last reference to a link detaches its program, but some time later: the kernel defers it. */
static void remove_pin(const char *path, bool is_link)
{
	const int link = is_link ? bpf_obj_get(path) : -1;
	if (link >= 0) {
		bpf_link_detach(link);
		close(link);
	}
	unlink(path);
}

void wire_pin_clean(const struct sw_wire *wire, bool all)
{
	char path[sizeof(wire->pin_directory) + sizeof(((struct dirent *)0)->d_name) + 1];
	DIR *directory = opendir(wire->pin_directory);
	if (!directory)
		return;
	for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
		if (entry->d_name[0] == '.' || (!all && is_in_use(wire, entry->d_name)))
			continue;
		snprintf(path, sizeof(path), "%s/%s", wire->pin_directory, entry->d_name);
		remove_pin(path, strncmp(entry->d_name, "link:", 5) == 0);
	}
	closedir(directory);
	if (all)
		rmdir(wire->pin_directory);
}
