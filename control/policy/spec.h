/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration in the operator's units, as schema.c lays it over seawall.json. Defaults are filled in, every value
 * is in its range; what fields mean stands in schema.c (and from there in docs/configuration.md), not here.
 *
 * Owner    one spec owns everything it points to (an arena): sw_spec_free() frees it whole. Immutable after loading.
 * Numbers  every number and enum is four bytes wide, which the table relies on.
 */
#ifndef SW_POLICY_SPEC_H
#define SW_POLICY_SPEC_H

#include "address_text.h"
#include "api/policy_snapshot.h"

/* A list of elements of the type that stands beside the member. */
struct sw_spec_list {
	void *items;
	uint32_t count;
	uint32_t capacity;
};

#define SW_SPEC_ITEMS(list, type) ((const type *)(list).items)

struct sw_spec_limits {
	uint32_t syn_per_s, syn_burst, conn_per_s, conn_burst, concurrent;
};

struct sw_spec_device {
	uint32_t kind; /* enum sw_device_kind */
	const char *name;
};

struct sw_spec_link {
	struct sw_spec_device outside, inside;
};

struct sw_spec_boot {
	const char *instance;
	uint32_t workers;
	struct sw_spec_list cores; /* uint32_t; empty: chosen by compile */
	uint32_t housekeeping_core; /* SW_NONE: any */
	uint32_t hugepages, steer, fail_mode;
	uint32_t heartbeat_timeout_ms, idle_sleep_us;
	uint32_t mbufs, rx_descriptors, tx_descriptors;
	uint32_t flows, source_records, limiter_entries, held_pkts;
	uint32_t services_max, groups_max, entries_max;
	struct sw_spec_list links; /* struct sw_spec_link */
};

struct sw_spec_listen {
	struct sw_address address;
	uint32_t port;
};

struct sw_spec_control {
	struct sw_spec_list listen; /* struct sw_spec_listen: loopback only */
	uint32_t socket_mode;
	const char *socket_group;   /* empty: that of the process */
	uint32_t sample_interval_ms, history_s;
};

struct sw_spec_level {
	uint32_t ipv4_length, ipv6_length;
};

struct sw_spec_global {
	struct sw_spec_list prefix_levels; /* struct sw_spec_level: levels 1 and up; level 0 is the source itself */
	uint32_t fragments;
	uint32_t answers_per_source_per_s, answers_per_source_burst;
	uint32_t answers_per_prefix_per_s, answers_per_prefix_burst;
	uint32_t rst_per_s, adopt_s, adopt_per_s;
	uint32_t held_pkts_per_flow, held_bytes_per_flow, server_syn_retries;
	uint32_t idle_established_s, idle_embryonic_s, idle_closing_s;
	uint32_t evidence_after_syns;
};

struct sw_spec_backend {
	int32_t mss_ipv4, mss_ipv6, window_scale, sack, timestamps, ecn; /* SW_BACKEND_LEARN, SW_BACKEND_OFF */
};

struct sw_spec_service {
	const char *name;
	struct sw_spec_list targets; /* struct sw_spec_target */
	uint32_t mode, start_syn_per_s, stop_syn_per_s, hold_s, refuse, tcp_auth;
	struct sw_spec_backend backend;
	struct {
		struct sw_spec_limits source;
		struct sw_spec_list prefixes; /* struct sw_spec_limits: of levels 1 and up */
		struct sw_spec_limits total;
	} limits;
	struct {
		uint32_t after, seconds;
	} block;
};

/* One prefix of a list, and where it stands, for messages. */
struct sw_spec_prefix {
	struct sw_prefix prefix;
	const char *file; /* as the item names it; NULL: the item is the prefix itself */
	uint32_t item;    /* index in the JSON array */
	uint32_t line;    /* in the file */
};

struct sw_spec_group {
	const char *name;
	struct sw_spec_list prefixes; /* struct sw_spec_prefix */
	struct sw_spec_limits limits;
};

struct sw_spec {
	struct sw_spec_boot boot;
	struct sw_spec_control control;
	struct sw_spec_global global;
	struct sw_spec_service service_defaults; /* name and targets unused */
	struct sw_spec_list services;            /* struct sw_spec_service */
	struct sw_spec_list groups;              /* struct sw_spec_group */
	struct sw_spec_list allow, deny;         /* struct sw_spec_prefix */
	struct sw_arena *arena;
};

void sw_spec_free(struct sw_spec *spec);

#endif
