/* SPDX-License-Identifier: Apache-2.0 */
/**
 * contract.h - the suite that every backend passes: a storage of its own for each case, and words to write cases with.
 *
 * It knows utapi/backend.h, utapi/backend_admin.h, and nothing of a backend but its name. There are two ways to write a
 * batch: entry_put() and the like make entries for apply_entries(); put() and the like let a batch grow for apply().
 */
#ifndef CONTRACT_CONTRACT_H
#define CONTRACT_CONTRACT_H

#include "check.h"
#include "utapi/backend_admin.h"

#define MINUTE INT64_C(60000)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

/** A time on an interval's first millisecond, years after the epoch: 2023-11-15T00:00:00Z. */
#define T0 INT64_C(1700006400000)

/** The nth interval after some interval of 2023. */
#define INTERVAL(n) ((INT64_C(1888889) + (n)) * UTAPI_INTERVAL_MS)

/** How long a uuid is known, where a case does not say otherwise. */
#define WINDOW_MS DAY

/** Wide enough for every interval that a case uses. */
#define FIRST INTERVAL(-100000)
#define LAST  INTERVAL(100000)

/** Wraps a NUL-terminated text. */
#define S(text) utapi_string_of(text)

enum { CONTRACT_ENTRIES_MAX = 256 };

typedef struct contract {
    const utapi_backend_ops *kind;
    char folder[256];   /* of this case */
    char location[288]; /* in it, made by the storage */
    utapi_backend_options options;
    utapi_backend *backend;
    utapi_error err;
    int64_t now_ms, accepted_ms; /* of the next batch */

    /* The batch that grows; apply() hands it over and begins a new one. */
    utapi_entry entries[CONTRACT_ENTRIES_MAX];
    size_t count;
    utapi_fence fence;
    utapi_applied applied; /* of the last one */
} contract;

/** What the random cases begin with: options of the program. */
typedef struct contract_random {
    uint64_t seed, rounds, steps; /* steps 0: as many as the case has by default */
} contract_random;
extern contract_random contract_chance;

/** The seed of a round; printed with the steps, so that one round can be repeated. */
uint64_t contract_seed(uint64_t round, uint64_t steps);

/** The kind that random cases compare with. */
const utapi_backend_ops *contract_oracle(void);

/** cmocka's setup and teardown: an open, empty storage with a window of a day. */
int contract_setup(void **state);
int contract_teardown(void **state);

/** Opens the storage with c->options. */
void contract_open(contract *c);

/** Closes it and opens it again; what does not survive that is a failure of a backend that is durable. */
void contract_reopen(contract *c);

/** Closes it, removes what it stored, and opens an empty one with c->options. */
void contract_begin_anew(contract *c);

/** Exports all totals, and gives them to an empty storage as corrections, in an order that follows from the seed. */
void contract_move(contract *c, utapi_interval first, utapi_interval last, uint64_t seed);

/** Where a folder can be read as a whole, nothing may be wrong in it. */
void contract_check(contract *c);

/** Whether what it stores is there after it was closed. */
bool contract_is_durable(const contract *c);

/** Whether it keeps totals by interval, and counts resources and rows. */
bool contract_keeps_totals(const contract *c);

/* ---- entries ------------------------------------------------------------------------------ */

/** An event that puts an object of some bytes into a bucket at a time: bytes in, one object, one PutObject. */
utapi_entry entry_put(const char *bucket, int64_t time_ms, int64_t bytes);

/** The same with a uuid. */
utapi_entry entry_put_uuid(const char *uuid, const char *bucket, int64_t time_ms, int64_t bytes);

/** A deleteBucket that expires its bucket at once. */
utapi_entry entry_delete(const char *bucket, int64_t time_ms);

/** Adds such an entry to the batch that grows; returns it, for what else a case wants it to say. */
utapi_entry *put(contract *c, const char *bucket, int64_t time_ms, int64_t bytes);
utapi_entry *put_uuid(contract *c, const char *uuid, const char *bucket, int64_t time_ms, int64_t bytes);
utapi_entry *delete_bucket(contract *c, const char *bucket, int64_t time_ms);

/** Adds rows at INTERVAL(0), (10), (20), (30) to the buckets b and bb: 1, 2, 3, 4 bytes. */
void put_rows(contract *c);

/* ---- writing ------------------------------------------------------------------------------ */

/** Hands a batch to a backend, its entries accepted at c->accepted_ms and numbered from the fence on. */
utapi_status apply_batch(const contract *c, utapi_backend *backend, const utapi_batch *batch,
                         utapi_applied *ret, utapi_error *err);

/** Hands entries over as one batch. */
utapi_status apply_entries(contract *c, const utapi_entry *entries, size_t count);
utapi_status apply_entry(contract *c, utapi_entry entry);

/** Hands over the batch that grew: it must be stored; it must end as expected; it may end in any way. */
void apply(contract *c);
void apply_fails(contract *c, utapi_status expected);
utapi_status apply_try(contract *c);

/** Expires a bucket by hand. */
void expire_bucket(contract *c, const char *bucket, int64_t time_ms);

/** Adjusts until all are stored, or the next one cannot be. */
utapi_status adjust_all(utapi_backend *backend, const utapi_adjustment *adjustments, size_t count,
                        utapi_error *err);

/* ---- reading ------------------------------------------------------------------------------ */

/** The usage of one resource over [start, end] (first milliseconds of intervals). */
utapi_usage usage_of(contract *c, utapi_level level, utapi_string name, utapi_interval start,
                     utapi_interval end);

/** Of a bucket, from long before T0 until long after it. */
utapi_usage usage_ever(contract *c, const char *bucket);

/** Bytes stored by a bucket as of the end of an interval. */
utapi_wide bytes_at(contract *c, const char *bucket, utapi_interval interval);

/** Bytes that a bucket, or "s3", stores at the end of the newest interval. */
utapi_wide bucket_bytes(contract *c, const char *bucket);
utapi_wide service_bytes(contract *c);

/** Whether a bucket stores bytes or had a flow. */
bool has_usage(contract *c, const char *bucket);

/** Whether list() comes by a resource. */
bool is_known(contract *c, utapi_level level, const char *name);

/** Exports the totals of one resource. */
typedef bool row_cb(void *ctx, utapi_interval interval, const utapi_amounts *totals);
utapi_status export_rows(utapi_backend *backend, utapi_level level, utapi_string name, utapi_interval start,
                         utapi_interval end, row_cb *on_row, void *ctx, utapi_error *err);

/** The interval and the stored bytes of each row: "0:10 3:25 " for INTERVAL(0) and INTERVAL(3). */
void expect_rows(contract *c, const char *bucket, const char *expected);

/* ---- a disk that fails (failing_disk.c) ---------------------------------------------------- */

/** The nth call that writes fails with an errno, and if it stays so all after it, until the disk is repaired. */
void contract_disk_fail(int nth, bool stays, int error);
void contract_disk_repair(void);

/* ---- the cases, by topic; each table ends with an entry without a name --------------------- */

/* clang-format off */
#define CONTRACT_TOPICS(X)                                                                                            \
    X(counting) X(overflow) X(fences) X(partial_apply) X(adjusting) X(acts) X(reading) X(uuids) X(dead_letters)      \
    X(expiry) X(scheduled_expiry) X(opening) X(full_storage) X(failing_disk) X(threads) X(random_stream)              \
    X(random_life)
/* clang-format on */

#define X(topic) extern const struct CMUnitTest contract_##topic[];
CONTRACT_TOPICS(X)
#undef X

#define CASE(name) cmocka_unit_test_setup_teardown(name, contract_setup, contract_teardown)

#endif
