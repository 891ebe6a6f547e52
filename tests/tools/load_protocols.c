/* SPDX-License-Identifier: BSD-3-Clause */
#include "load.h"

static const char *say_request(const char *request)
{
	return request;
}

static const char *say_nothing(const char *request)
{
	(void)request;
	return NULL;
}

/* -1: the header has not ended, or names no length (the end of the stream ends the body then: RFC 9112, 6.3). */
static int64_t http_total_bytes(const struct sw_exchange *x)
{
	const char *end = strstr(x->reply, "\r\n\r\n");
	const char *field = strcasestr(x->reply, "\r\ncontent-length:");
	if (end == NULL || field == NULL || field > end)
		return -1;
	return (int64_t)strtoull(field + 17, NULL, 10) + (end + 4 - x->reply);
}

static enum sw_next http_heard(struct sw_exchange *x, bool eof, const char **line)
{
	(void)line;
	const int64_t total = http_total_bytes(x);
	const bool whole = total >= 0 ? x->received >= (uint64_t)total : eof;
	if (!whole)
		return eof ? SW_NEXT_BAD : SW_NEXT_WAIT;
	return strncmp(x->reply, "HTTP/1.", 7) == 0 && strncmp(x->reply + 8, " 200", 4) == 0 ? SW_NEXT_OK : SW_NEXT_BAD;
}

/* A tracker answers 200 even when it refuses (BEP 3): the dictionary must have an interval and no failure reason. */
static enum sw_next announce_heard(struct sw_exchange *x, bool eof, const char **line)
{
	const enum sw_next next = http_heard(x, eof, line);
	if (next != SW_NEXT_OK)
		return next;
	const bool refused = strstr(x->reply, "8:interval") == NULL || strstr(x->reply, "failure reason") != NULL;
	return refused ? SW_NEXT_BAD : SW_NEXT_OK;
}

/* Whether a whole reply of RFC 5321, 4.2 has come: its last line has a space behind the code. */
static bool smtp_reply_whole(const struct sw_exchange *x)
{
	const char *at = x->reply;
	for (;;) {
		const char *end = strstr(at, "\r\n");
		if (end == NULL)
			return false;
		if (end - at >= 3 && at[3] != '-')
			return true;
		at = end + 2;
	}
}

/* The server speaks first: greeting, EHLO, QUIT. */
static enum sw_next smtp_heard(struct sw_exchange *x, bool eof, const char **line)
{
	static const struct {
		const char *code, *answer;
	} steps[] = {{"220", "EHLO load.example\r\n"}, {"250", "QUIT\r\n"}, {"221", NULL}};

	if (!smtp_reply_whole(x))
		return eof ? SW_NEXT_BAD : SW_NEXT_WAIT;
	if (strncmp(x->reply, steps[x->step].code, 3) != 0)
		return SW_NEXT_BAD;
	*line = steps[x->step++].answer;
	return *line != NULL ? SW_NEXT_SEND : SW_NEXT_OK;
}

const struct sw_protocol sw_protocols[] = {
	{"announce", say_request, announce_heard},
	{"http", say_request, http_heard},
	{"smtp", say_nothing, smtp_heard},
	{"connect", say_nothing, NULL}, /* the handshake is all */
};
const unsigned int sw_protocol_count = sizeof(sw_protocols) / sizeof(sw_protocols[0]);
