/* SPDX-License-Identifier: Apache-2.0 */
/* readiness.c - four questions, each with a sentence for an answer that is not good. */
#include "handlers/readiness.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>

#define SKEW_MOST_MS INT64_C(60000)
#define MS_PER_S     INT64_C(1000)

static void reason_add(readiness *self, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void reason_add(readiness *self, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(self->reasons[self->reason_count++], READINESS_REASON_BYTES, format, arguments);
    va_end(arguments);
}

static void disk_look(const char *folder, readiness *ret)
{
    struct statvfs disk;
    if (folder == NULL || statvfs(folder, &disk) != 0)
        return;
    ret->disk_bytes = (uint64_t)disk.f_blocks * disk.f_frsize;
    ret->disk_free_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
}

/* Less than so many per cent are left. */
static bool is_short(uint64_t left, uint64_t all, int64_t percent)
{
    return all > 0 && (double)left * 100 < (double)all * (double)percent;
}

void readiness_look(const http_service *service, readiness *ret)
{
    utapi_error err = {0};
    utapi_health *health = &ret->health;
    const int64_t now_ms = utapi_engine_now_ms(service->engine);
    ret->reason_count = 0;
    ret->disk_bytes = ret->disk_free_bytes = 0;
    ret->storage_answers = utapi_engine_health(service->engine, health, &err) == UTAPI_OK;
    disk_look(service->data_dir, ret);

    if (!ret->storage_answers)
        reason_add(ret, "the storage does not answer: %.150s", err.detail);
    else if (*health->warning != '\0')
        reason_add(ret, "the storage is not well: %.150s", health->warning);
    const utapi_storage_stats *storage = &health->storage;
    if (is_short(ret->disk_free_bytes, ret->disk_bytes, service->ready_min_free))
        reason_add(ret, "less than %lld %% of the disk is left", (long long)service->ready_min_free);
    else if (storage->capacity_bytes >= storage->used_bytes &&
             is_short(storage->capacity_bytes - storage->used_bytes, storage->capacity_bytes,
                      service->ready_min_free))
        reason_add(ret, "less than %lld %% of the storage is left", (long long)service->ready_min_free);
    const int64_t waits_ms = health->journal.oldest_ms > 0 ? now_ms - health->journal.oldest_ms : 0;
    if (waits_ms > service->ready_max_delay_ms)
        reason_add(ret, "the oldest event has waited for %lld s", (long long)(waits_ms / MS_PER_S));
    if (llabs(storage->clock_skew_ms) > SKEW_MOST_MS)
        reason_add(ret, "the storage's clock is %.1f s %s this machine's",
                   (double)llabs(storage->clock_skew_ms) / MS_PER_S,
                   storage->clock_skew_ms > 0 ? "ahead of" : "behind");
}
