/* SPDX-License-Identifier: Apache-2.0 */
/* kinds.c - kinds that are put together here, and the promises that some of them cannot hold. */
#include "kinds.h"

#include "backends/registry.h"
#include "redis_server.h"
#include "toy.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define JOURNAL "journal+"
#define REDIS   "redis"

enum { SKIPPED = 77 };

/* What a kind cannot promise, by case or by topic. A journal answers before the storage behind it was asked. */
static const struct {
    const char *kind; /* a part of its name */
    const char *test;
    const char *reason;
} left_out[] = {
#define NO_FENCES "a journal's fences are its own"
#define LATER     "a journal finds out at delivery: the event is a dead letter: tests/journal"
#define ITS_OWN   "a journal has calls, limits and uuids of its own: tests/journal"
    {JOURNAL, "a_fenced_batch_is_stored_only_from_where_its_writer_stands", NO_FENCES},
    {JOURNAL, "a_delivery_counts_only_where_the_fence_stands", NO_FENCES},
    {JOURNAL, "each_writer_has_a_fence_of_its_own", NO_FENCES},
    {JOURNAL, "a_refused_batch_moves_no_fence", NO_FENCES},
    {JOURNAL, "a_fenced_batch_is_stored_up_to_an_entry_that_never_fits", NO_FENCES},
    {JOURNAL, "every_fence_is_told", NO_FENCES},
    {JOURNAL, "a_fenced_act_moves_the_fence_known_or_not", NO_FENCES},
    {JOURNAL, "an_overflow_stores_nothing_of_its_batch", LATER},
    {JOURNAL, "stats_count_resources_rows_and_uuids", ITS_OWN},
    {JOURNAL, "every_answer_equals_the_oracles", LATER},
    {JOURNAL, "a_full_store_says_so_goes_on_reading_and_recovers", ITS_OWN},
    {JOURNAL, "a_total_beyond_64_bits_is_refused_with_nothing_stored", LATER},
    {JOURNAL, "applying_drops_more_than_it_takes", ITS_OWN},
    {JOURNAL, "maintenance_drops_old_uuids_alone", ITS_OWN},
    {JOURNAL, "a_full_storage_refuses_and_goes_on_answering", ITS_OWN},
    {JOURNAL, "room_that_runs_short_is_told_before_events_are_refused", ITS_OWN},
    {JOURNAL, "expiry_makes_room", ITS_OWN},
    {JOURNAL, "an_act_expires_in_a_full_storage", ITS_OWN},
    {JOURNAL, "maintenance_makes_room", ITS_OWN},
    {JOURNAL, "refusing_makes_room_too", ITS_OWN},
    {JOURNAL, "a_full_storage_lives_on_round_after_round", ITS_OWN},
    {JOURNAL, "a_random_life_is_that_of_the_oracle", NO_FENCES},
    {JOURNAL, "where_a_batch_is_cut_changes_no_answer", NO_FENCES},
    {JOURNAL, "a_batch_that_is_refused_keeps_and_takes_no_letter", NO_FENCES},
    {JOURNAL, "each_event_is_stored_once_or_is_a_dead_letter_once", NO_FENCES},
    {JOURNAL, "two_writers_store_a_uuid_once", NO_FENCES},
    {JOURNAL, "of_two_writers_each_event_has_one_end", NO_FENCES},
#define WIDE "its totals have 128 bits"
    {"memory", "an_overflow_stores_nothing_of_its_batch", WIDE},
    {"memory", "a_total_beyond_64_bits_is_refused_with_nothing_stored", WIDE},
    {"memory", "a_correction_that_does_not_fit_changes_nothing", WIDE},
    {"toy", "an_overflow_stores_nothing_of_its_batch", WIDE},
    {"toy", "a_total_beyond_64_bits_is_refused_with_nothing_stored", WIDE},
    {"toy", "a_correction_that_does_not_fit_changes_nothing", WIDE},
    {"lmdb", "an_overflow_stores_nothing_of_its_batch", WIDE},
    {"lmdb", "a_total_beyond_64_bits_is_refused_with_nothing_stored", WIDE},
    {"lmdb", "a_correction_that_does_not_fit_changes_nothing", WIDE},
#define NO_ROWS   "V1's keys hold no running totals"
#define NO_COUNT  "V1's keys are not counted"
#define V1_EDGES  "V1's counters have 64 bits"
#define SHARED    "others write there too: each name's answer is a snapshot of its own, and nobody is kept out"
#define NO_FOLDER "the disk is the server's: tests/system"
    {"toy", "dead_letters", "it keeps none"},
    {"toy", "acts", "it has no audit"},
    {REDIS, "dead_letters", "it keeps none: there is always a journal before it"}, /* the whole topic */
    {REDIS, "rows_begin_with_the_one_before_the_range", NO_ROWS},
    {REDIS, "rows_begin_with_the_newest_before_the_range", NO_ROWS},
    {REDIS, "stats_count_resources_rows_and_uuids", NO_COUNT},
    {REDIS, "maintenance_drops_old_uuids_alone", NO_COUNT},
    {REDIS, "applying_drops_more_than_it_takes", NO_COUNT},
    {REDIS, "what_a_batch_counts_and_expires_need_not_fit", V1_EDGES},
    {REDIS, "an_expiry_goes_beyond_64_bits", V1_EDGES},
    {REDIS, "totals_go_beyond_64_bits_and_come_back", V1_EDGES},
    {REDIS, "an_adjustment_goes_beyond_64_bits", V1_EDGES},
    {REDIS, "each_event_is_stored_once_or_is_a_dead_letter_once", V1_EDGES},
    {REDIS, "of_two_writers_each_event_has_one_end", V1_EDGES},
    {REDIS, "every_answer_equals_the_oracles", V1_EDGES}, /* the other model leaves that out itself */
    {"memory", "every_answer_equals_the_oracles", "it is the oracle"},
    {REDIS, "a_second_opener_is_refused", SHARED},
    {REDIS, "readers_beside_a_writer_see_whole_batches", SHARED},
    {REDIS, "readers_of_two_names_see_whole_batches", SHARED},
    {REDIS, "options_that_cannot_work_are_refused", NO_FOLDER},
    {REDIS, "what_is_stored_is_for_its_owner_alone", NO_FOLDER},
    {REDIS, "a_folder_that_cannot_be_made_is_an_error", NO_FOLDER},
    {REDIS, "a_call_that_fails_once_is_survived", NO_FOLDER},
    {REDIS, "a_disk_that_fails_for_a_while_is_survived", NO_FOLDER},
    {REDIS, "a_full_disk_is_survived", NO_FOLDER},
    {REDIS, "questions_are_answered_while_the_disk_fails", NO_FOLDER},
#undef NO_FOLDER
#undef SHARED
#undef V1_EDGES
#undef NO_COUNT
#undef NO_ROWS
#undef WIDE
#undef NO_FENCES
#undef LATER
#undef ITS_OWN
};

/* ---- a server that all stores of the kind share ------------------------------------------- */

static redis_server server;
static utapi_backend_ops of_server;

/* The folders above a path, and the path. */
static bool folder_make(const char *path)
{
    char part[300];
    (void)snprintf(part, sizeof part, "%s", path);
    for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(part, 0700);
        *slash = '/';
    }
    return mkdir(part, 0700) == 0 || access(part, W_OK) == 0;
}

/* A store's folder holds nothing but a mark; one without it is a new store, and the server's keys are another's. */
static bool server_make_ready(const char *folder)
{
    char mark[320];
    (void)snprintf(mark, sizeof mark, "%s/opened", folder);
    if (access(mark, F_OK) == 0)
        return true;
    const int file = folder_make(folder) ? open(mark, O_CREAT | O_WRONLY | O_CLOEXEC, 0600) : -1;
    if (file < 0)
        return false;
    close(file);
    redis_server_tell(&server, "FLUSHALL");
    return true;
}

static utapi_status server_open(const utapi_backend_options *options, utapi_backend **ret, utapi_error *err)
{
    utapi_backend_options inner = *options;
    if (options->location != NULL && options->location[0] != '\0') {
        if (!server_make_ready(options->location))
            return utapi_fail(err, UTAPI_UNAVAILABLE, "%s: no folder", options->location);
        inner.location = server.uri;
    }
    return utapi_backend_open(utapi_registry_find(REDIS), &inner, ret, err);
}

static const utapi_backend_ops *chosen;

/* ---- journals ----------------------------------------------------------------------------- */

static utapi_backend_ops journalled;
static const char *behind; /* the kind behind the journal */

static utapi_status journalled_open(const utapi_backend_options *options, utapi_backend **ret,
                                    utapi_error *err)
{
    char journal[300], data[300];
    utapi_backend_options inner = *options;
    if (options->location == NULL || options->location[0] == '\0')
        return utapi_fail(err, UTAPI_INVALID, "no directory");
    (void)snprintf(journal, sizeof journal, "%s/journal", options->location);
    (void)snprintf(data, sizeof data, "%s/data", options->location);
    inner.location = data;
    if (strcmp(behind, REDIS) == 0) {
        if (!server_make_ready(data))
            return utapi_fail(err, UTAPI_UNAVAILABLE, "%s: no folder", data);
        inner.location = server.uri;
    }
    const utapi_journal_options before = {.location = journal,
                                          .capacity_bytes = options->capacity_bytes,
                                          .keep_ms = 3600000,
                                          .dedup_window_ms = options->dedup_window_ms,
                                          .max_dead_letters = options->max_dead_letters};
    return utapi_registry_open(behind, &inner, &before, ret, err);
}

static const utapi_backend_ops *server_find(const utapi_backend_ops *storage)
{
    if (!redis_server_start(&server)) {
        fprintf(stderr, "no redis-server on this machine\n");
        exit(SKIPPED);
    }
    of_server = *storage;
    of_server.open = server_open;
    return &of_server;
}

static const utapi_backend_ops *storage_find(const char *name)
{
    const utapi_backend_ops *storage = utapi_registry_find(name);
    return storage != NULL && strcmp(name, REDIS) == 0 ? server_find(storage) : storage;
}

static const utapi_backend_ops *kind_find(const char *name)
{
    if (strcmp(name, utapi_toy_backend.name) == 0)
        return &utapi_toy_backend;
    if (strncmp(name, JOURNAL, strlen(JOURNAL)) != 0)
        return storage_find(name);
    const utapi_backend_ops *storage = storage_find(name + strlen(JOURNAL));
    if (storage == NULL)
        return NULL;
    behind = storage->name;
    journalled = *storage;
    journalled.name = name;
    journalled.open = journalled_open;
    return &journalled;
}

bool kind_choose(const char *name)
{
    chosen = kind_find(name);
    return chosen != NULL;
}

const utapi_backend_ops *kind_chosen(void)
{
    return chosen;
}

void kind_done(void)
{
    if (of_server.open != NULL)
        redis_server_stop(&server);
}

static const char *reason_against(const char *kind, const char *test)
{
    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
        if (strstr(kind, left_out[i].kind) != NULL && strcmp(left_out[i].test, test) == 0)
            return left_out[i].reason;
    return NULL;
}

int kind_run(const char *topic, const struct CMUnitTest *cases, size_t count)
{
    struct CMUnitTest *kept = calloc(count + 1, sizeof *kept);
    size_t used = 0;
    if (kept == NULL)
        return 1;
    const char *whole = reason_against(chosen->name, topic);
    for (size_t i = 0; i < count; i++) {
        const char *reason = whole != NULL ? whole : reason_against(chosen->name, cases[i].name);
        if (reason == NULL)
            kept[used++] = cases[i];
        else
            print_message("[ LEFT OUT ] %s: %s\n", cases[i].name, reason);
    }
    const int failed = used > 0 ? _cmocka_run_group_tests(topic, kept, used, NULL, NULL) : 0;
    free(kept);
    return failed;
}
