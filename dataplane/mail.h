/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Questions of housekeeping to workers. A letter stays alive until its worker has answered, however late: one that is
 * given up goes to a list of late ones and is freed when it comes back, or after the worker has ended.
 * Thread: housekeeping.
 */
#ifndef SW_MAIL_H
#define SW_MAIL_H

#include "worker_state.h"

struct sw_letter {
	struct sw_letter *next;
	struct sw_mail mail;
	struct sw_reply reply;
};

/* To one worker, or with SW_NONE to all. New letters stand at the head of *list. 0, -ENOMEM or -ENOBUFS. */
int sw_mail_send(struct sw_box *box, uint32_t worker, const struct sw_request *request, struct sw_letter **list);

/* Have all been answered? */
bool sw_mail_answered(const struct sw_letter *list);

/* Makes one reply of those in the list: counts add up; the explanation of the worker that has a record wins. */
void sw_mail_merge(const struct sw_letter *list, struct sw_reply *reply);

/* Frees the answered ones, moves the others to *late. */
void sw_mail_give_up(struct sw_letter **list, struct sw_letter **late);
/* Frees those of *late that have come back; `all`: every one (the workers have ended). */
void sw_mail_collect(struct sw_letter **late, bool all);

#endif
