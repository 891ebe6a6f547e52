/* SPDX-License-Identifier: BSD-3-Clause */
#include "flow.h"

#include "admission.h"
#include "core/prefix_table.h"

enum {
	SWEEP_SLICE = 32,
	EMBRYONIC_ARMED_S = 3, /* longer than a lost SYN-ACK takes to be repeated (RFC 6298: 1 s) */
};

/* ---- finding ------------------------------------------------------------------------------------------------------ */

void sw_flow_look_again(struct sw_worker *w, struct sw_burst *b, unsigned int i)
{
	const bool was_known = b->flows[i] != SW_FLOW_NONE;

	b->flows[i] = sw_flow_find(&w->flows, b->hashes[i]);
	if (was_known && b->flows[i] == SW_FLOW_NONE && b->side == SW_OUTSIDE)
		b->classes[i] = sw_prefix_table_lookup(w->policy->sources, &b->packets[i].client);
}

/* ---- making ------------------------------------------------------------------------------------------------------- */

static bool shed_head(struct sw_worker *w, enum sw_flow_list list)
{
	const uint32_t oldest = w->flows.lists[list].head;

	if (oldest == SW_FLOW_NONE)
		return false;
	sw_flow_end(w, oldest, SW_COUNT_FLOW_SHED);
	return true;
}

/* An embryonic flow may push out another embryonic one and no more than a quarter of the table is theirs. */
static uint32_t insert(struct sw_worker *w, uint64_t hash, enum sw_flow_list list)
{
	if (list == SW_LIST_EMBRYONIC && w->flows.lists[list].count >= w->flows.capacity / 4)
		shed_head(w, SW_LIST_EMBRYONIC);
	const uint32_t flow = sw_flow_insert(&w->flows, hash, list);
	if (flow != SW_FLOW_NONE)
		return flow;
	if (!shed_head(w, SW_LIST_EMBRYONIC) && (list == SW_LIST_EMBRYONIC || !shed_head(w, SW_LIST_CLOSING)))
		return SW_FLOW_NONE;
	return sw_flow_insert(&w->flows, hash, list);
}

uint32_t sw_flow_make(struct sw_worker *w, const struct sw_burst *b, unsigned int i, enum sw_flow_list list)
{
	const struct sw_packet *p = &b->packets[i];
	const uint32_t flow = insert(w, b->hashes[i], list);

	if (flow == SW_FLOW_NONE)
		return flow;
	struct sw_flow *f = &w->flows.flows[flow];
	struct sw_flow_setup *s = &w->flows.setups[flow];
	f->service_slot = (uint16_t)b->slots[i];
	f->last_seen = sw_coarse(w->now);
	s->client = p->client;
	s->server = p->server;
	s->client_port = p->client_port;
	s->server_port = p->server_port;
	s->vlan = p->vlan;
	s->is_ipv6 = p->is_ipv6;
	s->link = (uint8_t)b->link;
	s->link_layer_bytes = (uint8_t)p->l3_offset;
	s->opened = s->deadline = w->now;
	memcpy(s->link_layer, sw_frame_of(b->mbufs[i]), sizeof(s->link_layer)); /* and a little of what is behind */
	if (b->side == SW_INSIDE)
		sw_frame_turn(s->link_layer);
	/* Of what comes from outside the stage before has looked it up. */
	const uint32_t class =
		b->side == SW_OUTSIDE ? b->classes[i] : sw_prefix_table_lookup(w->policy->sources, &s->client);
	const uint32_t group = sw_prefix_table_class(w->policy->sources, class)->group;
	if (group != SW_NONE)
		s->group = w->policy->group[group].slot;
	return flow;
}

void sw_flow_establish_native(struct sw_worker *w, const struct sw_burst *b, unsigned int i, uint32_t flow)
{
	struct sw_flow *f = &w->flows.flows[flow];
	const struct sw_service_profile *service = sw_service_of(w, b, i);
	struct sw_limiter_lanes lanes;
	struct sw_admission a = {
		.lanes = &lanes,
		.service = service,
		.source = &w->flows.setups[flow].client,
		.is_ipv6 = w->flows.setups[flow].is_ipv6,
		.group = SW_NONE,
		.connection = b->hashes[i],
	};

	f->state = SW_FLOW_ESTABLISHED;
	f->record = sw_source_prove(w, a.source, a.is_ipv6, service->slot);
	if (service->mode == SW_MODE_MONITOR) {
		const struct sw_admission_run run = {service, 1, a.is_ipv6};
		sw_admission_prepare(w, &run, SW_LIMITER_CONN, a.source, 0, &lanes);
		if (sw_admit_connection(w, &a, f->record) != SW_ADMITTED)
			sw_count(w, service->slot, SW_COUNT_WOULD_DROP);
	} else if (f->record != SW_FLOW_NONE) {
		w->records[f->record].conns++;
	}
	sw_flow_count(w, flow, service, NULL);
	sw_flow_move(&w->flows, flow, SW_LIST_ESTABLISHED);
	sw_count(w, service->slot, SW_COUNT_FLOW_NATIVE);
}

/* ---- ending ------------------------------------------------------------------------------------------------------- */

void sw_flow_end(struct sw_worker *w, uint32_t flow, enum sw_count why)
{
	struct sw_flow *f = &w->flows.flows[flow];

	sw_flow_uncount(w, flow);
	sw_held_discard(w, flow, SW_DROP_HELD_DISCARDED);
	if (f->flags & SW_FLOW_PROXIED)
		w->proxied_flows--;
	/* A closing flow was counted as closed when it began to. */
	if (f->state != SW_FLOW_CLOSING || why == SW_COUNT_FLOW_SHED)
		sw_count(w, f->service_slot, why);
	sw_flow_remove(&w->flows, flow);
}

void sw_flow_close(struct sw_worker *w, uint32_t flow)
{
	struct sw_flow *f = &w->flows.flows[flow];

	if (f->state == SW_FLOW_CLOSING)
		return;
	sw_flow_uncount(w, flow);
	f->state = SW_FLOW_CLOSING;
	sw_count(w, f->service_slot, SW_COUNT_FLOW_CLOSED);
	w->flows.setups[flow].deadline = w->now;
	sw_flow_move(&w->flows, flow, SW_LIST_CLOSING);
}

/* ---- ageing ------------------------------------------------------------------------------------------------------- */

static bool idle(const struct sw_worker *w, uint32_t flow, uint32_t limit)
{
	return sw_coarse(w->now) - w->flows.flows[flow].last_seen > limit;
}

/*
 * SYNs that passed before the service was armed hold places in the server's backlog for a minute or more, and the
 * proven connections behind them find none. Those still unanswered after a few seconds are taken back.
 */
static void clear_backlog(struct sw_worker *w)
{
	uint32_t next, flow = w->flows.lists[SW_LIST_EMBRYONIC].head;

	for (unsigned int n = 0; n < SWEEP_SLICE && flow != SW_FLOW_NONE; n++, flow = next) {
		const struct sw_flow *f = &w->flows.flows[flow];
		if (w->now - w->flows.setups[flow].deadline < EMBRYONIC_ARMED_S * w->shared->tsc_hz)
			return;
		next = w->flows.setups[flow].next;
		if (f->state != SW_FLOW_EMBRYONIC || !sw_armed(w, f->service_slot)) /* another service's: not in the way */
			continue;
		sw_connect_reset_server(w, flow);
		sw_flow_end(w, flow, SW_COUNT_FLOW_SHED);
	}
}

/* Heads are oldest by when they entered the list (`deadline`); one that is still in use goes round once more. */
static void age_list(struct sw_worker *w, enum sw_flow_list list, uint32_t limit)
{
	for (unsigned int n = 0; n < SWEEP_SLICE; n++) {
		const uint32_t oldest = w->flows.lists[list].head;
		if (oldest == SW_FLOW_NONE)
			return;
		if (idle(w, oldest, limit)) {
			sw_flow_end(w, oldest, SW_COUNT_FLOW_EXPIRED);
			continue;
		}
		struct sw_flow_setup *s = &w->flows.setups[oldest];
		if (sw_coarse(w->now) - sw_coarse(s->deadline) <= limit)
			return;
		s->deadline = w->now;
		sw_flow_move(&w->flows, oldest, list);
	}
}

void sw_flows_age(struct sw_worker *w)
{
	clear_backlog(w);
	age_list(w, SW_LIST_EMBRYONIC, w->policy->idle_embryonic);
	age_list(w, SW_LIST_CLOSING, w->policy->idle_closing);
	for (unsigned int n = 0; n < SWEEP_SLICE; n++) {
		const uint32_t flow = w->sweep;
		w->sweep = flow + 1 == w->flows.capacity ? 0 : flow + 1;
		if (w->flows.flows[flow].state == SW_FLOW_ESTABLISHED && idle(w, flow, w->policy->idle_established))
			sw_flow_end(w, flow, SW_COUNT_FLOW_EXPIRED);
	}
}
