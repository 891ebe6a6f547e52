/* SPDX-License-Identifier: BSD-3-Clause */
#include "bare.h"

#include <immintrin.h>
#include <netinet/in.h>

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_prefetch.h>
#include <rte_tcp.h>

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,bmi2,sse4.2"))), \
	apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,bmi2,sse4.2")
#endif

enum {
	LANES = 8,
	VECTORS = SW_BURST / LANES,
	WORDS = 3,
	BUCKET_DEPTH = 100000,
	BUCKET_FIRST = 1000,
	REFILL_SHIFT = 10, /* a token every 2^10 cycles */
	EPOCH_SHIFT = 36,
	OPTION_BYTE = 0x70,
};

struct frame {
	struct rte_ether_hdr ethernet;
	struct rte_ipv4_hdr ip;
	struct rte_tcp_hdr tcp;
	uint8_t mss_option[4];
} __attribute__((packed, aligned(2)));

bool bare_available(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
		__builtin_cpu_supports("avx512vl");
}

/* One SipRound on all vectors (Aumasson and Bernstein, 2012, figure 2.1): independent chains hide each other's latency. */
static inline __attribute__((always_inline)) void sip_round(__m512i v[4][VECTORS])
{
	for (int i = 0; i < VECTORS; i++) {
		v[0][i] = _mm512_add_epi64(v[0][i], v[1][i]);
		v[2][i] = _mm512_add_epi64(v[2][i], v[3][i]);
		v[1][i] = _mm512_xor_si512(_mm512_rol_epi64(v[1][i], 13), v[0][i]);
		v[3][i] = _mm512_xor_si512(_mm512_rol_epi64(v[3][i], 16), v[2][i]);
		v[0][i] = _mm512_rol_epi64(v[0][i], 32);
		v[2][i] = _mm512_add_epi64(v[2][i], v[1][i]);
		v[0][i] = _mm512_add_epi64(v[0][i], v[3][i]);
		v[1][i] = _mm512_xor_si512(_mm512_rol_epi64(v[1][i], 17), v[2][i]);
		v[3][i] = _mm512_xor_si512(_mm512_rol_epi64(v[3][i], 21), v[0][i]);
		v[2][i] = _mm512_rol_epi64(v[2][i], 32);
	}
}

static inline __attribute__((always_inline)) void siphash(const struct bare *b, uint64_t words[WORDS][SW_BURST],
	uint64_t out[SW_BURST])
{
	__m512i v[4][VECTORS];
	const __m512i k0 = _mm512_set1_epi64((long long)b->key[0]), k1 = _mm512_set1_epi64((long long)b->key[1]);

	for (int i = 0; i < VECTORS; i++) {
		v[0][i] = _mm512_xor_si512(k0, _mm512_set1_epi64(0x736f6d6570736575));
		v[1][i] = _mm512_xor_si512(k1, _mm512_set1_epi64(0x646f72616e646f6d));
		v[2][i] = _mm512_xor_si512(k0, _mm512_set1_epi64(0x6c7967656e657261));
		v[3][i] = _mm512_xor_si512(k1, _mm512_set1_epi64(0x7465646279746573));
	}
	for (int w = 0; w <= WORDS; w++) {
		__m512i m[VECTORS];
		for (int i = 0; i < VECTORS; i++) {
			m[i] = w < WORDS ? _mm512_loadu_si512(&words[w][i * LANES]) : _mm512_set1_epi64((8ll * WORDS) << 56);
			v[3][i] = _mm512_xor_si512(v[3][i], m[i]);
		}
		sip_round(v);
		sip_round(v);
		for (int i = 0; i < VECTORS; i++)
			v[0][i] = _mm512_xor_si512(v[0][i], m[i]);
	}
	for (int i = 0; i < VECTORS; i++)
		v[2][i] = _mm512_xor_si512(v[2][i], _mm512_set1_epi64(0xff));
	for (int r = 0; r < 4; r++)
		sip_round(v);
	for (int i = 0; i < VECTORS; i++)
		_mm512_storeu_si512(&out[i * LANES],
			_mm512_xor_si512(_mm512_xor_si512(v[0][i], v[1][i]), _mm512_xor_si512(v[2][i], v[3][i])));
}

static inline bool take_token(struct bare_bucket *e, uint32_t source, uint64_t now)
{
	if (e->source != source) {
		*e = (struct bare_bucket){.source = source, .tokens = BUCKET_FIRST, .last_tsc = now};
		return true;
	}
	const uint64_t sum = e->tokens + ((now - e->last_tsc) >> REFILL_SHIFT);
	const uint64_t tokens = sum > BUCKET_DEPTH ? BUCKET_DEPTH : sum;
	e->last_tsc = now;
	e->tokens = (uint32_t)(tokens ? tokens - 1 : 0);
	return tokens != 0;
}

static inline uint16_t finish(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static inline bool is_plain_syn(const struct frame *f)
{
	return f->ethernet.ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV4) && f->ip.version_ihl == 0x45 &&
		f->ip.next_proto_id == IPPROTO_TCP && f->tcp.data_off >= 0x50 &&
		(f->tcp.tcp_flags & (RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG | RTE_TCP_RST_FLAG | RTE_TCP_FIN_FLAG)) == RTE_TCP_SYN_FLAG;
}

static inline void answer(struct frame *f, uint64_t mac)
{
	const __m128i turned = _mm_setr_epi8(6, 7, 8, 9, 10, 11, 0, 1, 2, 3, 4, 5, 12, 13, 14, 15);
	/* Sums of what every answer has: 0x4500, length 44, DF, TTL 64 and TCP; length 24 and TCP of the pseudo header,
	 * offset 6 and SYN ACK, the MSS option. */
	const uint64_t ip_sum = (uint64_t)RTE_BE16(0x4500) + RTE_BE16(44) + RTE_BE16(0x4000) + RTE_BE16(0x4006);
	const uint64_t tcp_sum = (uint64_t)RTE_BE16(6) + RTE_BE16(24) + RTE_BE16(0x6012) + RTE_BE16(0x0204) + RTE_BE16(1460);
	const uint32_t from = f->ip.dst_addr, to = f->ip.src_addr;
	const uint32_t seq = ((uint32_t)mac & 0xffffff00u) | OPTION_BYTE;
	const uint32_t ack = rte_cpu_to_be_32(rte_be_to_cpu_32(f->tcp.sent_seq) + 1);
	uint32_t ports;

	memcpy(&ports, &f->tcp, 4);
	ports = ports << 16 | ports >> 16;
	_mm_storeu_si128((void *)f, _mm_shuffle_epi8(_mm_loadu_si128((const void *)f), turned));
	f->ip = (struct rte_ipv4_hdr){
		.version_ihl = 0x45, .total_length = RTE_BE16(44), .fragment_offset = RTE_BE16(0x4000), .time_to_live = 64,
		.next_proto_id = IPPROTO_TCP, .hdr_checksum = finish((uint64_t)from + to + ip_sum), .src_addr = from, .dst_addr = to,
	};
	memcpy(&f->tcp, &ports, 4);
	f->tcp.sent_seq = seq;
	f->tcp.recv_ack = ack;
	f->tcp.data_off = 0x60;
	f->tcp.tcp_flags = RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG;
	f->tcp.rx_win = 0;
	f->tcp.tcp_urp = 0;
	f->tcp.cksum = finish((uint64_t)from + to + ports + seq + ack + tcp_sum);
	memcpy(f->mss_option, "\x02\x04\x05\xb4", 4);
}

void bare_answer_burst(struct bare *b, struct rte_mbuf **mbufs, uint64_t now_tsc)
{
	uint64_t words[WORDS][SW_BURST], macs[SW_BURST];
	uint32_t places[SW_BURST];
	bool plain[SW_BURST];

	for (unsigned int i = 0; i < SW_BURST; i++)
		rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], void *));
	for (unsigned int i = 0; i < SW_BURST; i++) {
		const struct frame *f = rte_pktmbuf_mtod(mbufs[i], const struct frame *);
		plain[i] = is_plain_syn(f);
		places[i] = _mm_crc32_u32(0x5ea3a11, f->ip.src_addr) & b->mask;
		rte_prefetch0(&b->table[places[i]]);
		memcpy(&words[0][i], &f->ip.src_addr, 8);
		memcpy(&words[1][i], &f->tcp.src_port, 8);
		words[2][i] = (now_tsc >> EPOCH_SHIFT) << 8 | OPTION_BYTE;
	}
	siphash(b, words, macs);
	for (unsigned int i = 0; i < SW_BURST; i++) {
		struct frame *f = rte_pktmbuf_mtod(mbufs[i], struct frame *);
		if (!plain[i] || !take_token(&b->table[places[i]], f->ip.src_addr, now_tsc)) {
			b->refused++;
			continue;
		}
		answer(f, macs[i]);
		mbufs[i]->data_len = 60;
		mbufs[i]->pkt_len = 60;
		b->answered++;
	}
}

#ifdef __clang__
#pragma clang attribute pop
#endif
