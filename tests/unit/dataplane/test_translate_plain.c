/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plain packets of established flows go a way of their own, from which what cannot concern them is left out. Here random
 * flows and packets go both ways, and all that comes of them has to be the same.
 */
#include "test.h"

/* Its parts: the whole of it is tested by test_pipeline_*.c. */
#include "../../../dataplane/stages/translate.c"

enum { FRAME_BYTES = 128, L4 = 34 };

static uint64_t seed = 13;

static uint32_t next_random(void)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(seed >> 32);
}

static bool one_in(unsigned int n)
{
	return next_random() % n == 0;
}

/* Around `value`, mostly: what is compared with it lies before, at and behind it. */
static uint32_t near(uint32_t value)
{
	static const uint32_t spreads[] = {1, 4, 1 << 17, 1 << 23, 1 << 25};
	const uint32_t spread = spreads[next_random() % 5];

	return one_in(20) ? next_random() : value + next_random() % (2 * spread) - spread;
}

static void random_flow(struct sw_flow *f)
{
	const uint16_t any = SW_FLOW_PROXIED | SW_FLOW_COUNTED | SW_FLOW_TIMESTAMPS | SW_FLOW_ADOPTED | SW_FLOW_SENT_DATA |
		SW_FLOW_REFUSING | SW_FLOW_ALLOWED;

	for (size_t i = 0; i < sizeof(*f) / 4; i++)
		((uint32_t *)f)[i] = next_random();
	f->flags = (uint16_t)((next_random() & any) | SW_FLOW_SAW_CLIENT | SW_FLOW_SAW_SERVER);
	f->state = SW_FLOW_ESTABLISHED;
	f->server_scale = (int8_t)(next_random() % 16 - 1);
	f->promised_scale = one_in(2) ? f->server_scale : (int8_t)(next_random() % 16 - 1);
	f->client_scale = (int8_t)(next_random() % 16 - 1);
	f->client.window = next_random() >> next_random() % 32;
	f->server.window = next_random() >> next_random() % 32;
	f->server.acked = near(f->client.next);
	f->client.acked = near(f->server.next);
	f->client_start = near(f->server.acked);
	f->record = SW_FLOW_NONE;
}

/* Of either side; the view agrees with the frame. */
static void random_packet(const struct sw_flow *f, enum sw_side side, uint8_t *frame, struct sw_packet *p)
{
	const struct sw_flow_peer *from = side == SW_OUTSIDE ? &f->client : &f->server;
	const uint32_t delta = side == SW_OUTSIDE ? 0 : f->seq_delta;

	for (unsigned int i = 0; i < FRAME_BYTES; i++)
		frame[i] = (uint8_t)(one_in(2) ? 0xff : next_random());
	*p = (struct sw_packet){.kind = SW_PACKET_TCP, .side = (uint8_t)side, .l4_offset = L4};
	p->seq = near(from->next) - delta;
	p->ack = near(from->acked);
	p->window = (uint16_t)(one_in(4) ? 0 : next_random());
	p->tcp_flags = (uint8_t)(SW_TCP_ACK | (next_random() & (SW_TCP_PSH | SW_TCP_URG | SW_TCP_ECE | SW_TCP_CWR)));
	p->payload_bytes = (uint16_t)(next_random() >> next_random() % 32);
	if (one_in(4) == 0) {
		p->timestamp_offset = (uint16_t)(L4 + 22 + next_random() % 10 * 2);
		p->tsval = next_random();
		p->tsecr = one_in(4) ? 0 : next_random();
	}
}

static void both_ways_are_one(void **state)
{
	static struct sw_worker w[2];
	static struct sw_shared shared;
	static struct sw_policy policy;
	static struct sw_burst b[2];
	static struct sw_flow_setup setup[2];
	static struct sw_flow flow[2];
	static uint8_t frames[2][FRAME_BYTES];
	static struct rte_mbuf mbufs[2];
	unsigned int forwarded = 0, left = 0;
	(void)state;

	for (unsigned int k = 0; k < 2; k++) {
		w[k] = (struct sw_worker){.shared = &shared, .policy = &policy, .flows = {.flows = &flow[k], .setups = &setup[k]}};
		mbufs[k].buf_addr = frames[k];
		b[k].mbufs[0] = &mbufs[k];
	}
	for (unsigned int n = 0; n < 300000; n++) {
		const enum sw_side side = one_in(2) ? SW_OUTSIDE : SW_INSIDE;
		random_flow(&flow[0]);
		random_packet(&flow[0], side, frames[0], &b[0].packets[0]);
		flow[1] = flow[0];
		memcpy(frames[1], frames[0], FRAME_BYTES);
		b[1].packets[0] = b[0].packets[0];
		for (unsigned int k = 0; k < 2; k++) {
			w[k].now = (uint64_t)n << 24;
			b[k].side = side;
			b[k].flows[0] = 0;
			b[k].pending = 1;
			b[k].verdicts[0] = SW_PENDING;
		}
		assert_true(is_plain(&flow[0], &b[0].packets[0]));
		sw_stage_translate(&w[0], &b[0]);
		translate(&w[1], &b[1], 0);
		assert_memory_equal(&flow[0], &flow[1], sizeof(flow[0]));
		assert_memory_equal(frames[0], frames[1], FRAME_BYTES);
		assert_int_equal(b[0].verdicts[0], b[1].verdicts[0]);
		assert_int_equal(b[0].pending, b[1].pending);
		forwarded += b[0].verdicts[0] == SW_FORWARD;
		left += b[0].pending;
	}
	assert_int_not_equal(left, 0);
	assert_in_range(forwarded, 150000, 300000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ways_are_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
