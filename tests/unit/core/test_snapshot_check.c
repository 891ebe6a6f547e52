/* SPDX-License-Identifier: BSD-3-Clause */
/* A snapshot with everything in it passes; each single thing wrong is refused, and the text names it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "core/snapshot_check.h"
#include "snapshot_draft.h"

/* Two services, two groups, rules of every kind and family. */
static void full_draft(struct draft *d)
{
	draft_init(d);
	struct sw_service *s = draft_service(d, "tracker", SW_MODE_AUTO);
	s->limits[0] =
	    (struct sw_limits){.syn_per_s = 10, .syn_burst = 20, .conn_per_s = 5, .conn_burst = 5, .concurrent = 9};
	s->block_after = 3;
	s->block_s = 60;
	draft_service(d, "web", SW_MODE_ALWAYS);
	draft_target(d, "10.20.0.10", 20000, 20000, 0);
	draft_target(d, "fd00:20::10", 1, 65535, 0);
	draft_target(d, "10.20.0.0/24", 80, 90, 1);
	draft_group(d, "torrent hosts");
	draft_group(d, "partners");
	draft_rule(d, "192.0.2.0/24", SW_RULE_DENY, 1, 0);
	draft_rule(d, "192.0.2.0/24", SW_RULE_GROUP, 1, 0);
	draft_rule(d, "192.0.2.7", SW_RULE_ALLOW, 2, 0);
	draft_rule(d, "2001:db8::/32", SW_RULE_BLOCK, 3, 99);
}

static void assert_refused(const void *snapshot, uint64_t bytes, int code, const char *names)
{
	char error[256] = "";
	const int result = sw_snapshot_check(snapshot, bytes, error, sizeof(error));
	if (result != code || !strstr(error, names))
		fail_msg("expected %d and \"%s\", got %d and \"%s\"", code, names, result, error);
	assert_int_equal(sw_snapshot_check(snapshot, bytes, NULL, 0), code);
	assert_int_equal(sw_snapshot_check(snapshot, bytes, error, 10), code);
	assert_true(strlen(error) < 10);
}

static void a_good_snapshot_passes(void **state)
{
	(void)state;
	struct draft d;
	uint64_t bytes;
	uint32_t count;
	char error[256];
	full_draft(&d);
	void *snapshot = draft_seal(&d, &bytes);
	if (sw_snapshot_check(snapshot, bytes, error, sizeof(error)))
		fail_msg("%s", error);
	assert_string_equal(error, "");
	assert_int_equal(sw_snapshot_generation(snapshot), 1);
	assert_int_equal(sw_snapshot_boot(snapshot)->workers, 1);
	assert_string_equal(sw_snapshot_links(snapshot, NULL)->ends[SW_INSIDE].device, "lan0");
	assert_int_equal(sw_snapshot_global(snapshot)->level_count, 3);
	const struct sw_service *services = sw_snapshot_services(snapshot, &count);
	assert_int_equal(count, 2);
	assert_string_equal(sw_snapshot_string(snapshot, services[1].name), "web");
	assert_int_equal(sw_snapshot_targets(snapshot, &count)[1].port_last, 65535);
	assert_int_equal(count, 3);
	assert_string_equal(sw_snapshot_string(snapshot, sw_snapshot_groups(snapshot, &count)[1].name), "partners");
	assert_int_equal(count, 2);
	assert_int_equal(sw_snapshot_prefixes(snapshot, &count)[0].prefix.length, 120);
	assert_int_equal(count, 4);
	free(snapshot);
}

static void the_smallest_snapshot_passes(void **state)
{
	(void)state;
	struct draft d;
	uint64_t bytes;
	draft_init(&d);
	void *snapshot = draft_seal(&d, &bytes);
	assert_int_equal(sw_snapshot_check(snapshot, bytes, NULL, 0), 0);
	free(snapshot);
}

/* ---- header and sections: changes to the sealed bytes -------------------------------------------------------------
 */

#define HEADER(field, value, code, names) \
	{#field, offsetof(struct sw_snapshot_header, field), sizeof(((struct sw_snapshot_header *)0)->field), value, code, \
		names}

static const struct {
	const char *what;
	size_t offset, size;
	uint64_t value;
	int code;
	const char *names;
} header_changes[] = {
	HEADER(magic, 0, -EINVAL, "magic"),
	HEADER(version, 2, -ENOTSUP, "version is 2, expected 1"),
	HEADER(version, 0, -ENOTSUP, "version"),
	HEADER(header_bytes, 8, -EINVAL, "header_bytes"),
	HEADER(total_bytes, 8, -EINVAL, "total_bytes"),
	HEADER(total_bytes, UINT64_MAX, -EINVAL, "total_bytes"),
	HEADER(sections[SW_SECTION_BOOT].count, 0, -EINVAL, "boot: 0 elements"),
	HEADER(sections[SW_SECTION_BOOT].count, 2, -EINVAL, "boot: 2 elements"),
	HEADER(sections[SW_SECTION_LINKS].count, 17, -EINVAL, "links"),
	HEADER(sections[SW_SECTION_SERVICES].count, 4097, -EINVAL, "services"),
	HEADER(sections[SW_SECTION_PREFIXES].count, UINT32_MAX, -EINVAL, "prefixes"),
	HEADER(sections[SW_SECTION_STRINGS].count, 0, -EINVAL, "strings"),
	HEADER(sections[SW_SECTION_TARGETS].element_bytes, 31, -EINVAL, "targets: elements of 31 bytes"),
	HEADER(sections[SW_SECTION_TARGETS].element_bytes, 0, -EINVAL, "targets"),
	HEADER(sections[SW_SECTION_GROUPS].offset, 1, -EINVAL, "groups"),
	HEADER(sections[SW_SECTION_GROUPS].offset, 0, -EINVAL, "groups"),
	HEADER(sections[SW_SECTION_GROUPS].offset, UINT64_MAX - 7, -EINVAL, "groups"),
	HEADER(sections[SW_SECTION_GROUPS].offset, 1ull << 40, -EINVAL, "groups"),
	HEADER(sections[SW_SECTION_TARGETS].count, 16384, -EINVAL, "targets"),
	HEADER(checksum, 1, -EINVAL, "checksum"),
};

static void broken_headers_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(header_changes) / sizeof(header_changes[0]); i++) {
		struct draft d;
		uint64_t bytes;
		full_draft(&d);
		char *snapshot = draft_seal(&d, &bytes);
		memcpy(snapshot + header_changes[i].offset, &header_changes[i].value, header_changes[i].size);
		assert_refused(snapshot, bytes, header_changes[i].code, header_changes[i].names);
		free(snapshot);
	}
}

static void sections_must_not_overlap(void **state)
{
	(void)state;
	for (uint32_t id = SW_SECTION_LINKS; id < SW_SECTION_COUNT; id++) {
		struct draft d;
		uint64_t bytes;
		full_draft(&d);
		struct sw_snapshot_header *h = draft_seal(&d, &bytes);
		h->sections[id].offset = h->sections[SW_SECTION_BOOT].offset;
		assert_refused(h, bytes, -EINVAL, "overlaps boot");
		free(h);
	}
}

/* A copy of exactly the cut size, so that a sanitizer sees a read behind it. */
static void cut_snapshots_are_refused(void **state)
{
	(void)state;
	struct draft d;
	uint64_t bytes;
	full_draft(&d);
	char *snapshot = draft_seal(&d, &bytes);
	for (uint64_t cut = 0; cut < bytes; cut += cut < 512 ? 1 : 61) {
		char *copy = malloc(cut ? cut : 1);
		memcpy(copy, snapshot, cut);
		assert_int_equal(sw_snapshot_check(copy, cut, NULL, 0), -EINVAL);
		if (cut >= sizeof(struct sw_snapshot_header)) {
			((struct sw_snapshot_header *)copy)->total_bytes = cut; /* a liar's cut */
			snapshot_sum(copy);
			assert_int_equal(sw_snapshot_check(copy, cut, NULL, 0), -EINVAL);
		}
		free(copy);
	}
	assert_int_equal(sw_snapshot_check(snapshot + 4, bytes - 4, NULL, 0), -EINVAL); /* not aligned */
	free(snapshot);
}

static void every_flipped_byte_is_noticed(void **state)
{
	(void)state;
	struct draft d;
	uint64_t bytes;
	full_draft(&d);
	char *snapshot = draft_seal(&d, &bytes);
	for (uint64_t at = sizeof(struct sw_snapshot_header); at < bytes; at++) {
		snapshot[at] = (char)(snapshot[at] ^ 0x10);
		assert_int_equal(sw_snapshot_check(snapshot, bytes, NULL, 0), -EINVAL);
		snapshot[at] = (char)(snapshot[at] ^ 0x10);
	}
	assert_int_equal(sw_snapshot_check(snapshot, bytes, NULL, 0), 0);
	free(snapshot);
}

/* ---- contents: changes to the draft, sealed with a right checksum -------------------------------------------------
 */

#define SET(field, value, names) \
	{#field " = " #value, offsetof(struct draft, field), sizeof(((struct draft *)0)->field), (uint64_t)(value), names}

static const struct {
	const char *what;
	size_t offset, size;
	uint64_t value;
	const char *names; /* NULL: must pass */
} field_changes[] = {
	SET(strings[0], 'x', "strings[0]"),
	SET(boot.instance[0], 0, "boot[0].instance"),
	SET(boot.instance[0], '.', "boot[0].instance"),
	SET(boot.instance[1], '/', "boot[0].instance"),
	SET(boot.workers, 0, "boot[0].workers is 0, expected 1 to 64"),
	SET(boot.workers, 65, "boot[0].workers"),
	SET(boot.workers, 64, NULL),
	SET(boot.cores[0], 1024, "boot[0].cores"),
	SET(boot.housekeeping_core, 1024, "boot[0].housekeeping_core"),
	SET(boot.housekeeping_core, 1, NULL),
	SET(boot.hugepages, 3, "boot[0].hugepages"),
	SET(boot.steer, 2, "boot[0].steer"),
	SET(boot.fail_mode, 2, "boot[0].fail_mode"),
	SET(boot.heartbeat_timeout_ms, 0, "boot[0].heartbeat_timeout_ms"),
	SET(boot.heartbeat_timeout_ms, 1, "boot[0].idle_sleep_us"),
	SET(boot.idle_sleep_us, 50000, NULL),
	SET(boot.idle_sleep_us, 50001, "boot[0].idle_sleep_us"),
	SET(boot.mbufs, 0, "boot[0].mbufs"),
	SET(boot.rx_descriptors, 65536, "boot[0].rx_descriptors"),
	SET(boot.flows, 0, "boot[0].flows"),
	SET(boot.source_records, UINT32_MAX, "boot[0].source_records"),
	SET(boot.source_records, SW_WORKER_RECORDS_MAX, NULL),
	SET(boot.source_records, SW_WORKER_RECORDS_MAX + 1, "for each of 1 workers"),
	SET(boot.limiter_entries, 0, "boot[0].limiter_entries"),
	SET(boot.held_pkts, 0, NULL),
	SET(boot.services_max, 4097, "boot[0].services_max"),
	SET(boot.services_max, 1, "services[1].slot is 1, expected 0 to 0"),
	SET(boot.groups_max, 1, "groups[1].slot"),
	SET(boot.groups_max, 0, "groups[0].slot"),
	SET(boot.entries_max, 1, "prefixes[0].target is 1, expected below 1"),
	SET(links[0].ends[0].kind, 3, "links[0].ends[0].kind"),
	SET(links[0].ends[1].device[0], 0, "links[0].ends[1].device"),
	SET(links[0].ends[1].device[2], '/', "links[0].ends[1].device"),
	SET(links[0].ends[1].device[2], '\n', "links[0].ends[1].device"),
	SET(links[0].ends[1].device[0], 'l', NULL),
	SET(global.level_count, 0, "global[0].level_count"),
	SET(global.level_count, 5, "global[0].level_count"),
	SET(global.levels[0].ipv4_length, 31, "global[0].levels[0]"),
	SET(global.levels[1].ipv4_length, 32, "global[0].levels[1]"),
	SET(global.levels[2].ipv6_length, 64, "global[0].levels[2]"),
	SET(global.levels[3].ipv4_length, 200, NULL), /* beyond level_count */
	SET(global.fragments, 2, "global[0].fragments"),
	SET(global.answers_per_source_per_s, 1, "global[0].answers_per_source"),
	SET(global.answers_per_prefix_burst, 1, "global[0].answers_per_prefix"),
	SET(global.server_syn_retries, 17, "global[0].server_syn_retries"),
	SET(global.idle_established_s, 0, "global[0].idle_established_s"),
	SET(services[1].name, 0, "services[1].name"),
	SET(services[1].name, 1000000, "services[1].name"),
	SET(services[1].name, 1, "services[1].name is the same as that of services[0]"),
	SET(services[1].slot, 0, "services[1].slot is the same as that of services[0]"),
	SET(services[1].slot, SW_NONE, "services[1].slot"),
	SET(services[0].mode, 4, "services[0].mode is 4, expected 0 to 3"),
	SET(services[0].refusal, 2, "services[0].refusal"),
	SET(services[0].tcp_auth, 2, "services[0].tcp_auth"),
	SET(services[0].start_syn_per_s, 0, "services[0].start_syn_per_s"),
	SET(services[0].stop_syn_per_s, 100, "services[0].stop_syn_per_s"),
	SET(services[1].stop_syn_per_s, 100, NULL), /* thresholds do not matter in mode always */
	SET(services[0].block_s, 0, "services[0].block_s"),
	SET(services[0].backend.mss_ipv4, 47, "services[0].backend.mss_ipv4"),
	SET(services[0].backend.mss_ipv6, -2, "services[0].backend.mss_ipv6"),
	SET(services[0].backend.mss_ipv6, 1440, NULL),
	SET(services[0].backend.window_scale, 15, "services[0].backend.window_scale"),
	SET(services[0].backend.window_scale, -2, NULL),
	SET(services[0].backend.sack, -2, "services[0].backend.sack"),
	SET(services[0].backend.timestamps, 2, "services[0].backend.timestamps"),
	SET(services[0].backend.ecn, 2, "services[0].backend.ecn"),
	SET(services[0].limits[0].syn_burst, 0, "services[0].limits[0]"),
	SET(services[0].limits[0].conn_per_s, 0, "services[0].limits[0]"),
	SET(services[0].limits[2].concurrent, 5, NULL),
	SET(services[0].limits[3].concurrent, 5, "services[0].limits[3] is set"),
	SET(services[0].total.syn_per_s, 5, "services[0].total"),
	SET(targets[0].server.length, 129, "targets[0].server.length"),
	SET(targets[0].server.length, 100, "targets[0].server.address has bits behind length 100"),
	SET(targets[0].port_first, 0, "targets[0].port_first"),
	SET(targets[2].port_last, 79, "targets[2].port_last"),
	SET(targets[2].service, 2, "targets[2].service is 2, expected below 2"),
	SET(groups[0].name, 0, "groups[0].name"),
	SET(groups[0].slot, 1, "groups[1].slot is the same"),
	SET(groups[0].limits.conn_burst, 1, "groups[0].limits"),
	SET(prefixes[0].kind, SW_RULE_KINDS, ".kind is 4, expected 0 to 3"),
	SET(prefixes[0].prefix.length, 129, ".prefix.length is 129, expected 0 to 128"),
	SET(prefixes[0].until_unix_ns, 1, "prefixes[0].until_unix_ns"),
	SET(prefixes[3].until_unix_ns, 0, NULL),
};

static void each_field_is_checked(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(field_changes) / sizeof(field_changes[0]); i++) {
		struct draft d;
		uint64_t bytes;
		full_draft(&d);
		free(draft_seal(&d, &bytes)); /* sorts the rules: what is changed below stays where it is */
		memcpy((char *)&d + field_changes[i].offset, &field_changes[i].value, field_changes[i].size);
		void *snapshot = draft_seal(&d, &bytes);
		if (field_changes[i].names)
			assert_refused(snapshot, bytes, -EINVAL, field_changes[i].names);
		else if (sw_snapshot_check(snapshot, bytes, NULL, 0))
			fail_msg("%s: expected to pass", field_changes[i].what);
		free(snapshot);
	}
}

static struct sw_prefix_rule *rules_of(void *snapshot)
{
	return (struct sw_prefix_rule *)((char *)snapshot +
		((struct sw_snapshot_header *)snapshot)->sections[SW_SECTION_PREFIXES].offset);
}

static void rules_out_of_order_are_refused(void **state)
{
	(void)state;
	struct draft d;
	uint64_t bytes;
	full_draft(&d);
	void *snapshot = draft_seal(&d, &bytes);
	struct sw_prefix_rule *rules = rules_of(snapshot), kept = rules[1];
	rules[1] = rules[0];
	snapshot_sum(snapshot);
	assert_refused(snapshot, bytes, -EINVAL, "prefixes[1] stands there twice");
	rules[1] = rules[0];
	rules[0] = kept;
	snapshot_sum(snapshot);
	assert_refused(snapshot, bytes, -EINVAL, "prefixes[1] is out of order");
	rules[0] = rules[1];
	rules[1] = kept;
	rules[1].target = 2;
	snapshot_sum(snapshot);
	assert_refused(snapshot, bytes, -EINVAL, "prefixes[1].target is 2, expected below 2, the number of groups");
	free(snapshot);
}

static void texts_without_an_end_are_refused(void **state)
{
	(void)state;
	struct draft d;
	uint64_t bytes;
	full_draft(&d);
	memset(d.boot.instance, 'a', sizeof(d.boot.instance));
	void *snapshot = draft_seal(&d, &bytes);
	assert_refused(snapshot, bytes, -EINVAL, "boot[0].instance");
	free(snapshot);

	full_draft(&d);
	d.links[0].ends[1].kind = SW_DEVICE_VDEV;
	memset(d.links[0].ends[1].device, 'a', SW_DEVICE_BYTES);
	snapshot = draft_seal(&d, &bytes);
	assert_refused(snapshot, bytes, -EINVAL, "links[0].ends[1].device");
	free(snapshot);

	full_draft(&d);
	d.counts[SW_SECTION_STRINGS]--;
	snapshot = draft_seal(&d, &bytes);
	assert_refused(snapshot, bytes, -EINVAL, "strings[");
	free(snapshot);

	full_draft(&d);
	d.services[1].name =
		draft_string(&d, "a name of sixty-four bytes, which is one more than there is room for it");
	snapshot = draft_seal(&d, &bytes);
	assert_refused(snapshot, bytes, -EINVAL, "services[1].name");
	free(snapshot);
}

static void the_same_thing_twice_is_refused(void **state)
{
	(void)state;
	struct draft d;
	uint64_t bytes;
	full_draft(&d);
	draft_target(&d, "10.20.0.10", 20000, 20000, 1);
	void *snapshot = draft_seal(&d, &bytes);
	assert_refused(snapshot, bytes, -EINVAL, "targets[3].server and ports is the same as that of targets[0]");
	free(snapshot);

	full_draft(&d);
	d.links[1] = d.links[0];
	strcpy(d.links[1].ends[0].device, "wan1");
	d.counts[SW_SECTION_LINKS] = 2;
	snapshot = draft_seal(&d, &bytes);
	assert_refused(snapshot, bytes, -EINVAL, "links[1].ends[1].device is also links[0].ends[1].device");
	free(snapshot);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_snapshot_passes),
		cmocka_unit_test(the_smallest_snapshot_passes),
		cmocka_unit_test(broken_headers_are_refused),
		cmocka_unit_test(sections_must_not_overlap),
		cmocka_unit_test(cut_snapshots_are_refused),
		cmocka_unit_test(every_flipped_byte_is_noticed),
		cmocka_unit_test(each_field_is_checked),
		cmocka_unit_test(rules_out_of_order_are_refused),
		cmocka_unit_test(texts_without_an_end_are_refused),
		cmocka_unit_test(the_same_thing_twice_is_refused),
	};
	return cmocka_run_group_tests_name("snapshot_check", tests, NULL, NULL);
}
