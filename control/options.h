/* SPDX-License-Identifier: BSD-3-Clause */
/* Command line of seawalld, and what it does besides being a daemon: check, compile, print. */
#ifndef SW_OPTIONS_H
#define SW_OPTIONS_H

#include <stdbool.h>

#define SW_DEFAULT_CONFIG "/etc/seawall/seawall.json"

struct sw_options {
	const char *config;
	const char *runtime_dir, *state_dir; /* NULL: from the instance */
	const char *compile;                 /* file to write a snapshot to; NULL: not wanted */
	const char *print;                   /* "schema", "manual", "default"; NULL: nothing */
	bool check;
	bool quiet;
};

/* Exit codes. The man page and --help name them. */
enum { SW_EXIT_OK, SW_EXIT_REFUSED, SW_EXIT_USAGE, SW_EXIT_FAILED };

/* Returns -1 to go on, or the exit code when all is said. */
int sw_options_parse(int argc, char **argv, struct sw_options *out);

/* Whether the options ask for something else than the daemon; sw_options_run() does that and returns the exit code. */
bool sw_options_is_tool(const struct sw_options *options);
int sw_options_run(const struct sw_options *options);

#endif
