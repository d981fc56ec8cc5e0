/* SPDX-License-Identifier: Apache-2.0 */
/* world.c - see world.h. */
#include "world.h"

#include "check.h"

#include "backends/registry.h"
#include "handlers/log.h"
#include "handlers/routes.h"

static int64_t standing_clock(void *ctx)
{
    (void)ctx;
    return WORLD_NOW_MS;
}

const server_options world_server_options = {
    .bind = "127.0.0.1",
    .workers = 2,
    .max_connections = 2000,
    .idle_timeout_s = 30,
    .request_timeout_s = 30,
};

static void open_engine(http_world *self, utapi_error *err)
{
    const utapi_backend_options options = {.dedup_window_ms = INT64_C(24) * 3600 * 1000};
    CHECK_OK(utapi_backend_open(utapi_registry_find("memory"), &options, &self->memory, err), err);
    trouble_backend_init(&self->trouble, self->memory);

    utapi_engine_settings settings = utapi_engine_defaults;
    settings.clock = (utapi_clock){standing_clock, standing_clock, NULL};
    CHECK_OK(utapi_engine_new(&self->trouble.base, &settings, &self->engine, err), err);
}

void world_open(http_world *self, const char *authdata)
{
    utapi_error err;
    utapi_error_clear(&err);
    log_open(&(log_options){.name = "test", .level = LOG_LEVEL_ERROR});

    *self = (http_world){0};
    open_engine(self, &err);
    if (authdata != NULL) {
        CHECK_OK(identity_load(authdata, &self->identity, &err), &err);
    } else {
        self->identity = identity_new_empty();
        assert_non_null(self->identity);
    }
    CHECK_OK(auth_new(self->identity, AUTH_PAYLOAD_STRICT, &self->auth, &err), &err);

    self->service = (http_service){
        .engine = self->engine,
        .identity = self->identity,
        .ingest_max_events = 10000,
        .ingest_max_bytes = (size_t)64 << 20,
        /* Room for the recorded question that Utapi answers, with 1 MiB of padding in it. */
        .list_max_bytes = ((size_t)1 << 20) + 4096,
        .list_max_names = 10000,
    };
    CHECK_OK(allow_list_add(&self->service.health_allow, "127.0.0.1/8", &err), &err);
    CHECK_OK(allow_list_add(&self->service.ingest_allow, "127.0.0.1/8", &err), &err);
    CHECK_OK(allow_list_add(&self->service.storage_allow, "127.0.0.1/8", &err), &err);
    CHECK_OK(allow_list_add(&self->service.prometheus_allow, "127.0.0.1/8", &err), &err);
    self->service.telemetry = telemetry_new(http_routes);
    assert_non_null(self->service.telemetry);
}

void world_listen(http_world *self, const server_options *options)
{
    utapi_error err;
    utapi_error_clear(&err);
    CHECK_OK(server_start(options, &self->service, &self->server, &err), &err);
}

void world_close(http_world *self)
{
    server_stop(self->server);
    query_pool_stop(self->service.query_pool);
    utapi_engine_free(self->engine);
    trouble_backend_done(&self->trouble);
    utapi_backend_close(self->memory);
    auth_free(self->auth);
    identity_free(self->identity);
    allow_list_done(&self->service.health_allow);
    allow_list_done(&self->service.ingest_allow);
    allow_list_done(&self->service.storage_allow);
    allow_list_done(&self->service.prometheus_allow);
    telemetry_free(self->service.telemetry);
}
