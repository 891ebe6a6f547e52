/* SPDX-License-Identifier: BSD-3-Clause */
/* A case, run: the pipeline and the bare loop by turns, each in CPU time with the generator's cost taken off. */
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_debug.h>

#include "bench.h"

/* BETWEEN_RUNS_US: others get their turn, since scripts/bench runs this ahead of them. */
enum { BETWEEN_RUNS_US = 30000, COUNT_WARM_PASSES = 24 };

/*
 * Time that this thread has had a CPU, in TSC cycles: what others run on a shared machine meanwhile does not count. A
 * pass takes a millisecond or so, the two readings a fraction of a microsecond.
 */
double bench_cycles_used(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return ((double)t.tv_sec + (double)t.tv_nsec * 1e-9) * (double)rte_get_tsc_hz();
}

/* ---- one pass over all frames ------------------------------------------------------------------------------------- */

static enum sw_side side_of(const struct bench_case *c, unsigned int burst)
{
	return c->side == SW_SIDES ? (enum sw_side)(burst & 1) : c->side;
}

/*
 * The pipeline's clock goes only while its frames come: a flood that goes on, not one that rests while something else is
 * measured, in which sources would be forgotten.
 */
static void go_on(struct bench_box *b)
{
	if (b->stands_since != 0)
		b->stood += rte_rdtsc() - b->stands_since;
	b->stands_since = 0;
}

static void stand(struct bench_box *b)
{
	b->stands_since = rte_rdtsc();
}

static void begin_round(struct bench_box *b)
{
	sw_pipeline_begin(b->worker, rte_rdtsc() - b->stood);
}

static void end_round(struct bench_box *b)
{
	sw_pipeline_timers(b->worker);
	sw_pipeline_end(b->worker);
}

void bench_burst(struct bench_box *b, struct rte_mbuf **burst, enum sw_side side)
{
	begin_round(b);
	sw_pipeline_burst(b->worker, burst, SW_BURST, 0, side, false);
	end_round(b);
}

/* Burst i of a pass. Queues are never empty: each turn has a burst, and rounds are as long as they may be. */
static inline void work_on(struct bench_box *b, const struct bench_case *c, unsigned int i)
{
	enum { TURNS = SW_ROUND_PACKETS / SW_BURST };

	_Static_assert(BENCH_FRAMES / SW_BURST % TURNS == 0, "whole rounds");
	if (i % TURNS == 0)
		begin_round(b);
	else
		sw_pipeline_turn(b->worker);
	sw_pipeline_burst(b->worker, b->frames + i * SW_BURST, SW_BURST, 0, side_of(c, i), false);
	if (i % TURNS == TURNS - 1)
		end_round(b);
}

double bench_pass(struct bench_box *b, const struct bench_case *c, bool work)
{
	const double start = bench_cycles_used();

	if (work)
		go_on(b);
	for (unsigned int i = 0; i < BENCH_FRAMES / SW_BURST; i++) {
		c->renew(b, c, b->frames + i * SW_BURST, side_of(c, i));
		if (work)
			work_on(b, c, i);
	}
	if (work)
		stand(b);
	const double cycles = bench_cycles_used() - start;
	if (work && c->settle)
		c->settle(b);
	return cycles;
}

struct large_policy_size bench_size_for(const struct bench_case *c, const struct bench_settings *o)
{
	return (struct large_policy_size){
		.services = o->services, .ipv4_prefixes = o->prefixes, .ipv6_prefixes = o->prefixes / 5, .groups = 100,
		.prefixes_per_group = 100, .flows = c->has_flows ? 2u << c->source_bits : 65536, .source_records = 1 << 18,
		.limiter_entries = 4u << c->source_bits, .source_syn_per_s = c->source_syn_per_s,
	};
}

/* ---- a case ------------------------------------------------------------------------------------------------------- */

static int by_value(const void *left, const void *right)
{
	const double a = *(const double *)left, b = *(const double *)right;
	return (a > b) - (a < b);
}

double bench_quantile(double *values, unsigned int count, double q)
{
	qsort(values, count, sizeof(*values), by_value);
	return values[(unsigned int)(q * (count - 1) + 0.5)];
}

static void check_proof(struct bench_box *b, const struct bench_case *c, uint64_t before, uint64_t packets)
{
	const uint64_t done = c->proof(&b->worker->totals) - before;

	/* A few in a thousand may meet a neighbour in a full line of the limiter, or a bucket that has just refilled. */
	if (done < packets - packets / 20)
		rte_exit(EXIT_FAILURE, "bench: %s: of %lu packets only %lu ended as the case says\n", c->name, packets, done);
}

static uint64_t footprint(const struct bench_box *b)
{
	const struct sw_worker *w = b->worker;
	return (w->limiter.mask + 1) * sizeof(struct sw_limiter_set) + sw_flow_table_bytes(w->flows.capacity) +
		w->record_count * sizeof(struct sw_source_record);
}

/* Untimed passes first: bare has had the caches, and a flood that goes on finds in them what it has left there. */
static double work_run(struct bench_box *b, const struct bench_case *c, const struct bench_settings *o, bool judged)
{
	double alone = 0, both = 0;

	c->template(c);
	for (unsigned int p = 0; p < o->warm_passes; p++)
		bench_pass(b, c, true);
	const uint64_t before = c->proof(&b->worker->totals), packets = (uint64_t)BENCH_FRAMES * o->passes;
	for (unsigned int p = 0; p < o->passes; p++) {
		alone += bench_pass(b, c, false);
		both += bench_pass(b, c, true);
	}
	if (judged)
		check_proof(b, c, before, packets);
	return (both - alone) / (double)packets;
}

struct bench_result bench_run_case(struct bench_box *b, const struct bench_case *c, const struct bench_settings *o)
{
	double work[o->runs], yardstick[o->runs], ratios[o->runs];
	struct bench_bare bare;
	const bool with_bare = bench_bare_open(&bare, c->source_bits, false);

	for (int r = -2; r < (int)o->runs; r++) {
		rte_delay_us_sleep(BETWEEN_RUNS_US);
		const double bare_cycles = with_bare ? bench_bare_run(&bare, b, o) : NAN, cycles = work_run(b, c, o, r >= 0);
		if (r < 0)
			continue; /* tables fill */
		work[r] = cycles;
		yardstick[r] = bare_cycles;
		ratios[r] = cycles / bare_cycles;
	}
	struct bench_result result = {
		.cycles = bench_quantile(work, o->runs, 0.5), .bare = bench_quantile(yardstick, o->runs, 0.5),
		.ratio = bench_quantile(ratios, o->runs, 0.5), .table_bytes = footprint(b),
		.policy_bytes = b->policy_bytes,
	};
	result.spread = (bench_quantile(work, o->runs, 0.75) - bench_quantile(work, o->runs, 0.25)) / result.cycles;
	if (with_bare)
		bench_bare_close(&bare);
	return result;
}

/* ---- instructions ------------------------------------------------------------------------------------------------- */

/* Marks the part that an instruction counter is to count: callgrind's --toggle-collect finds it by this name. */
__attribute__((noinline)) void bench_counted_pass(struct bench_box *b, const struct bench_case *c);
void bench_counted_pass(struct bench_box *b, const struct bench_case *c)
{
	for (unsigned int i = 0; i < BENCH_FRAMES / SW_BURST; i++)
		work_on(b, c, i);
}

void bench_count_case(struct bench_box *b, const struct bench_case *c)
{
	for (unsigned int p = 0; p < COUNT_WARM_PASSES; p++) /* tables fill */
		bench_pass(b, c, true);
	for (unsigned int i = 0; i < BENCH_FRAMES; i += SW_BURST)
		c->renew(b, c, b->frames + i, side_of(c, i / SW_BURST));
	go_on(b);
	bench_counted_pass(b, c);
}
