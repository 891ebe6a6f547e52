/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of a connection, as the stages and the timers drive it: opened by a valid cookie (proxied) or learned as it
 * passes (native), followed, closed, forgotten. The state itself is in core/flow_table.h.
 *
 *   native    SYN-ACK of the server  -> EMBRYONIC  -> client's ACK of it -> ESTABLISHED
 *             segment of the server  -> ESTABLISHED (adopted: it is older than the box)
 *             SYN of the server      -> OUTWARD    -> client's SYN-ACK   -> ESTABLISHED
 *   proxied   valid cookie           -> CONNECTING -> server's SYN-ACK   -> ESTABLISHED
 *   both      two FINs acknowledged, or a RST -> CLOSING -> forgotten
 */
#ifndef SW_FLOW_H
#define SW_FLOW_H

#include "sources.h"
#include "stages/stage.h"

/* ---- flow_life.c: making and ending, for native and proxied alike --------------------------------------------------- */

/*
 * A flow for packet i of the burst in `list`, with addresses, ports, VLAN, link layer and group taken from it, seen now;
 * SW_FLOW_NONE when the table is full and nothing could be shed.
 */
uint32_t sw_flow_make(struct sw_worker *w, const struct sw_burst *b, unsigned int i, enum sw_flow_list list);
/*
 * Packets before packet i in its burst have opened or ended flows since all were looked up: looks again. A source whose
 * flow is gone is looked up as well, which stage 6 does not do while a flow remembers the answer.
 */
void sw_flow_look_again(struct sw_worker *w, struct sw_burst *b, unsigned int i);
/* Gives back everything it holds, and the flow itself. */
void sw_flow_end(struct sw_worker *w, uint32_t flow, enum sw_count why);
/* The client has proven itself on a native flow. */
void sw_flow_establish_native(struct sw_worker *w, const struct sw_burst *b, unsigned int i, uint32_t flow);
void sw_flow_close(struct sw_worker *w, uint32_t flow);
/* Ages lists and established flows, a slice each call. */
void sw_flows_age(struct sw_worker *w);

/* ---- learn.c: native connections ------------------------------------------------------------------------------------- */

/* A packet from inside of no known flow, or one with SYN of a known one. Learns from it; sets the verdict. */
void sw_learn(struct sw_worker *w, struct sw_burst *b, unsigned int i);

/* ---- connect.c: a proxied connection until both sides are up --------------------------------------------------------- */

/* The cookie of packet i is valid and admitted: makes the flow and sends a SYN to the server. Sets the verdict. */
void sw_connect_open(struct sw_worker *w, struct sw_burst *b, unsigned int i, const struct sw_cookie_options *options,
	uint32_t record, const struct sw_admission *admission);
/* A packet of a CONNECTING flow, from either side. Sets the verdict. */
void sw_connect_from_client(struct sw_worker *w, struct sw_burst *b, unsigned int i, uint32_t flow);
void sw_connect_from_server(struct sw_worker *w, struct sw_burst *b, unsigned int i, uint32_t flow);
/* The server repeats its SYN-ACK: our ACK was lost. Sets the verdict. */
void sw_connect_acknowledge_again(struct sw_worker *w, struct sw_burst *b, unsigned int i, uint32_t flow);
/* Tells the server to forget a connection of which it waits for the ACK. The flow stays. */
void sw_connect_reset_server(struct sw_worker *w, uint32_t flow);
/* SYNs that are due again, connections whose server never answered. */
void sw_connect_retry(struct sw_worker *w);
/* The server's SYN-ACK differs from what is known of it: tells housekeeping. */
void sw_note_profile(struct sw_worker *w, uint32_t slot, bool is_ipv6, const struct sw_promise *seen);
/* Client data waiting for the server is given up, counted as `reason`. */
void sw_held_discard(struct sw_worker *w, uint32_t flow, enum sw_drop_reason reason);

/* ---- translate.c ------------------------------------------------------------------------------------------------------ */

/* A client's packet of a flow that is up: followed, translated if proxied. Sets the verdict. */
void sw_follow_client(struct sw_worker *w, struct sw_burst *b, unsigned int i, uint32_t flow);
/* Likewise, of a flow in any state. */
static inline void sw_follow_or_connect(struct sw_worker *w, struct sw_burst *b, unsigned int i, uint32_t flow)
{
	if (w->flows.flows[flow].state == SW_FLOW_CONNECTING)
		sw_connect_from_client(w, b, i, flow);
	else
		sw_follow_client(w, b, i, flow);
}
/* The client's window as the server reads it: without a scale, if the server has not taken up the one it was offered. */
static inline uint16_t sw_window_for_server(const struct sw_flow *f, uint16_t window)
{
	if (f->server_scale >= 0 || f->client_scale <= 0)
		return window;
	const uint32_t bytes = (uint32_t)window << f->client_scale;
	return bytes > 65535 ? 65535 : (uint16_t)bytes;
}

/* Puts a client's segment into the server's numbers; `p` is the view of `frame`. */
void sw_translate_client(const struct sw_flow *f, uint8_t *frame, const struct sw_packet *p);

#endif
