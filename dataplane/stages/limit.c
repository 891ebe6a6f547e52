/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage 3: SYNs from outside. What is quiet passes; what is armed goes through the limits, and what they admit stays
 * pending for the challenge.
 */
#include "stage.h"

#include <rte_branch_prediction.h>

#include "../core/prefix_table.h"
#include "../admission.h"

static void pass(struct sw_worker *w, struct sw_burst *b, unsigned int i)
{
	sw_decide(b, i, SW_FORWARD);
	sw_count(w, b->slots[i], SW_COUNT_SYN_PASSED);
}

/* Past the limits, which would have asked for blocks. */
static void pass_unless_blocked(struct sw_worker *w, struct sw_burst *b, unsigned int i)
{
	if (sw_service_of(w, b, i)->mode != SW_MODE_OFF &&
		sw_source_note_blocked(w, &b->packets[i].client, b->slots[i])) {
		sw_drop(b, i, SW_DROP_BLOCKED);
		return;
	}
	pass(w, b, i);
}

/*
 * Housekeeping decides every 20 ms; a flood can fill a small backlog in that time. So a worker that sees more SYNs than
 * arm the service challenges them from that packet on, and housekeeping takes over when it sees the same.
 */
static bool arms_at_once(struct sw_worker *w, const struct sw_service_profile *s)
{
	struct sw_budget *b = &w->service_budgets[s->slot];

	if (sw_rate_allows(&s->start, b->native_tat, w->now)) {
		b->native_tat = sw_rate_take(&s->start, b->native_tat, w->now);
		return false;
	}
	b->armed_until_tsc = w->now + w->shared->tsc_hz / 4;
	return true;
}

/* True: this SYN has to go through the limits. */
static inline bool select_syn(struct sw_worker *w, struct sw_burst *b, unsigned int i,
	const struct sw_service_profile *s)
{
	const struct sw_packet *p = &b->packets[i];

	if (s->mode == SW_MODE_MONITOR)
		return true;
	if (!sw_armed(w, s->slot) && !arms_at_once(w, s)) {
		pass_unless_blocked(w, b, i);
		return false;
	}
	if (p->is_fragment) {
		sw_drop(b, i, SW_DROP_SYN_FRAGMENTED);
		return false;
	}
	if (p->options & (SW_OPTION_MD5 | SW_OPTION_AO)) {
		if (s->tcp_auth == SW_TCP_AUTH_PASS)
			pass_unless_blocked(w, b, i);
		else
			sw_drop(b, i, SW_DROP_TCP_AUTH_REFUSED);
		return false;
	}
	return true;
}

/* Answers with a RST instead of dropping silently. */
static void reset(struct sw_worker *w, struct sw_burst *b, unsigned int i)
{
	const enum sw_drop_reason reason = (enum sw_drop_reason)b->reasons[i];

	/* What the reflection cap stops must not be answered in another way, and RSTs have caps like SYN-ACKs. Who is blocked
	 * gets silence. */
	if (sw_may_be_answered(reason) && sw_admit_reset(w, &b->packets[i].client, b->packets[i].is_ipv6))
		sw_answer_reset(w, b, i, reason);
	else
		sw_drop(b, i, reason);
}

/* Those whose service wants it so. */
static uint32_t find_resets(const struct sw_syn_admissions *a)
{
	uint32_t resets = 0;

	for (unsigned int k = 0; k < a->run_count; k++)
		if (a->runs[k].service->refusal == SW_REFUSE_RST)
			resets |= a->runs[k].set;
	return resets;
}

/* `refused`: with their reasons in b->reasons. */
static void refuse(struct sw_worker *w, struct sw_burst *b, uint32_t refused)
{
	uint32_t resets = refused & find_resets(&b->admissions);

	sw_decide_all(b, refused & ~resets, SW_DROP);
	for (unsigned int i; sw_next(&resets, &i);)
		reset(w, b, i);
}

/* Mode monitor: it passes, and what would have become of it is counted. */
static void simulate(struct sw_worker *w, struct sw_burst *b, unsigned int i, bool refused)
{
	if (refused)
		sw_count(w, b->slots[i], SW_COUNT_WOULD_DROP);
	pass(w, b, i);
}

static inline bool is_plain(const struct sw_packet *p)
{
	return !p->is_fragment && !(p->options & (SW_OPTION_MD5 | SW_OPTION_AO));
}

/* Those of a set of SYNs that need no closer look than the limits'. */
static inline uint32_t find_plain(const struct sw_burst *b, uint32_t syns)
{
	uint32_t strays = syns & b->strays;

	for (unsigned int i; sw_next(&strays, &i);)
		syns &= ~((uint32_t)!is_plain(&b->packets[i]) << i);
	return syns;
}

static inline uint32_t group_of(const struct sw_worker *w, uint32_t class)
{
	return class == SW_SOURCE_CLASS_NONE ? SW_NONE : sw_prefix_table_class(w->policy->sources, class)->group;
}

static inline bool same_run(const struct sw_burst *b, unsigned int i, unsigned int k)
{
	return b->services[i] == b->services[k] && b->packets[i].is_ipv6 == b->packets[k].is_ipv6;
}

static inline struct sw_admission_run run_of(const struct sw_worker *w, const struct sw_burst *b, uint32_t set)
{
	const unsigned int first = (unsigned int)__builtin_ctz(set);

	return (struct sw_admission_run){sw_service_of(w, b, first), set, b->packets[first].is_ipv6};
}

/* Those of `set` that are of a run with the first one, wherever they stand. */
static inline uint32_t find_alike(const struct sw_burst *b, uint32_t set)
{
	const unsigned int first = (unsigned int)__builtin_ctz(set);
	const uint32_t same_service = set & sw_find_equal(b->services, b->services[first]);
	const uint32_t ipv6 = sw_find_ipv6(b, same_service);

	return b->packets[first].is_ipv6 ? ipv6 : same_service & ~ipv6;
}

unsigned int sw_burst_runs(const struct sw_worker *w, const struct sw_burst *b, uint32_t set,
	struct sw_admission_run runs[SW_BURST])
{
	unsigned int count = 0, lone = 0, latest = SW_BURST;

	if (set != 0 && b->one_server) { /* of one family, then */
		runs[0] = run_of(w, b, set);
		return 1;
	}
	while (set != 0 && lone < SW_LONE_MAX) {
		const uint32_t alike = find_alike(b, set);
		runs[count++] = run_of(w, b, alike);
		lone += (alike & (alike - 1)) == 0;
		set &= ~alike;
	}
	for (unsigned int i; sw_next(&set, &i); latest = i) {
		if (latest != SW_BURST && same_run(b, i, latest))
			runs[count - 1].set |= 1u << i;
		else
			runs[count++] = run_of(w, b, 1u << i);
	}
	return count;
}

/* Adds SYNs of one run to those that go through the limits. */
static void prepare(struct sw_worker *w, struct sw_burst *b, const struct sw_admission_run *run)
{
	struct sw_syn_admissions *a = &b->admissions;

	sw_set_bytes(a->run_of, run->set, (uint8_t)a->run_count);
	a->prepared |= run->set;
	a->runs[a->run_count++] = *run;
	sw_admission_prepare(w, run, SW_LIMITER_SYN, &b->packets[0].client, sizeof(b->packets[0]), a->lanes);
}

void sw_limits_ask(struct sw_worker *w, struct sw_burst *b, uint32_t syns)
{
	struct sw_admission_run runs[SW_BURST];
	const unsigned int count = sw_burst_runs(w, b, find_plain(b, syns), runs);

	for (unsigned int k = 0; k < count; k++)
		if (runs[k].service->mode >= SW_MODE_AUTO && sw_armed(w, runs[k].service->slot))
			prepare(w, b, &runs[k]);
}

void sw_limits_doubt(struct sw_burst *b, uint32_t syns)
{
	struct sw_syn_admissions *a = &b->admissions;

	a->doubtful = a->prepared & syns;
	a->prepared &= ~syns;
}

/* Adds those that have yet to be looked at. Doubtful ones are in a run already. */
static void select_syns(struct sw_worker *w, struct sw_burst *b)
{
	uint32_t todo = b->pending & b->syns & ~b->admissions.prepared, selected = 0;
	struct sw_admission_run runs[SW_BURST];

	for (unsigned int i; sw_next(&todo, &i);) {
		const struct sw_service_profile *s = sw_service_of(w, b, i);
		if (!select_syn(w, b, i, s))
			continue;
		const uint32_t group = group_of(w, b->classes[i]);
		b->admissions.groups[i] = group;
		b->admissions.grouped |= (uint32_t)(group != SW_NONE) << i;
		selected |= 1u << i;
		b->watched |= (uint32_t)(s->mode == SW_MODE_MONITOR) << i;
	}
	b->admissions.prepared |= selected & b->admissions.doubtful;
	const unsigned int count = sw_burst_runs(w, b, selected & ~b->admissions.doubtful, runs);
	for (unsigned int k = 0; k < count; k++)
		prepare(w, b, &runs[k]);
}

void sw_limits_place(struct sw_worker *w, struct sw_burst *b)
{
	if ((b->pending & b->syns) == 0)
		return;
	sw_sources_tell(w); /* asked for by the burst before */
	select_syns(w, b);
	sw_place_syns(w, &b->admissions, b->packets, b->reasons);
}

void sw_stage_limit(struct sw_worker *w, struct sw_burst *b)
{
	uint32_t watched = b->watched;

	if ((b->pending & b->syns) == 0)
		return;
	const uint32_t refused = sw_admit_syns(w, &b->admissions, b->packets, b->reasons, &b->proven);
	if (refused & ~watched)
		refuse(w, b, refused & ~watched);
	for (unsigned int i; sw_next(&watched, &i);)
		simulate(w, b, i, refused >> i & 1);
}
