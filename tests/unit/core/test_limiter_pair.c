/* SPDX-License-Identifier: BSD-3-Clause */
/* Two entries that are added at a time stand where they would if they were added one by one, or nothing has happened. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>

#include <cmocka.h>

#include "core/limiter_table.h"
#include "core/siphash.h"
#include "random_prefixes.h"

enum { LINES = 8, ROUNDS = 200000 };

#define NOW (5ull * SW_LIMITER_IDLE_CYCLES)

struct world {
	struct sw_limiter_table table;
	struct sw_limiter_set sets[LINES];
};

/* Few different values, so that many entries are equally deserving. */
static void any_entry(uint64_t *random, struct sw_limiter_set *set, unsigned int way, bool crowded)
{
	static const uint64_t behind[] = {0, 1, SW_LIMITER_IDLE_CYCLES - 1, SW_LIMITER_IDLE_CYCLES, SW_LIMITER_IDLE_CYCLES + 1};
	static const uint32_t notes[] = {0, 5, SW_NOTE_ENOUGH, SW_NOTE_PINNED | SW_NOTE_RECORD, SW_NOTE_PINNED, SW_NOTE_RECORD};
	const uint64_t age = behind[random_below(random, 5)];

	set->notes[way] = way == 0 && random_below(random, 2) ? SW_NOTE_MOVED : 0;
	if (!crowded && random_below(random, 12) == 0) {
		set->fingerprints[way] = 0;
		set->tats[way] = random_below(random, 2) ? 0 : NOW + 7;
		return;
	}
	set->fingerprints[way] = (uint32_t)random_next(random) | 1;
	set->notes[way] |= crowded && random_below(random, 20)
		? SW_NOTE_PINNED : notes[random_below(random, random_below(random, 4) ? 3 : 6)];
	set->tats[way] = random_below(random, 2) ? NOW - age : NOW + age;
}

static void make(uint64_t *random, struct world *w)
{
	const bool crowded = random_below(random, 4) == 0;

	memset(w, 0, sizeof(*w));
	w->table.mask = LINES - 1;
	for (unsigned int i = 0; i < LINES; i++)
		for (unsigned int way = 0; way < SW_LIMITER_WAYS; way++) {
			any_entry(random, &w->sets[i], way, crowded);
			w->table.used += w->sets[i].fingerprints[way] != 0;
		}
}

static void assert_same(const struct world *a, const struct world *b)
{
	assert_memory_equal(a->sets, b->sets, sizeof(a->sets));
	assert_int_equal(a->table.used, b->table.used);
	assert_int_equal(a->table.taken_over, b->table.taken_over);
}

/* One by one. Returns whether that is all there is to it: nobody with a record had to go, and not the first of the two. */
static bool add(struct world *w, const struct sw_limiter_key keys[2], uint32_t at[2])
{
	bool plain = true;

	w->table.sets = w->sets;
	for (unsigned int k = 0; k < 2; k++) {
		struct sw_limiter_evicted evicted;
		at[k] = sw_limiter_add(&w->table, keys[k], NOW, &evicted);
		plain &= at[k] != SW_LIMITER_NONE && (evicted.fingerprint == 0 || !(evicted.note & SW_NOTE_RECORD));
	}
	return plain && at[0] != at[1];
}

static void as_one_by_one(sw_limiter_add_pair_fn *add_pair)
{
	uint64_t random = 41;
	unsigned int pairs = 0, moved = 0;

	for (unsigned int round = 0; round < ROUNDS; round++) {
		struct world before, together, apart;
		uint64_t *buckets[2];
		uint32_t at[2];
		make(&random, &before);
		together = apart = before;
		const uint64_t home = random_next(&random);
		const struct sw_limiter_key keys[2] = {
			{.hash = sw_limiter_as_source(random_next(&random)), .home = home},
			{.hash = sw_limiter_as_wide(random_next(&random)), .home = home},
		};
		const uint64_t lines[3] = {home % LINES, keys[0].hash % LINES, keys[1].hash % LINES};
		const bool distinct = lines[0] != lines[1] && lines[0] != lines[2] && lines[1] != lines[2];
		together.table.sets = together.sets;
		const bool added = add_pair(&together.table, &together.sets[lines[0]], keys[0].hash, keys[1].hash, NOW, buckets);
		const bool plain = add(&apart, keys, at);
		assert_int_equal(added, plain && distinct);
		assert_same(&together, added ? &apart : &before);
		if (!added)
			continue;
		for (unsigned int k = 0; k < 2; k++) {
			assert_ptr_equal(buckets[k], sw_limiter_tat(&together.table, at[k]));
			moved += at[k] / SW_LIMITER_WAYS != lines[0];
		}
		pairs++;
	}
	assert_true(pairs > ROUNDS / 4 && moved > ROUNDS / 8);
}

static void plain(void **state)
{
	(void)state;
	as_one_by_one(sw_limiter_add_pair);
}

static void in_vectors(void **state)
{
	(void)state;
	if (!sw_isa_has_vaes(sw_isa_best(SW_ISA_AVX512)))
		skip();
	as_one_by_one(sw_limiter_add_pair_avx512);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain),
		cmocka_unit_test(in_vectors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
