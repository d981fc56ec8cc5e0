/* SPDX-License-Identifier: Apache-2.0 */
/* json_scan.c - one pass over the text, with a table of members; see json_scan.h for what it leaves to others. */
#include "json/json_scan.h"

#include "json/json_cursor.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* ---- events ------------------------------------------------------------------------------- */

/* An event on its way, with the strings that have no place in it. */
typedef struct scan_event {
    utapi_event event;
    utapi_string operation, object, ignored;
} scan_event;

typedef enum member_kind { NAME, TEXT, AMOUNT, TIME } member_kind;

/* In the order in which CloudServer sends them, so that each is mostly found at once. */
static const struct scan_member {
    const char *name;
    size_t size;
    member_kind kind;
    size_t offset;
} members[] = {
/* clang-format off */
#define MEMBER(text, kind, place) {text, sizeof text - 1, kind, offsetof(scan_event, place)},
    MEMBER("operationId",   TEXT,   operation)
    MEMBER("bucket",        NAME,   event.bucket)
    MEMBER("object",        TEXT,   object)
    MEMBER("versionId",     TEXT,   ignored)
    MEMBER("account",       NAME,   event.account)
    MEMBER("user",          NAME,   event.user)
    MEMBER("location",      NAME,   event.location)
    MEMBER("objectDelta",   AMOUNT, event.object_delta)
    MEMBER("sizeDelta",     AMOUNT, event.storage_delta)
    MEMBER("incomingBytes", AMOUNT, event.incoming_bytes)
    MEMBER("outgoingBytes", AMOUNT, event.outgoing_bytes)
    MEMBER("uuid",          NAME,   event.uuid)
    MEMBER("timestamp",     TIME,   event.timestamp_ms)
#undef MEMBER
    /* clang-format on */
};

enum { MEMBERS = sizeof members / sizeof *members };

/* Finds a member, looking first where the next one is expected. */
static unsigned member_find(utapi_string name, unsigned expected)
{
    for (unsigned i = 0; i < MEMBERS; i++) {
        const unsigned candidate = (expected + i) % MEMBERS;
        if (members[candidate].size == name.size &&
            memcmp(members[candidate].name, name.data, name.size) == 0)
            return candidate;
    }
    return MEMBERS;
}

/* Reads a value into its place; null leaves it as it was. */
static bool value_take(json_cursor *s, unsigned member, scan_event *ret)
{
    void *place = (char *)ret + members[member].offset;
    json_space_skip(s);
    if (s->at < s->end && *s->at == 'n')
        return json_null_take(s);
    switch (members[member].kind) {
    case NAME:
        return json_string_take(s, place) && ((const utapi_string *)place)->size <= UTAPI_NAME_MAX;
    case TEXT:
        return json_string_take(s, place);
    case AMOUNT:
        return json_integer_take(s, place);
    case TIME:
        return json_integer_take(s, place) && *(const int64_t *)place >= 0;
    }
    return false;
}

static bool event_take(json_cursor *s, scan_event *ret)
{
    uint32_t present = 0;
    unsigned expected = 0;
    memset(ret, 0, sizeof *ret);
    ret->event.timestamp_ms = UTAPI_NO_TIMESTAMP;
    if (!json_char_take(s, '{'))
        return false;
    do {
        utapi_string name;
        if (!json_string_take(s, &name))
            return false;
        const unsigned member = member_find(name, expected);
        if (member == MEMBERS || (present >> member & 1U) != 0 || !json_char_take(s, ':') ||
            !value_take(s, member, ret))
            return false;
        present |= 1U << member;
        expected = member + 1;
    } while (json_char_take(s, ','));
    return json_char_take(s, '}') && ret->operation.size > 0;
}

/* ---- the array ---------------------------------------------------------------------------- */

utapi_string json_scan_moved(utapi_string string, const char *from, const char *to)
{
    if (string.data == NULL)
        return string;
    return (utapi_string){to + ((uintptr_t)string.data - (uintptr_t)from), string.size};
}

static void events_move(json_scan *scan, const char *to)
{
    static const size_t strings[] = {
        offsetof(utapi_event, uuid), offsetof(utapi_event, bucket),   offsetof(utapi_event, account),
        offsetof(utapi_event, user), offsetof(utapi_event, location), offsetof(utapi_event, action),
        offsetof(utapi_event, keys),
    };
    for (size_t i = 0; i < scan->count && scan->text != to; i++)
        for (size_t j = 0; j < sizeof strings / sizeof *strings; j++) {
            utapi_string *string = (utapi_string *)(void *)((char *)&scan->events[i] + strings[j]);
            *string = json_scan_moved(*string, scan->text, to);
        }
    scan->text = to;
}

/* Room for one more, or false. */
static bool events_grow(json_scan *scan)
{
    enum { CAPACITY_MIN = 4 }; /* most requests bring one event */
    if (scan->count < scan->capacity)
        return true;
    const size_t more = scan->capacity == 0 ? CAPACITY_MIN : scan->capacity * 2;
    utapi_event *grown = realloc(scan->events, more * sizeof *grown);
    if (grown == NULL)
        return false;
    scan->events = grown;
    scan->capacity = more;
    return true;
}

static bool next_take(json_scan *scan, json_cursor *s, json_scan_cb *on_event, void *ctx)
{
    scan_event next;
    if (!events_grow(scan) || !event_take(s, &next))
        return false;
    on_event(ctx, &next.event, next.operation, next.object);
    scan->events[scan->count++] = next.event;
    return true;
}

/* One step further in the array; false if it cannot be made, or the array has ended. */
static bool step(json_scan *scan, json_cursor *s, size_t max_events, json_scan_cb *on_event, void *ctx)
{
    switch (scan->place) {
    case JSON_SCAN_BEFORE:
        scan->place = JSON_SCAN_FIRST;
        return json_char_take(s, '[');
    case JSON_SCAN_FIRST:
        scan->place = json_char_take(s, ']') ? JSON_SCAN_AFTER : JSON_SCAN_EVENT;
        return true;
    case JSON_SCAN_EVENT:
        scan->place = JSON_SCAN_BETWEEN;
        return scan->count < max_events && next_take(scan, s, on_event, ctx);
    case JSON_SCAN_BETWEEN:
        scan->place = json_char_take(s, ',') ? JSON_SCAN_EVENT : JSON_SCAN_AFTER;
        return scan->place == JSON_SCAN_EVENT || json_char_take(s, ']');
    case JSON_SCAN_AFTER:
        break;
    }
    return false;
}

bool json_scan_events(json_scan *scan, utapi_string text, size_t max_events, json_scan_cb *on_event,
                      void *ctx)
{
    events_move(scan, text.data);
    for (;;) {
        json_cursor s = {text.data + scan->at, text.data + text.size};
        const json_scan before = *scan;
        if (!step(scan, &s, max_events, on_event, ctx)) {
            scan->place = before.place; /* it is tried again when there is more */
            break;
        }
        scan->at = (size_t)(s.at - text.data);
    }
    json_cursor rest = {text.data + scan->at, text.data + text.size};
    json_space_skip(&rest);
    return scan->place == JSON_SCAN_AFTER && rest.at == rest.end;
}
