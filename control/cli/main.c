/* SPDX-License-Identifier: BSD-3-Clause */
#include <locale.h>

#include "commands.h"

int main(int argc, char **argv)
{
	setlocale(LC_CTYPE, "");
	return sw_cli_run(argc, argv, stdout);
}
