/* SPDX-License-Identifier: BSD-3-Clause */
#include "publish.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/snapshot_check.h"
#include "ports/port.h"
#include "wire/wire.h"

static enum sw_reply_status refuse(char *text, size_t text_bytes, const char *why)
{
	snprintf(text, text_bytes, "%s", why);
	return SW_REPLY_REFUSED;
}

#define FIELD(name) {#name, offsetof(struct sw_boot, name), sizeof(((struct sw_boot *)0)->name)}

const char *sw_boot_difference(const struct sw_boot *a, const struct sw_link *a_links, uint32_t a_count,
	const struct sw_boot *b, const struct sw_link *b_links, uint32_t b_count)
{
	static const struct {
		const char *name;
		size_t offset, bytes;
	} fields[] = {FIELD(instance), FIELD(workers), FIELD(cores), FIELD(housekeeping_core), FIELD(hugepages),
		FIELD(steer), FIELD(fail_mode), FIELD(heartbeat_timeout_ms), FIELD(idle_sleep_us), FIELD(mbufs),
		FIELD(rx_descriptors), FIELD(tx_descriptors), FIELD(flows), FIELD(source_records), FIELD(limiter_entries),
		FIELD(held_pkts), FIELD(services_max), FIELD(groups_max), FIELD(entries_max)};
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (memcmp((const char *)a + fields[i].offset, (const char *)b + fields[i].offset, fields[i].bytes))
			return fields[i].name;
	if (a_count != b_count || memcmp(a_links, b_links, a_count * sizeof(*a_links)))
		return "links";
	return NULL;
}

/* sw_snapshot_check() held it against its own boot section; the tables here were sized by another. */
static bool fits(const void *snapshot, const struct sw_boot *boot, char *text, size_t text_bytes)
{
	uint32_t count;
	const struct sw_service *services = sw_snapshot_services(snapshot, &count);
	for (uint32_t i = 0; i < count; i++) {
		if (services[i].slot >= boot->services_max) {
			snprintf(text, text_bytes, "services[%" PRIu32 "].slot %" PRIu32 ": the running dataplane has room for %"
				PRIu32 " services; restart it", i, services[i].slot, boot->services_max);
			return false;
		}
	}
	const struct sw_group *groups = sw_snapshot_groups(snapshot, &count);
	for (uint32_t i = 0; i < count; i++) {
		if (groups[i].slot >= boot->groups_max) {
			snprintf(text, text_bytes, "groups[%" PRIu32 "].slot %" PRIu32 ": the running dataplane has room for %"
				PRIu32 " groups; restart it", i, groups[i].slot, boot->groups_max);
			return false;
		}
	}
	const struct sw_prefix_rule *rules = sw_snapshot_prefixes(snapshot, &count);
	for (uint32_t i = 0; i < count; i++) {
		if (rules[i].kind != SW_RULE_GROUP && rules[i].target >= boot->entries_max) {
			snprintf(text, text_bytes, "prefixes[%" PRIu32 "].target %" PRIu32 ": the running dataplane has room for %"
				PRIu32 " entries; restart it", i, rules[i].target, boot->entries_max);
			return false;
		}
	}
	return true;
}

enum sw_reply_status sw_publish_build(const void *snapshot, uint64_t bytes, const struct sw_publish_limits *limits,
	struct sw_policy **out, char *text, size_t text_bytes)
{
	*out = NULL;
	text[0] = '\0';
	if (sw_snapshot_check(snapshot, bytes, text, text_bytes) || !fits(snapshot, limits->boot, text, text_bytes))
		return SW_REPLY_REFUSED;
	int result = sw_policy_build(snapshot, bytes, limits->tsc_hz, out);
	if (result)
		return refuse(text, text_bytes, "no memory for the new policy");
	/* Before the workers get it: what the new policy protects must be steered here when they do. */
	if (limits->wire) {
		char why[160] = "";
		result = sw_wire_publish(limits->wire, (*out)->snapshot, why, sizeof(why));
		if (result) {
			snprintf(text, text_bytes, "XDP program: %s", why[0] ? why : strerror(-result));
			sw_policy_free(*out);
			*out = NULL;
			return SW_REPLY_REFUSED;
		}
	}
	if (limits->ports)
		sw_ports_steer(limits->ports, (*out)->snapshot);
	uint32_t link_count;
	const struct sw_link *links = sw_snapshot_links(snapshot, &link_count);
	const char *field = sw_boot_difference(limits->boot, limits->links, limits->link_count,
		sw_snapshot_boot(snapshot), links, link_count);
	if (!field)
		return SW_REPLY_OK;
	snprintf(text, text_bytes, "boot.%s differs from what this dataplane started with; the rest is in force", field);
	return SW_REPLY_NEEDS_RESTART;
}

static void *run(void *arg)
{
	struct sw_publish_job *job = arg;
	const int needed = F_SEAL_SHRINK | F_SEAL_WRITE;
	struct stat st;
	const int seals = fcntl(job->memfd, F_GET_SEALS);
	job->status = SW_REPLY_REFUSED;
	if (seals < 0 || (seals & needed) != needed) {
		refuse(job->text, sizeof(job->text), "the snapshot must be a memfd sealed against shrinking and writing");
	} else if (fstat(job->memfd, &st) || st.st_size < (off_t)sizeof(struct sw_snapshot_header) ||
		(uint64_t)st.st_size > SW_SNAPSHOT_MAX_BYTES) {
		refuse(job->text, sizeof(job->text), "the snapshot has an impossible size");
	} else {
		const uint64_t bytes = (uint64_t)st.st_size;
		void *snapshot = mmap(NULL, bytes, PROT_READ, MAP_SHARED, job->memfd, 0);
		if (snapshot == MAP_FAILED) {
			refuse(job->text, sizeof(job->text), "the snapshot cannot be mapped");
		} else {
			job->status = sw_publish_build(snapshot, bytes, job->limits, &job->policy, job->text, sizeof(job->text));
			munmap(snapshot, bytes);
		}
	}
	atomic_store_explicit(&job->done, 1, memory_order_release); /* pairs with sw_publish_done() */
	return NULL;
}

int sw_publish_begin(struct sw_publish_job *job, int memfd, const struct sw_publish_limits *limits)
{
	memset(job, 0, sizeof(*job));
	job->memfd = memfd;
	job->limits = limits;
	const int result = pthread_create(&job->thread, NULL, run, job);
	if (result)
		close(memfd);
	return -result;
}

bool sw_publish_done(const struct sw_publish_job *job)
{
	return atomic_load_explicit(&job->done, memory_order_acquire) != 0;
}

void sw_publish_finish(struct sw_publish_job *job)
{
	pthread_join(job->thread, NULL);
	close(job->memfd);
}
