/* SPDX-License-Identifier: BSD-3-Clause */
#include "limiter_parts.h"

#include <nmmintrin.h>
#include <string.h>

void sw_limiter_levels_make(struct sw_limiter_levels *out, const uint8_t *lengths, unsigned int count, bool is_ipv6)
{
	const unsigned int home_length = is_ipv6 ? SW_LIMITER_HOME_IPV6 : SW_IPV4_MAPPED_BITS + SW_LIMITER_HOME_IPV4;
	struct sw_address ones;

	memset(&ones, 0xff, sizeof(ones));
	*out = (struct sw_limiter_levels){.home = 0};
	for (unsigned int level = 0; level < count; level++) {
		const struct sw_address mask = sw_address_mask(ones, lengths[level]);
		memcpy(out->masks[level], mask.bytes, sizeof(mask.bytes));
		if (level != 0 && lengths[level] == home_length)
			out->home = level;
	}
	for (unsigned int level = 0; level < SW_PREFIX_LEVELS; level++) {
		const bool at_home = level != 0 && level == out->home;
		for (unsigned int kind = 0; kind <= SW_LIMITER_CONN; kind++)
			out->whats[kind][level][0] = (at_home ? SW_LIMITER_HOME : level) << 2 | kind;
		out->picks[level] = level * 2 + at_home;
	}
	out->picks[SW_PREFIX_LEVELS] = out->home * 2;
	out->at_home = 1u | 1u << out->home;
	for (unsigned int ways = 0; ways < sizeof(out->stays); ways++) {
		const bool source = ways % (1u << SW_LIMITER_WAYS) != 0, neighbourhood = ways >> SW_LIMITER_WAYS != 0;
		out->stays[ways] = (uint8_t)((unsigned int)source | (unsigned int)neighbourhood << out->home);
	}
}

size_t sw_limiter_bytes(uint64_t entries, uint64_t *mask_out)
{
	uint64_t sets = 1;
	while (sets * SW_LIMITER_WAYS < entries)
		sets <<= 1;
	*mask_out = sets - 1;
	return sets * sizeof(struct sw_limiter_set);
}

/* For each of two ways ones where a bit of its word is set; `words` in the lower half. */
static inline __m128i ways_with_bit(__m128i words, int bit)
{
	return _mm_cvtepi32_epi64(_mm_srai_epi32(_mm_slli_epi32(words, 31 - bit), 31));
}

/*
 * For how long the buckets of two ways, from `way` on, have been full: INT64_MAX for a free way, INT64_MIN for a pinned one.
 * Without a branch, of which hardly any could be foreseen.
 */
static inline __m128i full_for(const struct sw_limiter_set *set, unsigned int way, uint64_t now)
{
	enum { WIDE_BIT = 1, PINNED_BIT = 31 };
	const __m128i fingerprints = _mm_loadl_epi64((const __m128i *)&set->fingerprints[way]);
	const __m128i notes = _mm_loadl_epi64((const __m128i *)&set->notes[way]);
	const __m128i free = _mm_cvtepi32_epi64(_mm_cmpeq_epi32(fingerprints, _mm_setzero_si128()));
	const __m128i cycles = _mm_sub_epi64(_mm_set1_epi64x((long long)now), _mm_load_si128((const __m128i *)&set->tats[way]));
	const __m128i wide_debt = _mm_and_si128(ways_with_bit(fingerprints, WIDE_BIT), _mm_cmpgt_epi64(_mm_setzero_si128(), cycles));
	const __m128i value = _mm_sub_epi64(cycles, _mm_and_si128(wide_debt, _mm_set1_epi64x(SW_LIMITER_WIDE_DEBT)));

	_Static_assert(SW_LIMITER_WIDE == 1u << WIDE_BIT && SW_NOTE_PINNED == 1u << PINNED_BIT, "the bits");
	return _mm_blendv_epi8(_mm_blendv_epi8(value, _mm_set1_epi64x(INT64_MAX), free), _mm_set1_epi64x(INT64_MIN),
		ways_with_bit(notes, PINNED_BIT));
}

/* How deserving the entries of a line are: full_for() of its four ways. */
struct ranking {
	__m128i low, high;
};

static inline struct ranking rank(const struct sw_limiter_set *set, uint64_t now)
{
	return (struct ranking){full_for(set, 0, now), full_for(set, 2, now)};
}

/* A free way, otherwise the one that nothing pins and whose bucket has been full for longest. */
static inline struct victim least_deserving(struct ranking r)
{
	const __m128i is_high = _mm_cmpgt_epi64(r.high, r.low);
	const __m128i best = _mm_blendv_epi8(r.low, r.high, is_high); /* of ways 0 and 2, of ways 1 and 3 */
	const int64_t even = _mm_extract_epi64(best, 0), odd = _mm_extract_epi64(best, 1);
	const bool is_odd = odd > even;
	const uint32_t upper = (uint32_t)_mm_movemask_pd(_mm_castsi128_pd(is_high)) >> is_odd & 1;

	_Static_assert(SW_LIMITER_WAYS == 4, "two pairs");
	return (struct victim){is_odd ? odd : even, upper * 2 + is_odd};
}

static uint32_t choose(struct sw_limiter_table *t, struct sw_limiter_key key, uint64_t now)
{
	struct sw_limiter_set *home = sw_limiter_set_of(t, key.home), *own = sw_limiter_set_of(t, key.hash);
	const struct victim at_home = least_deserving(rank(home, now));

	if (at_home.full_for < SW_LIMITER_IDLE_CYCLES && own != home) {
		const struct victim elsewhere = least_deserving(rank(own, now));
		if (moves_out(at_home, elsewhere)) {
			home->notes[0] |= SW_NOTE_MOVED;
			return sw_limiter_place(t, own, elsewhere.way);
		}
	}
	return at_home.full_for == INT64_MIN ? SW_LIMITER_NONE : sw_limiter_place(t, home, at_home.way);
}

uint32_t sw_limiter_insert(struct sw_limiter_table *t, struct sw_limiter_key key, uint64_t now,
	struct sw_limiter_evicted *evicted)
{
	const uint32_t there = sw_limiter_find(t, key);

	*evicted = (struct sw_limiter_evicted){0, 0};
	return there != SW_LIMITER_NONE ? there : sw_limiter_add(t, key, now, evicted);
}

uint32_t sw_limiter_add(struct sw_limiter_table *t, struct sw_limiter_key key, uint64_t now,
	struct sw_limiter_evicted *evicted)
{
	*evicted = (struct sw_limiter_evicted){0, 0};
	const uint32_t at = choose(t, key, now);
	if (at == SW_LIMITER_NONE)
		return SW_LIMITER_NONE;
	struct sw_limiter_set *set = &t->sets[at / SW_LIMITER_WAYS];
	const unsigned int way = at % SW_LIMITER_WAYS;
	*evicted = (struct sw_limiter_evicted){set->fingerprints[way], set->notes[way] & ~SW_NOTE_MOVED};
	put(t, set, way, key.hash, now);
	return at;
}

/* The same once there is a new entry in a way, if it is one of them. */
static inline struct ranking with_new(struct ranking r, uint32_t way)
{
	const __m128i new = _mm_set1_epi64x(way);

	return (struct ranking){_mm_andnot_si128(_mm_cmpeq_epi64(_mm_set_epi64x(1, 0), new), r.low),
		_mm_andnot_si128(_mm_cmpeq_epi64(_mm_set_epi64x(3, 2), new), r.high)};
}

#define SW_ADD_PAIR sw_limiter_add_pair
#define SW_TARGET
#include "limiter_pair.h"
