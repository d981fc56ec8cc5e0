/* SPDX-License-Identifier: Apache-2.0 */
/* http_text.c - the texts of requests: V2 events as CloudServer sends them, and signed ListMetrics. */
#include "http_text.h"

#include "sign.h"
#include "utapi/clock.h"
#include "utapi/interval.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- events ------------------------------------------------------------------------------- */

#define INGEST_HEAD                                                                                    \
    "POST /v2/ingest HTTP/1.1\r\nHost: %s:%u\r\nContent-Type: application/json\r\nContent-Length: %zu" \
    "\r\n\r\n["

/* Offsets of what varies; the text that they point into stands below. A size has four digits, a time 13. */
#define EVENT_TEXT                                                                                                   \
    "{\"operationId\":\"putObject\",\"bucket\":\"bucket-0000000\",\"object\":\"album/2026/holiday/0001.jpg\","       \
    "\"objectDelta\":1,\"sizeDelta\":0000,\"incomingBytes\":0000,\"outgoingBytes\":0,\"location\":\"" BENCH_LOCATION \
    "\",\"account\":\"0000000000000000000000000000000000000000000000000000000000000000\","                           \
    "\"timestamp\":0000000000000"
#define UUID_TEXT ",\"uuid\":\"00000000-0000-0000-0000-000000000000\""

enum {
    AT_BUCKET = sizeof "{\"operationId\":\"putObject\",\"bucket\":\"bucket-" - 1,
    AT_SIZE = AT_BUCKET +
              sizeof "0000000\",\"object\":\"album/2026/holiday/0001.jpg\",\"objectDelta\":1,\"sizeDelta\":" -
              1,
    AT_INCOMING = AT_SIZE + sizeof "0000,\"incomingBytes\":" - 1,
    AT_ACCOUNT = AT_INCOMING +
                 sizeof "0000,\"outgoingBytes\":0,\"location\":\"" BENCH_LOCATION "\",\"account\":\"" - 1,
    AT_TIME = AT_ACCOUNT + BENCH_ACCOUNT_SIZE + sizeof "\",\"timestamp\":" - 1,
    AT_UUID = sizeof EVENT_TEXT - 1 + sizeof ",\"uuid\":\"" - 1,
    SIZE_DIGITS = 4,
    TIME_DIGITS = 13
};

utapi_status ingest_text_lay_out(ingest_text *text, const http_endpoint *endpoint, unsigned count,
                                 bool has_uuids, utapi_error *err)
{
    char event[sizeof EVENT_TEXT + sizeof UUID_TEXT + 2];
    char head[256];
    const int event_size = snprintf(event, sizeof event, "%s%s},", EVENT_TEXT, has_uuids ? UUID_TEXT : "");
    const size_t body_size = 1 + count * (size_t)event_size; /* the last comma is the bracket */
    const int head_size =
        snprintf(head, sizeof head, INGEST_HEAD, endpoint->host, (unsigned)endpoint->port, body_size);
    char *data = realloc(text->data, (size_t)head_size + count * (size_t)event_size);
    if (data == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "a request of %u events", count);
    memcpy(data, head, (size_t)head_size);
    for (unsigned i = 0; i < count; i++)
        memcpy(data + head_size + i * (size_t)event_size, event, (size_t)event_size);
    *text = (ingest_text){.data = data,
                          .size = (size_t)head_size + count * (size_t)event_size,
                          .first = (size_t)head_size,
                          .event_size = (size_t)event_size,
                          .count = count,
                          .has_uuids = has_uuids};
    data[text->size - 1] = ']';
    return UTAPI_OK;
}

static void put_digits(char *at, unsigned digits, uint64_t number)
{
    for (unsigned i = digits; i-- > 0; number /= 10)
        at[i] = (char)('0' + number % 10);
}

void ingest_text_put(ingest_text *text, unsigned place, const bench_item *item,
                     const bench_accounts *accounts)
{
    char *event = text->data + text->first + place * text->event_size;
    put_digits(event + AT_BUCKET, BENCH_BUCKET_DIGITS, item->bucket);
    put_digits(event + AT_SIZE, SIZE_DIGITS, item->size_bytes);
    put_digits(event + AT_INCOMING, SIZE_DIGITS, item->size_bytes);
    put_digits(event + AT_TIME, TIME_DIGITS, (uint64_t)item->time_ms);
    memcpy(event + AT_ACCOUNT, accounts->ids[bench_account_of(item->bucket)], BENCH_ACCOUNT_SIZE);
    if (text->has_uuids)
        bench_uuid_write(item->uuid, event + AT_UUID);
}

void ingest_text_done(ingest_text *text)
{
    free(text->data);
    text->data = NULL;
}

/* ---- questions ---------------------------------------------------------------------------- */

#define QUESTION_TARGET "/buckets?Action=ListMetrics"

enum { RESIGN_S = 60 }; /* the server takes signatures of 15 minutes */

static char *body_make(const bench_workload *workload, unsigned number, int64_t origin_ms)
{
    const size_t room = 128 + (size_t)workload->names * (BENCH_BUCKET_SIZE + 3);
    char *body = malloc(room);
    if (body == NULL)
        return NULL;
    size_t size = (size_t)snprintf(body, room, "{\"buckets\":[");
    for (unsigned i = 0; i < workload->names; i++) {
        const unsigned spread = number * (workload->buckets / QUESTION_TEXTS + 1) + i;
        size += (size_t)snprintf(body + size, room - size, "%s\"" BENCH_BUCKET_FORMAT "\"", i > 0 ? "," : "",
                                 spread % workload->buckets);
    }
    const int64_t end_ms = origin_ms + UTAPI_INTERVAL_MS;
    (void)snprintf(body + size, room - size, "],\"timeRange\":[%lld,%lld]}",
                   (long long)(end_ms - (int64_t)workload->intervals * UTAPI_INTERVAL_MS),
                   (long long)(end_ms - 1));
    return body;
}

utapi_status question_texts_make(question_texts *texts, const bench_workload *workload,
                                 const http_endpoint *endpoint, int64_t origin_ms, utapi_error *err)
{
    *texts = (question_texts){.workload = workload, .endpoint = endpoint};
    for (unsigned i = 0; i < QUESTION_TEXTS && workload->names > 0; i++) {
        texts->texts[i].body = body_make(workload, i, origin_ms);
        if (texts->texts[i].body == NULL)
            return utapi_fail(err, UTAPI_NO_MEMORY, "questions");
    }
    return UTAPI_OK;
}

static utapi_status text_sign(const question_texts *texts, struct question_text *text, int64_t now_s,
                              utapi_error *err)
{
    char host[64];
    char headers[BENCH_SIGNED_MAX];
    (void)snprintf(host, sizeof host, "%s:%u", texts->endpoint->host, (unsigned)texts->endpoint->port);
    const bench_signing signing = {.host = host,
                                   .target = QUESTION_TARGET,
                                   .body = utapi_string_of(text->body),
                                   .access_key = texts->endpoint->access_key,
                                   .secret_key = texts->endpoint->secret_key,
                                   .now_ms = now_s * 1000};
    const utapi_status status = bench_sign(&signing, headers, err);
    if (status != UTAPI_OK)
        return status;
    free(text->data);
    const int size = asprintf(&text->data,
                              "POST " QUESTION_TARGET " HTTP/1.1\r\nHost: %s\r\n"
                              "Content-Type: application/json\r\nContent-Length: %zu\r\n%s\r\n%s",
                              host, signing.body.size, headers, text->body);
    if (size < 0) {
        text->data = NULL;
        return utapi_fail(err, UTAPI_NO_MEMORY, "a question");
    }
    text->size = (size_t)size;
    text->signed_s = now_s;
    return UTAPI_OK;
}

utapi_status question_texts_get(question_texts *texts, uint32_t number, utapi_string *ret, utapi_error *err)
{
    struct question_text *text = &texts->texts[number % QUESTION_TEXTS];
    const int64_t now_s = utapi_wall_ms() / 1000;
    if (text->data == NULL || now_s - text->signed_s >= RESIGN_S) {
        const utapi_status status = text_sign(texts, text, now_s, err);
        if (status != UTAPI_OK)
            return status;
    }
    *ret = (utapi_string){text->data, text->size};
    return UTAPI_OK;
}

void question_texts_done(question_texts *texts)
{
    for (unsigned i = 0; i < QUESTION_TEXTS; i++) {
        free(texts->texts[i].body);
        free(texts->texts[i].data);
        texts->texts[i] = (struct question_text){.body = NULL};
    }
}
