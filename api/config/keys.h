/* SPDX-License-Identifier: Apache-2.0 */
/**
 * keys.h - the table of every key: how it is called in a file, in the environment and as a flag, what it
 * may be, what it is by default, what it is for.
 *
 * Parsing, --help and the test that reads docs/configuration.md all go by this table.
 */
#ifndef CONFIG_KEYS_H
#define CONFIG_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config_inputs;
struct config_kind;

typedef struct config_key {
    const char *path;               /* in a file: "lmdb.mapSize" is member mapSize of object lmdb */
    const struct config_kind *kind; /* what a value looks like: value.h */
    size_t member;                  /* offset in config */
    int64_t min, max;               /* of numbers */
    const char *const *choices;     /* of CHOICE, ended by NULL */
    const char *fallback;           /* the default, as it would stand in the environment; "": none */

    /** Where the default depends on the machine: makes it (owned: free()), NULL if out of memory. fallback
     * then says in words what it is. */
    char *(*compute)(const struct config_inputs *inputs);

    const char *environment;
    const char *flag;       /* without "--"; NULL: there is none */
    const char *argument;   /* what --help calls the flag's value; NULL: the flag stands alone */
    const char *flag_value; /* what a flag that stands alone means */
    const char *help;       /* one line */
    bool is_live;           /* SIGHUP reads it again; the others want a restart */
} config_key;

/** Every key, in the order of the documentation. Static storage. */
const config_key *config_keys(size_t *ret_count);

/** The key of that path; NULL if there is none. */
const config_key *config_key_find(const char *path);

/** Whether `path` is an object that holds keys: "lmdb" holds "lmdb.mapSize". */
bool config_key_is_group(const char *path);

/** Whether Utapi or CloudServer's client has a key of that path which means nothing here. */
bool config_key_is_foreign(const char *path, bool is_object);

/**
 * The known key whose spelling is nearest; NULL if none is near.
 *
 * @param path  as somebody wrote it
 */
const char *config_key_nearest(const char *path);

#endif
