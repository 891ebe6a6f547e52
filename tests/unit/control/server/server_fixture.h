/* SPDX-License-Identifier: BSD-3-Clause */
/* A real server over a made-up dataplane and a stand-in control, for tests and for whoever wants to look at it. */
#ifndef SW_TEST_SERVER_FIXTURE_H
#define SW_TEST_SERVER_FIXTURE_H

#include "../fake_region.h"
#include "server.h"

struct server_fixture {
	struct fake_region fake;
	struct sw_server *server; /* one Unix socket in fake.directory, one TCP port of the kernel's choice on 127.0.0.1 */
};

int server_fixture_open(void **state);
int server_fixture_close(void **state);

#endif
