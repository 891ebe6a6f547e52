/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a NIC shall compute for the box: it looks at the sums of what it receives, and at nothing that is sent
 * (docs/decisions/0018-checksum-offload.md says why).
 */
#ifndef SW_OFFLOAD_H
#define SW_OFFLOAD_H

#include <stdint.h>

#include <rte_ethdev.h>

/*
 * `rx_capa`: rx_offload_capa of rte_eth_dev_info_get(). What to put into rxmode.offloads: each of the two that the
 * port has. A frame that it found wrong then carries RTE_MBUF_F_RX_IP_CKSUM_BAD or RTE_MBUF_F_RX_L4_CKSUM_BAD.
 */
static inline uint64_t sw_rx_checksum_offloads(uint64_t rx_capa)
{
	return rx_capa & (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM);
}

/* For the log. */
static inline const char *sw_rx_checksum_text(uint64_t offloads)
{
	switch (sw_rx_checksum_offloads(offloads)) {
	case RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM:
		return "IPv4 and TCP checksums";
	case RTE_ETH_RX_OFFLOAD_IPV4_CKSUM:
		return "IPv4 checksums";
	case RTE_ETH_RX_OFFLOAD_TCP_CKSUM:
		return "TCP checksums";
	default:
		return "no checksums";
	}
}

#endif
