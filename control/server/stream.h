/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The live stream: server-sent events (WHATWG HTML, 9.2), one JSON object for each sample. Each event is rendered once
 * for all clients. A client that falls behind skips samples; one that takes nothing for ten seconds is cut off by the
 * connection timeout, one that skips SW_STREAM_SKIP_MAX in a row by us.
 *
 * Thread   sw_stream_sampled() from the observer's thread, the rest from those of the server.
 */
#ifndef SW_SERVER_STREAM_H
#define SW_SERVER_STREAM_H

#include "exchange.h"

enum { SW_STREAM_CLIENTS_MAX = 32, SW_STREAM_TCP_CLIENTS_MAX = 16, SW_STREAM_SKIP_MAX = 60 };

int sw_stream_open(struct sw_server *server, struct sw_stream **out);

/* A sample has been taken: renders the event, when anybody listens, and wakes the clients. */
void sw_stream_sampled(struct sw_stream *stream);

/* Every client gets the end of its stream, and new ones are refused. */
void sw_stream_end(struct sw_stream *stream);
void sw_stream_close(struct sw_stream *stream);

/* Handler of GET /stream. */
unsigned int sw_handle_stream(struct sw_exchange *x);

#endif
