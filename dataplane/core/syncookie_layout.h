/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the parts of a cookie and of the message under its MAC lie, as syncookie.h draws them. Only for syncookie*.c. */
#ifndef SW_SYNCOOKIE_LAYOUT_H
#define SW_SYNCOOKIE_LAYOUT_H

#include "syncookie.h"

enum {
	ISN_MSS_SHIFT = 5,
	ISN_SCALE_SHIFT = 2,
	ISN_SACK = 0x02,
	ISN_EPOCH = 0x01,
	ISN_OPTIONS = 0xfe,        /* the low byte without the epoch bit */
	TSVAL_SCALE_SHIFT = 2,
	TSVAL_ECN = 0x02,
	TSVAL_OPTIONS = 0x3f,
	SCALE_NONE = 15,           /* exact scales are 0 to 14 (RFC 7323, 2.3) */
	TIMESTAMP_BYTE_USED = 0x80,
	DOMAIN_IPV4 = 4,
	DOMAIN_IPV6 = 6,
	OPTION_BYTE_SHIFT = 32,    /* in the last word under the MAC */
	TIMESTAMP_BYTE_SHIFT = 40,
	DOMAIN_SHIFT = 48,
};

/* The bits of a MAC that an ISN echoes, and those that a TSval does. */
#define ISN_MAC ((1ull << SW_COOKIE_TSVAL_MAC_FROM) - 1)
#define TSVAL_MAC ((1ull << 50) - 1 - ISN_MAC)

/* sw_cookie_verify_burst() where the keys' burst function is sw_siphash_burst_avx512(). */
struct sw_cookie_verdicts sw_cookie_verify_avx512(const struct sw_cookie_keys *keys, const struct sw_packet *packets,
	uint32_t set, uint32_t ipv6);

#endif
