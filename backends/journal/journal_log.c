/* SPDX-License-Identifier: Apache-2.0 */
/* journal_log.c - the log's incarnations: what former starts left, where each stands, what of it is lost.
 *
 * How far an incarnation is stored is noted on disk now and then only: after a crash the storage's fence tells. */
#include "journal_store.h"

#include "utapi/scoped.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

/* ---- where incarnations stand ------------------------------------------------------------- */

static void incarnation_join(journal_log *log, journal_incarnation *one)
{
    if (log->newest == NULL)
        log->oldest = one;
    else
        log->newest->next_one = one;
    log->newest = one;
}

static void span_fill(const journal_log *log, const journal_incarnation *one, journal_span *ret)
{
    *ret = (journal_span){.incarnation = one->number,
                          .stored = one->stored,
                          .next = one->next,
                          .is_newest = one == log->newest,
                          .given_up = one->given_up};
    memcpy(ret->writer, one->writer, sizeof ret->writer);
}

bool utapi_journal_log_waiting(journal_log *log, journal_span *ret)
{
    pthread_mutex_lock(&log->lock);
    const journal_incarnation *one = log->oldest;
    while (one != log->newest && utapi_journal_waiting_of(one) == 0)
        one = one->next_one;
    span_fill(log, one, ret);
    const bool waits = utapi_journal_waiting_of(one) > 0;
    pthread_mutex_unlock(&log->lock);
    return waits;
}

bool utapi_journal_log_span_after(journal_log *log, uint32_t incarnation, journal_span *ret)
{
    pthread_mutex_lock(&log->lock);
    const journal_incarnation *one = log->oldest;
    while (one != NULL && (one->number <= incarnation || (one->next == 0 && one != log->newest)))
        one = one->next_one;
    if (one != NULL)
        span_fill(log, one, ret);
    pthread_mutex_unlock(&log->lock);
    return one != NULL;
}

void utapi_journal_log_stored(journal_log *log, uint32_t incarnation, uint64_t stored)
{
    pthread_mutex_lock(&log->lock);
    journal_incarnation *one = utapi_journal_incarnation(log, incarnation);
    if (stored < one->stored) /* it will be sent again: what was kept long enough is not yet */
        one->mark_count = 0;
    one->stored = stored < one->next ? stored : one->next;
    utapi_journal_observe(log, NULL);
    pthread_mutex_unlock(&log->lock);
}

bool utapi_journal_log_keeps(journal_log *log, uint32_t incarnation, uint64_t sequence)
{
    pthread_mutex_lock(&log->lock);
    const journal_incarnation *one = utapi_journal_incarnation(log, incarnation);
    const bool keeps = one != NULL && sequence >= one->kept_from;
    pthread_mutex_unlock(&log->lock);
    return keeps;
}

utapi_status utapi_journal_log_stats(journal_log *log, utapi_journal_stats *stats, bool *ret_full,
                                     utapi_error *err)
{
    uint64_t used_pages = 0;
    const utapi_status status = utapi_lmdbenv_used_pages(&log->env, 0, &used_pages, err);
    pthread_mutex_lock(&log->lock);
    stats->capacity_bytes = log->env.map_pages * log->env.page_size;
    stats->used_bytes = used_pages * log->env.page_size;
    stats->lost = log->lost;
    *ret_full = log->full;
    pthread_mutex_unlock(&log->lock);
    return status;
}

/* What is stored makes room by itself: pages are told in the proportion of what waits. */
void utapi_journal_log_warn(journal_log *log, char *ret, size_t size)
{
    uint64_t used_pages = 0, waiting = 0, held = 0;
    *ret = '\0';
    if (utapi_lmdbenv_used_pages(&log->env, 0, &used_pages, NULL) != UTAPI_OK)
        return;
    pthread_mutex_lock(&log->lock);
    for (const journal_incarnation *one = log->oldest; one != NULL; one = one->next_one) {
        waiting += utapi_journal_waiting_of(one);
        held += one->next - one->kept_from;
    }
    pthread_mutex_unlock(&log->lock);
    if (held > 0)
        used_pages = (uint64_t)((double)used_pages * (double)waiting / (double)held);
    utapi_lmdbenv_warn(&log->env, used_pages, ret, size);
}

utapi_status utapi_journal_log_expire(journal_log *log, utapi_level level, int64_t time_ms, utapi_error *err)
{
    MDB_txn *txn = NULL;
    pthread_mutex_lock(&log->lock);
    const bool is_known = time_ms <= log->tombstone_ms[level];
    pthread_mutex_unlock(&log->lock);
    if (is_known)
        return UTAPI_OK;
    utapi_status status = utapi_journal_write_begin(log, &txn, err);
    if (status != UTAPI_OK)
        return status;
    /* An append may have noted a later one since. Only writes change it: no lock is needed to look. */
    const bool is_later = time_ms > log->tombstone_ms[level];
    const int rc = is_later ? utapi_journal_tombstone_put(log, txn, level, time_ms) : 0;
    status = utapi_journal_write_end(log, txn, utapi_journal_code(err, rc, "an expiry"), err);
    if (status == UTAPI_OK && is_later) {
        pthread_mutex_lock(&log->lock);
        log->tombstone_ms[level] = time_ms;
        utapi_journal_observe(log, NULL);
        pthread_mutex_unlock(&log->lock);
    }
    utapi_lmdbenv_write_leave(&log->env);
    return status;
}

/* ---- what former starts left -------------------------------------------------------------- */

static int incarnation_load(journal_log *log, MDB_txn *txn, const journal_incarnation *row)
{
    journal_incarnation *one = malloc(sizeof *one);
    if (one == NULL)
        return ENOMEM;
    *one = *row;
    incarnation_join(log, one);
    uint64_t first = UINT64_MAX, end = 0;
    const int rc = utapi_journal_bounds(log, txn, one->number, &first, &end);
    one->next = end > one->stored ? end : one->stored;
    one->kept_from = first < one->next ? first : one->next;
    return rc;
}

static int incarnations_load(journal_log *log, MDB_txn *txn)
{
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    journal_incarnation row;
    int rc = mdb_cursor_open(txn, log->env.tables[JOURNAL_WRITER], &cursor);
    if (rc != 0)
        return rc;
    while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        rc = utapi_journal_incarnation_get(key, value, &row) ? incarnation_load(log, txn, &row)
                                                             : MDB_CORRUPTED;
        if (rc != 0)
            break;
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static utapi_status log_load(journal_log *log, utapi_error *err)
{
    utapi_lmdbenv_reader *reader;
    const utapi_status status = utapi_lmdbenv_read_begin(&log->env, &reader, err);
    if (status != UTAPI_OK)
        return status;
    int rc = incarnations_load(log, reader->txn);
    if (rc == 0)
        rc = utapi_journal_number_get(log, reader->txn, "lost", &log->lost);
    for (unsigned level = 0; level < UTAPI_LEVEL_COUNT && rc == 0; level++)
        rc = utapi_journal_tombstone_get(log, reader->txn, (utapi_level)level, &log->tombstone_ms[level]);
    utapi_lmdbenv_read_end(&log->env, reader);
    return utapi_journal_code(err, rc, "what was left");
}

/* ---- opening, beginning an incarnation, closing ------------------------------------------- */

static utapi_status incarnation_begin(journal_log *log, bool gives_up, utapi_error *err)
{
    MDB_txn *txn = NULL;
    UTAPI_AUTO_FREE journal_incarnation *one = calloc(1, sizeof *one);
    if (one == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "the journal");
    if (getrandom(one->writer, sizeof one->writer, 0) != (ssize_t)sizeof one->writer)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "the journal: no random numbers: %s", strerror(errno));
    utapi_status status = utapi_journal_write_begin(log, &txn, err);
    if (status != UTAPI_OK)
        return status;
    one->number = log->newest != NULL ? log->newest->number + 1 : 1;
    const int rc = utapi_journal_incarnation_put(log, txn, one, 0);
    status = utapi_journal_write_end(log, txn, utapi_journal_code(err, rc, "a new writer"), err);
    if (status == UTAPI_OK) {
        pthread_mutex_lock(&log->lock);
        if (gives_up)
            log->newest->given_up = true;
        incarnation_join(log, UTAPI_TAKE(one));
        utapi_journal_observe(log, NULL);
        pthread_mutex_unlock(&log->lock);
    }
    utapi_lmdbenv_write_leave(&log->env);
    return status;
}

utapi_status utapi_journal_log_renew(journal_log *log, utapi_error *err)
{
    return incarnation_begin(log, true, err);
}

void utapi_journal_log_close(journal_log *log)
{
    if (log == NULL)
        return;
    for (journal_incarnation *one; (one = log->oldest) != NULL; free(one))
        log->oldest = one->next_one;
    utapi_lmdbenv_close(&log->env);
    pthread_mutex_destroy(&log->lock);
    free(log);
}
UTAPI_AUTO_DEFINE(journal_log, utapi_journal_log_close)

utapi_status utapi_journal_log_open(const journal_log_options *options, journal_log **ret, utapi_error *err)
{
    UTAPI_AUTO(journal_log) *log = calloc(1, sizeof *log);
    if (log == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "the journal");
    log->retention_ms = options->journal->keep_ms;
    log->dedup = (utapi_dedup){.env = &log->env,
                               .table = JOURNAL_DEDUP,
                               .unit = UTAPI_DEDUP_MS,
                               .window_ms = options->journal->dedup_window_ms};
    const uint64_t max_letters = options->journal->max_dead_letters;
    log->letters = (utapi_letters){.env = &log->env,
                                   .dedup = &log->dedup,
                                   .table = JOURNAL_LETTERS,
                                   .max = max_letters > 0 ? max_letters : UTAPI_LETTERS_DEFAULT};
    log->monotonic_ms = options->monotonic_ms;
    log->observer = options->observer;
    log->ctx = options->ctx;
    pthread_mutex_init(&log->lock, NULL);
    utapi_status status = utapi_lmdbenv_open(&log->env, &utapi_journal_layout, options->journal->location,
                                             options->journal->capacity_bytes, err);
    if (status == UTAPI_OK)
        status = log_load(log, err);
    if (status == UTAPI_OK)
        status = incarnation_begin(log, false, err);
    if (status != UTAPI_OK)
        return status;
    /* What former starts left may fill it: that must be known before anything is accepted. */
    log->accepted_since = UINT64_MAX / 2;
    (void)!utapi_journal_make_room(log, 0, NULL);
    *ret = UTAPI_TAKE(log);
    return UTAPI_OK;
}

/* ---- gaps --------------------------------------------------------------------------------- */

/* Adds [from, to) to the gaps that are known; returns how many of its events were not in one yet. */
static uint64_t gaps_add(journal_incarnation *one, uint64_t from, uint64_t to)
{
    journal_gap all = {.from = from, .to = to};
    uint64_t added = to - from;
    size_t kept = 0;
    for (size_t i = 0; i < one->gap_count; i++) {
        const journal_gap gap = one->gaps[i];
        if (gap.to < from || gap.from > to) {
            one->gaps[kept++] = gap;
            continue;
        }
        const uint64_t low = gap.from > from ? gap.from : from;
        const uint64_t high = gap.to < to ? gap.to : to;
        added -= high - low;
        all.from = gap.from < all.from ? gap.from : all.from;
        all.to = gap.to > all.to ? gap.to : all.to;
    }
    if (kept == JOURNAL_GAPS_MAX) /* the oldest one is let go of: it was counted */
        memmove(&one->gaps[0], &one->gaps[1], --kept * sizeof *one->gaps);
    one->gaps[kept++] = all;
    one->gap_count = kept;
    return added;
}

utapi_status utapi_journal_log_lose(journal_log *log, uint32_t incarnation, uint64_t from, uint64_t to,
                                    utapi_error *err)
{
    MDB_txn *txn = NULL;
    pthread_mutex_lock(&log->lock);
    journal_incarnation *one = utapi_journal_incarnation(log, incarnation);
    journal_incarnation changed = *one; /* only this thread changes gaps, or ends incarnations */
    pthread_mutex_unlock(&log->lock);
    const uint64_t added = gaps_add(&changed, from, to);
    if (added == 0)
        return UTAPI_OK;
    utapi_status status = utapi_journal_write_begin(log, &txn, err);
    if (status != UTAPI_OK)
        return status;
    int rc = utapi_journal_number_put(log, txn, "lost", log->lost + added);
    if (rc == 0)
        rc = utapi_journal_incarnation_put(log, txn, &changed, one->noted);
    status = utapi_journal_write_end(log, txn, utapi_journal_code(err, rc, "a gap"), err);
    if (status == UTAPI_OK) {
        pthread_mutex_lock(&log->lock);
        memcpy(one->gaps, changed.gaps, sizeof changed.gaps);
        one->gap_count = changed.gap_count;
        log->lost += added;
        pthread_mutex_unlock(&log->lock);
    }
    utapi_lmdbenv_write_leave(&log->env);
    return status;
}
