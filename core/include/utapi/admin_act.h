/* SPDX-License-Identifier: Apache-2.0 */
/**
 * admin_act.h - what an operator does to one resource, and the row of the audit that tells of it.
 *
 * An act is stored as an entry of a batch is: durable, through a journal in its order, and once. Its id decides: an
 * act whose id stands in the audit is not done again, however often it is repeated. Plain data and pure functions.
 */
#ifndef UTAPI_ADMIN_ACT_H
#define UTAPI_ADMIN_ACT_H

#include "utapi/interval.h"
#include "utapi/metric.h"

/* How long an id may be, in hexadecimal digits of lower case; and who and why, in bytes. */
enum { UTAPI_ADMIN_ID_MIN = 32, UTAPI_ADMIN_ID_MAX = 64, UTAPI_ADMIN_TEXT_MAX = 1000 };

/*      name in code  name in paths, answers and the audit */
#define UTAPI_ADMIN_MAP(X) \
    X(ADJUST, "adjust")    \
    X(EXPIRE, "expire")

typedef enum utapi_admin_kind {
#define X(name, text) UTAPI_ADMIN_##name,
    UTAPI_ADMIN_MAP(X)
#undef X
        UTAPI_ADMIN_KIND_COUNT
} utapi_admin_kind;

/** "adjust", ... Static storage. */
const char *utapi_admin_kind_name(utapi_admin_kind kind);

/** An act. Strings are borrowed. */
typedef struct utapi_admin_act {
    utapi_admin_kind kind;
    utapi_level level; /* of the one resource that it changes, with the next */
    utapi_string name;
    int64_t time_ms; /* adjust: it counts at this time's interval; expire: as of when (backend_admin.h) */
    utapi_amounts amounts; /* adjust: what is added, no amount beyond 64 bits */
    utapi_string id;       /* made by whoever asks, at random */
    utapi_string who, reason;
    int64_t asked_ms;     /* wall clock */
    utapi_string refused; /* why it cannot be done: nothing but its row is stored then; absent: it is done */
} utapi_admin_act;

/** What came of an act. */
typedef struct utapi_audit_row {
    utapi_admin_act act;
    utapi_interval interval; /* where it counted: later than asked for if the resource expired since */

    /* What utapi_admin_watched() says: states as they stand now, flows in the interval. Of a refused act neither. */
    utapi_amounts before, after;
} utapi_audit_row;

/** The metrics that the row of an act shows: both states, and the flows that it adjusts. */
uint64_t utapi_admin_watched(const utapi_admin_act *act);

/**
 * Whether an act may be asked for: names and texts are text of the length that they may have, the time is no more than
 * an interval ahead of now_ms, an adjustment has amounts. UTAPI_INVALID, naming the field.
 */
UTAPI_MUST_USE utapi_status utapi_admin_act_check(const utapi_admin_act *act, int64_t now_ms,
                                                  utapi_error *err);

/** No stored row of the act takes more bytes. */
size_t utapi_audit_row_max(const utapi_admin_act *act);

/**
 * Writes a row in its stored form, with a checksum.
 *
 * @param buffer  of utapi_audit_row_max() bytes
 * @return the bytes written
 */
size_t utapi_audit_row_encode(const utapi_audit_row *row, unsigned char *buffer);

/** Reads one; its strings are borrowed from the bytes. Trusts nothing. UTAPI_CORRUPT. */
UTAPI_MUST_USE utapi_status utapi_audit_row_decode(const void *data, size_t size, utapi_audit_row *ret,
                                                   utapi_error *err);

#endif
