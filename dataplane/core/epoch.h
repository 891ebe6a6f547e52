/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which epoch's keys are in force. Epochs follow the wall clock, so that sister boxes agree, but a clock that is set
 * must not throw away the cookies that are out: a step back by up to two epochs is waited out under the newer key. A
 * larger step, either way, is followed. The buffer of keys that rests is not written again within a second of its
 * rest: a worker may have read the pointer just before. Pure.
 */
#ifndef SW_EPOCH_H
#define SW_EPOCH_H

#include <stdbool.h>
#include <stdint.h>

enum { SW_EPOCH_STEP_BACK = 2, SW_EPOCH_REST_NS = 1000000000 };

struct sw_epoch {
	uint32_t number;
	uint64_t since_ns; /* monotonic clock */
	bool started;
};

/* True: `e` now stands for a new epoch, whose keys are to be put in force. */
bool sw_epoch_step(struct sw_epoch *e, uint64_t unix_s, uint64_t now_ns);

#endif
