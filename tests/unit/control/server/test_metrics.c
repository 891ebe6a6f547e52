/* SPDX-License-Identifier: BSD-3-Clause */
/* The Prometheus text, held against its grammar, with every counter of the lists in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../fake_region.h"
#include "http.h"
#include "server_fixture.h"
#include "views.h"

/* name{labels} value: the length of the name, or 0 when the line does not fit the grammar. */
static size_t sample_name(const char *line)
{
	size_t n = 0;
	while (isalnum((unsigned char)line[n]) || line[n] == '_')
		n++;
	const char *rest = line + n;
	if (*rest == '{') {
		for (rest++; *rest != '}';) {
			while (isalnum((unsigned char)*rest) || *rest == '_')
				rest++;
			if (strncmp(rest, "=\"", 2))
				return 0;
			for (rest += 2; *rest && *rest != '"'; rest++)
				if (*rest == '\\' && !*++rest)
					return 0;
			if (*rest++ != '"')
				return 0;
			if (*rest == ',')
				rest++;
		}
		rest++;
	}
	char *end;
	if (*rest != ' ')
		return 0;
	strtod(rest + 1, &end);
	return end != rest + 1 && !*end ? n : 0;
}

/* Every sample stands below the HELP and TYPE of its own name, and each name has them once. */
static void test_grammar(void **state)
{
	struct server_fixture *x = *state;
	struct http_answer r = http_ask(http_connect_tcp(sw_server_port(x->server, 0)), "GET", "/metrics", NULL);
	char family[128] = "", seen[200][128];
	int families = 0, samples = 0;
	assert_int_equal(r.status, 200);
	assert_non_null(strstr(r.text, "Content-Type: text/plain; version=0.0.4"));
	char *save, *text = strdup(r.body);
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char type[32];
		if (!strncmp(line, "# HELP ", 7)) {
			sscanf(line, "# HELP %127s", family);
			for (int i = 0; i < families; i++)
				if (!strcmp(seen[i], family))
					fail_msg("%s twice", family);
			assert_true(families < 200);
			strcpy(seen[families++], family);
			assert_true(strlen(line) > 8 + strlen(family));
		} else if (!strncmp(line, "# TYPE ", 7)) {
			char name[128];
			assert_int_equal(sscanf(line, "# TYPE %127s %31s", name, type), 2);
			assert_string_equal(name, family);
			const size_t n = strlen(name);
			assert_true(!strcmp(type, "gauge") || (!strcmp(type, "counter") && !strcmp(name + n - 6, "_total")));
		} else {
			const size_t n = sample_name(line);
			if (!n || n != strlen(family) || strncmp(line, family, n))
				fail_msg("line \"%s\" below %s", line, family);
			samples++;
		}
	}
	assert_true(samples > SW_DROP_REASON_COUNT + SW_COUNT_COUNT + 2 * SW_WIRE_COUNTER_COUNT);
	free(text);
	http_free(&r);
}

static void test_values(void **state)
{
	struct server_fixture *x = *state;
	char line[200];
	for (uint32_t i = 0; i < SW_DROP_REASON_COUNT; i++)
		fake_worker(&x->fake, i % 2)->total.dropped[i] = 100 + i;
	for (uint32_t i = 0; i < SW_DROP_REASON_COUNT; i++)
		fake_worker(&x->fake, i % 2)->total.refused[i] = 500 + i;
	for (uint32_t i = SW_DISPOSITION_COUNT; i < SW_COUNT_COUNT; i++)
		fake_worker(&x->fake, i % 2)->total.count[i] = 1000 + i;
	fake_port(&x->fake, 1)->missed = 17;
	struct http_answer r = http_ask(http_connect_unix(x->fake.directory), "GET", "/metrics", NULL);
	for (uint32_t i = 0; i < SW_DROP_REASON_COUNT; i++) {
		snprintf(line, sizeof(line), "\nseawall_dropped_packets_total{reason=\"%s\"} %u\n", sw_drop_names[i], 100 + i);
		assert_non_null(strstr(r.body, line));
		snprintf(line, sizeof(line), "\nseawall_refused_packets_total{reason=\"%s\"} %u\n", sw_drop_names[i], 500 + i);
		assert_int_equal(strstr(r.body, line) != NULL, sw_may_be_answered((enum sw_drop_reason)i));
	}
	for (uint32_t i = SW_DISPOSITION_COUNT; i < SW_COUNT_COUNT; i++) {
		snprintf(line, sizeof(line), "\nseawall_%s_total %u\n", sw_count_names[i], 1000 + i);
		assert_non_null(strstr(r.body, line));
	}
	assert_non_null(strstr(r.body, "\nseawall_port_missed_total{device=\"port1\",link=\"0\",side=\"inside\"} 17\n"));
	assert_non_null(strstr(r.body, "\nseawall_up 1\n"));
	http_free(&r);
	assert_int_equal(unlink(x->fake.path), 0);
	r = http_ask(http_connect_unix(x->fake.directory), "GET", "/metrics", NULL);
	assert_int_equal(r.status, 200);
	assert_non_null(strstr(r.body, "\nseawall_up 0\n"));
	assert_null(strstr(r.body, "seawall_packets_total{")); /* no zeros that look like a reset */
	http_free(&r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, server_fixture_open, server_fixture_close)

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(test_grammar), TEST(test_values)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
