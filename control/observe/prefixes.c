/* SPDX-License-Identifier: BSD-3-Clause */
/* Source records summed up: first by address (a source has one record for each service), then by prefix. */
#include <errno.h>
#include <stdlib.h>

#include "top.h"

enum { FREE = UINT32_MAX };

/* Sums in the order in which they came up, and an open-addressed index of them that is never more than half full. */
struct table {
	struct sw_evidence_record *sums;
	uint32_t count;
	uint32_t *index;
	uint32_t mask;
	uint64_t seed;
};

static uint64_t fold(uint64_t a, uint64_t b)
{
	const unsigned __int128 product = (unsigned __int128)a * b;
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash(const struct table *t, const struct sw_prefix *p)
{
	uint64_t word[2];
	memcpy(word, p->address.bytes, sizeof(word));
	const uint64_t first = fold(word[0] ^ t->seed, 0x9e3779b97f4a7c15ull ^ t->seed);
	return fold(first ^ word[1], 0xd6e8feb86659fd93ull ^ (t->seed << 1 | 1)) ^ p->length;
}

static void close_table(struct table *t)
{
	free(t->sums);
	free(t->index);
}

/* Room for `records` sums. */
static int open_table(struct table *t, uint32_t records, uint64_t seed)
{
	uint64_t places = 16;
	while (places < 2ull * records)
		places *= 2;
	*t = (struct table){.mask = (uint32_t)(places - 1), .seed = seed};
	t->sums = malloc((records + 1ull) * sizeof(*t->sums));
	t->index = malloc(places * sizeof(*t->index));
	if (!t->sums || !t->index) {
		close_table(t);
		return -ENOMEM;
	}
	memset(t->index, 0xff, places * sizeof(*t->index)); /* FREE */
	return 0;
}

/* The sum of prefix `p`; a new one is returned with `sources` 0. */
static struct sw_evidence_record *sum_of(struct table *t, const struct sw_prefix *p)
{
	uint32_t at = (uint32_t)hash(t, p) & t->mask;
	for (; t->index[at] != FREE; at = (at + 1) & t->mask) {
		struct sw_evidence_record *sum = &t->sums[t->index[at]];
		if (sum->source.length == p->length && sw_address_equal(&sum->source.address, &p->address))
			return sum;
	}
	t->index[at] = t->count;
	t->sums[t->count].sources = 0;
	return &t->sums[t->count++];
}

static void add(struct sw_evidence_record *to, const struct sw_evidence_record *from)
{
	to->concurrent += from->concurrent;
	to->syns += from->syns;
	to->conns += from->conns;
	to->refused += from->refused;
	to->bytes_in += from->bytes_in;
	to->dropped += from->dropped;
	if (from->proof > to->proof)
		to->proof = from->proof;
	if (from->first_seen_unix_ns < to->first_seen_unix_ns)
		to->first_seen_unix_ns = from->first_seen_unix_ns;
	if (from->last_seen_unix_ns > to->last_seen_unix_ns)
		to->last_seen_unix_ns = from->last_seen_unix_ns;
	if (from->blocked_until_unix_ns > to->blocked_until_unix_ns)
		to->blocked_until_unix_ns = from->blocked_until_unix_ns;
}

/* Of one address, over its services: it is one source, with the best proof it gave. */
static void add_to_address(struct table *t, const struct sw_evidence_record *from)
{
	struct sw_evidence_record *to = sum_of(t, &from->source);
	if (to->sources) {
		add(to, from);
		to->echoed = to->proof >= SW_PROOF_ECHOED;
		to->sent_data = to->proof >= SW_PROOF_SENT_DATA;
		to->blocked = to->blocked_until_unix_ns != 0;
		return;
	}
	*to = *from;
	to->service_slot = SW_NONE;
	to->worker = SW_NONE;
}

static void add_to_prefix(struct table *t, const struct sw_evidence_record *from, uint8_t length)
{
	const struct sw_prefix p = {.address = sw_address_mask(from->source.address, length), .length = length};
	struct sw_evidence_record *to = sum_of(t, &p);
	if (!to->sources) {
		*to = *from;
		to->source = p;
		return;
	}
	add(to, from);
	to->sources += from->sources;
	to->echoed += from->echoed;
	to->sent_data += from->sent_data;
	to->blocked += from->blocked;
}

/* Turns the table of addresses into one of prefixes. */
static int sum_up(struct table *addresses, uint32_t records, uint8_t ipv4_length, uint8_t ipv6_length)
{
	struct table prefixes;
	if (open_table(&prefixes, records, addresses->seed))
		return -ENOMEM;
	for (uint32_t i = 0; i < addresses->count; i++) {
		const struct sw_evidence_record *r = &addresses->sums[i];
		const bool four = sw_address_is_ipv4(&r->source.address);
		add_to_prefix(&prefixes, r, four ? (uint8_t)(SW_IPV4_MAPPED_BITS + ipv4_length) : ipv6_length);
	}
	close_table(addresses);
	*addresses = prefixes;
	return 0;
}

int sw_evidence_top_prefixes(const struct sw_evidence *e, const struct sw_evidence_filter *filter, uint8_t ipv4_length,
    uint8_t ipv6_length, enum sw_sort sort, uint32_t limit, struct sw_evidence_record **out, uint32_t *prefixes)
{
	struct table t;
	struct sw_top top;
	int n = -ENOMEM;
	if (open_table(&t, e->count, e->seed))
		return n;
	for (uint32_t i = 0; i < e->count; i++)
		if (sw_evidence_fits(&e->records[i], filter))
			add_to_address(&t, &e->records[i]);
	const bool hosts = ipv4_length == 32 && ipv6_length == 128;
	if (!hosts && sum_up(&t, e->count, ipv4_length, ipv6_length))
		goto out;
	if (sw_top_open(&top, sort, limit))
		goto out;
	for (uint32_t i = 0; i < t.count; i++)
		sw_top_offer(&top, &t.sums[i]);
	n = sw_top_finish(&top, out);
	if (prefixes)
		*prefixes = t.count;
out:
	close_table(&t);
	return n;
}
