/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a new policy has given up of the one before, and what connections still run through. The dataplane translates
 * these as long as their packets belong to some service; so compile keeps the targets, in services that are retired:
 * mode off, no limits.
 *
 * Rules    a service that is gone retires under its name, and so keeps its slot and profile. Targets that a service has
 *          lost while it stays retire as "<name>~removed", which no configured service can be called. No address and
 *          port that the new policy claims is kept, however wide or narrow the two targets are: a retired target never
 *          takes a packet from a configured one.
 * Bounds   SW_TARGETS_MAX in all; slots are compile's affair.
 * Thread   any; pure.
 */
#ifndef SW_POLICY_RETIRE_H
#define SW_POLICY_RETIRE_H

#include "compile.h"

#define SW_REMOVED_SUFFIX "~removed"

struct sw_retired {
	char (*names)[SW_NAME_BYTES];
	struct sw_target *targets; /* .service: index into `names` */
	uint32_t service_count, target_count;
	uint32_t left_out; /* targets beyond SW_TARGETS_MAX */
};

/* Of `in`: spec, previous and keep, all there. `claimed`: the new policy's targets. 0 or -ENOMEM; *out is freed by the
 * caller either way. */
int sw_retire(const struct sw_compile_input *in, const struct sw_target *claimed, uint32_t claimed_count,
    struct sw_retired *out);
void sw_retired_free(struct sw_retired *retired);

/* The name under which lost targets of `service` retire. */
void sw_removed_name(const char *service, char out[SW_NAME_BYTES]);

#endif
