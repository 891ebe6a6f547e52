/* SPDX-License-Identifier: BSD-3-Clause */
/* The hash of flows, against AES rounds as FIPS 197 words them, and what goes into it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>

#include <cmocka.h>

#include "core/flow_hash.h"
#include "random_prefixes.h"

static uint8_t times(uint8_t a, uint8_t b)
{
	uint8_t product = 0;

	for (; b; b >>= 1) {
		product ^= b & 1 ? a : 0;
		a = (uint8_t)(a << 1 ^ (a & 0x80 ? 0x1b : 0));
	}
	return product;
}

/* 5.1.1: the inverse, then the affine map. */
static uint8_t substitute(uint8_t a)
{
	uint8_t inverse = 0, out = 0x63;

	for (unsigned int b = 1; b < 256 && inverse == 0; b++)
		inverse = times(a, (uint8_t)b) == 1 ? (uint8_t)b : 0;
	for (unsigned int i = 0; i < 5; i++)
		out ^= (uint8_t)(inverse << i | inverse >> (8 - i));
	return out;
}

/* 5.1.1 to 5.1.4; byte r + 4c of the state is row r of column c. */
static void aes_round(uint8_t state[16], const uint8_t key[16])
{
	static const uint8_t mix[4] = {2, 3, 1, 1};
	static uint8_t box[256];
	uint8_t shifted[16];

	if (box[0] == 0)
		for (unsigned int a = 0; a < 256; a++)
			box[a] = substitute((uint8_t)a);
	for (unsigned int c = 0; c < 4; c++)
		for (unsigned int r = 0; r < 4; r++)
			shifted[r + 4 * c] = box[state[r + 4 * ((c + r) % 4)]];
	for (unsigned int c = 0; c < 4; c++)
		for (unsigned int r = 0; r < 4; r++) {
			uint8_t sum = key[r + 4 * c];
			for (unsigned int k = 0; k < 4; k++)
				sum ^= times(shifted[k + 4 * c], mix[(k + 4 - r) % 4]);
			state[r + 4 * c] = sum;
		}
}

static uint64_t model(const struct sw_flow_key *key, const struct sw_packet *p)
{
	uint8_t state[16], rest[16] = {0};
	uint64_t hash;

	memcpy(rest, &p->client_port, 2);
	memcpy(rest + 2, &p->server_port, 2);
	memcpy(rest + 4, &p->vlan, 4);
	for (unsigned int i = 0; i < 16; i++)
		state[i] = p->client.bytes[i] ^ key->rounds[0][i];
	for (unsigned int round = 1; round <= 4; round++)
		aes_round(state, key->rounds[round]);
	for (unsigned int i = 0; i < 16; i++)
		state[i] ^= p->server.bytes[i];
	for (unsigned int round = 1; round <= 4; round++)
		aes_round(state, key->rounds[round]);
	for (unsigned int i = 0; i < 16; i++)
		state[i] ^= rest[i];
	for (unsigned int round = 5; round <= 14; round++)
		aes_round(state, key->rounds[round]);
	memcpy(&hash, state, sizeof(hash));
	return hash;
}

static void fill(uint64_t *random, void *memory, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		((uint8_t *)memory)[i] = (uint8_t)random_next(random);
}

static void is_what_fips_197_says(void **state)
{
	struct sw_flow_key key;
	struct sw_packet p;
	uint64_t random = 20;
	(void)state;

	for (unsigned int n = 0; n < 500; n++) {
		fill(&random, &key, sizeof(key));
		fill(&random, &p, sizeof(p));
		assert_true(sw_flow_hash(&key, &p) == model(&key, &p));
	}
}

/* Appendix B, the first round: the one known answer that does not come from this file. */
static void the_model_is_aes(void **state)
{
	static const uint8_t start[16] = {
		0x19, 0x3d, 0xe3, 0xbe, 0xa0, 0xf4, 0xe2, 0x2b, 0x9a, 0xc6, 0x8d, 0x2a, 0xe9, 0xf8, 0x48, 0x08};
	static const uint8_t key[16] = {
		0xa0, 0xfa, 0xfe, 0x17, 0x88, 0x54, 0x2c, 0xb1, 0x23, 0xa3, 0x39, 0x39, 0x2a, 0x6c, 0x76, 0x05};
	static const uint8_t second[16] = {
		0xa4, 0x9c, 0x7f, 0xf2, 0x68, 0x9f, 0x35, 0x2b, 0x6b, 0x5b, 0xea, 0x43, 0x02, 0x6a, 0x50, 0x49};
	uint8_t bytes[16];
	(void)state;

	memcpy(bytes, start, 16);
	aes_round(bytes, key);
	assert_memory_equal(bytes, second, 16);
}

struct part {
	size_t offset, bytes;
};

static bool is_part(size_t byte)
{
	static const struct part parts[] = {
		{offsetof(struct sw_packet, client), 16},
		{offsetof(struct sw_packet, server), 16},
		{offsetof(struct sw_packet, client_port), 2},
		{offsetof(struct sw_packet, server_port), 2},
		{offsetof(struct sw_packet, vlan), 4},
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (byte >= parts[i].offset && byte < parts[i].offset + parts[i].bytes)
			return true;
	return false;
}

/* Addresses, ports and VLAN in every bit, and nothing else of a view. */
static void takes_in_the_tuple_alone(void **state)
{
	struct sw_flow_key key;
	struct sw_packet p;
	uint64_t random = 7;
	(void)state;

	fill(&random, &key, sizeof(key));
	fill(&random, &p, sizeof(p));
	const uint64_t hash = sw_flow_hash(&key, &p);
	for (size_t bit = 0; bit < 8 * sizeof(p); bit++) {
		((uint8_t *)&p)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(sw_flow_hash(&key, &p) != hash, is_part(bit / 8));
		((uint8_t *)&p)[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

/* Whatever set of a burst is asked for, with every instruction set; what stands between is read and not used. */
static void bursts_have_the_same_bits(void **state)
{
	struct sw_flow_key key;
	struct sw_packet packets[SW_BURST];
	uint64_t random = 4, hashes[SW_BURST];
	(void)state;

	for (enum sw_isa isa = SW_ISA_SCALAR; isa <= sw_isa_best(SW_ISA_AVX512); isa++)
		for (unsigned int n = 0; n < 200; n++) {
			uint32_t set = n == 0 ? 0 : n == 1 ? UINT32_MAX : (uint32_t)random_next(&random);
			for (unsigned int thin = n % 4; thin; thin--)
				set &= n == 1 ? set : (uint32_t)random_next(&random);
			fill(&random, &key, sizeof(key));
			fill(&random, packets, sizeof(packets));
			sw_flow_hash_burst_for(isa)(&key, packets, set, hashes);
			for (unsigned int i = 0; i < SW_BURST; i++)
				if (set >> i & 1)
					assert_true(hashes[i] == sw_flow_hash(&key, &packets[i]));
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bursts_have_the_same_bits),
		cmocka_unit_test(the_model_is_aes),
		cmocka_unit_test(is_what_fips_197_says),
		cmocka_unit_test(takes_in_the_tuple_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
