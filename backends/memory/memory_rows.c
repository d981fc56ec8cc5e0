/* SPDX-License-Identifier: Apache-2.0 */
/* memory_rows.c - resources and their rows: looking up, adding, forgetting, and taking changes back. */
#include "memory_internal.h"

#include "utapi/scoped.h"

#include <search.h>
#include <string.h>

/* ---- rows --------------------------------------------------------------------------------- */

/* How many rows are of this interval or an earlier one. */
size_t utapi_memory_rows_until(const memory_resource *resource, utapi_interval interval)
{
    size_t low = 0, high = resource->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (resource->rows[middle].interval <= interval)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const utapi_amounts *utapi_memory_totals_at(const memory_resource *resource, utapi_interval interval)
{
    const size_t until = utapi_memory_rows_until(resource, interval);
    return until > 0 ? &resource->rows[until - 1].totals : NULL;
}

/* Makes room for a row at a place, as a copy of the row before it: nothing happened yet in its interval. */
static utapi_status row_insert(memory_resource *resource, size_t at, utapi_interval interval,
                               utapi_error *err)
{
    if (resource->count == resource->room) {
        const size_t room = resource->room * 2 + 4;
        memory_row *rows = realloc(resource->rows, room * sizeof *rows);
        if (rows == NULL)
            return utapi_fail(err, UTAPI_NO_MEMORY, "%zu rows of one resource", room);
        resource->rows = rows;
        resource->room = room;
    }
    memory_row *row = &resource->rows[at];
    memmove(row + 1, row, (resource->count - at) * sizeof *row);
    resource->count++;
    row->interval = interval;
    utapi_amounts_clear(&row->totals);
    if (at > 0)
        utapi_amounts_copy(&row[-1].totals, &row->totals);
    return UTAPI_OK;
}

/* ---- changes that can be taken back ------------------------------------------------------- */

/* Notes how a resource is, before its rows from a place on are changed. */
utapi_status utapi_memory_change(memory_backend *self, memory_resource *resource, size_t from,
                                 utapi_error *err)
{
    const size_t size = (resource->count - from) * sizeof *resource->rows;
    memory_undo *undo = malloc(sizeof *undo + size);
    if (undo == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "noting a change");
    *undo = (memory_undo){
        .next = self->undo,
        .resource = resource,
        .gone_ms = resource->gone_ms,
        .due_ms = resource->due_ms,
        .from = from,
        .count = resource->count,
    };
    if (size > 0)
        memcpy(undo->rows, &resource->rows[from], size);
    self->undo = undo;
    return UTAPI_OK;
}

/* Takes back every change after `mark`, the newest first. */
void utapi_memory_undo_to(memory_backend *self, const memory_undo *mark)
{
    while (self->undo != mark) {
        memory_undo *undo = self->undo;
        memory_resource *resource = undo->resource;
        resource->gone_ms = undo->gone_ms;
        resource->due_ms = undo->due_ms;
        resource->count = undo->count;
        if (undo->count > undo->from)
            memcpy(&resource->rows[undo->from], undo->rows, (undo->count - undo->from) * sizeof *undo->rows);
        self->undo = undo->next;
        free(undo);
    }
}

void utapi_memory_keep(memory_backend *self)
{
    for (memory_undo *undo; (undo = self->undo) != NULL; free(undo))
        self->undo = undo->next;
}

/* ---- resources ---------------------------------------------------------------------------- */

static int resource_order(const void *left_resource, const void *right_resource)
{
    const memory_resource *left = left_resource;
    const memory_resource *right = right_resource;
    if (left->level != right->level)
        return left->level < right->level ? -1 : 1;
    return utapi_string_compare(left->name, right->name);
}

memory_resource *utapi_memory_find(const memory_backend *self, utapi_level level, utapi_string name)
{
    const memory_resource wanted = {.level = level, .name = name};
    memory_resource *const *found = tfind(&wanted, &self->resources, resource_order);
    return found != NULL ? *found : NULL;
}

utapi_status utapi_memory_get(memory_backend *self, utapi_level level, utapi_string name,
                              memory_resource **ret, utapi_error *err)
{
    *ret = utapi_memory_find(self, level, name);
    if (*ret != NULL)
        return UTAPI_OK;
    UTAPI_AUTO_FREE memory_resource *resource = malloc(sizeof *resource + name.size);
    if (resource == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "a resource");
    *resource = (memory_resource){.level = level, .gone_ms = NEVER_FORGOTTEN, .due_ms = NO_APPOINTMENT};
    memcpy(resource->bytes, name.data, name.size);
    resource->name = (utapi_string){.data = resource->bytes, .size = name.size};
    if (tsearch(resource, &self->resources, resource_order) == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "a resource");
    *ret = UTAPI_TAKE(resource);
    return UTAPI_OK;
}

/* ---- adding ------------------------------------------------------------------------------- */

static bool intake_next(memory_intake *intake, utapi_interval_delta *ret)
{
    if (intake->fold == NULL) {
        if (intake->once == NULL)
            return false;
        *ret = *intake->once;
        intake->once = NULL;
        return true;
    }
    while (utapi_aggregation_sum(intake->fold, &intake->run, intake->not_before_ms, ret)) {
        intake->counted = true;
        if (ret->interval > intake->after)
            return true;
    }
    return false;
}

/* Adds sums to the rows from *at on that are earlier than an interval, and moves *at behind them. */
static utapi_status rows_add_before(memory_resource *resource, utapi_interval interval,
                                    const utapi_sums *sums, size_t *at, utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    for (; *at < resource->count && resource->rows[*at].interval < interval && status == UTAPI_OK; ++*at)
        status = utapi_amounts_add(&resource->rows[*at].totals, sums, err);
    return status;
}

/* Each row is changed once, by the sum of all cells up to it: a total that leaves 64 bits between two cells
 * and comes back is no overflow. */
utapi_status utapi_memory_add(memory_backend *self, memory_resource *resource, memory_intake *intake,
                              utapi_error *err)
{
    utapi_interval_delta cell;
    if (!intake_next(intake, &cell))
        return UTAPI_OK;
    size_t at = utapi_memory_rows_until(resource, cell.interval - 1);
    utapi_sums sums = {.present = 0}; /* of the cells so far */
    utapi_status status = utapi_memory_change(self, resource, at, err);
    for (bool more = true; more && status == UTAPI_OK; more = intake_next(intake, &cell)) {
        status = rows_add_before(resource, cell.interval, &sums, &at, err);
        utapi_sums_merge(&sums, &cell.sums);
        if (status != UTAPI_OK || (at < resource->count && resource->rows[at].interval == cell.interval))
            continue;
        status = row_insert(resource, at, cell.interval, err);
        if (status == UTAPI_OK) /* the row before, which it copies, has taken the earlier cells already */
            status = utapi_amounts_add(&resource->rows[at++].totals, &cell.sums, err);
    }
    return status == UTAPI_OK ? rows_add_before(resource, INT64_MAX, &sums, &at, err) : status;
}

/* ---- forgetting --------------------------------------------------------------------------- */

utapi_status utapi_memory_forget(memory_backend *self, memory_resource *resource, int64_t time_ms,
                                 utapi_error *err)
{
    if (time_ms < resource->gone_ms)
        return UTAPI_OK;
    utapi_status status = utapi_memory_change(self, resource, 0, err);
    if (status != UTAPI_OK)
        return status;
    resource->gone_ms = time_ms;
    const size_t gone = utapi_memory_rows_until(resource, utapi_interval_of(time_ms));
    for (size_t i = gone; gone > 0 && i < resource->count && status == UTAPI_OK; i++)
        status = utapi_amounts_subtract(&resource->rows[i].totals, &resource->rows[gone - 1].totals, err);
    if (status == UTAPI_OK && gone > 0) {
        resource->count -= gone;
        memmove(resource->rows, &resource->rows[gone], resource->count * sizeof *resource->rows);
    }
    return status;
}
