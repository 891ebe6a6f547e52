/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Answers to SYNs, in plain code and in vectors: the same frames, lengths, flags and counters, and the same of them
 * remembered. Bursts of one kind, of few kinds and of many; frames stand in memory of just the size that answers ask for.
 */
#include "pipeline_net.h"

#include "../core/frame_builder.h"
#include "../core/random_prefixes.h"
#include "challenges.h"

enum { SLOTS = 6, KIND_MAX = 6, ROUNDS = 4000, PLACES = SW_CHALLENGES, COPY_MAX = 128 };

/* What frames may differ in. */
struct kind {
	bool is_ipv6, ip_options, is_padded;
	uint8_t tags, option_bytes, flags, options[40];
	uint32_t slot;
};

/* A burst as a version leaves it, and what it stands in. */
struct outcome {
	struct sw_burst burst;
	struct rte_mbuf mbufs[SW_BURST];
	uint8_t *rooms[SW_BURST];
	uint64_t flags[SW_BURST]; /* as received */
	struct sw_counters totals, services[SLOTS];
	uint32_t keys[PLACES];
	uint16_t lengths[PLACES];
	uint8_t copies[PLACES][COPY_MAX];
};

static void any_options(uint64_t *random, struct kind *k)
{
	struct {
		uint8_t bytes[10], length;
	} const choices[] = {
	    {{2, 4, (uint8_t)random_below(random, 36), (uint8_t)random_next(random)}, 4},
	    {{4, 2}, 2},
	    {{3, 3, (uint8_t)random_below(random, 16)}, 3},
	    {{8, 10, 0x12, 0x34, 0x56, 0x78}, 10},
	    {{254, 4, 1, 2}, 4},
	};

	for (unsigned int i = 0; i < sizeof(choices) / sizeof(choices[0]); i++)
		if (random_below(random, 2)) {
			memcpy(k->options + k->option_bytes, choices[i].bytes, choices[i].length);
			k->option_bytes = (uint8_t)(k->option_bytes + choices[i].length);
		}
	while (k->option_bytes % 4)
		k->options[k->option_bytes++] = 1;
}

static struct kind any_kind(uint64_t *random)
{
	struct kind k = {
	    .is_ipv6 = random_below(random, 2),
	    .ip_options = random_below(random, 8) == 0,
	    .is_padded = random_below(random, 2),
	    .tags = (uint8_t)(random_below(random, 2) ? 0 : random_below(random, 3)),
	    .flags = (uint8_t)(SW_TCP_SYN | (random_below(random, 4) ? 0 : SW_TCP_ECE | SW_TCP_CWR)),
	    .slot = random_below(random, SLOTS),
	};

	any_options(random, &k);
	return k;
}

/* One that differs in a single thing, or, rarely, in none. */
static struct kind like(uint64_t *random, struct kind k)
{
	const struct kind other = any_kind(random);

	switch (random_below(random, 6)) {
	case 0:
		k.is_ipv6 = !k.is_ipv6;
		break;
	case 1:
		k.ip_options = !k.ip_options;
		break;
	case 2:
		k.tags = other.tags;
		break;
	case 3:
		k.flags ^= SW_TCP_ECE | SW_TCP_CWR;
		break;
	case 4:
		k.slot = other.slot;
		break;
	default:
		k.option_bytes = other.option_bytes;
		memcpy(k.options, other.options, sizeof(k.options));
		break;
	}
	return k;
}

/* A number, of bytes of ones or zeros now and then. */
static void any_bytes(uint64_t *random, uint8_t *at, unsigned int bytes)
{
	const uint32_t what = random_below(random, 8);

	for (unsigned int i = 0; i < bytes; i++)
		at[i] = what < 2 ? (uint8_t)-what : (uint8_t)random_next(random);
}

static struct build any_frame(uint64_t *random, const struct kind *k)
{
	const uint16_t tags[] = {0x8100, (uint16_t)random_below(random, 4), 0x8100, (uint16_t)random_below(random, 4096), 0};
	static const uint8_t more[8] = {6, 0, 1, 4}; /* IPv6 destination options: TCP follows, padding. IPv4: end of list */
	struct build b;

	build_ethernet(&b, k->is_ipv6, tags + 2 * (2 - k->tags));
	any_bytes(random, b.bytes, 12);
	build_ip(&b, k->ip_options && k->is_ipv6 ? 60 : 6);
	any_bytes(random, b.bytes + b.l4 - (k->is_ipv6 ? 32 : 8), k->is_ipv6 ? 32 : 8);
	if (k->ip_options) {
		build_add(&b, k->is_ipv6 ? more : more + 1, k->is_ipv6 ? 8 : 4);
		b.bytes[b.l3] = (uint8_t)(b.bytes[b.l3] + !k->is_ipv6);
	}
	build_tcp(&b, k->flags, k->options, k->option_bytes, random_below(random, 4) ? 0 : 30);
	any_bytes(random, b.bytes + b.l4, 8);
	for (unsigned int i = 0; i + 10 <= k->option_bytes; i++)
		if (k->options[i] == 8 && k->options[i + 1] == 10)
			any_bytes(random, b.bytes + b.l4 + 20 + i + 2, 4);
	build_finish(&b, false);
	if (k->is_padded && b.length < 60)
		build_zeros(&b, 60 - b.length);
	return b;
}

/* Some numbers make no TCP, as ports of 0. */
static struct build any_syn(uint64_t *random, const struct kind *k)
{
	struct sw_packet p;
	struct build f;

	do {
		f = any_frame(random, k);
		sw_frame_parse(f.bytes, f.length, SW_OUTSIDE, &p);
	} while (p.kind != SW_PACKET_TCP);
	return f;
}

static void put_frame(struct outcome *o, unsigned int i, const struct build *f, uint64_t flags)
{
	const unsigned int answer = f->l3 + (f->is_ipv6 ? 40 : 20) + 20 + 4 * SW_SEGMENT_OPTION_WORDS;
	const unsigned int room = f->length > answer ? f->length : answer;

	o->rooms[i] = malloc(room);
	assert_non_null(o->rooms[i]);
	o->flags[i] = flags;
	memset(o->rooms[i], 0xa5, room);
	memcpy(o->rooms[i], f->bytes, f->length);
	o->mbufs[i] = (struct rte_mbuf){.buf_addr = o->rooms[i], .buf_len = (uint16_t)room, .nb_segs = 1, .refcnt = 1,
	    .data_len = (uint16_t)f->length, .pkt_len = f->length, .ol_flags = flags, .vlan_tci = 7, .hash.rss = 8};
	o->burst.mbufs[i] = &o->mbufs[i];
	sw_frame_parse(f->bytes, f->length, SW_OUTSIDE, &o->burst.packets[i]);
}

/* As the limits leave them: SYNs of one service and family, but for some that are in none. */
static void any_runs(uint64_t *random, struct sw_burst *b)
{
	struct sw_syn_admissions *a = &b->admissions;

	for (uint32_t slot = 0; slot < SLOTS; slot++)
		for (unsigned int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
			uint32_t run = 0;
			for (unsigned int i = 0; i < b->count; i++)
				run |= (uint32_t)(b->slots[i] == slot && b->packets[i].is_ipv6 == is_ipv6) << i;
			if (run & b->syns && random_below(random, 8))
				a->runs[a->run_count++].set = run;
		}
}

static void any_burst(uint64_t *random, struct outcome *left, struct outcome *right)
{
	const unsigned int kinds = random_below(random, 2) ? 1 : 1 + random_below(random, KIND_MAX);
	const uint64_t said = random_below(random, 2) ? 0 : RTE_MBUF_F_RX_RSS_HASH | RTE_MBUF_F_EXTERNAL;
	struct sw_burst *b = &left->burst;
	struct kind kind[KIND_MAX];
	struct build f = {.length = 0};

	for (unsigned int k = 0; k < kinds; k++)
		kind[k] = k && random_below(random, 2) ? like(random, kind[0]) : any_kind(random);
	memset(left, 0, sizeof(*left));
	b->count = 1 + random_below(random, SW_BURST);
	b->pending = sw_burst_all(b);
	b->syns = random_below(random, 2) ? b->pending : (uint32_t)random_next(random) & b->pending;
	b->proven = (uint32_t)(random_next(random) & random_next(random)) & b->syns;
	b->ol_flags = said;
	*right = *left;
	for (unsigned int i = 0; i < b->count; i++) {
		const struct kind *k = &kind[random_below(random, kinds)];
		if (f.length == 0 || random_below(random, 8)) /* else once more */
			f = any_syn(random, k);
		const uint64_t flags = random_below(random, 2) ? said : 0;
		b->slots[i] = right->burst.slots[i] = k->slot;
		put_frame(left, i, &f, flags);
		put_frame(right, i, &f, flags);
	}
	any_runs(random, b);
	if (random_below(random, 2))
		right->burst.admissions = b->admissions;
}

static void answer(struct net *n, enum sw_isa isa, struct outcome *o)
{
	struct sw_worker *w = n->w;

	w->challenge = sw_challenge_for(isa);
	sw_stage_challenge(w, &o->burst);
	o->totals = w->totals;
	memcpy(o->services, w->services, sizeof(o->services));
	memcpy(o->keys, w->challenge_keys, sizeof(o->keys));
	for (unsigned int place = 0; place < PLACES; place++) {
		const struct rte_mbuf *copy = w->challenges[place].copy;
		if (copy == NULL)
			continue;
		assert_in_range(copy->data_len, 60, COPY_MAX);
		o->lengths[place] = copy->data_len;
		memcpy(o->copies[place], rte_pktmbuf_mtod(copy, const uint8_t *), copy->data_len);
	}
}

static void assert_same(const struct outcome *left, const struct outcome *right)
{
	const struct sw_burst *l = &left->burst, *r = &right->burst;

	assert_int_equal(l->pending, r->pending);
	assert_memory_equal(l->verdicts, r->verdicts, sizeof(l->verdicts));
	for (unsigned int i = 0; i < l->count; i++) {
		const struct rte_mbuf *a = l->mbufs[i], *b = r->mbufs[i];
		assert_int_equal(l->verdicts[i], l->syns >> i & 1 ? SW_ANSWER : SW_PENDING);
		assert_int_equal(a->data_len, b->data_len);
		assert_int_equal(a->pkt_len, b->pkt_len);
		assert_int_equal(a->ol_flags, b->ol_flags);
		assert_int_equal(a->ol_flags & RTE_MBUF_F_EXTERNAL, left->flags[i] & RTE_MBUF_F_EXTERNAL);
		assert_int_equal(a->vlan_tci, b->vlan_tci);
		assert_int_equal(a->hash.rss, b->hash.rss);
		assert_memory_equal(left->rooms[i], right->rooms[i], a->data_len);
	}
	assert_memory_equal(&left->totals, &right->totals, sizeof(left->totals));
	assert_memory_equal(left->services, right->services, sizeof(left->services));
	if (l->admissions.run_count != r->admissions.run_count) /* the first of a place is remembered, in another order */
		return;
	assert_memory_equal(left->keys, right->keys, sizeof(left->keys));
	assert_memory_equal(left->lengths, right->lengths, sizeof(left->lengths));
	assert_memory_equal(left->copies, right->copies, sizeof(left->copies));
}

/* Before both: the same counters, and some places taken, of which some are those of SYNs that come. */
static void begin_alike(struct net *n, const struct outcome *o, uint64_t random)
{
	const struct sw_challenge_secret secret = sw_challenge_secret(n->w);
	const bool is_flood = random_below(&random, 2);

	memset(&n->w->totals, 0, sizeof(n->w->totals));
	memset(n->w->services, 0, SLOTS * sizeof(*n->w->services));
	sw_challenges_drain(n->w);
	for (unsigned int place = 0; place < PLACES; place++)
		if (is_flood || random_below(&random, 2))
			n->w->challenge_keys[place] = place << 22 | random_below(&random, 2) << 1 | 1;
	for (unsigned int i = 0; i < o->burst.count; i++) {
		const struct sw_packet *p = &o->burst.packets[i];
		const uint32_t key = sw_challenge_key(&secret, p, sw_cookie_tuple(p));
		if (random_below(&random, 4) == 0)
			n->w->challenge_keys[sw_challenge_place(key)] = key | random_below(&random, 2) << 1;
	}
}

static void end(struct outcome *o)
{
	for (unsigned int i = 0; i < o->burst.count; i++)
		free(o->rooms[i]);
}

static const struct sw_promise promises[SLOTS] = {
	{.mss = 1460, .window_scale = 7, .sack = 1, .timestamps = 1, .ecn = 1},
	{.mss = 1220, .window_scale = -1, .sack = 1},
	{.mss = 8940, .window_scale = 0, .timestamps = 1},
	{.mss = 536, .window_scale = 14, .sack = 1},
};

static void answers_are_those_of_the_plain_version(struct net *n)
{
	static struct outcome plain, vectors;
	uint64_t random = 9;
	unsigned int remembered = 0;

	for (uint32_t slot = 0; slot < SLOTS; slot++)
		net_promise(n, slot, &promises[slot]);
	sw_pipeline_begin(n->w, n->now);
	for (unsigned int k = 0; k < ROUNDS; k++) {
		any_burst(&random, &plain, &vectors);
		begin_alike(n, &plain, k + 1);
		answer(n, SW_ISA_SCALAR, &plain);
		begin_alike(n, &vectors, k + 1);
		answer(n, sw_isa_best(SW_ISA_AVX512), &vectors);
		assert_same(&plain, &vectors);
		for (unsigned int place = 0; place < PLACES; place++)
			remembered += plain.lengths[place] != 0;
		end(&plain);
		end(&vectors);
	}
	assert_true(remembered > ROUNDS);
	memset(&n->w->totals, 0, sizeof(n->w->totals));
}

static void shape_services(struct draft *d)
{
	d->boot.services_max = SLOTS;
}

static const struct net_case cases[] = {
	NET_CASE_ONCE(answers_are_those_of_the_plain_version, shape_services),
};

int main(void)
{
	return net_run_cases("pipeline: challenge", cases, sizeof(cases) / sizeof(cases[0]));
}
