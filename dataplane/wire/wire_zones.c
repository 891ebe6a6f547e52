/* SPDX-License-Identifier: BSD-3-Clause */
/* Targets of a snapshot as the XDP program's server trie and port bitmaps. */
#include "wire_private.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "../core/port_ranges.h"
#include "../core/snapshot_check.h"

enum {
	BITMAPS_MAX = 1024, /* 16 MiB; a zone beyond gives all its ports to the dataplane */
	CHAIN_MAX = 2048,   /* targets of a zone and of those around it that are looked at; a zone with more likewise */
	NO_ZONE = -1,
};

/* Targets [first, end) of the sorted list are those of one prefix. */
struct zone {
	const struct sw_prefix *prefix;
	uint32_t first, end;
	int32_t parent;
};

struct draft {
	const struct sw_service *services;
	const struct sw_target **sorted; /* by prefix, then narrowness */
	struct zone *zones;
	struct sw_wire_prefix_key *keys;
	struct sw_wire_zone *values;
	struct sw_wire_port_bitmap *bitmaps; /* [BITMAPS_MAX], made when the first is needed */
	uint32_t zone_count, bitmap_count;
};

static int compare_prefixes(const struct sw_prefix *a, const struct sw_prefix *b)
{
	const int order = memcmp(&a->address, &b->address, sizeof(a->address));
	return order ? order : (int)a->length - b->length;
}

static int compare_targets(const void *left, const void *right)
{
	const struct sw_target *a = *(const struct sw_target *const *)left, *b = *(const struct sw_target *const *)right;
	int order = compare_prefixes(&a->server, &b->server);
	if (!order)
		order = (a->port_last - a->port_first) - (b->port_last - b->port_first);
	return order ? order : (int)a->port_first - b->port_first;
}

static void find_zones(struct draft *d, uint32_t count)
{
	int32_t before[2] = {NO_ZONE, NO_ZONE};
	for (uint32_t first = 0, end; first < count; first = end) {
		const struct sw_prefix *prefix = &d->sorted[first]->server;
		for (end = first + 1; end < count && compare_prefixes(&d->sorted[end]->server, prefix) == 0;)
			end++;
		const bool ipv4 = prefix->length >= SW_IPV4_MAPPED_BITS && sw_address_is_ipv4(&prefix->address);
		int32_t parent = before[ipv4];
		while (parent != NO_ZONE && !sw_prefix_contains(d->zones[parent].prefix, &prefix->address))
			parent = d->zones[parent].parent;
		before[ipv4] = (int32_t)d->zone_count;
		d->zones[d->zone_count++] = (struct zone){prefix, first, end, parent};
	}
}

/* Ports of the zone and of those around it, in the order in which they win. 0: more than CHAIN_MAX. */
static uint32_t collect_ranges(const struct draft *d, int32_t number, struct sw_port_range *ranges)
{
	uint32_t count = 0;
	for (; number != NO_ZONE; number = d->zones[number].parent) {
		const struct zone *zone = &d->zones[number];
		if (zone->end - zone->first > CHAIN_MAX - count)
			return 0;
		for (uint32_t i = zone->first; i < zone->end; i++) {
			const uint8_t mode = d->services[d->sorted[i]->service].mode;
			ranges[count++] = (struct sw_port_range){.first = d->sorted[i]->port_first,
			    .last = d->sorted[i]->port_last,
			    .value = mode == SW_MODE_AUTO || mode == SW_MODE_ALWAYS};
		}
	}
	return count;
}

static void set_bits(uint64_t *words, const struct sw_port_range *range)
{
	for (uint32_t port = range->first; port <= range->last; port++)
		words[port / 64] |= 1ull << port % 64;
}

/* The number of a bitmap with these ports, shared with other zones that have the same; BITMAPS_MAX: no more room. */
static uint32_t bitmap_of(struct draft *d, const struct sw_port_range *ranges, uint32_t count)
{
	if (!d->bitmaps)
		d->bitmaps = calloc(BITMAPS_MAX, sizeof(*d->bitmaps));
	if (!d->bitmaps || d->bitmap_count == BITMAPS_MAX)
		return BITMAPS_MAX;
	struct sw_wire_port_bitmap *made = &d->bitmaps[d->bitmap_count];
	memset(made, 0, sizeof(*made));
	for (uint32_t i = 0; i < count; i++) {
		set_bits(made->is_protected, &ranges[i]);
		if (ranges[i].value)
			set_bits(made->enforced, &ranges[i]);
	}
	for (uint32_t i = 0; i < d->bitmap_count; i++)
		if (memcmp(&d->bitmaps[i], made, sizeof(*made)) == 0)
			return i;
	return d->bitmap_count++;
}

static struct sw_wire_zone zone_value(struct draft *d, const struct sw_port_range *ranges, uint32_t count)
{
	struct sw_wire_zone zone = {.kind = SW_WIRE_PORTS_RANGES, .range_count = (uint8_t)count};
	if (count > SW_WIRE_RANGES) {
		const uint32_t bitmap = bitmap_of(d, ranges, count);
		return (struct sw_wire_zone){.bitmap = bitmap < BITMAPS_MAX ? bitmap : 0,
		    .kind = bitmap < BITMAPS_MAX ? SW_WIRE_PORTS_BITMAP : SW_WIRE_PORTS_ALL};
	}
	for (uint32_t i = 0; i < count; i++) {
		zone.ranges[i].first = ranges[i].first;
		zone.ranges[i].last = ranges[i].last;
		zone.enforced = (uint16_t)(zone.enforced | (ranges[i].value ? 1u << i : 0));
	}
	return zone;
}

static int fill_zones(struct draft *d)
{
	struct sw_port_range *ranges = calloc(CHAIN_MAX, sizeof(*ranges));
	struct sw_port_range *flat = calloc(SW_PORT_RANGES_OUT(CHAIN_MAX), sizeof(*flat));
	uint32_t *scratch = calloc(SW_PORT_RANGES_SCRATCH(CHAIN_MAX), sizeof(*scratch));
	const int error = ranges && flat && scratch ? 0 : -ENOMEM;
	for (uint32_t i = 0; i < d->zone_count && !error; i++) {
		const uint32_t count = collect_ranges(d, (int32_t)i, ranges);
		d->keys[i] = wire_prefix_key(d->zones[i].prefix);
		if (count)
			d->values[i] = zone_value(d, flat, sw_port_ranges_flatten(ranges, count, scratch, flat));
		else
			d->values[i].kind = SW_WIRE_PORTS_ALL;
	}
	free(ranges);
	free(flat);
	free(scratch);
	return error;
}

/* ---- maps ---------------------------------------------------------------------------------------------------------
 */

static int make_servers(const struct draft *d)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_NO_PREALLOC);
	const int map = bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, "sw_servers", sizeof(*d->keys), sizeof(*d->values),
	    d->zone_count ? d->zone_count : 1, &options);
	if (map < 0)
		return -errno;
	const int error = wire_fill_map(map, d->keys, d->values, sizeof(*d->keys), sizeof(*d->values), d->zone_count);
	if (error) {
		close(map);
		return error;
	}
	return map;
}

static int make_ports(const struct draft *d)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_INNER_MAP);
	const int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "sw_ports", sizeof(uint32_t), sizeof(*d->bitmaps),
	    d->bitmap_count ? d->bitmap_count : 1, &options);
	if (map < 0)
		return -errno;
	for (uint32_t i = 0; i < d->bitmap_count; i++) {
		if (bpf_map_update_elem(map, &i, &d->bitmaps[i], BPF_ANY)) {
			const int error = -errno;
			close(map);
			return error;
		}
	}
	return map;
}

static void free_draft(struct draft *d)
{
	free(d->sorted);
	free(d->zones);
	free(d->keys);
	free(d->values);
	free(d->bitmaps);
}

int wire_zones_build(const void *snapshot, struct wire_zone_maps *out)
{
	uint32_t count;
	const struct sw_target *targets = sw_snapshot_targets(snapshot, &count);
	const size_t room = (size_t)count + 1;
	struct draft d = {.services = sw_snapshot_services(snapshot, NULL),
	    .sorted = calloc(room, sizeof(*d.sorted)),
	    .zones = calloc(room, sizeof(*d.zones)),
	    .keys = calloc(room, sizeof(*d.keys)),
	    .values = calloc(room, sizeof(*d.values))};
	int error = -ENOMEM;

	out->servers = out->ports = -1;
	if (!d.sorted || !d.zones || !d.keys || !d.values)
		goto done;
	for (uint32_t i = 0; i < count; i++)
		d.sorted[i] = &targets[i];
	qsort(d.sorted, count, sizeof(*d.sorted), compare_targets);
	find_zones(&d, count);
	error = fill_zones(&d);
	if (error)
		goto done;
	error = out->ports = make_ports(&d);
	if (error < 0)
		goto done;
	error = out->servers = make_servers(&d);
	if (error < 0) {
		close(out->ports);
		out->ports = -1;
		goto done;
	}
	error = 0;
done:
	free_draft(&d);
	return error;
}
