/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers and times as a person reads them, and the other way round. Pure. */
#ifndef SW_CLI_FORMAT_H
#define SW_CLI_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SW_TEXT_BYTES = 40 };

/* 1,234,567; from ten thousand million on 12.35 G. Returns `out`. */
char *sw_format_count(int64_t value, char out[SW_TEXT_BYTES]);
/* Per second: 0, 0.4, 12, 8,012. */
char *sw_format_rate(double value, char out[SW_TEXT_BYTES]);
/* 1.5 Gbit/s from bytes per second. */
char *sw_format_bits(double bytes_per_s, char out[SW_TEXT_BYTES]);
/* 45 s, 12 min 5 s, 3 h 20 min, 2 d 4 h. */
char *sw_format_duration(uint64_t seconds, char out[SW_TEXT_BYTES]);
/* RFC 3339 in UTC, as the daemon writes it, to local time "2026-11-22 09:00:00"; "-" for NULL. */
char *sw_format_time(const char *rfc3339, char out[SW_TEXT_BYTES]);
/* The same to seconds since 1970; 0 when it is no such text. */
uint64_t sw_parse_time(const char *rfc3339);

/* "90", "90s", "15m", "1h", "2d", "1h30m" to seconds. False: no such text, 0, or above `maximum`. */
bool sw_parse_duration(const char *text, uint32_t maximum, uint32_t *seconds);

#endif
