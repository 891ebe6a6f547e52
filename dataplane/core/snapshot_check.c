/* SPDX-License-Identifier: BSD-3-Clause */
#include "snapshot_check.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { CPUS_MAX = 1024, DAY_S = 86400, INTERFACE_BYTES = 16 /* IFNAMSIZ */ };

struct check {
	const struct sw_snapshot_header *header;
	const char *strings;
	uint32_t string_bytes;
	char *error;
	size_t error_bytes;
};

/* Where a refused value stands. */
struct place {
	const char *section;
	uint32_t index;
};

static const struct {
	const char *name;
	uint32_t element_bytes, min, max;
} sections[SW_SECTION_COUNT] = {
	[SW_SECTION_BOOT] = {"boot", sizeof(struct sw_boot), 1, 1},
	[SW_SECTION_LINKS] = {"links", sizeof(struct sw_link), 1, SW_LINKS_MAX},
	[SW_SECTION_GLOBAL] = {"global", sizeof(struct sw_global), 1, 1},
	[SW_SECTION_SERVICES] = {"services", sizeof(struct sw_service), 0, SW_SERVICES_MAX},
	[SW_SECTION_TARGETS] = {"targets", sizeof(struct sw_target), 0, SW_TARGETS_MAX},
	[SW_SECTION_GROUPS] = {"groups", sizeof(struct sw_group), 0, SW_GROUPS_MAX},
	[SW_SECTION_PREFIXES] = {"prefixes", sizeof(struct sw_prefix_rule), 0, SW_PREFIXES_MAX},
	[SW_SECTION_STRINGS] = {"strings", 1, 1, 16u << 20},
};

__attribute__((format(printf, 2, 3))) static int refuse(const struct check *c, const char *format, ...)
{
	if (c->error_bytes) {
		va_list arguments;
		va_start(arguments, format);
		vsnprintf(c->error, c->error_bytes, format, arguments);
		va_end(arguments);
	}
	return -EINVAL;
}

static int refuse_field(const struct check *c, struct place at, const char *field, int64_t value, const char *expected)
{
	return refuse(c, "%s[%u].%s is %lld, expected %s", at.section, at.index, field, (long long)value, expected);
}

static int in_range(const struct check *c, struct place at, const char *field, int64_t value, int64_t low, int64_t high)
{
	if (value >= low && value <= high)
		return 0;
	return refuse(c, "%s[%u].%s is %lld, expected %lld to %lld", at.section, at.index, field, (long long)value,
		(long long)low, (long long)high);
}

/* ---- header and sections ---------------------------------------------------------------------------------------- */

static int check_header(const struct check *c, uint64_t bytes)
{
	const struct sw_snapshot_header *h = c->header;
	if (bytes < sizeof(*h))
		return refuse(c, "header: %llu bytes, expected at least %zu", (unsigned long long)bytes, sizeof(*h));
	if (h->magic != SW_SNAPSHOT_MAGIC)
		return refuse(c, "header.magic: not a policy snapshot");
	if (h->version != SW_SNAPSHOT_VERSION) {
		refuse(c, "header.version is %u, expected %u", h->version, SW_SNAPSHOT_VERSION);
		return -ENOTSUP;
	}
	if (h->header_bytes != sizeof(*h))
		return refuse(c, "header.header_bytes is %u, expected %zu", h->header_bytes, sizeof(*h));
	if (h->total_bytes != bytes || bytes > SW_SNAPSHOT_MAX_BYTES)
		return refuse(c, "header.total_bytes is %llu, expected the %llu that are there, at most %llu",
			(unsigned long long)h->total_bytes, (unsigned long long)bytes, SW_SNAPSHOT_MAX_BYTES);
	return 0;
}

static int check_section(const struct check *c, uint32_t id)
{
	const struct sw_section *s = &c->header->sections[id];
	const char *name = sections[id].name;
	if (s->element_bytes != sections[id].element_bytes)
		return refuse(c, "%s: elements of %u bytes, expected %u", name, s->element_bytes, sections[id].element_bytes);
	if (s->count < sections[id].min || s->count > sections[id].max)
		return refuse(c, "%s: %u elements, expected %u to %u", name, s->count, sections[id].min, sections[id].max);
	if (s->offset % 8)
		return refuse(c, "%s: offset %llu, expected a multiple of 8", name, (unsigned long long)s->offset);
	const uint64_t length = (uint64_t)s->count * s->element_bytes, total = c->header->total_bytes;
	if (s->offset < sizeof(*c->header) || s->offset > total || length > total - s->offset)
		return refuse(c, "%s: %llu bytes at offset %llu do not lie between the header and the end at %llu", name,
			(unsigned long long)length, (unsigned long long)s->offset, (unsigned long long)total);
	for (uint32_t other = 0; other < id; other++) {
		const struct sw_section *o = &c->header->sections[other];
		const uint64_t other_length = (uint64_t)o->count * o->element_bytes;
		if (length && other_length && s->offset < o->offset + other_length && o->offset < s->offset + length)
			return refuse(c, "%s: overlaps %s", name, sections[other].name);
	}
	return 0;
}

static int check_sections(const struct check *c)
{
	for (uint32_t id = 0; id < SW_SECTION_COUNT; id++)
		if (check_section(c, id))
			return -EINVAL;
	const uint64_t behind = c->header->total_bytes - sizeof(*c->header);
	if (sw_snapshot_checksum(c->header + 1, behind) != c->header->checksum)
		return refuse(c, "header.checksum does not fit the contents: the snapshot is cut or damaged");
	return 0;
}

/* ---- strings, names, prefixes ----------------------------------------------------------------------------------- */

static int check_strings(struct check *c)
{
	c->strings = sw_snapshot_section(c->header, SW_SECTION_STRINGS, &c->string_bytes);
	if (c->strings[0])
		return refuse(c, "strings[0] is %u, expected 0: offset 0 holds the empty string", (unsigned char)c->strings[0]);
	if (c->strings[c->string_bytes - 1])
		return refuse(c, "strings[%u] is not 0: the last string has no end", c->string_bytes - 1);
	return 0;
}

/* `text` may lack its NUL. Its length, or -1: empty, no NUL within `room`, or a control character. */
static int name_length(const char *text, size_t room)
{
	const size_t length = strnlen(text, room);
	if (length == 0 || length == room)
		return -1;
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return -1;
	return (int)length;
}

static int check_name(const struct check *c, struct place at, uint32_t offset)
{
	if (offset >= c->string_bytes)
		return refuse(c, "%s[%u].name is %u, expected an offset below %u", at.section, at.index, offset, c->string_bytes);
	const uint32_t left = c->string_bytes - offset;
	if (name_length(c->strings + offset, left < SW_NAME_BYTES ? left : SW_NAME_BYTES) < 0)
		return refuse(c, "%s[%u].name: expected 1 to %d bytes and no control characters", at.section, at.index,
			SW_NAME_BYTES - 1);
	return 0;
}

static int check_prefix(const struct check *c, struct place at, const char *field, const struct sw_prefix *prefix)
{
	if (prefix->length > 128)
		return refuse(c, "%s[%u].%s.length is %u, expected 0 to 128", at.section, at.index, field, prefix->length);
	const struct sw_address masked = sw_address_mask(prefix->address, prefix->length);
	if (!sw_address_equal(&masked, &prefix->address))
		return refuse(c, "%s[%u].%s.address has bits behind length %u", at.section, at.index, field, prefix->length);
	return 0;
}

static int check_rate(const struct check *c, struct place at, const char *field, uint32_t per_s, uint32_t burst)
{
	if (!per_s == !burst)
		return 0;
	return refuse(c, "%s[%u].%s: %u per second with burst %u, expected both or neither", at.section, at.index, field,
		per_s, burst);
}

static int check_limits(const struct check *c, struct place at, const char *field, const struct sw_limits *limits)
{
	const int error = check_rate(c, at, field, limits->syn_per_s, limits->syn_burst);
	return error ? error : check_rate(c, at, field, limits->conn_per_s, limits->conn_burst);
}

/* ---- boot and links --------------------------------------------------------------------------------------------- */

#define BOOT(field, low, high) {#field, offsetof(struct sw_boot, field), low, high}
static const struct {
	const char *field;
	size_t offset;
	uint32_t low, high;
} boot_numbers[] = {
	BOOT(workers, 1, SW_WORKERS_MAX),
	BOOT(heartbeat_timeout_ms, 1, 3600000),
	BOOT(idle_sleep_us, 0, 1000000),
	BOOT(mbufs, 64, 1 << 26),
	BOOT(rx_descriptors, 1, 65535), /* uint16_t in rte_eth_rx_queue_setup() */
	BOOT(tx_descriptors, 1, 65535),
	BOOT(flows, 1, 1 << 30),
	BOOT(source_records, 1, 1 << 28),
	BOOT(limiter_entries, 1, 1 << 30),
	BOOT(held_pkts, 0, 1 << 26),
	BOOT(services_max, 1, SW_SERVICES_MAX),
	BOOT(groups_max, 0, SW_GROUPS_MAX),
	BOOT(entries_max, 0, SW_ENTRIES_MAX),
};

/* The instance becomes part of file names. */
static int check_instance(const struct check *c, const struct sw_boot *boot)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	const int length = name_length(boot->instance, sizeof(boot->instance));
	if (length < 0 || boot->instance[0] == '.' || strspn(boot->instance, good) != (size_t)length)
		return refuse(c, "boot[0].instance: expected 1 to %d letters, digits, '-', '_' or '.', no '.' first",
			SW_NAME_BYTES - 1);
	return 0;
}

static int check_boot(const struct check *c)
{
	const struct sw_boot *boot = sw_snapshot_boot(c->header);
	const struct place at = {"boot", 0};
	int error = check_instance(c, boot);
	for (size_t i = 0; i < sizeof(boot_numbers) / sizeof(boot_numbers[0]) && !error; i++) {
		uint32_t value;
		memcpy(&value, (const char *)boot + boot_numbers[i].offset, sizeof(value));
		error = in_range(c, at, boot_numbers[i].field, value, boot_numbers[i].low, boot_numbers[i].high);
	}
	for (uint32_t i = 0; !error && i < boot->workers; i++)
		error = in_range(c, at, "cores", boot->cores[i], 0, CPUS_MAX - 1);
	if (!error && boot->housekeeping_core != SW_NONE)
		error = in_range(c, at, "housekeeping_core", boot->housekeeping_core, 0, CPUS_MAX - 1);
	if (!error)
		error = in_range(c, at, "hugepages", boot->hugepages, 0, SW_HUGEPAGES_NEVER);
	if (!error)
		error = in_range(c, at, "steer", boot->steer, 0, SW_STEER_ALL);
	if (!error)
		error = in_range(c, at, "fail_mode", boot->fail_mode, 0, SW_FAIL_CLOSED);
	if (!error && boot->idle_sleep_us > boot->heartbeat_timeout_ms * 500ull)
		error = refuse_field(c, at, "idle_sleep_us", boot->idle_sleep_us, "at most half of heartbeat_timeout_ms");
	return error;
}

static int check_device(const struct check *c, uint32_t index, const char *end, uint8_t kind, const char *device)
{
	if (kind > SW_DEVICE_VDEV)
		return refuse(c, "links[%u].%s.kind is %u, expected 0 to %d", index, end, kind, SW_DEVICE_VDEV);
	const int length = name_length(device, SW_DEVICE_BYTES);
	if (length < 0)
		return refuse(c, "links[%u].%s.device: expected 1 to %d bytes, a NUL, no control characters", index, end,
			SW_DEVICE_BYTES - 1);
	if (kind == SW_DEVICE_INTERFACE && (length >= INTERFACE_BYTES || strpbrk(device, "/ ,")))
		return refuse(c, "links[%u].%s.device: expected the name of a network interface", index, end);
	return 0;
}

static int check_links(const struct check *c)
{
	static const char *const ends[SW_SIDES] = {[SW_OUTSIDE] = "ends[0]", [SW_INSIDE] = "ends[1]"};
	uint32_t count;
	const struct sw_link *links = sw_snapshot_links(c->header, &count);
	for (uint32_t i = 0; i < count * SW_SIDES; i++) {
		const uint32_t link = i / SW_SIDES, side = i % SW_SIDES;
		const char *device = links[link].ends[side].device;
		if (check_device(c, link, ends[side], links[link].ends[side].kind, device))
			return -EINVAL;
		for (uint32_t j = 0; j < i; j++)
			if (strcmp(device, links[j / SW_SIDES].ends[j % SW_SIDES].device) == 0)
				return refuse(c, "links[%u].%s.device is also links[%u].%s.device", link, ends[side], j / SW_SIDES,
					ends[j % SW_SIDES]);
	}
	return 0;
}

/* ---- global ----------------------------------------------------------------------------------------------------- */

static int check_levels(const struct check *c, const struct sw_global *g)
{
	const struct place at = {"global", 0};
	if (in_range(c, at, "level_count", g->level_count, 1, SW_PREFIX_LEVELS))
		return -EINVAL;
	if (g->levels[0].ipv4_length != 32 || g->levels[0].ipv6_length != 128)
		return refuse(c, "global[0].levels[0] is /%u and /%u, expected /32 and /128", g->levels[0].ipv4_length,
			g->levels[0].ipv6_length);
	for (uint32_t i = 1; i < g->level_count; i++)
		if (g->levels[i].ipv4_length >= g->levels[i - 1].ipv4_length ||
			g->levels[i].ipv6_length >= g->levels[i - 1].ipv6_length)
			return refuse(c, "global[0].levels[%u] is /%u and /%u, expected shorter than the level before", i,
				g->levels[i].ipv4_length, g->levels[i].ipv6_length);
	return 0;
}

static int check_global(const struct check *c)
{
	const struct sw_global *g = sw_snapshot_global(c->header);
	const struct place at = {"global", 0};
	int error = check_levels(c, g);
	if (!error)
		error = in_range(c, at, "fragments", g->fragments, 0, SW_FRAGMENTS_DROP);
	if (!error)
		error = check_rate(c, at, "answers_per_source", g->answers_per_source_per_s, g->answers_per_source_burst);
	if (!error)
		error = check_rate(c, at, "answers_per_prefix", g->answers_per_prefix_per_s, g->answers_per_prefix_burst);
	if (!error)
		error = in_range(c, at, "adopt_s", g->adopt_s, 0, 365 * DAY_S);
	if (!error)
		error = in_range(c, at, "server_syn_retries", g->server_syn_retries, 0, 16); /* 1 s doubled 16 times: 18 hours */
	if (!error)
		error = in_range(c, at, "idle_established_s", g->idle_established_s, 1, 365 * DAY_S);
	if (!error)
		error = in_range(c, at, "idle_embryonic_s", g->idle_embryonic_s, 1, DAY_S);
	if (!error)
		error = in_range(c, at, "idle_closing_s", g->idle_closing_s, 1, DAY_S);
	return error;
}

/* ---- services and groups ---------------------------------------------------------------------------------------- */

static int check_backend(const struct check *c, struct place at, const struct sw_backend *b)
{
	const struct {
		const char *field;
		int32_t value, high;
	} numbers[] = {
		{"backend.sack", b->sack, 1},
		{"backend.timestamps", b->timestamps, 1},
		{"backend.ecn", b->ecn, 1},
	};
	const int32_t mss[] = {b->mss_ipv4, b->mss_ipv6};
	int error = 0;
	for (int i = 0; i < 2 && !error; i++)
		if (mss[i] != SW_BACKEND_LEARN)
			error = in_range(c, at, i ? "backend.mss_ipv6" : "backend.mss_ipv4", mss[i], 48, 65535);
	if (!error)
		error = in_range(c, at, "backend.window_scale", b->window_scale, SW_BACKEND_OFF, 14); /* RFC 7323, 2.3 */
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]) && !error; i++)
		error = in_range(c, at, numbers[i].field, numbers[i].value, SW_BACKEND_LEARN, numbers[i].high);
	return error;
}

static int check_service_limits(const struct check *c, struct place at, const struct sw_service *s)
{
	static const struct sw_limits none;
	const uint32_t levels = sw_snapshot_global(c->header)->level_count;
	for (uint32_t i = 0; i < SW_PREFIX_LEVELS; i++) {
		char field[16];
		snprintf(field, sizeof(field), "limits[%u]", i);
		if (check_limits(c, at, field, &s->limits[i]))
			return -EINVAL;
		if (i >= levels && memcmp(&s->limits[i], &none, sizeof(none)) != 0)
			return refuse(c, "%s[%u].%s is set, but there are only %u prefix levels", at.section, at.index, field, levels);
	}
	return check_limits(c, at, "total", &s->total);
}

static int check_service(const struct check *c, struct place at, const struct sw_service *s)
{
	const uint32_t slots = sw_snapshot_boot(c->header)->services_max;
	int error = check_name(c, at, s->name);
	if (!error)
		error = in_range(c, at, "slot", s->slot, 0, (int64_t)slots - 1);
	if (!error)
		error = in_range(c, at, "mode", s->mode, 0, SW_MODES - 1);
	if (!error)
		error = in_range(c, at, "refusal", s->refusal, 0, SW_REFUSE_RST);
	if (!error)
		error = in_range(c, at, "tcp_auth", s->tcp_auth, 0, SW_TCP_AUTH_PASS);
	if (!error && s->mode == SW_MODE_AUTO && s->start_syn_per_s == 0)
		error = refuse_field(c, at, "start_syn_per_s", 0, "at least 1 in mode auto");
	if (!error && s->mode == SW_MODE_AUTO && s->stop_syn_per_s >= s->start_syn_per_s)
		error = refuse_field(c, at, "stop_syn_per_s", s->stop_syn_per_s, "less than start_syn_per_s");
	if (!error && s->block_after && !s->block_s)
		error = refuse_field(c, at, "block_s", 0, "at least 1 where block_after is set");
	if (!error)
		error = check_backend(c, at, &s->backend);
	return error ? error : check_service_limits(c, at, s);
}

/* Names and slots of one section: element i's at base + i * stride. */
struct named {
	const char *section;
	const char *base;
	size_t stride, name_offset, slot_offset;
	uint32_t count;
	const char *strings;
};

static uint32_t named_field(const struct named *n, uint32_t index, size_t offset)
{
	uint32_t value;
	memcpy(&value, n->base + index * n->stride + offset, sizeof(value));
	return value;
}

static int compare_names(const void *left, const void *right, void *context)
{
	const struct named *n = context;
	return strcmp(n->strings + named_field(n, *(const uint32_t *)left, n->name_offset),
		n->strings + named_field(n, *(const uint32_t *)right, n->name_offset));
}

static int compare_slots(const void *left, const void *right, void *context)
{
	const struct named *n = context;
	const uint32_t a = named_field(n, *(const uint32_t *)left, n->slot_offset);
	const uint32_t b = named_field(n, *(const uint32_t *)right, n->slot_offset);
	return a < b ? -1 : a > b;
}

/* Refuses two elements that compare equal. `order`: scratch, an index for each of `count` elements. */
static int check_unique(const struct check *c, const char *section, const char *field, uint32_t *order, uint32_t count,
	int (*compare)(const void *, const void *, void *), void *context)
{
	for (uint32_t i = 0; i < count; i++)
		order[i] = i;
	qsort_r(order, count, sizeof(*order), compare, context);
	for (uint32_t i = 1; i < count; i++)
		if (compare(&order[i - 1], &order[i], context) == 0)
			return refuse(c, "%s[%u].%s is the same as that of %s[%u]", section,
				order[i] > order[i - 1] ? order[i] : order[i - 1], field, section,
				order[i] > order[i - 1] ? order[i - 1] : order[i]);
	return 0;
}

static int check_names_and_slots(const struct check *c, struct named *n, uint32_t *scratch)
{
	const int error = check_unique(c, n->section, "name", scratch, n->count, compare_names, n);
	return error ? error : check_unique(c, n->section, "slot", scratch, n->count, compare_slots, n);
}

static int check_services(const struct check *c, uint32_t *scratch)
{
	uint32_t count;
	const struct sw_service *services = sw_snapshot_services(c->header, &count);
	for (uint32_t i = 0; i < count; i++)
		if (check_service(c, (struct place){"services", i}, &services[i]))
			return -EINVAL;
	struct named named = {"services", (const char *)services, sizeof(*services), offsetof(struct sw_service, name),
		offsetof(struct sw_service, slot), count, c->strings};
	return check_names_and_slots(c, &named, scratch);
}

static int check_groups(const struct check *c, uint32_t *scratch)
{
	uint32_t count;
	const struct sw_group *groups = sw_snapshot_groups(c->header, &count);
	const uint32_t slots = sw_snapshot_boot(c->header)->groups_max;
	for (uint32_t i = 0; i < count; i++) {
		const struct place at = {"groups", i};
		if (check_name(c, at, groups[i].name) || in_range(c, at, "slot", groups[i].slot, 0, (int64_t)slots - 1) ||
			check_limits(c, at, "limits", &groups[i].limits))
			return -EINVAL;
	}
	struct named named = {"groups", (const char *)groups, sizeof(*groups), offsetof(struct sw_group, name),
		offsetof(struct sw_group, slot), count, c->strings};
	return check_names_and_slots(c, &named, scratch);
}

/* ---- targets and prefixes --------------------------------------------------------------------------------------- */

static int compare_prefixes(const struct sw_prefix *a, const struct sw_prefix *b)
{
	const int order = memcmp(&a->address, &b->address, sizeof(a->address));
	return order ? order : (int)a->length - b->length;
}

static int compare_targets(const void *left, const void *right, void *context)
{
	const struct sw_target *targets = context;
	const struct sw_target *a = &targets[*(const uint32_t *)left], *b = &targets[*(const uint32_t *)right];
	int order = compare_prefixes(&a->server, &b->server);
	if (!order)
		order = (int)a->port_first - b->port_first;
	return order ? order : (int)a->port_last - b->port_last;
}

static int check_targets(const struct check *c, uint32_t *scratch)
{
	uint32_t count, services;
	const struct sw_target *targets = sw_snapshot_targets(c->header, &count);
	sw_snapshot_services(c->header, &services);
	for (uint32_t i = 0; i < count; i++) {
		const struct place at = {"targets", i};
		const struct sw_target *t = &targets[i];
		if (check_prefix(c, at, "server", &t->server) || in_range(c, at, "port_first", t->port_first, 1, 65535) ||
			in_range(c, at, "port_last", t->port_last, t->port_first, 65535))
			return -EINVAL;
		if (t->service >= services)
			return refuse(c, "targets[%u].service is %u, expected below %u, the number of services", i, t->service, services);
	}
	return check_unique(c, "targets", "server and ports", scratch, count, compare_targets, (void *)(uintptr_t)targets);
}

static int check_rule(const struct check *c, struct place at, const struct sw_prefix_rule *rule)
{
	uint32_t groups;
	sw_snapshot_groups(c->header, &groups);
	const uint32_t entries = sw_snapshot_boot(c->header)->entries_max;
	if (check_prefix(c, at, "prefix", &rule->prefix) || in_range(c, at, "kind", rule->kind, 0, SW_RULE_KINDS - 1))
		return -EINVAL;
	const bool is_group = rule->kind == SW_RULE_GROUP;
	if (rule->target >= (is_group ? groups : entries))
		return refuse(c, "prefixes[%u].target is %u, expected below %u, the number of %s", at.index, rule->target,
			is_group ? groups : entries, is_group ? "groups" : "entries in the boot section");
	if (rule->until_unix_ns && rule->kind != SW_RULE_BLOCK)
		return refuse(c, "prefixes[%u].until_unix_ns is set, expected 0 for all but blocks", at.index);
	return 0;
}

static int check_prefixes(const struct check *c)
{
	uint32_t count;
	const struct sw_prefix_rule *rules = sw_snapshot_prefixes(c->header, &count);
	for (uint32_t i = 0; i < count; i++) {
		if (check_rule(c, (struct place){"prefixes", i}, &rules[i]))
			return -EINVAL;
		if (i == 0)
			continue;
		int order = compare_prefixes(&rules[i - 1].prefix, &rules[i].prefix);
		if (!order)
			order = (int)rules[i - 1].kind - rules[i].kind;
		if (order >= 0)
			return refuse(c, "prefixes[%u] %s, expected ascending address, length, kind", i,
				order ? "is out of order" : "stands there twice");
	}
	return 0;
}

/* ------------------------------------------------------------------------------------------------------------------ */

int sw_snapshot_check(const void *data, uint64_t bytes, char *error, size_t error_bytes)
{
	struct check c = {.header = data, .error = error, .error_bytes = error_bytes};
	if (error_bytes)
		error[0] = '\0';
	if ((uintptr_t)data % 8)
		return refuse(&c, "snapshot: expected at an address that is a multiple of 8");
	int result = check_header(&c, bytes);
	if (!result)
		result = check_sections(&c);
	if (!result)
		result = check_strings(&c);
	if (!result)
		result = check_boot(&c);
	if (!result)
		result = check_links(&c);
	if (!result)
		result = check_global(&c);
	if (result)
		return result;

	uint32_t *scratch = calloc(SW_TARGETS_MAX, sizeof(*scratch)); /* the longest of the sections that are sorted */
	if (!scratch) {
		refuse(&c, "snapshot: no memory to check it");
		return -ENOMEM;
	}
	result = check_services(&c, scratch);
	if (!result)
		result = check_groups(&c, scratch);
	if (!result)
		result = check_targets(&c, scratch);
	if (!result)
		result = check_prefixes(&c);
	free(scratch);
	return result;
}
