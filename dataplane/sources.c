/* SPDX-License-Identifier: BSD-3-Clause */
#include "admission.h"

#include "stages/stage.h"

enum {
	REFUSAL_WINDOW_S = 60,    /* sw_service.block_after counts within a minute */
	PROVEN_IDLE_S = 3600,     /* a proven source's record rests this long behind its last connection */
	PROVEN_IDLE_FULL_S = 60,  /* ... while new ones find none free */
	STEAL_TRIES = 16,
	/* Records looked at per millisecond, so that each is once a second, or once in up to 8 s where there are more than a
	 * quarter of a million; and at a time, however long the worker has slept. */
	SWEEP_MAX = 256, SWEEP_AT_ONCE = 1024, SWEEP_MS = 1000,
};

/* ---- what records are told ---------------------------------------------------------------------------------------- */

static uint32_t syns_in(uint32_t note)
{
	return (note & (SW_NOTE_TELL - 1)) / SW_NOTE_SYN;
}

static uint32_t without_syns(uint32_t note)
{
	return note & ~(SW_NOTE_DROPPED | SW_NOTE_TELL | (SW_NOTE_TELL - SW_NOTE_SYN));
}

static void tell(struct sw_worker *w, uint32_t note)
{
	struct sw_source_record *r = &w->records[note & SW_NOTE_INDEX];

	r->syns += syns_in(note);
	r->dropped += note & SW_NOTE_DROPPED ? syns_in(note) : 0;
	r->last_seen_tsc = w->now;
}

void sw_sources_tell_all(struct sw_worker *w)
{
	while (w->untold_count != 0)
		tell(w, w->untold[--w->untold_count]);
}

void sw_source_leave_word(struct sw_worker *w, uint32_t *at, uint32_t note, bool dropped)
{
	*at = without_syns(note) + (dropped ? SW_NOTE_DROPPED : 0) + SW_NOTE_SYN;
	if (syns_in(note) == 0)
		return;
	if (w->untold_count == RTE_DIM(w->untold)) /* never, as each burst tells what the one before has left */
		sw_sources_tell_all(w);
	w->untold[w->untold_count++] = note;
	sw_prefetch_to(w->prefetch.near, &w->records[note & SW_NOTE_INDEX]);
}

/* The note that counts for a record in use. */
static uint32_t *note_of(const struct sw_worker *w, uint32_t record)
{
	return sw_limiter_note_beside(sw_limiter_tat(&w->limiter, w->records[record].limiter));
}

static void bring_up_to_date(struct sw_worker *w, uint32_t record)
{
	uint32_t *at = note_of(w, record);
	const uint32_t note = *at, told = without_syns(note) & (sw_source_blocked(w, record) ? ~0u : ~SW_NOTE_BLOCKED);

	if (syns_in(note) != 0)
		tell(w, note);
	if (told != note)
		*at = told;
}

/* ---- records ------------------------------------------------------------------------------------------------------ */

static void forget_record(struct sw_worker *w, uint32_t index)
{
	struct sw_source_record *r = &w->records[index];

	sw_sources_tell(w); /* before it is another's */
	if (r->proof != SW_PROOF_CLAIMED)
		w->proven_records--;
	atomic_store_explicit(&r->id, 0, memory_order_release);
	w->free_records[w->free_record_count++] = index;
}

/* The entry stays, unpinned, with its bucket; it only loses its record. */
static void unlink_record(struct sw_worker *w, uint32_t index)
{
	sw_limiter_set_note(&w->limiter, w->records[index].limiter, 0);
	forget_record(w, index);
}

static bool in_use(const struct sw_source_record *r)
{
	return atomic_load_explicit(&r->id, memory_order_relaxed) != 0;
}

static bool may_be_forgotten(const struct sw_worker *w, uint32_t index, uint64_t idle_s)
{
	const struct sw_source_record *r = &w->records[index];

	if (!in_use(r) || r->concurrent != 0 || sw_source_blocked(w, index))
		return false;
	return w->now - r->last_seen_tsc >= idle_s * w->shared->tsc_hz;
}

/* The record of a claimed source does, however lately that was heard of; of a proven one, if it has rested. */
static bool gives_way(struct sw_worker *w, uint32_t index)
{
	if (w->records[index].proof == SW_PROOF_CLAIMED)
		return may_be_forgotten(w, index, 0);
	if (!may_be_forgotten(w, index, PROVEN_IDLE_FULL_S))
		return false;
	bring_up_to_date(w, index); /* which can only make it younger */
	return may_be_forgotten(w, index, PROVEN_IDLE_FULL_S);
}

static uint32_t next_record(const struct sw_worker *w, uint32_t index)
{
	return index + 1 == w->record_count ? 0 : index + 1;
}

/* A free record; with none left, one of a claimed source, or of one that proved itself long ago. */
static uint32_t take_record(struct sw_worker *w, bool for_proven)
{
	for (int i = 0; w->free_record_count == 0 && for_proven && i < STEAL_TRIES; i++) {
		const uint32_t index = w->record_hand;
		w->record_hand = next_record(w, index);
		if (gives_way(w, index))
			unlink_record(w, index);
	}
	if (w->free_record_count == 0)
		return SW_FLOW_NONE;
	return w->free_records[--w->free_record_count];
}

/* For the source whose entry stands at `at`. */
static uint32_t make_record(struct sw_worker *w, uint32_t at, const struct sw_address *source, uint32_t slot,
	enum sw_proof proof)
{
	const uint32_t index = take_record(w, proof != SW_PROOF_CLAIMED);

	if (index == SW_FLOW_NONE) {
		sw_count(w, slot, SW_COUNT_SOURCE_RECORDS_FULL);
		return SW_FLOW_NONE;
	}
	struct sw_source_record *r = &w->records[index];
	const uint32_t note = sw_limiter_note(&w->limiter, at);
	const uint64_t syns = note & SW_NOTE_RECORD ? 0 : note & SW_NOTE_VALUE;
	memset(r, 0, sizeof(*r));
	r->address = *source;
	r->service_slot = slot;
	r->proof = (uint8_t)proof;
	r->first_seen_tsc = r->last_seen_tsc = w->now;
	r->syns = syns;
	r->limiter = at;
	sw_limiter_set_note(&w->limiter, at, SW_NOTE_RECORD | index | (proof != SW_PROOF_CLAIMED ? SW_NOTE_PINNED : 0));
	if (proof != SW_PROOF_CLAIMED)
		w->proven_records++;
	if (++w->next_record_id == 0)
		w->next_record_id = 1;
	atomic_store_explicit(&r->id, w->next_record_id, memory_order_release); /* pairs with the reader's copy-and-look-again */
	return index;
}

uint32_t sw_source_make_entry(struct sw_worker *w, struct sw_limiter_key key)
{
	struct sw_limiter_evicted evicted;
	const uint32_t at = sw_limiter_add(&w->limiter, key, w->now, &evicted);

	if (evicted.fingerprint != 0 && evicted.note & SW_NOTE_RECORD)
		forget_record(w, evicted.note & SW_NOTE_INDEX);
	if (at == SW_LIMITER_NONE)
		sw_count(w, SW_NONE, SW_COUNT_LIMITER_FULL);
	return at;
}

void sw_source_claim_record(struct sw_worker *w, uint32_t at, const struct sw_address *source, uint32_t slot)
{
	make_record(w, at, source, slot, SW_PROOF_CLAIMED);
}

/* ---- proven connections ------------------------------------------------------------------------------------------- */

uint32_t sw_source_prove(struct sw_worker *w, const struct sw_address *source, bool is_ipv6, uint32_t slot)
{
	const uint32_t at = sw_source_take_entry(w, sw_source_key(w, source, is_ipv6, SW_LIMITER_SYN, slot));

	if (at == SW_LIMITER_NONE)
		return SW_FLOW_NONE;
	const uint32_t note = sw_limiter_note(&w->limiter, at);
	if (!(note & SW_NOTE_RECORD)) {
		const uint32_t index = make_record(w, at, source, slot, SW_PROOF_ECHOED);
		if (index != SW_FLOW_NONE)
			sw_count(w, slot, SW_COUNT_SOURCES_PROVEN);
		return index;
	}
	const uint32_t index = note & SW_NOTE_INDEX;
	struct sw_source_record *r = &w->records[index];
	r->last_seen_tsc = w->now;
	if (r->proof == SW_PROOF_CLAIMED) {
		r->proof = SW_PROOF_ECHOED;
		sw_limiter_set_note(&w->limiter, at, note | SW_NOTE_PINNED);
		w->proven_records++;
		sw_count(w, slot, SW_COUNT_SOURCES_PROVEN);
	}
	return index;
}

void sw_source_block(struct sw_worker *w, uint32_t record, uint64_t until_tsc)
{
	w->records[record].blocked_until_tsc = until_tsc;
	*note_of(w, record) |= SW_NOTE_BLOCKED;
}

static void block(struct sw_worker *w, const struct sw_service_profile *s, struct sw_source_record *r)
{
	struct sw_event event = {
		.kind = SW_EVENT_BLOCKED,
		.service_slot = s->slot,
		.address = r->address,
		.until_tsc = w->now + s->block_cycles,
	};

	sw_source_block(w, (uint32_t)(r - w->records), event.until_tsc);
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

void sw_source_note_refusal(struct sw_worker *w, const struct sw_service_profile *s, uint32_t record,
	uint64_t connection)
{
	struct sw_source_record *r = &w->records[record];

	r->dropped++;
	r->last_seen_tsc = w->now;
	if (refused_before(w, connection))
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

/* ---- concurrent connections --------------------------------------------------------------------------------------- */

/*
 * The flow remembers where it was counted: the policy may have other levels when it ends, or none. An entry that counts
 * is pinned, so it is still there.
 */
static void count_level(struct sw_worker *w, struct sw_flow_setup *f, uint32_t slot, unsigned int level,
	const struct sw_admission *admission)
{
	uint32_t at = admission ? sw_admission_place(&w->limiter, admission, level) : SW_LIMITER_NONE;

	if (at == SW_LIMITER_NONE)
		at = sw_source_take_entry(w, sw_level_key(w, &f->client, f->is_ipv6, SW_LIMITER_CONN, level, slot));
	if (at == SW_LIMITER_NONE)
		return;
	const uint32_t connections = sw_limiter_note(&w->limiter, at) & SW_NOTE_VALUE;
	sw_limiter_set_note(&w->limiter, at, (connections + 1) | SW_NOTE_PINNED);
	f->counted_by[level - 1] = at + 1;
}

static void uncount_levels(struct sw_worker *w, struct sw_flow_setup *f)
{
	for (unsigned int i = 0; i < SW_PREFIX_LEVELS - 1; i++) {
		if (f->counted_by[i] == 0)
			continue;
		const uint32_t at = f->counted_by[i] - 1;
		const uint32_t left = (sw_limiter_note(&w->limiter, at) & SW_NOTE_VALUE) - 1;
		sw_limiter_set_note(&w->limiter, at, left | (left ? SW_NOTE_PINNED : 0));
		f->counted_by[i] = 0;
	}
}

void sw_flow_count(struct sw_worker *w, uint32_t flow, const struct sw_service_profile *service,
	const struct sw_admission *admission)
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
			count_level(w, setup, service->slot, level, admission);
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

/* How many records are due, by the milliseconds since the last time. */
static uint32_t records_due(struct sw_worker *w)
{
	const uint64_t ms_cycles = w->shared->tsc_hz / 1000, ms = (w->now - w->record_sweep_tsc) / ms_cycles;
	const uint64_t due = ms * RTE_MIN(w->record_count / SWEEP_MS + 1, (uint32_t)SWEEP_MAX);

	w->record_sweep_tsc += ms * ms_cycles;
	return (uint32_t)RTE_MIN(due, (uint64_t)RTE_MIN(w->record_count, (uint32_t)SWEEP_AT_ONCE));
}

void sw_sources_age(struct sw_worker *w)
{
	uint32_t left = records_due(w), ahead;

	for (; left != 0; left -= ahead) {
		ahead = RTE_MIN(left, (uint32_t)SW_BURST);
		for (uint32_t i = 0, index = w->record_sweep; i < ahead; i++, index = next_record(w, index))
			if (in_use(&w->records[index]))
				sw_prefetch(note_of(w, index));
		for (uint32_t i = 0; i < ahead; i++, w->record_sweep = next_record(w, w->record_sweep)) {
			const uint32_t index = w->record_sweep;
			if (!in_use(&w->records[index]))
				continue;
			bring_up_to_date(w, index);
			if (may_be_forgotten(w, index, PROVEN_IDLE_S))
				unlink_record(w, index);
		}
	}
}

unsigned int sw_source_unblock(struct sw_worker *w, const struct sw_address *address, uint32_t slot)
{
	unsigned int lifted = 0;

	for (uint32_t i = 0; i < w->record_count; i++) {
		struct sw_source_record *r = &w->records[i];
		if (!in_use(r) || r->blocked_until_tsc == 0 ||
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

/* SW_FLOW_NONE: there is none. */
static uint32_t find_record(const struct sw_worker *w, const struct sw_address *address, uint32_t slot)
{
	const uint32_t at =
		sw_limiter_find(&w->limiter, sw_source_key(w, address, !sw_address_is_ipv4(address), SW_LIMITER_SYN, slot));
	const uint32_t note = at == SW_LIMITER_NONE ? 0 : sw_limiter_note(&w->limiter, at);

	return note & SW_NOTE_RECORD ? note & SW_NOTE_INDEX : SW_FLOW_NONE;
}

bool sw_source_note_blocked(struct sw_worker *w, const struct sw_address *source, uint32_t slot)
{
	if (w->block_count == 0) /* there never was one */
		return false;
	const uint32_t record = find_record(w, source, slot);
	if (!sw_source_blocked(w, record))
		return false;
	struct sw_source_record *r = &w->records[record];
	r->syns++;
	r->dropped++;
	r->last_seen_tsc = w->now;
	return true;
}

const struct sw_source_record *sw_source_find(struct sw_worker *w, const struct sw_address *address, uint32_t slot)
{
	const uint32_t record = find_record(w, address, slot);

	if (record == SW_FLOW_NONE)
		return NULL;
	sw_sources_tell(w);
	bring_up_to_date(w, record);
	return &w->records[record];
}
