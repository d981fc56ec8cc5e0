/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_key_cache.c - the table of signing keys: what it gives back, and that it does not grow.
 */
#include "auth/key_cache.h"
#include "check.h"

#include <stdio.h>
#include <string.h>

static const identity_key alice;
static const identity_key bob;

static key_cache_scope scope_of(const identity_key *key, const char *date, const char *region)
{
    return (key_cache_scope){key, utapi_string_of(date), utapi_string_of(region)};
}

static void put(key_cache *cache, const key_cache_scope *scope, unsigned char filling)
{
    unsigned char key[CRYPTO_HASH_BYTES];
    memset(key, filling, sizeof key);
    key_cache_put(cache, scope, key);
}

static void a_key_is_found_by_its_whole_scope(void **state)
{
    (void)state;
    key_cache *cache = key_cache_new();
    const key_cache_scope scope = scope_of(&alice, "20261123", "us-east-1");
    unsigned char got[CRYPTO_HASH_BYTES] = {0};
    assert_false(key_cache_get(cache, &scope, got));
    put(cache, &scope, 7);
    assert_true(key_cache_get(cache, &scope, got));
    assert_int_equal(got[0], 7);
    assert_int_equal(got[CRYPTO_HASH_BYTES - 1], 7);

    const key_cache_scope others[] = {
        scope_of(&bob, "20261123", "us-east-1"),   scope_of(&alice, "20261124", "us-east-1"),
        scope_of(&alice, "20261123", "us-east-2"), scope_of(&alice, "20261123", "us-east-"),
        scope_of(&alice, "20261123", ""),
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(key_cache_get(cache, &others[i], got));
    key_cache_free(cache);
}

static void an_empty_region_is_a_region(void **state)
{
    (void)state;
    key_cache *cache = key_cache_new();
    const key_cache_scope scope = scope_of(&alice, "20261123", "");
    unsigned char got[CRYPTO_HASH_BYTES];
    put(cache, &scope, 1);
    assert_true(key_cache_get(cache, &scope, got));
    key_cache_free(cache);
}

static void a_scope_that_does_not_fit_is_not_kept(void **state)
{
    (void)state;
    char region[KEY_CACHE_REGION_MAX + 2];
    memset(region, 'r', sizeof region);
    region[KEY_CACHE_REGION_MAX + 1] = '\0';
    key_cache *cache = key_cache_new();
    unsigned char got[CRYPTO_HASH_BYTES];

    const key_cache_scope too_long = scope_of(&alice, "20261123", region);
    put(cache, &too_long, 1);
    assert_false(key_cache_get(cache, &too_long, got));
    const key_cache_scope no_day = scope_of(&alice, "2026112", "r");
    put(cache, &no_day, 1);
    assert_false(key_cache_get(cache, &no_day, got));

    region[KEY_CACHE_REGION_MAX] = '\0';
    const key_cache_scope longest = scope_of(&alice, "20261123", region);
    put(cache, &longest, 1);
    assert_true(key_cache_get(cache, &longest, got));
    key_cache_free(cache);
}

/* Ten times as many scopes as slots: what is found is right, and never more than fits. */
static void it_stays_within_its_size(void **state)
{
    (void)state;
    key_cache *cache = key_cache_new();
    char region[16];
    size_t found = 0;
    for (unsigned i = 0; i < 10 * KEY_CACHE_SLOTS; i++) {
        snprintf(region, sizeof region, "%u", i);
        const key_cache_scope scope = scope_of(&alice, "20261123", region);
        put(cache, &scope, (unsigned char)i);
    }
    for (unsigned i = 0; i < 10 * KEY_CACHE_SLOTS; i++) {
        snprintf(region, sizeof region, "%u", i);
        const key_cache_scope scope = scope_of(&alice, "20261123", region);
        unsigned char got[CRYPTO_HASH_BYTES];
        if (!key_cache_get(cache, &scope, got))
            continue;
        assert_int_equal(got[0], (unsigned char)i);
        found++;
    }
    assert_true(found > KEY_CACHE_SLOTS / 2 && found <= KEY_CACHE_SLOTS);
    key_cache_free(cache);
    key_cache_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_found_by_its_whole_scope),
        cmocka_unit_test(an_empty_region_is_a_region),
        cmocka_unit_test(a_scope_that_does_not_fit_is_not_kept),
        cmocka_unit_test(it_stays_within_its_size),
    };
    return cmocka_run_group_tests_name("key_cache", tests, NULL, NULL);
}
