/* SPDX-License-Identifier: BSD-3-Clause */
/* spec -> JSON in the shape of seawall.json: the loader backwards, along the same table. */
#include <string.h>

#include "load.h"
#include "schema.h"

static json_t *object_json(const struct sw_object *object, const void *base, bool inline_files);

static json_t *number_json(const struct sw_field *field, const void *at)
{
	uint32_t value;
	memcpy(&value, at, sizeof(value));
	const char *name = sw_field_value_name(field, value);
	return name ? json_string(name) : json_integer(value);
}

static json_t *device_json(const struct sw_spec_device *device)
{
	static const char *const kinds[] = {
	    [SW_DEVICE_PCI] = "pci", [SW_DEVICE_INTERFACE] = "interface", [SW_DEVICE_VDEV] = "vdev"};
	return device->name ? json_pack("{s:s}", kinds[device->kind], device->name) : json_null();
}

static json_t *listen_json(const struct sw_spec_listen *listen)
{
	char text[SW_TARGET_TEXT_BYTES];
	const struct sw_spec_target target = {.server = {.address = listen->address, .length = 128},
	    .port_first = (uint16_t)listen->port,
	    .port_last = (uint16_t)listen->port};
	return json_string(sw_target_format(&target, text));
}

/* Prefixes that came from a file stand as {"file": NAME}, once, unless they are wanted themselves. */
static json_t *prefixes_json(const struct sw_spec_list *list, bool inline_files)
{
	const struct sw_spec_prefix *prefixes = list->items;
	char text[SW_PREFIX_TEXT_BYTES];
	json_t *array = json_array();
	for (uint32_t i = 0; array && i < list->count; i++) {
		const bool by_name = prefixes[i].file && !inline_files;
		if (by_name && i && prefixes[i - 1].file && prefixes[i - 1].item == prefixes[i].item)
			continue;
		json_array_append_new(array, by_name ? json_pack("{s:s}", "file", prefixes[i].file)
		                                     : json_string(sw_prefix_format(&prefixes[i].prefix, text)));
	}
	return array;
}

static json_t *value_json(const struct sw_field *field, uint8_t type, const void *at, bool inline_files)
{
	char text[SW_TARGET_TEXT_BYTES];
	const char *string;
	switch (type) {
	case SW_FIELD_STRING:
		memcpy(&string, at, sizeof(string));
		return json_string(string ? string : "");
	case SW_FIELD_MODE:
		return json_sprintf("0%o", *(const uint32_t *)at);
	case SW_FIELD_OBJECT:
		return object_json(field->object, at, inline_files);
	case SW_FIELD_DEVICE:
		return device_json(at);
	case SW_FIELD_TARGET:
		return json_string(sw_target_format(at, text));
	case SW_FIELD_LISTEN:
		return listen_json(at);
	default:
		return number_json(field, at);
	}
}

static json_t *list_json(const struct sw_field *field, const struct sw_spec_list *list, bool inline_files)
{
	if (field->element == SW_FIELD_PREFIX)
		return prefixes_json(list, inline_files);
	const size_t bytes = sw_field_bytes(field);
	json_t *array = json_array();
	for (uint32_t i = 0; array && i < list->count; i++)
		json_array_append_new(
		    array, value_json(field, field->element, (const char *)list->items + i * bytes, inline_files));
	return array;
}

static json_t *object_json(const struct sw_object *object, const void *base, bool inline_files)
{
	json_t *json = json_object();
	for (uint32_t i = 0; json && i < object->count; i++) {
		const struct sw_field *field = &object->fields[i];
		const void *at = (const char *)base + field->offset;
		json_object_set_new(json, field->key,
		    field->type == SW_FIELD_LIST ? list_json(field, at, inline_files)
		                                 : value_json(field, field->type, at, inline_files));
	}
	return json;
}

json_t *sw_spec_json(const struct sw_spec *spec, bool inline_files)
{
	return object_json(&sw_schema_root, spec, inline_files);
}
