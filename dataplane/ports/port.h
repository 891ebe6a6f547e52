/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ends of the links as DPDK ports. A PCI device is one port with a queue for each worker, and so is an AF_XDP
 * interface that has as many channels. One that has not (net_af_xdp sees a single one in a veth), and a vdev string
 * with "%q" in it, becomes a port of one queue for each worker. An outside PCI device has a second one for each worker
 * where its driver takes the rules of steering.h: the SYN queues.
 *
 * Order    sw_wire_open(), rte_eal_init(), sw_ports_probe(), sw_box_open(), sw_ports_start(); sw_ports_close() last.
 * Thread   main. sw_ports_update(), sw_ports_say_steering(): housekeeping. sw_ports_steer(): the publisher, or main.
 *          A port's driver is asked by one thread at a time, so housekeeping leaves ports that steer alone meanwhile.
 * Errors   0, or -errno with a text.
 */
#ifndef SW_PORT_H
#define SW_PORT_H

#include "rss.h"
#include "worker_state.h"

struct sw_steered;

struct sw_end {
	uint8_t kind;                          /* enum sw_device_kind */
	uint8_t side;
	bool one_port_per_queue;
	char device[SW_DEVICE_BYTES];
	uint16_t port_ids[SW_WORKERS_MAX];     /* by worker; all the same unless one_port_per_queue */
	int sockets[SW_WORKERS_MAX];           /* AF_XDP; -1: none */
	struct sw_rss_ability ability;
	uint64_t rx_offloads;                  /* what the port was told to do: RTE_ETH_RX_OFFLOAD_* */
	struct sw_steered *steered;            /* the rules in the NIC; NULL: no SYN queues */
};

struct sw_ports {
	struct sw_end ends[SW_LINKS_MAX * SW_SIDES];
	unsigned int end_count, workers;
	bool started[RTE_MAX_ETHPORTS];
	struct sw_rss_plan plan;
	bool any_pci;            /* pools have to have addresses for devices */
	bool steers;             /* some end has SYN queues */
	/* Of the last policy steered: services without rules, having too many, and the name of the first. */
	unsigned int unsteered_services;
	bool unsteered_news;
	char unsteered_name[SW_NAME_BYTES];
};

/* Makes the vdevs, finds every port, decides how clients are sharded. */
int sw_ports_probe(const struct sw_boot *boot, const struct sw_link *links, uint32_t link_count,
	struct sw_ports *out, char *error, size_t error_bytes);

/* Configures and starts all of them, gives the workers their queues and sleeping places. */
int sw_ports_start(struct sw_ports *ports, struct sw_box *box, char *error, size_t error_bytes);

/* Writes what the ports say of themselves into the region; `links_too`: their link state as well (slower). */
void sw_ports_update(const struct sw_ports *ports, struct sw_region *region, bool links_too);

void sw_ports_close(struct sw_ports *ports);

/* ---- port_steering.c: SYN queues --------------------------------------------------------------------------------- */

/*
 * Puts a checked snapshot's rules in place of those of the one before, in every port that has SYN queues. What a
 * driver refuses is left out: the policy is in force all the same. Slow: a call of the driver for each rule that
 * differs.
 */
void sw_ports_steer(struct sw_ports *ports, const void *snapshot);
/* Logs what the last sw_ports_steer() came to, if it changed anything. */
void sw_ports_say_steering(const struct sw_ports *ports);

/*
 * For port.c. Asks a started port that has SYN queues whether its driver takes rules; `types` and `key` as for
 * sw_steering_action_make(). 0, or -errno with a text and *out NULL.
 */
int sw_steered_open(uint16_t port, unsigned int workers, const struct sw_rss_ability *ability, uint64_t types,
	const uint8_t *key, struct sw_steered **out, char *error, size_t error_bytes);
/* Takes the rules out. NULL is fine. */
void sw_steered_close(struct sw_steered *s);

/* ---- port_xdp.c: what is special about net_af_xdp ---------------------------------------------------------------- */

/* "net_af_xdp5" and "iface=eth0,start_queue=1,queue_count=1,busy_budget=0". */
void sw_xdp_vdev(unsigned int end, unsigned int first_queue, unsigned int queues, const char *interface, char *name,
	size_t name_bytes, char *arguments, size_t arguments_bytes);

/*
 * What libxdp and the driver have to say about a program that is not theirs is no news: at start it goes to the log as
 * information, at the end, when they try to take our program off, nowhere.
 */
void sw_xdp_quiet_start(void);
void sw_xdp_quiet_end(void);

/* Which descriptors of this process are AF_XDP sockets: bit n for descriptor n. */
enum { SW_XDP_FDS_MAX = 4096 };
struct sw_fd_set {
	uint64_t bits[SW_XDP_FDS_MAX / 64];
};
void sw_xdp_sockets(struct sw_fd_set *out);
/* The one that is in `after` and not in `before`, or -1. */
int sw_xdp_new_socket(const struct sw_fd_set *before, const struct sw_fd_set *after);

/* Frames lost before they reached the ring. 0 where the socket does not say. */
uint64_t sw_xdp_socket_missed(int fd);

bool sw_interface_running(const char *interface);
/* Combined channels it can have; 1 where it does not say. */
unsigned int sw_interface_channels(const char *interface);

#endif
