/* SPDX-License-Identifier: BSD-3-Clause */
/* Reload and check: from a text to a policy, and from a policy into force. */
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "control_internal.h"
#include "policy/check.h"
#include "policy/load.h"

void sw_control_log_report(const struct sw_report *report)
{
	char text[1200];
	for (int severity = SW_ERROR; severity < SW_SEVERITIES; severity++) {
		const uint32_t count = report->counts[severity];
		for (uint32_t i = 0; i < count && i < SW_FINDINGS_MAX; i++)
			sw_log(severity == SW_ERROR ? LOG_ERR : LOG_WARNING, "%s",
			    sw_finding_text(&report->findings[severity][i], SW_ERROR, text, sizeof(text)));
		if (count > SW_FINDINGS_MAX)
			sw_log(LOG_WARNING, "%s: and %u more like these", report->file, count - SW_FINDINGS_MAX);
	}
}

int sw_control_compile(struct sw_control *c, struct shared_spec *spec, const struct sw_blocks *blocks,
    const struct sw_snapshot_header *previous, uint64_t generation, bool is_last_good, struct sw_report *report,
    struct policy **out)
{
	uint32_t cpus[SW_WORKERS_MAX * 4];
	char region[4096];
	struct sw_snapshot_header *snapshot;
	struct sw_compile_block *compiled = calloc(blocks->count + 1, sizeof(*compiled));
	if (!compiled)
		return -ENOMEM;
	snprintf(region, sizeof(region), "%s/%s", c->runtime_dir, SW_REGION_NAME);
	struct sw_running_services *running = sw_running_services(region);
	uint8_t *keep = previous ? sw_retired_judge(c, previous, running) : NULL;
	for (uint32_t i = 0; i < blocks->count; i++)
		compiled[i] = (struct sw_compile_block){blocks->items[i].prefix, blocks->items[i].until_unix_ns};
	const struct sw_compile_input input = {
	    .spec = spec->spec,
	    .previous = previous,
	    .running = running, /* for when our files are lost, and it is not */
	    .keep = keep,
	    .blocks = compiled,
	    .block_count = blocks->count,
	    .generation = generation,
	    .now_unix_ns = sw_now_unix_ns(),
	    .cpus = cpus,
	    .cpu_count = sw_usable_cpus(cpus, SW_WORKERS_MAX * 4),
	};
	int result = sw_compile(&input, &c->cursors, report, &snapshot);
	free(compiled);
	free(running);
	free(keep);
	if (result)
		return result;
	sw_retired_note(c, previous, snapshot);
	*out = sw_policy_new(spec, snapshot, is_last_good);
	return *out ? 0 : -ENOMEM;
}

uint64_t sw_control_next_generation(struct sw_control *c)
{
	pthread_mutex_lock(&c->state);
	uint64_t last = c->policy->snapshot->generation;
	if (c->status.generation_in_force > last)
		last = c->status.generation_in_force;
	pthread_mutex_unlock(&c->state);
	return last + 1;
}

/* ---- into force ------------------------------------------------------------------------------------------------- */

/* The same rules as before: nothing to hand over, but the operator's text and its moment are new. Under `work`. */
static bool replace_without_publishing(struct sw_control *c, struct policy *policy)
{
	pthread_mutex_lock(&c->state);
	struct policy *old = c->policy;
	const bool same = old == c->acknowledged && sw_snapshot_same(old->snapshot, policy->snapshot);
	if (same) {
		policy->snapshot->generation = old->snapshot->generation; /* nobody else has seen it yet */
		c->policy = policy;
		c->acknowledged = sw_policy_hold(policy);
	}
	pthread_mutex_unlock(&c->state);
	if (same) {
		sw_policy_drop(old);
		sw_policy_drop(old);
	}
	return same;
}

/* Waits until the candidate is answered, the dataplane is gone, or time is up. Under `state`. */
static int wait_for_answer(struct sw_control *c)
{
	struct timespec deadline;
	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += SW_CONTROL_WAIT_MS / 1000;
	while (c->outcome == OUTCOME_NONE && c->status.dataplane_connected)
		if (pthread_cond_timedwait(&c->answered, &c->state, &deadline) != 0)
			return -ETIMEDOUT;
	switch (c->outcome) {
	case OUTCOME_ACKNOWLEDGED:
		return 0;
	case OUTCOME_REFUSED:
		return -EPROTO;
	default:
		return -ENOTCONN;
	}
}

int sw_control_put_in_force(struct sw_control *c, struct policy *policy)
{
	struct policy *replaced = NULL, *unanswered = NULL;
	if (replace_without_publishing(c, policy)) {
		sw_control_store(c, policy);
		return 0;
	}
	pthread_mutex_lock(&c->state);
	c->candidate = policy;
	c->outcome = OUTCOME_NONE;
	int result = -ENOTCONN;
	if (c->status.dataplane_connected) {
		sw_publisher_wake(c->publisher);
		result = wait_for_answer(c);
	}
	if (c->candidate) { /* no answer: it is good as far as we can see, and offered again when the dataplane is back */
		unanswered = sw_policy_hold(c->candidate);
		replaced = c->policy;
		c->policy = c->candidate;
		c->candidate = NULL;
	}
	pthread_cond_signal(&c->reload); /* it may hold retired services, to be looked at from now on */
	pthread_mutex_unlock(&c->state);
	sw_policy_drop(replaced);
	if (unanswered)
		sw_control_store(c, unanswered);
	sw_policy_drop(unanswered);
	return result;
}

/* ---- reload ----------------------------------------------------------------------------------------------------- */

static const char *outcome_text(int result)
{
	switch (result) {
	case 0:
		return "in force";
	case -EINVAL:
		return "refused; the running policy stays";
	case -EPROTO:
		return "the dataplane refused it; the running policy stays";
	case -ENOTCONN:
		return "good and stored; the dataplane is away and gets it when it comes back";
	case -ETIMEDOUT:
		return "good and stored; the dataplane has not acknowledged it yet";
	default:
		return strerror(-result);
	}
}

static json_t *report_json(struct sw_control *c, const struct sw_report *findings, int result)
{
	struct sw_control_status status;
	sw_control_status(c, &status);
	json_t *json = json_pack("{s:b, s:s, s:I, s:b, s:b, s:s, s:o, s:o}", "ok",
	    result == 0 || result == -ENOTCONN || result == -ETIMEDOUT, "message", outcome_text(result), "generation",
	    (json_int_t)status.generation_wanted, "published", result == 0, "needs_restart", status.needs_restart,
	    "restart_field", status.restart_field, "errors", sw_report_json(findings, SW_ERROR), "warnings",
	    sw_report_json(findings, SW_WARNING));
	if (json && result == -EPROTO)
		json_object_set_new(json, "dataplane", json_string(status.dataplane_text));
	return json;
}

/* What of the control section cannot change while the daemon runs. */
static void warn_of_restart(const struct sw_spec *was, const struct sw_spec *is, struct sw_report *report)
{
	const struct sw_spec_control *a = &was->control, *b = &is->control;
	const struct sw_spec_listen *x = a->listen.items, *y = b->listen.items;
	bool differs = a->listen.count != b->listen.count || a->socket_mode != b->socket_mode ||
	               strcmp(a->socket_group, b->socket_group) != 0 || a->sample_interval_ms != b->sample_interval_ms ||
	               a->history_s != b->history_s;
	for (uint32_t i = 0; !differs && i < a->listen.count; i++)
		differs = x[i].port != y[i].port || !sw_address_equal(&x[i].address, &y[i].address);
	if (differs)
		sw_log(LOG_WARNING,
		    "the control section changed: that takes effect when seawalld is restarted (the dataplane need not be)");
	if (strcmp(was->boot.instance, is->boot.instance) != 0)
		sw_report_warn(report, "boot.instance", "restart both processes",
		    "another instance: directories stay as they are until then");
}

/* Under `work`. */
static int load_and_put_in_force(struct sw_control *c, struct sw_report *findings)
{
	struct sw_spec *spec;
	struct policy *policy;
	int result = sw_load_file(c->config_path, findings, &spec);
	if (result)
		return result;
	struct policy *current =
	    sw_policy_hold_current(c); /* under `work` only the publisher replaces it, by one with the same slots */
	warn_of_restart(current->spec->spec, spec, findings);
	struct shared_spec *shared = sw_shared_spec_new(spec);
	result = shared ? sw_control_compile(c, shared, &c->blocks, current->snapshot, sw_control_next_generation(c), false,
	                      findings, &policy)
	                : -ENOMEM;
	sw_shared_spec_drop(shared);
	sw_policy_drop(current);
	if (result == -ENOSPC)
		result = -EINVAL; /* the report says what there is no room for */
	return result ? result : sw_control_put_in_force(c, policy);
}

int sw_control_reload(struct sw_control *c, json_t **report)
{
	struct sw_report *findings = calloc(1, sizeof(*findings));
	if (!findings)
		return -ENOMEM;
	pthread_mutex_lock(&c->work);
	sw_blocks_prune_locked(c);
	const int result = load_and_put_in_force(c, findings);
	pthread_mutex_lock(&c->state);
	c->report = *findings;
	c->report.file = c->config_path; /* the copy must not point to what goes away */
	c->status.last_load_unix_ns = sw_now_unix_ns();
	c->status.last_load_errors = findings->counts[SW_ERROR];
	c->status.last_load_warnings = findings->counts[SW_WARNING];
	pthread_mutex_unlock(&c->state);
	pthread_mutex_unlock(&c->work);
	sw_control_log_report(findings);
	sw_log(result == 0                                   ? LOG_NOTICE
	       : result == -ENOTCONN || result == -ETIMEDOUT ? LOG_WARNING
	                                                     : LOG_ERR,
	    "%s: %s", c->config_path, outcome_text(result));
	if (report)
		*report = report_json(c, findings, result);
	free(findings);
	return result;
}

int sw_control_check_text(struct sw_control *c, const char *text, size_t bytes, json_t **report)
{
	struct sw_report *findings = calloc(1, sizeof(*findings));
	char *copy = strdup(c->config_path);
	struct sw_spec *spec = NULL;
	struct sw_memory_sum sum;
	uint32_t targets = 0;
	json_t *json = NULL;
	int result = -ENOMEM;
	if (!findings || !copy)
		goto out;
	result = sw_load_text(text, bytes, "(text)", dirname(copy), findings, &spec);
	json = json_pack("{s:b, s:s, s:o, s:o}", "ok", result == 0, "message", result == 0 ? "good" : "would be refused",
	    "errors", sw_report_json(findings, SW_ERROR), "warnings", sw_report_json(findings, SW_WARNING));
	if (!result) {
		for (uint32_t i = 0; i < spec->services.count; i++)
			targets += SW_SPEC_ITEMS(spec->services, struct sw_spec_service)[i].targets.count;
		sw_memory_sum(&spec->boot, &sum);
		json_object_set_new(json, "summary",
		    json_pack("{s:I, s:I, s:I, s:I, s:I}", "services", (json_int_t)spec->services.count, "targets",
		        (json_int_t)targets, "groups", (json_int_t)spec->groups.count, "prefixes",
		        (json_int_t)(spec->allow.count + spec->deny.count), "memory_bytes", (json_int_t)sum.total));
	}
	sw_spec_free(spec);
out:
	if (report)
		*report = json;
	else
		json_decref(json);
	free(copy);
	free(findings);
	return result;
}
