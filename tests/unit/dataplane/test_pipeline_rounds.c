/* SPDX-License-Identifier: BSD-3-Clause */
/* What is done when of a round's bursts, of which two are under way at a time, and of those of a burst that are in lists. */
#include "pipeline_model.h"

#include "stages/stage.h"

/* Bursts of `packets` data packets that nobody knows. */
static void send_bursts(struct net *n, unsigned int bursts, unsigned int packets)
{
	struct session s = session_of(n, 0);

	for (unsigned int i = 0; i < bursts; i++) {
		for (unsigned int k = 0; k < packets; k++)
			client_data(&s, 10);
		net_run(n);
	}
}

/* The pipeline tells the choice of how to ask for memory of each burst, and what it cost while a trial lasts. */
static void bursts_are_timed_during_trials(struct net *n)
{
	const struct sw_prefetch_choice *c = &n->w->prefetch;

	assert_int_equal(c->left, SW_CHOICE_FIRST);
	send_bursts(n, 10, SW_CHOICE_PACKETS_MIN - 1);
	assert_int_equal(c->left, SW_CHOICE_FIRST);
	send_bursts(n, SW_CHOICE_FIRST - 1, SW_BURST);
	assert_false(c->timed);
	assert_int_equal(c->cycles, 0);
	assert_int_equal(c->packets, (SW_CHOICE_FIRST - 1) * SW_BURST);
	send_bursts(n, 1, SW_BURST);
	assert_true(c->timed);
	send_bursts(n, 1, SW_BURST);
	assert_int_equal(c->packets, SW_BURST);
	assert_true(c->cycles > 0);
	send_bursts(n, SW_CHOICE_WINDOW - 1, SW_BURST);
	assert_true(c->near); /* the second window */
	assert_true(c->best[false] > 0 && c->best[false] != UINT64_MAX);
}

/* Two bursts of a round, of a SYN each: the first is decided, the second is not. */
static void begin_round_of_two(struct net *n, struct session *first, struct session *second)
{
	client_syn(first);
	client_syn(second);
	sw_pipeline_begin(n->w, n->now);
	for (unsigned int i = 0; i < 2; i++)
		sw_pipeline_burst(n->w, &n->waiting[i].mbuf, 1, 0, SW_OUTSIDE, false);
	n->waiting_count = 0;
	assert_count(n, ANSWERED, 1);
	net_expect_nothing(n);
}

static void end_round(struct net *n, struct session *first, struct session *second)
{
	sw_pipeline_end(n->w);
	assert_count(n, ANSWERED, 2);
	if (first != NULL)
		expect_syn_ack(first);
	expect_syn_ack(second);
	net_expect_nothing(n);
}

static void a_turn_sends_what_is_decided(struct net *n)
{
	struct session first = session_of(n, 1), second = session_of(n, 2);

	begin_round_of_two(n, &first, &second);
	sw_pipeline_turn(n->w);
	expect_syn_ack(&first);
	net_expect_nothing(n);
	assert_count(n, ANSWERED, 1);
	end_round(n, NULL, &second);
}

static void timers_come_behind_all_bursts(struct net *n)
{
	struct session first = session_of(n, 1), second = session_of(n, 2);

	begin_round_of_two(n, &first, &second);
	sw_pipeline_timers(n->w);
	assert_count(n, ANSWERED, 2);
	end_round(n, &first, &second);
}

static void mail_is_answered_behind_all_bursts(struct net *n)
{
	struct session first = session_of(n, 1), second = session_of(n, 2);
	struct sw_reply reply = {.status = SW_REPLY_BAD_REQUEST};
	struct sw_mail mail = {.request = {.kind = SW_REQUEST_UNBLOCK, .service_slot = SW_NONE}, .reply = &reply};

	begin_round_of_two(n, &first, &second);
	sw_pipeline_mail(n->w, &mail);
	assert_count(n, ANSWERED, 2);
	end_round(n, &first, &second);
}

/* ---- some of a burst in lists ------------------------------------------------------------------------------------- */

static void list(struct draft *d, const char *ipv4, const char *ipv6, uint8_t kind, uint32_t target, uint64_t until)
{
	draft_rule(d, ipv4, kind, target, until);
	draft_rule(d, ipv6, kind, target, until);
}

static void shape_lists(struct draft *d)
{
	list(d, "198.51.100.2/32", "2001:db8::2/128", SW_RULE_DENY, 1, 0);
	list(d, "198.51.100.3/32", "2001:db8::3/128", SW_RULE_ALLOW, 2, 0);
	list(d, "198.51.100.4/32", "2001:db8::4/128", SW_RULE_BLOCK, 3, 1000);
	list(d, "198.51.100.4/30", "2001:db8::4/126", SW_RULE_DENY, 4, 0);
	draft_group(d, "flock");
	d->groups[0].limits = (struct sw_limits){.syn_per_s = 1, .syn_burst = 1};
	list(d, "198.51.100.10/32", "2001:db8::a/128", SW_RULE_GROUP, 0, 0);
}

/* Most SYNs of a burst are from elsewhere: who is in a list goes through the limits, or does not, as if he were alone. */
static void few_of_a_burst_are_in_lists(struct net *n)
{
	enum { DENIED_ONE = 2, ALLOWED_ONE = 3, BLOCKED_ONE = 4, DENIED_TOO = 6, IN_NO_LIST = 9, IN_GROUP = 10 };
	static const uint8_t beside_lists[] = {DENIED_ONE, ALLOWED_ONE, BLOCKED_ONE, DENIED_TOO, IN_NO_LIST, IN_GROUP, IN_GROUP};
	struct session s[SW_BURST];
	uint32_t answered = 0;

	for (unsigned int i = 0; i < SW_BURST; i++) {
		const uint8_t host = i % 5 ? 0 : beside_lists[i / 5];
		s[i] = session_of(n, i);
		if (host)
			s[i].client.bytes[15] = host;
		else
			s[i].client.bytes[n->flavour->is_ipv6 ? 0 : 12] = 42;
		answered |= (uint32_t)(host == 0 || host == IN_NO_LIST || i == 25) << i;
		client_syn(&s[i]);
	}
	net_run(n);
	assert_int_equal(n->w->bursts[0].admissions.run_count, 1); /* each was prepared once */
	for (unsigned int i = 0; i < SW_BURST; i++)
		if (answered >> i & 1)
			expect_syn_ack(&s[i]);
	expect_segment(&s[5], SW_INSIDE, SW_TCP_SYN, s[5].client_isn, 0, 0, 0);
	net_expect_nothing(n);
	assert_count(n, ANSWERED, 27);
	assert_count(n, ALLOWED, 1);
	assert_dropped(n, DENIED, 2);
	assert_dropped(n, BLOCKED, 1);
	assert_dropped(n, LIMIT_SYN_GROUP, 1);
	assert_int_equal(n->w->groups[0].syn_received, 2);
	assert_int_equal(n->w->groups[0].refused, 1);
}

static const struct net_case cases[] = {
	NET_CASE_ONCE(bursts_are_timed_during_trials, NULL),
	NET_CASE(a_turn_sends_what_is_decided, NULL),
	NET_CASE(timers_come_behind_all_bursts, NULL),
	NET_CASE(mail_is_answered_behind_all_bursts, NULL),
	NET_CASE(few_of_a_burst_are_in_lists, shape_lists),
};

int main(void)
{
	return net_run_cases("pipeline: rounds", cases, sizeof(cases) / sizeof(cases[0]));
}
