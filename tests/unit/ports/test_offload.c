/* SPDX-License-Identifier: BSD-3-Clause */
#include "../dataplane/test.h"

#include "ports/offload.h"

static void test_what_the_port_has_is_used_and_nothing_else(void **state)
{
	(void)state;
	static const struct {
		uint64_t capa, asked;
		const char *text;
	} cases[] = {
		{0, 0, "no checksums"},
		{RTE_ETH_RX_OFFLOAD_IPV4_CKSUM, RTE_ETH_RX_OFFLOAD_IPV4_CKSUM, "IPv4 checksums"},
		{RTE_ETH_RX_OFFLOAD_TCP_CKSUM, RTE_ETH_RX_OFFLOAD_TCP_CKSUM, "TCP checksums"},
		{~0ull, RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM, "IPv4 and TCP checksums"},
		/* Everything that would change a frame, or cut it up, stays off. */
		{RTE_ETH_RX_OFFLOAD_VLAN_STRIP | RTE_ETH_RX_OFFLOAD_TCP_LRO | RTE_ETH_RX_OFFLOAD_SCATTER |
			RTE_ETH_RX_OFFLOAD_UDP_CKSUM, 0, "no checksums"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(sw_rx_checksum_offloads(cases[i].capa), cases[i].asked);
		assert_string_equal(sw_rx_checksum_text(cases[i].asked), cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_the_port_has_is_used_and_nothing_else),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
