/* SPDX-License-Identifier: BSD-3-Clause */
/* Runs the XDP program over one frame, in the kernel, and says which counter moved. Included after cmocka.h. */
#ifndef SW_TESTS_RUN_FRAME_H
#define SW_TESTS_RUN_FRAME_H

#include <bpf/bpf.h>

#include "frames.h"
#include "wire_private.h"

/*
 * What became of the frame on the given end of link 0, interface 0 or 1 of the configuration: its counter, which must
 * be the only one that moved, and must agree with the verdict.
 */
static inline enum sw_wire_counter run_frame(struct sw_wire *wire, enum sw_side side, const struct frame *frame)
{
	static const int verdicts[SW_WIRE_COUNTER_COUNT] = {
		[SW_WIRE_REDIRECTED] = 4, /* XDP_REDIRECT */
		[SW_WIRE_PASSED_NOT_PROTECTED] = 2,
		[SW_WIRE_PASSED_NO_DATAPLANE] = 2, /* XDP_PASS */
		[SW_WIRE_PASSED_STALE] = 2,
		[SW_WIRE_DROPPED_DENIED] = 1,
		[SW_WIRE_DROPPED_BLOCKED] = 1,
		[SW_WIRE_DROPPED_NO_DATAPLANE] = 1, /* XDP_DROP */
		[SW_WIRE_DROPPED_STALE] = 1,
	};
	uint64_t before[SW_WIRE_COUNTER_COUNT], after[SW_WIRE_COUNTER_COUNT];
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame->bytes, .data_size_in = frame->length);
	enum sw_wire_counter moved = SW_WIRE_COUNTER_COUNT;

	assert_int_equal(sw_wire_counters(wire, 0, (uint8_t)side, before), 0);
	assert_int_equal(bpf_prog_test_run_opts(wire_program(wire, side), &options), 0);
	assert_int_equal(sw_wire_counters(wire, 0, (uint8_t)side, after), 0);
	for (int i = 0; i < SW_WIRE_COUNTER_COUNT; i++) {
		if (after[i] == before[i])
			continue;
		assert_int_equal(after[i], before[i] + 1);
		assert_int_equal(moved, SW_WIRE_COUNTER_COUNT);
		moved = (enum sw_wire_counter)i;
	}
	assert_int_not_equal(moved, SW_WIRE_COUNTER_COUNT);
	assert_int_equal(options.retval, verdicts[moved]);
	return moved;
}

static const uint16_t untagged[3] = {0};

/* A plain SYN from `client` to `server`:`port`, as it arrives outside. */
static inline struct frame syn_from(const char *client, const char *server, uint16_t port)
{
	struct frame frame = {.length = 0};
	const struct sw_address address = address_of(server);
	put_ethernet(&frame, untagged, sw_address_is_ipv4(&address) ? 0x0800 : 0x86dd);
	const uint32_t ip = put_ip(&frame, client, server, 6);
	put_tcp(&frame, 40000, port);
	finish_ip(&frame, ip);
	return frame;
}

#endif
