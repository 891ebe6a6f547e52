/* SPDX-License-Identifier: BSD-3-Clause */
#include "shares.h"

#include <errno.h>
#include <stdlib.h>

#include "core/budget.h"

int sw_shares_open(struct sw_box *box, struct sw_shares *out)
{
	*out = (struct sw_shares){.box = box};
	out->services = calloc((size_t)box->boot.services_max * box->boot.workers + 1, sizeof(*out->services));
	out->groups = calloc((size_t)box->boot.groups_max * box->boot.workers + 1, sizeof(*out->groups));
	if (out->services && out->groups)
		return 0;
	sw_shares_close(out);
	return -ENOMEM;
}

void sw_shares_close(struct sw_shares *s)
{
	free(s->services);
	free(s->groups);
	*s = (struct sw_shares){.box = NULL};
}

static uint64_t look(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* Word by word: a worker may see one share's interval with the next one's depth for a burst, which harms nobody. */
static void write_share(struct sw_share *to, const struct sw_share *share)
{
	__atomic_store_n(&to->syn.interval, share->syn.interval, __ATOMIC_RELAXED);
	__atomic_store_n(&to->syn.tolerance, share->syn.tolerance, __ATOMIC_RELAXED);
	__atomic_store_n(&to->conn.interval, share->conn.interval, __ATOMIC_RELAXED);
	__atomic_store_n(&to->conn.tolerance, share->conn.tolerance, __ATOMIC_RELAXED);
	__atomic_store_n(&to->concurrent, share->concurrent, __ATOMIC_RELAXED);
}

struct budget_view {
	const struct sw_limits *limits;
	struct sw_demand *before;         /* [workers] */
	struct sw_demand now[SW_WORKERS_MAX];
	struct sw_share *shares[SW_WORKERS_MAX];
	uint32_t used[SW_WORKERS_MAX];
};

static void share_out(struct budget_view *v, unsigned int workers, uint64_t tsc_hz)
{
	uint64_t syn_wanted[SW_WORKERS_MAX] = {0}, conn_wanted[SW_WORKERS_MAX] = {0};
	struct sw_rate syn[SW_WORKERS_MAX], conn[SW_WORKERS_MAX];
	uint32_t concurrent[SW_WORKERS_MAX];
	for (unsigned int i = 0; i < workers; i++) {
		syn_wanted[i] = v->now[i].syn - v->before[i].syn;
		conn_wanted[i] = v->now[i].conn - v->before[i].conn;
		concurrent[i] = v->shares[i]->concurrent;
		v->before[i] = v->now[i];
	}
	sw_budget_share_rate(v->limits->syn_per_s, v->limits->syn_burst, tsc_hz, syn_wanted, workers, syn);
	sw_budget_share_rate(v->limits->conn_per_s, v->limits->conn_burst, tsc_hz, conn_wanted, workers, conn);
	sw_budget_share_concurrent(v->limits->concurrent, v->used, conn_wanted, workers, concurrent);
	for (unsigned int i = 0; i < workers; i++) {
		const struct sw_share share = {.syn = syn[i], .conn = conn[i], .concurrent = concurrent[i]};
		write_share(v->shares[i], &share);
	}
}

static void share_service(struct sw_shares *s, const struct sw_service_profile *profile)
{
	const struct sw_box *box = s->box;
	struct budget_view v = {.limits = &profile->total,
		.before = &s->services[(size_t)profile->slot * box->boot.workers]};
	for (unsigned int i = 0; i < box->boot.workers; i++) {
		const struct sw_worker *w = box->workers[i];
		const struct sw_counters *c = &w->services[profile->slot];
		v.now[i] = (struct sw_demand){.syn = look(&c->count[SW_COUNT_SYN_RECEIVED]),
			.conn = look(&c->count[SW_COUNT_COOKIE_VALID])};
		v.shares[i] = &w->service_shares[profile->slot];
		v.used[i] = __atomic_load_n(&w->service_budgets[profile->slot].concurrent, __ATOMIC_RELAXED);
	}
	share_out(&v, box->boot.workers, box->shared.tsc_hz);
}

static void share_group(struct sw_shares *s, const struct sw_group_profile *profile)
{
	const struct sw_box *box = s->box;
	struct budget_view v = {.limits = &profile->limits,
		.before = &s->groups[(size_t)profile->slot * box->boot.workers]};
	for (unsigned int i = 0; i < box->boot.workers; i++) {
		const struct sw_worker *w = box->workers[i];
		const struct sw_group_counters *c = &w->groups[profile->slot];
		v.now[i] = (struct sw_demand){.syn = look(&c->syn_received), .conn = look(&c->conn_opened) + look(&c->refused)};
		v.shares[i] = &w->group_shares[profile->slot];
		v.used[i] = __atomic_load_n(&w->group_budgets[profile->slot].concurrent, __ATOMIC_RELAXED);
	}
	share_out(&v, box->boot.workers, box->shared.tsc_hz);
}

void sw_shares_update(struct sw_shares *s, const struct sw_policy *policy)
{
	for (uint32_t i = 0; i < policy->service_count; i++)
		share_service(s, &policy->service[i]);
	for (uint32_t i = 0; i < policy->group_count; i++)
		share_group(s, &policy->group[i]);
}
