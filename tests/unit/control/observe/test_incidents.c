/* SPDX-License-Identifier: BSD-3-Clause */
/* Incidents from made-up samples: arming and disarming, restarts of either process, files that stay small. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../fake_region.h"
#include "incident_file.h"
#include "incidents.h"

#define SECOND 1000000000ull
#define T0     (1700000000 * SECOND)

struct fixture {
	struct fake_region directory;
	struct sw_incidents *incidents;
	struct sw_sample sample;
	struct sw_service_sample services[3];
};

static struct sw_service_sample *tracker(struct fixture *x)
{
	return &x->services[0];
}

static int open_fixture(void **state)
{
	static const char *const names[] = {"tracker", "web", "mail"};
	struct fixture *x = aligned_alloc(64, (sizeof(*x) + 63) / 64 * 64);
	memset(x, 0, sizeof(*x));
	fake_region_directory(&x->directory);
	assert_int_equal(sw_incidents_open(x->directory.directory, &x->incidents), 0);
	x->sample.valid = true;
	x->sample.state = SW_DATAPLANE_RUNNING;
	x->sample.start_unix_ns = T0 - 3600 * SECOND;
	x->sample.unix_ns = T0;
	x->sample.services = x->services;
	x->sample.service_count = 3;
	for (uint32_t i = 0; i < 3; i++) {
		x->services[i].slot = i;
		x->services[i].state.mode = SW_MODE_AUTO;
		snprintf(x->services[i].state.name, SW_NAME_BYTES, "%s", names[i]);
	}
	*state = x;
	return 0;
}

static int close_fixture(void **state)
{
	struct fixture *x = *state;
	sw_incidents_close(x->incidents);
	fake_region_close(&x->directory);
	free(x);
	return 0;
}

/* A second later. */
static void tick(struct fixture *x)
{
	x->sample.unix_ns += SECOND;
	sw_incidents_add(x->incidents, &x->sample, NULL);
}

static void set_armed(struct sw_service_sample *s, bool armed, uint64_t at)
{
	atomic_store(&s->state.armed, armed);
	s->state.changed_unix_ns = at;
}

/* The daemon ends and starts again. */
static void restart_daemon(struct fixture *x)
{
	sw_incidents_close(x->incidents);
	assert_int_equal(sw_incidents_open(x->directory.directory, &x->incidents), 0);
}

static void test_one_incident(void **state)
{
	struct fixture *x = *state;
	tick(x);
	assert_int_equal(sw_incidents_count(x->incidents), 0);
	set_armed(tracker(x), true, T0 + SECOND + SECOND / 2);
	tracker(x)->state.syn_per_s = 8000;
	tracker(x)->counters.count[SW_COUNT_SYN_RECEIVED] = 4000;
	tick(x);
	assert_true(sw_incidents_running(x->incidents));
	tracker(x)->state.syn_per_s = 9000;
	tracker(x)->counters.count[SW_COUNT_SYN_RECEIVED] += 9000;
	tracker(x)->counters.count[SW_COUNT_ANSWERED] += 5000;
	tracker(x)->counters.dropped[SW_DROP_ANSWER_CAP] += 4000;
	tracker(x)->counters.count[SW_COUNT_COOKIE_VALID] += 30;
	tracker(x)->counters.count[SW_COUNT_FLOW_PROXIED] += 20;
	tick(x);
	tracker(x)->state.syn_per_s = 3;
	set_armed(tracker(x), false, T0 + 4 * SECOND);
	tick(x);
	assert_false(sw_incidents_running(x->incidents));
	tracker(x)->counters.count[SW_COUNT_SYN_RECEIVED] += 77; /* afterwards: not part of it */
	tick(x);
	assert_int_equal(sw_incidents_count(x->incidents), 1);
	const struct sw_incident *n = sw_incidents_get(x->incidents, 0);
	assert_string_equal(n->service, "tracker");
	assert_int_equal(n->start_unix_ns, T0 + SECOND + SECOND / 2);
	assert_int_equal(n->end_unix_ns, T0 + 4 * SECOND);
	assert_int_equal(n->peak_syn_per_s, 9000);
	assert_int_equal(n->syns, 13000);
	assert_int_equal(n->answered, 5000);
	assert_int_equal(n->dropped, 4000);
	assert_int_equal(n->cookies, 30);
	assert_int_equal(n->connections, 20);
	assert_false(n->interrupted);
	/* and the same from the file */
	const struct sw_incident kept = *n;
	restart_daemon(x);
	assert_int_equal(sw_incidents_count(x->incidents), 1);
	n = sw_incidents_get(x->incidents, 0);
	assert_string_equal(n->service, kept.service);
	assert_int_equal(n->start_unix_ns, kept.start_unix_ns);
	assert_int_equal(n->end_unix_ns, kept.end_unix_ns);
	assert_int_equal(n->syns, kept.syns);
	assert_int_equal(n->peak_syn_per_s, kept.peak_syn_per_s);
}

static void test_only_auto(void **state)
{
	struct fixture *x = *state;
	static const struct {
		enum sw_mode mode;
		uint32_t incidents;
	} cases[] = {{SW_MODE_OFF, 0}, {SW_MODE_MONITOR, 0}, {SW_MODE_ALWAYS, 0}, {SW_MODE_AUTO, 1}};
	tick(x);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		tracker(x)->state.mode = (uint8_t)cases[i].mode;
		set_armed(tracker(x), true, x->sample.unix_ns);
		tick(x);
		assert_int_equal(sw_incidents_count(x->incidents), cases[i].incidents);
		set_armed(tracker(x), false, x->sample.unix_ns);
		tick(x);
	}
}

/* Disarmed and armed again between two samples, services beside each other, and one that leaves the policy. */
static void test_again_and_beside(void **state)
{
	struct fixture *x = *state;
	tick(x);
	set_armed(&x->services[0], true, T0 + SECOND);
	set_armed(&x->services[2], true, T0 + SECOND);
	tick(x);
	assert_int_equal(sw_incidents_count(x->incidents), 2);
	set_armed(&x->services[0], true, T0 + 2 * SECOND + 5);
	tick(x);
	assert_int_equal(sw_incidents_count(x->incidents), 3);
	assert_int_equal(sw_incidents_get(x->incidents, 0)->start_unix_ns, T0 + 2 * SECOND + 5);
	assert_int_equal(sw_incidents_get(x->incidents, 0)->end_unix_ns, 0);
	x->sample.service_count = 2; /* mail is gone */
	tick(x);
	uint32_t running = 0;
	for (uint32_t i = 0; i < 3; i++)
		running += sw_incidents_get(x->incidents, i)->end_unix_ns == 0;
	assert_int_equal(running, 1);
	strcpy(x->services[0].state.name, "torrents"); /* the slot changes hands, and is armed still */
	tick(x);
	assert_int_equal(sw_incidents_count(x->incidents), 4);
	assert_string_equal(sw_incidents_get(x->incidents, 0)->service, "torrents");
	assert_true(sw_incidents_get(x->incidents, 1)->end_unix_ns != 0);
}

static void test_daemon_restarts_meanwhile(void **state)
{
	struct fixture *x = *state;
	tick(x);
	set_armed(tracker(x), true, T0 + SECOND);
	tracker(x)->counters.count[SW_COUNT_SYN_RECEIVED] = 100;
	tick(x);
	restart_daemon(x);
	tracker(x)->counters.count[SW_COUNT_SYN_RECEIVED] = 5000; /* while nobody looked */
	tick(x);
	tracker(x)->counters.count[SW_COUNT_SYN_RECEIVED] = 5010;
	tick(x);
	assert_int_equal(sw_incidents_count(x->incidents), 1);
	const struct sw_incident *n = sw_incidents_get(x->incidents, 0);
	assert_int_equal(n->start_unix_ns, T0 + SECOND);
	assert_int_equal(n->end_unix_ns, 0);
	assert_true(n->interrupted);
	assert_int_equal(n->syns, 10);
	/* It ends while the daemon is away again: the end is that of the disarming. */
	restart_daemon(x);
	set_armed(tracker(x), false, T0 + 9 * SECOND);
	tick(x);
	assert_int_equal(sw_incidents_count(x->incidents), 1);
	assert_int_equal(sw_incidents_get(x->incidents, 0)->end_unix_ns, T0 + 9 * SECOND);
	assert_false(sw_incidents_running(x->incidents));
}

static void test_dataplane_restarts_meanwhile(void **state)
{
	struct fixture *x = *state;
	tick(x);
	set_armed(tracker(x), true, T0 + SECOND);
	tracker(x)->counters.count[SW_COUNT_SYN_RECEIVED] = 1000;
	tick(x);
	x->sample.valid = false; /* away for a while: nothing is known, nothing changes */
	tick(x);
	assert_int_equal(sw_incidents_get(x->incidents, 0)->end_unix_ns, 0);
	x->sample.valid = true;
	x->sample.start_unix_ns = T0 + 3 * SECOND;
	set_armed(tracker(x), false, 0);
	tracker(x)->counters.count[SW_COUNT_SYN_RECEIVED] = 5;
	tick(x);
	assert_int_equal(sw_incidents_count(x->incidents), 1);
	assert_int_equal(sw_incidents_get(x->incidents, 0)->end_unix_ns, T0 + 3 * SECOND);
	set_armed(tracker(x), true, T0 + 6 * SECOND);
	tracker(x)->counters.count[SW_COUNT_SYN_RECEIVED] = 50;
	tick(x);
	assert_int_equal(sw_incidents_count(x->incidents), 2);
	assert_int_equal(sw_incidents_get(x->incidents, 0)->syns, 45);
}

static void test_offenders(void **state)
{
	struct fixture *x = *state;
	struct sw_evidence_record records[40] = {0};
	struct sw_evidence evidence = {.records = records, .count = 40};
	tick(x);
	set_armed(tracker(x), true, T0 + SECOND);
	tick(x);
	for (uint32_t i = 0; i < 40; i++) {
		records[i].source.address = sw_address_from_ipv4((const uint8_t[4]){192, 0, 2, (uint8_t)i});
		records[i].source.length = 128;
		records[i].service_slot = i % 2; /* every other one concerns the web */
		records[i].proof = i < 10 ? SW_PROOF_CLAIMED : SW_PROOF_ECHOED;
		records[i].refused = i;
		records[i].last_seen_unix_ns = i < 36 ? T0 + 2 * SECOND : T0; /* the last ones were seen before it began */
	}
	x->sample.unix_ns += SECOND;
	sw_incidents_add(x->incidents, &x->sample, &evidence);
	const struct sw_incident *n = sw_incidents_get(x->incidents, 0);
	assert_int_equal(n->sources, 18);
	assert_int_equal(n->proven, 13);
	assert_int_equal(n->offenders, 13);
	assert_true(n->top_count > 0 && n->top_count <= SW_INCIDENT_OFFENDERS);
	assert_int_equal(n->top[0].refused, 34);
	for (uint32_t i = 0; i < n->top_count; i++)
		assert_true(n->top[i].proof >= SW_PROOF_ECHOED);
	/* the file keeps them */
	const uint32_t named = n->top_count;
	set_armed(tracker(x), false, T0 + 5 * SECOND);
	tick(x);
	restart_daemon(x);
	n = sw_incidents_get(x->incidents, 0);
	assert_int_equal(n->top_count, named);
	assert_int_equal(n->top[0].address.bytes[15], 34);
}

static off_t size_of(struct fixture *x, const char *name)
{
	char path[128];
	struct stat st;
	snprintf(path, sizeof(path), "%s/%s", x->directory.directory, name);
	return stat(path, &st) ? -1 : st.st_size;
}

/* A service that flaps for a whole weekend fills neither memory nor disk. */
static void test_bounded(void **state)
{
	struct fixture *x = *state;
	tick(x);
	for (int i = 0; i < 6000; i++) {
		set_armed(tracker(x), i % 2 == 0, x->sample.unix_ns);
		tick(x);
	}
	assert_int_equal(sw_incidents_count(x->incidents), SW_INCIDENTS_KEPT);
	assert_int_equal(sw_incidents_error(x->incidents), 0);
	assert_true(size_of(x, "incidents.jsonl") > 0 && size_of(x, "incidents.jsonl") <= SW_INCIDENT_FILE_BYTES);
	assert_true(size_of(x, "incidents.1.jsonl") > 0 && size_of(x, "incidents.1.jsonl") <= SW_INCIDENT_FILE_BYTES);
	const uint64_t newest = sw_incidents_get(x->incidents, 0)->start_unix_ns;
	restart_daemon(x);
	assert_int_equal(sw_incidents_count(x->incidents), SW_INCIDENTS_KEPT);
	assert_int_equal(sw_incidents_get(x->incidents, 0)->start_unix_ns, newest);
}

/* More services armed at once than incidents are kept: no crash, and the ring stays a ring. */
static void test_more_services_than_places(void **state)
{
	struct fixture *x = *state;
	enum { MANY = SW_INCIDENTS_KEPT + 50 };
	struct sw_service_sample *many = aligned_alloc(64, MANY * sizeof(*many));
	memset(many, 0, MANY * sizeof(*many));
	for (uint32_t i = 0; i < MANY; i++) {
		many[i].slot = i;
		many[i].state.mode = SW_MODE_AUTO;
		snprintf(many[i].state.name, SW_NAME_BYTES, "service-%u", i);
	}
	x->sample.services = many;
	x->sample.service_count = MANY;
	tick(x);
	for (int round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < MANY; i++)
			set_armed(&many[i], round % 2 == 0, x->sample.unix_ns);
		tick(x);
		tick(x);
	}
	assert_int_equal(sw_incidents_count(x->incidents), SW_INCIDENTS_KEPT);
	assert_true(sw_incidents_running(x->incidents));
	free(many);
}

static void test_broken_file(void **state)
{
	struct fixture *x = *state;
	char path[128];
	snprintf(path, sizeof(path), "%s/incidents.jsonl", x->directory.directory);
	FILE *file = fopen(path, "w");
	fputs("not JSON\n{}\n[1]\n{\"service\": 7, \"start\": \"2026-11-22T09:00:00.5Z\"}\n{\"service\": \"web\", "
	      "\"start\": \"yesterday\"}\n",
	    file);
	fputs("{\"service\":\"web\",\"start\":\"2026-11-22T09:00:00.5Z\",\"end\":\"2026-11-22T09:01:00Z\",\"syns\":-5,"
	      "\"top_offenders\":[{\"address\":\"nonsense\"},3]}\n",
	    file);
	for (int i = 0; i < 100000; i++)
		fputc('x', file);
	fputs("\n{\"service\":\"cut", file);
	fclose(file);
	restart_daemon(x);
	assert_int_equal(sw_incidents_count(x->incidents), 1);
	assert_int_equal(sw_incidents_get(x->incidents, 0)->start_unix_ns % SECOND, SECOND / 2);
	assert_int_equal(sw_incidents_get(x->incidents, 0)->syns, 0);
	assert_int_equal(sw_incidents_get(x->incidents, 0)->top_count, 0);
}

/* The disk is full, or the directory gone: said, and lived with. */
static void test_cannot_write(void **state)
{
	struct fixture *x = *state;
	struct sw_incidents *incidents;
	assert_int_equal(sw_incidents_open("/nonexistent/state", &incidents), 0);
	sw_incidents_add(incidents, &x->sample, NULL);
	set_armed(tracker(x), true, T0 + SECOND);
	sw_incidents_add(incidents, &x->sample, NULL);
	assert_int_equal(sw_incidents_count(incidents), 1);
	assert_int_equal(sw_incidents_error(incidents), -ENOENT);
	sw_incidents_close(incidents);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_one_incident),
	    TEST(test_only_auto),
	    TEST(test_again_and_beside),
	    TEST(test_daemon_restarts_meanwhile),
	    TEST(test_dataplane_restarts_meanwhile),
	    TEST(test_offenders),
	    TEST(test_bounded),
	    TEST(test_more_services_than_places),
	    TEST(test_broken_file),
	    TEST(test_cannot_write),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
