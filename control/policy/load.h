/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * seawall.json -> spec: reads the text as the table in schema.h says, and reports everything that is wrong with it. The
 * rules between fields are in check.h; both have passed when a spec comes out.
 *
 * Thread   one at a time for one report; no state of its own. Reads the files that the configuration names.
 */
#ifndef SW_POLICY_LOAD_H
#define SW_POLICY_LOAD_H

#include <jansson.h>

#include "report.h"
#include "spec.h"

enum {
	SW_CONFIG_MAX_BYTES = 64 << 20, /* of a configuration, and of each file of prefixes */
	SW_CONFIG_MAX_DEPTH = 32,
};

/* 0; -EINVAL: the report says why (at least one error); -ENOMEM. Warnings may stand in the report either way. */
int sw_load_file(const char *path, struct sw_report *report, struct sw_spec **out);
/* `name`: for messages. `directory`: where relative names of prefix files start. */
int sw_load_text(const char *text, size_t bytes, const char *name, const char *directory, struct sw_report *report,
	struct sw_spec **out);

/*
 * A spec as JSON in the shape of seawall.json, every default filled in. `inline_files`: the prefixes of files, not
 * their names.
 */
json_t *sw_spec_json(const struct sw_spec *spec, bool inline_files);

#endif
