/* SPDX-License-Identifier: Apache-2.0 */
/**
 * handle_metrics.c - GET /_/metrics: figures for Prometheus, in its text format 0.0.4.
 *
 * A family whose figure does not exist here is left out: without a journal nothing waits, and a storage that does not
 * answer has no figures. Figures of resources are what ListMetrics is for.
 */
#include "handlers/routes.h"

#include "utapi/text.h"
#include "json/json_text.h"

#include <stdio.h>

/* Begins a family: "gauge" or "counter". */
static void family_add(utapi_text *text, const char *name, const char *type, const char *help)
{
    const char *const pieces[] = {"# HELP ", name, " ", help, "\n# TYPE ", name, " ", type, "\n"};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        utapi_text_add_literal(text, pieces[i]);
}

/* Adds a sample. Labels are ours, so that none needs an escape: "{action=\"Ingest\"}" or "". */
static void sample_add(utapi_text *text, const char *name, const char *labels, uint64_t value)
{
    utapi_text_add_literal(text, name);
    utapi_text_add_literal(text, labels);
    utapi_text_add_char(text, ' ');
    json_text_add_integer(text, value <= INT64_MAX ? (int64_t)value : INT64_MAX);
    utapi_text_add_char(text, '\n');
}

static void single_add(utapi_text *text, const char *name, const char *type, const char *help, uint64_t value)
{
    family_add(text, name, type, help);
    sample_add(text, name, "", value);
}

static void requests_add(void *ctx, const char *action, int status, uint64_t count)
{
    char labels[96];
    (void)snprintf(labels, sizeof labels, "{action=\"%s\",code=\"%d\"}", action, status);
    sample_add(ctx, "utapi_http_requests_total", labels, count);
}

static void process_add(utapi_text *text, const telemetry *counted, bool is_healthy, uint64_t anomalies)
{
    static const char *const outcomes[TELEMETRY_OUTCOMES] = {
        [TELEMETRY_ACCEPTED] = "{outcome=\"accepted\"}",
        [TELEMETRY_REFUSED] = "{outcome=\"refused\"}",
        [TELEMETRY_UNAVAILABLE] = "{outcome=\"unavailable\"}",
    };
    family_add(text, "utapi_build_info", "gauge", "The version of utapid.");
    sample_add(text, "utapi_build_info", "{version=\"" UTAPI_VERSION "\"}", 1);
    single_add(text, "utapi_healthy", "gauge", "1 if events are accepted, as the healthcheck says.",
               is_healthy);
    family_add(text, "utapi_events_total", "counter", "Events by what came of them.");
    for (unsigned i = 0; i < TELEMETRY_OUTCOMES; i++)
        sample_add(text, "utapi_events_total", outcomes[i], telemetry_events(counted, (telemetry_outcome)i));
    family_add(text, "utapi_http_requests_total", "counter", "Requests by action and status.");
    telemetry_requests(counted, requests_add, text);
    single_add(text, "utapi_anomalies_total", "counter",
               "Figures of answers that had more than 64 bits, and were cut.", anomalies);
}

static void skew_add(utapi_text *text, int64_t skew_ms)
{
    static const char name[] = "utapi_storage_clock_skew_seconds";
    char sample[sizeof name + 32];
    family_add(text, name, "gauge", "How far the storage's clock is ahead of this machine's.");
    (void)snprintf(sample, sizeof sample, "%s %.3f\n", name, (double)skew_ms / 1000);
    utapi_text_add_literal(text, sample);
}

static void storage_add(utapi_text *text, const utapi_storage_stats *stats)
{
    single_add(text, "utapi_storage_resources", "gauge", "Resources that the storage knows.",
               stats->resources);
    single_add(text, "utapi_storage_rows", "gauge", "Rows that the storage holds.", stats->rows);
    if (stats->used_bytes > 0)
        single_add(text, "utapi_storage_used_bytes", "gauge", "Bytes that the storage takes.",
                   stats->used_bytes);
    skew_add(text, stats->clock_skew_ms);
}

static void letters_add(utapi_text *text, const utapi_dead_letter_stats *stats)
{
    single_add(text, "utapi_dead_letters", "gauge", "Dead letters that nobody pushed again or acknowledged.",
               stats->kept);
    family_add(text, "utapi_dead_letters_total", "counter",
               "Events that were accepted and not counted, by reason.");
    for (unsigned reason = 0; reason < UTAPI_REASON_COUNT; reason++) {
        char labels[64];
        (void)snprintf(labels, sizeof labels, "{reason=\"%s\"}", utapi_reason_name((utapi_reason)reason));
        sample_add(text, "utapi_dead_letters_total", labels, stats->ever[reason]);
    }
}

void handle_metrics(const http_service *service, http_call *call)
{
    utapi_text text = {0};
    utapi_health health;
    const bool storage_answers = utapi_engine_health(service->engine, &health, NULL) == UTAPI_OK;
    process_add(&text, service->telemetry, storage_answers && !health.refuses, health.anomalies);
    if (storage_answers) {
        storage_add(&text, &health.storage);
        letters_add(&text, &health.letters);
    }
    if (health.journal.capacity_bytes > 0)
        single_add(&text, "utapi_journal_waiting_events", "gauge",
                   "Events in the journal that the storage does not have yet.", health.journal.waiting);
    http_call_answer_text(call, &text);
}
