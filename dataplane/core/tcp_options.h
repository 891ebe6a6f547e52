/* SPDX-License-Identifier: BSD-3-Clause */
/* TCP options (RFC 9293, 3.1 and 3.2): read those of any segment, write those of a SYN. Pure; any thread. */
#ifndef SW_TCP_OPTIONS_H
#define SW_TCP_OPTIONS_H

#include "../packet.h" /* SW_OPTION_... */

enum {
	SW_TCP_OPTIONS_MAX = 40,     /* data offset 15: 60 bytes of header, 20 of them fixed */
	SW_WINDOW_SCALE_NONE = -1,   /* no window scale option */
	SW_WINDOW_SCALE_MAX = 14,    /* RFC 7323, 2.3: a larger one counts as 14 */
	SW_TIMESTAMP_OPTION_BYTES = 10,
	SW_SACK_BLOCK_BYTES = 8,
};

struct sw_tcp_options {
	uint32_t tsval, tsecr; /* host order; with SW_OPTION_TIMESTAMPS */
	uint16_t mss;          /* 0: no option */
	int16_t timestamp_at;  /* where in the options the four bytes of TSval stand (TSecr follows); -1: nowhere */
	int16_t sack_at;       /* where the first SACK block stands; -1: nowhere */
	int8_t window_scale;   /* 0 to 14, or SW_WINDOW_SCALE_NONE */
	uint8_t sack_blocks;   /* 0 to 4 */
	uint8_t present;       /* SW_OPTION_... bits */
};

/*
 * Reads `length` bytes of options (0 to 40) and no byte behind them. False: a length is impossible, does not fit, or
 * does not agree with its kind; or an option that has to be translated (timestamps, SACK) stands there twice. `out` is
 * filled in any case, as far as the options could be read. What follows an end-of-options byte is not looked at.
 */
bool sw_tcp_options_parse(const uint8_t *options, unsigned int length, struct sw_tcp_options *out);

/*
 * Writes the options of a SYN or SYN-ACK in the order in which Linux does, padded with NOPs to a multiple of 4; returns
 * their length, at most 20. mss 0: no MSS option. Numbers in host order.
 */
unsigned int sw_tcp_options_write_syn(uint8_t out[SW_TCP_OPTIONS_MAX], uint16_t mss, int8_t window_scale, bool sack,
	bool timestamps, uint32_t tsval, uint32_t tsecr);

#endif
