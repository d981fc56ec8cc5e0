/* SPDX-License-Identifier: Apache-2.0 */
/**
 * contract.h - the suite that every backend passes: a store of its own for each case, and words to write
 * cases with. It knows utapi/backend.h and nothing of any backend but its name.
 */
#ifndef CONTRACT_CONTRACT_H
#define CONTRACT_CONTRACT_H

#include "check.h"
#include "utapi/backend.h"

#define MINUTE INT64_C(60000)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

/** A time on an interval's first millisecond, years after the epoch: 2023-11-15T00:00:00Z. */
#define T0 INT64_C(1700006400000)

typedef struct contract {
    const utapi_backend_ops *kind;
    char folder[256];
    utapi_backend_options options;
    utapi_backend *backend;
    utapi_error err;
    int64_t now_ms, accepted_ms; /* of the next batch */
} contract;

/** cmocka's setup and teardown: an open, empty store with a window of a day. */
int contract_setup(void **state);
int contract_teardown(void **state);

/** Closes and opens again; what does not survive that is a failure of a backend that is durable. */
void contract_reopen(contract *c);

/** Whether what the backend stores is there after it was closed. */
bool contract_is_durable(const contract *c);

/** An event that puts an object of some bytes into a bucket at a time: bytes in, one object, one PutObject. */
utapi_entry put(const char *bucket, int64_t time_ms, int64_t bytes);

/** The same with a uuid. */
utapi_entry put_with_uuid(const char *uuid, const char *bucket, int64_t time_ms, int64_t bytes);

/** A deleteBucket that forgets its bucket at once. */
utapi_entry forget_bucket(const char *bucket, int64_t time_ms);

/** Applies entries as one batch. */
utapi_status apply(contract *c, const utapi_entry *entries, size_t count);
utapi_status apply_one(contract *c, utapi_entry entry);

/** The usage of one resource over [start, end] (first milliseconds of intervals). */
utapi_usage usage_at(contract *c, utapi_level level, utapi_string name, utapi_interval start,
                     utapi_interval end);

/** Of a bucket, from long before T0 until long after it. */
utapi_usage usage_ever(contract *c, const char *bucket);

/** Bytes stored by a bucket as of the end of an interval. */
int64_t bytes_at(contract *c, const char *bucket, utapi_interval interval);

/* The cases, by topic. Each table ends with an entry without a name. */
extern const struct CMUnitTest contract_counting[];
extern const struct CMUnitTest contract_uuids[];
extern const struct CMUnitTest contract_forgetting[];
extern const struct CMUnitTest contract_life[];
extern const struct CMUnitTest contract_model[];

#define CASE(name) cmocka_unit_test_setup_teardown(name, contract_setup, contract_teardown)

#endif
