/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A dataplane as far as its socket goes: takes snapshots, answers as the test says. One connection after the other and
 * several at once, in a thread of its own.
 */
#ifndef SW_TEST_FAKE_DATAPLANE_H
#define SW_TEST_FAKE_DATAPLANE_H

#include <pthread.h>
#include <stdbool.h>

#include "api/messages.h"

enum { FAKE_CLIENTS = 8 };

struct fake_dataplane {
	char path[256];
	int listener, stop[2];
	int clients[FAKE_CLIENTS];
	pthread_t thread;
	pthread_mutex_t lock; /* guards what follows */
	uint64_t generation;
	uint32_t next_status; /* enum sw_reply_status of the next publish; then OK again */
	bool silent;          /* publish is never answered */
	uint32_t publishes;
	uint32_t unanswered;  /* publishes that met silence */
	bool sealed;          /* the last memfd bore all four seals */
	struct sw_snapshot_header *snapshot; /* the last one taken; malloc'd */
};

/* Between stop and start: what the first publish is answered with. */
void fake_dataplane_prepare(struct fake_dataplane *d, uint32_t next_status);
/* `d` starts zeroed. */
void fake_dataplane_start(struct fake_dataplane *d, const char *runtime_dir, uint64_t generation);
void fake_dataplane_stop(struct fake_dataplane *d);

#endif
