/* SPDX-License-Identifier: BSD-3-Clause */
/* Addresses of the generators: "10.20.0.10:20000", "[fd00:20::10]:20000", and a run of sources "10.20.64.1+200". */
#ifndef SW_TOOLS_SOURCE_RANGE_H
#define SW_TOOLS_SOURCE_RANGE_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

union sw_endpoint {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* `count` addresses upwards from `first`; count 0: none given. */
struct sw_source_range {
	union sw_endpoint first;
	uint32_t count;
};

static inline socklen_t sw_endpoint_bytes(const union sw_endpoint *e)
{
	return e->any.sa_family == AF_INET ? sizeof(e->v4) : sizeof(e->v6);
}

static inline bool sw_endpoint_address(const char *text, union sw_endpoint *out)
{
	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, text, &out->v4.sin_addr) == 1)
		out->any.sa_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &out->v6.sin6_addr) == 1)
		out->any.sa_family = AF_INET6;
	else
		return false;
	return true;
}

/* ADDRESS:PORT, an IPv6 address in brackets. */
static inline bool sw_endpoint_parse(const char *text, union sw_endpoint *out)
{
	char address[64];
	const char *colon = strrchr(text, ':');
	if (colon == NULL || colon == text)
		return false;
	const bool bracketed = text[0] == '[' && colon[-1] == ']';
	const size_t length = (size_t)(colon - text) - (bracketed ? 2 : 0);
	if (length >= sizeof(address))
		return false;
	memcpy(address, text + (bracketed ? 1 : 0), length);
	address[length] = 0;
	char *end;
	const unsigned long port = strtoul(colon + 1, &end, 10);
	if (*end != 0 || port < 1 || port > 65535 || !sw_endpoint_address(address, out))
		return false;
	if (out->any.sa_family == AF_INET)
		out->v4.sin_port = htons((uint16_t)port);
	else
		out->v6.sin6_port = htons((uint16_t)port);
	return true;
}

/* ADDRESS or ADDRESS+COUNT */
static inline bool sw_source_range_parse(const char *text, struct sw_source_range *out)
{
	char address[64];
	const char *plus = strchr(text, '+');
	const size_t length = plus != NULL ? (size_t)(plus - text) : strlen(text);
	if (length >= sizeof(address))
		return false;
	memcpy(address, text, length);
	address[length] = 0;
	out->count = 1;
	if (plus != NULL) {
		char *end;
		const unsigned long count = strtoul(plus + 1, &end, 10);
		if (*end != 0 || count < 1 || count > 1u << 24)
			return false;
		out->count = (uint32_t)count;
	}
	return sw_endpoint_address(address, &out->first);
}

/* The address `index` (modulo the count) steps above the first. */
static inline union sw_endpoint sw_source_range_at(const struct sw_source_range *range, uint64_t index)
{
	union sw_endpoint e = range->first;
	const uint32_t step = (uint32_t)(index % range->count);
	uint32_t low;
	void *last_four = e.any.sa_family == AF_INET ? (void *)&e.v4.sin_addr : (void *)&e.v6.sin6_addr.s6_addr[12];
	memcpy(&low, last_four, 4);
	low = htonl(ntohl(low) + step);
	memcpy(last_four, &low, 4);
	return e;
}

static inline uint64_t sw_now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline struct timespec sw_timespec(uint64_t ns)
{
	return (struct timespec){.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
}

#endif
