/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a worker knows of sources: records, with evidence, for those that have proven themselves or claim a lot; their
 * blocks; and the limiter's entries, which may name a record. Two rules stand here: only a proven source is blocked or
 * counted against a concurrent limit, and no unproven packet takes a place that a proven source holds.
 */
#ifndef SW_SOURCES_H
#define SW_SOURCES_H

#include "core/prefetch.h"
#include "worker.h"

struct sw_admission;

/* ---- entries of the limiter ---------------------------------------------------------------------------------------- */

/* Of a source towards a service. */
static inline struct sw_limiter_key sw_source_key(const struct sw_worker *w, const struct sw_address *source,
	bool is_ipv6, enum sw_limiter_kind kind, uint32_t slot)
{
	return sw_limiter_source_key(&w->limiter, source, kind, slot,
		sw_limiter_home_key(&w->limiter, source, is_ipv6, kind, slot).home);
}

/* Of its prefix of `level`, 1 or more, which is no neighbourhood. */
static inline struct sw_limiter_key sw_prefix_key(const struct sw_worker *w, const struct sw_address *source,
	bool is_ipv6, enum sw_limiter_kind kind, unsigned int level, uint32_t slot)
{
	const __m128i prefix =
		_mm_and_si128(sw_limiter_load(source->bytes), sw_limiter_load(w->policy->levels[is_ipv6].masks[level]));
	const __m128i scrambled = sw_limiter_scramble(&w->limiter, prefix, sw_limiter_what(kind, level, slot));
	const uint64_t hash = sw_limiter_as_wide((uint64_t)_mm_cvtsi128_si64(scrambled));

	return (struct sw_limiter_key){.hash = hash, .home = hash};
}

/* Of any level. */
static inline struct sw_limiter_key sw_level_key(const struct sw_worker *w, const struct sw_address *source,
	bool is_ipv6, enum sw_limiter_kind kind, unsigned int level, uint32_t slot)
{
	if (level == 0)
		return sw_source_key(w, source, is_ipv6, kind, slot);
	if (level == w->policy->levels[is_ipv6].home)
		return sw_limiter_home_key(&w->limiter, source, is_ipv6, kind, slot);
	return sw_prefix_key(w, source, is_ipv6, kind, level, slot);
}

/* The entry of `key`, which is not there yet; SW_LIMITER_NONE when its lines are full of pinned ones. */
__attribute__((noinline)) uint32_t sw_source_make_entry(struct sw_worker *w, struct sw_limiter_key key);

static inline uint32_t sw_source_take_entry(struct sw_worker *w, struct sw_limiter_key key)
{
	const uint32_t at = sw_limiter_find(&w->limiter, key);
	return at != SW_LIMITER_NONE ? at : sw_source_make_entry(w, key);
}

/* ---- records ------------------------------------------------------------------------------------------------------- */

/* A record, if one is to be had, for an unproven source with the entry `at`. */
void sw_source_claim_record(struct sw_worker *w, uint32_t at, const struct sw_address *source, uint32_t slot);

/*
 * SYNs of a source with a record are counted in its limiter entry's note (limiter_table.h), so that a SYN touches one line
 * less; the record is told of them when they are 31, when what becomes of them changes, and by sw_sources_age(): once a
 * second, or in up to 8 s where a worker has more than a quarter of a million records or sleeps for long.
 *
 * A SYN with which the number overflows, or that fares differently from those before: the record is to be told of those,
 * and is asked for. The note at `at`, which was `note`, then counts this SYN alone.
 */
void sw_source_leave_word(struct sw_worker *w, uint32_t *at, uint32_t note, bool dropped);

/* Tells them. */
void sw_sources_tell_all(struct sw_worker *w);

static inline void sw_sources_tell(struct sw_worker *w)
{
	if (w->untold_count != 0)
		sw_sources_tell_all(w);
}

/* Asks for the line where the source's entry is looked for first: sw_source_prove() will want it. */
static inline void sw_source_ask(const struct sw_worker *w, const struct sw_address *source, bool is_ipv6, uint32_t slot)
{
	const struct sw_limiter_key home = sw_limiter_home_key(&w->limiter, source, is_ipv6, SW_LIMITER_SYN, slot);
	sw_prefetch(sw_limiter_set_of(&w->limiter, home.home));
}

/*
 * A source has echoed a cookie or a server's ISN: its record (made when there is none) becomes proven. Returns the
 * record's index, SW_FLOW_NONE when no record can be had.
 */
uint32_t sw_source_prove(struct sw_worker *w, const struct sw_address *source, bool is_ipv6, uint32_t slot);

/*
 * A proven source was refused `connection` (a hash that tells its connections apart) for its own excess. Blocks it when it
 * overdoes that.
 */
void sw_source_note_refusal(struct sw_worker *w, const struct sw_service_profile *s, uint32_t record,
	uint64_t connection);

/*
 * The flow is established or about to be: counts as concurrent until sw_flow_uncount(). `admission`: that which let it
 * in, whose entries need no second search; NULL where there is none.
 */
void sw_flow_count(struct sw_worker *w, uint32_t flow, const struct sw_service_profile *service,
	const struct sw_admission *admission);
void sw_flow_uncount(struct sw_worker *w, uint32_t flow);

/* Changes with every policy and every block: while it is the same, what was found out about a source holds. */
static inline uint32_t sw_source_stamp(const struct sw_worker *w)
{
	return (uint32_t)w->policy->generation * 0x10001u + w->block_count;
}

static inline bool sw_source_blocked(const struct sw_worker *w, uint32_t record)
{
	return record != SW_FLOW_NONE && w->records[record].blocked_until_tsc != 0 &&
		(int64_t)(w->records[record].blocked_until_tsc - w->now) > 0;
}

/* Blocks the source of a record until then. */
void sw_source_block(struct sw_worker *w, uint32_t record, uint64_t until_tsc);

/* Is this source blocked towards `slot`? Counts the packet against it if so. For SYNs that no limit looks at. */
bool sw_source_note_blocked(struct sw_worker *w, const struct sw_address *source, uint32_t slot);

/* Once a millisecond: brings some of the records up to date, and forgets those that have been quiet for long. */
void sw_sources_age(struct sw_worker *w);

/* Lifts blocks on `address` set by sw_source_note_refusal(), towards `slot` or, with SW_NONE, all. Returns how many. */
unsigned int sw_source_unblock(struct sw_worker *w, const struct sw_address *address, uint32_t slot);

/* The record of `address` towards `slot`, up to date, or NULL. */
const struct sw_source_record *sw_source_find(struct sw_worker *w, const struct sw_address *address, uint32_t slot);

#endif
