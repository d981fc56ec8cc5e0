/* SPDX-License-Identifier: Apache-2.0 */
/**
 * errors.h - the errors of the HTTP API (errors.def; golden/http_errors.json), as data.
 *
 * Used by http/ and auth/. Pure functions.
 */
#ifndef HTTP_ERRORS_H
#define HTTP_ERRORS_H

typedef enum http_error {
    HTTP_OK, /* no error */
#define HTTP_ERROR(name, status, code, message) HTTP_##name,
#include "http/errors.def"
#undef HTTP_ERROR
    HTTP_ERROR_COUNT
} http_error;

/** What a client is told: a row of errors.def, and perhaps a message that says more than the row's. */
typedef struct http_failure {
    http_error error;  /* HTTP_OK: no failure */
    char message[320]; /* empty: the row's own */
} http_failure;

/** The status of an error: 400, ... 200 for HTTP_OK. */
int http_error_status(http_error error);

/** The code of an error: "InvalidAction". Static storage. */
const char *http_error_code(http_error error);

/** The message of a failure: its own, or its row's. Valid as long as the failure is. */
const char *http_failure_message(const http_failure *failure);

/**
 * Records a failure and hands its error back: `return http_fail(failure, HTTP_INVALID_URI, NULL);`
 *
 * @param format  NULL: the row's own message; otherwise as for printf, cut at the size of message
 */
http_error http_fail(http_failure *failure, http_error error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
