/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sw-endtoend: Seawall and a plain forwarder between the same ports, by turns, in one run. scripts/bench drives it:
 *
 *   snapshot FILE DIR  writes the large policy for seawall-dataplane, whose ports are memif clients of DIR
 *   forward DIR        the plain forwarder, a process with such ports of its own
 *   generate DIR       the generator: serves the ports of both, reads the two process ids (forwarder, dataplane) from
 *                      stdin, lets one of them run at a time, and prints the figures as JSON
 *   ring               all of it in one process, over net_ring
 */
#include "endtoend.h"

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_lcore.h>

#include "bench_eal.h"

enum { PATH_BYTES = 200, RING = 1024, LINK_PATIENCE_S = 30 };

static struct endtoend endtoend;
static _Atomic int stop_forwarder;

static _Noreturn void fail(const char *what, const char *why)
{
	rte_exit(EXIT_FAILURE, "endtoend: %s: %s\n", what, why);
}

static struct large_policy_size policy_size(void)
{
	const struct bench_settings o = {.services = 1000, .prefixes = 100000};
	struct large_policy_size size = bench_size_for(&(struct bench_case){.source_bits = 20}, &o);

	size.flows = 1 << 18;
	return size;
}

static void start_eal(const char *name, const char *lcores)
{
	bool huge;

	if (bench_eal_start(name, lcores, &huge))
		fail("EAL", rte_strerror(rte_errno));
}

static void make_pool(struct endtoend *e)
{
	e->pool = rte_pktmbuf_pool_create("endtoend", ENDTOEND_POOL, 256, 0, 2048 + 128, SOCKET_ID_ANY);
	if (e->pool == NULL)
		fail("frames", "out of memory");
}

/* ---- memif -------------------------------------------------------------------------------------------------------- */

static void memif_arguments(char *to, const char *role, const char *dir, const char *who, enum sw_side side)
{
	snprintf(to, PATH_BYTES, "role=%s,id=%u,socket=%s/%s.sock,socket-abstract=no", role, side, dir, who);
}

static int start_port(uint16_t port, struct rte_mempool *pool)
{
	const struct rte_eth_conf conf = {0};

	return rte_eth_dev_configure(port, 1, 1, &conf) || rte_eth_rx_queue_setup(port, 0, RING, 0, NULL, pool) ||
		rte_eth_tx_queue_setup(port, 0, RING, 0, NULL) || rte_eth_dev_start(port);
}

static uint16_t open_memif(const char *name, const char *arguments, struct rte_mempool *pool)
{
	uint16_t port;

	if (rte_eal_hotplug_add("vdev", name, arguments) || rte_eth_dev_get_port_by_name(name, &port) || start_port(port, pool))
		fail(name, arguments);
	return port;
}

static void await_link(uint16_t port)
{
	struct rte_eth_link link = {0};

	for (unsigned int i = 0; i < LINK_PATIENCE_S * 100 && link.link_status != RTE_ETH_LINK_UP; i++) {
		rte_delay_us_sleep(10000);
		rte_eth_link_get_nowait(port, &link);
	}
	if (link.link_status != RTE_ETH_LINK_UP)
		fail("memif", "nobody connected");
}

/* ---- priority ----------------------------------------------------------------------------------------------------- */

static bool real_time;

/* The threads that poll, and they alone: threads of the EAL that tend the ports share their cores. */
static void hurry(pid_t thread)
{
	const struct sched_param p = {.sched_priority = 1};

	if (real_time && sched_setscheduler(thread, SCHED_FIFO, &p))
		fprintf(stderr, "endtoend: no real-time priority: %s\n", strerror(errno));
}

/* Of seawall-dataplane: the workers, which are lcores of the EAL. */
static void hurry_workers(pid_t pid)
{
	char path[64], name[32];
	struct dirent *entry;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	DIR *tasks = opendir(path);
	while (tasks && (entry = readdir(tasks)) != NULL) {
		snprintf(path, sizeof(path), "/proc/%d/task/%.20s/comm", pid, entry->d_name);
		FILE *f = fopen(path, "re");
		if (f && fgets(name, sizeof(name), f) && strncmp(name, "rte-worker", 10) == 0)
			hurry((pid_t)strtol(entry->d_name, NULL, 10));
		if (f)
			fclose(f);
	}
	if (tasks)
		closedir(tasks);
}

/* ---- snapshot and forwarder --------------------------------------------------------------------------------------- */

static int write_snapshot(const char *path, const char *dir, unsigned int cpu)
{
	static char devices[SW_SIDES][SW_DEVICE_BYTES];
	struct large_policy_size size = policy_size();
	char arguments[PATH_BYTES];
	uint64_t bytes;

	for (unsigned int side = 0; side < SW_SIDES; side++) {
		memif_arguments(arguments, "client", dir, "seawall", (enum sw_side)side);
		snprintf(devices[side], sizeof(devices[side]), "net_memif%u,%s", side, arguments);
		size.devices[side] = devices[side];
	}
	size.core = cpu;
	void *snapshot = large_policy_build(&size, &bytes);
	FILE *f = fopen(path, "wb");
	if (snapshot == NULL || f == NULL || fwrite(snapshot, bytes, 1, f) != 1 || fclose(f) != 0) {
		perror(path);
		return EXIT_FAILURE;
	}
	free(snapshot);
	return EXIT_SUCCESS;
}

static void on_end(int number)
{
	(void)number;
	atomic_store(&stop_forwarder, 1);
}

static int forward(const char *dir, unsigned int cpu)
{
	char arguments[PATH_BYTES], lcores[32];
	uint16_t ports[SW_SIDES];

	snprintf(lcores, sizeof(lcores), "0@%u", cpu);
	start_eal("sw-forward", lcores);
	make_pool(&endtoend);
	for (unsigned int side = 0; side < SW_SIDES; side++) {
		memif_arguments(arguments, "client", dir, "forward", (enum sw_side)side);
		ports[side] = open_memif(side ? "net_memif1" : "net_memif0", arguments, endtoend.pool);
	}
	signal(SIGTERM, on_end);
	endtoend_forward(ports[SW_OUTSIDE], ports[SW_INSIDE], &stop_forwarder);
	return EXIT_SUCCESS;
}

/* ---- the measurement ---------------------------------------------------------------------------------------------- */

static json_t *of_subject(struct subject *s, unsigned int n)
{
	return json_pack("{s:f, s:f, s:f, s:f, s:I}", "syn_mpps", bench_quantile(s->syn_per_s, n, 0.5) / 1e6,
		"established_mpps", bench_quantile(s->data_per_s, n, 0.5) / 1e6,
		"latency_us_p50", (double)sw_histogram_quantile(&s->latency_ns, 0.5) / 1e3,
		"latency_us_p99", (double)sw_histogram_quantile(&s->latency_ns, 0.99) / 1e3,
		"latency_samples", (json_int_t)s->latency_ns.count);
}

/* Slice against slice, since neighbours on the machine come and go. */
static double median_ratio(const double *left, const double *right, unsigned int n, double *low, double *high)
{
	double ratios[n];

	for (unsigned int i = 0; i < n; i++)
		ratios[i] = left[i] / right[i];
	*low = bench_quantile(ratios, n, 0.25);
	*high = bench_quantile(ratios, n, 0.75);
	return bench_quantile(ratios, n, 0.5);
}

static json_t *measure(struct endtoend *e)
{
	struct subject *f = &e->forward, *s = &e->seawall;
	const unsigned int n = e->slices;
	double low[2], high[2];

	for (struct subject *each = f; each; each = each == f ? s : NULL) {
		each->syn_per_s = calloc(n, sizeof(double));
		each->data_per_s = calloc(n, sizeof(double));
		if (each->syn_per_s == NULL || each->data_per_s == NULL)
			fail("slices", "out of memory");
	}
	endtoend_open_flows(e, s);
	for (unsigned int i = 0; i < n; i++) {
		f->syn_per_s[i] = endtoend_syns(e, f);
		s->syn_per_s[i] = endtoend_syns(e, s);
		f->data_per_s[i] = endtoend_data(e, f);
		s->data_per_s[i] = endtoend_data(e, s);
	}
	const double syn = median_ratio(s->syn_per_s, f->syn_per_s, n, &low[0], &high[0]);
	const double data = median_ratio(s->data_per_s, f->data_per_s, n, &low[1], &high[1]);
	const double half = bench_quantile(s->data_per_s, n, 0.5) / 2;
	for (unsigned int i = 0; i < n; i++) {
		endtoend_latency(e, f, half);
		endtoend_latency(e, s, half);
	}
	return json_pack("{s:o, s:o, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:i, s:i}", "forwarder", of_subject(f, n),
		"seawall", of_subject(s, n), "syn_ratio", syn, "syn_ratio_first_quartile", low[0], "syn_ratio_third_quartile", high[0],
		"established_ratio", data, "established_ratio_first_quartile", low[1], "established_ratio_third_quartile", high[1],
		"half_load_mpps", half / 1e6, "slices", (int)n, "slice_ms", ENDTOEND_SLICE_MS);
}

static int print(json_t *figures)
{
	const int result = figures ? json_dumpf(figures, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : -1;
	puts("");
	json_decref(figures);
	return result ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- two processes ------------------------------------------------------------------------------------------------ */

static void resume_process(struct subject *s)
{
	kill(s->pid, SIGCONT);
}

static void pause_process(struct subject *s)
{
	kill(s->pid, SIGSTOP);
}

static int generate(const char *dir, unsigned int cpu)
{
	struct endtoend *e = &endtoend;
	char name[32], arguments[PATH_BYTES], lcores[32];
	unsigned int number = 0;

	snprintf(lcores, sizeof(lcores), "0@%u", cpu);
	start_eal("sw-generate", lcores);
	make_pool(e);
	e->forward = (struct subject){.name = "forward", .resume = resume_process, .pause = pause_process};
	e->seawall = (struct subject){.name = "seawall", .resume = resume_process, .pause = pause_process};
	for (struct subject *s = &e->forward; s; s = s == &e->forward ? &e->seawall : NULL)
		for (unsigned int side = 0; side < SW_SIDES; side++) {
			snprintf(name, sizeof(name), "net_memif%u", number++);
			memif_arguments(arguments, "server", dir, s->name, (enum sw_side)side);
			s->ports[side] = open_memif(name, arguments, e->pool);
		}
	if (scanf("%d %d", &e->forward.pid, &e->seawall.pid) != 2 || e->forward.pid < 2 || e->seawall.pid < 2)
		fail("stdin", "two process ids were to come");
	for (unsigned int side = 0; side < SW_SIDES; side++) {
		await_link(e->forward.ports[side]);
		await_link(e->seawall.ports[side]);
	}
	pause_process(&e->forward);
	pause_process(&e->seawall);
	hurry(e->forward.pid);
	hurry_workers(e->seawall.pid);
	hurry(0);
	const int result = print(measure(e));
	resume_process(&e->forward);
	resume_process(&e->seawall);
	return result;
}

/* ---- one process, over rings -------------------------------------------------------------------------------------- */

static struct bench_box ring_box;
static uint16_t ring_ports[2][SW_SIDES]; /* of forwarder and worker */
static unsigned int ring_lcore;

static int run_forwarder(void *arg)
{
	(void)arg;
	endtoend_forward(ring_ports[0][SW_OUTSIDE], ring_ports[0][SW_INSIDE], &stop_forwarder);
	return 0;
}

static int hurry_lcore(void *arg)
{
	(void)arg;
	hurry(0);
	return 0;
}

static void resume_lcore(struct subject *s)
{
	atomic_store(&sw_stopping, 0);
	atomic_store(&stop_forwarder, 0);
	if (rte_eal_remote_launch(s->answers ? sw_worker_run : run_forwarder, ring_box.worker, ring_lcore))
		fail(s->name, "the second CPU is busy");
}

static void pause_lcore(struct subject *s)
{
	(void)s;
	atomic_store(&sw_stopping, 1);
	atomic_store(&stop_forwarder, 1);
	rte_eal_wait_lcore(ring_lcore);
}

static void open_rings(struct subject *s, uint16_t theirs[SW_SIDES], struct rte_mempool *pool)
{
	for (unsigned int side = 0; side < SW_SIDES; side++) {
		char name[32];
		struct rte_ring *there, *back;
		snprintf(name, sizeof(name), "%s_there_%u", s->name, side);
		there = rte_ring_create(name, RING, 0, RING_F_SP_ENQ | RING_F_SC_DEQ);
		snprintf(name, sizeof(name), "%s_back_%u", s->name, side);
		back = rte_ring_create(name, RING, 0, RING_F_SP_ENQ | RING_F_SC_DEQ);
		if (there == NULL || back == NULL)
			fail("rings", "out of memory");
		snprintf(name, sizeof(name), "near_%s_%u", s->name, side);
		const int near = rte_eth_from_rings(name, &back, 1, &there, 1, 0);
		snprintf(name, sizeof(name), "far_%s_%u", s->name, side);
		const int far = rte_eth_from_rings(name, &there, 1, &back, 1, 0);
		if (near < 0 || far < 0 || start_port((uint16_t)near, pool) || start_port((uint16_t)far, pool))
			fail("net_ring", "no port");
		s->ports[side] = (uint16_t)near;
		theirs[side] = (uint16_t)far;
	}
}

static int ring(unsigned int generator_cpu, unsigned int cpu)
{
	struct endtoend *e = &endtoend;
	char lcores[32];
	const struct large_policy_size size = policy_size();

	snprintf(lcores, sizeof(lcores), "0@%u,1@%u", generator_cpu, cpu);
	start_eal("sw-ring", lcores);
	make_pool(e);
	ring_lcore = rte_get_next_lcore(rte_lcore_id(), 1, 0);
	bench_box_open(&ring_box, &size);
	e->forward = (struct subject){.name = "forward", .resume = resume_lcore, .pause = pause_lcore};
	e->seawall = (struct subject){.name = "seawall", .resume = resume_lcore, .pause = pause_lcore, .answers = true};
	open_rings(&e->forward, ring_ports[0], e->pool);
	open_rings(&e->seawall, ring_ports[1], e->pool);
	for (unsigned int side = 0; side < SW_SIDES; side++)
		ring_box.worker->queues[0][side] = (struct sw_queue){.port_id = ring_ports[1][side], .queue_id = 0};
	hurry(0);
	rte_eal_remote_launch(hurry_lcore, NULL, ring_lcore);
	rte_eal_wait_lcore(ring_lcore);
	return print(measure(e));
}

/* ---- main --------------------------------------------------------------------------------------------------------- */

static const char usage[] =
	"usage: sw-endtoend snapshot FILE DIR | forward DIR | generate DIR | ring\n"
	"  --cpu N            where Seawall and the forwarder run (default 1)\n"
	"  --generator-cpu N  where the generator runs (default 0)\n"
	"  --slices N         slices of each kind, at least 9 (default 25)\n"
	"  --real-time        SCHED_FIFO for the threads that poll, during slices of 60 ms with as long a rest between them\n";

int main(int argc, char **argv)
{
	static const struct option longs[] = {{"cpu", required_argument, NULL, 'c'},
		{"generator-cpu", required_argument, NULL, 'g'}, {"slices", required_argument, NULL, 's'}, {"real-time", no_argument, NULL, 'r'}, {0}};
	unsigned int cpu = 1, generator_cpu = 0;

	endtoend = (struct endtoend){.slices = 25, .random = 88172645463325252ull};
	for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
		if (c == 'c')
			cpu = (unsigned int)strtoul(optarg, NULL, 10);
		else if (c == 'g')
			generator_cpu = (unsigned int)strtoul(optarg, NULL, 10);
		else if (c == 's')
			endtoend.slices = (unsigned int)strtoul(optarg, NULL, 10);
		else if (c == 'r')
			real_time = true;
		else
			optind = argc + 1;
	}
	const char *verb = optind < argc ? argv[optind] : "";
	const int left = argc - optind - 1;
	if (endtoend.slices >= 9 && left == 2 && strcmp(verb, "snapshot") == 0)
		return write_snapshot(argv[optind + 1], argv[optind + 2], cpu);
	if (endtoend.slices >= 9 && left == 1 && strcmp(verb, "forward") == 0)
		return forward(argv[optind + 1], cpu);
	if (endtoend.slices >= 9 && left == 1 && strcmp(verb, "generate") == 0)
		return generate(argv[optind + 1], generator_cpu);
	if (endtoend.slices >= 9 && left == 0 && strcmp(verb, "ring") == 0)
		return ring(generator_cpu, cpu);
	fputs(usage, stderr);
	return 2;
}
