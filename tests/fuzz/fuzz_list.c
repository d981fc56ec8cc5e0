/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_list.c - bodies of questions, read for every level and action, and answered.
 *
 * Promises: nothing crashes or leaks; what is read has names, all of them text, and a range that does not end before it
 * starts; the answer is JSON that names the resources as they were asked for.
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

static void check_answer(utapi_level level, const json_question *question)
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

static void read_question(utapi_string body, utapi_level level, json_action action)
{
    json_question question;
    http_failure failure;
    if (json_question_open(body, MAX_NAMES, &question, &failure) != HTTP_OK) {
        FUZZ_CHECK(http_failure_message(&failure)[0] != '\0');
        return;
    }
    const json_body_action in_body = json_question_action(&question);
    FUZZ_CHECK(in_body.is != JSON_ACTION_TEXT || in_body.text.size > 0);

    if (json_question_read(&question, level, action, MAX_NAMES, NOW_MS, &failure) == HTTP_OK) {
        FUZZ_CHECK(question.count > 0 && question.count <= MAX_NAMES);
        FUZZ_CHECK(question.range.start_ms <= question.range.end_ms);
        for (size_t i = 0; i < question.count; i++)
            FUZZ_CHECK(utapi_string_is_text(question.names[i]));
        check_answer(level, &question);
    } else {
        FUZZ_CHECK(http_failure_message(&failure)[0] != '\0');
    }
    json_question_done(&question);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const utapi_string body = {(const char *)data, size};
    for (unsigned level = 0; level < UTAPI_LEVEL_COUNT; level++) {
        read_question(body, (utapi_level)level, JSON_LIST_METRICS);
        read_question(body, (utapi_level)level, JSON_LIST_RECENT_METRICS);
    }
    return 0;
}
