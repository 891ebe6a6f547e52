/* SPDX-License-Identifier: BSD-3-Clause */
#include "segment.h"

#include <netinet/in.h>

#include "stage.h"

enum { HOP_LIMIT = 64 }; /* RFC 1700's default */

/*
 * IPv4 with DF: the box sends no segment that could need fragments; the identification is then of no use (RFC 6864).
 */
static inline void form_make(struct sw_segment_form *form, const struct sw_segment *s)
{
	const unsigned int tcp_bytes = SW_SEGMENT_TCP_BYTES + s->option_words * 4;
	const rte_be32_t tcp_word = rte_cpu_to_be_32((uint32_t)tcp_bytes << 26 | (uint32_t)s->flags << 16 | s->window);
	uint64_t tcp_sum = (uint64_t)RTE_BE16(IPPROTO_TCP) + rte_cpu_to_be_16((uint16_t)tcp_bytes) + tcp_word;
	rte_be32_t ip[4] = {0};

	*form = (struct sw_segment_form){.is_long = tcp_bytes > SW_SEGMENT_TCP_FIXED + 16};
	if (s->is_ipv6) {
		form->bytes = (uint16_t)(SW_SEGMENT_IPV6_BYTES + tcp_bytes);
		ip[0] = RTE_BE32(6u << 28);
		ip[1] = rte_cpu_to_be_32((uint32_t)tcp_bytes << 16 | IPPROTO_TCP << 8 | HOP_LIMIT);
	} else {
		form->bytes = (uint16_t)(SW_SEGMENT_IPV4_BYTES + tcp_bytes);
		ip[0] = rte_cpu_to_be_32(0x45000000u + form->bytes);
		ip[1] = RTE_BE32(0x00004000);
		ip[2] = RTE_BE32(HOP_LIMIT << 24 | IPPROTO_TCP << 16);
	}
	form->ip_sum = (uint64_t)ip[0] + ip[1] + ip[2];
	memcpy(form->ip, ip, sizeof(ip));
	memcpy(form->tcp, &tcp_word, 4);
	for (unsigned int i = 0; i < s->option_words; i++) {
		tcp_sum += s->options[i];
		memcpy(form->tcp + SW_SEGMENT_TCP_BYTES - SW_SEGMENT_TCP_FIXED + i * 4, &s->options[i], 4);
	}
	form->tcp_sum = tcp_sum;
}

void sw_segment_form_make(struct sw_segment_form *form, const struct sw_segment *s)
{
	form_make(form, s);
}

unsigned int sw_segment_write(uint8_t *frame, unsigned int l3_offset, const struct sw_segment *s)
{
	const uint32_t ports = s->from_server ? (uint32_t)s->server_port << 16 | s->client_port
										  : (uint32_t)s->client_port << 16 | s->server_port;
	const struct sw_segment_stamp stamp = {
		.from = s->from_server ? s->server : s->client, .to = s->from_server ? s->client : s->server,
		.ports = rte_cpu_to_be_32(ports), .seq = s->seq, .ack = s->ack,
	};
	struct sw_segment_form form;

	form_make(&form, s);
	return sw_segment_stamp(frame, l3_offset, &form, &stamp, s->is_ipv6, false);
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
	sw_count_refused(w, b->slots[i], reason);
}
