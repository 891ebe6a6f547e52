/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The connections of one worker. Three arrays in one mapped region: buckets (tags and indices, one line), flows (one
 * line each: all that a packet of an established connection touches) and setups (addresses, link layer and handshake,
 * read when a connection starts, ends or is examined).
 *
 * Identity is a 64-bit hash of addresses, ports and VLAN under a secret key (flow_hash.h); the setup holds them in clear.
 * Full      sw_flow_insert() refuses; flow_life.c first sheds the oldest flow that is embryonic or closing. Established
 *           flows are never given up for a new one.
 * Lists     every flow stands in one list by class (free, waiting for a server at retry n, embryonic native, closing,
 *           established), in order of last change, so timers and shedding look at heads alone.
 * Owner     one worker. Nobody else reads it.
 */
#ifndef SW_CORE_FLOW_TABLE_H
#define SW_CORE_FLOW_TABLE_H

#include <tmmintrin.h>
#include <stddef.h>

#include "../api/policy_snapshot.h"
#include "../packet.h"

#define SW_FLOW_NONE 0xffffffffu

enum sw_flow_state {
	SW_FLOW_FREE,
	SW_FLOW_EMBRYONIC,   /* native: the server's SYN-ACK was seen, the client has not proven itself */
	SW_FLOW_CONNECTING,  /* proxied: the client has proven itself, a SYN is on its way to the server */
	SW_FLOW_ESTABLISHED,
	SW_FLOW_CLOSING,     /* both FINs seen, or a RST */
	SW_FLOW_OUTWARD,     /* the protected host connects outwards: its SYN was seen */
};

enum {
	SW_FLOW_PROXIED = 0x01,       /* deltas apply */
	SW_FLOW_FIN_CLIENT = 0x02,
	SW_FLOW_FIN_SERVER = 0x04,
	SW_FLOW_COUNTED = 0x08,       /* its source's and service's concurrent connections count it */
	SW_FLOW_TIMESTAMPS = 0x20,
	SW_FLOW_DENIED = 0x40,        /* the source is denied or blocked under the policy in `checked` */
	SW_FLOW_ADOPTED = 0x80,       /* learned in mid-stream: windows and scales are not known */
	SW_FLOW_SENT_DATA = 0x100,    /* the server acknowledged data of the client */
	SW_FLOW_SAW_CLIENT = 0x200,   /* `client` holds what it said */
	SW_FLOW_SAW_SERVER = 0x400,   /* `server` likewise */
	SW_FLOW_REFUSING = 0x800,     /* the server had an old connection on these ports; it was told to forget it */
	SW_FLOW_RESET = 0x2000,       /* closed by a RST of the client, of reset_seq */
	SW_FLOW_ALLOWED = 0x1000,     /* the source is allow-listed: followed and counted, but nothing of it is dropped */
};

/* One direction of travel: what its sender last said. */
struct sw_flow_peer {
	uint32_t next;   /* sequence number behind the last byte it sent, in its own space as the other side sees it */
	uint32_t acked;  /* the last acknowledgement number it sent */
	uint32_t window; /* bytes it will take beyond `acked` */
};

struct sw_flow {
	_Alignas(64) uint64_t hash;
	uint32_t seq_delta;     /* cookie ISN - server ISN: added to the server's seq, taken from the client's ack and SACK */
	uint32_t timestamp_delta; /* cookie TSval - server TSval: added to its TSval, taken from the client's TSecr */
	uint16_t flags;
	uint8_t state;          /* enum sw_flow_state */
	int8_t server_scale;    /* the server's window scale; -1: none or not known */
	int8_t promised_scale;  /* what the client believes it to be */
	int8_t client_scale;    /* what the server was told */
	uint16_t service_slot;
	uint32_t last_seen;     /* coarse clock, see sw_coarse() */
	uint32_t checked;       /* policy generation + block count under which the source was last looked up */
	struct sw_flow_peer client, server; /* both in the space the client sees */
	uint32_t record;        /* source record; SW_FLOW_NONE */
	uint32_t client_start;  /* first byte of data the client sent, or the first we saw */
};

struct sw_flow_setup {
	_Alignas(64) struct sw_address client; /* alone: every name of a declaration would be aligned */
	struct sw_address server;
	uint16_t client_port, server_port; /* host order */
	uint32_t vlan;
	uint8_t link_layer[24];  /* Ethernet header with tags and EtherType, as from client to server */
	uint8_t link_layer_bytes;
	uint8_t is_ipv6;
	uint8_t retries;
	uint8_t link;            /* index of the wire it crosses */
	uint8_t list;            /* which list it stands in */
	uint32_t group;          /* slot, or SW_NONE: whose concurrent connections count it */
	uint32_t counted_by[SW_PREFIX_LEVELS - 1]; /* limiter entries of its prefixes that do: their places + 1; 0: none */
	uint32_t client_isn, cookie_isn; /* native: cookie_isn is the server's own ISN, the only one there is */
	uint32_t cookie_tsval, client_tsval;
	uint16_t client_mss, client_window;
	int8_t window_scale;     /* the client's, as the cookie says; -1 none */
	uint8_t sack, timestamps, ecn;
	uint32_t reset_seq;
	uint32_t held_first, held_last; /* held packets, SW_FLOW_NONE: none */
	uint16_t held_count, reserved;
	uint32_t held_bytes;
	uint64_t deadline;       /* TSC. CONNECTING: of the current try; otherwise when it entered its list */
	uint64_t opened;         /* TSC */
	uint32_t next, previous; /* in its list */
};

enum sw_flow_list {
	SW_LIST_FREE,
	SW_LIST_EMBRYONIC,
	SW_LIST_CLOSING,
	SW_LIST_ESTABLISHED,
	SW_LIST_CONNECTING, /* + retry number */
	SW_LIST_RETRIES_MAX = 8,
	SW_LISTS = SW_LIST_CONNECTING + SW_LIST_RETRIES_MAX
};

enum { SW_FLOW_WAYS = 8 };

struct sw_flow_bucket {
	_Alignas(64) uint16_t tags[SW_FLOW_WAYS]; /* 0: free */
	uint32_t flows[SW_FLOW_WAYS];
	uint32_t moved; /* flows that this is the first bucket of and that stand in their second */
	uint32_t reserved[3];
};

struct sw_flow_table {
	struct sw_flow_bucket *buckets; /* bucket_mask + 1 */
	struct sw_flow *flows;          /* capacity */
	struct sw_flow_setup *setups;   /* capacity */
	uint64_t bucket_mask;
	uint32_t capacity, used;
	uint32_t changes; /* inserts and removals so far */
	struct {
		uint32_t head, tail, count;
	} lists[SW_LISTS];
};

/* Bytes of one mapping that holds all three arrays for `capacity` flows. */
size_t sw_flow_table_bytes(uint32_t capacity);
/* `memory`: that many bytes, aligned to 64, zeroed. */
void sw_flow_table_init(struct sw_flow_table *t, void *memory, uint32_t capacity);

static inline uint16_t sw_flow_tag(uint64_t hash)
{
	return (uint16_t)(hash >> 48 | 1);
}

static inline struct sw_flow_bucket *sw_flow_bucket_first(const struct sw_flow_table *t, uint64_t hash)
{
	return &t->buckets[hash & t->bucket_mask];
}

static inline struct sw_flow_bucket *sw_flow_bucket_second(const struct sw_flow_table *t, uint64_t hash)
{
	return &t->buckets[(hash >> 20 ^ hash >> 41) & t->bucket_mask];
}

/* Ways of `b` whose tag is `tag`, one bit each; tag 0: the free ones. */
static inline unsigned int sw_flow_ways_with(const struct sw_flow_bucket *b, uint16_t tag)
{
	const __m128i tags = _mm_load_si128((const __m128i *)(const void *)b->tags);
	const __m128i equal = _mm_cmpeq_epi16(tags, _mm_set1_epi16((short)tag));
	return (unsigned int)_mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128())) & 0xff;
}

/* A flow in `b` that may have this hash, by its tag alone: before its line is touched. */
static inline bool sw_flow_guess(const struct sw_flow_bucket *b, const uint64_t *hash, uint32_t *index)
{
	/* sw_flow_tag() in every lane. */
	const __m128i low = _mm_loadl_epi64((const __m128i *)(const void *)hash);
	const __m128i tag = _mm_or_si128(_mm_shuffle_epi8(low, _mm_set1_epi16(0x0706)), _mm_set1_epi16(1));
	const __m128i tags = _mm_load_si128((const __m128i *)(const void *)b->tags);
	const unsigned int bytes = (unsigned int)_mm_movemask_epi8(_mm_cmpeq_epi16(tags, tag)); /* two bits a way */

	if (bytes == 0)
		return false;
	*index = b->flows[(unsigned int)__builtin_ctz(bytes) / 2];
	return true;
}

static inline uint32_t sw_flow_find_in(const struct sw_flow_table *t, const struct sw_flow_bucket *b, uint64_t hash)
{
	for (unsigned int ways = sw_flow_ways_with(b, sw_flow_tag(hash)); ways; ways &= ways - 1) {
		const uint32_t index = b->flows[__builtin_ctz(ways)];
		if (t->flows[index].hash == hash)
			return index;
	}
	return SW_FLOW_NONE;
}

/* Index, or SW_FLOW_NONE. */
static inline uint32_t sw_flow_find(const struct sw_flow_table *t, uint64_t hash)
{
	const struct sw_flow_bucket *first = sw_flow_bucket_first(t, hash);
	const uint32_t index = sw_flow_find_in(t, first, hash);
	return index != SW_FLOW_NONE || first->moved == 0 ? index : sw_flow_find_in(t, sw_flow_bucket_second(t, hash), hash);
}

/* A zeroed flow and setup in `list`, or SW_FLOW_NONE when both buckets or the pool are full. The caller sheds first. */
uint32_t sw_flow_insert(struct sw_flow_table *t, uint64_t hash, enum sw_flow_list list);
void sw_flow_remove(struct sw_flow_table *t, uint32_t index);
/* To the tail of `list`, from wherever it stands. */
void sw_flow_move(struct sw_flow_table *t, uint32_t index, unsigned int list);

_Static_assert(sizeof(struct sw_flow) == 64, "a packet of an established connection touches one line of it");
_Static_assert(sizeof(struct sw_flow_setup) == 3 * 64, "cleared line by line");
_Static_assert(sizeof(struct sw_flow_bucket) == 64, "one line");

#endif
