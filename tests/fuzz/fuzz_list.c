/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_list.c - bodies of questions, read for every level and action, and answered.
 *
 * Promises: nothing crashes or leaks; what is read has names, all of them text, and a range that does not end before it
 * starts; the answer is JSON that names the resources as they were asked for; the quick way through a plain body
 * answers as the full one does.
 */
#include "fuzz_target.h"
#include "json/json_list.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW_MS    INT64_C(1795441850000)
#define MAX_NAMES 20

static const char *const name_members[UTAPI_LEVEL_COUNT] = {
#define X(name, path, member) [UTAPI_##name] = member,
    UTAPI_LEVEL_MAP(X)
#undef X
};

static void check_answer(utapi_level level, const json_query *question)
{
    utapi_usage usages[MAX_NAMES];
    for (size_t i = 0; i < question->count; i++)
        utapi_usage_clear(&usages[i]);
    size_t size = 0;
    char *text = json_answer(level, question, usages, &size);
    FUZZ_CHECK(text != NULL);

    json_t *answer = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    FUZZ_CHECK(json_array_size(answer) == question->count);
    for (size_t i = 0; i < question->count; i++) {
        const json_t *name = json_object_get(json_array_get(answer, i), name_members[level]);
        const utapi_string seen = {json_string_value(name), json_string_length(name)};
        FUZZ_CHECK(utapi_string_equal(seen, question->names[i]));
    }
    json_decref(answer);
    free(text);
}

typedef http_error open_fn(utapi_string body, size_t max_names, json_query *ret, http_failure *failure);

/* What became of a body. */
typedef struct reading {
    http_error error;
    json_query question;
    json_body_action action;
    http_failure failure;
} reading;

static reading read_query(open_fn *open, utapi_string body, utapi_level level, json_action action)
{
    reading ret = {.question = {0}};
    ret.error = open(body, MAX_NAMES, &ret.question, &ret.failure);
    if (ret.error == HTTP_OK) {
        ret.action = json_query_action(&ret.question);
        ret.error = json_query_read(&ret.question, level, action, MAX_NAMES, NOW_MS, &ret.failure);
    }
    return ret;
}

static void check_equal(const reading *quick, const reading *full)
{
    FUZZ_CHECK(quick->error == full->error && quick->action.is == full->action.is);
    FUZZ_CHECK(utapi_string_equal(quick->action.text, full->action.text));
    if (quick->error != HTTP_OK) {
        FUZZ_CHECK(strcmp(http_failure_message(&quick->failure), http_failure_message(&full->failure)) == 0);
        return;
    }
    FUZZ_CHECK(quick->question.count == full->question.count);
    FUZZ_CHECK(quick->question.range.start_ms == full->question.range.start_ms);
    FUZZ_CHECK(quick->question.range.end_ms == full->question.range.end_ms);
    for (size_t i = 0; i < quick->question.count; i++)
        FUZZ_CHECK(utapi_string_equal(quick->question.names[i], full->question.names[i]));
}

static void check_question(utapi_string body, utapi_level level, json_action action)
{
    reading quick = read_query(json_query_open, body, level, action);
    reading full = read_query(json_query_open_any, body, level, action);
    const json_query *question = &quick.question;
    check_equal(&quick, &full);
    FUZZ_CHECK(quick.action.is != JSON_ACTION_TEXT || quick.action.text.size > 0);
    if (quick.error == HTTP_OK) {
        FUZZ_CHECK(question->count > 0 && question->count <= MAX_NAMES);
        FUZZ_CHECK(question->range.start_ms <= question->range.end_ms);
        for (size_t i = 0; i < question->count; i++)
            FUZZ_CHECK(utapi_string_is_text(question->names[i]));
        check_answer(level, question);
    } else {
        FUZZ_CHECK(http_failure_message(&quick.failure)[0] != '\0');
    }
    json_query_done(&quick.question);
    json_query_done(&full.question);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const utapi_string body = {(const char *)data, size};
    for (unsigned level = 0; level < UTAPI_LEVEL_COUNT; level++) {
        check_question(body, (utapi_level)level, JSON_LIST_METRICS);
        check_question(body, (utapi_level)level, JSON_LIST_RECENT_METRICS);
    }
    return 0;
}
