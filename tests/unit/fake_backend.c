/* SPDX-License-Identifier: Apache-2.0 */
/* fake_backend.c - see fake_backend.h. */
#include "fake_backend.h"

static utapi_status fake_apply(utapi_backend *self, const utapi_batch *batch, utapi_applied *ret,
                               utapi_error *err)
{
    fake_backend *fake = (fake_backend *)self;
    pthread_mutex_lock(&fake->lock);
    fake->applies++;
    pthread_cond_broadcast(&fake->changed);
    while (fake->held)
        pthread_cond_wait(&fake->changed, &fake->lock);

    utapi_status status = fake->answer;
    utapi_wide storage = fake->storage;
    for (size_t i = 0; i < batch->count; i++)
        storage += batch->entries[i].delta[UTAPI_STORAGE_UTILIZED];
    if (storage > INT64_MAX || storage < INT64_MIN)
        status = UTAPI_OVERFLOW;
    if (status == UTAPI_OK) {
        fake->storage = (int64_t)storage;
        fake->entries += batch->count;
        fake->last = batch->entries[batch->count - 1];
        fake->last_accepted_ms = utapi_batch_accepted_ms(batch);
        if (batch->count > fake->largest_batch)
            fake->largest_batch = batch->count;
    }
    *ret = (utapi_applied){.repeated = 0};
    pthread_mutex_unlock(&fake->lock);
    if (status == UTAPI_OVERFLOW)
        return utapi_fail_at(err, status, 0, "as told"); /* the first event is as good as another */
    return status == UTAPI_OK ? UTAPI_OK : utapi_fail(err, status, "as told");
}

static utapi_status fake_read(utapi_backend *self, const utapi_query *query, utapi_usage *ret,
                              uint64_t *ret_fences, utapi_error *err)
{
    fake_backend *fake = (fake_backend *)self;
    (void)err;
    fake->last_query = *query;
    for (size_t i = 0; i < query->count; i++) {
        utapi_usage_clear(&ret[i]);
        ret[i].storage_utilized[0] = ret[i].storage_utilized[1] = fake->read_storage;
    }
    if (ret_fences != NULL)
        *ret_fences = 0;
    return UTAPI_OK;
}

static utapi_status fake_maintain(utapi_backend *self, int64_t now_ms, int64_t accepted_ms, utapi_error *err)
{
    fake_backend *fake = (fake_backend *)self;
    (void)now_ms;
    (void)accepted_ms;
    (void)err;
    pthread_mutex_lock(&fake->lock);
    fake->maintained++;
    pthread_cond_broadcast(&fake->changed);
    pthread_mutex_unlock(&fake->lock);
    return UTAPI_OK;
}

static utapi_status fake_stats(utapi_backend *self, utapi_storage_stats *ret, utapi_error *err)
{
    const fake_backend *fake = (const fake_backend *)self;
    *ret = (utapi_storage_stats){.resources = 0};
    return fake->is_well ? UTAPI_OK : utapi_fail(err, UTAPI_UNAVAILABLE, "as told");
}

static utapi_status fake_open(const utapi_backend_options *options, utapi_backend **ret, utapi_error *err)
{
    (void)options;
    (void)ret;
    return utapi_fail(err, UTAPI_NOT_SUPPORTED, "made by its test");
}

static void fake_close(utapi_backend *self)
{
    (void)self;
}

static const utapi_backend_ops fake_ops = {
    .version = UTAPI_BACKEND_VERSION,
    .name = "fake",
    .open = fake_open,
    .apply = fake_apply,
    .read = fake_read,
    .maintain = fake_maintain,
    .stats = fake_stats,
    .close = fake_close,
};

void fake_backend_init(fake_backend *fake)
{
    *fake = (fake_backend){
        .base = {.ops = &fake_ops},
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .changed = PTHREAD_COND_INITIALIZER,
    };
}

void fake_backend_hold(fake_backend *fake, bool held)
{
    pthread_mutex_lock(&fake->lock);
    fake->held = held;
    pthread_cond_broadcast(&fake->changed);
    pthread_mutex_unlock(&fake->lock);
}

void fake_backend_wait_applies(fake_backend *fake, size_t applies)
{
    pthread_mutex_lock(&fake->lock);
    while (fake->applies < applies)
        pthread_cond_wait(&fake->changed, &fake->lock);
    pthread_mutex_unlock(&fake->lock);
}
