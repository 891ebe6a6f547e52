/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames put together piece by piece, for the XDP program's tests. */
#ifndef SW_TESTS_FRAMES_H
#define SW_TESTS_FRAMES_H

#include "../core/random_prefixes.h"

struct frame {
	uint8_t bytes[512];
	uint32_t length;
};

static inline void put(struct frame *f, const void *bytes, uint32_t count)
{
	memcpy(f->bytes + f->length, bytes, count);
	f->length += count;
}

static inline void put16(struct frame *f, unsigned int value)
{
	const uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};
	put(f, bytes, 2);
}

static inline void put_zeros(struct frame *f, uint32_t count)
{
	memset(f->bytes + f->length, 0, count);
	f->length += count;
}

static inline void set16(struct frame *f, uint32_t at, uint32_t value)
{
	f->bytes[at] = (uint8_t)(value >> 8);
	f->bytes[at + 1] = (uint8_t)value;
}

/* Ethernet, then the given tag types (0 ends them), then the EtherType. */
static inline void put_ethernet(struct frame *f, const uint16_t tags[3], uint16_t type)
{
	put(f, "\x02\0\0\0\0\1\x02\0\0\0\0\2", 12);
	for (int i = 0; i < 3 && tags[i]; i++) {
		put16(f, tags[i]);
		put16(f, 100u + (unsigned int)i);
	}
	put16(f, type);
}

/* Returns where the header begins; finish_ip() sets its length. */
static inline uint32_t put_ip(struct frame *f, const char *from, const char *to, uint8_t protocol)
{
	const struct sw_address source = address_of(from), destination = address_of(to);
	const uint32_t at = f->length;
	if (sw_address_is_ipv4(&source)) {
		const uint8_t header[12] = {0x45, 0, 0, 0, 0, 1, 0, 0, 64, protocol, 0, 0};
		put(f, header, sizeof(header));
		put(f, source.bytes + 12, 4);
		put(f, destination.bytes + 12, 4);
	} else {
		const uint8_t header[8] = {0x60, 0, 0, 0, 0, 0, protocol, 64};
		put(f, header, sizeof(header));
		put(f, source.bytes, 16);
		put(f, destination.bytes, 16);
	}
	return at;
}

static inline void finish_ip(struct frame *f, uint32_t at)
{
	if (f->bytes[at] >> 4 == 4)
		set16(f, at + 2, f->length - at);
	else
		set16(f, at + 4, f->length - at - 40);
}

static inline void put_tcp(struct frame *f, uint16_t from, uint16_t to)
{
	static const uint8_t rest[16] = {0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff};
	put16(f, from);
	put16(f, to);
	put(f, rest, sizeof(rest));
}

#endif
