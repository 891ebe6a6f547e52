/* SPDX-License-Identifier: BSD-3-Clause */
/* The one table of what can be asked. GET / and docs/api.md are made from it. */
#include "handlers.h"

const struct sw_route sw_routes[] = {
	{"GET", "/", .handler = sw_handle_index, .help = "This table."},
	{"GET", "/status", .handler = sw_handle_status,
		.help = "What runs, since when, under which policy, how healthy; rates and services in short."},
	{"GET", "/stats", .handler = sw_handle_stats,
		.help = "Every counter of the box since the dataplane's start, its accounting, and rates over 1, 10 and 60 seconds."},
	{"GET", "/services", .handler = sw_handle_services, .help = "All services and groups: mode, armed or not, rates."},
	{"GET", "/services/NAME", .handler = sw_handle_service,
		.help = "One service: targets, rates, every counter, and what the box promises in its server's name."},
	{"GET", "/history", .handler = sw_handle_history, .help = "Rates of the box, a point a second, oldest first."},
	{"GET", "/health", .handler = sw_handle_health,
		.help = "Status 200 when the box does its work, 503 when it does not; what is wrong, and what to do."},
};

const unsigned int sw_route_count = sizeof(sw_routes) / sizeof(sw_routes[0]);
