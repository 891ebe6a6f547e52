/* SPDX-License-Identifier: BSD-3-Clause */
#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "exchange.h"
#include "stream.h"
#include "views.h"

enum {
	TCP_LISTENERS_MAX = 8,
	BACKLOG = 64,
	UNIX_THREADS = 4,
	TCP_THREADS = 2,
	CONNECTIONS_PER_THREAD = 32,
	CONNECTION_MEMORY_BYTES = 16 * 1024, /* request line and headers must fit */
	IDLE_TIMEOUT_S = 10,
};

#define SETTLE_NS 10000000000ull

struct sw_listeners {
	char socket_path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct sw_listener on_unix;
	struct sw_listener on_tcp[TCP_LISTENERS_MAX];
	uint32_t tcp_count;
};

static int __attribute__((format(printf, 4, 5)))
fail(char *error, size_t error_bytes, int code, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	vsnprintf(error, error_bytes, format, list);
	va_end(list);
	return code;
}

/* Is somebody listening at this path? Tells a living daemon from what a killed one left behind. */
static bool somebody_answers(const struct sockaddr_un *at)
{
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const bool answers = fd >= 0 && !connect(fd, (const struct sockaddr *)at, sizeof(*at));
	if (fd >= 0)
		close(fd);
	return answers;
}

static int set_owner(const char *path, const struct sw_spec_control *settings, char *error, size_t error_bytes)
{
	if (settings->socket_group && settings->socket_group[0]) {
		const struct group *group = getgrnam(settings->socket_group);
		if (!group)
			return fail(
			    error, error_bytes, -ENOENT, "control.socket_group: there is no group %s", settings->socket_group);
		if (chown(path, (uid_t)-1, group->gr_gid))
			return fail(
			    error, error_bytes, -errno, "%s: cannot give it to the group %s: %m", path, settings->socket_group);
	}
	if (chmod(path, settings->socket_mode & 0777))
		return fail(error, error_bytes, -errno, "%s: cannot set its mode: %m", path);
	return 0;
}

/* Made beside its place, given its mode, then renamed into it: nobody can connect before the mode is right. */
static int bind_unix(struct sw_listeners *l, const struct sw_server_options *options, char *error, size_t error_bytes)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX}, made = {.sun_family = AF_UNIX};
	const int n = snprintf(at.sun_path, sizeof(at.sun_path), "%s/%s", options->runtime_dir, SW_SERVER_SOCKET_NAME);
	const int m = snprintf(made.sun_path, sizeof(made.sun_path), "%s/.%s", options->runtime_dir, SW_SERVER_SOCKET_NAME);
	if (n < 0 || m < 0 || (size_t)m >= sizeof(made.sun_path))
		return fail(error, error_bytes, -ENAMETOOLONG, "%s: too long for the path of a Unix socket (%zu bytes)",
		    options->runtime_dir, sizeof(made.sun_path));
	if (somebody_answers(&at))
		return fail(error, error_bytes, -EADDRINUSE, "%s: another daemon is answering there", at.sun_path);
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(error, error_bytes, -errno, "cannot make a Unix socket: %m");
	unlink(made.sun_path);
	int code = 0;
	if (bind(fd, (struct sockaddr *)&made, sizeof(made)) || listen(fd, BACKLOG))
		code = fail(error, error_bytes, -errno, "%s: cannot listen: %m", made.sun_path);
	else
		code = set_owner(made.sun_path, options->settings, error, error_bytes);
	if (!code && rename(made.sun_path, at.sun_path))
		code = fail(error, error_bytes, -errno, "%s: cannot be made: %m", at.sun_path);
	if (code) {
		unlink(made.sun_path);
		close(fd);
		return code;
	}
	memcpy(l->socket_path, at.sun_path, sizeof(l->socket_path));
	return fd;
}

static socklen_t fill_tcp(const struct sw_spec_listen *listen, struct sockaddr_storage *at)
{
	memset(at, 0, sizeof(*at));
	if (sw_address_is_ipv4(&listen->address)) {
		struct sockaddr_in *four = (struct sockaddr_in *)at;
		four->sin_family = AF_INET;
		four->sin_port = htons((uint16_t)listen->port);
		memcpy(&four->sin_addr, listen->address.bytes + 12, 4);
		return sizeof(*four);
	}
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)at;
	six->sin6_family = AF_INET6;
	six->sin6_port = htons((uint16_t)listen->port);
	memcpy(&six->sin6_addr, listen->address.bytes, 16);
	return sizeof(*six);
}

static bool is_loopback(const struct sw_address *a)
{
	static const struct sw_address one = {{[15] = 1}};
	return sw_address_is_ipv4(a) ? a->bytes[12] == 127 : sw_address_equal(a, &one);
}

/* The descriptor, or -errno. */
static int bind_tcp(const struct sw_spec_listen *listener, uint16_t *port)
{
	struct sockaddr_storage at;
	const int on = 1;
	socklen_t length = fill_tcp(listener, &at);
	if (!is_loopback(&listener->address))
		return -EPERM; /* reading is open to whoever connects, so only this machine may */
	const int fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (at.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&at, length) || listen(fd, BACKLOG) ||
	    getsockname(fd, (struct sockaddr *)&at, &length)) {
		const int error = errno;
		close(fd);
		return -error;
	}
	*port = ntohs(
	    at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port : ((struct sockaddr_in *)&at)->sin_port);
	return fd;
}

/* What a client sends must not be able to write a log: the library's messages are about clients. */
static void __attribute__((format(printf, 2, 0))) be_silent(void *context, const char *format, va_list list)
{
	(void)context;
	(void)format;
	(void)list;
}

static int start(struct sw_listener *l, struct sw_server *server, int fd, bool unix_socket)
{
	const unsigned int pool = unix_socket ? UNIX_THREADS : TCP_THREADS;
	l->server = server;
	l->unix_socket = unix_socket;
	l->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL,
	    NULL, sw_exchange_handle, l, MHD_OPTION_EXTERNAL_LOGGER, be_silent, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
	    MHD_OPTION_THREAD_POOL_SIZE, pool, MHD_OPTION_CONNECTION_LIMIT, pool * CONNECTIONS_PER_THREAD,
	    MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY_BYTES, MHD_OPTION_CONNECTION_TIMEOUT,
	    (unsigned int)IDLE_TIMEOUT_S, MHD_OPTION_NOTIFY_COMPLETED, sw_exchange_completed, l, MHD_OPTION_END);
	if (l->daemon)
		return 0;
	close(fd);
	return -EIO;
}

static int start_unix(
    struct sw_server *server, const struct sw_server_options *options, char *error, size_t error_bytes)
{
	const int fd = bind_unix(server->listeners, options, error, error_bytes);
	if (fd < 0)
		return fd;
	if (start(&server->listeners->on_unix, server, fd, true))
		return fail(error, error_bytes, -EIO, "cannot start the HTTP server on the Unix socket");
	return 0;
}

static void start_tcp(struct sw_server *server, const struct sw_spec_control *settings)
{
	struct sw_listeners *l = server->listeners;
	const struct sw_spec_listen *wanted = SW_SPEC_ITEMS(settings->listen, struct sw_spec_listen);
	for (uint32_t i = 0; i < settings->listen.count && i < TCP_LISTENERS_MAX; i++) {
		struct sw_listener *one = &l->on_tcp[l->tcp_count++];
		char text[SW_ADDRESS_TEXT_BYTES];
		sw_address_format(&wanted[i].address, text);
		int fd = bind_tcp(&wanted[i], &one->port);
		if (fd >= 0 && start(one, server, fd, false))
			fd = -EIO;
		if (fd < 0) {
			one->port = 0;
			sw_log(LOG_WARNING, "control.listen: not listening on %s port %u: %s; the Unix socket works", text,
			    wanted[i].port, fd == -EPERM ? "not a loopback address" : strerror(-fd));
		}
	}
}

static void say(void *context, const struct sw_finding *f, bool over)
{
	(void)context;
	if (over)
		sw_log(LOG_NOTICE, "health: %s is over", f->code);
	else
		sw_log(f->severity == SW_HEALTH_CRITICAL ? LOG_CRIT : LOG_WARNING, "health: %s: %s; %s", f->code, f->message,
		    f->hint);
}

/*
 * In the observer's thread, after each sample. Nothing is said in the first seconds: whoever starts both processes must
 * not read that one is missing.
 */
static void sampled(void *context)
{
	struct sw_server *server = context;
	struct sw_health health;
	const struct sw_sample *s = sw_observer_lock(server->observer);
	const uint64_t mono_ns = s->mono_ns, unix_ns = s->unix_ns;
	sw_server_judge(server, s, &health);
	sw_observer_unlock(server->observer);
	if (unix_ns - server->start_unix_ns > SETTLE_NS)
		sw_alerts_update(&server->alerts, &health, mono_ns, say, server);
	sw_stream_sampled(server->stream);
}

static int start_observer(struct sw_server *server, const struct sw_server_options *options)
{
	const struct sw_observer_options wanted = {
	    .runtime_dir = options->runtime_dir,
	    .state_dir = options->state_dir,
	    .interval_ms = options->settings->sample_interval_ms,
	    .history_s = options->settings->history_s,
	    .sampled = sampled,
	    .context = server,
	};
	return sw_observer_open(&wanted, &server->observer);
}

int sw_server_open(const struct sw_server_options *options, struct sw_server **out, char *error, size_t error_bytes)
{
	struct sw_server *server = calloc(1, sizeof(*server));
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	if (!server || !(server->listeners = calloc(1, sizeof(*server->listeners)))) {
		free(server);
		return fail(error, error_bytes, -ENOMEM, "out of memory");
	}
	server->control = options->control;
	server->start_unix_ns = (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
	server->interval_ms = options->settings->sample_interval_ms;
	int code = sw_stream_open(server, &server->stream);
	if (!code)
		code = start_observer(server, options);
	if (code)
		fail(error, error_bytes, code, "cannot start the observer: %s", strerror(-code));
	else
		code = start_unix(server, options, error, error_bytes);
	if (code) {
		sw_server_close(server);
		return code;
	}
	start_tcp(server, options->settings);
	*out = server;
	return 0;
}

uint16_t sw_server_port(const struct sw_server *server, uint32_t index)
{
	return index < server->listeners->tcp_count ? server->listeners->on_tcp[index].port : 0;
}

/* The streams first: a connection that waits for its next sample must be woken before its thread can be joined. */
void sw_server_close(struct sw_server *server)
{
	if (!server)
		return;
	struct sw_listeners *l = server->listeners;
	if (server->stream)
		sw_stream_end(server->stream);
	for (uint32_t i = 0; i < l->tcp_count; i++)
		if (l->on_tcp[i].daemon)
			MHD_stop_daemon(l->on_tcp[i].daemon);
	if (l->on_unix.daemon)
		MHD_stop_daemon(l->on_unix.daemon);
	if (l->socket_path[0])
		unlink(l->socket_path);
	sw_observer_close(server->observer);
	sw_stream_close(server->stream);
	free(l);
	free(server);
}
