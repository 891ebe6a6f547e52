/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>

/* False: no more room. */
static bool add(struct sw_eal_arguments *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool add(struct sw_eal_arguments *a, const char *format, ...)
{
	const size_t left = sizeof(a->text) - a->text_used;
	va_list arguments;
	va_start(arguments, format);
	const int length = vsnprintf(a->text + a->text_used, left, format, arguments);
	va_end(arguments);
	if (length < 0 || (size_t)length >= left || a->argc == SW_EAL_ARGUMENTS_MAX)
		return false;
	a->argv[a->argc++] = a->text + a->text_used;
	a->argv[a->argc] = NULL;
	a->text_used += (size_t)length + 1;
	return true;
}

static int wrong(char *error, size_t error_bytes, const char *format, ...) __attribute__((format(printf, 3, 4)));

static int wrong(char *error, size_t error_bytes, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(error, error_bytes, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

/* "0@(0,2-5),1@3,2@4": the main thread anywhere, or on its core; each worker on its own. */
static int write_lcores(const struct sw_eal_config *c, char *to, size_t bytes, char *error, size_t error_bytes)
{
	size_t used = 0;
	const struct sw_boot *boot = c->boot;
	if (boot->housekeeping_core != SW_NONE) {
		if (boot->housekeeping_core >= CPU_SETSIZE || !CPU_ISSET(boot->housekeeping_core, c->cpus))
			return wrong(error, error_bytes, "boot.housekeeping_core: this process has no CPU %" PRIu32,
				boot->housekeeping_core);
		used = (size_t)snprintf(to, bytes, "0@%" PRIu32, boot->housekeeping_core);
	} else {
		used = (size_t)snprintf(to, bytes, "0@(");
		const char *comma = "";
		for (unsigned int cpu = 0; cpu < CPU_SETSIZE && used < bytes; cpu++) {
			if (!CPU_ISSET(cpu, c->cpus))
				continue;
			used += (size_t)snprintf(to + used, bytes - used, "%s%u", comma, cpu);
			comma = ",";
		}
		if (used < bytes)
			used += (size_t)snprintf(to + used, bytes - used, ")");
	}
	for (uint32_t i = 0; i < boot->workers && used < bytes; i++) {
		if (boot->cores[i] >= CPU_SETSIZE || !CPU_ISSET(boot->cores[i], c->cpus))
			return wrong(error, error_bytes, "boot.cores[%" PRIu32 "]: this process has no CPU %" PRIu32, i,
				boot->cores[i]);
		used += (size_t)snprintf(to + used, bytes - used, ",%" PRIu32 "@%" PRIu32, i + 1, boot->cores[i]);
	}
	return used < bytes ? 0 : wrong(error, error_bytes, "too many CPUs to name");
}

static bool add_memory(struct sw_eal_arguments *a, const struct sw_eal_config *c, bool has_pci)
{
	if (c->huge)
		/* Physical addresses only where a device asks: AF_XDP registers a pool as one range of virtual ones. */
		return add(a, "--in-memory") && (has_pci || add(a, "--iova-mode=va"));
	const uint64_t mib = (c->memory_bytes + (1 << 20) - 1) >> 20;
	return add(a, "--no-huge") && add(a, "-m") && add(a, "%" PRIu64, mib) && add(a, "--iova-mode=va") &&
		add(a, "--no-shconf");
}

/* rte_log: 1 emergency to 8 debug. */
static unsigned int eal_log_level(enum sw_log_level level)
{
	static const unsigned int levels[SW_LOG_LEVELS] = {RTE_LOG_ERR, RTE_LOG_WARNING, RTE_LOG_WARNING, RTE_LOG_NOTICE,
		RTE_LOG_DEBUG};
	return levels[level];
}

static bool add_devices(struct sw_eal_arguments *a, const struct sw_eal_config *c, bool *has_pci)
{
	*has_pci = false;
	for (uint32_t i = 0; i < c->link_count * SW_SIDES; i++) {
		if (c->links[i / SW_SIDES].ends[i % SW_SIDES].kind != SW_DEVICE_PCI)
			continue;
		*has_pci = true;
		if (!add(a, "-a") || !add(a, "%s", c->links[i / SW_SIDES].ends[i % SW_SIDES].device))
			return false;
	}
	return *has_pci || add(a, "--no-pci");
}

static bool add_extra(struct sw_eal_arguments *a, const char *extra)
{
	while (extra && *extra) {
		extra += strspn(extra, " \t");
		const size_t length = strcspn(extra, " \t");
		if (length && !add(a, "%.*s", (int)length, extra))
			return false;
		extra += length;
	}
	return true;
}

int sw_eal_arguments_make(const struct sw_eal_config *config, struct sw_eal_arguments *out, char *error,
	size_t error_bytes)
{
	static char lcores[8192]; /* only ever used by the main thread, before there are others */
	bool has_pci;
	out->argc = 0;
	out->text_used = 0;
	const int result = write_lcores(config, lcores, sizeof(lcores), error, error_bytes);
	if (result)
		return result;
	const bool fits = add(out, "seawall-dataplane") && add(out, "--lcores") && add(out, "%s", lcores) &&
		add(out, "--main-lcore") && add(out, "0") && add_devices(out, config, &has_pci) &&
		add_memory(out, config, has_pci) && add(out, "--file-prefix") &&
		add(out, "seawall-%s", config->boot->instance) && add(out, "--no-telemetry") &&
		add(out, "--log-level=*:%u", eal_log_level(config->log_level)) && add_extra(out, config->extra);
	return fits ? 0 : wrong(error, error_bytes, "too many EAL arguments");
}

int sw_eal_choose_huge(enum sw_hugepages wish, uint64_t needed, uint64_t free_bytes, char *error, size_t error_bytes)
{
	if (wish == SW_HUGEPAGES_NEVER)
		return 0;
	if (needed <= free_bytes)
		return 1;
	if (wish == SW_HUGEPAGES_AUTO)
		return 0;
	snprintf(error, error_bytes,
		"boot.hugepages: %" PRIu64 " MiB are needed on huge pages and %" PRIu64
		" MiB are free; set vm.nr_hugepages to at least %" PRIu64 ", or boot.hugepages to auto",
		needed >> 20, free_bytes >> 20, (needed >> 21) + 1);
	return -ENOMEM;
}

int sw_eal_start(struct sw_eal_arguments *arguments, char *error, size_t error_bytes)
{
	char all[1024];
	size_t used = 0;
	if (!__builtin_cpu_supports("aes")) {
		snprintf(error, error_bytes,
			"this processor has no AES instructions, or its hypervisor hides them: the packet path needs them");
		return -ENOTSUP;
	}
	for (int i = 1; i < arguments->argc && used < sizeof(all); i++)
		used += (size_t)snprintf(all + used, sizeof(all) - used, " %s", arguments->argv[i]);
	sw_log(SW_LOG_INFO, "EAL arguments:%s", all);
	rte_openlog_stream(stderr);
	if (rte_eal_init(arguments->argc, arguments->argv) < 0) {
		snprintf(error, error_bytes, "EAL does not start (arguments:%s): %s", all, rte_strerror(rte_errno));
		return rte_errno ? -rte_errno : -EIO;
	}
	return 0;
}
