/* SPDX-License-Identifier: BSD-3-Clause */
/* What a stage decides about a packet. The reasons for drops and everything counted are in api/verdicts.h. */
#ifndef SW_VERDICT_H
#define SW_VERDICT_H

enum sw_verdict {
	SW_PENDING,  /* no stage has decided yet */
	SW_FORWARD,  /* leaves at the other end of its link */
	SW_DROP,     /* freed; sw_burst.reasons says why */
	SW_ANSWER,   /* its frame was turned into an answer, leaves where it came from */
	SW_ABSORB,   /* consumed; freed */
	SW_ABSORBED_AND_REUSED, /* consumed; its frame, rewritten into one of our own, leaves at the other end */
	SW_ABSORBED_AND_RETURNED, /* likewise, but leaves where it came from */
	SW_HOLD,     /* kept with its flow; the flow owns the mbuf now */
	SW_HANDED_OVER, /* gone to the worker that owns the client */
};

#endif
