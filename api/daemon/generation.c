/* SPDX-License-Identifier: Apache-2.0 */
/* generation.c - settings become services, member by member. */
#include "daemon/generation.h"

#include "handlers/log.h"
#include "handlers/policy.h"

#include <stdlib.h>
#include <string.h>

#define MS_PER_S INT64_C(1000)

/* The file maps account IDs even where nobody has to sign. */
utapi_status generation_new(config *settings, generation **ret, utapi_error *err)
{
    generation *self = aligned_alloc(alignof(generation), sizeof *self);
    if (self == NULL) {
        config_done(settings);
        return utapi_fail(err, UTAPI_NO_MEMORY, "settings");
    }
    memset(self, 0, sizeof *self);
    self->settings = *settings;
    *settings = (config){.file = NULL};
    utapi_status status = UTAPI_OK;
    if (self->settings.auth_file != NULL)
        status = identity_load(self->settings.auth_file, &self->identity, err);
    else if ((self->identity = identity_new_empty()) == NULL)
        status = utapi_fail(err, UTAPI_NO_MEMORY, "identities");
    if (status == UTAPI_OK)
        *ret = self;
    else
        generation_free(self);
    return status;
}

utapi_status generation_serve(generation *self, const http_service *shared, utapi_error *err)
{
    const config *settings = &self->settings;
    const policy_limits limits = {.earliest_ms = settings->earliest_ms,
                                  .max_lateness_ms = settings->max_lateness_s * MS_PER_S,
                                  .max_amount = settings->max_amount,
                                  .max_new_resources = settings->max_new_resources};
    if (settings->auth_enabled) {
        const utapi_status status =
            auth_new(self->identity, (auth_payload_rule)settings->payload_hash, &self->auth, err);
        if (status != UTAPI_OK)
            return status;
    }
    self->policy = policy_new(&limits, shared->engine);
    if (self->policy == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "limits");
    if (settings->auth_enabled && settings->auth_file == NULL)
        log_write(LOG_LEVEL_WARN, NULL,
                  "auth.file is not set, so no key is known and every query will be refused; see --auth-file "
                  "and --no-auth");
    self->service = (http_service){
        .calls = &self->calls,
        .engine = shared->engine,
        .query_pool = shared->query_pool,
        .telemetry = shared->telemetry,
        .wake = shared->wake,
        .sources = shared->sources,
        .certificate_expires_s = shared->certificate_expires_s,
        .auth = self->auth,
        .identity = self->identity,
        .policy = self->policy,
        .health_allow = settings->health_allow, /* the lists stay the configuration's */
        .ingest_allow = settings->ingest_allow,
        .storage_allow = settings->storage_allow,
        .prometheus_allow = settings->prometheus_allow,
        .openapi_allow = settings->openapi_allow,
        .ready_allow = settings->ready_allow,
        .ready_min_free = settings->ready_min_free,
        .ready_max_delay_ms = settings->ready_max_delay_s * MS_PER_S,
        .data_dir = settings->journal_enabled ? settings->journal_path : settings->data_dir,
        .backend = settings->backend,
        .admin = {.tokens = settings->admin_tokens, .allow = settings->admin_allow},
        .ingest_max_events = (size_t)settings->max_events,
        .ingest_max_bytes = (size_t)settings->max_body_bytes,
        .list_max_bytes = (size_t)settings->max_list_bytes,
        .list_max_names = (size_t)settings->max_names,
    };
    self->admin_service = self->service;
    self->admin_service.admin.is_local = true;
    return UTAPI_OK;
}

static void one_free(generation *self)
{
    policy_free(self->policy);
    auth_free(self->auth);
    identity_free(self->identity);
    config_done(&self->settings);
    free(self);
}

static bool is_held(const generation *self)
{
    for (size_t i = 0; i < HTTP_CALL_SLOTS; i++)
        if (atomic_load(&self->calls.slots[i].count) > 0)
            return true;
    return false;
}

void generation_free_older(generation *self)
{
    for (generation **link = &self->older; *link != NULL;) {
        generation *old = *link;
        if (is_held(old)) {
            link = &old->older;
            continue;
        }
        *link = old->older;
        one_free(old);
    }
}

void generation_free(generation *self)
{
    for (generation *older; self != NULL; self = older) {
        older = self->older;
        one_free(self);
    }
}
