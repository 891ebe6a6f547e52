/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The loop of stage 1 where the processor has AVX-512 with VBMI: TCP is looked at in its way (core/frame_plain_avx512.h), all
 * else as elsewhere.
 */
#include "parse_parts.h"

#include "../core/frame_plain_avx512.h"

/* Returns the set of those that are neither TCP nor SW_PACKET_OTHER. */
static SW_AVX512_VBMI __attribute__((noinline)) uint32_t ask_complete_parser(struct sw_burst *b, uint32_t strays,
	struct sw_plain_common *common)
{
	uint32_t odd = 0;

	for (unsigned int i; sw_next(&strays, &i);) {
		struct sw_packet *p = &b->packets[i];

		sw_frame_parse(sw_frame_of(b->mbufs[i]), b->mbufs[i]->data_len, b->side, p);
		if (p->kind == SW_PACKET_OTHER) {
			b->others |= 1u << i;
			continue;
		}
		odd |= (uint32_t)(p->kind != SW_PACKET_TCP) << i;
		common->any = _mm512_or_si512(common->any, _mm512_loadu_si512(p));
		common->all = _mm512_and_si512(common->all, _mm512_loadu_si512(p));
	}
	return odd;
}

/* What is to be known of all views: have they these bits in common? */
static const union {
	struct sw_packet view;
	uint8_t bytes[64];
} telling = {{.server = {{[0 ... 15] = 0xff}}, .server_port = 0xffff, .tcp_flags = SW_TCP_SYN | SW_TCP_ACK | SW_TCP_RST | SW_TCP_FIN}};
enum { TELLING_FLAGS = offsetof(struct sw_packet, tcp_flags) };

static void sort_each(struct sw_burst *b)
{
	uint8_t flags[SW_BURST];

	for (unsigned int i = 0; i < SW_BURST; i++) /* of any packets: sets say which count */
		flags[i] = b->packets[i].tcp_flags;
	sort_by_flags(b, flags);
}

/* Where the flags of one say those of all. */
static inline void sort_alike(struct sw_burst *b)
{
	const struct sw_packet *first = &b->packets[__builtin_ctz(b->tcp)];

	if (sw_handshake_of(first) == SW_TCP_SYN && b->side == SW_OUTSIDE)
		b->syns = b->tcp;
	else if (sw_handshake_of(first) == SW_TCP_ACK)
		b->acks = b->tcp & ~find_fragments(b);
	if (first->tcp_flags & SW_TCP_FIN)
		b->fins = b->tcp;
}

static inline SW_AVX512_VBMI void make_sets(struct sw_burst *b, uint32_t odd, const struct sw_plain_common *common)
{
	const uint64_t differing = _mm512_test_epi8_mask(_mm512_xor_si512(common->any, common->all),
		_mm512_loadu_si512(telling.bytes));

	b->tcp = b->pending & ~(b->others | odd);
	b->one_server = (differing & ~(1ull << TELLING_FLAGS)) == 0;
	b->syns = b->acks = b->fins = 0;
	if (b->tcp == 0)
		return;
	if (unlikely(differing >> TELLING_FLAGS & 1))
		sort_each(b);
	else
		sort_alike(b);
}

/* At a frame of that family, or of none if it is said to be IPv6. */
static __rte_always_inline SW_AVX512_VBMI enum sw_plain look(struct sw_plain_wide *wide, const struct sw_trie_root *root,
	bool near, bool is_ipv6, const uint8_t *frame, uint32_t bytes, enum sw_side side, struct sw_packet *p,
	struct sw_plain_common *common)
{
	const uint8_t *source = frame + (is_ipv6 ? 22 : 26);

	if (unlikely(frame[is_ipv6 ? 20 : 23] != SW_PROTO_TCP)) {
		if (!is_ipv6)
			return sw_plain_other_ipv4(frame, bytes, side, p);
		return sw_load_be32(frame + SW_PLAIN_L3 - 2) >> 16 == SW_ETHERTYPE_IPV6
			? sw_plain_other_ipv6(frame, bytes, side, p) : SW_PLAIN_NOT;
	}
	if (unlikely(!sw_plain_ends_differ(is_ipv6, source)))
		return SW_PLAIN_NOT;
	if (side == SW_OUTSIDE)
		ask_for_source(near, root, source);
	return sw_plain_look_tcp(wide, is_ipv6, frame, bytes, p, common) ? SW_PLAIN_TCP : SW_PLAIN_NOT;
}

static __rte_always_inline SW_AVX512_VBMI void parse_all(const struct sw_worker *w, struct sw_burst *b,
	const struct sw_plain_rows rows[2], enum sw_side side)
{
	const struct sw_trie_root *of = w->policy->sources->trie.roots;
	/* Nothing that is written here could change them. */
	const struct sw_trie_root roots[2] = {of[SW_TRIE_IPV4], of[SW_TRIE_IPV6]};
	const bool near = w->prefetch.near;
	struct sw_plain_wide ipv4 = sw_plain_wide(&rows[0]), ipv6 = sw_plain_wide(&rows[1]);
	struct rte_mbuf *const *at = b->mbufs, *const *const end = at + b->count;
	struct sw_plain_common common = {_mm512_setzero_si512(), _mm512_set1_epi64(-1)};
	struct sw_packet *p = b->packets;
	uint32_t strays = 0;

	b->others = 0;
	for (; at < end; at++, p++) {
		const uint8_t *frame = rte_pktmbuf_mtod(*at, const uint8_t *);
		const uint32_t bytes = (*at)->data_len;
		enum sw_plain plain;

		if (unlikely(bytes < SW_PLAIN_BYTES_IPV4))
			plain = SW_PLAIN_NOT;
		else if (likely(sw_load_be16(frame + SW_PLAIN_L3 - 2) == SW_ETHERTYPE_IPV4))
			plain = look(&ipv4, &roots[SW_TRIE_IPV4], near, false, frame, bytes, side, p, &common);
		else
			plain = look(&ipv6, &roots[SW_TRIE_IPV6], near, true, frame, bytes, side, p, &common);
		if (likely(plain == SW_PLAIN_TCP))
			continue;
		if (plain == SW_PLAIN_OTHER)
			b->others |= 1u << (at - b->mbufs);
		else
			strays |= 1u << (at - b->mbufs);
	}
	b->strays = strays;
	if (unlikely(strays)) {
		struct sw_plain_common whole = common;
		const uint32_t odd = ask_complete_parser(b, strays, &whole);
		make_sets(b, odd, &whole);
	} else {
		make_sets(b, 0, &common);
	}
}

static inline SW_AVX512_VBMI void fill(uint32_t values[SW_BURST], uint32_t value)
{
	_mm512_storeu_si512(values, _mm512_set1_epi32((int)value));
	_mm512_storeu_si512(values + SW_BURST / 2, _mm512_set1_epi32((int)value));
}

/* Nothing is known of any packet. */
static inline SW_AVX512_VBMI void forget(struct sw_burst *b)
{
	_mm256_storeu_si256((void *)b->verdicts, _mm256_setzero_si256()); /* SW_PENDING */
	_mm256_storeu_si256((void *)b->reasons, _mm256_setzero_si256());
	fill(b->services, SW_NONE);
	fill(b->slots, SW_NONE);
	fill(b->flows, SW_FLOW_NONE);
	fill(b->classes, SW_SOURCE_CLASS_NONE);
}

SW_AVX512_VBMI void sw_parse_burst_avx512(struct sw_worker *w, struct sw_burst *b)
{
	const struct sw_plain_rows *rows = sw_plain_rows[b->side];

	reach(b, w->prefetch.near);
	forget(b);
	__asm__("" : "+r"(rows)); /* any: of tables that they know compilers load parts anew for each frame */
	if (b->side == SW_OUTSIDE) /* compiled for each */
		parse_all(w, b, rows, SW_OUTSIDE);
	else
		parse_all(w, b, rows, SW_INSIDE);
}
