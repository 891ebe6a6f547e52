/* SPDX-License-Identifier: BSD-3-Clause */
#include "tcp_options.h"

/* https://www.iana.org/assignments/tcp-parameters (TCP Option Kind Numbers) */
enum {
	KIND_END = 0,
	KIND_NOP = 1,
	KIND_MSS = 2,            /* RFC 9293, 3.2 */
	KIND_WINDOW_SCALE = 3,   /* RFC 7323, 2.2 */
	KIND_SACK_PERMITTED = 4, /* RFC 2018, 2 */
	KIND_SACK = 5,           /* RFC 2018, 3 */
	KIND_TIMESTAMPS = 8,     /* RFC 7323, 3.2 */
	KIND_MD5 = 19,           /* RFC 2385, 3.0 */
	KIND_AO = 29,            /* RFC 5925, 2.2 */
	KIND_MPTCP = 30,         /* RFC 8684, 3 */
	KIND_FAST_OPEN = 34,     /* RFC 7413, 4.1.1 */
	KIND_EXPERIMENT_1 = 253, /* RFC 6994, 3: two bytes follow that say which experiment */
	KIND_EXPERIMENT_2 = 254,
};

enum {
	EXPERIMENT_FAST_OPEN = 0xf989, /* IANA, TCP Experimental Option Experiment Identifiers */
	SACK_BLOCKS_MAX = 4,
};

static uint16_t load_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t load_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void store_be32(uint8_t *p, uint32_t value)
{
	p[0] = (uint8_t)(value >> 24);
	p[1] = (uint8_t)(value >> 16);
	p[2] = (uint8_t)(value >> 8);
	p[3] = (uint8_t)value;
}

/* `at`: of the kind byte. */
static bool take_timestamps(const uint8_t *options, unsigned int at, unsigned int size, struct sw_tcp_options *out)
{
	if (size != SW_TIMESTAMP_OPTION_BYTES || out->present & SW_OPTION_TIMESTAMPS)
		return false;
	out->present |= SW_OPTION_TIMESTAMPS;
	out->timestamp_at = (int16_t)(at + 2);
	out->tsval = load_be32(options + at + 2);
	out->tsecr = load_be32(options + at + 6);
	return true;
}

static bool take_sack(unsigned int at, unsigned int size, struct sw_tcp_options *out)
{
	const unsigned int blocks = (size - 2) / SW_SACK_BLOCK_BYTES;

	if (blocks < 1 || blocks > SACK_BLOCKS_MAX || size != 2 + blocks * SW_SACK_BLOCK_BYTES ||
		out->present & SW_OPTION_SACK)
		return false;
	out->present |= SW_OPTION_SACK;
	out->sack_at = (int16_t)(at + 2);
	out->sack_blocks = (uint8_t)blocks;
	return true;
}

/* One option with a length, `size` bytes of which are there: 2 or more. */
static bool take_option(const uint8_t *options, unsigned int at, unsigned int size, struct sw_tcp_options *out)
{
	const uint8_t *value = options + at + 2;

	switch (options[at]) {
	case KIND_MSS:
		if (size != 4)
			return false;
		out->mss = load_be16(value);
		return true;
	case KIND_WINDOW_SCALE:
		if (size != 3)
			return false;
		out->window_scale = (int8_t)(*value > SW_WINDOW_SCALE_MAX ? SW_WINDOW_SCALE_MAX : *value);
		return true;
	case KIND_SACK_PERMITTED:
		out->present |= SW_OPTION_SACK_PERMITTED;
		return size == 2;
	case KIND_SACK:
		return take_sack(at, size, out);
	case KIND_TIMESTAMPS:
		return take_timestamps(options, at, size, out);
	case KIND_MD5:
		out->present |= SW_OPTION_MD5;
		return size == 18;
	case KIND_AO:
		out->present |= SW_OPTION_AO;
		return size >= 4;
	case KIND_MPTCP:
		out->present |= SW_OPTION_MPTCP;
		return size >= 3;
	case KIND_FAST_OPEN:
		out->present |= SW_OPTION_FAST_OPEN;
		return true;
	case KIND_EXPERIMENT_1:
	case KIND_EXPERIMENT_2:
		out->present |= size >= 4 && load_be16(value) == EXPERIMENT_FAST_OPEN ? SW_OPTION_FAST_OPEN : SW_OPTION_UNKNOWN;
		return true;
	default:
		out->present |= SW_OPTION_UNKNOWN;
		return true;
	}
}

bool sw_tcp_options_parse(const uint8_t *options, unsigned int length, struct sw_tcp_options *out)
{
	static const uint8_t nop_nop_timestamps[4] = {KIND_NOP, KIND_NOP, KIND_TIMESTAMPS, SW_TIMESTAMP_OPTION_BYTES};

	*out = (struct sw_tcp_options){.timestamp_at = -1, .sack_at = -1, .window_scale = SW_WINDOW_SCALE_NONE};
	if (length > SW_TCP_OPTIONS_MAX)
		return false;
	/* What every segment of a connection with timestamps carries (RFC 7323, appendix A). */
	if (length == 12 && memcmp(options, nop_nop_timestamps, 4) == 0)
		return take_timestamps(options, 2, SW_TIMESTAMP_OPTION_BYTES, out);

	for (unsigned int at = 0; at < length;) {
		unsigned int size;

		if (options[at] == KIND_END)
			return true;
		if (options[at] == KIND_NOP) {
			at++;
			continue;
		}
		if (at + 1 >= length) /* a kind with no room for its length */
			return false;
		size = options[at + 1];
		if (size < 2 || size > length - at || !take_option(options, at, size, out))
			return false;
		at += size;
	}
	return true;
}

unsigned int sw_tcp_options_write_syn(uint8_t out[SW_TCP_OPTIONS_MAX], uint16_t mss, int8_t window_scale, bool sack,
	bool timestamps, uint32_t tsval, uint32_t tsecr)
{
	uint8_t *p = out;

	if (mss) {
		*p++ = KIND_MSS;
		*p++ = 4;
		*p++ = (uint8_t)(mss >> 8);
		*p++ = (uint8_t)mss;
	}
	if (sack || timestamps) {
		/* SACK-permitted takes the place of the padding in front of the timestamps, or has padding of its own. */
		p[0] = sack && timestamps ? KIND_SACK_PERMITTED : KIND_NOP;
		p[1] = sack && timestamps ? 2 : KIND_NOP;
		p[2] = timestamps ? KIND_TIMESTAMPS : KIND_SACK_PERMITTED;
		p[3] = timestamps ? SW_TIMESTAMP_OPTION_BYTES : 2;
		p += 4;
	}
	if (timestamps) {
		store_be32(p, tsval);
		store_be32(p + 4, tsecr);
		p += 8;
	}
	if (window_scale >= 0) {
		*p++ = KIND_NOP;
		*p++ = KIND_WINDOW_SCALE;
		*p++ = 3;
		*p++ = (uint8_t)window_scale;
	}
	return (unsigned int)(p - out);
}
