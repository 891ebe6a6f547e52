/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dataplane's end of api/messages.h: a listening socket, a few clients, and the one request that is being worked
 * on. What a request means is housekeeping's business: this file knows descriptors, sizes and order alone.
 *
 * Thread   housekeeping. Nothing here blocks.
 */
#ifndef SW_CONTROL_SOCKET_H
#define SW_CONTROL_SOCKET_H

#include <poll.h>
#include <stdbool.h>

#include "api/messages.h"

enum { SW_CLIENTS_MAX = 16 };

struct sw_control_socket {
	int listener;
	char path[108];
	int clients[SW_CLIENTS_MAX]; /* -1: free */
	int busy;                    /* index of the client whose request is open, or -1 */
};

/* A request as it came in; `memfd` is the handler's to close, -1: none was attached. */
struct sw_incoming {
	struct sw_request request;
	int memfd;
};

/* 0 or -errno. A socket that nobody listens on any more is replaced. */
int sw_control_socket_open(struct sw_control_socket *s, const char *runtime_dir);
void sw_control_socket_close(struct sw_control_socket *s);

/* Fills `fds` (room for SW_CLIENTS_MAX + 1) with what to wait for; returns how many. */
unsigned int sw_control_socket_fds(const struct sw_control_socket *s, struct pollfd *fds);

/*
 * Accepts, and reads the next request if none is open. True: *in is to be answered with sw_control_socket_answer()
 * before the next one is given out. Nonsense is answered here.
 */
bool sw_control_socket_next(struct sw_control_socket *s, struct sw_incoming *in);

/* Sends the reply to the client whose request is open (it may be gone by now). Fills in version. */
void sw_control_socket_answer(struct sw_control_socket *s, struct sw_reply *reply);

#endif
