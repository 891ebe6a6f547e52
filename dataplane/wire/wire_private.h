/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the loader share, and its unit tests see. */
#ifndef SW_WIRE_PRIVATE_H
#define SW_WIRE_PRIVATE_H

#include "wire.h"

struct wire_bpf; /* the generated skeleton */

/* Maps that all interfaces share. */
enum wire_map {
	WIRE_MAP_HEARTBEATS,
	WIRE_MAP_SETTINGS,
	WIRE_MAP_BLOCKS,
	WIRE_MAP_ENTRY_HITS,
	WIRE_MAP_SERVER_SETS,
	WIRE_MAP_PORT_SETS,
	WIRE_MAP_SOURCE_SETS,
	WIRE_MAP_SHARED, /* how many */
};

struct wire_port {
	char name[16]; /* IFNAMSIZ */
	int ifindex;
	uint32_t link;
	uint8_t side;
	struct wire_bpf *skeleton;
	struct bpf_link *attached;
};

struct sw_wire {
	struct wire_port ports[SW_LINKS_MAX * SW_SIDES];
	uint32_t port_count;
	int shared[WIRE_MAP_SHARED];          /* descriptors; those of ports[0].skeleton */
	struct sw_wire_heartbeat *heartbeats; /* [SW_WIRE_QUEUES_MAX], mapped */
	struct sw_wire_settings *settings;    /* mapped */
	uint64_t *entry_hits;                 /* [queues * entries_max], mapped; NULL when entries_max is 0 */
	uint32_t queues, entries_max;
	int cpus;
	bool load_only;
	char pin_directory[256];
	/* The source trie in force, to be hung up again when the next policy has the same rules; -1: none yet. */
	int sources;
	uint64_t sources_sum;
	uint32_t sources_count;
};

/* Writes a text for a person and returns `code`. */
__attribute__((format(printf, 4, 5))) int wire_fail(char *error, size_t error_bytes, int code, const char *format, ...);

/* Descriptors of one interface's program and socket map. */
int wire_program(struct sw_wire *wire, uint32_t port);
int wire_sockets(struct sw_wire *wire, uint32_t port);

/* ---- wire_pin.c: the directory of pins ----------------------------------------------------------------------------
 */

/* Makes the directory, and mounts a bpffs where there is none. Dots in it become colons: a bpffs refuses them. */
int wire_pin_prepare(char *directory, char *error, size_t error_bytes);
/* Path of a pin; `versioned`: with this layout's number. -ENAMETOOLONG. */
int wire_pin_path(const struct sw_wire *wire, const char *kind, const char *name, bool versioned, char path[300]);
/* Removes every pin that this box, with these interfaces and this layout, does not use; with `all` the directory too.
 */
void wire_pin_clean(const struct sw_wire *wire, bool all);

struct bpf_map;
/* Makes `map` the pinned one, if there is one that fits; a pin that does not fit is removed. */
void wire_pin_reuse(struct bpf_map *map, const char *path);
/* After loading: pins `map` unless it came from there. */
int wire_pin_keep(struct bpf_map *map, const char *path);

/* ---- wire_zones.c, wire_rules.c: a snapshot as the program's maps ----------------------------------------------- */

/* Descriptors of new maps, owned by the caller; -1: none. */
struct wire_zone_maps {
	int servers, ports;
};

int wire_zones_build(const void *snapshot, struct wire_zone_maps *out);
/* The source trie of the snapshot; *entries: how many it holds. Descriptor or -errno. */
int wire_rules_build(const void *snapshot, uint32_t *entries);

struct sw_wire_prefix_key wire_prefix_key(const struct sw_prefix *prefix);
/* Puts `count` keys and values (of value_bytes each) into a fresh map, many with one system call. */
int wire_fill_map(int map, const void *keys, const void *values, size_t key_bytes, size_t value_bytes, uint32_t count);

#endif
