/* SPDX-License-Identifier: BSD-3-Clause */
#include "epoch.h"

#include "syncookie.h"

bool sw_epoch_step(struct sw_epoch *e, uint64_t unix_s, uint64_t now_ns)
{
	const uint32_t wanted = sw_cookie_epoch(unix_s);
	if (e->started) {
		const int32_t ahead = (int32_t)(wanted - e->number);
		if (ahead == 0 || (ahead < 0 && ahead >= -SW_EPOCH_STEP_BACK))
			return false;
		if (now_ns - e->since_ns < SW_EPOCH_REST_NS)
			return false;
	}
	*e = (struct sw_epoch){.number = wanted, .since_ns = now_ns, .started = true};
	return true;
}
