/* SPDX-License-Identifier: Apache-2.0 */
/* config.c - gathers settings in the order default, file, environment, flag: the last one wins. Each goes
 * through its key's row in keys.c; what concerns several keys is resolved at the end. */
#include "config/config.h"

#include "config/file.h"
#include "config/redis.h"
#include "config/value.h"
#include "utapi/scoped.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void config_done(config *self)
{
    size_t count;
    const config_key *keys = config_keys(&count);
    if (self == NULL)
        return;
    for (size_t i = 0; i < count; i++) {
        if (keys[i].kind->release != NULL)
            keys[i].kind->release((char *)self + keys[i].member);
    }
    free(self->redis_uri);
    free(self->local_cache_uri);
    for (size_t i = 0; i < count && self->given != NULL; i++)
        free(self->given[i].text);
    free(self->given);
    free(self->unknown_variables);
    free(self->file);
    free(self->ignored);
    self->given = NULL;
    self->unknown_variables = NULL;
    self->redis_uri = NULL;
    self->local_cache_uri = NULL;
    self->file = NULL;
    self->ignored = NULL;
}

static utapi_status set_from_text(config *self, const config_key *key, const char *text, const char *name,
                                  utapi_error *err)
{
    const config_origin origin = {.name = name};
    return key->kind->from_text(key, text, &origin, (char *)self + key->member, err);
}

static utapi_status set_default(config *self, const config_key *key, const config_inputs *inputs,
                                utapi_error *err)
{
    UTAPI_AUTO_FREE char *computed = key->compute != NULL ? key->compute(inputs) : NULL;
    if (key->compute != NULL && computed == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "configuration");
    const char *text = computed != NULL ? computed : key->fallback;
    const utapi_status status = config_record(self, key, text, CONFIG_BY_DEFAULT, err);
    return status == UTAPI_OK && *text != '\0' ? set_from_text(self, key, text, key->path, err) : status;
}

/* A variable that is set to nothing is not set: container files like to pass those on. */
static const char *from_environment(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && *value != '\0' ? value : NULL;
}

static utapi_status set_from_process(config *self, const config_key *key, const char *flag, bool *is_set,
                                     utapi_error *err)
{
    char name[64];
    (void)snprintf(name, sizeof name, "--%s", key->flag != NULL ? key->flag : key->path);
    const char *variable = from_environment(key->environment);
    if (flag == NULL && variable == NULL)
        return UTAPI_OK;
    *is_set = true;
    const utapi_status status = flag != NULL ? set_from_text(self, key, flag, name, err)
                                             : set_from_text(self, key, variable, key->environment, err);
    if (status != UTAPI_OK)
        return status;
    return config_record(self, key, flag != NULL ? flag : variable,
                         flag != NULL ? CONFIG_FROM_FLAG : CONFIG_FROM_ENVIRONMENT, err);
}

/* Variables that others read: utapictl, and the end of the start. */
static const char *const other_variables[] = {"UTAPI_CONFIG_FILE", "UTAPI_MIGRATE_FROM", "UTAPI_MIGRATE_TO"};

static bool variable_is_known(const char *name, size_t size)
{
    size_t count;
    const config_key *keys = config_keys(&count);
    for (size_t i = 0; i < count; i++)
        if (strlen(keys[i].environment) == size && memcmp(keys[i].environment, name, size) == 0)
            return true;
    for (size_t i = 0; i < sizeof other_variables / sizeof *other_variables; i++)
        if (strlen(other_variables[i]) == size && memcmp(other_variables[i], name, size) == 0)
            return true;
    return false;
}

/* Lists variables that look like ours and are not: a slip there would go unseen. */
static utapi_status find_unknown_variables(config *self, utapi_error *err)
{
    static const char prefix[] = "UTAPI_";
    utapi_status status = UTAPI_OK;
    for (char **variable = environ; *variable != NULL && status == UTAPI_OK; variable++) {
        const size_t size = strcspn(*variable, "=");
        if (strncmp(*variable, prefix, sizeof prefix - 1) != 0 || variable_is_known(*variable, size))
            continue;
        UTAPI_AUTO_FREE char *name = strndup(*variable, size);
        status = name != NULL ? config_text_join(&self->unknown_variables, ", ", name, err)
                              : utapi_fail(err, UTAPI_NO_MEMORY, "configuration");
    }
    return status;
}

/* ---- what concerns several keys ----------------------------------------------------------- */

static bool is_listed(const char *const *names, const char *name)
{
    for (; *names != NULL; names++) {
        if (strcmp(*names, name) == 0)
            return true;
    }
    return false;
}

/* "lmdb, memory" */
static void list_names(const char *const *names, char *ret, size_t size)
{
    size_t used = 0;
    *ret = '\0';
    for (size_t i = 0; names[i] != NULL; i++) {
        const int written = snprintf(ret + used, size - used, "%s%s", i > 0 ? ", " : "", names[i]);
        if (written < 0 || (size_t)written >= size - used)
            return;
        used += (size_t)written;
    }
}

static bool is_given(const bool *is_set, const char *path)
{
    size_t count;
    return is_set[config_key_find(path) - config_keys(&count)];
}

/* What asks for Redis: the file's object, or a key that says where one is; NULL if nothing does. */
static const char *asking_for_redis(const config_file_facts *facts, const bool *is_set)
{
    static const char *const places[] = {"redis.url", "redis.path", "redis.sentinels", "redis.host"};
    if (facts->redis != NULL)
        return facts->redis;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (is_given(is_set, places[i]))
            return places[i];
    }
    return NULL;
}

/* Who asks for Redis and names no backend means that one. */
static utapi_status resolve_backend(config *self, const config_inputs *inputs, const bool *is_set,
                                    const config_file_facts *facts, utapi_error *err)
{
    char known[80];
    assert(self->backend != NULL); /* by default */
    list_names(inputs->backends, known, sizeof known);
    const char *asking = is_given(is_set, "backend") ? NULL : asking_for_redis(facts, is_set);
    if (asking != NULL && !is_listed(inputs->backends, "redis"))
        return utapi_fail(err, UTAPI_INVALID,
                          "%s asks for Redis, which this build cannot store in; choose with the key "
                          "\"backend\" or --backend: %s",
                          asking, known);
    if (asking != NULL)
        return set_from_text(self, config_key_find("backend"), "redis", "backend", err);
    if (!is_listed(inputs->backends, self->backend))
        return utapi_fail(err, UTAPI_INVALID,
                          "backend: this build cannot store in \"%.40s\"; choose one of: %s", self->backend,
                          known);
    return UTAPI_OK;
}

/* Utapi's list of undelivered events belongs to what its clients write into Redis themselves. CloudServer's file
 * always says where it would be, so elsewhere only localCache.url, which is ours, means that there is one. */
static utapi_status resolve_redis(config *self, const bool *is_set, const config_file_facts *facts,
                                  utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    if (strcmp(self->backend, "redis") != 0) {
        if (facts->redis != NULL)
            status = config_text_join(&self->ignored, ", ", facts->redis, err);
        if (status == UTAPI_OK && is_given(is_set, "localCache.url"))
            status = config_redis_uri(&self->local_cache, "localCache", NULL, &self->local_cache_uri, err);
        else if (status == UTAPI_OK && facts->local_cache != NULL)
            status = config_text_join(&self->ignored, ", ", facts->local_cache, err);
        return status;
    }
    const bool has_cache = facts->local_cache != NULL || is_given(is_set, "localCache.url") ||
                           is_given(is_set, "localCache.host") || is_given(is_set, "localCache.sentinels");
    status = config_redis_uri(&self->redis, "redis", self->component, &self->redis_uri, err);
    if (status == UTAPI_OK && has_cache)
        status = config_redis_uri(&self->local_cache, "localCache", NULL, &self->local_cache_uri, err);
    return status;
}

/* Redis is another machine that may be away: it is never without a journal. */
static utapi_status resolve_journal(config *self, const bool *is_set, utapi_error *err)
{
    if (self->redis_uri != NULL && !self->journal_enabled && is_given(is_set, "journal.enabled"))
        return utapi_fail(err, UTAPI_INVALID,
                          "journal.enabled: events always go to the journal before Redis, so it cannot be "
                          "false; leave it out");
    self->journal_enabled = self->journal_enabled || self->redis_uri != NULL;
    if (self->journal_path == NULL && asprintf(&self->journal_path, "%s/journal", self->data_dir) < 0) {
        self->journal_path = NULL;
        return utapi_fail(err, UTAPI_NO_MEMORY, "configuration");
    }
    return UTAPI_OK;
}

static utapi_status resolve_tls(config *self, utapi_error *err)
{
    const bool is_half = (self->tls_key == NULL) != (self->tls_cert == NULL);
    self->has_tls = self->tls_enabled && self->tls_key != NULL && self->tls_cert != NULL;
    if (self->tls_enabled && is_half)
        return utapi_fail(err, UTAPI_INVALID, "certFilePaths: key and cert belong together: %s is not set",
                          self->tls_key == NULL ? "key" : "cert");
    if (!self->has_tls && (self->tls_port != 0 || self->tls_client_ca != NULL) && self->tls_enabled)
        return utapi_fail(err, UTAPI_INVALID, "%s: there is no TLS without certFilePaths.key and .cert",
                          self->tls_port != 0 ? "tls.port" : "tls.clientCA");
    return UTAPI_OK;
}

static void resolve_operations(config *self)
{
    self->operations = self->disable_operations ? 0 : UTAPI_ALL_OPERATIONS;
    if (self->enabled_operations.operations != 0 || self->enabled_operations.unknown != NULL)
        self->operations = self->enabled_operations.operations;
}

static utapi_status resolve_limits(const config *self, utapi_error *err)
{
    if (self->queue_events < self->max_events)
        return utapi_fail(
            err, UTAPI_INVALID,
            "limits.queueEvents: %lld is less than limits.maxEvents, %lld: no full request would fit",
            (long long)self->queue_events, (long long)self->max_events);
    return UTAPI_OK;
}

/* ---- all of it ---------------------------------------------------------------------------- */

static utapi_status gather(config *self, const config_inputs *inputs, bool *is_set, utapi_error *err)
{
    size_t count;
    const config_key *keys = config_keys(&count);
    config_file_facts facts = {0};
    utapi_status status = UTAPI_OK;
    for (size_t i = 0; i < count && status == UTAPI_OK; i++)
        status = set_default(self, &keys[i], inputs, err);
    if (status == UTAPI_OK && self->file != NULL)
        status = config_file_read(self->file, self, is_set, &facts, err);
    for (size_t i = 0; i < count && status == UTAPI_OK; i++)
        status = set_from_process(self, &keys[i], inputs->flags[i], &is_set[i], err);
    if (status == UTAPI_OK)
        status = resolve_backend(self, inputs, is_set, &facts, err);
    if (status == UTAPI_OK)
        status = resolve_redis(self, is_set, &facts, err);
    if (status == UTAPI_OK)
        status = resolve_journal(self, is_set, err);
    if (status == UTAPI_OK)
        status = resolve_tls(self, err);
    if (status == UTAPI_OK)
        status = resolve_limits(self, err);
    resolve_operations(self);
    return status;
}

utapi_status config_load(const config_inputs *inputs, config *ret, utapi_error *err)
{
    size_t count;
    (void)config_keys(&count);
    const char *file = inputs->file != NULL ? inputs->file : from_environment("UTAPI_CONFIG_FILE");
    UTAPI_AUTO_FREE bool *is_set = calloc(count, sizeof *is_set);
    config self = {.file = file != NULL ? strdup(file) : NULL, .given = calloc(count, sizeof *self.given)};
    utapi_status status;
    if (is_set == NULL || self.given == NULL || (file != NULL && self.file == NULL))
        status = utapi_fail(err, UTAPI_NO_MEMORY, "configuration");
    else
        status = gather(&self, inputs, is_set, err);
    if (status == UTAPI_OK)
        status = find_unknown_variables(&self, err);
    if (status == UTAPI_OK)
        *ret = self;
    else
        config_done(&self);
    return status;
}

/* ---- showing it --------------------------------------------------------------------------- */

static bool is_secret(const config_key *key)
{
    return key->kind == &config_secret || key->kind == &config_tokens || key->kind == &config_redis_url;
}

bool config_print(const config *self, FILE *out)
{
    static const char *const sources[] = {[CONFIG_BY_DEFAULT] = "default",
                                          [CONFIG_FROM_FILE] = "file",
                                          [CONFIG_FROM_ENVIRONMENT] = "environment",
                                          [CONFIG_FROM_FLAG] = "flag"};
    size_t count;
    const config_key *keys = config_keys(&count);
    json_auto_t *all = json_object();
    for (size_t i = 0; i < count; i++) {
        const char *text = self->given[i].text;
        json_t *value = json_pack("{ss, ss}", "value", *text != '\0' && is_secret(&keys[i]) ? "***" : text,
                                  "from", sources[self->given[i].source]);
        if (json_object_set_new(all, keys[i].path, value) != 0)
            return false;
    }
    return json_dumpf(all, out, JSON_INDENT(2)) == 0 && fputc('\n', out) != EOF && fflush(out) == 0;
}

char *config_restart_needed(const config *before, const config *after)
{
    size_t count;
    const config_key *keys = config_keys(&count);
    char *list = NULL;
    for (size_t i = 0; i < count; i++)
        if (!keys[i].is_live && strcmp(before->given[i].text, after->given[i].text) != 0)
            (void)!config_text_join(&list, ", ", keys[i].path, NULL);
    return list;
}
