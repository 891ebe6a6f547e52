/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane_link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

int sw_dataplane_connect(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (snprintf(address.sun_path, sizeof(address.sun_path), "%s", path) >= (int)sizeof(address.sun_path))
		return -ENAMETOOLONG;
	const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* Not blocking: a full backlog is -EAGAIN, as good as nobody there. */
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		const int result = -errno;
		close(fd);
		return result;
	}
	return fd;
}

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int wait_for(int fd, short events, int64_t deadline)
{
	for (;;) {
		const int64_t left = deadline - now_ms();
		struct pollfd p = {.fd = fd, .events = events};
		const int n = poll(&p, 1, left > 0 ? (int)left : 0);
		if (n > 0)
			return 0;
		if (n == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

static int send_request(int fd, const struct sw_request *request, int attached, int64_t deadline)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec part = {.iov_base = (void *)(uintptr_t)request, .iov_len = sizeof(*request)};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	if (attached >= 0) {
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(header), &attached, sizeof(int));
	}
	for (;;) {
		if (sendmsg(fd, &message, MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno != EAGAIN && errno != EINTR)
			return errno == EPIPE ? -ECONNRESET : -errno;
		const int result = wait_for(fd, POLLOUT, deadline);
		if (result)
			return result;
	}
}

int sw_dataplane_call(
    int connection, const struct sw_request *request, int attached, struct sw_reply *reply, int timeout_ms)
{
	const int64_t deadline = now_ms() + timeout_ms;
	int result = send_request(connection, request, attached, deadline);
	if (!result)
		result = wait_for(connection, POLLIN, deadline);
	if (result)
		return result;
	const ssize_t n = recv(connection, reply, sizeof(*reply), MSG_TRUNC);
	if (n < 0)
		return -errno;
	if (n == 0)
		return -ECONNRESET;
	if (n != (ssize_t)sizeof(*reply) || reply->version != SW_MESSAGE_VERSION)
		return -EPROTO;
	reply->text[sizeof(reply->text) - 1] = 0;
	return 0;
}

int sw_dataplane_ask(const char *path, const struct sw_request *request, struct sw_reply *reply, int timeout_ms)
{
	const int fd = sw_dataplane_connect(path);
	if (fd < 0)
		return fd;
	const int result = sw_dataplane_call(fd, request, -1, reply, timeout_ms);
	close(fd);
	return result;
}

int sw_sealed_memfd(const char *name, const void *data, size_t bytes)
{
	const char *at = data;
	const int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	while (bytes) {
		const ssize_t n = write(fd, at, bytes);
		if (n < 0 && errno != EINTR)
			goto failed;
		if (n > 0) {
			at += n;
			bytes -= (size_t)n;
		}
	}
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == 0)
		return fd;
failed:;
	const int result = -errno;
	close(fd);
	return result;
}
