/* SPDX-License-Identifier: Apache-2.0 */
/* migrate_spill.c - files of records, one behind the other: a head of fixed size, then the name. */
#include "cli/migrate_spill.h"

#include "utapi/hash.h"
#include "utapi/scoped.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct spill_head {
    int64_t interval, amount;
    uint8_t level, metric, side, name_size;
} spill_head;

struct spill {
    FILE *files[SPILL_FILES];
    size_t sizes[SPILL_FILES];  /* bytes */
    size_t counts[SPILL_FILES]; /* records */
    char *bytes;                /* of the file that was loaded last */
    spill_change *changes;
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

void spill_free(spill *self)
{
    if (self == NULL)
        return;
    for (size_t i = 0; i < SPILL_FILES; i++)
        if (self->files[i] != NULL)
            (void)fclose(self->files[i]);
    free(self->bytes);
    free(self->changes);
    free(self);
}

UTAPI_AUTO_DEFINE(spill, spill_free)

utapi_status spill_new(spill **ret, utapi_error *err)
{
    UTAPI_AUTO(spill) *self = calloc(1, sizeof *self);
    if (self == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "temporary files");
    for (size_t i = 0; i < SPILL_FILES; i++) {
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
    return utapi_hash_end(utapi_hash_add(UTAPI_HASH_SEED + level, name.data, name.size)) % SPILL_FILES;
}

utapi_status spill_add(spill *self, const spill_change *change, utapi_error *err)
{
    const size_t at = file_of(change->level, change->name);
    const spill_head head = {.interval = change->interval,
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

bool spill_same_resource(const spill_change *left, const spill_change *right)
{
    return left->level == right->level && utapi_string_equal(left->name, right->name);
}

static int change_order(const void *left_change, const void *right_change)
{
    const spill_change *left = left_change, *right = right_change;
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

static utapi_status file_read(spill *self, size_t file, utapi_error *err)
{
    free(self->bytes);
    free(self->changes);
    self->bytes = malloc(self->sizes[file] + 1);
    self->changes = malloc((self->counts[file] + 1) * sizeof *self->changes);
    if (self->bytes == NULL || self->changes == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "%zu changes", self->counts[file]);
    rewind(self->files[file]); /* writes out what is buffered, too */
    const bool is_read = fread(self->bytes, 1, self->sizes[file], self->files[file]) == self->sizes[file] &&
                         fseek(self->files[file], 0, SEEK_END) == 0;
    return is_read ? UTAPI_OK : utapi_fail(err, UTAPI_UNAVAILABLE, "a temporary file: %s", strerror(errno));
}

static void changes_find(spill *self, size_t count)
{
    const char *at = self->bytes;
    for (size_t i = 0; i < count; i++) {
        spill_head head;
        memcpy(&head, at, sizeof head);
        at += sizeof head;
        self->changes[i] = (spill_change){.name = {at, head.name_size},
                                          .interval = head.interval,
                                          .amount = head.amount,
                                          .level = (utapi_level)head.level,
                                          .metric = (utapi_metric)head.metric,
                                          .side = (spill_side)head.side};
        at += head.name_size;
    }
}

utapi_status spill_load(spill *self, size_t file, const spill_change **ret, size_t *ret_count,
                        utapi_error *err)
{
    const size_t count = self->counts[file];
    const utapi_status status = file_read(self, file, err);
    if (status != UTAPI_OK)
        return status;
    changes_find(self, count);
    qsort(self->changes, count, sizeof *self->changes, change_order);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || change_order(&self->changes[kept - 1], &self->changes[i]) != 0)
            self->changes[kept++] = self->changes[i];
    *ret = self->changes;
    *ret_count = kept;
    return UTAPI_OK;
}
