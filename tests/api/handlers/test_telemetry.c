/* SPDX-License-Identifier: Apache-2.0 */
/* test_telemetry.c - the log's levels, what it says of refusals, and what is counted. */
#include "check.h"

#include "handlers/log.h"
#include "handlers/routes.h"
#include "utapi/clock.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the log, caught ----------------------------------------------------------------------- */

static FILE *caught;
static int real_stderr;
static char lines[65536];

static void catch_log(void)
{
    caught = tmpfile();
    assert_non_null(caught);
    (void)fflush(stderr);
    real_stderr = dup(STDERR_FILENO);
    assert_true(dup2(fileno(caught), STDERR_FILENO) >= 0);
}

/* What was logged since catch_log(), in lines. */
static size_t release_log(void)
{
    size_t count = 0;
    assert_true(dup2(real_stderr, STDERR_FILENO) >= 0);
    (void)close(real_stderr);
    rewind(caught);
    lines[fread(lines, 1, sizeof lines - 1, caught)] = '\0';
    (void)fclose(caught);
    for (const char *at = lines; (at = strchr(at, '\n')) != NULL; at++)
        count++;
    return count;
}

static void log_levels_have_names(void **state)
{
    (void)state;
    log_level level = LOG_LEVEL_INFO;
    assert_false(log_level_find("loud", &level));
    assert_true(log_level_find("warn", &level));
    assert_int_equal(level, LOG_LEVEL_WARN);
    log_open(&(log_options){.name = "test", .level = LOG_LEVEL_WARN});
    assert_true(log_wants(LOG_LEVEL_ERROR));
    assert_false(log_wants(LOG_LEVEL_INFO));
}

/* What a line says of a message. */
static const char *line_of(const char *message)
{
    catch_log();
    log_write(LOG_LEVEL_ERROR, NULL, "%s", message);
    assert_int_equal(release_log(), 1);
    return lines;
}

static void what_a_terminal_would_obey_is_escaped(void **state)
{
    static const struct {
        const char *from, *to;
    } cases[] = {
        {"a\033[2Jb", "\"a\\u001b[2Jb\""},
        {"a\nb", "\"a\\nb\""},
        {"a\177b", "\"a\\u007fb\""},
        {"a\xC2\x80"
         "b\xC2\x9F",
         "\"a\\u0080b\\u009f\""},
        {"\xC2\xA0 \xC3\xA9", "\"\xC2\xA0 \xC3\xA9\""},
        {"\xD8\x9C \xD8\x9B", "\"\\u061c \xD8\x9B\""},
        {"\xE2\x80\x8D\xE2\x80\x8E\xE2\x80\x8F\xE2\x80\x90", "\"\xE2\x80\x8D\\u200e\\u200f\xE2\x80\x90\""},
        {"\xE2\x80\xA8\xE2\x80\xAA\xE2\x80\xAE\xE2\x80\xAC\xE2\x80\xAC\xE2\x80\xAF",
         "\"\\u2028\\u202a\\u202e\\u202c\\u202c\xE2\x80\xAF\""},
        {"\xE2\x81\xA5\xE2\x81\xA6\xE2\x81\xA9\xE2\x81\xAA", "\"\xE2\x81\xA5\\u2066\\u2069\xE2\x81\xAA\""},
        {"\xC2 \xE2\x80", "\"? ??\""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *line = line_of(cases[i].from);
        if (strstr(line, cases[i].to) == NULL)
            print_error("%s\n", line);
        assert_non_null(strstr(line, cases[i].to));
    }
}

static void the_level_can_be_changed_and_the_time_be_read(void **state)
{
    (void)state;
    log_open(&(log_options){.name = "test", .level = LOG_LEVEL_ERROR, .iso_time = true});
    catch_log();
    log_write(LOG_LEVEL_WARN, NULL, "not yet");
    log_set_level(LOG_LEVEL_WARN);
    log_write(LOG_LEVEL_WARN, NULL, "now");
    assert_int_equal(release_log(), 1);
    /* {"time":"2026-11-30T09:15:00.123Z","name": */
    static const char form[] = "{\"time\":\"dddd-dd-ddTdd:dd:dd.dddZ\",\"name\":\"test\",\"level\":\"warn\"";
    for (size_t i = 0; form[i] != '\0'; i++)
        if (form[i] == 'd' && i < sizeof "{\"time\":\"dddd-dd-ddTdd:dd:dd.ddd" - 1)
            assert_in_range(lines[i], '0', '9');
        else
            assert_int_equal(lines[i], form[i]);
    log_open(&(log_options){.name = "test", .level = LOG_LEVEL_WARN});
}

/* ---- refusals ------------------------------------------------------------------------------ */

static const http_route *route_of(const char *method, const char *path)
{
    http_request request = {.method = utapi_string_of(method)};
    http_request_set_target(&request, utapi_string_of(path));
    return http_route_find(&request);
}

static void refuse(telemetry *self, const char *address, http_error error, const char *message)
{
    struct sockaddr_in peer = {.sin_family = AF_INET};
    http_failure failure;
    assert_int_equal(inet_pton(AF_INET, address, &peer.sin_addr), 1);
    http_call call = {.request = {.peer = (const struct sockaddr *)&peer},
                      .route = route_of("POST", "/v2/ingest"),
                      .request_id = "0123456789abcdef0123"};
    (void)http_fail(&failure, error, message != NULL ? "%s" : NULL, message);
    telemetry_log_refusal(self, &call, &failure, NULL);
}

static void the_first_refusal_of_a_kind_is_a_line_and_the_others_a_count(void **state)
{
    (void)state;
    telemetry *self = telemetry_new(http_routes);
    catch_log();
    for (int i = 0; i < 42; i++)
        refuse(self, "10.0.0.5", HTTP_INVALID_PARAMETER_VALUE, "events[3].timestamp: expected an integer");
    refuse(self, "10.0.0.6", HTTP_INVALID_PARAMETER_VALUE, "events[0].bucket: expected a string");
    refuse(self, "10.0.0.5", HTTP_ACCESS_DENIED, NULL);
    telemetry_flush(self, utapi_monotonic_ms()); /* too early */
    assert_int_equal(release_log(), 3);
    assert_non_null(strstr(lines, "\"level\":\"warn\",\"req_id\":\"0123456789abcdef0123\","
                                  "\"message\":\"refused: Ingest from 10.0.0.5: 400 InvalidParameterValue: "
                                  "events[3].timestamp: expected an integer\""));
    assert_non_null(
        strstr(lines, "refused: Ingest from 10.0.0.6: 400 InvalidParameterValue: events[0].bucket"));
    assert_non_null(strstr(lines, "refused: Ingest from 10.0.0.5: 403 AccessDenied: Access Denied"));

    catch_log();
    telemetry_flush(self, utapi_monotonic_ms() + TELEMETRY_WINDOW_MS);
    telemetry_flush(self, utapi_monotonic_ms() + TELEMETRY_WINDOW_MS); /* once */
    assert_int_equal(release_log(), 1);
    assert_non_null(
        strstr(lines, "refused: Ingest from 10.0.0.5: 400 InvalidParameterValue: 41 more in the last 10 s"));

    catch_log();
    refuse(self, "10.0.0.5", HTTP_INVALID_PARAMETER_VALUE, "again");
    refuse(self, "10.0.0.5", HTTP_INVALID_PARAMETER_VALUE, "again");
    telemetry_free(self); /* nothing is lost at the end */
    assert_int_equal(release_log(), 2);
    assert_non_null(strstr(lines, ": again\""));
    assert_non_null(strstr(lines, ": 1 more in the last 10 s"));
}

static void many_addresses_share_a_count(void **state)
{
    (void)state;
    telemetry *self = telemetry_new(http_routes);
    catch_log();
    for (int i = 0; i < 200; i++) {
        char address[32];
        (void)snprintf(address, sizeof address, "10.0.1.%d", i);
        refuse(self, address, HTTP_ACCESS_DENIED, NULL);
    }
    telemetry_free(self);
    assert_int_equal(release_log(), 65);
    assert_non_null(strstr(lines, "refused: requests from other addresses: 136 more in the last 10 s"));
}

static void nothing_of_a_body_is_logged(void **state)
{
    (void)state;
    telemetry *self = telemetry_new(http_routes);
    catch_log();
    refuse(self, "10.0.0.5", HTTP_INVALID_PARAMETER_VALUE,
           "not JSON: line 1, column 6: invalid token near 'secret'");
    telemetry_free(self);
    assert_int_equal(release_log(), 1);
    assert_null(strstr(lines, "secret"));
    assert_non_null(strstr(lines, "not JSON: line 1, column 6: invalid token"));
}

/* ---- counters ------------------------------------------------------------------------------ */

typedef struct counted {
    size_t rows;
    char text[512];
} counted;

static void record(void *ctx, const char *action, int status, uint64_t count)
{
    counted *self = ctx;
    const size_t used = strlen(self->text);
    self->rows++;
    (void)snprintf(self->text + used, sizeof self->text - used, "%s %d %d;", action, status, (int)count);
}

static void answered(telemetry *self, const http_route *route, int status)
{
    const http_call call = {.route = route, .reply = {.status = status}};
    telemetry_count_request(self, &call);
}

static void requests_are_counted_by_action_and_status(void **state)
{
    (void)state;
    telemetry *self = telemetry_new(http_routes);
    counted seen = {0};
    answered(self, route_of("GET", "/_/healthcheck"), 200);
    answered(self, route_of("POST", "/_/healthcheck"), 200);
    answered(self, route_of("POST", "/v2/ingest"), 413);
    answered(self, route_of("POST", "/buckets"), 200);
    answered(self, NULL, 400);
    telemetry_count_events(self, TELEMETRY_REFUSED, 3);
    telemetry_count_events(self, TELEMETRY_REFUSED, 4);
    telemetry_requests(self, record, &seen);
    assert_string_equal(seen.text, "Healthcheck 200 2;Ingest 413 1;ListMetrics 200 1;None 400 1;");
    assert_int_equal(telemetry_events(self, TELEMETRY_REFUSED), 7);
    assert_int_equal(telemetry_events(self, TELEMETRY_ACCEPTED), 0);
    telemetry_free(self);
    telemetry_count_events(NULL, TELEMETRY_ACCEPTED, 1);
    assert_int_equal(telemetry_events(NULL, TELEMETRY_ACCEPTED), 0);
}

static void letters_are_a_line_by_reason_and_source(void **state)
{
    (void)state;
    static const utapi_refusal late = {UTAPI_REASON_LATE, "later than allowed", {"10.0.0.5", 8}};
    static const utapi_refusal early = {UTAPI_REASON_EARLY, "too old", {"10.0.0.5", 8}};
    static const utapi_refusal other = {UTAPI_REASON_LATE, "later than allowed", {"10.0.0.6", 8}};
    const http_call call = {.request_id = "0123456789abcdef0123"};
    telemetry *self = telemetry_new(http_routes);
    catch_log();
    telemetry_log_letters(self, &call, &late, 3);
    telemetry_log_letters(self, &call, &late, 4);
    telemetry_log_letters(self, &call, &late, 5);
    telemetry_log_letters(self, &call, &early, 0);
    telemetry_log_letters(self, &call, &early, 1);
    telemetry_log_letters(self, &call, &other, 1);
    telemetry_free(self);
    assert_int_equal(release_log(), 4);
    assert_non_null(strstr(lines, "\"message\":\"refused: events from 10.0.0.5: late: 3 became dead letters: "
                                  "later than allowed\""));
    assert_non_null(
        strstr(lines, "\"message\":\"refused: events from 10.0.0.5: late: 9 more in the last 10 s"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_levels_have_names),
        cmocka_unit_test(what_a_terminal_would_obey_is_escaped),
        cmocka_unit_test(the_level_can_be_changed_and_the_time_be_read),
        cmocka_unit_test(the_first_refusal_of_a_kind_is_a_line_and_the_others_a_count),
        cmocka_unit_test(many_addresses_share_a_count),
        cmocka_unit_test(nothing_of_a_body_is_logged),
        cmocka_unit_test(requests_are_counted_by_action_and_status),
        cmocka_unit_test(letters_are_a_line_by_reason_and_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
