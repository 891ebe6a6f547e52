/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SW_CORE_PREFETCH_H
#define SW_CORE_PREFETCH_H

/*
 * Asks for a line of memory that will be read or written soon, any address: into the second-level cache, from where it is
 * at hand soon enough. The first-level cache has some two dozen lines on their way at a time; whoever asks it for more
 * waits until the next may go (docs/decisions/0022-ask-the-second-level.md).
 */
static inline void sw_prefetch(const void *line)
{
	__builtin_prefetch(line, 0, 2);
}

#endif
