/* SPDX-License-Identifier: BSD-3-Clause */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "policy/blocks.h"
#include "policy/check.h"
#include "policy/compile.h"
#include "policy/load.h"
#include "policy/schema.h"
#include "policy/state_file.h"

#ifndef SW_VERSION
#define SW_VERSION "0.1.0"
#endif

static const char help[] =
    "Usage: seawalld [OPTIONS]\n"
    "\n"
    "The control daemon of Seawall: turns one JSON file into policy, hands it to the dataplane, and shows what "
    "happens.\n"
    "\n"
    "  -c, --config FILE       the configuration (" SW_DEFAULT_CONFIG ")\n"
    "  -r, --runtime-dir DIR   sockets and counters (/run/seawall/INSTANCE)\n"
    "  -s, --state-dir DIR     what outlives a restart (/var/lib/seawall/INSTANCE)\n"
    "\n"
    "Instead of running:\n"
    "  -t, --check             check the configuration and say what is wrong with it\n"
    "  -C, --compile FILE      check it and write the snapshot that a dataplane starts from; with --state-dir the "
    "blocks\n"
    "                          that are kept there are part of it\n"
    "      --print-schema      the JSON Schema of the configuration\n"
    "      --print-manual      the manual of the configuration, in Markdown\n"
    "      --print-default     a whole configuration with every default\n"
    "  -q, --quiet             only errors\n"
    "  -V, --version\n"
    "  -h, --help\n"
    "\n"
    "SIGHUP reloads the configuration; a broken one is refused and the running policy stays. SIGTERM ends the daemon;\n"
    "the dataplane goes on with its last policy.\n"
    "\n"
    "Exit codes: 0 all is well, 1 the configuration is refused, 2 wrong use, 3 anything else.\n"
    "\n"
    "Examples:\n"
    "  seawalld --config seawall.json --check\n"
    "  seawalld --config seawall.json --compile /var/lib/seawall/seawall/policy.snapshot\n";

enum { OPTION_SCHEMA = 256, OPTION_MANUAL, OPTION_DEFAULT };

static const struct option long_options[] = {
    {"config", required_argument, NULL, 'c'},
    {"runtime-dir", required_argument, NULL, 'r'},
    {"state-dir", required_argument, NULL, 's'},
    {"check", no_argument, NULL, 't'},
    {"compile", required_argument, NULL, 'C'},
    {"print-schema", no_argument, NULL, OPTION_SCHEMA},
    {"print-manual", no_argument, NULL, OPTION_MANUAL},
    {"print-default", no_argument, NULL, OPTION_DEFAULT},
    {"quiet", no_argument, NULL, 'q'},
    {"version", no_argument, NULL, 'V'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

int sw_options_parse(int argc, char **argv, struct sw_options *out)
{
	*out = (struct sw_options){.config = SW_DEFAULT_CONFIG};
	int option;
	while ((option = getopt_long(argc, argv, "c:r:s:tC:qVh", long_options, NULL)) != -1) {
		switch (option) {
		case 'c':
			out->config = optarg;
			break;
		case 'r':
			out->runtime_dir = optarg;
			break;
		case 's':
			out->state_dir = optarg;
			break;
		case 't':
			out->check = true;
			break;
		case 'C':
			out->compile = optarg;
			break;
		case OPTION_SCHEMA:
			out->print = "schema";
			break;
		case OPTION_MANUAL:
			out->print = "manual";
			break;
		case OPTION_DEFAULT:
			out->print = "default";
			break;
		case 'q':
			out->quiet = true;
			break;
		case 'V':
			puts("seawalld " SW_VERSION);
			return SW_EXIT_OK;
		case 'h':
			fputs(help, stdout);
			return SW_EXIT_OK;
		default:
			fputs("Try seawalld --help.\n", stderr);
			return SW_EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "seawalld: %s: no such argument. Try seawalld --help.\n", argv[optind]);
		return SW_EXIT_USAGE;
	}
	return -1;
}

bool sw_options_is_tool(const struct sw_options *options)
{
	return options->check || options->compile || options->print;
}

static void show(const struct sw_report *report, bool quiet)
{
	char text[1200];
	for (int severity = SW_ERROR; severity < SW_SEVERITIES; severity++) {
		const uint32_t count = report->counts[severity];
		if (severity == SW_WARNING && quiet)
			continue;
		for (uint32_t i = 0; i < count && i < SW_FINDINGS_MAX; i++)
			fprintf(stderr, "%s\n", sw_finding_text(&report->findings[severity][i], (enum sw_severity)severity, text,
				sizeof(text)));
		if (count > SW_FINDINGS_MAX)
			fprintf(stderr, "%s: and %u more %s\n", report->file, count - SW_FINDINGS_MAX,
			    severity == SW_ERROR ? "errors" : "warnings");
	}
}

static void summarise(const struct sw_spec *spec, const struct sw_report *report)
{
	struct sw_memory_sum sum;
	uint32_t targets = 0;
	for (uint32_t i = 0; i < spec->services.count; i++)
		targets += SW_SPEC_ITEMS(spec->services, struct sw_spec_service)[i].targets.count;
	sw_memory_sum(&spec->boot, &sum);
	printf("%s: good: %u services with %u targets, %u groups, %u allow and %u deny entries, about %.0f MiB of memory; "
	       "%u warnings\n",
	    report->file, spec->services.count, targets, spec->groups.count, spec->allow.count, spec->deny.count,
	    (double)sum.total / 1048576, report->counts[SW_WARNING]);
}

/* The operator's blocks in a state directory; malloc'd, NULL where there are none. */
static struct sw_compile_block *kept_blocks(const char *state_dir, uint64_t now_unix_ns, uint32_t *count)
{
	struct sw_blocks blocks = {0};
	char path[4096];
	snprintf(path, sizeof(path), "%s/blocks.json", state_dir);
	const int result = sw_blocks_load(&blocks, path, now_unix_ns);
	if (result)
		fprintf(stderr, "seawalld: %s: %s; compiled without blocks\n", path, strerror(-result));
	struct sw_compile_block *compiled = blocks.count ? calloc(blocks.count, sizeof(*compiled)) : NULL;
	for (uint32_t i = 0; compiled && i < blocks.count; i++)
		compiled[i] = (struct sw_compile_block){blocks.items[i].prefix, blocks.items[i].until_unix_ns};
	*count = compiled ? blocks.count : 0;
	sw_blocks_clear(&blocks);
	return compiled;
}

/* A snapshot with the generation behind the one of the file that it replaces. */
static int compile(const struct sw_spec *spec, const struct sw_options *options, struct sw_report *report)
{
	const char *path = options->compile;
	uint32_t cpus[SW_WORKERS_MAX * 4], block_count = 0;
	struct sw_slot_cursors cursors = {0};
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	const uint64_t now_unix_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	struct sw_compile_block *blocks =
	    options->state_dir ? kept_blocks(options->state_dir, now_unix_ns, &block_count) : NULL;
	struct sw_snapshot_header *snapshot, *previous = sw_snapshot_read(path);
	const struct sw_compile_input input = {
	    .spec = spec,
	    .previous = previous,
	    .blocks = blocks,
	    .block_count = block_count,
	    .generation = previous ? previous->generation + 1 : 1,
	    .now_unix_ns = now_unix_ns,
	    .cpus = cpus,
	    .cpu_count = sw_usable_cpus(cpus, SW_WORKERS_MAX * 4),
	};
	int result = sw_compile(&input, &cursors, report, &snapshot);
	free(previous);
	free(blocks);
	if (result)
		return result;
	result = sw_write_file(path, snapshot, snapshot->total_bytes, 0600);
	if (result)
		fprintf(stderr, "seawalld: %s: %s\n", path, strerror(-result));
	free(snapshot);
	return result;
}

static int check_or_compile(const struct sw_options *options)
{
	struct sw_report *report = calloc(1, sizeof(*report));
	struct sw_spec *spec = NULL;
	if (!report)
		return SW_EXIT_FAILED;
	int result = sw_load_file(options->config, report, &spec);
	if (!result && options->compile)
		result = compile(spec, options, report);
	show(report, options->quiet);
	if (!result && options->check && !options->quiet)
		summarise(spec, report);
	const int code = !result ? SW_EXIT_OK : report->counts[SW_ERROR] ? SW_EXIT_REFUSED : SW_EXIT_FAILED;
	sw_spec_free(spec);
	free(report);
	return code;
}

static int print_default(void)
{
	static const char minimal[] =
	    "{\"boot\": {\"links\": [{\"outside\": \"eth0\", \"inside\": \"eth1\"}]}, "
	    "\"services\": [{\"name\": \"web\", \"targets\": [\"192.0.2.10:80\", \"[2001:db8::10]:80\"]}]}";
	struct sw_report *report = calloc(1, sizeof(*report));
	struct sw_spec *spec = NULL;
	json_t *json = NULL;
	if (report && sw_load_text(minimal, sizeof(minimal) - 1, "default", ".", report, &spec) == 0)
		json = sw_spec_json(spec, false);
	const bool good = json && json_dumpf(json, stdout, JSON_INDENT(4)) == 0 && putchar('\n') != EOF;
	json_decref(json);
	sw_spec_free(spec);
	free(report);
	return good ? SW_EXIT_OK : SW_EXIT_FAILED;
}

int sw_options_run(const struct sw_options *options)
{
	if (!options->print)
		return check_or_compile(options);
	if (strcmp(options->print, "default") == 0)
		return print_default();
	const int result =
	    strcmp(options->print, "schema") == 0 ? sw_schema_print_schema(stdout) : sw_schema_print_manual(stdout);
	return result || fflush(stdout) ? SW_EXIT_FAILED : SW_EXIT_OK;
}
