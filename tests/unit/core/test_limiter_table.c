/* SPDX-License-Identifier: BSD-3-Clause */
/* The limiter table: what it finds, whom it gives up, whom never. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

#include "core/limiter_table.h"
#include "random_prefixes.h"

static struct sw_limiter_table make(uint64_t entries, uint64_t seed)
{
	struct sw_limiter_table t = {.mask = 0};
	const size_t bytes = sw_limiter_bytes(entries, &t.mask);

	t.sets = aligned_alloc(64, bytes);
	assert_non_null(t.sets);
	memset(t.sets, 0, bytes);
	for (unsigned int i = 0; i < SW_LIMITER_KEYS * 2; i++)
		t.key[i / 2][i % 2] = random_next(&seed);
	return t;
}

static void sizes(void **state)
{
	static const struct {
		uint64_t entries, sets;
	} sizes_of[] = {{1, 1}, {4, 1}, {5, 2}, {8, 2}, {9, 4}, {1000, 256}, {1024, 256}, {1u << 20, 1u << 18}};
	(void)state;

	for (size_t i = 0; i < sizeof(sizes_of) / sizeof(sizes_of[0]); i++) {
		uint64_t mask;
		assert_int_equal(sw_limiter_bytes(sizes_of[i].entries, &mask), sizes_of[i].sets * 64);
		assert_int_equal(mask, sizes_of[i].sets - 1);
	}
}

/* Every part of a key tells entries apart, for both families. */
static void keys_differ_in_each_part(void **state)
{
	const struct sw_limiter_table t = make(4, 7);
	(void)state;

	for (unsigned int family = 0; family < 2; family++) {
		const struct sw_address a = address_of(family ? "2001:db8::1" : "10.0.0.1");
		const uint64_t base = sw_limiter_hash(&t, &a, SW_LIMITER_SYN, 0, 0);
		for (unsigned int bit = family ? 0 : 96; bit < 128; bit++) {
			struct sw_address b = a;
			b.bytes[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
			assert_true(sw_limiter_hash(&t, &b, SW_LIMITER_SYN, 0, 0) != base);
		}
		for (unsigned int level = 0; level < 4; level++)
			for (unsigned int kind = SW_LIMITER_SYN; kind <= SW_LIMITER_RESET; kind++)
				for (uint32_t service = 0; service < 50; service++)
					if (level || kind || service)
						assert_true(sw_limiter_hash(&t, &a, (enum sw_limiter_kind)kind, level, service) != base);
	}
	free(t.sets);
}

/* Addresses at any distance, as in a prefix or prefix after prefix, overflow sets of four no more than chance has it.
 */
static void neighbours_spread(void **state)
{
	enum { SETS = 4096, KEYS = SETS * 2, KEY_SETS = 100 };
	static const uint8_t last_bytes[] = {15, 14, 13, 7, 5}; /* of a counter: hosts, /24s, /16s; IPv6 /64s, /48s */
	static uint16_t load[SETS];
	(void)state;

	for (unsigned int i = 0; i < KEY_SETS * sizeof(last_bytes); i++) {
		const unsigned int byte = last_bytes[i / KEY_SETS];
		struct sw_limiter_table t = make(SETS * 4, 99 + i);
		unsigned int over = 0;
		memset(load, 0, sizeof(load));
		for (uint32_t k = 0; k < KEYS; k++) {
			struct sw_address a = address_of(byte < 12 ? "2001:db8::" : "10.0.0.0");
			a.bytes[byte] = (uint8_t)k;
			a.bytes[byte - 1] = (uint8_t)(k >> 8);
			load[sw_limiter_hash(&t, &a, SW_LIMITER_SYN, 0, 3) & t.mask]++;
		}
		for (unsigned int set = 0; set < SETS; set++)
			over += load[set] > 4;
		/* Poisson, mean 2: P(X > 4) = 5.3 %. */
		if (over > SETS * 8 / 100)
			fail_msg("byte %u, key %u: %u of %u sets overflow", byte, i % KEY_SETS, over, SETS);
		free(t.sets);
	}
}

/* All of them stand in set 0 alone; fingerprints are odd. */
static struct sw_limiter_key in_set(uint32_t fingerprint)
{
	const uint64_t hash = (uint64_t)fingerprint << 33 | 1ull << 32;

	return (struct sw_limiter_key){hash, hash};
}

static uint32_t insert(struct sw_limiter_table *t, uint32_t k, uint64_t now)
{
	struct sw_limiter_evicted evicted;
	return sw_limiter_insert(t, in_set(k), now, &evicted);
}

static bool is_there(const struct sw_limiter_table *t, uint32_t k)
{
	return sw_limiter_find(t, in_set(k)) != SW_LIMITER_NONE;
}

static void least_deserving_gives_way(void **state)
{
	struct sw_limiter_table t = make(4, 5);
	struct sw_limiter_evicted evicted;
	(void)state;

	for (uint32_t k = 1; k <= 4; k++) {
		const uint32_t at = sw_limiter_insert(&t, in_set(k), 1000, &evicted);
		assert_int_equal(evicted.fingerprint, 0);
		assert_int_equal(sw_limiter_note(&t, at), 0);
		assert_int_equal(*sw_limiter_tat(&t, at), 1000);
		*sw_limiter_tat(&t, at) = 1000 + k * 10; /* full again at 1010, 1020, 1030, 1040 */
		sw_limiter_set_note(&t, at, k);
	}
	assert_int_equal(t.used, 4);
	assert_int_equal(sw_limiter_insert(&t, in_set(3), 2000, &evicted), sw_limiter_find(&t, in_set(3)));
	assert_int_equal(evicted.fingerprint, 0); /* there already */
	assert_int_not_equal(sw_limiter_insert(&t, in_set(5), 2000, &evicted), SW_LIMITER_NONE);
	assert_int_equal(evicted.fingerprint, sw_limiter_fingerprint(in_set(1).hash));
	assert_int_equal(evicted.note, 1); /* so its owner can give back what it names */
	assert_false(is_there(&t, 1));
	assert_int_equal(t.used, 4);
	sw_limiter_set_note(&t, sw_limiter_find(&t, in_set(2)), SW_NOTE_PINNED | 2);
	assert_int_not_equal(sw_limiter_insert(&t, in_set(6), 2000, &evicted), SW_LIMITER_NONE);
	assert_int_equal(evicted.fingerprint, sw_limiter_fingerprint(in_set(3).hash)); /* 2 is older, but pinned */
	free(t.sets);
}

static void pinned_entries_are_never_taken(void **state)
{
	struct sw_limiter_table t = make(4, 5);
	(void)state;

	for (uint32_t k = 1; k <= 4; k++)
		sw_limiter_set_note(&t, insert(&t, k, 10), SW_NOTE_PINNED | k);
	for (uint32_t k = 5; k < 100; k++)
		assert_int_equal(insert(&t, k, UINT32_MAX), SW_LIMITER_NONE);
	for (uint32_t k = 1; k <= 4; k++)
		assert_int_equal(sw_limiter_note(&t, sw_limiter_find(&t, in_set(k))), SW_NOTE_PINNED | k);
	assert_int_equal(t.used, 4);
	free(t.sets);
}

/* A bucket that is in debt now outlives any that is full: a flood of new keys does not wash an offender out at once. */
static void buckets_in_debt_outlive_full_ones(void **state)
{
	struct sw_limiter_table t = make(4, 5);
	(void)state;

	*sw_limiter_tat(&t, insert(&t, 1, 1000)) = 5000;
	for (uint32_t k = 2; k < 200; k++) {
		assert_int_not_equal(insert(&t, k, 1000 + k), SW_LIMITER_NONE);
		assert_true(is_there(&t, 1));
	}
	free(t.sets);
}

/* The keys of a source and of its neighbourhood. */
static struct sw_limiter_key keys_of(const struct sw_limiter_table *t, const char *text, struct sw_limiter_key *home)
{
	const struct sw_address a = address_of(text);

	*home = sw_limiter_home_key(t, &a, !sw_address_is_ipv4(&a), SW_LIMITER_SYN, 7);
	return sw_limiter_source_key(t, &a, SW_LIMITER_SYN, 7, home->home);
}

static void neighbours_share_a_home(void **state)
{
	static const char *const pairs[][3] = {
		/* two of a neighbourhood, one of another */
		{"192.0.2.1", "192.0.2.254", "192.0.3.1"},
		{"2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1"},
	};
	const struct sw_limiter_table t = make(1 << 16, 11);
	(void)state;

	for (unsigned int i = 0; i < 2; i++) {
		struct sw_limiter_key homes[3], sources[3];
		for (unsigned int k = 0; k < 3; k++)
			sources[k] = keys_of(&t, pairs[i][k], &homes[k]);
		assert_int_equal(homes[0].home, homes[1].home);
		assert_int_equal(homes[0].hash, homes[1].hash);
		assert_int_equal(sources[0].home, homes[0].home);
		assert_int_equal(sources[1].home, homes[0].home);
		assert_int_not_equal(sources[0].hash, sources[1].hash);
		assert_int_not_equal(homes[0].home, homes[2].home);
	}
	free(t.sets);
}

/* Proven sources of one /24: four stay at home, the rest have lines of their own; and all are found again. */
static void crowded_neighbourhoods_move_out(void **state)
{
	struct sw_limiter_table t = make(1 << 14, 23);
	struct sw_limiter_evicted evicted;
	struct sw_limiter_key home;
	unsigned int at_home = 0;
	(void)state;

	for (unsigned int pass = 0; pass < 2; pass++)
		for (unsigned int host = 0; host < 256; host++) {
			char text[32];
			snprintf(text, sizeof(text), "203.0.113.%u", host);
			const struct sw_limiter_key key = keys_of(&t, text, &home);
			const uint32_t at = sw_limiter_insert(&t, key, 50, &evicted);
			assert_int_not_equal(at, SW_LIMITER_NONE);
			assert_int_equal(evicted.fingerprint, 0);
			assert_int_equal(at, sw_limiter_find(&t, key));
			assert_int_equal(sw_limiter_note(&t, at) & SW_NOTE_VALUE, pass ? host : 0);
			sw_limiter_set_note(&t, at, SW_NOTE_PINNED | host);
			at_home += pass && at / SW_LIMITER_WAYS == (home.home & t.mask);
		}
	assert_int_equal(t.used, 256);
	assert_int_equal(at_home, 4);
	/* The neighbourhood's own entry finds a place as well, though its home is full of proven sources. */
	const uint32_t at = sw_limiter_insert(&t, home, 50, &evicted);
	assert_int_not_equal(at, SW_LIMITER_NONE);
	assert_int_equal(evicted.fingerprint, 0);
	assert_int_equal(sw_limiter_find(&t, home), at);
	free(t.sets);
}

/* Who has been idle gives way at home: a flood of strangers looks at one line each. */
static void strangers_stay_at_home(void **state)
{
	struct sw_limiter_table t = make(1 << 14, 29);
	struct sw_limiter_evicted evicted;
	(void)state;

	for (unsigned int host = 0; host < 256; host++) {
		char text[32];
		struct sw_limiter_key home;
		snprintf(text, sizeof(text), "203.0.113.%u", host);
		const struct sw_limiter_key key = keys_of(&t, text, &home);
		assert_int_equal(sw_limiter_insert(&t, key, (uint64_t)host * SW_LIMITER_IDLE_CYCLES, &evicted) / SW_LIMITER_WAYS, home.home & t.mask);
		assert_false(sw_limiter_has_moved(&t, key));
	}
	assert_int_equal(t.used, 4);
	free(t.sets);
}

/* ---- against a model with a place for everybody ------------------------------------------------------------------ */

enum { MODEL_NEIGHBOURHOODS = 24, MODEL_HOSTS = 12, MODEL_WIDER = 40 };
enum { MODEL_KEYS = MODEL_NEIGHBOURHOODS * (MODEL_HOSTS + 1) + MODEL_WIDER };

/* A key, and what the table has to know of it. */
struct known {
	struct sw_limiter_key key;
	uint32_t at; /* SW_LIMITER_NONE: was never there, or was given up */
	uint32_t note;
	uint64_t tat;
};

/* Neighbourhoods of both families with their hosts, and wider prefixes, which have no home but their own line. */
static void make_keys(const struct sw_limiter_table *t, struct known *known)
{
	for (unsigned int i = 0; i < MODEL_KEYS; i++)
		known[i] = (struct known){.at = SW_LIMITER_NONE};
	for (unsigned int n = 0; n < MODEL_NEIGHBOURHOODS; n++) {
		const bool is_ipv6 = n & 1;
		struct sw_address a = address_of(is_ipv6 ? "2001:db8::" : "10.0.0.0");
		a.bytes[is_ipv6 ? 7 : 14] = (uint8_t)n;
		const struct sw_limiter_key home = sw_limiter_home_key(t, &a, is_ipv6, SW_LIMITER_SYN, 3);
		(known++)->key = home;
		for (unsigned int host = 0; host < MODEL_HOSTS; host++, known++) {
			a.bytes[15] = (uint8_t)host;
			known->key = sw_limiter_source_key(t, &a, SW_LIMITER_SYN, 3, home.home);
		}
	}
	for (unsigned int n = 0; n < MODEL_WIDER; n++, known++) {
		struct sw_address a = address_of("10.0.0.0");
		a.bytes[13] = (uint8_t)n;
		const uint64_t hash = sw_limiter_hash(t, &a, SW_LIMITER_CONN, 2, 3);
		known->key = (struct sw_limiter_key){hash, hash};
	}
}

/* What can be had in the line of `line_hash`: a free way, an idle one, one at all. */
struct offer {
	bool free, idle, any;
	int64_t best; /* cycles for which the bucket has been full */
};

static struct offer offer_of(const struct sw_limiter_table *t, uint64_t line_hash, uint64_t now)
{
	const struct sw_limiter_set *set = sw_limiter_set_of(t, line_hash);
	struct offer o = {.best = INT64_MIN};

	for (unsigned int way = 0; way < SW_LIMITER_WAYS; way++) {
		const int64_t full_for = (int64_t)(now - set->tats[way]);
		if (set->fingerprints[way] == 0) {
			o.free = o.any = true;
		} else if (!(set->notes[way] & SW_NOTE_PINNED)) {
			o.any = true;
			o.idle |= full_for >= SW_LIMITER_IDLE_CYCLES;
			o.best = full_for > o.best ? full_for : o.best;
		}
	}
	return o;
}

/* Everybody is where he was when he came, and as he was left. */
static void assert_all_known(const struct sw_limiter_table *t, const struct known *known)
{
	uint64_t used = 0;

	for (unsigned int i = 0; i < MODEL_KEYS; i++) {
		const uint32_t at = sw_limiter_find(t, known[i].key);
		assert_int_equal(at, known[i].at);
		if (at == SW_LIMITER_NONE)
			continue;
		used++;
		assert_int_equal(sw_limiter_note(t, at) & ~SW_NOTE_MOVED, known[i].note);
		assert_true(*sw_limiter_tat(t, at) == known[i].tat);
	}
	assert_int_equal(used, t->used); /* so nobody stands in two places */
}

/* Who was given up for `k`, and whether that was right. Offers are from before. */
static void assert_fair(struct known *known, const struct known *k, struct sw_limiter_evicted evicted,
	struct offer home, struct offer own, uint64_t now)
{
	struct known *victim = NULL;

	if (k->at == SW_LIMITER_NONE) {
		assert_false(home.any || own.any);
		return;
	}
	if (evicted.fingerprint == 0)
		return;
	for (unsigned int i = 0; i < MODEL_KEYS; i++)
		if (known + i != k && known[i].at == k->at)
			victim = known + i;
	assert_non_null(victim);
	assert_int_equal(sw_limiter_fingerprint(victim->key.hash), evicted.fingerprint);
	assert_int_equal(victim->note, evicted.note);
	assert_false(victim->note & SW_NOTE_PINNED);
	const int64_t full_for = (int64_t)(now - victim->tat);
	assert_false(home.free);
	if (home.idle)
		assert_true(full_for == home.best);
	else
		assert_false(own.free || home.best > full_for || own.best > full_for);
	victim->at = SW_LIMITER_NONE;
}

static void come(struct sw_limiter_table *t, struct known *known, struct known *k, uint64_t now)
{
	const struct offer home = offer_of(t, k->key.home, now), own = offer_of(t, k->key.hash, now);
	const bool is_new = k->at == SW_LIMITER_NONE;
	struct sw_limiter_evicted evicted;
	const uint32_t at = sw_limiter_insert(t, k->key, now, &evicted);

	if (!is_new) {
		assert_int_equal(at, k->at);
		assert_int_equal(evicted.fingerprint, 0);
		return;
	}
	k->at = at;
	k->note = 0;
	k->tat = now;
	assert_fair(known, k, evicted, home, own, now);
}

/* As the packet path writes notes and buckets: SYNs counted in place, records taken and lost, connections counted. */
static void use(struct sw_limiter_table *t, struct known *k, uint64_t now, uint64_t *random)
{
	const uint32_t value = random_below(random, 5);

	switch (random_below(random, 8)) {
	case 0:
		k->note = SW_NOTE_PINNED | SW_NOTE_RECORD | value;
		break;
	case 1:
		k->note = SW_NOTE_RECORD | value;
		break;
	case 2:
	case 3:
	case 4:
		k->note = 0;
		break;
	case 5:
		if (k->note & (SW_NOTE_PINNED | SW_NOTE_RECORD))
			return;
		t->sets[k->at / SW_LIMITER_WAYS].notes[k->at % SW_LIMITER_WAYS]++;
		k->note++;
		return;
	default:
		k->tat = *sw_limiter_tat(t, k->at) = now + value * (uint64_t)SW_LIMITER_IDLE_CYCLES / 4;
		return;
	}
	sw_limiter_set_note(t, k->at, k->note | (value & 1 ? SW_NOTE_MOVED : 0)); /* which is not the writer's to set */
}

static void agrees_with_a_model(void **state)
{
	enum { STEPS = 40000, EVERY = 16 };
	static const uint64_t sizes[] = {4, 8, 32, 256, 1024};
	static struct known known[MODEL_KEYS];
	(void)state;

	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct sw_limiter_table t = make(sizes[i], 1000 + i);
		uint64_t random = 77 + i, now = UINT64_MAX - STEPS / 2 * (SW_LIMITER_IDLE_CYCLES / 50); /* wraps midway */
		unsigned int moved = 0;
		make_keys(&t, known);
		for (unsigned int step = 0; step < STEPS; step++) {
			struct known *k = &known[random_below(&random, MODEL_KEYS)];
			now += random_below(&random, SW_LIMITER_IDLE_CYCLES / 25);
			if (random_below(&random, 2))
				come(&t, known, k, now);
			else if (k->at != SW_LIMITER_NONE)
				use(&t, k, now, &random);
			if (step % EVERY == 0)
				assert_all_known(&t, known);
			moved += k->at != SW_LIMITER_NONE && k->at / SW_LIMITER_WAYS != (k->key.home & t.mask);
		}
		if (t.mask > 0)
			assert_true(moved > STEPS / 50);
		free(t.sets);
	}
}

/*
 * Sources that each owe their own bucket a second, without number: the bucket of their prefix, which is in debt for a
 * thousandth of that, stays, or nothing would hold them.
 */
static void sources_do_not_wash_out_their_prefix(void **state)
{
	enum { SECOND = 1 << 20 };
	struct sw_limiter_table t = make(1 << 10, 31);
	struct sw_limiter_evicted evicted;
	struct sw_limiter_key home;
	(void)state;

	(void)keys_of(&t, "2001:db8:0:1::", &home);
	*sw_limiter_tat(&t, sw_limiter_insert(&t, home, 1000, &evicted)) = 1000 + SECOND;
	for (uint32_t k = 1; k < 20000; k++) {
		char text[64];
		const uint64_t now = 1000 + k;
		snprintf(text, sizeof(text), "2001:db8:0:1::%x", k);
		const uint32_t at = sw_limiter_insert(&t, keys_of(&t, text, &home), now, &evicted);
		assert_int_not_equal(at, SW_LIMITER_NONE);
		*sw_limiter_tat(&t, at) = now + SECOND;
		const uint32_t prefix = sw_limiter_find(&t, home);
		assert_int_not_equal(prefix, SW_LIMITER_NONE);
		*sw_limiter_tat(&t, prefix) = now + SECOND / 1000;
	}
	assert_int_equal(t.used, 1 << 10); /* nobody had a free place for long */
	free(t.sets);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(sizes),
	    cmocka_unit_test(keys_differ_in_each_part),
	    cmocka_unit_test(neighbours_spread),
	    cmocka_unit_test(least_deserving_gives_way),
	    cmocka_unit_test(pinned_entries_are_never_taken),
	    cmocka_unit_test(buckets_in_debt_outlive_full_ones),
	    cmocka_unit_test(sources_do_not_wash_out_their_prefix),
	    cmocka_unit_test(neighbours_share_a_home),
	    cmocka_unit_test(crowded_neighbourhoods_move_out),
	    cmocka_unit_test(strangers_stay_at_home),
	    cmocka_unit_test(agrees_with_a_model),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
