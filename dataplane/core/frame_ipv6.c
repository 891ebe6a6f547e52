/* SPDX-License-Identifier: BSD-3-Clause */
/* IPv6 extension headers (RFC 8200, 4). */
#include "frame_internal.h"

enum {
	EXTENSIONS_MAX = 8, /* RFC 8200, 4.1 names seven places, one of which may be taken twice; hosts see 0 to 2 */
	FRAGMENT_HEADER_BYTES = 8,
	AH_BYTES_MIN = 16, /* RFC 4302, 2: 12 and an ICV, a multiple of 8 in IPv6 */
	SEGMENTS_LEFT = 3, /* byte of the routing header */
};

static bool is_extension(uint8_t protocol)
{
	return protocol == SW_PROTO_HOP_BY_HOP || protocol == SW_PROTO_ROUTING || protocol == SW_PROTO_FRAGMENT ||
		   protocol == SW_PROTO_AH || protocol == SW_PROTO_DESTINATION_OPTIONS;
}

/* Length of the header at `h`, 8 bytes of which are there. 0: impossible. */
static uint32_t extension_bytes(uint8_t protocol, const uint8_t *h)
{
	if (protocol == SW_PROTO_FRAGMENT)
		return FRAGMENT_HEADER_BYTES;
	if (protocol == SW_PROTO_AH) {
		const uint32_t bytes = ((uint32_t)h[1] + 2) * 4; /* RFC 4302, 2.2 */

		return bytes < AH_BYTES_MIN || bytes % 8 != 0 ? 0 : bytes;
	}
	return ((uint32_t)h[1] + 1) * 8;
}

/* RFC 8200, 4.1: each at most once, destination options twice, hop-by-hop only first. `seen`: bits by number. */
static bool extension_in_place(uint8_t protocol, unsigned int position, uint64_t *seen)
{
	const uint64_t bit = 1ull << protocol; /* the highest of the five numbers is 60 */
	const uint64_t second = 1ull << 63;    /* of destination options */

	if (protocol == SW_PROTO_HOP_BY_HOP && position > 0)
		return false;
	if (*seen & bit && (protocol != SW_PROTO_DESTINATION_OPTIONS || *seen & second))
		return false;
	*seen |= *seen & bit ? second : bit;
	return true;
}

struct sw_extension_walk sw_frame_walk_extensions(const uint8_t *frame, uint32_t at, uint32_t end, uint8_t protocol)
{
	struct sw_extension_walk walk = {.at = at, .protocol = protocol};
	uint64_t seen = 0;

	for (unsigned int position = 0; is_extension(walk.protocol); position++) {
		const uint8_t *h = frame + walk.at;
		uint32_t bytes;

		walk.is_bad = true;
		if (position == EXTENSIONS_MAX || end - walk.at < 8 || !extension_in_place(walk.protocol, position, &seen))
			return walk;
		bytes = extension_bytes(walk.protocol, h);
		if (bytes == 0 || bytes > end - walk.at)
			return walk;
		/* With segments left the packet is not for this destination: source routing past us (RFC 5095). */
		if (walk.protocol == SW_PROTO_ROUTING && h[SEGMENTS_LEFT] != 0)
			return walk;
		walk.is_bad = false;
		walk.at += bytes;
		if (walk.protocol == SW_PROTO_FRAGMENT) {
			const uint16_t offset_and_more = sw_load_be16(h + 2); /* RFC 8200, 4.5 */

			walk.fragment_at = offset_and_more & 0xfff8;
			walk.more_fragments = offset_and_more & 1;
			walk.fragment_bytes = end - walk.at;
			walk.is_fragment = walk.fragment_at != 0 || walk.more_fragments;
		}
		walk.protocol = h[0];
		if (walk.fragment_at != 0)
			return walk;
	}
	return walk;
}
