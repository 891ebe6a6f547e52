/* SPDX-License-Identifier: BSD-3-Clause */
/* Tables that are full: what is shed, what is kept, and that it is counted. */
#include "pipeline_model.h"

#include "admission.h"

enum { FLOWS = 64 };

static void shape_few_flows(struct draft *d)
{
	d->boot.flows = FLOWS;
	d->services[0].mode = SW_MODE_AUTO;
	d->services[0].start_syn_per_s = 100000;
	d->global.idle_embryonic_s = 20;
}

/* The server's SYN-ACK alone: a half-open flow. */
static void half_open(struct session *s)
{
	server_syn_ack(s);
	net_run(s->n);
	net_discard(s->n);
}

static void half_open_flows_keep_to_a_quarter(struct net *n)
{
	struct session live = session_of(n, 0);

	session_establish_native(&live);
	for (unsigned int k = 1; k < 300; k++) {
		struct session s = session_of(n, k);
		half_open(&s);
		assert_true(n->w->flows.lists[SW_LIST_EMBRYONIC].count <= FLOWS / 4);
	}
	assert_count(n, FLOW_SHED, 299 - FLOWS / 4);
	struct session last = session_of(n, 299), first = session_of(n, 1);
	assert_non_null(session_flow(&last)); /* the oldest went */
	assert_null(session_flow(&first));
	session_exchange(&live, 10);
}

static void established_flows_are_kept(struct net *n)
{
	static struct session live[FLOWS];
	struct session s = session_of(n, 200), half = session_of(n, 100);

	net_arm(n, 0, true);
	for (unsigned int k = 0; k < FLOWS; k++) {
		live[k] = session_of(n, k);
		session_establish(&live[k]);
	}
	assert_int_equal(n->w->flows.used, FLOWS);
	client_syn(&s);
	net_run(n);
	expect_syn_ack(&s); /* costs nothing, so it is still answered */
	client_data(&s, 10);
	net_run(n);
	net_expect_nothing(n);
	assert_dropped(n, FLOW_TABLE_FULL, 1);
	assert_count(n, FLOW_PROXIED, FLOWS);
	server_syn_ack(&half); /* native: passes, it is only not known */
	net_run(n);
	assert_int_equal(net_discard(n), 1);
	assert_null(session_flow(&half));
	for (unsigned int k = 0; k < FLOWS; k++)
		session_exchange(&live[k], 3);
	session_close(&live[5]); /* a closing flow gives way */
	s.client_sent = 0;
	client_data(&s, 10);
	net_run(n);
	expect_server_syn(&s);
	assert_null(session_flow(&live[5]));
	assert_count(n, FLOW_SHED, 1);
	server_syn_ack(&s);
	net_run(n);
	net_discard(n);
	session_exchange(&s, 5);
	assert_count(n, FLOW_EXPIRED, 0);
}

/* Nor does an unproven one push out what has been proven and is closing. */
/* Also those that stand in their second buckets. */
static void a_new_rule_reaches_all_flows(struct net *n)
{
	static struct session live[FLOWS];
	uint32_t moved = 0;

	net_arm(n, 0, true);
	for (unsigned int k = 0; k < FLOWS; k++) {
		live[k] = session_of(n, k);
		session_establish(&live[k]);
	}
	for (uint64_t i = 0; i <= n->w->flows.bucket_mask; i++)
		moved += n->w->flows.buckets[i].moved;
	assert_int_not_equal(moved, 0);
	draft_rule(&n->draft, n->flavour->is_ipv6 ? "2001:db8::/32" : "198.51.100.0/24", SW_RULE_DENY, 1, 0);
	net_new_policy(n);
	for (unsigned int k = 0; k < FLOWS; k++)
		client_data(&live[k], 10);
	net_run(n);
	net_expect_nothing(n);
	assert_dropped(n, DENIED, FLOWS);
}

static void half_open_flows_push_out_no_closing_ones(struct net *n)
{
	struct session half = session_of(n, 100), s;

	net_arm(n, 0, true);
	for (unsigned int k = 0; k < FLOWS; k++) {
		s = session_of(n, k);
		session_establish(&s);
	}
	session_close(&s);
	half_open(&half);
	assert_null(session_flow(&half));
	assert_int_equal(session_flow(&s)->state, SW_FLOW_CLOSING);
	assert_count(n, FLOW_SHED, 0);
}

static void proven_connections_push_out_half_open_ones(struct net *n)
{
	for (unsigned int k = 0; k < 16; k++) {
		struct session s = session_of(n, 100 + k);
		half_open(&s);
	}
	net_arm(n, 0, true);
	for (unsigned int k = 0; k < FLOWS; k++) {
		struct session s = session_of(n, k);
		session_establish(&s);
	}
	assert_count(n, FLOW_SHED, 16);
	assert_int_equal(n->w->flows.lists[SW_LIST_ESTABLISHED].count, FLOWS);
	assert_int_equal(net_dropped_all(n), 0);
}

/* A half-open flow whose ACK stands in the same burst as what pushes it out. */
static void flow_is_shed_within_a_burst(struct net *n)
{
	struct session half = session_of(n, 100), s[FLOWS];

	half_open(&half);
	net_arm(n, 0, true);
	for (unsigned int k = 0; k < FLOWS; k++) {
		s[k] = session_of(n, k);
		if (k < FLOWS - 1) {
			session_establish(&s[k]);
		} else {
			client_syn(&s[k]);
			net_run(n);
			expect_syn_ack(&s[k]);
		}
	}
	struct session again = session_of(n, 101);
	client_syn(&again);
	net_run(n);
	expect_syn_ack(&again);
	client_ack(&s[FLOWS - 1]); /* takes the place of the half-open one */
	client_ack(&half);
	client_data(&half, 5);
	client_ack(&again); /* finds none */
	net_run(n);
	expect_server_syn(&s[FLOWS - 1]);
	net_expect_nothing(n);
	assert_dropped(n, COOKIE_INVALID, 2);
	assert_dropped(n, FLOW_TABLE_FULL, 1);
}

static void shape_few_flows_of_a_group(struct draft *d)
{
	shape_few_flows(d);
	draft_group(d, "all");
	draft_rule(d, "0.0.0.0/0", SW_RULE_GROUP, 0, 0);
	draft_rule(d, "::/0", SW_RULE_GROUP, 0, 0);
}

/*
 * The old connection of an ACK is known when its source would be looked up, which is then not done; a packet before it in
 * the burst takes the old one's place. The new one belongs to its group all the same.
 */
static void shed_within_a_burst_and_in_a_group(struct net *n)
{
	struct session s[FLOWS], other = session_of(n, 100);

	net_arm(n, 0, true);
	for (unsigned int k = 0; k < FLOWS; k++) {
		s[k] = session_of(n, k);
		session_establish(&s[k]);
	}
	session_close(&s[0]);
	session_close(&s[1]);
	assert_int_equal(n->w->groups[0].concurrent, FLOWS - 2);
	s[0] = session_again(&s[0]);
	client_syn(&s[0]);
	net_run(n);
	expect_syn_ack(&s[0]);
	client_syn(&other);
	net_run(n);
	expect_syn_ack(&other);
	client_ack(&other);
	client_ack(&s[0]);
	net_run(n);
	expect_server_syn(&other);
	expect_server_syn(&s[0]);
	assert_count(n, FLOW_SHED, 2);
	assert_int_equal(n->w->groups[0].concurrent, FLOWS);
}

/* ---- records and limiter entries
 * -------------------------------------------------------------------------------------------- */

static void shape_few_records(struct draft *d)
{
	d->boot.source_records = 8;
	d->global.evidence_after_syns = 2;
}

static void claim(struct net *n, unsigned int number, unsigned int syns)
{
	for (unsigned int i = 0; i < syns; i++) {
		struct session s = session_of(n, number);
		client_syn(&s);
		net_run(n);
		net_discard(n);
		n->now += NET_MS;
	}
}

static void proven_sources_take_records_of_claimed_ones(struct net *n)
{
	struct session s[9];

	for (unsigned int k = 0; k < 12; k++)
		claim(n, 100 + k, 3);
	assert_int_equal(n->w->free_record_count, 0);
	assert_count(n, SOURCE_RECORDS_FULL, 4); /* claims push nobody out */
	for (unsigned int k = 0; k < 8; k++) {
		s[k] = session_of(n, k);
		session_establish(&s[k]);
		n->now += NET_MS;
	}
	assert_int_equal(n->w->proven_records, 8);
	for (unsigned int k = 0; k < 8; k++)
		assert_int_equal(session_record(&s[k])->proof, SW_PROOF_ECHOED);
	s[8] = session_of(n, 8);
	session_establish(&s[8]); /* served all the same */
	assert_null(session_record(&s[8]));
	assert_count(n, SOURCE_RECORDS_FULL, 5);
	session_exchange(&s[8], 10);
	session_close(&s[8]);
	session_close(&s[3]);
	n->now += 61 * NET_HZ;
	net_pass_ms(n, 100);
	net_discard(n); /* answers to the claims, repeated */
	/* One that has been quiet for a minute gives way to a new one. */
	s[8].client_port++;
	s[8] = session_again(&s[8]);
	session_establish(&s[8]);
	assert_non_null(session_record(&s[8]));
	assert_null(session_record(&s[3]));
	for (unsigned int k = 0; k < 3; k++)
		session_exchange(&s[k], 10);
}

static void shape_few_limiters(struct draft *d)
{
	d->boot.limiter_entries = 64;
	d->boot.source_records = 256;
	d->global.answers_per_source_per_s = d->global.answers_per_source_burst = 5;
	d->services[0].limits[1].concurrent = 100000;
}

static void limiter_entries_of_proven_sources_are_kept(struct net *n)
{
	struct session s[200];
	unsigned int known = 0;

	for (unsigned int k = 0; k < 200; k++) {
		s[k] = session_of(n, k);
		session_establish(&s[k]);
		n->now += 10 * NET_MS;
	}
	assert_true(net_count(n, SW_COUNT_LIMITER_FULL) > 0);
	for (unsigned int k = 0; k < 200; k++)
		known += session_record(&s[k]) != NULL;
	assert_int_equal(known, n->w->proven_records);
	assert_true(known > 32 && known <= 64);
	for (unsigned int k = 200; k < 3000; k++) /* a flood of forged sources */
		claim(n, k, 1);
	unsigned int after = 0;
	for (unsigned int k = 0; k < 200; k++) {
		after += session_record(&s[k]) != NULL;
		session_exchange(&s[k], 2);
	}
	assert_int_equal(after, known);
	assert_int_equal(n->w->limiter.used, 64);
}

static void shape_one_line(struct draft *d)
{
	d->boot.limiter_entries = 4;
	d->global.answers_per_source_per_s = d->global.answers_per_source_burst = 5;
	d->global.answers_per_prefix_per_s = d->global.answers_per_prefix_burst = 10;
	d->global.rst_per_s = 1000;
}

/*
 * Three proven sources hold three places of four. A RST needs two, of the claimed source and of its prefix: with one to
 * be had, the source's would push out what the prefix was sent, and the cap of the prefix would never be reached.
 */
static void resets_that_cannot_be_counted_are_not_sent(struct net *n)
{
	unsigned int sent = 0;

	for (unsigned int k = 0; k < 3; k++) {
		struct session s = session_of(n, k);
		session_establish(&s);
	}
	assert_int_equal(n->w->proven_records, 3);
	for (unsigned int k = 100; k < 200; k++) { /* of one prefix, at one moment */
		const struct session s = session_of(n, k);
		sent += sw_admit_reset(n->w, &s.client, n->flavour->is_ipv6);
	}
	net_run(n); /* for the sums */
	assert_in_range(sent, 0, 10);
}

/* Where others have been idle too, though not for as long as the prefix, there is room for both. */
static void idle_prefixes_are_not_pushed_out_by_resets(struct net *n)
{
	struct session first = session_of(n, 1), second = session_of(n, 2), stranger = session_of(n, 0);

	net_run(n);
	assert_true(sw_admit_reset(n->w, &first.client, n->flavour->is_ipv6));
	assert_int_equal(n->w->limiter.used, 2);
	stranger.client.bytes[n->flavour->is_ipv6 ? 7 : 14] ^= 1;
	n->now += NET_HZ;
	client_syn(&stranger);
	net_run(n);
	expect_syn_ack(&stranger);
	client_rst(&stranger);
	n->now += 20 * NET_HZ;
	net_run(n);
	assert_int_equal(n->w->limiter.used, 4);
	assert_true(sw_admit_reset(n->w, &second.client, n->flavour->is_ipv6));
}

/* Wider limits hold where narrower ones have no place: one is to be had, and it is the prefix that keeps it. */
static void sources_do_not_push_out_their_prefix(struct net *n)
{
	for (unsigned int k = 0; k < 3; k++) {
		struct session s = session_of(n, k);
		session_establish(&s);
	}
	n->now += 10 * NET_HZ;
	const uint64_t before = net_count(n, SW_COUNT_ANSWERED);
	for (unsigned int k = 100; k < 200; k++) { /* of one prefix, at one moment */
		struct session s = session_of(n, k);
		s.client.bytes[n->flavour->is_ipv6 ? 7 : 14] ^= 1; /* and of no proven one's */
		client_syn(&s);
	}
	net_run(n);
	assert_int_equal(net_count(n, SW_COUNT_ANSWERED) - before, 10);
	assert_dropped(n, ANSWER_CAP, 90);
	assert_true(net_count(n, SW_COUNT_LIMITER_FULL) >= 90);
}

static void shape_one_line_no_neighbourhood(struct draft *d)
{
	shape_one_line(d);
	d->global.levels[1].ipv4_length = 20;
	d->global.levels[1].ipv6_length = 56;
}

static void shape_one_line_all_levels(struct draft *d)
{
	shape_one_line(d);
	d->services[0].limits[0] = (struct sw_limits){.syn_per_s = 4, .syn_burst = 4};
	d->services[0].limits[1] = (struct sw_limits){.syn_per_s = 8, .syn_burst = 8};
	d->services[0].limits[2] = (struct sw_limits){.syn_per_s = 16, .syn_burst = 16};
}

/* A SYN needs three places where one is to be had: the entry that is left there pays for itself alone. */
static void pushed_out_levels_are_charged_to_nobody(struct net *n)
{
	const struct sw_limiter_set *line = n->w->limiter.sets;
	unsigned int seen = 0;

	for (unsigned int k = 0; k < 3; k++) {
		struct session s = session_of(n, k);
		session_establish(&s);
	}
	n->now += 10 * NET_HZ;
	for (unsigned int k = 1; k < 10; k++) {
		struct session s = session_of(n, k);
		s.client.bytes[n->flavour->is_ipv6 ? 5 : 13] ^= (uint8_t)k; /* nobody knows any prefix of it */
		client_syn(&s);
		net_run(n);
		expect_syn_ack(&s);
	}
	for (unsigned int way = 0; way < SW_LIMITER_WAYS; way++) {
		if (line->notes[way] & SW_NOTE_PINNED)
			continue;
		assert_int_equal(line->notes[way] & SW_NOTE_VALUE, 0); /* nor does it count the source's SYNs */
		assert_int_equal(line->tats[way], n->now + NET_HZ / 16);
		seen++;
	}
	assert_int_equal(seen, 1);
}

static void shape_one_line_few_connections(struct draft *d)
{
	shape_one_line(d);
	d->global.answers_per_source_per_s = d->global.answers_per_source_burst = 1000;
	d->global.answers_per_prefix_per_s = d->global.answers_per_prefix_burst = 1000;
	d->services[0].limits[0].concurrent = 2;
}

/* Where a source has no place, nothing says how many connections it has: certainly not the SYNs of others like it. */
static void sources_without_a_place_have_no_connections(struct net *n)
{
	struct session last = session_of(n, 200);

	for (unsigned int k = 0; k < 4; k++) {
		struct session s = session_of(n, k);
		session_establish(&s);
	}
	assert_int_equal(n->w->proven_records, 4);
	for (unsigned int k = 100; k < 110; k++)
		claim(n, k, 1);
	session_establish(&last);
	assert_null(session_record(&last));
	assert_dropped(n, LIMIT_CONCURRENT_SOURCE, 0);
}

static void shape_one_line_few_syns(struct draft *d)
{
	shape_one_line(d);
	d->global.answers_per_prefix_per_s = d->global.answers_per_prefix_burst = 100000;
	d->services[0].limits[0] = (struct sw_limits){.syn_per_s = 4, .syn_burst = 4};
	d->global.level_count = 1;
}

/* SYNs that one was found to send beyond its limit are not counted as those of another that has taken its place since. */
static void syns_are_not_counted_as_those_of_a_successor(struct net *n)
{
	const struct sw_limiter_set *line = n->w->limiter.sets;
	struct session over = session_of(n, 100), next = session_of(n, 101);
	uint32_t syns = 0;

	for (unsigned int k = 0; k < 3; k++) {
		struct session s = session_of(n, k);
		session_establish(&s);
	}
	for (unsigned int k = 0; k < 5; k++)
		client_syn(&over);
	net_run(n);
	net_discard(n);
	client_syn(&over);
	client_syn(&next);
	client_syn(&over);
	net_run(n);
	for (unsigned int way = 0; way < SW_LIMITER_WAYS; way++)
		if (!(line->notes[way] & SW_NOTE_PINNED))
			syns += line->notes[way] & SW_NOTE_VALUE;
	assert_dropped(n, LIMIT_SYN_SOURCE, 3);
	assert_int_equal(syns, 1);
}

static const struct net_case cases[] = {
	NET_CASE(half_open_flows_keep_to_a_quarter, shape_few_flows),
	NET_CASE(established_flows_are_kept, shape_few_flows),
	NET_CASE(a_new_rule_reaches_all_flows, shape_few_flows),
	NET_CASE(half_open_flows_push_out_no_closing_ones, shape_few_flows),
	NET_CASE(proven_connections_push_out_half_open_ones, shape_few_flows),
	NET_CASE(flow_is_shed_within_a_burst, shape_few_flows),
	NET_CASE(shed_within_a_burst_and_in_a_group, shape_few_flows_of_a_group),
	NET_CASE(proven_sources_take_records_of_claimed_ones, shape_few_records),
	NET_CASE(limiter_entries_of_proven_sources_are_kept, shape_few_limiters),
	NET_CASE(resets_that_cannot_be_counted_are_not_sent, shape_one_line),
	NET_CASE(idle_prefixes_are_not_pushed_out_by_resets, shape_one_line),
	NET_CASE(sources_do_not_push_out_their_prefix, shape_one_line),
	NET_CASE(sources_do_not_push_out_their_prefix, shape_one_line_no_neighbourhood),
	NET_CASE(pushed_out_levels_are_charged_to_nobody, shape_one_line_all_levels),
	NET_CASE(sources_without_a_place_have_no_connections, shape_one_line_few_connections),
	NET_CASE(syns_are_not_counted_as_those_of_a_successor, shape_one_line_few_syns),
};

int main(void)
{
	return net_run_cases("pipeline: full", cases, sizeof(cases) / sizeof(cases[0]));
}
