/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The SYN cookie; syncookie.h draws both numbers and the message under the MAC.
 *
 *   ISN    |  MAC 23..0 (24)   | MSS (3) | scale (3) | S | E |
 *   TSval  |  MAC 49..24 (26)            | scale (4) | C | 0 |
 */
#include "syncookie.h"

#include <emmintrin.h>
#include <endian.h>

enum {
	ISN_MSS_SHIFT = 5,
	ISN_SCALE_SHIFT = 2,
	ISN_SACK = 0x02,
	ISN_EPOCH = 0x01,
	ISN_OPTIONS = 0xfe,        /* the low byte without the epoch bit */
	TSVAL_SCALE_SHIFT = 2,
	TSVAL_ECN = 0x02,
	TSVAL_OPTIONS = 0x3f,
	TSVAL_MAC_SHIFT = 6,
	TSVAL_MAC_FROM = 24,       /* bits 49..24 of the MAC */
	SCALE_NONE = 15,           /* exact scales are 0 to 14 (RFC 7323, 2.3) */
	TIMESTAMP_BYTE_USED = 0x80,
	DOMAIN_IPV4 = 4,
	DOMAIN_IPV6 = 6,
};

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

void sw_cookie_encode_options(const struct sw_cookie_options *options, uint8_t *option_byte, uint8_t *timestamp_byte)
{
	const int8_t scale = options->window_scale;
	unsigned int exact = SCALE_NONE;

	if (scale >= 0)
		exact = scale > SW_WINDOW_SCALE_MAX ? SW_WINDOW_SCALE_MAX : (unsigned int)scale;

	*option_byte = (uint8_t)(mss_index(options->mss) << ISN_MSS_SHIFT | window_scale_index(scale) << ISN_SCALE_SHIFT |
							 (options->sack ? ISN_SACK : 0));
	*timestamp_byte = 0;
	if (options->timestamps)
		*timestamp_byte = (uint8_t)(TIMESTAMP_BYTE_USED | exact << TSVAL_SCALE_SHIFT | (options->ecn ? TSVAL_ECN : 0));
}

void sw_cookie_decode(uint32_t isn, bool has_timestamp, uint32_t tsecr, struct sw_cookie_options *options)
{
	*options = (struct sw_cookie_options){
		.mss = sw_cookie_mss[isn >> ISN_MSS_SHIFT & 7],
		.window_scale = sw_cookie_window_scale[isn >> ISN_SCALE_SHIFT & 7],
		.sack = (isn & ISN_SACK) != 0,
	};
	if (has_timestamp) {
		const unsigned int exact = tsecr >> TSVAL_SCALE_SHIFT & 15;

		options->window_scale = exact == SCALE_NONE ? SW_WINDOW_SCALE_NONE : (int8_t)exact;
		options->timestamps = 1;
		options->ecn = (tsecr & TSVAL_ECN) != 0;
	}
}

static inline uint64_t load_le64(const uint8_t *p)
{
	uint64_t word;

	memcpy(&word, p, 8);
	return le64toh(word);
}

unsigned int sw_cookie_words(const struct sw_packet *p, uint32_t client_isn, uint8_t option_byte,
	uint8_t timestamp_byte, uint64_t *words)
{
	const uint64_t tuple = (uint64_t)client_isn << 32 | (uint32_t)p->server_port << 16 | p->client_port;
	const uint64_t rest = (uint64_t)timestamp_byte << 40 | (uint64_t)option_byte << 32 | p->vlan;

	if (!p->is_ipv6) {
		uint8_t addresses[8];

		memcpy(addresses, p->client.bytes + 12, 4);
		memcpy(addresses + 4, p->server.bytes + 12, 4);
		words[0] = load_le64(addresses);
		words[SW_BURST] = tuple;
		words[2 * SW_BURST] = rest | (uint64_t)DOMAIN_IPV4 << 48;
		return SW_COOKIE_WORDS_IPV4;
	}
	words[0] = load_le64(p->client.bytes);
	words[SW_BURST] = load_le64(p->client.bytes + 8);
	words[2 * SW_BURST] = load_le64(p->server.bytes);
	words[3 * SW_BURST] = load_le64(p->server.bytes + 8);
	words[4 * SW_BURST] = tuple;
	words[5 * SW_BURST] = rest | (uint64_t)DOMAIN_IPV6 << 48;
	return SW_COOKIE_WORDS_IPV6;
}

uint32_t sw_cookie_isn(uint64_t mac, uint8_t option_byte, unsigned int parity)
{
	return (uint32_t)mac << 8 | (option_byte & ISN_OPTIONS) | (parity & ISN_EPOCH);
}

uint32_t sw_cookie_tsval(uint64_t mac, uint8_t timestamp_byte)
{
	return (uint32_t)(mac >> TSVAL_MAC_FROM) << TSVAL_MAC_SHIFT | (timestamp_byte & TSVAL_OPTIONS);
}

enum sw_cookie_result sw_cookie_check(uint64_t mac, uint32_t isn, bool has_timestamp, uint32_t tsecr)
{
	/* Both differences first, one decision at the end. The option bits need no compare: they are under the MAC. */
	const uint32_t isn_difference = (sw_cookie_isn(mac, 0, 0) ^ isn) >> 8;
	const uint32_t tsval_counts = (uint32_t)-(int32_t)has_timestamp; /* all bits or none */
	const uint32_t tsval_difference = (sw_cookie_tsval(mac, 0) ^ tsecr) >> TSVAL_MAC_SHIFT & tsval_counts;

	return (isn_difference | tsval_difference) == 0 ? SW_COOKIE_VALID : SW_COOKIE_INVALID;
}

/* ---- bursts ----------------------------------------------------------------------------------------------------- */

/* Packets whose messages have the same length and key: hashed together. */
struct group {
	uint64_t words[SW_COOKIE_WORDS_MAX][SW_BURST];
	uint64_t macs[SW_BURST];
	uint8_t packets[SW_BURST]; /* which packet a lane is */
	unsigned int count, word_count;
};

static void group_clear(struct group *g)
{
	g->count = g->word_count = 0;
}

static void group_add(struct group *g, const struct sw_packet *p, unsigned int index, uint32_t client_isn,
	uint8_t option_byte, uint8_t timestamp_byte)
{
	g->packets[g->count] = (uint8_t)index;
	g->word_count = sw_cookie_words(p, client_isn, option_byte, timestamp_byte, &g->words[0][g->count]);
	g->count++;
}

static void group_hash(struct group *g, const struct sw_cookie_keys *keys, const struct sw_siphash_key *key)
{
	if (g->count)
		keys->burst(key, (const uint64_t(*)[SW_BURST])g->words, g->word_count, g->count, g->macs);
}

void sw_cookie_make_burst(const struct sw_cookie_keys *keys, const struct sw_packet *const packets[],
	const struct sw_cookie_options options[], unsigned int count, struct sw_cookie cookies[])
{
	struct group groups[2]; /* by family */
	uint8_t option_bytes[SW_BURST], timestamp_bytes[SW_BURST];

	group_clear(&groups[0]);
	group_clear(&groups[1]);
	for (unsigned int i = 0; i < count; i++) {
		sw_cookie_encode_options(&options[i], &option_bytes[i], &timestamp_bytes[i]);
		group_add(&groups[packets[i]->is_ipv6 != 0], packets[i], i, packets[i]->seq, option_bytes[i],
			timestamp_bytes[i]);
	}
	for (unsigned int family = 0; family < 2; family++) {
		struct group *g = &groups[family];

		group_hash(g, keys, &keys->current);
		for (unsigned int lane = 0; lane < g->count; lane++) {
			const unsigned int i = g->packets[lane];

			cookies[i].isn = sw_cookie_isn(g->macs[lane], option_bytes[i], keys->epoch);
			cookies[i].tsval = timestamp_bytes[i] ? sw_cookie_tsval(g->macs[lane], timestamp_bytes[i]) : 0;
		}
	}
}

/* The client's ISN and what it echoes, from an ACK that carries its first byte (RFC 9293, 3.5). */
static void add_echo(struct group *g, const struct sw_packet *p, unsigned int index)
{
	const uint8_t timestamp_byte =
		p->timestamp_offset ? (uint8_t)(TIMESTAMP_BYTE_USED | (p->tsecr & TSVAL_OPTIONS)) : 0;

	group_add(g, p, index, p->seq - 1, (uint8_t)((p->ack - 1) & ISN_OPTIONS), timestamp_byte);
}

/* Hashes a group under `key`; who passes, and has not before, gets `passed`. Returns how many have not passed now. */
static unsigned int check_group(struct group *g, const struct sw_cookie_keys *keys, const struct sw_siphash_key *key,
	const struct sw_packet *const packets[], enum sw_cookie_result passed, uint8_t results[])
{
	unsigned int failed = 0;

	group_hash(g, keys, key);
	for (unsigned int lane = 0; lane < g->count; lane++) {
		const unsigned int i = g->packets[lane];
		const struct sw_packet *p = packets[i];

		if (sw_cookie_check(g->macs[lane], p->ack - 1, p->timestamp_offset != 0, p->tsecr) != SW_COOKIE_VALID)
			failed++;
		else if (results[i] == SW_COOKIE_INVALID)
			results[i] = (uint8_t)passed;
	}
	return failed;
}

void sw_cookie_verify_burst(const struct sw_cookie_keys *keys, const struct sw_packet *const packets[],
	unsigned int count, uint8_t results[], struct sw_cookie_options options[])
{
	struct group groups[2][2]; /* by age of the key, by family */

	for (unsigned int i = 0; i < 4; i++)
		group_clear(&groups[i / 2][i % 2]);
	for (unsigned int i = 0; i < count; i++) {
		const struct sw_packet *p = packets[i];
		const unsigned int age = ((p->ack - 1) ^ keys->epoch) & ISN_EPOCH;

		results[i] = SW_COOKIE_INVALID;
		sw_cookie_decode(p->ack - 1, p->timestamp_offset != 0, p->tsecr, &options[i]);
		add_echo(&groups[age][p->is_ipv6 != 0], p, i);
	}
	for (unsigned int family = 0; family < 2; family++) {
		check_group(&groups[1][family], keys, &keys->previous, packets, SW_COOKIE_VALID, results);
		/* Once more under the key two epochs back, whose parity is the same: the words are there already. */
		if (check_group(&groups[0][family], keys, &keys->current, packets, SW_COOKIE_VALID, results))
			check_group(&groups[0][family], keys, &keys->before_previous, packets, SW_COOKIE_VALID_BUT_EXPIRED, results);
	}
}
