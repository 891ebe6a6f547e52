/* SPDX-License-Identifier: BSD-3-Clause */
/* The control daemon: start list, event loop, reverse shutdown. */
#include "options.h"

int main(int argc, char **argv)
{
	struct sw_options options;
	const int code = sw_options_parse(argc, argv, &options);
	if (code >= 0)
		return code;
	if (sw_options_is_tool(&options))
		return sw_options_run(&options);
	return SW_EXIT_FAILED;
}
