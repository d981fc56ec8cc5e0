/* SPDX-License-Identifier: Apache-2.0 */
/* failing_disk.c - a disk that fails: whatever call fails, a batch is stored wholly or not at all.
 *
 * This program brings its own pwrite() and the like, which a storage library then calls too: they do what
 * libc's do, except for the nth of them after contract_disk_fail(). */
#include "contract.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_int calls_until_failure; /* 0: none fails */
static atomic_bool stays_broken;       /* every call after that fails as well */
static atomic_bool did_fail;
static atomic_int failure_errno;

void contract_disk_fail(int nth, bool stays, int error)
{
    atomic_store(&did_fail, false);
    atomic_store(&stays_broken, stays);
    atomic_store(&failure_errno, error);
    atomic_store(&calls_until_failure, nth);
}

void contract_disk_repair(void)
{
    atomic_store(&calls_until_failure, 0);
}

static bool fails_now(void)
{
    const int left = atomic_load(&calls_until_failure);
    if (left == 0)
        return false;
    if (left > 1) {
        atomic_store(&calls_until_failure, left - 1);
        return false;
    }
    if (!atomic_load(&stays_broken))
        contract_disk_repair();
    atomic_store(&did_fail, true);
    errno = atomic_load(&failure_errno);
    return true;
}

/* The library must see them, whatever else of this program is hidden. */
#define INSTEAD_OF_LIBC __attribute__((visibility("default")))

INSTEAD_OF_LIBC ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    return fails_now() ? -1 : syscall(SYS_pwrite64, fd, data, size, offset);
}

INSTEAD_OF_LIBC ssize_t writev(int fd, const struct iovec *parts, int count)
{
    return fails_now() ? -1 : syscall(SYS_writev, fd, parts, count);
}

INSTEAD_OF_LIBC int fdatasync(int fd)
{
    return fails_now() ? -1 : (int)syscall(SYS_fdatasync, fd);
}

INSTEAD_OF_LIBC int ftruncate(int fd, off_t size)
{
    return fails_now() ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}

static void put_batch(contract *c, const char *uuid, int interval)
{
    static const char *const buckets[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++) {
        utapi_entry *entry = put_uuid(c, uuid, buckets[i], INTERVAL(interval), 1);
        entry->uuid_time_ms += i;
    }
}

static void expect_batches(contract *c, int64_t batches)
{
    assert_int_equal(bucket_bytes(c, "a"), batches);
    assert_int_equal(bucket_bytes(c, "b"), batches);
    assert_int_equal(bucket_bytes(c, "c"), batches);
    assert_int_equal(service_bytes(c), 3 * batches);
}

/* Fails the nth call of a write. Afterwards the disk is well again. Returns whether a call failed. */
static bool survive(contract *c, int nth, bool stays, int error)
{
    char uuid[32];
    const int64_t before = (int64_t)bucket_bytes(c, "a");
    snprintf(uuid, sizeof uuid, "u%d.%d.%d", nth, stays, error);
    put_batch(c, uuid, nth);
    contract_disk_fail(nth, stays, error);
    const utapi_status status = apply_try(c);
    contract_disk_repair();
    utapi_error_clear(&c->err);

    if (status == UTAPI_OK)
        expect_batches(c, before + 1);
    else if (status == UTAPI_UNAVAILABLE)
        expect_batches(c, before);
    else
        assert_int_equal(status, UTAPI_UNCERTAIN);
    put_batch(c, uuid, nth); /* the sender repeats it */
    apply(c);
    assert_true(c->applied.repeated == 0 || (c->applied.repeated == 3 && status != UTAPI_UNAVAILABLE));
    expect_batches(c, before + 1);
    return atomic_load(&did_fail);
}

static void every_call_may_fail(contract *c, bool stays, int error)
{
    if (!contract_is_durable(c))
        skip();
    put_batch(c, "first", 0);
    apply(c);
    int nth = 1;
    while (survive(c, nth, stays, error))
        nth++;
    assert_in_range(nth, 3, 50);
    const int64_t stored = (int64_t)bucket_bytes(c, "a");
    contract_reopen(c);
    expect_batches(c, stored);
}

static void a_call_that_fails_once_is_survived(void **state)
{
    every_call_may_fail(*state, false, EIO);
}

static void a_disk_that_fails_for_a_while_is_survived(void **state)
{
    every_call_may_fail(*state, true, EIO);
}

static void a_full_disk_is_survived(void **state)
{
    every_call_may_fail(*state, true, ENOSPC);
}

static void questions_are_answered_while_the_disk_fails(void **state)
{
    contract *c = *state;
    if (!contract_is_durable(c))
        skip();
    put_batch(c, "first", 0);
    apply(c);
    contract_disk_fail(1, true, EIO);
    for (int i = 0; i < 3; i++) {
        put_batch(c, "second", 1);
        const utapi_status status = apply_try(c);
        assert_true(status == UTAPI_UNAVAILABLE || status == UTAPI_UNCERTAIN);
        utapi_error_clear(&c->err);
        expect_batches(c, 1);
    }
    contract_disk_repair();
    put_batch(c, "second", 1);
    apply(c);
    expect_batches(c, 2);
}

const struct CMUnitTest contract_failing_disk[] = {
    CASE(a_call_that_fails_once_is_survived),
    CASE(a_disk_that_fails_for_a_while_is_survived),
    CASE(a_full_disk_is_survived),
    CASE(questions_are_answered_while_the_disk_fails),
    {.name = NULL},
};
