/* SPDX-License-Identifier: BSD-3-Clause */
/* Keys of the cookies and of the hash tables, from the master secret. Not on the packet path. */
#include "syncookie.h"

#include <endian.h>
#include <sodium.h>

_Static_assert(SW_COOKIE_MASTER_BYTES == crypto_kdf_KEYBYTES, "the master secret is libsodium's KDF key");
_Static_assert(sizeof(struct sw_siphash_key) == crypto_kdf_BYTES_MIN, "SipHash's 16 bytes are the least the KDF gives");

static void derive(const uint8_t *master, uint64_t number, const char context[crypto_kdf_CONTEXTBYTES],
	struct sw_siphash_key *out)
{
	uint8_t bytes[crypto_kdf_BYTES_MIN];

	/* Fails only on a length that the assertions above rule out. */
	(void)crypto_kdf_derive_from_key(bytes, sizeof(bytes), number, context, master);
	memcpy(&out->k0, bytes, 8);
	memcpy(&out->k1, bytes + 8, 8);
	out->k0 = le64toh(out->k0);
	out->k1 = le64toh(out->k1);
	sodium_memzero(bytes, sizeof(bytes));
}

void sw_cookie_derive_key(const uint8_t master[SW_COOKIE_MASTER_BYTES], uint32_t epoch, struct sw_siphash_key *out)
{
	derive(master, epoch, "SeaCooki", out);
}

void sw_derive_table_key(const uint8_t master[SW_COOKIE_MASTER_BYTES], uint64_t label, struct sw_siphash_key *out)
{
	derive(master, label, "SeaTable", out);
}

void sw_cookie_derive_keys(const uint8_t master[SW_COOKIE_MASTER_BYTES], uint32_t epoch, sw_siphash_burst_fn burst,
	struct sw_cookie_keys *out)
{
	sw_cookie_derive_key(master, epoch, &out->current);
	sw_cookie_derive_key(master, epoch - 1, &out->previous);
	sw_cookie_derive_key(master, epoch - 2, &out->before_previous);
	out->epoch = epoch;
	out->burst = burst;
}

void sw_cookie_wipe_keys(struct sw_cookie_keys *keys)
{
	sodium_memzero(keys, sizeof(*keys));
}
