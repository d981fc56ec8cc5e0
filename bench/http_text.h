/* SPDX-License-Identifier: Apache-2.0 */
/**
 * http_text.h - requests as they stand on the wire, made once and written over in place.
 *
 * All that varies from one event to the next (bucket, account, time, sizes, uuid) has a fixed length, so a
 * request's text is laid out once and only these bytes are written again. Questions are few texts in turn, each
 * signed anew once a minute.
 */
#ifndef BENCH_HTTP_TEXT_H
#define BENCH_HTTP_TEXT_H

#include "generator.h"
#include "utapi/status.h"
#include "utapi/string.h"

/** Where requests go, and who signs them. Borrowed strings. */
typedef struct http_endpoint {
    const char *host; /* an IPv4 address */
    uint16_t port;
    const char *access_key, *secret_key;
} http_endpoint;

/** The text of a request with events. */
typedef struct ingest_text {
    char *data; /* owned: freed by ingest_text_done() */
    size_t size;
    size_t first;      /* where the first event begins */
    size_t event_size; /* with its comma */
    unsigned count;    /* events that it is laid out for */
    bool has_uuids;
} ingest_text;

/** Lays a request out for that many events. UTAPI_NO_MEMORY. */
UTAPI_MUST_USE utapi_status ingest_text_lay_out(ingest_text *text, const http_endpoint *endpoint,
                                                unsigned count, bool has_uuids, utapi_error *err);

/** Writes an event over the one at that place. */
void ingest_text_put(ingest_text *text, unsigned place, const bench_item *item,
                     const bench_accounts *accounts);
void ingest_text_done(ingest_text *text);

enum { QUESTION_TEXTS = 64 };

/** Questions about a workload's resources. */
typedef struct question_texts {
    const bench_workload *workload; /* borrowed, as the next */
    const http_endpoint *endpoint;
    struct question_text {
        char *body; /* owned */
        char *data; /* owned: the whole request */
        size_t size;
        int64_t signed_s; /* when it was signed; since the epoch */
    } texts[QUESTION_TEXTS];
} question_texts;

/** @param origin_ms  the last interval of the range */
UTAPI_MUST_USE utapi_status question_texts_make(question_texts *texts, const bench_workload *workload,
                                                const http_endpoint *endpoint, int64_t origin_ms,
                                                utapi_error *err);

/** The text of a question, freshly signed or within the last minute. Valid until the next call. */
UTAPI_MUST_USE utapi_status question_texts_get(question_texts *texts, uint32_t number, utapi_string *ret,
                                               utapi_error *err);
void question_texts_done(question_texts *texts);

#endif
