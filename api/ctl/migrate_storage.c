/* SPDX-License-Identifier: Apache-2.0 */
/* migrate_storage.c - see migrate_storage.h: the one file that calls storages. */
#include "ctl/migrate_storage.h"

#include "backends/registry.h"
#include "ctl/command.h"
#include "utapi/clock.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DEDUP_WINDOW_MS INT64_C(86400000)

/* ---- opening ------------------------------------------------------------------------------ */

/* "lmdb:/var/lib/utapi" names the kind, and where; "redis+unix://..." is all of it a place, of the kind that it begins
 * with. */
static const utapi_backend_ops *place_kind(const char *place, const char **ret_location)
{
    const utapi_backend_ops *const *all = utapi_registry_all();
    for (size_t i = 0; all[i] != NULL; i++) {
        const size_t size = strlen(all[i]->name);
        if (strncmp(place, all[i]->name, size) != 0 || place[size] == '\0' ||
            strchr(":+-", place[size]) == NULL)
            continue;
        const bool is_uri = strstr(place + size, "://") != NULL;
        *ret_location = is_uri ? place : place + size + 1;
        if (is_uri || place[size] == ':')
            return all[i];
    }
    return NULL;
}

utapi_status migrate_open(const char *option, const char *place, bool must_be_there, utapi_backend **ret,
                          utapi_error *err)
{
    const char *location = NULL;
    const utapi_backend_ops *kind = place_kind(place, &location);
    /* What is in memory would be gone at the end. */
    if (kind == NULL || *location == '\0' || strcmp(kind->name, "memory") == 0)
        return utapi_fail(err, UTAPI_INVALID, "%s: expected redis://HOST[:PORT][/DATABASE] or lmdb:DIRECTORY",
                          option);
    if (must_be_there && strstr(location, "://") == NULL && access(location, R_OK) != 0)
        return utapi_fail(err, UTAPI_INVALID, "%s: there is no %s", option, location);
    const utapi_backend_options options = {.location = location, .dedup_window_ms = DEDUP_WINDOW_MS};
    return utapi_registry_open(kind->name, &options, NULL, ret, err);
}

/* ---- patience ----------------------------------------------------------------------------- */

/* A Redis that writes its file anew is waited for by its backend no longer than ten minutes. */
#define WAIT_MAX_MS INT64_C(660000)

/* A call that may have to be repeated. */
typedef struct attempt {
    utapi_backend *storage; /* borrowed, as the next one */
    progress *shown;
    int64_t until_ms; /* on the monotonic clock; 0: nobody waits yet */
    utapi_error why;
} attempt;

/* After a call, whether it is to be repeated: only after UTAPI_UNAVAILABLE nothing was done. Waits a moment
 * before it says yes. A storage whose stats fail cannot be reached at all, and is not waited for. */
static bool attempt_again(attempt *self, utapi_status status)
{
    static const struct timespec pause = {.tv_nsec = 200000000};
    utapi_storage_stats stats;
    if (status != UTAPI_UNAVAILABLE || utapi_backend_stats(self->storage, &stats, NULL) != UTAPI_OK)
        return false;
    if (self->until_ms == 0) {
        self->until_ms = utapi_monotonic_ms() + WAIT_MAX_MS;
        progress_clear(self->shown);
        ctl_say("waiting, for at most %d minutes: %s", (int)(WAIT_MAX_MS / 60000), self->why.detail);
    }
    (void)nanosleep(&pause, NULL);
    if (utapi_monotonic_ms() >= self->until_ms)
        return false;
    utapi_error_clear(&self->why);
    return true;
}

static utapi_status attempt_end(const attempt *self, utapi_status status, utapi_error *err)
{
    return status == UTAPI_OK ? status : utapi_fail(err, status, "%s", self->why.detail);
}

/* ---- export ------------------------------------------------------------------------------- */

typedef struct reading {
    external_sort *to; /* borrowed, as the next one */
    progress *shown;
    sort_side side;
    bool reports;
    migrate_found found;
    utapi_status status; /* of what a callback did */
    utapi_error *err;
} reading;

static bool on_row(void *ctx, const utapi_export_row *exported)
{
    reading *self = ctx;
    for (unsigned m = 0; m < UTAPI_METRIC_COUNT && self->status == UTAPI_OK; m++) {
        const sort_row row = {.name = exported->name,
                              .interval = exported->interval,
                              .amount = utapi_amounts_get(exported->amounts, m),
                              .level = exported->level,
                              .metric = (utapi_metric)m,
                              .side = self->side};
        if (row.amount == 0)
            continue;
        self->status = external_sort_add(self->to, &row, self->err);
        progress_show(self->shown, 0, ++self->found.changes);
    }
    return self->status == UTAPI_OK;
}

static void on_unreadable(void *ctx, const char *what)
{
    reading *self = ctx;
    self->found.unreadable++;
    if (!self->reports)
        return;
    progress_clear(self->shown);
    ctl_say("not copied: %s", what);
}

utapi_status migrate_export(utapi_backend *storage, sort_side side, bool reports, external_sort *to,
                            progress *shown, migrate_found *ret, utapi_error *err)
{
    const utapi_export all = {
        .form = UTAPI_EXPORT_DELTAS, .level = UTAPI_LEVEL_COUNT, .start = 0, .end = UTAPI_INTERVAL_MAX};
    reading self = {.to = to, .shown = shown, .side = side, .reports = reports, .err = err};
    attempt call = {.storage = storage, .shown = shown};
    utapi_status status;
    do /* before its first row a storage may have to work off something, and not be able to yet */
        status = utapi_backend_export(storage, &all, on_row, side == SORT_SOURCE ? on_unreadable : NULL,
                                      &self, &call.why);
    while (self.found.changes == 0 && attempt_again(&call, status));
    progress_clear(shown);
    *ret = self.found;
    status = attempt_end(&call, status, err);
    return status == UTAPI_OK ? self.status : status;
}

/* ---- corrections and questions ------------------------------------------------------------ */

utapi_status migrate_adjust(utapi_backend *storage, const utapi_adjustment *adjustments, size_t count,
                            progress *shown, utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    for (size_t at = 0, done = 0; at < count && status == UTAPI_OK; at += done) {
        attempt call = {.storage = storage, .shown = shown};
        do
            status = utapi_backend_adjust(storage, adjustments + at, count - at, &done, &call.why);
        while (attempt_again(&call, status));
        status = attempt_end(&call, status, err);
    }
    return status;
}

utapi_status migrate_query(utapi_backend *storage, const utapi_query *query, progress *shown,
                           utapi_usage *ret, utapi_error *err)
{
    attempt call = {.storage = storage, .shown = shown};
    utapi_status status;
    do
        status = utapi_backend_read(storage, query, ret, NULL, &call.why);
    while (attempt_again(&call, status));
    return attempt_end(&call, status, err);
}

/* ---- fences ------------------------------------------------------------------------------- */

typedef struct fences_copy {
    utapi_backend *target; /* borrowed, as the next two */
    progress *shown;
    utapi_error *err;
    utapi_status status;
} fences_copy;

/* Moves a fence from wherever it stands: a batch of nothing. */
static utapi_status fence_move(utapi_backend *target, const unsigned char *writer, uint64_t to,
                               utapi_error *err)
{
    utapi_query query = {.level = UTAPI_SERVICE};
    utapi_batch nothing = {.fence = {.to = to}};
    utapi_applied applied;
    memcpy(query.writer, writer, sizeof query.writer);
    memcpy(nothing.fence.writer, writer, sizeof nothing.fence.writer);
    const utapi_status status = utapi_backend_read(target, &query, NULL, &nothing.fence.from, err);
    return status == UTAPI_OK && nothing.fence.from != to
               ? utapi_backend_apply(target, &nothing, &applied, err)
               : status;
}

static bool on_fence(void *ctx, const unsigned char writer[16], uint64_t fence)
{
    fences_copy *self = ctx;
    attempt call = {.storage = self->target, .shown = self->shown};
    do
        self->status = fence_move(self->target, writer, fence, &call.why);
    while (attempt_again(&call, self->status));
    self->status = attempt_end(&call, self->status, self->err);
    return self->status == UTAPI_OK;
}

utapi_status migrate_fences(utapi_backend *source, utapi_backend *target, progress *shown, utapi_error *err)
{
    fences_copy self = {.target = target, .shown = shown, .err = err};
    const utapi_status status = utapi_backend_fences(source, on_fence, &self, err);
    return status == UTAPI_OK ? self.status : status;
}

/* ---- the audit ---------------------------------------------------------------------------- */

enum { ROWS_A_STEP = 100 };

/* The audit is handed out from the newest row on, and is to be written from the oldest: so all of it is kept, as bytes
 * that begin with their length. */
typedef struct audit_copy {
    size_t count, capacity;
    unsigned char **rows; /* owned */
    bool failed;
} audit_copy;

static bool on_act(void *ctx, const utapi_audit_row *row)
{
    audit_copy *self = ctx;
    const size_t max = utapi_audit_row_max(&row->act);
    if (self->count == self->capacity) {
        const size_t capacity = 2 * self->capacity + ROWS_A_STEP;
        unsigned char **longer = realloc(self->rows, capacity * sizeof *longer);
        self->failed = longer == NULL;
        if (self->failed)
            return false;
        self->rows = longer;
        self->capacity = capacity;
    }
    unsigned char *bytes = malloc(sizeof max + max);
    self->failed = bytes == NULL;
    if (self->failed)
        return false;
    const size_t size = utapi_audit_row_encode(row, bytes + sizeof size);
    memcpy(bytes, &size, sizeof size);
    unsigned char *shorter = realloc(bytes, sizeof size + size);
    self->rows[self->count++] = shorter != NULL ? shorter : bytes;
    return true;
}

static utapi_status acts_write(const audit_copy *self, utapi_backend *target, progress *shown,
                               utapi_error *err)
{
    utapi_audit_row *step = calloc(ROWS_A_STEP, sizeof *step);
    utapi_status status = step != NULL ? UTAPI_OK : utapi_fail(err, UTAPI_NO_MEMORY, "%d acts", ROWS_A_STEP);
    for (size_t left = self->count; left > 0 && status == UTAPI_OK;) {
        size_t count = 0, size;
        for (; left > 0 && count < ROWS_A_STEP && status == UTAPI_OK; count++) {
            const unsigned char *bytes = self->rows[--left];
            memcpy(&size, bytes, sizeof size);
            status = utapi_audit_row_decode(bytes + sizeof size, size, &step[count], err);
        }
        attempt call = {.storage = target, .shown = shown};
        if (status != UTAPI_OK)
            break;
        do
            status = utapi_backend_note(target, step, count, &call.why);
        while (attempt_again(&call, status));
        status = attempt_end(&call, status, err);
    }
    free(step);
    return status;
}

utapi_status migrate_audit(utapi_backend *source, utapi_backend *target, progress *shown, size_t *ret_count,
                           utapi_error *err)
{
    const utapi_audit_query all = {.level = UTAPI_LEVEL_COUNT};
    audit_copy self = {.count = 0};
    utapi_status status = utapi_backend_audit(source, &all, on_act, &self, err);
    if (self.failed)
        status = utapi_fail(err, UTAPI_NO_MEMORY, "%zu acts", self.count);
    if (status == UTAPI_OK)
        status = acts_write(&self, target, shown, err);
    *ret_count = self.count;
    for (size_t i = 0; i < self.count; i++)
        free(self.rows[i]);
    free(self.rows);
    return status;
}
