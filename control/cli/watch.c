/* SPDX-License-Identifier: BSD-3-Clause */
/* seawallctl watch: follows the live stream and draws one compact screen, again with each sample. */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "commands.h"
#include "format.h"
#include "table.h"

enum { DROPS_SHOWN = 8 };

struct screen {
	FILE *out;
	bool json, terminal;
	uint32_t left; /* samples to show; 0: no end */
};

struct drop {
	const char *reason;
	double rate;
};

static int by_rate(const void *a, const void *b)
{
	const double x = ((const struct drop *)a)->rate, y = ((const struct drop *)b)->rate;
	return x < y ? 1 : x > y ? -1 : 0;
}

static void show_drops(FILE *out, const json_t *sample)
{
	struct drop drops[128];
	size_t count = 0;
	const char *reason;
	json_t *rate;
	json_object_foreach(sw_at(sample, "rates.dropped"), reason, rate) if (count < sizeof(drops) / sizeof(drops[0]))
	    drops[count++] = (struct drop){reason, json_number_value(rate)};
	qsort(drops, count, sizeof(drops[0]), by_rate);
	struct sw_table table;
	char titles[] = "DROPPED BECAUSE OF|>NOW/s|>TOTAL";
	sw_table_open(&table, titles);
	for (size_t i = 0; i < count && i < DROPS_SHOWN; i++) {
		char now[SW_TEXT_BYTES], total[SW_TEXT_BYTES];
		sw_table_row(&table, drops[i].reason, sw_format_rate(drops[i].rate, now),
		    sw_format_count(
		        json_integer_value(json_object_get(sw_at(sample, "accounting.dropped"), drops[i].reason)), total));
	}
	sw_table_print(&table, out, "Nothing is being dropped.");
}

static void show_packets(FILE *out, const json_t *sample)
{
	static const struct {
		const char *key, *name;
	} rows[] = {{"rx", "received"}, {"forwarded", "forwarded"}, {"answered", "answered"}, {"absorbed", "absorbed"},
	    {"dropped_total", "dropped"}};
	struct sw_table table;
	char titles[] = "PACKETS|>NOW/s|>TOTAL";
	sw_table_open(&table, titles);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char now[SW_TEXT_BYTES], total[SW_TEXT_BYTES];
		sw_table_row(&table, rows[i].name, sw_format_rate(sw_number_at(sw_at(sample, "rates"), rows[i].key), now),
		    sw_format_count(sw_int_at(sw_at(sample, "accounting"), rows[i].key), total));
	}
	char text[SW_TEXT_BYTES];
	sw_table_row(&table, "unaccounted", "", sw_format_count(sw_int_at(sample, "accounting.unaccounted"), text));
	sw_table_print(&table, out, NULL);
}

static void draw(FILE *out, const json_t *sample)
{
	char time[SW_TEXT_BYTES], flows[SW_TEXT_BYTES], sources[SW_TEXT_BYTES], proven[SW_TEXT_BYTES];
	fprintf(out, "Seawall  %s  dataplane %s, health %s%s%s\n\n", sw_format_time(sw_text_at(sample, "time"), time),
	    sw_text_at(sample, "dataplane"), sw_text_at(sample, "health"), sw_text_at(sample, "worst")[0] ? ": " : "",
	    sw_text_at(sample, "worst"));
	sw_show_service_table(out, sw_at(sample, "services"));
	if (sw_int_at(sample, "services_left_out"))
		fprintf(out, "and %lld more services\n", (long long)sw_int_at(sample, "services_left_out"));
	fputc('\n', out);
	show_packets(out, sample);
	fprintf(out, "\n%s flows, %s sources known, %s of them own their address\n\n",
	    sw_format_count(sw_int_at(sample, "flows"), flows), sw_format_count(sw_int_at(sample, "sources"), sources),
	    sw_format_count(sw_int_at(sample, "sources_proven"), proven));
	show_drops(out, sample);
}

/* Lines longer than the terminal are cut, and those below its end left out: a screen that wraps cannot be redrawn. */
static void put_screen(FILE *out, char *text)
{
	struct winsize size = {.ws_row = 24, .ws_col = 80};
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || !size.ws_row || !size.ws_col)
		size = (struct winsize){.ws_row = 24, .ws_col = 80};
	fputs("\033[H", out);
	unsigned int row = 1;
	for (char *line = text, *next; *line && row < size.ws_row; line = next, row++) {
		next = strchrnul(line, '\n');
		const int length = (int)(next - line);
		fprintf(out, "%.*s\033[K\n", length < size.ws_col ? length : size.ws_col, line);
		next += *next == '\n';
	}
	fputs("\033[J", out);
	fflush(out);
}

static bool take(void *context, const char *data)
{
	struct screen *s = context;
	if (s->json) {
		fprintf(s->out, "%s\n", data);
		fflush(s->out);
	} else {
		json_t *sample = json_loads(data, 0, NULL);
		char *text = NULL;
		size_t bytes = 0;
		FILE *to = sample ? open_memstream(&text, &bytes) : NULL;
		if (to) {
			draw(to, sample);
			fclose(to);
			if (s->terminal)
				put_screen(s->out, text);
			else
				fprintf(s->out, "%s\n", text), fflush(s->out);
			free(text);
		}
		json_decref(sample);
	}
	return !ferror(s->out) && (!s->left || --s->left);
}

int sw_command_watch(struct sw_invocation *in)
{
	struct screen s = {.out = in->out, .json = in->given[SW_OPTION_JSON] != NULL, .terminal = isatty(STDOUT_FILENO)};
	if (in->given[SW_OPTION_LIMIT]) {
		char *rest;
		const unsigned long n = strtoul(in->given[SW_OPTION_LIMIT], &rest, 10);
		if (*rest || !n || n > UINT32_MAX) {
			fprintf(stderr, "seawallctl: --limit: a number of samples is expected\n");
			return SW_EXIT_USAGE;
		}
		s.left = (uint32_t)n;
	}
	if (s.terminal && !s.json)
		fputs("\033[2J", s.out);
	return (int)sw_client_follow(&in->client, "/stream", take, &s);
}
