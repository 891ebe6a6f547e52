/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared by the files of the loader (load.c, load_value.c, load_prefixes.c) and by nobody else. */
#ifndef SW_POLICY_LOAD_INTERNAL_H
#define SW_POLICY_LOAD_INTERNAL_H

#include "arena.h"
#include "load.h"
#include "position.h"
#include "schema.h"

struct sw_loader {
	struct sw_report *report;
	struct sw_spec *spec;
	struct sw_arena *arena;
	const char *directory;
	char path[SW_PATH_BYTES]; /* of the value being read */
	bool out_of_memory;
};

/* Reads a whole regular file. *text ends in a NUL not counted. 0 or -errno; -EFBIG: above SW_CONFIG_MAX_BYTES. */
int sw_read_file(const char *path, char **text, size_t *bytes);

/* Lays the defaults of `object` over `base`. */
void sw_load_defaults(struct sw_loader *l, const struct sw_object *object, void *base);
/* Reads the keys of `json` into `base`, which holds defaults. */
void sw_load_object(struct sw_loader *l, const json_t *json, const struct sw_object *object, void *base);
/* Reads one item of a list of prefixes: a text, or {"file": PATH}. */
void sw_load_prefix_item(struct sw_loader *l, const json_t *json, uint32_t item, struct sw_spec_list *list);

/* An error about the value at l->path. */
void sw_load_error(struct sw_loader *l, const char *hint, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Words for a JSON type: "a number". */
const char *sw_json_type_name(const json_t *json);
/* Of `names`, the one that is nearest to `wrong` and near enough to be meant, or NULL. */
const char *sw_nearest(const char *wrong, const char *const *names, size_t count);

#endif
