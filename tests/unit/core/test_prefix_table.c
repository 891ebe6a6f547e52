/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "core/prefix_table.h"
#include "random_prefixes.h"

/* What the contract says, by looking at every rule. */
struct answer {
	uint8_t kind;
	uint32_t entry, group;
};

static struct answer ask_oracle(
	const struct sw_prefix_rule *rules, uint32_t count, const struct sw_address *address, uint64_t now)
{
	struct answer answer = {SW_RULE_KINDS, SW_NONE, SW_NONE};
	int length = -1, group_length = -1;
	for (uint32_t i = 0; i < count; i++) {
		const struct sw_prefix_rule *r = &rules[i];
		if (!sw_prefix_contains(&r->prefix, address))
			continue;
		if (r->kind == SW_RULE_GROUP) {
			if (r->prefix.length > group_length) {
				group_length = r->prefix.length;
				answer.group = r->target;
			}
			continue;
		}
		if (r->kind == SW_RULE_BLOCK && r->until_unix_ns && r->until_unix_ns <= now)
			continue;
		if (r->prefix.length > length || (r->prefix.length == length && r->kind > answer.kind)) {
			length = r->prefix.length;
			answer.kind = r->kind;
			answer.entry = r->target;
		}
	}
	return answer;
}

static void assert_same(const struct sw_prefix_table *table, const struct sw_prefix_rule *rules, uint32_t count,
	const struct sw_address *addresses, unsigned int address_count)
{
	static const uint64_t times[] = {0, 1000, 2000, 5000, UINT64_MAX};
	for (unsigned int at = 0; at < address_count; at += SW_BURST) {
		const struct sw_address *pointers[SW_BURST];
		uint32_t found[SW_BURST];
		const unsigned int burst = address_count - at < SW_BURST ? address_count - at : SW_BURST;
		for (unsigned int i = 0; i < burst; i++)
			pointers[i] = &addresses[at + i];
		sw_prefix_table_find_burst(table, pointers, burst, found);
		for (unsigned int i = 0; i < burst; i++) {
			const uint32_t class = sw_prefix_table_lookup(table, pointers[i]);
			assert_int_equal(found[i], sw_prefix_table_find(table, pointers[i]));
			assert_true(class < table->class_count);
			assert_true(found[i] == class || (found[i] & SW_SOURCE_DENIED && class == SW_SOURCE_CLASS_NONE));
			for (unsigned int t = 0; t < sizeof(times) / sizeof(times[0]); t++) {
				const struct answer want = ask_oracle(rules, count, pointers[i], times[t]);
				const struct sw_source_class got = sw_prefix_table_class_now(table, found[i], times[t]);
				assert_int_equal(got.kind, want.kind);
				assert_int_equal(got.entry, want.entry);
				assert_int_equal(got.group, want.group);
				assert_int_equal(sw_prefix_table_class(table, class)->group, want.group);
			}
		}
	}
}

static struct sw_prefix_table *build(const struct sw_prefix_rule *rules, uint32_t count)
{
	struct sw_prefix_table *table;
	assert_int_equal(sw_prefix_table_build(rules, count, NULL, &table), 0);
	assert_true(sw_prefix_table_bytes(table) > 0);
	return table;
}

static void empty_table_holds_nothing(void **state)
{
	(void)state;
	struct sw_prefix_table *table = build(NULL, 0);
	const struct sw_address addresses[] = {address_of("0.0.0.0"), address_of("::"), address_of("255.255.255.255")};
	assert_same(table, NULL, 0, addresses, 3);
	assert_int_equal(table->class_count, 1);
	sw_prefix_table_free(table);
	sw_prefix_table_free(NULL);
}

static const struct {
	const char *what;
	struct {
		const char *prefix;
		uint8_t kind;
		uint32_t target;
		uint64_t until;
	} rules[6];
	const char *address;
	uint64_t now;
	struct answer want;
} cases[] = {
    {"default route of one family", {{"0.0.0.0/0", SW_RULE_DENY, 1, 0}}, "1.2.3.4", 0, {SW_RULE_DENY, 1, SW_NONE}},
    {"::/0 holds no IPv4", {{"::/0", SW_RULE_DENY, 1, 0}}, "1.2.3.4", 0, {SW_RULE_KINDS, SW_NONE, SW_NONE}},
    {"0.0.0.0/0 holds no IPv6", {{"0.0.0.0/0", SW_RULE_DENY, 1, 0}}, "::1", 0, {SW_RULE_KINDS, SW_NONE, SW_NONE}},
    {"IPv4 in the midst does not end ::/0",
        {{"::/0", SW_RULE_DENY, 1, 0}, {"9.0.0.0/8", SW_RULE_DENY, 2, 0}, {"2001:db8::/32", SW_RULE_GROUP, 3, 0}},
        "2001:db8::1", 0, {SW_RULE_DENY, 1, 3}},
    {"host route, IPv4", {{"10.0.0.0/8", SW_RULE_DENY, 1, 0}, {"10.1.1.1", SW_RULE_ALLOW, 2, 0}}, "10.1.1.1", 0,
        {SW_RULE_ALLOW, 2, SW_NONE}},
    {"host route, IPv6", {{"fd00::/8", SW_RULE_DENY, 1, 0}, {"fd00::1", SW_RULE_ALLOW, 2, 0}}, "fd00::1", 0,
        {SW_RULE_ALLOW, 2, SW_NONE}},
    {"beside the host route", {{"fd00::/8", SW_RULE_DENY, 1, 0}, {"fd00::1", SW_RULE_ALLOW, 2, 0}}, "fd00::2", 0,
        {SW_RULE_DENY, 1, SW_NONE}},
    {"deny beats allow at equal length", {{"10.0.0.0/8", SW_RULE_ALLOW, 1, 0}, {"10.0.0.0/8", SW_RULE_DENY, 2, 0}},
        "10.0.0.1", 0, {SW_RULE_DENY, 2, SW_NONE}},
    {"block beats deny", {{"10.0.0.0/8", SW_RULE_DENY, 1, 0}, {"10.0.0.0/8", SW_RULE_BLOCK, 2, 9}}, "10.0.0.1", 8,
        {SW_RULE_BLOCK, 2, SW_NONE}},
    {"ended block uncovers the deny of its own prefix",
        {{"10.0.0.0/8", SW_RULE_DENY, 1, 0}, {"10.0.0.0/8", SW_RULE_BLOCK, 2, 9}}, "10.0.0.1", 9,
        {SW_RULE_DENY, 1, SW_NONE}},
    {"ended blocks uncover the allow far above",
        {{"10.0.0.0/8", SW_RULE_ALLOW, 1, 0}, {"10.0.0.0/16", SW_RULE_BLOCK, 2, 5},
            {"10.0.0.0/24", SW_RULE_BLOCK, 3, 9}},
        "10.0.0.1", 9, {SW_RULE_ALLOW, 1, SW_NONE}},
    {"the outer block outlives the inner one",
        {{"10.0.0.0/16", SW_RULE_BLOCK, 2, 99}, {"10.0.0.0/24", SW_RULE_BLOCK, 3, 9}}, "10.0.0.1", 9,
        {SW_RULE_BLOCK, 2, SW_NONE}},
    {"a block without end", {{"10.0.0.0/8", SW_RULE_BLOCK, 2, 0}}, "10.0.0.1", UINT64_MAX, {SW_RULE_BLOCK, 2, SW_NONE}},
    {"a longer group under a deny",
        {{"10.0.0.0/8", SW_RULE_DENY, 1, 0}, {"10.0.0.0/8", SW_RULE_GROUP, 5, 0}, {"10.2.0.0/16", SW_RULE_GROUP, 6, 0}},
        "10.2.0.1", 0, {SW_RULE_DENY, 1, 6}},
    {"the group of what an ended block uncovers",
        {{"10.0.0.0/8", SW_RULE_ALLOW, 1, 0}, {"10.0.0.0/8", SW_RULE_GROUP, 5, 0}, {"10.2.0.0/16", SW_RULE_BLOCK, 3, 9},
            {"10.2.3.0/24", SW_RULE_GROUP, 6, 0}},
        "10.2.3.4", 10, {SW_RULE_ALLOW, 1, 6}},
};

static void rules_combine_as_the_contract_says(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sw_prefix_rule rules[6];
		uint32_t count = 0;
		for (; count < 6 && cases[i].rules[count].prefix; count++)
			rules[count] = (struct sw_prefix_rule){.prefix = prefix_of(cases[i].rules[count].prefix),
				.kind = cases[i].rules[count].kind, .target = cases[i].rules[count].target,
				.until_unix_ns = cases[i].rules[count].until};
		count = sort_rules(rules, count);
		struct sw_prefix_table *table = build(rules, count);
		const struct sw_address address = address_of(cases[i].address);
		const struct sw_source_class got =
			sw_prefix_table_class_now(table, sw_prefix_table_find(table, &address), cases[i].now);
		if (got.kind != cases[i].want.kind || got.entry != cases[i].want.entry || got.group != cases[i].want.group)
			fail_msg("%s: kind %u entry %u group %u", cases[i].what, got.kind, got.entry, got.group);
		assert_same(table, rules, count, &address, 1);
		sw_prefix_table_free(table);
	}
}

/* Every length of both families over one address; asked at the first address that no longer belongs to each. */
static void every_length_ends_where_it_should(void **state)
{
	(void)state;
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		struct sw_prefix_rule rules[129] = {0};
		struct sw_address asked[130];
		const struct sw_address host = address_of(ipv6 ? "2a5a:a5a5:5a5a:a5a5:5a5a:a5a5:5a5a:a5a5" : "165.90.165.90");
		uint32_t count = 0;
		for (unsigned int length = ipv6 ? 0 : SW_IPV4_MAPPED_BITS; length <= 128; length++, count++) {
			rules[count].prefix =
			    (struct sw_prefix){.address = sw_address_mask(host, (uint8_t)length), .length = (uint8_t)length};
			rules[count].kind = (uint8_t)(length % 3 == 0   ? SW_RULE_GROUP
			                              : length % 3 == 1 ? SW_RULE_DENY
			                                                : SW_RULE_BLOCK);
			rules[count].target = length;
			rules[count].until_unix_ns = rules[count].kind == SW_RULE_BLOCK ? 1000 + length : 0;
			asked[count] = host;
			if (length < 128)
				asked[count].bytes[length / 8] = (uint8_t)(host.bytes[length / 8] ^ 0x80 >> length % 8);
		}
		struct sw_prefix_table *table = build(rules, sort_rules(rules, count));
		assert_same(table, rules, count, asked, count);
		sw_prefix_table_free(table);
	}
}

static uint32_t random_rules(uint64_t *seed, struct sw_prefix_rule *rules, uint32_t count, bool ipv6, uint32_t hubs)
{
	struct sw_address hub[16];
	for (uint32_t i = 0; i < hubs; i++)
		hub[i] = random_address(seed, ipv6);
	for (uint32_t i = 0; i < count; i++) {
		const unsigned int width = ipv6 ? 128 : 32;
		const uint8_t length = (uint8_t)(128 - random_below(seed, width + 1));
		const struct sw_address base =
			hubs ? random_neighbour(seed, hub[random_below(seed, hubs)], width) : random_address(seed, ipv6);
		memset(&rules[i], 0, sizeof(rules[i]));
		rules[i].prefix = (struct sw_prefix){.address = sw_address_mask(base, length), .length = length};
		rules[i].kind = (uint8_t)random_below(seed, SW_RULE_KINDS);
		rules[i].target = random_below(seed, 8);
		if (rules[i].kind == SW_RULE_BLOCK)
			rules[i].until_unix_ns = (uint64_t)random_below(seed, 4) * 1000;
	}
	return count;
}

/* First and last address of a prefix, and the ones before and behind. */
static void edges(const struct sw_prefix *prefix, struct sw_address out[4])
{
	const int least = prefix->length >= SW_IPV4_MAPPED_BITS && sw_address_is_ipv4(&prefix->address) ? 12 : 0;
	out[0] = out[1] = out[2] = prefix->address;
	for (unsigned int bit = prefix->length; bit < 128; bit++)
		out[1].bytes[bit / 8] = (uint8_t)(out[1].bytes[bit / 8] | 0x80 >> bit % 8);
	out[3] = out[1];
	for (int i = 15; i >= least && out[2].bytes[i]-- == 0; i--)
		;
	for (int i = 15; i >= least && ++out[3].bytes[i] == 0; i--)
		;
}

static void random_nested_sets_match_the_oracle(void **state)
{
	(void)state;
	uint64_t seed = 0x5ea3a11;
	for (unsigned int round = 0; round < 300; round++) {
		struct sw_prefix_rule rules[200];
		struct sw_address asked[200 * 4 + 64];
		uint32_t count = random_rules(&seed, rules, random_below(&seed, 100), false, round % 4);
		count += random_rules(&seed, rules + count, random_below(&seed, 100), true, round % 5);
		count = sort_rules(rules, count);
		struct sw_prefix_table *table = build(rules, count);
		uint32_t asking = 0;
		for (uint32_t i = 0; i < count; i++, asking += 4)
			edges(&rules[i].prefix, &asked[asking]);
		for (int i = 0; i < 64; i++)
			asked[asking++] = random_address(&seed, i & 1);
		assert_same(table, rules, count, asked, asking);
		sw_prefix_table_free(table);
	}
}

static void capacity_of_the_box(void **state)
{
	(void)state;
	enum { IPV4 = 100000, IPV6 = 20000, ASKED = 128 };
	uint64_t seed = 20080524;
	struct sw_prefix_rule *rules = calloc(IPV4 + IPV6, sizeof(*rules));
	struct sw_address asked[ASKED];
	assert_non_null(rules);
	for (uint32_t i = 0; i < IPV4 + IPV6; i++) {
		const bool ipv6 = i >= IPV4;
		const uint8_t length = (uint8_t)(ipv6 ? 32 + random_below(&seed, 97) : 112 + random_below(&seed, 17));
		struct sw_address base = random_address(&seed, ipv6);
		if (ipv6)
			base.bytes[0] = 0x20;
		rules[i] = (struct sw_prefix_rule){.prefix = {sw_address_mask(base, length), length, {0}},
			.kind = (uint8_t)random_below(&seed, SW_RULE_KINDS), .target = i};
	}
	const uint32_t count = sort_rules(rules, IPV4 + IPV6);
	assert_true(count > 118000);
	struct sw_prefix_table *table = build(rules, count);
	for (uint32_t i = 0; i < ASKED; i++)
		asked[i] = i % 4 ? rules[random_below(&seed, count)].prefix.address : random_address(&seed, i & 4);
	assert_same(table, rules, count, asked, ASKED);
	assert_true(sw_prefix_table_bytes(table) < 64u << 20);
	sw_prefix_table_free(table);
	free(rules);
}

/* ---- the trie alone, in bursts of every length ------------------------------------------------------------------ */

enum { LONGEST_BURST = 70, TRIE_PREFIXES = 4600 };

static uint32_t longest_match(const struct sw_trie_prefix *prefixes, uint32_t count, const struct sw_address *address)
{
	const struct sw_trie_prefix *best = NULL;
	for (uint32_t i = 0; i < count; i++)
		if (sw_prefix_contains(&prefixes[i].prefix, address) &&
			(!best || prefixes[i].prefix.length > best->prefix.length))
			best = &prefixes[i];
	return best ? best->value : 0;
}

static int compare_trie_prefixes(const void *left, const void *right)
{
	const struct sw_trie_prefix *a = left, *b = right;
	return compare_prefixes(&a->prefix, &b->prefix);
}

static uint32_t sort_trie_prefixes(struct sw_trie_prefix *prefixes, uint32_t count)
{
	uint32_t kept = 0;
	qsort(prefixes, count, sizeof(*prefixes), compare_trie_prefixes);
	for (uint32_t i = 0; i < count; i++)
		if (kept == 0 || compare_prefixes(&prefixes[kept - 1].prefix, &prefixes[i].prefix) != 0)
			prefixes[kept++] = prefixes[i];
	return kept;
}

/* An address of either family; `shape` 0: IPv4, 1: IPv6, 2: both, 3: IPv6 that surrounds IPv4 too. */
static struct sw_address random_of_shape(uint64_t *seed, unsigned int shape)
{
	static const char *const around[] = {
	    "::", "::1", "::fffe:a00:1", "::ffff:0:a00:1", "::1:0:0", "0.0.0.0", "255.0.0.1"};
	if (shape == 3 && random_below(seed, 2))
		return random_neighbour(seed, address_of(around[random_below(seed, 7)]), 40);
	return random_address(seed, shape == 1 || (shape >= 2 && random_below(seed, 2)));
}

static void assert_trie_bursts(const struct sw_prefix_trie *trie, const struct sw_address *const *asked,
    const uint32_t *want)
{
	for (unsigned int length = 1; length <= LONGEST_BURST; length++) {
		const unsigned int at = length % 7; /* bursts begin anywhere in what is asked */
		uint32_t got[LONGEST_BURST + 1];
		got[length] = 0x5ea3a11;
		sw_prefix_trie_lookup_burst(trie, asked + at, length, got);
		assert_memory_equal(got, want + at, length * sizeof(*want));
		assert_int_equal(got[length], 0x5ea3a11); /* nothing behind the burst is written */
	}
}

static void ask_trie(uint64_t *seed, const struct sw_trie_prefix *prefixes, uint32_t count, unsigned int shape)
{
	enum { ASKED = LONGEST_BURST + 7 };
	struct sw_prefix_trie trie;
	struct sw_address addresses[ASKED];
	const struct sw_address *pointers[ASKED];
	uint32_t want[ASKED];
	assert_int_equal(sw_prefix_trie_build(&trie, prefixes, count, NULL), 0);
	for (unsigned int i = 0; i < ASKED; i++) {
		addresses[i] = random_of_shape(seed, shape);
		if (count && random_below(seed, 4))
			addresses[i] = random_neighbour(seed, prefixes[random_below(seed, count)].prefix.address, 32);
		pointers[i] = &addresses[i];
		want[i] = longest_match(prefixes, count, &addresses[i]);
		assert_int_equal(sw_prefix_trie_lookup(&trie, &addresses[i]), want[i]);
	}
	assert_trie_bursts(&trie, pointers, want);
	sw_prefix_trie_free(&trie, NULL);
}

/* The counts make roots of each width: of 8, 14 and 20 bits. */
static void trie_bursts_match_the_oracle(void **state)
{
	(void)state;
	static const uint32_t counts[] = {0, 1, 3, 30, 64, 150, 800, TRIE_PREFIXES};
	struct sw_trie_prefix *prefixes = calloc(TRIE_PREFIXES, sizeof(*prefixes));
	uint64_t seed = 0x7121e;
	assert_non_null(prefixes);
	for (unsigned int round = 0; round < 160; round++) {
		const unsigned int shape = round % 4;
		const uint32_t wanted = counts[round / 4 % 8];
		struct sw_address hub = random_of_shape(&seed, shape);
		for (uint32_t i = 0; i < wanted; i++) {
			if (random_below(&seed, 8) == 0)
				hub = random_of_shape(&seed, shape);
			const struct sw_address base = random_neighbour(&seed, hub, sw_address_is_ipv4(&hub) ? 32 : 128);
			const uint8_t length = (uint8_t)(128 - random_below(&seed, sw_address_is_ipv4(&base) ? 33 : 129));
			prefixes[i] = (struct sw_trie_prefix){
			    .prefix = {sw_address_mask(base, length), length, {0}}, .value = 1 + random_below(&seed, 0x7fffffff)};
		}
		ask_trie(&seed, prefixes, sort_trie_prefixes(prefixes, wanted), shape);
	}
	free(prefixes);
}

/* All 64 slots of a node go on, or all but its last: where does the first run begin? */
static void nodes_full_of_children(void **state)
{
	(void)state;
	uint64_t seed = 64;
	for (uint32_t children = 1; children <= 64; children++) {
		struct sw_trie_prefix prefixes[65];
		for (uint32_t i = 0; i < children; i++) {
			const uint8_t four[4] = {10, (uint8_t)(i << 2), 0, 0};
			prefixes[i + 1] = (struct sw_trie_prefix){
			    .prefix = {sw_address_from_ipv4(four), SW_IPV4_MAPPED_BITS + 16, {0}}, .value = i + 2};
		}
		prefixes[0] = (struct sw_trie_prefix){.prefix = prefix_of("10.0.0.0/8"), .value = 1};
		ask_trie(&seed, prefixes, children + 1, 0);
		ask_trie(&seed, prefixes + 1, children, 0);
	}
}

/* A prefix of any length that is alone, inside another or in nothing: each bit of it counts, and none behind it. */
static void prefixes_alone(void **state)
{
	(void)state;
	const struct sw_address hosts[] = {
		address_of("165.90.195.60"), address_of("2a5a:a5a5:5a5a:a5a5:5a5a:a5a5:5a5a:a5a5")};
	for (unsigned int i = 0; i < 2 * 2; i++) {
		const struct sw_address host = hosts[i & 1];
		const uint8_t least = i & 1 ? 1 : SW_IPV4_MAPPED_BITS + 1;
		const uint8_t outer = i & 1 ? 9 : SW_IPV4_MAPPED_BITS + 9;
		for (unsigned int length = i & 2 ? outer + 1u : least; length <= 128; length++) {
			struct sw_trie_prefix prefixes[2] = {{.prefix = {sw_address_mask(host, outer), outer, {0}}, .value = 7}};
			struct sw_trie_prefix *inner = &prefixes[i & 2 ? 1 : 0];
			struct sw_prefix_trie trie;
			*inner = (struct sw_trie_prefix){
			    .prefix = {sw_address_mask(host, (uint8_t)length), (uint8_t)length, {0}}, .value = 9};
			assert_int_equal(sw_prefix_trie_build(&trie, prefixes, i & 2 ? 2 : 1, NULL), 0);
			for (unsigned int bit = i & 1 ? 0 : SW_IPV4_MAPPED_BITS; bit < 128; bit++) {
				struct sw_address asked = host;
				const struct sw_address *pointers[2] = {&host, &asked};
				asked.bytes[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
				const uint32_t want = bit >= length ? 9 : i & 2 && bit >= outer ? 7 : 0;
				uint32_t got[2];
				sw_prefix_trie_lookup_burst(&trie, pointers, 2, got);
				assert_int_equal(got[0], 9);
				assert_int_equal(got[1], want);
				assert_int_equal(sw_prefix_trie_lookup(&trie, &asked), want);
			}
			sw_prefix_trie_free(&trie, NULL);
		}
	}
}

static void *refuse_after(void *context, size_t bytes, size_t alignment)
{
	int *left = context;
	if ((*left)-- == 0)
		return NULL;
	return aligned_alloc(alignment, bytes);
}

static void give_back(void *context, void *memory)
{
	(void)context;
	free(memory);
}

static void no_memory_is_an_error_and_no_leak(void **state)
{
	(void)state;
	const struct sw_prefix_rule rule = {.prefix = prefix_of("10.0.0.0/8"), .kind = SW_RULE_DENY};
	struct sw_prefix_table *table;
	int left;
	const struct sw_allocator allocator = {refuse_after, give_back, &left};
	for (int allowed = 0; allowed < 2; allowed++) {
		left = allowed;
		assert_int_equal(sw_prefix_table_build(&rule, 1, &allocator, &table), -ENOMEM);
		assert_null(table);
	}
	left = 2;
	assert_int_equal(sw_prefix_table_build(&rule, 1, &allocator, &table), 0);
	sw_prefix_table_free(table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_table_holds_nothing),
		cmocka_unit_test(rules_combine_as_the_contract_says),
		cmocka_unit_test(every_length_ends_where_it_should),
		cmocka_unit_test(random_nested_sets_match_the_oracle),
		cmocka_unit_test(capacity_of_the_box),
		cmocka_unit_test(trie_bursts_match_the_oracle),
		cmocka_unit_test(nodes_full_of_children),
		cmocka_unit_test(prefixes_alone),
		cmocka_unit_test(no_memory_is_an_error_and_no_leak),
	};
	return cmocka_run_group_tests_name("prefix_table", tests, NULL, NULL);
}
