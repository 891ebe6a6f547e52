/* SPDX-License-Identifier: BSD-3-Clause */
/* The parts of the load generators on which figures rest: quantiles, source ranges, forged packets. */
#include "flood_packet.h"
#include "histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_bucket_is_within_a_64th(void **state)
{
	(void)state;
	for (uint64_t us = 0; us < 1u << 20; us += 1 + us / 1000) {
		const uint64_t floor_us = sw_histogram_floor(sw_histogram_bucket(us));
		assert_true(floor_us <= us);
		assert_true(us - floor_us <= us / 64);
	}
	assert_int_equal(sw_histogram_bucket(UINT64_MAX), sizeof(((struct sw_histogram *)0)->buckets) / 8 - 1);
}

static void test_quantiles_by_rank(void **state)
{
	static struct sw_histogram h;
	(void)state;
	assert_int_equal(sw_histogram_quantile(&h, 0.5), 0);
	for (uint64_t us = 1; us <= 60; us++)
		sw_histogram_add(&h, us);
	assert_int_equal(sw_histogram_quantile(&h, 0.5), 30);
	assert_int_equal(sw_histogram_quantile(&h, 1.0), 60);
	assert_int_equal(sw_histogram_quantile(&h, 0.0), 1);
	sw_histogram_add(&h, 1000000);
	assert_int_equal(h.max_us, 1000000);
	assert_int_equal(sw_histogram_quantile(&h, 0.98), 60);
}

static void test_endpoints(void **state)
{
	static const struct {
		const char *text;
		bool good;
		int family;
		uint16_t port;
	} rows[] = {
		{"10.20.0.10:20000", true, AF_INET, 20000},
		{"[fd00:20::10]:25", true, AF_INET6, 25},
		{"10.20.0.10", false, 0, 0},
		{"10.20.0.10:0", false, 0, 0},
		{"10.20.0.10:65536", false, 0, 0},
		{"10.20.0.10:80x", false, 0, 0},
		{"10.20.0.256:80", false, 0, 0},
		{"[fd00:20::10]", false, 0, 0},
		{":80", false, 0, 0},
		{"[]:80", false, 0, 0},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		union sw_endpoint e;
		assert_int_equal(sw_endpoint_parse(rows[i].text, &e), rows[i].good);
		if (!rows[i].good)
			continue;
		assert_int_equal(e.any.sa_family, rows[i].family);
		assert_int_equal(rows[i].family == AF_INET ? e.v4.sin_port : e.v6.sin6_port, htons(rows[i].port));
	}
}

static void test_ranges_wrap_and_carry(void **state)
{
	static const struct {
		const char *range, *expected;
		uint64_t index;
	} rows[] = {
		{"10.20.72.1+1600", "10.20.72.1", 0},       {"10.20.72.1+1600", "10.20.78.64", 1599},
		{"10.20.72.1+1600", "10.20.72.1", 1600},    {"10.20.64.250", "10.20.64.250", 77},
		{"fd00:21::fffe+4", "fd00:21::1:1", 3},     {"fd00:21::fffe+4", "fd00:21::fffe", 4},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sw_source_range range;
		char text[64];
		assert_true(sw_source_range_parse(rows[i].range, &range));
		const union sw_endpoint e = sw_source_range_at(&range, rows[i].index);
		const void *address = e.any.sa_family == AF_INET ? (const void *)&e.v4.sin_addr : (const void *)&e.v6.sin6_addr;
		assert_string_equal(inet_ntop(e.any.sa_family, address, text, sizeof(text)), rows[i].expected);
	}
	struct sw_source_range range;
	assert_false(sw_source_range_parse("10.20.72.1+0", &range));
	assert_false(sw_source_range_parse("10.20.72.1+x", &range));
	assert_false(sw_source_range_parse("nowhere+5", &range));
}

static uint16_t ones_complement(const uint8_t *p, unsigned int bytes, uint32_t sum)
{
	for (unsigned int i = 0; i < bytes; i += 2)
		sum += (uint32_t)p[i] * 256 + p[i + 1];
	while (sum > 0xffff)
		sum = sum % 65536 + sum / 65536;
	return (uint16_t)sum;
}

/* RFC 9293, 3.1: over pseudo header and segment the sum is all ones. */
static void check_packet(const uint8_t *packet, unsigned int bytes, bool ipv4)
{
	const unsigned int header = ipv4 ? 20 : 40, addresses = ipv4 ? 12 : 8;
	const unsigned int segment = bytes - header;
	assert_int_equal(bytes, header + 40);
	if (ipv4)
		assert_int_equal(ones_complement(packet, 20, 0), 0xffff);
	assert_int_equal(ones_complement(packet + addresses, header - addresses + segment, 6 + segment), 0xffff);
	assert_int_equal(packet[header + 13], 0x02);
	assert_int_equal(packet[header + 12] >> 4, 10);
	if (ipv4) {
		assert_int_not_equal(packet[12], 10);
		assert_int_not_equal(packet[12], 127);
		assert_true(packet[12] > 0 && packet[12] < 224);
	} else {
		assert_int_equal(packet[8] >> 5, 1);
	}
}

static void test_packets_are_whole_and_repeatable(void **state)
{
	static const char *const targets[] = {"10.20.0.10:20000", "[fd00:20::10]:20000"};
	const struct sw_source_range any = {.count = 0};
	(void)state;
	for (int t = 0; t < 2; t++) {
		union sw_endpoint target;
		struct sw_random one, two;
		uint8_t a[SW_FLOOD_PACKET_BYTES], b[SW_FLOOD_PACKET_BYTES];
		assert_true(sw_endpoint_parse(targets[t], &target));
		sw_random_seed(&one, 7);
		sw_random_seed(&two, 7);
		for (int i = 0; i < 10000; i++) {
			const unsigned int bytes = sw_flood_packet(a, &target, &any, &one);
			check_packet(a, bytes, t == 0);
			assert_int_equal(sw_flood_packet(b, &target, &any, &two), bytes);
			assert_memory_equal(a, b, bytes);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bucket_is_within_a_64th),
		cmocka_unit_test(test_quantiles_by_rank),
		cmocka_unit_test(test_endpoints),
		cmocka_unit_test(test_ranges_wrap_and_carry),
		cmocka_unit_test(test_packets_are_whole_and_repeatable),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
