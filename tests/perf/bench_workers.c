/* SPDX-License-Identifier: BSD-3-Clause */
/* Do two workers do twice the work of one? Each has its own ports, frames and CPU; they share the policy and the box. */
#include <pthread.h>
#include <stdio.h>

#include <jansson.h>
#include <rte_debug.h>
#include <rte_launch.h>
#include <rte_lcore.h>

#include "bench.h"

struct half {
	struct bench_box *b;
	const struct bench_case *c;
	unsigned int passes;
	pthread_barrier_t *start; /* NULL: alone */
	double cycles;            /* CPU time of the passes, without the generator's */
};

static int run_half(void *arg)
{
	struct half *h = arg;

	if (h->start)
		pthread_barrier_wait(h->start);
	h->cycles = 0;
	for (unsigned int p = 0; p < h->passes; p++) {
		h->cycles -= bench_pass(h->b, h->c, false);
		h->cycles += bench_pass(h->b, h->c, true);
	}
	return 0;
}

static void launch(struct half *h, unsigned int lcore)
{
	if (rte_eal_remote_launch(run_half, h, lcore))
		rte_exit(EXIT_FAILURE, "bench: the second CPU is busy\n");
}

/* Packets a cycle, so that two workers' figures add up. */
static double speed(const struct half *h)
{
	return (double)BENCH_FRAMES * h->passes / h->cycles;
}

static double one_run(struct half half[2], unsigned int lcore, pthread_barrier_t *start)
{
	double alone = 0;

	for (unsigned int i = 0; i < 2; i++)
		half[i].start = NULL;
	run_half(&half[0]);
	alone += speed(&half[0]) / 2;
	launch(&half[1], lcore);
	rte_eal_wait_lcore(lcore);
	alone += speed(&half[1]) / 2;
	for (unsigned int i = 0; i < 2; i++)
		half[i].start = start;
	launch(&half[1], lcore);
	run_half(&half[0]);
	rte_eal_wait_lcore(lcore);
	return (speed(&half[0]) + speed(&half[1])) / alone;
}

json_t *bench_two_workers(const struct bench_settings *o)
{
	static struct bench_box first, second;
	struct bench_case c = bench_cases[1]; /* syn_v4_1m */
	double ratios[o->runs];
	pthread_barrier_t start;
	const unsigned int lcore = rte_get_next_lcore(rte_lcore_id(), 1, 0);

	if (lcore >= RTE_MAX_LCORE)
		rte_exit(EXIT_FAILURE, "bench: two workers want two CPUs\n");
	if (o->bits)
		c.source_bits = o->bits;
	struct large_policy_size size = bench_size_for(&c, o);
	size.workers = 2;
	size.limiter_entries *= 2; /* of the box: as many for each worker as one alone would have */
	bench_box_open(&first, &size);
	bench_box_use_isa(&first, o->isa);
	bench_box_second(&first, 1, &second);
	c.template(&c);
	pthread_barrier_init(&start, NULL, 2);
	struct half half[2] = {{&first, &c, o->passes, NULL, 0}, {&second, &c, o->passes, NULL, 0}};
	for (int r = -2; r < (int)o->runs; r++) {
		const double ratio = one_run(half, lcore, &start);
		if (r >= 0)
			ratios[r] = ratio;
	}
	const double low = bench_quantile(ratios, o->runs, 0.25), median = bench_quantile(ratios, o->runs, 0.5),
		     high = bench_quantile(ratios, o->runs, 0.75);
	printf("two workers, %s: %.2f times one (quartiles %.2f and %.2f, %u runs); goal 1.95\n", c.name, median, low, high, o->runs);
	bench_box_close_second(&second);
	bench_box_close(&first);
	pthread_barrier_destroy(&start);
	return json_pack("{s:s, s:f, s:f, s:f, s:f, s:i}", "case", c.name, "ratio", median, "first_quartile", low,
		"third_quartile", high, "goal", 1.95, "runs", (int)o->runs);
}
