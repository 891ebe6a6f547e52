/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of commands, and the simplest of them. */
#include "commands.h"

#include <stdlib.h>
#include <string.h>

#define TAKES(option) (1u << SW_OPTION_##option)

const struct sw_command sw_commands[] = {
    {"status", "", 0, 0, 0, sw_command_status, "Is all well? What runs, under which policy, and what it does now.",
        "\nEnds with 1 when the box is not healthy.\n"},
    {"watch", "", 0, 0, TAKES(LIMIT), sw_command_watch,
        "Live: services, packets and drops, redrawn each second until Ctrl-C.",
        "\nWith --json each sample is one line of JSON.\n"
        "\nExample:\n  seawallctl watch --json --limit 10 | jq .rates.rx\n"},
    {"stats", "", 0, 0, TAKES(ALL), sw_command_stats, "Where every packet went, and how many a second.",
        "\nTotals are since the dataplane's start. received = forwarded + answered + absorbed + held + dropped;\n"
        "what is missing stands under `unaccounted`, which is 0 in a healthy box. `refused with a RST` is a part of\n"
        "answered, by the limit that refused it.\n"
        "What each counter means stands in docs/api.md.\n"},
    {"services", "[NAME]", 0, 1, 0, sw_command_services,
        "Protected services: mode, armed or not, rates; one in detail.",
        "\nExamples:\n  seawallctl services\n  seawallctl services tracker\n"},
    {"top", "", 0, 0, TAKES(BY) | TAKES(LIMIT) | TAKES(SERVICE) | TAKES(PROOF) | TAKES(PREFIXES), sw_command_top,
        "Who sends most: sources or prefixes, and how well they proved their address.",
        "\n`claimed only`: the address stood in a source field, and may be forged; whoever owns it may know of "
        "nothing.\n"
        "`owns it`: it echoed a cookie, or a server's own sequence number. Offenders are taken from these alone.\n"
        "\nExamples:\n"
        "  seawallctl top --by refused --limit 50\n"
        "  seawallctl top --proof echoed --service tracker\n"
        "  seawallctl top --prefixes\n"},
    {"why", "ADDRESS", 1, 1, TAKES(SERVICE), sw_command_why, "What happens to one address, and why.",
        "\nShows the rule that decides, blocks, what is left of each budget, and the evidence.\n"
        "\nExamples:\n  seawallctl why 192.0.2.7\n  seawallctl why 2001:db8::7 --service web\n"},
    {"block", "ADDRESS", 1, 1, TAKES(FOR) | TAKES(REASON), sw_command_block,
        "Drop everything from an address or prefix towards services.",
        "\nThe same again replaces lifetime and reason. Blocks outlive restarts.\n"
        "\nExamples:\n"
        "  seawallctl block 192.0.2.7 --for 15m\n"
        "  seawallctl block 2001:db8:7::/48 --for 1d --reason \"ticket 4711\"\n"},
    {"unblock", "ADDRESS", 1, 1, 0, sw_command_unblock,
        "Lift a block: the operator's, and on an address also the box's own.",
        "\nEnds with 1 when there was none.\n\nExample:\n  seawallctl unblock 192.0.2.7\n"},
    {"blocks", "", 0, 0, 0, sw_command_blocks, "The operator's blocks, and how many packets each caught.", ""},
    {"incidents", "", 0, 0, TAKES(LIMIT), sw_command_incidents,
        "When services armed by themselves, how hard it was, and who was behind it.",
        "\nOffenders own their address and were refused or blocked. More of them: seawallctl incidents --json.\n"},
    {"reload", "", 0, 0, 0, sw_command_reload, "Read the policy file again and put it in force.",
        "\nA broken file is refused whole, with every mistake found; the earlier policy stays. Ends with 1 then.\n"},
    {"check", "FILE", 1, 1, 0, sw_command_check, "Check a policy file without using it (- for standard input).",
        "\nIt must be good for the daemon that runs here. Without a daemon: seawalld --check --config FILE.\n"},
    {"metrics", "", 0, 0, 0, sw_command_metrics, "Counters as Prometheus text.", ""},
};
const unsigned int sw_command_count = sizeof(sw_commands) / sizeof(sw_commands[0]);

int sw_command_status(struct sw_invocation *in)
{
	struct sw_answer reply;
	int end;
	if (!sw_call(in, "GET", "/status", NULL, 0, &reply, &end))
		return end;
	sw_show_status(in->out, reply.json);
	if (!strcmp(sw_text_at(reply.json, "health.status"), "critical"))
		end = SW_EXIT_REFUSED;
	sw_answer_free(&reply);
	return end;
}

int sw_command_stats(struct sw_invocation *in)
{
	struct sw_answer reply;
	int end;
	if (!sw_call(in, "GET", "/stats", NULL, 0, &reply, &end))
		return end;
	sw_show_stats(in->out, reply.json, in->given[SW_OPTION_ALL] != NULL);
	sw_answer_free(&reply);
	return end;
}

int sw_command_services(struct sw_invocation *in)
{
	struct sw_answer reply;
	int end;
	char *path = NULL;
	char *name = in->argument_count ? sw_url_escape(in->arguments[0]) : NULL;
	if (asprintf(&path, name ? "/services/%s" : "/services%s", name ? name : "") < 0)
		return SW_EXIT_USAGE;
	free(name);
	const bool go_on = sw_call(in, "GET", path, NULL, 0, &reply, &end);
	free(path);
	if (!go_on)
		return end;
	if (in->argument_count)
		sw_show_service(in->out, reply.json);
	else
		sw_show_services(in->out, reply.json);
	sw_answer_free(&reply);
	return end;
}

int sw_command_metrics(struct sw_invocation *in)
{
	struct sw_answer reply;
	int end = (int)sw_client_call(&in->client, "GET", "/metrics", NULL, &reply);
	if (end)
		return end;
	if (reply.status == 200)
		fputs(reply.text ? reply.text : "", in->out);
	else
		fprintf(stderr, "seawallctl: the daemon answered with HTTP status %ld\n", reply.status);
	end = reply.status == 200 ? SW_EXIT_OK : SW_EXIT_REFUSED;
	sw_answer_free(&reply);
	return end;
}
