/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The SYN cookie; syncookie.h draws both numbers and the message under the MAC.
 *
 *   ISN    |  MAC 23..0 (24)   | MSS (3) | scale (3) | S | E |
 *   TSval  |  MAC 49..24 (26)            | scale (4) | C | 0 |
 */
#include "syncookie_layout.h"

#include <emmintrin.h>

/*
 *  536  RFC 9293, 3.7.1: what every IPv4 host takes        1220  the same for IPv6
 * 1300  mobile and tunnelled; 15 to 20 % announce 1300 to 1349 (Alcock and Nelson, "An Analysis of TCP Maximum
 *       Segment Sizes", 2011), few anything between 536 and there
 * 1360  IPsec and GRE over Ethernet (MTU 1400)             1400  IPv6 in a tunnel of MTU 1460; carriers that clamp
 * 1440  IPv6 over Ethernet; PPPoE's 1452 falls here        1460  IPv4 over Ethernet, the most frequent of all
 * 8940  jumbo frames, MTU 9000, less the IPv6 and TCP headers: right for both families
 */
const uint16_t sw_cookie_mss[8] = {536, 1220, 1300, 1360, 1400, 1440, 1460, 8940};

/*
 * Only clients without timestamps need it, above all Windows (8) and Linux with tcp_timestamps=0 (7, or 10 with the
 * 32 MiB buffers of newer kernels); 5 and 6 are Apple's and the BSDs', 2 that of small buffers.
 */
const int8_t sw_cookie_window_scale[8] = {SW_WINDOW_SCALE_NONE, 0, 2, 5, 6, 7, 8, 10};

/* The last entry that is not above `mss`; entry 0 for what is below all. */
static inline unsigned int mss_index(uint16_t mss)
{
	/* As many bits as entries behind the first are not above: those that a saturating subtraction brings to 0. */
	const __m128i above = _mm_subs_epu16(_mm_loadu_si128((const __m128i *)sw_cookie_mss), _mm_set1_epi16((short)mss));
	const __m128i reached = _mm_packs_epi16(_mm_cmpeq_epi16(above, _mm_setzero_si128()), _mm_setzero_si128());

	return (unsigned int)__builtin_popcount((unsigned int)_mm_movemask_epi8(reached) & 0xfeu);
}

/* The same for scales, none (-1) to 14: few enough for a table of the answers. */
static inline unsigned int window_scale_index(int8_t scale)
{
	static const uint8_t index[16] = {0, 1, 1, 2, 2, 2, 3, 4, 5, 6, 6, 7, 7, 7, 7, 7};

	return index[(scale + 1) & 15];
}

static inline uint64_t last_word(uint32_t option_byte, uint32_t timestamp_byte, bool is_ipv6)
{
	return (uint64_t)option_byte << OPTION_BYTE_SHIFT | (uint64_t)timestamp_byte << TIMESTAMP_BYTE_SHIFT |
		(uint64_t)(is_ipv6 ? DOMAIN_IPV6 : DOMAIN_IPV4) << DOMAIN_SHIFT;
}

void sw_cookie_terms_make(struct sw_cookie_terms *terms, const struct sw_cookie_options *granted, bool is_ipv6,
	uint32_t epoch)
{
	const int8_t scale = granted->window_scale;
	unsigned int exact = SCALE_NONE, option_byte;

	if (scale >= 0)
		exact = scale > SW_WINDOW_SCALE_MAX ? SW_WINDOW_SCALE_MAX : (unsigned int)scale;
	option_byte = mss_index(granted->mss) << ISN_MSS_SHIFT | window_scale_index(scale) << ISN_SCALE_SHIFT |
		(granted->sack ? ISN_SACK : 0u);
	terms->timestamps = granted->timestamps;
	terms->tsval = granted->timestamps ? exact << TSVAL_SCALE_SHIFT | (granted->ecn ? TSVAL_ECN : 0u) : 0;
	terms->isn = option_byte | (epoch & ISN_EPOCH);
	terms->word = last_word(option_byte, granted->timestamps ? TIMESTAMP_BYTE_USED | terms->tsval : 0, is_ipv6);
}

void sw_cookie_decode(const struct sw_packet *ack, struct sw_cookie_options *options)
{
	const uint32_t isn = ack->ack - 1;

	*options = (struct sw_cookie_options){
		.mss = sw_cookie_mss[isn >> ISN_MSS_SHIFT & 7],
		.window_scale = sw_cookie_window_scale[isn >> ISN_SCALE_SHIFT & 7],
		.sack = (isn & ISN_SACK) != 0,
	};
	if (ack->timestamp_offset) {
		const unsigned int exact = ack->tsecr >> TSVAL_SCALE_SHIFT & 15;

		options->window_scale = exact == SCALE_NONE ? SW_WINDOW_SCALE_NONE : (int8_t)exact;
		options->timestamps = 1;
		options->ecn = (ack->tsecr & TSVAL_ECN) != 0;
	}
}

/* ---- echoes ----------------------------------------------------------------------------------------------------- */

/* Echoes of one family and one parity of epochs: hashed together. */
struct echoes {
	struct sw_cookie_lanes lanes;
	uint64_t echoed[SW_BURST]; /* what the MAC has to be ... */
	uint64_t counts[SW_BURST]; /* ... in these bits: 23..0, and 49..24 with timestamps */
	uint8_t packets[SW_BURST]; /* which packet a lane is */
	unsigned int count;
};

/* The client's ISN and what it echoes, from an ACK that carries its first byte (RFC 9293, 3.5). */
static inline void add_echo(struct echoes *e, unsigned int lane, const struct sw_packet *p, bool is_ipv6)
{
	const uint64_t timestamps = -(uint64_t)(p->timestamp_offset != 0); /* all bits or none */
	const uint32_t isn = p->ack - 1;
	const uint64_t tsval = p->tsecr & timestamps;
	const uint32_t timestamp_byte = (tsval & TSVAL_OPTIONS) | (TIMESTAMP_BYTE_USED & (uint32_t)timestamps);

	sw_cookie_words(&e->lanes.words[0][lane], p, is_ipv6, sw_cookie_tuple(p) - (1ull << 32),
		last_word(isn & ISN_OPTIONS, timestamp_byte, is_ipv6));
	e->echoed[lane] =
		isn >> SW_COOKIE_ISN_MAC_SHIFT | tsval >> SW_COOKIE_TSVAL_MAC_SHIFT << SW_COOKIE_TSVAL_MAC_FROM;
	e->counts[lane] = ISN_MAC | (TSVAL_MAC & timestamps);
}

static inline __attribute__((always_inline)) void gather_family(struct echoes *e, const struct sw_packet *packets,
	uint32_t set, bool is_ipv6)
{
	unsigned int lane = 0;

	for (; set; set &= set - 1, lane++) {
		const size_t i = (size_t)__builtin_ctz(set);

		add_echo(e, lane, &packets[i], is_ipv6);
		e->packets[lane] = (uint8_t)i;
	}
	e->count = lane;
}

static void gather(struct echoes *e, const struct sw_packet *packets, uint32_t set, bool is_ipv6)
{
	if (is_ipv6)
		gather_family(e, packets, set, true);
	else
		gather_family(e, packets, set, false);
}

/*
 * Hashes them under `key`. Returns which packets are right. Whole MACs are compared; the option bits need no compare,
 * they are under the MAC.
 */
static uint32_t check(struct echoes *e, bool is_ipv6, sw_siphash_burst_fn burst, const struct sw_siphash_key *key)
{
	uint32_t right = 0, lanes = 0;

	sw_cookie_hash(&e->lanes, e->count, is_ipv6, burst, key);
	for (unsigned int lane = 0; lane < e->count; lane++)
		lanes |= (uint32_t)(((e->lanes.macs[lane] ^ e->echoed[lane]) & e->counts[lane]) == 0) << lane;
	for (; lanes; lanes &= lanes - 1)
		right |= 1u << e->packets[__builtin_ctz(lanes)];
	return right;
}

static void verify_current(const struct sw_cookie_keys *keys, const struct sw_packet *packets, uint32_t set,
	bool is_ipv6, struct sw_cookie_verdicts *verdicts)
{
	struct echoes e;

	gather(&e, packets, set, is_ipv6);
	const uint32_t right = check(&e, is_ipv6, keys->burst, &keys->current);
	verdicts->valid |= right;
	/* Once more under the key two epochs back, whose parity is the same: the words are there already. */
	if (right != set)
		verdicts->expired |= check(&e, is_ipv6, keys->burst, &keys->before_previous) & ~right;
}

static void verify_previous(const struct sw_cookie_keys *keys, const struct sw_packet *packets, uint32_t set,
	bool is_ipv6, struct sw_cookie_verdicts *verdicts)
{
	struct echoes e;

	gather(&e, packets, set, is_ipv6);
	verdicts->valid |= check(&e, is_ipv6, keys->burst, &keys->previous);
}

struct sw_cookie_verdicts sw_cookie_verify_burst(const struct sw_cookie_keys *keys, const struct sw_packet *packets,
	uint32_t set, uint32_t ipv6)
{
	struct sw_cookie_verdicts verdicts = {0, 0};
	uint32_t previous = 0;

#ifdef __x86_64__
	if (keys->burst == sw_siphash_burst_avx512)
		return sw_cookie_verify_avx512(keys, packets, set, ipv6);
#endif
	/* Sorted without a branch: who forges cookies draws their parity. */
	for (uint32_t todo = set; todo; todo &= todo - 1) {
		const size_t i = (size_t)__builtin_ctz(todo);

		previous |= (((packets[i].ack - 1) ^ keys->epoch) & ISN_EPOCH) << i;
	}
	for (unsigned int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		const uint32_t family = set & (is_ipv6 ? ipv6 : ~ipv6);

		if (family & ~previous)
			verify_current(keys, packets, family & ~previous, is_ipv6, &verdicts);
		if (family & previous)
			verify_previous(keys, packets, family & previous, is_ipv6, &verdicts);
	}
	return verdicts;
}
