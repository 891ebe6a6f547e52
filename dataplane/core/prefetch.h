/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SW_CORE_PREFETCH_H
#define SW_CORE_PREFETCH_H

/*
 * Both ask for a line of memory that will be read or written, any address (docs/decisions/0022-ask-far-then-near.md).
 *
 * sw_prefetch()      soon: into the first-level cache. That has some two dozen lines on their way at a time; whoever asks
 *                    it for more waits until the next may go.
 * sw_prefetch_far()  a whole burst at a time, a stage or a step ahead: into the second level, which takes more, but may
 *                    ignore it, and at times ignores all of them. So whoever reads asks again, near, some packets ahead of
 *                    the one that it is at.
 */
static inline void sw_prefetch(const void *line)
{
	__builtin_prefetch(line, 0, 3);
}

static inline void sw_prefetch_far(const void *line)
{
	__builtin_prefetch(line, 0, 2);
}

#endif
