/* SPDX-License-Identifier: BSD-3-Clause */
/* Handlers that read: what the NOC asks. */
#include "handlers.h"
#include "views.h"

unsigned int sw_handle_index(struct sw_exchange *x)
{
	json_t *routes = json_array();
	for (unsigned int i = 0; i < sw_route_count; i++) {
		const struct sw_route *r = &sw_routes[i];
		json_t *one = json_pack("{s:s, s:s, s:b, s:s}", "method", r->method, "path", r->path, "needs_unix_socket",
		    (int)r->needs_unix_socket, "help", r->help);
		json_t *queries = json_object();
		for (int k = 0; k < SW_ROUTE_QUERIES && r->queries[k].name; k++)
			sw_put_text(queries, r->queries[k].name, r->queries[k].help);
		if (json_object_size(queries))
			json_object_set(one, "parameters", queries);
		json_decref(queries);
		if (r->body_help)
			sw_put_text(one, "body", r->body_help);
		json_array_append_new(routes, one);
	}
	return sw_exchange_json(
	    x, 200, json_pack("{s:s, s:s, s:o}", "name", "seawalld", "version", SW_VERSION, "routes", routes));
}

unsigned int sw_handle_status(struct sw_exchange *x)
{
	return sw_exchange_json(x, 200, sw_view_status(x->server));
}

unsigned int sw_handle_stats(struct sw_exchange *x)
{
	return sw_exchange_json(x, 200, sw_view_stats(x->server));
}

unsigned int sw_handle_services(struct sw_exchange *x)
{
	return sw_exchange_json(x, 200, sw_view_services(x->server));
}

unsigned int sw_handle_service(struct sw_exchange *x)
{
	bool missing;
	json_t *json = sw_view_service(x->server, x->argument, &missing);
	if (missing)
		return sw_exchange_error(
		    x, 404, "no_such_service", "GET /services lists them", "there is no service \"%s\"", x->argument);
	return sw_exchange_json(x, 200, json);
}

unsigned int sw_handle_history(struct sw_exchange *x)
{
	return sw_exchange_json(x, 200, sw_view_history(x->server));
}

unsigned int sw_handle_health(struct sw_exchange *x)
{
	enum sw_health_status status;
	json_t *json = sw_view_health(x->server, &status);
	return sw_exchange_json(x, status == SW_HEALTH_CRITICAL ? 503 : 200, json);
}
