/* SPDX-License-Identifier: BSD-3-Clause */
/* A directory, a configuration, a stand-in for the dataplane: what the tests of control.h start from. */
#ifndef SW_TEST_CONTROL_TEST_H
#define SW_TEST_CONTROL_TEST_H

#include "policy_test.h"

#include <ftw.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "control.h"
#include "fake_dataplane.h"
#include "policy/state_file.h"

static char base[64], config_path[128], run_dir[128], state_dir[128];
static struct fake_dataplane dataplane;

#define GOOD   CONFIG("", "")
#define OTHER  CONFIG(",\"hold_s\": 3", "")
#define BROKEN CONFIG(",\n\"hold_s\": 0", "")

static inline void write_config(const char *text)
{
	assert_int_equal(sw_write_file(config_path, text, strlen(text), 0600), 0);
}

static inline int set_up(void **state)
{
	(void)state;
	snprintf(base, sizeof(base), "/tmp/seawall-control-XXXXXX");
	if (!mkdtemp(base))
		return -1;
	snprintf(config_path, sizeof(config_path), "%s/seawall.json", base);
	snprintf(run_dir, sizeof(run_dir), "%s/run", base);
	snprintf(state_dir, sizeof(state_dir), "%s/state", base);
	write_config(GOOD);
	return mkdir(run_dir, 0755);
}

static inline int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
	(void)status;
	(void)kind;
	(void)where;
	return remove(path);
}

static inline int tear_down(void **state)
{
	(void)state;
	return nftw(base, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static inline struct sw_control *open_control(void)
{
	const struct sw_control_options options = {
	    .config_path = config_path, .runtime_dir = run_dir, .state_dir = state_dir, .retired_look_ms = 20};
	struct sw_control *control = NULL;
	assert_int_equal(sw_control_open(&options, &control), 0);
	return control;
}

static inline bool published(struct sw_control *control)
{
	struct sw_control_status status;
	sw_control_status(control, &status);
	return status.dataplane_connected && status.published_unix_ns &&
	       status.generation_in_force == status.generation_wanted;
}

static inline bool connected(struct sw_control *control)
{
	struct sw_control_status status;
	sw_control_status(control, &status);
	return status.dataplane_connected;
}

static inline bool away(struct sw_control *control)
{
	return !connected(control);
}

/* Waits for a state of the control daemon; ten seconds mean that it never comes. */
static inline void await(struct sw_control *control, bool (*reached)(struct sw_control *))
{
	for (int i = 0; i < 2000 && !reached(control); i++) {
		const struct timespec tick = {.tv_nsec = 5000000};
		nanosleep(&tick, NULL);
	}
	assert_true(reached(control));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
