/* SPDX-License-Identifier: BSD-3-Clause */
/* The operator's blocks, and what the dataplane knows of one address. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "control_internal.h"
#include "policy/dataplane_link.h"

static int fail(char *error, size_t bytes, int result, const char *text)
{
	snprintf(error, bytes, "%s", text);
	return result;
}

void sw_blocks_prune_locked(struct sw_control *c)
{
	pthread_mutex_lock(&c->state);
	sw_blocks_prune(&c->blocks, sw_now_unix_ns());
	pthread_mutex_unlock(&c->state);
}

/* Makes `blocks` the list that is in force, and takes them over. Under `work`. Errors as sw_control_block_add(). */
static int put_blocks_in_force(struct sw_control *c, struct sw_blocks *blocks, char *error, size_t error_bytes)
{
	char path[4096];
	struct policy *policy;
	struct sw_report *report = calloc(1, sizeof(*report));
	struct policy *current = sw_policy_hold_current(c);
	int result = report ? sw_control_compile(c, current->spec, blocks, current->snapshot, sw_control_next_generation(c),
	                          current->public.is_last_good, report, &policy)
	                    : -ENOMEM;
	if (!result)
		policy->public.loaded_unix_ns = current->public.loaded_unix_ns;
	sw_policy_drop(current);
	free(report);
	if (result == -ENOSPC)
		return fail(error, error_bytes, result,
		    "boot.entries leaves no room for another entry: raise it and restart the dataplane");
	if (!result)
		result = sw_control_put_in_force(c, policy);
	if (result == -EPROTO)
		return fail(error, error_bytes, result, "the dataplane refused the policy with this change");
	if (result && result != -ENOTCONN && result != -ETIMEDOUT)
		return fail(error, error_bytes, result, strerror(-result));
	pthread_mutex_lock(&c->state);
	const struct sw_blocks old = c->blocks;
	c->blocks = *blocks;
	*blocks = old;
	pthread_mutex_unlock(&c->state);
	snprintf(path, sizeof(path), "%s/blocks.json", c->state_dir);
	result = sw_blocks_save(&c->blocks, path);
	if (result)
		sw_log(LOG_ERR, "%s: %s; the block would be forgotten by a restart", path, strerror(-result));
	return 0;
}

int sw_control_block_add(struct sw_control *c, const struct sw_prefix *prefix, uint32_t seconds, const char *reason,
    char *error, size_t error_bytes)
{
	struct sw_blocks blocks;
	char text[SW_PREFIX_TEXT_BYTES];
	const char *refusal = sw_block_refusal(prefix, seconds, reason ? reason : "");
	const uint64_t now = sw_now_unix_ns();
	struct sw_block block = {.prefix = *prefix, .since_unix_ns = now, .entry = SW_NONE};
	if (refusal)
		return fail(error, error_bytes, -EINVAL, refusal);
	block.until_unix_ns = seconds ? now + (uint64_t)seconds * 1000000000u : 0;
	snprintf(block.reason, sizeof(block.reason), "%s", reason ? reason : "");
	memset(block.prefix.reserved, 0, sizeof(block.prefix.reserved));
	pthread_mutex_lock(&c->work);
	sw_blocks_prune_locked(c);
	int result = sw_blocks_copy(&c->blocks, &blocks);
	if (!result)
		result = sw_blocks_set(&blocks, &block);
	if (result == -ENOSPC)
		snprintf(error, error_bytes, "%d blocks stand already: remove some, or move them to the deny list",
		    (int)SW_BLOCKS_MAX);
	else if (result)
		fail(error, error_bytes, result, strerror(-result));
	else
		result = put_blocks_in_force(c, &blocks, error, error_bytes);
	sw_blocks_clear(&blocks);
	pthread_mutex_unlock(&c->work);
	if (!result)
		sw_log(LOG_NOTICE, "blocked %s for %u s (0: until removed): %s", sw_prefix_format(prefix, text), seconds,
		    block.reason);
	return result;
}

/* Lifts what the dataplane set by itself. 0 when it is away: then its blocks are gone, or lift themselves. */
static uint32_t unblock_in_dataplane(struct sw_control *c, const struct sw_prefix *prefix)
{
	struct sw_reply reply;
	const struct sw_request request = {
	    .version = SW_MESSAGE_VERSION, .kind = SW_REQUEST_UNBLOCK, .address = prefix->address, .service_slot = SW_NONE};
	if (prefix->length != 128 || sw_dataplane_ask(c->socket_path, &request, &reply, SW_EXPLAIN_WAIT_MS) < 0)
		return 0;
	return reply.status == SW_REPLY_OK ? reply.count : 0;
}

int sw_control_block_remove(
    struct sw_control *c, const struct sw_prefix *prefix, uint32_t *lifted, char *error, size_t error_bytes)
{
	struct sw_blocks blocks;
	char text[SW_PREFIX_TEXT_BYTES];
	uint32_t count = 0;
	pthread_mutex_lock(&c->work);
	sw_blocks_prune_locked(c);
	int result = sw_blocks_copy(&c->blocks, &blocks);
	struct sw_block *block = result ? NULL : sw_blocks_find(&blocks, prefix);
	if (block) {
		sw_blocks_remove(&blocks, block);
		result = put_blocks_in_force(c, &blocks, error, error_bytes);
		count = result == 0;
	} else if (result) {
		fail(error, error_bytes, result, strerror(-result));
	}
	sw_blocks_clear(&blocks);
	pthread_mutex_unlock(&c->work);
	if (!result)
		count += unblock_in_dataplane(c, prefix);
	if (lifted)
		*lifted = count;
	if (!result && !count)
		return fail(error, error_bytes, -ENOENT, "nothing of the kind is blocked");
	if (!result)
		sw_log(LOG_NOTICE, "unblocked %s", sw_prefix_format(prefix, text));
	return result;
}

static int compare_prefixes(const struct sw_prefix *a, const struct sw_prefix *b)
{
	const int order = memcmp(a->address.bytes, b->address.bytes, 16);
	return order ? order : (int)a->length - (int)b->length;
}

/* Entry numbers stand in the snapshot, whose rules are sorted: one search for each block. */
static uint32_t entry_of(const struct sw_snapshot_header *snapshot, const struct sw_prefix *prefix)
{
	uint32_t high, low = 0;
	const struct sw_prefix_rule *rules = sw_snapshot_array(snapshot, SW_SECTION_PREFIXES, &high);
	const uint32_t count = high;
	while (low < high) {
		const uint32_t middle = low + (high - low) / 2;
		if (compare_prefixes(&rules[middle].prefix, prefix) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < count && compare_prefixes(&rules[low].prefix, prefix) == 0; low++)
		if (rules[low].kind == SW_RULE_BLOCK)
			return rules[low].target;
	return SW_NONE;
}

int sw_control_block_list(struct sw_control *c, struct sw_block **out)
{
	struct sw_blocks blocks;
	pthread_mutex_lock(&c->state);
	int result = sw_blocks_copy(&c->blocks, &blocks);
	struct policy *policy = sw_policy_hold(c->policy);
	pthread_mutex_unlock(&c->state);
	*out = NULL;
	if (!result) {
		sw_blocks_prune(&blocks, sw_now_unix_ns());
		for (uint32_t i = 0; i < blocks.count; i++)
			blocks.items[i].entry = entry_of(policy->snapshot, &blocks.items[i].prefix);
		result = (int)blocks.count;
		if (blocks.count)
			*out = blocks.items;
		else
			sw_blocks_clear(&blocks);
	}
	sw_policy_drop(policy);
	return result;
}

int sw_control_explain(struct sw_control *c, const struct sw_address *address, uint32_t service_slot,
    struct sw_explain *out, char *error, size_t error_bytes)
{
	struct sw_reply reply;
	const struct sw_request request = {
	    .version = SW_MESSAGE_VERSION, .kind = SW_REQUEST_EXPLAIN, .address = *address, .service_slot = service_slot};
	const int result = sw_dataplane_ask(c->socket_path, &request, &reply, SW_EXPLAIN_WAIT_MS);
	if (result == -ETIMEDOUT)
		return fail(error, error_bytes, -ETIMEDOUT, "the dataplane did not answer within a second");
	if (result == -EPROTO)
		return fail(error, error_bytes, -EPROTO, "the dataplane speaks another version of the protocol");
	if (result)
		return fail(error, error_bytes, -ENOTCONN, "the dataplane is not running");
	if (reply.status == SW_REPLY_BUSY)
		return fail(error, error_bytes, -EBUSY, "the worker that owns the address did not answer; try again");
	if (reply.status != SW_REPLY_OK)
		return fail(error, error_bytes, -EPROTO, reply.text[0] ? reply.text : "the dataplane refused the question");
	*out = reply.explain;
	return 0;
}
