/* SPDX-License-Identifier: BSD-3-Clause */
/* Aligned tables on a terminal. Memory runs out loudly: a command line tool may end there. */
#ifndef SW_CLI_TABLE_H
#define SW_CLI_TABLE_H

#include <stdbool.h>
#include <stdio.h>

enum { SW_TABLE_COLUMNS = 16 };

struct sw_table {
	unsigned int columns, rows, room;
	const char *titles[SW_TABLE_COLUMNS]; /* a leading '>' aligns the column to the right, and is not printed */
	char **cells;                         /* rows * columns */
};

/* `titles`: separated by '|', e.g. "SERVICE|>SYN/s". Kept: must outlive the table. */
void sw_table_open(struct sw_table *table, char *titles);

/* One row; as many texts as there are columns, each copied; NULL is an empty cell. */
void sw_table_row(struct sw_table *table, ...);

/* Prints and frees it. Without rows: `empty`, or nothing when that is NULL. */
void sw_table_print(struct sw_table *table, FILE *to, const char *empty);

#endif
