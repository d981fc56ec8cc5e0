/* SPDX-License-Identifier: Apache-2.0 */
/* keys.c - the table of keys (its rows are in keys.def), and the names of those that Utapi and CloudServer have
 * and that mean nothing here. Defaults are texts, read by the same code as the environment. */
#include "config/keys.h"

#include "config/config.h"
#include "config/value.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMBER(name) offsetof(config, name)
#define NAME_BYTES   .max = UTAPI_NAME_MAX
#define KIB          INT64_C(1024)
#define MIB          (KIB * 1024)
#define TIB          (MIB * 1024 * 1024)
#define YEAR_S       INT64_C(31622400)
#define TIMEOUT_MAX  INT64_C(600000) /* ms: what a URI may say, redis_uri.c */
#define TEXT_MAX     4096            /* bytes of a URI, of a password */

#define MOST_DEFAULT_WORKERS 8

const char *const config_log_levels[] = {"trace", "debug", "info", "warn", "error", "fatal", NULL};
const char *const config_log_times[] = {"ms", "iso", NULL};
const char *const config_payload_hashes[] = {"strict", "compatible", NULL};

/* ---- defaults that depend on the machine -------------------------------------------------- */

/* More workers than processors only contend; beyond eight the single committer is the limit. */
static char *default_workers(const config_inputs *inputs)
{
    (void)inputs;
    cpu_set_t cpus;
    int count = sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
    if (count > MOST_DEFAULT_WORKERS)
        count = MOST_DEFAULT_WORKERS;
    char *text = NULL;
    return asprintf(&text, "%d", count) < 0 ? NULL : text;
}

static char *default_backend(const config_inputs *inputs)
{
    return strdup(inputs->backends[0]);
}

/* The XDG Base Directory Specification: a relative XDG_STATE_HOME counts as not set. */
static char *default_data_dir(const config_inputs *inputs)
{
    if (inputs->is_root)
        return strdup("/var/lib/utapi");
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    char *path = NULL;
    int size;
    if (state != NULL && *state == '/')
        size = asprintf(&path, "%s/utapi", state);
    else
        size = asprintf(&path, "%s/.local/state/utapi", home != NULL ? home : "");
    return size < 0 ? NULL : path;
}

/* It depends on another key, so config.c makes it when all are known. */
static char *default_journal_path(const config_inputs *inputs)
{
    (void)inputs;
    return strdup("");
}

/* ---- the table ---------------------------------------------------------------------------- */

static const config_key keys[] = {
#include "config/keys.def"
};

#define KEY_COUNT (sizeof keys / sizeof *keys)

const config_key *config_keys(size_t *ret_count)
{
    *ret_count = KEY_COUNT;
    return keys;
}

const config_key *config_key_find(const char *path)
{
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (strcmp(keys[i].path, path) == 0)
            return &keys[i];
    }
    return NULL;
}

bool config_key_is_group(const char *path)
{
    const size_t size = strlen(path);
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (strncmp(keys[i].path, path, size) == 0 && keys[i].path[size] == '.')
            return true;
    }
    return false;
}

utapi_status config_record(config *self, const config_key *key, const char *text, int source,
                           utapi_error *err)
{
    size_t count;
    config_given *given = &self->given[key - config_keys(&count)];
    char *copy = text != NULL ? strdup(text) : NULL;
    if (copy == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "configuration");
    free(given->text);
    *given = (config_given){copy, (config_source)source};
    return UTAPI_OK;
}

/* ---- keys that mean nothing here ---------------------------------------------------------- */

/* Of Utapi (either generation) and of the `utapi` object in CloudServer's file. */
static const char *const foreign[] = {"batchSize",
                                      "bucketd",
                                      "cacheBackend",
                                      "checkpointSchedule",
                                      "development",
                                      "diskUsage",
                                      "diskUsageSchedule",
                                      "filter",
                                      "host",
                                      "ingestionLagSeconds",
                                      "ingestionSchedule",
                                      "ingestionShardSize",
                                      "localCache.retry",
                                      "log.dumpLevel",
                                      "nodeId",
                                      "onlyCountLatestWhenObjectLocked",
                                      "redis.retry",
                                      "reindex",
                                      "reindexSchedule",
                                      "repairSchedule",
                                      "replaySchedule",
                                      "serviceUser",
                                      "snapshotSchedule",
                                      "vaultd",
                                      "warp10"};

bool config_key_is_foreign(const char *path, bool is_object)
{
    /* Utapi V2 has an object of that name, with the ports of its Prometheus exporters. */
    if (is_object && strcmp(path, "metrics") == 0)
        return true;
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        if (strcmp(foreign[i], path) == 0)
            return true;
    }
    return false;
}
