/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What was observed, as JSON. Each function makes a new object, or NULL without memory. Times are RFC 3339 text in UTC
 * (null: never), durations and rates carry their unit in the name or are per second, counters are whole numbers since
 * dataplane.started.
 */
#ifndef SW_SERVER_VIEWS_H
#define SW_SERVER_VIEWS_H

#include "exchange.h"
#include "health.h"

/* Takes the observer's lock. */
json_t *sw_view_status(struct sw_server *server);
json_t *sw_view_stats(struct sw_server *server);
json_t *sw_view_services(struct sw_server *server);
/* NULL with *missing set: no service of this name. */
json_t *sw_view_service(struct sw_server *server, const char *name, bool *missing);
json_t *sw_view_history(struct sw_server *server);
json_t *sw_view_sample(struct sw_server *server); /* for the stream: small */
json_t *sw_view_health(struct sw_server *server, enum sw_health_status *status);

/* Under the observer's lock. */
void sw_server_judge(struct sw_server *server, const struct sw_sample *s, struct sw_health *out);

/* Pieces, put into `to` under `key`. */
void sw_put_count(json_t *to, const char *key, uint64_t value);
void sw_put_number(json_t *to, const char *key, double value); /* one digit behind the point */
void sw_put_time(json_t *to, const char *key, uint64_t unix_ns);
void sw_put_text(json_t *to, const char *key, const char *text); /* text that is no UTF-8: "" */
json_t *sw_view_accounting(const struct sw_sample *s);
json_t *sw_view_counters(const struct sw_counters *c); /* of a service: dispositions, dropped, refused, events */
json_t *sw_view_rates(const struct sw_rates *rates);

extern const char *const sw_count_names[SW_COUNT_COUNT];
extern const char *const sw_count_help[SW_COUNT_COUNT];
extern const char *const sw_drop_names[SW_DROP_REASON_COUNT];
extern const char *const sw_drop_help[SW_DROP_REASON_COUNT];
extern const char *const sw_wire_names[SW_WIRE_COUNTER_COUNT];
extern const char *const sw_wire_help[SW_WIRE_COUNTER_COUNT];
extern const char *const sw_mode_names[SW_MODES];

#endif
