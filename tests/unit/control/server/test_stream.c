/* SPDX-License-Identifier: BSD-3-Clause */
/* The live stream: events come by themselves, clients are bounded, and a server with streams open can be closed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../fake_region.h"
#include "http.h"
#include "server_fixture.h"
#include "stream.h"

static const char request[] = "GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n";

static int open_stream(struct server_fixture *x, bool tcp)
{
	const int fd = tcp ? http_connect_tcp(sw_server_port(x->server, 0)) : http_connect_unix(x->fake.directory);
	assert_int_equal(send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL), sizeof(request) - 1);
	return fd;
}

/* Reads until the text holds `count` of `what`, or the other end closes (returns false). */
static bool read_until(int fd, char *text, size_t room, const char *what, int count)
{
	size_t got = 0;
	text[0] = 0;
	for (;;) {
		int found = 0;
		for (const char *at = text; (at = strstr(at, what)); at++)
			found++;
		if (found >= count)
			return true;
		if (got + 1 >= room) { /* keep the tail: what was counted is counted anew from here */
			return false;
		}
		const ssize_t n = recv(fd, text + got, room - got - 1, 0);
		if (n <= 0)
			return false;
		got += (size_t)n;
		text[got] = 0;
	}
}

static void test_events(void **state)
{
	struct server_fixture *x = *state;
	static char text[1 << 20];
	fake_worker(&x->fake, 0)->total.count[SW_COUNT_RX] = 4711;
	fake_worker(&x->fake, 0)->total.count[SW_COUNT_FORWARDED] = 4711;
	const int fd = open_stream(x, false);
	assert_true(read_until(fd, text, sizeof(text), "\n\n", 2));
	assert_non_null(strstr(text, "Content-Type: text/event-stream"));
	char *data = strstr(text, "data: ");
	assert_non_null(data);
	*strchr(data, '\n') = 0;
	json_t *json = json_loads(data + 6, 0, NULL);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(json, "accounting"), "rx")), 4711);
	assert_string_equal(
	    json_string_value(json_object_get(json_array_get(json_object_get(json, "services"), 0), "name")), "tracker");
	json_decref(json);
	close(fd);
}

static int status_of(int fd)
{
	static char text[1 << 18];
	int status = 0;
	assert_true(read_until(fd, text, sizeof(text), "\r\n\r\n", 1));
	sscanf(text, "HTTP/1.1 %d", &status);
	return status;
}

/* TCP gets half of the places at most; the rest stays for the Unix socket; a place is free again when a client goes. */
static void test_bounded(void **state)
{
	struct server_fixture *x = *state;
	int tcp[SW_STREAM_TCP_CLIENTS_MAX + 1], local[SW_STREAM_CLIENTS_MAX - SW_STREAM_TCP_CLIENTS_MAX + 1];
	const int tcp_count = SW_STREAM_TCP_CLIENTS_MAX, local_count = SW_STREAM_CLIENTS_MAX - SW_STREAM_TCP_CLIENTS_MAX;
	for (int i = 0; i <= tcp_count; i++) {
		tcp[i] = open_stream(x, true);
		assert_int_equal(status_of(tcp[i]), i < tcp_count ? 200 : 503);
	}
	for (int i = 0; i <= local_count; i++) {
		local[i] = open_stream(x, false);
		assert_int_equal(status_of(local[i]), i < local_count ? 200 : 503);
	}
	/* That the others are gone shows when an event cannot be sent to them; one client stays and tells when there was
	 * one. */
	static char text[1 << 20];
	for (int i = 0; i <= tcp_count; i++)
		close(tcp[i]);
	for (int i = 1; i <= local_count; i++)
		close(local[i]);
	int status = 503;
	for (int events = 0; status == 503 && events < 20; events++) {
		assert_true(read_until(local[0], text, sizeof(text), "event: sample", 1));
		const int fd = open_stream(x, true);
		status = status_of(fd);
		close(fd);
	}
	assert_int_equal(status, 200);
	close(local[0]);
}

/* Clients that never read a byte: others get their events, and the server closes. */
static void test_silent_clients(void **state)
{
	struct server_fixture *x = *state;
	static char text[1 << 20];
	int silent[8];
	for (int i = 0; i < 8; i++)
		silent[i] = open_stream(x, i % 2);
	const int fd = open_stream(x, false);
	assert_true(read_until(fd, text, sizeof(text), "event: sample", 2));
	sw_server_close(x->server);
	x->server = NULL;
	for (int i = 0; i < 8; i++)
		close(silent[i]);
	assert_false(read_until(fd, text, sizeof(text), "no such thing", 1)); /* the end of the stream, not a hang */
	close(fd);
}

static void test_head(void **state)
{
	struct server_fixture *x = *state;
	for (int i = 0; i < SW_STREAM_CLIENTS_MAX * 2; i++) { /* takes no place */
		struct http_answer r = http_ask(http_connect_unix(x->fake.directory), "HEAD", "/stream", NULL);
		assert_int_equal(r.status, 200);
		http_free(&r);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, server_fixture_open, server_fixture_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_events), TEST(test_bounded), TEST(test_silent_clients), TEST(test_head)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
