/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Latencies in microseconds, in buckets that grow with them: exact below 64, then 64 buckets an octave, so a figure
 * read back is at most 1/64 too low. Fixed size, nothing to allocate. Not thread safe.
 */
#ifndef SW_TOOLS_HISTOGRAM_H
#define SW_TOOLS_HISTOGRAM_H

#include <stdint.h>

enum { SW_HISTOGRAM_SUB_BITS = 6, SW_HISTOGRAM_OCTAVES = 26, SW_HISTOGRAM_SUBS = 1 << SW_HISTOGRAM_SUB_BITS };

struct sw_histogram {
	uint64_t count, max_us;
	uint64_t buckets[(SW_HISTOGRAM_OCTAVES + 1) * SW_HISTOGRAM_SUBS];
};

static inline unsigned int sw_histogram_bucket(uint64_t us)
{
	const uint64_t top = (1ull << (SW_HISTOGRAM_OCTAVES + SW_HISTOGRAM_SUB_BITS)) - 1;
	if (us > top)
		us = top;
	if (us < SW_HISTOGRAM_SUBS)
		return (unsigned int)us;
	const unsigned int octave = 63u - (unsigned int)__builtin_clzll(us) - SW_HISTOGRAM_SUB_BITS;
	return (octave << SW_HISTOGRAM_SUB_BITS) + (unsigned int)(us >> octave);
}

/* The smallest latency that falls into a bucket. */
static inline uint64_t sw_histogram_floor(unsigned int bucket)
{
	if (bucket < 2 * SW_HISTOGRAM_SUBS)
		return bucket;
	const unsigned int octave = (bucket >> SW_HISTOGRAM_SUB_BITS) - 1;
	return ((uint64_t)(bucket & (SW_HISTOGRAM_SUBS - 1)) + SW_HISTOGRAM_SUBS) << octave;
}

static inline void sw_histogram_add(struct sw_histogram *h, uint64_t us)
{
	h->buckets[sw_histogram_bucket(us)]++;
	h->count++;
	if (us > h->max_us)
		h->max_us = us;
}

/* The latency that `fraction` (0 to 1) of all entries do not exceed; 0 of an empty histogram. */
static inline uint64_t sw_histogram_quantile(const struct sw_histogram *h, double fraction)
{
	uint64_t wanted = (uint64_t)(fraction * (double)h->count + 0.999999), seen = 0;
	if (wanted == 0)
		wanted = 1;
	for (unsigned int i = 0; i < sizeof(h->buckets) / sizeof(h->buckets[0]); i++) {
		seen += h->buckets[i];
		if (seen >= wanted)
			return sw_histogram_floor(i);
	}
	return h->max_us;
}

#endif
