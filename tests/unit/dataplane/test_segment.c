/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Segments of the box's own, against a writer that takes one byte after the other. Frames stand at the end of memory of
 * just the size that sw_segment_stamp() asks for, over bytes that must not be seen again.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../core/random_prefixes.h"
#include "stages/segment.h"
#include "stages/stage.h"

enum { OLD = 0xa5, FRAME_MAX = 22 + 40 + 20 + 4 * SW_SEGMENT_OPTION_WORDS };

/* ---- the naive writer -------------------------------------------------------------------------------------------- */

struct naive {
	uint8_t bytes[128];
	unsigned int length;
};

static void put(struct naive *n, uint64_t value, unsigned int bytes)
{
	while (bytes--)
		n->bytes[n->length++] = (uint8_t)(value >> 8 * bytes);
}

static void put_bytes(struct naive *n, const uint8_t *from, unsigned int count)
{
	memcpy(n->bytes + n->length, from, count);
	n->length += count;
}

/* RFC 1071, 16 bits at a time; `length` is even. */
static uint16_t sum_of(const uint8_t *at, unsigned int length, uint32_t sum)
{
	for (unsigned int i = 0; i < length; i += 2)
		sum += (uint32_t)at[i] << 8 | at[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static void put_sum(struct naive *n, unsigned int at, uint16_t sum)
{
	n->bytes[at] = (uint8_t)(~sum >> 8);
	n->bytes[at + 1] = (uint8_t)~sum;
}

static void put_ip(struct naive *n, const struct sw_segment *s, unsigned int tcp_bytes)
{
	const struct sw_address *from = s->from_server ? s->server : s->client, *to = s->from_server ? s->client : s->server;
	const unsigned int l3 = n->length;

	if (s->is_ipv6) {
		put(n, 6u << 28, 4);
		put(n, tcp_bytes, 2);
		put(n, 6, 1);  /* TCP */
		put(n, 64, 1);
		put_bytes(n, from->bytes, 16);
		put_bytes(n, to->bytes, 16);
		return;
	}
	put(n, 0x4500, 2);
	put(n, 20 + tcp_bytes, 2);
	put(n, 0, 2);
	put(n, 0x4000, 2); /* don't fragment */
	put(n, 64, 1);
	put(n, 6, 1);
	put(n, 0, 2);
	put_bytes(n, from->bytes + 12, 4);
	put_bytes(n, to->bytes + 12, 4);
	put_sum(n, l3 + 10, sum_of(n->bytes + l3, 20, 0));
}

/* `words`: of options, in host order. */
static void put_segment(struct naive *n, const struct sw_segment *s, const uint32_t *words)
{
	const unsigned int l3 = n->length, tcp_bytes = 20 + 4 * s->option_words;
	const unsigned int addresses = s->is_ipv6 ? 32 : 8;

	put_ip(n, s, tcp_bytes);
	const unsigned int l4 = n->length;
	put(n, s->from_server ? s->server_port : s->client_port, 2);
	put(n, s->from_server ? s->client_port : s->server_port, 2);
	put(n, s->seq, 4);
	put(n, s->ack, 4);
	put(n, tcp_bytes / 4 << 4, 1);
	put(n, s->flags, 1);
	put(n, s->window, 2);
	put(n, 0, 4);
	for (unsigned int i = 0; i < s->option_words; i++)
		put(n, words[i], 4);
	const uint16_t pseudo = sum_of(n->bytes + l4 - addresses, addresses, 6 + tcp_bytes);
	put_sum(n, l4 + 16, sum_of(n->bytes + l4, tcp_bytes, pseudo));
	while (n->length < 60)
		put(n, 0, 1);
	assert_int_equal(l3 + (s->is_ipv6 ? 40 : 20), l4);
}

/* ---- segments ---------------------------------------------------------------------------------------------------- */

/* Numbers among which are those that sums and the special case of timestamps stumble over. */
static uint32_t number(uint64_t *random)
{
	static const uint32_t telling[] = {0, 1, 0xffff, 0x10000, 0xffff0000u, 0xfffffffeu, 0xffffffffu, 0x80000000u};

	return random_below(random, 2) ? telling[random_below(random, 8)] : (uint32_t)random_next(random);
}

struct addresses {
	struct sw_address client, server;
};

static struct sw_segment any_segment(uint64_t *random, struct addresses *a)
{
	const bool is_ipv6 = random_below(random, 2);

	a->client = random_address(random, is_ipv6);
	a->server = random_address(random, is_ipv6);
	if (random_below(random, 4) == 0) /* what adds up to nothing */
		memset(a->client.bytes + (is_ipv6 ? 0 : 12), random_below(random, 2) ? 0xff : 0, is_ipv6 ? 16 : 4);
	return (struct sw_segment){
	    .client = &a->client,
	    .server = &a->server,
	    .client_port = (uint16_t)number(random),
	    .server_port = (uint16_t)number(random),
	    .is_ipv6 = is_ipv6,
	    .from_server = random_below(random, 2),
	    .flags = (uint8_t)random_next(random),
	    .window = (uint16_t)number(random),
	    .seq = number(random),
	    .ack = number(random),
	};
}

/* A place for `bytes` bytes with nothing behind, filled with what must not be seen again. */
struct place {
	uint8_t *memory, *frame;
};

static struct place place_of(unsigned int bytes)
{
	struct place p = {.memory = malloc(FRAME_MAX)};

	assert_non_null(p.memory);
	memset(p.memory, OLD, FRAME_MAX);
	p.frame = p.memory + FRAME_MAX - bytes;
	return p;
}

/* The link layer stays, the segment is as it should be, and so is the padding; nothing in front is touched. */
static void assert_written(const struct place *p, unsigned int length, unsigned int l3, const struct naive *wanted)
{
	assert_int_equal(length, wanted->length);
	for (unsigned int i = 0; p->memory + i < p->frame + l3; i++)
		assert_int_equal(p->memory[i], OLD);
	assert_memory_equal(p->frame + l3, wanted->bytes + l3, length - l3);
}

static unsigned int room_of(unsigned int l3, const struct sw_segment *s)
{
	return l3 + (s->is_ipv6 ? 40 : 20) + 20 + 4 * SW_SEGMENT_OPTION_WORDS;
}

static void segments_are_as_written_byte_by_byte(void **state)
{
	uint64_t random = 5;
	(void)state;

	for (unsigned int k = 0; k < 100000; k++) {
		const unsigned int l3 = 14 + 4 * random_below(&random, 3); /* as many tags */
		struct addresses a;
		struct sw_segment s = any_segment(&random, &a);
		struct naive wanted = {.length = l3};
		uint32_t words[SW_SEGMENT_OPTION_WORDS];
		s.option_words = random_below(&random, SW_SEGMENT_OPTION_WORDS + 1);
		for (unsigned int i = 0; i < s.option_words; i++)
			s.options[i] = rte_cpu_to_be_32(words[i] = number(&random));
		put_segment(&wanted, &s, words);
		const struct place p = place_of(room_of(l3, &s));
		assert_written(&p, sw_segment_write(p.frame, l3, &s), l3, &wanted);
		free(p.memory);
	}
}

/* The options of a SYN by RFC 9293, 7323 and 2018, as the box lays them out. Returns how many words. */
static unsigned int naive_syn_options(uint32_t *words, uint16_t mss, int scale, bool sack, bool timestamps,
	uint32_t tsval, uint32_t tsecr)
{
	struct naive n = {.length = 0};

	put(&n, 0x0204, 2);
	put(&n, mss, 2);
	if (timestamps) {
		put(&n, sack ? 0x0402 : 0x0101, 2); /* SACK permitted, or two NOPs */
		put(&n, 0x080a, 2);
		put(&n, tsval, 4);
		put(&n, tsecr, 4);
	} else if (sack) {
		put(&n, 0x01010402, 4);
	}
	if (scale >= 0) {
		put(&n, 0x010303, 3);
		put(&n, (unsigned int)scale, 1);
	}
	for (unsigned int i = 0; i < n.length; i++)
		words[i / 4] = words[i / 4] << 8 | n.bytes[i];
	return n.length / 4;
}

/* Every layout, whether the timestamps stand in the form or come with the stamp, as those of answers do. */
static void forms_are_stamped_as_segments_are_written(void **state)
{
	uint64_t random = 6;
	(void)state;

	for (unsigned int k = 0; k < 3 * 16 * 4 * 500; k++) {
		const unsigned int l3 = 14 + 4 * (k % 3);
		const int8_t scale = (int8_t)(k / 3 % 16 - 1);
		const bool sack = k / 48 & 1, timestamps = k / 96 & 1, stamped = random_below(&random, 2);
		const uint16_t mss = (uint16_t)number(&random);
		const uint32_t tsval = timestamps ? number(&random) : 0, tsecr = timestamps ? number(&random) : 0;
		uint32_t words[SW_SEGMENT_OPTION_WORDS] = {0};
		struct addresses a;
		struct sw_segment_form form;
		struct sw_segment s = any_segment(&random, &a);
		struct naive wanted = {.length = l3};
		const struct sw_segment_stamp stamp = {
		    .from = s.from_server ? s.server : s.client,
		    .to = s.from_server ? s.client : s.server,
		    .ports = rte_cpu_to_be_32(s.from_server ? (uint32_t)s.server_port << 16 | s.client_port
		                                            : (uint32_t)s.client_port << 16 | s.server_port),
		    .seq = s.seq,
		    .ack = s.ack,
		    .tsval = tsval,
		    .tsecr = tsecr,
		};
		sw_segment_syn_options(&s, mss, scale, sack, timestamps, stamped ? 0 : tsval, stamped ? 0 : tsecr);
		assert_int_equal(s.option_words, naive_syn_options(words, mss, scale, sack, timestamps, tsval, tsecr));
		put_segment(&wanted, &s, words);
		const struct place p = place_of(room_of(l3, &s));
		sw_segment_form_make(&form, &s);
		assert_written(&p, sw_segment_stamp(p.frame, l3, &form, &stamp, s.is_ipv6, timestamps && stamped), l3, &wanted);
		free(p.memory);
	}
}

static void turned_frames_swap_their_addresses_alone(void **state)
{
	uint8_t frame[16], turned[16];
	(void)state;

	for (unsigned int i = 0; i < sizeof(frame); i++)
		frame[i] = turned[i] = (uint8_t)(i + 1);
	sw_frame_turn(turned);
	assert_memory_equal(turned, frame + 6, 6);
	assert_memory_equal(turned + 6, frame, 6);
	assert_memory_equal(turned + 12, frame + 12, 4);
}

/* A frame that was rewritten is no longer what the NIC said of it, but still in the buffer that it came in. */
static void resized_frames_keep_their_buffers(void **state)
{
	struct rte_mbuf m = {.data_len = 74, .pkt_len = 74,
		.ol_flags = RTE_MBUF_F_EXTERNAL | RTE_MBUF_F_RX_L4_CKSUM_GOOD | RTE_MBUF_F_RX_RSS_HASH};

	(void)state;
	sw_frame_resize(&m, 60);
	assert_int_equal(m.data_len, 60);
	assert_int_equal(m.pkt_len, 60);
	assert_int_equal(m.ol_flags, RTE_MBUF_F_EXTERNAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(segments_are_as_written_byte_by_byte),
	    cmocka_unit_test(forms_are_stamped_as_segments_are_written),
	    cmocka_unit_test(turned_frames_swap_their_addresses_alone),
	    cmocka_unit_test(resized_frames_keep_their_buffers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
