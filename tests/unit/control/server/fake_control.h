/* SPDX-License-Identifier: BSD-3-Clause */
/* Stands in for the daemon's control in tests of the server: answers what the test has set, and records what was asked.
 */
#ifndef SW_TEST_FAKE_CONTROL_H
#define SW_TEST_FAKE_CONTROL_H

#include "control.h"

struct fake_control {
	struct sw_control_status status;
	struct sw_spec spec;
	struct sw_policy policy;
	struct sw_block blocks[4];
	uint32_t block_count;
	int reload_result, block_result, explain_result;
	struct sw_explain explain;
	bool is_retired; /* "tracker" */
	uint32_t reloads;
	char last_reason[SW_BLOCK_REASON_BYTES];
	uint32_t last_seconds, lifted;
	char checked[256]; /* beginning of the text handed to check */
	const char *runtime_dir;
};

extern struct fake_control fake_control;

/* Sets everything back, with one service "tracker" in slot 0 and one group "farm" in slot 0. */
void fake_control_reset(const char *runtime_dir);

#endif
