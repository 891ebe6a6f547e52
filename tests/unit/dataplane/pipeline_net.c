/* SPDX-License-Identifier: BSD-3-Clause */
#include "pipeline_net.h"

#include <stdio.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_mempool.h>

#include "core/snapshot_check.h"
#include "core/promise.h"

const struct flavour flavours[FLAVOURS] = {
	{.name = "ipv4"},
	{.name = "ipv6", .is_ipv6 = true},
	{.name = "ipv4-vlan", .tag_count = 1, .tags = {{0x8100, 100}}},
	{.name = "ipv6-vlan", .is_ipv6 = true, .tag_count = 1, .tags = {{0x8100, 4094}}},
	{.name = "ipv4-qinq", .tag_count = 2, .tags = {{0x88a8, 7}, {0x8100, 8}}},
	{.name = "ipv6-qinq", .is_ipv6 = true, .tag_count = 2, .tags = {{0x88a8, 1}, {0x8100, 2}}},
};

/* ---- the process: EAL and ports ------------------------------------------------------------------------------------
 */

static struct {
	uint16_t ids[SW_SIDES];
	struct rte_ring *in[SW_SIDES][NET_WORKERS_MAX], *out[SW_SIDES][NET_WORKERS_MAX];
	struct rte_mempool *pool; /* that the ports' receive queues want, and never take from */
} ports;

static int make_port(enum sw_side side)
{
	static const char *const names[SW_SIDES] = {"outside", "inside"};
	const struct rte_eth_conf conf = {0};

	for (unsigned int q = 0; q < NET_WORKERS_MAX; q++) {
		char name[32];
		snprintf(name, sizeof(name), "in_%s_%u", names[side], q);
		ports.in[side][q] = rte_ring_create(name, 64, SOCKET_ID_ANY, 0);
		snprintf(name, sizeof(name), "out_%s_%u", names[side], q);
		ports.out[side][q] = rte_ring_create(name, NET_QUEUE, SOCKET_ID_ANY, 0);
	}
	const int id =
	    rte_eth_from_rings(names[side], ports.in[side], NET_WORKERS_MAX, ports.out[side], NET_WORKERS_MAX, 0);
	if (id < 0)
		return -1;
	ports.ids[side] = (uint16_t)id;
	if (rte_eth_dev_configure(ports.ids[side], NET_WORKERS_MAX, NET_WORKERS_MAX, &conf))
		return -1;
	for (uint16_t q = 0; q < NET_WORKERS_MAX; q++)
		if (rte_eth_rx_queue_setup(ports.ids[side], q, 64, 0, NULL, ports.pool) ||
		    rte_eth_tx_queue_setup(ports.ids[side], q, 64, 0, NULL))
			return -1;
	return rte_eth_dev_start(ports.ids[side]);
}

int net_start(void)
{
	char prefix[32];
	snprintf(prefix, sizeof(prefix), "sw-unit-%d", (int)getpid());
	char *arguments[] = {"unit", "--no-huge", "-m", "256", "--no-pci", "--no-shconf", "--no-telemetry",
	    "--iova-mode=va", "-l", "0", "--log-level=*:3", "--file-prefix", prefix, NULL};
	if (rte_eal_init((int)(sizeof(arguments) / sizeof(arguments[0])) - 1, arguments) < 0) {
		fprintf(stderr, "no EAL: %s\n", rte_strerror(rte_errno));
		return 1;
	}
	ports.pool = rte_pktmbuf_pool_create("ports", 63, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (ports.pool == NULL || make_port(SW_OUTSIDE) || make_port(SW_INSIDE)) {
		fprintf(stderr, "no ports: %s\n", rte_strerror(rte_errno));
		return 1;
	}
	return 0;
}

/* ---- a box ----------------------------------------------------------------------------------------------------------
 */

static void draft_default(struct draft *d)
{
	draft_init(d);
	d->boot.mbufs = 2047;
	d->boot.flows = 1024;
	d->boot.source_records = 256;
	d->boot.limiter_entries = 65536; /* so many that none is pushed out by chance */
	d->boot.held_pkts = 64;
	d->boot.services_max = 8;
	d->boot.groups_max = 4;
	d->boot.entries_max = 16;
	d->global.answers_per_source_per_s = d->global.answers_per_source_burst = 1000;
	d->global.answers_per_prefix_per_s = d->global.answers_per_prefix_burst = 10000;
	d->global.rst_per_s = 100;
	d->global.held_pkts_per_flow = 8;
	d->global.held_bytes_per_flow = 16384;
	d->global.server_syn_retries = 3;
	d->global.evidence_after_syns = 10;
	draft_service(d, "tracker", SW_MODE_ALWAYS);
	draft_target(d, "10.20.0.10/32", 20000, 20000, 0);
	draft_target(d, "fd00:20::10/128", 20000, 20000, 0);
}

void net_new_policy(struct net *n)
{
	struct draft scratch = n->draft; /* sealing sorts */
	char error[256];
	uint64_t bytes;
	void *snapshot = draft_seal(&scratch, &bytes);
	struct sw_policy *policy;

	((struct sw_snapshot_header *)snapshot)->generation = n->policy ? n->policy->generation + 1 : 1;
	snapshot_sum(snapshot);
	if (sw_snapshot_check(snapshot, bytes, error, sizeof(error)))
		fail_msg("snapshot: %s", error);
	assert_int_equal(sw_policy_build(snapshot, bytes, NET_HZ, &policy), 0);
	free(snapshot);
	sw_shares_update(&n->shares, policy);
	sw_box_adopt_policy(&n->box, policy);
	sw_policy_free(n->policy);
	n->policy = policy;
}

void net_arm(struct net *n, uint32_t slot, bool armed)
{
	const bool was = atomic_load(&n->box.shared.armed[slot]) != 0;

	if (was && !armed) /* as housekeeping does it */
		atomic_store(&n->box.shared.accept_until_tsc[slot], n->now + 2 * SW_COOKIE_EPOCH_S * NET_HZ);
	atomic_store(&n->box.shared.armed[slot], armed);
}

void net_promise(struct net *n, uint32_t slot, const struct sw_promise *p)
{
	for (unsigned int family = 0; family < 2; family++)
		for (unsigned int parity = 0; parity < 2; parity++)
			n->box.shared.promises[slot][family][parity] = *p;
}

void net_epochs_pass(struct net *n, uint32_t epochs)
{
	n->unix_s += epochs * (uint64_t)SW_COOKIE_EPOCH_S;
	sw_box_new_epoch(&n->box, sw_cookie_epoch(n->unix_s));
}

void net_block_port(struct net *n, enum sw_side side, bool blocked)
{
	static int nothing;
	void *filler;

	(void)n;
	while (blocked && rte_ring_enqueue(ports.out[side][0], &nothing) == 0)
		;
	while (!blocked && rte_ring_dequeue(ports.out[side][0], &filler) == 0)
		assert_ptr_equal(filler, &nothing);
}

static void connect_ports(struct net *n)
{
	for (unsigned int i = 0; i < n->box.boot.workers; i++) {
		struct sw_worker *w = n->box.workers[i];
		for (unsigned int side = 0; side < SW_SIDES; side++) {
			w->queues[0][side] = (struct sw_queue){ports.ids[side], (uint16_t)i};
			w->port_ends[ports.ids[side]] = (uint8_t)side;
		}
	}
}

void net_open(struct net *n, const struct flavour *flavour, net_shape shape)
{
	char error[256];

	memset(n, 0, sizeof(*n));
	n->flavour = flavour;
	draft_default(&n->draft);
	if (shape)
		shape(&n->draft);
	memset(n->secrets.master, 0x5a, sizeof(n->secrets.master));
	const struct sw_box_config config = {
	    .boot = &n->draft.boot,
	    .links = n->draft.links,
	    .link_count = 1,
	    .secrets = &n->secrets,
	    .sharded_by_nic = n->draft.boot.workers == 1,
	};
	if (sw_box_open(&config, &n->box, error, sizeof(error)))
		fail_msg("box: %s", error);
	n->is_open = true;
	n->w = n->box.workers[0];
	n->box.shared.tsc_hz = NET_HZ;
	n->box.shared.start_tsc = 1000 * NET_HZ;
	n->now = n->box.shared.start_tsc + 100 * NET_HZ;
	n->unix_s = (uint64_t)NET_EPOCH * SW_COOKIE_EPOCH_S;
	connect_ports(n);
	assert_int_equal(sw_shares_open(&n->box, &n->shares), 0);
	net_epochs_pass(n, 0);
	net_new_policy(n);
	for (uint32_t i = 0; i < n->draft.counts[SW_SECTION_SERVICES]; i++) {
		const struct sw_promise p = {.mss = 1400, .window_scale = 7, .sack = 1, .timestamps = 1, .known = 1};
		net_promise(n, i, &p);
		net_arm(n, i, n->draft.services[i].mode == SW_MODE_ALWAYS);
	}
}

static void free_all(struct net *n)
{
	if (!n->is_open)
		return;
	sw_shares_close(&n->shares);
	sw_box_close(&n->box);
	sw_policy_free(n->policy);
	n->policy = NULL;
	n->is_open = false;
}

void net_abandon(struct net *n)
{
	struct rte_mbuf *m;

	for (unsigned int side = 0; side < SW_SIDES; side++)
		for (unsigned int q = 0; q < NET_WORKERS_MAX; q++)
			while (rte_ring_dequeue(ports.out[side][q], (void **)&m) == 0)
				; /* of a pool that goes now */
	free_all(n);
}

/* ---- what holds at the end of every case
 * ----------------------------------------------------------------------------- */

static uint64_t ended(const struct sw_counters *c)
{
	uint64_t sum = c->count[SW_COUNT_FORWARDED] + c->count[SW_COUNT_ANSWERED] + c->count[SW_COUNT_ABSORBED] +
	               c->count[SW_COUNT_HELD];

	for (unsigned int i = 0; i < SW_DROP_REASON_COUNT; i++)
		sum += c->dropped[i];
	return sum;
}

/* What is refused beside the sum is each time a RST, for a reason that may be answered. */
static void check_refused(const struct sw_worker *w, uint32_t slots)
{
	uint64_t refused = 0;

	for (unsigned int i = 0; i < SW_DROP_REASON_COUNT; i++) {
		uint64_t in_services = 0;
		for (uint32_t s = 0; s < slots; s++)
			in_services += w->services[s].refused[i];
		assert_int_equal(w->totals.refused[i], in_services);
		assert_true(w->totals.refused[i] == 0 || sw_may_be_answered((enum sw_drop_reason)i));
		refused += w->totals.refused[i];
	}
	assert_true(refused <= w->totals.count[SW_COUNT_SENT_RST]);
}

static void check_sums(const struct net *n)
{
	uint64_t rx = 0, sum = 0;

	for (unsigned int i = 0; i < n->box.boot.workers; i++) {
		const struct sw_worker *w = n->box.workers[i];
		const struct sw_counters *shown = &sw_region_worker(n->box.shared.region, i)->total;
		assert_memory_equal(shown, &w->totals, sizeof(*shown));
		assert_int_equal(shown->count[SW_COUNT_HELD], w->held_used);
		rx += shown->count[SW_COUNT_RX];
		sum += ended(shown);
		check_refused(w, n->box.boot.services_max);
		for (uint32_t s = 0; s < n->box.boot.services_max; s++)
			assert_int_equal(w->services[s].count[SW_COUNT_RX], ended(&w->services[s]));
	}
	assert_int_equal(rx, sum);
}

/* Counted the slow way: the flows that the lists, the gauges and the budgets speak of. */
static void check_tables(const struct sw_worker *w, uint32_t slots)
{
	uint32_t used = 0, proxied = 0, counted = 0, records = 0;

	for (uint32_t i = 0; i < w->flows.capacity; i++) {
		const struct sw_flow *f = &w->flows.flows[i];
		if (f->state == SW_FLOW_FREE)
			continue;
		used++;
		proxied += !!(f->flags & SW_FLOW_PROXIED);
		counted += !!(f->flags & SW_FLOW_COUNTED);
		assert_int_equal(sw_flow_find(&w->flows, f->hash), i);
	}
	assert_int_equal(used, w->flows.used);
	assert_int_equal(proxied, w->proxied_flows);
	for (uint32_t s = 0; s < slots; s++)
		counted -= w->service_budgets[s].concurrent;
	assert_int_equal(counted, 0);
	for (uint32_t i = 0; i < w->record_count; i++)
		records += atomic_load(&w->records[i].id) != 0;
	assert_int_equal(records, w->record_count - w->free_record_count);
}

/* Connections that flows say are counted by each entry of the limiter, by place. */
static uint32_t *count_connections(const struct sw_worker *w)
{
	uint32_t *connections = calloc((w->limiter.mask + 1) * SW_LIMITER_WAYS, sizeof(*connections));

	assert_non_null(connections);
	for (uint32_t i = 0; i < w->flows.capacity; i++)
		for (unsigned int k = 0; k < SW_PREFIX_LEVELS - 1; k++)
			if (w->flows.flows[i].state != SW_FLOW_FREE && w->flows.setups[i].counted_by[k] != 0)
				connections[w->flows.setups[i].counted_by[k] - 1]++;
	return connections;
}

/* Entries and what they name agree: records, connections, and who is pinned. */
static void check_limiter(struct sw_worker *w)
{
	uint32_t *connections = count_connections(w);
	uint64_t used = 0;
	uint32_t records = 0, proven = 0;

	for (uint32_t at = 0; at < (w->limiter.mask + 1) * SW_LIMITER_WAYS; at++) {
		const struct sw_limiter_set *set = &w->limiter.sets[at / SW_LIMITER_WAYS];
		const uint32_t note = set->notes[at % SW_LIMITER_WAYS];
		assert_true(at % SW_LIMITER_WAYS == 0 || !(note & SW_NOTE_MOVED));
		if (set->fingerprints[at % SW_LIMITER_WAYS] == 0) {
			assert_int_equal(note & ~SW_NOTE_MOVED, 0);
			continue;
		}
		used++;
		if (note & SW_NOTE_RECORD) {
			const uint32_t record = note & SW_NOTE_INDEX;
			const struct sw_source_record *r = &w->records[record];
			assert_true(record < w->record_count && atomic_load(&r->id) != 0);
			assert_true(!sw_source_blocked(w, record) || note & SW_NOTE_BLOCKED);
			assert_false(note & SW_NOTE_TELL);
			assert_int_equal(r->limiter, at);
			assert_int_equal(!!(note & SW_NOTE_PINNED), r->proof != SW_PROOF_CLAIMED);
			assert_ptr_equal(sw_source_find(w, &r->address, r->service_slot), r);
			records++;
			proven += r->proof != SW_PROOF_CLAIMED;
			assert_int_equal(connections[at], 0);
		} else {
			assert_int_equal(!!(note & SW_NOTE_PINNED), connections[at] != 0);
			if (note & SW_NOTE_PINNED)
				assert_int_equal(note & SW_NOTE_VALUE, connections[at]);
		}
	}
	assert_int_equal(used, w->limiter.used);
	assert_int_equal(records, w->record_count - w->free_record_count);
	assert_int_equal(proven, w->proven_records);
	free(connections);
}

void net_close(struct net *n)
{
	net_discard(n);
	check_sums(n);
	for (unsigned int i = 0; i < n->box.boot.workers; i++) {
		struct sw_worker *w = n->box.workers[i];
		check_tables(w, n->box.boot.services_max);
		check_limiter(w);
		sw_pipeline_drain(w);
	}
	for (unsigned int i = 0; i < n->box.boot.workers; i++) {
		const struct rte_mempool *pool = n->box.workers[i]->pool;
		assert_int_equal(rte_mempool_avail_count(pool), pool->size);
	}
	free_all(n);
}

/* ---- frames
 * ---------------------------------------------------------------------------------------------------------- */

void net_put(struct net *n, enum sw_side side, const struct frame *f)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(n->box.workers[n->worker]->pool);

	assert_non_null(m);
	assert_true(n->waiting_count < sizeof(n->waiting) / sizeof(n->waiting[0]));
	memcpy(rte_pktmbuf_append(m, f->length), f->bytes, f->length);
	m->port = ports.ids[side];
	n->waiting[n->waiting_count].mbuf = m;
	n->waiting[n->waiting_count++].side = side;
}

/* The handed-over packets of one worker, as its loop would take them. */
static void take_handed(struct net *n, struct sw_worker *w)
{
	for (unsigned int from = 0; from < n->box.boot.workers; from++) {
		struct rte_mbuf *m;
		while (w->handed[from] != NULL && rte_ring_sc_dequeue(w->handed[from], (void **)&m) == 0)
			sw_pipeline_burst(w, &m, 1, 0, (enum sw_side)w->port_ends[m->port], true);
	}
}

void net_run(struct net *n)
{
	struct sw_worker *receiver = n->box.workers[n->worker];
	struct rte_mbuf *burst[SW_BURST];

	sw_pipeline_begin(receiver, n->now);
	for (unsigned int at = 0; at < n->waiting_count;) {
		const enum sw_side side = n->waiting[at].side;
		unsigned int count = 0;
		while (at < n->waiting_count && n->waiting[at].side == side && count < SW_BURST)
			burst[count++] = n->waiting[at++].mbuf;
		sw_pipeline_burst(receiver, burst, count, 0, side, false);
		if (n->one_by_one) {
			sw_pipeline_end(receiver);
			sw_pipeline_begin(receiver, n->now);
		}
	}
	n->waiting_count = 0;
	sw_pipeline_timers(receiver);
	sw_pipeline_end(receiver);
	for (unsigned int i = 0; i < n->box.boot.workers; i++) {
		if (i == n->worker)
			continue;
		struct sw_worker *w = n->box.workers[i];
		sw_pipeline_begin(w, n->now);
		take_handed(n, w);
		sw_pipeline_timers(w);
		sw_pipeline_end(w);
	}
}

void net_pass_ms(struct net *n, uint64_t ms)
{
	for (; ms; ms--) {
		n->now += NET_MS;
		net_run(n);
	}
}

uint64_t net_wait(struct net *n, enum sw_side side, uint64_t most_ms)
{
	uint64_t ms = 0;

	while (rte_ring_empty(ports.out[side][0]) && rte_ring_empty(ports.out[side][1])) {
		if (ms++ == most_ms)
			fail_msg("nothing left %s", side == SW_OUTSIDE ? "outside" : "inside");
		net_pass_ms(n, 1);
	}
	return ms;
}

bool net_take(struct net *n, enum sw_side side, struct frame *f)
{
	(void)n;
	for (unsigned int q = 0; q < NET_WORKERS_MAX; q++) {
		struct rte_mbuf *m;
		if (rte_ring_dequeue(ports.out[side][q], (void **)&m))
			continue;
		assert_int_equal(m->nb_segs, 1);
		assert_int_equal(m->data_len, m->pkt_len);
		assert_true(m->data_len <= NET_FRAME_MAX);
		f->length = m->data_len;
		memcpy(f->bytes, rte_pktmbuf_mtod(m, const uint8_t *), f->length);
		rte_pktmbuf_free(m);
		return true;
	}
	return false;
}

struct frame net_expect_raw(struct net *n, enum sw_side side)
{
	struct frame f;

	memset(&f, 0, sizeof(f));
	if (!net_take(n, side, &f))
		fail_msg("no frame left %s", side == SW_OUTSIDE ? "outside" : "inside");
	return f;
}

struct frame net_expect(struct net *n, enum sw_side side)
{
	struct frame f = net_expect_raw(n, side);

	sw_frame_parse(f.bytes, f.length, side == SW_OUTSIDE ? SW_INSIDE : SW_OUTSIDE, &f.view);
	if (f.view.kind == SW_PACKET_TCP && !f.view.is_fragment)
		assert_true(sw_frame_checksums_ok(f.bytes, &f.view));
	return f;
}

unsigned int net_discard(struct net *n)
{
	struct frame f;
	unsigned int count = 0;

	for (unsigned int side = 0; side < SW_SIDES; side++)
		while (net_take(n, (enum sw_side)side, &f))
			count++;
	return count;
}

void net_expect_nothing(struct net *n)
{
	for (unsigned int side = 0; side < SW_SIDES; side++) {
		struct frame f;
		if (!net_take(n, (enum sw_side)side, &f))
			continue;
		sw_frame_parse(f.bytes, f.length, side == SW_OUTSIDE ? SW_INSIDE : SW_OUTSIDE, &f.view);
		net_discard(n);
		fail_msg("a frame of kind %u, TCP flags %02x, left %s", f.view.kind, f.view.tcp_flags,
		    side == SW_OUTSIDE ? "outside" : "inside");
	}
}

/* ---- counters
 * --------------------------------------------------------------------------------------------------------- */

uint64_t net_count(const struct net *n, enum sw_count what)
{
	uint64_t sum = 0;
	for (unsigned int i = 0; i < n->box.boot.workers; i++)
		sum += n->box.workers[i]->totals.count[what];
	return sum;
}

uint64_t net_dropped(const struct net *n, enum sw_drop_reason why)
{
	uint64_t sum = 0;
	for (unsigned int i = 0; i < n->box.boot.workers; i++)
		sum += n->box.workers[i]->totals.dropped[why];
	return sum;
}

uint64_t net_refused(const struct net *n, enum sw_drop_reason why)
{
	uint64_t sum = 0;
	for (unsigned int i = 0; i < n->box.boot.workers; i++)
		sum += n->box.workers[i]->totals.refused[why];
	return sum;
}

uint64_t net_dropped_all(const struct net *n)
{
	uint64_t sum = 0;
	for (unsigned int why = 0; why < SW_DROP_REASON_COUNT; why++)
		sum += net_dropped(n, (enum sw_drop_reason)why);
	return sum;
}

/* ---- cases
 * ------------------------------------------------------------------------------------------------------------ */

struct case_state {
	const struct net_case *what;
	const struct flavour *flavour;
	struct net *net;
};

static int set_up(void **state)
{
	const struct case_state *s = *state;

	net_abandon(s->net); /* of a case that failed */
	net_open(s->net, s->flavour, s->what->shape);
	return 0;
}

/* The closing checks belong to the case: in a teardown they would not count as its failure. */
static void run_one(void **state)
{
	const struct case_state *s = *state;

	s->what->run(s->net);
	net_close(s->net);
}

int net_run_cases(const char *group, const struct net_case *cases, unsigned int count)
{
	static struct net net;
	const size_t most = (size_t)count * FLAVOURS;
	struct CMUnitTest *tests = calloc(most, sizeof(*tests));
	struct case_state *states = calloc(most, sizeof(*states));
	char(*names)[96] = calloc(most, sizeof(*names));
	size_t n = 0;

	if (tests == NULL || states == NULL || names == NULL || net_start())
		return 1;
	for (unsigned int i = 0; i < count; i++) {
		for (unsigned int k = 0; k < (cases[i].once ? 1u : FLAVOURS); k++) {
			snprintf(names[n], sizeof(names[n]), "%s: %s", cases[i].name, flavours[k].name);
			states[n] = (struct case_state){&cases[i], &flavours[k], &net};
			tests[n] = (struct CMUnitTest){names[n], run_one, set_up, NULL, &states[n]};
			n++;
		}
	}
	cmocka_set_test_filter(getenv("CASE")); /* a pattern, to run a few by hand */
	const int failed = _cmocka_run_group_tests(group, tests, n, NULL, NULL);
	net_abandon(&net);
	free(names);
	free(states);
	free(tests);
	return failed;
}
