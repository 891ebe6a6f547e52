/* SPDX-License-Identifier: BSD-3-Clause */
/* What the parts of the benchmark share: the box under test, its frames, and how a case is described. */
#ifndef SW_PERF_BENCH_H
#define SW_PERF_BENCH_H

#include <rte_mbuf.h>

#include "../../dataplane/pipeline.h"
#include "../../dataplane/worker_state.h"
#include "bare.h"
#include "large_policy.h"

enum {
	BENCH_FRAMES = 8192,   /* in turn, so that no frame is still in the first cache when it comes again */
	BENCH_RUNS_MIN = 9,
	BENCH_CLIENT_PORT = 1024,
};

struct bench_box {
	struct sw_box box;
	struct sw_secrets secrets;
	struct large_policy_size size;
	struct sw_worker *worker;
	struct rte_mbuf *frames[BENCH_FRAMES];
	uint16_t ports[SW_SIDES];
	uint64_t random;
};

/* Box with its policy, ports that swallow what is sent, and frames; dies with a message when it cannot be had. */
void bench_box_open(struct bench_box *b, const struct large_policy_size *size);
void bench_box_close(struct bench_box *b);

/* What the box sent since the last call, if it is being looked at: the last packet of each side. For set-up alone. */
struct rte_mbuf *bench_sent(const struct bench_box *b, enum sw_side side);

static inline uint64_t bench_random(struct bench_box *b)
{
	b->random ^= b->random << 13;
	b->random ^= b->random >> 7;
	return b->random ^= b->random << 17;
}

/*
 * A case: `prepare` once (flows to be there), `template` before each run, `renew` before each burst, for which the cost is
 * measured alone and taken off, then the pipeline. `settle`: untimed, after each pass over all frames.
 */
struct bench_case {
	const char *name, *help;
	double goal;            /* ratio to bare */
	unsigned int source_bits; /* sources are 2^this; flows likewise where the case has flows */
	enum sw_side side;      /* where bursts come in; SW_SIDES: in turn */
	void (*prepare)(struct bench_box *b, const struct bench_case *c);  /* once: flows, proofs */
	void (*template)(const struct bench_case *c);                      /* before each run: the frames' templates */
	void (*renew)(struct bench_box *b, const struct bench_case *c, struct rte_mbuf **burst, enum sw_side side);
	void (*settle)(struct bench_box *b);
	/* What must have grown by one per packet when the case was measured, so that it measured what it says. */
	uint64_t (*proof)(const struct sw_counters *c);
	uint32_t source_syn_per_s;
	bool has_flows, is_ipv6;
};

extern const struct bench_case bench_cases[];
extern const unsigned int bench_case_count;

#endif
