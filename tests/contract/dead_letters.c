/* SPDX-License-Identifier: Apache-2.0 */
/* dead_letters.c - events that are kept instead of being counted: once, with their uuids, until they are pushed again,
 * which counts them once, or acknowledged; and a random life of all that beside a model. */
#include "contract.h"

#include "utapi/backend_dead_letters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LISTED_MAX = 600 };

/* What a backend shows of its letters. */
typedef struct listed {
    size_t count;
    struct {
        char id[UTAPI_LETTER_ID_MAX], uuid[32], source[UTAPI_SOURCE_MAX + 1];
        utapi_entry entry; /* its strings are gone */
        utapi_reason reason;
        int64_t kept_ms;
        utapi_level_set levels;
    } of[LISTED_MAX];
} listed;

static bool letter_note(void *ctx, const utapi_dead_letter *letter)
{
    listed *ret = ctx;
    assert_true(ret->count < LISTED_MAX);
    size_t i = ret->count++;
    (void)snprintf(ret->of[i].id, sizeof ret->of[i].id, "%s", letter->id);
    (void)snprintf(ret->of[i].uuid, sizeof ret->of[i].uuid, "%.*s", (int)letter->entry->uuid.size,
                   letter->entry->uuid.size > 0 ? letter->entry->uuid.data : "");
    (void)snprintf(ret->of[i].source, sizeof ret->of[i].source, "%.*s", (int)letter->source.size,
                   letter->source.data);
    ret->of[i].entry = *letter->entry;
    ret->of[i].reason = letter->reason;
    ret->of[i].kept_ms = letter->kept_ms;
    ret->of[i].levels = letter->levels;
    assert_string_equal(letter->detail, "for a reason");
    return true;
}

static const listed *letters(contract *c)
{
    static listed found;
    found.count = 0;
    CHECK_OK(utapi_backend_dead_letters(c->backend, letter_note, &found, &c->err), &c->err);
    return &found;
}

static utapi_dead_letter_stats stats_of(contract *c)
{
    utapi_dead_letter_stats stats;
    CHECK_OK(utapi_backend_dead_letter_stats(c->backend, &stats, &c->err), &c->err);
    return stats;
}

static const utapi_refusal late = {
    .reason = UTAPI_REASON_LATE, .detail = "for a reason", .source = {"::1", 3}};

/* Adds an entry that is refused to the batch that grows. */
static utapi_entry *refused(contract *c, const char *uuid, const char *bucket, int64_t bytes)
{
    utapi_entry *entry = put_uuid(c, uuid, bucket, T0, bytes);
    entry->refused = &late;
    return entry;
}

/* Adds an entry that pushes a letter again, as an engine makes it. */
static utapi_entry *pushed(contract *c, const char *id, const char *uuid, const char *bucket, int64_t bytes)
{
    utapi_entry *entry = put_uuid(c, uuid, bucket, T0, bytes);
    entry->letter = S(id);
    return entry;
}

static void acknowledge(contract *c, const char *id)
{
    const utapi_string ids[] = {S(id)};
    const utapi_acknowledgement what = {.ids = ids, .count = 1};
    CHECK_OK(utapi_backend_acknowledge(c->backend, &what, &c->err), &c->err);
}

static void what_is_refused_is_kept_as_it_is_and_counts_nowhere(void **state)
{
    contract *c = *state;
    utapi_entry *entry = refused(c, "u", "b", 5);
    entry->resource[UTAPI_USERS] = S("lisa");
    entry->action = S("putObject");
    put_uuid(c, "v", "b", T0, 7);
    apply(c);
    assert_int_equal(c->applied.repeated, 0);
    assert_int_equal(bucket_bytes(c, "b"), 7);
    assert_int_equal(service_bytes(c), 7);
    assert_false(is_known(c, UTAPI_USERS, "lisa"));
    const listed *shown = letters(c);
    assert_int_equal(shown->count, 1);
    assert_string_equal(shown->of[0].uuid, "u");
    assert_string_equal(shown->of[0].source, "::1");
    assert_int_equal(shown->of[0].reason, UTAPI_REASON_LATE);
    assert_int_equal(shown->of[0].levels, UTAPI_ALL_LEVELS);
    assert_int_equal(shown->of[0].kept_ms, c->now_ms);
    const utapi_entry *kept = &shown->of[0].entry;
    assert_int_equal(kept->time_ms, T0);
    assert_int_equal(kept->uuid_time_ms, T0);
    assert_int_equal(kept->operation, UTAPI_OP_PUT_OBJECT);
    assert_int_equal(kept->delta[UTAPI_STORAGE_UTILIZED], 5);
    assert_int_equal(kept->resource[UTAPI_USERS].size, 4);
    assert_int_equal(kept->action.size, 9);
    const utapi_dead_letter_stats stats = stats_of(c);
    assert_int_equal(stats.kept, 1);
    assert_int_equal(stats.ever[UTAPI_REASON_LATE], 1);
    assert_int_equal(stats.dropped_count, 0);
}

static void a_letter_is_small_whatever_its_event_names(void **state)
{
    static const char keys[UTAPI_LETTER_KEYS_MAX + 1] = {0};
    contract *c = *state;
    refused(c, "u", "b", 5)->keys = (utapi_string){keys, UTAPI_LETTER_KEYS_MAX};
    refused(c, "v", "b", 5)->keys = (utapi_string){keys, UTAPI_LETTER_KEYS_MAX + 1};
    apply(c);
    const listed *shown = letters(c);
    assert_int_equal(shown->of[0].entry.keys.size, UTAPI_LETTER_KEYS_MAX);
    assert_int_equal(shown->of[1].entry.keys.size, 0);
}

static void its_uuid_is_known_from_then_on(void **state)
{
    contract *c = *state;
    refused(c, "u", "b", 5);
    refused(c, "u", "b", 5);
    apply(c);
    assert_int_equal(c->applied.repeated, 1);
    refused(c, "u", "b", 5);
    put_uuid(c, "u", "b", T0, 5); /* the policy is off by now, and the client repeats */
    apply(c);
    assert_int_equal(c->applied.repeated, 2);
    assert_int_equal(bucket_bytes(c, "b"), 0);
    assert_int_equal(letters(c)->count, 1);
    put_uuid(c, "v", "b", T0, 1);
    apply(c);
    refused(c, "v", "b", 1);
    apply(c);
    assert_int_equal(c->applied.repeated, 1);
    assert_int_equal(letters(c)->count, 1);
}

static void a_letter_that_is_pushed_twice_counts_once(void **state)
{
    contract *c = *state;
    refused(c, "u", "b", 5);
    apply(c);
    const listed shown = *letters(c);
    pushed(c, shown.of[0].id, "u", "b", 5);
    pushed(c, shown.of[0].id, "u", "b", 5);
    apply(c);
    assert_int_equal(c->applied.repeated, 1);
    assert_int_equal(bucket_bytes(c, "b"), 5);
    assert_int_equal(letters(c)->count, 0);
    assert_int_equal(stats_of(c).ever[UTAPI_REASON_LATE], 1);
    pushed(c, shown.of[0].id, "u", "b", 5);
    pushed(c, "00", "w", "b", 5);
    apply(c);
    assert_int_equal(c->applied.repeated, 2);
    refused(c, "u", "b", 5); /* its uuid is known still */
    apply(c);
    assert_int_equal(c->applied.repeated, 1);
    assert_int_equal(bucket_bytes(c, "b"), 5);
}

static void a_letter_counts_at_the_levels_that_it_is_pushed_with(void **state)
{
    contract *c = *state;
    refused(c, "u", "b", 5);
    apply(c);
    const listed shown = *letters(c);
    pushed(c, shown.of[0].id, "u", "b", 5)->resource[UTAPI_BUCKETS].size = 0;
    apply(c);
    assert_int_equal(bucket_bytes(c, "b"), 0);
    assert_int_equal(service_bytes(c), 5);
}

static void the_oldest_is_shown_first_by_an_id_of_its_own(void **state)
{
    enum { COUNT = 20 };
    contract *c = *state;
    char uuids[COUNT][8];
    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(uuids[i], sizeof uuids[i], "%d", i);
        refused(c, uuids[i], "b", 1);
        if (i % 3 == 0)
            apply(c);
    }
    apply(c);
    const listed *shown = letters(c);
    assert_int_equal(shown->count, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        const size_t size = strlen(shown->of[i].id);
        assert_string_equal(shown->of[i].uuid, uuids[i]);
        assert_true(size >= 32);
        for (size_t k = 0; k < i; k++) /* half of its random digits */
            assert_string_not_equal(shown->of[i].id + size - 16,
                                    shown->of[k].id + strlen(shown->of[k].id) - 16);
    }
}

static void what_is_refused_expires_nothing_and_cancels_nothing(void **state)
{
    contract *c = *state;
    put(c, "b", T0, 5);
    utapi_entry *later = delete_bucket(c, "b", T0 + 1);
    later->expiry = UTAPI_EXPIRE_LATER;
    later->expire_at_ms = c->now_ms + HOUR;
    apply(c);
    refused(c, "u", "b", 1);
    delete_bucket(c, "b", T0 + 2)->refused = &late;
    apply(c);
    assert_int_equal(bucket_bytes(c, "b"), 5);
    c->now_ms += 2 * HOUR;
    put(c, "other", T0, 1);
    apply(c);
    assert_int_equal(bucket_bytes(c, "b"), 0);
}

static void a_batch_that_is_refused_keeps_and_takes_no_letter(void **state)
{
    contract *c = *state;
    refused(c, "u", "b", 5);
    apply(c);
    const listed shown = *letters(c);
    c->fence = (utapi_fence){.writer = {1}, .from = 7, .to = 9}; /* it stands at 0 */
    refused(c, "v", "b", 5);
    pushed(c, shown.of[0].id, "u", "b", 5);
    apply_fails(c, UTAPI_FENCED);
    c->fence = (utapi_fence){.from = 0};
    assert_int_equal(letters(c)->count, 1);
    assert_int_equal(stats_of(c).ever[UTAPI_REASON_LATE], 1);
    pushed(c, shown.of[0].id, "u", "b", 5);
    refused(c, "v", "b", 5);
    apply(c);
    assert_int_equal(c->applied.repeated, 0);
    assert_int_equal(letters(c)->count, 1);
    assert_int_equal(bucket_bytes(c, "b"), 5);
}

static void what_is_acknowledged_is_gone_and_may_be_sent_again(void **state)
{
    contract *c = *state;
    refused(c, "u", "b", 5);
    refused(c, "v", "b", 5);
    apply(c);
    const listed shown = *letters(c);
    acknowledge(c, shown.of[0].id);
    acknowledge(c, shown.of[0].id); /* the answer was lost */
    assert_int_equal(letters(c)->count, 1);
    assert_string_equal(letters(c)->of[0].uuid, "v");
    const utapi_dead_letter_stats stats = stats_of(c);
    assert_int_equal(stats.kept, 1);
    assert_int_equal(stats.ever[UTAPI_REASON_LATE], 2);
    pushed(c, shown.of[0].id, "u", "b", 5);
    put_uuid(c, "u", "b", T0, 5);
    put_uuid(c, "v", "b", T0, 5);
    apply(c);
    assert_int_equal(c->applied.repeated, 2);
    assert_int_equal(bucket_bytes(c, "b"), 5);
}

static void what_is_no_id_acknowledges_nothing(void **state)
{
    static const char *const wrong[] = {"", "1", "zz", "00000001000000000000000g"};
    contract *c = *state;
    refused(c, "u", "b", 5);
    apply(c);
    utapi_string ids[] = {S(letters(c)->of[0].id), {NULL, 0}};
    utapi_acknowledgement what = {.ids = ids, .count = 2};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ids[1] = S(wrong[i]);
        CHECK_STATUS(UTAPI_INVALID, utapi_backend_acknowledge(c->backend, &what, &c->err), &c->err);
    }
    what = (utapi_acknowledgement){.ids = ids, .count = 1, .lost = 1};
    CHECK_STATUS(UTAPI_INVALID, utapi_backend_acknowledge(c->backend, &what, &c->err), &c->err);
    assert_int_equal(letters(c)->count, 1);
}

/* Storage begins anew with so few letters. */
static void letters_limit(contract *c, uint64_t most)
{
    c->options.max_dead_letters = most;
    contract_begin_anew(c);
}

static void beyond_the_bound_only_counts_are_kept(void **state)
{
    static const utapi_refusal elsewhere = {
        .reason = UTAPI_REASON_AMOUNT, .detail = "for a reason", .source = {"10.0.0.1", 8}};
    contract *c = *state;
    letters_limit(c, 2);
    refused(c, "1", "b", 1);
    refused(c, "2", "b", 1);
    refused(c, "3", "b", 1);
    refused(c, "4", "b", 1)->refused = &elsewhere;
    apply(c);
    refused(c, "5", "b", 1);
    refused(c, "3", "b", 1); /* its uuid is known all the same */
    apply(c);
    assert_int_equal(c->applied.repeated, 1);
    const listed shown = *letters(c);
    assert_int_equal(shown.count, 2);
    assert_string_equal(shown.of[1].uuid, "2");
    const utapi_dead_letter_stats stats = stats_of(c);
    assert_int_equal(stats.kept, 2);
    assert_int_equal(stats.ever[UTAPI_REASON_LATE], 4);
    assert_int_equal(stats.ever[UTAPI_REASON_AMOUNT], 1);
    assert_int_equal(stats.dropped_count, 2);
    for (size_t i = 0; i < 2; i++) {
        const bool is_late = stats.dropped[i].reason == UTAPI_REASON_LATE;
        assert_string_equal(stats.dropped[i].source, is_late ? "::1" : "10.0.0.1");
        assert_int_equal(stats.dropped[i].count, is_late ? 2 : 1);
    }
    pushed(c, shown.of[0].id, "1", "b", 1);
    refused(c, "6", "b", 1); /* there is room for it again */
    apply(c);
    assert_string_equal(letters(c)->of[1].uuid, "6");
}

static void sources_beyond_the_bound_are_counted_together(void **state)
{
    enum { SOURCES = 100 };
    contract *c = *state;
    char sources[SOURCES][16], uuids[SOURCES][8];
    utapi_refusal refusals[SOURCES];
    letters_limit(c, 1);
    refused(c, "first", "b", 1);
    for (int i = 0; i < SOURCES; i++) {
        (void)snprintf(sources[i], sizeof sources[i], "10.0.0.%d", i);
        (void)snprintf(uuids[i], sizeof uuids[i], "%d", i);
        refusals[i] = late;
        refusals[i].source = S(sources[i]);
        refused(c, uuids[i], "b", 1)->refused = &refusals[i];
    }
    apply(c);
    const utapi_dead_letter_stats stats = stats_of(c);
    uint64_t dropped = 0, without_source = 0;
    assert_true(stats.dropped_count <= UTAPI_DROPPED_MAX);
    for (size_t i = 0; i < stats.dropped_count; i++) {
        dropped += stats.dropped[i].count;
        without_source += stats.dropped[i].source[0] == '\0' ? stats.dropped[i].count : 0;
    }
    assert_int_equal(dropped, SOURCES);
    assert_true(without_source > 0 && without_source < SOURCES);
}

static void letters_survive_reopening(void **state)
{
    contract *c = *state;
    if (!contract_is_durable(c))
        return;
    letters_limit(c, 2);
    for (int i = 0; i < 3; i++)
        refused(c, (const char *[]){"1", "2", "3"}[i], "b", 1);
    apply(c);
    const listed shown = *letters(c);
    contract_reopen(c);
    assert_int_equal(letters(c)->count, 2);
    assert_string_equal(letters(c)->of[0].id, shown.of[0].id);
    const utapi_dead_letter_stats stats = stats_of(c);
    assert_int_equal(stats.ever[UTAPI_REASON_LATE], 3);
    assert_int_equal(stats.dropped_count, 1);
    pushed(c, shown.of[0].id, "1", "b", 1);
    refused(c, "3", "b", 1);
    apply(c);
    assert_int_equal(c->applied.repeated, 1);
    assert_int_equal(bucket_bytes(c, "b"), 1);
}

/* ---- a random life ------------------------------------------------------------------------ */

enum { EVENTS = 400, LIFE_STEPS = 250, BATCH_MAX = 10, BOUND = 60 };

/* Where an event is, as the model has it. */
typedef enum fate { UNSENT, COUNTED, KEPT, DROPPED } fate;

typedef struct model {
    contract *c;
    uint64_t random;
    struct {
        fate fate;
        char uuid[12];
        uint64_t order; /* of its letter */
        char id[UTAPI_LETTER_ID_MAX];
        bool is_former; /* the id is of a letter that was acknowledged */
    } events[EVENTS];
    uint64_t orders, kept, ever, dropped;
    int64_t bucket, service; /* bytes */
} model;

static size_t chance(model *m, size_t below)
{
    m->random = m->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (size_t)((m->random >> 33) % below);
}

/* Every event has as many bytes as its number, and one. */
static void event_send(model *m, size_t i, size_t *repeated)
{
    const bool is_refused = chance(m, 2) == 0;
    const bool is_known = m->events[i].fate != UNSENT;
    utapi_entry *entry = put_uuid(m->c, m->events[i].uuid, "b", T0, (int64_t)i + 1);
    entry->refused = is_refused ? &late : NULL;
    *repeated += is_known;
    if (is_known)
        return;
    m->ever += is_refused;
    if (!is_refused) {
        m->events[i].fate = COUNTED;
        m->bucket += (int64_t)i + 1;
        m->service += (int64_t)i + 1;
    } else if (m->kept < BOUND) {
        m->events[i].fate = KEPT;
        m->events[i].order = m->orders++;
        m->kept++;
    } else {
        m->events[i].fate = DROPPED;
        m->dropped++;
    }
}

/* Pushes what was a letter once, whatever it is now; at every level, or not at that of buckets. */
static void event_push(model *m, size_t i, size_t *repeated)
{
    if (m->events[i].id[0] == '\0')
        return;
    const bool at_bucket = chance(m, 2) == 0;
    utapi_entry *entry = pushed(m->c, m->events[i].id, m->events[i].uuid, "b", (int64_t)i + 1);
    if (!at_bucket)
        entry->resource[UTAPI_BUCKETS].size = 0;
    if (m->events[i].fate != KEPT || m->events[i].is_former) {
        ++*repeated;
        return;
    }
    m->events[i].fate = COUNTED;
    m->kept--;
    m->bucket += at_bucket ? (int64_t)i + 1 : 0;
    m->service += (int64_t)i + 1;
}

static void letters_check(model *m)
{
    const listed *shown = letters(m->c);
    uint64_t order = 0;
    assert_int_equal(shown->count, m->kept);
    for (size_t i = 0; i < shown->count; i++) {
        const size_t event = (size_t)shown->of[i].entry.delta[UTAPI_STORAGE_UTILIZED] - 1;
        assert_int_equal(m->events[event].fate, KEPT);
        assert_true(i == 0 || m->events[event].order > order);
        order = m->events[event].order;
        assert_string_equal(shown->of[i].uuid, m->events[event].uuid);
        memcpy(m->events[event].id, shown->of[i].id, sizeof shown->of[i].id);
        m->events[event].is_former = false;
    }
    const utapi_dead_letter_stats stats = stats_of(m->c);
    assert_int_equal(stats.kept, m->kept);
    assert_int_equal(stats.ever[UTAPI_REASON_LATE], m->ever);
    assert_int_equal(stats.dropped_count > 0 ? stats.dropped[0].count : 0, m->dropped);
    assert_int_equal(bucket_bytes(m->c, "b"), m->bucket);
    assert_int_equal(service_bytes(m->c), m->service);
}

static void event_acknowledge(model *m, size_t i)
{
    if (m->events[i].id[0] == '\0')
        return;
    acknowledge(m->c, m->events[i].id);
    if (m->events[i].fate != KEPT)
        return;
    m->events[i].fate = UNSENT; /* its uuid is forgotten */
    m->events[i].is_former = true;
    m->kept--;
}

static void step_batch(model *m)
{
    contract *c = m->c;
    size_t repeated = 0;
    do {
        const size_t i = chance(m, EVENTS);
        if (chance(m, 3) == 0)
            event_push(m, i, &repeated);
        else
            event_send(m, i, &repeated);
    } while (chance(m, BATCH_MAX) != 0 && c->count < CONTRACT_ENTRIES_MAX);
    utapi_entry entries[CONTRACT_ENTRIES_MAX];
    const size_t count = c->count;
    memcpy(entries, c->entries, count * sizeof *entries);
    apply(c);
    assert_int_equal(c->applied.repeated, repeated);
    if (chance(m, 4) == 0 && contract_is_durable(c))
        contract_reopen(c);
    if (chance(m, 3) == 0) { /* the outcome is not known to who sent it: all of it comes again */
        memcpy(c->entries, entries, count * sizeof *entries);
        c->count = count;
        apply(c);
        assert_int_equal(c->applied.repeated, count);
    }
}

static void a_random_life_of_letters_is_that_of_the_model(void **state)
{
    contract *c = *state;
    const uint64_t steps = contract_chance.steps > 0 ? contract_chance.steps : LIFE_STEPS;
    for (uint64_t round = 0; round < contract_chance.rounds; round++) {
        model *m = calloc(1, sizeof *m);
        assert_non_null(m);
        m->c = c;
        m->random = contract_seed(round, steps);
        for (size_t i = 0; i < EVENTS; i++)
            (void)snprintf(m->events[i].uuid, sizeof m->events[i].uuid, "u%zu", i);
        letters_limit(c, BOUND);
        for (uint64_t step = 0; step < steps; step++) {
            step_batch(m);
            letters_check(m);
            if (chance(m, 3) == 0)
                event_acknowledge(m, chance(m, EVENTS));
        }
        free(m);
    }
}

const struct CMUnitTest contract_dead_letters[] = {
    CASE(what_is_refused_is_kept_as_it_is_and_counts_nowhere),
    CASE(a_letter_is_small_whatever_its_event_names),
    CASE(its_uuid_is_known_from_then_on),
    CASE(a_letter_that_is_pushed_twice_counts_once),
    CASE(a_letter_counts_at_the_levels_that_it_is_pushed_with),
    CASE(the_oldest_is_shown_first_by_an_id_of_its_own),
    CASE(what_is_refused_expires_nothing_and_cancels_nothing),
    CASE(a_batch_that_is_refused_keeps_and_takes_no_letter),
    CASE(what_is_acknowledged_is_gone_and_may_be_sent_again),
    CASE(what_is_no_id_acknowledges_nothing),
    CASE(beyond_the_bound_only_counts_are_kept),
    CASE(sources_beyond_the_bound_are_counted_together),
    CASE(letters_survive_reopening),
    CASE(a_random_life_of_letters_is_that_of_the_model),
    {.name = NULL},
};
