/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker: one lcore, its queues of every port, and all state of the clients that belong to it. Nothing in here is
 * written by another core, except the two rings, which are made for that.
 */
#ifndef SW_WORKER_H
#define SW_WORKER_H

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "api/messages.h"
#include "core/flow_hash.h"
#include "core/flow_table.h"
#include "core/limiter_table.h"
#include "core/prefetch_choice.h"
#include "core/promise.h"
#include "core/syncookie.h"
#include "packet.h"
#include "policy.h"

struct sw_admission_loops;
struct sw_answer_memo;
struct sw_burst;
struct sw_worker;
struct sw_idle;
struct sw_wire_heartbeat;
struct rte_rcu_qsbr;

enum {
	SW_BURSTS_UNDER_WAY = 2, /* at a time; see pipeline.c */
	SW_ROUND_PACKETS = 256,  /* with so many a round ends: timers, mail and the clock have waited meanwhile */
	SW_TRANSMIT_MAX = 128, /* packets waiting for one port between two flushes: a burst and what it sets free */
	SW_EVENT_RING = 4096,
	SW_MAIL_RING = 64,
	SW_HANDOVER_RING = 2048,
};

/* A worker's part of the budgets that span workers. Written by housekeeping, read by that worker. */
struct sw_share {
	struct sw_rate syn, conn;
	uint32_t concurrent; /* SW_NONE: no limit */
	uint32_t reserved;
};

/* Everything that workers share and only read. Written by housekeeping. */
struct sw_shared {
	_Atomic(const struct sw_policy *) policy;            /* freed after an RCU grace period */
	_Atomic(const struct sw_cookie_keys *) cookie_keys;  /* two in turn; the older one rests for a whole epoch */
	struct sw_region *region;
	struct sw_flow_key flow_key;
	_Atomic uint8_t *armed;                              /* [services_max] */
	_Atomic uint64_t *accept_until_tsc;                  /* [services_max]: unknown ACKs are tried as cookies until then */
	struct sw_promise (*promises)[2][2];                 /* [services_max][0 IPv4, 1 IPv6][epoch parity]; by housekeeping */
	uint64_t start_tsc, tsc_hz;
	struct rte_rcu_qsbr *rcu;
	unsigned int workers, links;
	bool sharded_by_nic;                                 /* true: what arrives at a worker is its own */
	uint64_t shard_key;
};

/* The state of a budget that this worker spends from. */
struct sw_budget {
	uint64_t syn_tat, conn_tat;
	uint64_t native_tat;      /* services: SYNs that passed while quiet, against start_syn_per_s */
	uint64_t armed_until_tsc; /* services: this worker armed it by itself, until housekeeping has decided for all */
	uint32_t concurrent;
	uint32_t reserved;
};

/* worker -> housekeeping */
enum sw_event_kind { SW_EVENT_BLOCKED, SW_EVENT_PROFILE };
struct sw_event {
	uint32_t kind; /* enum sw_event_kind */
	uint32_t service_slot;
	struct sw_address address; /* BLOCKED: the source */
	uint64_t until_tsc;        /* BLOCKED */
	struct sw_promise profile; /* PROFILE: what a server answered with */
	uint8_t is_ipv6;           /* PROFILE */
	uint8_t reserved[23];
};

/* housekeeping -> worker; the worker fills `reply` and then sets `done`. */
struct sw_mail {
	struct sw_request request;
	struct sw_reply *reply;
	_Atomic uint32_t done;
};

enum sw_transmit_kind {
	SW_TRANSMIT_FORWARDED, /* a received packet that leaves: lost, it counts as dropped */
	SW_TRANSMIT_ANSWERED,  /* a received packet that became an answer: likewise */
	SW_TRANSMIT_OWN,       /* made by the box: lost, it counts as SENT_LOST */
};

/* Packets in a row that are counted alike. */
struct sw_transmit_run {
	uint32_t slot; /* service slot for the counters, SW_NONE: none */
	uint16_t end;  /* of its packets: one after the last */
	uint8_t kind;  /* enum sw_transmit_kind */
	uint8_t reserved;
};

struct sw_transmit {
	uint16_t count, run_count;
	struct sw_transmit_run runs[SW_TRANSMIT_MAX];
	struct rte_mbuf *mbufs[SW_TRANSMIT_MAX];
};

enum { SW_NO_QUEUE = 0xffff };
struct sw_queue {
	uint16_t port_id, queue_id; /* DPDK's; SW_NO_QUEUE: there is none */
};

/* A held packet; the array belongs to the worker, the free ones are chained. */
struct sw_held {
	struct rte_mbuf *mbuf;
	uint32_t next;
	uint32_t flow;
};

/* An answered SYN whose answer may have to be repeated; see challenges.h. */
struct sw_challenge {
	struct sw_limiter_key source; /* in the limiter table */
	uint64_t due_tsc;
	struct rte_mbuf *copy; /* the SYN-ACK as sent */
	uint32_t slot;
	uint8_t link, tries;
	uint8_t reserved[2];
};
enum { SW_CHALLENGES = 1024, SW_REFUSED_LATELY = 1024 };

/*
 * Answers a set of SYNs with cookies, in their own frames. stages/challenge.c has the version for an instruction set,
 * which the CPU must have; all write the same frames.
 */
typedef void (*sw_challenge_fn)(struct sw_worker *w, struct sw_burst *b, uint32_t set);
sw_challenge_fn sw_challenge_for(enum sw_isa isa);

struct sw_worker {
	unsigned int id;
	unsigned int lcore;
	struct sw_shared *shared;
	void (*parse)(struct sw_worker *w, struct sw_burst *b); /* sw_parse_for() */

	/* Input and output. */
	struct sw_queue queues[SW_LINKS_MAX][SW_SIDES];
	struct sw_queue syn_queues[SW_LINKS_MAX]; /* outside; where the NIC sorts services' SYNs out (ports/steering.h) */
	struct sw_transmit *transmit;         /* [links * SW_SIDES] */
	struct rte_ring *handover[SW_WORKERS_MAX]; /* [other]: from this worker to the other; rings of struct rte_mbuf * */
	struct rte_ring *handed[SW_WORKERS_MAX];   /* [other]: from the other to this one */
	struct rte_ring *events;              /* of struct sw_event, to housekeeping */
	struct rte_ring *mail;                /* of struct sw_mail *, from housekeeping */
	struct rte_mempool *pool;
	struct sw_wire_heartbeat *heartbeat;  /* NULL where there is no XDP program */
	struct sw_idle *idle;                 /* of this worker; idles[] of all, to wake them after a hand-over */
	struct sw_idle *idles;
	/* DPDK port id -> link * SW_SIDES + side; 0xff: not ours. */
	uint8_t port_ends[RTE_MAX_ETHPORTS];

	/* State. */
	struct sw_flow_table flows;
	uint32_t proxied_flows;
	struct sw_limiter_table limiter;
	const struct sw_admission_loops *admission; /* sw_admission_loops_for() */
	sw_flow_hash_burst_fn flow_hash_burst;      /* sw_flow_hash_burst_for() */
	struct sw_source_record *records;     /* in the region */
	uint32_t *free_records;               /* stack of free indices */
	bool sources_were_over;               /* some of the last SYNs were refused */
	uint32_t record_count, free_record_count, next_record_id, proven_records;
	uint32_t record_hand, record_sweep;   /* where looking for one to give up, and ageing, go on */
	uint64_t record_sweep_tsc;            /* when ageing was there */
	uint32_t untold[SW_BURST];            /* notes of limiter entries whose SYNs records are to be told of: sources.h */
	unsigned int untold_count;
	struct sw_budget *service_budgets;    /* [services_max] */
	struct sw_budget *group_budgets;      /* [groups_max] */
	struct sw_share *service_shares;      /* [services_max], written by housekeeping */
	struct sw_share *group_shares;        /* [groups_max], likewise */
	struct sw_held *held;                 /* [held_count] */
	uint32_t held_count, held_used, free_held;
	uint32_t *challenge_keys;             /* [SW_CHALLENGES] of challenges.h; 0: free. Apart, since every SYN asks */
	struct sw_challenge *challenges;      /* [SW_CHALLENGES] */
	sw_challenge_fn challenge;            /* sw_challenge_for() */
	struct sw_answer_memo *answer_memos;  /* [SW_ANSWER_MEMOS of IPv4, then of IPv6]; stages/challenge_parts.h */
	uint32_t challenge_next;              /* where the sweep stands */
	uint64_t rst_tat, adopt_tat;
	uint32_t sweep;                       /* next established flow to look at for idleness */
	uint32_t block_count;                 /* blocks set or lifted so far: makes flows look their source up again */
	uint64_t refused_lately[SW_REFUSED_LATELY]; /* connections, by hash: what a client sends again is no new one */
	uint64_t next_timers_tsc;

	/* Counters. The box's own are kept here and copied into the region at the end of each loop, so that a reader
	 * finds them whole; the others stand in the region alone. */
	struct sw_counters totals;
	struct sw_worker_counters *counters;
	struct sw_counters *services;         /* [services_max] */
	uint64_t *entries;                    /* [entries_max] */
	uint32_t denied[SW_BURST];            /* of these, some that are to move by one; sw_sources_count_denied() */
	unsigned int denied_count;
	struct sw_group_counters *groups;     /* [groups_max] */

	struct sw_prefetch_choice prefetch; /* into which cache to ask for memory */

	struct sw_burst *bursts;            /* [SW_BURSTS_UNDER_WAY] */

	/* Of the current round. */
	struct sw_burst *waiting;           /* of bursts, the one that is half done; NULL: none */
	const struct sw_policy *policy;
	const struct sw_cookie_keys *keys;
	uint64_t now;
};

/* worker.c: the loop of one lcore; `arg` is a struct sw_worker. Returns when sw_stopping is set. */
int sw_worker_run(void *arg);
extern _Atomic int sw_stopping;

/*
 * Which worker owns a client. The same for both directions of every packet of that client; the key is secret, so
 * nobody can aim at one worker.
 */
static inline unsigned int sw_owner(const struct sw_shared *s, const struct sw_address *client)
{
	uint64_t high, low;
	memcpy(&high, client->bytes, 8);
	memcpy(&low, client->bytes + 8, 8);
	/* Twice: with one key in hundreds, once leaves neighbours that differ in the last byte with one owner. */
	const uint64_t once = sw_limiter_mix(high ^ s->shard_key, low ^ (s->shard_key << 1 | 1));
	const uint64_t mixed = sw_limiter_mix(once ^ s->shard_key, UINT64_C(0x9e3779b97f4a7c15));
	return (unsigned int)((mixed >> 32) * s->workers >> 32);
}

#endif
