/* SPDX-License-Identifier: BSD-3-Clause */
#include "idle.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <time.h>

#include <rte_rcu_qsbr.h>

#include "worker.h"

int sw_idle_open(struct sw_idle *idle, uint32_t sleep_us)
{
	*idle = (struct sw_idle){.sleep_us = sleep_us, .fd_count = 0};
	idle->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (idle->wake_fd < 0)
		return -errno;
	sw_idle_add(idle, idle->wake_fd);
	return 0;
}

void sw_idle_close(struct sw_idle *idle)
{
	if (idle->fd_count)
		close(idle->wake_fd);
	idle->fd_count = 0;
}

void sw_idle_add(struct sw_idle *idle, int fd)
{
	if (idle->fd_count < sizeof(idle->fds) / sizeof(idle->fds[0]))
		idle->fds[idle->fd_count++] = (struct pollfd){.fd = fd, .events = POLLIN};
}

static bool something_waits(const struct sw_worker *w)
{
	if (!rte_ring_empty(w->mail) || atomic_load_explicit(&sw_stopping, memory_order_relaxed))
		return true;
	for (unsigned int i = 0; i < w->shared->workers; i++)
		if (w->handed[i] && !rte_ring_empty(w->handed[i]))
			return true;
	return false;
}

static bool broken(const struct sw_idle *idle)
{
	for (uint32_t i = 1; i < idle->fd_count; i++)
		if (idle->fds[i].revents & (POLLERR | POLLHUP | POLLNVAL))
			return true;
	return false;
}

bool sw_idle_sleep(struct sw_worker *w)
{
	struct sw_idle *idle = w->idle;
	bool slept = false;
	atomic_store_explicit(&idle->asleep, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst); /* pairs with the one in sw_idle_wake(): `asleep` before the rings */
	if (!something_waits(w)) {
		const struct timespec longest = {.tv_sec = idle->sleep_us / 1000000,
			.tv_nsec = (long)(idle->sleep_us % 1000000) * 1000};
		rte_rcu_qsbr_thread_offline(w->shared->rcu, w->id);
		(void)ppoll(idle->fds, idle->fd_count, &longest, NULL);
		if (broken(idle)) /* its interface is gone: poll() would return at once for ever */
			(void)nanosleep(&longest, NULL);
		rte_rcu_qsbr_thread_online(w->shared->rcu, w->id);
		slept = true;
	}
	atomic_store_explicit(&idle->asleep, 0, memory_order_relaxed);
	if (idle->fds[0].revents) {
		uint64_t count;
		(void)!read(idle->wake_fd, &count, sizeof(count));
		idle->fds[0].revents = 0;
	}
	return slept;
}
