/* SPDX-License-Identifier: BSD-3-Clause */
/* The part of the loader that walks the table: one function for each type of field. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "load_internal.h"

void sw_load_error(struct sw_loader *l, const char *hint, const char *format, ...)
{
	char message[256];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	sw_report_add(l->report, SW_ERROR, l->path, message, hint);
}

const char *sw_json_type_name(const json_t *json)
{
	switch (json_typeof(json)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "a list";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		return "a whole number";
	case JSON_REAL:
		return "a number with a fraction";
	case JSON_TRUE:
	case JSON_FALSE:
		return "true or false";
	default:
		return "null";
	}
}

/* Edits (insertion, deletion, substitution) between two words; `limit` + 1 when more. Words of up to 63 bytes. */
static size_t distance(const char *a, const char *b)
{
	size_t row[64];
	const size_t a_bytes = strlen(a), b_bytes = strlen(b);
	if (a_bytes > 63 || b_bytes > 63)
		return 64;
	for (size_t j = 0; j <= b_bytes; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_bytes; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= b_bytes; j++) {
			const size_t above = row[j];
			size_t best = diagonal + (a[i - 1] != b[j - 1]);
			if (above + 1 < best)
				best = above + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
			diagonal = above;
		}
	}
	return row[b_bytes];
}

const char *sw_nearest(const char *wrong, const char *const *names, size_t count)
{
	const char *best = NULL;
	size_t best_distance = strlen(wrong) / 3 + 2; /* a third of the letters may be wrong */
	for (size_t i = 0; i < count; i++) {
		const size_t d = distance(wrong, names[i]);
		if (d < best_distance) {
			best_distance = d;
			best = names[i];
		}
	}
	return best;
}

static void unknown_key(struct sw_loader *l, const struct sw_object *object, const char *key)
{
	const char *names[64], *nearest;
	char hint[256], quoted[SW_QUOTED_BYTES];
	size_t count = 0, used = 0;
	for (; count < object->count && count < 64; count++)
		names[count] = object->fields[count].key;
	nearest = sw_nearest(key, names, count);
	if (nearest) {
		snprintf(hint, sizeof(hint), "did you mean \"%s\"?", nearest);
	} else {
		used = (size_t)snprintf(hint, sizeof(hint), "known here: ");
		for (size_t i = 0; i < count && used < sizeof(hint); i++)
			used += (size_t)snprintf(hint + used, sizeof(hint) - used, "%s%s", i ? ", " : "", names[i]);
	}
	char message[256];
	snprintf(message, sizeof(message), "unknown key %.200s", sw_quote(key, strlen(key), quoted));
	struct sw_finding *f = sw_report_add(l->report, SW_ERROR, l->path, message, hint);
	if (f)
		f->at_key = true;
}

/* The choices of a field for a hint: "a", "b" or "c". */
static void list_names(const struct sw_field *field, char *out, size_t bytes)
{
	size_t used = 0;
	out[0] = 0;
	for (const struct sw_field_name *n = field->names; n && n->name && used < bytes; n++)
		used += (size_t)snprintf(out + used, bytes - used, "%s\"%s\"",
		    n == field->names ? ""
		    : n[1].name       ? ", "
		                      : " or ",
		    n->name);
}

static const struct sw_field_name *name_of(const struct sw_field *field, const json_t *json)
{
	for (const struct sw_field_name *n = field->names; n && n->name && json_is_string(json); n++)
		if (strcmp(n->name, json_string_value(json)) == 0)
			return n;
	return NULL;
}

static void put_number(void *at, int64_t value)
{
	const uint32_t word = (uint32_t)value; /* signed fields are four bytes too: the same bits */
	memcpy(at, &word, sizeof(word));
}

static void load_integer(struct sw_loader *l, const json_t *json, const struct sw_field *field, void *at)
{
	char words[128], range[224];
	const struct sw_field_name *name = name_of(field, json);
	list_names(field, words, sizeof(words));
	snprintf(range, sizeof(range), "give a whole number from %" PRId64 " to %" PRId64 "%s%s%s%s", field->min,
	    field->max, field->unit ? " (" : "", field->unit ? field->unit : "", field->unit ? ")" : "",
	    field->names ? ", or " : "");
	snprintf(range + strlen(range), sizeof(range) - strlen(range), "%s", words);
	if (name)
		put_number(at, name->value);
	else if (!json_is_integer(json))
		sw_load_error(l, range, "is %s, not a whole number", sw_json_type_name(json));
	else if (json_integer_value(json) < field->min || json_integer_value(json) > field->max)
		sw_load_error(l, range, "%" JSON_INTEGER_FORMAT " is out of range", json_integer_value(json));
	else
		put_number(at, json_integer_value(json));
}

static void load_enum(struct sw_loader *l, const json_t *json, const struct sw_field *field, void *at)
{
	const struct sw_field_name *name = name_of(field, json);
	char words[192], hint[256], quoted[SW_QUOTED_BYTES];
	if (name) {
		put_number(at, name->value);
		return;
	}
	list_names(field, words, sizeof(words));
	snprintf(hint, sizeof(hint), "give %s", words);
	if (json_is_string(json))
		sw_load_error(
		    l, hint, "%s is none of the choices", sw_quote(json_string_value(json), json_string_length(json), quoted));
	else
		sw_load_error(l, hint, "is %s, not one of the words", sw_json_type_name(json));
}

/* Names turn up in paths, JSON keys, metrics and file names: plain ASCII words. */
static bool is_name(const char *text)
{
	static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	static const char all[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	return text[0] && strchr(first, text[0]) && strspn(text, all) == strlen(text);
}

static void load_string(struct sw_loader *l, const json_t *json, const struct sw_field *field, void *at)
{
	char hint[128], quoted[SW_QUOTED_BYTES];
	snprintf(hint, sizeof(hint),
	    "give %" PRId64 " to %" PRId64 " letters, digits, \"-\", \"_\" or \".\", the first a letter or digit",
	    field->min, field->max);
	if (!json_is_string(json)) {
		sw_load_error(l, hint, "is %s, not a string", sw_json_type_name(json));
		return;
	}
	const char *text = json_string_value(json);
	const int64_t length = (int64_t)json_string_length(json);
	if (length < field->min || length > field->max || (length && !is_name(text))) {
		sw_load_error(l, hint, "%s is not a usable name", sw_quote(text, (size_t)length, quoted));
		return;
	}
	char *copy = sw_arena_text(l->arena, text);
	l->out_of_memory |= !copy;
	memcpy(at, &copy, sizeof(copy));
}

static void load_mode(struct sw_loader *l, const json_t *json, const struct sw_field *field, void *at)
{
	const char *text = json_is_string(json) ? json_string_value(json) : "";
	char *end;
	const unsigned long mode = strtoul(text, &end, 8);
	if (strlen(text) < 3 || strlen(text) > 4 || *end || strspn(text, "01234567") != strlen(text) ||
	    mode > (unsigned long)field->max)
		sw_load_error(l, "give three octal digits in a string, such as \"0660\"", "is not a file mode");
	else
		put_number(at, (int64_t)mode);
}

static void load_target(struct sw_loader *l, const json_t *json, struct sw_spec_target *at)
{
	static const char hint[] = "write \"10.20.0.10:20000\", \"[fd00:20::10]:20000\" or \"10.20.0.0/24:6881-6889\"";
	char quoted[SW_QUOTED_BYTES];
	if (!json_is_string(json)) {
		sw_load_error(l, hint, "is %s, not a server with a port", sw_json_type_name(json));
		return;
	}
	const char *wrong = sw_target_parse(json_string_value(json), at);
	if (wrong)
		sw_load_error(l, hint, "%s %s", sw_quote(json_string_value(json), json_string_length(json), quoted), wrong);
}

static void load_listen(struct sw_loader *l, const json_t *json, struct sw_spec_listen *at)
{
	static const char hint[] = "write a loopback address and a port: \"127.0.0.1:8470\" or \"[::1]:8470\"";
	static const struct sw_prefix loopback4 = {
	    .address = {{[10] = 0xff, 0xff, 127}}, .length = SW_IPV4_MAPPED_BITS + 8};
	static const struct sw_prefix loopback6 = {.address = {{[15] = 1}}, .length = 128};
	struct sw_spec_target target;
	char quoted[SW_QUOTED_BYTES];
	const char *wrong = json_is_string(json) ? sw_target_parse(json_string_value(json), &target) : "is not a string";
	if (!wrong && (target.server.length != 128 || target.port_first != target.port_last))
		wrong = "is not one address and one port";
	if (!wrong && !sw_prefix_contains(&loopback4, &target.server.address) &&
	    !sw_prefix_contains(&loopback6, &target.server.address))
		wrong = "is not a loopback address: what it shows is for this machine alone";
	if (wrong) {
		const char *text = json_is_string(json) ? json_string_value(json) : "";
		sw_load_error(l, hint, "%s %s", sw_quote(text, strlen(text), quoted), wrong);
		return;
	}
	at->address = target.server.address;
	at->port = target.port_first;
}

static const struct sw_field_name device_kinds[] = {
    {"pci", SW_DEVICE_PCI, NULL}, {"interface", SW_DEVICE_INTERFACE, NULL}, {"vdev", SW_DEVICE_VDEV, NULL}, {0}};

static const char *device_wrong(uint32_t kind, const char *name)
{
	const size_t length = strlen(name);
	if (!length || length >= SW_DEVICE_BYTES)
		return "is empty or too long";
	for (size_t i = 0; i < length; i++)
		if (name[i] <= ' ' || name[i] > '~')
			return "holds blanks or characters other than ASCII";
	if (kind == SW_DEVICE_INTERFACE &&
	    (length > 15 || strpbrk(name, "/,:") || !strcmp(name, ".") || !strcmp(name, "..")))
		return "is no name that an interface can have (up to 15 characters, none of / , :)";
	if (kind == SW_DEVICE_PCI) {
		unsigned int domain, bus, device, function;
		int end = 0;
		if (sscanf(name, "%4x:%2x:%2x.%1u%n", &domain, &bus, &device, &function, &end) != 4 || end != 12 ||
		    (name[end] && name[end] != ','))
			return "is not a PCI address such as 0000:3b:00.0";
	}
	if (kind == SW_DEVICE_VDEV && strncmp(name, "net_", 4) != 0 && strncmp(name, "eth_", 4) != 0 &&
	    strncmp(name, "virtio_user", 11) != 0)
		return "is not a vdev string of a network driver, such as net_pcap0,rx_pcap=in.pcap";
	return NULL;
}

static void load_device(struct sw_loader *l, const json_t *json, struct sw_spec_device *at)
{
	static const char hint[] = "give an interface name, or an object with one of \"interface\", \"pci\" or \"vdev\"";
	const char *name = json_string_value(json), *key;
	const json_t *item;
	uint32_t kind = SW_DEVICE_INTERFACE;
	size_t kinds = 0;
	char quoted[SW_QUOTED_BYTES];
	if (json_is_object(json)) {
		json_object_foreach((json_t *)(uintptr_t)json, key, item)
		{
			if (strcmp(key, "comment") == 0)
				continue;
			for (const struct sw_field_name *n = device_kinds; n->name; n++) {
				if (strcmp(n->name, key) == 0) {
					kind = (uint32_t)n->value;
					name = json_string_value(item);
				}
			}
			kinds++;
		}
	}
	if (!name || kinds > 1) {
		sw_load_error(l, hint, "does not name one device");
		return;
	}
	const char *wrong = device_wrong(kind, name);
	if (wrong) {
		sw_load_error(l, hint, "%s %s", sw_quote(name, strlen(name), quoted), wrong);
		return;
	}
	at->kind = kind;
	at->name = sw_arena_text(l->arena, name);
	l->out_of_memory |= !at->name;
}

static void load_value(struct sw_loader *l, const json_t *json, const struct sw_field *field, uint8_t type, void *at);

static void load_list(struct sw_loader *l, const json_t *json, const struct sw_field *field, struct sw_spec_list *list)
{
	if (!json_is_array(json)) {
		sw_load_error(l, "put it between [ and ]", "is %s, not a list", sw_json_type_name(json));
		return;
	}
	const size_t count = json_array_size(json), length = strlen(l->path);
	if (count < (size_t)field->min || count > (size_t)field->max) {
		char hint[96];
		snprintf(hint, sizeof(hint), "give %" PRId64 " to %" PRId64, field->min, field->max);
		sw_load_error(l, hint, count ? "has %zu items" : "is empty", count);
		return;
	}
	memset(list, 0, sizeof(*list));
	for (size_t i = 0; i < count && !l->out_of_memory; i++) {
		const json_t *item = json_array_get(json, i);
		sw_path_index(l->path, sizeof(l->path), i);
		if (field->element == SW_FIELD_PREFIX) {
			sw_load_prefix_item(l, item, (uint32_t)i, list);
		} else {
			void *at = sw_list_push(l->arena, list, sw_field_bytes(field));
			l->out_of_memory |= !at;
			if (at && field->element == SW_FIELD_OBJECT)
				sw_load_defaults(l, field->object, at);
			if (at)
				load_value(l, item, field, field->element, at);
		}
		l->path[length] = 0;
	}
}

static void load_value(struct sw_loader *l, const json_t *json, const struct sw_field *field, uint8_t type, void *at)
{
	switch (type) {
	case SW_FIELD_INTEGER: /* as an element, the range is that of the object's one field */
		load_integer(l, json, field->type == SW_FIELD_LIST ? &field->object->fields[0] : field, at);
		break;
	case SW_FIELD_ENUM:
		load_enum(l, json, field, at);
		break;
	case SW_FIELD_STRING:
		load_string(l, json, field, at);
		break;
	case SW_FIELD_MODE:
		load_mode(l, json, field, at);
		break;
	case SW_FIELD_OBJECT:
		sw_load_object(l, json, field->object, at);
		break;
	case SW_FIELD_LIST:
		load_list(l, json, field, at);
		break;
	case SW_FIELD_DEVICE:
		load_device(l, json, at);
		break;
	case SW_FIELD_TARGET:
		load_target(l, json, at);
		break;
	case SW_FIELD_LISTEN:
		load_listen(l, json, at);
		break;
	}
}

/* A service begins with what service_defaults says; every other object with the table's defaults. */
void sw_load_defaults(struct sw_loader *l, const struct sw_object *object, void *base)
{
	if (object->is_service) {
		memcpy(base, &l->spec->service_defaults, sizeof(struct sw_spec_service));
		return;
	}
	for (uint32_t i = 0; i < object->count; i++) {
		const struct sw_field *field = &object->fields[i];
		void *at = (char *)base + field->offset;
		if (field->type == SW_FIELD_OBJECT) {
			sw_load_defaults(l, field->object, at);
		} else if (field->type == SW_FIELD_LIST || field->type == SW_FIELD_STRING) {
			if (!field->default_text)
				continue;
			json_t *json = json_loads(field->default_text, JSON_DECODE_ANY, NULL);
			l->out_of_memory |= !json;
			if (json)
				load_value(l, json, field, field->type, at);
			json_decref(json);
		} else if (field->type != SW_FIELD_DEVICE) {
			put_number(at, field->initial);
		}
	}
}

static const struct sw_field *find_field(const struct sw_object *object, const char *key)
{
	for (uint32_t i = 0; i < object->count; i++)
		if (strcmp(object->fields[i].key, key) == 0)
			return &object->fields[i];
	return NULL;
}

/* In the order of the table, so that service_defaults is read before services wherever it stands. */
void sw_load_object(struct sw_loader *l, const json_t *json, const struct sw_object *object, void *base)
{
	const size_t length = strlen(l->path);
	const char *key;
	const json_t *item;
	if (!json_is_object(json)) {
		sw_load_error(l, "put it between { and }", "is %s, not an object", sw_json_type_name(json));
		return;
	}
	json_object_foreach((json_t *)(uintptr_t)json, key, item)
	{
		if (find_field(object, key) || (strcmp(key, "comment") == 0 && json_is_string(item)))
			continue;
		sw_path_key(l->path, sizeof(l->path), key, strlen(key));
		if (strcmp(key, "comment") == 0)
			sw_load_error(l, "put the comment into a string", "is %s, not a string", sw_json_type_name(item));
		else
			unknown_key(l, object, key);
		l->path[length] = 0;
	}
	for (uint32_t i = 0; i < object->count; i++) {
		const struct sw_field *field = &object->fields[i];
		item = json_object_get(json, field->key);
		if (!item && (field->flags & SW_FIELD_REQUIRED)) {
			char hint[256];
			snprintf(hint, sizeof(hint), "add \"%s\": %s", field->key, field->example ? field->example : "{ ... }");
			sw_load_error(l, hint, "\"%s\" is missing", field->key);
		}
		if (!item)
			continue;
		sw_path_key(l->path, sizeof(l->path), field->key, strlen(field->key));
		load_value(l, item, field, field->type, (char *)base + field->offset);
		l->path[length] = 0;
	}
}
