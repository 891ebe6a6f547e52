/* SPDX-License-Identifier: BSD-3-Clause */
/* seawallctl as a whole against a real server with a made-up dataplane: what it prints and what it ends with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../fake_region.h"
#include "commands.h"
#include "fake_control.h"
#include "server_fixture.h"

/* Runs a command line; %s in it stands for the runtime directory. Returns what it printed; *code is how it ended. */
static char *run(struct server_fixture *x, int *code, const char *line)
{
	char *argv[32] = {"seawallctl"}, *text = NULL, *save, copy[1024];
	size_t bytes = 0;
	int argc = 1;
	snprintf(copy, sizeof(copy), line, x->fake.directory);
	for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	FILE *out = open_memstream(&text, &bytes);
	fake_region_beat(&x->fake);
	*code = sw_cli_run(argc, argv, out);
	fclose(out);
	return text;
}

static void expect(struct server_fixture *x, const char *line, int code, const char *says)
{
	int got;
	char *text = run(x, &got, line);
	if (got != code || (says && !strstr(text, says)))
		fail_msg("%s: ended with %d, printed:\n%s", line, got, text);
	free(text);
}

static void fill(struct server_fixture *x)
{
	struct sw_service_state *s = fake_service(&x->fake, 0, "tracker");
	s->mode = SW_MODE_AUTO;
	atomic_store(&s->armed, 1);
	s->times_armed = 1;
	s->profile_known = 0x11;
	s->profile[0].mss = 1460;
	struct sw_counters *c = &fake_worker(&x->fake, 0)->total;
	c->count[SW_COUNT_RX] = 1234567;
	c->count[SW_COUNT_FORWARDED] = 1000000;
	c->dropped[SW_DROP_ANSWER_CAP] = 234567;
	c->refused[SW_DROP_LIMIT_SYN_PREFIX] = 4321;
	struct sw_source_record *r = fake_source(&x->fake, 0, 0);
	r->address = sw_address_from_ipv4((const uint8_t[4]){192, 0, 2, 7});
	r->proof = SW_PROOF_ECHOED;
	r->syns = 4000;
	r->refused = 12;
	r->first_seen_tsc = fake_tsc_ago(&x->fake, 100);
	r->last_seen_tsc = fake_tsc_ago(&x->fake, 5);
	atomic_store(&r->id, 1);
}

static void test_readers(void **state)
{
	struct server_fixture *x = *state;
	fill(x);
	fake_control.explain = (struct sw_explain){.rule = SW_RULE_KINDS, .entry = SW_NONE, .group = SW_NONE, .armed = 1};
	fake_control.explain.levels[0].conn = (struct sw_bucket_fill){.per_s = 5, .burst = 10, .available = 3};
	expect(x, "-r %s status", 0, "all is well");
	expect(x, "-r %s status", 0, "tracker  auto  ARMED");
	expect(x, "status --runtime-dir %s", 0, "avx2, ordinary pages");
	expect(x, "--socket %s/seawalld.sock stats", 0, "received");
	expect(x, "-r %s stats", 0, "1,234,567");
	expect(x, "-r %s stats", 0, "  answer_cap          234,567  ");
	expect(x, "-r %s stats", 0, "refused with a RST      4,321  ");
	expect(x, "-r %s stats", 0, "  limit_syn_prefix      4,321  ");
	expect(x, "-r %s stats --all", 0, "cookie_expired");
	expect(x, "-r %s services", 0, "SERVICE");
	expect(x, "-r %s services tracker", 0, "IPv4: MSS 1460");
	expect(x, "-r %s services nobody", 1, NULL);
	expect(x, "-r %s top", 0, "192.0.2.7  tracker  owns it");
	expect(x, "-r %s top --proof sent_data", 0, "No sources are known.");
	expect(x, "-r %s top --by nonsense", 1, NULL);
	expect(x, "-r %s top --prefixes --limit 3", 0, "192.0.2.0/24");
	expect(x, "-r %s why 192.0.2.7", 0, "3 of 10");
	expect(x, "-r %s why 2001:db8::1", 0, "No evidence");
	expect(x, "-r %s why nonsense", 1, NULL);
	expect(x, "-r %s incidents", 0, NULL);
	expect(x, "-r %s metrics", 0, "seawall_up 1");
	expect(x, "-r %s stats --json", 0, "\"unaccounted\": 0");
	expect(x, "-r %s watch --limit 1", 0, "dataplane running, health ok");
	expect(x, "-r %s watch --limit 1 --json", 0, "\"dataplane\":\"running\"");
	atomic_store(&x->fake.region->ended, 1);
	expect(x, "-r %s status", 1, "NOT HEALTHY");
	expect(x, "-r %s status --json", 0, "\"critical\"");
}

static void test_changes(void **state)
{
	struct server_fixture *x = *state;
	expect(x, "-r %s blocks", 0, "No blocks.");
	expect(x, "-r %s block 192.0.2.7 --for 1h30m --reason ticket", 0, "192.0.2.7 is blocked for 1 h 30 min.");
	assert_int_equal(fake_control.last_seconds, 5400);
	assert_string_equal(fake_control.last_reason, "ticket");
	expect(x, "-r %s block 2001:db8::/32", 0, "until it is unblocked");
	expect(x, "-r %s blocks", 0, "ticket");
	expect(x, "-r %s block 192.0.2.1/24", 1, NULL);
	expect(x, "-r %s block 192.0.2.7 --for never", 2, NULL);
	expect(x, "-r %s unblock 2001:db8::/32", 0, "1 lifted");
	expect(x, "-r %s unblock 2001:db8::/32", 1, NULL);
	expect(x, "-r %s unblock ../reload", 2, NULL);
	expect(x, "-r %s reload", 0, "Policy 2 is in force.");
	fake_control.reload_result = -22;
	expect(x, "-r %s reload", 1, "Refused");
	fake_control.reload_result = -107; /* ENOTCONN */
	expect(x, "-r %s reload", 0, "when it is back");
	char path[128];
	snprintf(path, sizeof(path), "%s/config.json", x->fake.directory);
	FILE *file = fopen(path, "w");
	fputs("{}", file);
	fclose(file);
	expect(x, "-r %1$s check %1$s/config.json", 0, "is good");
	assert_string_equal(fake_control.checked, "{}");
	assert_int_equal(truncate(path, 1), 0);
	expect(x, "-r %1$s check %1$s/config.json", 1, "would be refused");
	expect(x, "-r %1$s check %1$s/nothing", 2, NULL);
}

static void test_usage(void **state)
{
	struct server_fixture *x = *state;
	static const char *const wrong[] = {"", "nonsense", "-r %s", "-r %s status extra", "-r %s why", "-r %s block",
	    "-r %s top --for 1h", "-r %s status --nonsense", "-r", "-r %s top --by",
	    "--url http://127.0.0.1:1 -r %s status", "-r %s watch --limit x", "-x"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		expect(x, wrong[i], SW_EXIT_USAGE, NULL);
	expect(x, "--help", 0, "Examples:");
	expect(x, "--version", 0, "seawallctl ");
	for (unsigned int i = 0; i < sw_command_count; i++) {
		char line[64];
		snprintf(line, sizeof(line), "%s --help", sw_commands[i].name);
		expect(x, line, 0, sw_commands[i].help);
	}
	expect(x, "-r %s/nothing status", SW_EXIT_UNREACHABLE, NULL);
	expect(x, "--url http://127.0.0.1:1 status", SW_EXIT_UNREACHABLE, NULL);
	expect(x, "--url gopher://127.0.0.1:1 status", SW_EXIT_UNREACHABLE, NULL);
}

static void test_loopback(void **state)
{
	struct server_fixture *x = *state;
	char line[128];
	snprintf(line, sizeof(line), "--url http://127.0.0.1:%u/ stats", sw_server_port(x->server, 0));
	expect(x, line, 0, "unaccounted");
	snprintf(line, sizeof(line), "--url http://127.0.0.1:%u reload", sw_server_port(x->server, 0));
	expect(x, line, 1, NULL);
	assert_int_equal(fake_control.reloads, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, server_fixture_open, server_fixture_close)

int main(void)
{
	unsetenv("SEAWALL_RUNTIME_DIR");
	const struct CMUnitTest tests[] = {TEST(test_readers), TEST(test_changes), TEST(test_usage), TEST(test_loopback)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
