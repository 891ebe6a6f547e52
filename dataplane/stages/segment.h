/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP segments of the box's own: answers, SYNs to servers, RSTs. Written alone, or in two steps: a form, which holds
 * what the segments of one kind have in common and its share of their sums, and the stamp of one segment. Under a flood
 * one form serves a whole burst of answers.
 */
#ifndef SW_SEGMENT_H
#define SW_SEGMENT_H

#include <rte_byteorder.h>
#include <tmmintrin.h>

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

enum {
	SW_SEGMENT_IPV4_BYTES = 20,
	SW_SEGMENT_IPV6_BYTES = 40,
	SW_SEGMENT_TCP_BYTES = 20,
	SW_SEGMENT_TCP_FIXED = 12, /* ports, SEQ and ACK stand before */
	SW_SEGMENT_TCP_TAIL = SW_SEGMENT_TCP_BYTES - SW_SEGMENT_TCP_FIXED + 4 * SW_SEGMENT_OPTION_WORDS,
};

/* Sums are over 32-bit words as they lie in memory. */
struct sw_segment_form {
	uint64_t ip_sum;  /* IPv4: of the header but for the addresses */
	uint64_t tcp_sum; /* of the pseudo header but for the addresses, offset, flags, window and options */
	uint8_t ip[16];   /* the header in front of the addresses, 12 bytes or 8; checksum 0 */
	uint8_t tcp[SW_SEGMENT_TCP_TAIL]; /* from offset, flags and window on; behind the last option zeros: padding */
	uint16_t bytes;   /* IP and TCP headers */
	bool is_long;     /* more than 16 bytes of `tcp` matter, padding of a short frame included */
};

/* What one segment adds. Addresses and ports as on the wire, numbers in host order. */
struct sw_segment_stamp {
	const struct sw_address *from, *to;
	rte_be32_t ports; /* source, destination */
	uint32_t seq, ack;
	uint32_t tsval, tsecr; /* with timestamps */
};

/* segment.c. Takes family, flags, window and options of `s`. */
void sw_segment_form_make(struct sw_segment_form *form, const struct sw_segment *s);

/* The whole segment at frame[l3_offset]; as below. */
unsigned int sw_segment_write(uint8_t *frame, unsigned int l3_offset, const struct sw_segment *s);

static inline uint32_t sw_segment_load32(const uint8_t *at)
{
	uint32_t v;
	memcpy(&v, at, 4);
	return v;
}

/* One store. Volatile: compilers would put neighbours together in vectors first, which takes longer. */
static inline void sw_segment_store32(uint8_t *at, uint32_t v)
{
	typedef volatile uint32_t word __attribute__((aligned(1), may_alias));

	*(word *)(void *)at = v;
}

/* Two numbers that stand side by side, as on the wire. */
static inline uint64_t sw_segment_pair(uint32_t first, uint32_t second)
{
	return rte_cpu_to_be_64((uint64_t)first << 32 | second);
}

static inline unsigned int sw_segment_frame_bytes(unsigned int l3_offset, unsigned int headers)
{
	const size_t bytes = (size_t)l3_offset + headers; /* of 64 bits: for 32, compilers go through a vector register */

	return (unsigned int)(bytes >= SW_SEGMENT_FRAME_MIN ? bytes : SW_SEGMENT_FRAME_MIN);
}

/* RFC 791, 3.1. Returns `sum` and the addresses, for the pseudo header (RFC 9293, 3.1). */
static inline uint64_t sw_segment_stamp_ipv4(uint8_t *ip, const struct sw_segment_form *form,
	const struct sw_segment_stamp *s, uint64_t sum)
{
	const uint32_t from = sw_segment_load32(s->from->bytes + 12), to = sw_segment_load32(s->to->bytes + 12);
	const uint64_t addresses = (uint64_t)from + to;
	const uint16_t checksum = sw_checksum_finish(form->ip_sum + addresses);

	memcpy(ip, form->ip, 16);
	memcpy(ip + 10, &checksum, 2);
	sw_segment_store32(ip + 12, from);
	sw_segment_store32(ip + 16, to);
	return sum + addresses;
}

static inline uint64_t sw_segment_add_address(uint64_t sum, const struct sw_address *a)
{
	uint64_t high, low;

	memcpy(&high, a->bytes, 8);
	memcpy(&low, a->bytes + 8, 8);
	return sw_checksum_add64(sw_checksum_add64(sum, high), low);
}

/* RFC 8200, 3 and 8.1; likewise. */
static inline uint64_t sw_segment_stamp_ipv6(uint8_t *ip, const struct sw_segment_form *form,
	const struct sw_segment_stamp *s, uint64_t sum)
{
	memcpy(ip, form->ip, 8);
	memcpy(ip + 8, s->from->bytes, 16);
	memcpy(ip + 24, s->to->bytes, 16);
	return sw_segment_add_address(sw_segment_add_address(sum, s->from), s->to);
}

/*
 * Writes the segment at frame[l3_offset]; the link layer before it stands already, its EtherType as the family asks.
 * Needs room for a whole SYN of five option words, however short the segment is: it writes over the padding too.
 * Returns the length of the frame, at least SW_SEGMENT_FRAME_MIN.
 * is_ipv6: of the form. timestamps: TSval and TSecr of the form are 0, and those of the stamp take their place. Where
 * many segments of a form are stamped, both are known at compile time.
 */
static inline __attribute__((always_inline)) unsigned int sw_segment_stamp(uint8_t *frame, unsigned int l3_offset,
	const struct sw_segment_form *form, const struct sw_segment_stamp *s, bool is_ipv6, bool timestamps)
{
	enum { TAIL = SW_SEGMENT_TCP_FIXED, TSVAL = SW_SEGMENT_TCP_BYTES + 4 * SW_SEGMENT_TSVAL_WORD };
	uint8_t *ip = frame + l3_offset, *tcp = ip + (is_ipv6 ? SW_SEGMENT_IPV6_BYTES : SW_SEGMENT_IPV4_BYTES);
	const uint64_t numbers = sw_segment_pair(s->seq, s->ack);
	const uint64_t times = timestamps ? sw_segment_pair(s->tsval, s->tsecr) : 0;
	uint64_t sum = form->tcp_sum + s->ports;

	sum = is_ipv6 ? sw_segment_stamp_ipv6(ip, form, s, sum) : sw_segment_stamp_ipv4(ip, form, s, sum);
	memcpy(tcp, &s->ports, 4);
	memcpy(tcp + 4, &numbers, 8);
	memcpy(tcp + TAIL, form->tcp, 16);
	if (form->is_long) /* else the frame ends in its first line of cache, and the next is not touched */
		memcpy(tcp + TAIL + sizeof(form->tcp) - 16, form->tcp + sizeof(form->tcp) - 16, 16);
	sum = sw_checksum_add64(sum, numbers);
	if (timestamps) {
		memcpy(tcp + TSVAL, &times, 8);
		sum = sw_checksum_add64(sum, times);
	}
	const uint16_t checksum = sw_checksum_finish(sum);
	memcpy(tcp + 16, &checksum, 2);
	return sw_segment_frame_bytes(l3_offset, form->bytes);
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

/* Exchanges the MAC addresses; the four bytes behind them stay. */
static inline void sw_frame_turn(uint8_t *frame)
{
	const __m128i turned = _mm_setr_epi8(6, 7, 8, 9, 10, 11, 0, 1, 2, 3, 4, 5, 12, 13, 14, 15);

	__m128i *head = (__m128i *)(void *)frame;

	_mm_storeu_si128(head, _mm_shuffle_epi8(_mm_loadu_si128(head), turned));
}

#endif
