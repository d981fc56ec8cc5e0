/* SPDX-License-Identifier: Apache-2.0 */
/* status.c - statuses as text, and the one way to record a failure. */
#include "utapi/status.h"

#include <stdarg.h>
#include <stdio.h>

static const char *const status_texts[] = {
#define X(name, text) [UTAPI_##name] = text,
    UTAPI_STATUS_MAP(X)
#undef X
};

void utapi_error_clear(utapi_error *err)
{
    if (err == NULL)
        return;
    err->status = UTAPI_OK;
    err->index = UTAPI_NO_INDEX;
    err->detail[0] = '\0';
}

static utapi_status fail_v(utapi_error *err, utapi_status status, size_t index, const char *format,
                           va_list args)
{
    if (err != NULL && err->status == UTAPI_OK) {
        err->status = status;
        err->index = index;
        vsnprintf(err->detail, sizeof err->detail, format, args);
    }
    return status;
}

utapi_status utapi_fail(utapi_error *err, utapi_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fail_v(err, status, UTAPI_NO_INDEX, format, args);
    va_end(args);
    return status;
}

utapi_status utapi_fail_at(utapi_error *err, utapi_status status, size_t index, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fail_v(err, status, index, format, args);
    va_end(args);
    return status;
}

const char *utapi_status_text(utapi_status status)
{
    const size_t known = sizeof status_texts / sizeof *status_texts;
    return (size_t)status < known ? status_texts[status] : "unknown status";
}
