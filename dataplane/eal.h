/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DPDK's environment, started as the boot section says.
 *
 * Threads   lcore 0 is the main thread, which does the housekeeping and shares whatever CPUs there are; lcore i + 1 is
 *           worker i, alone on its CPU. So workers may use every CPU of the machine.
 * Memory    huge pages when the box's need is free on them, ordinary pages otherwise (unless the policy requires
 *           or forbids). Nothing is left behind by a killed process: huge pages are anonymous (--in-memory).
 * Devices   only those that the links name: PCI by -a, vdevs and AF_XDP are added later by port.c.
 */
#ifndef SW_EAL_H
#define SW_EAL_H

#include <sched.h>
#include <stddef.h>

#include "log.h"
#include "memory.h"

enum { SW_EAL_ARGUMENTS_MAX = 96, SW_EAL_TEXT_BYTES = 16384 };

struct sw_eal_arguments {
	int argc;
	char *argv[SW_EAL_ARGUMENTS_MAX + 1]; /* into text */
	char text[SW_EAL_TEXT_BYTES];
	size_t text_used;
};

struct sw_eal_config {
	const struct sw_boot *boot;
	const struct sw_link *links;
	uint32_t link_count;
	uint64_t memory_bytes;  /* what the EAL must be able to hand out (sw_memory_plan.eal) */
	bool huge;
	const cpu_set_t *cpus;  /* that this process may use */
	const char *extra;      /* NULL, or the operator's arguments: they come last and so win */
	enum sw_log_level log_level;
};

/* Pure. 0, or -EINVAL (a core that is not there, more arguments than fit) with a text. */
int sw_eal_arguments_make(const struct sw_eal_config *config, struct sw_eal_arguments *out, char *error,
	size_t error_bytes);

/* Pure. 1: huge pages, 0: ordinary ones, -ENOMEM with a text: required, and not there. */
int sw_eal_choose_huge(enum sw_hugepages wish, uint64_t needed, uint64_t free_bytes, char *error, size_t error_bytes);

/* rte_eal_init() with these. 0 or -errno with a text. */
int sw_eal_start(struct sw_eal_arguments *arguments, char *error, size_t error_bytes);

#endif
