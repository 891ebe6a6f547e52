/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random traffic, valid and not, from seeds: whatever it does, the sums hold, no buffer is lost, and the tables agree
 * with themselves (net_close() looks). The same traffic with every instruction set gives the same frames, and so it does
 * when no two bursts are under way at a time.
 */
#include "pipeline_model.h"

#include "admission.h"
#include "core/siphash.h"
#include "stages/stage.h"

enum { CLIENTS = 48, STORM_FRAMES = 17000, WORDS = 64 };

struct storm {
	struct net *n;
	uint64_t random;
	struct session sessions[CLIENTS];
	uint64_t digest; /* of all that left, in order; FNV-1a */
	uint64_t left;
	struct sw_counters totals;
};

static uint32_t below(struct storm *s, uint32_t limit)
{
	return random_below(&s->random, limit);
}

/* A number near one that means something, mostly. */
static uint32_t near(struct storm *s, uint32_t number)
{
	switch (below(s, 8)) {
	case 0:
		return (uint32_t)random_next(&s->random);
	case 1:
		return number + below(s, 3000) - 1500;
	case 2:
		return number - 1;
	case 3:
		return number + 1;
	default:
		return number;
	}
}

static struct options any_options(struct storm *s, const struct session *c, enum sw_side from)
{
	struct options o = {.length = 0};

	for (unsigned int k = below(s, 5); k && o.length < 20; k--) {
		const uint32_t edges[4] = {
		    server_next_at_client(c), server_next_at_client(c) + 10, (uint32_t)random_next(&s->random), 5};
		switch (below(s, 7)) {
		case 0:
			options_raw(&o, (const uint8_t[]){1}, 1);
			break;
		case 1:
			options_mss(&o, (uint16_t)below(s, 65536));
			break;
		case 2:
			options_window_scale(&o, (uint8_t)below(s, 20));
			break;
		case 3:
			options_sack_permitted(&o);
			break;
		case 4:
			options_timestamps(&o, near(s, from == SW_OUTSIDE ? c->client_ts : c->server_ts), near(s, c->cookie_tsval));
			break;
		case 5:
			options_sack(&o, edges, 1);
			break;
		default:
			options_raw(&o, (const uint8_t[]){(uint8_t)below(s, 256), 4, 0, 0}, 4);
			break;
		}
	}
	options_pad(&o);
	return o;
}

static void put_any_segment(struct storm *s, struct session *c)
{
	static const uint8_t flags[] = {SW_TCP_SYN, SW_TCP_SYN | SW_TCP_ACK, SW_TCP_ACK, SW_TCP_ACK,
	    SW_TCP_ACK | SW_TCP_PSH, SW_TCP_RST, SW_TCP_RST | SW_TCP_ACK, SW_TCP_ACK | SW_TCP_FIN, 0,
	    SW_TCP_SYN | SW_TCP_FIN, 0xff};
	const enum sw_side from = below(s, 3) ? SW_OUTSIDE : SW_INSIDE;
	const struct options any = any_options(s, c, from), usual = session_options(c, from);
	const bool is_client = from == SW_OUTSIDE;

	session_put(c, from,
	    &(struct segment){.flags = flags[below(s, sizeof(flags))],
	        .seq = near(s, is_client ? client_next(c) : server_next(c)),
	        .ack = near(s, is_client ? server_next_at_client(c) : client_next(c)),
	        .window = (uint16_t)below(s, 65536),
	        .payload_bytes = (uint16_t)(below(s, 3) ? 0 : below(s, 1400)),
	        .options = below(s, 3) ? &usual : &any});
}

/* A good frame with some bytes changed, cut, or both. */
static void put_spoiled(struct storm *s, struct session *c)
{
	const enum sw_side from = below(s, 2) ? SW_OUTSIDE : SW_INSIDE;
	const struct options o = any_options(s, c, from);
	struct frame f = session_frame(c, from,
	    &(struct segment){.flags = SW_TCP_ACK,
	        .seq = client_next(c),
	        .ack = server_next_at_client(c),
	        .payload_bytes = (uint16_t)below(s, 200),
	        .options = &o});

	for (unsigned int k = below(s, 6); k; k--)
		f.bytes[below(s, below(s, 2) ? f.length : 80)] = (uint8_t)below(s, 256);
	if (below(s, 3) == 0)
		f.length = (uint16_t)(1 + below(s, f.length));
	net_put(s->n, from, &f);
}

/* A step of an honest connection; what the other end has to say is made up as it would be. */
static void step_honestly(struct storm *s, struct session *c)
{
	switch (below(s, 9)) {
	case 0:
		*c = session_again(c);
		c->timestamps = below(s, 2);
		client_syn(c);
		break;
	case 1:
	case 2:
		client_ack(c);
		break;
	case 3:
		client_data(c, (uint16_t)below(s, 1400));
		break;
	case 4:
	case 5:
		server_syn_ack(c);
		break;
	case 6:
		server_data(c, (uint16_t)below(s, 1400));
		break;
	case 7:
		client_fin(c);
		break;
	default:
		server_fin(c);
		break;
	}
}

static void read_out(struct storm *s)
{
	for (unsigned int side = 0; side < SW_SIDES; side++) {
		struct frame f;
		while (net_take(s->n, (enum sw_side)side, &f)) {
			s->left++;
			for (unsigned int i = 0; i < f.length; i++)
				s->digest = (s->digest ^ f.bytes[i]) * 0x100000001b3ull;
			struct sw_packet p;
			sw_frame_parse(f.bytes, f.length, side == SW_OUTSIDE ? SW_INSIDE : SW_OUTSIDE, &p);
			if (p.kind != SW_PACKET_TCP || side != SW_OUTSIDE || (p.tcp_flags & 0x12) != (SW_TCP_SYN | SW_TCP_ACK))
				continue;
			for (unsigned int k = 0; k < CLIENTS; k++) { /* its client learns the cookie */
				struct session *c = &s->sessions[k];
				if (!sw_address_equal(&c->client, &p.client) || c->client_port != p.client_port ||
				    p.ack != c->client_isn + 1)
					continue;
				c->cookie_isn = p.seq;
				c->cookie_tsval = p.tsval;
				c->proxied = true;
			}
		}
	}
}

static void change_the_world(struct storm *s)
{
	struct draft *d = &s->n->draft;

	switch (below(s, 8)) {
	case 0:
	case 1:
		net_epochs_pass(s->n, below(s, 3));
		break;
	case 2:
		d->services[0].mode = (uint8_t)(below(s, 4) ? SW_MODE_ALWAYS : below(s, SW_MODES));
		break;
	case 3:
		d->services[0].refusal = below(s, 3) == 0;
		break;
	case 4:
		d->services[0].limits[below(s, 3)].concurrent = 5 + below(s, 40);
		break;
	case 5:
		d->services[0].total.concurrent = below(s, 3) ? 0 : 20 + below(s, 60);
		break;
	case 6:
		d->services[0].block_after = below(s, 2) * 5;
		break;
	default:
		d->global.server_syn_retries = below(s, 5);
		break;
	}
	net_arm(s->n, 0, d->services[0].mode >= SW_MODE_AUTO && below(s, 8));
	net_new_policy(s->n);
}

/* Whole bursts: all that came from outside, then the rest. */
static void deal_by_side(struct net *n)
{
	struct net_frame dealt[sizeof(n->waiting) / sizeof(n->waiting[0])];
	unsigned int count = 0;

	for (unsigned int side = 0; side < SW_SIDES; side++)
		for (unsigned int i = 0; i < n->waiting_count; i++)
			if (n->waiting[i].side == side)
				dealt[count++] = n->waiting[i];
	memcpy(n->waiting, dealt, count * sizeof(dealt[0]));
}

static void storm(struct storm *s, struct net *n, uint64_t seed, unsigned int frames)
{
	*s = (struct storm){.n = n, .random = seed, .digest = 0xcbf29ce484222325ull};
	for (unsigned int k = 0; k < CLIENTS; k++) {
		s->sessions[k] = session_of(n, k / 2);
		if (k % 8 > 1) /* most are far from all lists */
			s->sessions[k].client.bytes[n->flavour->is_ipv6 ? 0 : 12] = 42;
		s->sessions[k].client_port = (uint16_t)(s->sessions[k].client_port + k % 2);
	}
	for (unsigned int put = 0; put < frames;) {
		for (unsigned int k = 1 + below(s, WORDS); k; k--, put++) {
			struct session *c = &s->sessions[below(s, CLIENTS)];
			const uint32_t what = below(s, 10);
			if (what < 6)
				step_honestly(s, c);
			else if (what < 9)
				put_any_segment(s, c);
			else
				put_spoiled(s, c);
		}
		n->now += below(s, 20) ? below(s, 30 * NET_MS) : below(s, 3000) * NET_MS;
		n->worker = below(s, n->box.boot.workers);
		if (below(s, 2))
			deal_by_side(n);
		net_run(n);
		read_out(s);
		if (below(s, 20) == 0)
			change_the_world(s);
		assert_int_equal(net_count(n, SW_COUNT_HELD),
		    n->w->held_used + (n->box.boot.workers > 1 ? n->box.workers[1]->held_used : 0));
	}
}

static void shape_storm(struct draft *d)
{
	d->boot.flows = 40;
	d->boot.source_records = 16;
	d->boot.limiter_entries = 64;
	d->boot.held_pkts = 24;
	d->global.idle_established_s = 20;
	d->global.idle_embryonic_s = 3;
	d->global.idle_closing_s = 2;
	d->global.evidence_after_syns = 3;
	d->services[0].limits[0] =
	    (struct sw_limits){.syn_per_s = 50, .syn_burst = 50, .conn_per_s = 20, .conn_burst = 20, .concurrent = 10};
	d->services[0].limits[1].concurrent = 60;
	d->services[0].block_after = 5;
	d->services[0].block_s = 2;
	d->services[0].refusal = SW_REFUSE_RST;
	draft_group(d, "flock");
	d->groups[0].limits = (struct sw_limits){.conn_per_s = 100, .conn_burst = 100, .concurrent = 30};
	draft_rule(d, "198.51.100.8/29", SW_RULE_GROUP, 0, 0);
	draft_rule(d, "2001:db8::8/125", SW_RULE_GROUP, 0, 0);
	draft_rule(d, "198.51.100.3/32", SW_RULE_DENY, 1, 0);
	draft_rule(d, "2001:db8::4/128", SW_RULE_ALLOW, 2, 0);
}

static void shape_storm_two_workers(struct draft *d)
{
	shape_storm(d);
	d->boot.workers = 2;
	d->boot.cores[1] = 1;
	d->boot.flows = 80;
}

/* Two lines for everybody, most of whom are pinned: homes overflow, and what is made pushes out what was just looked at. */
static void shape_storm_crowded(struct draft *d)
{
	shape_storm(d);
	d->boot.limiter_entries = 8;
	d->services[0].limits[1].syn_per_s = d->services[0].limits[1].syn_burst = 200;
	d->services[0].limits[2] = (struct sw_limits){.syn_per_s = 400, .syn_burst = 400, .conn_per_s = 50, .conn_burst = 50};
}

/* They were storms and not a calm: over all flavours, what can happen did happen often. */
static void assert_stormy(const struct net *n)
{
	static const struct {
		int count, drop; /* enum sw_count or enum sw_drop_reason; -1: the other */
		uint64_t least;
	} wanted[] = {
	    {SW_COUNT_FLOW_PROXIED, -1, 300},
	    {SW_COUNT_FLOW_NATIVE, -1, 300},
	    {SW_COUNT_FLOW_SHED, -1, 300},
	    {SW_COUNT_ANSWERED, -1, 1000},
	    {SW_COUNT_SENT_SYN_ACK_AGAIN, -1, 100},
	    {SW_COUNT_SERVER_SILENT, -1, 10},
	    {-1, SW_DROP_COOKIE_INVALID, 1000},
	    {-1, SW_DROP_OUT_OF_WINDOW, 300},
	    {-1, SW_DROP_TCP_FLAGS_BAD, 300},
	};
	static uint64_t sums[sizeof(wanted) / sizeof(wanted[0])];
	static unsigned int storms;

	storms++;
	for (unsigned int i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		sums[i] += wanted[i].drop < 0 ? net_count(n, (enum sw_count)wanted[i].count)
		                              : net_dropped(n, (enum sw_drop_reason)wanted[i].drop);
		if (storms == FLAVOURS && sums[i] < wanted[i].least)
			fail_msg("row %u: %lu, less than %lu", i, sums[i], wanted[i].least);
	}
}

static void random_storm(struct net *n)
{
	static struct storm s;
	const char *seed = getenv("STORM_SEED"); /* to run others by hand */

	storm(&s, n, (seed ? strtoull(seed, NULL, 0) * 1000 : 0x5ea3a11) + (uint64_t)(n->flavour - flavours), STORM_FRAMES);
	if (seed == NULL)
		assert_stormy(n);
	net_pass_ms(n, 40000); /* and when it is over, everything ends */
	assert_int_equal(n->w->flows.used, 0);
	assert_int_equal(net_count(n, SW_COUNT_HELD), 0);
	for (uint32_t i = 0; i < n->w->record_count; i++)
		assert_int_equal(n->w->records[i].concurrent, 0);
	for (uint64_t i = 0; i <= n->w->limiter.mask; i++)
		for (unsigned int k = 0; k < SW_LIMITER_WAYS; k++) {
			const uint32_t note = n->w->limiter.sets[i].notes[k];
			if (note & SW_NOTE_PINNED) /* a proven source's: nothing that counts connections is left */
				assert_true(note & SW_NOTE_RECORD);
		}
}

/* A short storm over a box that has just been made. */
static void storm_anew(struct net *n, struct storm *s, net_shape shape, enum sw_isa isa, bool one_by_one)
{
	const struct flavour *flavour = n->flavour;

	net_close(n);
	net_open(n, flavour, shape);
	sw_box_use_isa(&n->box, isa);
	n->w->prefetch.near = isa % 2; /* of no matter for frames */
	n->one_by_one = one_by_one;
	net_epochs_pass(n, 0);
	storm(s, n, 0xd1ff, STORM_FRAMES / 4);
	assert_true(s->left > 1000);
	s->totals = n->w->totals;
}

static void assert_same_frames(const struct storm *s, const struct storm *as)
{
	assert_memory_equal(&s->totals, &as->totals, sizeof(as->totals));
	assert_int_equal(s->left, as->left);
	assert_true(s->digest == as->digest);
}

static void every_instruction_set_gives_the_same_frames(struct net *n)
{
	static struct storm scalar, s;

	storm_anew(n, &scalar, shape_storm, SW_ISA_SCALAR, false);
	for (unsigned int isa = SW_ISA_SCALAR + 1; isa < SW_ISA_COUNT; isa++) {
		if (sw_isa_best((enum sw_isa)isa) != isa)
			continue; /* this CPU has none */
		storm_anew(n, &s, shape_storm, (enum sw_isa)isa, false);
		assert_same_frames(&s, &scalar);
	}
}

static void two_bursts_under_way_give_the_frames_of_one_by_one(struct net *n)
{
	static const net_shape shapes[] = {shape_storm, shape_storm_crowded};
	static struct storm two, one;

	for (unsigned int k = 0; k < sizeof(shapes) / sizeof(shapes[0]); k++) {
		storm_anew(n, &two, shapes[k], sw_isa_best(SW_ISA_AVX512), false);
		storm_anew(n, &one, shapes[k], sw_isa_best(SW_ISA_AVX512), true);
		assert_same_frames(&two, &one);
	}
}

static const struct net_case cases[] = {
	NET_CASE(random_storm, shape_storm),
	NET_CASE(random_storm, shape_storm_two_workers),
	NET_CASE(random_storm, shape_storm_crowded),
	NET_CASE(every_instruction_set_gives_the_same_frames, shape_storm),
	NET_CASE(two_bursts_under_way_give_the_frames_of_one_by_one, shape_storm),
};

int main(void)
{
	return net_run_cases("pipeline: storm", cases, sizeof(cases) / sizeof(cases[0]));
}
