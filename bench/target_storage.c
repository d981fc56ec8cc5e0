/* SPDX-License-Identifier: Apache-2.0 */
/* target_storage.c - up and down again, in either transport. */
#include "target_storage.h"

#include "backends/registry.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DAY_MS INT64_C(86400000)

bool target_parse_url(const char *url, char *ret_host, size_t host_size, uint16_t *ret_port)
{
    static const char scheme[] = "http://";
    const char *host = url + sizeof scheme - 1;
    if (strncmp(url, scheme, sizeof scheme - 1) != 0)
        return false;
    const size_t size = strcspn(host, ":/");
    const char *digits = host + size + 1;
    struct in_addr address;
    if (size >= host_size || host[size] != ':' || *digits < '0' || *digits > '9')
        return false;
    (void)snprintf(ret_host, host_size, "%.*s", (int)size, host);
    char *end;
    const unsigned long long port = strtoull(digits, &end, 10);
    if (inet_pton(AF_INET, ret_host, &address) != 1 || port == 0 || port > UINT16_MAX ||
        (*end != '\0' && strcmp(end, "/") != 0))
        return false;
    *ret_port = (uint16_t)port;
    return true;
}

/* ---- in process --------------------------------------------------------------------------- */

static utapi_status engine_start(target_storage *self, utapi_error *err)
{
    const bool is_redis = strcmp(self->kind, "redis") == 0;
    const utapi_backend_options options = {.location = is_redis ? self->redis_uri : self->data,
                                           .dedup_window_ms = DAY_MS};
    const utapi_journal_options journal = {
        .location = self->journal, .keep_ms = DAY_MS, .dedup_window_ms = DAY_MS};
    utapi_status status =
        utapi_registry_open(self->kind, &options, self->has_journal ? &journal : NULL, &self->backend, err);
    if (status == UTAPI_OK)
        status = utapi_engine_new(self->backend, &utapi_engine_defaults, &self->engine, err);
    return status;
}

/* ---- a server of our own ------------------------------------------------------------------ */

static utapi_status config_write(const target_storage *self, const char *path, utapi_error *err)
{
    FILE *file = fopen(path, "we");
    if (file == NULL)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "%s: %s", path, strerror(errno));
    (void)fprintf(file, "{\"backend\":\"%s\"", self->kind);
    if (self->has_journal)
        (void)fprintf(file, ",\"journal\":{\"enabled\":true,\"path\":\"%s\"}", self->journal);
    if (self->redis_uri[0] != '\0')
        (void)fprintf(file, ",\"redis\":{\"url\":\"%s\"}", self->redis_uri);
    (void)fprintf(file, "}\n");
    return fclose(file) == 0 ? UTAPI_OK : utapi_fail(err, UTAPI_UNAVAILABLE, "%s: %s", path, strerror(errno));
}

static utapi_status server_run(target_storage *self, utapi_error *err)
{
    char config[BENCH_PATH_MAX + 16];
    char url[256];
    const bench_workspace *workspace = self->workspace;
    (void)snprintf(config, sizeof config, "%s/config.json", self->folder);
    const char *const arguments[] = {
        workspace->utapid,     "--config", config, "--port", "0", "--data", self->data, "--auth-file",
        workspace->identities, NULL};
    utapi_status status = config_write(self, config, err);
    if (status == UTAPI_OK)
        status = child_start(arguments, workspace->log, &self->server, err);
    if (status != UTAPI_OK)
        return status;
    utapi_error reason;
    utapi_error_clear(&reason);
    if (child_wait_line(&self->server, "utapid: listening on ", url, sizeof url, &reason) != UTAPI_OK) {
        bench_log_last(workspace, url, sizeof url);
        return utapi_fail(err, UTAPI_UNAVAILABLE, "%.60s does not start: %.40s%s%.80s", workspace->utapid,
                          reason.detail, url[0] != '\0' ? ": " : "", url);
    }
    if (!target_parse_url(url, self->host, sizeof self->host, &self->endpoint.port))
        return utapi_fail(err, UTAPI_UNAVAILABLE, "utapid listens on %.100s", url);
    return UTAPI_OK;
}

/* ---- both --------------------------------------------------------------------------------- */

bool target_storage_can(const char *backend, bench_transport transport)
{
    return transport != BENCH_HTTP || strcmp(backend, "redis") != 0;
}

/* The storage's name in the registry. */
static const char *kind_of(const char *backend, bool *ret_has_journal)
{
    static const char prefix[] = "journal+";
    *ret_has_journal = strncmp(backend, prefix, sizeof prefix - 1) == 0;
    return backend + (*ret_has_journal ? sizeof prefix - 1 : 0);
}

bool target_storage_is_known(const char *backend)
{
    bool has_journal;
    return utapi_registry_find(kind_of(backend, &has_journal)) != NULL;
}

static utapi_status name_read(target_storage *self, const char *backend, utapi_error *err)
{
    (void)snprintf(self->kind, sizeof self->kind, "%s", kind_of(backend, &self->has_journal));
    if (!target_storage_is_known(backend))
        return utapi_fail(err, UTAPI_NOT_SUPPORTED, "%.100s: no such storage", backend);
    if (!target_storage_can(backend, self->transport))
        return utapi_fail(err, UTAPI_NOT_SUPPORTED,
                          "utapid has a journal before redis: measure journal+redis");
    return UTAPI_OK;
}

static utapi_status folders_make(target_storage *self, utapi_error *err)
{
    const utapi_status status = bench_folder_make(self->workspace, self->folder, err);
    if (status != UTAPI_OK) {
        self->folder[0] = '\0';
        return status;
    }
    (void)snprintf(self->data, sizeof self->data, "%s/data", self->folder);
    (void)snprintf(self->journal, sizeof self->journal, "%s/journal", self->folder);
    if (mkdir(self->data, 0700) != 0)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "%s: %s", self->data, strerror(errno));
    return UTAPI_OK;
}

static utapi_status redis_find(target_storage *self, utapi_error *err)
{
    char path[BENCH_PATH_MAX];
    if (self->workspace->options->redis != NULL) {
        (void)snprintf(self->redis_uri, sizeof self->redis_uri, "%s", self->workspace->options->redis);
        return UTAPI_OK;
    }
    bench_redis_socket(self->folder, path);
    (void)snprintf(self->redis_uri, sizeof self->redis_uri, "redis+unix://%s", path);
    return bench_redis_start(self->workspace, self->folder, &self->redis, err);
}

utapi_status target_storage_open(target_storage *self, const bench_workspace *workspace, const char *backend,
                                 bench_transport transport, utapi_error *err)
{
    const bench_options *options = workspace->options;
    *self = (target_storage){.workspace = workspace, .transport = transport};
    self->endpoint = (http_endpoint){
        .host = self->host, .access_key = options->access_key, .secret_key = options->secret_key};
    if (options->url != NULL)
        return target_parse_url(options->url, self->host, sizeof self->host, &self->endpoint.port)
                   ? UTAPI_OK
                   : utapi_fail(err, UTAPI_INVALID, "%s: expected http://ADDRESS:PORT", options->url);
    utapi_status status = name_read(self, backend, err);
    if (status == UTAPI_OK)
        status = folders_make(self, err);
    if (status == UTAPI_OK && strcmp(self->kind, "redis") == 0)
        status = redis_find(self, err);
    if (status == UTAPI_OK)
        status = target_storage_start(self, err);
    return status;
}

utapi_status target_storage_start(target_storage *self, utapi_error *err)
{
    return self->transport == BENCH_HTTP ? server_run(self, err) : engine_start(self, err);
}

void target_storage_stop(target_storage *self)
{
    child_stop(&self->server);
    utapi_engine_free(self->engine);
    utapi_backend_close(self->backend);
    self->engine = NULL;
    self->backend = NULL;
}

void target_storage_close(target_storage *self)
{
    target_storage_stop(self);
    child_stop(&self->redis);
    bench_folder_remove(self->folder);
}
