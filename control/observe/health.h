/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is wrong with the box, if anything, in sentences with a remedy. A pure judgement over what was collected.
 * Critical: packets are not protected, or the sums do not hold. Warning: works, and somebody should look.
 */
#ifndef SW_OBSERVE_HEALTH_H
#define SW_OBSERVE_HEALTH_H

#include "control.h"
#include "rates.h"

enum sw_health_status { SW_HEALTH_OK, SW_HEALTH_WARNING, SW_HEALTH_CRITICAL };

struct sw_finding {
	enum sw_health_status severity;
	const char *code; /* stable, for scripts: "dataplane_absent", ... */
	char message[320];
	const char *hint; /* what to do */
};

enum { SW_FINDINGS_MAX = 32 };

struct sw_health {
	enum sw_health_status status; /* the worst of the findings */
	uint32_t count;
	struct sw_finding findings[SW_FINDINGS_MAX]; /* the worst first */
};

struct sw_health_inputs {
	const struct sw_sample *sample;
	const struct sw_rates *rates;
	const struct sw_control_status *control;
	/* Sizes of the tables, from the boot section; 0: unknown, not judged. */
	uint64_t flows, source_records, limiter_entries, held_pkts;
	int incidents_error; /* 0 or the -errno with which the incident file could not be written */
	uint64_t sampled_unix_ns;
	uint32_t interval_ms;
};

void sw_health_judge(const struct sw_health_inputs *in, struct sw_health *out);

/* "ok", "warning", "critical" */
const char *sw_health_name(enum sw_health_status status);

#endif
