/* SPDX-License-Identifier: Apache-2.0 */
/* answer.c - see answer.h. */
#include "answer.h"

#include <stdio.h>
#include <string.h>

static bool pair_is(const json_t *expect, const char *member, utapi_wide first, utapi_wide second)
{
    const json_t *pair = json_object_get(expect, member);
    return json_array_size(pair) == 2 && json_integer_value(json_array_get(pair, 0)) == first &&
           json_integer_value(json_array_get(pair, 1)) == second;
}

static bool flow_is(const json_t *expect, const char *member, const utapi_usage *usage, utapi_metric metric)
{
    return json_integer_value(json_object_get(expect, member)) == utapi_amounts_get(&usage->flows, metric);
}

static bool operations_are(const json_t *expect, const utapi_usage *usage)
{
    const json_t *counts = json_object_get(expect, "operations");
    size_t listed = 0;
    for (unsigned i = 0; i < UTAPI_OPERATION_COUNT; i++) {
        char name[64];
        snprintf(name, sizeof name, "s3:%s", utapi_operation_name((utapi_operation)i));
        const json_t *count = json_object_get(counts, name);
        listed += count != NULL;
        if (json_integer_value(count) != utapi_amounts_get(&usage->flows, UTAPI_FIRST_OPERATION + i))
            return false;
    }
    return listed == json_object_size(counts);
}

const char *answer_differs_usage(const json_t *expect, utapi_range range, const utapi_usage *usage)
{
    const struct {
        const char *member;
        bool equal;
    } members[] = {
        {"timeRange", pair_is(expect, "timeRange", range.start_ms, range.end_ms)},
        {"storageUtilized",
         pair_is(expect, "storageUtilized", usage->storage_utilized[0], usage->storage_utilized[1])},
        {"numberOfObjects",
         pair_is(expect, "numberOfObjects", usage->number_of_objects[0], usage->number_of_objects[1])},
        {"incomingBytes", flow_is(expect, "incomingBytes", usage, UTAPI_INCOMING_BYTES)},
        {"outgoingBytes", flow_is(expect, "outgoingBytes", usage, UTAPI_OUTGOING_BYTES)},
        {"operations", operations_are(expect, usage)},
    };
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (!members[i].equal)
            return members[i].member;
    return NULL;
}

static const char *operations_differ(const json_t *expect, const json_t *operations, json_t *answer)
{
    size_t place = 0;
    const char *name;
    json_t *count;
    json_object_foreach (answer, name, count) {
        const char *listed = json_string_value(json_array_get(operations, place++));
        if (listed == NULL || strcmp(listed, name) != 0)
            return name;
        if (json_integer_value(count) != json_integer_value(json_object_get(expect, name)))
            return name;
    }
    return place == json_array_size(operations) ? NULL : "operations";
}

const char *answer_differs_json(const json_t *expect, const json_t *operations, const json_t *answer)
{
    static const char *const members[] = {"timeRange", "storageUtilized", "incomingBytes", "outgoingBytes",
                                          "numberOfObjects"};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (!json_equal(json_object_get(expect, members[i]), json_object_get(answer, members[i])))
            return members[i];
    return operations_differ(json_object_get(expect, "operations"), operations,
                             json_object_get(answer, "operations"));
}
