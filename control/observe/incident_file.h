/* SPDX-License-Identifier: BSD-3-Clause */
/* Incidents as lines of JSON in a file of bounded size. For incidents.c. */
#ifndef SW_OBSERVE_INCIDENT_FILE_H
#define SW_OBSERVE_INCIDENT_FILE_H

#include <jansson.h>

#include "incidents.h"

/* Appends one line ("armed" or "disarmed" by whether it has ended), turning the file over first when it is full. 0 or
 * -errno. */
int sw_incident_append(const char *state_dir, const struct sw_incident *incident);

/* Calls `take` for every line of both files that can be read, oldest first. */
void sw_incident_load(
    const char *state_dir, void (*take)(void *context, const struct sw_incident *incident), void *context);

/* The line's JSON; also what GET /incidents shows. NULL without memory. */
json_t *sw_incident_json(const struct sw_incident *incident);

#endif
