/* SPDX-License-Identifier: BSD-3-Clause */
/* Housekeeping without its loop and without workers: the test calls the ticks, and answers in the workers' place. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_rcu_qsbr.h>
#include <sodium.h>

#include "../core/snapshot_draft.h"
#include "core/snapshot_check.h"
#include "housekeeping.h"
#include "log.h"
#include "pipeline.h"

static struct {
	char directory[64];
	struct draft draft;
	struct sw_secrets secrets;
	struct sw_box box;
	struct sw_publish_limits limits;
	struct sw_housekeeping h;
	int client;
} t;

static struct sw_policy *policy_of(struct draft *d)
{
	uint64_t bytes;
	struct sw_policy *p;
	void *snapshot = draft_seal(d, &bytes);
	assert_int_equal(sw_policy_build(snapshot, bytes, rte_get_tsc_hz(), &p), 0);
	free(snapshot);
	return p;
}

static int set_up(void **state)
{
	(void)state;
	char error[512] = "";
	memset(&t, 0, sizeof(t));
	test_directory(t.directory, sizeof(t.directory));
	draft_init(&t.draft);
	t.draft.boot.workers = 2;
	draft_service(&t.draft, "web", SW_MODE_AUTO);
	draft_service(&t.draft, "mail", SW_MODE_ALWAYS);
	draft_target(&t.draft, "10.0.0.1/32", 80, 80, 0);
	draft_target(&t.draft, "2001:db8::1/128", 25, 25, 1);
	t.draft.services[1].total = (struct sw_limits){.syn_per_s = 1000, .syn_burst = 100, .concurrent = 50};
	randombytes_buf(t.secrets.master, sizeof(t.secrets.master));
	const struct sw_box_config config = {.boot = &t.draft.boot, .links = t.draft.links, .link_count = 1,
		.secrets = &t.secrets, .without_pools = true};
	if (sw_box_open(&config, &t.box, error, sizeof(error)))
		fail_msg("%s", error);
	t.limits = (struct sw_publish_limits){.boot = &t.box.boot, .links = t.draft.links, .link_count = 1,
		.tsc_hz = rte_get_tsc_hz()};
	if (sw_housekeeping_open(&t.h, &t.box, NULL, &t.limits, policy_of(&t.draft), t.directory, error, sizeof(error)))
		fail_msg("%s", error);
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	snprintf(to.sun_path, sizeof(to.sun_path), "%s/" SW_SOCKET_NAME, t.directory);
	t.client = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);
	return connect(t.client, (struct sockaddr *)&to, sizeof(to));
}

static int tear_down(void **state)
{
	(void)state;
	close(t.client);
	sw_housekeeping_close(&t.h);
	sw_box_close(&t.box);
	test_remove(t.directory);
	return 0;
}

/* ---- the control daemon's side ----------------------------------------------------------------------------------- */

static void ask(struct sw_request q, int fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr alignment;
	} control = {{0}};
	struct iovec part = {.iov_base = &q, .iov_len = sizeof(q)};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	q.version = SW_MESSAGE_VERSION;
	if (fd >= 0) {
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
		struct cmsghdr *c = CMSG_FIRSTHDR(&message);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	assert_int_equal(sendmsg(t.client, &message, MSG_NOSIGNAL), sizeof(q));
}

static bool try_hear(struct sw_reply *reply)
{
	return recv(t.client, reply, sizeof(*reply), MSG_DONTWAIT) == (ssize_t)sizeof(*reply);
}

/* Serves until the reply is there: a thread builds policies, so this may take any number of rounds. */
static struct sw_reply hear(void)
{
	struct sw_reply reply;
	while (!try_hear(&reply))
		sw_housekeeping_serve(&t.h, 20);
	return reply;
}

static struct sw_reply publish(struct draft *d, uint64_t generation)
{
	uint64_t bytes;
	struct sw_snapshot_header *snapshot = draft_seal(d, &bytes);
	snapshot->generation = generation;
	const int fd = memfd_create("snapshot", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	assert_int_equal(write(fd, snapshot, bytes), bytes);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_WRITE), 0);
	free(snapshot);
	ask((struct sw_request){.kind = SW_REQUEST_PUBLISH}, fd);
	close(fd);
	return hear();
}

static void answer_mail(unsigned int worker)
{
	struct sw_mail *mail;
	if (rte_ring_sc_dequeue(t.box.workers[worker]->mail, (void **)&mail))
		return;
	sw_pipeline_begin(t.box.workers[worker], rte_rdtsc());
	sw_pipeline_mail(t.box.workers[worker], mail);
}

/* ---- cases ------------------------------------------------------------------------------------------------------- */

static void test_what_is_in_force_at_start(void **state)
{
	(void)state;
	const struct sw_region *r = t.box.shared.region;
	assert_int_equal(atomic_load(&r->generation), 1);
	assert_true(atomic_load(&r->heartbeat_unix_ns) > 0);
	assert_int_equal(atomic_load(&r->anchor_version) % 2, 0);
	assert_int_equal(t.box.shared.armed[0], 0);
	assert_int_equal(t.box.shared.armed[1], 1);
	const struct sw_service_state *s = sw_region_services(r);
	assert_string_equal(s[0].name, "web");
	assert_string_equal(s[1].name, "mail");
	assert_int_equal(s[1].armed, 1);
	assert_int_equal(s[1].times_armed, 1);
	assert_int_equal(s[0].in_use + s[1].in_use + s[2].in_use, 2);
	const struct sw_cookie_keys *keys = atomic_load(&t.box.shared.cookie_keys);
	assert_non_null(keys);
	assert_true(keys->burst != NULL);
	/* Cookies of the process before this one are accepted, armed or not. */
	assert_true((int64_t)(t.box.shared.accept_until_tsc[0] - rte_rdtsc()) > 0);
	for (unsigned int family = 0; family < 2; family++)
		for (unsigned int parity = 0; parity < 2; parity++)
			assert_int_equal(t.box.shared.promises[1][family][parity].mss, family ? 1440 : 1460);
}

static void test_shares_of_the_first_policy(void **state)
{
	(void)state;
	uint64_t concurrent = 0;
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(t.box.workers[i]->service_shares[0].concurrent, SW_NONE);
		assert_int_equal(t.box.workers[i]->service_shares[0].syn.interval, 0);
		assert_true(t.box.workers[i]->service_shares[1].syn.interval >= 2 * (rte_get_tsc_hz() / 1000));
		concurrent += t.box.workers[i]->service_shares[1].concurrent;
	}
	assert_int_equal(concurrent, 50);
}

static void test_a_flood_arms_its_service_and_no_other(void **state)
{
	(void)state;
	sw_housekeeping_tick(&t.h);
	t.box.workers[1]->services[0].count[SW_COUNT_SYN_RECEIVED] = 10000000;
	t.box.workers[0]->service_budgets[0].concurrent = 3;
	t.box.workers[1]->service_budgets[0].concurrent = 4;
	sw_housekeeping_tick(&t.h);
	const struct sw_service_state *s = sw_region_services(t.box.shared.region);
	assert_int_equal(t.box.shared.armed[0], 1);
	assert_int_equal(s[0].armed, 1);
	assert_int_equal(s[0].times_armed, 1);
	assert_true(s[0].syn_per_s > 1000);
	assert_true(s[0].changed_unix_ns > 0);
	assert_int_equal(s[0].concurrent, 7);
	assert_int_equal(s[1].times_armed, 1);
	assert_int_equal(s[1].syn_per_s, 0);
}

static void test_a_worker_that_armed_itself_has_its_cookies_accepted(void **state)
{
	(void)state;
	t.box.shared.accept_until_tsc[0] = 1;
	sw_housekeeping_tick(&t.h);
	assert_int_equal(t.box.shared.accept_until_tsc[0], 1);
	t.box.workers[1]->service_budgets[0].armed_until_tsc = rte_rdtsc() + rte_get_tsc_hz() * 60;
	sw_housekeeping_tick(&t.h);
	assert_true((int64_t)(t.box.shared.accept_until_tsc[0] - rte_rdtsc()) > 0);
	assert_int_equal(t.box.shared.armed[0], 0);
}

static void test_a_server_is_learned_at_once(void **state)
{
	(void)state;
	struct sw_event seen = {.kind = SW_EVENT_PROFILE, .service_slot = 1, .is_ipv6 = 1,
		.profile = {.mss = 1400, .window_scale = 9, .sack = 1, .timestamps = 0, .ecn = 1, .known = 1}};
	struct sw_event nonsense[] = {
		{.kind = SW_EVENT_PROFILE, .service_slot = 3, .profile = {.mss = 1}},
		{.kind = SW_EVENT_PROFILE, .service_slot = UINT32_MAX, .profile = {.mss = 1}},
		{.kind = 77},
	};
	for (size_t i = 0; i < COUNT(nonsense); i++)
		assert_int_equal(rte_ring_sp_enqueue_elem(t.box.workers[0]->events, &nonsense[i], sizeof(seen)), 0);
	assert_int_equal(rte_ring_sp_enqueue_elem(t.box.workers[1]->events, &seen, sizeof(seen)), 0);
	sw_housekeeping_tick(&t.h);
	for (unsigned int parity = 0; parity < 2; parity++) {
		assert_int_equal(t.box.shared.promises[1][1][parity].mss, 1400);
		assert_int_equal(t.box.shared.promises[1][1][parity].sack, 1);
		assert_int_equal(t.box.shared.promises[1][1][parity].timestamps, 0);
		assert_int_equal(t.box.shared.promises[1][1][parity].window_scale, 0); /* with the next epoch, promise.h says why */
		assert_int_equal(t.box.shared.promises[1][0][parity].mss, 1460);
	}
	const uint32_t next = t.h.epoch.number + 1;
	sw_services_turn(&t.h.services, t.h.policy, next);
	assert_int_equal(t.box.shared.promises[1][1][next & 1].window_scale, 9);
	assert_int_equal(t.box.shared.promises[1][1][next & 1].known, 1);
	assert_int_equal(t.box.shared.promises[1][1][~next & 1].window_scale, 0);
	const struct sw_service_state *s = &sw_region_services(t.box.shared.region)[1];
	assert_int_equal(s->profile[1].mss, 1400);
	assert_int_equal(s->profile_known, 1 | 0x20);
}

/* A later change touches the parity of the next epoch alone: cookies of this one still promise what they promised. */
static void test_a_change_waits_for_its_epoch(void **state)
{
	(void)state;
	struct sw_event seen = {.kind = SW_EVENT_PROFILE, .service_slot = 1,
		.profile = {.mss = 1400, .window_scale = 9, .sack = 1, .timestamps = 1, .known = 1}};
	rte_ring_sp_enqueue_elem(t.box.workers[0]->events, &seen, sizeof(seen));
	sw_housekeeping_tick(&t.h);
	seen.profile.mss = 1200;
	rte_ring_sp_enqueue_elem(t.box.workers[0]->events, &seen, sizeof(seen));
	sw_housekeeping_tick(&t.h);
	const uint32_t next = t.h.epoch.number + 1;
	assert_int_equal(t.box.shared.promises[1][0][next & 1].mss, 1400);
	sw_services_turn(&t.h.services, t.h.policy, next);
	assert_int_equal(t.box.shared.promises[1][0][next & 1].mss, 1200);
	assert_int_equal(t.box.shared.promises[1][0][~next & 1].mss, 1400);
}

static void test_hello(void **state)
{
	(void)state;
	ask((struct sw_request){.kind = SW_REQUEST_HELLO}, -1);
	const struct sw_reply r = hear();
	assert_int_equal(r.status, SW_REPLY_OK);
	assert_int_equal(r.generation, 1);
}

static void test_a_new_policy(void **state)
{
	(void)state;
	struct draft d = t.draft;
	d.services[1].mode = SW_MODE_OFF;
	d.services[1].total = (struct sw_limits){.concurrent = 10};
	draft_service(&d, "ftp", SW_MODE_ALWAYS);
	draft_target(&d, "10.0.0.2/32", 21, 21, 2);
	struct sw_reply r = publish(&d, 9);
	assert_int_equal(r.status, SW_REPLY_OK);
	assert_int_equal(r.generation, 9);
	assert_int_equal(atomic_load(&t.box.shared.region->generation), 9);
	const struct sw_service_state *s = sw_region_services(t.box.shared.region);
	assert_string_equal(s[2].name, "ftp");
	assert_int_equal(s[2].armed, 1);
	assert_int_equal(s[1].armed, 0);
	assert_int_equal(s[1].mode, SW_MODE_OFF);
	assert_int_equal(t.box.shared.promises[2][0][0].mss, 1460);
	assert_int_equal(t.box.workers[0]->service_shares[1].syn.interval, 0);
	/* And one that lacks a service: its slot falls free. */
	d = t.draft;
	d.counts[SW_SECTION_SERVICES] = 1;
	d.counts[SW_SECTION_TARGETS] = 1;
	r = publish(&d, 10);
	assert_int_equal(r.status, SW_REPLY_OK);
	assert_string_equal(s[1].name, "");
	assert_int_equal(s[1].in_use, 0);
	assert_int_equal(s[2].armed, 0);
	assert_int_equal(t.box.shared.armed[2], 0);
}

static void test_a_refused_policy_changes_nothing(void **state)
{
	(void)state;
	struct draft d = t.draft;
	d.services[0].mode = SW_MODES;
	struct sw_reply r = publish(&d, 9);
	assert_int_equal(r.status, SW_REPLY_REFUSED);
	assert_non_null(strstr(r.text, "services[0].mode"));
	assert_int_equal(r.generation, 1);
	assert_int_equal(atomic_load(&t.box.shared.region->generation), 1);
	d = t.draft;
	d.boot.mbufs++;
	r = publish(&d, 9);
	assert_int_equal(r.status, SW_REPLY_NEEDS_RESTART);
	assert_non_null(strstr(r.text, "boot.mbufs"));
	assert_int_equal(r.generation, 9);
}

static unsigned int waiting_policies(void)
{
	unsigned int count = 0;
	for (unsigned int i = 0; i < SW_RETIRED_MAX; i++)
		count += t.h.retired[i].policy != NULL;
	return count;
}

static void test_a_policy_outlives_its_readers(void **state)
{
	(void)state;
	rte_rcu_qsbr_thread_register(t.box.shared.rcu, 0);
	rte_rcu_qsbr_thread_online(t.box.shared.rcu, 0);
	assert_int_equal(publish(&t.draft, 2).status, SW_REPLY_OK);
	sw_housekeeping_tick(&t.h);
	assert_int_equal(waiting_policies(), 1);
	rte_rcu_qsbr_quiescent(t.box.shared.rcu, 0);
	sw_housekeeping_tick(&t.h);
	assert_int_equal(waiting_policies(), 0);
	/* A worker that hangs: publications go on until there is no place left, and go on again when it comes back. */
	for (unsigned int i = 0; i < SW_RETIRED_MAX; i++)
		assert_int_equal(publish(&t.draft, 3 + i).status, SW_REPLY_OK);
	assert_int_equal(waiting_policies(), SW_RETIRED_MAX);
	assert_int_equal(publish(&t.draft, 20).status, SW_REPLY_BUSY);
	rte_rcu_qsbr_thread_offline(t.box.shared.rcu, 0);
	assert_int_equal(publish(&t.draft, 21).status, SW_REPLY_OK);
	assert_int_equal(atomic_load(&t.box.shared.region->generation), 21);
	rte_rcu_qsbr_thread_unregister(t.box.shared.rcu, 0);
}

static void test_explain_goes_to_the_owner(void **state)
{
	(void)state;
	for (uint8_t last = 1; last < 20; last++) {
		struct sw_request q = {.kind = SW_REQUEST_EXPLAIN, .service_slot = 1,
			.address = prefix_of(last & 1 ? "192.0.2.1" : "2001:db8::7").address};
		struct sw_reply r;
		q.address.bytes[15] = last;
		const unsigned int owner = sw_owner(&t.box.shared, &q.address);
		ask(q, -1);
		while (rte_ring_empty(t.box.workers[owner]->mail))
			sw_housekeeping_serve(&t.h, 1);
		assert_true(rte_ring_empty(t.box.workers[!owner]->mail));
		answer_mail(owner);
		r = hear();
		assert_int_equal(r.status, SW_REPLY_OK);
		assert_int_equal(r.explain.worker, owner);
		assert_int_equal(r.explain.rule, SW_RULE_KINDS);
		assert_int_equal(r.explain.armed, 1);
		assert_int_equal(r.explain.has_record, 0);
	}
}

static void test_unblock_goes_to_all(void **state)
{
	(void)state;
	ask((struct sw_request){.kind = SW_REQUEST_UNBLOCK, .service_slot = SW_NONE,
		.address = prefix_of("192.0.2.1").address}, -1);
	for (unsigned int i = 0; i < 2; i++) {
		while (rte_ring_empty(t.box.workers[i]->mail))
			sw_housekeeping_serve(&t.h, 1);
		answer_mail(i);
	}
	const struct sw_reply r = hear();
	assert_int_equal(r.status, SW_REPLY_OK);
	assert_int_equal(r.count, 0);
}

/* The letter of a worker that hangs is neither lost nor freed under its hands. */
static void test_a_worker_that_does_not_answer(void **state)
{
	(void)state;
	const struct sw_request q = {.kind = SW_REQUEST_UNBLOCK, .service_slot = SW_NONE,
		.address = prefix_of("192.0.2.1").address};
	ask(q, -1);
	while (rte_ring_empty(t.box.workers[0]->mail))
		sw_housekeeping_serve(&t.h, 1);
	answer_mail(0);
	assert_int_equal(hear().status, SW_REPLY_BUSY);
	assert_non_null(t.h.late);
	sw_housekeeping_tick(&t.h);
	assert_non_null(t.h.late);
	answer_mail(1);
	sw_housekeeping_tick(&t.h);
	assert_null(t.h.late);
	/* Its mail box runs full: still an answer. */
	for (unsigned int i = 0; i < SW_MAIL_RING; i++)
		(void)rte_ring_sp_enqueue(t.box.workers[1]->mail, &t);
	ask(q, -1);
	assert_int_equal(hear().status, SW_REPLY_BUSY);
	void *drained;
	while (rte_ring_sc_dequeue(t.box.workers[1]->mail, &drained) == 0)
		;
}

int main(void)
{
	char prefix[48];
	snprintf(prefix, sizeof(prefix), "--file-prefix=sw-unit-%d", (int)getpid());
	char *arguments[] = {(char *)(uintptr_t)"test", prefix, (char *)(uintptr_t)"--no-huge", (char *)(uintptr_t)"-m",
		(char *)(uintptr_t)"64", (char *)(uintptr_t)"--iova-mode=va", (char *)(uintptr_t)"--no-pci",
		(char *)(uintptr_t)"--no-shconf", (char *)(uintptr_t)"--no-telemetry", (char *)(uintptr_t)"--lcores=0",
		(char *)(uintptr_t)"--log-level=*:3", NULL};
	if (rte_eal_init(11, arguments) < 0 || sodium_init() < 0)
		return 1;
	sw_log_set_level(SW_LOG_ERROR);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_what_is_in_force_at_start, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_shares_of_the_first_policy, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_flood_arms_its_service_and_no_other, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_worker_that_armed_itself_has_its_cookies_accepted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_server_is_learned_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_change_waits_for_its_epoch, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_hello, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_new_policy, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_refused_policy_changes_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_policy_outlives_its_readers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_explain_goes_to_the_owner, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unblock_goes_to_all, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_worker_that_does_not_answer, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
