/* SPDX-License-Identifier: BSD-3-Clause */
#include "flow_hash.h"

void sw_flow_hash_burst_aes(const struct sw_flow_key *key, const struct sw_packet packets[SW_BURST], uint32_t set,
	uint64_t hashes[SW_BURST])
{
	const struct sw_flow_key copy = *key; /* nothing that is written here could change it */

	for (; set; set &= set - 1) {
		const size_t i = (size_t)__builtin_ctz(set);
		hashes[i] = sw_flow_hash(&copy, &packets[i]);
	}
}

sw_flow_hash_burst_fn sw_flow_hash_burst_for(enum sw_isa isa)
{
	return sw_isa_has_vaes(isa) ? sw_flow_hash_burst_vaes : sw_flow_hash_burst_aes;
}
