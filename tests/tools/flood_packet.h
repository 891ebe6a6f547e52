/* SPDX-License-Identifier: BSD-3-Clause */
/* sw-flood's packets: SYNs as a Linux client sends them, from sources that never sent anything. */
#ifndef SW_TOOLS_FLOOD_PACKET_H
#define SW_TOOLS_FLOOD_PACKET_H

#include "source_range.h"

enum { SW_FLOOD_PACKET_BYTES = 80 }; /* IPv6 header, TCP header, 20 bytes of options */

/* xoshiro256** (Blackman and Vigna, 2018): fast, and the same seed gives the same flood. */
struct sw_random {
	uint64_t s[4];
};

void sw_random_seed(struct sw_random *r, uint64_t seed);
uint64_t sw_random_next(struct sw_random *r);

/*
 * Writes one SYN, IP header first, checksums right; returns its length. The source is one of `sources` (drawn, not in
 * turn), or with count 0 any address that a stranger could have: no private, loopback, multicast or reserved IPv4;
 * of 2000::/3 in IPv6.
 */
unsigned int sw_flood_packet(uint8_t *packet, const union sw_endpoint *target, const struct sw_source_range *sources,
	struct sw_random *random);

#endif
