/* SPDX-License-Identifier: BSD-3-Clause */
#include "table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *memory)
{
	if (memory)
		return memory;
	fprintf(stderr, "seawallctl: out of memory\n");
	exit(2);
}

void sw_table_open(struct sw_table *table, char *titles)
{
	memset(table, 0, sizeof(*table));
	char *save = NULL;
	for (char *t = strtok_r(titles, "|", &save); t && table->columns < SW_TABLE_COLUMNS; t = strtok_r(NULL, "|", &save))
		table->titles[table->columns++] = t;
}

void sw_table_row(struct sw_table *table, ...)
{
	if (table->rows == table->room) {
		table->room = table->room ? table->room * 2 : 16;
		table->cells = must(realloc(table->cells, (size_t)table->room * table->columns * sizeof(char *)));
	}
	va_list list;
	va_start(list, table);
	for (unsigned int i = 0; i < table->columns; i++) {
		const char *text = va_arg(list, const char *);
		table->cells[table->rows * table->columns + i] = must(strdup(text ? text : ""));
	}
	va_end(list);
	table->rows++;
}

/* Columns on a terminal: bytes that do not continue a UTF-8 sequence. Good for what we print. */
static unsigned int width_of(const char *text)
{
	unsigned int width = 0;
	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

static void print_cell(FILE *to, const char *text, unsigned int width, bool right, bool last)
{
	const unsigned int own = width_of(text), pad = width > own ? width - own : 0;
	if (right)
		fprintf(to, "%*s%s", (int)pad, "", text);
	else
		fprintf(to, "%s%*s", text, last ? 0 : (int)pad, "");
	fputs(last ? "\n" : "  ", to);
}

/* Prints a row without blanks at its end, and frees its cells. */
static void print_row(const struct sw_table *table, FILE *to, char **cells, const unsigned int *widths)
{
	unsigned int last = table->columns - 1;
	while (last && !cells[last][0])
		last--;
	for (unsigned int c = 0; c < table->columns; c++) {
		if (c <= last)
			print_cell(to, cells[c], widths[c], table->titles[c][0] == '>', c == last);
		free(cells[c]);
	}
}

void sw_table_print(struct sw_table *table, FILE *to, const char *empty)
{
	unsigned int widths[SW_TABLE_COLUMNS] = {0};
	for (unsigned int c = 0; c < table->columns; c++) {
		widths[c] = width_of(table->titles[c]) - (table->titles[c][0] == '>');
		for (unsigned int r = 0; r < table->rows; r++) {
			const unsigned int width = width_of(table->cells[r * table->columns + c]);
			if (width > widths[c])
				widths[c] = width;
		}
	}
	for (unsigned int c = 0; c < table->columns && table->rows; c++) {
		const bool right = table->titles[c][0] == '>';
		print_cell(to, table->titles[c] + right, widths[c], right, c + 1 == table->columns);
	}
	for (unsigned int r = 0; r < table->rows; r++)
		print_row(table, to, &table->cells[r * table->columns], widths);
	if (!table->rows && empty)
		fprintf(to, "%s\n", empty);
	free(table->cells);
	memset(table, 0, sizeof(*table));
}
