/* SPDX-License-Identifier: Apache-2.0 */
/* contract.c - the main of the suite (usage: contract BACKEND) and its words. */
#include "contract.h"

#include "folder.h"
#include "kinds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const utapi_backend_ops *kind;

int contract_setup(void **state)
{
    contract *c = calloc(1, sizeof *c);
    assert_non_null(c);
    c->kind = kind;
    support_folder_make(c->folder);
    c->options = (utapi_backend_options){.location = c->folder, .dedup_window_ms = DAY};
    c->now_ms = c->accepted_ms = T0 + DAY;
    CHECK_OK(utapi_backend_open(kind, &c->options, &c->backend, &c->err), &c->err);
    *state = c;
    return 0;
}

int contract_teardown(void **state)
{
    contract *c = *state;
    utapi_backend_close(c->backend);
    support_folder_remove(c->folder);
    free(c);
    return 0;
}

void contract_reopen(contract *c)
{
    utapi_backend_close(c->backend);
    c->backend = NULL;
    CHECK_OK(utapi_backend_open(c->kind, &c->options, &c->backend, &c->err), &c->err);
}

bool contract_is_durable(const contract *c)
{
    return strstr(c->kind->name, "memory") == NULL;
}

utapi_entry put(const char *bucket, int64_t time_ms, int64_t bytes)
{
    return (utapi_entry){
        .time_ms = time_ms,
        .resource = {[UTAPI_BUCKETS] = utapi_string_of(bucket), [UTAPI_SERVICE] = utapi_string_of("s3")},
        .operation = UTAPI_OP_PUT_OBJECT,
        .delta = {[UTAPI_STORAGE_UTILIZED] = bytes,
                  [UTAPI_NUMBER_OF_OBJECTS] = 1,
                  [UTAPI_INCOMING_BYTES] = bytes > 0 ? bytes : 0},
    };
}

utapi_entry put_with_uuid(const char *uuid, const char *bucket, int64_t time_ms, int64_t bytes)
{
    utapi_entry entry = put(bucket, time_ms, bytes);
    entry.uuid = utapi_string_of(uuid);
    entry.uuid_time_ms = time_ms;
    return entry;
}

utapi_entry forget_bucket(const char *bucket, int64_t time_ms)
{
    utapi_entry entry = put(bucket, time_ms, 0);
    entry.operation = UTAPI_OP_DELETE_BUCKET;
    entry.delta[UTAPI_NUMBER_OF_OBJECTS] = 0;
    entry.expiry = UTAPI_EXPIRE_NOW;
    return entry;
}

utapi_status apply(contract *c, const utapi_entry *entries, size_t count)
{
    const utapi_batch batch = {
        .entries = entries, .count = count, .now_ms = c->now_ms, .accepted_ms = c->accepted_ms};
    utapi_applied applied;
    return utapi_backend_apply(c->backend, &batch, &applied, &c->err);
}

utapi_status apply_one(contract *c, utapi_entry entry)
{
    return apply(c, &entry, 1);
}

utapi_usage usage_at(contract *c, utapi_level level, utapi_string name, utapi_interval start,
                     utapi_interval end)
{
    const utapi_query query = {.level = level, .names = &name, .count = 1, .start = start, .end = end};
    utapi_usage usage;
    CHECK_OK(utapi_backend_read(c->backend, &query, &usage, NULL, &c->err), &c->err);
    return usage;
}

utapi_usage usage_ever(contract *c, const char *bucket)
{
    return usage_at(c, UTAPI_BUCKETS, utapi_string_of(bucket), 0, T0 + 1000 * DAY);
}

int64_t bytes_at(contract *c, const char *bucket, utapi_interval interval)
{
    return usage_at(c, UTAPI_BUCKETS, utapi_string_of(bucket), interval, interval).storage_utilized[1];
}

static int run(const char *topic, const struct CMUnitTest *cases)
{
    size_t count = 0;
    while (cases[count].name != NULL)
        count++;
    return kind_run(kind->name, topic, cases, count);
}

int main(int argc, char **argv)
{
    kind = argc == 2 ? kind_find(argv[1]) : NULL;
    if (kind == NULL) {
        fprintf(stderr, "usage: contract BACKEND\n");
        return 2;
    }
    int failed = run("counting", contract_counting) + run("uuids", contract_uuids) +
                 run("forgetting", contract_forgetting) + run("life", contract_life);
    if (strcmp(kind->name, "memory") != 0) /* it is the model's oracle */
        failed += run("model", contract_model);
    kind_done();
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
