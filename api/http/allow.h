/* SPDX-License-Identifier: Apache-2.0 */
/**
 * allow.h - lists of addresses that may use an endpoint (healthChecks.allowFrom and its kin).
 */
#ifndef HTTP_ALLOW_H
#define HTTP_ALLOW_H

#include "utapi/status.h"
#include "utapi/text.h"

#include <stdbool.h>

struct sockaddr;

/** One block of addresses: "127.0.0.1/8", "::1", "10.0.0.0/8". */
typedef struct allow_block {
    unsigned char address[16]; /* IPv4 as IPv4-mapped IPv6 (RFC 4291 2.5.5.2) */
    unsigned bits;             /* of the 128 that must be equal */
} allow_block;

typedef struct allow_list {
    allow_block *blocks; /* owned: freed by allow_list_done() */
    size_t count;
} allow_list;

/**
 * Adds a block given as text: an IPv4 or IPv6 address, with or without a prefix length.
 *
 * @return UTAPI_INVALID, quoting the text; UTAPI_NO_MEMORY
 */
UTAPI_MUST_USE utapi_status allow_list_add(allow_list *list, const char *text, utapi_error *err);

/** Whether an address is in one of the blocks. NULL (a call from within) always is. */
bool allow_list_has(const allow_list *list, const struct sockaddr *peer);

/** Adds the blocks to a text: "127.0.0.0/8, ::1". */
void allow_list_write(const allow_list *list, utapi_text *ret);

void allow_list_done(allow_list *list);

#endif
