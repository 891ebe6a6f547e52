/* SPDX-License-Identifier: BSD-3-Clause */
#include "server_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "fake_control.h"

int server_fixture_open(void **state)
{
	static const struct fake_region_shape shape = {.workers = 2,
	    .links = 1,
	    .services_max = 8,
	    .groups_max = 4,
	    .entries_max = 16,
	    .source_records_per_worker = 64};
	struct server_fixture *x = calloc(1, sizeof(*x));
	struct sw_spec_listen listen = {.port = 0};
	sw_address_parse("127.0.0.1", &listen.address);
	const struct sw_spec_control settings = {.listen = {.items = &listen, .count = 1},
	    .socket_mode = 0600,
	    .socket_group = "",
	    .sample_interval_ms = 1000,
	    .history_s = 300};
	char error[256] = "";
	fake_region_open(&x->fake, &shape);
	fake_control_reset(x->fake.directory);
	fake_service(&x->fake, 0, "tracker");
	const struct sw_server_options options = {
	    .runtime_dir = x->fake.directory, .state_dir = x->fake.directory, .settings = &settings};
	if (sw_server_open(&options, &x->server, error, sizeof(error))) {
		fprintf(stderr, "%s\n", error);
		return -1;
	}
	*state = x;
	return 0;
}

int server_fixture_close(void **state)
{
	struct server_fixture *x = *state;
	sw_server_close(x->server);
	fake_region_close(&x->fake);
	free(x);
	return 0;
}
