/* SPDX-License-Identifier: Apache-2.0 */
/**
 * json_list.h - the questions ListMetrics and ListRecentMetrics, and their answers (docs/specification.md#queries).
 *
 * A question is read in two steps, for Utapi's order (docs/authentication.md#request-checks) puts others between them:
 * json_query_open() when there is a body, json_query_read() when level and action are known. Pure.
 */
#ifndef JSON_LIST_H
#define JSON_LIST_H

#include "http/errors.h"
#include "utapi/usage.h"

struct json_t;

/** The actions that there are. */
typedef enum json_action { JSON_LIST_METRICS, JSON_LIST_RECENT_METRICS } json_action;

/** "ListMetrics", ... Static storage. */
utapi_string json_action_name(json_action action);

typedef struct json_query {
    utapi_string
        *names; /* asked for, in order; owned; what they point to is valid as long as body and question are */
    size_t count;
    utapi_range range;

    /* What was taken apart, and is not read yet: a plain body has no document. */
    struct json_t *document;
    utapi_level plain_level; /* that the names are of */
    utapi_string plain_action;
    int64_t plain_times_ms[2];
    size_t plain_time_count;
} json_query;

/**
 * Takes a body apart, and judges nothing of it yet. What clients send all day takes no tree: names of one level, without
 * escapes, a range of integers, an action.
 *
 * @param body       borrowed until json_query_done()
 * @param max_names  of a body that has many times as many values no tree is built
 * @param ret        owned: free with json_query_done()
 * @param failure    what to tell the client
 * @return HTTP_OK, or failure->error
 */
http_error json_query_open(utapi_string body, size_t max_names, json_query *ret, http_failure *failure);

/** Always by a tree. Otherwise as json_query_open(), of which no answer may differ (tests/fuzz/fuzz_list.c). */
http_error json_query_open_any(utapi_string body, size_t max_names, json_query *ret, http_failure *failure);

/** What the body's member "Action" says. */
typedef struct json_body_action {
    enum {
        JSON_ACTION_ABSENT,
        JSON_ACTION_EMPTY, /* "", null, false, 0: as good as none to Utapi */
        JSON_ACTION_TEXT,
        JSON_ACTION_OTHER /* not a string */
    } is;
    utapi_string text; /* valid as long as the question is */
} json_body_action;

json_body_action json_query_action(const json_query *question);

/**
 * Reads names and range. The first error in the order of the body's members is reported, then what is missing.
 *
 * @param max_names  more are refused
 * @param now_ms     the end of a range that has none
 * @return HTTP_OK, or failure->error
 */
http_error json_query_read(json_query *question, utapi_level level, json_action action, size_t max_names,
                           int64_t now_ms, http_failure *failure);

void json_query_done(json_query *question);

/**
 * Writes the answer to a question.
 *
 * @param usages    one for each of the question's names
 * @param ret_size  bytes
 * @return owned: free(). NULL if out of memory
 */
char *json_answer(utapi_level level, const json_query *question, const utapi_usage *usages, size_t *ret_size);

/** Writes the answer to GET /v2/storage. Otherwise as json_answer(). */
char *json_storage_answer(utapi_level level, utapi_string name, int64_t bytes, size_t *ret_size);

/** Writes an error for a client. Otherwise as json_answer(). */
char *json_failure(const http_failure *failure, size_t *ret_size);

#endif
