/* SPDX-License-Identifier: BSD-3-Clause */
/* Handlers that change something, or try a configuration out: on the Unix socket alone. And the list of blocks. */
#include <errno.h>
#include <stdlib.h>

#include "handlers.h"
#include "policy/address_text.h"
#include "views.h"

json_t *sw_view_block(struct sw_server *server, const struct sw_block *b)
{
	char text[SW_PREFIX_TEXT_BYTES];
	json_t *out = json_object();
	sw_put_text(out, "prefix", sw_prefix_format(&b->prefix, text));
	sw_put_time(out, "since", b->since_unix_ns);
	sw_put_time(out, "until", b->until_unix_ns);
	sw_put_text(out, "reason", b->reason);
	sw_observer_lock(server->observer);
	sw_put_count(out, "packets", sw_observer_entry_hits(server->observer, b->entry));
	sw_observer_unlock(server->observer);
	return out;
}

unsigned int sw_handle_blocks(struct sw_exchange *x)
{
	struct sw_block *blocks = NULL;
	const int count = sw_control_block_list(x->server->control, &blocks);
	if (count < 0)
		return sw_exchange_error(x, 500, "no_memory", NULL, "out of memory");
	json_t *list = json_array();
	for (int i = 0; i < count; i++)
		json_array_append_new(list, sw_view_block(x->server, &blocks[i]));
	free(blocks);
	return sw_exchange_json(x, 200, json_pack("{s:o, s:i}", "blocks", list, "limit", SW_BLOCKS_MAX));
}

/* The status that goes with an -errno of control. */
static unsigned int status_of(int error)
{
	switch (error) {
	case -ENOENT:
		return 404;
	case -ENOSPC:
		return 507;
	case -EPROTO:
	case -ENOTCONN:
		return 502;
	case -ETIMEDOUT:
	case -EBUSY:
		return 504;
	case -EINVAL:
		return 400;
	default:
		return 500;
	}
}

/* The body as a JSON object with no other keys than `keys`, or NULL and an answer. */
static json_t *parse_body(struct sw_exchange *x, const char *const *keys)
{
	json_error_t error;
	json_t *body = json_loadb(x->body ? x->body : "", x->body_bytes, JSON_REJECT_DUPLICATES, &error);
	if (!json_is_object(body)) {
		if (body)
			sw_exchange_error(x, 400, "bad_json", NULL, "the body must be a JSON object");
		else
			sw_exchange_error(x, 400, "bad_json", NULL, "line %d, column %d: %s", error.line, error.column, error.text);
		json_decref(body);
		return NULL;
	}
	const char *key;
	json_t *value;
	json_object_foreach(body, key, value)
	{
		int known = 0;
		for (int i = 0; keys[i]; i++)
			known |= !strcmp(keys[i], key);
		if (!known) {
			sw_exchange_error(x, 400, "unknown_key", x->route->body_help, "unknown key \"%.64s\"", key);
			json_decref(body);
			return NULL;
		}
	}
	return body;
}

/* A block as the body asks for it. False: the answer has been set to 400. */
static bool parse_block(struct sw_exchange *x, const json_t *body, struct sw_block *block, uint32_t *seconds)
{
	const json_t *address = json_object_get(body, "address"), *prefix = json_object_get(body, "prefix");
	const json_t *lifetime = json_object_get(body, "seconds"), *reason = json_object_get(body, "reason");
	const char *text = json_string_value(address ? address : prefix);
	if (!text || (address && prefix)) {
		sw_exchange_error(x, 400, "bad_block", x->route->body_help, "one of \"address\" and \"prefix\" must be a text");
		return false;
	}
	const char *wrong =
	    address ? sw_address_parse(text, &block->prefix.address) : sw_prefix_parse(text, &block->prefix);
	if (address)
		block->prefix.length = 128;
	if (wrong) {
		sw_exchange_error(x, 400, "bad_prefix", NULL, "\"%.64s\": %s", text, wrong);
		return false;
	}
	const json_int_t n = lifetime ? json_integer_value(lifetime) : 0;
	if (lifetime && (!json_is_integer(lifetime) || n < 0 || n > SW_BLOCK_MAX_S)) {
		sw_exchange_error(
		    x, 400, "bad_seconds", "0 or none: until removed", "seconds: a whole number from 0 to %d", SW_BLOCK_MAX_S);
		return false;
	}
	const char *why = reason ? json_string_value(reason) : "";
	if (!why || json_string_length(reason) >= SW_BLOCK_REASON_BYTES) {
		sw_exchange_error(x, 400, "bad_reason", NULL, "reason: a text of less than %d bytes", SW_BLOCK_REASON_BYTES);
		return false;
	}
	memcpy(block->reason, why, strlen(why) + 1);
	*seconds = (uint32_t)n;
	return true;
}

unsigned int sw_handle_block_add(struct sw_exchange *x)
{
	static const char *const keys[] = {"address", "prefix", "seconds", "reason", NULL};
	struct sw_block block = {0};
	uint32_t seconds = 0;
	char error[256] = "", text[SW_PREFIX_TEXT_BYTES];
	json_t *body = parse_body(x, keys);
	const bool good = body && parse_block(x, body, &block, &seconds);
	json_decref(body);
	if (!good)
		return 400;
	const int result =
	    sw_control_block_add(x->server->control, &block.prefix, seconds, block.reason, error, sizeof(error));
	if (result)
		return sw_exchange_error(x, status_of(result), "block_refused", NULL, "%s", error);
	return sw_exchange_json(x, 200,
	    json_pack("{s:s, s:i, s:s}", "blocked", sw_prefix_format(&block.prefix, text), "seconds", (int)seconds,
	        "reason", block.reason));
}

unsigned int sw_handle_block_remove(struct sw_exchange *x)
{
	struct sw_prefix prefix;
	uint32_t lifted = 0;
	char error[256] = "", text[SW_PREFIX_TEXT_BYTES];
	const char *wrong = sw_prefix_parse(x->argument, &prefix);
	if (wrong)
		return sw_exchange_error(x, 400, "bad_prefix", NULL, "\"%.64s\": %s", x->argument, wrong);
	const int result = sw_control_block_remove(x->server->control, &prefix, &lifted, error, sizeof(error));
	if (result)
		return sw_exchange_error(x, status_of(result), result == -ENOENT ? "no_such_block" : "unblock_failed",
		    "GET /blocks lists the operator's, GET /sources?by=refused those of the box", "%s", error);
	return sw_exchange_json(
	    x, 200, json_pack("{s:s, s:i}", "unblocked", sw_prefix_format(&prefix, text), "lifted", (int)lifted));
}

unsigned int sw_handle_reload(struct sw_exchange *x)
{
	json_t *report = NULL;
	const int result = sw_control_reload(x->server->control, &report);
	/* Good, but the dataplane is away: it gets the policy when it comes back. The report says so. */
	const bool stored = result == -ENOTCONN || result == -ETIMEDOUT;
	return sw_exchange_json(x, result && !stored ? 422 : stored ? 202 : 200, report ? report : json_object());
}

unsigned int sw_handle_check(struct sw_exchange *x)
{
	json_t *report = NULL;
	if (!x->body_bytes)
		return sw_exchange_error(x, 400, "no_body", NULL, "the body must hold the configuration to check");
	const int result = sw_control_check_text(x->server->control, x->body, x->body_bytes, &report);
	return sw_exchange_json(x, result ? 422 : 200, report ? report : json_object());
}

unsigned int sw_handle_config(struct sw_exchange *x)
{
	const struct sw_policy *policy = sw_control_policy(x->server->control);
	json_t *json = sw_policy_json(policy);
	sw_policy_release(policy);
	return sw_exchange_json(x, 200, json);
}
