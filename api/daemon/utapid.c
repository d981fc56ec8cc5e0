/* SPDX-License-Identifier: Apache-2.0 */
/* utapid.c - the server's main: settings, then storage, engine, identities and sockets, each on top of the
 * one before; a signal, and down again in the opposite order. The only file of api/ that sees storage. */
#include "backends/registry.h"
#include "config/config.h"
#include "daemon/announce.h"
#include "daemon/generation.h"
#include "daemon/replay.h"
#include "daemon/utapid_options.h"
#include "daemon/watch.h"
#include "handlers/log.h"
#include "handlers/query_pool.h"
#include "handlers/routes.h"
#include "handlers/sources.h"
#include "handlers/telemetry.h"
#include "handlers/wake.h"
#include "server/server.h"
#include "server/tls.h"
#include "utapi/clock.h"
#include "utapi/engine.h"
#include "utapi/scoped.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_BACKEND "lmdb"
#define MAX_BACKENDS    16
#define SPARE_FILES     64 /* descriptors for all but connections: storage, epoll, log */
#define MS_PER_S        INT64_C(1000)
#define ADMIN_SOCKET    "admin.sock"
#define WATCH_S         1 /* between looks at how storage is */

/* Everything that runs, in the order of its making. */
typedef struct utapid {
    const utapid_options *options;
    config config;       /* as it started: what a reload cannot change */
    generation *current; /* what it can */
    utapi_backend *backend;
    utapi_engine *engine;
    http_service shared;         /* what all generations share */
    server *admin_server;        /* NULL: there could be none */
    server *server, *tls_server; /* NULL: there is none */
    tls_files certificates;
    replay *replay;
    int stopped_by; /* a signal; 0: none yet */
} utapid;

/* ---- settings ----------------------------------------------------------------------------- */

/* The names of all kinds of storage, the default first, ended by NULL. */
static void list_backends(const char *ret[MAX_BACKENDS])
{
    const utapi_backend_ops *const *all = utapi_registry_all();
    size_t count = 0;
    ret[count++] = DEFAULT_BACKEND;
    for (size_t i = 0; all[i] != NULL && count < MAX_BACKENDS - 1; i++) {
        if (strcmp(all[i]->name, DEFAULT_BACKEND) != 0)
            ret[count++] = all[i]->name;
    }
    ret[count] = NULL;
}

static utapi_status load_settings(const utapid_options *options, config *ret, utapi_error *err)
{
    const char *backends[MAX_BACKENDS];
    list_backends(backends);
    const config_inputs inputs = {
        .file = options->file, .flags = options->flags, .backends = backends, .is_root = geteuid() == 0};
    return config_load(&inputs, ret, err);
}

/* Utapi's levels: "trace" is as "debug", "fatal" as "error". */
static log_level level_of(const config *settings)
{
    const char *name = config_log_levels[settings->log_level];
    log_level level = strcmp(name, "fatal") == 0 ? LOG_LEVEL_ERROR : LOG_LEVEL_DEBUG;
    (void)log_level_find(name, &level);
    return level;
}

static void open_log(const config *settings)
{
    const log_options options = {.name = "utapid",
                                 .level = level_of(settings),
                                 .iso_time = strcmp(config_log_times[settings->log_time], "iso") == 0,
                                 .access = settings->log_access};
    log_open(&options);
}

/* ---- up, step by step --------------------------------------------------------------------- */

/* A journal that was switched off may hold events that were acknowledged. */
static void warn_of_unused_journal(const config *settings)
{
    char path[PATH_MAX];
    const int size = snprintf(path, sizeof path, "%s/data.mdb", settings->journal_path);
    if (settings->journal_enabled || size < 0 || (size_t)size >= sizeof path || access(path, F_OK) != 0)
        return;
    log_write(
        LOG_LEVEL_WARN, NULL,
        "%s: there is a journal here and it is switched off; events that still wait in it are not counted "
        "until it is switched on again (journal.enabled)",
        settings->journal_path);
}

/* The journal remembers uuids for as long as was asked for; a shared storage behind it for less, for all it has
 * to recognise is what another utapid accepted too. */
static utapi_backend_options storage_options(const config *settings)
{
    const bool is_shared = settings->redis_uri != NULL;
    const int64_t window_s = is_shared ? settings->redis_dedup_window_s : settings->dedup_window_s;
    return (utapi_backend_options){.location = is_shared ? settings->redis_uri : settings->data_dir,
                                   .capacity_bytes = (uint64_t)settings->capacity_bytes,
                                   .dedup_window_ms = window_s * MS_PER_S,
                                   .max_dead_letters = (uint64_t)settings->max_dead_letters};
}

static utapi_status open_storage(utapid *self, utapi_error *err)
{
    const config *settings = &self->config;
    const utapi_backend_options options = storage_options(settings);
    const utapi_journal_options journal = {.location = settings->journal_path,
                                           .capacity_bytes = (uint64_t)settings->journal_bytes,
                                           .keep_ms = settings->journal_keep_s * MS_PER_S,
                                           .dedup_window_ms = settings->dedup_window_s * MS_PER_S,
                                           .max_dead_letters = (uint64_t)settings->max_dead_letters};
    warn_of_unused_journal(settings);
    return utapi_registry_open(settings->backend, &options, settings->journal_enabled ? &journal : NULL,
                               &self->backend, err);
}

static utapi_status start_engine(utapid *self, utapi_error *err)
{
    const config *settings = &self->config;
    utapi_engine_settings recorded = utapi_engine_defaults;
    recorded.levels = settings->levels;
    recorded.operations = settings->operations;
    recorded.component = settings->component;
    recorded.expire_metrics = settings->expire_metrics;
    recorded.expire_ttl_ms = settings->expire_ttl_s * MS_PER_S;
    recorded.queue_events = (size_t)settings->queue_events;
    return utapi_engine_new(self->backend, &recorded, &self->engine, err);
}

/* A generation has settings of its own, so that it can go. */
static utapi_status load_generation(utapid *self, utapi_error *err)
{
    config settings;
    const utapi_status status = load_settings(self->options, &settings, err);
    return status == UTAPI_OK ? generation_new(&settings, &self->current, err) : status;
}

/* An event that is told to have failed comes again: half a minute later, or after the next outage. */
static bool wakes_clients(const config *settings)
{
    enum { DEDUP_LEAST_S = 600 };
    return settings->wake_s > 0 && settings->dedup_window_s >= DEDUP_LEAST_S;
}

static utapi_status make_shared(utapid *self, utapi_error *err)
{
    const config *settings = &self->config;
    const bool wakes = wakes_clients(settings);
    self->shared = (http_service){
        .engine = self->engine,
        .telemetry = telemetry_new(http_routes),
        .sources = sources_new(),
        .wake = wakes ? wake_new(settings->wake_s * MS_PER_S, utapi_monotonic_ms) : NULL,
        .certificate_expires_s = tls_expires_s,
    };
    if (self->shared.telemetry == NULL || self->shared.sources == NULL ||
        (wakes && self->shared.wake == NULL))
        return utapi_fail(err, UTAPI_NO_MEMORY, "telemetry");
    return UTAPI_OK;
}

static utapi_status make_service(utapid *self, utapi_error *err)
{
    return generation_serve(self->current, &self->shared, err);
}

/* LMDB answers sooner than another thread wakes up; a journal may have to wait for the storage behind it. */
static utapi_status start_query_pool(utapid *self, utapi_error *err)
{
    if (!self->config.journal_enabled)
        return UTAPI_OK;
    return query_pool_start((unsigned)self->config.readers, &self->shared.query_pool, err);
}

/* Connections are descriptors: asks for as many as they may need, and makes do with what it gets. */
static void raise_file_limit(int64_t connections)
{
    struct rlimit limit;
    const rlim_t wanted = (rlim_t)connections + SPARE_FILES;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted)
        log_write(LOG_LEVEL_WARN, NULL, "limits.maxConnections: the system grants only %llu open files",
                  (unsigned long long)limit.rlim_cur);
}

/* Administration goes through a socket in the folder of lmdb.path, whatever the storage is. Without it events count all
 * the same. */
static utapi_status start_admin_server(utapid *self, utapi_error *err)
{
    enum { CONNECTIONS = 16 };
    const config *settings = &self->config;
    char path[PATH_MAX];
    utapi_error why = {0};
    (void)err;
    (void)snprintf(path, sizeof path, "%s/" ADMIN_SOCKET, settings->data_dir);
    const server_options options = {
        .socket_path = path,
        .workers = 1,
        .max_connections = CONNECTIONS,
        .idle_timeout_s = (unsigned)settings->idle_timeout_s,
        .request_timeout_s = (unsigned)settings->request_timeout_s,
    };
    if (server_start(&options, &self->current->admin_service, &self->admin_server, &why) != UTAPI_OK)
        log_write(LOG_LEVEL_WARN, NULL, "no administration through a socket: %s", why.detail);
    return UTAPI_OK;
}

static tls_files files_of(const config *settings)
{
    return (tls_files){settings->tls_key, settings->tls_cert, settings->tls_chain, settings->tls_client_ca};
}

/* One port, plain or with TLS; or two, one of each. */
static utapi_status start_server(utapid *self, utapi_error *err)
{
    const config *settings = &self->config;
    const bool has_both = settings->has_tls && settings->tls_port != 0;
    const int64_t ports = has_both ? 2 : 1;
    raise_file_limit(ports * (settings->max_connections + settings->workers * SERVER_EXCESS_CONNECTIONS));
    server_options options = {
        .bind = settings->bind,
        .port = (uint16_t)settings->port,
        .is_tls = settings->has_tls && !has_both,
        .workers = (unsigned)settings->workers,
        .max_connections = (unsigned)settings->max_connections,
        .idle_timeout_s = (unsigned)settings->idle_timeout_s,
        .request_timeout_s = (unsigned)settings->request_timeout_s,
    };
    self->certificates = files_of(settings);
    utapi_status status = settings->has_tls ? tls_load(&self->certificates, err) : UTAPI_OK;
    if (status == UTAPI_OK)
        status = server_start(&options, &self->current->service, &self->server, err);
    if (status != UTAPI_OK || !has_both)
        return status;
    options.port = (uint16_t)settings->tls_port;
    options.is_tls = true;
    return server_start(&options, &self->current->service, &self->tls_server, err);
}

static utapi_status start_replay(utapid *self, utapi_error *err)
{
    if (self->config.local_cache_uri == NULL)
        return UTAPI_OK;
    return replay_start(self->config.local_cache_uri, self->engine, &self->replay, err);
}

static utapi_status start(utapid *self, utapi_error *err)
{
    static utapi_status (*const steps[])(utapid * self, utapi_error * err) = {
        load_generation, open_storage,       start_engine, make_shared, start_query_pool,
        make_service,    start_admin_server, start_server, start_replay};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        const utapi_status status = steps[i](self, err);
        if (status != UTAPI_OK)
            return status;
    }
    return UTAPI_OK;
}

/* ---- and down ----------------------------------------------------------------------------- */

static void stop(utapid *self)
{
    replay_stop(self->replay);
    server_quiesce(self->server); /* all of them at once: each may take its time */
    server_quiesce(self->tls_server);
    server_stop(self->admin_server);
    server_stop(self->server);
    server_stop(self->tls_server);
    tls_end();
    query_pool_stop(self->shared.query_pool);
    utapi_engine_free(self->engine); /* commits what still waits */
    utapi_backend_close(self->backend);
    generation_free(self->current);
    wake_free(self->shared.wake);
    sources_free(self->shared.sources);
    telemetry_free(self->shared.telemetry);
    config_done(&self->config);
}

/* ---- main --------------------------------------------------------------------------------- */

/* A standard stream that is closed would be the number of the next file: the log would be written into storage. */
static void hold_streams(void)
{
    int fd;
    while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd <= STDERR_FILENO)
        continue;
    if (fd >= 0)
        close(fd);
}

/* Before the first thread, so that every thread has them blocked and only wait_for_signal() gets them. */
static void block_signals(sigset_t *ret)
{
    static const int waited_for[] = {SIGTERM, SIGINT, SIGHUP};
    static const int ignored[] = {SIGPIPE, SIGUSR1, SIGUSR2};
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        (void)signal(ignored[i], SIG_IGN);
    sigemptyset(ret);
    for (size_t i = 0; i < sizeof waited_for / sizeof *waited_for; i++)
        sigaddset(ret, waited_for[i]);
    (void)pthread_sigmask(SIG_BLOCK, ret, NULL);
}

/* A certificate that cannot be used is told of once: until its files change again. */
static void reload_certificate(const utapid *self)
{
    utapi_error err = {0};
    if (tls_load(&self->certificates, &err) == UTAPI_OK)
        log_write(LOG_LEVEL_INFO, NULL, "the certificate was read again: %s", self->certificates.cert);
    else
        log_write(LOG_LEVEL_ERROR, NULL, "the certificate stays as it was: %s", err.detail);
    if (tls_client_ca_is_stale(&self->certificates))
        log_write(
            LOG_LEVEL_WARN, NULL,
            "tls.clientCA: %s has changed and wants a restart: clients of the one before are still known",
            self->certificates.client_ca);
}

/* Makes a new generation, as a whole, or leaves all as it is. */
static utapi_status generation_next(utapid *self, generation **ret, utapi_error *err)
{
    config settings;
    utapi_status status = load_settings(self->options, &settings, err);
    if (status == UTAPI_OK)
        status = generation_new(&settings, ret, err);
    if (status != UTAPI_OK)
        return status;
    status = generation_serve(*ret, &self->shared, err);
    if (status != UTAPI_OK)
        generation_free(*ret);
    return status;
}

static void reload(utapid *self)
{
    utapi_error err = {0};
    generation *next;
    if (generation_next(self, &next, &err) != UTAPI_OK) {
        log_write(LOG_LEVEL_ERROR, NULL, "SIGHUP: all stays as it was: %s", err.detail);
        return;
    }
    UTAPI_AUTO_FREE char *restart = config_restart_needed(&self->config, &next->settings);
    next->older = self->current;
    self->current = next;
    log_set_level(level_of(&next->settings));
    server_replace_service(self->server, &next->service);
    server_replace_service(self->tls_server, &next->service);
    server_replace_service(self->admin_server, &next->admin_service);
    if (self->config.has_tls)
        reload_certificate(self);
    announce_ignored(&next->settings, false);
    log_write(LOG_LEVEL_INFO, NULL, "SIGHUP: the configuration was read again");
    if (restart != NULL)
        log_write(LOG_LEVEL_WARN, NULL, "SIGHUP: these want a restart, and stay as they were: %s", restart);
}

/* Waits for the signal to stop, and gives it. A second one, while things drain, ends the process at once. */
static int wait_for_signal(utapid *self, sigset_t *signals)
{
    static const struct timespec pause = {.tv_sec = WATCH_S};
    int received;
    watch seen;
    watch_begin(&seen, self->engine);
    while ((received = sigtimedwait(signals, NULL, &pause)) < 0 || received == SIGHUP) {
        if (received == SIGHUP)
            reload(self);
        else
            watch_look(&seen, self->engine, self->config.journal_enabled, tls_expires_s());
        if (self->config.has_tls && tls_changed(&self->certificates))
            reload_certificate(self);
        generation_free_older(self->current);
        telemetry_flush(self->shared.telemetry, utapi_monotonic_ms());
    }
    sigdelset(signals, SIGHUP);
    (void)pthread_sigmask(SIG_UNBLOCK, signals, NULL);
    return received;
}

/* Reads the URIs of Redis as a start does: opening connects to nothing yet. */
static utapi_status check_redis(utapid *self, utapi_error *err)
{
    const config *settings = &self->config;
    const utapi_backend_options options = storage_options(settings);
    utapi_replay *cache = NULL;
    utapi_status status = UTAPI_OK;
    if (settings->redis_uri != NULL)
        status = utapi_registry_open(settings->backend, &options, NULL, &self->backend, err);
    if (status == UTAPI_OK && settings->local_cache_uri != NULL)
        status = utapi_replay_open(settings->local_cache_uri, &cache, err);
    utapi_replay_close(cache);
    return status;
}

static utapi_status print_settings(utapid *self, utapi_error *err)
{
    return config_print(&self->config, stdout)
               ? UTAPI_OK
               : utapi_fail(err, UTAPI_UNAVAILABLE, "the settings cannot be printed: %s", strerror(errno));
}

/* --check: everything that can be judged without touching storage or sockets. */
static utapi_status check(utapid *self, utapi_error *err)
{
    const tls_files certificates = files_of(&self->config);
    utapi_status status = load_generation(self, err);
    if (status == UTAPI_OK && self->config.has_tls)
        status = tls_load(&certificates, err);
    if (status == UTAPI_OK)
        status = check_redis(self, err);
    if (status != UTAPI_OK)
        return status;
    announce_ignored(&self->config, true);
    puts("utapid: the configuration is valid");
    return UTAPI_OK;
}

static utapi_status serve(utapid *self, utapi_error *err)
{
    sigset_t signals;
    block_signals(&signals);
    open_log(&self->config);
    announce_ignored(&self->config, false);
    const utapi_status status = start(self, err);
    if (status == UTAPI_OK) {
        announce_start(&self->config, server_port(self->server),
                       self->tls_server != NULL ? server_port(self->tls_server) : 0);
        self->stopped_by = wait_for_signal(self, &signals);
        announce_stopping(self->stopped_by);
    }
    return status;
}

int main(int argc, char **argv)
{
    utapid self = {0};
    utapid_options options;
    utapi_error err = {0};
    hold_streams();
    const int code = utapid_options_parse(argc, argv, &options);
    if (code >= 0)
        return code;

    self.options = &options;
    utapi_status status = load_settings(&options, &self.config, &err);
    if (status == UTAPI_OK)
        status = options.print   ? print_settings(&self, &err)
                 : options.check ? check(&self, &err)
                                 : serve(&self, &err);
    if (status != UTAPI_OK)
        fprintf(stderr, "utapid: %s\n", *err.detail != '\0' ? err.detail : utapi_status_text(status));
    const int64_t stopping_ms = utapi_monotonic_ms();
    stop(&self);
    if (self.stopped_by != 0)
        announce_stopped(utapi_monotonic_ms() - stopping_ms);
    const bool is_usage = strncmp(err.detail, "--", 2) == 0; /* it names a flag */
    return status == UTAPI_OK ? EXIT_SUCCESS : is_usage ? EXIT_USAGE : EXIT_FAILURE;
}
