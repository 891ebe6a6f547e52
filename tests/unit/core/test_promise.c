/* SPDX-License-Identifier: BSD-3-Clause */
#include "../dataplane/test.h"

#include "promise.h"

static const struct sw_backend learn = {-1, -1, -1, -1, -1, -1};
static const struct sw_promise strong = {.mss = 1460, .window_scale = 10, .sack = 1, .timestamps = 1, .ecn = 1, .known = 1};
static const struct sw_promise weak = {.mss = 1400, .window_scale = 7, .sack = 1, .timestamps = 0, .ecn = 0, .known = 1};

static void assert_promise(struct sw_promise p, uint16_t mss, int scale, int sack, int timestamps, int ecn)
{
	assert_int_equal(p.mss, mss);
	assert_int_equal(p.window_scale, scale);
	assert_int_equal(p.sack, sack);
	assert_int_equal(p.timestamps, timestamps);
	assert_int_equal(p.ecn, ecn);
}

static void test_unknown_is_what_every_server_keeps(void **state)
{
	(void)state;
	const struct sw_promise_book book = {.patience = 0};
	assert_promise(sw_promise_make(&book, &learn, false), 1460, 0, 1, 1, 0);
	assert_promise(sw_promise_make(&book, &learn, true), 1440, 0, 1, 1, 0);
	assert_int_equal(sw_promise_make(&book, &learn, true).known, 0);
}

static void test_the_first_answer_counts_at_once(void **state)
{
	(void)state;
	struct sw_promise_book book = {.patience = 0};
	assert_true(sw_promise_hear(&book, &strong));
	assert_promise(sw_promise_make(&book, &learn, false), 1460, 10, 1, 1, 1);
	assert_int_equal(sw_promise_make(&book, &learn, false).known, 1);
	assert_false(sw_promise_hear(&book, &weak));
	assert_promise(sw_promise_make(&book, &learn, false), 1460, 10, 1, 1, 1); /* not before the epoch ends */
	sw_promise_turn(&book);
	assert_promise(sw_promise_make(&book, &learn, false), 1400, 7, 1, 0, 0);
}

/* Cookies that are out said scale 0: a larger one may not be believed of them. */
static void test_the_first_window_scale_waits_for_the_next_epoch(void **state)
{
	(void)state;
	struct sw_promise_book book = {.patience = 0};
	sw_promise_hear(&book, &strong);
	assert_promise(sw_promise_make_first(&book, &learn, false), 1460, 0, 1, 1, 1);
	const struct sw_promise none = {.mss = 1400, .window_scale = -1, .known = 1};
	book = (struct sw_promise_book){.patience = 0};
	sw_promise_hear(&book, &none);
	assert_promise(sw_promise_make_first(&book, &learn, false), 1400, -1, 0, 0, 0);
	const struct sw_backend set = {-1, -1, 7, -1, -1, -1};
	assert_int_equal(sw_promise_make_first(&book, &set, false).window_scale, 7);
}

static void test_the_weakest_of_an_epoch_counts(void **state)
{
	(void)state;
	struct sw_promise_book book = {.patience = 0};
	const struct sw_promise other = {.mss = 9000, .window_scale = -1, .sack = 0, .timestamps = 1, .ecn = 1, .known = 1};
	sw_promise_hear(&book, &other);
	sw_promise_hear(&book, &weak);
	sw_promise_turn(&book);
	assert_promise(book.learned, 1400, -1, 0, 0, 0);
}

static void test_an_epoch_without_news_changes_nothing(void **state)
{
	(void)state;
	struct sw_promise_book book = {.patience = 0};
	sw_promise_hear(&book, &weak);
	for (int i = 0; i < 5; i++)
		sw_promise_turn(&book);
	assert_promise(book.learned, 1400, 7, 1, 0, 0);
}

static void test_a_stronger_server_is_believed(void **state)
{
	(void)state;
	struct sw_promise_book book = {.patience = 0};
	sw_promise_hear(&book, &weak);
	sw_promise_turn(&book);
	sw_promise_hear(&book, &strong);
	sw_promise_turn(&book);
	assert_promise(book.learned, 1460, 10, 1, 1, 1);
}

/* Workers report what differs from the promise: of two unlike machines always the other one. */
static void test_two_unlike_servers_do_not_make_it_flap(void **state)
{
	(void)state;
	struct sw_promise_book book = {.patience = 0};
	unsigned int changes = 0;
	sw_promise_hear(&book, &weak);
	for (int epoch = 0; epoch < 2700; epoch++) { /* a day */
		const struct sw_promise before = book.learned;
		sw_promise_hear(&book, before.mss == strong.mss ? &weak : &strong);
		sw_promise_turn(&book);
		changes += before.mss != book.learned.mss;
	}
	assert_in_range(changes, 2, 24);
	assert_promise(book.learned, 1400, 7, 1, 0, 0);
}

static void test_the_operators_word_wins(void **state)
{
	(void)state;
	struct sw_promise_book book = {.patience = 0};
	sw_promise_hear(&book, &strong);
	const struct sw_backend set = {.mss_ipv4 = 536, .mss_ipv6 = 1220, .window_scale = SW_BACKEND_OFF, .sack = 0,
		.timestamps = 0, .ecn = 0};
	assert_promise(sw_promise_make(&book, &set, false), 536, -1, 0, 0, 0);
	assert_promise(sw_promise_make(&book, &set, true), 1220, -1, 0, 0, 0);
	const struct sw_backend some = {.mss_ipv4 = -1, .mss_ipv6 = -1, .window_scale = 3, .sack = -1, .timestamps = 1,
		.ecn = -1};
	assert_promise(sw_promise_make(&book, &some, false), 1460, 3, 1, 1, 1);
}

static void test_what_is_set(void **state)
{
	(void)state;
	assert_false(sw_promise_is_set(&learn, false));
	struct sw_backend b = learn;
	b.mss_ipv6 = 1220;
	assert_true(sw_promise_is_set(&b, true));
	assert_false(sw_promise_is_set(&b, false));
	b = learn;
	b.window_scale = SW_BACKEND_OFF;
	assert_true(sw_promise_is_set(&b, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unknown_is_what_every_server_keeps),
		cmocka_unit_test(test_the_first_answer_counts_at_once),
		cmocka_unit_test(test_the_first_window_scale_waits_for_the_next_epoch),
		cmocka_unit_test(test_the_weakest_of_an_epoch_counts),
		cmocka_unit_test(test_an_epoch_without_news_changes_nothing),
		cmocka_unit_test(test_a_stronger_server_is_believed),
		cmocka_unit_test(test_two_unlike_servers_do_not_make_it_flap),
		cmocka_unit_test(test_the_operators_word_wins),
		cmocka_unit_test(test_what_is_set),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
