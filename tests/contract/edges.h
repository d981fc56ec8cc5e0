/* SPDX-License-Identifier: Apache-2.0 */
/**
 * edges.h - a backend under test, and short ways to hand it growing batches and ask it questions.
 *
 * For the cases beside the promises one by one (contract.h): what meets in one batch, what fails half-way.
 * Each case begins with an empty backend in a directory of its own.
 */
#ifndef CONTRACT_EDGES_H
#define CONTRACT_EDGES_H

#include "check.h"
#include "kinds.h"

#include "utapi/backend.h"

/** What is tested: set once, by main(). */
typedef struct edges_subject {
    const utapi_backend_ops *ops;
    bool durable; /* what it stored is there after it was closed */
} edges_subject;
extern edges_subject edges_kind;

/** The kind that the model test compares with. */
extern const utapi_backend_ops *edges_oracle;

/** The nth interval after some interval of 2023, and a time in it. */
#define INTERVAL(n) ((INT64_C(1888889) + (n)) * UTAPI_INTERVAL_MS)
#define WINDOW_MS   (96 * UTAPI_INTERVAL_MS)

/** Wide enough for every interval that a case uses. */
#define FIRST INTERVAL(-100000)
#define LAST  INTERVAL(100000)

enum { ENTRIES_MAX = 256 };

typedef struct edges {
    utapi_backend *backend;
    utapi_backend_options options;
    char directory[256]; /* of options.location, and whatever else a case stores */
    char location[288];

    /* The batch that grows; apply() hands it over and begins a new one. */
    utapi_entry entries[ENTRIES_MAX];
    size_t count;
    utapi_fence fence;
    int64_t now_ms, accepted_ms;
    utapi_applied applied; /* of the last one */
    utapi_error err;
} edges;

/** What cmocka hands to a case. */
static inline edges *edges_of(void **state)
{
    return *state;
}

int edges_setup(void **state);
int edges_teardown(void **state);
#define EDGES_CASE(name) cmocka_unit_test_setup_teardown(name, edges_setup, edges_teardown)

/** Opens the backend with c->options. */
void edges_open(edges *c);

/** Closes it and opens it again. */
void edges_reopen(edges *c);

/** Closes it, removes what it stored, and opens an empty one with c->options. */
void edges_begin_anew(edges *c);

/** Wraps a NUL-terminated text. */
#define S(text) utapi_string_of(text)

/**
 * Adds an entry to the batch: one PutObject of so many bytes, for a bucket and the service "s3".
 *
 * @param bucket  borrowed until the batch is applied; NULL: none
 * @return the entry, for what else a case wants it to say
 */
utapi_entry *put(edges *c, const char *bucket, int64_t time_ms, int64_t bytes);

/** As put(), with a uuid. */
utapi_entry *put_uuid(edges *c, const char *uuid, const char *bucket, int64_t time_ms, int64_t bytes);

/** Adds a DeleteBucket that forgets its bucket at once. */
utapi_entry *delete_bucket(edges *c, const char *bucket, int64_t time_ms);

/** Hands the batch over; it must be stored. */
void apply(edges *c);

/** Hands the batch over; it must end as expected. */
void apply_fails(edges *c, utapi_status expected);

/** Hands the batch over. */
utapi_status apply_try(edges *c);

/** Asks about one resource. */
utapi_usage usage_of(edges *c, utapi_level level, utapi_string name, utapi_interval start,
                     utapi_interval end);

/** Bytes that a bucket, or "s3", stores at the end of the newest interval. */
int64_t bucket_bytes(edges *c, const char *bucket);
int64_t service_bytes(edges *c);

/** Whether visit() comes by a resource. */
bool is_known(edges *c, utapi_level level, const char *name);

/** The interval and the stored bytes of each row: "0:10 3:25 " for INTERVAL(0) and INTERVAL(3). */
void expect_rows(edges *c, const char *bucket, const char *expected);

/* The cases, file by file; each returns how many failed. */
int cases_count(void);
int cases_overflow(void);
int cases_uuid(void);
int cases_forget(void);
int cases_questions(void);
int cases_storage(void);
int cases_full(void);
int cases_disk(void);
int cases_threads(void);
int cases_model(void);

#define RUN_CASES(topic, cases) kind_run(edges_kind.ops->name, topic, cases, sizeof(cases) / sizeof *(cases))

#endif
