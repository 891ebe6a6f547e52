/* SPDX-License-Identifier: BSD-3-Clause */
#include "stream.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "views.h"

enum { BLOCK_BYTES = 4096 };

/* An event as it goes over the wire; clients that are in the midst of it share it. */
struct event {
	uint32_t references; /* under the stream's lock */
	size_t bytes;
	char *text;
};

struct client {
	struct sw_stream *stream;
	struct MHD_Connection *connection;
	struct client *next;
	bool tcp, suspended;
	uint64_t sequence;   /* of the last event begun */
	struct event *event; /* being sent; NULL: none */
	size_t sent;
};

struct sw_stream {
	struct sw_server *server;
	pthread_mutex_t lock; /* guards all below */
	bool ended;
	uint64_t sequence; /* of `latest` */
	struct event *latest;
	struct client *clients;
	uint32_t count, tcp_count;
};

int sw_stream_open(struct sw_server *server, struct sw_stream **out)
{
	struct sw_stream *stream = calloc(1, sizeof(*stream));
	if (!stream)
		return -ENOMEM;
	stream->server = server;
	pthread_mutex_init(&stream->lock, NULL);
	*out = stream;
	return 0;
}

static void drop_event(struct event *event)
{
	if (event && !--event->references) {
		free(event->text);
		free(event);
	}
}

void sw_stream_close(struct sw_stream *stream)
{
	if (!stream)
		return;
	drop_event(stream->latest);
	pthread_mutex_destroy(&stream->lock);
	free(stream);
}

/* With the lock held. */
static void wake_all(struct sw_stream *stream)
{
	for (struct client *c = stream->clients; c; c = c->next) {
		if (!c->suspended)
			continue;
		c->suspended = false;
		MHD_resume_connection(c->connection);
	}
}

void sw_stream_end(struct sw_stream *stream)
{
	pthread_mutex_lock(&stream->lock);
	stream->ended = true;
	wake_all(stream);
	pthread_mutex_unlock(&stream->lock);
}

static struct event *render(struct sw_server *server)
{
	struct event *event = calloc(1, sizeof(*event));
	json_t *json = sw_view_sample(server);
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	int n = -1;
	if (event && text)
		n = asprintf(&event->text, "event: sample\ndata: %s\n\n", text);
	free(text);
	if (n < 0) {
		free(event);
		return NULL;
	}
	event->bytes = (size_t)n;
	event->references = 1;
	return event;
}

void sw_stream_sampled(struct sw_stream *stream)
{
	pthread_mutex_lock(&stream->lock);
	const bool heard = stream->count && !stream->ended;
	pthread_mutex_unlock(&stream->lock);
	struct event *event = heard ? render(stream->server) : NULL;
	if (!event)
		return;
	pthread_mutex_lock(&stream->lock);
	drop_event(stream->latest);
	stream->latest = event;
	stream->sequence++;
	wake_all(stream);
	pthread_mutex_unlock(&stream->lock);
}

/* With the lock held: the next event for the client. False: none yet. */
static bool begin_event(struct sw_stream *stream, struct client *c)
{
	if (c->event)
		return true;
	if (!stream->latest || c->sequence == stream->sequence)
		return false;
	c->event = stream->latest;
	c->event->references++;
	c->sequence = stream->sequence;
	c->sent = 0;
	return true;
}

static ssize_t read_stream(void *context, uint64_t position, char *to, size_t room)
{
	struct client *c = context;
	struct sw_stream *stream = c->stream;
	ssize_t given = 0;
	(void)position;
	pthread_mutex_lock(&stream->lock);
	if (stream->ended) {
		given = MHD_CONTENT_READER_END_OF_STREAM;
	} else if (stream->sequence - c->sequence > SW_STREAM_SKIP_MAX) {
		given = MHD_CONTENT_READER_END_WITH_ERROR;
	} else if (begin_event(stream, c)) {
		const size_t left = c->event->bytes - c->sent, n = left < room ? left : room;
		memcpy(to, c->event->text + c->sent, n);
		c->sent += n;
		given = (ssize_t)n;
		if (c->sent == c->event->bytes) {
			drop_event(c->event);
			c->event = NULL;
		}
	} else {
		c->suspended = true;
		MHD_suspend_connection(c->connection);
	}
	pthread_mutex_unlock(&stream->lock);
	return given;
}

static void leave(void *context)
{
	struct client *c = context;
	struct sw_stream *stream = c->stream;
	pthread_mutex_lock(&stream->lock);
	for (struct client **at = &stream->clients; *at; at = &(*at)->next)
		if (*at == c) {
			*at = c->next;
			stream->count--;
			stream->tcp_count -= c->tcp;
			break;
		}
	drop_event(c->event);
	pthread_mutex_unlock(&stream->lock);
	free(c);
}

/* False: there are enough clients. Loopback TCP cannot take the operator's places. */
static bool join(struct sw_stream *stream, struct client *c)
{
	pthread_mutex_lock(&stream->lock);
	const bool room = !stream->ended && stream->count < SW_STREAM_CLIENTS_MAX &&
	                  (!c->tcp || stream->tcp_count < SW_STREAM_TCP_CLIENTS_MAX);
	if (room) {
		c->sequence = stream->sequence; /* what was rendered before, for others, may be old */
		c->next = stream->clients;
		stream->clients = c;
		stream->count++;
		stream->tcp_count += c->tcp;
	}
	pthread_mutex_unlock(&stream->lock);
	return room;
}

/* HEAD is answered with the headers alone; the library never calls the reader then, but does call leave(). */
unsigned int sw_handle_stream(struct sw_exchange *x)
{
	struct client *c = calloc(1, sizeof(*c));
	if (!c)
		return sw_exchange_error(x, 500, "no_memory", NULL, "out of memory");
	c->stream = x->server->stream;
	c->connection = x->connection;
	c->tcp = !x->unix_socket;
	if (!join(c->stream, c)) {
		free(c);
		return sw_exchange_error(x, 503, "too_many_streams", "end one, or ask GET /stats every second",
		    "there are as many streams as this daemon serves");
	}
	x->response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_stream, c, leave);
	if (!x->response) {
		leave(c);
		return sw_exchange_error(x, 500, "no_memory", NULL, "out of memory");
	}
	x->content_type = "text/event-stream";
	return 200;
}
