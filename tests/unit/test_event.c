/* SPDX-License-Identifier: Apache-2.0 */
/* test_event.c - the table of docs/specification.md#actions written out by hand, and the event rules. */
#include "check.h"
#include "utapi/event.h"
#include "utapi/interval.h"

#include <string.h>

static utapi_error err;

#define GIVEN(number)                        \
    {                                        \
        .is = UTAPI_GIVEN, .value = (number) \
    }
#define NULL_GIVEN       \
    {                    \
        .is = UTAPI_NULL \
    }

/* new 100, old 30, byteLength 7, numberOfObjects 3, updateSize -5; and once with old null, no byteLength */
static const struct expectation {
    const char *action;
    utapi_operation operation;
    int64_t storage, objects, in, out;
    int64_t storage_new, objects_new; /* where there was no old object, or no byteLength is given */
} table[] = {
    {"putObject", UTAPI_OP_PUT_OBJECT, 70, 0, 100, 0, 100, 1},
    {"replicateObject", UTAPI_OP_REPLICATE_OBJECT, 70, 0, 100, 0, 100, 1},
    {"copyObject", UTAPI_OP_COPY_OBJECT, 70, 0, 0, 0, 100, 1},
    {"uploadPart", UTAPI_OP_UPLOAD_PART, 70, 0, 100, 0, 100, 0},
    {"uploadPartCopy", UTAPI_OP_UPLOAD_PART_COPY, 70, 0, 100, 0, 100, 0},
    {"completeMultipartUpload", UTAPI_OP_COMPLETE_MULTIPART_UPLOAD, -30, 0, 0, 0, 0, 1},
    {"abortMultipartUpload", UTAPI_OP_ABORT_MULTIPART_UPLOAD, -7, 0, 0, 0, -7, 0},
    {"deleteObject", UTAPI_OP_DELETE_OBJECT, -7, -3, 0, 0, -7, -3},
    {"multiObjectDelete", UTAPI_OP_MULTI_OBJECT_DELETE, -7, -3, 0, 0, -7, -3},
    {"putDeleteMarkerObject", UTAPI_OP_DELETE_OBJECT, -7, 0, 0, 0, 0, 1},
    {"replicateDelete", UTAPI_OP_REPLICATE_DELETE, -7, 0, 0, 0, 0, 1},
    {"getObject", UTAPI_OP_GET_OBJECT, 0, 0, 0, 100, 0, 0},
    {"pushLocationMetric", UTAPI_OP_NONE, -5, 0, 0, 0, -5, 0},
    {"listMultipartUploads", UTAPI_OP_LIST_BUCKET_MULTIPART_UPLOADS, 0, 0, 0, 0, 0, 0},
    {"createBucket", UTAPI_OP_CREATE_BUCKET, 0, 0, 0, 0, 0, 0},
    {"putBucketTagging", UTAPI_OP_PUT_BUCKET_TAGGING, 0, 0, 0, 0, 0, 0},
};

static bool length_may_be_missing(const char *action)
{
    return strcmp(action, "putDeleteMarkerObject") == 0 || strcmp(action, "replicateDelete") == 0;
}

static void every_row_of_the_table_gives_its_deltas(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const struct expectation *row = &table[i];
        utapi_event event = {.location = utapi_string_of("here")};
        utapi_action_params params = {GIVEN(7), GIVEN(100), GIVEN(30), GIVEN(3), GIVEN(-5)};
        CHECK_OK(utapi_event_of_action(utapi_string_of(row->action), &params, &event, &err), &err);
        assert_int_equal(event.operation, row->operation);
        assert_int_equal(event.storage_delta, row->storage);
        assert_int_equal(event.object_delta, row->objects);
        assert_int_equal(event.incoming_bytes, row->in);
        assert_int_equal(event.outgoing_bytes, row->out);

        params.old_byte_length = (utapi_integer)NULL_GIVEN;
        if (length_may_be_missing(row->action))
            params.byte_length = (utapi_integer){.is = UTAPI_ABSENT};
        CHECK_OK(utapi_event_of_action(utapi_string_of(row->action), &params, &event, &err), &err);
        assert_int_equal(event.storage_delta, row->storage_new);
        assert_int_equal(event.object_delta, row->objects_new);
    }
}

static void those_who_listen_are_told_of_what_changes_data(void **state)
{
    (void)state;
    static const char *const changes[] = {"putObject",  "deleteObject",          "createBucket",
                                          "uploadPart", "putDeleteMarkerObject", "getBucketObjectLock"};
    static const char *const looks[] = {"getObject",        "headObject",
                                        "listBucket",       "listMultipartUploads",
                                        "getBucketTagging", "nothing we know"};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
        assert_true(utapi_action_changes_data(utapi_string_of(changes[i])));
    for (size_t i = 0; i < sizeof looks / sizeof *looks; i++)
        assert_false(utapi_action_changes_data(utapi_string_of(looks[i])));
}

static void every_operation_but_none_has_an_action(void **state)
{
    (void)state;
    uint64_t seen = 0;
    static const char *const actions[] = {
#define UTAPI_ACTION(action, ...)      action,
#define UTAPI_COUNT(action, operation) action,
#define UTAPI_LOOK(action, operation)  action,
#include "../../core/actions.def"
#undef UTAPI_ACTION
#undef UTAPI_COUNT
#undef UTAPI_LOOK
    };
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        utapi_operation operation;
        assert_true(utapi_action_find(utapi_string_of(actions[i]), &operation));
        if (operation != UTAPI_OP_NONE)
            seen |= UTAPI_OPERATION_BIT(operation);
    }
    assert_true(seen == UTAPI_ALL_OPERATIONS);
    for (unsigned i = 0; i <= UTAPI_OP_NONE; i++) {
        utapi_operation found;
        assert_true(utapi_action_find(utapi_string_of(utapi_action_of((utapi_operation)i)), &found));
        assert_int_equal(found, i);
    }
}

static void check_refused(const char *action, const utapi_action_params *params, const char *detail)
{
    utapi_event event = {.bucket = utapi_string_of("b")};
    assert_int_equal(utapi_event_of_action(utapi_string_of(action), params, &event, &err), UTAPI_INVALID);
    assert_string_equal(err.detail, detail);
    utapi_error_clear(&err);
}

static void only_needed_parameters_are_judged(void **state)
{
    (void)state;
    const utapi_integer odd = {.is = UTAPI_NO_INTEGER};
    const utapi_action_params all_odd = {odd, odd, odd, odd, odd};
    utapi_event event = {0};
    CHECK_OK(utapi_event_of_action(utapi_string_of("headObject"), &all_odd, &event, &err), &err);
    const utapi_action_params others_odd = {odd, GIVEN(5), NULL_GIVEN, odd, odd};
    CHECK_OK(utapi_event_of_action(utapi_string_of("putObject"), &others_odd, &event, &err), &err);
    assert_int_equal(event.storage_delta, 5);
    check_refused("putObject", &all_odd, "newByteLength: expected an integer");
    check_refused("putDeleteMarkerObject", &all_odd, "byteLength: expected an integer");
}

static void what_an_action_needs_must_be_there(void **state)
{
    (void)state;
    const utapi_action_params none = {.byte_length = {.is = UTAPI_ABSENT}};
    check_refused("putObject", &none, "newByteLength: expected an integer");
    check_refused("getObject", &none, "newByteLength: expected an integer");
    check_refused("deleteObject", &none, "byteLength: expected an integer");
    check_refused("completeMultipartUpload", &none, "oldByteLength: expected an integer or null");
    const utapi_action_params null_new = {.new_byte_length = NULL_GIVEN, .old_byte_length = NULL_GIVEN};
    check_refused("putObject", &null_new, "newByteLength: expected an integer");
    const utapi_action_params negative = {.new_byte_length = GIVEN(-1), .old_byte_length = NULL_GIVEN};
    check_refused("putObject", &negative, "newByteLength: must not be negative");
    const utapi_action_params marker = {.byte_length = GIVEN(-1)};
    check_refused("putDeleteMarkerObject", &marker, "byteLength: must not be negative");
    const utapi_action_params size = {.update_size = GIVEN(1)};
    check_refused("pushLocationMetric", &size, "location: expected a name");
    check_refused("constructor", &none, "action: unknown action \"constructor\"");
    check_refused("listBucketMultipartUploads", &none,
                  "action: unknown action \"listBucketMultipartUploads\"");
}

static void parameters_at_the_edge_of_64_bits_give_exact_deltas(void **state)
{
    (void)state;
    utapi_event event = {.bucket = utapi_string_of("b")};
    const utapi_action_params params = {.new_byte_length = GIVEN(0), .old_byte_length = GIVEN(INT64_MAX)};
    CHECK_OK(utapi_event_of_action(utapi_string_of("putObject"), &params, &event, &err), &err);
    assert_true(event.storage_delta == -INT64_MAX);
}

/* CloudServer sends -1 for a DeleteObjects that makes more delete markers than it removes versions. */
static void deletions_may_add_objects(void **state)
{
    (void)state;
    static const char *const actions[] = {"deleteObject", "multiObjectDelete"};
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        utapi_event event = {.bucket = utapi_string_of("b")};
        utapi_action_params params = {.byte_length = GIVEN(7), .number_of_objects = GIVEN(-1)};
        CHECK_OK(utapi_event_of_action(utapi_string_of(actions[i]), &params, &event, &err), &err);
        assert_int_equal(event.storage_delta, -7);
        assert_int_equal(event.object_delta, 1);
        params.number_of_objects.value = -INT64_MAX;
        CHECK_OK(utapi_event_of_action(utapi_string_of(actions[i]), &params, &event, &err), &err);
        assert_true(event.object_delta == INT64_MAX);
        params.number_of_objects.value = INT64_MIN;
        check_refused(actions[i], &params,
                      "numberOfObjects: -9223372036854775808 has no opposite that fits 64 bits");
    }
}

static utapi_status check_at(utapi_event event, int64_t now_ms)
{
    return utapi_event_check(&event, now_ms, NULL);
}

static void an_event_may_be_one_interval_ahead_and_any_time_late(void **state)
{
    (void)state;
    const int64_t now_ms = 10 * UTAPI_INTERVAL_MS + 5;
    assert_int_equal(check_at((utapi_event){.timestamp_ms = 0}, now_ms), UTAPI_OK);
    assert_int_equal(check_at((utapi_event){.timestamp_ms = UTAPI_NO_TIMESTAMP}, now_ms), UTAPI_OK);
    assert_int_equal(check_at((utapi_event){.timestamp_ms = 12 * UTAPI_INTERVAL_MS - 1}, now_ms), UTAPI_OK);
    assert_int_equal(check_at((utapi_event){.timestamp_ms = 12 * UTAPI_INTERVAL_MS}, now_ms), UTAPI_INVALID);
    assert_int_equal(check_at((utapi_event){.timestamp_ms = -1}, now_ms), UTAPI_INVALID);
    assert_int_equal(check_at((utapi_event){.timestamp_ms = INT64_MAX}, now_ms), UTAPI_INVALID);
}

static void names_are_text_of_at_most_255_bytes(void **state)
{
    (void)state;
    char name[UTAPI_NAME_MAX + 1];
    memset(name, 'n', sizeof name);
    const utapi_string longest = {.data = name, .size = UTAPI_NAME_MAX};
    const utapi_string too_long = {.data = name, .size = UTAPI_NAME_MAX + 1};
    const utapi_string not_text = {.data = "a\xff", .size = 2};
    assert_int_equal(check_at((utapi_event){.bucket = longest, .uuid = longest}, 0), UTAPI_OK);
    assert_int_equal(check_at((utapi_event){.bucket = too_long}, 0), UTAPI_INVALID);
    assert_int_equal(check_at((utapi_event){.account = too_long}, 0), UTAPI_INVALID);
    assert_int_equal(check_at((utapi_event){.user = not_text}, 0), UTAPI_INVALID);
    assert_int_equal(check_at((utapi_event){.location = not_text}, 0), UTAPI_INVALID);
    assert_int_equal(check_at((utapi_event){.uuid = too_long}, 0), UTAPI_INVALID);
}

static void flows_are_not_negative(void **state)
{
    (void)state;
    assert_int_equal(check_at((utapi_event){.incoming_bytes = -1}, 0), UTAPI_INVALID);
    assert_int_equal(check_at((utapi_event){.outgoing_bytes = -1}, 0), UTAPI_INVALID);
    assert_int_equal(check_at((utapi_event){.storage_delta = -1, .object_delta = -1}, 0), UTAPI_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_of_the_table_gives_its_deltas),
        cmocka_unit_test(only_needed_parameters_are_judged),
        cmocka_unit_test(those_who_listen_are_told_of_what_changes_data),
        cmocka_unit_test(every_operation_but_none_has_an_action),
        cmocka_unit_test(what_an_action_needs_must_be_there),
        cmocka_unit_test(parameters_at_the_edge_of_64_bits_give_exact_deltas),
        cmocka_unit_test(deletions_may_add_objects),
        cmocka_unit_test(an_event_may_be_one_interval_ahead_and_any_time_late),
        cmocka_unit_test(names_are_text_of_at_most_255_bytes),
        cmocka_unit_test(flows_are_not_negative),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
