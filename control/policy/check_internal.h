/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared by check.c and check_policy.c, and by nobody else. */
#ifndef SW_POLICY_CHECK_INTERNAL_H
#define SW_POLICY_CHECK_INTERNAL_H

#include "check.h"

/* Services, groups and lists; check.c does boot, control and global. */
void sw_check_policy(struct sw_spec *spec, struct sw_report *report);
void sw_check_lists(struct sw_spec *spec, struct sw_report *report);

/* The burst that a rate has when nobody gave one. */
static inline uint32_t sw_default_burst(uint32_t rate)
{
	return rate < 5 ? 10 : rate * 2;
}

#endif
