/* SPDX-License-Identifier: BSD-3-Clause */
#include "sources.h"

#include <rte_prefetch.h>

#include "stages/stage.h"

enum {
	REFUSAL_WINDOW_S = 60,    /* sw_service.block_after counts within a minute */
	PROVEN_IDLE_S = 3600,     /* a proven source's record rests this long behind its last connection */
	PROVEN_IDLE_FULL_S = 60,  /* ... while new ones find none free */
	STEAL_TRIES = 16,
};

/* ---- records ------------------------------------------------------------------------------------------------------ */

static struct sw_limiter_entry *entry_at(const struct sw_worker *w, uint32_t position)
{
	return &w->limiter.sets[position / SW_LIMITER_WAYS].ways[position % SW_LIMITER_WAYS];
}

static uint32_t position_of(const struct sw_worker *w, const struct sw_limiter_entry *e)
{
	return (uint32_t)(e - w->limiter.sets[0].ways);
}

static void forget_record(struct sw_worker *w, uint32_t index)
{
	struct sw_source_record *r = &w->records[index];

	if (r->proof != SW_PROOF_CLAIMED)
		w->proven_records--;
	atomic_store_explicit(&r->id, 0, memory_order_release);
	w->free_records[w->free_record_count++] = index;
}

/* The entry stays, unpinned, with its bucket; it only loses its record. */
static void unlink_record(struct sw_worker *w, uint32_t index)
{
	entry_at(w, w->records[index].limiter)->note = 0;
	forget_record(w, index);
}

static bool may_be_forgotten(const struct sw_worker *w, const struct sw_source_record *r, uint64_t idle_s)
{
	if (atomic_load_explicit(&r->id, memory_order_relaxed) == 0 || r->concurrent != 0)
		return false;
	if (r->blocked_until_tsc != 0 && (int64_t)(r->blocked_until_tsc - w->now) > 0)
		return false;
	return w->now - r->last_seen_tsc > idle_s * w->shared->tsc_hz;
}

/* A free record; with none left, one of a claimed source, or of one that proved itself long ago. */
static uint32_t take_record(struct sw_worker *w, bool for_proven)
{
	for (int i = 0; w->free_record_count == 0 && for_proven && i < STEAL_TRIES; i++) {
		const uint32_t index = w->record_hand;
		const struct sw_source_record *r = &w->records[index];
		w->record_hand = index + 1 == w->record_count ? 0 : index + 1;
		if (may_be_forgotten(w, r, r->proof == SW_PROOF_CLAIMED ? 0 : PROVEN_IDLE_FULL_S))
			unlink_record(w, index);
	}
	if (w->free_record_count == 0)
		return SW_FLOW_NONE;
	return w->free_records[--w->free_record_count];
}

static uint32_t make_record(struct sw_worker *w, struct sw_limiter_entry *e, const struct sw_admission *a,
	enum sw_proof proof)
{
	const uint32_t index = take_record(w, proof != SW_PROOF_CLAIMED);

	if (index == SW_FLOW_NONE) {
		sw_count(w, a->service->slot, SW_COUNT_SOURCE_RECORDS_FULL);
		return SW_FLOW_NONE;
	}
	struct sw_source_record *r = &w->records[index];
	const uint64_t syns = e->note & SW_NOTE_RECORD ? 0 : e->note & SW_NOTE_VALUE;
	memset(r, 0, sizeof(*r));
	r->address = *a->source;
	r->service_slot = a->service->slot;
	r->proof = (uint8_t)proof;
	r->first_seen_tsc = r->last_seen_tsc = w->now;
	r->syns = syns;
	r->limiter = position_of(w, e);
	e->note = SW_NOTE_RECORD | index | (proof != SW_PROOF_CLAIMED ? SW_NOTE_PINNED : 0);
	if (proof != SW_PROOF_CLAIMED)
		w->proven_records++;
	if (++w->next_record_id == 0)
		w->next_record_id = 1;
	atomic_store_explicit(&r->id, w->next_record_id, memory_order_release); /* pairs with the reader's copy-and-look-again */
	return index;
}

static __attribute__((noinline)) struct sw_limiter_entry *make_entry(struct sw_worker *w, uint64_t hash)
{
	struct sw_limiter_entry evicted, *e = sw_limiter_insert(&w->limiter, hash, w->now, &evicted);

	if (evicted.fingerprint != 0 && evicted.note & SW_NOTE_RECORD)
		forget_record(w, evicted.note & SW_NOTE_VALUE);
	if (e == NULL)
		sw_count(w, SW_NONE, SW_COUNT_LIMITER_FULL);
	return e;
}

/* The limiter entry of one level; NULL when its line is full of pinned ones. */
static inline struct sw_limiter_entry *take_entry(struct sw_worker *w, uint64_t hash)
{
	struct sw_limiter_entry *e = sw_limiter_find(&w->limiter, hash);
	return likely(e != NULL) ? e : make_entry(w, hash);
}

/* ---- SYNs --------------------------------------------------------------------------------------------------------- */

void sw_admission_prepare(const struct sw_worker *w, struct sw_admission *a, enum sw_limiter_kind kind)
{
	memset(a->entries, 0, sizeof(a->entries)); /* beyond level_count too: note_claim() looks at the first in any case */
	for (unsigned int l = 0; l < a->service->level_count; l++) {
		const struct sw_limit_profile *limit = &a->service->levels[l];
		if (!(kind == SW_LIMITER_SYN ? limit->any : limit->any_conn))
			continue;
		const struct sw_address prefix = sw_level_prefix(w->policy, a->source, l, a->is_ipv6);
		a->hashes[l] = sw_limiter_hash(&w->limiter, &prefix, kind, l, a->service->slot);
		rte_prefetch0(sw_limiter_set_of(&w->limiter, a->hashes[l]));
	}
}

/* Counts a SYN of the source: in its record, or towards getting one. */
static void note_claim(struct sw_worker *w, const struct sw_admission *a, bool refused)
{
	struct sw_limiter_entry *e = a->entries[0];

	if (e == NULL || e->fingerprint != sw_limiter_fingerprint(a->hashes[0]))
		return;
	if (!(e->note & SW_NOTE_RECORD)) {
		if ((e->note & SW_NOTE_VALUE) < SW_NOTE_VALUE)
			e->note++;
		if ((e->note & SW_NOTE_VALUE) != w->policy->evidence_after_syns ||
			make_record(w, e, a, SW_PROOF_CLAIMED) == SW_FLOW_NONE)
			return;
		return;
	}
	struct sw_source_record *r = &w->records[e->note & SW_NOTE_VALUE];
	r->syns++;
	r->last_seen_tsc = w->now;
	r->dropped += refused;
}

static enum sw_drop_reason check_syn(struct sw_worker *w, struct sw_admission *a)
{
	const struct sw_service_profile *s = a->service;

	for (unsigned int l = 0; l < s->level_count; l++) {
		const struct sw_limit_profile *limit = &s->levels[l];
		if (!limit->any)
			continue;
		struct sw_limiter_entry *e = a->entries[l] = take_entry(w, a->hashes[l]);
		if (e == NULL)
			continue;
		if (l == 0 && e->note & SW_NOTE_RECORD && sw_source_blocked(w, e->note & SW_NOTE_VALUE))
			return SW_DROP_BLOCKED;
		if (!sw_rate_allows(&limit->syn, e->tat, w->now))
			return limit->syn_is_cap ? SW_DROP_ANSWER_CAP : l == 0 ? SW_DROP_LIMIT_SYN_SOURCE : SW_DROP_LIMIT_SYN_PREFIX;
	}
	if (a->group != SW_NONE) {
		const uint32_t slot = w->policy->group[a->group].slot;
		if (!sw_rate_allows(&w->group_shares[slot].syn, w->group_budgets[slot].syn_tat, w->now))
			return SW_DROP_LIMIT_SYN_GROUP;
	}
	if (s->total_limited && !sw_rate_allows(&w->service_shares[s->slot].syn, w->service_budgets[s->slot].syn_tat, w->now))
		return SW_DROP_LIMIT_SYN_SERVICE;
	return SW_ADMITTED;
}

static void take_syn(struct sw_worker *w, struct sw_admission *a)
{
	const struct sw_service_profile *s = a->service;

	for (unsigned int l = 0; l < s->level_count; l++)
		if (a->entries[l] != NULL)
			a->entries[l]->tat = sw_rate_take(&s->levels[l].syn, a->entries[l]->tat, w->now);
	if (a->group != SW_NONE) {
		const uint32_t slot = w->policy->group[a->group].slot;
		struct sw_budget *b = &w->group_budgets[slot];
		b->syn_tat = sw_rate_take(&w->group_shares[slot].syn, b->syn_tat, w->now);
	}
	if (s->total_limited) {
		struct sw_budget *b = &w->service_budgets[s->slot];
		b->syn_tat = sw_rate_take(&w->service_shares[s->slot].syn, b->syn_tat, w->now);
	}
}

enum sw_drop_reason sw_admit_syn(struct sw_worker *w, struct sw_admission *a)
{
	const enum sw_drop_reason reason = check_syn(w, a);

	if (a->group != SW_NONE)
		w->groups[w->policy->group[a->group].slot].syn_received++;
	if (reason == SW_ADMITTED)
		take_syn(w, a);
	else if (a->group != SW_NONE)
		w->groups[w->policy->group[a->group].slot].refused++;
	note_claim(w, a, reason != SW_ADMITTED);
	return reason;
}

bool sw_admit_reset(struct sw_worker *w, const struct sw_address *claimed, bool is_ipv6)
{
	const struct sw_policy *p = w->policy;
	struct sw_limiter_entry *entries[SW_ANSWER_LEVELS] = {NULL};

	if (!sw_rate_allows(&p->rst, w->rst_tat, w->now))
		return false;
	for (unsigned int l = 0; l < SW_ANSWER_LEVELS && l < p->level_count; l++) {
		if (p->answers[l].interval == 0)
			continue;
		const struct sw_address prefix = sw_level_prefix(p, claimed, l, is_ipv6);
		entries[l] = take_entry(w, sw_limiter_hash(&w->limiter, &prefix, SW_LIMITER_RESET, l, 0));
		if (entries[l] == NULL || !sw_rate_allows(&p->answers[l], entries[l]->tat, w->now))
			return false;
	}
	for (unsigned int l = 0; l < SW_ANSWER_LEVELS; l++)
		if (entries[l] != NULL)
			entries[l]->tat = sw_rate_take(&p->answers[l], entries[l]->tat, w->now);
	return true;
}

/* ---- proven connections ------------------------------------------------------------------------------------------- */

uint32_t sw_source_prove(struct sw_worker *w, const struct sw_admission *a)
{
	const struct sw_address whole = sw_level_prefix(w->policy, a->source, 0, a->is_ipv6);
	const uint64_t hash = sw_limiter_hash(&w->limiter, &whole, SW_LIMITER_SYN, 0, a->service->slot);
	struct sw_limiter_entry *e = take_entry(w, hash);

	if (e == NULL)
		return SW_FLOW_NONE;
	if (!(e->note & SW_NOTE_RECORD)) {
		const uint32_t index = make_record(w, e, a, SW_PROOF_ECHOED);
		if (index != SW_FLOW_NONE)
			sw_count(w, a->service->slot, SW_COUNT_SOURCES_PROVEN);
		return index;
	}
	const uint32_t index = e->note & SW_NOTE_VALUE;
	struct sw_source_record *r = &w->records[index];
	r->last_seen_tsc = w->now;
	if (r->proof == SW_PROOF_CLAIMED) {
		r->proof = SW_PROOF_ECHOED;
		e->note |= SW_NOTE_PINNED;
		w->proven_records++;
		sw_count(w, a->service->slot, SW_COUNT_SOURCES_PROVEN);
	}
	return index;
}

static enum sw_drop_reason check_connection(struct sw_worker *w, struct sw_admission *a, uint32_t record)
{
	const struct sw_service_profile *s = a->service;

	for (unsigned int l = 0; l < s->level_count; l++) {
		const struct sw_limit_profile *limit = &s->levels[l];
		if (!limit->any_conn)
			continue;
		struct sw_limiter_entry *e = a->entries[l] = take_entry(w, a->hashes[l]);
		const uint32_t concurrent = l == 0 && record != SW_FLOW_NONE ? w->records[record].concurrent :
			e != NULL                                                ? e->note & SW_NOTE_VALUE :
																	   0;
		if (e != NULL && !sw_rate_allows(&limit->conn, e->tat, w->now))
			return l == 0 ? SW_DROP_LIMIT_CONN_SOURCE : SW_DROP_LIMIT_CONN_PREFIX;
		if (limit->concurrent != 0 && concurrent >= limit->concurrent)
			return l == 0 ? SW_DROP_LIMIT_CONCURRENT_SOURCE : SW_DROP_LIMIT_CONCURRENT_PREFIX;
		/* What a source proves is its own doing and costs it, also where a wider budget then refuses it: otherwise the
		 * members of a flooding prefix would hide behind that prefix's limit and never be named. */
		if (l == 0 && e != NULL)
			e->tat = sw_rate_take(&limit->conn, e->tat, w->now);
	}
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

	for (unsigned int l = 1; l < s->level_count; l++)
		if (a->entries[l] != NULL)
			a->entries[l]->tat = sw_rate_take(&s->levels[l].conn, a->entries[l]->tat, w->now);
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

static void block(struct sw_worker *w, const struct sw_service_profile *s, struct sw_source_record *r)
{
	struct sw_event event = {
		.kind = SW_EVENT_BLOCKED,
		.service_slot = s->slot,
		.address = r->address,
		.until_tsc = w->now + s->block_cycles,
	};

	r->blocked_until_tsc = event.until_tsc;
	r->refused_lately = 0;
	w->block_count++;
	sw_count(w, s->slot, SW_COUNT_SOURCES_BLOCKED);
	if (s->mode == SW_MODE_MONITOR) /* what this block would drop is counted; nobody else may drop it in earnest */
		return;
	if (rte_ring_sp_enqueue_elem(w->events, &event, sizeof(event)) != 0)
		sw_count(w, SW_NONE, SW_COUNT_EVENTS_LOST);
}

/* Data right behind the ACK, and every repetition of it, proves the connection again: counted as one refusal. */
static bool refused_before(struct sw_worker *w, uint64_t connection)
{
	uint64_t *place = &w->refused_lately[connection % SW_REFUSED_LATELY];
	const bool before = *place == connection;

	*place = connection;
	return before;
}

static void note_refusal(struct sw_worker *w, const struct sw_admission *a, struct sw_source_record *r)
{
	const struct sw_service_profile *s = a->service;

	r->dropped++;
	r->last_seen_tsc = w->now;
	if (refused_before(w, a->connection))
		return;
	r->refused++;
	if (s->block_after == 0)
		return;
	if (w->now - r->refused_since_tsc > REFUSAL_WINDOW_S * w->shared->tsc_hz) {
		r->refused_since_tsc = w->now;
		r->refused_lately = 0;
	}
	if (++r->refused_lately >= s->block_after)
		block(w, s, r);
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
		note_refusal(w, a, &w->records[record]);
	else if (record != SW_FLOW_NONE)
		w->records[record].dropped++;
	return reason;
}

/* ---- concurrent connections --------------------------------------------------------------------------------------- */

/*
 * The flow remembers where it was counted: the policy may have other levels when it ends, or none. An entry that counts
 * is pinned, so it is still there.
 */
static void count_level(struct sw_worker *w, struct sw_flow_setup *f, uint32_t slot, unsigned int level)
{
	const struct sw_address prefix = sw_level_prefix(w->policy, &f->client, level, f->is_ipv6);
	const uint64_t hash = sw_limiter_hash(&w->limiter, &prefix, SW_LIMITER_CONN, level, slot);
	struct sw_limiter_entry *e = take_entry(w, hash);

	if (e == NULL)
		return;
	e->note = ((e->note & SW_NOTE_VALUE) + 1) | SW_NOTE_PINNED;
	f->counted_by[level - 1] = position_of(w, e) + 1;
}

static void uncount_levels(struct sw_worker *w, struct sw_flow_setup *f)
{
	for (unsigned int i = 0; i < SW_PREFIX_LEVELS - 1; i++) {
		if (f->counted_by[i] == 0)
			continue;
		struct sw_limiter_entry *e = entry_at(w, f->counted_by[i] - 1);
		const uint32_t left = (e->note & SW_NOTE_VALUE) - 1;
		e->note = left | (left ? SW_NOTE_PINNED : 0);
		f->counted_by[i] = 0;
	}
}

void sw_flow_count(struct sw_worker *w, uint32_t flow, const struct sw_service_profile *service)
{
	struct sw_flow *f = &w->flows.flows[flow];
	struct sw_flow_setup *setup = &w->flows.setups[flow];

	f->flags |= SW_FLOW_COUNTED;
	w->service_budgets[f->service_slot].concurrent++;
	if (setup->group != SW_NONE) {
		w->group_budgets[setup->group].concurrent++;
		w->groups[setup->group].concurrent++;
	}
	if (f->record != SW_FLOW_NONE)
		w->records[f->record].concurrent++;
	for (unsigned int level = 1; level < service->level_count; level++)
		if (service->levels[level].concurrent != 0)
			count_level(w, setup, service->slot, level);
}

void sw_flow_uncount(struct sw_worker *w, uint32_t flow)
{
	struct sw_flow *f = &w->flows.flows[flow];
	struct sw_flow_setup *setup = &w->flows.setups[flow];

	if (!(f->flags & SW_FLOW_COUNTED))
		return;
	f->flags &= (uint16_t)~SW_FLOW_COUNTED;
	w->service_budgets[f->service_slot].concurrent--;
	if (setup->group != SW_NONE) {
		w->group_budgets[setup->group].concurrent--;
		w->groups[setup->group].concurrent--;
	}
	if (f->record != SW_FLOW_NONE) {
		struct sw_source_record *r = &w->records[f->record];
		r->concurrent--;
		r->last_seen_tsc = w->now;
		r->bytes_in += f->client.next - f->client_start;
	}
	uncount_levels(w, setup);
}

/* ---- ageing, and questions of people ------------------------------------------------------------------------------ */

void sw_sources_age(struct sw_worker *w, unsigned int slice)
{
	for (unsigned int i = 0; i < slice && w->record_count; i++) {
		const uint32_t index = w->record_sweep;
		w->record_sweep = index + 1 == w->record_count ? 0 : index + 1;
		if (may_be_forgotten(w, &w->records[index], PROVEN_IDLE_S))
			unlink_record(w, index);
	}
}

unsigned int sw_source_unblock(struct sw_worker *w, const struct sw_address *address, uint32_t slot)
{
	unsigned int lifted = 0;

	for (uint32_t i = 0; i < w->record_count; i++) {
		struct sw_source_record *r = &w->records[i];
		if (atomic_load_explicit(&r->id, memory_order_relaxed) == 0 || r->blocked_until_tsc == 0 ||
			!sw_address_equal(&r->address, address) || (slot != SW_NONE && r->service_slot != slot))
			continue;
		lifted += sw_source_blocked(w, i);
		r->blocked_until_tsc = 0;
		r->refused_lately = 0;
	}
	if (lifted)
		w->block_count++;
	return lifted;
}

bool sw_source_note_blocked(struct sw_worker *w, const struct sw_address *source, uint32_t slot)
{
	if (w->block_count == 0) /* there never was one */
		return false;
	const struct sw_source_record *found = sw_source_find(w, source, slot);
	if (found == NULL || !sw_source_blocked(w, (uint32_t)(found - w->records)))
		return false;
	struct sw_source_record *r = &w->records[found - w->records];
	r->syns++;
	r->dropped++;
	r->last_seen_tsc = w->now;
	return true;
}

const struct sw_source_record *sw_source_find(const struct sw_worker *w, const struct sw_address *address, uint32_t slot)
{
	const uint64_t hash = sw_limiter_hash(&w->limiter, address, SW_LIMITER_SYN, 0, slot);
	const struct sw_limiter_entry *e = sw_limiter_find(&w->limiter, hash);

	return e != NULL && e->note & SW_NOTE_RECORD ? &w->records[e->note & SW_NOTE_VALUE] : NULL;
}
