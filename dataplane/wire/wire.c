/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire_private.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../core/snapshot_check.h"
#include <wire.skel.h>

enum { BLOCKS_DEFAULT = 65536 };

/* What libbpf said last; of one thread, the one that opens. */
static char libbpf_said[256];

int wire_fail(char *error, size_t error_bytes, int code, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	if (error_bytes)
		vsnprintf(error, error_bytes, format, arguments);
	va_end(arguments);
	return code;
}

/* The verifier's log is long; the last line with a warning is the one that says what is wrong. */
__attribute__((format(printf, 2, 0))) static int listen_to_libbpf(
    enum libbpf_print_level level, const char *format, va_list arguments)
{
	if (level == LIBBPF_WARN) {
		vsnprintf(libbpf_said, sizeof(libbpf_said), format, arguments);
		libbpf_said[strcspn(libbpf_said, "\n")] = '\0';
	}
	return 0;
}

int wire_program(struct sw_wire *wire, uint32_t port)
{
	return bpf_program__fd(wire->ports[port].skeleton->progs.xsk_def_prog);
}

int wire_sockets(struct sw_wire *wire, uint32_t port)
{
	return bpf_map__fd(wire->ports[port].skeleton->maps.xsks_map);
}

/* ---- opening ------------------------------------------------------------------------------------------------------
 */

static const char *const shared_names[WIRE_MAP_SHARED] = {
    [WIRE_MAP_HEARTBEATS] = "heartbeats",
    [WIRE_MAP_SETTINGS] = "settings",
    [WIRE_MAP_BLOCKS] = "blocks",
    [WIRE_MAP_ENTRY_HITS] = "hits",
    [WIRE_MAP_SERVER_SETS] = "servers",
    [WIRE_MAP_PORT_SETS] = "ports",
    [WIRE_MAP_SOURCE_SETS] = "sources",
};

static struct bpf_map *shared_map(const struct wire_bpf *skeleton, enum wire_map map)
{
	struct bpf_map *const maps[WIRE_MAP_SHARED] = {
	    [WIRE_MAP_HEARTBEATS] = skeleton->maps.heartbeats,
	    [WIRE_MAP_SETTINGS] = skeleton->maps.settings,
	    [WIRE_MAP_BLOCKS] = skeleton->maps.blocks,
	    [WIRE_MAP_ENTRY_HITS] = skeleton->maps.entry_hits,
	    [WIRE_MAP_SERVER_SETS] = skeleton->maps.server_sets,
	    [WIRE_MAP_PORT_SETS] = skeleton->maps.port_sets,
	    [WIRE_MAP_SOURCE_SETS] = skeleton->maps.source_sets,
	};
	return maps[map];
}

/* Applies `each` to every map of the interface and its pin. The shared ones are the first interface's affair. */
static int with_pins(struct sw_wire *wire, uint32_t index, int (*each)(struct bpf_map *map, const char *path))
{
	const struct wire_port *port = &wire->ports[index];
	char path[300];
	int error = wire_pin_path(wire, "sockets", port->name, true, path);
	if (!error)
		error = each(port->skeleton->maps.xsks_map, path);
	if (!error)
		error = wire_pin_path(wire, "counters", port->name, true, path);
	if (!error)
		error = each(port->skeleton->maps.counters, path);
	for (int map = 0; map < WIRE_MAP_SHARED && index == 0 && !error; map++) {
		error = wire_pin_path(wire, shared_names[map], "", true, path);
		if (!error)
			error = each(shared_map(port->skeleton, (enum wire_map)map), path);
	}
	return error;
}

static int reuse_pin(struct bpf_map *map, const char *path)
{
	wire_pin_reuse(map, path);
	return 0;
}

static int load_port(struct sw_wire *wire, uint32_t index, const struct sw_wire_config *config)
{
	struct wire_port *port = &wire->ports[index];
	port->skeleton = wire_bpf__open();
	if (!port->skeleton)
		return -errno;
	port->skeleton->rodata->from_inside = port->side == SW_INSIDE;
	port->skeleton->rodata->steer_all = config->steer == SW_STEER_ALL;
	port->skeleton->rodata->fail_closed = config->fail_mode == SW_FAIL_CLOSED;
	port->skeleton->rodata->entries_max = config->entries_max;
	int error =
	    bpf_map__set_max_entries(port->skeleton->maps.blocks, config->blocks_max ? config->blocks_max : BLOCKS_DEFAULT);
	if (!error && config->entries_max)
		error = bpf_map__set_max_entries(port->skeleton->maps.entry_hits, config->entries_max * config->queues);
	if (!error && !wire->load_only)
		error = with_pins(wire, index, reuse_pin);
	for (int map = 0; map < WIRE_MAP_SHARED && index > 0 && !error; map++)
		error = bpf_map__reuse_fd(shared_map(port->skeleton, (enum wire_map)map), wire->shared[map]);
	if (!error)
		error = wire_bpf__load(port->skeleton);
	if (!error && !wire->load_only)
		error = with_pins(wire, index, wire_pin_keep);
	for (int map = 0; map < WIRE_MAP_SHARED && index == 0 && !error; map++)
		wire->shared[map] = bpf_map__fd(shared_map(port->skeleton, (enum wire_map)map));
	return error;
}

/* NULL: cannot, errno says why. */
static void *map_memory(const struct sw_wire *wire, enum wire_map map, size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, wire->shared[map], 0);
	return at == MAP_FAILED ? NULL : at;
}

static size_t hits_bytes(const struct sw_wire *wire)
{
	return (size_t)wire->queues * wire->entries_max * sizeof(*wire->entry_hits);
}

static int map_shared(struct sw_wire *wire, const struct sw_wire_config *config)
{
	wire->heartbeats = map_memory(wire, WIRE_MAP_HEARTBEATS, SW_WIRE_QUEUES_MAX * sizeof(*wire->heartbeats));
	wire->settings = map_memory(wire, WIRE_MAP_SETTINGS, sizeof(*wire->settings));
	if (!wire->heartbeats || !wire->settings)
		return -errno;
	if (wire->entries_max) {
		wire->entry_hits = map_memory(wire, WIRE_MAP_ENTRY_HITS, hits_bytes(wire));
		if (!wire->entry_hits)
			return -errno;
		memset(wire->entry_hits, 0, hits_bytes(wire)); /* like the workers' counters, they begin with the process */
	}
	for (uint32_t i = 0; i < SW_WIRE_QUEUES_MAX; i++) {
		/* No worker yet. A predecessor's last beat must not vouch for a socket of ours that nobody polls yet. */
		sw_wire_beat_stop(&wire->heartbeats[i]);
		wire->heartbeats[i].timeout_ns = config->heartbeat_timeout_ms * 1000000ull;
	}
	return 0;
}

/* ---- attaching ----------------------------------------------------------------------------------------------------
 */

static bool is_attached_to(const struct bpf_link *link, int ifindex)
{
	struct bpf_link_info info = {0};
	uint32_t bytes = sizeof(info);
	return bpf_obj_get_info_by_fd(bpf_link__fd(link), &info, &bytes) == 0 && info.type == BPF_LINK_TYPE_XDP &&
	       info.xdp.ifindex == (uint32_t)ifindex;
}

/* Puts our program into a predecessor's link. NULL: there is none for this interface, and its pin is gone. */
static struct bpf_link *take_over(const struct wire_port *port, const char *path)
{
	struct bpf_link *link = bpf_link__open(path);
	if (!link)
		return NULL;
	if (is_attached_to(link, port->ifindex) && bpf_link__update_program(link, port->skeleton->progs.xsk_def_prog) == 0)
		return link;
	bpf_link__detach(link); /* of an interface that was deleted or renamed since */
	bpf_link__unpin(link);
	bpf_link__destroy(link);
	return NULL;
}

static int attach_port(struct sw_wire *wire, struct wire_port *port, char *error, size_t error_bytes)
{
	char path[300];
	int result = wire_pin_path(wire, "link", port->name, false, path);
	if (result)
		return wire_fail(error, error_bytes, result, "%s: pin directory too long", port->name);
	port->attached = take_over(port, path);
	if (port->attached)
		return 0;
	port->attached = bpf_program__attach_xdp(port->skeleton->progs.xsk_def_prog, port->ifindex);
	if (!port->attached)
		return wire_fail(error, error_bytes, -errno, "%s: cannot attach the XDP program: %s%s", port->name,
		    strerror(errno),
		    errno == EBUSY ? " (another program is attached; 'ip link set IF xdp off' removes it)" : "");
	result = bpf_link__pin(port->attached, path);
	if (result)
		return wire_fail(
		    error, error_bytes, result, "%s: cannot pin the XDP link at %s: %s", port->name, path, strerror(-result));
	return 0;
}

/*
 * Receive queues that the kernel uses now, or 0: the driver does not say. Not from sysfs, which may show another
 * namespace's interfaces.
 */
static uint32_t count_queues(const char *interface)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
	struct ifreq request = {.ifr_data = (void *)&channels};
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
	const int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (any < 0)
		return 0;
	const int result = ioctl(any, SIOCETHTOOL, &request);
	close(any);
	return result ? 0 : channels.rx_count + channels.combined_count;
}

static int find_port(struct wire_port *port, const struct sw_wire_interface *interface,
    const struct sw_wire_config *config, char *error, size_t error_bytes)
{
	snprintf(port->name, sizeof(port->name), "%s", interface->name);
	port->link = interface->link;
	port->side = interface->side;
	if (config->load_only)
		return 0;
	port->ifindex = (int)if_nametoindex(interface->name);
	if (!port->ifindex)
		return wire_fail(error, error_bytes, -ENODEV, "%s: no such network interface here", interface->name);
	const uint32_t queues = count_queues(interface->name);
	if (queues && queues != config->queues)
		return wire_fail(error, error_bytes, -EINVAL,
		    "%s: has %u receive queues, expected %u, one for each worker: 'ethtool -L %s combined %u', or 'rx %u'",
		    interface->name, queues, config->queues, interface->name, config->queues, config->queues);
	return 0;
}

static int check_config(const struct sw_wire_config *config, char *error, size_t error_bytes)
{
	if (config->interface_count < 1 || config->interface_count > SW_LINKS_MAX * SW_SIDES)
		return wire_fail(error, error_bytes, -EINVAL, "%u interfaces, expected 1 to %d", config->interface_count,
		    SW_LINKS_MAX * SW_SIDES);
	if (config->queues < 1 || config->queues > SW_WIRE_QUEUES_MAX)
		return wire_fail(
		    error, error_bytes, -EINVAL, "%u queues, expected 1 to %d", config->queues, SW_WIRE_QUEUES_MAX);
	if (config->entries_max > SW_ENTRIES_MAX)
		return wire_fail(
		    error, error_bytes, -EINVAL, "%u entries, expected at most %d", config->entries_max, SW_ENTRIES_MAX);
	if (!config->load_only &&
	    (!config->pin_directory || strlen(config->pin_directory) >= sizeof(((struct sw_wire *)0)->pin_directory)))
		return wire_fail(error, error_bytes, -EINVAL, "pin directory: expected a path");
	return 0;
}

static int open_all(struct sw_wire *wire, const struct sw_wire_config *config, char *error, size_t error_bytes)
{
	int result = 0;
	for (uint32_t i = 0; i < config->interface_count && !result; i++, wire->port_count = i)
		result = find_port(&wire->ports[i], &config->interfaces[i], config, error, error_bytes);
	if (!result && !wire->load_only)
		result = wire_pin_prepare(wire->pin_directory, error, error_bytes);
	if (result)
		return result;
	for (uint32_t i = 0; i < wire->port_count; i++) {
		result = load_port(wire, i, config);
		if (result)
			return wire_fail(error, error_bytes, result, "%s: cannot load the XDP program: %s%s%s", wire->ports[i].name,
			    strerror(-result), libbpf_said[0] ? ": " : "", libbpf_said);
	}
	result = map_shared(wire, config);
	if (result)
		return wire_fail(error, error_bytes, result, "cannot map the heartbeats: %s", strerror(-result));
	for (uint32_t i = 0; i < wire->port_count && !wire->load_only && !result; i++)
		result = attach_port(wire, &wire->ports[i], error, error_bytes);
	if (!result && !wire->load_only)
		wire_pin_clean(wire, false);
	return result;
}

int sw_wire_open(const struct sw_wire_config *config, struct sw_wire **out, char *error, size_t error_bytes)
{
	*out = NULL;
	if (error_bytes)
		error[0] = '\0';
	int result = check_config(config, error, error_bytes);
	if (result)
		return result;
	struct sw_wire *wire = calloc(1, sizeof(*wire));
	if (!wire)
		return wire_fail(error, error_bytes, -ENOMEM, "no memory");
	wire->sources = -1;
	wire->queues = config->queues;
	wire->entries_max = config->entries_max;
	wire->load_only = config->load_only;
	wire->cpus = libbpf_num_possible_cpus();
	if (config->pin_directory)
		snprintf(wire->pin_directory, sizeof(wire->pin_directory), "%s", config->pin_directory);

	libbpf_said[0] = '\0';
	const libbpf_print_fn_t before = libbpf_set_print(listen_to_libbpf);
	result = wire->cpus < 0 ? wire->cpus : open_all(wire, config, error, error_bytes);
	libbpf_set_print(before);
	if (result) {
		sw_wire_close(wire, false);
		return result;
	}
	*out = wire;
	return 0;
}

void sw_wire_close(struct sw_wire *wire, bool detach)
{
	if (!wire)
		return;
	for (uint32_t i = 0; i < SW_WIRE_QUEUES_MAX && wire->heartbeats; i++)
		sw_wire_beat_stop(&wire->heartbeats[i]);
	for (uint32_t i = 0; i < wire->port_count; i++) {
		struct wire_port *port = &wire->ports[i];
		if (port->attached && detach)
			bpf_link__detach(port->attached);
		if (port->attached)
			bpf_link__destroy(port->attached); /* the pin keeps it attached */
		wire_bpf__destroy(port->skeleton);
	}
	if (detach && !wire->load_only)
		wire_pin_clean(wire, true);
	if (wire->heartbeats)
		munmap(wire->heartbeats, SW_WIRE_QUEUES_MAX * sizeof(*wire->heartbeats));
	if (wire->settings)
		munmap(wire->settings, sizeof(*wire->settings));
	if (wire->entry_hits)
		munmap(wire->entry_hits, hits_bytes(wire));
	if (wire->sources >= 0)
		close(wire->sources);
	free(wire);
}

/* ---- while it runs ------------------------------------------------------------------------------------------------
 */

struct sw_wire_heartbeat *sw_wire_heartbeat(struct sw_wire *wire, uint32_t worker)
{
	return &wire->heartbeats[worker];
}

/*
 * Waits until no program is left that saw the settings before the last change, and so still reads the slot that is to
 * be filled next. The kernel does so after each change of a map of maps, also of one that changes nothing.
 */
static int wait_for_programs(struct sw_wire *wire)
{
	const uint32_t active = wire->settings->active & 1;
	if (wire->sources < 0) /* no change of ours yet */
		return 0;
	return bpf_map_update_elem(wire->shared[WIRE_MAP_SOURCE_SETS], &active, &wire->sources, BPF_ANY) ? -errno : 0;
}

/* Hangs the three maps into the slot that is not in force. */
static int hang_up(struct sw_wire *wire, uint32_t slot, const struct wire_zone_maps *zones, int sources)
{
	if (bpf_map_update_elem(wire->shared[WIRE_MAP_PORT_SETS], &slot, &zones->ports, BPF_ANY) ||
	    bpf_map_update_elem(wire->shared[WIRE_MAP_SERVER_SETS], &slot, &zones->servers, BPF_ANY) ||
	    bpf_map_update_elem(wire->shared[WIRE_MAP_SOURCE_SETS], &slot, &sources, BPF_ANY))
		return -errno;
	return 0;
}

int sw_wire_publish(struct sw_wire *wire, const void *snapshot, char *error, size_t error_bytes)
{
	const uint32_t slot = (wire->settings->active & 1) ^ 1;
	struct wire_zone_maps zones;
	uint32_t count, entries = wire->sources_count;
	const struct sw_prefix_rule *rules = sw_snapshot_prefixes(snapshot, &count);
	const uint64_t sum = sw_snapshot_checksum(rules, count * sizeof(*rules)) + count;
	int sources = wire->sources;

	int result = wire_zones_build(snapshot, &zones);
	if (result)
		return wire_fail(error, error_bytes, result, "XDP: services: %s", strerror(-result));
	if (sources < 0 || sum != wire->sources_sum)
		sources = wire_rules_build(snapshot, &entries);
	result = sources < 0 ? sources : wait_for_programs(wire);
	if (!result)
		result = hang_up(wire, slot, &zones, sources);
	close(zones.servers); /* the slots hold them */
	close(zones.ports);
	if (result) {
		if (sources >= 0 && sources != wire->sources)
			close(sources);
		return wire_fail(error, error_bytes, result, "XDP: source rules: %s", strerror(-result));
	}
	wire->settings->has_rules[slot] = entries > 0;
	/* A frame in flight on another CPU goes on with the old set, which stays in its slot; see wait_for_programs(). */
	__atomic_store_n(&wire->settings->active, slot, __ATOMIC_RELEASE);
	if (wire->sources >= 0 && wire->sources != sources)
		close(wire->sources);
	wire->sources = sources;
	wire->sources_sum = sum;
	wire->sources_count = entries;
	return 0;
}

int sw_wire_block(struct sw_wire *wire, const struct sw_address *address, uint32_t seconds)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	const uint64_t until = ((uint64_t)now.tv_sec + seconds) * 1000000000ull + (uint64_t)now.tv_nsec;
	if (bpf_map_update_elem(wire->shared[WIRE_MAP_BLOCKS], address, &until, BPF_ANY))
		return -errno;
	__atomic_store_n(&wire->settings->has_blocks, 1, __ATOMIC_RELAXED);
	return 0;
}

int sw_wire_unblock(struct sw_wire *wire, const struct sw_address *address)
{
	return bpf_map_delete_elem(wire->shared[WIRE_MAP_BLOCKS], address) ? -errno : 0;
}

uint64_t sw_wire_entry_hits(const struct sw_wire *wire, uint32_t entry)
{
	uint64_t sum = 0;
	for (uint32_t queue = 0; queue < wire->queues && entry < wire->entries_max; queue++)
		sum += __atomic_load_n(&wire->entry_hits[(size_t)queue * wire->entries_max + entry], __ATOMIC_RELAXED);
	return sum;
}

int sw_wire_counters(struct sw_wire *wire, uint32_t link, uint8_t side, uint64_t out[SW_WIRE_COUNTER_COUNT])
{
	uint64_t per_cpu[1024];
	if ((size_t)wire->cpus > sizeof(per_cpu) / sizeof(per_cpu[0]))
		return -E2BIG;
	for (uint32_t i = 0; i < wire->port_count; i++) {
		if (wire->ports[i].link != link || wire->ports[i].side != side)
			continue;
		const int map = bpf_map__fd(wire->ports[i].skeleton->maps.counters);
		for (uint32_t counter = 0; counter < SW_WIRE_COUNTER_COUNT; counter++) {
			if (bpf_map_lookup_elem(map, &counter, per_cpu))
				return -errno;
			out[counter] = 0;
			for (int cpu = 0; cpu < wire->cpus; cpu++)
				out[counter] += per_cpu[cpu];
		}
		return 0;
	}
	return -ENOENT;
}
