/* SPDX-License-Identifier: BSD-3-Clause */
/* Cookies for SYNs of tests and benchmarks, as stages/challenge.c makes them; here of any families in a row. */
#ifndef SW_TEST_COOKIES_H
#define SW_TEST_COOKIES_H

#include "core/syncookie.h"

struct cookie {
	uint32_t isn, tsval; /* tsval: 0 without timestamps */
};

/* cookies[i] becomes the one that answers the SYN syns[i] with what granted[i] says. count <= SW_BURST. */
static inline void make_cookies(const struct sw_cookie_keys *keys, const struct sw_packet *syns,
	const struct sw_cookie_options *granted, unsigned int count, struct cookie *cookies)
{
	struct sw_cookie_terms terms[SW_BURST];
	struct sw_cookie_lanes lanes;

	memset(cookies, 0, count * sizeof(*cookies));
	for (unsigned int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		unsigned int n = 0, lane = 0;

		for (unsigned int i = 0; i < count; i++) {
			if (syns[i].is_ipv6 != is_ipv6)
				continue;
			sw_cookie_terms_make(&terms[i], &granted[i], is_ipv6, keys->epoch);
			sw_cookie_words(&lanes.words[0][n++], &syns[i], is_ipv6, sw_cookie_tuple(&syns[i]), terms[i].word);
		}
		sw_cookie_hash(&lanes, n, is_ipv6, keys->burst, &keys->current);
		for (unsigned int i = 0; i < count; i++) {
			if (syns[i].is_ipv6 != is_ipv6)
				continue;
			cookies[i].isn = sw_cookie_isn(lanes.macs[lane], &terms[i]);
			if (terms[i].timestamps)
				cookies[i].tsval = sw_cookie_tsval(lanes.macs[lane], &terms[i]);
			lane++;
		}
	}
}

/* sw_cookie_verify_burst() for packets of any families. */
static inline struct sw_cookie_verdicts verify_cookies(const struct sw_cookie_keys *keys, const struct sw_packet *acks,
	uint32_t set)
{
	uint32_t ipv6 = 0;

	for (unsigned int i = 0; i < SW_BURST; i++)
		if (set >> i & 1)
			ipv6 |= (uint32_t)acks[i].is_ipv6 << i;
	return sw_cookie_verify_burst(keys, acks, set, ipv6);
}

#endif
