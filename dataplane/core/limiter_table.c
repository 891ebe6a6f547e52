/* SPDX-License-Identifier: BSD-3-Clause */
#include "limiter_table.h"

#include <string.h>

void sw_limiter_levels_make(struct sw_limiter_levels *out, const uint8_t *lengths, unsigned int count, bool is_ipv6)
{
	const unsigned int home_length = is_ipv6 ? SW_LIMITER_HOME_IPV6 : SW_IPV4_MAPPED_BITS + SW_LIMITER_HOME_IPV4;
	struct sw_address ones;

	memset(&ones, 0xff, sizeof(ones));
	*out = (struct sw_limiter_levels){.home = 0};
	for (unsigned int level = 0; level < count; level++) {
		const struct sw_address mask = sw_address_mask(ones, lengths[level]);
		memcpy(out->masks[level], mask.bytes, sizeof(mask.bytes));
		if (level != 0 && lengths[level] == home_length)
			out->home = level;
	}
	for (unsigned int level = 0; level < SW_PREFIX_LEVELS; level++) {
		const bool at_home = level != 0 && level == out->home;
		for (unsigned int kind = 0; kind <= SW_LIMITER_CONN; kind++)
			out->whats[kind][level][0] = (at_home ? SW_LIMITER_HOME : level) << 2 | kind;
		out->picks[level] = level * 2 + at_home;
	}
	out->picks[SW_PREFIX_LEVELS] = out->home * 2;
	out->at_home = 1u | 1u << out->home;
	for (unsigned int ways = 0; ways < sizeof(out->stays); ways++) {
		const bool source = ways % (1u << SW_LIMITER_WAYS) != 0, neighbourhood = ways >> SW_LIMITER_WAYS != 0;
		out->stays[ways] = (uint8_t)((unsigned int)source | (unsigned int)neighbourhood << out->home);
	}
}

size_t sw_limiter_bytes(uint64_t entries, uint64_t *mask_out)
{
	uint64_t sets = 1;
	while (sets * SW_LIMITER_WAYS < entries)
		sets <<= 1;
	*mask_out = sets - 1;
	return sets * sizeof(struct sw_limiter_set);
}

/* More than any debt in cycles: whoever has it stands behind all who have not. */
#define WIDE_DEBT (1ll << 62)

/* A free way, otherwise the one that nothing pins and whose bucket has been full for longest; NONE: all are pinned. */
static uint32_t least_deserving(const struct sw_limiter_table *t, uint64_t line_hash, uint64_t now, int64_t *full_for)
{
	const struct sw_limiter_set *set = sw_limiter_set_of(t, line_hash);
	const uint32_t first = (uint32_t)(line_hash & t->mask) * SW_LIMITER_WAYS;
	uint32_t victim = SW_LIMITER_NONE;

	*full_for = INT64_MIN;
	for (uint32_t way = 0; way < SW_LIMITER_WAYS; way++) {
		int64_t cycles = set->fingerprints[way] == 0 ? INT64_MAX : (int64_t)(now - set->tats[way]);
		if (cycles < 0 && set->fingerprints[way] & SW_LIMITER_WIDE)
			cycles -= WIDE_DEBT;
		if (cycles > *full_for && !(set->notes[way] & SW_NOTE_PINNED)) {
			*full_for = cycles;
			victim = first + way;
		}
	}
	return victim;
}

/* At home, if a place is free there or nobody has missed it for long; else wherever the less deserving entry stands. */
static uint32_t choose(struct sw_limiter_table *t, struct sw_limiter_key key, uint64_t now)
{
	int64_t at_home, elsewhere;
	const uint32_t home = least_deserving(t, key.home, now, &at_home);

	if (at_home >= SW_LIMITER_IDLE_CYCLES || ((key.hash ^ key.home) & t->mask) == 0)
		return home;
	const uint32_t other = least_deserving(t, key.hash, now, &elsewhere);
	if (other == SW_LIMITER_NONE || elsewhere <= at_home)
		return home;
	sw_limiter_set_of(t, key.home)->notes[0] |= SW_NOTE_MOVED;
	return other;
}

uint32_t sw_limiter_insert(struct sw_limiter_table *t, struct sw_limiter_key key, uint64_t now,
	struct sw_limiter_evicted *evicted)
{
	*evicted = (struct sw_limiter_evicted){0, 0};
	const uint32_t there = sw_limiter_find(t, key);
	if (there != SW_LIMITER_NONE)
		return there;
	const uint32_t at = choose(t, key, now);
	if (at == SW_LIMITER_NONE)
		return SW_LIMITER_NONE;
	struct sw_limiter_set *set = &t->sets[at / SW_LIMITER_WAYS];
	const unsigned int way = at % SW_LIMITER_WAYS;
	*evicted = (struct sw_limiter_evicted){set->fingerprints[way], set->notes[way] & ~SW_NOTE_MOVED};
	t->used += evicted->fingerprint == 0;
	t->taken_over += evicted->fingerprint != 0;
	set->fingerprints[way] = sw_limiter_fingerprint(key.hash);
	sw_limiter_set_note(t, at, 0);
	set->tats[way] = now;
	return at;
}
