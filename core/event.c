/* SPDX-License-Identifier: Apache-2.0 */
/* event.c - the table of V1 actions (actions.def) at work, and the rules that every event must keep. */
#include "utapi/event.h"

#include "utapi/interval.h"

/* Parameters that an action needs, or may have. */
enum {
    NEEDS_NEW = 1 << 0,  /* newByteLength */
    NEEDS_OLD = 1 << 1,  /* oldByteLength: an integer or null */
    NEEDS_LEN = 1 << 2,  /* byteLength */
    NEEDS_NUM = 1 << 3,  /* numberOfObjects */
    NEEDS_LOC = 1 << 4,  /* location */
    NEEDS_SIZE = 1 << 5, /* updateSize: may be negative */
    MAY_LEN = 1 << 6,    /* byteLength, or none */
};

/* How a delta follows from the parameters. */
typedef enum delta_rule {
    NOTHING,
    NEW_LENGTH,
    NEW_MINUS_OLD,
    MINUS_OLD,
    MINUS_LENGTH,
    MINUS_NUMBER,
    ONE_IF_NO_OLD,
    ONE_IF_NO_LEN,
    UPDATE_SIZE,
} delta_rule;

typedef struct action_row {
    utapi_string name;
    utapi_operation operation;
    unsigned needs;
    delta_rule storage, objects, in, out;
    bool changes_data;
} action_row;

static const action_row actions[] = {
#define UTAPI_ACTION(action, operation, needs, storage, objects, in, out)                 \
    {{action, sizeof action - 1}, UTAPI_OP_##operation, needs, storage, objects, in, out, \
     (storage) != NOTHING},
#define UTAPI_COUNT(action, operation) \
    {{action, sizeof action - 1}, UTAPI_OP_##operation, 0, NOTHING, NOTHING, NOTHING, NOTHING, true},
#define UTAPI_LOOK(action, operation) \
    {{action, sizeof action - 1}, UTAPI_OP_##operation, 0, NOTHING, NOTHING, NOTHING, NOTHING, false},
#include "actions.def"
#undef UTAPI_LOOK
#undef UTAPI_COUNT
#undef UTAPI_ACTION
};

const char *utapi_reason_name(utapi_reason reason)
{
    static const char *const names[UTAPI_REASON_COUNT] = {
#define X(name, text) [UTAPI_REASON_##name] = text,
        UTAPI_REASON_MAP(X)
#undef X
    };
    return names[reason];
}

static const action_row *action_row_of(utapi_string action)
{
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
        if (utapi_string_equal(actions[i].name, action))
            return &actions[i];
    return NULL;
}

bool utapi_action_find(utapi_string action, utapi_operation *ret)
{
    const action_row *row = action_row_of(action);
    if (row == NULL)
        return false;
    *ret = row->operation;
    return true;
}

const char *utapi_action_of(utapi_operation operation)
{
    size_t i = 0;
    while (i + 1 < sizeof actions / sizeof *actions && actions[i].operation != operation)
        i++;
    return actions[i].name.data;
}

bool utapi_action_changes_data(utapi_string action)
{
    const action_row *row = action_row_of(action);
    return row != NULL && row->changes_data;
}

/* An integer that is there is not less than its row's minimum. Only -2^63 has no negation in 64 bits. */
static const struct {
    const char *name;
    size_t offset;
    unsigned needed_by, allowed_by;
    bool may_be_null;
    int64_t min;
} param_rules[] = {
#define PARAM(member) offsetof(utapi_action_params, member)
    {"newByteLength", PARAM(new_byte_length), NEEDS_NEW, 0, false, 0},
    {"oldByteLength", PARAM(old_byte_length), NEEDS_OLD, 0, true, 0},
    {"byteLength", PARAM(byte_length), NEEDS_LEN, MAY_LEN, false, 0},
    {"numberOfObjects", PARAM(number_of_objects), NEEDS_NUM, 0, false, -INT64_MAX},
    {"updateSize", PARAM(update_size), NEEDS_SIZE, 0, false, INT64_MIN},
#undef PARAM
};

static utapi_status params_check(const action_row *row, const utapi_action_params *params, utapi_error *err)
{
    for (size_t i = 0; i < sizeof param_rules / sizeof *param_rules; i++) {
        const utapi_integer *param =
            (const utapi_integer *)(const void *)((const char *)params + param_rules[i].offset);
        const bool needed = (row->needs & param_rules[i].needed_by) != 0;
        if (!needed && (row->needs & param_rules[i].allowed_by) == 0)
            continue;
        if (param->is == UTAPI_NO_INTEGER ||
            (needed &&
             (param->is == UTAPI_ABSENT || (param->is == UTAPI_NULL && !param_rules[i].may_be_null))))
            return utapi_fail(err, UTAPI_INVALID, "%s: expected an integer%s", param_rules[i].name,
                              param_rules[i].may_be_null ? " or null" : "");
        if (param->is == UTAPI_GIVEN && param->value < param_rules[i].min)
            return param_rules[i].min == 0
                       ? utapi_fail(err, UTAPI_INVALID, "%s: must not be negative", param_rules[i].name)
                       : utapi_fail(err, UTAPI_INVALID, "%s: %lld has no opposite that fits 64 bits",
                                    param_rules[i].name, (long long)param->value);
    }
    return UTAPI_OK;
}

static int64_t value_of(utapi_integer integer)
{
    return integer.is == UTAPI_GIVEN ? integer.value : 0;
}

/* Lengths are not negative, so no difference of two of them leaves 64 bits; params_check() saw to the negations. */
static int64_t delta_of(delta_rule rule, const utapi_action_params *params)
{
    switch (rule) {
    case NOTHING:
        return 0;
    case NEW_LENGTH:
        return value_of(params->new_byte_length);
    case NEW_MINUS_OLD:
        return value_of(params->new_byte_length) - value_of(params->old_byte_length);
    case MINUS_OLD:
        return -value_of(params->old_byte_length);
    case MINUS_LENGTH:
        return -value_of(params->byte_length);
    case MINUS_NUMBER:
        return -value_of(params->number_of_objects);
    case ONE_IF_NO_OLD:
        return params->old_byte_length.is == UTAPI_GIVEN ? 0 : 1;
    case ONE_IF_NO_LEN:
        return params->byte_length.is == UTAPI_GIVEN ? 0 : 1;
    case UPDATE_SIZE:
        return value_of(params->update_size);
    }
    return 0;
}

utapi_status utapi_event_of_action(utapi_string action, const utapi_action_params *params, utapi_event *event,
                                   utapi_error *err)
{
    const action_row *row = action_row_of(action);
    if (row == NULL) {
        const utapi_string shown = utapi_string_cut(action, 64);
        return utapi_fail(err, UTAPI_INVALID, "action: unknown action \"%.*s\"", (int)shown.size,
                          shown.size > 0 ? shown.data : "");
    }
    const utapi_status status = params_check(row, params, err);
    if (status != UTAPI_OK)
        return status;
    if ((row->needs & NEEDS_LOC) != 0 && event->location.size == 0)
        return utapi_fail(err, UTAPI_INVALID, "location: expected a name");

    event->operation = row->operation;
    event->location_only = (row->needs & NEEDS_LOC) != 0;
    event->storage_delta = delta_of(row->storage, params);
    event->object_delta = delta_of(row->objects, params);
    event->incoming_bytes = delta_of(row->in, params);
    event->outgoing_bytes = delta_of(row->out, params);
    return UTAPI_OK;
}

utapi_status utapi_name_check(const char *field, utapi_string name, utapi_error *err)
{
    if (name.size > UTAPI_NAME_MAX)
        return utapi_fail(err, UTAPI_INVALID, "%s: longer than %d bytes", field, UTAPI_NAME_MAX);
    if (!utapi_string_is_text(name))
        return utapi_fail(err, UTAPI_INVALID, "%s: not UTF-8 text without NUL", field);
    return UTAPI_OK;
}

utapi_status utapi_event_check(const utapi_event *event, int64_t now_ms, utapi_error *err)
{
    const struct {
        const char *field;
        utapi_string name;
    } names[] = {
        {"uuid", event->uuid}, {"bucket", event->bucket},     {"account", event->account},
        {"user", event->user}, {"location", event->location},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const utapi_status status = utapi_name_check(names[i].field, names[i].name, err);
        if (status != UTAPI_OK)
            return status;
    }
    const bool has_timestamp = event->timestamp_ms != UTAPI_NO_TIMESTAMP;
    if (has_timestamp && event->timestamp_ms < 0)
        return utapi_fail(err, UTAPI_INVALID, "timestamp: must not be negative");
    const utapi_interval newest = utapi_interval_of(now_ms) + UTAPI_INTERVAL_MS;
    if (has_timestamp &&
        (utapi_interval_of(event->timestamp_ms) > newest || event->timestamp_ms > UTAPI_INTERVAL_MAX))
        return utapi_fail(err, UTAPI_INVALID, "timestamp: lies too far in the future");
    if (event->incoming_bytes < 0)
        return utapi_fail(err, UTAPI_INVALID, "incomingBytes: must not be negative");
    if (event->outgoing_bytes < 0)
        return utapi_fail(err, UTAPI_INVALID, "outgoingBytes: must not be negative");
    return UTAPI_OK;
}
