/* SPDX-License-Identifier: BSD-3-Clause */
/* What no client should send: an error that says what is wrong, and a server that goes on as before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../fake_region.h"
#include "exchange.h"
#include "fake_control.h"
#include "http.h"
#include "server_fixture.h"

static void assert_alive(struct server_fixture *x)
{
	fake_region_beat(&x->fake);
	struct http_answer r = http_ask(http_connect_unix(x->fake.directory), "GET", "/health", NULL);
	assert_int_equal(r.status, 200);
	http_free(&r);
	r = http_ask(http_connect_tcp(sw_server_port(x->server, 0)), "GET", "/health", NULL);
	assert_int_equal(r.status, 200);
	http_free(&r);
}

static void test_host_header(void **state)
{
	(void)state;
	static const struct {
		const char *host;
		bool good;
	} cases[] = {
	    {"localhost", true},
	    {"LocalHost:8470", true},
	    {"127.0.0.1", true},
	    {"127.0.0.1:80", true},
	    {"127.1.2.3:1", true},
	    {"[::1]", true},
	    {"[::1]:8470", true},
	    {"", false},
	    {":", false},
	    {":80", false},
	    {"localhost.", false},
	    {"localhost.evil.example", false},
	    {"evil.example", false},
	    {"evil.example:8470", false},
	    {"127.0.0.1.evil.example", false},
	    {"127.0.0.1:80:80", false},
	    {"127.0.0.1:x", false},
	    {"127.0.0.1:", false},
	    {"128.0.0.1", false},
	    {"0.0.0.0", false},
	    {"10.0.0.1", false},
	    {"::1", false},
	    {"[::2]", false},
	    {"[::1", false},
	    {"[::1]x", false},
	    {"[127.0.0.1]", false},
	    {"[localhost]", false},
	    {"[]", false},
	    {"2130706433", false},
	    {"localhost@evil.example", false},
	    {"[::ffff:127.0.0.1]", false},
	    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (sw_host_is_loopback(cases[i].host) != cases[i].good)
			fail_msg("Host: %s", cases[i].host);
}

/* A web page elsewhere whose name is made to resolve to loopback must not read the box. */
static void test_rebinding(void **state)
{
	struct server_fixture *x = *state;
	static const char evil[] = "GET /stats HTTP/1.1\r\nHost: evil.example:8470\r\nConnection: close\r\n\r\n";
	static const char none[] = "GET /stats HTTP/1.0\r\n\r\n";
	for (int i = 0; i < 2; i++) {
		const char *request = i ? none : evil;
		int fd = http_connect_tcp(sw_server_port(x->server, 0));
		struct http_answer r = http_exchange(fd, request, strlen(request));
		close(fd);
		assert_int_equal(r.status, 403);
		assert_null(json_object_get(r.json, "accounting"));
		http_free(&r);
		fd = http_connect_unix(x->fake.directory); /* nobody's browser speaks to a Unix socket */
		r = http_exchange(fd, request, strlen(request));
		close(fd);
		assert_int_equal(r.status, 200);
		http_free(&r);
	}
}

static void test_wrong_requests(void **state)
{
	struct server_fixture *x = *state;
	static const struct {
		const char *method, *path;
		int status;
		const char *says;
	} cases[] = {
	    {"GET", "/nothing", 404, "not_found"},
	    {"GET", "/status/", 404, "not_found"},
	    {"GET", "/services/", 404, "not_found"},
	    {"GET", "/why/", 404, "not_found"},
	    {"GET", "/../../etc/passwd", 404, "not_found"},
	    {"GET", "/%2e%2e/etc", 404, "not_found"},
	    {"GET", "//status", 404, "not_found"},
	    {"GET", "/services/%00", 404, ""},
	    {"GET", "/services/%ff%fe", 404, "no_such_service"},
	    {"GET", "/services/%22%3e%3cscript%3e", 404, "no_such_service"},
	    {"POST", "/stats", 405, "GET"},
	    {"DELETE", "/", 405, "GET"},
	    {"PUT", "/blocks", 405, "GET, POST"},
	    {"BREW", "/status", 405, "GET"},
	    {"GET", "/reload", 405, "POST"},
	    {"GET", "/blocks/192.0.2.0/24", 405, "DELETE"},
	    {"GET", "/sources?by=nothing", 400, "by:"},
	    {"GET", "/sources?limit=-1", 400, "limit"},
	    {"GET", "/sources?limit=10001", 400, "limit"},
	    {"GET", "/sources?limit=99999999999999999999", 400, "limit"},
	    {"GET", "/sources?limit=", 400, "limit"},
	    {"GET", "/sources?limit=1e3", 400, "limit"},
	    {"GET", "/sources?proof=maybe", 400, "proof"},
	    {"GET", "/sources?service=nobody", 404, "no_such_service"},
	    {"GET", "/sources?unknown=1", 400, "unknown"},
	    {"GET", "/sources?%ff=1", 400, "error"},
	    {"GET", "/status?x", 400, "bad_query"},
	    {"GET", "/sources?limit=5&by=refused&proof=echoed&service=tracker", 200, "offenders"},
	    {"HEAD", "/status", 200, ""},
	    {"HEAD", "/metrics", 200, ""},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct http_answer r = http_ask(http_connect_unix(x->fake.directory), cases[i].method, cases[i].path, NULL);
		if (r.status != cases[i].status || !strstr(r.text, cases[i].says))
			fail_msg("%s %s: %d %s", cases[i].method, cases[i].path, r.status, r.text);
		if (r.status >= 400 && !json_is_string(json_object_get(json_object_get(r.json, "error"), "message")))
			fail_msg("%s %s: no error in JSON: %s", cases[i].method, cases[i].path, r.text);
		http_free(&r);
	}
	assert_alive(x);
}

static void test_bodies_too_large(void **state)
{
	struct server_fixture *x = *state;
	static const struct {
		const char *request;
		int status;
	} cases[] = {
	    {"POST /blocks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4097\r\n\r\n", 413},
	    {"POST /check HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8388609\r\n\r\n", 413},
	    {"POST /check HTTP/1.1\r\nHost: localhost\r\nContent-Length: 18446744073709551615\r\n\r\n", 413},
	    {"GET /status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello", 413},
	    {"POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n", 413},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const int fd = http_connect_unix(x->fake.directory);
		struct http_answer r = http_exchange(fd, cases[i].request, strlen(cases[i].request));
		close(fd);
		if (r.status != cases[i].status)
			fail_msg("case %zu: %d %s", i, r.status, r.text);
		http_free(&r);
	}
	/* in chunks, so that no length is announced */
	static const char head[] =
	    "POST /blocks HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
	const size_t chunks = 100, each = 1007, bytes = sizeof(head) - 1 + chunks * each + 5;
	char *request = malloc(bytes + 1), *to = request + sprintf(request, "%s", head);
	for (size_t i = 0; i < chunks; i++)
		to += sprintf(to, "3e8\r\n%01000d\r\n", 1);
	memcpy(to, "0\r\n\r\n", 5);
	const int fd = http_connect_unix(x->fake.directory);
	struct http_answer r = http_exchange(fd, request, (size_t)(to - request) + 5);
	close(fd);
	assert_int_equal(r.status, 413);
	http_free(&r);
	free(request);
	assert_alive(x);
}

static void test_no_http(void **state)
{
	struct server_fixture *x = *state;
	char headers[60000], noise[4096];
	memset(headers, 'a', sizeof(headers));
	memcpy(headers, "GET / HTTP/1.1\r\nX: ", 19);
	uint32_t random = 7;
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (char)((random = random * 1664525u + 1013904223u) >> 24);
	const struct {
		const char *bytes;
		size_t count;
		int on_unix, on_tcp; /* status; 0: no whole request, so the client goes without an answer */
	} cases[] = {
	    {"", 0, 0, 0},
	    {"\r\n\r\n", 4, 0, 0},
	    {"GET\r\n\r\n", 7, 0, 0},
	    {"\0\0\0\0\r\n\r\n", 8, 0, 0},
	    {noise, sizeof(noise), 0, 0},
	    {"GET / HTTP/9.9\r\n\r\n", 18, 505, 505},
	    {"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n", 54, 400, 400},
	    {"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 55, 400, 400},
	    {"POST /blocks HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n", 76, 400, 403},
	    {"POST /blocks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{", 65, 0,
	        403}, /* and then nothing more */
	    {headers, sizeof(headers), 431, 431},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (int tcp = 0; tcp < 2; tcp++) {
			const int fd = tcp ? http_connect_tcp(sw_server_port(x->server, 0)) : http_connect_unix(x->fake.directory);
			const int expected = tcp ? cases[i].on_tcp : cases[i].on_unix;
			send(fd, cases[i].bytes, cases[i].count, MSG_NOSIGNAL);
			if (expected) {
				struct http_answer r = http_exchange(fd, "", 0);
				if (r.status != expected)
					fail_msg("case %zu: %d %s", i, r.status, r.text);
				http_free(&r);
			}
			close(fd);
		}
	assert_alive(x);
}

/* Whoever holds all connections of loopback TCP cannot keep the operator from the Unix socket. */
static void test_connections_used_up(void **state)
{
	struct server_fixture *x = *state;
	enum { MANY = 110 }; /* more than are served at once; the rest fits into the backlog */
	int fds[MANY];
	for (int i = 0; i < MANY; i++) {
		fds[i] = http_connect_tcp(sw_server_port(x->server, 0));
		send(fds[i], "GET /", 5, MSG_NOSIGNAL); /* and never the rest */
	}
	struct http_answer r = http_ask(http_connect_unix(x->fake.directory), "GET", "/stats", NULL);
	assert_int_equal(r.status, 200);
	http_free(&r);
	for (int i = 0; i < MANY; i++)
		close(fds[i]);
	assert_alive(x);
}

/* Service names come from the policy and may hold anything that fits. */
static void test_odd_names(void **state)
{
	struct server_fixture *x = *state;
	fake_service(&x->fake, 1, "say \"hi\"\\\n");
	fake_service(&x->fake, 2, "\xff\xfe");
	memset(fake_service(&x->fake, 3, "x")->name, 'n', SW_NAME_BYTES); /* not even terminated */
	struct http_answer r = http_ask(http_connect_unix(x->fake.directory), "GET", "/services", NULL);
	assert_int_equal(r.status, 200);
	assert_int_equal(json_array_size(json_object_get(r.json, "services")), 4);
	http_free(&r);
	r = http_ask(http_connect_unix(x->fake.directory), "GET", "/metrics", NULL);
	assert_non_null(strstr(r.body, "service=\"say \\\"hi\\\"\\\\\\n\""));
	http_free(&r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, server_fixture_open, server_fixture_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_host_header),
	    TEST(test_rebinding),
	    TEST(test_wrong_requests),
	    TEST(test_bodies_too_large),
	    TEST(test_no_http),
	    TEST(test_connections_used_up),
	    TEST(test_odd_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
