/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The yardstick: the least code that answers a SYN with a cookie. Parse one fixed layout, take a token from one bucket
 * in a direct-mapped table, SipHash-2-4 over three words, rewrite the frame into the SYN-ACK, fill in both checksums.
 * No policy, no counters, no input or output. What the pipeline costs beyond this is what its rules cost.
 * AVX-512 only: bare_available() says whether this CPU can run it.
 */
#ifndef SW_PERF_BARE_H
#define SW_PERF_BARE_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#include "../../dataplane/packet.h" /* SW_BURST */

struct bare_bucket {
	uint32_t source; /* as on the wire; whoever comes last owns the place */
	uint32_t tokens;
	uint64_t last_tsc;
};

struct bare {
	struct bare_bucket *table; /* mask + 1 of them, zeroed */
	uint32_t mask;
	uint64_t key[2];
	uint64_t answered, refused;
};

bool bare_available(void);

/* SW_BURST IPv4 SYNs of 60 bytes, untagged, without IP options, become SYN-ACKs in their own buffers. */
void bare_answer_burst(struct bare *b, struct rte_mbuf **mbufs, uint64_t now_tsc);

#endif
