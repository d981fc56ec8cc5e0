/* SPDX-License-Identifier: Apache-2.0 */
/* trouble_backend.c - each slot does what it was told to, then calls the storage inside. */
#include "trouble_backend.h"

#include "utapi/backend_admin.h"

#include <time.h>

static utapi_backend_apply_fn trouble_apply;
static utapi_backend_read_fn trouble_read;
static utapi_backend_knows_fn trouble_knows;
static const utapi_admin_ops trouble_admin = {.knows = trouble_knows};
static utapi_backend_stats_fn trouble_stats;
static utapi_backend_close_fn trouble_close;

/* It is made by trouble_backend_init(), never opened by name. */
static utapi_status trouble_open(const utapi_backend_options *options, utapi_backend **ret, utapi_error *err)
{
    (void)options;
    (void)ret;
    return utapi_fail(err, UTAPI_NOT_SUPPORTED, "trouble is not opened by name");
}

static utapi_status inner_list(utapi_backend *base, utapi_dead_letter_cb *on_letter, void *ctx,
                               utapi_error *err);
static utapi_status inner_acknowledge(utapi_backend *base, const utapi_acknowledgement *what,
                                      utapi_error *err);
static utapi_status inner_letter_stats(utapi_backend *base, utapi_dead_letter_stats *ret, utapi_error *err);

static const utapi_dead_letter_ops inner_letters = {
    .list = inner_list,
    .acknowledge = inner_acknowledge,
    .stats = inner_letter_stats,
};

static const utapi_backend_ops trouble_ops = {
    .version = UTAPI_BACKEND_VERSION,
    .name = "trouble",
    .open = trouble_open,
    .apply = trouble_apply,
    .read = trouble_read,
    .admin = &trouble_admin,
    .stats = trouble_stats,
    .close = trouble_close,
    .dead_letters = &inner_letters,
};

static trouble_backend *trouble_of(utapi_backend *self)
{
    return (trouble_backend *)(void *)self;
}

static void sleep_ms(unsigned ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)nanosleep(&time, NULL);
}

static void wait_while(trouble_backend *self, const bool *held)
{
    (void)pthread_mutex_lock(&self->lock);
    while (*held)
        (void)pthread_cond_wait(&self->released, &self->lock);
    (void)pthread_mutex_unlock(&self->lock);
}

static utapi_status trouble_apply(utapi_backend *base, const utapi_batch *batch, utapi_applied *ret,
                                  utapi_error *err)
{
    trouble_backend *self = trouble_of(base);
    atomic_fetch_add(&self->applies, 1);
    wait_while(self, &self->held);
    if (self->apply_ms > 0)
        sleep_ms(self->apply_ms);
    if (self->apply_says != UTAPI_OK)
        return utapi_fail(err, self->apply_says, "trouble while applying");
    return utapi_backend_apply(self->inner, batch, ret, err);
}

static utapi_status trouble_read(utapi_backend *base, const utapi_query *query, utapi_usage *ret,
                                 uint64_t *ret_fences, utapi_error *err)
{
    trouble_backend *self = trouble_of(base);
    atomic_fetch_add(&self->reads, 1);
    wait_while(self, &self->reads_held);
    if (self->read_says != UTAPI_OK)
        return utapi_fail(err, self->read_says, "trouble while reading");
    return utapi_backend_read(self->inner, query, ret, ret_fences, err);
}

static utapi_status trouble_stats(utapi_backend *base, utapi_storage_stats *ret, utapi_error *err)
{
    trouble_backend *self = trouble_of(base);
    if (self->stats_says != UTAPI_OK)
        return utapi_fail(err, self->stats_says, "trouble with the disk");
    if (self->shown != NULL) {
        *ret = *self->shown;
        return UTAPI_OK;
    }
    return utapi_backend_stats(self->inner, ret, err);
}

void trouble_journal_stats(utapi_backend *base, utapi_journal_stats *ret)
{
    *ret = trouble_of(base)->journal;
}

utapi_status trouble_letter_stats(utapi_backend *base, utapi_dead_letter_stats *ret, utapi_error *err)
{
    (void)err;
    *ret = trouble_of(base)->letters;
    return UTAPI_OK;
}

static utapi_status inner_list(utapi_backend *base, utapi_dead_letter_cb *on_letter, void *ctx,
                               utapi_error *err)
{
    return utapi_backend_dead_letters(trouble_of(base)->inner, on_letter, ctx, err);
}

static utapi_status inner_acknowledge(utapi_backend *base, const utapi_acknowledgement *what,
                                      utapi_error *err)
{
    return utapi_backend_acknowledge(trouble_of(base)->inner, what, err);
}

static utapi_status inner_letter_stats(utapi_backend *base, utapi_dead_letter_stats *ret, utapi_error *err)
{
    return utapi_backend_dead_letter_stats(trouble_of(base)->inner, ret, err);
}

static utapi_status trouble_knows(utapi_backend *base, utapi_level level, utapi_string name, bool *ret,
                                  utapi_error *err)
{
    return utapi_backend_knows(trouble_of(base)->inner, level, name, ret, err);
}

static void trouble_close(utapi_backend *base)
{
    (void)base;
}

void trouble_backend_init(trouble_backend *self, utapi_backend *inner)
{
    *self = (trouble_backend){.ops = trouble_ops, .inner = inner};
    self->base.ops = &self->ops;
    (void)pthread_mutex_init(&self->lock, NULL);
    (void)pthread_cond_init(&self->released, NULL);
}

void trouble_backend_done(trouble_backend *self)
{
    (void)pthread_cond_destroy(&self->released);
    (void)pthread_mutex_destroy(&self->lock);
}

static void hold(trouble_backend *self, bool *ret, bool held)
{
    (void)pthread_mutex_lock(&self->lock);
    *ret = held;
    (void)pthread_cond_broadcast(&self->released);
    (void)pthread_mutex_unlock(&self->lock);
}

void trouble_backend_hold(trouble_backend *self, bool held)
{
    hold(self, &self->held, held);
}

void trouble_backend_hold_reads(trouble_backend *self, bool held)
{
    hold(self, &self->reads_held, held);
}

void trouble_backend_wait_reads(trouble_backend *self, unsigned reads)
{
    while (atomic_load(&self->reads) < reads)
        sleep_ms(1);
}

void trouble_backend_wait_applies(trouble_backend *self, unsigned applies)
{
    while (atomic_load(&self->applies) < applies)
        sleep_ms(1);
}
