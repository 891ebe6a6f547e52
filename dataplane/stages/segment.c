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

/* RFC 791, 3.1. DF set: the box sends no segment that could need fragments; the identification is then of no use (RFC 6864). */
static uint64_t write_ipv4(uint8_t *ip, const struct sw_segment *s, uint16_t tcp_bytes)
{
	const struct sw_address *from = s->from_server ? s->server : s->client;
	const struct sw_address *to = s->from_server ? s->client : s->server;
	const uint16_t total = (uint16_t)(IPV4_BYTES + tcp_bytes);

	memset(ip, 0, IPV4_BYTES);
	ip[0] = 0x45;
	sw_put16(ip + 2, total);
	ip[6] = 0x40;
	ip[8] = HOP_LIMIT;
	ip[9] = IPPROTO_TCP;
	memcpy(ip + 12, from->bytes + 12, 4);
	memcpy(ip + 16, to->bytes + 12, 4);
	const uint16_t sum = sw_checksum_finish(sw_checksum_add(0, ip, IPV4_BYTES));
	memcpy(ip + 10, &sum, 2);
	return sw_checksum_pseudo_ipv4(ip + 12, ip + 16, IPPROTO_TCP, tcp_bytes);
}

/* RFC 8200, 3. */
static uint64_t write_ipv6(uint8_t *ip, const struct sw_segment *s, uint16_t tcp_bytes)
{
	const struct sw_address *from = s->from_server ? s->server : s->client;
	const struct sw_address *to = s->from_server ? s->client : s->server;

	sw_put32(ip, 6u << 28);
	sw_put16(ip + 4, tcp_bytes);
	ip[6] = IPPROTO_TCP;
	ip[7] = HOP_LIMIT;
	memcpy(ip + 8, from->bytes, 16);
	memcpy(ip + 24, to->bytes, 16);
	return sw_checksum_pseudo_ipv6(ip + 8, ip + 24, IPPROTO_TCP, tcp_bytes);
}

unsigned int sw_segment_write(uint8_t *frame, unsigned int l3_offset, const struct sw_segment *s)
{
	uint8_t *ip = frame + l3_offset, *tcp = ip + (s->is_ipv6 ? IPV6_BYTES : IPV4_BYTES);
	const unsigned int tcp_bytes = TCP_BYTES + s->options_bytes;
	const uint64_t pseudo = s->is_ipv6 ? write_ipv6(ip, s, (uint16_t)tcp_bytes) : write_ipv4(ip, s, (uint16_t)tcp_bytes);

	sw_put16(tcp, s->from_server ? s->server_port : s->client_port);
	sw_put16(tcp + 2, s->from_server ? s->client_port : s->server_port);
	sw_put32(tcp + 4, s->seq);
	sw_put32(tcp + 8, s->ack);
	tcp[12] = (uint8_t)(tcp_bytes / 4 << 4);
	tcp[13] = s->flags;
	sw_put16(tcp + 14, s->window);
	memset(tcp + 16, 0, 4);
	if (s->options_bytes)
		memcpy(tcp + TCP_BYTES, s->options, s->options_bytes);
	const uint16_t sum = sw_checksum_finish(sw_checksum_add(pseudo, tcp, tcp_bytes));
	memcpy(tcp + 16, &sum, 2);

	unsigned int length = (unsigned int)(tcp - frame) + tcp_bytes;
	if (length < FRAME_MIN) {
		memset(frame + length, 0, FRAME_MIN - length);
		length = FRAME_MIN;
	}
	return length;
}

void sw_frame_turn(uint8_t *frame)
{
	uint8_t mac[6];
	memcpy(mac, frame, 6);
	memcpy(frame, frame + 6, 6);
	memcpy(frame + 6, mac, 6);
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
	b->verdicts[i] = SW_ANSWER;
	sw_count(w, b->slots[i], SW_COUNT_SENT_RST);
}
