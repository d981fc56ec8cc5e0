/* SPDX-License-Identifier: Apache-2.0 */
/* test_utapis_files.c - config_load(): the files of Utapi and CloudServer, Redis and the journal that they ask for. */
#include "settings.h"

static const char *examples; /* docs/examples */

static const char cloudserver[] =
    "{\"port\": 8000, \"clusters\": 10, \"restEndpoints\": {\"localhost\": \"us-east-1\"},"
    " \"log\": {\"logLevel\": \"trace\"}, \"vaultd\": {\"host\": \"localhost\"},"
    " \"localCache\": {\"host\": \"localhost\", \"port\": 6379},"
    " \"healthChecks\": {\"allowFrom\": [\"10.0.0.1\"]},"
    " \"utapi\": {\"workers\": 1, \"port\": 8101, \"redis\": {\"port\": 6379}%s}}";

static void cloudservers_file_is_read_for_its_utapi_object(void **state)
{
    settings s = {0};
    char json[1024];
    (void)state;
    (void)snprintf(json, sizeof json, cloudserver,
                   ", \"backend\": \"memory\", \"log\": {\"dumpLevel\": \"error\"}");
    settings_write(&s, json);
    CHECK_OK(settings_load(&s), &s.err);
    assert_int_equal(s.config.port, 8101);
    assert_int_equal(s.config.workers, 1);
    assert_string_equal(config_log_levels[s.config.log_level], "info"); /* CloudServer keeps its own */
    assert_true(settings_allow(&s.config.health_allow, "10.0.0.1"));
    assert_string_equal(s.config.ignored, "utapi.log.dumpLevel, vaultd, utapi.redis, localCache");
    settings_done(&s);
}

/* As it comes with a CloudServer: Utapi is not in it. */
static void cloudservers_file_needs_no_utapi_object(void **state)
{
    settings s = {0};
    (void)state;
    settings_write(&s, "{\"port\": 8000, \"listenOn\": [], \"restEndpoints\": {\"localhost\": \"us-east-1\"},"
                       " \"clusters\": 10, \"bucketd\": {\"bootstrap\": [\"localhost\"]}}");
    CHECK_OK(settings_load(&s), &s.err);
    assert_int_equal(s.config.port, 8100);
    assert_string_equal(s.config.backend, "lmdb");
    settings_done(&s);
    settings_write(&s, "{\"restEndpoints\": {}, \"websiteEndpoints\": [], \"redis\": {\"host\": \"h\"}}");
    CHECK_OK(settings_load(&s), &s.err);
    assert_string_equal(s.config.redis_uri, "redis://h:6379?connectTimeout=2000&timeout=5000&prefix=s3");
    settings_done(&s);
}

static void a_build_without_redis_says_so_and_tells_of_backend(void **state)
{
    static const char *const backends[] = {"lmdb", "memory", NULL};
    settings s = {0};
    (void)state;
    settings_write(&s, "{\"redis\": {\"host\": \"127.0.0.1\", \"port\": 6379}}");
    const config_inputs inputs = {.file = s.path, .flags = s.flags, .backends = backends};
    CHECK_STATUS(UTAPI_INVALID, config_load(&inputs, &s.config, &s.err), &(utapi_error){0});
    assert_non_null(strstr(s.err.detail, "redis asks for Redis"));
    assert_non_null(strstr(s.err.detail, "\"backend\" or --backend: lmdb, memory"));
    assert_int_equal(setenv("UTAPI_BACKEND", "lmdb", 1), 0);
    CHECK_OK(config_load(&inputs, &s.config, &s.err), &s.err);
    assert_string_equal(s.config.ignored, "redis");
    settings_done(&s);
}

static void a_file_that_names_a_backend_keeps_it(void **state)
{
    settings s = {0};
    char json[1024];
    (void)state;
    (void)snprintf(json, sizeof json, cloudserver, "");
    settings_write(&s, json);
    settings_flag(&s, "backend", "memory");
    CHECK_OK(settings_load(&s), &s.err);
    assert_string_equal(s.config.backend, "memory");
    assert_null(s.config.redis_uri);
    assert_null(s.config.local_cache_uri);
    assert_false(s.config.journal_enabled);
    settings_done(&s);
}

static void cloudservers_file_is_enough_for_redis(void **state)
{
    settings s = {0};
    char json[1024];
    (void)state;
    (void)snprintf(json, sizeof json, cloudserver, "");
    settings_write(&s, json);
    CHECK_OK(settings_load(&s), &s.err);
    assert_string_equal(s.config.backend, "redis");
    assert_string_equal(s.config.redis_uri,
                        "redis://127.0.0.1:6379?connectTimeout=2000&timeout=5000&prefix=s3");
    assert_string_equal(s.config.local_cache_uri, "redis://localhost:6379");
    assert_string_equal(s.config.ignored, "vaultd");
    assert_true(s.config.journal_enabled);
    assert_string_equal(s.config.journal_path, "/state/utapi/journal");
    settings_done(&s);
}

/* A file, and the URI that its keys make. */
static const char *const redis_uris[][2] = {
    {"{\"redis\": {}}", "redis://127.0.0.1:6379?connectTimeout=2000&timeout=5000&prefix=s3"},
    {"{\"backend\": \"redis\"}", "redis://127.0.0.1:6379?connectTimeout=2000&timeout=5000&prefix=s3"},
    {"{\"redis\": {\"host\": \"::1\", \"port\": 6380, \"password\": \"\"}}",
     "redis://[::1]:6380?connectTimeout=2000&timeout=5000&prefix=s3"},
    {"{\"component\": \"a&b=c\", \"redis\": {\"password\": \"p@:/?#% \\u00e9\", \"username\": \"u:\", \"db\": 3}}",
     "redis://u%3A:p%40%3A%2F%3F%23%25%20%C3%A9@127.0.0.1:6379?database=3&connectTimeout=2000&timeout=5000"
     "&prefix=a%26b%3Dc"},
    {"{\"redis\": {\"path\": \"/run/redis server.sock\", \"host\": \"elsewhere\", \"timeout\": 7, "
     "\"connectTimeout\": 8}}",
     "redis+unix:///run/redis%20server.sock?connectTimeout=8&timeout=7&prefix=s3"},
    {"{\"redis\": {\"sentinels\": [{\"host\": \"a\", \"port\": 1}, {\"host\": \"::2\"}, \"c:3\"], \"name\": \"m/y\","
     " \"password\": \"p\", \"sentinelPassword\": \"s p\"}}",
     "redis-sentinel://:p@a:1,[::2]:26379,c:3/m%2Fy?connectTimeout=2000&timeout=5000&sentinelPassword=s%20p&prefix=s3"},
    {"{\"redis\": {\"sentinels\": \"a:1, [::2]:2,c\", \"name\": \"n\"}}",
     "redis-sentinel://a:1,[::2]:2,c:26379/n?connectTimeout=2000&timeout=5000&prefix=s3"},
    {"{\"component\": \"s4\", \"redis\": {\"url\": \"redis://h\", \"host\": \"other\", \"sentinels\": \"a:1\"}}",
     "redis://h?prefix=s4"},
    {"{\"redis\": {\"url\": \"redis://h/2?timeout=5\"}}", "redis://h/2?timeout=5&prefix=s3"},
    {"{\"redis\": {\"url\": \"redis://h?timeout=5&prefix=x\"}}", "redis://h?timeout=5&prefix=x"},
    {"{\"redis\": {\"url\": \"redis://h?prefix=x\"}}", "redis://h?prefix=x"},
    /* As a whole, the object beside `utapi` wins. */
    {"{\"utapi\": {\"redis\": {\"sentinels\": \"a:1\", \"name\": \"n\", \"password\": \"p\"}},"
     " \"redis\": {\"host\": \"h\", \"retry\": {\"connectBackoff\": {\"min\": 10}}}}",
     "redis://h:6379?connectTimeout=2000&timeout=5000&prefix=s3"},
};

static void keys_of_redis_become_one_uri(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof redis_uris / sizeof *redis_uris; i++) {
        settings s = {0};
        settings_write(&s, redis_uris[i][0]);
        CHECK_OK(settings_load(&s), &s.err);
        assert_string_equal(s.config.backend, "redis");
        assert_string_equal(s.config.redis_uri, redis_uris[i][1]);
        settings_done(&s);
    }
}

static void a_flag_or_a_variable_alone_selects_redis(void **state)
{
    settings s = {0};
    (void)state;
    settings_flag(&s, "redis.url", "redis+unix:///tmp/redis.sock");
    CHECK_OK(settings_load(&s), &s.err);
    assert_string_equal(s.config.backend, "redis");
    assert_string_equal(s.config.redis_uri, "redis+unix:///tmp/redis.sock?prefix=s3");
    settings_done(&s);

    assert_int_equal(setenv("UTAPI_REDIS_SENTINELS", "a:1,b:2", 1), 0);
    assert_int_equal(setenv("UTAPI_REDIS_NAME", "n", 1), 0);
    assert_int_equal(setenv("UTAPI_REDIS_CACHE_HOST", "c", 1), 0);
    CHECK_OK(settings_load(&s), &s.err);
    assert_string_equal(s.config.redis_uri,
                        "redis-sentinel://a:1,b:2/n?connectTimeout=2000&timeout=5000&prefix=s3");
    assert_string_equal(s.config.local_cache_uri, "redis://c:6379");
    settings_done(&s);

    settings_clear_environment();
    assert_int_equal(setenv("UTAPI_REDIS_PASSWORD", "p", 1), 0); /* says nothing of where */
    CHECK_OK(settings_load(&s), &s.err);
    assert_string_equal(s.config.backend, "lmdb");
    settings_done(&s);
}

static void no_message_repeats_a_password(void **state)
{
    static const char *const files[] = {
        "{\"redis\": {\"url\": \"rediss://user:geheim@host\"}}",
        "{\"redis\": {\"password\": [\"geheim\"]}}",
        "{\"redis\": {\"sentinelPassword\": {\"geheim\": 1}}}",
        "{\"redis\": {\"url\": [\"geheim\"]}}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        settings s = {0};
        settings_write(&s, files[i]);
        CHECK_STATUS(UTAPI_INVALID, settings_load(&s), &(utapi_error){0});
        assert_null(strstr(s.err.detail, "geheim"));
        settings_done(&s);
    }
}

static void a_journal_is_asked_for_or_comes_with_redis(void **state)
{
    settings s = {0};
    (void)state;
    settings_write(
        &s, "{\"journal\": {\"enabled\": true, \"path\": \"j\", \"maxSize\": \"8 MiB\", \"keep\": 60}}");
    CHECK_OK(settings_load(&s), &s.err);
    assert_true(s.config.journal_enabled);
    assert_string_equal(s.config.journal_path, "/tmp/j");
    assert_int_equal(s.config.journal_bytes, 8 << 20);
    assert_int_equal(s.config.journal_keep_s, 60);
    settings_done(&s);

    settings_write(&s, "{\"lmdb\": {\"path\": \"/data\"}}");
    CHECK_OK(settings_load(&s), &s.err);
    assert_false(s.config.journal_enabled);
    assert_string_equal(s.config.journal_path, "/data/journal");
    settings_done(&s);
}

static void keys_of_utapi_that_mean_nothing_here_are_told(void **state)
{
    settings s = {0};
    (void)state;
    settings_write(&s, "{\"cacheBackend\": \"memory\", \"localCache\": {}, \"metrics\": {\"enabled\": true},"
                       " \"snapshotSchedule\": \"5 0 * * * *\"}");
    CHECK_OK(settings_load(&s), &s.err);
    assert_string_equal(s.config.ignored, "cacheBackend, metrics, snapshotSchedule, localCache");
    settings_done(&s);
}

static void the_examples_are_valid(void **state)
{
    static const char *const files[] = {"utapid.json", "utapid-redis.json", "cloudserver-config.json"};
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        settings s = {0};
        char path[512];
        (void)snprintf(path, sizeof path, "%s/%s", examples, files[i]);
        const config_inputs inputs = {.file = path, .flags = s.flags, .backends = settings_backends};
        CHECK_OK(config_load(&inputs, &s.config, &s.err), &s.err);
        assert_int_equal(access(s.config.auth_file, R_OK), 0);
        settings_done(&s);
    }
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        SETTINGS_CASE(cloudservers_file_is_read_for_its_utapi_object),
        SETTINGS_CASE(cloudservers_file_needs_no_utapi_object),
        SETTINGS_CASE(a_build_without_redis_says_so_and_tells_of_backend),
        SETTINGS_CASE(a_file_that_names_a_backend_keeps_it),
        SETTINGS_CASE(cloudservers_file_is_enough_for_redis),
        SETTINGS_CASE(keys_of_redis_become_one_uri),
        SETTINGS_CASE(a_flag_or_a_variable_alone_selects_redis),
        SETTINGS_CASE(no_message_repeats_a_password),
        SETTINGS_CASE(a_journal_is_asked_for_or_comes_with_redis),
        SETTINGS_CASE(keys_of_utapi_that_mean_nothing_here_are_told),
        SETTINGS_CASE(the_examples_are_valid),
    };
    examples = argc > 1 ? argv[1] : ".";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
