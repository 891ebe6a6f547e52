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

#endif
