/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SYNs go through the limits a burst at a time, step by step; what is decided and what is left behind is the same as if
 * each had come alone. In tables so small that entries push out those that others of the burst have just found.
 */
#include "pipeline_model.h"

#include "../core/random_prefixes.h"
#include "admission_parts.h"
#include "stages/stage.h"

enum { ROUNDS = 10000, SERVICES = 2, SOURCES = 40 };

/* ---- what a worker remembers -------------------------------------------------------------------------------------- */

struct piece {
	void *at;
	size_t bytes;
};

enum { PIECES = 7 };

static void list_pieces(struct sw_worker *w, struct piece pieces[PIECES])
{
	const struct piece all[PIECES] = {
	    {w->limiter.sets, (w->limiter.mask + 1) * sizeof(*w->limiter.sets)},
	    {w->records, w->record_count * sizeof(*w->records)},
	    {w->free_records, w->record_count * sizeof(*w->free_records)},
	    {w->service_budgets, SERVICES * sizeof(*w->service_budgets)},
	    {w->services, SERVICES * sizeof(*w->services)},
	    {w->group_budgets, sizeof(*w->group_budgets)},
	    {w->groups, sizeof(*w->groups)},
	};

	memcpy(pieces, all, sizeof(all));
}

struct memory {
	struct sw_worker worker;
	uint8_t *pieces[PIECES];
};

static void save(struct sw_worker *w, struct memory *m)
{
	struct piece pieces[PIECES];

	list_pieces(w, pieces);
	m->worker = *w;
	for (unsigned int i = 0; i < PIECES; i++) {
		if (m->pieces[i] == NULL)
			m->pieces[i] = malloc(pieces[i].bytes);
		assert_non_null(m->pieces[i]);
		memcpy(m->pieces[i], pieces[i].at, pieces[i].bytes);
	}
}

static void restore(struct sw_worker *w, const struct memory *m)
{
	struct piece pieces[PIECES];

	*w = m->worker;
	list_pieces(w, pieces);
	for (unsigned int i = 0; i < PIECES; i++)
		memcpy(pieces[i].at, m->pieces[i], pieces[i].bytes);
}

static void assert_remembers(struct sw_worker *w, const struct memory *m)
{
	struct piece pieces[PIECES];

	list_pieces(w, pieces);
	for (unsigned int i = 0; i < PIECES; i++)
		assert_memory_equal(pieces[i].at, m->pieces[i], pieces[i].bytes);
}

static void forget(struct memory *m)
{
	for (unsigned int i = 0; i < PIECES; i++)
		free(m->pieces[i]);
}

/* ---- bursts ------------------------------------------------------------------------------------------------------- */

struct outcome {
	uint32_t refused, proven;
	uint8_t reasons[SW_BURST];
};

static void any_source(uint64_t *random, uint32_t sources, struct sw_packet *p)
{
	const uint32_t k = random_below(random, sources);
	const uint8_t ipv4[4] = {198, (uint8_t)(k / 9), (uint8_t)(k / 4), (uint8_t)k};
	const uint8_t ipv6[16] = {0x20, 1, [7] = (uint8_t)(k / 3), [15] = (uint8_t)k};

	p->client = p->is_ipv6 ? sw_address_from_ipv6(ipv6) : sw_address_from_ipv4(ipv4);
}

/* One service and family, or any. */
static void any_burst(uint64_t *random, struct sw_burst *b)
{
	const uint32_t sources = 1 + random_below(random, SOURCES);
	const bool mixed = random_below(random, 3) == 0;

	b->syns = random_below(random, 2) ? UINT32_MAX : (uint32_t)random_next(random) | 1;
	b->one_server = false;
	b->admissions.grouped = 0;
	for (unsigned int i = 0; i < SW_BURST; i++) {
		const bool grouped = random_below(random, 7) == 0;
		b->packets[i].is_ipv6 = mixed && random_below(random, 2);
		any_source(random, sources, &b->packets[i]);
		b->services[i] = mixed ? random_below(random, SERVICES) : 0;
		b->admissions.groups[i] = grouped ? 0 : SW_NONE;
		b->admissions.grouped |= (uint32_t)grouped << i;
	}
}

/* `over`: whether whoever plainly is over his limit is refused ahead of all others. */
static void admit(struct sw_worker *w, struct sw_burst *b, const struct sw_admission_run *runs, unsigned int count,
    bool over, struct outcome *out)
{
	struct sw_syn_admissions *a = &b->admissions;
	const uint32_t grouped = a->grouped;

	a->prepared = a->run_count = 0;
	for (unsigned int k = 0; k < count; k++) {
		sw_set_bytes(a->run_of, runs[k].set, (uint8_t)k);
		a->prepared |= runs[k].set;
		a->runs[a->run_count++] = runs[k];
		sw_admission_prepare(
		    w, &runs[k], SW_LIMITER_SYN, &b->packets[0].client, sizeof(b->packets[0]), a->lanes);
	}
	a->grouped &= a->prepared;
	w->sources_were_over = over;
	sw_place_syns(w, a, b->packets, out->reasons);
	out->refused |= sw_admit_syns(w, a, b->packets, out->reasons, &out->proven);
	sw_sources_tell(w);
	a->grouped = grouped;
}

static void admit_one_by_one(struct sw_worker *w, struct sw_burst *b, const struct sw_admission_run *runs,
    unsigned int count, struct outcome *out)
{
	for (unsigned int k = 0; k < count; k++)
		for (uint32_t set = runs[k].set; set; set &= set - 1) {
			const struct sw_admission_run alone = {runs[k].service, set & -set, runs[k].is_ipv6};
			admit(w, b, &alone, 1, false, out);
		}
}

/* Some of those who will come are proven, and some are blocked. */
static void change_sources(struct net *n, uint64_t *random, const struct sw_burst *b)
{
	for (unsigned int k = 0; k < 4; k++) {
		const unsigned int i = random_below(random, SW_BURST);
		sw_source_prove(n->w, &b->packets[i].client, b->packets[i].is_ipv6, b->services[i]);
	}
	for (uint32_t i = 0; i < n->w->record_count; i++)
		if (n->w->records[i].id != 0 && random_below(random, 8) == 0)
			sw_source_block(n->w, i, n->now + 5 * NET_MS);
}

/* From time to time the worker remembers no more than `first`. */
static void begin_any_round(struct net *n, uint64_t *random, unsigned int round, const struct memory *first,
    struct sw_burst *burst)
{
	if (round % 50 == 0)
		restore(n->w, first);
	n->now += random_below(random, 4 * NET_MS);
	sw_pipeline_begin(n->w, n->now);
	any_burst(random, burst);
	if (round % 10 == 9)
		change_sources(n, random, burst);
}

static bool never(struct sw_limiter_table *t, struct sw_limiter_set *home, uint64_t source, uint64_t neighbourhood, uint64_t now,
    uint64_t *buckets[2])
{
	(void)t, (void)home, (void)source, (void)neighbourhood, (void)now, (void)buckets;
	return false;
}

/* The plain loops, which add entries one by one, too. */
static const struct sw_admission_loops *plainest_loops(void)
{
	static struct sw_admission_loops loops;

	loops = *sw_admission_loops_for(SW_ISA_SCALAR);
	loops.add_pair = never;
	return &loops;
}

static void bursts_are_decided_as_their_syns(struct net *n)
{
	static struct sw_burst burst;
	struct memory first = {.pieces = {NULL}}, before = first, after = first;
	struct sw_admission_run runs[SW_BURST];
	uint64_t random = n->draft.boot.limiter_entries;
	unsigned int whys[SW_DROP_REASON_COUNT] = {0};

	save(n->w, &first);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		begin_any_round(n, &random, round, &first, &burst);
		struct outcome together = {.refused = 0}, alone = together;
		const unsigned int count = sw_burst_runs(n->w, &burst, burst.syns, runs);
		save(n->w, &before);
		n->w->admission = sw_admission_loops_for(round & 1 ? sw_isa_best(SW_ISA_AVX512) : SW_ISA_SCALAR);
		admit(n->w, &burst, runs, count, false, &together);
		save(n->w, &after);
		restore(n->w, &before);
		n->w->admission = plainest_loops();
		admit_one_by_one(n->w, &burst, runs, count, &alone);
		assert_memory_equal(&together, &alone, sizeof(alone));
		assert_remembers(n->w, &after);
		for (unsigned int i = 0; i < SW_BURST; i++)
			whys[together.reasons[i]] += together.refused >> i & 1;
	}
	assert_true(n->w->limiter.taken_over > 100);
	assert_true(whys[SW_DROP_LIMIT_SYN_SOURCE] > 100 && whys[SW_DROP_LIMIT_SYN_PREFIX] > 100);
	assert_true(whys[SW_DROP_LIMIT_SYN_SERVICE] > 100 && whys[SW_DROP_LIMIT_SYN_GROUP] > 100);
	assert_true(whys[SW_DROP_BLOCKED] > 100);
	restore(n->w, &first);
	forget(&first);
	forget(&before);
	forget(&after);
}

static void assert_same_buckets(const struct sw_worker *w, const struct memory *m)
{
	const struct sw_limiter_set *others = (const struct sw_limiter_set *)(const void *)m->pieces[0];

	for (uint64_t i = 0; i <= w->limiter.mask; i++) {
		assert_memory_equal(w->limiter.sets[i].fingerprints, others[i].fingerprints, sizeof(others[i].fingerprints));
		assert_memory_equal(w->limiter.sets[i].tats, others[i].tats, sizeof(others[i].tats));
	}
	assert_int_equal(w->free_record_count, m->worker.free_record_count);
}

/* Where nobody has to give way, who is refused ahead of all others would be refused in his turn, and the others fare alike. */
static void refused_ahead_is_refused_anyway(struct net *n)
{
	static struct sw_burst burst;
	struct memory first = {.pieces = {NULL}}, before = first, after = first;
	struct sw_admission_run runs[SW_BURST];
	uint64_t random = 27;
	unsigned int ahead = 0;

	save(n->w, &first);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		begin_any_round(n, &random, round, &first, &burst);
		struct outcome early = {.refused = 0}, in_turn = early;
		const unsigned int count = sw_burst_runs(n->w, &burst, burst.syns, runs);
		if (count != 1) /* the order of runs depends on who is still in them */
			continue;
		save(n->w, &before);
		n->w->admission = sw_admission_loops_for(round & 1 ? sw_isa_best(SW_ISA_AVX512) : SW_ISA_SCALAR);
		admit(n->w, &burst, runs, count, false, &in_turn);
		save(n->w, &after);
		restore(n->w, &before);
		admit(n->w, &burst, runs, count, true, &early);
		ahead += (unsigned int)__builtin_popcount(burst.admissions.over);
		assert_int_equal(early.refused, in_turn.refused);
		assert_memory_equal(early.reasons, in_turn.reasons, sizeof(early.reasons));
		assert_int_equal(early.proven & ~early.refused, in_turn.proven & ~in_turn.refused);
		assert_same_buckets(n->w, &after);
	}
	assert_true(ahead > 1000);
	restore(n->w, &first);
	forget(&first);
	forget(&before);
	forget(&after);
}

/* Of one entry, as two left it: which record a source has may differ, what that says may not. */
static void assert_same_note(uint32_t a, uint32_t b, const struct sw_source_record *of_a, const struct sw_source_record *of_b)
{
	const uint32_t index = a & SW_NOTE_RECORD ? SW_NOTE_INDEX : 0;

	assert_int_equal(a & ~index, b & ~index);
	if (index == 0)
		return;
	of_a += a & index;
	of_b += b & index;
	assert_memory_equal(&of_a->address, &of_b->address, sizeof(of_a->address));
	assert_int_equal(of_a->syns, of_b->syns);
	assert_int_equal(of_a->dropped, of_b->dropped);
	assert_int_equal(of_a->last_seen_tsc, of_b->last_seen_tsc);
}

static void assert_same_notes(const struct sw_worker *w, const struct memory *m)
{
	const struct sw_limiter_set *others = (const struct sw_limiter_set *)(const void *)m->pieces[0];
	const struct sw_source_record *records = (const struct sw_source_record *)(const void *)m->pieces[1];

	for (uint64_t i = 0; i <= w->limiter.mask; i++)
		for (unsigned int way = 0; way < SW_LIMITER_WAYS; way++)
			assert_same_note(w->limiter.sets[i].notes[way], others[i].notes[way], w->records, records);
}

/* Some who have no record have been counted as far as that goes. */
static void exhaust_counts(const struct sw_worker *w, uint64_t *random)
{
	for (uint64_t i = 0; i <= w->limiter.mask; i++) {
		uint32_t *note = &w->limiter.sets[i].notes[random_below(random, SW_LIMITER_WAYS)];
		if (!(*note & SW_NOTE_RECORD))
			*note |= SW_NOTE_ENOUGH;
	}
}

/* In vectors as one by one, down to what is remembered. */
static void refused_ahead_alike_in_vectors(struct net *n)
{
	static struct sw_burst burst;
	struct memory first = {.pieces = {NULL}}, before = first, after = first;
	struct sw_admission_run runs[SW_BURST];
	uint64_t random = 29;
	unsigned int ahead = 0, claimed = 0;

	if (!sw_isa_has_vaes(sw_isa_best(SW_ISA_AVX512)))
		skip();
	save(n->w, &first);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		begin_any_round(n, &random, round, &first, &burst);
		if (round % 50 == 25)
			exhaust_counts(n->w, &random);
		struct outcome plain = {.refused = 0}, vectors = plain;
		const unsigned int count = sw_burst_runs(n->w, &burst, burst.syns, runs);
		const uint32_t free_before = n->w->free_record_count;
		save(n->w, &before);
		n->w->admission = sw_admission_loops_for(SW_ISA_SCALAR);
		admit(n->w, &burst, runs, count, true, &plain);
		save(n->w, &after);
		restore(n->w, &before);
		n->w->admission = sw_admission_loops_for(sw_isa_best(SW_ISA_AVX512));
		admit(n->w, &burst, runs, count, true, &vectors);
		ahead += (unsigned int)__builtin_popcount(burst.admissions.over);
		claimed += free_before - n->w->free_record_count;
		assert_memory_equal(&vectors, &plain, sizeof(plain));
		assert_same_buckets(n->w, &after);
		assert_same_notes(n->w, &after);
	}
	assert_true(ahead > 1000 && claimed > 100);
	restore(n->w, &first);
	forget(&first);
	forget(&before);
	forget(&after);
}

static unsigned int kind_of(const struct sw_burst *b, unsigned int i)
{
	return b->services[i] * 2 + b->packets[i].is_ipv6;
}

/*
 * Each packet is in one run, of its kind; runs stand in the order of their first packets; and where not more than one packet is
 * alone of its kind, there are as many as there are kinds.
 */
static void runs_are_of_a_kind(struct net *n)
{
	static struct sw_burst burst;
	struct sw_admission_run runs[SW_BURST];
	uint64_t random = 28;
	unsigned int fewest = 0;

	sw_pipeline_begin(n->w, n->now);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		const unsigned int families = 1 + random_below(&random, 2), services = 1 + random_below(&random, SERVICES);
		unsigned int members[SERVICES * 2] = {0}, kinds = 0, alone = 0;
		const uint32_t set = random_below(&random, 2) ? UINT32_MAX : (uint32_t)random_next(&random) | 1;
		uint32_t left = set;

		for (unsigned int i = 0; i < SW_BURST; i++) {
			burst.services[i] = random_below(&random, services);
			burst.packets[i].is_ipv6 = (uint8_t)random_below(&random, families);
			members[kind_of(&burst, i)] += set >> i & 1;
		}
		for (unsigned int kind = 0; kind < SERVICES * 2; kind++) {
			kinds += members[kind] != 0;
			alone += members[kind] == 1;
		}
		burst.one_server = kinds == 1 && random_below(&random, 2);
		const unsigned int count = sw_burst_runs(n->w, &burst, set, runs);
		for (unsigned int k = 0; k < count; k++) {
			const unsigned int first = (unsigned int)__builtin_ctz(runs[k].set);
			assert_true(runs[k].set != 0 && (runs[k].set & ~left) == 0);
			assert_true(k == 0 || (unsigned int)__builtin_ctz(runs[k - 1].set) < first);
			for (uint32_t of = runs[k].set; of; of &= of - 1)
				assert_int_equal(kind_of(&burst, (unsigned int)__builtin_ctz(of)), kind_of(&burst, first));
			assert_int_equal(runs[k].is_ipv6, burst.packets[first].is_ipv6);
			assert_ptr_equal(runs[k].service, &n->w->policy->service[burst.services[first]]);
			left &= ~runs[k].set;
		}
		assert_int_equal(left, 0);
		assert_true(alone > 1 || count == kinds);
		fewest += alone <= 1 && kinds > 1;
	}
	assert_true(fewest > ROUNDS / 4);
}

static void shape_bursts(struct draft *d)
{
	d->boot.source_records = 16;
	d->boot.limiter_entries = 32;
	d->global.evidence_after_syns = 3;
	d->global.levels[3].ipv4_length = 8;
	d->global.levels[3].ipv6_length = 32;
	d->global.level_count = 4;
	d->services[0].limits[0] = (struct sw_limits){.syn_per_s = 50, .syn_burst = 5};
	d->services[0].limits[1] = (struct sw_limits){.syn_per_s = 200, .syn_burst = 15};
	d->services[0].limits[2] = (struct sw_limits){.syn_per_s = 800, .syn_burst = 40};
	d->services[0].total = (struct sw_limits){.syn_per_s = 3000, .syn_burst = 30};
	draft_service(d, "second", SW_MODE_ALWAYS)->limits[0] = (struct sw_limits){.syn_per_s = 50, .syn_burst = 4};
	draft_target(d, "10.20.0.77/32", 99, 99, 1);
	draft_group(d, "flock");
	d->groups[0].limits = (struct sw_limits){.syn_per_s = 500, .syn_burst = 20};
}

static void shape_bursts_roomy(struct draft *d)
{
	shape_bursts(d);
	d->boot.limiter_entries = 1024;
	d->boot.source_records = 256;
}

/* Sources are over their limits before they get a record. */
static void shape_bursts_late(struct draft *d)
{
	shape_bursts_roomy(d);
	d->global.evidence_after_syns = 9;
}

static void shape_bursts_crowded(struct draft *d)
{
	shape_bursts(d);
	d->boot.limiter_entries = 8;
}

/* No level is that of the sources' homes. */
static void shape_bursts_far_from_home(struct draft *d)
{
	shape_bursts(d);
	d->global.levels[1].ipv4_length = 23;
	d->global.levels[1].ipv6_length = 60;
}

static const struct net_case cases[] = {
	NET_CASE_ONCE(bursts_are_decided_as_their_syns, shape_bursts),
	NET_CASE_ONCE(bursts_are_decided_as_their_syns, shape_bursts_crowded),
	NET_CASE_ONCE(bursts_are_decided_as_their_syns, shape_bursts_far_from_home),
	NET_CASE_ONCE(refused_ahead_is_refused_anyway, shape_bursts_roomy),
	NET_CASE_ONCE(refused_ahead_alike_in_vectors, shape_bursts_roomy),
	NET_CASE_ONCE(refused_ahead_alike_in_vectors, shape_bursts_late),
	NET_CASE_ONCE(runs_are_of_a_kind, shape_bursts),
};

int main(void)
{
	return net_run_cases("pipeline: bursts", cases, sizeof(cases) / sizeof(cases[0]));
}
