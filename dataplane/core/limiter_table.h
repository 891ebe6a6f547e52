/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of everything that has a bucket of its own by address: sources and prefixes, SYNs and proven connections.
 * Fixed in size, four entries of 16 bytes in a cache line, found by a secret hash of which 30 bits beside the line's
 * number tell entries apart. (Two keys that meet in all of these bits share a bucket; without the secret nobody can
 * choose such a pair.)
 *
 * Home     the line of a source's neighbourhood: its /24, or its /64 in IPv6. A prefix of just that length and the
 *          sources in it stand there, so that a flood of scattered sources costs one line each where two buckets have
 *          to be looked at. While all places at home are in use, newcomers move out, each to a line of its own, and
 *          the home is marked: who is not found in it may stand elsewhere.
 * Full     an insert takes the way whose bucket has been full for longest, and one in debt only when it has to: a prefix's
 *          last of all, however short its debt is in time. It is what holds its sources, which may be any number.
 *          Pinned entries are never taken: they belong to proven sources or count established connections. Where all
 *          places are pinned the newcomer is refused, and held by the wider limits alone.
 * Owner    one worker. Nobody else reads it.
 *
 *        0           16          32          48         64
 *        | fp 0..3   | note 0..3 | tat 0, 1  | tat 2, 3 |
 */
#ifndef SW_CORE_LIMITER_TABLE_H
#define SW_CORE_LIMITER_TABLE_H

#include <stddef.h>
#include <wmmintrin.h>

#include "../api/policy_snapshot.h" /* SW_PREFIX_LEVELS */

enum { SW_LIMITER_WAYS = 4, SW_LIMITER_ENTRY_BYTES = 16 };

/* A bucket that has been full for so long, a second or so, is not in use. */
#define SW_LIMITER_IDLE_CYCLES (1ll << 31)

/* In a fingerprint: the entry of a prefix. Keys carry it in the same place of their hash. */
#define SW_LIMITER_WIDE 2u

/* A place in the table: line * SW_LIMITER_WAYS + way. */
#define SW_LIMITER_NONE 0xffffffffu

/*
 * note   SYN entries of a source: bit 31 pinned, bit 30 has a record. Without one bits 0-27 are the number of SYNs seen. With
 *        one, bits 0-20 are its index, bits 21-25 how many SYNs it has not been told of yet, which were dropped if bit 27 is
 *        set; bit 28: it says that the source is, or was, blocked. CONN entries: bit 31 pinned while bits 0-28, the
 *        established connections, are not 0. Others: not used. Bit 29 is the line's, in its first note: somebody has moved
 *        out.
 */
#define SW_NOTE_PINNED 0x80000000u
#define SW_NOTE_RECORD 0x40000000u
#define SW_NOTE_MOVED 0x20000000u
#define SW_NOTE_VALUE 0x1fffffffu
#define SW_NOTE_ENOUGH 0x08000000u /* without a record: counting ends here, far beyond what makes one, lest it reach BLOCKED */
#define SW_NOTE_BLOCKED 0x10000000u
#define SW_NOTE_DROPPED 0x08000000u
#define SW_NOTE_TELL 0x04000000u /* where the number of SYNs overflows */
#define SW_NOTE_SYN 0x00200000u
#define SW_NOTE_INDEX 0x001fffffu

struct sw_limiter_set {
	_Alignas(64) uint32_t fingerprints[SW_LIMITER_WAYS]; /* 0: free */
	uint32_t notes[SW_LIMITER_WAYS];                     /* for the owner's use, except SW_NOTE_PINNED */
	uint64_t tats[SW_LIMITER_WAYS];                      /* state of the bucket (token_bucket.h) */
};

enum { SW_LIMITER_KEYS = 4 };

struct sw_limiter_table {
	struct sw_limiter_set *sets; /* mask + 1 of them, zeroed by whoever made the memory */
	uint64_t mask;               /* below 2^30 */
	uint64_t key[SW_LIMITER_KEYS][2]; /* secret */
	uint64_t used;
	uint32_t taken_over; /* entries that had to make room for others so far: where one stood another may stand now */
	struct sw_limiter_set nowhere; /* for buckets that have no place, or no limit: what is written here is lost */
};

enum sw_limiter_kind { SW_LIMITER_SYN, SW_LIMITER_CONN, SW_LIMITER_RESET };

/* A neighbourhood's length, and what stands in place of its level, whichever the policy has it at. */
enum { SW_LIMITER_HOME_IPV4 = 24, SW_LIMITER_HOME_IPV6 = 64, SW_LIMITER_HOME = 7 };

/* The two lines where an entry may stand, its home first; the same one but for sources and neighbourhoods. Of `home` only
 * the bits that number the line matter. */
struct sw_limiter_key {
	uint64_t hash, home;
};

/*
 * What the keys of all prefix levels of one family are made of, a lane for each: for those who work on all at a time.
 * From the 64-bit halves of the levels' scrambled prefixes, in a row, `picks` says which are hashes, and then which
 * numbers the home.
 */
struct sw_limiter_levels {
	uint64_t masks[SW_PREFIX_LEVELS][2];              /* to be ANDed with the address */
	uint64_t whats[SW_LIMITER_CONN + 1][SW_PREFIX_LEVELS][2]; /* by kind; the service is yet to be added */
	uint64_t picks[SW_PREFIX_LEVELS * 2];             /* of the second half the first alone counts */
	uint32_t home;                                    /* the level that is a neighbourhood; 0: none */
	uint32_t at_home;                                 /* the set of levels that stand at home: that one, and the source */
	/* Likewise, of a line: by the set of its ways that hold the source, and that of those that hold the neighbourhood << 4. */
	uint8_t stays[1 << 2 * SW_LIMITER_WAYS];
};

/* `lengths`: of 128 bits, each different, the first of level 0, which is 128. */
void sw_limiter_levels_make(struct sw_limiter_levels *out, const uint8_t *lengths, unsigned int count, bool is_ipv6);

/* Bytes for at least `entries` entries; *mask_out is for the table. */
size_t sw_limiter_bytes(uint64_t entries, uint64_t *mask_out);

/* 64x64 -> 128 bit multiply, folded. Keyed and not linear, unlike a CRC; not a MAC, and does not need to be one here. */
static inline uint64_t sw_limiter_mix(uint64_t a, uint64_t b)
{
	const unsigned __int128 product = (unsigned __int128)a * b;
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline __m128i sw_limiter_load(const void *sixteen_bytes)
{
	return _mm_loadu_si128(sixteen_bytes);
}

/* What an entry is for. */
static inline uint64_t sw_limiter_what(enum sw_limiter_kind kind, unsigned int level, uint32_t service)
{
	return (uint64_t)service << 8 | level << 2 | kind;
}

/*
 * Three rounds of AES under secret keys (FIPS 197, 5.1), the second of which takes in what the entry is for. After two
 * rounds every byte depends on every other.
 */
static inline __m128i sw_limiter_scramble(const struct sw_limiter_table *t, __m128i prefix, uint64_t what)
{
	__m128i x = _mm_xor_si128(prefix, sw_limiter_load(t->key[0]));
	x = _mm_aesenc_si128(x, _mm_xor_si128(_mm_cvtsi64_si128((long long)what), sw_limiter_load(t->key[1])));
	x = _mm_aesenc_si128(x, sw_limiter_load(t->key[2]));
	return _mm_aesenc_si128(x, sw_limiter_load(t->key[3]));
}

static inline uint64_t sw_limiter_as_wide(uint64_t hash)
{
	return hash | (uint64_t)SW_LIMITER_WIDE << 32;
}

static inline uint64_t sw_limiter_as_source(uint64_t hash)
{
	return hash & ~((uint64_t)SW_LIMITER_WIDE << 32);
}

/* `prefix`: masked to the level's length. */
static inline uint64_t sw_limiter_hash(const struct sw_limiter_table *t, const struct sw_address *prefix,
	enum sw_limiter_kind kind, unsigned int level, uint32_t service)
{
	return (uint64_t)_mm_cvtsi128_si64(sw_limiter_scramble(t, sw_limiter_load(prefix->bytes), sw_limiter_what(kind, level, service)));
}

/* Of a neighbourhood, the prefix of SW_LIMITER_HOME_IPV4 or _IPV6 bits around `source`. */
static inline struct sw_limiter_key sw_limiter_home_key(const struct sw_limiter_table *t,
	const struct sw_address *source, bool is_ipv6, enum sw_limiter_kind kind, uint32_t service)
{
	static const uint8_t masks[2][16] = {
		{255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0},
		{255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0},
	};
	const __m128i prefix = _mm_and_si128(sw_limiter_load(source->bytes), sw_limiter_load(masks[is_ipv6]));
	const __m128i x = sw_limiter_scramble(t, prefix, sw_limiter_what(kind, SW_LIMITER_HOME, service));
	return (struct sw_limiter_key){
		.hash = sw_limiter_as_wide((uint64_t)_mm_cvtsi128_si64(_mm_unpackhi_epi64(x, x))),
		.home = (uint64_t)_mm_cvtsi128_si64(x),
	};
}

/* Of the source itself, level 0. `home`: of its neighbourhood, sw_limiter_home_key().home. */
static inline struct sw_limiter_key sw_limiter_source_key(const struct sw_limiter_table *t,
	const struct sw_address *source, enum sw_limiter_kind kind, uint32_t service, uint64_t home)
{
	return (struct sw_limiter_key){.hash = sw_limiter_as_source(sw_limiter_hash(t, source, kind, 0, service)), .home = home};
}

static inline struct sw_limiter_set *sw_limiter_set_of(const struct sw_limiter_table *t, uint64_t hash)
{
	return &t->sets[hash & t->mask];
}

static inline uint32_t sw_limiter_place(const struct sw_limiter_table *t, const struct sw_limiter_set *set, uint32_t way)
{
	return (uint32_t)(set - t->sets) * SW_LIMITER_WAYS + way;
}

static inline uint32_t sw_limiter_fingerprint(uint64_t hash)
{
	return (uint32_t)(hash >> 32) | 1; /* never 0 */
}

static inline uint32_t sw_limiter_note(const struct sw_limiter_table *t, uint32_t at)
{
	return t->sets[at / SW_LIMITER_WAYS].notes[at % SW_LIMITER_WAYS];
}

static inline void sw_limiter_set_note(const struct sw_limiter_table *t, uint32_t at, uint32_t note)
{
	uint32_t *to = &t->sets[at / SW_LIMITER_WAYS].notes[at % SW_LIMITER_WAYS];
	*to = (*to & SW_NOTE_MOVED) | (note & ~SW_NOTE_MOVED);
}

static inline uint64_t *sw_limiter_tat(const struct sw_limiter_table *t, uint32_t at)
{
	return &t->sets[at / SW_LIMITER_WAYS].tats[at % SW_LIMITER_WAYS];
}

/*
 * An entry by its bucket: the line where that stands, and what stands beside it. Lines lie at multiples of their size;
 * in them a bucket is twice as far from the beginning as its note.
 */
static inline struct sw_limiter_set *sw_limiter_set_around(const uint64_t *tat)
{
	return (struct sw_limiter_set *)((uintptr_t)tat & ~(uintptr_t)(sizeof(struct sw_limiter_set) - 1));
}

static inline uint32_t sw_limiter_way_of(const uint64_t *tat)
{
	return (uint32_t)(tat - sw_limiter_set_around(tat)->tats);
}

static inline uint32_t *sw_limiter_note_beside(const uint64_t *tat)
{
	const uintptr_t within = (uintptr_t)tat & (sizeof(struct sw_limiter_set) - 1);

	return (uint32_t *)((uintptr_t)sw_limiter_set_around(tat) + within / 2);
}

static inline uint32_t sw_limiter_fingerprint_beside(const uint64_t *tat)
{
	return sw_limiter_note_beside(tat)[-SW_LIMITER_WAYS];
}

static inline uint32_t sw_limiter_place_of(const struct sw_limiter_table *t, const uint64_t *tat)
{
	return sw_limiter_place(t, sw_limiter_set_around(tat), sw_limiter_way_of(tat));
}

/* The ways of a line that hold `hash`: a bit each; as good as always none or one. */
static inline unsigned int sw_limiter_ways_with(const struct sw_limiter_set *set, uint64_t hash)
{
	const __m128i same = _mm_cmpeq_epi32(_mm_load_si128((const __m128i *)set->fingerprints),
		_mm_set1_epi32((int)sw_limiter_fingerprint(hash)));

	return (unsigned int)_mm_movemask_ps(_mm_castsi128_ps(same));
}

/* The place of `hash` in the line of `line_hash`, or SW_LIMITER_NONE. */
static inline uint32_t sw_limiter_find_in(const struct sw_limiter_table *t, uint64_t line_hash, uint64_t hash)
{
	const unsigned int ways = sw_limiter_ways_with(sw_limiter_set_of(t, line_hash), hash);

	if (ways == 0)
		return SW_LIMITER_NONE;
	return (uint32_t)(line_hash & t->mask) * SW_LIMITER_WAYS + (uint32_t)__builtin_ctz(ways);
}

static inline bool sw_limiter_has_moved(const struct sw_limiter_table *t, struct sw_limiter_key key)
{
	return sw_limiter_set_of(t, key.home)->notes[0] & SW_NOTE_MOVED;
}

static inline uint32_t sw_limiter_find(const struct sw_limiter_table *t, struct sw_limiter_key key)
{
	const uint32_t at = sw_limiter_find_in(t, key.home, key.hash);

	return at != SW_LIMITER_NONE || !sw_limiter_has_moved(t, key) ? at : sw_limiter_find_in(t, key.hash, key.hash);
}

/* What stood where an insert made room; fingerprint 0: nothing. */
struct sw_limiter_evicted {
	uint32_t fingerprint, note;
};

/*
 * The place of `key`, taken over from the least deserving entry of its lines when it is new (then note is 0, tat is now).
 * SW_LIMITER_NONE: all places are pinned.
 */
uint32_t sw_limiter_insert(struct sw_limiter_table *t, struct sw_limiter_key key, uint64_t now,
	struct sw_limiter_evicted *evicted);

/* The same for a key that is not there. */
uint32_t sw_limiter_add(struct sw_limiter_table *t, struct sw_limiter_key key, uint64_t now,
	struct sw_limiter_evicted *evicted);

/*
 * A source and its neighbourhood, neither of which is there: the same as sw_limiter_add() of the one and then of the other.
 * `buckets`: theirs. False, and the table is as it was: they have to be added one by one, since an entry with a record would
 * have to go, or one of the two for the other, or one finds no place; or their home and their own lines are not three.
 */
typedef bool sw_limiter_add_pair_fn(struct sw_limiter_table *t, struct sw_limiter_set *home, uint64_t source,
	uint64_t neighbourhood, uint64_t now, uint64_t *buckets[2]);
sw_limiter_add_pair_fn sw_limiter_add_pair, sw_limiter_add_pair_avx512;

_Static_assert(offsetof(struct sw_limiter_set, tats) == 2 * offsetof(struct sw_limiter_set, notes) &&
		offsetof(struct sw_limiter_set, notes) == SW_LIMITER_WAYS * sizeof(uint32_t), "sw_limiter_note_beside()");
_Static_assert(SW_NOTE_INDEX == SW_WORKER_RECORDS_MAX - 1, "room for the index of every record");
_Static_assert(sizeof(struct sw_limiter_set) == SW_LIMITER_WAYS * SW_LIMITER_ENTRY_BYTES, "four entries a cache line");

#endif
