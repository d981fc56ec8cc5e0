/* SPDX-License-Identifier: Apache-2.0 */
/* migrate_read.c - reads a storage's changes, where it tells them; where it has rows, they are the differences of a
 * resource's rows. */
#include "cli/migrate_read.h"

#include "cli/migrate_wait.h"
#include "cli/options.h"
#include "utapi/scoped.h"

#include <string.h>

typedef struct reading {
    utapi_backend *storage; /* borrowed, as the next two */
    spill *to;
    progress *shown;
    spill_side side;
    bool tells;
    migrate_found found;
    utapi_status status; /* of what a callback did */
    utapi_error *err;
} reading;

static bool change_take(reading *self, const spill_change *change)
{
    self->status = spill_add(self->to, change, self->err);
    progress_show(self->shown, 0, ++self->found.changes);
    return self->status == UTAPI_OK;
}

static bool on_change(void *ctx, utapi_level level, utapi_string name, utapi_interval interval,
                      const utapi_amounts *delta)
{
    reading *self = ctx;
    for (unsigned m = 0; m < UTAPI_METRIC_COUNT; m++) {
        const spill_change change = {.name = name,
                                     .interval = interval,
                                     .amount = utapi_amounts_get(delta, m),
                                     .level = level,
                                     .metric = (utapi_metric)m,
                                     .side = self->side};
        if (change.amount != 0 && !change_take(self, &change))
            return false;
    }
    return true;
}

static void on_unreadable(void *ctx, const char *what)
{
    reading *self = ctx;
    self->found.unreadable++;
    if (!self->tells)
        return;
    progress_clear(self->shown);
    cli_say("not copied: %s", what);
}

/* ---- resource by resource ----------------------------------------------------------------- */

/* Names, each behind a byte that tells its size: a storage that is being visited cannot be asked for rows. */
typedef struct name_list {
    char *bytes; /* owned */
    size_t size, room;
    bool failed;
} name_list;

static bool on_resource(void *ctx, utapi_string name)
{
    name_list *names = ctx;
    if (names->room - names->size < name.size + 1) {
        const size_t room = 2 * names->room + 4096;
        char *bytes = realloc(names->bytes, room);
        names->failed = bytes == NULL;
        if (names->failed)
            return false;
        names->bytes = bytes;
        names->room = room;
    }
    names->bytes[names->size++] = (char)(unsigned char)name.size;
    memcpy(names->bytes + names->size, name.data, name.size);
    names->size += name.size;
    return true;
}

/* Rows of one resource. */
typedef struct row_walk {
    reading *reading;
    utapi_level level;
    utapi_string name;
    utapi_amounts before; /* the totals of the row before */
} row_walk;

static bool on_row(void *ctx, utapi_interval interval, const utapi_amounts *totals)
{
    row_walk *walk = ctx;
    reading *self = walk->reading;
    utapi_amounts delta;
    utapi_amounts_copy(totals, &delta);
    self->status = utapi_amounts_subtract(&delta, &walk->before, self->err);
    utapi_amounts_copy(totals, &walk->before);
    return self->status == UTAPI_OK && on_change(self, walk->level, walk->name, interval, &delta);
}

static utapi_status level_read(reading *self, utapi_level level)
{
    name_list names = {.bytes = NULL};
    utapi_status status = utapi_backend_list(self->storage, level, on_resource, &names, self->err);
    if (status == UTAPI_OK && names.failed)
        status = utapi_fail(self->err, UTAPI_NO_MEMORY, "the names of all resources");
    for (size_t at = 0; at < names.size && status == UTAPI_OK;) {
        const size_t size = (unsigned char)names.bytes[at];
        row_walk walk = {.reading = self, .level = level, .name = {names.bytes + at + 1, size}};
        at += size + 1;
        status = utapi_backend_rows(self->storage, level, walk.name, 0, UTAPI_INTERVAL_MAX, on_row, &walk,
                                    self->err);
        if (status == UTAPI_OK)
            status = self->status;
    }
    free(names.bytes);
    return status;
}

/* Before it tells the first change, a storage may have to work off something, and not be able to yet. */
static utapi_status changes_read(reading *self)
{
    migrate_wait wait = {.until_ms = 0};
    utapi_error why;
    utapi_status status;
    do {
        utapi_error_clear(&why);
        status = utapi_backend_changes(self->storage, on_change,
                                       self->side == SPILL_SOURCE ? on_unreadable : NULL, self, &why);
    } while (self->found.changes == 0 && migrate_wait_more(&wait, self->storage, status, &why, self->shown));
    return status == UTAPI_OK ? status : utapi_fail(self->err, status, "%s", why.detail);
}

utapi_status migrate_read(utapi_backend *storage, spill_side side, bool tells, spill *to, progress *shown,
                          migrate_found *ret, utapi_error *err)
{
    reading self = {.storage = storage, .to = to, .shown = shown, .side = side, .tells = tells, .err = err};
    utapi_status status;
    if (storage->ops->changes != NULL) {
        status = changes_read(&self);
    } else {
        status = UTAPI_OK;
        for (unsigned level = 0; level < UTAPI_LEVEL_COUNT && status == UTAPI_OK; level++)
            status = level_read(&self, (utapi_level)level);
    }
    progress_clear(shown);
    *ret = self.found;
    return status == UTAPI_OK ? self.status : status;
}
