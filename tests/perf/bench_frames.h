/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames of the benchmark: templates once, then only what changes from packet to packet. */
#ifndef SW_PERF_BENCH_FRAMES_H
#define SW_PERF_BENCH_FRAMES_H

#include "bench.h"

/* A frame of one kind, and where its changing fields stand. */
struct bench_template {
	uint8_t bytes[128];
	uint16_t length;
	uint16_t ip, tcp; /* offsets; tcp: of UDP too */
	bool is_ipv6;
};

enum bench_options { BENCH_MSS, BENCH_ALL_OPTIONS, BENCH_TIMESTAMPS };

/* Client to server, ports and addresses to be filled in; checksums are left 0: nothing on the packet path reads them. */
struct bench_template bench_tcp(bool is_ipv6, uint8_t flags, enum bench_options options);
struct bench_template bench_udp(void);

/* Host order; IPv6 clients are 2600::/16 with `client` in their third and fourth 16 bits. */
struct bench_tuple {
	uint32_t client;
	uint16_t client_port, server_port;
	uint32_t server; /* number of the service whose address it is */
	uint32_t seq, ack;
};

void bench_write(struct rte_mbuf *m, const struct bench_template *t, const struct bench_tuple *tuple, enum sw_side side);

/* Flow n of the established ones. */
struct bench_tuple bench_flow(uint32_t n);
/* Into `burst`: the ACKs of flows first to first + 31 that echo the cookies the box would have sent them. */
void bench_write_proof(struct bench_box *b, struct rte_mbuf **burst, uint32_t first, bool is_ipv6);
/* Opens flows 0 to count - 1 through the pipeline: cookie, ACK, SYN, SYN-ACK. Dies with a message when one is missing. */
void bench_open_flows(struct bench_box *b, uint32_t count, bool is_ipv6);

#endif
