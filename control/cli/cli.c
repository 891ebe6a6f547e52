/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line: options, help, and what every command does alike. */
#include "commands.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

const struct sw_option_line sw_options[SW_OPTION_COUNT] = {
    [SW_OPTION_SOCKET] = {'s', "socket", "PATH", "the daemon's Unix socket"},
    [SW_OPTION_RUNTIME_DIR] = {'r', "runtime-dir", "DIR",
        "the directory that holds it (else $SEAWALL_RUNTIME_DIR, else the one\n"
        "box that runs below /run/seawall)"},
    [SW_OPTION_URL] = {'u', "url", "URL", "read over loopback TCP, e.g. http://127.0.0.1:8470; cannot change anything"},
    [SW_OPTION_JSON] = {'j', "json", NULL, "print the daemon's JSON as it is, for scripts"},
    [SW_OPTION_HELP] = {'h', "help", NULL, "this help; `seawallctl COMMAND --help` explains a command"},
    [SW_OPTION_VERSION] = {'V', "version", NULL, "print the version"},
    [SW_OPTION_BY] = {'b', "by", "KEY", "sort by syns, conns, refused, dropped, bytes, concurrent or last_seen"},
    [SW_OPTION_LIMIT] = {'n', "limit", "N", "show at most N lines"},
    [SW_OPTION_SERVICE] = {'S', "service", "NAME", "only towards this service"},
    [SW_OPTION_PROOF] = {'p', "proof", "LEVEL", "only sources that proved at least claimed, echoed or sent_data"},
    [SW_OPTION_PREFIXES] = {'P', "prefixes", NULL, "sum up by prefix instead of by address"},
    [SW_OPTION_FOR] = {'f', "for", "TIME", "how long: 90s, 15m, 1h, 2d; without it until unblocked"},
    [SW_OPTION_REASON] = {'R', "reason", "TEXT", "why, for whoever reads the list later"},
    [SW_OPTION_ALL] = {'a', "all", NULL, "counters at 0 too"},
};

static const char top_help[] = "Usage: seawallctl [OPTIONS] COMMAND [ARGUMENTS]\n"
                               "\n"
                               "Asks the Seawall daemon what the box does, and tells it what to do.\n";

static const char top_more[] =
    "\n"
    "Examples:\n"
    "  seawallctl status                                  is all well?\n"
    "  seawallctl watch                                   live, until Ctrl-C\n"
    "  seawallctl top --proof echoed                      who, of those that own their address\n"
    "  seawallctl why 192.0.2.7                           what happens to this address, and why\n"
    "  seawallctl block 192.0.2.0/24 --for 1h --reason \"ticket 4711\"\n"
    "  seawallctl stats --json | jq .accounting.unaccounted\n"
    "\n"
    "Ends with 0: done; 1: the daemon refused, found nothing, or the box is not healthy;\n"
    "2: wrong usage; 3: no daemon answers.\n";

static void print_option(FILE *out, enum sw_option option)
{
	const struct sw_option_line *o = &sw_options[option];
	char left[40];
	snprintf(left, sizeof(left), "-%c, --%s%s%s", o->letter, o->name, o->argument ? " " : "",
	    o->argument ? o->argument : "");
	fprintf(out, "  %-24s ", left);
	for (const char *c = o->help; *c; c++) { /* continuation lines are aligned with the first */
		fputc(*c, out);
		if (*c == '\n')
			fprintf(out, "%27s", "");
	}
	fputc('\n', out);
}

static void print_help(FILE *out)
{
	fprintf(out, "%s\nCommands:\n", top_help);
	for (unsigned int i = 0; i < sw_command_count; i++) {
		char left[40];
		snprintf(left, sizeof(left), "%s %s", sw_commands[i].name, sw_commands[i].arguments);
		fprintf(out, "  %-24s %s\n", left, sw_commands[i].help);
	}
	fprintf(out, "\nOptions:\n");
	for (int i = 0; i < SW_OPTIONS_EVERYWHERE; i++)
		print_option(out, (enum sw_option)i);
	fputs(top_more, out);
}

static void print_command_help(FILE *out, const struct sw_command *c)
{
	fprintf(out, "Usage: seawallctl %s%s%s%s\n\n%s\n%s", c->name, c->arguments[0] ? " " : "", c->arguments,
	    c->options ? " [OPTIONS]" : "", c->help, c->more);
	if (c->options)
		fprintf(out, "\nOptions:\n");
	for (int i = SW_OPTIONS_EVERYWHERE; i < SW_OPTION_COUNT; i++)
		if (c->options & (1u << i))
			print_option(out, (enum sw_option)i);
	fprintf(out, "\nAlso --socket, --runtime-dir, --url and --json; see `seawallctl --help`.\n");
}

static int usage(const char *about, const char *what)
{
	fprintf(stderr, "seawallctl: %s%s\nTry `seawallctl --help`.\n", about, what);
	return SW_EXIT_USAGE;
}

/* getopt's tables, made from ours. */
static void make_options(struct option longs[SW_OPTION_COUNT + 1], char shorts[SW_OPTION_COUNT * 2 + 2])
{
	memset(longs, 0, (SW_OPTION_COUNT + 1) * sizeof(*longs));
	*shorts++ = ':'; /* tell a missing argument from an unknown option */
	for (int i = 0; i < SW_OPTION_COUNT; i++) {
		longs[i] = (struct option){.name = sw_options[i].name,
		    .val = sw_options[i].letter,
		    .has_arg = sw_options[i].argument ? required_argument : no_argument};
		*shorts++ = sw_options[i].letter;
		if (sw_options[i].argument)
			*shorts++ = ':';
	}
	*shorts = 0;
}

static int parse_options(int argc, char **argv, struct sw_invocation *in)
{
	struct option longs[SW_OPTION_COUNT + 1];
	char shorts[SW_OPTION_COUNT * 2 + 2];
	make_options(longs, shorts);
	optind = 0; /* GNU: begin anew, also when called a second time */
	opterr = 0;
	for (int c; (c = getopt_long(argc, argv, shorts, longs, NULL)) != -1;) {
		int i = 0;
		while (i < SW_OPTION_COUNT && sw_options[i].letter != c)
			i++;
		if (c == ':')
			return usage("a value is missing behind ", argv[optind - 1]);
		if (i == SW_OPTION_COUNT)
			return usage("unknown option ", argv[optind - 1]);
		in->given[i] = optarg ? optarg : "";
	}
	return SW_EXIT_OK;
}

static const struct sw_command *find_command(const char *name)
{
	for (unsigned int i = 0; i < sw_command_count; i++)
		if (!strcmp(sw_commands[i].name, name))
			return &sw_commands[i];
	return NULL;
}

/* Do options and arguments fit the command? */
static int check_usage(const struct sw_command *c, const struct sw_invocation *in)
{
	char text[128];
	for (int i = SW_OPTIONS_EVERYWHERE; i < SW_OPTION_COUNT; i++)
		if (in->given[i] && !(c->options & (1u << i))) {
			snprintf(text, sizeof(text), "%s does not take --%s", c->name, sw_options[i].name);
			return usage(text, "");
		}
	if (in->argument_count < c->arguments_min) {
		snprintf(text, sizeof(text), "%s needs %s", c->name, c->arguments);
		return usage(text, "");
	}
	return SW_EXIT_OK;
}

static int run_command(const struct sw_command *c, struct sw_invocation *in)
{
	char *socket = NULL;
	in->client.url = in->given[SW_OPTION_URL];
	in->client.socket_path = in->given[SW_OPTION_SOCKET];
	if (in->client.url && (in->client.socket_path || in->given[SW_OPTION_RUNTIME_DIR]))
		return usage("--url and a Unix socket exclude each other", "");
	if (!in->client.url && !in->client.socket_path) {
		socket = sw_find_socket(in->given[SW_OPTION_RUNTIME_DIR]);
		if (!socket)
			return SW_EXIT_UNREACHABLE;
		in->client.socket_path = socket;
	}
	const int end = c->run(in);
	free(socket);
	return end;
}

int sw_cli_run(int argc, char **argv, FILE *out)
{
	struct sw_invocation in = {.out = out};
	int end = parse_options(argc, argv, &in);
	if (end)
		return end;
	if (in.given[SW_OPTION_VERSION])
		return fprintf(out, "seawallctl %s\n", SW_VERSION), SW_EXIT_OK;
	const char *name = optind < argc ? argv[optind++] : NULL;
	if (!name) {
		print_help(in.given[SW_OPTION_HELP] ? out : stderr);
		return in.given[SW_OPTION_HELP] ? SW_EXIT_OK : SW_EXIT_USAGE;
	}
	const struct sw_command *c = find_command(name);
	if (!c)
		return usage("unknown command ", name);
	if (in.given[SW_OPTION_HELP])
		return print_command_help(out, c), SW_EXIT_OK;
	while (optind < argc && in.argument_count < c->arguments_max)
		in.arguments[in.argument_count++] = argv[optind++];
	if (optind < argc)
		return usage("too many arguments: ", argv[optind]);
	end = check_usage(c, &in);
	return end ? end : run_command(c, &in);
}

json_t *sw_at(const json_t *json, const char *path)
{
	char key[64];
	while (json) {
		const size_t n = strcspn(path, ".");
		if (n >= sizeof(key))
			return NULL;
		memcpy(key, path, n);
		key[n] = 0;
		json_t *member = json_object_get(json, key);
		if (!path[n])
			return member;
		json = member;
		path += n + 1;
	}
	return NULL;
}

int64_t sw_int_at(const json_t *json, const char *path)
{
	return json_integer_value(sw_at(json, path));
}

double sw_number_at(const json_t *json, const char *path)
{
	return json_number_value(sw_at(json, path));
}

const char *sw_text_at(const json_t *json, const char *path)
{
	const char *text = json_string_value(sw_at(json, path));
	return text ? text : "";
}

bool sw_true_at(const json_t *json, const char *path)
{
	return json_is_true(sw_at(json, path));
}

bool sw_call(struct sw_invocation *in, const char *method, const char *path, const char *body, long accept,
    struct sw_answer *reply, int *end)
{
	*end = (int)sw_client_call(&in->client, method, path, body, reply);
	if (*end)
		return false;
	const bool good = (reply->status >= 200 && reply->status < 300) || (accept && reply->status == accept);
	*end = good && reply->status < 300 ? SW_EXIT_OK : SW_EXIT_REFUSED;
	if (in->given[SW_OPTION_JSON]) {
		fputs(reply->text ? reply->text : "", in->out);
		sw_answer_free(reply);
		return false;
	}
	if (good && reply->json)
		return true;
	const char *message = sw_text_at(reply->json, "error.message"), *hint = sw_text_at(reply->json, "error.hint");
	if (message[0])
		fprintf(stderr, "seawallctl: %s%s%s\n", message, hint[0] ? "\n  " : "", hint);
	else
		fprintf(stderr, "seawallctl: the daemon answered with HTTP status %ld and no JSON\n", reply->status);
	*end = SW_EXIT_REFUSED;
	sw_answer_free(reply);
	return false;
}
