/* SPDX-License-Identifier: BSD-3-Clause */
/* docs/api.md, made from the table of routes and the lists of api/verdicts.h; a test holds the committed file against
 * it. */
#ifndef SW_SERVER_MANUAL_H
#define SW_SERVER_MANUAL_H

#include <stdio.h>

void sw_api_manual(FILE *to);

#endif
