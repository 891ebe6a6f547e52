/* SPDX-License-Identifier: BSD-3-Clause */
#include "admission_parts.h"
#include "stages/stage.h"

/* ---- levels ------------------------------------------------------------------------------------------------------- */

/* Pins the entry of `hash`, if it stands in `set` and nobody has pinned it before: then its note is in `pinned`. */
static unsigned int pin(struct sw_limiter_set *set, uint64_t hash, uint32_t **pinned)
{
	const unsigned int ways = sw_limiter_ways_with(set, hash);
	uint32_t *note = &set->notes[ways ? __builtin_ctz(ways) : 0];

	if (ways == 0 || *note & SW_NOTE_PINNED)
		return 0;
	*note |= SW_NOTE_PINNED;
	*pinned = note;
	return 1;
}

/* Those of these lanes that are wider than `level` and stand in `home` or `own`. Returns how many it has pinned. */
static unsigned int pin_wider(const struct sw_lanes_run *run, const struct sw_limiter_lanes *lanes, unsigned int level,
	struct sw_limiter_set *home, struct sw_limiter_set *own, uint32_t *pinned[SW_LANES])
{
	const uint32_t at_home = lanes->home == home || lanes->home == own ? run->levels->at_home : 0;
	uint32_t wider = run->wanted & ~0u << (level + 1);
	unsigned int count = 0;

	for (unsigned int l; sw_next(&wider, &l);) {
		struct sw_limiter_set *set = sw_limiter_set_of(run->table, lanes->hashes[l]);
		if (at_home >> l & 1)
			count += pin(lanes->home, lanes->hashes[l], &pinned[count]);
		if (unlikely(set == home || set == own))
			count += pin(set, lanes->hashes[l], &pinned[count]);
	}
	return count;
}

/*
 * The entry of `level`, which is not there yet. It may take the place of a narrower one of these lanes; but not of a
 * wider one, which mostly stands in the same home: sources would push out their own prefix, one after the other, and be
 * held by nothing.
 */
static uint32_t make_entry(struct sw_worker *w, const struct sw_lanes_run *run, const struct sw_limiter_lanes *lanes,
	unsigned int level)
{
	const struct sw_limiter_key key = {
		.hash = lanes->hashes[level],
		.home = run->levels->at_home >> level & 1 ? (uint64_t)(lanes->home - run->table->sets) : lanes->hashes[level],
	};
	uint32_t *pinned[SW_LANES];
	unsigned int count = pin_wider(run, lanes, level, sw_limiter_set_of(run->table, key.home),
		sw_limiter_set_of(run->table, key.hash), pinned);

	const uint32_t at = sw_source_make_entry(w, key);
	while (count)
		*pinned[--count] &= ~SW_NOTE_PINNED;
	return at;
}

/* Whether any of these levels stands in one of these lines. */
static inline bool stand_in_any(const struct sw_limiter_lanes *lanes, unsigned int levels, const struct sw_limiter_set *a,
	const struct sw_limiter_set *b, const struct sw_limiter_set *c)
{
	bool stands = false;

	for (unsigned int l; sw_next(&levels, &l);)
		stands |= lanes->sets[l] == a || lanes->sets[l] == b || lanes->sets[l] == c;
	return stands;
}

/* What is missing in a flood of forged sources: the source and its neighbourhood. False: no entry has been made. */
static bool make_pair(struct sw_worker *w, const struct sw_lanes_run *run, struct sw_limiter_lanes *lanes,
	unsigned int missing)
{
	struct sw_limiter_table *t = run->table;
	const uint32_t home = run->levels->home;
	uint64_t *buckets[2];

	/* None of the others may stand where one of the two could go: see make_entry(). */
	if (home == 0 || missing != (1u | 1u << home) ||
		stand_in_any(lanes, run->wanted & ~missing, lanes->home, lanes->sets[0], lanes->sets[home]) ||
		!w->admission->add_pair(t, lanes->home, lanes->hashes[0], lanes->hashes[home], w->now, buckets))
		return false;
	lanes->tats[0] = buckets[0];
	lanes->tats[home] = buckets[1];
	return true;
}

static void make_one_by_one(struct sw_worker *w, const struct sw_lanes_run *run, struct sw_limiter_lanes *lanes,
	unsigned int missing)
{
	struct sw_limiter_table *t = run->table;
	const uint32_t taken_over = t->taken_over;

	for (unsigned int l; sw_next(&missing, &l);) {
		const uint32_t at = make_entry(w, run, lanes, l);
		lanes->tats[l] = at == SW_LIMITER_NONE ? &t->nowhere.tats[l] : sw_limiter_tat(t, at);
	}
	for (unsigned int l = 0; taken_over != t->taken_over && l < SW_LANES; l++)
		if (!lanes_have_place(lanes, l)) /* given up for another of these lanes */
			lanes->tats[l] = &t->nowhere.tats[l];
}

bool sw_admission_make_entries(struct sw_worker *w, const struct sw_lanes_run *run, struct sw_limiter_lanes *lanes,
	unsigned int missing)
{
	struct sw_limiter_table *t = run->table;
	const uint32_t taken_over = t->taken_over;

	if (!make_pair(w, run, lanes, missing))
		make_one_by_one(w, run, lanes, missing);
	lanes->note = sw_limiter_note_beside(lanes->tats[0]);
	memset(&t->nowhere, 0, sizeof(t->nowhere)); /* full, and of no connections, whatever was written there before */
	return taken_over != t->taken_over;
}

/* ---- SYNs --------------------------------------------------------------------------------------------------------- */

/* A token of the service, where they are not counted. */
static enum sw_drop_reason take_of_service(const struct sw_worker *w, const struct service_budget *b)
{
	if (b->rate.interval == 0)
		return SW_ADMITTED;
	if (!sw_rate_allows(&b->rate, *b->tat, w->now))
		return SW_DROP_LIMIT_SYN_SERVICE;
	*b->tat = sw_rate_take(&b->rate, *b->tat, w->now);
	return SW_ADMITTED;
}

static enum sw_drop_reason take_of_group(struct sw_worker *w, uint32_t group, const struct service_budget *budget)
{
	const uint32_t slot = w->policy->group[group].slot;
	const struct sw_rate *rate = &w->group_shares[slot].syn;
	uint64_t *tat = &w->group_budgets[slot].syn_tat;

	if (!sw_rate_allows(rate, *tat, w->now))
		return SW_DROP_LIMIT_SYN_GROUP;
	const enum sw_drop_reason reason = take_of_service(w, budget);
	if (reason == SW_ADMITTED)
		*tat = sw_rate_take(rate, *tat, w->now);
	return reason;
}

static void count_in_group(struct sw_worker *w, uint32_t group, enum sw_drop_reason reason)
{
	struct sw_group_counters *c = &w->groups[w->policy->group[group].slot];

	c->syn_received++;
	c->refused += reason != SW_ADMITTED;
}

enum sw_drop_reason sw_admission_decide(struct sw_worker *w, const struct sw_service_profile *s, uint32_t group,
	unsigned int empty, uint32_t note, const struct service_budget *budget)
{
	enum sw_drop_reason reason;

	if (note & SW_NOTE_BLOCKED && sw_source_blocked(w, note & SW_NOTE_INDEX))
		reason = SW_DROP_BLOCKED;
	else if (empty != 0)
		reason = refusal_of(s, empty);
	else if (group != SW_NONE)
		reason = take_of_group(w, group, budget);
	else
		reason = take_of_service(w, budget);
	if (group != SW_NONE)
		count_in_group(w, group, reason);
	return reason;
}

void sw_admission_note_more(struct sw_worker *w, uint64_t *tat, uint32_t note, bool dropped, const struct sw_address *source,
	uint32_t slot)
{
	if (note & SW_NOTE_RECORD)
		sw_source_leave_word(w, sw_limiter_note_beside(tat), note, dropped);
	else if (sw_limiter_set_around(tat) != &w->limiter.nowhere)
		sw_source_claim_record(w, sw_limiter_place_of(&w->limiter, tat), source, slot);
}

/* Packet i, whose source's entry is that of `ways` of a line. False: it is not over, or there is more to be said of it. */
static inline bool refuse(struct sw_worker *w, const struct sw_overs *o, size_t i, struct sw_limiter_set *line,
	unsigned int ways)
{
	const size_t way = (size_t)__builtin_ctz(ways);
	const uint32_t note = line->notes[way];

	if (unlikely((int64_t)(line->tats[way] - o->now) <= (int64_t)o->tolerance || note & SW_NOTE_BLOCKED))
		return false;
	if (unlikely(note_syn(&line->notes[way], note, true, o->claims_at)))
		sw_admission_note_more(w, &line->tats[way], note, true, &o->packets[i].client, o->slot);
	return true;
}

struct sw_overs_found sw_admission_refuse_at_home(struct sw_worker *w, const struct sw_overs *o,
	const struct sw_limiter_lanes *lanes, uint32_t set)
{
	struct sw_overs_found found = {0, 0};

	for (; set; set &= set - 1) {
		const size_t i = (size_t)__builtin_ctz(set);
		struct sw_limiter_set *home = lanes[i].home;
		const unsigned int ways = sw_limiter_ways_with(home, lanes[i].hashes[0]);
		if (likely(ways != 0))
			found.over |= (uint32_t)refuse(w, o, i, home, ways) << i;
		else
			found.away |= (uint32_t)((home->notes[0] & SW_NOTE_MOVED) != 0) << i;
	}
	return found;
}

/* Those who are not at home, where it says that somebody has moved out. */
static uint32_t refuse_away(struct sw_worker *w, const struct sw_overs *o, const struct sw_limiter_lanes *lanes, uint32_t away)
{
	const struct sw_limiter_table *t = &w->limiter;
	uint32_t over = 0;

	for (uint32_t set = away; set; set &= set - 1)
		sw_prefetch_to(w->prefetch.near, sw_limiter_set_of(t, lanes[__builtin_ctz(set)].hashes[0]));
	for (; away; away &= away - 1) {
		const size_t i = (size_t)__builtin_ctz(away);
		struct sw_limiter_set *line = sw_limiter_set_of(t, lanes[i].hashes[0]);
		const unsigned int ways = sw_limiter_ways_with(line, lanes[i].hashes[0]);
		if (ways != 0)
			over |= (uint32_t)refuse(w, o, i, line, ways) << i;
	}
	return over;
}

uint32_t sw_admission_refuse_over(struct sw_worker *w, struct sw_syn_admissions *syns, const struct sw_packet *packets,
	uint8_t reasons[SW_BURST])
{
	uint32_t set = syns->prepared & ~syns->grouped, all = 0, stretch;

	for (const struct sw_admission_run *run; (run = next_stretch(syns, &set, &stretch)) != NULL;) {
		const struct sw_rate rate = sw_level_rate(&run->service->syn_rates, 0);
		const struct sw_overs o = {.packets = packets, .now = w->now, .tolerance = rate.tolerance, .slot = run->service->slot,
			.claims_at = w->policy->evidence_after_syns};
		if (rate.interval == 0)
			continue;
		const struct sw_overs_found found = w->admission->refuse_at_home(w, &o, syns->lanes, stretch);
		const uint32_t over = found.over | refuse_away(w, &o, syns->lanes, found.away);
		sw_set_bytes(reasons, over, (uint8_t)refusal_of(run->service, 1));
		all |= over;
	}
	return all;
}

#define SW_LANES_OF(name) sw_lanes_##name##_plain
#define SW_LANES_KEYS struct sw_lanes_run
#define SW_LANES_FIND struct sw_lanes_run
#define SW_LANES_LOOK struct sw_lanes_run
#define SW_LANES_NEXT struct sw_lanes_next
#define SW_TARGET
#define SW_TARGET_KEYS
#include "admission_loops.h"

static const struct sw_admission_loops plain_loops = {prepare_run, place_syns, admit_syns, sw_admission_refuse_at_home,
	sw_limiter_add_pair};

const struct sw_admission_loops *sw_admission_loops_for(enum sw_isa isa)
{
	return sw_isa_has_vaes(isa) ? &sw_admission_loops_avx512 : &plain_loops;
}

void sw_admission_prepare(struct sw_worker *w, const struct sw_admission_run *run, enum sw_limiter_kind kind,
	const struct sw_address *first, size_t stride, struct sw_limiter_lanes *lanes)
{
	w->admission->prepare(w, run, kind, first, stride, lanes);
}

void sw_place_syns(struct sw_worker *w, struct sw_syn_admissions *syns, const struct sw_packet *packets,
	uint8_t reasons[SW_BURST])
{
	w->admission->place_syns(w, syns, packets, reasons);
}

uint32_t sw_admit_syns(struct sw_worker *w, struct sw_syn_admissions *syns, const struct sw_packet *packets,
	uint8_t reasons[SW_BURST], uint32_t *proven)
{
	return w->admission->admit_syns(w, syns, packets, reasons, proven);
}

/* The entry of `key`, which must not take the place `kept`; SW_LIMITER_NONE: no other is to be had. */
static uint32_t take_entry_beside(struct sw_worker *w, struct sw_limiter_key key, uint32_t kept)
{
	if (kept == SW_LIMITER_NONE)
		return sw_source_take_entry(w, key);
	const uint32_t note = sw_limiter_note(&w->limiter, kept);
	sw_limiter_set_note(&w->limiter, kept, note | SW_NOTE_PINNED);
	const uint32_t at = sw_source_take_entry(w, key);
	sw_limiter_set_note(&w->limiter, kept, note);
	return at;
}

bool sw_admit_reset(struct sw_worker *w, const struct sw_address *claimed, bool is_ipv6)
{
	const struct sw_policy *p = w->policy;
	uint32_t places[SW_ANSWER_LEVELS] = {SW_LIMITER_NONE, SW_LIMITER_NONE};

	if (!sw_rate_allows(&p->rst, w->rst_tat, w->now))
		return false;
	/* The prefix first: its entry must not be pushed out by that of the source. What cannot be counted is not sent. */
	for (unsigned int l = SW_ANSWER_LEVELS; l-- > 0;) {
		if (l >= p->level_count || p->answers[l].interval == 0)
			continue;
		const struct sw_limiter_key key = sw_level_key(w, claimed, is_ipv6, SW_LIMITER_RESET, l, 0);
		places[l] = take_entry_beside(w, key, places[SW_ANSWER_LEVELS - 1]);
		if (places[l] == SW_LIMITER_NONE || !sw_rate_allows(&p->answers[l], *sw_limiter_tat(&w->limiter, places[l]), w->now))
			return false;
	}
	for (unsigned int l = 0; l < SW_ANSWER_LEVELS; l++) {
		if (places[l] == SW_LIMITER_NONE)
			continue;
		uint64_t *tat = sw_limiter_tat(&w->limiter, places[l]);
		*tat = sw_rate_take(&p->answers[l], *tat, w->now);
	}
	return true;
}

/* ---- proven connections ------------------------------------------------------------------------------------------- */

static enum sw_drop_reason check_connection_level(const struct sw_worker *w, const struct sw_admission *a,
	unsigned int level, uint32_t record)
{
	const struct sw_limit_profile *limit = &a->service->levels[level];
	const bool is_source = level == 0;
	uint64_t *tat = a->lanes->tats[level];
	const uint32_t concurrent = is_source && record != SW_FLOW_NONE ? w->records[record].concurrent
		: *sw_limiter_note_beside(tat) & SW_NOTE_VALUE;

	if (!sw_rate_allows(&limit->conn, *tat, w->now))
		return is_source ? SW_DROP_LIMIT_CONN_SOURCE : SW_DROP_LIMIT_CONN_PREFIX;
	if (limit->concurrent != 0 && concurrent >= limit->concurrent)
		return is_source ? SW_DROP_LIMIT_CONCURRENT_SOURCE : SW_DROP_LIMIT_CONCURRENT_PREFIX;
	/* What a source proves is its own doing and costs it, also where a wider budget then refuses it: otherwise the
	 * members of a flooding prefix would hide behind that prefix's limit and never be named. */
	if (is_source)
		*tat = sw_rate_take(&limit->conn, *tat, w->now);
	return SW_ADMITTED;
}

static enum sw_drop_reason check_connection(struct sw_worker *w, struct sw_admission *a, uint32_t record)
{
	const struct sw_service_profile *s = a->service;
	enum sw_drop_reason reason = SW_ADMITTED;
	const struct sw_lanes_run run = sw_lanes_run_of(w, s, a->is_ipv6, SW_LIMITER_CONN);
	uint32_t levels = run.wanted;

	sw_lanes_place_plain(&run, a->lanes);
	const unsigned int missing = run.wanted & ~sw_lanes_find_plain(&run, a->lanes);
	if (missing)
		sw_admission_make_entries(w, &run, a->lanes, missing);
	for (unsigned int level; reason == SW_ADMITTED && sw_next(&levels, &level);)
		reason = check_connection_level(w, a, level, record);
	if (reason != SW_ADMITTED)
		return reason;
	if (a->group != SW_NONE) {
		const uint32_t slot = w->policy->group[a->group].slot;
		if (!sw_rate_allows(&w->group_shares[slot].conn, w->group_budgets[slot].conn_tat, w->now))
			return SW_DROP_LIMIT_CONN_GROUP;
		if (w->group_budgets[slot].concurrent >= w->group_shares[slot].concurrent)
			return SW_DROP_LIMIT_CONCURRENT_GROUP;
	}
	if (s->total_limited) {
		if (!sw_rate_allows(&w->service_shares[s->slot].conn, w->service_budgets[s->slot].conn_tat, w->now))
			return SW_DROP_LIMIT_CONN_SERVICE;
		if (w->service_budgets[s->slot].concurrent >= w->service_shares[s->slot].concurrent)
			return SW_DROP_LIMIT_CONCURRENT_SERVICE;
	}
	return SW_ADMITTED;
}

/* The source's own token was taken by the check. */
static void take_connection(struct sw_worker *w, struct sw_admission *a)
{
	const struct sw_service_profile *s = a->service;

	for (unsigned int level = 1; level < s->level_count; level++)
		*a->lanes->tats[level] = sw_rate_take(&s->levels[level].conn, *a->lanes->tats[level], w->now);
	if (a->group != SW_NONE) {
		const uint32_t slot = w->policy->group[a->group].slot;
		struct sw_budget *b = &w->group_budgets[slot];
		b->conn_tat = sw_rate_take(&w->group_shares[slot].conn, b->conn_tat, w->now);
		w->groups[slot].conn_opened++;
	}
	if (s->total_limited) {
		struct sw_budget *b = &w->service_budgets[s->slot];
		b->conn_tat = sw_rate_take(&w->service_shares[s->slot].conn, b->conn_tat, w->now);
	}
}

enum sw_drop_reason sw_admit_connection(struct sw_worker *w, struct sw_admission *a, uint32_t record)
{
	if (sw_source_blocked(w, record)) {
		w->records[record].dropped++;
		return SW_DROP_BLOCKED;
	}
	const enum sw_drop_reason reason = check_connection(w, a, record);
	if (reason == SW_ADMITTED) {
		take_connection(w, a);
		if (record != SW_FLOW_NONE)
			w->records[record].conns++;
		return reason;
	}
	if (a->group != SW_NONE)
		w->groups[w->policy->group[a->group].slot].refused++;
	/* Only its own excess counts against a source, not that of its neighbours or of the whole service. */
	if (record != SW_FLOW_NONE && (reason == SW_DROP_LIMIT_CONN_SOURCE || reason == SW_DROP_LIMIT_CONCURRENT_SOURCE))
		sw_source_note_refusal(w, a->service, record, a->connection);
	else if (record != SW_FLOW_NONE)
		w->records[record].dropped++;
	return reason;
}
