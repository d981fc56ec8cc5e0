/* SPDX-License-Identifier: Apache-2.0 */
/**
 * value.h - the kinds of values that keys have, each read from JSON and from text (environment, flags,
 * defaults). Internal to config/.
 */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include "config/keys.h"
#include "utapi/status.h"

#include <jansson.h>

/** Where a value stands: for messages, and for paths that are relative. All borrowed. */
typedef struct config_origin {
    const char *name;   /* "config.json: lmdb.path", "UTAPI_DATA_DIR", "--data" */
    const char *folder; /* that relative paths start from; NULL: the working directory */
} config_origin;

/** Reads a value into the member at `ret`, which holds an older value; on failure it stays. */
typedef utapi_status config_from_text_fn(const config_key *key, const char *text, const config_origin *origin,
                                         void *ret, utapi_error *err);
typedef utapi_status config_from_json_fn(const config_key *key, const json_t *value,
                                         const config_origin *origin, void *ret, utapi_error *err);
typedef void config_release_fn(void *member);

/** Frees a char * member, and makes it NULL. */
void config_text_release(void *member);

/** Puts a text into a char * member. @param text  taken; NULL: there was no memory */
UTAPI_MUST_USE utapi_status config_text_replace(char *text, void *ret, utapi_error *err);

/** Adds an item to a text that lists them. @param list  owned; NULL: none yet */
UTAPI_MUST_USE utapi_status config_text_join(char **list, const char *separator, const char *item,
                                             utapi_error *err);

struct config;

/** Notes what a key was given, and by what. @param text  copied; NULL: there was no memory */
UTAPI_MUST_USE utapi_status config_record(struct config *self, const config_key *key, const char *text,
                                          int source, utapi_error *err);

#define CONFIG_HOST_MAX_BYTES 255

/** Whether this may be a host's name or address. */
bool config_is_host(const char *text, size_t size);

typedef struct config_kind {
    const char *name; /* "a whole number" */
    config_from_text_fn *from_text;
    config_from_json_fn *from_json;
    config_release_fn *release; /* frees what a member owns; NULL: nothing */
} config_kind;

extern const config_kind config_integer; /* int64_t; min, max */
extern const config_kind config_size;    /* int64_t bytes: 67108864 or "64 MiB"; min, max */
extern const config_kind config_time; /* int64_t ms since the epoch: 1142294400000 or "2006-03-14T00:00Z" */
extern const config_kind config_boolean;    /* bool */
extern const config_kind config_name;       /* char *, not empty */
extern const config_kind config_path;       /* char *, not empty; NULL by default where fallback is "" */
extern const config_kind config_address;    /* char *, an IPv4 or IPv6 address */
extern const config_kind config_choice;     /* int: an index into choices */
extern const config_kind config_levels;     /* utapi_level_set */
extern const config_kind config_operations; /* config_counters */
extern const config_kind config_addresses;  /* allow_list */
extern const config_kind config_tokens;     /* char *, separated by commas, in no message; NULL: none */
extern const config_kind config_host;       /* char *, a host's name or address */
extern const config_kind config_secret;     /* char *, in no message; NULL where it is "" */
extern const config_kind config_redis_url;  /* char *, in no message; only its scheme is looked at */
extern const config_kind
    config_endpoints; /* char *, "host:port,host:port"; in JSON also an array of objects */

/** allow_list that the default always belongs to: Utapi adds what healthChecks.allowFrom says to it. */
extern const config_kind config_addresses_added;

#endif
