/* SPDX-License-Identifier: BSD-3-Clause */
#include "fake_dataplane.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static uint32_t take(struct fake_dataplane *d, int memfd)
{
	struct stat status;
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
	d->publishes++;
	const uint32_t answer = d->next_status;
	d->next_status = SW_REPLY_OK;
	if (memfd < 0 || fstat(memfd, &status) < 0)
		return SW_REPLY_BAD_REQUEST;
	d->sealed = fcntl(memfd, F_GET_SEALS) == seals;
	if (answer != SW_REPLY_OK && answer != SW_REPLY_NEEDS_RESTART)
		return answer;
	free(d->snapshot);
	d->snapshot = malloc((size_t)status.st_size);
	if (!d->snapshot || pread(memfd, d->snapshot, (size_t)status.st_size, 0) != status.st_size)
		return SW_REPLY_BAD_REQUEST;
	d->generation = d->snapshot->generation;
	return answer;
}

static bool serve(struct fake_dataplane *d, int client)
{
	struct sw_request request;
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = {.iov_base = &request, .iov_len = sizeof(request)};
	struct msghdr message = {
	    .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
	int memfd = -1;
	if (recvmsg(client, &message, MSG_CMSG_CLOEXEC) != (ssize_t)sizeof(request))
		return false;
	const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	if (header)
		memcpy(&memfd, CMSG_DATA(header), sizeof(memfd));
	struct sw_reply reply = {.version = SW_MESSAGE_VERSION};
	pthread_mutex_lock(&d->lock);
	const bool silent = d->silent && request.kind == SW_REQUEST_PUBLISH;
	d->unanswered += silent;
	if (request.kind == SW_REQUEST_PUBLISH && !silent) {
		reply.status = take(d, memfd);
		if (reply.status != SW_REPLY_OK)
			snprintf(reply.text, sizeof(reply.text), "%s",
			    reply.status == SW_REPLY_NEEDS_RESTART ? "boot.workers" : "services[0].mode");
	} else if (request.kind == SW_REQUEST_UNBLOCK) {
		reply.count = 1;
	} else if (request.kind == SW_REQUEST_EXPLAIN) {
		reply.explain = (struct sw_explain){.rule = SW_RULE_DENY, .entry = 7, .worker = request.service_slot};
		reply.explain.record.address = request.address;
	}
	reply.generation = d->generation;
	pthread_mutex_unlock(&d->lock);
	if (memfd >= 0)
		close(memfd);
	return silent || send(client, &reply, sizeof(reply), MSG_NOSIGNAL) == (ssize_t)sizeof(reply);
}

static void *run(void *argument)
{
	struct fake_dataplane *d = argument;
	for (;;) {
		struct pollfd events[FAKE_CLIENTS + 2];
		for (int i = 0; i < FAKE_CLIENTS; i++)
			events[i] = (struct pollfd){.fd = d->clients[i], .events = POLLIN};
		events[FAKE_CLIENTS] = (struct pollfd){.fd = d->listener, .events = POLLIN};
		events[FAKE_CLIENTS + 1] = (struct pollfd){.fd = d->stop[0], .events = POLLIN};
		if (poll(events, FAKE_CLIENTS + 2, -1) < 0 || events[FAKE_CLIENTS + 1].revents)
			return NULL;
		for (int i = 0; i < FAKE_CLIENTS; i++) {
			if (events[i].revents && !serve(d, d->clients[i])) {
				close(d->clients[i]);
				d->clients[i] = -1;
			}
		}
		if (!events[FAKE_CLIENTS].revents)
			continue;
		const int client = accept4(d->listener, NULL, NULL, SOCK_CLOEXEC);
		for (int i = 0; client >= 0 && i <= FAKE_CLIENTS; i++) {
			if (i == FAKE_CLIENTS) {
				close(client);
			} else if (d->clients[i] < 0) {
				d->clients[i] = client;
				break;
			}
		}
	}
}

void fake_dataplane_prepare(struct fake_dataplane *d, uint32_t next_status)
{
	d->next_status = next_status;
}

void fake_dataplane_start(struct fake_dataplane *d, const char *runtime_dir, uint64_t generation)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const uint32_t next_status = d->next_status;
	memset(d, 0, sizeof(*d));
	d->next_status = next_status;
	snprintf(d->path, sizeof(d->path), "%s/%s", runtime_dir, SW_SOCKET_NAME);
	memcpy(address.sun_path, d->path,
	    strlen(d->path) + 1 < sizeof(address.sun_path) ? strlen(d->path) + 1 : sizeof(address.sun_path) - 1);
	for (int i = 0; i < FAKE_CLIENTS; i++)
		d->clients[i] = -1;
	d->generation = generation;
	pthread_mutex_init(&d->lock, NULL);
	d->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (pipe2(d->stop, O_CLOEXEC) < 0 || bind(d->listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(d->listener, 8) < 0 || pthread_create(&d->thread, NULL, run, d) != 0)
		abort();
}

void fake_dataplane_stop(struct fake_dataplane *d)
{
	if (write(d->stop[1], "", 1) != 1)
		abort();
	pthread_join(d->thread, NULL);
	for (int i = 0; i < FAKE_CLIENTS; i++)
		if (d->clients[i] >= 0)
			close(d->clients[i]);
	close(d->listener);
	close(d->stop[0]);
	close(d->stop[1]);
	unlink(d->path);
	pthread_mutex_destroy(&d->lock);
	free(d->snapshot);
	memset(d, 0, sizeof(*d));
}
