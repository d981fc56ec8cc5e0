/* SPDX-License-Identifier: Apache-2.0 */
/* moving.c - what a storage exported, as corrections for an empty one, in any order; and folders read as a whole. */
#include "contract.h"

#include "sound.h"

#include <stdlib.h>
#include <string.h>

enum { MOVED_MAX = 20000 };

/* What was exported, as corrections for a second storage. */
typedef struct moved {
    utapi_adjustment rows[MOVED_MAX];
    utapi_amounts deltas[MOVED_MAX], before;
    char names[MOVED_MAX][16];
    size_t count;
    utapi_level level;
    utapi_string name; /* of the row before */
} moved;

static bool move_row(void *ctx, const utapi_export_row *row)
{
    moved *all = ctx;
    const size_t i = all->count++;
    assert_true(i < MOVED_MAX && row->name.size < sizeof all->names[i]);
    memcpy(all->names[i], row->name.data, row->name.size);
    const utapi_string name = {all->names[i], row->name.size};
    if (i == 0 || all->level != row->level || !utapi_string_equal(all->name, name))
        utapi_amounts_clear(&all->before);
    all->level = row->level;
    all->name = name;
    utapi_amounts_copy(row->amounts, &all->deltas[i]);
    utapi_amounts_subtract(&all->deltas[i], &all->before);
    utapi_amounts_copy(row->amounts, &all->before);
    all->rows[i] = (utapi_adjustment){row->level, name, row->interval, &all->deltas[i]};
    return true;
}

void contract_move(contract *c, utapi_interval first, utapi_interval last, uint64_t seed)
{
    moved *all = calloc(1, sizeof *all);
    const utapi_export what = {
        .form = UTAPI_EXPORT_TOTALS, .level = UTAPI_LEVEL_COUNT, .start = first, .end = last};
    assert_non_null(all);
    CHECK_OK(utapi_backend_export(c->backend, &what, move_row, NULL, all, &c->err), &c->err);
    for (size_t i = all->count; i > 1; i--) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        const size_t other = (size_t)((seed >> 33) % i);
        const utapi_adjustment kept = all->rows[i - 1];
        all->rows[i - 1] = all->rows[other];
        all->rows[other] = kept;
    }
    contract_begin_anew(c);
    if (all->count > 0)
        CHECK_OK(adjust_all(c->backend, all->rows, all->count, &c->err), &c->err);
    free(all);
}

void contract_check(contract *c)
{
    if (c->kind->admin == NULL || c->kind->admin->check == NULL || strstr(c->kind->name, "journal") != NULL)
        return;
    utapi_backend_close(c->backend);
    c->backend = NULL;
    support_sound(c->kind, c->location);
    contract_open(c);
}
