/* SPDX-License-Identifier: BSD-3-Clause */
/* Allow, deny and the members of groups: the same prefix twice, and prefixes that hold everybody. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_internal.h"

enum { ALLOW_LIST, DENY_LIST, FIRST_GROUP };

struct entry {
	const struct sw_spec_prefix *at;
	uint32_t list; /* ALLOW_LIST, DENY_LIST, FIRST_GROUP + group */
};

static int compare_places(const struct entry *x, const struct entry *y)
{
	const int order = memcmp(x->at->prefix.address.bytes, y->at->prefix.address.bytes, 16);
	return order ? order : (int)x->at->prefix.length - (int)y->at->prefix.length;
}

static int compare_entries(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int order = compare_places(x, y);
	if (!order)
		order = (x->list > y->list) - (x->list < y->list);
	if (!order)
		order = (x->at > y->at) - (x->at < y->at); /* in the order of the list: they lie in one array */
	return order;
}

static void list_path(const struct entry *e, char *out)
{
	if (e->list < FIRST_GROUP)
		snprintf(out, SW_PATH_BYTES, "%s[%u]", e->list == ALLOW_LIST ? "allow" : "deny", e->at->item);
	else
		snprintf(out, SW_PATH_BYTES, "groups[%u].prefixes[%u]", e->list - FIRST_GROUP, e->at->item);
}

/* A finding about a prefix stands where the prefix does, which may be a line of its own file. */
static void place(struct sw_finding *f, const struct entry *e)
{
	if (!f || !e->at->file)
		return;
	snprintf(f->file, sizeof(f->file), "%s", e->at->file);
	f->line = e->at->line;
	f->positioned = true;
}

static void check_pair(const struct entry *a, const struct entry *b, struct sw_report *report)
{
	char path[SW_PATH_BYTES], other[SW_PATH_BYTES], text[SW_PREFIX_TEXT_BYTES], before[SW_PATH_BYTES + 32];
	list_path(b, path);
	list_path(a, other);
	if (a->at->line)
		snprintf(before, sizeof(before), "%.200s, line %u", other, a->at->line);
	else
		snprintf(before, sizeof(before), "%s", other);
	sw_prefix_format(&b->at->prefix, text);
	if (a->list == b->list)
		place(sw_report_warn(
		          report, path, "keep one of them", "%s stands in the same list before (%.180s)", text, before),
		    b);
	else if (a->list == ALLOW_LIST && b->list == DENY_LIST)
		place(sw_report_warn(report, path, "take it out of one of the lists",
		          "%s is in allow too (%.150s), and deny wins", text, before),
		    b);
	else if (a->list >= FIRST_GROUP)
		place(sw_report_error(report, path, "a source belongs to one group; take it out of the other",
		          "%s belongs to %.180s too", text, before),
		    b);
}

static size_t add(struct entry *entries, size_t count, const struct sw_spec_list *list, uint32_t number)
{
	const struct sw_spec_prefix *prefixes = list->items;
	for (uint32_t i = 0; i < list->count; i++)
		entries[count++] = (struct entry){.at = &prefixes[i], .list = number};
	return count;
}

/* 0.0.0.0/0 and ::/0 make a policy that lets everybody pass, or nobody. */
static void check_everybody(const struct entry *e, struct sw_report *report)
{
	char path[SW_PATH_BYTES], text[SW_PREFIX_TEXT_BYTES];
	const uint8_t length = e->at->prefix.length;
	const bool everybody = length == 0 || (length == SW_IPV4_MAPPED_BITS && sw_address_is_ipv4(&e->at->prefix.address));
	if (!everybody || e->list >= FIRST_GROUP)
		return;
	list_path(e, path);
	sw_prefix_format(&e->at->prefix, text);
	place(sw_report_warn(report, path,
	          e->list == ALLOW_LIST ? "mode \"off\" says that more clearly"
	                                : "allow longer prefixes beside it, if that is meant",
	          "%s is everybody: %s", text, e->list == ALLOW_LIST ? "nothing is protected" : "all clients are dropped"),
	    e);
}

void sw_check_lists(struct sw_spec *spec, struct sw_report *report)
{
	const struct sw_spec_group *groups = spec->groups.items;
	size_t count = (size_t)spec->allow.count + spec->deny.count;
	for (uint32_t i = 0; i < spec->groups.count; i++)
		count += groups[i].prefixes.count;
	if (count > SW_PREFIXES_MAX) {
		sw_report_error(report, "", "join neighbours into shorter prefixes",
		    "%zu prefixes in all, and at most %d can be", count, (int)SW_PREFIXES_MAX);
		return;
	}
	struct entry *entries = calloc(count + 1, sizeof(*entries));
	if (!entries) {
		sw_report_error(report, "", NULL, "out of memory");
		return;
	}
	count = add(entries, 0, &spec->allow, ALLOW_LIST);
	count = add(entries, count, &spec->deny, DENY_LIST);
	for (uint32_t i = 0; i < spec->groups.count; i++)
		count = add(entries, count, &groups[i].prefixes, FIRST_GROUP + i);
	if (count)
		qsort(entries, count, sizeof(*entries), compare_entries);
	uint32_t needed = 0;
	for (size_t i = 0; i < count; i++) {
		const bool same =
		    i && entries[i].list == entries[i - 1].list && compare_places(&entries[i - 1], &entries[i]) == 0;
		needed += entries[i].list < FIRST_GROUP && !same;
		check_everybody(&entries[i], report);
		if (i && compare_places(&entries[i - 1], &entries[i]) == 0)
			check_pair(&entries[i - 1], &entries[i], report);
	}
	if (needed > spec->boot.entries_max)
		sw_report_error(report, "boot.entries",
		    "raise it (this needs a restart of the dataplane), or shorten the lists",
		    "%u entries of allow and deny, and room for %u", needed, spec->boot.entries_max);
	free(entries);
}
