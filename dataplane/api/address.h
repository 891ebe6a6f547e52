/* SPDX-License-Identifier: BSD-3-Clause */
/* Addresses and prefixes as every part of Seawall writes them. Pure data: no DPDK, no libc beyond stdint. */
#ifndef SW_API_ADDRESS_H
#define SW_API_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/*
 * One type for both families, in network byte order: an IPv6 address as it is, an IPv4 address a.b.c.d as the
 * IPv4-mapped ::ffff:a.b.c.d (RFC 4291, 2.5.5.2). A frame that carries ::ffff:0:0/96 as a real IPv6 address is
 * refused by the parser (it must not appear on a wire), so the two families cannot be confused.
 */
struct sw_address {
	uint8_t bytes[16];
};

/* The first `length` bits of `address` count, the rest are zero. An IPv4 prefix /n has length 96 + n. */
struct sw_prefix {
	struct sw_address address;
	uint8_t length; /* 0 to 128 */
	uint8_t reserved[7];
};

enum { SW_IPV4_MAPPED_BITS = 96 };

static inline bool sw_address_is_ipv4(const struct sw_address *a)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	return memcmp(a->bytes, mapped, sizeof(mapped)) == 0;
}

/* `four`: the four bytes of an IPv4 address, network order. */
static inline struct sw_address sw_address_from_ipv4(const void *four)
{
	struct sw_address a = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0}};
	memcpy(a.bytes + 12, four, 4);
	return a;
}

static inline struct sw_address sw_address_from_ipv6(const void *sixteen)
{
	struct sw_address a;
	memcpy(a.bytes, sixteen, 16);
	return a;
}

static inline bool sw_address_equal(const struct sw_address *a, const struct sw_address *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* The address with every bit behind the first `length` cleared. */
static inline struct sw_address sw_address_mask(struct sw_address a, uint8_t length)
{
	for (unsigned int i = 0; i < 16; i++) {
		const unsigned int bits = length > i * 8 ? length - i * 8 : 0;
		if (bits < 8)
			a.bytes[i] = (uint8_t)(a.bytes[i] & (0xff00u >> bits));
	}
	return a;
}

/* An IPv6 prefix, be it ::/0, holds no IPv4 address. */
static inline bool sw_prefix_contains(const struct sw_prefix *p, const struct sw_address *a)
{
	if (p->length < SW_IPV4_MAPPED_BITS && sw_address_is_ipv4(a))
		return false;
	const struct sw_address masked = sw_address_mask(*a, p->length);
	return sw_address_equal(&masked, &p->address);
}

_Static_assert(sizeof(struct sw_address) == 16, "an address is 16 bytes in every snapshot and region");
_Static_assert(sizeof(struct sw_prefix) == 24, "a prefix is 24 bytes in every snapshot and region");

#endif
