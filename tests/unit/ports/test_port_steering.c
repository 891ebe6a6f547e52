/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SYN queues on ports of net_null, called PCI devices: with its own answer to rte_flow, which is that it has none, and
 * with those of a NIC that this file plays.
 */
#include "../dataplane/test.h"

#include <errno.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_flow.h>
#include <sodium.h>

#include "../core/snapshot_draft.h"
#include "memory.h"
#include "ports/port.h"
#include "ports/steering.h"
#include "publish.h"

enum { WORKERS = 3 };

static struct {
	struct draft draft;
	struct sw_secrets secrets;
	struct sw_ports ports;
	struct sw_box box;
	char error[512];
} t;

/* ---- the NIC that is played -------------------------------------------------------------------------------------- */

static struct {
	bool present;            /* false: the driver itself is asked */
	bool refuses_ranges;     /* of ports */
	bool keeps;              /* refuses to destroy */
	bool fixed_table;        /* its indirection table cannot be written */
	unsigned int room;       /* rules it can hold */
	unsigned int rules, created, destroyed;
} nic;

int __real_rte_flow_validate(uint16_t port, const struct rte_flow_attr *attr, const struct rte_flow_item items[],
	const struct rte_flow_action actions[], struct rte_flow_error *error);
int __wrap_rte_flow_validate(uint16_t port, const struct rte_flow_attr *attr, const struct rte_flow_item items[],
	const struct rte_flow_action actions[], struct rte_flow_error *error);
struct rte_flow *__wrap_rte_flow_create(uint16_t port, const struct rte_flow_attr *attr,
	const struct rte_flow_item items[], const struct rte_flow_action actions[], struct rte_flow_error *error);
int __wrap_rte_flow_destroy(uint16_t port, struct rte_flow *flow, struct rte_flow_error *error);
int __real_rte_eth_dev_rss_reta_update(uint16_t port, struct rte_eth_rss_reta_entry64 *table, uint16_t entries);
int __wrap_rte_eth_dev_rss_reta_update(uint16_t port, struct rte_eth_rss_reta_entry64 *table, uint16_t entries);

int __wrap_rte_flow_validate(uint16_t port, const struct rte_flow_attr *attr, const struct rte_flow_item items[],
	const struct rte_flow_action actions[], struct rte_flow_error *error)
{
	if (!nic.present)
		return __real_rte_flow_validate(port, attr, items, actions, error);
	const struct rte_flow_item_tcp *mask = items[2].mask;
	const struct rte_flow_action_rss *rss = actions[0].conf;
	assert_int_equal(actions[0].type, RTE_FLOW_ACTION_TYPE_RSS);
	for (unsigned int i = 0; i < rss->queue_num; i++)
		assert_in_range(rss->queue[i], WORKERS, 2 * WORKERS - 1);
	if (nic.refuses_ranges && mask->hdr.dst_port != 0xffff)
		return rte_flow_error_set(error, ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_MASK, NULL, "no ranges here");
	return 0;
}

struct rte_flow *__wrap_rte_flow_create(uint16_t port, const struct rte_flow_attr *attr,
	const struct rte_flow_item items[], const struct rte_flow_action actions[], struct rte_flow_error *error)
{
	(void)port;
	(void)attr;
	(void)items;
	(void)actions;
	assert_true(nic.present);
	if (nic.rules == nic.room) {
		rte_flow_error_set(error, ENOSPC, RTE_FLOW_ERROR_TYPE_HANDLE, NULL, NULL);
		return NULL;
	}
	nic.rules++;
	return (struct rte_flow *)(uintptr_t)++nic.created;
}

int __wrap_rte_flow_destroy(uint16_t port, struct rte_flow *flow, struct rte_flow_error *error)
{
	(void)port;
	assert_non_null(flow);
	if (nic.keeps)
		return rte_flow_error_set(error, EBUSY, RTE_FLOW_ERROR_TYPE_HANDLE, NULL, NULL);
	assert_true(nic.rules > 0);
	nic.rules--;
	nic.destroyed++;
	return 0;
}

int __wrap_rte_eth_dev_rss_reta_update(uint16_t port, struct rte_eth_rss_reta_entry64 *table, uint16_t entries)
{
	return nic.fixed_table ? -ENOTSUP : __real_rte_eth_dev_rss_reta_update(port, table, entries);
}

/* ---- a box on it ------------------------------------------------------------------------------------------------- */

static const char *const devices[SW_SIDES] = {"net_null_outside", "net_null_inside"};

static int set_up(void **state)
{
	(void)state;
	memset(&nic, 0, sizeof(nic));
	nic.present = true;
	nic.room = 4096;
	draft_init(&t.draft);
	t.draft.boot.workers = WORKERS;
	t.draft.boot.rx_descriptors = t.draft.boot.tx_descriptors = 256;
	t.draft.boot.mbufs = 4096;
	for (unsigned int side = 0; side < SW_SIDES; side++) {
		t.draft.links[0].ends[side].kind = SW_DEVICE_PCI;
		strcpy(t.draft.links[0].ends[side].device, devices[side]);
		if (rte_eal_hotplug_add("vdev", devices[side], "no-rx=1"))
			return -1;
	}
	return 0;
}

/* It must start whatever the NIC says. */
static void start(void)
{
	if (sw_ports_probe(&t.draft.boot, t.draft.links, 1, &t.ports, t.error, sizeof(t.error)))
		fail_msg("%s", t.error);
	const struct sw_box_config config = {.boot = &t.draft.boot, .links = t.draft.links, .link_count = 1,
		.secrets = &t.secrets};
	if (sw_box_open(&config, &t.box, t.error, sizeof(t.error)) ||
		sw_ports_start(&t.ports, &t.box, t.error, sizeof(t.error)))
		fail_msg("%s", t.error);
}

static int tear_down(void **state)
{
	(void)state;
	nic.keeps = false;
	sw_ports_close(&t.ports);
	for (unsigned int side = 0; side < SW_SIDES; side++)
		(void)rte_eal_hotplug_remove("vdev", devices[side]);
	sw_box_close(&t.box);
	return nic.rules != 0; /* nothing stays in a NIC that we leave */
}

static void publish(void)
{
	const struct sw_publish_limits limits = {.boot = &t.box.boot, .links = t.draft.links, .link_count = 1,
		.tsc_hz = 1000000000, .ports = &t.ports};
	struct sw_policy *policy;
	uint64_t bytes;
	void *snapshot = draft_seal(&t.draft, &bytes);
	if (sw_publish_build(snapshot, bytes, &limits, &policy, t.error, sizeof(t.error)) != SW_REPLY_OK)
		fail_msg("%s", t.error);
	sw_ports_say_steering(&t.ports);
	sw_policy_free(policy);
	free(snapshot);
}

static uint16_t receive_queues(enum sw_side side)
{
	struct rte_eth_dev_info info;
	assert_int_equal(rte_eth_dev_info_get(t.ports.ends[side].port_ids[0], &info), 0);
	assert_int_equal(info.nb_tx_queues, WORKERS);
	return info.nb_rx_queues;
}

static void check_no_syn_queues(void)
{
	assert_false(t.ports.steers);
	assert_int_equal(receive_queues(SW_OUTSIDE), WORKERS);
	for (unsigned int i = 0; i < WORKERS; i++) {
		assert_int_equal(t.box.workers[i]->queues[0][SW_OUTSIDE].queue_id, i);
		assert_int_equal(t.box.workers[i]->syn_queues[0].queue_id, SW_NO_QUEUE);
	}
	draft_service(&t.draft, "web", SW_MODE_AUTO);
	draft_target(&t.draft, "10.0.0.1/32", 80, 80, 0);
	publish(); /* a policy is in force without them */
	assert_int_equal(nic.created, 0);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void test_a_driver_without_rte_flow(void **state)
{
	(void)state;
	nic.present = false;
	start();
	check_no_syn_queues();
}

static void test_a_table_that_cannot_be_written(void **state)
{
	(void)state;
	nic.fixed_table = true;
	start();
	check_no_syn_queues();
}

static void test_no_buffers_for_twice_the_queues(void **state)
{
	(void)state;
	t.draft.boot.mbufs = sw_mbufs_needed(&t.draft.boot, 1) + 255;
	start();
	check_no_syn_queues();
}

static void test_syn_queues_are_beside_the_others(void **state)
{
	(void)state;
	start();
	assert_true(t.ports.steers);
	assert_int_equal(receive_queues(SW_OUTSIDE), 2 * WORKERS);
	assert_int_equal(receive_queues(SW_INSIDE), WORKERS);
	const uint16_t port = t.ports.ends[SW_OUTSIDE].port_ids[0];
	for (unsigned int i = 0; i < WORKERS; i++) {
		assert_int_equal(t.box.workers[i]->queues[0][SW_OUTSIDE].queue_id, i);
		assert_int_equal(t.box.workers[i]->syn_queues[0].port_id, port);
		assert_int_equal(t.box.workers[i]->syn_queues[0].queue_id, WORKERS + i);
	}
	/* No other packet is sent there. */
	struct rte_eth_rss_reta_entry64 table[2] = {{.mask = ~0ull}, {.mask = ~0ull}};
	assert_int_equal(t.ports.ends[SW_OUTSIDE].ability.reta_entries, COUNT(table) * RTE_ETH_RETA_GROUP_SIZE);
	assert_int_equal(rte_eth_dev_rss_reta_query(port, table, COUNT(table) * RTE_ETH_RETA_GROUP_SIZE), 0);
	for (unsigned int i = 0; i < COUNT(table) * RTE_ETH_RETA_GROUP_SIZE; i++)
		assert_int_equal(table[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE], i % WORKERS);
}

static void test_a_new_policy_changes_what_differs(void **state)
{
	(void)state;
	start();
	publish();
	assert_int_equal(nic.created, 0);
	draft_service(&t.draft, "web", SW_MODE_AUTO);
	draft_target(&t.draft, "10.0.0.1/32", 80, 80, 0);
	draft_target(&t.draft, "10.0.0.1/32", 443, 443, 0);
	draft_target(&t.draft, "2001:db8::1/128", 80, 80, 0);
	publish();
	assert_int_equal(nic.rules, 3);
	publish();
	assert_int_equal(nic.created, 3); /* the same again: nothing to do */
	t.draft.targets[1] = t.draft.targets[2];
	t.draft.counts[SW_SECTION_TARGETS] = 2;
	draft_target(&t.draft, "10.0.0.2/32", 8000, 8003, 0);
	publish();
	assert_int_equal(nic.created, 4);
	assert_int_equal(nic.destroyed, 1);
	t.draft.counts[SW_SECTION_TARGETS] = 0;
	publish();
	assert_int_equal(nic.rules, 0);
}

static void test_what_a_nic_refuses_is_left_out(void **state)
{
	(void)state;
	nic.refuses_ranges = true;
	nic.room = 2;
	start();
	assert_true(t.ports.steers);
	draft_service(&t.draft, "web", SW_MODE_AUTO);
	draft_target(&t.draft, "10.0.0.1/32", 80, 81, 0);
	draft_target(&t.draft, "10.0.0.1/32", 443, 443, 0);
	draft_target(&t.draft, "10.0.0.2/32", 443, 443, 0);
	draft_target(&t.draft, "10.0.0.3/32", 443, 443, 0);
	publish();
	assert_int_equal(nic.rules, 2);
	nic.refuses_ranges = false;
	nic.room = 4096;
	publish(); /* they are asked for again */
	assert_int_equal(nic.rules, 4);
}

static void test_a_rule_that_cannot_be_removed_is_not_forgotten(void **state)
{
	(void)state;
	start();
	draft_service(&t.draft, "web", SW_MODE_AUTO);
	draft_target(&t.draft, "10.0.0.1/32", 80, 80, 0);
	publish();
	nic.keeps = true;
	t.draft.targets[0].port_first = t.draft.targets[0].port_last = 81;
	publish();
	assert_int_equal(nic.rules, 2);
	t.draft.targets[0].port_first = t.draft.targets[0].port_last = 80;
	publish(); /* it is still there: no second one is made */
	assert_int_equal(nic.created, 2);
	nic.keeps = false;
	publish();
	assert_int_equal(nic.rules, 1);
}

static void test_a_service_too_many_is_named(void **state)
{
	(void)state;
	start();
	draft_service(&t.draft, "small", SW_MODE_AUTO);
	draft_service(&t.draft, "large", SW_MODE_AUTO);
	draft_target(&t.draft, "10.0.0.1/32", 80, 80, 0);
	for (unsigned int i = 0; i < 10; i++) {
		char server[32];
		snprintf(server, sizeof(server), "10.1.0.%u/32", i);
		draft_target(&t.draft, server, 2, 65534, 1);
	}
	publish();
	assert_int_equal(nic.rules, 1);
	assert_int_equal(t.ports.unsteered_services, 1);
	assert_string_equal(t.ports.unsteered_name, "large");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_driver_without_rte_flow, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_table_that_cannot_be_written, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_buffers_for_twice_the_queues, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_syn_queues_are_beside_the_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_new_policy_changes_what_differs, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_a_nic_refuses_is_left_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_rule_that_cannot_be_removed_is_not_forgotten, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_service_too_many_is_named, set_up, tear_down),
	};
	char prefix[32];
	snprintf(prefix, sizeof(prefix), "sw-unit-%d", (int)getpid());
	char *arguments[] = {"unit", "--no-huge", "-m", "128", "--no-pci", "--no-shconf", "--no-telemetry",
		"--iova-mode=va", "-l", "0", "--log-level=*:3", "--file-prefix", prefix, NULL};
	if (rte_eal_init(COUNT(arguments) - 1, arguments) < 0 || sodium_init() < 0)
		return 1;
	randombytes_buf(t.secrets.master, sizeof(t.secrets.master));
	const int failed = cmocka_run_group_tests(tests, NULL, NULL);
	rte_eal_cleanup();
	return failed;
}
