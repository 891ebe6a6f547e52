/* SPDX-License-Identifier: BSD-3-Clause */
#include "retire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PORTS = 65536 };

struct work {
	const struct sw_target *claimed;
	struct sw_target *sorted; /* the same, for finding equal ones */
	uint32_t claimed_count;
	uint8_t *covered; /* by port: claimed, of the target that is looked at */
	struct sw_retired *out;
};

void sw_removed_name(const char *service, char out[SW_NAME_BYTES])
{
	snprintf(out, SW_NAME_BYTES, "%.*s" SW_REMOVED_SUFFIX, (int)(SW_NAME_BYTES - sizeof(SW_REMOVED_SUFFIX)), service);
}

void sw_retired_free(struct sw_retired *retired)
{
	free(retired->names);
	free(retired->targets);
	*retired = (struct sw_retired){0};
}

static int compare_targets(const void *a, const void *b)
{
	const struct sw_target *x = a, *y = b;
	int order = memcmp(x->server.address.bytes, y->server.address.bytes, 16);
	if (!order)
		order = (int)x->server.length - (int)y->server.length;
	if (!order)
		order = (int)x->port_first - (int)y->port_first;
	return order ? order : (int)x->port_last - (int)y->port_last;
}

static bool is_configured(const struct sw_spec *spec, const char *name)
{
	const struct sw_spec_service *services = spec->services.items;
	for (uint32_t i = 0; i < spec->services.count; i++)
		if (strcmp(services[i].name, name) == 0)
			return true;
	return false;
}

/* Marks what others have of the ports of `target`. */
static void cover(struct work *w, const struct sw_target *target)
{
	memset(w->covered, 0, PORTS);
	for (uint32_t i = 0; i < w->claimed_count; i++) {
		const struct sw_target *other = &w->claimed[i];
		if (other->server.length > target->server.length || other->port_last < target->port_first ||
		    other->port_first > target->port_last || !sw_prefix_contains(&other->server, &target->server.address))
			continue; /* a longer prefix wins by itself */
		memset(w->covered + other->port_first, 1, (size_t)other->port_last - other->port_first + 1);
	}
}

static uint32_t service_named(struct sw_retired *out, const char *name)
{
	for (uint32_t i = 0; i < out->service_count; i++)
		if (strcmp(out->names[i], name) == 0)
			return i;
	snprintf(out->names[out->service_count], SW_NAME_BYTES, "%s", name);
	return out->service_count++;
}

static int put(struct work *w, const char *name, const struct sw_target *target, uint32_t first, uint32_t last)
{
	struct sw_retired *out = w->out;
	struct sw_target kept = {.server = target->server, .port_first = (uint16_t)first, .port_last = (uint16_t)last};
	for (uint32_t i = 0; i < out->target_count; i++)
		if (compare_targets(&out->targets[i], &kept) == 0)
			return 0; /* two that overlapped, of which the same is left */
	if (w->claimed_count + out->target_count >= SW_TARGETS_MAX) {
		out->left_out++;
		return 0;
	}
	if ((out->target_count & (out->target_count - 1)) == 0) { /* full at every power of two */
		const size_t room = out->target_count ? 2 * (size_t)out->target_count : 1;
		struct sw_target *grown = realloc(out->targets, room * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		out->targets = grown;
	}
	kept.service = service_named(out, name);
	out->targets[out->target_count++] = kept;
	return 0;
}

/* What is left of one target of the previous policy, in as many pieces as there are. */
static int keep_rest(struct work *w, const char *name, const struct sw_target *target)
{
	int result = 0;
	if (w->claimed_count &&
	    bsearch(target, w->sorted, w->claimed_count, sizeof(*w->sorted), compare_targets)) /* most are unchanged */
		return 0;
	cover(w, target);
	for (uint32_t port = target->port_first; !result && port <= target->port_last; port++) {
		const uint32_t first = port;
		while (port <= target->port_last && !w->covered[port])
			port++;
		if (port > first)
			result = put(w, name, target, first, port - 1);
	}
	return result;
}

static int keep_all(struct work *w, const struct sw_compile_input *in)
{
	uint32_t count, service_count;
	const struct sw_service *services = sw_snapshot_array(in->previous, SW_SECTION_SERVICES, &service_count);
	const struct sw_target *targets = sw_snapshot_array(in->previous, SW_SECTION_TARGETS, &count);
	int result = 0;
	for (uint32_t i = 0; !result && i < count; i++) {
		char removed[SW_NAME_BYTES];
		if (targets[i].service >= service_count) /* a file may say anything */
			continue;
		const struct sw_service *service = &services[targets[i].service];
		if (service->slot >= SW_SERVICES_MAX || !in->keep[service->slot])
			continue;
		const char *name = sw_snapshot_text(in->previous, service->name);
		sw_removed_name(name, removed);
		result = keep_rest(w, is_configured(in->spec, name) ? removed : name, &targets[i]);
	}
	return result;
}

int sw_retire(
    const struct sw_compile_input *in, const struct sw_target *claimed, uint32_t claimed_count, struct sw_retired *out)
{
	uint32_t services;
	struct work w = {.claimed = claimed, .claimed_count = claimed_count, .out = out};
	int result = -ENOMEM;
	sw_snapshot_array(in->previous, SW_SECTION_SERVICES, &services);
	*out = (struct sw_retired){0};
	out->names = calloc(2 * (size_t)services + 1, sizeof(*out->names)); /* a service, and what it has lost */
	w.covered = malloc(PORTS);
	w.sorted = malloc((claimed_count + 1) * sizeof(*w.sorted));
	if (out->names && w.covered && w.sorted) {
		if (claimed_count) {
			memcpy(w.sorted, claimed, claimed_count * sizeof(*claimed));
			qsort(w.sorted, claimed_count, sizeof(*w.sorted), compare_targets);
		}
		result = keep_all(&w, in);
	}
	free(w.covered);
	free(w.sorted);
	return result;
}
