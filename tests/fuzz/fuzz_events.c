/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_events.c - bodies of /v2/ingest and /v1/push, through json_events_read() in both forms.
 *
 * Promises: nothing crashes or leaks; a refusal says why, within its buffer; what is read has names that are text, and
 * timestamps that are absent or not negative.
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

static void read_form(json_event_form form, utapi_string body)
{
    json_events events;
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
    json_events_done(&events);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const utapi_string body = {(const char *)data, size};
    read_form(JSON_EVENT_V2, body);
    read_form(JSON_EVENT_V1, body);
    return 0;
}
