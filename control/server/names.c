/* SPDX-License-Identifier: BSD-3-Clause */
/* The names and help texts of everything counted, from the lists in api/verdicts.h. */
#include "views.h"

#define NAME(name, json, help) json,
#define HELP(name, json, help) help,

const char *const sw_count_names[SW_COUNT_COUNT] = {SW_DISPOSITIONS(NAME) SW_EVENTS(NAME)};
const char *const sw_count_help[SW_COUNT_COUNT] = {SW_DISPOSITIONS(HELP) SW_EVENTS(HELP)};
const char *const sw_drop_names[SW_DROP_REASON_COUNT] = {SW_DROP_REASONS(NAME)};
const char *const sw_drop_help[SW_DROP_REASON_COUNT] = {SW_DROP_REASONS(HELP)};
const char *const sw_wire_names[SW_WIRE_COUNTER_COUNT] = {SW_WIRE_COUNTERS(NAME)};
const char *const sw_wire_help[SW_WIRE_COUNTER_COUNT] = {SW_WIRE_COUNTERS(HELP)};
const char *const sw_mode_names[SW_MODES] = {
    [SW_MODE_OFF] = "off", [SW_MODE_MONITOR] = "monitor", [SW_MODE_AUTO] = "auto", [SW_MODE_ALWAYS] = "always"};

_Static_assert((int)SW_COUNT_SENT_SYN_ACK == (int)SW_DISPOSITION_COUNT, "events follow the dispositions without a gap");
