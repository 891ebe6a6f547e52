/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The master secret of a box: cookie keys and table keys come from it (core/syncookie.h). One 32-byte file, mode 0600,
 * made once; boxes that share it accept each other's cookies. In memory it is locked, left out of core dumps, and
 * wiped at the end.
 */
#ifndef SW_SECRETS_H
#define SW_SECRETS_H

#include <stddef.h>

#include "core/syncookie.h"

#define SW_SECRET_NAME "secret"

/* Labels of the table keys that are derived from the master secret (sw_derive_table_key()). */
enum sw_table_label {
	SW_TABLE_SHARD = 2,
	SW_TABLE_LIMITER = 3, /* and the SW_LIMITER_KEYS - 1 behind it */
	SW_TABLE_FLOWS = 16,  /* and the SW_FLOW_ROUND_KEYS - 1 behind it */
};

struct sw_secrets {
	uint8_t master[SW_COOKIE_MASTER_BYTES];
};

/*
 * Reads <state_dir>/secret, making it first when it is missing: written to a temporary file, synced and linked into
 * place, so nobody ever sees half of it. Refuses a file of another size, of another owner, or that others may read.
 * 0, or -errno with a text. *out is one page of its own; NULL on failure.
 */
int sw_secrets_open(const char *state_dir, struct sw_secrets **out, char *error, size_t error_bytes);

/* Wipes and unmaps. NULL is fine. */
void sw_secrets_close(struct sw_secrets *s);

#endif
