/* SPDX-License-Identifier: BSD-3-Clause */
/* TCP segments of the box's own: answers, SYNs to servers, RSTs. One writer for both families. */
#include "stage.h"

#include <netinet/in.h>

#include "../core/checksum.h"

enum {
	IPV4_BYTES = 20,
	IPV6_BYTES = 40,
	TCP_BYTES = 20,
	FRAME_MIN = 60,  /* IEEE 802.3, 3.2.8, without the frame check sequence */
	HOP_LIMIT = 64,  /* RFC 1700's default */
};

static inline uint32_t load32(const uint8_t *at)
{
	uint32_t v;
	memcpy(&v, at, 4);
	return v;
}

static inline void store32(uint8_t *at, uint32_t v)
{
	memcpy(at, &v, 4);
}

static inline uint64_t sum16(const uint8_t *at)
{
	return (uint64_t)load32(at) + load32(at + 4) + load32(at + 8) + load32(at + 12);
}

/*
 * RFC 791, 3.1. DF set: the box sends no segment that could need fragments; the identification is then of no use
 * (RFC 6864). Returns the sum of the pseudo header (RFC 9293, 3.1). Sums are over words as they lie in memory.
 */
static inline uint64_t write_ipv4(uint8_t *ip, const uint8_t *from, const uint8_t *to, uint16_t tcp_bytes)
{
	const uint64_t addresses = (uint64_t)load32(from + 12) + load32(to + 12);
	const uint32_t first = rte_cpu_to_be_32(0x45000000u + IPV4_BYTES + tcp_bytes), second = RTE_BE32(0x00004000);
	const uint32_t third = RTE_BE32(HOP_LIMIT << 24 | IPPROTO_TCP << 16);
	const uint16_t sum = sw_checksum_finish(addresses + first + second + third);

	store32(ip, first);
	store32(ip + 4, second);
	store32(ip + 8, third);
	memcpy(ip + 10, &sum, 2);
	store32(ip + 12, load32(from + 12));
	store32(ip + 16, load32(to + 12));
	return addresses + RTE_BE16(IPPROTO_TCP) + rte_cpu_to_be_16(tcp_bytes);
}

/* RFC 8200, 3 and 8.1. */
static inline uint64_t write_ipv6(uint8_t *ip, const uint8_t *from, const uint8_t *to, uint16_t tcp_bytes)
{
	store32(ip, RTE_BE32(6u << 28));
	store32(ip + 4, rte_cpu_to_be_32((uint32_t)tcp_bytes << 16 | IPPROTO_TCP << 8 | HOP_LIMIT));
	memcpy(ip + 8, from, 16);
	memcpy(ip + 24, to, 16);
	return sum16(from) + sum16(to) + RTE_BE16(IPPROTO_TCP) + rte_cpu_to_be_16(tcp_bytes);
}

unsigned int sw_segment_write(uint8_t *frame, unsigned int l3_offset, const struct sw_segment *s)
{
	uint8_t *ip = frame + l3_offset, *tcp = ip + (s->is_ipv6 ? IPV6_BYTES : IPV4_BYTES);
	const uint8_t *from = (s->from_server ? s->server : s->client)->bytes, *to = (s->from_server ? s->client : s->server)->bytes;
	const unsigned int tcp_bytes = TCP_BYTES + s->option_words * 4;
	uint64_t sum = s->is_ipv6 ? write_ipv6(ip, from, to, (uint16_t)tcp_bytes) : write_ipv4(ip, from, to, (uint16_t)tcp_bytes);
	const uint32_t ports = s->from_server ? (uint32_t)s->server_port << 16 | s->client_port
										  : (uint32_t)s->client_port << 16 | s->server_port;
	const uint32_t words[4] = {rte_cpu_to_be_32(ports), rte_cpu_to_be_32(s->seq), rte_cpu_to_be_32(s->ack),
		rte_cpu_to_be_32((uint32_t)tcp_bytes << 26 | (uint32_t)s->flags << 16 | s->window)};

	memcpy(tcp, words, sizeof(words));
	sum += (uint64_t)words[0] + words[1] + words[2] + words[3];
	for (unsigned int i = 0; i < s->option_words; i++) {
		store32(tcp + TCP_BYTES + i * 4, s->options[i]);
		sum += s->options[i];
	}
	store32(tcp + 16, sw_checksum_finish(sum)); /* and no urgent pointer */

	const unsigned int length = (unsigned int)(tcp - frame) + tcp_bytes;
	if (length >= FRAME_MIN)
		return length;
	memset(frame + length, 0, FRAME_MIN - length);
	return FRAME_MIN;
}

void sw_frame_turn(uint8_t *frame)
{
	uint64_t to, from;

	/* Eight bytes each; the destination's last two are the source's first, and what lies behind stays. */
	memcpy(&to, frame, 8);
	memcpy(&from, frame + 6, 8);
	const uint64_t behind = from >> 48 << 48;
	to = (to & 0xffffffffffffull) | behind;
	memcpy(frame, &from, 8);
	memcpy(frame + 6, &to, 8);
}

void sw_answer_reset(struct sw_worker *w, struct sw_burst *b, unsigned int i, enum sw_drop_reason reason)
{
	const struct sw_packet *p = &b->packets[i];
	struct rte_mbuf *m = b->mbufs[i];
	const bool acks = p->tcp_flags & SW_TCP_ACK;
	const uint32_t length = sw_segment_length(p);

	if (p->tcp_flags & SW_TCP_RST || p->is_fragment || !sw_rate_allows(&w->policy->rst, w->rst_tat, w->now)) {
		sw_drop(b, i, reason);
		return;
	}
	w->rst_tat = sw_rate_take(&w->policy->rst, w->rst_tat, w->now);
	/* RFC 9293, 3.10.7.1: with an ACK its number is our SEQ; without, SEQ 0 and an ACK of everything it sent. */
	const struct sw_segment s = {
		.client = &p->client, .server = &p->server, .client_port = p->client_port, .server_port = p->server_port,
		.is_ipv6 = p->is_ipv6, .from_server = b->side == SW_OUTSIDE,
		.flags = acks ? SW_TCP_RST : SW_TCP_RST | SW_TCP_ACK,
		.seq = acks ? p->ack : 0, .ack = acks ? 0 : p->seq + length,
	};
	uint8_t *frame = sw_frame_of(m);
	sw_frame_turn(frame);
	sw_frame_resize(m, sw_segment_write(frame, p->l3_offset, &s));
	sw_decide(b, i, SW_ANSWER);
	sw_count(w, b->slots[i], SW_COUNT_SENT_RST);
}
