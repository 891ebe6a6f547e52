/* SPDX-License-Identifier: BSD-3-Clause */
#include "manual.h"

#include "commands.h"

/* Text as roff wants it: no backslash is taken for an escape, no line for a request. */
static void put(FILE *to, const char *text)
{
	for (const char *c = text; *c; c++) {
		if ((c == text || c[-1] == '\n') && (*c == '.' || *c == '\''))
			fputs("\\&", to);
		if (*c == '\\')
			fputs("\\e", to);
		else if (*c == '-')
			fputs("\\-", to);
		else if (*c == '`')
			fputs("\\(dq", to);
		else
			fputc(*c, to);
	}
}

static void put_option(FILE *to, enum sw_option option)
{
	const struct sw_option_line *o = &sw_options[option];
	fprintf(to, ".TP\n.BR \\-%c \", \" \\-\\-", o->letter);
	put(to, o->name);
	if (o->argument)
		fprintf(to, " \" \" \\fI%s\\fR", o->argument);
	fputc('\n', to);
	put(to, o->help);
	fputc('\n', to);
}

static void put_command(FILE *to, const struct sw_command *c)
{
	fprintf(to, ".SS %s %s\n", c->name, c->arguments);
	put(to, c->help);
	fputc('\n', to);
	if (c->more[0]) {
		fputs(".nf\n", to);
		put(to, c->more);
		fputs(".fi\n", to);
	}
	for (int i = SW_OPTIONS_EVERYWHERE; i < SW_OPTION_COUNT; i++)
		if (c->options & (1u << i))
			put_option(to, (enum sw_option)i);
}

void sw_cli_manual(FILE *to)
{
	fputs(".\\\" Made from the tables of seawallctl. To renew it:\n"
	      ".\\\" build/tests/unit/control/cli/test_cli_manual --print > docs/man/seawallctl.1\n"
	      ".TH SEAWALLCTL 1 \"\" \"Seawall\" \"Seawall\"\n"
	      ".SH NAME\nseawallctl \\- ask and tell the Seawall daemon\n"
	      ".SH SYNOPSIS\n.B seawallctl\n[\\fIOPTIONS\\fR] \\fICOMMAND\\fR [\\fIARGUMENTS\\fR]\n"
	      ".SH DESCRIPTION\nAsks the control daemon of a Seawall box what the box does, and tells it what to do. "
	      "Output is a table for a\n"
	      "person; with \\fB\\-\\-json\\fR it is the daemon's JSON as it is.\n"
	      ".SH OPTIONS\n",
	    to);
	for (int i = 0; i < SW_OPTIONS_EVERYWHERE; i++)
		put_option(to, (enum sw_option)i);
	fputs(".SH COMMANDS\n", to);
	for (unsigned int i = 0; i < sw_command_count; i++)
		put_command(to, &sw_commands[i]);
	fputs(".SH EXIT STATUS\n"
	      ".TP\n.B 0\nDone.\n"
	      ".TP\n.B 1\nThe daemon refused, found nothing, or the box is not healthy.\n"
	      ".TP\n.B 2\nWrong usage.\n"
	      ".TP\n.B 3\nNo daemon answers.\n"
	      ".SH ENVIRONMENT\n.TP\n.B SEAWALL_RUNTIME_DIR\nThe runtime directory, when \\fB\\-\\-runtime\\-dir\\fR is "
	      "not given.\n"
	      ".SH FILES\n.TP\n.I /run/seawall/INSTANCE/seawalld.sock\nThe daemon's socket.\n"
	      ".SH SEE ALSO\n.BR seawalld (8)\n",
	    to);
}
