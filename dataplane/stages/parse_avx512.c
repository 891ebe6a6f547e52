/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The loop of stage 1 where the processor has AVX-512 with VBMI. All that is plain TCP is seen in one pass, by
 * core/frame_plain_avx512.h; the rest is looked at again.
 */
#include "parse_parts.h"

#include "../core/frame_plain_avx512.h"

struct seen {
	uint32_t others, odd; /* SW_PACKET_OTHER; neither that nor TCP */
	struct sw_plain_common common; /* of all but `others` */
};

/* Those that are no plain TCP. */
static SW_AVX512_VBMI __attribute__((noinline)) void look_again(struct sw_burst *b, uint32_t strays, struct seen *s)
{
	for (unsigned int i; sw_next(&strays, &i);) {
		const struct rte_mbuf *m = b->mbufs[i];
		const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
		struct sw_packet *p = &b->packets[i];

		if (unlikely(!sw_plain_look_other(sw_plain_rows[b->side], frame, m->data_len, p)))
			sw_frame_parse(frame, m->data_len, b->side, p);
		if (likely(p->kind == SW_PACKET_OTHER)) {
			s->others |= 1u << i;
			continue;
		}
		s->odd |= (uint32_t)(p->kind != SW_PACKET_TCP) << i;
		sw_plain_compare(&s->common, _mm512_loadu_si512(p));
	}
}

/* Of any packets. */
static uint32_t find_syns(const struct sw_burst *b)
{
	uint8_t flags[SW_BURST];

	for (unsigned int i = 0; i < SW_BURST; i++)
		flags[i] = b->packets[i].tcp_flags;
	return first_syns(flags);
}

/* What is to be known of all views: have they these bits in common? */
static const union {
	struct sw_packet view;
	uint8_t bytes[64];
} telling = {{.server = {{[0 ... 15] = 0xff}}, .server_port = 0xffff, .tcp_flags = SW_TCP_SYN | SW_TCP_ACK | SW_TCP_RST}};
enum { TELLING_FLAGS = offsetof(struct sw_packet, tcp_flags) };

static inline SW_AVX512_VBMI void make_sets(struct sw_burst *b, const struct seen *s)
{
	const uint64_t differing = _mm512_test_epi8_mask(_mm512_xor_si512(s->common.any, s->common.all),
		_mm512_loadu_si512(telling.bytes));
	const uint32_t tcp = b->pending & ~(s->others | s->odd);

	b->others = s->others;
	b->tcp = tcp;
	b->one_server = (differing & ~(1ull << TELLING_FLAGS)) == 0;
	b->syns = 0;
	if (tcp == 0 || b->side != SW_OUTSIDE)
		return;
	if (unlikely(differing >> TELLING_FLAGS & 1))
		b->syns = find_syns(b) & tcp;
	else if (sw_handshake_of(&b->packets[__builtin_ctz(tcp)]) == SW_TCP_SYN)
		b->syns = tcp;
}

static __rte_always_inline SW_AVX512_VBMI void parse_all(const struct sw_worker *w, struct sw_burst *b,
	const struct sw_plain_rows rows[2], enum sw_side side)
{
	const struct sw_trie_root *of = w->policy->sources->trie.roots;
	/* Nothing that is written here could change them. */
	const struct sw_trie_root roots[2] = {of[SW_TRIE_IPV4], of[SW_TRIE_IPV6]};
	const struct sw_plain_wide ipv4 = sw_plain_wide(&rows[0]), ipv6 = sw_plain_wide(&rows[1]);
	struct sw_plain_common common = {_mm512_setzero_si512(), _mm512_set1_epi64(-1)};
	struct sw_packet *p = b->packets;
	const unsigned int count = b->count;
	uint32_t strays = 0;

	for (unsigned int i = 0; i < count; i++, p++) {
		const struct rte_mbuf *m = b->mbufs[i];
		const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
		const uint32_t bytes = m->data_len;

		if (unlikely(bytes < SW_PLAIN_BYTES_IPV4))
			goto stray;
		if (likely(sw_plain_is_ipv4(frame))) {
			if (unlikely(!sw_plain_look_ipv4(&ipv4, frame, bytes, p, &common)))
				goto stray;
			if (side == SW_OUTSIDE)
				ask_for_source(&roots[SW_TRIE_IPV4], frame + 26);
		} else {
			if (unlikely(!sw_plain_look_ipv6(&ipv6, frame, bytes, p, &common)))
				goto stray;
			if (side == SW_OUTSIDE)
				ask_for_source(&roots[SW_TRIE_IPV6], frame + 22);
		}
		continue;
stray:
		strays |= 1u << i;
	}
	struct seen s = {.common = common};
	if (strays)
		look_again(b, strays, &s);
	make_sets(b, &s);
}

SW_AVX512_VBMI void sw_parse_burst_avx512(struct sw_worker *w, struct sw_burst *b)
{
	const struct sw_plain_rows *rows = sw_plain_rows[b->side];

	reach(b);
	__asm__("" : "+r"(rows)); /* anything: one register for all tables, and not one for each */
	if (b->side == SW_OUTSIDE) /* compiled for each */
		parse_all(w, b, rows, SW_OUTSIDE);
	else
		parse_all(w, b, rows, SW_INSIDE);
}
