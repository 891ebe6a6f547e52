/* SPDX-License-Identifier: BSD-3-Clause */
#include "incidents.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "incident_file.h"

/* What is known of a service between two samples. */
struct watched {
	char name[SW_NAME_BYTES];
	bool seen, running;
	uint32_t incident; /* sequence number, when running */
	struct sw_counters before;
};

struct sw_incidents {
	char *state_dir;
	int error;
	uint64_t start_unix_ns; /* of the dataplane that `before` belongs to */
	uint32_t next;          /* sequence number of the next incident; kept: the last SW_INCIDENTS_KEPT */
	uint32_t count, running;
	struct sw_incident ring[SW_INCIDENTS_KEPT];
	struct watched services[SW_SERVICES_MAX];
};

uint32_t sw_incidents_count(const struct sw_incidents *n)
{
	return n->count;
}

static struct sw_incident *by_sequence(const struct sw_incidents *n, uint32_t sequence)
{
	return (struct sw_incident *)(uintptr_t)&n->ring[sequence % SW_INCIDENTS_KEPT];
}

const struct sw_incident *sw_incidents_get(const struct sw_incidents *n, uint32_t index)
{
	return by_sequence(n, n->next - 1 - index);
}

bool sw_incidents_running(const struct sw_incidents *n)
{
	return n->running != 0;
}

int sw_incidents_error(const struct sw_incidents *n)
{
	return n->error;
}

/* Is the incident with this sequence number still in the ring? */
static bool is_kept(const struct sw_incidents *n, uint32_t sequence)
{
	return n->next - sequence <= n->count && sequence != n->next;
}

/*
 * Takes a place in the ring. With more services armed at once than places the oldest incident loses its place, also
 * when it runs: its service then has no open incident until it arms again.
 */
static struct sw_incident *new_place(struct sw_incidents *n)
{
	struct sw_incident *place = by_sequence(n, n->next);
	n->next++;
	n->count += n->count < SW_INCIDENTS_KEPT;
	memset(place, 0, sizeof(*place));
	return place;
}

/* A line of the file: a "disarmed" replaces the "armed" of the same start. */
static void take_line(void *context, const struct sw_incident *line)
{
	struct sw_incidents *n = context;
	for (uint32_t i = 0; i < n->count; i++) {
		struct sw_incident *old = by_sequence(n, n->next - 1 - i);
		if (old->start_unix_ns == line->start_unix_ns && !strcmp(old->service, line->service)) {
			*old = *line;
			return;
		}
	}
	*new_place(n) = *line;
}

int sw_incidents_open(const char *state_dir, struct sw_incidents **out)
{
	struct sw_incidents *n = calloc(1, sizeof(*n));
	if (!n)
		return -ENOMEM;
	if (state_dir) {
		n->state_dir = strdup(state_dir);
		if (!n->state_dir) {
			free(n);
			return -ENOMEM;
		}
		sw_incident_load(state_dir, take_line, n);
	}
	*out = n;
	return 0;
}

void sw_incidents_close(struct sw_incidents *n)
{
	if (!n)
		return;
	free(n->state_dir);
	free(n);
}

static void write_line(struct sw_incidents *n, const struct sw_incident *incident)
{
	if (n->state_dir)
		n->error = sw_incident_append(n->state_dir, incident);
}

/* An incident of an earlier run of the daemon that goes on: the service has been armed since that very moment. */
static bool resume(struct sw_incidents *n, struct watched *w, const struct sw_service_sample *s)
{
	for (uint32_t i = 0; i < n->count; i++) {
		const uint32_t sequence = n->next - 1 - i;
		struct sw_incident *old = by_sequence(n, sequence);
		if (old->end_unix_ns || old->start_unix_ns != s->state.changed_unix_ns || strcmp(old->service, s->state.name))
			continue;
		w->incident = sequence;
		old->slot = s->slot;
		old->interrupted = true;
		return true;
	}
	return false;
}

static void begin(struct sw_incidents *n, struct watched *w, const struct sw_service_sample *s, uint64_t now_unix_ns)
{
	w->running = true;
	n->running++;
	if (!w->seen && resume(n, w, s))
		return;
	w->incident = n->next;
	struct sw_incident *incident = new_place(n);
	memcpy(incident->service, s->state.name, sizeof(incident->service));
	incident->slot = s->slot;
	incident->start_unix_ns = s->state.changed_unix_ns ? s->state.changed_unix_ns : now_unix_ns;
	incident->interrupted = !w->seen; /* armed before we first looked */
	incident->peak_syn_per_s = s->state.syn_per_s;
	write_line(n, incident);
}

static void end(struct sw_incidents *n, struct watched *w, uint64_t at_unix_ns)
{
	w->running = false;
	n->running--;
	if (!is_kept(n, w->incident))
		return;
	struct sw_incident *incident = by_sequence(n, w->incident);
	incident->end_unix_ns = at_unix_ns > incident->start_unix_ns ? at_unix_ns : incident->start_unix_ns + 1;
	write_line(n, incident);
}

/* What came since the last sample; from 0 after a restart of the dataplane. */
static void add_up(struct sw_incident *n, const struct sw_counters *before, const struct sw_counters *now)
{
#define SINCE(field) (now->field - before->field)
	n->syns += SINCE(count[SW_COUNT_SYN_RECEIVED]);
	n->answered += SINCE(count[SW_COUNT_ANSWERED]);
	n->cookies += SINCE(count[SW_COUNT_COOKIE_VALID]);
	n->connections += SINCE(count[SW_COUNT_FLOW_PROXIED]) + SINCE(count[SW_COUNT_FLOW_NATIVE]);
	n->dropped += sw_counters_dropped(now) - sw_counters_dropped(before);
#undef SINCE
}

static void name_offenders(struct sw_incident *n, const struct sw_evidence *e)
{
	const struct sw_evidence_filter filter = {.service_slot = n->slot, .proof_min = SW_PROOF_ECHOED, .offenders = true};
	struct sw_evidence_record *top = NULL;
	n->sources = n->proven = n->offenders = 0;
	for (uint32_t i = 0; i < e->count; i++) {
		const struct sw_evidence_record *r = &e->records[i];
		if (r->service_slot != n->slot || r->last_seen_unix_ns < n->start_unix_ns)
			continue;
		n->sources++;
		n->proven += r->proof >= SW_PROOF_ECHOED;
		n->offenders += r->proof >= SW_PROOF_ECHOED && (r->refused || r->blocked_until_unix_ns);
	}
	const int count = sw_evidence_top(e, &filter, SW_SORT_REFUSED, SW_INCIDENT_OFFENDERS, &top);
	n->top_count = 0;
	for (int i = 0; i < count; i++)
		if (top[i].last_seen_unix_ns >= n->start_unix_ns)
			n->top[n->top_count++] = (struct sw_offender){.address = top[i].source.address,
			    .proof = top[i].proof,
			    .blocked = top[i].blocked,
			    .conns = top[i].conns,
			    .refused = top[i].refused,
			    .syns = top[i].syns};
	free(top);
}

/* Takes what came since the last sample into the incident that runs. */
static void go_on(struct sw_incidents *n, const struct watched *w, const struct sw_service_sample *s,
    const struct sw_evidence *evidence)
{
	if (!w->running || !is_kept(n, w->incident))
		return;
	struct sw_incident *incident = by_sequence(n, w->incident);
	add_up(incident, &w->before, &s->counters);
	if (s->state.syn_per_s > incident->peak_syn_per_s)
		incident->peak_syn_per_s = s->state.syn_per_s;
	if (evidence)
		name_offenders(incident, evidence);
}

static void add_service(struct sw_incidents *n, const struct sw_service_sample *s, const struct sw_sample *sample,
    const struct sw_evidence *evidence)
{
	struct watched *w = &n->services[s->slot];
	const uint64_t now_unix_ns = sample->unix_ns, changed_unix_ns = s->state.changed_unix_ns;
	const bool armed = s->state.mode == SW_MODE_AUTO && sample->state != SW_DATAPLANE_ENDED &&
	                   atomic_load_explicit(&s->state.armed, memory_order_relaxed);
	if (strcmp(w->name, s->state.name)) { /* the slot has another owner now */
		if (w->running)
			end(n, w, now_unix_ns);
		memset(w, 0, sizeof(*w));
		memcpy(w->name, s->state.name, sizeof(w->name));
	}
	if (!w->seen)
		w->before = s->counters;
	go_on(n, w, s, evidence);
	/* Has it changed since? Disarmed and armed again between two samples is another incident. */
	const bool changed =
	    w->running && is_kept(n, w->incident) && changed_unix_ns > by_sequence(n, w->incident)->start_unix_ns;
	if (w->running && (!armed || changed))
		end(n, w, changed ? changed_unix_ns : now_unix_ns);
	if (armed && !w->running) {
		begin(n, w, s, now_unix_ns);
		add_up(by_sequence(n, w->incident), &w->before, &s->counters);
	}
	w->seen = true;
	w->before = s->counters;
}

/* Services that left the policy end their incidents; so does everything when another dataplane takes over. */
static void sweep(struct sw_incidents *n, const struct sw_sample *sample, bool restarted)
{
	uint32_t at = 0; /* the sample's services are in the order of their slots */
	for (uint32_t i = 0; i < SW_SERVICES_MAX; i++) {
		struct watched *w = &n->services[i];
		while (at < sample->service_count && sample->services[at].slot < i)
			at++;
		const bool is_in = at < sample->service_count && sample->services[at].slot == i;
		if (!w->seen || (!restarted && is_in))
			continue;
		if (w->running)
			end(n, w, restarted ? sample->start_unix_ns : sample->unix_ns);
		if (restarted) /* counters begin at 0, and what they show came since */
			memset(&w->before, 0, sizeof(w->before));
		else
			memset(w, 0, sizeof(*w));
	}
}

static bool is_running(const struct sw_incidents *n, uint32_t sequence)
{
	for (uint32_t i = 0; i < SW_SERVICES_MAX; i++)
		if (n->services[i].running && n->services[i].incident == sequence)
			return true;
	return false;
}

/* Incidents of an earlier run of the daemon that ended while nobody looked; at what moment is known at best roughly. */
static void close_left_open(struct sw_incidents *n, const struct sw_sample *sample)
{
	for (uint32_t i = n->count; i-- > 0;) {
		struct sw_incident *incident = by_sequence(n, n->next - 1 - i);
		if (incident->end_unix_ns || is_running(n, n->next - 1 - i))
			continue;
		const struct sw_service_sample *s = sw_sample_service(sample, incident->service);
		uint64_t at = sample->unix_ns;
		if (sample->start_unix_ns > incident->start_unix_ns)
			at = sample->start_unix_ns;
		else if (s && s->state.changed_unix_ns > incident->start_unix_ns)
			at = s->state.changed_unix_ns;
		incident->end_unix_ns = at > incident->start_unix_ns ? at : incident->start_unix_ns + 1;
		incident->interrupted = true;
		write_line(n, incident);
	}
}

void sw_incidents_add(struct sw_incidents *n, const struct sw_sample *sample, const struct sw_evidence *evidence)
{
	if (!sample->valid)
		return; /* nothing to see: an armed service may be armed still when the dataplane is back */
	const bool first = !n->start_unix_ns, restarted = !first && n->start_unix_ns != sample->start_unix_ns;
	n->start_unix_ns = sample->start_unix_ns;
	sweep(n, sample, restarted);
	for (uint32_t i = 0; i < sample->service_count; i++)
		add_service(n, &sample->services[i], sample, evidence);
	if (first)
		close_left_open(n, sample);
}
