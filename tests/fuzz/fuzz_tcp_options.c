/* SPDX-License-Identifier: BSD-3-Clause */
/* Any bytes as TCP options: offsets that are given lie within them, and what is written can be read again. */
#include "fuzz.h"
#include "tcp_options.h"

static void check(const uint8_t *data, unsigned int length, const struct sw_tcp_options *o)
{
	const int timestamps = (o->present & SW_OPTION_TIMESTAMPS) != 0, sack = (o->present & SW_OPTION_SACK) != 0;

	SW_PROMISE(timestamps == (o->timestamp_at >= 0));
	SW_PROMISE(sack == (o->sack_at >= 0) && sack == (o->sack_blocks > 0));
	SW_PROMISE(o->window_scale >= SW_WINDOW_SCALE_NONE && o->window_scale <= SW_WINDOW_SCALE_MAX);
	if (timestamps) {
		SW_PROMISE(o->timestamp_at >= 2 && (unsigned int)o->timestamp_at + 8 <= length);
		SW_PROMISE(data[o->timestamp_at - 2] == 8 && data[o->timestamp_at - 1] == 10);
	}
	if (sack) {
		SW_PROMISE(o->sack_blocks <= 4 && o->sack_at >= 2);
		SW_PROMISE((unsigned int)o->sack_at + o->sack_blocks * 8u <= length);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sw_tcp_options first, again;
	uint8_t written[SW_TCP_OPTIONS_MAX];
	unsigned int length;

	if (size > 64)
		return 0;
	if (!sw_tcp_options_parse(data, (unsigned int)size, &first))
		return 0;
	SW_PROMISE(size <= SW_TCP_OPTIONS_MAX);
	check(data, (unsigned int)size, &first);

	length = sw_tcp_options_write_syn(written, first.mss, first.window_scale, first.present & SW_OPTION_SACK_PERMITTED,
		first.present & SW_OPTION_TIMESTAMPS, first.tsval, first.tsecr);
	SW_PROMISE(length <= 20 && length % 4 == 0);
	SW_PROMISE(sw_tcp_options_parse(written, length, &again));
	check(written, length, &again);
	SW_PROMISE(again.mss == first.mss && again.window_scale == first.window_scale);
	SW_PROMISE(again.present == (first.present & (SW_OPTION_SACK_PERMITTED | SW_OPTION_TIMESTAMPS)));
	SW_PROMISE(again.tsval == first.tsval && again.tsecr == first.tsecr);
	return 0;
}
