/* SPDX-License-Identifier: Apache-2.0 */
/* vectors.c - plays every recorded vector: its pushes, then its queries, on one backend and one way in. On Redis
 * what is stored and told is compared as well (redis_dump.h).
 *
 * usage: golden_vectors BACKEND engine|http FOLDER. The clock stands at each event's own time while it is
 * pushed, and at a query's `now`, or the newest event, while it is asked. Each vector has a store of its own. */
#include "answer.h"
#include "backends/registry.h"
#include "call.h"
#include "check.h"
#include "folder.h"
#include "redis_dump.h"
#include "json/json_event.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VECTORS_EXPECTED = 101, VECTORS_OF_REDIS = 1, SWEEPS_MOST = 10000, SKIPPED = 77 };

/* One vector at play. */
typedef struct vector_play {
    const char *name;
    int64_t now_ms;
    int64_t latest_ms; /* the newest time of an event */
    utapi_backend *backend;
    utapi_engine *engine;
    identity *identity;
    http_service service;
    const json_t *operations;
    size_t differences;
} vector_play;

static const char *backend_name, *way, *folder;
static const char *redis_uri; /* NULL: another backend is tested */

static int64_t play_now_ms(void *ctx)
{
    return ((vector_play *)ctx)->now_ms;
}

static void differ(vector_play *play, size_t index, const char *what, const char *which)
{
    print_error("%s, %s %zu: %s\n", play->name, what, index, which);
    play->differences++;
}

/* ---- configuration ------------------------------------------------------------------------ */

static utapi_level_set levels_of(const json_t *config)
{
    const json_t *metrics = json_object_get(config, "metrics");
    if (metrics == NULL)
        return UTAPI_ALL_LEVELS;
    utapi_level_set levels = 0;
    for (size_t i = 0; i < json_array_size(metrics); i++) {
        utapi_level level;
        assert_true(utapi_level_find(utapi_string_of(json_string_value(json_array_get(metrics, i))), &level));
        levels |= UTAPI_LEVEL_BIT(level);
    }
    return levels;
}

static utapi_operation_set operations_of(const json_t *config)
{
    const json_t *enabled = json_object_get(config, "enabledOperationCounters");
    if (enabled == NULL)
        return json_is_true(json_object_get(config, "disableOperationCounters")) ? 0 : UTAPI_ALL_OPERATIONS;
    utapi_operation_set operations = 0;
    for (size_t i = 0; i < json_array_size(enabled); i++) {
        utapi_operation operation;
        if (utapi_operation_find(utapi_string_of(json_string_value(json_array_get(enabled, i))), &operation))
            operations |= UTAPI_OPERATION_BIT(operation);
    }
    return operations;
}

static utapi_engine_settings settings_of(const json_t *config, vector_play *play)
{
    utapi_engine_settings settings = utapi_engine_defaults;
    const char *component = json_string_value(json_object_get(config, "component"));
    settings.levels = levels_of(config);
    settings.operations = operations_of(config);
    settings.component = component != NULL ? component : settings.component;
    settings.expire_metrics = json_is_true(json_object_get(config, "expireMetrics"));
    settings.expire_ttl_ms = json_integer_value(json_object_get(config, "expireMetricsTTL")) * 1000;
    settings.clock = (utapi_clock){.wall_ms = play_now_ms, .monotonic_ms = play_now_ms, .ctx = play};
    return settings;
}

/* The accounts that a vector's queries name, as an identity file. */
static identity *identity_of(const json_t *vector, const char *data_dir)
{
    json_auto_t *accounts = json_array();
    json_auto_t *known = json_object();
    size_t i, j;
    json_t *query, *account;
    json_array_foreach (json_object_get(vector, "queries"), i, query) {
        json_array_foreach (json_object_get(query, "accounts"), j, account) {
            const char *id = json_string_value(json_object_get(account, "accountId"));
            const char *canonical_id = json_string_value(json_object_get(account, "canonicalId"));
            if (json_object_get(known, id) != NULL || strcmp(id, canonical_id) == 0)
                continue; /* one that nobody knows is taken as a canonical ID */
            json_object_set_new(known, id, json_true());
            json_array_append_new(accounts,
                                  json_pack("{s:s, s:s, s:s, s:O, s:s, s:[]}", "name", id, "email",
                                            "nobody@example.com", "arn", "arn:aws:iam::0:root", "canonicalID",
                                            json_object_get(account, "canonicalId"), "shortid", id, "keys"));
        }
    }
    json_auto_t *document = json_pack("{s:O}", "accounts", accounts);
    char path[512];
    snprintf(path, sizeof path, "%s/authdata.json", data_dir);
    assert_int_equal(json_dump_file(document, path, 0), 0);
    identity *loaded = NULL;
    utapi_error err;
    utapi_error_clear(&err);
    CHECK_OK(identity_load(path, &loaded, &err), &err);
    return loaded;
}

/* ---- pushes ------------------------------------------------------------------------------- */

static utapi_status push_to_engine(vector_play *play, utapi_string body, utapi_error *err)
{
    json_events events = {0};
    utapi_status status = json_events_read(JSON_EVENT_V1, body, 1, &events, err);
    if (status != UTAPI_OK)
        return status;
    status = utapi_engine_ingest(play->engine, events.events, events.count, err);
    json_events_done(&events);
    return status;
}

static utapi_status push_to_http(vector_play *play, utapi_string body, utapi_error *err)
{
    http_call call;
    support_call(&play->service, "POST", "/v1/push", NULL, 0, body, &call);
    const int http_status = call.reply.status;
    utapi_status status = UTAPI_OK;
    if (http_status != 200) {
        json_auto_t *answer = json_loadb(call.reply.body, call.reply.size, 0, NULL);
        const char *message = json_string_value(json_object_get(answer, "message"));
        assert_int_equal(http_status, 400);
        assert_string_equal(json_string_value(json_object_get(answer, "code")), "InvalidParameterValue");
        assert_memory_equal(message, "events[0].", 10);
        status = utapi_fail(err, UTAPI_INVALID, "%s", message + 10);
    }
    http_call_done(&call);
    return status;
}

static void push(vector_play *play, size_t index, const json_t *event)
{
    const char *refused = json_string_value(json_object_get(event, "refused"));
    const int64_t time_ms = json_integer_value(json_object_get(event, "timestamp"));
    if (time_ms > play->latest_ms)
        play->latest_ms = time_ms;
    play->now_ms = play->latest_ms;
    char *text = json_dumps(event, 0);
    utapi_error err;
    utapi_error_clear(&err);
    const utapi_status status = strcmp(way, "http") == 0 ? push_to_http(play, utapi_string_of(text), &err)
                                                         : push_to_engine(play, utapi_string_of(text), &err);
    free(text);
    if (refused == NULL ? status != UTAPI_OK
                        : status != UTAPI_INVALID || strncmp(err.detail, refused, strlen(refused)) != 0)
        differ(play, index, "push", err.detail);
}

/* ---- queries ------------------------------------------------------------------------------ */

enum { NAMES_MAX = 16 };

static utapi_string name_for_engine(const vector_play *play, utapi_level level, const char *name)
{
    const utapi_string asked = utapi_string_of(name);
    return level == UTAPI_ACCOUNTS ? identity_canonical_id(play->identity, asked) : asked;
}

static utapi_range range_of(const vector_play *play, const json_t *query)
{
    const json_t *bounds = json_object_get(query, "timeRange");
    if (bounds == NULL)
        return utapi_range_recent(play->now_ms);
    const int64_t start_ms = json_integer_value(json_array_get(bounds, 0));
    const int64_t end_ms = json_integer_value(json_array_get(bounds, 1));
    utapi_range range = {.start_ms = 0};
    utapi_error err;
    utapi_error_clear(&err);
    CHECK_OK(
        utapi_range_of(start_ms, json_array_size(bounds) == 2 ? &end_ms : NULL, play->now_ms, &range, &err),
        &err);
    return range;
}

static void list_from_engine(vector_play *play, size_t index, const json_t *query, utapi_level level)
{
    const json_t *resources = json_object_get(query, "resources");
    const json_t *expect = json_object_get(query, "expect");
    utapi_string names[NAMES_MAX];
    utapi_usage usages[NAMES_MAX];
    const size_t count = json_array_size(resources);
    assert_in_range(count, 1, NAMES_MAX);
    for (size_t i = 0; i < count; i++)
        names[i] = name_for_engine(play, level, json_string_value(json_array_get(resources, i)));
    const utapi_range range = range_of(play, query);
    utapi_error err;
    utapi_error_clear(&err);
    CHECK_OK(utapi_engine_list(play->engine, level, names, count, range, usages, &err), &err);
    for (size_t i = 0; i < count; i++) {
        const char *member = answer_differs_usage(json_array_get(expect, i), range, &usages[i]);
        if (member != NULL)
            differ(play, index, "query", member);
    }
}

static char *body_of(const json_t *query)
{
    json_auto_t *body = json_object();
    json_object_set(body, json_string_value(json_object_get(query, "level")),
                    json_object_get(query, "resources"));
    if (json_object_get(query, "timeRange") != NULL)
        json_object_set(body, "timeRange", json_object_get(query, "timeRange"));
    return json_dumps(body, 0);
}

static void list_from_http(vector_play *play, size_t index, const json_t *query)
{
    const json_t *expect = json_object_get(query, "expect");
    char target[64];
    snprintf(target, sizeof target, "/%s?Action=%s", json_string_value(json_object_get(query, "level")),
             json_string_value(json_object_get(query, "action")));
    char *body = body_of(query);
    http_call call;
    support_call(&play->service, "POST", target, NULL, 0, utapi_string_of(body), &call);
    free(body);
    assert_int_equal(call.reply.status, json_integer_value(json_object_get(query, "status")));
    json_auto_t *answer = json_loadb(call.reply.body, call.reply.size, 0, NULL);
    assert_int_equal(json_array_size(answer), json_array_size(expect));
    for (size_t i = 0; i < json_array_size(expect); i++) {
        const char *member =
            answer_differs_json(json_array_get(expect, i), play->operations, json_array_get(answer, i));
        if (member != NULL)
            differ(play, index, "query", member);
    }
    http_call_done(&call);
}

static int64_t storage_from_engine(vector_play *play, utapi_level level, const char *resource)
{
    int64_t bytes = -1;
    utapi_error err;
    utapi_error_clear(&err);
    CHECK_OK(utapi_engine_storage(play->engine, level, name_for_engine(play, level, resource), &bytes, &err),
             &err);
    return bytes;
}

static int64_t storage_from_http(vector_play *play, const char *level, const char *resource)
{
    char target[1024];
    size_t at = (size_t)snprintf(target, sizeof target, "/v2/storage/%s/", level);
    for (; *resource != '\0' && at + 4 < sizeof target; resource++)
        at += (size_t)snprintf(target + at, sizeof target - at, "%%%02X", (unsigned char)*resource);
    http_call call;
    support_call(&play->service, "GET", target, NULL, 0, (utapi_string){.size = 0}, &call);
    assert_int_equal(call.reply.status, 200);
    json_auto_t *answer = json_loadb(call.reply.body, call.reply.size, 0, NULL);
    http_call_done(&call);
    return json_integer_value(json_object_get(answer, "storageUtilized"));
}

static void ask(vector_play *play, size_t index, const json_t *query)
{
    const char *level_name = json_string_value(json_object_get(query, "level"));
    utapi_level level = UTAPI_BUCKETS;
    assert_true(utapi_level_find(utapi_string_of(level_name), &level));
    const json_t *now = json_object_get(query, "now");
    play->now_ms = now != NULL ? json_integer_value(now) : play->latest_ms;
    const bool over_http = strcmp(way, "http") == 0;
    if (json_is_true(json_object_get(query, "storage"))) {
        const char *resource = json_string_value(json_object_get(query, "resource"));
        const int64_t bytes = over_http ? storage_from_http(play, level_name, resource)
                                        : storage_from_engine(play, level, resource);
        if (bytes != json_integer_value(json_object_get(query, "expect")))
            differ(play, index, "storage of", resource);
    } else if (over_http) {
        list_from_http(play, index, query);
    } else {
        list_from_engine(play, index, query, level);
    }
}

/* ---- the play ----------------------------------------------------------------------------- */

/* What is deleted in the background must be gone before keys are compared. */
static void compare_redis(vector_play *play, const json_t *vector)
{
    utapi_error err;
    utapi_error_clear(&err);
    for (int i = 0; i < SWEEPS_MOST && redis_dump_sweeps_left() > 0; i++)
        CHECK_OK(utapi_backend_maintain(play->backend, play->now_ms, play->now_ms, &err), &err);
    play->differences += redis_dump_compare(play->name, vector);
}

static size_t play_vector(const char *name, const json_t *vector, const json_t *operations)
{
    char data_dir[256];
    support_folder_make(data_dir);
    vector_play play = {.name = name, .operations = operations};
    utapi_error err;
    utapi_error_clear(&err);
    const utapi_backend_options options = {.location = redis_uri != NULL ? redis_uri : data_dir,
                                           .dedup_window_ms = 86400000};
    const utapi_engine_settings settings = settings_of(json_object_get(vector, "config"), &play);
    CHECK_OK(utapi_backend_open(utapi_registry_find(backend_name), &options, &play.backend, &err), &err);
    CHECK_OK(utapi_engine_new(play.backend, &settings, &play.engine, &err), &err);
    play.identity = identity_of(vector, data_dir);
    play.service = (http_service){.engine = play.engine,
                                  .identity = play.identity,
                                  .ingest_max_events = 10,
                                  .ingest_max_bytes = 65536,
                                  .list_max_bytes = 1048576,
                                  .list_max_names = NAMES_MAX};
    size_t i;
    json_t *element;
    if (redis_uri != NULL)
        redis_dump_begin(vector);
    json_array_foreach (json_object_get(vector, "pushes"), i, element)
        push(&play, i, element);
    if (redis_uri != NULL)
        compare_redis(&play, vector);
    json_array_foreach (json_object_get(vector, "queries"), i, element)
        ask(&play, i, element);

    utapi_engine_free(play.engine);
    utapi_backend_close(play.backend);
    identity_free(play.identity);
    support_folder_remove(data_dir);
    return play.differences;
}

static json_t *load(const char *relative)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, relative);
    json_error_t why;
    json_t *document = json_load_file(path, 0, &why);
    if (document == NULL)
        fail_msg("%s: %s", path, why.text);
    return document;
}

static json_t *load_operations(void)
{
    json_auto_t *document = load("operations.json");
    json_t *operations = json_array();
    json_array_extend(operations, json_object_get(document, "v1"));
    json_array_extend(operations, json_object_get(document, "v2only"));
    return operations;
}

static int is_vector(const struct dirent *entry)
{
    const size_t length = strlen(entry->d_name);
    return length > 5 && strcmp(entry->d_name + length - 5, ".json") == 0;
}

static void every_vector_answers_as_it_expects(void **state)
{
    (void)state;
    json_auto_t *operations = load_operations();
    char path[1024];
    snprintf(path, sizeof path, "%s/vectors", folder);
    struct dirent **entries;
    const int count = scandir(path, &entries, is_vector, alphasort);
    size_t played = 0, of_redis = 0, differences = 0;
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof path, "vectors/%s", entries[i]->d_name);
        json_auto_t *vector = load(path);
        if (json_object_get(vector, "redisSetup") != NULL && redis_uri == NULL) {
            of_redis++; /* starts from Redis commands: nothing for other backends */
        } else {
            differences += play_vector(entries[i]->d_name, vector, operations);
            played++;
        }
        free(entries[i]);
    }
    free(entries);
    assert_int_equal(played, VECTORS_EXPECTED + (redis_uri != NULL ? VECTORS_OF_REDIS : 0));
    assert_int_equal(played + of_redis, VECTORS_EXPECTED + VECTORS_OF_REDIS);
    assert_int_equal(differences, 0);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: golden_vectors BACKEND engine|http FOLDER\n");
        return 2;
    }
    backend_name = argv[1];
    way = argv[2];
    folder = argv[3];
    if (strcmp(backend_name, "redis") == 0 && (redis_uri = redis_dump_start()) == NULL) {
        fprintf(stderr, "no redis-server on this machine\n");
        return SKIPPED;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_vector_answers_as_it_expects)};
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (redis_uri != NULL)
        redis_dump_stop();
    return failed;
}
