/* SPDX-License-Identifier: BSD-3-Clause */
/* Addresses, prefixes and ports as people write them. Pure; thread: any. */
#ifndef SW_POLICY_ADDRESS_TEXT_H
#define SW_POLICY_ADDRESS_TEXT_H

#include <stddef.h>

#include "api/address.h"

enum {
	SW_ADDRESS_TEXT_BYTES = 48, /* an address with its NUL */
	SW_PREFIX_TEXT_BYTES = 56,
	SW_TARGET_TEXT_BYTES = 80,
};

/*
 * The parsers return NULL, or in a few words what is wrong with the text (a constant string). Only the canonical forms:
 * dotted quads without leading zeros, RFC 4291 IPv6 without zone, no host names, no spaces. An IPv4-mapped IPv6 address
 * is refused.
 */
const char *sw_address_parse(const char *text, struct sw_address *out);

/* "10.0.0.0/8", "fd00::/16", or an address, which means a prefix of full length. Host bits must be clear. */
const char *sw_prefix_parse(const char *text, struct sw_prefix *out);

/* What a service is: a server (address or prefix) and a port or a range of ports, both ends inclusive. */
struct sw_spec_target {
	struct sw_prefix server;
	uint16_t port_first, port_last;
};

/* "10.20.0.10:20000", "10.20.0.0/24:6881-6889", "[fd00:20::10]:20000", "[fd00:20::/64]:80-90". */
const char *sw_target_parse(const char *text, struct sw_spec_target *out);

/* The canonical text (RFC 5952 for IPv6); returns `out`. A prefix of full length is written as an address. */
char *sw_address_format(const struct sw_address *address, char out[SW_ADDRESS_TEXT_BYTES]);
char *sw_prefix_format(const struct sw_prefix *prefix, char out[SW_PREFIX_TEXT_BYTES]);
char *sw_target_format(const struct sw_spec_target *target, char out[SW_TARGET_TEXT_BYTES]);

#endif
