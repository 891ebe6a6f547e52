/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of seawall-dataplane. */
#ifndef SW_OPTIONS_H
#define SW_OPTIONS_H

#include <stddef.h>
#include <stdio.h>

#include "log.h"

struct sw_options {
	const char *snapshot_path, *runtime_dir, *state_dir;
	const char *eal_extra; /* further arguments for the EAL, separated by blanks; NULL: none */
	enum sw_log_level log_level;
};

enum sw_options_result { SW_OPTIONS_RUN, SW_OPTIONS_HELP, SW_OPTIONS_VERSION, SW_OPTIONS_WRONG };

/* Pointers in `out` lead into argv. WRONG: `error` says what and how it should be. */
enum sw_options_result sw_options_parse(int argc, char **argv, struct sw_options *out, char *error, size_t error_bytes);

void sw_options_help(FILE *to);

#endif
