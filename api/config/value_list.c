/* SPDX-License-Identifier: Apache-2.0 */
/* value_list.c - the kinds that are lists: levels, operations, addresses. In JSON they are arrays of texts,
 * as text they are separated by commas; either way each item goes through the kind's own add function,
 * into a fresh value that replaces the older one only when all of it was fine. */
#include "config/value.h"

#include "config/config.h"
#include "http/allow.h"
#include "utapi/metric.h"
#include "utapi/scoped.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Adds one item to the value that is being built. */
typedef utapi_status add_fn(void *list, const char *item, const config_origin *origin, utapi_error *err);

static utapi_status add_at(add_fn *add, void *list, const char *item, size_t index,
                           const config_origin *origin, utapi_error *err)
{
    char name[200];
    (void)snprintf(name, sizeof name, "%.170s[%zu]", origin->name, index);
    return add(list, item, &(config_origin){.name = name, .folder = origin->folder}, err);
}

static utapi_status add_from_json(add_fn *add, void *list, const json_t *value, const config_origin *origin,
                                  utapi_error *err)
{
    if (!json_is_array(value))
        return utapi_fail(err, UTAPI_INVALID, "%s: expected an array of texts", origin->name);
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *item = json_array_get(value, i);
        if (!json_is_string(item))
            return utapi_fail(err, UTAPI_INVALID, "%s[%zu]: expected a text", origin->name, i);
        const utapi_status status = add_at(add, list, json_string_value(item), i, origin, err);
        if (status != UTAPI_OK)
            return status;
    }
    return UTAPI_OK;
}

static utapi_status add_from_text(add_fn *add, void *list, const char *text, const config_origin *origin,
                                  utapi_error *err)
{
    UTAPI_AUTO_FREE char *copy = strdup(text);
    if (copy == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "configuration");
    char *rest = *copy == '\0' ? NULL : copy;
    for (size_t i = 0; rest != NULL; i++) {
        char *item = strsep(&rest, ",");
        item += strspn(item, " ");
        item[strcspn(item, " ")] = '\0';
        const utapi_status status = add_at(add, list, item, i, origin, err);
        if (status != UTAPI_OK)
            return status;
    }
    return UTAPI_OK;
}

/* ---- levels ------------------------------------------------------------------------------- */

static utapi_status level_add(void *list, const char *item, const config_origin *origin, utapi_error *err)
{
    utapi_level level;
    /* Both words are good (docs/specification.md#recording). */
    const char *name = strcmp(item, "location") == 0 ? "locations" : item;
    if (!utapi_level_find(utapi_string_of(name), &level))
        return utapi_fail(err, UTAPI_INVALID,
                          "%s: expected buckets, accounts, users, service or locations, not \"%.40s\"",
                          origin->name, item);
    *(utapi_level_set *)list |= UTAPI_LEVEL_BIT(level);
    return UTAPI_OK;
}

static utapi_status levels_keep(utapi_level_set levels, const config_origin *origin, void *ret,
                                utapi_error *err)
{
    if (levels == 0)
        return utapi_fail(err, UTAPI_INVALID, "%s: expected at least one level", origin->name);
    *(utapi_level_set *)ret = levels;
    return UTAPI_OK;
}

static utapi_status levels_from_text(const config_key *key, const char *text, const config_origin *origin,
                                     void *ret, utapi_error *err)
{
    (void)key;
    utapi_level_set levels = 0;
    const utapi_status status = add_from_text(level_add, &levels, text, origin, err);
    return status != UTAPI_OK ? status : levels_keep(levels, origin, ret, err);
}

static utapi_status levels_from_json(const config_key *key, const json_t *value, const config_origin *origin,
                                     void *ret, utapi_error *err)
{
    (void)key;
    utapi_level_set levels = 0;
    const utapi_status status = add_from_json(level_add, &levels, value, origin, err);
    return status != UTAPI_OK ? status : levels_keep(levels, origin, ret, err);
}

const config_kind config_levels = {"a list of levels", levels_from_text, levels_from_json, NULL};

/* ---- operations --------------------------------------------------------------------------- */

/* Utapi takes any list, so a name that no operation bears is kept to be warned of. */
static utapi_status operation_add(void *list, const char *item, const config_origin *origin, utapi_error *err)
{
    (void)origin;
    config_counters *counters = list;
    utapi_operation operation;
    if (utapi_operation_find(utapi_string_of(item), &operation)) {
        counters->operations |= UTAPI_OPERATION_BIT(operation);
        return UTAPI_OK;
    }
    char *longer = NULL;
    const char *before = counters->unknown;
    if (asprintf(&longer, "%s%s\"%.60s\"", before != NULL ? before : "", before != NULL ? ", " : "", item) <
        0)
        longer = NULL;
    return config_text_replace(longer, &counters->unknown, err);
}

static void operations_release(void *member)
{
    free(((config_counters *)member)->unknown);
    *(config_counters *)member = (config_counters){0};
}

/* counters are taken. */
static utapi_status operations_keep(config_counters counters, utapi_status status, void *ret)
{
    operations_release(status == UTAPI_OK ? ret : &counters);
    if (status == UTAPI_OK)
        *(config_counters *)ret = counters;
    return status;
}

static utapi_status operations_from_text(const config_key *key, const char *text, const config_origin *origin,
                                         void *ret, utapi_error *err)
{
    (void)key;
    config_counters counters = {0};
    const utapi_status status = add_from_text(operation_add, &counters, text, origin, err);
    return operations_keep(counters, status, ret);
}

static utapi_status operations_from_json(const config_key *key, const json_t *value,
                                         const config_origin *origin, void *ret, utapi_error *err)
{
    (void)key;
    config_counters counters = {0};
    const utapi_status status = add_from_json(operation_add, &counters, value, origin, err);
    return operations_keep(counters, status, ret);
}

const config_kind config_operations = {"a list of operations", operations_from_text, operations_from_json,
                                       operations_release};

/* ---- addresses ---------------------------------------------------------------------------- */

static void addresses_release(void *member)
{
    allow_list_done(member);
    *(allow_list *)member = (allow_list){0};
}

static utapi_status address_add(void *list, const char *item, const config_origin *origin, utapi_error *err)
{
    utapi_error inner = {0};
    const utapi_status status = allow_list_add(list, item, &inner);
    return status == UTAPI_OK ? UTAPI_OK : utapi_fail(err, status, "%s: %s", origin->name, inner.detail);
}

/* Exactly one of text and value is given. */
static utapi_status addresses_read(const config_key *key, const char *text, const json_t *value,
                                   const config_origin *origin, allow_list *ret, utapi_error *err)
{
    allow_list list = {0};
    utapi_status status = UTAPI_OK;
    if (key->kind == &config_addresses_added)
        status = add_from_text(address_add, &list, key->fallback, origin, err);
    if (status == UTAPI_OK)
        status = text != NULL ? add_from_text(address_add, &list, text, origin, err)
                              : add_from_json(address_add, &list, value, origin, err);
    if (status != UTAPI_OK) {
        addresses_release(&list);
        return status;
    }
    addresses_release(ret);
    *ret = list;
    return UTAPI_OK;
}

static utapi_status addresses_from_text(const config_key *key, const char *text, const config_origin *origin,
                                        void *ret, utapi_error *err)
{
    return addresses_read(key, text, NULL, origin, ret, err);
}

static utapi_status addresses_from_json(const config_key *key, const json_t *value,
                                        const config_origin *origin, void *ret, utapi_error *err)
{
    return addresses_read(key, NULL, value, origin, ret, err);
}

const config_kind config_addresses = {"a list of addresses", addresses_from_text, addresses_from_json,
                                      addresses_release};
const config_kind config_addresses_added = {"a list of addresses", addresses_from_text, addresses_from_json,
                                            addresses_release};
