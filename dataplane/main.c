/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * seawall-dataplane: start everything in order, keep house, take everything down in reverse. What each part is for is
 * in the headers; dataplane/README.md has the order and its reasons.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_launch.h>

#include <sodium.h>

#include "core/snapshot_check.h"
#include "eal.h"
#include "housekeeping.h"
#include "idle.h"
#include "options.h"
#include "pipeline.h"
#include "wire/wire.h"

enum { ERROR_BYTES = 8192, EXIT_USAGE = 2 };

struct program {
	struct sw_options options;
	void *snapshot; /* the bytes of the file */
	uint64_t snapshot_bytes;
	const struct sw_boot *boot;   /* in snapshot */
	const struct sw_link *links;  /* likewise */
	uint32_t link_count;
	int lock;
	bool huge, eal_started;
	struct sw_secrets *secrets;
	struct sw_wire *wire;
	struct sw_memory_plan memory;
	struct sw_ports ports;
	struct sw_box box;
	struct sw_housekeeping housekeeping;
	bool box_open, ports_open, housekeeping_open, workers_running;
	char error[ERROR_BYTES];
};

static struct program program;

static void stop(int signal_number)
{
	(void)signal_number;
	atomic_store_explicit(&sw_stopping, 1, memory_order_relaxed);
}

static void catch_signals(void)
{
	const struct sigaction ending = {.sa_handler = stop}; /* no SA_RESTART: poll() is to return at once */
	const struct sigaction ignoring = {.sa_handler = SIG_IGN};
	sigaction(SIGTERM, &ending, NULL);
	sigaction(SIGINT, &ending, NULL);
	sigaction(SIGPIPE, &ignoring, NULL);
	sigaction(SIGHUP, &ignoring, NULL); /* the control daemon's business */
}

static int fail(struct program *p, const char *what, int result)
{
	snprintf(p->error, sizeof(p->error), "%s: %s", what, strerror(-result));
	return result;
}

/* ---- the parts, in the order in which they start ----------------------------------------------------------------- */

static int read_snapshot(struct program *p)
{
	const char *path = p->options.snapshot_path;
	struct stat st;
	int result = 0;
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail(p, path, -errno);
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || (uint64_t)st.st_size > SW_SNAPSHOT_MAX_BYTES) {
		result = fail(p, path, -EFBIG);
	} else {
		p->snapshot_bytes = (uint64_t)st.st_size;
		p->snapshot = malloc(p->snapshot_bytes + 1);
		if (!p->snapshot || read(fd, p->snapshot, p->snapshot_bytes) != (ssize_t)p->snapshot_bytes)
			result = fail(p, path, p->snapshot ? -EIO : -ENOMEM);
	}
	close(fd);
	if (result)
		return result;
	char why[512];
	result = sw_snapshot_check(p->snapshot, p->snapshot_bytes, why, sizeof(why));
	if (result) {
		snprintf(p->error, sizeof(p->error), "%s: %s; make it anew with seawalld --compile", path, why);
		return result;
	}
	p->boot = sw_snapshot_boot(p->snapshot);
	p->links = sw_snapshot_links(p->snapshot, &p->link_count);
	return 0;
}

/* Directories, and the lock that keeps a second dataplane off this instance. */
static int take_directories(struct program *p)
{
	char path[4096];
	int result = sw_make_directory(p->options.runtime_dir);
	if (result)
		return fail(p, p->options.runtime_dir, result);
	result = sw_make_directory(p->options.state_dir);
	if (result)
		return fail(p, p->options.state_dir, result);
	snprintf(path, sizeof(path), "%s/dataplane.lock", p->options.runtime_dir);
	p->lock = open(path, O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (p->lock < 0)
		return fail(p, path, -errno);
	if (flock(p->lock, LOCK_EX | LOCK_NB)) {
		snprintf(p->error, sizeof(p->error), "%s: another dataplane runs here", path);
		return -EBUSY;
	}
	return sw_secrets_open(p->options.state_dir, &p->secrets, p->error, sizeof(p->error));
}

static int plan_memory(struct program *p)
{
	sw_memory_plan_make(p->boot, p->link_count, p->snapshot_bytes, &p->memory);
	const uint32_t needed = sw_mbufs_needed(p->boot, p->link_count);
	if (p->boot->mbufs < needed) {
		snprintf(p->error, sizeof(p->error),
			"boot.mbufs is %" PRIu32 ": a worker needs at least %" PRIu32
			" for its descriptors, held packets and bursts",
			p->boot->mbufs, needed);
		return -EINVAL;
	}
	const int huge = sw_eal_choose_huge((enum sw_hugepages)p->boot->hugepages, p->memory.eal, sw_memory_huge_free(),
		p->error, sizeof(p->error));
	if (huge < 0)
		return huge;
	p->huge = huge;
	const int result =
		sw_memory_check(&p->memory, p->huge, sw_memory_available(), p->error, sizeof(p->error));
	if (result)
		return result;
	sw_log(SW_LOG_NOTICE, "memory: %" PRIu64 " MiB in all, of these %" PRIu64 " MiB for packets on %s",
		p->memory.total >> 20, p->memory.eal >> 20, p->huge ? "huge pages" : "ordinary pages");
	return 0;
}

/* Before the EAL: libxdp takes the program that it finds attached. */
static int open_wire(struct program *p)
{
	struct sw_wire_interface interfaces[SW_LINKS_MAX * SW_SIDES];
	char pins[SW_NAME_BYTES + 64];
	struct sw_wire_config config = {.interfaces = interfaces, .queues = p->boot->workers, .steer = p->boot->steer,
		.fail_mode = p->boot->fail_mode, .heartbeat_timeout_ms = p->boot->heartbeat_timeout_ms,
		.pin_directory = pins, .entries_max = p->boot->entries_max};
	for (uint32_t i = 0; i < p->link_count * SW_SIDES; i++)
		if (p->links[i / SW_SIDES].ends[i % SW_SIDES].kind == SW_DEVICE_INTERFACE)
			interfaces[config.interface_count++] = (struct sw_wire_interface){
				.name = p->links[i / SW_SIDES].ends[i % SW_SIDES].device, .link = i / SW_SIDES,
				.side = (uint8_t)(i % SW_SIDES)};
	if (config.interface_count == 0)
		return 0;
	snprintf(pins, sizeof(pins), "/sys/fs/bpf/seawall/%s", p->boot->instance);
	return sw_wire_open(&config, &p->wire, p->error, sizeof(p->error));
}

static int start_eal(struct program *p)
{
	static struct sw_eal_arguments arguments; /* the EAL keeps pointers into it */
	cpu_set_t cpus;
	if (sched_getaffinity(0, sizeof(cpus), &cpus))
		return fail(p, "sched_getaffinity", -errno);
	const struct sw_eal_config config = {.boot = p->boot, .links = p->links, .link_count = p->link_count,
		.memory_bytes = p->memory.eal, .huge = p->huge, .cpus = &cpus, .extra = p->options.eal_extra,
		.log_level = p->options.log_level};
	int result = sw_eal_arguments_make(&config, &arguments, p->error, sizeof(p->error));
	if (result == 0)
		result = sw_eal_start(&arguments, p->error, sizeof(p->error));
	p->eal_started = result == 0;
	return result;
}

static void say_sharding(const struct program *p)
{
	const struct sw_rss_plan *plan = &p->ports.plan;
	if (plan->decision == SW_SHARD_ONE_WORKER)
		sw_log(SW_LOG_NOTICE, "sharding: one worker, nothing to shard");
	else if (plan->decision == SW_SHARD_BY_NIC)
		sw_log(SW_LOG_NOTICE, "sharding: by the NICs, on the client address");
	else
		sw_log(SW_LOG_NOTICE, "sharding: workers hand packets over to their owners, because of device %s: %s",
			p->ports.ends[plan->reason_port].device, plan->reason);
}

static int open_box(struct program *p)
{
	int result = sw_ports_probe(p->boot, p->links, p->link_count, &p->ports, p->error, sizeof(p->error));
	if (result)
		return result;
	say_sharding(p);
	const struct sw_box_config config = {.boot = p->boot, .links = p->links, .link_count = p->link_count,
		.secrets = p->secrets, .runtime_dir = p->options.runtime_dir,
		.sharded_by_nic = p->ports.plan.decision == SW_SHARD_BY_NIC, .packed_pools = !p->ports.any_pci};
	result = sw_box_open(&config, &p->box, p->error, sizeof(p->error));
	if (result)
		return result;
	p->box_open = true;
	p->box.shared.region->hugepages = p->huge;
	sw_log(SW_LOG_NOTICE, "cookies: %s; TSC %" PRIu64 " MHz", sw_isa_name(p->box.isa), rte_get_tsc_hz() / 1000000);
	p->ports_open = true;
	return sw_ports_start(&p->ports, &p->box, p->error, sizeof(p->error));
}

static int open_housekeeping(struct program *p)
{
	const struct sw_publish_limits limits = {.boot = p->boot, .links = p->links, .link_count = p->link_count,
		.tsc_hz = p->box.shared.tsc_hz, .wire = p->wire, .ports = &p->ports};
	struct sw_policy *policy;
	if (sw_publish_build(p->snapshot, p->snapshot_bytes, &limits, &policy, p->error, sizeof(p->error)) != SW_REPLY_OK)
		return -EINVAL;
	const int result = sw_housekeeping_open(&p->housekeeping, &p->box, &p->ports, &limits, policy,
		p->options.runtime_dir, p->error, sizeof(p->error));
	if (result) {
		sw_policy_free(policy);
		return result;
	}
	p->housekeeping_open = true;
	return 0;
}

/*
 * An idle worker still has timers to keep (they are due by the millisecond, and a few late do no harm), and a
 * heartbeat that must not grow stale.
 */
static void bound_sleep(struct program *p, struct sw_idle *idle)
{
	const uint32_t timers_us = 10000, beat_us = p->boot->heartbeat_timeout_ms * 250;
	if (idle->sleep_us > timers_us)
		idle->sleep_us = timers_us;
	if (p->wire && idle->sleep_us > beat_us)
		idle->sleep_us = beat_us;
}

static int launch_workers(struct program *p)
{
	p->workers_running = true;
	for (unsigned int i = 0; i < p->boot->workers; i++) {
		struct sw_worker *w = p->box.workers[i];
		bound_sleep(p, w->idle);
		if (p->wire)
			w->heartbeat = sw_wire_heartbeat(p->wire, i);
		const int result = rte_eal_remote_launch(sw_worker_run, w, w->lcore);
		if (result)
			return fail(p, "cannot launch a worker", result);
	}
	return 0;
}

/* systemd's readiness protocol (sd_notify(3)): one datagram, and only where it is asked for. */
static void notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	if (!path || strlen(path) >= sizeof(to.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	const size_t length = strlen(path);
	memcpy(to.sun_path, path, length);
	if (path[0] == '@')
		to.sun_path[0] = '\0';
	const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	(void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
	close(fd);
}

static int start(struct program *p)
{
	static int (*const parts[])(struct program *) = {read_snapshot, take_directories, plan_memory, open_wire, start_eal,
		open_box, open_housekeeping, launch_workers};
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		const int result = parts[i](p);
		if (result)
			return result;
	}
	/* Last of all: who finds the region finds a box that works. */
	const int result = sw_mapped_file_publish(&p->box.region_file);
	if (result)
		return fail(p, p->options.runtime_dir, result);
	const int flows = sw_mapped_file_publish(&p->box.flows_file);
	return flows ? fail(p, p->options.runtime_dir, flows) : 0;
}

/* ---- and their end ----------------------------------------------------------------------------------------------- */

static void finish(struct program *p)
{
	atomic_store_explicit(&sw_stopping, 1, memory_order_relaxed);
	if (p->workers_running) {
		for (unsigned int i = 0; i < p->boot->workers; i++)
			sw_idle_wake_always(&p->box.idles[i]);
		rte_eal_mp_wait_lcore();
		for (unsigned int i = 0; i < p->boot->workers; i++) {
			sw_pipeline_begin(p->box.workers[i], rte_rdtsc());
			sw_pipeline_drain(p->box.workers[i]);
			sw_pipeline_end(p->box.workers[i]);
		}
	}
	if (p->housekeeping_open) /* and its publisher, which may be asking the ports' drivers */
		sw_housekeeping_close(&p->housekeeping);
	if (p->box_open) {
		if (p->ports_open)
			sw_ports_update(&p->ports, p->box.shared.region, false);
		((struct sw_flows_header *)p->box.flows_file.base)->clean = 1;
		atomic_store_explicit(&p->box.shared.region->ended, 1, memory_order_release);
	}
	if (p->ports_open)
		sw_ports_close(&p->ports);
	/*
	 * Fail-open: the kernel bridge takes over, without our program in its way. Fail-closed: an end on purpose is an end
	 * all the same, and nothing unguarded may pass; the program stays.
	 */
	if (p->wire)
		sw_wire_close(p->wire, p->boot->fail_mode == SW_FAIL_OPEN);
	if (p->box_open)
		sw_box_close(&p->box);
	if (p->eal_started)
		(void)rte_eal_cleanup();
	sw_secrets_close(p->secrets);
	free(p->snapshot);
	if (p->lock >= 0)
		close(p->lock);
}

int main(int argc, char **argv)
{
	struct program *p = &program;
	p->lock = -1;
	switch (sw_options_parse(argc, argv, &p->options, p->error, sizeof(p->error))) {
	case SW_OPTIONS_RUN:
		break;
	case SW_OPTIONS_HELP:
		sw_options_help(stdout);
		return EXIT_SUCCESS;
	case SW_OPTIONS_VERSION:
		puts("seawall-dataplane " SW_VERSION);
		return EXIT_SUCCESS;
	case SW_OPTIONS_WRONG:
	default:
		sw_log(SW_LOG_ERROR, "%s", p->error);
		return EXIT_USAGE;
	}
	sw_log_set_level(p->options.log_level);
	if (sodium_init() < 0) {
		sw_log(SW_LOG_ERROR, "libsodium does not start");
		return EXIT_FAILURE;
	}
	/* The master secret and the keys made from it must not end up in a core file or another process's ptrace. */
	(void)prctl(PR_SET_DUMPABLE, 0);
	catch_signals();
	const int result = start(p);
	if (result) {
		sw_log(SW_LOG_ERROR, "%s", p->error);
	} else {
		sw_log(SW_LOG_NOTICE, "ready: %" PRIu32 " workers, policy %" PRIu64, p->boot->workers,
			p->housekeeping.policy->generation);
		sw_log_limit(true);
		notify("READY=1");
		sw_housekeeping_run(&p->housekeeping);
		sw_log(SW_LOG_NOTICE, "stopping");
		notify("STOPPING=1");
	}
	finish(p);
	return result ? EXIT_FAILURE : EXIT_SUCCESS;
}
