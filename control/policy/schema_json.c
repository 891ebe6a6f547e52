/* SPDX-License-Identifier: BSD-3-Clause */
/* The table as a JSON Schema, draft 2020-12. */
#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "schema.h"

static json_t *value_schema(const struct sw_field *field, uint8_t type, json_t *definitions);

/* "Limits of a service" -> limits_of_a_service */
static void definition_name(const struct sw_object *object, char out[64])
{
	size_t i = 0;
	for (const char *p = object->title; *p && i < 63; p++)
		if (isalnum((unsigned char)*p) || (*p == ' ' && i))
			out[i++] = *p == ' ' ? '_' : (char)tolower((unsigned char)*p);
	out[i] = 0;
}

static json_t *description(const struct sw_field *field)
{
	json_t *text = json_sprintf(
	    "%s%s%s%s", field->help, field->unit ? " Unit: " : "", field->unit ? field->unit : "", field->unit ? "." : "");
	return text;
}

/* The default as JSON, or NULL where it follows from other fields or there is none. */
static json_t *default_json(const struct sw_field *field)
{
	if (field->type == SW_FIELD_STRING || field->type == SW_FIELD_LIST)
		return field->default_text ? json_loads(field->default_text, JSON_DECODE_ANY, NULL) : NULL;
	if (field->type == SW_FIELD_MODE)
		return json_sprintf("0%o", (unsigned int)field->initial);
	if (field->type != SW_FIELD_INTEGER && field->type != SW_FIELD_ENUM)
		return NULL;
	if (field->default_text || (field->flags & SW_FIELD_REQUIRED))
		return NULL;
	const char *name = sw_field_value_name(field, field->initial);
	return name ? json_string(name) : json_integer(field->initial);
}

static json_t *object_body(const struct sw_object *object, json_t *definitions)
{
	json_t *properties = json_object(), *required = json_array();
	for (uint32_t i = 0; i < object->count; i++) {
		const struct sw_field *field = &object->fields[i];
		json_t *schema = value_schema(field, field->type, definitions);
		json_t *value = default_json(field);
		json_object_set_new(schema, "description", description(field));
		if (value)
			json_object_set_new(schema, "default", value);
		if (field->example)
			json_object_set_new(
			    schema, "examples", json_pack("[o]", json_loads(field->example, JSON_DECODE_ANY, NULL)));
		json_object_set_new(properties, field->key, schema);
		if (field->flags & SW_FIELD_REQUIRED)
			json_array_append_new(required, json_string(field->key));
	}
	json_object_set_new(
	    properties, "comment", json_pack("{s:s, s:s}", "type", "string", "description", "For people; ignored."));
	json_t *body = json_pack("{s:s, s:s, s:o, s:b}", "title", object->title, "type", "object", "properties", properties,
	    "additionalProperties", 0);
	if (json_array_size(required))
		json_object_set(body, "required", required);
	json_decref(required);
	return body;
}

static json_t *reference(const struct sw_object *object, json_t *definitions)
{
	char name[64];
	definition_name(object, name);
	if (!json_object_get(definitions, name)) {
		json_object_set_new(definitions, name, json_object()); /* its place, before what it refers to */
		json_object_set_new(definitions, name, object_body(object, definitions));
	}
	return json_pack("{s:o}", "$ref", json_sprintf("#/$defs/%s", name));
}

static json_t *names_schema(const struct sw_field *field)
{
	json_t *names = json_array();
	for (const struct sw_field_name *n = field->names; n && n->name; n++)
		json_array_append_new(names, json_string(n->name));
	return json_pack("{s:o}", "enum", names);
}

static json_t *integer_schema(const struct sw_field *field)
{
	json_t *number = json_pack(
	    "{s:s, s:I, s:I}", "type", "integer", "minimum", (json_int_t)field->min, "maximum", (json_int_t)field->max);
	return field->names ? json_pack("{s:[o, o]}", "anyOf", number, names_schema(field)) : number;
}

static json_t *device_schema(void)
{
	json_t *choices = json_pack("[{s:s, s:i, s:i}]", "type", "string", "minLength", 1, "maxLength", 15);
	static const char *const kinds[] = {"interface", "pci", "vdev"};
	for (size_t i = 0; i < 3; i++)
		json_array_append_new(choices,
		    json_pack("{s:s, s:{s:{s:s}, s:{s:s}}, s:[s], s:b}", "type", "object", "properties", kinds[i], "type",
		        "string", "comment", "type", "string", "required", kinds[i], "additionalProperties", 0));
	return json_pack("{s:o}", "anyOf", choices);
}

static json_t *value_schema(const struct sw_field *field, uint8_t type, json_t *definitions)
{
	switch (type) {
	case SW_FIELD_INTEGER:
		return integer_schema(field);
	case SW_FIELD_ENUM:
		return names_schema(field);
	case SW_FIELD_STRING:
		return json_pack("{s:s, s:I, s:I, s:s}", "type", "string", "minLength", (json_int_t)field->min, "maxLength",
		    (json_int_t)field->max, "pattern", "^([A-Za-z0-9][A-Za-z0-9_.-]*)?$");
	case SW_FIELD_MODE:
		return json_pack("{s:s, s:s}", "type", "string", "pattern", "^0?[0-7]{3}$");
	case SW_FIELD_OBJECT:
		return reference(field->object, definitions);
	case SW_FIELD_LIST: {
		const struct sw_field *item = field->element == SW_FIELD_INTEGER ? &field->object->fields[0] : field;
		return json_pack("{s:s, s:o, s:I, s:I}", "type", "array", "items",
		    value_schema(item, field->element, definitions), "minItems", (json_int_t)field->min, "maxItems",
		    (json_int_t)field->max);
	}
	case SW_FIELD_DEVICE:
		return device_schema();
	case SW_FIELD_TARGET:
		return json_pack(
		    "{s:s, s:s}", "type", "string", "pattern", "^([0-9./]+|\\[[0-9A-Fa-f:./]+\\]):[0-9]+(-[0-9]+)?$");
	case SW_FIELD_LISTEN:
		return json_pack("{s:s, s:s}", "type", "string", "pattern", "^(127\\.[0-9.]+|\\[::1\\]):[0-9]+$");
	default: /* SW_FIELD_PREFIX */
		return json_pack("{s:[{s:s, s:s}, {s:s, s:{s:{s:s, s:i}, s:{s:s}}, s:[s], s:b}]}", "anyOf", "type", "string",
		    "pattern", "^[0-9A-Fa-f:.]+(/[0-9]+)?$", "type", "object", "properties", "file", "type", "string",
		    "minLength", 1, "comment", "type", "string", "required", "file", "additionalProperties", 0);
	}
}

int sw_schema_print_schema(FILE *to)
{
	json_t *definitions = json_object();
	json_t *body = object_body(&sw_schema_root, definitions);
	json_t *schema = json_pack(
	    "{s:s, s:s}", "$schema", "https://json-schema.org/draft/2020-12/schema", "$id", "seawall.schema.json");
	const bool good = schema && json_object_update(schema, body) == 0 &&
	                  json_object_set(schema, "$defs", definitions) == 0 &&
	                  json_dumpf(schema, to, JSON_INDENT(2)) == 0 && fputc('\n', to) != EOF;
	json_decref(schema);
	json_decref(body);
	json_decref(definitions);
	return good ? 0 : -ENOMEM;
}
