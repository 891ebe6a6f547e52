/* SPDX-License-Identifier: BSD-3-Clause */
/* Replays tests/vectors, made by an independent implementation, with every instruction set. Argument: the directory. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>

#include "../../cookies.h"

static const char *directory;

static json_t *load(const char *name)
{
	char path[4096];
	json_error_t error;
	json_t *root;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	root = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
	if (!root)
		fail_msg("%s:%d: %s", path, error.line, error.text);
	return root;
}

static json_t *field(const json_t *object, const char *name)
{
	json_t *value = json_object_get(object, name);

	if (!value)
		fail_msg("no field %s", name);
	return value;
}

static unsigned int unhex(const char *text, uint8_t *out, unsigned int room)
{
	const unsigned int length = (unsigned int)strlen(text) / 2;

	assert_true(length <= room);
	for (unsigned int i = 0; i < length; i++) {
		unsigned int byte;

		assert_int_equal(sscanf(text + 2 * i, "%2x", &byte), 1);
		out[i] = (uint8_t)byte;
	}
	return length;
}

static uint64_t number_in_hex(const json_t *value)
{
	return strtoull(json_string_value(value), NULL, 16);
}

static uint32_t number(const json_t *object, const char *name)
{
	return (uint32_t)json_integer_value(field(object, name));
}

static struct sw_siphash_key key_from_bytes(const uint8_t bytes[16])
{
	struct sw_siphash_key key = {0, 0};

	for (unsigned int i = 0; i < 8; i++) {
		key.k0 |= (uint64_t)bytes[i] << 8 * i;
		key.k1 |= (uint64_t)bytes[8 + i] << 8 * i;
	}
	return key;
}

static void siphash(void **state)
{
	json_t *root = load("siphash.json"), *macs = field(root, "macs"), *mac;
	uint8_t key_bytes[16], message[64];
	struct sw_siphash_key key;
	size_t length;

	(void)state;
	assert_int_equal(unhex(json_string_value(field(root, "key")), key_bytes, sizeof(key_bytes)), 16);
	key = key_from_bytes(key_bytes);
	for (uint8_t i = 0; i < sizeof(message); i++)
		message[i] = i;
	assert_int_equal(json_array_size(macs), 64);
	json_array_foreach(macs, length, mac)
		assert_true(sw_siphash24(&key, message, length) == number_in_hex(mac));
	json_decref(root);
}

static void assert_key(const struct sw_siphash_key *key, const json_t *hex)
{
	uint8_t bytes[16];
	struct sw_siphash_key expected;

	assert_int_equal(unhex(json_string_value(hex), bytes, sizeof(bytes)), 16);
	expected = key_from_bytes(bytes);
	assert_true(key->k0 == expected.k0 && key->k1 == expected.k1);
}

static void keys(void **state)
{
	json_t *root = load("keys.json"), *entry;
	uint8_t master[SW_COOKIE_MASTER_BYTES];
	struct sw_siphash_key key;
	size_t i;

	(void)state;
	assert_int_equal(unhex(json_string_value(field(root, "master")), master, sizeof(master)), sizeof(master));
	assert_true(json_array_size(field(root, "cookie_keys")) > 0 && json_array_size(field(root, "table_keys")) > 0);
	json_array_foreach(field(root, "cookie_keys"), i, entry) {
		sw_cookie_derive_key(master, number(entry, "epoch"), &key);
		assert_key(&key, field(entry, "key"));
	}
	json_array_foreach(field(root, "table_keys"), i, entry) {
		sw_derive_table_key(master, number(entry, "label"), &key);
		assert_key(&key, field(entry, "key"));
	}
	json_decref(root);
}

static struct sw_address address(const json_t *value, uint8_t *is_ipv6)
{
	uint8_t bytes[16];

	*is_ipv6 = inet_pton(AF_INET6, json_string_value(value), bytes) == 1;
	if (*is_ipv6)
		return sw_address_from_ipv6(bytes);
	assert_int_equal(inet_pton(AF_INET, json_string_value(value), bytes), 1);
	return sw_address_from_ipv4(bytes);
}

static uint32_t vlan_tag(const json_t *value)
{
	return json_is_null(value) ? 0 : SW_VLAN_PRESENT | (uint32_t)json_integer_value(value);
}

static struct sw_packet syn_of(const json_t *vector)
{
	struct sw_packet p = {.kind = SW_PACKET_TCP, .tcp_flags = SW_TCP_SYN};

	p.client = address(field(vector, "client"), &p.is_ipv6);
	p.server = address(field(vector, "server"), &p.is_ipv6);
	p.client_port = (uint16_t)number(vector, "client_port");
	p.server_port = (uint16_t)number(vector, "server_port");
	p.seq = number(vector, "client_isn");
	p.vlan = vlan_tag(field(vector, "vlan_outer")) | vlan_tag(field(vector, "vlan_inner")) << 16;
	return p;
}

static int8_t scale_of(const json_t *value)
{
	return json_is_null(value) ? SW_WINDOW_SCALE_NONE : (int8_t)json_integer_value(value);
}

static struct sw_cookie_options options_of(const json_t *vector)
{
	return (struct sw_cookie_options){
		.mss = (uint16_t)number(vector, "mss"),
		.window_scale = scale_of(field(vector, "window_scale")),
		.sack = json_is_true(field(vector, "sack")),
		.timestamps = json_is_true(field(vector, "timestamps")),
		.ecn = json_is_true(field(vector, "ecn")),
	};
}

/* The message under the MAC, byte for byte, and its hash. */
static void check_message(const json_t *vector, const uint8_t *master)
{
	const struct sw_packet syn = syn_of(vector);
	const struct sw_cookie_options options = options_of(vector);
	uint64_t words[SW_COOKIE_WORDS_MAX][SW_BURST];
	const unsigned int count = syn.is_ipv6 ? SW_COOKIE_WORDS_IPV6 : SW_COOKIE_WORDS_IPV4;
	uint8_t expected[64];
	struct sw_cookie_terms terms;
	struct sw_siphash_key key;

	sw_cookie_terms_make(&terms, &options, syn.is_ipv6, number(vector, "epoch"));
	sw_cookie_words(&words[0][0], &syn, syn.is_ipv6, sw_cookie_tuple(&syn), terms.word);
	assert_int_equal(unhex(json_string_value(field(vector, "message")), expected, sizeof(expected)), 8 * count);
	for (unsigned int i = 0; i < 8 * count; i++)
		assert_int_equal((uint8_t)(words[i / 8][0] >> 8 * (i % 8)), expected[i]);
	sw_cookie_derive_key(master, number(vector, "epoch"), &key);
	assert_true(sw_siphash24(&key, expected, 8 * count) == number_in_hex(field(vector, "mac")));
}

static void check_cookie(const json_t *vector, const uint8_t *master, enum sw_isa isa)
{
	const struct sw_packet syn = syn_of(vector);
	const struct sw_cookie_options options = options_of(vector);
	struct sw_packet ack = syn;
	struct sw_cookie_keys keys;
	struct sw_cookie_options decoded;
	struct cookie cookie;

	sw_cookie_derive_keys(master, number(vector, "epoch"), sw_siphash_burst_for(isa), &keys);
	make_cookies(&keys, &syn, &options, 1, &cookie);
	assert_int_equal(cookie.isn, number(vector, "isn"));
	assert_int_equal(cookie.tsval, number(vector, "tsval"));

	ack.seq = syn.seq + 1;
	ack.ack = number(vector, "isn") + 1;
	ack.timestamp_offset = options.timestamps ? 58 : 0;
	ack.tsecr = number(vector, "tsval");
	assert_int_equal(verify_cookies(&keys, &ack, 1).valid, 1);
	sw_cookie_decode(&ack, &decoded);
	assert_int_equal(decoded.mss, number(vector, "decoded_mss"));
	assert_int_equal(decoded.window_scale, scale_of(field(vector, "decoded_window_scale")));
	assert_int_equal(decoded.ecn, json_is_true(field(vector, "decoded_ecn")));
	assert_int_equal(decoded.sack, options.sack);
}

static void cookies(void **state)
{
	json_t *root = load("cookies.json"), *vector;
	uint8_t master[SW_COOKIE_MASTER_BYTES];
	size_t i;

	(void)state;
	assert_int_equal(unhex(json_string_value(field(root, "master")), master, sizeof(master)), sizeof(master));
	assert_true(json_array_size(field(root, "cookies")) >= 64);
	json_array_foreach(field(root, "cookies"), i, vector) {
		check_message(vector, master);
		for (enum sw_isa isa = SW_ISA_SCALAR; isa <= sw_isa_best(SW_ISA_AVX512); isa++)
			check_cookie(vector, master, isa);
	}
	json_decref(root);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(siphash),
		cmocka_unit_test(keys),
		cmocka_unit_test(cookies),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: %s DIRECTORY_OF_VECTORS\n", argv[0]);
		return 2;
	}
	directory = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
