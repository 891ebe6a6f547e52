/* SPDX-License-Identifier: BSD-3-Clause */
/* What the box keeps of sources, and for how long. */
#include "pipeline_model.h"

#include "../core/random_prefixes.h"

static void claimed_source_gets_a_record_with_its_tenth_syn(struct net *n)
{
	struct session s = session_of(n, 1);

	for (unsigned int k = 1; k <= 25; k++) {
		client_syn(&s);
		net_run(n);
		n->now += NET_MS;
		assert_int_equal(session_record(&s) != NULL, k >= 10);
	}
	const struct sw_source_record *r = session_record(&s);
	assert_memory_equal(&r->address, &s.client, sizeof(s.client));
	assert_int_equal(r->service_slot, 0);
	assert_int_equal(r->proof, SW_PROOF_CLAIMED);
	assert_int_equal(r->syns, 25);
	assert_int_equal(r->conns, 0);
	assert_int_equal(r->last_seen_tsc, n->now - NET_MS);
	assert_int_not_equal(atomic_load(&r->id), 0);
	assert_count(n, SOURCES_PROVEN, 0);
	assert_int_equal(n->w->proven_records, 0);
}

static void shape_limited(struct draft *d)
{
	d->services[0].limits[0] = (struct sw_limits){.syn_per_s = 1000, .syn_burst = 20};
}

static void send_syns(struct session *s, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		client_syn(s);
	net_run(s->n);
	net_discard(s->n);
}

/* Some admitted, some over the limit, in any order. */
static void record_counts_every_syn_and_every_drop(struct net *n)
{
	struct session s = session_of(n, 1);
	uint64_t random = 26, sent = 0;

	for (unsigned int round = 0; round < 400; round++) {
		const unsigned int count = 1 + random_below(&random, random_below(&random, 2) ? 40 : 3);
		if (sent >= 10)
			send_syns(&s, count);
		else
			send_syns(&s, 1);
		sent += sent >= 10 ? count : 1;
		n->now += random_below(&random, 4 * NET_MS) * random_below(&random, 8);
		if (round < 10 || random_below(&random, 5))
			continue;
		const struct sw_source_record *r = session_record(&s);
		assert_int_equal(r->syns, sent);
		assert_int_equal(r->dropped, net_dropped(n, SW_DROP_LIMIT_SYN_SOURCE));
		assert_int_equal(r->last_seen_tsc, n->w->now);
	}
	assert_true(net_dropped(n, SW_DROP_LIMIT_SYN_SOURCE) > 1000 && net_count(n, SW_COUNT_ANSWERED) > 1000);
}

/* Who reads the records in the region finds them at most so far behind, and up to date a second later. */
static void record_is_told_now_and_then(struct net *n)
{
	struct session s = session_of(n, 1);
	uint64_t sent = 10;

	send_syns(&s, 10);
	const struct sw_source_record *r = session_record(&s);
	for (unsigned int round = 0; round < 40; round++) {
		send_syns(&s, 1 + round);
		sent += 1 + round;
		assert_true(r->syns <= sent && sent - r->syns < SW_NOTE_TELL / SW_NOTE_SYN);
	}
	const uint64_t last = n->w->now;
	net_pass_ms(n, 1000);
	assert_int_equal(r->syns, sent);
	assert_int_equal(r->dropped, net_dropped(n, SW_DROP_LIMIT_SYN_SOURCE));
	assert_true(r->last_seen_tsc >= last && r->last_seen_tsc <= last + NET_HZ);
	const uint64_t seen = r->last_seen_tsc;
	net_pass_ms(n, 2000);
	assert_int_equal(r->last_seen_tsc, seen); /* there was none since */
}

static void shape_many_records(struct draft *d)
{
	shape_limited(d);
	d->boot.source_records = 3000;
}

/* However many there are: four of 3,000 a millisecond, and no more at a time than a few hundred. */
static void records_are_swept_in_slices(struct net *n)
{
	struct session s = session_of(n, 1);

	send_syns(&s, 15);
	const struct sw_source_record *r = session_record(&s);
	send_syns(&s, 3);
	assert_int_equal(r->syns, 15);
	n->w->record_sweep = (uint32_t)(r - n->w->records) + 1; /* it has just been there */
	net_pass_ms(n, 1);
	assert_int_equal(n->w->record_sweep, 5);
	n->now += 3 * NET_MS / 2; /* nothing is lost of a millisecond and a half */
	net_run(n);
	n->now += 3 * NET_MS / 2;
	net_run(n);
	assert_int_equal(n->w->record_sweep, 17);
	n->now += 60 * NET_HZ; /* nor made up for */
	net_run(n);
	assert_int_equal(n->w->record_sweep, 17 + 1024);
	assert_int_equal(r->syns, 15);
	net_pass_ms(n, (3000 - 1041) / 4 + 1);
	assert_int_equal(r->syns, 18);
}

static void shape_two_limited(struct draft *d)
{
	d->services[0].limits[0] = (struct sw_limits){.syn_per_s = 1, .syn_burst = 1};
	draft_service(d, "second", SW_MODE_ALWAYS)->limits[0] = d->services[0].limits[0];
	draft_target(d, "10.20.0.0/24", OTHER_PORT, OTHER_PORT, 1);
	draft_target(d, "fd00:20::/64", OTHER_PORT, OTHER_PORT, 1);
}

/* Sources that are over their limits get records, too, each its own. */
static void refused_sources_get_records(struct net *n)
{
	struct session s[2][10];

	net_arm(n, 1, true);
	for (unsigned int k = 0; k < 20; k++) {
		s[k / 10][k % 10] = session_of(n, k % 10);
		s[k / 10][k % 10].server_port = k / 10 ? OTHER_PORT : SERVICE_PORT;
	}
	for (unsigned int syn = 1; syn <= 50; syn++) {
		for (unsigned int k = 0; k < 20; k++)
			client_syn(&s[k % 2][k / 2]);
		net_run(n);
		net_discard(n);
		for (unsigned int k = 0; k < 20; k++) {
			const struct sw_source_record *r = sw_source_find(n->w, &s[k / 10][k % 10].client, k / 10);
			assert_int_equal(r != NULL, syn >= 10);
			if (r == NULL)
				continue;
			assert_memory_equal(&r->address, &s[k / 10][k % 10].client, sizeof(r->address));
			assert_int_equal(r->service_slot, k / 10);
			assert_int_equal(r->syns, syn);
			assert_int_equal(r->dropped, syn - 10);
		}
	}
	assert_dropped(n, LIMIT_SYN_SOURCE, 20 * 49);
}

/* While others are refused ahead of all else, the last of a source's tokens is still given. */
static void last_token_is_given_among_refused_sources(struct net *n)
{
	struct session over = session_of(n, 1), other = session_of(n, 2);

	send_syns(&other, 19);
	send_syns(&over, 30); /* so that the next burst begins with who is over */
	assert_dropped(n, LIMIT_SYN_SOURCE, 10);
	client_syn(&over);
	client_syn(&other);
	client_syn(&over);
	net_run(n);
	assert_dropped(n, LIMIT_SYN_SOURCE, 12);
	expect_syn_ack(&other);
	net_expect_nothing(n);
	send_syns(&other, 1);
	assert_dropped(n, LIMIT_SYN_SOURCE, 13);
}

static void shape_busy_claims(struct draft *d)
{
	d->boot.source_records = 128;
	d->global.evidence_after_syns = 2;
}

/* Who only claims gives way to who has proven himself, however busy he is. */
static void busy_claims_give_way(struct net *n)
{
	for (unsigned int pass = 0; pass < 4; pass++) {
		for (unsigned int k = 0; k < 128; k++) {
			struct session s = session_of(n, 1000 + k);
			send_syns(&s, 1);
		}
		n->now += NET_MS;
	}
	assert_int_equal(n->w->free_record_count, 0);
	for (unsigned int k = 0; k < 4; k++) {
		struct session s = session_of(n, k);
		session_establish(&s);
		assert_int_equal(session_record(&s)->proof, SW_PROOF_ECHOED);
	}
	assert_count(n, SOURCE_RECORDS_FULL, 0);
}

static void proof_rises_with_what_the_source_shows(struct net *n)
{
	struct session s = session_of(n, 1);

	client_syn(&s);
	net_run(n);
	expect_syn_ack(&s);
	assert_null(session_record(&s));
	client_ack(&s);
	net_run(n);
	expect_server_syn(&s);
	const struct sw_source_record *r = session_record(&s);
	assert_non_null(r);
	assert_int_equal(r->proof, SW_PROOF_ECHOED);
	assert_int_equal(r->syns, 1);
	assert_int_equal(r->conns, 1);
	assert_int_equal(r->concurrent, 1);
	assert_count(n, SOURCES_PROVEN, 1);
	server_syn_ack(&s);
	net_run(n);
	net_discard(n);
	client_data(&s, 100);
	net_run(n);
	assert_int_equal(r->proof, SW_PROOF_ECHOED); /* sent, but nobody took it */
	server_ack(&s);
	net_run(n);
	net_discard(n);
	assert_int_equal(r->proof, SW_PROOF_SENT_DATA);
	session_close(&s);
	assert_int_equal(r->concurrent, 0);
	assert_int_equal(r->bytes_in, 101); /* the FIN takes a number */
	assert_int_equal(n->w->proven_records, 1);
	s = session_again(&s);
	session_establish(&s);
	assert_ptr_equal(session_record(&s), r);
	assert_int_equal(r->conns, 2);
	assert_int_equal(r->syns, 2);
	assert_count(n, SOURCES_PROVEN, 1);
}

static void a_fin_is_no_data(struct net *n)
{
	struct session s = session_of(n, 1);

	session_establish(&s);
	session_close(&s);
	assert_int_equal(session_record(&s)->proof, SW_PROOF_ECHOED);
}

static void shape_quiet(struct draft *d)
{
	d->services[0].mode = SW_MODE_AUTO;
}

static void native_handshake_proves_the_source(struct net *n)
{
	struct session s = session_of(n, 1);

	client_syn(&s);
	server_syn_ack(&s);
	net_run(n);
	net_discard(n);
	assert_null(session_record(&s));
	client_ack(&s);
	net_run(n);
	net_discard(n);
	const struct sw_source_record *r = session_record(&s);
	assert_int_equal(r->proof, SW_PROOF_ECHOED);
	assert_int_equal(r->conns, 1);
	assert_int_equal(r->concurrent, 1);
	session_exchange(&s, 10);
	assert_int_equal(r->proof, SW_PROOF_SENT_DATA);
	session_close(&s);
	assert_int_equal(r->concurrent, 0);
}

static void proven_record_is_kept_an_hour(struct net *n)
{
	struct session s = session_of(n, 1);

	session_establish(&s);
	session_close(&s);
	net_pass_ms(n, 2000);
	n->now += 3500 * NET_HZ;
	net_pass_ms(n, 300);
	assert_non_null(session_record(&s));
	n->now += 200 * NET_HZ;
	net_pass_ms(n, 300);
	assert_null(session_record(&s));
	assert_int_equal(n->w->proven_records, 0);
}

static const struct net_case cases[] = {
	NET_CASE(claimed_source_gets_a_record_with_its_tenth_syn, NULL),
	NET_CASE(record_counts_every_syn_and_every_drop, shape_limited),
	NET_CASE(record_is_told_now_and_then, shape_limited),
	NET_CASE(records_are_swept_in_slices, shape_many_records),
	NET_CASE(refused_sources_get_records, shape_two_limited),
	NET_CASE(last_token_is_given_among_refused_sources, shape_limited),
	NET_CASE(busy_claims_give_way, shape_busy_claims),
	NET_CASE(proof_rises_with_what_the_source_shows, NULL),
	NET_CASE(a_fin_is_no_data, NULL),
	NET_CASE(native_handshake_proves_the_source, shape_quiet),
	NET_CASE(proven_record_is_kept_an_hour, NULL),
};

int main(void)
{
	return net_run_cases("pipeline: evidence", cases, sizeof(cases) / sizeof(cases[0]));
}
