/* SPDX-License-Identifier: Apache-2.0 */
/**
 * engine.h - turns events into deltas, and stored totals into usage.
 *
 * The engine knows the rules of docs/specification.md and nothing of Redis, LMDB, HTTP or JSON. It owns one
 * committer thread, which writes what all request threads hand in as groups (docs/architecture.md#group-commit).
 * Thread-safe: one engine serves every request thread, and it holds no lock while storage works.
 */
#ifndef UTAPI_ENGINE_H
#define UTAPI_ENGINE_H

#include "utapi/backend_admin.h"
#include "utapi/clock.h"
#include "utapi/event.h"
#include "utapi/health.h"

typedef struct utapi_engine utapi_engine;

/** What is recorded, and how much may wait (docs/specification.md#recording). */
typedef struct utapi_engine_settings {
    utapi_level_set levels;         /* recorded; queries for the others give zeros */
    utapi_operation_set operations; /* counted */
    const char *component;          /* the service's name; copied */
    bool expire_metrics;            /* deleteBucket expires the bucket */
    int64_t expire_ttl_ms;          /* 0 or less: at once */
    size_t queue_events;            /* the most that may wait for the committer */
    utapi_clock clock;
} utapi_engine_settings;

/** Utapi's defaults: every level, every operation, component "s3", nothing expires; the system's clock. */
extern const utapi_engine_settings utapi_engine_defaults;

/**
 * Makes an engine and starts its committer.
 *
 * @param backend   borrowed: must outlive the engine, whose committer is its only writer
 * @param settings  borrowed for the call
 * @param ret       owned: free with utapi_engine_free()
 * @return UTAPI_INVALID for settings that cannot work; UTAPI_NO_MEMORY
 */
UTAPI_MUST_USE utapi_status utapi_engine_new(utapi_backend *backend, const utapi_engine_settings *settings,
                                             utapi_engine **ret, utapi_error *err);

/** Commits what waits, answers it, stops the committer. No call may be running or follow. NULL is fine. */
void utapi_engine_free(utapi_engine *engine);

/**
 * Told the outcome of submitted events, exactly once, from the committer's thread: it must be quick and
 * must not call the engine.
 *
 * @param status  UTAPI_OK           every event is durable (or was counted before: same uuid)
 *                UTAPI_OVERFLOW     a total would leave 64 bits; nothing of this request was stored
 *                UTAPI_UNAVAILABLE  storage has no room or does not answer; nothing was stored
 *                UTAPI_UNCERTAIN    the outcome is not known; the same events with the same uuids are safe
 * @param err     borrowed for the call; says why
 */
typedef void utapi_ingest_cb(void *ctx, utapi_status status, const utapi_error *err);

/**
 * Hands a request's events to the committer: all of them count, or none.
 *
 * @param events   borrowed until on_done was called (their strings too), unless an error is returned
 * @param on_done  called once if UTAPI_OK is returned, perhaps before this returns; otherwise never
 * @param err      says what went wrong; err->index is the event to blame
 * @return UTAPI_OK           they are under way
 *         UTAPI_INVALID      an event breaks a rule (utapi_event_check())
 *         UTAPI_UNAVAILABLE  too much waits already
 *         UTAPI_NO_MEMORY
 */
UTAPI_MUST_USE utapi_status utapi_engine_submit(utapi_engine *engine, const utapi_event *events, size_t count,
                                                utapi_ingest_cb *on_done, void *ctx, utapi_error *err);

/** As utapi_engine_submit(), but waits for the outcome and returns it. events are borrowed for the call. */
UTAPI_MUST_USE utapi_status utapi_engine_ingest(utapi_engine *engine, const utapi_event *events, size_t count,
                                                utapi_error *err);

/**
 * Does what an operator asks for, in the order of the events that come before and after it, and waits until that is
 * durable. Strings are borrowed for the call. A journal delivers it later.
 *
 * @return UTAPI_OK           the audit tells what came of it (utapi_engine_audit()), at once or when it is delivered;
 *                            also if the id was known
 *         UTAPI_INVALID      utapi_admin_act_check()
 *         UTAPI_UNCERTAIN    it may be done or not; the same act with the same id is safe. Others as ingest
 */
UTAPI_MUST_USE utapi_status utapi_engine_act(utapi_engine *engine, const utapi_admin_act *act,
                                             utapi_error *err);

/** What an act would come to: nothing is done. Strings of *ret are borrowed from the act. Errors as list. */
UTAPI_MUST_USE utapi_status utapi_engine_preview(utapi_engine *engine, const utapi_admin_act *act,
                                                 utapi_audit_row *ret, utapi_error *err);

/** As utapi_backend_audit(). */
UTAPI_MUST_USE utapi_status utapi_engine_audit(utapi_engine *engine, const utapi_audit_query *what,
                                               utapi_audit_cb *on_row, void *ctx, utapi_error *err);

/**
 * The usage of each named resource over a range (docs/specification.md#reply), as utapi_usage_clamp() makes it.
 *
 * @param range  from utapi_range_of() or utapi_range_recent()
 * @param ret    count of them, in the order of names
 * @return UTAPI_UNAVAILABLE, UTAPI_CORRUPT, UTAPI_OVERFLOW as storage answers; *ret is then undefined
 */
UTAPI_MUST_USE utapi_status utapi_engine_list(utapi_engine *engine, utapi_level level,
                                              const utapi_string *names, size_t count, utapi_range range,
                                              utapi_usage *ret, utapi_error *err);

/** Bytes that one resource stores now (GET /v2/storage). Errors as utapi_engine_list(). */
UTAPI_MUST_USE utapi_status utapi_engine_storage(utapi_engine *engine, utapi_level level, utapi_string name,
                                                 int64_t *ret_bytes, utapi_error *err);

/**
 * Whether a resource is known to the storage; true at a level that is not recorded. Where the storage cannot tell at
 * once (it stands behind a journal, or is a Redis): false. What waits to be stored may not be known.
 *
 * @return errors as utapi_engine_list()
 */
UTAPI_MUST_USE utapi_status utapi_engine_knows(utapi_engine *engine, utapi_level level, utapi_string name,
                                               bool *ret, utapi_error *err);

/**
 * Whether events can be accepted, and the figures of storage, journal and engine. Errors as utapi_engine_list():
 * *ret then holds what the engine and the journal know.
 *
 * It also refuses for ten seconds after events could not be stored (UTAPI_UNAVAILABLE, UTAPI_UNCERTAIN), unless
 * others were since.
 */
UTAPI_MUST_USE utapi_status utapi_engine_health(utapi_engine *engine, utapi_health *ret, utapi_error *err);

/**
 * What is not well beside storage, as utapi_engine_health() tells from now on; "": nothing any more. From any
 * thread.
 */
void utapi_engine_note(utapi_engine *engine, const char *warning);

/** The dead letters, as in backend_dead_letters.h; UTAPI_NOT_SUPPORTED where the storage keeps none. */
UTAPI_MUST_USE utapi_status utapi_engine_dead_letters(utapi_engine *engine, utapi_dead_letter_cb *on_letter,
                                                      void *ctx, utapi_error *err);

/**
 * Acknowledges dead letters and lost events, as in backend_dead_letters.h; UTAPI_NOT_SUPPORTED where the storage
 * keeps none.
 */
UTAPI_MUST_USE utapi_status utapi_engine_acknowledge(utapi_engine *engine, const utapi_acknowledgement *what,
                                                     utapi_error *err);

/** Which dead letters are pushed again or acknowledged: those with these ids, or the oldest ones. */
typedef struct utapi_letter_choice {
    const utapi_string *ids; /* borrowed for the call; NULL: all, but no more than UTAPI_LETTERS_AT_ONCE */
    size_t count;            /* of the ids: no more than that either */
} utapi_letter_choice;

enum { UTAPI_LETTERS_AT_ONCE = 10000 };

/**
 * Counts dead letters after all, at the levels at which they did not count, and drops them, all in one step: waits for
 * the outcome. Policies are not asked. One that is pushed twice counts once; an id that no letter has is passed over.
 *
 * @param ret_pushed  how many letters were found
 * @return as utapi_ingest_cb tells; UTAPI_INVALID for too many ids; UTAPI_NOT_SUPPORTED
 */
UTAPI_MUST_USE utapi_status utapi_engine_push_letters(utapi_engine *engine, const utapi_letter_choice *which,
                                                      size_t *ret_pushed, utapi_error *err);

/** Acknowledges dead letters. Otherwise as utapi_engine_push_letters(). */
UTAPI_MUST_USE utapi_status utapi_engine_acknowledge_letters(utapi_engine *engine,
                                                             const utapi_letter_choice *which,
                                                             size_t *ret_acknowledged, utapi_error *err);

/** The engine's wall clock. */
int64_t utapi_engine_now_ms(const utapi_engine *engine);

#endif
