/* SPDX-License-Identifier: BSD-3-Clause */
/* Each thing that can be wrong, alone: found, by its name, with a remedy; and nothing found when all is well. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "health.h"

#define SECOND 1000000000ull

struct world {
	struct sw_sample sample, before;
	struct sw_control_status control;
	struct sw_health_inputs in;
};

static void make_well(struct world *w)
{
	memset(w, 0, sizeof(*w));
	struct sw_sample *s = &w->sample;
	s->state = SW_DATAPLANE_RUNNING;
	strcpy(s->state_text, "what is the matter");
	s->valid = true;
	s->start_unix_ns = 1;
	s->mono_ns = 100 * SECOND;
	s->unix_ns = 1000 * SECOND;
	s->generation = w->control.generation_wanted = 3;
	s->worker_count = 2;
	s->link_count = 1;
	s->ports[0].up = s->ports[1].up = 1;
	w->in = (struct sw_health_inputs){.flows = 1000,
	    .source_records = 1000,
	    .limiter_entries = 1000,
	    .held_pkts = 100,
	    .sampled_unix_ns = 1000 * SECOND,
	    .interval_ms = 1000};
}

static void absent(struct world *w)
{
	w->sample.state = SW_DATAPLANE_ABSENT;
	w->sample.valid = false;
}
static void incompatible(struct world *w)
{
	w->sample.state = SW_DATAPLANE_INCOMPATIBLE;
	w->sample.valid = false;
}
static void ended(struct world *w)
{
	w->sample.state = SW_DATAPLANE_ENDED;
}
static void stale(struct world *w)
{
	w->sample.state = SW_DATAPLANE_STALE;
}
static void torn(struct world *w)
{
	w->sample.torn = 2;
}
static void unaccounted_at_rest(struct world *w)
{
	w->sample.unaccounted = -1;
}
static void unaccounted_large(struct world *w)
{
	w->sample.unaccounted = 5000;
	w->sample.total.count[SW_COUNT_RX] = 1000000;
}
static void unaccounted_moving(struct world *w)
{
	w->sample.unaccounted = 5;
	w->sample.total.count[SW_COUNT_RX] = 1000000;
}
static void refused(struct world *w)
{
	w->control.last_load_errors = 2;
}
static void last_good(struct world *w)
{
	w->control.running_last_good = true;
}
static void restart(struct world *w)
{
	w->control.needs_restart = true;
}
static void not_published(struct world *w)
{
	strcpy(w->control.dataplane_text, "refused: services[0]");
}
static void out_of_step(struct world *w)
{
	w->sample.generation = 2;
}
static void in_step_soon(struct world *w)
{
	w->sample.generation = 2;
	w->control.last_load_unix_ns = 999 * SECOND;
}
static void flows(struct world *w)
{
	w->sample.flows_used = 850;
}
static void flows_below(struct world *w)
{
	w->sample.flows_used = 849;
}
static void sources(struct world *w)
{
	w->sample.sources_used = 1000;
}
static void limiter(struct world *w)
{
	w->sample.limiter_used = 900;
}
static void held(struct world *w)
{
	w->sample.held_used = 100;
}
static void missed(struct world *w)
{
	w->sample.losses.missed = 7;
}
static void no_mbuf(struct world *w)
{
	w->sample.losses.no_mbuf = 7;
}
static void errors(struct world *w)
{
	w->sample.losses.errors = 7;
}
static void transmit(struct world *w)
{
	w->sample.total.dropped[SW_DROP_TRANSMIT_FULL] = 1;
}
static void handover(struct world *w)
{
	w->sample.total.dropped[SW_DROP_HANDOVER_FULL] = 1;
}
static void port_down(struct world *w)
{
	w->sample.ports[1].up = 0;
}
static void no_disk(struct world *w)
{
	w->in.incidents_error = -ENOSPC;
}
static void late(struct world *w)
{
	w->in.sampled_unix_ns = 900 * SECOND;
}
static void well(struct world *w)
{
	(void)w;
}

static const struct {
	void (*make)(struct world *w);
	enum sw_health_status status;
	const char *code; /* NULL: nothing may be found */
} cases[] = {
    {well, SW_HEALTH_OK, NULL},
    {absent, SW_HEALTH_CRITICAL, "dataplane_absent"},
    {incompatible, SW_HEALTH_CRITICAL, "dataplane_incompatible"},
    {ended, SW_HEALTH_CRITICAL, "dataplane_ended"},
    {stale, SW_HEALTH_CRITICAL, "dataplane_stale"},
    {torn, SW_HEALTH_WARNING, "worker_unreadable"},
    {unaccounted_at_rest, SW_HEALTH_CRITICAL, "accounting"},
    {unaccounted_large, SW_HEALTH_CRITICAL, "accounting"},
    {unaccounted_moving, SW_HEALTH_OK, NULL},
    {refused, SW_HEALTH_WARNING, "policy_refused"},
    {last_good, SW_HEALTH_WARNING, "running_last_good"},
    {restart, SW_HEALTH_WARNING, "restart_needed"},
    {not_published, SW_HEALTH_WARNING, "policy_not_published"},
    {out_of_step, SW_HEALTH_WARNING, "policy_out_of_step"},
    {in_step_soon, SW_HEALTH_OK, NULL},
    {flows, SW_HEALTH_WARNING, "flows_full"},
    {flows_below, SW_HEALTH_OK, NULL},
    {sources, SW_HEALTH_WARNING, "sources_full"},
    {limiter, SW_HEALTH_WARNING, "limiter_full"},
    {held, SW_HEALTH_WARNING, "held_full"},
    {missed, SW_HEALTH_WARNING, "losses_missed"},
    {no_mbuf, SW_HEALTH_WARNING, "losses_no_buffer"},
    {errors, SW_HEALTH_WARNING, "losses_errors"},
    {transmit, SW_HEALTH_WARNING, "losses_transmit"},
    {handover, SW_HEALTH_WARNING, "losses_handover"},
    {port_down, SW_HEALTH_WARNING, "port_down"},
    {no_disk, SW_HEALTH_WARNING, "incidents_not_written"},
    {late, SW_HEALTH_WARNING, "sampling_late"},
};

static void test_findings(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world w;
		struct sw_health health;
		struct sw_rates *rates;
		make_well(&w);
		w.before = w.sample;
		w.before.mono_ns -= 30 * SECOND;
		cases[i].make(&w);
		assert_int_equal(sw_rates_open(300, &rates), 0);
		sw_rates_add(rates, &w.before);
		sw_rates_add(rates, &w.sample);
		if (cases[i].make == unaccounted_at_rest || cases[i].make == unaccounted_moving) /* since the last point */
			w.sample.total.count[SW_COUNT_RX] += cases[i].make == unaccounted_moving;
		w.in.sample = &w.sample;
		w.in.rates = rates;
		w.in.control = &w.control;
		sw_health_judge(&w.in, &health);
		if (health.status != cases[i].status || health.count != (cases[i].code != NULL))
			fail_msg("case %zu (%s): %u findings, status %d: %s", i, cases[i].code ? cases[i].code : "none",
			    health.count, (int)health.status, health.count ? health.findings[0].message : "");
		if (cases[i].code) {
			assert_string_equal(health.findings[0].code, cases[i].code);
			assert_true(health.findings[0].message[0] && health.findings[0].hint[0]);
		}
		sw_rates_close(rates);
	}
}

/* More wrong than there is room for: bounded, and still critical. */
static void test_everything_wrong(void **state)
{
	(void)state;
	struct world w;
	struct sw_health health;
	struct sw_rates *rates;
	make_well(&w);
	stale(&w);
	w.sample.worker_count = SW_WORKERS_MAX;
	w.sample.torn = UINT64_MAX;
	refused(&w);
	flows(&w);
	port_down(&w);
	unaccounted_large(&w);
	assert_int_equal(sw_rates_open(300, &rates), 0);
	w.in.sample = &w.sample;
	w.in.rates = rates;
	w.in.control = &w.control;
	sw_health_judge(&w.in, &health);
	assert_int_equal(health.count, SW_FINDINGS_MAX);
	assert_int_equal(health.status, SW_HEALTH_CRITICAL);
	for (uint32_t i = 1; i < health.count; i++)
		assert_true(health.findings[i - 1].severity >= health.findings[i].severity);
	sw_rates_close(rates);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_findings),
	    cmocka_unit_test(test_everything_wrong),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
