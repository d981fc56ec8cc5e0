/* SPDX-License-Identifier: Apache-2.0 */
/* external_sort.c - files of records, one behind the other: a head of fixed size, then the name. */
#include "ctl/external_sort.h"

#include "utapi/hash.h"
#include "utapi/scoped.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct sort_head {
    int64_t interval;
    utapi_wide amount;
    uint8_t level, metric, side, name_size;
} sort_head;

struct external_sort {
    FILE *files[SORT_FILES];
    size_t sizes[SORT_FILES];  /* bytes */
    size_t counts[SORT_FILES]; /* records */
    char *bytes;               /* of the file that was loaded last */
    sort_row *changes;
};

static FILE *file_new(void)
{
    char path[512];
    const char *folder = getenv("TMPDIR");
    const int size = snprintf(path, sizeof path, "%s/utapictl-XXXXXX",
                              folder != NULL && *folder != '\0' ? folder : "/tmp");
    if (size < 0 || (size_t)size >= sizeof path)
        return NULL;
    const int fd = mkstemp(path);
    if (fd < 0)
        return NULL;
    (void)unlink(path);
    FILE *file = fdopen(fd, "w+b");
    if (file == NULL)
        (void)close(fd);
    return file;
}

void external_sort_free(external_sort *self)
{
    if (self == NULL)
        return;
    for (size_t i = 0; i < SORT_FILES; i++)
        if (self->files[i] != NULL)
            (void)fclose(self->files[i]);
    free(self->bytes);
    free(self->changes);
    free(self);
}

UTAPI_AUTO_DEFINE(external_sort, external_sort_free)

utapi_status external_sort_new(external_sort **ret, utapi_error *err)
{
    UTAPI_AUTO(external_sort) *self = calloc(1, sizeof *self);
    if (self == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "temporary files");
    for (size_t i = 0; i < SORT_FILES; i++) {
        self->files[i] = file_new();
        if (self->files[i] == NULL)
            return utapi_fail(err, UTAPI_UNAVAILABLE, "a temporary file: %s", strerror(errno));
    }
    *ret = UTAPI_TAKE(self);
    return UTAPI_OK;
}

/* ---- adding ------------------------------------------------------------------------------- */

static size_t file_of(utapi_level level, utapi_string name)
{
    return utapi_hash_end(utapi_hash_add(UTAPI_HASH_SEED + level, name.data, name.size)) % SORT_FILES;
}

utapi_status external_sort_add(external_sort *self, const sort_row *change, utapi_error *err)
{
    const size_t at = file_of(change->level, change->name);
    const sort_head head = {.interval = change->interval,
                            .amount = change->amount,
                            .level = (uint8_t)change->level,
                            .metric = (uint8_t)change->metric,
                            .side = (uint8_t)change->side,
                            .name_size = (uint8_t)change->name.size};
    if (change->name.size > UTAPI_NAME_MAX)
        return utapi_fail(err, UTAPI_CORRUPT, "a name of %zu bytes", change->name.size);
    if (fwrite(&head, sizeof head, 1, self->files[at]) != 1 ||
        fwrite(change->name.data, 1, change->name.size, self->files[at]) != change->name.size)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "a temporary file: %s", strerror(errno));
    self->sizes[at] += sizeof head + change->name.size;
    self->counts[at]++;
    return UTAPI_OK;
}

/* ---- loading ------------------------------------------------------------------------------ */

bool sort_same_resource(const sort_row *left, const sort_row *right)
{
    return left->level == right->level && utapi_string_equal(left->name, right->name);
}

static int change_order(const void *left_change, const void *right_change)
{
    const sort_row *left = left_change, *right = right_change;
    const int names = utapi_string_compare(left->name, right->name);
    if (left->level != right->level)
        return left->level < right->level ? -1 : 1;
    if (names != 0)
        return names;
    if (left->interval != right->interval)
        return left->interval < right->interval ? -1 : 1;
    if (left->metric != right->metric)
        return left->metric < right->metric ? -1 : 1;
    return (int)left->side - (int)right->side;
}

utapi_status external_sort_load(external_sort *self, size_t file, const sort_row **ret,
                                const sort_row **ret_end, utapi_error *err)
{
    const size_t size = self->sizes[file], count = self->counts[file];
    free(self->bytes);
    free(self->changes);
    self->bytes = malloc(size + 1);
    self->changes = malloc((count + 1) * sizeof *self->changes);
    if (self->bytes == NULL || self->changes == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "%zu changes", count);
    rewind(self->files[file]); /* writes out what is buffered, too */
    if (fread(self->bytes, 1, size, self->files[file]) != size || fseek(self->files[file], 0, SEEK_END) != 0)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "a temporary file: %s", strerror(errno));
    const char *at = self->bytes;
    for (size_t i = 0; i < count; i++) {
        sort_head head;
        memcpy(&head, at, sizeof head);
        at += sizeof head;
        self->changes[i] = (sort_row){.name = {at, head.name_size},
                                      .interval = head.interval,
                                      .amount = head.amount,
                                      .level = (utapi_level)head.level,
                                      .metric = (utapi_metric)head.metric,
                                      .side = (sort_side)head.side};
        at += head.name_size;
    }
    qsort(self->changes, count, sizeof *self->changes, change_order);
    sort_row *end = self->changes;
    for (size_t i = 0; i < count; i++)
        if (i == 0 || change_order(end - 1, &self->changes[i]) != 0)
            *end++ = self->changes[i];
    *ret = self->changes;
    *ret_end = end;
    return UTAPI_OK;
}
