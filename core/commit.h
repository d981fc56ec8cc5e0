/* SPDX-License-Identifier: Apache-2.0 */
/**
 * commit.h - group commit: one thread writes for all that wait (docs/architecture.md#group-commit). Internal.
 *
 * Requests queue up; the committer takes all of them, hands them to the backend as one batch, and
 * answers each. While it syncs, the next group gathers: the slower the disk, the larger the group.
 */
#ifndef UTAPI_COMMIT_H
#define UTAPI_COMMIT_H

#include "utapi/clock.h"
#include "utapi/health.h"

typedef struct utapi_committer utapi_committer;

/** Told the outcome of a request, once, from the committer's thread: what utapi_ingest_cb (engine.h) promises. */
typedef void utapi_request_cb(void *ctx, utapi_status status, const utapi_error *err);

/** The entries of one request, and whom to tell. */
typedef struct utapi_request {
    struct utapi_request *next; /* the committer's own */
    utapi_request_cb *on_done;
    void *ctx;
    bool is_sorted; /* its entries are not in the order in which the events came */
    bool is_alone;  /* it is committed in no company: an operator's act */
    size_t count;
    utapi_entry entries[];
} utapi_request;

/** A request with room for count entries; freed with free(), or handed to utapi_committer_submit(). */
utapi_request *utapi_request_new(size_t count);

/**
 * Starts the thread.
 *
 * @param backend       borrowed
 * @param clock         copied
 * @param queue_events  the most entries that may wait; one request alone may be larger
 * @param ret           owned: utapi_committer_free()
 */
UTAPI_MUST_USE utapi_status utapi_committer_new(utapi_backend *backend, const utapi_clock *clock,
                                                size_t queue_events, utapi_committer **ret, utapi_error *err);

/** Commits and answers what waits, then stops the thread. NULL is fine. */
void utapi_committer_free(utapi_committer *committer);

/**
 * Queues a request. Thread-safe.
 *
 * @param request  the committer's if UTAPI_OK is returned, and answered exactly once; otherwise still the caller's
 * @return UTAPI_UNAVAILABLE if too much waits
 */
UTAPI_MUST_USE utapi_status utapi_committer_submit(utapi_committer *committer, utapi_request *request,
                                                   utapi_error *err);

/**
 * Adds what the committer knows: while the last group could not be stored, and for not more than ten seconds after it,
 * no event is accepted. Until others are stored it is not certain after that either. Thread-safe.
 *
 * @param ret  in and out: refuses, warning, recovering, and commit
 */
void utapi_committer_health(utapi_committer *committer, utapi_health *ret);

#endif
