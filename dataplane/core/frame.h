/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parser: a frame to a struct sw_packet, in the order of the RFCs, each length checked three ways (its minimum,
 * that it fits, that it agrees with the length around it). Pure; any thread; on the packet path.
 */
#ifndef SW_FRAME_H
#define SW_FRAME_H

#include "../packet.h"
#include "../api/policy_snapshot.h" /* enum sw_side */

/*
 * Fills all of `out`; never reads past frame[bytes - 1]. Which fields mean something follows from out->kind:
 *   OTHER       side; vlan, protocol and addresses may be zero. To be forwarded untouched.
 *   TCP         everything; is_fragment: a first fragment that holds the whole TCP header. The fields of the options
 *               are those of this segment, whether it is a SYN or not.
 *   ICMP_ERROR  addresses and ports of the inner packet, client and server as struct sw_packet says; seq is the inner
 *               sequence number. payload_offset is inner_l4_offset, payload_bytes how much of the inner TCP header and
 *               payload is there, 8 or more; ack when it is 12 or more; tcp_flags when it is 14 or more.
 *   FRAGMENT    addresses, vlan, protocol (what the fragment itself says), is_fragment. Its inner ports are unknown.
 *   MALFORMED   addresses, vlan, reason; ports when they could be read, else 0.
 *
 * What is OTHER although it is IP: protocols other than TCP and ICMP errors about TCP (their fragments too), ESP,
 * more than two VLAN tags, and headers too short to hold their addresses, which no host can take for its own either.
 */
void sw_frame_parse(const uint8_t *frame, uint32_t bytes, enum sw_side side, struct sw_packet *out);

/* Whether the IPv4 header checksum (if there is one) and the TCP checksum are right; kind TCP, not a fragment. */
bool sw_frame_checksums_ok(const uint8_t *frame, const struct sw_packet *p);

/* What belongs in the checksum field of the segment, ready to be stored with memcpy; kind TCP, not a fragment. */
uint16_t sw_frame_tcp_checksum(const uint8_t *frame, const struct sw_packet *p);

#endif
