/* SPDX-License-Identifier: BSD-3-Clause */
#include "limiter_table.h"

size_t sw_limiter_bytes(uint64_t entries, uint64_t *mask_out)
{
	uint64_t sets = 1;
	while (sets * SW_LIMITER_WAYS < entries)
		sets <<= 1;
	*mask_out = sets - 1;
	return sets * sizeof(struct sw_limiter_set);
}

/* The free way, otherwise the one that nothing pins and whose bucket has been full for longest; NULL: all are pinned. */
static struct sw_limiter_entry *least_deserving(struct sw_limiter_set *set, uint64_t now)
{
	struct sw_limiter_entry *victim = NULL;
	int64_t longest = INT64_MIN;

	for (unsigned int i = 0; i < SW_LIMITER_WAYS; i++) {
		struct sw_limiter_entry *e = &set->ways[i];
		if (e->fingerprint == 0)
			return e;
		const int64_t full_for = (int64_t)(now - e->tat);
		if (!(e->note & SW_NOTE_PINNED) && (victim == NULL || full_for > longest)) {
			longest = full_for;
			victim = e;
		}
	}
	return victim;
}

struct sw_limiter_entry *sw_limiter_insert(struct sw_limiter_table *t, uint64_t hash, uint64_t now,
	struct sw_limiter_entry *evicted)
{
	struct sw_limiter_entry *e = sw_limiter_find(t, hash);
	evicted->fingerprint = 0;
	if (e != NULL)
		return e;
	e = least_deserving(sw_limiter_set_of(t, hash), now);
	if (e == NULL)
		return NULL;
	*evicted = *e;
	if (e->fingerprint == 0)
		t->used++;
	*e = (struct sw_limiter_entry){.fingerprint = sw_limiter_fingerprint(hash), .tat = now};
	return e;
}

void sw_limiter_remove(struct sw_limiter_table *t, struct sw_limiter_entry *e)
{
	*e = (struct sw_limiter_entry){0};
	t->used--;
}
