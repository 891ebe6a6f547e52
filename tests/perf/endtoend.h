/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * End to end: a generator on one core, what it tries on another, real ports between them. What is tried (a subject) is
 * Seawall or a plain forwarder; both have an outside and an inside port, and only one of them runs at a time.
 */
#ifndef SW_PERF_ENDTOEND_H
#define SW_PERF_ENDTOEND_H

#include "../tools/histogram.h"
#include "bench_frames.h"

struct subject {
	const char *name;
	uint16_t ports[SW_SIDES]; /* the generator's ends */
	void (*resume)(struct subject *s);
	void (*pause)(struct subject *s);
	int pid;                  /* of its process; 0: it runs in this one */
	bool answers;             /* SYNs come back where they went in, as SYN-ACKs; a forwarder passes them on */
	double *syn_per_s, *data_per_s; /* one figure a slice, over wall time */
	struct sw_histogram latency_ns;
};

enum {
	ENDTOEND_FLOWS = 4096,
	ENDTOEND_SLICE_MS = 60,
	ENDTOEND_WARM_MS = 15,
	ENDTOEND_POOL = 32767,
};

struct endtoend {
	struct rte_mempool *pool;
	struct subject forward, seawall;
	struct {
		uint32_t isn, tsval; /* of the box's SYN-ACK */
		bool open;
	} flows[ENDTOEND_FLOWS];
	unsigned int slices;
	uint64_t random;
};

/* A figure of the subject while it is the only one that runs: frames that came back a second. */
double endtoend_syns(struct endtoend *e, struct subject *s);
double endtoend_data(struct endtoend *e, struct subject *s);
/* Established packets at `per_s`; their latencies go into the subject's histogram. */
void endtoend_latency(struct endtoend *e, struct subject *s, double per_s);
/* Opens all flows through Seawall. Exits with a message when it cannot. */
void endtoend_open_flows(struct endtoend *e, struct subject *s);

/* The plain forwarder: what comes in at one port leaves at the other, until *stop. */
void endtoend_forward(uint16_t outside, uint16_t inside, const _Atomic int *stop);

#endif
