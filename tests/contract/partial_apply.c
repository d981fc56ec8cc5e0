/* SPDX-License-Identifier: Apache-2.0 */
/* partial_apply.c - random writers whose fenced batches are stored in parts: whatever is cut, refused, lost on the way
 * or sent again, each event counts once, or is a dead letter once.
 *
 * A writer behaves as a journal does: it joins groups, goes on from the fence, and leaves out for ever what can never
 * be stored. Between it and the storage stands a slot that cuts, fails and loses replies at random. What the storage
 * took is kept as pieces: a storage that lost its newest part is one that took only the first of them. In the end its
 * answers are compared with a reference that knows no batches: entry by entry, sums of each interval in 128 bits. */
#include "partial_reference.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LIVES = 10,
    STEPS = 40,
    WRITERS = 2,
    EVENTS_MAX = 512,
    PIECES_MAX = 4096,
    BATCH_MAX = 64,
    PATIENCE = 5000
};

/* Ten of them are an interval. */
#define UNIT_MS           (UTAPI_INTERVAL_MS / 10)
#define JOIN_MS           (6 * UNIT_MS)
#define START_NOW_MS      (PARTIAL_START + 10 * UTAPI_INTERVAL_MS)
#define LAST_INTERVAL     (PARTIAL_START + (PARTIAL_INTERVALS - 1) * UTAPI_INTERVAL_MS)
#define CERTAIN_WINDOW_MS (1000 * DAY)

static const char *const names[PARTIAL_NAMES] = {"a", "b", "c", "s3"};

/* What a life is made of. */
typedef struct partial_kind {
    size_t writers;
    bool has_unfit; /* entries that no storage takes */
} partial_kind;

typedef struct partial_writer {
    unsigned char id[16];
    partial_event events[EVENTS_MAX]; /* by sequence */
    size_t count;
    uint64_t applied;
    int64_t now_ms; /* of its newest group */
} partial_writer;

/* What the storage took in one step. */
typedef struct partial_piece {
    size_t writer, count;
    bool is_maintenance;
    uint64_t from, to;
    int64_t now_ms, accepted_ms;
    uint16_t events[BATCH_MAX];
} partial_piece;

typedef struct partial {
    utapi_backend slot; /* stands before the storage; first, for its functions are given it */
    contract *c;
    partial_kind kind;
    uint64_t random;
    partial_writer writers[WRITERS];
    partial_piece pieces[PIECES_MAX];
    size_t piece_count, snapshot; /* pieces that an older copy of the storage has */
    int64_t now_ms, accepted_ms, window_ms;
    unsigned uuids;
} partial;

static uint64_t below(partial *p, uint64_t limit)
{
    p->random = p->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (p->random >> 33) % limit;
}

static bool chance(partial *p, uint64_t percent)
{
    return below(p, 100) < percent;
}

/* ---- the storage, and what stands before it ----------------------------------------------- */

static utapi_status piece_apply(partial *p, const partial_piece *piece, utapi_applied *ret, utapi_error *err)
{
    utapi_entry entries[BATCH_MAX];
    const partial_writer *writer = &p->writers[piece->writer];
    if (piece->is_maintenance)
        return utapi_backend_maintain(p->c->backend, piece->now_ms, piece->accepted_ms, err);
    for (size_t i = 0; i < piece->count; i++)
        entries[i] = writer->events[piece->events[i]].entry;
    utapi_batch batch = {.entries = entries, .count = piece->count, .now_ms = piece->now_ms};
    batch.fence = (utapi_fence){.from = piece->from, .to = piece->to};
    memcpy(batch.fence.writer, writer->id, sizeof writer->id);
    return p->c->backend->ops->apply(p->c->backend, &batch, ret, err);
}

static void piece_keep(partial *p, const partial_piece *piece)
{
    assert_in_range(p->piece_count, 0, PIECES_MAX - 1);
    p->pieces[p->piece_count++] = *piece;
}

static uint64_t fence_of(const partial *p, const partial_writer *writer)
{
    utapi_query query = {.level = UTAPI_SERVICE};
    uint64_t fence = 0;
    memcpy(query.writer, writer->id, sizeof query.writer);
    CHECK_OK(utapi_backend_read(p->c->backend, &query, NULL, &fence, &p->c->err), &p->c->err);
    return fence;
}

/* Leaves of a piece what stands below a fence. */
static void piece_end_at(partial_piece *piece, uint64_t fence)
{
    assert_in_range(fence, piece->from, piece->to);
    while (piece->count > 0 && piece->events[piece->count - 1] >= fence)
        piece->count--;
    piece->to = fence;
}

/* Leaves of it what does not. */
static void piece_begin_at(partial_piece *piece, uint64_t fence)
{
    size_t stored = 0;
    while (stored < piece->count && piece->events[stored] < fence)
        stored++;
    piece->count -= stored;
    memmove(piece->events, piece->events + stored, piece->count * sizeof *piece->events);
    piece->from = fence;
}

/* Stands where the storage's own slot does: so the halves of utapi_backend_apply() are cut once more. */
static utapi_status slot_apply(utapi_backend *slot, const utapi_batch *whole, utapi_applied *ret,
                               utapi_error *err)
{
    partial *p = (partial *)slot;
    const uint64_t fault = below(p, 100);
    if (fault < 10)
        return utapi_fail(err, fault < 6 ? UTAPI_UNAVAILABLE : UTAPI_UNCERTAIN, "nothing was stored");
    utapi_batch batch = *whole;
    if (batch.count > 0 && chance(p, 40))
        batch = utapi_batch_prefix(whole, 1 + (size_t)below(p, batch.count));
    partial_piece piece = {.count = batch.count, .from = batch.fence.from, .to = batch.fence.to};
    while (memcmp(p->writers[piece.writer].id, batch.fence.writer, sizeof batch.fence.writer) != 0)
        piece.writer++;
    piece.now_ms = batch.now_ms;
    for (size_t i = 0; i < batch.count; i++)
        piece.events[i] = (uint16_t)batch.entries[i].sequence;
    const utapi_status status = piece_apply(p, &piece, ret, err);
    if (status == UTAPI_OK) {
        piece_end_at(&piece, ret->fence); /* a storage may have a budget of its own */
        piece_keep(p, &piece);
    }
    return status == UTAPI_OK && fault >= 94 ? utapi_fail(err, UTAPI_UNCERTAIN, "the reply was lost")
                                             : status;
}

static const utapi_backend_ops slot_ops = {
    .version = UTAPI_BACKEND_VERSION, .name = "slot", .apply = slot_apply};

/* The storage loses what it took after a snapshot. */
static void storage_restore(partial *p)
{
    contract_begin_anew(p->c);
    for (size_t i = 0; i < p->snapshot; i++) {
        partial_piece left = p->pieces[i];
        do {
            utapi_applied applied = {.fence = left.to};
            CHECK_OK(piece_apply(p, &left, &applied, &p->c->err), &p->c->err);
            piece_begin_at(&left, applied.fence);
        } while (left.from < left.to);
    }
    p->piece_count = p->snapshot;
}

/* ---- accepting ---------------------------------------------------------------------------- */

static partial_event *event_of_the_past(partial *p)
{
    partial_writer *writer = &p->writers[below(p, p->kind.writers)];
    const size_t last = writer->count < 12 ? writer->count : 12;
    partial_event *event = last > 0 ? &writer->events[writer->count - 1 - below(p, last)] : NULL;
    return event != NULL && event->entry.uuid.size > 0 ? event : NULL;
}

static int64_t random_bytes(partial *p)
{
    const int64_t bytes = (int64_t)below(p, 12) - 4;
    if (!p->kind.has_unfit || !chance(p, 8))
        return bytes;
    return chance(p, 50) ? INT64_MAX - bytes - 5 : INT64_MIN + bytes + 5; /* totals have room for it */
}

static void event_new(partial *p, partial_event *event)
{
    const int64_t back =
        (int64_t)below(p, chance(p, 30) ? 60 : 6) - (int64_t)(chance(p, 20) ? below(p, 3) : 0);
    *event = (partial_event){.bucket = (size_t)below(p, PARTIAL_BUCKETS)};
    event->entry = entry_put(names[event->bucket], p->now_ms - back * UNIT_MS, random_bytes(p));
    event->entry.delta[UTAPI_INCOMING_BYTES] = 0;
    if (p->kind.has_unfit && chance(p, 5))
        event->entry.time_ms = -1;
    if (chance(p, 50)) {
        (void)snprintf(event->uuid, sizeof event->uuid, "uuid-%u", p->uuids++);
        event->entry.uuid_time_ms = event->entry.time_ms;
    }
    const uint64_t fate = below(p, 100);
    event->entry.expiry = fate < 8 ? UTAPI_EXPIRE_NOW : fate < 20 ? UTAPI_EXPIRE_LATER : UTAPI_EXPIRE_NEVER;
}

static int event_order(const void *left_event, const void *right_event)
{
    const partial_event *left = left_event, *right = right_event;
    return (left->entry.time_ms > right->entry.time_ms) - (left->entry.time_ms < right->entry.time_ms);
}

/* A group: the engine raises what it schedules above the group's own time. */
static void group_accept(partial *p, partial_writer *writer)
{
    const size_t first = writer->count;
    const size_t count = 1 + (size_t)below(p, chance(p, 40) ? 1 : 6);
    if (first + count > EVENTS_MAX)
        return;
    for (size_t i = 0; i < count; i++, writer->count++) {
        const partial_event *past = chance(p, 25) ? event_of_the_past(p) : NULL;
        if (past != NULL)
            writer->events[writer->count] = *past;
        else
            event_new(p, &writer->events[writer->count]);
    }
    if (chance(p, 80))
        qsort(&writer->events[first], count, sizeof *writer->events, event_order);
    for (size_t i = first; i < writer->count; i++) {
        partial_event *event = &writer->events[i];
        const int64_t scheduled_ms = p->now_ms + ((int64_t)below(p, 6) - 1) * UNIT_MS;
        event->now_ms = p->now_ms;
        event->is_dead = false;
        event->entry.uuid = utapi_string_of(event->uuid);
        event->entry.accepted_ms = p->accepted_ms;
        event->entry.sequence = i;
        if (event->entry.expiry == UTAPI_EXPIRE_LATER)
            event->entry.expire_at_ms = scheduled_ms > p->now_ms ? scheduled_ms : p->now_ms + 1;
    }
    writer->now_ms = p->now_ms;
}

/* An acceptance stands at the end of an interval, for a storage may keep no more of it than that. */
static void time_pass(partial *p)
{
    static const int64_t units[] = {0, 0, 1, 1, 2, 3, 8, 20};
    p->now_ms += units[below(p, sizeof units / sizeof *units)] * UNIT_MS;
    p->accepted_ms = utapi_interval_of(p->now_ms) + UTAPI_INTERVAL_MS - 1;
    assert_true(p->now_ms < LAST_INTERVAL);
}

/* ---- delivering --------------------------------------------------------------------------- */

static bool is_due_between(const partial_writer *writer, int64_t after_ms, int64_t until_ms)
{
    for (size_t i = 0; i < writer->count; i++) {
        const utapi_entry *entry = &writer->events[i].entry;
        if (entry->expiry == UTAPI_EXPIRE_LATER && entry->expire_at_ms > after_ms &&
            entry->expire_at_ms <= until_ms)
            return true;
    }
    return false;
}

static bool group_may_join(const partial_writer *writer, const utapi_batch *batch, int64_t first_ms,
                           int64_t now_ms)
{
    return batch->count == 0 || now_ms == batch->now_ms ||
           (now_ms > batch->now_ms && now_ms - first_ms <= JOIN_MS &&
            !is_due_between(writer, batch->now_ms, now_ms));
}

/* The next batch: groups as long as they may join, without dead letters. */
static utapi_batch batch_gather(partial *p, const partial_writer *writer,
                                utapi_entry entries[static BATCH_MAX])
{
    static const size_t sizes[] = {1, 2, 3, 5, BATCH_MAX};
    const size_t most = sizes[below(p, sizeof sizes / sizeof *sizes)];
    utapi_batch batch = {.entries = entries, .fence = {.from = writer->applied, .to = writer->applied}};
    int64_t first_ms = 0;
    memcpy(batch.fence.writer, writer->id, sizeof writer->id);
    for (; batch.fence.to < writer->count; batch.fence.to++) {
        const partial_event *event = &writer->events[batch.fence.to];
        if (event->is_dead)
            continue;
        if (batch.count == most || !group_may_join(writer, &batch, first_ms, event->now_ms))
            break;
        first_ms = batch.count == 0 ? event->now_ms : first_ms;
        batch.now_ms = event->now_ms;
        entries[batch.count++] = event->entry;
    }
    return batch;
}

static void dead_letter(const partial *p, partial_writer *writer, const utapi_batch *batch)
{
    partial_event *event = &writer->events[batch->entries[0].sequence];
    assert_true(p->kind.has_unfit);
    assert_false(event->is_dead);
    assert_int_equal(fence_of(p, writer), batch->fence.from);
    event->is_dead = true;
}

static void deliver(partial *p, partial_writer *writer)
{
    utapi_entry entries[BATCH_MAX];
    const utapi_batch batch = batch_gather(p, writer, entries);
    utapi_applied applied = {.fence = batch.fence.from};
    if (batch.fence.to == batch.fence.from)
        return;
    const utapi_status status = utapi_backend_apply(&p->slot, &batch, &applied, &p->c->err);
    utapi_error_clear(&p->c->err);
    if (status == UTAPI_OK)
        assert_true(applied.fence > batch.fence.from && applied.fence <= batch.fence.to);
    if (status == UTAPI_OK || status == UTAPI_FENCED)
        writer->applied = applied.fence;
    else if (status == UTAPI_UNCERTAIN)
        writer->applied = fence_of(p, writer);
    else if (status == UTAPI_INVALID)
        dead_letter(p, writer, &batch);
    else
        assert_int_equal(status, UTAPI_UNAVAILABLE);
    if (status == UTAPI_OK && batch.count > 0 && chance(p, 20)) {
        const partial_piece piece = {
            .is_maintenance = true, .now_ms = batch.now_ms, .accepted_ms = utapi_batch_accepted_ms(&batch)};
        CHECK_OK(piece_apply(p, &piece, &applied, &p->c->err), &p->c->err);
        piece_keep(p, &piece);
    }
}

/* With nothing waiting, an empty batch carries out what is due. */
static void due_deliver(partial *p, partial_writer *writer)
{
    utapi_batch batch = {.now_ms = writer->now_ms, .fence = {.from = writer->applied, .to = writer->applied}};
    utapi_applied applied = {.fence = writer->applied};
    memcpy(batch.fence.writer, writer->id, sizeof writer->id);
    if (writer->applied < writer->count)
        return;
    (void)!utapi_backend_apply(&p->slot, &batch, &applied, &p->c->err);
    utapi_error_clear(&p->c->err);
    writer->applied = fence_of(p, writer);
}

/* ---- comparing ---------------------------------------------------------------------------- */

/* What was stored, in the order of storing. */
static void reference_store(partial_reference *r, const partial *p)
{
    for (size_t i = 0; i < p->piece_count; i++) {
        const partial_piece *piece = &p->pieces[i];
        partial_reference_due(r, piece->now_ms);
        for (size_t k = 0; k < piece->count; k++)
            partial_reference_count(r, &p->writers[piece->writer].events[piece->events[k]]);
    }
}

static void usage_compare(const partial *p, const partial_reference *r, size_t name)
{
    __int128 bytes = 0;
    int64_t objects = 0;
    for (size_t i = 0; i < PARTIAL_INTERVALS; i++) {
        const utapi_interval at = PARTIAL_START + (int64_t)i * UTAPI_INTERVAL_MS;
        const utapi_usage usage =
            usage_of(p->c, name < PARTIAL_BUCKETS ? UTAPI_BUCKETS : UTAPI_SERVICE, S(names[name]), at, at);
        bytes += r->bytes[name][i];
        objects += r->objects[name][i];
        assert_true(usage.storage_utilized[1] == bytes);
        assert_int_equal(usage.number_of_objects[1], objects);
        assert_int_equal(utapi_amounts_get(&usage.flows, UTAPI_FIRST_OPERATION + UTAPI_OP_PUT_OBJECT),
                         r->objects[name][i]);
    }
}

static void each_event_has_one_end(const partial *p)
{
    static unsigned ends[WRITERS][EVENTS_MAX];
    memset(ends, 0, sizeof ends);
    for (size_t i = 0; i < p->piece_count; i++)
        for (size_t k = 0; k < p->pieces[i].count; k++)
            ends[p->pieces[i].writer][p->pieces[i].events[k]]++;
    for (size_t w = 0; w < p->kind.writers; w++)
        for (size_t i = 0; i < p->writers[w].count; i++)
            assert_int_equal(ends[w][i] + p->writers[w].events[i].is_dead, 1);
}

static void life_compare(partial *p)
{
    partial_reference *r = partial_reference_new(p->window_ms);
    const uint64_t fence = p->writers[0].applied;
    const partial_piece due = {.from = fence, .to = fence, .now_ms = p->now_ms + 10 * UNIT_MS};
    utapi_applied applied;
    each_event_has_one_end(p);
    if (p->kind.writers == 1 && !p->kind.has_unfit)
        partial_reference_accept(r, p->writers[0].events, p->writers[0].count);
    else
        reference_store(r, p);
    partial_reference_due(r, due.now_ms);
    CHECK_OK(piece_apply(p, &due, &applied, &p->c->err), &p->c->err);
    for (size_t name = 0; name < PARTIAL_NAMES; name++)
        usage_compare(p, r, name);
    free(r);
}

/* ---- a life ------------------------------------------------------------------------------- */

static void life_step(partial *p)
{
    partial_writer *writer = &p->writers[below(p, p->kind.writers)];
    const uint64_t what = below(p, 100);
    time_pass(p);
    if (what < 42)
        group_accept(p, writer);
    else if (what < 88)
        deliver(p, writer);
    else if (what < 92)
        p->snapshot = p->piece_count;
    else if (what < 95)
        storage_restore(p);
    else
        due_deliver(p, writer);
}

static bool life_is_over(const partial *p)
{
    for (size_t i = 0; i < p->kind.writers; i++)
        if (p->writers[i].applied < p->writers[i].count ||
            fence_of(p, &p->writers[i]) != p->writers[i].applied)
            return false;
    return true;
}

static void life_end(partial *p)
{
    for (int i = 0; !life_is_over(p); i++) {
        partial_writer *writer = &p->writers[below(p, p->kind.writers)];
        assert_in_range(i, 0, PATIENCE);
        if (writer->applied < writer->count)
            deliver(p, writer);
        else
            writer->applied = fence_of(p, writer);
    }
}

/* With two writers a uuid is known for ever: a storage lets go of it by the clock of the one that is ahead. */
static void life_run(partial *p, contract *c, partial_kind kind, uint64_t random, uint64_t steps)
{
    *p = (partial){.slot.ops = &slot_ops, .c = c, .kind = kind, .random = random};
    p->window_ms = kind.writers > 1 ? CERTAIN_WINDOW_MS : (int64_t)(1 + below(p, 6)) * UTAPI_INTERVAL_MS;
    p->now_ms = START_NOW_MS;
    for (size_t i = 0; i < WRITERS; i++)
        p->writers[i].id[0] = (unsigned char)(i + 1);
    c->options.dedup_window_ms = p->window_ms;
    contract_begin_anew(c);
    for (uint64_t step = 0; step < steps; step++)
        life_step(p);
    life_end(p);
    life_compare(p);
}

static void lives_run(contract *c, partial_kind kind)
{
    const uint64_t steps = contract_chance.steps > 0 ? contract_chance.steps : STEPS;
    partial *p = malloc(sizeof *p);
    assert_non_null(p);
    for (uint64_t round = 0; round < contract_chance.rounds; round++) {
        p->random = contract_seed(round, steps);
        for (int life = 0; life < LIVES; life++)
            life_run(p, c, kind, p->random, steps);
    }
    free(p);
}

static void where_a_batch_is_cut_changes_no_answer(void **state)
{
    lives_run(*state, (partial_kind){.writers = 1});
}

static void each_event_is_stored_once_or_is_a_dead_letter_once(void **state)
{
    lives_run(*state, (partial_kind){.writers = 1, .has_unfit = true});
}

static void two_writers_store_a_uuid_once(void **state)
{
    lives_run(*state, (partial_kind){.writers = 2});
}

static void of_two_writers_each_event_has_one_end(void **state)
{
    lives_run(*state, (partial_kind){.writers = 2, .has_unfit = true});
}

const struct CMUnitTest contract_partial_apply[] = {
    CASE(where_a_batch_is_cut_changes_no_answer),
    CASE(each_event_is_stored_once_or_is_a_dead_letter_once),
    CASE(two_writers_store_a_uuid_once),
    CASE(of_two_writers_each_event_has_one_end),
    {.name = NULL},
};
