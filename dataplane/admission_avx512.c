/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/limiter_lanes_avx512.h"

#define SW_LANES_OF(name) sw_lanes_##name##_avx512
#define SW_LANES_KEYS struct sw_lanes_keys512
#define SW_LANES_FIND struct sw_lanes_find512
#define SW_LANES_LOOK struct sw_lanes_look512
#define SW_LANES_NEXT __m256i
#define SW_TARGET SW_AVX512
#define SW_TARGET_KEYS SW_AVX512_VAES
#include "admission_loops.h"

/* ---- who is over his limit, four packets at a time ---------------------------------------------------------------- */

enum { FOUR = 4, HALF = SW_BURST / 2 };

_Static_assert(SW_LIMITER_WAYS == 4 && HALF * SW_LIMITER_WAYS == 64,
	"ways of four packets fill a vector, those of half a burst a word");

/* What note_syn() knows, and refuse() in admission.c, in each lane. */
struct overs512 {
	__m512i now, tolerance; /* by way of two packets; the others by way of four */
	__m512i blocked, recorded, settled, syn, one, dropped, untold, counts, claims_at, moved;
};

/* A constant that is to stay in its register: compilers would make it anew wherever it is used. */
static inline SW_AVX512 __m512i constant(uint32_t in_each_lane)
{
	__m512i x = _mm512_set1_epi32((int)in_each_lane);

	__asm__("" : "+v"(x));
	return x;
}

static inline SW_AVX512 struct overs512 open_overs(const struct sw_overs *o)
{
	return (struct overs512){
		.now = _mm512_set1_epi64((long long)o->now), .tolerance = _mm512_set1_epi64((long long)o->tolerance),
		.blocked = constant(SW_NOTE_BLOCKED), .recorded = constant(SW_NOTE_RECORD),
		.settled = constant(SW_NOTE_RECORD | SW_NOTE_ENOUGH), .syn = constant(SW_NOTE_SYN), .one = constant(1),
		.dropped = constant(SW_NOTE_DROPPED), .untold = constant(SW_NOTE_DROPPED | SW_NOTE_TELL),
		.counts = constant(SW_NOTE_RECORD | SW_NOTE_VALUE), .claims_at = constant(o->claims_at),
		.moved = constant(SW_NOTE_MOVED),
	};
}

/* What was found in the ways of half a burst, a bit each. */
struct found_ways {
	uint64_t at_home, over, moved;
};

static inline SW_AVX512 __m512i four_of(const void *a, const void *b, const void *c, const void *d)
{
	__m512i x = _mm512_castsi128_si512(sw_limiter_load(a));

	x = _mm512_inserti32x4(x, sw_limiter_load(b), 1);
	x = _mm512_inserti32x4(x, sw_limiter_load(c), 2);
	return _mm512_inserti32x4(x, sw_limiter_load(d), 3);
}

static inline SW_AVX512 __mmask8 are_ahead(const struct overs512 *k, const uint64_t *tats, const uint64_t *others)
{
	const __m512i eight = _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_load_si256((const __m256i *)tats)),
		_mm256_load_si256((const __m256i *)others), 1);

	return _mm512_cmpgt_epi64_mask(_mm512_sub_epi64(eight, k->now), k->tolerance);
}

/*
 * Four packets of four homes; `at`: of the first one, in half a burst. Returns the ways of whose notes there is more to be
 * said; `before`: what these were.
 */
static inline SW_AVX512 __mmask16 refuse_four(const struct overs512 *k, const struct sw_limiter_lanes four[FOUR],
	unsigned int at, struct found_ways *found, __m512i *before)
{
	struct sw_limiter_set *const a = four[0].home, *const b = four[1].home, *const c = four[2].home, *const d = four[3].home;
	/* sw_limiter_fingerprint(): hashes of lanes have its lowest bit already. */
	__m512i names = _mm512_set1_epi32((int)(four[0].hashes[0] >> 32));
	names = _mm512_mask_set1_epi32(names, 0x00f0, (int)(four[1].hashes[0] >> 32));
	names = _mm512_mask_set1_epi32(names, 0x0f00, (int)(four[2].hashes[0] >> 32));
	names = _mm512_mask_set1_epi32(names, 0xf000, (int)(four[3].hashes[0] >> 32));
	const __mmask16 at_home =
		_mm512_cmpeq_epi32_mask(names, four_of(a->fingerprints, b->fingerprints, c->fingerprints, d->fingerprints));
	const __mmask16 ahead = (__mmask16)_mm512_kunpackb(are_ahead(k, c->tats, d->tats), are_ahead(k, a->tats, b->tats));
	const __m512i notes = four_of(a->notes, b->notes, c->notes, d->notes);
	const __mmask16 over = _mm512_mask_testn_epi32_mask(at_home & ahead, notes, k->blocked);
	const __mmask16 recorded = _mm512_mask_test_epi32_mask(over, notes, k->recorded);
	const __mmask16 counts = _mm512_mask_testn_epi32_mask(over, notes, k->settled);
	__m512i counted = _mm512_mask_add_epi32(notes, recorded, notes, k->syn);
	counted = _mm512_mask_add_epi32(counted, counts, counted, k->one);
	const __mmask16 tell = _mm512_mask_test_epi32_mask(recorded, _mm512_xor_si512(counted, k->dropped), k->untold);
	const __mmask16 claims = _mm512_mask_cmpeq_epi32_mask(over, _mm512_and_si512(counted, k->counts), k->claims_at);

	_mm_store_si128((__m128i *)a->notes, _mm512_castsi512_si128(counted));
	_mm_store_si128((__m128i *)b->notes, _mm512_extracti32x4_epi32(counted, 1));
	_mm_store_si128((__m128i *)c->notes, _mm512_extracti32x4_epi32(counted, 2));
	_mm_store_si128((__m128i *)d->notes, _mm512_extracti32x4_epi32(counted, 3));
	found->at_home |= (uint64_t)at_home << at * SW_LIMITER_WAYS;
	found->over |= (uint64_t)over << at * SW_LIMITER_WAYS;
	found->moved |= (uint64_t)_mm512_test_epi32_mask(notes, k->moved) << at * SW_LIMITER_WAYS;
	*before = notes;
	return tell | claims;
}

static __attribute__((noinline)) SW_AVX512 void note_more(struct sw_worker *w, const struct sw_overs *o,
	const struct sw_limiter_lanes *lanes, size_t i, __m512i before, uint32_t ways)
{
	uint32_t notes[FOUR * SW_LIMITER_WAYS];

	_mm512_storeu_si512(notes, before);
	for (unsigned int at; sw_next(&ways, &at);) {
		const size_t packet = i + at / SW_LIMITER_WAYS, way = at % SW_LIMITER_WAYS;
		sw_admission_note_more(w, &lanes[packet].home->tats[way], notes[at], true, &o->packets[packet].client, o->slot);
	}
}

static inline SW_AVX512 bool share_a_home(const struct sw_limiter_lanes four[FOUR])
{
	const __m256i homes = _mm256_setr_epi64x((long long)(uintptr_t)four[0].home, (long long)(uintptr_t)four[1].home,
		(long long)(uintptr_t)four[2].home, (long long)(uintptr_t)four[3].home);
	const __mmask8 next = _mm256_cmpeq_epi64_mask(homes, _mm256_permute4x64_epi64(homes, 0x39));
	const __mmask8 opposite = _mm256_cmpeq_epi64_mask(homes, _mm256_permute4x64_epi64(homes, 0x4e));

	return (next | opposite) != 0;
}

/* The packets whose first way is set, and those of whose ways any is. */
static inline SW_AVX512 uint32_t first_ways(uint64_t ways)
{
	return (uint32_t)_pext_u64(ways, 0x1111111111111111);
}

static inline SW_AVX512 uint32_t packets_of(uint64_t ways)
{
	ways |= ways >> 1;
	return first_ways(ways | ways >> 2);
}

/* As sw_admission_refuse_at_home(). */
static SW_AVX512 struct sw_overs_found refuse_at_home(struct sw_worker *w, const struct sw_overs *o,
	const struct sw_limiter_lanes *lanes, uint32_t set)
{
	const struct overs512 k = open_overs(o);
	struct sw_overs_found found = {0, 0};

	for (size_t half = 0; half < SW_BURST; half += HALF) {
		struct found_ways ways = {0};
		for (size_t i = half; i < half + HALF; i += FOUR) {
			__m512i before;
			if ((set >> i & 15) != 15 || unlikely(share_a_home(&lanes[i])))
				continue;
			set &= ~(15u << i);
			const __mmask16 more = refuse_four(&k, &lanes[i], (unsigned int)(i - half), &ways, &before);
			if (unlikely(more != 0))
				note_more(w, o, lanes, i, before, more);
		}
		found.over |= packets_of(ways.over) << half;
		found.away |= (first_ways(ways.moved) & ~packets_of(ways.at_home)) << half;
	}
	if (set) { /* not four in a row, or neighbours */
		const struct sw_overs_found rest = sw_admission_refuse_at_home(w, o, lanes, set);
		found.over |= rest.over;
		found.away |= rest.away;
	}
	return found;
}

const struct sw_admission_loops sw_admission_loops_avx512 = {prepare_run, place_syns, admit_syns, refuse_at_home,
	sw_limiter_add_pair_avx512};
