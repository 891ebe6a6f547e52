/* SPDX-License-Identifier: BSD-3-Clause */
/* The commands of seawallctl that read; those that change something are in change.c. */
#include "commands.h"

#include <stdlib.h>
#include <string.h>

#define TAKES(option) (1u << SW_OPTION_##option)

const struct sw_command sw_commands[] = {
	{"status", "", 0, 0, 0, sw_command_status, "Is all well? What runs, under which policy, and what it does now.",
		"\nEnds with 1 when the box is not healthy.\n"},
	{"stats", "", 0, 0, TAKES(ALL), sw_command_stats, "Where every packet went, and how many a second.",
		"\nTotals are since the dataplane's start. received = forwarded + answered + absorbed + held + dropped;\n"
		"what is missing stands under `unaccounted`, which is 0 in a healthy box.\n"},
	{"services", "[NAME]", 0, 1, 0, sw_command_services, "Protected services: mode, armed or not, rates; one in detail.",
		"\nExamples:\n  seawallctl services\n  seawallctl services tracker\n"},
};
const unsigned int sw_command_count = sizeof(sw_commands) / sizeof(sw_commands[0]);

int sw_command_status(struct sw_invocation *in)
{
	struct sw_reply reply;
	int end;
	if (!sw_call(in, "GET", "/status", NULL, 0, &reply, &end))
		return end;
	sw_show_status(in->out, reply.json);
	if (!strcmp(sw_text_at(reply.json, "health.status"), "critical"))
		end = SW_EXIT_REFUSED;
	sw_reply_free(&reply);
	return end;
}

int sw_command_stats(struct sw_invocation *in)
{
	struct sw_reply reply;
	int end;
	if (!sw_call(in, "GET", "/stats", NULL, 0, &reply, &end))
		return end;
	sw_show_stats(in->out, reply.json, in->given[SW_OPTION_ALL] != NULL);
	sw_reply_free(&reply);
	return end;
}

int sw_command_services(struct sw_invocation *in)
{
	struct sw_reply reply;
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
	sw_reply_free(&reply);
	return end;
}
