/* SPDX-License-Identifier: BSD-3-Clause */
#include "port.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <rte_dev.h>
#include <rte_ethdev.h>

#include "idle.h"
#include "log.h"
#include "memory.h"
#include "offload.h"
#include "steering.h"

enum { TEXT_BYTES = SW_DEVICE_BYTES + 64, PCI_MTU = 2000 };

static int fail(int result, char *error, size_t error_bytes, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static int fail(int result, char *error, size_t error_bytes, const char *format, ...)
{
	char what[512];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	snprintf(error, error_bytes, "%s: %s", what, rte_strerror(-result));
	return result;
}

/* ---- finding them ------------------------------------------------------------------------------------------------ */

/* Splits "name,args" and puts the queue for "%q". False: too long. */
static bool expand(const char *device, unsigned int queue, char *name, char *arguments)
{
	char text[TEXT_BYTES];
	size_t used = 0;
	for (const char *p = device; *p; p++) {
		const bool here = p[0] == '%' && p[1] == 'q';
		const int n = here ? snprintf(text + used, sizeof(text) - used, "%u", queue)
			: snprintf(text + used, sizeof(text) - used, "%c", *p);
		if (n < 0 || used + (size_t)n >= sizeof(text))
			return false;
		used += (size_t)n;
		p += here;
	}
	text[used] = '\0';
	const size_t length = strcspn(text, ",");
	if (length >= TEXT_BYTES)
		return false;
	memcpy(name, text, length);
	name[length] = '\0';
	strcpy(arguments, text[length] ? text + length + 1 : "");
	return true;
}

static int plug(const char *name, const char *arguments, uint16_t *port, char *error, size_t error_bytes)
{
	int result = rte_eal_hotplug_add("vdev", name, arguments);
	if (result)
		return fail(result, error, error_bytes, "device %s,%s", name, arguments);
	result = rte_eth_dev_get_port_by_name(name, port);
	return result ? fail(result, error, error_bytes, "device %s has no port", name) : 0;
}

static int probe_virtual(struct sw_end *e, unsigned int end, unsigned int workers, char *error, size_t error_bytes)
{
	char name[TEXT_BYTES], arguments[TEXT_BYTES];
	const bool interface = e->kind == SW_DEVICE_INTERFACE;
	e->one_port_per_queue = interface ? sw_interface_channels(e->device) < workers : strstr(e->device, "%q") != NULL;
	for (unsigned int i = 0; i < (e->one_port_per_queue ? workers : 1); i++) {
		if (interface)
			sw_xdp_vdev(end, i, e->one_port_per_queue ? 1 : workers, e->device, name, sizeof(name), arguments,
				sizeof(arguments));
		else if (!expand(e->device, i, name, arguments))
			return fail(-ENAMETOOLONG, error, error_bytes, "device %s", e->device);
		const int result = plug(name, arguments, &e->port_ids[i], error, error_bytes);
		if (result)
			return result;
	}
	for (unsigned int i = 1; i < workers && !e->one_port_per_queue; i++)
		e->port_ids[i] = e->port_ids[0];
	return 0;
}

static int probe_pci(struct sw_end *e, unsigned int workers, char *error, size_t error_bytes)
{
	char name[TEXT_BYTES], arguments[TEXT_BYTES];
	expand(e->device, 0, name, arguments);
	const int result = rte_eth_dev_get_port_by_name(name, &e->port_ids[0]);
	if (result)
		return fail(result, error, error_bytes,
			"PCI device %s: no driver took it; is it bound to vfio-pci (dpdk-devbind.py --status)?", name);
	for (unsigned int i = 1; i < workers; i++)
		e->port_ids[i] = e->port_ids[0];
	return 0;
}

static int ask_ability(struct sw_end *e, unsigned int workers, char *error, size_t error_bytes)
{
	struct rte_eth_dev_info info;
	const int result = rte_eth_dev_info_get(e->port_ids[0], &info);
	if (result)
		return fail(result, error, error_bytes, "device %s", e->device);
	e->ability = (struct sw_rss_ability){.side = (enum sw_side)e->side, .offloads = info.flow_type_rss_offloads,
		.key_bytes = info.hash_key_size, .reta_entries = info.reta_size, .queues_max = info.max_rx_queues,
		.single_queue = e->one_port_per_queue, .tcp_means_ports = sw_rss_tcp_means_ports(info.driver_name)};
	if (!e->one_port_per_queue && (info.max_rx_queues < workers || info.max_tx_queues < workers))
		return fail(-ENOSPC, error, error_bytes, "device %s has %u receive and %u transmit queues for %u workers",
			e->device, info.max_rx_queues, info.max_tx_queues, workers);
	return 0;
}

int sw_ports_probe(const struct sw_boot *boot, const struct sw_link *links, uint32_t link_count,
	struct sw_ports *out, char *error, size_t error_bytes)
{
	struct sw_rss_ability abilities[SW_LINKS_MAX * SW_SIDES];
	bool any_xdp = false;
	memset(out, 0, sizeof(*out));
	for (unsigned int i = 0; i < link_count * SW_SIDES; i++) {
		out->any_pci |= links[i / SW_SIDES].ends[i % SW_SIDES].kind == SW_DEVICE_PCI;
		any_xdp |= links[i / SW_SIDES].ends[i % SW_SIDES].kind == SW_DEVICE_INTERFACE;
	}
	if (out->any_pci && any_xdp) {
		snprintf(error, error_bytes, "links: PCI devices and interfaces (AF_XDP) cannot share one box: they need "
			"packet buffers laid out differently; give both ends as one kind");
		return -EINVAL;
	}
	sw_xdp_quiet_start();
	out->workers = boot->workers;
	for (unsigned int i = 0; i < link_count * SW_SIDES; i++) {
		struct sw_end *e = &out->ends[i];
		e->kind = links[i / SW_SIDES].ends[i % SW_SIDES].kind;
		e->side = (uint8_t)(i % SW_SIDES);
		memcpy(e->device, links[i / SW_SIDES].ends[i % SW_SIDES].device, sizeof(e->device));
		for (unsigned int q = 0; q < SW_WORKERS_MAX; q++)
			e->sockets[q] = -1;
		int result = e->kind == SW_DEVICE_PCI ? probe_pci(e, boot->workers, error, error_bytes)
			: probe_virtual(e, i, boot->workers, error, error_bytes);
		if (result == 0)
			result = ask_ability(e, boot->workers, error, error_bytes);
		if (result)
			return result;
		abilities[i] = e->ability;
		out->end_count = i + 1;
	}
	sw_rss_plan_make(boot->workers, abilities, out->end_count, &out->plan);
	return 0;
}

/* ---- starting them ----------------------------------------------------------------------------------------------- */

static uint32_t power_of_two(uint32_t n)
{
	return n <= 1 ? 1 : 1u << (32 - __builtin_clz(n - 1));
}

static bool shards(const struct sw_ports *ports)
{
	return ports->plan.decision == SW_SHARD_BY_NIC;
}

static uint64_t hash_types(const struct sw_ports *ports, const struct sw_end *e)
{
	return shards(ports) ? sw_rss_types(&ports->plan, &e->ability) : sw_rss_spread_types(e->ability.offloads);
}

static void fill_config(const struct sw_ports *ports, const struct sw_end *e, const struct rte_eth_dev_info *info,
	unsigned int rx_queues, uint8_t *key, struct rte_eth_conf *conf)
{
	memset(conf, 0, sizeof(*conf));
	if (e->kind == SW_DEVICE_PCI) {
		/* Room for two VLAN tags behind a full frame, whichever way the driver counts. */
		conf->rxmode.mtu = info->max_mtu < PCI_MTU ? info->max_mtu : PCI_MTU;
		conf->rxmode.offloads = sw_rx_checksum_offloads(info->rx_offload_capa);
	}
	if (rx_queues == 1)
		return;
	conf->rx_adv_conf.rss_conf.rss_hf = hash_types(ports, e);
	if (conf->rx_adv_conf.rss_conf.rss_hf == 0)
		return;
	conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	if (shards(ports)) {
		conf->rx_adv_conf.rss_conf.rss_key = key;
		conf->rx_adv_conf.rss_conf.rss_key_len = (uint8_t)info->hash_key_size;
	}
}

/* Receive queue q and, where there are SYN queues, queue n + q: both fill worker q's buffers. */
static int set_up_receive(uint16_t port, unsigned int q, unsigned int queues, unsigned int rx_queues,
	uint16_t descriptors, struct rte_mempool *pool)
{
	int result = 0;
	for (; q < rx_queues && result == 0; q += queues)
		result = rte_eth_rx_queue_setup(port, (uint16_t)q, descriptors, (unsigned int)rte_eth_dev_socket_id(port), NULL,
			pool);
	return result;
}

static int set_up_queues(struct sw_end *e, struct sw_box *box, unsigned int first_worker, unsigned int queues,
	unsigned int rx_queues, char *error, size_t error_bytes)
{
	const uint16_t port = e->port_ids[first_worker];
	uint16_t rx = (uint16_t)power_of_two(box->boot.rx_descriptors);
	uint16_t tx = (uint16_t)power_of_two(box->boot.tx_descriptors);
	int result = rte_eth_dev_adjust_nb_rx_tx_desc(port, &rx, &tx);
	if (result)
		return fail(result, error, error_bytes, "device %s: %u and %u descriptors", e->device, rx, tx);
	for (unsigned int q = 0; q < queues; q++) {
		struct sw_worker *w = box->workers[first_worker + q];
		struct sw_fd_set before, after;
		const int socket = rte_eth_dev_socket_id(port);
		sw_xdp_sockets(&before);
		result = set_up_receive(port, q, queues, rx_queues, rx, w->pool);
		if (result)
			return fail(result, error, error_bytes, "device %s: receive queue of worker %u", e->device, w->id);
		if (e->kind == SW_DEVICE_INTERFACE) {
			sw_xdp_sockets(&after);
			e->sockets[w->id] = sw_xdp_new_socket(&before, &after);
		}
		result = rte_eth_tx_queue_setup(port, (uint16_t)q, tx, (unsigned int)socket, NULL);
		if (result)
			return fail(result, error, error_bytes, "device %s: transmit queue of worker %u", e->device, w->id);
	}
	return 0;
}

/* Every entry of the table by the one rule; none names a SYN queue. */
static int write_table(const struct sw_ports *ports, const struct sw_end *e, uint16_t port, char *error,
	size_t error_bytes)
{
	struct rte_eth_rss_reta_entry64 reta[SW_RSS_RETA_MAX / RTE_ETH_RETA_GROUP_SIZE];
	const uint32_t entries = e->ability.reta_entries;
	if (entries > SW_RSS_RETA_MAX)
		return fail(-E2BIG, error, error_bytes, "device %s: indirection table of %u entries", e->device, entries);
	memset(reta, 0, sizeof(reta));
	for (uint32_t i = 0; i < entries; i++) {
		reta[i / RTE_ETH_RETA_GROUP_SIZE].mask |= 1ull << (i % RTE_ETH_RETA_GROUP_SIZE);
		reta[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE] =
			(uint16_t)sw_rss_reta_queue(i, ports->workers);
	}
	const int result = rte_eth_dev_rss_reta_update(port, reta, (uint16_t)entries);
	return result ? fail(result, error, error_bytes, "device %s: indirection table", e->device) : 0;
}

/* What the NIC says of its hash must be what was asked. */
static int check_hash(const struct sw_ports *ports, const struct sw_end *e, uint16_t port, char *error,
	size_t error_bytes)
{
	struct rte_eth_rss_conf conf = {0};
	const uint64_t asked = hash_types(ports, e);
	int result = rte_eth_dev_rss_hash_conf_get(port, &conf);
	if (result == 0 && (conf.rss_hf & asked) != asked)
		result = -ENOTSUP;
	if (result)
		return fail(result, error, error_bytes,
			"device %s promised to hash one address alone and does not; set boot.workers to 1", e->device);
	return 0;
}

/* Ready to receive, with `queues` transmit and `rx_queues` receive queues. It may be called again with others. */
static int run_port(struct sw_ports *ports, struct sw_end *e, struct sw_box *box, unsigned int first_worker,
	unsigned int queues, unsigned int rx_queues, char *error, size_t error_bytes)
{
	const uint16_t port = e->port_ids[first_worker];
	uint8_t key[SW_RSS_KEY_MAX];
	struct rte_eth_dev_info info;
	struct rte_eth_conf conf;
	int result = rte_eth_dev_info_get(port, &info);
	if (result)
		return fail(result, error, error_bytes, "device %s", e->device);
	sw_rss_key(box->shared.shard_key, key, sizeof(key));
	fill_config(ports, e, &info, rx_queues, key, &conf);
	result = rte_eth_dev_configure(port, (uint16_t)rx_queues, (uint16_t)queues, &conf);
	if (result)
		return fail(result, error, error_bytes, "device %s: %u queues", e->device, rx_queues);
	result = set_up_queues(e, box, first_worker, queues, rx_queues, error, error_bytes);
	if (result)
		return result;
	result = rte_eth_dev_start(port);
	if (result)
		return fail(result, error, error_bytes, "device %s does not start", e->device);
	ports->started[port] = true;
	e->rx_offloads = conf.rxmode.offloads;
	if (rx_queues > queues || (queues > 1 && shards(ports)))
		result = write_table(ports, e, port, error, error_bytes);
	if (result == 0 && queues > 1 && shards(ports))
		result = check_hash(ports, e, port, error, error_bytes);
	return result;
}

/* Twice the queues, and rules that use them. On failure the port is stopped, and as good as new. */
static int try_syn_queues(struct sw_ports *ports, struct sw_end *e, struct sw_box *box, char *error, size_t error_bytes)
{
	const uint16_t port = e->port_ids[0];
	uint8_t key[SW_RSS_KEY_MAX];
	sw_rss_key(box->shared.shard_key, key, sizeof(key));
	int result = run_port(ports, e, box, 0, ports->workers, 2 * ports->workers, error, error_bytes);
	if (result == 0)
		result = sw_steered_open(port, ports->workers, &e->ability, hash_types(ports, e), shards(ports) ? key : NULL,
			&e->steered, error, error_bytes);
	if (result && ports->started[port]) {
		(void)rte_eth_dev_stop(port);
		ports->started[port] = false;
	}
	return result;
}

/* Says what became of it: nobody would see the difference before the next flood. */
static bool start_with_syn_queues(struct sw_ports *ports, struct sw_end *e, struct sw_box *box)
{
	char error[512];
	const uint32_t needed = sw_mbufs_needed(&box->boot, box->link_count);
	const uint32_t left = box->boot.mbufs > needed ? box->boot.mbufs - needed : 0;
	const char *why_not = sw_steering_why_not(ports->workers, &e->ability, true, left,
		box->link_count * power_of_two(box->boot.rx_descriptors));
	if (!why_not && try_syn_queues(ports, e, box, error, sizeof(error)))
		why_not = error;
	if (why_not)
		sw_log(SW_LOG_NOTICE, "device %s: SYNs share the other packets' queues: %s", e->device, why_not);
	else
		sw_log(SW_LOG_NOTICE, "device %s: SYNs of services get queues of their own, %u to %u", e->device,
			ports->workers, 2 * ports->workers - 1);
	ports->steers |= !why_not;
	return !why_not;
}

static int start_port(struct sw_ports *ports, struct sw_end *e, struct sw_box *box, unsigned int first_worker,
	unsigned int queues, char *error, size_t error_bytes)
{
	const uint16_t port = e->port_ids[first_worker];
	const bool is_pci = e->kind == SW_DEVICE_PCI; /* elsewhere the XDP program steers, or nobody */
	int result = 0;
	if (!is_pci || e->side != SW_OUTSIDE || !start_with_syn_queues(ports, e, box))
		result = run_port(ports, e, box, first_worker, queues, queues, error, error_bytes);
	if (result)
		return result;
	result = rte_eth_promiscuous_enable(port);
	if (result && result != -ENOTSUP)
		sw_log(SW_LOG_WARNING, "device %s: promiscuous mode: %s", e->device, rte_strerror(-result));
	if (is_pci)
		sw_log(SW_LOG_NOTICE, "device %s: the NIC checks %s", e->device, sw_rx_checksum_text(e->rx_offloads));
	return 0;
}

static void give_to_workers(const struct sw_ports *ports, struct sw_box *box)
{
	for (unsigned int i = 0; i < ports->workers; i++) {
		struct sw_worker *w = box->workers[i];
		for (unsigned int end = 0; end < ports->end_count; end++) {
			const struct sw_end *e = &ports->ends[end];
			w->queues[end / SW_SIDES][end % SW_SIDES] = (struct sw_queue){
				.port_id = e->port_ids[i], .queue_id = (uint16_t)(e->one_port_per_queue ? 0 : i)};
			if (e->steered)
				w->syn_queues[end / SW_SIDES] = (struct sw_queue){
					.port_id = e->port_ids[i], .queue_id = (uint16_t)(ports->workers + i)};
			for (unsigned int q = 0; q < ports->workers; q++)
				w->port_ends[e->port_ids[q]] = (uint8_t)end;
			if (e->sockets[i] >= 0)
				sw_idle_add(w->idle, e->sockets[i]);
			else if (e->kind == SW_DEVICE_PCI && w->idle->sleep_us > SW_IDLE_BLIND_MAX_US)
				w->idle->sleep_us = SW_IDLE_BLIND_MAX_US;
		}
	}
}

int sw_ports_start(struct sw_ports *ports, struct sw_box *box, char *error, size_t error_bytes)
{
	for (unsigned int end = 0; end < ports->end_count; end++) {
		struct sw_end *e = &ports->ends[end];
		const unsigned int queues = e->one_port_per_queue ? 1 : ports->workers;
		for (unsigned int first = 0; first < ports->workers; first += queues) {
			const int result = start_port(ports, e, box, first, queues, error, error_bytes);
			if (result)
				return result;
		}
		struct sw_port_state *state = &sw_region_ports_rw(box->shared.region)[end];
		state->xdp = e->kind == SW_DEVICE_INTERFACE;
		state->rss = shards(ports);
	}
	give_to_workers(ports, box);
	return 0;
}

/* ---- while they run ---------------------------------------------------------------------------------------------- */

static bool is_up(const struct sw_end *e)
{
	struct rte_eth_link link;
	if (e->kind == SW_DEVICE_INTERFACE) /* the driver always says up */
		return sw_interface_running(e->device);
	return rte_eth_link_get_nowait(e->port_ids[0], &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

/* Each figure is written once: a reader may come between any two. */
static void update_end(const struct sw_end *e, unsigned int workers, struct sw_port_state *state)
{
	struct sw_port_state sum = {.up = 0};
	for (unsigned int i = 0; i < (e->one_port_per_queue ? workers : 1); i++) {
		struct rte_eth_stats s;
		if (rte_eth_stats_get(e->port_ids[i], &s))
			continue;
		sum.rx_packets += s.ipackets;
		sum.rx_bytes += s.ibytes;
		sum.tx_packets += s.opackets;
		sum.tx_bytes += s.obytes;
		sum.missed += e->sockets[i] >= 0 ? sw_xdp_socket_missed(e->sockets[i]) : s.imissed;
		sum.errors += s.ierrors + s.oerrors;
		sum.no_mbuf += s.rx_nombuf;
	}
	state->rx_packets = sum.rx_packets;
	state->rx_bytes = sum.rx_bytes;
	state->tx_packets = sum.tx_packets;
	state->tx_bytes = sum.tx_bytes;
	state->missed = sum.missed;
	state->errors = sum.errors;
	state->no_mbuf = sum.no_mbuf;
}

void sw_ports_update(const struct sw_ports *ports, struct sw_region *region, bool links_too)
{
	for (unsigned int end = 0; end < ports->end_count; end++) {
		struct sw_port_state *state = &sw_region_ports_rw(region)[end];
		update_end(&ports->ends[end], ports->workers, state);
		if (!links_too)
			continue;
		const bool up = is_up(&ports->ends[end]);
		if (up != state->up)
			sw_log(SW_LOG_NOTICE, "device %s is %s", ports->ends[end].device, up ? "up" : "down");
		state->up = up;
	}
}

void sw_ports_close(struct sw_ports *ports)
{
	sw_xdp_quiet_end();
	for (unsigned int end = 0; end < ports->end_count; end++) {
		sw_steered_close(ports->ends[end].steered);
		ports->ends[end].steered = NULL;
	}
	for (uint16_t port = 0; port < RTE_MAX_ETHPORTS; port++) {
		if (!ports->started[port])
			continue;
		(void)rte_eth_dev_stop(port);
		(void)rte_eth_dev_close(port);
		ports->started[port] = false;
	}
}
