/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes as a configuration: refused with a finding that can be shown, or a policy that compiles, that the dataplane
 * takes, and whose dump is a configuration again.
 */
#include <errno.h>
#include <string.h>

#include "../../control/policy/compile.h"
#include "../../control/policy/load.h"
#include "core/snapshot_check.h"
#include "fuzz.h"

static struct sw_report report;

static void look_at_findings(size_t lines)
{
	char text[1200];
	for (int severity = SW_ERROR; severity < SW_SEVERITIES; severity++) {
		json_t *json = sw_report_json(&report, (enum sw_severity)severity);
		SW_PROMISE(json);
		char *dumped = json_dumps(json, 0);
		SW_PROMISE(dumped); /* valid UTF-8, whatever the file held */
		free(dumped);
		json_decref(json);
		for (uint32_t i = 0; i < report.counts[severity] && i < SW_FINDINGS_MAX; i++) {
			const struct sw_finding *f = &report.findings[severity][i];
			sw_finding_text(f, (enum sw_severity)severity, text, sizeof(text));
			for (const char *p = text; *p; p++)
				SW_PROMISE((unsigned char)*p >= 0x20 && *p != 0x7f);
			SW_PROMISE(f->message[0] && (strcmp(f->file, "config") != 0 || f->line <= lines));
		}
	}
}

static void use(struct sw_spec *spec)
{
	static const uint32_t cpus[] = {0, 1};
	struct sw_slot_cursors cursors = {0};
	struct sw_snapshot_header *snapshot = NULL;
	struct sw_spec *again = NULL;
	char error[256];
	const struct sw_compile_input input = {
	    .spec = spec, .generation = 1, .now_unix_ns = 1, .cpus = cpus, .cpu_count = 2};
	const int result = sw_compile(&input, &cursors, &report, &snapshot);
	SW_PROMISE(result == 0 || result == -ENOSPC);
	if (!result) {
		SW_PROMISE(sw_snapshot_readable(snapshot, snapshot->total_bytes));
		const int refused = sw_snapshot_check(snapshot, snapshot->total_bytes, error, sizeof(error));
		if (refused)
			fprintf(stderr, "%s\n", error);
		SW_PROMISE(!refused);
	}
	free(snapshot);
	json_t *json = sw_spec_json(spec, true);
	char *dumped = json ? json_dumps(json, 0) : NULL;
	SW_PROMISE(dumped);
	memset(&report, 0, sizeof(report));
	SW_PROMISE(sw_load_text(dumped, strlen(dumped), "dump", "/nonexistent", &report, &again) == 0);
	json_t *json_again = sw_spec_json(again, true);
	SW_PROMISE(json_equal(json, json_again));
	json_decref(json);
	json_decref(json_again);
	free(dumped);
	sw_spec_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sw_spec *spec = NULL;
	char *copy = malloc(size ? size : 1); /* of exactly the size: no NUL behind it */
	size_t lines = 1;
	if (!copy)
		return 0;
	memcpy(copy, data, size);
	for (size_t i = 0; i < size; i++)
		lines += copy[i] == '\n';
	memset(&report, 0, sizeof(report));
	const int result = sw_load_text(copy, size, "config", "/nonexistent", &report, &spec);
	SW_PROMISE((result == 0) == (report.counts[SW_ERROR] == 0));
	look_at_findings(lines);
	if (!result)
		use(spec);
	sw_spec_free(spec);
	free(copy);
	return 0;
}
