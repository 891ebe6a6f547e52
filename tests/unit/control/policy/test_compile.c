/* SPDX-License-Identifier: BSD-3-Clause */
/* What compile makes, judged by the dataplane's own check, and numbers that stay. */
#include "policy_test.h"

#include <errno.h>
#include <unistd.h>

#include "api/region.h"

/* Of dataplane/core, which control includes nothing of: the test alone links both sides. */
int sw_snapshot_check(const void *data, uint64_t bytes, char *error, size_t error_bytes);

static struct sw_slot_cursors cursors;

static struct sw_snapshot_header *compile_with(const char *text, const struct sw_snapshot_header *previous,
    const struct sw_compile_block *blocks, uint32_t block_count)
{
	static const uint32_t cpus[] = {0, 1, 2, 3};
	struct sw_spec *spec = load_good(text);
	struct sw_snapshot_header *snapshot = NULL;
	char error[256] = "";
	const struct sw_compile_input input = {.spec = spec,
	    .previous = previous,
	    .blocks = blocks,
	    .block_count = block_count,
	    .generation = previous ? previous->generation + 1 : 1,
	    .now_unix_ns = 1,
	    .cpus = cpus,
	    .cpu_count = 4};
	assert_int_equal(sw_compile(&input, &cursors, &report, &snapshot), 0);
	sw_spec_free(spec);
	assert_true(sw_snapshot_readable(snapshot, snapshot->total_bytes));
	if (sw_snapshot_check(snapshot, snapshot->total_bytes, error, sizeof(error)) != 0)
		fail_msg("the dataplane would refuse it: %s", error);
	return snapshot;
}

static struct sw_snapshot_header *compile(const char *text, const struct sw_snapshot_header *previous)
{
	return compile_with(text, previous, NULL, 0);
}

static uint32_t service_slot(const struct sw_snapshot_header *s, const char *name)
{
	uint32_t count;
	const struct sw_service *services = sw_snapshot_array(s, SW_SECTION_SERVICES, &count);
	for (uint32_t i = 0; i < count; i++)
		if (strcmp(sw_snapshot_text(s, services[i].name), name) == 0)
			return services[i].slot;
	return SW_NONE;
}

static const struct sw_prefix_rule *rule_of(
    const struct sw_snapshot_header *s, const char *text, enum sw_rule_kind kind)
{
	uint32_t count;
	struct sw_prefix prefix;
	const struct sw_prefix_rule *rules = sw_snapshot_array(s, SW_SECTION_PREFIXES, &count);
	assert_null(sw_prefix_parse(text, &prefix));
	for (uint32_t i = 0; i < count; i++)
		if (rules[i].kind == kind && memcmp(&rules[i].prefix, &prefix, sizeof(prefix)) == 0)
			return &rules[i];
	return NULL;
}

static void everything_arrives(void **state)
{
	struct sw_snapshot_header *s =
	    compile("{\"boot\": {\"instance\": \"lab\", \"workers\": 2, \"links\": [{\"outside\": \"eth0\", \"inside\": "
	            "{\"vdev\": \"net_null0\"}}], "
	            "\"fail\": \"closed\", \"steer\": \"all\", \"hugepages\": \"never\"},"
	            "\"global\": {\"prefix_levels\": [{\"ipv4\": 20, \"ipv6\": 56}], \"fragments\": \"drop\"},"
	            "\"services\": [{\"name\": \"web\", \"targets\": [\"192.0.2.1:80\", \"[2001:db8::1]:80-90\"], "
	            "\"mode\": \"always\", \"refuse\": \"rst\", "
	            "\"hold_s\": 9, \"backend\": {\"window_scale\": \"none\", \"mss_ipv6\": 1440, \"ecn\": \"yes\"}, "
	            "\"block\": {\"after\": 3, \"seconds\": 60}, "
	            "\"limits\": {\"source\": {\"syn_per_s\": 7}, \"prefixes\": [{\"conn_per_s\": 8, \"conn_burst\": 99}], "
	            "\"total\": {\"concurrent\": 10}}}],"
	            "\"groups\": [{\"name\": \"g\", \"prefixes\": [\"198.51.100.0/24\", \"2001:db8:1::/48\"], \"limits\": "
	            "{\"syn_per_s\": 2}}],"
	            "\"allow\": [\"10.0.0.0/8\"], \"deny\": [\"10.1.0.0/16\", \"fd00::/8\"]}",
	        NULL);
	const struct sw_boot *boot = sw_snapshot_array(s, SW_SECTION_BOOT, NULL);
	const struct sw_link *link = sw_snapshot_array(s, SW_SECTION_LINKS, NULL);
	const struct sw_global *global = sw_snapshot_array(s, SW_SECTION_GLOBAL, NULL);
	uint32_t targets, rules;
	const struct sw_service *service = sw_snapshot_array(s, SW_SECTION_SERVICES, NULL);
	const struct sw_target *target = sw_snapshot_array(s, SW_SECTION_TARGETS, &targets);
	(void)state;
	assert_string_equal(boot->instance, "lab");
	assert_int_equal(boot->workers, 2);
	assert_int_equal(boot->cores[0], 2); /* the highest of the four */
	assert_int_equal(boot->cores[1], 3);
	assert_int_equal(boot->fail_mode, SW_FAIL_CLOSED);
	assert_int_equal(boot->steer, SW_STEER_ALL);
	assert_int_equal(boot->hugepages, SW_HUGEPAGES_NEVER);
	assert_string_equal(link->ends[SW_OUTSIDE].device, "eth0");
	assert_int_equal(link->ends[SW_INSIDE].kind, SW_DEVICE_VDEV);
	assert_int_equal(global->level_count, 2);
	assert_int_equal(global->levels[0].ipv4_length, 32);
	assert_int_equal(global->levels[1].ipv4_length, 20);
	assert_int_equal(global->levels[1].ipv6_length, 56);
	assert_int_equal(global->fragments, SW_FRAGMENTS_DROP);
	assert_int_equal(service->mode, SW_MODE_ALWAYS);
	assert_int_equal(service->refusal, SW_REFUSE_RST);
	assert_int_equal(service->hold_ms, 9000);
	assert_int_equal(service->backend.window_scale, SW_BACKEND_OFF);
	assert_int_equal(service->backend.mss_ipv6, 1440);
	assert_int_equal(service->backend.mss_ipv4, SW_BACKEND_LEARN);
	assert_int_equal(service->backend.ecn, 1);
	assert_int_equal(service->block_after, 3);
	assert_int_equal(service->limits[0].syn_per_s, 7);
	assert_int_equal(service->limits[0].syn_burst, 14);
	assert_int_equal(service->limits[1].conn_burst, 99);
	assert_int_equal(service->total.concurrent, 10);
	assert_int_equal(targets, 2);
	assert_int_equal(target[1].port_last, 90);
	sw_snapshot_array(s, SW_SECTION_PREFIXES, &rules);
	assert_int_equal(rules, 5);
	assert_non_null(rule_of(s, "fd00::/8", SW_RULE_DENY));
	assert_int_equal(rule_of(s, "2001:db8:1::/48", SW_RULE_GROUP)->target, 0);
	free(s);
}

#define NAMED(name, port) "{\"name\": \"" name "\", \"targets\": [\"10.0.0.1:" port "\", \"[fd00::1]:" port "\"]}"
#define SERVICES(list, more)                                                                                           \
	"{\"boot\": {\"links\": [{\"outside\": \"a\", \"inside\": \"b\"}], \"services\": 4}, \"services\": [" list         \
	"]" more "}"

static void slots_stay_with_their_names(void **state)
{
	(void)state;
	cursors = (struct sw_slot_cursors){0};
	struct sw_snapshot_header *one =
	    compile(SERVICES(NAMED("a", "1") "," NAMED("b", "2") "," NAMED("c", "3"), ""), NULL);
	struct sw_snapshot_header *two =
	    compile(SERVICES(NAMED("c", "3") "," NAMED("d", "4") "," NAMED("a", "1"), ""), one);
	assert_int_equal(service_slot(two, "a"), service_slot(one, "a"));
	assert_int_equal(service_slot(two, "c"), service_slot(one, "c"));
	assert_int_not_equal(service_slot(two, "d"), service_slot(one, "b")); /* one slot was never used: that one */
	/* full: the freed one is all that is left */
	struct sw_snapshot_header *three =
	    compile(SERVICES(NAMED("c", "3") "," NAMED("d", "4") "," NAMED("a", "1") "," NAMED("e", "5"), ""), two);
	assert_int_equal(service_slot(three, "e"), service_slot(one, "b"));
	assert_int_equal(service_slot(three, "d"), service_slot(two, "d"));
	free(one);
	free(two);
	free(three);
}

static void entries_stay_with_their_prefixes(void **state)
{
	(void)state;
	cursors = (struct sw_slot_cursors){0};
	struct sw_snapshot_header *one =
	    compile(CONFIG("", ", \"allow\": [\"10.0.0.0/8\"], \"deny\": [\"11.0.0.0/8\", \"fd00::/8\"]"), NULL);
	struct sw_snapshot_header *two = compile(
	    CONFIG("", ", \"allow\": [\"1.0.0.0/8\", \"10.0.0.0/8\"], \"deny\": [\"fd00::/8\", \"10.0.0.0/9\"]"), one);
	assert_int_equal(
	    rule_of(two, "10.0.0.0/8", SW_RULE_ALLOW)->target, rule_of(one, "10.0.0.0/8", SW_RULE_ALLOW)->target);
	assert_int_equal(rule_of(two, "fd00::/8", SW_RULE_DENY)->target, rule_of(one, "fd00::/8", SW_RULE_DENY)->target);
	assert_true(rule_of(two, "1.0.0.0/8", SW_RULE_ALLOW)->target > 2);
	free(one);
	free(two);
}

static void blocks_are_merged_in(void **state)
{
	struct sw_compile_block blocks[2] = {{.until_unix_ns = 77}, {.until_unix_ns = 0}};
	(void)state;
	assert_null(sw_prefix_parse("10.0.0.0/8", &blocks[0].prefix));
	assert_null(sw_prefix_parse("2001:db8::1", &blocks[1].prefix));
	struct sw_snapshot_header *s = compile_with(CONFIG("", ", \"deny\": [\"10.0.0.0/8\"]"), NULL, blocks, 2);
	assert_true(rule_of(s, "10.0.0.0/8", SW_RULE_BLOCK)->until_unix_ns == 77);
	assert_true(rule_of(s, "2001:db8::1", SW_RULE_BLOCK)->until_unix_ns == 0);
	assert_int_not_equal(
	    rule_of(s, "10.0.0.0/8", SW_RULE_BLOCK)->target, rule_of(s, "10.0.0.0/8", SW_RULE_DENY)->target);
	free(s);
}

static void the_same_prefix_twice_is_one_entry(void **state)
{
	uint32_t count;
	(void)state;
	struct sw_snapshot_header *s =
	    compile(CONFIG("", ", \"deny\": [\"10.0.0.0/8\", \"fd00::/8\", \"10.0.0.0/8\"]"), NULL);
	sw_snapshot_array(s, SW_SECTION_PREFIXES, &count);
	assert_int_equal(count, 2);
	free(s);
}

/* Lists that fit by themselves, and blocks that do not fit beside them. */
static void entries_have_their_bound(void **state)
{
	struct sw_spec *spec =
	    load_good("{\"boot\": {\"links\": [{\"outside\": \"a\", \"inside\": \"b\"}], \"entries\": 16}, "
	              "\"deny\": [\"10.0.0.0/8\", \"fd00::/8\"]}");
	struct sw_compile_block blocks[15] = {0};
	struct sw_snapshot_header *snapshot = NULL;
	(void)state;
	for (uint8_t i = 0; i < 15; i++)
		blocks[i].prefix = (struct sw_prefix){.address = {{0x20, 1, 0x0d, 0xb8, i}}, .length = 40};
	struct sw_compile_input input = {.spec = spec,
	    .generation = 1,
	    .cpus = (const uint32_t[]){0},
	    .cpu_count = 1,
	    .blocks = blocks,
	    .block_count = 15};
	memset(&report, 0, sizeof(report));
	assert_int_equal(sw_compile(&input, &cursors, &report, &snapshot), -ENOSPC);
	assert_int_equal(report.counts[SW_ERROR], 1);
	assert_string_equal(report.findings[SW_ERROR][0].path, "boot.entries");
	assert_null(snapshot);
	input.block_count = 14;
	assert_int_equal(sw_compile(&input, &cursors, &report, &snapshot), 0);
	free(snapshot);
	sw_spec_free(spec);
}

/* The daemon's files are lost, and a dataplane runs: its slots are kept. */
static void slots_are_found_in_a_running_dataplane(void **state)
{
	struct sw_running_services *running = calloc(1, sizeof(*running) + 4 * sizeof(running->services[0]));
	struct sw_spec *spec = load_good(SERVICES(NAMED("a", "1") "," NAMED("b", "2"), ""));
	struct sw_snapshot_header *snapshot = NULL;
	(void)state;
	assert_non_null(running);
	running->count = 4;
	strcpy(running->services[3].name, "a");
	strcpy(running->services[1].name, "b");
	cursors = (struct sw_slot_cursors){0};
	const struct sw_compile_input input = {
	    .spec = spec, .generation = 1, .cpus = (const uint32_t[]){0}, .cpu_count = 1, .running = running};
	assert_int_equal(sw_compile(&input, &cursors, &report, &snapshot), 0);
	assert_int_equal(service_slot(snapshot, "a"), 3);
	assert_int_equal(service_slot(snapshot, "b"), 1);
	free(running);
	free(snapshot);
	sw_spec_free(spec);
}

/* A region as a dataplane writes it, then cut and of another version. */
static void names_are_read_from_a_region(void **state)
{
	char path[] = "/tmp/seawall-region-XXXXXX";
	struct {
		struct sw_region region;
		struct sw_service_state services[3];
	} *file = calloc(1, sizeof(*file));
	const int fd = mkstemp(path);
	(void)state;
	assert_non_null(file);
	assert_true(fd >= 0);
	file->region.magic = SW_REGION_MAGIC;
	file->region.version = SW_REGION_VERSION;
	file->region.layout_bytes = sizeof(file->region);
	file->region.services_max = 3;
	file->region.service_offset = (uint64_t)((char *)file->services - (char *)file);
	strcpy(file->services[2].name, "web");
	file->services[2].concurrent = 7;
	assert_int_equal(write(fd, file, sizeof(*file)), sizeof(*file));
	struct sw_running_services *running = sw_running_services(path);
	assert_non_null(running);
	assert_int_equal(running->count, 3);
	assert_false(running->is_live);
	assert_string_equal(running->services[2].name, "web");
	assert_int_equal(running->services[2].concurrent, 7);
	assert_string_equal(running->services[0].name, "");
	free(running);
	assert_int_equal(ftruncate(fd, (off_t)sizeof(*file) - 1), 0);
	assert_null(sw_running_services(path));
	file->region.version++;
	assert_int_equal(pwrite(fd, file, sizeof(*file), 0), sizeof(*file));
	assert_null(sw_running_services(path));
	close(fd);
	unlink(path);
	assert_null(sw_running_services(path));
	free(file);
}

/* Nothing but whole snapshots of this version can be read back. */
static void damaged_snapshots_are_not_readable(void **state)
{
	struct sw_snapshot_header *s = compile(CONFIG("", ", \"deny\": [\"10.0.0.0/8\"]"), NULL);
	const uint64_t total = s->total_bytes;
	(void)state;
	for (uint64_t bytes = 0; bytes < total; bytes++)
		assert_false(sw_snapshot_readable(s, bytes));
	for (uint64_t at = 0; at < total; at++) {
		/* Generation and time are free to differ, and another place of a section may still lie inside: then it is read.
		 */
		const bool checked =
		    at < offsetof(struct sw_snapshot_header, generation) || at >= sizeof(struct sw_snapshot_header);
		((uint8_t *)s)[at] ^= 0x80;
		const bool readable = sw_snapshot_readable(s, total);
		if (checked)
			assert_false(readable);
		else if (readable)
			service_slot(s, "nobody");
		((uint8_t *)s)[at] ^= 0x80;
	}
	assert_true(sw_snapshot_readable(s, total));
	free(s);
}

static void the_same_text_makes_the_same_snapshot(void **state)
{
	static const char text[] = CONFIG("", ", \"deny\": [\"10.0.0.0/8\", \"fd00::/8\"]");
	(void)state;
	struct sw_snapshot_header *one = compile(text, NULL), *two = compile(text, one);
	struct sw_snapshot_header *other =
	    compile(CONFIG(",\"hold_s\": 3", ", \"deny\": [\"10.0.0.0/8\", \"fd00::/8\"]"), one);
	assert_true(sw_snapshot_same(one, two));
	assert_false(sw_snapshot_same(one, other));
	free(one);
	free(two);
	free(other);
}

static int compare_numbers(const void *a, const void *b)
{
	return (*(const uint32_t *)a > *(const uint32_t *)b) - (*(const uint32_t *)a < *(const uint32_t *)b);
}

/* As many prefixes as the box is built for, of both families: all arrive, sorted, each with a number of its own. */
static void a_full_house(void **state)
{
	enum { IPV4 = 100000, IPV6 = 20000 };
	struct sw_spec *spec = load_good(CONFIG("", ""));
	struct sw_spec_prefix *prefixes = calloc(IPV4 + IPV6, sizeof(*prefixes));
	struct sw_snapshot_header *snapshot = NULL;
	char error[256] = "";
	uint32_t count;
	(void)state;
	assert_non_null(prefixes);
	for (uint32_t i = 0; i < IPV4; i++) {
		const uint8_t four[4] = {(uint8_t)(i * 7), (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
		prefixes[i].prefix = (struct sw_prefix){.address = sw_address_from_ipv4(four), .length = 128};
	}
	for (uint32_t i = 0; i < IPV6; i++) {
		struct sw_prefix *p = &prefixes[IPV4 + i].prefix;
		*p = (struct sw_prefix){.address = {{0x20, 0x01, 0x0d, 0xb8, (uint8_t)(i >> 8), (uint8_t)i}}, .length = 48};
	}
	spec->deny = (struct sw_spec_list){.items = prefixes, .count = IPV4 + IPV6};
	const struct sw_compile_input input = {
	    .spec = spec, .generation = 1, .cpus = (const uint32_t[]){0}, .cpu_count = 1};
	assert_int_equal(sw_compile(&input, &cursors, &report, &snapshot), 0);
	if (sw_snapshot_check(snapshot, snapshot->total_bytes, error, sizeof(error)) != 0)
		fail_msg("%s", error);
	const struct sw_prefix_rule *rules = sw_snapshot_array(snapshot, SW_SECTION_PREFIXES, &count);
	assert_int_equal(count, IPV4 + IPV6);
	uint32_t *numbers = malloc(count * sizeof(*numbers));
	assert_non_null(numbers);
	for (uint32_t i = 0; i < count; i++)
		numbers[i] = rules[i].target;
	qsort(numbers, count, sizeof(*numbers), compare_numbers);
	for (uint32_t i = 1; i < count; i++)
		assert_true(numbers[i] > numbers[i - 1]);
	free(numbers);
	free(snapshot);
	free(prefixes);
	sw_spec_free(spec);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(everything_arrives),
	    cmocka_unit_test(slots_stay_with_their_names),
	    cmocka_unit_test(entries_stay_with_their_prefixes),
	    cmocka_unit_test(blocks_are_merged_in),
	    cmocka_unit_test(the_same_prefix_twice_is_one_entry),
	    cmocka_unit_test(entries_have_their_bound),
	    cmocka_unit_test(slots_are_found_in_a_running_dataplane),
	    cmocka_unit_test(names_are_read_from_a_region),
	    cmocka_unit_test(damaged_snapshots_are_not_readable),
	    cmocka_unit_test(the_same_text_makes_the_same_snapshot),
	    cmocka_unit_test(a_full_house),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
