/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The loop of sw-load. Open: a request starts when its time has come, whether or not earlier ones were answered, so a
 * server that stalls cannot slow its own measurement down. All requests share one timeout (and one hold time), so the
 * order in which they began is the order of their deadlines: two queues, no heap.
 */
#include "load.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256, STARTS_PER_TURN = 256 };

struct request {
	TAILQ_ENTRY(request) link;
	int fd;
	bool connected;
	uint64_t began_ns, until_ns; /* deadline of the answer, or end of the hold */
	struct sw_exchange *exchange; /* NULL in mode connect */
};
TAILQ_HEAD(request_queue, request);

struct engine {
	const struct sw_load_options *options;
	struct sw_load_result *result;
	int epoll;
	uint32_t open;
	uint64_t began_ns, scheduled;
	struct request *requests;
	struct sw_exchange *exchanges;
	struct request_queue idle, waiting, held;
};

static void request_close(struct engine *e, struct request *r, struct request_queue *queue, bool abort)
{
	if (abort) {
		const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
		setsockopt(r->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	}
	close(r->fd);
	TAILQ_REMOVE(queue, r, link);
	TAILQ_INSERT_TAIL(&e->idle, r, link);
	e->open--;
}

/* The outcome is known. What failed is given up with a RST: its leftovers must not load the machine for minutes. */
static void request_finish(struct engine *e, struct request *r, enum sw_outcome outcome, uint64_t now_ns)
{
	e->result->outcomes[outcome]++;
	if (outcome == SW_OUTCOME_OK)
		sw_histogram_add(&e->result->latency, (now_ns - r->began_ns) / 1000);
	if (outcome == SW_OUTCOME_OK && e->options->hold_ns != 0) {
		TAILQ_REMOVE(&e->waiting, r, link);
		r->until_ns = now_ns + e->options->hold_ns;
		TAILQ_INSERT_TAIL(&e->held, r, link);
		struct epoll_event event = {.events = 0, .data.ptr = r}; /* EPOLLERR and EPOLLHUP come unasked */
		epoll_ctl(e->epoll, EPOLL_CTL_MOD, r->fd, &event);
		return;
	}
	request_close(e, r, &e->waiting, outcome != SW_OUTCOME_OK || e->options->close == SW_CLOSE_RST);
}

static enum sw_outcome outcome_of(int error)
{
	switch (error) {
	case ECONNREFUSED:
		return SW_OUTCOME_REFUSED;
	case ECONNRESET:
	case EPIPE:
		return SW_OUTCOME_RESET;
	case ETIMEDOUT:
		return SW_OUTCOME_TIMEOUT;
	default:
		return SW_OUTCOME_ERROR;
	}
}

static int request_socket(const struct sw_load_options *o, uint64_t index)
{
	const int on = 1;
	const int family = o->target.any.sa_family;
	const int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	if (fd < 0)
		return -errno;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (o->sources.count != 0) {
		const union sw_endpoint source = sw_source_range_at(&o->sources, index);
		/* The port is chosen at connect time: 64,000 of them for each source, not for all together. */
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
		if (family == AF_INET6)
			setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof(on));
		if (bind(fd, &source.any, sw_endpoint_bytes(&source)) != 0)
			goto fail;
	}
	if (connect(fd, &o->target.any, sw_endpoint_bytes(&o->target)) != 0 && errno != EINPROGRESS)
		goto fail;
	return fd;
fail:;
	const int error = errno;
	close(fd);
	return -error;
}

static void request_start(struct engine *e, uint64_t due_ns)
{
	struct request *r = TAILQ_FIRST(&e->idle);
	const uint64_t index = e->scheduled++;
	if (r == NULL) {
		e->result->not_sent++;
		return;
	}
	const uint64_t now_ns = sw_now_ns();
	const uint64_t late_us = (now_ns - due_ns) / 1000;
	if (late_us > e->result->late_max_us)
		e->result->late_max_us = late_us;
	e->result->sent++;
	const int fd = request_socket(e->options, index);
	if (fd < 0) {
		e->result->outcomes[outcome_of(-fd)]++;
		return;
	}
	TAILQ_REMOVE(&e->idle, r, link);
	r->fd = fd;
	r->connected = false;
	r->began_ns = now_ns;
	r->until_ns = now_ns + e->options->timeout_ns;
	if (r->exchange != NULL)
		r->exchange->reply_bytes = 0, r->exchange->received = 0, r->exchange->step = 0, r->exchange->reply[0] = 0;
	TAILQ_INSERT_TAIL(&e->waiting, r, link);
	e->open++;
	struct epoll_event event = {.events = EPOLLOUT, .data.ptr = r};
	epoll_ctl(e->epoll, EPOLL_CTL_ADD, fd, &event);
}

static bool request_send(struct engine *e, struct request *r, const char *text, uint64_t now_ns)
{
	const size_t bytes = strlen(text);
	const ssize_t sent = send(r->fd, text, bytes, MSG_NOSIGNAL);
	if (sent == (ssize_t)bytes) /* a kilobyte always fits into the empty buffer of a new socket */
		return true;
	request_finish(e, r, sent < 0 ? outcome_of(errno) : SW_OUTCOME_ERROR, now_ns);
	return false;
}

static void request_connected(struct engine *e, struct request *r, uint64_t now_ns)
{
	int error = 0;
	socklen_t bytes = sizeof(error);
	getsockopt(r->fd, SOL_SOCKET, SO_ERROR, &error, &bytes);
	if (error != 0) {
		request_finish(e, r, outcome_of(error), now_ns);
		return;
	}
	r->connected = true;
	if (r->exchange == NULL) {
		request_finish(e, r, SW_OUTCOME_OK, now_ns);
		return;
	}
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = r};
	epoll_ctl(e->epoll, EPOLL_CTL_MOD, r->fd, &event);
	const char *text = e->options->protocol->first(e->options->request);
	if (text != NULL)
		request_send(e, r, text, now_ns);
}

/* Reads what there is; keeps the beginning. Returns false once the request is finished. */
static bool request_receive(struct engine *e, struct request *r, uint64_t now_ns)
{
	static char rest[65536];
	struct sw_exchange *x = r->exchange;
	const uint32_t room = SW_REPLY_BYTES - 1 - x->reply_bytes;
	const ssize_t got = recv(r->fd, room ? x->reply + x->reply_bytes : rest, room ? room : sizeof(rest), 0);
	if (got < 0) {
		if (errno != EAGAIN)
			request_finish(e, r, outcome_of(errno), now_ns);
		return false;
	}
	if (room != 0) {
		x->reply_bytes += (uint32_t)got;
		x->reply[x->reply_bytes] = 0;
	}
	x->received += (uint64_t)got;
	const char *line = NULL;
	switch (e->options->protocol->heard(x, got == 0, &line)) {
	case SW_NEXT_WAIT:
		return true;
	case SW_NEXT_SEND:
		x->reply_bytes = 0;
		x->reply[0] = 0;
		return request_send(e, r, line, now_ns);
	case SW_NEXT_OK:
		request_finish(e, r, SW_OUTCOME_OK, now_ns);
		return false;
	default:
		request_finish(e, r, SW_OUTCOME_BAD_REPLY, now_ns);
		return false;
	}
}

static void request_event(struct engine *e, struct request *r, uint32_t events)
{
	const uint64_t now_ns = sw_now_ns();
	const bool held = r->connected && r->exchange == NULL;
	if (held) {
		if (events & (EPOLLERR | EPOLLHUP)) {
			e->result->reset_later++;
			request_close(e, r, &e->held, true);
		}
	} else if (!r->connected) {
		request_connected(e, r, now_ns);
	} else {
		while (request_receive(e, r, now_ns))
			;
	}
}

static void expire(struct engine *e, uint64_t now_ns)
{
	struct request *r;
	while ((r = TAILQ_FIRST(&e->waiting)) != NULL && r->until_ns <= now_ns)
		request_finish(e, r, SW_OUTCOME_TIMEOUT, now_ns);
	while ((r = TAILQ_FIRST(&e->held)) != NULL && r->until_ns <= now_ns)
		request_close(e, r, &e->held, e->options->close == SW_CLOSE_RST);
}

static uint64_t due_ns(const struct engine *e, uint64_t index)
{
	return e->began_ns + (uint64_t)((double)index * 1e9 / e->options->rate_per_s);
}

static bool more_to_start(const struct engine *e)
{
	const struct sw_load_options *o = e->options;
	return (o->count == 0 || e->scheduled < o->count) &&
		(o->duration_ns == 0 || due_ns(e, e->scheduled) < e->began_ns + o->duration_ns);
}

static void start_due(struct engine *e, uint64_t now_ns)
{
	for (int i = 0; i < STARTS_PER_TURN && more_to_start(e); i++) {
		const uint64_t due = due_ns(e, e->scheduled);
		if (due > now_ns)
			break;
		request_start(e, due);
	}
}

static void progress(const struct sw_load_result *r, uint64_t elapsed_ns, uint32_t open)
{
	const double p50_ms = (double)sw_histogram_quantile(&r->latency, 0.5) / 1000;
	fprintf(stderr, "{\"t\":%.1f,\"sent\":%lu,\"ok\":%lu,\"open\":%u,\"p50_ms\":%.3f}\n",
		(double)elapsed_ns / 1e9, r->sent, r->outcomes[SW_OUTCOME_OK], open, p50_ms);
}

static uint64_t earlier(uint64_t a, const struct request *r)
{
	return r != NULL && r->until_ns < a ? r->until_ns : a;
}

static void engine_loop(struct engine *e, const volatile int *stop)
{
	struct epoll_event events[EVENTS];
	uint64_t next_progress = e->began_ns + e->options->progress_ns;
	while (!*stop && (more_to_start(e) || e->open != 0)) {
		uint64_t now_ns = sw_now_ns();
		uint64_t wake = now_ns + 100000000;
		start_due(e, now_ns);
		if (more_to_start(e) && due_ns(e, e->scheduled) < wake)
			wake = due_ns(e, e->scheduled);
		wake = earlier(earlier(wake, TAILQ_FIRST(&e->waiting)), TAILQ_FIRST(&e->held));
		now_ns = sw_now_ns();
		const uint64_t wait_ns = wake > now_ns ? wake - now_ns : 0;
		const struct timespec wait = sw_timespec(wait_ns);
		const int n = epoll_pwait2(e->epoll, events, EVENTS, &wait, NULL);
		for (int i = 0; i < n; i++)
			request_event(e, events[i].data.ptr, events[i].events);
		now_ns = sw_now_ns();
		expire(e, now_ns);
		if (e->options->progress_ns != 0 && now_ns >= next_progress) {
			progress(e->result, now_ns - e->began_ns, e->open);
			next_progress += e->options->progress_ns;
		}
	}
	e->result->elapsed_ns = sw_now_ns() - e->began_ns;
}

int sw_load_run(const struct sw_load_options *options, struct sw_load_result *result, const volatile int *stop)
{
	struct engine e = {.options = options, .result = result};
	int error = -ENOMEM;
	TAILQ_INIT(&e.idle);
	TAILQ_INIT(&e.waiting);
	TAILQ_INIT(&e.held);
	e.requests = calloc(options->max_open, sizeof(*e.requests));
	if (e.requests == NULL)
		return -ENOMEM;
	if (options->protocol->heard != NULL) {
		e.exchanges = calloc(options->max_open, sizeof(*e.exchanges));
		if (e.exchanges == NULL)
			goto free_requests;
	}
	for (uint32_t i = 0; i < options->max_open; i++) {
		e.requests[i].exchange = e.exchanges != NULL ? &e.exchanges[i] : NULL;
		TAILQ_INSERT_TAIL(&e.idle, &e.requests[i], link);
	}
	e.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (e.epoll < 0) {
		error = -errno;
		goto free_exchanges;
	}
	e.began_ns = sw_now_ns();
	engine_loop(&e, stop);
	error = 0;
	close(e.epoll);
free_exchanges:
	free(e.exchanges);
free_requests:
	free(e.requests);
	return error;
}
