/* SPDX-License-Identifier: BSD-3-Clause */
#include "options.h"

#include <getopt.h>
#include <string.h>

enum { OPTION_SNAPSHOT = 1, OPTION_RUNTIME, OPTION_STATE, OPTION_EAL, OPTION_LOG, OPTION_VERSION, OPTION_HELP };

static const struct option long_options[] = {
	{"snapshot", required_argument, NULL, OPTION_SNAPSHOT},
	{"runtime-dir", required_argument, NULL, OPTION_RUNTIME},
	{"state-dir", required_argument, NULL, OPTION_STATE},
	{"eal", required_argument, NULL, OPTION_EAL},
	{"log-level", required_argument, NULL, OPTION_LOG},
	{"version", no_argument, NULL, OPTION_VERSION},
	{"help", no_argument, NULL, OPTION_HELP},
	{NULL, 0, NULL, 0},
};

static enum sw_options_result missing(const char *what, char *error, size_t error_bytes)
{
	snprintf(error, error_bytes, "%s is needed; see --help", what);
	return SW_OPTIONS_WRONG;
}

enum sw_options_result sw_options_parse(int argc, char **argv, struct sw_options *out, char *error, size_t error_bytes)
{
	*out = (struct sw_options){.log_level = SW_LOG_NOTICE};
	optind = 0; /* glibc: start over, so that a test can call this more than once */
	opterr = 0;
	for (int c; (c = getopt_long(argc, argv, "+:", long_options, NULL)) != -1;) {
		switch (c) {
		case OPTION_SNAPSHOT:
			out->snapshot_path = optarg;
			break;
		case OPTION_RUNTIME:
			out->runtime_dir = optarg;
			break;
		case OPTION_STATE:
			out->state_dir = optarg;
			break;
		case OPTION_EAL:
			out->eal_extra = optarg;
			break;
		case OPTION_LOG:
			if (!sw_log_level_parse(optarg, &out->log_level)) {
				snprintf(error, error_bytes, "--log-level %s: expected error, warning, notice, info or debug", optarg);
				return SW_OPTIONS_WRONG;
			}
			break;
		case OPTION_VERSION:
			return SW_OPTIONS_VERSION;
		case OPTION_HELP:
			return SW_OPTIONS_HELP;
		case ':':
			snprintf(error, error_bytes, "%s needs a value; see --help", argv[optind - 1]);
			return SW_OPTIONS_WRONG;
		default:
			snprintf(error, error_bytes, "unknown option %s; see --help", argv[optind - 1]);
			return SW_OPTIONS_WRONG;
		}
	}
	if (optind < argc) {
		snprintf(error, error_bytes, "unexpected argument %s; see --help", argv[optind]);
		return SW_OPTIONS_WRONG;
	}
	if (!out->snapshot_path)
		return missing("--snapshot FILE", error, error_bytes);
	if (!out->runtime_dir)
		return missing("--runtime-dir DIR", error, error_bytes);
	if (!out->state_dir)
		return missing("--state-dir DIR", error, error_bytes);
	return SW_OPTIONS_RUN;
}

void sw_options_help(FILE *to)
{
	fputs("Usage: seawall-dataplane --snapshot FILE --runtime-dir DIR --state-dir DIR [OPTION]...\n"
		"Keeps TCP services alive under SYN floods: polls the ports that the snapshot names, answers SYNs\n"
		"with cookies, proxies what proves itself. Runs in the foreground until SIGTERM or SIGINT.\n"
		"\n"
		"  --snapshot FILE     compiled policy to start with, as `seawalld --config seawall.json --compile FILE`\n"
		"                      writes it; later ones arrive over DIR/dataplane.sock\n"
		"  --runtime-dir DIR   holds region, flows and dataplane.sock, e.g. /run/seawall/INSTANCE; made when missing\n"
		"  --state-dir DIR     holds the master secret, e.g. /var/lib/seawall/INSTANCE; made when missing\n"
		"  --eal ARGUMENTS     further arguments for DPDK's EAL, separated by blanks\n"
		"  --log-level LEVEL   error, warning, notice (default), info or debug\n"
		"  --version           print the version and exit\n"
		"  --help              print this and exit\n"
		"\n"
		"Exit status: 0 ended by a signal, 1 could not start or broke down, 2 wrong usage.\n",
		to);
}
