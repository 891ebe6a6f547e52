/* SPDX-License-Identifier: BSD-3-Clause */
/* Services that go while they have connections: what is published then, and when it is let go. */
#include "control_test.h"

#include <errno.h>

#include "fake_region.h"

static const struct fake_region_shape shape = {
    .workers = 1, .links = 1, .services_max = 256, .groups_max = 1, .entries_max = 1};
static struct fake_region region;

#define TWO(more) \
	"{" LINKS more ", \"services\": [{\"name\": \"web\", \"targets\": [\"10.0.0.1:80\"]}, " \
	"{\"name\": \"mail\", \"targets\": [\"[fd00::1]:25\", \"10.0.0.1:25\"]}]}"
#define ONE(more) "{" LINKS more ", \"services\": [{\"name\": \"web\", \"targets\": [\"10.0.0.1:80\"]}]}"
#define SOON ", \"global\": {\"idle_closing_s\": 1}"

static int set_up_region(void **state)
{
	const int result = set_up(state);
	fake_region_open(&region, &shape);
	snprintf(run_dir, sizeof(run_dir), "%s", region.directory);
	return result;
}

static int tear_down_region(void **state)
{
	fake_region_close(&region);
	return tear_down(state);
}

static uint32_t retired(struct sw_control *control)
{
	const struct sw_policy *policy = sw_control_policy(control);
	const uint32_t count = sw_policy_retired(policy);
	sw_policy_release(policy);
	return count;
}

static bool none_retired(struct sw_control *control)
{
	fake_region_beat(&region);
	return retired(control) == 0 && published(control);
}

static uint32_t slot_of(struct sw_control *control, const char *name)
{
	const struct sw_policy *policy = sw_control_policy(control);
	const uint32_t slot = sw_policy_service_slot(policy, name);
	sw_policy_release(policy);
	return slot;
}

/* Services and targets of the snapshot that the dataplane took last. */
static uint32_t published_count(enum sw_section_id id)
{
	uint32_t count;
	pthread_mutex_lock(&dataplane.lock);
	sw_snapshot_array(dataplane.snapshot, id, &count);
	pthread_mutex_unlock(&dataplane.lock);
	return count;
}

static struct sw_control *start(const char *text)
{
	write_config(text);
	fake_dataplane_start(&dataplane, run_dir, 1);
	struct sw_control *control = open_control();
	await(control, published);
	return control;
}

static void it_stays_while_it_has_connections(void **state)
{
	struct sw_control_status status;
	(void)state;
	struct sw_control *control = start(TWO(SOON));
	const uint32_t slot = slot_of(control, "mail");
	struct sw_service_state *mail = fake_service(&region, slot, "mail");
	mail->concurrent = 3;
	fake_region_beat(&region);
	write_config(ONE(SOON));
	assert_int_equal(sw_control_reload(control, NULL), 0);
	assert_int_equal(retired(control), 1);
	assert_int_equal(slot_of(control, "mail"), slot);
	assert_int_equal(published_count(SW_SECTION_SERVICES), 2);
	assert_int_equal(published_count(SW_SECTION_TARGETS), 3);
	sw_control_status(control, &status);
	assert_int_equal(status.last_load_errors + status.last_load_warnings, 0);
	/* the same file again changes nothing; a block goes beside it */
	const uint32_t publishes = dataplane.publishes;
	assert_int_equal(sw_control_reload(control, NULL), 0);
	assert_int_equal(dataplane.publishes, publishes);
	const struct sw_prefix prefix = {.address = {{0x20, 1, 0x0d, 0xb8}}, .length = 32};
	char error[256];
	assert_int_equal(sw_control_block_add(control, &prefix, 60, "", error, sizeof(error)), 0);
	assert_int_equal(retired(control), 1);
	/* and its end */
	mail->concurrent = 0;
	await(control, none_retired);
	assert_int_equal(published_count(SW_SECTION_SERVICES), 1);
	assert_int_equal(published_count(SW_SECTION_TARGETS), 1);
	sw_control_close(control);
	fake_dataplane_stop(&dataplane);
}

/* Clients that were challenged have no connection yet. */
static void it_stays_while_it_is_armed(void **state)
{
	(void)state;
	struct sw_control *control = start(TWO(""));
	atomic_store(&fake_service(&region, slot_of(control, "mail"), "mail")->armed, 1);
	fake_region_beat(&region);
	write_config(ONE(""));
	assert_int_equal(sw_control_reload(control, NULL), 0);
	assert_int_equal(retired(control), 1);
	sw_control_close(control);
	fake_dataplane_stop(&dataplane);
}

static void without_connections_it_goes_at_once(void **state)
{
	(void)state;
	struct sw_control *control = start(TWO(""));
	fake_service(&region, slot_of(control, "mail"), "mail");
	fake_region_beat(&region);
	write_config(ONE(""));
	assert_int_equal(sw_control_reload(control, NULL), 0);
	assert_int_equal(retired(control), 0);
	assert_int_equal(published_count(SW_SECTION_SERVICES), 1);
	sw_control_close(control);
	fake_dataplane_stop(&dataplane);
}

static void lost_targets_stay_while_their_service_has_connections(void **state)
{
	(void)state;
	struct sw_control *control = start(TWO(SOON));
	struct sw_service_state *mail = fake_service(&region, slot_of(control, "mail"), "mail");
	mail->concurrent = 1;
	fake_region_beat(&region);
	write_config("{" LINKS SOON ", \"services\": [{\"name\": \"mail\", \"targets\": [\"10.0.0.1:25\"]}]}");
	assert_int_equal(sw_control_reload(control, NULL), 0);
	assert_int_equal(retired(control), 1); /* web had none */
	assert_int_not_equal(slot_of(control, "mail~removed"), SW_NONE);
	mail->concurrent = 0;
	await(control, none_retired);
	sw_control_close(control);
	fake_dataplane_stop(&dataplane);
}

/* A dataplane that cannot be asked may have connections. A restarted daemon finds what its predecessor kept. */
static void it_stays_while_nobody_can_be_asked(void **state)
{
	(void)state;
	struct sw_control *control = start(TWO(SOON));
	fake_service(&region, slot_of(control, "mail"), "mail");
	atomic_store(&region.region->heartbeat_unix_ns, 1);
	write_config(ONE(SOON));
	assert_int_equal(sw_control_reload(control, NULL), 0);
	assert_int_equal(retired(control), 1);
	sw_control_close(control);
	control = open_control();
	assert_int_equal(retired(control), 1);
	await(control, none_retired); /* now it beats, and says that there are none */
	sw_control_close(control);
	fake_dataplane_stop(&dataplane);
}

static void it_comes_back(void **state)
{
	(void)state;
	struct sw_control *control = start(TWO(""));
	const uint32_t slot = slot_of(control, "mail");
	fake_service(&region, slot, "mail")->concurrent = 1;
	fake_region_beat(&region);
	write_config(ONE(""));
	assert_int_equal(sw_control_reload(control, NULL), 0);
	assert_int_equal(retired(control), 1);
	write_config(TWO(""));
	fake_region_beat(&region);
	assert_int_equal(sw_control_reload(control, NULL), 0);
	assert_int_equal(retired(control), 0);
	assert_int_equal(slot_of(control, "mail"), slot);
	sw_control_close(control);
	fake_dataplane_stop(&dataplane);
}

#define REGION_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_region, tear_down_region)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    REGION_TEST(it_stays_while_it_has_connections),
	    REGION_TEST(it_stays_while_it_is_armed),
	    REGION_TEST(without_connections_it_goes_at_once),
	    REGION_TEST(lost_targets_stay_while_their_service_has_connections),
	    REGION_TEST(it_stays_while_nobody_can_be_asked),
	    REGION_TEST(it_comes_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
