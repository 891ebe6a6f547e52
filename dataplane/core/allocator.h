/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a table's memory comes from. The dataplane passes rte_malloc, so that tables lie on huge pages; tests pass
 * NULL wherever a struct sw_allocator is asked for: then it is malloc.
 */
#ifndef SW_CORE_ALLOCATOR_H
#define SW_CORE_ALLOCATOR_H

#include <stddef.h>

struct sw_allocator {
	/* `alignment` is a power of two, at most 4096. NULL when there is no memory. The bytes need not be zero. */
	void *(*allocate)(void *context, size_t bytes, size_t alignment);
	void (*release)(void *context, void *memory);
	void *context;
};

#endif
