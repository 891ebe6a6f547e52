/* SPDX-License-Identifier: BSD-3-Clause */
/* Four buckets at a time: they are those that a search for each finds, and vectors find and fill the same. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/limiter_lanes_avx512.h"
#include "core/siphash.h"
#include "random_prefixes.h"

enum { LINES = 64, ROUNDS = 20000, NOW = 1000000 };

/* Level lengths of both families; the last row has no neighbourhood. */
static const uint8_t lengths[][2][SW_LANES] = {
	{{128, 120, 112, 104}, {128, 64, 48, 32}},
	{{128, 124, 120, 96}, {128, 96, 64, 1}},
	{{128, 121, 112, 104}, {128, 65, 48, 32}},
};

struct world {
	struct sw_limiter_table table;
	struct sw_limiter_levels levels[2];
	const uint8_t (*lengths)[SW_LANES];
	uint64_t random;
};

static void open_world(struct world *world, unsigned int row, uint64_t seed)
{
	*world = (struct world){.random = seed, .lengths = lengths[row]};
	const size_t bytes = sw_limiter_bytes(LINES * SW_LIMITER_WAYS, &world->table.mask);
	world->table.sets = aligned_alloc(64, bytes);
	assert_non_null(world->table.sets);
	memset(world->table.sets, 0, bytes);
	for (unsigned int i = 0; i < SW_LIMITER_KEYS * 2; i++)
		world->table.key[i / 2][i % 2] = random_next(&world->random);
	for (unsigned int family = 0; family < 2; family++)
		sw_limiter_levels_make(&world->levels[family], lengths[row][family], SW_LANES, family);
}

/* The key of one level by the functions for one. */
static struct sw_limiter_key key_of(const struct world *world, const struct sw_lanes_run *run,
	const struct sw_address *source, unsigned int level)
{
	const struct sw_limiter_table *t = &world->table;
	const struct sw_limiter_key home = sw_limiter_home_key(t, source, run->is_ipv6, run->kind, run->service);

	if (level == 0)
		return sw_limiter_source_key(t, source, run->kind, run->service, home.home);
	if (level == run->levels->home)
		return home;
	const struct sw_address prefix = sw_address_mask(*source, world->lengths[run->is_ipv6][level]);
	const uint64_t hash = sw_limiter_as_wide(sw_limiter_hash(t, &prefix, run->kind, level, run->service));
	return (struct sw_limiter_key){.hash = hash, .home = hash};
}

/* Few enough for collisions of all kinds in a table of few lines. */
static struct sw_address any_source(struct world *world, bool is_ipv6)
{
	const uint32_t r = random_below(&world->random, 200);
	struct sw_address a = address_of(is_ipv6 ? "2001:db8::1" : "192.0.2.1");

	a.bytes[is_ipv6 ? 7 : 14] = (uint8_t)(r / 8);
	a.bytes[15] = (uint8_t)(r % 8);
	return a;
}

/* What was found, and where. */
struct found {
	struct sw_limiter_lanes lanes;
	unsigned int levels;
};

static void assert_same_places(const struct found *a, const struct found *b)
{
	assert_memory_equal(a->lanes.hashes, b->lanes.hashes, sizeof(a->lanes.hashes));
	assert_ptr_equal(a->lanes.home, b->lanes.home);
	assert_memory_equal(a->lanes.sets, b->lanes.sets, sizeof(a->lanes.sets));
	assert_int_equal(a->levels, b->levels);
	assert_memory_equal(a->lanes.tats, b->lanes.tats, sizeof(a->lanes.tats));
	assert_ptr_equal(a->lanes.note, b->lanes.note);
}

static void assert_as_one_by_one(struct world *world, const struct sw_lanes_run *run, const struct sw_address *source,
	const struct found *f)
{
	const struct sw_limiter_table *t = &world->table;
	const struct sw_limiter_lanes *lanes = &f->lanes;

	assert_ptr_equal(lanes->note, sw_limiter_note_beside(lanes->tats[0]));
	for (unsigned int l = 0; l < SW_LANES; l++) {
		const struct sw_limiter_key key = key_of(world, run, source, l);
		const uint32_t at = sw_limiter_find(t, key);
		assert_int_equal(sw_limiter_fingerprint(lanes->hashes[l]), sw_limiter_fingerprint(key.hash));
		assert_int_equal(lanes->hashes[l] & t->mask, key.hash & t->mask);
		if (!(run->wanted >> l & 1)) {
			assert_ptr_equal(lanes->sets[l], &t->nowhere);
			assert_ptr_equal(sw_limiter_set_around(lanes->tats[l]), &t->nowhere);
			continue;
		}
		if (run->levels->at_home >> l & 1)
			assert_ptr_equal(lanes->home, sw_limiter_set_of(t, key.home));
		assert_int_equal(f->levels >> l & 1, at != SW_LIMITER_NONE);
		if (at != SW_LIMITER_NONE) {
			assert_int_equal(sw_limiter_place_of(t, lanes->tats[l]), at);
			assert_ptr_equal(sw_limiter_note_beside(lanes->tats[l]),
				&t->sets[at / SW_LIMITER_WAYS].notes[at % SW_LIMITER_WAYS]);
			assert_int_equal(sw_limiter_fingerprint_beside(lanes->tats[l]), sw_limiter_fingerprint(key.hash));
		}
	}
}

static struct found find_plain(const struct sw_lanes_run *run, const struct sw_address *source)
{
	const struct sw_lanes_run keys = sw_lanes_keys_open_plain(run), find = sw_lanes_find_open_plain(run);
	struct found f;

	sw_lanes_keys_plain(&keys, run, source, &f.lanes);
	sw_lanes_place_plain(&find, &f.lanes);
	f.levels = sw_lanes_find_plain(&find, &f.lanes);
	return f;
}

static SW_AVX512_VAES struct found find_in_vectors(const struct sw_lanes_run *run, const struct sw_address *source)
{
	const struct sw_lanes_keys512 keys = sw_lanes_keys_open_avx512(run);
	const struct sw_lanes_find512 find = sw_lanes_find_open_avx512(run);
	struct found f;

	sw_lanes_keys_avx512(&keys, run, source, &f.lanes);
	sw_lanes_place_avx512(&find, &f.lanes);
	f.levels = sw_lanes_find_avx512(&find, &f.lanes);
	return f;
}

static unsigned int look_and_take_plain(const struct sw_lanes_run *run, const struct sw_limiter_lanes *lanes)
{
	const struct sw_lanes_run look = sw_lanes_look_open_plain(run);
	struct sw_lanes_next next;
	const unsigned int empty = sw_lanes_look_plain(&look, lanes, &next);

	sw_lanes_take_plain(lanes, &next);
	return empty;
}

static SW_AVX512 unsigned int look_and_take_in_vectors(const struct sw_lanes_run *run,
	const struct sw_limiter_lanes *lanes)
{
	const struct sw_lanes_look512 look = sw_lanes_look_open_avx512(run);
	__m256i next;
	const unsigned int empty = sw_lanes_look_avx512(&look, lanes, &next);

	sw_lanes_take_avx512(lanes, &next);
	return empty;
}

static bool have_vectors(void)
{
	return sw_isa_has_vaes(sw_isa_best(SW_ISA_AVX512));
}

/* Rates of all kinds: none, tight, one that fills just now. */
static struct sw_level_rates any_rates(struct world *world, uint8_t wanted)
{
	struct sw_level_rates rates;

	for (unsigned int l = 0; l < SW_LANES; l++) {
		const bool limited = wanted >> l & 1;
		rates.intervals[l] = limited ? 1 + random_below(&world->random, 50) : 0;
		rates.tolerances[l] = limited ? random_below(&world->random, 100) : INT64_MAX;
	}
	return rates;
}

/* Both take a token of the same buckets, from the same state: what they say and what they leave has to be the same. */
static void look_and_take(struct world *world, struct sw_lanes_run *run, const struct found *f)
{
	const struct sw_level_rates rates = any_rates(world, run->wanted);
	const struct sw_limiter_lanes *lanes = &f->lanes;
	uint64_t before[SW_LANES], after[SW_LANES];

	run->rates = &rates;
	for (unsigned int l = 0; l < SW_LANES; l++) {
		before[l] = *lanes->tats[l];
		const struct sw_rate rate = {rates.intervals[l], rates.tolerances[l]};
		after[l] = sw_rate_take(&rate, before[l], run->now);
	}
	const unsigned int empty = look_and_take_plain(run, lanes);
	for (unsigned int l = 0; l < SW_LANES; l++) {
		const struct sw_rate rate = {rates.intervals[l], rates.tolerances[l]};
		assert_int_equal(empty >> l & 1, !sw_rate_allows(&rate, before[l], run->now));
		if (f->levels >> l & 1)
			assert_true(*lanes->tats[l] == after[l]);
	}
	if (!have_vectors())
		return;
	for (unsigned int l = 0; l < SW_LANES; l++)
		*lanes->tats[l] = before[l];
	assert_int_equal(look_and_take_in_vectors(run, lanes), empty);
	for (unsigned int l = 0; l < SW_LANES; l++)
		if (f->levels >> l & 1)
			assert_true(*lanes->tats[l] == after[l]);
}

static void one_round(struct world *world, uint64_t now)
{
	const bool is_ipv6 = random_below(&world->random, 2);
	const struct sw_address source = any_source(world, is_ipv6);
	struct sw_lanes_run run = {
		.table = &world->table, .levels = &world->levels[is_ipv6], .service = random_below(&world->random, 2),
		.kind = (enum sw_limiter_kind)random_below(&world->random, 2), .is_ipv6 = is_ipv6,
		.wanted = (uint8_t)random_below(&world->random, 16), .now = now, .near = random_below(&world->random, 2),
	};
	const struct found f = find_plain(&run, &source);

	if (have_vectors()) {
		const struct found in_vectors = find_in_vectors(&run, &source);
		assert_same_places(&f, &in_vectors);
	}
	assert_as_one_by_one(world, &run, &source, &f);
	if (f.levels == run.wanted)
		look_and_take(world, &run, &f);
	for (unsigned int l = 0; l < SW_LANES; l++) { /* some of what is missing comes, and pushes others out */
		struct sw_limiter_evicted evicted;
		if (run.wanted >> l & 1 && random_below(&world->random, 3) == 0)
			sw_limiter_insert(&world->table, key_of(world, &run, &source, l), now, &evicted);
	}
}

static void lanes_are_what_a_search_for_each_finds(void **state)
{
	(void)state;
	for (unsigned int row = 0; row < sizeof(lengths) / sizeof(lengths[0]); row++) {
		struct world world;
		open_world(&world, row, 77 + row);
		for (unsigned int round = 0; round < ROUNDS; round++)
			one_round(&world, NOW + round * 3);
		assert_true(world.table.taken_over > 100);
		free(world.table.sets);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lanes_are_what_a_search_for_each_finds),
	};
	return cmocka_run_group_tests_name("limiter lanes", tests, NULL, NULL);
}
