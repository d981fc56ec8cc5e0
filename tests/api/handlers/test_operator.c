/* SPDX-License-Identifier: Apache-2.0 */
/**
 * test_operator.c - what an operator asks for: health, and dead letters.
 */
#include "asking.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int open_world(void **state)
{
    http_world *self = calloc(1, sizeof *self);
    assert_non_null(self);
    world_open(self, NULL);
    *state = self;
    return 0;
}

static int close_world(void **state)
{
    world_close(*state);
    free(*state);
    return 0;
}

/* ---- a journal ----------------------------------------------------------------------------- */

static utapi_status walk_two(utapi_backend *self, utapi_dead_letter_cb *on_letter, void *ctx,
                             utapi_error *err)
{
    (void)self;
    (void)err;
    const utapi_entry whole = {
        .uuid = utapi_string_of("u-1"),
        .time_ms = 5,
        .resource = {[UTAPI_BUCKETS] = utapi_string_of("b\"1"), [UTAPI_SERVICE] = utapi_string_of("s3")},
        .operation = UTAPI_OP_PUT_OBJECT,
        .delta = {[UTAPI_STORAGE_UTILIZED] = -3, [UTAPI_NUMBER_OF_OBJECTS] = 1},
    };
    const utapi_entry bare = {.operation = UTAPI_OP_NONE};
    const utapi_dead_letter letters[] = {{"id-1",
                                          &whole,
                                          UTAPI_REASON_AMOUNT,
                                          "too much",
                                          {"::1", 3},
                                          77,
                                          UTAPI_LEVEL_BIT(UTAPI_BUCKETS) | UTAPI_LEVEL_BIT(UTAPI_USERS)},
                                         {.id = "id-2",
                                          .entry = &bare,
                                          .reason = UTAPI_REASON_OVERFLOW,
                                          .detail = "an amount does not fit 64 bits"}};
    for (size_t i = 0; i < 2 && on_letter(ctx, &letters[i]); i++)
        continue;
    return UTAPI_OK;
}

static utapi_status walk_in_vain(utapi_backend *self, utapi_dead_letter_cb *on_letter, void *ctx,
                                 utapi_error *err)
{
    (void)self;
    (void)on_letter;
    (void)ctx;
    return utapi_fail(err, UTAPI_CORRUPT, "trouble");
}

/* Takes two certain ids, and none. */
static utapi_status acknowledge_two(utapi_backend *self, const utapi_acknowledgement *what, utapi_error *err)
{
    (void)self;
    if (what->count == 2) {
        assert_true(utapi_string_equal(what->ids[0], utapi_string_of("id-1")));
        assert_true(utapi_string_equal(what->ids[1], utapi_string_of("id-2")));
        return UTAPI_OK;
    }
    return what->count == 0 && what->lost == 3 ? UTAPI_OK
                                               : utapi_fail(err, UTAPI_INVALID, "refused: no more");
}

static const utapi_journal_ops a_journal = {.stats = trouble_journal_stats};
static const utapi_dead_letter_ops two_letters = {
    .list = walk_two, .acknowledge = acknowledge_two, .stats = trouble_letter_stats};
static const utapi_dead_letter_ops unreadable_letters = {
    .list = walk_in_vain, .acknowledge = acknowledge_two, .stats = trouble_letter_stats};

/* So many dead letters, ever, and so many now. */
static void letters_set(http_world *world, uint64_t ever, uint64_t kept)
{
    world->trouble.letters =
        (utapi_dead_letter_stats){.kept = kept, .ever = {[UTAPI_REASON_OVERFLOW] = ever}};
}

/* ---- health -------------------------------------------------------------------------------- */

static void health_is_what_storage_says(void **state)
{
    http_world *world = *state;
    check_answer(ask(world, "GET", "/_/healthcheck", ""), 200, "{}");
    check_answer(ask(world, "POST", "/_/healthcheck", ""), 200, "{}");
    world->trouble.stats_says = UTAPI_UNAVAILABLE;
    http_call call = ask(world, "GET", "/_/healthcheck", "");
    assert_int_equal(call.reply.status, 500);
    assert_non_null(strstr(call.reply.body, "\"InternalError\",\"message\":\"storage is not ready\""));
    http_call_done(&call);
}

static void health_is_503_while_events_cannot_be_stored(void **state)
{
    static const char event[] = "[{\"operationId\":\"putObject\",\"sizeDelta\":1}]";
    http_world *world = *state;
    world->trouble.apply_says = UTAPI_UNAVAILABLE;
    http_call call = ask(world, "POST", "/v2/ingest", event);
    assert_int_equal(call.reply.status, 503);
    http_call_done(&call);
    check_answer(ask(world, "GET", "/_/healthcheck", ""), 503,
                 "{\"status\":\"unavailable\",\"trouble\":\"trouble while applying\"}");
    world->trouble.apply_says = UTAPI_OK;
    check_answer(ask(world, "POST", "/v2/ingest", event), 200, "");
    check_answer(ask(world, "GET", "/_/healthcheck", ""), 200, "{}");
}

static void health_tells_of_the_journal_and_of_trouble(void **state)
{
    http_world *world = *state;
    utapi_storage_stats storage = {.refuses = false};
    utapi_journal_stats *journal = &world->trouble.journal;
    world->trouble.shown = &storage;
    world->trouble.ops.journal = &a_journal;
    world->trouble.ops.dead_letters = &two_letters;
    *journal = (utapi_journal_stats){.capacity_bytes = 4096, .used_bytes = 100};
    check_answer(ask(world, "GET", "/_/healthcheck", ""), 200,
                 "{\"status\":\"ok\",\"journal\":{\"waiting\":0,\"oldestAgeMs\":0,\"usedBytes\":100,"
                 "\"capacityBytes\":4096,\"refused\":0,\"lost\":0,"
                 "\"refusedAcknowledged\":0,\"lostAcknowledged\":0}}");

    (void)snprintf(storage.warning, sizeof storage.warning, "127.0.0.1:6379: \"refused\"");
    journal->waiting = 7;
    journal->oldest_ms = WORLD_NOW_MS - 1500;
    letters_set(world, 2, 2);
    check_answer(
        ask(world, "GET", "/_/healthcheck", ""), 200,
        "{\"status\":\"degraded\",\"trouble\":\"127.0.0.1:6379: \\\"refused\\\"\",\"journal\":{\"waiting\":7,"
        "\"oldestAgeMs\":1500,\"usedBytes\":100,\"capacityBytes\":4096,\"refused\":2,\"lost\":0,"
        "\"refusedAcknowledged\":0,\"lostAcknowledged\":0}}");

    *storage.warning = '\0';
    letters_set(world, 0, 0);
    *journal = (utapi_journal_stats){.capacity_bytes = 1, .oldest_ms = WORLD_NOW_MS + 5, .lost = UINT64_MAX};
    check_answer(
        ask(world, "GET", "/_/healthcheck", ""), 200,
        "{\"status\":\"degraded\",\"trouble\":\"18446744073709551615 events were lost by the storage, "
        "and the journal no longer had them\",\"journal\":{\"waiting\":0,\"oldestAgeMs\":0,"
        "\"usedBytes\":0,\"capacityBytes\":1,\"refused\":0,\"lost\":9223372036854775807,"
        "\"refusedAcknowledged\":0,\"lostAcknowledged\":0}}");

    *journal = (utapi_journal_stats){.capacity_bytes = 1};
    letters_set(world, 2, 2);
    check_answer(ask(world, "GET", "/_/healthcheck", ""), 200,
                 "{\"status\":\"degraded\",\"trouble\":\"2 events were accepted and not counted: "
                 "utapictl dead-letters list\",\"journal\":{\"waiting\":0,\"oldestAgeMs\":0,\"usedBytes\":0,"
                 "\"capacityBytes\":1,\"refused\":2,\"lost\":0,"
                 "\"refusedAcknowledged\":0,\"lostAcknowledged\":0}}");

    letters_set(world, 2, 1);
    http_call one_left = ask(world, "GET", "/_/healthcheck", "");
    assert_non_null(strstr(one_left.reply.body, "\"trouble\":\"1 event was accepted and not counted"));
    http_call_done(&one_left);

    letters_set(world, 2, 0);
    *journal = (utapi_journal_stats){.capacity_bytes = 1, .lost = 3, .lost_acknowledged = 3};
    check_answer(ask(world, "GET", "/_/healthcheck", ""), 200,
                 "{\"status\":\"ok\",\"journal\":{\"waiting\":0,\"oldestAgeMs\":0,\"usedBytes\":0,"
                 "\"capacityBytes\":1,\"refused\":2,\"lost\":3,"
                 "\"refusedAcknowledged\":2,\"lostAcknowledged\":3}}");

    *journal = (utapi_journal_stats){.capacity_bytes = 1};
    letters_set(world, 0, 0);
    storage = (utapi_storage_stats){.refuses = true, .warning = "full"};
    check_answer(ask(world, "GET", "/_/healthcheck", ""), 503,
                 "{\"status\":\"unavailable\",\"trouble\":\"full\",\"journal\":{\"waiting\":0,"
                 "\"oldestAgeMs\":0,\"usedBytes\":0,\"capacityBytes\":1,\"refused\":0,\"lost\":0,"
                 "\"refusedAcknowledged\":0,\"lostAcknowledged\":0}}");

    storage = (utapi_storage_stats){.room_warning = "nearly full"};
    world->trouble.ops.journal = NULL;
    check_answer(ask(world, "GET", "/_/healthcheck", ""), 200,
                 "{\"status\":\"degraded\",\"trouble\":\"nearly full\"}");

    storage = (utapi_storage_stats){.warning = "slow", .room_warning = "nearly full"};
    world->trouble.ops.journal = NULL;
    check_answer(ask(world, "GET", "/_/healthcheck", ""), 200,
                 "{\"status\":\"degraded\",\"trouble\":\"slow\"}");
}

/* ---- dead letters --------------------------------------------------------------------------- */

static void dead_letters_are_listed(void **state)
{
    http_world *world = *state;
    check_answer(ask(world, "GET", "/_/journal/refused", ""), 200, "[]");

    world->trouble.ops.dead_letters = &two_letters;
    /* The other one counts at its other levels. */
    check_answer(
        ask(world, "GET", "/_/journal/refused", ""), 200,
        "[{\"id\":\"id-2\",\"operationId\":\"pushLocationMetric\",\"timestamp\":0,\"sizeDelta\":0,\"objectDelta\":0,"
        "\"incomingBytes\":0,\"outgoingBytes\":0,\"reason\":\"an amount does not fit 64 bits\"}]");

    world->trouble.ops.dead_letters = &unreadable_letters;
    check_refusal(ask(world, "GET", "/_/journal/refused", ""), 500, "InternalError",
                  "What is stored has to be mended before it can be read: trouble");
}

static void dead_letters_are_acknowledged(void **state)
{
    static const struct {
        const char *body, *message;
    } wrong[] = {
        {"{\"refused\":[\"id-1\"]}", "refused: no more"},
        {"{\"refused\":1}", "refused: expected a list of ids"},
        {"{\"refused\":[\"id-1\",1]}", "refused[1]: expected a string"},
        {"{\"lost\":-1}", "lost: expected how many"},
        {"[]", "expected an object with refused and lost"},
    };
    http_world *world = *state;
    world->trouble.ops.dead_letters = NULL;
    check_refusal(ask(world, "POST", "/_/journal/acknowledge", "{}"), 501, "NotImplemented",
                  "there is no journal before the storage");
    world->trouble.ops.dead_letters = &two_letters;
    check_answer(ask(world, "POST", "/_/journal/acknowledge", "{\"refused\":[\"id-1\",\"id-2\"]}"), 200, "");
    check_answer(ask(world, "POST", "/_/journal/acknowledge", "{\"lost\":3}"), 200, "");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        check_refusal(ask(world, "POST", "/_/journal/acknowledge", wrong[i].body), 400,
                      "InvalidParameterValue", wrong[i].message);
}

static void letters_are_shown_with_all_that_is_known(void **state)
{
    http_world *world = *state;
    check_answer(ask(world, "GET", "/_/dead-letters", ""), 200, "{\"kept\":0,\"dropped\":[],\"letters\":[]}");

    world->trouble.ops.dead_letters = &two_letters;
    world->trouble.letters = (utapi_dead_letter_stats){
        .kept = 2,
        .dropped = {{.reason = UTAPI_REASON_LATE, .source = "::1", .count = 7},
                    {.reason = UTAPI_REASON_EARLY, .count = 1}},
        .dropped_count = 2,
    };
    check_answer(
        ask(world, "GET", "/_/dead-letters", ""), 200,
        "{\"kept\":2,\"dropped\":[{\"reason\":\"late\",\"source\":\"::1\",\"count\":7},"
        "{\"reason\":\"early\",\"count\":1}],\"letters\":["
        "{\"id\":\"id-1\",\"reason\":\"amount\",\"detail\":\"too much\",\"source\":\"::1\",\"keptAt\":77,"
        "\"levels\":[\"buckets\",\"users\"],\"operationId\":\"putObject\",\"uuid\":\"u-1\",\"timestamp\":5,"
        "\"bucket\":\"b\\\"1\",\"service\":\"s3\","
        "\"sizeDelta\":-3,\"objectDelta\":1,\"incomingBytes\":0,\"outgoingBytes\":0},"
        "{\"id\":\"id-2\",\"reason\":\"overflow\",\"detail\":\"an amount does not fit 64 bits\",\"keptAt\":0,"
        "\"levels\":[],\"operationId\":\"pushLocationMetric\",\"timestamp\":0,\"sizeDelta\":0,"
        "\"objectDelta\":0,\"incomingBytes\":0,\"outgoingBytes\":0}]}");

    world->trouble.ops.dead_letters = &unreadable_letters;
    check_refusal(ask(world, "GET", "/_/dead-letters", ""), 500, "InternalError",
                  "What is stored has to be mended before it can be read: trouble");
    world->trouble.ops.dead_letters = NULL;
    check_refusal(ask(world, "GET", "/_/dead-letters", ""), 501, "NotImplemented",
                  "this storage keeps no dead letters");
}

/* Keeps letters, one after the other: each of as many bytes as its number. */
static void letters_keep(http_world *world, int from, int until)
{
    static const utapi_refusal late = {.reason = UTAPI_REASON_LATE, .detail = "late", .source = {"::1", 3}};
    for (int i = from; i < until; i++) {
        const utapi_event event = {.operation = UTAPI_OP_PUT_OBJECT,
                                   .timestamp_ms = 1,
                                   .bucket = utapi_string_of("b"),
                                   .user = utapi_string_of("u"),
                                   .storage_delta = i,
                                   .refused = &late};
        assert_int_equal(utapi_engine_ingest(world->engine, &event, 1, NULL), UTAPI_OK);
    }
}

static bool id_note(void *ctx, const utapi_dead_letter *letter)
{
    char **at = ctx;
    *at += snprintf(*at, UTAPI_LETTER_ID_MAX + 4, "%s\"%s\"", (*at)[-1] == '[' ? "" : ",", letter->id);
    return true;
}

/* {"ids":[…]} of all letters. */
static const char *letters_ids(http_world *world)
{
    static char body[4096];
    char *at = body + snprintf(body, sizeof body, "{\"ids\":[");
    assert_int_equal(utapi_engine_dead_letters(world->engine, id_note, &at, NULL), UTAPI_OK);
    memcpy(at, "]}", sizeof "]}");
    return body;
}

static int64_t bytes_of(http_world *world, utapi_level level, const char *name)
{
    int64_t bytes = -1;
    assert_int_equal(utapi_engine_storage(world->engine, level, utapi_string_of(name), &bytes, NULL),
                     UTAPI_OK);
    return bytes;
}

static void letters_are_pushed_once(void **state)
{
    http_world *world = *state;
    letters_keep(world, 1, 4);
    const char *ids = letters_ids(world);
    letters_keep(world, 4, 6);
    assert_int_equal(bytes_of(world, UTAPI_BUCKETS, "b"), 0);
    check_answer(ask(world, "POST", "/_/dead-letters/push", ids), 200, "{\"pushed\":3,\"left\":2}");
    check_answer(ask(world, "POST", "/_/dead-letters/push", ids), 200, "{\"pushed\":0,\"left\":2}");
    assert_int_equal(bytes_of(world, UTAPI_BUCKETS, "b"), 1 + 2 + 3);
    check_answer(ask(world, "POST", "/_/dead-letters/push", "{\"all\":true}"), 200,
                 "{\"pushed\":2,\"left\":0}");
    assert_int_equal(bytes_of(world, UTAPI_USERS, "u"), 1 + 2 + 3 + 4 + 5);
    assert_int_equal(bytes_of(world, UTAPI_SERVICE, "s3"), 1 + 2 + 3 + 4 + 5);
}

static void letters_are_acknowledged_by_their_ids_or_all(void **state)
{
    http_world *world = *state;
    letters_keep(world, 1, 4);
    const char *ids = letters_ids(world);
    letters_keep(world, 4, 6);
    check_answer(ask(world, "POST", "/_/dead-letters/acknowledge", ids), 200,
                 "{\"acknowledged\":3,\"left\":2}");
    check_answer(ask(world, "POST", "/_/dead-letters/push", ids), 200, "{\"pushed\":0,\"left\":2}");
    check_answer(ask(world, "POST", "/_/dead-letters/acknowledge", "{\"all\":true}"), 200,
                 "{\"acknowledged\":2,\"left\":0}");
    assert_int_equal(bytes_of(world, UTAPI_BUCKETS, "b"), 0);
}

/* What the engine hands to the storage, without the levels that the letter does not name. */
static utapi_entry handed;
static utapi_status apply_note(utapi_backend *self, const utapi_batch *batch, utapi_applied *ret,
                               utapi_error *err)
{
    (void)self;
    (void)err;
    assert_int_equal(batch->count, 1); /* the other one cannot be read */
    assert_true(utapi_string_equal(batch->entries[0].letter, utapi_string_of("id-1")));
    handed = batch->entries[0];
    *ret = (utapi_applied){.repeated = 0};
    return UTAPI_OK;
}

static void a_letter_is_pushed_at_the_levels_that_it_names(void **state)
{
    http_world *world = *state;
    world->trouble.ops.dead_letters = &two_letters;
    world->trouble.ops.apply = apply_note;
    check_answer(ask(world, "POST", "/_/dead-letters/push", "{\"all\":true}"), 200,
                 "{\"pushed\":1,\"left\":0}");
    assert_int_equal(handed.resource[UTAPI_BUCKETS].size, 3);
    assert_int_equal(handed.resource[UTAPI_ACCOUNTS].size, 0);
    assert_int_equal(handed.resource[UTAPI_SERVICE].size, 0);
    assert_int_equal(handed.delta[UTAPI_STORAGE_UTILIZED], -3);
    assert_int_equal(handed.expiry, UTAPI_EXPIRE_NEVER);
}

static void a_choice_of_letters_is_checked(void **state)
{
    static const struct {
        const char *body, *message;
    } wrong[] = {
        {"[]", "expected an object with ids or all"},
        {"{}", "expected either ids or all"},
        {"{\"all\":false}", "expected either ids or all"},
        {"{\"all\":true,\"ids\":[]}", "expected either ids or all"},
        {"{\"all\":1}", "all: expected true or false"},
        {"{\"ids\":\"x\"}", "ids: expected a list of ids"},
        {"{\"ids\":[1]}", "ids[0]: expected a string"},
    };
    http_world *world = *state;
    letters_keep(world, 1, 2);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        check_invalid(ask(world, "POST", "/_/dead-letters/push", wrong[i].body), wrong[i].message);
        check_invalid(ask(world, "POST", "/_/dead-letters/acknowledge", wrong[i].body), wrong[i].message);
    }
    check_answer(ask(world, "POST", "/_/dead-letters/push", "{\"ids\":[\"nobody's\"]}"), 200,
                 "{\"pushed\":0,\"left\":1}");
    world->trouble.apply_says = UTAPI_UNAVAILABLE;
    http_call call = ask(world, "POST", "/_/dead-letters/push", "{\"all\":true}");
    assert_int_equal(call.reply.status, 503);
    http_call_done(&call);
    world->trouble.apply_says = UTAPI_OK;
    check_answer(ask(world, "POST", "/_/dead-letters/push", "{\"all\":true}"), 200,
                 "{\"pushed\":1,\"left\":0}");
}

static void letters_are_counted_by_reason(void **state)
{
    http_world *world = *state;
    letters_keep(world, 0, 3);
    http_call call = ask(world, "GET", "/_/metrics", "");
    assert_non_null(strstr(call.reply.body, "\nutapi_dead_letters 3\n"));
    assert_non_null(strstr(call.reply.body, "\nutapi_dead_letters_total{reason=\"late\"} 3\n"));
    assert_non_null(strstr(call.reply.body, "\nutapi_dead_letters_total{reason=\"early\"} 0\n"));
    http_call_done(&call);
    check_answer(ask(world, "GET", "/_/healthcheck", ""), 200,
                 "{\"status\":\"degraded\",\"trouble\":\"3 events were accepted and not counted: "
                 "utapictl dead-letters list\"}");
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(health_is_what_storage_says),
        IN_WORLD(health_is_503_while_events_cannot_be_stored),
        IN_WORLD(health_tells_of_the_journal_and_of_trouble),
        IN_WORLD(dead_letters_are_listed),
        IN_WORLD(dead_letters_are_acknowledged),
        IN_WORLD(letters_are_shown_with_all_that_is_known),
        IN_WORLD(letters_are_pushed_once),
        IN_WORLD(letters_are_acknowledged_by_their_ids_or_all),
        IN_WORLD(a_letter_is_pushed_at_the_levels_that_it_names),
        IN_WORLD(a_choice_of_letters_is_checked),
        IN_WORLD(letters_are_counted_by_reason),
    };
    return cmocka_run_group_tests_name("http.operator", tests, NULL, NULL);
}
