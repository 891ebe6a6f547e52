/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The SYN cookie: everything the box must remember of a SYN, in the SYN-ACK's own numbers. docs/cookie.md says why;
 * tests/vectors has published values.
 *
 *  ISN of the SYN-ACK (always)
 *   31                                             8 7     5 4     2   1   0
 *  +------------------------------------------------+-------+-------+---+---+
 *  |                  MAC, bits 23..0               |  MSS  | scale | S | E |
 *  +------------------------------------------------+-------+-------+---+---+
 *  MSS    index into sw_cookie_mss[]                 S  the client permits SACK
 *  scale  index into sw_cookie_window_scale[]        E  epoch, lowest bit: which key
 *
 *  TSval of the SYN-ACK (only when the client sent timestamps)
 *   31                                                 6 5         2   1   0
 *  +----------------------------------------------------+-----------+---+---+
 *  |                  MAC, bits 49..24                  |   scale   | C | 0 |
 *  +----------------------------------------------------+-----------+---+---+
 *  scale  the client's window scale itself; 15: no option
 *  C      the client asked for ECN
 *
 *  MAC = SipHash-2-4, key of the epoch, over 64-bit little-endian words; numbers in host order, addresses as they
 *  lie on the wire:
 *               63          56 55          48 47          40 39          32 31                           0
 *  IPv4   w0   +--------------- server address ----------------------------+------- client address -------+
 *  IPv6   w0-1 | client address, w2-3 server address                                                      |
 *         then +------------------- client ISN ----------------------------+ server port (16) | client port (16)
 *         then +--- 0 ---------+-- domain ---+- timestamp b. -+- option b. -+------- VLAN tags ------------+
 *  option byte     the low byte of the ISN with E as 0        domain  4 or 6
 *  timestamp byte  the low 6 bits of the TSval | 0x80; without timestamps 0
 *
 * Thread   pure: keys, time and packets are parameters. Rounding is downwards, so a server never sends more than the
 *          client can take; a client that announces less than 536 (its host must take 576 bytes, RFC 1122, 3.3.2) is
 *          given 536.
 */
#ifndef SW_SYNCOOKIE_H
#define SW_SYNCOOKIE_H

#include "siphash.h"
#include "tcp_options.h"

enum {
	SW_COOKIE_EPOCH_S = 32,   /* an epoch number is unix seconds / 32 */
	SW_COOKIE_WORDS_IPV4 = 3,
	SW_COOKIE_WORDS_IPV6 = 6,
	SW_COOKIE_WORDS_MAX = 6,
	SW_COOKIE_MASTER_BYTES = 32,
	SW_MSS_DEFAULT_IPV4 = 536,  /* RFC 9293, 3.7.1: no MSS option */
	SW_MSS_DEFAULT_IPV6 = 1220,
	SW_COOKIE_ISN_MAC_SHIFT = 8,
	SW_COOKIE_TSVAL_MAC_FROM = 24, /* bits 49..24 of the MAC */
	SW_COOKIE_TSVAL_MAC_SHIFT = 6,
};

extern const uint16_t sw_cookie_mss[8];         /* rising */
extern const int8_t sw_cookie_window_scale[8];  /* [0] none, then rising */

/* What a cookie carries. */
struct sw_cookie_options {
	uint16_t mss;        /* the client's; decoded: rounded down to the table */
	int8_t window_scale; /* the client's, 0 to 14, or SW_WINDOW_SCALE_NONE; exact with timestamps, else rounded down */
	uint8_t sack, timestamps; /* 0 or 1 */
	uint8_t ecn;         /* 0 or 1; lost without timestamps */
};

/* What became of a burst of echoed cookies: a bit for each packet. Whoever is in neither set is wrong. */
struct sw_cookie_verdicts {
	uint32_t valid;
	uint32_t expired; /* made with the key of the epoch before the previous; to be refused */
};

/* Housekeeping makes a new one each epoch and publishes it whole; workers only read it. */
struct sw_cookie_keys {
	struct sw_siphash_key current, previous; /* of `epoch` and of the epoch before: both are accepted */
	struct sw_siphash_key before_previous;   /* only to tell an expired cookie from a wrong one */
	uint32_t epoch;
	sw_siphash_burst_fn burst;               /* sw_siphash_burst_for(); echoes are checked in that instruction set, too */
};

/* ---- a burst at a time: what the stages use -------------------------------------------------------------------- */

/* What the client's SYN asks for, with RFC 9293's defaults for what it does not say. */
static inline struct sw_cookie_options sw_cookie_options_of(const struct sw_packet *syn)
{
	const uint8_t ecn_setup = SW_TCP_ECE | SW_TCP_CWR; /* RFC 3168, 6.1.1 */
	const uint16_t mss_default = syn->is_ipv6 ? SW_MSS_DEFAULT_IPV6 : SW_MSS_DEFAULT_IPV4;

	return (struct sw_cookie_options){
		.mss = syn->mss ? syn->mss : mss_default,
		.window_scale = syn->window_scale,
		.sack = (syn->options & SW_OPTION_SACK_PERMITTED) != 0,
		.timestamps = (syn->options & SW_OPTION_TIMESTAMPS) != 0,
		.ecn = (syn->tcp_flags & ecn_setup) == ecn_setup,
	};
}

/* What the options that are granted become in cookies: the same for all SYNs of a family that are granted the same. */
struct sw_cookie_terms {
	uint64_t word;       /* the last one under the MAC, but for the VLAN tags */
	uint32_t isn, tsval; /* the numbers, but for the MAC */
	bool timestamps;
};

/*
 * Grant only what the client offered: an option the cookie says yes to must have been in the SYN. `epoch`: of the key
 * under which the cookies will be made.
 */
void sw_cookie_terms_make(struct sw_cookie_terms *terms, const struct sw_cookie_options *granted, bool is_ipv6,
	uint32_t epoch);

/* Messages of one family, a lane each: word w of message i is words[w][i]. Their MACs, once they are hashed. */
struct sw_cookie_lanes {
	uint64_t words[SW_COOKIE_WORDS_MAX][SW_BURST];
	uint64_t macs[SW_BURST];
};

/* The ports and SEQ of a packet, as they stand under the MAC. */
static inline uint64_t sw_cookie_tuple(const struct sw_packet *p)
{
	_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "fields are loaded in groups");
	_Static_assert(offsetof(struct sw_packet, server_port) == offsetof(struct sw_packet, client_port) + 2 &&
					   offsetof(struct sw_packet, seq) == offsetof(struct sw_packet, client_port) + 4,
		"and lie in the order of the word");
	uint64_t tuple;

	memcpy(&tuple, &p->client_port, 8);
	return tuple;
}

/* The message of lane 0 at `words`; addresses and VLAN come from `p`, whichever direction it goes. */
static inline void sw_cookie_words(uint64_t *words, const struct sw_packet *p, bool is_ipv6, uint64_t tuple,
	uint64_t last)
{
	uint32_t addresses[2];

	if (!is_ipv6) {
		memcpy(&addresses[0], p->client.bytes + 12, 4);
		memcpy(&addresses[1], p->server.bytes + 12, 4);
		words[0] = (uint64_t)addresses[1] << 32 | addresses[0];
		words[SW_BURST] = tuple;
		words[2 * SW_BURST] = last | p->vlan;
		return;
	}
	memcpy(&words[0], p->client.bytes, 8);
	memcpy(&words[SW_BURST], p->client.bytes + 8, 8);
	memcpy(&words[2 * SW_BURST], p->server.bytes, 8);
	memcpy(&words[3 * SW_BURST], p->server.bytes + 8, 8);
	words[4 * SW_BURST] = tuple;
	words[5 * SW_BURST] = last | p->vlan;
}

static inline void sw_cookie_hash(struct sw_cookie_lanes *lanes, unsigned int count, bool is_ipv6,
	sw_siphash_burst_fn burst, const struct sw_siphash_key *key)
{
	burst(key, (const uint64_t(*)[SW_BURST])lanes->words, is_ipv6 ? SW_COOKIE_WORDS_IPV6 : SW_COOKIE_WORDS_IPV4, count,
		lanes->macs);
}

/* The numbers of a SYN-ACK. */
static inline uint32_t sw_cookie_isn(uint64_t mac, const struct sw_cookie_terms *terms)
{
	return (uint32_t)mac << SW_COOKIE_ISN_MAC_SHIFT | terms->isn;
}

static inline uint32_t sw_cookie_tsval(uint64_t mac, const struct sw_cookie_terms *terms) /* with timestamps */
{
	return (uint32_t)(mac >> SW_COOKIE_TSVAL_MAC_FROM) << SW_COOKIE_TSVAL_MAC_SHIFT | terms->tsval;
}

/*
 * Checks the ACKs packets[i] for each bit i of `set`, IPv6 those in `ipv6`, too: the client's ISN is SEQ - 1, the cookie ACK - 1 and TSecr. In a
 * time that does not depend on where the numbers differ. Cost: one SipHash each, one more for those that fail with the
 * parity of the current epoch.
 */
struct sw_cookie_verdicts sw_cookie_verify_burst(const struct sw_cookie_keys *keys, const struct sw_packet *packets,
	uint32_t set, uint32_t ipv6);

/* What the cookie that an ACK echoes says, true only if it is valid. */
void sw_cookie_decode(const struct sw_packet *ack, struct sw_cookie_options *options);

/* ---- keys ------------------------------------------------------------------------------------------------------ */

/* The epoch of a time. Wraps after 4,357 years. */
static inline uint32_t sw_cookie_epoch(uint64_t unix_s)
{
	return (uint32_t)(unix_s / SW_COOKIE_EPOCH_S);
}

/*
 * The key of one epoch: libsodium's crypto_kdf (BLAKE2b, the epoch as salt) over the master secret, context
 * "SeaCooki", 16 bytes. The same master secret gives every box the same keys. Not for the packet path.
 */
void sw_cookie_derive_key(const uint8_t master[SW_COOKIE_MASTER_BYTES], uint32_t epoch, struct sw_siphash_key *out);

/* All of `out`, for `epoch`; the keys that it held before are overwritten. */
void sw_cookie_derive_keys(const uint8_t master[SW_COOKIE_MASTER_BYTES], uint32_t epoch, sw_siphash_burst_fn burst,
	struct sw_cookie_keys *out);

/* A key for a hash table: context "SeaTable", one `label` per table. */
void sw_derive_table_key(const uint8_t master[SW_COOKIE_MASTER_BYTES], uint64_t label, struct sw_siphash_key *out);

/* Overwrites keys in a way that the compiler keeps. */
void sw_cookie_wipe_keys(struct sw_cookie_keys *keys);

#endif
