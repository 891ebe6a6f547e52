/* SPDX-License-Identifier: BSD-3-Clause */
/* What concerns which service, what a mode does, the operator's lists, and every packet that is refused for its looks. */
#include "pipeline_model.h"

static void assert_same(const struct frame *a, const struct frame *b)
{
	assert_int_equal(a->length, b->length);
	assert_memory_equal(a->bytes, b->bytes, a->length);
}

/* It leaves at the other side as it came, both ways. */
static void assert_passes(struct net *n, const struct frame *f)
{
	for (unsigned int side = 0; side < SW_SIDES; side++) {
		net_put(n, (enum sw_side)side, f);
		net_run(n);
		const struct frame g = net_expect_raw(n, side == SW_OUTSIDE ? SW_INSIDE : SW_OUTSIDE);
		assert_same(&g, f);
		net_expect_nothing(n);
	}
}

static struct sw_packet view_of(const struct frame *f, enum sw_side from)
{
	struct sw_packet p;
	sw_frame_parse(f->bytes, f->length, from, &p);
	return p;
}

/* ---- not ours --------------------------------------------------------------------------------------------------------------- */

static void what_is_not_ours_passes_untouched(struct net *n)
{
	static const uint16_t types[] = {0x0806, 0x88cc, 0x8863, 0x0001, 0xffff, 0x86dc};
	struct session s = session_of(n, 1);
	struct frame f = session_frame(&s, SW_OUTSIDE, &(struct segment){.flags = SW_TCP_SYN, .seq = 1});
	const unsigned int ip = 14 + 4u * n->flavour->tag_count;

	for (unsigned int i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct frame g = f;
		g.bytes[ip - 2] = (uint8_t)(types[i] >> 8);
		g.bytes[ip - 1] = (uint8_t)types[i];
		assert_passes(n, &g);
	}
	struct frame udp = f;
	udp.bytes[ip + (n->flavour->is_ipv6 ? 6 : 9)] = 17;
	assert_passes(n, &udp);
	for (uint16_t length = 1; length < 60; length = (uint16_t)(length + 7)) { /* cut anywhere in the link layer, or random */
		struct frame g = f;
		g.length = length < 14 ? length : 14;
		assert_passes(n, &g);
	}
	s.server_port = OTHER_PORT;
	f = session_frame(&s, SW_OUTSIDE, &(struct segment){.flags = SW_TCP_SYN, .seq = 1});
	assert_passes(n, &f);
	f = session_frame(&s, SW_OUTSIDE, &(struct segment){.flags = SW_TCP_SYN | SW_TCP_FIN, .seq = 1}); /* not our business */
	assert_passes(n, &f);
	s.server_port = SERVICE_PORT;
	s.server.bytes[15] = 0x77;
	f = session_frame(&s, SW_OUTSIDE, &(struct segment){.flags = SW_TCP_RST, .seq = 1});
	assert_passes(n, &f);
	assert_int_equal(net_dropped_all(n), 0);
	assert_count(n, FORWARDED, net_count(n, SW_COUNT_RX));
	assert_count(n, FORWARDED_BYTES, net_count(n, SW_COUNT_RX_BYTES));
	assert_int_equal(n->w->services[0].count[SW_COUNT_RX], 0);
}

static void three_tags_pass_untouched(struct net *n)
{
	struct session s = session_of(n, 1);
	const struct frame f = session_frame(&s, SW_OUTSIDE, &(struct segment){.flags = SW_TCP_SYN, .seq = 1});
	struct frame g = {.length = 0};

	if (n->flavour->tag_count != 2)
		return;
	memcpy(g.bytes, f.bytes, 12);
	memcpy(g.bytes + 12, (const uint8_t[]){0x81, 0, 0, 9}, 4);
	memcpy(g.bytes + 16, f.bytes + 12, f.length - 12u);
	g.length = (uint16_t)(f.length + 4);
	assert_passes(n, &g);
}

/* ---- malformed ----------------------------------------------------------------------------------------------------------------- */

/* Each makes of a good SYN one that shall be dropped for the reason; false: not in this family. */
static bool ipv4_total_too_long(struct frame *f, const struct sw_packet *p)
{
	f->bytes[p->l3_offset + 2] = 0x40;
	return !p->is_ipv6;
}

static bool ipv6_payload_too_long(struct frame *f, const struct sw_packet *p)
{
	f->bytes[p->l3_offset + 4] = 0x40;
	return p->is_ipv6;
}

static bool extension_too_long(struct frame *f, const struct sw_packet *p)
{
	f->bytes[p->l3_offset + 6] = 60;
	f->bytes[p->l4_offset] = 6;
	f->bytes[p->l4_offset + 1] = 200;
	return p->is_ipv6;
}

static bool fragment_overlaps_header(struct frame *f, const struct sw_packet *p)
{
	f->bytes[p->l3_offset + 7] = 1;
	return !p->is_ipv6;
}

static bool data_offset_too_small(struct frame *f, const struct sw_packet *p)
{
	f->bytes[p->l4_offset + 12] = 0x40;
	return true;
}

static bool data_offset_too_large(struct frame *f, const struct sw_packet *p)
{
	f->bytes[p->l4_offset + 12] = 0xf0;
	return true;
}

static bool option_too_long(struct frame *f, const struct sw_packet *p)
{
	f->bytes[p->l4_offset + 21] = 200;
	return true;
}

static bool syn_and_fin(struct frame *f, const struct sw_packet *p)
{
	f->bytes[p->l4_offset + 13] = SW_TCP_SYN | SW_TCP_FIN;
	return true;
}

static bool no_flags(struct frame *f, const struct sw_packet *p)
{
	f->bytes[p->l4_offset + 13] = 0;
	return true;
}

static bool client_port_zero(struct frame *f, const struct sw_packet *p)
{
	memset(f->bytes + p->l4_offset, 0, 2);
	return true;
}

static bool server_port_zero(struct frame *f, const struct sw_packet *p)
{
	memset(f->bytes + p->l4_offset + 2, 0, 2);
	return true;
}

static bool land(struct frame *f, const struct sw_packet *p)
{
	const unsigned int from = p->l3_offset + (p->is_ipv6 ? 8u : 12u), bytes = p->is_ipv6 ? 16 : 4;
	memcpy(f->bytes + from, f->bytes + from + bytes, bytes);
	return true;
}

static bool multicast_source(struct frame *f, const struct sw_packet *p)
{
	f->bytes[p->l3_offset + (p->is_ipv6 ? 8 : 12)] = p->is_ipv6 ? 0xff : 224;
	return true;
}

static bool multicast_frame(struct frame *f, const struct sw_packet *p)
{
	(void)p;
	f->bytes[0] |= 1;
	return true;
}

static const struct {
	bool (*spoil)(struct frame *f, const struct sw_packet *p);
	enum sw_drop_reason reason;
	bool has_ports; /* so it is known to concern the service */
} spoiled[] = {
	{ipv4_total_too_long, SW_DROP_IPV4_HEADER_BAD, false},
	{ipv6_payload_too_long, SW_DROP_IPV6_HEADER_BAD, false},
	{extension_too_long, SW_DROP_IPV6_EXTENSION_BAD, false},
	{fragment_overlaps_header, SW_DROP_FRAGMENT_BAD, false},
	{data_offset_too_small, SW_DROP_TCP_HEADER_BAD, true},
	{data_offset_too_large, SW_DROP_TCP_HEADER_BAD, true},
	{option_too_long, SW_DROP_TCP_OPTIONS_BAD, true},
	{syn_and_fin, SW_DROP_TCP_FLAGS_BAD, true},
	{no_flags, SW_DROP_TCP_FLAGS_BAD, true},
	{client_port_zero, SW_DROP_TCP_PORT_ZERO, true},
	{server_port_zero, SW_DROP_TCP_PORT_ZERO, false},
	{land, SW_DROP_SOURCE_IMPOSSIBLE, true},
	{multicast_source, SW_DROP_SOURCE_IMPOSSIBLE, true},
	{multicast_frame, SW_DROP_DESTINATION_IMPOSSIBLE, true},
};

static struct frame good_syn(const struct session *s)
{
	const struct options o = session_syn_options(s, SW_OUTSIDE);

	return session_frame(s, SW_OUTSIDE, &(struct segment){.flags = SW_TCP_SYN, .seq = s->client_isn, .options = &o});
}

static void malformed_packets_are_dropped_by_reason(struct net *n)
{
	const struct session s = session_of(n, 1);
	uint64_t in_service = 0;

	for (unsigned int i = 0; i < sizeof(spoiled) / sizeof(spoiled[0]); i++) {
		struct frame f = good_syn(&s);
		const struct sw_packet p = view_of(&f, SW_OUTSIDE);
		if (!spoiled[i].spoil(&f, &p))
			continue;
		const uint64_t before = net_dropped(n, spoiled[i].reason);
		net_put(n, SW_OUTSIDE, &f);
		net_run(n);
		net_expect_nothing(n);
		if (net_dropped(n, spoiled[i].reason) != before + 1)
			fail_msg("row %u was not dropped for its reason", i);
		in_service += spoiled[i].has_ports;
	}
	assert_int_equal(n->w->services[0].count[SW_COUNT_RX], in_service);
	assert_count(n, SYN_RECEIVED, 0);
}

/* Who is watched only, or not at all, loses nothing, whatever it looks like. */
static void malformed_packets_pass_an_unguarded_service(struct net *n)
{
	const struct session s = session_of(n, 1);
	uint64_t would = 0;

	for (unsigned int mode = SW_MODE_OFF; mode <= SW_MODE_MONITOR; mode++) {
		n->draft.services[0].mode = (uint8_t)mode;
		net_new_policy(n);
		net_arm(n, 0, false);
		for (unsigned int i = 0; i < sizeof(spoiled) / sizeof(spoiled[0]); i++) {
			struct frame f = good_syn(&s);
			const struct sw_packet p = view_of(&f, SW_OUTSIDE);
			if (!spoiled[i].has_ports || !spoiled[i].spoil(&f, &p))
				continue;
			net_put(n, SW_OUTSIDE, &f);
			net_run(n);
			const struct frame g = net_expect_raw(n, SW_INSIDE);
			assert_same(&g, &f);
			would += mode == SW_MODE_MONITOR;
		}
	}
	assert_int_equal(net_dropped_all(n), 0);
	assert_count(n, WOULD_DROP, would);
}

/* ---- fragments ------------------------------------------------------------------------------------------------------------------ */

/* Into two: `first` gets the header and 8 bytes more. */
static void split(const struct frame *f, const struct sw_packet *p, struct frame *first, struct frame *second)
{
	const unsigned int bytes = (unsigned int)(p->frame_bytes - p->l4_offset), cut = 64;
	const unsigned int header = p->is_ipv6 ? 8 : 0;

	for (unsigned int i = 0; i < 2; i++) {
		struct frame *g = i ? second : first;
		const unsigned int from = i ? cut : 0, length = i ? bytes - cut : cut;
		*g = *f;
		if (p->is_ipv6) {
			const unsigned int payload = 8 + length;
			g->bytes[p->l3_offset + 4] = (uint8_t)(payload >> 8);
			g->bytes[p->l3_offset + 5] = (uint8_t)payload;
			g->bytes[p->l3_offset + 6] = 44;
			memcpy(g->bytes + p->l4_offset, (const uint8_t[]){6, 0, (uint8_t)(from >> 8), (uint8_t)(from | !i), 1, 2, 3, 4}, 8);
		} else {
			g->bytes[p->l3_offset + 2] = (uint8_t)((20 + length) >> 8);
			g->bytes[p->l3_offset + 3] = (uint8_t)(20 + length);
			g->bytes[p->l3_offset + 6] = i ? 0 : 0x20;
			g->bytes[p->l3_offset + 7] = (uint8_t)(from / 8);
		}
		memcpy(g->bytes + p->l4_offset + header, f->bytes + p->l4_offset + from, length);
		g->length = (uint16_t)(p->l4_offset + header + length);
	}
}

static void fragments(struct net *n)
{
	struct session s = session_of(n, 1);
	struct frame first, second;

	struct frame syn = session_frame(&s, SW_OUTSIDE, &(struct segment){.flags = SW_TCP_SYN, .seq = 5, .payload_bytes = 200});
	struct sw_packet p = view_of(&syn, SW_OUTSIDE);
	split(&syn, &p, &first, &second);
	net_put(n, SW_OUTSIDE, &first);
	net_put(n, SW_OUTSIDE, &second);
	net_run(n);
	struct frame g = net_expect_raw(n, SW_INSIDE); /* later ones pass: the host cannot use them alone */
	assert_same(&g, &second);
	net_expect_nothing(n);
	assert_dropped(n, SYN_FRAGMENTED, 1);

	/* Of an established connection: the first is translated, its checksum with it. */
	session_establish(&s);
	struct frame whole = session_frame(&s, SW_INSIDE,
		&(struct segment){.flags = SW_TCP_ACK, .seq = server_next(&s), .ack = client_next(&s), .payload_bytes = 200});
	p = view_of(&whole, SW_INSIDE);
	split(&whole, &p, &first, &second);
	net_put(n, SW_INSIDE, &first);
	net_put(n, SW_INSIDE, &second);
	net_run(n);
	struct frame a = net_expect_raw(n, SW_OUTSIDE);
	g = net_expect_raw(n, SW_OUTSIDE);
	assert_same(&g, &second);
	const unsigned int header = p.is_ipv6 ? 8 : 0;
	memcpy(whole.bytes + p.l4_offset, a.bytes + p.l4_offset + header, 64); /* put together as the client would */
	p = view_of(&whole, SW_INSIDE);
	assert_int_equal(p.seq, server_next_at_client(&s));
	if (!p.is_ipv6) /* the whole's own IP header is the old one */
		frame_fix_checksums(&a, SW_INSIDE);
	assert_true(sw_frame_checksums_ok(whole.bytes, &p));

	n->draft.global.fragments = SW_FRAGMENTS_DROP;
	net_new_policy(n);
	net_put(n, SW_OUTSIDE, &second); /* its addresses are the wrong way round: not towards the service */
	struct frame data = session_frame(&s, SW_OUTSIDE, &(struct segment){.flags = SW_TCP_ACK, .seq = client_next(&s),
		.ack = server_next_at_client(&s), .payload_bytes = 200});
	p = view_of(&data, SW_OUTSIDE);
	split(&data, &p, &first, &second);
	net_put(n, SW_OUTSIDE, &second);
	net_run(n);
	assert_int_equal(net_discard(n), 1);
	assert_dropped(n, FRAGMENT_REFUSED, 1);
}

/* ---- TCP-MD5 and TCP-AO ------------------------------------------------------------------------------------------------------------ */

static void signed_syns(struct net *n)
{
	static const uint8_t md5[18] = {19, 18}, ao[16] = {29, 16};
	struct session s = session_of(n, 1);

	for (unsigned int i = 0; i < 4; i++) {
		struct options o = {.length = 0};
		if (i % 2)
			options_raw(&o, md5, sizeof(md5));
		else
			options_raw(&o, ao, sizeof(ao));
		options_pad(&o);
		n->draft.services[0].tcp_auth = i < 2 ? SW_TCP_AUTH_REFUSE : SW_TCP_AUTH_PASS;
		net_new_policy(n);
		session_put(&s, SW_OUTSIDE, &(struct segment){.flags = SW_TCP_SYN, .seq = 9, .options = &o});
		net_run(n);
		if (i >= 2)
			expect_segment(&s, SW_INSIDE, SW_TCP_SYN, 9, 0, 0, 0);
		net_expect_nothing(n);
	}
	assert_dropped(n, TCP_AUTH_REFUSED, 2);
	assert_count(n, SYN_PASSED, 2);
}

/* ---- the operator's lists ----------------------------------------------------------------------------------------------------------- */

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

/* ---- modes ---------------------------------------------------------------------------------------------------------------------------- */

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

/* ---- auto, as far as a worker does it alone ----------------------------------------------------------------------------------------------- */

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

/* ---- several services --------------------------------------------------------------------------------------------------------------------- */

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
	NET_CASE(what_is_not_ours_passes_untouched, NULL),
	NET_CASE(three_tags_pass_untouched, NULL),
	NET_CASE(malformed_packets_are_dropped_by_reason, NULL),
	NET_CASE(malformed_packets_pass_an_unguarded_service, NULL),
	NET_CASE(fragments, NULL),
	NET_CASE(signed_syns, NULL),
	NET_CASE(denied_sources, shape_lists),
	NET_CASE(deny_ends_what_is_established, shape_lists),
	NET_CASE(allowed_sources, shape_lists),
	NET_CASE(allowed_in_the_middle, shape_lists),
	NET_CASE(blocks_end_by_themselves, shape_lists),
	NET_CASE(block_on_an_established_connection_ends, shape_lists),
	NET_CASE(mode_off_passes_and_counts, shape_off),
	NET_CASE(mode_monitor_passes_and_says_what_it_would_drop, shape_monitor),
	NET_CASE(monitor_blocks_nobody_outside, shape_monitor),
	NET_CASE(worker_arms_from_the_very_packet, shape_auto),
	NET_CASE(services_do_not_touch_each_other, shape_two),
	NET_CASE(nothing_established_is_lost_by_a_new_policy, NULL),
};

int main(void)
{
	return net_run_cases("pipeline: policy", cases, sizeof(cases) / sizeof(cases[0]));
}
