/* SPDX-License-Identifier: Apache-2.0 */
/*
 * identity.c - authdata.json, checked member by member.
 *
 * The parsed document stays alive, and everything handed out points into it: a secret is in memory once,
 * where identity_free() can wipe it. Two sorted arrays answer the look-ups.
 */
#include "auth/identity.h"
#include "auth/crypto.h"
#include "auth/sigv4.h"
#include "utapi/scoped.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACCOUNT_ID_DIGITS 12U

typedef struct account {
    utapi_string id;
    utapi_string canonical_id;
} account;

struct identity {
    json_t *document;  /* NULL: without accounts */
    account *accounts; /* by id */
    size_t account_count;
    identity_key *keys; /* by access */
    size_t key_count;
};

UTAPI_AUTO_DEFINE(identity, identity_free)

/* Where the reader is, for its messages. */
typedef struct place {
    const char *path;
    size_t account;
    utapi_error *err;
} place;

static void close_file(FILE **file)
{
    if (*file != NULL)
        fclose(*file);
}

static size_t read_some(void *buffer, size_t size, void *file)
{
    const size_t got = fread(buffer, 1, size, file);
    return ferror(file) ? (size_t)-1 : got;
}

static utapi_status load_document(const char *path, json_t **ret, utapi_error *err)
{
    __attribute__((cleanup(close_file))) FILE *file = fopen(path, "re");
    if (file == NULL)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "%s: %s", path, strerror(errno));
    setvbuf(file, NULL, _IONBF, 0); /* a buffer would keep a copy of the secrets */

    json_error_t error;
    errno = 0;
    *ret = json_load_callback(read_some, file, JSON_REJECT_DUPLICATES, &error);
    if (ferror(file))
        return utapi_fail(err, UTAPI_UNAVAILABLE, "%s: %s", path, strerror(errno));
    /* The parser has no line to tell where it had no memory to begin with. */
    if (*ret == NULL && (json_error_code(&error) == json_error_out_of_memory || error.line < 0))
        return utapi_fail(err, UTAPI_NO_MEMORY, "%s", path);
    if (*ret == NULL)
        return utapi_fail(err, UTAPI_INVALID, "%s: line %d: %s", path, error.line, error.text);
    return UTAPI_OK;
}

static bool is_name(const json_t *value, size_t max_bytes)
{
    return json_is_string(value) && json_string_length(value) >= 1 && json_string_length(value) <= max_bytes;
}

static utapi_string borrow(const json_t *value)
{
    return (utapi_string){json_string_value(value), json_string_length(value)};
}

static bool is_account_id(const json_t *value)
{
    return is_name(value, ACCOUNT_ID_DIGITS) &&
           strspn(json_string_value(value), "0123456789") == ACCOUNT_ID_DIGITS;
}

static utapi_status add_key(identity *self, const place *at, size_t index, const json_t *entry,
                            const account *owner)
{
    const json_t *access = json_object_get(entry, "access");
    const json_t *secret = json_object_get(entry, "secret");
    if (!is_name(access, UTAPI_NAME_MAX))
        return utapi_fail(at->err, UTAPI_INVALID,
                          "%s: accounts[%zu].keys[%zu].access: expected a text of 1 to %d bytes", at->path,
                          at->account, index, UTAPI_NAME_MAX);
    if (!is_name(secret, SIGV4_SECRET_MAX))
        return utapi_fail(at->err, UTAPI_INVALID,
                          "%s: accounts[%zu].keys[%zu].secret: expected a text of 1 to %d bytes", at->path,
                          at->account, index, SIGV4_SECRET_MAX);
    self->keys[self->key_count++] = (identity_key){
        .access = borrow(access),
        .secret = borrow(secret),
        .account_id = owner->id,
        .canonical_id = owner->canonical_id,
    };
    return UTAPI_OK;
}

static utapi_status add_keys(identity *self, const place *at, const json_t *entries, const account *owner)
{
    if (!json_is_array(entries))
        return utapi_fail(at->err, UTAPI_INVALID, "%s: accounts[%zu].keys: expected an array", at->path,
                          at->account);
    for (size_t i = 0; i < json_array_size(entries); i++) {
        const utapi_status status = add_key(self, at, i, json_array_get(entries, i), owner);
        if (status != UTAPI_OK)
            return status;
    }
    return UTAPI_OK;
}

/* Members that describe an account: not needed here, but a wrong type says that the file is not what we think. */
static utapi_status check_description(const place *at, const json_t *entry)
{
    static const char *const members[] = {"name", "email", "arn"};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        const json_t *member = json_object_get(entry, members[i]);
        if (member != NULL && !json_is_string(member))
            return utapi_fail(at->err, UTAPI_INVALID, "%s: accounts[%zu].%s: expected a text", at->path,
                              at->account, members[i]);
    }
    return UTAPI_OK;
}

static utapi_status add_account(identity *self, const place *at, const json_t *entry)
{
    if (!json_is_object(entry))
        return utapi_fail(at->err, UTAPI_INVALID, "%s: accounts[%zu]: expected an object", at->path,
                          at->account);
    const json_t *id = json_object_get(entry, "shortid");
    const json_t *canonical_id = json_object_get(entry, "canonicalID");
    if (!is_account_id(id))
        return utapi_fail(at->err, UTAPI_INVALID, "%s: accounts[%zu].shortid: expected %u digits", at->path,
                          at->account, ACCOUNT_ID_DIGITS);
    if (!is_name(canonical_id, UTAPI_NAME_MAX))
        return utapi_fail(at->err, UTAPI_INVALID,
                          "%s: accounts[%zu].canonicalID: expected a text of 1 to %d bytes", at->path,
                          at->account, UTAPI_NAME_MAX);
    const account added = {.id = borrow(id), .canonical_id = borrow(canonical_id)};
    self->accounts[self->account_count++] = added;

    const utapi_status status = check_description(at, entry);
    return status != UTAPI_OK ? status : add_keys(self, at, json_object_get(entry, "keys"), &added);
}

static size_t count_keys(const json_t *accounts)
{
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(accounts); i++)
        count += json_array_size(json_object_get(json_array_get(accounts, i), "keys"));
    return count;
}

static utapi_status add_accounts(identity *self, const char *path, utapi_error *err)
{
    const json_t *accounts = json_object_get(self->document, "accounts");
    if (!json_is_array(accounts))
        return utapi_fail(err, UTAPI_INVALID, "%s: accounts: expected an array", path);
    /* One more than needed: calloc() of nothing may give NULL. */
    self->accounts = calloc(json_array_size(accounts) + 1, sizeof *self->accounts);
    self->keys = calloc(count_keys(accounts) + 1, sizeof *self->keys);
    if (self->accounts == NULL || self->keys == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "%s", path);

    for (size_t i = 0; i < json_array_size(accounts); i++) {
        const place at = {.path = path, .account = i, .err = err};
        const utapi_status status = add_account(self, &at, json_array_get(accounts, i));
        if (status != UTAPI_OK)
            return status;
    }
    return UTAPI_OK;
}

static int compare_accounts(const void *left, const void *right)
{
    const account *a = left;
    const account *b = right;
    return utapi_string_compare(a->id, b->id);
}

static int compare_keys(const void *left, const void *right)
{
    const identity_key *a = left;
    const identity_key *b = right;
    return utapi_string_compare(a->access, b->access);
}

static utapi_status sort_and_check(identity *self, const char *path, utapi_error *err)
{
    assert(self->accounts != NULL && self->keys != NULL);
    qsort(self->accounts, self->account_count, sizeof *self->accounts, compare_accounts);
    qsort(self->keys, self->key_count, sizeof *self->keys, compare_keys);
    for (size_t i = 1; i < self->account_count; i++) {
        if (compare_accounts(&self->accounts[i - 1], &self->accounts[i]) == 0)
            return utapi_fail(err, UTAPI_INVALID, "%s: two accounts have the shortid %s", path,
                              self->accounts[i].id.data);
    }
    for (size_t i = 1; i < self->key_count; i++) {
        if (compare_keys(&self->keys[i - 1], &self->keys[i]) == 0)
            return utapi_fail(err, UTAPI_INVALID, "%s: two keys have the access key ID %s", path,
                              self->keys[i].access.data);
    }
    return UTAPI_OK;
}

utapi_status identity_load(const char *path, identity **ret, utapi_error *err)
{
    UTAPI_AUTO(identity) *self = identity_new_empty();
    if (self == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "%s", path);
    utapi_status status = load_document(path, &self->document, err);
    if (status == UTAPI_OK)
        status = add_accounts(self, path, err);
    if (status == UTAPI_OK)
        status = sort_and_check(self, path, err);
    if (status == UTAPI_OK)
        *ret = UTAPI_TAKE(self);
    return status;
}

identity *identity_new_empty(void)
{
    return calloc(1, sizeof(identity));
}

void identity_free(identity *self)
{
    if (self == NULL)
        return;
    for (size_t i = 0; i < self->key_count; i++)
        crypto_wipe((char *)self->keys[i].secret.data, self->keys[i].secret.size);
    json_decref(self->document);
    free(self->accounts);
    free(self->keys);
    free(self);
}

const identity_key *identity_find_key(const identity *self, utapi_string access)
{
    if (self == NULL || self->key_count == 0)
        return NULL;
    const identity_key wanted = {.access = access};
    return bsearch(&wanted, self->keys, self->key_count, sizeof *self->keys, compare_keys);
}

utapi_string identity_canonical_id(const identity *self, utapi_string account_id)
{
    if (self == NULL || self->account_count == 0)
        return account_id;
    const account wanted = {.id = account_id};
    const account *found =
        bsearch(&wanted, self->accounts, self->account_count, sizeof *self->accounts, compare_accounts);
    return found != NULL ? found->canonical_id : account_id;
}
