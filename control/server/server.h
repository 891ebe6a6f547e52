/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon's face: JSON over HTTP on the Unix socket <runtime directory>/seawalld.sock and on loopback TCP,
 * Prometheus text and a live stream beside it. Owns the observer. What can be asked stands in routes.c, and only there.
 *
 * Reading is open to whoever reaches the socket or the loopback; changing anything needs the Unix socket, whose mode
 * and group say who may.
 *
 * Thread   open and close from one thread; requests are served by threads of the server's own, four for the Unix socket
 *          and two for each TCP address, so that whoever waits on the one cannot keep the other.
 */
#ifndef SW_SERVER_H
#define SW_SERVER_H

#include "control.h"

#define SW_SERVER_SOCKET_NAME "seawalld.sock"

struct sw_server;

struct sw_server_options {
	struct sw_control *control;
	const char *runtime_dir;                /* must exist */
	const char *state_dir;                  /* for the incidents; NULL: kept in memory alone */
	const struct sw_spec_control *settings; /* listeners, socket mode and group, sampling */
};

/*
 * 0 or -errno with the reason in `error`. Failing to listen on a TCP address is logged and lived with (the CLI and all
 * changes use the Unix socket); failing on the Unix socket is an error. Nothing of `options` is kept but `control`.
 */
int sw_server_open(const struct sw_server_options *options, struct sw_server **out, char *error, size_t error_bytes);

/* Ends streams and connections, joins the threads, removes the socket. */
void sw_server_close(struct sw_server *server);

/* The port that the `index`th TCP address got (a setting of 0 lets the kernel choose), or 0 when it does not listen. */
uint16_t sw_server_port(const struct sw_server *server, uint32_t index);

#endif
