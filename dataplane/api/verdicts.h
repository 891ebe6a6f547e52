/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every way in which a packet can end, and everything else that is counted, each with a name and a help text.
 * These lists are the only place: enums, JSON keys, metrics, tables and manual are made from them.
 *
 * Every received packet ends in exactly one of forwarded, answered, absorbed, held, or one drop reason:
 *     rx = forwarded + answered + absorbed + held + dropped (summed over the reasons)
 */
#ifndef SW_API_VERDICTS_H
#define SW_API_VERDICTS_H

#include <stdbool.h>

/* X(ENUM_NAME, "json_name", "help") */
#define SW_DROP_REASONS(X) \
	X(IPV4_HEADER_BAD, "ipv4_header_bad", "IPv4 header too short, with an impossible length, or cut off") \
	X(IPV6_HEADER_BAD, "ipv6_header_bad", "IPv6 header cut off, or its length does not fit the frame") \
	X(IPV6_EXTENSION_BAD, "ipv6_extension_bad", "IPv6 extension header cut off, out of order, repeated or too many") \
	X(FRAGMENT_BAD, "fragment_bad", "fragment that cuts or overlaps the TCP header, or reaches past 65,535 bytes") \
	X(FRAGMENT_REFUSED, "fragment_refused", "later fragment towards a protected address, and the policy drops these") \
	X(TCP_HEADER_BAD, "tcp_header_bad", "TCP header cut off or with an impossible data offset") \
	X(TCP_OPTIONS_BAD, "tcp_options_bad", "TCP option with a length that is impossible or does not fit") \
	X(TCP_FLAGS_BAD, "tcp_flags_bad", "TCP flags that no stack sends: none, SYN with FIN or RST, FIN without ACK") \
	X(TCP_PORT_ZERO, "tcp_port_zero", "TCP port 0") \
	X(SOURCE_IMPOSSIBLE, "source_impossible", "source address that is multicast, broadcast, loopback, unspecified or the destination itself (LAND)") \
	X(DESTINATION_IMPOSSIBLE, "destination_impossible", "TCP to a multicast or broadcast address, or in a multicast or broadcast frame") \
	X(CHECKSUM_BAD, "checksum_bad", "packet of a protected service whose IPv4 or TCP checksum the NIC found wrong") \
	X(SYN_FRAGMENTED, "syn_fragmented", "SYN in a fragment, towards an armed service") \
	X(TCP_AUTH_REFUSED, "tcp_auth_refused", "SYN with TCP-MD5 or TCP-AO towards an armed service, and the policy refuses these") \
	X(DENIED, "denied", "source in the operator's deny list") \
	X(BLOCKED, "blocked", "source blocked, by the operator for a time or by its own proven behaviour") \
	X(ANSWER_CAP, "answer_cap", "reflection cap: this claimed source or prefix has had its answers") \
	X(LIMIT_SYN_SOURCE, "limit_syn_source", "over the SYN limit of the source address") \
	X(LIMIT_SYN_PREFIX, "limit_syn_prefix", "over the SYN limit of a prefix of the source") \
	X(LIMIT_SYN_GROUP, "limit_syn_group", "over the SYN limit of the source's group") \
	X(LIMIT_SYN_SERVICE, "limit_syn_service", "over the SYN limit of the service") \
	X(LIMIT_CONN_SOURCE, "limit_conn_source", "proven, but over the connection rate of the source address") \
	X(LIMIT_CONN_PREFIX, "limit_conn_prefix", "proven, but over the connection rate of a prefix of the source") \
	X(LIMIT_CONN_GROUP, "limit_conn_group", "proven, but over the connection rate of the source's group") \
	X(LIMIT_CONN_SERVICE, "limit_conn_service", "proven, but over the connection rate of the service") \
	X(LIMIT_CONCURRENT_SOURCE, "limit_concurrent_source", "proven, but over the concurrent connections of the source address") \
	X(LIMIT_CONCURRENT_PREFIX, "limit_concurrent_prefix", "proven, but over the concurrent connections of a prefix of the source") \
	X(LIMIT_CONCURRENT_GROUP, "limit_concurrent_group", "proven, but over the concurrent connections of the source's group") \
	X(LIMIT_CONCURRENT_SERVICE, "limit_concurrent_service", "proven, but over the concurrent connections of the service") \
	X(COOKIE_INVALID, "cookie_invalid", "ACK of no known flow that echoes no cookie of ours") \
	X(COOKIE_EXPIRED, "cookie_expired", "ACK that echoes a cookie of ours that is too old") \
	X(RST_WITHOUT_FLOW, "rst_without_flow", "RST or FIN of no known flow, towards an armed service") \
	X(SYN_ACK_UNEXPECTED, "syn_ack_unexpected", "SYN-ACK from outside that no connection of the server asked for") \
	X(OUT_OF_WINDOW, "out_of_window", "RST, or segment of a starting connection, outside the window of its flow") \
	X(FLOW_TABLE_FULL, "flow_table_full", "no room for a new flow; established flows are kept") \
	X(HELD_FULL, "held_full", "early client data beyond what is held per flow or in all; the client sends it again") \
	X(HELD_DISCARDED, "held_discarded", "held client data whose server refused or never answered") \
	X(HANDOVER_FULL, "handover_full", "ring to the worker that owns the client was full") \
	X(TRANSMIT_FULL, "transmit_full", "transmit queue was full or the port down")

/* The four ways besides, and rx. held is a gauge: such a packet later turns into forwarded or dropped. */
#define SW_DISPOSITIONS(X) \
	X(RX, "rx", "packets received by the dataplane") \
	X(FORWARDED, "forwarded", "left at the other side, translated or untouched") \
	X(ANSWERED, "answered", "turned into the box's own answer: a SYN-ACK with a cookie, or a RST") \
	X(ABSORBED, "absorbed", "handshake packet that the proxy itself consumed") \
	X(HELD, "held", "client data waiting for its server now")

/* Not ways in which a received packet ends: what the box sends of its own accord, and what happens to flows. */
#define SW_EVENTS(X) \
	X(SENT_SYN_ACK, "sent_syn_ack", "SYN-ACKs with a cookie sent, first and repeated") \
	X(SENT_SYN_ACK_AGAIN, "sent_syn_ack_again", "of these, repeated because no ACK came") \
	X(SENT_SYN, "sent_syn", "SYNs sent to servers, first and repeated") \
	X(SENT_ACK, "sent_ack", "ACKs sent to servers to complete a handshake") \
	X(SENT_RST, "sent_rst", "RSTs sent of the box's own accord") \
	X(SENT_LOST, "sent_lost", "of what the box made itself: lost because a transmit queue was full or no buffer was left") \
	X(RX_BYTES, "rx_bytes", "bytes received by the dataplane") \
	X(FORWARDED_BYTES, "forwarded_bytes", "bytes forwarded") \
	X(SYN_RECEIVED, "syn_received", "SYNs received towards protected services") \
	X(SYN_PASSED, "syn_passed", "SYNs that passed natively: service quiet, or source allow-listed") \
	X(COOKIE_VALID, "cookie_valid", "cookies echoed correctly") \
	X(FLOW_PROXIED, "flow_proxied", "connections opened through the proxy") \
	X(FLOW_NATIVE, "flow_native", "connections learned as they passed natively") \
	X(FLOW_ADOPTED, "flow_adopted", "of the native ones: older than the box or than the table, learned in mid-stream") \
	X(FLOW_CLOSED, "flow_closed", "connections that ended: both FINs, or a RST") \
	X(FLOW_EXPIRED, "flow_expired", "connections forgotten because nothing came for too long") \
	X(FLOW_SHED, "flow_shed", "unproven or closing flows given up early because the table was full") \
	X(SERVER_REFUSED, "server_refused", "connections that the server answered with a RST") \
	X(SERVER_SILENT, "server_silent", "connections that the server did not answer at all") \
	X(PROFILE_MISMATCH, "profile_mismatch", "servers that answered with other options than the box had promised") \
	X(WOULD_DROP, "would_drop", "monitor: packets that passed and would have been dropped") \
	X(ALLOWED, "allowed", "packets of allow-listed sources") \
	X(HANDED_OVER, "handed_over", "packets handed to the worker that owns the client") \
	X(SOURCES_PROVEN, "sources_proven", "sources that echoed a cookie for the first time") \
	X(SOURCES_BLOCKED, "sources_blocked", "blocks set on proven sources") \
	X(LIMITER_FULL, "limiter_full", "sources or prefixes that found no limiter entry free; the wider limits held them") \
	X(SOURCE_RECORDS_FULL, "source_records_full", "sources that found no record free; limited, but no evidence kept") \
	X(EVENTS_LOST, "events_lost", "notes to housekeeping lost because the ring was full") \
	X(ICMP_TRANSLATED, "icmp_translated", "ICMP errors whose inner TCP header was translated")

/* Frames that the XDP program decided alone; all others it handed to the dataplane. */
#define SW_WIRE_COUNTERS(X) \
	X(REDIRECTED, "redirected", "handed to the dataplane") \
	X(PASSED_NOT_PROTECTED, "passed_not_protected", "concern no protected service: crossed the kernel bridge") \
	X(PASSED_NO_DATAPLANE, "passed_no_dataplane", "dataplane gone, fail-open: crossed the kernel bridge") \
	X(PASSED_STALE, "passed_stale", "dataplane hung, fail-open: crossed the kernel bridge") \
	X(DROPPED_DENIED, "dropped_denied", "source in the deny list") \
	X(DROPPED_BLOCKED, "dropped_blocked", "source blocked") \
	X(DROPPED_NO_DATAPLANE, "dropped_no_dataplane", "dataplane gone, fail-closed") \
	X(DROPPED_STALE, "dropped_stale", "dataplane hung, fail-closed")

#define SW_ENUM_DROP(name, json, help) SW_DROP_##name,
#define SW_ENUM_COUNT(name, json, help) SW_COUNT_##name,
#define SW_ENUM_WIRE(name, json, help) SW_WIRE_##name,

enum sw_drop_reason { SW_DROP_REASONS(SW_ENUM_DROP) SW_DROP_REASON_COUNT };
enum sw_count { SW_DISPOSITIONS(SW_ENUM_COUNT) SW_DISPOSITION_COUNT, SW_COUNT_BEFORE_EVENTS = SW_DISPOSITION_COUNT - 1, SW_EVENTS(SW_ENUM_COUNT) SW_COUNT_COUNT };
enum sw_wire_counter { SW_WIRE_COUNTERS(SW_ENUM_WIRE) SW_WIRE_COUNTER_COUNT };

/*
 * Who is over a limit may be answered with a RST in place of being dropped: as the service's `refuse` and the caps of
 * RSTs have it. The packet then ends in ANSWERED, and sw_counters.refused names the reason. Who is denied or blocked gets
 * silence.
 */
static inline bool sw_may_be_answered(enum sw_drop_reason reason)
{
	return reason >= SW_DROP_LIMIT_SYN_SOURCE && reason <= SW_DROP_LIMIT_CONCURRENT_SERVICE;
}

#endif
