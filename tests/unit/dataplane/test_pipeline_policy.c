/* SPDX-License-Identifier: BSD-3-Clause */
/* What concerns a service and what does not, and every packet that is refused for its looks. */
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

/* ---- not ours
 * --------------------------------------------------------------------------------------------------------------- */

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
	for (uint16_t length = 1; length < 60;
	     length = (uint16_t)(length + 7)) { /* cut anywhere in the link layer, or random */
		struct frame g = f;
		g.length = length < 14 ? length : 14;
		assert_passes(n, &g);
	}
	s.server_port = OTHER_PORT;
	f = session_frame(&s, SW_OUTSIDE, &(struct segment){.flags = SW_TCP_SYN, .seq = 1});
	assert_passes(n, &f);
	f = session_frame(
	    &s, SW_OUTSIDE, &(struct segment){.flags = SW_TCP_SYN | SW_TCP_FIN, .seq = 1}); /* not our business */
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

/* ---- malformed
 * ----------------------------------------------------------------------------------------------------------------- */

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
			if (!spoiled[i].spoil(&f, &p))
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

/* What shows no port may be for any service of its address: one in auto or always there guards it. */
static void malformed_packets_without_ports_are_dropped_if_any_service_there_is_guarded(struct net *n)
{
	const struct session s = session_of(n, 1);
	const bool is_ipv6 = n->flavour->is_ipv6;
	uint64_t dropped = 0, would = 0;

	draft_service(&n->draft, "network", SW_MODE_OFF); /* around the tracker's address, at other ports */
	draft_target(&n->draft, is_ipv6 ? "fd00:20::/64" : "10.20.0.0/24", 25, 25, 1);
	for (unsigned int tracker = 0; tracker < SW_MODES; tracker++) {
		for (unsigned int network = 0; network < SW_MODES; network++) {
			n->draft.services[0].mode = (uint8_t)tracker;
			n->draft.services[1].mode = (uint8_t)network;
			net_new_policy(n);
			struct frame f = good_syn(&s);
			const struct sw_packet p = view_of(&f, SW_OUTSIDE);
			assert_true(server_port_zero(&f, &p));
			net_put(n, SW_OUTSIDE, &f);
			net_run(n);
			const unsigned int strictest = tracker > network ? tracker : network;
			dropped += strictest >= SW_MODE_AUTO;
			would += strictest == SW_MODE_MONITOR;
			assert_int_equal(net_discard(n), strictest < SW_MODE_AUTO);
			assert_dropped(n, TCP_PORT_ZERO, dropped);
			assert_count(n, WOULD_DROP, would);
		}
	}
	assert_int_equal(n->w->services[0].count[SW_COUNT_WOULD_DROP], 0); /* nobody knows whose it was */
}

/* ---- what the NIC says of checksums
 * ------------------------------------------------------------------------------------------- */

#define IP_SUM(what) RTE_MBUF_F_RX_IP_CKSUM_##what
#define L4_SUM(what) RTE_MBUF_F_RX_L4_CKSUM_##what

/* Puts it in front of the box with what a NIC would say in its mbuf. */
static void put_checked(struct net *n, enum sw_side side, const struct frame *f, uint64_t flags)
{
	net_put(n, side, f);
	n->waiting[n->waiting_count - 1].mbuf->ol_flags = flags;
}

static const struct {
	uint64_t flags;
	bool is_wrong;
} sums[] = {
	{0, false},
	{IP_SUM(GOOD) | L4_SUM(GOOD), false},
	{IP_SUM(NONE) | L4_SUM(NONE), false}, /* both bits: not right in the packet, and none the worse for it */
	{IP_SUM(GOOD) | L4_SUM(BAD), true},
	{IP_SUM(BAD) | L4_SUM(GOOD), true},
	{IP_SUM(BAD) | L4_SUM(BAD), true},
	{IP_SUM(NONE) | L4_SUM(BAD), true},
	{IP_SUM(BAD) | L4_SUM(NONE), true},
	{L4_SUM(BAD) | RTE_MBUF_F_RX_RSS_HASH, true},
	{RTE_MBUF_F_RX_RSS_HASH | RTE_MBUF_F_RX_FDIR, false},
};
enum { SUMS = sizeof(sums) / sizeof(sums[0]) };

/* All in one burst: each is judged by its own flags. */
static void wrong_sums_towards_a_service_are_dropped(struct net *n)
{
	unsigned int wrong = 0;

	for (unsigned int i = 0; i < SUMS; i++) {
		const struct session s = session_of(n, i);
		const struct frame f = good_syn(&s);
		put_checked(n, SW_OUTSIDE, &f, sums[i].flags);
		wrong += sums[i].is_wrong;
	}
	net_run(n);
	assert_dropped(n, CHECKSUM_BAD, wrong);
	assert_count(n, ANSWERED, SUMS - wrong);
	assert_count(n, SYN_RECEIVED, SUMS - wrong); /* the others arm nobody */
	assert_int_equal(n->w->services[0].dropped[SW_DROP_CHECKSUM_BAD], wrong);
	for (unsigned int i = 0; i < SUMS; i++) {
		struct session s = session_of(n, i);
		if (!sums[i].is_wrong)
			expect_syn_ack(&s);
	}
}

/* A connection does not move by what was damaged on its way, in either direction. */
static void wrong_sums_do_not_move_a_connection(struct net *n)
{
	struct session s = session_of(n, 1);

	session_establish(&s);
	for (unsigned int side = 0; side < SW_SIDES; side++) {
		const bool out = side == SW_OUTSIDE;
		const struct frame f = session_frame(&s, (enum sw_side)side, &(struct segment){.flags = SW_TCP_ACK | SW_TCP_FIN,
			.seq = out ? client_next(&s) : server_next(&s), .ack = out ? server_next_at_client(&s) : client_next(&s)});
		put_checked(n, (enum sw_side)side, &f, IP_SUM(GOOD) | L4_SUM(BAD));
		put_checked(n, (enum sw_side)side, &f, IP_SUM(BAD) | L4_SUM(GOOD));
	}
	net_run(n);
	net_expect_nothing(n);
	assert_dropped(n, CHECKSUM_BAD, 4);
	session_exchange(&s, 100);
	session_close(&s);
}

static void wrong_sums_pass_where_nothing_is_dropped(struct net *n)
{
	struct session s = session_of(n, 1);

	for (unsigned int mode = SW_MODE_OFF; mode <= SW_MODE_MONITOR; mode++) {
		const struct frame f = good_syn(&s);
		n->draft.services[0].mode = (uint8_t)mode;
		net_new_policy(n);
		net_arm(n, 0, false);
		put_checked(n, SW_OUTSIDE, &f, IP_SUM(BAD) | L4_SUM(BAD));
		net_run(n);
		const struct frame g = net_expect_raw(n, SW_INSIDE);
		assert_same(&g, &f);
		assert_count(n, WOULD_DROP, mode == SW_MODE_MONITOR);
	}
	n->draft.services[0].mode = SW_MODE_ALWAYS;
	net_new_policy(n);
	s.server_port = OTHER_PORT; /* no service's */
	const struct frame f = good_syn(&s);
	put_checked(n, SW_OUTSIDE, &f, IP_SUM(BAD) | L4_SUM(BAD));
	put_checked(n, SW_INSIDE, &f, IP_SUM(BAD) | L4_SUM(BAD));
	net_run(n);
	assert_int_equal(net_discard(n), 2);
	assert_int_equal(net_dropped_all(n), 0);
	assert_count(n, WOULD_DROP, 1);
}

/* ---- fragments
 * ------------------------------------------------------------------------------------------------------------------ */

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
			memcpy(g->bytes + p->l4_offset,
			    (const uint8_t[]){6, 0, (uint8_t)(from >> 8), (uint8_t)(from | !i), 1, 2, 3, 4}, 8);
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

	struct frame syn =
	    session_frame(&s, SW_OUTSIDE, &(struct segment){.flags = SW_TCP_SYN, .seq = 5, .payload_bytes = 200});
	struct sw_packet p = view_of(&syn, SW_OUTSIDE);
	split(&syn, &p, &first, &second);
	net_put(n, SW_OUTSIDE, &first);
	net_put(n, SW_OUTSIDE, &second);
	net_run(n);
	struct frame g = net_expect_raw(n, SW_INSIDE); /* later ones pass: the host cannot use them alone */
	assert_same(&g, &second);
	net_expect_nothing(n);
	assert_dropped(n, SYN_FRAGMENTED, 1);
	put_checked(n, SW_OUTSIDE, &first, L4_SUM(BAD)); /* of a whole that the NIC has not seen */
	put_checked(n, SW_OUTSIDE, &first, IP_SUM(BAD));
	net_run(n);
	assert_dropped(n, SYN_FRAGMENTED, 2);
	assert_dropped(n, CHECKSUM_BAD, 1);

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
	struct frame data = session_frame(&s, SW_OUTSIDE,
	    &(struct segment){
	        .flags = SW_TCP_ACK, .seq = client_next(&s), .ack = server_next_at_client(&s), .payload_bytes = 200});
	p = view_of(&data, SW_OUTSIDE);
	split(&data, &p, &first, &second);
	net_put(n, SW_OUTSIDE, &second);
	net_run(n);
	assert_int_equal(net_discard(n), 1);
	assert_dropped(n, FRAGMENT_REFUSED, 1);

	for (unsigned int mode = SW_MODE_OFF; mode <= SW_MODE_MONITOR; mode++) {
		n->draft.services[0].mode = (uint8_t)mode;
		net_new_policy(n);
		net_put(n, SW_OUTSIDE, &second);
		net_run(n);
		assert_int_equal(net_discard(n), 1);
		assert_count(n, WOULD_DROP, mode == SW_MODE_MONITOR);
	}
	assert_dropped(n, FRAGMENT_REFUSED, 1);
}

/* ---- TCP-MD5 and TCP-AO
 * ------------------------------------------------------------------------------------------------------------ */

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

static const struct net_case cases[] = {
	NET_CASE(what_is_not_ours_passes_untouched, NULL),
	NET_CASE(three_tags_pass_untouched, NULL),
	NET_CASE(malformed_packets_are_dropped_by_reason, NULL),
	NET_CASE(malformed_packets_pass_an_unguarded_service, NULL),
	NET_CASE(malformed_packets_without_ports_are_dropped_if_any_service_there_is_guarded, NULL),
	NET_CASE(wrong_sums_towards_a_service_are_dropped, NULL),
	NET_CASE(wrong_sums_do_not_move_a_connection, NULL),
	NET_CASE(wrong_sums_pass_where_nothing_is_dropped, NULL),
	NET_CASE(fragments, NULL),
	NET_CASE(signed_syns, NULL),
};

int main(void)
{
	return net_run_cases("pipeline: policy", cases, sizeof(cases) / sizeof(cases[0]));
}
