/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The policy snapshot: everything an operator can say, compiled by the control daemon into one flat, position
 * independent block that the dataplane checks, builds beside the running one, and swaps in whole.
 *
 * Shape    header, then sections; each section is an array whose place, count and element size stand in the header.
 *          Host byte order (both processes run on one machine), except addresses, which are in network order.
 * Units    in the names: _ms milliseconds, _s seconds, _per_s events a second, _bytes, _pkts.
 * Owner    the control daemon writes it into a sealed memfd and passes the descriptor (messages.h); from then on it
 *          is read only. The same bytes in a file (the last good policy) start a dataplane with no control daemon.
 * Errors   sw_snapshot_check() (core/snapshot_check.h) names the section, index and field that it refuses.
 *
 * 0 means "no limit" wherever a limit stands; a string is an offset into SW_SECTION_STRINGS, NUL-terminated there.
 */
#ifndef SW_API_POLICY_SNAPSHOT_H
#define SW_API_POLICY_SNAPSHOT_H

#include "address.h"

#define SW_SNAPSHOT_MAGIC 0x50414e534c574153ull /* "SAWLSNAP" in memory */
#define SW_SNAPSHOT_VERSION 1u
#define SW_SNAPSHOT_MAX_BYTES (256ull << 20)
#define SW_NONE 0xffffffffu /* "no such index" */

enum {
	SW_PREFIX_LEVELS = 4,     /* the source itself and up to three shorter prefixes */
	SW_SERVICES_MAX = 4096,   /* hard limit; the boot section sizes the tables below it */
	SW_GROUPS_MAX = 1024,
	SW_TARGETS_MAX = 16384,
	SW_PREFIXES_MAX = 1 << 20,
	SW_ENTRIES_MAX = 1 << 20, /* counted allow, deny and block entries */
	SW_WORKERS_MAX = 64,
	SW_WORKER_RECORDS_MAX = 1 << 21, /* source records of one worker */
	SW_LINKS_MAX = 16,
	SW_NAME_BYTES = 64,       /* a name with its NUL */
	SW_DEVICE_BYTES = 256,
};

enum sw_section_id {
	SW_SECTION_BOOT,     /* struct sw_boot, exactly one */
	SW_SECTION_LINKS,    /* struct sw_link, at least one */
	SW_SECTION_GLOBAL,   /* struct sw_global, exactly one */
	SW_SECTION_SERVICES, /* struct sw_service */
	SW_SECTION_TARGETS,  /* struct sw_target */
	SW_SECTION_GROUPS,   /* struct sw_group */
	SW_SECTION_PREFIXES, /* struct sw_prefix_rule, sorted by address, then length, then kind; no duplicates */
	SW_SECTION_STRINGS,  /* bytes; offset 0 holds the empty string; the last byte is NUL */
	SW_SECTION_COUNT
};

struct sw_section {
	uint64_t offset; /* from the start of the snapshot; a multiple of 8 */
	uint32_t count;
	uint32_t element_bytes;
};

struct sw_snapshot_header {
	uint64_t magic;
	uint32_t version;
	uint32_t header_bytes;
	uint64_t total_bytes;
	uint64_t checksum;   /* sw_snapshot_checksum() over everything behind the header; guards against cut files, not foes */
	uint64_t generation; /* grows by at least one with each snapshot that differs */
	uint64_t created_unix_ns;
	struct sw_section sections[SW_SECTION_COUNT];
};

/* ---- boot: needs a restart ------------------------------------------------------------------------------------- */

enum sw_hugepages { SW_HUGEPAGES_AUTO, SW_HUGEPAGES_REQUIRE, SW_HUGEPAGES_NEVER };
enum sw_steer { SW_STEER_SERVICES, SW_STEER_ALL };
enum sw_fail_mode { SW_FAIL_OPEN, SW_FAIL_CLOSED };

struct sw_boot {
	char instance[SW_NAME_BYTES];  /* names the shared files and the EAL prefix: several boxes on one machine do not meet */
	uint32_t workers;              /* 1 to SW_WORKERS_MAX; worker i polls queue i of every link on both sides */
	uint32_t cores[SW_WORKERS_MAX]; /* CPU of worker i */
	uint32_t housekeeping_core;    /* SW_NONE: wherever the scheduler likes */
	uint8_t hugepages;             /* enum sw_hugepages */
	uint8_t steer;                 /* enum sw_steer; AF_XDP links only */
	uint8_t fail_mode;             /* enum sw_fail_mode; AF_XDP links only */
	uint8_t reserved;
	uint32_t heartbeat_timeout_ms; /* a worker silent for longer counts as hung */
	uint32_t idle_sleep_us;        /* longest sleep of an idle worker; 0: it polls without rest */
	uint32_t mbufs;                /* per worker */
	uint32_t rx_descriptors, tx_descriptors;
	uint32_t flows;                /* per box, shared out evenly to the workers; likewise the three below */
	uint32_t source_records;       /* full records: proven sources and heavy claimed ones */
	uint32_t limiter_entries;      /* 16 bytes each: one per source, and per prefix level, with a bucket in use */
	uint32_t held_pkts;            /* client data held while a server answers */
	uint32_t services_max, groups_max, entries_max; /* sizes of the counter arrays; a policy that needs more needs a restart */
	uint32_t reserved2;
};

enum sw_device_kind { SW_DEVICE_PCI, SW_DEVICE_INTERFACE, SW_DEVICE_VDEV };
enum sw_side { SW_OUTSIDE, SW_INSIDE, SW_SIDES };

/* A wire through the box: what comes in at one end and may pass leaves at the other. */
struct sw_link {
	struct {
		uint8_t kind; /* enum sw_device_kind */
		uint8_t reserved[7];
		/* PCI: "0000:3b:00.0[,devargs]". INTERFACE: an interface name. VDEV: "net_pcap0,rx_pcap=..."; with several
		 * queues "%q" stands for the queue number and one vdev is made per queue. */
		char device[SW_DEVICE_BYTES];
	} ends[SW_SIDES];
};

/* ---- policy: replaced whole while packets flow ------------------------------------------------------------------ */

enum sw_mode { SW_MODE_OFF, SW_MODE_MONITOR, SW_MODE_AUTO, SW_MODE_ALWAYS, SW_MODES };
enum sw_refusal { SW_REFUSE_DROP, SW_REFUSE_RST };   /* what a refused client gets */
enum sw_tcp_auth { SW_TCP_AUTH_REFUSE, SW_TCP_AUTH_PASS }; /* SYNs with TCP-MD5 or TCP-AO while armed */
enum sw_fragments { SW_FRAGMENTS_PASS, SW_FRAGMENTS_DROP };

struct sw_global {
	struct {
		uint8_t ipv4_length; /* 0 to 32; level 0 is always 32 */
		uint8_t ipv6_length; /* 0 to 128; level 0 is always 128 */
	} levels[SW_PREFIX_LEVELS];
	uint8_t level_count; /* 1 to SW_PREFIX_LEVELS; lengths fall from level to level */
	uint8_t fragments;   /* enum sw_fragments: later fragments towards a protected address */
	uint8_t reserved[6];
	/* Reflection caps: answers to one claimed source, and to one claimed prefix of level 1, whatever the limits say. */
	uint32_t answers_per_source_per_s, answers_per_source_burst;
	uint32_t answers_per_prefix_per_s, answers_per_prefix_burst;
	uint32_t rst_per_s;        /* RSTs of the box's own accord, per worker */
	uint32_t adopt_s;          /* after start: unknown ACKs pass (within adopt_per_s), so flows older than the box survive */
	uint32_t adopt_per_s;      /* per worker */
	uint32_t held_pkts_per_flow, held_bytes_per_flow;
	uint32_t server_syn_retries; /* SYNs to the server after the first; the wait is 1 s and doubles */
	uint32_t idle_established_s, idle_embryonic_s, idle_closing_s;
	uint32_t evidence_after_syns; /* a claimed source gets a record with its Nth SYN */
	uint32_t reserved2;
};

/* Rates are token buckets: `per_s` refills, `burst` is the depth; both 0: no limit. */
struct sw_limits {
	uint32_t syn_per_s, syn_burst;   /* SYNs answered with a cookie */
	uint32_t conn_per_s, conn_burst; /* new connections that proved themselves */
	uint32_t concurrent;             /* established at one time */
	uint32_t reserved;
};

/* What the box promises in the server's name. -1: learn it from the server's SYN-ACKs. */
struct sw_backend {
	int32_t mss_ipv4, mss_ipv6;
	int16_t window_scale; /* 0 to 14; SW_BACKEND_OFF: none */
	int16_t sack, timestamps, ecn; /* 0 no, 1 yes */
};
enum { SW_BACKEND_LEARN = -1, SW_BACKEND_OFF = -2 };

struct sw_service {
	uint32_t name;          /* string; unique */
	uint32_t slot;          /* index of its counters, below boot.services_max; the same over reloads while the name stays */
	uint8_t mode;           /* enum sw_mode */
	uint8_t refusal;        /* enum sw_refusal: over a limit, or blocked */
	uint8_t tcp_auth;       /* enum sw_tcp_auth */
	uint8_t retired;        /* 1: no longer configured, here in mode off for the connections it has; these stand last */
	uint32_t start_syn_per_s; /* auto: arms at or above */
	uint32_t stop_syn_per_s;  /* auto: disarms below, after hold_ms without reaching it; less than start_syn_per_s */
	uint32_t hold_ms;
	/* A proven source that was refused a connection block_after times within a minute is blocked for block_s. 0: never. */
	uint32_t block_after, block_s;
	struct sw_backend backend;
	struct sw_limits limits[SW_PREFIX_LEVELS]; /* [0] the source, [n] its prefix of level n */
	struct sw_limits total;                    /* the service as a whole */
};

/* Which packets belong to a service. The longest prefix wins, then the narrowest port range. */
struct sw_target {
	struct sw_prefix server;
	uint16_t port_first, port_last; /* host order, 1 to 65535 */
	uint32_t service;               /* index into SW_SECTION_SERVICES */
};

struct sw_group {
	uint32_t name; /* string; unique */
	uint32_t slot; /* index of its counters and budget, below boot.groups_max */
	struct sw_limits limits;
};

enum sw_rule_kind {
	SW_RULE_ALLOW, /* passes as if unprotected */
	SW_RULE_DENY,  /* the operator's list */
	SW_RULE_BLOCK, /* an operator's block with a lifetime */
	SW_RULE_GROUP, /* membership */
	SW_RULE_KINDS
};

/*
 * About source addresses. For allow, deny and block the longest prefix that holds the address decides (at equal
 * length: block, then deny, then allow); for membership the longest prefix of kind GROUP decides by itself.
 */
struct sw_prefix_rule {
	struct sw_prefix prefix;
	uint8_t kind; /* enum sw_rule_kind */
	uint8_t reserved[3];
	uint32_t target;        /* GROUP: index into SW_SECTION_GROUPS; otherwise: entry number, its counter, below boot.entries_max */
	uint64_t until_unix_ns; /* BLOCK: ends then; 0: never */
};

/* FNV-1a over 64-bit words, the tail as bytes. `length`: bytes behind the header. */
static inline uint64_t sw_snapshot_checksum(const void *data, uint64_t length)
{
	const uint8_t *p = data;
	uint64_t sum = 0xcbf29ce484222325ull, word;
	for (; length >= 8; length -= 8, p += 8) {
		memcpy(&word, p, 8);
		sum = (sum ^ word) * 0x100000001b3ull;
	}
	for (; length; length--, p++)
		sum = (sum ^ *p) * 0x100000001b3ull;
	return sum;
}

_Static_assert(sizeof(struct sw_section) == 16, "snapshot layout");
_Static_assert(sizeof(struct sw_limits) == 24, "snapshot layout");
_Static_assert(sizeof(struct sw_target) == 32, "snapshot layout");
_Static_assert(sizeof(struct sw_prefix_rule) == 40, "snapshot layout");

#endif
