/* SPDX-License-Identifier: BSD-3-Clause */
#include "promise.h"

/* Ethernet's 1,500 bytes less the two headers: the commonest server. Its own MSS is never larger on such a wire. */
enum { DEFAULT_MSS_IPV4 = 1460, DEFAULT_MSS_IPV6 = 1440 };

struct sw_promise sw_promise_default(bool is_ipv6)
{
	/* Scale 0 and not "none": the client may then use its own scale, and ours is right for any server that scales. */
	return (struct sw_promise){.mss = is_ipv6 ? DEFAULT_MSS_IPV6 : DEFAULT_MSS_IPV4, .window_scale = 0, .sack = 1,
		.timestamps = 1, .ecn = 0};
}

static struct sw_promise weaker(const struct sw_promise *a, const struct sw_promise *b)
{
	return (struct sw_promise){
		.mss = a->mss < b->mss ? a->mss : b->mss,
		.window_scale = a->window_scale < b->window_scale ? a->window_scale : b->window_scale,
		.sack = a->sack && b->sack,
		.timestamps = a->timestamps && b->timestamps,
		.ecn = a->ecn && b->ecn,
		.known = 1,
	};
}

bool sw_promise_hear(struct sw_promise_book *book, const struct sw_promise *answer)
{
	const bool first = !book->learned.known;
	book->gathered = book->gathered.known ? weaker(&book->gathered, answer) : *answer;
	book->gathered.known = 1;
	if (first)
		book->learned = book->gathered;
	return first;
}

static bool same(const struct sw_promise *a, const struct sw_promise *b)
{
	return a->mss == b->mss && a->window_scale == b->window_scale && a->sack == b->sack &&
		a->timestamps == b->timestamps && a->ecn == b->ecn;
}

void sw_promise_turn(struct sw_promise_book *book)
{
	const struct sw_promise heard = book->gathered;
	book->gathered = (struct sw_promise){.known = 0};
	if (!heard.known || same(&heard, &book->learned))
		return;
	const struct sw_promise weakest = weaker(&book->learned, &heard);
	if (!same(&weakest, &book->learned)) {
		if (book->raised && book->patience < SW_PROMISE_PATIENCE_MAX)
			book->patience = (uint16_t)(book->patience ? book->patience * 2 : 2);
		book->learned = weakest;
		book->raised = false;
		book->waited = 0;
	} else if (++book->waited >= book->patience) {
		book->learned = heard;
		book->raised = true;
		book->waited = 0;
	}
}

static uint8_t choose(int16_t set, uint8_t otherwise)
{
	return set == SW_BACKEND_LEARN ? otherwise : (uint8_t)(set > 0);
}

struct sw_promise sw_promise_make(const struct sw_promise_book *book, const struct sw_backend *backend, bool is_ipv6)
{
	struct sw_promise p = book->learned.known ? book->learned : sw_promise_default(is_ipv6);
	const int32_t mss = is_ipv6 ? backend->mss_ipv6 : backend->mss_ipv4;
	if (mss > 0)
		p.mss = (uint16_t)mss;
	if (backend->window_scale == SW_BACKEND_OFF)
		p.window_scale = -1;
	else if (backend->window_scale != SW_BACKEND_LEARN)
		p.window_scale = (int8_t)backend->window_scale;
	p.sack = choose(backend->sack, p.sack);
	p.timestamps = choose(backend->timestamps, p.timestamps);
	p.ecn = choose(backend->ecn, p.ecn);
	return p;
}

struct sw_promise sw_promise_make_first(const struct sw_promise_book *book, const struct sw_backend *backend,
	bool is_ipv6)
{
	struct sw_promise p = sw_promise_make(book, backend, is_ipv6);
	if (backend->window_scale == SW_BACKEND_LEARN && p.window_scale > 0) {
		p.window_scale = 0;
		p.known = 0;
	}
	return p;
}

bool sw_promise_is_set(const struct sw_backend *backend, bool is_ipv6)
{
	return (is_ipv6 ? backend->mss_ipv6 : backend->mss_ipv4) > 0 || backend->window_scale != SW_BACKEND_LEARN ||
		backend->sack != SW_BACKEND_LEARN || backend->timestamps != SW_BACKEND_LEARN ||
		backend->ecn != SW_BACKEND_LEARN;
}
