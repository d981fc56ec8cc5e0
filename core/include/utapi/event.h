/* SPDX-License-Identifier: Apache-2.0 */
/**
 * event.h - what a storage server reports of one S3 request, in one shape for both of its forms.
 *
 * A V2 event brings its deltas; a V1 event brings an action and parameters, which
 * utapi_event_of_action() turns into deltas by the table of docs/specification.md#actions (core/actions.def).
 * All functions are pure; all strings are borrowed.
 */
#ifndef UTAPI_EVENT_H
#define UTAPI_EVENT_H

#include "utapi/metric.h"

/* Why an event is kept as a dead letter instead of being counted (docs/specification.md#dead-letters). The first four
 * are policies of a server's door. A reason's position is its number in stored letters.
 *    name in code  name in answers */
#define UTAPI_REASON_MAP(X)        \
    X(EARLY, "early")              \
    X(LATE, "late")                \
    X(AMOUNT, "amount")            \
    X(NEW_RESOURCE, "newResource") \
    X(OVERFLOW, "overflow")        \
    X(INVALID, "invalid")          \
    X(CORRUPT, "corrupt")          \
    X(FENCED, "fenced")            \
    X(OTHER, "other")

typedef enum utapi_reason {
#define X(name, text) UTAPI_REASON_##name,
    UTAPI_REASON_MAP(X)
#undef X
        UTAPI_REASON_COUNT
} utapi_reason;

/** "early", "late", ... Static storage. */
const char *utapi_reason_name(utapi_reason reason);

/** What a policy says of an event. Plain data; borrowed as the event's strings are. */
typedef struct utapi_refusal {
    utapi_reason reason;
    const char *detail;  /* why, in a sentence of at most 200 bytes */
    utapi_string source; /* who sent it: an address, of at most UTAPI_SOURCE_MAX bytes */
} utapi_refusal;

enum { UTAPI_SOURCE_MAX = 47 };

/** utapi_event.timestamp_ms of an event that brings none: it counts when it is accepted. */
#define UTAPI_NO_TIMESTAMP INT64_MIN

typedef struct utapi_event {
    utapi_operation operation; /* UTAPI_OP_NONE: amounts count, no operation does */
    int64_t timestamp_ms;      /* since the epoch, 0 or more; or UTAPI_NO_TIMESTAMP */
    utapi_string uuid;         /* 1-255 bytes; absent: the event is never taken for a repetition */
    utapi_string bucket;       /* this and the next three: absent where the request had none */
    utapi_string account;      /* canonical ID */
    utapi_string user;
    utapi_string location;
    bool location_only;    /* pushLocationMetric: counts at level locations alone, recorded or not */
    int64_t storage_delta; /* bytes */
    int64_t object_delta;
    int64_t incoming_bytes; /* not negative */
    int64_t outgoing_bytes; /* not negative */
    utapi_string action;    /* as it was reported, if it changes data; else absent */
    utapi_string keys;      /* of the objects it concerns, joined by colons */

    /* NULL: it counts. Else it is kept as a dead letter, with its uuid, and counts nowhere. */
    const utapi_refusal *refused;
} utapi_event;

/** An integer that a message may have left out, set to null, or sent something else for. */
typedef struct utapi_integer {
    enum { UTAPI_ABSENT, UTAPI_NULL, UTAPI_GIVEN, UTAPI_NO_INTEGER } is;
    int64_t value; /* when given */
} utapi_integer;

/** What decides a V1 event's deltas (docs/specification.md#actions), as it came: only what is needed is judged. */
typedef struct utapi_action_params {
    utapi_integer byte_length;
    utapi_integer new_byte_length;
    utapi_integer old_byte_length;
    utapi_integer number_of_objects;
    utapi_integer update_size;
} utapi_action_params;

/**
 * Finds what an action or operationId is counted as.
 *
 * @return false, and *ret untouched, for a name that we do not know
 */
bool utapi_action_find(utapi_string action, utapi_operation *ret);

/** An action that is counted as an operation, or as none: utapi_action_find() finds that again. Static storage. */
const char *utapi_action_of(utapi_operation operation);

/**
 * Whether an action changes data, so that a bucket's subscribers are told (docs/specification.md#bucket-events).
 * False for unknown ones.
 */
bool utapi_action_changes_data(utapi_string action);

/**
 * Turns a V1 action and its parameters into deltas (docs/specification.md#actions).
 *
 * @param event  in: names, uuid and timestamp; out: operation, deltas and location_only as well
 * @return UTAPI_INVALID, naming the field: "action: unknown action \"x\"", "newByteLength: expected an
 *         integer", "byteLength: must not be negative". numberOfObjects may be negative.
 */
UTAPI_MUST_USE utapi_status utapi_event_of_action(utapi_string action, const utapi_action_params *params,
                                                  utapi_event *event, utapi_error *err);

/**
 * Checks a name or uuid (docs/specification.md#names): absent, or text of at most 255 bytes.
 *
 * @param field  what to call it in the error
 * @return UTAPI_INVALID: "bucket: longer than 255 bytes"
 */
UTAPI_MUST_USE utapi_status utapi_name_check(const char *field, utapi_string name, utapi_error *err);

/**
 * Checks the rules for one event (docs/specification.md#event-rules): names and uuid are text of 1-255 bytes,
 * the timestamp is 0 or later and lies no more than one interval after the current one, amounts in and
 * out are not negative.
 *
 * @return UTAPI_INVALID, naming the field
 */
UTAPI_MUST_USE utapi_status utapi_event_check(const utapi_event *event, int64_t now_ms, utapi_error *err);

#endif
