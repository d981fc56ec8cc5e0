/* SPDX-License-Identifier: Apache-2.0 */
/* test_config.c - config_load(): where settings come from, what is refused and how that is said. */
#include "settings.h"

#include "config/value.h"

/* ---- precedence --------------------------------------------------------------------------- */

static void without_anything_defaults_hold(void **state)
{
    settings s = {0};
    (void)state;
    CHECK_OK(settings_load(&s), &s.err);
    assert_int_equal(s.config.port, 8100);
    assert_string_equal(s.config.bind, "127.0.0.1");
    assert_string_equal(s.config.backend, "lmdb");
    assert_string_equal(s.config.data_dir, "/state/utapi");
    assert_true(s.config.auth_enabled);
    assert_null(s.config.auth_file);
    assert_int_equal(s.config.levels, UTAPI_ALL_LEVELS);
    assert_true(s.config.operations == UTAPI_ALL_OPERATIONS);
    assert_int_equal(s.config.dedup_window_s, 86400);
    assert_int_equal(s.config.max_body_bytes, 64 << 20);
    assert_in_range(s.config.workers, 1, 8);
    assert_null(s.config.ignored);
    settings_done(&s);
}

static void root_keeps_its_data_in_var_lib(void **state)
{
    settings s = {0};
    const config_inputs inputs = {.flags = s.flags, .backends = settings_backends, .is_root = true};
    (void)state;
    CHECK_OK(config_load(&inputs, &s.config, &s.err), &s.err);
    assert_string_equal(s.config.data_dir, "/var/lib/utapi");
    settings_done(&s);
}

static void without_xdg_state_home_the_data_is_in_the_home_folder(void **state)
{
    settings s = {0};
    (void)state;
    assert_int_equal(setenv("XDG_STATE_HOME", "relative/does/not/count", 1), 0);
    assert_int_equal(setenv("HOME", "/home/somebody", 1), 0);
    CHECK_OK(settings_load(&s), &s.err);
    assert_string_equal(s.config.data_dir, "/home/somebody/.local/state/utapi");
    settings_done(&s);
}

static void flag_beats_environment_beats_file_beats_default(void **state)
{
    settings s = {0};
    (void)state;
    settings_write(&s, "{\"port\": 1001}");
    CHECK_OK(settings_load(&s), &s.err);
    assert_int_equal(s.config.port, 1001);
    config_done(&s.config);

    assert_int_equal(setenv("UTAPI_PORT", "1002", 1), 0);
    CHECK_OK(settings_load(&s), &s.err);
    assert_int_equal(s.config.port, 1002);
    config_done(&s.config);

    settings_flag(&s, "port", "1003");
    CHECK_OK(settings_load(&s), &s.err);
    assert_int_equal(s.config.port, 1003);
    settings_done(&s);
}

static void the_environment_may_name_the_file(void **state)
{
    settings s = {0};
    (void)state;
    settings_write(&s, "{\"component\": \"s4\"}");
    assert_int_equal(setenv("UTAPI_CONFIG_FILE", s.path, 1), 0);
    const config_inputs inputs = {.flags = s.flags, .backends = settings_backends};
    CHECK_OK(config_load(&inputs, &s.config, &s.err), &s.err);
    assert_string_equal(s.config.component, "s4");
    settings_done(&s);
}

static void an_empty_variable_is_not_set(void **state)
{
    settings s = {0};
    (void)state;
    assert_int_equal(setenv("UTAPI_PORT", "", 1), 0);
    assert_int_equal(setenv("UTAPI_CONFIG_FILE", "", 1), 0);
    CHECK_OK(settings_load(&s), &s.err);
    assert_int_equal(s.config.port, 8100);
    settings_done(&s);
}

static void auth_is_switched_off_as_in_utapi(void **state)
{
    settings s = {0};
    (void)state;
    assert_int_equal(setenv("UTAPI_AUTH", "false", 1), 0);
    CHECK_OK(settings_load(&s), &s.err);
    assert_false(s.config.auth_enabled);
    settings_done(&s);
}

static void lists_in_the_environment_are_separated_by_commas(void **state)
{
    settings s = {0};
    (void)state;
    assert_int_equal(setenv("UTAPI_METRICS", "buckets, location", 1), 0);
    assert_int_equal(setenv("UTAPI_ENABLED_OPERATION_COUNTERS", "putobject", 1), 0);
    CHECK_OK(settings_load(&s), &s.err);
    assert_int_equal(s.config.levels, UTAPI_LEVEL_BIT(UTAPI_BUCKETS) | UTAPI_LEVEL_BIT(UTAPI_LOCATIONS));
    assert_true(s.config.operations == UTAPI_OPERATION_BIT(UTAPI_OP_PUT_OBJECT));
    settings_done(&s);
}

/* ---- meanings ----------------------------------------------------------------------------- */

static void health_checks_are_allowed_from_loopback_too(void **state)
{
    settings s = {0};
    (void)state;
    settings_write(&s, "{\"healthChecks\": {\"allowFrom\": [\"10.0.0.0/8\"]},"
                       " \"ingest\": {\"allowFrom\": [\"10.0.0.0/8\"]}}");
    CHECK_OK(settings_load(&s), &s.err);
    assert_true(settings_allow(&s.config.health_allow, "127.0.0.1"));
    assert_true(settings_allow(&s.config.health_allow, "10.1.2.3"));
    assert_false(
        settings_allow(&s.config.ingest_allow, "127.0.0.1")); /* a list of ours replaces the default */
    assert_true(settings_allow(&s.config.ingest_allow, "10.1.2.3"));
    assert_true(settings_allow(&s.config.storage_allow, "127.0.0.1"));
    settings_done(&s);
}

static void sizes_may_have_a_unit(void **state)
{
    static const struct {
        const char *text;
        int64_t bytes;
    } cases[] = {
        {"\"2KiB\"", 2048}, {"\"2 MiB\"", 2 << 20}, {"4096", 4096}, {"\"4096\"", 4096}, {"\"4096 B\"", 4096}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        settings s = {0};
        char json[96];
        (void)snprintf(json, sizeof json, "{\"limits\": {\"maxBodyBytes\": %s}}", cases[i].text);
        settings_write(&s, json);
        CHECK_OK(settings_load(&s), &s.err);
        assert_int_equal(s.config.max_body_bytes, cases[i].bytes);
        settings_done(&s);
    }
}

static void a_time_is_a_date_or_ms(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } times[] = {{"2006-03-14", 1142294400000},
                 {"2006-03-14T00:00Z", 1142294400000},
                 {"2006-03-14T00:01:02Z", 1142294462000},
                 {"1142294400001", 1142294400001},
                 {"0", 0},
                 {"2024-02-29", 1709164800000}};
    static const char *const wrong[] = {"2006-02-30",  "2006-03-14T00:00", "yesterday", "-1",
                                        "2006-03-14 ", "9999-01-01",       "12x"};
    settings s = {0};
    (void)state;
    CHECK_OK(settings_load(&s), &s.err);
    assert_int_equal(s.config.earliest_ms, 1142294400000);
    config_done(&s.config);
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        assert_int_equal(setenv("UTAPI_EARLIEST", times[i].text, 1), 0);
        CHECK_OK(settings_load(&s), &s.err);
        assert_int_equal(s.config.earliest_ms, times[i].ms);
        config_done(&s.config);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(setenv("UTAPI_EARLIEST", wrong[i], 1), 0);
        CHECK_STATUS(UTAPI_INVALID, settings_load(&s), &s.err);
    }
    assert_int_equal(unsetenv("UTAPI_EARLIEST"), 0);
    settings_write(&s, "{\"limits\": {\"earliest\": \"2006-03-14T00:01Z\"}}");
    CHECK_OK(settings_load(&s), &s.err);
    assert_int_equal(s.config.earliest_ms, 1142294460000);
    config_done(&s.config);
    settings_write(&s, "{\"limits\": {\"earliest\": 7}}");
    CHECK_OK(settings_load(&s), &s.err);
    assert_int_equal(s.config.earliest_ms, 7);
    settings_done(&s);
}

static void enabled_operations_win_over_disabled_ones(void **state)
{
    settings s = {0};
    (void)state;
    settings_write(&s, "{\"disableOperationCounters\": true, \"enabledOperationCounters\": [\"PUTOBJECT\"]}");
    CHECK_OK(settings_load(&s), &s.err);
    assert_true(s.config.operations == UTAPI_OPERATION_BIT(UTAPI_OP_PUT_OBJECT));
    settings_done(&s);

    settings_write(&s, "{\"disableOperationCounters\": true, \"enabledOperationCounters\": []}");
    CHECK_OK(settings_load(&s), &s.err);
    assert_true(s.config.operations == 0);
    settings_done(&s);
}

static void operations_that_nobody_knows_are_kept_for_a_warning(void **state)
{
    settings s = {0};
    (void)state;
    settings_write(&s, "{\"enabledOperationCounters\": [\"PutObjects\", \"getObject\", \"\"]}");
    CHECK_OK(settings_load(&s), &s.err);
    assert_true(s.config.operations == UTAPI_OPERATION_BIT(UTAPI_OP_GET_OBJECT));
    assert_string_equal(s.config.enabled_operations.unknown, "\"PutObjects\", \"\"");
    settings_done(&s);

    /* The list wins, whatever stands in it. */
    settings_write(&s, "{\"enabledOperationCounters\": [\"PutObjects\"]}");
    CHECK_OK(settings_load(&s), &s.err);
    assert_true(s.config.operations == 0);
    settings_done(&s);

    assert_int_equal(setenv("UTAPI_ENABLED_OPERATION_COUNTERS", "GetObject,,Other", 1), 0);
    CHECK_OK(settings_load(&s), &s.err);
    assert_true(s.config.operations == UTAPI_OPERATION_BIT(UTAPI_OP_GET_OBJECT));
    assert_string_equal(s.config.enabled_operations.unknown, "\"\", \"Other\"");
    settings_done(&s);
}

static void relative_paths_start_from_the_files_folder(void **state)
{
    settings s = {0};
    (void)state;
    settings_write(&s, "{\"auth\": {\"file\": \"authdata.json\"}, \"lmdb\": {\"path\": \"/data\"}}");
    CHECK_OK(settings_load(&s), &s.err);
    assert_string_equal(s.config.auth_file, "/tmp/authdata.json");
    assert_string_equal(s.config.data_dir, "/data");
    settings_done(&s);
}

/* ---- what is refused ---------------------------------------------------------------------- */

/* A file, and what the sentence that refuses it must contain. */
static const char *const refused_files[][2] = {
    {"{\"port\": 65536}", "port: expected a whole number from 0 to 65535, not 65536"},
    {"{\"port\": -1}", "port: expected a whole number from 0 to 65535, not -1"},
    {"{\"port\": 8100.0}", "port: expected a whole number"},
    {"{\"port\": \"8100\"}", "port: expected a whole number"},
    {"{\"port\": null}", "port: expected a whole number"},
    {"{\"workers\": 0}", "workers: expected a whole number from 1 to 256, not 0"},
    {"{\"bind\": \"localhost\"}", "bind: expected an IPv4 or IPv6 address, not \"localhost\""},
    {"{\"bind\": 1}", "bind: expected an IPv4 or IPv6 address"},
    {"{\"backend\": \"mysql\"}",
     "backend: this build cannot store in \"mysql\"; choose one of: lmdb, memory, redis"},
    {"{\"backend\": \"\"}", "backend: expected a text of 1 to 255 bytes"},
    {"{\"lmdb\": {\"path\": \"\"}}", "lmdb.path: expected a path"},
    {"{\"lmdb\": {\"path\": []}}", "lmdb.path: expected a path"},
    {"{\"lmdb\": \"here\"}", "lmdb: expected an object"},
    {"{\"lmdb\": {\"mapSize\": \"64 GB\"}}", "lmdb.mapSize: expected a size"},
    {"{\"lmdb\": {\"mapSize\": \"64 Gi B\"}}", "lmdb.mapSize: expected a size"},
    {"{\"lmdb\": {\"mapSize\": -1}}", "lmdb.mapSize: expected a size from 0"},
    {"{\"lmdb\": {\"mapSize\": \"9999999999999 TiB\"}}", "lmdb.mapSize: expected a size that fits 64 bits"},
    {"{\"lmdb\": {\"mapSize\": true}}", "lmdb.mapSize: expected a size"},
    {"{\"dedupWindow\": -1}", "dedupWindow: expected a whole number"},
    {"{\"auth\": {\"enabled\": \"no\"}}", "auth.enabled: expected true or false"},
    {"{\"auth\": {\"file\": 7}}", "auth.file: expected a path"},
    {"{\"auth\": {\"payloadHash\": \"lax\"}}",
     "auth.payloadHash: expected one of \"strict\", \"compatible\", not \"lax\""},
    {"{\"healthChecks\": {\"allowFrom\": [\"::1\", \"10.0.0.0/64\"]}}",
     "healthChecks.allowFrom[1]: \"10.0.0.0/64\""},
    {"{\"healthChecks\": {\"allowFrom\": [\"::1\", 5]}}", "healthChecks.allowFrom[1]: expected a text"},
    {"{\"healthChecks\": {\"allowFrom\": \"::1\"}}", "healthChecks.allowFrom: expected an array"},
    {"{\"ingest\": {\"allowFrom\": [\"\"]}}", "ingest.allowFrom[0]:"},
    {"{\"storage\": {\"allowFrom\": {}}}", "storage.allowFrom: expected an array"},
    {"{\"metrics\": [\"buckets\", \"bucket\"]}", "metrics[1]: expected buckets, accounts"},
    {"{\"metrics\": []}", "metrics: expected at least one level"},
    {"{\"component\": \"\"}", "component: expected a text of 1 to 255 bytes"},
    {"{\"disableOperationCounters\": 1}", "disableOperationCounters: expected true or false"},
    {"{\"enabledOperationCounters\": [1]}", "enabledOperationCounters[0]: expected a text"},
    {"{\"expireMetrics\": \"true\"}", "expireMetrics: expected true or false"},
    {"{\"expireMetricsTTL\": 1.5}", "expireMetricsTTL: expected a whole number"},
    {"{\"log\": {\"logLevel\": \"loud\"}}", "log.logLevel: expected one of \"trace\""},
    {"{\"limits\": {\"maxEvents\": 0}}", "limits.maxEvents: expected a whole number from 1"},
    {"{\"limits\": {\"maxBodyBytes\": 10}}", "limits.maxBodyBytes: expected a size from 1024"},
    {"{\"limits\": {\"maxListBytes\": \"1\"}}", "limits.maxListBytes: expected a size from 1024"},
    {"{\"limits\": {\"maxNames\": 0}}", "limits.maxNames:"},
    {"{\"limits\": {\"maxConnections\": 0}}", "limits.maxConnections:"},
    {"{\"limits\": {\"queueEvents\": 100}}", "limits.queueEvents: 100 is less than limits.maxEvents, 10000"},
    {"{\"limits\": {\"idleTimeout\": 0}}", "limits.idleTimeout:"},
    {"{\"limits\": {\"requestTimeout\": 99999}}", "limits.requestTimeout:"},

    {"{\"redis\": {\"url\": \"http://secret@host\"}}", "redis.url: expected a URI that begins with redis://"},
    {"{\"redis\": {\"host\": \"a b\"}}", "redis.host: expected a host's name or address"},
    {"{\"redis\": {\"host\": \"\"}}", "redis.host: expected a host's name or address"},
    {"{\"redis\": {\"host\": 1}}", "redis.host: expected a host's name or address"},
    {"{\"redis\": {\"port\": \"6379\"}}", "redis.port: expected a whole number from 1 to 65535"},
    {"{\"redis\": {\"port\": 0}}", "redis.port: expected a whole number from 1 to 65535, not 0"},
    {"{\"redis\": {\"path\": \"\"}}", "redis.path: expected a path"},
    {"{\"redis\": {\"password\": 5}}", "redis.password: expected a text"},
    {"{\"redis\": {\"username\": \"u\"}}", "redis.username: a user needs a password: redis.password"},
    {"{\"redis\": {\"db\": -1}}", "redis.db: expected a whole number"},
    {"{\"redis\": {\"name\": \"\"}}", "redis.name: expected a text of 1 to 255 bytes"},
    {"{\"redis\": {\"sentinels\": []}}", "redis.sentinels: expected at least one"},
    {"{\"redis\": {\"sentinels\": \"\"}}", "redis.sentinels: expected at least one"},
    {"{\"redis\": {\"sentinels\": 5}}", "redis.sentinels: expected an array"},
    {"{\"redis\": {\"sentinels\": \"a:1,b:x\"}}", "redis.sentinels[1]: expected a host and a port"},
    {"{\"redis\": {\"sentinels\": \"a:0\"}}", "redis.sentinels[0]: expected a host and a port"},
    {"{\"redis\": {\"sentinels\": \"[::1\"}}", "redis.sentinels[0]: expected a host and a port"},
    {"{\"redis\": {\"sentinels\": [{\"host\": \"a\"}, {\"port\": 1}]}}",
     "redis.sentinels[1]: expected a host"},
    {"{\"redis\": {\"sentinels\": [{\"host\": \"a\", \"port\": 65536}]}}",
     "redis.sentinels[0]: expected a host"},
    {"{\"redis\": {\"sentinels\": [{\"host\": \"a\", \"prot\": 1}]}}", "redis.sentinels[0]: expected a host"},
    {"{\"redis\": {\"sentinels\": [{\"host\": \"a\", \"port\": \"1\"}]}}",
     "redis.sentinels[0]: expected a host"},
    {"{\"redis\": {\"sentinels\": \"a:1\"}}",
     "redis.sentinels: they must be asked for a name, so redis.name"},
    {"{\"redis\": {\"connectTimeout\": 0}}", "redis.connectTimeout: expected a whole number from 1"},
    {"{\"redis\": {\"connectTimeout\": 600001}}",
     "redis.connectTimeout: expected a whole number from 1 to 600000, not 600001"},
    {"{\"redis\": {\"timeout\": 600001}}",
     "redis.timeout: expected a whole number from 1 to 600000, not 600001"},
    {"{\"redis\": {\"timeout\": 1.5}}", "redis.timeout: expected a whole number from 1"},
    {"{\"redis\": {\"dedupWindow\": -1}}", "redis.dedupWindow: expected a whole number"},
    {"{\"redis\": {\"hots\": \"a\"}}", "redis.hots: there is no such key; did you mean redis.host?"},
    {"{\"redis\": \"127.0.0.1\"}", "redis: expected an object"},
    {"{\"localCache\": {\"port\": 0}}", "localCache.port: expected a whole number"},
    {"{\"redis\": {}, \"localCache\": {\"sentinels\": \"a:1\"}}", "localCache.name must be there"},
    {"{\"journal\": {\"enabled\": 1}}", "journal.enabled: expected true or false"},
    {"{\"journal\": {\"enabled\": false}, \"backend\": \"redis\"}",
     "journal.enabled: events always go to the journal before Redis"},
    {"{\"journal\": {\"path\": \"\"}}", "journal.path: expected a path"},
    {"{\"journal\": {\"maxSize\": \"1 KiB\"}}", "journal.maxSize: expected a size from 4194304"},
    {"{\"journal\": {\"keep\": 59}}", "journal.keep: expected a whole number from 60"},

    {"{\"prot\": 8100}", "prot: there is no such key; did you mean port?"},
    {"{\"mapSize\": 1}", "mapSize: there is no such key; did you mean lmdb.mapSize?"},
    {"{\"helthChecks\": {}}", "helthChecks: there is no such key; did you mean healthChecks.allowFrom?"},
    {"{\"lmdb\": {\"mapsize\": 1}}", "lmdb.mapsize: there is no such key; did you mean lmdb.mapSize?"},
    {"{\"colour\": 1}", "colour: there is no such key"},
    {"{\"\": 1}", "there is no such key"},
    {"{\"port\": 1, \"port\": 2}", "duplicate object key"},
    {"{\"port\": 1,}", "line 1:"},
    {"{\n\"port\": 1\n\"bind\"", "line 3:"},
    {"[]", "expected a JSON object"},
    {"", "line 1:"},

    {"{\"utapi\": {\"port\": 0.5}}", "utapi.port: expected a whole number"},
    {"{\"utapi\": {\"prt\": 1}}", "utapi.prt: there is no such key; did you mean utapi.port?"},
    {"{\"utapi\": true}", "utapi: expected an object"},
    {"{\"utapi\": {}, \"healthChecks\": {\"allowFrom\": [\"x\"]}}", "healthChecks.allowFrom[0]: \"x\""},
};

static void a_bad_file_is_refused_with_a_sentence_that_names_the_key(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused_files / sizeof *refused_files; i++) {
        settings s = {0};
        settings_write(&s, refused_files[i][0]);
        const utapi_status status = settings_load(&s);
        if (status != UTAPI_INVALID || strstr(s.err.detail, refused_files[i][1]) == NULL)
            fail_msg("%s: said \"%s\", not \"%s\"", refused_files[i][0], s.err.detail, refused_files[i][1]);
        settings_done(&s);
    }
}

/* Every key's value is refused under the name of its variable and of its flag. */
static void a_bad_value_is_refused_under_the_name_it_was_given_by(void **state)
{
    size_t count;
    const config_key *keys = config_keys(&count);
    (void)state;
    for (size_t i = 0; i < count; i++) {
        settings s = {0};
        char name[64];
        char long_value[5000];
        memset(long_value, '%', sizeof long_value - 1);
        long_value[sizeof long_value - 1] = '\0';
        if (keys[i].kind == &config_path || strcmp(keys[i].path, "enabledOperationCounters") == 0)
            continue; /* any text is a path, or a list of names */

        assert_int_equal(setenv(keys[i].environment, long_value, 1), 0);
        CHECK_STATUS(UTAPI_INVALID, settings_load(&s), &(utapi_error){0});
        (void)snprintf(name, sizeof name, "%s", keys[i].environment);
        if (strncmp(s.err.detail, name, strlen(name)) != 0)
            fail_msg("%s: said \"%s\"", name, s.err.detail);
        assert_int_equal(unsetenv(keys[i].environment), 0);

        s.flags[i] = long_value;
        CHECK_STATUS(UTAPI_INVALID, settings_load(&s), &(utapi_error){0});
        (void)snprintf(name, sizeof name, "--%s", keys[i].flag != NULL ? keys[i].flag : keys[i].path);
        if (strncmp(s.err.detail, name, strlen(name)) != 0)
            fail_msg("%s: said \"%s\"", name, s.err.detail);
    }
}

static void a_folder_is_no_file(void **state)
{
    settings s = {0};
    (void)state;
    s.path[0] = '\0';
    const config_inputs inputs = {.file = "/tmp", .flags = s.flags, .backends = settings_backends};
    CHECK_STATUS(UTAPI_UNAVAILABLE, config_load(&inputs, &s.config, &s.err), &(utapi_error){0});
    assert_string_equal(s.err.detail, "/tmp: Is a directory");
    settings_done(&s);
}

static void a_file_that_is_not_there_is_named(void **state)
{
    settings s = {0};
    (void)state;
    s.path[0] = '\0';
    const config_inputs inputs = {
        .file = "/nowhere/utapid.json", .flags = s.flags, .backends = settings_backends};
    CHECK_STATUS(UTAPI_UNAVAILABLE, config_load(&inputs, &s.config, &s.err), &(utapi_error){0});
    assert_non_null(strstr(s.err.detail, "/nowhere/utapid.json: No such file"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        SETTINGS_CASE(without_anything_defaults_hold),
        SETTINGS_CASE(root_keeps_its_data_in_var_lib),
        SETTINGS_CASE(without_xdg_state_home_the_data_is_in_the_home_folder),
        SETTINGS_CASE(flag_beats_environment_beats_file_beats_default),
        SETTINGS_CASE(the_environment_may_name_the_file),
        SETTINGS_CASE(an_empty_variable_is_not_set),
        SETTINGS_CASE(auth_is_switched_off_as_in_utapi),
        SETTINGS_CASE(lists_in_the_environment_are_separated_by_commas),
        SETTINGS_CASE(health_checks_are_allowed_from_loopback_too),
        SETTINGS_CASE(sizes_may_have_a_unit),
        SETTINGS_CASE(a_time_is_a_date_or_ms),
        SETTINGS_CASE(enabled_operations_win_over_disabled_ones),
        SETTINGS_CASE(operations_that_nobody_knows_are_kept_for_a_warning),
        SETTINGS_CASE(relative_paths_start_from_the_files_folder),
        SETTINGS_CASE(a_bad_file_is_refused_with_a_sentence_that_names_the_key),
        SETTINGS_CASE(a_bad_value_is_refused_under_the_name_it_was_given_by),
        SETTINGS_CASE(a_folder_is_no_file),
        SETTINGS_CASE(a_file_that_is_not_there_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
