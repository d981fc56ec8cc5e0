/* SPDX-License-Identifier: Apache-2.0 */
/**
 * json_event.c - the members of both forms as tables: name, where it goes, how it is read.
 *
 * A member that is missing or null leaves its place as it was; one of another type is refused by its name. What
 * an action needs and what amounts may be is core's to judge (utapi_event_of_action(), utapi_event_check()).
 */
#include "json/json_event.h"

#include "utapi/scoped.h"
#include "json/json_parse.h"
#include "json/json_scan.h"

#include <stdlib.h>
#include <string.h>

#define LENGTH_OF(table) (sizeof(table) / sizeof *(table))

/** A member of JSON, and the offset of the place that it fills. */
typedef struct member {
    const char *name;
    size_t offset;
} member;

#define IN_EVENT(field)  offsetof(utapi_event, field)
#define IN_PARAMS(field) offsetof(utapi_action_params, field)

static const member v2_names[] = {
    {"uuid", IN_EVENT(uuid)}, {"bucket", IN_EVENT(bucket)},     {"account", IN_EVENT(account)},
    {"user", IN_EVENT(user)}, {"location", IN_EVENT(location)},
};

static const member v2_amounts[] = {
    {"objectDelta", IN_EVENT(object_delta)},
    {"sizeDelta", IN_EVENT(storage_delta)},
    {"incomingBytes", IN_EVENT(incoming_bytes)},
    {"outgoingBytes", IN_EVENT(outgoing_bytes)},
};

static const member v1_names[] = {
    {"bucket", IN_EVENT(bucket)},
    {"accountId", IN_EVENT(account)},
    {"userId", IN_EVENT(user)},
    {"location", IN_EVENT(location)},
};

static const member v1_params[] = {
    {"byteLength", IN_PARAMS(byte_length)},        {"newByteLength", IN_PARAMS(new_byte_length)},
    {"oldByteLength", IN_PARAMS(old_byte_length)}, {"numberOfObjects", IN_PARAMS(number_of_objects)},
    {"updateSize", IN_PARAMS(update_size)},
};

static utapi_status read_string(const json_t *object, const char *name, utapi_string *ret, utapi_error *err)
{
    const json_t *value = json_object_get(object, name);
    if (value == NULL || json_is_null(value))
        return UTAPI_OK;
    if (!json_is_string(value))
        return utapi_fail(err, UTAPI_INVALID, "%s: expected a string", name);
    *ret = json_string_of(value);
    return UTAPI_OK;
}

static utapi_status read_integer(const json_t *object, const char *name, utapi_integer *ret, utapi_error *err)
{
    const json_t *value = json_object_get(object, name);
    if (value == NULL)
        return UTAPI_OK;
    if (json_is_null(value)) {
        ret->is = UTAPI_NULL;
        return UTAPI_OK;
    }
    if (!json_is_integer(value)) /* 1.0 is a real: json_integer_value() would give 0 */
        return utapi_fail(err, UTAPI_INVALID, "%s: expected an integer", name);
    *ret = (utapi_integer){.is = UTAPI_GIVEN, .value = json_integer_value(value)};
    return UTAPI_OK;
}

static utapi_status read_strings(const json_t *object, const member *members, size_t count, utapi_event *ret,
                                 utapi_error *err)
{
    for (size_t i = 0; i < count; i++) {
        utapi_string *place = (utapi_string *)(void *)((char *)ret + members[i].offset);
        utapi_status status = read_string(object, members[i].name, place, err);
        if (status == UTAPI_OK) /* the engine checks it too, but knows no wire names */
            status = utapi_name_check(members[i].name, *place, err);
        if (status != UTAPI_OK)
            return status;
    }
    return UTAPI_OK;
}

/** An event without a timestamp counts at the time when it is accepted. */
static utapi_status read_timestamp(const json_t *object, utapi_event *ret, utapi_error *err)
{
    utapi_integer timestamp = {0};
    const utapi_status status = read_integer(object, "timestamp", &timestamp, err);
    if (status != UTAPI_OK)
        return status;

    ret->timestamp_ms = UTAPI_NO_TIMESTAMP;
    if (timestamp.is != UTAPI_GIVEN)
        return UTAPI_OK;
    if (timestamp.value < 0) /* not core's to see: UTAPI_NO_TIMESTAMP is negative */
        return utapi_fail(err, UTAPI_INVALID, "timestamp: must not be negative");
    ret->timestamp_ms = timestamp.value;
    return UTAPI_OK;
}

/** The name of the operation, which no event does without. */
static utapi_status read_operation_name(const json_t *object, const char *name, utapi_string *ret,
                                        utapi_error *err)
{
    const utapi_status status = read_string(object, name, ret, err);
    if (status == UTAPI_OK && ret->size == 0)
        return utapi_fail(err, UTAPI_INVALID, "%s: expected a string", name);
    return status;
}

/* Bytes that the events of a batch point to and no document holds. */
static char *text_keep(json_events *batch, size_t size)
{
    json_text_kept *kept = malloc(sizeof *kept + size);
    if (kept == NULL)
        return NULL;
    kept->next = batch->kept;
    batch->kept = kept;
    return kept->bytes;
}

/* The keys of a V1 event, joined by colons; what is not a string is left out. */
static utapi_status read_keys(const json_t *keys, json_events *batch, utapi_string *ret, utapi_error *err)
{
    size_t index, size = 0, used = 0;
    json_t *key;
    json_array_foreach (keys, index, key)
        size += 1 + json_string_length(key);
    if (size == 0)
        return UTAPI_OK;
    char *joined = text_keep(batch, size);
    if (joined == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "%zu keys", json_array_size(keys));
    json_array_foreach (keys, index, key) {
        if (!json_is_string(key))
            continue;
        if (used > 0)
            joined[used++] = ':';
        memcpy(joined + used, json_string_value(key), json_string_length(key));
        used += json_string_length(key);
    }
    *ret = (utapi_string){joined, used};
    return UTAPI_OK;
}

static utapi_status read_v2_amounts(const json_t *object, utapi_event *ret, utapi_error *err)
{
    for (size_t i = 0; i < LENGTH_OF(v2_amounts); i++) {
        utapi_integer amount = {0};
        const utapi_status status = read_integer(object, v2_amounts[i].name, &amount, err);
        if (status != UTAPI_OK)
            return status;
        if (amount.is == UTAPI_GIVEN)
            *(int64_t *)(void *)((char *)ret + v2_amounts[i].offset) = amount.value;
    }
    return UTAPI_OK;
}

/** Counts an operation, and says whom to tell of it. */
static void resolve_v2(void *ctx, utapi_event *event, utapi_string operation, utapi_string object)
{
    json_events *batch = ctx;
    /* Of a newer CloudServer: its client would repeat a refused array for ever (docs/specification.md#v2-events). */
    event->operation = UTAPI_OP_NONE;
    if (!utapi_action_find(operation, &event->operation) && batch->unknown_operations++ == 0)
        batch->unknown_operation = operation;
    if (utapi_action_changes_data(operation)) {
        event->action = operation;
        event->keys = object;
    }
}

static utapi_status read_v2(const json_t *object, json_events *batch, utapi_event *ret, utapi_error *err)
{
    utapi_string name = {NULL, 0};
    utapi_status status = read_operation_name(object, "operationId", &name, err);
    if (status == UTAPI_OK)
        status = read_strings(object, v2_names, LENGTH_OF(v2_names), ret, err);
    if (status == UTAPI_OK)
        status = read_timestamp(object, ret, err);
    if (status == UTAPI_OK)
        status = read_v2_amounts(object, ret, err);
    if (status != UTAPI_OK)
        return status;

    const json_t *object_key = json_object_get(object, "object");
    resolve_v2(batch, ret, name,
               json_is_string(object_key) ? json_string_of(object_key) : (utapi_string){NULL, 0});
    return UTAPI_OK;
}

static utapi_status read_v1_params(const json_t *params, utapi_event *ret, utapi_action_params *ret_params,
                                   utapi_error *err)
{
    if (params == NULL || json_is_null(params))
        return UTAPI_OK;
    if (!json_is_object(params))
        return utapi_fail(err, UTAPI_INVALID, "params: expected an object");

    utapi_status status = read_strings(params, v1_names, LENGTH_OF(v1_names), ret, err);
    for (size_t i = 0; i < LENGTH_OF(v1_params) && status == UTAPI_OK; i++) {
        utapi_integer *place = (utapi_integer *)(void *)((char *)ret_params + v1_params[i].offset);
        if (read_integer(params, v1_params[i].name, place, NULL) != UTAPI_OK)
            place->is = UTAPI_NO_INTEGER; /* core knows whether the action needs it */
    }
    return status;
}

static utapi_status read_v1(const json_t *object, json_events *batch, utapi_event *ret, utapi_error *err)
{
    utapi_string action = {NULL, 0};
    utapi_action_params params = {0};
    utapi_status status = read_operation_name(object, "action", &action, err);
    if (status == UTAPI_OK)
        status = read_string(object, "uuid", &ret->uuid, err);
    if (status == UTAPI_OK)
        status = read_timestamp(object, ret, err);
    if (status == UTAPI_OK)
        status = read_v1_params(json_object_get(object, "params"), ret, &params, err);
    if (status == UTAPI_OK)
        status = utapi_event_of_action(action, &params, ret, err);
    if (status == UTAPI_OK && utapi_action_changes_data(action)) {
        ret->action = action;
        status =
            read_keys(json_object_get(json_object_get(object, "params"), "keys"), batch, &ret->keys, err);
    }
    return status;
}

static utapi_status read_event(json_event_form form, const json_t *value, json_events *batch,
                               utapi_error *err)
{
    if (!json_is_object(value))
        return utapi_fail(err, UTAPI_INVALID, "expected an object");
    utapi_event *event = &batch->events[batch->count];
    return form == JSON_EVENT_V2 ? read_v2(value, batch, event, err) : read_v1(value, batch, event, err);
}

/** Reads all events of a document whose shape was checked. */
static utapi_status read_events(json_event_form form, json_events *batch, utapi_error *err)
{
    const bool is_list = json_is_array(batch->document);
    const size_t count = is_list ? json_array_size(batch->document) : 1;
    batch->events = count > 0 ? calloc(count, sizeof *batch->events) : NULL;
    if (count > 0 && batch->events == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "%zu events", count);

    while (batch->count < count) {
        const json_t *value = is_list ? json_array_get(batch->document, batch->count) : batch->document;
        const utapi_status status = read_event(form, value, batch, err);
        if (status != UTAPI_OK) {
            if (err != NULL)
                err->index = batch->count;
            return status;
        }
        batch->count++;
    }
    return UTAPI_OK;
}

static utapi_status fail_too_many(size_t count, size_t max_events, utapi_error *err)
{
    return utapi_fail(err, UTAPI_NOT_SUPPORTED, "%zu events; a request may have %zu", count, max_events);
}

/* An event has some fifteen members, and a V1 event's keys are values too. */
enum { WEIGHT_AN_EVENT = 64 };

/* Before there is a tree of it. */
static utapi_status check_size(utapi_string body, size_t max_events, utapi_error *err)
{
    const json_size size = json_size_of(body);
    if (size.weight <= JSON_WEIGHT_SMALL)
        return UTAPI_OK;
    if (size.elements > max_events)
        return fail_too_many(size.elements, max_events, err);
    if ((size.weight - JSON_WEIGHT_SMALL) / WEIGHT_AN_EVENT > max_events)
        return utapi_fail(err, UTAPI_NOT_SUPPORTED, "more values than %zu events may have", max_events);
    return UTAPI_OK;
}

static utapi_status check_shape(json_event_form form, const json_t *document, size_t max_events,
                                utapi_error *err)
{
    if (form == JSON_EVENT_V1 && json_is_object(document))
        return UTAPI_OK;
    if (!json_is_array(document))
        return utapi_fail(err, UTAPI_INVALID,
                          form == JSON_EVENT_V2 ? "expected an array of events"
                                                : "expected an event or an array of events");
    if (json_array_size(document) > max_events)
        return fail_too_many(json_array_size(document), max_events, err);
    return UTAPI_OK;
}

/* Strings are copied out of the body, and the keys of an event once more. */
static size_t tree_bytes(size_t body_bytes, size_t weight, size_t events)
{
    return 2 * body_bytes + weight * JSON_WEIGHT_BYTES + (events + 1) * sizeof(utapi_event);
}

size_t json_events_tree_max(size_t max_bytes, size_t max_events)
{
    return tree_bytes(max_bytes, JSON_WEIGHT_SMALL + WEIGHT_AN_EVENT * (max_events + 1), max_events);
}

size_t json_events_tree(utapi_string body, size_t max_events)
{
    if (check_size(body, max_events, NULL) != UTAPI_OK)
        return 0;
    const json_size size = json_size_of(body);
    return tree_bytes(body.size, size.weight, size.elements < max_events ? size.elements : max_events);
}

size_t json_events_plain(const json_events *events)
{
    enum { CAPACITY_MIN = 4 }; /* it doubles from there */
    return (CAPACITY_MIN + 2 * (events->count + events->scan.count)) * sizeof *events->events;
}

/* Reads on; returns whether all of it was read. */
static bool scan_on(json_events *batch, utapi_string text, size_t max_events)
{
    batch->unknown_operation = json_scan_moved(batch->unknown_operation, batch->scan.text, text.data);
    return json_scan_events(&batch->scan, text, max_events, resolve_v2, batch);
}

void json_events_on_body(utapi_string so_far, size_t max_events, json_events *events)
{
    enum { LOOK_BYTES = 4096 };
    if (so_far.size < events->next_at)
        return;
    (void)scan_on(events, so_far, max_events);
    /* An event that is not whole is read from its beginning again: so only when twice as much of it is there. */
    events->next_at = so_far.size + LOOK_BYTES + (so_far.size - events->scan.at);
}

bool json_events_read_plain(json_event_form form, utapi_string body, size_t max_events, json_events *ret)
{
    if (form != JSON_EVENT_V2 || body.size == 0 || !scan_on(ret, body, max_events)) {
        json_events_done(ret);
        return false;
    }
    ret->events = ret->scan.events;
    ret->count = ret->scan.count;
    ret->scan = (json_scan){0};
    ret->next_at = 0;
    return true;
}

utapi_status json_events_read(json_event_form form, utapi_string body, size_t max_events, json_events *ret,
                              utapi_error *err)
{
    if (json_events_read_plain(form, body, max_events, ret))
        return UTAPI_OK;
    return json_events_read_any(form, body, max_events, ret, err);
}

utapi_status json_events_read_any(json_event_form form, utapi_string body, size_t max_events,
                                  json_events *ret, utapi_error *err)
{
    json_events batch = {0};
    utapi_status status = check_size(body, max_events, err);
    if (status == UTAPI_OK)
        status = json_parse(body, &batch.document, err);
    if (status == UTAPI_OK)
        status = check_shape(form, batch.document, max_events, err);
    if (status == UTAPI_OK)
        status = read_events(form, &batch, err);
    if (status != UTAPI_OK) {
        json_events_done(&batch);
        return status;
    }
    *ret = batch;
    return UTAPI_OK;
}

void json_events_done(json_events *events)
{
    for (json_text_kept *kept = events->kept, *next; kept != NULL; kept = next) {
        next = kept->next;
        free(kept);
    }
    free(events->events);
    free(events->scan.events);
    json_decref(events->document);
    *events = (json_events){0};
}
