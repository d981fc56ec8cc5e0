/* SPDX-License-Identifier: Apache-2.0 */
/**
 * errors.c - errors.def as a table, looked up by http_error.
 */
#include "http/errors.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

typedef struct error_row {
    int status;
    const char *code;
    const char *message;
} error_row;

static const error_row rows[HTTP_ERROR_COUNT] = {
    [HTTP_OK] = {200, "", ""},
#define HTTP_ERROR(name, status, code, message) [HTTP_##name] = {status, code, message},
#include "http/errors.def"
#undef HTTP_ERROR
};

int http_error_status(http_error error)
{
    return rows[error].status;
}

const char *http_error_code(http_error error)
{
    return rows[error].code;
}

const char *http_failure_message(const http_failure *failure)
{
    return failure->message[0] != '\0' ? failure->message : rows[failure->error].message;
}

http_error http_fail(http_failure *failure, http_error error, const char *format, ...)
{
    assert(error != HTTP_OK);
    failure->error = error;
    failure->message[0] = '\0';
    if (format == NULL)
        return error;

    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(failure->message, sizeof failure->message, format, arguments);
    va_end(arguments);
    return error;
}
