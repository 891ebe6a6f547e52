/* SPDX-License-Identifier: BSD-3-Clause */
/* docs/man/seawallctl.1, made from the tables of options and commands; a test holds the committed file against it. */
#ifndef SW_CLI_MANUAL_H
#define SW_CLI_MANUAL_H

#include <stdio.h>

void sw_cli_manual(FILE *to);

#endif
