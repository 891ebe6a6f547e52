/* SPDX-License-Identifier: BSD-3-Clause */
/* The tables that seawallctl is made of: its options and its commands. Parsing and --help come from them. */
#ifndef SW_CLI_COMMANDS_H
#define SW_CLI_COMMANDS_H

#include <stdint.h>
#include <stdio.h>

#include "client.h"

enum sw_option {
	SW_OPTION_SOCKET,
	SW_OPTION_RUNTIME_DIR,
	SW_OPTION_URL,
	SW_OPTION_JSON,
	SW_OPTION_HELP,
	SW_OPTION_VERSION,
	SW_OPTIONS_EVERYWHERE, /* the above */
	SW_OPTION_BY = SW_OPTIONS_EVERYWHERE,
	SW_OPTION_LIMIT,
	SW_OPTION_SERVICE,
	SW_OPTION_PROOF,
	SW_OPTION_PREFIXES,
	SW_OPTION_FOR,
	SW_OPTION_REASON,
	SW_OPTION_ALL,
	SW_OPTION_COUNT
};

struct sw_option_line {
	char letter; /* 0: none */
	const char *name;
	const char *argument; /* NULL: takes none */
	const char *help;
};
extern const struct sw_option_line sw_options[SW_OPTION_COUNT];

/* What was said on the command line. */
struct sw_invocation {
	struct sw_client client;
	const char *given[SW_OPTION_COUNT]; /* the option's argument, "" when it takes none; NULL: not given */
	const char *arguments[2];
	int argument_count;
	FILE *out;
};

struct sw_command {
	const char *name;
	const char *arguments; /* "ADDRESS"; "" : none */
	int arguments_min, arguments_max;
	uint32_t options; /* bit i: takes sw_options[i], beside those taken everywhere */
	int (*run)(struct sw_invocation *in);
	const char *help; /* one line */
	const char *more; /* what else --help says, with examples */
};
extern const struct sw_command sw_commands[];
extern const unsigned int sw_command_count;

/* The whole program behind main(). Returns an enum sw_exit. */
int sw_cli_run(int argc, char **argv, FILE *out);

int sw_command_status(struct sw_invocation *in);
int sw_command_stats(struct sw_invocation *in);
int sw_command_services(struct sw_invocation *in);
int sw_command_metrics(struct sw_invocation *in);
int sw_command_watch(struct sw_invocation *in);
int sw_command_top(struct sw_invocation *in);
int sw_command_why(struct sw_invocation *in);
int sw_command_incidents(struct sw_invocation *in);
int sw_command_block(struct sw_invocation *in);
int sw_command_unblock(struct sw_invocation *in);
int sw_command_blocks(struct sw_invocation *in);
int sw_command_reload(struct sw_invocation *in);
int sw_command_check(struct sw_invocation *in);

/*
 * Calls the daemon and takes care of what is the same for every command: errors of the daemon on stderr, --json on
 * `out`. True: go on and show reply->json, then sw_answer_free() it. False: done, *end holds what to end with.
 * `accept`: an HTTP status beside 200 to 299 whose body is an answer all the same (503 of /health); 0: none.
 */
bool sw_call(struct sw_invocation *in, const char *method, const char *path, const char *body, long accept,
    struct sw_answer *reply, int *end);

/* Members of JSON that may be missing: 0, 0.0, "", false. `path`: keys with dots between. */
json_t *sw_at(const json_t *json, const char *path);
int64_t sw_int_at(const json_t *json, const char *path);
double sw_number_at(const json_t *json, const char *path);
const char *sw_text_at(const json_t *json, const char *path);
bool sw_true_at(const json_t *json, const char *path);

/* show.c and show_stats.c: JSON of the daemon as text for a person. */
void sw_show_status(FILE *out, const json_t *json);
void sw_show_stats(FILE *out, const json_t *json, bool all);
void sw_show_services(FILE *out, const json_t *json);
void sw_show_service(FILE *out, const json_t *json);
void sw_show_service_table(FILE *out, const json_t *services);
void sw_show_findings(FILE *out, const json_t *findings, const char *indent);

#endif
