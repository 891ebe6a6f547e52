/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A snapshot on its way into force. A large one takes some 100 ms to check and build, and the decision to arm must
 * not wait for it, so a thread of its own does that; housekeeping then puts the result in force.
 *
 * Thread   begin, done and finish: housekeeping. While a job runs, nobody else may touch `wire`, nor those of
 *          `ports` that steer.
 */
#ifndef SW_PUBLISH_H
#define SW_PUBLISH_H

#include <pthread.h>

#include "api/messages.h"
#include "policy.h"

struct sw_ports;
struct sw_wire;

/* What a snapshot has to fit into: the boot section and links that this process started with. */
struct sw_publish_limits {
	const struct sw_boot *boot;
	const struct sw_link *links;
	uint32_t link_count;
	uint64_t tsc_hz;
	struct sw_wire *wire;   /* NULL: no AF_XDP ports */
	struct sw_ports *ports; /* NULL: none whose NIC could steer (tests) */
};

struct sw_publish_job {
	int memfd;
	const struct sw_publish_limits *limits;
	pthread_t thread;
	_Atomic int done;
	/* When done: */
	enum sw_reply_status status;
	char text[256];
	struct sw_policy *policy; /* NULL: refused */
};

/* Takes the descriptor over. 0 or -errno. */
int sw_publish_begin(struct sw_publish_job *job, int memfd, const struct sw_publish_limits *limits);
bool sw_publish_done(const struct sw_publish_job *job);
/* Joins the thread (waits if it still runs). The policy, if any, is the caller's. */
void sw_publish_finish(struct sw_publish_job *job);

/*
 * Checks a mapped snapshot and builds its policy; the job's body, also used at start. OK, NEEDS_RESTART (with a
 * policy all the same) or REFUSED, with a text.
 */
enum sw_reply_status sw_publish_build(const void *snapshot, uint64_t bytes, const struct sw_publish_limits *limits,
	struct sw_policy **out, char *text, size_t text_bytes);

/* Name of the first field in which two boot sections or lists of links differ; NULL: none. Pure. */
const char *sw_boot_difference(const struct sw_boot *a, const struct sw_link *a_links, uint32_t a_count,
	const struct sw_boot *b, const struct sw_link *b_links, uint32_t b_count);

#endif
