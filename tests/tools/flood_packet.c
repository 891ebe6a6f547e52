/* SPDX-License-Identifier: BSD-3-Clause */
#include "flood_packet.h"

#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <stddef.h>

enum { OPTION_BYTES = 20, TCP_BYTES = 20 + OPTION_BYTES };

/* splitmix64, as its authors advise for seeding. */
void sw_random_seed(struct sw_random *r, uint64_t seed)
{
	for (int i = 0; i < 4; i++) {
		seed += 0x9e3779b97f4a7c15u;
		uint64_t z = (seed ^ (seed >> 30)) * 0xbf58476d1ce4e5b9u;
		z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
		r->s[i] = z ^ (z >> 31);
	}
}

static uint64_t rotate(uint64_t x, int bits)
{
	return (x << bits) | (x >> (64 - bits));
}

uint64_t sw_random_next(struct sw_random *r)
{
	uint64_t *s = r->s;
	const uint64_t result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate(s[3], 45);
	return result;
}

/* The IANA special-purpose registry's larger blocks, and the lab's own networks (they are in 10/8). */
static bool stranger_ipv4(uint32_t a)
{
	const uint32_t top = a >> 24;
	return top != 0 && top != 10 && top != 127 && top < 224 && a >> 20 != 0xac1 && a >> 16 != 0xc0a8 &&
		a >> 16 != 0xa9fe && a >> 22 != 0x191 && a >> 17 != 0x6309;
}

static union sw_endpoint draw_source(int family, const struct sw_source_range *sources, struct sw_random *random)
{
	if (sources->count != 0)
		return sw_source_range_at(sources, sw_random_next(random) >> 16);
	union sw_endpoint e = {.any.sa_family = (sa_family_t)family};
	if (family == AF_INET) {
		uint32_t a;
		do {
			a = (uint32_t)sw_random_next(random);
		} while (!stranger_ipv4(a));
		e.v4.sin_addr.s_addr = htonl(a);
		return e;
	}
	const uint64_t words[2] = {sw_random_next(random), sw_random_next(random)};
	memcpy(&e.v6.sin6_addr, words, 16);
	e.v6.sin6_addr.s6_addr[0] = (uint8_t)(0x20 | (e.v6.sin6_addr.s6_addr[0] & 0x1f));
	return e;
}

static uint32_t sum_words(uint32_t sum, const void *data, unsigned int bytes)
{
	const uint8_t *p = data;
	for (unsigned int i = 0; i < bytes; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	return sum;
}

static uint16_t sum_finish(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

/* MSS 1460, SACK permitted, timestamps, NOP, window scale 7: the order of Linux. */
static void write_tcp(uint8_t *at, uint16_t target_port, struct sw_random *random)
{
	const uint64_t r = sw_random_next(random);
	const uint32_t tsval = htonl((uint32_t)sw_random_next(random));
	struct tcphdr tcp = {
		.th_sport = htons((uint16_t)(1024 + (r & 0xffff) % 64512)),
		.th_dport = target_port,
		.th_seq = (uint32_t)(r >> 32),
		.th_off = TCP_BYTES / 4,
		.th_flags = TH_SYN,
		.th_win = htons(64240),
	};
	uint8_t options[OPTION_BYTES] = {2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 3, 7};
	memcpy(options + 8, &tsval, 4);
	memcpy(at, &tcp, sizeof(tcp));
	memcpy(at + sizeof(tcp), options, sizeof(options));
}

static void finish_tcp(uint8_t *tcp, const void *addresses, unsigned int address_bytes)
{
	uint32_t sum = sum_words(IPPROTO_TCP + TCP_BYTES, addresses, address_bytes);
	const uint16_t check = sum_finish(sum_words(sum, tcp, TCP_BYTES));
	memcpy(tcp + offsetof(struct tcphdr, th_sum), &check, 2);
}

unsigned int sw_flood_packet(uint8_t *packet, const union sw_endpoint *target, const struct sw_source_range *sources,
	struct sw_random *random)
{
	const union sw_endpoint source = draw_source(target->any.sa_family, sources, random);
	const uint8_t hops = (uint8_t)(40 + (sw_random_next(random) >> 60));
	if (target->any.sa_family == AF_INET) {
		struct iphdr ip = {
			.version = 4,
			.ihl = 5,
			.tot_len = htons(sizeof(ip) + TCP_BYTES),
			.id = (uint16_t)sw_random_next(random),
			.frag_off = htons(IP_DF),
			.ttl = hops,
			.protocol = IPPROTO_TCP,
			.saddr = source.v4.sin_addr.s_addr,
			.daddr = target->v4.sin_addr.s_addr,
		};
		ip.check = sum_finish(sum_words(0, &ip, sizeof(ip)));
		memcpy(packet, &ip, sizeof(ip));
		write_tcp(packet + sizeof(ip), target->v4.sin_port, random);
		finish_tcp(packet + sizeof(ip), packet + offsetof(struct iphdr, saddr), 8);
		return sizeof(ip) + TCP_BYTES;
	}
	struct ip6_hdr ip = {
		.ip6_flow = htonl(6u << 28),
		.ip6_plen = htons(TCP_BYTES),
		.ip6_nxt = IPPROTO_TCP,
		.ip6_hlim = hops,
		.ip6_src = source.v6.sin6_addr,
		.ip6_dst = target->v6.sin6_addr,
	};
	memcpy(packet, &ip, sizeof(ip));
	write_tcp(packet + sizeof(ip), target->v6.sin6_port, random);
	finish_tcp(packet + sizeof(ip), packet + offsetof(struct ip6_hdr, ip6_src), 32);
	return sizeof(ip) + TCP_BYTES;
}
