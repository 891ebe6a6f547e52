/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/region.h"
#include "check_internal.h"

/*
 * What one item of each table takes, as the dataplane lays them out: a flow is its record, its set-up record and its
 * share of a hash table that is at most three quarters full; a packet is a buffer of 2 KiB with headroom, AF_XDP's own
 * and the mbuf. DPDK wants something for itself and for each queue. The dataplane sums up exactly before it starts;
 * this is to say early what can never fit.
 */
enum { FLOW_BYTES = 320, PACKET_BYTES = 2816, LIMITER_BYTES = 16, DPDK_BYTES = 48 << 20, QUEUE_BYTES = 2 << 20 };

/* Packets that are on their way through a worker while every ring is full: mempool caches and bursts, generously. */
enum { MBUF_SPARE = 2048 };

static uint32_t rings(const struct sw_spec_boot *boot)
{
	return boot->links.count * SW_SIDES * (boot->rx_descriptors + boot->tx_descriptors);
}

static uint32_t mbufs_wanted(const struct sw_spec_boot *boot)
{
	return rings(boot) + (boot->held_pkts + boot->workers - 1) / boot->workers + MBUF_SPARE;
}

void sw_memory_sum(const struct sw_spec_boot *boot, struct sw_memory_sum *out)
{
	const uint64_t workers = boot->workers;
	out->packets =
	    workers * boot->mbufs * PACKET_BYTES + DPDK_BYTES + workers * boot->links.count * SW_SIDES * QUEUE_BYTES;
	out->flows = (uint64_t)boot->flows * FLOW_BYTES;
	out->source_records = (uint64_t)boot->source_records * sizeof(struct sw_source_record);
	out->limiter = (uint64_t)boot->limiter_entries * LIMITER_BYTES;
	out->counters =
	    workers * (sizeof(struct sw_worker_counters) + boot->services_max * sizeof(struct sw_counters) +
	                  boot->entries_max * sizeof(uint64_t) + boot->groups_max * sizeof(struct sw_group_counters));
	out->total = out->packets + out->flows + out->source_records + out->limiter + out->counters;
}

static void check_memory(const struct sw_spec_boot *boot, struct sw_report *report, uint64_t machine_bytes)
{
	struct sw_memory_sum sum;
	char hint[256];
	const double mib = 1024.0 * 1024.0;
	sw_memory_sum(boot, &sum);
	if (!machine_bytes || sum.total <= machine_bytes)
		return;
	snprintf(hint, sizeof(hint),
	    "packets %.0f + flows %.0f + source_records %.0f + limiter_entries %.0f + counters %.0f MiB: lower the largest",
	    (double)sum.packets / mib, (double)sum.flows / mib, (double)sum.source_records / mib, (double)sum.limiter / mib,
	    (double)sum.counters / mib);
	sw_report_error(report, "boot", hint, "needs %.0f MiB of memory, and the machine has %.0f", (double)sum.total / mib,
	    (double)machine_bytes / mib);
}

static void check_cores(const struct sw_spec_boot *boot, struct sw_report *report)
{
	const uint32_t *cores = boot->cores.items;
	const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	char path[SW_PATH_BYTES];
	if (boot->cores.count && boot->cores.count != boot->workers)
		sw_report_error(report, "boot.cores", "name one CPU for each worker, or none at all", "%u cores for %u workers",
		    boot->cores.count, boot->workers);
	for (uint32_t i = 0; i < boot->cores.count; i++) {
		snprintf(path, sizeof(path), "boot.cores[%u]", i);
		for (uint32_t j = 0; j < i; j++)
			if (cores[j] == cores[i])
				sw_report_error(report, path, "give each worker a CPU of its own", "CPU %u is named twice", cores[i]);
		if (cores[i] == boot->housekeeping_core)
			sw_report_warn(report, "boot.housekeeping_core",
			    "packets wait while housekeeping runs; name another CPU, or \"any\"", "CPU %u is a worker's as well",
			    cores[i]);
		if (cpus > 0 && cores[i] >= (uint32_t)cpus)
			sw_report_warn(report, path, "this machine numbers its CPUs from 0", "CPU %u, and this machine has %ld",
			    cores[i], cpus);
	}
	if (!boot->cores.count && cpus > 0 && boot->workers > (uint32_t)cpus)
		sw_report_warn(report, "boot.workers", "workers that share a CPU slow each other down",
		    "%u workers, and this machine has %ld CPUs", boot->workers, cpus);
}

/* Two devices are one when their names agree: of a vdev or PCI device, the part before the arguments. */
static bool same_device(const struct sw_spec_device *a, const struct sw_spec_device *b)
{
	const size_t a_bytes = strcspn(a->name, ","), b_bytes = strcspn(b->name, ",");
	return a->kind == b->kind && a_bytes == b_bytes && memcmp(a->name, b->name, a_bytes) == 0;
}

static const struct sw_spec_device *link_end(const struct sw_spec_boot *boot, uint32_t n)
{
	const struct sw_spec_link *link = SW_SPEC_ITEMS(boot->links, struct sw_spec_link) + n / 2;
	return n % 2 ? &link->inside : &link->outside;
}

static void check_links(const struct sw_spec_boot *boot, struct sw_report *report)
{
	char path[SW_PATH_BYTES], quoted[SW_QUOTED_BYTES];
	for (uint32_t i = 0; i < boot->links.count * 2; i++) {
		const struct sw_spec_device *device = link_end(boot, i);
		snprintf(path, sizeof(path), "boot.links[%u].%s", i / 2, i % 2 ? "inside" : "outside");
		for (uint32_t j = 0; j < i; j++)
			if (same_device(device, link_end(boot, j)))
				sw_report_error(report, path, "each end of each link is a device of its own", "%s is named twice",
				    sw_quote(device->name, strlen(device->name), quoted));
	}
}

static void check_boot(struct sw_spec_boot *boot, struct sw_report *report, uint64_t machine_bytes)
{
	if (!boot->mbufs)
		boot->mbufs = mbufs_wanted(boot) + mbufs_wanted(boot) / 2;
	else if (boot->mbufs < mbufs_wanted(boot))
		sw_report_error(report, "boot.mbufs", "raise it, lower the descriptors or held_packets, or say \"auto\"",
		    "%u packets per worker, and its rings and held packets can take %u", boot->mbufs, mbufs_wanted(boot));
	if (boot->idle_sleep_us / 1000 * 2 >= boot->heartbeat_timeout_ms)
		sw_report_error(report, "boot.idle_sleep_us", "keep it below half of heartbeat_timeout_ms",
		    "an idle worker would sleep for %u us and count as hung after %u ms", boot->idle_sleep_us,
		    boot->heartbeat_timeout_ms);
	if (boot->flows / boot->workers < 512 || boot->held_pkts < boot->workers)
		sw_report_error(report, "boot.workers", "raise flows and held_packets, or lower workers",
		    "the tables are too small for %u workers", boot->workers);
	if (boot->source_records > (uint64_t)boot->workers * SW_WORKER_RECORDS_MAX)
		sw_report_error(report, "boot.source_records", "lower it, or raise workers",
		    "%u records, and %u workers have room for %d each", boot->source_records, boot->workers,
		    SW_WORKER_RECORDS_MAX);
	check_cores(boot, report);
	check_links(boot, report);
	check_memory(boot, report, machine_bytes);
}

static void check_control(const struct sw_spec_control *control, struct sw_report *report)
{
	const struct sw_spec_listen *listen = control->listen.items;
	char path[SW_PATH_BYTES];
	for (uint32_t i = 0; i < control->listen.count; i++)
		for (uint32_t j = 0; j < i; j++)
			if (listen[i].port == listen[j].port && sw_address_equal(&listen[i].address, &listen[j].address)) {
				snprintf(path, sizeof(path), "control.listen[%u]", i);
				sw_report_error(report, path, "keep one of them", "the same address and port as control.listen[%u]", j);
			}
	if ((uint64_t)control->history_s * 1000 / control->sample_interval_ms > 86400)
		sw_report_error(report, "control.history_s", "raise sample_interval_ms or lower history_s",
		    "more than 86400 samples to keep");
	if (control->history_s * 1000ull < control->sample_interval_ms)
		sw_report_error(report, "control.history_s", "keep at least one sample", "shorter than sample_interval_ms");
	if (control->socket_mode & 0002)
		sw_report_warn(report, "control.socket_mode", "give a group the right instead, with socket_group",
		    "everybody on the machine may change the policy");
}

static void check_levels(const struct sw_spec_global *global, struct sw_report *report)
{
	const struct sw_spec_level *levels = global->prefix_levels.items;
	uint32_t ipv4 = 32, ipv6 = 128;
	char path[SW_PATH_BYTES];
	for (uint32_t i = 0; i < global->prefix_levels.count; i++) {
		snprintf(path, sizeof(path), "global.prefix_levels[%u]", i);
		if (levels[i].ipv4_length >= ipv4 || levels[i].ipv6_length >= ipv6)
			sw_report_error(report, path, "both lengths must fall from level to level; level 0 is /32 and /128",
			    "/%u and /%u are not both shorter than /%u and /%u before them", levels[i].ipv4_length,
			    levels[i].ipv6_length, ipv4, ipv6);
		ipv4 = levels[i].ipv4_length;
		ipv6 = levels[i].ipv6_length;
	}
}

static void check_cap(
    uint32_t rate, uint32_t *burst, const char *path, const char *burst_path, struct sw_report *report)
{
	if (!rate && *burst)
		sw_report_error(report, burst_path, "give a rate too, or leave the burst out", "a burst without a rate");
	else if (!rate)
		sw_report_warn(report, path, "leave it out for the default",
		    "without this cap the box can be made to flood a third party");
	if (rate && !*burst)
		*burst = sw_default_burst(rate);
}

static void check_global(struct sw_spec_global *g, struct sw_report *report)
{
	check_levels(g, report);
	check_cap(g->answers_per_source_per_s, &g->answers_per_source_burst, "global.answers_per_source_per_s",
	    "global.answers_per_source_burst", report);
	check_cap(g->answers_per_prefix_per_s, &g->answers_per_prefix_burst, "global.answers_per_prefix_per_s",
	    "global.answers_per_prefix_burst", report);
	if (g->prefix_levels.count && g->answers_per_prefix_per_s &&
	    g->answers_per_source_per_s > g->answers_per_prefix_per_s)
		sw_report_warn(report, "global.answers_per_source_per_s", "keep it below answers_per_prefix_per_s",
		    "%u never fires: the prefix of the source has only %u", g->answers_per_source_per_s,
		    g->answers_per_prefix_per_s);
	if (!g->held_pkts_per_flow != !g->held_bytes_per_flow)
		sw_report_error(report, g->held_pkts_per_flow ? "global.held_bytes_per_flow" : "global.held_packets_per_flow",
		    "set both, or both to 0", "packets and bytes held per flow contradict each other: one of them is 0");
	const uint32_t connecting_s = (2u << g->server_syn_retries) - 1; /* 1 + 2 + 4 ... */
	if (connecting_s > g->idle_embryonic_s)
		sw_report_warn(report, "global.server_syn_retries", "lower it, or raise idle_embryonic_s",
		    "the last SYNs are never sent: %u s pass with all of them, and the flow is forgotten after %u s",
		    connecting_s, g->idle_embryonic_s);
	if (!g->adopt_s != !g->adopt_per_s)
		sw_report_warn(report, g->adopt_s ? "global.adopt_per_s" : "global.adopt_s", "set both, or both to 0",
		    "nothing is adopted: one of adopt_s and adopt_per_s is 0");
}

void sw_check_with_memory(struct sw_spec *spec, struct sw_report *report, uint64_t machine_bytes)
{
	check_boot(&spec->boot, report, machine_bytes);
	check_control(&spec->control, report);
	check_global(&spec->global, report);
	sw_check_policy(spec, report);
	sw_check_lists(spec, report);
}

void sw_check(struct sw_spec *spec, struct sw_report *report)
{
	const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
	sw_check_with_memory(spec, report, pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0);
}
