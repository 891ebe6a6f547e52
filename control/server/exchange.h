/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One request and its answer, between the HTTP library and the handlers. A handler reads what it needs, sets an answer,
 * and returns the HTTP status. It runs in a thread of the server, and may wait.
 */
#ifndef SW_SERVER_EXCHANGE_H
#define SW_SERVER_EXCHANGE_H

#include <microhttpd.h>

#include "alerts.h"
#include "control.h"
#include "observer.h"

struct sw_exchange;
struct sw_stream;

typedef unsigned int (*sw_handler)(struct sw_exchange *x);

struct sw_query_help {
	const char *name, *help;
};

enum { SW_ROUTE_QUERIES = 6, SW_ARGUMENT_BYTES = 256, SW_BODY_SMALL = 4096, SW_BODY_LARGE = 8 << 20 };

/* One line of the table in routes.c. */
struct sw_route {
	const char *method;
	const char *path; /* "/sources"; or "/why/ADDRESS": what stands for the capitals is the argument */
	bool needs_unix_socket;
	sw_handler handler;
	size_t body_max;                                /* bytes; 0: takes no body */
	const char *help;                               /* one sentence */
	const char *body_help;                          /* what the body holds, or NULL */
	struct sw_query_help queries[SW_ROUTE_QUERIES]; /* up to the first without a name; others are refused */
};

extern const struct sw_route sw_routes[];
extern const unsigned int sw_route_count;

struct sw_server {
	struct sw_control *control;
	struct sw_observer *observer;
	struct sw_stream *stream;
	uint64_t start_unix_ns;
	uint32_t interval_ms;
	struct sw_alerts alerts;        /* the observer's thread alone */
	struct sw_listeners *listeners; /* server.c */
};

struct sw_exchange {
	struct sw_server *server;
	struct MHD_Connection *connection;
	const struct sw_route *route;
	bool unix_socket;
	char argument[SW_ARGUMENT_BYTES]; /* the rest of the path, decoded */
	char *body;                       /* body_bytes, and a NUL behind them; NULL: none */
	size_t body_bytes, body_room;
	unsigned int refused; /* status with which the request was refused before its body was read; 0: not */

	/* The answer: one of these. */
	json_t *json;
	char *text; /* malloc'd */
	size_t text_bytes;
	struct MHD_Response *response;
	const char *content_type; /* of text */
	char allow[32];           /* with 405: the methods that this path takes */
};

/* Value of a query parameter, or NULL. */
const char *sw_exchange_query(const struct sw_exchange *x, const char *name);

/*
 * A whole number from the query. False: it is there and is no number within minimum..maximum, and the answer has been
 * set to 400. Without the parameter *out stays as it is.
 */
bool sw_exchange_query_number(
    struct sw_exchange *x, const char *name, uint32_t minimum, uint32_t maximum, uint32_t *out);

/* Sets {"error": {"code", "message", "hint"}} and returns `status`. `hint` may be NULL. */
unsigned int sw_exchange_error(struct sw_exchange *x, unsigned int status, const char *code, const char *hint,
    const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Sets the answer to `json` (owned by the exchange from now on; NULL: out of memory, 500) and returns `status`. */
unsigned int sw_exchange_json(struct sw_exchange *x, unsigned int status, json_t *json);

/* For the HTTP library: MHD_AccessHandlerCallback and MHD_RequestCompletedCallback. `listener` is a struct below. */
struct sw_listener {
	struct sw_server *server;
	struct MHD_Daemon *daemon;
	bool unix_socket;
	uint16_t port;
};
enum MHD_Result sw_exchange_handle(void *listener, struct MHD_Connection *connection, const char *url,
    const char *method, const char *version, const char *upload_data, size_t *upload_data_size, void **context);
void sw_exchange_completed(
    void *listener, struct MHD_Connection *connection, void **context, enum MHD_RequestTerminationCode code);

/* True when a Host header names this machine's loopback: "localhost", 127.0.0.0/8 or [::1], with or without a port. */
bool sw_host_is_loopback(const char *host);

#endif
