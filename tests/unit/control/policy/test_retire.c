/* SPDX-License-Identifier: BSD-3-Clause */
/* What stays of services and targets that the configuration has given up, judged by the dataplane's own check. */
#include "policy_test.h"

#include "policy/retire.h"

/* Of dataplane/core, which control includes nothing of: the test alone links both sides. */
int sw_snapshot_check(const void *data, uint64_t bytes, char *error, size_t error_bytes);

#define ROOM(services, list)                                                                          \
	"{\"boot\": {\"links\": [{\"outside\": \"a\", \"inside\": \"b\"}], \"services\": " services "}, " \
	"\"services\": [" list "]}"
#define NAMED(name, targets) "{\"name\": \"" name "\", \"targets\": [" targets "]}"

static uint8_t keep[SW_SERVICES_MAX];

static struct sw_snapshot_header *compile(const char *text, const struct sw_snapshot_header *previous)
{
	static const uint32_t cpus[] = {0};
	struct sw_slot_cursors cursors = {0};
	struct sw_spec *spec = load_good(text);
	struct sw_snapshot_header *snapshot = NULL;
	char error[256] = "";
	memset(&report, 0, sizeof(report));
	const struct sw_compile_input input = {.spec = spec,
	    .previous = previous,
	    .keep = keep,
	    .generation = previous ? previous->generation + 1 : 1,
	    .cpus = cpus,
	    .cpu_count = 1};
	assert_int_equal(sw_compile(&input, &cursors, &report, &snapshot), 0);
	sw_spec_free(spec);
	assert_true(sw_snapshot_readable(snapshot, snapshot->total_bytes));
	if (sw_snapshot_check(snapshot, snapshot->total_bytes, error, sizeof(error)) != 0)
		fail_msg("the dataplane would refuse it: %s", error);
	return snapshot;
}

static uint32_t count_of(const struct sw_snapshot_header *s, enum sw_section_id id)
{
	uint32_t count;
	sw_snapshot_array(s, id, &count);
	return count;
}

static const struct sw_service *service_at(const struct sw_snapshot_header *s, uint32_t index)
{
	return (const struct sw_service *)sw_snapshot_array(s, SW_SECTION_SERVICES, NULL) + index;
}

/* "name target target ...", in the order of the snapshot: what has retired. */
static const char *retired_text(const struct sw_snapshot_header *s)
{
	static char text[1024];
	const struct sw_target *targets = sw_snapshot_array(s, SW_SECTION_TARGETS, NULL);
	size_t at = 0;
	text[0] = 0;
	for (uint32_t i = 0; i < count_of(s, SW_SECTION_SERVICES); i++) {
		if (!service_at(s, i)->retired)
			continue;
		assert_int_equal(service_at(s, i)->mode, SW_MODE_OFF);
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s", at ? "; " : "",
		    sw_snapshot_text(s, service_at(s, i)->name));
		for (uint32_t k = 0; k < count_of(s, SW_SECTION_TARGETS); k++) {
			char one[SW_TARGET_TEXT_BYTES];
			const struct sw_spec_target target = {
			    .server = targets[k].server, .port_first = targets[k].port_first, .port_last = targets[k].port_last};
			if (targets[k].service == i)
				at += (size_t)snprintf(text + at, sizeof(text) - at, " %s", sw_target_format(&target, one));
		}
	}
	return text;
}

static const struct {
	const char *before, *after, *retired;
} cases[] = {
    {NAMED("a", "\"10.0.0.1:80\"") "," NAMED("b", "\"[fd00::1]:80\", \"10.0.0.2:1-9\""), NAMED("a", "\"10.0.0.1:80\""),
        "b [fd00::1]:80 10.0.0.2:1-9"},
    {NAMED("a", "\"10.0.0.1:80\""), "", "a 10.0.0.1:80"},
    {NAMED("a", "\"10.0.0.1:80\", \"[fd00::1]:80\""), NAMED("a", "\"10.0.0.1:80\""), "a~removed [fd00::1]:80"},
    {NAMED("a", "\"10.0.0.1:80\""), NAMED("a", "\"10.0.0.1:80\""), ""},
    /* in other hands */
    {NAMED("a", "\"10.0.0.1:80\""), NAMED("b", "\"10.0.0.1:80\""), ""},
    {NAMED("a", "\"10.0.0.1:80\", \"[fd00::1]:80\""), NAMED("b", "\"10.0.0.0/24:80\", \"[fd00::/64]:80\""), ""},
    {NAMED("a", "\"10.0.0.1:80\""), NAMED("b", "\"0.0.0.0/0:1-65535\""), ""},
    {NAMED("a", "\"10.0.0.1:70-90\""), NAMED("b", "\"10.0.0.1:80\""), "a 10.0.0.1:70-79 10.0.0.1:81-90"},
    {NAMED("a", "\"10.0.0.1:1-65535\""), NAMED("b", "\"10.0.0.0/8:1-9\", \"10.0.0.0/16:65000-65535\""),
        "a 10.0.0.1:10-64999"},
    /* what wins by itself takes nothing away */
    {NAMED("a", "\"10.0.0.0/24:80\""), NAMED("b", "\"10.0.0.1:80\""), "a 10.0.0.0/24:80"},
    /* IPv6, however wide, holds no IPv4 */
    {NAMED("a", "\"10.0.0.1:80\""), NAMED("b", "\"[::/0]:80\""), "a 10.0.0.1:80"},
    /* two that differed, of which the same is left */
    {NAMED("a", "\"10.0.0.1:80-90\"") "," NAMED("b", "\"10.0.0.1:80-99\""), NAMED("c", "\"10.0.0.1:91-99\""),
        "a 10.0.0.1:80-90"},
};

static void what_nobody_claims_is_kept(void **state)
{
	(void)state;
	memset(keep, 1, sizeof(keep));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[1024];
		snprintf(text, sizeof(text), ROOM("8", "%s"), cases[i].before);
		struct sw_snapshot_header *before = compile(text, NULL);
		snprintf(text, sizeof(text), ROOM("8", "%s"), cases[i].after);
		struct sw_snapshot_header *after = compile(text, before), *again = compile(text, after);
		assert_string_equal(retired_text(before), "");
		assert_string_equal(retired_text(after), cases[i].retired);
		assert_true(sw_snapshot_same(after, again));
		free(before);
		free(after);
		free(again);
	}
}

static void a_retired_service_keeps_its_slot_and_comes_back_to_it(void **state)
{
	static const char both[] =
	    ROOM("8", NAMED("a", "\"10.0.0.1:80\"") "," NAMED("b", "\"10.0.0.2:80\", \"[fd00::2]:80\""));
	(void)state;
	memset(keep, 1, sizeof(keep));
	struct sw_snapshot_header *one = compile(both, NULL);
	struct sw_snapshot_header *two = compile(ROOM("8", NAMED("c", "\"10.0.0.3:80\"")), one);
	struct sw_snapshot_header *three = compile(both, two);
	assert_int_equal(count_of(two, SW_SECTION_SERVICES), 3);
	assert_int_equal(service_at(two, 0)->retired, 0); /* retired ones stand last */
	assert_int_equal(service_at(two, 1)->slot, service_at(one, 0)->slot);
	assert_int_equal(service_at(two, 2)->slot, service_at(one, 1)->slot);
	assert_int_equal(service_at(three, 0)->slot, service_at(one, 0)->slot);
	assert_int_equal(service_at(three, 1)->slot, service_at(one, 1)->slot);
	assert_string_equal(retired_text(three), "c 10.0.0.3:80");
	free(one);
	free(two);
	free(three);
}

static void what_has_no_connections_goes(void **state)
{
	(void)state;
	memset(keep, 1, sizeof(keep));
	struct sw_snapshot_header *one =
	    compile(ROOM("8", NAMED("a", "\"10.0.0.1:80\"") "," NAMED("b", "\"[fd00::2]:80\"")), NULL);
	keep[service_at(one, 0)->slot] = 0;
	struct sw_snapshot_header *two = compile(ROOM("8", ""), one);
	assert_string_equal(retired_text(two), "b [fd00::2]:80");
	keep[service_at(two, 0)->slot] = 0;
	struct sw_snapshot_header *three = compile(ROOM("8", ""), two);
	assert_string_equal(retired_text(three), "");
	assert_int_equal(count_of(three, SW_SECTION_TARGETS), 0);
	assert_int_equal(report.counts[SW_WARNING], 0);
	free(one);
	free(two);
	free(three);
}

/* Slots: what is configured goes first, and the loss is said. */
static void a_configured_service_takes_the_slot_of_a_retired_one(void **state)
{
	(void)state;
	memset(keep, 1, sizeof(keep));
	struct sw_snapshot_header *one =
	    compile(ROOM("2", NAMED("a", "\"10.0.0.1:80\"") "," NAMED("b", "\"10.0.0.2:80\", \"10.0.0.2:81\"")), NULL);
	struct sw_snapshot_header *two =
	    compile(ROOM("2", NAMED("c", "\"10.0.0.3:80\"") "," NAMED("b", "\"10.0.0.2:80\"")), one);
	assert_string_equal(retired_text(two), "");
	assert_int_equal(service_at(two, 0)->slot, service_at(one, 0)->slot);
	assert_int_equal(service_at(two, 1)->slot, service_at(one, 1)->slot);
	assert_int_equal(report.counts[SW_WARNING], 2);
	assert_non_null(strstr(report.findings[SW_WARNING][0].message, "service a:"));
	assert_non_null(strstr(report.findings[SW_WARNING][1].message, "service b~removed:"));
	free(one);
	free(two);
}

static void a_long_name_has_room_for_its_lost_targets(void **state)
{
	char name[SW_NAME_BYTES], removed[SW_NAME_BYTES];
	(void)state;
	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = 0;
	sw_removed_name(name, removed);
	assert_int_equal(strlen(removed), SW_NAME_BYTES - 1);
	assert_string_equal(removed + SW_NAME_BYTES - sizeof(SW_REMOVED_SUFFIX), SW_REMOVED_SUFFIX);
}

/* As many targets as a policy can have, and one that retires. */
static void targets_have_their_bound(void **state)
{
	struct sw_target *claimed = calloc(SW_TARGETS_MAX, sizeof(*claimed));
	struct sw_retired retired;
	(void)state;
	memset(keep, 1, sizeof(keep));
	assert_non_null(claimed);
	for (uint32_t i = 0; i < SW_TARGETS_MAX; i++)
		claimed[i] = (struct sw_target){
		    .server = {.address = {{0xfd, [14] = (uint8_t)(i >> 8), [15] = (uint8_t)i}}, .length = 128},
		    .port_first = 9,
		    .port_last = 9};
	struct sw_snapshot_header *one = compile(ROOM("8", NAMED("a", "\"10.0.0.1:80\", \"10.0.0.1:90\"")), NULL);
	struct sw_spec *spec = load_good(ROOM("8", ""));
	const struct sw_compile_input input = {.spec = spec, .previous = one, .keep = keep};
	assert_int_equal(sw_retire(&input, claimed, SW_TARGETS_MAX - 1, &retired), 0);
	assert_int_equal(retired.target_count, 1);
	assert_int_equal(retired.left_out, 1);
	sw_retired_free(&retired);
	sw_spec_free(spec);
	free(one);
	free(claimed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_nobody_claims_is_kept),
	    cmocka_unit_test(a_retired_service_keeps_its_slot_and_comes_back_to_it),
	    cmocka_unit_test(what_has_no_connections_goes),
	    cmocka_unit_test(a_configured_service_takes_the_slot_of_a_retired_one),
	    cmocka_unit_test(a_long_name_has_room_for_its_lost_targets),
	    cmocka_unit_test(targets_have_their_bound),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
