/* SPDX-License-Identifier: BSD-3-Clause */
#include "http.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* A deadline so that a server that never answers fails the test rather than hang it. */
static int with_deadline(int fd)
{
	const struct timeval t = {.tv_sec = 30};
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
	return fd;
}

static int connected(int fd, const void *at, socklen_t length)
{
	if (fd < 0 || connect(fd, at, length)) {
		perror("connect");
		abort();
	}
	return with_deadline(fd);
}

int http_connect_unix(const char *runtime_dir)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	snprintf(at.sun_path, sizeof(at.sun_path), "%s/seawalld.sock", runtime_dir);
	return connected(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), &at, sizeof(at));
}

int http_connect_tcp(uint16_t port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return connected(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), &at, sizeof(at));
}

/* Is the answer whole, as far as its head tells its length? */
static int is_whole(const char *text)
{
	const char *body = strstr(text, "\r\n\r\n"), *length = strcasestr(text, "\r\nContent-Length:");
	if (!body || !length || length > body)
		return 0;
	return strlen(body + 4) >= strtoul(length + 17, NULL, 10);
}

struct http_answer http_exchange(int fd, const char *request, size_t bytes)
{
	struct http_answer a = {0};
	size_t sent = 0, got = 0;
	while (sent < bytes) {
		const ssize_t n = send(fd, request + sent, bytes - sent, MSG_NOSIGNAL);
		if (n <= 0)
			break; /* refused in the midst: the answer may be there all the same */
		sent += (size_t)n;
	}
	a.text = calloc(1, 1);
	char block[65536];
	for (ssize_t n; !is_whole(a.text) && (n = recv(fd, block, sizeof(block), 0)) > 0;) {
		a.text = realloc(a.text, got + (size_t)n + 1);
		memcpy(a.text + got, block, (size_t)n);
		got += (size_t)n;
		a.text[got] = 0;
	}
	if (sscanf(a.text, "HTTP/1.%*c %d", &a.status) != 1)
		a.status = 0;
	const char *body = strstr(a.text, "\r\n\r\n");
	a.body = body ? body + 4 : a.text + got;
	a.json = json_loads(a.body, 0, NULL);
	return a;
}

struct http_answer http_ask(int fd, const char *method, const char *path, const char *body)
{
	char *request = NULL;
	const int n =
	    asprintf(&request, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
	        method, path, body ? strlen(body) : 0, body ? body : "");
	if (n < 0)
		abort();
	struct http_answer a = http_exchange(fd, request, (size_t)n);
	free(request);
	close(fd);
	return a;
}

void http_free(struct http_answer *a)
{
	json_decref(a->json);
	free(a->text);
	memset(a, 0, sizeof(*a));
}
