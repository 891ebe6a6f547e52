/* SPDX-License-Identifier: BSD-3-Clause */
/* The daemon's heart against a stand-in for the dataplane: what is published, kept, refused and remembered. */
#include "control_test.h"

#include <errno.h>

static bool has_been_refused(struct sw_control *control)
{
	struct sw_control_status status;
	sw_control_status(control, &status);
	return strcmp(status.dataplane_text, "services[0].mode") == 0;
}

/* The stand-in has the request, and says nothing. */
static bool reload_is_under_way(struct sw_control *control)
{
	(void)control;
	pthread_mutex_lock(&dataplane.lock);
	const bool asked = dataplane.unanswered > 0;
	pthread_mutex_unlock(&dataplane.lock);
	return asked;
}

static uint64_t generation(struct sw_control *control)
{
	const struct sw_policy *policy = sw_control_policy(control);
	const uint64_t number = policy->snapshot->generation;
	sw_policy_release(policy);
	return number;
}

static uint32_t hold_s(struct sw_control *control)
{
	const struct sw_policy *policy = sw_control_policy(control);
	const uint32_t value = SW_SPEC_ITEMS(policy->spec->services, struct sw_spec_service)->hold_s;
	sw_policy_release(policy);
	return value;
}

static bool reload_is_over(struct sw_control *control)
{
	return hold_s(control) == 3;
}

static bool exists(const char *name)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/%s", state_dir, name);
	return access(path, R_OK) == 0;
}

static void a_policy_reaches_the_dataplane(void **state)
{
	json_t *json = NULL;
	(void)state;
	fake_dataplane_start(&dataplane, run_dir, 41);
	struct sw_control *control = open_control();
	await(control, published);
	assert_true(dataplane.sealed);
	assert_true(generation(control) == 42); /* beyond what the dataplane had */
	assert_true(dataplane.generation == 42);
	assert_true(exists("policy.snapshot"));
	assert_true(exists("last-good.json"));
	write_config(OTHER);
	assert_int_equal(sw_control_reload(control, &json), 0);
	assert_true(json_is_true(json_object_get(json, "ok")));
	assert_int_equal(json_integer_value(json_object_get(json, "generation")), 43);
	json_decref(json);
	assert_true(dataplane.generation == 43);
	assert_int_equal(
	    ((const struct sw_service *)sw_snapshot_array(dataplane.snapshot, SW_SECTION_SERVICES, NULL))->hold_ms, 3000);
	/* the same text again is nothing new */
	const uint32_t publishes = dataplane.publishes;
	assert_int_equal(sw_control_reload(control, NULL), 0);
	assert_int_equal(dataplane.publishes, publishes);
	assert_true(generation(control) == 43);
	sw_control_close(control);
	fake_dataplane_stop(&dataplane);
}

static void a_restarted_daemon_finds_its_place(void **state)
{
	(void)state;
	fake_dataplane_start(&dataplane, run_dir, 1);
	struct sw_control *control = open_control();
	await(control, published);
	const uint64_t before = generation(control);
	const uint32_t publishes = dataplane.publishes;
	sw_control_close(control);
	control = open_control();
	await(control, published);
	assert_true(generation(control) == before);
	assert_int_equal(dataplane.publishes, publishes);
	sw_control_close(control);
	fake_dataplane_stop(&dataplane);
}

/* The dataplane runs what --compile made of the same file: nothing is published, and all is stored. */
static void a_policy_that_is_there_already_is_stored(void **state)
{
	char path[256];
	(void)state;
	fake_dataplane_start(&dataplane, run_dir, 1);
	struct sw_control *control = open_control(); /* leaves the same snapshot that --compile would */
	await(control, published);
	const uint64_t before = generation(control);
	sw_control_close(control);
	snprintf(path, sizeof(path), "%s/last-good.json", state_dir);
	assert_int_equal(unlink(path), 0);
	control = open_control();
	await(control, published);
	sw_control_close(control);
	assert_true(dataplane.generation == before);
	assert_true(exists("last-good.json"));
	write_config(BROKEN);
	control = open_control();
	assert_int_equal(hold_s(control), 30);
	sw_control_close(control);
	fake_dataplane_stop(&dataplane);
}

static void a_restarted_dataplane_gets_the_policy(void **state)
{
	(void)state;
	fake_dataplane_start(&dataplane, run_dir, 1);
	struct sw_control *control = open_control();
	await(control, published);
	const uint64_t before = generation(control);
	fake_dataplane_stop(&dataplane);
	await(control, away);
	write_config(OTHER);
	assert_int_equal(sw_control_reload(control, NULL), -ENOTCONN);
	assert_int_equal(hold_s(control), 3);
	fake_dataplane_start(&dataplane, run_dir, before); /* with what it had */
	await(control, published);
	assert_true(dataplane.generation > before);
	fake_dataplane_stop(&dataplane);
	await(control, away);
	fake_dataplane_start(&dataplane, run_dir, before + 100); /* with something of another box */
	await(control, published);
	assert_true(dataplane.generation > before + 100);
	sw_control_close(control);
	fake_dataplane_stop(&dataplane);
}

static void a_refused_policy_changes_nothing(void **state)
{
	json_t *json = NULL;
	struct sw_control_status status;
	(void)state;
	fake_dataplane_start(&dataplane, run_dir, 1);
	struct sw_control *control = open_control();
	await(control, published);
	const uint64_t before = generation(control);
	pthread_mutex_lock(&dataplane.lock);
	dataplane.next_status = SW_REPLY_REFUSED;
	pthread_mutex_unlock(&dataplane.lock);
	write_config(OTHER);
	assert_int_equal(sw_control_reload(control, &json), -EPROTO);
	assert_true(json_is_false(json_object_get(json, "ok")));
	assert_string_equal(json_string_value(json_object_get(json, "dataplane")), "services[0].mode");
	json_decref(json);
	assert_true(generation(control) == before);
	assert_int_equal(hold_s(control), 30);
	sw_control_status(control, &status);
	assert_string_equal(status.dataplane_text, "services[0].mode");
	/* the next one is taken again */
	assert_int_equal(sw_control_reload(control, NULL), 0);
	assert_int_equal(hold_s(control), 3);
	sw_control_close(control);
	fake_dataplane_stop(&dataplane);
}

/* Taken for good while nobody could refuse it; then somebody does. What was acknowledged before is back, on disk as
 * well. */
static void a_policy_that_is_refused_late_is_given_up(void **state)
{
	char path[256];
	(void)state;
	fake_dataplane_start(&dataplane, run_dir, 1);
	struct sw_control *control = open_control();
	await(control, published);
	const uint64_t before = generation(control);
	fake_dataplane_stop(&dataplane);
	await(control, away);
	write_config(OTHER);
	assert_int_equal(sw_control_reload(control, NULL), -ENOTCONN);
	assert_int_equal(hold_s(control), 3);
	fake_dataplane_prepare(&dataplane, SW_REPLY_REFUSED);
	fake_dataplane_start(&dataplane, run_dir, before);
	await(control, has_been_refused);
	assert_int_equal(hold_s(control), 30);
	sw_control_close(control); /* joins the publisher: the file is written */
	snprintf(path, sizeof(path), "%s/policy.snapshot", state_dir);
	struct sw_snapshot_header *stored = sw_snapshot_read(path);
	assert_non_null(stored);
	assert_int_equal(((const struct sw_service *)sw_snapshot_array(stored, SW_SECTION_SERVICES, NULL))->hold_ms, 30000);
	free(stored);
	fake_dataplane_stop(&dataplane);
}

/* Nobody answers for ever: the caller gets its answer, the others are not held up, and the policy is offered again. */
static void a_silent_dataplane_holds_up_nobody(void **state)
{
	(void)state;
	fake_dataplane_start(&dataplane, run_dir, 1);
	struct sw_control *control = open_control();
	await(control, published);
	pthread_mutex_lock(&dataplane.lock);
	dataplane.silent = true;
	pthread_mutex_unlock(&dataplane.lock);
	write_config(OTHER);
	sw_control_request_reload(control);
	await(control, reload_is_under_way);
	assert_int_equal(hold_s(control), 30); /* answered at once, with what is in force */
	await(control, reload_is_over);
	assert_int_equal(hold_s(control), 3);
	pthread_mutex_lock(&dataplane.lock);
	dataplane.silent = false;
	pthread_mutex_unlock(&dataplane.lock);
	await(control, published);
	sw_control_close(control);
	fake_dataplane_stop(&dataplane);
}

static void a_busy_dataplane_is_asked_again(void **state)
{
	(void)state;
	fake_dataplane_start(&dataplane, run_dir, 1);
	struct sw_control *control = open_control();
	await(control, published);
	pthread_mutex_lock(&dataplane.lock);
	dataplane.next_status = SW_REPLY_BUSY;
	pthread_mutex_unlock(&dataplane.lock);
	write_config(OTHER);
	assert_int_equal(sw_control_reload(control, NULL), 0);
	sw_control_close(control);
	fake_dataplane_stop(&dataplane);
}

static void a_boot_section_waits_for_a_restart(void **state)
{
	struct sw_control_status status;
	(void)state;
	fake_dataplane_start(&dataplane, run_dir, 1);
	struct sw_control *control = open_control();
	await(control, published);
	pthread_mutex_lock(&dataplane.lock);
	dataplane.next_status = SW_REPLY_NEEDS_RESTART;
	pthread_mutex_unlock(&dataplane.lock);
	write_config(OTHER);
	assert_int_equal(sw_control_reload(control, NULL), 0);
	sw_control_status(control, &status);
	assert_true(status.needs_restart);
	assert_string_equal(status.restart_field, "boot.workers");
	assert_int_equal(hold_s(control), 3); /* the rest is in force */
	sw_control_close(control);
	fake_dataplane_stop(&dataplane);
}

static void a_broken_file_is_refused(void **state)
{
	struct sw_control_status status;
	json_t *json = NULL;
	(void)state;
	struct sw_control *control = open_control();
	write_config(BROKEN);
	assert_int_equal(sw_control_reload(control, &json), -EINVAL);
	const json_t *error = json_array_get(json_object_get(json, "errors"), 0);
	assert_int_equal(json_integer_value(json_object_get(error, "line")), 4);
	assert_string_equal(json_string_value(json_object_get(error, "path")), "services[0].hold_s");
	json_decref(json);
	assert_int_equal(hold_s(control), 30);
	json = sw_control_last_error(control);
	assert_int_equal(json_array_size(json), 1);
	json_decref(json);
	sw_control_status(control, &status);
	assert_int_equal(status.last_load_errors, 1);
	assert_false(status.running_last_good);
	write_config(GOOD);
	sw_control_reload(control, NULL);
	sw_control_status(control, &status);
	assert_int_equal(status.last_load_errors, 0);
	sw_control_close(control);
}

/* Over a restart too; and what files of prefixes held then is held now, though the file is gone. */
static void a_broken_file_leaves_the_last_good_policy(void **state)
{
	struct sw_control_status status;
	char list[256];
	(void)state;
	snprintf(list, sizeof(list), "%s/list", base);
	assert_int_equal(sw_write_file(list, "10.0.0.0/8\nfd00::/8\n", 20, 0600), 0);
	write_config(CONFIG(",\"hold_s\": 5", ",\"deny\": [{\"file\": \"list\"}]"));
	fake_dataplane_start(&dataplane, run_dir, 1);
	struct sw_control *control = open_control();
	await(control, published);
	const uint64_t before = generation(control);
	sw_control_close(control);
	assert_int_equal(unlink(list), 0);
	control = open_control();
	sw_control_status(control, &status);
	assert_true(status.running_last_good);
	assert_int_equal(status.last_load_errors, 1);
	assert_int_equal(hold_s(control), 5);
	const struct sw_policy *policy = sw_control_policy(control);
	assert_int_equal(policy->spec->deny.count, 2);
	sw_policy_release(policy);
	await(control, published);
	assert_true(generation(control) == before);
	write_config(GOOD);
	assert_int_equal(sw_control_reload(control, NULL), 0);
	sw_control_status(control, &status);
	assert_false(status.running_last_good);
	sw_control_close(control);
	fake_dataplane_stop(&dataplane);
}

static void nothing_good_means_no_start(void **state)
{
	const struct sw_control_options options = {
	    .config_path = config_path, .runtime_dir = run_dir, .state_dir = state_dir};
	struct sw_control *control = NULL;
	(void)state;
	write_config(BROKEN);
	assert_int_equal(sw_control_open(&options, &control), -EINVAL);
	assert_null(control);
}

static void texts_are_checked_without_use(void **state)
{
	json_t *json = NULL;
	(void)state;
	struct sw_control *control = open_control();
	assert_int_equal(sw_control_check_text(control, OTHER, strlen(OTHER), &json), 0);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(json, "summary"), "targets")), 2);
	json_decref(json);
	assert_int_equal(sw_control_check_text(control, BROKEN, strlen(BROKEN), &json), -EINVAL);
	assert_int_equal(json_array_size(json_object_get(json, "errors")), 1);
	json_decref(json);
	assert_int_equal(hold_s(control), 30);
	json = sw_control_last_error(control);
	assert_int_equal(json_array_size(json), 0);
	json_decref(json);
	sw_control_close(control);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_policy_reaches_the_dataplane),
	    TEST(a_restarted_daemon_finds_its_place),
	    TEST(a_policy_that_is_there_already_is_stored),
	    TEST(a_restarted_dataplane_gets_the_policy),
	    TEST(a_refused_policy_changes_nothing),
	    TEST(a_policy_that_is_refused_late_is_given_up),
	    TEST(a_silent_dataplane_holds_up_nobody),
	    TEST(a_busy_dataplane_is_asked_again),
	    TEST(a_boot_section_waits_for_a_restart),
	    TEST(a_broken_file_is_refused),
	    TEST(a_broken_file_leaves_the_last_good_policy),
	    TEST(nothing_good_means_no_start),
	    TEST(texts_are_checked_without_use),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
