/* SPDX-License-Identifier: BSD-3-Clause */
#include "segment.h"

#include <netinet/in.h>

#include "stage.h"

enum { HOP_LIMIT = 64 }; /* RFC 1700's default */

/* The first words of both headers but for addresses, ports, numbers and checksums. */
struct head {
	rte_be32_t ip[3];
	rte_be32_t tcp;   /* offset, flags, window */
	uint64_t tcp_sum; /* of the pseudo header but for the addresses, and of `tcp` */
	uint16_t bytes;   /* IP and TCP headers */
};

/*
 * IPv4 with DF: the box sends no segment that could need fragments; the identification is then of no use (RFC 6864).
 */
static inline struct head head_of(const struct sw_segment *s, unsigned int tcp_bytes)
{
	struct head h = {
		.tcp = rte_cpu_to_be_32((uint32_t)tcp_bytes << 26 | (uint32_t)s->flags << 16 | s->window),
		.bytes = (uint16_t)((s->is_ipv6 ? SW_SEGMENT_IPV6_BYTES : SW_SEGMENT_IPV4_BYTES) + tcp_bytes),
	};

	if (s->is_ipv6) {
		h.ip[0] = RTE_BE32(6u << 28);
		h.ip[1] = rte_cpu_to_be_32((uint32_t)tcp_bytes << 16 | IPPROTO_TCP << 8 | HOP_LIMIT);
	} else {
		h.ip[0] = rte_cpu_to_be_32(0x45000000u + h.bytes);
		h.ip[1] = RTE_BE32(0x00004000);
		h.ip[2] = RTE_BE32(HOP_LIMIT << 24 | IPPROTO_TCP << 16);
	}
	h.tcp_sum = (uint64_t)RTE_BE16(IPPROTO_TCP) + rte_cpu_to_be_16((uint16_t)tcp_bytes) + h.tcp;
	return h;
}

void sw_segment_form_make(struct sw_segment_form *form, const struct sw_segment *s)
{
	const unsigned int tcp_bytes = SW_SEGMENT_TCP_BYTES + s->option_words * 4;
	const struct head h = head_of(s, tcp_bytes);

	*form = (struct sw_segment_form){
		.ip_sum = (uint64_t)h.ip[0] + h.ip[1] + h.ip[2],
		.tcp_sum = h.tcp_sum,
		.bytes = h.bytes,
		.is_long = tcp_bytes > SW_SEGMENT_TCP_FIXED + 16,
	};
	memcpy(form->ip, h.ip, sizeof(h.ip));
	memcpy(form->tcp, &h.tcp, 4);
	for (unsigned int i = 0; i < s->option_words; i++) {
		form->tcp_sum += s->options[i];
		memcpy(form->tcp + SW_SEGMENT_TCP_BYTES - SW_SEGMENT_TCP_FIXED + i * 4, &s->options[i], 4);
	}
}

/*
 * Word by word, where the stamp of a form has wide stores: what was only just written word by word cannot be loaded in
 * wider pieces without a wait.
 */
static inline uint64_t write_ip(uint8_t *ip, const struct sw_segment *s, const struct head *h)
{
	const struct sw_address *from = s->from_server ? s->server : s->client;
	const struct sw_address *to = s->from_server ? s->client : s->server;
	const uint32_t from4 = sw_segment_load32(from->bytes + 12), to4 = sw_segment_load32(to->bytes + 12);

	sw_segment_store32(ip, h->ip[0]);
	sw_segment_store32(ip + 4, h->ip[1]);
	if (s->is_ipv6) {
		memcpy(ip + 8, from->bytes, 16);
		memcpy(ip + 24, to->bytes, 16);
		return sw_segment_add_address(sw_segment_add_address(0, from), to);
	}
	const uint64_t addresses = (uint64_t)from4 + to4;
	const uint32_t checksum = sw_checksum_finish((uint64_t)h->ip[0] + h->ip[1] + h->ip[2] + addresses);
	sw_segment_store32(ip + 8, h->ip[2] | checksum << 16);
	sw_segment_store32(ip + 12, from4);
	sw_segment_store32(ip + 16, to4);
	return addresses;
}

unsigned int sw_segment_write(uint8_t *frame, unsigned int l3_offset, const struct sw_segment *s)
{
	const struct head h = head_of(s, SW_SEGMENT_TCP_BYTES + s->option_words * 4);
	const uint32_t ports = rte_cpu_to_be_32(s->from_server ? (uint32_t)s->server_port << 16 | s->client_port
														   : (uint32_t)s->client_port << 16 | s->server_port);
	const uint64_t numbers = sw_segment_pair(s->seq, s->ack);
	uint8_t *ip = frame + l3_offset, *tcp = ip + (s->is_ipv6 ? SW_SEGMENT_IPV6_BYTES : SW_SEGMENT_IPV4_BYTES);
	uint64_t sum = h.tcp_sum + ports;

	sw_segment_store32(tcp, ports);
	memcpy(tcp + 4, &numbers, 8);
	sw_segment_store32(tcp + 12, h.tcp);
	memset(tcp + SW_SEGMENT_TCP_BYTES, 0, 8); /* the padding of a short frame, if not options */
	for (unsigned int i = 0; i < s->option_words; i++) {
		sw_segment_store32(tcp + SW_SEGMENT_TCP_BYTES + i * 4, s->options[i]);
		sum += s->options[i];
	}
	sum = sw_checksum_add64(sw_checksum_add64(sum, numbers), write_ip(ip, s, &h));
	sw_segment_store32(tcp + 16, sw_checksum_finish(sum)); /* and no urgent pointer */
	return sw_segment_frame_bytes(l3_offset, h.bytes);
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
