/* SPDX-License-Identifier: BSD-3-Clause */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../core/snapshot_draft.h"
#include "publish.h"

static struct draft boot_draft; /* what the process was started with */
static struct sw_publish_limits limits;

static int set_up(void **state)
{
	(void)state;
	draft_init(&boot_draft);
	limits = (struct sw_publish_limits){.boot = &boot_draft.boot, .links = boot_draft.links, .link_count = 1,
		.tsc_hz = 2100000000};
	return 0;
}

static struct draft good(void)
{
	struct draft d;
	draft_init(&d);
	draft_service(&d, "web", SW_MODE_ALWAYS);
	draft_target(&d, "10.0.0.1/32", 80, 80, 0);
	return d;
}

static int memfd_of(const void *bytes, size_t length, unsigned int seals)
{
	const int fd = memfd_create("snapshot", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, length), length);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static enum sw_reply_status publish(int fd, struct sw_publish_job *job)
{
	assert_int_equal(sw_publish_begin(job, fd, &limits), 0);
	sw_publish_finish(job); /* waits for the thread */
	assert_true(sw_publish_done(job));
	return job->status;
}

static enum sw_reply_status publish_draft(struct draft *d, struct sw_publish_job *job)
{
	uint64_t bytes;
	void *snapshot = draft_seal(d, &bytes);
	const enum sw_reply_status status = publish(memfd_of(snapshot, bytes, F_SEAL_SHRINK | F_SEAL_WRITE), job);
	free(snapshot);
	return status;
}

static void test_a_good_one(void **state)
{
	(void)state;
	struct sw_publish_job job;
	struct draft d = good();
	assert_int_equal(publish_draft(&d, &job), SW_REPLY_OK);
	assert_string_equal(job.text, "");
	assert_non_null(job.policy);
	assert_int_equal(job.policy->service_count, 1);
	sw_policy_free(job.policy);
}

static void test_another_boot_section_is_told(void **state)
{
	(void)state;
	struct sw_publish_job job;
	struct draft d = good();
	d.boot.flows *= 2;
	assert_int_equal(publish_draft(&d, &job), SW_REPLY_NEEDS_RESTART);
	assert_non_null(strstr(job.text, "boot.flows"));
	assert_non_null(job.policy); /* the rest of it counts */
	sw_policy_free(job.policy);
}

static void test_what_does_not_fit_the_running_tables_is_refused(void **state)
{
	(void)state;
	static const char *const says[] = {"services[0].slot", "groups[0].slot", "prefixes[0].target"};
	for (size_t i = 0; i < COUNT(says); i++) {
		struct sw_publish_job job;
		struct draft d = good();
		if (i == 0)
			d.services[0].slot = 4;
		draft_group(&d, "them");
		d.groups[0].slot = i == 1 ? 4 : 0;
		draft_rule(&d, "192.0.2.0/24", SW_RULE_DENY, i == 2 ? 4 : 0, 0);
		boot_draft.boot.services_max = boot_draft.boot.groups_max = boot_draft.boot.entries_max = 4;
		assert_int_equal(publish_draft(&d, &job), SW_REPLY_REFUSED);
		assert_non_null(strstr(job.text, says[i]));
		assert_non_null(strstr(job.text, "restart"));
		assert_null(job.policy);
	}
}

static void test_unsealed_cut_and_hostile(void **state)
{
	(void)state;
	struct draft d = good();
	uint64_t bytes;
	char *snapshot = draft_seal(&d, &bytes);
	const unsigned int sealed = F_SEAL_SHRINK | F_SEAL_WRITE;
	struct sw_publish_job job;
	static const unsigned int too_few[] = {0, F_SEAL_SHRINK, F_SEAL_WRITE, F_SEAL_GROW | F_SEAL_WRITE};
	for (size_t i = 0; i < COUNT(too_few); i++) {
		assert_int_equal(publish(memfd_of(snapshot, bytes, too_few[i]), &job), SW_REPLY_REFUSED);
		assert_non_null(strstr(job.text, "sealed"));
	}
	static const size_t cuts[] = {0, 1, 7, 8, sizeof(struct sw_snapshot_header) - 1, sizeof(struct sw_snapshot_header)};
	for (size_t i = 0; i < COUNT(cuts); i++)
		assert_int_equal(publish(memfd_of(snapshot, cuts[i], sealed), &job), SW_REPLY_REFUSED);
	assert_int_equal(publish(memfd_of(snapshot, bytes - 1, sealed), &job), SW_REPLY_REFUSED);
	snapshot[bytes / 2] ^= 1;
	assert_int_equal(publish(memfd_of(snapshot, bytes, sealed), &job), SW_REPLY_REFUSED);
	assert_null(job.policy);
	assert_int_not_equal(job.text[0], '\0');
	free(snapshot);
	/* No memfd at all. */
	assert_int_equal(publish(open("/dev/null", O_RDONLY | O_CLOEXEC), &job), SW_REPLY_REFUSED);
	assert_int_equal(publish(open("/proc/self/exe", O_RDONLY | O_CLOEXEC), &job), SW_REPLY_REFUSED);
}

/* A sparse memfd of a terabyte: refused by its size, before anything is mapped. */
static void test_enormous(void **state)
{
	(void)state;
	struct sw_publish_job job;
	const int fd = memfd_create("snapshot", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	assert_int_equal(ftruncate(fd, 1ll << 40), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_WRITE), 0);
	assert_int_equal(publish(fd, &job), SW_REPLY_REFUSED);
	assert_non_null(strstr(job.text, "size"));
}

static void test_every_boot_field_is_compared(void **state)
{
	(void)state;
	struct draft a, b;
	draft_init(&a);
	b = a;
	assert_null(sw_boot_difference(&a.boot, a.links, 1, &b.boot, b.links, 1));
	static const struct {
		const char *name;
		size_t offset;
	} fields[] = {
		{"instance", offsetof(struct sw_boot, instance)}, {"workers", offsetof(struct sw_boot, workers)},
		{"cores", offsetof(struct sw_boot, cores) + 252}, {"housekeeping_core", offsetof(struct sw_boot, housekeeping_core)},
		{"hugepages", offsetof(struct sw_boot, hugepages)}, {"steer", offsetof(struct sw_boot, steer)},
		{"fail_mode", offsetof(struct sw_boot, fail_mode)},
		{"heartbeat_timeout_ms", offsetof(struct sw_boot, heartbeat_timeout_ms)},
		{"idle_sleep_us", offsetof(struct sw_boot, idle_sleep_us)}, {"mbufs", offsetof(struct sw_boot, mbufs)},
		{"rx_descriptors", offsetof(struct sw_boot, rx_descriptors)},
		{"tx_descriptors", offsetof(struct sw_boot, tx_descriptors)}, {"flows", offsetof(struct sw_boot, flows)},
		{"source_records", offsetof(struct sw_boot, source_records)},
		{"limiter_entries", offsetof(struct sw_boot, limiter_entries)},
		{"held_pkts", offsetof(struct sw_boot, held_pkts)}, {"services_max", offsetof(struct sw_boot, services_max)},
		{"groups_max", offsetof(struct sw_boot, groups_max)}, {"entries_max", offsetof(struct sw_boot, entries_max)},
	};
	for (size_t i = 0; i < COUNT(fields); i++) {
		b = a;
		((char *)&b.boot)[fields[i].offset] ^= 1;
		const char *found = sw_boot_difference(&a.boot, a.links, 1, &b.boot, b.links, 1);
		assert_non_null(found);
		assert_string_equal(found, fields[i].name);
	}
	b = a;
	b.links[0].ends[1].device[0] ^= 1;
	assert_string_equal(sw_boot_difference(&a.boot, a.links, 1, &b.boot, b.links, 1), "links");
	assert_string_equal(sw_boot_difference(&a.boot, a.links, 1, &a.boot, a.links, 2), "links");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_a_good_one, set_up),
		cmocka_unit_test_setup(test_another_boot_section_is_told, set_up),
		cmocka_unit_test_setup(test_what_does_not_fit_the_running_tables_is_refused, set_up),
		cmocka_unit_test_setup(test_unsealed_cut_and_hostile, set_up),
		cmocka_unit_test_setup(test_enormous, set_up),
		cmocka_unit_test(test_every_boot_field_is_compared),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
