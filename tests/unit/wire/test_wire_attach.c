/* SPDX-License-Identifier: BSD-3-Clause */
/* The loader on real interfaces, in a network namespace of this test's own: pins, restarts, what a predecessor left. */
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "../core/snapshot_draft.h"
#include "core/snapshot_check.h"
#include "run_frame.h"

#define SERVER "10.20.0.10"
#define CLIENT "198.51.100.7"

enum { BLOCKS = 1000 };

static char pins[128], other_pins[128];
static bool may_load;

static void shell(const char *command)
{
	if (system(command))
		fail_msg("%s", command);
}

static void make_interfaces(void)
{
	shell("ip link add sw-t-out type veth peer name sw-t-out-peer");
	shell("ip link add sw-t-in.1 type veth peer name sw-t-in-peer");
	shell("ip link set sw-t-out up && ip link set sw-t-in.1 up");
}

static int set_up(void **state)
{
	(void)state;
	snprintf(pins, sizeof(pins), "/sys/fs/bpf/seawall-test-%d/box.1", (int)getpid());
	snprintf(other_pins, sizeof(other_pins), "/sys/fs/bpf/seawall-test-%d/box.2", (int)getpid());
	may_load = unshare(CLONE_NEWNET) == 0;
	if (may_load)
		make_interfaces();
	return 0;
}

static int tear_down(void **state)
{
	char directory[128];
	(void)state;
	snprintf(directory, sizeof(directory), "/sys/fs/bpf/seawall-test-%d", (int)getpid());
	return may_load && rmdir(directory) ? -1 : 0;
}

static const struct sw_wire_interface interfaces[] = {{"sw-t-out", 0, SW_OUTSIDE}, {"sw-t-in.1", 0, SW_INSIDE}};

static struct sw_wire_config usual_config(char *pin_directory)
{
	if (!may_load) {
		print_message("no right to make a network namespace\n");
		skip();
	}
	return (struct sw_wire_config){.interfaces = interfaces,
	    .interface_count = 2,
	    .queues = 1,
	    .heartbeat_timeout_ms = 1000,
	    .blocks_max = BLOCKS,
	    .pin_directory = pin_directory};
}

static struct sw_wire *open_wire(const struct sw_wire_config *config)
{
	struct sw_wire *wire;
	char error[256];
	if (sw_wire_open(config, &wire, error, sizeof(error)))
		fail_msg("%s", error);
	return wire;
}

static void publish(struct sw_wire *wire)
{
	struct draft draft;
	char error[256];
	uint64_t bytes;
	draft_init(&draft);
	draft_service(&draft, "tracker", SW_MODE_ALWAYS);
	draft_target(&draft, SERVER, 20000, 20000, 0);
	void *snapshot = draft_seal(&draft, &bytes);
	if (sw_snapshot_check(snapshot, bytes, error, sizeof(error)) ||
	    sw_wire_publish(wire, snapshot, error, sizeof(error)))
		fail_msg("%s", error);
	free(snapshot);
}

/* Id of the XDP program on the interface, or 0. */
static uint32_t attached(const char *interface)
{
	uint32_t id = 0;
	assert_int_equal(bpf_xdp_query_id((int)if_nametoindex(interface), 0, &id), 0);
	return id;
}

static void a_restart_loses_nothing(void **state)
{
	(void)state;
	const struct sw_wire_config config = usual_config(pins);
	const struct frame ours = syn_from(CLIENT, SERVER, 20000);
	const struct sw_address client = address_of(CLIENT);
	uint64_t counters[SW_WIRE_COUNTER_COUNT];

	struct sw_wire *wire = open_wire(&config);
	publish(wire);
	assert_int_equal(run_frame(wire, SW_OUTSIDE, &ours), SW_WIRE_PASSED_NO_DATAPLANE);
	assert_int_equal(sw_wire_block(wire, &client, 3600), 0);
	const uint32_t first = attached("sw-t-out");
	assert_int_not_equal(first, 0);
	assert_int_not_equal(attached("sw-t-in.1"), 0);
	sw_wire_close(wire, false);
	assert_int_equal(attached("sw-t-out"), first);

	wire = open_wire(&config);
	assert_int_not_equal(attached("sw-t-out"), 0);
	assert_int_not_equal(attached("sw-t-out"), first);
	assert_int_equal(sw_wire_heartbeat(wire, 0)->last_ns, 0);
	/* The policy and the block are in force before anything is published. */
	assert_int_equal(run_frame(wire, SW_OUTSIDE, &ours), SW_WIRE_DROPPED_BLOCKED);
	assert_int_equal(sw_wire_unblock(wire, &client), 0);
	assert_int_equal(run_frame(wire, SW_OUTSIDE, &ours), SW_WIRE_PASSED_NO_DATAPLANE);
	assert_int_equal(sw_wire_counters(wire, 0, SW_OUTSIDE, counters), 0);
	assert_int_equal(counters[SW_WIRE_PASSED_NO_DATAPLANE], 2);
	publish(wire);
	assert_int_equal(run_frame(wire, SW_OUTSIDE, &ours), SW_WIRE_PASSED_NO_DATAPLANE);
	sw_wire_close(wire, true);
	assert_int_equal(attached("sw-t-out"), 0);
	assert_int_equal(attached("sw-t-in.1"), 0);
	struct stat gone;
	assert_int_equal(stat(pins, &gone), -1);
}

static void interfaces_made_anew_are_attached_anew(void **state)
{
	(void)state;
	const struct sw_wire_config config = usual_config(pins);
	sw_wire_close(open_wire(&config), false);
	shell("ip link del sw-t-out && ip link del sw-t-in.1");
	make_interfaces();
	assert_int_equal(attached("sw-t-out"), 0);
	struct sw_wire *wire = open_wire(&config);
	assert_int_not_equal(attached("sw-t-out"), 0);
	assert_int_not_equal(attached("sw-t-in.1"), 0);
	sw_wire_close(wire, true);
}

static void an_interface_no_longer_named_is_let_go(void **state)
{
	(void)state;
	struct sw_wire_config config = usual_config(pins);
	sw_wire_close(open_wire(&config), false);
	config.interface_count = 1;
	struct sw_wire *wire = open_wire(&config);
	uint64_t counters[SW_WIRE_COUNTER_COUNT];
	assert_int_not_equal(attached("sw-t-out"), 0);
	assert_int_equal(attached("sw-t-in.1"), 0);
	assert_int_equal(sw_wire_counters(wire, 0, SW_INSIDE, counters), -ENOENT);
	sw_wire_close(wire, true);
}

static void maps_of_another_size_are_replaced(void **state)
{
	(void)state;
	struct sw_wire_config config = usual_config(pins);
	const struct sw_address client = address_of(CLIENT);
	struct sw_wire *wire = open_wire(&config);
	assert_int_equal(sw_wire_block(wire, &client, 3600), 0);
	sw_wire_close(wire, false);
	config.blocks_max = BLOCKS * 2;
	wire = open_wire(&config);
	assert_int_equal(sw_wire_unblock(wire, &client), -ENOENT);
	assert_int_equal(sw_wire_block(wire, &client, 3600), 0);
	sw_wire_close(wire, false);
	wire = open_wire(&config);
	assert_int_equal(sw_wire_unblock(wire, &client), 0);
	sw_wire_close(wire, true);
}

static void what_cannot_work_is_refused_with_a_text(void **state)
{
	(void)state;
	struct sw_wire_config config = usual_config(pins);
	struct sw_wire *wire = open_wire(&config), *second;
	const uint32_t first = attached("sw-t-out");
	char error[256];

	struct sw_wire_config other = config;
	other.pin_directory = other_pins;
	assert_int_equal(sw_wire_open(&other, &second, error, sizeof(error)), -EBUSY);
	assert_non_null(strstr(error, "sw-t-out"));
	assert_int_equal(attached("sw-t-out"), first);
	other = config;
	other.queues = 2;
	assert_int_equal(sw_wire_open(&other, &second, error, sizeof(error)), -EINVAL);
	assert_non_null(strstr(error, "queue"));
	sw_wire_close(wire, true);

	/* What the refused one left of its own goes with its next success. */
	other = config;
	other.pin_directory = other_pins;
	sw_wire_close(open_wire(&other), true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_restart_loses_nothing),
		cmocka_unit_test(interfaces_made_anew_are_attached_anew),
		cmocka_unit_test(an_interface_no_longer_named_is_let_go),
		cmocka_unit_test(maps_of_another_size_are_replaced),
		cmocka_unit_test(what_cannot_work_is_refused_with_a_text),
	};
	return cmocka_run_group_tests_name("wire_attach", tests, set_up, tear_down);
}
