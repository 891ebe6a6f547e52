/* SPDX-License-Identifier: BSD-3-Clause */
/* Rates and caps: of sources, their prefixes, groups and services, for SYNs and for proven connections. */
#include "pipeline_model.h"

#include "admission_parts.h"

/* Level 0: another port of client `base`. Level l: another client that shares only its prefix of level l with `base`.
 */
static struct session neighbour(struct net *n, unsigned int level, unsigned int k)
{
	static const uint8_t ipv4[] = {15, 15, 14, 13}, ipv6[] = {15, 15, 7, 5};
	struct session s = session_of(n, 0);

	if (level == 0)
		s.client_port = (uint16_t)(s.client_port + k);
	else
		s.client.bytes[(n->flavour->is_ipv6 ? ipv6 : ipv4)[level]] ^= (uint8_t)(1 + k);
	s.client_isn += k * 0x10001 + level;
	return s;
}

/* One whose prefixes are all others. */
static struct session stranger(struct net *n, unsigned int k)
{
	struct session s = session_of(n, 0);

	s.client.bytes[n->flavour->is_ipv6 ? 3 : 12] ^= (uint8_t)(0x10 + k);
	return s;
}

static struct sw_limits *limits_of(struct draft *d, unsigned int what)
{
	return what < SW_PREFIX_LEVELS    ? &d->services[0].limits[what]
	       : what == SW_PREFIX_LEVELS ? &d->groups[0].limits
	                                  : &d->services[0].total;
}

enum { GROUP = SW_PREFIX_LEVELS, SERVICE, WHATS };

static void shape_levels(struct draft *d)
{
	d->global.levels[3].ipv4_length = 8;
	d->global.levels[3].ipv6_length = 32;
	d->global.level_count = 4;
	d->global.answers_per_source_per_s = d->global.answers_per_source_burst = 100000;
	d->global.answers_per_prefix_per_s = d->global.answers_per_prefix_burst = 100000;
	draft_group(d, "flock");
	draft_rule(d, "198.0.0.0/8", SW_RULE_GROUP, 0, 0);
	draft_rule(d, "2001:db8::/32", SW_RULE_GROUP, 0, 0);
}

static struct session member(struct net *n, unsigned int what, unsigned int k)
{
	return neighbour(n, what < SW_PREFIX_LEVELS ? what : what == GROUP ? 2 : 0, k);
}

/* A SYN of `s`: true when it is answered with a cookie. */
static bool answered(struct session *s)
{
	const uint64_t before = net_count(s->n, SW_COUNT_ANSWERED);

	net_discard(s->n); /* what timers have sent for others */
	client_syn(s);
	net_run(s->n);
	if (net_count(s->n, SW_COUNT_ANSWERED) == before)
		return false;
	expect_syn_ack(s);
	return true;
}

/* Likewise, and the client gives up: its answer is not repeated, which would cost it a token. */
static bool answered_once(struct session *s)
{
	const bool is = answered(s);

	client_rst(s);
	net_run(s->n);
	return is;
}

/* SYN and ACK: true when the connection is admitted, up to the SYN to the server. */
static bool admitted(struct session *s)
{
	assert_true(answered(s));
	const uint64_t before = net_count(s->n, SW_COUNT_FLOW_PROXIED);
	net_discard(s->n);
	client_ack(s);
	net_run(s->n);
	if (net_count(s->n, SW_COUNT_FLOW_PROXIED) == before)
		return false;
	expect_server_syn(s);
	return true;
}

/* ---- SYNs
 * -------------------------------------------------------------------------------------------------------------------
 */

static const enum sw_drop_reason syn_reasons[WHATS] = {SW_DROP_LIMIT_SYN_SOURCE, SW_DROP_LIMIT_SYN_PREFIX,
	SW_DROP_LIMIT_SYN_PREFIX, SW_DROP_LIMIT_SYN_PREFIX, SW_DROP_LIMIT_SYN_GROUP, SW_DROP_LIMIT_SYN_SERVICE};

static void syn_limits(struct net *n)
{
	const struct draft none = n->draft;
	uint64_t refused = 0;

	for (unsigned int what = 0; what < WHATS; what++) {
		n->draft = none;
		limits_of(&n->draft, what)->syn_per_s = 10;
		limits_of(&n->draft, what)->syn_burst = 5;
		net_new_policy(n);
		n->now += 100 * NET_HZ;
		for (unsigned int k = 0; k < 20; k++) {
			struct session s = member(n, what, k);
			assert_int_equal(answered_once(&s), k < 5);
		}
		refused = net_dropped(n, syn_reasons[what]);
		for (unsigned int k = 20; k < 40; k++) { /* one in 100 ms comes back */
			struct session s = member(n, what, k);
			n->now += 50 * NET_MS;
			assert_int_equal(answered_once(&s), k % 2);
		}
		assert_int_equal(net_dropped(n, syn_reasons[what]), refused + 10);
		if (what == SERVICE)
			continue;
		for (unsigned int k = 0; k < 5; k++) { /* nobody else suffers */
			struct session other = stranger(n, what);
			other.client_port = (uint16_t)(other.client_port + k);
			assert_true(answered_once(&other));
		}
	}
	assert_int_equal(n->w->groups[0].syn_received, WHATS * 40);
	assert_int_equal(n->w->groups[0].refused, net_dropped_all(n) - net_dropped(n, SW_DROP_RST_WITHOUT_FLOW));
	assert_int_equal(n->w->flows.used, 0);
}

static void reflection_caps(struct net *n)
{
	n->draft.global.answers_per_source_per_s = 2;
	n->draft.global.answers_per_source_burst = 3;
	n->draft.global.answers_per_prefix_per_s = 2;
	n->draft.global.answers_per_prefix_burst = 8;
	n->draft.services[0].refusal = SW_REFUSE_RST; /* what the cap stops is answered in no way */
	net_new_policy(n);
	for (unsigned int k = 0; k < 10; k++) {
		struct session s = neighbour(n, 0, k);
		assert_int_equal(answered(&s), k < 3);
	}
	assert_dropped(n, ANSWER_CAP, 7);
	for (unsigned int k = 0; k < 10; k++) {
		struct session s = neighbour(n, 1, k);
		assert_int_equal(answered(&s), k < 5);
	}
	assert_dropped(n, ANSWER_CAP, 12);
	net_expect_nothing(n);
	/* An operator's limit that is tighter counts as such. */
	n->draft.services[0].limits[0].syn_per_s = 1;
	n->draft.services[0].limits[0].syn_burst = 1;
	n->draft.services[0].refusal = SW_REFUSE_DROP;
	net_new_policy(n);
	for (unsigned int k = 0; k < 3; k++) {
		struct session s = stranger(n, 1);
		s.client_port = (uint16_t)(s.client_port + k);
		assert_int_equal(answered(&s), k < 1);
	}
	assert_dropped(n, LIMIT_SYN_SOURCE, 2);
}

static void refused_syns_may_get_a_reset(struct net *n)
{
	struct session s = session_of(n, 1);

	n->draft.services[0].refusal = SW_REFUSE_RST;
	n->draft.services[0].limits[0].syn_per_s = 1;
	n->draft.services[0].limits[0].syn_burst = 1;
	n->draft.global.answers_per_source_per_s = 1;
	n->draft.global.answers_per_source_burst = 4;
	net_new_policy(n);
	assert_true(answered(&s));
	for (unsigned int k = 0; k < 10; k++) {
		s.client_port++;
		client_syn(&s);
		net_run(n);
		if (k < 4) {
			const struct frame f = expect_segment(&s, SW_OUTSIDE, SW_TCP_RST | SW_TCP_ACK, 0, s.client_isn + 1, 0, 0);
			assert_int_equal(f.view.window, 0);
		}
		net_expect_nothing(n); /* a claimed source is sent no more RSTs than SYN-ACKs */
	}
	assert_count(n, SENT_RST, 4);
	assert_count(n, ANSWERED, 5);
	assert_dropped(n, LIMIT_SYN_SOURCE, 6);
	assert_refused(n, LIMIT_SYN_SOURCE, 4); /* of those answered */
	assert_int_equal(n->w->services[0].refused[SW_DROP_LIMIT_SYN_SOURCE], 4);
}

static void resets_have_a_budget(struct net *n)
{
	n->draft.services[0].refusal = SW_REFUSE_RST;
	n->draft.services[0].total.syn_per_s = n->draft.services[0].total.syn_burst = 1;
	n->draft.global.rst_per_s = 7;
	net_new_policy(n);
	for (unsigned int k = 0; k < 30; k++) {
		struct session s = session_of(n, k);
		client_syn(&s);
	}
	net_run(n);
	assert_count(n, SENT_SYN_ACK, 1);
	assert_count(n, SENT_RST, 7);
	assert_dropped(n, LIMIT_SYN_SERVICE, 22);
	assert_refused(n, LIMIT_SYN_SERVICE, 7);
}

/* ---- proven connections
 * ------------------------------------------------------------------------------------------------------- */

static const enum sw_drop_reason conn_reasons[WHATS] = {SW_DROP_LIMIT_CONN_SOURCE, SW_DROP_LIMIT_CONN_PREFIX,
	SW_DROP_LIMIT_CONN_PREFIX, SW_DROP_LIMIT_CONN_PREFIX, SW_DROP_LIMIT_CONN_GROUP, SW_DROP_LIMIT_CONN_SERVICE};

static void connection_rates(struct net *n)
{
	const struct draft none = n->draft;
	unsigned int admitted_in_all = 0;

	for (unsigned int what = 0; what < WHATS; what++) {
		n->draft = none;
		limits_of(&n->draft, what)->conn_per_s = 10;
		limits_of(&n->draft, what)->conn_burst = 4;
		net_new_policy(n);
		n->now += 100 * NET_HZ;
		const uint64_t before = net_dropped(n, conn_reasons[what]);
		for (unsigned int k = 0; k < 12; k++) {
			struct session s = member(n, what, k);
			s.client_port = (uint16_t)(s.client_port + 1000 * what);
			assert_int_equal(admitted(&s), k < 4);
		}
		assert_int_equal(net_dropped(n, conn_reasons[what]), before + 8);
		n->now += 110 * NET_MS;
		struct session s = member(n, what, 100);
		s.client_port = (uint16_t)(s.client_port + 1000 * what);
		assert_true(admitted(&s));
		admitted_in_all += 5;
		net_discard(n);
	}
	assert_count(n, COOKIE_VALID, WHATS * 13);
	assert_int_equal(n->w->groups[0].conn_opened, admitted_in_all);
}

static const enum sw_drop_reason concurrent_reasons[WHATS] = {SW_DROP_LIMIT_CONCURRENT_SOURCE,
	SW_DROP_LIMIT_CONCURRENT_PREFIX, SW_DROP_LIMIT_CONCURRENT_PREFIX, SW_DROP_LIMIT_CONCURRENT_PREFIX,
	SW_DROP_LIMIT_CONCURRENT_GROUP, SW_DROP_LIMIT_CONCURRENT_SERVICE};

/* Each way in which a connection may end gives its place back. */
static void end_in_way(struct net *n, struct session *s, unsigned int way)
{
	if (way == 0) {
		server_refuse(s);
	} else if (way == 1) {
		client_rst(s);
	} else if (way == 2) {
		server_syn_ack(s);
		net_run(n);
		net_discard(n);
		session_close(s);
	} else if (way == 3) {
		server_syn_ack(s);
		net_run(n);
		server_rst(s);
	} else {
		net_pass_ms(n, 20000); /* silent */
	}
	net_run(n);
	net_discard(n);
}

static void concurrent_connections(struct net *n)
{
	const struct draft none = n->draft;

	for (unsigned int what = 0; what < WHATS; what++) {
		for (unsigned int way = 0; way < 5; way++) {
			struct session s[4];
			n->draft = none;
			limits_of(&n->draft, what)->concurrent = 3;
			net_new_policy(n);
			const uint64_t before = net_dropped(n, concurrent_reasons[what]);
			for (unsigned int k = 0; k < 3; k++) {
				s[k] = member(n, what, k);
				assert_true(admitted(&s[k]));
			}
			s[3] = member(n, what, 3);
			assert_false(admitted(&s[3]));
			assert_int_equal(net_dropped(n, concurrent_reasons[what]), before + 1);
			end_in_way(n, &s[0], way);
			client_ack(&s[3]); /* as its timer would have it, or anew */
			net_run(n);
			net_discard(n);
			assert_non_null(session_flow(&s[3]));
			for (unsigned int k = way == 4 ? 3 : 1; k < 4; k++)
				end_in_way(n, &s[k], 0);
			net_pass_ms(n, 3000); /* closing flows go */
			assert_int_equal(n->w->flows.used, 0);
			assert_int_equal(n->w->service_budgets[0].concurrent, 0);
			assert_int_equal(n->w->groups[0].concurrent, 0);
		}
	}
}

static void shape_levels_impatient(struct draft *d)
{
	shape_levels(d);
	d->global.idle_closing_s = 1;
}

static void refused_connections_may_get_a_reset(struct net *n)
{
	struct session s = session_of(n, 1);

	n->draft.services[0].refusal = SW_REFUSE_RST;
	n->draft.services[0].total.concurrent = 1;
	net_new_policy(n);
	assert_true(admitted(&s));
	struct session t = session_of(n, 2);
	assert_false(admitted(&t));
	expect_rst(&t, SW_OUTSIDE, t.cookie_isn + 1);
	assert_count(n, SENT_RST, 1);
	client_data(&t, 10); /* comes late: the same again */
	net_run(n);
	expect_rst(&t, SW_OUTSIDE, t.cookie_isn + 1);
	assert_refused(n, LIMIT_CONCURRENT_SERVICE, 2);
	assert_int_equal(net_dropped_all(n), 0);
}

static void resets_of_proven_connections_have_a_budget_too(struct net *n)
{
	n->draft.services[0].refusal = SW_REFUSE_RST;
	n->draft.services[0].total.concurrent = 1;
	n->draft.global.rst_per_s = 3;
	net_new_policy(n);
	for (unsigned int k = 0; k < 10; k++) {
		struct session s = session_of(n, k);
		assert_int_equal(admitted(&s), k == 0);
	}
	assert_count(n, SENT_RST, 3);
	assert_dropped(n, LIMIT_CONCURRENT_SERVICE, 6);
	assert_refused(n, LIMIT_CONCURRENT_SERVICE, 3);
}

static void group_of_a_second_connection(struct net *n)
{
	struct session old = session_of(n, 0), s;

	session_establish(&old);
	n->draft.groups[0].limits.concurrent = 1;
	net_new_policy(n);
	session_exchange(&old, 5); /* looked up under this policy */
	s = session_again(&old);
	client_syn(&s);
	net_run(n);
	expect_syn_ack(&s);
	struct session other = neighbour(n, 1, 3);
	assert_false(admitted(&other));
	assert_dropped(n, LIMIT_CONCURRENT_GROUP, 1);
	client_ack(&s); /* takes the place of the old one */
	net_run(n);
	expect_server_syn(&s);
	assert_int_equal(n->w->groups[0].concurrent, 1);
}

/* ---- policy changes while connections stand
 * --------------------------------------------------------------------------------------- */

static void caps_that_come_and_go(struct net *n)
{
	const struct draft none = n->draft;
	struct session s[3];

	n->draft.services[0].limits[1].concurrent = 2;
	net_new_policy(n);
	for (unsigned int k = 0; k < 2; k++) {
		s[k] = neighbour(n, 1, k);
		assert_true(admitted(&s[k]));
	}
	s[2] = neighbour(n, 1, 2);
	assert_false(admitted(&s[2]));
	n->draft = none;
	net_new_policy(n);
	for (unsigned int k = 0; k < 2; k++)
		end_in_way(n, &s[k], 0);
	n->draft.services[0].limits[1].concurrent = 2;
	net_new_policy(n);
	for (unsigned int k = 0; k < 2; k++) { /* nothing is left of those that ended without a cap */
		s[k] = neighbour(n, 1, 10 + k);
		assert_true(admitted(&s[k]));
	}
}

/* ---- bursts, against buckets that nobody shares or gives up ------------------------------------------------------ */

enum { CROWD_PREFIXES = 6, CROWD_HOSTS = 40, CROWD_BURSTS = 400 };

/* Levels 0, 1 and 2 of every source; the last is one for all. */
struct crowd {
	struct sw_rate rates[3];
	uint64_t sources[CROWD_PREFIXES * CROWD_HOSTS], prefixes[CROWD_PREFIXES], all;
	uint64_t refused[3];
};

static void shape_crowd(struct draft *d)
{
	d->boot.limiter_entries = 1 << 16; /* room for all; what is tested is that all are found */
	d->global.evidence_after_syns = 2;
	d->services[0].limits[0] = (struct sw_limits){.syn_per_s = 50, .syn_burst = 3};
	d->services[0].limits[1] = (struct sw_limits){.syn_per_s = 260, .syn_burst = 20};
	d->services[0].limits[2] = (struct sw_limits){.syn_per_s = 1500, .syn_burst = 90};
}

/* Prefixes that are no neighbourhoods of the limiter's, so that their entries have lines of their own. */
static void shape_crowd_elsewhere(struct draft *d)
{
	shape_crowd(d);
	d->global.levels[1].ipv4_length = 23;
	d->global.levels[1].ipv6_length = 63;
}

/* No other level has a limit: what is worked out for a burst has gaps. */
static void shape_crowd_prefixes_alone(struct draft *d)
{
	shape_crowd(d);
	d->global.answers_per_source_per_s = d->global.answers_per_source_burst = 0;
	d->services[0].limits[0] = (struct sw_limits){.syn_per_s = 0};
	d->services[0].limits[2] = (struct sw_limits){.syn_per_s = 0};
}

static struct session member_of_crowd(struct net *n, unsigned int prefix, unsigned int host, unsigned int syn)
{
	struct session s = session_of(n, 0);

	s.client.bytes[n->flavour->is_ipv6 ? 7 : 14] = (uint8_t)(2 * prefix);
	s.client.bytes[15] = (uint8_t)(host + 1);
	s.client_port = (uint16_t)(1024 + syn);
	s.client_isn = syn * 0x01000193u;
	return s;
}

/* What becomes of a SYN: true when it is answered. */
static bool crowd_admits(struct crowd *c, unsigned int prefix, unsigned int host, uint64_t now)
{
	uint64_t *buckets[3] = {&c->sources[prefix * CROWD_HOSTS + host], &c->prefixes[prefix], &c->all};

	for (unsigned int l = 0; l < 3; l++) {
		if (sw_rate_allows(&c->rates[l], *buckets[l], now))
			continue;
		c->refused[l]++;
		return false;
	}
	for (unsigned int l = 0; l < 3; l++)
		*buckets[l] = sw_rate_take(&c->rates[l], *buckets[l], now);
	return true;
}

/* 1 to 32 SYNs at one moment, of sources many of whom cannot stand at home: each fares as if it were alone. */
static void syns_of_a_burst_are_judged_one_by_one(struct net *n)
{
	static struct crowd c;
	uint64_t random = 17, admitted = 0;
	unsigned int moved = 0;

	c = (struct crowd){.refused = {0}};
	for (unsigned int l = 0; l < 3; l++) {
		const struct sw_limits *limits = &n->draft.services[0].limits[l];
		c.rates[l] = sw_rate_make(limits->syn_per_s, limits->syn_burst, NET_HZ);
	}
	for (unsigned int burst = 0, syn = 0; burst < CROWD_BURSTS; burst++) {
		struct session expected[SW_BURST];
		unsigned int count = 0;
		n->now += random_below(&random, 2 * NET_MS);
		for (unsigned int k = 1 + random_below(&random, SW_BURST); k; k--, syn++) {
			const unsigned int prefix = random_below(&random, CROWD_PREFIXES);
			const unsigned int host = random_below(&random, random_below(&random, 2) ? CROWD_HOSTS : 3);
			struct session s = member_of_crowd(n, prefix, host, syn);
			client_syn(&s);
			if (crowd_admits(&c, prefix, host, n->now))
				expected[count++] = s;
		}
		net_run(n);
		for (unsigned int k = 0; k < count; k++)
			expect_syn_ack(&expected[k]);
		net_expect_nothing(n);
		admitted += count;
	}
	assert_count(n, ANSWERED, admitted);
	assert_dropped(n, LIMIT_SYN_SOURCE, c.refused[0]);
	assert_dropped(n, LIMIT_SYN_PREFIX, c.refused[1] + c.refused[2]);
	assert_true(admitted > 300 && c.refused[1] > 100);
	for (uint64_t i = 0; i <= n->w->limiter.mask; i++)
		moved += !!(n->w->limiter.sets[i].notes[0] & SW_NOTE_MOVED);
	assert_int_equal(moved >= CROWD_PREFIXES, c.rates[0].interval != 0);
}

static const struct sw_admission_loops *real_loops;
static unsigned int prepared;

static void count_prepared(struct sw_worker *w, const struct sw_admission_run *run, enum sw_limiter_kind kind,
	const struct sw_address *first, size_t stride, struct sw_limiter_lanes *lanes)
{
	prepared += kind == SW_LIMITER_SYN ? (unsigned int)__builtin_popcount(run->set) : 0;
	real_loops->prepare(w, run, kind, first, stride, lanes);
}

/* Whatever else comes with SYNs in a burst, their keys are worked out once. */
static void syns_are_prepared_once(struct net *n)
{
	struct session live = session_of(n, 0), stranger = session_of(n, 100);
	struct sw_admission_loops counting;

	session_establish(&live);
	real_loops = n->w->admission;
	counting = *real_loops;
	counting.prepare = count_prepared;
	n->w->admission = &counting;
	prepared = 0;
	for (unsigned int k = 1; k <= 10; k++) {
		struct session s = session_of(n, k);
		client_syn(&s);
		client_ack(k % 2 ? &live : &stranger);
	}
	net_run(n);
	net_discard(n);
	assert_int_equal(prepared, 10);
}

static const struct net_case cases[] = {
	NET_CASE(syn_limits, shape_levels),
	NET_CASE(reflection_caps, NULL),
	NET_CASE(refused_syns_may_get_a_reset, NULL),
	NET_CASE(resets_have_a_budget, NULL),
	NET_CASE(connection_rates, shape_levels),
	NET_CASE(concurrent_connections, shape_levels_impatient),
	NET_CASE(refused_connections_may_get_a_reset, NULL),
	NET_CASE(resets_of_proven_connections_have_a_budget_too, NULL),
	NET_CASE(group_of_a_second_connection, shape_levels),
	NET_CASE(caps_that_come_and_go, shape_levels),
	NET_CASE(syns_are_prepared_once, NULL),
	NET_CASE(syns_are_prepared_once, shape_levels),
	NET_CASE(syns_of_a_burst_are_judged_one_by_one, shape_crowd),
	NET_CASE(syns_of_a_burst_are_judged_one_by_one, shape_crowd_elsewhere),
	NET_CASE(syns_of_a_burst_are_judged_one_by_one, shape_crowd_prefixes_alone),
};

int main(void)
{
	return net_run_cases("pipeline: limits", cases, sizeof(cases) / sizeof(cases[0]));
}
