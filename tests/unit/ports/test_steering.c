/* SPDX-License-Identifier: BSD-3-Clause */
/* The rules that a NIC would be given, played on packets by a model of what rte_flow promises. */
#include "../dataplane/test.h"

#include <rte_byteorder.h>
#include <rte_ethdev.h>
#include <rte_tcp.h>
#include <rte_thash.h>

#include "../core/random_prefixes.h"
#include "ports/steering.h"

static const uint64_t ALL = ~0ull;
static struct sw_steering_rules rules;

static struct sw_rss_ability able(void)
{
	return (struct sw_rss_ability){.side = SW_OUTSIDE, .offloads = ALL, .key_bytes = 40, .reta_entries = 512,
		.queues_max = 64};
}

static struct sw_target target(const char *server, uint16_t first, uint16_t last, uint32_t service)
{
	return (struct sw_target){.server = prefix_of(server), .port_first = first, .port_last = last, .service = service};
}

/* ---- ports ------------------------------------------------------------------------------------------------------- */

static void check_range(uint16_t first, uint16_t last)
{
	struct sw_port_block blocks[SW_PORT_BLOCKS_MAX];
	uint8_t hits[65536] = {0};
	const unsigned int count = sw_port_blocks(first, last, blocks);
	assert_in_range(count, 1, SW_PORT_BLOCKS_MAX);
	for (unsigned int i = 0; i < count; i++) {
		assert_int_equal(blocks[i].port & ~blocks[i].mask, 0);
		for (uint32_t port = 0; port < 65536; port++)
			hits[port] = (uint8_t)(hits[port] + ((port & blocks[i].mask) == blocks[i].port));
	}
	for (uint32_t port = 1; port < 65536; port++)
		if (hits[port] != (port >= first && port <= last))
			fail_msg("%u to %u: port %u is in %u blocks", first, last, port, hits[port]);
	assert_int_equal(hits[0], first <= 1); /* nobody's: taken along where it saves blocks */
}

static void test_blocks_hold_the_range_and_nothing_else(void **state)
{
	(void)state;
	static const uint16_t ranges[][2] = {{1, 1}, {80, 80}, {65535, 65535}, {1, 65535}, {2, 65535}, {2, 65534},
		{1, 65534}, {1, 1023}, {1024, 65535}, {80, 81}, {81, 82}, {8000, 8099}, {32767, 32768}, {6881, 6889}};
	uint64_t random = 7;
	for (size_t i = 0; i < COUNT(ranges); i++)
		check_range(ranges[i][0], ranges[i][1]);
	for (int i = 0; i < 200; i++) {
		const uint16_t a = (uint16_t)(1 + test_random(&random) % 65535);
		const uint16_t b = (uint16_t)(1 + test_random(&random) % 65535);
		check_range(a < b ? a : b, a < b ? b : a);
	}
}

static void test_blocks_are_few(void **state)
{
	(void)state;
	struct sw_port_block blocks[SW_PORT_BLOCKS_MAX];
	assert_int_equal(sw_port_blocks(443, 443, blocks), 1);
	assert_int_equal(sw_port_blocks(1, 65535, blocks), 1);
	assert_int_equal(sw_port_blocks(1, 1023, blocks), 1);
	assert_int_equal(sw_port_blocks(1024, 65535, blocks), 6);
	assert_int_equal(sw_port_blocks(20000, 20001, blocks), 1);
	unsigned int most = 0;
	for (uint32_t last = 2; last < 65536; last++) {
		const unsigned int n = sw_port_blocks(2, (uint16_t)last, blocks);
		most = n > most ? n : most;
	}
	assert_in_range(most, 14, SW_PORT_BLOCKS_MAX);
	assert_in_range(sw_port_blocks(2, 65534, blocks), 27, SW_PORT_BLOCKS_MAX);
}

/* ---- a NIC in software ------------------------------------------------------------------------------------------- */

static bool bytes_match(const void *spec, const void *mask, const void *value, size_t bytes)
{
	const uint8_t *s = spec, *m = mask, *v = value;
	for (size_t i = 0; i < bytes; i++)
		if ((v[i] & m[i]) != (s[i] & m[i]))
			return false;
	return true;
}

struct header {
	bool is_ipv6;
	struct rte_ipv4_hdr ipv4;
	struct rte_ipv6_hdr ipv6;
	struct rte_tcp_hdr tcp;
};

static struct header packet(const char *server, uint16_t port, uint8_t flags)
{
	struct header h = {.is_ipv6 = strchr(server, ':') != NULL};
	const struct sw_address to = prefix_of(server).address;
	/* What no rule may look at is all ones. */
	memset(&h.ipv4, 0xff, sizeof(h.ipv4));
	memset(&h.ipv6, 0xff, sizeof(h.ipv6));
	memset(&h.tcp, 0xff, sizeof(h.tcp));
	memcpy(&h.ipv4.dst_addr, to.bytes + 12, 4);
	memcpy(&h.ipv6.dst_addr, to.bytes, 16);
	h.tcp.dst_port = rte_cpu_to_be_16(port);
	h.tcp.tcp_flags = flags;
	return h;
}

static bool item_matches(const struct rte_flow_item *item, const struct header *h)
{
	assert_null(item->last);
	assert_int_equal(item->spec == NULL, item->mask == NULL);
	switch (item->type) {
	case RTE_FLOW_ITEM_TYPE_ETH:
		assert_null(item->spec);
		return true;
	case RTE_FLOW_ITEM_TYPE_IPV4:
		return !h->is_ipv6 && (!item->spec || bytes_match(item->spec, item->mask, &h->ipv4, sizeof(h->ipv4)));
	case RTE_FLOW_ITEM_TYPE_IPV6:
		return h->is_ipv6 && (!item->spec ||
			bytes_match(&((const struct rte_flow_item_ipv6 *)item->spec)->hdr,
				&((const struct rte_flow_item_ipv6 *)item->mask)->hdr, &h->ipv6, sizeof(h->ipv6)));
	case RTE_FLOW_ITEM_TYPE_TCP:
		return bytes_match(item->spec, item->mask, &h->tcp, sizeof(h->tcp));
	default:
		fail_msg("item %d", item->type);
		return false;
	}
}

static bool rule_matches(const struct sw_steering_rule *rule, const struct header *h)
{
	struct sw_steering_pattern p;
	sw_steering_pattern_make(rule, &p);
	assert_true(p.attr.ingress);
	assert_false(p.attr.egress || p.attr.transfer || p.attr.group || p.attr.priority);
	assert_int_equal(p.items[0].type, RTE_FLOW_ITEM_TYPE_ETH);
	assert_int_equal(p.items[2].type, RTE_FLOW_ITEM_TYPE_TCP);
	assert_int_equal(p.items[3].type, RTE_FLOW_ITEM_TYPE_END);
	for (int i = 0; i < 3; i++)
		if (!item_matches(&p.items[i], h))
			return false;
	return true;
}

static unsigned int matches(const char *server, uint16_t port, uint8_t flags)
{
	const struct header h = packet(server, port, flags);
	unsigned int count = 0;
	for (unsigned int i = 0; i < rules.count; i++)
		count += rule_matches(&rules.rules[i], &h);
	return count;
}

/* ---- rules ------------------------------------------------------------------------------------------------------- */

static void test_hosts_prefixes_and_ranges_of_both_families(void **state)
{
	(void)state;
	const struct sw_target targets[] = {
		target("192.0.2.10/32", 80, 80, 0), target("198.51.100.0/24", 6881, 6889, 1),
		target("2001:db8::10/128", 443, 443, 0), target("2001:db8:1::/48", 1, 65535, 2),
	};
	sw_steering_rules_make(targets, COUNT(targets), &rules);
	assert_int_equal(rules.left_out, 0);
	assert_int_equal(rules.count, 1 + 4 + 1 + 1); /* 6881, 6882-6883, 6884-6887, 6888-6889 */
	static const struct {
		const char *server;
		uint16_t port;
		unsigned int hits;
	} cases[] = {
		{"192.0.2.10/32", 80, 1}, {"192.0.2.10/32", 81, 0}, {"192.0.2.11/32", 80, 0}, {"64.0.2.10/32", 80, 0},
		{"198.51.100.0/32", 6881, 1}, {"198.51.100.255/32", 6889, 1}, {"198.51.100.7/32", 6885, 1},
		{"198.51.100.7/32", 6880, 0}, {"198.51.100.7/32", 6890, 0}, {"198.51.101.7/32", 6885, 0},
		{"2001:db8::10/128", 443, 1}, {"2001:db8::10/128", 80, 0}, {"2001:db8::11/128", 443, 0},
		{"2001:db8:1::/128", 1, 1}, {"2001:db8:1:ffff::1/128", 65535, 1}, {"2001:db8:2::1/128", 80, 0},
		{"::192.0.2.10/128", 80, 0},
	};
	for (size_t i = 0; i < COUNT(cases); i++)
		if (matches(cases[i].server, cases[i].port, RTE_TCP_SYN_FLAG) != cases[i].hits)
			fail_msg("%s port %u", cases[i].server, cases[i].port);
}

static void test_only_syns_that_open_are_steered(void **state)
{
	(void)state;
	const struct sw_target targets[] = {target("192.0.2.10/32", 80, 80, 0), target("2001:db8::10/128", 80, 80, 0)};
	sw_steering_rules_make(targets, COUNT(targets), &rules);
	for (unsigned int flags = 0; flags < 256; flags++) {
		const uint8_t deciding = flags & (RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG | RTE_TCP_RST_FLAG | RTE_TCP_FIN_FLAG);
		const unsigned int hits = deciding == RTE_TCP_SYN_FLAG; /* ECE and CWR of an ECN set-up SYN do not hide it */
		assert_int_equal(matches("192.0.2.10/32", 80, (uint8_t)flags), hits);
		assert_int_equal(matches("2001:db8::10/128", 80, (uint8_t)flags), hits);
	}
}

static void test_whole_families(void **state)
{
	(void)state;
	const struct sw_target ipv4[] = {target("0.0.0.0/0", 25, 25, 0)}, ipv6[] = {target("::/0", 25, 25, 0)};
	sw_steering_rules_make(ipv4, 1, &rules);
	assert_int_equal(matches("203.0.113.9/32", 25, RTE_TCP_SYN_FLAG), 1);
	assert_int_equal(matches("2001:db8::1/128", 25, RTE_TCP_SYN_FLAG), 0);
	sw_steering_rules_make(ipv6, 1, &rules);
	assert_int_equal(matches("203.0.113.9/32", 25, RTE_TCP_SYN_FLAG), 0);
	assert_int_equal(matches("2001:db8::1/128", 25, RTE_TCP_SYN_FLAG), 1);
	sw_steering_rules_make(NULL, 0, &rules);
	assert_int_equal(rules.count, 0);
}

static void test_targets_within_targets_add_nothing(void **state)
{
	(void)state;
	const struct sw_target targets[] = {
		target("192.0.2.10/32", 80, 80, 3), target("192.0.2.0/24", 80, 80, 0), target("192.0.2.10/32", 80, 80, 1),
		target("192.0.2.0/24", 80, 83, 2), target("192.0.2.10/32", 81, 81, 0), target("::/0", 80, 83, 0),
		target("2001:db8::/32", 82, 82, 1), target("::/0", 80, 83, 1),
	};
	sw_steering_rules_make(targets, COUNT(targets), &rules);
	assert_int_equal(rules.count, 2);
	assert_int_equal(rules.left_out, 0);
	for (uint16_t port = 79; port < 85; port++) {
		assert_int_equal(matches("192.0.2.10/32", port, RTE_TCP_SYN_FLAG), port >= 80 && port < 84);
		assert_int_equal(matches("2001:db8::1/128", port, RTE_TCP_SYN_FLAG), port >= 80 && port < 84);
	}
}

/* Random targets against the plain question "is this protected?", and the order in which they come does not matter. */
static void test_rules_are_the_targets(void **state)
{
	(void)state;
	static const char *const servers[] = {"10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "2001:db8::/32",
		"2001:db8:1::/48", "2001:db8::1/128"};
	static const char *const hosts[] = {"10.9.9.9/32", "10.1.9.9/32", "10.1.2.3/32", "11.0.0.1/32", "2001:db8:9::1/128",
		"2001:db8:1::9/128", "2001:db8::1/128", "2001:db9::1/128"};
	uint64_t random = 11;
	for (int round = 0; round < 30; round++) {
		struct sw_target targets[12], turned[12];
		static struct sw_steering_rules other;
		for (size_t i = 0; i < COUNT(targets); i++) {
			const uint16_t first = (uint16_t)(1 + test_random(&random) % 60);
			const uint16_t last = (uint16_t)(first + test_random(&random) % 9);
			targets[i] = target(servers[test_random(&random) % COUNT(servers)], first, last, (uint32_t)(i % 4));
			turned[COUNT(targets) - 1 - i] = targets[i];
		}
		sw_steering_rules_make(targets, COUNT(targets), &rules);
		sw_steering_rules_make(turned, COUNT(turned), &other);
		assert_int_equal(rules.count, other.count);
		assert_memory_equal(rules.rules, other.rules, rules.count * sizeof(rules.rules[0]));
		for (size_t h = 0; h < COUNT(hosts); h++) {
			const struct sw_address to = prefix_of(hosts[h]).address;
			for (uint16_t port = 1; port < 72; port++) {
				bool is_protected = false;
				for (size_t i = 0; i < COUNT(targets); i++)
					is_protected |= sw_prefix_contains(&targets[i].server, &to) && port >= targets[i].port_first &&
						port <= targets[i].port_last;
				assert_int_equal(matches(hosts[h], port, RTE_TCP_SYN_FLAG) != 0, is_protected);
			}
		}
	}
}

/* `count` neighbouring hosts with one port each. */
static void fill(struct sw_target *targets, unsigned int count, uint32_t service)
{
	for (unsigned int i = 0; i < count; i++) {
		targets[i] = target("10.0.0.0/32", 80, 80, service);
		targets[i].server.address.bytes[13] = (uint8_t)service;
		targets[i].server.address.bytes[14] = (uint8_t)(i >> 8);
		targets[i].server.address.bytes[15] = (uint8_t)i;
	}
}

static void test_a_service_with_too_many_rules_has_none(void **state)
{
	(void)state;
	static struct sw_target targets[SW_TARGETS_MAX];
	fill(targets, SW_STEERING_RULES_PER_SERVICE, 0);
	fill(targets + SW_STEERING_RULES_PER_SERVICE, SW_STEERING_RULES_PER_SERVICE + 1, 1);
	targets[2 * SW_STEERING_RULES_PER_SERVICE + 1] = target("192.0.2.1/32", 25, 25, 2);
	sw_steering_rules_make(targets, 2 * SW_STEERING_RULES_PER_SERVICE + 2, &rules);
	assert_int_equal(rules.count, SW_STEERING_RULES_PER_SERVICE + 1);
	assert_int_equal(rules.left_out, 1);
	assert_int_equal(rules.first_left_out, 1);
	assert_int_equal(matches("10.0.0.255/32", 80, RTE_TCP_SYN_FLAG), 1);
	assert_int_equal(matches("10.1.0.0/32", 80, RTE_TCP_SYN_FLAG), 0);
	assert_int_equal(matches("192.0.2.1/32", 25, RTE_TCP_SYN_FLAG), 1);

	/* As many targets as a policy can hold, all of one service. */
	fill(targets, SW_TARGETS_MAX, 0);
	for (unsigned int i = 0; i < SW_TARGETS_MAX; i++)
		targets[i].port_first = 2, targets[i].port_last = 65534;
	sw_steering_rules_make(targets, SW_TARGETS_MAX, &rules);
	assert_int_equal(rules.count, 0);
	assert_int_equal(rules.left_out, 1);
}

static void test_the_box_is_bounded_too(void **state)
{
	(void)state;
	enum { EACH = SW_STEERING_RULES_PER_SERVICE - 1, SERVICES = SW_STEERING_RULES_MAX / EACH + 2 };
	static struct sw_target targets[SERVICES * EACH + 1];
	for (uint32_t s = 0; s < SERVICES; s++)
		fill(targets + s * EACH, EACH, s);
	targets[SERVICES * EACH] = target("192.0.2.1/32", 25, 25, SERVICES); /* there is room for this one */
	sw_steering_rules_make(targets, SERVICES * EACH + 1, &rules);
	const unsigned int whole = SW_STEERING_RULES_MAX / EACH;
	assert_int_equal(rules.count, whole * EACH + 1);
	assert_int_equal(rules.left_out, SERVICES - whole);
	assert_int_equal(rules.first_left_out, whole);
	assert_int_equal(matches("192.0.2.1/32", 25, RTE_TCP_SYN_FLAG), 1);
}

/* ---- queues ------------------------------------------------------------------------------------------------------ */

static void test_one_worker_needs_no_hash(void **state)
{
	(void)state;
	const struct sw_rss_ability port = able();
	struct sw_steering_action a;
	sw_steering_action_make(1, &port, 1, NULL, &a);
	assert_int_equal(a.actions[0].type, RTE_FLOW_ACTION_TYPE_QUEUE);
	assert_int_equal(((const struct rte_flow_action_queue *)a.actions[0].conf)->index, 1);
	assert_int_equal(a.actions[1].type, RTE_FLOW_ACTION_TYPE_END);
}

/*
 * A client's SYNs and its other packets must meet in one worker, whichever size of table (a power of two) the driver
 * makes of the list of queues by repeating it.
 */
static void test_a_worker_gets_the_same_clients_in_both_queues(void **state)
{
	(void)state;
	struct sw_rss_ability port = able();
	const struct sw_rss_ability both[SW_SIDES] = {port, {.side = SW_INSIDE, .offloads = ALL, .key_bytes = 40,
		.reta_entries = 512, .queues_max = 64}};
	for (unsigned int workers = 2; workers <= 16; workers++) {
		struct sw_rss_plan plan;
		struct sw_steering_action a;
		uint8_t key[SW_RSS_KEY_MAX];
		sw_rss_plan_make(workers, both, 2, &plan);
		assert_int_equal(plan.decision, SW_SHARD_BY_NIC);
		sw_rss_key(0x123456789abcdef0ull, key, port.key_bytes);
		sw_steering_action_make(workers, &port, plan.hash[SW_OUTSIDE], key, &a);
		assert_int_equal(a.actions[0].type, RTE_FLOW_ACTION_TYPE_RSS);
		const struct rte_flow_action_rss *rss = a.actions[0].conf;
		assert_int_equal(rss->types, plan.hash[SW_OUTSIDE]);
		assert_int_equal(rss->level, 0);
		assert_int_equal(rss->func, RTE_ETH_HASH_FUNCTION_DEFAULT);
		assert_int_equal(rss->key_len, port.key_bytes);
		assert_memory_equal(rss->key, key, port.key_bytes);
		const bool any_size = (workers & (workers - 1)) == 0;
		for (uint32_t table = any_size ? 16 : port.reta_entries; table <= 512; table *= 2)
			for (uint32_t hash = 0; hash < 2048; hash++) {
				const unsigned int normal = sw_rss_reta_queue(hash % port.reta_entries, workers);
				assert_int_equal(rss->queue[hash % table % rss->queue_num], workers + normal);
			}
		for (unsigned int q = 0; q < workers; q++)
			assert_int_equal(rss->queue[q], workers + q); /* in the order of the workers */
	}
}

static void test_the_drivers_own_key_stays_where_workers_hand_over(void **state)
{
	(void)state;
	const struct sw_rss_ability port = able();
	struct sw_steering_action a;
	sw_steering_action_make(4, &port, sw_rss_spread_types(ALL), NULL, &a);
	assert_null(a.rss.key);
	assert_int_equal(a.rss.key_len, 0);
	assert_int_equal(a.rss.queue_num, 4);
}

/* ---- whether ----------------------------------------------------------------------------------------------------- */

static void test_each_reason_not_to_ask_is_found_and_named(void **state)
{
	(void)state;
	const struct sw_rss_ability port = able();
	assert_null(sw_steering_why_not(1, &port, true, 1024, 1024));
	assert_null(sw_steering_why_not(32, &port, true, 1024, 1024));
	static const struct {
		const char *says;
		bool virtual, single;
		uint32_t queues, reta, free;
		uint64_t offloads;
	} cases[] = {
		{"no NIC", true, false, 64, 512, 1024, ~0ull},
		{"no NIC", false, true, 64, 512, 1024, ~0ull},
		{"fewer than two", false, false, 7, 512, 1024, ~0ull},
		{"table", false, false, 8, 0, 1024, ~0ull},
		{"table", false, false, 8, SW_RSS_RETA_MAX * 2, 1024, ~0ull},
		{"boot.mbufs", false, false, 8, 512, 1023, ~0ull},
		{"hash", false, false, 8, 512, 1024, 0},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sw_rss_ability p = port;
		p.queues_max = cases[i].queues;
		p.reta_entries = cases[i].reta;
		p.single_queue = cases[i].single;
		p.offloads = cases[i].offloads;
		const char *why = sw_steering_why_not(4, &p, !cases[i].virtual, cases[i].free, 1024);
		assert_non_null(why);
		assert_non_null(strstr(why, cases[i].says));
	}
}

static void test_both_families_are_probed(void **state)
{
	(void)state;
	struct sw_steering_pattern p;
	struct sw_steering_rule probes[SW_STEERING_PROBES];
	sw_steering_probe_rules(probes);
	sw_steering_pattern_make(&probes[0], &p);
	assert_int_equal(p.items[1].type, RTE_FLOW_ITEM_TYPE_IPV4);
	assert_int_equal(p.ip_mask.ipv4.hdr.dst_addr, 0xffffffff);
	sw_steering_pattern_make(&probes[1], &p);
	assert_int_equal(p.items[1].type, RTE_FLOW_ITEM_TYPE_IPV6);
	assert_int_equal(p.ip_mask.ipv6.hdr.dst_addr[15], 0xff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocks_hold_the_range_and_nothing_else),
		cmocka_unit_test(test_blocks_are_few),
		cmocka_unit_test(test_hosts_prefixes_and_ranges_of_both_families),
		cmocka_unit_test(test_only_syns_that_open_are_steered),
		cmocka_unit_test(test_whole_families),
		cmocka_unit_test(test_targets_within_targets_add_nothing),
		cmocka_unit_test(test_rules_are_the_targets),
		cmocka_unit_test(test_a_service_with_too_many_rules_has_none),
		cmocka_unit_test(test_the_box_is_bounded_too),
		cmocka_unit_test(test_one_worker_needs_no_hash),
		cmocka_unit_test(test_a_worker_gets_the_same_clients_in_both_queues),
		cmocka_unit_test(test_the_drivers_own_key_stays_where_workers_hand_over),
		cmocka_unit_test(test_each_reason_not_to_ask_is_found_and_named),
		cmocka_unit_test(test_both_families_are_probed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
