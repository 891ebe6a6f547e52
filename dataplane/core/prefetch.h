/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SW_CORE_PREFETCH_H
#define SW_CORE_PREFETCH_H

#include <stdbool.h>

/*
 * Asks for a line of memory that will be read or written soon, any address: into the first-level cache if `near`, otherwise
 * into the second. The first has some two dozen lines on their way at a time; whoever asks it for more waits until the
 * next may go. The second takes more, but at times ignores what it is asked for. Which of the two pays, prefetch_choice.h
 * finds out (docs/decisions/0024-ask-either-level.md).
 */
static inline void sw_prefetch_to(bool near, const void *line)
{
	if (near)
		__builtin_prefetch(line, 0, 3);
	else
		__builtin_prefetch(line, 0, 2);
}

/* What the choice does not extend to: the prefix table below its root, services, counters of its entries, setups of flows. */
static inline void sw_prefetch(const void *line)
{
	sw_prefetch_to(false, line);
}

#endif
