/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SW_PERF_BENCH_EAL_H
#define SW_PERF_BENCH_EAL_H

#include <stdbool.h>

/*
 * DPDK's environment for a program that measures: packet buffers stand on huge pages, as in production, if enough are
 * free, which *huge_out says. `name` and `lcores` must stay. 0, or -1 with rte_errno.
 */
int bench_eal_start(const char *name, const char *lcores, bool *huge_out);

#endif
