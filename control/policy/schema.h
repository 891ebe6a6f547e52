/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one table of everything that can stand in seawall.json. The loader's checks and defaults, the JSON Schema, the
 * manual and the dump of a running configuration are all made from it; nothing else knows a key, a range or a default.
 *
 * Thread   any: it is constant.
 */
#ifndef SW_POLICY_SCHEMA_H
#define SW_POLICY_SCHEMA_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "spec.h"

enum sw_field_type {
	SW_FIELD_INTEGER,  /* uint32_t or int32_t; a word of `names` stands for its value */
	SW_FIELD_ENUM,     /* uint32_t; one of `names` */
	SW_FIELD_STRING,   /* const char * */
	SW_FIELD_MODE,     /* uint32_t: an octal file mode in a string */
	SW_FIELD_OBJECT,   /* struct laid out by `object` */
	SW_FIELD_LIST,     /* struct sw_spec_list of `element` */
	SW_FIELD_DEVICE,   /* struct sw_spec_device */
	SW_FIELD_TARGET,   /* struct sw_spec_target */
	SW_FIELD_LISTEN,   /* struct sw_spec_listen */
	SW_FIELD_PREFIX,   /* struct sw_spec_prefix; an item {"file": PATH} stands for all prefixes in the file */
};

enum { SW_FIELD_REQUIRED = 1 };

/*
 * Limits that nobody set. Generous: many people share an address behind a carrier's NAT, and cookies alone stop what is
 * forged. The prefix of level 1 has some because one host with an IPv6 /64 is any number of sources. check_policy.c does
 * not warn of these, as it would of a wide limit that somebody wrote.
 */
enum {
	SW_SOURCE_SYN_PER_S = 100,
	SW_SOURCE_CONN_PER_S = 50,
	SW_SOURCE_CONCURRENT = 2000,
	SW_PREFIX_SYN_PER_S = 2000,
	SW_PREFIX_CONN_PER_S = 1000,
};
#define SW_PREFIX_LIMITS_TEXT "[{\"syn_per_s\": 2000, \"conn_per_s\": 1000}]" /* the two above; a test compares them */

struct sw_field_name {
	const char *name;
	int64_t value;
	const char *help;
};

struct sw_object;

struct sw_field {
	const char *key;
	const char *help;    /* full sentences for the manual */
	const char *unit;    /* NULL: none */
	const char *example; /* JSON; NULL: the default shows enough */
	const char *default_text; /* strings and lists: JSON of the default; others: how the manual words it, or NULL */
	const struct sw_field_name *names; /* ends with a NULL name */
	const struct sw_object *object;    /* of an OBJECT, or of the elements of a LIST of these */
	int64_t min, max;    /* numbers: the value; strings: length; lists: count */
	int64_t initial;     /* the default */
	uint32_t offset;     /* in the struct of the enclosing object */
	uint8_t type;        /* enum sw_field_type */
	uint8_t element;     /* of a LIST */
	uint8_t flags;
};

struct sw_object {
	const char *title;
	const struct sw_field *fields;
	uint32_t count;
	uint32_t bytes; /* of its struct */
	bool is_service; /* a new one begins as a copy of service_defaults instead of the table's defaults */
};

extern const struct sw_object sw_schema_root; /* struct sw_spec */

uint32_t sw_field_bytes(const struct sw_field *list); /* size of one element of a list */
/* The name of an enum's or number's value, or NULL. */
const char *sw_field_value_name(const struct sw_field *field, int64_t value);

/* schema_json.c, schema_manual.c. 0 or -errno. */
int sw_schema_print_schema(FILE *to);  /* JSON Schema 2020-12 */
int sw_schema_print_manual(FILE *to);  /* docs/configuration.md */

#endif
