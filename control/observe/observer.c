/* SPDX-License-Identifier: BSD-3-Clause */
#include "observer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

enum { INTERVAL_MIN_MS = 100, INTERVAL_MAX_MS = 60000 };

#define EVIDENCE_FRESH_NS    1000000000ull  /* handlers: at most one scan a second */
#define EVIDENCE_INCIDENT_NS 10000000000ull /* while an incident runs */
#define EVIDENCE_UNUSED_NS   60000000000ull /* then its memory is given back */

struct sw_observer {
	/* Guards `evidence`, which many records make slow to look through. Taken before `lock`, never after it; the
	 * sampling thread only tries. */
	pthread_mutex_t evidence_lock;
	struct sw_evidence evidence;

	pthread_mutex_t lock;  /* guards all below but the thread's own */
	pthread_cond_t ending; /* on CLOCK_MONOTONIC */
	bool end;
	struct sw_attach attach;
	struct sw_sample sample;
	struct sw_rates *rates;
	struct sw_incidents *incidents;
	uint64_t evidence_used_ns; /* monotonic */
	bool evidence_outdated;    /* it was another dataplane's */
	uint64_t sampled_unix_ns;

	pthread_t thread;
	uint32_t interval_ms;
	void (*sampled)(void *context);
	void *context;
};

static uint64_t now_ns(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

/* With the lock held. */
static void read_now(struct sw_observer *o)
{
	const uint64_t mono_ns = now_ns(CLOCK_MONOTONIC), unix_ns = now_ns(CLOCK_REALTIME);
	if (sw_attach_refresh(&o->attach, mono_ns, unix_ns))
		o->evidence_outdated = true;
	if (sw_collect(&o->attach, mono_ns, unix_ns, &o->sample))
		o->sample.valid = false; /* no memory: nothing to show this time */
}

/* The evidence, not older than `age_ns`, or NULL. With both locks held. */
static struct sw_evidence *evidence_of(struct sw_observer *o, uint64_t age_ns)
{
	const uint64_t mono_ns = o->sample.mono_ns;
	struct sw_evidence *e = &o->evidence;
	if (o->evidence_outdated || !o->attach.region)
		sw_evidence_free(e);
	o->evidence_outdated = false;
	if (!o->attach.region || !o->sample.valid)
		return NULL;
	o->evidence_used_ns = mono_ns;
	if (e->scanned_mono_ns && mono_ns - e->scanned_mono_ns < age_ns)
		return e;
	if (!sw_evidence_scan(e, o->attach.region, mono_ns, o->sample.unix_ns))
		return e;
	sw_evidence_free(e);
	return NULL;
}

/* While an incident runs, who is behind it; else gives unused memory back. NULL: nothing new. With both locks held. */
static const struct sw_evidence *evidence_of_incidents(struct sw_observer *o)
{
	const uint64_t mono_ns = o->sample.mono_ns, before_ns = o->evidence.scanned_mono_ns;
	if (sw_incidents_running(o->incidents)) {
		const struct sw_evidence *e = evidence_of(o, EVIDENCE_INCIDENT_NS);
		return e && e->scanned_mono_ns != before_ns ? e : NULL;
	}
	if (o->evidence.records && mono_ns - o->evidence_used_ns > EVIDENCE_UNUSED_NS)
		sw_evidence_free(&o->evidence);
	return NULL;
}

static void sample_once(struct sw_observer *o)
{
	const bool evidence_is_free = !pthread_mutex_trylock(&o->evidence_lock);
	pthread_mutex_lock(&o->lock);
	read_now(o);
	sw_rates_add(o->rates, &o->sample);
	sw_incidents_add(o->incidents, &o->sample, evidence_is_free ? evidence_of_incidents(o) : NULL);
	o->sampled_unix_ns = o->sample.unix_ns;
	pthread_mutex_unlock(&o->lock);
	if (evidence_is_free)
		pthread_mutex_unlock(&o->evidence_lock);
	if (o->sampled)
		o->sampled(o->context);
}

static void add_ms(struct timespec *t, uint32_t ms)
{
	t->tv_sec += ms / 1000;
	t->tv_nsec += (long)(ms % 1000) * 1000000;
	if (t->tv_nsec >= 1000000000) {
		t->tv_sec++;
		t->tv_nsec -= 1000000000;
	}
}

static bool is_past(const struct timespec *t)
{
	const uint64_t then = (uint64_t)t->tv_sec * 1000000000ull + (uint64_t)t->tv_nsec;
	return now_ns(CLOCK_MONOTONIC) > then;
}

static void *run(void *context)
{
	struct sw_observer *o = context;
	struct timespec next;
	clock_gettime(CLOCK_MONOTONIC, &next);
	for (;;) {
		sample_once(o);
		add_ms(&next, o->interval_ms);
		if (is_past(&next)) /* held up for longer than an interval: do not catch up in a burst */
			clock_gettime(CLOCK_MONOTONIC, &next);
		pthread_mutex_lock(&o->lock);
		int error = 0;
		while (!o->end && error != ETIMEDOUT)
			error = pthread_cond_timedwait(&o->ending, &o->lock, &next);
		const bool end = o->end;
		pthread_mutex_unlock(&o->lock);
		if (end)
			return NULL;
	}
}

/* Signals belong to the daemon's loop, not to this thread. */
static int start_thread(struct sw_observer *o)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	const int error = pthread_create(&o->thread, NULL, run, o);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -error;
}

static void init_locks(struct sw_observer *o)
{
	pthread_condattr_t attributes;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&o->ending, &attributes);
	pthread_condattr_destroy(&attributes);
	pthread_mutex_init(&o->lock, NULL);
	pthread_mutex_init(&o->evidence_lock, NULL);
}

static void release(struct sw_observer *o)
{
	sw_attach_close(&o->attach);
	sw_sample_free(&o->sample);
	sw_rates_close(o->rates);
	sw_incidents_close(o->incidents);
	sw_evidence_free(&o->evidence);
	pthread_cond_destroy(&o->ending);
	pthread_mutex_destroy(&o->lock);
	pthread_mutex_destroy(&o->evidence_lock);
	free(o);
}

int sw_observer_open(const struct sw_observer_options *options, struct sw_observer **out)
{
	struct sw_observer *o = calloc(1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	init_locks(o);
	o->interval_ms = options->interval_ms < INTERVAL_MIN_MS   ? INTERVAL_MIN_MS
	                 : options->interval_ms > INTERVAL_MAX_MS ? INTERVAL_MAX_MS
	                                                          : options->interval_ms;
	o->sampled = options->sampled;
	o->context = options->context;
	int error = sw_attach_init(&o->attach, options->runtime_dir);
	if (!error)
		error = sw_rates_open(options->history_s, &o->rates);
	if (!error)
		error = sw_incidents_open(options->state_dir, &o->incidents);
	if (!error && getrandom(&o->evidence.seed, sizeof(o->evidence.seed), 0) != sizeof(o->evidence.seed))
		error = -EIO;
	*out = o; /* before the thread starts: its callback may look for it */
	if (!error)
		error = start_thread(o);
	if (error) {
		*out = NULL;
		release(o);
	}
	return error;
}

void sw_observer_close(struct sw_observer *o)
{
	if (!o)
		return;
	pthread_mutex_lock(&o->lock);
	o->end = true;
	pthread_cond_signal(&o->ending);
	pthread_mutex_unlock(&o->lock);
	pthread_join(o->thread, NULL);
	release(o);
}

const struct sw_sample *sw_observer_lock(struct sw_observer *o)
{
	pthread_mutex_lock(&o->lock);
	read_now(o);
	return &o->sample;
}

void sw_observer_unlock(struct sw_observer *o)
{
	pthread_mutex_unlock(&o->lock);
}

const struct sw_rates *sw_observer_rates(const struct sw_observer *o)
{
	return o->rates;
}

const struct sw_incidents *sw_observer_incidents(const struct sw_observer *o)
{
	return o->incidents;
}

const struct sw_evidence *sw_observer_lock_evidence(struct sw_observer *o)
{
	pthread_mutex_lock(&o->evidence_lock);
	pthread_mutex_lock(&o->lock);
	read_now(o);
	const struct sw_evidence *e = evidence_of(o, EVIDENCE_FRESH_NS);
	pthread_mutex_unlock(&o->lock);
	return e;
}

void sw_observer_unlock_evidence(struct sw_observer *o)
{
	pthread_mutex_unlock(&o->evidence_lock);
}

const struct sw_region *sw_observer_region(const struct sw_observer *o)
{
	return o->attach.region;
}

uint64_t sw_observer_entry_hits(const struct sw_observer *o, uint32_t entry)
{
	const struct sw_region *r = o->attach.region;
	uint64_t sum = 0, hits;
	if (!r || entry >= r->entries_max)
		return 0;
	for (uint32_t i = 0; i < r->workers; i++)
		if (sw_read_worker(sw_region_worker(r, i), &hits, &sw_region_worker_entries(r, i)[entry], sizeof(hits)))
			sum += hits;
	const uint64_t *wire = sw_region_wire_entries(r);
	return sum + (wire ? __atomic_load_n(&wire[entry], __ATOMIC_RELAXED) : 0);
}

uint64_t sw_observer_sampled_unix_ns(const struct sw_observer *o)
{
	return o->sampled_unix_ns;
}
