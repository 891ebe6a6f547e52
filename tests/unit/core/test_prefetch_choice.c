/* SPDX-License-Identifier: BSD-3-Clause */
#include "../dataplane/test.h"

#include "prefetch_choice.h"

enum { BURST = 32 };

/* What a burst costs under this processor, in either way; `hiccup`: every so many bursts it is interrupted. */
struct processor {
	uint64_t cycles[2];
	unsigned int hiccup;
	unsigned int bursts, timed;
};

static void run(struct sw_prefetch_choice *c, struct processor *p, unsigned int bursts, unsigned int packets)
{
	for (unsigned int i = 0; i < bursts; i++) {
		const bool interrupted = p->hiccup && ++p->bursts % p->hiccup == 0;
		const uint64_t cycles = p->cycles[c->near] * packets + (interrupted ? 10000000 : 0);
		p->timed += c->timed;
		sw_prefetch_choice_count(c, packets, c->timed ? cycles : 0);
	}
}

enum { TRIAL = SW_CHOICE_WINDOW * SW_CHOICE_WINDOWS };

static struct sw_prefetch_choice chosen_by(struct processor *p)
{
	struct sw_prefetch_choice c;

	sw_prefetch_choice_init(&c);
	run(&c, p, SW_CHOICE_FIRST + TRIAL, BURST);
	assert_false(c.timed);
	return c;
}

static void test_the_cheaper_way_is_chosen(void **state)
{
	(void)state;
	struct processor near = {.cycles = {200, 100}}, far = {.cycles = {100, 200}};

	assert_true(chosen_by(&near).near);
	assert_false(chosen_by(&far).near);
}

static void test_what_is_hardly_cheaper_changes_nothing(void **state)
{
	(void)state;
	struct processor p = {.cycles = {1000, 975}}, q = {.cycles = {1000, 960}};

	assert_false(chosen_by(&p).near);
	assert_true(chosen_by(&q).near);
}

static void test_it_changes_its_mind(void **state)
{
	(void)state;
	struct processor p = {.cycles = {200, 100}};
	struct sw_prefetch_choice c = chosen_by(&p);

	p.cycles[0] = 50;
	run(&c, &p, SW_CHOICE_PERIOD - 1, BURST);
	assert_true(c.near);
	run(&c, &p, 1 + TRIAL, BURST);
	assert_false(c.near);
	run(&c, &p, SW_CHOICE_PERIOD + TRIAL, BURST);
	assert_false(c.near); /* and is back there after each trial */
}

/* One window of either way may be spoiled, whichever. */
static void test_interruptions_do_not_decide(void **state)
{
	(void)state;
	for (unsigned int spoiled = 0; spoiled < SW_CHOICE_WINDOWS; spoiled++)
		for (unsigned int better = 0; better < 2; better++) {
			struct processor p = {.cycles = {100, 100}};
			struct sw_prefetch_choice c;
			p.cycles[better] = 80;
			sw_prefetch_choice_init(&c);
			run(&c, &p, SW_CHOICE_FIRST + spoiled * SW_CHOICE_WINDOW, BURST);
			p.hiccup = 2;
			run(&c, &p, SW_CHOICE_WINDOW, BURST);
			p.hiccup = 0;
			run(&c, &p, TRIAL - (spoiled + 1) * SW_CHOICE_WINDOW, BURST);
			assert_int_equal(c.near, better);
		}
}

static void test_small_bursts_do_not_count(void **state)
{
	(void)state;
	struct processor p = {.cycles = {200, 100}};
	struct sw_prefetch_choice c;

	sw_prefetch_choice_init(&c);
	run(&c, &p, 10 * TRIAL, SW_CHOICE_PACKETS_MIN - 1);
	assert_int_equal(p.timed, 0);
	assert_int_equal(c.left, SW_CHOICE_FIRST);
	run(&c, &p, SW_CHOICE_FIRST + TRIAL, SW_CHOICE_PACKETS_MIN);
	assert_true(c.near);
}

/* Wherever in a trial the flood ends: the way that was chosen is taken again, nothing is timed, and the next trial is whole. */
static void test_a_trial_without_a_flood_is_given_up(void **state)
{
	(void)state;
	for (unsigned int at = 1; at < TRIAL; at += SW_CHOICE_WINDOW / 2)
		for (unsigned int better = 0; better < 2; better++) {
			struct processor p = {.cycles = {100, 100}};
			p.cycles[better] = 80;
			struct sw_prefetch_choice c = chosen_by(&p);
			run(&c, &p, SW_CHOICE_PERIOD + at, BURST);
			assert_true(c.timed);
			run(&c, &p, SW_CHOICE_PATIENCE - 1, 1);
			assert_true(c.timed);
			run(&c, &p, 1, 1);
			assert_false(c.timed);
			assert_int_equal(c.near, better);
			p.cycles[!better] = 40;
			run(&c, &p, SW_CHOICE_PERIOD + TRIAL, BURST);
			assert_false(c.timed);
			assert_int_equal(c.near, !better);
		}
}

static void test_trials_are_rare(void **state)
{
	(void)state;
	struct processor p = {.cycles = {100, 200}};
	struct sw_prefetch_choice c = chosen_by(&p);

	p.timed = 0;
	run(&c, &p, 10 * (SW_CHOICE_PERIOD + TRIAL), BURST);
	assert_int_equal(p.timed, 10 * TRIAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_cheaper_way_is_chosen),
		cmocka_unit_test(test_what_is_hardly_cheaper_changes_nothing),
		cmocka_unit_test(test_it_changes_its_mind),
		cmocka_unit_test(test_interruptions_do_not_decide),
		cmocka_unit_test(test_small_bursts_do_not_count),
		cmocka_unit_test(test_a_trial_without_a_flood_is_given_up),
		cmocka_unit_test(test_trials_are_rare),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
