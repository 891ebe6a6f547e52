/* SPDX-License-Identifier: BSD-3-Clause */
#include "manual.h"

#include "views.h"

static const char opening[] =
    "# The API of seawalld\n"
    "\n"
    "<!-- Made from the table of routes (control/server/routes.c) and the lists in dataplane/api/verdicts.h.\n"
    "     To renew it: build/tests/unit/control/server/test_server_manual --print > docs/api.md -->\n"
    "\n"
    "JSON over HTTP, on two kinds of socket:\n"
    "\n"
    "- the Unix socket `<runtime directory>/seawalld.sock` (default `/run/seawall/<instance>/seawalld.sock`): "
    "everything.\n"
    "  Its mode and group (`control.socket_mode`, `control.socket_group`) say who may.\n"
    "- loopback TCP (`control.listen`, default `127.0.0.1:8470` and `[::1]:8470`): reading alone. The `Host` header "
    "must name\n"
    "  the loopback, so that no web page elsewhere can be made to read the box.\n"
    "\n"
    "```\n"
    "curl -s http://127.0.0.1:8470/stats | jq .accounting\n"
    "curl -s --unix-socket /run/seawall/seawall/seawalld.sock -X POST http://localhost/blocks \\\n"
    "     -d '{\"prefix\": \"192.0.2.0/24\", \"seconds\": 3600, \"reason\": \"ticket 4711\"}'\n"
    "```\n"
    "\n"
    "Times are RFC 3339 text in UTC, `null` for never. Rates are per second. Counters are whole numbers since\n"
    "`dataplane.started`: they go on over a restart of the daemon, and begin at 0 with a new dataplane.\n"
    "\n"
    "An error has a status of 400 or more and this shape; `code` is stable, `hint` may be `null`:\n"
    "\n"
    "```\n"
    "{\"error\": {\"code\": \"bad_prefix\", \"message\": \"\\\"192.0.2.1/24\\\": has host bits set\", \"hint\": "
    "null}}\n"
    "```\n"
    "\n"
    "Limits: 128 connections on the Unix socket and 64 on each TCP address, 10 s without a byte ends a connection, "
    "headers of\n"
    "16 KiB in all, bodies as below. Unknown paths, parameters and keys are refused, not ignored.\n"
    "\n"
    "## Paths\n";

static const char shapes[] =
    "\n"
    "## Shapes\n"
    "\n"
    "`accounting` (in `/stats`, `/status` and each event of `/stream`) is the box: what the dataplane received, and "
    "what the XDP\n"
    "program decided alone.\n"
    "\n"
    "```\n"
    "{\"rx\": N, \"forwarded\": N, \"answered\": N, \"absorbed\": N, \"held\": N, \"dropped\": {REASON: N, ...}, "
    "\"dropped_total\": N,\n"
    " \"refused\": {REASON: N, ...}, \"refused_total\": N, \"unaccounted\": N}\n"
    "```\n"
    "\n"
    "rx = forwarded + answered + absorbed + held + dropped + unaccounted. In a healthy box at rest `unaccounted` is 0; "
    "while packets\n"
    "flow between workers a few may be under way when the counters are read, so the daemon reads again and reports the "
    "reading\n"
    "that is off by least. `losses` stands beside it: packets that never reached the dataplane (`missed`: rings were "
    "full, `no_mbuf`,\n"
    "`errors`); `in_flight` are frames that XDP redirected and the dataplane has not counted yet.\n"
    "\n"
    "Where a service has `refuse` `rst`, who is over a limit may be answered with a RST. Such a packet is `answered`; "
    "beside the sum,\n"
    "`refused` says which limit it was, under the name that it would have in `dropped`.\n"
    "\n"
    "`rates` has the windows `1s`, `10s` and `60s`; in `dropped`, `refused` and `events` what is at rest is left out.\n"
    "\n"
    "A source has a `proof`: `claimed` (the address was only ever written in a source field, and may be forged), "
    "`echoed` (it echoed\n"
    "a cookie or a server's own sequence number, so it owns the address) or `sent_data`. `offenders` are sources of "
    "the latter two\n"
    "kinds that were refused or blocked; a forged packet makes its victim one only by guessing a cookie. `syn_per_s` of a source is its "
    "mean between\n"
    "`first_seen` and `last_seen`. A source's SYNs, drops and `last_seen` may be a second old, or 8 where a worker has more than\n"
    "a quarter of a million records; `GET /why` and the box's own counters are not.\n"
    "\n"
    "An event of `/stream` is `event: sample`, `data: {...}` on one line: `time`, `dataplane`, `health`, `worst`, "
    "`accounting`, `rates`\n"
    "(over the last second), `flows`, `sources`, `sources_proven`, `services` (at most 64, armed and busy ones first) "
    "and\n"
    "`services_left_out`. A client that reads slowly misses samples; one that takes nothing for 10 s is cut off.\n"
    "\n"
    "Incidents are kept in `<state directory>/incidents.jsonl`, one line when a service arms and one when it disarms; "
    "at 1 MiB the\n"
    "file becomes `incidents.1.jsonl`, so that both never take more than 2 MiB.\n";

static void print_route(FILE *to, const struct sw_route *r)
{
	fprintf(to, "\n### %s %s\n\n%s", r->method, r->path, r->help);
	if (r->needs_unix_socket)
		fprintf(to, " Unix socket only.");
	fputc('\n', to);
	if (r->queries[0].name)
		fprintf(to, "\n| parameter | |\n| --- | --- |\n");
	for (int i = 0; i < SW_ROUTE_QUERIES && r->queries[i].name; i++)
		fprintf(to, "| `%s` | %s |\n", r->queries[i].name, r->queries[i].help);
	if (r->body_help)
		fprintf(to, "\nBody (at most %zu KiB): %s.\n", r->body_max / 1024, r->body_help);
}

static void print_list(
    FILE *to, const char *title, const char *const *names, const char *const *help, int from, int count)
{
	fprintf(to, "\n### %s\n\n| name | |\n| --- | --- |\n", title);
	for (int i = from; i < count; i++)
		fprintf(to, "| `%s` | %s |\n", names[i], help[i]);
}

void sw_api_manual(FILE *to)
{
	fputs(opening, to);
	for (unsigned int i = 0; i < sw_route_count; i++)
		print_route(to, &sw_routes[i]);
	fputs(shapes, to);
	fprintf(to, "\n## Counters\n");
	print_list(to, "How packets end", sw_count_names, sw_count_help, 0, SW_DISPOSITION_COUNT);
	print_list(to, "Reasons to drop", sw_drop_names, sw_drop_help, 0, SW_DROP_REASON_COUNT);
	for (int i = 0; i < SW_WIRE_COUNTER_COUNT; i++)
		if (sw_wire_drop_name((enum sw_wire_counter)i))
			fprintf(
			    to, "| `%s` | by the XDP program: %s |\n", sw_wire_drop_name((enum sw_wire_counter)i), sw_wire_help[i]);
	print_list(to, "Events", sw_count_names, sw_count_help, SW_DISPOSITION_COUNT, SW_COUNT_COUNT);
	print_list(to, "What the XDP program decides", sw_wire_names, sw_wire_help, 0, SW_WIRE_COUNTER_COUNT);
}
