/* SPDX-License-Identifier: BSD-3-Clause */
/* The bare loop, measured: right before each run of a case, or alone, to be held against another such loop. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <rte_cycles.h>
#include <rte_debug.h>
#include <rte_malloc.h>
#include <sys/mman.h>

#include "bench.h"

static size_t table_bytes(const struct bench_bare *y)
{
	return ((size_t)y->bare.mask + 1) * sizeof(struct bare_bucket);
}

/* On huge pages if there are any, as the pipeline's tables. */
static struct bare_bucket *map_table(size_t bytes)
{
	void *table = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (table == MAP_FAILED)
		return NULL;
	(void)madvise(table, bytes, MADV_HUGEPAGE);
	memset(table, 0, bytes);
	return table;
}

bool bench_bare_open(struct bench_bare *y, unsigned int source_bits, bool in_eal_memory)
{
	if (!bare_available())
		return false;
	/* The flood that it answers: IPv4 SYNs with an MSS option, whatever the case itself sends. */
	*y = (struct bench_bare){.flood = bench_cases[0], .frames = BENCH_FRAMES, .in_eal_memory = in_eal_memory};
	y->flood.source_bits = source_bits;
	y->bare = (struct bare){.mask = (1u << source_bits) - 1, .key = {0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull}};
	y->bare.table = in_eal_memory ? rte_zmalloc(NULL, table_bytes(y), RTE_CACHE_LINE_SIZE) : map_table(table_bytes(y));
	return y->bare.table != NULL;
}

void bench_bare_close(struct bench_bare *y)
{
	if (y->in_eal_memory)
		rte_free(y->bare.table);
	else
		munmap(y->bare.table, table_bytes(y));
}

static double pass(struct bench_bare *y, struct bench_box *b, bool work)
{
	const double start = bench_cycles_used();

	for (unsigned int i = 0; i < y->frames; i += SW_BURST) {
		y->flood.renew(b, &y->flood, b->frames + i, SW_OUTSIDE);
		if (work)
			bare_answer_burst(&y->bare, b->frames + i, rte_rdtsc());
	}
	return bench_cycles_used() - start;
}

/*
 * The untimed passes fill the shared cache again, which the pipeline has had since the run before. Without them a third
 * of the packets of 100 passes would be the first at their line of a table of 16 MiB, which is that of 2^20 sources.
 */
double bench_bare_run(struct bench_bare *y, struct bench_box *b, const struct bench_settings *o)
{
	double alone = 0, both = 0;

	y->flood.template(&y->flood);
	for (unsigned int p = 0; p < o->warm_passes; p++)
		pass(y, b, true);
	for (unsigned int p = 0; p < o->passes; p++) {
		alone += pass(y, b, false);
		both += pass(y, b, true);
	}
	return (both - alone) / ((double)y->frames * o->passes);
}

/* ---- alone -------------------------------------------------------------------------------------------------------- */

enum { EXIT_SKIPPED = 77 }; /* as meson understands it */

/* NAN without memory for the table. */
static double alone_cycles(struct bench_box *b, unsigned int source_bits, const struct bench_settings *o)
{
	double runs[o->runs];
	struct bench_bare y;

	if (!bench_bare_open(&y, source_bits, true))
		return NAN;
	y.frames = o->frames;
	for (int r = -2; r < (int)o->runs; r++) {
		const double cycles = bench_bare_run(&y, b, o);
		if (r >= 0)
			runs[r] = cycles;
	}
	bench_bare_close(&y);
	return bench_quantile(runs, o->runs, 0.5);
}

json_t *bench_bare_alone(const struct bench_settings *o)
{
	static struct bench_box b;
	json_t *figures = json_array();

	if (!bare_available())
		rte_exit(EXIT_SKIPPED, "bench: the bare loop wants AVX-512, which this CPU does not have\n");
	bench_frames_open(&b, 0);
	for (unsigned int bits = 16; bits <= 24; bits += 4) {
		const double cycles = alone_cycles(&b, bits, o);
		if (isnan(cycles)) {
			printf("no memory for 2^%u sources\n", bits);
			continue;
		}
		printf("2^%u sources: %.1f TSC cycles a packet\n", bits, cycles);
		fflush(stdout);
		json_array_append_new(figures, json_pack("{s:i, s:f}", "source_bits", (int)bits, "cycles_per_packet", cycles));
	}
	bench_frames_close(&b);
	return figures;
}
