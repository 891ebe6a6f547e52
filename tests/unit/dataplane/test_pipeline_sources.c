/* SPDX-License-Identifier: BSD-3-Clause */
/* Blocks of sources that overdo it, and what housekeeping can ask and undo. */
#include "pipeline_model.h"

static struct sw_reply mail(struct net *n, enum sw_request_kind kind, const struct sw_address *address, uint32_t slot)
{
	struct sw_reply reply = {.status = 99};
	struct sw_mail m = {.request = {.kind = kind, .address = *address, .service_slot = slot}, .reply = &reply};

	sw_pipeline_begin(n->w, n->now);
	sw_pipeline_mail(n->w, &m);
	sw_pipeline_end(n->w);
	assert_int_equal(atomic_load(&m.done), 1);
	return reply;
}

/* ---- blocks
 * ---------------------------------------------------------------------------------------------------------------- */

static void shape_blocking(struct draft *d)
{
	d->services[0].limits[0].concurrent = 1;
	d->services[0].block_after = 3;
	d->services[0].block_s = 60;
	d->global.idle_established_s = 300;
}

/* A further connection of the same source: refused, whatever its ACK is followed by. */
static void overdo(struct session *s)
{
	s->client_port++;
	s->client_sent = s->server_sent = 0;
	client_syn(s);
	net_run(s->n);
	expect_syn_ack(s);
	client_ack(s);
	client_data(s, 5);
	net_run(s->n);
	s->client_sent = 0;
	client_data(s, 5); /* again, as nobody answered */
	net_run(s->n);
	s->client_sent = 0;
}

static void block_source(struct net *n, struct session *first)
{
	session_establish(first);
	session_exchange(first, 10);
	struct session s = *first;
	for (unsigned int k = 0; k < 3; k++) {
		assert_int_equal(session_record(&s)->blocked_until_tsc, 0);
		overdo(&s);
	}
	net_expect_nothing(n);
	assert_int_equal(session_record(&s)->blocked_until_tsc, n->now + 60 * NET_HZ);
}

static void source_that_overdoes_it_is_blocked(struct net *n)
{
	struct session first = session_of(n, 1), other = session_of(n, 2), s;
	struct sw_event event;
	bool blocked_seen = false;

	block_source(n, &first);
	assert_count(n, SOURCES_BLOCKED, 1);
	assert_int_equal(session_record(&first)->refused, 3); /* connections, not packets */
	while (rte_ring_sc_dequeue_elem(n->w->events, &event, sizeof(event)) == 0) {
		if (event.kind != SW_EVENT_BLOCKED)
			continue;
		blocked_seen = true;
		assert_memory_equal(&event.address, &first.client, sizeof(first.client));
		assert_int_equal(event.service_slot, 0);
		assert_int_equal(event.until_tsc, n->now + 60 * NET_HZ);
	}
	assert_true(blocked_seen);
	const uint64_t before = net_dropped(n, SW_DROP_BLOCKED);
	client_data(&first, 10); /* its established connection too */
	s = first;
	s.client_port += 50;
	client_syn(&s);
	net_run(n);
	net_expect_nothing(n);
	assert_dropped(n, BLOCKED, before + 2);
	session_establish(&other); /* nobody else */
	session_exchange(&other, 10);

	n->now += 61 * NET_HZ;
	first.client_sent -= 10;
	session_exchange(&first, 10); /* over, and the connection has survived */
	s.client_port++;
	client_syn(&s);
	net_run(n);
	expect_syn_ack(&s);
	assert_dropped(n, BLOCKED, before + 2);
}

static void shape_blocking_with_resets(struct draft *d)
{
	shape_blocking(d);
	d->services[0].refusal = SW_REFUSE_RST;
}

/* Over its limit it was told so; blocked it hears nothing more, of SYNs and of cookies that are out. */
static void blocked_source_gets_silence(struct net *n)
{
	struct session first = session_of(n, 1), early = first, s = first;

	early.client_port += 99;
	client_syn(&early);
	net_run(n);
	expect_syn_ack(&early);
	session_establish(&first);
	for (unsigned int k = 0; k < 3; k++) {
		s.client_port++;
		client_syn(&s);
		net_run(n);
		expect_syn_ack(&s);
		client_ack(&s);
		net_run(n);
		net_discard(n); /* a RST */
	}
	assert_int_equal(n->w->totals.refused[SW_DROP_LIMIT_CONCURRENT_SOURCE], 3);
	const uint64_t before = net_dropped(n, SW_DROP_BLOCKED);
	s.client_port++;
	client_syn(&s);
	client_ack(&early);
	net_run(n);
	net_expect_nothing(n);
	assert_dropped(n, BLOCKED, before + 2);
}

static void shape_blocking_and_limited(struct draft *d)
{
	shape_blocking_with_resets(d);
	d->services[0].limits[0].syn_per_s = 1;
	d->services[0].limits[0].syn_burst = 10;
}

/* Nor is it told so when it is over a limit besides. */
static void blocked_source_over_its_limit_gets_silence(struct net *n)
{
	struct session first = session_of(n, 1), early[3], s = first;

	for (unsigned int k = 0; k < 3; k++) {
		early[k] = first;
		early[k].client_port = (uint16_t)(first.client_port + 10 + k);
		client_syn(&early[k]);
		net_run(n);
		expect_syn_ack(&early[k]);
	}
	session_establish(&first);
	for (unsigned int k = 0; k < 20; k++) {
		s.client_port++;
		client_syn(&s);
	}
	for (unsigned int k = 0; k < 3; k++)
		client_ack(&early[k]);
	net_run(n);
	net_discard(n);
	assert_count(n, SOURCES_BLOCKED, 1);
	assert_int_equal(n->w->totals.refused[SW_DROP_LIMIT_SYN_SOURCE], 14);
	for (unsigned int k = 0; k < 20; k++)
		client_syn(&s);
	net_run(n);
	net_expect_nothing(n);
	assert_dropped(n, BLOCKED, 20);
}

/* The note of the source's entry leads SYNs to the record, which alone says so; no longer than a second behind its end. */
static void blocks_are_hinted_at_while_they_last(struct net *n)
{
	struct session first = session_of(n, 1);

	block_source(n, &first);
	const struct sw_source_record *r = session_record(&first);
	const uint32_t *note = sw_limiter_note_beside(sw_limiter_tat(&n->w->limiter, r->limiter));
	net_pass_ms(n, 50 * 1000);
	assert_true(*note & SW_NOTE_BLOCKED);
	net_pass_ms(n, 11 * 1000);
	assert_false(*note & SW_NOTE_BLOCKED);
}

/* A cookie that went out before the block opens nothing. */
static void block_holds_for_cookies_that_are_out(struct net *n)
{
	struct session first = session_of(n, 1), early = session_of(n, 1);

	early.client_port += 500;
	client_syn(&early);
	net_run(n);
	expect_syn_ack(&early);
	block_source(n, &first);
	const uint64_t before = net_dropped(n, SW_DROP_BLOCKED);
	client_ack(&early);
	net_run(n);
	net_expect_nothing(n);
	assert_dropped(n, BLOCKED, before + 1);
}

static void block_holds_while_the_service_is_quiet(struct net *n)
{
	struct session first = session_of(n, 1), s, other = session_of(n, 2);

	block_source(n, &first);
	net_arm(n, 0, false);
	s = first;
	s.client_port += 50;
	client_syn(&s);
	net_run(n);
	net_expect_nothing(n);
	client_syn(&other);
	net_run(n);
	assert_int_equal(net_discard(n), 1);
	assert_count(n, SYN_PASSED, 1);
}

static void refused_in_two_minutes_is_no_reason(struct net *n)
{
	struct session first = session_of(n, 1), s;

	session_establish(&first);
	s = first;
	for (unsigned int k = 0; k < 10; k++) {
		overdo(&s);
		if (k % 2)
			n->now += 61 * NET_HZ;
	}
	assert_count(n, SOURCES_BLOCKED, 0);
	assert_int_equal(session_record(&first)->refused, 10);
}

static void forged_syns_block_nobody(struct net *n)
{
	struct session s = session_of(n, 1);

	n->draft.services[0].limits[0].syn_per_s = n->draft.services[0].limits[0].syn_burst = 2;
	net_new_policy(n);
	session_establish(&s);
	for (unsigned int k = 0; k < 200; k++) {
		struct session forged = s;
		forged.client_port = (uint16_t)(forged.client_port + k);
		forged.client_isn += k;
		client_syn(&forged);
		net_run(n);
		net_discard(n);
		n->now += NET_MS;
	}
	assert_true(net_dropped(n, SW_DROP_LIMIT_SYN_SOURCE) > 100);
	assert_count(n, SOURCES_BLOCKED, 0);
	assert_int_equal(session_record(&s)->blocked_until_tsc, 0);
	assert_int_equal(session_record(&s)->refused, 0);
	session_exchange(&s, 10);
}

static void neighbours_excess_blocks_nobody(struct net *n)
{
	struct session s = session_of(n, 1);

	n->draft.services[0].limits[0].concurrent = 0;
	n->draft.services[0].limits[1].concurrent = 1;
	n->draft.services[0].total.conn_per_s = n->draft.services[0].total.conn_burst = 1;
	net_new_policy(n);
	session_establish(&s);
	for (unsigned int k = 0; k < 20; k++)
		overdo(&s);
	assert_true(net_dropped(n, SW_DROP_LIMIT_CONCURRENT_PREFIX) > 10);
	assert_count(n, SOURCES_BLOCKED, 0);
}

static void unblocked_by_mail(struct net *n)
{
	struct session first = session_of(n, 1), other = session_of(n, 2);

	block_source(n, &first);
	assert_int_equal(mail(n, SW_REQUEST_UNBLOCK, &other.client, SW_NONE).count, 0);
	assert_int_equal(mail(n, SW_REQUEST_UNBLOCK, &first.client, 1).count, 0); /* another service */
	client_data(&first, 10);
	net_run(n);
	net_expect_nothing(n);
	const struct sw_reply reply = mail(n, SW_REQUEST_UNBLOCK, &first.client, SW_NONE);
	assert_int_equal(reply.status, SW_REPLY_OK);
	assert_int_equal(reply.count, 1);
	assert_int_equal(mail(n, SW_REQUEST_UNBLOCK, &first.client, 0).count, 0); /* done */
	first.client_sent -= 10;
	session_exchange(&first, 10);
	struct session s = first;
	overdo(&s); /* refused, but counted anew */
	assert_int_equal(session_record(&first)->blocked_until_tsc, 0);
}

static void unknown_mail_is_refused(struct net *n)
{
	const struct session s = session_of(n, 1);

	assert_int_equal(mail(n, SW_REQUEST_PUBLISH, &s.client, 0).status, SW_REPLY_BAD_REQUEST);
}

/* ---- why
 * ----------------------------------------------------------------------------------------------------------------------
 */

static void shape_explained(struct draft *d)
{
	struct sw_service *s = &d->services[0];

	s->limits[0] =
	    (struct sw_limits){.syn_per_s = 10, .syn_burst = 20, .conn_per_s = 5, .conn_burst = 7, .concurrent = 3};
	s->limits[1] = (struct sw_limits){.conn_per_s = 50, .conn_burst = 50, .concurrent = 9};
	s->total = (struct sw_limits){.syn_per_s = 1000, .syn_burst = 2000, .concurrent = 100};
	draft_group(d, "flock");
	d->groups[0].limits = (struct sw_limits){.conn_per_s = 30, .conn_burst = 40};
	draft_rule(d, "198.51.100.0/24", SW_RULE_GROUP, 0, 0);
	draft_rule(d, "2001:db8::/64", SW_RULE_GROUP, 0, 0);
	draft_rule(d, "198.51.100.99/32", SW_RULE_DENY, 3, 0);
	draft_rule(d, "2001:db8::63/128", SW_RULE_DENY, 3, 0);
}

static void what_the_worker_knows_of_an_address(struct net *n)
{
	struct session s = session_of(n, 1), denied = session_of(n, 98);

	session_establish(&s);
	const struct sw_explain e = mail(n, SW_REQUEST_EXPLAIN, &s.client, 0).explain;
	assert_int_equal(e.rule, SW_RULE_KINDS);
	assert_int_equal(e.entry, SW_NONE);
	assert_int_equal(e.group, 0);
	assert_int_equal(e.armed, 1);
	assert_int_equal(e.worker, 0);
	assert_int_equal(e.has_record, 1);
	assert_int_equal(e.proof, SW_PROOF_ECHOED);
	assert_int_equal(e.record.conns, 1);
	assert_int_equal(e.levels[0].syn.per_s, 10);
	assert_int_equal(e.levels[0].syn.burst, 20);
	assert_int_equal(e.levels[0].syn.available, 19);
	assert_int_equal(e.levels[0].conn.per_s, 5);
	assert_int_equal(e.levels[0].conn.available, 6);
	assert_int_equal(e.levels[0].concurrent, 1);
	assert_int_equal(e.levels[0].concurrent_limit, 3);
	assert_int_equal(e.levels[1].concurrent, 1);
	assert_int_equal(e.levels[1].concurrent_limit, 9);
	assert_int_equal(e.levels[1].conn.available, 49);
	assert_int_equal(e.levels[2].conn.per_s, 0); /* no limit: all 0 */
	assert_int_equal(e.in_group.conn.per_s, 30);
	assert_int_equal(e.in_group.conn.available, 39);
	assert_int_equal(e.in_group.concurrent, 1);
	assert_int_equal(e.in_group.concurrent_limit, 0);
	assert_int_equal(e.in_service.syn.available, 1999);
	assert_int_equal(e.in_service.concurrent, 1);
	assert_int_equal(e.in_service.concurrent_limit, 100);

	const struct sw_explain d = mail(n, SW_REQUEST_EXPLAIN, &denied.client, 0).explain;
	assert_int_equal(d.rule, SW_RULE_DENY);
	assert_int_equal(d.entry, 3);
	assert_int_equal(d.group, 0);
	assert_int_equal(d.has_record, 0);
	assert_int_equal(d.levels[0].syn.available, 20);
	/* Of no service in particular, and of one that there is not. */
	assert_int_equal(mail(n, SW_REQUEST_EXPLAIN, &s.client, SW_NONE).status, SW_REPLY_OK);
	assert_int_equal(mail(n, SW_REQUEST_EXPLAIN, &s.client, 7).explain.has_record, 0);
}

static const struct net_case cases[] = {
	NET_CASE(source_that_overdoes_it_is_blocked, shape_blocking),
	NET_CASE(blocked_source_gets_silence, shape_blocking_with_resets),
	NET_CASE(blocked_source_over_its_limit_gets_silence, shape_blocking_and_limited),
	NET_CASE(blocks_are_hinted_at_while_they_last, shape_blocking),
	NET_CASE(block_holds_for_cookies_that_are_out, shape_blocking),
	NET_CASE(block_holds_while_the_service_is_quiet, shape_blocking),
	NET_CASE(refused_in_two_minutes_is_no_reason, shape_blocking),
	NET_CASE(forged_syns_block_nobody, shape_blocking),
	NET_CASE(neighbours_excess_blocks_nobody, shape_blocking),
	NET_CASE(unblocked_by_mail, shape_blocking),
	NET_CASE(unknown_mail_is_refused, NULL),
	NET_CASE(what_the_worker_knows_of_an_address, shape_explained),
};

int main(void)
{
	return net_run_cases("pipeline: sources", cases, sizeof(cases) / sizeof(cases[0]));
}
