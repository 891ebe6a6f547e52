/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The running policy: what policy.c builds from a checked snapshot, in the units of the packet path (TSC cycles,
 * indices). Immutable once workers can see it; freed a grace period after its successor took its place.
 */
#ifndef SW_POLICY_H
#define SW_POLICY_H

#include "api/policy_snapshot.h"
#include "api/region.h"
#include "core/limiter_lanes.h"

struct sw_prefix_table;
struct sw_service_table;

/* Of one level: the limits of one source or prefix, but for the rate of SYNs. */
struct sw_limit_profile {
	struct sw_rate conn;
	uint32_t concurrent;    /* 0: no limit */
	uint8_t syn_is_cap;     /* the reflection cap is what binds: refusals count as ANSWER_CAP */
	uint8_t reserved[3];
};

struct sw_service_profile {
	uint32_t slot;
	uint8_t mode;           /* enum sw_mode */
	uint8_t refusal;        /* enum sw_refusal */
	uint8_t tcp_auth;       /* enum sw_tcp_auth */
	uint8_t level_count;    /* levels with any limit are below this */
	uint8_t limited[SW_LIMITER_CONN + 1]; /* by enum sw_limiter_kind: the set of levels that have to be looked at */
	uint8_t total_limited;  /* total has a limit: shares are looked at */
	/* Of each level the tighter of the SYN limit and the reflection cap; levels 0 and 1 have one, unless it is switched off. */
	struct sw_level_rates syn_rates;
	uint32_t block_after;   /* 0: never */
	uint64_t block_cycles;
	struct sw_limit_profile levels[SW_PREFIX_LEVELS];
	struct sw_limits total; /* operator's units, for the shares that housekeeping makes of it */
	uint32_t start_syn_per_s, stop_syn_per_s, hold_ms;
	struct sw_rate start;   /* AUTO: start_syn_per_s, 100 ms of it at once; more arms at once. Other modes: no limit */
	struct sw_backend backend;
};

struct sw_group_profile {
	uint32_t slot;
	uint8_t limited;
	struct sw_limits limits; /* operator's units */
};

enum { SW_ANSWER_LEVELS = 2 };

struct sw_policy {
	uint64_t generation;
	struct sw_prefix_table *sources;   /* source address -> class */
	struct sw_service_table *services; /* server address and port -> index below */
	uint32_t service_count, group_count;
	struct sw_service_profile *service; /* [service_count] */
	struct sw_group_profile *group;     /* [group_count] */
	uint32_t *service_by_slot;          /* [slot_count] index into `service`, or SW_NONE */
	uint32_t slot_count;                /* boot.services_max */
	uint32_t level_count;
	struct sw_limiter_levels levels[2]; /* IPv4, IPv6 */
	uint8_t fragments;                  /* enum sw_fragments */
	uint8_t have_rules;                 /* any allow, deny, block or group rule at all */
	struct sw_rate answers[SW_ANSWER_LEVELS]; /* reflection caps of one claimed source, and of its prefix of level 1 */
	struct sw_rate rst;                 /* per worker */
	struct sw_rate adopt;               /* per worker */
	uint64_t adopt_cycles;              /* from the dataplane's start */
	uint32_t held_pkts_per_flow, held_bytes_per_flow;
	uint32_t server_syn_retries;        /* below SW_LIST_RETRIES_MAX */
	uint32_t idle_established, idle_embryonic, idle_closing; /* coarse clock units, see sw_coarse() */
	uint32_t evidence_after_syns;
	void *snapshot;                     /* the bytes it was built from; owned */
};

/* 2^20 cycles, about half a millisecond: fits 32 bits for 24 days at 2 GHz, and is compared modulo 2^32. */
static inline uint32_t sw_coarse(uint64_t tsc)
{
	return (uint32_t)(tsc >> 20);
}

/*
 * policy.c. `snapshot` must have passed sw_snapshot_check(); it is copied. Runs in housekeeping (or main, at start):
 * may allocate and take its time. 0 or -ENOMEM.
 */
int sw_policy_build(const void *snapshot, uint64_t bytes, uint64_t tsc_hz, struct sw_policy **out);
void sw_policy_free(struct sw_policy *p);

#endif
