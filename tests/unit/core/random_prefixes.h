/* SPDX-License-Identifier: BSD-3-Clause */
/* Random but repeatable addresses and prefixes of both families, nested and clustered as policies are. */
#ifndef SW_TESTS_RANDOM_PREFIXES_H
#define SW_TESTS_RANDOM_PREFIXES_H

#include <arpa/inet.h>
#include <stdlib.h>

#include "api/policy_snapshot.h"

/* xorshift64* (Vigna, 2016) */
static inline uint64_t random_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

static inline uint32_t random_below(uint64_t *state, uint32_t limit)
{
	return (uint32_t)((random_next(state) >> 32) * limit >> 32);
}

static inline struct sw_address random_address(uint64_t *state, bool ipv6)
{
	uint64_t words[2] = {random_next(state), random_next(state)};
	if (!ipv6)
		return sw_address_from_ipv4(words);
	return sw_address_from_ipv6(words);
}

/* `near` with some of its last `bits` bits changed: lands in the same prefixes often. */
static inline struct sw_address random_neighbour(uint64_t *state, struct sw_address near, unsigned int bits)
{
	for (unsigned int i = 0; i < 3; i++) {
		const unsigned int bit = 127 - random_below(state, bits);
		near.bytes[bit / 8] = (uint8_t)(near.bytes[bit / 8] ^ (random_next(state) & 1) << (7 - bit % 8));
	}
	return near;
}

/* `text`: "10.0.0.0/8" or "2001:db8::/32"; without a length a host route. */
static inline struct sw_prefix prefix_of(const char *text)
{
	char address[INET6_ADDRSTRLEN] = "";
	uint8_t bytes[16];
	struct sw_prefix prefix = {.length = 128};
	const char *slash = strchr(text, '/');
	memcpy(address, text, slash ? (size_t)(slash - text) : strlen(text));
	if (inet_pton(AF_INET, address, bytes) == 1) {
		prefix.address = sw_address_from_ipv4(bytes);
		prefix.length = (uint8_t)(slash ? SW_IPV4_MAPPED_BITS + atoi(slash + 1) : 128);
	} else if (inet_pton(AF_INET6, address, bytes) == 1) {
		prefix.address = sw_address_from_ipv6(bytes);
		prefix.length = (uint8_t)(slash ? atoi(slash + 1) : 128);
	} else {
		abort();
	}
	prefix.address = sw_address_mask(prefix.address, prefix.length);
	return prefix;
}

static inline struct sw_address address_of(const char *text)
{
	return prefix_of(text).address;
}

static inline int compare_prefixes(const struct sw_prefix *a, const struct sw_prefix *b)
{
	const int order = memcmp(&a->address, &b->address, sizeof(a->address));
	return order ? order : (int)a->length - b->length;
}

static inline int compare_rules(const void *left, const void *right)
{
	const struct sw_prefix_rule *a = left, *b = right;
	const int order = compare_prefixes(&a->prefix, &b->prefix);
	return order ? order : (int)a->kind - b->kind;
}

/* As a snapshot has them: sorted, of each (prefix, kind) one. Returns how many are left. */
static inline uint32_t sort_rules(struct sw_prefix_rule *rules, uint32_t count)
{
	uint32_t kept = 0;
	qsort(rules, count, sizeof(*rules), compare_rules);
	for (uint32_t i = 0; i < count; i++)
		if (kept == 0 || compare_rules(&rules[kept - 1], &rules[i]) != 0)
			rules[kept++] = rules[i];
	return kept;
}

#endif
