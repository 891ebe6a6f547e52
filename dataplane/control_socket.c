/* SPDX-License-Identifier: BSD-3-Clause */
#include "control_socket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

int sw_control_socket_open(struct sw_control_socket *s, const char *runtime_dir)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int result;
	s->busy = -1;
	for (unsigned int i = 0; i < SW_CLIENTS_MAX; i++)
		s->clients[i] = -1;
	s->path[0] = '\0';
	s->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->listener < 0)
		return -errno;
	if ((size_t)snprintf(address.sun_path, sizeof(address.sun_path), "%s/" SW_SOCKET_NAME, runtime_dir) >=
		sizeof(address.sun_path)) {
		result = -ENAMETOOLONG;
		goto fail;
	}
	/* The caller holds the instance's lock: whatever stands there is a dead predecessor's. */
	unlink(address.sun_path);
	const mode_t before = umask(0177);
	result = bind(s->listener, (struct sockaddr *)&address, sizeof(address)) ? -errno : 0;
	umask(before);
	if (result)
		goto fail;
	memcpy(s->path, address.sun_path, sizeof(s->path));
	if (listen(s->listener, SW_CLIENTS_MAX)) {
		result = -errno;
		goto fail;
	}
	return 0;
fail:
	sw_control_socket_close(s);
	return result;
}

void sw_control_socket_close(struct sw_control_socket *s)
{
	for (unsigned int i = 0; i < SW_CLIENTS_MAX; i++)
		if (s->clients[i] >= 0)
			close(s->clients[i]);
	if (s->listener >= 0)
		close(s->listener);
	s->listener = -1;
	if (s->path[0])
		unlink(s->path);
}

unsigned int sw_control_socket_fds(const struct sw_control_socket *s, struct pollfd *fds)
{
	unsigned int count = 0;
	fds[count++] = (struct pollfd){.fd = s->listener, .events = POLLIN};
	for (unsigned int i = 0; i < SW_CLIENTS_MAX && s->busy < 0; i++)
		if (s->clients[i] >= 0)
			fds[count++] = (struct pollfd){.fd = s->clients[i], .events = POLLIN};
	return count;
}

/* The socket is mode 0600; this also holds when the directory was handed around. */
static bool may_command(int fd)
{
	struct ucred peer;
	socklen_t length = sizeof(peer);
	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 && (peer.uid == 0 || peer.uid == geteuid());
}

static void accept_all(struct sw_control_socket *s)
{
	/* Beyond the last place callers wait in the backlog, where they cost nothing. */
	for (unsigned int i = 0; i < SW_CLIENTS_MAX; i++) {
		if (s->clients[i] >= 0)
			continue;
		const int fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			return;
		if (may_command(fd))
			s->clients[i] = fd;
		else
			close(fd);
	}
}

static void hang_up(struct sw_control_socket *s, unsigned int client)
{
	close(s->clients[client]);
	s->clients[client] = -1;
}

/* The first descriptor that came along, the others closed. */
static int take_descriptor(struct msghdr *message)
{
	int first = -1;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (first < 0)
				first = fd;
			else
				close(fd);
		}
	}
	return first;
}

/* 1: a good request; 0: nothing there; -1: nonsense, or the end. */
static int receive(int fd, struct sw_incoming *in)
{
	union {
		char bytes[CMSG_SPACE(8 * sizeof(int))];
		struct cmsghdr alignment;
	} control;
	struct iovec part = {.iov_base = &in->request, .iov_len = sizeof(in->request)};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes)};
	in->memfd = -1;
	const ssize_t got = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	in->memfd = take_descriptor(&message);
	if (got == (ssize_t)sizeof(in->request) && !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) &&
		in->request.version == SW_MESSAGE_VERSION && in->request.kind <= SW_REQUEST_EXPLAIN &&
		(in->request.kind == SW_REQUEST_PUBLISH) == (in->memfd >= 0))
		return 1;
	if (in->memfd >= 0)
		close(in->memfd);
	in->memfd = -1;
	if (got > 0) {
		const struct sw_reply reply = {.version = SW_MESSAGE_VERSION, .status = SW_REPLY_BAD_REQUEST,
			.text = "not a request of this version: another size, kind, or not exactly the descriptors it needs"};
		(void)!send(fd, &reply, sizeof(reply), MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	return -1;
}

bool sw_control_socket_next(struct sw_control_socket *s, struct sw_incoming *in)
{
	accept_all(s);
	for (unsigned int i = 0; i < SW_CLIENTS_MAX && s->busy < 0; i++) {
		if (s->clients[i] < 0)
			continue;
		const int got = receive(s->clients[i], in);
		if (got < 0)
			hang_up(s, i);
		if (got > 0)
			s->busy = (int)i;
	}
	return s->busy >= 0;
}

void sw_control_socket_answer(struct sw_control_socket *s, struct sw_reply *reply)
{
	if (s->busy < 0)
		return;
	const unsigned int client = (unsigned int)s->busy;
	reply->version = SW_MESSAGE_VERSION;
	if (send(s->clients[client], reply, sizeof(*reply), MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)sizeof(*reply))
		hang_up(s, client);
	s->busy = -1;
}
