/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage 1: every frame of the burst to a struct sw_packet, and the burst to sets of packets. What goes for a whole
 * burst is found in the same pass.
 */
#include "parse_parts.h"

#include "../core/frame_plain.h"

/* What is seen of a burst while its frames are looked at. */
struct seen {
	uint32_t others, odd;      /* SW_PACKET_OTHER; neither that nor TCP */
	uint8_t flags[SW_BURST];   /* of TCP; of all the rest some that TCP may have */
	/* Of all but `others`: */
	sw_lanes any_server, all_servers; /* bits of the servers' addresses that one has, that all have */
	sw_lanes any_ports, all_ports;    /* likewise, from client_port on */
	sw_lanes least;                   /* of the lanes of 16 bits from there on */
};

static void ask_complete_parser(struct sw_burst *b, unsigned int i, struct seen *s)
{
	struct sw_packet *p = &b->packets[i];

	sw_frame_parse(sw_frame_of(b->mbufs[i]), b->mbufs[i]->data_len, b->side, p);
	s->flags[i] = p->kind == SW_PACKET_TCP ? p->tcp_flags : SW_TCP_ACK;
	s->others |= (uint32_t)(p->kind == SW_PACKET_OTHER) << i;
	s->odd |= (uint32_t)(p->kind != SW_PACKET_OTHER && p->kind != SW_PACKET_TCP) << i;
}

static inline void compare(struct seen *s, const struct sw_packet *p)
{
	const sw_lanes server = sw_lanes_load(p->server.bytes), ports = sw_lanes_load((const uint8_t *)&p->client_port);

	s->any_server |= server;
	s->all_servers &= server;
	s->any_ports |= ports;
	s->all_ports &= ports;
	s->least = (sw_lanes)_mm_min_epu16((__m128i)s->least, (__m128i)ports);
}

/* The set of those with flags that no segment has: sw_tcp_flags_possible(), by FIN, SYN, RST, and ACK for PSH. */
static inline uint32_t impossible(const uint8_t flags[SW_BURST])
{
	const __m128i impossible_flags = _mm_set_epi8(-1, -1, 0, 0, -1, 0, 0, 0, -1, -1, 0, 0, -1, 0, -1, -1);
	uint32_t set = 0;

	for (unsigned int half = 0; half < 2; half++) {
		const __m128i all = load_half(flags, half);
		const __m128i without_ack = _mm_and_si128(all, _mm_set1_epi8(SW_TCP_FIN | SW_TCP_SYN | SW_TCP_RST));
		const __m128i ack = _mm_and_si128(_mm_srli_epi16(all, 1), _mm_set1_epi8(SW_TCP_ACK >> 1));
		const __m128i found = _mm_shuffle_epi8(impossible_flags, _mm_or_si128(without_ack, ack));
		set |= (uint32_t)_mm_movemask_epi8(found) << 16 * half;
	}
	return set;
}

_Static_assert(offsetof(struct sw_packet, server_port) == offsetof(struct sw_packet, client_port) + 2, "lanes 0, 1");

static inline bool has_zero_port(sw_lanes least)
{
	return _mm_extract_epi16((__m128i)least, 0) == 0 || _mm_extract_epi16((__m128i)least, 1) == 0;
}

static inline bool have_one_server(const struct seen *s)
{
	return sw_lanes_are_zero(s->any_server ^ s->all_servers) &&
		_mm_extract_epi16((__m128i)(s->any_ports ^ s->all_ports), 1) == 0;
}

/* What sw_frame_look_plain() leaves open of TCP. */
static inline void finish_look(struct sw_burst *b, struct seen *s)
{
	const uint32_t tcp = b->pending & ~(s->others | s->odd);
	uint32_t bad = tcp & impossible(s->flags), set = tcp;

	if (unlikely(has_zero_port(s->least)))
		for (unsigned int i; sw_next(&set, &i);)
			bad |= (uint32_t)(b->packets[i].client_port == 0 || b->packets[i].server_port == 0) << i;
	for (unsigned int i; unlikely(sw_next(&bad, &i));)
		ask_complete_parser(b, i, s);
}

static __rte_always_inline void parse_all(const struct sw_worker *w, struct sw_burst *b, enum sw_side side)
{
	const struct sw_trie_root *of = w->policy->sources->trie.roots;
	/* Nothing that is written here could change them. */
	const struct sw_trie_root roots[2] = {of[SW_TRIE_IPV4], of[SW_TRIE_IPV6]};
	const unsigned int count = b->count;
	const bool near = w->prefetch.near;
	const sw_lanes none = {0};
	struct sw_packet *p = b->packets;
	uint32_t strays = 0;
	struct seen s;

	s.others = s.odd = 0;
	s.any_server = s.any_ports = none;
	s.all_servers = s.all_ports = s.least = ~none;

	for (unsigned int i = 0; i < count; i++, p++) {
		const struct rte_mbuf *m = b->mbufs[i];
		/* Ports are set up without scatter; should a driver chain buffers all the same, what does not fit the first
		 * counts as cut off. */
		const enum sw_plain plain = sw_frame_look_plain(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, side, p);
		if (likely(plain == SW_PLAIN_TCP)) {
			s.flags[i] = p->tcp_flags;
			compare(&s, p);
			if (side == SW_OUTSIDE)
				p->is_ipv6 ? ask_for_source(near, &roots[SW_TRIE_IPV6], p->client.bytes)
						   : ask_for_source(near, &roots[SW_TRIE_IPV4], p->client.bytes + SW_IPV4_MAPPED_BITS / 8);
		} else if (plain == SW_PLAIN_OTHER) {
			s.flags[i] = SW_TCP_ACK;
			s.others |= 1u << i;
		} else {
			strays |= 1u << i;
		}
	}
	b->strays = strays;
	for (unsigned int i; unlikely(sw_next(&strays, &i));) {
		ask_complete_parser(b, i, &s);
		if (b->packets[i].kind != SW_PACKET_OTHER)
			compare(&s, &b->packets[i]);
	}
	finish_look(b, &s);
	b->others = s.others;
	b->tcp = b->pending & ~(s.others | s.odd);
	b->one_server = have_one_server(&s);
	sort_by_flags(b, s.flags);
}

/* Nothing is known of any packet. */
static inline void forget(struct sw_burst *b)
{
	_Static_assert(SW_PENDING == 0, "zeros are pending");
	memset(b->verdicts, 0, sizeof(b->verdicts));
	memset(b->reasons, 0, sizeof(b->reasons));
	sw_fill(b->services, SW_NONE);
	sw_fill(b->slots, SW_NONE);
	sw_fill(b->flows, SW_FLOW_NONE);
	sw_fill(b->classes, SW_SOURCE_CLASS_NONE);
}

static void parse_burst(struct sw_worker *w, struct sw_burst *b)
{
	reach(b, w->prefetch.near);
	forget(b);
	if (b->side == SW_OUTSIDE) /* compiled for each */
		parse_all(w, b, SW_OUTSIDE);
	else
		parse_all(w, b, SW_INSIDE);
}

sw_parse_fn sw_parse_for(enum sw_isa isa)
{
	return sw_isa_has_vbmi(isa) ? sw_parse_burst_avx512 : parse_burst;
}

void sw_stage_parse(struct sw_worker *w, struct sw_burst *b)
{
	w->parse(w, b);
}
