/* SPDX-License-Identifier: BSD-3-Clause */
/* The operator's lists, modes, services beside each other, and new policies while connections stand. */
#include "pipeline_model.h"

/* ---- the operator's lists
 * ----------------------------------------------------------------------------------------------------------- */

static void shape_lists(struct draft *d)
{
	static const struct {
		const char *ipv4, *ipv6;
		uint8_t kind;
		uint32_t entry;
	} rules[] = {
	    {"198.51.100.2/32", "2001:db8::2/128", SW_RULE_DENY, 1},
	    {"198.51.100.3/32", "2001:db8::3/128", SW_RULE_ALLOW, 2},
	    {"198.51.100.4/32", "2001:db8::4/128", SW_RULE_BLOCK, 3},
	    {"198.51.100.4/30", "2001:db8::4/126", SW_RULE_DENY, 4},
	};

	for (unsigned int i = 0; i < 4; i++) {
		const uint64_t until = rules[i].kind == SW_RULE_BLOCK ? 1000 : 0;
		draft_rule(d, rules[i].ipv4, rules[i].kind, rules[i].entry, until);
		draft_rule(d, rules[i].ipv6, rules[i].kind, rules[i].entry, until);
	}
	d->services[0].refusal = SW_REFUSE_RST;
}

static void set_wall_clock(struct net *n, uint64_t unix_ns)
{
	atomic_store(&n->box.shared.region->heartbeat_unix_ns, unix_ns);
}

static void denied_sources(struct net *n)
{
	struct session s = session_of(n, 1), free_one = session_of(n, 0);

	client_syn(&s);
	client_ack(&s);
	client_rst(&s);
	client_syn(&free_one);
	net_run(n);
	expect_syn_ack(&free_one);
	net_expect_nothing(n); /* no RST either */
	assert_dropped(n, DENIED, 3);
	assert_int_equal(n->w->entries[1], 3);
	n->draft.services[0].mode = SW_MODE_AUTO;
	net_new_policy(n);
	net_arm(n, 0, false);
	client_syn(&s);
	net_run(n);
	net_expect_nothing(n); /* quiet or not */
	assert_dropped(n, DENIED, 4);
}

static void shape_lists_by_family(struct draft *d)
{
	draft_rule(d, "198.51.100.0/30", SW_RULE_DENY, 1, 0);
	draft_rule(d, "2001:db8::4/126", SW_RULE_DENY, 2, 0);
}

/* Clients of both families by turns: what is found about one, and what its cookie says, is not another's. */
static void both_families_in_one_burst(struct net *n)
{
	enum { CLIENTS = SW_BURST };
	struct session s[CLIENTS];
	uint32_t denied = 0;

	for (unsigned int i = 0; i < CLIENTS; i++) {
		n->flavour = &flavours[i & 1];
		s[i] = session_of(n, i / 2);
		denied |= (uint32_t)((s[i].client.bytes[15] & 0xfc) == (i & 1 ? 4 : 0)) << i;
		client_syn(&s[i]);
	}
	net_run(n);
	for (unsigned int i = 0; i < CLIENTS; i++) {
		n->flavour = &flavours[i & 1];
		if (!(denied >> i & 1))
			expect_syn_ack(&s[i]);
		client_ack(&s[i]);
	}
	net_expect_nothing(n);
	net_run(n);
	for (unsigned int i = 0; i < CLIENTS; i++) {
		n->flavour = &flavours[i & 1];
		if (!(denied >> i & 1))
			expect_server_syn(&s[i]);
	}
	assert_dropped(n, DENIED, 2 * 7);
	assert_int_equal(n->w->entries[1], 2 * 3);
	assert_int_equal(n->w->entries[2], 2 * 4);
}

/* Several bursts between begin and end. */
static void a_round_of_denied_packets_is_counted(struct net *n)
{
	struct session s = session_of(n, 1);

	for (unsigned int i = 0; i < 5 * SW_BURST; i++) {
		if (i % 3)
			client_syn(&s);
		else
			client_ack(&s);
	}
	net_run(n);
	net_expect_nothing(n);
	assert_dropped(n, DENIED, 5 * SW_BURST);
	assert_int_equal(n->w->entries[1], 5 * SW_BURST);
}

/* The packet that opens a flow has been looked up: its next one is not, until the policy changes. */
static void a_new_flow_knows_its_source(struct net *n)
{
	struct session s = session_of(n, 8);
	unsigned int flows = 0;

	session_establish(&s);
	for (uint32_t i = 0; i < n->w->flows.capacity; i++) {
		if (n->w->flows.flows[i].state == SW_FLOW_FREE)
			continue;
		flows++;
		assert_int_equal(n->w->flows.flows[i].checked, sw_source_stamp(n->w));
	}
	assert_int_equal(flows, 1);
	net_new_policy(n);
	session_exchange(&s, 10);
}

static void deny_ends_what_is_established(struct net *n)
{
	struct session s = session_of(n, 8);

	session_establish(&s);
	draft_rule(&n->draft, n->flavour->is_ipv6 ? "2001:db8::9/128" : "198.51.100.9/32", SW_RULE_DENY, 9, 0);
	n->draft.counts[SW_SECTION_PREFIXES]--; /* for the one below */
	const struct draft before = n->draft;
	n->draft.counts[SW_SECTION_PREFIXES]++;
	net_new_policy(n);
	for (unsigned int i = 0; i < 3; i++)
		client_data(&s, 10);
	net_run(n);
	net_expect_nothing(n);
	assert_dropped(n, DENIED, 3);
	assert_int_equal(n->w->entries[9], 3);
	s.client_sent -= 30;
	n->draft = before; /* pardoned: nothing established is lost by the rule itself */
	net_new_policy(n);
	session_exchange(&s, 10);
}

static void allowed_sources(struct net *n)
{
	struct session s = session_of(n, 2);

	client_syn(&s);
	net_run(n);
	expect_segment(&s, SW_INSIDE, SW_TCP_SYN, s.client_isn, 0, 0, 0); /* though the service is armed */
	server_syn_ack(&s);
	net_run(n);
	net_discard(n);
	client_ack(&s);
	net_run(n);
	expect_segment(&s, SW_INSIDE, SW_TCP_ACK, client_next(&s), server_next(&s), 0, 0);
	net_pass_ms(n, 10000); /* nobody takes it for half open */
	net_expect_nothing(n);
	session_exchange(&s, 20);
	session_put(&s, SW_OUTSIDE, &(struct segment){.flags = SW_TCP_RST, .seq = 12345}); /* whatever it sends */
	session_put(&s, SW_OUTSIDE, &(struct segment){.flags = SW_TCP_ACK, .seq = 12345, .ack = 5});
	net_run(n);
	assert_int_equal(net_discard(n), 2);
	session_close(&s);
	assert_int_equal(net_dropped_all(n), 0);
	assert_count(n, ALLOWED, 8);
	assert_int_equal(n->w->entries[2], 8);
	assert_count(n, SYN_PASSED, 1);
	session_put(&s, SW_OUTSIDE, &(struct segment){.flags = SW_TCP_ACK, .seq = 12345, .ack = 5});
	s.client_port++;
	session_put(&s, SW_OUTSIDE, &(struct segment){.flags = SW_TCP_ACK, .seq = 12345, .ack = 5});
	net_run(n);
	assert_int_equal(net_discard(n), 2);
}

/* Its connection ran through the proxy before it was allowed: that one goes on, the next is native. */
static void allowed_in_the_middle(struct net *n)
{
	struct session s = session_of(n, 9);

	session_establish(&s);
	draft_rule(&n->draft, n->flavour->is_ipv6 ? "2001:db8::a/128" : "198.51.100.10/32", SW_RULE_ALLOW, 9, 0);
	net_new_policy(n);
	session_exchange(&s, 10);
	session_close(&s);
	s = session_again(&s);
	session_establish_native(&s);
	session_exchange(&s, 10);
	assert_int_equal(net_dropped_all(n), 0);
}

static void blocks_end_by_themselves(struct net *n)
{
	struct session s = session_of(n, 3);

	set_wall_clock(n, 999);
	client_syn(&s);
	net_run(n);
	net_expect_nothing(n);
	assert_dropped(n, BLOCKED, 1);
	assert_int_equal(n->w->entries[3], 1);
	set_wall_clock(n, 1000); /* what stands beneath holds again */
	client_syn(&s);
	net_run(n);
	net_expect_nothing(n);
	assert_dropped(n, DENIED, 1);
	assert_int_equal(n->w->entries[4], 1);
}

static void block_on_an_established_connection_ends(struct net *n)
{
	struct session s = session_of(n, 7);

	session_establish(&s);
	draft_rule(&n->draft, n->flavour->is_ipv6 ? "2001:db8::8/128" : "198.51.100.8/32", SW_RULE_BLOCK, 9, 1000);
	set_wall_clock(n, 10);
	net_new_policy(n);
	client_data(&s, 10);
	net_run(n);
	net_expect_nothing(n);
	assert_dropped(n, BLOCKED, 1);
	set_wall_clock(n, 1001);
	s.client_sent = 0;
	session_exchange(&s, 10);
}

/* ---- modes
 * ----------------------------------------------------------------------------------------------------------------------------
 */

static void shape_off(struct draft *d)
{
	shape_lists(d);
	d->services[0].mode = SW_MODE_OFF;
}

static void mode_off_passes_and_counts(struct net *n)
{
	struct session s = session_of(n, 1); /* denied, but nobody asks */

	session_establish_native(&s);
	session_exchange(&s, 10);
	session_put(&s, SW_OUTSIDE, &(struct segment){.flags = SW_TCP_RST, .seq = 1});
	net_run(n);
	net_discard(n);
	assert_int_equal(net_dropped_all(n), 0);
	assert_count(n, WOULD_DROP, 0);
	assert_int_equal(n->w->flows.used, 0);
	assert_int_equal(n->w->services[0].count[SW_COUNT_FORWARDED], 7);
	assert_count(n, SYN_RECEIVED, 1);
}

static void shape_monitor(struct draft *d)
{
	shape_lists(d);
	d->services[0].mode = SW_MODE_MONITOR;
	d->services[0].limits[0].syn_per_s = d->services[0].limits[0].syn_burst = 3;
	d->services[0].limits[1].concurrent = 1;
}

static void mode_monitor_passes_and_says_what_it_would_drop(struct net *n)
{
	struct session denied = session_of(n, 1), s = session_of(n, 0), t = session_of(n, 8);

	client_syn(&denied);
	net_run(n);
	assert_int_equal(net_discard(n), 1);
	assert_count(n, WOULD_DROP, 1);
	for (unsigned int k = 0; k < 5; k++) {
		client_syn(&s);
		net_run(n);
		assert_int_equal(net_discard(n), 1);
		assert_count(n, WOULD_DROP, k < 3 ? 1 : k - 1);
	}
	n->now += 10 * NET_HZ;
	const uint64_t before = net_count(n, SW_COUNT_WOULD_DROP);
	session_establish_native(&s);
	assert_count(n, WOULD_DROP, before);
	session_establish_native(&t); /* the second of the prefix */
	assert_count(n, WOULD_DROP, before + 1);
	session_exchange(&s, 10);
	session_exchange(&t, 10);
	assert_int_equal(net_dropped_all(n), 0);
	assert_count(n, ANSWERED, 0);
	assert_count(n, SYN_PASSED, 8);
}

/* The policy says so before housekeeping has disarmed the service, while cookies are still on their way back. */
static void armed_services_that_drop_nothing(struct net *n)
{
	static const uint8_t modes[] = {SW_MODE_OFF, SW_MODE_MONITOR};
	static const uint8_t flags[] = {SW_TCP_ACK, SW_TCP_ACK | SW_TCP_FIN, SW_TCP_RST, SW_TCP_SYN | SW_TCP_ACK};

	for (unsigned int m = 0; m < sizeof(modes); m++) {
		n->draft.services[0].mode = modes[m];
		net_new_policy(n);
		net_arm(n, 0, true);
		for (unsigned int i = 0; i < 2 * sizeof(flags); i++) { /* alone, and beside another */
			struct session s = session_of(n, 8 + m);
			const struct segment segment = {.flags = flags[i / 2], .seq = 77, .ack = 99};
			const struct frame f = session_frame(&s, SW_OUTSIDE, &segment);
			for (unsigned int k = 0; k <= i % 2; k++)
				net_put(n, SW_OUTSIDE, &f);
			net_run(n);
			for (unsigned int k = 0; k <= i % 2; k++) {
				const struct frame a = net_expect_raw(n, SW_INSIDE);
				assert_int_equal(a.length, f.length);
				assert_memory_equal(a.bytes, f.bytes, f.length);
			}
			net_expect_nothing(n);
		}
	}
	assert_int_equal(net_dropped_all(n), 0);
}

/* Whatever the limits say, and however the service would have refused it. */
static void monitor_leaves_syns_as_they_are(struct net *n)
{
	struct session s = session_of(n, 0);

	for (unsigned int k = 0; k < 9; k++)
		client_syn(&s);
	const struct frame f = session_frame(&s, SW_OUTSIDE, &(struct segment){.flags = SW_TCP_SYN, .seq = 77});
	net_put(n, SW_OUTSIDE, &f);
	net_run(n);
	for (unsigned int k = 0; k < 9; k++)
		assert_int_equal(net_expect(n, SW_INSIDE).view.tcp_flags, SW_TCP_SYN);
	const struct frame last = net_expect_raw(n, SW_INSIDE);
	assert_int_equal(last.length, f.length);
	assert_memory_equal(last.bytes, f.bytes, f.length);
	net_expect_nothing(n);
	assert_count(n, WOULD_DROP, 7);
}

static void monitor_blocks_nobody_outside(struct net *n)
{
	struct session s = session_of(n, 0);
	struct sw_event event;

	n->draft.services[0].limits[0].concurrent = 1;
	n->draft.services[0].block_after = 1;
	n->draft.services[0].block_s = 60;
	net_new_policy(n);
	session_establish_native(&s);
	for (unsigned int k = 0; k < 3; k++) {
		s.client_port++;
		session_establish_native(&s);
		session_exchange(&s, 10);
		s.client_sent = s.server_sent = 0;
	}
	while (rte_ring_sc_dequeue_elem(n->w->events, &event, sizeof(event)) == 0)
		assert_int_not_equal(event.kind, SW_EVENT_BLOCKED);
	assert_int_equal(net_dropped_all(n), 0);
	assert_true(net_count(n, SW_COUNT_WOULD_DROP) > 3);
}

/* ---- auto, as far as a worker does it alone
 * ----------------------------------------------------------------------------------------------- */

static void shape_auto(struct draft *d)
{
	d->services[0].mode = SW_MODE_AUTO;
	d->services[0].start_syn_per_s = 200;
	d->services[0].stop_syn_per_s = 100;
}

static void worker_arms_from_the_very_packet(struct net *n)
{
	for (unsigned int k = 0; k < 30; k++) {
		struct session s = session_of(n, k);
		client_syn(&s);
	}
	net_run(n);
	assert_count(n, SYN_PASSED, 20); /* 100 ms of 200 a second */
	assert_count(n, ANSWERED, 10);
	assert_count(n, SYN_RECEIVED, 30);
	net_discard(n);
	n->now += 260 * NET_MS; /* housekeeping saw no reason to go on */
	struct session late = session_of(n, 40);
	client_syn(&late);
	net_run(n);
	assert_count(n, SYN_PASSED, 21);
	net_pass_ms(n, 1);
}

/* ---- several services
 * ---------------------------------------------------------------------------------------------------------------------
 */

static void shape_two(struct draft *d)
{
	draft_service(d, "web", SW_MODE_AUTO);
	draft_target(d, "10.20.0.0/16", 20001, 20010, 1);
	draft_target(d, "fd00:20::/64", 20001, 20010, 1);
}

static void services_do_not_touch_each_other(struct net *n)
{
	struct session s = session_of(n, 1), web = session_of(n, 2);

	web.server_port = OTHER_PORT;
	client_syn(&s);
	net_run(n);
	expect_syn_ack(&s);
	session_establish_native(&web);
	session_exchange(&web, 10);
	assert_int_equal(n->w->services[0].count[SW_COUNT_ANSWERED], 1);
	assert_int_equal(n->w->services[0].count[SW_COUNT_FORWARDED], 0);
	assert_int_equal(n->w->services[1].count[SW_COUNT_FORWARDED], 6);
	assert_int_equal(n->w->services[1].count[SW_COUNT_SYN_RECEIVED], 1);
	client_ack(&s);
	web.client_port++;
	client_ack(&web); /* unknown, and web is quiet */
	net_run(n);
	expect_server_syn(&s);
	net_expect_raw(n, SW_INSIDE);
	assert_int_equal(net_dropped_all(n), 0);
}

static void nothing_established_is_lost_by_a_new_policy(struct net *n)
{
	struct session proxied = session_of(n, 1), native = session_of(n, 2), half = session_of(n, 3);

	session_establish(&proxied);
	session_connect(&half);
	client_data(&half, 30);
	net_run(n);
	net_arm(n, 0, false);
	session_establish_native(&native);
	n->draft.services[0].refusal = SW_REFUSE_RST;
	n->draft.services[0].total.concurrent = 1;
	n->draft.global.held_pkts_per_flow = 1;
	net_new_policy(n);
	net_arm(n, 0, true);
	session_exchange(&proxied, 10);
	session_exchange(&native, 10);
	server_syn_ack(&half);
	net_run(n);
	net_discard(n);
	session_exchange(&half, 10);
	assert_int_equal(net_dropped_all(n), 0);
}

static const struct net_case cases[] = {
	NET_CASE(denied_sources, shape_lists),
	NET_CASE_ONCE(both_families_in_one_burst, shape_lists_by_family),
	NET_CASE(a_round_of_denied_packets_is_counted, shape_lists),
	NET_CASE(a_new_flow_knows_its_source, shape_lists),
	NET_CASE(deny_ends_what_is_established, shape_lists),
	NET_CASE(allowed_sources, shape_lists),
	NET_CASE(allowed_in_the_middle, shape_lists),
	NET_CASE(blocks_end_by_themselves, shape_lists),
	NET_CASE(block_on_an_established_connection_ends, shape_lists),
	NET_CASE(mode_off_passes_and_counts, shape_off),
	NET_CASE(mode_monitor_passes_and_says_what_it_would_drop, shape_monitor),
	NET_CASE(armed_services_that_drop_nothing, NULL),
	NET_CASE(monitor_leaves_syns_as_they_are, shape_monitor),
	NET_CASE(monitor_blocks_nobody_outside, shape_monitor),
	NET_CASE(worker_arms_from_the_very_packet, shape_auto),
	NET_CASE(services_do_not_touch_each_other, shape_two),
	NET_CASE(nothing_established_is_lost_by_a_new_policy, NULL),
};

int main(void)
{
	return net_run_cases("pipeline: rules", cases, sizeof(cases) / sizeof(cases[0]));
}
