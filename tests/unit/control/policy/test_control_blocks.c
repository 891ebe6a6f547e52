/* SPDX-License-Identifier: BSD-3-Clause */
/* The operator's blocks, and what the dataplane says of an address. */
#include "control_test.h"

#include <errno.h>

#include "policy/blocks.h"

static struct sw_prefix prefix(const char *text)
{
	struct sw_prefix p;
	assert_null(sw_prefix_parse(text, &p));
	return p;
}

static uint32_t block_count(struct sw_control *control)
{
	struct sw_block *blocks;
	const int count = sw_control_block_list(control, &blocks);
	assert_true(count >= 0);
	free(blocks);
	return (uint32_t)count;
}

static void blocks_come_and_go(void **state)
{
	const struct sw_prefix four = prefix("192.0.2.7"), six = prefix("2001:db8::/48");
	struct sw_block *blocks;
	char error[256] = "";
	uint32_t lifted;
	(void)state;
	fake_dataplane_start(&dataplane, run_dir, 1);
	struct sw_control *control = open_control();
	await(control, published);
	assert_int_equal(sw_control_block_add(control, &four, 600, "too loud", error, sizeof(error)), 0);
	assert_int_equal(sw_control_block_add(control, &six, 0, NULL, error, sizeof(error)), 0);
	assert_int_equal(sw_control_block_add(control, &four, 60, "again", error, sizeof(error)), 0);
	assert_int_equal(sw_control_block_list(control, &blocks), 2);
	assert_string_equal(blocks[0].reason, "again");
	assert_true(blocks[0].until_unix_ns - blocks[0].since_unix_ns == 60000000000ull);
	assert_true(blocks[1].until_unix_ns == 0);
	assert_true(blocks[0].entry != SW_NONE && blocks[1].entry != SW_NONE && blocks[0].entry != blocks[1].entry);
	const uint32_t entry = blocks[1].entry;
	free(blocks);
	uint32_t rules;
	sw_snapshot_array(dataplane.snapshot, SW_SECTION_PREFIXES, &rules);
	assert_int_equal(rules, 2);
	/* over a restart of the daemon, with the same numbers */
	sw_control_close(control);
	control = open_control();
	await(control, published);
	assert_int_equal(sw_control_block_list(control, &blocks), 2);
	assert_int_equal(blocks[1].entry, entry);
	free(blocks);
	/* one of ours, and one that the stand-in says it had set itself */
	assert_int_equal(sw_control_block_remove(control, &four, &lifted, error, sizeof(error)), 0);
	assert_int_equal(lifted, 2);
	assert_int_equal(sw_control_block_remove(control, &six, &lifted, error, sizeof(error)), 0);
	assert_int_equal(lifted, 1);
	assert_int_equal(sw_control_block_remove(control, &six, &lifted, error, sizeof(error)), -ENOENT);
	assert_int_equal(block_count(control), 0);
	sw_control_close(control);
	fake_dataplane_stop(&dataplane);
}

static void blocks_that_make_no_sense(void **state)
{
	struct sw_prefix host_bits = prefix("10.0.0.0/8");
	char error[256], long_reason[SW_BLOCK_REASON_BYTES + 1];
	(void)state;
	host_bits.address.bytes[15] = 1;
	memset(long_reason, 'x', SW_BLOCK_REASON_BYTES);
	long_reason[SW_BLOCK_REASON_BYTES] = 0;
	const struct {
		struct sw_prefix prefix;
		uint32_t seconds;
		const char *reason;
	} cases[] = {
	    {host_bits, 1, ""},
	    {prefix("0.0.0.0/0"), 1, ""},
	    {prefix("10.0.0.0/7"), 1, ""},
	    {prefix("::/0"), 1, ""},
	    {prefix("2000::/15"), 1, ""},
	    {prefix("10.0.0.1"), SW_BLOCK_MAX_S + 1u, ""},
	    {prefix("10.0.0.1"), 1, "\x1b[2J"},
	    {prefix("10.0.0.1"), 1, "\xff"},
	    {prefix("10.0.0.1"), 1, long_reason},
	};
	struct sw_control *control = open_control();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		error[0] = 0;
		assert_int_equal(
		    sw_control_block_add(control, &cases[i].prefix, cases[i].seconds, cases[i].reason, error, sizeof(error)),
		    -EINVAL);
		assert_true(error[0] != 0);
	}
	assert_int_equal(block_count(control), 0);
	sw_control_close(control);
}

static void the_list_of_blocks_is_bounded(void **state)
{
	struct sw_blocks blocks = {0};
	struct sw_block block = {.prefix = prefix("10.0.0.0")};
	char path[256];
	(void)state;
	for (uint32_t i = 0; i < SW_BLOCKS_MAX; i++) {
		block.prefix.address.bytes[14] = (uint8_t)(i >> 8);
		block.prefix.address.bytes[15] = (uint8_t)i;
		block.until_unix_ns = i % 2 ? 50 : 0;
		assert_int_equal(sw_blocks_set(&blocks, &block), 0);
	}
	assert_int_equal(sw_blocks_set(&blocks, &block), 0); /* the same again is a change, not one more */
	block.prefix = prefix("2001:db8::1");
	assert_int_equal(sw_blocks_set(&blocks, &block), -ENOSPC);
	snprintf(path, sizeof(path), "%s/blocks.json", base);
	assert_int_equal(sw_blocks_save(&blocks, path), 0);
	sw_blocks_clear(&blocks);
	assert_int_equal(sw_blocks_load(&blocks, path, 60), 0);
	assert_int_equal(blocks.count, SW_BLOCKS_MAX / 2); /* the others have ended */
	sw_blocks_clear(&blocks);
}

static void damaged_files_of_blocks_are_refused(void **state)
{
	static const char *const texts[] = {
	    "",
	    "[]",
	    "{",
	    "{\"version\": 2, \"blocks\": []}",
	    "{\"version\": 1, \"blocks\": [3]}",
	    "{\"version\": 1, \"blocks\": [{\"prefix\": \"10.0.0.1/8\", \"since_unix_ns\": 1, \"until_unix_ns\": 0, "
	    "\"reason\": \"\"}]}",
	    "{\"version\": 1, \"blocks\": [{\"prefix\": \"10.0.0.0/8\", \"since_unix_ns\": -1, \"until_unix_ns\": 0, "
	    "\"reason\": \"\"}]}",
	    "{\"version\": 1, \"blocks\": [{\"prefix\": \"10.0.0.0/8\", \"since_unix_ns\": 1, \"until_unix_ns\": 0, "
	    "\"reason\": \"\\u001b\"}]}",
	};
	struct sw_blocks blocks = {0};
	char path[256];
	(void)state;
	snprintf(path, sizeof(path), "%s/blocks.json", base);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(sw_write_file(path, texts[i], strlen(texts[i]), 0600), 0);
		assert_int_equal(sw_blocks_load(&blocks, path, 0), -EINVAL);
		assert_int_equal(blocks.count, 0);
	}
}

static void addresses_are_explained(void **state)
{
	const struct sw_prefix four = prefix("192.0.2.7"), six = prefix("2001:db8::7");
	struct sw_explain explain;
	char error[256] = "";
	(void)state;
	struct sw_control *control = open_control();
	assert_int_equal(sw_control_explain(control, &four.address, 0, &explain, error, sizeof(error)), -ENOTCONN);
	assert_true(error[0] != 0);
	fake_dataplane_start(&dataplane, run_dir, 1);
	await(control, published);
	assert_int_equal(sw_control_explain(control, &six.address, 3, &explain, error, sizeof(error)), 0);
	assert_int_equal(explain.entry, 7);
	assert_int_equal(explain.worker, 3);
	assert_true(sw_address_equal(&explain.record.address, &six.address));
	sw_control_close(control);
	fake_dataplane_stop(&dataplane);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(blocks_come_and_go),
	    TEST(blocks_that_make_no_sense),
	    TEST(the_list_of_blocks_is_bounded),
	    TEST(damaged_files_of_blocks_are_refused),
	    TEST(addresses_are_explained),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
