/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP segments of the box's own: answers, SYNs to servers, RSTs. One writer for both families, in two steps: a form,
 * which holds what the segments of one kind have in common and its share of their sums, and the stamp of one segment.
 * Under a flood one form serves a whole burst of answers.
 */
#ifndef SW_SEGMENT_H
#define SW_SEGMENT_H

#include <rte_byteorder.h>

#include "../core/checksum.h"
#include "../core/tcp_options.h"

enum {
	SW_SEGMENT_OPTION_WORDS = 5, /* MSS, SACK permitted, timestamps, window scale: the most that is ever sent */
	SW_SEGMENT_TSVAL_WORD = 2,   /* where TSval stands among them, if anywhere; TSecr is behind it */
	SW_SEGMENT_FRAME_MIN = 60,   /* IEEE 802.3, 3.2.8, without the frame check sequence */
};

/*
 * A segment in full, everything in host order; options are given as they go on the wire.
 * from_server: it claims to come from the server and goes to the client.
 */
struct sw_segment {
	const struct sw_address *client, *server;
	uint16_t client_port, server_port;
	bool is_ipv6, from_server;
	uint8_t flags;
	uint16_t window;
	uint32_t seq, ack;
	rte_be32_t options[SW_SEGMENT_OPTION_WORDS];
	unsigned int option_words;
};

/* Sums are over 32-bit words as they lie in memory. */
struct sw_segment_form {
	uint64_t ip_sum;  /* IPv4: of the header but for the addresses */
	uint64_t tcp_sum; /* of the pseudo header but for the addresses, offset, flags, window and options */
	rte_be32_t ip_words[3];
	rte_be32_t tcp_word; /* offset, flags, window */
	rte_be32_t options[SW_SEGMENT_OPTION_WORDS]; /* zeros behind the last: padding of a short frame */
	uint16_t bytes;      /* IP and TCP headers */
	bool is_ipv6;
};

/* What one segment adds. Everything as on the wire. */
struct sw_segment_stamp {
	const struct sw_address *from, *to;
	rte_be32_t ports; /* source, destination */
	rte_be32_t seq, ack;
	rte_be32_t tsval, tsecr; /* 0 unless the form has timestamps; the form's own are then 0 */
};

/* segment.c. Takes family, flags, window and options of `s`. */
void sw_segment_form_make(struct sw_segment_form *form, const struct sw_segment *s);

/* Writes IP and TCP headers, checksums included, at frame[l3_offset], as below. */
unsigned int sw_segment_write(uint8_t *frame, unsigned int l3_offset, const struct sw_segment *s);

static inline uint32_t sw_segment_load32(const uint8_t *at)
{
	uint32_t v;
	memcpy(&v, at, 4);
	return v;
}

static inline uint64_t sw_segment_sum16(const uint8_t *at)
{
	return (uint64_t)sw_segment_load32(at) + sw_segment_load32(at + 4) + sw_segment_load32(at + 8) +
		sw_segment_load32(at + 12);
}

/* RFC 791, 3.1. Returns the sum of the addresses, for the pseudo header (RFC 9293, 3.1). */
static inline uint64_t sw_segment_stamp_ipv4(uint8_t *ip, const struct sw_segment_form *form,
	const struct sw_segment_stamp *s)
{
	const uint32_t from = sw_segment_load32(s->from->bytes + 12), to = sw_segment_load32(s->to->bytes + 12);
	const uint64_t addresses = (uint64_t)from + to, both = (uint64_t)to << 32 | from;
	const uint32_t sum = sw_checksum_finish(form->ip_sum + addresses);
	const uint32_t third = form->ip_words[2] | sum << 16;

	memcpy(ip, form->ip_words, 8);
	memcpy(ip + 8, &third, 4);
	memcpy(ip + 12, &both, 8);
	return addresses;
}

/* RFC 8200, 3 and 8.1; likewise. */
static inline uint64_t sw_segment_stamp_ipv6(uint8_t *ip, const struct sw_segment_form *form,
	const struct sw_segment_stamp *s)
{
	memcpy(ip, form->ip_words, 8);
	memcpy(ip + 8, s->from->bytes, 16);
	memcpy(ip + 24, s->to->bytes, 16);
	return sw_segment_sum16(s->from->bytes) + sw_segment_sum16(s->to->bytes);
}

/*
 * Writes the segment at frame[l3_offset]; the link layer before it stands already, its EtherType as the family asks.
 * Needs room for a whole SYN of five option words, however short the segment is: it writes over the padding too.
 * Returns the length of the frame, at least SW_SEGMENT_FRAME_MIN.
 */
static inline unsigned int sw_segment_stamp(uint8_t *frame, unsigned int l3_offset, const struct sw_segment_form *form,
	const struct sw_segment_stamp *s)
{
	uint8_t *ip = frame + l3_offset, *tcp = ip + (form->is_ipv6 ? 40 : 20);
	uint64_t sum = form->tcp_sum + s->ports + s->seq + s->ack + s->tsval + s->tsecr;
	const rte_be32_t words[4] = {s->ports, s->seq, s->ack, form->tcp_word};

	sum += form->is_ipv6 ? sw_segment_stamp_ipv6(ip, form, s) : sw_segment_stamp_ipv4(ip, form, s);
	memcpy(tcp, words, sizeof(words));
	const uint32_t checksum = sw_checksum_finish(sum); /* and no urgent pointer */
	memcpy(tcp + 16, &checksum, 4);
	memcpy(tcp + 20, form->options, sizeof(form->options));
	if (s->tsval != 0 || s->tsecr != 0) {
		memcpy(tcp + 20 + SW_SEGMENT_TSVAL_WORD * 4, &s->tsval, 4);
		memcpy(tcp + 20 + SW_SEGMENT_TSVAL_WORD * 4 + 4, &s->tsecr, 4);
	}
	const unsigned int length = l3_offset + form->bytes;
	return length >= SW_SEGMENT_FRAME_MIN ? length : SW_SEGMENT_FRAME_MIN;
}

/* The options of a SYN or SYN-ACK into a segment; as sw_tcp_options_write_syn() writes them. */
static inline void sw_segment_syn_options(struct sw_segment *s, uint16_t mss, int8_t window_scale, bool sack,
	bool timestamps, uint32_t tsval, uint32_t tsecr)
{
	unsigned int n = 0;

	s->options[n++] = rte_cpu_to_be_32(0x02040000u | mss);
	if (timestamps) { /* SACK permitted takes the place of their padding */
		s->options[n++] = sack ? RTE_BE32(0x0402080a) : RTE_BE32(0x0101080a);
		s->options[n++] = rte_cpu_to_be_32(tsval);
		s->options[n++] = rte_cpu_to_be_32(tsecr);
	} else if (sack) {
		s->options[n++] = RTE_BE32(0x01010402);
	}
	if (window_scale >= 0)
		s->options[n++] = rte_cpu_to_be_32(0x01030300u | (uint8_t)window_scale);
	s->option_words = n;
}

/* Exchanges the MAC addresses. */
static inline void sw_frame_turn(uint8_t *frame)
{
	uint64_t to, from;

	/* Eight bytes each; the destination's last two are the source's first, and what lies behind stays. */
	memcpy(&to, frame, 8);
	memcpy(&from, frame + 6, 8);
	to = (to & 0xffffffffffffull) | (from >> 48 << 48);
	memcpy(frame, &from, 8);
	memcpy(frame + 6, &to, 8);
}

#endif
