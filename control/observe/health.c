/* SPDX-License-Identifier: BSD-3-Clause */
#include "health.h"

#include <stdarg.h>
#include <stdio.h>

enum { FULL_WARN_PERCENT = 85 };
#define UNACCOUNTED_SLACK 4096 /* packets between two readings of busy workers; more than rings hold is a defect */
#define PUBLISH_GRACE_NS  10000000000ull

const char *sw_health_name(enum sw_health_status status)
{
	static const char *const names[] = {"ok", "warning", "critical"};
	return names[status];
}

static void __attribute__((format(printf, 5, 6)))
find(struct sw_health *h, enum sw_health_status severity, const char *code, const char *hint, const char *format, ...)
{
	if (h->count == SW_FINDINGS_MAX)
		return;
	struct sw_finding *f = &h->findings[h->count++];
	f->severity = severity;
	f->code = code;
	f->hint = hint;
	va_list list;
	va_start(list, format);
	vsnprintf(f->message, sizeof(f->message), format, list);
	va_end(list);
	if (severity > h->status)
		h->status = severity;
}

static void judge_dataplane(const struct sw_health_inputs *in, struct sw_health *h)
{
	const struct sw_sample *s = in->sample;
	switch (s->state) {
	case SW_DATAPLANE_RUNNING:
		break;
	case SW_DATAPLANE_ABSENT:
		find(h, SW_HEALTH_CRITICAL, "dataplane_absent", "start seawall-dataplane, or give both the same --runtime-dir",
		    "%s", s->state_text);
		break;
	case SW_DATAPLANE_INCOMPATIBLE:
		find(h, SW_HEALTH_CRITICAL, "dataplane_incompatible", "restart the dataplane with the build of this daemon",
		    "%s", s->state_text);
		break;
	case SW_DATAPLANE_ENDED:
		find(h, SW_HEALTH_CRITICAL, "dataplane_ended", "start seawall-dataplane", "%s", s->state_text);
		break;
	case SW_DATAPLANE_STALE:
		find(h, SW_HEALTH_CRITICAL, "dataplane_stale",
		    "look at its log and restart it; the XDP program fails open or "
		    "closed meanwhile, as configured",
		    "%s (last seen %.1f s ago)", s->state_text, (double)s->heartbeat_age_ns / 1e9);
		break;
	}
	for (uint32_t i = 0; s->valid && i < s->worker_count; i++)
		if (s->torn & (1ull << i))
			find(h, SW_HEALTH_WARNING, "worker_unreadable", "if it stays, the worker hangs: restart the dataplane",
			    "the counters of worker %u cannot be read whole", i);
}

static void judge_sum(const struct sw_health_inputs *in, struct sw_health *h)
{
	const struct sw_sample *s = in->sample;
	if (!s->valid || s->torn || !s->unaccounted)
		return;
	/* While packets flow they may stand between workers; a sum that is off by more, or at rest, is a defect. */
	const struct sw_rate_point *from, *to;
	double seconds;
	const bool at_rest = sw_rates_window(in->rates, SW_RATE_1S, &from, &to, &seconds) &&
	                     from->total.count[SW_COUNT_RX] == s->total.count[SW_COUNT_RX];
	const bool large = s->unaccounted > UNACCOUNTED_SLACK || s->unaccounted < -UNACCOUNTED_SLACK;
	if (at_rest || large)
		find(h, SW_HEALTH_CRITICAL, "accounting", "this is a defect of Seawall: report it with the output of /stats",
		    "%lld packets are not accounted for", (long long)s->unaccounted);
}

static void judge_policy(const struct sw_health_inputs *in, struct sw_health *h)
{
	const struct sw_control_status *c = in->control;
	const struct sw_sample *s = in->sample;
	if (c->last_load_errors)
		find(h, SW_HEALTH_WARNING, "policy_refused", "see `seawallctl status`, mend the file, then `seawallctl reload`",
		    "the last load of the policy found %u error%s; the earlier policy stays in force", c->last_load_errors,
		    c->last_load_errors == 1 ? "" : "s");
	if (c->running_last_good)
		find(h, SW_HEALTH_WARNING, "running_last_good", "mend the policy file, then `seawallctl reload`",
		    "the policy file is broken: the last good policy is in force");
	if (c->needs_restart)
		find(h, SW_HEALTH_WARNING, "restart_needed", "restart seawall-dataplane when it suits",
		    "the boot section has changed (%s): it takes a restart of the dataplane", c->restart_field);
	if (s->state != SW_DATAPLANE_RUNNING)
		return;
	if (c->dataplane_text[0])
		find(h, SW_HEALTH_WARNING, "policy_not_published",
		    "run dataplane and daemon of the same build, on the same "
		    "runtime directory",
		    "the dataplane did not take the policy: %s", c->dataplane_text);
	const bool waiting = s->unix_ns < c->last_load_unix_ns + PUBLISH_GRACE_NS;
	if (s->generation != c->generation_wanted && !waiting)
		find(h, SW_HEALTH_WARNING, "policy_out_of_step",
		    "wait a moment; if it stays, look at the log of both processes", "policy %llu is in force, %llu is wanted",
		    (unsigned long long)s->generation, (unsigned long long)c->generation_wanted);
}

static void judge_table(
    struct sw_health *h, const char *code, const char *name, const char *hint, uint64_t used, uint64_t size)
{
	if (size && used * 100 >= size * FULL_WARN_PERCENT)
		find(h, SW_HEALTH_WARNING, code, hint, "%s: %llu of %llu in use (%llu %%)", name, (unsigned long long)used,
		    (unsigned long long)size, (unsigned long long)(used * 100 / size));
}

static void judge_tables(const struct sw_health_inputs *in, struct sw_health *h)
{
	const struct sw_sample *s = in->sample;
	judge_table(
	    h, "flows_full", "flow table", "raise boot.flows, or limit concurrent connections", s->flows_used, in->flows);
	judge_table(h, "sources_full", "source records", "raise boot.source_records; limits hold, evidence may be lost",
	    s->sources_used, in->source_records);
	judge_table(h, "limiter_full", "limiter entries",
	    "raise boot.limiter_entries; prefix and service limits hold meanwhile", s->limiter_used, in->limiter_entries);
	judge_table(h, "held_full", "held packets", "raise boot.held_packets, or look why the server answers slowly",
	    s->held_used, in->held_pkts);
}

/* What was lost in the last minute: what happened long ago is in the counters, not in the health. */
static void judge_losses(const struct sw_health_inputs *in, struct sw_health *h)
{
	const struct sw_rate_point *from, *to;
	double seconds;
	if (!sw_rates_window(in->rates, SW_RATE_60S, &from, &to, &seconds))
		return;
	const uint64_t missed = to->losses.missed - from->losses.missed;
	const uint64_t no_mbuf = to->losses.no_mbuf - from->losses.no_mbuf;
	const uint64_t errors = to->losses.errors - from->losses.errors;
	if (missed)
		find(h, SW_HEALTH_WARNING, "losses_missed", "more workers or descriptors (boot.workers, boot.rx_descriptors)",
		    "%llu packets lost at the ports in the last %.0f s: receive rings were full", (unsigned long long)missed,
		    seconds);
	if (no_mbuf)
		find(h, SW_HEALTH_WARNING, "losses_no_buffer", "raise boot.mbufs",
		    "%llu receive tries in the last %.0f s found no "
		    "packet buffer",
		    (unsigned long long)no_mbuf, seconds);
	if (errors)
		find(h, SW_HEALTH_WARNING, "losses_errors", "check cable, optics and MTU",
		    "%llu frames with errors in the last "
		    "%.0f s",
		    (unsigned long long)errors, seconds);
	const uint64_t transmit = to->total.dropped[SW_DROP_TRANSMIT_FULL] - from->total.dropped[SW_DROP_TRANSMIT_FULL];
	const uint64_t handover = to->total.dropped[SW_DROP_HANDOVER_FULL] - from->total.dropped[SW_DROP_HANDOVER_FULL];
	if (transmit)
		find(h, SW_HEALTH_WARNING, "losses_transmit", "is the link up, and fast enough for what comes in?",
		    "%llu packets dropped in the last %.0f s: transmit queue full or port down", (unsigned long long)transmit,
		    seconds);
	if (handover)
		find(h, SW_HEALTH_WARNING, "losses_handover", "use a NIC that shards by address (RSS), or more workers",
		    "%llu packets dropped in the last %.0f s between workers", (unsigned long long)handover, seconds);
}

static void judge_ports(const struct sw_health_inputs *in, struct sw_health *h)
{
	const struct sw_sample *s = in->sample;
	for (uint32_t i = 0; s->valid && i < s->link_count * SW_SIDES; i++)
		if (!s->ports[i].up)
			find(h, SW_HEALTH_WARNING, "port_down", "check the cable and the device at its other end",
			    "port %s (link %u, %s) is down", s->ports[i].device, s->ports[i].link,
			    s->ports[i].side == SW_OUTSIDE ? "outside" : "inside");
}

static void judge_observer(const struct sw_health_inputs *in, struct sw_health *h)
{
	if (in->incidents_error)
		find(h, SW_HEALTH_WARNING, "incidents_not_written", "is the state directory writable, and the disk not full?",
		    "incidents cannot be written to disk: %s", strerror(-in->incidents_error));
	const uint64_t limit_ns = 10000000000ull + 3ull * in->interval_ms * 1000000ull;
	if (in->sampled_unix_ns && in->sample->unix_ns > in->sampled_unix_ns + limit_ns)
		find(h, SW_HEALTH_WARNING, "sampling_late", "the machine is overloaded, or its clock was set",
		    "the last sample is %.0f s old", (double)(in->sample->unix_ns - in->sampled_unix_ns) / 1e9);
}

/* The worst first; among equals the order in which they were found. */
static void sort(struct sw_health *h)
{
	for (uint32_t i = 1; i < h->count; i++)
		for (uint32_t k = i; k && h->findings[k - 1].severity < h->findings[k].severity; k--) {
			const struct sw_finding f = h->findings[k];
			h->findings[k] = h->findings[k - 1];
			h->findings[k - 1] = f;
		}
}

void sw_health_judge(const struct sw_health_inputs *in, struct sw_health *out)
{
	memset(out, 0, sizeof(*out));
	judge_dataplane(in, out);
	judge_sum(in, out);
	judge_policy(in, out);
	judge_tables(in, out);
	judge_losses(in, out);
	judge_ports(in, out);
	judge_observer(in, out);
	sort(out);
}
