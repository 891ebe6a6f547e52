/* SPDX-License-Identifier: BSD-3-Clause */
#include "housekeeping.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_rcu_qsbr.h>

#include "core/snapshot_check.h"
#include "log.h"
#include "mail.h"
#include "wire/wire.h"

enum { NS_PER_MS = 1000000, EVENTS_A_TICK = 1024, REQUESTS_AT_ONCE = 64 };

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- policies ---------------------------------------------------------------------------------------------------- */

/* Frees what no worker can hold any more. Returns whether there is room for one more to wait. */
static bool free_retired(struct sw_housekeeping *h)
{
	bool room = false;
	for (unsigned int i = 0; i < SW_RETIRED_MAX; i++) {
		struct sw_retired *r = &h->retired[i];
		if (r->policy && rte_rcu_qsbr_check(h->box->shared.rcu, r->token, false) == 1) {
			sw_policy_free(r->policy);
			r->policy = NULL;
		}
		room |= r->policy == NULL;
	}
	return room;
}

static void retire(struct sw_housekeeping *h, struct sw_policy *policy)
{
	for (unsigned int i = 0; i < SW_RETIRED_MAX; i++) {
		if (h->retired[i].policy)
			continue;
		h->retired[i].policy = policy;
		h->retired[i].token = rte_rcu_qsbr_start(h->box->shared.rcu);
		return;
	}
}

/* How many entries the rules of a policy can hit: the highest number and those below. */
static uint32_t entries_used(const struct sw_policy *policy)
{
	uint32_t count, used = 0;
	const struct sw_prefix_rule *rules = sw_snapshot_prefixes(policy->snapshot, &count);
	for (uint32_t i = 0; i < count; i++)
		if (rules[i].kind != SW_RULE_GROUP && rules[i].target >= used)
			used = rules[i].target + 1;
	return used;
}

/* Shares and promises first: a worker that sees the new policy finds what belongs to it. */
static void adopt(struct sw_housekeeping *h, struct sw_policy *policy)
{
	struct sw_policy *before = h->policy;
	sw_services_adopt(&h->services, policy);
	sw_shares_update(&h->shares, policy);
	h->policy = policy;
	h->wire_entries = entries_used(policy);
	sw_box_adopt_policy(h->box, policy);
	sw_services_tick(&h->services, policy, clock_ns(CLOCK_MONOTONIC), rte_rdtsc());
	if (h->ports)
		sw_ports_say_steering(h->ports);
	if (before)
		retire(h, before);
}

static void turn_epoch(struct sw_housekeeping *h)
{
	const uint64_t unix_s = clock_ns(CLOCK_REALTIME) / 1000000000u;
	if (!sw_epoch_step(&h->epoch, unix_s, clock_ns(CLOCK_MONOTONIC)))
		return;
	sw_services_turn(&h->services, h->policy, h->epoch.number);
	sw_box_new_epoch(h->box, h->epoch.number);
}

/* ---- what workers report ----------------------------------------------------------------------------------------- */

static void block_on_wire(struct sw_housekeeping *h, const struct sw_event *e)
{
	const int64_t left = (int64_t)(e->until_tsc - rte_rdtsc());
	if (!h->limits.wire || left <= 0)
		return;
	const uint64_t seconds = (uint64_t)left / h->box->shared.tsc_hz + 1;
	const int result =
		sw_wire_block(h->limits.wire, &e->address, seconds > UINT32_MAX ? UINT32_MAX : (uint32_t)seconds);
	if (result)
		sw_log(SW_LOG_WARNING, "XDP program: cannot block a source: %s", strerror(-result));
}

static void hear_workers(struct sw_housekeeping *h)
{
	struct sw_event events[64];
	for (unsigned int i = 0; i < h->box->boot.workers; i++) {
		for (unsigned int left = EVENTS_A_TICK; left;) {
			const unsigned int count = rte_ring_sc_dequeue_burst_elem(h->box->workers[i]->events, events,
				sizeof(events[0]), sizeof(events) / sizeof(events[0]), NULL);
			for (unsigned int k = 0; k < count; k++) {
				if (events[k].kind == SW_EVENT_BLOCKED)
					block_on_wire(h, &events[k]);
				else if (events[k].kind == SW_EVENT_PROFILE)
					sw_services_hear(&h->services, h->policy, &events[k]);
			}
			if (count == 0)
				break;
			left -= count < left ? count : left;
		}
	}
}

/* ---- what readers see -------------------------------------------------------------------------------------------- */

static void show_clocks(struct sw_region *r)
{
	const uint64_t version = atomic_load_explicit(&r->anchor_version, memory_order_relaxed);
	atomic_store_explicit(&r->anchor_version, version + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release); /* pairs with the reader's acquire: odd is seen before what follows */
	r->anchor_tsc = rte_rdtsc();
	r->anchor_unix_ns = clock_ns(CLOCK_REALTIME);
	atomic_store_explicit(&r->anchor_version, version + 2, memory_order_release);
	atomic_store_explicit(&r->heartbeat_unix_ns, r->anchor_unix_ns, memory_order_release);
}

static void show_wire(struct sw_housekeeping *h)
{
	for (unsigned int end = 0; end < h->ports->end_count; end++) {
		struct sw_port_state *state = &sw_region_ports_rw(h->box->shared.region)[end];
		uint64_t counters[SW_WIRE_COUNTER_COUNT];
		if (!state->xdp ||
			sw_wire_counters(h->limits.wire, end / SW_SIDES, (uint8_t)(end % SW_SIDES), counters))
			continue;
		for (unsigned int i = 0; i < SW_WIRE_COUNTER_COUNT; i++)
			__atomic_store_n(&state->wire[i], counters[i], __ATOMIC_RELAXED);
	}
}

/* A slice of the entries at a time: there may be a million. */
static void show_wire_entries(struct sw_housekeeping *h)
{
	uint64_t *entries = sw_region_wire_entries_rw(h->box->shared.region);
	for (unsigned int i = 0; i < SW_WIRE_ENTRIES_AT_ONCE && i < h->wire_entries; i++) {
		h->wire_entry = h->wire_entry + 1 < h->wire_entries ? h->wire_entry + 1 : 0;
		__atomic_store_n(&entries[h->wire_entry], sw_wire_entry_hits(h->limits.wire, h->wire_entry), __ATOMIC_RELAXED);
	}
}

static void show_ports(struct sw_housekeeping *h)
{
	if (!h->ports || h->ticks % SW_PORTS_EVERY)
		return;
	if (!h->ports->steers || !h->publishing) /* the publisher has NICs that steer, and the wire, to itself */
		sw_ports_update(h->ports, h->box->shared.region, h->ticks % SW_LINKS_EVERY == 0);
	if (h->limits.wire && !h->publishing) {
		show_wire(h);
		show_wire_entries(h);
	}
}

void sw_housekeeping_tick(struct sw_housekeeping *h)
{
	show_clocks(h->box->shared.region);
	if (!h->publishing)
		hear_workers(h);
	turn_epoch(h);
	sw_services_tick(&h->services, h->policy, clock_ns(CLOCK_MONOTONIC), rte_rdtsc());
	if (h->ticks % SW_SHARES_EVERY == 0)
		sw_shares_update(&h->shares, h->policy);
	show_ports(h);
	free_retired(h);
	sw_mail_collect(&h->late, false);
	h->ticks++;
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static void answer(struct sw_housekeeping *h, struct sw_reply *reply)
{
	reply->generation = h->policy->generation;
	sw_control_socket_answer(&h->socket, reply);
}

static void answer_status(struct sw_housekeeping *h, enum sw_reply_status status, const char *text)
{
	struct sw_reply reply = {.status = status};
	snprintf(reply.text, sizeof(reply.text), "%s", text);
	answer(h, &reply);
}

static void begin_publish(struct sw_housekeeping *h, int memfd)
{
	if (!free_retired(h)) {
		close(memfd);
		answer_status(h, SW_REPLY_BUSY, "a worker hangs and still holds the policies before this one");
		return;
	}
	const int result = sw_publish_begin(&h->job, memfd, &h->limits);
	if (result)
		answer_status(h, SW_REPLY_REFUSED, strerror(-result));
	else
		h->publishing = true;
}

static void end_publish(struct sw_housekeeping *h)
{
	sw_publish_finish(&h->job);
	h->publishing = false;
	if (h->job.policy) {
		adopt(h, h->job.policy);
		sw_log(SW_LOG_NOTICE, "policy %llu is in force%s%s", (unsigned long long)h->policy->generation,
			h->job.text[0] ? "; " : "", h->job.text);
	} else {
		sw_log(SW_LOG_WARNING, "snapshot refused: %s", h->job.text);
	}
	answer_status(h, h->job.status, h->job.text);
}

static void begin_mail(struct sw_housekeeping *h, const struct sw_request *request)
{
	/* Where the NIC shards we do not know whose an address is. */
	uint32_t to = SW_NONE;
	if (request->kind == SW_REQUEST_EXPLAIN && (!h->box->shared.sharded_by_nic || h->box->boot.workers == 1))
		to = sw_owner(&h->box->shared, &request->address);
	h->request = *request;
	h->mail_deadline_ns = clock_ns(CLOCK_MONOTONIC) + (uint64_t)SW_MAIL_WAIT_MS * NS_PER_MS;
	if (sw_mail_send(h->box, to, request, &h->letters) == 0)
		return;
	sw_mail_give_up(&h->letters, &h->late);
	answer_status(h, SW_REPLY_BUSY, "a worker does not read its mail");
}

static void end_mail(struct sw_housekeeping *h)
{
	struct sw_reply reply = {.status = SW_REPLY_OK};
	const bool complete = sw_mail_answered(h->letters);
	if (!complete && clock_ns(CLOCK_MONOTONIC) < h->mail_deadline_ns)
		return;
	sw_mail_merge(h->letters, &reply);
	sw_mail_give_up(&h->letters, &h->late);
	if (h->request.kind == SW_REQUEST_UNBLOCK && h->limits.wire &&
		sw_wire_unblock(h->limits.wire, &h->request.address) == 0 && reply.count == 0)
		reply.count = 1; /* the worker had forgotten the source, the XDP program had not */
	if (!complete) {
		reply.status = SW_REPLY_BUSY;
		snprintf(reply.text, sizeof(reply.text), "a worker did not answer within %d ms", SW_MAIL_WAIT_MS);
	}
	answer(h, &reply);
}

static void begin(struct sw_housekeeping *h, const struct sw_incoming *in)
{
	switch (in->request.kind) {
	case SW_REQUEST_HELLO:
		answer_status(h, SW_REPLY_OK, "");
		break;
	case SW_REQUEST_PUBLISH:
		begin_publish(h, in->memfd);
		break;
	default:
		begin_mail(h, &in->request);
		break;
	}
}

void sw_housekeeping_serve(struct sw_housekeeping *h, int timeout_ms)
{
	struct pollfd fds[SW_CLIENTS_MAX + 1];
	struct sw_incoming in;
	const bool open = h->publishing || h->letters;
	/* No descriptor tells of a letter's or a job's end; a millisecond is soon enough. */
	const int wait_ms = open && timeout_ms > 1 ? 1 : timeout_ms;
	const int ready = poll(fds, sw_control_socket_fds(&h->socket, fds), wait_ms);
	if (h->publishing && sw_publish_done(&h->job))
		end_publish(h);
	if (h->letters)
		end_mail(h);
	for (unsigned int i = 0; ready > 0 && i < REQUESTS_AT_ONCE; i++) {
		if (h->socket.busy >= 0 || !sw_control_socket_next(&h->socket, &in))
			break;
		begin(h, &in);
	}
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

int sw_housekeeping_open(struct sw_housekeeping *h, struct sw_box *box, struct sw_ports *ports,
	const struct sw_publish_limits *limits, struct sw_policy *policy, const char *runtime_dir, char *error,
	size_t error_bytes)
{
	memset(h, 0, sizeof(*h));
	h->box = box;
	h->ports = ports;
	h->limits = *limits;
	h->socket.listener = h->socket.busy = -1;
	for (unsigned int i = 0; i < SW_CLIENTS_MAX; i++)
		h->socket.clients[i] = -1;
	int result = sw_services_open(box, &h->services);
	if (result == 0)
		result = sw_shares_open(box, &h->shares);
	if (result == 0 && runtime_dir)
		result = sw_control_socket_open(&h->socket, runtime_dir);
	if (result) {
		snprintf(error, error_bytes, "housekeeping: %s", strerror(-result));
		sw_housekeeping_close(h);
		return result;
	}
	show_clocks(box->shared.region);
	adopt(h, policy);
	turn_epoch(h);
	return 0;
}

void sw_housekeeping_run(struct sw_housekeeping *h)
{
	uint64_t next_ns = clock_ns(CLOCK_MONOTONIC);
	while (!atomic_load_explicit(&sw_stopping, memory_order_relaxed)) {
		const uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
		if (now_ns >= next_ns) {
			sw_housekeeping_tick(h);
			/* A tick that came late is not made up for by a burst of others. */
			next_ns = now_ns + (uint64_t)SW_TICK_MS * NS_PER_MS;
		}
		const uint64_t left_ns = next_ns - (clock_ns(CLOCK_MONOTONIC) < next_ns ? clock_ns(CLOCK_MONOTONIC) : next_ns);
		sw_housekeeping_serve(h, (int)(left_ns / NS_PER_MS) + 1);
	}
}

void sw_housekeeping_close(struct sw_housekeeping *h)
{
	if (h->publishing) {
		sw_publish_finish(&h->job);
		sw_policy_free(h->job.policy);
	}
	sw_control_socket_close(&h->socket);
	sw_mail_give_up(&h->letters, &h->late);
	sw_mail_collect(&h->late, true);
	for (unsigned int i = 0; i < SW_RETIRED_MAX; i++)
		sw_policy_free(h->retired[i].policy);
	sw_policy_free(h->policy);
	sw_shares_close(&h->shares);
	sw_services_close(&h->services);
	memset(h, 0, sizeof(*h));
}
