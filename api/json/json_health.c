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

static uint64_t letters_ever(const utapi_dead_letter_stats *stats)
{
    uint64_t ever = 0;
    for (unsigned reason = 0; reason < UTAPI_REASON_COUNT; reason++)
        ever += stats->ever[reason];
    return ever;
}

/* ---- healthcheck --------------------------------------------------------------------------- */

/* How long the oldest waits; a clock that was set back does not make it negative. */
static int64_t waiting_ms(int64_t oldest_ms, int64_t now_ms)
{
    return oldest_ms > 0 && now_ms > oldest_ms ? now_ms - oldest_ms : 0;
}

/* What is wrong now or, if nothing is, what the figures lack for good and no operator has acknowledged. */
static void warning_write(const utapi_health *health, size_t size, char *ret)
{
    const uint64_t dead = health->letters.kept;
    const uint64_t lost = health->journal.lost - health->journal.lost_acknowledged;
    if (*health->warning != '\0')
        (void)snprintf(ret, size, "%s", health->warning);
    else if (*health->other_warning != '\0')
        (void)snprintf(ret, size, "%s", health->other_warning);
    else if (*health->storage.room_warning != '\0')
        (void)snprintf(ret, size, "%s", health->storage.room_warning);
    else if (dead > 0)
        (void)snprintf(ret, size, "%llu event%s accepted and not counted: utapictl dead-letters list",
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
        json_text_add_string_member(&text, "status", utapi_string_of(status_of(health, warning)));
    json_text_add_string_member(&text, "trouble", utapi_string_of(warning));
    if (llabs(health->storage.clock_skew_ms) > UTAPI_CLOCK_SKEW_TOLD_MS)
        json_text_add_integer_member(&text, "clockSkewMs", health->storage.clock_skew_ms);
    if (journal->capacity_bytes > 0) {
        json_text_add_name(&text, "journal");
        JSON_TEXT_LITERAL(&text, "{");
        json_text_add_count_member(&text, "waiting", journal->waiting);
        json_text_add_integer_member(&text, "oldestAgeMs", waiting_ms(journal->oldest_ms, now_ms));
        json_text_add_count_member(&text, "usedBytes", journal->used_bytes);
        json_text_add_count_member(&text, "capacityBytes", journal->capacity_bytes);
        json_text_add_count_member(&text, "refused", letters_ever(&health->letters));
        json_text_add_count_member(&text, "lost", journal->lost);
        json_text_add_count_member(&text, "refusedAcknowledged",
                                   letters_ever(&health->letters) - health->letters.kept);
        json_text_add_count_member(&text, "lostAcknowledged", journal->lost_acknowledged);
        JSON_TEXT_LITERAL(&text, "}");
    }
    JSON_TEXT_LITERAL(&text, "}");
    return utapi_text_take(&text, ret_size);
}

/* ---- dead letters -------------------------------------------------------------------------- */

static void add_levels(utapi_text *text, utapi_level_set levels)
{
    bool is_first = true;
    json_text_add_name(text, "levels");
    JSON_TEXT_LITERAL(text, "[");
    for (unsigned level = 0; level < UTAPI_LEVEL_COUNT; level++) {
        if ((levels & UTAPI_LEVEL_BIT(level)) == 0)
            continue;
        if (!is_first)
            JSON_TEXT_LITERAL(text, ",");
        is_first = false;
        json_text_add_string(text, utapi_string_of(utapi_level_name((utapi_level)level)));
    }
    JSON_TEXT_LITERAL(text, "]");
}

/* What is of the letter, and not of its event, is ignored where the event is pushed. */
void json_dead_letter(utapi_text *text, json_letter_form form, const utapi_dead_letter *letter)
{
    const utapi_entry *entry = letter->entry;
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
    json_text_add_string_member(text, "id", utapi_string_of(letter->id));
    if (form == JSON_LETTER) {
        json_text_add_string_member(text, "reason", utapi_string_of(utapi_reason_name(letter->reason)));
        json_text_add_string_member(text, "detail", utapi_string_of(letter->detail));
        json_text_add_string_member(text, "source", letter->source);
        json_text_add_integer_member(text, "keptAt", letter->kept_ms);
        add_levels(text, letter->levels);
    }
    json_text_add_string_member(text, "operationId", utapi_string_of(utapi_action_of(entry->operation)));
    json_text_add_string_member(text, "uuid", entry->uuid);
    json_text_add_integer_member(text, "timestamp", entry->time_ms);
    for (unsigned level = 0; level < UTAPI_LEVEL_COUNT; level++)
        json_text_add_string_member(text, resources[level], entry->resource[level]);
    for (unsigned metric = 0; metric < UTAPI_FIRST_OPERATION; metric++)
        json_text_add_integer_member(text, deltas[metric], entry->delta[metric]);
    if (form == JSON_LETTER_REFUSED)
        json_text_add_string_member(text, "reason", utapi_string_of(letter->detail));
    JSON_TEXT_LITERAL(text, "}");
}

void json_letter_stats(utapi_text *text, const utapi_dead_letter_stats *stats)
{
    json_text_add_count_member(text, "kept", stats->kept);
    json_text_add_name(text, "dropped");
    JSON_TEXT_LITERAL(text, "[");
    for (size_t i = 0; i < stats->dropped_count; i++) {
        const utapi_dropped *dropped = &stats->dropped[i];
        if (i > 0)
            JSON_TEXT_LITERAL(text, ",");
        JSON_TEXT_LITERAL(text, "{");
        json_text_add_string_member(text, "reason", utapi_string_of(utapi_reason_name(dropped->reason)));
        json_text_add_string_member(text, "source", utapi_string_of(dropped->source));
        json_text_add_count_member(text, "count", dropped->count);
        JSON_TEXT_LITERAL(text, "}");
    }
    JSON_TEXT_LITERAL(text, "]");
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

static utapi_status read_ids(const json_t *document, const char *name, json_acknowledgement *ret,
                             utapi_error *err)
{
    size_t index;
    json_t *id;
    const json_t *list = json_object_get(document, name);
    if (list != NULL && !json_is_array(list))
        return utapi_fail(err, UTAPI_INVALID, "%s: expected a list of ids", name);
    ret->what.ids = ret->ids = calloc(json_array_size(list) + 1, sizeof *ret->ids);
    if (ret->ids == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "%zu ids", json_array_size(list));
    json_array_foreach (list, index, id) {
        if (!json_is_string(id))
            return utapi_fail(err, UTAPI_INVALID, "%s[%zu]: expected a string", name, index);
        ret->ids[ret->what.count++] = json_string_of(id);
    }
    return UTAPI_OK;
}

/* Parses an object with a list of ids. */
static utapi_status read_object(utapi_string body, const char *expected, const char *ids,
                                json_acknowledgement *ret, utapi_error *err)
{
    if (json_size_of(body).weight > JSON_WEIGHT_SMALL)
        return utapi_fail(err, UTAPI_INVALID, "expected an object with %s", expected);
    utapi_status status = json_parse(body, &ret->document, err);
    if (status == UTAPI_OK && !json_is_object(ret->document))
        status = utapi_fail(err, UTAPI_INVALID, "expected an object with %s", expected);
    return status == UTAPI_OK ? read_ids(ret->document, ids, ret, err) : status;
}

utapi_status json_acknowledgement_read(utapi_string body, json_acknowledgement *ret, utapi_error *err)
{
    const utapi_status status = read_object(body, "refused and lost", "refused", ret, err);
    return status == UTAPI_OK ? read_count(ret->document, "lost", &ret->what.lost, err) : status;
}

utapi_status json_letter_choice_read(utapi_string body, json_acknowledgement *ret, utapi_error *err)
{
    const utapi_status status = read_object(body, "ids or all", "ids", ret, err);
    if (status != UTAPI_OK)
        return status;
    const json_t *all = json_object_get(ret->document, "all");
    if (all != NULL && !json_is_boolean(all))
        return utapi_fail(err, UTAPI_INVALID, "all: expected true or false");
    ret->all = json_is_true(all);
    if (ret->all == (json_object_get(ret->document, "ids") != NULL))
        return utapi_fail(err, UTAPI_INVALID, "expected either ids or all");
    return UTAPI_OK;
}

void json_acknowledgement_done(json_acknowledgement *what)
{
    free(what->ids);
    json_decref(what->document);
    *what = (json_acknowledgement){0};
}
