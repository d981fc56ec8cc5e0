/* SPDX-License-Identifier: Apache-2.0 */
/**
 * test_admin.c - what an operator does: adjust, expire, the audit, dry runs; and who may, over TCP and through the
 * socket.
 */
#include "asking.h"

#include "call.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define ID(end)  "0123456789abcdef0123456789abcd" end
#define TOKEN    "a-token-of-twenty-ch"
#define TOKENS   "another-token-1234567," TOKEN
#define AT       "1795441850000"
#define INTERVAL "1795441500000"
#define ADJUST(members) \
    "{\"level\":\"buckets\",\"resource\":\"b\",\"reason\":\"ticket 5\",\"id\":\"" ID("01") "\"" members "}"

static utapi_status audit_forward(utapi_backend *self, utapi_audit_cb *on_row, void *ctx, utapi_error *err)
{
    const utapi_audit_query every = {.level = UTAPI_LEVEL_COUNT};
    return utapi_backend_audit(((trouble_backend *)self)->inner, &every, on_row, ctx, err);
}

static const utapi_admin_ops administered = {.audit = audit_forward};

static int open_world(void **state)
{
    http_world *self = calloc(1, sizeof *self);
    assert_non_null(self);
    world_open(self, NULL);
    self->trouble.ops.admin = &administered;
    self->service.admin.is_local = true;
    check_answer(ask(self, "POST", "/v2/ingest",
                     "[{\"operationId\":\"putObject\",\"bucket\":\"b\",\"sizeDelta\":100,\"objectDelta\":2,"
                     "\"incomingBytes\":100}]"),
                 200, "");
    *state = self;
    return 0;
}

static int close_world(void **state)
{
    world_close(*state);
    free(*state);
    return 0;
}

static const char first_row[] = "{\"id\":\"" ID(
    "01") "\",\"action\":\"adjust\",\"level\":\"buckets\",\"resource\":\"b\",\"at\":" AT
          ",\"interval\":" INTERVAL ",\"askedAt\":" AT ",\"who\":\"uid 0: alice\",\"reason\":\"ticket 5\","
          "\"amounts\":{\"storageUtilized\":-30,\"incomingBytes\":-30,\"operations\":{\"s3:PutObject\":-1}},"
          "\"before\":{\"storageUtilized\":100,\"numberOfObjects\":2,\"incomingBytes\":100,"
          "\"operations\":{\"s3:PutObject\":1}},"
          "\"after\":{\"storageUtilized\":70,\"numberOfObjects\":2,\"incomingBytes\":70,"
          "\"operations\":{\"s3:PutObject\":0}}}";

#define AMOUNTS                                                                      \
    ",\"who\":\"alice\",\"amounts\":{\"storageUtilized\":-30,\"incomingBytes\":-30," \
    "\"operations\":{\"s3:PutObject\":-1}}"

static void an_adjustment_answers_before_and_after_once(void **state)
{
    http_world *world = *state;
    static const char dry[] = ADJUST(AMOUNTS ",\"dryRun\":true");
    check_answer(ask(world, "POST", "/_/admin/adjust", dry), 200, first_row);
    check_answer(ask(world, "GET", "/_/admin/audit", ""), 200, "[]");
    check_answer(ask(world, "GET", "/v2/storage/buckets/b", ""), 200,
                 "{\"storageUtilized\":100,\"resource\":\"b\",\"level\":\"buckets\"}");
    for (int i = 0; i < 3; i++)
        check_answer(ask(world, "POST", "/_/admin/adjust", ADJUST(AMOUNTS)), 200, first_row);
    check_answer(ask(world, "GET", "/v2/storage/buckets/b", ""), 200,
                 "{\"storageUtilized\":70,\"resource\":\"b\",\"level\":\"buckets\"}");
}

static void an_expiry_and_the_audit_tell_the_story(void **state)
{
    static const char expiry[] =
        "{\"level\":\"buckets\",\"resource\":\"b\",\"at\":" AT ",\"reason\":\"gone\",\"id\":\"" ID("02") "\"";
    static const char second_row[] =
        "{\"id\":\"" ID("02") "\",\"action\":\"expire\",\"level\":\"buckets\",\"resource\":\"b\",\"at\":" AT
                              ",\"interval\":" INTERVAL ",\"askedAt\":" AT
                              ",\"who\":\"uid 0\",\"reason\":\"gone\","
                              "\"before\":{\"storageUtilized\":70,\"numberOfObjects\":2},"
                              "\"after\":{\"storageUtilized\":0,\"numberOfObjects\":0}}";
    http_world *world = *state;
    char body[400], both[2000];
    check_answer(ask(world, "POST", "/_/admin/adjust", ADJUST(AMOUNTS)), 200, first_row);
    (void)snprintf(body, sizeof body, "%s,\"dryRun\":true}", expiry);
    check_answer(ask(world, "POST", "/_/admin/expire", body), 200, second_row);
    (void)snprintf(body, sizeof body, "%s}", expiry);
    check_answer(ask(world, "POST", "/_/admin/expire", body), 200, second_row);
    (void)snprintf(both, sizeof both, "[%s,%s]", second_row, first_row); /* the newest first */
    check_answer(ask(world, "GET", "/_/admin/audit", ""), 200, both);
    check_answer(ask(world, "GET", "/_/admin/audit?level=buckets&resource=%62", ""), 200, both);
    check_answer(ask(world, "GET", "/_/admin/audit?level=users", ""), 200, "[]");
    (void)snprintf(both, sizeof both, "[%s]", first_row);
    check_answer(ask(world, "GET", "/_/admin/audit?id=" ID("01"), ""), 200, both);
    check_invalid(ask(world, "GET", "/_/admin/audit?level=rooms", ""),
                  "level: expected buckets, accounts, users, service or locations");
    check_invalid(ask(world, "GET", "/_/admin/audit?who=me", ""),
                  "expected the parameters id, level or resource");
}

static void what_is_ill_said_is_refused_by_name(void **state)
{
    static const struct {
        const char *body, *message;
    } cases[] = {
        {"[]", "expected an object"},
        {"{}", "level: is missing"},
        {"{\"level\":\"rooms\"}", "level: expected buckets, accounts, users, service or locations"},
        {ADJUST(""), "nothing is to be adjusted: every amount is 0"},
        {ADJUST(",\"amounts\":{\"storageUtilized\":0}"), "nothing is to be adjusted: every amount is 0"},
        {ADJUST(",\"amounts\":{\"storageUtilized\":1.5}"), "amounts.storageUtilized: expected an integer"},
        {ADJUST(",\"amounts\":{\"bytes\":1}"), "amounts: there is no metric \"bytes\""},
        {ADJUST(",\"amounts\":{\"operations\":{\"s3:PutObjects\":1}}"),
         "amounts.operations: there is no operation \"s3:PutObjects\""},
        {ADJUST(",\"amounts\":{\"storageUtilized\":9223372036854775808}"),
         "storageUtilized: does not fit 64 bits"},
        {ADJUST(",\"dryrun\":true"), "there is no member \"dryrun\""},
        {ADJUST(",\"dryRun\":1"), "dryRun: expected true or false"},
        {ADJUST(",\"at\":\"now\""), "at: expected milliseconds since 1970"},
        {ADJUST(",\"at\":-1,\"amounts\":{\"storageUtilized\":1}"), "at: must not be negative"},
        {ADJUST(",\"at\":1795443300000,\"amounts\":{\"storageUtilized\":1}"),
         "at: lies too far in the future"},
        {"{\"level\":\"users\",\"reason\":\"r\",\"id\":\"" ID("03") "\"}", "name: expected a text"},
        {"{\"level\":\"users\",\"resource\":\"u\",\"id\":\"" ID("03") "\"}", "reason: expected a text"},
        {"{\"level\":\"users\",\"resource\":\"u\",\"reason\":\"r\"}",
         "id: expected 32 to 64 hexadecimal digits of lower case"},
        {"{\"level\":\"users\",\"resource\":\"u\",\"reason\":\"r\",\"id\":\"" ID("0X") "\"}",
         "id: expected 32 to 64 hexadecimal digits of lower case"},
        {"{\"level\":\"users\",\"resource\":7}", "resource: expected a text"},
    };
    http_world *world = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_invalid(ask(world, "POST", "/_/admin/adjust", cases[i].body), cases[i].message);
    check_invalid(ask(world, "POST", "/_/admin/expire", ADJUST(",\"amounts\":{}")),
                  "there is no member \"amounts\"");
    check_answer(ask(world, "GET", "/_/admin/audit", ""), 200, "[]");
}

static void an_act_that_storage_cannot_take_is_503(void **state)
{
    http_world *world = *state;
    world->trouble.apply_says = UTAPI_UNCERTAIN;
    check_refusal(ask(world, "POST", "/_/admin/adjust", ADJUST(AMOUNTS)), 503, "ServiceUnavailable",
                  "Reduce your request rate.");
    world->trouble.apply_says = UTAPI_OK;
    check_answer(ask(world, "POST", "/_/admin/adjust", ADJUST(AMOUNTS)), 200, first_row);
    world->trouble.ops.admin = NULL;
    http_call call = ask(world, "POST", "/_/admin/adjust", ADJUST(AMOUNTS));
    assert_int_equal(call.reply.status, 501);
    http_call_done(&call);
}

static utapi_status audit_in_vain(utapi_backend *self, utapi_audit_cb *on_row, void *ctx, utapi_error *err)
{
    (void)self;
    (void)on_row;
    (void)ctx;
    return utapi_fail(err, UTAPI_UNAVAILABLE, "the storage has not caught up");
}

/* As behind a journal whose storage is away: it is durable. */
static void an_act_that_waits_says_so(void **state)
{
    static const utapi_admin_ops waiting = {.audit = audit_in_vain};
    http_world *world = *state;
    world->trouble.ops.admin = &waiting;
    check_answer(ask(world, "POST", "/_/admin/adjust", ADJUST(AMOUNTS)), 200,
                 "{\"id\":\"" ID("01") "\",\"waits\":true}");
}

/* ---- who may ------------------------------------------------------------------------------ */

static http_call ask_as(const http_world *world, const char *address, const char *authorization)
{
    struct sockaddr_in peer = {.sin_family = AF_INET};
    const http_header header = {utapi_string_of("Authorization"), utapi_string_of(authorization)};
    http_call call;
    assert_int_equal(inet_pton(AF_INET, address, &peer.sin_addr), 1);
    support_call_from(&world->service, (const struct sockaddr *)&peer, "GET", "/_/admin/audit", &header,
                      authorization != NULL, utapi_string_of(""), &call);
    return call;
}

static void over_tcp_address_and_token_must_both_pass(void **state)
{
    static const char *const wrong[] = {NULL,
                                        "",
                                        "Bearer ",
                                        "Bearer another",
                                        "Bearer " TOKEN "x",
                                        "Bearer " TOKENS,
                                        "Basic " TOKEN,
                                        "Bearer  " TOKEN,
                                        TOKEN};
    http_world *world = *state;
    http_admin_door *door = &world->service.admin;
    utapi_error err = {0};
    door->is_local = false;
    CHECK_OK(allow_list_add(&door->allow, "127.0.0.1/8", &err), &err);
    check_refusal(ask_as(world, "127.0.0.1", "Bearer " TOKEN), 404, "NoSuchEntity",
                  "There is nothing at this path.");
    door->tokens = TOKENS;
    check_answer(ask_as(world, "127.0.0.1", "Bearer " TOKEN), 200, "[]");
    check_answer(ask_as(world, "127.0.0.9", "bearer another-token-1234567"), 200, "[]");
    check_refusal(ask_as(world, "10.0.0.1", "Bearer " TOKEN), 403, "AccessDenied", "Access Denied");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        http_call call = ask_as(world, "127.0.0.1", wrong[i]);
        assert_string_equal(http_reply_header(&call.reply, "www-authenticate"), "Bearer");
        check_refusal(call, 401, "AccessDenied", "Access Denied");
    }
    allow_list_done(&door->allow);
}

static void a_token_is_who_did_it(void **state)
{
    http_world *world = *state;
    world->service.admin.tokens = TOKEN;
    world->service.admin.is_local = false;
    const http_header header = {utapi_string_of("Authorization"), utapi_string_of("Bearer " TOKEN)};
    http_call call;
    support_call(&world->service, "POST", "/_/admin/adjust", &header, 1, utapi_string_of(ADJUST(AMOUNTS)),
                 &call);
    assert_int_equal(call.reply.status, 200);
    assert_non_null(strstr(call.reply.body, "\"who\":\"token from within: alice\""));
    http_call_done(&call);
}

int main(void)
{
#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)
    const struct CMUnitTest cases[] = {
        IN_WORLD(an_adjustment_answers_before_and_after_once),
        IN_WORLD(an_expiry_and_the_audit_tell_the_story),
        IN_WORLD(what_is_ill_said_is_refused_by_name),
        IN_WORLD(an_act_that_storage_cannot_take_is_503),
        IN_WORLD(an_act_that_waits_says_so),
        IN_WORLD(over_tcp_address_and_token_must_both_pass),
        IN_WORLD(a_token_is_who_did_it),
    };
    return cmocka_run_group_tests_name("http.admin", cases, NULL, NULL);
}
