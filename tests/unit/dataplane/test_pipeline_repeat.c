/* SPDX-License-Identifier: BSD-3-Clause */
/* SYN-ACKs that are sent again because no ACK came: when, and when not. */
#include "challenges.h"
#include "pipeline_model.h"

static void lost_ack_has_the_answer_repeated(struct net *n)
{
	static const unsigned int waits_s[] = {1, 2, 4};
	struct session s = session_of(n, 1);

	client_syn(&s);
	net_run(n);
	const struct frame first = expect_syn_ack(&s);
	for (unsigned int i = 0; i < 3; i++) { /* looked after once in 64 ms: SW_CHALLENGES places, 16 a millisecond */
		assert_in_range(net_wait(n, SW_OUTSIDE, 9999), waits_s[i] * 1000, waits_s[i] * 1000 + 65);
		const struct frame again = net_expect_raw(n, SW_OUTSIDE);
		assert_int_equal(again.length, first.length);
		assert_memory_equal(again.bytes, first.bytes, first.length);
	}
	net_pass_ms(n, 20000);
	net_expect_nothing(n);
	assert_count(n, SENT_SYN_ACK, 4);
	assert_count(n, SENT_SYN_ACK_AGAIN, 3);
	assert_count(n, ANSWERED, 1);
	client_ack(&s);
	net_run(n);
	expect_server_syn(&s);
}

static void nothing_is_repeated_after(struct net *n, void (*event)(struct session *s))
{
	struct session s = session_of(n, 1);

	client_syn(&s);
	net_run(n);
	expect_syn_ack(&s);
	event(&s);
	net_run(n);
	net_discard(n);
	n->draft.global.server_syn_retries = 0;
	net_new_policy(n);
	net_pass_ms(n, 10000);
	net_discard(n);
	assert_count(n, SENT_SYN_ACK_AGAIN, 0);
}

static void disarm(struct session *s)
{
	net_arm(s->n, 0, false);
}

static void data_without_ack(struct session *s)
{
	client_data(s, 100);
}

static void answer_is_not_repeated(struct net *n)
{
	static void (*const events[])(struct session *) = {client_ack, client_rst, data_without_ack, disarm};

	for (unsigned int i = 0; i < 4; i++)
		nothing_is_repeated_after(n, events[i]);
}

/* An unproven client does not take the place of one that waits, a proven one does. */
static void proven_client_keeps_its_repetition(struct net *n)
{
	struct session proven = session_of(n, 1), other = session_of(n, 2);
	const uint32_t *key;

	session_establish(&proven);
	proven = session_again(&proven);
	client_syn(&other);
	net_run(n);
	expect_syn_ack(&other);
	for (key = n->w->challenge_keys; *key == 0; key++)
		;
	const uint32_t before = *key;
	assert_false(before & SW_CHALLENGE_PROVEN);
	for (unsigned int i = 0; *key == before && i < 20000; i++) { /* until one falls on the same place */
		proven.client_port++;
		client_syn(&proven);
		net_run(n);
		net_discard(n);
		n->now += 2 * NET_MS;
	}
	assert_true(*key != before && *key != 0);
	assert_true(*key & SW_CHALLENGE_PROVEN);
}

static const struct net_case cases[] = {
	NET_CASE(lost_ack_has_the_answer_repeated, NULL),
	NET_CASE(answer_is_not_repeated, NULL),
	NET_CASE(proven_client_keeps_its_repetition, NULL),
};

int main(void)
{
	return net_run_cases("pipeline: repeated answers", cases, sizeof(cases) / sizeof(cases[0]));
}
