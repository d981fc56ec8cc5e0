/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_events.c - bodies of /v2/ingest and /v1/push, through json_events_read() in both forms.
 *
 * Promises: nothing crashes or leaks; a refusal says why, within its buffer; what is read has names that are text, and
 * timestamps that are absent or not negative; the quick way through (json_scan.h) answers as the full one does, and
 * a body that arrives in pieces as one that is there at once.
 */
#include "fuzz_target.h"
#include "json/json_event.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW_MS     INT64_C(1795441850000)
#define MAX_EVENTS 100

static void check_event(const utapi_event *event)
{
    const utapi_string names[] = {event->uuid, event->bucket, event->account, event->user, event->location};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        FUZZ_CHECK(utapi_string_is_text(names[i]));
    FUZZ_CHECK(event->timestamp_ms >= 0 || event->timestamp_ms == UTAPI_NO_TIMESTAMP);
    FUZZ_CHECK(event->operation <= UTAPI_OP_NONE);

    utapi_error err;
    utapi_error_clear(&err);
    if (utapi_event_check(event, NOW_MS, &err) != UTAPI_OK)
        FUZZ_CHECK(err.detail[0] != '\0');
}

static bool same_event(const utapi_event *left, const utapi_event *right)
{
    return left->operation == right->operation && left->timestamp_ms == right->timestamp_ms &&
           utapi_string_equal(left->uuid, right->uuid) && utapi_string_equal(left->bucket, right->bucket) &&
           utapi_string_equal(left->account, right->account) && utapi_string_equal(left->user, right->user) &&
           utapi_string_equal(left->location, right->location) &&
           left->storage_delta == right->storage_delta && left->object_delta == right->object_delta &&
           left->incoming_bytes == right->incoming_bytes && left->outgoing_bytes == right->outgoing_bytes &&
           utapi_string_equal(left->action, right->action) && utapi_string_equal(left->keys, right->keys);
}

/* Reads it again by the full reader alone. */
static void read_again(json_event_form form, utapi_string body, const json_events *expected)
{
    json_events events = {0};
    FUZZ_CHECK(json_events_read_any(form, body, MAX_EVENTS, &events, NULL) == UTAPI_OK);
    FUZZ_CHECK(events.count == expected->count);
    FUZZ_CHECK(events.unknown_operations == expected->unknown_operations);
    FUZZ_CHECK(utapi_string_equal(events.unknown_operation, expected->unknown_operation));
    for (size_t i = 0; i < events.count; i++)
        FUZZ_CHECK(same_event(&events.events[i], &expected->events[i]));
    json_events_done(&events);
}

static void read_form(json_event_form form, utapi_string body)
{
    json_events events = {0};
    utapi_error err;
    utapi_error_clear(&err);
    if (json_events_read(form, body, MAX_EVENTS, &events, &err) != UTAPI_OK) {
        FUZZ_CHECK(err.status != UTAPI_OK);
        FUZZ_CHECK(err.detail[0] != '\0' && memchr(err.detail, '\0', sizeof err.detail) != NULL);
        return;
    }
    FUZZ_CHECK(events.count <= MAX_EVENTS && events.unknown_operations <= events.count);
    for (size_t i = 0; i < events.count; i++)
        check_event(&events.events[i]);
    read_again(form, body, &events);
    json_events_done(&events);
}

/* The same body in pieces, at another place for each. */
static void read_in_pieces(utapi_string body)
{
    json_events whole = {0}, pieces = {0};
    const size_t piece = body.size / 7 + 1;
    char *last = NULL;
    for (size_t size = piece; size < body.size; size += piece) {
        char *so_far = malloc(size);
        FUZZ_CHECK(so_far != NULL);
        memcpy(so_far, body.data, size);
        json_events_on_body((utapi_string){so_far, size}, MAX_EVENTS, &pieces);
        free(last);
        last = so_far;
    }
    const utapi_status status = json_events_read(JSON_EVENT_V2, body, MAX_EVENTS, &whole, NULL);
    FUZZ_CHECK(json_events_read(JSON_EVENT_V2, body, MAX_EVENTS, &pieces, NULL) == status);
    free(last);
    FUZZ_CHECK(pieces.count == whole.count && pieces.unknown_operations == whole.unknown_operations);
    FUZZ_CHECK(utapi_string_equal(pieces.unknown_operation, whole.unknown_operation));
    for (size_t i = 0; i < whole.count; i++)
        FUZZ_CHECK(same_event(&pieces.events[i], &whole.events[i]));
    json_events_done(&whole);
    json_events_done(&pieces);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const utapi_string body = {(const char *)data, size};
    read_form(JSON_EVENT_V2, body);
    read_form(JSON_EVENT_V1, body);
    read_in_pieces(body);
    return 0;
}
