/* SPDX-License-Identifier: BSD-3-Clause */
#include "schema.h"

#include <stddef.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define AT(type, member) .offset = offsetof(struct type, member)
#define FIELDS(name_, title_) .title = title_, .fields = name_##_fields, .count = COUNT(name_##_fields)
#define OBJECT(name_, title_, struct_) \
	static const struct sw_object name_##_object = {FIELDS(name_, title_), .bytes = sizeof(struct struct_)}

/* A number with unit, range and default. */
#define NUMBER(key_, struct_, member_, unit_, min_, max_, default_, ...) \
	{.key = key_, .type = SW_FIELD_INTEGER, AT(struct_, member_), .unit = unit_, .min = min_, .max = max_, \
		.initial = default_, __VA_ARGS__}
#define CHOICE(key_, struct_, member_, names_, default_, ...) \
	{.key = key_, .type = SW_FIELD_ENUM, AT(struct_, member_), .names = names_, .initial = default_, __VA_ARGS__}
#define SECTION(key_, struct_, member_, object_, ...) \
	{.key = key_, .type = SW_FIELD_OBJECT, AT(struct_, member_), .object = &object_, __VA_ARGS__}
#define LIST(key_, struct_, member_, element_, min_, max_, ...) \
	{.key = key_, .type = SW_FIELD_LIST, .element = element_, AT(struct_, member_), .min = min_, .max = max_, \
		__VA_ARGS__}

/* ---- boot ------------------------------------------------------------------------------------------------------- */

static const struct sw_field_name hugepages_names[] = {
	{"auto", SW_HUGEPAGES_AUTO, "huge pages when they can be had, ordinary ones otherwise"},
	{"require", SW_HUGEPAGES_REQUIRE, "without huge pages the dataplane does not start"},
	{"never", SW_HUGEPAGES_NEVER, "ordinary pages"},
	{0},
};
static const struct sw_field_name steer_names[] = {
	{"services", SW_STEER_SERVICES, "only what concerns a protected service; the rest crosses the kernel bridge"},
	{"all", SW_STEER_ALL, "every frame"},
	{0},
};
static const struct sw_field_name fail_names[] = {
	{"open", SW_FAIL_OPEN, "traffic crosses the kernel bridge, unprotected"},
	{"closed", SW_FAIL_CLOSED, "traffic is dropped"},
	{0},
};
static const struct sw_field_name core_names[] = {{"any", SW_NONE, "wherever the scheduler likes"}, {0}};

static const struct sw_field_name mbuf_names[] = {
	{"auto", 0, "what the rings and the held packets can take, and half as many again"}, {0}};

static const struct sw_field cpu_fields[] = {
	NUMBER("core", sw_spec_limits, syn_per_s, NULL, 0, 1023, 0, .help = "A CPU number."),
};
static const struct sw_object cpu_object = {FIELDS(cpu, "CPU"), .bytes = sizeof(uint32_t)};

static const struct sw_field link_fields[] = {
	{.key = "outside", .type = SW_FIELD_DEVICE, AT(sw_spec_link, outside), .flags = SW_FIELD_REQUIRED,
		.help = "The end towards the clients and attackers: an interface name (AF_XDP on its queues; the rest of "
				"the NIC stays with the kernel), or an object with one key: `interface`, `pci` (an address such as "
				"0000:3b:00.0, device arguments behind a comma) or `vdev` (a raw DPDK vdev string; `%q` stands for "
				"the queue number).",
		.example = "\"eth0\""},
	{.key = "inside", .type = SW_FIELD_DEVICE, AT(sw_spec_link, inside), .flags = SW_FIELD_REQUIRED,
		.help = "The end towards the protected servers; written like `outside`.",
		.example = "{\"pci\": \"0000:3b:00.1\"}"},
};
OBJECT(link, "Link", sw_spec_link);

static const struct sw_field boot_fields[] = {
	{.key = "instance", .type = SW_FIELD_STRING, AT(sw_spec_boot, instance), .min = 1, .max = 31,
		.default_text = "\"seawall\"",
		.help = "Names the runtime and state directories and the shared files, so that several boxes on one "
				"machine do not meet. Letters, digits, `-`, `_` and `.`; begins with a letter or digit."},
	LIST("links", sw_spec_boot, links, SW_FIELD_OBJECT, 1, SW_LINKS_MAX, .object = &link_object,
		.flags = SW_FIELD_REQUIRED,
		.help = "The wires through the box. What comes in at one end and may pass leaves at the other.",
		.example = "[{\"outside\": \"eth0\", \"inside\": \"eth1\"}]"),
	NUMBER("workers", sw_spec_boot, workers, NULL, 1, SW_WORKERS_MAX, 1,
		.help = "Threads that move packets, one queue pair of each link each. An AF_XDP interface must have at "
				"least as many queues."),
	LIST("cores", sw_spec_boot, cores, SW_FIELD_INTEGER, 0, SW_WORKERS_MAX, .object = &cpu_object, .default_text = "[]",
		.help = "The CPU of each worker, in order. Empty: the highest CPUs that the daemon may run on, since the "
				"kernel prefers the lowest for its own work.", .example = "[2, 3]"),
	NUMBER("housekeeping_core", sw_spec_boot, housekeeping_core, NULL, 0, 1023, SW_NONE, .names = core_names,
		.help = "The CPU of the housekeeping thread. Never one of `cores`, unless there is no other."),
	CHOICE("hugepages", sw_spec_boot, hugepages, hugepages_names, SW_HUGEPAGES_AUTO,
		.help = "Which memory holds packets and tables."),
	CHOICE("steer", sw_spec_boot, steer, steer_names, SW_STEER_SERVICES,
		.help = "What the XDP program hands to the dataplane. AF_XDP links only; other ports take every frame."),
	CHOICE("fail", sw_spec_boot, fail_mode, fail_names, SW_FAIL_OPEN,
		.help = "What the XDP program does when the dataplane is gone or hung. AF_XDP links only."),
	NUMBER("heartbeat_timeout_ms", sw_spec_boot, heartbeat_timeout_ms, "milliseconds", 10, 60000, 500,
		.help = "A worker that has not stamped its heartbeat for this long counts as hung, and `fail` applies."),
	NUMBER("idle_sleep_us", sw_spec_boot, idle_sleep_us, "microseconds", 0, 100000, 1000,
		.help = "Longest sleep of a worker that has nothing to do. It wakes when a packet comes. 0: it polls "
				"without rest."),
	NUMBER("mbufs", sw_spec_boot, mbufs, "packets", 1024, 4194304, 0, .names = mbuf_names,
		.help = "Packet buffers per worker. They must cover the descriptors of its queues and its share of "
				"`held_packets`.",
		.example = "32768"),
	NUMBER("rx_descriptors", sw_spec_boot, rx_descriptors, "packets", 64, 32768, 2048,
		.help = "Receive ring of each queue: how long a worker may be busy before packets are missed."),
	NUMBER("tx_descriptors", sw_spec_boot, tx_descriptors, "packets", 64, 32768, 2048,
		.help = "Transmit ring of each queue."),
	NUMBER("flows", sw_spec_boot, flows, "connections", 1024, 268435456, 262144,
		.help = "Connections that the whole box can follow at one time, proxied and native. Shared out evenly to "
				"the workers, like the three tables below."),
	NUMBER("source_records", sw_spec_boot, source_records, "records", 256, 67108864, 65536,
		.help = "Sources for which evidence is kept: proven ones, and those that claim much. At most 2097152 for "
				"each worker."),
	NUMBER("limiter_entries", sw_spec_boot, limiter_entries, "entries", 1024, 1073741824, 1048576,
		.help = "Token buckets in use at one time: one for each source and each prefix level, of every service."),
	NUMBER("held_packets", sw_spec_boot, held_pkts, "packets", 64, 1048576, 4096,
		.help = "Client data that may wait for servers to answer, in the whole box."),
	NUMBER("services", sw_spec_boot, services_max, "services", 1, SW_SERVICES_MAX, 256,
		.help = "Size of the counter tables: how many services a policy can have without a restart."),
	NUMBER("groups", sw_spec_boot, groups_max, "groups", 1, SW_GROUPS_MAX, 64, .help = "Likewise for groups."),
	NUMBER("entries", sw_spec_boot, entries_max, "entries", 16, SW_ENTRIES_MAX, 131072,
		.help = "Likewise for the entries of `allow` and `deny` and for blocks, each of which has its own counter."),
};
OBJECT(boot, "Boot: devices and table sizes", sw_spec_boot);

/* ---- control ---------------------------------------------------------------------------------------------------- */

static const struct sw_field control_fields[] = {
	LIST("listen", sw_spec_control, listen, SW_FIELD_LISTEN, 0, 8,
		.default_text = "[\"127.0.0.1:8470\", \"[::1]:8470\"]",
		.help = "Loopback addresses and ports where everybody on the machine may read over HTTP. Changing anything "
				"needs the Unix socket. Empty: the Unix socket alone. Needs a restart of the control daemon, not "
				"of the dataplane."),
	{.key = "socket_mode", .type = SW_FIELD_MODE, AT(sw_spec_control, socket_mode), .initial = 0660, .max = 0777,
		.help = "File mode of the Unix socket, in octal: who may change the policy.", .example = "\"0600\""},
	{.key = "socket_group", .type = SW_FIELD_STRING, AT(sw_spec_control, socket_group), .max = 31,
		.default_text = "\"\"",
		.help = "Group that owns the Unix socket. Empty: the group of the process.", .example = "\"noc\""},
	NUMBER("sample_interval_ms", sw_spec_control, sample_interval_ms, "milliseconds", 100, 60000, 1000,
		.help = "How often counters are read for rates and for the live stream."),
	NUMBER("history_s", sw_spec_control, history_s, "seconds", 10, 86400, 300,
		.help = "How far back samples are kept."),
};
OBJECT(control, "Control daemon", sw_spec_control);

/* ---- global ----------------------------------------------------------------------------------------------------- */

static const struct sw_field_name fragment_names[] = {
	{"pass", SW_FRAGMENTS_PASS, "they cross; they carry no TCP header"},
	{"drop", SW_FRAGMENTS_DROP, "they are dropped and counted"},
	{0},
};

static const struct sw_field level_fields[] = {
	NUMBER("ipv4", sw_spec_level, ipv4_length, "bits", 0, 32, 24, .help = "Prefix length for IPv4.",
		.flags = SW_FIELD_REQUIRED),
	NUMBER("ipv6", sw_spec_level, ipv6_length, "bits", 0, 128, 64, .help = "Prefix length for IPv6.",
		.flags = SW_FIELD_REQUIRED),
};
OBJECT(level, "Prefix level", sw_spec_level);

static const struct sw_field global_fields[] = {
	LIST("prefix_levels", sw_spec_global, prefix_levels, SW_FIELD_OBJECT, 0, SW_PREFIX_LEVELS - 1,
		.object = &level_object,
		.default_text = "[{\"ipv4\": 24, \"ipv6\": 64}, {\"ipv4\": 16, \"ipv6\": 48}]",
		.help = "The prefixes of a source that have budgets of their own, beyond the source itself (/32 and /128). "
				"Each level is shorter than the one before; `limits.prefixes` of a service follow the same order."),
	CHOICE("fragments", sw_spec_global, fragments, fragment_names, SW_FRAGMENTS_PASS,
		.help = "What happens to later fragments towards a protected address."),
	NUMBER("answers_per_source_per_s", sw_spec_global, answers_per_source_per_s, "answers per second", 0, 10000000, 200,
		.help = "Reflection cap: SYN-ACKs and RSTs that one claimed source address can be sent, whatever the "
				"limits say. 0: no cap, and the box can be made to flood a third party."),
	NUMBER("answers_per_source_burst", sw_spec_global, answers_per_source_burst, "answers", 0, 10000000, 0,
		.default_text = "twice `answers_per_source_per_s`, at least 10", .help = "Depth of that bucket."),
	NUMBER("answers_per_prefix_per_s", sw_spec_global, answers_per_prefix_per_s, "answers per second", 0, 10000000,
		5000,
		.help = "The same for a claimed prefix of level 1. 0: no cap."),
	NUMBER("answers_per_prefix_burst", sw_spec_global, answers_per_prefix_burst, "answers", 0, 10000000, 0,
		.default_text = "twice `answers_per_prefix_per_s`, at least 10", .help = "Depth of that bucket."),
	NUMBER("rst_per_s", sw_spec_global, rst_per_s, "RSTs per second", 0, 10000000, 1000,
		.help = "RSTs of the box's own accord, per worker. 0: none are sent, and a refused client gets silence."),
	NUMBER("adopt_s", sw_spec_global, adopt_s, "seconds", 0, 86400, 30,
		.help = "For this long after its start the dataplane lets ACKs of unknown connections pass, so that those "
				"which are older than the box survive. 0: never."),
	NUMBER("adopt_per_s", sw_spec_global, adopt_per_s, "packets per second", 0, 100000000, 10000,
		.help = "At most so many of them, per worker."),
	NUMBER("held_packets_per_flow", sw_spec_global, held_pkts_per_flow, "packets", 0, 64, 4,
		.help = "Packets of early client data held for one connection while its server answers. 0: none; clients "
				"send again."),
	NUMBER("held_bytes_per_flow", sw_spec_global, held_bytes_per_flow, "bytes", 0, 65535, 8192,
		.help = "Bytes of the same."),
	NUMBER("server_syn_retries", sw_spec_global, server_syn_retries, NULL, 0, 7, 3,
		.help = "SYNs sent to a server after the first. The wait is one second and doubles with each."),
	NUMBER("idle_established_s", sw_spec_global, idle_established_s, "seconds", 10, 2592000, 7440,
		.help = "An established connection that has been silent for this long is forgotten. The default is more "
				"than the two hours after which Linux sends its first keep-alive (RFC 5382, REQ-5)."),
	NUMBER("idle_embryonic_s", sw_spec_global, idle_embryonic_s, "seconds", 1, 3600, 30,
		.help = "Likewise for one whose handshake is not complete."),
	NUMBER("idle_closing_s", sw_spec_global, idle_closing_s, "seconds", 1, 3600, 60,
		.help = "Likewise for one that is closing."),
	NUMBER("evidence_after_syns", sw_spec_global, evidence_after_syns, "SYNs", 1, 1000000, 16,
		.help = "A source that has proved nothing gets a record with its Nth SYN."),
};
OBJECT(global, "Box-wide policy", sw_spec_global);

/* ---- limits ----------------------------------------------------------------------------------------------------- */

#define LIMIT_FIELDS(syn_, conn_, concurrent_) \
	NUMBER("syn_per_s", sw_spec_limits, syn_per_s, "SYNs per second", 0, 100000000, syn_, \
		.help = "SYNs answered with a cookie. 0: no limit."), \
	NUMBER("syn_burst", sw_spec_limits, syn_burst, "SYNs", 0, 100000000, 0, \
		.default_text = "twice `syn_per_s`, at least 10", \
		.help = "How many at once after a pause."), \
	NUMBER("conn_per_s", sw_spec_limits, conn_per_s, "connections per second", 0, 100000000, conn_, \
		.help = "New connections that proved themselves. 0: no limit."), \
	NUMBER("conn_burst", sw_spec_limits, conn_burst, "connections", 0, 100000000, 0, \
		.default_text = "twice `conn_per_s`, at least 10", .help = "How many at once after a pause."), \
	NUMBER("concurrent", sw_spec_limits, concurrent, "connections", 0, 268435456, concurrent_, \
		.help = "Connections established at one time. 0: no limit.")

static const struct sw_field source_limit_fields[] = {LIMIT_FIELDS(
	SW_SOURCE_SYN_PER_S, SW_SOURCE_CONN_PER_S, SW_SOURCE_CONCURRENT)};
static const struct sw_field limit_fields[] = {LIMIT_FIELDS(0, 0, 0)};
OBJECT(source_limit, "Limits of one source", sw_spec_limits);
OBJECT(limit, "Limits", sw_spec_limits);

static const struct sw_field service_limit_fields[] = {
	SECTION("source", sw_spec_service, limits.source, source_limit_object, .help = "For each source address."),
	LIST("prefixes", sw_spec_service, limits.prefixes, SW_FIELD_OBJECT, 0, SW_PREFIX_LEVELS - 1,
		.object = &limit_object,
		.default_text = SW_PREFIX_LIMITS_TEXT,
		.help = "For each prefix of a level, in the order of `global.prefix_levels`: the first is for level 1.",
		.example = "[{\"syn_per_s\": 500, \"conn_per_s\": 200}]"),
	SECTION("total", sw_spec_service, limits.total, limit_object, .help = "For the service as a whole."),
};
/* Lies over the service itself: offsets of its fields count from there. */
static const struct sw_object service_limit_object = {
	FIELDS(service_limit, "Limits of a service"), .bytes = sizeof(struct sw_spec_service)};

/* ---- services --------------------------------------------------------------------------------------------------- */

static const struct sw_field_name mode_names[] = {
	{"off", SW_MODE_OFF, "traffic passes and is counted"},
	{"monitor", SW_MODE_MONITOR, "traffic passes; what would have been dropped is counted"},
	{"auto", SW_MODE_AUTO, "protection arms at `start_syn_per_s` and disarms below `stop_syn_per_s`"},
	{"always", SW_MODE_ALWAYS, "always armed"},
	{0},
};
static const struct sw_field_name refuse_names[] = {
	{"drop", SW_REFUSE_DROP, "silence: the client tries again"},
	{"rst", SW_REFUSE_RST, "a RST, within the RST budget: the client learns at once"},
	{0},
};
static const struct sw_field_name tcp_auth_names[] = {
	{"refuse", SW_TCP_AUTH_REFUSE, "dropped and counted"},
	{"pass", SW_TCP_AUTH_PASS, "passes natively"},
	{0},
};
static const struct sw_field_name learn_names[] = {
	{"learn", SW_BACKEND_LEARN, "from the server's own SYN-ACKs"},
	{0},
};
static const struct sw_field_name window_scale_names[] = {
	{"learn", SW_BACKEND_LEARN, "from the server's own SYN-ACKs"},
	{"none", SW_BACKEND_OFF, "the server does not scale its window"},
	{0},
};
static const struct sw_field_name ability_names[] = {
	{"learn", SW_BACKEND_LEARN, "from the server's own SYN-ACKs"},
	{"yes", 1, "the server does it"},
	{"no", 0, "the server does not"},
	{0},
};

static const struct sw_field backend_fields[] = {
	NUMBER("mss_ipv4", sw_spec_backend, mss_ipv4, "bytes", 64, 65495, SW_BACKEND_LEARN, .names = learn_names,
		.help = "Maximum segment size promised to IPv4 clients.", .example = "1460"),
	NUMBER("mss_ipv6", sw_spec_backend, mss_ipv6, "bytes", 64, 65475, SW_BACKEND_LEARN, .names = learn_names,
		.help = "Maximum segment size promised to IPv6 clients.", .example = "1440"),
	NUMBER("window_scale", sw_spec_backend, window_scale, NULL, 0, 14, SW_BACKEND_LEARN, .names = window_scale_names,
		.help = "Window scale (RFC 7323) promised.", .example = "7"),
	CHOICE("sack", sw_spec_backend, sack, ability_names, SW_BACKEND_LEARN, .help = "Whether SACK is promised."),
	CHOICE("timestamps", sw_spec_backend, timestamps, ability_names, SW_BACKEND_LEARN,
		.help = "Whether timestamps are promised."),
	CHOICE("ecn", sw_spec_backend, ecn, ability_names, SW_BACKEND_LEARN, 
		.help = "Whether ECN is promised. It is learned only while the service is quiet: an armed box offers a server "
				"no more than it promised the client."),
};
OBJECT(backend, "Backend", sw_spec_backend);

static const struct sw_field block_fields[] = {
	NUMBER("after", sw_spec_service, block.after, "refusals", 0, 1000000, 0,
		.help = "A proven source that was refused so many connections within a minute is blocked. 0: never."),
	NUMBER("seconds", sw_spec_service, block.seconds, "seconds", 1, 31622400, 600, .help = "For how long."),
};
static const struct sw_object block_object = {FIELDS(block, "Blocks"), .bytes = sizeof(struct sw_spec_service)};

#define SERVICE_FIELDS \
	CHOICE("mode", sw_spec_service, mode, mode_names, SW_MODE_AUTO, .help = "When protection is in force."), \
	NUMBER("start_syn_per_s", sw_spec_service, start_syn_per_s, "SYNs per second", 1, 100000000, 200, \
		.help = "Mode `auto`: the service arms when it receives at least so many."), \
	NUMBER("stop_syn_per_s", sw_spec_service, stop_syn_per_s, "SYNs per second", 0, 100000000, 0, \
		.default_text = "half of `start_syn_per_s`", \
		.help = "Mode `auto`: it disarms when it has received fewer for `hold_s`. Less than `start_syn_per_s`, so " \
				"that it does not flap."), \
	NUMBER("hold_s", sw_spec_service, hold_s, "seconds", 1, 86400, 30, .help = "See `stop_syn_per_s`."), \
	CHOICE("refuse", sw_spec_service, refuse, refuse_names, SW_REFUSE_DROP, \
		.help = "What a client over a limit gets. Denied and blocked sources get silence."), \
	CHOICE("tcp_auth", sw_spec_service, tcp_auth, tcp_auth_names, SW_TCP_AUTH_REFUSE, \
		.help = "SYNs with TCP-MD5 (RFC 2385) or TCP-AO (RFC 5925) while armed: these connections cannot be " \
				"proxied."), \
	SECTION("backend", sw_spec_service, backend, backend_object, \
		.help = "What the box promises in the server's name. What is learned fits; set only what you know better."), \
	{.key = "limits", .type = SW_FIELD_OBJECT, .offset = 0, .object = &service_limit_object, \
		.help = "Budgets, in force while the service is armed. A packet must fit all that apply to it."}, \
	{.key = "block", .type = SW_FIELD_OBJECT, .offset = 0, .object = &block_object, \
		.help = "Blocks that the dataplane sets by itself, on proven sources alone. On AF_XDP links such a source is " \
				"dropped towards every protected service, not only the one that set the block."}

static const struct sw_field service_fields[] = {
	{.key = "name", .type = SW_FIELD_STRING, AT(sw_spec_service, name), .min = 1, .max = SW_NAME_BYTES - 1,
		.flags = SW_FIELD_REQUIRED,
		.help = "Unique. Counters follow the name over reloads. Letters, digits, `-`, `_` and `.`; begins with a "
				"letter or digit.",
		.example = "\"tracker\""},
	LIST("targets", sw_spec_service, targets, SW_FIELD_TARGET, 1, SW_TARGETS_MAX, .flags = SW_FIELD_REQUIRED,
		.help = "What it consists of: servers (addresses or prefixes) with a TCP port or a range of ports. Where "
				"targets of several services hold a packet, the longest prefix wins, then the narrowest range.",
		.example = "[\"10.20.0.10:20000\", \"[fd00:20::10]:20000\", \"10.20.0.0/24:6881-6889\"]"),
	SERVICE_FIELDS,
};
static const struct sw_object service_object = {
	FIELDS(service, "Service"), .bytes = sizeof(struct sw_spec_service), .is_service = true};

static const struct sw_field service_default_fields[] = {SERVICE_FIELDS};
OBJECT(service_default, "Service defaults", sw_spec_service);

/* ---- groups and lists ------------------------------------------------------------------------------------------- */

static const struct sw_field group_fields[] = {
	{.key = "name", .type = SW_FIELD_STRING, AT(sw_spec_group, name), .min = 1, .max = SW_NAME_BYTES - 1,
		.flags = SW_FIELD_REQUIRED,
		.help = "Unique; written like the name of a service.", .example = "\"hosting-company\""},
	LIST("prefixes", sw_spec_group, prefixes, SW_FIELD_PREFIX, 1, SW_PREFIXES_MAX, .flags = SW_FIELD_REQUIRED,
		.help = "Its members. Where prefixes of several groups hold a source, the longest one decides.",
		.example = "[\"192.0.2.0/24\", \"2001:db8::/32\", {\"file\": \"hosting.txt\"}]"),
	SECTION("limits", sw_spec_group, limits, limit_object,
		.help = "The budget that its members share, towards all services together."),
};
OBJECT(group, "Group", sw_spec_group);

static const struct sw_field root_fields[] = {
	SECTION("boot", sw_spec, boot, boot_object, .flags = SW_FIELD_REQUIRED,
		.help = "Devices, workers and table sizes. A change here needs a restart of the dataplane; the rest of the "
				"file is put in force at once, and the daemon says so."),
	SECTION("control", sw_spec, control, control_object, .help = "The control daemon itself."),
	SECTION("global", sw_spec, global, global_object, .help = "What holds for all services."),
	SECTION("service_defaults", sw_spec, service_defaults, service_default_object,
		.help = "What a service has that does not say otherwise. Takes the keys of a service except `name` and "
				"`targets`."),
	LIST("services", sw_spec, services, SW_FIELD_OBJECT, 0, SW_SERVICES_MAX, .object = &service_object,
		.default_text = "[]",
		.help = "The protected services. Everything else is forwarded untouched."),
	LIST("groups", sw_spec, groups, SW_FIELD_OBJECT, 0, SW_GROUPS_MAX, .object = &group_object, .default_text = "[]",
		.help = "Prefixes that share a budget: one company, one country, one reseller."),
	LIST("allow", sw_spec, allow, SW_FIELD_PREFIX, 0, SW_PREFIXES_MAX, .default_text = "[]",
		.help = "Sources that pass as if unprotected. The longest prefix that holds a source decides between "
				"`allow`, `deny` and blocks; at equal length a block wins, then `deny`.",
		.example = "[\"192.0.2.7\", {\"file\": \"allow.txt\"}]"),
	LIST("deny", sw_spec, deny, SW_FIELD_PREFIX, 0, SW_PREFIXES_MAX, .default_text = "[]",
		.help = "Sources that are dropped, in XDP where there is XDP.", .example = "[{\"file\": \"deny.txt\"}]"),
};
const struct sw_object sw_schema_root = {FIELDS(root, "Seawall configuration"), .bytes = sizeof(struct sw_spec)};

uint32_t sw_field_bytes(const struct sw_field *list)
{
	switch (list->element) {
	case SW_FIELD_OBJECT:
		return list->object->bytes;
	case SW_FIELD_TARGET:
		return sizeof(struct sw_spec_target);
	case SW_FIELD_LISTEN:
		return sizeof(struct sw_spec_listen);
	case SW_FIELD_PREFIX:
		return sizeof(struct sw_spec_prefix);
	default:
		return sizeof(uint32_t);
	}
}

const char *sw_field_value_name(const struct sw_field *field, int64_t value)
{
	for (const struct sw_field_name *n = field->names; n && n->name; n++)
		if ((uint32_t)n->value == (uint32_t)value) /* four bytes are stored, signed or not */
			return n->name;
	return NULL;
}
