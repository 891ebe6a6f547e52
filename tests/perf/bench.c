/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The benchmark of the packet path: the production pipeline, as shipped, through the functions that the workers call,
 * over frames in memory. Right before each run of a case runs the bare loop over as many sources, so that the ratio of
 * the two holds whatever else the machine does meanwhile. docs/performance.md has the method in words; scripts/bench
 * runs it.
 */
#include <getopt.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>
#include <rte_cycles.h>

#include "bench.h"
#include "bench_eal.h"

/* ---- reporting ---------------------------------------------------------------------------------------------------- */

static void print_head(void)
{
	printf("TSC at %.2f GHz\n", (double)rte_get_tsc_hz() / 1e9);
	printf("%-16s %9s %9s %9s %7s %6s %7s %9s\n", "case", "cycles", "Mpps/core", "bare", "ratio", "goal", "spread", "tables");
}

static void print_result(const struct bench_case *c, const struct bench_result *r)
{
	char goal[16] = "-";
	if (c->goal > 0)
		snprintf(goal, sizeof(goal), "%.1f", c->goal);
	printf("%-16s %9.1f %9.1f %9.1f %7.2f %6s %6.1f%% %6lu MiB%s\n", c->name, r->cycles,
		(double)rte_get_tsc_hz() / r->cycles / 1e6, r->bare, r->ratio, goal, r->spread * 100, r->table_bytes >> 20,
		c->goal > 0 && r->ratio > c->goal ? "  missed" : "");
	fflush(stdout);
}

/* JSON has no NAN: without the bare loop there is null. */
static json_t *to_number(double v)
{
	return isnan(v) ? json_null() : json_real(v);
}

static json_t *to_json(const struct bench_case *c, const struct bench_result *r)
{
	json_t *j = json_pack("{s:s, s:s, s:f, s:f, s:o, s:o, s:f, s:I, s:I, s:i}", "name", c->name, "help", c->help,
		"cycles_per_packet", r->cycles, "mpps_per_core", (double)rte_get_tsc_hz() / r->cycles / 1e6,
		"bare_cycles", to_number(r->bare), "ratio", to_number(r->ratio), "spread", r->spread,
		"table_bytes", (json_int_t)r->table_bytes, "policy_bytes", (json_int_t)r->policy_bytes,
		"source_bits", (int)c->source_bits);
	if (j && c->goal > 0)
		json_object_set_new(j, "goal", json_real(c->goal));
	return j;
}

static int write_json(const char *path, json_t *root)
{
	const int result = json_dump_file(root, path, JSON_INDENT(2) | JSON_REAL_PRECISION(6));

	if (result)
		fprintf(stderr, "bench: %s: cannot be written\n", path);
	return result ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- main --------------------------------------------------------------------------------------------------------- */

static const char usage[] =
	"usage: sw-bench [OPTION...]\n"
	"  --case NAME   one case, or all whose names begin with NAME\n"
	"  --json FILE   the figures as JSON too\n"
	"  --runs N      runs of each case, at least 9 (default 15)\n"
	"  --passes N    passes over 8,192 frames in each run (default 100)\n"
	"  --warm N      untimed passes right before those of each run of a case (default 100)\n"
	"  --bits N      2^N sources or flows, whatever the case says; 10 to 24\n"
	"  --services N  services in the policy (default 1000)\n"
	"  --prefixes N  IPv4 deny prefixes; a fifth as many IPv6 ones (default 100000)\n"
	"  --isa NAME    instruction set: scalar, avx2 or avx512, at most; default the best that there is\n"
	"  --ask LEVEL   first or second: into which cache to ask for memory, instead of finding out\n"
	"  --spread      each source talks to a service of its own, not all to one\n"
	"  --count       one pass, no bare loop and no timing: for an instruction counter\n"
	"  --workers     instead: one worker against two at a time\n"
	"  --bare        instead: the bare loop alone, with 2^16, 2^20 and 2^24 sources\n"
	"  --frames N    so many frames for --bare, 32 to 8192, a multiple of 32 (default 8192)\n"
	"  --memory      instead: what tables take\n"
	"  --list        the cases and what they are\n";

static bool wanted(const struct bench_settings *o, const struct bench_case *c)
{
	return o->only == NULL || strncmp(c->name, o->only, strlen(o->only)) == 0;
}

static int list_cases(void)
{
	for (unsigned int i = 0; i < bench_case_count; i++)
		printf("%-16s %s\n", bench_cases[i].name, bench_cases[i].help);
	return EXIT_SUCCESS;
}

static uint32_t number(const char *text, uint32_t least, uint32_t most)
{
	char *end;
	const unsigned long n = strtoul(text, &end, 10);

	if (*end != 0 || end == text || n < least || n > most) {
		fprintf(stderr, "bench: %s: not a number from %u to %u\n", text, least, most);
		exit(2);
	}
	return (uint32_t)n;
}

static enum sw_isa isa_called(const char *name)
{
	for (unsigned int isa = 0; isa < SW_ISA_COUNT; isa++)
		if (strcmp(name, sw_isa_name((enum sw_isa)isa)) == 0)
			return sw_isa_best((enum sw_isa)isa);
	fprintf(stderr, "bench: --isa %s: not scalar, avx2 or avx512\n", name);
	exit(2);
}

static enum bench_ask ask_called(const char *name)
{
	if (strcmp(name, "first") == 0)
		return BENCH_ASK_FIRST;
	if (strcmp(name, "second") == 0)
		return BENCH_ASK_SECOND;
	fprintf(stderr, "bench: --ask %s: not first or second\n", name);
	exit(2);
}

enum mode { RUN_CASES, RUN_WORKERS, RUN_MEMORY, RUN_BARE };

/* What has no meaning for what is to be measured. */
static void refuse_idle_options(const struct bench_settings *o, enum mode mode)
{
	const bool warms = mode == RUN_BARE || (mode == RUN_CASES && !o->count_only);

	if (o->frames != BENCH_FRAMES && mode != RUN_BARE) {
		fputs("bench: --frames: for --bare alone, leave it out\n", stderr);
		exit(2);
	}
	if (o->warm_passes != BENCH_WARM_PASSES && !warms) {
		fputs("bench: --warm: for cases and --bare, not for --count, --workers or --memory, leave it out\n", stderr);
		exit(2);
	}
}

static enum mode parse(int argc, char **argv, struct bench_settings *o)
{
	static const struct option longs[] = {
		{"case", required_argument, NULL, 'c'}, {"json", required_argument, NULL, 'j'}, {"runs", required_argument, NULL, 'r'},
		{"passes", required_argument, NULL, 'p'}, {"warm", required_argument, NULL, 'a'},
		{"frames", required_argument, NULL, 'f'}, {"bits", required_argument, NULL, 'b'},
		{"services", required_argument, NULL, 's'}, {"prefixes", required_argument, NULL, 'x'},
		{"isa", required_argument, NULL, 'i'}, {"ask", required_argument, NULL, 'k'},
		{"spread", no_argument, NULL, 'd'}, {"count", no_argument, NULL, 'n'},
		{"workers", no_argument, NULL, 'w'}, {"bare", no_argument, NULL, 'B'}, {"memory", no_argument, NULL, 'm'},
		{"list", no_argument, NULL, 'l'}, {"help", no_argument, NULL, 'h'}, {0},
	};
	enum mode mode = RUN_CASES;

	for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
		switch (c) {
		case 'c': o->only = optarg; break;
		case 'j': o->json = optarg; break;
		case 'r': o->runs = number(optarg, BENCH_RUNS_MIN, 1000); break;
		case 'p': o->passes = number(optarg, 1, 10000); break;
		case 'a': o->warm_passes = number(optarg, 0, 10000); break;
		case 'f': o->frames = number(optarg, SW_BURST, BENCH_FRAMES); break;
		case 'b': o->bits = number(optarg, 10, 24); break;
		case 's': o->services = number(optarg, 1, SW_SERVICES_MAX); break;
		case 'x': o->prefixes = number(optarg, 5, 800000); break;
		case 'i': o->isa = isa_called(optarg); break;
		case 'k': o->ask = ask_called(optarg); break;
		case 'd': o->spread = true; break;
		case 'n': o->count_only = true; break;
		case 'w': mode = RUN_WORKERS; break;
		case 'm': mode = RUN_MEMORY; break;
		case 'B': mode = RUN_BARE; break;
		case 'l': exit(list_cases());
		default:
			fputs(usage, c == 'h' ? stdout : stderr);
			exit(c == 'h' ? EXIT_SUCCESS : 2);
		}
	}
	if (o->frames % SW_BURST) {
		fprintf(stderr, "bench: --frames %u: not a multiple of %u\n", o->frames, SW_BURST);
		exit(2);
	}
	refuse_idle_options(o, mode);
	return mode;
}

static bool start_eal(enum mode mode)
{
	static char lcores[64];
	const int first = sched_getcpu(); /* of those that taskset gave us */
	bool huge;

	snprintf(lcores, sizeof(lcores), mode == RUN_WORKERS ? "0@0,1@1" : "0@%d", first < 0 ? 0 : first);
	if (bench_eal_start("sw-bench", lcores, &huge))
		rte_exit(EXIT_FAILURE, "bench: no EAL\n");
	return huge;
}

static json_t *run_cases(const struct bench_settings *o)
{
	static struct bench_box b;
	json_t *cases = json_array();

	if (!o->count_only)
		print_head();
	for (unsigned int i = 0; i < bench_case_count; i++) {
		struct bench_case c = bench_cases[i];
		if (!wanted(o, &c))
			continue;
		if (o->bits)
			c.source_bits = o->bits;
		const struct large_policy_size size = bench_size_for(&c, o);
		b.spread = o->spread;
		bench_box_open(&b, &size);
		bench_box_use_isa(&b, o->isa);
		bench_box_ask(&b, o->ask);
		if (c.prepare)
			c.prepare(&b, &c);
		c.template(&c);
		if (o->count_only) {
			bench_count_case(&b, &c);
			json_array_append_new(cases, json_pack("{s:s, s:i}", "name", c.name, "packets", BENCH_FRAMES));
		} else {
			const struct bench_result r = bench_run_case(&b, &c, o);
			print_result(&c, &r);
			json_array_append_new(cases, to_json(&c, &r));
		}
		bench_box_close(&b);
	}
	if (json_array_size(cases) == 0) {
		fprintf(stderr, "bench: no case is called %s; --list shows them\n", o->only);
		exit(2);
	}
	return cases;
}

int main(int argc, char **argv)
{
	struct bench_settings o = {.runs = 15, .passes = 100, .warm_passes = BENCH_WARM_PASSES, .frames = BENCH_FRAMES,
		.isa = sw_isa_best(SW_ISA_AVX512), .services = 1000, .prefixes = 100000};
	const enum mode mode = parse(argc, argv, &o);
	json_t *figures;

	const bool huge = start_eal(mode);
	if (mode == RUN_WORKERS)
		figures = json_pack("{s:o}", "workers", bench_two_workers(&o));
	else if (mode == RUN_MEMORY)
		figures = json_pack("{s:o}", "memory", bench_memory(&o));
	else if (mode == RUN_BARE)
		figures = json_pack("{s:b, s:o}", "huge_pages", huge, "bare", bench_bare_alone(&o));
	else
		figures = json_pack("{s:I, s:b, s:s, s:o}", "tsc_hz", (json_int_t)rte_get_tsc_hz(), "huge_pages", huge,
			"isa", sw_isa_name(o.isa), "cases", run_cases(&o));
	const int result = o.json ? write_json(o.json, figures) : EXIT_SUCCESS;
	json_decref(figures);
	return result;
}
