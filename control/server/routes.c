/* SPDX-License-Identifier: BSD-3-Clause */
/* The one table of what can be asked. GET / and docs/api.md are made from it. */
#include "handlers.h"

const struct sw_route sw_routes[] = {
    {"GET", "/", .handler = sw_handle_index, .help = "This table."},
    {"GET", "/status", .handler = sw_handle_status,
        .help = "What runs, since when, under which policy, how healthy; rates and services in short."},
    {"GET", "/stats", .handler = sw_handle_stats,
        .help = "Every counter of the box since the dataplane's start, its accounting, and rates over 1, 10 and 60 "
                "seconds."},
    {"GET", "/services", .handler = sw_handle_services, .help = "All services and groups: mode, armed or not, rates."},
    {"GET", "/services/NAME", .handler = sw_handle_service,
        .help = "One service: targets, rates, every counter, and what the box promises in its server's name."},
    {"GET", "/sources", .handler = sw_handle_sources,
        .help = "Sources with what they sent and how well they proved their address; apart from these the offenders: "
                "proven "
                "sources that were refused or blocked.",
        .queries = {{"by", "sort by syns (default), conns, refused, dropped, bytes, concurrent or last_seen"},
            {"limit", "how many, 0 to 10000; default 20"}, {"service", "only towards the service of this name"},
            {"proof", "at least claimed (default), echoed or sent_data"}}},
    {"GET", "/prefixes", .handler = sw_handle_prefixes,
        .help = "The same summed up by the policy's prefix levels, with how many sources within each are proven.",
        .queries = {{"by", "as above"}, {"limit", "how many of each level, 0 to 10000; default 20"},
            {"service", "as above"}, {"proof", "as above"}}},
    {"GET", "/why/ADDRESS", .handler = sw_handle_why,
        .help = "What happens to one address and why: rule, budgets and what is left of them, blocks, evidence.",
        .queries = {{"service", "only towards the service of this name; else the first 16"}}},
    {"GET", "/blocks", .handler = sw_handle_blocks,
        .help = "The operator's blocks, oldest first, with the packets that each caught."},
    {"GET", "/incidents", .handler = sw_handle_incidents,
        .help = "When services armed and disarmed, with peak, sums and the worst offenders; newest first.",
        .queries = {{"limit", "how many, 0 to 256; default all that are kept"}}},
    {"GET", "/history", .handler = sw_handle_history, .help = "Rates of the box, a point a second, oldest first."},
    {"GET", "/health", .handler = sw_handle_health,
        .help = "Status 200 when the box does its work, 503 when it does not; what is wrong, and what to do."},
    {"GET", "/config", .handler = sw_handle_config, .help = "The configuration in force, defaults filled in."},
    {"GET", "/metrics", .handler = sw_handle_metrics, .help = "Counters and gauges as Prometheus text."},
    {"GET", "/stream", .handler = sw_handle_stream,
        .help = "Server-sent events: a sample each second, until the client goes. At most 32 clients, 16 of them over "
                "TCP."},
    {"POST", "/reload", .needs_unix_socket = true, .handler = sw_handle_reload,
        .help = "Reads the configuration file again and puts it in force. 200 done; 202 stored, and the dataplane gets "
                "it when it "
                "is back; 422 refused, and the earlier policy stays."},
    {"POST", "/blocks", .needs_unix_socket = true, .handler = sw_handle_block_add, .body_max = SW_BODY_SMALL,
        .help = "Blocks an address or a prefix.",
        .body_help =
            "{\"address\": TEXT or \"prefix\": TEXT, \"seconds\": N (0 or none: until removed), \"reason\": TEXT}"},
    {"DELETE", "/blocks/PREFIX", .needs_unix_socket = true, .handler = sw_handle_block_remove,
        .help = "Lifts an operator's block, and what the box itself set on an address."},
    {"POST", "/check", .needs_unix_socket = true, .handler = sw_handle_check, .body_max = SW_BODY_LARGE,
        .help = "Checks a configuration without using it. 200 good, 422 with every mistake found.",
        .body_help = "the text of a seawall.json"},
};

const unsigned int sw_route_count = sizeof(sw_routes) / sizeof(sw_routes[0]);
