/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "schema.h"

int sw_schema_print_schema(FILE *to)
{
	(void)to;
	return -ENOSYS;
}

int sw_schema_print_manual(FILE *to)
{
	(void)to;
	return -ENOSYS;
}
