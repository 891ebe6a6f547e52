/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests of the control daemon to the dataplane: one struct sw_request, answered by one struct sw_reply, over the
 * SOCK_SEQPACKET Unix socket <runtime directory>/dataplane.sock (mode 0600). Housekeeping answers, one request at a
 * time, in order, from several connections; a request never touches a packet's path except through a worker's mailbox.
 * A message of another size or version is answered with SW_REPLY_BAD_REQUEST and the connection closed.
 */
#ifndef SW_API_MESSAGES_H
#define SW_API_MESSAGES_H

#include "region.h"

#define SW_MESSAGE_VERSION 1u
#define SW_SOCKET_NAME "dataplane.sock"
#define SW_REGION_NAME "region"

enum sw_request_kind {
	SW_REQUEST_HELLO,   /* reply.generation: in force */
	SW_REQUEST_PUBLISH, /* one memfd with the snapshot attached (SCM_RIGHTS), sealed against shrinking and writing */
	SW_REQUEST_UNBLOCK, /* lift blocks that the dataplane itself set on `address`; reply.count: how many were lifted */
	SW_REQUEST_EXPLAIN, /* what the owner of `address` knows of it, towards `service_slot` */
};

struct sw_request {
	uint32_t version; /* SW_MESSAGE_VERSION */
	uint32_t kind;    /* enum sw_request_kind */
	struct sw_address address;
	uint32_t service_slot; /* EXPLAIN; SW_NONE with UNBLOCK: all services */
	uint32_t reserved;
};

enum sw_reply_status {
	SW_REPLY_OK,
	SW_REPLY_BAD_REQUEST, /* message of another version, size or kind */
	SW_REPLY_REFUSED,     /* snapshot refused; `text` names section, index and field. The running policy stays */
	SW_REPLY_NEEDS_RESTART, /* snapshot accepted except its boot section, which differs; `text` names the first field */
	SW_REPLY_BUSY,        /* a worker did not answer within 100 ms */
};

/* One bucket: what it may hold and holds now. All 0 where the policy sets no limit. */
struct sw_bucket_fill {
	uint32_t per_s, burst;
	uint32_t available; /* tokens now */
	uint32_t reserved;
};

struct sw_explain {
	uint8_t rule;    /* enum sw_rule_kind that decides, or SW_RULE_KINDS: none */
	uint8_t armed;
	uint8_t proof;   /* enum sw_proof; meaningful when has_record */
	uint8_t has_record;
	uint32_t entry;  /* entry number of the rule, or SW_NONE */
	uint32_t group;  /* slot of its group, or SW_NONE */
	uint32_t worker; /* that owns the address */
	struct sw_source_record record;
	struct {
		struct sw_bucket_fill syn, conn;
		uint32_t concurrent, concurrent_limit;
	} levels[SW_PREFIX_LEVELS], in_group, in_service; /* the worker's share where a budget spans workers */
};

struct sw_reply {
	uint32_t version;
	uint32_t status;     /* enum sw_reply_status */
	uint64_t generation; /* of the policy in force after the request */
	uint32_t count;
	uint32_t reserved;
	char text[256];      /* for a person; empty when all is well */
	struct sw_explain explain;
};

#endif
