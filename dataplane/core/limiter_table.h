/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of everything that has a bucket of its own by address: sources and prefixes, SYNs and proven connections.
 * Fixed in size, four entries of 16 bytes in a cache line, keyed by a secret hash of which 32 bits beside the line
 * number tell entries apart. (Two keys that meet in all of these bits share a bucket; without the secret nobody can
 * choose such a pair.)
 *
 * Full     an insert takes the way whose bucket has been full for longest. Pinned entries are never taken: they
 *          belong to proven sources or count established connections. A line with four of them refuses the newcomer,
 *          which is then held by the wider limits alone.
 * Owner    one worker. Nobody else reads it.
 */
#ifndef SW_CORE_LIMITER_TABLE_H
#define SW_CORE_LIMITER_TABLE_H

#include <stddef.h>

#include "../api/address.h"

enum { SW_LIMITER_WAYS = 4 };

struct sw_limiter_entry {
	uint32_t fingerprint; /* 0: free */
	uint32_t note;        /* below; for the owner's use, except SW_NOTE_PINNED */
	uint64_t tat;         /* state of the bucket (token_bucket.h) */
};

/*
 * note   SYN entries of a source: bit 31 pinned, bit 30 has a record; then bits 0-29 are the record's index, otherwise
 *        the number of SYNs seen. CONN entries: bit 31 pinned while bits 0-29, the established connections, are not 0.
 *        RESET entries (RSTs that answer SYNs): not used.
 */
#define SW_NOTE_PINNED 0x80000000u
#define SW_NOTE_RECORD 0x40000000u
#define SW_NOTE_VALUE 0x3fffffffu

struct sw_limiter_set {
	_Alignas(64) struct sw_limiter_entry ways[SW_LIMITER_WAYS];
};

struct sw_limiter_table {
	struct sw_limiter_set *sets; /* mask + 1 of them, zeroed by whoever made the memory */
	uint64_t mask;
	uint64_t key[4]; /* secret, odd */
	uint64_t used;
};

enum sw_limiter_kind { SW_LIMITER_SYN, SW_LIMITER_CONN, SW_LIMITER_RESET };

/* Bytes for at least `entries` entries; *mask_out is for the table. */
size_t sw_limiter_bytes(uint64_t entries, uint64_t *mask_out);

/* 64x64 -> 128 bit multiply, folded. Keyed and not linear, unlike a CRC; not a MAC, and does not need to be one here. */
static inline uint64_t sw_limiter_mix(uint64_t a, uint64_t b)
{
	const unsigned __int128 product = (unsigned __int128)a * b;
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* `prefix`: masked to the level's length. */
static inline uint64_t sw_limiter_hash(const struct sw_limiter_table *t, const struct sw_address *prefix,
	enum sw_limiter_kind kind, unsigned int level, uint32_t service)
{
	uint64_t high, low;
	memcpy(&high, prefix->bytes, 8);
	memcpy(&low, prefix->bytes + 8, 8);
	const uint64_t what = (uint64_t)service << 8 | level << 2 | kind;
	/* An odd multiple of a secret for each kind of entry: its own function out of the family. */
	const uint64_t own = t->key[1] + what * t->key[2];
	const uint64_t sum = sw_limiter_mix(high + t->key[0], low ^ own) + (high ^ t->key[3]) * own;
	/* Addresses in a row give sums in a row, or few different ones, under one key in six: not without a second round. */
	const uint64_t mixed = (sum ^ sum >> 32) * t->key[3];
	return mixed ^ mixed >> 32;
}

static inline struct sw_limiter_set *sw_limiter_set_of(const struct sw_limiter_table *t, uint64_t hash)
{
	return &t->sets[hash & t->mask];
}

static inline uint32_t sw_limiter_fingerprint(uint64_t hash)
{
	return (uint32_t)(hash >> 32) | 1; /* never 0 */
}

static inline struct sw_limiter_entry *sw_limiter_find(const struct sw_limiter_table *t, uint64_t hash)
{
	struct sw_limiter_set *set = sw_limiter_set_of(t, hash);
	const uint32_t fingerprint = sw_limiter_fingerprint(hash);
	for (unsigned int i = 0; i < SW_LIMITER_WAYS; i++)
		if (set->ways[i].fingerprint == fingerprint)
			return &set->ways[i];
	return NULL;
}

/*
 * The entry of `hash`, taken over from the least deserving one when it is new (then fingerprint is set, note is 0,
 * tat is now, and *evicted holds what stood there, fingerprint 0 if it was free). NULL: all four ways are pinned.
 */
struct sw_limiter_entry *sw_limiter_insert(struct sw_limiter_table *t, uint64_t hash, uint64_t now,
	struct sw_limiter_entry *evicted);

/* Frees the entry. */
void sw_limiter_remove(struct sw_limiter_table *t, struct sw_limiter_entry *e);

_Static_assert(sizeof(struct sw_limiter_entry) == 16, "four entries a cache line");

#endif
