/* SPDX-License-Identifier: BSD-3-Clause */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "secrets.h"

static char directory[64], path[128], error[512];

static int set_up(void **state)
{
	(void)state;
	test_directory(directory, sizeof(directory));
	snprintf(path, sizeof(path), "%s/" SW_SECRET_NAME, directory);
	return sodium_init() < 0;
}

static int tear_down(void **state)
{
	(void)state;
	test_remove(directory);
	return 0;
}

static void put(const char *bytes, size_t length, mode_t mode)
{
	const int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, mode);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, length), length);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void test_is_made_once_and_found_again(void **state)
{
	(void)state;
	struct sw_secrets *first, *second;
	struct stat st;
	assert_int_equal(sw_secrets_open(directory, &first, error, sizeof(error)), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, 32);
	assert_int_equal(sw_secrets_open(directory, &second, error, sizeof(error)), 0);
	assert_memory_equal(first->master, second->master, sizeof(first->master));
	assert_false(sodium_is_zero(first->master, sizeof(first->master)));
	sw_secrets_close(first);
	sw_secrets_close(second);
	/* Nothing else is left in the directory. */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(directory), 0);
	assert_int_equal(mkdir(directory, 0700), 0);
}

static void test_two_boxes_differ(void **state)
{
	(void)state;
	struct sw_secrets *first, *second;
	assert_int_equal(sw_secrets_open(directory, &first, error, sizeof(error)), 0);
	unlink(path);
	assert_int_equal(sw_secrets_open(directory, &second, error, sizeof(error)), 0);
	assert_memory_not_equal(first->master, second->master, sizeof(first->master));
	sw_secrets_close(first);
	sw_secrets_close(second);
}

static void test_a_sisters_secret_is_taken_as_it_is(void **state)
{
	(void)state;
	struct sw_secrets *s;
	put("0123456789abcdef0123456789abcdef", 32, 0600);
	assert_int_equal(sw_secrets_open(directory, &s, error, sizeof(error)), 0);
	assert_memory_equal(s->master, "0123456789abcdef0123456789abcdef", 32);
	sw_secrets_close(s);
}

static void test_bad_files_are_refused_and_kept(void **state)
{
	(void)state;
	static const struct {
		size_t bytes;
		mode_t mode;
		const char *says;
	} cases[] = {{0, 0600, "32 bytes"}, {31, 0600, "32 bytes"}, {33, 0600, "32 bytes"}, {32, 0640, "chmod 600"},
		{32, 0604, "chmod 600"}, {32, 0666, "chmod 600"}};
	char bytes[64];
	memset(bytes, 'x', sizeof(bytes));
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sw_secrets *s;
		struct stat st;
		put(bytes, cases[i].bytes, cases[i].mode);
		assert_int_equal(sw_secrets_open(directory, &s, error, sizeof(error)), -EINVAL);
		assert_null(s);
		assert_non_null(strstr(error, cases[i].says));
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_size, cases[i].bytes);
	}
}

static void test_a_link_is_refused(void **state)
{
	(void)state;
	struct sw_secrets *s;
	assert_int_equal(symlink("/dev/zero", path), 0);
	assert_true(sw_secrets_open(directory, &s, error, sizeof(error)) < 0);
	assert_null(s);
}

static void test_no_directory(void **state)
{
	(void)state;
	struct sw_secrets *s;
	assert_int_equal(sw_secrets_open("/nowhere/at/all", &s, error, sizeof(error)), -ENOENT);
	assert_non_null(strstr(error, "/nowhere/at/all"));
	sw_secrets_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_is_made_once_and_found_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_two_boxes_differ, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_sisters_secret_is_taken_as_it_is, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bad_files_are_refused_and_kept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_link_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_directory, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
