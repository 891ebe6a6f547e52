/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The rules between fields: what each value alone cannot show. Fills in the defaults that follow from other fields
 * (bursts, stop_syn_per_s), and reports errors and warnings. Pure but for asking how much memory the machine has.
 */
#ifndef SW_POLICY_CHECK_H
#define SW_POLICY_CHECK_H

#include "report.h"
#include "spec.h"

void sw_check(struct sw_spec *spec, struct sw_report *report);

/* What the tables of a boot section need, in bytes. */
struct sw_memory_sum {
	uint64_t packets, flows, source_records, limiter, counters, total;
};
void sw_memory_sum(const struct sw_spec_boot *boot, struct sw_memory_sum *out);

/* For tests: takes the memory of the machine as a parameter; 0: no such check. */
void sw_check_with_memory(struct sw_spec *spec, struct sw_report *report, uint64_t machine_bytes);

#endif
