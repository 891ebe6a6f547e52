/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Incidents: the times in which a service in mode `auto` was armed. Found in the samples, kept in a ring, and written
 * as JSON lines to <state directory>/incidents.jsonl, which is turned over at SW_INCIDENT_FILE_BYTES: with the one
 * before it at most twice that, however long a weekend is.
 *
 * After a restart of the daemon an incident that still runs goes on under its old start; what happened while the daemon
 * was away is missing from its sums, and `interrupted` says so.
 *
 * Thread   one at a time; the observer's lock.
 */
#ifndef SW_OBSERVE_INCIDENTS_H
#define SW_OBSERVE_INCIDENTS_H

#include "collect.h"
#include "evidence.h"

enum {
	SW_INCIDENTS_KEPT = 256,
	SW_INCIDENT_OFFENDERS = 10,
	SW_INCIDENT_FILE_BYTES = 1 << 20,
};

struct sw_offender {
	struct sw_address address;
	uint8_t proof; /* enum sw_proof: echoed or better */
	bool blocked;
	uint64_t conns, refused, syns;
};

struct sw_incident {
	char service[SW_NAME_BYTES];
	uint32_t slot;
	uint64_t start_unix_ns, end_unix_ns; /* end 0: it runs */
	uint32_t peak_syn_per_s;
	bool interrupted;                                       /* the sums miss what happened while nobody looked */
	uint64_t syns, answered, dropped, cookies, connections; /* meanwhile, towards this service */
	uint32_t sources, proven,
	    offenders; /* records seen since the start: all, proven, and of these refused or blocked */
	uint32_t top_count;
	struct sw_offender top[SW_INCIDENT_OFFENDERS]; /* by refusals */
};

struct sw_incidents;

/* `state_dir` NULL: in memory alone. Reads what earlier runs wrote; a broken line is skipped. 0 or -ENOMEM. */
int sw_incidents_open(const char *state_dir, struct sw_incidents **out);
void sw_incidents_close(struct sw_incidents *incidents);

/* Takes a sample in. `evidence`: a recent scan, or NULL when there is none. */
void sw_incidents_add(
    struct sw_incidents *incidents, const struct sw_sample *sample, const struct sw_evidence *evidence);

/* Does any incident run now? While one does, evidence is worth scanning. */
bool sw_incidents_running(const struct sw_incidents *incidents);

/* Newest first: index 0 .. sw_incidents_count() - 1. */
uint32_t sw_incidents_count(const struct sw_incidents *incidents);
const struct sw_incident *sw_incidents_get(const struct sw_incidents *incidents, uint32_t index);

/* 0, or the -errno with which the file could not be written last. */
int sw_incidents_error(const struct sw_incidents *incidents);

#endif
