/* SPDX-License-Identifier: BSD-3-Clause */
/* Lists of prefixes, in the configuration itself or in files of their own: one prefix a line, # begins a comment. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "load_internal.h"

int sw_read_file(const char *path, char **text, size_t *bytes)
{
	struct stat status;
	char *buffer = NULL;
	size_t used = 0;
	int result = 0;
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not stall the daemon */
	if (fd < 0)
		return -errno;
	if (fstat(fd, &status) < 0)
		result = -errno;
	else if (!S_ISREG(status.st_mode))
		result = -EISDIR;
	else if (status.st_size > SW_CONFIG_MAX_BYTES)
		result = -EFBIG;
	else if (!(buffer = malloc((size_t)status.st_size + 1)))
		result = -ENOMEM;
	while (!result && used < (size_t)status.st_size) {
		const ssize_t n = read(fd, buffer + used, (size_t)status.st_size - used);
		if (n == 0)
			break;
		if (n < 0 && errno != EINTR)
			result = -errno;
		else if (n > 0)
			used += (size_t)n;
	}
	close(fd);
	if (result || !buffer) {
		free(buffer);
		return result ? result : -ENOMEM;
	}
	buffer[used] = 0;
	*text = buffer;
	*bytes = used;
	return 0;
}

static const char prefix_hint[] = "write an address or a prefix: \"192.0.2.7\", \"10.0.0.0/8\", \"2001:db8::/32\"";

/* For a prefix with host bits set the remedy is the prefix itself, without them. */
static const char *hint_for(const struct sw_prefix *prefix, const char *wrong, char out[SW_PREFIX_TEXT_BYTES + 16])
{
	char text[SW_PREFIX_TEXT_BYTES];
	if (strcmp(wrong, "has host bits set") != 0)
		return prefix_hint;
	const struct sw_prefix masked = {
	    .address = sw_address_mask(prefix->address, prefix->length), .length = prefix->length};
	snprintf(out, SW_PREFIX_TEXT_BYTES + 16, "write %s", sw_prefix_format(&masked, text));
	return out;
}

static void add_prefix(struct sw_loader *l, struct sw_spec_list *list, const struct sw_prefix *prefix, uint32_t item,
    const char *file, uint32_t line)
{
	struct sw_spec_prefix *p = sw_list_push(l->arena, list, sizeof(*p));
	l->out_of_memory |= !p;
	if (p)
		*p = (struct sw_spec_prefix){.prefix = *prefix, .item = item, .file = file, .line = line};
}

static void load_line(
    struct sw_loader *l, char *line, uint32_t number, const char *file, uint32_t item, struct sw_spec_list *list)
{
	char hint[SW_PREFIX_TEXT_BYTES + 16], quoted[SW_QUOTED_BYTES], message[400];
	struct sw_prefix prefix;
	line[strcspn(line, "#")] = 0;
	const size_t start = strspn(line, " \t\r");
	char *word = line + start;
	size_t bytes = strlen(word);
	while (bytes && strchr(" \t\r", word[bytes - 1]))
		word[--bytes] = 0;
	if (!bytes)
		return;
	const char *wrong = sw_prefix_parse(word, &prefix);
	if (!wrong) {
		add_prefix(l, list, &prefix, item, file, number);
		return;
	}
	snprintf(message, sizeof(message), "%s %s", sw_quote(word, bytes, quoted), wrong);
	struct sw_finding *f = sw_report_add(l->report, SW_ERROR, l->path, message, hint_for(&prefix, wrong, hint));
	if (f) {
		snprintf(f->file, sizeof(f->file), "%s", file);
		f->line = number;
		f->column = (uint32_t)start + 1;
		f->positioned = true;
	}
}

static void load_lines(
    struct sw_loader *l, char *text, size_t bytes, const char *file, uint32_t item, struct sw_spec_list *list)
{
	uint32_t number = 1;
	for (size_t at = 0; at < bytes && !l->out_of_memory; number++) {
		const char *newline = memchr(text + at, '\n', bytes - at);
		const size_t length = newline ? (size_t)(newline - text) - at : bytes - at;
		text[at + length] = 0;
		if (memchr(text + at, 0, length)) /* the text would end there and the rest be overlooked */
			text[at] = '\1';
		load_line(l, text + at, number, file, item, list);
		if (l->report->counts[SW_ERROR] >= SW_FINDINGS_MAX)
			return;
		if (list->count > SW_PREFIXES_MAX) {
			sw_load_error(
			    l, "join neighbours into shorter prefixes", "%s: more than %d prefixes", file, (int)SW_PREFIXES_MAX);
			return;
		}
		at += length + 1;
	}
}

static void load_prefix_file(struct sw_loader *l, const char *name, uint32_t item, struct sw_spec_list *list)
{
	char path[4096], quoted[SW_QUOTED_BYTES];
	char *text = NULL;
	size_t bytes = 0;
	const char *file = sw_arena_text(l->arena, name);
	if (!file) {
		l->out_of_memory = true;
		return;
	}
	int result = -ENAMETOOLONG;
	if (snprintf(path, sizeof(path), "%s%s%s", name[0] == '/' ? "" : l->directory, name[0] == '/' ? "" : "/", name) <
	    (int)sizeof(path))
		result = sw_read_file(path, &text, &bytes);
	if (result < 0) {
		sw_load_error(l, "a relative name starts from the folder of the configuration", "file %s: %s",
		    sw_quote(name, strlen(name), quoted),
		    result == -EISDIR  ? "is no regular file"
		    : result == -EFBIG ? "is larger than 64 MiB"
		                       : strerror(-result));
		return;
	}
	load_lines(l, text, bytes, file, item, list);
	free(text);
}

void sw_load_prefix_item(struct sw_loader *l, const json_t *json, uint32_t item, struct sw_spec_list *list)
{
	char hint[SW_PREFIX_TEXT_BYTES + 16], quoted[SW_QUOTED_BYTES];
	struct sw_prefix prefix;
	if (json_is_string(json)) {
		const char *text = json_string_value(json);
		const char *wrong = sw_prefix_parse(text, &prefix);
		if (wrong)
			sw_load_error(l, hint_for(&prefix, wrong, hint), "%s %s", sw_quote(text, strlen(text), quoted), wrong);
		else
			add_prefix(l, list, &prefix, item, NULL, 0);
		return;
	}
	const char *name = json_string_value(json_object_get(json, "file"));
	const size_t known = 1u + (size_t)json_is_string(json_object_get(json, "comment"));
	if (!name || json_object_size(json) != known || !name[0])
		sw_load_error(
		    l, "write a prefix in a string, or {\"file\": \"name\"}", "is neither a prefix nor a file of prefixes");
	else
		load_prefix_file(l, name, item, list);
}
