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

/* The numbers of one SYN-ACK, host order. */
struct sw_cookie {
	uint32_t isn;
	uint32_t tsval; /* 0 when options.timestamps is 0 */
};

enum sw_cookie_result {
	SW_COOKIE_VALID,
	SW_COOKIE_INVALID,
	SW_COOKIE_VALID_BUT_EXPIRED, /* made with the key of the epoch before the previous; to be refused */
};

/* Housekeeping makes a new one each epoch and publishes it whole; workers only read it. */
struct sw_cookie_keys {
	struct sw_siphash_key current, previous; /* of `epoch` and of the epoch before: both are accepted */
	struct sw_siphash_key before_previous;   /* only to tell an expired cookie from a wrong one */
	uint32_t epoch;
	sw_siphash_burst_fn burst;               /* sw_siphash_burst_for() */
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

/*
 * cookies[i] becomes the cookie that answers the SYN packets[i] with what options[i] grants. count <= SW_BURST.
 * Grant only what the client offered: an option the cookie says yes to must have been in the SYN.
 */
void sw_cookie_make_burst(const struct sw_cookie_keys *keys, const struct sw_packet *const packets[],
	const struct sw_cookie_options options[], unsigned int count, struct sw_cookie cookies[]);

/*
 * Checks the ACKs packets[i] (the client's ISN is seq - 1, the cookie ack - 1 and TSecr). results[i] becomes an enum
 * sw_cookie_result; options[i] is meaningful when it is SW_COOKIE_VALID. count <= SW_BURST. Cost: one SipHash each,
 * one more for those that fail with the parity of the current epoch.
 */
void sw_cookie_verify_burst(const struct sw_cookie_keys *keys, const struct sw_packet *const packets[],
	unsigned int count, uint8_t results[], struct sw_cookie_options options[]);

/* ---- the parts ------------------------------------------------------------------------------------------------- */

/* The bytes that go into the MAC and, shifted into place, into the numbers. timestamp_byte is 0 without timestamps. */
void sw_cookie_encode_options(const struct sw_cookie_options *options, uint8_t *option_byte, uint8_t *timestamp_byte);

/* What an echoed cookie says, true only if its MAC is. `tsecr` is ignored when has_timestamp is false. */
void sw_cookie_decode(uint32_t isn, bool has_timestamp, uint32_t tsecr, struct sw_cookie_options *options);

/*
 * Writes the words of the MAC for lane 0 of `words`: word w to words[w * SW_BURST]. Returns how many: 3 or 6.
 * Addresses, ports and VLAN come from `p`, whichever direction it goes.
 */
unsigned int sw_cookie_words(const struct sw_packet *p, uint32_t client_isn, uint8_t option_byte,
	uint8_t timestamp_byte, uint64_t *words);

uint32_t sw_cookie_isn(uint64_t mac, uint8_t option_byte, unsigned int parity);
uint32_t sw_cookie_tsval(uint64_t mac, uint8_t timestamp_byte);

/* VALID or INVALID, in a time that does not depend on where the numbers differ. */
enum sw_cookie_result sw_cookie_check(uint64_t mac, uint32_t isn, bool has_timestamp, uint32_t tsecr);

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
