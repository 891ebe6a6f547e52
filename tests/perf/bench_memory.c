/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tables take by element, from the sizes that the program itself allocates by. */
#include <stdio.h>

#include <jansson.h>

#include "../../dataplane/memory.h"
#include "bench.h"

static uint64_t policy_bytes(uint32_t services, uint32_t prefixes)
{
	static struct bench_box b;
	const struct bench_settings o = {.services = services, .prefixes = prefixes};
	struct large_policy_size size = bench_size_for(&(struct bench_case){.source_bits = 10}, &o);

	size.source_records = 1024;
	bench_box_open(&b, &size);
	bench_box_close(&b);
	return b.policy_bytes;
}

/* A box with `n` sources in its limiter and `n` flows; other sizes as by default. One bucket a source: its /32. */
static uint64_t total_for(uint64_t n)
{
	struct sw_memory_plan plan;
	const struct sw_boot boot = {
		.workers = 4, .mbufs = 32768, .rx_descriptors = 2048, .tx_descriptors = 2048, .flows = (uint32_t)n,
		.limiter_entries = (uint32_t)n, .source_records = (uint32_t)(n / 16 + 65536), .held_pkts = 4096,
		.services_max = 1000, .groups_max = 100, .entries_max = 131072,
	};

	sw_memory_plan_make(&boot, 1, 16 << 20, &plan);
	return plan.total;
}

static uint64_t what_fits(uint64_t bytes)
{
	uint64_t millions = 0;

	while (total_for((millions + 1) * 1000000) <= bytes)
		millions++;
	return millions;
}

json_t *bench_memory(const struct bench_settings *o)
{
	uint64_t mask;
	const double million = 1 << 20;
	const double flow = (double)sw_flow_table_bytes(1 << 20) / million;
	const double source = (double)sw_limiter_bytes(1 << 20, &mask) / million;
	const uint64_t few = policy_bytes(o->services, 1000), many = policy_bytes(o->services, 101000);
	const double prefix = (double)(many - few) / 120000;
	const uint64_t both = sw_flow_table_bytes(1 << 20) + sw_limiter_bytes(1 << 20, &mask);
	const uint64_t held = what_fits(16ull << 30);

	printf("memory: %.0f bytes a bucket (one a source, and one for each of its prefixes that has a limit), %.0f a flow,\n"
	       "%zu a source record, %.0f a deny prefix; 2^20 sources and 2^20 flows together %lu MiB;\n"
	       "a box of 16 GiB holds %lu million sources and as many flows, packet buffers of 4 workers and policy included\n",
		source, flow, sizeof(struct sw_source_record), prefix, both >> 20, held);
	return json_pack("{s:f, s:f, s:i, s:f, s:I, s:I, s:I}", "bytes_per_source", source, "bytes_per_flow", flow,
		"bytes_per_source_record", (int)sizeof(struct sw_source_record), "bytes_per_prefix", prefix,
		"bytes_1m_sources_1m_flows", (json_int_t)both, "policy_bytes", (json_int_t)many,
		"millions_of_both_in_16_gib", (json_int_t)held);
}
