/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "core/service_table.h"
#include "random_prefixes.h"

/* What the contract says, by looking at every target. */
static uint32_t ask_oracle(
    const struct sw_target *targets, uint32_t count, const struct sw_address *server, uint16_t port)
{
	const struct sw_target *best = NULL;
	for (uint32_t i = 0; i < count; i++) {
		const struct sw_target *t = &targets[i];
		if (!sw_prefix_contains(&t->server, server) || port < t->port_first || port > t->port_last)
			continue;
		const int width = t->port_last - t->port_first;
		const int best_width = best ? best->port_last - best->port_first : 0;
		if (!best || t->server.length > best->server.length ||
			(t->server.length == best->server.length &&
				(width < best_width || (width == best_width && t->port_first < best->port_first))))
			best = t;
	}
	return best ? best->service : SW_NONE;
}

static struct sw_service services[SW_TARGETS_MAX]; /* service k has mode k % SW_MODES */

static enum sw_mode ask_oracle_for_mode(
    const struct sw_target *targets, uint32_t count, const struct sw_address *server)
{
	uint32_t strictest = SW_MODE_OFF;
	for (uint32_t i = 0; i < count; i++)
		if (sw_prefix_contains(&targets[i].server, server) && targets[i].service % SW_MODES > strictest)
			strictest = targets[i].service % SW_MODES;
	return (enum sw_mode)strictest;
}

static int set_modes(void **state)
{
	(void)state;
	for (uint32_t k = 0; k < sizeof(services) / sizeof(services[0]); k++)
		services[k].mode = (uint8_t)(k % SW_MODES);
	return 0;
}

static struct sw_service_table *build(const struct sw_target *targets, uint32_t count)
{
	struct sw_service_table *table;
	assert_int_equal(sw_service_table_build(targets, count, services, NULL, &table), 0);
	return table;
}

static void assert_same(const struct sw_service_table *table, const struct sw_target *targets, uint32_t count,
	const struct sw_address *servers, const uint16_t *ports, unsigned int asked)
{
	for (unsigned int at = 0; at < asked; at += SW_BURST) {
		const struct sw_address *pointers[SW_BURST];
		uint32_t got[SW_BURST];
		const unsigned int burst = asked - at < SW_BURST ? asked - at : SW_BURST;
		for (unsigned int i = 0; i < burst; i++)
			pointers[i] = &servers[at + i];
		sw_service_table_lookup_burst(table, pointers, ports + at, burst, got);
		for (unsigned int i = 0; i < burst; i++) {
			assert_int_equal(got[i], ask_oracle(targets, count, pointers[i], ports[at + i]));
			assert_int_equal(got[i], sw_service_table_lookup(table, pointers[i], ports[at + i]));
			assert_int_equal(sw_service_table_strictest_mode(table, pointers[i]),
				ask_oracle_for_mode(targets, count, pointers[i]));
		}
	}
}

static const struct {
	const char *what;
	struct {
		const char *server;
		uint16_t first, last;
		uint32_t service;
	} targets[5];
	const char *server;
	uint16_t port;
	uint32_t want;
	bool is_protected; /* by service 7 or 4095, whose mode is `always` */
} cases[] = {
    {"nothing", {{0}}, "10.0.0.1", 80, SW_NONE, false},
    {"exact", {{"10.0.0.1", 80, 80, 7}}, "10.0.0.1", 80, 7, true},
    {"another port", {{"10.0.0.1", 80, 80, 7}}, "10.0.0.1", 81, SW_NONE, true},
    {"another address", {{"10.0.0.1", 80, 80, 7}}, "10.0.0.2", 80, SW_NONE, false},
    {"exact, IPv6", {{"fd00::1", 80, 80, 7}}, "fd00::1", 80, 7, true},
    {"first of a range", {{"10.0.0.1", 100, 200, 7}}, "10.0.0.1", 100, 7, true},
    {"last of a range", {{"10.0.0.1", 100, 200, 7}}, "10.0.0.1", 200, 7, true},
    {"before a range", {{"10.0.0.1", 100, 200, 7}}, "10.0.0.1", 99, SW_NONE, true},
    {"behind a range", {{"10.0.0.1", 100, 200, 7}}, "10.0.0.1", 201, SW_NONE, true},
    {"port 65535", {{"10.0.0.1", 1, 65535, 7}}, "10.0.0.1", 65535, 7, true},
    {"port 1", {{"10.0.0.1", 1, 65535, 7}}, "10.0.0.1", 1, 7, true},
    {"port 0 is never protected", {{"10.0.0.1", 1, 65535, 7}}, "10.0.0.1", 0, SW_NONE, true},
    {"single port in a range", {{"10.0.0.1", 1, 65535, 7}, {"10.0.0.1", 80, 80, 8}}, "10.0.0.1", 80, 8, true},
    {"narrow range in a wide one", {{"10.0.0.1", 1, 65535, 7}, {"10.0.0.1", 70, 90, 8}}, "10.0.0.1", 80, 8, true},
    {"wide range behind a narrow one", {{"10.0.0.1", 1, 65535, 7}, {"10.0.0.1", 70, 90, 8}}, "10.0.0.1", 91, 7, true},
    {"equally narrow", {{"10.0.0.1", 75, 95, 7}, {"10.0.0.1", 70, 90, 8}}, "10.0.0.1", 80, 8, true},
    {"longest prefix first", {{"10.0.0.0/24", 80, 80, 7}, {"10.0.0.1", 1, 65535, 8}}, "10.0.0.1", 80, 8, true},
    {"falls through", {{"10.0.0.0/8", 1, 1024, 7}, {"10.0.0.0/24", 25, 25, 6}, {"10.0.0.1", 443, 443, 8}}, "10.0.0.1",
        80, 7, true},
    {"falls through one step", {{"10.0.0.0/8", 1, 1024, 7}, {"10.0.0.0/24", 25, 25, 6}, {"10.0.0.1", 443, 443, 8}},
        "10.0.0.1", 25, 6, true},
    {"::/0 has no IPv4", {{"::/0", 80, 80, 7}}, "10.0.0.1", 80, SW_NONE, false},
    {"0.0.0.0/0", {{"0.0.0.0/0", 80, 80, 7}}, "10.0.0.1", 80, 7, true},
    {"a host's single port in its own range", {{"fd00::1", 70, 90, 7}, {"fd00::1", 80, 80, 8}}, "fd00::1", 80, 8, true},
    {"a host's range beats a prefix's single port", {{"fd00::/64", 80, 80, 7}, {"fd00::1", 70, 90, 8}}, "fd00::1", 80,
        8, true},
    {"a miss among IPv4 hosts does not ask IPv6", {{"10.0.0.1", 80, 80, 7}, {"::/0", 1, 65535, 8}}, "10.0.0.1", 81,
        SW_NONE, true},
    {"a miss among IPv6 hosts asks their prefixes", {{"fd00::1", 80, 80, 7}, {"::/0", 1, 65535, 8}}, "fd00::1", 81, 8,
        true},
    {"the first of two alike", {{"10.0.0.1", 80, 80, 7}, {"10.0.0.1", 80, 80, 8}}, "10.0.0.1", 80, 7, true},
    {"nothing at 0.0.0.0 port 0", {{"10.0.0.1", 80, 80, 7}}, "0.0.0.0", 0, SW_NONE, false},
    {"nothing at :: port 0", {{"fd00::1", 80, 80, 7}}, "::", 0, SW_NONE, false},
    {"the last address and port", {{"255.255.255.255", 65535, 65535, 4095}}, "255.255.255.255", 65535, 4095, true},
    {"falls through past the IPv4 in between",
        {{"::/0", 80, 80, 7}, {"10.0.0.0/8", 80, 80, 6}, {"fd00::/8", 25, 25, 8}}, "fd00::1", 80, 7, true},
};

static void targets_match_as_the_contract_says(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sw_target targets[5];
		uint32_t count = 0;
		for (; count < 5 && cases[i].targets[count].server; count++)
			targets[count] = (struct sw_target){.server = prefix_of(cases[i].targets[count].server),
				.port_first = cases[i].targets[count].first, .port_last = cases[i].targets[count].last,
				.service = cases[i].targets[count].service};
		struct sw_service_table *table = build(targets, count);
		const struct sw_address server = address_of(cases[i].server);
		const uint32_t got = sw_service_table_lookup(table, &server, cases[i].port);
		const enum sw_mode mode = cases[i].is_protected ? SW_MODE_ALWAYS : SW_MODE_OFF;
		if (got != cases[i].want || sw_service_table_strictest_mode(table, &server) != mode)
			fail_msg("%s: service %u", cases[i].what, got);
		assert_same(table, targets, count, &server, &cases[i].port, 1);
		sw_service_table_free(table);
	}
	sw_service_table_free(NULL);
}

/* Whichever port it is: of the address's own services and of those of every prefix around it. */
static void the_strictest_service_speaks_for_an_address(void **state)
{
	static const struct {
		const char *server;
		enum sw_mode mode;
	} asked[] = {
	    {"10.1.2.3", SW_MODE_ALWAYS}, /* its own is off, its network is monitored, and that around it always on */
	    {"10.1.2.4", SW_MODE_ALWAYS},
	    {"10.1.3.1", SW_MODE_ALWAYS},
	    {"10.2.0.1", SW_MODE_AUTO}, /* two of its own, the stricter one behind the other */
	    {"10.2.0.2", SW_MODE_OFF},
	    {"fd00::1", SW_MODE_MONITOR},
	    {"fd00::2", SW_MODE_OFF},
	    {"192.0.2.1", SW_MODE_OFF},
	};
	const struct sw_target targets[] = {
	    {.server = prefix_of("10.1.2.3"), .port_first = 80, .port_last = 80, .service = SW_MODE_OFF},
	    {.server = prefix_of("10.1.2.0/24"), .port_first = 80, .port_last = 90, .service = SW_MODE_MONITOR},
	    {.server = prefix_of("10.1.0.0/16"), .port_first = 443, .port_last = 443, .service = SW_MODE_ALWAYS},
	    {.server = prefix_of("10.2.0.1"), .port_first = 80, .port_last = 80, .service = SW_MODE_MONITOR},
	    {.server = prefix_of("10.2.0.1"), .port_first = 81, .port_last = 82, .service = SW_MODE_AUTO},
	    {.server = prefix_of("10.2.0.0/16"), .port_first = 25, .port_last = 25, .service = SW_MODE_OFF},
	    {.server = prefix_of("fd00::1"), .port_first = 80, .port_last = 80, .service = SW_MODE_MONITOR},
	    {.server = prefix_of("fd00::/64"), .port_first = 80, .port_last = 80, .service = SW_MODE_OFF},
	};
	struct sw_service_table *table = build(targets, sizeof(targets) / sizeof(targets[0]));

	(void)state;
	for (unsigned int i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		const struct sw_address server = address_of(asked[i].server);
		if (sw_service_table_strictest_mode(table, &server) != asked[i].mode)
			fail_msg("%s", asked[i].server);
	}
	sw_service_table_free(table);
}

static int compare_places(const struct sw_target *a, const struct sw_target *b)
{
	const int order = compare_prefixes(&a->server, &b->server);
	return order ? order : a->port_first != b->port_first ? 1 : a->port_last != b->port_last;
}

/* Targets around a few hubs, so that prefixes nest; no (prefix, range) twice, as a checked snapshot has it. */
static uint32_t random_targets(uint64_t *seed, struct sw_target *targets, uint32_t wanted)
{
	struct sw_address hubs[4];
	uint32_t count = 0;
	for (unsigned int i = 0; i < 4; i++)
		hubs[i] = random_address(seed, i & 1);
	for (uint32_t i = 0; i < wanted; i++) {
		const uint32_t hub = random_below(seed, 4);
		const unsigned int width = hub & 1 ? 128 : 32;
		const uint8_t length = (uint8_t)(128 - random_below(seed, width + 1) * random_below(seed, 2));
		const struct sw_address base = random_neighbour(seed, hubs[hub], 8);
		const uint16_t first = (uint16_t)(1 + random_below(seed, 60));
		const uint16_t last = (uint16_t)(first + random_below(seed, 3) * random_below(seed, 30));
		struct sw_target t = {.server = {sw_address_mask(base, length), length, {0}}, .port_first = first,
			.port_last = last, .service = random_below(seed, 1000)};
		bool twice = false;
		for (uint32_t j = 0; j < count && !twice; j++)
			twice = compare_places(&targets[j], &t) == 0;
		if (!twice)
			targets[count++] = t;
	}
	return count;
}

static void random_targets_match_the_oracle(void **state)
{
	(void)state;
	uint64_t seed = 20000;
	for (unsigned int round = 0; round < 200; round++) {
		enum { ASKED = 400 };
		struct sw_target targets[200];
		struct sw_address servers[ASKED];
		uint16_t ports[ASKED];
		const uint32_t count = random_targets(&seed, targets, random_below(&seed, 200));
		struct sw_service_table *table = build(targets, count);
		for (unsigned int i = 0; i < ASKED; i++) {
			servers[i] = count ? targets[random_below(&seed, count)].server.address : random_address(&seed, i & 1);
			if (i % 3 == 0)
				servers[i] = random_neighbour(&seed, servers[i], i % 2 ? 8 : 32);
			ports[i] = (uint16_t)random_below(&seed, 130);
		}
		assert_same(table, targets, count, servers, ports, ASKED);
		sw_service_table_free(table);
	}
}

/* ---- bursts of every length ------------------------------------------------------------------------------------- */

/* Which targets a table has beside hosts with a single port. */
enum mixture { HOSTS_ALONE, HOSTS_AND_WIDE_IPV4, HOSTS_AND_WIDE_IPV6, ALL_MIXED, MIXTURES };

static struct sw_target random_target(uint64_t *seed, struct sw_address server, enum mixture mixture)
{
	const bool is_ipv4 = sw_address_is_ipv4(&server);
	const bool may_be_wide = mixture == ALL_MIXED || mixture == (is_ipv4 ? HOSTS_AND_WIDE_IPV4 : HOSTS_AND_WIDE_IPV6);
	struct sw_target t = {.server = {server, 128, {0}}, .service = random_below(seed, SW_SERVICES_MAX)};
	t.port_first = t.port_last = (uint16_t)(1 + random_below(seed, 12));
	if (may_be_wide && random_below(seed, 2))
		t.port_last = (uint16_t)(t.port_first + random_below(seed, 6));
	if (may_be_wide && random_below(seed, 2))
		t.server.length = (uint8_t)(128 - random_below(seed, is_ipv4 ? 33 : 129));
	t.server.address = sw_address_mask(server, t.server.length);
	return t;
}

static void assert_burst(const struct sw_service_table *table, const struct sw_address *servers, const uint16_t *ports,
    const uint32_t *want, unsigned int count)
{
	const struct sw_address *pointers[SW_BURST];
	uint32_t got[SW_BURST + 1];
	for (unsigned int i = 0; i < count; i++)
		pointers[i] = &servers[i];
	got[count] = 0x5ea3a11;
	sw_service_table_lookup_burst(table, pointers, ports, count, got);
	assert_memory_equal(got, want, count * sizeof(*want));
	assert_int_equal(got[count], 0x5ea3a11); /* nothing behind the burst is written */
}

/* A few addresses, asked with few ports, so that hosts, ranges and prefixes meet; targets may stand there twice. */
static void bursts_of_every_length_match_the_oracle(void **state)
{
	(void)state;
	uint64_t seed = 16384;
	for (unsigned int round = 0; round < 400; round++) {
		enum { TARGETS = 120, ADDRESSES = 24, ASKED = 2 * SW_BURST };
		struct sw_target targets[TARGETS];
		struct sw_address addresses[ADDRESSES], servers[ASKED];
		uint16_t ports[ASKED];
		uint32_t want[ASKED];
		const uint32_t count = random_below(&seed, TARGETS);
		for (unsigned int i = 0; i < ADDRESSES; i++) /* two families and their neighbourhoods, by turns */
			addresses[i] = i < 4 ? random_address(&seed, i & 1) : random_neighbour(&seed, addresses[i - 4], 20);
		for (uint32_t i = 0; i < count; i++)
			targets[i] = random_target(&seed, addresses[random_below(&seed, ADDRESSES)], round % MIXTURES);
		struct sw_service_table *table = build(targets, count);
		for (unsigned int i = 0; i < ASKED; i++) {
			servers[i] = addresses[random_below(&seed, ADDRESSES)];
			ports[i] = (uint16_t)random_below(&seed, 20);
			want[i] = ask_oracle(targets, count, &servers[i], ports[i]);
			assert_int_equal(sw_service_table_lookup(table, &servers[i], ports[i]), want[i]);
		}
		for (unsigned int length = 1; length <= SW_BURST; length++) {
			const unsigned int at = random_below(&seed, ASKED - SW_BURST);
			assert_burst(table, servers + at, ports + at, want + at, length);
		}
		sw_service_table_free(table);
	}
}

/* As many targets as a snapshot may have, in the shapes that cost most: one zone of overlapping ranges, single ports.
 */
static void capacity_of_the_box(void **state)
{
	(void)state;
	enum { ASKED = 256 };
	struct sw_target *targets = calloc(SW_TARGETS_MAX, sizeof(*targets));
	struct sw_address servers[ASKED];
	uint16_t ports[ASKED];
	uint64_t seed = 8000;
	assert_non_null(targets);
	for (unsigned int shape = 0; shape < 3; shape++) {
		for (uint32_t i = 0; i < SW_TARGETS_MAX; i++) {
			struct sw_target *t = &targets[i];
			const uint16_t port = (uint16_t)(i + 1);
			*t = (struct sw_target){
			    .server = prefix_of("10.20.0.10"), .port_first = port, .port_last = port, .service = i};
			if (shape == 0)
				t->port_last = (uint16_t)(65535 - i);
			if (shape == 2) {
				t->server = (struct sw_prefix){random_address(&seed, i & 1), 128, {0}};
				t->port_first = t->port_last = (uint16_t)(1 + random_below(&seed, 65535));
			}
		}
		struct sw_service_table *table = build(targets, SW_TARGETS_MAX);
		for (unsigned int i = 0; i < ASKED; i++) {
			const struct sw_target *t = &targets[random_below(&seed, SW_TARGETS_MAX)];
			servers[i] = t->server.address;
			ports[i] = i % 2 ? t->port_first : (uint16_t)random_next(&seed);
		}
		assert_same(table, targets, SW_TARGETS_MAX, servers, ports, ASKED);
		assert_true(sw_service_table_bytes(table) < 24u << 20);
		sw_service_table_free(table);
	}
	free(targets);
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
	const struct sw_target target = {.server = prefix_of("10.0.0.0/8"), .port_first = 1, .port_last = 2};
	struct sw_service_table *table;
	int left;
	const struct sw_allocator allocator = {refuse_after, give_back, &left};
	for (int allowed = 0; allowed < 2; allowed++) {
		left = allowed;
		assert_int_equal(sw_service_table_build(&target, 1, services, &allocator, &table), -ENOMEM);
		assert_null(table);
	}
	left = 2;
	assert_int_equal(sw_service_table_build(&target, 1, services, &allocator, &table), 0);
	sw_service_table_free(table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(targets_match_as_the_contract_says),
		cmocka_unit_test(the_strictest_service_speaks_for_an_address),
		cmocka_unit_test(random_targets_match_the_oracle),
		cmocka_unit_test(bursts_of_every_length_match_the_oracle),
		cmocka_unit_test(capacity_of_the_box),
		cmocka_unit_test(no_memory_is_an_error_and_no_leak),
	};
	return cmocka_run_group_tests_name("service_table", tests, set_modes, NULL);
}
