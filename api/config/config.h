/* SPDX-License-Identifier: Apache-2.0 */
/**
 * config.h - what utapid was told: by flags, by the environment, by a file, or else by default.
 *
 * Flag beats environment beats file beats default, key by key. keys.c holds every key in one table.
 * This room knows no kind of storage: the caller brings their names.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "config/keys.h"
#include "http/allow.h"
#include "utapi/metric.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/** Where a Redis is, as Utapi's and ioredis's keys say it. */
typedef struct config_redis {
    char *url; /* NULL: the members that follow say it */
    char *host;
    int64_t port;
    char *path; /* of a Unix socket; NULL: none */
    char *username, *password;
    int64_t database;
    char *sentinels; /* "host:port,host:port"; NULL: none */
    char *name;
    char *sentinel_password;
    int64_t connect_timeout_ms, timeout_ms;
} config_redis;

/** enabledOperationCounters. All zero: an empty list, which is none. */
typedef struct config_counters {
    utapi_operation_set operations;
    char *unknown; /* names that no operation bears, quoted: "\"PutObjects\", \"\""; NULL: none */
} config_counters;

/** Where a value comes from. */
typedef enum config_source {
    CONFIG_BY_DEFAULT,
    CONFIG_FROM_FILE,
    CONFIG_FROM_ENVIRONMENT,
    CONFIG_FROM_FLAG
} config_source;

/** A value as it was given: for --print-config. */
typedef struct config_given {
    char *text; /* owned; JSON where the file has no text; NULL: none */
    config_source source;
} config_given;

/** Every setting, checked. Members are documented in docs/configuration.md under their keys. */
typedef struct config {
    int64_t port;
    char *bind;
    int64_t workers, readers;
    bool tls_enabled; /* whether certificate and key, if they are there, are used */
    int64_t tls_port; /* 0: that of `port`, which then speaks nothing else */
    char *tls_key, *tls_cert, *tls_chain, *tls_client_ca; /* paths; NULL: not set */
    bool has_tls;                                         /* it listens with TLS */

    char *backend;          /* one of the names that the caller brought */
    char *data_dir;         /* lmdb.path */
    int64_t capacity_bytes; /* lmdb.mapSize */
    int64_t dedup_window_s;

    config_redis redis;
    char *redis_uri; /* all of redis in one text, passwords too; NULL: another backend was chosen */
    int64_t redis_dedup_window_s;
    config_redis local_cache;
    char *local_cache_uri; /* likewise; NULL: there is nothing to take over */

    bool journal_enabled;
    char *journal_path;
    int64_t journal_bytes;
    int64_t journal_keep_s;

    bool auth_enabled;
    char *auth_file;  /* NULL: none was named */
    int payload_hash; /* index into config_payload_hashes */

    allow_list health_allow;
    allow_list ingest_allow;
    int64_t wake_s; /* 0: off */
    allow_list storage_allow;
    allow_list prometheus_allow;
    allow_list openapi_allow;
    allow_list ready_allow;
    int64_t ready_min_free, ready_max_delay_s;
    char *
        admin_tokens; /* separated by commas; NULL: none, so that administration goes through the socket alone */
    allow_list admin_allow;

    utapi_level_set levels;
    char *component;
    utapi_operation_set operations; /* counted: from the next two */
    bool disable_operations;
    config_counters enabled_operations;
    bool expire_metrics;
    int64_t expire_ttl_s;

    int log_level; /* index into config_log_levels */
    int log_time;  /* index into config_log_times */
    bool log_access;

    int64_t max_events;
    int64_t max_body_bytes;
    int64_t max_list_bytes;
    int64_t max_names;
    int64_t max_connections;
    int64_t queue_events;
    int64_t idle_timeout_s;
    int64_t request_timeout_s;
    int64_t earliest_ms; /* this and the next three: 0 is off */
    int64_t max_lateness_s;
    int64_t max_amount;
    int64_t max_new_resources;
    int64_t max_dead_letters;

    char *file;              /* that was read; NULL: none */
    char *unknown_variables; /* UTAPI_... of the environment that nothing reads; NULL: none */
    config_given *given;     /* one for each key, in the order of config_keys() */
    char *ignored;           /* keys of the file that do not apply: "vaultd, certFilePaths"; NULL: none */
} config;

/** "trace", "debug", "info", "warn", "error", "fatal", NULL. */
extern const char *const config_log_levels[];

/** "ms", "iso", NULL. */
extern const char *const config_log_times[];

/** "strict", "compatible", NULL. */
extern const char *const config_payload_hashes[];

/** Where settings come from; the environment is the process's own. All borrowed for the call. */
typedef struct config_inputs {
    const char *file;            /* --config; NULL: UTAPI_CONFIG_FILE, else no file */
    const char *const *flags;    /* one for each key, in the order of config_keys(); NULL: not given */
    const char *const *backends; /* names that may be chosen, ended by NULL; the first is the default */
    bool is_root;                /* decides the default of lmdb.path */
} config_inputs;

/**
 * Gathers all settings.
 *
 * @param ret  owned: emptied with config_done(). Written on success only.
 * @return UTAPI_INVALID with a sentence that names the key, or the line of a syntax error;
 *         UTAPI_UNAVAILABLE if the file cannot be read; UTAPI_NO_MEMORY
 */
UTAPI_MUST_USE utapi_status config_load(const config_inputs *inputs, config *ret, utapi_error *err);

/**
 * Prints every key with its value and where that comes from, as JSON. Secrets are "***".
 *
 * @return false if it could not be written
 */
bool config_print(const config *self, FILE *out);

/**
 * The keys that are given other values in two configurations and want a restart: "port, backend"; owned: free(). NULL:
 * there are none, or memory ran out.
 */
char *config_restart_needed(const config *before, const config *after);

/** Frees what a config owns. */
void config_done(config *self);

#endif
