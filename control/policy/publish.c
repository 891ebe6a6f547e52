/* SPDX-License-Identifier: BSD-3-Clause */
#include "publish.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "dataplane_link.h"

struct sw_publisher {
	struct sw_publisher_owner owner;
	char *socket_path;
	int wait_ms, retry_ms;
	int wake;       /* eventfd */
	int connection; /* -1: none */
	uint64_t in_force;
	atomic_bool ending;
	pthread_t thread;
};

static void disconnect(struct sw_publisher *p)
{
	if (p->connection < 0)
		return;
	close(p->connection);
	p->connection = -1;
	p->owner.connected(p->owner.context, false, p->in_force);
}

static bool greet(struct sw_publisher *p)
{
	const struct sw_request hello = {.version = SW_MESSAGE_VERSION, .kind = SW_REQUEST_HELLO, .service_slot = SW_NONE};
	struct sw_reply reply;
	const int fd = sw_dataplane_connect(p->socket_path);
	if (fd < 0)
		return false;
	if (sw_dataplane_call(fd, &hello, -1, &reply, p->wait_ms) < 0 || reply.status != SW_REPLY_OK) {
		close(fd);
		return false;
	}
	p->connection = fd;
	p->in_force = reply.generation;
	p->owner.connected(p->owner.context, true, p->in_force);
	return true;
}

/* Hands over one snapshot. Returns how long to wait before the next step: -1 for the next event. */
static int publish(struct sw_publisher *p, const struct sw_snapshot_header *snapshot, void *token)
{
	const struct sw_request request = {
	    .version = SW_MESSAGE_VERSION, .kind = SW_REQUEST_PUBLISH, .service_slot = SW_NONE};
	struct sw_reply reply;
	const int memfd = sw_sealed_memfd("seawall-policy", snapshot, snapshot->total_bytes);
	if (memfd < 0) {
		p->owner.answered(p->owner.context, token, memfd, NULL);
		return p->retry_ms;
	}
	const int error = sw_dataplane_call(p->connection, &request, memfd, &reply, p->wait_ms);
	close(memfd);
	if (!error)
		p->in_force = reply.generation;
	p->owner.answered(p->owner.context, token, error, error ? NULL : &reply);
	if (error)
		disconnect(p);
	return error || reply.status == SW_REPLY_BUSY ? p->retry_ms : 0;
}

/* One step: connect, or publish what is wanted. Returns the time to wait, as for poll(). */
static int step(struct sw_publisher *p)
{
	void *token = NULL;
	if (p->connection < 0 && !greet(p))
		return p->retry_ms;
	const struct sw_snapshot_header *snapshot = p->owner.wanted(p->owner.context, p->in_force, &token);
	return snapshot ? publish(p, snapshot, token) : -1;
}

static void *run(void *argument)
{
	struct sw_publisher *p = argument;
	uint64_t ignored;
	while (!atomic_load_explicit(&p->ending, memory_order_acquire)) { /* pairs with the release in close */
		const int wait_ms = step(p);
		struct pollfd events[2] = {{.fd = p->wake, .events = POLLIN}, {.fd = p->connection, .events = POLLIN}};
		if (poll(events, 2, wait_ms) < 0 && errno != EINTR)
			break;
		if (events[0].revents && read(p->wake, &ignored, sizeof(ignored)) < 0 && errno != EAGAIN)
			break;
		/* Nothing comes unasked: whatever shows on the connection is its end. */
		if (p->connection >= 0 && events[1].revents)
			disconnect(p);
	}
	if (p->connection >= 0) /* the owner is ending too: no news for it */
		close(p->connection);
	return NULL;
}

int sw_publisher_open(const struct sw_publisher_options *options, struct sw_publisher **out)
{
	struct sw_publisher *p = calloc(1, sizeof(*p));
	int result = -ENOMEM;
	if (!p)
		return result;
	*p = (struct sw_publisher){.owner = options->owner,
	    .wait_ms = options->wait_ms,
	    .retry_ms = options->retry_ms,
	    .wake = -1,
	    .connection = -1};
	p->socket_path = strdup(options->socket_path);
	if (!p->socket_path)
		goto failed;
	p->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	result = p->wake < 0 ? -errno : -pthread_create(&p->thread, NULL, run, p);
	if (result)
		goto failed;
	*out = p;
	return 0;
failed:
	if (p->wake >= 0)
		close(p->wake);
	free(p->socket_path);
	free(p);
	return result;
}

void sw_publisher_wake(struct sw_publisher *p)
{
	const uint64_t one = 1;
	if (write(p->wake, &one, sizeof(one)) < 0) {
		/* Only EAGAIN can be: the counter is at its end, and the thread awake anyway. */
	}
}

void sw_publisher_close(struct sw_publisher *p)
{
	if (!p)
		return;
	atomic_store_explicit(&p->ending, true, memory_order_release);
	sw_publisher_wake(p);
	pthread_join(p->thread, NULL);
	close(p->wake);
	free(p->socket_path);
	free(p);
}
