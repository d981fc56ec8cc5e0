/* SPDX-License-Identifier: Apache-2.0 */
/**
 * handle_metrics.c - GET /_/metrics: figures for Prometheus, in its text format 0.0.4.
 *
 * A family whose figure does not exist here is left out: without a journal nothing waits, and a storage that does not
 * answer has no figures. Figures of resources are what ListMetrics is for.
 */
#include "handlers/readiness.h"
#include "handlers/routes.h"
#include "handlers/sources.h"

#include "utapi/text.h"
#include "json/json_text.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Begins a family: "gauge", "counter" or "histogram". */
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

static void seconds_add(utapi_text *text, const char *name, const char *labels, double seconds)
{
    char value[40];
    (void)snprintf(value, sizeof value, " %.6f\n", seconds);
    utapi_text_add_literal(text, name);
    utapi_text_add_literal(text, labels);
    utapi_text_add_literal(text, value);
}

/* ---- families of one figure ------------------------------------------------------------------ */

typedef struct single {
    const char *name, *type, *help;
    uint64_t value;
    bool is_left_out; /* there is no such figure here */
} single;

static void singles_add(utapi_text *text, const single *all, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (all[i].is_left_out)
            continue;
        family_add(text, all[i].name, all[i].type, all[i].help);
        sample_add(text, all[i].name, "", all[i].value);
    }
}

#define FIGURE(type_, name_, help_, value_, ...)                                  \
    {                                                                             \
        .type = type_, .name = name_, .help = help_, .value = value_, __VA_ARGS__ \
    }
#define GAUGE(...)   FIGURE("gauge", __VA_ARGS__)
#define COUNTER(...) FIGURE("counter", __VA_ARGS__)
#define SINGLES_ADD(text, ...) \
    singles_add(text, (const single[]){__VA_ARGS__}, sizeof((single[]){__VA_ARGS__}) / sizeof(single))

/* ---- histograms ------------------------------------------------------------------------------ */

/* @param label  "action=\"Ingest\"," or "" */
static void histogram_add(utapi_text *text, const char *name, const char *label, const utapi_histogram *of)
{
    uint64_t count = 0;
    char full[96], labels[128];
    for (size_t i = 0; i < UTAPI_HISTOGRAM_BUCKETS; i++) {
        count += of->counts[i];
        if (i < UTAPI_HISTOGRAM_BOUNDS)
            (void)snprintf(labels, sizeof labels, "{%sle=\"%g\"}", label,
                           (double)utapi_histogram_bounds_us[i] / 1e6);
        else
            (void)snprintf(labels, sizeof labels, "{%sle=\"+Inf\"}", label);
        (void)snprintf(full, sizeof full, "%s_bucket", name);
        sample_add(text, full, labels, count);
    }
    const size_t size = strlen(label);
    (void)snprintf(labels, sizeof labels, size > 0 ? "{%.*s}" : "%.*s", (int)(size > 0 ? size - 1 : 0),
                   label);
    (void)snprintf(full, sizeof full, "%s_sum", name);
    seconds_add(text, full, labels, (double)of->sum_ns / 1e9);
    (void)snprintf(full, sizeof full, "%s_count", name);
    sample_add(text, full, labels, count);
}

/* ---- requests and events --------------------------------------------------------------------- */

static void requests_add(void *ctx, const char *action, int status, uint64_t count)
{
    char labels[96];
    (void)snprintf(labels, sizeof labels, "{action=\"%s\",code=\"%d\"}", action, status);
    sample_add(ctx, "utapi_http_requests_total", labels, count);
}

static void http_add(utapi_text *text, const telemetry *counted)
{
    static const char name[] = "utapi_http_request_duration_seconds";
    const char *action;
    utapi_histogram took;
    family_add(text, "utapi_http_requests_total", "counter", "Requests by action and status.");
    telemetry_requests(counted, requests_add, text);
    family_add(text, name, "histogram", "From a request's head until its reply is sent, by action.");
    for (size_t row = 0; row <= HTTP_ROUTES; row++) {
        char label[64];
        if (!telemetry_durations(counted, row, &action, &took))
            continue;
        (void)snprintf(label, sizeof label, "action=\"%s\",", action);
        histogram_add(text, name, label, &took);
    }
}

static void events_add(utapi_text *text, const telemetry *counted)
{
    static const char *const outcomes[TELEMETRY_OUTCOMES] = {
        [TELEMETRY_ACCEPTED] = "{outcome=\"accepted\"}",
        [TELEMETRY_REFUSED] = "{outcome=\"refused\"}",
        [TELEMETRY_UNAVAILABLE] = "{outcome=\"unavailable\"}",
    };
    family_add(text, "utapi_events_total", "counter", "Events by what came of them.");
    for (unsigned i = 0; i < TELEMETRY_OUTCOMES; i++)
        sample_add(text, "utapi_events_total", outcomes[i], telemetry_events(counted, (telemetry_outcome)i));
}

static void commit_add(utapi_text *text, const utapi_commit_stats *stats)
{
    SINGLES_ADD(
        text, GAUGE("utapi_queue_events", "Events that wait for the committer.", stats->waiting),
        COUNTER("utapi_commit_groups_total", "Groups of events that were stored together.", stats->groups),
        COUNTER("utapi_commit_events_total", "Events in them.", stats->events),
        COUNTER("utapi_events_repeated_total", "Of these, known by their uuids: they counted before.",
                stats->repeated));
    family_add(text, "utapi_commit_duration_seconds", "histogram", "Making a group of events durable.");
    histogram_add(text, "utapi_commit_duration_seconds", "", &stats->took);
}

typedef double source_figure(const source *of);

static double last_event(const source *of)
{
    return (double)of->last_ms / 1000;
}

static double lateness(const source *of)
{
    return (double)of->lateness_ms / 1000;
}

static double events(const source *of)
{
    return (double)of->events;
}

static double late_events(const source *of)
{
    return (double)of->late;
}

static void sources_add(utapi_text *text, sources *all)
{
    static const struct {
        const char *name, *type, *help;
        source_figure *of;
    } families[] = {
        {"utapi_source_last_event_timestamp_seconds", "gauge", "When events came last, by their sender.",
         last_event},
        {"utapi_source_lateness_max_seconds", "gauge", "The greatest age of an event when it came, ever.",
         lateness},
        {"utapi_source_events_total", "counter", "Events that were accepted, by their sender.", events},
        {"utapi_source_late_events_total", "counter", "Of these, of an interval that was over.", late_events},
    };
    source list[SOURCES_MAX + 1];
    const size_t count = sources_list(all, list);
    for (size_t f = 0; f < sizeof families / sizeof *families; f++) {
        family_add(text, families[f].name, families[f].type, families[f].help);
        for (size_t i = 0; i < count; i++) {
            char labels[96];
            (void)snprintf(labels, sizeof labels, "{source=\"%.64s\"}", list[i].name);
            seconds_add(text, families[f].name, labels, families[f].of(&list[i]));
        }
    }
}

/* ---- storage, journal, dead letters ---------------------------------------------------------- */

static void storage_add(utapi_text *text, const readiness *seen)
{
    const utapi_storage_stats *stats = &seen->health.storage;
    const bool is_silent = !seen->storage_answers;
    SINGLES_ADD(
        text,
        GAUGE("utapi_storage_resources", "Resources that the storage knows.", stats->resources,
              .is_left_out = is_silent),
        GAUGE("utapi_storage_rows", "Rows that the storage holds.", stats->rows, .is_left_out = is_silent),
        GAUGE("utapi_storage_uuids", "Uuids that it remembers.", stats->uuids, .is_left_out = is_silent),
        GAUGE("utapi_storage_used_bytes", "Bytes that the storage takes.", stats->used_bytes,
              .is_left_out = is_silent || stats->used_bytes == 0),
        GAUGE("utapi_storage_capacity_bytes", "Bytes that it may take.", stats->capacity_bytes,
              .is_left_out = is_silent || stats->capacity_bytes == 0),
        GAUGE("utapi_disk_size_bytes", "Size of the file system that the data is on.", seen->disk_bytes,
              .is_left_out = seen->disk_bytes == 0),
        GAUGE("utapi_disk_free_bytes", "What is free of it.", seen->disk_free_bytes,
              .is_left_out = seen->disk_bytes == 0));
    family_add(text, "utapi_storage_clock_skew_seconds", "gauge",
               "How far the storage's clock is ahead of this machine's.");
    seconds_add(text, "utapi_storage_clock_skew_seconds", "", (double)stats->clock_skew_ms / 1000);
}

static void journal_add(utapi_text *text, const utapi_journal_stats *stats, int64_t now_ms)
{
    if (stats->capacity_bytes == 0)
        return;
    SINGLES_ADD(text,
                GAUGE("utapi_journal_waiting_events",
                      "Events in the journal that the storage does not have yet.", stats->waiting),
                GAUGE("utapi_journal_used_bytes", "Bytes that the journal takes.", stats->used_bytes),
                GAUGE("utapi_journal_capacity_bytes", "Bytes that it may take.", stats->capacity_bytes),
                COUNTER("utapi_journal_lost_events_total",
                        "Events that the storage lost, and the journal no longer had.", stats->lost));
    family_add(text, "utapi_journal_oldest_age_seconds", "gauge", "How long the oldest of them has waited.");
    seconds_add(text, "utapi_journal_oldest_age_seconds", "",
                stats->oldest_ms > 0 && now_ms > stats->oldest_ms ? (double)(now_ms - stats->oldest_ms) / 1000
                                                                  : 0);
}

static void letters_add(utapi_text *text, const utapi_dead_letter_stats *stats)
{
    SINGLES_ADD(text, GAUGE("utapi_dead_letters", "Dead letters that nobody pushed again or acknowledged.",
                            stats->kept));
    family_add(text, "utapi_dead_letters_total", "counter",
               "Events that were accepted and not counted, by reason.");
    for (unsigned reason = 0; reason < UTAPI_REASON_COUNT; reason++) {
        char labels[64];
        (void)snprintf(labels, sizeof labels, "{reason=\"%s\"}", utapi_reason_name((utapi_reason)reason));
        sample_add(text, "utapi_dead_letters_total", labels, stats->ever[reason]);
    }
}

static void certificate_add(utapi_text *text, const http_service *service)
{
    const int64_t until_s = service->certificate_expires_s != NULL ? service->certificate_expires_s() : 0;
    SINGLES_ADD(text, GAUGE("utapi_certificate_expiry_timestamp_seconds", "When the TLS certificate ends.",
                            (uint64_t)until_s, .is_left_out = until_s <= 0));
}

/* ---- the process ----------------------------------------------------------------------------- */

static uint64_t open_files(void)
{
    uint64_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (folder != NULL && readdir(folder) != NULL)
        count++;
    if (folder != NULL)
        (void)closedir(folder);
    return count > 3 ? count - 3 : 0; /* ".", "..", and the folder's own */
}

/* The second word of statm: pages. */
static uint64_t resident_bytes(void)
{
    char line[128] = "", *rest = line;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file != NULL && fgets(line, sizeof line, file) != NULL)
        (void)strtoull(line, &rest, 10);
    if (file != NULL)
        (void)fclose(file);
    return (uint64_t)strtoull(rest, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void process_add(utapi_text *text, const telemetry *counted, int64_t now_ms)
{
    SINGLES_ADD(text,
                GAUGE("process_resident_memory_bytes", "Resident memory, pages of LMDB's map included.",
                      resident_bytes()),
                GAUGE("process_open_fds", "Open file descriptors.", open_files()));
    family_add(text, "process_start_time_seconds", "gauge", "When the process started.");
    seconds_add(text, "process_start_time_seconds", "",
                (double)(now_ms - telemetry_uptime_ms(counted)) / 1000);
}

void handle_metrics(const http_service *service, http_call *call)
{
    utapi_text text = {0};
    readiness seen;
    const int64_t now_ms = utapi_engine_now_ms(service->engine);
    readiness_look(service, &seen);
    family_add(&text, "utapi_build_info", "gauge", "The version of utapid.");
    sample_add(&text, "utapi_build_info", "{version=\"" UTAPI_VERSION "\"}", 1);
    SINGLES_ADD(&text,
                GAUGE("utapi_healthy", "1 if events are accepted, as the healthcheck says.",
                      seen.storage_answers && !seen.health.refuses),
                GAUGE("utapi_ready", "1 if /_/ready answers 200.", seen.reason_count == 0),
                COUNTER("utapi_anomalies_total",
                        "Figures of answers that had more than 64 bits, and were cut.",
                        seen.health.anomalies));
    http_add(&text, service->telemetry);
    events_add(&text, service->telemetry);
    sources_add(&text, service->sources);
    commit_add(&text, &seen.health.commit);
    storage_add(&text, &seen);
    journal_add(&text, &seen.health.journal, now_ms);
    letters_add(&text, &seen.health.letters);
    certificate_add(&text, service);
    process_add(&text, service->telemetry, now_ms);
    http_call_answer_text(call, &text);
}
