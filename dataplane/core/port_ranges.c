/* SPDX-License-Identifier: BSD-3-Clause */
#include "port_ranges.h"

#include <stdlib.h>

#define NOBODY 0xffffffffu

/* The ports cut at every bound: segment i is bounds[i] to bounds[i + 1] - 1. */
struct segments {
	uint32_t *bounds;
	uint32_t *owners; /* index of the range that has the segment */
	uint32_t *next;   /* a segment at or behind it that may be free; itself: free */
	uint32_t count;   /* of bounds */
};

static int compare(const void *left, const void *right)
{
	const uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
	return a < b ? -1 : a > b;
}

static void cut(struct segments *s, const struct sw_port_range *ranges, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		s->bounds[2 * i] = ranges[i].first;
		s->bounds[2 * i + 1] = ranges[i].last + 1u;
	}
	qsort(s->bounds, (size_t)count * 2, sizeof(*s->bounds), compare);
	s->count = 0;
	for (uint32_t i = 0; i < count * 2; i++)
		if (i == 0 || s->bounds[i] != s->bounds[s->count - 1])
			s->bounds[s->count++] = s->bounds[i];
	for (uint32_t i = 0; i < s->count; i++) {
		s->owners[i] = NOBODY;
		s->next[i] = i;
	}
}

static uint32_t segment_of(const struct segments *s, uint32_t bound)
{
	const uint32_t *found = bsearch(&bound, s->bounds, s->count, sizeof(bound), compare);
	return (uint32_t)(found - s->bounds);
}

/* The first free segment at or behind `at`, shortening the way for the next search. */
static uint32_t find_free(uint32_t *next, uint32_t at)
{
	while (next[at] != at) {
		next[at] = next[next[at]];
		at = next[at];
	}
	return at;
}

static void share_out(struct segments *s, const struct sw_port_range *ranges, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const uint32_t end = segment_of(s, ranges[i].last + 1u);
		uint32_t at = find_free(s->next, segment_of(s, ranges[i].first));
		for (; at < end; at = find_free(s->next, at)) {
			s->owners[at] = i;
			s->next[at] = at + 1; /* the last bound begins no segment and stays free: the search ends there */
		}
	}
}

uint32_t sw_port_ranges_flatten(
    const struct sw_port_range *ranges, uint32_t count, uint32_t *scratch, struct sw_port_range *out)
{
	const size_t room = SW_PORT_RANGES_OUT(count);
	struct segments s = {.bounds = scratch, .owners = scratch + room, .next = scratch + 2 * room};
	uint32_t made = 0;
	if (!count)
		return 0;
	cut(&s, ranges, count);
	share_out(&s, ranges, count);
	for (uint32_t i = 0; i + 1 < s.count; i++) {
		if (s.owners[i] == NOBODY)
			continue;
		const uint32_t value = ranges[s.owners[i]].value;
		const uint16_t first = (uint16_t)s.bounds[i], last = (uint16_t)(s.bounds[i + 1] - 1);
		if (made && out[made - 1].value == value && out[made - 1].last + 1u == first)
			out[made - 1].last = last;
		else
			out[made++] = (struct sw_port_range){.first = first, .last = last, .value = value};
	}
	return made;
}
