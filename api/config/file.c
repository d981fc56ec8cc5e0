/* SPDX-License-Identifier: Apache-2.0 */
/* file.c - walks a JSON file along the table of keys. A file with an object `utapi` or `restEndpoints` is
 * CloudServer's: the first is walked, and of the others only those that CloudServer hands on to Utapi. */
#include "config/file.h"

#include "config/value.h"
#include "utapi/scoped.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define PATH_BYTES 128

/* One walk through a file. */
typedef struct walk {
    config *config;
    bool *is_set;
    config_file_facts *facts;
    const char *file;   /* for messages: the end of the path, if it is long */
    const char *folder; /* that the file is in */
    const char *prefix; /* of the object that is walked: "" or "utapi." */
} walk;

/* Top-level keys that CloudServer hands on to Utapi beside its `utapi` object. */
static const char *const handed_on[] = {"certFilePaths", "healthChecks", "localCache", "redis", "vaultd"};

static utapi_status refuse_unknown(const walk *self, const char *path, utapi_error *err)
{
    const char *nearest = config_key_nearest(path);
    if (nearest == NULL)
        return utapi_fail(err, UTAPI_INVALID, "%s: %s%s: there is no such key", self->file, self->prefix,
                          path);
    return utapi_fail(err, UTAPI_INVALID, "%s: %s%s: there is no such key; did you mean %s%s?", self->file,
                      self->prefix, path, self->prefix, nearest);
}

static utapi_status read_value(const walk *self, const config_key *key, const json_t *value, utapi_error *err)
{
    char name[PATH_BYTES + 64];
    size_t count;
    (void)snprintf(name, sizeof name, "%s: %s%s", self->file, self->prefix, key->path);
    const config_origin origin = {.name = name, .folder = self->folder};
    const utapi_status status =
        key->kind->from_json(key, value, &origin, (char *)self->config + key->member, err);
    if (status != UTAPI_OK)
        return status;
    UTAPI_AUTO_FREE char *text = json_is_string(value) ? strdup(json_string_value(value))
                                                       : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    self->is_set[key - config_keys(&count)] = true;
    return config_record(self->config, key, text, CONFIG_FROM_FILE, err);
}

static utapi_status ignore_key(const walk *self, const char *path, utapi_error *err)
{
    char whole[PATH_BYTES];
    (void)snprintf(whole, sizeof whole, "%s%s", self->prefix, path);
    return config_text_join(&self->config->ignored, ", ", whole, err);
}

/* Objects that stand in `utapi` or beside it and are taken as a whole: their members do not mix. */
static const struct {
    const char *group, *in_utapi;
    size_t fact; /* offset in config_file_facts */
} wholes[] = {
    {"redis", "utapi.redis", offsetof(config_file_facts, redis)},
    {"localCache", "utapi.localCache", offsetof(config_file_facts, local_cache)},
};

/* Takes back what an object said that is now said again. */
static utapi_status file_drop_group(const walk *self, const char *group, utapi_error *err)
{
    size_t count;
    const config_key *keys = config_keys(&count);
    utapi_status status = UTAPI_OK;
    for (size_t i = 0; i < count && status == UTAPI_OK; i++) {
        const config_key *key = &keys[i];
        const config_origin origin = {.name = key->path};
        void *member = (char *)self->config + key->member;
        if (strncmp(key->path, group, strlen(group)) != 0 || key->path[strlen(group)] != '.')
            continue;
        self->is_set[i] = false;
        if (key->kind->release != NULL)
            key->kind->release(member);
        if (*key->fallback != '\0')
            status = key->kind->from_text(key, key->fallback, &origin, member, err);
    }
    return status;
}

static utapi_status record_whole(const walk *self, const char *path, utapi_error *err)
{
    for (size_t i = 0; i < sizeof wholes / sizeof *wholes; i++) {
        if (strcmp(wholes[i].group, path) != 0)
            continue;
        const char **fact = (const char **)(void *)((char *)self->facts + wholes[i].fact);
        if (*fact != NULL)
            return file_drop_group(self, path, err);
        *fact = *self->prefix != '\0' ? wholes[i].in_utapi : wholes[i].group;
    }
    return UTAPI_OK;
}

static utapi_status walk_object(const walk *self, const json_t *object, const char *group, utapi_error *err);

static utapi_status walk_member(const walk *self, const json_t *value, const char *path, utapi_error *err)
{
    const utapi_status status = record_whole(self, path, err);
    if (status != UTAPI_OK)
        return status;
    if (config_key_is_foreign(path, json_is_object(value)))
        return ignore_key(self, path, err);
    const config_key *key = config_key_find(path);
    if (key != NULL)
        return read_value(self, key, value, err);
    if (!config_key_is_group(path))
        return refuse_unknown(self, path, err);
    if (!json_is_object(value))
        return utapi_fail(err, UTAPI_INVALID, "%s: %s%s: expected an object", self->file, self->prefix, path);
    return walk_object(self, value, path, err);
}

static utapi_status walk_object(const walk *self, const json_t *object, const char *group, utapi_error *err)
{
    const char *name;
    json_t *value;
    json_object_foreach ((json_t *)(uintptr_t)object, name, value) {
        char path[PATH_BYTES];
        if (strcmp(name, "//") == 0)
            continue; /* a comment */
        (void)snprintf(path, sizeof path, "%s%s%.60s", group, *group != '\0' ? "." : "", name);
        const utapi_status status = walk_member(self, value, path, err);
        if (status != UTAPI_OK)
            return status;
    }
    return UTAPI_OK;
}

/* CloudServer hands its top-level keys on last, so they win over those in `utapi`. */
static utapi_status walk_cloudserver(walk *self, const json_t *root, const json_t *utapi, utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    if (utapi != NULL && !json_is_object(utapi))
        return utapi_fail(err, UTAPI_INVALID, "%s: utapi: expected an object", self->file);
    self->prefix = "utapi.";
    if (utapi != NULL)
        status = walk_object(self, utapi, "", err);
    self->prefix = "";
    for (size_t i = 0; i < sizeof handed_on / sizeof *handed_on && status == UTAPI_OK; i++) {
        const json_t *value = json_object_get(root, handed_on[i]);
        if (value != NULL)
            status = walk_member(self, value, handed_on[i], err);
    }
    return status;
}

static utapi_status parse_file(const char *path, const char *name, json_t **ret, utapi_error *err)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "%s: %s", name, strerror(errno));
    json_error_t error;
    json_t *root = json_loadf(file, JSON_REJECT_DUPLICATES, &error);
    const int failure = ferror(file) ? errno : 0;
    (void)fclose(file);
    if (root == NULL && failure != 0)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "%s: %s", name, strerror(failure));
    if (root == NULL)
        return utapi_fail(err, UTAPI_INVALID, "%s: line %d: %s", name, error.line, error.text);
    if (!json_is_object(root)) {
        json_decref(root);
        return utapi_fail(err, UTAPI_INVALID, "%s: expected a JSON object", name);
    }
    *ret = root;
    return UTAPI_OK;
}

/* The folder of a path, owned; NULL if out of memory. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return strdup(".");
    return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

utapi_status config_file_read(const char *path, config *ret, bool *is_set, config_file_facts *ret_facts,
                              utapi_error *err)
{
    const size_t size = strlen(path);
    const char *name = size > 60 ? path + size - 60 : path; /* leaves room for the sentence */
    UTAPI_AUTO_FREE char *folder = folder_of(path);
    json_auto_t *root = NULL;
    if (folder == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "configuration");
    const utapi_status status = parse_file(path, name, &root, err);
    if (status != UTAPI_OK)
        return status;

    walk self = {
        .config = ret, .is_set = is_set, .facts = ret_facts, .file = name, .folder = folder, .prefix = ""};
    const json_t *utapi = json_object_get(root, "utapi");
    const bool is_cloudservers = utapi != NULL || json_object_get(root, "restEndpoints") != NULL;
    return is_cloudservers ? walk_cloudserver(&self, root, utapi, err) : walk_object(&self, root, "", err);
}
