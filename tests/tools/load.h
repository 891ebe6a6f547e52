/* SPDX-License-Identifier: BSD-3-Clause */
/* sw-load: requests at a steady rate from many sources, each with a deadline, every outcome counted. One thread. */
#ifndef SW_TOOLS_LOAD_H
#define SW_TOOLS_LOAD_H

#include "histogram.h"
#include "source_range.h"

#include <stddef.h>

/* How a request can end. X(NAME, "json_name") */
#define SW_OUTCOMES(X) \
	X(OK, "ok") \
	X(TIMEOUT, "timeout") \
	X(REFUSED, "refused") \
	X(RESET, "reset") \
	X(BAD_REPLY, "bad_reply") \
	X(ERROR, "error")

#define SW_ENUM_OUTCOME(name, json) SW_OUTCOME_##name,
enum sw_outcome { SW_OUTCOMES(SW_ENUM_OUTCOME) SW_OUTCOME_COUNT };

enum sw_close { SW_CLOSE_FIN, SW_CLOSE_RST };

enum { SW_REPLY_BYTES = 2048, SW_REQUEST_BYTES = 1024 };

/* One conversation. `reply`: the first bytes of what the server said since our last line, NUL-terminated. */
struct sw_exchange {
	char reply[SW_REPLY_BYTES];
	uint32_t reply_bytes;
	uint64_t received; /* all of it */
	unsigned int step;
};

enum sw_next { SW_NEXT_WAIT, SW_NEXT_SEND, SW_NEXT_OK, SW_NEXT_BAD };

/*
 * A protocol decides after each piece received, and at the end of the stream (`eof`). SW_NEXT_SEND: `*line` is to be
 * sent, and what was received so far is done with. `first`: what the client says once connected; NULL: it listens.
 */
struct sw_protocol {
	const char *name;
	const char *(*first)(const char *request);
	enum sw_next (*heard)(struct sw_exchange *x, bool eof, const char **line);
};

extern const struct sw_protocol sw_protocols[];
extern const unsigned int sw_protocol_count;

struct sw_load_options {
	const struct sw_protocol *protocol;
	union sw_endpoint target;
	struct sw_source_range sources;
	char request[SW_REQUEST_BYTES];
	double rate_per_s;
	uint64_t count;       /* stop after as many; 0: no such bound */
	uint64_t duration_ns; /* stop starting new ones after that; 0: no such bound. One of the two is set */
	uint64_t timeout_ns;
	uint64_t hold_ns;     /* mode connect: stay connected for so long */
	uint64_t progress_ns; /* between progress lines on stderr; 0: none */
	enum sw_close close;
	uint32_t max_open;
};

struct sw_load_result {
	uint64_t sent;
	uint64_t not_sent; /* due, but max_open connections were open: the generator's own limit */
	uint64_t reset_later; /* mode connect: reset by the other end while held */
	uint64_t outcomes[SW_OUTCOME_COUNT];
	uint64_t late_max_us; /* worst delay of a start against the schedule */
	uint64_t elapsed_ns;
	struct sw_histogram latency; /* of those that ended OK */
};

/* 0, or -errno when it could not even begin. `*stop` set by a signal handler ends it early. */
int sw_load_run(const struct sw_load_options *options, struct sw_load_result *result, const volatile int *stop);

#endif
