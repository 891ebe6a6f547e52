/* SPDX-License-Identifier: BSD-3-Clause */
#include "position.h"

#include <stdio.h>
#include <string.h>

#include "report.h"

enum {
	DEPTH_MAX = 64, /* what a configuration nests is far less; deeper values are not looked for */
	KEY_BYTES = 64, /* longest key that is compared whole; no key of ours is longer */
};

struct walk {
	const char *text;
	size_t bytes, at, line_start;
	uint32_t line;
	struct sw_position_query *queries;
	size_t query_count;
	size_t stop; /* offset at which the path is wanted */
	char path[SW_PATH_BYTES];
	size_t path_length;
	unsigned int depth;
};

static bool is_word(const char *key, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		const char c = key[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'))
			return false;
	}
	return bytes > 0 && bytes <= KEY_BYTES;
}

size_t sw_path_key(char *path, size_t bytes, const char *key, size_t key_bytes)
{
	char quoted[SW_QUOTED_BYTES];
	size_t length = strnlen(path, bytes);
	if (is_word(key, key_bytes))
		snprintf(path + length, bytes - length, "%s%.*s", length ? "." : "", (int)key_bytes, key);
	else
		snprintf(path + length, bytes - length, "[%s]", sw_quote(key, key_bytes, quoted));
	return strlen(path);
}

size_t sw_path_index(char *path, size_t bytes, size_t index)
{
	const size_t length = strnlen(path, bytes);
	snprintf(path + length, bytes - length, "[%zu]", index);
	return strlen(path);
}

static bool more(const struct walk *w)
{
	return w->at < w->bytes && w->at < w->stop;
}

static void space(struct walk *w)
{
	for (; more(w); w->at++) {
		const char c = w->text[w->at];
		if (c == '\n') {
			w->line++;
			w->line_start = w->at + 1;
		} else if (c != ' ' && c != '\t' && c != '\r') {
			return;
		}
	}
}

static void answer(struct walk *w, bool at_key)
{
	for (size_t i = 0; i < w->query_count; i++) {
		struct sw_position_query *q = &w->queries[i];
		if (!q->line && q->at_key == at_key && strcmp(q->path, w->path) == 0) {
			q->line = w->line;
			q->column = (uint32_t)(w->at - w->line_start) + 1;
		}
	}
}

static unsigned int hex4(const char *digits)
{
	unsigned int value = 0;
	for (int i = 0; i < 4; i++) {
		const char c = digits[i];
		const unsigned int digit = c >= '0' && c <= '9'                 ? (unsigned int)(c - '0')
		                           : (c | 32) >= 'a' && (c | 32) <= 'f' ? (unsigned int)((c | 32) - 'a' + 10)
		                                                                : 0;
		value = value << 4 | digit;
	}
	return value;
}

static size_t put_utf8(char *out, unsigned int point)
{
	if (point < 0x80) {
		out[0] = (char)point;
		return 1;
	}
	if (point < 0x800) {
		out[0] = (char)(0xc0 | point >> 6);
		out[1] = (char)(0x80 | (point & 0x3f));
		return 2;
	}
	if (point < 0x10000) {
		out[0] = (char)(0xe0 | point >> 12);
		out[1] = (char)(0x80 | (point >> 6 & 0x3f));
		out[2] = (char)(0x80 | (point & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | point >> 18);
	out[1] = (char)(0x80 | (point >> 12 & 0x3f));
	out[2] = (char)(0x80 | (point >> 6 & 0x3f));
	out[3] = (char)(0x80 | (point & 0x3f));
	return 4;
}

/* Reads an escape whose backslash is at w->at; returns its code point (surrogate pairs joined). */
static unsigned int escape(struct walk *w)
{
	static const char letters[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
	const char c = w->at + 1 < w->bytes ? w->text[w->at + 1] : 0;
	w->at += 2;
	if (c != 'u') {
		const char *found = c ? strchr(letters, c) : NULL;
		return found ? (unsigned int)values[found - letters] : '?';
	}
	if (w->bytes < 4 || w->at > w->bytes - 4)
		return '?';
	unsigned int point = hex4(w->text + w->at);
	w->at += 4;
	if (point >= 0xd800 && point < 0xdc00 && w->bytes - w->at >= 6 && w->text[w->at] == '\\' &&
	    w->text[w->at + 1] == 'u') {
		point = 0x10000 + ((point & 0x3ff) << 10) + (hex4(w->text + w->at + 2) & 0x3ff);
		w->at += 6;
	}
	return point;
}

/* Reads a string and decodes up to `key_max` bytes of it. Returns false at the end of the text. */
static bool string(struct walk *w, char *key, size_t key_max, size_t *key_bytes)
{
	*key_bytes = 0;
	for (w->at++; more(w);) {
		const char c = w->text[w->at];
		char utf8[4];
		size_t bytes = 1;
		if (c == '"') {
			w->at++;
			return true;
		}
		if (c == '\n' || c == 0) /* no string holds these: it was never closed */
			return false;
		if (c == '\\') {
			bytes = put_utf8(utf8, escape(w));
		} else {
			utf8[0] = c;
			w->at++;
		}
		if (*key_bytes + bytes <= key_max) {
			memcpy(key + *key_bytes, utf8, bytes);
			*key_bytes += bytes;
		}
	}
	return false;
}

static bool value(struct walk *w);

static void shorten(struct walk *w, size_t length)
{
	w->path_length = length;
	w->path[length] = 0;
}

static bool member(struct walk *w)
{
	char key[SW_QUOTED_BYTES];
	size_t key_bytes;
	const size_t at = w->at;
	if (!string(w, key, sizeof(key), &key_bytes))
		return false;
	w->path_length = sw_path_key(w->path, sizeof(w->path), key, key_bytes);
	const size_t behind = w->at;
	w->at = at;
	answer(w, true);
	w->at = behind;
	space(w);
	if (!more(w) || w->text[w->at] != ':')
		return false;
	w->at++;
	return value(w);
}

/* An object or array. Returns false where the walk is to end, with the path as it was there. */
static bool container(struct walk *w, char close)
{
	const size_t length = w->path_length;
	if (++w->depth > DEPTH_MAX)
		return false;
	w->at++;
	for (size_t index = 0;; index++) {
		space(w);
		if (!more(w))
			return false;
		if (w->text[w->at] == close)
			break;
		if (index) {
			if (w->text[w->at] != ',')
				return false;
			w->at++;
			space(w);
			if (!more(w))
				return false;
		}
		if (close == '}') {
			if (w->text[w->at] != '"' || !member(w))
				return false;
		} else {
			w->path_length = sw_path_index(w->path, sizeof(w->path), index);
			if (!value(w))
				return false;
		}
		shorten(w, length);
	}
	w->at++;
	w->depth--;
	return true;
}

static bool value(struct walk *w)
{
	char ignored[1];
	size_t none;
	space(w);
	if (!more(w))
		return false;
	answer(w, false);
	switch (w->text[w->at]) {
	case '{':
		return container(w, '}');
	case '[':
		return container(w, ']');
	case '"':
		return string(w, ignored, 0, &none) && more(w); /* one that ends with the text is still being read */
	default: {
		const size_t start = w->at;
		while (more(w) && w->text[w->at] && strchr("+-.0123456789abcdefghijklmnopqrstuvwxyzE", w->text[w->at]))
			w->at++;
		return w->at > start && more(w); /* likewise */
	}
	}
}

void sw_positions_find(const char *text, size_t bytes, struct sw_position_query *queries, size_t count)
{
	struct walk w = {.text = text, .bytes = bytes, .line = 1, .queries = queries, .query_count = count, .stop = bytes};
	for (size_t i = 0; i < count; i++)
		queries[i].line = queries[i].column = 0;
	value(&w);
}

void sw_position_path_at(const char *text, size_t bytes, size_t offset, char *path, size_t path_bytes)
{
	struct walk w = {.text = text, .bytes = bytes, .line = 1, .stop = offset};
	value(&w);
	snprintf(path, path_bytes, "%s", w.path);
}
