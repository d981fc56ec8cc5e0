/* SPDX-License-Identifier: Apache-2.0 */
/**
 * handle_status.c - GET /_/ready: whether the server is to be relied on; GET /_/status: all that an operator wants to
 * see at once. Neither waits for the storage.
 */
#include "handlers/readiness.h"
#include "handlers/routes.h"
#include "handlers/sources.h"

#include "json/json_text.h"

#include <string.h>
#include <unistd.h>

static void reasons_add(utapi_text *text, const readiness *seen)
{
    json_text_add_name(text, "ready");
    utapi_text_add_literal(text, seen->reason_count == 0 ? "true" : "false");
    json_text_add_name(text, "reasons");
    JSON_TEXT_LITERAL(text, "[");
    for (size_t i = 0; i < seen->reason_count; i++) {
        if (i > 0)
            JSON_TEXT_LITERAL(text, ",");
        json_text_add_string(text, utapi_string_of(seen->reasons[i]));
    }
    JSON_TEXT_LITERAL(text, "]");
}

void handle_ready(const http_service *service, http_call *call)
{
    readiness seen;
    utapi_text text = {0};
    readiness_look(service, &seen);
    JSON_TEXT_LITERAL(&text, "{");
    reasons_add(&text, &seen);
    json_text_add_string_member(&text, "warning", utapi_string_of(seen.health.storage.room_warning));
    json_text_add_count_member(&text, "deadLetters", seen.health.letters.kept);
    JSON_TEXT_LITERAL(&text, "}");
    size_t size = 0;
    char *body = utapi_text_take(&text, &size);
    const http_error error = seen.reason_count == 0 ? HTTP_OK : HTTP_SERVICE_UNAVAILABLE;
    if (body != NULL)
        http_call_answer(call, http_error_status(error), body, size);
    else
        http_call_fail(call, HTTP_INTERNAL_ERROR);
}

static void object_begin(utapi_text *text, const char *name)
{
    json_text_add_name(text, name);
    JSON_TEXT_LITERAL(text, "{");
}

static void storage_add(utapi_text *text, const http_service *service, const readiness *seen)
{
    const utapi_storage_stats *stats = &seen->health.storage;
    object_begin(text, "storage");
    json_text_add_string_member(text, "backend",
                                utapi_string_of(service->backend != NULL ? service->backend : ""));
    json_text_add_count_member(text, "resources", stats->resources);
    json_text_add_count_member(text, "rows", stats->rows);
    json_text_add_count_member(text, "uuids", stats->uuids);
    json_text_add_count_member(text, "usedBytes", stats->used_bytes);
    json_text_add_count_member(text, "capacityBytes", stats->capacity_bytes);
    json_text_add_count_member(text, "diskBytes", seen->disk_bytes);
    json_text_add_count_member(text, "diskFreeBytes", seen->disk_free_bytes);
    json_text_add_integer_member(text, "clockSkewMs", stats->clock_skew_ms);
    json_text_add_string_member(text, "warning", utapi_string_of(stats->room_warning));
    JSON_TEXT_LITERAL(text, "}");
}

static void events_add(utapi_text *text, const http_service *service, const utapi_commit_stats *stats)
{
    object_begin(text, "events");
    json_text_add_count_member(text, "accepted", telemetry_events(service->telemetry, TELEMETRY_ACCEPTED));
    json_text_add_count_member(text, "refused", telemetry_events(service->telemetry, TELEMETRY_REFUSED));
    json_text_add_count_member(text, "unavailable",
                               telemetry_events(service->telemetry, TELEMETRY_UNAVAILABLE));
    json_text_add_count_member(text, "repeated", stats->repeated);
    json_text_add_count_member(text, "queued", stats->waiting);
    json_text_add_count_member(text, "groups", stats->groups);
    json_text_add_integer_member(text, "perSecond", telemetry_rate(service->telemetry));
    JSON_TEXT_LITERAL(text, "}");
}

static void journal_add(utapi_text *text, const utapi_journal_stats *stats, int64_t now_ms)
{
    if (stats->capacity_bytes == 0)
        return;
    object_begin(text, "journal");
    json_text_add_count_member(text, "waiting", stats->waiting);
    json_text_add_integer_member(text, "oldestAgeMs",
                                 stats->oldest_ms > 0 && now_ms > stats->oldest_ms ? now_ms - stats->oldest_ms
                                                                                   : 0);
    json_text_add_count_member(text, "usedBytes", stats->used_bytes);
    json_text_add_count_member(text, "capacityBytes", stats->capacity_bytes);
    json_text_add_count_member(text, "lost", stats->lost);
    json_text_add_count_member(text, "lostAcknowledged", stats->lost_acknowledged);
    JSON_TEXT_LITERAL(text, "}");
}

static void sources_add(utapi_text *text, const http_service *service, int64_t now_ms)
{
    source all[SOURCES_MAX + 1];
    const size_t count = sources_list(service->sources, all);
    json_text_add_name(text, "sources");
    JSON_TEXT_LITERAL(text, "[");
    for (size_t i = 0; i < count; i++) {
        utapi_text_add_literal(text, i > 0 ? ",{" : "{");
        json_text_add_string_member(text, "source", utapi_string_of(all[i].name));
        json_text_add_count_member(text, "events", all[i].events);
        json_text_add_count_member(text, "late", all[i].late);
        json_text_add_integer_member(text, "silentMs", now_ms - all[i].last_ms);
        json_text_add_integer_member(text, "latenessMs", all[i].lateness_ms);
        JSON_TEXT_LITERAL(text, "}");
    }
    JSON_TEXT_LITERAL(text, "]");
}

void handle_status(const http_service *service, http_call *call)
{
    readiness seen;
    utapi_text text = {0};
    const int64_t now_ms = utapi_engine_now_ms(service->engine);
    readiness_look(service, &seen);
    const utapi_health *health = &seen.health;
    JSON_TEXT_LITERAL(&text, "{");
    json_text_add_string_member(&text, "version", utapi_string_of(UTAPI_VERSION));
    json_text_add_integer_member(&text, "process", getpid());
    json_text_add_integer_member(&text, "uptimeMs", telemetry_uptime_ms(service->telemetry));
    json_text_add_string_member(&text, "status",
                                utapi_string_of(health->refuses            ? "unavailable"
                                                : seen.reason_count > 0    ? "degraded"
                                                : health->letters.kept > 0 ? "degraded"
                                                                           : "ok"));
    reasons_add(&text, &seen);
    json_text_add_string_member(&text, "trouble", utapi_string_of(health->other_warning));
    const int64_t until_s = service->certificate_expires_s != NULL ? service->certificate_expires_s() : 0;
    if (until_s > 0)
        json_text_add_integer_member(&text, "certificateEndsAt", until_s * 1000);
    storage_add(&text, service, &seen);
    events_add(&text, service, &health->commit);
    journal_add(&text, &health->journal, now_ms);
    json_text_add_name(&text, "deadLetters");
    JSON_TEXT_LITERAL(&text, "{\"kept\":");
    json_text_add_integer(&text, (int64_t)health->letters.kept);
    for (unsigned reason = 0; reason < UTAPI_REASON_COUNT; reason++)
        if (health->letters.ever[reason] > 0)
            json_text_add_count_member(&text, utapi_reason_name((utapi_reason)reason),
                                       health->letters.ever[reason]);
    JSON_TEXT_LITERAL(&text, "}");
    sources_add(&text, service, now_ms);
    char last[TELEMETRY_LAST_BYTES];
    const int64_t last_ms = telemetry_last_refusal(service->telemetry, last);
    if (last_ms > 0) {
        object_begin(&text, "lastRefusal");
        json_text_add_string_member(&text, "text", utapi_string_of(last));
        json_text_add_integer_member(&text, "agoMs", now_ms - last_ms);
        JSON_TEXT_LITERAL(&text, "}");
    }
    JSON_TEXT_LITERAL(&text, "}");
    http_call_answer_text(call, &text);
}
