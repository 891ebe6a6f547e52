/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Evidence: who sent what, with what proof that the address is its own. One scan copies every source record in use; the
 * questions (top N, prefixes, one address) are answered from the copy. Memory is bounded by the records of the region,
 * the rest by SW_TOP_MAX.
 *
 * A source has one record towards each service. `claimed` means that the address was only ever written in a source
 * field: whoever it belongs to may know nothing of it. Only `echoed` and `sent_data` sources own their address, so
 * offenders (sources that were refused or blocked) are taken from these alone.
 *
 * Thread   one at a time; the observer's lock.
 */
#ifndef SW_OBSERVE_EVIDENCE_H
#define SW_OBSERVE_EVIDENCE_H

#include "api/region.h"

enum { SW_TOP_MAX = 10000 };

/* One source towards one service; or, summed up, a prefix towards all that were asked for. */
struct sw_evidence_record {
	struct sw_prefix source; /* full length: one address */
	uint32_t service_slot;   /* SW_NONE in a sum */
	uint8_t proof;           /* enum sw_proof; of a sum: the best within */
	uint32_t worker;         /* SW_NONE in a sum */
	uint32_t sources, echoed, sent_data,
	    blocked; /* addresses in a sum: all, with proof echoed or better, with sent_data, blocked now */
	uint64_t concurrent;
	uint64_t first_seen_unix_ns, last_seen_unix_ns;
	uint64_t syns, conns, refused, bytes_in, dropped;
	uint64_t blocked_until_unix_ns; /* 0: not blocked now; of a sum: the latest */
};

enum sw_sort {
	SW_SORT_SYNS,
	SW_SORT_CONNS,
	SW_SORT_REFUSED,
	SW_SORT_DROPPED,
	SW_SORT_BYTES,
	SW_SORT_CONCURRENT,
	SW_SORT_LAST_SEEN,
	SW_SORTS
};
extern const char *const sw_sort_names[SW_SORTS];
extern const char *const sw_proof_names[SW_PROOF_SENT_DATA + 1];

/* Which sources count. */
struct sw_evidence_filter {
	uint32_t service_slot; /* SW_NONE: any */
	uint8_t proof_min;     /* enum sw_proof */
	bool offenders;        /* only proven ones that were refused or are blocked */
};

struct sw_evidence {
	uint64_t scanned_mono_ns, scanned_unix_ns;
	struct sw_evidence_record *records; /* in use when scanned */
	uint32_t count, room;
	uint32_t by_proof[SW_PROOF_SENT_DATA + 1]; /* records */
	uint32_t blocked, offenders;
	uint64_t seed; /* of the hash: nobody outside can choose colliding addresses */
};

/*
 * Copies the records of all workers. `e` starts zeroed with a random seed, and is reused. 0 or -ENOMEM. A record that
 * changes hands while it is copied is left out.
 */
int sw_evidence_scan(struct sw_evidence *e, const struct sw_region *r, uint64_t mono_ns, uint64_t unix_ns);
void sw_evidence_free(struct sw_evidence *e);

/*
 * The `limit` first by `sort`, falling; ties by address. *out is malloc'd (NULL when there are none). Returns how many,
 * or -ENOMEM.
 */
int sw_evidence_top(const struct sw_evidence *e, const struct sw_evidence_filter *filter, enum sw_sort sort,
    uint32_t limit, struct sw_evidence_record **out);

/*
 * The same summed up by prefix: an IPv4 source counts towards its /ipv4_length, an IPv6 source towards its
 * /ipv6_length. *prefixes (may be NULL): how many prefixes there are in all.
 */
int sw_evidence_top_prefixes(const struct sw_evidence *e, const struct sw_evidence_filter *filter, uint8_t ipv4_length,
    uint8_t ipv6_length, enum sw_sort sort, uint32_t limit, struct sw_evidence_record **out, uint32_t *prefixes);

/* The records of one address, one for each service, at most `limit`; returns how many. */
uint32_t sw_evidence_of(
    const struct sw_evidence *e, const struct sw_address *address, struct sw_evidence_record *out, uint32_t limit);

/* Wall time of a TSC moment, by the region's anchor; 0 for 0. */
uint64_t sw_region_unix_ns(const struct sw_region *r, uint64_t tsc);

/* One record of the region in this shape; for the answer of EXPLAIN. */
void sw_evidence_convert(const struct sw_region *r, const struct sw_source_record *from, uint32_t worker,
    uint64_t unix_ns, struct sw_evidence_record *to);

#endif
