/* SPDX-License-Identifier: BSD-3-Clause */
#include "pipeline.h"

#include <rte_cycles.h>

#include "challenges.h"
#include "core/prefix_table.h"
#include "flow.h"
#include "sources.h"
#include "stages/stage.h"

/*
 * A burst at a time would wait for memory at each step that looks at what the step before has asked for. So two are under
 * way, a step of one between two of the other:
 *
 *     burst n         ask            locate           decide
 *     burst n + 1            look_at            ask            (look_at n + 2)  locate  ...
 *
 * What look_at and ask read of one burst, no step of the burst before changes that comes behind them.
 */

void sw_pipeline_begin(struct sw_worker *w, uint64_t now_tsc)
{
	w->now = now_tsc;
	/* Both pair with housekeeping's release stores: what they point to is complete. */
	w->policy = atomic_load_explicit(&w->shared->policy, memory_order_acquire);
	w->keys = atomic_load_explicit(&w->shared->cookie_keys, memory_order_acquire);
}

/* The rest is the first stage's. */
static void open_burst(struct sw_burst *b, struct rte_mbuf **mbufs, unsigned int count, unsigned int link,
	enum sw_side side)
{
	b->count = count;
	b->link = link;
	b->side = side;
	b->cycles = 0;
	b->pending = sw_burst_all(b);
	b->syns = b->proven = 0;
	b->elsewhere = b->known = b->stale = b->undecided = b->watched = 0;
	b->admissions.prepared = b->admissions.doubtful = b->admissions.grouped = 0;
	b->admissions.run_count = 0;
	memcpy(b->mbufs, mbufs, count * sizeof(*mbufs));
}

/* What it is, and whose. */
static void look_at(struct sw_worker *w, struct sw_burst *b, bool handed_over)
{
	sw_stage_parse(w, b);
	if (!handed_over) {
		w->totals.count[SW_COUNT_RX] += b->count;
		w->totals.count[SW_COUNT_RX_BYTES] += b->bytes;
	}
	sw_stage_classify(w, b, handed_over);
	sw_lookup_ask(w, b);
}

/* What lists say of the sources of SYNs; where flows and limits stand; what need not go through limits is decided. */
static void locate(struct sw_worker *w, struct sw_burst *b)
{
	sw_sources_of_syns(w, b);
	sw_lookup_guess(w, b);
	sw_limits_place(w, b);
}

static void decide(struct sw_worker *w, struct sw_burst *b)
{
	sw_stage_limit(w, b);
	sw_stage_challenge(w, b);
	sw_stage_lookup(w, b);
	sw_stage_source(w, b);
	sw_stage_translate(w, b);
	sw_stage_verify(w, b);
	sw_stage_transmit(w, b);
}

static inline uint64_t begin_timing(const struct sw_worker *w)
{
	return unlikely(w->prefetch.timed) ? rte_rdtsc() : 0;
}

/* What was done since then was of this burst. */
static inline uint64_t note_time(const struct sw_worker *w, struct sw_burst *b, uint64_t since)
{
	if (likely(!w->prefetch.timed))
		return 0;
	const uint64_t now = rte_rdtsc();
	b->cycles += now - since;
	return now;
}

static void finish(struct sw_worker *w)
{
	struct sw_burst *b = w->waiting;
	const uint64_t since = begin_timing(w);

	if (b == NULL)
		return;
	locate(w, b);
	decide(w, b);
	note_time(w, b, since);
	sw_prefetch_choice_count(&w->prefetch, b->count, b->cycles);
	w->waiting = NULL;
}

void sw_pipeline_burst(struct sw_worker *w, struct rte_mbuf **mbufs, unsigned int count, unsigned int link,
	enum sw_side side, bool handed_over)
{
	struct sw_burst *before = w->waiting, *b = before == w->bursts ? w->bursts + 1 : w->bursts;
	uint64_t since = begin_timing(w);

	_Static_assert(SW_BURSTS_UNDER_WAY == 2, "this one, and the one before");
	open_burst(b, mbufs, count, link, side);
	look_at(w, b, handed_over);
	since = note_time(w, b, since);
	if (before != NULL) {
		locate(w, before);
		since = note_time(w, before, since);
	}
	sw_sources_ask(w, b);
	since = note_time(w, b, since);
	if (before != NULL) {
		decide(w, before);
		note_time(w, before, since);
		sw_prefetch_choice_count(&w->prefetch, before->count, before->cycles);
	}
	w->waiting = b;
}

void sw_pipeline_turn(struct sw_worker *w)
{
	sw_transmit_flush(w);
}

void sw_pipeline_timers(struct sw_worker *w)
{
	finish(w);
	if ((int64_t)(w->now - w->next_timers_tsc) < 0)
		return;
	w->next_timers_tsc = w->now + w->shared->tsc_hz / 1000;
	sw_connect_retry(w);
	sw_flows_age(w);
	sw_challenges_repeat(w);
	sw_sources_age(w);
}

static void update_gauges(struct sw_worker *w)
{
	struct sw_worker_counters *c = w->counters;

	c->flows_used = w->flows.used;
	c->flows_proxied = w->proxied_flows;
	c->flows_established = w->flows.lists[SW_LIST_ESTABLISHED].count;
	c->sources_used = w->record_count - w->free_record_count;
	c->sources_proven = w->proven_records;
	c->limiter_used = w->limiter.used;
	c->held_used = w->held_used;
}

void sw_pipeline_end(struct sw_worker *w)
{
	struct sw_worker_counters *c = w->counters;

	finish(w);
	sw_transmit_flush(w);
	sw_sources_count_denied(w);
	sw_sources_tell(w);
	const uint64_t version = atomic_load_explicit(&c->version, memory_order_relaxed);
	atomic_store_explicit(&c->version, version + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release); /* pairs with sw_read_worker(): odd is seen before what follows */
	memcpy(&c->total, &w->totals, sizeof(c->total));
	update_gauges(w);
	c->bursts++;
	atomic_store_explicit(&c->version, version + 2, memory_order_release);
}

void sw_pipeline_drain(struct sw_worker *w)
{
	for (uint32_t i = 0; i < w->flows.capacity; i++)
		if (w->flows.flows[i].state == SW_FLOW_CONNECTING)
			sw_held_discard(w, i, SW_DROP_HELD_DISCARDED);
	sw_challenges_drain(w);
}

/* ---- questions of people ------------------------------------------------------------------------------------------ */

static struct sw_bucket_fill fill_of(const struct sw_worker *w, const struct sw_rate *rate, uint64_t state)
{
	if (rate->interval == 0)
		return (struct sw_bucket_fill){0};
	return (struct sw_bucket_fill){
		.per_s = (uint32_t)(w->shared->tsc_hz / rate->interval),
		.burst = (uint32_t)(rate->tolerance / rate->interval + 1),
		.available = (uint32_t)sw_rate_available(rate, state, w->now),
	};
}

static uint32_t limit_of(const struct sw_share *share)
{
	return share->concurrent == SW_NONE ? 0 : share->concurrent;
}

static uint64_t tat_of(const struct sw_worker *w, uint32_t entry)
{
	return entry == SW_LIMITER_NONE ? w->now : *sw_limiter_tat(&w->limiter, entry);
}

static void explain_levels(struct sw_worker *w, struct sw_explain *e, const struct sw_service_profile *s,
	const struct sw_address *address)
{
	const bool is_ipv6 = !sw_address_is_ipv4(address);

	for (unsigned int l = 0; l < s->level_count; l++) {
		const struct sw_limit_profile *limit = &s->levels[l];
		const uint32_t syn = sw_limiter_find(&w->limiter, sw_level_key(w, address, is_ipv6, SW_LIMITER_SYN, l, s->slot));
		const uint32_t conn = sw_limiter_find(&w->limiter, sw_level_key(w, address, is_ipv6, SW_LIMITER_CONN, l, s->slot));
		const struct sw_rate syn_rate = sw_level_rate(&s->syn_rates, l);
		e->levels[l].syn = fill_of(w, &syn_rate, tat_of(w, syn));
		e->levels[l].conn = fill_of(w, &limit->conn, tat_of(w, conn));
		if (l == 0)
			e->levels[l].concurrent = e->record.concurrent;
		else if (conn != SW_LIMITER_NONE)
			e->levels[l].concurrent = sw_limiter_note(&w->limiter, conn) & SW_NOTE_VALUE;
		e->levels[l].concurrent_limit = limit->concurrent;
	}
}

static void explain(struct sw_worker *w, const struct sw_request *q, struct sw_explain *e)
{
	const uint32_t found = sw_prefix_table_find(w->policy->sources, &q->address);
	const struct sw_source_class c = sw_prefix_table_class_now(w->policy->sources, found,
		atomic_load_explicit(&w->shared->region->heartbeat_unix_ns, memory_order_relaxed));
	const uint32_t service = q->service_slot < w->policy->slot_count ? w->policy->service_by_slot[q->service_slot] : SW_NONE;
	const struct sw_source_record *record = sw_source_find(w, &q->address, q->service_slot);

	*e = (struct sw_explain){.rule = c.kind, .entry = c.entry, .group = SW_NONE, .worker = w->id};
	if (record != NULL) {
		e->record = *record;
		e->has_record = 1;
		e->proof = record->proof;
	}
	if (c.group != SW_NONE) {
		const uint32_t slot = e->group = w->policy->group[c.group].slot;
		e->in_group.syn = fill_of(w, &w->group_shares[slot].syn, w->group_budgets[slot].syn_tat);
		e->in_group.conn = fill_of(w, &w->group_shares[slot].conn, w->group_budgets[slot].conn_tat);
		e->in_group.concurrent = w->group_budgets[slot].concurrent;
		e->in_group.concurrent_limit = limit_of(&w->group_shares[slot]);
	}
	if (service == SW_NONE)
		return;
	const struct sw_service_profile *s = &w->policy->service[service];
	const struct sw_share *share = &w->service_shares[s->slot];
	e->armed = sw_armed(w, s->slot);
	explain_levels(w, e, s, &q->address);
	e->in_service.syn = fill_of(w, &share->syn, w->service_budgets[s->slot].syn_tat);
	e->in_service.conn = fill_of(w, &share->conn, w->service_budgets[s->slot].conn_tat);
	e->in_service.concurrent = w->service_budgets[s->slot].concurrent;
	e->in_service.concurrent_limit = limit_of(share);
}

void sw_pipeline_mail(struct sw_worker *w, struct sw_mail *mail)
{
	finish(w);
	mail->reply->status = SW_REPLY_OK;
	if (mail->request.kind == SW_REQUEST_UNBLOCK)
		mail->reply->count = sw_source_unblock(w, &mail->request.address, mail->request.service_slot);
	else if (mail->request.kind == SW_REQUEST_EXPLAIN)
		explain(w, &mail->request, &mail->reply->explain);
	else
		mail->reply->status = SW_REPLY_BAD_REQUEST;
	atomic_store_explicit(&mail->done, 1, memory_order_release); /* pairs with housekeeping's acquire: reply is complete */
}
