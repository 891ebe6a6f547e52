/* SPDX-License-Identifier: BSD-3-Clause */
/* A client of the server under test: bytes over a socket, as they are, so that nonsense can be sent too. */
#ifndef SW_TEST_HTTP_H
#define SW_TEST_HTTP_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct http_answer {
	int status; /* 0: the connection ended without an answer */
	char *text; /* head and body */
	const char *body;
	json_t *json;
};

/* Connected descriptors. `runtime_dir`: of the Unix socket. */
int http_connect_unix(const char *runtime_dir);
int http_connect_tcp(uint16_t port);

/* Sends `bytes` bytes as they are and reads until the other end closes, or until an answer of known length is whole. */
struct http_answer http_exchange(int fd, const char *request, size_t bytes);

/* A proper request; `body` may be NULL. Closes `fd`. */
struct http_answer http_ask(int fd, const char *method, const char *path, const char *body);
void http_free(struct http_answer *answer);

#endif
