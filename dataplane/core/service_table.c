/* SPDX-License-Identifier: BSD-3-Clause */
#include "service_table.h"
#include "port_ranges.h"
#include "prefetch.h"

#include <errno.h>
#include <stdlib.h>

enum { LINE = 64, SLOTS_MIN = 16 };

/* Zone 0 stands for "no prefix"; zones count from 1 and fit 16 bits (SW_TARGETS_MAX). */
struct sw_service_zone {
	uint32_t parent; /* the zone of the next shorter prefix, or 0 */
	uint32_t range_first, range_count;
	uint8_t has_exact;
	uint8_t strictest; /* enum sw_mode: of its services and those of its parents */
	uint8_t reserved[2];
};

/*
 * Single ports of prefixes; those of hosts are in service_hosts.h. Open addressing, at most a quarter full. Nobody but
 * the operator fills it, so the hash needs no secret.
 */
struct sw_service_exact {
	uint32_t key; /* zone << 16 | port; 0: free */
	uint32_t service;
};

_Static_assert(SW_TARGETS_MAX < 65535, "a zone number fits the upper half of a key");

/* ---- lookup ----------------------------------------------------------------------------------------------------- */

static inline uint32_t exact_home(uint32_t key, uint32_t shift)
{
	return key * 0x9e3779b9u >> shift; /* multiplicative hashing (Knuth, TAOCP 3, 6.4) */
}

static inline uint32_t exact_key(uint32_t zone, uint16_t port)
{
	return zone << 16 | port;
}

static uint32_t find_exact(const struct sw_service_table *t, uint32_t key)
{
	uint32_t at = exact_home(key, t->exact_shift);
	for (; t->exact[at].key; at = (at + 1) & t->exact_mask)
		if (t->exact[at].key == key)
			return t->exact[at].service;
	return SW_NONE;
}

static uint32_t find_range(const struct sw_port_range *ranges, uint32_t count, uint16_t port)
{
	uint32_t low = 0, high = count;
	while (low < high) {
		const uint32_t middle = low + (high - low) / 2;
		if (ranges[middle].last < port)
			low = middle + 1;
		else
			high = middle;
	}
	return low < count && ranges[low].first <= port ? ranges[low].value : SW_NONE;
}

static inline uint32_t find_in_zones(const struct sw_service_table *t, uint32_t number, uint16_t port)
{
	uint32_t service = SW_NONE;
	while (number && service == SW_NONE) {
		const struct sw_service_zone *zone = &t->zones[number];
		if (zone->has_exact)
			service = find_exact(t, exact_key(number, port));
		if (service == SW_NONE && zone->range_count)
			service = find_range(t->ranges + zone->range_first, zone->range_count, port);
		number = zone->parent;
	}
	return service;
}

uint32_t sw_service_table_lookup_wide(
    const struct sw_service_table *table, const struct sw_address *server, uint16_t port)
{
	return find_in_zones(table, sw_prefix_trie_lookup(&table->trie, server), port);
}

/* Those of a burst that the hosts could not tell: a few beside many, so they are gathered first. */
struct undecided {
	const struct sw_address *servers[SW_BURST];
	uint8_t index[SW_BURST];
	unsigned int count;
};

static void lookup_wide_burst(const struct sw_service_table *table, const struct undecided *u, const uint16_t *ports,
    uint32_t *service_out)
{
	uint32_t zones[SW_BURST];

	sw_prefix_trie_lookup_burst(&table->trie, u->servers, u->count, zones);
	for (unsigned int k = 0; k < u->count; k++) {
		sw_prefetch(&table->zones[zones[k]]);
		sw_prefetch(&table->exact[exact_home(exact_key(zones[k], ports[u->index[k]]), table->exact_shift)]);
	}
	for (unsigned int k = 0; k < u->count; k++)
		service_out[u->index[k]] = find_in_zones(table, zones[k], ports[u->index[k]]);
}

static void prefetch_hosts(const struct sw_service_hosts *hosts, const struct sw_address *const *servers,
    const uint16_t *ports, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		const struct sw_service_host_key key = sw_service_host_key_of(servers[i], ports[i]);
		sw_service_host_prefetch(hosts, &key, sw_service_host_home(hosts, &key));
	}
}

void sw_service_table_lookup_burst(const struct sw_service_table *table, const struct sw_address *const *servers,
    const uint16_t *ports, unsigned int count, uint32_t *service_out)
{
	struct undecided wide;

	if (count == 1) {
		service_out[0] = sw_service_table_lookup(table, servers[0], ports[0]);
		return;
	}
	if (table->hosts.is_large)
		prefetch_hosts(&table->hosts, servers, ports, count);
	wide.count = 0;
	for (unsigned int i = 0; i < count; i++) {
		const struct sw_service_host_key key = sw_service_host_key_of(servers[i], ports[i]);
		service_out[i] = sw_service_host_find(&table->hosts, &key, sw_service_host_home(&table->hosts, &key));
		wide.servers[wide.count] = servers[i];
		wide.index[wide.count] = (uint8_t)i;
		wide.count += service_out[i] == SW_NONE && table->has_wide[key.family];
	}
	if (wide.count)
		lookup_wide_burst(table, &wide, ports, service_out);
}

enum sw_mode sw_service_table_strictest_mode(const struct sw_service_table *table, const struct sw_address *address)
{
	_Static_assert(SW_MODE_OFF == 0, "zone 0, which is all zeros, is nobody's");
	return (enum sw_mode)table->zones[sw_prefix_trie_lookup(&table->trie, address)].strictest;
}

size_t sw_service_table_bytes(const struct sw_service_table *table)
{
	return table->memory_bytes;
}

/* ---- building --------------------------------------------------------------------------------------------------- */

struct draft {
	const struct sw_service *services;
	const struct sw_target **sorted; /* by prefix, then narrowness */
	struct sw_trie_prefix *prefixes; /* of zone i + 1 */
	struct sw_service_zone *zones;
	struct sw_port_range *ranges;
	struct sw_service_exact *exact;
	struct sw_port_range *precedence; /* of one zone, the narrowest first */
	uint32_t *scratch;                /* of sw_port_ranges_flatten() */
	uint32_t zone_count, range_count, exact_count, exact_slots, exact_shift;
	uint32_t host_counts[2], wide_counts[2]; /* targets: hosts with a single port, and others; by family */
};

static bool is_single(const struct sw_target *t)
{
	return t->port_first == t->port_last;
}

static bool is_host(const struct sw_target *t)
{
	return t->server.length == 128 && is_single(t);
}

/* IPv4 lies in the midst of IPv6. */
static unsigned int family_of(const struct sw_prefix *prefix)
{
	return prefix->length >= SW_IPV4_MAPPED_BITS && sw_address_is_ipv4(&prefix->address) ? SW_TRIE_IPV4 : SW_TRIE_IPV6;
}

static int compare_targets(const void *left, const void *right)
{
	const struct sw_target *a = *(const struct sw_target *const *)left, *b = *(const struct sw_target *const *)right;
	int order = memcmp(&a->server.address, &b->server.address, sizeof(a->server.address));
	if (!order)
		order = (int)a->server.length - b->server.length;
	if (!order)
		order = (a->port_last - a->port_first) - (b->port_last - b->port_first);
	if (!order)
		order = (int)a->port_first - b->port_first;
	if (!order)
		order = a < b ? -1 : a > b;
	return order;
}

static bool same_prefix(const struct sw_target *a, const struct sw_target *b)
{
	return a->server.length == b->server.length && sw_address_equal(&a->server.address, &b->server.address);
}

static void add_ranges(struct draft *d, struct sw_service_zone *zone, const struct sw_target **targets, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		d->precedence[i] = (struct sw_port_range){
		    .first = targets[i]->port_first, .last = targets[i]->port_last, .value = targets[i]->service};
	zone->range_first = d->range_count;
	zone->range_count = sw_port_ranges_flatten(d->precedence, count, d->scratch, d->ranges + d->range_count);
	d->range_count += zone->range_count;
}

static void insert_exact(struct draft *d, uint32_t key, uint32_t service)
{
	uint32_t at = exact_home(key, d->exact_shift);
	while (d->exact[at].key && d->exact[at].key != key)
		at = (at + 1) & (d->exact_slots - 1);
	if (!d->exact[at].key)
		d->exact[at] = (struct sw_service_exact){.key = key, .service = service};
}

static uint8_t stricter(uint8_t a, uint8_t b)
{
	_Static_assert(SW_MODE_OFF < SW_MODE_MONITOR && SW_MODE_MONITOR < SW_MODE_AUTO && SW_MODE_AUTO < SW_MODE_ALWAYS,
	    "the stricter mode is the greater one");
	return a > b ? a : b;
}

/* `targets`: all of one prefix, single ports first, as the order by narrowness has it. */
static void build_zone(struct draft *d, const struct sw_target **targets, uint32_t count)
{
	const uint32_t number = ++d->zone_count;
	struct sw_service_zone *zone = &d->zones[number];
	uint32_t single = 0;
	d->prefixes[number - 1] = (struct sw_trie_prefix){.prefix = targets[0]->server, .value = number};
	for (; single < count && is_single(targets[single]); single++)
		if (!is_host(targets[single]))
			insert_exact(d, exact_key(number, targets[single]->port_first), targets[single]->service);
	zone->has_exact = single > 0 && !is_host(targets[0]);
	for (uint32_t i = 0; i < count; i++)
		zone->strictest = stricter(zone->strictest, d->services[targets[i]->service].mode);
	if (single < count)
		add_ranges(d, zone, targets + single, count - single);
}

/*
 * Parents come before children in the order of prefixes, so the candidates are the zones around the one before, of the
 * same family, and what a parent says of its own parents is known.
 */
static void link_parents(struct draft *d)
{
	uint32_t before[2] = {0, 0};
	for (uint32_t number = 1; number <= d->zone_count; number++) {
		const struct sw_prefix *prefix = &d->prefixes[number - 1].prefix;
		const unsigned int family = family_of(prefix);
		uint32_t parent = before[family];
		while (parent && !sw_prefix_contains(&d->prefixes[parent - 1].prefix, &prefix->address))
			parent = d->zones[parent].parent;
		d->zones[number].parent = parent;
		d->zones[number].strictest = stricter(d->zones[number].strictest, d->zones[parent].strictest);
		before[family] = number;
	}
}

static void count_targets(struct draft *d, const struct sw_target *targets, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const unsigned int family = family_of(&targets[i].server);
		if (is_host(&targets[i])) {
			d->host_counts[family]++;
			continue;
		}
		d->wide_counts[family]++;
		d->exact_count += is_single(&targets[i]);
	}
}

static int allocate_draft(struct draft *d, const struct sw_target *targets, uint32_t count)
{
	const size_t room = (size_t)count + 1;
	d->sorted = calloc(room, sizeof(*d->sorted));
	d->prefixes = calloc(room, sizeof(*d->prefixes));
	d->zones = calloc(room, sizeof(*d->zones));
	d->ranges = calloc(SW_PORT_RANGES_OUT(count), sizeof(*d->ranges));
	d->precedence = calloc(room, sizeof(*d->precedence));
	d->scratch = calloc(SW_PORT_RANGES_SCRATCH(count), sizeof(*d->scratch));
	if (!d->sorted || !d->prefixes || !d->zones || !d->ranges || !d->precedence || !d->scratch)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++)
		d->sorted[i] = &targets[i];
	count_targets(d, targets, count);
	d->exact_slots = SLOTS_MIN;
	while (d->exact_slots < d->exact_count * 4)
		d->exact_slots *= 2;
	d->exact_shift = 32 - (uint32_t)__builtin_ctz(d->exact_slots);
	d->exact = calloc(d->exact_slots, sizeof(*d->exact));
	return d->exact ? 0 : -ENOMEM;
}

static void free_draft(struct draft *d)
{
	free(d->sorted);
	free(d->prefixes);
	free(d->zones);
	free(d->ranges);
	free(d->exact);
	free(d->precedence);
	free(d->scratch);
}

static void fill_draft(struct draft *d, uint32_t count)
{
	qsort(d->sorted, count, sizeof(*d->sorted), compare_targets);
	for (uint32_t first = 0, end; first < count; first = end) {
		for (end = first + 1; end < count && same_prefix(d->sorted[first], d->sorted[end]);)
			end++;
		build_zone(d, d->sorted + first, end - first);
	}
	link_parents(d);
}

static size_t align_up(size_t bytes)
{
	return (bytes + LINE - 1) & ~(size_t)(LINE - 1);
}

/* In the order by narrowness, of equal targets the first in the snapshot comes first, and stays. */
static void add_hosts(struct sw_service_hosts *hosts, const struct draft *d, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (is_host(d->sorted[i]))
			sw_service_hosts_add(hosts, &d->sorted[i]->server.address, d->sorted[i]->port_first, d->sorted[i]->service);
}

/* Moves the draft, made of `count` targets, into one allocation behind the table. */
static struct sw_service_table *pack(const struct draft *d, uint32_t count, const struct sw_allocator *allocator)
{
	const size_t host_bytes = sw_service_hosts_bytes(d->host_counts);
	const size_t zone_bytes = (d->zone_count + 1) * sizeof(*d->zones);
	const size_t exact_bytes = d->exact_slots * sizeof(*d->exact);
	const size_t range_bytes = d->range_count * sizeof(*d->ranges);
	const size_t bytes = align_up(sizeof(struct sw_service_table)) + host_bytes + align_up(zone_bytes) +
	                     align_up(exact_bytes) + align_up(range_bytes);
	char *at = allocator ? allocator->allocate(allocator->context, bytes, LINE) : aligned_alloc(LINE, bytes);
	struct sw_service_table *table = (struct sw_service_table *)at;
	if (!table)
		return NULL;
	memset(table, 0, bytes);
	at += align_up(sizeof(*table));
	sw_service_hosts_place(&table->hosts, at, d->host_counts);
	add_hosts(&table->hosts, d, count);
	at += host_bytes;
	table->zones = memcpy(at, d->zones, zone_bytes);
	at += align_up(zone_bytes);
	table->exact = memcpy(at, d->exact, exact_bytes);
	at += align_up(exact_bytes);
	table->ranges = memcpy(at, d->ranges, range_bytes);
	table->exact_shift = d->exact_shift;
	table->exact_mask = d->exact_slots - 1;
	for (unsigned int family = 0; family < 2; family++)
		table->has_wide[family] = d->wide_counts[family] > 0;
	table->memory_bytes = bytes;
	if (allocator)
		table->allocator = *allocator;
	return table;
}

static void release(const struct sw_allocator *allocator, void *memory)
{
	if (allocator)
		allocator->release(allocator->context, memory);
	else
		free(memory);
}

int sw_service_table_build(const struct sw_target *targets, uint32_t count, const struct sw_service *services,
    const struct sw_allocator *allocator, struct sw_service_table **out)
{
	struct draft draft = {.services = services};
	struct sw_service_table *table = NULL;

	*out = NULL;
	int error = allocate_draft(&draft, targets, count);
	if (error)
		goto done;
	fill_draft(&draft, count);
	error = -ENOMEM;
	table = pack(&draft, count, allocator);
	if (!table)
		goto done;
	error = sw_prefix_trie_build(&table->trie, draft.prefixes, draft.zone_count, allocator);
	if (error) {
		release(allocator, table);
		goto done;
	}
	table->memory_bytes += table->trie.memory_bytes;
	*out = table;
done:
	free_draft(&draft);
	return error;
}

void sw_service_table_free(struct sw_service_table *table)
{
	if (!table)
		return;
	const struct sw_allocator allocator = table->allocator;
	const struct sw_allocator *own = allocator.release ? &allocator : NULL;
	sw_prefix_trie_free(&table->trie, own);
	release(own, table);
}
