/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The policy that the benchmark runs under: a large one, with every kind of rule in force, so that what is measured is
 * the box as an operator of a large site would run it.
 */
#ifndef SW_PERF_LARGE_POLICY_H
#define SW_PERF_LARGE_POLICY_H

#include <stdbool.h>

#include "../../dataplane/api/policy_snapshot.h"

struct large_policy_size {
	uint32_t services;       /* one address of each family, one port each; service 0 is the one under test */
	uint32_t ipv4_prefixes, ipv6_prefixes; /* deny list */
	uint32_t groups, prefixes_per_group;
	uint32_t flows, source_records, limiter_entries;
	uint32_t source_syn_per_s; /* of service 0, per source; 0: only the reflection cap */
	uint32_t workers;          /* 0 counts as 1 */
	uint32_t core;             /* of the first worker */
	const char *devices[2];    /* outside and inside, as vdevs; NULL: net_null */
};

enum { LARGE_POLICY_PORT = 20000 };

/* Addresses of service `n`. */
struct sw_address large_policy_server(uint32_t n, bool is_ipv6);
/* A source that the deny list holds; n: any number. */
struct sw_address large_policy_denied(const struct large_policy_size *size, uint32_t n, bool is_ipv6);
/* A source of a flood that spreads over the whole address space: `host_order`, or its neighbour where that is denied. */
uint32_t large_policy_not_denied(const struct large_policy_size *size, uint32_t host_order);

/* A snapshot in one malloc'd block, to be freed; NULL without memory. *bytes: its length. */
void *large_policy_build(const struct large_policy_size *size, uint64_t *bytes);

#endif
