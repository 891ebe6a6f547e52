/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests to the daemon: HTTP over its Unix socket, or over a loopback URL. */
#ifndef SW_CLI_CLIENT_H
#define SW_CLI_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* What seawallctl ends with. */
enum sw_exit {
	SW_EXIT_OK = 0,
	SW_EXIT_REFUSED = 1, /* the daemon refused, or the box is not healthy, or what was asked for is not there */
	SW_EXIT_USAGE = 2,
	SW_EXIT_UNREACHABLE = 3, /* no daemon answers */
};

struct sw_client {
	const char *socket_path; /* NULL: `url` is used */
	const char *url;         /* "http://127.0.0.1:8470" */
};

struct sw_answer {
	long status; /* HTTP */
	char *text;  /* NUL-terminated; sw_answer_free() */
	size_t bytes;
	json_t *json; /* parsed; NULL: it is no JSON */
};

/*
 * `path`: with its query, already escaped. `body`: JSON, or NULL. SW_EXIT_OK when an answer came, whatever its status;
 * SW_EXIT_UNREACHABLE with the reason on stderr.
 */
enum sw_exit sw_client_call(
    const struct sw_client *client, const char *method, const char *path, const char *body, struct sw_answer *reply);
void sw_answer_free(struct sw_answer *reply);

/*
 * Follows a stream of server-sent events: `event` gets the data of each, and returns false to end. SW_EXIT_OK when it
 * did, SW_EXIT_UNREACHABLE when the daemon went away, SW_EXIT_REFUSED when it took no further stream.
 */
enum sw_exit sw_client_follow(
    const struct sw_client *client, const char *path, bool (*event)(void *context, const char *data), void *context);

/* Escapes one segment or value of a URL. Malloc'd. */
char *sw_url_escape(const char *text);

/*
 * Finds the daemon's socket: `runtime_dir` when given, or $SEAWALL_RUNTIME_DIR, or the one instance below /run/seawall.
 * Malloc'd; NULL with the reason on stderr.
 */
char *sw_find_socket(const char *runtime_dir);

#endif
