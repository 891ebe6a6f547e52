/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "../../cookies.h"
#include "frame_builder.h"

static const uint8_t master[SW_COOKIE_MASTER_BYTES] = "thirty-two bytes, no fewer......";
static uint64_t seed = 3;

static uint32_t next_random(void)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(seed >> 32);
}

/* A SYN as the parser gives it, of a random client. */
static struct sw_packet random_syn(void)
{
	struct sw_packet p = {.kind = SW_PACKET_TCP, .tcp_flags = SW_TCP_SYN, .is_ipv6 = next_random() & 1};
	uint32_t four[8];

	for (unsigned int i = 0; i < 8; i++)
		four[i] = next_random();
	four[0] |= 1; /* never ::ffff:0:0/96 */
	four[4] |= 1;
	p.client = p.is_ipv6 ? sw_address_from_ipv6(four) : sw_address_from_ipv4(four);
	p.server = p.is_ipv6 ? sw_address_from_ipv6(four + 4) : sw_address_from_ipv4(four + 4);
	p.client_port = (uint16_t)next_random();
	p.server_port = (uint16_t)next_random();
	p.vlan = next_random() & 1 ? 0 : next_random() & 0x8fff8fff;
	p.seq = next_random();
	p.mss = (uint16_t)next_random();
	p.window_scale = (int8_t)(next_random() % 16) - 1;
	p.options = (uint8_t)(next_random() & (SW_OPTION_SACK_PERMITTED | SW_OPTION_TIMESTAMPS));
	if (next_random() & 1)
		p.tcp_flags |= SW_TCP_ECE | SW_TCP_CWR;
	return p;
}

/* The ACK with which its client answers `cookie`. */
static struct sw_packet ack_of(const struct sw_packet *syn, const struct cookie *cookie)
{
	struct sw_packet p = *syn;

	p.tcp_flags = SW_TCP_ACK;
	p.seq = syn->seq + 1;
	p.ack = cookie->isn + 1;
	p.options &= SW_OPTION_TIMESTAMPS;
	p.timestamp_offset = p.options ? 58 : 0;
	p.tsecr = p.options ? cookie->tsval : 0;
	p.mss = 0;
	p.window_scale = SW_WINDOW_SCALE_NONE;
	return p;
}

enum result {
	VALID,
	INVALID,
	EXPIRED,
};

static enum result verify(const struct sw_cookie_keys *keys, const struct sw_packet *ack)
{
	const struct sw_cookie_verdicts v = verify_cookies(keys, ack, 1);

	assert_int_equal((v.valid | v.expired) & ~1u, 0);
	assert_int_equal(v.valid & v.expired, 0);
	return v.valid ? VALID : v.expired ? EXPIRED : INVALID;
}

static enum result exchange(const struct sw_cookie_keys *make, const struct sw_cookie_keys *keys,
	const struct sw_packet *syn, struct sw_packet *ack)
{
	const struct sw_cookie_options asked = sw_cookie_options_of(syn);
	struct cookie cookie;

	make_cookies(make, syn, &asked, 1, &cookie);
	*ack = ack_of(syn, &cookie);
	return verify(keys, ack);
}

/* Mixed bursts of both families, of every size, with every instruction set: what was asked for comes back. */
static void bursts_come_back(void **state)
{
	(void)state;
	for (enum sw_isa isa = SW_ISA_SCALAR; isa <= sw_isa_best(SW_ISA_AVX512); isa++) {
		struct sw_cookie_keys old, new;

		sw_cookie_derive_keys(master, 55000000, sw_siphash_burst_for(isa), &old);
		sw_cookie_derive_keys(master, 55000001, sw_siphash_burst_for(isa), &new);
		for (unsigned int count = 0; count <= SW_BURST; count++) {
			const uint32_t all = (uint32_t)((1ull << count) - 1), some = all & next_random();
			struct sw_packet syns[SW_BURST], acks[SW_BURST];
			struct sw_cookie_options asked[SW_BURST], got;
			struct cookie cookies[SW_BURST], of_old[SW_BURST];
			struct sw_cookie_verdicts v;

			for (unsigned int i = 0; i < count; i++) {
				syns[i] = random_syn();
				asked[i] = sw_cookie_options_of(&syns[i]);
			}
			make_cookies(&new, syns, asked, count, cookies);
			make_cookies(&old, syns, asked, count, of_old);
			for (unsigned int i = 0; i < count; i++) /* both epochs in one burst */
				acks[i] = ack_of(&syns[i], i % 3 ? &cookies[i] : &of_old[i]);
			v = verify_cookies(&new, acks, all);
			assert_int_equal(v.valid, all);
			assert_int_equal(v.expired, 0);
			v = verify_cookies(&new, acks, some);
			assert_int_equal(v.valid, some);
			for (unsigned int i = 0; i < count; i++) {
				sw_cookie_decode(&acks[i], &got);
				assert_int_equal(got.sack, asked[i].sack);
				assert_int_equal(got.timestamps, asked[i].timestamps);
				assert_int_equal(got.ecn, asked[i].timestamps ? asked[i].ecn : 0);
				assert_true(got.mss <= asked[i].mss || got.mss == sw_cookie_mss[0]);
				if (asked[i].timestamps)
					assert_int_equal(got.window_scale, asked[i].window_scale);
				else
					assert_true(got.window_scale <= asked[i].window_scale);
				assert_int_equal(got.window_scale < 0, asked[i].window_scale < 0);
			}
		}
	}
}

enum field {
	COOKIE,
	CLIENT_SEQ,
	TSECR,
	PORT_OF_CLIENT,
	PORT_OF_SERVER,
	VLAN,
	ADDRESS_OF_CLIENT,
	ADDRESS_OF_SERVER,
	FIELDS
};

static void turn_bit(struct sw_packet *ack, enum field field, uint32_t bit)
{
	const uint32_t value = 1u << bit % 32;

	if (field == COOKIE)
		ack->ack = ((ack->ack - 1) ^ value) + 1;
	else if (field == CLIENT_SEQ)
		ack->seq ^= value;
	else if (field == TSECR)
		ack->tsecr ^= value;
	else if (field == PORT_OF_CLIENT)
		ack->client_port ^= (uint16_t)value;
	else if (field == PORT_OF_SERVER)
		ack->server_port ^= (uint16_t)value;
	else if (field == VLAN)
		ack->vlan ^= value;
	else if (field == ADDRESS_OF_CLIENT)
		ack->client.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	else
		ack->server.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
}

/* One bit of anything that is under the MAC, or of the MAC, turned: refused. */
static void any_other_bit_is_refused(void **state)
{
	static const uint32_t bits[FIELDS] = {32, 32, 32, 16, 16, 32, 128, 128};
	struct sw_cookie_keys keys;

	(void)state;
	sw_cookie_derive_keys(master, 55000000, sw_siphash_burst_for(sw_isa_best(SW_ISA_AVX512)), &keys);
	for (unsigned int round = 0; round < 64; round++) {
		const struct sw_packet syn = random_syn();
		struct sw_packet ack;

		assert_int_equal(exchange(&keys, &keys, &syn, &ack), VALID);
		for (enum field field = COOKIE; field < FIELDS; field++) {
			const bool is_ipv4_address = field >= ADDRESS_OF_CLIENT && !syn.is_ipv6;

			if (field == TSECR && !ack.timestamp_offset)
				continue;
			for (uint32_t bit = is_ipv4_address ? 96 : 0; bit < bits[field]; bit++) {
				struct sw_packet wrong = ack;

				turn_bit(&wrong, field, bit);
				/* Without timestamps 24 bits are all there is: of 10^7 such tries about one would pass. */
				assert_int_equal(verify(&keys, &wrong), INVALID);
			}
		}
		ack.timestamp_offset = ack.timestamp_offset ? 0 : 58; /* timestamps stripped, or added */
		assert_int_equal(verify(&keys, &ack), INVALID);
	}
}

/* A cookie lives in its own epoch and the next; in the one after it counts as expired, else as wrong. */
static void lifetime(void **state)
{
	static const struct {
		int later;
		enum result expected;
	} epochs[] = {{-2, INVALID}, {-1, INVALID}, {0, VALID}, {1, VALID}, {2, EXPIRED}, {3, INVALID}, {4, INVALID}};

	(void)state;
	for (uint32_t base = 0; base < 4; base++) /* both parities, and around the wrap of the epoch number */
		for (size_t i = 0; i < sizeof(epochs) / sizeof(epochs[0]); i++)
			for (unsigned int round = 0; round < 16; round++) {
				const struct sw_packet syn = random_syn();
				struct sw_cookie_keys made, now;
				struct sw_packet ack;

				sw_cookie_derive_keys(master, base - 2, sw_siphash_burst_scalar, &made);
				sw_cookie_derive_keys(master, base - 2 + (uint32_t)epochs[i].later, sw_siphash_burst_scalar, &now);
				assert_int_equal(exchange(&made, &now, &syn, &ack), epochs[i].expected);
			}
}

/* Cookies of this epoch, of those before it, and forged ones, all in one burst: each instruction set tells them apart. */
static void mixed_bursts_are_told_apart(void **state)
{
	enum { EPOCH = 55000004, KINDS = 5 }; /* 3: too old for anybody to know; 4: forged */
	struct sw_cookie_keys made[KINDS - 1], now;

	(void)state;
	for (enum sw_isa isa = SW_ISA_SCALAR; isa <= sw_isa_best(SW_ISA_AVX512); isa++) {
		sw_cookie_derive_keys(master, EPOCH, sw_siphash_burst_for(isa), &now);
		for (uint32_t age = 0; age < KINDS - 1; age++)
			sw_cookie_derive_keys(master, EPOCH - age, sw_siphash_burst_scalar, &made[age]);
		for (unsigned int round = 0; round < 300; round++) {
			const uint32_t set = round & 1 ? UINT32_MAX : next_random();
			uint32_t valid = 0, expired = 0;
			struct sw_packet acks[SW_BURST];
			for (unsigned int i = 0; i < SW_BURST; i++) {
				const unsigned int kind = next_random() % KINDS;
				const struct sw_packet syn = random_syn();
				const struct sw_cookie_options asked = sw_cookie_options_of(&syn);
				struct cookie cookie;
				make_cookies(&made[kind % (KINDS - 1)], &syn, &asked, 1, &cookie);
				acks[i] = ack_of(&syn, &cookie);
				if (kind == KINDS - 1)
					acks[i].ack ^= 0x100u << next_random() % 24;
				valid |= (uint32_t)(kind < 2) << i;
				expired |= (uint32_t)(kind == 2) << i;
			}
			const struct sw_cookie_verdicts v = verify_cookies(&now, acks, set);
			assert_int_equal(v.valid, set & valid);
			assert_int_equal(v.expired, set & expired);
		}
	}
}

static void another_master_secret_is_refused(void **state)
{
	uint8_t other[SW_COOKIE_MASTER_BYTES];
	struct sw_cookie_keys made, now;

	(void)state;
	memcpy(other, master, sizeof(other));
	other[31] ^= 1;
	sw_cookie_derive_keys(master, 8, sw_siphash_burst_scalar, &made);
	sw_cookie_derive_keys(other, 8, sw_siphash_burst_scalar, &now);
	for (unsigned int round = 0; round < 64; round++) {
		const struct sw_packet syn = random_syn();
		struct sw_packet ack;

		assert_int_equal(exchange(&made, &now, &syn, &ack), INVALID);
	}
}

/* Random guesses by the million: none passes with timestamps, about 1 in 2^24 without. */
static void guesses(void **state)
{
	enum { BURSTS = 1 << 14 };
	struct sw_cookie_keys keys;
	struct sw_packet acks[SW_BURST];
	unsigned int passed[2] = {0, 0};

	(void)state;
	sw_cookie_derive_keys(master, 55000000, sw_siphash_burst_for(sw_isa_best(SW_ISA_AVX512)), &keys);
	for (unsigned int i = 0; i < SW_BURST; i++) {
		acks[i] = random_syn();
		acks[i].timestamp_offset = i & 1 ? 58 : 0;
	}
	for (unsigned int burst = 0; burst < BURSTS; burst++) {
		for (unsigned int i = 0; i < SW_BURST; i++) {
			acks[i].ack = next_random();
			acks[i].tsecr = next_random();
		}
		const uint32_t valid = verify_cookies(&keys, acks, UINT32_MAX).valid;
		for (unsigned int i = 0; i < SW_BURST; i++)
			passed[i & 1] += valid >> i & 1;
	}
	assert_true(passed[0] <= 2); /* 2^18 tries at 2^-24 */
	assert_int_equal(passed[1], 0);
}

/* What comes back of `in`, whatever the MAC is. */
static struct sw_cookie_options coded(const struct sw_cookie_options *in, uint64_t mac, uint32_t epoch)
{
	struct sw_cookie_terms terms;
	struct sw_packet ack = {.timestamp_offset = in->timestamps ? 58 : 0};
	struct sw_cookie_options out;

	sw_cookie_terms_make(&terms, in, false, epoch);
	assert_int_equal(terms.isn & 1, epoch & 1);
	assert_int_equal(terms.timestamps, in->timestamps);
	if (!in->timestamps)
		assert_int_equal(terms.tsval, 0);
	ack.ack = sw_cookie_isn(mac, &terms) + 1;
	ack.tsecr = sw_cookie_tsval(mac, &terms);
	sw_cookie_decode(&ack, &out);
	return out;
}

static void every_mss_rounds_down(void **state)
{
	(void)state;
	for (uint32_t mss = 0; mss <= UINT16_MAX; mss++) {
		const struct sw_cookie_options in = {.mss = (uint16_t)mss, .window_scale = SW_WINDOW_SCALE_NONE};
		uint16_t expected = sw_cookie_mss[0];

		for (unsigned int i = 0; i < 8; i++)
			if (sw_cookie_mss[i] <= mss)
				expected = sw_cookie_mss[i];
		assert_int_equal(coded(&in, 0, 0).mss, expected);
	}
}

static void every_scale_rounds_down(void **state)
{
	(void)state;
	for (int scale = -1; scale <= 14; scale++)
		for (unsigned int bits = 0; bits < 8; bits++) {
			const struct sw_cookie_options in = {1460, (int8_t)scale, bits & 1, bits >> 1 & 1, bits >> 2 & 1};
			const struct sw_cookie_options out = coded(&in, ~0ull, 1);
			int8_t expected = SW_WINDOW_SCALE_NONE;

			for (unsigned int i = 1; i < 8; i++)
				if (sw_cookie_window_scale[i] <= scale)
					expected = sw_cookie_window_scale[i];
			assert_int_equal(out.window_scale, in.timestamps ? scale : expected);
			assert_int_equal(out.sack, in.sack);
			assert_int_equal(out.timestamps, in.timestamps);
			assert_int_equal(out.ecn, in.timestamps && in.ecn);
		}
}

static void tables_rise(void **state)
{
	(void)state;
	for (unsigned int i = 1; i < 8; i++) {
		assert_true(sw_cookie_mss[i] > sw_cookie_mss[i - 1]);
		assert_true(sw_cookie_window_scale[i] > sw_cookie_window_scale[i - 1]);
	}
	assert_int_equal(sw_cookie_window_scale[0], SW_WINDOW_SCALE_NONE);
	assert_true(sw_cookie_window_scale[7] <= SW_WINDOW_SCALE_MAX);
}

static void what_a_syn_asks_for(void **state)
{
	static const uint8_t options[20] = {2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 10};

	(void)state;
	for (unsigned int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		struct build b;
		struct sw_packet p;
		struct sw_cookie_options o;

		build_segment(&b, is_ipv6, SW_TCP_SYN | SW_TCP_ECE | SW_TCP_CWR, options, sizeof(options), 0);
		p = parse_build(&b);
		o = sw_cookie_options_of(&p);
		assert_int_equal(o.mss, 1460);
		assert_int_equal(o.window_scale, 10);
		assert_true(o.sack && o.timestamps && o.ecn);

		build_segment(&b, is_ipv6, SW_TCP_SYN | SW_TCP_ECE, NULL, 0, 0);
		p = parse_build(&b);
		o = sw_cookie_options_of(&p);
		assert_int_equal(o.mss, is_ipv6 ? 1220 : 536); /* RFC 9293, 3.7.1 */
		assert_int_equal(o.window_scale, SW_WINDOW_SCALE_NONE);
		assert_false(o.sack || o.timestamps || o.ecn); /* ECE alone asks for nothing (RFC 3168, 6.1.1) */
	}
}

static void keys_are_wiped(void **state)
{
	const struct sw_cookie_keys nothing = {0};
	struct sw_cookie_keys keys;

	(void)state;
	sw_cookie_derive_keys(master, 5, sw_siphash_burst_scalar, &keys);
	assert_memory_not_equal(&keys, &nothing, sizeof(keys));
	sw_cookie_wipe_keys(&keys);
	assert_memory_equal(&keys, &nothing, sizeof(keys));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bursts_come_back),
		cmocka_unit_test(any_other_bit_is_refused),
		cmocka_unit_test(lifetime),
		cmocka_unit_test(mixed_bursts_are_told_apart),
		cmocka_unit_test(another_master_secret_is_refused),
		cmocka_unit_test(guesses),
		cmocka_unit_test(every_mss_rounds_down),
		cmocka_unit_test(every_scale_rounds_down),
		cmocka_unit_test(tables_rise),
		cmocka_unit_test(what_a_syn_asks_for),
		cmocka_unit_test(keys_are_wiped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
