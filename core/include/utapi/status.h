/* SPDX-License-Identifier: Apache-2.0 */
/**
 * status.h - how the library says that something went wrong: a code to act on, a sentence to read.
 *
 * The caller brings the utapi_error, so nothing is shared between threads. Every function that takes
 * one accepts NULL. An error object is cleared by utapi_error_clear() and filled once: the first
 * detail wins, because it was written closest to the cause.
 */
#ifndef UTAPI_STATUS_H
#define UTAPI_STATUS_H

#include <stddef.h>

#define UTAPI_STATUS_MAP(X)                                                     \
    X(OK, "success")                                                            \
    X(INVALID, "the input breaks a rule")                                       \
    X(OVERFLOW, "an amount does not fit 64 bits")                               \
    X(UNAVAILABLE, "storage cannot take it now; nothing was stored; try again") \
    X(UNCERTAIN, "the outcome is not known; repeat it with the same uuids")     \
    X(FENCED, "the writer's fence is elsewhere; nothing was stored")            \
    X(NOT_SUPPORTED, "this backend cannot do that")                             \
    X(LOCKED, "another process uses this storage")                              \
    X(CORRUPT, "the storage holds what this version cannot read")               \
    X(NO_MEMORY, "out of memory")

typedef enum utapi_status {
#define X(name, text) UTAPI_##name,
    UTAPI_STATUS_MAP(X)
#undef X
} utapi_status;

/** utapi_error.index of an error that no single event is to blame for. */
#define UTAPI_NO_INDEX ((size_t)-1)

typedef struct utapi_error {
    utapi_status status; /* UTAPI_OK: nothing went wrong yet */
    size_t index;        /* the event to blame, or UTAPI_NO_INDEX */
    char detail[232];    /* one sentence: "newByteLength: expected an integer" */
} utapi_error;

#define UTAPI_MUST_USE __attribute__((warn_unused_result))

/** Makes *err say that nothing went wrong. err may be NULL. */
void utapi_error_clear(utapi_error *err);

/**
 * Records a failure, unless one is recorded already, and hands its status back, so that a function
 * fails in one line: `return utapi_fail(err, UTAPI_INVALID, "timeRange: start is after end");`
 *
 * @param status  not UTAPI_OK
 * @param format  as for printf; cut at the size of err->detail
 * @return status
 */
utapi_status utapi_fail(utapi_error *err, utapi_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** As utapi_fail(), blaming the event at index. */
utapi_status utapi_fail_at(utapi_error *err, utapi_status status, size_t index, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/** The text of a status, for logs. Never NULL; static storage. */
const char *utapi_status_text(utapi_status status);

#endif
