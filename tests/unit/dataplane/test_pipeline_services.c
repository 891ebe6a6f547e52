/* SPDX-License-Identifier: BSD-3-Clause */
/* Floods of one service and of several in turns: each SYN is counted for its own, whatever becomes of it. */
#include "pipeline_model.h"

#include "../core/random_prefixes.h"

enum { SERVICES_MAX = 8, CLIENTS = 100, ROUNDS = 120, FIRST_CLIENT_PORT = 2000 };

/* The services that take part, on ports in a row. */
static const unsigned int counts_of_services[] = {1, 2, 3, 4, 5, 8};

static void shape_services(struct draft *d)
{
	for (unsigned int i = 1; i < SERVICES_MAX; i++) {
		static const char *const names[SERVICES_MAX] = {"", "b", "c", "d", "e", "f", "g", "h"};
		draft_service(d, names[i], SW_MODE_ALWAYS);
		draft_target(d, "10.20.0.10/32", (uint16_t)(SERVICE_PORT + i), (uint16_t)(SERVICE_PORT + i), i);
		draft_target(d, "fd00:20::10/128", (uint16_t)(SERVICE_PORT + i), (uint16_t)(SERVICE_PORT + i), i);
	}
}

/* All of it passes. */
static void shape_services_off(struct draft *d)
{
	shape_services(d);
	for (unsigned int i = 0; i < SERVICES_MAX; i++)
		d->services[i].mode = SW_MODE_OFF;
}

/* One SYN of each source. */
static void shape_services_shut(struct draft *d)
{
	shape_services(d);
	for (unsigned int i = 0; i < SERVICES_MAX; i++)
		d->services[i].limits[0] = (struct sw_limits){.syn_per_s = 1, .syn_burst = 1};
}

/* What has been sent to each service so far, or came of it. */
struct tally {
	uint64_t of[SERVICES_MAX];
};

static void assert_tally(const struct net *n, enum sw_count what, const struct tally *t)
{
	for (unsigned int i = 0; i < SERVICES_MAX; i++)
		assert_int_equal(n->w->services[i].count[what], t->of[i]);
}

static void assert_tally_dropped(const struct net *n, enum sw_drop_reason why, const struct tally *t)
{
	for (unsigned int i = 0; i < SERVICES_MAX; i++)
		assert_int_equal(n->w->services[i].dropped[why], t->of[i]);
}

/* A burst of packets of any clients, each to any of these services; number k comes from a port of its own. */
static void send_burst_of(void (*send)(struct session *), struct net *n, uint64_t *random, unsigned int services,
    struct session s[SW_BURST], unsigned int count, struct tally *sent)
{
	for (unsigned int k = 0; k < count; k++) {
		const unsigned int service = random_below(random, services);
		s[k] = session_of(n, 1 + random_below(random, CLIENTS));
		s[k].client_port = (uint16_t)(FIRST_CLIENT_PORT + k);
		s[k].server_port = (uint16_t)(SERVICE_PORT + service);
		sent->of[service]++;
		send(&s[k]);
	}
	net_run(n);
}

static void send_burst(struct net *n, uint64_t *random, unsigned int services, struct session s[SW_BURST], unsigned int count,
    struct tally *sent)
{
	send_burst_of(client_syn, n, random, services, s, count, sent);
}

static unsigned int any_count(uint64_t *random)
{
	const unsigned int which = random_below(random, 3);

	return which == 0 ? SW_BURST : 1 + random_below(random, which == 1 ? SW_BURST : 6);
}

/* One SYN-ACK for each of these, in whatever order. */
static void expect_answers(struct net *n, const struct session s[SW_BURST], uint32_t to)
{
	for (uint32_t left = to; left;) {
		const struct frame f = net_expect(n, SW_OUTSIDE);
		const unsigned int client = (unsigned int)(f.view.client_port - FIRST_CLIENT_PORT) % SW_BURST;
		assert_true(left >> client & 1);
		assert_int_equal(f.view.server_port, s[client].server_port);
		assert_int_equal(f.view.ack, s[client].client_isn + 1);
		left &= ~(1u << client);
	}
	net_expect_nothing(n);
}

static void each_is_answered_for_its_service(struct net *n)
{
	struct session s[SW_BURST];
	struct tally sent = {{0}};
	uint64_t random = 51;

	for (unsigned int round = 0; round < ROUNDS; round++) {
		const unsigned int services = counts_of_services[random_below(&random, 6)], count = any_count(&random);
		send_burst(n, &random, services, s, count, &sent);
		expect_answers(n, s, (uint32_t)((1ull << count) - 1));
		assert_tally(n, SW_COUNT_RX, &sent);
		assert_tally(n, SW_COUNT_SYN_RECEIVED, &sent);
		assert_tally(n, SW_COUNT_ANSWERED, &sent);
		assert_tally(n, SW_COUNT_SENT_SYN_ACK, &sent);
	}
}

/* What a queue does not take is a loss of the service that it was for. */
static void each_is_lost_for_its_service(struct net *n)
{
	struct session s[SW_BURST];
	struct tally sent = {{0}};
	const struct tally none = sent;
	uint64_t random = 52;

	net_block_port(n, SW_OUTSIDE, true);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		send_burst(n, &random, counts_of_services[random_below(&random, 6)], s, any_count(&random), &sent);
		assert_tally(n, SW_COUNT_ANSWERED, &none);
		assert_tally_dropped(n, SW_DROP_TRANSMIT_FULL, &sent);
	}
	net_block_port(n, SW_OUTSIDE, false);
}

/* Of a burst, those who have not had their one SYN at their service; which is then used up. */
static uint32_t find_new(const struct session s[SW_BURST], unsigned int count, bool used[SERVICES_MAX][256])
{
	uint32_t new = 0;

	for (unsigned int k = 0; k < count; k++) {
		bool *mine = &used[s[k].server_port - SERVICE_PORT][s[k].client.bytes[15]];
		new |= (uint32_t)!*mine << k;
		*mine = true;
	}
	return new;
}

static void each_is_refused_for_its_service(struct net *n)
{
	static bool used[SERVICES_MAX][256];
	struct session s[SW_BURST];
	struct tally sent = {{0}}, dropped = sent, answered = sent;
	uint64_t random = 53;
	unsigned int mixed = 0, all_dropped = 0;

	memset(used, 0, sizeof(used));
	for (unsigned int round = 0; round < ROUNDS; round++) {
		const unsigned int count = any_count(&random);
		send_burst(n, &random, counts_of_services[random_below(&random, 6)], s, count, &sent);
		const uint32_t new = find_new(s, count, used);
		expect_answers(n, s, new);
		for (unsigned int k = 0; k < count; k++)
			(new >> k & 1 ? &answered : &dropped)->of[s[k].server_port - SERVICE_PORT]++;
		assert_tally(n, SW_COUNT_ANSWERED, &answered);
		assert_tally_dropped(n, SW_DROP_LIMIT_SYN_SOURCE, &dropped);
		mixed += new != 0 && (unsigned int)__builtin_popcount(new) < count;
		all_dropped += new == 0;
	}
	assert_true(mixed > ROUNDS / 8 && all_dropped > ROUNDS / 8);
}

/* ACKs with no cookie. */
static void each_is_dropped_for_its_service(struct net *n)
{
	struct session s[SW_BURST];
	struct tally sent = {{0}};
	uint64_t random = 54;

	n->now += 3600 * NET_HZ; /* none is of a connection that is older than the box */
	for (unsigned int round = 0; round < ROUNDS; round++) {
		send_burst_of(client_ack, n, &random, counts_of_services[random_below(&random, 6)], s, any_count(&random), &sent);
		net_expect_nothing(n);
		assert_tally_dropped(n, SW_DROP_COOKIE_INVALID, &sent);
	}
}

static void what_is_forwarded_keeps_its_order(struct net *n)
{
	struct session s[SW_BURST];
	struct tally sent = {{0}};
	uint64_t random = 55;

	for (unsigned int round = 0; round < ROUNDS; round++) {
		const unsigned int count = any_count(&random);
		send_burst(n, &random, counts_of_services[random_below(&random, 6)], s, count, &sent);
		for (unsigned int k = 0; k < count; k++)
			assert_int_equal(net_expect(n, SW_INSIDE).view.client_port, FIRST_CLIENT_PORT + k);
		net_expect_nothing(n);
		assert_tally(n, SW_COUNT_FORWARDED, &sent);
	}
}

static const struct net_case cases[] = {
	NET_CASE(each_is_answered_for_its_service, shape_services),
	NET_CASE(each_is_lost_for_its_service, shape_services),
	NET_CASE(each_is_refused_for_its_service, shape_services_shut),
	NET_CASE(each_is_dropped_for_its_service, shape_services),
	NET_CASE(what_is_forwarded_keeps_its_order, shape_services_off),
};

int main(void)
{
	return net_run_cases("pipeline: services", cases, sizeof(cases) / sizeof(cases[0]));
}
