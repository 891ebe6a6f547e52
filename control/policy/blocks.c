/* SPDX-License-Identifier: BSD-3-Clause */
#include "blocks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "load_internal.h"
#include "state_file.h"

enum { FILE_VERSION = 1 };

void sw_blocks_clear(struct sw_blocks *blocks)
{
	free(blocks->items);
	*blocks = (struct sw_blocks){0};
}

void sw_blocks_prune(struct sw_blocks *blocks, uint64_t now_unix_ns)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < blocks->count; i++)
		if (!blocks->items[i].until_unix_ns || blocks->items[i].until_unix_ns > now_unix_ns)
			blocks->items[kept++] = blocks->items[i];
	blocks->count = kept;
}

struct sw_block *sw_blocks_find(const struct sw_blocks *blocks, const struct sw_prefix *prefix)
{
	for (uint32_t i = 0; i < blocks->count; i++)
		if (blocks->items[i].prefix.length == prefix->length &&
		    sw_address_equal(&blocks->items[i].prefix.address, &prefix->address))
			return &blocks->items[i];
	return NULL;
}

int sw_blocks_set(struct sw_blocks *blocks, const struct sw_block *block)
{
	struct sw_block *at = sw_blocks_find(blocks, &block->prefix);
	if (!at && blocks->count == SW_BLOCKS_MAX)
		return -ENOSPC;
	if (!blocks->items && !(blocks->items = calloc(SW_BLOCKS_MAX, sizeof(*blocks->items))))
		return -ENOMEM;
	if (!at)
		at = &blocks->items[blocks->count++];
	*at = *block;
	return 0;
}

void sw_blocks_remove(struct sw_blocks *blocks, struct sw_block *block)
{
	const size_t behind = (size_t)(blocks->items + blocks->count - block) - 1;
	memmove(block, block + 1, behind * sizeof(*block));
	blocks->count--;
}

int sw_blocks_copy(const struct sw_blocks *from, struct sw_blocks *to)
{
	*to = (struct sw_blocks){0};
	if (!from->items)
		return 0;
	to->items = calloc(SW_BLOCKS_MAX, sizeof(*to->items));
	if (!to->items)
		return -ENOMEM;
	memcpy(to->items, from->items, from->count * sizeof(*to->items));
	to->count = from->count;
	return 0;
}

const char *sw_block_refusal(const struct sw_prefix *prefix, uint32_t seconds, const char *reason)
{
	const struct sw_address masked = sw_address_mask(prefix->address, prefix->length);
	const bool ipv4 = sw_address_is_ipv4(&prefix->address) && prefix->length >= SW_IPV4_MAPPED_BITS;
	if (prefix->length > 128 || !sw_address_equal(&masked, &prefix->address))
		return "the prefix has host bits set";
	if (ipv4 ? prefix->length < SW_IPV4_MAPPED_BITS + 8 : prefix->length < 16)
		return "the prefix holds too many addresses: block at most an IPv4 /8 or an IPv6 /16; the deny list takes any";
	if (seconds > SW_BLOCK_MAX_S)
		return "a block lasts a year at most; 0 seconds: until it is removed";
	if (strlen(reason) >= SW_BLOCK_REASON_BYTES)
		return "the reason is longer than 127 bytes";
	for (const char *p = reason; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return "the reason holds control characters";
	json_t *text = json_string(reason);
	json_decref(text);
	return text ? NULL : "the reason is not UTF-8";
}

static int read_block(const json_t *json, struct sw_block *out)
{
	const char *prefix, *reason;
	json_int_t since, until;
	*out = (struct sw_block){.entry = SW_NONE};
	if (json_unpack((json_t *)(uintptr_t)json, "{s:s, s:I, s:I, s:s}", "prefix", &prefix, "since_unix_ns", &since,
	        "until_unix_ns", &until, "reason", &reason) != 0 ||
	    sw_prefix_parse(prefix, &out->prefix) || since < 0 || until < 0 || sw_block_refusal(&out->prefix, 0, reason))
		return -EINVAL;
	out->since_unix_ns = (uint64_t)since;
	out->until_unix_ns = (uint64_t)until;
	memcpy(out->reason, reason, strlen(reason) + 1);
	return 0;
}

int sw_blocks_load(struct sw_blocks *blocks, const char *path, uint64_t now_unix_ns)
{
	char *text;
	size_t bytes, index;
	json_t *item;
	struct sw_block block;
	int result = sw_read_file(path, &text, &bytes);
	if (result)
		return result == -ENOENT ? 0 : result;
	json_t *json = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, NULL);
	free(text);
	const json_t *list = json_object_get(json, "blocks");
	if (json_integer_value(json_object_get(json, "version")) != FILE_VERSION || !json_is_array(list) ||
	    json_array_size(list) > SW_BLOCKS_MAX)
		result = -EINVAL;
	if (!result) {
		json_array_foreach(list, index, item)
		{
			if (read_block(item, &block) || (result = sw_blocks_set(blocks, &block)) != 0) {
				result = result ? result : -EINVAL;
				break;
			}
		}
	}
	json_decref(json);
	if (result)
		sw_blocks_clear(blocks);
	else
		sw_blocks_prune(blocks, now_unix_ns);
	return result;
}

int sw_blocks_save(const struct sw_blocks *blocks, const char *path)
{
	char prefix[SW_PREFIX_TEXT_BYTES];
	json_t *list = json_array();
	for (uint32_t i = 0; list && i < blocks->count; i++) {
		const struct sw_block *b = &blocks->items[i];
		json_array_append_new(list,
		    json_pack("{s:s, s:I, s:I, s:s}", "prefix", sw_prefix_format(&b->prefix, prefix), "since_unix_ns",
		        (json_int_t)b->since_unix_ns, "until_unix_ns", (json_int_t)b->until_unix_ns, "reason", b->reason));
	}
	json_t *json = json_pack("{s:i, s:o}", "version", FILE_VERSION, "blocks", list);
	char *text = json ? json_dumps(json, JSON_INDENT(1)) : NULL;
	const int result = text ? sw_write_file(path, text, strlen(text), 0600) : -ENOMEM;
	free(text);
	json_decref(json);
	return result;
}
