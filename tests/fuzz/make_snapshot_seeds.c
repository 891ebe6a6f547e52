/* SPDX-License-Identifier: BSD-3-Clause */
/* Writes the seed inputs of fuzz_snapshot: make_snapshot_seeds DIRECTORY. In C, so that the layouts are the real ones.
 */
#include <stdio.h>

#include "../unit/core/snapshot_draft.h"

static int failed;

static void write_seed(const char *directory, const char *name, struct draft *d)
{
	char path[4096];
	uint64_t bytes;
	void *snapshot = draft_seal(d, &bytes);
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	FILE *file = fopen(path, "wb");
	failed |= !file || fwrite(snapshot, 1, bytes, file) != bytes;
	if (file)
		failed |= fclose(file) != 0;
	free(snapshot);
}

static void targets(struct draft *d)
{
	static const char *const servers[] = {
	    "10.20.0.10", "fd00:20::10", "10.20.0.0/24", "fd00:20::/64", "0.0.0.0/0", "::/0"};
	draft_init(d);
	draft_service(d, "tracker", SW_MODE_AUTO);
	draft_service(d, "web", SW_MODE_ALWAYS);
	draft_service(d, "mail", SW_MODE_MONITOR);
	for (uint16_t i = 0; i < 6; i++) {
		draft_target(d, servers[i], (uint16_t)(80 + i), (uint16_t)(80 + i), 0);
		draft_target(d, servers[i], 70, 90, 1);
		draft_target(d, servers[i], 1, 65535, 2);
	}
}

static void rules(struct draft *d)
{
	static const char *const prefixes[] = {"0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3", "::/0",
		"2000::/3", "2001:db8::/32", "2001:db8:1::/48", "2001:db8:1::1"};
	draft_init(d);
	draft_group(d, "one");
	draft_group(d, "two");
	for (uint32_t i = 0; i < 10; i++)
		for (uint8_t kind = 0; kind < SW_RULE_KINDS; kind++)
			if ((i + kind) % 3)
				draft_rule(
				    d, prefixes[i], kind, kind == SW_RULE_GROUP ? i % 2 : i, kind == SW_RULE_BLOCK ? i * 100 : 0);
}

int main(int argc, char **argv)
{
	struct draft d;
	uint64_t seed = 1;
	if (argc != 2)
		return 2;
	draft_init(&d);
	write_seed(argv[1], "least", &d);
	targets(&d);
	write_seed(argv[1], "targets", &d);
	d.targets[3].service = 9;
	write_seed(argv[1], "target-without-service", &d);
	rules(&d);
	write_seed(argv[1], "rules", &d);
	d.prefixes[2].prefix.length = 130;
	write_seed(argv[1], "rule-too-long", &d);
	draft_init(&d);
	d.counts[SW_SECTION_PREFIXES] = DRAFT_MANY;
	for (int i = 0; i < DRAFT_MANY; i++) {
		const uint8_t length = (uint8_t)(128 - random_below(&seed, 33));
		d.prefixes[i] = (struct sw_prefix_rule){.kind = (uint8_t)(i % 3), .target = (uint32_t)i,
			.prefix = {sw_address_mask(random_address(&seed, i % 2), length), length, {0}}};
	}
	write_seed(argv[1], "rules-random", &d);
	draft_init(&d);
	d.links[1] = d.links[0];
	d.counts[SW_SECTION_LINKS] = 2;
	write_seed(argv[1], "device-twice", &d);
	draft_init(&d);
	d.links[0].ends[0].kind = SW_DEVICE_VDEV;
	strcpy(d.links[0].ends[0].device, "net_pcap0,rx_pcap=in.pcap,tx_pcap=out.pcap");
	d.boot.workers = SW_WORKERS_MAX;
	d.global.level_count = 4;
	d.global.levels[3].ipv4_length = 8;
	d.global.levels[3].ipv6_length = 32;
	write_seed(argv[1], "four-levels", &d);
	return failed;
}
