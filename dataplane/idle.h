/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How an idle worker sleeps and is woken. A worker without packets polls on for SW_IDLE_SPIN_US, then sleeps in ppoll()
 * on the descriptors of its AF_XDP sockets and on an eventfd; whoever puts something into one of its rings (a hand-over,
 * mail) calls sw_idle_wake() afterwards. Nothing is lost: the sleeper says so first and looks at its rings once more, the
 * other side fills the ring first and looks whether it sleeps; one of the two sees the other (both use sequentially
 * consistent order). At worst the sleep ends by itself after boot.idle_sleep_us.
 */
#ifndef SW_IDLE_H
#define SW_IDLE_H

#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include "api/region.h"

enum {
	/*
	 * Time without a packet before a worker sleeps. A wake-up costs more than a steady stream leaves between two packets,
	 * so within a flood nobody sleeps; until then each empty poll lends the CPU to whoever waits for it.
	 */
	SW_IDLE_SPIN_US = 1000,
	/*
	 * A NIC without a descriptor to wait on: at line rate of 10 Gbit/s 1,024 descriptors last 69 us, so no longer
	 * than this, whatever the policy says.
	 */
	SW_IDLE_BLIND_MAX_US = 50,
};

struct sw_idle {
	_Alignas(SW_CACHE_LINE) _Atomic uint32_t asleep; /* written by the worker, read by wakers */
	int wake_fd;
	_Alignas(SW_CACHE_LINE) uint32_t sleep_us;       /* 0: never sleeps */
	uint32_t fd_count;
	struct pollfd fds[1 + SW_LINKS_MAX * SW_SIDES];  /* [0] is wake_fd */
};

static inline void sw_idle_wake_always(struct sw_idle *idle)
{
	const uint64_t one = 1;
	(void)!write(idle->wake_fd, &one, sizeof(one));
}

/* After something was put into a ring of the worker behind `idle`. A system call only if it sleeps. */
static inline void sw_idle_wake(struct sw_idle *idle)
{
	atomic_thread_fence(memory_order_seq_cst); /* pairs with the one in sw_idle_sleep(): ring before `asleep` */
	if (atomic_load_explicit(&idle->asleep, memory_order_relaxed))
		sw_idle_wake_always(idle);
}

/* 0 or -errno. */
int sw_idle_open(struct sw_idle *idle, uint32_t sleep_us);
void sw_idle_close(struct sw_idle *idle);
void sw_idle_add(struct sw_idle *idle, int fd);

struct sw_worker;
/* Sleeps unless something waits in a ring. Goes offline for RCU meanwhile. Returns whether it slept. */
bool sw_idle_sleep(struct sw_worker *w);

#endif
