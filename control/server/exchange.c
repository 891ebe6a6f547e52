/* SPDX-License-Identifier: BSD-3-Clause */
#include "exchange.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "policy/address_text.h"

const char *sw_exchange_query(const struct sw_exchange *x, const char *name)
{
	return MHD_lookup_connection_value(x->connection, MHD_GET_ARGUMENT_KIND, name);
}

bool sw_exchange_query_number(
    struct sw_exchange *x, const char *name, uint32_t minimum, uint32_t maximum, uint32_t *out)
{
	const char *text = sw_exchange_query(x, name);
	if (!text)
		return true;
	uint64_t value = 0;
	size_t digits = 0;
	while (digits < 10 && isdigit((unsigned char)text[digits]))
		value = value * 10 + (uint64_t)(text[digits++] - '0');
	if (!digits || text[digits] || value < minimum || value > maximum) {
		sw_exchange_error(
		    x, 400, "bad_query", NULL, "%s: a whole number from %u to %u is expected", name, minimum, maximum);
		return false;
	}
	*out = (uint32_t)value;
	return true;
}

unsigned int sw_exchange_json(struct sw_exchange *x, unsigned int status, json_t *json)
{
	json_decref(x->json);
	x->json = json;
	return json ? status : 500;
}

unsigned int sw_exchange_error(
    struct sw_exchange *x, unsigned int status, const char *code, const char *hint, const char *format, ...)
{
	char message[1024];
	va_list list;
	va_start(list, format);
	vsnprintf(message, sizeof(message), format, list);
	va_end(list);
	/* A message may quote what the client sent, which need not be UTF-8; jansson then refuses to make a string. */
	json_t *text = json_string(message);
	if (!text)
		text = json_string("the request holds text that is not UTF-8");
	return sw_exchange_json(
	    x, status, json_pack("{s:{s:s, s:o, s:s?}}", "error", "code", code, "message", text, "hint", hint));
}

bool sw_host_is_loopback(const char *host)
{
	char name[SW_ADDRESS_TEXT_BYTES + 2];
	size_t n = 0;
	const char *rest = host;
	if (*host == '[') {
		for (rest++; *rest && *rest != ']' && n < sizeof(name) - 1; rest++)
			name[n++] = *rest;
		if (*rest++ != ']')
			return false;
	} else {
		for (; *rest && *rest != ':' && n < sizeof(name) - 1; rest++)
			name[n++] = *rest;
	}
	name[n] = 0;
	if (*rest == ':' && rest[1])
		for (rest++; isdigit((unsigned char)*rest);)
			rest++;
	if (*rest)
		return false;
	struct sw_address a;
	if (!strcasecmp(name, "localhost"))
		return *host != '[';
	if (sw_address_parse(name, &a))
		return false;
	static const struct sw_address one = {{[15] = 1}};
	return sw_address_is_ipv4(&a) ? a.bytes[12] == 127 && *host != '[' : sw_address_equal(&a, &one) && *host == '[';
}

/* Does `url` fit the route's path? What stands for a word in capitals goes to `argument`. */
static bool path_fits(const char *path, const char *url, char argument[SW_ARGUMENT_BYTES])
{
	const size_t length = strlen(path);
	size_t fixed = 0;
	while (fixed < length && !isupper((unsigned char)path[fixed]))
		fixed++;
	argument[0] = 0;
	if (fixed == length)
		return !strcmp(path, url);
	const size_t rest = strlen(url) >= fixed ? strlen(url) - fixed : 0;
	if (strncmp(path, url, fixed) || !rest || rest >= SW_ARGUMENT_BYTES)
		return false;
	memcpy(argument, url + fixed, rest + 1);
	return true;
}

/* Sets x->route, or an answer and x->refused. */
static void find_route(struct sw_exchange *x, const char *method, const char *url)
{
	const bool head = !strcmp(method, "HEAD");
	size_t n = 0;
	for (unsigned int i = 0; i < sw_route_count; i++) {
		if (!path_fits(sw_routes[i].path, url, x->argument))
			continue;
		if (!strcmp(sw_routes[i].method, head ? "GET" : method)) {
			x->route = &sw_routes[i];
			return;
		}
		n += (size_t)snprintf(x->allow + n, sizeof(x->allow) - n, "%s%s", n ? ", " : "", sw_routes[i].method);
	}
	if (n)
		x->refused = sw_exchange_error(x, 405, "method_not_allowed", NULL, "this path takes %s", x->allow);
	else
		x->refused = sw_exchange_error(x, 404, "not_found", "GET / lists every path", "there is nothing at this path");
}

static enum MHD_Result check_query(void *context, enum MHD_ValueKind kind, const char *key, const char *value)
{
	struct sw_exchange *x = context;
	(void)kind;
	(void)value;
	for (int i = 0; i < SW_ROUTE_QUERIES && x->route->queries[i].name; i++)
		if (!strcmp(key, x->route->queries[i].name))
			return MHD_YES;
	x->refused = sw_exchange_error(
	    x, 400, "bad_query", "GET / lists the parameters of every path", "unknown parameter \"%.64s\"", key);
	return MHD_NO;
}

/* Everything that can be said before the body has come: cheapest first. Sets x->refused and an answer, or x->route. */
static void open_request(struct sw_exchange *x, const char *method, const char *url)
{
	const char *host = MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, "Host");
	if (!x->unix_socket && (!host || !sw_host_is_loopback(host))) {
		x->refused = sw_exchange_error(x, 403, "bad_host", "ask for http://localhost:PORT/ or a loopback address",
		    "the Host header does not name this machine's loopback");
		return;
	}
	find_route(x, method, url);
	if (!x->route)
		return;
	if (x->route->needs_unix_socket && !x->unix_socket) {
		x->refused = sw_exchange_error(x, 403, "unix_socket_needed",
		    "use seawallctl, or curl --unix-socket <runtime directory>/seawalld.sock",
		    "this may change what the box does, so it is taken on the Unix socket only");
		return;
	}
	const char *length = MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, "Content-Length");
	if (length && strtoull(length, NULL, 10) > x->route->body_max)
		x->refused = sw_exchange_error(x, 413, "body_too_large", NULL,
		    x->route->body_max ? "the body is larger than %zu bytes" : "this path takes no body (limit %zu)",
		    x->route->body_max);
	else
		MHD_get_connection_values(x->connection, MHD_GET_ARGUMENT_KIND, check_query, x);
}

static void take_body(struct sw_exchange *x, const char *data, size_t bytes)
{
	if (x->refused)
		return;
	if (bytes > x->route->body_max - x->body_bytes) {
		x->refused =
		    sw_exchange_error(x, 413, "body_too_large", NULL, "the body is larger than %zu bytes", x->route->body_max);
		return;
	}
	if (x->body_bytes + bytes + 1 > x->body_room) {
		const size_t room = (x->body_bytes + bytes + 1) * 2;
		char *larger = realloc(x->body, room);
		if (!larger) {
			x->refused = sw_exchange_error(x, 500, "no_memory", NULL, "out of memory");
			return;
		}
		x->body = larger;
		x->body_room = room;
	}
	memcpy(x->body + x->body_bytes, data, bytes);
	x->body_bytes += bytes;
	x->body[x->body_bytes] = 0;
}

static struct MHD_Response *make_response(struct sw_exchange *x)
{
	const char *type = x->content_type ? x->content_type : "application/json";
	struct MHD_Response *response = x->response;
	x->response = NULL;
	if (!response) {
		char *text = x->text;
		size_t bytes = x->text_bytes;
		x->text = NULL;
		if (!text) {
			text = x->json ? json_dumps(x->json, JSON_INDENT(2)) : NULL;
			bytes = text ? strlen(text) : 0;
			if (text)
				text[bytes++] = '\n'; /* in place of the NUL: the length is given */
		}
		response = text ? MHD_create_response_from_buffer(bytes, text, MHD_RESPMEM_MUST_FREE)
		                : MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
		if (!response) {
			free(text);
			return NULL;
		}
	}
	MHD_add_response_header(response, "Content-Type", type);
	MHD_add_response_header(response, "Cache-Control", "no-store");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	if (x->refused == 405)
		MHD_add_response_header(response, "Allow", x->allow);
	return response;
}

static enum MHD_Result answer(struct sw_exchange *x, unsigned int status)
{
	struct MHD_Response *response = make_response(x);
	if (!response)
		return MHD_NO;
	const enum MHD_Result result = MHD_queue_response(x->connection, status, response);
	MHD_destroy_response(response);
	return result;
}

enum MHD_Result sw_exchange_handle(void *context, struct MHD_Connection *connection, const char *url,
    const char *method, const char *version, const char *upload_data, size_t *upload_data_size, void **slot)
{
	const struct sw_listener *listener = context;
	struct sw_exchange *x = *slot;
	(void)version;
	if (!x) { /* headers are here, the body is not */
		x = calloc(1, sizeof(*x));
		if (!x)
			return MHD_NO;
		*slot = x;
		x->server = listener->server;
		x->connection = connection;
		x->unix_socket = listener->unix_socket;
		open_request(x, method, url);
		/* Refused at once: the library closes such a connection rather than read its body. */
		return x->refused ? answer(x, x->refused) : MHD_YES;
	}
	if (*upload_data_size) {
		take_body(x, upload_data, *upload_data_size);
		*upload_data_size = 0;
		return MHD_YES;
	}
	return answer(x, x->refused ? x->refused : x->route->handler(x));
}

void sw_exchange_completed(
    void *listener, struct MHD_Connection *connection, void **slot, enum MHD_RequestTerminationCode code)
{
	struct sw_exchange *x = *slot;
	(void)listener;
	(void)connection;
	(void)code;
	if (!x)
		return;
	json_decref(x->json);
	free(x->text);
	free(x->body);
	if (x->response)
		MHD_destroy_response(x->response);
	free(x);
	*slot = NULL;
}
