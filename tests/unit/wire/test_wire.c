/* SPDX-License-Identifier: BSD-3-Clause */
/* The XDP program over single frames, run by the kernel (BPF_PROG_TEST_RUN) as it was loaded by the loader. */
#include <bpf/bpf.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "../core/snapshot_draft.h"
#include "core/snapshot_check.h"
#include "run_frame.h"

#define SERVER "10.20.0.10"
#define SERVER6 "fd00:20::10"
#define CLIENT "198.51.100.7"
#define CLIENT6 "2001:db8::7"

enum { TCP = 6, UDP = 17, ICMP = 1, ICMPV6 = 58, PROTECTED_PORT = 20000, MONITORED_PORT = 8080, ENTRIES = 8 };

struct box {
	struct sw_wire *wire;
	int socket; /* in the socket map of both interfaces: "the dataplane is there" */
};

/* ---- set-up -------------------------------------------------------------------------------------------------------
 */

static void open_box(struct box *box, uint8_t steer, uint8_t fail_mode)
{
	static const struct sw_wire_interface interfaces[] = {{"out", 0, SW_OUTSIDE}, {"in", 0, SW_INSIDE}};
	const struct sw_wire_config config = {.interfaces = interfaces, .interface_count = 2, .queues = 1, .steer = steer,
		.fail_mode = fail_mode, .heartbeat_timeout_ms = 3600000, .entries_max = ENTRIES,
		.load_only = true};
	char error[256];
	memset(box, 0, sizeof(*box));
	const int result = sw_wire_open(&config, &box->wire, error, sizeof(error));
	if (result == -EPERM || result == -EACCES) {
		print_message("no right to load BPF programs: %s\n", error);
		skip();
	}
	if (result)
		fail_msg("%s", error);
	box->socket = -1;
}

static void close_box(struct box *box)
{
	if (box->socket >= 0)
		close(box->socket);
	sw_wire_close(box->wire, true);
}

static void connect_dataplane(struct box *box)
{
	const uint32_t queue = 0;
	box->socket = socket(AF_XDP, SOCK_RAW, 0);
	assert_true(box->socket >= 0);
	for (uint32_t port = 0; port < 2; port++)
		assert_int_equal(bpf_map_update_elem(wire_sockets(box->wire, port), &queue, &box->socket, BPF_ANY), 0);
	sw_wire_beat(sw_wire_heartbeat(box->wire, 0));
}

static void publish(struct box *box, struct draft *draft)
{
	char error[256];
	uint64_t bytes;
	void *snapshot = draft_seal(draft, &bytes);
	if (sw_snapshot_check(snapshot, bytes, error, sizeof(error)) ||
		sw_wire_publish(box->wire, snapshot, error, sizeof(error)))
		fail_msg("%s", error);
	free(snapshot);
}

/* Port 20000 enforces lists, port 8080 only monitors, 9000 to 9010 of the /24 is a range. */
static void usual_policy(struct draft *draft)
{
	draft_init(draft);
	draft_service(draft, "tracker", SW_MODE_AUTO);
	draft_service(draft, "watched", SW_MODE_MONITOR);
	draft_service(draft, "range", SW_MODE_ALWAYS);
	draft_target(draft, SERVER, PROTECTED_PORT, PROTECTED_PORT, 0);
	draft_target(draft, SERVER6, PROTECTED_PORT, PROTECTED_PORT, 0);
	draft_target(draft, SERVER, MONITORED_PORT, MONITORED_PORT, 1);
	draft_target(draft, SERVER6, MONITORED_PORT, MONITORED_PORT, 1);
	draft_target(draft, "10.20.0.0/24", 9000, 9010, 2);
	draft_target(draft, "fd00:20::/64", 9000, 9010, 2);
}

static enum sw_wire_counter run(struct box *box, enum sw_side side, const struct frame *frame)
{
	return run_frame(box->wire, side, frame);
}

/* ---- steering -----------------------------------------------------------------------------------------------------
 */

struct shape {
	const char *what;
	enum sw_side side;
	uint16_t tags[3];
	uint8_t protocol;       /* of the IP header */
	uint16_t from, to;      /* ports; with TCP */
	const char *server[2];  /* [0] IPv4, [1] IPv6; NULL: the protected one */
	enum sw_wire_counter want;
};

#define YES SW_WIRE_REDIRECTED
#define NO SW_WIRE_PASSED_NOT_PROTECTED

static const struct shape shapes[] = {
	{"to the protected port", SW_OUTSIDE, {0}, TCP, 40000, 20000, {0}, YES},
	{"to the monitored port", SW_OUTSIDE, {0}, TCP, 40000, 8080, {0}, YES},
	{"to a port of the wider prefix's range", SW_OUTSIDE, {0}, TCP, 40000, 9010, {0}, YES},
	{"to a port behind the range", SW_OUTSIDE, {0}, TCP, 40000, 9011, {0}, NO},
	{"to another port", SW_OUTSIDE, {0}, TCP, 40000, 25, {0}, NO},
	{"from the protected port, outside", SW_OUTSIDE, {0}, TCP, 20000, 25, {0}, NO},
	{"from the protected port, inside", SW_INSIDE, {0}, TCP, 20000, 40000, {0}, YES},
	{"to a protected port number, inside", SW_INSIDE, {0}, TCP, 40000, 20000, {0}, NO},
	{"to another address", SW_OUTSIDE, {0}, TCP, 40000, 20000, {"10.21.0.10", "fd00:21::10"}, NO},
	{"to another address of the prefix", SW_OUTSIDE, {0}, TCP, 40000, 9000, {"10.20.0.11", "fd00:20::11"}, YES},
	{"UDP to the protected port", SW_OUTSIDE, {0}, UDP, 40000, 20000, {0}, NO},
	{"802.1Q", SW_OUTSIDE, {0x8100}, TCP, 40000, 20000, {0}, YES},
	{"QinQ", SW_OUTSIDE, {0x88a8, 0x8100}, TCP, 40000, 20000, {0}, YES},
	{"old QinQ", SW_INSIDE, {0x9100, 0x8100}, TCP, 20000, 40000, {0}, YES},
	{"802.1Q, another port", SW_OUTSIDE, {0x8100}, TCP, 40000, 25, {0}, NO},
	{"three tags", SW_OUTSIDE, {0x88a8, 0x8100, 0x8100}, TCP, 40000, 20000, {0}, NO},
};

static struct frame shaped(const struct shape *shape, bool ipv6)
{
	struct frame frame = {.length = 0};
	const char *server = shape->server[ipv6] ? shape->server[ipv6] : ipv6 ? SERVER6 : SERVER;
	const char *client = ipv6 ? CLIENT6 : CLIENT;
	put_ethernet(&frame, shape->tags, ipv6 ? 0x86dd : 0x0800);
	const uint32_t ip = shape->side == SW_OUTSIDE ? put_ip(&frame, client, server, shape->protocol) :
												   put_ip(&frame, server, client, shape->protocol);
	put_tcp(&frame, shape->from, shape->to);
	finish_ip(&frame, ip);
	return frame;
}

static void steers_what_concerns_a_service(void **state)
{
	(void)state;
	struct draft draft;
	struct box box;
	open_box(&box, SW_STEER_SERVICES, SW_FAIL_OPEN);
	usual_policy(&draft);
	publish(&box, &draft);
	connect_dataplane(&box);
	for (unsigned int i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		for (int ipv6 = 0; ipv6 < 2; ipv6++) {
			const struct frame frame = shaped(&shapes[i], ipv6);
			const enum sw_wire_counter got = run(&box, shapes[i].side, &frame);
			if (got != shapes[i].want)
				fail_msg("%s, IPv%d: counter %d", shapes[i].what, ipv6 ? 6 : 4, got);
		}
	}
	close_box(&box);
}

static void passes_what_is_no_ip(void **state)
{
	(void)state;
	static const uint16_t types[] = {0x0806, 0x88cc, 0x86dd, 0x0800, 0x8100, 0x0000, 0xffff};
	struct draft draft;
	struct box box;
	open_box(&box, SW_STEER_SERVICES, SW_FAIL_CLOSED);
	usual_policy(&draft);
	publish(&box, &draft);
	connect_dataplane(&box);
	for (unsigned int i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct frame frame = {.length = 0};
		put_ethernet(&frame, untagged, types[i]);
		assert_int_equal(run(&box, SW_OUTSIDE, &frame), NO);
		put_zeros(&frame, 46);
		assert_int_equal(run(&box, SW_OUTSIDE, &frame), NO);
	}
	close_box(&box);
}

/* ---- IPv4: fragments, lies, cut frames ----------------------------------------------------------------------------
 */

static void ipv4_headers_that_hide_the_port(void **state)
{
	(void)state;
	static const struct {
		const char *what;
		uint32_t at; /* in the IP header */
		uint16_t value;
		uint8_t protocol;
		bool other_server;
		enum sw_wire_counter want;
	} cases[] = {
		{"first fragment", 6, 0x2000, TCP, false, YES},
		{"later fragment", 6, 0x00b9, TCP, false, YES},
		{"last fragment of UDP", 6, 0x00b9, UDP, false, NO},
		{"later fragment to another address", 6, 0x00b9, TCP, true, NO},
		{"don't fragment", 6, 0x4000, TCP, false, YES},
		{"header length 4", 0, 0x4100, TCP, false, YES},
		{"header length beyond the packet", 0, 0x4f00, TCP, false, YES},
		{"version 5", 0, 0x5500, TCP, false, YES},
		{"version 5 to another address", 0, 0x5500, TCP, true, NO},
		{"total length 0", 2, 0, TCP, false, YES},
		{"total length beyond the frame", 2, 1400, TCP, false, YES},
		{"total length beyond the frame, another address", 2, 1400, TCP, true, NO},
	};
	struct draft draft;
	struct box box;
	open_box(&box, SW_STEER_SERVICES, SW_FAIL_OPEN);
	usual_policy(&draft);
	publish(&box, &draft);
	connect_dataplane(&box);
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct frame frame = syn_from(CLIENT, cases[i].other_server ? "10.21.0.10" : SERVER, PROTECTED_PORT);
		frame.bytes[14 + 9] = cases[i].protocol;
		set16(&frame, 14 + cases[i].at, cases[i].value);
		const enum sw_wire_counter got = run(&box, SW_OUTSIDE, &frame);
		if (got != cases[i].want)
			fail_msg("%s: counter %d", cases[i].what, got);
	}
	close_box(&box);
}

static void cut_frames_go_by_what_can_be_read(void **state)
{
	(void)state;
	struct draft draft;
	struct box box;
	open_box(&box, SW_STEER_SERVICES, SW_FAIL_OPEN);
	usual_policy(&draft);
	publish(&box, &draft);
	connect_dataplane(&box);
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		struct frame frame = syn_from(ipv6 ? CLIENT6 : CLIENT, ipv6 ? SERVER6 : SERVER, PROTECTED_PORT);
		const uint32_t whole = frame.length, addresses = 14 + (ipv6 ? 40 : 20);
		for (frame.length = 14; frame.length <= whole; frame.length++)
			assert_int_equal(run(&box, SW_OUTSIDE, &frame), frame.length < addresses ? NO : YES);
	}
	close_box(&box);
}

static void ipv4_options_are_stepped_over(void **state)
{
	(void)state;
	struct draft draft;
	struct box box;
	open_box(&box, SW_STEER_SERVICES, SW_FAIL_OPEN);
	usual_policy(&draft);
	publish(&box, &draft);
	connect_dataplane(&box);
	for (uint32_t words = 5; words <= 15; words++) {
		for (int known = 0; known < 2; known++) {
			struct frame frame = {.length = 0};
			put_ethernet(&frame, untagged, 0x0800);
			const uint32_t ip = put_ip(&frame, CLIENT, SERVER, TCP);
			frame.bytes[ip] = (uint8_t)(0x40 | words);
			put_zeros(&frame, (words - 5) * 4);
			put_tcp(&frame, 40000, known ? PROTECTED_PORT : 25);
			finish_ip(&frame, ip);
			assert_int_equal(run(&box, SW_OUTSIDE, &frame), known ? YES : NO);
		}
	}
	close_box(&box);
}

/* ---- IPv6: extension headers --------------------------------------------------------------------------------------
 */

static const struct {
	const char *what;
	uint8_t first;       /* next header of the IPv6 header */
	uint8_t bytes[80];   /* the extension headers */
	uint8_t count;       /* of bytes */
	uint16_t port;
	enum sw_wire_counter want;
} extensions[] = {
    {"hop-by-hop", 0, {TCP, 0, 1, 4}, 8, 20000, YES},
    {"hop-by-hop, another port", 0, {TCP, 0, 1, 4}, 8, 25, NO},
    {"long destination options", 60, {TCP, 2, 1, 20}, 24, 20000, YES},
    {"routing, then options", 43, {60, 0, 0, 0, 0, 0, 0, 0, TCP, 0, 1, 4}, 16, 20000, YES},
    {"AH, 24 bytes", 51, {TCP, 4}, 24, 20000, YES},
    {"AH, 24 bytes, another port", 51, {TCP, 4}, 24, 25, NO},
    {"atomic fragment", 44, {TCP, 0, 0, 0, 1, 2, 3, 4}, 8, 20000, YES},
    {"atomic fragment, another port", 44, {TCP, 0, 0, 0, 1, 2, 3, 4}, 8, 25, NO},
    {"first fragment", 44, {TCP, 0, 0, 1}, 8, 25, YES},
    {"later fragment", 44, {TCP, 0, 5, 0}, 8, 25, YES},
    {"later fragment of UDP", 44, {UDP, 0, 5, 0}, 8, 20000, NO},
    {"later fragment that begins with options", 44, {60, 0, 5, 0}, 8, 25, YES},
    {"ESP", 50, {0, 0, 0, 1}, 8, 20000, NO},
    {"no next header", 59, {0}, 8, 20000, NO},
    {"options, then UDP", 60, {UDP, 0, 1, 4}, 8, 20000, NO},
    {"eight headers", 60,
        {60, 0, 1, 4, 0, 0, 0, 0, 60, 0, 1, 4, 0, 0, 0, 0, 60, 0, 1, 4, 0, 0, 0, 0, 60, 0, 1, 4, 0, 0, 0, 0, 60, 0, 1,
            4, 0, 0, 0, 0, 60, 0, 1, 4, 0, 0, 0, 0, 60, 0, 1, 4, 0, 0, 0, 0, TCP, 0, 1, 4},
        64, 25, NO},
    {"nine headers: too many to follow", 60,
        {60, 0, 1, 4, 0, 0, 0, 0, 60, 0, 1, 4, 0, 0, 0, 0, 60, 0, 1, 4, 0, 0, 0, 0, 60, 0, 1, 4, 0, 0, 0, 0, 60, 0, 1,
            4, 0, 0, 0, 0, 60, 0, 1, 4, 0, 0, 0, 0, 60, 0, 1, 4, 0, 0, 0, 0, 60, 0, 1, 4, 0, 0, 0, 0, TCP, 0, 1, 4},
        72, 25, YES},
    {"an extension longer than the packet", 60, {TCP, 200, 1, 4}, 8, 25, YES},
};

static void ipv6_extensions_are_followed(void **state)
{
	(void)state;
	struct draft draft;
	struct box box;
	open_box(&box, SW_STEER_SERVICES, SW_FAIL_OPEN);
	usual_policy(&draft);
	publish(&box, &draft);
	connect_dataplane(&box);
	for (unsigned int i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++) {
		for (int other = 0; other < 2; other++) {
			struct frame frame = {.length = 0};
			put_ethernet(&frame, untagged, 0x86dd);
			const uint32_t ip = put_ip(&frame, CLIENT6, other ? "fd00:21::10" : SERVER6, extensions[i].first);
			put(&frame, extensions[i].bytes, extensions[i].count);
			put_tcp(&frame, 40000, extensions[i].port);
			finish_ip(&frame, ip);
			const enum sw_wire_counter got = run(&box, SW_OUTSIDE, &frame);
			if (got != (other ? NO : extensions[i].want))
				fail_msg("%s: counter %d", extensions[i].what, got);
		}
	}
	close_box(&box);
}

static void ipv4_mapped_addresses_do_not_slip_by(void **state)
{
	(void)state;
	struct draft draft;
	struct box box;
	struct frame frame = {.length = 0};
	const struct sw_address mapped = address_of(SERVER);
	open_box(&box, SW_STEER_SERVICES, SW_FAIL_OPEN);
	usual_policy(&draft);
	publish(&box, &draft);
	connect_dataplane(&box);
	put_ethernet(&frame, untagged, 0x86dd);
	const uint32_t ip = put_ip(&frame, CLIENT6, SERVER6, TCP);
	memcpy(frame.bytes + ip + 24, mapped.bytes, 16);
	put_tcp(&frame, 40000, PROTECTED_PORT);
	finish_ip(&frame, ip);
	assert_int_equal(run(&box, SW_OUTSIDE, &frame), YES);
	close_box(&box);
}

/* ---- ICMP errors --------------------------------------------------------------------------------------------------
 */

static const struct {
	const char *what;
	enum sw_side side;
	bool ipv6;
	uint8_t type;
	const char *outer_from, *outer_to, *inner_from, *inner_to;
	uint8_t inner_protocol;
	uint32_t cut; /* bytes kept behind the outer IP header; 0: all */
	enum sw_wire_counter want;
} errors[] = {
	{"about the server's packet", SW_OUTSIDE, false, 3, "203.0.113.1", SERVER, SERVER, CLIENT, TCP, 0, YES},
	{"time exceeded", SW_OUTSIDE, false, 11, "203.0.113.1", SERVER, SERVER, CLIENT, TCP, 0, YES},
	{"echo", SW_OUTSIDE, false, 8, CLIENT, SERVER, SERVER, CLIENT, TCP, 0, NO},
	{"about UDP", SW_OUTSIDE, false, 3, CLIENT, SERVER, SERVER, CLIENT, UDP, 0, NO},
	{"about another server", SW_OUTSIDE, false, 3, CLIENT, "10.21.0.1", "10.21.0.1", CLIENT, TCP, 0, NO},
	{"from a router inside", SW_INSIDE, false, 3, "10.20.9.1", CLIENT, CLIENT, SERVER, TCP, 0, YES},
	{"from the server", SW_INSIDE, false, 3, SERVER, CLIENT, CLIENT, SERVER, TCP, 0, YES},
	{"cut in the inner header", SW_OUTSIDE, false, 3, CLIENT, SERVER, SERVER, CLIENT, TCP, 20, YES},
	{"cut, another server", SW_OUTSIDE, false, 3, CLIENT, "10.21.0.1", SERVER, CLIENT, TCP, 20, NO},
	{"packet too big", SW_OUTSIDE, true, 2, "2001:db8::1", SERVER6, SERVER6, CLIENT6, TCP, 0, YES},
	{"unreachable from a router inside", SW_INSIDE, true, 1, "fd00:20:9::1", CLIENT6, CLIENT6, SERVER6, TCP, 0, YES},
	{"neighbour solicitation", SW_INSIDE, true, 135, SERVER6, CLIENT6, CLIENT6, SERVER6, TCP, 0, NO},
	{"about another server, IPv6", SW_OUTSIDE, true, 2, CLIENT6, "fd00:21::1", "fd00:21::1", CLIENT6, TCP, 0, NO},
	{"cut in the inner header, IPv6", SW_OUTSIDE, true, 2, CLIENT6, SERVER6, SERVER6, CLIENT6, TCP, 30, YES},
};

static void icmp_errors_follow_the_inner_packet(void **state)
{
	(void)state;
	struct draft draft;
	struct box box;
	open_box(&box, SW_STEER_SERVICES, SW_FAIL_OPEN);
	usual_policy(&draft);
	publish(&box, &draft);
	connect_dataplane(&box);
	for (unsigned int i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		struct frame frame = {.length = 0};
		const uint8_t icmp[8] = {errors[i].type, 4};
		put_ethernet(&frame, untagged, errors[i].ipv6 ? 0x86dd : 0x0800);
		const uint32_t outer =
			put_ip(&frame, errors[i].outer_from, errors[i].outer_to, errors[i].ipv6 ? ICMPV6 : ICMP);
		const uint32_t payload = frame.length;
		put(&frame, icmp, sizeof(icmp));
		const uint32_t inner = put_ip(&frame, errors[i].inner_from, errors[i].inner_to, errors[i].inner_protocol);
		put_tcp(&frame, 20000, 40000);
		finish_ip(&frame, inner);
		if (errors[i].cut)
			frame.length = payload + errors[i].cut;
		finish_ip(&frame, outer);
		const enum sw_wire_counter got = run(&box, errors[i].side, &frame);
		if (got != errors[i].want)
			fail_msg("%s: counter %d", errors[i].what, got);
	}
	close_box(&box);
}

/* ---- source lists -------------------------------------------------------------------------------------------------
 */

#define LONG_AGO 1000ull
#define FAR_AHEAD 4102444800000000000ull /* 2100-01-01 */

static void lists_decide_before_the_dataplane(void **state)
{
	(void)state;
	static const struct {
		const char *client;
		enum sw_wire_counter want;
		uint32_t entry; /* that counts the drop */
	} cases[] = {
		{"192.0.2.1", SW_WIRE_DROPPED_DENIED, 0},   /* denied /24 */
		{"192.0.2.9", YES, SW_NONE},                /* an allowed host in it */
		{"192.0.2.10", SW_WIRE_DROPPED_BLOCKED, 2}, /* a block for ever in it */
		{"192.0.2.11", SW_WIRE_DROPPED_DENIED, 0},  /* a block that has ended uncovers the deny */
		{"192.0.2.12", SW_WIRE_DROPPED_BLOCKED, 4}, /* a block until 2100 */
		{"192.0.2.13", SW_WIRE_DROPPED_BLOCKED, 4}, /* an ended block inside one until 2100 */
		{"198.51.100.1", YES, SW_NONE},             /* listed nowhere; ::/0 is another family's */
		{"203.0.113.1", YES, SW_NONE},              /* an ended block, and nothing beneath */
		{"203.0.113.2", YES, SW_NONE},              /* member of a group only */
		{"203.0.113.3", SW_WIRE_DROPPED_DENIED, SW_NONE}, /* an entry beyond those that are counted */
		{"2001:db8::9", YES, SW_NONE},              /* allowed within the denied ::/0 */
		{"2001:db8::8", SW_WIRE_DROPPED_DENIED, 7},
		{"::1", SW_WIRE_DROPPED_DENIED, 7},
	};
	struct draft draft;
	struct box box;
	open_box(&box, SW_STEER_SERVICES, SW_FAIL_OPEN);
	usual_policy(&draft);
	draft_group(&draft, "torrent hosts");
	draft_rule(&draft, "192.0.2.0/24", SW_RULE_DENY, 0, 0);
	draft_rule(&draft, "192.0.2.0/24", SW_RULE_ALLOW, 1, 0);
	draft_rule(&draft, "192.0.2.9", SW_RULE_ALLOW, 1, 0);
	draft_rule(&draft, "192.0.2.10", SW_RULE_BLOCK, 2, 0);
	draft_rule(&draft, "192.0.2.11", SW_RULE_BLOCK, 3, LONG_AGO);
	draft_rule(&draft, "192.0.2.12/31", SW_RULE_BLOCK, 4, FAR_AHEAD);
	draft_rule(&draft, "192.0.2.13", SW_RULE_BLOCK, 5, LONG_AGO);
	draft_rule(&draft, "203.0.113.1", SW_RULE_BLOCK, 6, LONG_AGO);
	draft_rule(&draft, "203.0.113.2", SW_RULE_GROUP, 0, 0);
	draft_rule(&draft, "203.0.113.3", SW_RULE_DENY, ENTRIES, 0);
	draft_rule(&draft, "::/0", SW_RULE_DENY, 7, 0);
	draft_rule(&draft, "2001:db8::9", SW_RULE_ALLOW, 8, 0);
	publish(&box, &draft);
	connect_dataplane(&box);
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *server = strchr(cases[i].client, ':') ? SERVER6 : SERVER;
		struct frame frame = syn_from(cases[i].client, server, PROTECTED_PORT);
		uint64_t before[ENTRIES];
		for (uint32_t entry = 0; entry < ENTRIES; entry++)
			before[entry] = sw_wire_entry_hits(box.wire, entry);
		const enum sw_wire_counter got = run(&box, SW_OUTSIDE, &frame);
		if (got != cases[i].want)
			fail_msg("%s: counter %d", cases[i].client, got);
		for (uint32_t entry = 0; entry < ENTRIES; entry++)
			assert_int_equal(sw_wire_entry_hits(box.wire, entry), before[entry] + (entry == cases[i].entry));
		/* Lists are for services that enforce them, and for the outside. */
		frame = syn_from(cases[i].client, server, MONITORED_PORT);
		assert_int_equal(run(&box, SW_OUTSIDE, &frame), YES);
		frame = syn_from(cases[i].client, server, 25);
		assert_int_equal(run(&box, SW_OUTSIDE, &frame), NO);
	}
	close_box(&box);
}

static void blocks_of_the_dataplane(void **state)
{
	(void)state;
	struct draft draft;
	struct box box;
	open_box(&box, SW_STEER_SERVICES, SW_FAIL_OPEN);
	usual_policy(&draft);
	draft_rule(&draft, "192.0.2.9", SW_RULE_ALLOW, 1, 0);
	publish(&box, &draft);
	connect_dataplane(&box);
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		const char *client = ipv6 ? CLIENT6 : CLIENT;
		const struct sw_address address = address_of(client);
		const struct frame frame = syn_from(client, ipv6 ? SERVER6 : SERVER, PROTECTED_PORT);
		const struct frame watched = syn_from(client, ipv6 ? SERVER6 : SERVER, MONITORED_PORT);
		assert_int_equal(run(&box, SW_OUTSIDE, &frame), YES);
		assert_int_equal(sw_wire_block(box.wire, &address, 3600), 0);
		assert_int_equal(run(&box, SW_OUTSIDE, &frame), SW_WIRE_DROPPED_BLOCKED);
		assert_int_equal(run(&box, SW_OUTSIDE, &watched), YES);
		assert_int_equal(sw_wire_block(box.wire, &address, 0), 0); /* ends at once */
		assert_int_equal(run(&box, SW_OUTSIDE, &frame), YES);
		assert_int_equal(sw_wire_block(box.wire, &address, 3600), 0);
		assert_int_equal(sw_wire_unblock(box.wire, &address), 0);
		assert_int_equal(sw_wire_unblock(box.wire, &address), -ENOENT);
		assert_int_equal(run(&box, SW_OUTSIDE, &frame), YES);
	}
	const struct sw_address allowed = address_of("192.0.2.9");
	const struct frame frame = syn_from("192.0.2.9", SERVER, PROTECTED_PORT);
	assert_int_equal(sw_wire_block(box.wire, &allowed, 3600), 0);
	assert_int_equal(run(&box, SW_OUTSIDE, &frame), YES);
	close_box(&box);
}

/* ---- policies: bitmaps, replacement -------------------------------------------------------------------------------
 */

static void many_ranges_become_a_bitmap(void **state)
{
	(void)state;
	struct draft draft;
	struct box box;
	open_box(&box, SW_STEER_SERVICES, SW_FAIL_OPEN);
	draft_init(&draft);
	draft_service(&draft, "odd", SW_MODE_ALWAYS);
	draft_service(&draft, "watched", SW_MODE_MONITOR);
	for (uint16_t i = 0; i < 30; i++)
		draft_target(&draft, i % 2 ? SERVER : SERVER6, (uint16_t)(1000 + i * 10), (uint16_t)(1004 + i * 10), 0);
	for (uint16_t i = 0; i < 15; i++)
		draft_target(&draft, "192.0.2.80", (uint16_t)(65505 + i * 2), (uint16_t)(65505 + i * 2), i == 14);
	draft_rule(&draft, CLIENT, SW_RULE_DENY, 1, 0);
	publish(&box, &draft);
	connect_dataplane(&box);
	for (uint16_t port = 990; port < 1310; port++) {
		const struct frame frame = syn_from("192.0.2.1", SERVER, port);
		const bool covered = port >= 1010 && port < 1300 && port % 20 >= 10 && port % 10 <= 4;
		assert_int_equal(run(&box, SW_OUTSIDE, &frame), covered ? YES : NO);
		const struct frame denied = syn_from(CLIENT, SERVER, port);
		assert_int_equal(run(&box, SW_OUTSIDE, &denied), covered ? SW_WIRE_DROPPED_DENIED : NO);
	}
	for (uint32_t port = 65500; port < 65536; port++) {
		const struct frame denied = syn_from(CLIENT, "192.0.2.80", (uint16_t)port);
		const enum sw_wire_counter want = port < 65505 || port > 65533 || port % 2 == 0 ? NO :
			port == 65533 ? YES : SW_WIRE_DROPPED_DENIED;
		assert_int_equal(run(&box, SW_OUTSIDE, &denied), want);
	}
	close_box(&box);
}

static void a_new_policy_replaces_the_old_one_whole(void **state)
{
	(void)state;
	struct draft draft;
	struct box box;
	const struct frame to_old = syn_from(CLIENT, SERVER, PROTECTED_PORT), to_new = syn_from(CLIENT, "192.0.2.80", 80);
	open_box(&box, SW_STEER_SERVICES, SW_FAIL_OPEN);
	connect_dataplane(&box);
	assert_int_equal(run(&box, SW_OUTSIDE, &to_old), NO);
	for (int round = 0; round < 5; round++) {
		usual_policy(&draft);
		draft_rule(&draft, CLIENT, SW_RULE_DENY, 1, 0);
		publish(&box, &draft);
		publish(&box, &draft); /* the same rules again: the trie is hung up again */
		assert_int_equal(run(&box, SW_OUTSIDE, &to_old), SW_WIRE_DROPPED_DENIED);
		assert_int_equal(run(&box, SW_OUTSIDE, &to_new), NO);
		draft_init(&draft);
		draft_service(&draft, "web", SW_MODE_ALWAYS);
		draft_target(&draft, "192.0.2.80", 80, 80, 0);
		publish(&box, &draft);
		assert_int_equal(run(&box, SW_OUTSIDE, &to_old), NO);
		assert_int_equal(run(&box, SW_OUTSIDE, &to_new), YES);
	}
	close_box(&box);
}

struct publisher {
	struct box *box;
	void *snapshots[2];
	int failures;
	_Atomic bool done;
};

static void *publish_again_and_again(void *argument)
{
	struct publisher *p = argument;
	for (int i = 0; i < 60; i++)
		p->failures += sw_wire_publish(p->box->wire, p->snapshots[i % 2], NULL, 0) != 0;
	p->done = true;
	return NULL;
}

/* Two policies that both protect the port, one by a range, one by a bitmap: whichever is in force, it is steered. */
static void no_frame_slips_by_while_policies_change(void **state)
{
	(void)state;
	const struct frame ours = syn_from(CLIENT, SERVER, PROTECTED_PORT);
	struct publisher publisher = {.failures = 0};
	struct box box;
	pthread_t thread;
	uint64_t runs = 0;
	open_box(&box, SW_STEER_SERVICES, SW_FAIL_OPEN);
	connect_dataplane(&box);
	for (int i = 0; i < 2; i++) {
		struct draft draft;
		uint64_t bytes;
		usual_policy(&draft);
		for (uint16_t port = 1; i == 1 && port < 40; port += 2)
			draft_target(&draft, SERVER, port, port, 2);
		draft_rule(&draft, "192.0.2.0/24", SW_RULE_DENY, (uint32_t)i, 0);
		draft_rule(&draft, "192.0.2.9", i ? SW_RULE_DENY : SW_RULE_ALLOW, 0, 0);
		publisher.snapshots[i] = draft_seal(&draft, &bytes);
	}
	publisher.box = &box;
	assert_int_equal(sw_wire_publish(box.wire, publisher.snapshots[0], NULL, 0), 0);
	assert_int_equal(pthread_create(&thread, NULL, publish_again_and_again, &publisher), 0);
	for (; !publisher.done || runs == 0; runs++)
		assert_int_equal(run(&box, SW_OUTSIDE, &ours), YES);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(publisher.failures, 0);
	print_message("%llu frames during 60 changes of policy\n", (unsigned long long)runs);
	free(publisher.snapshots[0]);
	free(publisher.snapshots[1]);
	close_box(&box);
}

/* ---- when the dataplane is gone or hung ----------------------------------------------------------------------------
 */

static void fail_modes(void **state)
{
	(void)state;
	for (int closed = 0; closed < 2; closed++) {
		const enum sw_wire_counter gone = closed ? SW_WIRE_DROPPED_NO_DATAPLANE : SW_WIRE_PASSED_NO_DATAPLANE;
		const enum sw_wire_counter hung = closed ? SW_WIRE_DROPPED_STALE : SW_WIRE_PASSED_STALE;
		const struct frame ours = syn_from(CLIENT, SERVER, PROTECTED_PORT), other = syn_from(CLIENT, SERVER, 25);
		struct draft draft;
		struct box box;
		open_box(&box, SW_STEER_SERVICES, closed ? SW_FAIL_CLOSED : SW_FAIL_OPEN);
		usual_policy(&draft);
		publish(&box, &draft);
		struct sw_wire_heartbeat *heartbeat = sw_wire_heartbeat(box.wire, 0);

		sw_wire_beat(heartbeat);
		assert_int_equal(run(&box, SW_OUTSIDE, &ours), gone);
		connect_dataplane(&box);
		assert_int_equal(run(&box, SW_OUTSIDE, &ours), YES);
		sw_wire_beat_stop(heartbeat);
		assert_int_equal(run(&box, SW_OUTSIDE, &ours), hung);
		sw_wire_beat(heartbeat);
		heartbeat->last_ns -= heartbeat->timeout_ns + 1;
		assert_int_equal(run(&box, SW_OUTSIDE, &ours), hung);
		heartbeat->last_ns += heartbeat->timeout_ns + 3600000000000ull; /* ahead of us: another CPU's clock */
		assert_int_equal(run(&box, SW_OUTSIDE, &ours), YES);
		assert_int_equal(run(&box, SW_OUTSIDE, &other), NO);
		close(box.socket); /* the kernel clears a dead socket's slot itself */
		box.socket = -1;
		assert_int_equal(run(&box, SW_OUTSIDE, &ours), gone);
		close_box(&box);
	}
}

static void steer_all_takes_every_frame(void **state)
{
	(void)state;
	struct draft draft;
	struct box box;
	struct frame arp = {.length = 0};
	const struct frame ours = syn_from(CLIENT, SERVER, PROTECTED_PORT), other = syn_from(CLIENT, SERVER, 25);
	put_ethernet(&arp, untagged, 0x0806);
	put_zeros(&arp, 46);
	open_box(&box, SW_STEER_ALL, SW_FAIL_CLOSED);
	assert_int_equal(run(&box, SW_INSIDE, &arp), SW_WIRE_DROPPED_NO_DATAPLANE);
	connect_dataplane(&box);
	for (int lists = 0; lists < 2; lists++) {
		usual_policy(&draft);
		if (lists)
			draft_rule(&draft, CLIENT, SW_RULE_DENY, 1, 0);
		publish(&box, &draft);
		assert_int_equal(run(&box, SW_INSIDE, &arp), YES);
		assert_int_equal(run(&box, SW_OUTSIDE, &other), YES);
		assert_int_equal(run(&box, SW_OUTSIDE, &ours), lists ? SW_WIRE_DROPPED_DENIED : YES);
	}
	close_box(&box);
}

static void bad_configurations_are_refused(void **state)
{
	(void)state;
	static const struct sw_wire_interface nowhere = {"sw-no-such-if", 0, SW_OUTSIDE};
	const struct sw_wire_config bad[] = {
		{.interfaces = &nowhere, .interface_count = 0, .queues = 1, .pin_directory = "/sys/fs/bpf/seawall-test"},
		{.interfaces = &nowhere, .interface_count = 1, .queues = 0, .pin_directory = "/sys/fs/bpf/seawall-test"},
		{.interfaces = &nowhere, .interface_count = 1, .queues = 65, .pin_directory = "/sys/fs/bpf/seawall-test"},
		{.interfaces = &nowhere, .interface_count = 1, .queues = 1},
		{.interfaces = &nowhere, .interface_count = 1, .queues = 1, .pin_directory = "/sys/fs/bpf/seawall-test"},
	};
	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct sw_wire *wire;
		char error[256];
		assert_true(sw_wire_open(&bad[i], &wire, error, sizeof(error)) < 0);
		assert_null(wire);
		assert_true(error[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(steers_what_concerns_a_service),
		cmocka_unit_test(passes_what_is_no_ip),
		cmocka_unit_test(ipv4_headers_that_hide_the_port),
		cmocka_unit_test(ipv4_options_are_stepped_over),
		cmocka_unit_test(cut_frames_go_by_what_can_be_read),
		cmocka_unit_test(ipv6_extensions_are_followed),
		cmocka_unit_test(ipv4_mapped_addresses_do_not_slip_by),
		cmocka_unit_test(icmp_errors_follow_the_inner_packet),
		cmocka_unit_test(lists_decide_before_the_dataplane),
		cmocka_unit_test(blocks_of_the_dataplane),
		cmocka_unit_test(many_ranges_become_a_bitmap),
		cmocka_unit_test(a_new_policy_replaces_the_old_one_whole),
		cmocka_unit_test(no_frame_slips_by_while_policies_change),
		cmocka_unit_test(fail_modes),
		cmocka_unit_test(steer_all_takes_every_frame),
		cmocka_unit_test(bad_configurations_are_refused),
	};
	return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
