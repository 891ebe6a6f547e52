/* SPDX-License-Identifier: BSD-3-Clause */
/* The handlers of routes.c; each answers one path. */
#ifndef SW_SERVER_HANDLERS_H
#define SW_SERVER_HANDLERS_H

#include "exchange.h"
#include "stream.h"

unsigned int sw_handle_index(struct sw_exchange *x);
unsigned int sw_handle_status(struct sw_exchange *x);
unsigned int sw_handle_stats(struct sw_exchange *x);
unsigned int sw_handle_services(struct sw_exchange *x);
unsigned int sw_handle_service(struct sw_exchange *x);
unsigned int sw_handle_history(struct sw_exchange *x);
unsigned int sw_handle_health(struct sw_exchange *x);
unsigned int sw_handle_sources(struct sw_exchange *x);
unsigned int sw_handle_prefixes(struct sw_exchange *x);
unsigned int sw_handle_why(struct sw_exchange *x);
unsigned int sw_handle_blocks(struct sw_exchange *x);
unsigned int sw_handle_incidents(struct sw_exchange *x);
unsigned int sw_handle_config(struct sw_exchange *x);
unsigned int sw_handle_metrics(struct sw_exchange *x);
unsigned int sw_handle_reload(struct sw_exchange *x);
unsigned int sw_handle_block_add(struct sw_exchange *x);
unsigned int sw_handle_block_remove(struct sw_exchange *x);
unsigned int sw_handle_check(struct sw_exchange *x);

/* An operator's block with the packets that it caught; takes the observer's lock. */
json_t *sw_view_block(struct sw_server *server, const struct sw_block *block);
/* The evidence about one address, a record for each service; takes the observer's lock. */
json_t *sw_view_evidence_of(struct sw_server *server, const struct sw_policy *policy, const struct sw_address *address);

#endif
