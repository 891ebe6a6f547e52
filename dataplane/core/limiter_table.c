/* SPDX-License-Identifier: BSD-3-Clause */
#include "limiter_table.h"

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

/* More than any debt in cycles: whoever has it stands behind all who have not. */
#define WIDE_DEBT (1ll << 62)

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
	const __m128i value = _mm_sub_epi64(cycles, _mm_and_si128(wide_debt, _mm_set1_epi64x(WIDE_DEBT)));

	_Static_assert(SW_LIMITER_WIDE == 1u << WIDE_BIT && SW_NOTE_PINNED == 1u << PINNED_BIT, "the bits");
	return _mm_blendv_epi8(_mm_blendv_epi8(value, _mm_set1_epi64x(INT64_MAX), free), _mm_set1_epi64x(INT64_MIN),
		ways_with_bit(notes, PINNED_BIT));
}

/* A free way, otherwise the one that nothing pins and whose bucket has been full for longest; NONE: all are pinned. */
static uint32_t least_deserving(const struct sw_limiter_table *t, uint64_t line_hash, uint64_t now, int64_t *full_for_out)
{
	const struct sw_limiter_set *set = sw_limiter_set_of(t, line_hash);
	const __m128i low = full_for(set, 0, now), high = full_for(set, 2, now), is_high = _mm_cmpgt_epi64(high, low);
	const __m128i best = _mm_blendv_epi8(low, high, is_high); /* of ways 0 and 2, of ways 1 and 3 */
	const int64_t even = _mm_extract_epi64(best, 0), odd = _mm_extract_epi64(best, 1);
	const bool is_odd = odd > even;
	const uint32_t upper = (uint32_t)_mm_movemask_pd(_mm_castsi128_pd(is_high)) >> is_odd & 1;

	_Static_assert(SW_LIMITER_WAYS == 4, "two pairs");
	*full_for_out = is_odd ? odd : even;
	if (*full_for_out == INT64_MIN)
		return SW_LIMITER_NONE;
	return (uint32_t)(line_hash & t->mask) * SW_LIMITER_WAYS + upper * 2 + is_odd;
}

/* At home, if a place is free there or nobody has missed it for long; else wherever the less deserving entry stands. */
static uint32_t choose(struct sw_limiter_table *t, struct sw_limiter_key key, uint64_t now)
{
	int64_t at_home, elsewhere;
	const uint32_t home = least_deserving(t, key.home, now, &at_home);

	if (at_home >= SW_LIMITER_IDLE_CYCLES || ((key.hash ^ key.home) & t->mask) == 0)
		return home;
	const uint32_t other = least_deserving(t, key.hash, now, &elsewhere);
	if (other == SW_LIMITER_NONE || elsewhere <= at_home)
		return home;
	sw_limiter_set_of(t, key.home)->notes[0] |= SW_NOTE_MOVED;
	return other;
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
	t->used += evicted->fingerprint == 0;
	t->taken_over += evicted->fingerprint != 0;
	set->fingerprints[way] = sw_limiter_fingerprint(key.hash);
	sw_limiter_set_note(t, at, 0);
	set->tats[way] = now;
	return at;
}
