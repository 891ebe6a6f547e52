/* SPDX-License-Identifier: BSD-3-Clause */
/* The rules between fields: each as a configuration that breaks it, alone. */
#include "policy_test.h"

#include <errno.h>

#define BOOT(more)      "\"boot\": {\"links\": [{\"outside\": \"out0\", \"inside\": \"in0\"}]" more "}"
#define WITH_BOOT(more) "{\n" BOOT(",\n" more) ",\n\"services\": [" SERVICE("") "]}"
#define SECOND(targets, more)                                                                                          \
	",\n\"services\": [" SERVICE("") ",\n{\"name\": \"second\", \"targets\": [" targets "]" more "}]}"
#define GROUP(name, prefixes) "{\"name\": \"" name "\", \"prefixes\": [" prefixes "], \"limits\": {\"syn_per_s\": 9}}"

static const struct rule {
	const char *text;
	enum sw_severity severity;
	uint32_t line;
	const char *path, *says;
} rules[] = {
    /* boot */
    {WITH_BOOT("\"workers\": 2, \"cores\": [0]"), SW_ERROR, 3, "boot.cores", "1 cores for 2 workers"},
    {WITH_BOOT("\"workers\": 2, \"cores\": [0, 0]"), SW_ERROR, 3, "boot.cores[1]", "CPU 0 is named twice"},
    {WITH_BOOT("\"cores\": [0], \"housekeeping_core\": 0"), SW_WARNING, 3, "boot.housekeeping_core",
        "worker's as well"},
    {WITH_BOOT("\"cores\": [1023]"), SW_WARNING, 3, "boot.cores[0]", "CPU 1023"},
    {WITH_BOOT("\"mbufs\": 2000"), SW_ERROR, 3, "boot.mbufs", "2000 packets per worker"},
    {WITH_BOOT("\"idle_sleep_us\": 50000,\n\"heartbeat_timeout_ms\": 100"), SW_ERROR, 3, "boot.idle_sleep_us",
        "count as hung after 100 ms"},
    {WITH_BOOT("\"source_records\": 2097153"), SW_ERROR, 3, "boot.source_records", "1 workers have room for 2097152"},
    {WITH_BOOT("\"workers\": 2,\n\"source_records\": 4194304"), SW_SEVERITIES, 0, "", ""},
    {WITH_BOOT("\"services\": 1,\n\"groups\": 1,\n\"entries\": 16"), SW_SEVERITIES, 0, "", ""},
    {"{\n\"boot\": {\"links\": [{\"outside\": \"a\", \"inside\": \"b\"},\n{\"outside\": \"c\", \"inside\": "
     "\"a\"}]},\n\"services\": [" SERVICE("") "]}",
        SW_ERROR, 3, "boot.links[1].inside", "\"a\" is named twice"},
    {"{\n\"boot\": {\"links\": [{\"outside\": {\"vdev\": \"net_null0\"},\n\"inside\": {\"vdev\": "
     "\"net_null0,size=60\"}}]},\n\"services\": [" SERVICE("") "]}",
        SW_ERROR, 3, "boot.links[0].inside", "named twice"},
    /* control */
    {CONFIG("", ",\n\"control\": {\"listen\": [\"127.0.0.1:1\", \"127.0.0.1:1\"]}"), SW_ERROR, 4, "control.listen[1]",
        "same address and port"},
    {CONFIG("", ",\n\"control\": {\"sample_interval_ms\": 100, \"history_s\": 86400}"), SW_ERROR, 4,
        "control.history_s", "samples"},
    {CONFIG("", ",\n\"control\": {\"sample_interval_ms\": 60000, \"history_s\": 10}"), SW_ERROR, 4, "control.history_s",
        "shorter"},
    {CONFIG("", ",\n\"control\": {\"socket_mode\": \"0666\"}"), SW_WARNING, 4, "control.socket_mode", "everybody"},
    /* global */
    {CONFIG("", ",\n\"global\": {\"prefix_levels\": [{\"ipv4\": 24, \"ipv6\": 64},\n{\"ipv4\": 24, \"ipv6\": 48}]}"),
        SW_ERROR, 5, "global.prefix_levels[1]", "not both shorter"},
    {CONFIG("", ",\n\"global\": {\"prefix_levels\": [{\"ipv4\": 24, \"ipv6\": 128}]}"), SW_ERROR, 4,
        "global.prefix_levels[0]", "not both shorter"},
    {CONFIG("", ",\n\"global\": {\"answers_per_source_per_s\": 0}"), SW_WARNING, 4, "global.answers_per_source_per_s",
        "third party"},
    {CONFIG("", ",\n\"global\": {\"answers_per_prefix_per_s\": 150}"), SW_WARNING, 4, "global.answers_per_source_per_s",
        "never fires"},
    {CONFIG("", ",\n\"global\": {\"held_packets_per_flow\": 0}"), SW_ERROR, 4, "global.held_packets_per_flow",
        "contradict"},
    {CONFIG("", ",\n\"global\": {\"server_syn_retries\": 6}"), SW_WARNING, 4, "global.server_syn_retries",
        "never sent"},
    {CONFIG("", ",\n\"global\": {\"adopt_s\": 0}"), SW_WARNING, 4, "global.adopt_s", "nothing is adopted"},
    {CONFIG(",\"refuse\": \"rst\"", ",\n\"global\": {\"rst_per_s\": 0}"), SW_WARNING, 4, "global.rst_per_s",
        "none may be sent"},
    /* services */
    {"{\n" LINKS "}", SW_WARNING, 1, "services", "nothing is protected"},
    {CONFIG(",\n\"start_syn_per_s\": 100, \"stop_syn_per_s\": 100", ""), SW_ERROR, 4, "services[0].stop_syn_per_s",
        "flap"},
    {CONFIG(",\n\"start_syn_per_s\": 100, \"stop_syn_per_s\": 99", ""), SW_SEVERITIES, 0, "", ""},
    {CONFIG(",\n\"limits\": {\"source\": {\"syn_per_s\": 0, \"syn_burst\": 5}}", ""), SW_ERROR, 4,
        "services[0].limits.source.syn_burst", "burst without"},
    {CONFIG(",\n\"limits\": {\"total\": {\"conn_burst\": 5}}", ""), SW_ERROR, 4, "services[0].limits.total.conn_burst",
        "burst without"},
    {CONFIG(",\n\"limits\": {\"source\": {\"syn_per_s\": 40},\n\"prefixes\": [{\"syn_per_s\": 30}]}", ""), SW_WARNING,
        4, "services[0].limits.source.syn_per_s", "40 never fires"},
    {CONFIG(",\n\"limits\": {\"prefixes\": [{\"concurrent\": 8},\n{\"concurrent\": 7}]}", ""), SW_WARNING, 4,
        "services[0].limits.prefixes[0].concurrent", "8 never fires"},
    {CONFIG(",\n\"limits\": {\"prefixes\": [{\"conn_per_s\": 8}],\n\"total\": {\"conn_per_s\": 7}}", ""), SW_WARNING, 4,
        "services[0].limits.prefixes[0].conn_per_s", "8 never fires"},
    {CONFIG(",\n\"limits\": {\"source\": {\"syn_per_s\": 5, \"conn_per_s\": 6}}", ""), SW_WARNING, 4,
        "services[0].limits.source.conn_per_s", "never fires"},
    {CONFIG(",\n\"limits\": {\"source\": {\"syn_per_s\": 201}}", ""), SW_WARNING, 4,
        "services[0].limits.source.syn_per_s", "reflection cap"},
    {CONFIG(",\n\"limits\": {\"total\": {\"concurrent\": 262145}}", ""), SW_WARNING, 4,
        "services[0].limits.total.concurrent", "flow table"},
    {CONFIG(",\n\"limits\": {\"total\": {\"syn_per_s\": 150}}", ""), SW_WARNING, 4,
        "services[0].limits.total.syn_per_s", "until the service arms"},
    {CONFIG(",\n\"limits\": {\"prefixes\": [{}, {}, {}]}", ""), SW_ERROR, 4, "services[0].limits.prefixes",
        "3 levels of limits"},
    {CONFIG(",\n\"limits\": {\"source\": {\"conn_per_s\": 0, \"concurrent\": 0}, \"prefixes\": []},\n\"block\": "
            "{\"after\": 5}",
         ""),
        SW_WARNING, 5, "services[0].block.after", "never blocks"},
    {CONFIG("", ",\n\"global\": {\"prefix_levels\": []}"), SW_SEVERITIES, 0, "", ""},
    {"{\n" LINKS ",\n\"services\": [" SERVICE("") ",\n{\"name\": \"tracker\", \"targets\": [\"10.1.1.1:1\"]}]}",
        SW_ERROR, 4, "services[1].name", "services[0]"},
    /* targets: the same place twice, in both families; what a longer prefix or a narrower range tells apart is fine */
    {"{\n" LINKS SECOND("\"10.20.0.10:20000\"", ""), SW_ERROR, 4, "services[1].targets[0]",
        "overlaps services[0].targets[0]"},
    {"{\n" LINKS SECOND("\"1.1.1.1:1\", \"[fd00:20::10]:20000\"", ""), SW_ERROR, 4, "services[1].targets[1]",
        "overlaps services[0].targets[1]"},
    {"{\n" LINKS SECOND("\"10.1.0.0/16:80-90\", \"10.1.0.0/16:90-100\"", ""), SW_ERROR, 4, "services[1].targets[1]",
        "overlaps"},
    {"{\n" LINKS SECOND("\"10.20.0.10:20000-20001\", \"10.20.0.0/24:20000\", \"[fd00:20::/64]:20000\"", ""),
        SW_SEVERITIES, 0, "", ""},
    {"{\n" BOOT(", \"services\": 1") SECOND("\"1.1.1.1:1\"", ""), SW_ERROR, 3, "services", "boot.services is 1"},
    /* groups and lists */
    {CONFIG("", ",\n\"groups\": [{\"name\": \"a\", \"prefixes\": [\"10.0.0.0/8\"]}]"), SW_WARNING, 4, "groups[0]",
        "limits nothing"},
    {CONFIG("", ",\n\"groups\": [" GROUP("a", "\"10.0.0.0/8\"") ",\n" GROUP("a", "\"11.0.0.0/8\"") "]"), SW_ERROR, 5,
        "groups[1].name", "groups[0]"},
    {CONFIG("", ",\n\"groups\": [" GROUP("a", "\"10.0.0.0/8\", \"fd00::/8\"") ",\n" GROUP("b", "\"fd00::/8\"") "]"),
        SW_ERROR, 5, "groups[1].prefixes[0]", "fd00::/8 belongs to groups[0].prefixes[1] too"},
    {CONFIG("", ",\n\"groups\": [" GROUP("a", "\"10.0.0.0/8\",\n\"10.0.0.0/8\"") "]"), SW_WARNING, 5,
        "groups[0].prefixes[1]", "same list before"},
    {CONFIG("", ",\n\"groups\": [" GROUP("a", "\"10.0.0.0/8\"") ",\n" GROUP("b", "\"10.0.0.0/9\"") "]"), SW_SEVERITIES,
        0, "", ""},
    {CONFIG("", ",\n\"allow\": [\"10.0.0.0/8\"],\n\"deny\": [\"10.0.0.0/8\"]"), SW_WARNING, 5, "deny[0]", "deny wins"},
    {CONFIG("", ",\n\"allow\": [\"10.0.0.0/8\"],\n\"deny\": [\"10.0.0.0/9\"]"), SW_SEVERITIES, 0, "", ""},
    {CONFIG("", ",\n\"deny\": [\"10.0.0.1\",\n\"10.0.0.1/32\"]"), SW_WARNING, 5, "deny[1]",
        "same list before (deny[0])"},
    {"{\n" BOOT(",\n\"entries\": 16") ",\n\"services\": [" SERVICE(
         "") "],\n\"allow\": [\"1.0.0.0/8\", \"2.0.0.0/8\", \"3.0.0.0/8\", \"4.0.0.0/8\", "
             "\"5.0.0.0/8\", \"6.0.0.0/8\", \"7.0.0.0/8\", \"8.0.0.0/8\", \"9.0.0.0/8\"], \"deny\": [\"2001:db8::\", "
             "\"2001:db8::1\", "
             "\"2001:db8::2\", \"2001:db8::3\", \"2001:db8::4\", \"2001:db8::5\", \"2001:db8::6\", \"2001:db8::7\"]}",
        SW_ERROR, 3, "boot.entries", "17 entries"},
    {CONFIG("", ",\n\"deny\": [\"0.0.0.0/0\"]"), SW_WARNING, 4, "deny[0]", "all clients are dropped"},
    {CONFIG("", ",\n\"allow\": [\"::/0\"]"), SW_WARNING, 4, "allow[0]", "nothing is protected"},
};

static void rules_fire_alone(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		const struct rule *rule = &rules[i];
		struct sw_spec *spec = NULL;
		const int result = load(rule->text, &spec);
		const uint32_t errors = report.counts[SW_ERROR], warnings = report.counts[SW_WARNING];
		const struct sw_finding *f = &report.findings[rule->severity == SW_SEVERITIES ? SW_ERROR : rule->severity][0];
		bool right = errors + warnings == 1 && report.counts[rule->severity % SW_SEVERITIES] == 1;
		if (rule->severity == SW_SEVERITIES)
			right = result == 0 && errors + warnings == 0;
		else if (right)
			right = result == (rule->severity == SW_ERROR ? -EINVAL : 0) && f->line == rule->line &&
			        strcmp(f->path, rule->path) == 0 && strstr(f->message, rule->says) && f->hint[0];
		if (!right) {
			char text[1200];
			print_error("rule %zu: %s\nwanted line %u, %s, \"%s\"; got %d, %u errors, %u warnings\n", i, rule->text,
			    rule->line, rule->path, rule->says, result, errors, warnings);
			for (int s = 0; s < SW_SEVERITIES; s++)
				for (uint32_t n = 0; n < report.counts[s] && n < SW_FINDINGS_MAX; n++)
					print_error(
					    "  %s\n", sw_finding_text(&report.findings[s][n], (enum sw_severity)s, text, sizeof(text)));
		}
		assert_true(right);
		sw_spec_free(spec);
	}
}

static void memory_is_summed(void **state)
{
	struct sw_spec *spec = load_good(CONFIG("", ""));
	struct sw_memory_sum sum;
	(void)state;
	sw_memory_sum(&spec->boot, &sum);
	assert_true(sum.total == sum.packets + sum.flows + sum.source_records + sum.limiter + sum.counters);
	assert_true(sum.packets > 0 && sum.flows > 0 && sum.source_records > 0 && sum.limiter > 0 && sum.counters > 0);
	memset(&report, 0, sizeof(report));
	sw_check_with_memory(spec, &report, sum.total);
	assert_int_equal(report.counts[SW_ERROR], 0);
	sw_check_with_memory(spec, &report, sum.total - 1);
	assert_int_equal(report.counts[SW_ERROR], 1);
	assert_string_equal(report.findings[SW_ERROR][0].path, "boot");
	assert_non_null(strstr(report.findings[SW_ERROR][0].hint, "flows"));
	sw_spec_free(spec);
	assert_true(sum.total < 1ull << 30); /* the defaults suit a small machine */
}

static void automatic_mbufs_are_enough(void **state)
{
	struct sw_spec *spec = load_good(
	    "{\"boot\": {\"links\": [{\"outside\": \"a\", \"inside\": \"b\"}, {\"outside\": \"c\", \"inside\": \"d\"}], "
	    "\"held_packets\": 100000}}");
	(void)state;
	assert_true(spec->boot.mbufs >= 2 * 2 * (2048 + 2048) + 100000);
	sw_spec_free(spec);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rules_fire_alone),
	    cmocka_unit_test(memory_is_summed),
	    cmocka_unit_test(automatic_mbufs_are_enough),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
