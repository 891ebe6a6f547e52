/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Alerts: what somebody who looks at no screen should read in the log. A finding of the health is said once when it
 * comes and once when it has stayed away for a while; one that flaps is said at most once in SW_ALERT_QUIET_NS.
 * Bounded: as many codes as health knows.
 *
 * Thread   one. Pure but for the callback; the clock is a parameter.
 */
#ifndef SW_OBSERVE_ALERTS_H
#define SW_OBSERVE_ALERTS_H

#include "health.h"

#define SW_ALERT_QUIET_NS 300000000000ull /* between two lines about the same code */
#define SW_ALERT_CLEAR_NS 10000000000ull  /* absent for so long: over */

enum { SW_ALERTS_MAX = 64 };

struct sw_alert {
	const char *code; /* constant string of health.c */
	bool present, said;
	uint64_t said_ns, seen_ns;
};

struct sw_alerts {
	uint32_t count;
	struct sw_alert alerts[SW_ALERTS_MAX];
};

/* `say`: a line for the log; `over`: the finding has gone, message and hint are empty. `a` starts zeroed. */
typedef void (*sw_alert_say)(void *context, const struct sw_finding *finding, bool over);
void sw_alerts_update(
    struct sw_alerts *a, const struct sw_health *health, uint64_t mono_ns, sw_alert_say say, void *context);

#endif
