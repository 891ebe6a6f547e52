/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The benchmark of the packet path: the production pipeline, as shipped, through the functions that the workers call,
 * over frames in memory. Right before each run of a case runs the bare loop over as many sources, so that the ratio of
 * the two holds whatever else the machine does meanwhile. docs/performance.md has the method in words.
 */
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <jansson.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <sys/mman.h>

#include "bench_frames.h"

struct options {
	const char *json, *only;
	unsigned int runs, passes;
	bool count_only; /* one pass, between markers, for an instruction counter */
};

struct result {
	double cycles, bare, ratio, spread; /* medians; spread: (third quartile - first) / median of the case's runs */
	uint64_t table_bytes;
};

/*
 * Time that this thread has had a CPU, in TSC cycles: what others run on a shared machine meanwhile does not count. A
 * pass takes a millisecond or so, the two readings a fraction of a microsecond.
 */
static double cycles_used(void)
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

static void pipeline(struct bench_box *b, struct rte_mbuf **burst, enum sw_side side)
{
	struct sw_worker *w = b->worker;

	sw_pipeline_begin(w, rte_rdtsc());
	sw_pipeline_burst(w, burst, SW_BURST, 0, side, false);
	sw_pipeline_timers(w);
	sw_pipeline_end(w);
}

/* Cycles of one pass. Without `work` only the generator runs; what it costs is to be taken off. */
static double pass(struct bench_box *b, const struct bench_case *c, bool work)
{
	const double start = cycles_used();

	for (unsigned int i = 0; i < BENCH_FRAMES; i += SW_BURST) {
		const enum sw_side side = side_of(c, i / SW_BURST);
		c->renew(b, c, b->frames + i, side);
		if (work)
			pipeline(b, b->frames + i, side);
	}
	const double cycles = cycles_used() - start;
	if (work && c->settle)
		c->settle(b);
	return cycles;
}

static double bare_pass(struct bench_box *b, const struct bench_case *flood, struct bare *bare)
{
	const double start = cycles_used();

	for (unsigned int i = 0; i < BENCH_FRAMES; i += SW_BURST) {
		flood->renew(b, flood, b->frames + i, SW_OUTSIDE);
		if (bare)
			bare_answer_burst(bare, b->frames + i, rte_rdtsc());
	}
	return cycles_used() - start;
}

/* ---- a case ------------------------------------------------------------------------------------------------------- */

static int by_value(const void *left, const void *right)
{
	const double a = *(const double *)left, b = *(const double *)right;
	return (a > b) - (a < b);
}

static double quantile(double *values, unsigned int count, double q)
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

static struct bare *make_bare(unsigned int source_bits)
{
	static struct bare bare;
	const size_t bytes = sizeof(struct bare_bucket) << source_bits;

	if (!bare_available())
		return NULL;
	bare = (struct bare){.mask = (1u << source_bits) - 1, .key = {0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull}};
	bare.table = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (bare.table == MAP_FAILED)
		return NULL;
	(void)madvise(bare.table, bytes, MADV_HUGEPAGE);
	memset(bare.table, 0, bytes);
	return &bare;
}

static uint64_t footprint(const struct bench_box *b)
{
	const struct sw_worker *w = b->worker;
	return (w->limiter.mask + 1) * sizeof(struct sw_limiter_set) + sw_flow_table_bytes(w->flows.capacity) +
		w->record_count * sizeof(struct sw_source_record);
}

/* The flood that bare answers: IPv4 SYNs with an MSS option, whatever the case itself sends. */
static struct bench_case flood_for(const struct bench_case *c)
{
	struct bench_case flood = bench_cases[0];
	flood.source_bits = c->source_bits;
	return flood;
}

static struct result run_case(struct bench_box *b, const struct bench_case *c, const struct options *o)
{
	double work[o->runs], yardstick[o->runs], ratios[o->runs];
	const struct bench_case flood = flood_for(c);
	struct bare *bare = make_bare(c->source_bits);
	const double frames = (double)BENCH_FRAMES * o->passes;

	for (int r = -2; r < (int)o->runs; r++) {
		double bare_alone = 0, bare_both = 0, alone = 0, both = 0;
		flood.template(&flood);
		for (unsigned int p = 0; p < o->passes; p++) {
			bare_alone += bare_pass(b, &flood, NULL);
			bare_both += bare ? bare_pass(b, &flood, bare) : 0;
		}
		c->template(c);
		const uint64_t before = c->proof(&b->worker->totals);
		for (unsigned int p = 0; p < o->passes; p++) {
			alone += pass(b, c, false);
			both += pass(b, c, true);
		}
		if (r < 0)
			continue; /* warm-up: tables fill */
		check_proof(b, c, before, (uint64_t)frames);
		work[r] = (both - alone) / frames;
		yardstick[r] = bare ? (bare_both - bare_alone) / frames : NAN;
		ratios[r] = work[r] / yardstick[r];
	}
	struct result result = {
		.cycles = quantile(work, o->runs, 0.5), .bare = quantile(yardstick, o->runs, 0.5),
		.ratio = quantile(ratios, o->runs, 0.5), .table_bytes = footprint(b),
	};
	result.spread = (quantile(work, o->runs, 0.75) - quantile(work, o->runs, 0.25)) / result.cycles;
	if (bare)
		munmap(bare->table, sizeof(struct bare_bucket) << c->source_bits);
	return result;
}

static struct large_policy_size size_for(const struct bench_case *c)
{
	return (struct large_policy_size){
		.services = 1000, .ipv4_prefixes = 100000, .ipv6_prefixes = 20000, .groups = 100, .prefixes_per_group = 100,
		.flows = c->has_flows ? 2u << c->source_bits : 65536, .source_records = 1 << 18,
		.limiter_entries = 4u << c->source_bits, .source_syn_per_s = c->source_syn_per_s,
	};
}

/* ---- reporting ---------------------------------------------------------------------------------------------------- */

static void print_head(void)
{
	printf("TSC at %.2f GHz\n", (double)rte_get_tsc_hz() / 1e9);
	printf("%-16s %9s %9s %9s %7s %6s %7s %9s\n", "case", "cycles", "Mpps/core", "bare", "ratio", "goal", "spread", "tables");
}

static void print_result(const struct bench_case *c, const struct result *r)
{
	char goal[16] = "-";
	if (c->goal > 0)
		snprintf(goal, sizeof(goal), "%.1f", c->goal);
	printf("%-16s %9.1f %9.1f %9.1f %7.2f %6s %6.1f%% %6lu MiB%s\n", c->name, r->cycles,
		(double)rte_get_tsc_hz() / r->cycles / 1e6, r->bare, r->ratio, goal, r->spread * 100, r->table_bytes >> 20,
		c->goal > 0 && r->ratio > c->goal ? "  missed" : "");
	fflush(stdout);
}

static json_t *to_json(const struct bench_case *c, const struct result *r)
{
	json_t *j = json_pack("{s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:I, s:i}", "name", c->name, "help", c->help,
		"cycles_per_packet", r->cycles, "mpps_per_core", (double)rte_get_tsc_hz() / r->cycles / 1e6, "bare_cycles", r->bare,
		"ratio", r->ratio, "spread", r->spread, "table_bytes", (json_int_t)r->table_bytes, "source_bits", (int)c->source_bits);
	if (j && c->goal > 0)
		json_object_set_new(j, "goal", json_real(c->goal));
	return j;
}

static int write_json(const char *path, json_t *cases)
{
	json_t *root = json_pack("{s:I, s:o}", "tsc_hz", (json_int_t)rte_get_tsc_hz(), "cases", cases);
	const int result = root ? json_dump_file(root, path, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : -1;
	if (result)
		fprintf(stderr, "bench: %s: cannot be written\n", path);
	json_decref(root);
	return result;
}

/* ---- main --------------------------------------------------------------------------------------------------------- */

static const char usage[] =
	"usage: sw-bench [--case NAME] [--json FILE] [--runs N] [--passes N] [--list] [-- EAL OPTIONS]\n"
	"  --case NAME   one case, or all whose names begin with NAME\n"
	"  --json FILE   the figures as JSON too\n"
	"  --runs N      runs of each case, at least 9 (default 15)\n"
	"  --passes N    passes over 8,192 frames in each run (default 12)\n"
	"  --count       one pass, no bare loop and no timing: for an instruction counter\n"
	"  --list        the cases and what they are\n";

static bool wanted(const struct options *o, const struct bench_case *c)
{
	return o->only == NULL || strncmp(c->name, o->only, strlen(o->only)) == 0;
}

static int list_cases(void)
{
	for (unsigned int i = 0; i < bench_case_count; i++)
		printf("%-16s %s\n", bench_cases[i].name, bench_cases[i].help);
	return 0;
}

static int parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"case", required_argument, NULL, 'c'}, {"json", required_argument, NULL, 'j'}, {"runs", required_argument, NULL, 'r'},
		{"passes", required_argument, NULL, 'p'}, {"count", no_argument, NULL, 'n'}, {"list", no_argument, NULL, 'l'},
		{"help", no_argument, NULL, 'h'}, {0},
	};
	for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
		if (c == 'c')
			o->only = optarg;
		else if (c == 'j')
			o->json = optarg;
		else if (c == 'r')
			o->runs = (unsigned int)strtoul(optarg, NULL, 10);
		else if (c == 'p')
			o->passes = (unsigned int)strtoul(optarg, NULL, 10);
		else if (c == 'n')
			o->count_only = true;
		else if (c == 'l')
			exit(list_cases());
		else {
			fputs(usage, c == 'h' ? stdout : stderr);
			exit(c == 'h' ? 0 : 2);
		}
	}
	if (o->runs < BENCH_RUNS_MIN || o->passes < 1) {
		fprintf(stderr, "bench: at least %d runs of at least one pass\n", BENCH_RUNS_MIN);
		exit(2);
	}
	return optind;
}

/* Marks the part that an instruction counter is to count: callgrind's --toggle-collect finds it by this name. */
__attribute__((noinline)) void bench_counted_pass(struct bench_box *b, const struct bench_case *c);
void bench_counted_pass(struct bench_box *b, const struct bench_case *c)
{
	for (unsigned int i = 0; i < BENCH_FRAMES; i += SW_BURST)
		pipeline(b, b->frames + i, side_of(c, i / SW_BURST));
}

static void count_case(struct bench_box *b, const struct bench_case *c)
{
	pass(b, c, true);
	for (unsigned int i = 0; i < BENCH_FRAMES; i += SW_BURST)
		c->renew(b, c, b->frames + i, side_of(c, i / SW_BURST));
	bench_counted_pass(b, c);
	printf("%s %d packets\n", c->name, BENCH_FRAMES);
}

int main(int argc, char **argv)
{
	struct options o = {.runs = 15, .passes = 12};
	static struct bench_box b;
	static char *eal[] = {"sw-bench", "--no-huge", "-m", "512", "--iova-mode=va", "--no-pci", "--no-telemetry", "--no-shconf",
		"--log-level=3", "-l", "0", NULL};
	json_t *cases = json_array();
	unsigned int ran = 0;

	parse(argc, argv, &o);
	if (rte_eal_init((int)(sizeof(eal) / sizeof(eal[0])) - 1, eal) < 0)
		rte_exit(EXIT_FAILURE, "bench: no EAL\n");
	if (!o.count_only)
		print_head();
	for (unsigned int i = 0; i < bench_case_count; i++) {
		const struct bench_case *c = &bench_cases[i];
		if (!wanted(&o, c))
			continue;
		const struct large_policy_size size = size_for(c);
		bench_box_open(&b, &size);
		if (c->prepare)
			c->prepare(&b, c);
		c->template(c);
		if (o.count_only) {
			count_case(&b, c);
		} else {
			const struct result r = run_case(&b, c, &o);
			print_result(c, &r);
			json_array_append_new(cases, to_json(c, &r));
		}
		bench_box_close(&b);
		ran++;
	}
	if (ran == 0) {
		fprintf(stderr, "bench: no case is called %s; --list shows them\n", o.only);
		return 2;
	}
	return o.json ? write_json(o.json, cases) != 0 : 0;
}
