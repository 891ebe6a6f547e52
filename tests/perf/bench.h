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
	BENCH_FRAMES = 8192, /* in turn, so that no frame is still in the first cache when it comes again */
	BENCH_RUNS_MIN = 9,
	BENCH_WARM_PASSES = 100, /* unless told otherwise */
	BENCH_CLIENT_PORT = 1024,
};

enum bench_ask { BENCH_ASK_EITHER, BENCH_ASK_FIRST, BENCH_ASK_SECOND };

/* One worker of a box, with the frames that it works on. */
struct bench_box {
	struct sw_box *box;
	struct sw_secrets secrets;
	struct large_policy_size size;
	struct sw_worker *worker;
	struct rte_mbuf *frames[BENCH_FRAMES];
	uint64_t policy_bytes; /* what the compiled policy takes */
	uint64_t random;
	uint32_t *flow_acks;   /* what the client of each open flow acknowledges: the box's ISN and one */
	uint64_t stands_since; /* TSC, while the pipeline's clock stands; 0: it goes */
	uint64_t stood;        /* TSC cycles for which it has */
	bool spread;           /* each source talks to a service of its own, not all to the first */
};

/*
 * A box with its policy, ports that swallow what is sent, and frames for its first worker; dies with a message when it
 * cannot be had. One box at a time.
 */
void bench_box_open(struct bench_box *b, const struct large_policy_size *size);
/* Before it has seen a packet. */
void bench_box_use_isa(struct bench_box *b, enum sw_isa isa);
void bench_box_ask(struct bench_box *b, enum bench_ask ask);
/* Frames and ports for another worker of the box of `b`. */
void bench_box_second(const struct bench_box *b, unsigned int worker, struct bench_box *second);
/* Frees the frames of a second worker; to be done before the box is closed. */
void bench_box_close_second(struct bench_box *second);
void bench_box_close(struct bench_box *b);
/* Frames without a box, for what is not the pipeline. `number` is in the name of their pool. */
void bench_frames_open(struct bench_box *b, unsigned int number);
void bench_frames_close(struct bench_box *b);

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
	uint32_t source_syn_per_s; /* large_policy.h; the bucket is then made to refill once a day, not while it is measured */
	bool has_flows, is_ipv6;
};

extern const struct bench_case bench_cases[];
extern const unsigned int bench_case_count;

struct bench_settings {
	const char *json, *only;
	unsigned int runs, passes;
	unsigned int warm_passes;        /* right before the passes of each run, untimed */
	unsigned int frames;             /* of the bare loop when it runs alone; a multiple of SW_BURST */
	unsigned int bits;               /* 0: the case's own source_bits */
	enum sw_isa isa;                 /* which loops */
	enum bench_ask ask;              /* into which cache to ask for memory; EITHER: as production, the worker finds out */
	uint32_t services, prefixes;     /* of the policy; prefixes: IPv4 deny entries */
	bool count_only;                 /* one pass, between markers, for an instruction counter */
	bool spread;                     /* each source talks to a service of its own */
};

/* The bare loop with its table, and the flood that it answers, in the frames of a box. */
struct bench_bare {
	struct bare bare;
	struct bench_case flood;
	unsigned int frames; /* so many of the box's, in turn */
	bool in_eal_memory;
};

/* Medians over the runs; spread: (third quartile - first) / median of the case's cycles. bare, ratio: NAN without AVX-512. */
struct bench_result {
	double cycles, bare, ratio, spread;
	uint64_t table_bytes, policy_bytes;
};

/* The policy and tables that a case runs with. */
struct large_policy_size bench_size_for(const struct bench_case *c, const struct bench_settings *o);
struct bench_result bench_run_case(struct bench_box *b, const struct bench_case *c, const struct bench_settings *o);
/* For an instruction counter: everything but the counted pass is set-up. */
void bench_count_case(struct bench_box *b, const struct bench_case *c);
/*
 * False without AVX-512 or memory. The table lies where the pipeline's do, or in EAL's memory, where a loop of DPDK's would
 * have it.
 */
bool bench_bare_open(struct bench_bare *y, unsigned int source_bits, bool in_eal_memory);
void bench_bare_close(struct bench_bare *y);
/* One run: cycles a packet, the generator's taken off. */
double bench_bare_run(struct bench_bare *y, struct bench_box *b, const struct bench_settings *o);
/* No pipeline at all: 2^16, 2^20 and 2^24 sources. Returns what goes into the JSON. */
struct json_t *bench_bare_alone(const struct bench_settings *o);
/* One worker against two at a time, over SYNs. Returns what goes into the JSON; exits when a second CPU is missing. */
struct json_t *bench_two_workers(const struct bench_settings *o);
/* What tables take by element, and what a box of 16 GiB holds. */
struct json_t *bench_memory(const struct bench_settings *o);

/* A round of SW_BURST frames through the pipeline, as a worker's loop does it. */
void bench_burst(struct bench_box *b, struct rte_mbuf **burst, enum sw_side side);
/* One pass over all frames, in TSC cycles of CPU time. Without `work` only the generator runs: what it costs is taken off. */
double bench_pass(struct bench_box *b, const struct bench_case *c, bool work);
/* Time that this thread has had a CPU, in TSC cycles. */
double bench_cycles_used(void);
/* Sorts `values`. */
double bench_quantile(double *values, unsigned int count, double q);

#endif
