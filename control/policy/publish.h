/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The publisher: a thread that keeps a connection to the dataplane and sees to it that the dataplane has the snapshot
 * that its owner wants. It connects again when the dataplane comes back, and asks its owner what to publish then.
 *
 * Thread   open, close and wake from any; the owner's functions run in the publisher's thread, and must not call back.
 */
#ifndef SW_POLICY_PUBLISH_H
#define SW_POLICY_PUBLISH_H

#include "api/messages.h"

struct sw_publisher;

struct sw_publisher_owner {
	void *context;
	/*
	 * What is to be in force, given what the dataplane said last that it has. Returns a snapshot to publish, and a
	 * token for answered(); or NULL: nothing to do. The snapshot stays valid until answered() has been called.
	 */
	const struct sw_snapshot_header *(*wanted)(void *context, uint64_t in_force, void **token);
	/* The dataplane's answer, or `error` < 0 and no reply: it could not be asked. */
	void (*answered)(void *context, void *token, int error, const struct sw_reply *reply);
	/* The connection came or went; `in_force`: the generation that the dataplane greeted with. */
	void (*connected)(void *context, bool is_connected, uint64_t in_force);
};

struct sw_publisher_options {
	struct sw_publisher_owner owner;
	const char *socket_path;
	int wait_ms;  /* for the answer to a snapshot */
	int retry_ms; /* between tries to connect, and after SW_REPLY_BUSY */
};

/* 0 or -errno. */
int sw_publisher_open(const struct sw_publisher_options *options, struct sw_publisher **out);
/* Ends the thread; waits at most for an answer that is under way. */
void sw_publisher_close(struct sw_publisher *publisher);
/* Something else is wanted now. */
void sw_publisher_wake(struct sw_publisher *publisher);

#endif
