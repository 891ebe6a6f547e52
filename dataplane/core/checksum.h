/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The Internet checksum (RFC 1071), whole and incremental (RFC 1624, equation 3).
 *
 * Shape    a running sum is a uint64_t that only grows: start at 0 or with a pseudo header, add buffers, finish.
 *          A 64-bit sum holds 2^32 32-bit words, far beyond any packet, so nothing is folded before the end.
 * Order    words are added as they lie in memory; the sum is right in either byte order (RFC 1071, 2 (B)), so a
 *          finished checksum is stored with memcpy and never swapped. `_be` arguments are in network order too.
 * Aligned  nothing needs to be: every access is a memcpy.
 */
#ifndef SW_CHECKSUM_H
#define SW_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * The 16-bit one's complement sum, not inverted. A half added to the other, whichever way round, carries into the upper
 * one, which is then the sum of both with its carry brought around.
 */
static inline uint16_t sw_checksum_fold(uint64_t sum)
{
	const uint32_t half = (uint32_t)((sum + (sum << 32 | sum >> 32)) >> 32);

	return (uint16_t)((half + (half << 16 | half >> 16)) >> 16);
}

/* What belongs in the checksum field. */
static inline uint16_t sw_checksum_finish(uint64_t sum)
{
	return (uint16_t)~sw_checksum_fold(sum);
}

/*
 * Adds eight bytes, of any value, with the carry brought around. What is added otherwise is added before: behind this
 * the sum has no room left.
 */
static inline uint64_t sw_checksum_add64(uint64_t sum, uint64_t word)
{
	sum += word;
	return sum + (sum < word);
}

/* Adds `length` bytes. They must begin at an even place of what is summed; only the last buffer may be odd. */
static inline uint64_t sw_checksum_add(uint64_t sum, const void *data, size_t length)
{
	const uint8_t *p = data;
	uint32_t word;
	uint16_t half = 0;

	for (; length >= 4; length -= 4, p += 4) {
		memcpy(&word, p, 4);
		sum += word;
	}
	if (length & 2) {
		memcpy(&half, p, 2);
		sum += half;
		p += 2;
	}
	if (length & 1) {
		half = 0;
		memcpy(&half, p, 1); /* the missing byte counts as zero */
		sum += half;
	}
	return sum;
}

/* A number in host order, as the two bytes it is on the wire. */
static inline uint64_t sw_checksum_add16(uint64_t sum, uint16_t host)
{
	const uint8_t wire[2] = {(uint8_t)(host >> 8), (uint8_t)host};
	uint16_t half;

	memcpy(&half, wire, 2);
	return sum + half;
}

/* RFC 9293, 3.1: pseudo header over IPv4; `bytes`: TCP header and payload. */
static inline uint64_t sw_checksum_pseudo_ipv4(const void *source4, const void *destination4, uint8_t protocol,
	uint16_t bytes)
{
	uint64_t sum = sw_checksum_add(0, source4, 4);

	sum = sw_checksum_add(sum, destination4, 4);
	return sw_checksum_add16(sw_checksum_add16(sum, protocol), bytes);
}

/* RFC 8200, 8.1: pseudo header over IPv6. `bytes`: of the upper layer, without extension headers. */
static inline uint64_t sw_checksum_pseudo_ipv6(const void *source16, const void *destination16, uint8_t next_header,
	uint32_t bytes)
{
	uint64_t sum = sw_checksum_add(0, source16, 16);

	sum = sw_checksum_add(sum, destination16, 16);
	sum = sw_checksum_add16(sw_checksum_add16(sum, (uint16_t)(bytes >> 16)), (uint16_t)bytes);
	return sw_checksum_add16(sum, next_header);
}

/* RFC 1624, equation 3: HC' = ~(~HC + ~m + m'); `difference` is the sum of ~m + m' over 16-bit words. */
static inline void sw_checksum_apply(void *cksum, uint64_t difference)
{
	uint16_t c;

	memcpy(&c, cksum, 2);
	c = sw_checksum_finish((uint64_t)(uint16_t)~c + difference);
	memcpy(cksum, &c, 2);
}

/* ~m + m' of a 32-bit field: below 2^33. 32-bit words are as good as 16-bit ones, since 2^16 = 1 (mod 2^16 - 1). */
static inline uint64_t sw_checksum_difference32(uint32_t old_be, uint32_t new_be)
{
	return (uint64_t)(uint32_t)~old_be + new_be;
}

/* A 16-bit field at an even offset changed. `cksum`: the two bytes of the checksum field. */
static inline void sw_checksum_replace16(void *cksum, uint16_t old_be, uint16_t new_be)
{
	sw_checksum_apply(cksum, (uint64_t)(uint16_t)~old_be + new_be);
}

/* A 32-bit field at an even offset changed. */
static inline void sw_checksum_replace32(void *cksum, uint32_t old_be, uint32_t new_be)
{
	sw_checksum_apply(cksum, sw_checksum_difference32(old_be, new_be));
}

/*
 * A 32-bit field at any offset changed: timestamps and SACK blocks may stand at odd ones. `offset` counts from the
 * start of what is summed (the TCP header); only its parity matters. At an odd offset every byte changes its place in
 * its word, which swaps the bytes of the difference (RFC 1071, 2 (B)).
 */
static inline void sw_checksum_replace_bytes(void *cksum, unsigned int offset, uint32_t old_be, uint32_t new_be)
{
	uint16_t difference = sw_checksum_fold(sw_checksum_difference32(old_be, new_be));

	if (offset & 1)
		difference = (uint16_t)(difference << 8 | difference >> 8);
	sw_checksum_apply(cksum, difference);
}

#endif
