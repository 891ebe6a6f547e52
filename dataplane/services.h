/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Housekeeping's books on services: rates, arming, promises, and what the region says of each. Reads workers' counters
 * with plain relaxed loads; writes sw_shared.armed, accept_until_tsc and promises. Thread: housekeeping.
 */
#ifndef SW_SERVICES_H
#define SW_SERVICES_H

#include "core/arming.h"
#include "core/promise.h"
#include "worker_state.h"

struct sw_service_book {
	bool in_use;
	uint32_t index;                    /* in the policy, while in_use */
	struct sw_rate_window syns;
	struct sw_arming arming;
	struct sw_promise_book promises[2]; /* IPv4, IPv6 */
};

struct sw_services {
	struct sw_box *box;
	struct sw_service_book *books;     /* [services_max] */
};

int sw_services_open(struct sw_box *box, struct sw_services *out);
void sw_services_close(struct sw_services *s);

/*
 * Before `policy` is put in force: slots that are new get their promises in both parities, slots that are gone are put
 * to rest.
 */
void sw_services_adopt(struct sw_services *s, const struct sw_policy *policy);

/* After the last is in force, and every 20 ms. */
void sw_services_tick(struct sw_services *s, const struct sw_policy *policy, uint64_t now_ns, uint64_t now_tsc);

/* Before the keys of `epoch` are put in force. */
void sw_services_turn(struct sw_services *s, const struct sw_policy *policy, uint32_t epoch);

/* SW_EVENT_PROFILE. Ignores slots that are not in use. */
void sw_services_hear(struct sw_services *s, const struct sw_policy *policy, const struct sw_event *event);

#endif
