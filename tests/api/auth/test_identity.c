/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_identity.c - reading authdata.json: who is found, and what is said of files that are wrong.
 */
#include "authdata.h"
#include "check.h"

#include <stdio.h>
#include <string.h>

#define ACCOUNT(members) "{\"accounts\": [{" members "}]}"
#define IDS              "\"canonicalID\": \"c\", \"shortid\": \"123456789012\""
#define KEY(access)      "{\"access\": \"" access "\", \"secret\": \"s\"}"

#define assert_text_equal(expected, actual)                             \
    do {                                                                \
        assert_int_equal((actual).size, strlen(expected));              \
        assert_memory_equal((actual).data, expected, strlen(expected)); \
    } while (0)

/* A file, and what is said of it after its name. */
typedef struct bad_file {
    const char *name;
    const char *text;
    const char *complaint; /* how it begins */
} bad_file;

static const bad_file bad_files[] = {
    {"a file that is empty is refused", "", "line 1: "},
    {"a syntax error is told with its line", "{\n\n\"accounts\": [}", "line 3: "},
    {"a member twice is refused", "{\"accounts\": [], \"accounts\": []}", "line 1: duplicate object key"},
    {"a file must hold an object", "[]", "accounts: expected an array"},
    {"accounts must be there", "{}", "accounts: expected an array"},
    {"accounts must be an array", "{\"accounts\": {}}", "accounts: expected an array"},
    {"an account must be an object", "{\"accounts\": [null]}", "accounts[0]: expected an object"},
    {"an account needs a shortid", ACCOUNT("\"canonicalID\": \"c\""),
     "accounts[0].shortid: expected 12 digits"},
    {"a shortid has twelve digits", ACCOUNT("\"canonicalID\": \"c\", \"shortid\": \"12345678901\""),
     "accounts[0].shortid: expected 12 digits"},
    {"a shortid has digits only", ACCOUNT("\"canonicalID\": \"c\", \"shortid\": \"12345678901x\""),
     "accounts[0].shortid: expected 12 digits"},
    {"a shortid is a text", ACCOUNT("\"canonicalID\": \"c\", \"shortid\": 123456789012"),
     "accounts[0].shortid: expected 12 digits"},
    {"an account needs a canonical ID", ACCOUNT("\"shortid\": \"123456789012\""),
     "accounts[0].canonicalID: expected a text of 1 to 255 bytes"},
    {"a canonical ID is not empty", ACCOUNT("\"canonicalID\": \"\", \"shortid\": \"123456789012\""),
     "accounts[0].canonicalID: expected a text of 1 to 255 bytes"},
    {"a name is a text", ACCOUNT(IDS ", \"name\": 1, \"keys\": []"), "accounts[0].name: expected a text"},
    {"an email is a text", ACCOUNT(IDS ", \"email\": 1, \"keys\": []"), "accounts[0].email: expected a text"},
    {"an arn is a text", ACCOUNT(IDS ", \"arn\": {}, \"keys\": []"), "accounts[0].arn: expected a text"},
    {"an account needs keys", ACCOUNT(IDS), "accounts[0].keys: expected an array"},
    {"keys must be an array", ACCOUNT(IDS ", \"keys\": {}"), "accounts[0].keys: expected an array"},
    {"a key must be an object", ACCOUNT(IDS ", \"keys\": [" KEY("a") ", 7]"),
     "accounts[0].keys[1].access: expected a text of 1 to 255 bytes"},
    {"a key needs an access key ID", ACCOUNT(IDS ", \"keys\": [{\"secret\": \"s\"}]"),
     "accounts[0].keys[0].access: expected a text of 1 to 255 bytes"},
    {"a key needs a secret", ACCOUNT(IDS ", \"keys\": [{\"access\": \"a\", \"secret\": null}]"),
     "accounts[0].keys[0].secret: expected a text of 1 to 256 bytes"},
    {"a secret is not empty", ACCOUNT(IDS ", \"keys\": [{\"access\": \"a\", \"secret\": \"\"}]"),
     "accounts[0].keys[0].secret: expected a text of 1 to 256 bytes"},
    {"an access key ID is nobody else's", ACCOUNT(IDS ", \"keys\": [" KEY("b") "," KEY("a") "," KEY("b") "]"),
     "two keys have the access key ID b"},
    {"a shortid is nobody else's",
     "{\"accounts\": [{" IDS
     ", \"keys\": []}, {\"canonicalID\": \"d\", \"shortid\": \"123456789012\", \"keys\": []}]}",
     "two accounts have the shortid 123456789012"},
};

#define BAD_FILES (sizeof bad_files / sizeof *bad_files)

static void refuses_a_bad_file(void **state)
{
    const bad_file *bad = *state;
    identity *loaded = NULL;
    utapi_error err = {0};
    char path[64];
    char expected[sizeof err.detail];
    assert_int_equal(authdata_load(bad->text, path, &loaded, &err), UTAPI_INVALID);
    assert_null(loaded);
    const int size = snprintf(expected, sizeof expected, "%s: %s", path, bad->complaint);
    err.detail[size] = '\0'; /* the parser's own words may go on */
    assert_string_equal(err.detail, expected);
}

static void a_key_leads_to_its_account(void **state)
{
    (void)state;
    identity *loaded = authdata_new();
    const identity_key *key = identity_find_key(loaded, utapi_string_of("accessKey2"));
    assert_non_null(key);
    assert_text_equal("verySecretKey2", key->secret);
    assert_text_equal("123456789013", key->account_id);
    assert_text_equal("79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2bf", key->canonical_id);
    identity_free(loaded);
}

static void an_unknown_key_is_nobodys(void **state)
{
    (void)state;
    identity *loaded = authdata_new();
    assert_null(identity_find_key(loaded, utapi_string_of("accessKey")));
    assert_null(identity_find_key(loaded, utapi_string_of("accessKey3")));
    assert_null(identity_find_key(loaded, utapi_string_of("")));
    identity_free(loaded);
}

static void an_account_id_maps_to_its_canonical_id(void **state)
{
    (void)state;
    identity *loaded = authdata_new();
    assert_text_equal("79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be",
                      identity_canonical_id(loaded, utapi_string_of("123456789012")));
    assert_text_equal("210987654321", identity_canonical_id(loaded, utapi_string_of("210987654321")));
    identity_free(loaded);
}

static void an_empty_identity_knows_nobody(void **state)
{
    (void)state;
    identity *empty = identity_new_empty();
    assert_non_null(empty);
    assert_null(identity_find_key(empty, utapi_string_of("accessKey1")));
    assert_text_equal("123456789012", identity_canonical_id(empty, utapi_string_of("123456789012")));
    assert_null(identity_find_key(NULL, utapi_string_of("accessKey1")));
    assert_text_equal("123456789012", identity_canonical_id(NULL, utapi_string_of("123456789012")));
    identity_free(empty);
    identity_free(NULL);
}

static void an_account_may_have_no_key(void **state)
{
    (void)state;
    identity *loaded = NULL;
    utapi_error err = {0};
    CHECK_OK(authdata_load(ACCOUNT(IDS ", \"keys\": []"), NULL, &loaded, &err), &err);
    assert_text_equal("c", identity_canonical_id(loaded, utapi_string_of("123456789012")));
    identity_free(loaded);
}

static void a_file_that_cannot_be_read_is_told_from_a_wrong_one(void **state)
{
    (void)state;
    identity *loaded = NULL;
    utapi_error err = {0};
    CHECK_STATUS(UTAPI_UNAVAILABLE, identity_load("/nonexistent/authdata.json", &loaded, &err), &err);
    assert_int_equal(identity_load("/tmp", &loaded, &err), UTAPI_UNAVAILABLE);
    assert_string_equal(err.detail, "/tmp: Is a directory");
}

int main(void)
{
    const struct CMUnitTest facts[] = {
        cmocka_unit_test(a_key_leads_to_its_account),
        cmocka_unit_test(an_unknown_key_is_nobodys),
        cmocka_unit_test(an_account_id_maps_to_its_canonical_id),
        cmocka_unit_test(an_empty_identity_knows_nobody),
        cmocka_unit_test(an_account_may_have_no_key),
        cmocka_unit_test(a_file_that_cannot_be_read_is_told_from_a_wrong_one),
    };
    struct CMUnitTest refusals[BAD_FILES];
    for (size_t i = 0; i < BAD_FILES; i++)
        refusals[i] =
            (struct CMUnitTest){bad_files[i].name, refuses_a_bad_file, NULL, NULL, (void *)&bad_files[i]};
    return cmocka_run_group_tests_name("identity", facts, NULL, NULL) +
           cmocka_run_group_tests_name("identity: bad files", refusals, NULL, NULL);
}
