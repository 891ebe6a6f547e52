/* SPDX-License-Identifier: BSD-3-Clause */
#include "../dataplane/test.h"

#include <rte_ethdev.h>
#include <rte_thash.h>

#include "ports/rss.h"

static const uint64_t ALL = ~0ull;

static struct sw_rss_ability able(enum sw_side side)
{
	return (struct sw_rss_ability){.side = side, .offloads = ALL, .key_bytes = 52, .reta_entries = 512, .queues_max = 16};
}

static void test_one_worker_asks_nothing_of_a_nic(void **state)
{
	(void)state;
	const struct sw_rss_ability ports[2] = {{.side = SW_OUTSIDE, .single_queue = true}, {.side = SW_INSIDE}};
	struct sw_rss_plan plan;
	sw_rss_plan_make(1, ports, 2, &plan);
	assert_int_equal(plan.decision, SW_SHARD_ONE_WORKER);
}

static void test_able_nics_shard(void **state)
{
	(void)state;
	const struct sw_rss_ability ports[2] = {able(SW_OUTSIDE), able(SW_INSIDE)};
	struct sw_rss_plan plan;
	sw_rss_plan_make(4, ports, 2, &plan);
	assert_int_equal(plan.decision, SW_SHARD_BY_NIC);
	assert_null(plan.reason);
	assert_true(plan.hash[SW_OUTSIDE] & RTE_ETH_RSS_L3_SRC_ONLY);
	assert_false(plan.hash[SW_OUTSIDE] & RTE_ETH_RSS_L3_DST_ONLY);
	assert_true(plan.hash[SW_INSIDE] & RTE_ETH_RSS_L3_DST_ONLY);
	assert_false(plan.hash[SW_INSIDE] & RTE_ETH_RSS_L3_SRC_ONLY);
	/* Nothing of layer 4 may enter: two connections of a client would part. */
	assert_false(plan.hash[SW_OUTSIDE] & (RTE_ETH_RSS_L4_SRC_ONLY | RTE_ETH_RSS_L4_DST_ONLY));
	assert_true(plan.hash[SW_OUTSIDE] & RTE_ETH_RSS_NONFRAG_IPV4_TCP);
	assert_true(plan.hash[SW_OUTSIDE] & RTE_ETH_RSS_NONFRAG_IPV6_TCP);
}

static void test_types_are_those_that_all_have(void **state)
{
	(void)state;
	struct sw_rss_ability ports[2] = {able(SW_OUTSIDE), able(SW_INSIDE)};
	struct sw_rss_plan plan;
	ports[1].offloads &= ~RTE_ETH_RSS_FRAG_IPV4;
	sw_rss_plan_make(4, ports, 2, &plan);
	assert_int_equal(plan.decision, SW_SHARD_BY_NIC);
	assert_false(plan.hash[SW_OUTSIDE] & RTE_ETH_RSS_FRAG_IPV4);
	assert_false(plan.hash[SW_INSIDE] & RTE_ETH_RSS_FRAG_IPV4);
}

/* Two connections of a client must not part there either, and TCP must be hashed at all everywhere else. */
static void test_a_driver_that_takes_ports_in_is_not_asked_for_tcp(void **state)
{
	(void)state;
	struct sw_rss_ability ports[2] = {able(SW_OUTSIDE), able(SW_INSIDE)};
	const uint64_t tcp = RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV6_TCP;
	struct sw_rss_plan plan;
	ports[1].tcp_means_ports = sw_rss_tcp_means_ports("mlx5_pci");
	ports[0].tcp_means_ports = sw_rss_tcp_means_ports("net_ice");
	assert_false(sw_rss_tcp_means_ports(NULL));
	sw_rss_plan_make(4, ports, 2, &plan);
	assert_int_equal(plan.decision, SW_SHARD_BY_NIC);
	assert_int_equal(sw_rss_types(&plan, &ports[0]), plan.hash[SW_OUTSIDE]);
	assert_int_equal(sw_rss_types(&plan, &ports[0]) & tcp, tcp);
	assert_int_equal(sw_rss_types(&plan, &ports[1]), plan.hash[SW_INSIDE] & ~tcp);
	assert_true(sw_rss_types(&plan, &ports[1]) & RTE_ETH_RSS_IPV4);
	assert_true(sw_rss_types(&plan, &ports[1]) & RTE_ETH_RSS_IPV6);
	assert_true(sw_rss_types(&plan, &ports[1]) & RTE_ETH_RSS_L3_DST_ONLY);
}

static void test_each_inability_is_found_and_named(void **state)
{
	(void)state;
	static const char *const says[] = {"sender", "queues", "one address", "TCP", "key", "too short", "another size"};
	for (size_t i = 0; i < COUNT(says); i++) {
		struct sw_rss_ability ports[4] = {able(SW_OUTSIDE), able(SW_INSIDE), able(SW_OUTSIDE), able(SW_INSIDE)};
		struct sw_rss_plan plan;
		ports[3].single_queue = i == 0;
		ports[3].queues_max = i == 1 ? 3 : 4;
		ports[3].offloads &= i == 2 ? ~RTE_ETH_RSS_L3_DST_ONLY : i == 3 ? ~RTE_ETH_RSS_NONFRAG_IPV6_TCP : ALL;
		ports[3].key_bytes = i == 4 ? 16 : 40;
		ports[3].reta_entries = i == 5 ? 2 : i == 6 ? 128 : 512;
		sw_rss_plan_make(4, ports, 4, &plan);
		assert_int_equal(plan.decision, SW_SHARD_BY_HANDOVER);
		assert_int_equal(plan.reason_port, 3);
		assert_non_null(strstr(plan.reason, says[i]));
	}
}

/* The Toeplitz hash in software: an address hashes the same in whichever place it stands, the other one masked. */
static void test_key_does_not_care_where_an_address_stands(void **state)
{
	(void)state;
	uint64_t random = 99;
	for (int i = 0; i < 1000; i++) {
		uint8_t key[SW_RSS_KEY_MAX];
		sw_rss_key(test_random(&random), key, sizeof(key));
		uint32_t address[4], both[8];
		for (int w = 0; w < 4; w++)
			address[w] = (uint32_t)test_random(&random);
		const uint32_t alone = rte_softrss(address, 4, key);
		memset(both, 0, sizeof(both));
		memcpy(both + 4, address, sizeof(address));
		assert_int_equal(rte_softrss(both, 8, key), alone);
		const uint32_t ipv4 = rte_softrss(address, 1, key);
		const uint32_t second[2] = {0, address[0]};
		assert_int_equal(rte_softrss((uint32_t *)(uintptr_t)second, 2, key), ipv4);
	}
}

static void test_bad_secrets_still_spread(void **state)
{
	(void)state;
	static const uint64_t secrets[] = {0, ~0ull, 0x0101010101010101ull, 0xff00ff00ff00ff00ull, 1};
	for (size_t s = 0; s < COUNT(secrets); s++) {
		uint8_t key[40];
		unsigned int queues[4] = {0};
		sw_rss_key(secrets[s], key, sizeof(key));
		assert_int_not_equal(key[0], key[1]);
		for (uint32_t a = 0; a < 4096; a++) {
			uint32_t address = 0x0a140000 + a;
			queues[sw_rss_reta_queue(rte_softrss(&address, 1, key) % 512, 4)]++;
		}
		for (int q = 0; q < 4; q++)
			assert_true(queues[q] > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_worker_asks_nothing_of_a_nic),
		cmocka_unit_test(test_able_nics_shard),
		cmocka_unit_test(test_types_are_those_that_all_have),
		cmocka_unit_test(test_a_driver_that_takes_ports_in_is_not_asked_for_tcp),
		cmocka_unit_test(test_each_inability_is_found_and_named),
		cmocka_unit_test(test_key_does_not_care_where_an_address_stands),
		cmocka_unit_test(test_bad_secrets_still_spread),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
