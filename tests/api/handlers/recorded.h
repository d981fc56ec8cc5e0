/* SPDX-License-Identifier: Apache-2.0 */
/**
 * recorded.h - the cases of tests/golden/http_errors.json, and what we owe as their answers.
 */
#ifndef HTTP_RECORDED_H
#define HTTP_RECORDED_H

#include "http/message.h"

#include <jansson.h>

/** The host that was asked while they were recorded: their signatures cover it. */
#define RECORDED_HOST "127.0.0.1:8101"

#define RECORDED_HEADERS_MAX 16

/** Which of the ways of playing a case it takes. */
typedef enum recorded_kind {
    RECORDED_PLAIN,   /* in process, and over a socket */
    RECORDED_CODED,   /* its body is in the form of the wire: over a socket only */
    RECORDED_RAW,     /* bytes of its own: over a socket only */
    RECORDED_NOTED,   /* status only, and the connection may be closed instead of an answer */
    RECORDED_WAITING, /* for other providers, policies, presigned queries, metrics */
} recorded_kind;

typedef struct recorded_case {
    const char *name;
    recorded_kind kind;
    bool with_auth;
    const char *raw; /* the whole request; NULL: made of what follows */
    size_t raw_size;
    const char *method;
    const char *target;
    http_header headers[RECORDED_HEADERS_MAX]; /* a Host first */
    size_t header_count;
    bool has_body;
    char *body; /* owned */
    size_t body_size;

    int status;
    const char *code; /* NULL: not compared; likewise the others */
    const char *message;
    const char *answer;
    const char *text; /* the answer begins so */
} recorded_case;

/** Reads a case; its strings are valid as long as the JSON is. Ends with recorded_case_done(). */
void recorded_case_read(const json_t *json, recorded_case *ret);
void recorded_case_done(recorded_case *self);

/** Whether an answer is the one that is owed; says why if not. */
bool recorded_case_fits(const recorded_case *self, int status, const char *body, size_t size);

#endif
