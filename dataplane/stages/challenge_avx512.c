/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Answers to SYNs in vectors. What is reckoned, numbers and sums, is reckoned for eight at a time, a lane of 64 bits
 * each. What is moved is moved for one at a time, all of it at once (segment_avx512.h).
 *
 * SYNs of a burst are mostly alike; then it is one run. Short runs and frames of rare shapes (IPv4 options, extension
 * headers) are written by challenge.c.
 */
#include "challenge_parts.h"

#include <rte_branch_prediction.h>

#include "../challenges.h"
#include "segment_avx512.h"

enum {
	STENCIL_MIN = 3,
	COMPARED_FROM = sizeof(struct sw_packet) - 64, /* the views' last 64 bytes hold all that makes runs differ */
};

/* ---- which SYNs, and what of them is alike ------------------------------------------------------------------------ */

/* Those that are answered together, one family, lane by lane. */
struct chosen {
	uint32_t set;
	unsigned int count;
	bool is_ipv6;
	/* Where in b->packets, in bytes; behind the last lane again the first one's. */
	uint32_t views[SW_BURST + 16] __attribute__((aligned(64)));
	uint64_t times[SW_BURST]; /* TSval and TSecr */
	struct rte_mbuf *const *mbufs;
	struct rte_mbuf *listed[SW_BURST]; /* mbufs, if not those of the burst */
};

/* The bit of is_ipv6 among what is compared. */
#define FAMILY (1u << (offsetof(struct sw_packet, is_ipv6) - COMPARED_FROM) / 4)

/* What must be the same within a run, beside the service: what the client asks for, and the frame's shape. */
static const struct sw_packet telling = {
	.tcp_flags = SW_TCP_ECE | SW_TCP_CWR, .mss = 0xffff, .window_scale = -1,
	.options = SW_OPTION_SACK_PERMITTED | SW_OPTION_TIMESTAMPS,
	.is_ipv6 = 0xff, .l3_offset = 0xffff, .l4_offset = 0xffff,
};

static INLINE __m512i load_compared(const struct sw_packet *p)
{
	_Static_assert(offsetof(struct sw_packet, tcp_flags) >= COMPARED_FROM, "all that is telling");
	return load((const uint8_t *)p + COMPARED_FROM);
}

/* Index of the packet in a lane. */
static INLINE unsigned int packet_in(uint32_t set, unsigned int lane)
{
	return (unsigned int)__builtin_ctz(_pdep_u32(1u << lane, set));
}

static TARGET void list_mbufs(const struct sw_burst *b, struct chosen *c)
{
	unsigned int n = 0;

	c->mbufs = b->mbufs;
	if ((c->set & (c->set + 1)) == 0)
		return; /* the burst's first: a lane is a packet */
	c->mbufs = c->listed;
	for (unsigned int i = 0; i < SW_BURST; i += LANES) {
		const __mmask8 these = (__mmask8)(c->set >> i);
		_mm512_storeu_si512(&c->listed[n], _mm512_maskz_compress_epi64(these, load(&b->mbufs[i])));
		n += (unsigned int)__builtin_popcount(these);
	}
}

static TARGET void list(const struct sw_burst *b, struct chosen *c)
{
	const __m512i step = _mm512_set1_epi32(sizeof(struct sw_packet));
	const __m512i low = _mm512_mullo_epi32(step, _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
	const __m512i high = _mm512_add_epi32(low, _mm512_slli_epi32(step, 4));
	const __m512i first = _mm512_set1_epi32(__builtin_ctz(c->set) * (int)sizeof(struct sw_packet));
	const unsigned int in_low = (unsigned int)__builtin_popcount(c->set & 0xffff);

	c->count = in_low + (unsigned int)__builtin_popcount(c->set >> 16);
	_mm512_storeu_si512(&c->views[16], first);
	_mm512_storeu_si512(&c->views[0], _mm512_mask_compress_epi32(first, (__mmask16)c->set, low));
	_mm512_storeu_si512(&c->views[in_low], _mm512_mask_compress_epi32(first, (__mmask16)(c->set >> 16), high));
	list_mbufs(b, c);
}

/* The set of lanes that begin a run. */
static TARGET uint32_t find_runs(const struct sw_burst *b, uint32_t set)
{
	const __m512i mask = load_compared(&telling);
	__m512i before = load_compared(&b->packets[__builtin_ctz(set)]);
	uint32_t begins = 1, slot = b->slots[__builtin_ctz(set)];

	set &= set - 1;
	for (unsigned int lane = 1; set; set &= set - 1, lane++) {
		const size_t i = (size_t)__builtin_ctz(set);
		const __m512i this = load_compared(&b->packets[i]);
		const bool differs = _mm512_test_epi32_mask(_mm512_xor_si512(this, before), mask) != 0 || b->slots[i] != slot;
		begins |= (uint32_t)differs << lane;
		before = this;
		slot = b->slots[i];
	}
	return begins;
}

static TARGET uint32_t other_slots(const struct sw_burst *b, uint32_t set)
{
	const __m512i slot = _mm512_set1_epi32((int)b->slots[__builtin_ctz(set)]);
	const uint32_t low = _mm512_cmpneq_epi32_mask(load(&b->slots[0]), slot);
	const uint32_t high = _mm512_cmpneq_epi32_mask(load(&b->slots[16]), slot);

	return (low | high << 16) & set;
}

static TARGET uint32_t same_family(const struct sw_burst *b, uint32_t set)
{
	const uint8_t is_ipv6 = b->packets[__builtin_ctz(set)].is_ipv6;
	uint32_t same = 0;

	for (unsigned int i; sw_next(&set, &i);)
		same |= (uint32_t)(b->packets[i].is_ipv6 == is_ipv6) << i;
	return same;
}

/* ---- words, and who may be remembered ----------------------------------------------------------------------------- */

/* Of eight views' first 64 bytes, words of 64 bits by column. Those that nobody asks for, compilers leave out. */
struct columns {
	__m512i client[2], server[2], tuple, times;
};

static INLINE struct columns turn(const __m512i row[LANES])
{
	__m512i even[4], odd[4]; /* words 0, 2, 4, 6 and 1, 3, 5, 7 of two rows each */

	for (int i = 0; i < 4; i++) {
		even[i] = _mm512_unpacklo_epi64(row[2 * i], row[2 * i + 1]);
		odd[i] = _mm512_unpackhi_epi64(row[2 * i], row[2 * i + 1]);
	}
#define FOUR(pairs, half) _mm512_shuffle_i64x2(pairs[0], pairs[1], half), _mm512_shuffle_i64x2(pairs[2], pairs[3], half)
#define COLUMN(fours, which) _mm512_shuffle_i64x2(fours[0], fours[1], which)
	const __m512i words_0_2[2] = {FOUR(even, 0x44)}, words_1_3[2] = {FOUR(odd, 0x44)}, words_4_6[2] = {FOUR(even, 0xee)};
	return (struct columns){
		.client = {COLUMN(words_0_2, 0x88), COLUMN(words_1_3, 0x88)},
		.server = {COLUMN(words_0_2, 0xdd), COLUMN(words_1_3, 0xdd)},
		.tuple = COLUMN(words_4_6, 0x88), .times = COLUMN(words_4_6, 0xdd),
	};
#undef FOUR
#undef COLUMN
}

_Static_assert(offsetof(struct sw_packet, server) == 16 && offsetof(struct sw_packet, client_port) == 32 &&
				   offsetof(struct sw_packet, tsval) == 48, "words 0 and 1, 2 and 3, 4, 6");

/* As sw_cookie_words() has them, but for the last. */
static INLINE void store_words(struct answers *a, unsigned int lane, const struct columns *c, bool is_ipv6)
{
	if (is_ipv6) {
		_mm512_storeu_si512(&a->lanes.words[0][lane], c->client[0]);
		_mm512_storeu_si512(&a->lanes.words[1][lane], c->client[1]);
		_mm512_storeu_si512(&a->lanes.words[2][lane], c->server[0]);
		_mm512_storeu_si512(&a->lanes.words[3][lane], c->server[1]);
		_mm512_storeu_si512(&a->lanes.words[4][lane], c->tuple);
	} else {
		const __m512i client = _mm512_srli_epi64(c->client[1], 32), low = _mm512_set1_epi64(0xffffffff);
		_mm512_storeu_si512(&a->lanes.words[0][lane],
			_mm512_ternarylogic_epi64(low, client, c->server[1], 0xca)); /* where `low` is, client, else server */
		_mm512_storeu_si512(&a->lanes.words[1][lane], c->tuple);
	}
}

static INLINE __m128i four_of(const uint32_t *keys, const uint32_t *places)
{
	__m128i four = _mm_cvtsi32_si128((int)keys[places[0]]);

	four = _mm_insert_epi32(four, (int)keys[places[1]], 1);
	four = _mm_insert_epi32(four, (int)keys[places[2]], 2);
	return _mm_insert_epi32(four, (int)keys[places[3]], 3);
}

/* sw_challenge_has_room() of eight; a bit each. Places are looked up one by one: that takes less time than a gather. */
static INLINE uint32_t have_room(const struct sw_worker *w, const struct columns *c)
{
	const __m512i whiten = _mm512_broadcast_i32x4(sw_limiter_load(w->limiter.key[1]));
	const __m512i first = _mm512_broadcast_i32x4(sw_limiter_load(w->limiter.key[2]));
	const __m512i second = _mm512_broadcast_i32x4(sw_limiter_load(w->limiter.key[0]));
	const __m512i in_order = _mm512_setr_epi32(0, 16, 4, 20, 8, 24, 12, 28, 0, 0, 0, 0, 0, 0, 0, 0);
	__m512i even = _mm512_xor_si512(_mm512_unpacklo_epi64(c->client[1], c->tuple), whiten);
	__m512i odd = _mm512_xor_si512(_mm512_unpackhi_epi64(c->client[1], c->tuple), whiten);
	uint32_t places[LANES] __attribute__((aligned(32)));

	even = _mm512_aesenc_epi128(_mm512_aesenc_epi128(even, first), second);
	odd = _mm512_aesenc_epi128(_mm512_aesenc_epi128(odd, first), second);
	const __m256i hashes = _mm512_castsi512_si256(_mm512_permutex2var_epi32(even, in_order, odd));
	_mm256_storeu_si256((__m256i *)places, _mm256_srli_epi32(hashes, 22));
	const __m256i there = _mm256_inserti128_si256(_mm256_castsi128_si256(four_of(w->challenge_keys, places)),
		four_of(w->challenge_keys, places + 4), 1);
	/* Free, or its own. */
	const __m256i differ = _mm256_andnot_si256(_mm256_set1_epi32(SW_CHALLENGE_USED | SW_CHALLENGE_PROVEN),
		_mm256_xor_si256(there, hashes));
	return _mm256_testn_epi32_mask(there, there) | _mm256_testn_epi32_mask(differ, differ);
}

/*
 * Words 0 to all but the last of every lane, and who may be remembered. Returns in which 32-bit words, of what is
 * compared, some lane is not as the first.
 */
static INLINE __mmask16 gather(struct sw_worker *w, const struct sw_burst *b, struct chosen *c, struct answers *a,
	bool is_ipv6)
{
	const uint8_t *views = (const uint8_t *)b->packets;
	const __m512i first = load(views + c->views[0] + COMPARED_FROM);
	__m512i differ = _mm512_setzero_si512();
	uint32_t room = 0;

	for (unsigned int lane = 0; lane < c->count; lane += LANES) {
		__m512i row[LANES];
#pragma GCC unroll 8
		for (unsigned int i = 0; i < LANES; i++) {
			const uint8_t *view = views + c->views[lane + i];
			row[i] = load(view);
			differ = _mm512_ternarylogic_epi64(differ, first, load(view + COMPARED_FROM), 0xf6); /* |= first ^ it */
		}
		const struct columns columns = turn(row);
		store_words(a, lane, &columns, is_ipv6);
		_mm512_storeu_si512(&c->times[lane], columns.times);
		room |= have_room(w, &columns) << lane;
	}
	a->room = _pdep_u32(room, c->set) | (b->proven & c->set);
	return _mm512_test_epi32_mask(differ, load_compared(&telling));
}
/* Runs, and the last word of their lanes. */
static TARGET void begin_runs(struct sw_worker *w, const struct sw_burst *b, const struct chosen *c, struct answers *a,
	uint32_t begins)
{
	uint64_t *last = *(a->lanes.words + (c->is_ipv6 ? SW_COOKIE_WORDS_IPV6 - 1 : SW_COOKIE_WORDS_IPV4 - 1));

	sw_answers_begin(a);
	for (unsigned int lane; sw_next(&begins, &lane);) {
		const unsigned int i = packet_in(c->set, lane), end = begins ? (unsigned int)__builtin_ctz(begins) : c->count;
		struct run *run = sw_answers_begin_run(w, a, &b->packets[i], b->slots[i]);

		run->end = (uint8_t)end;
		sw_count_many(w, b->slots[i], SW_COUNT_SENT_SYN_ACK, end - lane);
		/* Also behind its end: there are the next run's, or the MACs that are yet to be. */
		for (unsigned int k = lane; k < end; k += LANES)
			_mm512_storeu_si512(last + k, _mm512_set1_epi64((long long)run->terms.word));
		if (unlikely(b->packets[i].l3_offset != ETHERNET_BYTES))
			for (unsigned int k = lane; k < end; k++)
				last[k] |= b->packets[packet_in(c->set, k)].vlan;
	}
}

/* ---- frames ------------------------------------------------------------------------------------------------------- */

/* MAC addresses in front of tags. */
static TARGET void turn_all(struct rte_mbuf *const *mbufs, unsigned int count)
{
	for (unsigned int k = 0; k < count; k++)
		sw_frame_turn(sw_frame_of(mbufs[k]));
}

static INLINE void write_run(const struct sw_burst *b, const struct chosen *c, const struct answers *a,
	unsigned int lane, const struct run *run, bool is_ipv6, bool timestamps)
{
	const struct sw_segment_form *form = run->form;
	const struct common common = common_of(&run->terms, form);
	struct stencil stencil;
	struct stamps stamps;

	for (unsigned int k = lane / LANES * LANES; k < run->end; k += LANES)
		reckon(&a->lanes, c->times, &common, k, &stamps, is_ipv6, timestamps);
	make_stencil(&stencil, form, b->packets[packet_in(c->set, lane)].l3_offset, is_ipv6);
	if (unlikely(stencil.offset))
		turn_all(c->mbufs + lane, run->end - lane);
	if (is_ipv6 || timestamps || form->is_long)
		write_lanes(&stencil, &stamps, c->mbufs, lane, run->end, is_ipv6, true, timestamps);
	else
		write_lanes(&stencil, &stamps, c->mbufs, lane, run->end, is_ipv6, false, timestamps);
}

static __attribute__((noinline)) TARGET void write_ipv4(const struct sw_burst *b, const struct chosen *c,
	const struct answers *a, unsigned int lane, const struct run *run)
{
	if (run->terms.timestamps)
		write_run(b, c, a, lane, run, false, true);
	else
		write_run(b, c, a, lane, run, false, false);
}

static __attribute__((noinline)) TARGET void write_ipv6(const struct sw_burst *b, const struct chosen *c,
	const struct answers *a, unsigned int lane, const struct run *run)
{
	if (run->terms.timestamps)
		write_run(b, c, a, lane, run, true, true);
	else
		write_run(b, c, a, lane, run, true, false);
}

/* Enough of them to be worth a stencil, and nothing between the IP header's 20 or 40 bytes and TCP. */
static inline bool is_plain(const struct sw_packet *p, unsigned int count)
{
	return count >= STENCIL_MIN &&
		p->l4_offset == p->l3_offset + (p->is_ipv6 ? SW_SEGMENT_IPV6_BYTES : SW_SEGMENT_IPV4_BYTES);
}

static TARGET void write_odd(struct sw_burst *b, const struct chosen *c, struct answers *a, unsigned int lane,
	const struct run *run)
{
	for (unsigned int k = lane; k < run->end; k++)
		a->packets[k] = (uint8_t)packet_in(c->set, k);
	sw_answers_write_run(b, a, lane, run, c->is_ipv6);
}

static TARGET void write_answers(struct sw_burst *b, const struct chosen *c, struct answers *a)
{
	unsigned int lane = 0;

	for (const struct run *run = a->runs; run < a->runs + a->run_count; lane = run->end, run++) {
		if (unlikely(!is_plain(&b->packets[packet_in(c->set, lane)], run->end - lane)))
			write_odd(b, c, a, lane, run);
		else if (c->is_ipv6)
			write_ipv6(b, c, a, lane, run);
		else
			write_ipv4(b, c, a, lane, run);
	}
}

/* ---- the whole ---------------------------------------------------------------------------------------------------- */

static __attribute__((noinline)) TARGET __mmask16 gather_ipv4(struct sw_worker *w, const struct sw_burst *b,
	struct chosen *c, struct answers *a)
{
	return gather(w, b, c, a, false);
}

static __attribute__((noinline)) TARGET __mmask16 gather_ipv6(struct sw_worker *w, const struct sw_burst *b,
	struct chosen *c, struct answers *a)
{
	return gather(w, b, c, a, true);
}

/* Those of `set` that are of the first one's family, and what tells them apart. */
static TARGET __mmask16 choose(struct sw_worker *w, const struct sw_burst *b, uint32_t set, struct chosen *c,
	struct answers *a)
{
	c->set = set;
	c->is_ipv6 = b->packets[__builtin_ctz(set)].is_ipv6;
	list(b, c);
	const __mmask16 differ = c->is_ipv6 ? gather_ipv6(w, b, c, a) : gather_ipv4(w, b, c, a);
	return likely(!(differ & FAMILY)) ? differ : choose(w, b, same_family(b, set), c, a);
}

TARGET void sw_challenge_avx512(struct sw_worker *w, struct sw_burst *b, uint32_t set)
{
	struct answers a __attribute__((aligned(64)));
	struct chosen c __attribute__((aligned(64)));

	for (; set; set &= ~c.set) {
		const __mmask16 differ = choose(w, b, set, &c, &a);
		begin_runs(w, b, &c, &a, unlikely(differ || other_slots(b, c.set)) ? find_runs(b, c.set) : 1);
		sw_cookie_hash(&a.lanes, c.count, c.is_ipv6, w->keys->burst, &w->keys->current);
		write_answers(b, &c, &a);
		if (a.room)
			sw_answers_remember(w, b, a.room);
	}
}
