/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames for tests, written layer by layer from the outside in. Lengths are filled in by build_finish(), so that a test
 * can lie about them afterwards. Everything is client -> server unless `from_server` is set.
 */
#ifndef SW_TEST_FRAME_BUILDER_H
#define SW_TEST_FRAME_BUILDER_H

#include <stdlib.h>

#include "core/checksum.h"
#include "core/frame.h"

enum { BUILD_MAX = 4096, CLIENT_PORT = 40000, SERVER_PORT = 20000, CLIENT_ISN = 0x11223344, SERVER_ACK = 0x55667788 };

struct build {
	uint8_t bytes[BUILD_MAX];
	uint32_t length;
	uint32_t l3, l4; /* offsets */
	bool is_ipv6, from_server;
};

static const uint8_t test_client4[4] = {198, 51, 100, 7}, test_server4[4] = {10, 20, 0, 10};
static const uint8_t test_client6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 7};
static const uint8_t test_server6[16] = {0xfd, 0x00, 0x00, 0x20, [15] = 0x10};

static inline void build_add(struct build *b, const void *data, uint32_t length)
{
	if (length)
		memcpy(b->bytes + b->length, data, length);
	b->length += length;
}

static inline void build_add16(struct build *b, uint32_t value)
{
	build_add(b, (const uint8_t[]){(uint8_t)(value >> 8), (uint8_t)value}, 2);
}

static inline void build_add32(struct build *b, uint32_t value)
{
	build_add16(b, value >> 16);
	build_add16(b, value & 0xffff);
}

static inline void build_put16(struct build *b, uint32_t at, uint32_t value)
{
	b->bytes[at] = (uint8_t)(value >> 8);
	b->bytes[at + 1] = (uint8_t)value;
}

static inline void build_zeros(struct build *b, uint32_t length)
{
	memset(b->bytes + b->length, 0, length);
	b->length += length;
}

/* `tags`: EtherType and id of each, ended by 0. */
static inline void build_ethernet(struct build *b, bool is_ipv6, const uint16_t *tags)
{
	static const uint8_t macs[12] = {2, 0, 0, 0, 0, 0x10, 2, 0, 0, 0, 0, 2};

	*b = (struct build){.is_ipv6 = is_ipv6};
	build_add(b, macs, 12);
	for (; tags && tags[0]; tags += 2) {
		build_add16(b, tags[0]);
		build_add16(b, tags[1]);
	}
	build_add16(b, is_ipv6 ? 0x86dd : 0x0800);
}

/* The fixed IP header; what follows it begins at b->l4 until that is moved. */
static inline void build_ip(struct build *b, uint8_t protocol)
{
	const uint8_t *client = b->is_ipv6 ? test_client6 : test_client4;
	const uint8_t *server = b->is_ipv6 ? test_server6 : test_server4;
	const uint32_t width = b->is_ipv6 ? 16 : 4;

	b->l3 = b->length;
	if (b->is_ipv6) {
		build_add32(b, 0x60000000);
		build_add16(b, 0);
		build_add(b, (const uint8_t[]){protocol, 64}, 2);
	} else {
		build_add32(b, 0x45000000);
		build_add32(b, 0x00014000);
		build_add(b, (const uint8_t[]){64, protocol, 0, 0}, 4);
	}
	build_add(b, b->from_server ? server : client, width);
	build_add(b, b->from_server ? client : server, width);
	b->l4 = b->length;
}

static inline void build_tcp(struct build *b, uint8_t flags, const void *options, uint32_t option_bytes,
	uint32_t payload)
{
	b->l4 = b->length;
	build_add16(b, b->from_server ? SERVER_PORT : CLIENT_PORT);
	build_add16(b, b->from_server ? CLIENT_PORT : SERVER_PORT);
	build_add32(b, CLIENT_ISN);
	build_add32(b, SERVER_ACK);
	build_add(b, (const uint8_t[]){(uint8_t)((5 + option_bytes / 4) << 4), flags}, 2);
	build_add16(b, 0x1234);
	build_add32(b, 0);
	build_add(b, options, option_bytes);
	for (uint32_t i = 0; i < payload; i++)
		b->bytes[b->length++] = (uint8_t)(i * 7 + 1);
}

/* IP lengths and, with `checksums`, the sums of an IPv4 header without options and of a TCP segment at b->l4. */
static inline void build_finish(struct build *b, bool checksums)
{
	uint8_t *ip = b->bytes + b->l3;
	const uint32_t segment = b->length - b->l4;
	uint64_t sum;
	uint16_t value;

	build_put16(b, b->l3 + (b->is_ipv6 ? 4 : 2), b->length - b->l3 - (b->is_ipv6 ? 40 : 0));
	if (!checksums)
		return;
	sum = b->is_ipv6 ? sw_checksum_pseudo_ipv6(ip + 8, ip + 24, 6, segment)
					 : sw_checksum_pseudo_ipv4(ip + 12, ip + 16, 6, (uint16_t)segment);
	value = sw_checksum_finish(sw_checksum_add(sum, b->bytes + b->l4, segment));
	memcpy(b->bytes + b->l4 + 16, &value, 2);
	if (b->is_ipv6)
		return;
	value = sw_checksum_finish(sw_checksum_add(0, ip, 20));
	memcpy(ip + 10, &value, 2);
}

/* The usual: Ethernet, IP, TCP. */
static inline void build_segment(struct build *b, bool is_ipv6, uint8_t flags, const void *options,
	uint32_t option_bytes, uint32_t payload)
{
	build_ethernet(b, is_ipv6, NULL);
	build_ip(b, 6);
	build_tcp(b, flags, options, option_bytes, payload);
	build_finish(b, true);
}

/* Parses a heap copy of exactly `length` bytes: a sanitizer sees the first byte read behind it. */
static inline struct sw_packet parse_exactly(const uint8_t *bytes, uint32_t length, enum sw_side side)
{
	uint8_t *copy = malloc(length ? length : 1);
	struct sw_packet p;

	memset(&p, 0xa5, sizeof(p));
	if (length)
		memcpy(copy, bytes, length);
	sw_frame_parse(copy, length, side, &p);
	free(copy);
	return p;
}

static inline struct sw_packet parse_build(const struct build *b)
{
	return parse_exactly(b->bytes, b->length, b->from_server ? SW_INSIDE : SW_OUTSIDE);
}

#endif
