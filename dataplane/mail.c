/* SPDX-License-Identifier: BSD-3-Clause */
#include "mail.h"

#include <errno.h>
#include <stdlib.h>

#include "idle.h"

static bool is_answered(const struct sw_letter *l)
{
	return atomic_load_explicit(&l->mail.done, memory_order_acquire) != 0; /* pairs with the worker's release */
}

static int send_one(struct sw_box *box, uint32_t worker, const struct sw_request *request, struct sw_letter **list)
{
	struct sw_letter *l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->mail.request = *request;
	l->mail.reply = &l->reply;
	if (rte_ring_sp_enqueue(box->workers[worker]->mail, &l->mail)) {
		free(l);
		return -ENOBUFS;
	}
	l->next = *list;
	*list = l;
	sw_idle_wake(&box->idles[worker]);
	return 0;
}

int sw_mail_send(struct sw_box *box, uint32_t worker, const struct sw_request *request, struct sw_letter **list)
{
	if (worker != SW_NONE)
		return send_one(box, worker, request, list);
	for (uint32_t i = 0; i < box->boot.workers; i++) {
		const int result = send_one(box, i, request, list);
		if (result)
			return result;
	}
	return 0;
}

bool sw_mail_answered(const struct sw_letter *list)
{
	for (; list; list = list->next)
		if (!is_answered(list))
			return false;
	return true;
}

void sw_mail_merge(const struct sw_letter *list, struct sw_reply *reply)
{
	bool has_explain = false;
	for (; list; list = list->next) {
		if (!is_answered(list))
			continue;
		reply->count += list->reply.count;
		if (list->reply.status != SW_REPLY_OK)
			reply->status = list->reply.status;
		if (!has_explain || list->reply.explain.has_record)
			reply->explain = list->reply.explain;
		has_explain = true;
	}
}

void sw_mail_give_up(struct sw_letter **list, struct sw_letter **late)
{
	while (*list) {
		struct sw_letter *l = *list;
		*list = l->next;
		l->next = *late;
		*late = l;
	}
	sw_mail_collect(late, false);
}

void sw_mail_collect(struct sw_letter **late, bool all)
{
	while (*late) {
		struct sw_letter *l = *late;
		if (!all && !is_answered(l)) {
			late = &l->next;
			continue;
		}
		*late = l->next;
		free(l);
	}
}
