/* SPDX-License-Identifier: BSD-3-Clause */
/* One connection to the dataplane's socket (api/messages.h). Thread: one at a time for one connection. */
#ifndef SW_POLICY_DATAPLANE_LINK_H
#define SW_POLICY_DATAPLANE_LINK_H

#include "api/messages.h"

/* A descriptor or -errno. Close it with close(). */
int sw_dataplane_connect(const char *path);

/*
 * Sends a request, with a descriptor when `attached` is not -1, and waits for the reply. 0; -ETIMEDOUT; -EPROTO: the
 * answer is no reply of this version; -ECONNRESET: the dataplane is gone. After an error the connection is useless.
 */
int sw_dataplane_call(int connection, const struct sw_request *request, int attached, struct sw_reply *reply,
	int timeout_ms);

/* Connects, asks, closes. */
int sw_dataplane_ask(const char *path, const struct sw_request *request, struct sw_reply *reply, int timeout_ms);

/* A memfd with these bytes, sealed against every change, or -errno. */
int sw_sealed_memfd(const char *name, const void *data, size_t bytes);

#endif
