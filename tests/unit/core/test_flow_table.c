/* SPDX-License-Identifier: BSD-3-Clause */
/* The flow table, against a naive model, at capacity, and with hashes chosen to collide. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>

#include <cmocka.h>

#include "core/flow_table.h"
#include "random_prefixes.h"

static struct sw_flow_table make(uint32_t capacity)
{
	struct sw_flow_table t;
	const size_t bytes = (sw_flow_table_bytes(capacity) + 63) / 64 * 64;
	void *memory = aligned_alloc(64, bytes);

	assert_non_null(memory);
	memset(memory, 0, bytes);
	sw_flow_table_init(&t, memory, capacity);
	return t;
}

static uint32_t list_count(const struct sw_flow_table *t, unsigned int list)
{
	uint32_t n = 0, previous = SW_FLOW_NONE;

	for (uint32_t i = t->lists[list].head; i != SW_FLOW_NONE; i = t->setups[i].next) {
		assert_int_equal(t->setups[i].previous, previous);
		assert_int_equal(t->setups[i].list, list);
		previous = i;
		n++;
	}
	assert_int_equal(t->lists[list].tail, previous);
	assert_int_equal(t->lists[list].count, n);
	return n;
}

static void check_lists(const struct sw_flow_table *t)
{
	uint32_t all = 0;

	for (unsigned int list = 0; list < SW_LISTS; list++)
		all += list_count(t, list);
	assert_int_equal(all, t->capacity);
	assert_int_equal(t->used, t->capacity - t->lists[SW_LIST_FREE].count);
}

static void new_flows_are_blank(void **state)
{
	struct sw_flow_table t = make(3);
	(void)state;

	const uint32_t a = sw_flow_insert(&t, 77, SW_LIST_ESTABLISHED);
	memset((char *)&t.flows[a] + 8, 0xff, sizeof(t.flows[a]) - 8);
	sw_flow_remove(&t, a);
	for (unsigned int k = 0; k < 3; k++) {
		const uint32_t i = sw_flow_insert(&t, 78 + k, SW_LIST_EMBRYONIC);
		assert_int_not_equal(i, SW_FLOW_NONE);
		assert_int_equal(t.flows[i].flags, 0);
		assert_int_equal(t.flows[i].state, SW_FLOW_FREE); /* the caller's to set */
		assert_int_equal(t.flows[i].record, SW_FLOW_NONE);
		assert_int_equal(t.setups[i].group, SW_NONE);
		assert_int_equal(t.setups[i].held_first, SW_FLOW_NONE);
	}
	assert_int_equal(sw_flow_insert(&t, 99, SW_LIST_EMBRYONIC), SW_FLOW_NONE);
	check_lists(&t);
	free(t.buckets);
}

/* Random inserts, removals and moves beside an array. */
static void agrees_with_a_model(void **state)
{
	enum { CAPACITY = 500, KEYS = 800 };
	static struct {
		uint64_t hash;
		uint32_t index;
	} model[KEYS];
	struct sw_flow_table t = make(CAPACITY);
	uint64_t random = 4711;
	uint32_t used = 0, changes = 0;
	(void)state;

	for (unsigned int k = 0; k < KEYS; k++) {
		model[k].hash = random_next(&random);
		model[k].index = SW_FLOW_NONE;
	}
	for (unsigned int step = 0; step < 200000; step++) {
		const unsigned int k = random_below(&random, KEYS);
		assert_int_equal(sw_flow_find(&t, model[k].hash), model[k].index);
		if (model[k].index == SW_FLOW_NONE && random_below(&random, 3)) {
			model[k].index =
			    sw_flow_insert(&t, model[k].hash, (enum sw_flow_list)(1 + random_below(&random, SW_LISTS - 1)));
			assert_int_equal(model[k].index == SW_FLOW_NONE, used == CAPACITY);
			used += model[k].index != SW_FLOW_NONE;
			changes += model[k].index != SW_FLOW_NONE;
		} else if (model[k].index != SW_FLOW_NONE && random_below(&random, 2)) {
			sw_flow_remove(&t, model[k].index);
			model[k].index = SW_FLOW_NONE;
			used--;
			changes++;
		} else if (model[k].index != SW_FLOW_NONE) {
			const unsigned int list = 1 + random_below(&random, SW_LISTS - 1);
			sw_flow_move(&t, model[k].index, list);
			assert_int_equal(t.lists[list].tail, model[k].index);
		}
		assert_int_equal(t.used, used);
		assert_int_equal(t.changes, changes);
		if (step % 1000 == 0)
			check_lists(&t);
	}
	free(t.buckets);
}

/* Filled to the last place with random hashes: two choices of eight ways at half load never run out. */
static void fills_to_its_capacity(void **state)
{
	enum { CAPACITY = 1 << 16 };
	struct sw_flow_table t = make(CAPACITY);
	uint64_t random = 1, replay;
	(void)state;

	for (uint32_t k = 0; k < CAPACITY; k++)
		assert_int_not_equal(sw_flow_insert(&t, random_next(&random), SW_LIST_ESTABLISHED), SW_FLOW_NONE);
	assert_int_equal(sw_flow_insert(&t, random_next(&random), SW_LIST_ESTABLISHED), SW_FLOW_NONE);
	replay = 1;
	for (uint32_t k = 0; k < CAPACITY; k++)
		assert_int_not_equal(sw_flow_find(&t, random_next(&replay)), SW_FLOW_NONE);
	for (uint32_t k = 0; k < CAPACITY; k++)
		assert_int_equal(sw_flow_find(&t, random_next(&random)), SW_FLOW_NONE);
	check_lists(&t);
	free(t.buckets);
}

/* At half of the capacity hardly a flow stands in its second bucket; and all that do are known by their first. */
static void most_stand_in_their_first_bucket(void **state)
{
	enum { FLOWS = 4096 };
	struct sw_flow_table t = make(FLOWS * 2);
	uint64_t random = 99, moved = 0;
	uint32_t flows[FLOWS];
	(void)state;

	for (unsigned int k = 0; k < FLOWS; k++)
		flows[k] = sw_flow_insert(&t, random_next(&random), SW_LIST_ESTABLISHED);
	for (uint64_t b = 0; b <= t.bucket_mask; b++)
		moved += t.buckets[b].moved;
	assert_in_range(moved, 0, FLOWS / 50); /* Poisson, mean 2: P(X >= 6) = 1.7 % */
	for (unsigned int k = 0; k < FLOWS; k++)
		sw_flow_remove(&t, flows[k]);
	for (uint64_t b = 0; b <= t.bucket_mask; b++)
		assert_int_equal(t.buckets[b].moved, 0);
	free(t.buckets);
}

/* Hashes that share both buckets and the tag, told apart by the rest alone; the seventeenth finds no way left. */
static void full_buckets_refuse(void **state)
{
	struct sw_flow_table t = make(1000);
	uint32_t index[16];
	(void)state;

	/* Buckets come from bits 0-7, 20-27 and 41-48; the tag from 49-63. Bits 12 to 19 are in none. */
	for (uint64_t k = 0; k < 16; k++) {
		assert_ptr_equal(sw_flow_bucket_first(&t, k << 12), sw_flow_bucket_first(&t, 0));
		assert_ptr_equal(sw_flow_bucket_second(&t, k << 12), sw_flow_bucket_second(&t, 0));
	}
	const bool one_bucket = sw_flow_bucket_first(&t, 0) == sw_flow_bucket_second(&t, 0);
	const uint64_t ways = one_bucket ? 8 : 16;
	for (uint64_t k = 0; k < ways; k++) {
		index[k] = sw_flow_insert(&t, (k + 1) << 12, SW_LIST_ESTABLISHED);
		assert_int_not_equal(index[k], SW_FLOW_NONE);
	}
	assert_int_equal(sw_flow_insert(&t, 40 << 12, SW_LIST_ESTABLISHED), SW_FLOW_NONE);
	assert_int_equal(t.used, ways);
	for (uint64_t k = 0; k < ways; k++)
		assert_int_equal(sw_flow_find(&t, (k + 1) << 12), index[k]);
	sw_flow_remove(&t, index[3]);
	assert_int_equal(sw_flow_find(&t, 4 << 12), SW_FLOW_NONE);
	assert_int_not_equal(sw_flow_insert(&t, 40 << 12, SW_LIST_ESTABLISHED), SW_FLOW_NONE);
	for (uint64_t k = 0; k < ways; k++)
		assert_int_equal(sw_flow_find(&t, (k + 1) << 12) != SW_FLOW_NONE, k != 3);
	check_lists(&t);
	free(t.buckets);
}

static void heads_are_the_oldest(void **state)
{
	struct sw_flow_table t = make(8);
	uint32_t index[5];
	(void)state;

	for (uint64_t k = 0; k < 5; k++)
		index[k] = sw_flow_insert(&t, 1000 + k, SW_LIST_EMBRYONIC);
	sw_flow_move(&t, index[0], SW_LIST_EMBRYONIC); /* again: to the tail */
	sw_flow_move(&t, index[2], SW_LIST_CLOSING);
	static const unsigned int order[] = {1, 3, 4, 0};
	for (unsigned int i = 0; i < 4; i++) {
		assert_int_equal(t.lists[SW_LIST_EMBRYONIC].head, index[order[i]]);
		sw_flow_remove(&t, index[order[i]]);
	}
	assert_int_equal(t.lists[SW_LIST_EMBRYONIC].head, SW_FLOW_NONE);
	assert_int_equal(t.lists[SW_LIST_CLOSING].head, index[2]);
	check_lists(&t);
	free(t.buckets);
}

static void one_flow_table(void **state)
{
	struct sw_flow_table t = make(1);
	(void)state;

	for (unsigned int k = 0; k < 10; k++) {
		const uint32_t i = sw_flow_insert(&t, k * 0x123456789abcdefull, SW_LIST_ESTABLISHED);
		assert_int_equal(i, 0);
		assert_int_equal(sw_flow_insert(&t, 5, SW_LIST_ESTABLISHED), SW_FLOW_NONE);
		sw_flow_remove(&t, i);
	}
	check_lists(&t);
	free(t.buckets);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(new_flows_are_blank),
	    cmocka_unit_test(agrees_with_a_model),
	    cmocka_unit_test(fills_to_its_capacity),
	    cmocka_unit_test(most_stand_in_their_first_bucket),
	    cmocka_unit_test(full_buckets_refuse),
	    cmocka_unit_test(heads_are_the_oldest),
	    cmocka_unit_test(one_flow_table),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
