/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench_eal.h"

#include <stddef.h>
#include <stdint.h>

#include <rte_eal.h>

#include "../../dataplane/memory.h"

enum { BUFFER_BYTES = 320 << 20, ARGUMENTS_MAX = 16 }; /* more than two pools take, or the largest table of the bare loop */

int bench_eal_start(const char *name, const char *lcores, bool *huge_out)
{
	const bool huge = sw_memory_huge_free() >= BUFFER_BYTES;
	const char *const common[] = {name, "--lcores", lcores, "--iova-mode=va", "--no-pci", "--no-telemetry", "--no-shconf",
		"--log-level=3", "--file-prefix", name};
	const char *const memory[2][4] = {{"--no-huge", "-m", "512"}, {"--in-memory"}};
	static char *arguments[ARGUMENTS_MAX]; /* EAL keeps them */
	int count = 0;

	for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++)
		arguments[count++] = (char *)(uintptr_t)common[i];
	for (const char *const *at = memory[huge]; *at != NULL; at++)
		arguments[count++] = (char *)(uintptr_t)*at;
	*huge_out = huge;
	return rte_eal_init(count, arguments) < 0 ? -1 : 0;
}
