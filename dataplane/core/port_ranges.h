/* SPDX-License-Identifier: BSD-3-Clause */
/* Overlapping port ranges made disjoint. Pure; never called by a worker. */
#ifndef SW_CORE_PORT_RANGES_H
#define SW_CORE_PORT_RANGES_H

#include <stdint.h>

struct sw_port_range {
	uint16_t first, last; /* host order, first <= last */
	uint32_t value;
};

/* Room needed for `count` ranges, in elements. */
#define SW_PORT_RANGES_OUT(count)     (2 * (size_t)(count) + 1)
#define SW_PORT_RANGES_SCRATCH(count) (3 * SW_PORT_RANGES_OUT(count))

/*
 * `ranges` in order of precedence: each gets the ports that none before it has. `out`: disjoint, sorted, neighbours of
 * equal value joined; `scratch` and `out`: of the sizes above. Returns how many. Takes count * log(count).
 */
uint32_t sw_port_ranges_flatten(
    const struct sw_port_range *ranges, uint32_t count, uint32_t *scratch, struct sw_port_range *out);

#endif
