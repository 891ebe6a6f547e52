/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A small client and a small server on both sides of a box under test: they build segments as hosts do and read what
 * reaches them, so that a case says "the client connects, the server answers" and looks at what matters to it.
 *
 * Payload bytes follow from the sender's own numbering (byte k of what it ever sends is k * 7 + 1), so a receiver can
 * tell whether the right bytes arrived at the right place.
 */
#ifndef SW_TESTS_PIPELINE_MODEL_H
#define SW_TESTS_PIPELINE_MODEL_H

#include "pipeline_net.h"

enum { SERVICE_PORT = 20000, OTHER_PORT = 20001 };

/* TCP options as they go on the wire, in the order in which they were added. */
struct options {
	uint8_t bytes[40], length;
};

void options_raw(struct options *o, const void *bytes, unsigned int length);
void options_mss(struct options *o, uint16_t mss);
void options_window_scale(struct options *o, uint8_t scale);
void options_sack_permitted(struct options *o);
void options_timestamps(struct options *o, uint32_t tsval, uint32_t tsecr);
void options_sack(struct options *o, const uint32_t edges[], unsigned int blocks);
void options_pad(struct options *o); /* with NOPs, to a multiple of 4 */

struct segment {
	uint8_t flags;
	uint32_t seq, ack;
	uint16_t window; /* 0: 8192 */
	uint16_t payload_bytes;
	uint32_t payload_from; /* what byte 0 of the payload is in its sender's numbering */
	const struct options *options;
};

/* The two ends of one connection, and what they know. */
struct session {
	struct net *n;
	struct sw_address client, server;
	uint16_t client_port, server_port;
	/* What the client and the server offer in their SYNs; NULL-like: no options at all. */
	bool timestamps, sack, ecn;
	int client_scale, server_scale; /* -1: none */
	uint16_t client_mss, server_mss;
	/* Numbers: those of the client, the box's cookie, and the server. */
	uint32_t client_isn, cookie_isn, server_isn;
	uint32_t cookie_tsval;             /* echoed by the client until it hears of others */
	uint32_t client_ts, server_ts;     /* their clocks */
	uint32_t client_sent, server_sent; /* bytes (and FINs) so far, behind the SYN */
	bool proxied;                      /* the client knows cookie_isn; otherwise server_isn */
};

/* Client number k of the flavour's family: 198.51.100.k and so on; the default options are Linux's. */
struct session session_of(struct net *n, unsigned int number);
/* The same client again, from the same port, some time later. */
struct session session_again(const struct session *s);

/* Writes a whole frame. from: which end sends it. */
struct frame session_frame(const struct session *s, enum sw_side from, const struct segment *segment);
/* session_frame() and net_put(). */
void session_put(const struct session *s, enum sw_side from, const struct segment *segment);
/* IP and TCP checksums anew, after a test changed the frame. */
void frame_fix_checksums(struct frame *f, enum sw_side from);

/* ---- one step each: put in front of the box, not yet run -----------------------------------------------------------
 */

void client_syn(struct session *s);
void client_ack(struct session *s);                  /* a bare ACK of all it knows the server to have sent */
void client_data(struct session *s, uint16_t bytes); /* the next bytes; they count as sent */
void client_fin(struct session *s);
void client_rst(struct session *s);
void server_syn_ack(struct session *s);
void server_ack(struct session *s);
void server_data(struct session *s, uint16_t bytes);
void server_fin(struct session *s);
void server_rst(struct session *s);
void server_refuse(struct session *s); /* RST in answer to a SYN */

/* Options of a segment that is no SYN. */
struct options session_options(const struct session *s, enum sw_side from);
struct options session_syn_options(const struct session *s, enum sw_side from);

/* ---- what must come out
 * ---------------------------------------------------------------------------------------------- */

/* A SYN-ACK with a cookie at the client, which learns the numbers. */
struct frame expect_syn_ack(struct session *s);
/* A SYN to the server that carries the client's ISN. */
struct frame expect_server_syn(struct session *s);
/* At `side`: these flags, in the receiver's numbers; with the payload that follows from payload_from. */
struct frame expect_segment(struct session *s, enum sw_side side, uint8_t flags, uint32_t seq, uint32_t ack,
	uint16_t payload_bytes, uint32_t payload_from);
void expect_rst(struct session *s, enum sw_side side, uint32_t seq);

/* ---- whole exchanges
 * --------------------------------------------------------------------------------------------------- */

/* SYN, SYN-ACK, ACK: ends with the SYN to the server taken out of the box. */
void session_connect(struct session *s);
/* ... and the server's answer: both sides are up. */
void session_establish(struct session *s);
/* Without the box's doing: the service is quiet. */
void session_establish_native(struct session *s);
/* `bytes` each way, acknowledged, checked at the receivers. */
void session_exchange(struct session *s, uint16_t bytes);
/* FIN from the client, FIN from the server, ACK. */
void session_close(struct session *s);

/* The client's own numbers as the server knows them, and the server's as either end does. */
static inline uint32_t client_next(const struct session *s)
{
	return s->client_isn + 1 + s->client_sent;
}

static inline uint32_t server_next(const struct session *s)
{
	return s->server_isn + 1 + s->server_sent;
}

static inline uint32_t server_next_at_client(const struct session *s)
{
	return (s->proxied ? s->cookie_isn : s->server_isn) + 1 + s->server_sent;
}

/* The flow of the session in worker 0, or NULL. */
const struct sw_flow *session_flow(const struct session *s);
const struct sw_source_record *session_record(const struct session *s);

#endif
