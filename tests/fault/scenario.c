/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scenario.c - a short life of a storage, for the shim to disturb: it repeats what was refused, as a sender does,
 * and checks after every step that the totals are the old ones or the new ones.
 *
 * usage: scenario KIND FOLDER [ACKNOWLEDGED]. Prints the number of each batch once it is acknowledged. Run again
 * on the same folder, it sends everything again, with the same uuids, and everything must count once; what an
 * earlier run saw acknowledged must be there from the beginning. KIND may be journal+ one of the registry's: in the
 * end the storage behind the journal must hold everything by itself. Exit status: 0 all is well, 10 the same and no
 * fault came, 1 a promise was broken.
 */
#include "backends/registry.h"
#include "trace.h"

#include "utapi/backend_admin.h"
#include "utapi/backend_dead_letters.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { BATCHES = 14, BUCKETS = 3, ENTRIES = BUCKETS + 1, ATTEMPTS = 60, FLUSHED = 3, NO_FAULT = 10 };

#define JOURNAL "journal+"

#define FIRST INT64_C(1700006400000)
#define DAY   INT64_C(86400000)

static const char *const bucket_names[BUCKETS] = {"a", "b", "c"};

static void fail(const char *what, long long expected, long long found)
{
    (void)fprintf(stderr, "scenario: %s: expected %lld, found %lld\n", what, expected, found);
    exit(EXIT_FAILURE); // NOLINT(concurrency-mt-unsafe)
}

/* ---- the shim, if it is there ------------------------------------------------------------- */

static void fault_arm(void)
{
    void (*arm)(void);
    *(void **)&arm = dlsym(RTLD_DEFAULT, "utapi_fault_arm");
    if (arm != NULL)
        arm();
}

static bool fault_fired(void)
{
    int (*fired)(void);
    *(void **)&fired = dlsym(RTLD_DEFAULT, "utapi_fault_fired");
    return fired != NULL && fired() != 0;
}

/* Says in the trace how many batches were acknowledged. */
static void trace_mark(const char *path, unsigned acknowledged)
{
    const int fd = path != NULL ? open(path, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;
    trace_record record = {.kind = TRACE_MARK, .offset = acknowledged};
    const struct iovec part = {&record, sizeof record};
    if (fd < 0)
        return;
    if (writev(fd, &part, 1) != (ssize_t)sizeof record)
        fail("trace", 0, 1);
    (void)close(fd);
}

/* ---- the storage -------------------------------------------------------------------------- */

/* What stands behind the journal; NULL: there is no journal in this kind. */
static const char *behind_journal(const char *kind)
{
    return strncmp(kind, JOURNAL, sizeof JOURNAL - 1) == 0 ? kind + sizeof JOURNAL - 1 : NULL;
}

static utapi_backend *storage_open(const char *kind, const char *folder)
{
    char path[PATH_MAX];
    const utapi_backend_options options = {
        .location = folder, .capacity_bytes = UINT64_C(64) << 20, .dedup_window_ms = DAY};
    const utapi_journal_options journal = {
        .location = path, .capacity_bytes = UINT64_C(64) << 20, .keep_ms = DAY, .dedup_window_ms = DAY};
    const char *behind = behind_journal(kind);
    utapi_error err;
    (void)snprintf(path, sizeof path, "%s/journal", folder);
    for (int i = 0; i < ATTEMPTS; i++) {
        utapi_backend *storage = NULL;
        utapi_error_clear(&err);
        if (utapi_registry_open(behind != NULL ? behind : kind, &options, behind != NULL ? &journal : NULL,
                                &storage, &err) == UTAPI_OK)
            return storage;
    }
    fail(err.detail, 0, err.status);
    return NULL;
}

/* Bytes stored by a bucket, or by the service. -1: the question could not be answered. */
static int64_t bytes_of(utapi_backend *storage, utapi_level level, const char *name)
{
    const utapi_string names[] = {utapi_string_of(name)};
    const utapi_query query = {
        .level = level, .names = names, .count = 1, .start = FIRST, .end = FIRST + 10 * DAY};
    utapi_usage usage;
    if (utapi_backend_read(storage, &query, &usage, NULL, NULL) != UTAPI_OK)
        return -1;
    return (int64_t)usage.storage_utilized[1];
}

/* How many batches are stored, by every bucket and by the service alike. */
static int64_t batches_stored(utapi_backend *storage)
{
    for (int i = 0; i < ATTEMPTS; i++) {
        const int64_t service = bytes_of(storage, UTAPI_SERVICE, "s3");
        bool answered = service >= 0;
        for (int b = 0; b < BUCKETS && answered; b++) {
            const int64_t bucket = bytes_of(storage, UTAPI_BUCKETS, bucket_names[b]);
            answered = bucket >= 0;
            if (answered && bucket * BUCKETS != service)
                fail(bucket_names[b], service / BUCKETS, bucket);
        }
        if (answered)
            return service / BUCKETS;
    }
    fail("questions stay without an answer", 0, 1);
    return -1;
}

/* Each batch brings a dead letter. */
static void letters_check(utapi_backend *storage, int64_t batches)
{
    utapi_dead_letter_stats stats = {.kept = 0};
    for (int i = 0; i < ATTEMPTS; i++)
        if (utapi_backend_dead_letter_stats(storage, &stats, NULL) == UTAPI_OK)
            break;
    if ((int64_t)stats.kept != batches)
        fail("dead letters", batches, (int64_t)stats.kept);
}

static bool any_row(void *ctx, const utapi_export_row *row)
{
    (void)ctx;
    (void)row;
    return true;
}

/* Has a journal deliver what it accepted: an export is the storage's own, once it has everything. */
static void storage_flush(utapi_backend *storage)
{
    const utapi_export service = {
        .level = UTAPI_SERVICE, .name = utapi_string_of("s3"), .end = UTAPI_INTERVAL_MAX};
    utapi_error err;
    for (int i = 0; i < ATTEMPTS; i++) {
        utapi_error_clear(&err);
        if (utapi_backend_export(storage, &service, any_row, NULL, NULL, &err) == UTAPI_OK)
            return;
    }
    fail(err.detail, 0, err.status);
}

/* ---- one batch ---------------------------------------------------------------------------- */

/* One entry for each bucket, and one that is refused. */
static void batch_fill(utapi_entry entries[ENTRIES], char uuids[ENTRIES][24], unsigned number)
{
    static const utapi_refusal late = {.reason = UTAPI_REASON_LATE, .detail = "late", .source = {"::1", 3}};
    for (unsigned b = 0; b < ENTRIES; b++) {
        (void)snprintf(uuids[b], sizeof uuids[b], "batch-%u-%u", number, b);
        entries[b] = (utapi_entry){
            .uuid = utapi_string_of(uuids[b]),
            .uuid_time_ms = FIRST,
            .time_ms = FIRST + (number % 5 == 4 ? 0 : number) * UTAPI_INTERVAL_MS, /* some are late */
            .resource = {[UTAPI_BUCKETS] = utapi_string_of(bucket_names[b % BUCKETS]),
                         [UTAPI_SERVICE] = utapi_string_of("s3")},
            .operation = UTAPI_OP_PUT_OBJECT,
            .delta = {[UTAPI_STORAGE_UTILIZED] = 1, [UTAPI_NUMBER_OF_OBJECTS] = 1},
            .accepted_ms = FIRST + DAY,
            .refused = b == BUCKETS ? &late : NULL,
        };
    }
}

/* What a sender is answered by 5xx, and so sends again. */
static bool is_worth_repeating(utapi_status status)
{
    return status == UTAPI_UNAVAILABLE || status == UTAPI_UNCERTAIN || status == UTAPI_NO_MEMORY;
}

static void batch_send(utapi_backend *storage, unsigned number)
{
    utapi_entry entries[ENTRIES];
    char uuids[ENTRIES][24];
    utapi_error err;
    batch_fill(entries, uuids, number);
    const utapi_batch batch = {.entries = entries, .count = ENTRIES, .now_ms = FIRST + DAY};
    const int64_t before = batches_stored(storage);
    bool is_uncertain = false;
    for (int i = 0; i < ATTEMPTS; i++) {
        utapi_applied applied;
        utapi_error_clear(&err);
        const utapi_status status = utapi_backend_apply(storage, &batch, &applied, &err);
        const int64_t after = batches_stored(storage);
        if (after != before && after != before + 1)
            fail("batches stored", before, after);
        is_uncertain |= status == UTAPI_UNCERTAIN;
        /* A journal shows what it found of an uncertain outcome when it is written to again. */
        const bool was_stored = status == UTAPI_OK ? i > 0 && applied.repeated > 0 : after != before;
        if (was_stored && !is_uncertain)
            fail("stored, though it was said not to be", before, after);
        if (status == UTAPI_OK)
            return;
        if (!is_worth_repeating(status))
            fail(err.detail, UTAPI_UNAVAILABLE, status);
    }
    fail(err.detail, 0, err.status);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        (void)fprintf(stderr, "usage: scenario KIND FOLDER [ACKNOWLEDGED]\n");
        return EXIT_FAILURE;
    }
    const char *trace = getenv("UTAPI_FAULT_TRACE"); // NOLINT(concurrency-mt-unsafe)
    const int64_t acknowledged = argc > 3 ? strtoll(argv[3], NULL, 10) : 0;
    fault_arm();
    utapi_backend *storage = storage_open(argv[1], argv[2]);
    int64_t stored = batches_stored(storage);
    if (stored < acknowledged || (argc > 3 && stored > acknowledged + 1))
        fail("batches from before", acknowledged, stored);
    letters_check(storage, stored);
    for (unsigned number = 0; number < BATCHES; number++) {
        batch_send(storage, number);
        (void)printf("%u\n", number + 1);
        (void)fflush(stdout);
        trace_mark(trace, number + 1);
        if (number % FLUSHED == 0)
            storage_flush(storage);
    }
    storage_flush(storage);
    letters_check(storage, BATCHES);
    utapi_backend_close(storage);
    const char *behind = behind_journal(argv[1]);
    storage = storage_open(behind != NULL ? behind : argv[1], argv[2]);
    stored = batches_stored(storage);
    utapi_backend_close(storage);
    if (stored != BATCHES)
        fail("batches at the end", BATCHES, stored);
    return fault_fired() ? EXIT_SUCCESS : NO_FAULT;
}
