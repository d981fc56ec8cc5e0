/* SPDX-License-Identifier: Apache-2.0 */
/**
 * json_health.c - healthcheck and dead letters, written straight into a buffer; an acknowledgement, read.
 */
#include "json/json_health.h"

#include "utapi/event.h"
#include "json/json_parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_name(utapi_text *text, const char *name)
{
    if (text->size > 0 && text->data[text->size - 1] != '{')
        JSON_TEXT_LITERAL(text, ",");
    json_text_add_string(text, utapi_string_of(name));
    JSON_TEXT_LITERAL(text, ":");
}

static void add_integer(utapi_text *text, const char *name, int64_t value)
{
    add_name(text, name);
    json_text_add_integer(text, value);
}

static void add_count(utapi_text *text, const char *name, uint64_t value)
{
    add_integer(text, name, value <= INT64_MAX ? (int64_t)value : INT64_MAX);
}

/* An absent text is no member. */
static void add_string(utapi_text *text, const char *name, utapi_string value)
{
    if (value.size == 0)
        return;
    add_name(text, name);
    json_text_add_string(text, value);
}

/* ---- healthcheck --------------------------------------------------------------------------- */

/* How long the oldest waits; a clock that was set back does not make it negative. */
static int64_t waiting_ms(int64_t oldest_ms, int64_t now_ms)
{
    return oldest_ms > 0 && now_ms > oldest_ms ? now_ms - oldest_ms : 0;
}

/* What is wrong now or, if nothing is, what the figures lack for good and no operator has taken note of. */
static void warning_write(const utapi_health *health, size_t size, char *ret)
{
    const uint64_t dead = health->journal.dead_letters - health->journal.dead_letters_acknowledged;
    const uint64_t lost = health->journal.lost - health->journal.lost_acknowledged;
    if (*health->warning != '\0')
        (void)snprintf(ret, size, "%s", health->warning);
    else if (*health->other_warning != '\0')
        (void)snprintf(ret, size, "%s", health->other_warning);
    else if (dead > 0)
        (void)snprintf(ret, size,
                       "%llu event%s accepted that can never be counted: utapictl journal --refused",
                       (unsigned long long)dead, dead == 1 ? " was" : "s were");
    else if (lost > 0)
        (void)snprintf(ret, size, "%llu event%s lost by the storage, and the journal no longer had them",
                       (unsigned long long)lost, lost == 1 ? " was" : "s were");
    else
        *ret = '\0';
}

static const char *status_of(const utapi_health *health, const char *warning)
{
    if (health->refuses)
        return "unavailable";
    return *warning != '\0' ? "degraded" : "ok";
}

char *json_health(const utapi_health *health, int64_t now_ms, size_t *ret_size)
{
    const utapi_journal_stats *journal = &health->journal;
    utapi_text text = {0};
    char warning[sizeof health->warning];
    warning_write(health, sizeof warning, warning);
    JSON_TEXT_LITERAL(&text, "{");
    if (*warning != '\0' || journal->capacity_bytes > 0)
        add_string(&text, "status", utapi_string_of(status_of(health, warning)));
    add_string(&text, "trouble", utapi_string_of(warning));
    if (llabs(health->storage.clock_skew_ms) > UTAPI_CLOCK_SKEW_TOLD_MS)
        add_integer(&text, "clockSkewMs", health->storage.clock_skew_ms);
    if (journal->capacity_bytes > 0) {
        add_name(&text, "journal");
        JSON_TEXT_LITERAL(&text, "{");
        add_count(&text, "waiting", journal->waiting);
        add_integer(&text, "oldestAgeMs", waiting_ms(journal->oldest_ms, now_ms));
        add_count(&text, "usedBytes", journal->used_bytes);
        add_count(&text, "capacityBytes", journal->capacity_bytes);
        add_count(&text, "refused", journal->dead_letters);
        add_count(&text, "lost", journal->lost);
        add_count(&text, "refusedAcknowledged", journal->dead_letters_acknowledged);
        add_count(&text, "lostAcknowledged", journal->lost_acknowledged);
        JSON_TEXT_LITERAL(&text, "}");
    }
    JSON_TEXT_LITERAL(&text, "}");
    return utapi_text_take(&text, ret_size);
}

/* ---- dead letters -------------------------------------------------------------------------- */

/* An event of V2, which may be pushed once what refused it is mended; `id`, `service` and `reason` are ignored then. */
void json_dead_letter(utapi_text *text, const utapi_dead_letter *letter)
{
    const utapi_entry *entry = letter->entry;
    const char *reason = *letter->reason != '\0' ? letter->reason : utapi_status_text(letter->status);
    static const char *const resources[UTAPI_LEVEL_COUNT] = {
        [UTAPI_BUCKETS] = "bucket",  [UTAPI_ACCOUNTS] = "account",   [UTAPI_USERS] = "user",
        [UTAPI_SERVICE] = "service", [UTAPI_LOCATIONS] = "location",
    };
    static const char *const deltas[UTAPI_FIRST_OPERATION] = {
        [UTAPI_STORAGE_UTILIZED] = "sizeDelta",
        [UTAPI_NUMBER_OF_OBJECTS] = "objectDelta",
        [UTAPI_INCOMING_BYTES] = "incomingBytes",
        [UTAPI_OUTGOING_BYTES] = "outgoingBytes",
    };
    JSON_TEXT_LITERAL(text, "{");
    add_string(text, "id", utapi_string_of(letter->id));
    add_string(text, "operationId", utapi_string_of(utapi_action_of(entry->operation)));
    add_string(text, "uuid", entry->uuid);
    add_integer(text, "timestamp", entry->time_ms);
    for (unsigned level = 0; level < UTAPI_LEVEL_COUNT; level++)
        add_string(text, resources[level], entry->resource[level]);
    for (unsigned metric = 0; metric < UTAPI_FIRST_OPERATION; metric++)
        add_integer(text, deltas[metric], entry->delta[metric]);
    add_string(text, "reason", utapi_string_of(reason));
    JSON_TEXT_LITERAL(text, "}");
}

/* ---- acknowledging them -------------------------------------------------------------------- */

static utapi_status read_count(const json_t *object, const char *name, uint64_t *ret, utapi_error *err)
{
    const json_t *value = json_object_get(object, name);
    if (value != NULL && (!json_is_integer(value) || json_integer_value(value) < 0))
        return utapi_fail(err, UTAPI_INVALID, "%s: expected how many", name);
    *ret = (uint64_t)json_integer_value(value);
    return UTAPI_OK;
}

static utapi_status read_ids(const json_t *list, json_acknowledgement *ret, utapi_error *err)
{
    size_t index;
    json_t *id;
    if (list != NULL && !json_is_array(list))
        return utapi_fail(err, UTAPI_INVALID, "refused: expected a list of ids");
    ret->what.ids = ret->ids = calloc(json_array_size(list) + 1, sizeof *ret->ids);
    if (ret->ids == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "%zu ids", json_array_size(list));
    json_array_foreach (list, index, id) {
        if (!json_is_string(id))
            return utapi_fail(err, UTAPI_INVALID, "refused[%zu]: expected a string", index);
        ret->ids[ret->what.count++] = json_string_of(id);
    }
    return UTAPI_OK;
}

utapi_status json_acknowledgement_read(utapi_string body, json_acknowledgement *ret, utapi_error *err)
{
    if (json_size_of(body).weight > JSON_WEIGHT_SMALL)
        return utapi_fail(err, UTAPI_INVALID, "expected an object with refused and lost");
    utapi_status status = json_parse(body, &ret->document, err);
    if (status == UTAPI_OK && !json_is_object(ret->document))
        status = utapi_fail(err, UTAPI_INVALID, "expected an object with refused and lost");
    if (status == UTAPI_OK)
        status = read_ids(json_object_get(ret->document, "refused"), ret, err);
    return status == UTAPI_OK ? read_count(ret->document, "lost", &ret->what.lost, err) : status;
}

void json_acknowledgement_done(json_acknowledgement *what)
{
    free(what->ids);
    json_decref(what->document);
    *what = (json_acknowledgement){0};
}
