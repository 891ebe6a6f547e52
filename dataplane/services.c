/* SPDX-License-Identifier: BSD-3-Clause */
#include "services.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/snapshot_check.h"
#include "log.h"

/* How long a cookie may still be echoed. */
static uint64_t cookie_cycles(const struct sw_box *box)
{
	return 2 * SW_COOKIE_EPOCH_S * box->shared.tsc_hz;
}

int sw_services_open(struct sw_box *box, struct sw_services *out)
{
	*out = (struct sw_services){.box = box};
	out->books = calloc(box->boot.services_max, sizeof(*out->books));
	/* Whether or not it arms: clients may still echo cookies of the process before this one, or of a sister. */
	for (uint32_t slot = 0; slot < box->boot.services_max; slot++)
		atomic_store_explicit(&box->shared.accept_until_tsc[slot], box->shared.start_tsc + cookie_cycles(box),
			memory_order_relaxed);
	return out->books ? 0 : -ENOMEM;
}

void sw_services_close(struct sw_services *s)
{
	free(s->books);
	s->books = NULL;
}

static uint64_t unix_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- promises ---------------------------------------------------------------------------------------------------- */

/* One word: a worker never sees half of one promise and half of another. */
static void store_promise(struct sw_promise *to, struct sw_promise p)
{
	uint64_t word;
	_Static_assert(sizeof(p) == sizeof(word), "a promise is stored in one piece");
	memcpy(&word, &p, sizeof(word));
	__atomic_store_n((uint64_t *)(void *)to, word, __ATOMIC_RELEASE);
}

static void write_promise(struct sw_services *s, const struct sw_service_profile *profile, unsigned int family,
	unsigned int parity)
{
	const struct sw_service_book *book = &s->books[profile->slot];
	store_promise(&s->box->shared.promises[profile->slot][family][parity],
		sw_promise_make(&book->promises[family], &profile->backend, family == 1));
}

static void show_promises(struct sw_services *s, const struct sw_service_profile *profile,
	struct sw_service_state *state)
{
	const struct sw_service_book *book = &s->books[profile->slot];
	uint8_t known = 0;
	for (unsigned int family = 0; family < 2; family++) {
		const struct sw_promise p = sw_promise_make(&book->promises[family], &profile->backend, family == 1);
		state->profile[family].mss = p.mss;
		state->profile[family].window_scale = p.window_scale;
		state->profile[family].sack = p.sack;
		state->profile[family].timestamps = p.timestamps;
		state->profile[family].ecn = p.ecn;
		if (book->promises[family].learned.known)
			known |= (uint8_t)(1 | 0x10 << family);
		if (sw_promise_is_set(&profile->backend, family == 1))
			known |= 2;
	}
	state->profile_known = known;
}

void sw_services_turn(struct sw_services *s, const struct sw_policy *policy, uint32_t epoch)
{
	for (uint32_t i = 0; i < policy->service_count; i++) {
		const struct sw_service_profile *profile = &policy->service[i];
		for (unsigned int family = 0; family < 2; family++) {
			sw_promise_turn(&s->books[profile->slot].promises[family]);
			write_promise(s, profile, family, epoch & 1);
		}
	}
}

void sw_services_hear(struct sw_services *s, const struct sw_policy *policy, const struct sw_event *event)
{
	if (event->service_slot >= s->box->boot.services_max || !s->books[event->service_slot].in_use)
		return;
	struct sw_service_book *book = &s->books[event->service_slot];
	const unsigned int family = event->is_ipv6 ? 1 : 0;
	if (!sw_promise_hear(&book->promises[family], &event->profile))
		return;
	const struct sw_service_profile *profile = &policy->service[book->index];
	for (unsigned int parity = 0; parity < 2; parity++)
		store_promise(&s->box->shared.promises[profile->slot][family][parity],
			sw_promise_make_first(&book->promises[family], &profile->backend, family == 1));
}

/* ---- a new policy ------------------------------------------------------------------------------------------------ */

static void put_to_rest(struct sw_services *s, uint32_t slot)
{
	struct sw_service_state *state = &sw_region_services_rw(s->box->shared.region)[slot];
	atomic_store_explicit(&s->box->shared.armed[slot], 0, memory_order_relaxed);
	atomic_store_explicit(&state->armed, 0, memory_order_relaxed);
	state->in_use = 0;
	state->syn_per_s = 0;
	memset(state->name, 0, sizeof(state->name));
	memset(&s->books[slot], 0, sizeof(s->books[slot]));
}

static void take_up(struct sw_services *s, const struct sw_service_profile *profile, uint32_t index, const char *name)
{
	struct sw_service_book *book = &s->books[profile->slot];
	struct sw_service_state *state = &sw_region_services_rw(s->box->shared.region)[profile->slot];
	const bool same = book->in_use && strncmp(state->name, name, sizeof(state->name)) == 0;
	if (!same) {
		put_to_rest(s, profile->slot);
		strncpy(state->name, name, sizeof(state->name) - 1);
	}
	book->in_use = true;
	book->index = index;
	for (unsigned int family = 0; family < 2 && !same; family++)
		for (unsigned int parity = 0; parity < 2; parity++)
			write_promise(s, profile, family, parity);
	state->mode = profile->mode;
	state->in_use = 1;
}

void sw_services_adopt(struct sw_services *s, const struct sw_policy *policy)
{
	const uint32_t slots = s->box->boot.services_max;
	bool *wanted = calloc(slots, sizeof(*wanted));
	const struct sw_service *spec = sw_snapshot_services(policy->snapshot, NULL);
	for (uint32_t i = 0; i < policy->service_count; i++) {
		take_up(s, &policy->service[i], i, sw_snapshot_string(policy->snapshot, spec[i].name));
		if (wanted)
			wanted[policy->service[i].slot] = true;
	}
	for (uint32_t slot = 0; wanted && slot < slots; slot++)
		if (s->books[slot].in_use && !wanted[slot])
			put_to_rest(s, slot);
	free(wanted);
}

/* ---- every tick -------------------------------------------------------------------------------------------------- */

static uint64_t syns_received(const struct sw_box *box, uint32_t slot)
{
	uint64_t sum = 0;
	for (unsigned int i = 0; i < box->boot.workers; i++)
		sum += __atomic_load_n(&box->workers[i]->services[slot].count[SW_COUNT_SYN_RECEIVED], __ATOMIC_RELAXED);
	return sum;
}

static uint64_t concurrent_now(const struct sw_box *box, uint32_t slot)
{
	uint64_t sum = 0;
	for (unsigned int i = 0; i < box->boot.workers; i++)
		sum += __atomic_load_n(&box->workers[i]->service_budgets[slot].concurrent, __ATOMIC_RELAXED);
	return sum;
}

/* Does a worker challenge SYNs of its own accord (sw_budget.armed_until_tsc), or did it since the last look? */
static bool armed_itself(const struct sw_box *box, uint32_t slot, uint64_t now_tsc)
{
	for (unsigned int i = 0; i < box->boot.workers; i++) {
		const uint64_t until =
			__atomic_load_n(&box->workers[i]->service_budgets[slot].armed_until_tsc, __ATOMIC_RELAXED);
		if (until && (int64_t)(until - now_tsc) > 0)
			return true;
	}
	return false;
}

static void say_armed(struct sw_service_state *state, bool armed, uint64_t syn_per_s)
{
	atomic_store_explicit(&state->armed, armed, memory_order_relaxed);
	state->changed_unix_ns = unix_ns();
	state->times_armed += armed;
	sw_log(SW_LOG_NOTICE, "service %s: %s at %llu SYN/s", state->name, armed ? "armed" : "disarmed",
		(unsigned long long)syn_per_s);
}

static void tick_one(struct sw_services *s, const struct sw_service_profile *profile, uint64_t now_ns, uint64_t now_tsc)
{
	struct sw_shared *shared = &s->box->shared;
	struct sw_service_book *book = &s->books[profile->slot];
	struct sw_service_state *state = &sw_region_services_rw(shared->region)[profile->slot];
	const struct sw_arming_rule rule = {.mode = (enum sw_mode)profile->mode,
		.start_syn_per_s = profile->start_syn_per_s, .stop_syn_per_s = profile->stop_syn_per_s,
		.hold_ms = profile->hold_ms};
	const bool was = book->arming.armed;

	sw_rate_window_add(&book->syns, syns_received(s->box, profile->slot), now_ns);
	const uint64_t rate = sw_rate_window_per_s(&book->syns, sw_arming_window_ms(&rule), now_ns);
	const uint64_t shown = sw_rate_window_per_s(&book->syns, SW_RATE_SHORT_MS, now_ns);
	book->arming = sw_arming_step(book->arming, &rule, rate, now_ns);
	/* Cookies live for two epochs: they are taken that long after the last one was made. Before `armed` falls. */
	if (was || book->arming.armed || armed_itself(s->box, profile->slot, now_tsc))
		atomic_store_explicit(&shared->accept_until_tsc[profile->slot], now_tsc + cookie_cycles(s->box),
			memory_order_relaxed);
	atomic_store_explicit(&shared->armed[profile->slot], book->arming.armed, memory_order_release);
	state->syn_per_s = shown > UINT32_MAX ? UINT32_MAX : (uint32_t)shown;
	state->concurrent = concurrent_now(s->box, profile->slot);
	show_promises(s, profile, state);
	if (was != book->arming.armed)
		say_armed(state, book->arming.armed, rate);
}

void sw_services_tick(struct sw_services *s, const struct sw_policy *policy, uint64_t now_ns, uint64_t now_tsc)
{
	for (uint32_t i = 0; i < policy->service_count; i++)
		tick_one(s, &policy->service[i], now_ns, now_tsc);
}
