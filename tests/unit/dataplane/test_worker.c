/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Workers in their own threads, on ports made by port.c: rings outside (the test fills them), net_null inside. What is
 * waited for is waited for until it comes; the deadline only ends a test that has failed.
 */
#include "test.h"

#include <sched.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <sodium.h>

#include "../core/snapshot_draft.h"
#include "eal.h"
#include "idle.h"
#include "mail.h"
#include "pipeline.h"
#include "ports/port.h"

enum { WORKERS = 2, DEADLINE_S = 60, LONG_SLEEP_US = 600 * 1000000 };

static struct {
	struct draft draft;
	struct sw_secrets secrets;
	struct sw_ports ports;
	struct sw_box box;
	struct sw_cookie_keys keys;
	struct rte_ring *in[WORKERS]; /* what the outside port of each worker receives */
} t;

static bool wait_for(bool (*done)(const void *), const void *what)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	const uint64_t deadline = rte_rdtsc() + DEADLINE_S * rte_get_tsc_hz();
	while (!done(what)) {
		if (rte_rdtsc() > deadline)
			return false;
		nanosleep(&pause, NULL);
	}
	return true;
}

/* ---- frames ------------------------------------------------------------------------------------------------------ */

/* A SYN of 192.0.2.`host` (or 2001:db8:2::`host`) to the web server, with no options. */
static void put_syn(unsigned int worker, uint8_t host, bool is_ipv6)
{
	static const uint8_t ethernet[12] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
	uint8_t frame[74] = {0};
	const unsigned int l3 = 14, l4 = is_ipv6 ? 54 : 34;
	struct sw_address client = prefix_of(is_ipv6 ? "2001:db8:2::" : "192.0.2.0").address;
	const struct sw_address server = prefix_of(is_ipv6 ? "2001:db8::1" : "10.0.0.1").address;
	client.bytes[15] = host;
	memcpy(frame, ethernet, sizeof(ethernet));
	frame[12] = is_ipv6 ? 0x86 : 0x08;
	frame[13] = is_ipv6 ? 0xdd : 0x00;
	if (is_ipv6) {
		frame[l3] = 0x60;
		frame[l3 + 5] = 20;
		frame[l3 + 6] = 6;
		frame[l3 + 7] = 64;
		memcpy(frame + l3 + 8, client.bytes, 16);
		memcpy(frame + l3 + 24, server.bytes, 16);
	} else {
		frame[l3] = 0x45;
		frame[l3 + 3] = 40;
		frame[l3 + 8] = 64;
		frame[l3 + 9] = 6;
		memcpy(frame + l3 + 12, client.bytes + 12, 4);
		memcpy(frame + l3 + 16, server.bytes + 12, 4);
	}
	frame[l4] = 0x30;
	frame[l4 + 1] = host;
	frame[l4 + 3] = 80;
	frame[l4 + 12] = 0x50;
	frame[l4 + 13] = 0x02;
	struct rte_mbuf *m = rte_pktmbuf_alloc(t.box.workers[worker]->pool);
	assert_non_null(m);
	memcpy(rte_pktmbuf_append(m, (uint16_t)(l4 + 20)), frame, l4 + 20);
	m->port = t.ports.ends[SW_OUTSIDE].port_ids[worker]; /* net_ring leaves that to whoever fills the ring */
	assert_int_equal(rte_ring_enqueue(t.in[worker], m), 0);
}

static unsigned int owner_of(uint8_t host, bool is_ipv6)
{
	struct sw_address client = prefix_of(is_ipv6 ? "2001:db8:2::" : "192.0.2.0").address;
	client.bytes[15] = host;
	return sw_owner(&t.box.shared, &client);
}

static uint64_t total(unsigned int worker, enum sw_count what)
{
	struct sw_counters c;
	const struct sw_worker_counters *w = t.box.workers[worker]->counters;
	while (!sw_read_worker(w, &c, &w->total, sizeof(c)))
		;
	return c.count[what];
}

/* ---- the box ----------------------------------------------------------------------------------------------------- */

/*
 * Worker 1's ring becomes its SYN queue, as if a NIC sorted SYNs out for it; where its other packets come from, nothing
 * comes.
 */
static void make_syn_queue(struct sw_worker *w)
{
	assert_int_equal(w->syn_queues[0].queue_id, SW_NO_QUEUE);
	w->syn_queues[0] = w->queues[0][SW_OUTSIDE];
	w->queues[0][SW_OUTSIDE] = w->queues[0][SW_INSIDE];
}

static int start(uint32_t idle_sleep_us, bool syn_queue)
{
	char error[512] = "";
	uint64_t bytes;
	struct sw_policy *policy;
	memset(&t.box, 0, sizeof(t.box));
	draft_init(&t.draft);
	t.draft.boot.workers = WORKERS;
	t.draft.boot.mbufs = 8192;
	t.draft.boot.rx_descriptors = t.draft.boot.tx_descriptors = 256;
	t.draft.boot.idle_sleep_us = idle_sleep_us;
	t.draft.links[0].ends[SW_OUTSIDE].kind = t.draft.links[0].ends[SW_INSIDE].kind = SW_DEVICE_VDEV;
	strcpy(t.draft.links[0].ends[SW_OUTSIDE].device, "net_ring%q0");
	strcpy(t.draft.links[0].ends[SW_INSIDE].device, "net_null%q0,no-rx=1");
	draft_service(&t.draft, "web", SW_MODE_OFF);
	draft_target(&t.draft, "10.0.0.1/32", 80, 80, 0);
	draft_target(&t.draft, "2001:db8::1/128", 80, 80, 0);
	if (sw_ports_probe(&t.draft.boot, t.draft.links, 1, &t.ports, error, sizeof(error)))
		fail_msg("%s", error);
	assert_int_equal(t.ports.plan.decision, SW_SHARD_BY_HANDOVER);
	const struct sw_box_config config = {.boot = &t.draft.boot, .links = t.draft.links, .link_count = 1,
		.secrets = &t.secrets};
	if (sw_box_open(&config, &t.box, error, sizeof(error)) ||
		sw_ports_start(&t.ports, &t.box, error, sizeof(error)))
		fail_msg("%s", error);
	void *snapshot = draft_seal(&t.draft, &bytes);
	assert_int_equal(sw_policy_build(snapshot, bytes, rte_get_tsc_hz(), &policy), 0);
	free(snapshot);
	sw_box_adopt_policy(&t.box, policy);
	sw_box_new_epoch(&t.box, 1000);
	t.in[0] = rte_ring_lookup("ETH_RXTX0_net_ring00");
	t.in[1] = rte_ring_lookup("ETH_RXTX0_net_ring10");
	assert_non_null(t.in[0]);
	assert_non_null(t.in[1]);
	if (syn_queue)
		make_syn_queue(t.box.workers[1]);
	atomic_store(&sw_stopping, 0);
	for (unsigned int i = 0; i < WORKERS; i++)
		assert_int_equal(rte_eal_remote_launch(sw_worker_run, t.box.workers[i], t.box.workers[i]->lcore), 0);
	return 0;
}

static int set_up_awake(void **state)
{
	(void)state;
	return start(0, false);
}

static int set_up_sleepy(void **state)
{
	(void)state;
	return start(LONG_SLEEP_US, false);
}

static int set_up_syn_queue(void **state)
{
	(void)state;
	return start(0, true);
}

static void stop_workers(void)
{
	atomic_store(&sw_stopping, 1);
	for (unsigned int i = 0; i < WORKERS; i++)
		sw_idle_wake_always(&t.box.idles[i]);
	rte_eal_mp_wait_lcore();
}

static int tear_down(void **state)
{
	(void)state;
	static const char *const names[] = {"net_ring00", "net_ring10", "net_null00", "net_null10"};
	stop_workers();
	for (unsigned int i = 0; i < WORKERS; i++) {
		sw_pipeline_begin(t.box.workers[i], rte_rdtsc());
		sw_pipeline_drain(t.box.workers[i]);
		sw_pipeline_end(t.box.workers[i]);
	}
	/* Every buffer came back: nothing is stuck in a ring, a queue or a flow. */
	unsigned int in_use = 0;
	for (unsigned int i = 0; i < WORKERS; i++)
		in_use += rte_mempool_in_use_count(t.box.workers[i]->pool);
	sw_policy_free((struct sw_policy *)(uintptr_t)atomic_load(&t.box.shared.policy));
	sw_ports_close(&t.ports);
	for (size_t i = 0; i < COUNT(names); i++)
		(void)rte_eal_hotplug_remove("vdev", names[i]);
	sw_box_close(&t.box);
	return in_use != 0;
}

static bool all_forwarded(const void *expected)
{
	return total(0, SW_COUNT_FORWARDED) + total(1, SW_COUNT_FORWARDED) == *(const uint64_t *)expected;
}

static void test_packets_reach_their_owners(void **state)
{
	(void)state;
	uint64_t owned[WORKERS] = {0}, handed[WORKERS] = {0};
	const uint64_t all = 2 * 254;
	for (unsigned int host = 1; host < 255; host++) {
		for (unsigned int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
			const unsigned int receiver = host % WORKERS, owner = owner_of((uint8_t)host, is_ipv6);
			put_syn(receiver, (uint8_t)host, is_ipv6);
			owned[owner]++;
			handed[receiver] += receiver != owner;
		}
	}
	assert_true(wait_for(all_forwarded, &all));
	stop_workers();
	for (unsigned int i = 0; i < WORKERS; i++) {
		assert_true(owned[i] > 100); /* the key spreads clients */
		assert_int_equal(total(i, SW_COUNT_RX), all / WORKERS);
		assert_int_equal(total(i, SW_COUNT_FORWARDED), owned[i]);
		assert_int_equal(total(i, SW_COUNT_HANDED_OVER), handed[i]);
		assert_int_equal(t.box.workers[i]->counters->sleeps, 0);
	}
}

static bool is_asleep(const void *idle)
{
	return atomic_load(&((const struct sw_idle *)idle)->asleep);
}

static bool is_answered(const void *list)
{
	return sw_mail_answered(list);
}

static void test_mail_wakes_a_sleeper(void **state)
{
	(void)state;
	struct sw_letter *letters = NULL;
	for (unsigned int i = 0; i < WORKERS; i++)
		assert_true(wait_for(is_asleep, &t.box.idles[i]));
	const struct sw_request q = {.kind = SW_REQUEST_UNBLOCK, .service_slot = SW_NONE};
	for (int round = 0; round < 20; round++) {
		assert_int_equal(sw_mail_send(&t.box, SW_NONE, &q, &letters), 0);
		assert_true(wait_for(is_answered, letters));
		struct sw_reply reply = {.status = SW_REPLY_OK};
		sw_mail_merge(letters, &reply);
		assert_int_equal(reply.status, SW_REPLY_OK);
		sw_mail_collect(&letters, true);
	}
}

/* A worker that sleeps for ten minutes is woken by the one that hands it a packet. */
static void test_a_hand_over_wakes_a_sleeper(void **state)
{
	(void)state;
	uint64_t put = 0;
	for (unsigned int host = 1; host < 255; host++) {
		if (owner_of((uint8_t)host, false) != 1)
			continue;
		for (unsigned int i = 0; i < WORKERS; i++)
			assert_true(wait_for(is_asleep, &t.box.idles[i]));
		put_syn(0, (uint8_t)host, false);
		sw_idle_wake(&t.box.idles[0]); /* a ring has no descriptor to wait on: stands for the AF_XDP socket */
		put++;
		assert_true(wait_for(all_forwarded, &put));
	}
	assert_true(put > 20);
	stop_workers();
	assert_int_equal(total(1, SW_COUNT_FORWARDED), put);
	assert_true(t.box.workers[1]->counters->sleeps >= put);
}

static void test_a_stop_wakes_sleepers(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < WORKERS; i++)
		assert_true(wait_for(is_asleep, &t.box.idles[i]));
	stop_workers(); /* waits for them */
}

/* A burst of clients from one prefix is not one worker's burden, whatever the key. */
static void test_every_key_spreads_neighbours(void **state)
{
	(void)state;
	struct sw_shared shared = {.workers = 2, .shard_key = 0x5ea3a11};
	struct sw_address client = prefix_of("192.0.2.0").address;
	for (unsigned int key = 0; key < 20000; key++) {
		unsigned int owned = 0;
		shared.shard_key = shared.shard_key * 6364136223846793005u + 1442695040888963407u;
		for (unsigned int host = 1; host < 255; host++) {
			client.bytes[15] = (uint8_t)host;
			owned += sw_owner(&shared, &client);
		}
		assert_in_range(owned, 64, 190);
	}
}

static int start_eal(void)
{
	static struct sw_eal_arguments arguments;
	char error[512];
	cpu_set_t cpus;
	draft_init(&t.draft);
	t.draft.boot.workers = WORKERS;
	snprintf(t.draft.boot.instance, sizeof(t.draft.boot.instance), "unit-%d", (int)getpid());
	sched_getaffinity(0, sizeof(cpus), &cpus);
	unsigned int found = 0;
	for (unsigned int cpu = 0; cpu < CPU_SETSIZE && found < WORKERS; cpu++)
		if (CPU_ISSET(cpu, &cpus))
			t.draft.boot.cores[found++] = cpu;
	for (; found < WORKERS; found++) /* one CPU: they take turns */
		t.draft.boot.cores[found] = t.draft.boot.cores[0];
	const struct sw_eal_config config = {.boot = &t.draft.boot, .links = t.draft.links, .link_count = 1,
		.memory_bytes = 160 << 20, .cpus = &cpus, .log_level = SW_LOG_ERROR};
	if (sw_eal_arguments_make(&config, &arguments, error, sizeof(error)) == 0 &&
		sw_eal_start(&arguments, error, sizeof(error)) == 0)
		return 0;
	fprintf(stderr, "%s\n", error);
	return -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_packets_reach_their_owners, set_up_awake, tear_down),
		cmocka_unit_test_setup_teardown(test_packets_reach_their_owners, set_up_syn_queue, tear_down),
		cmocka_unit_test_setup_teardown(test_mail_wakes_a_sleeper, set_up_sleepy, tear_down),
		cmocka_unit_test_setup_teardown(test_a_hand_over_wakes_a_sleeper, set_up_sleepy, tear_down),
		cmocka_unit_test_setup_teardown(test_a_stop_wakes_sleepers, set_up_sleepy, tear_down),
		cmocka_unit_test(test_every_key_spreads_neighbours),
	};
	if (start_eal() || sodium_init() < 0)
		return 1;
	randombytes_buf(t.secrets.master, sizeof(t.secrets.master));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
