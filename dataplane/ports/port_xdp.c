/* SPDX-License-Identifier: BSD-3-Clause */
#include "port.h"

#include <dirent.h>
#include <dlfcn.h>
#include <linux/ethtool.h>
#include <linux/if_xdp.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/libbpf.h>
#include <rte_log.h>

#include "log.h"

#ifndef AF_XDP
#define AF_XDP 44
#endif
#ifndef SOL_XDP
#define SOL_XDP 283
#endif

void sw_xdp_vdev(unsigned int end, unsigned int first_queue, unsigned int queues, const char *interface, char *name,
	size_t name_bytes, char *arguments, size_t arguments_bytes)
{
	snprintf(name, name_bytes, "net_af_xdp%u", end * SW_WORKERS_MAX + first_queue);
	/* busy_budget=0: no preferred busy polling, so that poll() on the socket works for an idle worker. */
	snprintf(arguments, arguments_bytes, "iface=%s,start_queue=%u,queue_count=%u,busy_budget=0", interface, first_queue,
		queues);
}

/* libxdp.h's libxdp_print_fn_t. */
static int print_libxdp(int level, const char *format, va_list arguments)
{
	char line[512];
	(void)level;
	const int length = vsnprintf(line, sizeof(line), format, arguments);
	line[strcspn(line, "\n")] = '\0';
	sw_log(SW_LOG_INFO, "%s", line);
	return length;
}

void sw_xdp_quiet_start(void)
{
	typedef int (*print_fn)(int, const char *, va_list);
	/* The driver's own libxdp, already loaded: linked to the driver, not to us. */
	void *library = dlopen("libxdp.so.1", RTLD_NOW | RTLD_NOLOAD);
	if (!library)
		return;
	print_fn (*set_print)(print_fn);
	*(void **)&set_print = dlsym(library, "libxdp_set_print");
	if (set_print)
		set_print(print_libxdp);
	dlclose(library);
}

void sw_xdp_quiet_end(void)
{
	libbpf_set_print(NULL);
	(void)rte_log_set_level_pattern("pmd.net.af_xdp", RTE_LOG_EMERG);
}

void sw_xdp_sockets(struct sw_fd_set *out)
{
	*out = (struct sw_fd_set){{0}};
	DIR *d = opendir("/proc/self/fd");
	if (!d)
		return;
	for (const struct dirent *e; (e = readdir(d));) {
		const long fd = strtol(e->d_name, NULL, 10);
		int domain = 0;
		socklen_t length = sizeof(domain);
		if (e->d_name[0] == '.' || fd < 0 || fd >= SW_XDP_FDS_MAX)
			continue;
		if (getsockopt((int)fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain == AF_XDP)
			out->bits[fd / 64] |= 1ull << (fd % 64);
	}
	closedir(d);
}

int sw_xdp_new_socket(const struct sw_fd_set *before, const struct sw_fd_set *after)
{
	for (int i = 0; i < SW_XDP_FDS_MAX / 64; i++) {
		const uint64_t added = after->bits[i] & ~before->bits[i];
		if (added)
			return i * 64 + __builtin_ctzll(added);
	}
	return -1;
}

uint64_t sw_xdp_socket_missed(int fd)
{
	struct xdp_statistics s = {0};
	socklen_t length = sizeof(s);
	if (fd < 0 || getsockopt(fd, SOL_XDP, XDP_STATISTICS, &s, &length))
		return 0;
	/* Kernels before 5.9 count the full ring in rx_dropped and answer with a shorter structure. */
	return s.rx_dropped + (length >= sizeof(s) ? s.rx_ring_full : 0);
}

/* An ioctl about one interface. 0 or -1. */
static int ask_interface(const char *interface, unsigned long what, struct ifreq *request)
{
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	snprintf(request->ifr_name, sizeof(request->ifr_name), "%.*s", IFNAMSIZ - 1, interface);
	const int result = ioctl(fd, what, request);
	close(fd);
	return result;
}

bool sw_interface_running(const char *interface)
{
	struct ifreq request = {0};
	const int wanted = IFF_UP | IFF_RUNNING;
	return ask_interface(interface, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & wanted) == wanted;
}

unsigned int sw_interface_channels(const char *interface)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
	struct ifreq request = {.ifr_data = (char *)&channels};
	if (ask_interface(interface, SIOCETHTOOL, &request) || channels.max_combined == 0)
		return 1;
	return channels.max_combined;
}
