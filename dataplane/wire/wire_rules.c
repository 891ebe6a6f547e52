/* SPDX-License-Identifier: BSD-3-Clause */
/* Allow, deny and block rules of a snapshot as a trie of the XDP program: nested rules are combined here. */
#include "wire_private.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "../core/snapshot_check.h"

#define FOR_EVER UINT64_MAX

enum { DEPTH_MAX = 129, BATCH = 4096 };

/* ---- filling maps -------------------------------------------------------------------------------------------------
 */

static bool is_ipv4(const struct sw_prefix *prefix)
{
	return prefix->length >= SW_IPV4_MAPPED_BITS && sw_address_is_ipv4(&prefix->address);
}

struct sw_wire_prefix_key wire_prefix_key(const struct sw_prefix *prefix)
{
	struct sw_wire_prefix_key key = {.prefix_bits = 8u + prefix->length, .family = is_ipv4(prefix) ? 4 : 6};
	memcpy(key.address, prefix->address.bytes, sizeof(key.address));
	return key;
}

int wire_fill_map(int map, const void *keys, const void *values, size_t key_bytes, size_t value_bytes, uint32_t count)
{
	bool batches = true; /* not every kernel has them for tries */
	for (uint32_t done = 0; done < count;) {
		const char *key = (const char *)keys + done * key_bytes, *value = (const char *)values + done * value_bytes;
		uint32_t some = count - done < BATCH ? count - done : BATCH;
		batches = batches && bpf_map_update_batch(map, key, value, &some, NULL) == 0;
		if (!batches) {
			some = 1;
			if (bpf_map_update_elem(map, key, value, BPF_ANY))
				return -errno;
		}
		done += some;
	}
	return 0;
}

/* ---- rules --------------------------------------------------------------------------------------------------------
 */

struct nesting {
	struct {
		struct sw_prefix prefix;
		struct sw_wire_rule rule;
	} around[DEPTH_MAX];
	unsigned int depth;
};

struct clocks {
	uint64_t unix_ns, monotonic_ns;
};

static uint64_t read_clock(clockid_t id)
{
	struct timespec now;
	clock_gettime(id, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

/* The moment `unix_ns` on the clock that the program has. The past becomes 1: over, and not "no block". */
static uint64_t on_monotonic(const struct clocks *now, uint64_t unix_ns)
{
	if (unix_ns <= now->unix_ns)
		return 1;
	const uint64_t ahead = unix_ns - now->unix_ns;
	return ahead < FOR_EVER - now->monotonic_ns ? now->monotonic_ns + ahead : FOR_EVER;
}

/*
 * Lays one rule over what holds around it, in the order of kinds: at equal length a block beats a deny beats an allow.
 * A block that ends uncovers what is beneath; while several are nested, the last to end decides when that is.
 */
static void lay_over(struct sw_wire_rule *rule, const struct sw_prefix_rule *by, const struct clocks *now)
{
	if (by->kind == SW_RULE_BLOCK && by->until_unix_ns) {
		const uint64_t until = on_monotonic(now, by->until_unix_ns);
		if (until > rule->blocked_until_ns) {
			rule->blocked_until_ns = until;
			rule->block_entry = by->target;
		}
		return;
	}
	*rule = (struct sw_wire_rule){.otherwise = SW_WIRE_RULE_NONE};
	if (by->kind == SW_RULE_BLOCK) {
		rule->blocked_until_ns = FOR_EVER;
		rule->block_entry = by->target;
	}
	if (by->kind == SW_RULE_ALLOW)
		rule->otherwise = SW_WIRE_RULE_ALLOW;
	if (by->kind == SW_RULE_DENY) {
		rule->otherwise = SW_WIRE_RULE_DENY;
		rule->deny_entry = by->target;
	}
}

static bool same_prefix(const struct sw_prefix *a, const struct sw_prefix *b)
{
	return a->length == b->length && sw_address_equal(&a->address, &b->address);
}

/* Keys and values for `rules`; returns how many. Both have room for one each. */
static uint32_t combine(
    const struct sw_prefix_rule *rules, uint32_t count, struct sw_wire_prefix_key *keys, struct sw_wire_rule *values)
{
	struct nesting nestings[2] = {{.depth = 0}, {.depth = 0}};
	const struct clocks now = {read_clock(CLOCK_REALTIME), read_clock(CLOCK_MONOTONIC)};
	uint32_t made = 0;

	for (uint32_t first = 0, end; first < count; first = end) {
		const struct sw_prefix *prefix = &rules[first].prefix;
		struct nesting *n = &nestings[is_ipv4(prefix)];
		while (n->depth && !sw_prefix_contains(&n->around[n->depth - 1].prefix, &prefix->address))
			n->depth--;
		struct sw_wire_rule rule = {0};
		if (n->depth)
			rule = n->around[n->depth - 1].rule;
		bool decides = false;
		for (end = first; end < count && same_prefix(&rules[end].prefix, prefix); end++) {
			if (rules[end].kind == SW_RULE_GROUP)
				continue;
			lay_over(&rule, &rules[end], &now);
			decides = true;
		}
		if (!decides)
			continue;
		n->around[n->depth].prefix = *prefix;
		n->around[n->depth++].rule = rule;
		keys[made] = wire_prefix_key(prefix);
		values[made++] = rule;
	}
	return made;
}

int wire_rules_build(const void *snapshot, uint32_t *entries)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_NO_PREALLOC);
	uint32_t count;
	const struct sw_prefix_rule *rules = sw_snapshot_prefixes(snapshot, &count);
	struct sw_wire_prefix_key *keys = calloc((size_t)count + 1, sizeof(*keys));
	struct sw_wire_rule *values = calloc((size_t)count + 1, sizeof(*values));
	int map = -ENOMEM;
	if (!keys || !values)
		goto done;
	*entries = combine(rules, count, keys, values);
	map = bpf_map_create(
	    BPF_MAP_TYPE_LPM_TRIE, "sw_sources", sizeof(*keys), sizeof(*values), *entries ? *entries : 1, &options);
	if (map < 0) {
		map = -errno;
		goto done;
	}
	const int error = wire_fill_map(map, keys, values, sizeof(*keys), sizeof(*values), *entries);
	if (error) {
		close(map);
		map = error;
	}
done:
	free(keys);
	free(values);
	return map;
}
