/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the XDP program and its loader both know: map keys and values. Included by wire.bpf.c (clang -target bpf, no
 * libc) and by C. Addresses are in network order, IPv4 as v4-mapped; everything else in host order.
 */
#ifndef SW_WIRE_SHARED_H
#define SW_WIRE_SHARED_H

#ifdef __bpf__
#include <linux/types.h>
typedef __u8 uint8_t;
typedef __u16 uint16_t;
typedef __u32 uint32_t;
typedef __u64 uint64_t;
typedef __s64 int64_t;
#else
#include <stdint.h>
#endif

enum {
	SW_WIRE_LAYOUT = 2,      /* part of the pins' names; grows with every change in this file */
	SW_WIRE_QUEUES_MAX = 64, /* SW_WORKERS_MAX */
	SW_WIRE_RANGES = 14,     /* port ranges that fit into a zone; with more it gets a bitmap */
	SW_WIRE_BITMAP_WORDS = 65536 / 64,
};

/*
 * One for each receive queue; the worker writes it, the program reads it. Queues of all interfaces share it: worker i
 * polls queue i everywhere. A line of its own, since each is written by another core.
 */
struct sw_wire_heartbeat {
	uint64_t last_ns;    /* CLOCK_MONOTONIC of the last beat; 0: no worker */
	uint64_t timeout_ns; /* later than last_ns + timeout_ns: hung */
	uint64_t reserved[6];
};

/* Key of the two LPM tries. The family is part of the key, so that ::/0 holds no IPv4 address. */
struct sw_wire_prefix_key {
	uint32_t prefix_bits; /* 8 (the family byte) + length of the prefix within `address` */
	uint8_t family;       /* 4 or 6 */
	uint8_t address[16];
	uint8_t reserved[3]; /* zero; beyond the longest prefix */
};

enum sw_wire_ports {
	SW_WIRE_PORTS_RANGES, /* in the zone itself */
	SW_WIRE_PORTS_BITMAP, /* in ports[bitmap] */
	SW_WIRE_PORTS_ALL,    /* too intricate for either: every port of the address goes to the dataplane */
};

/* Value of the server trie: which ports of these addresses are protected, shorter prefixes' ports included. */
struct sw_wire_zone {
	uint32_t bitmap;
	uint8_t kind; /* enum sw_wire_ports */
	uint8_t range_count;
	uint16_t enforced; /* bit i: range i's service enforces source lists (modes auto and always) */
	struct {
		uint16_t first, last;
	} ranges[SW_WIRE_RANGES]; /* sorted, disjoint */
};

/* Value of the ports array. Bit p % 64 of word p / 64 is port p. */
struct sw_wire_port_bitmap {
	uint64_t is_protected[SW_WIRE_BITMAP_WORDS];
	uint64_t enforced[SW_WIRE_BITMAP_WORDS];
};

enum sw_wire_rule_kind { SW_WIRE_RULE_NONE, SW_WIRE_RULE_ALLOW, SW_WIRE_RULE_DENY };

/* Value of the source trie. */
struct sw_wire_rule {
	uint64_t blocked_until_ns; /* CLOCK_MONOTONIC; ~0: for ever; 0: no block */
	uint32_t block_entry;      /* entry number of the block; of nested ones that which ends last */
	uint32_t deny_entry;
	uint8_t otherwise; /* enum sw_wire_rule_kind: when no block holds */
	uint8_t reserved[7];
};

/* One element, read once for each frame; housekeeping writes it through a mapping. */
struct sw_wire_settings {
	uint32_t active;       /* which of the two sets is in force: 0 or 1 */
	uint32_t has_rules[2]; /* of each set: source trie not empty */
	uint32_t has_blocks;   /* a block was ever set */
};

#endif
