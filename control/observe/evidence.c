/* SPDX-License-Identifier: BSD-3-Clause */
#include "top.h"

#include <errno.h>
#include <stdlib.h>

const char *const sw_proof_names[SW_PROOF_SENT_DATA + 1] = {
    [SW_PROOF_CLAIMED] = "claimed", [SW_PROOF_ECHOED] = "echoed", [SW_PROOF_SENT_DATA] = "sent_data"};

enum { ANCHOR_TRIES = 1000 };

/* Both clocks at one moment. A dataplane killed between the two increments leaves the version odd: take what there is.
 */
static void read_anchor(const struct sw_region *r, uint64_t *tsc, uint64_t *unix_ns)
{
	for (int i = 0; i < ANCHOR_TRIES; i++) {
		const uint64_t before = atomic_load_explicit(&r->anchor_version, memory_order_acquire);
		*tsc = *(const volatile uint64_t *)&r->anchor_tsc;
		*unix_ns = *(const volatile uint64_t *)&r->anchor_unix_ns;
		atomic_thread_fence(memory_order_acquire); /* pairs with the release of housekeeping's second increment */
		if (!(before & 1) && atomic_load_explicit(&r->anchor_version, memory_order_relaxed) == before)
			return;
	}
}

struct clock {
	uint64_t tsc, unix_ns, tsc_hz;
};

static struct clock clock_of(const struct sw_region *r)
{
	struct clock c = {.tsc_hz = r->tsc_hz ? r->tsc_hz : 1};
	read_anchor(r, &c.tsc, &c.unix_ns);
	return c;
}

static uint64_t wall_time(const struct clock *c, uint64_t tsc)
{
	if (!tsc)
		return 0;
	const bool later = tsc > c->tsc;
	const unsigned __int128 ticks = later ? tsc - c->tsc : c->tsc - tsc;
	const uint64_t ns = (uint64_t)(ticks * 1000000000u / c->tsc_hz);
	if (later)
		return c->unix_ns + ns;
	return ns < c->unix_ns ? c->unix_ns - ns : 1;
}

uint64_t sw_region_unix_ns(const struct sw_region *r, uint64_t tsc)
{
	const struct clock c = clock_of(r);
	return wall_time(&c, tsc);
}

static void convert(const struct clock *c, const struct sw_source_record *from, uint32_t worker, uint64_t unix_ns,
    struct sw_evidence_record *to)
{
	memset(to, 0, sizeof(*to));
	to->source.address = from->address;
	to->source.length = 128;
	to->service_slot = from->service_slot;
	to->proof = from->proof > SW_PROOF_SENT_DATA ? SW_PROOF_CLAIMED : from->proof;
	to->worker = worker;
	to->sources = 1;
	to->echoed = to->proof >= SW_PROOF_ECHOED;
	to->sent_data = to->proof >= SW_PROOF_SENT_DATA;
	to->concurrent = from->concurrent;
	to->first_seen_unix_ns = wall_time(c, from->first_seen_tsc);
	to->last_seen_unix_ns = wall_time(c, from->last_seen_tsc);
	to->syns = from->syns;
	to->conns = from->conns;
	to->refused = from->refused;
	to->bytes_in = from->bytes_in;
	to->dropped = from->dropped;
	const uint64_t until = wall_time(c, from->blocked_until_tsc);
	to->blocked_until_unix_ns = until > unix_ns ? until : 0;
	to->blocked = to->blocked_until_unix_ns != 0;
}

void sw_evidence_convert(const struct sw_region *r, const struct sw_source_record *from, uint32_t worker,
    uint64_t unix_ns, struct sw_evidence_record *to)
{
	const struct clock c = clock_of(r);
	convert(&c, from, worker, unix_ns, to);
}

/* Copies a record that stays whose it is meanwhile. */
static bool copy_record(const struct sw_source_record *from, struct sw_source_record *to)
{
	const uint32_t id = atomic_load_explicit(&from->id, memory_order_acquire);
	if (!id)
		return false;
	memcpy(to, from, sizeof(*to));
	atomic_thread_fence(memory_order_acquire); /* pairs with the release of the worker that gives the record away */
	return atomic_load_explicit(&from->id, memory_order_relaxed) == id;
}

static int append(struct sw_evidence *e, const struct sw_evidence_record *record)
{
	if (e->count == e->room) {
		const uint32_t room = e->room ? e->room * 2 : 256;
		struct sw_evidence_record *larger = realloc(e->records, room * sizeof(*larger));
		if (!larger)
			return -ENOMEM;
		e->records = larger;
		e->room = room;
	}
	e->records[e->count++] = *record;
	return 0;
}

static bool is_offender(const struct sw_evidence_record *r)
{
	return r->proof >= SW_PROOF_ECHOED && (r->refused || r->blocked_until_unix_ns);
}

int sw_evidence_scan(struct sw_evidence *e, const struct sw_region *r, uint64_t mono_ns, uint64_t unix_ns)
{
	const struct clock c = clock_of(r);
	e->count = e->blocked = e->offenders = 0;
	memset(e->by_proof, 0, sizeof(e->by_proof));
	e->scanned_mono_ns = mono_ns;
	e->scanned_unix_ns = unix_ns;
	for (uint32_t w = 0; w < r->workers; w++) {
		const struct sw_source_record *records = sw_region_sources(r, w);
		for (uint32_t i = 0; i < r->source_records_per_worker; i++) {
			struct sw_source_record copy;
			struct sw_evidence_record one;
			if (!copy_record(&records[i], &copy))
				continue;
			convert(&c, &copy, w, unix_ns, &one);
			if (append(e, &one))
				return -ENOMEM;
			e->by_proof[one.proof]++;
			e->blocked += one.blocked;
			e->offenders += is_offender(&one);
		}
	}
	return 0;
}

void sw_evidence_free(struct sw_evidence *e)
{
	free(e->records);
	e->records = NULL;
	e->count = e->room = 0;
	e->scanned_mono_ns = 0;
}

uint32_t sw_evidence_of(
    const struct sw_evidence *e, const struct sw_address *address, struct sw_evidence_record *out, uint32_t limit)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < e->count && n < limit; i++)
		if (sw_address_equal(&e->records[i].source.address, address))
			out[n++] = e->records[i];
	return n;
}

bool sw_evidence_fits(const struct sw_evidence_record *r, const struct sw_evidence_filter *f)
{
	return (f->service_slot == SW_NONE || r->service_slot == f->service_slot) && r->proof >= f->proof_min &&
	       (!f->offenders || is_offender(r));
}

int sw_evidence_top(const struct sw_evidence *e, const struct sw_evidence_filter *filter, enum sw_sort sort,
    uint32_t limit, struct sw_evidence_record **out)
{
	struct sw_top top;
	if (sw_top_open(&top, sort, limit))
		return -ENOMEM;
	for (uint32_t i = 0; i < e->count; i++)
		if (sw_evidence_fits(&e->records[i], filter))
			sw_top_offer(&top, &e->records[i]);
	return sw_top_finish(&top, out);
}
