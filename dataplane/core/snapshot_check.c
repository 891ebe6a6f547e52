/* SPDX-License-Identifier: BSD-3-Clause */
#include "snapshot_check_parts.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { CPUS_MAX = 1024, DAY_S = 86400, INTERFACE_BYTES = 16 /* IFNAMSIZ */ };

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

int sw_snapshot_refuse(const struct snapshot_check *c, const char *format, ...)
{
	if (c->error_bytes) {
		va_list arguments;
		va_start(arguments, format);
		vsnprintf(c->error, c->error_bytes, format, arguments);
		va_end(arguments);
	}
	return -EINVAL;
}

int sw_snapshot_in_range(const struct snapshot_check *c, struct snapshot_place at, const char *field, int64_t value,
    int64_t low, int64_t high)
{
	if (value >= low && value <= high)
		return 0;
	return sw_snapshot_refuse(c, "%s[%u].%s is %lld, expected %lld to %lld", at.section, at.index, field,
	    (long long)value, (long long)low, (long long)high);
}

int sw_snapshot_check_rate(
    const struct snapshot_check *c, struct snapshot_place at, const char *field, uint32_t per_s, uint32_t burst)
{
	if (!per_s == !burst)
		return 0;
	return sw_snapshot_refuse(c, "%s[%u].%s: %u per second with burst %u, expected both or neither", at.section,
	    at.index, field, per_s, burst);
}

int sw_snapshot_name_length(const char *text, size_t room)
{
	const size_t length = strnlen(text, room);
	if (length == 0 || length == room)
		return -1;
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return -1;
	return (int)length;
}

/* ---- header and sections ---------------------------------------------------------------------------------------- */

static int check_header(const struct snapshot_check *c, uint64_t bytes)
{
	const struct sw_snapshot_header *h = c->header;
	if (bytes < sizeof(*h))
		return sw_snapshot_refuse(
		    c, "header: %llu bytes, expected at least %zu", (unsigned long long)bytes, sizeof(*h));
	if (h->magic != SW_SNAPSHOT_MAGIC)
		return sw_snapshot_refuse(c, "header.magic: not a policy snapshot");
	if (h->version != SW_SNAPSHOT_VERSION) {
		sw_snapshot_refuse(c, "header.version is %u, expected %u", h->version, SW_SNAPSHOT_VERSION);
		return -ENOTSUP;
	}
	if (h->header_bytes != sizeof(*h))
		return sw_snapshot_refuse(c, "header.header_bytes is %u, expected %zu", h->header_bytes, sizeof(*h));
	if (h->total_bytes != bytes || bytes > SW_SNAPSHOT_MAX_BYTES)
		return sw_snapshot_refuse(c, "header.total_bytes is %llu, expected the %llu that are there, at most %llu",
		    (unsigned long long)h->total_bytes, (unsigned long long)bytes, SW_SNAPSHOT_MAX_BYTES);
	return 0;
}

static int check_section(const struct snapshot_check *c, uint32_t id)
{
	const struct sw_section *s = &c->header->sections[id];
	const char *name = sections[id].name;
	if (s->element_bytes != sections[id].element_bytes)
		return sw_snapshot_refuse(
		    c, "%s: elements of %u bytes, expected %u", name, s->element_bytes, sections[id].element_bytes);
	if (s->count < sections[id].min || s->count > sections[id].max)
		return sw_snapshot_refuse(
		    c, "%s: %u elements, expected %u to %u", name, s->count, sections[id].min, sections[id].max);
	if (s->offset % 8)
		return sw_snapshot_refuse(c, "%s: offset %llu, expected a multiple of 8", name, (unsigned long long)s->offset);
	const uint64_t length = (uint64_t)s->count * s->element_bytes, total = c->header->total_bytes;
	if (s->offset < sizeof(*c->header) || s->offset > total || length > total - s->offset)
		return sw_snapshot_refuse(c, "%s: %llu bytes at offset %llu do not lie between the header and the end at %llu",
		    name, (unsigned long long)length, (unsigned long long)s->offset, (unsigned long long)total);
	for (uint32_t other = 0; other < id; other++) {
		const struct sw_section *o = &c->header->sections[other];
		const uint64_t other_length = (uint64_t)o->count * o->element_bytes;
		if (length && other_length && s->offset < o->offset + other_length && o->offset < s->offset + length)
			return sw_snapshot_refuse(c, "%s: overlaps %s", name, sections[other].name);
	}
	return 0;
}

static int check_sections(const struct snapshot_check *c)
{
	for (uint32_t id = 0; id < SW_SECTION_COUNT; id++)
		if (check_section(c, id))
			return -EINVAL;
	const uint64_t behind = c->header->total_bytes - sizeof(*c->header);
	if (sw_snapshot_checksum(c->header + 1, behind) != c->header->checksum)
		return sw_snapshot_refuse(c, "header.checksum does not fit the contents: the snapshot is cut or damaged");
	return 0;
}

static int check_strings(struct snapshot_check *c)
{
	c->strings = sw_snapshot_section(c->header, SW_SECTION_STRINGS, &c->string_bytes);
	if (c->strings[0])
		return sw_snapshot_refuse(
		    c, "strings[0] is %u, expected 0: offset 0 holds the empty string", (unsigned char)c->strings[0]);
	if (c->strings[c->string_bytes - 1])
		return sw_snapshot_refuse(c, "strings[%u] is not 0: the last string has no end", c->string_bytes - 1);
	return 0;
}

/* ---- boot and links --------------------------------------------------------------------------------------------- */

#define BOOT(field, low, high)                                                                                         \
	{                                                                                                                  \
#field, offsetof(struct sw_boot, field), low, high                                                             \
	}
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
static int check_instance(const struct snapshot_check *c, const struct sw_boot *boot)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	const int length = sw_snapshot_name_length(boot->instance, sizeof(boot->instance));
	if (length < 0 || boot->instance[0] == '.' || strspn(boot->instance, good) != (size_t)length)
		return sw_snapshot_refuse(
		    c, "boot[0].instance: expected 1 to %d letters, digits, '-', '_' or '.', no '.' first", SW_NAME_BYTES - 1);
	return 0;
}

static int check_boot(const struct snapshot_check *c)
{
	const struct sw_boot *boot = sw_snapshot_boot(c->header);
	const struct snapshot_place at = {"boot", 0};
	int error = check_instance(c, boot);
	for (size_t i = 0; i < sizeof(boot_numbers) / sizeof(boot_numbers[0]) && !error; i++) {
		uint32_t value;
		memcpy(&value, (const char *)boot + boot_numbers[i].offset, sizeof(value));
		error = sw_snapshot_in_range(c, at, boot_numbers[i].field, value, boot_numbers[i].low, boot_numbers[i].high);
	}
	for (uint32_t i = 0; !error && i < boot->workers; i++)
		error = sw_snapshot_in_range(c, at, "cores", boot->cores[i], 0, CPUS_MAX - 1);
	if (!error && boot->housekeeping_core != SW_NONE)
		error = sw_snapshot_in_range(c, at, "housekeeping_core", boot->housekeeping_core, 0, CPUS_MAX - 1);
	if (!error)
		error = sw_snapshot_in_range(c, at, "hugepages", boot->hugepages, 0, SW_HUGEPAGES_NEVER);
	if (!error)
		error = sw_snapshot_in_range(c, at, "steer", boot->steer, 0, SW_STEER_ALL);
	if (!error)
		error = sw_snapshot_in_range(c, at, "fail_mode", boot->fail_mode, 0, SW_FAIL_CLOSED);
	if (!error && boot->idle_sleep_us > boot->heartbeat_timeout_ms * 500ull)
		error = sw_snapshot_refuse(
		    c, "boot[0].idle_sleep_us is %u, expected at most half of heartbeat_timeout_ms", boot->idle_sleep_us);
	if (!error && boot->source_records > (uint64_t)boot->workers * SW_WORKER_RECORDS_MAX)
		error = sw_snapshot_refuse(c, "boot[0].source_records is %u, expected at most %d for each of %u workers",
		    boot->source_records, SW_WORKER_RECORDS_MAX, boot->workers);
	return error;
}

static int check_device(
    const struct snapshot_check *c, uint32_t index, const char *end, uint8_t kind, const char *device)
{
	if (kind > SW_DEVICE_VDEV)
		return sw_snapshot_refuse(c, "links[%u].%s.kind is %u, expected 0 to %d", index, end, kind, SW_DEVICE_VDEV);
	const int length = sw_snapshot_name_length(device, SW_DEVICE_BYTES);
	if (length < 0)
		return sw_snapshot_refuse(c, "links[%u].%s.device: expected 1 to %d bytes, a NUL, no control characters", index,
		    end, SW_DEVICE_BYTES - 1);
	if (kind == SW_DEVICE_INTERFACE && (length >= INTERFACE_BYTES || strpbrk(device, "/ ,")))
		return sw_snapshot_refuse(c, "links[%u].%s.device: expected the name of a network interface", index, end);
	return 0;
}

static int check_links(const struct snapshot_check *c)
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
				return sw_snapshot_refuse(c, "links[%u].%s.device is also links[%u].%s.device", link, ends[side],
				    j / SW_SIDES, ends[j % SW_SIDES]);
	}
	return 0;
}

/* ---- global ----------------------------------------------------------------------------------------------------- */

static int check_levels(const struct snapshot_check *c, const struct sw_global *g)
{
	const struct snapshot_place at = {"global", 0};
	if (sw_snapshot_in_range(c, at, "level_count", g->level_count, 1, SW_PREFIX_LEVELS))
		return -EINVAL;
	if (g->levels[0].ipv4_length != 32 || g->levels[0].ipv6_length != 128)
		return sw_snapshot_refuse(c, "global[0].levels[0] is /%u and /%u, expected /32 and /128",
		    g->levels[0].ipv4_length, g->levels[0].ipv6_length);
	for (uint32_t i = 1; i < g->level_count; i++)
		if (g->levels[i].ipv4_length >= g->levels[i - 1].ipv4_length ||
		    g->levels[i].ipv6_length >= g->levels[i - 1].ipv6_length)
			return sw_snapshot_refuse(c, "global[0].levels[%u] is /%u and /%u, expected shorter than the level before",
			    i, g->levels[i].ipv4_length, g->levels[i].ipv6_length);
	return 0;
}

static int check_global(const struct snapshot_check *c)
{
	const struct sw_global *g = sw_snapshot_global(c->header);
	const struct snapshot_place at = {"global", 0};
	int error = check_levels(c, g);
	if (!error)
		error = sw_snapshot_in_range(c, at, "fragments", g->fragments, 0, SW_FRAGMENTS_DROP);
	if (!error)
		error = sw_snapshot_check_rate(
		    c, at, "answers_per_source", g->answers_per_source_per_s, g->answers_per_source_burst);
	if (!error)
		error = sw_snapshot_check_rate(
		    c, at, "answers_per_prefix", g->answers_per_prefix_per_s, g->answers_per_prefix_burst);
	if (!error)
		error = sw_snapshot_in_range(c, at, "adopt_s", g->adopt_s, 0, 365 * DAY_S);
	if (!error)
		error = sw_snapshot_in_range(
		    c, at, "server_syn_retries", g->server_syn_retries, 0, 16); /* 1 s doubled 16 times: 18 hours */
	if (!error)
		error = sw_snapshot_in_range(c, at, "idle_established_s", g->idle_established_s, 1, 365 * DAY_S);
	if (!error)
		error = sw_snapshot_in_range(c, at, "idle_embryonic_s", g->idle_embryonic_s, 1, DAY_S);
	if (!error)
		error = sw_snapshot_in_range(c, at, "idle_closing_s", g->idle_closing_s, 1, DAY_S);
	return error;
}

/* ------------------------------------------------------------------------------------------------------------------ */

int sw_snapshot_check(const void *data, uint64_t bytes, char *error, size_t error_bytes)
{
	struct snapshot_check c = {.header = data, .error = error, .error_bytes = error_bytes};
	if (error_bytes)
		error[0] = '\0';
	if ((uintptr_t)data % 8)
		return sw_snapshot_refuse(&c, "snapshot: expected at an address that is a multiple of 8");
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
	return result ? result : sw_snapshot_check_policy(&c);
}
