/* SPDX-License-Identifier: Apache-2.0 */
/* migrate_copy.c - walks through both sides of a spill at once, and gathers what differs into corrections. */
#include "cli/migrate_copy.h"

#include "cli/migrate_wait.h"
#include "utapi/scoped.h"

#include <string.h>

/* Corrections in one step, where the target does not say how many it bears. */
#define STEP_MOST 2000

/* A walk through sorted changes, from one (resource, interval, metric) to the next. */
typedef struct pair_walk {
    const spill_change *at, *end;
} pair_walk;

/* One of them, as it is on both sides. */
typedef struct pair {
    const spill_change *of;
    int64_t amounts[2]; /* by side; 0: nothing */
} pair;

static bool pair_next(pair_walk *walk, pair *ret)
{
    if (walk->at == walk->end)
        return false;
    *ret = (pair){.of = walk->at};
    do {
        ret->amounts[walk->at->side] = walk->at->amount;
        walk->at++;
    } while (walk->at != walk->end && walk->at->metric == ret->of->metric &&
             walk->at->interval == ret->of->interval && spill_same_resource(walk->at, ret->of));
    return true;
}

/* ---- comparing ---------------------------------------------------------------------------- */

utapi_status migrate_compare(spill *both, migrate_difference_cb *on_difference, void *ctx,
                             migrate_difference *ret, utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    *ret = (migrate_difference){.differing = 0};
    for (size_t file = 0; file < SPILL_FILES && status == UTAPI_OK; file++) {
        const spill_change *changes = NULL, *resource = NULL;
        size_t count = 0;
        status = spill_load(both, file, &changes, &count, err);
        pair_walk walk = {changes, changes + count};
        for (pair found; status == UTAPI_OK && pair_next(&walk, &found);) {
            if (resource == NULL || !spill_same_resource(resource, found.of))
                ret->resources++;
            resource = found.of;
            if (found.amounts[SPILL_SOURCE] == found.amounts[SPILL_TARGET])
                continue;
            ret->differing++;
            if (found.amounts[SPILL_SOURCE] == 0)
                ret->foreign++;
            if (on_difference != NULL)
                on_difference(ctx, found.of, found.amounts[SPILL_SOURCE], found.amounts[SPILL_TARGET]);
        }
    }
    return status;
}

/* ---- copying ------------------------------------------------------------------------------ */

typedef struct copy {
    utapi_backend *target; /* borrowed, as the next one */
    progress *shown;
    size_t most, count;
    utapi_adjustment *adjustments; /* owned; names are borrowed from the spill */
    utapi_amounts *deltas;         /* owned */
    const spill_change *last;      /* what the newest adjustment is of */
    size_t written;
} copy;

static utapi_status step_write(copy *self, utapi_error *err)
{
    migrate_wait wait = {.until_ms = 0};
    utapi_error why;
    utapi_status status;
    do {
        utapi_error_clear(&why);
        status = utapi_backend_adjust(self->target, self->adjustments, self->count, &why);
    } while (migrate_wait_more(&wait, self->target, status, &why, self->shown));
    return status == UTAPI_OK ? status : utapi_fail(err, status, "%s", why.detail);
}

static utapi_status copy_flush(copy *self, utapi_error *err)
{
    if (self->count == 0)
        return UTAPI_OK;
    const utapi_status status = step_write(self, err);
    self->count = 0;
    self->last = NULL;
    progress_show(self->shown, self->written, self->written);
    return status;
}

static utapi_status copy_add(copy *self, const pair *found, utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    const spill_change *of = found->of;
    const utapi_wide delta = (utapi_wide)found->amounts[SPILL_SOURCE] - found->amounts[SPILL_TARGET];
    if (delta < INT64_MIN || delta > INT64_MAX)
        return utapi_fail(err, UTAPI_OVERFLOW, "\"%.*s\" differs by more than 64 bits hold",
                          (int)of->name.size, of->name.data);
    if (self->last == NULL || self->last->interval != of->interval || !spill_same_resource(self->last, of)) {
        if (self->count == self->most)
            status = copy_flush(self, err);
        utapi_amounts_clear(&self->deltas[self->count]);
        self->adjustments[self->count] = (utapi_adjustment){.level = of->level,
                                                            .name = of->name,
                                                            .interval = of->interval,
                                                            .delta = &self->deltas[self->count]};
        self->count++;
    }
    self->last = of;
    self->written++;
    utapi_amounts_set(&self->deltas[self->count - 1], of->metric, (int64_t)delta);
    return status;
}

static utapi_status files_copy(copy *self, spill *both, utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    for (size_t file = 0; file < SPILL_FILES && status == UTAPI_OK; file++) {
        const spill_change *changes = NULL;
        size_t count = 0;
        status = spill_load(both, file, &changes, &count, err);
        pair_walk walk = {changes, changes + count};
        for (pair found; status == UTAPI_OK && pair_next(&walk, &found);)
            if (found.amounts[SPILL_SOURCE] != found.amounts[SPILL_TARGET])
                status = copy_add(self, &found, err);
        if (status == UTAPI_OK)
            status = copy_flush(self, err);
    }
    return status;
}

utapi_status migrate_copy(spill *both, utapi_backend *target, progress *shown, utapi_error *err)
{
    const size_t largest = target->ops->largest_step;
    copy self = {.target = target, .shown = shown, .most = largest != 0 ? largest : STEP_MOST};
    self.adjustments = calloc(self.most, sizeof *self.adjustments);
    self.deltas = malloc(self.most * sizeof *self.deltas);
    const utapi_status status = self.adjustments != NULL && self.deltas != NULL
                                    ? files_copy(&self, both, err)
                                    : utapi_fail(err, UTAPI_NO_MEMORY, "%zu corrections", self.most);
    free(self.adjustments);
    free(self.deltas);
    progress_clear(shown);
    return status;
}

/* ---- fences ------------------------------------------------------------------------------- */

typedef struct fences_copy {
    utapi_backend *target; /* borrowed, as the next one */
    progress *shown;
    utapi_status status;
    utapi_error why;
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

static bool fence_copy(void *ctx, const unsigned char writer[16], uint64_t fence)
{
    fences_copy *self = ctx;
    migrate_wait wait = {.until_ms = 0};
    do {
        utapi_error_clear(&self->why);
        self->status = fence_move(self->target, writer, fence, &self->why);
    } while (migrate_wait_more(&wait, self->target, self->status, &self->why, self->shown));
    return self->status == UTAPI_OK;
}

utapi_status migrate_fences(utapi_backend *source, utapi_backend *target, progress *shown, utapi_error *err)
{
    fences_copy self = {.target = target, .shown = shown};
    const utapi_status status = utapi_backend_fences(source, fence_copy, &self, err);
    return status == UTAPI_OK && self.status != UTAPI_OK ? utapi_fail(err, self.status, "%s", self.why.detail)
                                                         : status;
}
