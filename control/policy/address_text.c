/* SPDX-License-Identifier: BSD-3-Clause */
#include "address_text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const not_an_address = "is not an IPv4 or IPv6 address";
static const char *const bad_port = "has no port from 1 to 65535, or range FIRST-LAST of these";

const char *sw_address_parse(const char *text, struct sw_address *out)
{
	uint8_t bytes[16];
	if (strchr(text, ':')) {
		if (inet_pton(AF_INET6, text, bytes) != 1)
			return not_an_address;
		*out = sw_address_from_ipv6(bytes);
		return sw_address_is_ipv4(out) ? "is an IPv4-mapped address; write it as IPv4" : NULL;
	}
	if (inet_pton(AF_INET, text, bytes) != 1)
		return not_an_address;
	*out = sw_address_from_ipv4(bytes);
	return NULL;
}

/* Decimal digits alone, no sign, no leading zero, at most `max`; -1 otherwise. `end`: behind the last digit. */
static long decimal(const char *text, long max, const char **end)
{
	long value = 0;
	const char *p = text;
	if (*p == '0' && p[1] >= '0' && p[1] <= '9')
		return -1;
	for (; *p >= '0' && *p <= '9'; p++) {
		value = value * 10 + (*p - '0');
		if (value > max)
			return -1;
	}
	*end = p;
	return p == text ? -1 : value;
}

const char *sw_prefix_parse(const char *text, struct sw_prefix *out)
{
	char address[SW_ADDRESS_TEXT_BYTES];
	const size_t bytes = strcspn(text, "/");
	if (bytes >= sizeof(address))
		return not_an_address;
	memcpy(address, text, bytes);
	address[bytes] = 0;
	memset(out, 0, sizeof(*out));
	const char *wrong = sw_address_parse(address, &out->address);
	if (wrong)
		return wrong;
	const bool ipv4 = sw_address_is_ipv4(&out->address);
	long length = ipv4 ? 32 : 128;
	if (text[bytes]) {
		const char *end;
		length = decimal(text + bytes + 1, length, &end);
		if (length < 0 || *end)
			return ipv4 ? "has no prefix length from 0 to 32" : "has no prefix length from 0 to 128";
	}
	out->length = (uint8_t)(ipv4 ? SW_IPV4_MAPPED_BITS + length : length);
	const struct sw_address masked = sw_address_mask(out->address, out->length);
	if (!ipv4 && sw_address_is_ipv4(&masked))
		return "reaches into the IPv4-mapped addresses; write it as IPv4";
	return sw_address_equal(&masked, &out->address) ? NULL : "has host bits set";
}

const char *sw_target_parse(const char *text, struct sw_spec_target *out)
{
	char server[SW_PREFIX_TEXT_BYTES];
	const char *ports = strrchr(text, ':');
	if (!ports)
		return "is not SERVER:PORT";
	size_t bytes = (size_t)(ports - text);
	const bool bracketed = bytes >= 2 && text[0] == '[' && text[bytes - 1] == ']';
	if (!bracketed && memchr(text, ':', bytes))
		return "needs brackets around the IPv6 address: [ADDRESS]:PORT";
	if (bracketed) {
		text++;
		bytes -= 2;
	}
	if (bytes >= sizeof(server))
		return not_an_address;
	memcpy(server, text, bytes);
	server[bytes] = 0;
	if (bracketed && !strchr(server, ':'))
		return not_an_address;
	memset(out, 0, sizeof(*out));
	const char *wrong = sw_prefix_parse(server, &out->server);
	if (wrong)
		return wrong;
	const char *end;
	const long first = decimal(ports + 1, 65535, &end);
	if (first < 1)
		return bad_port;
	long last = first;
	if (*end == '-')
		last = decimal(end + 1, 65535, &end);
	if (last < 1 || *end)
		return bad_port;
	if (last < first)
		return "has a range of ports that ends before it begins";
	out->port_first = (uint16_t)first;
	out->port_last = (uint16_t)last;
	return NULL;
}

char *sw_address_format(const struct sw_address *address, char out[SW_ADDRESS_TEXT_BYTES])
{
	if (sw_address_is_ipv4(address))
		inet_ntop(AF_INET, address->bytes + 12, out, SW_ADDRESS_TEXT_BYTES);
	else
		inet_ntop(AF_INET6, address->bytes, out, SW_ADDRESS_TEXT_BYTES);
	return out;
}

/*
 * A prefix of the IPv4-mapped kind has a length of 96 or more. One that is shorter is IPv6, even where its address
 * looks mapped, which the parser lets nobody write.
 */
static bool prefix_is_ipv4(const struct sw_prefix *prefix)
{
	return prefix->length >= SW_IPV4_MAPPED_BITS && sw_address_is_ipv4(&prefix->address);
}

char *sw_prefix_format(const struct sw_prefix *prefix, char out[SW_PREFIX_TEXT_BYTES])
{
	char address[SW_ADDRESS_TEXT_BYTES];
	sw_address_format(&prefix->address, address);
	if (prefix->length == 128)
		snprintf(out, SW_PREFIX_TEXT_BYTES, "%s", address);
	else
		snprintf(out, SW_PREFIX_TEXT_BYTES, "%s/%u", address,
		    prefix_is_ipv4(prefix) ? prefix->length - (unsigned int)SW_IPV4_MAPPED_BITS : prefix->length);
	return out;
}

char *sw_target_format(const struct sw_spec_target *target, char out[SW_TARGET_TEXT_BYTES])
{
	char server[SW_PREFIX_TEXT_BYTES], ports[16];
	sw_prefix_format(&target->server, server);
	if (target->port_first == target->port_last)
		snprintf(ports, sizeof(ports), "%u", target->port_first);
	else
		snprintf(ports, sizeof(ports), "%u-%u", target->port_first, target->port_last);
	snprintf(out, SW_TARGET_TEXT_BYTES, prefix_is_ipv4(&target->server) ? "%s:%s" : "[%s]:%s", server, ports);
	return out;
}
