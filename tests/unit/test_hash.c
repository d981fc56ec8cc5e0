/* SPDX-License-Identifier: Apache-2.0 */
/* test_hash.c - FNV-1a as its authors publish it, and continued. */
#include "check.h"
#include "utapi/hash.h"

#include <stdbool.h>
#include <stdio.h>

static void hashes_are_fnv_1a(void **state)
{
    (void)state;
    assert_true(utapi_hash_add(UTAPI_HASH_SEED, "", 0) == UINT64_C(0xcbf29ce484222325));
    assert_true(utapi_hash_add(UTAPI_HASH_SEED, "a", 1) == UINT64_C(0xaf63dc4c8601ec8c));
    assert_true(utapi_hash_add(UTAPI_HASH_SEED, "foobar", 6) == UINT64_C(0x85944171f73967e8));
}

static void a_hash_goes_on_where_it_ended(void **state)
{
    (void)state;
    const uint64_t foo = utapi_hash_add(UTAPI_HASH_SEED, "foo", 3);
    assert_true(utapi_hash_add(foo, "bar", 3) == utapi_hash_add(UTAPI_HASH_SEED, "foobar", 6));
}

static void names_that_differ_little_spread_over_a_table(void **state)
{
    (void)state;
    enum { SLOTS = 1024 };
    unsigned used = 0;
    bool slots[SLOTS] = {false};
    for (unsigned i = 0; i < SLOTS; i++) {
        char name[sizeof "bucket-0000"];
        assert_int_equal(snprintf(name, sizeof name, "bucket-%04u", i), sizeof name - 1);
        bool *slot = &slots[utapi_hash_end(utapi_hash_add(UTAPI_HASH_SEED, name, sizeof name - 1)) % SLOTS];
        used += !*slot;
        *slot = true;
    }
    assert_true(used > SLOTS / 2); /* by chance it would be 647 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_are_fnv_1a),
        cmocka_unit_test(a_hash_goes_on_where_it_ended),
        cmocka_unit_test(names_that_differ_little_spread_over_a_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
